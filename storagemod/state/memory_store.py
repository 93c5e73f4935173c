"""Committed state in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from storagemod.errors import StateError
from storagemod.pages import NO_IMAGE, HashTree, Image, MemoryImage, WritableImage
from storagemod.state.account import Account
from storagemod.state.changes import ChangeSet
from storagemod.state.committed import Committed, CommittedRegion
from storagemod.types import Address


class MemoryPageStore:
    """A page store that lasts as long as the process.

    Args:
        new_image: Makes an empty image.
    """

    read_only = False

    def __init__(self, new_image: Callable[[], WritableImage] = MemoryImage) -> None:
        self._committed = Committed(lambda _address, _name: CommittedRegion(new_image(), HashTree()))
        self._closed = False

    @property
    def accounts(self) -> Mapping[Address, Account]:
        """Every account that is not the default one; a live, read-only view."""
        return self._open().accounts

    def image(self, address: Address, region: str) -> Image:
        """A region's committed bytes; of length 0 where there is none. Good until the next commit."""
        found = self._open().region(address, region)
        return NO_IMAGE if found is None else found.image

    def regions(self) -> Iterator[tuple[tuple[Address, str], CommittedRegion]]:
        """Every region that is not empty, in the order of addresses and names."""
        return self._open().regions()

    def state_root(self) -> bytes:
        """The digest of all accounts and storage, 32 bytes. Hashes only what changed since it was asked last."""
        return self._open().state_root()

    def commit(self, changes: ChangeSet) -> None:
        """Take a change in.

        Raises:
            StateError: There is no room for it. Nothing has changed.
        """
        self._open().change(changes)

    def hold(self) -> None:
        """Do nothing: no commit outlasts the process."""
        self._open()

    def release(self) -> None:
        """Do nothing, as above."""
        self._open()

    def checkpoint(self) -> None:
        """Do nothing: there is one place only."""
        self._open()

    def close(self) -> None:
        """Forget everything."""
        self._closed = True
        self._committed = Committed(lambda _address, _name: CommittedRegion(MemoryImage(), HashTree()))

    def _open(self) -> Committed[CommittedRegion]:
        if self._closed:
            raise StateError("the world is closed")
        return self._committed
