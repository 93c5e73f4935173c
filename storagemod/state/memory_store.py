"""Committed state in memory."""

from __future__ import annotations

from collections.abc import Callable

from storagemod.errors import StateError
from storagemod.pages import HashTree, MemoryImage, WritableImage
from storagemod.state.changes import ChangeSet
from storagemod.state.committed import Committed, CommittedRegion, CommittedStore


class MemoryPageStore(CommittedStore[CommittedRegion]):
    """A page store that lasts as long as the process.

    Args:
        new_image: Makes an empty image.
    """

    read_only = False

    def __init__(self, new_image: Callable[[], WritableImage] = MemoryImage) -> None:
        super().__init__(lambda _address, _name: CommittedRegion(new_image(), HashTree()))
        self._closed = False

    def commit(self, changes: ChangeSet) -> None:
        """Take a change in.

        Raises:
            StateError: There is no room for it. Nothing has changed.
        """
        self._check()
        self._committed.change(changes)

    def hold(self) -> None:
        """Do nothing: no commit outlasts the process."""
        self._check()

    def release(self) -> None:
        """Do nothing, as above."""
        self._check()

    def checkpoint(self) -> None:
        """Do nothing: there is one place only."""
        self._check()

    def close(self) -> None:
        """Forget everything. Closing twice does no harm."""
        self._closed = True
        self._committed = Committed(lambda _address, _name: CommittedRegion(MemoryImage(), HashTree()))

    def _check(self) -> None:
        if self._closed:
            raise StateError("the world is closed")
        super()._check()
