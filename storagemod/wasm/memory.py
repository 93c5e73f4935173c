"""A live linear memory, as the host reads and writes it."""

from __future__ import annotations

import ctypes

from storagemod.errors import StateError, TrapError
from storagemod.process_memory import MEMORY, read_bytes
from storagemod.types import WASM_PAGE_BYTES
from storagemod.wasm._bindings import Extern, delete_error, grow_memory, memory_data, memory_pages

_pages_before = ctypes.c_uint64()
"""Takes what nobody asks for."""


_MADV_DONTNEED = 4  # on Linux; other systems that have the function give pages no first bytes back

_madvise = getattr(ctypes.PyDLL(None), "madvise", None)
if _madvise is not None:
    _madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def forget_written(address: int, length: int) -> bool:
    """Drop what was written to pages of private memory, so that they show what is behind them; ``False`` if refused."""
    return _madvise is not None and _madvise(address, length, _MADV_DONTNEED) == 0


def no_memory(cause: BaseException | None = None) -> StateError:
    """Return the error of a transaction for which the system has no memory: it ends, and nothing is committed.

    Whatever else a contract could see of that, and go on from, would depend on the machine (rule 8).
    """
    reason = str(cause or "").strip().splitlines()[-1:]
    return StateError(
        ": ".join(["the system has no memory left for this transaction", *map(str.strip, reason)]),
        cause=cause,
        hint="close worlds that are not in use, lower the limits on memories, or raise those of the process "
        "(ulimit -v, ulimit -d, sysctl vm.max_map_count)",
    )


class LinearMemory:
    """One memory of one instance. It never moves: the engine reserves the most that it may become.

    Its length is asked for at each access and never kept: a growth or a call may have changed it (rule 1).

    Attributes:
        base: The address of its first byte.
        page_bytes: The length of a page of its type.
    """

    __slots__ = ("_context", "_extern", "_handle", "base", "page_bytes")

    def __init__(self, context: int, extern: Extern, handle: int, page_bytes: int = WASM_PAGE_BYTES) -> None:
        self._context = context
        self._extern = extern  # owns the handle
        self._handle = handle
        self.base: int = memory_data(context, handle) or 0
        self.page_bytes = page_bytes

    @property
    def pages(self) -> int:
        """Its length now, in pages of its type."""
        pages: int = memory_pages(self._context, self._handle)
        return pages

    def __len__(self) -> int:
        return self.pages * self.page_bytes

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out.

        Raises:
            TrapError: The range leaves the memory.
        """
        if offset < 0 or length < 0 or offset + length > memory_pages(self._context, self._handle) * self.page_bytes:
            raise self._outside(offset, length)
        return read_bytes(self.base + offset, length)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Copy bytes in.

        Raises:
            TrapError: The range leaves the memory.
        """
        length = len(data)
        if offset < 0 or offset + length > memory_pages(self._context, self._handle) * self.page_bytes:
            raise self._outside(offset, length)
        start = self.base + offset
        MEMORY[start : start + length] = data

    def grow(self, pages: int, pages_max: int) -> bool:
        """Make it longer by so many pages; ``False`` if it would have more than ``pages_max``.

        Args:
            pages: How many more.
            pages_max: The maximum of its type.

        Raises:
            StateError: The system refuses.
        """
        if self.pages + pages > pages_max:
            return False
        error = grow_memory(self._context, self._handle, pages, ctypes.addressof(_pages_before))
        if error:
            delete_error(error)
            raise no_memory()
        return True

    def _outside(self, offset: int, length: int) -> TrapError:
        pages = f" ({self.pages} Wasm pages)" if self.page_bytes == WASM_PAGE_BYTES else ""
        return TrapError(
            f"bytes [{offset:#x}, {offset + length:#x}) lie outside the memory of {len(self):#x} bytes{pages}",
            code="memory_out_of_bounds",
        )
