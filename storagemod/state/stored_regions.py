"""Regions of a durable world: a number in the catalogue, a file, newer pages over it, and a stored hash tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from storagemod.pages import FileImage, HashTree, OverlayImage, WritableImage
from storagemod.state.catalogue import Catalogue, RegionRecord
from storagemod.state.committed import CommittedRegion
from storagemod.state.image_files import ImageFiles
from storagemod.types import Address


class StoredRegion(CommittedRegion):
    """A region whose image lies over its file.

    Args:
        number: What the catalogue calls it.
        base: Its file.
        upper: An empty image for newer pages.
        tree: Its hash tree.
        root: The root, where it is known.
    """

    def __init__(
        self, number: int, base: FileImage, upper: WritableImage, tree: HashTree, root: bytes | None = None
    ) -> None:
        self.id = number
        self.overlay = OverlayImage(base, upper)
        self._base = base
        super().__init__(self.overlay, tree, root)

    @property
    def settled(self) -> bool:
        """Whether all of it is in its file."""
        return not self.overlay.newer_pages and self._base.wasm_pages == self.overlay.wasm_pages


class StoredRegions:
    """Makes the regions of one world.

    Args:
        catalogue: Where their hash trees are.
        files: Where their pages are.
        new_image: Makes empty images for pages on their way into a file.
    """

    def __init__(self, catalogue: Catalogue, files: ImageFiles, new_image: Callable[[], WritableImage]) -> None:
        self._catalogue = catalogue
        self._files = files
        self._new_image = new_image
        self._next_id = 1

    def new(self, _address: Address, _name: str) -> StoredRegion:
        """A region that there was not. The catalogue learns whose it is when it is committed."""
        number = self._next_id
        self._next_id += 1
        return self._region(number, self._files.new(number), None)

    def existing(self, record: RegionRecord, logged: Mapping[int, bytes]) -> StoredRegion:
        """A region that the catalogue knows, with its pages of the log.

        Raises:
            StateError: Its file is not what it should be.
            OSError: There is no room for the pages.
        """
        self._next_id = max(self._next_id, record.id + 1)
        region = self._region(record.id, self._files.existing(record.id, record.stored_pages), record.root)
        region.overlay.replace(record.wasm_pages, logged)
        return region

    def _region(self, number: int, base: FileImage, root: bytes | None) -> StoredRegion:
        tree = HashTree(partial(self._catalogue.node, number))
        return StoredRegion(number, base, self._new_image(), tree, root)
