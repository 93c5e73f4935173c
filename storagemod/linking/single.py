"""The option ``single``: the contract imports one memory, ``storage.memory``."""

from __future__ import annotations

from storagemod.linking.layout import DEFAULT_REGION, NAMESPACE
from storagemod.linking.memories import SharedMemories
from storagemod.types import MemoryType
from storagemod.wasm import Import


class Single(SharedMemories):
    """Storage module with one memory (the seed's proposal "storage modules")."""

    name = "single"
    summary = "the contract imports the storage module's one memory"

    def claims(self, item: Import) -> bool:
        """Memory imports of the default name."""
        return item.module == NAMESPACE and isinstance(item.type, MemoryType) and item.name == DEFAULT_REGION
