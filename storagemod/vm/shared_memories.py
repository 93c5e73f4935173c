"""The options ``single`` and ``regions``: the contract imports memories of its storage module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from storagemod.limits import Limits
from storagemod.types import MemoryType
from storagemod.vm.layout import DEFAULT_REGION, NAMESPACE, WINDOW, Access, Layout, Region, shared_regions
from storagemod.vm.option import memory_fits
from storagemod.wasm import HostFunction, Import, Instance


class SharedMemories:
    """Imports of memories are served with the storage module's own memories."""

    def regions(self, items: Sequence[Import], limits: Limits) -> list[Region]:
        """One region for each name that is imported."""
        return shared_regions(items, limits)

    def module_fields(self, region: Region, memory: str) -> list[str]:  # noqa: ARG002 - the memory is all
        """Nothing besides the memory."""
        return []

    def host_functions(self, items: Sequence[Import], layout: Layout) -> list[HostFunction]:  # noqa: ARG002
        """None: all is done by wasm itself."""
        return []

    def offered(self, item: Import, layout: Layout) -> object | None:
        """The memory's type."""
        region = layout.region(item.name)
        return region.type if region is not None and region.access is Access.MEMORY else None

    def accepts(self, item: Import, layout: Layout, sizes: dict[str, int]) -> bool:
        """Whether the memory's type and length fit."""
        region = layout.region(item.name)
        return (
            region is not None
            and region.access is Access.MEMORY
            and isinstance(item.type, MemoryType)
            and memory_fits(item.type, region.type, sizes[item.name])
        )

    def link(self, item: Import, instance: Instance) -> Any | None:
        """The memory."""
        return instance.export(item.name)


class Single(SharedMemories):
    """Storage module with one memory (the seed's proposal "storage modules")."""

    name = "single"
    summary = "the contract imports the storage module's one memory"

    def claims(self, item: Import) -> bool:
        """Memory imports of the default name."""
        return item.module == NAMESPACE and isinstance(item.type, MemoryType) and item.name == DEFAULT_REGION


class Regions(SharedMemories):
    """Storage module with several memories (the seed's proposal "storage modules")."""

    name = "regions"
    summary = "the contract imports several memories of the storage module, one for each region"

    def claims(self, item: Import) -> bool:
        """Memory imports of any name but the default one and that of the window."""
        is_memory = item.module == NAMESPACE and isinstance(item.type, MemoryType)
        return is_memory and item.name not in {DEFAULT_REGION, WINDOW}
