"""Telling which pages of a live memory were written."""

from __future__ import annotations

from typing import Protocol

from storagemod.pages.mapping import LiveMemory
from storagemod.pages.page import PAGE_BYTES
from storagemod.types import WASM_PAGE_BYTES


class WriteTracker(Protocol):
    """Knows the pages written since it was last asked, by the contract or by the host."""

    def drain(self) -> list[int]:
        """The numbers of the pages written since the last time, in order, and start anew.

        A page may be told that holds the same bytes as before; none that changed is left out. Pages that the memory
        grew by count as written only if they were.
        """

    def touched(self) -> list[tuple[int, int]] | None:
        """The pages read or written since the tracker was made, as runs: first, and how many.

        ``None`` if that cannot be known. Pages that were undone may be told or not.
        """


_ZERO_CHUNK = bytes(WASM_PAGE_BYTES)


class CompareTracker:
    """The portable tracker: keeps a copy of the memory and compares. Time and memory are those of the whole memory.

    The copy is made of one bytes object for each Wasm page, so that an unchanged one costs a single comparison.
    """

    def __init__(self, memory: LiveMemory) -> None:
        self._memory = memory
        self._chunks: list[bytes] = []
        self.drain()

    def drain(self) -> list[int]:
        """The numbers of the pages that differ from the copy, in order; the copy is brought up to date."""
        written: list[int] = []
        self._chunks += [_ZERO_CHUNK] * (self._memory.pages - len(self._chunks))
        for index, before in enumerate(self._chunks):
            now = self._memory.read(index * WASM_PAGE_BYTES, WASM_PAGE_BYTES)
            if now != before:
                self._chunks[index] = now
                first = index * (WASM_PAGE_BYTES // PAGE_BYTES)
                written += [
                    first + at // PAGE_BYTES
                    for at in range(0, WASM_PAGE_BYTES, PAGE_BYTES)
                    if now[at : at + PAGE_BYTES] != before[at : at + PAGE_BYTES]
                ]
        return written

    def touched(self) -> None:
        """Reads leave no trace in bytes."""
