"""What a linking option is, and what those that the host serves have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from storagemod.errors import LinkError
from storagemod.limits import Limits
from storagemod.types import MemoryType
from storagemod.vm.layout import Access, Layout, Region
from storagemod.wasm import HostFunction, Import, Instance


class LinkingOption(Protocol):
    """One way for a contract to reach its storage. Stateless; one file each.

    ``name`` is what users call it, ``summary`` one line about it.
    """

    name: str
    summary: str

    def claims(self, item: Import) -> bool:
        """Whether an import is one of storage, and this option's to serve."""

    def regions(self, items: Sequence[Import], limits: Limits) -> list[Region]:
        """The regions that the imports it claimed ask for.

        Raises:
            LinkError: Nothing of that name or type is offered.
            ValidationError: A limit is exceeded.
        """

    def module_fields(self, region: Region, memory: str) -> list[str]:
        """WAT fields that the storage module has for one of its regions, besides the memory, named ``memory``."""

    def host_functions(self, items: Sequence[Import], layout: Layout) -> list[HostFunction]:
        """Those of the imports that the host serves rather than the storage module."""

    def offered(self, item: Import, layout: Layout) -> object | None:
        """What a storage module of this layout offers for an import; its text is shown to users. ``None``: nothing."""

    def accepts(self, item: Import, layout: Layout, sizes: dict[str, int]) -> bool:
        """Whether what is offered fits an import, given the length of each region now, in its pages."""

    def link(self, item: Import, instance: Instance) -> Any | None:
        """The export of a storage module to define for an import; ``None`` where the host serves it."""


def memory_fits(wanted: MemoryType, offered: MemoryType, pages: int) -> bool:
    """Whether a memory of so many pages may be imported (WebAssembly core specification 3.4.4, "Memories")."""
    return (
        wanted.is_64 == offered.is_64
        and wanted.page_bytes == offered.page_bytes
        and pages >= wanted.pages_min
        and (wanted.pages_max is None or (offered.pages_max is not None and offered.pages_max <= wanted.pages_max))
    )


class ServedByHost(ABC):
    """Imports of host functions that work on one region, which is private to the storage module.

    Attributes:
        functions: Those functions, by name.
        region_name: The region.
    """

    functions: ClassVar[Mapping[str, HostFunction]]
    region_name: ClassVar[str]

    @abstractmethod
    def region(self, limits: Limits) -> Region:
        """The region that the functions work on.

        Raises:
            ValidationError: The limits do not allow it.
        """

    def claims(self, item: Import) -> bool:
        """The functions, by namespace and name."""
        function = self.functions.get(item.name)
        return function is not None and function.module == item.module

    def regions(self, items: Sequence[Import], limits: Limits) -> list[Region]:
        """The one region."""
        for item in items:
            offered = self.functions[item.name].type
            if item.type != offered:
                raise LinkError(
                    f'import "{item.module}" "{item.name}" does not match: wanted {item.type}, offered {offered}'
                )
        return [self.region(limits)]

    def module_fields(self, region: Region, memory: str) -> list[str]:  # noqa: ARG002 - the memory is all
        """Nothing besides the memory."""
        return []

    def host_functions(self, items: Sequence[Import], layout: Layout) -> list[HostFunction]:  # noqa: ARG002
        """The functions, as far as they are imported."""
        return [self.functions[name] for name in sorted({item.name for item in items})]

    def offered(self, item: Import, layout: Layout) -> object | None:
        """The function's type, where there is the region for it."""
        region = layout.region(self.region_name)
        return self.functions[item.name].type if region is not None and region.access is Access.HOST else None

    def accepts(self, item: Import, layout: Layout, sizes: dict[str, int]) -> bool:  # noqa: ARG002 - any length will do
        """Whether there is the region for it."""
        return self.offered(item, layout) is not None

    def link(self, item: Import, instance: Instance) -> Any | None:  # noqa: ARG002 - the storage module exports none
        """``None``: the host serves it."""
        return None
