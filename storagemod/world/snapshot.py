"""A place in history to go back to."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from storagemod.errors import StateError
from storagemod.interruption import interruption
from storagemod.state import ChangeSet, Savepoint, WorldState
from storagemod.world.lock import WorldLock


class Snapshot:
    """A context manager: what happened to the world inside is undone at its end, unless :meth:`keep` was called.

    Snapshots nest. An exception that leaves the block undoes it too, unless it was kept. Signals whose handlers raise,
    Ctrl-C for example, end the block like any exception. While it runs, ``signal.getsignal`` shows a handler of ours,
    which calls the one that was there.
    """

    def __init__(self, state: WorldState, lock: WorldLock, surroundings: Callable[[], Callable[[], None]]) -> None:
        self._state = state
        self._lock = lock
        self._surroundings = surroundings
        self._savepoint: Savepoint | None = None
        self._kept = False

    def __enter__(self) -> Self:
        interruption.hold()
        try:
            self.begin()
            interruption.guard(self)
        except BaseException:
            interruption.release()
            raise
        try:
            interruption.release()
        except BaseException:  # the block does not begin, and so does not end
            self.__exit__(None, None, None)
            raise
        return self

    def changes(self) -> ChangeSet:
        """Return what was committed since the block began, as one change: what ends as it began is left out."""
        assert self._savepoint is not None  # noqa: S101 - begin() set it
        return self._state.changes_since(self._savepoint)

    def keep(self) -> None:
        """Let what happened stay when the block ends."""
        self._kept = True

    @interruption.protect
    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        interruption.hold()
        try:
            self.end()
        finally:
            interruption.unguard(self)
            interruption.release()

    # For those who have no block: to be called within `uninterrupted()`, or an interruption may come between

    def begin(self) -> None:
        """Begin as a ``with`` block does.

        Raises:
            StateError: A transaction is open on the world, or the snapshot has begun already.
        """
        if self._savepoint is not None:
            raise StateError("a snapshot is entered once; take another with world.snapshot()")
        with self._lock.held():
            self._savepoint = self._state.savepoint()
            self._set_back = self._surroundings()

    def end(self) -> None:
        """End as a ``with`` block does.

        Raises:
            StateError: A transaction is open on the world, or a later snapshot is.
        """
        assert self._savepoint is not None  # noqa: S101 - begin() set it
        with self._lock.held():
            if self._kept:
                self._state.release(self._savepoint)
            else:
                self._set_back()
                self._state.rollback(self._savepoint)
