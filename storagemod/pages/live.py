"""Live regions: an image of storage behind a linear memory, what was written there, and how to take it back.

A live region outlives transactions. When one commits, memory and image hold the same bytes, so nothing is mapped again;
whatever else changes the image moves its version, and :meth:`LiveRegion.refresh` maps it anew.

At each boundary of a call, :meth:`LiveRegion.collect` finds the pages that differ from what they held at the last one.
Their old bytes go to the undo log, where accounts, logs and lengths go as well. A checkpoint is the log's length: it
costs nothing to set or to keep, and :meth:`UndoLog.undo` walks back to it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from storagemod.errors import LimitError, StateError
from storagemod.pages import _libc
from storagemod.pages.image import EXTENTS_MAX, NO_IMAGE, Image, RegionDiff, image_length
from storagemod.pages.page import PAGE_BYTES, ZERO_PAGE, runs_of
from storagemod.process_memory import MEMORY, read_bytes
from storagemod.types import WASM_PAGE_BYTES

if TYPE_CHECKING:
    from storagemod.pages.backend import PageBackend
    from storagemod.pages.shared import FrameFile, SharedPages, SharedView


COMPARED_PAGES_MAX = 64
"""Pages of a region that are compared at each boundary because they may have been written; beyond, they are watched
again. To watch a page costs a fault at its next write, to compare it half a microsecond a boundary."""

_QUIET_BOUNDARIES_MAX = 8
"""Boundaries without a change after which pages that were written are watched again."""

_PRIVATE_PAGES_MAX = 2_048
"""Pages of a region that differ from its file, 8 MiB, beyond which it is mapped anew and they are given back."""

PAGES_PER_LOOK = 512
"""Pages that are collected, compared or put back until one looks at the clock: about two milliseconds."""

_NO_VERSION = -1
"""The version of no image."""

PageChange = tuple[int, bytes, bytes]
"""A page that changed: its number, its bytes before, and after."""


class LiveMemory(Protocol):
    """What a live region needs of a linear memory, which never moves."""

    @property
    def base(self) -> int:
        """The address of its first byte."""

    @property
    def pages(self) -> int:
        """Its length now, in pages of its type."""


class UndoLog(list[tuple[Any, ...]]):
    """What takes back the changes of a transaction, newest last: functions with their arguments.

    Args:
        changed_pages_max: See below.
        check_time: Raises when the transaction has no time left. Called every ``PAGES_PER_LOOK`` pages.

    Attributes:
        unlooked_pages: Pages that were compared since one last looked at the clock.
        newest: The length of the log when the newest open checkpoint was set. A page is logged once since then.
        changed_pages: Pages that changed since the transaction began, undone ones counted.
        changed_pages_max: How many may.
        wrote: Whether anything was written to storage since then, be it undone.
    """

    def __init__(self, changed_pages_max: int = 1 << 20, check_time: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.check_time = check_time
        self.unlooked_pages = 0
        self.newest = 0
        self.wrote = False
        self.changed_pages = 0
        self.changed_pages_max = changed_pages_max

    def undo(self, checkpoint: int) -> None:
        """Take back what was logged since the log had a length.

        Raises:
            LimitError: The time is over. Part is taken back; the transaction has to be aborted.
        """
        while len(self) > checkpoint:
            function, *arguments = self.pop()
            function(*arguments)
            if not len(self) % PAGES_PER_LOOK:
                self.check_time()

    def restart(self) -> None:
        """Forget everything, for the next transaction."""
        self.clear()
        self.newest = self.changed_pages = 0
        self.wrote = False

    def too_many_pages(self) -> LimitError:
        """Return the error of a transaction that changes more pages than it may; it is over."""
        error = LimitError(
            f"the transaction changes more than {self.changed_pages_max:,} pages of 4 KiB (changed_pages_max)"
        )
        error.aborts = True
        return error


class LiveRegion:
    """One region of storage while a machine has it.

    Args:
        name: What it is called.
        memory: The linear memory, as long as the image at least.
        image: The committed bytes.
        backend: How images are shown in memory and written pages are found.
        log: Where old bytes go.
        pages_max: How long the memory may become, in pages of its type.
        extents_max: In how many pieces an image may be mapped.
        page_bytes: The length of a page of the memory's type, 65,536 or 1. What is done to memory is done to whole Wasm
            pages: bytes of the last one that are beyond the memory's length are zeros, and code cannot reach them.

    Attributes:
        length: Its length as rule 5 counts it, in bytes: an undone growth is taken off again, though the memory stays
            longer.
        collected_length: Its length when it was last collected.
        memory_length: The memory's length when it was last looked at.
        memory_pages: The same in Wasm pages, rounded up.
        page_bytes: As above.
        outside: Whether a byte beyond the length was written, in memory that an undone growth left there.
        plain: Whether all of the memory may be read and written, and all of it is the region's.
        image: The committed bytes.
        version: The version of the image that the memory held when the last transaction was over.
        reusable: Whether the memory then held just that, so that nothing has to be done if the version is the same.
        changed: Whether anything was written in this transaction, be it undone.
        watches_stores: Whether it is found out now which pages are written to, and not only which change.
        rewritten: Pages that were written to without a change before the last boundary, if that was found out.

    Raises:
        StateError: The system refuses.
    """

    __slots__ = (
        "_allowed",
        "_backend",
        "_base",
        "_before",
        "_differs",
        "_extents",
        "_extents_max",
        "_fixed",
        "_known",
        "_log",
        "_logged",
        "_noted",
        "_pages",
        "_private_pages",
        "_quiet",
        "_shared",
        "_touched",
        "_touched_runs",
        "_tracker",
        "changed",
        "collected_length",
        "image",
        "length",
        "memory",
        "memory_length",
        "memory_pages",
        "name",
        "outside",
        "page_bytes",
        "plain",
        "protects",
        "reusable",
        "rewritten",
        "version",
        "watches_stores",
    )

    def __init__(
        self,
        name: str,
        memory: LiveMemory,
        image: Image,
        backend: PageBackend,
        log: UndoLog,
        pages_max: int,
        extents_max: int = EXTENTS_MAX,
        page_bytes: int = WASM_PAGE_BYTES,
    ) -> None:
        self.name = name
        self.memory = memory
        self.protects = backend.protects
        self.image = image
        self._backend = backend
        self._log = log
        self._base = memory.base
        self._known: dict[int, bytes] = {}  # bytes at the last boundary, of pages that may have been written since
        self._before: dict[int, bytes] = {}  # committed bytes of pages that changed in this transaction
        self._logged: dict[int, int] = {}  # where in the undo log the newest entry of a page is
        self._noted: set[int] = set()
        self._shared: SharedPages | None = None
        self._touched: set[int] = set()
        self._touched_runs: list[tuple[int, int]] = []
        self._quiet = self._private_pages = 0
        self.version = _NO_VERSION
        self._differs = False  # whether the diff last taken changes the image
        self._extents: Sequence[object] | None = None
        self._extents_max = extents_max
        self.page_bytes = page_bytes
        self._pages = self.memory_pages = self.memory_length = 0
        self._look_at_length()
        self.length = self.collected_length = image_length(image)
        self._fixed = self.memory_length == pages_max * page_bytes
        self.outside = self.watches_stores = False
        self.rewritten: list[int] = []
        self._allowed: tuple[bool, int, int] | None = (True, self.memory_pages, self.memory_pages)
        self.plain = self.length == self.memory_length
        try:
            self._tracker = backend.track(self._base, _wasm_pages(pages_max * page_bytes) * WASM_PAGE_BYTES)
        except OSError as error:
            raise _cannot_map(error) from error
        self._show(image)

    @property
    def wasm_pages(self) -> int:
        """Its length in Wasm pages, rounded up."""
        return _wasm_pages(self.length)

    def _look_at_length(self) -> None:
        """Take in how long the memory is now; all of its last Wasm page can be read and written by the host.

        Raises:
            StateError: The system refuses.
        """
        pages = self.memory.pages
        if pages == self._pages:
            return
        self._pages = pages
        before, self.memory_length = self.memory_pages, pages * self.page_bytes
        self.memory_pages = _wasm_pages(self.memory_length)
        if self.page_bytes != WASM_PAGE_BYTES and before < self.memory_pages:
            start, end = before * WASM_PAGE_BYTES, self.memory_pages * WASM_PAGE_BYTES
            try:
                _libc.protect(self._base + start, end - start, _libc.PROT_READ_WRITE)
            except OSError as error:
                raise StateError(f"storage cannot be made longer: {error}", cause=error) from error

    # Between transactions

    def refresh(self, image: Image, *, anew: bool = False) -> bool:
        """Bring the memory in line with an image, if anything but its own commits changed that.

        Args:
            image: The image of this region now.
            anew: Whether to forget which pages were touched, even where nothing changed.

        Returns:
            Whether the region can be used; otherwise its memory is too long or too short, and a new one is needed.

        Raises:
            StateError: The system refuses.
        """
        if self.memory_length != image_length(image):
            return False
        if self._shared is not None:
            self._unshare()
        if not self.plain:
            self.allow_all()
        if anew or self.image is not image or self._private_pages > _PRIVATE_PAGES_MAX or not self.follow():
            self._show(image)
        return True

    def follow(self) -> bool:
        """Copy into memory what was replaced in the image since they were alike, if that is known and not much.

        Only where every write since was settled. A rollback then costs no mapping, and no faults afterwards.

        Returns:
            Whether memory holds what the image does.
        """
        image = self.image
        if self.version == image.version:
            return True
        if self.changed or self.version == _NO_VERSION:
            return False
        if not self.memory_length == self.length == image_length(image):
            return False
        numbers = image.replaced_since(self.version)
        if numbers is None:
            return False
        if not self.plain:  # the last call of it was static, perhaps
            self.allow_all()
        known, base = self._known, self._base
        for number in numbers:
            data = known[number] = image.page(number)
            start = base + number * PAGE_BYTES
            MEMORY[start : start + PAGE_BYTES] = data
        self._noted.update(numbers)  # a tracker that compares has not seen them copied
        self._private_pages += len(numbers)
        self.version = image.version
        return True

    def settle(self, image: Image) -> None:
        """Take what the memory holds for committed, in this image: the transaction is over.

        The one commit of the region's own diff moves the image's version by one. If anything else moved it, a store
        that brought pages from one file into another perhaps, the image is mapped anew before it is used again.
        """
        known = image is self.image or self.image is NO_IMAGE
        if known and self.version <= image.version <= self.version + self._differs:
            self.image, self.version = image, image.version
        else:
            self.version = _NO_VERSION
        self._differs = self.changed = False
        self._private_pages += len(self._before)
        self._before.clear()
        self._logged.clear()
        few_are_private = self._private_pages <= _PRIVATE_PAGES_MAX
        self.reusable = image is not NO_IMAGE and self.plain and few_are_private and self._shared is None
        if len(self._known) > COMPARED_PAGES_MAX and not self._watch_again():
            self.reusable = False
            self._private_pages = _PRIVATE_PAGES_MAX + 1

    def _unshare(self) -> None:
        """Take shared pages out of the memory: those that showed them belong to a transaction that is over."""
        try:
            _libc.map_anonymous(self._base, self.memory_pages * WASM_PAGE_BYTES)
        except OSError as error:
            raise _cannot_map(error) from error
        self._shared = self._extents = None
        self._allowed = (True, self.memory_pages, self.memory_pages)
        self.version = _NO_VERSION

    def release(self) -> None:
        """Give the memory's pages and mappings back to the system: nobody uses the region any more."""
        length = _wasm_pages(self.memory.pages * self.page_bytes) * WASM_PAGE_BYTES
        if length:
            mapped = self._backend.maps or self._shared is not None
            with suppress(OSError):  # it is given back with the memory then
                (_libc.map_anonymous if mapped else _libc.drop)(self._base, length)

    def _show(self, image: Image) -> None:
        """Put an image's bytes into memory, in place of whatever is there."""
        try:
            self._tracker.watch(self.memory_pages, mapped=self._map(image) if self._backend.maps else self._fill(image))
        except LimitError:  # that of the deadline is an OSError as well
            raise
        except OSError as error:
            raise _cannot_map(error) from error
        self.image, self.version = image, image.version
        self._known.clear()
        self._noted.clear()
        self._touched.clear()
        self._touched_runs = []
        self._private_pages = 0
        self.changed = False
        self.length = self.collected_length = image_length(image)
        self.reusable = image is not NO_IMAGE and self.plain

    def _map(self, image: Image) -> bool:
        """Map the image's files privately over the memory; return whether that made new mappings."""
        length = self.memory_pages * WASM_PAGE_BYTES
        extents, copied = image.extents(self._extents_max)  # type: ignore[attr-defined] # such a backend makes no others
        pieces = [
            (int(each.fd), each.offset, each.first_page, each.page_count) for each in extents
        ]  # keeps no file open
        same = self._extents is not None and image is self.image and pieces == self._extents
        if same:
            _libc.drop(self._base, length)
        else:
            if self._extents is not None and length:
                _libc.map_anonymous(self._base, length)
            for extent in extents:
                address = self._base + extent.first_page * PAGE_BYTES
                _libc.map_private(address, extent.page_count * PAGE_BYTES, extent.fd, extent.offset)
            self._extents = pieces
        self._copy_in((number, image.page(number)) for number in copied)
        return not same

    def _fill(self, image: Image) -> bool:
        """Copy the image into the memory."""
        if self._extents is not None:  # fresh memory is zeros
            ctypes.memset(self._base, 0, self.memory_pages * WASM_PAGE_BYTES)
        self._copy_in(image.pages())
        self._extents = ()
        return True

    def _copy_in(self, pages: Iterable[tuple[int, bytes]]) -> None:
        for count, (number, data) in enumerate(pages, 1):
            start = self._base + number * PAGE_BYTES
            MEMORY[start : start + PAGE_BYTES] = data
            if not count % PAGES_PER_LOOK:
                self._log.check_time()

    # What was written

    def watch_stores(self) -> bool:
        """Find out from now on, until the next boundary, which pages are written to; ``False`` if that is not known.

        Costs a system call, and a fault at the next write to each page.

        Raises:
            StateError: The system refuses.
        """
        try:
            self.watches_stores = self._tracker.tells_stores and self._watch_again()
            self.rewritten.clear()
        except OSError as error:
            raise StateError(f"it cannot be told what is written in storage: {error}", cause=error) from error
        return self.watches_stores

    def page(self, number: int) -> bytes:
        """Return the bytes of a page as they were at the last boundary."""
        known = self._known.get(number)
        return self.image.page(number) if known is None else known

    def collect(self, *, may_grow: bool = True) -> list[PageChange]:
        """Take in what was written since the last boundary; it belongs to the newest checkpoint.

        Args:
            may_grow: Whether the code that ran has an instruction that grows storage.

        Raises:
            LimitError: The transaction changed more pages than it may, or its time is over; so is the transaction.
            StateError: The system refuses; the transaction is over.
        """
        memory_length = self.memory_length
        if may_grow and not self._fixed and self.memory.pages != self._pages:
            self._look_at_length()
        if not self.plain and self.length != self.memory_length:
            self.allow_all()  # all of it is looked at
        try:
            numbers = tracked = self._tracker.written(self.memory_pages)
            if self._noted or self._shared is not None:
                numbers = self._with_noted(numbers)
        except OSError as error:
            raise StateError(f"it cannot be told what was written in storage: {error}", cause=error) from error
        changed = self._compare(numbers) if numbers else []
        if self.watches_stores:
            self.watches_stores = False
            differ = {number for number, *_ in changed}
            self.rewritten += [number for number in tracked if number not in differ]
        if changed and self.length != memory_length:
            self._check_outside(changed, memory_length)
        if self.memory_length != memory_length:
            self._log.append((self._set_length, self.length))
            self.length = self.memory_length
            self.changed = self._log.wrote = True
            self.plain = False  # what is allowed was settled for another length
        return changed

    def _compare(self, numbers: Sequence[int]) -> list[PageChange]:
        """Return those of some pages that differ from what they held at the last boundary, and log what they held."""
        known, before, logged, log = self._known, self._before, self._logged, self._log
        base, newest, changed_before = self._base, log.newest, len(before)
        if log.changed_pages + len(numbers) > log.changed_pages_max:
            self._check_changed_pages(numbers)
        log.unlooked_pages += len(numbers)  # of a thousand calls, each with few pages, as well
        if log.unlooked_pages >= PAGES_PER_LOOK:
            log.unlooked_pages = 0
            log.check_time()
        changed: list[PageChange] = []
        for count, number in enumerate(numbers, 1):
            if not count % PAGES_PER_LOOK:
                log.check_time()
            new = read_bytes(base + number * PAGE_BYTES, PAGE_BYTES)
            old = known.get(number)
            if old is None:
                old = known[number] = self.image.page(number)
            if new != old:
                if new == ZERO_PAGE:
                    new = ZERO_PAGE
                if number not in before:
                    before[number] = old
                previous = logged.get(number, -1)
                if previous < newest:
                    logged[number] = len(log)
                    log.append((self._put_back, number, old, previous))
                known[number] = new
                changed.append((number, old, new))
        if changed:
            self.changed = log.wrote = True
            self._quiet = 0
            log.changed_pages += len(before) - changed_before
        else:
            self._quiet += 1
        if self._quiet > _QUIET_BOUNDARIES_MAX or len(numbers) > COMPARED_PAGES_MAX:
            self._watch_again()
        return changed

    def _check_changed_pages(self, numbers: Iterable[int]) -> None:
        """Check that these pages, as far as they changed for the first time, are not more than may change.

        Raises:
            LimitError: They are, or the time is over; so is the transaction.
        """
        room = self._log.changed_pages_max - self._log.changed_pages
        for count, number in enumerate(numbers, 1):
            if not count % PAGES_PER_LOOK:
                self._log.check_time()
            if number not in self._before:
                room -= read_bytes(self._base + number * PAGE_BYTES, PAGE_BYTES) != self.page(number)
                if room < 0:
                    raise self._log.too_many_pages()

    def _with_noted(self, numbers: Sequence[int]) -> Sequence[int]:
        """Return pages that may have been written, those included of which the tracker knows nothing."""
        if self._shared is not None:
            self._noted.update(self._shared.written())
        noted, self._noted = self._noted, set()
        return sorted(noted.union(numbers))

    def _check_outside(self, changed: Iterable[PageChange], memory_length: int) -> None:
        """Note whether a byte beyond the region's length changed, where an undone growth had been."""
        for number, old, new in changed:
            first = number * PAGE_BYTES
            start, end = max(self.length - first, 0), max(memory_length - first, 0)
            if old[start:end] != new[start:end]:
                self.outside = True

    def _watch_again(self) -> bool:
        """Have written pages noted again, and not compared at each boundary; ``False`` if that is not possible."""
        if not self._tracker.watch_again(self.memory_pages):
            return False
        before = self._before
        self._known = {number: data for number, data in self._known.items() if number in before}
        self._quiet = 0
        return True

    def _put_back(self, number: int, old: bytes, previous: int) -> None:
        if not self.plain:
            self.allow_all()
        if self._shared is not None and number in self._shared.numbers:
            self._shared.put_back({number: old})
        else:
            start = self._base + number * PAGE_BYTES
            MEMORY[start : start + PAGE_BYTES] = old
        self._known[number] = old
        self._logged[number] = previous
        self._noted.add(number)  # a tracker that compares has not seen it put back

    def _set_length(self, length: int) -> None:
        self.length = self.collected_length = length
        self.plain = False

    def lengthen(self, length: int) -> None:
        """Make a region so many bytes long that only the host grows.

        Its memory is as long already; what is new is zeros.
        """
        self._log.append((self._set_length, self.length))
        self._look_at_length()
        self.length = length
        self.changed = self._log.wrote = True
        self.allow_all()
        self.plain = length == self.memory_length

    def diff(self) -> RegionDiff:
        """Return what the region differs in from its image, as last collected.

        Raises:
            LimitError: The time is over.
        """
        known, pages = self._known, {}
        for count, number in enumerate(sorted(self._before), 1):
            if not count % PAGES_PER_LOOK:
                self._log.check_time()
            old, new = self._before[number], known[number]
            if old != new:
                pages[number] = (old, new)
        image = self.image
        wasm_pages = self.wasm_pages
        spare = wasm_pages * WASM_PAGE_BYTES - self.length
        diff = RegionDiff(image.wasm_pages, wasm_pages, pages, image.spare, spare)
        self._differs = bool(diff)
        return diff

    def first_touched(self) -> tuple[tuple[int, int], ...] | None:
        """Return the pages that were read or written for the first time since this was last asked, as runs.

        A run is the first page and how many there are. ``None`` where the tracker cannot know.
        """
        runs = self._tracker.touched(self.memory_pages)
        if runs is None:
            return None
        shared = self._shared
        if runs == self._touched_runs and shared is None:
            return ()
        self._touched_runs = runs
        touched = {n for first, count in runs for n in range(first, first + count)}
        if shared is not None:
            touched = (touched - shared.numbers) | shared.touched()  # the live memory has all of them from the start
        new = sorted(touched - self._touched)
        self._touched.update(new)
        return tuple(runs_of(new))

    # What code may do

    def allow(self, *, writing: bool) -> None:
        """Hold the code that runs next to the region's length, and to reading unless it may write.

        A forbidden load or store traps in wasm. wasmtime carries out ``memory.copy``, ``memory.fill`` and
        ``memory.init`` in the host, where a fault ends the process: code that has these for storage must not be held
        back like this (design/0007).

        Bytes beyond the length are held back by whole pages of the machine. So they are not where a length is counted
        in bytes: there it is found afterwards, under every tracker alike, that one was written.

        Raises:
            StateError: The system refuses.
        """
        if self.page_bytes == WASM_PAGE_BYTES:
            self._allow(writing, self.length // WASM_PAGE_BYTES)
        else:
            self._allow(writing)

    def allow_all(self) -> None:
        """Let the code that runs next do what it likes with the memory: what it did is seen when it is collected."""
        self._allow(True)

    def _allow(self, writing: bool, wasm_pages: int | None = None) -> None:
        """Allow what code may do with so many Wasm pages, and nothing beyond; ``None`` stands for all of them."""
        memory_length = self.memory.pages * self.page_bytes
        length = -(-memory_length // WASM_PAGE_BYTES)
        if wasm_pages is None:
            wasm_pages = length
        wanted = (writing, wasm_pages, length)
        if wanted != self._allowed and self.protects:
            end = wasm_pages * WASM_PAGE_BYTES
            self._allowed = None
            try:
                if end:
                    _libc.protect(self._base, end, _libc.PROT_READ_WRITE if writing else _libc.PROT_READ)
                if wasm_pages < length:
                    _libc.protect(self._base + end, length * WASM_PAGE_BYTES - end, _libc.PROT_NONE)
            except OSError as error:
                raise StateError(f"access to storage cannot be restricted: {error}", cause=error) from error
        self._allowed = wanted
        self.plain = writing and wasm_pages == length and memory_length == self.length

    # Pages that other memories show

    def share(
        self, frames: FrameFile, pages: range, memory: LiveMemory, at: int, *, writing: bool
    ) -> tuple[SharedView, int]:
        """Show pages in another memory as well, from its page ``at`` on: shared, and never copied again.

        The region's memory is as long as they need already; what it was made longer by for them does not count as the
        region's: see :meth:`lengthen`. Give what was written through the view to :meth:`note`.

        Returns:
            The view, and how many pages were copied: those that were not shared before, and are not all zeros.

        Raises:
            LimitError: The time is over.
            StateError: The system refuses; the transaction is over.
        """
        self._look_at_length()
        self.plain = False
        self.changed = self._log.wrote = True
        try:
            if self._shared is None:
                self._shared = frames.share(self.memory)
            new = [number for number in pages if number not in self._shared.numbers]
            filled = 0
            if new:
                self.allow_all()
                self._noted.update(self._tracker.written(self.memory_pages))
                for first in range(0, len(new), PAGES_PER_LOOK):
                    self._log.check_time()
                    part = new[first : first + PAGES_PER_LOOK]
                    filled += self._shared.share({number: self._bytes_now(number) for number in part})
                self._allowed = None
            return self._shared.show(memory, at, pages.start, len(pages), writing=writing), filled
        except LimitError:  # that of the deadline is an OSError as well
            raise
        except OSError as error:
            raise _cannot_share(error) from error

    def show(self, pages: range, memory: LiveMemory, at: int, *, writing: bool) -> SharedView:
        """Show pages that are shared already in a memory, from its page ``at`` on.

        Raises:
            StateError: The system refuses; the transaction is over.
        """
        assert self._shared is not None  # noqa: S101 - they are shared
        try:
            return self._shared.show(memory, at, pages.start, len(pages), writing=writing)
        except OSError as error:
            raise _cannot_share(error) from error

    def hide(self, view: SharedView) -> None:
        """Take a view out of the memory that shows it: zeros of that memory's own take its place.

        Raises:
            StateError: The system refuses; the transaction is over.
        """
        try:
            if self._shared is None:
                view.hide()
            else:
                self._shared.hide(view)
        except OSError as error:
            raise StateError(f"shared storage cannot be taken out of memory: {error}", cause=error) from error

    def _bytes_now(self, number: int) -> bytes:
        """Return the bytes of a page; those that nobody wrote are not looked for in memory, which would fill it."""
        if number in self._noted:
            return read_bytes(self._base + number * PAGE_BYTES, PAGE_BYTES)
        return self.page(number)

    def note(self, pages: Iterable[int]) -> None:
        """Take in that pages may have been written through a view: they are looked at when it is collected."""
        self._noted.update(pages)


def _wasm_pages(length: int) -> int:
    """Return how many Wasm pages so many bytes take."""
    return -(-length // WASM_PAGE_BYTES)


_SCARCE = "the process may have too many files or mappings: see `ulimit -n` and vm.max_map_count"


def _cannot_share(error: OSError) -> StateError:
    return StateError(f"storage cannot be shared: {error}", cause=error, hint=_SCARCE)


def _cannot_map(error: OSError) -> StateError:
    return StateError(
        f"storage cannot be mapped: {error}",
        cause=error,
        hint=_SCARCE,
    )
