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

from collections.abc import Iterator

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
from storagemod.report.steps import LASTING, step_lines
from storagemod.report.words import Segment, WordNames, hex_text, label, number_or_hex, printable, values_text
from storagemod.trace import CallRecord, Hazard, HazardKind, Trace
from storagemod.types import CallKind, Outcome

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
            # An instance stays for later calls, what was read was read, and what was printed was printed.
            can_be_undone = not isinstance(step, LASTING)
            for segments in step_lines(trace, step, names):
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
    if started.kind is CallKind.CREATE:
        what = f"init code{given}({hex_text(started.data) if started.data else ''})"
    elif started.method is None:
        what = f"main{given}({hex_text(started.data) if started.data else ''})"
    else:
        what = f"{printable(started.method)}{given}({values_text(started.args)})"
    line: list[Segment] = [
        (f"[{gas}] ", "dim"),
        ("new " if started.kind is CallKind.CREATE else "", "magenta"),
        (label(trace, started.code_address), "cyan"),
        ("::", ""),
        (what, "bold"),
    ]
    if started.kind.borrows:
        word = "delegate" if started.kind is CallKind.DELEGATE else "code"
        line.append((f" [{word}] on storage of {label(trace, started.address)}", "magenta"))
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
}


def _hazard(trace: Trace, hazard: Hazard, names: WordNames) -> Iterator[list[Segment]]:
    """Two lines on a hazard, below the tree: what and where, and between which two calls."""
    place = f"{label(trace, hazard.address)} {printable(hazard.region)}[{hazard.offset:#x}]"
    name = names.get((hazard.address, hazard.region, hazard.offset))
    told = _HAZARDS[hazard.kind].format(
        call=_named(trace, hazard.call_id),
        other=_named(trace, hazard.other_call_id),
        old=number_or_hex(hazard.old),
        new=number_or_hex(hazard.new),
    )
    undone = " (undone)" if hazard.undone else ""
    called = "" if name is None else f" ({printable(name)})"
    yield [(f"! {hazard.kind.value} ", "bold yellow"), (f"of {place}{called}{undone}", "yellow")]
    yield [(f"    {told}", "yellow")]


def _named(trace: Trace, call_id: int) -> str:
    """A call in a few words."""
    record = trace.find_call(call_id)
    if record is None:
        return f"call {call_id}"
    started = record.started
    depth = f" at depth {started.depth}"
    return f"{label(trace, started.code_address)}::{printable(started.method or 'main')}{depth}"


def _return(record: CallRecord) -> list[Segment]:
    ended = record.ended
    if ended is None:
        return [("← [Aborted] the transaction ended before this call did", "red")]
    if ended.outcome is Outcome.OK:
        shown = [values_text(ended.values)] if ended.values else []
        shown += [hex_text(ended.output)] if ended.output else []
        return [(" ".join(["← [Return]", *shown]), "green")]
    if ended.outcome is Outcome.REVERTED:
        return [(f"← [Revert] {hex_text(ended.output)}" if ended.output else "← [Revert]", "red")]
    return [(f"← {_failure(ended.error)}", "red")]


def _failure(error: StorageModError | None) -> str:
    if error is None:
        return "[Failed]"
    word = next((word for kind, word in _WORDS if isinstance(error, kind)), "Failed")
    if isinstance(error, TrapError) and error.code == "callee_failed":  # why, stands at the end of that call
        return f"[{word}] a call that it made failed"
    message = printable(" ".join(error.message.split()))
    if len(message) > _MESSAGE_LENGTH_MAX:
        message = message[:_MESSAGE_LENGTH_MAX] + "…"
    return f"[{word}] {message}"
