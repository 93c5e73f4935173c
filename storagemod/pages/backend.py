"""What this machine can do for storage, and the choice among it."""

from __future__ import annotations

import ctypes
import errno
import functools
import mmap
import sys
from collections.abc import Callable

from attrs import frozen

from storagemod.errors import StateError
from storagemod.pages.file_image import MemoryFile
from storagemod.pages.image import MemoryImage, WritableImage
from storagemod.pages.live import LiveRegion, UndoLog
from storagemod.pages.page import PAGE_BYTES
from storagemod.pages.shared import FrameFile, NewWatch
from storagemod.pages.tracker import CompareTracker, PagemapTracker, WriteTracker
from storagemod.pages.userfault import UserfaultTracker, UserfaultWatch
from storagemod.types import WASM_PAGE_BYTES


@frozen
class PageBackend:
    """One way to show images in memories and to see what was written. All have the same results.

    Attributes:
        name: What users call it, after its tracker.
        summary: How it works and what it costs, in a line.
        track: Makes the tracker of a memory at an address that may become so many bytes long.
        maps: Whether images are files that are mapped; otherwise they are copied.
        protects: Whether code can be kept from writing, or reaching, pages of a memory.
        image_maker: Returns a maker of empty images that need no disk, which can be shown so.
        may_share: Whether it asks the system to show a page in several memories.
        new_watch: Begins to note writes to shared pages; without, each of them is looked at.
    """

    name: str
    summary: str
    track: Callable[[int, int], WriteTracker]
    maps: bool
    protects: bool
    image_maker: Callable[[], Callable[[], WritableImage]]
    may_share: bool = False
    new_watch: NewWatch | None = None

    def frame_file(self) -> FrameFile:
        """Return where pages are kept that several memories show; it takes nothing of the system until it is used."""
        return FrameFile(self.new_watch)

    @property
    def copies(self) -> bool:
        """Whether storage that is used is copied whole."""
        return not self.maps

    @property
    def knows_reads(self) -> bool:
        """Whether it knows the pages that were only read."""
        return self.track is UserfaultTracker


def _slots() -> Callable[[], WritableImage]:
    return MemoryFile().new_image


def _dictionaries() -> Callable[[], WritableImage]:
    return MemoryImage


USERFAULTFD = PageBackend(
    "userfaultfd",
    "files mapped; the kernel notes written pages (Linux 6.7); costs what is touched",
    UserfaultTracker,
    maps=True,
    protects=True,
    image_maker=_slots,
    may_share=True,
    new_watch=UserfaultWatch,
)

PAGEMAP = PageBackend(
    "pagemap",
    "files mapped; /proc/self/pagemap is read at each call (any Linux); costs a little for each page there is",
    PagemapTracker,
    maps=True,
    protects=True,
    image_maker=_slots,
    may_share=True,
)

COMPARE = PageBackend(
    "compare",
    "storage copied in and compared at each call (anywhere); costs all of the storage that is used",
    CompareTracker,
    maps=False,
    protects=sys.platform != "win32",
    image_maker=_dictionaries,
    may_share=True,
)

PORTABLE = PageBackend(
    "portable",
    "as compare, with nothing asked of the system: forbidden writes are found when a call ends",
    CompareTracker,
    maps=False,
    protects=False,
    image_maker=_dictionaries,
)

BACKENDS = {backend.name: backend for backend in (USERFAULTFD, PAGEMAP, COMPARE, PORTABLE)}
"""By name, the quickest first."""


def choose_backend(name: str | None = None) -> PageBackend:
    """The backend of a name, or the first that works here.

    Raises:
        StateError: There is none of that name, or it does not work here.
    """
    if name is None:
        return next(backend for backend in BACKENDS.values() if why_unavailable(backend) is None)
    if name not in BACKENDS:
        raise StateError(f"there is no write tracker {name!r}", hint=f"there are: {', '.join(BACKENDS)}")
    reason = why_unavailable(BACKENDS[name])
    if reason is not None:
        working = [each.name for each in BACKENDS.values() if why_unavailable(each) is None]
        raise StateError(f"the write tracker {name!r} does not work here: {reason}", hint=f"try: {', '.join(working)}")
    return BACKENDS[name]


@functools.cache
def why_unavailable(backend: PageBackend) -> str | None:
    """What is missing for a backend on this machine, found by trying it; ``None`` if it works.

    Raises:
        StateError: It cannot be tried now: the process has no files or no memory left. Try again later.
    """
    try:
        memory = ScratchMemory(1)
        image, log = backend.image_maker()(), UndoLog()
        image.replace(1, {1: b"\1" * PAGE_BYTES})
        region = LiveRegion("trial", memory, image, backend, log, 1)
        shown = memory.read(PAGE_BYTES, 1)
        memory.write(2 * PAGE_BYTES, b"\2")
        written = [number for number, _, _ in region.collect()]
        log.undo(0)
    except (StateError, OSError, AttributeError) as error:  # a system without memfd has no os.memfd_create
        _check_lasting(backend, error)
        return str(error)
    if shown != b"\1" or written != [2] or memory.read(2 * PAGE_BYTES, 1) != b"\0":
        return "a trial gave a wrong result"
    return None


@functools.cache
def why_not_shared(backend: PageBackend) -> str | None:
    """What keeps a backend from showing one page of storage in several memories, found by trying; ``None`` if nothing.

    It takes memory files (Linux), and pages of the system that are no longer than ours.

    Raises:
        StateError: It cannot be tried now, as above.
    """
    if not backend.may_share:
        return f"the write tracker {backend.name!r} asks nothing of the system"
    if mmap.PAGESIZE > PAGE_BYTES:
        return f"pages of this machine are {mmap.PAGESIZE:,} bytes long, and those of storage {PAGE_BYTES:,}"
    try:
        memory, other = ScratchMemory(1), ScratchMemory(1)
        shared = backend.frame_file().share(memory)
        shared.share({1: b"\1" * PAGE_BYTES})
        view = shared.show(other, 2, 1, 1, writing=True)
        other.write(2 * PAGE_BYTES, b"\2")
        written = view.written()
    except (OSError, AttributeError) as error:  # a system without memfd has no os.memfd_create
        _check_lasting(backend, error)
        return str(error)
    if memory.read(PAGE_BYTES, 2) != b"\2\1" or written != [1]:
        return "a trial gave a wrong result"
    return None


_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
"""Why the system may refuse now what it gives later: too many files, too little memory."""


def _check_lasting(backend: PageBackend, error: BaseException) -> None:
    """Check that a trial failed for a reason that lasts: only such an answer may be remembered.

    Raises:
        StateError: It may succeed later.
    """
    reason = error.cause if isinstance(error, StateError) else error
    if isinstance(reason, OSError) and reason.errno in _PASSING:
        raise StateError(
            f"the write tracker {backend.name!r} cannot be tried now: {reason}",
            cause=reason,
            hint="close files or worlds that are not needed, or raise the limits of the process (ulimit -n), and try "
            "again",
        ) from error


_private = {} if sys.platform == "win32" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}


class ScratchMemory:
    """A memory of its own, outside any store, to try backends on."""

    def __init__(self, pages: int) -> None:
        self._pages = pages
        self._bytes = mmap.mmap(-1, pages * WASM_PAGE_BYTES, **_private)

    @property
    def base(self) -> int:
        """The address of its first byte."""
        return ctypes.addressof(ctypes.c_char.from_buffer(self._bytes))

    @property
    def pages(self) -> int:
        """Its length in Wasm pages."""
        return self._pages

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out."""
        return self._bytes[offset : offset + length]

    def write(self, offset: int, data: bytes) -> None:
        """Copy bytes in."""
        self._bytes[offset : offset + len(data)] = data
