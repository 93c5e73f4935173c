"""A contract's storage while a transaction runs: its storage module, instantiated, with images under its memories."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from storagemod.errors import LimitError, LinkError, TrapError
from storagemod.linking.contract import Contract
from storagemod.linking.layout import NAMESPACE, Layout
from storagemod.linking.options import option_for
from storagemod.linking.storage_module import storage_module
from storagemod.pages import CompareTracker, CopyMapping, Image, Journal, JournaledRegion
from storagemod.types import WASM_PAGE_BYTES
from storagemod.wasm import Instance, LinearMemory, Linker, Prepared, Store


@frozen(eq=False)
class LiveStorage:
    """One storage module instance, for one address and one transaction (rule 1: the one copy that counts)."""

    layout: Layout
    instance: Instance
    regions: dict[str, JournaledRegion]
    memories: dict[str, LinearMemory]

    def guarded(self, region: str, *, writable: bool) -> GuardedMemory:
        """A region as the host may use it for a contract."""
        return GuardedMemory(region, self.memories[region], self.regions[region], writable)

    def region_at(self, base: int) -> str | None:
        """The region whose memory begins at an address, if one does: for a contract that exports its storage."""
        return next((name for name, memory in self.memories.items() if memory.base == base), None)


@frozen(eq=False)
class GuardedMemory:
    """A region of storage that the host reads and writes for a contract, within rules 5 and 6."""

    name: str
    memory: LinearMemory
    region: JournaledRegion
    writable: bool

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out; a range outside traps."""
        self._check(offset, length)
        return self.memory.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Copy bytes in; a range outside traps, and so does a static call."""
        self._check(offset, len(data))
        if not self.writable:
            raise static_write(self.name, offset)
        self.memory.write(offset, data)

    def _check(self, offset: int, length: int) -> None:
        hole = range(self.region.wasm_pages * WASM_PAGE_BYTES, self.region.memory_pages * WASM_PAGE_BYTES)
        if length and offset < hole.stop and offset + length > hole.start and hole:
            raise outside_region(self.name, max(offset, hole.start))


def static_write(region: str, offset: int) -> TrapError:
    """What a static call that changes storage ends with (rule 6)."""
    return TrapError(f'a static call wrote storage, at byte {offset:#x} of region "{region}"', code="static_write")


def static_growth(region: str) -> TrapError:
    """What a static call that grows storage ends with (rule 6)."""
    return TrapError(f'a static call grew storage region "{region}"', code="static_write")


def outside_region(region: str, offset: int) -> TrapError:
    """What an access beyond the length of a region ends with, where an undone growth left memory there (rule 5)."""
    return TrapError(
        f'out of bounds storage access: byte {offset:#x} of region "{region}" is beyond its length, '
        "which an undone growth gave back",
        code="memory_out_of_bounds",
    )


def open_storage(layout: Layout, store: Store, journal: Journal, image_of: Callable[[str], Image]) -> LiveStorage:
    """Instantiate the storage module of a layout and show the committed images in its memories.

    Raises:
        LimitError: The store can hold no more, or an image is longer than its region may be.
    """
    instance = store.instantiate(Linker().prepare(storage_module(layout)))
    regions, memories = {}, {}
    for region in layout.regions:
        memory = instance.memory(region.name)
        assert memory is not None  # noqa: S101 - the module was generated from the layout
        image = image_of(region.name)
        missing = image.wasm_pages - memory.pages
        if missing > 0 and not memory.grow(missing):
            raise LimitError(
                f'storage region "{region.name}" is {image.wasm_pages:,} Wasm pages long, '
                f"and {region.type.pages_max:,} are allowed"
            )
        mapping = CopyMapping(memory, image)
        memories[region.name] = memory
        regions[region.name] = journal.open(memory, image, mapping, CompareTracker(memory))
    return LiveStorage(layout, instance, regions, memories)


def prepare(contract: Contract, storage: LiveStorage, store: Store) -> Prepared:
    """Resolve the imports of a contract that is to run on some storage: its own, or in a delegate call its caller's.

    Raises:
        LinkError: The storage does not offer what the contract wants.
    """
    items = contract.storage_imports
    if not items:
        return contract.linker.prepare(contract.module)
    linker = contract.linker.copy()
    sizes = {name: memory.pages for name, memory in storage.memories.items()}
    for item in items:
        option = option_for(item)
        if not option.accepts(item, storage.layout, sizes):
            offered = option.offered(item, storage.layout) or "nothing of that name"
            raise LinkError(
                f'import "{NAMESPACE}" "{item.name}" does not match the storage that it is to run on: '
                f"wanted {item.type}, offered {offered}"
            )
        export = option.link(item, storage.instance)
        if export is not None:
            linker.define(store, item.module, item.name, export)
    return linker.prepare(contract.module)
