"""The tracker for any Linux: reads the process's page map.

A page of a private mapping that was never written is the file's; one that was is the process's own, and the page map
tells them apart. It does not tell when a page was written, so all that the transaction wrote so far is told each time,
and the journal finds out by comparing which of them changed. Costs 8 bytes for each page of the memory.
Source: the kernel's "pagemap" admin guide.
"""

from __future__ import annotations

import functools
import os

from storagemod.pages._libc import without_huge_pages
from storagemod.pages.mapping import LiveMemory
from storagemod.pages.page import PAGE_BYTES, PAGES_PER_WASM_PAGE

_ENTRY_BYTES = 8
_PRESENT, _SWAPPED, _FILE = 0x80, 0x40, 0x20  # in the highest byte of an entry
_OWN, _OTHER = b"\x01", b"\x00"
_IS_OWN = b"".join(_OWN if byte & (_PRESENT | _SWAPPED) and not byte & _FILE else _OTHER for byte in range(256))

_PAGES_PER_READ = 65_536


@functools.lru_cache(maxsize=1)
def _page_map_of(process: int) -> int:  # noqa: ARG001 - a descriptor speaks of the process that opened it
    return os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)


class PagemapTracker:
    """Reads the page map.

    Args:
        memory: The live memory, its image mapped already.
        bytes_max: How long it may become.
    """

    def __init__(self, memory: LiveMemory, bytes_max: int) -> None:
        self._memory = memory
        self._fd = _page_map_of(os.getpid())
        without_huge_pages(memory.base, bytes_max)

    def drain(self) -> list[int]:
        """The numbers of all pages that were ever written, in order; the reader finds those that changed."""
        written: list[int] = []
        end = self._memory.pages * PAGES_PER_WASM_PAGE
        first_entry = self._memory.base // PAGE_BYTES
        for first in range(0, end, _PAGES_PER_READ):
            length = min(_PAGES_PER_READ, end - first) * _ENTRY_BYTES
            entries = os.pread(self._fd, length, (first_entry + first) * _ENTRY_BYTES)
            own = entries[_ENTRY_BYTES - 1 :: _ENTRY_BYTES].translate(_IS_OWN)
            at = own.find(_OWN)
            while at >= 0:
                written.append(first + at)
                at = own.find(_OWN, at + 1)
        return written

    def touched(self) -> None:
        """The kernel maps neighbours of a page that is read, so what is present was not all touched."""
