"""The option ``window``: storage mapped into a memory of the storage module, which the contract imports.

This is the first reading of storage modules in ewasm/design#188: storage is mapped into the memory of a module that
lives until the transaction ends, the running contract imports that memory, and ``storageMap`` stays. The table of
mappings belongs to the storage module, so re-entrant calls share it, and it begins empty with each transaction.

Where the machine can, a mapped page *is* its page of storage, and an access to what is not mapped faults. Elsewhere,
and for code whose accesses wasmtime carries out in the host, the same rules are checked at each boundary of a call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define

from storagemod.errors import LimitError, LinkError, StateError, TrapError, ValidationError
from storagemod.events import PageRun, TablesShown
from storagemod.limits import Limits
from storagemod.pages import (
    PAGE_BYTES,
    PROT_NONE,
    PROT_READ,
    PROT_READ_WRITE,
    LiveRegion,
    PageBackend,
    SharedView,
    UndoLog,
    protect,
    why_not_shared,
)
from storagemod.types import WASM_PAGE_BYTES, Address, MemoryType
from storagemod.vm.layout import DEFAULT_REGION, NAMESPACE, WINDOW, Layout, Region, static_write
from storagemod.vm.option import memory_fits
from storagemod.vm.paged import FrameKey
from storagemod.vm.storage_map import nothing_mapped, refuse_mapping
from storagemod.wasm import HostFunction, Import, Instance, LinearMemory

if TYPE_CHECKING:
    from storagemod.vm.frame import Frame

MAPPINGS_MAX = 1_024
"""Mappings that one window shows at a time. Each takes up to three mappings of the process, which has about 65,000."""

_CHUNK_BYTES = 1 << 20
"""Bytes of what is not mapped that are looked at before the clock is."""


class Window:
    """Storage mapped into the storage module's memory, which the contract imports (the seed's "storage modules")."""

    name = "window"
    summary = (
        "the contract maps storage into a window, a memory of the storage module that it imports; re-entrant calls "
        "share what is mapped"
    )

    def claims(self, item: Import) -> bool:
        """The memory import of that name."""
        return item.module == NAMESPACE and item.name == WINDOW and isinstance(item.type, MemoryType)

    def regions(self, items: Sequence[Import], limits: Limits) -> list[Region]:  # noqa: ARG002 - the same for all
        """None: storage is the region of ``storageMap``, and a window is no region."""
        return []

    def module_fields(self, region: Region, memory: str) -> list[str]:  # noqa: ARG002 - a window is part of the layout
        """Nothing for a region."""
        return []

    def host_functions(self, items: Sequence[Import], layout: Layout) -> list[HostFunction]:  # noqa: ARG002
        """None: the functions are those of all options that map storage."""
        return []

    def offered(self, item: Import, layout: Layout) -> object | None:  # noqa: ARG002 - there is one
        """The type of the window."""
        return layout.window

    def accepts(self, item: Import, layout: Layout, sizes: dict[str, int]) -> bool:  # noqa: ARG002 - it never grows
        """Whether the window's type fits."""
        window = layout.window
        return (
            window is not None
            and isinstance(item.type, MemoryType)
            and memory_fits(item.type, window, window.pages_min)
        )

    def link(self, item: Import, instance: Instance) -> Any | None:
        """The memory."""
        return instance.export(item.name)


def window_type(items: Sequence[Import], limits: Limits) -> MemoryType | None:
    """Return the window that imports ask for, or ``None``: as long as they declare at least, and never longer.

    Raises:
        LinkError: Two imports differ, or one wants 64-bit addresses, which ``storageMap`` has not.
        ValidationError: It is to be longer than the limits allow.
    """
    wanted = {item.type for item in items if item.module == NAMESPACE and item.name == WINDOW}
    types = [each for each in wanted if isinstance(each, MemoryType)]
    if not types:
        return None
    if len(types) > 1:
        raise LinkError(
            f"expected one type for all imports of storage.window, got {' and '.join(sorted(map(str, types)))}",
            hint="declare the imports alike",
        )
    pages = types[0].pages_min
    if types[0].is_64:
        raise LinkError(
            f"expected a window of 32-bit addresses, got {types[0]}", hint="storageMap takes offsets of 32 bits"
        )
    if types[0].page_bytes != WASM_PAGE_BYTES:
        raise LinkError(
            f"expected a window of Wasm pages of {WASM_PAGE_BYTES:,} bytes, got {types[0]}",
            hint="storage is mapped by whole pages; import a region of storage to have its length to the byte",
        )
    if pages > limits.memory_pages_max:
        raise ValidationError(
            f"a window must be at most {limits.memory_pages_max:,} Wasm pages long (memory_pages_max), got {pages:,}"
        )
    return MemoryType(pages, pages)


@define(eq=False)
class _Mapping:
    """A range of storage in the window. ``view`` are the pages shown, or ``None`` where they are copied."""

    memory_offset: int
    storage_offset: int
    length: int
    region: LiveRegion
    view: SharedView | None = None


class StorageWindow:
    """The window of one storage module, and what it shows in this transaction.

    Args:
        window_type: Its type.
        memory: Its memory.
        backend: What the machine does for storage.
        log: Where mappings are undone from.

    Attributes:
        type: Its type.
    """

    __slots__ = ("_allowed", "_log", "_mapped", "_memory", "_shows", "type")

    def __init__(self, window_type: MemoryType, memory: LinearMemory, backend: PageBackend, log: UndoLog) -> None:
        self.type = window_type
        self._memory = memory
        self._log = log
        self._shows = why_not_shared(backend) is None
        self._mapped: dict[int, _Mapping] = {}
        self._allowed: tuple[bool, bool] | None = (True, True)  # all accesses; stores to what is mapped

    # What the contract asks for

    def map(self, frame: Frame, memory_offset: int, storage_offset: int, length: int) -> None:
        """Show a range of storage in the window, rounded up to whole pages of 4 KiB.

        A range that is mapped at the same place already, or part of one, is mapped by that.

        Raises:
            TrapError: An offset is not that of a page, a range is outside, or overlaps one that is mapped otherwise.
            LimitError: Too much is mapped, or storage would be too long.
            StateError: The system refuses; the transaction is over.
        """
        if not length:
            return
        storage = frame.storage_memory(DEFAULT_REGION)
        length = -(-length // PAGE_BYTES) * PAGE_BYTES
        self._check(memory_offset, storage_offset, length, storage.bytes_max)
        if self._is_mapped(memory_offset, storage_offset, length):
            return
        if len(self._mapped) >= MAPPINGS_MAX:
            raise LimitError(
                f"a window must show at most {MAPPINGS_MAX:,} mappings, got one more",
                hint="map longer ranges, or unmap what is not needed",
            )
        broken = self._check_untouched(frame, memory_offset, memory_offset + length) if self._is_open else None
        if broken is not None:
            raise broken
        mapping = _Mapping(memory_offset, storage_offset, length, storage.live)
        if self._shows:
            mapping.view = storage.share(
                frame.machine.frame_file, self._memory, memory_offset, storage_offset, length, writing=self._writing
            )
        else:
            self._memory.write(memory_offset, storage.read_mapped(storage_offset, length, can_grow_stale=False))
        self._mapped[memory_offset] = mapping
        self._log.append((self._take_out, mapping))
        if TablesShown in frame.machine.wants:
            for number in range(storage_offset // PAGE_BYTES, (storage_offset + length) // PAGE_BYTES):
                frame.machine.frame_table.frame(_key(frame.address, number))

    def unmap(self, frame: Frame, memory_offset: int) -> None:
        """Take out the mapping that begins at an offset; what was written there stays in storage.

        Raises:
            TrapError: None does.
            StateError: The system refuses; the transaction is over.
        """
        mapping = self._mapped.get(memory_offset)
        if mapping is None:
            raise nothing_mapped(memory_offset)
        broken = self.settle(frame)
        if broken is not None:
            raise broken
        self._take_out(mapping)
        self._log.append((self._put_back, mapping))

    # Boundaries of calls

    def resume(self, frame: Frame) -> None:
        """Hold the code that runs next to its rights, and show it storage as it is.

        Raises:
            StateError: The system refuses; the transaction is over.
        """
        if self._shows:
            self._allow(*((False, not frame.static) if frame.enforced else (True, True)))
        elif self._mapped:
            storage = frame.storage_memory(DEFAULT_REGION)
            for mapping in self._mapped.values():
                data = storage.read_mapped(mapping.storage_offset, mapping.length, can_grow_stale=False)
                if data != self._memory.read(mapping.memory_offset, mapping.length):
                    self._memory.write(mapping.memory_offset, data)

    def settle(self, frame: Frame) -> TrapError | None:
        """Take in what was written through the window.

        Returns:
            The rule that was broken, if no fault stopped that. Whoever raises it collects regions first: what was
            written before has to be undone.
        """
        broken = None
        try:
            if self._mapped:
                self._take_written(frame)
        except TrapError as error:
            broken = error
        if self._is_open:
            end = 0
            for mapping in self._in_order():
                broken = self._check_untouched(frame, end, mapping.memory_offset) or broken
                end = mapping.memory_offset + mapping.length
            broken = self._check_untouched(frame, end, self._bytes) or broken
        return broken

    def clear(self) -> None:
        """Show nothing: a transaction begins.

        Raises:
            StateError: The system refuses; the transaction is over.
        """
        for mapping in list(self._mapped.values()):
            self._take_out(mapping)

    def forbidden(self, offset: int, length: int, *, static: bool) -> TrapError | None:
        """Return the rule that an access broke which the machine stopped, if it was one to a memory of this length."""
        if length != self._bytes or offset >= length or not self._shows:
            return None
        if not any(each.memory_offset <= offset < each.memory_offset + each.length for each in self._mapped.values()):
            return _not_mapped(f"byte {offset:#x} of the window was accessed")
        return static_write() if static else None

    def runs(self) -> Iterator[PageRun]:
        """Return what is mapped, as runs of pages of 4 KiB, in order."""
        for each in self._in_order():
            yield PageRun(
                each.memory_offset // PAGE_BYTES, each.storage_offset // PAGE_BYTES, each.length // PAGE_BYTES
            )

    def ranges(self) -> tuple[tuple[int, int, int], ...]:
        """Return what is mapped: offset in the window, offset in storage, and length, of each mapping."""
        return tuple((each.memory_offset, each.storage_offset, each.length) for each in self._mapped.values())

    # How it is kept

    @property
    def _bytes(self) -> int:
        return self.type.pages_min * WASM_PAGE_BYTES

    @property
    def _is_open(self) -> bool:
        """Whether what is not mapped can be accessed, so that one has to look at it."""
        return self._allowed is None or self._allowed[0]

    @property
    def _writing(self) -> bool:
        return self._allowed is None or self._allowed[1]

    def _in_order(self) -> list[_Mapping]:
        return [self._mapped[offset] for offset in sorted(self._mapped)]

    def _check(self, memory_offset: int, storage_offset: int, length: int, storage_bytes_max: int) -> None:
        for what, offset in (("the window", memory_offset), ("storage", storage_offset)):
            if offset % PAGE_BYTES:
                raise refuse_mapping(f"offsets must be multiples of {PAGE_BYTES:,}, got byte {offset:#x} of {what}")
        for what, offset, end, code in (
            ("the window", memory_offset, self._bytes, "memory_out_of_bounds"),
            ("what storage may be", storage_offset, storage_bytes_max, "storage_out_of_bounds"),
        ):
            if offset + length > end:
                raise TrapError(
                    f"storageMap: bytes [{offset:#x}, {offset + length:#x}) lie outside {what}, {end:#x} bytes",
                    code=code,
                )

    def _is_mapped(self, memory_offset: int, storage_offset: int, length: int) -> bool:
        """Return whether a range is mapped at this place already.

        Raises:
            TrapError: It overlaps one that is mapped otherwise, in the window or in storage.
        """
        for each in self._mapped.values():
            before = memory_offset - each.memory_offset
            if before == storage_offset - each.storage_offset and 0 <= before <= each.length - length:
                return True
            for what, ours, others in (
                ("the window", memory_offset, each.memory_offset),
                ("storage", storage_offset, each.storage_offset),
            ):
                if ours < others + each.length and others < ours + length:
                    raise refuse_mapping(
                        f"bytes [{ours:#x}, {ours + length:#x}) of {what} overlap [{others:#x}, "
                        f"{others + each.length:#x}), which are mapped already"
                    )
        return False

    def _take_written(self, frame: Frame) -> None:
        storage = frame.storage_memory(DEFAULT_REGION)
        if self._shows:
            written = storage.take_shared(self._written(frame))
        else:
            written = []
            for number, data in self._differing(frame):
                storage.write_mapped(number * PAGE_BYTES, data)
                written.append(number)
        for number in written if TablesShown in frame.machine.wants else ():
            frame.machine.frame_table.frame(_key(frame.address, number)).dirty = True

    def _written(self, frame: Frame) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of the pages that may have been written, read where the contract has them."""
        for mapping in self._mapped.values():
            for number in () if mapping.view is None else mapping.view.written():
                frame.machine.store.count_work(1)
                offset = mapping.memory_offset + number * PAGE_BYTES - mapping.storage_offset
                yield number, self._memory.read(offset, PAGE_BYTES)

    def _differing(self, frame: Frame) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of the copied pages that differ from storage."""
        storage = frame.storage_memory(DEFAULT_REGION)
        for mapping in self._in_order():
            old = storage.read_mapped(mapping.storage_offset, mapping.length, can_grow_stale=False)
            new = self._memory.read(mapping.memory_offset, mapping.length)
            for start in range(0, 0 if old == new else mapping.length, PAGE_BYTES):
                data = new[start : start + PAGE_BYTES]
                if data != old[start : start + PAGE_BYTES]:
                    yield (mapping.storage_offset + start) // PAGE_BYTES, data

    def _check_untouched(self, frame: Frame, start: int, end: int) -> TrapError | None:
        """Return the error of bytes that are not mapped and not zeros, if there are any, and make them zeros."""
        for offset in range(start, end, _CHUNK_BYTES):
            length = min(_CHUNK_BYTES, end - offset)
            frame.machine.store.count_work(1 + length // PAGE_BYTES)
            if self._memory.read(offset, length) != bytes(length):
                ctypes.memset(self._memory.base + start, 0, end - start)
                return _not_mapped(f"bytes in [{start:#x}, {end:#x}) of the window were written")
        return None

    def _take_out(self, mapping: _Mapping) -> None:
        """Put zeros in the place of a mapping, which nothing may access where that can be kept."""
        del self._mapped[mapping.memory_offset]
        address = self._memory.base + mapping.memory_offset
        if mapping.view is None:
            ctypes.memset(address, 0, mapping.length)
            return
        mapping.region.hide(mapping.view)
        if not self._is_open:
            self._protect(mapping.memory_offset, mapping.length, PROT_NONE)

    def _put_back(self, mapping: _Mapping) -> None:
        """Show again what was taken out in a call that is undone. Copies are made when a call runs next."""
        self._mapped[mapping.memory_offset] = mapping
        if mapping.view is not None:
            first, count = mapping.storage_offset // PAGE_BYTES, mapping.length // PAGE_BYTES
            at = mapping.memory_offset // PAGE_BYTES
            mapping.view = mapping.region.show(range(first, first + count), self._memory, at, writing=self._writing)

    def _allow(self, everything: bool, writing: bool) -> None:
        if self._allowed == (everything, writing):
            return
        gaps_change, self._allowed = self._allowed is None or self._allowed[0] != everything, None
        end = 0
        for mapping in self._in_order():
            if gaps_change:
                self._protect_gap(end, mapping.memory_offset, everything)
            end = mapping.memory_offset + mapping.length
            self._protect(mapping.memory_offset, mapping.length, PROT_READ_WRITE if writing else PROT_READ)
        if gaps_change:
            self._protect_gap(end, self._bytes, everything)
        self._allowed = (everything, writing)

    def _protect_gap(self, start: int, end: int, everything: bool) -> None:
        self._protect(start, end - start, PROT_READ_WRITE if everything else PROT_NONE)

    def _protect(self, offset: int, length: int, protection: int) -> None:
        if not length:
            return
        try:
            protect(self._memory.base + offset, length, protection)
        except OSError as error:
            raise StateError(f"access to a window cannot be restricted: {error}", cause=error) from error


def _key(address: Address, number: int) -> FrameKey:
    return FrameKey(address, DEFAULT_REGION, number, PAGE_BYTES)


def _not_mapped(what: str) -> TrapError:
    return TrapError(
        f"storage access: {what}, and nothing is mapped there", code="storage_not_mapped", hint="call storageMap first"
    )
