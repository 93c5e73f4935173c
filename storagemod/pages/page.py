"""Pages of storage: 4 KiB of bytes, the unit in which storage is tracked, rolled back, committed and hashed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from attrs import field, frozen

from storagemod.types import WASM_PAGE_BYTES

PAGE_BYTES = 4_096
"""Length of a page. Wasm pages are sixteen times as long."""

PAGES_PER_WASM_PAGE = WASM_PAGE_BYTES // PAGE_BYTES

WORD_BYTES = 8
"""Changes are reported in whole words: storage integers are words, and no page border cuts one."""

ZERO_PAGE = bytes(PAGE_BYTES)

_BLOCK_BYTES = 256


@frozen
class Run:
    """Differing bytes of a page: whole words that lie side by side."""

    offset: int
    old: bytes = field(repr=lambda data: data.hex())
    new: bytes = field(repr=lambda data: data.hex())


def _differing_ranges(old: Sequence[int], new: Sequence[int], block: int) -> Iterator[tuple[int, int]]:
    """Yield where two sequences of one length differ, as ranges in order. Each equal block costs one comparison."""
    start = None
    for first in range(0, len(old), block):
        end = min(first + block, len(old))
        if old[first:end] == new[first:end]:
            if start is not None:
                yield start, first
                start = None
            continue
        for index in range(first, end):
            if old[index] != new[index]:
                if start is None:
                    start = index
            elif start is not None:
                yield start, index
                start = None
    if start is not None:
        yield start, len(old)


def differing_bytes(old: bytes, new: bytes) -> Iterator[tuple[int, int]]:
    """Yield where bytes of one length differ, as ranges in order."""
    return _differing_ranges(old, new, _BLOCK_BYTES)


def differing_runs(old: bytes, new: bytes) -> Iterator[Run]:
    """Yield the runs of words in which two pages differ, in order."""
    old_words, new_words = memoryview(old).cast("Q"), memoryview(new).cast("Q")
    for first, end in _differing_ranges(old_words, new_words, _BLOCK_BYTES // WORD_BYTES):
        start, stop = first * WORD_BYTES, end * WORD_BYTES
        yield Run(start, old[start:stop], new[start:stop])


def merged_runs(pages: dict[int, tuple[bytes, bytes]]) -> Iterator[Run]:
    """Yield the differing runs of many pages (number: old and new), joined across page borders; offsets in bytes."""
    last: Run | None = None
    for number in sorted(pages):
        for run in differing_runs(*pages[number]):
            offset = number * PAGE_BYTES + run.offset
            if last is not None and last.offset + len(last.old) == offset:
                last = Run(last.offset, last.old + run.old, last.new + run.new)
            else:
                if last is not None:
                    yield last
                last = Run(offset, run.old, run.new)
    if last is not None:
        yield last


def runs_of(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield numbers, which are in order, as runs of neighbours: the first, and how many."""
    first = count = 0
    for number in numbers:
        if count and number == first + count:
            count += 1
            continue
        if count:
            yield first, count
        first, count = number, 1
    if count:
        yield first, count


def intern_zero(page: bytes) -> bytes:
    """Return the page itself, or the one shared page of zeros."""
    return ZERO_PAGE if page == ZERO_PAGE else page


if sys.byteorder != "little":  # pragma: no cover - wasmtime itself runs on little-endian machines only
    raise ImportError("storagemod needs a little-endian machine: linear memory is little-endian")
