"""Turns: the calls that an attacker got in an attack, what it did in each, and how its contract tells them apart.

They are read from what happened, not from the script. So they cover whatever attackers can do, and attackers that were
written by hand as well.

Where a hook does different things at different times, the contract counts its calls in a word of storage. The count
says which time it is. A call that fails takes its step of the count back. Where that leaves two turns with one count,
the attacker sets the count. It does so before a transaction by one of its own, and within a turn after a call. In
static calls nothing can be counted: there a hook goes by the count as it is.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import attrs
from attrs import define, field, frozen

from storagemod.events import AccountDestroyed, CallEnded, CallStarted, RawEvent, decode
from storagemod.explore.script import MAIN
from storagemod.types import Address, CallKind, Outcome, Value


class NotStraightError(Exception):
    """An attack has no straight-line code; the message says why."""


class Effort(enum.IntEnum):
    """How much is done so that each turn of an attacker can be told from the others."""

    COUNT = 0
    """Hooks count that do different things."""
    COUNT_ALL = 1
    """All hooks count that are never called in static calls."""
    COUNT_MIXED = 2
    """Hooks that are called in static calls and in others look at the count first, and count where they may."""
    ARM = 3
    """The count is set before transactions, where calls were not counted or were taken back."""
    RECOUNT = 4
    """It is set after calls as well."""
    MARK = 5
    """It is set to a number of its own before each transaction and after each call that an attacker makes."""


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
    counts: bool = False
    """Whether it counts, where its hook does not count on entry."""

    @property
    def is_default(self) -> bool:
        """Whether it did nothing, and returned zeros."""
        return (
            not self.counts
            and not self.actions
            and self.outcome is Outcome.OK
            and not any(_is_set(value) for value in self.values)
        )


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


@define(eq=False)
class Turn:
    """A turn of an attacker; ``count`` is what the count of its calls is in it."""

    record: Record
    caller: Record | None
    deed: Deed
    in_setup: bool
    count: int = 0

    @property
    def site(self) -> str:
        """The hook that was called."""
        return self.record.started.method or MAIN

    @property
    def static(self) -> bool:
        """Whether it was in a static call."""
        return self.record.started.static


@frozen
class Settled:
    """The turns of an attacker by hook, told apart.

    Attributes:
        turns: By hook, in the order of their calls.
        counting: The hooks that count.
        looking: The hooks that go by the count.
        arms: What the count is set to, by transaction.
    """

    turns: Mapping[str, Sequence[Turn]]
    counting: frozenset[str]
    looking: frozenset[str]
    arms: Mapping[int, int]


@frozen
class _Sites:
    """How hooks count: on entry, or, if ``mixed``, after a look at the count, unless that is one of ``still``."""

    counting: frozenset[str]
    mixed: frozenset[str]
    still: frozenset[tuple[str, int]] = frozenset()


def _clashes(by_site: Mapping[str, Sequence[Turn]], looking: Iterable[str]) -> dict[tuple[str, int], bool]:
    """Return the hooks and counts at which different things were done, and whether these differ by counting alone."""
    deeds: dict[tuple[str, int], set[Deed]] = {}
    for site in looking:
        for turn in by_site[site]:
            deeds.setdefault((site, turn.count), set()).add(turn.deed)
    return {
        place: len({attrs.evolve(deed, counts=False) for deed in found}) == 1
        for place, found in deeds.items()
        if len(found) > 1
    }


def _catch_alike(turns: Sequence[Turn]) -> None:
    """Make deeds of a hook one that differ only in which of their calls succeeded: such calls are caught each time."""
    alike: dict[Deed, list[Turn]] = {}
    for turn in turns:
        actions = tuple(attrs.evolve(action, ok=True) for action in turn.deed.actions)
        alike.setdefault(attrs.evolve(turn.deed, actions=actions), []).append(turn)
    for found in alike.values():
        columns = zip(*(turn.deed.actions for turn in found), strict=True)
        actions = tuple(attrs.evolve(column[0], ok=all(each.ok for each in column)) for column in columns)
        for turn in found:
            turn.deed = attrs.evolve(turn.deed, actions=actions)


def _trap_alike(by_site: Mapping[str, Sequence[Turn]], mixed: Iterable[str]) -> None:
    """Make deeds one where an attacker counts and, at the same count, trapped in a static call: as counting does."""
    for site in mixed:
        counted = {turn.count: turn.deed for turn in by_site[site] if turn.deed.counts}
        for turn in by_site[site]:
            trapped = turn.static and turn.deed == Deed(outcome=Outcome.FAILED)
            if trapped and turn.count in counted:
                turn.deed = counted[turn.count]


class Turns:
    """All turns of one attacker."""

    def __init__(self, account: Address, transactions: Sequence[Transaction], setup: int) -> None:
        self._account = account
        self._setup = setup
        self._transactions = transactions
        self.all: dict[Record, Turn] = {}
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
            self.all[record] = Turn(record, caller, self._deed(record), in_setup)
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

    def settled(self, *, exact: bool) -> Settled:
        """Tell the turns apart with as little effort as it takes."""
        by_site: dict[str, list[Turn]] = {}
        for turn in self.all.values():
            by_site.setdefault(turn.site, []).append(turn)
        for turns in by_site.values():
            _catch_alike(turns)
        static = {site for site, turns in by_site.items() if any(turn.static for turn in turns)}
        looking = {site for site, turns in by_site.items() if exact or len({turn.deed for turn in turns}) > 1}
        mixed = {site for site in static if not all(turn.static for turn in by_site[site])}
        plain = {turn: turn.deed for turns in by_site.values() for turn in turns}
        for effort in Effort:
            counting = frozenset((looking if effort is Effort.COUNT else by_site.keys()) - static) if looking else set()
            sites = _Sites(frozenset(counting), frozenset(mixed & looking if effort >= Effort.COUNT_MIXED else ()))
            for _ in range(len(plain) + 1):
                for turn, deed in plain.items():
                    turn.deed = deed
                arms = self._count(sites, effort)
                _trap_alike(by_site, sites.mixed)
                if not (clashes := _clashes(by_site, looking)):
                    return Settled(by_site, sites.counting, frozenset(looking), arms)
                if not all(clashes.values()):
                    break
                sites = attrs.evolve(sites, still=sites.still | clashes.keys())
        raise NotStraightError("two calls that it has to tell apart are alike to an attacker")

    def _count(self, sites: _Sites, effort: Effort) -> dict[int, int]:
        """Count the calls as the contract will; return what the count is to be set to before which transactions."""
        counter = _Counter(self.all, sites, effort)
        for number, transaction in enumerate(self._transactions):
            if transaction is not None:
                if number >= self._setup and self._has_turn(transaction):
                    counter.arm(number)
                counter.call(transaction)
        return counter.arms

    def _has_turn(self, record: Record) -> bool:
        return record in self.all or any(isinstance(item, Record) and self._has_turn(item) for item in record.items)


@define
class _Counter:
    """Counts through an attack as the contract of an attacker will, and notes the count in each of its turns."""

    turns: Mapping[Record, Turn]
    sites: _Sites
    effort: Effort
    arms: dict[int, int] = field(factory=dict)
    """What the count is set to, by transaction."""
    _count: int = 0
    _happened: int = 0
    """How many turns there were, undone ones included."""
    _marks: dict[tuple[str | int, ...], int] = field(factory=dict)

    def arm(self, number: int) -> None:
        """Set the count before a transaction, if that is the effort, and needed."""
        if self.effort is Effort.MARK:
            self._count = self.arms[number] = self._mark(number)
        elif self.effort >= Effort.ARM and self._count != self._happened:
            self._count = self.arms[number] = self._happened

    def call(self, record: Record) -> None:
        """Count in a call, and in all calls within it."""
        before, turn = self._count, self.turns.get(record)
        if turn is not None:
            self._enter(turn)
        for number, item in enumerate(record.items):
            if isinstance(item, Record):
                self.call(item)
                if turn is not None and not turn.static:
                    self._go_on(turn, number)
        if record.outcome is not Outcome.OK or record.undone:
            self._count = before

    def _enter(self, turn: Turn) -> None:
        self._happened += 1
        if turn.site in self.sites.counting:
            self._count += 1
        turn.count = self._count
        if turn.site in self.sites.mixed and not turn.static and (turn.site, turn.count) not in self.sites.still:
            turn.deed = attrs.evolve(turn.deed, counts=True)
            self._count += 1

    def _go_on(self, turn: Turn, number: int) -> None:
        """Set the count after an action, if that is the effort, and needed."""
        if self.effort is Effort.MARK:
            self._count = self._mark(turn.site, turn.count, number)
        elif self.effort is Effort.RECOUNT and self._count != self._happened:
            self._count = self._happened
        else:
            return
        actions = list(turn.deed.actions)
        actions[number] = attrs.evolve(actions[number], recount=self._count)
        turn.deed = attrs.evolve(turn.deed, actions=tuple(actions))

    def _mark(self, *place: str | int) -> int:
        """Return the number of a place in the contract, so far from others that no count gets from one to the next."""
        return self._marks.setdefault(place, 10 ** len(str(len(self.turns))) * (len(self._marks) + 1))


def _is_set(value: Value) -> bool:
    return value != 0 or str(value).startswith("-")  # the sign of a zero is one of the numbers that a hook can return
