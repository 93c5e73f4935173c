"""An image with newer pages over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from storagemod.pages.file_image import FileImage
from storagemod.pages.image import Extent, WritableImage
from storagemod.pages.page import PAGES_PER_WASM_PAGE, ZERO_PAGE, runs_of


class OverlayImage:
    """Newer pages over an image that they are not written to yet. A page above hides the one below, zeros too.

    Args:
        base: The image below. It is not changed, but by :meth:`settle`.
        upper: An empty image that takes the newer pages. To be mapped, the overlay needs both of them in files.
    """

    def __init__(self, base: WritableImage, upper: WritableImage) -> None:
        self._base = base
        self._upper = upper
        self._newer: set[int] = set()
        self._wasm_pages = base.wasm_pages
        self._base_end = base.wasm_pages * PAGES_PER_WASM_PAGE  # of what still shows: less, once it was shortened

    @property
    def wasm_pages(self) -> int:
        """Length in Wasm pages of 64 KiB."""
        return self._wasm_pages

    @property
    def newer_pages(self) -> int:
        """How many pages lie over the base."""
        return len(self._newer)

    def page(self, number: int) -> bytes:
        """One page of 4 KiB; zeros beyond the length."""
        if number in self._newer:
            return self._upper.page(number)
        return self._base.page(number) if number < self._base_end else ZERO_PAGE

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of every page that holds anything but zeros, in order."""
        below = {number for number, _ in self._base.pages()}
        for number in sorted(below | self._newer):
            data = self.page(number)
            if data != ZERO_PAGE:
                yield number, data

    def extents(self) -> Sequence[Extent]:
        """Where its pages are: first those of the base, then the newer ones over them."""
        base, upper = self._base, self._upper
        if not isinstance(base, FileImage) or not isinstance(upper, FileImage):
            raise TypeError("an overlay can be mapped if both of its images are in files")
        below = [
            attrs.evolve(extent, page_count=min(extent.page_count, self._base_end - extent.first_page))
            for extent in base.extents()
            if extent.first_page < self._base_end
        ]
        return below + [upper.extent(first, count) for first, count in runs_of(sorted(self._newer))]

    def replace(self, wasm_pages: int, pages: Mapping[int, bytes]) -> None:
        """Set the length, and the bytes of some pages; what lies beyond the length is dropped.

        Raises:
            OSError: The upper image cannot be written.
        """
        end = wasm_pages * PAGES_PER_WASM_PAGE
        kept = {number: data for number, data in pages.items() if number < end}
        self._upper.replace(wasm_pages, kept)
        self._newer.update(kept)
        if wasm_pages < self._wasm_pages:
            self._base_end = min(self._base_end, end)
            self._newer = {number for number in self._newer if number < end}
        self._wasm_pages = wasm_pages

    def settle(self) -> None:
        """Write the newer pages and the length into the base; from then on nothing lies over it.

        Raises:
            OSError: The base cannot be written. Some pages may have been; all are still above, so try again.
        """
        if self._base_end < self._base.wasm_pages * PAGES_PER_WASM_PAGE:
            self._base.replace(self._base_end // PAGES_PER_WASM_PAGE, {})
        self._base.replace(self._wasm_pages, {number: self._upper.page(number) for number in self._newer})
        self._newer.clear()
        self._base_end = self._wasm_pages * PAGES_PER_WASM_PAGE
        self._upper.replace(0, {})  # last: what stays there should this fail does not show
