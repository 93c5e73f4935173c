"""The C library's calls on mapped memory that Python does not offer, and their numbers on Linux.

Sources: mmap(2), mprotect(2), madvise(2), fallocate(2). The numbers of ``PROT_*`` are the same on every POSIX system;
the others are Linux's, and used there only.
"""

from __future__ import annotations

import ctypes
import os

PROT_NONE, PROT_READ, PROT_READ_WRITE = 0, 1, 3

_MAP_SHARED, _MAP_PRIVATE, _MAP_FIXED, _MAP_ANONYMOUS, _MAP_NORESERVE = 0x01, 0x02, 0x10, 0x20, 0x4000
_MADV_DONTNEED, _MADV_NOHUGEPAGE = 4, 15
_FALLOC_FL_KEEP_SIZE, _FALLOC_FL_PUNCH_HOLE = 0x01, 0x02

_libc = ctypes.CDLL(None, use_errno=True)
_mmap = _libc.mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64]
_mprotect = _libc.mprotect
_mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_madvise = _libc.madvise
_madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_fallocate = getattr(_libc, "fallocate", None)
if _fallocate is not None:
    _fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def map_private(address: int, length: int, fd: int, offset: int) -> None:
    """Show bytes of a file at an address, in place of what was there. Writes stay in memory and leave the file alone.

    Raises:
        OSError: The system has no more mappings, or the file cannot be mapped.
    """
    got = _mmap(address, length, PROT_READ_WRITE, _MAP_PRIVATE | _MAP_FIXED, fd, offset)
    if got != address:
        raise _failure("mmap")


def map_anonymous(address: int, length: int) -> None:
    """Put zeros at an address, in place of what was there.

    Raises:
        OSError: The system has no more mappings.
    """
    flags = _MAP_PRIVATE | _MAP_FIXED | _MAP_ANONYMOUS | _MAP_NORESERVE
    if _mmap(address, length, PROT_READ_WRITE, flags, -1, 0) != address:
        raise _failure("mmap")


def map_shared(address: int, length: int, fd: int, offset: int, *, writing: bool) -> None:
    """Show bytes of a file at an address, in place of what was there. Writes are seen wherever the bytes are shown.

    Raises:
        OSError: The system has no more mappings, or the file cannot be mapped.
    """
    got = _mmap(address, length, PROT_READ_WRITE if writing else PROT_READ, _MAP_SHARED | _MAP_FIXED, fd, offset)
    if got != address:
        raise _failure("mmap")


def protect(address: int, length: int, protection: int) -> None:
    """Allow what ``protection`` says on these pages, and nothing else.

    Raises:
        OSError: The system has no more mappings, or nothing is mapped there.
    """
    if _mprotect(address, length, protection):
        raise _failure("mprotect")


def drop(address: int, length: int) -> None:
    """Forget what was written to these pages: they show the file behind them again, or zeros where there is none."""
    if _madvise(address, length, _MADV_DONTNEED):
        raise _failure("madvise")


def without_huge_pages(address: int, length: int) -> None:
    """Let the kernel handle each of these pages by itself. A kernel that knows no huge pages needs not be told."""
    _madvise(address, length, _MADV_NOHUGEPAGE)


def punch_hole(fd: int, offset: int, length: int) -> bool:
    """Turn bytes of a file into a hole, which reads as zeros; ``False`` where the file system cannot."""
    flags = _FALLOC_FL_KEEP_SIZE | _FALLOC_FL_PUNCH_HOLE
    return _fallocate is not None and _fallocate(fd, flags, offset, length) == 0


def _failure(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
