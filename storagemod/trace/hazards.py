"""Finding what re-entry does to copies of storage: stale reads, lost updates, torn mappings; and writes after calls.

The detector is an observer. It knows, for each byte of storage that changed in the transaction, which call wrote it and
when, and for each call which bytes it holds a copy of and since when (:class:`storagemod.events.StorageLoaded`). Calls
that share storage with those they are re-entered by hold no copies, so nothing can be stale for them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

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


@frozen
class _Write:
    moment: int
    call_id: int
    change: StorageChange


@define
class _Area:
    """Bytes that a call holds a copy of, and when it was last brought in line with storage."""

    region: str
    offset: int
    length: int
    since: int


@frozen
class _Missed:
    """What happened to one byte since a call copied it."""

    old: int
    """What the call has."""
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
    areas: list[_Area] = field(factory=list)
    checked: int = 0
    """The moment up to which stale reads are reported."""
    reentered_by: int | None = None
    held_back: tuple[StorageChange, ...] = ()
    """What it had changed in its copies, and not copied back, when it made the call that runs now."""


class HazardDetector:
    """Watches one transaction; hand it to the transaction as an observer, then read ``hazards``.

    Costs the bytes that calls change, once more for each call of their contract that holds copies and is active.
    """

    wants = frozenset({StorageLoaded, StorageHeldBack})

    def __init__(self) -> None:
        self.hazards: list[Hazard] = []
        self._moment = 0
        self._writes: dict[Address, list[_Write]] = {}
        self._calls: list[_Call] = []

    def __call__(self, event: Event) -> None:
        """Take one event."""
        self._moment += 1
        if isinstance(event, CallStarted):
            if self._calls:
                self._check_stale(self._calls[-1])
            self._calls.append(_Call(event.call_id, event.address, self._moment, len(self.hazards)))
        elif isinstance(event, StorageLoaded):
            self._check_held_back(self._calls[-1], event)
            self._load(self._calls[-1], event)
        elif isinstance(event, StorageHeldBack):
            self._calls[-1].held_back = event.changes
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
        for area in call.areas:
            if (area.region, area.offset, area.length) == (event.region, event.offset, event.length):
                area.since = self._moment
                return
        call.areas.append(_Area(event.region, event.offset, event.length, self._moment))

    def _write(self, call: _Call, event: StorageWritten) -> None:
        if call.areas:
            self._check_copies(call, event)
        if call.reentered_by is not None:
            for change in event.changes:
                self._found(HazardKind.WRITE_AFTER_CALL, call, change, call.reentered_by)
        writes = self._writes.setdefault(event.address, [])
        writes += [_Write(self._moment, event.call_id, change) for change in event.changes]

    def _check_copies(self, call: _Call, event: StorageWritten) -> None:
        """Report what a call that copied back destroyed, and what it left standing beside its own."""
        missed = self._missed(call)
        overwritten = {byte: change for change in event.changes for byte, _, _ in _changed_bytes(change)}
        for run in _runs({byte: missed[byte] for byte in overwritten.keys() & missed.keys()}):
            change = overwritten[run.region, run.offset]
            at = run.offset - change.offset
            old, new = change.old[at : at + len(run.old)], change.new[at : at + len(run.old)]
            lost = StorageChange(run.region, run.offset, old, new)
            self._found(HazardKind.LOST_UPDATE, call, lost, run.call_id)
        for area in call.areas:
            left = {byte: entry for byte, entry in missed.items() if _contains(area, byte) and byte not in overwritten}
            if left and any(_contains(area, byte) for byte in overwritten):
                self._report(HazardKind.TORN_MAPPING, call, left)

    def _end(self, call: _Call, event: CallEnded) -> None:
        self._check_stale(call)
        if event.outcome is not Outcome.OK:
            for address, writes in self._writes.items():
                self._writes[address] = [write for write in writes if write.moment < call.started]
            since = call.hazards_before
            self.hazards[since:] = [attrs.evolve(hazard, undone=True) for hazard in self.hazards[since:]]
            return
        for above in self._calls:
            if above.address == call.address:
                above.reentered_by = call.call_id

    def _check_stale(self, call: _Call) -> None:
        """Report what a call that ran until now did not see."""
        if call.areas:
            missed = {byte: entry for byte, entry in self._missed(call).items() if entry.moment > call.checked}
            self._report(HazardKind.STALE_READ, call, missed)
        call.checked = self._moment

    def _missed(self, call: _Call) -> dict[tuple[str, int], _Missed]:
        """The bytes of its copies that others changed and it did not see, by region and offset."""
        missed: dict[tuple[str, int], _Missed] = {}
        for write in self._writes.get(call.address, ()):
            for byte, old, new in _changed_bytes(write.change):
                if not any(area.since < write.moment and _contains(area, byte) for area in call.areas):
                    continue
                if write.call_id == call.call_id:  # it copied this byte back: its copy is in line
                    missed.pop(byte, None)
                    continue
                first = missed[byte].old if byte in missed else old
                missed[byte] = _Missed(first, new, write.call_id, write.moment)
        return {byte: entry for byte, entry in missed.items() if entry.old != entry.new}

    def _report(self, kind: HazardKind, call: _Call, missed: dict[tuple[str, int], _Missed]) -> None:
        for run in _runs(missed):
            self._found(kind, call, StorageChange(run.region, run.offset, run.old, run.new), run.call_id)

    def _found(self, kind: HazardKind, call: _Call, change: StorageChange, other: int) -> None:
        self.hazards.append(
            Hazard(kind, call.address, change.region, change.offset, change.old, change.new, call.call_id, other)
        )


def _contains(area: _Area, byte: tuple[str, int]) -> bool:
    region, offset = byte
    return region == area.region and area.offset <= offset < area.offset + area.length


def _changed_bytes(change: StorageChange) -> Iterator[tuple[tuple[str, int], int, int]]:
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


def _runs(missed: dict[tuple[str, int], _Missed]) -> Iterator[_Run]:
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
