"""Live regions and their undo log beside full copies of all bytes, driven by Hypothesis: after each step, both agree.

The machine is in a transaction at all times. Ending one commits it or takes it back, and then anything may happen to
the images before the next one begins.
"""

from __future__ import annotations

from typing import ClassVar

from attrs import define, field
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from storagemod.pages import (
    NO_IMAGE,
    PAGE_BYTES,
    PAGES_PER_WASM_PAGE,
    FileImage,
    Image,
    LiveRegion,
    MemoryFile,
    OverlayImage,
    PageBackend,
    SharedView,
    UndoLog,
    WritableImage,
    read_image,
)
from storagemod.pages.backend import USERFAULTFD
from storagemod.pages.page import runs_of
from storagemod.types import WASM_PAGE_BYTES
from tests.pages.images import page
from tests.pages.memories import AnyMemory, MemoryMaker, ReservedMemory, host_write, wasm_memory

WASM_PAGES_MAX = 5
CHECKPOINTS_MAX = 5
VIEWS_MAX = 6

ORDINARY = settings(
    max_examples=30,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)

fills = st.dictionaries(st.integers(0, 31), st.integers(2, 4), max_size=6)
pieces = st.builds(lambda fill, length: bytes([fill]) * length, st.integers(0, 3), st.sampled_from([1, 8, 100, 9_000]))
places = st.one_of(  # few, so that pages are written again and again; the memories' last ones are among them
    st.sampled_from([number * PAGE_BYTES + offset for number in (0, 1, 17, 33) for offset in (0, 4_090)]),
    st.just(WASM_PAGES_MAX * WASM_PAGE_BYTES),
    st.integers(0, WASM_PAGES_MAX * WASM_PAGE_BYTES),
)
PLAIN, OVERLAID, NEW = range(3)
regions = st.sampled_from([PLAIN, PLAIN, OVERLAID, OVERLAID, NEW])

MAKERS: dict[int, MemoryMaker] = {PLAIN: ReservedMemory, OVERLAID: wasm_memory, NEW: ReservedMemory}


@define(eq=False)
class Copies:
    """One region as copies of all its bytes: what it holds, what it held when it was last collected, and its image.

    ``touched`` are pages that were read or written, ``told`` those that were returned as touched; they count unless
    earlier transactions touched pages as well. ``before`` are pages that changed in the transaction.
    """

    image: bytes
    live: bytearray
    collected: bytes
    length: int
    longest: int
    """Length of the memory when it was last looked at, in Wasm pages."""
    counts_touched: bool = True
    touched: set[int] = field(factory=set)
    told: set[int] = field(factory=set)
    before: set[int] = field(factory=set)

    @classmethod
    def of(cls, image: Image, wasm_pages: int) -> Copies:
        data = read_image(image, 0, image.wasm_pages * WASM_PAGE_BYTES)
        shown = data.ljust(wasm_pages * WASM_PAGE_BYTES, b"\0")
        return cls(data, bytearray(shown), shown, image.wasm_pages, wasm_pages)

    def differing(self, old: bytes) -> dict[int, tuple[bytes, bytes]]:
        """Pages that are not what they were; what was not there was zeros."""
        old = old.ljust(len(self.live), b"\0")
        spans = [slice(at, at + PAGE_BYTES) for at in range(0, len(self.live), PAGE_BYTES)]
        return {
            span.start // PAGE_BYTES: (old[span], bytes(self.live[span]))
            for span in spans
            if old[span] != self.live[span]
        }

    def reset(self, collected: bytes, length: int) -> None:
        """Hold what was collected once, and zeros where it has grown since."""
        self.live = bytearray(collected.ljust(len(self.live), b"\0"))
        self.collected = bytes(self.live)
        self.length = length


@define
class Checkpoint:
    """One that is open: the log's length, the one before, and what the regions held."""

    length: int
    newest: int
    saved: list[tuple[bytes, int]]


class RegionsBesideCopies(RuleBasedStateMachine):
    """Three regions, of an image of the backend's own, of one that lies over another, and of none at first."""

    backend: ClassVar[PageBackend]

    @initialize(below=fills, newer=fills, shortened=st.booleans())
    def begin(self, below: dict[int, int], newer: dict[int, int], shortened: bool) -> None:
        self.files = MemoryFile()
        plain, base = self.backend.image_maker()(), FileImage(self.files, self.files.new_slot(), pending_pages_max=0)
        plain.replace(2, {number: page(number, fill) for number, fill in newer.items()})
        base.replace(2, {number: page(number, fill) for number, fill in below.items()})
        self.overlay = OverlayImage(base, self.backend.image_maker()())
        if shortened:
            self.overlay.replace(1, {})
        self.overlay.replace(2, {number: page(number, fill - 2) for number, fill in newer.items()})
        self.images: list[Image] = [plain, self.overlay, NO_IMAGE]
        self.log = UndoLog()
        self.frames = self.backend.frame_file()
        self.memories: list[AnyMemory] = []
        self.regions: list[LiveRegion] = []
        self.copies: list[Copies] = []
        for which in range(3):
            memory, region, copies = self.open(which)
            self.memories.append(memory)
            self.regions.append(region)
            self.copies.append(copies)
        self.begin_transaction()

    def open(self, which: int) -> tuple[AnyMemory, LiveRegion, Copies]:
        image = self.images[which]
        memory = MAKERS[which](max(image.wasm_pages, 1), WASM_PAGES_MAX)
        region = LiveRegion(f"region {which}", memory, image, self.backend, self.log, WASM_PAGES_MAX)
        return memory, region, Copies.of(image, memory.pages)

    def begin_transaction(self) -> None:
        self.checkpoints: list[Checkpoint] = []
        region, copies = self.regions[NEW], self.copies[NEW]
        if not copies.length:  # it is as long from the start as its contract wants it
            region.lengthen(WASM_PAGE_BYTES)
            copies.length = 1
            region.collected_length = region.length

    def teardown(self) -> None:
        if hasattr(self, "regions"):
            for region in self.regions:
                region.allow_all()  # a check may have failed while one was held back
            self.compare_contents()
            self.regions.clear()
            for memory in self.memories:
                memory.close()
            self.frames.close()
            self.files.close()

    def compare_contents(self) -> None:
        for memory, copies in zip(self.memories, self.copies, strict=True):
            assert memory.read(0, memory.pages * WASM_PAGE_BYTES) == copies.live

    # What happens to memories

    @rule(which=regions, at=places, data=pieces, by_address=st.booleans())
    def write(self, which: int, at: int, data: bytes, by_address: bool) -> None:
        memory, copies = self.memories[which], self.copies[which]
        at = min(max(at, 0), len(copies.live) - 1)
        data = data[: len(copies.live) - at]
        if by_address:
            host_write(memory, at, data)
        else:
            memory.write(at, data)
        copies.live[at : at + len(data)] = data
        copies.touched.update(range(at // PAGE_BYTES, (at + len(data) - 1) // PAGE_BYTES + 1))

    @rule(which=regions, at=places, length=st.integers(1, 5_000))
    def write_the_same_bytes(self, which: int, at: int, length: int) -> None:
        at = min(max(at, 0), len(self.copies[which].live) - 1)
        self.write(which, at, bytes(self.copies[which].live[at : at + length]), by_address=True)

    @rule(which=regions, number=st.sampled_from([0, 1, 17, 33]), collected=st.booleans())
    def write_a_page_back(self, which: int, number: int, collected: bool) -> None:
        """To what the image has, or to what was collected last."""
        copies = self.copies[which]
        number = min(number, len(copies.live) // PAGE_BYTES - 1)
        data = copies.collected if collected else copies.image
        self.write(which, number * PAGE_BYTES, data[number * PAGE_BYTES :][:PAGE_BYTES].ljust(PAGE_BYTES, b"\0"), False)

    @rule(which=regions, pages=st.integers(1, 2))
    def grow(self, which: int, pages: int) -> None:
        memory, copies = self.memories[which], self.copies[which]
        pages = min(pages, WASM_PAGES_MAX - memory.pages)
        memory.grow(pages)
        copies.live += bytes(pages * WASM_PAGE_BYTES)

    @rule(which=regions, pages=st.integers(1, 2), spare=st.integers(0, 1))
    def lengthen(self, which: int, pages: int, spare: int) -> None:
        """As the host makes a region longer; its memory may become longer still."""
        self.collect(which, writing=True)
        copies = self.copies[which]
        length = min(copies.length + pages, WASM_PAGES_MAX)
        self.grow(which, max(length + spare - self.memories[which].pages, 0))
        region = self.regions[which]
        region.lengthen(length * WASM_PAGE_BYTES)
        assert region.collected_length == copies.length * WASM_PAGE_BYTES
        copies.longest = self.memories[which].pages
        copies.length = length
        region.collected_length = region.length

    # What is asked of regions

    @rule(which=regions, at=places, data=pieces)
    def write_and_collect(self, which: int, at: int, data: bytes) -> None:
        self.write(which, at, data, by_address=True)
        self.collect(which, writing=True)

    @rule(which=regions, writing=st.booleans())
    def collect(self, which: int, writing: bool) -> None:
        region, copies = self.regions[which], self.copies[which]
        region.allow(writing=writing)  # as it is when code has run that was held back
        changed = region.collect()
        region.allow_all()
        pages = copies.differing(copies.collected)
        hole = range(copies.length * PAGES_PER_WASM_PAGE, copies.longest * PAGES_PER_WASM_PAGE)
        assert changed == [(number, old, new) for number, (old, new) in pages.items()]
        assert region.outside == any(number in hole for number in pages)
        region.outside = False
        assert region.collected_length == copies.length * WASM_PAGE_BYTES
        if len(copies.live) // WASM_PAGE_BYTES > copies.longest:
            copies.length = copies.longest = len(copies.live) // WASM_PAGE_BYTES
        assert region.wasm_pages == copies.length
        region.collected_length = region.length
        copies.collected = bytes(copies.live)
        copies.before.update(pages)
        assert self.log.changed_pages == sum(len(each.before) for each in self.copies)

    @precondition(lambda self: len(self.checkpoints) < CHECKPOINTS_MAX)
    @rule(collected=st.sets(st.integers(0, 2)))
    def checkpoint(self, collected: set[int]) -> None:
        """What is not collected falls behind it."""
        for which in sorted(collected):
            self.collect(which, writing=True)
        saved = [(copies.collected, copies.length) for copies in self.copies]
        self.checkpoints.append(Checkpoint(len(self.log), self.log.newest, saved))
        self.log.newest = len(self.log)

    @precondition(lambda self: self.checkpoints)
    @rule()
    def keep(self) -> None:
        self.log.newest = self.checkpoints.pop().newest

    @precondition(lambda self: self.checkpoints)
    @rule(writing=st.booleans())
    def undo(self, writing: bool) -> None:
        for which in range(3):
            self.collect(which, writing)
        checkpoint = self.checkpoints.pop()
        for region in self.regions:
            region.allow(writing=writing)
        self.log.undo(checkpoint.length)
        self.log.newest = checkpoint.newest
        self.was_undone(checkpoint.saved)

    def was_undone(self, saved: list[tuple[bytes, int]]) -> None:
        for region, copies, (collected, length) in zip(self.regions, self.copies, saved, strict=True):
            region.allow_all()
            copies.reset(collected, length)
            assert region.wasm_pages == length
            assert region.length == region.collected_length == length * WASM_PAGE_BYTES

    @rule(which=regions, at=places, ends=st.lists(st.booleans(), min_size=1, max_size=3), pages=st.integers(0, 1))
    def calls(self, which: int, at: int, ends: list[bool], pages: int) -> None:
        """What calls inside one another do that write the same place: each is kept, or undone."""
        for depth, _ in enumerate(ends, 1):
            self.checkpoint({0, 1, 2})
            self.grow(which, pages)
            self.write_and_collect(which, at, bytes([depth]) * 8)
        for keep in ends:
            if keep:
                self.keep()
            else:
                self.undo(writing=True)

    @rule(which=regions)
    def first_touched(self, which: int) -> None:
        self.collect(which, writing=True)
        copies = self.copies[which]
        runs = self.regions[which].first_touched()
        if self.backend is not USERFAULTFD:
            assert runs is None
            return
        assert runs is not None
        if copies.counts_touched:
            assert runs == tuple(runs_of(sorted(copies.touched - copies.told)))
            copies.told.update(copies.touched)

    # Between transactions

    @rule(
        commits=st.booleans(),
        elsewhere=st.dictionaries(st.integers(0, 1), st.tuples(st.integers(1, 3), fills), max_size=1),
        moved=st.sampled_from(["", "", "in the commit", "later"]),
        anew=st.booleans(),
        touched=st.booleans(),
        rights=st.tuples(st.booleans(), st.booleans()),
    )
    def end(
        self,
        commits: bool,
        elsewhere: dict[int, tuple[int, dict[int, int]]],
        moved: str,
        anew: bool,
        touched: bool,
        rights: tuple[bool, bool],
    ) -> None:
        """End the transaction and begin the next one.

        Args:
            commits: Whether it changes the images; it is undone otherwise.
            elsewhere: Changes of images by others: length, and pages.
            moved: When the newer pages of an image are brought into the one below.
            anew: Whether the next transaction forgets which pages were touched.
            touched: Whether it is asked at once which ones were.
            rights: What code may do at last: whether to write, in each case.
        """
        for which in range(3):
            self.collect(which, rights[0])
        diffs = [region.diff() for region in self.regions]
        if commits:
            for which, diff in enumerate(diffs):
                if diff:
                    self.replace(which, diff.pages_new, {number: new for number, (_, new) in diff.pages.items()})
            if moved == "in the commit":
                self.overlay.settle()
        else:
            for region in self.regions:
                region.allow(writing=rights[1])
            self.log.undo(0)
        for region, image in zip(self.regions, self.images, strict=True):
            region.settle(image)
            region.allow(writing=rights[1])
        self.log.restart()
        for which, (length, pages) in elsewhere.items():
            self.replace(which, length, {number: page(number, fill - 2) for number, fill in pages.items()})
        if moved == "later":
            self.overlay.settle()
        self.refresh(anew=anew)
        self.begin_transaction()
        if touched:
            for which in range(3):
                self.first_touched(which)

    def replace(self, which: int, length: int, pages: dict[int, bytes]) -> None:
        image = self.images[which]
        if image is NO_IMAGE:
            image = self.images[which] = self.backend.image_maker()()
        changed: WritableImage = image  # type: ignore[assignment] # all others are
        changed.replace(length, pages)

    def refresh(self, *, anew: bool) -> None:
        for which, (image, region) in enumerate(zip(self.images, self.regions, strict=True)):
            memory = self.memories[which]
            if region.refresh(image, anew=anew):
                assert memory.pages == image.wasm_pages
                copies = self.copies[which] = Copies.of(image, memory.pages)
                copies.counts_touched = anew  # otherwise it may be mapped anew or not
            else:
                assert self.may_be_of_no_use(which)
                memory.close()
                self.memories[which], self.regions[which], self.copies[which] = self.open(which)

    def may_be_of_no_use(self, which: int) -> bool:
        return self.memories[which].pages != self.images[which].wasm_pages

    # What holds after each step

    @precondition(lambda self: hasattr(self, "regions"))
    @invariant()
    def the_diff_is_what_differs_from_the_image(self) -> None:
        for region, copies in zip(self.regions, self.copies, strict=True):
            now = Copies(copies.image, bytearray(copies.collected), b"", 0, 0)
            diff = region.diff()
            assert diff.pages == now.differing(copies.image)
            assert list(diff.pages) == sorted(diff.pages)
            assert (diff.pages_old, diff.pages_new) == (len(copies.image) // WASM_PAGE_BYTES, copies.length)


class RegionsLookedAt(RegionsBesideCopies):
    """The same with every byte read after each step: what was read before must not change what is found."""

    @precondition(lambda self: hasattr(self, "regions"))
    @invariant()
    def contents_are_the_copies(self) -> None:
        self.compare_contents()
        for copies in self.copies:
            copies.touched.update(range(len(copies.live) // PAGE_BYTES))


class RegionsGlancedAt(RegionsBesideCopies):
    """The same with some pages read now and then."""

    @rule(which=regions, number=st.integers(0, 40), count=st.integers(1, 3))
    def read(self, which: int, number: int, count: int) -> None:
        copies = self.copies[which]
        number = min(number, len(copies.live) // PAGE_BYTES - 1)
        span = slice(number * PAGE_BYTES, min((number + count) * PAGE_BYTES, len(copies.live)))
        assert self.memories[which].read(span.start, span.stop - span.start) == copies.live[span]
        copies.touched.update(range(number, span.stop // PAGE_BYTES))


class RegionsShared(RegionsBesideCopies):
    """The same with pages shown in other memories as well, and written there."""

    @initialize()
    def no_views(self) -> None:
        self.views: list[tuple[int, int, ReservedMemory, SharedView]] = []
        self.shared: dict[int, set[int]] = {which: set() for which in range(3)}

    def teardown(self) -> None:
        if hasattr(self, "views"):
            self.compare_views()
        super().teardown()

    @precondition(lambda self: len(self.views) < VIEWS_MAX)
    @rule(
        which=st.sampled_from([PLAIN, NEW]),
        number=st.sampled_from([0, 1, 16, 17, 33]),
        count=st.integers(1, 3),
        collected=st.booleans(),
    )
    def show(self, which: int, number: int, count: int, collected: bool) -> None:
        if collected or self.memories[which].pages != self.copies[which].longest:
            self.collect(which, writing=True)
        end = min(number + count, len(self.copies[which].live) // PAGE_BYTES)
        first = min(number, end - 1)
        memory = ReservedMemory(1, 1)
        region, pages = self.regions[which], range(first, end)
        missing = set(pages) - self.shared[which]
        data = (self.copies[which].live[number * PAGE_BYTES : (number + 1) * PAGE_BYTES] for number in missing)
        view, filled = region.share(self.frames, pages, memory, 1, writing=True)
        assert filled == sum(map(any, data))
        self.shared[which] |= missing
        self.views.append((which, first, memory, view))

    @precondition(lambda self: self.views)
    @rule(which=st.integers(0, 5), at=st.sampled_from([0, 4_090, 4_096, 8_000]), data=pieces)
    def write_through_a_view(self, which: int, at: int, data: bytes) -> None:
        region, first, memory, view = self.views[which % len(self.views)]
        at = min(at, view.count * PAGE_BYTES - 1)
        data = data[: view.count * PAGE_BYTES - at]
        memory.write(PAGE_BYTES + at, data)
        copies, start = self.copies[region], first * PAGE_BYTES + at
        copies.live[start : start + len(data)] = data
        copies.touched.update(range(start // PAGE_BYTES, (start + len(data) - 1) // PAGE_BYTES + 1))

    @precondition(lambda self: self.views)
    @rule(which=st.integers(0, 5), again=st.booleans())
    def hide(self, which: int, again: bool) -> None:
        index = which % len(self.views)
        number, first, memory, view = self.views[index]
        region, pages = self.regions[number], range(first, first + view.count)
        region.note(view.written())
        region.hide(view)
        assert not any(memory.read(PAGE_BYTES, len(pages) * PAGE_BYTES))
        if again:
            self.views[index] = (number, first, memory, region.show(pages, memory, 1, writing=True))
        else:
            del self.views[index]
            memory.close()

    def collect(self, which: int, writing: bool) -> None:
        for region, _, _, view in self.views:
            if region == which:
                self.regions[which].note(view.written())
        super().collect(which, writing)

    def refresh(self, *, anew: bool) -> None:
        self.compare_views_memories()
        super().refresh(anew=anew)
        for *_, memory, _ in self.views:
            memory.close()
        self.no_views()

    def compare_views_memories(self) -> None:
        for which, _, memory, view in self.views:
            count = view.count * PAGE_BYTES
            self.regions[which].allow_all()
            assert memory.read(PAGE_BYTES, count) == self.memories[which].read(view.first * PAGE_BYTES, count)

    @precondition(lambda self: hasattr(self, "views"))
    @invariant()
    def views_show_what_the_memory_has(self) -> None:
        self.compare_views()

    def compare_views(self) -> None:
        for which, first, memory, view in self.views:
            span = slice(first * PAGE_BYTES, (first + view.count) * PAGE_BYTES)
            assert memory.read(PAGE_BYTES, view.count * PAGE_BYTES) == self.copies[which].live[span]
            self.copies[which].touched.update(range(first, first + view.count))


def run(machine: type[RegionsBesideCopies], on: PageBackend, how: settings = ORDINARY) -> None:
    """Run a machine on a backend.

    Raises:
        AssertionError: The regions held or returned something else than the copies.
    """
    run_state_machine_as_test(type(machine.__name__, (machine,), {"backend": on}), settings=how)
