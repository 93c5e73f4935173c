"""Reconstruct the state at moments within a transaction from its trace.

At a *boundary* control passes from one call to another, so storage is what a contract that is called there would see.
Read-only re-entry exploits views that give wrong answers at these moments. *Callouts* are those boundaries at which
code that nobody trusts has control: only there can somebody take advantage of a state that is half changed. It asks,
or it calls in and the contract acts: a contract that is locked meanwhile does neither (design/0026).

A trace has whole pages as they were before and after each step. So the state is a page for each that was written. One
set of dictionaries keeps these pages on the way through the trace, with a log to undo failed calls. Nothing is copied
for a moment, and one that nobody asks about costs nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, TypeAlias

from attrs import define, field, frozen

from storagemod.events import (
    AccountCreated,
    AccountDestroyed,
    CallEnded,
    CallStarted,
    RawEvent,
    StorageGrown,
    StorageWritten,
)
from storagemod.pages import PAGE_BYTES
from storagemod.trace import Trace
from storagemod.types import Address, CallKind, Outcome
from storagemod.world import World


class Moments(enum.StrEnum):
    """When an invariant must hold, the fewest moments first. All include the end of each transaction."""

    END = "end"
    """At no other time."""
    CALLOUTS = "callouts"
    """While code that is not trusted has control, and could make use of it."""
    BOUNDARIES = "boundaries"
    """At the start and the end of every call within the transaction."""


_NOBODY: Final[frozenset[Address]] = frozenset()
_CHANGES: Final = frozenset({StorageWritten, StorageGrown, AccountCreated, AccountDestroyed})

_Key: TypeAlias = tuple[Any, ...]
"""``(address, region, page number)``, ``(address, region)`` for a length, ``(address,)`` for a balance."""


@frozen(eq=False)
class Boundary:
    """Moment when control passes from one call to another, and how the state then differs from the start.

    It shows the state until the next one is taken; what is to be kept must be copied.

    Attributes:
        call_id: The call that starts, or that ended.
        moment: ``start`` or ``end``. Where a call starts, its value is paid only if its code is not trusted.
        is_callout: Whether control passes to code that is not trusted.
        entered: Where that code calls: the contracts that its call runs, if this is kept and acts.
        state: Number for the state, equal for equal states.
        regions: Pages of 4 KiB that were written, by address, region and number.
        lengths: Lengths of regions that grew, in bytes, by address and region.
        balances: Balances of accounts whose balance changed.
        codes: Code of contracts that the transaction created.
    """

    call_id: int
    moment: str
    is_callout: bool
    entered: frozenset[Address]
    state: int
    regions: Mapping[tuple[Address, str], Mapping[int, bytes]] = field(repr=False)
    lengths: Mapping[tuple[Address, str], int] = field(repr=False)
    balances: Mapping[Address, int] = field(repr=False)
    codes: Mapping[Address, bytes] = field(repr=False)
    _calls: list[tuple[Address, Address, int]] = field(repr=False)

    @property
    def active(self) -> frozenset[Address]:
        """The contracts that are running."""
        return frozenset(address for address, _, _ in self._calls)

    def regions_of(self, address: Address) -> dict[str, tuple[Mapping[int, bytes], int | None]]:
        """Return the pages written and the new length of each region of a contract that changed."""
        names = [region for owner, region in (*self.regions, *self.lengths) if owner == address]
        return {
            name: (self.regions.get((address, name), {}), self.lengths.get((address, name)))
            for name in dict.fromkeys(names)
        }

    def apply(self, world: World) -> None:
        """Apply this state to a world, within a snapshot, for what has to be called there.

        Raises:
            StateError: The state includes storage that the world cannot have.
        """
        for address, balance in self.balances.items():
            world.fund(address, balance)
        for address, code in self.codes.items():
            world.set_account(address, code=code)
        for (address, region), length in self.lengths.items():
            if length > len(world.storage(address)[region]):
                world.load_storage(address, region, b"\0", offset=length - 1)
        for (address, region), pages in self.regions.items():
            length = len(world.storage(address)[region])
            for number, page in pages.items():
                start = number * PAGE_BYTES
                world.load_storage(address, region, page[: max(0, length - start)], offset=start)


def boundaries(
    trace: Trace, world: World, untrusted: Collection[Address] = (), *, callouts_only: bool = False
) -> Iterator[Boundary]:
    """Yield the boundaries inside a transaction in order.

    Args:
        trace: The trace of a transaction that ran on the world as it is now, and was not committed.
        world: The world, for balances.
        untrusted: The accounts whose code is not trusted.
        callouts_only: Leave out boundaries that have nothing to do with code that is not trusted.
    """
    return _Walk(world, frozenset(untrusted), callouts_only).through(trace)


@define
class _Walk:
    """The state on the way through a trace.

    Attributes:
        calls: The calls that are running: whose storage, whose code, and the length of ``log`` when each started.
        log: What to write back where a call is undone: an entry and its value before, ``None`` where there was none.
        state: The hashes of all entries, combined by exclusive or.
    """

    world: World
    untrusted: frozenset[Address]
    callouts_only: bool
    regions: dict[tuple[Address, str], dict[int, bytes]] = field(factory=dict)
    lengths: dict[tuple[Address, str], int] = field(factory=dict)
    balances: dict[Address, int] = field(factory=dict)
    codes: dict[Address, bytes] = field(factory=dict)
    calls: list[tuple[Address, Address, int]] = field(factory=list)
    log: list[tuple[dict[Any, Any], Any, Any, _Key]] = field(factory=list)
    state: int = 0

    def through(self, trace: Trace) -> Iterator[Boundary]:
        """Walk through the raw events, without recursion: calls may be 1,024 deep."""
        untrusted = self.untrusted
        entries = _entries(trace, untrusted) if untrusted else {}
        for raw in trace.raw_events:
            kind = raw[0]
            if kind is CallStarted:
                call_id, code_address = raw[1], raw[6]
                if code_address in untrusted:
                    self.enter(raw)
                    if len(self.calls) > 1:
                        yield self.boundary(call_id, "start", is_callout=True)
                else:
                    entered = entries.get(call_id, _NOBODY)
                    if self.calls and (entered or not self.callouts_only):
                        yield self.boundary(call_id, "start", entered=entered)
                    self.enter(raw)
            elif kind is CallEnded:
                *_, mark = self.calls.pop()
                if raw[2] is not Outcome.OK:
                    self.undo(mark)
                if self.calls:
                    is_callout = self.calls[-1][1] in untrusted
                    if is_callout or not self.callouts_only:
                        yield self.boundary(raw[1], "end", is_callout=is_callout)
            else:
                self.take(raw)

    def enter(self, raw: RawEvent) -> None:
        """Start a call."""
        _, _, _, _, kind, address, code_address, caller, _, _, _, value, *_ = raw
        self.calls.append((address, code_address, len(self.log)))
        if value and (kind is CallKind.CALL or kind is CallKind.CREATE):
            self.pay(caller, -value)
            self.pay(address, value)

    def take(self, raw: RawEvent) -> None:
        """Take over what a step changed."""
        kind = raw[0]
        if kind is StorageWritten:
            address = raw[2]
            for region, number, _, new in raw[3]:
                pages = self.regions.get((address, region))
                if pages is None:
                    pages = self.regions[address, region] = {}
                self.put(pages, number, new, (address, region, number))
        elif kind is StorageGrown:
            _, _, address, region, _, pages_new, page_bytes = raw
            self.put(self.lengths, (address, region), pages_new * page_bytes, (address, region))
        elif kind is AccountDestroyed:
            _, _, address, beneficiary, value = raw
            self.pay(address, -value)
            self.pay(beneficiary, value)
        elif kind is AccountCreated:
            self.put(self.codes, raw[2], raw[3], (raw[2], "code"))

    def pay(self, address: Address, amount: int) -> None:
        """Change a balance."""
        before = self.balances.get(address)
        if before is None:
            before = self.world.account(address).balance
        self.put(self.balances, address, max(0, before + amount), (address,))

    def put(self, table: dict[Any, Any], key: Any, value: Any, name: _Key) -> None:
        """Set an entry, and keep what it was."""
        before = table.get(key)
        self.log.append((table, key, before, name))
        table[key] = value
        self.state ^= hash((name, value)) ^ (0 if before is None else hash((name, before)))

    def undo(self, length: int) -> None:
        """Set entries back, the latest first, until the log is as long as it was."""
        while len(self.log) > length:
            table, key, before, name = self.log.pop()
            self.state ^= hash((name, table[key])) ^ (0 if before is None else hash((name, before)))
            if before is None:
                del table[key]
            else:
                table[key] = before

    def boundary(
        self, call_id: int, moment: str, *, is_callout: bool = False, entered: frozenset[Address] = _NOBODY
    ) -> Boundary:
        """Return the boundary that the walk is at."""
        tables = (self.regions, self.lengths, self.balances, self.codes)
        return Boundary(call_id, moment, is_callout, entered, self.state, *tables, self.calls)


def _entries(trace: Trace, untrusted: Collection[Address]) -> dict[int, frozenset[Address]]:
    """Return the calls that code which is not trusted makes to other code, and that act, if they are kept.

    A call acts if it changes storage or accounts, or pays somebody who is not trusted. Money that comes in is no act.

    Args:
        trace: The trace of a transaction.
        untrusted: The accounts whose code is not trusted.

    Returns:
        By call, the contracts that ran in it and in the calls within it.
    """
    found: dict[int, frozenset[Address]] = {}
    stack: list[tuple[int, bool, set[Address], list[int]]] = []  # call, whether entered, who ran, those found within
    changed: set[int] = set()
    for raw in trace.raw_events:
        kind = raw[0]
        if kind is CallStarted:
            call_id, address, code_address = raw[1], raw[5], raw[6]
            is_entry = bool(stack) and stack[-1][1] and code_address not in untrusted
            stack.append((call_id, code_address in untrusted, {address}, [call_id] if is_entry else []))
            if raw[11] and raw[4] is CallKind.CALL and address in untrusted and raw[7] not in untrusted:
                changed.add(call_id)
        elif kind is CallEnded:
            call_id, _, ran, within = stack.pop()
            if raw[2] is not Outcome.OK:
                for each in within:
                    found.pop(each, None)
                continue
            if within and within[0] == call_id and call_id in changed:
                found[call_id] = frozenset(ran)
            if stack:
                above, _, ran_above, within_above = stack[-1]
                ran_above.update(ran)
                within_above.extend(within)
                if call_id in changed:
                    changed.add(above)
        elif kind in _CHANGES and stack and raw[2] not in untrusted:
            changed.add(stack[-1][0])
    return found
