"""A contract's storage while a transaction runs: its storage module, instantiated, with images under its memories."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field, frozen

from storagemod.errors import LimitError, LinkError, TrapError
from storagemod.linking.contract import Contract
from storagemod.linking.layout import DEFAULT_REGION, Layout
from storagemod.linking.options import option_for
from storagemod.linking.rules import outside_region, static_write
from storagemod.linking.storage_module import storage_module
from storagemod.pages import Image, Journal, JournaledRegion
from storagemod.types import WASM_PAGE_BYTES
from storagemod.wasm import Instance, LinearMemory, Linker, Prepared, Store


@define
class CopyCount:
    """How many bytes the host copied out of and into storage for contracts."""

    bytes: int = 0


@frozen(eq=False)
class LiveStorage:
    """One storage module instance, for one address and one transaction (rule 1: the one copy that counts)."""

    layout: Layout
    instance: Instance
    journal: Journal
    regions: dict[str, JournaledRegion]
    memories: dict[str, LinearMemory]
    copied: CopyCount = field(factory=CopyCount)

    def region_at(self, base: int) -> str | None:
        """The region whose memory begins at an address, if one does: for a contract that exports its storage."""
        return next((name for name, memory in self.memories.items() if memory.base == base), None)

    def can_enforce(self, code: Contract) -> bool:
        """Whether rules 5 and 6 can be enforced on this code while it runs; if not, they are checked afterwards."""
        return not code.bulk_storage and all(region.protection.enforces for region in self.regions.values())

    def allow(self, rights: Rights) -> None:
        """Let the code that runs next have these rights."""
        for region in self.regions.values():
            if rights.enforced:
                region.allow(writing=rights.writing)
            else:
                region.allow_all()

    def guarded(self, region: str, rights: Rights) -> GuardedMemory:
        """A region as the host may use it for code that has these rights."""
        return GuardedMemory(self.memories[region], self.regions[region], rights, self.copied)

    def mapped(self, rights: Rights, loaded: Callable[[int, int], None] | None) -> MappedStorage:
        """The region that ``storageMap`` maps, as the host may use it for code that has these rights.

        ``loaded`` is told the offset and length of what was read.
        """
        region = self.layout.region(DEFAULT_REGION)
        assert region is not None  # noqa: S101 - the code was linked to it
        pages_max = region.type.pages_max or self.memories[region.name].pages
        return MappedStorage(self.guarded(region.name, rights), self.journal, pages_max * WASM_PAGE_BYTES, loaded)

    def forbidden(self, fault: tuple[int, int], rights: Rights) -> TrapError | None:
        """The rule that an access broke which the machine stopped at (offset, memory length in bytes), if it was one.

        The machine does not say which memory it was; one of that length is taken.
        """
        offset, length = fault
        regions = [region for region in self.regions.values() if region.memory.pages * WASM_PAGE_BYTES == length]
        lengths = [region.wasm_pages * WASM_PAGE_BYTES for region in regions]
        if not rights.enforced or offset >= length or not lengths:
            return None
        if not rights.writing and any(offset < inside for inside in lengths):
            return static_write()
        return outside_region() if any(offset >= inside for inside in lengths) else None


@frozen
class Rights:
    """What code may do with the storage that it runs on.

    Attributes:
        writing: Whether it may write: it may not in a static call (rule 6).
        enforced: Whether it is stopped where it may not, and beyond a region's length (rule 5). Otherwise that is found
            when it stops running, by what changed: reads beyond the length give zeros, and a write that changes
            nothing is none.
    """

    writing: bool
    enforced: bool


@frozen(eq=False)
class GuardedMemory:
    """A region of storage that the host reads and writes for a contract, under the rules that hold for its code."""

    memory: LinearMemory
    region: JournaledRegion
    rights: Rights
    copied: CopyCount

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out; a range outside traps."""
        self._check(offset, length)
        self.copied.bytes += length
        return self.memory.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Copy bytes in; a range outside traps, and so does a static call."""
        self._check(offset, len(data))
        if data and self.rights.enforced and not self.rights.writing:
            raise static_write()
        self.copied.bytes += len(data)
        self.memory.write(offset, data)

    def _check(self, offset: int, length: int) -> None:
        start, stop = self.region.wasm_pages * WASM_PAGE_BYTES, self.region.memory_pages * WASM_PAGE_BYTES
        if length and self.rights.enforced and offset < stop and offset + length > start and start < stop:
            raise outside_region()


@frozen(eq=False)
class MappedStorage:
    """A region as the host reads and writes it for mappings: as long as it may become, and made longer when written."""

    memory: GuardedMemory
    journal: Journal
    bytes_max: int
    loaded: Callable[[int, int], None] | None

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out; zeros beyond the region's length."""
        if self.loaded is not None:
            self.loaded(offset, length)
        inside = max(min(length, self._end - offset), 0)
        return (self.memory.read(offset, inside) if inside else b"").ljust(length, b"\0")

    def write(self, offset: int, data: bytes) -> None:
        """Copy bytes in; the region becomes as long as what is not zero needs. Traps in a static call."""
        content = data.rstrip(b"\0")
        if content and offset + len(content) > self._end:
            self._lengthen(-(-(offset + len(content)) // WASM_PAGE_BYTES))
        data = data[: max(self._end - offset, 0)]
        if data and (self.memory.rights.writing or self.memory.memory.read(offset, len(data)) != data):
            self.memory.write(offset, data)  # a static call may copy back what is there already (rule 6)

    def _lengthen(self, pages: int) -> None:
        if not self.memory.rights.writing:
            raise static_write()
        missing = pages - self.memory.memory.pages
        if missing > 0 and not self.memory.memory.grow(missing):
            raise LimitError(f"storage would be {pages:,} Wasm pages long, and it may not")
        self.journal.lengthen(self.memory.region, pages)

    @property
    def _end(self) -> int:
        return self.memory.region.wasm_pages * WASM_PAGE_BYTES


def open_storage(layout: Layout, store: Store, journal: Journal, image_of: Callable[[str], Image]) -> LiveStorage:
    """Instantiate the storage module of a layout and show the committed images in its memories.

    Raises:
        LimitError: The store can hold no more, or an image is longer than its region may be.
        StateError: The system refuses; it ends the transaction.
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
        memories[region.name] = memory
        regions[region.name] = journal.open(memory, image, wasm_pages_max=region.type.pages_max or memory.pages)
    return LiveStorage(layout, instance, journal, regions, memories)


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
                f'import "{item.module}" "{item.name}" does not match the storage that it is to run on: '
                f"wanted {item.type}, offered {offered}"
            )
        export = option.link(item, storage.instance)
        if export is not None:
            linker.define(store, item.module, item.name, export)
    return linker.prepare(contract.module)
