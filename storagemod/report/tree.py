"""A transaction's calls as a tree of text, in the manner of Foundry's traces.

Every step stands where it happened: calls, storage changes, growth and logs keep their true order; only that what a
call wrote is told together, where it calls the next one or ends, and so behind the logs it emitted meanwhile. The
format::

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

from collections.abc import Iterator, Mapping
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
)
from storagemod.events import (
    LogEmitted,
    PagesTouched,
    StorageChange,
    StorageGrown,
    StorageMapped,
    StorageModuleInstantiated,
    StorageWritten,
)
from storagemod.trace import CallRecord, Hazard, HazardKind, Step, Trace
from storagemod.types import Address, CallKind, Outcome, Value

Segment: TypeAlias = tuple[str, str]
"""Some text and its rich style; the style never carries meaning of its own."""

WordNames: TypeAlias = Mapping[tuple[Address, str, int], str]
"""What words of storage are called, by contract, region and offset in bytes."""

_NO_NAMES: WordNames = {}

VERBOSITY_MAX = 4

_INDENT_LEVELS_MAX = 24  # a tree 1,024 calls deep would otherwise be 4 KiB of bars on each line
_WORD_BYTES = 8
_HEX_BYTES_MAX = 32
_MESSAGE_LENGTH_MAX = 200
_NUMBER_MAX = 2**53  # a word beyond it is more likely to be text or packed fields than a number

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
    trace: Trace, *, verbosity: int = VERBOSITY_MAX, failing: bool | None = None, names: WordNames = _NO_NAMES
) -> str:
    """Write a trace as plain text, the same bytes for the same trace.

    Args:
        trace: What was recorded.
        verbosity: 0 nothing; 1 the calls of a failing transaction; 2 its storage changes, growth and logs too;
            3 the calls of every transaction; 4 everything of every transaction.
        failing: Whether the transaction counts as failing; by default, whether its top-level call failed.
        names: Stand behind the place of a change, where a word that changed has one.

    Returns:
        Lines joined by newlines, without one at the end; empty where the verbosity asks for nothing.
    """
    return "\n".join("".join(text for text, _ in line) for line in _lines(trace, verbosity, failing, names))


def render_tree_rich(
    trace: Trace, *, verbosity: int = VERBOSITY_MAX, failing: bool | None = None, names: WordNames = _NO_NAMES
) -> Text:
    """Write the same text as :func:`render_tree`, with colours for a terminal."""
    return Text("\n").join(Text.assemble(*line) for line in _lines(trace, verbosity, failing, names))


def _lines(trace: Trace, verbosity: int, failing: bool | None, names: WordNames) -> Iterator[list[Segment]]:
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
        elif details:
            # An instance stays for later calls, and what was read was read.
            can_be_undone = not isinstance(step, StorageModuleInstantiated | PagesTouched | StorageMapped)
            for segments in _step(trace, step, names):
                mark: list[Segment] = [(" (undone)", "red")] if undone and can_be_undone else []
                yield [*_indent(level), ("├─ ", "dim"), *segments, *mark]
    for hazard in trace.hazards:
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
    if started.method is None:
        what = f"main{given}({_hex(started.data) if started.data else ''})"
    else:
        what = f"{_printable(started.method)}{given}({_values(started.args)})"
    line: list[Segment] = [
        (f"[{gas}] ", "dim"),
        (_label(trace, started.code_address), "cyan"),
        ("::", ""),
        (what, "bold"),
    ]
    if started.kind is CallKind.DELEGATE:
        line.append((f" [delegate] on storage of {_label(trace, started.address)}", "magenta"))
    if started.static:
        line.append((" [static]", "magenta"))
    if started.reentry:
        line.append((f" re-entry {started.reentry}", "bold yellow"))
    return line


def _step(trace: Trace, step: Step, names: WordNames) -> Iterator[list[Segment]]:
    """The lines of a step that is not a call."""
    if isinstance(step, StorageWritten):
        for change in step.changes:
            for part in _readable(change):
                yield _change(part, names.get((step.address, part.region, part.offset)))
    elif isinstance(step, StorageGrown):
        yield [(f"{_printable(step.region)} grew {step.pages_old} -> {step.pages_new} pages", "yellow")]
    elif isinstance(step, PagesTouched):
        pages = ", ".join(str(first) if count == 1 else f"{first}-{first + count - 1}" for first, count in step.runs)
        yield [(f"{_printable(step.region)} touched first: pages {pages}", "dim")]
    elif isinstance(step, StorageMapped):
        storage = f"[{step.storage_offset:#x}..{step.storage_offset + step.length:#x}]"
        yield [(f"storage{storage} mapped at {step.memory_offset:#x} of its memory, {step.option}", "dim")]
    elif isinstance(step, LogEmitted):
        topics = "".join(f" topic {_hex(topic)}" for topic in step.log.topics)
        data = f" data {_hex(step.log.data)}" if step.log.data else ""
        yield [(f"log{topics}{data}", "blue")]
    elif isinstance(step, StorageModuleInstantiated):
        regions = ", ".join(map(_printable, step.regions))
        yield [(f"storage module of {_label(trace, step.address)} instantiated: {regions}", "dim")]


_HAZARDS = {
    HazardKind.STALE_READ: "{call} went on with {old}, while {other} had written {new}",
    HazardKind.LOST_UPDATE: "{call} copied {new} back over {old}, which {other} had written meanwhile",
    HazardKind.TORN_MAPPING: "{call} copied back its part and left {new} here, which {other} had written meanwhile",
    HazardKind.WRITE_AFTER_CALL: "{call} wrote {old} -> {new} after {other} had come in",
}


def _hazard(trace: Trace, hazard: Hazard, names: WordNames) -> Iterator[list[Segment]]:
    """Two lines on a hazard, below the tree: what and where, and between which two calls."""
    place = f"{_label(trace, hazard.address)} {_printable(hazard.region)}[{hazard.offset:#x}]"
    name = names.get((hazard.address, hazard.region, hazard.offset))
    told = _HAZARDS[hazard.kind].format(
        call=_named(trace, hazard.call_id),
        other=_named(trace, hazard.other_call_id),
        old=_shown(hazard.old),
        new=_shown(hazard.new),
    )
    undone = " (undone)" if hazard.undone else ""
    called = "" if name is None else f" ({_printable(name)})"
    yield [(f"! {hazard.kind.value} ", "bold yellow"), (f"of {place}{called}{undone}", "yellow")]
    yield [(f"    {told}", "yellow")]


def _named(trace: Trace, call_id: int) -> str:
    """A call in a few words."""
    record = next((record for record in trace.calls if record.started.call_id == call_id), None)
    if record is None:
        return f"call {call_id}"
    started = record.started
    depth = f" at depth {started.depth}"
    return f"{_label(trace, started.code_address)}::{_printable(started.method or 'main')}{depth}"


def _shown(data: bytes) -> str:
    """Bytes as the number that they look like, or in hexadecimal."""
    number = _number(data.ljust(_WORD_BYTES, b"\0")) if len(data) <= _WORD_BYTES else None
    return _hex(data) if number is None else str(number)


def _readable(change: StorageChange) -> list[StorageChange]:
    """A short run as one change for each word, where each looks like a number; else as it is."""
    starts = range(0, len(change.old), _WORD_BYTES)
    words = [change.old[at : at + _WORD_BYTES] for at in starts] + [change.new[at : at + _WORD_BYTES] for at in starts]
    if len(change.old) > _HEX_BYTES_MAX or any(_number(word) is None for word in words):
        return [change]
    return [
        StorageChange(
            change.region, change.offset + at, change.old[at : at + _WORD_BYTES], change.new[at : at + _WORD_BYTES]
        )
        for at in starts
    ]


def _change(change: StorageChange, name: str | None) -> list[Segment]:
    old, new = _number(change.old), _number(change.new)
    if old is None or new is None:
        place = f"{change.offset:#x}..{change.offset + len(change.old):#x}"
        shown = f"{_hex(change.old)} -> {_hex(change.new)}"
    else:
        place, shown = f"{change.offset:#x}", f"{old} -> {new}"
    called = "" if name is None else f"({_printable(name)}) "
    return [(f"{_printable(change.region)}[{place}] ", "yellow"), (called, ""), (shown, "yellow")]


def _number(word: bytes) -> int | None:
    """One word as a signed little-endian number, or ``None`` where it does not look like one."""
    number = int.from_bytes(word, "little", signed=True)
    return number if len(word) == _WORD_BYTES and abs(number) <= _NUMBER_MAX else None


def _return(record: CallRecord) -> list[Segment]:
    ended = record.ended
    if ended is None:
        return [("← [Aborted] the transaction ended before this call did", "red")]
    if ended.outcome is Outcome.OK:
        shown = [_values(ended.values)] if ended.values else []
        shown += [_hex(ended.output)] if ended.output else []
        return [(" ".join(["← [Return]", *shown]), "green")]
    if ended.outcome is Outcome.REVERTED:
        return [(f"← [Revert] {_hex(ended.output)}" if ended.output else "← [Revert]", "red")]
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


def _label(trace: Trace, address: Address) -> str:
    return _printable(trace.label(address))


def _printable(name: str) -> str:
    """A name that a contract or a file chose, which may hold anything, without what a terminal would act on."""
    return name if name.isprintable() else name.encode("unicode_escape").decode()


def _values(values: tuple[Value, ...]) -> str:
    return ", ".join(repr(value) for value in values)


def _hex(data: bytes) -> str:
    """Bytes in hexadecimal; the middle of long ones is left out, and their length added."""
    if len(data) <= _HEX_BYTES_MAX:
        return "0x" + data.hex()
    half = _HEX_BYTES_MAX // 4
    return f"0x{data[:half].hex()}…{data[-half:].hex()} ({len(data):,} bytes)"
