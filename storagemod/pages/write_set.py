"""What one region is to be changed by: from an image to the next one."""

from __future__ import annotations

from attrs import frozen

from storagemod.pages.image import Image
from storagemod.pages.page import PAGE_BYTES
from storagemod.types import WASM_PAGE_BYTES


@frozen
class WriteSet:
    """Lengths in Wasm pages, and the bytes of every page that differs: before, and after."""

    pages_old: int
    pages_new: int
    pages: dict[int, tuple[bytes, bytes]]

    def __bool__(self) -> bool:
        return bool(self.pages) or self.pages_old != self.pages_new

    def inverted(self) -> WriteSet:
        """The change that takes this one back."""
        return WriteSet(
            self.pages_new, self.pages_old, {number: (new, old) for number, (old, new) in self.pages.items()}
        )

    def merged(self, *later: WriteSet) -> WriteSet:
        """This change and later ones as one; pages that end as they began drop out."""
        pages = dict(self.pages)
        for written in later:
            for number, (between, new) in written.pages.items():
                old, _ = pages.get(number, (between, between))
                pages[number] = (old, new)
        last = later[-1] if later else self
        changed = {number: (old, new) for number, (old, new) in pages.items() if old != new}
        return WriteSet(self.pages_old, last.pages_new, changed)


def overwrite(image: Image, offset: int, data: bytes) -> WriteSet:
    """The change that writes bytes at an offset, and makes the region as long as that needs."""
    end = offset + len(data)
    pages: dict[int, tuple[bytes, bytes]] = {}
    for number in range(offset // PAGE_BYTES, -(-end // PAGE_BYTES)):
        start = number * PAGE_BYTES
        low, high = max(offset - start, 0), min(end - start, PAGE_BYTES)
        old = image.page(number)
        pages[number] = (old, old[:low] + data[start + low - offset : start + high - offset] + old[high:])
    return WriteSet(image.wasm_pages, max(image.wasm_pages, -(-end // WASM_PAGE_BYTES)), pages)
