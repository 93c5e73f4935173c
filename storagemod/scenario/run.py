"""Running a scenario: a world of its own, its accounts and contracts, then its transactions one by one."""

from __future__ import annotations

import time

from attrs import field, frozen

from storagemod.errors import LinkError, ScenarioError, StateError, StorageModError
from storagemod.limits import DEFAULT_GAS, Limits
from storagemod.linking import PREFIX, Contract
from storagemod.scenario.check import Difference, check_transaction
from storagemod.scenario.contents import preset
from storagemod.scenario.locate import TomlPath
from storagemod.scenario.schema import ContractSpec, Scenario, TransactionSpec
from storagemod.scenario.source import DEFAULT_OPTION, check_option, load_contract
from storagemod.scenario.structure import did_you_mean
from storagemod.state import NO_ACCOUNT
from storagemod.types import MAP_OPTIONS, StorageMapping, SyncPolicy
from storagemod.world import Receipt, World


@frozen
class TransactionResult:
    """One transaction of a scenario, run and checked.

    Attributes:
        title: Its name, or what it calls.
        line: Where it stands in the file.
        receipt: How it ended, or ``None`` where it could not start.
        refused: Why it could not start, where that was expected.
        differences: What is not as expected.
        seconds: How long it took; not the same from run to run.
    """

    title: str
    line: int | None
    receipt: Receipt | None
    refused: StorageModError | None
    differences: tuple[Difference, ...]
    seconds: float = field(eq=False)

    @property
    def ok(self) -> bool:
        """Whether everything is as expected."""
        return not self.differences


@frozen
class ScenarioResult:
    """A scenario that was run under one linking option."""

    scenario: Scenario
    link: str
    transactions: tuple[TransactionResult, ...]
    state_root: bytes

    @property
    def ok(self) -> bool:
        """Whether every transaction is as expected."""
        return all(transaction.ok for transaction in self.transactions)


def run_scenario(
    scenario: Scenario,
    *,
    link: str | None = None,
    sync: SyncPolicy = SyncPolicy.CALL,
    limits: Limits | None = None,
    world: World | None = None,
) -> ScenarioResult:
    """Run a scenario.

    A difference does not stop it: the transactions that follow are run and checked too. In a world where contracts and
    accounts of the scenario stand already, from an earlier run, they stay as they are.

    Args:
        scenario: What to run.
        link: The linking option for contracts that leave it open. Where one is named, a contract that does not and
            uses others is an error; by default such a contract is run as it is.
        sync: When copies of storage are brought in line with it, under the option ``copied``.
        limits: The limits of the world, if it is to be a new one.
        world: Where to run it; by default a new world in memory.

    Raises:
        ScenarioError: A contract cannot be deployed, or a transaction cannot start and was not expected to fail.
    """
    if world is None:
        world = World(limits=limits or Limits())
    for name, account in scenario.accounts.items():
        if world.account(scenario.address(name)) == NO_ACCOUNT:
            world.fund(scenario.address(name), account.balance, name=name)
    deployed = [name for name in scenario.contracts if _deploy(world, scenario, name, link, sync)]
    for name in deployed:
        for number, content in enumerate(scenario.contracts[name].storage):
            try:
                preset(world, scenario.address(name), content.region, content.data, offset=content.offset_bytes)
            except StorageModError as error:
                raise _contract_at(scenario, name, ("storage", number), error) from error
    results = tuple(_transact(world, scenario, number) for number in range(len(scenario.transactions)))
    return ScenarioResult(scenario, link or DEFAULT_OPTION, results, world.state_root)


def _deploy(world: World, scenario: Scenario, name: str, link: str | None, sync: SyncPolicy) -> bool:
    """Deploy a contract that does not stand yet; an error stands at the line of the key that it comes from."""
    spec = scenario.contracts[name]
    key = "wat" if spec.code is None else "code"
    source = (spec.wat or "") if spec.code is None else scenario.folder / spec.code
    label = name if isinstance(source, str) else str(source)
    try:
        contract = load_contract(source, label=label, option=link or DEFAULT_OPTION, limits=world.limits)
        if link is not None:
            check_option(contract, link)
        standing = world.account(scenario.address(name)).code
        if standing == contract.code:
            return False
        if standing:
            raise StateError("the world has other code at its address", hint="use another world")
        key = "links"
        _check_links(contract, spec)
        key = "init"
        world.deploy(
            contract.code,
            address=scenario.address(name),
            balance=spec.balance,
            links={link_name: scenario.address(target) for link_name, target in spec.links.items()},
            policy=spec.policy,
            name=name,
            mapping=StorageMapping(link, sync) if contract.maps_storage and link in MAP_OPTIONS else None,
            init=spec.init,
            args=spec.args,
        )
    except StorageModError as error:
        if isinstance(error, LinkError) and key == "init":  # what is linked to one another does not fit
            key = "links"
        raise _contract_at(scenario, name, (key,), error) from error
    return True


def _check_links(contract: Contract, spec: ContractSpec) -> None:
    """Check, in the words of a scenario, that what is imported is linked, and nothing else."""
    wanted = list(dict.fromkeys(each.link for each in contract.contract_imports))
    for link in wanted:
        if link not in spec.links:
            hint = f'add `links = {{ {link} = "NAME" }}`'
            raise LinkError(f'it imports from "{PREFIX}{link}", which is linked to nothing', hint=hint)
    for link in spec.links:
        if link not in wanted:
            hint = did_you_mean(link, wanted) or f" (it imports from: {', '.join(wanted) or 'none'})"
            raise LinkError(f'the link "{link}" is given, but nothing is imported from "{PREFIX}{link}"{hint}')


def _transact(world: World, scenario: Scenario, number: int) -> TransactionResult:
    spec = scenario.transactions[number]
    receipt, refused = None, None
    started = time.perf_counter()
    try:
        receipt = _send(world, scenario, spec)
    except StorageModError as error:
        if spec.expect.success:
            line = scenario.lines.line(("transactions", number))
            raise ScenarioError(
                f'transaction "{spec.title}": {error}', path=scenario.path, line=line, cause=error
            ) from error
        refused = error
    seconds = time.perf_counter() - started
    return TransactionResult(
        title=spec.title,
        line=scenario.lines.line(("transactions", number)),
        receipt=receipt,
        refused=refused,
        differences=check_transaction(world, scenario, number, receipt, refused),
        seconds=seconds,
    )


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


def _contract_at(scenario: Scenario, name: str, where: TomlPath, error: StorageModError) -> ScenarioError:
    """An error of a contract, named once, at the line of the key that it comes from."""
    line = scenario.lines.line(("contracts", name, *where))
    return ScenarioError(
        f'contract "{name}": {str(error).removeprefix(f"{name}: ")}', path=scenario.path, line=line, cause=error
    )
