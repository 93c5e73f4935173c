"""What a transaction changed in storage, and how to take it back: the journal of pages.

The words are those of a database: *collect* what was written, set a *checkpoint*, then *commit* it into the one
before, or *discard* it. A checkpoint costs nothing by itself; it grows by one old page for each page that is changed
for the first time since it was set, and by nothing where the old page is the image's. Discarding costs the pages that
it holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NewType

from attrs import define, field, frozen

from storagemod.errors import StateError
from storagemod.pages.backend import PageBackend
from storagemod.pages.image import Image, RegionDiff
from storagemod.pages.mapping import LiveMemory, Mapping
from storagemod.pages.page import PAGE_BYTES, PAGES_PER_WASM_PAGE, Run, intern_zero, merged_runs, runs_of
from storagemod.pages.protection import Protection
from storagemod.pages.shared import SharedPages, Window
from storagemod.pages.tracker import WriteTracker

Checkpoint = NewType("Checkpoint", int)
"""An opaque mark in the journal. Checkpoints nest: the newest is ended first."""


@define(eq=False)
class JournaledRegion:
    """One live region of storage.

    ``wasm_pages`` is its length as rule 5 counts it: what a discarded checkpoint grew is taken off again, though the
    memory stays longer. ``latest`` holds the bytes of pages that changed, as they were last collected, ``committed``
    those that they have in the image. ``noted`` are pages known to be written that were not yet collected.
    """

    memory: LiveMemory
    image: Image
    mapping: Mapping
    tracker: WriteTracker
    protection: Protection
    wasm_pages: int
    memory_pages: int
    collected_pages: int = field(init=False)
    """Its length when it was last collected, in Wasm pages."""
    latest: dict[int, bytes] = field(factory=dict)
    committed: dict[int, bytes] = field(factory=dict)
    noted: set[int] = field(factory=set)
    shared: SharedPages | None = None
    touched: set[int] = field(factory=set)
    touched_runs: list[tuple[int, int]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.collected_pages = self.wasm_pages

    def page(self, number: int) -> bytes:
        """The bytes of a page as they were last collected."""
        latest = self.latest.get(number)
        return self.committed_page(number) if latest is None else latest

    def committed_page(self, number: int) -> bytes:
        """The bytes of a page in the image; remembered, since a page that is asked for is asked for again."""
        page = self.committed.get(number)
        if page is None:
            page = self.committed[number] = self.image.page(number)
        return page

    def allow(self, *, writing: bool) -> None:
        """Hold the code that runs next to the region's length, and to reading unless it may write."""
        self.protection.allow(writing=writing, wasm_pages=self.wasm_pages)

    def allow_all(self) -> None:
        """Let the code that runs next do what it likes with the memory: what it did is seen when it is collected."""
        self.protection.allow(writing=True, wasm_pages=self.memory.pages)


@frozen(slots=False)
class Written:
    """What changed in a region since it was last collected.

    Attributes:
        pages: The bytes of each page that differs: before, and now.
        pages_old: The region's length before, in Wasm pages.
        pages_new: Its length now.
        outside: Whether a page beyond the length was written, where the memory is longer than the region after an
            undone growth.
    """

    pages: dict[int, tuple[bytes, bytes]]
    pages_old: int
    pages_new: int
    outside: bool = False

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The bytes that differ."""
        return tuple(merged_runs(self.pages))

    def __bool__(self) -> bool:
        return bool(self.pages) or self.pages_old != self.pages_new


@define
class _Undo:
    """What brings a region back to how it was when a checkpoint was set. ``None`` is the page that the image has."""

    pages: dict[int, bytes | None] = field(factory=dict)
    wasm_pages: int | None = None


class Journal:
    """The journal of one transaction over all of its regions.

    Memory: for each page changed, its committed and its latest bytes, and the bytes between once for each open
    checkpoint since which it changed again.

    Args:
        backend: How images are shown in memories and written pages are found.
    """

    def __init__(self, backend: PageBackend) -> None:
        self._backend = backend
        self._checkpoints: list[dict[JournaledRegion, _Undo]] = []
        self._frames = backend.frame_file()

    def open(self, memory: LiveMemory, image: Image, *, wasm_pages_max: int) -> JournaledRegion:
        """Show an image in a memory that is as long as it, and begin to keep it.

        Raises:
            StateError: The system refuses.
        """
        attached = self._backend.attach(memory, image, wasm_pages_max)
        return JournaledRegion(
            memory, image, attached.mapping, attached.tracker, attached.protection, memory.pages, memory.pages
        )

    def collect(self, region: JournaledRegion) -> Written:
        """Take in what was written in a region since the last time; it belongs to the newest checkpoint.

        Raises:
            StateError: The system refuses; it ends the transaction.
        """
        length, end = region.wasm_pages, region.wasm_pages * PAGES_PER_WASM_PAGE
        hole_end = region.memory_pages * PAGES_PER_WASM_PAGE
        memory_pages = region.memory.pages
        changed: dict[int, tuple[bytes, bytes]] = {}
        outside = False
        undo = None
        if length < memory_pages:
            region.allow_all()  # a tracker may look at all of it
        for number in self._drain(region):
            old = region.page(number)
            new = intern_zero(region.memory.read(number * PAGE_BYTES, PAGE_BYTES))
            if old == new:
                continue
            outside = outside or end <= number < hole_end
            changed[number] = (old, new)
            undo = undo or self._undo(region)
            undo.pages.setdefault(number, region.latest.get(number))
            region.latest[number] = new
        if memory_pages > region.memory_pages:
            undo = undo or self._undo(region)
            if undo.wasm_pages is None:
                undo.wasm_pages = length
            region.wasm_pages = region.memory_pages = memory_pages
        length, region.collected_pages = region.collected_pages, region.wasm_pages
        return Written(changed, length, region.wasm_pages, outside)

    def _drain(self, region: JournaledRegion) -> list[int]:
        """The pages that may have been written, however that was done, in order."""
        try:
            written = region.tracker.drain()
            if region.shared is None:
                return written
            noted, region.noted = region.noted, set()
            return sorted(noted.union(written, region.shared.written()))
        except OSError as error:
            raise StateError(f"it cannot be told what was written in storage: {error}", cause=error) from error

    def show(
        self, region: JournaledRegion, pages: range, memory: LiveMemory, at: int, *, writing: bool
    ) -> tuple[Window, int]:
        """Show pages of a region in another memory as well, from its page ``at`` on: shared, and never copied again.

        The region's memory is as long as they need already; what it was made longer by for them does not count as the
        region's: see :meth:`lengthen`. Give what was written through the window to :meth:`note`.

        Returns:
            The window, and how many pages were copied: those that were not shared before, and are not all zeros.

        Raises:
            StateError: The system refuses; it ends the transaction.
        """
        region.memory_pages = region.memory.pages
        if region.shared is None:
            region.shared = self._frames.share(region.memory)
        try:
            new = [number for number in pages if number not in region.shared.numbers]
            filled = 0
            if new:
                region.allow_all()
                region.noted.update(region.tracker.drain())
                filled = region.shared.share({number: self._bytes_now(region, number) for number in new})
                region.protection.forget()
            return region.shared.show(memory, at, pages.start, len(pages), writing=writing), filled
        except OSError as error:
            raise StateError(f"storage cannot be shared: {error}", cause=error) from error

    @staticmethod
    def _bytes_now(region: JournaledRegion, number: int) -> bytes:
        """The bytes of a page; those that nobody wrote are not looked for in memory, which would fill it."""
        if number in region.noted:
            return region.memory.read(number * PAGE_BYTES, PAGE_BYTES)
        latest = region.latest.get(number)
        return region.image.page(number) if latest is None else latest

    def note(self, region: JournaledRegion, pages: Iterable[int]) -> None:
        """Take in that pages may have been written through a window: they are looked at when it is collected."""
        region.noted.update(pages)

    def lengthen(self, region: JournaledRegion, wasm_pages: int) -> None:
        """Make a region longer that only the host grows. Its memory is as long already; the new pages are zeros."""
        undo = self._undo(region)
        if undo.wasm_pages is None:
            undo.wasm_pages = region.wasm_pages
        region.wasm_pages, region.memory_pages = wasm_pages, region.memory.pages
        region.allow_all()

    def first_touched(self, region: JournaledRegion) -> tuple[tuple[int, int], ...] | None:
        """The pages that were read or written for the first time since this was last asked: runs, first and count.

        ``None`` where the tracker cannot know.
        """
        runs = region.tracker.touched()
        if runs is None:
            return None
        shared = region.shared
        if runs == region.touched_runs and shared is None:
            return ()
        region.touched_runs = runs
        touched = {n for first, count in runs for n in range(first, first + count)}
        if shared is not None:
            touched = (touched - shared.numbers) | shared.touched()  # the live memory has all of them from the start
        new = sorted(touched - region.touched)
        region.touched.update(new)
        return tuple(runs_of(new))

    def close(self) -> None:
        """Give back what it has of the system; what is mapped stays mapped. Nothing can be shown any more."""
        self._frames.close()

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
            kept = below.setdefault(region, undo)
            if kept is undo:
                continue
            for number, data in undo.pages.items():
                kept.pages.setdefault(number, data)
            if kept.wasm_pages is None:
                kept.wasm_pages = undo.wasm_pages

    def discard(self, checkpoint: Checkpoint) -> None:
        """Bring every region back to a checkpoint: bytes and length.

        Collect the region that was running first; what others wrote was collected when they stopped running.

        Raises:
            StateError: The system refuses; it ends the transaction.
        """
        for region, undo in self._end(checkpoint).items():
            region.allow_all()
            try:
                self._restore(region, undo.pages)  # pages that it grew by were zeros in the image, so they are again
                region.tracker.drain()
            except OSError as error:
                raise StateError(f"storage cannot be put back: {error}", cause=error) from error
            for number, data in undo.pages.items():
                if data is None:
                    del region.latest[number]
                else:
                    region.latest[number] = data
            if undo.wasm_pages is not None:
                region.wasm_pages = region.collected_pages = undo.wasm_pages

    @staticmethod
    def _restore(region: JournaledRegion, pages: dict[int, bytes | None]) -> None:
        shared = frozenset[int]() if region.shared is None else region.shared.numbers & pages.keys()
        if region.shared is not None and shared:
            found = ((number, pages[number]) for number in shared)
            region.shared.put_back(
                {number: region.image.page(number) if data is None else data for number, data in found}
            )
            pages = {number: data for number, data in pages.items() if number not in shared}
        region.mapping.restore(pages)

    def write_set(self, region: JournaledRegion) -> RegionDiff:
        """What a region differs in from its image, as last collected; pages that hold the same bytes are left out."""
        pages = {}
        for number, new in sorted(region.latest.items()):
            old = region.committed_page(number)
            if old != new:
                pages[number] = (old, new)
        return RegionDiff(region.image.wasm_pages, region.wasm_pages, pages)

    def _undo(self, region: JournaledRegion) -> _Undo:
        """Where the old pages of a region go now."""
        return self._checkpoints[-1].setdefault(region, _Undo()) if self._checkpoints else _Undo()

    def _end(self, checkpoint: Checkpoint) -> dict[JournaledRegion, _Undo]:
        if checkpoint != len(self._checkpoints):
            raise RuntimeError(f"checkpoint {checkpoint} is not the newest, {len(self._checkpoints)} is")
        return self._checkpoints.pop()
