"""The attackers of one attack as straight-line code: each hook does what it did in that attack, and nothing else.

The code is made from what happened, not from the script: from the calls that each attacker got, the *turns*, and what
it did in each. So it covers whatever attackers can do, and one that was written by hand as well.

Where a hook does different things at different times, its contract counts its calls in a word of storage, and the count
says which time it is. A call that fails takes its step of the count back. Where that leaves two turns with one count,
the attacker counts again: before a transaction by a transaction of its own (``arm``), within a turn after the call.
In static calls nothing can be counted: there a hook goes by the count as it is.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import attrs
from attrs import define, field, frozen

from storagemod.events import AccountDestroyed, CallEnded, CallStarted, RawEvent, decode
from storagemod.explore.attacker import Attacker
from storagemod.explore.script import MAIN
from storagemod.types import WASM_PAGE_BYTES, Address, CallKind, FunctionType, Outcome, Value, ValueType

ARM = "arm"
"""The method by which a transaction sets the count."""

_GAS = "0x7fffffffffffffff"
_ALIGNMENT = 16
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_UNPLAIN = re.compile(r"[^A-Za-z0-9_.:-]")
_HOST = {
    CallKind.CALL: ("call", True),
    CallKind.CODE: ("callCode", True),
    CallKind.DELEGATE: ("callDelegate", False),
    CallKind.STATIC: ("callStatic", False),
}
"""Host functions that call ``main`` with data, by kind, and whether they take a value."""


class NotStraightError(Exception):
    """An attack has no straight-line code; the message says why."""


class Effort(enum.IntEnum):
    """How much is done so that each turn of an attacker can be told from the others."""

    COUNT = 0
    """Hooks count that do different things."""
    COUNT_ALL = 1
    """All hooks count that are never called in static calls."""
    ARM = 2
    """The count is set before transactions, where it was taken back."""
    RECOUNT = 3
    """It is set after calls as well."""


@frozen
class Action:
    """What an attacker did in a turn: it made a call, or destroyed itself.

    Attributes:
        kind: The kind of the call; ``None`` for self-destruction.
        target: The account that was called, or the one that got the balance.
        ok: Whether the call succeeded.
        recount: What the count of calls is set to afterwards, if it has to be.
    """

    kind: CallKind | None
    target: Address
    method: str | None = None
    args: tuple[Value, ...] = ()
    data: bytes = b""
    value: int = 0
    ok: bool = True
    recount: int | None = None


@frozen
class Deed:
    """All that an attacker did in a turn, and how the turn ended."""

    actions: tuple[Action, ...] = ()
    outcome: Outcome = Outcome.OK
    values: tuple[Value, ...] = ()

    @property
    def is_default(self) -> bool:
        """Whether it did nothing, and returned zeros."""
        return not self.actions and self.outcome is Outcome.OK and not any(_is_set(value) for value in self.values)


@define(eq=False)
class Record:
    """A call of the attack, attackers' turns and others, with what happened in it in order."""

    started: CallStarted
    items: list[Record | Action] = field(factory=list)
    outcome: Outcome = Outcome.OK
    values: tuple[Value, ...] = ()
    undone: bool = False
    """Whether it was rolled back whatever its outcome: a transaction that is never committed."""

    @property
    def owner(self) -> Address:
        """The account on whose storage it ran."""
        return self.started.address


Transaction: TypeAlias = Record | None
"""The call that a transaction is; ``None`` for one that could not start."""


def read_transaction(raw_events: Iterable[RawEvent]) -> Record:
    """Read the calls of one transaction from its trace.

    Raises:
        NotStraightError: The trace was cut short.
    """
    root: Record | None = None
    stack: list[Record] = []
    for raw in raw_events:
        if raw[0] not in {CallStarted, CallEnded, AccountDestroyed}:
            continue
        event = decode(raw)
        if isinstance(event, CallStarted):
            record = Record(event)
            if stack:
                stack[-1].items.append(record)
            root = root or record
            stack.append(record)
        elif isinstance(event, CallEnded):
            record = stack.pop()
            record.outcome, record.values = event.outcome, event.values
        elif isinstance(event, AccountDestroyed):
            stack[-1].items.append(Action(None, event.beneficiary))
    if root is None or stack:
        raise NotStraightError("the trace of the attack is not complete")
    return root


@frozen
class Contract:
    """The contract of one attacker.

    Attributes:
        wat: Its source.
        links: What its imports call other contracts.
        counts: Whether it keeps a count in storage.
        arms: By the number of a transaction: what the count is set to before it.
        arm: The method that sets it.
    """

    wat: str
    links: Mapping[str, Address]
    counts: bool
    arms: Mapping[int, int]
    arm: str


def contracts_of(
    transactions: Sequence[Transaction],
    attackers: Sequence[Attacker],
    labels: Mapping[Address, str],
    *,
    setup: int = 0,
    exact: bool = False,
) -> dict[Address, Contract]:
    """Write the contract of each attacker that was called.

    Args:
        transactions: The whole scenario as it was run, in order, the transactions before the attack included.
        attackers: The attackers, with what they export and may call.
        labels: Names of accounts.
        setup: How many of the transactions come before the attack: no count is set before these.
        exact: Whether hooks do nothing when they are called another time than in the attack. Otherwise a hook that did
            the same each time always does it, and needs no count.

    Raises:
        NotStraightError: There is no such code.
    """
    types = {(entry.contract, entry.method or MAIN): entry.type for each in attackers for entry in each.entry_points}
    types |= {(each.account, name): kind for each in attackers for name, kind in each.hooks.items()}
    written = {}
    for attacker in attackers:
        turns = _Turns(attacker.account, transactions, setup)
        if turns.are_needed:
            written[attacker.account] = _Writer(attacker, turns.settled(exact=exact), types, labels).contract()
    return written


@define(eq=False)
class _Turn:
    """A turn of an attacker; ``count`` is what the count of its calls is in it."""

    record: Record
    caller: Record | None
    deed: Deed
    in_setup: bool
    count: int = 0

    @property
    def site(self) -> str:
        return self.record.started.method or MAIN

    @property
    def static(self) -> bool:
        return self.record.started.static


@frozen
class _Settled:
    """The turns of an attacker by hook, told apart.

    Attributes:
        turns: By hook, in the order of their calls.
        counting: The hooks that count.
        looking: The hooks that go by the count.
        arms: What the count is set to, by transaction.
    """

    turns: Mapping[str, Sequence[_Turn]]
    counting: frozenset[str]
    looking: frozenset[str]
    arms: Mapping[int, int]


class _Turns:
    """All turns of one attacker."""

    def __init__(self, account: Address, transactions: Sequence[Transaction], setup: int) -> None:
        self._account = account
        self._setup = setup
        self._transactions = transactions
        self.all: dict[Record, _Turn] = {}
        for number, transaction in enumerate(transactions):
            if transaction is not None:
                self._collect(transaction, None, number < setup)

    @property
    def are_needed(self) -> bool:
        """Whether it takes a contract to do what was done: who only gets money is an account."""
        return any(turn.site != MAIN or not turn.deed.is_default for turn in self.all.values())

    def _collect(self, record: Record, caller: Record | None, in_setup: bool) -> None:
        kind, code = record.started.kind, record.started.code_address
        if kind.borrows and code == self._account:
            raise NotStraightError("an attacker's code runs on the storage of another contract")
        if record.owner == self._account and not kind.borrows and kind is not CallKind.CREATE:
            self.all[record] = _Turn(record, caller, self._deed(record), in_setup)
        for item in record.items:
            if isinstance(item, Record):
                self._collect(item, record, in_setup)

    def _deed(self, record: Record) -> Deed:
        actions = []
        for item in record.items:
            if isinstance(item, Action):
                actions.append(item)
                continue
            made = item.started
            target = made.code_address if made.kind.borrows else made.address
            ok = item.outcome is Outcome.OK
            actions.append(Action(made.kind, target, made.method, made.args, made.data, made.value, ok))
        return Deed(tuple(actions), record.outcome, record.values if record.outcome is Outcome.OK else ())

    def settled(self, *, exact: bool) -> _Settled:
        """Tell the turns apart with as little effort as it takes."""
        by_site: dict[str, list[_Turn]] = {}
        for turn in self.all.values():
            by_site.setdefault(turn.site, []).append(turn)
        static = {site for site, turns in by_site.items() if any(turn.static for turn in turns)}
        looking = {site for site, turns in by_site.items() if exact or len({turn.deed for turn in turns}) > 1}
        plain = {turn: turn.deed for turns in by_site.values() for turn in turns}
        for effort in Effort:
            counting = frozenset((looking if effort is Effort.COUNT else by_site.keys()) - static) if looking else set()
            for turn, deed in plain.items():
                turn.deed = deed
            arms = self._count(frozenset(counting), effort)
            told = {(site, turn.count): turn.deed for site in looking for turn in by_site[site]}
            if all(told[site, turn.count] == turn.deed for site in looking for turn in by_site[site]):
                return _Settled(by_site, frozenset(counting), frozenset(looking), arms)
        raise NotStraightError("two calls that it has to tell apart are alike to an attacker")

    def _count(self, counting: frozenset[str], effort: Effort) -> dict[int, int]:
        """Count the calls as the contract will; return what the count is to be set to before which transactions."""
        count, happened = 0, 0
        arms: dict[int, int] = {}

        def walk(record: Record) -> None:
            nonlocal count, happened
            before, turn = count, self.all.get(record)
            if turn is not None:
                if turn.site in counting:
                    happened += 1
                    count += 1
                turn.count = count
            for number, item in enumerate(record.items):
                if isinstance(item, Action):
                    continue
                walk(item)
                if turn is not None and count != happened and effort is Effort.RECOUNT and not turn.static:
                    count = happened
                    turn.deed = _recounted(turn.deed, number, count)
            if record.outcome is not Outcome.OK or record.undone:
                count = before

        for number, transaction in enumerate(self._transactions):
            if transaction is None:
                continue
            is_attack = number >= self._setup
            if effort >= Effort.ARM and is_attack and count != happened and self._has_turn(transaction):
                count = arms[number] = happened
            walk(transaction)
        return arms

    def _has_turn(self, record: Record) -> bool:
        return record in self.all or any(isinstance(item, Record) and self._has_turn(item) for item in record.items)


def _recounted(deed: Deed, number: int, count: int) -> Deed:
    actions = list(deed.actions)
    actions[number] = attrs.evolve(actions[number], recount=count)
    return attrs.evolve(deed, actions=tuple(actions))


@define
class _Writer:
    """Writes the contract of one attacker."""

    attacker: Attacker
    settled: _Settled
    types: Mapping[tuple[Address, str], FunctionType]
    labels: Mapping[Address, str]
    _imports: dict[tuple[str, ...], tuple[str, str]] = field(factory=dict)
    """By what is imported: the name of the function here, and its signature."""
    _links: dict[str, Address] = field(factory=dict)
    _segments: dict[bytes, tuple[int, str]] = field(factory=dict)
    """By its bytes: the offset of a data segment, and what it is."""
    _end: int = 0

    @property
    def arm(self) -> str:
        """The method that sets the count, under a name that no hook has."""
        name = ARM
        while name in self.attacker.hooks or name in self.settled.turns:
            name += "_"
        return name

    @property
    def _recounts(self) -> bool:
        turns = (turn for turns in self.settled.turns.values() for turn in turns)
        return any(action.recount is not None for turn in turns for action in turn.deed.actions)

    def contract(self) -> Contract:
        """Put the contract together."""
        hooks = [self._hook(site, turns) for site, turns in self.settled.turns.items()]
        hooks += [
            self._idle(site, kind) for site, kind in self.attacker.hooks.items() if site not in self.settled.turns
        ]
        counts = bool(self.settled.looking)
        lines = ["(module"]
        for key, (name, signature) in self._imports.items():
            lines.append(f"  (import {_quoted(key[0])} {_quoted(key[1])} (func {name}{signature}))")
        if counts:
            lines.append('  (import "storage" "memory" (memory $storage 1))')
        if self._segments or any(key[0] == "ethereum" for key in self._imports):
            pages = max(1, -(-self._end // WASM_PAGE_BYTES))
            lines.append(f'  (memory $memory (export "memory") {pages})')
        for data, (offset, what) in self._segments.items():
            lines.append(f"  (data (memory $memory) (i32.const {offset}) {_quoted_bytes(data)})  ;; {what}")
        parts = ["\n".join(lines)]
        if self.settled.counting:
            parts.append(_COUNT)
        if self.settled.arms or self._recounts:
            parts.append(_SET_COUNT)
        if self.settled.arms:
            parts.append(
                f"  ;; Failed calls took their steps of the count back: count them again.\n"
                f"  (func (export {_quoted(self.arm)}) (param $count i32) (call $set_count (local.get $count)))"
            )
        wat = "\n\n".join([*parts, *hooks]).replace("(module\n\n", "(module\n", 1) + ")\n"
        return Contract(wat, dict(sorted(self._links.items())), counts, self.settled.arms, self.arm)

    def _idle(self, site: str, kind: FunctionType) -> str:
        zeros = "".join(f" ({each}.const 0)" for each in kind.results)
        return (
            f"  ;; Imported, and not called in this attack.\n  (func (export {_quoted(site)}){_signature(kind)}{zeros})"
        )

    def _hook(self, site: str, turns: Sequence[_Turn]) -> str:
        kind = (
            FunctionType()
            if site == MAIN and site not in self.attacker.hooks
            else self.types.get((self.attacker.account, site), FunctionType())
        )
        callers = list(dict.fromkeys(self._caller(turn) for turn in turns))
        before = sum(turn.in_setup for turn in turns)
        early = f"; {_plural(before, 'time')} before the attack" if before else ""
        lines = [f"  ;; Called by {_listed(callers)}{early}.", f"  (func (export {_quoted(site)}){_signature(kind)}"]
        if site not in self.settled.looking:
            if site in self.settled.counting:
                lines.append("    (drop (call $count))")
            lines += self._deed(turns[0].deed, kind.results, "    ")
        else:
            lines += self._choices(site, turns, kind)
        lines[-1] += ")"
        return "\n".join(lines)

    def _choices(self, site: str, turns: Sequence[_Turn], kind: FunctionType) -> list[str]:
        """Write what a hook does, by the count of calls."""
        times: dict[Deed, list[int]] = {}
        for turn in turns:
            if not turn.deed.is_default and turn.count not in times.setdefault(turn.deed, []):
                times[turn.deed].append(turn.count)
        count = "(call $count)" if site in self.settled.counting else "(i32.load $storage (i32.const 0))"
        lines = []
        several = len(times) > 1 or any(len(_ranges(found)) > 1 for found in times.values())
        if several:
            lines += ["    (local $call i32)", f"    (local.set $call {count})"]
            count = "(local.get $call)"
        elif not times:
            lines.append(f"    (drop {count})")
        for deed, found in times.items():
            body = self._deed(deed, kind.results, "        ")
            if kind.results and deed.outcome is Outcome.OK:
                body[-1] = f"        (return {body[-1].strip()})"
            then = ["      (then", *body] if len(body) > 1 else [f"      (then {body[0].strip()}"]
            lines += [f"    ;; {self._when(site, found)}", f"    (if {_among(count, found)}", *then]
            lines[-1] += "))"
        if kind.results:
            lines.append("    " + " ".join(f"({each}.const 0)" for each in kind.results))
        return lines

    def _when(self, site: str, times: Sequence[int]) -> str:
        """Say in words which calls these are."""
        if site not in self.settled.counting:
            return f"While {_listed([str(number) for number in times])} calls were counted:"
        which = "time" if self.settled.counting == {site} else "call of this contract"
        if _ranges(times) == [(1, len(times))] and len(times) > 1:
            return f"The first {_plural(len(times), which)}:"
        words = [
            f"the {_ordinal(low)}" + ("" if low == high else f" to the {_ordinal(high)}")
            for low, high in _ranges(times)
        ]
        return f"T{_listed(words)[1:]} {which}:"

    def _caller(self, turn: _Turn) -> str:
        if turn.caller is None:
            return "a transaction"
        started = turn.caller.started
        static = " in a static call" if turn.static else ""
        return f"{_words(self._label(started.address))}::{_words(started.method or MAIN)}{static}"

    def _deed(self, deed: Deed, results: Sequence[ValueType], indent: str) -> list[str]:
        """Write what was done in a turn; where it returns numbers, the last line has these."""
        lines = []
        for action in deed.actions:
            lines += [indent + line for line in self._action(action)]
            if action.recount is not None:
                lines.append(f"{indent};; What failed took its steps of the count back.")
                lines.append(f"{indent}(call $set_count (i32.const {action.recount}))")
        if deed.outcome is Outcome.REVERTED:
            revert = self._import("ethereum", "revert", "$revert", " (param i32 i32)")
            lines += [f"{indent}(call {revert} (i32.const 0) (i32.const 0))", f"{indent}(unreachable)"][
                : 1 + bool(results)
            ]
        elif deed.outcome is Outcome.FAILED:
            lines.append(f"{indent}(unreachable)")
        elif results:
            values = deed.values or (0,) * len(results)
            lines.append(indent + " ".join(_constant(kind, value) for kind, value in zip(results, values, strict=True)))
        return lines

    # What attackers can do, each kind in a method of its own

    def _action(self, action: Action) -> list[str]:
        """Write one action; a new kind is added here. Others are left to the attacker that goes by a script."""
        match action:
            case Action(kind=None):
                return self._destroy(action)
            case Action(kind=CallKind.CALL, method=str(), value=0):
                return self._typed(action)
            case Action(kind=CallKind.CALL | CallKind.CODE | CallKind.DELEGATE | CallKind.STATIC, method=None):
                return self._raw(action)
        raise NotStraightError(f"an attacker made a call of the kind {action.kind}")

    def _typed(self, action: Action) -> list[str]:
        """Call a method by its import: with ``?`` if the call fails, so that the attacker goes on."""
        method = action.method or MAIN
        kind = self.types.get((action.target, method))
        if kind is None:
            raise NotStraightError(f"an attacker cannot import {self._label(action.target)}::{method}")
        link = self._label(action.target)
        self._links[link] = action.target
        mark, failed = ("", ()) if action.ok else ("?", ("i32",))
        signature = _signature(FunctionType(kind.params, (*failed, *kind.results)))
        name = self._import(f"contract:{link}", method + mark, f"${_identifier(f'{link}.{method}{mark}')}", signature)
        args = "".join(f" {_constant(each, value)}" for each, value in zip(kind.params, action.args, strict=True))
        drops = len(failed) + len(kind.results)
        return [f"{'(drop ' * min(drops, 1)}(call {name}{args}){')' * min(drops, 1)}" + " (drop)" * (drops - 1)]

    def _raw(self, action: Action) -> list[str]:
        """Call ``main`` with data by a function of the host."""
        assert action.kind is not None  # noqa: S101 - of the table
        host, has_value = _HOST[action.kind]
        label = _words(self._label(action.target))
        address = self._segment(bytes(action.target), f"the address of {label}")
        params, value = "i64 i32 i32 i32", []
        if has_value:
            params = f"{params} i32"
            value = [self._segment(action.value.to_bytes(16, "little"), f"the value {action.value}")]
        name = self._import("ethereum", host, f"$ethereum.{host}", f" (param {params}) (result i32)")
        data = self._segment(action.data, f"data for {label}") if action.data else "(i32.const 0)"
        parts = [f"(i64.const {_GAS})", address, *value, data, f"(i32.const {len(action.data)})"]
        told = f"{{value: {action.value}}}" if action.value else ""
        shown = f"0x{action.data.hex()}" if len(action.data) <= _ALIGNMENT else f"{len(action.data):,} bytes"
        return [f";; {label}::{MAIN}{told}({shown if action.data else ''})", f"(drop (call {name} {' '.join(parts)}))"]

    def _destroy(self, action: Action) -> list[str]:
        """Destroy this contract: its balance goes to another account."""
        heir = self._segment(bytes(action.target), f"the address of {_words(self._label(action.target))}")
        name = self._import("ethereum", "selfDestruct", "$ethereum.selfDestruct", " (param i32)")
        return [f"(call {name} {heir})"]

    # Parts

    def _import(self, module: str, name: str, function: str, signature: str) -> str:
        """Import a function once; return what it is called here."""
        known = self._imports.get((module, name))
        if known is None:
            taken = {each for each, _ in self._imports.values()} | {"$count", "$set_count"}
            while function in taken:
                function += "_"
            known = self._imports[module, name] = function, signature
        return known[0]

    def _segment(self, data: bytes, what: str) -> str:
        """Place bytes in memory once; return their offset, as code."""
        if data not in self._segments:
            self._segments[data] = self._end, what
            self._end += -(-len(data) // _ALIGNMENT) * _ALIGNMENT
        return f"(i32.const {self._segments[data][0]})"

    def _label(self, address: Address) -> str:
        return self.attacker.links.get(address) or self.labels.get(address) or str(address)


_COUNT = """\
  ;; Count this call; return how many there are now.
  (func $count (result i32)
    (i32.store $storage (i32.const 0) (i32.add (i32.load $storage (i32.const 0)) (i32.const 1)))
    (i32.load $storage (i32.const 0)))"""

_SET_COUNT = """\
  (func $set_count (param $count i32) (i32.store $storage (i32.const 0) (local.get $count)))"""


def _is_set(value: Value) -> bool:
    return value != 0 or str(value).startswith("-")  # the sign of a zero is one of the numbers that a hook can return


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return numbers as ranges, ends included."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def _among(count: str, numbers: Sequence[int]) -> str:
    """Write the test whether a count is one of some numbers."""
    tests = []
    for low, high in _ranges(numbers):
        if low == high:
            tests.append(f"(i32.eq {count} (i32.const {low}))")
        elif low <= 1:
            tests.append(f"(i32.le_u {count} (i32.const {high}))")
        else:
            tests.append(f"(i32.lt_u (i32.sub {count} (i32.const {low})) (i32.const {high - low + 1}))")
    test = tests[0]
    for each in tests[1:]:
        test = f"(i32.or {test} {each})"
    return test


def _ordinal(number: int) -> str:
    if 1 <= number <= len(_ORDINALS):
        return _ORDINALS[number - 1]
    suffix = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _plural(number: int, what: str) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    first, *rest = what.split(" ", 1)
    count = words[number] if number < len(words) else str(number)
    return " ".join([count, first if number == 1 else f"{first}s", *rest])


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _constant(kind: ValueType, value: Value) -> str:
    """Write a number: integers signed, in decimal."""
    if kind in {"f32", "f64"}:
        return f"({kind}.const {float(value)!r})"  # also inf and nan are written alike
    bits = 32 if kind == "i32" else 64
    number_signed = (int(value) + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
    return f"({kind}.const {number_signed})"


def _signature(kind: FunctionType) -> str:
    params = f" (param {' '.join(kind.params)})" if kind.params else ""
    return params + (f" (result {' '.join(kind.results)})" if kind.results else "")


def _identifier(name: str) -> str:
    return _UNPLAIN.sub("_", name.replace("?", ".try"))


def _words(text: str) -> str:
    """Return text for a comment."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _quoted(name: str) -> str:
    plain = re.compile(r"[^A-Za-z0-9_.:?-]")
    return '"' + plain.sub(lambda found: "".join(f"\\{byte:02x}" for byte in found[0].encode()), name) + '"'


def _quoted_bytes(data: bytes) -> str:
    return '"' + "".join(f"\\{byte:02x}" for byte in data) + '"'
