"""A place in history to go back to."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from storagemod.errors import StateError
from storagemod.state import ChangeSet, Savepoint, WorldState


class Snapshot:
    """A context manager: what happened to the world inside is undone at its end, unless :meth:`keep` was called.

    Snapshots nest. An exception that leaves the block undoes it too, unless it was kept.
    """

    def __init__(
        self, state: WorldState, exclusively: Callable[[], None], surroundings: Callable[[], Callable[[], None]]
    ) -> None:
        self._state = state
        self._exclusively = exclusively
        self._surroundings = surroundings
        self._savepoint: Savepoint | None = None
        self._kept = False

    def __enter__(self) -> Self:
        if self._savepoint is not None:
            raise StateError("a snapshot is entered once; take another with world.snapshot()")
        self._exclusively()
        self._savepoint = self._state.savepoint()
        self._set_back = self._surroundings()
        return self

    def changes(self) -> ChangeSet:
        """Return what was committed since the block began, as one change: what ends as it began is left out."""
        assert self._savepoint is not None  # noqa: S101 - __enter__ set it
        return self._state.changes_since(self._savepoint)

    def keep(self) -> None:
        """Let what happened stay when the block ends."""
        self._kept = True

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._savepoint is not None  # noqa: S101 - __enter__ set it
        self._exclusively()
        if self._kept:
            self._state.release(self._savepoint)
        else:
            self._set_back()
            self._state.rollback(self._savepoint)
