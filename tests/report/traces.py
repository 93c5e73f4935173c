"""Traces built by hand, for tests of the writers."""

from __future__ import annotations

from typing import Any

import attrs

from storagemod.errors import OutOfGasError, ReentryError, RevertError, TrapError
from storagemod.events import (
    AccountCreated,
    AccountDestroyed,
    CallEnded,
    CallStarted,
    DebugPrinted,
    Event,
    Log,
    LogEmitted,
    RawEvent,
    StorageChange,
    StorageGrown,
    StorageModuleInstantiated,
    StorageWritten,
)
from storagemod.limits import Limits
from storagemod.pages import PAGE_BYTES
from storagemod.trace import EventLog, Trace
from storagemod.types import Address, CallKind, Outcome

BANK = Address(0xB)
THIEF = Address(0xA)
LIBRARY = Address(0xC)
LABELS = {BANK: "bank", THIEF: "thief"}


def word(number: int) -> bytes:
    return number.to_bytes(8, "little", signed=True)


def change(offset: int, old: int | bytes, new: int | bytes, region: str = "memory") -> StorageChange:
    old, new = (word(each) if isinstance(each, int) else each for each in (old, new))
    return StorageChange(region, offset, old, new)


def started(call_id: int, address: Address, method: str | None = None, *args: int, **other: Any) -> CallStarted:
    plain = CallStarted(
        call_id=call_id,
        parent_id=None if call_id == 0 else call_id - 1,
        depth=1,
        kind=CallKind.CALL,
        address=address,
        code_address=address,
        caller=THIEF,
        method=method,
        args=args,
        data=b"",
        value=0,
        gas=10_000,
        static=False,
        reentry=0,
    )
    return attrs.evolve(plain, **other)


def ended(call_id: int, gas: int = 10, *values: float, output: bytes = b"") -> CallEnded:
    return CallEnded(call_id, Outcome.OK, values, output, gas, None)


def record(*events: Event, **limits: int) -> Trace:
    """A trace as the machine would record it, with the limits of traces that a test gives."""
    recording = EventLog(Limits(**limits))
    for event in events:
        recording.events.append(raw(event))
        recording.check()
    return recording.trace(LABELS)


def raw(event: Event) -> RawEvent:
    """The raw event that decodes to an event."""
    if not isinstance(event, StorageWritten):
        return (type(event), *(getattr(event, each.name) for each in attrs.fields(type(event))))
    pages: dict[tuple[str, int], tuple[bytearray, bytearray]] = {}
    for each in event.changes:
        for at, pair in enumerate(zip(each.old, each.new, strict=True), each.offset):
            page = pages.setdefault((each.region, at // PAGE_BYTES), (bytearray(PAGE_BYTES), bytearray(PAGE_BYTES)))
            page[0][at % PAGE_BYTES], page[1][at % PAGE_BYTES] = pair
    written = tuple((*place, bytes(old), bytes(new)) for place, (old, new) in sorted(pages.items()))
    return (StorageWritten, event.call_id, event.address, written)


def robbery() -> Trace:
    """A top-level call that goes well, in which one call of each kind does everything that can be shown."""
    trapped = TrapError("out of bounds memory access in $withdraw", code="memory_out_of_bounds", function="withdraw")
    return record(
        started(0, THIEF, "attack", 100, value=5),
        StorageModuleInstantiated(0, THIEF, ("memory",)),
        StorageWritten(0, THIEF, (change(0, 0, -1),)),
        started(1, BANK, "withdraw", 100),
        StorageModuleInstantiated(1, BANK, ("books", "memory")),
        StorageWritten(1, BANK, (change(0x40, 100, 0), change(0x80, bytes(16), word(7) + word(8)))),
        LogEmitted(1, Log(BANK, (bytes(31) + b"\1",), b"paid")),
        started(2, THIEF, data=bytes(range(40)), reentry=1),
        StorageWritten(2, THIEF, (change(8, bytes(40), bytes(range(40)), "names"),)),
        started(3, BANK, "withdraw", 100, reentry=1),
        StorageWritten(3, BANK, (change(0x40, 0, 2**62),)),
        StorageGrown(3, BANK, "memory", 1, 2),
        CallEnded(3, Outcome.FAILED, (), b"", 900, trapped),
        CallEnded(2, Outcome.REVERTED, (), b"no", 1_000, RevertError("reverted with 0x6e6f", output=b"no")),
        started(4, BANK, kind=CallKind.DELEGATE, code_address=LIBRARY, parent_id=1),
        CallEnded(4, Outcome.FAILED, (), b"", 3, OutOfGasError("out of gas")),
        started(5, BANK, "total", kind=CallKind.STATIC, static=True, parent_id=1, reentry=1),
        CallEnded(5, Outcome.FAILED, (), b"", 3, ReentryError("re-entry refused: its policy is 'deny'")),
        ended(1, 2_000, 3, 1.5),
        StorageWritten(0, THIEF, (change(0, -1, 4),)),
        ended(0, 3_000, output=b"\x01\x02"),
    )


def accounts() -> Trace:
    """A contract creates two, of which the second fails, runs foreign code, and is destroyed."""
    trapped = TrapError("`unreachable` was executed", code="unreachable")
    new = Address(0xD)
    return record(
        started(0, BANK, data=b"\1"),
        started(1, new, kind=CallKind.CREATE, data=bytes(range(40)), value=7),
        DebugPrinted(1, "one\nline"),
        AccountCreated(1, new, b"\xbe\xef"),
        ended(1, 200),
        started(2, new, kind=CallKind.CREATE, parent_id=0),
        started(3, LIBRARY, kind=CallKind.CREATE),
        AccountCreated(3, LIBRARY, b""),
        ended(3, 5),
        DebugPrinted(2, "printed"),
        CallEnded(2, Outcome.FAILED, (), b"", 100, trapped),
        started(4, BANK, kind=CallKind.CODE, code_address=LIBRARY, parent_id=0, reentry=1),
        AccountDestroyed(4, BANK, THIEF, 93),
        ended(4, 30),
        ended(0, 400),
    )


def failing() -> Trace:
    error = TrapError("`unreachable` was executed", code="unreachable")
    return record(
        started(0, BANK, "withdraw"),
        StorageWritten(0, BANK, (change(0, 1, 2),)),
        CallEnded(0, Outcome.FAILED, (), b"", 10_000, error),
    )


def nested(depth: int) -> Trace:
    """Calls inside one another, as deep as asked for."""
    return record(
        *(started(level, BANK, "again", level, reentry=level) for level in range(depth)),
        *(ended(level) for level in reversed(range(depth))),
        trace_events_max=100_000,
    )
