"""The committed bytes of one region of storage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from attrs import frozen

from storagemod.pages.page import PAGE_BYTES, PAGES_PER_WASM_PAGE, ZERO_PAGE


class Image(Protocol):
    """Committed bytes: sparse, as long as its Wasm pages; pages that were never written are zeros."""

    @property
    def wasm_pages(self) -> int:
        """Length in Wasm pages of 64 KiB."""

    @property
    def version(self) -> int:
        """Number that grows whenever the bytes or the length change, or a mapping of its extents becomes invalid."""

    def page(self, number: int) -> bytes:
        """One page of 4 KiB; zeros beyond the length."""

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of every page that holds anything but zeros, in order."""


class WritableImage(Image, Protocol):
    """An image that a commit changes."""

    def replace(self, wasm_pages: int, pages: Mapping[int, bytes]) -> None:
        """Set the length, and the bytes of some pages; what lies beyond the length is dropped."""


@frozen
class Extent:
    """Pages of an image that lie side by side in a file, where they can be mapped."""

    fd: int
    offset: int
    """Of the first byte in the file; a multiple of 4 KiB."""
    first_page: int
    page_count: int


class MappableImage(Image, Protocol):
    """An image in files."""

    def extents(self) -> Sequence[Extent]:
        """Where its pages are. Pages of no extent are zeros; those of several are in the last one."""


class NoImage:
    """The image where nothing was ever committed: of length 0, and all zeros."""

    wasm_pages = 0
    version = 0

    def page(self, number: int) -> bytes:  # noqa: ARG002 - all are alike
        """Zeros."""
        return ZERO_PAGE

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """None."""
        return iter(())

    def extents(self) -> Sequence[Extent]:
        """None."""
        return ()


NO_IMAGE = NoImage()


class MemoryImage:
    """An image in a dictionary of pages. Memory: the pages that are not zero."""

    __slots__ = ("_pages", "version", "wasm_pages")

    def __init__(self, wasm_pages: int = 0) -> None:
        self.wasm_pages = wasm_pages
        self.version = 0
        self._pages: dict[int, bytes] = {}

    def page(self, number: int) -> bytes:
        """Return one page of 4 KiB; zeros beyond the length."""
        return self._pages.get(number, ZERO_PAGE)

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number and the bytes of every page that is not all zeros, in order."""
        return iter(sorted(self._pages.items()))

    def replace(self, wasm_pages: int, pages: Mapping[int, bytes]) -> None:
        """Set the length, and the bytes of some pages; pages beyond the length are dropped."""
        end = wasm_pages * PAGES_PER_WASM_PAGE
        self.version += 1  # first: an interruption must not leave new bytes under an old version
        if wasm_pages < self.wasm_pages:
            self._pages = {number: data for number, data in self._pages.items() if number < end}
        self.wasm_pages = wasm_pages
        for number, data in pages.items():
            if data is ZERO_PAGE or number >= end or data == ZERO_PAGE:
                self._pages.pop(number, None)
            else:
                self._pages[number] = data


def read_image(image: Image, start: int, stop: int) -> bytes:
    """Bytes [start, stop) of an image; the caller keeps within its length."""
    if start >= stop:
        return b""
    first, last = start // PAGE_BYTES, (stop - 1) // PAGE_BYTES
    data = b"".join(image.page(number) for number in range(first, last + 1))
    return data[start - first * PAGE_BYTES : stop - first * PAGE_BYTES]
