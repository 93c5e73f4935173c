"""The option ``regions``: the contract imports several memories, one for each region, by names of its own."""

from __future__ import annotations

from storagemod.linking.layout import DEFAULT_REGION, NAMESPACE
from storagemod.linking.memories import SharedMemories
from storagemod.types import MemoryType
from storagemod.wasm import Import


class Regions(SharedMemories):
    """Storage module with several memories (the seed's proposal "storage modules")."""

    name = "regions"
    summary = "the contract imports several memories of the storage module, one for each region"

    def claims(self, item: Import) -> bool:
        """Memory imports of any but the default name."""
        return item.module == NAMESPACE and isinstance(item.type, MemoryType) and item.name != DEFAULT_REGION
