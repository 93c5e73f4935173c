"""The quick tracker: the kernel notes each page that is written (Linux 6.7 and later).

Memory is registered with userfaultfd for asynchronous write protection: a write to a protected page is let through by
the kernel, which takes the protection off. PAGEMAP_SCAN finds the pages that are not protected, and protects them
again, in one system call that costs the pages touched and not the size of the memory.

Registered memory is not faulted in by its neighbours either, so the pages present are exactly those touched.
Sources: ioctl_userfaultfd(2); the kernel's "pagemap" and "userfaultfd" admin guides.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import platform
import struct
from collections.abc import Sequence

import attrs
from attrs import frozen

from storagemod.pages._libc import without_huge_pages
from storagemod.pages.page import PAGE_BYTES
from storagemod.types import WASM_PAGE_BYTES

_SYSCALL_NUMBERS = {"x86_64": 323, "aarch64": 282, "riscv64": 282}
_USER_MODE_ONLY = 1  # lets unprivileged processes have one; writes by system calls are tracked all the same

_API = 0xAA
_FEATURES = 1 << 0 | 1 << 12 | 1 << 13 | 1 << 15  # write protection: of shared memory, of absent pages, asynchronous
_UFFDIO_API = 0xC018AA3F
_UFFDIO_REGISTER = 0xC020AA00
_REGISTER_MODE_WP = 2
_UFFDIO_WRITEPROTECT = 0xC018AA06
_WRITEPROTECT_MODE_WP = 1

_PAGEMAP_SCAN = 0xC0606610
_PM_SCAN_WP_MATCHING, _PM_SCAN_CHECK_WPASYNC = 1, 2
_WRITTEN, _FILE, _PRESENT, _SWAPPED, _ZERO = 2, 4, 8, 16, 32
_ARGUMENT_BYTES = 96
_RUNS_PER_SCAN = 128


@frozen
class _Query:
    """What to look for: pages with all the ``needed`` categories and one of ``any_of``.

    The ``inverted`` categories are taken for their opposites.
    """

    flags: int = 0
    inverted: int = 0
    needed: int = 0
    any_of: int = 0


_TOUCHED_PAGES = _Query(any_of=_PRESENT | _SWAPPED)

_WRITTEN_PAGES = _Query(
    flags=_PM_SCAN_CHECK_WPASYNC,
    inverted=_FILE | _ZERO,
    needed=_WRITTEN | _FILE | _ZERO,
    any_of=_PRESENT | _SWAPPED,
)
"""Pages that are the process's own and not protected. Absent ones would count as written, so presence is asked for."""

_WATCH_AGAIN = attrs.evolve(_WRITTEN_PAGES, flags=_PM_SCAN_WP_MATCHING | _PM_SCAN_CHECK_WPASYNC)
"""The same pages, which are protected by that."""

_WRITTEN_SHARED_PAGES = _Query(flags=_PM_SCAN_WP_MATCHING | _PM_SCAN_CHECK_WPASYNC, needed=_WRITTEN)
"""Pages of a shared mapping that are not protected. All of them were, so an absent one was written and swapped out."""

_TOUCHED_SHARED_PAGES = _Query(any_of=_PRESENT)
"""Pages of a shared mapping that are there. A protected one that was never touched counts as swapped out."""


class _PageRun(ctypes.Structure):
    _fields_ = (("start", ctypes.c_uint64), ("end", ctypes.c_uint64), ("categories", ctypes.c_uint64))


class _ScanArgument(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            *("size", "flags", "start", "end", "walk_end", "runs", "runs_length", "pages_max"),
            *("inverted", "needed", "any_of", "returned"),
        )
    )


class _Scan:
    """One question to the page map about pages at an address, with room for the answer."""

    __slots__ = ("_argument", "_descriptor", "_found", "_start", "address", "words")

    def __init__(self, descriptor: int, query: _Query, start: int, length: int = 0) -> None:
        self._descriptor = descriptor
        self._start = start
        self._found = (_PageRun * _RUNS_PER_SCAN)()
        self._argument = _ScanArgument(
            *(_ARGUMENT_BYTES, query.flags, start, start + length, 0, ctypes.addressof(self._found), _RUNS_PER_SCAN, 0),
            *(query.inverted, query.needed, query.any_of, _PRESENT),
        )
        self.words = (ctypes.c_uint64 * (3 * _RUNS_PER_SCAN)).from_buffer(self._found)
        self.address = ctypes.addressof(self._argument)

    def set_length(self, length: int) -> None:
        """Look at so many bytes from now on."""
        self._argument.end = self._start + length

    def runs(self) -> list[tuple[int, int]]:
        """Return the pages found, as runs: the first, and how many.

        Raises:
            OSError: The kernel refuses.
        """
        argument, words, start = self._argument, self.words, self._start
        runs: list[tuple[int, int]] = []
        while argument.start < argument.end:
            count = _ioctl(self._descriptor, _PAGEMAP_SCAN, self.address)
            if count < 0:
                raise OSError(ctypes.get_errno(), f"PAGEMAP_SCAN: {os.strerror(ctypes.get_errno())}")
            for index in range(0, 3 * count, 3):
                first = words[index]
                runs.append(((first - start) // PAGE_BYTES, (words[index + 1] - first) // PAGE_BYTES))
            argument.start = argument.walk_end
        argument.start = start
        return runs


_ioctl = ctypes.PyDLL(None, use_errno=True).ioctl  # takes a microsecond: letting others run meanwhile would cost more
_ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p]


class _Kernel:
    """What one process needs: a userfaultfd, and its own page map.

    Raises:
        OSError: The kernel is too old, or does not allow it.
    """

    def __init__(self) -> None:
        number = _SYSCALL_NUMBERS.get(platform.machine())
        if number is None:
            raise OSError(f"userfaultfd: its number on {platform.machine()} is not known here")
        libc = ctypes.CDLL(None, use_errno=True)
        self.fault_fd = libc.syscall(number, os.O_CLOEXEC | _USER_MODE_ONLY)
        if self.fault_fd < 0:
            raise OSError(ctypes.get_errno(), f"userfaultfd: {os.strerror(ctypes.get_errno())}")
        try:
            fcntl.ioctl(self.fault_fd, _UFFDIO_API, struct.pack("QQQ", _API, _FEATURES, 0))
            self.map_fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self.fault_fd)
            raise

    def register(self, address: int, length: int) -> None:
        """Have writes to this memory noted. It ends with the memory itself."""
        if length:  # the kernel refuses to watch nothing
            request = struct.pack("QQQQ", address, length, _REGISTER_MODE_WP, 0)
            fcntl.ioctl(self.fault_fd, _UFFDIO_REGISTER, request)

    def write_protect(self, address: int, length: int) -> None:
        """Protect registered memory against writes, pages that are not there yet as well."""
        fcntl.ioctl(self.fault_fd, _UFFDIO_WRITEPROTECT, struct.pack("QQQ", address, length, _WRITEPROTECT_MODE_WP))

    def unprotect(self, address: int, length: int) -> None:
        """Take the protection off, for pages that are not there any more as well."""
        if length:  # as above
            fcntl.ioctl(self.fault_fd, _UFFDIO_WRITEPROTECT, struct.pack("QQQ", address, length, 0))


@functools.lru_cache(maxsize=1)
def _kernel_of(process: int) -> _Kernel:  # noqa: ARG001 - the descriptors speak of the process that made them
    return _Kernel()


class UserfaultTracker:
    """Asks the kernel. Costs a system call and the pages written.

    A page is watched until it is written. Then it is returned at each question until it is watched again, which costs
    a system call, and a fault at its next write.

    Raises:
        OSError: The kernel does not allow it.
    """

    tells_stores = True

    def __init__(self, base: int, bytes_max: int) -> None:
        self._base = base
        self._bytes_max = bytes_max
        self._protects = False
        self._kernel = _kernel_of(os.getpid())
        self._map_fd = self._kernel.map_fd
        self._scan = _Scan(self._map_fd, _WRITTEN_PAGES, base)
        self._words = self._scan.words
        self._again: _Scan | None = None
        self._memory_pages = 0

    def watch(self, memory_pages: int, *, mapped: bool) -> None:
        """Have the kernel watch all that the memory may become."""
        if mapped:
            without_huge_pages(self._base, self._bytes_max)
            self._kernel.register(self._base, self._bytes_max)
        elif self._protects:  # of a dropped page the kernel keeps the protection, and calls it swapped out
            self._kernel.unprotect(self._base, memory_pages * WASM_PAGE_BYTES)
        self._protects = False

    def written(self, memory_pages: int) -> Sequence[int]:
        """Return the pages that were written since they are watched, in order."""
        if memory_pages != self._memory_pages:
            self._memory_pages = memory_pages
            self._scan.set_length(memory_pages * WASM_PAGE_BYTES)
        count = _ioctl(self._map_fd, _PAGEMAP_SCAN, self._scan.address) if memory_pages else 0
        if not count:
            return ()
        if count == 1:
            first, end = self._words[0] - self._base, self._words[1] - self._base
            return range(first // PAGE_BYTES, end // PAGE_BYTES)
        runs = self._scan.runs()
        return [page for first, length in runs for page in range(first, first + length)]

    def watch_again(self, memory_pages: int) -> bool:
        """Protect the pages that were written."""
        self._protects = True
        if self._again is None:
            self._again = _Scan(self._map_fd, _WATCH_AGAIN, self._base)
        self._again.set_length(memory_pages * WASM_PAGE_BYTES)
        self._again.runs()
        return True

    def touched(self, memory_pages: int) -> list[tuple[int, int]]:
        """Return the pages that are present: registered memory is not faulted in by its neighbours."""
        return _Scan(self._map_fd, _TOUCHED_PAGES, self._base, memory_pages * WASM_PAGE_BYTES).runs()


class UserfaultWatch:
    """Notes writes to a run of shared pages through the addresses where they are mapped.

    Args:
        address: Where they are mapped.
        page_count: How many.

    Raises:
        OSError: The kernel does not allow it.
    """

    def __init__(self, address: int, page_count: int) -> None:
        length = page_count * PAGE_BYTES
        kernel = _kernel_of(os.getpid())
        kernel.register(address, length)
        kernel.write_protect(address, length)
        self._written = _Scan(kernel.map_fd, _WRITTEN_SHARED_PAGES, address, length)
        self._touched = _Scan(kernel.map_fd, _TOUCHED_SHARED_PAGES, address, length)

    def written(self) -> list[tuple[int, int]]:
        """Return the pages written since the last time, as runs counted from the first one, and start anew."""
        return self._written.runs()

    def touched(self) -> list[tuple[int, int]]:
        """Return the pages read or written since it was made, as runs; none that are swapped out."""
        return self._touched.runs()
