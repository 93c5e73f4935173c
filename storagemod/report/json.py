"""Models as JSON, with a schema version in every document.

Bytes are hexadecimal text with ``0x``. Integers are written as they are, in full, also beyond 2**53: gas and i64
values need a reader that keeps 64-bit integers, and account values one that keeps 128 bits (Python's does; in
JavaScript use a reader with BigInt). Floats that JSON has no word for are the texts ``"nan"``, ``"inf"`` and
``"-inf"``. Characters beyond ASCII are escaped, so that a document is the same bytes wherever it is written. Calls are
a flat list, as in :class:`storagemod.trace.Trace`, because a tree of 1,024 calls inside one another is deeper than most
readers of JSON go. ``design/0006-reports.md`` describes the documents; a key that goes or changes its meaning makes a
new version, a key that is added does not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from storagemod.errors import RevertError, ScenarioError, StorageModError, TrapError
from storagemod.events import (
    AccountCreated,
    AccountDestroyed,
    DebugPrinted,
    Log,
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
from storagemod.trace import CallRecord, Hazard, Step, Trace
from storagemod.types import Outcome, Value

if TYPE_CHECKING:
    from storagemod.scenario import ScenarioResult, TransactionResult
    from storagemod.world import Receipt

JSON: TypeAlias = dict[str, Any]

SCHEMA_VERSION = 1


def document(command: str, body: Mapping[str, Any]) -> str:
    """One document, as a command prints it.

    Args:
        command: What the document is about; with the version it makes the value of ``schema``.
        body: The rest of the document; keys keep their order.

    Returns:
        Indented JSON that ends with a newline.
    """
    content = {"schema": f"storagemod.{command}/{SCHEMA_VERSION}", **body}
    return json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def scenario_to_json(result: ScenarioResult) -> JSON:
    """A scenario that was run under one linking option."""
    return {
        "file": result.scenario.path,
        "name": result.scenario.name,
        "link": result.link,
        "options": options_to_json(result.options),
        "sync": None if result.sync is None else result.sync.value,
        "exclusive": None if result.exclusive is None else result.exclusive.value,
        "ok": result.ok,
        "state_root": _hex(result.state_root),
        "transactions": [_transaction(transaction) for transaction in result.transactions],
    }


def options_to_json(options: Mapping[str, str]) -> list[JSON]:
    """The linking option that each contract ran under."""
    return [{"contract": name, "option": option} for name, option in sorted(options.items())]


def _transaction(result: TransactionResult) -> JSON:
    return {
        "name": result.title,
        "file": result.file,
        "line": result.line,
        "ok": result.ok,
        "differences": [
            {
                "file": difference.file,
                "line": difference.line,
                "what": difference.what,
                "wanted": difference.wanted,
                "found": difference.found,
            }
            for difference in result.differences
        ],
        "refused": error_to_json(result.refused),
        "receipt": None if result.receipt is None else receipt_to_json(result.receipt),
    }


def receipt_to_json(receipt: Receipt) -> JSON:
    """How a transaction or a call ended, and its trace where one was recorded."""
    if receipt.value is None:
        values: tuple[Value, ...] = ()
    else:
        values = receipt.value if isinstance(receipt.value, tuple) else (receipt.value,)
    return {
        "ok": receipt.ok,
        "outcome": _outcome(receipt.outcome),
        "values": _values(values),
        "output": _hex(receipt.output),
        "error": error_to_json(receipt.error),
        "gas_used": receipt.gas_used,
        "created": None if receipt.created is None else str(receipt.created),
        "logs": [_log(log) for log in receipt.logs],
        "changes": {str(address): _changes(receipt.changes[address]) for address in sorted(receipt.changes)},
        "trace": None if receipt.trace is None else trace_to_json(receipt.trace),
    }


def trace_to_json(trace: Trace) -> JSON:
    """The calls of a transaction in the order in which they started; ``steps`` refers to them by ``id``."""
    undone: dict[int, bool] = {}  # parents stand before their callees: no walk up from each call
    calls = []
    for record in trace:
        above = record.parent is not None and undone[record.parent.started.call_id]
        badly = record.ended is None or record.ended.outcome is not Outcome.OK
        undone[record.started.call_id] = above or badly
        calls.append(_call(record, undone=above or badly))
    labels = {str(address): trace.labels[address] for address in sorted(trace.labels)}
    hazards = [_hazard(hazard) for hazard in trace.hazards]
    return {"labels": labels, "calls": calls, "hazards": hazards, "dropped_events": trace.dropped}


def _hazard(hazard: Hazard) -> JSON:
    return {
        "kind": hazard.kind.value,
        "address": str(hazard.address),
        "region": hazard.region,
        "offset_bytes": hazard.offset,
        "old": _hex(hazard.old),
        "new": _hex(hazard.new),
        "call": hazard.call_id,
        "other_call": hazard.other_call_id,
        "undone": hazard.undone,
    }


def _call(record: CallRecord, *, undone: bool) -> JSON:
    started, ended = record.started, record.ended
    return {
        "id": started.call_id,
        "parent": started.parent_id,
        "depth": started.depth,
        "kind": started.kind.value,
        "address": str(started.address),
        "code_address": str(started.code_address),
        "caller": str(started.caller),
        "method": started.method,
        "args": _values(started.args),
        "data": _hex(started.data),
        "value": started.value,
        "gas": started.gas,
        "static": started.static,
        "reentry": started.reentry,
        "outcome": None if ended is None else _outcome(ended.outcome),
        "values": None if ended is None else _values(ended.values),
        "output": None if ended is None else _hex(ended.output),
        "gas_used": None if ended is None else ended.gas_used,
        "error": None if ended is None else _shown_error(ended.error),
        "undone": undone,
        "changes": _changes(record.changes),
        "steps": [_step(step) for step in record.steps],
    }


def _step(step: Step) -> JSON:
    match step:
        case CallRecord():
            return {"type": "call", "call": step.started.call_id}
        case LogEmitted():
            return {"type": "log", "log": _log(step.log)}
        case AccountCreated():
            return {"type": "account_created", "address": str(step.address), "code": _hex(step.code)}
        case AccountDestroyed():
            return {
                "type": "account_destroyed",
                "address": str(step.address),
                "beneficiary": str(step.beneficiary),
                "value": step.value,
            }
        case DebugPrinted():
            return {"type": "debug_printed", "text": step.text}
        case _:
            kind, details = _storage_step(step)
            return {"type": kind, "address": str(step.address), **details}


def _mapping_step(step: StorageMapped | StorageUnmapped) -> tuple[str, JSON]:
    if isinstance(step, StorageUnmapped):
        return "storage_unmapped", {"option": step.option, "memory_offset_bytes": step.memory_offset}
    return "storage_mapped", {
        "option": step.option,
        "memory_offset_bytes": step.memory_offset,
        "storage_offset_bytes": step.storage_offset,
        "length_bytes": step.length,
    }


def _storage_step(
    step: StorageWritten
    | StorageGrown
    | StorageMapped
    | StorageUnmapped
    | TablesShown
    | StorageModuleInstantiated
    | PagesTouched,
) -> tuple[str, JSON]:
    match step:
        case StorageWritten():
            return "storage_written", {"changes": _changes(step.changes)}
        case StorageGrown():
            return "storage_grown", {
                "region": step.region,
                "pages_old": step.pages_old,
                "pages_new": step.pages_new,
                "page_bytes": step.page_bytes,
            }
        case StorageMapped() | StorageUnmapped():
            return _mapping_step(step)
        case StorageModuleInstantiated():
            return "storage_module", {"regions": list(step.regions)}
        case TablesShown():
            return "tables", {
                "frame_bytes": step.frame_bytes,
                "pages": [{"first": run.page, "frame": run.frame, "count": run.count} for run in step.pages],
                "frames": [
                    {
                        "address": str(run.address),
                        "region": run.region,
                        "frame_bytes": run.frame_bytes,
                        "first": run.first,
                        "count": run.count,
                        "dirty": run.dirty,
                    }
                    for run in step.frames
                ],
            }
        case PagesTouched():
            runs = [{"first": first, "count": count} for first, count in step.runs]
            return "pages_touched", {"region": step.region, "runs": runs}


def _changes(changes: Iterable[StorageChange]) -> list[JSON]:
    return [
        {"region": change.region, "offset_bytes": change.offset, "old": _hex(change.old), "new": _hex(change.new)}
        for change in changes
    ]


def _log(log: Log) -> JSON:
    return {"address": str(log.address), "topics": [_hex(topic) for topic in log.topics], "data": _hex(log.data)}


def _shown_error(error: BaseException | None) -> JSON | None:
    """An error by itself; in a trace, what lay behind it is the error of another call."""
    if not isinstance(error, StorageModError):
        return None if error is None else {"type": type(error).__name__, "message": str(error)}
    shown: JSON = {
        "type": type(error).__name__,
        "message": error.message,
        "contract": error.contract,
        "depth": error.depth,
        "hint": error.hint,
    }
    if isinstance(error, ScenarioError):
        shown |= {"path": error.path, "line": error.line}
    if isinstance(error, TrapError):
        shown |= {"code": error.code, "function": error.function}
    if isinstance(error, RevertError):
        shown["output"] = _hex(error.output)
    return shown


def error_to_json(error: StorageModError | None) -> JSON | None:
    """An error and, as a list, what lay behind it, nearest first: a failure can come from 1,024 calls down."""
    shown = _shown_error(error)
    if shown is None:
        return None
    causes = []
    cause = None if error is None else error.cause
    while cause is not None:
        causes.append(_shown_error(cause))
        cause = cause.cause if isinstance(cause, StorageModError) else None
    return shown | {"causes": causes}


def _outcome(outcome: Outcome) -> str:
    return outcome.name.lower()


def _values(values: tuple[Value, ...]) -> list[Value | str]:
    return [value if isinstance(value, int) or math.isfinite(value) else str(value) for value in values]


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
