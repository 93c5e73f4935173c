"""The state between transactions, with marks to which it can be brought back."""

from __future__ import annotations

from typing import NewType

from storagemod.errors import StateError
from storagemod.state.store import ChangeSet, PageStore

Mark = NewType("Mark", int)


class WorldState:
    """A page store and, while marks are set, the inverse of every commit since the oldest of them."""

    def __init__(self, store: PageStore) -> None:
        self.store = store
        self._undo: list[list[ChangeSet]] = []

    def commit(self, changes: ChangeSet) -> None:
        """Take a change in, whole."""
        self.store.commit(changes)
        if self._undo:
            self._undo[-1].append(changes.inverted())

    def mark(self) -> Mark:
        """Set a mark; marks nest, and the newest is ended first."""
        self._undo.append([])
        return Mark(len(self._undo))

    def keep(self, mark: Mark) -> None:
        """End a mark and keep what was committed since."""
        newest = self._end(mark)
        if self._undo:
            self._undo[-1] += newest

    def undo(self, mark: Mark) -> None:
        """End a mark and bring the state back to it."""
        for inverse in reversed(self._end(mark)):
            self.store.commit(inverse)

    def _end(self, mark: Mark) -> list[ChangeSet]:
        if mark != len(self._undo):
            raise StateError("snapshots end in the reverse order of their beginning; an inner one is still open")
        return self._undo.pop()
