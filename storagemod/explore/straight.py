"""The attackers of one attack as straight-line code: each hook does what it did in that attack, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import attrs
from attrs import define, field, frozen

from storagemod.explore.attacker import Attacker, quoted, quoted_bytes, signature
from storagemod.explore.script import MAIN
from storagemod.explore.turns import Action, Deed, NotStraightError, Settled, Transaction, Turn, Turns
from storagemod.types import WASM_PAGE_BYTES, Address, CallKind, FunctionType, Outcome, Value, ValueType

ARM = "arm"
"""The method by which a transaction sets the count."""

_GAS = "0x7fffffffffffffff"
_ALIGNMENT = 16
_SCRATCH = 0
"""Where the host writes what is not used: the address of a contract that was created."""

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_UNPLAIN = re.compile(r"[^A-Za-z0-9_.:-]")
_HOST = {
    CallKind.CALL: ("call", True),
    CallKind.CODE: ("callCode", True),
    CallKind.DELEGATE: ("callDelegate", False),
    CallKind.STATIC: ("callStatic", False),
}
"""Host functions that call ``main`` with data, by kind, and whether they take a value."""


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
    replaced: Collection[Address] = (),
    setup: int = 0,
    exact: bool = False,
) -> dict[Address, Contract]:
    """Write the contract of each attacker that did something.

    Args:
        transactions: The whole scenario as it was run, in order, the transactions before the attack included.
        attackers: The attackers, with what they export and may call.
        labels: Names of accounts.
        replaced: Attackers in whose place another contract would stand: these have a contract whatever they did.
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
        turns = Turns(attacker.account, transactions, setup)
        is_replaced = attacker.account in replaced
        if turns.are_needed or is_replaced:
            hooks = {**attacker.hooks, MAIN: FunctionType()} if is_replaced else attacker.hooks
            writer = _Writer(attrs.evolve(attacker, hooks=hooks), turns.settled(exact=exact), types, labels)
            written[attacker.account] = writer.contract()
    return written


@define
class _Writer:
    """Writes the contract of one attacker."""

    attacker: Attacker
    settled: Settled
    types: Mapping[tuple[Address, str], FunctionType]
    labels: Mapping[Address, str]
    _imports: dict[tuple[str, ...], tuple[str, str]] = field(factory=dict)
    """By what is imported: the name of the function here, and its signature."""
    _links: dict[str, Address] = field(factory=dict)
    _segments: dict[bytes, tuple[int, str]] = field(factory=dict)
    """By its bytes: the offset of a data segment, and what it is."""
    _end: int = _SCRATCH + 2 * _ALIGNMENT

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
        for key, (name, shape) in self._imports.items():
            lines.append(f"  (import {quoted(key[0])} {quoted(key[1])} (func {name}{shape}))")
        if counts:
            lines.append('  (import "storage" "memory" (memory $storage 1))')
        if self._segments or any(key[0] == "ethereum" for key in self._imports):
            pages = max(1, -(-self._end // WASM_PAGE_BYTES))
            lines.append(f'  (memory $memory (export "memory") {pages})')
        for data, (offset, what) in self._segments.items():
            lines.append(f"  (data (memory $memory) (i32.const {offset}) {quoted_bytes(data)})  ;; {what}")
        parts = ["\n".join(lines)]
        if self.settled.counting or any(turn.deed.counts for turns in self.settled.turns.values() for turn in turns):
            parts.append(_COUNT)
        if self.settled.arms or self._recounts:
            parts.append(_SET_COUNT)
        if self.settled.arms:
            parts.append(
                f"  ;; Failed calls took their steps of the count back: count them again.\n"
                f"  (func (export {quoted(self.arm)}) (param $count i32) (call $set_count (local.get $count)))"
            )
        wat = "\n\n".join([*parts, *hooks]).replace("(module\n\n", "(module\n", 1) + ")\n"
        return Contract(wat, dict(sorted(self._links.items())), counts, self.settled.arms, self.arm)

    def _idle(self, site: str, kind: FunctionType) -> str:
        zeros = "".join(f" ({each}.const 0)" for each in kind.results)
        return f"  ;; Not called in this attack.\n  (func (export {quoted(site)}){signature(kind)}{zeros})"

    def _hook(self, site: str, turns: Sequence[Turn]) -> str:
        kind = self.types.get((self.attacker.account, site), FunctionType())
        callers = list(dict.fromkeys(self._caller(turn) for turn in turns))
        before = sum(turn.in_setup for turn in turns)
        early = f"; {_plural(before, 'time')} before the attack" if before else ""
        lines = [
            f"  ;; Called by {_listed(callers)}{early}.",
            f"  (func (export {quoted(site)}){signature(kind)}",
        ]
        if site not in self.settled.looking:
            if site in self.settled.counting:
                lines.append("    (drop (call $count))")
            lines += self._deed(turns[0].deed, kind.results, "    ")
        else:
            lines += self._choices(site, turns, kind)
        lines[-1] += ")"
        return "\n".join(lines)

    def _choices(self, site: str, turns: Sequence[Turn], kind: FunctionType) -> list[str]:
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
        """Describe which calls these are."""
        if site not in self.settled.counting:
            return f"While the count is {_listed([str(number) for number in times])}:"
        which = "time" if self.settled.counting == {site} else "call of this contract"
        if _ranges(times) == [(1, len(times))] and len(times) > 1:
            return f"The first {_plural(len(times), which)}:"
        words = [
            f"the {_ordinal(low)}" + ("" if low == high else f" to the {_ordinal(high)}")
            for low, high in _ranges(times)
        ]
        return f"T{_listed(words)[1:]} {which}:"

    def _caller(self, turn: Turn) -> str:
        if turn.caller is None:
            return "a transaction"
        started = turn.caller.started
        static = " in a static call" if turn.static else ""
        return f"{in_comment(self._label(started.address))}::{in_comment(started.method or MAIN)}{static}"

    def _deed(self, deed: Deed, results: Sequence[ValueType], indent: str) -> list[str]:
        """Write what was done in a turn; where it returns numbers, the last line has these."""
        lines = [f"{indent}(drop (call $count))"] if deed.counts else []
        for action in deed.actions:
            lines += [indent + line for line in self._action(action)]
            if action.recount is not None:
                lines.append(f"{indent};; Count on from here, whatever failed and took its steps back.")
                lines.append(f"{indent}(call $set_count (i32.const {action.recount}))")
        if deed.outcome is Outcome.REVERTED:
            revert = self._import("ethereum", "revert", "$revert", " (param i32 i32)")
            lines.append(f"{indent}(call {revert} (i32.const 0) (i32.const 0))")
            lines += [f"{indent}(unreachable)"] if results else []  # which the type of the hook asks for
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
            case Action(kind=CallKind.CREATE):
                return self._create(action)
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
        shape = signature(FunctionType(kind.params, (*failed, *kind.results)))
        name = self._import(f"contract:{link}", method + mark, f"${_identifier(f'{link}.{method}{mark}')}", shape)
        args = "".join(f" {_constant(each, value)}" for each, value in zip(kind.params, action.args, strict=True))
        drops = len(failed) + len(kind.results)
        return [f"{'(drop ' * min(drops, 1)}(call {name}{args}){')' * min(drops, 1)}" + " (drop)" * (drops - 1)]

    def _raw(self, action: Action) -> list[str]:
        """Call ``main`` with data by a function of the host."""
        assert action.kind is not None  # noqa: S101 - of the table
        host, has_value = _HOST[action.kind]
        label = in_comment(self._label(action.target))
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

    def _create(self, action: Action) -> list[str]:
        """Create a contract; its address, which the host tells, is written where nothing else stands, and not used."""
        value = self._segment(action.value.to_bytes(16, "little"), f"the value {action.value}")
        code = self._segment(action.data, "init code") if action.data else "(i32.const 0)"
        name = self._import("ethereum", "create", "$ethereum.create", " (param i32 i32 i32 i32) (result i32)")
        return [f"(drop (call {name} {value} {code} (i32.const {len(action.data)}) (i32.const {_SCRATCH})))"]

    def _destroy(self, action: Action) -> list[str]:
        """Destroy this contract: its balance goes to another account."""
        heir = self._segment(bytes(action.target), f"the address of {in_comment(self._label(action.target))}")
        name = self._import("ethereum", "selfDestruct", "$ethereum.selfDestruct", " (param i32)")
        return [f"(call {name} {heir})"]

    # Parts

    def _import(self, module: str, name: str, function: str, shape: str) -> str:
        """Import a function once; return what it is called here."""
        known = self._imports.get((module, name))
        if known is None:
            taken = {each for each, _ in self._imports.values()} | {"$count", "$set_count"}
            while function in taken:
                function += "_"
            known = self._imports[module, name] = function, shape
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


def _identifier(name: str) -> str:
    return _UNPLAIN.sub("_", name.replace("?", ".try"))


def in_comment(text: str) -> str:
    """Return text for a comment: on one line, without characters that a file may not have."""
    return "".join(character if character.isprintable() else "?" for character in text)
