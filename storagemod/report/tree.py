"""A transaction's calls as a tree of text, in the manner of Foundry's traces.

Calls, storage changes, growth and logs keep their true order. What a call wrote is shown together, where it calls the
next one or ends, and so behind the logs that it emitted meanwhile. The format::

    [5120] attacker::attack(100)
      ├─ [4300] bank::withdraw(100)
      │   ├─ memory[0x40] 100 -> 0
      │   ├─ [210] attacker::receive(100) [static]
      │   │   └─ ← [Return] 0
      │   └─ ← [Return] 1
      └─ ← [Return]

The number in brackets is the gas that the call and its callees used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias

from rich.text import Text

from storagemod.errors import (
    BalanceError,
    DeadlineError,
    LimitError,
    LinkError,
    OutOfGasError,
    ReentryError,
    RevertError,
    StorageModError,
    TrapError,
    ValidationError,
    one_line,
)
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
    StorageUnmapped,
    StorageWritten,
    TablesShown,
)
from storagemod.trace import CallRecord, Hazard, HazardKind, Step, Trace
from storagemod.types import WASM_PAGE_BYTES, Address, CallKind, Outcome, Value

Segment: TypeAlias = tuple[str, str]
"""Some text and its rich style; the style never carries meaning of its own."""

WordNames: TypeAlias = Mapping[tuple[Address, str, int], str]
"""What words of storage are called, by contract, region and offset in bytes."""

_WORD_BYTES = 8
_HEX_BYTES_MAX = 32
"""Bytes that are shown whole in hexadecimal."""

_NUMBER_MAX = 2**53  # a word beyond it is more likely to be text or packed fields than a number

_LASTING = (StorageModuleInstantiated, PagesTouched, TablesShown, DebugPrinted)
"""Steps that an undone call leaves behind: instances stay for later calls, and what was read was read."""

_OF_STORAGE = (StorageModuleInstantiated, StorageWritten, StorageGrown)

_WINDOW = "window"
"""The linking option whose mappings are undone with their call. Others end with it, however it ends."""

_NO_NAMES: WordNames = {}

VERBOSITY_MAX = 4

_INDENT_LEVELS_MAX = 24  # a tree 1,024 calls deep would otherwise be 4 KiB of bars on each line
_MESSAGE_LENGTH_MAX = 200


_WORDS = (  # subclasses before their bases
    (TrapError, "Trap"),
    (RevertError, "Revert"),
    (OutOfGasError, "OutOfGas"),
    (DeadlineError, "Deadline"),
    (LimitError, "Limit"),
    (ReentryError, "Refused"),
    (BalanceError, "Balance"),
    (LinkError, "Link"),
    (ValidationError, "Invalid"),
)


def render_tree(
    trace: Trace,
    *,
    verbosity: int = VERBOSITY_MAX,
    failing: bool | None = None,
    names: WordNames = _NO_NAMES,
    unshown: Collection[Address] = (),
) -> str:
    """Write a trace as plain text, the same bytes for the same trace.

    Args:
        trace: What was recorded.
        verbosity: 0 nothing; 1 the calls of a failing transaction; 2 its storage changes, growth and logs too;
            3 the calls of every transaction; 4 everything of every transaction.
        failing: Whether the transaction counts as failing; by default, whether its top-level call failed.
        names: Stand behind the place of a change, where a word that changed has one.
        unshown: Accounts whose own storage is left out.

    Returns:
        Lines joined by newlines, without one at the end; empty where the verbosity asks for nothing.
    """
    return "\n".join("".join(text for text, _ in line) for line in _lines(trace, verbosity, failing, names, unshown))


def render_tree_rich(
    trace: Trace,
    *,
    verbosity: int = VERBOSITY_MAX,
    failing: bool | None = None,
    names: WordNames = _NO_NAMES,
    unshown: Collection[Address] = (),
) -> Text:
    """Write the same text as :func:`render_tree`, with colours for a terminal."""
    return Text("\n").join(Text.assemble(*line) for line in _lines(trace, verbosity, failing, names, unshown))


def _lines(
    trace: Trace, verbosity: int, failing: bool | None, names: WordNames, unshown: Collection[Address]
) -> Iterator[list[Segment]]:
    root = trace.root
    if failing is None:
        failing = root.ended is None or root.ended.outcome is not Outcome.OK
    if verbosity <= 0 or (not failing and verbosity <= 2):  # noqa: PLR2004 - levels are explained above
        return
    details = verbosity >= VERBOSITY_MAX or (failing and verbosity >= 2)  # noqa: PLR2004
    yield _call(trace, root)
    # Not recursive: calls may lie 1,024 deep, and Python gives up before that.
    open_calls = [(root, iter(root.steps), _ended_badly(root))]
    while open_calls:
        record, steps, undone = open_calls[-1]
        step = next(steps, None)
        level = len(open_calls)
        if step is None:
            open_calls.pop()
            yield [*_indent(level), ("└─ ", "dim"), *_return(record)]
        elif isinstance(step, CallRecord):
            yield [*_indent(level), ("├─ ", "dim"), *_call(trace, step)]
            open_calls.append((step, iter(step.steps), undone or _ended_badly(step)))
        elif details and not (isinstance(step, _OF_STORAGE) and step.address in unshown):
            # An instance stays for later calls, what was read was read, and what was printed was printed.
            can_be_undone = not isinstance(step, _LASTING) and not _in_memory_of_its_own(step)
            for segments in _step_lines(trace, step, names):
                mark: list[Segment] = [(" (undone)", "red")] if undone and can_be_undone else []
                yield [*_indent(level), ("├─ ", "dim"), *segments, *mark]
    for hazard in trace.hazards:
        if hazard.address not in unshown:
            yield from _hazard(trace, hazard, names)
    if trace.dropped:
        missing = "1 later event is" if trace.dropped == 1 else f"{trace.dropped:,} later events are"
        yield [(f"… {missing} missing: the trace reached its limit", "red")]


def _ended_badly(record: CallRecord) -> bool:
    return record.ended is None or record.ended.outcome is not Outcome.OK


def _indent(level: int) -> list[Segment]:
    bars = level - 1
    if bars <= _INDENT_LEVELS_MAX:
        return [("  " + "│   " * bars, "dim")]
    return [("  " + "│   " * (_INDENT_LEVELS_MAX - 1) + f"{level}┊".ljust(5), "dim")]


def _call(trace: Trace, record: CallRecord) -> list[Segment]:
    started = record.started
    gas = "?" if record.ended is None else str(record.ended.gas_used)
    given = f"{{value: {started.value}}}" if started.value else ""
    if started.kind is CallKind.CREATE:
        what = f"init code{given}({_hex_text(started.data) if started.data else ''})"
    elif started.method is None:
        what = f"main{given}({_hex_text(started.data) if started.data else ''})"
    else:
        what = f"{_printable(started.method)}{given}({_values_text(started.args)})"
    line: list[Segment] = [
        (f"[{gas}] ", "dim"),
        ("new " if started.kind is CallKind.CREATE else "", "magenta"),
        (_label(trace, started.code_address), "cyan"),
        ("::", ""),
        (what, "bold"),
    ]
    if started.kind.borrows:
        word = "delegate" if started.kind is CallKind.DELEGATE else "code"
        line.append((f" [{word}] on storage of {_label(trace, started.address)}", "magenta"))
    if started.static:
        line.append((" [static]", "magenta"))
    if started.reentry:
        line.append((f" re-entry {started.reentry}", "bold yellow"))
    return line


_HAZARDS = {
    HazardKind.STALE_READ: "{call} went on with {old}, while {other} had written {new}",
    HazardKind.LOST_UPDATE: "{call} copied {new} back over {old}, which {other} had written meanwhile",
    HazardKind.TORN_MAPPING: "{call} copied back its part and left {new} here, which {other} had written meanwhile",
    HazardKind.WRITE_AFTER_CALL: "{call} wrote {old} -> {new} after {other} had come in",
    HazardKind.PAGE_WRITTEN_AGAIN: "{call} wrote to this page after {other} had come in, and changed nothing there",
}


def _hazard(trace: Trace, hazard: Hazard, names: WordNames) -> Iterator[list[Segment]]:
    """Yield two lines on a hazard, below the tree: what and where, and between which two calls."""
    place = f"{_label(trace, hazard.address)} {_printable(hazard.region)}[{hazard.offset:#x}]"
    name = names.get((hazard.address, hazard.region, hazard.offset))
    description = _HAZARDS[hazard.kind].format(
        call=_named(trace, hazard.call_id),
        other=_named(trace, hazard.other_call_id),
        old=_number_or_hex(hazard.old),
        new=_number_or_hex(hazard.new),
    )
    undone = " (undone)" if hazard.undone else ""
    called = "" if name is None else f" ({_printable(name)})"
    yield [(f"! {hazard.kind.value} ", "bold yellow"), (f"of {place}{called}{undone}", "yellow")]
    yield [(f"    {description}", "yellow")]


def _named(trace: Trace, call_id: int) -> str:
    """Describe a call in a few words."""
    record = trace.find_call(call_id)
    if record is None:
        return f"call {call_id}"
    started = record.started
    depth = f" at depth {started.depth}"
    return f"{_label(trace, started.code_address)}::{_printable(started.method or 'main')}{depth}"


def _return(record: CallRecord) -> list[Segment]:
    ended = record.ended
    if ended is None:
        return [("← [Aborted] the transaction ended before this call did", "red")]
    if ended.outcome is Outcome.OK:
        shown = [_values_text(ended.values)] if ended.values else []
        shown += [_hex_text(ended.output)] if ended.output else []
        return [(" ".join(["← [Return]", *shown]), "green")]
    if ended.outcome is Outcome.REVERTED:
        return [(f"← [Revert] {_hex_text(ended.output)}" if ended.output else "← [Revert]", "red")]
    return [(f"← {_failure(ended.error)}", "red")]


def _failure(error: StorageModError | None) -> str:
    if error is None:
        return "[Failed]"
    word = next((word for kind, word in _WORDS if isinstance(error, kind)), "Failed")
    if isinstance(error, TrapError) and error.code == "callee_failed":  # why, stands at the end of that call
        return f"[{word}] a call that it made failed"
    message = _printable(" ".join(error.message.split()))
    if len(message) > _MESSAGE_LENGTH_MAX:
        message = message[:_MESSAGE_LENGTH_MAX] + "…"
    return f"[{word}] {message}"


def _step_lines(trace: Trace, step: Step, names: WordNames) -> Iterator[list[Segment]]:
    """Yield the lines of a step that is not a call."""
    if isinstance(step, StorageWritten):
        for change in step.changes:
            for part in _readable(change):
                yield _change(part, names.get((step.address, part.region, part.offset)))
    elif isinstance(step, TablesShown):
        yield from _tables(trace, step)
    elif isinstance(step, LogEmitted):
        topics = "".join(f" topic {_hex_text(topic)}" for topic in step.log.topics)
        data = f" data {_hex_text(step.log.data)}" if step.log.data else ""
        yield [(f"log{topics}{data}", "blue")]
    elif isinstance(step, AccountCreated | AccountDestroyed | DebugPrinted):
        yield _account_step(trace, step)
    elif not isinstance(step, CallRecord):
        yield _storage_step(trace, step)


def _storage_step(
    trace: Trace, step: StorageGrown | PagesTouched | StorageMapped | StorageUnmapped | StorageModuleInstantiated
) -> list[Segment]:
    if isinstance(step, StorageGrown):
        unit = "pages" if step.page_bytes == WASM_PAGE_BYTES else "bytes"
        return [(f"{_printable(step.region)} grew {step.pages_old} -> {step.pages_new} {unit}", "yellow")]
    if isinstance(step, PagesTouched):
        pages = ", ".join(_span(first, count) for first, count in step.runs)
        return [(f"{_printable(step.region)} touched first: pages {pages}", "dim")]
    if isinstance(step, StorageMapped):
        storage = f"[{step.storage_offset:#x}..{step.storage_offset + step.length:#x}]"
        return [(f"storage{storage} mapped at {step.memory_offset:#x} of its {_shown_in(step)}", "dim")]
    if isinstance(step, StorageUnmapped):
        return [(f"storage unmapped at {step.memory_offset:#x} of its {_shown_in(step)}", "dim")]
    regions = ", ".join(map(_printable, step.regions))
    return [(f"storage module of {_label(trace, step.address)} instantiated: {regions}", "dim")]


def _in_memory_of_its_own(step: object) -> bool:
    """Return whether a step changed what the call mapped into its own memory."""
    return isinstance(step, StorageMapped | StorageUnmapped) and step.option != _WINDOW


def _shown_in(step: StorageMapped | StorageUnmapped) -> str:
    return step.option if step.option == _WINDOW else f"memory, {step.option}"


def _account_step(trace: Trace, step: AccountCreated | AccountDestroyed | DebugPrinted) -> list[Segment]:
    if isinstance(step, DebugPrinted):
        return [(f"debug: {_printable(step.text)}", "magenta")]
    who = _label(trace, step.address)
    if isinstance(step, AccountDestroyed):
        return [(f"{who} destroyed: {step.value} to {_label(trace, step.beneficiary)}", "red")]
    return [(f"{who} created: {f'code {_hex_text(step.code)}' if step.code else 'no code'}", "green")]


def _tables(trace: Trace, step: TablesShown) -> Iterator[list[Segment]]:
    """Yield a line for each run of the page table and of the frame table."""
    for page in step.pages:
        pages, frames = _span(page.page, page.count), _span(page.frame, page.count)
        yield [(f"page table: pages {pages} of {step.frame_bytes:,} bytes stand for frames {frames}", "cyan")]
    for frame in step.frames:
        owner = f"{_label(trace, frame.address)} {_printable(frame.region)}"
        start = frame.first * frame.frame_bytes
        place = f"[{start:#x}..{start + frame.count * frame.frame_bytes:#x}]"
        dirty = "written" if frame.dirty else "not written"
        yield [(f"frame table: frames {_span(frame.first, frame.count)} of {owner}{place}, {dirty}", "cyan")]


def _readable(change: StorageChange) -> list[StorageChange]:
    """Split a short run into a change for each word, where each looks like a number."""
    if len(change.old) > _HEX_BYTES_MAX:
        return [change]
    starts = range(0, len(change.old), _WORD_BYTES)
    words = [change.old[at : at + _WORD_BYTES] for at in starts] + [change.new[at : at + _WORD_BYTES] for at in starts]
    if any(_word_number(word) is None for word in words):
        return [change]
    return [
        StorageChange(
            change.region, change.offset + at, change.old[at : at + _WORD_BYTES], change.new[at : at + _WORD_BYTES]
        )
        for at in starts
    ]


def _change(change: StorageChange, name: str | None) -> list[Segment]:
    old, new = _word_number(change.old), _word_number(change.new)
    if old is None or new is None:
        place = f"{change.offset:#x}..{change.offset + len(change.old):#x}"
        shown = f"{_hex_text(change.old)} -> {_hex_text(change.new)}"
    else:
        place, shown = f"{change.offset:#x}", f"{old} -> {new}"
    called = "" if name is None else f"({_printable(name)}) "
    return [(f"{_printable(change.region)}[{place}] ", "yellow"), (called, ""), (shown, "yellow")]


def _label(trace: Trace, address: Address) -> str:
    """Return the name of an account, fit to print."""
    return _printable(trace.label(address))


def _printable(name: str) -> str:
    """Return a name that a contract or a file chose, escaped where a terminal would act on it."""
    return one_line(name)


def _values_text(values: tuple[Value, ...]) -> str:
    """Format numbers as a list."""
    return ", ".join(repr(value) for value in values)


def _hex_text(data: bytes) -> str:
    """Format bytes in hexadecimal; long ones lose their middle and show their length."""
    if len(data) <= _HEX_BYTES_MAX:
        return "0x" + data.hex()
    half = _HEX_BYTES_MAX // 4
    return f"0x{data[:half].hex()}…{data[-half:].hex()} ({len(data):,} bytes)"


def _word_number(word: bytes) -> int | None:
    """Return a word as a signed little-endian number; ``None`` where it does not look like one."""
    number = int.from_bytes(word, "little", signed=True)
    return number if len(word) == _WORD_BYTES and abs(number) <= _NUMBER_MAX else None


def _number_or_hex(data: bytes) -> str:
    """Format bytes as the number that they look like, or in hexadecimal."""
    number = _word_number(data.ljust(_WORD_BYTES, b"\0")) if len(data) <= _WORD_BYTES else None
    return _hex_text(data) if number is None else str(number)


def _span(first: int, count: int) -> str:
    """Format a run of numbers: the first, or the first and the last."""
    return str(first) if count == 1 else f"{first}-{first + count - 1}"
