"""Read and preset the storage of contracts by region, under any linking option.

The storage prelude of the option `keyed` maps linear storage of 64 KiB to 32-byte slots. Byte n is byte n % 32 of the
value with the key n // 32. Scenarios can therefore name the region `memory` of keyed storage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from storagemod.errors import StateError
from storagemod.pages import PAGE_BYTES
from storagemod.scenario.boundaries import Boundary
from storagemod.types import WASM_PAGE_BYTES, Address
from storagemod.vm import DEFAULT_REGION, SLOTS_REGION, Slots
from storagemod.world import SlotsView, World

_KEY_BYTES = _SLOT_BYTES = 32


class Bytes(Protocol):
    """Committed bytes of a region: a view of linear storage, or of slots as linear storage."""

    @property
    def pages(self) -> int:
        """Length in Wasm pages, rounded up."""

    def __len__(self) -> int:
        """Length in bytes."""

    def __getitem__(self, key: slice, /) -> bytes: ...


class _SlotsAsMemory:
    pages = 1

    def __init__(self, slots: SlotsView, load: Callable[[bytes], bytes] | None = None) -> None:
        self._slots = slots
        self._load = load or slots.__getitem__

    def __len__(self) -> int:
        return self.pages * WASM_PAGE_BYTES

    def __getitem__(self, key: slice) -> bytes:
        start, stop, _ = key.indices(len(self))
        first = start // _SLOT_BYTES
        data = b"".join(self._load(_key(slot)) for slot in range(first, -(-stop // _SLOT_BYTES)))
        return data[start - first * _SLOT_BYTES : stop - first * _SLOT_BYTES]

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes."""
        first, end = offset // _SLOT_BYTES, -(-(offset + len(data)) // _SLOT_BYTES)
        old = self[first * _SLOT_BYTES : end * _SLOT_BYTES]
        inside = offset - first * _SLOT_BYTES
        new = old[:inside] + data + old[inside + len(data) :]
        for slot in range(first, end):
            start = (slot - first) * _SLOT_BYTES
            self._slots[_key(slot)] = new[start : start + _SLOT_BYTES]


class _AtBoundary:
    """A region as it was at a call boundary: the committed one, with the pages that were written until then."""

    def __init__(self, view: Bytes, written: Mapping[int, bytes], length: int | None) -> None:
        self._view = view
        self._written = written
        self._length = len(view) if length is None else length

    @property
    def pages(self) -> int:
        return -(-self._length // WASM_PAGE_BYTES)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, key: slice) -> bytes:
        start, stop, _ = key.indices(self._length)
        return self.read(start, max(0, stop - start))

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes, with zeros beyond the end."""
        data = bytearray(self._view[offset : offset + length].ljust(length, b"\0"))
        for number in range(offset // PAGE_BYTES, -(-(offset + length) // PAGE_BYTES)):
            page = self._written.get(number)
            if page is not None:
                low, high = max(offset, number * PAGE_BYTES), min(offset + length, (number + 1) * PAGE_BYTES)
                first = number * PAGE_BYTES
                data[low - offset : high - offset] = page[low - first : high - first]
        return bytes(data)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        raise NotImplementedError("a state that was put together is only read")


def gone(world: World, address: Address, name: str | None) -> str | None:
    """Describe a contract that the file deployed and the world has no longer; ``None`` if there is no such contract.

    Such a contract is a finding about the world, and no mistake in the file.
    """
    return None if name is None or world.account(address).code else f"the contract {name} is gone: it was destroyed"


def contents(world: World, address: Address, moment: Boundary | None = None) -> Mapping[str, Bytes]:
    """Return the storage of a contract by region. Keyed storage is the region `memory` as well.

    Args:
        world: The world.
        address: The contract.
        moment: A call boundary of a transaction that would start from this world. Storage is as it was then.

    Raises:
        StateError: The address has no contract.
    """
    regions: dict[str, Bytes] = dict(world.storage(address))
    changed = {} if moment is None else moment.regions_of(address)
    for region, (written, length) in changed.items():
        if region in regions:
            regions[region] = _AtBoundary(regions[region], written, length)
    if SLOTS_REGION in regions and _is_laid_over_slots(world, address):
        table = regions[SLOTS_REGION]
        load = Slots(table).load if isinstance(table, _AtBoundary) else None
        regions[DEFAULT_REGION] = _SlotsAsMemory(world.slots(address), load)
    return regions


def entries(world: World, address: Address, moment: Boundary | None = None) -> Callable[[bytes], bytes] | None:
    """Return how to look up the values of 32 bytes of keyed storage; ``None`` if a contract has none.

    Args:
        world: The world.
        address: The contract.
        moment: As for :func:`contents`.

    Raises:
        StateError: The address has no contract.
    """
    if SLOTS_REGION not in world.storage(address):
        return None
    try:
        slots = world.slots(address)
    except StateError:  # the contract has a memory of that name
        return None
    table = contents(world, address, moment)[SLOTS_REGION]
    return Slots(table).load if isinstance(table, _AtBoundary) else slots.__getitem__


def most_bytes(world: World, address: Address, region: str) -> int:
    """Return how long a region may become, in bytes: what its contract declares, within the limits of the world."""
    if region == DEFAULT_REGION and _is_laid_over_slots(world, address):
        return WASM_PAGE_BYTES
    declared = world.contract(address).layout.region(region)
    if declared is None:
        return len(world.storage(address)[region])
    return (declared.type.pages_max or 0) * declared.type.page_bytes


def preset(world: World, address: Address, region: str, data: bytes, *, offset: int) -> None:
    """Write bytes of a region, outside of any transaction.

    Raises:
        StorageModError: There is no such region, or the bytes do not fit it.
    """
    if region == DEFAULT_REGION and _is_laid_over_slots(world, address) and offset + len(data) <= WASM_PAGE_BYTES:
        _SlotsAsMemory(world.slots(address)).write(offset, data)
    else:
        world.load_storage(address, region, data, offset=offset)


def _is_laid_over_slots(world: World, address: Address) -> bool:
    """Check whether the region `memory` is the prelude's view of slots, and not a region of the contract."""
    regions = world.storage(address)
    if SLOTS_REGION not in regions or DEFAULT_REGION in regions:
        return False
    try:
        world.slots(address)
    except StateError:  # the contract has a memory of that name
        return False
    return True


def _key(slot: int) -> bytes:
    return slot.to_bytes(_KEY_BYTES, "big")
