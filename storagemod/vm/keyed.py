"""The option ``keyed``: what the others are to replace, storage of 32-byte keys and values reached by host calls.

The entries are kept in the private memory of a storage module, as a table (:mod:`storagemod.vm.slots`), so they
are committed, undone, hashed and shown like all storage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storagemod.errors import ValidationError
from storagemod.limits import Limits
from storagemod.types import FunctionType, MemoryType
from storagemod.vm import ethereum
from storagemod.vm.ethereum import u32
from storagemod.vm.layout import Access, Region, static_write
from storagemod.vm.option import ServedByHost
from storagemod.vm.slots import CELL_BYTES, KEY_BYTES, NO_VALUE, VALUE_BYTES, WASM_PAGES, Slots, home
from storagemod.wasm import SAME, HostFunction

if TYPE_CHECKING:
    from storagemod.vm.frame import Frame

SLOTS_REGION = "slots"
"""The region that holds the table."""

_TYPE = FunctionType(("i32", "i32"))
_PRINT_TYPE = FunctionType(("i32",))


def _storage_load(frame: Frame, key_offset: int, result_offset: int) -> None:
    frame.use_gas(frame.schedule.storage_load)
    frame.memory.write(u32(result_offset), _load(frame, key_offset))


def _storage_store(frame: Frame, key_offset: int, value_offset: int) -> None:
    schedule = frame.schedule
    frame.use_gas(schedule.storage_store)
    if frame.static:  # whatever is there already, as on Ethereum
        raise static_write()
    key = frame.memory.read(u32(key_offset), KEY_BYTES)
    value = frame.memory.read(u32(value_offset), VALUE_BYTES)
    slots = Slots(frame.storage_memory(SLOTS_REGION))
    if value != NO_VALUE and slots.load(key) == NO_VALUE:
        frame.use_gas(schedule.storage_store_new - schedule.storage_store)
    marks = 0 if frame.log is None else len(frame.marks)
    slots.store(key, value)
    if frame.log is not None and not any(each[5] for each in frame.marks[marks:]):
        # No entry was to be removed, and there is none: the contract stored all the same.
        frame.note_access(SLOTS_REGION, home(key) * CELL_BYTES, CELL_BYTES, True, SAME)


def _print_storage(frame: Frame, key_offset: int) -> None:
    frame.debug(ethereum.as_characters(_load(frame, key_offset)))


def _print_storage_hex(frame: Frame, key_offset: int) -> None:
    frame.debug(ethereum.as_hex(_load(frame, key_offset)))


def _load(frame: Frame, key_offset: int) -> bytes:
    key = frame.memory.read(u32(key_offset), KEY_BYTES)
    return Slots(frame.storage_memory(SLOTS_REGION)).load(key)


_FUNCTIONS = {
    function.name: function
    for function in (
        HostFunction(ethereum.NAMESPACE, "storageLoad", _TYPE, _storage_load),
        HostFunction(ethereum.NAMESPACE, "storageStore", _TYPE, _storage_store),
        HostFunction(ethereum.DEBUG_NAMESPACE, "printStorage", _PRINT_TYPE, _print_storage),
        HostFunction(ethereum.DEBUG_NAMESPACE, "printStorageHex", _PRINT_TYPE, _print_storage_hex),
    )
}


class Keyed(ServedByHost):
    """Fixed-length keys and values (the seed: what linear storage is proposed instead of)."""

    name = "keyed"
    summary = "the contract loads and stores 32-byte values by 32-byte keys, each by a call of the host"
    functions = _FUNCTIONS
    region_name = SLOTS_REGION

    def region(self, limits: Limits) -> Region:
        """The one table."""
        if limits.storage_pages_max < WASM_PAGES:
            raise ValidationError(
                f"keyed storage takes {WASM_PAGES} Wasm pages, and {limits.storage_pages_max} are allowed "
                "(storage_pages_max)"
            )
        return Region(SLOTS_REGION, MemoryType(WASM_PAGES, WASM_PAGES), Access.HOST)
