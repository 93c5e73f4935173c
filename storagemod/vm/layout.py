"""The layout of a contract's storage: which regions it has, how long they may be, and how they are reached."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import attrs
from attrs import frozen

from storagemod.errors import LinkError, TrapError, ValidationError
from storagemod.limits import Limits
from storagemod.types import MemoryType, most_pages
from storagemod.wasm import Import

NAMESPACE = "storage"

PAGES_MAX = 65_536
"""The most that a region may have, 4 GiB; 32-bit addresses reach no further."""

DEFAULT_REGION = "memory"
"""The one region of ``single``, and the private one of ``methods``."""

WINDOW = "window"
"""The memory into which the option ``window`` maps storage. It is no region: nothing of it is committed."""


class Access(enum.StrEnum):
    """How a contract reaches a region."""

    MEMORY = "memory"
    """It imports the memory."""
    METHODS = "methods"
    """It imports functions of the storage module; the memory is private to that."""
    HOST = "host"
    """It calls the host; the memory is private to the storage module."""


@frozen
class Region:
    """One linear memory of storage.

    ``type`` is what the storage module declares: the contract's own minimum, and its maximum or that of the limits,
    whichever is less.
    """

    name: str
    type: MemoryType
    access: Access


@frozen(cache_hash=True)
class Layout:
    """The regions of a contract's storage, ordered by name, and its window if it imports one."""

    regions: tuple[Region, ...] = ()
    window: MemoryType | None = None

    def region(self, name: str) -> Region | None:
        """The region of that name, or ``None``."""
        return next((region for region in self.regions if region.name == name), None)

    @property
    def hosted(self) -> Layout:
        """The regions that only the host reaches."""
        return Layout(tuple(region for region in self.regions if region.access is Access.HOST))

    @property
    def shared(self) -> Layout:
        """The regions that code reaches itself, or through functions of the storage module."""
        return Layout(tuple(region for region in self.regions if region.access is not Access.HOST))


def shared_regions(items: Sequence[Import], limits: Limits) -> list[Region]:
    """The regions that memory imports ask for, one for each name. For the options that share memories.

    Raises:
        LinkError: Two imports of one region cannot both be served.
        ValidationError: A region is to be longer than the limits allow.
    """
    regions: dict[str, Region] = {}
    for item in items:
        wanted = item.type
        assert isinstance(wanted, MemoryType)  # noqa: S101 - what these options claim
        region = bounded_region(item.name, wanted, Access.MEMORY, limits)
        known = regions.setdefault(item.name, region)
        if known.type != region.type:
            raise LinkError(
                f'storage region "{item.name}" is imported twice with different limits: '
                f"wanted {wanted}, offered {known.type}",
                hint="declare both imports alike",
            )
    return list(regions.values())


def bounded_region(name: str, wanted: MemoryType, access: Access, limits: Limits) -> Region:
    """A region whose maximum is set by the limits where the contract's own is higher or absent.

    Raises:
        ValidationError: Its minimum is above the limits.
    """
    pages_max = most_pages(limits.storage_pages_max, wanted)
    if wanted.pages_min > pages_max:
        raise ValidationError(
            f'storage region "{name}" is too long: wanted {wanted.pages_min:,} {wanted.unit} at least, '
            f"offered {pages_max:,} at most (storage_pages_max)"
        )
    if wanted.pages_max is not None:
        pages_max = min(pages_max, wanted.pages_max)
    return Region(name, attrs.evolve(wanted, pages_max=pages_max), access)


# Rules of storage that calls break. The texts are the same however it was found.


def static_write() -> TrapError:
    """Return the error of a static call that changes storage (rule 6)."""
    return TrapError("a static call wrote storage", code="static_write")


def static_growth(region: str) -> TrapError:
    """Return the error of a static call that grows storage (rule 6)."""
    return TrapError(f'a static call grew storage region "{region}"', code="static_write")


def outside_region() -> TrapError:
    """Return the error of an access beyond a region's length, where an undone growth left memory there (rule 5)."""
    return TrapError(
        "out of bounds storage access: beyond the length of the region, where an undone growth had been",
        code="memory_out_of_bounds",
    )
