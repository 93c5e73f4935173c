"""The state between transactions, with marks to which it can be brought back."""

from __future__ import annotations

from typing import NewType

from storagemod.errors import StateError
from storagemod.state.changes import ChangeSet
from storagemod.state.store import PageStore

Mark = NewType("Mark", int)


class WorldState:
    """A page store and, while marks are set, every commit since the oldest of them.

    The store holds from the outermost mark to its end: what is committed between becomes durable at once, or not at
    all where the process dies before.
    """

    def __init__(self, store: PageStore) -> None:
        self.store = store
        self._marks: list[list[ChangeSet]] = []
        self._settled = True

    def commit(self, changes: ChangeSet) -> None:
        """Take a change in, whole.

        Raises:
            StateError: The store cannot keep it.
        """
        self._check()
        self.store.commit(changes)
        if self._marks:
            self._marks[-1].append(changes)

    def mark(self) -> Mark:
        """Set a mark; marks nest, and the newest is ended first."""
        self._check()
        self._settled = False
        if not self._marks:
            try:
                self.store.hold()
            except StateError:  # then it does not
                self._settled = True
                raise
        self._marks.append([])
        self._settled = True
        return Mark(len(self._marks))

    def keep(self, mark: Mark) -> None:
        """End a mark and keep what was committed since.

        Raises:
            StateError: It was the outermost one, and the store cannot keep it: all since that mark is undone.
        """
        newest = self._end(mark)
        if self._marks:
            self._marks[-1] += newest
        else:
            try:
                self.store.release()
            except StateError:  # then the store itself has gone back to where the hold began
                self._settled = True
                raise
        self._settled = True

    def undo(self, mark: Mark) -> None:
        """End a mark and bring the state back to it."""
        newest = self._end(mark)
        if newest:
            first, *others = newest
            self.store.commit(first.merged(*others).inverted())
        if not self._marks:
            self.store.release()
        self._settled = True

    def close(self) -> None:
        """Close the store.

        Raises:
            StateError: A mark is set; or what is committed could not be moved to where it stays. Nothing is lost then.
        """
        if self._marks:
            raise StateError("a snapshot is still open", hint="let its block end first")
        self.store.close()

    def _end(self, mark: Mark) -> list[ChangeSet]:
        self._check()
        if mark != len(self._marks):
            raise StateError("snapshots end in the reverse order of their beginning; an inner one is still open")
        self._settled = False
        return self._marks.pop()

    def _check(self) -> None:
        if not self._settled:
            # The store may hold still, and what it were given now would never become durable.
            raise StateError("the end of a snapshot or deployment was interrupted", hint="open the world again")
