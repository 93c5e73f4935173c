"""The scope of a search: who is untrusted, what may be called, and with which arguments.

Arguments come, in this order, from calls seen (the transactions of the scenario, and what contracts called one another
with while they ran), from numbers that stand in storage, from numbers that belong to the caller (its balance, its
address), and from the bounds of each type. How many combinations there would be, and how many are taken, is counted.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import define, field, frozen

from storagemod.errors import ScenarioError
from storagemod.explore.attacker import DATA_BYTES_MAX, Attacker, EntryPoint
from storagemod.explore.script import MAIN, Call
from storagemod.scenario import Scenario, load_contract
from storagemod.scenario.structure import did_you_mean
from storagemod.trace import Trace
from storagemod.types import Address, FunctionType, Value, ValueType
from storagemod.vm import Contract
from storagemod.vm.ethereum import U128_MAX
from storagemod.world import World

ARGUMENTS_MAX = 12
"""How many combinations of arguments a method is called with, if no other number is asked for."""

_STORED_MAX = 8
_INTEGER_BYTES = {"i32": 4, "i64": 8}
_FLOATS: tuple[Value, ...] = (0.0, 1.0, -1.0, float("inf"), float("nan"))
STRANGER = "attacker"
"""The untrusted account of a scenario that names none."""


@frozen
class TrustModel:
    """The trusted contracts and the untrusted accounts of a scenario.

    Attributes:
        trusted: The contracts in scope, by name.
        untrusted: The accounts whose code is replaced by attackers, by name.
        addresses: All addresses by name, that of a stranger included.
    """

    trusted: tuple[str, ...]
    untrusted: tuple[str, ...]
    addresses: Mapping[str, Address]


def trust_model_of(scenario: Scenario) -> TrustModel:
    """Return who is trusted: as the file says, else all contracts; link targets without a contract never are.

    Raises:
        ScenarioError: No contract is left to be explored.
    """
    spec, addresses = scenario.explore, dict(scenario.addresses)
    trusted = list(scenario.contracts) if spec.trusted is None else list(dict.fromkeys(spec.trusted))
    trusted = [name for name in trusted if name not in spec.untrusted]
    untrusted = [name for name in scenario.contracts if name not in trusted]
    untrusted += [name for name in spec.untrusted if name not in untrusted]
    standing = {scenario.addresses[name] for name in scenario.contracts}
    names = {address: name for name, address in addresses.items()}
    for name in trusted:
        for target in map(scenario.address, scenario.contracts[name].links.values()):
            if target not in standing and names.setdefault(target, str(target)) not in untrusted:
                untrusted.append(names[target])
                addresses.setdefault(names[target], target)
    if not trusted:
        raise ScenarioError("no contract is trusted, so there is nothing to explore", path=scenario.path)
    if not untrusted:
        stranger = next(name for name in itertools.chain([STRANGER], _numbered(STRANGER)) if name not in addresses)
        addresses[stranger] = _free_address(addresses.values())
        untrusted = [stranger]
    return TrustModel(tuple(trusted), tuple(untrusted), addresses)


def _numbered(name: str) -> Iterator[str]:
    return (f"{name}-{number}" for number in itertools.count(2))


def _free_address(taken: Iterable[Address]) -> Address:
    known = set(taken)
    return next(address for address in map(Address, itertools.count(0xA77A_C4E7)) if address not in known)


def loaded(scenario: Scenario, name: str, link: str | None) -> Contract:
    """Compile a contract of a scenario, for its imports and exports.

    Raises:
        StorageModError: It is none.
    """
    spec = scenario.contracts[name]
    source = (spec.wat or "") if spec.code is None else scenario.folder / spec.code
    return load_contract(source, label=name, option=spec.option(link))


def attackers_of(
    scenario: Scenario, trust_model: TrustModel, contracts: Mapping[str, Contract]
) -> tuple[Attacker, ...]:
    """Return the attackers that a scenario needs, with what each exports and may call.

    Raises:
        ScenarioError: Contracts import a method of one untrusted account under several types, or a name of a method
            that may be called is none.
    """
    entry_points = tuple(_entry_points(scenario, trust_model, contracts))
    links = {trust_model.addresses[name]: name for name in trust_model.trusted}
    return tuple(
        Attacker(address, _hooks(scenario, trust_model, contracts, address), entry_points, links)
        for address in (trust_model.addresses[name] for name in trust_model.untrusted)
    )


def _entry_points(
    scenario: Scenario, trust_model: TrustModel, contracts: Mapping[str, Contract]
) -> Iterator[EntryPoint]:
    for name, methods in scenario.explore.entry_points.items():
        known = contracts[name].entry_points if name in contracts else {}
        for method in methods:
            if method not in known:
                file, line = scenario.place(("explore", "entry_points", name))
                hint = (
                    did_you_mean(method, known) or f" (it has: {', '.join(sorted(known)) or 'none that may be called'})"
                )
                raise ScenarioError(f'"{name}" has no method "{method}"{hint}', path=file, line=line)
    for name in trust_model.trusted:
        offered = contracts[name].entry_points
        for method in scenario.explore.entry_points.get(name, sorted(offered)):
            is_main = method == MAIN and offered[method] == FunctionType()
            yield EntryPoint(trust_model.addresses[name], None if is_main else method, offered[method])


def _hooks(
    scenario: Scenario, trust_model: TrustModel, contracts: Mapping[str, Contract], account: Address
) -> dict[str, FunctionType]:
    hooks: dict[str, FunctionType] = {}
    for name in trust_model.trusted:
        for each in contracts[name].contract_imports:
            target = scenario.contracts[name].links.get(each.link)
            if target is None or scenario.address(target) != account:
                continue
            if hooks.setdefault(each.method, each.type) != each.type:
                file, line = scenario.place(("contracts", name))
                raise ScenarioError(
                    f'"{name}" imports {each.method!r} of {account} as {each.type}, and another contract as '
                    f"{hooks[each.method]}: no contract has both",
                    path=file,
                    line=line,
                )
    return hooks


@define
class ObservedCalls:
    """Calls that were seen, and the numbers in them, for arguments."""

    calls: dict[tuple[Address, str | None], dict[tuple[tuple[Value, ...], bytes, int], None]] = field(factory=dict)
    numbers: dict[ValueType, dict[Value, None]] = field(factory=dict)

    def call(
        self, contract: Address, method: str | None, args: tuple[Value, ...], data: bytes = b"", value: int = 0
    ) -> None:
        """Note a call that was made. A value that attackers cannot send, of more than 128 bits, is left out."""
        value = value if value <= U128_MAX else 0
        self.calls.setdefault((contract, method), {})[args, data, value] = None

    def trace(self, trace: Trace | None) -> None:
        """Note every call of a transaction."""
        for record in trace or ():
            started = record.started
            self.call(started.address, started.method, started.args, started.data, started.value)

    def number(self, kind: ValueType, value: Value) -> None:
        """Note a number of a type, brought to its signed form; integers that do not fit are left out."""
        if kind in _INTEGER_BYTES:
            bits = 8 * _INTEGER_BYTES[kind]
            if not isinstance(value, int) or not -(2 ** (bits - 1)) <= value < 2**bits:
                return
            value = value - 2**bits if value >= 2 ** (bits - 1) else value
        self.numbers.setdefault(kind, {})[value] = None


@frozen
class CandidateCalls:
    """Calls that a script may make, in the order in which they are tried.

    Attributes:
        calls: All of them, without sender and reactions.
        paid: Those that carry a value and have a method: only transactions can do that.
        candidates: How many there would be, by contract and method, if every combination of arguments were taken.
        taken: How many are.
    """

    calls: tuple[Call, ...]
    paid: tuple[Call, ...]
    candidates: Mapping[tuple[Address, str | None], int]
    taken: Mapping[tuple[Address, str | None], int]


def candidate_calls_of(
    world: World,
    attackers: Sequence[Attacker],
    observed: ObservedCalls,
    *,
    trusted: Sequence[Address],
    arguments_max: int = ARGUMENTS_MAX,
    seed: int = 0,
) -> CandidateCalls:
    """Return the calls that a script may make, each with its arguments.

    Args:
        world: Where tries start.
        attackers: Who calls; all may call the same.
        observed: Calls that were seen.
        trusted: The contracts whose storage is looked through.
        arguments_max: How many combinations of arguments a method is called with at most.
        seed: With another seed than 0, a third of the combinations are others.
    """
    entry_points = attackers[0].entry_points
    stored = list(itertools.islice(_stored(world, trusted), _STORED_MAX))
    owned = list(_owned(world, attackers))
    for entry in entry_points:
        for args, _, _ in observed.calls.get((entry.contract, entry.method), ()):
            for kind, value in zip(entry.type.params, args, strict=False):
                observed.number(kind, value)
    calls: list[Call] = []
    candidates: dict[tuple[Address, str | None], int] = {}
    taken: dict[tuple[Address, str | None], int] = {}
    for entry in entry_points:
        key = entry.contract, entry.method
        found, count = _calls(entry, observed, stored, owned, arguments_max, seed)
        candidates[key], taken[key] = count, len(found)
        calls += found
    return CandidateCalls(tuple(calls), tuple(_paid(entry_points, observed)), candidates, taken)


def _paid(entry_points: Sequence[EntryPoint], observed: ObservedCalls) -> Iterator[Call]:
    for entry in entry_points:
        for args, _, value in observed.calls.get((entry.contract, entry.method), ()):
            if value and entry.method is not None and len(args) == len(entry.type.params):
                signed = tuple(_signed(kind, arg) for kind, arg in zip(entry.type.params, args, strict=True))
                yield Call(entry.contract, entry.method, signed, value=value)


def _calls(
    entry: EntryPoint, observed: ObservedCalls, stored: list[int], owned: list[int], arguments_max: int, seed: int
) -> tuple[list[Call], int]:
    seen = observed.calls.get((entry.contract, entry.method), {})
    if entry.method is None:
        inputs = dict.fromkeys([(data, value) for _, data, value in seen if len(data) <= DATA_BYTES_MAX] + [(b"", 0)])
        found = [Call(entry.contract, None, data=data, value=value) for data, value in inputs]
        return found[:arguments_max], len(found)
    params = entry.type.params
    columns = [
        _column(kind, [args[at] for args, _, _ in seen if len(args) == len(params)], observed, stored, owned)
        for at, kind in enumerate(params)
    ]
    count = 1
    for column in columns:
        count *= len(column)
    tuples = dict.fromkeys(
        tuple(_signed(kind, arg) for kind, arg in zip(params, args, strict=True))
        for args, _, _ in seen
        if len(args) == len(params)
    )
    rest = _by_rank(columns)
    if seed:
        first = list(itertools.islice(rest, 2 * arguments_max // 3))  # what comes early is likely whatever the seed
        pool = list(itertools.islice(rest, 8 * arguments_max))
        random.Random(f"{seed}:{entry.contract}:{entry.method}").shuffle(pool)  # noqa: S311 - an order, no secret
        rest = iter([*first, *pool])
    for args in rest:
        if len(tuples) >= arguments_max:
            break
        tuples[args] = None
    return [Call(entry.contract, entry.method, args) for args in list(tuples)[:arguments_max]], max(count, len(tuples))


def _column(
    kind: ValueType, here: list[Value], observed: ObservedCalls, stored: list[int], owned: list[int]
) -> list[Value]:
    """Return the numbers for one parameter, first those seen in its place."""
    if kind not in _INTEGER_BYTES:
        return list(dict.fromkeys([*here, *observed.numbers.get(kind, ()), *_FLOATS]))
    bits = 8 * _INTEGER_BYTES[kind]
    bounds = [0, 1, -1, 2 ** (bits - 1) - 1, -(2 ** (bits - 1))]
    numbers = [*here, *observed.numbers.get(kind, ()), *bounds[:2], *stored, *owned, *bounds[2:]]
    fitting = [number for number in numbers if isinstance(number, int) and -(2 ** (bits - 1)) <= number < 2**bits]
    return list(dict.fromkeys(_signed(kind, number) for number in fitting))


def _signed(kind: ValueType, value: Value) -> Value:
    if kind not in _INTEGER_BYTES or not isinstance(value, int):
        return value
    bits = 8 * _INTEGER_BYTES[kind]
    return value - 2**bits if value >= 2 ** (bits - 1) else value


def _by_rank(columns: Sequence[Sequence[Value]]) -> Iterator[tuple[Value, ...]]:
    """Yield every combination, first those whose numbers come early in their columns."""
    ranks = [range(len(column)) for column in columns]
    for total in range(sum(len(column) - 1 for column in columns) + 1):
        for places in _places(ranks, total):
            yield tuple(column[place] for column, place in zip(columns, places, strict=True))


def _places(ranks: Sequence[range], total: int) -> Iterator[tuple[int, ...]]:
    if not ranks:
        if total == 0:
            yield ()
        return
    for place in ranks[0]:
        if place > total:
            return
        for rest in _places(ranks[1:], total - place):
            yield (place, *rest)


def _stored(world: World, trusted: Sequence[Address]) -> Iterator[int]:
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


def _owned(world: World, attackers: Sequence[Attacker]) -> Iterator[int]:
    """Yield numbers that belong to callers: balances, and the ends of their addresses, as contracts may keep them."""
    for attacker in attackers:
        yield world.account(attacker.account).balance
        yield int.from_bytes(attacker.account[-4:], "big")
        yield int.from_bytes(attacker.account[-8:], "big")
