"""Images in files: sparse files on disk, parts of one file in memory, and newer pages over either."""

from __future__ import annotations

import errno
import os
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from heapq import merge
from itertools import groupby, pairwise
from typing import Protocol

import attrs

from storagemod.errors import StateError
from storagemod.pages._libc import punch_hole
from storagemod.pages.image import EXTENTS_MAX, Extent, Replacements, WritableImage
from storagemod.pages.page import PAGE_BYTES, PAGES_PER_WASM_PAGE, ZERO_PAGE, intern_zero, runs_of

_GAP_PAGES = 16
"""Pages of zeros between two extents that are mapped along with them rather than ending one."""

PENDING_PAGES_MAX = 256
"""Replaced pages, 1 MiB, that an image keeps in memory before it writes them into its file."""


class PageFile(Protocol):
    """A file that images lie in. Files are never shortened: what is mapped beyond a file's end kills the reader."""

    @property
    def fd(self) -> int:
        """Its descriptor now. It changes when the file had to be closed meanwhile."""

    def reserve(self, end: int) -> None:
        """Make the file at least so many bytes long."""


class FileImage:
    """An image whose pages lie in a file, one after another, from ``start`` on. It may have holes.

    Replaced pages stay in memory as *pending* pages until the image is mapped, or until there are too many of them.
    A commit of a few pages then costs no system call. ``page`` and ``pages`` know them; a mapping that was made
    earlier, and drops pages of its own, shows the older ones of the file.

    Args:
        file: The file.
        start: Where page 0 begins, in bytes; a multiple of 4 KiB.
        wasm_pages: Its length.
        pages_in_file: How many pages of 4 KiB the file has already; the others are zeros until they are replaced.
            Those beyond the length do not count, and are dropped at the next replacement.
        pending_pages_max: How many pages may be pending. With 0, each replacement is written at once.
    """

    __slots__ = (
        "_file",
        "_islands",
        "_pending",
        "_pending_pages_max",
        "_replacements",
        "_start",
        "spare",
        "version",
        "wasm_pages",
    )

    def __init__(
        self,
        file: PageFile,
        start: int,
        wasm_pages: int = 0,
        *,
        pages_in_file: int = 0,
        pending_pages_max: int = PENDING_PAGES_MAX,
    ) -> None:
        self.wasm_pages = wasm_pages
        self.spare = 0
        self.version = 0
        self._file = file
        self._start = start
        self._pending: dict[int, bytes] = {}
        self._pending_pages_max = pending_pages_max
        self._replacements = Replacements()
        self._islands = _Islands()  # they reach beyond the length where a replacement failed, or the file is longer
        if pages_in_file:
            self._islands.add(0, pages_in_file)

    @property
    def _end(self) -> int:
        return self.wasm_pages * PAGES_PER_WASM_PAGE

    def page(self, number: int) -> bytes:
        """Return one page of 4 KiB; zeros beyond the length.

        Raises:
            StateError: The file cannot be read.
        """
        data = self._pending.get(number)
        if data is not None:
            return data
        if number >= self.wasm_pages * PAGES_PER_WASM_PAGE or number not in self._islands:
            return ZERO_PAGE
        return self._read(number)

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number and the bytes of every page that is not all zeros, in order.

        Raises:
            StateError: The file cannot be read.
        """
        islands = self._islands.before(self._end)
        in_file = (number for first, end in islands for number in self._data_pages(first, end))
        for number, _ in groupby(merge(in_file, sorted(self._pending))):
            data = self.page(number)
            if data is not ZERO_PAGE and data != ZERO_PAGE:
                yield number, data

    def replaced_since(self, version: int) -> Collection[int] | None:
        """Return the pages replaced since a version; ``None`` if that is not known any more."""
        return self._replacements.since(version, self.version)

    def extents(self, at_most: int = EXTENTS_MAX) -> tuple[Sequence[Extent], Sequence[int]]:
        """Write the pending pages, and return where all pages are, in at most so many pieces; none is to be copied.

        Raises:
            OSError: The file cannot be written; the image is as it was.
        """
        self.flush()
        ranges = _fewer(self._islands.before(self._end), at_most)
        return [self.extent(first, end - first) for first, end in ranges], ()

    def extent(self, first: int, count: int) -> Extent:
        """Return where some pages are in the file, whether they hold anything or not."""
        offset = self._start + first * PAGE_BYTES
        self._file.reserve(offset + count * PAGE_BYTES)
        return Extent(self._file.fd, offset, first, count)

    def flush(self) -> None:
        """Write the pending pages into the file.

        Raises:
            OSError: The file cannot be written; all pages are still pending.
        """
        if self._pending:
            self._write_pages(self._pending, self._end)
            self._pending = {}

    def replace(self, wasm_pages: int, pages: Mapping[int, bytes], spare: int = 0) -> None:
        """Set the length, and the bytes of some pages; pages beyond the length are dropped.

        Raises:
            OSError: The file cannot be written; some of the pages may have been.
        """
        self.version += 1  # first: an interruption must not leave new bytes under an old version
        end = wasm_pages * PAGES_PER_WASM_PAGE
        if pages and max(pages) >= end:
            pages = {number: data for number, data in pages.items() if number < end}
        in_file = self._islands.end
        if in_file > end or in_file > self.wasm_pages * PAGES_PER_WASM_PAGE:
            self._drop_from(min(end, self._end))
        pending = self._pending
        numbers = pages.keys()
        shorter = wasm_pages < self.wasm_pages  # drops pages that are not named
        if shorter:
            pending = {number: data for number, data in pending.items() if number < end}
        if len(pending) + len(pages) > self._pending_pages_max:
            self._write_pages({**pending, **pages}, end)  # until this is done, what is pending hides what it writes
            pending, pages = {}, {}
        self.wasm_pages, self.spare = wasm_pages, spare
        self._pending = pending
        pending.update(pages)
        if not shorter:
            self._replacements.note(self.version, numbers)

    def _drop_from(self, end: int) -> None:
        """Make all pages of the file from one on zeros."""
        self._clear(end, self._islands.end)
        self._islands.cut(end)

    def _write_pages(self, pages: Mapping[int, bytes], end: int) -> None:
        """Write pages into the file, which becomes long enough for ``end`` pages if any holds data."""
        for first, data in _joined(pages):
            if data:
                after = first + len(data) // PAGE_BYTES
                self._file.reserve(self._start + max(after, end) * PAGE_BYTES)
                self._islands.add(first, after)
                self._write(first, data)
            elif first in self._islands:
                self._clear(first, first + 1)

    def _read(self, number: int) -> bytes:
        try:
            data = read_all(self._file.fd, PAGE_BYTES, self._start + number * PAGE_BYTES)
        except OSError as error:
            raise StateError(f"page {number} of an image cannot be read: {error}", cause=error) from error
        return intern_zero(data if len(data) == PAGE_BYTES else data.ljust(PAGE_BYTES, b"\0"))

    def _write(self, first: int, data: bytes) -> None:
        write_all(self._file.fd, data, self._start + first * PAGE_BYTES)

    def _clear(self, first: int, end: int) -> None:
        """Make pages zeros, if possible as a hole."""
        offset = self._start + first * PAGE_BYTES
        if not punch_hole(self._file.fd, offset, (end - first) * PAGE_BYTES):
            for number in self._data_pages(first, end):
                if self._read(number) is not ZERO_PAGE:
                    self._write(number, ZERO_PAGE)

    def _data_pages(self, first: int, end: int) -> Iterator[int]:
        """Yield the pages that are no holes of the file."""
        stop = self._start + end * PAGE_BYTES
        at = self._start + first * PAGE_BYTES
        while at < stop:
            try:
                data = os.lseek(self._file.fd, at, os.SEEK_DATA)
                hole = os.lseek(self._file.fd, data, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # holes all the way
                    return
                raise StateError(f"an image cannot be read: {error}", cause=error) from error
            low = (data - self._start) // PAGE_BYTES
            high = -(-(min(hole, stop) - self._start) // PAGE_BYTES)  # a hole may begin within a page
            yield from range(low, high)
            at = self._start + high * PAGE_BYTES


class OverlayImage:
    """Newer pages over an image whose file must not be written yet. A page above hides the one below, zeros too.

    Args:
        base: The image below, which writes at once. Only :meth:`settle` changes it.
        upper: An empty image that takes the newer pages. The overlay can be mapped if this one is in a file.
    """

    __slots__ = (
        "_base",
        "_base_end",
        "_newer",
        "_replacements",
        "_upper",
        "_upper_is_mapped",
        "spare",
        "version",
        "wasm_pages",
    )

    def __init__(self, base: FileImage, upper: WritableImage) -> None:
        self.wasm_pages = base.wasm_pages
        self.spare = 0
        self.version = 0
        self._base = base
        self._base_end = base.wasm_pages * PAGES_PER_WASM_PAGE  # of what still shows: less, once it was shortened
        self._upper = upper
        self._upper_is_mapped = False
        self._newer: set[int] = set()
        self._replacements = Replacements()

    @property
    def newer_pages(self) -> int:
        """Number of pages that lie over the base."""
        return len(self._newer)

    @property
    def settled(self) -> bool:
        """Whether the base shows the same."""
        return not self._newer and self._base_end == self._base.wasm_pages * PAGES_PER_WASM_PAGE == self._end

    @property
    def _end(self) -> int:
        return self.wasm_pages * PAGES_PER_WASM_PAGE

    def page(self, number: int) -> bytes:
        """Return one page of 4 KiB; zeros beyond the length."""
        if number in self._newer:
            return self._upper.page(number)
        return self._base.page(number) if number < self._base_end else ZERO_PAGE

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number and the bytes of every page that is not all zeros, in order."""
        below = {number for number, _ in self._base.pages()}
        for number in sorted(below | self._newer):
            data = self.page(number)
            if data is not ZERO_PAGE and data != ZERO_PAGE:
                yield number, data

    def replaced_since(self, version: int) -> Collection[int] | None:
        """Return the pages replaced since a version; ``None`` if that is not known any more."""
        return self._replacements.since(version, self.version)

    def extents(self, at_most: int = EXTENTS_MAX) -> tuple[Sequence[Extent], Sequence[int]]:
        """Return where its pages are: first those of the base, then the newer ones over them, or those to be copied.

        Raises:
            OSError: The upper file cannot be written.
        """
        upper = self._upper
        if not isinstance(upper, FileImage):
            raise TypeError("an overlay can be mapped if its newer pages are in a file")
        below = [
            attrs.evolve(extent, page_count=min(extent.page_count, self._base_end - extent.first_page))
            for extent in self._base.extents(max(at_most // 2, 1))[0]
            if extent.first_page < self._base_end
        ]
        newer = sorted(self._newer)
        runs = list(runs_of(newer))
        if len(below) + len(runs) > at_most:
            return below, newer
        upper.flush()
        self._upper_is_mapped |= bool(newer)
        return below + [upper.extent(first, count) for first, count in runs], ()

    def replace(self, wasm_pages: int, pages: Mapping[int, bytes], spare: int = 0) -> None:
        """Set the length, and the bytes of some pages; pages beyond the length are dropped.

        Raises:
            OSError: The upper image cannot be written.
        """
        self.version += 1
        end = wasm_pages * PAGES_PER_WASM_PAGE
        if pages and max(pages) >= end:
            pages = {number: data for number, data in pages.items() if number < end}
        self._upper.replace(wasm_pages, pages)
        self._newer.update(pages)
        if wasm_pages < self.wasm_pages:
            self._base_end = min(self._base_end, end)
            self._newer = {number for number in self._newer if number < end}
        else:
            self._replacements.note(self.version, pages.keys())
        self.wasm_pages, self.spare = wasm_pages, spare

    def settle(self) -> None:
        """Write the newer pages and the length into the base. Afterwards nothing lies over it.

        Raises:
            OSError: The base cannot be written. Some pages may have been; all are still above, so try again.
        """
        if self._base_end < self._base.wasm_pages * PAGES_PER_WASM_PAGE:
            self._base.replace(self._base_end // PAGES_PER_WASM_PAGE, {})
        self._base.replace(self.wasm_pages, {number: self._upper.page(number) for number in self._newer})
        if self._upper_is_mapped:  # what is mapped there is about to become zeros
            self.version += 1
            self._upper_is_mapped = False
        self._newer.clear()
        self._base_end = self._end
        self._upper.replace(0, {})  # last: if this fails, what stays there does not show


def read_all(fd: int, count: int, offset: int) -> bytes:
    """Read bytes at an offset of a file, however few the system gives at a time; fewer only where the file ends.

    Raises:
        OSError: They cannot be read.
    """
    data = os.pread(fd, count, offset)
    while 0 < len(data) < count and (more := os.pread(fd, count - len(data), offset + len(data))):
        data += more
    return data


def write_all(fd: int, data: bytes, offset: int) -> None:
    """Write bytes at an offset of a file, however many the system takes at a time.

    Raises:
        OSError: There is no room for them.
    """
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count


def _fewer(ranges: list[tuple[int, int]], at_most: int) -> list[tuple[int, int]]:
    """Return ranges joined where the gaps between them are shortest, so that there are at most so many.

    A gap that is mapped takes memory when it is read: a memory file keeps the zeros that it shows.
    """
    if len(ranges) <= at_most:
        return ranges
    by_gap = sorted(range(1, len(ranges)), key=lambda at: ranges[at - 1][1] - ranges[at][0])
    starts = [0, *sorted(by_gap[: at_most - 1]), len(ranges)]
    return [(ranges[start][0], ranges[stop - 1][1]) for start, stop in pairwise(starts)]


def _joined(pages: Mapping[int, bytes]) -> Iterator[tuple[int, bytes]]:
    """Pages in order, neighbours joined into one piece; a page of zeros is an empty piece of its own."""
    first, parts = 0, list[bytes]()
    for number in sorted(pages):
        data = pages[number]
        zero = data is ZERO_PAGE or data == ZERO_PAGE
        if parts and (zero or number != first + len(parts)):
            yield first, b"".join(parts)
            parts = []
        if zero:
            yield number, b""
            continue
        if not parts:
            first = number
        parts.append(data)
    if parts:
        yield first, b"".join(parts)


class _Islands:
    """Ranges of page numbers in order, with gaps of more than ``_GAP_PAGES`` between them. At most ``EXTENTS_MAX``."""

    __slots__ = ("_ranges", "end")

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        self.end = 0  # of the last one

    def before(self, end: int) -> list[tuple[int, int]]:
        """Return the ranges as far as they lie before ``end``."""
        return [(first, min(last, end)) for first, last in self._ranges if first < end]

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._ranges, number, key=lambda each: each[0]) - 1
        return at >= 0 and number < self._ranges[at][1]

    def add(self, first: int, end: int) -> None:
        """Add a range, joined with those near it."""
        self.end = max(self.end, end)
        low = bisect_left(self._ranges, first - _GAP_PAGES, key=lambda each: each[1])
        high = bisect_right(self._ranges, end + _GAP_PAGES, key=lambda each: each[0])
        near = [(first, end), *self._ranges[low:high]]
        self._ranges[low:high] = [(min(each[0] for each in near), max(each[1] for each in near))]
        if len(self._ranges) > EXTENTS_MAX:
            at = min(range(1, len(self._ranges)), key=lambda at: self._ranges[at][0] - self._ranges[at - 1][1])
            self._ranges[at - 1 : at + 1] = [(self._ranges[at - 1][0], self._ranges[at][1])]

    def cut(self, end: int) -> None:
        """Take away what is not before ``end``."""
        self._ranges = self.before(end)
        self.end = self._ranges[-1][1] if self._ranges else 0


class MemoryFile:
    """A file in memory (memfd), cut into slots of 4 GiB of which only written pages take memory. Linux only.

    One file for all images of a world, because a process may not have many thousands of files.

    Raises:
        OSError: The system has none to give.
    """

    SLOT_BYTES = 1 << 32

    def __init__(self) -> None:
        self._fd = os.memfd_create("storagemod", os.MFD_CLOEXEC)
        self._end = 0
        self._slots = 0

    @property
    def fd(self) -> int:
        """Its descriptor."""
        return self._fd

    def reserve(self, end: int) -> None:
        """Make the file at least so many bytes long."""
        if end > self._end:
            os.ftruncate(self._fd, end)
            self._end = end

    def new_slot(self) -> int:
        """Return the offset of an unused slot."""
        self._slots += 1
        return (self._slots - 1) * self.SLOT_BYTES

    def new_image(self) -> FileImage:
        """Return an empty image in a slot of its own."""
        return FileImage(self, self.new_slot())

    def close(self) -> None:
        """Close the file; what is mapped stays mapped."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            self.close()
