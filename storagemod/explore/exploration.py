"""Exploring a scenario: its contracts, its untrusted accounts, its invariants."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

import attrs
from attrs import field, frozen

from storagemod.errors import LinkError, ScenarioError, ValidationError, shown
from storagemod.explore.attacker import Attacker, init_code
from storagemod.explore.caveats import Caveat, SetUp, caveats_of
from storagemod.explore.keeper import Fit, Keeper, Kept
from storagemod.explore.menu import ARGUMENTS_MAX, Entry, menu_of
from storagemod.explore.plan import GAS, Blueprint, Plan, PythonInvariant
from storagemod.explore.saved import Saved
from storagemod.explore.scope import attackers_of, loaded, scenario_of, with_stranger
from storagemod.explore.search import Budget, Found, Progress, Told, Violation, search
from storagemod.explore.values import Observed, Surroundings
from storagemod.scenario import Scenario, deploy_scenario, invariants_of, load_scenario, run_transaction
from storagemod.scenario.check import Difference
from storagemod.scenario.schema import InvariantSpec
from storagemod.scenario.suggest import profit_invariant
from storagemod.scenario.trust import TrustModel
from storagemod.types import Address, ExclusivePolicy, ReentryPolicy, SyncPolicy, parse_enum
from storagemod.vm import Contract
from storagemod.wasm import mentions
from storagemod.world import Receipt, World

CALLS_MAX, DEPTH_MAX = 64, 32
DEFAULT_TRIES = 20_000
TRIES_MAX = 10_000_000
GAS_MAX = 100 * GAS
_STORED_MAX = 64
"""How many words of storage are values to try: those at the lowest offsets, as columns of values stay short."""


@frozen
class Settings:
    """Settings of an exploration.

    Attributes:
        link: The linking option of contracts that leave it open.
        sync: The sync policy of contracts that are copied and do not say it.
        exclusive: The exclusive policy of contracts that are paged or aliased and do not say it.
        policy: The re-entry policy of contracts that say none.
        calls: The most calls in a try.
        depth: How deep calls back are nested at most.
        tries: How many tries are run at most.
        seconds: How long the search may take.
        seed: Another one is another order of tries.
        arguments: How many combinations of arguments each method is called with at most.
        gas: The gas of each transaction.
        everywhere: Whether all invariants are checked at callouts, too: while untrusted code has control.
        profit: Whether no untrusted account may end with more than all of them begin with.
    """

    link: str | None = None
    sync: SyncPolicy | None = None
    exclusive: ExclusivePolicy | None = None
    policy: ReentryPolicy = ReentryPolicy.ALLOW
    calls: int = CALLS_MAX
    depth: int = DEPTH_MAX
    tries: int = DEFAULT_TRIES
    seconds: float | None = None
    seed: int = 0
    arguments: int = ARGUMENTS_MAX
    gas: int = GAS
    everywhere: bool = False
    profit: bool = False

    def __attrs_post_init__(self) -> None:
        """Check that numbers are in range."""
        for name, low, high in (
            ("calls", 1, CALLS_MAX),
            ("depth", 0, DEPTH_MAX),
            ("tries", 1, TRIES_MAX),
            ("arguments", 1, ARGUMENTS_MAX),
            ("seed", 0, 2**63 - 1),
            ("gas", 1, GAS_MAX),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValidationError(f"{name} is an integer from {low} to {high:,}, not {shown(value)}")
        if self.seconds is not None and not self.seconds > 0:
            raise ValidationError(f"seconds is a number greater than 0, not {shown(self.seconds)}")


@frozen
class Exploration:
    """Result of exploring a scenario.

    Attributes:
        scenario: What was explored.
        settings: How.
        trust_model: Who is trusted, and who is not.
        attackers: The contracts that stood in for those who are not.
        setup: How many of the scenario's transactions were run first.
        caveats: What the search could not look at.
        found: What was found, tried and left.
        invariants: The names of all that were checked.
        kept: What a folder keeps of it, and what became of what was kept before.
        is_of_world: Whether a world was explored, and no file; ``scenario`` has its accounts then.
    """

    scenario: Scenario
    settings: Settings
    trust_model: TrustModel
    attackers: tuple[Attacker, ...] = field(repr=False)
    setup: int
    caveats: tuple[Caveat, ...]
    found: Found
    invariants: tuple[str, ...]
    kept: Kept
    is_of_world: bool = False

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The invariants that do not hold, each with the shortest try that breaks it."""
        return self.found.violations

    @property
    def ok(self) -> bool:
        """Whether every invariant holds, and enough was looked at to say so."""
        return all(verdict == "holds" for verdict in self.verdicts.values())

    @property
    def verdicts(self) -> Mapping[str, str]:
        """By invariant: ``broken``, ``holds``, or ``not explored``, where "holds" would say too much."""
        otherwise = "not explored" if any(each.is_serious for each in self.caveats) else "holds"
        broken = {violation.invariant for violation in self.violations}
        return {name: "broken" if name in broken else otherwise for name in self.invariants}

    @property
    def labels(self) -> Mapping[Address, str]:
        """Names by address."""
        return self.trust_model.labels


def explore(
    scenario: Scenario | World | str | Path,
    *,
    invariants: Mapping[str, str | Callable[[World], object]] | None = None,
    untrusted: Iterable[Address | str | int] = (),
    seen: Iterable[Receipt] = (),
    link: str | None = None,
    sync: SyncPolicy | str | None = None,
    exclusive: ExclusivePolicy | str | None = None,
    policy: ReentryPolicy | str = ReentryPolicy.ALLOW,
    calls: int = CALLS_MAX,
    depth: int = DEPTH_MAX,
    tries: int = DEFAULT_TRIES,
    seconds: float | None = None,
    seed: int = 0,
    arguments: int = ARGUMENTS_MAX,
    gas: int = GAS,
    boundaries: bool = False,
    profit: bool = False,
    tracker: str | None = None,
    jobs: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    told: Told | None = None,
    stop: Callable[[], bool] | None = None,
    failures: str | Path | None = None,
    resume: bool = False,
) -> Exploration:
    """Ask, at every call out to an untrusted account: what if the callee comes back?

    The transactions of the scenario are run first, up to the one that an untrusted account sends or receives. Then,
    from the state that they leave, tries are run and undone: transactions, during which untrusted accounts call back.

    A world is explored as it is now, and is left as it is.

    Args:
        scenario: A scenario, the path of its file, or a world that was set up in Python. Expressions call the accounts
            of a world by their names, or as in ``account("0x1a")``.
        invariants: What is to hold besides what the file says, by name: expressions, or Python functions. A function
            takes the world, and returns whether all is well. Functions that other processes are to run stand at the top
            of a module.
        untrusted: Of a world: who may have any code and do anything, by name or address. An account with the money of
            all is added if nobody is named. A file names its own.
        seen: Of a world: receipts of honest transactions, from which likely arguments are learnt.
        link: As :attr:`Settings.link`.
        sync: As :attr:`Settings.sync`.
        exclusive: As :attr:`Settings.exclusive`.
        policy: As :attr:`Settings.policy`.
        calls: As :attr:`Settings.calls`.
        depth: As :attr:`Settings.depth`.
        tries: As :attr:`Settings.tries`.
        seconds: As :attr:`Settings.seconds`.
        seed: As :attr:`Settings.seed`.
        arguments: As :attr:`Settings.arguments`.
        gas: As :attr:`Settings.gas`.
        boundaries: As :attr:`Settings.everywhere`.
        profit: As :attr:`Settings.profit`.
        tracker: How storage is mapped and writes are found, as for :class:`storagemod.World`.
        jobs: In how many processes to run tries.
        executor: Where to run them instead: any executor of ``concurrent.futures``.
        progress: Told of each try: how many were run, how many will be at most, how many invariants are broken.
        told: Told at once of each invariant that is broken: how, by which script, and whether that calls back.
        stop: Asked between tries, such as a :class:`Stop` or ``threading.Event().is_set``. If it returns true, the
            search ends, and what it found is shrunk for some seconds and returned. Without it, Ctrl-C raises
            ``KeyboardInterrupt`` as everywhere.
        failures: A folder that keeps attacks and tries that met something new, by scenario. Attacks that it has are
            run first.
        resume: Whether to go on from the tries that the folder has.

    Returns:
        What was found; the same for the same arguments, wherever tries are run, unless ``seconds`` or ``stop`` ended
        it, or the folder has other files.

    Raises:
        ScenarioError: The scenario cannot be explored.
        StateError: A file of the folder cannot be read, or the folder cannot be written to.
        ValidationError: An argument is not what it has to be.
    """
    started = time.monotonic()
    if resume and failures is None:
        raise ValidationError("resume goes on from the tries that a folder has", hint="give `failures`")
    world = scenario if isinstance(scenario, World) else None
    if isinstance(scenario, World):
        scenario = scenario_of(scenario, untrusted)
        given = {"link": link, "sync": sync, "exclusive": exclusive}
        for name, value in given.items():
            if value is not None:
                raise ValidationError(f"{name} is for scenarios, got {shown(value)}: a world's contracts are linked")
    else:
        if [*untrusted, *seen]:
            raise ValidationError(
                "untrusted and seen are for worlds",
                hint="a scenario names who is untrusted in [explore], and has [[transactions]]",
            )
        if not isinstance(scenario, Scenario):
            scenario = load_scenario(scenario)
    settings = Settings(
        link=link,
        sync=None if sync is None else parse_enum(SyncPolicy, sync, "sync policy"),
        exclusive=None if exclusive is None else parse_enum(ExclusivePolicy, exclusive, "exclusive policy"),
        policy=parse_enum(ReentryPolicy, policy, "re-entry policy"),
        calls=calls,
        depth=depth,
        tries=tries,
        seconds=seconds,
        seed=seed,
        arguments=arguments,
        gas=gas,
        everywhere=boundaries,
        profit=profit,
    )
    scenario, functions = _with_invariants(scenario, invariants or {}, profit=profit)
    keeper = None if failures is None else Keeper(Saved.load(Path(failures), scenario), told)
    stage = _stage(scenario, settings, tracker, world, seen)
    scenario = attrs.evolve(scenario, invariants=stage.scenario.invariants)
    plan = Plan(stage.scenario, stage.blueprint, stage.attackers, functions, boundaries, gas, tracker)
    names = tuple(rule.name for rule in plan.invariants())
    if keeper is not None:
        keeper.sort(Fit(stage.attackers, stage.senders, calls, depth), names, resume=resume)
    found = search(
        plan,
        stage.menu,
        stage.senders,
        beneficiaries=stage.beneficiaries,
        readers=stage.readers,
        calls=calls,
        depth=depth,
        budget=Budget(tries, seconds, stop or (lambda: False), started),
        seed=seed,
        jobs=jobs,
        executor=executor,
        progress=progress,
        told=told if keeper is None else keeper.told,
        attacks=() if keeper is None else keeper.attacks,
        saved=() if keeper is None else keeper.tries,
    )
    caveats = caveats_of(stage.set_up, found, gas, stage.trust_model.labels)
    return Exploration(
        scenario,
        settings,
        stage.trust_model,
        stage.attackers,
        stage.set_up.transactions,
        caveats,
        found,
        names,
        Kept() if keeper is None else keeper.keep(found, resume=resume),
        is_of_world=world is not None,
    )


@frozen
class _Stage:
    """A scenario made ready for tries; in ``scenario`` untrusted contracts are accounts."""

    scenario: Scenario
    trust_model: TrustModel
    attackers: tuple[Attacker, ...]
    blueprint: Blueprint
    menu: list[Entry]
    senders: tuple[Address, ...]
    beneficiaries: tuple[Address, ...]
    readers: tuple[Address, ...]
    set_up: SetUp


def _stage(
    scenario: Scenario,
    settings: Settings,
    tracker: str | None,
    given: World | None = None,
    seen: Iterable[Receipt] = (),
) -> _Stage:
    trust_model = with_stranger(scenario)
    contracts = {
        name: loaded(scenario, name, settings.link) if given is None else given.contract(scenario.address(name))
        for name in trust_model.trusted
    }
    attackers = attackers_of(scenario, trust_model, contracts)
    reduced = _without_untrusted(scenario, trust_model)
    _check_subjects(reduced, trust_model)
    world = World(tracker=tracker)
    observed = Observed()
    for transaction in scenario.transactions:
        address = scenario.address(transaction.to)
        observed.call(address, transaction.method, transaction.args, transaction.data, transaction.value)
    for receipt in seen:
        observed.trace(receipt.trace)
    _deploy_attackers(world, scenario, trust_model, attackers)
    if given is not None:
        Blueprint.of(given).fill(world, without=[attacker.account for attacker in attackers])
    else:
        deploy_scenario(
            reduced,
            world,
            link=settings.link,
            sync=settings.sync,
            exclusive=settings.exclusive,
            policy=settings.policy,
        )
    untrusted = {attacker.account for attacker in attackers}
    transactions, unexpected = 0, []
    quiet = attrs.evolve(reduced, invariants=())
    for transaction in scenario.transactions:
        sender = None if transaction.sender is None else scenario.address(transaction.sender)
        if scenario.address(transaction.to) in untrusted or sender in untrusted:
            break
        result = run_transaction(world, quiet, transactions)
        observed.trace(None if result.receipt is None else result.receipt.trace)
        unexpected += [f'transaction "{result.title}": {_unlike(each)}' for each in result.differences]
        transactions += 1
    if settings.profit:
        rule = profit_invariant(world, {name: trust_model.addresses[name] for name in trust_model.untrusted})
        reduced = attrs.evolve(reduced, invariants=tuple(_named_apart([*reduced.invariants, rule])))
    trusted = {trust_model.addresses[name]: contracts[name] for name in trust_model.trusted}
    trusted = {address: contract for address, contract in trusted.items() if world.account(address).code}
    menu = menu_of(
        attackers[0].entry_points,
        observed,
        _surroundings(world, trusted, attackers),
        code={
            trust_model.addresses[name]: mentions(contracts[name].module.wasm, contracts[name].module.declarations)
            for name in trust_model.trusted
        },
        most=settings.arguments,
    )
    senders = [attacker.account for attacker in attackers]
    senders += [scenario.address(name) for name in scenario.explore.senders]
    return _Stage(
        reduced,
        trust_model,
        attackers,
        Blueprint.of(world),
        menu,
        tuple(dict.fromkeys(senders)),
        tuple(address for address, contract in trusted.items() if _looks_at_balances(contract)),
        tuple(address for address, contract in trusted.items() if _imports(contract, "returnDataCopy")),
        SetUp(
            transactions,
            tuple(unexpected),
            stranger=None
            if trust_model.stranger is None
            else (trust_model.stranger, world.account(senders[0]).balance),
            penniless=not any(world.account(each).balance for each in senders)
            and any(_imports(contract, "getCallValue") for contract in trusted.values()),
            factories=tuple(
                world.label(address)
                for address, contract in trusted.items()
                if _imports(contract, "create") and _imports(contract, "callDataCopy")
            ),
        ),
    )


def _check_subjects(scenario: Scenario, trust_model: TrustModel) -> None:
    """Check that no invariant is about the storage or the methods of an untrusted account.

    Raises:
        ScenarioError: One is, or cannot be understood.
    """
    for invariant in invariants_of(scenario):
        for name in trust_model.untrusted:
            if trust_model.addresses[name] in invariant.storages | invariant.callees:
                raise invariant.mistake(
                    f"expected storage or methods of a trusted contract, got those of {name}, which is untrusted",
                    hint=f"an attacker runs in its place, of which balance({name}) alone means something",
                )


def _unlike(difference: Difference) -> str:
    return f"{difference.what}: expected {difference.wanted}, got {difference.found}"


def _imports(contract: Contract, *names: str) -> bool:
    return any(each.module == "ethereum" and each.name in names for each in contract.module.imports)


def _looks_at_balances(contract: Contract) -> bool:
    return _imports(contract, "getCallValue", "getExternalBalance", "getBalance")


def _surroundings(world: World, trusted: Mapping[Address, Contract], attackers: Sequence[Attacker]) -> Surroundings:
    """Return what there is when a search begins."""
    creates = any(_imports(contract, "create") for contract in trusted.values())
    own = tuple(attacker.account for attacker in attackers)
    return Surroundings(
        own,
        tuple(address for address in world.accounts() if address not in own),
        tuple(itertools.islice(_stored(world, trusted), _STORED_MAX)),
        tuple(world.account(address).balance for address in own),
        tuple(init_code(address) for address in own) if creates else (),
    )


def _stored(world: World, trusted: Iterable[Address]) -> Iterator[int]:
    """Yield distinct words of storage that are not zero, in the order of addresses and offsets."""
    seen = {0, 1}
    for address in trusted:
        for view in world.storage(address).values():
            for _, page in view.data():
                for at in range(0, len(page), 8):
                    number = int.from_bytes(page[at : at + 8], "little", signed=True)
                    if number not in seen:
                        seen.add(number)
                        yield number


def _deploy_attackers(world: World, scenario: Scenario, trust_model: TrustModel, attackers: Sequence[Attacker]) -> None:
    """Deploy them first: contracts that are linked to them are checked against them then."""
    for name, attacker in zip(trust_model.untrusted, attackers, strict=True):
        known = scenario.accounts.get(name) or scenario.contracts.get(name)
        links = {link: address for address, link in attacker.links.items()}
        used = {attacker.links[entry.contract] for entry in attacker.typed}
        try:
            world.deploy(
                attacker.wat(),
                address=attacker.account,
                balance=trust_model.stranger_balance if known is None else known.balance,
                links={link: address for link, address in links.items() if link in used},
                name=name,
            )
        except (LinkError, ValidationError) as error:
            raise ScenarioError(
                f'no attacker can be made for "{name}": {error}',
                path=scenario.path,
                cause=error,
                hint="name the methods that may be called in `entry_points` of [explore]",
            ) from error


def _without_untrusted(scenario: Scenario, trust_model: TrustModel) -> Scenario:
    """Return the scenario without the contracts and accounts that attackers replace; their addresses stay."""
    return attrs.evolve(
        scenario,
        contracts={name: scenario.contracts[name] for name in scenario.contracts if name in trust_model.trusted},
        accounts={name: spec for name, spec in scenario.accounts.items() if name not in trust_model.untrusted},
        addresses=dict(trust_model.addresses),
    )


def _with_invariants(
    scenario: Scenario, added: Mapping[str, str | Callable[[World], object]], *, profit: bool
) -> tuple[Scenario, tuple[PythonInvariant, ...]]:
    expressions, functions = list(scenario.invariants), []
    for name, invariant in added.items():
        if callable(invariant):
            functions.append(PythonInvariant(name, invariant))
        elif isinstance(invariant, str):
            expressions.append(InvariantSpec(name=name, expr=invariant))
        else:
            raise ValidationError(f"the invariant {name!r} is an expression or a function, not {shown(invariant)}")
    if not expressions and not functions and not profit:
        raise ScenarioError(
            "there is nothing to check: no invariant",
            path=scenario.path,
            hint="add a table [[invariants]] with `expr`; `storagemod suggest` has some; or use --profit",
        )
    return attrs.evolve(scenario, invariants=tuple(_named_apart(expressions))), tuple(functions)


def _named_apart(specs: Sequence[InvariantSpec]) -> list[InvariantSpec]:
    """Give invariants names that are all different."""
    named: dict[str, InvariantSpec] = {}
    for spec in specs:
        plain = spec.name if spec.name is not None else " ".join(spec.expr.split())
        name, number = plain, 2
        while name in named:
            name, number = f"{plain} ({number})", number + 1
        named[name] = attrs.evolve(spec, name=name)
    return list(named.values())
