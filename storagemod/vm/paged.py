"""The option ``paged``: storage as frames that the host keeps, and a page table for each call.

This is the second proposal of ewasm/design#188. A frame is a piece of storage of fixed length; the frame table lists
those in use with the contract that each belongs to, and lasts until the transaction ends. A page of a call's memory
stands for a frame. The frames' bytes are those of the storage module's memory, so they are committed and undone like
all storage. A page has a copy of its frame's bytes; the host brings the two in line at each call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from attrs import define, evolve, field, frozen

from storagemod.errors import LimitError, TrapError
from storagemod.events import FrameRun, PageRun
from storagemod.types import Address, ExclusivePolicy
from storagemod.vm.storage_map import (
    CallMemory,
    Mappings,
    StorageMapOption,
    check_range,
    nothing_mapped,
    refuse_mapping,
)

if TYPE_CHECKING:
    from storagemod.vm.storage import StorageAccess

PAGES_MAX = 65_536
"""Pages in the page table of one call: 256 MiB of frames of 4 KiB. Small frames must not make a table without end."""


@frozen(cache_hash=True)
class FrameKey:
    """Which frame: the contract that it belongs to, its region, and its place there, counted in frames of its length.

    The length is part of it, because code that runs on the storage of another contract brings its own.
    """

    address: Address
    region: str
    index: int
    frame_bytes: int


@define
class Frame:
    """What the frame table says of a frame besides its bytes."""

    dirty: bool = False
    """Whether a call wrote it, be it one that was undone since."""


@define
class FrameTable:
    """The frames that one transaction has used. Entries stay when a call is undone: they say what was mapped."""

    frames: dict[FrameKey, Frame] = field(factory=dict)
    _holders: dict[tuple[Address, str], dict[int, dict[int, list[PageTable]]]] = field(factory=dict, repr=False)
    """The page tables of calls that run or are suspended, the outermost first, by storage, length and number of frame.

    Code that runs on foreign storage brings a length of its own, so frames of several lengths can have bytes in common.
    """

    def frame(self, key: FrameKey) -> Frame:
        """The entry of a frame, made at its first use."""
        frame = self.frames.get(key)
        if frame is None:
            frame = self.frames[key] = Frame()
        return frame

    def hold(self, key: FrameKey, table: PageTable) -> None:
        """Note that a call holds a frame, until :meth:`let_go`.

        Raises:
            TrapError: Another call holds bytes of the frame, and one of the two calls maps them exclusively.
        """
        lengths = self._holders.setdefault((key.address, key.region), {})
        held = lengths.setdefault(key.frame_bytes, {})
        if len(lengths) > 1:
            for other in self._overlapping(key, lengths):
                _check_shared(other, lengths[other.frame_bytes][other.index], table)
        holders = held.get(key.index)
        if holders is None:
            held[key.index] = [table]
        else:
            _check_shared(key, holders, table)
            holders.append(table)

    def let_go(self, keys: Iterable[FrameKey]) -> None:
        """Note that the newest call is over which holds these frames."""
        for key in keys:
            held = self._holders[key.address, key.region][key.frame_bytes]
            holders = held[key.index]
            holders.pop()
            if not holders:
                del held[key.index]

    @staticmethod
    def _overlapping(key: FrameKey, lengths: Mapping[int, Mapping[int, object]]) -> Iterator[FrameKey]:
        """Yield the frames of other lengths that are held and have bytes in common with a frame."""
        start, end = key.index * key.frame_bytes, (key.index + 1) * key.frame_bytes
        for length in sorted(lengths.keys() - {key.frame_bytes}):
            for index in filter(lengths[length].__contains__, range(start // length, -(-end // length))):
                yield FrameKey(key.address, key.region, index, length)

    def runs(self) -> Iterator[FrameRun]:
        """The table in order, frames side by side that are alike together."""
        run: FrameRun | None = None
        for key in sorted(self.frames, key=lambda key: (key.address, key.region, key.frame_bytes, key.index)):
            dirty = self.frames[key].dirty
            alone = FrameRun(key.address, key.region, key.frame_bytes, key.index, 1, dirty)
            if run is not None and alone == evolve(run, first=run.first + run.count, count=1):
                run = evolve(run, count=run.count + 1)
                continue
            if run is not None:
                yield run
            run = alone
        if run is not None:
            yield run


class PageTable:
    """The page table of one call.

    Args:
        frames: The frame table of the transaction.

    Attributes:
        owner: The contract and region that the frames belong to.
        depth: The depth of the call.
        frame_bytes: Length of a frame, and of a page.
        exclusive: Whether a frame may stand in one page only, as capabilities want it, and of which calls.
        pages: Frames by the number of the page that stands for them.
    """

    def __init__(
        self,
        owner: tuple[Address, str],
        frames: FrameTable,
        *,
        depth: int,
        frame_bytes: int,
        exclusive: ExclusivePolicy,
    ) -> None:
        self.owner = owner
        self.depth = depth
        self.exclusive = exclusive
        self._frames = frames
        self._first_pages: dict[FrameKey, int] = {}
        self._entered: dict[int, list[tuple[int, FrameKey]]] = {}  # by the offset that they were mapped at
        self.frame_bytes = frame_bytes
        self.pages: dict[int, FrameKey] = {}

    def enter(
        self, memory: CallMemory, memory_offset: int, storage: StorageAccess, storage_offset: int, length: int
    ) -> list[tuple[int, FrameKey]]:
        """Let pages of memory stand for frames of storage; a length that is no whole number of them is rounded up.

        Returns:
            The pages that are new in the table, in order, with their frames.

        Raises:
            TrapError: A page fault: an offset is not that of a page or frame, or outside. Or a page stands for another
                frame already, or, where frames are exclusive, a frame stands in another page, of this call or another.
            LimitError: The page table would be too long.
        """
        if not length:
            return []
        size = self.frame_bytes
        for what, offset in (("memory", memory_offset), ("storage", storage_offset)):
            if offset % size:
                raise refuse_mapping(f"page fault: byte {offset:#x} of {what} is not where a page of {size:,} begins")
        count = -(-length // size)
        check_range(memory, memory_offset, storage, storage_offset, count * size, what="page fault: ")
        first, index = memory_offset // size, storage_offset // size
        new = []
        for step in range(count):
            storage.count_work(size)
            key = FrameKey(*self.owner, index + step, size)
            if self._enter(first + step, key):
                new.append((first + step, key))
        if memory_offset in self._entered:
            self._entered[memory_offset] += new
        elif new:
            self._entered[memory_offset] = new
        return new

    def leave(self, memory_offset: int) -> list[tuple[int, FrameKey]]:
        """Take out the pages that a mapping at this offset entered; return them, with their frames.

        Raises:
            TrapError: None did.
        """
        left = self._entered.pop(memory_offset, None)
        if left is None:
            raise nothing_mapped(memory_offset)
        for number, _ in left:
            del self.pages[number]
        others: dict[FrameKey, int] = {}
        for number, key in self.pages.items():
            others.setdefault(key, number)
        for _, key in left:
            if key in others:
                self._first_pages[key] = others[key]
            elif self._first_pages.pop(key, None) is not None:
                self._frames.let_go([key])
        return left

    def _enter(self, number: int, key: FrameKey) -> bool:
        """Enter one page; ``False`` if it stands for that frame already."""
        standing = self.pages.get(number)
        if standing is not None and standing != key:
            raise refuse_mapping(f"page {number:,} of memory stands for frame {standing.index:,} already")
        if standing is not None:
            return False
        first = self._first_pages.get(key)
        if first is not None and self.exclusive is not ExclusivePolicy.NONE:
            raise refuse_mapping(f"frame {key.index:,} stands in page {first:,} already, and is exclusive")
        if len(self.pages) >= PAGES_MAX:
            raise LimitError(
                f"a page table would have more than {PAGES_MAX:,} pages", hint="longer frames make fewer of them"
            )
        if first is None:
            self._frames.hold(key, self)
            self._first_pages[key] = number
        self._frames.frame(key)
        self.pages[number] = key
        return True

    def page_of(self, key: FrameKey) -> int:
        """Return the first page that was to stand for a frame."""
        return self._first_pages[key]

    def release(self) -> None:
        """Let go of all frames: the call is over, and so are the calls that it made."""
        self._frames.let_go(self._first_pages)

    def runs(self) -> Iterator[PageRun]:
        """The table in order, pages side by side that stand for frames side by side together."""
        return page_runs(sorted(self.pages.items()))

    def ranges(self) -> tuple[tuple[int, int, int], ...]:
        """Return the table in bytes: offsets in memory and in storage, and lengths, of the runs."""
        size = self.frame_bytes
        return tuple((run.page * size, run.frame * size, run.count * size) for run in self.runs())

    def written(self, key: FrameKey) -> None:
        """Mark a frame as written."""
        self._frames.frame(key).dirty = True

    def stands_at(self, offset: int, length: int) -> bool:
        """Whether any of some bytes of memory stand for storage."""
        size = self.frame_bytes
        first, end = offset // size, -(-(offset + length) // size)
        if end - first > len(self.pages):
            return any(first <= number < end for number in self.pages)
        return any(number in self.pages for number in range(first, end))


def _check_shared(key: FrameKey, holders: list[PageTable], table: PageTable) -> None:
    """Check that a call may share a frame with those that hold it. If one of these is exclusive, it is the only one.

    Raises:
        TrapError: It may not.
    """
    first = holders[0]
    if first.exclusive is not ExclusivePolicy.TRANSACTION and table.exclusive is not ExclusivePolicy.TRANSACTION:
        return
    raise TrapError(
        f"storageMap: frame {key.index:,} of {key.frame_bytes:,} bytes stands in page {first.page_of(key):,} of the "
        f"call at depth {first.depth:,}, and is exclusive in the transaction",
        code="frame_held",
        hint="let a call that comes back map other frames, or use the exclusive policy call",
    )


def page_runs(pages: Iterable[tuple[int, FrameKey]]) -> Iterator[PageRun]:
    """Pages with their frames, in order; those side by side that stand for frames side by side together."""
    first = frame = count = 0
    for number, key in pages:
        if count and (number, key.index) == (first + count, frame + count):
            count += 1
            continue
        if count:
            yield PageRun(first, frame, count)
        first, frame, count = number, key.index, 1
    if count:
        yield PageRun(first, frame, count)


class Paged(StorageMapOption):
    """Paging by the host, through a frame table and a page table for each call (the seed's second proposal)."""

    name = "paged"
    summary = "the host keeps frames of storage and a page table for each call, and copies changed pages at each call"


class PagedMappings(Mappings):
    """The pages of one call.

    Args:
        memory: The contract's memory.
        storage: Its storage.
        table: Its page table, empty as yet.
    """

    option = "paged"

    def __init__(self, memory: CallMemory, storage: StorageAccess, table: PageTable) -> None:
        self._memory = memory
        self._storage = storage
        self.table = table
        self._loaded: dict[int, bytes] = {}  # by page: the bytes that it and its frame had in common last

    def peek(self, offset: int, length: int) -> bytes:
        """Return bytes of the call's memory."""
        return self._memory.read(offset, length)

    def map(self, memory_offset: int, storage_offset: int, length: int) -> None:
        """Let pages of memory stand for frames of storage, and copy those in.

        Raises:
            TrapError: A page fault, or the table refuses it.
            LimitError: The page table would be too long.
        """
        size = self.table.frame_bytes
        for number, frame in self.table.enter(self._memory, memory_offset, self._storage, storage_offset, length):
            data = self._storage.read_mapped(frame.index * size, size)
            self._memory.write(number * size, data)
            self._loaded[number] = data

    def suspend(self) -> None:
        """Write changed pages to their frames, in the order of pages: of two that stand for one frame the last wins."""
        size = self.table.frame_bytes
        for number, frame in sorted(self.table.pages.items()):
            self._storage.count_work(size)
            now = self._memory.read(number * size, size)
            if now != self._loaded[number]:
                self._storage.write_mapped(frame.index * size, now)
                self.table.written(frame)
                self._loaded[number] = now

    def flush(self) -> None:
        """Write changed pages to their frames."""
        self.suspend()

    def unmap(self, memory_offset: int) -> None:
        """Write changed pages to their frames, and take those of one mapping out of the table.

        Raises:
            TrapError: No mapping that entered pages begins there.
        """
        self.suspend()
        size = self.table.frame_bytes
        for number, _ in self.table.leave(memory_offset):
            del self._loaded[number]
            self._memory.write(number * size, bytes(size))

    def resume(self) -> None:
        """Bring frames that changed into their pages."""
        size = self.table.frame_bytes
        for number, frame in self.table.pages.items():
            data = self._storage.read_mapped(frame.index * size, size)
            if data != self._loaded[number]:
                self._memory.write(number * size, data)
                self._loaded[number] = data

    def ranges(self) -> tuple[tuple[int, int, int], ...]:
        """Return what the page table maps."""
        return self.table.ranges()

    def end(self) -> None:
        """Write changed pages to their frames."""
        self.suspend()

    def release(self) -> None:
        """Let go of the frames."""
        self.table.release()
