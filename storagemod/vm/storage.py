"""Storage modules that stay instantiated: the storage of one address, and how the host uses it for calls."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from storagemod.errors import LimitError, LinkError, TrapError
from storagemod.events import StorageLoaded
from storagemod.pages import (
    PAGE_BYTES,
    ZERO_PAGE,
    FrameFile,
    Image,
    LiveMemory,
    LiveRegion,
    PageBackend,
    SharedView,
    UndoLog,
    image_length,
)
from storagemod.types import WASM_PAGE_BYTES, MemoryType
from storagemod.vm.contract import Contract
from storagemod.vm.layout import WINDOW, Access, Layout, Region, outside_region, static_write
from storagemod.vm.options import option_for
from storagemod.vm.storage_module import storage_module
from storagemod.vm.window import StorageWindow
from storagemod.wasm import CHANGED, SAME, UNKNOWN, Import, Instance, InstancePool, LinearMemory, Linker, Store

if TYPE_CHECKING:
    from storagemod.vm.frame import Frame

_NO_LAYOUT = Layout()

_NO_GATES: Mapping[tuple[str, str], object] = MappingProxyType({})

_EXTENTS = ((64, 64), (512, 8), (sys.maxsize, 1))
"""In how many pieces an image is mapped while a store has at most so many memories.

A process may have 65,530 mappings (Linux, ``vm.max_map_count``). Each piece takes two of them, a memory itself two or
three. So those that a transaction may have in all (``memories_per_transaction_max``) fit.
"""


class StorageInstance:
    """The storage of one address in one wasmtime store (rule 1: the one copy that counts).

    The storage module stays instantiated while the store lives, with images mapped under its memories. What belongs to
    one transaction is which regions there are: :meth:`open` begins with none, and :meth:`add` brings them in.

    Args:
        store: Where its instances live.
        backend: How images are shown in memory.
        log: Where old bytes go.
        image_of: Returns the committed image of a region by name.

    Attributes:
        transaction: The number of the transaction that it was opened for last.
        layout: The regions of this transaction.
        regions: The same, live, in the order in which they came.
        own: The code that ran last as the owner's own, with its instances, if it can run again as it is.
        window: The memory into which storage is mapped under the option ``window``, once a contract imported it.
        names: The names of the regions that :meth:`reopen` adds.
    """

    __slots__ = (
        "_backend",
        "_image_of",
        "_instances",
        "_kept",
        "_live",
        "_log",
        "_pools",
        "_store",
        "layout",
        "names",
        "own",
        "regions",
        "transaction",
        "window",
    )

    def __init__(self, store: Store, backend: PageBackend, log: UndoLog, image_of: Callable[[str], Image]) -> None:
        self._store = store
        self._backend = backend
        self._log = log
        self._image_of = image_of
        self._instances: list[Instance] = []
        self._live: dict[str, tuple[Region, LiveRegion, LinearMemory, Instance]] = {}
        self._pools: dict[bytes, tuple[InstancePool, Layout]] = {}
        self._kept: tuple[Contract, InstancePool, tuple[LiveRegion, ...]] | None = None
        self.names: tuple[str, ...] = ()
        self.transaction = 0
        self.layout = _NO_LAYOUT
        self.regions: tuple[LiveRegion, ...] = ()
        self.own: tuple[Contract, InstancePool] | None = None
        self.window: StorageWindow | None = None

    def open(self, transaction: int) -> None:
        """Begin with no regions, for a transaction."""
        self.transaction = transaction
        self.layout = _NO_LAYOUT
        self.regions = ()
        self.own = None
        if self.window is not None:
            self.window.clear()

    def keep(self, contract: Contract, pool: InstancePool) -> None:
        """Remember what the owner's own code runs with, until its regions change, and for the next transactions."""
        self.own = (contract, pool)
        if self.layout is contract.layout:
            self._kept = (contract, pool, self.regions)
            self.names = tuple(region.name for region in self.regions)
            if contract.layout.window is not None:
                self.names += (WINDOW,)

    def reopen(self, transaction: int, contract: Contract) -> bool:
        """Begin a transaction with what :meth:`keep` remembers, if it is that code, and nothing else changed storage.

        Returns:
            Whether that is so. Otherwise the storage is not open.
        """
        if self._kept is None:
            return False
        kept, pool, regions = self._kept
        if kept is not contract:
            return False
        for region in regions:
            if not region.reusable or not (region.version == region.image.version or region.follow()):
                return False
        if self.window is not None:
            self.window.clear()
        self.transaction = transaction
        self.layout, self.regions, self.own = contract.layout, regions, (contract, pool)
        return True

    def release(self) -> None:
        """Give back what memory it has: nobody uses it any more. The instances stay in their store."""
        if self.window is not None:
            self.window.clear()
        for _, live, *_ in self._live.values():
            live.release()

    def add(self, layout: Layout, *, anew: bool = False) -> tuple[str, ...]:
        """Add what of a layout is not there, regions as long as their committed images; return the names of memories.

        Args:
            layout: The regions.
            anew: Whether to forget which pages were touched before.

        Raises:
            LimitError: An image is longer than its region may be, or the store can hold no more.
            StateError: The system refuses; the transaction is over.
        """
        new = tuple(self._missing(layout))
        window = layout.window if self.layout.window is None else None
        if not new and window is None:
            return ()
        self.own = None
        stale = []
        for region in new:
            known = self._live.get(region.name)
            if known is None or known[0] != region or not known[1].refresh(self._image_of(region.name), anew=anew):
                stale.append(region)
        if window is not None and self.window is not None and self.window.type != window:
            self.window = None
        new_window = window if self.window is None else None
        if stale or new_window is not None:
            self._instantiate(tuple(stale), new_window)
        names = tuple(region.name for region in new)
        self.regions += tuple(self._live[name][1] for name in names)
        if self.layout is _NO_LAYOUT:
            self.layout = layout
        else:
            regions = tuple(sorted((*self.layout.regions, *new), key=lambda region: region.name))
            self.layout = Layout(regions, window or self.layout.window)
        return names if window is None else (*names, WINDOW)

    def _missing(self, layout: Layout) -> Iterable[Region]:
        names = {region.name for region in self.layout.regions}
        return (region for region in layout.regions if region.name not in names)

    def _instantiate(self, regions: tuple[Region, ...], window: MemoryType | None) -> None:
        """Make a storage module for regions, with their images in its memories, and for a window if one is missing."""
        prepared = Linker().prepare(storage_module(Layout(regions, window)))
        instance = self._store.instantiate(prepared.address)
        self._store.memories += len(regions) + (window is not None)
        memories = [instance.memory(region.name, region.type.page_bytes) for region in regions]
        images = [self._image_of(region.name) for region in regions]
        extents_max = next(most for memories_max, most in _EXTENTS if self._store.memories <= memories_max)
        for region, memory, image in zip(regions, memories, images, strict=True):
            length, page_bytes, pages_max = image_length(image), region.type.page_bytes, _pages_max(region, memory)
            if length % page_bytes:
                raise LimitError(
                    f'storage region "{region.name}" is {length:,} bytes long, '
                    f"and {region.type} counts it in Wasm pages",
                    hint="declare the memory with (pagesize 1), as the code did that made it so long",
                )
            missing = length // page_bytes - memory.pages
            if missing > 0 and not memory.grow(missing, pages_max):
                raise LimitError(
                    f'storage region "{region.name}" is {length // page_bytes:,} {region.type.unit} long, '
                    f"and {pages_max:,} are allowed"
                )
        self._instances.append(instance)
        self._pools.clear()  # what is linked may have the memories that these replace
        self._kept = None
        if window is not None:
            self.window = StorageWindow(window, instance.memory(WINDOW), self._backend, self._log)
        for region, memory, image in zip(regions, memories, images, strict=True):
            replaced = self._live.pop(region.name, None)
            if replaced is not None:
                replaced[1].release()
            live = LiveRegion(
                region.name,
                memory,
                image,
                self._backend,
                self._log,
                _pages_max(region, memory),
                extents_max,
                region.type.page_bytes,
            )
            self._live[region.name] = (region, live, memory, instance)

    def establish(self, layout: Layout) -> bool:
        """Make the regions of a layout at least as long as a contract of that layout has them from the start.

        Returns:
            Whether they all were, as those of deployed contracts are.
        """
        were = True
        for wanted in layout.regions:
            live = self._live[wanted.name][1]
            if live.length < wanted.type.bytes_min:
                were = False
                live.lengthen(wanted.type.bytes_min)
                live.collected_length = live.length  # nobody grew it
        return were

    def region(self, name: str) -> tuple[Region, LiveRegion, LinearMemory]:
        """Return a region of this transaction: its type, its bytes, and its memory."""
        return self._live[name][:3]

    def instances_of(self, contract: Contract, *, borrowed: bool) -> InstancePool:
        """Return the instances of code that is linked to this storage.

        Args:
            contract: The code, with its regions added.
            borrowed: Whether it is another contract's code, whose imports have to fit the regions as they are now.

        Raises:
            LinkError: The storage does not offer what the contract wants.
        """
        known = self._pools.get(contract.module.digest)
        if known is not None and not borrowed and known[1] is self.layout:
            return known[0]
        self._check_imports(contract.storage_imports)
        pool = self.link(contract) if known is None else known[0]
        self._pools[contract.module.digest] = (pool, self.layout)
        return pool

    def link(self, contract: Contract, gates: Mapping[tuple[str, str], object] = _NO_GATES) -> InstancePool:
        """Link code to this storage and to the host, but for imports that have gates, by namespace and name."""
        linker = Linker()
        for key, function in contract.functions.items():
            if key in gates:
                linker.define(self._store, *key, gates[key])
            else:
                linker.offer(function)
        items = contract.storage_imports
        for item in {(item.module, item.name): item for item in items}.values():  # one may stand there twice
            export = self._export(item)
            if export is not None:
                linker.define(self._store, item.module, item.name, export)
        memories = [item.name for item in items if isinstance(item.type, MemoryType)]
        maxima = {index: self._maximum(name) for index, name in enumerate(memories)}
        return InstancePool(self._store, linker.prepare(contract.module), contract.module, maxima)

    def _maximum(self, name: str) -> int:
        if name == WINDOW and self.window is not None:
            return self.window.type.pages_min
        region, _, memory, _ = self._live[name]
        return _pages_max(region, memory)

    def _check_imports(self, items: Iterable[Import]) -> None:
        sizes = {region.name: self._live[region.name][2].pages for region in self.layout.regions}
        for item in items:
            option = option_for(item)
            if not option.accepts(item, self.layout, sizes):
                offered = option.offered(item, self.layout) or "nothing of that name"
                raise LinkError(
                    f'import "{item.module}" "{item.name}" does not match the storage that it is to run on: '
                    f"wanted {item.type}, offered {offered}"
                )

    def _export(self, item: Import) -> object | None:
        option = option_for(item)
        newest_first = reversed(self._instances)
        exports = (option.link(item, instance) for instance in newest_first)
        return next((each for each in exports if each is not None), None)


class StorageAccess:
    """A region of storage as the host reads and writes it for one call, under the rules that hold for the call.

    :meth:`read` and :meth:`write` keep to the region's length. :meth:`read_mapped` and :meth:`write_mapped` serve the
    options that map storage: there is nothing but zeros beyond the length, and writing makes the region longer.

    A region that only the host reaches comes to be when it is first written. So code that runs on foreign storage
    leaves no empty region there, and may read in a static call.
    """

    __slots__ = (
        "_enforced",
        "_frame",
        "_hosted",
        "_live",
        "_memory",
        "_type",
        "_writing",
        "bytes_max",
    )

    def __init__(self, frame: Frame, name: str) -> None:
        assert frame.storage is not None  # noqa: S101 - whose code imports storage
        region, self._live, self._memory = frame.storage.region(name)
        self._frame = frame
        self._hosted = region.access is Access.HOST
        self._type = kind = region.type
        self._writing = not frame.static
        self._enforced = frame.enforced
        self.bytes_max = (kind.pages_max or self._memory.pages) * kind.page_bytes

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out; a range outside traps."""
        data = self._read(offset, length)
        if self._frame.log is not None:
            self._frame.note_access(self._live.name, offset, length, False, UNKNOWN)
        return data

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Copy bytes in; a range outside traps, and so does a static call."""
        before = None
        if self._frame.log is not None and offset + len(data) <= self._live.length:
            before = self._memory.read(offset, len(data))
        self._write(offset, data)
        if self._frame.log is not None:
            same = data == (bytes(len(data)) if before is None else before)
            self._frame.note_access(self._live.name, offset, len(data), True, SAME if same else CHANGED)

    def _read(self, offset: int, length: int) -> bytes:
        live = self._live
        if self._hosted and not live.length and offset + length <= len(self._memory):
            return bytes(length)  # not out of memory: where rules are enforced, nobody may read there
        self._check(offset, length)
        self._frame.machine.budget.bytes_copied += length
        return self._memory.read(offset, length)

    def _write(self, offset: int, data: bytes | memoryview) -> None:
        if self._hosted and data and not self._live.length:
            if not self._writing:
                raise static_write()
            self._live.lengthen(self._type.bytes_min)
        self._check(offset, len(data))
        if data and self._enforced and not self._writing:
            raise static_write()
        self._frame.machine.budget.bytes_copied += len(data)
        self._memory.write(offset, data)

    def _check(self, offset: int, length: int) -> None:
        live = self._live
        start, stop = live.length, live.memory_length
        enforced = self._enforced and live.page_bytes == WASM_PAGE_BYTES
        if length and enforced and offset < stop and offset + length > start and start < stop:
            raise outside_region()

    def grow(self, pages: int) -> int:
        """Make the memory longer as ``memory.grow`` does; return its old length in its pages, or -1.

        Raises:
            StateError: The system refuses; the transaction is over.
        """
        before = self._memory.pages
        return before if self._memory.grow(pages, self.bytes_max // self._memory.page_bytes) else -1

    @property
    def live(self) -> LiveRegion:
        """The region itself."""
        return self._live

    @property
    def length(self) -> int:
        """The length of the region, in bytes."""
        return self._live.length

    def read_mapped(self, offset: int, length: int, *, can_grow_stale: bool = True) -> bytes:
        """Copy bytes out; zeros beyond the region's length. Copies that can grow stale are an event."""
        frame = self._frame
        self.count_work(length)
        notify = frame.machine.notify
        if can_grow_stale and notify is not None and StorageLoaded in frame.machine.wants:
            notify((StorageLoaded, frame.call_id, frame.address, self._live.name, offset, length))
        inside = max(min(length, self.length - offset), 0)
        return (self._read(offset, inside) if inside else b"").ljust(length, b"\0")

    def holds(self, offset: int, data: bytes) -> bool:
        """Return whether storage has these bytes there. Nothing is copied for the contract, so this is no load."""
        self.count_work(len(data))
        inside = max(min(len(data), self.length - offset), 0)
        return (self._memory.read(offset, inside) if inside else b"").ljust(len(data), b"\0") == data

    def write_mapped(self, offset: int, data: bytes) -> None:
        """Copy bytes in; the region becomes as long as what is not zero needs. Traps in a static call."""
        self.count_work(len(data))
        content = data.rstrip(b"\0")
        if content and offset + len(content) > self.length:
            self._lengthen(-(-(offset + len(content)) // WASM_PAGE_BYTES))
        data = data[: max(self.length - offset, 0)]
        if data and (self._writing or self._memory.read(offset, len(data)) != data):
            self._write(offset, data)  # a static call may copy back what is there already (rule 6)

    def count_work(self, length: int) -> None:
        """Count bytes that are copied or compared for a mapping.

        Raises:
            DeadlineError: There is no time left.
        """
        self._frame.machine.store.count_work(1 + length // PAGE_BYTES)

    def share(
        self, frames: FrameFile, memory: LiveMemory, memory_offset: int, offset: int, length: int, *, writing: bool
    ) -> SharedView:
        """Show bytes of storage in a memory, all whole pages of 4 KiB; without ``writing`` a store to them traps."""
        self._make_room(-(-(offset + length) // WASM_PAGE_BYTES))
        pages = range(offset // PAGE_BYTES, (offset + length) // PAGE_BYTES)
        view, filled = self._live.share(frames, pages, memory, memory_offset // PAGE_BYTES, writing=writing)
        self._frame.machine.budget.bytes_copied += filled * PAGE_BYTES
        return view

    def take_shared(self, pages: Iterable[tuple[int, bytes]]) -> list[int]:
        """Take in the bytes that shared pages have now, by number; returns the pages that changed.

        The region becomes as long as what is not zero needs, unless the call is static: that it wrote is found when the
        region is collected.
        """
        live = self._live
        if live.watches_stores:
            pages = tuple(pages)
            live.rewritten += [number for number, data in pages if data == live.page(number)]
        changed = [(number, data) for number, data in pages if data != live.page(number)]
        ends = [number * PAGE_BYTES + len(data.rstrip(b"\0")) for number, data in changed if data != ZERO_PAGE]
        if ends and max(ends) > self.length and self._writing:
            live.lengthen(-(-max(ends) // WASM_PAGE_BYTES) * WASM_PAGE_BYTES)
        numbers = [number for number, _ in changed]
        live.note(numbers)
        return numbers

    def _lengthen(self, pages: int) -> None:
        if not self._writing:
            raise static_write()
        self._make_room(pages)
        self._live.lengthen(pages * WASM_PAGE_BYTES)

    def _make_room(self, pages: int) -> None:
        """Make the storage module's memory as long as this, whatever the region's length."""
        missing = pages - self._memory.pages
        if missing > 0 and not self._memory.grow(missing, self.bytes_max // WASM_PAGE_BYTES):
            raise LimitError(f"storage would be {pages:,} Wasm pages long, and it may not")


def _pages_max(region: Region, memory: LinearMemory) -> int:
    """Return how long the memory of a region may become, in its pages."""
    return region.type.pages_max or memory.pages


def broken_rule(frame: Frame, offset: int, length: int) -> TrapError | None:
    """Return the rule of storage that an access broke which the machine stopped, if it was one.

    wasmtime does not report which memory faulted; one of that length, in bytes, is taken.
    """
    if frame.mappings is not None and (broken := frame.mappings.forbidden(offset)) is not None:
        return broken
    if frame.storage is None or not frame.enforced or offset >= length:
        return None
    regions = [each for each in frame.storage.regions if each.memory.pages * each.page_bytes == length]
    if frame.static and any(offset < region.length for region in regions):
        return static_write()
    return outside_region() if any(offset >= region.length for region in regions) else None
