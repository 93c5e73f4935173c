"""Finding what re-entry does to copies of storage: stale reads, lost updates, torn mappings; and writes after calls.

The detector is an observer. It knows, for each byte of storage that changed in the transaction, which call wrote it and
when, and for each call which bytes it holds a copy of and since when (:class:`storagemod.events.StorageLoaded`). Calls
that share storage with those they are re-entered by hold no copies, so nothing can be stale for them.
"""

from __future__ import annotations

import enum
from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import attrs
from attrs import define, field, frozen

from storagemod.events import (
    CallEnded,
    CallStarted,
    Event,
    StorageChange,
    StorageHeldBack,
    StorageLoaded,
    StorageWritten,
)
from storagemod.types import Address, Outcome

_Byte: TypeAlias = tuple[str, int]
"""Region, and offset in it."""


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
    """A call wrote storage after a call out during which its contract was re-entered. A warning: it can be meant."""


@frozen
class Hazard:
    """One finding.

    Attributes:
        kind: What happened.
        address: The owner of the storage.
        region: Where in it.
        offset: The first byte.
        old: For a stale read, the bytes that the call had; else those that were there before it wrote.
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


class _Areas:
    """Ranges of storage that a call holds copies of. They do not overlap: options that copy see to that."""

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

    def find(self, byte: _Byte) -> _Byte | None:
        """The first byte of the range that a byte lies in, if there is one."""
        region, offset = byte
        offsets = self._offsets.get(region, [])
        at = bisect_right(offsets, offset) - 1
        if at < 0 or offset >= offsets[at] + self._lengths[region, offsets[at]]:
            return None
        return region, offsets[at]


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
    held_bytes: dict[_Byte, int] = field(factory=dict)
    """The same by byte."""


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
    """Watches one transaction; hand it to the transaction as an observer, then read ``hazards``.

    Costs the bytes that calls change, once for each active call of their contract that holds copies.
    """

    wants = frozenset({StorageLoaded, StorageHeldBack})

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
            call.held_back = event.changes
            call.held_bytes = {byte: new for change in event.changes for byte, _, new in _changed_bytes(change)}
        elif isinstance(event, StorageWritten):
            self._write(self._calls[-1], event)
        elif isinstance(event, CallEnded):
            self._end(self._calls.pop(), event)

    def _check_held_back(self, call: _Call, event: StorageLoaded) -> None:
        """Report what a call copies in that is not what a call above it has made of it."""
        end = event.offset + event.length
        for above in self._calls[:-1]:
            if above.address != call.address:
                continue
            for change in above.held_back:
                low, high = max(change.offset, event.offset), min(change.offset + len(change.old), end)
                if change.region == event.region and low < high:
                    cut = slice(low - change.offset, high - change.offset)
                    missed = StorageChange(change.region, low, change.old[cut], change.new[cut])
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
            for change in event.changes:
                self._found(HazardKind.WRITE_AFTER_CALL, call, change, call.reentered_by)
        for other in self._calls:
            if other.address == event.address and other.areas:
                for change in event.changes:
                    self._miss(other, change, event.call_id)

    def _miss(self, call: _Call, change: StorageChange, writer: int) -> None:
        """Note which bytes of a call's copies are in line with storage no more, or again."""
        for byte, old, new in _changed_bytes(change):
            if call.areas.find(byte) is None:
                continue
            before = call.missed.get(byte)
            loaded = old if before is None else before.loaded
            has = call.held_bytes.get(byte, loaded) if before is None else before.old
            if call is not self._calls[-1]:
                call.missed_before.append((self._moment, byte, before))
            if writer == call.call_id:  # it copied this byte back itself
                call.missed.pop(byte, None)
            else:
                call.missed[byte] = _Missed(loaded, has, new, writer, self._moment)
                call.newest_missed = self._moment

    def _check_copies(self, call: _Call, event: StorageWritten) -> None:
        """Report what a call that copied back destroyed, and what it left standing beside its own."""
        missed = _really(call.missed)
        overwritten = {byte: change for change in event.changes for byte, _, _ in _changed_bytes(change)}
        for run in _runs({byte: missed[byte] for byte in overwritten.keys() & missed.keys()}):
            change = overwritten[run.region, run.offset]
            at = run.offset - change.offset
            old, new = change.old[at : at + len(run.old)], change.new[at : at + len(run.old)]
            lost = StorageChange(run.region, run.offset, old, new)
            self._found(HazardKind.LOST_UPDATE, call, lost, run.call_id)
        torn = {call.areas.find(byte) for byte in overwritten} - {None}
        left = {
            byte: entry for byte, entry in missed.items() if byte not in overwritten and call.areas.find(byte) in torn
        }
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
            self.hazards[since:] = [attrs.evolve(hazard, undone=True) for hazard in self.hazards[since:]]
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
        for run in _runs(missed):
            self._found(kind, call, StorageChange(run.region, run.offset, run.old, run.new), run.call_id)

    def _found(self, kind: HazardKind, call: _Call, change: StorageChange, other: int) -> None:
        self.hazards.append(
            Hazard(kind, call.address, change.region, change.offset, change.old, change.new, call.call_id, other)
        )


def _really(missed: dict[_Byte, _Missed]) -> dict[_Byte, _Missed]:
    """Without the bytes that are back to what they were when the call copied them."""
    return {byte: entry for byte, entry in missed.items() if entry.loaded != entry.new}


def _go_back(call: _Call, moment: int) -> None:
    """Forget what a call missed from a moment on, since it was undone."""
    while call.missed_before and call.missed_before[-1][0] >= moment:
        _, byte, before = call.missed_before.pop()
        if before is None:
            call.missed.pop(byte, None)
        else:
            call.missed[byte] = before


def _changed_bytes(change: StorageChange) -> Iterator[tuple[_Byte, int, int]]:
    for at, (old, new) in enumerate(zip(change.old, change.new, strict=True)):
        if old != new:
            yield (change.region, change.offset + at), old, new


@frozen
class _Run:
    """Neighbouring bytes that one call changed."""

    region: str
    offset: int
    old: bytes
    new: bytes
    call_id: int


def _runs(missed: dict[_Byte, _Missed]) -> Iterator[_Run]:
    """Single bytes as runs, in order."""
    last: _Run | None = None
    for region, offset in sorted(missed):
        entry = missed[region, offset]
        old, new = bytes([entry.old]), bytes([entry.new])
        if last is not None and (region, offset, entry.call_id) == (
            last.region,
            last.offset + len(last.old),
            last.call_id,
        ):
            last = attrs.evolve(last, old=last.old + old, new=last.new + new)
            continue
        if last is not None:
            yield last
        last = _Run(region, offset, old, new, entry.call_id)
    if last is not None:
        yield last
