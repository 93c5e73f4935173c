"""Boundaries: what a call wrote is taken in whenever it calls another one, and when it ends.

The rules that only a look at the whole memory can keep are checked here: a static call changes nothing (rule 6), and
nothing is written beyond a region's length (rule 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from storagemod.errors import TrapError
from storagemod.events import PagesTouched, StorageGrown, StorageWritten, TablesShown
from storagemod.pages import PAGE_BYTES, LiveRegion, PageChange
from storagemod.trace import LIGHT_BYTES
from storagemod.types import WASM_PAGE_BYTES
from storagemod.vm.aliased import AliasedMappings
from storagemod.vm.layout import outside_region, static_growth, static_write
from storagemod.vm.paged import PagedMappings
from storagemod.vm.storage import StorageInstance
from storagemod.vm.window import StorageWindow

if TYPE_CHECKING:
    from storagemod.vm.frame import Frame
    from storagemod.vm.machine import Machine

_LIGHT_PAGES = LIGHT_BYTES // (2 * PAGE_BYTES)
"""Pages that a raw event can have without the recording being checked right after it."""


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
    for region in storage.regions:
        changed = region.collect(may_grow=contract.grows_storage)
        if changed:
            written.append((region.name, changed if region.page_bytes == WASM_PAGE_BYTES else _cut(changed, region)))
        if changed or region.collected_length != region.length:
            broken = _check_written(machine, frame, region, changed) or broken
    if machine.touches:
        _notify_touched(machine, frame, storage)
    if written and machine.notify is not None:
        pages = tuple((name, *page) for name, changed in written for page in changed)
        machine.notify((StorageWritten, frame.call_id, frame.address, pages))
        if len(pages) > _LIGHT_PAGES and machine.recording is not None:
            machine.recording.check()
    if broken is not None:
        raise broken


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
