"""Telling which pages of a live memory were written: by comparing, and by reading the process's page map."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Protocol

from storagemod.pages._libc import without_huge_pages
from storagemod.pages.page import PAGE_BYTES, PAGES_PER_WASM_PAGE
from storagemod.process_memory import read_bytes
from storagemod.types import WASM_PAGE_BYTES


class WriteTracker(Protocol):
    """Knows the pages of one memory that the contract or the host wrote. Lengths are in Wasm pages.

    ``tells_stores`` is whether, after :meth:`watch_again`, exactly the pages are returned that were written to since,
    be it with the same bytes.
    """

    tells_stores: bool

    def watch(self, memory_pages: int, *, mapped: bool) -> None:
        """Begin, or begin anew, after the memory was given other bytes; ``mapped`` if by new mappings."""

    def written(self, memory_pages: int) -> Sequence[int]:
        """Return the numbers of the pages that may have been written since they are watched, in order.

        Pages may be among them that hold what they held before, and that were returned before. None is left out that
        changed since the last time. Pages that the memory grew by count as written only if they were.
        """

    def watch_again(self, memory_pages: int) -> bool:
        """Watch the pages that were written; until then they may be returned each time. ``False`` if it cannot."""

    def touched(self, memory_pages: int) -> list[tuple[int, int]] | None:
        """Return the pages read or written since :meth:`watch`, as runs: first, and how many.

        ``None`` if that cannot be known. Pages that were undone may be among them or not.
        """


_ZERO_CHUNK = bytes(WASM_PAGE_BYTES)


class CompareTracker:
    """The portable tracker: keeps a copy of the memory and compares. Time and memory are those of the whole memory.

    The copy is made of one bytes object for each Wasm page, so that an unchanged one costs a single comparison.
    """

    tells_stores = False

    def __init__(self, base: int, _bytes_max: int) -> None:
        self._base = base
        self._chunks: list[bytes] = []

    def watch(self, memory_pages: int, *, mapped: bool) -> None:  # noqa: ARG002 - it copies in either case
        """Copy the memory."""
        base = self._base
        chunks = (read_bytes(base + index * WASM_PAGE_BYTES, WASM_PAGE_BYTES) for index in range(memory_pages))
        self._chunks = [_ZERO_CHUNK if chunk == _ZERO_CHUNK else chunk for chunk in chunks]

    def written(self, memory_pages: int) -> list[int]:
        """Return the pages that differ from the copy, and bring that up to date."""
        written: list[int] = []
        self._chunks += [_ZERO_CHUNK] * (memory_pages - len(self._chunks))
        for index, before in enumerate(self._chunks):
            now = read_bytes(self._base + index * WASM_PAGE_BYTES, WASM_PAGE_BYTES)
            if now != before:
                self._chunks[index] = now
                first = index * PAGES_PER_WASM_PAGE
                written += [
                    first + offset // PAGE_BYTES
                    for offset in range(0, WASM_PAGE_BYTES, PAGE_BYTES)
                    if now[offset : offset + PAGE_BYTES] != before[offset : offset + PAGE_BYTES]
                ]
        return written

    def watch_again(self, memory_pages: int) -> bool:  # noqa: ARG002 - pages are returned once
        """Do nothing: each page is returned once."""
        return True

    def touched(self, memory_pages: int) -> None:
        """Return ``None``: reads leave no trace in bytes."""


_ENTRY_BYTES = 8
_PRESENT, _SWAPPED, _FILE = 0x80, 0x40, 0x20  # in the highest byte of an entry
_OWN, _OTHER = b"\x01", b"\x00"
_IS_OWN = b"".join(_OWN if byte & (_PRESENT | _SWAPPED) and not byte & _FILE else _OTHER for byte in range(256))

_PAGES_PER_READ = 65_536


@functools.lru_cache(maxsize=1)
def _page_map_of(process: int) -> int:  # noqa: ARG001 - a descriptor speaks of the process that opened it
    return os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)


class PagemapTracker:
    """The tracker for any Linux: reads the process's page map.

    A page of a private mapping that was never written is the file's; one that was is the process's own, and the page
    map tells them apart. It does not tell when a page was written: all that were written since they were mapped are
    returned each time. Costs 8 bytes for each page of the memory.
    Source: the kernel's "pagemap" admin guide.
    """

    tells_stores = False

    def __init__(self, base: int, bytes_max: int) -> None:
        self._base = base
        self._bytes_max = bytes_max
        self._descriptor = _page_map_of(os.getpid())

    def watch(self, memory_pages: int, *, mapped: bool) -> None:  # noqa: ARG002 - the map is always there
        """Have the kernel handle each page by itself."""
        if mapped:
            without_huge_pages(self._base, self._bytes_max)

    def written(self, memory_pages: int) -> list[int]:
        """Return the pages that were ever written; the caller compares them."""
        written: list[int] = []
        end = memory_pages * PAGES_PER_WASM_PAGE
        first_entry = self._base // PAGE_BYTES
        for first in range(0, end, _PAGES_PER_READ):
            length = min(_PAGES_PER_READ, end - first) * _ENTRY_BYTES
            entries = os.pread(self._descriptor, length, (first_entry + first) * _ENTRY_BYTES)
            own = entries[_ENTRY_BYTES - 1 :: _ENTRY_BYTES].translate(_IS_OWN)
            index = own.find(_OWN)
            while index >= 0:
                written.append(first + index)
                index = own.find(_OWN, index + 1)
        return written

    def watch_again(self, memory_pages: int) -> bool:  # noqa: ARG002 - no page can be
        """Return ``False``: a page that was written stays the process's own until it is mapped anew."""
        return False

    def touched(self, memory_pages: int) -> None:
        """Return ``None``: the kernel maps neighbours of a page that is read, so not all present pages were touched."""
