"""Runs of words that differ: the same as looking at each word in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storagemod.pages import page
from storagemod.pages.page import (
    PAGE_BYTES,
    WORD_BYTES,
    ZERO_PAGE,
    Run,
    differing_runs,
    intern_zero,
    merged_runs,
    runs_of,
)

WORDS = PAGE_BYTES // WORD_BYTES

Edit = tuple[int, int, bytes]
"""First word, number of words, and the byte that fills them."""

words = st.one_of(st.integers(0, WORDS - 1), st.sampled_from([0, 1, 31, 32, 33, 63, 64, 255, 256, 510, 511]))
edits = st.lists(st.tuples(words, st.integers(1, 70), st.sampled_from([b"\0", b"\1", b"\2"])), max_size=6)


def edited(page: bytes, changes: list[Edit]) -> bytes:
    data = bytearray(page)
    for first, count, fill in changes:
        end = min(first + count, WORDS)
        data[first * WORD_BYTES : end * WORD_BYTES] = fill * ((end - first) * WORD_BYTES)
    return bytes(data)


pages = edits.map(lambda changes: edited(ZERO_PAGE, changes))


def naive_runs(old: bytes, new: bytes) -> Iterator[Run]:
    """Word by word."""
    at = 0
    while at < len(old):
        start = at
        while at < len(old) and old[at : at + WORD_BYTES] != new[at : at + WORD_BYTES]:
            at += WORD_BYTES
        if at > start:
            yield Run(start, old[start:at], new[start:at])
        at += WORD_BYTES


@given(pages, edits)
@example(ZERO_PAGE, [])
@example(ZERO_PAGE, [(0, WORDS, b"\1")])
@example(ZERO_PAGE, [(WORDS - 1, 1, b"\1")])
@settings(deadline=None)
def test_runs_are_those_found_word_by_word(old: bytes, changes: list[Edit]) -> None:
    new = edited(old, changes)
    assert list(differing_runs(old, new)) == list(naive_runs(old, new))


@given(pages, st.integers(0, PAGE_BYTES - 1), st.integers(1, 255))
@settings(deadline=None)
def test_one_bit_more_or_less_is_one_word(old: bytes, at: int, flips: int) -> None:
    new = old[:at] + bytes([old[at] ^ flips]) + old[at + 1 :]
    start = at - at % WORD_BYTES
    assert list(differing_runs(old, new)) == [Run(start, old[start:][:WORD_BYTES], new[start:][:WORD_BYTES])]


@given(st.dictionaries(st.integers(0, 5), st.tuples(pages, edits), max_size=5))
@settings(deadline=None)
def test_runs_of_many_pages_are_joined_across_their_borders(changed: dict[int, tuple[bytes, list[Edit]]]) -> None:
    olds, news = bytearray(6 * PAGE_BYTES), bytearray(6 * PAGE_BYTES)
    for number, (old, changes) in changed.items():
        olds[number * PAGE_BYTES : (number + 1) * PAGE_BYTES] = old
        news[number * PAGE_BYTES : (number + 1) * PAGE_BYTES] = edited(old, changes)
    given_pages = {number: (old, edited(old, changes)) for number, (old, changes) in changed.items()}
    assert list(merged_runs(given_pages)) == list(naive_runs(bytes(olds), bytes(news)))


def test_bytes_copied_for_a_run_grow_with_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of 1 and of 8 MiB: neither it nor a part of it is made more than once."""
    made: list[int] = []

    def count(offset: int, old: bytes, new: bytes) -> Run:
        made.append(len(old))
        return Run(offset, old, new)

    monkeypatch.setattr(page, "Run", count)
    for number_of_pages in (256, 2_048):
        made.clear()
        (run,) = merged_runs(dict.fromkeys(range(number_of_pages), (ZERO_PAGE, b"\x01" * PAGE_BYTES)))
        assert run == Run(0, bytes(number_of_pages * PAGE_BYTES), b"\1" * number_of_pages * PAGE_BYTES)
        assert made == [number_of_pages * PAGE_BYTES]


@given(st.sets(st.integers(0, 40)))
@settings(deadline=None)
def test_runs_of_numbers_are_maximal_and_hold_each_number_once(numbers: set[int]) -> None:
    runs = list(runs_of(sorted(numbers)))
    assert [number for first, count in runs for number in range(first, first + count)] == sorted(numbers)
    assert all(first + count not in numbers and first - 1 not in numbers for first, count in runs)


def test_pages_of_zeros_are_one_object() -> None:
    assert intern_zero(bytes(PAGE_BYTES)) is ZERO_PAGE
    assert intern_zero(b"\1" * PAGE_BYTES) != ZERO_PAGE
