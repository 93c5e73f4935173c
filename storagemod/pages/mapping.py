"""Making an image visible in a live linear memory, and bringing pages of it back."""

from __future__ import annotations

from collections.abc import Mapping as Pages
from typing import Protocol

from storagemod.pages import _libc
from storagemod.pages.image import Image, MappableImage
from storagemod.pages.page import PAGE_BYTES, runs_of


class LiveMemory(Protocol):
    """What this room needs of a linear memory. Nothing here trusts an address after a growth or a call."""

    @property
    def base(self) -> int:
        """The address of its first byte now. One that moves never comes back to where it was."""

    @property
    def pages(self) -> int:
        """Its length now, in Wasm pages."""

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out."""

    def write(self, offset: int, data: bytes) -> None:
        """Copy bytes in."""


class Mapping(Protocol):
    """An image behind a live memory. The memory is as long as the image when the mapping is made."""

    def restore(self, pages: Pages[int, bytes | None]) -> None:
        """Put back pages, by number; ``None`` stands for the bytes that the image has."""


class CopyMapping:
    """The portable mapping: copies the image in when it is made. Costs the size of the image once a transaction."""

    def __init__(self, memory: LiveMemory, image: Image) -> None:
        self._memory = memory
        self._image = image
        for number, data in image.pages():
            memory.write(number * PAGE_BYTES, data)

    def restore(self, pages: Pages[int, bytes | None]) -> None:
        """Put back pages, by number; ``None`` stands for the bytes that the image has."""
        for number, data in pages.items():
            self._memory.write(number * PAGE_BYTES, self._image.page(number) if data is None else data)


class PrivateMapping:
    """The image's files, mapped privately over the memory: costs a few system calls, and later the pages touched.

    A page that is written becomes the transaction's own; one that is dropped shows the file again. Should the memory
    move, its new place holds plain copies of all that it showed, and pages are put back by copying.

    Raises:
        OSError: The files cannot be mapped.
    """

    def __init__(self, memory: LiveMemory, image: MappableImage) -> None:
        self._memory = memory
        self._image = image
        self._base = memory.base
        for extent in image.extents():
            address = self._base + extent.first_page * PAGE_BYTES
            _libc.map_private(address, extent.page_count * PAGE_BYTES, extent.fd, extent.offset)

    def restore(self, pages: Pages[int, bytes | None]) -> None:
        """Put back pages, by number; ``None`` stands for the bytes that the image has."""
        moved = self._memory.base != self._base
        dropped = []
        for number, data in pages.items():
            if data is not None or moved:
                self._memory.write(number * PAGE_BYTES, self._image.page(number) if data is None else data)
            else:
                dropped.append(number)
        for first, count in runs_of(sorted(dropped)):
            _libc.drop(self._base + first * PAGE_BYTES, count * PAGE_BYTES)
