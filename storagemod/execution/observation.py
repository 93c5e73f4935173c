"""Telling observers what happens."""

from __future__ import annotations

from collections.abc import Sequence

from storagemod.events import Event, Observer


class Observers:
    """The observers of one transaction; false if there are none, so that no event need be made."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)
        self._wanted = frozenset[type[Event]]().union(*(getattr(observer, "wants", ()) for observer in observers))

    def __bool__(self) -> bool:
        return bool(self._observers)

    def want(self, kind: type[Event]) -> bool:
        """Whether anyone wants events of a kind that costs something to find out."""
        return kind in self._wanted

    def emit(self, event: Event) -> None:
        """Tell everyone."""
        for observer in self._observers:
            observer(event)

    def emit_wanted(self, event: Event) -> None:
        """Tell those who want such events."""
        for observer in self._observers:
            if type(event) in getattr(observer, "wants", ()):
                observer(event)
