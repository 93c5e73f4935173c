"""Pages of storage: 4 KiB of bytes, the grain in which storage is tracked, undone, committed and hashed."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Iterator, Mapping

from attrs import field, frozen

from storagemod.types import WASM_PAGE_BYTES

PAGE_BYTES = 4_096
"""Length of a page. Wasm pages are sixteen times as long."""

PAGES_PER_WASM_PAGE = WASM_PAGE_BYTES // PAGE_BYTES

WORD_BYTES = 8
"""Changes are told in whole words: storage integers are words, and no page border cuts one, only a region's end."""

ZERO_PAGE = bytes(PAGE_BYTES)

_BLOCK_BYTES = 256
_NONZERO = bytes([0]) + bytes([1]) * 255


@frozen
class Run:
    """Differing bytes side by side: whole words, as many as there are."""

    offset: int
    old: bytes = field(repr=lambda data: data.hex())
    new: bytes = field(repr=lambda data: data.hex())


def differing_bytes(old: bytes, new: bytes) -> Iterator[tuple[int, int]]:
    """Yield the ranges of bytes that differ, in order. Both must have the same length."""
    return _differing_ranges(old, new, 1)


def differing_runs(old: bytes, new: bytes) -> Iterator[Run]:
    """Yield the runs of words that differ, in order. Both must have the same length; the last word may be cut."""
    for start, stop in _differing_ranges(old, new, WORD_BYTES):
        yield Run(start, old[start:stop], new[start:stop])


def merged_runs(pages: Mapping[int, tuple[bytes, bytes]]) -> Iterator[Run]:
    """Yield the runs of words that differ in many pages, joined across page borders; offsets are in bytes.

    Each byte is copied twice at most, however long a run grows.

    Args:
        pages: Old and new bytes by page number.
    """
    start = stop = -1
    olds: list[bytes] = []
    news: list[bytes] = []
    for number in sorted(pages):
        old, new = pages[number]
        base = number * PAGE_BYTES
        for first, end in _differing_ranges(old, new, WORD_BYTES):
            if base + first != stop:
                if olds:
                    yield Run(start, b"".join(olds), b"".join(news))
                    olds, news = [], []
                start = base + first
            olds.append(old[first:end])
            news.append(new[first:end])
            stop = base + end
    if olds:
        yield Run(start, b"".join(olds), b"".join(news))


def _differing_ranges(old: bytes, new: bytes, unit: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of differing units, of 1 or 8 bytes, in order and as long as possible.

    Equal blocks cost one comparison each. No Python code runs for a single unit: a mask has a 1 for each that differs,
    and the ends of a run are found in it.
    """
    for first, stop in _differing_blocks(old, new):
        mask = (_byte_mask if unit == 1 else _word_mask)(old[first:stop], new[first:stop])
        start = mask.find(1)
        while start >= 0:
            end = mask.find(0, start)
            if end < 0:
                yield first + start * unit, stop
                break
            yield first + start * unit, first + end * unit
            start = mask.find(1, end)


def _differing_blocks(old: bytes, new: bytes) -> Iterator[tuple[int, int]]:
    """Yield the ranges of differing blocks, in order and as long as possible."""
    start = None
    for first in range(0, len(old), _BLOCK_BYTES):
        if old[first : first + _BLOCK_BYTES] != new[first : first + _BLOCK_BYTES]:
            if start is None:
                start = first
        elif start is not None:
            yield start, first
            start = None
    if start is not None:
        yield start, len(old)


def _byte_mask(old: bytes, new: bytes) -> bytes:
    differences = int.from_bytes(old, "little") ^ int.from_bytes(new, "little")
    return differences.to_bytes(len(old), "little").translate(_NONZERO)


def _word_mask(old: bytes, new: bytes) -> bytes:
    if len(old) % WORD_BYTES:  # the region ends within a word
        old, new = (each.ljust(-(-len(each) // WORD_BYTES) * WORD_BYTES, b"\0") for each in (old, new))
    return bytes(map(operator.ne, memoryview(old).cast("Q").tolist(), memoryview(new).cast("Q").tolist()))


def runs_of(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Numbers in order as runs of neighbours: the first, and how many."""
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
    """The page itself, or the one shared page of zeros."""
    return ZERO_PAGE if page == ZERO_PAGE else page


if sys.byteorder != "little":  # pragma: no cover - wasmtime itself runs on little-endian machines only
    raise ImportError("storagemod needs a little-endian machine: linear memory is little-endian")
