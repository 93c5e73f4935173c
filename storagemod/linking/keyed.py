"""The option ``keyed``: what the others are to replace, storage of 32-byte keys and values reached by host calls.

The entries are kept in the private memory of a storage module, as a table (:mod:`storagemod.linking.slots`), so they
are committed, undone, hashed and shown like all storage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from storagemod import host
from storagemod.errors import LinkError, ValidationError
from storagemod.limits import Limits
from storagemod.linking.layout import Access, Layout, Region
from storagemod.linking.methods import StorageContext
from storagemod.linking.slots import KEY_BYTES, VALUE_BYTES, WASM_PAGES, Slots
from storagemod.types import FunctionType, MemoryType
from storagemod.wasm import HostFunction, Import, Instance

SLOTS_REGION = "slots"
"""The region that holds the table."""

_TYPE = FunctionType(("i32", "i32"))
_U32 = 0xFFFF_FFFF


def _storage_load(context: StorageContext, key_offset: int, result_offset: int) -> None:
    key = context.memory.read(key_offset & _U32, KEY_BYTES)
    context.memory.write(result_offset & _U32, Slots(context.storage_memory(SLOTS_REGION)).load(key))


def _storage_store(context: StorageContext, key_offset: int, value_offset: int) -> None:
    key = context.memory.read(key_offset & _U32, KEY_BYTES)
    value = context.memory.read(value_offset & _U32, VALUE_BYTES)
    Slots(context.storage_memory(SLOTS_REGION)).store(key, value)


_FUNCTIONS = {
    function.name: function
    for function in (
        HostFunction(host.NAMESPACE, "storageLoad", _TYPE, _storage_load),
        HostFunction(host.NAMESPACE, "storageStore", _TYPE, _storage_store),
    )
}


class Keyed:
    """Fixed-length keys and values (the seed: what linear storage is proposed instead of)."""

    name = "keyed"
    summary = "the contract loads and stores 32-byte values by 32-byte keys, each by a call of the host"

    def claims(self, item: Import) -> bool:
        """``ethereum.storageLoad`` and ``ethereum.storageStore``."""
        return item.module == host.NAMESPACE and item.name in _FUNCTIONS

    def regions(self, items: Sequence[Import], limits: Limits) -> list[Region]:
        """The one table."""
        for item in items:
            if item.type != _TYPE:
                raise LinkError(
                    f'import "{item.module}" "{item.name}" does not match: wanted {item.type}, offered {_TYPE}'
                )
        if limits.storage_pages_max < WASM_PAGES:
            raise ValidationError(
                f"keyed storage takes {WASM_PAGES} Wasm pages, and {limits.storage_pages_max} are allowed "
                "(storage_pages_max)"
            )
        return [Region(SLOTS_REGION, MemoryType(WASM_PAGES, WASM_PAGES), Access.HOST)]

    def module_fields(self, region: Region, memory: str) -> list[str]:  # noqa: ARG002 - the memory is all
        """Nothing besides the memory."""
        return []

    def host_functions(self, items: Sequence[Import], layout: Layout) -> list[HostFunction]:  # noqa: ARG002
        """The functions, as far as they are imported."""
        return [_FUNCTIONS[name] for name in sorted({item.name for item in items})]

    def offered(self, item: Import, layout: Layout) -> object | None:  # noqa: ARG002 - both are alike
        """The functions' type, where there is a table."""
        region = layout.region(SLOTS_REGION)
        return _TYPE if region is not None and region.access is Access.HOST else None

    def accepts(self, item: Import, layout: Layout, sizes: dict[str, int]) -> bool:  # noqa: ARG002 - any length will do
        """Whether there is a table."""
        return self.offered(item, layout) is not None

    def link(self, item: Import, instance: Instance) -> Any | None:  # noqa: ARG002 - the storage module exports none
        """``None``: the host serves both."""
        return None
