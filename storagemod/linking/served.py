"""What options that the host serves have in common: functions of ``ethereum``, and a region that only it reaches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from storagemod.errors import LinkError
from storagemod.limits import Limits
from storagemod.linking.layout import Access, Layout, Region
from storagemod.wasm import HostFunction, Import, Instance


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
