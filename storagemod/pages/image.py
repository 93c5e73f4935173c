"""The committed bytes of one region of storage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from storagemod.pages.page import PAGE_BYTES, ZERO_PAGE
from storagemod.types import WASM_PAGE_BYTES


class Image(Protocol):
    """Committed bytes: sparse, as long as its Wasm pages; pages that were never written are zeros."""

    @property
    def wasm_pages(self) -> int:
        """Length in Wasm pages of 64 KiB."""

    def page(self, number: int) -> bytes:
        """One page of 4 KiB; zeros beyond the length."""

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of every page that may hold anything but zeros, in order."""


class MemoryImage:
    """An image in a dictionary of pages. Memory: the pages that are not zero."""

    __slots__ = ("_pages", "_wasm_pages")

    def __init__(self, wasm_pages: int = 0) -> None:
        self._pages: dict[int, bytes] = {}
        self._wasm_pages = wasm_pages

    @property
    def wasm_pages(self) -> int:
        """Length in Wasm pages of 64 KiB."""
        return self._wasm_pages

    def page(self, number: int) -> bytes:
        """One page of 4 KiB; zeros beyond the length."""
        return self._pages.get(number, ZERO_PAGE)

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of every page that may hold anything but zeros, in order."""
        return iter(sorted(self._pages.items()))

    def replace(self, wasm_pages: int, pages: Mapping[int, bytes]) -> None:
        """Set the length, and the bytes of some pages; what lies beyond the length is dropped."""
        shrunk = wasm_pages < self._wasm_pages
        self._wasm_pages = wasm_pages
        for number, data in pages.items():
            if data == ZERO_PAGE:
                self._pages.pop(number, None)
            else:
                self._pages[number] = data
        if shrunk:
            end = wasm_pages * (WASM_PAGE_BYTES // PAGE_BYTES)
            self._pages = {number: data for number, data in self._pages.items() if number < end}


def read_image(image: Image, start: int, stop: int) -> bytes:
    """Bytes [start, stop) of an image; the caller keeps within its length."""
    if start >= stop:
        return b""
    first, last = start // PAGE_BYTES, (stop - 1) // PAGE_BYTES
    data = b"".join(image.page(number) for number in range(first, last + 1))
    return data[start - first * PAGE_BYTES : stop - first * PAGE_BYTES]
