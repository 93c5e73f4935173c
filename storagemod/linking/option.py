"""What a linking option is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from storagemod.limits import Limits
from storagemod.linking.layout import Layout, Region
from storagemod.types import MemoryType
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
        """Whether what is offered fits an import, given the length of each region now, in Wasm pages."""

    def link(self, item: Import, instance: Instance) -> Any | None:
        """The export of a storage module to define for an import; ``None`` where the host serves it."""


def memory_fits(wanted: MemoryType, offered: MemoryType, pages: int) -> bool:
    """Whether a memory of so many pages may be imported (WebAssembly core specification 3.4.4, "Memories")."""
    return (
        wanted.is_64 == offered.is_64
        and pages >= wanted.pages_min
        and (wanted.pages_max is None or (offered.pages_max is not None and offered.pages_max <= wanted.pages_max))
    )
