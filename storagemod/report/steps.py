"""The lines of a call tree for what calls do besides calling others."""

from __future__ import annotations

from collections.abc import Iterator

from storagemod.events import (
    AccountCreated,
    AccountDestroyed,
    DebugPrinted,
    LogEmitted,
    PagesTouched,
    StorageChange,
    StorageGrown,
    StorageMapped,
    StorageModuleInstantiated,
    StorageWritten,
    TablesShown,
)
from storagemod.report.words import (
    HEX_BYTES_MAX,
    WORD_BYTES,
    Segment,
    WordNames,
    hex_text,
    label,
    printable,
    span,
    word_number,
)
from storagemod.trace import CallRecord, Step, Trace

LASTING = (StorageModuleInstantiated, PagesTouched, StorageMapped, TablesShown, DebugPrinted)
"""Steps that happened whatever became of the call: instances stay for later calls, and what was read was read."""


def step_lines(trace: Trace, step: Step, names: WordNames) -> Iterator[list[Segment]]:
    """The lines of a step that is not a call."""
    if isinstance(step, StorageWritten):
        for change in step.changes:
            for part in _readable(change):
                yield _change(part, names.get((step.address, part.region, part.offset)))
    elif isinstance(step, TablesShown):
        yield from _tables(trace, step)
    elif isinstance(step, LogEmitted):
        topics = "".join(f" topic {hex_text(topic)}" for topic in step.log.topics)
        data = f" data {hex_text(step.log.data)}" if step.log.data else ""
        yield [(f"log{topics}{data}", "blue")]
    elif isinstance(step, AccountCreated | AccountDestroyed | DebugPrinted):
        yield _account_step(trace, step)
    elif not isinstance(step, CallRecord):
        yield _storage_step(trace, step)


def _storage_step(
    trace: Trace, step: StorageGrown | PagesTouched | StorageMapped | StorageModuleInstantiated
) -> list[Segment]:
    if isinstance(step, StorageGrown):
        return [(f"{printable(step.region)} grew {step.pages_old} -> {step.pages_new} pages", "yellow")]
    if isinstance(step, PagesTouched):
        pages = ", ".join(span(first, count) for first, count in step.runs)
        return [(f"{printable(step.region)} touched first: pages {pages}", "dim")]
    if isinstance(step, StorageMapped):
        storage = f"[{step.storage_offset:#x}..{step.storage_offset + step.length:#x}]"
        return [(f"storage{storage} mapped at {step.memory_offset:#x} of its memory, {step.option}", "dim")]
    regions = ", ".join(map(printable, step.regions))
    return [(f"storage module of {label(trace, step.address)} instantiated: {regions}", "dim")]


def _account_step(trace: Trace, step: AccountCreated | AccountDestroyed | DebugPrinted) -> list[Segment]:
    if isinstance(step, DebugPrinted):
        return [(f"debug: {printable(step.text)}", "magenta")]
    who = label(trace, step.address)
    if isinstance(step, AccountDestroyed):
        return [(f"{who} destroyed: {step.value} to {label(trace, step.beneficiary)}", "red")]
    return [(f"{who} created: {f'code {hex_text(step.code)}' if step.code else 'no code'}", "green")]


def _tables(trace: Trace, step: TablesShown) -> Iterator[list[Segment]]:
    """A line for each run of the page table and of the frame table."""
    for page in step.pages:
        pages, frames = span(page.page, page.count), span(page.frame, page.count)
        yield [(f"page table: pages {pages} of {step.frame_bytes:,} bytes stand for frames {frames}", "cyan")]
    for frame in step.frames:
        owner = f"{label(trace, frame.address)} {printable(frame.region)}"
        start = frame.first * frame.frame_bytes
        place = f"[{start:#x}..{start + frame.count * frame.frame_bytes:#x}]"
        dirty = "written" if frame.dirty else "not written"
        yield [(f"frame table: frames {span(frame.first, frame.count)} of {owner}{place}, {dirty}", "cyan")]


def _readable(change: StorageChange) -> list[StorageChange]:
    """A short run as one change for each word, where each looks like a number; else as it is."""
    if len(change.old) > HEX_BYTES_MAX:
        return [change]
    starts = range(0, len(change.old), WORD_BYTES)
    words = [change.old[at : at + WORD_BYTES] for at in starts] + [change.new[at : at + WORD_BYTES] for at in starts]
    if any(word_number(word) is None for word in words):
        return [change]
    return [
        StorageChange(
            change.region, change.offset + at, change.old[at : at + WORD_BYTES], change.new[at : at + WORD_BYTES]
        )
        for at in starts
    ]


def _change(change: StorageChange, name: str | None) -> list[Segment]:
    old, new = word_number(change.old), word_number(change.new)
    if old is None or new is None:
        place = f"{change.offset:#x}..{change.offset + len(change.old):#x}"
        shown = f"{hex_text(change.old)} -> {hex_text(change.new)}"
    else:
        place, shown = f"{change.offset:#x}", f"{old} -> {new}"
    called = "" if name is None else f"({printable(name)}) "
    return [(f"{printable(change.region)}[{place}] ", "yellow"), (called, ""), (shown, "yellow")]
