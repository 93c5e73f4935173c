"""Recording and trace by themselves: raw events in, a tree of calls out."""

from __future__ import annotations

from storagemod.events import CallEnded, StorageGrown, StorageWritten
from storagemod.limits import Limits
from storagemod.trace import CallRecord, Recording
from storagemod.types import Address, Outcome
from tests.report.traces import BANK, THIEF, change, ended, raw, record, started, word


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
    recording = Recording(Limits())
    recording.events.append(raw(started(0, BANK, "top")))
    early = recording.trace({})
    recording.events.append(raw(started(1, BANK, "inner", parent_id=0)))

    assert len(early.calls) == 1
    assert len(recording.trace({}).calls) == 2


def test_label_of_an_account_is_its_name_or_its_address_in_short() -> None:
    trace = record(started(0, BANK, "top"), ended(0))

    assert trace.label(BANK) == "bank"
    assert trace.label(Address("0x" + "12" * 19 + "ab")) == "0x1212…12ab"
