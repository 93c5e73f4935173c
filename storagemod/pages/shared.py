"""Pages of a live memory that other memories show as well: pages of a memory file, mapped shared wherever they appear.

What is written through one memory is there in all of them, without copying. The pages are put into the file once and
then stand in the live memory itself, so that whoever reads or writes that memory sees them too.
Source: mmap(2), ``MAP_SHARED``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from attrs import define, field

from storagemod.pages import _libc
from storagemod.pages.file_image import MemoryFile, PageFile, write_all
from storagemod.pages.live import LiveMemory
from storagemod.pages.page import PAGE_BYTES, ZERO_PAGE, runs_of


class Watch(Protocol):
    """Notes what is done to one run of mapped pages, through the addresses where it is mapped."""

    def written(self) -> Sequence[tuple[int, int]]:
        """The pages written since the last time, as runs: the first, counted from the first mapped one, and how many.

        A page may be told that holds the same bytes as before; none that changed is left out.
        """

    def touched(self) -> Sequence[tuple[int, int]]:
        """The pages read or written since it was made, as runs."""


NewWatch = Callable[[int, int], Watch]
"""Begins to watch pages at an address, so many of them."""


@define(eq=False)
class SharedView:
    """A run of shared pages as another memory shows it. Mapped until that memory is gone.

    Attributes:
        first: The first page, as the sharing memory counts.
        count: How many pages.
    """

    first: int
    count: int
    _watch: Watch | None = field(repr=False)
    _address: int = field(repr=False)

    def written(self) -> list[int]:
        """The pages that may have been written through it since the last time; all of them where no one can tell."""
        runs = [(0, self.count)] if self._watch is None else self._watch.written()
        return self._numbers(runs)

    def touched(self) -> list[int]:
        """The pages that were read or written through it; none where no one can tell."""
        return self._numbers(() if self._watch is None else self._watch.touched())

    def hide(self) -> None:
        """Put zeros of its own into the memory, in place of the shared pages.

        Raises:
            OSError: The system has no more mappings.
        """
        _libc.map_anonymous(self._address, self.count * PAGE_BYTES)
        self.count = 0

    def _numbers(self, runs: Sequence[tuple[int, int]]) -> list[int]:
        return [self.first + at for first, count in runs for at in range(first, first + count)]


class SharedPages:
    """The pages of one live memory that are shared.

    Args:
        memory: The live memory; it does not move.
        file: A memory file.
        start: Where it keeps the pages of this memory, one after another, in bytes. Nothing was written there yet.
        new_watch: How writes are noted, or ``None`` where each page has to be looked at.

    Attributes:
        numbers: Which pages are shared.
    """

    def __init__(self, memory: LiveMemory, file: PageFile, start: int, new_watch: NewWatch | None) -> None:
        self._memory = memory
        self._file = file
        self._start = start
        self._new_watch = new_watch
        self._own: list[SharedView] = []
        self._views: list[SharedView] = []
        self._seen: set[int] = set()  # touched through views that are hidden
        self.numbers: set[int] = set()

    def share(self, pages: Mapping[int, bytes]) -> int:
        """Put pages that hold these bytes in place of those that the memory has; they are shared from now on.

        Returns:
            How many were copied: pages of zeros are not, as the file has zeros where nothing was written.

        Raises:
            OSError: There is no room for them, or they cannot be mapped.
        """
        filled = {number: data for number, data in pages.items() if data != ZERO_PAGE}
        self.put_back(filled)
        for first, count in runs_of(sorted(pages)):
            self._own.append(self.show(self._memory, first, first, count, writing=True))
        self.numbers.update(pages)
        return len(filled)

    def show(self, memory: LiveMemory, at: int, first: int, count: int, *, writing: bool) -> SharedView:
        """Show pages ``first`` and on in a memory from its page ``at`` on, in place of what is there.

        Without ``writing`` a store to them faults.

        Raises:
            OSError: They cannot be mapped.
        """
        address, offset = memory.base + at * PAGE_BYTES, self._start + first * PAGE_BYTES
        self._file.reserve(offset + count * PAGE_BYTES)  # what is mapped beyond a file's end kills who touches it
        _libc.map_shared(address, count * PAGE_BYTES, self._file.fd, offset, writing=writing)
        watch = None if self._new_watch is None else self._new_watch(address, count)
        view = SharedView(first, count, watch, address)
        self._views.append(view)
        return view

    def put_back(self, pages: Mapping[int, bytes]) -> None:
        """Set the bytes of pages, whatever the memories that show them allow. It does not count as writing.

        Raises:
            OSError: There is no room for them.
        """
        for first, count in runs_of(sorted(pages)):
            data = b"".join(pages[number] for number in range(first, first + count))
            self._file.reserve(self._start + (first + count) * PAGE_BYTES)
            write_all(self._file.fd, data, self._start + first * PAGE_BYTES)

    def written(self) -> list[int]:
        """The pages that may have been written since the last time through the live memory itself."""
        return [number for view in self._own for number in view.written()]

    def touched(self) -> set[int]:
        """The pages that were read or written since they were shared, wherever they are shown."""
        return self._seen.union(*(view.touched() for view in self._views))

    def hide(self, view: SharedView) -> None:
        """Take a view out of the memory that shows it, where others may be shown in its place.

        Raises:
            OSError: The system has no more mappings.
        """
        self._seen.update(view.touched())
        self._views.remove(view)
        view.hide()


class FrameFile:
    """The memory file of a transaction, made when its first page is shared.

    Args:
        new_watch: How writes to shared pages are noted, or ``None`` where each of them has to be looked at.

    Attributes:
        is_open: Whether any page was shared since it was closed.
    """

    def __init__(self, new_watch: NewWatch | None) -> None:
        self._new_watch = new_watch
        self._file: MemoryFile | None = None
        self.is_open = False

    def share(self, memory: LiveMemory) -> SharedPages:
        """Begin to share pages of a memory.

        Raises:
            OSError: The system has no more files.
        """
        if self._file is None:
            self._file = MemoryFile()
            self.is_open = True
        return SharedPages(memory, self._file, self._file.new_slot(), self._new_watch)

    def close(self) -> None:
        """Close the file; what is mapped stays mapped. The next page that is shared gets a new one."""
        if self._file is not None:
            file, self._file = self._file, None
            self.is_open = False
            file.close()
