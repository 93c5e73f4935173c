"""EventLog and trace by themselves: raw events in, a tree of calls out."""

from __future__ import annotations

import copy
import itertools
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod.events import (
    CallEnded,
    CallStarted,
    DebugPrinted,
    Event,
    PagesTouched,
    RawEvent,
    StorageChange,
    StorageGrown,
    StorageHeldBack,
    StorageLoaded,
    StorageWritten,
    kept_bytes,
)
from storagemod.limits import Limits
from storagemod.pages import PAGE_BYTES, ZERO_PAGE
from storagemod.trace import LIGHT_BYTES, CallRecord, EventLog, HazardKind, Trace, model
from storagemod.types import Address, Outcome
from tests.report.traces import BANK, THIEF, change, ended, nested, raw, record, started, word


def names(record: CallRecord) -> list[str]:
    """What happened in a call: the methods of calls, and the names of other events."""
    return [str(step.started.method) if isinstance(step, CallRecord) else type(step).__name__ for step in record.steps]


def test_calls_are_kept_in_the_order_in_which_they_started_and_each_knows_its_parent() -> None:
    trace = record(
        started(0, BANK, "a"),
        started(1, THIEF, "b", parent_id=0),
        started(2, BANK, "c", parent_id=1),
        ended(2),
        ended(1),
        started(3, THIEF, "d", parent_id=0),
        ended(3),
        ended(0),
    )

    assert [call.started.method for call in trace] == ["a", "b", "c", "d"]
    assert [call.parent.started.method if call.parent else None for call in trace] == [None, "a", "b", "a"]
    assert [call.started.method for call in trace.root.calls] == ["b", "d"]


def test_what_happens_in_a_call_before_and_after_its_callees_keeps_its_order() -> None:
    trace = record(
        started(0, BANK, "a"),
        StorageWritten(0, BANK, (change(0, 0, 1),)),
        started(1, THIEF, "b", parent_id=0),
        StorageWritten(1, THIEF, (change(0, 0, 1),)),
        ended(1),
        StorageGrown(0, BANK, "memory", 1, 2),
        started(2, THIEF, "c", parent_id=0),
        ended(2),
        StorageWritten(0, BANK, (change(0, 1, 2),)),
        ended(0),
    )

    assert names(trace.root) == ["StorageWritten", "b", "StorageGrown", "c", "StorageWritten"]
    assert names(trace.calls[1]) == ["StorageWritten"]


def test_changes_of_a_call_are_first_old_and_last_new_without_those_of_its_callees() -> None:
    trace = record(
        started(0, BANK, "a"),
        StorageWritten(0, BANK, (change(8, 1, 2), change(32, 5, 6))),
        started(1, BANK, "b", parent_id=0),
        StorageWritten(1, BANK, (change(8, 2, 3),)),
        ended(1),
        StorageWritten(0, BANK, (change(8, 3, 4), change(16, 0, 9), change(32, 6, 5))),
        ended(0),
    )

    # Neighbouring words are one run, and a word that was written back is none.
    assert trace.root.changes == (change(8, word(1) + word(0), word(4) + word(9)),)
    assert trace.calls[1].changes == (change(8, 2, 3),)


def test_changes_are_ordered_by_region_and_offset_and_regions_are_not_joined() -> None:
    trace = record(
        started(0, BANK, "a"),
        StorageWritten(0, BANK, (change(8, 0, 1, "z"), change(0, 0, 1, "a"), change(0, 0, 2, "z"))),
        ended(0),
    )

    assert trace.root.changes == (change(0, 0, 1, "a"), change(0, bytes(16), word(2) + word(1), "z"))


def test_call_is_undone_where_it_or_a_call_above_it_did_not_end_well() -> None:
    trace = record(
        started(0, BANK, "top"),
        started(1, BANK, "reverts", parent_id=0),
        started(2, BANK, "goes well inside", parent_id=1),
        ended(2),
        CallEnded(1, Outcome.REVERTED, (), b"", 1, None),
        started(3, BANK, "goes well", parent_id=0),
        ended(3),
        started(4, BANK, "fails", parent_id=0),
        CallEnded(4, Outcome.FAILED, (), b"", 1, None),
        ended(0),
    )

    assert [call.undone for call in trace] == [False, True, True, False, True]


def test_call_that_was_not_seen_to_end_is_undone() -> None:
    trace = record(started(0, BANK, "top"), started(1, BANK, "inner", parent_id=0), ended(1))

    assert trace.root.ended is None
    assert [call.undone for call in trace] == [True, True]


def test_events_beyond_the_limit_are_counted_and_dropped_but_every_call_that_was_seen_is_seen_to_end() -> None:
    trace = record(
        started(0, BANK, "top"),
        started(1, BANK, "kept", parent_id=0),
        StorageWritten(1, BANK, (change(0, 0, 1),)),  # dropped from here on
        started(2, BANK, "not kept", parent_id=1),
        StorageWritten(2, BANK, (change(8, 0, 1),)),
        started(3, BANK, "not kept either", parent_id=2),
        ended(3),
        ended(2),
        ended(1, 7),
        StorageWritten(0, BANK, (change(0, 1, 2),)),
        ended(0, 8),
        trace_events_max=2,
    )

    assert [call.started.method for call in trace] == ["top", "kept"]
    assert trace.dropped == 5  # two starts and three changes; ends are no more than their starts
    assert [call.ended.gas_used for call in trace if call.ended is not None] == [8, 7]
    assert names(trace.root) == ["kept"]
    assert trace.calls[1].steps == []


def test_trace_can_be_taken_while_the_transaction_runs_and_again_later() -> None:
    recording = EventLog(Limits())
    recording.events.append(raw(started(0, BANK, "top")))
    early = recording.trace({})
    recording.events.append(raw(started(1, BANK, "inner", parent_id=0)))

    assert len(early.calls) == 1
    assert len(recording.trace({}).calls) == 2


def test_label_of_an_account_is_its_name_or_its_address_in_short() -> None:
    trace = record(started(0, BANK, "top"), ended(0))

    assert trace.label(BANK) == "bank"
    assert trace.label(Address("0x" + "12" * 19 + "ab")) == "0x1212…12ab"


# Limits


PAGE = 2 * PAGE_BYTES
"""Bytes that one written page keeps: old and new."""


def written(call_id: int, *pages: int) -> RawEvent:
    """Whole pages were filled."""
    filled = tuple(("memory", number, ZERO_PAGE, b"\1" * PAGE_BYTES) for number in pages)
    return (StorageWritten, call_id, BANK, filled)


def test_events_beyond_the_bytes_of_a_trace_are_counted_and_dropped() -> None:
    recording = EventLog(Limits(trace_bytes_max=2 * PAGE + 10))
    for event in (
        raw(started(0, BANK, "top")),
        written(0, 1),
        raw(started(1, BANK, data=bytes(10), parent_id=0)),
        written(1, 2),
        written(1, 3),  # dropped from here on, small events too
        raw(DebugPrinted(1, "x")),
        raw(started(2, BANK, "dropped", parent_id=1)),
        written(2, 4),
        raw(ended(2)),
        raw(ended(1, 7, output=b"kept all the same")),
        raw(ended(0, 8)),
    ):
        recording.events.append(event)
        if len(recording.events) >= recording.check_at:
            recording.check()
    trace = recording.trace({})

    assert [call.started.call_id for call in trace] == [0, 1]
    assert trace.dropped == 4
    assert [names(call) for call in trace] == [["StorageWritten", "None"], ["StorageWritten"]]
    assert [call.ended.gas_used for call in trace if call.ended is not None] == [8, 7]


def test_top_level_call_is_kept_whatever_it_keeps() -> None:
    trace = record(
        started(0, BANK, data=bytes(100)), started(1, BANK, "f", parent_id=0), ended(1), ended(0), trace_bytes_max=1
    )
    assert [call.started.call_id for call in trace] == [0]
    assert trace.root.ended is not None
    assert trace.dropped == 1


@st.composite
def histories(draw: st.DrawFn) -> list[RawEvent]:
    """Calls in and after one another, and what they write."""
    events, open_calls, calls = [raw(started(0, BANK, "top"))], [0], 1
    for step in draw(st.lists(st.integers(0, 24), max_size=40)):
        if step == 0:
            parent = open_calls[-1] if open_calls else None
            events.append(raw(started(calls, BANK, data=bytes(draw(st.integers(0, 3)) * 50_000), parent_id=parent)))
            open_calls.append(calls)
            calls += 1
        elif step == 1 and len(open_calls) > 1:
            events.append(raw(ended(open_calls.pop(), output=bytes(draw(st.integers(0, 3)) * 50_000))))
        else:
            events.append(written(open_calls[-1], *range(step)))
    return events + [raw(ended(call_id)) for call_id in reversed(open_calls)]


@given(histories(), st.integers(1, 50), st.integers(1, 4_000_000))
@settings(deadline=None)
def test_what_is_dropped_does_not_depend_on_when_the_machine_checks(
    history: list[RawEvent], events_max: int, bytes_max: int
) -> None:
    limits = Limits(trace_events_max=events_max, trace_bytes_max=bytes_max)
    always, needed = EventLog(limits), EventLog(limits)
    for event in history:
        always.events.append(event)
        always.check()
        needed.events.append(event)
        if len(needed.events) >= needed.check_at or kept_bytes(event) > LIGHT_BYTES:
            needed.check()
    one, other = always.trace({}), needed.trace({})

    assert one == other
    ends = [event for event in one.raw_events if event[0] is CallEnded]
    others = [event for event in one.raw_events if event[0] is not CallEnded]
    assert len(others) <= max(events_max, 1)
    assert sum(map(kept_bytes, others)) <= bytes_max
    assert {event[1] for event in ends} == {event[1] for event in others if event[0] is CallStarted}
    assert one.dropped == sum(event[0] is not CallEnded for event in history) - len(others)
    if one.dropped == 0:
        assert list(one.raw_events) == history


def test_recording_is_checked_in_place_so_that_its_append_stays_valid() -> None:
    recording = EventLog(Limits(trace_events_max=1))
    append = recording.events.append
    append(raw(started(0, BANK, "top")))
    append(written(0, 1))
    recording.check()
    append(raw(ended(0)))
    assert recording.trace({}).root.ended is not None


# Looking


def test_nothing_is_decoded_until_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: RawEvent) -> Event:
        raise AssertionError("decoded")

    monkeypatch.setattr(model, "decode", refuse)
    trace = record(started(0, BANK, "top"), PagesTouched(0, BANK, "memory", ((0, 2), (7, 1))), ended(0))
    assert trace.pages_touched == 3
    assert repr(trace) == "Trace(raw_events=<3 events>, dropped=0)"
    assert copy.copy(trace) == trace
    with pytest.raises(AssertionError, match="decoded"):
        _ = trace.calls


def test_trace_of_any_depth_can_be_copied_and_pickled_after_somebody_looked() -> None:
    trace = nested(1_024)
    assert len(trace.calls) == 1_024
    assert trace.hazards == ()
    for again in (copy.deepcopy(trace), pickle.loads(pickle.dumps(trace))):  # noqa: S301 - our own
        assert again == trace
        assert [call.started for call in again] == [call.started for call in trace]


def test_calls_are_found_by_their_number() -> None:
    trace = record(started(0, BANK, "top"), started(1, BANK, "f", parent_id=0), ended(1), ended(0))
    assert trace.find_call(1) is trace.calls[1]
    assert trace.find_call(2) is None


# Changes of a call


WORDS = 40

edits = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.integers(0, WORDS - 1), st.integers(1, 12), st.integers(0, 2)),
    max_size=12,
)


@given(st.lists(edits, max_size=6))
@settings(deadline=None)
def test_changes_of_a_call_are_those_found_word_by_word(writes: list[list[tuple[str, int, int, int]]]) -> None:
    """What is written lies on both sides of a page border."""
    base = PAGE_BYTES - WORDS // 2 * 8
    storage = {region: [0] * WORDS for region in ("a", "b")}
    events: list[Event] = [started(0, BANK, "f")]
    for write in writes:
        before = {region: list(words) for region, words in storage.items()}
        for region, first, count, value in write:
            storage[region][first : first + count] = [value] * len(storage[region][first : first + count])
        changes = tuple(
            change(base + 8 * index, before[region][index], storage[region][index], region)
            for region in ("a", "b")
            for index in range(WORDS)
            if before[region][index] != storage[region][index]
        )
        if changes:
            events.append(StorageWritten(0, BANK, changes))
    found = record(*events, ended(0)).root.changes

    differing = [
        (region, base + 8 * index, storage[region][index])
        for region in ("a", "b")
        for index in range(WORDS)
        if storage[region][index]
    ]
    assert [
        (each.region, each.offset + at, int.from_bytes(each.new[at : at + 8], "little"))
        for each in found
        for at in range(0, len(each.old), 8)
    ] == differing
    assert all(not any(each.old) for each in found)
    assert all(
        (one.region, one.offset + len(one.old)) < (other.region, other.offset)
        for one, other in itertools.pairwise(found)
    )


def test_bytes_joined_for_the_changes_of_a_call_grow_with_what_it_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[int] = []

    def count(region: str, offset: int, old: bytes, new: bytes) -> StorageChange:
        joined.append(len(old))
        return StorageChange(region, offset, old, new)

    monkeypatch.setattr(model, "StorageChange", count)
    sums = []
    for pages in (256, 2_048):  # 1 and 8 MiB, page by page
        recording = EventLog(Limits())
        recording.events += [raw(started(0, BANK, "f")), *(written(0, number) for number in range(pages))]
        joined.clear()
        (found,) = recording.trace({}).root.changes
        assert len(found.new) == pages * PAGE_BYTES
        sums.append(sum(joined))
    assert sums == [256 * PAGE_BYTES, 2_048 * PAGE_BYTES]


# Hazards of a trace that was cut


def test_hazards_are_found_up_to_the_first_event_that_is_missing() -> None:
    """Call 0 holds a copy, call 2 changes storage, and call 0 brings its copy up to date before it ends."""
    ours = (StorageWritten, 2, BANK, (("memory", 0, ZERO_PAGE, b"\1" * PAGE_BYTES),))
    events: list[RawEvent] = [
        raw(started(0, BANK, "top")),
        raw(StorageLoaded(0, BANK, "memory", 0, 8)),
        raw(started(1, THIEF, "between", parent_id=0)),
        raw(started(2, BANK, "again", parent_id=1)),
        ours,
        raw(ended(2)),
        raw(ended(1)),
    ]
    synced = raw(StorageLoaded(0, BANK, "memory", 0, 8))

    def hazards(*last: RawEvent, events_max: int) -> tuple[Trace, list[HazardKind]]:
        recording = EventLog(Limits(trace_events_max=events_max))
        recording.events += [*events, *last]
        recording.check()
        trace = recording.trace({})
        return trace, [hazard.kind for hazard in trace.hazards]

    assert hazards(synced, raw(ended(0)), events_max=100)[1] == []
    assert hazards(raw(ended(0)), events_max=100)[1] == [HazardKind.STALE_READ]
    trace, found = hazards(synced, raw(ended(0)), events_max=5)
    assert found == []  # whether it was brought up to date is not known any more
    assert trace.dropped == 1


def test_hazards_of_a_trace_that_was_cut_are_marked_where_their_call_was_undone() -> None:
    events = [
        started(0, BANK, "top"),
        StorageHeldBack(0, BANK, (StorageChange("memory", 0, b"a", b"b"),)),
        started(1, BANK, "again", parent_id=0),
        StorageLoaded(1, BANK, "memory", 0, 8),  # not what call 0 made of it
        DebugPrinted(1, "dropped"),
        CallEnded(1, Outcome.REVERTED, (), b"", 1, None),
        ended(0),
    ]
    held = (StorageHeldBack, 0, BANK, (("memory", 0, b"a", b"b"),))
    recording = EventLog(Limits(trace_events_max=4))
    recording.events += [held if isinstance(event, StorageHeldBack) else raw(event) for event in events]
    recording.check()
    (hazard,) = recording.trace({}).hazards
    assert (hazard.kind, hazard.call_id, hazard.undone) == (HazardKind.STALE_READ, 1, True)
