"""Boundaries: what a call wrote is taken in whenever it calls another one, and when it ends.

The rules that only a look at the whole memory can keep are checked here: a static call changes nothing (rule 6), and
nothing is written beyond a region's length (rule 5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from storagemod.errors import TrapError
from storagemod.events import (
    PagesTouched,
    StorageGrown,
    StorageRewritten,
    StorageStored,
    StorageWritten,
    TablesShown,
)
from storagemod.pages import PAGE_BYTES, LiveRegion, PageChange
from storagemod.trace import LIGHT_BYTES, decode_accesses
from storagemod.types import WASM_PAGE_BYTES
from storagemod.vm.aliased import AliasedMappings
from storagemod.vm.layout import outside_region, static_growth, static_write
from storagemod.vm.paged import PagedMappings
from storagemod.vm.storage import StorageInstance
from storagemod.vm.window import StorageWindow
from storagemod.wasm import Log

if TYPE_CHECKING:
    from storagemod.vm.frame import Frame
    from storagemod.vm.machine import Machine

_LIGHT_PAGES = LIGHT_BYTES // (2 * PAGE_BYTES)
"""Pages that a raw event can have without the recording being checked right after it."""


_STORE_BYTES_MAX = 1 << 16
"""Bytes of one store that are reported."""


def collect(machine: Machine, frame: Frame) -> None:
    """Take in what a call wrote since it last was asked.

    Raises:
        TrapError: It broke rule 5 or 6.
    """
    if frame.mappings is not None:
        frame.mappings.settle()
        if TablesShown in machine.wants:
            _show_tables(machine, frame)
    broken: TrapError | None = None
    if frame.window is not None:
        broken = frame.window.settle(frame)
        if TablesShown in machine.wants:
            _show_window(machine, frame, frame.window)
    storage, contract = frame.storage, frame.contract
    if storage is None or contract is None:
        return
    written: list[tuple[str, Sequence[PageChange]]] = []
    changes: dict[str, Sequence[PageChange]] = {}
    for region in storage.regions:
        changed = region.collect(may_grow=contract.grows_storage)
        if changed:
            changes[region.name] = changed
            written.append((region.name, changed if region.page_bytes == WASM_PAGE_BYTES else _cut(changed, region)))
        if changed or region.collected_length != region.length:
            broken = _check_written(machine, frame, region, changed) or broken
    if machine.touches:
        _notify_touched(machine, frame, storage)
    if frame.reentered:
        _note_stores(machine, frame, storage, changes)
    if written and machine.notify is not None:
        pages = tuple((name, *page) for name, changed in written for page in changed)
        machine.notify((StorageWritten, frame.call_id, frame.address, pages))
        if len(pages) > _LIGHT_PAGES and machine.event_log is not None:
            machine.event_log.check()
    if broken is not None:
        raise broken


def watch_stores(machine: Machine, frame: Frame) -> None:
    """Begin to note what a call stores that was re-entered and goes on."""
    if frame.log is not None:
        frame.boundary = (frame.log.position, len(frame.marks), frame.log.lost)
    if frame.storage is not None and StorageRewritten in machine.wants and _stores_itself(frame):
        for region in frame.storage.regions:
            region.watch_stores()


def _stores_itself(frame: Frame) -> bool:
    """Return whether only stores of a call write its storage, and not the host that brings copies in line."""
    return frame.mappings is None or isinstance(frame.mappings, AliasedMappings)


def _note_stores(
    machine: Machine, frame: Frame, storage: StorageInstance, changes: Mapping[str, Sequence[PageChange]]
) -> None:
    """Report what a call stored since the last boundary that was re-entered before."""
    log, lost = frame.log, True
    if log is not None:
        _, _, lost_before = frame.boundary
        lost = log.lost != lost_before
        stores = () if frame.static else tuple(_stores(frame, log, storage, changes))
        frame.boundary = (log.position, len(frame.marks), log.lost)
        if stores and machine.recording is not None:
            machine.recording.stored.append(frame.call_id)
        if stores and machine.notify is not None:
            machine.notify((StorageStored, frame.call_id, frame.address, stores))
            if machine.event_log is not None:
                machine.event_log.check()
    if machine.notify is None or StorageRewritten not in machine.wants:
        return
    for region in storage.regions:
        pages = tuple(sorted({page for page in region.rewritten if page * PAGE_BYTES < region.length}))
        region.rewritten.clear()
        if pages and lost and not frame.static and _stores_itself(frame):
            machine.notify((StorageRewritten, frame.call_id, frame.address, region.name, pages))


def _stores(
    frame: Frame, log: Log, storage: StorageInstance, changes: Mapping[str, Sequence[PageChange]]
) -> Iterator[tuple[str, int, bytes, bytes]]:
    """Yield the stores of a call since the last boundary, each place once: region, offset, old and new bytes."""
    contract, (position, mark, _) = frame.contract, frame.boundary
    assert contract is not None  # noqa: S101 - it records
    assert contract.recorded is not None  # noqa: S101 - as above
    places: dict[tuple[str, int, int], tuple[int | None, int | None]] = {}
    for region, offset, length, write, _, site, at in decode_accesses(
        contract.recorded, log.accesses(position), frame.marks, first=position, mark=mark
    ):
        if write:
            places.setdefault((region, offset, min(length, _STORE_BYTES_MAX)), (site, at))
    regions = {region.name: region for region in storage.regions}
    for (name, offset, length), (site, at) in places.items():
        live = regions.get(name)
        if live is None or (at is None and site is not None and offset + length > live.length):
            continue  # it trapped
        old_pages = {number: old for number, old, _ in changes.get(name, ())}
        old, new = _bytes_of(live, offset, length, old_pages), _bytes_of(live, offset, length, {})
        if at is not None and frame.mappings is not None:
            new = frame.mappings.peek(at, length)
        yield name, offset, old, new


def _bytes_of(region: LiveRegion, offset: int, length: int, pages: Mapping[int, bytes]) -> bytes:
    """Return bytes of a region as they were at the last boundary, but for some pages."""
    first, last = offset // PAGE_BYTES, (offset + length - 1) // PAGE_BYTES
    data = b"".join(pages[number] if number in pages else region.page(number) for number in range(first, last + 1))
    return data[offset - first * PAGE_BYTES :][:length]


def _cut(changed: Sequence[PageChange], region: LiveRegion) -> list[PageChange]:
    """Return changed pages, the last of which ends where the region does."""
    ends = ((change, max(region.length - change[0] * PAGE_BYTES, 0)) for change in changed)
    return [(number, old[:end], new[:end]) for (number, old, new), end in ends]


def _check_written(
    machine: Machine, frame: Frame, region: LiveRegion, changed: Sequence[PageChange]
) -> TrapError | None:
    """Report a growth, and return the rule that a call broke by what it wrote in a region."""
    before, region.collected_length = region.collected_length, region.length
    if before != region.length and machine.notify is not None:
        size = region.page_bytes
        pages_old, pages_new = before // size, region.length // size
        machine.notify((StorageGrown, frame.call_id, frame.address, region.name, pages_old, pages_new, size))
    outside, region.outside = region.outside, False
    if outside:
        return outside_region()
    if frame.static:
        return static_write() if changed else static_growth(region.name)
    return None


def _notify_touched(machine: Machine, frame: Frame, storage: StorageInstance) -> None:
    for region in storage.regions:
        runs = region.first_touched()
        if runs:
            machine.notify((PagesTouched, frame.call_id, frame.address, region.name, runs))  # type: ignore[misc]


def _show_tables(machine: Machine, frame: Frame) -> None:
    """Report the tables of a call that stopped running, where there are any."""
    if isinstance(frame.mappings, PagedMappings | AliasedMappings) and machine.notify is not None:
        table = frame.mappings.table
        frames = tuple(machine.frame_table.runs())
        machine.notify((TablesShown, frame.call_id, frame.address, table.frame_bytes, tuple(table.runs()), frames))


def _show_window(machine: Machine, frame: Frame, window: StorageWindow) -> None:
    """Report what a window shows when a call stopped running, as the page table that it is."""
    runs, frames = tuple(window.runs()), tuple(machine.frame_table.runs())
    if runs and machine.notify is not None:
        machine.notify((TablesShown, frame.call_id, frame.address, PAGE_BYTES, runs, frames))
