"""Making the mappings of calls that use ``ethereum.storageMap``, as their linking option wants them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from storagemod.events import StorageChange, StorageHeldBack, StorageLoaded
from storagemod.execution.observation import Observers
from storagemod.linking import DEFAULT_REGION, CopiedMappings, FrameTable, Mappings, PagedMappings
from storagemod.types import StorageMapping

if TYPE_CHECKING:
    from storagemod.execution.call import Call


class Mapper:
    """Makes mappings for the calls of one transaction.

    Attributes:
        frame_table: The frames of storage that calls under the linking option ``paged`` have used.
    """

    def __init__(self, observers: Observers) -> None:
        self._observers = observers
        self.frame_table = FrameTable()

    def mappings(self, call: Call, settings: StorageMapping) -> Mappings:
        """The mappings of a call that makes its first one."""
        assert call.storage is not None  # noqa: S101 - it maps storage
        storage = call.storage.mapped(call.rights, self._loaded(call))
        if settings.option == "copied":
            return CopiedMappings(call.memory, storage, settings.sync, self._held_back(call))
        return PagedMappings(
            call.memory,
            storage,
            (call.address, DEFAULT_REGION),
            self.frame_table,
            frame_bytes=settings.frame_bytes,
            exclusive=settings.exclusive,
        )

    def _loaded(self, call: Call) -> Callable[[int, int], None] | None:
        if not self._observers.want(StorageLoaded):
            return None

        def loaded(offset: int, length: int) -> None:
            event = StorageLoaded(call.call_id, call.address, DEFAULT_REGION, offset, length)
            self._observers.emit_wanted(event)

        return loaded

    def _held_back(self, call: Call) -> Callable[[list[tuple[int, bytes, bytes]]], None] | None:
        if not self._observers.want(StorageHeldBack):
            return None

        def held_back(changes: list[tuple[int, bytes, bytes]]) -> None:
            told = tuple(StorageChange(DEFAULT_REGION, offset, old, new) for offset, old, new in changes)
            self._observers.emit_wanted(StorageHeldBack(call.call_id, call.address, told))

        return held_back
