"""Events of one transaction, and its trace: a flat list of calls, each with its steps in true order.

While the transaction runs, raw events are appended to one list and nothing else happens (:class:`EventLog`). They are
decoded when somebody looks at the trace (:class:`Trace`). So a trace costs next to nothing until it is looked at, and
never decides how a transaction ends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, TypeAlias

from attrs import define, field, frozen

from storagemod.events import (
    AccountCreated,
    AccountDestroyed,
    CallEnded,
    CallStarted,
    DebugPrinted,
    Event,
    LogEmitted,
    PagesTouched,
    RawEvent,
    StorageChange,
    StorageGrown,
    StorageHeldBack,
    StorageLoaded,
    StorageMapped,
    StorageModuleInstantiated,
    StorageRewritten,
    StorageStored,
    StorageUnmapped,
    StorageWritten,
    TablesShown,
    decode,
    kept_bytes,
)
from storagemod.limits import Limits
from storagemod.pages.page import differing_runs
from storagemod.trace.hazards import Hazard, find_hazards
from storagemod.types import Address

LIGHT_BYTES = 1 << 17
"""Most bytes that an event may keep without :meth:`EventLog.check` being called right after it: 16 written pages."""

HAZARD_EVENTS: Final[frozenset[type[Event]]] = frozenset({StorageLoaded, StorageHeldBack, StorageRewritten})
"""Events that hazards are found by, and that cost something to find out. No step of a call is made of them."""

Step: TypeAlias = (
    "CallRecord | StorageWritten | StorageGrown | StorageMapped | StorageUnmapped | TablesShown | PagesTouched"
    " | LogEmitted | StorageModuleInstantiated | AccountCreated | AccountDestroyed | DebugPrinted"
)


class EventLog:
    """Raw events of one transaction, within the limits of a trace.

    The machine appends each event to ``events`` itself, and calls :meth:`check` when ``len(events) >= check_at``, and
    after each event that may keep more than ``LIGHT_BYTES``::

        append = recording.events.append  # stays valid: the list is only changed in place
        append((StorageGrown, call_id, address, region, pages_old, pages_new, page_bytes))
        if len(recording.events) >= recording.check_at:
            recording.check()

    Events beyond a limit are counted and dropped, whenever :meth:`check` is called. Three rules keep the tree of calls
    whole. The start of the top-level call is always kept. Once an event was dropped, so are all later ones, except the
    ends of calls whose start was kept. Ends count as bytes but not as events.

    Attributes:
        events: The events so far. Those since the last check are not yet measured.
        check_at: Length of ``events`` at which a limit may have been reached.
        dropped: How many events are missing, ends of calls not counted.
        wants: Which events that cost something to find out are to be recorded.
    """

    __slots__ = ("_bytes_left", "_calls", "_checked", "_events_left", "check_at", "dropped", "events", "wants")

    def __init__(self, limits: Limits, wants: frozenset[type[Event]] = HAZARD_EVENTS) -> None:
        self.events: list[RawEvent] = []
        self.wants = wants
        self.dropped = 0
        self._events_left = limits.trace_events_max
        self._bytes_left = limits.trace_bytes_max
        self._checked = 0
        self._calls = sys.maxsize  # calls with this number and higher ones are dropped
        self._plan_check()

    def check(self) -> None:
        """Measure the events since the last check, and drop those beyond a limit."""
        events = self.events
        fresh = events[self._checked :]
        del events[self._checked :]
        events += filter(self._fits, fresh)
        self._checked = len(events)
        self._plan_check()

    def trace(self, labels: Mapping[Address, str]) -> Trace:
        """Return the trace of everything recorded so far.

        Args:
            labels: Names for addresses. They must not change afterwards.
        """
        if len(self.events) >= self.check_at:
            self.check()
        return Trace(tuple(self.events), labels, self.dropped)

    def _plan_check(self) -> None:
        self.check_at = self._checked + min(self._events_left, max(self._bytes_left, 0) // LIGHT_BYTES)

    def _fits(self, raw: RawEvent) -> bool:
        """Count an event against the limits, and return whether it is kept."""
        kind = raw[0]
        call_id: int = raw[1]
        size = kept_bytes(raw)
        if kind is CallEnded:
            fits = call_id < self._calls
        elif (self._events_left > 0 and size <= self._bytes_left) or (kind is CallStarted and call_id == 0):
            fits = True
            self._events_left -= 1
        else:
            fits = False
            self.dropped += 1
            self._events_left = 0
            if kind is CallStarted:
                self._calls = min(self._calls, call_id)
        if fits:
            self._bytes_left -= size
        return fits


@define(eq=False)
class CallRecord:
    """One call: its start, what happened in it, and its end (``None`` where the transaction was aborted)."""

    started: CallStarted
    parent: CallRecord | None = field(repr=False)
    steps: list[Step] = field(factory=list, repr=False)
    ended: CallEnded | None = None

    @property
    def undone(self) -> bool:
        """Whether the changes of this call were undone: it or a call above it failed, reverted or has no end."""
        record: CallRecord | None = self
        while record is not None:
            if record.ended is None or record.ended.outcome:
                return True
            record = record.parent
        return False

    @property
    def calls(self) -> list[CallRecord]:
        """The calls that this one made, in order."""
        return [step for step in self.steps if isinstance(step, CallRecord)]

    @property
    def changes(self) -> tuple[StorageChange, ...]:
        """What this call itself changed in storage, without its callees: first old bytes, last new bytes.

        A word that was written and written back within the call is left out. Ordered by region and offset.
        """
        written = [step.changes for step in self.steps if isinstance(step, StorageWritten)]
        return tuple(_merged([change for changes in written for change in changes]))


@frozen(slots=False)
class Trace:
    """The calls of one transaction, in the order in which they started.

    Traces are equal where their raw events, labels and dropped events are. Copies and pickles hold these only, so that
    a tree of any depth can be copied.

    Attributes:
        raw_events: Everything recorded, in order, in the format of :mod:`storagemod.events`.
        labels: Names of addresses for people.
        dropped: How many events are missing, because a limit was reached (``trace_events_max``, ``trace_bytes_max``).
    """

    raw_events: tuple[RawEvent, ...] = field(repr=lambda raw: f"<{len(raw)} events>")
    labels: Mapping[Address, str] = field(factory=dict, repr=False)
    dropped: int = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"raw_events": self.raw_events, "labels": dict(self.labels), "dropped": self.dropped}

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """Everything recorded, decoded, in order."""
        return tuple(map(decode, self.raw_events))

    @cached_property
    def calls(self) -> tuple[CallRecord, ...]:
        """The calls, in the order in which they started."""
        return tuple(self._records.values())

    @cached_property
    def hazards(self) -> tuple[Hazard, ...]:
        """What re-entry did to copies of storage, in the order in which it was found.

        Where events were dropped, only hazards up to the first of these are found.
        """
        return find_hazards(self.events, cut=self.dropped > 0)

    @property
    def root(self) -> CallRecord:
        """The top-level call."""
        return self.calls[0]

    @property
    def pages_touched(self) -> int:
        """How many pages of 4 KiB were read or written, undone calls included; 0 where that was not recorded."""
        return sum(count for raw in self.raw_events if raw[0] is PagesTouched for _, count in raw[4])

    def __iter__(self) -> Iterator[CallRecord]:
        return iter(self.calls)

    def find_call(self, call_id: int) -> CallRecord | None:
        """Return the call with this number, or ``None`` if it was dropped."""
        return self._records.get(call_id)

    def label(self, address: Address) -> str:
        """Return the name of an account, or its address in short if it has none."""
        return self.labels.get(address) or f"{str(address)[:6]}…{str(address)[-4:]}"

    @cached_property
    def _records(self) -> dict[int, CallRecord]:
        records: dict[int, CallRecord] = {}
        for event in self.events:
            if isinstance(event, CallStarted):
                parent = None if event.parent_id is None else records.get(event.parent_id)
                record = records[event.call_id] = CallRecord(event, parent)
                if parent is not None:
                    parent.steps.append(record)
            elif isinstance(event, CallEnded):
                records[event.call_id].ended = event
            elif not isinstance(event, StorageLoaded | StorageHeldBack | StorageRewritten | StorageStored):
                # those serve to find hazards only
                records[event.call_id].steps.append(event)
        return records


def _merged(changes: list[StorageChange]) -> Iterator[StorageChange]:
    """Join changes, given in the order of time, that touch or overlap: in time linear in their bytes, and to sort."""
    by_place = sorted(range(len(changes)), key=lambda index: (changes[index].region, changes[index].offset))
    region, stop = "", 0
    cluster: list[int] = []
    for index in by_place:
        change = changes[index]
        if cluster and (change.region != region or change.offset > stop):
            yield from _joined([changes[each] for each in sorted(cluster)])
            cluster, stop = [], 0
        cluster.append(index)
        region, stop = change.region, max(stop, change.offset + len(change.old))
    if cluster:
        yield from _joined([changes[each] for each in sorted(cluster)])


def _joined(changes: list[StorageChange]) -> Iterator[StorageChange]:
    """Join changes, given in the order of time, that leave no gap between them."""
    if len(changes) == 1:
        yield from changes
        return
    start = min(change.offset for change in changes)
    length = max(change.offset + len(change.old) for change in changes) - start
    old, new = bytearray(length), bytearray(length)
    for change in reversed(changes):  # the first old bytes win
        old[change.offset - start : change.offset - start + len(change.old)] = change.old
    for change in changes:  # the last new bytes win
        new[change.offset - start : change.offset - start + len(change.new)] = change.new
    for run in differing_runs(bytes(old), bytes(new)):
        yield StorageChange(changes[0].region, start + run.offset, run.old, run.new)
