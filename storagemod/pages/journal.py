"""What a transaction changed in storage, and how to take it back: the journal of pages.

The words are those of a database: *collect* what was written, set a *checkpoint*, then *commit* it into the one
before, or *discard* it. A checkpoint costs nothing by itself; it grows by one old page for each page that is changed
for the first time since it was set. Discarding costs the pages that it holds.
"""

from __future__ import annotations

from typing import NewType

from attrs import define, field, frozen

from storagemod.pages.image import Image
from storagemod.pages.mapping import LiveMemory, Mapping
from storagemod.pages.page import PAGE_BYTES, Run, intern_zero, merged_runs
from storagemod.pages.tracker import WriteTracker
from storagemod.pages.write_set import WriteSet
from storagemod.types import WASM_PAGE_BYTES

Checkpoint = NewType("Checkpoint", int)
"""An opaque mark in the journal. Checkpoints nest: the newest is ended first."""

_PAGES_PER_WASM_PAGE = WASM_PAGE_BYTES // PAGE_BYTES


@define(eq=False)
class JournaledRegion:
    """One live region of storage.

    ``wasm_pages`` is its length as rule 5 counts it: what a discarded checkpoint grew is taken off again, though the
    memory stays longer. ``latest`` holds the bytes of every page that ever changed, as they were last collected.
    """

    memory: LiveMemory
    image: Image
    mapping: Mapping
    tracker: WriteTracker
    wasm_pages: int
    memory_pages: int
    latest: dict[int, bytes] = field(factory=dict)

    def page(self, number: int) -> bytes:
        """The bytes of a page as they were last collected."""
        return self.latest.get(number) or self.image.page(number)


@frozen
class Written:
    """What changed in a region since it was last collected.

    Attributes:
        runs: The bytes that differ.
        pages_old: Its length before, in Wasm pages.
        pages_new: Its length now.
        outside: The offset of a byte that was written beyond the length, where the memory is longer than the region
            after an undone growth; ``None`` if there is none.
    """

    runs: tuple[Run, ...]
    pages_old: int
    pages_new: int
    outside: int | None = None

    def __bool__(self) -> bool:
        return bool(self.runs) or self.pages_old != self.pages_new


@define
class _Undo:
    """What brings a region back to how it was when a checkpoint was set."""

    pages: dict[int, bytes] = field(factory=dict)
    wasm_pages: int | None = None


class Journal:
    """The journal of one transaction over all of its regions.

    Memory: for each page changed, its latest bytes, and its old bytes once for each open checkpoint since which it
    changed.
    """

    def __init__(self) -> None:
        self._checkpoints: list[dict[JournaledRegion, _Undo]] = []

    def open(self, memory: LiveMemory, image: Image, mapping: Mapping, tracker: WriteTracker) -> JournaledRegion:
        """Begin to keep a region: its memory shows its image, nothing has been written yet."""
        return JournaledRegion(memory, image, mapping, tracker, memory.pages, memory.pages)

    def collect(self, region: JournaledRegion) -> Written:
        """Take in what was written in a region since the last time; it belongs to the newest checkpoint."""
        undo = self._checkpoints[-1].setdefault(region, _Undo()) if self._checkpoints else _Undo()
        length, end = region.wasm_pages, region.wasm_pages * _PAGES_PER_WASM_PAGE
        memory_end = region.memory_pages * _PAGES_PER_WASM_PAGE
        changed: dict[int, tuple[bytes, bytes]] = {}
        outside = None
        for number in region.tracker.drain():
            old = region.page(number)
            new = intern_zero(region.memory.read(number * PAGE_BYTES, PAGE_BYTES))
            if old == new:
                continue
            if end <= number < memory_end and outside is None:
                run = next(merged_runs({number: (old, new)}))
                outside = run.offset
            changed[number] = (old, new)
            undo.pages.setdefault(number, old)
            region.latest[number] = new
        if region.memory.pages > region.memory_pages:
            if undo.wasm_pages is None:
                undo.wasm_pages = length
            region.wasm_pages = region.memory_pages = region.memory.pages
        return Written(tuple(merged_runs(changed)), length, region.wasm_pages, outside)

    def checkpoint(self) -> Checkpoint:
        """Set a mark to which all regions can be brought back. Collect first: what is not collected falls behind it."""
        self._checkpoints.append({})
        return Checkpoint(len(self._checkpoints))

    def commit(self, checkpoint: Checkpoint) -> None:
        """Keep what was changed since a checkpoint; from now on it belongs to the one before."""
        newest = self._end(checkpoint)
        if not self._checkpoints:
            return
        below = self._checkpoints[-1]
        for region, undo in newest.items():
            kept = below.setdefault(region, _Undo())
            for number, data in undo.pages.items():
                kept.pages.setdefault(number, data)
            if kept.wasm_pages is None:
                kept.wasm_pages = undo.wasm_pages

    def discard(self, checkpoint: Checkpoint) -> None:
        """Bring every region back to a checkpoint: bytes and length.

        Collect the region that was running first; what others wrote was collected when they stopped running.
        """
        for region, undo in self._end(checkpoint).items():
            if undo.wasm_pages is not None:
                region.wasm_pages = undo.wasm_pages
            region.mapping.restore(undo.pages)  # pages that it grew by were zeros, so they are again
            region.latest.update(undo.pages)
            region.tracker.drain()

    def write_set(self, region: JournaledRegion) -> WriteSet:
        """What a region differs in from its image, as last collected; pages that hold the same bytes are left out."""
        pages = {}
        for number, new in sorted(region.latest.items()):
            old = region.image.page(number)
            if old != new:
                pages[number] = (old, new)
        return WriteSet(region.image.wasm_pages, region.wasm_pages, pages)

    def _end(self, checkpoint: Checkpoint) -> dict[JournaledRegion, _Undo]:
        if checkpoint != len(self._checkpoints):
            raise RuntimeError(f"checkpoint {checkpoint} is not the newest, {len(self._checkpoints)} is")
        return self._checkpoints.pop()
