"""Telling observers what happens."""

from __future__ import annotations

from collections.abc import Sequence

from storagemod.events import Event, Observer


class Observers:
    """The observers of one transaction; false if there are none, so that no event need be made."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)
        self._wants = [(observer, getattr(observer, "wants", frozenset[type[Event]]())) for observer in observers]

    def __bool__(self) -> bool:
        return bool(self._observers)

    def want(self, kind: type[Event]) -> bool:
        """Whether anyone wants events of a kind that costs something to find out."""
        return any(kind in wanted for _, wanted in self._wants)

    def emit(self, event: Event) -> None:
        """Tell everyone."""
        for observer in self._observers:
            observer(event)

    def emit_wanted(self, event: Event) -> None:
        """Tell those who want such events."""
        for observer, wanted in self._wants:
            if type(event) in wanted:
                observer(event)
