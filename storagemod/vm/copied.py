"""The option ``copied``: mapped storage is copied into the contract's memory, and what changed is copied back.

This is the seed's first proposal, its "naive implementation". When copies are brought in line with storage is a policy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import define

from storagemod.errors import TrapError
from storagemod.pages import differing_bytes
from storagemod.types import SyncPolicy
from storagemod.vm.storage_map import (
    CallMemory,
    Mappings,
    StorageMapOption,
    check_range,
    nothing_mapped,
    refuse_mapping,
)

if TYPE_CHECKING:
    from storagemod.vm.storage import StorageAccess


class Copied(StorageMapOption):
    """Storage copied into working memory when it is mapped, and back when the call ends (the seed's first proposal)."""

    name = "copied"
    summary = "the host copies mapped storage into the contract's memory, and back what changed"


@define(eq=False)
class _Area:
    memory_offset: int
    storage_offset: int
    length: int
    loaded: bytes
    """What storage had when it was last copied in, or had been given when copied back."""
    held_back: bytes = b""
    """The copy when it was last held back: most calls change nothing more, and then it is kept once."""


class CopiedMappings(Mappings):
    """The copies of one call.

    Args:
        memory: The contract's memory.
        storage: Its storage.
        sync: ``end``: what changed is copied back when the call ends. ``call``: before each call that it makes as well,
            and storage is copied in again after it. ``none``: at the end everything is copied back, changed or not.
            ``revision``: as ``end``, unless a range that is to be copied back has changed in storage.
        held_back: Called before each call that it makes, with its areas that are not copied back: the offset in
            storage, the bytes that were copied in, and those that are in their place.
    """

    option = "copied"

    def __init__(
        self,
        memory: CallMemory,
        storage: StorageAccess,
        sync: SyncPolicy,
        held_back: Callable[[list[tuple[int, bytes, bytes]]], None] | None,
    ) -> None:
        self._held_back = held_back
        self._memory = memory
        self._storage = storage
        self._sync = sync
        self._areas: list[_Area] = []

    def peek(self, offset: int, length: int) -> bytes:
        """Return bytes of the call's memory."""
        return self._memory.read(offset, length)

    def map(self, memory_offset: int, storage_offset: int, length: int) -> None:
        """Copy a range of storage into memory. Ranges must not overlap, in memory or in storage.

        Raises:
            TrapError: A range is outside, or overlaps one that is mapped.
        """
        if not length:
            return
        check_range(self._memory, memory_offset, self._storage, storage_offset, length)
        for area in self._areas:
            for where, ours, others in (
                ("memory", memory_offset, area.memory_offset),
                ("storage", storage_offset, area.storage_offset),
            ):
                if ours < others + area.length and others < ours + length:
                    raise refuse_mapping(
                        f"bytes [{ours:#x}, {ours + length:#x}) of {where} overlap [{others:#x}, "
                        f"{others + area.length:#x}), which are mapped already"
                    )
        data = self._storage.read_mapped(storage_offset, length)
        self._memory.write(memory_offset, data)
        self._areas.append(_Area(memory_offset, storage_offset, length, data))

    def suspend(self) -> None:
        """Copy back what changed, if that is the policy."""
        if self._sync is SyncPolicy.CALL:
            for area in self._areas:
                self._copy_back(area)
        elif self._held_back is not None:
            self._held_back([self._hold_back(area) for area in self._areas])

    def resume(self) -> None:
        """Copy in what changed in storage, if that is the policy."""
        if self._sync is SyncPolicy.CALL:
            for area in self._areas:
                data = self._storage.read_mapped(area.storage_offset, area.length)
                if data != area.loaded:
                    self._memory.write(area.memory_offset, data)
                    area.loaded = data

    def end(self) -> None:
        """Copy back what changed, or everything.

        Raises:
            TrapError: Under ``revision``, an area that is to be copied back changed in storage.
        """
        if self._sync is SyncPolicy.NONE:
            for area in self._areas:
                self._write_whole(area)
        else:
            for area in self._areas:
                self._copy_back(area)

    def unmap(self, memory_offset: int) -> None:
        """Copy back what changed in one area, or all of it, whatever the policy says of calls.

        Raises:
            TrapError: No area begins there.
        """
        area = next((each for each in self._areas if each.memory_offset == memory_offset), None)
        if area is None:
            raise nothing_mapped(memory_offset)
        if self._sync is SyncPolicy.NONE:
            self._write_whole(area)
        else:
            self._copy_back(area)
        self._areas.remove(area)
        self._memory.write(memory_offset, bytes(area.length))

    def flush(self) -> None:
        """Copy back what changed, if that is the policy."""
        if self._sync is SyncPolicy.CALL:
            self.suspend()

    def ranges(self) -> tuple[tuple[int, int, int], ...]:
        """Return the areas."""
        return tuple((area.memory_offset, area.storage_offset, area.length) for area in self._areas)

    def _write_whole(self, area: _Area) -> None:
        self._storage.write_mapped(area.storage_offset, self._memory.read(area.memory_offset, area.length))

    def _hold_back(self, area: _Area) -> tuple[int, bytes, bytes]:
        self._storage.count_work(area.length)
        now = self._memory.read(area.memory_offset, area.length)
        if now != area.held_back:
            area.held_back = now
        return area.storage_offset, area.loaded, area.held_back

    def _copy_back(self, area: _Area) -> None:
        self._storage.count_work(area.length)
        now = self._memory.read(area.memory_offset, area.length)
        if now == area.loaded:
            return
        if self._sync is SyncPolicy.REVISION and not self._storage.holds(area.storage_offset, area.loaded):
            raise _newer_revision(area)
        for start, stop in differing_bytes(area.loaded, now):
            self._storage.write_mapped(area.storage_offset + start, now[start:stop])
        area.loaded = now


def _newer_revision(area: _Area) -> TrapError:
    return TrapError(
        f"storageMap: bytes [{area.storage_offset:#x}, {area.storage_offset + area.length:#x}) of storage have a newer "
        "revision than the copy that the call changed",
        code="newer_revision",
        hint="map a range after the calls that may change it, or in smaller ranges, or use the sync policy call",
    )
