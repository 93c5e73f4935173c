"""The option ``keyed``: what the others are to replace, storage of 32-byte keys and values reached by host calls.

The entries are kept in the private memory of a storage module, as a table (:mod:`storagemod.vm.slots`), so they
are committed, undone, hashed and shown like all storage.
"""

from __future__ import annotations

from typing import Protocol

from storagemod import host
from storagemod.errors import ValidationError
from storagemod.limits import Limits
from storagemod.vm.layout import Access, Region
from storagemod.vm.methods import StorageContext
from storagemod.vm.rules import static_write
from storagemod.vm.served import ServedByHost
from storagemod.vm.slots import KEY_BYTES, NO_VALUE, VALUE_BYTES, WASM_PAGES, Slots
from storagemod.types import FunctionType, MemoryType
from storagemod.wasm import HostFunction

SLOTS_REGION = "slots"
"""The region that holds the table."""

_TYPE = FunctionType(("i32", "i32"))
_PRINT_TYPE = FunctionType(("i32",))


class DebugContext(StorageContext, Protocol):
    """What printing storage needs of the running call."""

    def debug(self, text: str) -> None:
        """Show text to whoever listens."""


def _storage_load(context: StorageContext, key_offset: int, result_offset: int) -> None:
    context.use_gas(context.schedule.storage_load)
    context.memory.write(host.u32(result_offset), _load(context, key_offset))


def _storage_store(context: StorageContext, key_offset: int, value_offset: int) -> None:
    schedule = context.schedule
    context.use_gas(schedule.storage_store)
    if context.static:  # whatever is there already, as on Ethereum
        raise static_write()
    key = context.memory.read(host.u32(key_offset), KEY_BYTES)
    value = context.memory.read(host.u32(value_offset), VALUE_BYTES)
    slots = Slots(context.storage_memory(SLOTS_REGION))
    if value != NO_VALUE and slots.load(key) == NO_VALUE:
        context.use_gas(schedule.storage_store_new - schedule.storage_store)
    slots.store(key, value)


def _print_storage(context: DebugContext, key_offset: int) -> None:
    context.debug(host.as_characters(_load(context, key_offset)))


def _print_storage_hex(context: DebugContext, key_offset: int) -> None:
    context.debug(host.as_hex(_load(context, key_offset)))


def _load(context: StorageContext, key_offset: int) -> bytes:
    key = context.memory.read(host.u32(key_offset), KEY_BYTES)
    return Slots(context.storage_memory(SLOTS_REGION)).load(key)


_FUNCTIONS = {
    function.name: function
    for function in (
        HostFunction(host.NAMESPACE, "storageLoad", _TYPE, _storage_load),
        HostFunction(host.NAMESPACE, "storageStore", _TYPE, _storage_store),
        HostFunction(host.DEBUG_NAMESPACE, "printStorage", _PRINT_TYPE, _print_storage),
        HostFunction(host.DEBUG_NAMESPACE, "printStorageHex", _PRINT_TYPE, _print_storage_hex),
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
