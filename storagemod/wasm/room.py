"""Room that the process must have left before a thread starts or first runs wasm: too little there is fatal.

A thread of Python's that finds no memory in its first lines dies, and whoever started it waits for ever. wasmtime maps
a stack for signals when a thread first runs wasm, and aborts the process if it cannot. All else that wasmtime or the
kernel refuse is an error of the transaction. So room is proved at these two places, and nowhere in a transaction.
"""

from __future__ import annotations

import ctypes
import mmap
import sys

from storagemod.errors import StateError

SPARE_MAPPINGS = 32
"""Mappings that are proved to be left. A thread takes two for its stack, three for its heap, two for signals."""

SPARE_BYTES = 16 << 20
"""Address space that is proved to be left, beside the stack of a thread."""

_libc = ctypes.CDLL(None, use_errno=True)


def check_room(stack_bytes: int = 0) -> None:
    """Prove that the process has mappings and address space left, by taking them and giving them back.

    It takes some 50 microseconds: a process cannot ask how many mappings it has, short of reading all of them.

    Args:
        stack_bytes: The stack of the thread that is to start.

    Raises:
        StateError: It has not.
    """
    try:
        with mmap.mmap(-1, SPARE_BYTES + stack_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
            first = ctypes.c_char.from_buffer(area)
            try:
                _split(ctypes.addressof(first))
            finally:
                del first  # else the area cannot be given back
    except OSError as error:
        raise StateError(
            f"the process has too little room left to run transactions: {error.strerror}",
            cause=error,
            hint=f"it needs {SPARE_MAPPINGS} more mappings (sysctl vm.max_map_count) and "
            f"{(SPARE_BYTES + stack_bytes) >> 20} MiB of address space (ulimit -v, ulimit -d): close worlds, "
            "or raise these limits",
        ) from error


def _split(address: int) -> None:
    """Make a mapping into as many as are to be left: each second page differs from its neighbours."""
    if not sys.platform.startswith("linux"):
        return  # no other system has such a limit
    for page in range(1, SPARE_MAPPINGS, 2):
        where = ctypes.c_void_p(address + page * mmap.PAGESIZE)
        if _libc.mprotect(where, ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_READ):
            number = ctypes.get_errno()
            raise OSError(number, "Cannot allocate memory")
