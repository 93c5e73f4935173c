"""Following the script of a trial through the trace of one of its transactions.

Attackers are followed call by call, cursor and all, as :mod:`storagemod.explore.attacker` describes them. A *site* is a
call out to an attacker that it had no reaction for, and so an opportunity for one.

A search runs thousands of trials a second, so traces are read as raw events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from attrs import define, field, frozen

from storagemod.errors import OutOfGasError
from storagemod.events import (
    AccountCreated,
    AccountDestroyed,
    CallEnded,
    CallStarted,
    RawEvent,
    StorageGrown,
    StorageWritten,
    decoded_values,
)
from storagemod.explore.script import MAIN, Call, Place, Reaction
from storagemod.trace import HAZARD_EVENTS, Recording, Trace
from storagemod.types import Address, CallKind, Outcome

CallSite: TypeAlias = tuple[Address, Address, str, bool]
"""Caller, untrusted account, method, whether static."""


@frozen
class Site:
    """Call out to an attacker that did nothing.

    Attributes:
        path: The call of the script during which it happened.
        skipped: The reactions, of those that do nothing, that have to stand before one for this site.
        reaction: What happened there: nothing.
        caller: The contract that called.
        active: The contracts that were running, the outermost first.
        order: The number of the call in its transaction.
    """

    path: Place
    skipped: tuple[Reaction, ...]
    reaction: Reaction
    caller: Address
    active: tuple[Address, ...]
    order: int


@frozen
class CallOutcome:
    """Outcome of a call of the script.

    Attributes:
        ok: Whether it succeeded.
        changed: Whether it, or a call within it, changed anything that lasts as long as it does.
        order: The number of the call in its transaction.
        numbers: Its results, or its short return data as a number.
    """

    ok: bool
    changed: bool
    order: int
    numbers: tuple[int, ...] = ()


class _Record:
    """Call as it is read from raw events, with the calls that it made.

    Attributes:
        started: The raw event of its start.
        calls: The calls that it made.
        changed: Whether it changed anything itself, if it succeeded: a transfer of value, storage, accounts.
        ok: Whether it succeeded.
        ended: The raw event of its end.
    """

    __slots__ = ("calls", "changed", "ended", "ok", "started")

    def __init__(self, started: RawEvent) -> None:
        self.started = started
        self.calls: list[_Record] = []
        self.changed = bool(started[11]) and started[4] is CallKind.CALL
        self.ok = False
        self.ended: RawEvent = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """Its results, or its return data as a number, if they are as long as one."""
        if not self.ok:
            return ()
        _, _, _, values, output, *_ = self.ended
        if output:
            order: Literal["big", "little"] = "big" if len(output) == _WORD_BYTES else "little"
            return (int.from_bytes(output, order),) if len(output) in _NUMBER_BYTES else ()
        return tuple(value for value in decoded_values(values) if isinstance(value, int)) if values else ()


_WORD_BYTES = 32
_NUMBER_BYTES = frozenset({1, 2, 4, 8, _WORD_BYTES})


def _records(raw_events: Sequence[RawEvent], attackers: frozenset[Address]) -> tuple[_Record, bool, bool, bool]:
    """Return the top-level call, with all calls in it, and what happened.

    That is whether calls held copies of storage, whether one ran out of gas, and whether a contract was created that
    has code. Storage of attackers does not count as changed.
    """
    root: _Record | None = None
    copies = starved = created = False
    stack: list[_Record] = []
    for raw in raw_events:
        kind = raw[0]
        if kind is CallStarted:
            record = _Record(raw)
            if root is None:
                root = record
            else:
                stack[-1].calls.append(record)
            stack.append(record)
        elif kind is CallEnded:
            record = stack.pop()
            record.ended = raw
            if raw[2] is Outcome.FAILED and isinstance(raw[6], OutOfGasError):
                starved = True
            if raw[2] is Outcome.OK:
                record.ok = True
        elif kind is StorageWritten or kind is StorageGrown:
            stack[-1].changed |= raw[2] not in attackers
        elif kind is AccountCreated or kind is AccountDestroyed:
            stack[-1].changed = True
            created |= kind is AccountCreated and bool(raw[3])
        elif kind in HAZARD_EVENTS:
            copies = True
    assert root is not None  # noqa: S101 - the start of the top-level call is always recorded
    return root, copies, starved, created


@define
class Follower:
    """Follows the script through one transaction of a trial.

    Args:
        accounts: The attackers.
        number: The number of the transaction in the script.
    """

    accounts: frozenset[Address]
    number: int
    hazardous: bool = False
    """Whether the transaction met a hazard that was not undone."""
    out_of_gas: bool = False
    delegated: bool = False
    created: bool = False
    sites: list[Site] = field(factory=list)
    outcomes: dict[Place, CallOutcome] = field(factory=dict)
    reached: set[CallSite] = field(factory=set)
    played: dict[Place, tuple[int, Address]] = field(factory=dict)
    """Reactions by their place: the number of the call that they answer, and who made it."""
    _free: dict[Place, tuple[Reaction, ...]] = field(factory=dict)
    """By call of the script: the reactions behind the last one in it that were not undone, all of which did nothing."""
    _lists: dict[Address, tuple[tuple[Place, Reaction], ...]] = field(factory=dict)
    """By attacker: the list that its cursor is at, each reaction with its place in the script."""

    def follow(self, trace: Trace, recording: Recording, call: Call) -> None:
        """Go through the trace of the transaction that a call of the script is."""
        path = (self.number,)
        root, copies, self.out_of_gas, self.created = _records(trace.raw_events, self.accounts)
        # Without copies of storage the one hazard is a write after a call, which the recording tells of.
        if copies:
            hazards = (hazard for hazard in trace.hazards if not hazard.undone)
            self.hazardous = any(hazard.address not in self.accounts for hazard in hazards)
        elif recording.stored:
            stored = set(recording.stored)
            self.hazardous = any(
                call.call_id in stored and call.address not in self.accounts for call in recording.calls
            )
        self._lists = {account: tuple(_level(call, path, account)) for account in self.accounts}
        self._call(root, path, ())

    def _call(self, record: _Record, path: Place, active: tuple[Address, ...]) -> bool:
        """Follow a call of the script; return whether it changed anything."""
        changed = self._run(record, path, active) and record.ok
        self.outcomes[path] = CallOutcome(record.ok, changed, record.started[1], record.numbers)
        return changed

    def _run(self, record: _Record, path: Place, active: tuple[Address, ...]) -> bool:
        """Follow a call, of an attacker or not, and all calls within it."""
        address, kind = record.started[5], record.started[4]
        lists, free = self._lists, self._free
        if not record.ok:  # what is taken from the lists is put back
            self._lists, self._free = lists.copy(), free.copy()
        if kind.borrows and record.started[6] in self.accounts:
            self.delegated = True
        if address in self.accounts and not kind.borrows:
            changed = self._attacker(record, path, active)
        else:
            changed = record.changed
            for inner in record.calls:
                changed |= self._run(inner, path, (*active, address))
        if not record.ok:
            self._lists, self._free = lists, free
            return False
        return changed

    def _attacker(self, record: _Record, path: Place, active: tuple[Address, ...]) -> bool:
        """Follow a call of an attacker."""
        _, call_id, _, _, _, account, _, caller, method, _, _, _, _, static, _ = record.started
        site = method or MAIN
        self.reached.add((caller, account, site, static))
        place, reaction = self._take(account, site)
        if reaction is None:
            done = Reaction(account, site, static)
            free = self._free.get(path, ())
            self.sites.append(Site(path, free, done, caller, active, call_id))
            self._free[path] = (*free, done)
            return record.changed
        self.played[place] = call_id, caller
        after = self._lists[account]
        changed = record.changed
        for number, (inner, made) in enumerate(zip(reaction.calls, record.calls, strict=False)):
            inner_path = (*place, number)
            self._lists[account] = tuple(_level(inner, inner_path, account))
            changed |= self._call(made, inner_path, (*active, account))
            self._lists[account] = after
        return changed

    def _take(self, account: Address, site: str) -> tuple[Place, Reaction | None]:
        """Take the next reaction off an attacker's list, as its contract does."""
        entries = self._lists[account]
        while entries and entries[0][1].static:
            if entries[0][1].site == site:
                return entries[0]
            entries = entries[1:]
        if not entries:
            return (), None
        self._lists[account] = entries[1:]
        return entries[0]


def _level(call: Call, path: Place, account: Address) -> list[tuple[Place, Reaction]]:
    """Return the reactions of one account during a call, with their places, without those within its own."""
    found: list[tuple[Place, Reaction]] = []
    for position, reaction in enumerate(call.reactions):
        place = (*path, position)
        if reaction.account == account:
            found.append((place, reaction))
        else:
            for number, inner in enumerate(reaction.calls):
                found += _level(inner, (*place, number), account)
    return found


def outermost_idle(outcomes: Mapping[Place, CallOutcome], path: Place) -> Place | None:
    """Return the outermost call on the way to one, itself included, that changed nothing; ``None`` if all did."""
    for length in range(1, len(path) + 1, 2):
        each = outcomes.get(path[:length])
        if each is None or not each.changed:
            return path[:length]
    return None


def sites_within(sites: Sequence[Site], path: Place) -> list[Site]:
    """Return the sites that happened within a call of the script."""
    return [site for site in sites if site.path[: len(path)] == path]
