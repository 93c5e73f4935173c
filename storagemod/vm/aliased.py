"""The option ``aliased``: frames of storage mapped shared into the memory of each call that maps them.

This is the seed's second proposal with its optimised implementation taken to the end. The page tables are those of the
machine: a page of a call's memory *is* its frame. A frame is filled once a transaction; nothing is copied at calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import define, frozen

from storagemod.errors import LinkError, StateError, TrapError
from storagemod.pages import PAGE_BYTES, FrameFile, PageBackend, SharedView, why_not_shared
from storagemod.vm.layout import static_write
from storagemod.vm.paged import FrameKey, PageTable, page_runs
from storagemod.vm.storage_map import CallMemory, Mappings, StorageMapOption
from storagemod.wasm import LinearMemory

if TYPE_CHECKING:
    from storagemod.vm.storage import StorageAccess


class Aliased(StorageMapOption):
    """Paging by the machine: frames mapped shared (the seed's second proposal, its optimised implementation)."""

    name = "aliased"
    summary = "the machine maps frames of storage into the contract's memory, and nothing is copied at calls"


def check_aliasing(backend: PageBackend) -> None:
    """See that the machine can do it.

    Raises:
        LinkError: It cannot.
    """
    reason = why_not_shared(backend)
    if reason is not None:
        raise LinkError(
            f"the linking option aliased does not work here: {reason}",
            hint="paged does the same by copying, anywhere",
        )


@define(eq=False)
class _Shown:
    """A run of frames in memory, at an offset."""

    memory_offset: int
    view: SharedView


class AliasedMappings(Mappings):
    """The pages of one call.

    Args:
        memory: The contract's memory.
        storage: Its storage.
        frames: Where the pages are kept.
        table: Its page table, empty as yet. Its frames are whole pages of the machine.
        writing: Whether stores to the pages are let through. If not, they trap (rule 6).
    """

    option = "aliased"

    def __init__(
        self, memory: LinearMemory, storage: StorageAccess, frames: FrameFile, table: PageTable, *, writing: bool
    ) -> None:
        self._memory = memory
        self._storage = storage
        self._frames = frames
        self.table = table
        self._writing = writing
        self._shown: list[_Shown] = []

    def peek(self, offset: int, length: int) -> bytes:
        """Return bytes of the call's memory."""
        return self._memory.read(offset, length)

    def map(self, memory_offset: int, storage_offset: int, length: int) -> None:
        """Let pages of memory be frames of storage.

        Raises:
            TrapError: A page fault, or the table refuses it.
            LimitError: The page table would be too long, or storage.
            StateError: The system refuses; it ends the transaction.
        """
        size = self.table.frame_bytes
        new = self.table.enter(self._memory, memory_offset, self._storage, storage_offset, length)
        for run in page_runs(new):
            view = self._storage.share(
                self._frames, self._memory, run.page * size, run.frame * size, run.count * size, writing=self._writing
            )
            self._shown.append(_Shown(run.page * size, view))

    def suspend(self) -> None:
        """Nothing: storage has what was written."""

    def resume(self) -> None:
        """Nothing: memory has what was written."""

    def end(self) -> None:
        """Nothing: storage has what was written."""

    def flush(self) -> None:
        """Take in what was written, so that storage is as long as that needs."""
        self.settle()

    def unmap(self, memory_offset: int) -> None:
        """Take the pages of one mapping out of memory.

        Raises:
            TrapError: No mapping that entered pages begins there.
            StateError: The system refuses; it ends the transaction.
        """
        self.settle()
        left = {number * self.table.frame_bytes for number, _ in self.table.leave(memory_offset)}
        for shown in [each for each in self._shown if each.memory_offset in left]:
            self._storage.live.hide(shown.view)
            self._shown.remove(shown)

    def ranges(self) -> tuple[tuple[int, int, int], ...]:
        """Return what the page table maps."""
        return self.table.ranges()

    def settle(self) -> None:
        """Say which pages were written."""
        owner, size = self.table.owner, self.table.frame_bytes
        for number in self._storage.take_shared(self._written()):
            self.table.written(FrameKey(*owner, number * PAGE_BYTES // size, size))

    def release(self) -> None:
        """Let go of the frames, and take their pages out of the call's memory.

        Raises:
            StateError: The system refuses; the transaction is over.
        """
        self.table.release()
        try:
            for shown in self._shown:
                shown.view.hide()
        except OSError as error:
            raise StateError(f"shared storage cannot be taken out of memory: {error}", cause=error) from error

    def _written(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of the pages that may have been written, read where the contract has them."""
        for shown in self._shown:
            for number in shown.view.written():
                self._storage.count_work(PAGE_BYTES)
                at = shown.memory_offset + (number - shown.view.first) * PAGE_BYTES
                yield number, self._memory.read(at, PAGE_BYTES)

    def guard(self, memory: CallMemory) -> CallMemory:
        """The memory without its pages of storage, for writing, where those must not be written.

        A fault in the host would end the process.
        """
        return memory if self._writing else _ReadOnlyPages(memory, self.table)

    def forbidden(self, offset: int) -> TrapError | None:
        """A store to a page that must not be written, if it was one."""
        return static_write() if not self._writing and self.table.stands_at(offset, 1) else None


@frozen(eq=False)
class _ReadOnlyPages:
    """A contract's memory in which pages of a page table must not be written."""

    memory: CallMemory
    table: PageTable

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out; a range outside traps."""
        return self.memory.read(offset, length)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Copy bytes in; a range outside traps, and so does one in those pages."""
        if self.table.stands_at(offset, len(data)):
            raise static_write()
        self.memory.write(offset, data)
