"""The option ``paged``: storage as frames that the host keeps, and a page table for each call.

This is the seed's second proposal. A frame is a piece of storage of fixed length; the frame table lists those in use
with the contract that each belongs to, and lasts until the transaction ends. The frames' bytes are those of the storage
module's memory, so they are committed and undone like all storage. A page of a call's memory stands for a frame.
"""

from __future__ import annotations

from attrs import define, field, frozen

from storagemod.errors import LimitError
from storagemod.host import CallMemory
from storagemod.linking.storage_map import LinearStorage, StorageMapOption, check_range, refuse_mapping
from storagemod.types import Address

PAGES_MAX = 65_536
"""Pages in the page table of one call: 256 MiB of frames of 4 KiB. Small frames must not make a table without end."""


class Paged(StorageMapOption):
    """Paging by the host, through a frame table and a page table for each call (the seed's second proposal)."""

    name = "paged"
    summary = "the host keeps frames of storage and a page table for each call, and copies changed pages at each call"


@frozen
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

    def frame(self, key: FrameKey) -> Frame:
        """The entry of a frame, made at its first use."""
        return self.frames.setdefault(key, Frame())


@define
class _Page:
    """An entry of a page table: the frame that a page of memory stands for, and the bytes they had in common last."""

    frame: FrameKey
    loaded: bytes


class PagedMappings:
    """The page table of one call.

    Args:
        memory: The contract's memory.
        storage: Its storage.
        owner: The contract and region that the frames belong to.
        table: The frame table of the transaction.
        frame_bytes: Length of a frame, and of a page.
        exclusive: Whether a frame may stand in one page only, as capabilities want it.
    """

    def __init__(
        self,
        memory: CallMemory,
        storage: LinearStorage,
        owner: tuple[Address, str],
        table: FrameTable,
        *,
        frame_bytes: int,
        exclusive: bool,
    ) -> None:
        self._memory = memory
        self._storage = storage
        self._owner = owner
        self._table = table
        self._frame_bytes = frame_bytes
        self._exclusive = exclusive
        self._pages: dict[int, _Page] = {}
        self._first_pages: dict[FrameKey, int] = {}

    @property
    def pages(self) -> dict[int, FrameKey]:
        """The page table: frames by the number of the page that stands for them."""
        return {number: page.frame for number, page in self._pages.items()}

    def map(self, memory_offset: int, storage_offset: int, length: int) -> None:
        """Let pages of memory stand for frames of storage; a length that is no whole number of them is rounded up.

        Raises:
            TrapError: A page fault: an offset is not that of a page or frame, or outside. Or a page stands for another
                frame already, or, where frames are exclusive, a frame stands in another page.
            LimitError: The page table would be too long.
        """
        if not length:
            return
        size = self._frame_bytes
        for what, offset in (("memory", memory_offset), ("storage", storage_offset)):
            if offset % size:
                raise refuse_mapping(f"page fault: byte {offset:#x} of {what} is not where a page of {size:,} begins")
        count = -(-length // size)
        check_range(self._memory, memory_offset, self._storage, storage_offset, count * size, what="page fault: ")
        for step in range(count):
            self._map_page(memory_offset // size + step, FrameKey(*self._owner, storage_offset // size + step, size))

    def _map_page(self, number: int, key: FrameKey) -> None:
        standing = self._pages.get(number)
        if standing is not None and standing.frame != key:
            raise refuse_mapping(f"page {number:,} of memory stands for frame {standing.frame.index:,} already")
        if standing is not None:
            return
        first = self._first_pages.setdefault(key, number)
        if self._exclusive and first != number:
            raise refuse_mapping(f"frame {key.index:,} stands in page {first:,} already, and is exclusive")
        if len(self._pages) >= PAGES_MAX:
            raise LimitError(
                f"a page table would have more than {PAGES_MAX:,} pages", hint="longer frames make fewer of them"
            )
        self._table.frame(key)
        data = self._storage.read(key.index * self._frame_bytes, self._frame_bytes)
        self._memory.write(number * self._frame_bytes, data)
        self._pages[number] = _Page(key, data)

    def suspend(self) -> None:
        """Write changed pages to their frames, in the order of pages: of two that stand for one frame the last wins."""
        for number, page in sorted(self._pages.items()):
            now = self._memory.read(number * self._frame_bytes, self._frame_bytes)
            if now != page.loaded:
                self._storage.write(page.frame.index * self._frame_bytes, now)
                self._table.frame(page.frame).dirty = True
                page.loaded = now

    def resume(self) -> None:
        """Bring frames that changed into their pages."""
        for number, page in self._pages.items():
            data = self._storage.read(page.frame.index * self._frame_bytes, self._frame_bytes)
            if data != page.loaded:
                self._memory.write(number * self._frame_bytes, data)
                page.loaded = data

    def end(self) -> None:
        """Write changed pages to their frames."""
        self.suspend()
