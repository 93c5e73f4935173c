"""The committed bytes of one region of storage, and changes of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from attrs import frozen

from storagemod.pages.page import PAGE_BYTES, PAGES_PER_WASM_PAGE, ZERO_PAGE, Run, merged_runs
from storagemod.types import WASM_PAGE_BYTES


class Image(Protocol):
    """Committed bytes: sparse; pages that were never written are zeros."""

    @property
    def wasm_pages(self) -> int:
        """Length in Wasm pages of 64 KiB, rounded up."""

    @property
    def spare(self) -> int:
        """How many bytes of the last Wasm page are beyond the length, 0 to 65,535. They are zeros."""

    @property
    def version(self) -> int:
        """Number that grows whenever the bytes or the length change, or a mapping of its extents becomes invalid."""

    def page(self, number: int) -> bytes:
        """Return one page of 4 KiB; zeros beyond the length."""

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number and the bytes of every page that is not all zeros, in order."""

    def replaced_since(self, version: int) -> Collection[int] | None:
        """Return the pages replaced since a version: all else is as it was then. ``None`` if that is not known."""


class WritableImage(Image, Protocol):
    """An image that a commit changes."""

    def replace(self, wasm_pages: int, pages: Mapping[int, bytes], spare: int = 0) -> None:
        """Set the length, and the bytes of some pages; pages beyond the length are dropped."""


@frozen
class Extent:
    """Pages of an image that lie side by side in a file, where they can be mapped."""

    fd: int
    offset: int
    """Of the first byte in the file; a multiple of 4 KiB."""
    first_page: int
    page_count: int


EXTENTS_MAX = 64
"""Pieces in which an image is mapped at most. Where there would be more, gaps are mapped too, or pages are copied."""


class MappableImage(Image, Protocol):
    """An image in files."""

    def extents(self, at_most: int = EXTENTS_MAX) -> tuple[Sequence[Extent], Sequence[int]]:
        """Return where its pages are, in at most so many pieces, and numbers of pages to be copied over those.

        Pages of no extent are zeros; those of several are in the last one.
        """


_REPLACEMENTS_KEPT = 8
_REPLACED_PAGES_KEPT = 16


class Replacements:
    """The last replacements of an image, as page numbers: memory that shows an older version can follow them.

    A version that is not noted makes everything before it unknown. Memory: at most 8 times 16 numbers.
    """

    __slots__ = ("_newest", "_pages")

    def __init__(self) -> None:
        self._newest = 0
        self._pages: deque[Collection[int]] = deque(maxlen=_REPLACEMENTS_KEPT)

    def note(self, version: int, pages: Collection[int]) -> None:
        """Take in that these pages were replaced, which made this version of the one before."""
        if len(pages) > _REPLACED_PAGES_KEPT or version != self._newest + 1:
            self._pages.clear()
        if len(pages) <= _REPLACED_PAGES_KEPT:
            self._pages.append(tuple(pages))
        self._newest = version

    def since(self, version: int, newest: int) -> Collection[int] | None:
        """Return the pages replaced since a version; ``None`` if that is not known up to the newest one."""
        missing = newest - version
        kept = len(self._pages)
        if newest != self._newest or not 0 <= missing <= kept:
            return None
        if missing == 1:
            return self._pages[-1]
        return {number for pages in islice(self._pages, kept - missing, None) for number in pages}


class NoImage:
    """The image where nothing was ever committed: of length 0, and all zeros."""

    wasm_pages = 0
    spare = 0
    version = 0

    def page(self, number: int) -> bytes:  # noqa: ARG002 - all are alike
        """Return zeros."""
        return ZERO_PAGE

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Yield nothing."""
        return iter(())

    def replaced_since(self, version: int) -> Collection[int]:  # noqa: ARG002 - nothing ever is
        """Return nothing."""
        return ()

    def extents(self, at_most: int = EXTENTS_MAX) -> tuple[Sequence[Extent], Sequence[int]]:  # noqa: ARG002 - none
        """Return nothing."""
        return (), ()


NO_IMAGE = NoImage()


class MemoryImage:
    """An image in a dictionary of pages. Memory: the pages that are not zero."""

    __slots__ = ("_pages", "_replacements", "spare", "version", "wasm_pages")

    def __init__(self, wasm_pages: int = 0) -> None:
        self.wasm_pages = wasm_pages
        self.spare = 0
        self.version = 0
        self._pages: dict[int, bytes] = {}
        self._replacements = Replacements()

    def page(self, number: int) -> bytes:
        """Return one page of 4 KiB; zeros beyond the length."""
        return self._pages.get(number, ZERO_PAGE)

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number and the bytes of every page that is not all zeros, in order."""
        return iter(sorted(self._pages.items()))

    def replaced_since(self, version: int) -> Collection[int] | None:
        """Return the pages replaced since a version; ``None`` if that is not known any more."""
        return self._replacements.since(version, self.version)

    def replace(self, wasm_pages: int, pages: Mapping[int, bytes], spare: int = 0) -> None:
        """Set the length, and the bytes of some pages; pages beyond the length are dropped."""
        end = wasm_pages * PAGES_PER_WASM_PAGE
        self.version += 1  # first: an interruption must not leave new bytes under an old version
        shorter = wasm_pages < self.wasm_pages  # drops pages that are not named
        if shorter:
            self._pages = {number: data for number, data in self._pages.items() if number < end}
        self.wasm_pages, self.spare = wasm_pages, spare
        for number, data in pages.items():
            if data is ZERO_PAGE or number >= end or data == ZERO_PAGE:
                self._pages.pop(number, None)
            else:
                self._pages[number] = data
        if not shorter:
            self._replacements.note(self.version, pages.keys())


def image_length(image: Image) -> int:
    """Return the length of an image, in bytes."""
    return image.wasm_pages * WASM_PAGE_BYTES - image.spare


def coded_length(wasm_pages: int, spare: int) -> int:
    """Return a length as it is kept and hashed: in Wasm pages if it is some, and otherwise in bytes, negative.

    So regions of whole Wasm pages have the roots and rows that they had before there were others.
    """
    return spare - wasm_pages * WASM_PAGE_BYTES if spare else wasm_pages


def decoded_length(code: int) -> tuple[int, int]:
    """Return the Wasm pages and the spare bytes of a length as it is kept."""
    if code >= 0:
        return code, 0
    wasm_pages = -(code // WASM_PAGE_BYTES)
    return wasm_pages, wasm_pages * WASM_PAGE_BYTES + code


def read_image(image: Image, start: int, stop: int) -> bytes:
    """Return bytes [start, stop) of an image; the caller keeps within its length."""
    if start >= stop:
        return b""
    first, last = start // PAGE_BYTES, (stop - 1) // PAGE_BYTES
    data = b"".join(image.page(number) for number in range(first, last + 1))
    return data[start - first * PAGE_BYTES : stop - first * PAGE_BYTES]


@frozen
class RegionDiff:
    """Change of one region: lengths, and the bytes of every page that differs, before and after.

    Lengths are in Wasm pages, rounded up, with the bytes of the last one that are beyond them (:attr:`Image.spare`).
    """

    pages_old: int
    pages_new: int
    pages: dict[int, tuple[bytes, bytes]]
    spare_old: int = 0
    spare_new: int = 0

    def __bool__(self) -> bool:
        return bool(self.pages) or self.pages_old != self.pages_new or self.spare_old != self.spare_new

    @property
    def length_old(self) -> int:
        """Length before, in bytes."""
        return self.pages_old * WASM_PAGE_BYTES - self.spare_old

    @property
    def length_new(self) -> int:
        """Length after, in bytes."""
        return self.pages_new * WASM_PAGE_BYTES - self.spare_new

    def runs(self) -> Iterator[Run]:
        """Yield the runs of words that differ, in order, cut where the longer one of both states ends."""
        end = max(self.length_old, self.length_new)
        for run in merged_runs(self.pages):
            inside = end - run.offset
            yield run if len(run.new) <= inside else Run(run.offset, run.old[:inside], run.new[:inside])

    def inverted(self) -> RegionDiff:
        """Return the change that takes this one back."""
        pages = {number: (new, old) for number, (old, new) in self.pages.items()}
        return RegionDiff(self.pages_new, self.pages_old, pages, self.spare_new, self.spare_old)

    def merged(self, *later: RegionDiff) -> RegionDiff:
        """Join this change and later ones. Pages that end as they began drop out."""
        pages = dict(self.pages)
        for diff in later:
            for number, (between, new) in diff.pages.items():
                old, _ = pages.get(number, (between, between))
                pages[number] = (old, new)
        last = later[-1] if later else self
        changed = {number: (old, new) for number, (old, new) in pages.items() if old != new}
        return RegionDiff(self.pages_old, last.pages_new, changed, self.spare_old, last.spare_new)


def erased(image: Image) -> RegionDiff:
    """Return the change that empties a region. It holds every page, so that it can be taken back."""
    return RegionDiff(image.wasm_pages, 0, {number: (data, ZERO_PAGE) for number, data in image.pages()}, image.spare)


class ImageEdit:
    """Bytes written over an image outside any transaction, to be committed at once. Memory: the pages written.

    Args:
        image: The image before.
        length: Least length of the region afterwards, in bytes.
        page_bytes: What the region grows by, 65,536 or 1.
    """

    def __init__(self, image: Image, length: int = 0, page_bytes: int = WASM_PAGE_BYTES) -> None:
        self._image = image
        self._length = max(image_length(image), length)
        self._page_bytes = page_bytes
        self._pages: dict[int, bytes] = {}

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes at an offset; zeros beyond the end."""
        numbers = range(offset // PAGE_BYTES, -(-(offset + length) // PAGE_BYTES))
        start = offset % PAGE_BYTES
        return b"".join(map(self._page, numbers))[start : start + length]

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes at an offset; the region grows as needed."""
        end = offset + len(data)
        self._length = max(self._length, -(-end // self._page_bytes) * self._page_bytes)
        for number in range(offset // PAGE_BYTES, -(-end // PAGE_BYTES)):
            start = number * PAGE_BYTES
            low, high = max(offset - start, 0), min(end - start, PAGE_BYTES)
            old = self._page(number)
            self._pages[number] = b"".join((old[:low], data[start + low - offset : start + high - offset], old[high:]))

    def diff(self) -> RegionDiff:
        """Return the change from the image to what was written."""
        pairs = {number: (self._image.page(number), new) for number, new in sorted(self._pages.items())}
        changed = {number: pair for number, pair in pairs.items() if pair[0] != pair[1]}
        wasm_pages = -(-self._length // WASM_PAGE_BYTES)
        spare = wasm_pages * WASM_PAGE_BYTES - self._length
        return RegionDiff(self._image.wasm_pages, wasm_pages, changed, self._image.spare, spare)

    def _page(self, number: int) -> bytes:
        page = self._pages.get(number)
        return self._image.page(number) if page is None else page
