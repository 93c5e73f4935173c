"""Making an image visible in a live linear memory."""

from __future__ import annotations

from collections.abc import Mapping as Pages
from typing import Protocol

from storagemod.pages.image import Image
from storagemod.pages.page import PAGE_BYTES


class LiveMemory(Protocol):
    """What this room needs of a linear memory. Nothing here keeps an address across two calls."""

    @property
    def base(self) -> int:
        """The address of its first byte now."""

    @property
    def pages(self) -> int:
        """Its length now, in Wasm pages."""

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out."""

    def write(self, offset: int, data: bytes) -> None:
        """Copy bytes in."""

    def grow(self, pages: int) -> bool:
        """Make it longer by so many Wasm pages, if that is allowed."""


class Mapping(Protocol):
    """An image behind a live memory. The memory is as long as the image when the mapping is made."""

    def restore(self, pages: Pages[int, bytes]) -> None:
        """Put back the bytes of pages, by number."""


class CopyMapping:
    """The portable mapping: copies the image in when it is made. Costs the size of the image once a transaction."""

    def __init__(self, memory: LiveMemory, image: Image) -> None:
        self._memory = memory
        for number, data in image.pages():
            memory.write(number * PAGE_BYTES, data)

    def restore(self, pages: Pages[int, bytes]) -> None:
        """Put back the bytes of pages, by number."""
        for number, data in pages.items():
            self._memory.write(number * PAGE_BYTES, data)
