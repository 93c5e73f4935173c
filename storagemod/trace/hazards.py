"""Hazards of re-entry: stale reads, lost updates, torn mappings, and writes after calls.

The detector goes through the events of a trace when somebody looks at its hazards. For each call it knows which bytes
the call holds a copy of, from :class:`storagemod.events.StorageLoaded`, and which of these other calls changed since.
Calls that share storage with those that re-enter them hold no copies, so nothing is stale for them.
"""

from __future__ import annotations

import enum
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter, itemgetter
from typing import TypeAlias

from attrs import define, evolve, field, frozen

from storagemod.events import (
    CallEnded,
    CallStarted,
    Event,
    StorageChange,
    StorageHeldBack,
    StorageLoaded,
    StorageRewritten,
    StorageStored,
    StorageWritten,
)
from storagemod.pages.page import PAGE_BYTES, differing_bytes
from storagemod.types import Address, Outcome

_Byte: TypeAlias = tuple[str, int]
"""Region, and offset in it."""

_offset = attrgetter("offset")
_place = attrgetter("region", "offset")


class HazardKind(enum.StrEnum):
    """What happened."""

    STALE_READ = "stale read"
    """A call went on with a copy of bytes that another call had changed meanwhile, or copied in bytes that a call above
    it had changed and not copied back."""
    LOST_UPDATE = "lost update"
    """A call copied bytes back over what another call had written since it had copied them in."""
    TORN_MAPPING = "torn mapping"
    """After a call copied back, one mapping holds some bytes of its copy and some that another call wrote meanwhile."""
    WRITE_AFTER_CALL = "write after call"
    """A call wrote storage after a call out during which its contract was re-entered. A warning: it can be meant.

    Where code records what it does, each store counts, also of bytes that are there already. Elsewhere bytes that
    changed count."""
    PAGE_WRITTEN_AGAIN = "page written again"
    """The same, for a page of which no byte changed, where the kernel tells that it was written: where in the page is
    not known. A world that records tells the place, and calls it a write after a call."""


@frozen
class Hazard:
    """One finding.

    Attributes:
        kind: What happened.
        address: The owner of the storage.
        region: Where in it.
        offset: The first byte; of the page, for a page written again.
        old: For a stale read, the bytes that the call had; else those that were there before it wrote. For a store that
            changed nothing, the same as ``new``. Empty for a page written again.
        new: For a stale read, the bytes that were there instead; else those that it wrote.
        call_id: The call that went on with, or wrote, these bytes.
        other_call_id: The call that had changed them meanwhile; for a write after a call, the one that re-entered.
        undone: Whether the call failed later, or a call above it, so that nothing of it lasts.
    """

    kind: HazardKind
    address: Address
    region: str
    offset: int
    old: bytes = field(repr=lambda data: data.hex())
    new: bytes = field(repr=lambda data: data.hex())
    call_id: int = 0
    other_call_id: int = 0
    undone: bool = False


class _Changes:
    """Changes by place. They do not overlap."""

    def __init__(self, changes: Iterable[StorageChange] = ()) -> None:
        self._changes: dict[str, list[StorageChange]] = {}
        for change in sorted(changes, key=_place):
            self._changes.setdefault(change.region, []).append(change)

    def find(self, byte: _Byte) -> StorageChange | None:
        """Return the change that a byte lies in, if there is one."""
        return next(self.overlapping(*byte, 1), None)

    def overlapping(self, region: str, offset: int, length: int) -> Iterator[StorageChange]:
        """Yield the part of each change that lies in a range, in order."""
        changes = self._changes.get(region, [])
        end = offset + length
        first = max(bisect_right(changes, offset, key=_offset) - 1, 0)
        for change in islice(changes, first, None):
            if change.offset >= end:
                break
            low, high = max(change.offset, offset), min(change.offset + len(change.old), end)
            if low < high:
                cut = slice(low - change.offset, high - change.offset)
                yield StorageChange(region, low, change.old[cut], change.new[cut])


class _Areas:
    """Ranges of storage that a call holds copies of. They do not overlap: the linking options refuse that."""

    def __init__(self) -> None:
        self._lengths: dict[_Byte, int] = {}
        self._offsets: dict[str, list[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._lengths)

    def add(self, region: str, offset: int, length: int) -> None:
        """Add a range, unless it is there."""
        if (region, offset) not in self._lengths:
            insort(self._offsets.setdefault(region, []), offset)
            self._lengths[region, offset] = length

    def overlapping(self, region: str, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """Yield first byte and end of each range that overlaps another one, in order."""
        offsets = self._offsets.get(region, [])
        first = max(bisect_right(offsets, offset) - 1, 0)
        for start in islice(offsets, first, None):
            if start >= offset + length:
                break
            end = start + self._lengths[region, start]
            if end > offset:
                yield start, end


class _Ranges:
    """Ranges of bytes, which may overlap."""

    def __init__(self) -> None:
        self._ends: dict[str, list[tuple[int, int]]] = {}

    def __bool__(self) -> bool:
        return bool(self._ends)

    def add(self, region: str, start: int, end: int) -> None:
        """Add a range, joined with those that it touches."""
        ranges = self._ends.setdefault(region, [])
        first = bisect_right(ranges, start, key=itemgetter(0))
        if first and ranges[first - 1][1] >= start:
            first -= 1
        last = first
        while last < len(ranges) and ranges[last][0] <= end:
            start, end = min(start, ranges[last][0]), max(end, ranges[last][1])
            last += 1
        ranges[first:last] = [(start, end)]

    def without(self, region: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of a range that lie in none of these."""
        ranges = self._ends.get(region, [])
        first = max(bisect_right(ranges, start, key=itemgetter(0)) - 1, 0)
        for low, high in islice(ranges, first, None):
            if low >= end:
                break
            if start < low:
                yield start, low
            start = max(start, high)
        if start < end:
            yield start, end


@frozen
class _Missed:
    """What happened to one byte of a call's copy since it was last in line with storage."""

    loaded: int
    """What storage had then."""
    old: int
    """What the call has: that, or what it made of it."""
    new: int
    """What storage has."""
    call_id: int
    moment: int


@define
class _Call:
    call_id: int
    address: Address
    started: int
    """The moment it started."""
    hazards_before: int
    areas: _Areas = field(factory=_Areas)
    missed: dict[_Byte, _Missed] = field(factory=dict)
    """The bytes of its copies that others changed and it did not see."""
    missed_before: list[tuple[int, _Byte, _Missed | None]] = field(factory=list)
    """How ``missed`` was before each change since this call last ran, with the moment: to go back if that is undone."""
    newest_missed: int = 0
    """The moment of the last change of ``missed``."""
    checked: int = 0
    """The moment up to which stale reads are reported."""
    reentered_by: int | None = None
    held_back: tuple[StorageChange, ...] = ()
    """What it had changed in its copies, and not copied back, when it made the call that runs now."""
    held: _Changes = field(factory=_Changes)
    """The same by place."""
    stored: _Ranges = field(factory=_Ranges)
    """Where it is known to have stored since it was re-entered."""


def find_hazards(events: Sequence[Event], *, cut: bool) -> tuple[Hazard, ...]:
    """Return the hazards of one transaction, in the order in which they were found.

    Args:
        events: What happened, in order.
        cut: Whether events are missing, and only ends of calls follow the first that is. No hazard is reported from
            there on: whether a call brought its copy up to date before it ended is not known.
    """
    detector = HazardDetector()
    seen = len(events)
    while cut and seen and isinstance(events[seen - 1], CallEnded):
        seen -= 1
    for event in events[:seen]:
        detector(event)
    for event in events[seen:]:
        if isinstance(event, CallEnded):
            detector.end_unseen(event)
    return tuple(detector.hazards)


class HazardDetector:
    """Takes the events of one transaction, in order, and collects its ``hazards``.

    Takes time linear in the bytes that calls change, once for each active call of their contract that holds copies.
    """

    def __init__(self) -> None:
        self.hazards: list[Hazard] = []
        self._moment = 0
        self._calls: list[_Call] = []

    def __call__(self, event: Event) -> None:
        """Take one event."""
        self._moment += 1
        if isinstance(event, CallStarted):
            if self._calls:
                self._check_stale(self._calls[-1])
                self._calls[-1].missed_before.clear()  # what it did itself is not undone without it
            self._calls.append(_Call(event.call_id, event.address, self._moment, len(self.hazards)))
        elif isinstance(event, StorageLoaded):
            self._check_held_back(self._calls[-1], event)
            self._load(self._calls[-1], event)
        elif isinstance(event, StorageHeldBack):
            call = self._calls[-1]
            if call.held_back == event.changes:
                return
            call.held_back, call.held = event.changes, _Changes(event.changes)
        elif isinstance(event, StorageWritten):
            self._write(self._calls[-1], event)
        elif isinstance(event, StorageStored):
            self._store(self._calls[-1], event)
        elif isinstance(event, StorageRewritten):
            self._rewrite(self._calls[-1], event)
        elif isinstance(event, CallEnded):
            self._end(self._calls.pop(), event)

    def _check_held_back(self, call: _Call, event: StorageLoaded) -> None:
        """Report bytes that a call copies in and a call above it has changed in its own copy."""
        for above in self._calls[:-1]:
            if above.held_back and above.address == call.address:
                for missed in above.held.overlapping(event.region, event.offset, event.length):
                    self._found(HazardKind.STALE_READ, call, missed, above.call_id)

    def _load(self, call: _Call, event: StorageLoaded) -> None:
        call.areas.add(event.region, event.offset, event.length)
        if call.missed:
            end = event.offset + event.length
            for byte in [each for each in call.missed if each[0] == event.region and event.offset <= each[1] < end]:
                del call.missed[byte]

    def _write(self, call: _Call, event: StorageWritten) -> None:
        if call.areas:
            self._check_copies(call, event)
        if call.reentered_by is not None:
            for change in self._unstored(call, event.changes):
                self._found(HazardKind.WRITE_AFTER_CALL, call, change, call.reentered_by)
        for other in self._calls:
            if other.address == event.address and other.areas:
                for change in event.changes:
                    self._miss(other, change, event.call_id)

    def _store(self, call: _Call, event: StorageStored) -> None:
        """Report each store of a call that was re-entered."""
        for store in event.stores:
            call.stored.add(store.region, store.offset, store.offset + len(store.new))
            if call.reentered_by is not None:
                self._found(HazardKind.WRITE_AFTER_CALL, call, store, call.reentered_by)

    def _rewrite(self, call: _Call, event: StorageRewritten) -> None:
        if call.reentered_by is not None:
            for page in event.pages:
                place = StorageChange(event.region, page * PAGE_BYTES, b"", b"")
                self._found(HazardKind.PAGE_WRITTEN_AGAIN, call, place, call.reentered_by)

    def _unstored(self, call: _Call, changes: Iterable[StorageChange]) -> Iterator[StorageChange]:
        """Yield what changed where the call is not known to have stored since it was re-entered.

        It stored that before, in a copy that was brought to storage later, or does not record what it stores. Changes
        are whole words, and stay so where no store overlaps them; of others the bytes that changed are left.
        """
        for change in changes:
            begin, length = change.offset, len(change.old)
            if list(call.stored.without(change.region, begin, begin + length)) == [(begin, begin + length)]:
                yield change
                continue
            for first, last in differing_bytes(change.old, change.new):
                for start, end in call.stored.without(change.region, begin + first, begin + last):
                    old, new = change.old[start - begin : end - begin], change.new[start - begin : end - begin]
                    yield StorageChange(change.region, start, old, new)

    def _miss(self, call: _Call, change: StorageChange, writer: int) -> None:
        """Note which bytes of a call's copies no longer agree with storage, or agree again."""
        for byte, old, new in self._copied_bytes(call, change):
            before = call.missed.get(byte)
            if call is not self._calls[-1]:
                call.missed_before.append((self._moment, byte, before))
            if writer == call.call_id:  # it copied this byte back itself
                call.missed.pop(byte, None)
                continue
            if before is None:
                held = call.held.find(byte) if call.held_back else None
                loaded, has = old, old if held is None else held.new[0]
            else:
                loaded, has = before.loaded, before.old
            call.missed[byte] = _Missed(loaded, has, new, writer, self._moment)
            call.newest_missed = self._moment

    def _copied_bytes(self, call: _Call, change: StorageChange) -> Iterator[tuple[_Byte, int, int]]:
        """Yield place, old and new value of each byte that differs and that a call holds a copy of."""
        if call is self._calls[-1] and not call.missed:
            return  # it wrote the change itself, and there is nothing that it could make good
        for first, end in call.areas.overlapping(change.region, change.offset, len(change.old)):
            cut = slice(max(first - change.offset, 0), max(end - change.offset, 0))
            old, new = change.old[cut], change.new[cut]
            for start, stop in differing_bytes(old, new):
                for index in range(start, stop):
                    yield (change.region, change.offset + cut.start + index), old[index], new[index]

    def _check_copies(self, call: _Call, event: StorageWritten) -> None:
        """Report what a call that copied back overwrote, and what it left in place beside its own bytes."""
        missed = _really(call.missed)
        if not missed:
            return
        changes = _Changes(event.changes)
        lost: dict[_Byte, _Missed] = {}
        left: dict[_Byte, _Missed] = {}
        torn: dict[_Byte, bool] = {}
        for byte, entry in missed.items():
            change = changes.find(byte)
            if change is not None and change.old != change.new:
                lost[byte] = _Missed(entry.loaded, change.old[0], change.new[0], entry.call_id, entry.moment)
                continue
            region, offset = byte
            for first, end in call.areas.overlapping(region, offset, 1):
                if (region, first) not in torn:
                    own = changes.overlapping(region, first, end - first)
                    torn[region, first] = any(each.old != each.new for each in own)
                if torn[region, first]:
                    left[byte] = entry
        self._report(HazardKind.LOST_UPDATE, call, lost)
        self._report(HazardKind.TORN_MAPPING, call, left)

    def end_unseen(self, event: CallEnded) -> None:
        """Take the end of a call of which later events are missing: it only marks hazards as undone."""
        self._end(self._calls.pop(), event, seen=False)

    def _end(self, call: _Call, event: CallEnded, *, seen: bool = True) -> None:
        if seen:
            self._check_stale(call)
        if event.outcome is not Outcome.OK:
            for above in self._calls:
                _go_back(above, call.started)
            since = call.hazards_before
            self.hazards[since:] = [
                hazard if hazard.undone else evolve(hazard, undone=True) for hazard in self.hazards[since:]
            ]
            return
        for above in self._calls:
            if above.address == call.address:
                above.reentered_by = call.call_id

    def _check_stale(self, call: _Call) -> None:
        """Report what a call that ran until now did not see."""
        if call.newest_missed > call.checked:
            missed = {
                byte: entry
                for byte, entry in _really(call.missed).items()
                if entry.moment > call.checked and entry.old != entry.new
            }
            self._report(HazardKind.STALE_READ, call, missed)
        call.checked = self._moment

    def _report(self, kind: HazardKind, call: _Call, missed: dict[_Byte, _Missed]) -> None:
        for change, writer in _runs(missed):
            self._found(kind, call, change, writer)

    def _found(self, kind: HazardKind, call: _Call, change: StorageChange, other: int) -> None:
        self.hazards.append(
            Hazard(kind, call.address, change.region, change.offset, change.old, change.new, call.call_id, other)
        )


def _really(missed: dict[_Byte, _Missed]) -> dict[_Byte, _Missed]:
    """Return missed bytes without those that are back to what they were when the call copied them."""
    return {byte: entry for byte, entry in missed.items() if entry.loaded != entry.new}


def _go_back(call: _Call, moment: int) -> None:
    """Forget what a call missed from a moment on, since it was undone."""
    while call.missed_before and call.missed_before[-1][0] >= moment:
        _, byte, before = call.missed_before.pop()
        if before is None:
            call.missed.pop(byte, None)
        else:
            call.missed[byte] = before


def _runs(missed: dict[_Byte, _Missed]) -> Iterator[tuple[StorageChange, int]]:
    """Yield single bytes as runs of neighbours that one call changed, in order, with that call."""
    start: _Byte = ("", 0)
    old, new = bytearray(), bytearray()
    writer = 0
    for byte in sorted(missed):
        entry = missed[byte]
        if old and (*byte, entry.call_id) != (start[0], start[1] + len(old), writer):
            yield StorageChange(*start, bytes(old), bytes(new)), writer
            old, new = bytearray(), bytearray()
        if not old:
            start, writer = byte, entry.call_id
        old.append(entry.old)
        new.append(entry.new)
    if old:
        yield StorageChange(*start, bytes(old), bytes(new)), writer
