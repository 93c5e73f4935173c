"""Raw events decode to the events that the machine means, and observers get those that they listen to."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod.events import (
    CallEnded,
    CallStarted,
    DebugPrinted,
    Event,
    Log,
    LogEmitted,
    Notifier,
    PagesTouched,
    StorageChange,
    StorageHeldBack,
    StorageLoaded,
    StorageWritten,
    TablesShown,
    decode,
    kept_bytes,
)
from storagemod.pages import PAGE_BYTES, ZERO_PAGE
from storagemod.types import Outcome, Value, ValueType
from tests.report.traces import BANK, change, ended, raw, started

FULL_PAGE = b"\1" * PAGE_BYTES


def page_with(*words: tuple[int, bytes]) -> bytes:
    """A page of zeros but for words, by number."""
    data = bytearray(PAGE_BYTES)
    for number, word in words:
        data[number * 8 : number * 8 + 8] = word
    return bytes(data)


def test_written_pages_decode_to_runs_of_words_across_page_borders_but_not_across_regions() -> None:
    one, two = b"\1" + bytes(7), b"\2" * 8
    written = (
        StorageWritten,
        3,
        BANK,
        (
            ("books", 1, ZERO_PAGE, page_with((0, one), (511, two))),
            ("books", 2, ZERO_PAGE, page_with((0, one), (2, two))),
            ("memory", 3, ZERO_PAGE, page_with((0, two))),
        ),
    )

    assert decode(written) == StorageWritten(
        3,
        BANK,
        (
            change(4_096, bytes(8), one, "books"),
            change(8_184, bytes(16), two + one, "books"),
            change(8_208, bytes(8), two, "books"),
            change(12_288, bytes(8), two, "memory"),
        ),
    )


def test_held_back_areas_decode_to_ranges_of_bytes_that_differ() -> None:
    held = (StorageHeldBack, 1, BANK, (("memory", 10, b"abcdef", b"aXYdeZ"), ("memory", 40, b"same", b"same")))

    assert decode(held) == StorageHeldBack(
        1,
        BANK,
        (StorageChange("memory", 11, b"bc", b"XY"), StorageChange("memory", 15, b"f", b"Z")),
    )


VALUES: dict[ValueType, tuple[str, st.SearchStrategy[Value]]] = {
    "i32": ("<i", st.integers(-(2**31), 2**31 - 1)),
    "i64": ("<q", st.integers(-(2**63), 2**63 - 1)),
    "f32": ("<f", st.floats(width=32, allow_nan=False)),
    "f64": ("<d", st.floats(allow_nan=False)),
}
typed_values = st.lists(
    st.sampled_from(list(VALUES)).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind][1])), max_size=5
)


@given(typed_values)
@settings(deadline=None)
def test_values_as_wasmtime_keeps_them_decode_to_numbers(values: list[tuple[ValueType, Value]]) -> None:
    numbers = tuple(value for _, value in values)
    packed = (
        tuple(kind for kind, _ in values),
        b"".join(struct.pack(VALUES[kind][0], value).ljust(16, b"\xff") for kind, value in values),
    )
    start, end = started(0, BANK, "f"), ended(0)
    start_raw, end_raw = list(raw(start)), list(raw(end))
    start_raw[9] = end_raw[3] = packed

    decoded = decode(tuple(start_raw)), decode(tuple(end_raw))
    assert isinstance(decoded[0], CallStarted)
    assert isinstance(decoded[1], CallEnded)
    assert decoded[0].args == decoded[1].values == numbers


def test_tuples_of_two_values_are_values() -> None:
    event = ended(0, 10, 1, 2.5)
    assert decode(raw(event)) == event


def test_kept_bytes_are_pages_data_output_logs_and_tables() -> None:
    log = LogEmitted(0, Log(BANK, (bytes(32), bytes(32)), b"12345"))
    assert kept_bytes(raw(started(0, BANK, data=bytes(1_000)))) == 1_000
    assert kept_bytes(raw(ended(0, output=bytes(50)))) == 50
    assert kept_bytes(raw(log)) == 69
    assert kept_bytes((StorageWritten, 0, BANK, (("memory", 0, ZERO_PAGE, FULL_PAGE),) * 3)) == 6 * PAGE_BYTES
    assert kept_bytes((StorageHeldBack, 0, BANK, (("memory", 0, b"abc", b"abd"),))) == 6
    assert kept_bytes((StorageLoaded, 0, BANK, "memory", 0, 10**9)) == 0
    few, many = ((PagesTouched, 0, BANK, "memory", ((1, 2),) * count) for count in (1, 100))
    assert kept_bytes(many) == 100 * kept_bytes(few) > 0
    assert kept_bytes((TablesShown, 0, BANK, 4_096, (1, 2, 3), (4,))) == 4 * kept_bytes(few)


# Observers


class Listener:
    def __init__(self, *wants: type[Event]) -> None:
        self.wants = frozenset(wants)
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)


PRINTED = DebugPrinted(0, "hello")
LOADED = StorageLoaded(0, BANK, "memory", 0, 8)
TOUCHED = PagesTouched(0, BANK, "memory", ((0, 1),))


def told() -> Iterator[Event]:
    yield from (PRINTED, LOADED, TOUCHED)


def test_observers_get_events_on_demand_only_if_they_want_them() -> None:
    plain, loads, touches = Listener(), Listener(StorageLoaded), Listener(PagesTouched, DebugPrinted)
    notifier = Notifier([plain, loads, touches])
    for event in told():
        notifier(raw(event))

    assert plain.events == [PRINTED]
    assert loads.events == [PRINTED, LOADED]
    assert touches.events == [PRINTED, TOUCHED]
    assert [notifier.wants(kind) for kind in (StorageLoaded, PagesTouched, StorageHeldBack, DebugPrinted)] == [
        True,
        True,
        False,
        True,
    ]


def test_functions_are_observers_that_want_nothing_in_particular() -> None:
    events: list[Event] = []
    notifier = Notifier([events.append])
    for event in told():
        notifier(raw(event))
    assert events == [PRINTED]
    assert not notifier.wants(StorageLoaded)


def test_without_observers_there_is_nothing_to_notify() -> None:
    assert not Notifier([])
    assert not Notifier([]).wants(DebugPrinted)
    assert Notifier([lambda _: None])


def test_observers_get_one_and_the_same_event_in_their_order_until_one_raises() -> None:
    seen: list[tuple[str, Event]] = []

    def fail(event: Event) -> None:
        seen.append(("second", event))
        raise ZeroDivisionError

    notifier = Notifier(
        [lambda event: seen.append(("first", event)), fail, lambda event: seen.append(("third", event))]
    )
    with pytest.raises(ZeroDivisionError):
        notifier(raw(PRINTED))
    assert [name for name, _ in seen] == ["first", "second"]
    assert all(one is other for (_, one), (_, other) in itertools.pairwise(seen))


def test_outcome_of_a_raw_end_is_its_own() -> None:
    event = CallEnded(4, Outcome.REVERTED, (), b"no", 7, None)
    assert decode(raw(event)) == event
