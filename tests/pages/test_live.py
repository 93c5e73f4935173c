"""Live regions and their undo log do what full copies of all storage would, on every backend."""

from __future__ import annotations

import os
from typing import NoReturn

import attrs
import pytest
from hypothesis import settings

from storagemod.errors import LimitError, StateError
from storagemod.pages import (
    NO_IMAGE,
    PAGE_BYTES,
    FileImage,
    LiveRegion,
    MemoryFile,
    MemoryImage,
    OverlayImage,
    PageBackend,
    UndoLog,
    WritableImage,
    live,
    why_unavailable,
)
from storagemod.pages.backend import USERFAULTFD
from storagemod.types import WASM_PAGE_BYTES
from tests.pages.images import page
from tests.pages.live_machine import (
    ORDINARY,
    RegionsBesideCopies,
    RegionsGlancedAt,
    RegionsLookedAt,
    RegionsShared,
    run,
)
from tests.pages.memories import MemoryMaker, ReservedMemory

MACHINES = {
    "no bytes read": RegionsBesideCopies,
    "all bytes read": RegionsLookedAt,
    "some bytes read": RegionsGlancedAt,
}

machines = pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
for_long = pytest.mark.skipif(os.environ.get("STORAGEMOD_FUZZ") != "1", reason="long random testing: STORAGEMOD_FUZZ=1")
FUZZ_EXAMPLES = int(os.environ.get("STORAGEMOD_FUZZ_EXAMPLES", "1000"))
LONG = settings(ORDINARY, max_examples=FUZZ_EXAMPLES, stateful_step_count=60, derandomize=False)


@machines
def test_regions_hold_what_full_copies_do(backend: PageBackend, machine: type[RegionsBesideCopies]) -> None:
    run(machine, backend)


@machines
@pytest.mark.usefixtures("hasty")
def test_regions_hold_the_same_however_often_they_are_watched_and_mapped_anew(
    backend: PageBackend, machine: type[RegionsBesideCopies]
) -> None:
    run(machine, backend)


def test_pages_shown_in_other_memories_change_and_are_undone_like_all_others(sharing_backend: PageBackend) -> None:
    run(RegionsShared, sharing_backend)


@pytest.mark.usefixtures("hasty")
def test_pages_shown_in_other_memories_do_so_however_often_others_are_watched_anew(
    sharing_backend: PageBackend,
) -> None:
    run(RegionsShared, sharing_backend)


@pytest.mark.fuzz
@for_long
def test_pages_shown_in_other_memories_change_and_are_undone_for_long(sharing_backend: PageBackend) -> None:
    run(RegionsShared, sharing_backend, LONG)


@pytest.mark.fuzz
@for_long
@machines
@pytest.mark.parametrize("policy", ["ordinary", "hasty"])
def test_regions_hold_what_full_copies_do_for_long(
    backend: PageBackend, machine: type[RegionsBesideCopies], policy: str, request: pytest.FixtureRequest
) -> None:
    if policy == "hasty":
        request.getfixturevalue("hasty")
    run(machine, backend, LONG)


def opened(
    backend: PageBackend, wasm_pages: int = 1, *, pages_max: int = 3, image: WritableImage | None = None
) -> tuple[ReservedMemory, LiveRegion, UndoLog]:
    """A region as long as its image, which is empty unless one is given."""
    memory, log = ReservedMemory(wasm_pages, pages_max), UndoLog()
    if image is None:
        image = backend.image_maker()()
        image.replace(wasm_pages, {})
    return memory, LiveRegion("region", memory, image, backend, log, pages_max), log


# The undo log


def test_a_page_is_logged_once_since_the_newest_checkpoint(backend: PageBackend) -> None:
    """Memory: a checkpoint costs one old page for each page changed since, however often it changed."""
    memory, region, log = opened(backend, 10, pages_max=10)
    for fill in (b"a", b"b", b"c"):
        memory.write(5 * PAGE_BYTES, fill)
        region.collect()
    assert len(log) == 1
    log.newest = len(log)
    for fill in (b"d", b"e"):
        memory.write(5 * PAGE_BYTES, fill)
        memory.write(100 * PAGE_BYTES, fill)
        region.collect()
    assert len(log) == 3
    log.newest = 0  # the inner call is over: what it logged stays
    memory.write(100 * PAGE_BYTES, b"f")
    region.collect()
    assert len(log) == 3
    assert log.changed_pages == 2


def test_undoing_brings_back_what_the_checkpoint_saw_and_logs_anew(backend: PageBackend) -> None:
    memory, region, log = opened(backend)
    memory.write(0, b"first")
    region.collect()
    for fill in (b"again", b"twice"):
        checkpoint, log.newest = len(log), len(log)
        memory.write(0, fill)
        assert [number for number, *_ in region.collect()] == [0]
        assert len(log) == checkpoint + 1
        log.undo(checkpoint)
        log.newest = 0
        assert memory.read(0, 5) == b"first"
        assert region.collect() == []
    log.undo(0)
    assert memory.read(0, 5) == bytes(5)
    assert not region.diff()


@pytest.mark.parametrize("kept", [True, False])
def test_changes_that_an_inner_call_kept_are_undone_with_the_outer_one(backend: PageBackend, *, kept: bool) -> None:
    memory, region, log = opened(backend)

    def write(fill: bytes) -> None:
        memory.grow(1)
        memory.write(0, fill)
        memory.write((memory.pages - 1) * WASM_PAGE_BYTES, fill)
        region.collect()

    memory.write(0, b"first")
    region.collect()
    outer = log.newest = len(log)
    memory.write(0, b"early")
    region.collect()
    write(b"outer")
    inner = log.newest = len(log)
    write(b"inner")
    diff = region.diff()
    assert (diff.pages_new, sorted(diff.pages)) == (3, [0, 16, 32])
    if not kept:
        log.undo(inner)
        assert (region.wasm_pages, memory.read(0, 5), memory.read(2 * WASM_PAGE_BYTES, 5)) == (2, b"outer", bytes(5))
    log.newest = outer
    log.undo(outer)
    assert (region.wasm_pages, memory.read(0, 5), memory.read(WASM_PAGE_BYTES, 5)) == (1, b"first", bytes(5))
    assert sorted(region.diff().pages) == [0]


def test_other_changes_are_undone_in_the_same_order() -> None:
    log, seen = UndoLog(), list[str]()
    for name in ("first", "second", "third"):
        log.append((seen.append, name))
    log.undo(1)
    assert (seen, len(log)) == (["third", "second"], 1)
    log.changed_pages = log.newest = 1
    log.restart()
    assert (len(log), log.newest, log.changed_pages) == (0, 0, 0)


def test_a_page_that_was_written_back_is_not_in_the_diff(backend: PageBackend) -> None:
    memory, region, _ = opened(backend)
    for data in (b"changed", bytes(7)):
        memory.write(8, data)
        assert [number for number, *_ in region.collect()] == [0]
    assert not region.diff()


def test_a_transaction_that_changes_too_many_pages_is_over(backend: PageBackend) -> None:
    """Pages of all regions count, and each of them once."""
    memory, region, log = opened(backend)
    other = LiveRegion("other", second := ReservedMemory(1), NO_IMAGE, backend, log, 1)
    log.changed_pages_max = 3
    for fill in (b"\1", b"\2"):
        for number in range(2):
            memory.write(number * PAGE_BYTES, fill)
            region.collect()
    second.write(0, b"\1")
    other.collect()
    second.write(PAGE_BYTES, b"\1")
    with pytest.raises(LimitError, match=r"more than 3 pages of 4 KiB \(changed_pages_max\)") as caught:
        other.collect()
    assert caught.value.aborts


# Between transactions


def image_in_file(pages: dict[int, bytes]) -> FileImage:
    image = MemoryFile().new_image()
    image.replace(1, pages)
    return image


def commit(region: LiveRegion, log: UndoLog, image: WritableImage) -> None:
    diff = region.diff()
    image.replace(diff.pages_new, {number: new for number, (_, new) in diff.pages.items()})
    region.settle(image)
    log.restart()


def count_mappings(region: LiveRegion, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    shown: list[object] = []
    show = LiveRegion._show

    def show_and_count(self: LiveRegion, image: WritableImage) -> None:
        if self is region:
            shown.append(image)
        show(self, image)

    monkeypatch.setattr(LiveRegion, "_show", show_and_count)
    return shown


def test_a_region_that_only_its_own_commits_changed_is_not_mapped_again(
    backend: PageBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = backend.image_maker()()
    image.replace(1, {3: page(3, 2)})
    memory, region, log = opened(backend, image=image)
    shown = count_mappings(region, monkeypatch)
    for turn in range(1, 4):
        memory.write(0, bytes([turn]))
        region.collect()
        if turn == 2:
            log.undo(0)
            region.settle(image)
        else:
            commit(region, log, image)
        assert region.refresh(image)
    assert (shown, memory.read(0, 1), image.page(0)[:1]) == ([], b"\3", b"\3")
    image.replace(1, {0: page(0, 5)})
    assert region.refresh(image)
    assert (shown, memory.read(0, PAGE_BYTES)) == ([], page(0, 5))  # one page is copied


@pytest.mark.parametrize("commits", [True, False])
def test_pages_that_a_commit_moved_to_another_file_are_mapped_from_there(
    backend: PageBackend, *, commits: bool
) -> None:
    """As a durable store does: newer pages leave the file that they are mapped from, which has zeros then."""
    overlay = OverlayImage(
        FileImage(MemoryFile(), 0, pending_pages_max=0), MemoryFile().new_image() if backend.maps else MemoryImage()
    )
    overlay.replace(1, {0: page(0, 2), 1: page(1, 3)})
    memory, region, log = opened(backend, image=overlay)
    if commits:
        memory.write(PAGE_BYTES, b"\7")
        region.collect()
        diff = region.diff()
        overlay.replace(1, {number: new for number, (_, new) in diff.pages.items()})
    overlay.settle()
    region.settle(overlay)
    log.restart()
    assert region.refresh(overlay)
    assert memory.read(0, PAGE_BYTES) == page(0, 2)
    assert memory.read(PAGE_BYTES, 1) == (b"\7" if commits else page(1, 3)[:1])


def test_a_region_whose_memory_is_of_another_length_is_of_no_more_use(backend: PageBackend) -> None:
    image = backend.image_maker()()
    image.replace(1, {})
    memory, region, log = opened(backend, image=image)
    memory.grow(1)
    region.collect()
    log.undo(0)
    region.settle(image)
    assert not region.refresh(image)
    image.replace(2, {})
    assert region.refresh(image)
    assert region.wasm_pages == 2


def test_memory_is_given_back_after_many_private_pages(backend: PageBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_PRIVATE_PAGES_MAX", 3)
    image = backend.image_maker()()
    image.replace(1, {})
    memory, region, log = opened(backend, image=image)
    shown = count_mappings(region, monkeypatch)
    for number in range(6):
        memory.write(number * PAGE_BYTES, bytes([number + 1]))
        region.collect()
        commit(region, log, image)
        assert region.refresh(image)
    assert shown == [image]
    assert [memory.read(number * PAGE_BYTES, 1)[0] for number in range(6)] == [1, 2, 3, 4, 5, 6]


notes_writes = pytest.mark.skipif(why_unavailable(USERFAULTFD) is not None, reason="the kernel does not note writes")


@notes_writes
@pytest.mark.parametrize("many", [True, False])
def test_written_pages_are_watched_again_when_there_are_many_or_they_stay_as_they_are(
    monkeypatch: pytest.MonkeyPatch, *, many: bool
) -> None:
    """Or each boundary would compare them, for good."""
    monkeypatch.setattr(live, "COMPARED_PAGES_MAX" if many else "_QUIET_BOUNDARIES_MAX", 2)
    memory, region, _ = opened(USERFAULTFD)
    for number in range(3):
        memory.write(number * PAGE_BYTES, b"\1")
    compared = []
    for _ in range(5):
        compared.append(len(region._tracker.written(1)))
        region.collect()
    assert compared == ([3, 0, 0, 0, 0] if many else [3, 3, 3, 3, 0])
    memory.write(PAGE_BYTES, b"\2")
    assert [number for number, *_ in region.collect()] == [1]


@notes_writes
def test_pages_that_were_watched_again_and_dropped_were_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel keeps their protection, and calls them swapped out."""
    monkeypatch.setattr(live, "COMPARED_PAGES_MAX", 1)
    image = image_in_file({number: page(number, 2) for number in range(10)})
    memory, region, log = opened(USERFAULTFD, image=image)
    for number in (0, 1, 12):
        memory.write(number * PAGE_BYTES, b"\1")
    region.collect()
    assert region.first_touched() == ((0, 2), (12, 1))
    log.undo(0)
    region.settle(image)
    assert region.refresh(image, anew=True)
    assert region.first_touched() == ()
    memory.read(3 * PAGE_BYTES, 1)
    memory.write(0, b"\1")
    assert region.first_touched() == ((0, 1), (3, 1))
    assert [number for number, *_ in region.collect()] == [0]


# What the system refuses


class RefusingTracker:
    """What a kernel may do that runs out of memory."""

    def written(self, _memory_pages: int) -> list[int]:
        raise OSError(12, "Cannot allocate memory")


def refuse(*_: object, **__: object) -> NoReturn:
    raise OSError(12, "Cannot allocate memory")


def test_what_the_system_refuses_ends_the_transaction(backend: PageBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not be caught by a caller as a failure of its callee: elsewhere the call would succeed (rule 8)."""
    image = backend.image_maker()()
    image.replace(1, {0: page(0, 2)})
    with pytest.raises(StateError, match=r"storage cannot be mapped: .*Cannot allocate memory") as caught:
        opened(attrs.evolve(backend, track=refuse), image=image)
    assert caught.value.aborts
    _, region, _ = opened(backend, image=image)
    monkeypatch.setattr(region._tracker, "watch", refuse)
    with pytest.raises(StateError, match=r"storage cannot be mapped: .*Cannot allocate memory"):
        region.refresh(image, anew=True)
    region._tracker = RefusingTracker()  # type: ignore[assignment]
    with pytest.raises(StateError, match=r"it cannot be told what was written in storage: .*Cannot allocate memory"):
        region.collect()


def test_a_page_that_cannot_be_shared_ends_the_transaction(
    sharing_backend: PageBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, region, _ = opened(sharing_backend)
    monkeypatch.setattr(live._libc, "map_shared", refuse)
    with pytest.raises(StateError, match=r"storage cannot be shared: .*Cannot allocate memory"):
        region.share(sharing_backend.frame_file(), range(1), ReservedMemory(1), 0, writing=True)


def test_a_memory_that_can_hold_nothing_may_be_opened(backend: PageBackend, new_memory: MemoryMaker) -> None:
    log = UndoLog()
    region = LiveRegion("empty", new_memory(0, 0), NO_IMAGE, backend, log, 0)
    region.allow(writing=False)
    assert (region.collect(), region.diff().pages, region.first_touched() or ()) == ([], {}, ())
    region.settle(NO_IMAGE)
    assert region.refresh(NO_IMAGE, anew=True)


def test_an_empty_memory_may_grow(backend: PageBackend, new_memory: MemoryMaker) -> None:
    memory, log = new_memory(0, 3), UndoLog()
    region = LiveRegion("empty", memory, NO_IMAGE, backend, log, 3)
    assert region.collect() == []
    memory.grow(2)
    memory.write(WASM_PAGE_BYTES, b"\1")
    assert [number for number, *_ in region.collect()] == [16]
    assert region.wasm_pages == 2
    log.undo(0)
    assert memory.read(0, 2 * WASM_PAGE_BYTES) == bytes(2 * WASM_PAGE_BYTES)
    assert region.wasm_pages == 0
