"""Run a scenario: deploy its accounts and contracts into a world, then run and check its transactions."""

from __future__ import annotations

import time
from collections.abc import Mapping

import attrs
from attrs import field, frozen

from storagemod.errors import ScenarioError, StorageModError, ValidationError, one_line
from storagemod.limits import DEFAULT_GAS, Limits
from storagemod.scenario.check import Difference, check_transaction
from storagemod.scenario.contents import gone
from storagemod.scenario.deploy import DEFAULT_OPTION, deploy_scenario
from storagemod.scenario.invariants import InvariantCheck, invariants_of
from storagemod.scenario.schema import Scenario, TransactionSpec
from storagemod.types import ExclusivePolicy, SyncPolicy
from storagemod.world import DEFAULT_SENDER_BALANCE, Receipt, World


@frozen
class TransactionResult:
    """Result of one transaction of a scenario.

    Attributes:
        title: The transaction's name, or the call that it makes.
        file: The file that it stands in: the scenario's, or one that it extends.
        line: Its line there.
        receipt: Its receipt, or ``None`` if it could not start.
        refused: Why it could not start, if that was expected.
        differences: Everything that is not as expected.
        seconds: How long it took; differs from run to run.
    """

    title: str
    file: str
    line: int | None
    receipt: Receipt | None
    refused: StorageModError | None
    differences: tuple[Difference, ...]
    seconds: float = field(eq=False)

    @property
    def ok(self) -> bool:
        """Whether there are no differences."""
        return not self.differences


@frozen
class ScenarioResult:
    """Result of a scenario under one linking option.

    ``link`` is what the run asked for, or the default of contracts that leave it open. ``options`` are what contracts
    with storage ran under, by name. ``sync`` and ``exclusive`` are the policies of the run, each if it applies to a
    contract.
    """

    scenario: Scenario
    link: str
    sync: SyncPolicy | None
    exclusive: ExclusivePolicy | None
    transactions: tuple[TransactionResult, ...]
    state_root: bytes
    options: Mapping[str, str] = field(factory=dict)

    @property
    def ok(self) -> bool:
        """Whether no transaction has differences."""
        return all(transaction.ok for transaction in self.transactions)


def run_scenario(
    scenario: Scenario,
    *,
    link: str | None = None,
    sync: SyncPolicy | None = None,
    exclusive: ExclusivePolicy | None = None,
    limits: Limits | None = None,
    world: World | None = None,
) -> ScenarioResult:
    """Run a scenario.

    After a difference the run goes on with the next transaction. Contracts and accounts that the world already has are
    left unchanged.

    Args:
        scenario: The scenario.
        link: The linking option of contracts that leave it open. A contract that uses other options is then an error.
            By default such a contract runs as it is.
        sync: When copies and storage are synchronized, for contracts under ``copied`` without a ``sync`` of their own;
            by default at every call.
        exclusive: Which second page for a frame is refused, for contracts under ``paged`` or ``aliased`` without an
            ``exclusive`` of their own; by default none.
        limits: The limits of a new world.
        world: The world to run it in; by default a new one in memory.

    Raises:
        ScenarioError: A contract cannot be deployed, an invariant cannot be understood, or a transaction cannot start
            and was not expected to fail.
    """
    invariants_of(scenario)  # a mistake in one is reported before anything is deployed
    if world is None:
        world = World(limits=limits or Limits())
    applied = deploy_scenario(scenario, world, link=link, sync=sync, exclusive=exclusive)
    options = _options(scenario, world, link)
    results = tuple(run_transaction(world, scenario, number) for number in range(len(scenario.transactions)))
    return ScenarioResult(scenario, link or DEFAULT_OPTION, *applied, results, world.state_root, options)


def _options(scenario: Scenario, world: World, link: str | None) -> dict[str, str]:
    """Return the linking option of each contract with storage; several, where its imports mix them unasked."""
    found = {}
    for name in scenario.contracts:
        account = world.account(scenario.address(name))
        if account.mapping is not None:
            found[name] = account.mapping.option
        elif account.link is not None:
            found[name] = account.link
        elif account.code and (options := world.contract(scenario.address(name)).options):
            found[name] = link if link is not None and link in options else ", ".join(sorted(options))
    return found


def run_transaction(world: World, scenario: Scenario, number: int) -> TransactionResult:
    """Run one transaction of a deployed scenario, and check it.

    Args:
        world: The world, after the earlier transactions.
        scenario: The scenario.
        number: The index of the transaction.

    Raises:
        ScenarioError: The transaction cannot start, was not expected to fail, and the file is to blame. Where earlier
            transactions are, because they destroyed the contract or spent the money, that is a difference.
    """
    spec = scenario.transactions[number]
    invariants = InvariantCheck(world, scenario)
    try:
        invariants.begin(lambda: _send(world, scenario, attrs.evolve(spec, call=True)).trace)
    except StorageModError as error:
        if isinstance(error, ScenarioError):
            raise
    receipt, refused = None, None
    started = time.perf_counter()
    try:
        receipt = _send(world, scenario, spec)
    except StorageModError as error:
        address = scenario.address(spec.to)
        lost = gone(world, address, scenario.contract_at(address))
        if spec.expect.success and lost is None and not _spent(world, scenario, spec):
            file, line = scenario.place(("transactions", number))
            raise ScenarioError(
                f'transaction "{one_line(spec.title)}": {error}', path=file, line=line, cause=error
            ) from error
        refused = error if lost is None else ValidationError(lost, cause=error)
    seconds = time.perf_counter() - started
    file, line = scenario.place(("transactions", number))
    return TransactionResult(
        title=spec.title,
        file=file,
        line=line,
        receipt=receipt,
        refused=refused,
        differences=(*check_transaction(world, scenario, number, receipt, refused), *invariants.differences()),
        seconds=seconds,
    )


def _spent(world: World, scenario: Scenario, spec: TransactionSpec) -> bool:
    """Check whether the sender could pay when it was deployed, and cannot after the transactions since."""
    if spec.sender is None:
        address, had = world.default_sender, DEFAULT_SENDER_BALANCE
    else:
        address = scenario.address(spec.sender)
        deployed = scenario.accounts.get(spec.sender) or scenario.contracts.get(spec.sender)
        had = 0 if deployed is None else deployed.balance
    return world.account(address).balance < spec.value <= had


def _send(world: World, scenario: Scenario, spec: TransactionSpec) -> Receipt:
    run = world.call if spec.call else world.transact
    return run(
        scenario.address(spec.to),
        spec.method,
        *spec.args,
        data=spec.data,
        sender=None if spec.sender is None else scenario.address(spec.sender),
        value=spec.value,
        gas=DEFAULT_GAS if spec.gas is None else spec.gas,
    )
