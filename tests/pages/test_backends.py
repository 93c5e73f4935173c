"""One suite for every page backend: the image shows, written pages are found, and regions can be put back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

import attrs
import pytest

from storagemod.errors import StateError
from storagemod.pages import (
    BACKENDS,
    NO_IMAGE,
    PAGE_BYTES,
    PAGES_PER_WASM_PAGE,
    FileImage,
    Image,
    LiveRegion,
    MemoryFile,
    MemoryImage,
    OverlayImage,
    PageBackend,
    UndoLog,
    WritableImage,
    choose_backend,
    why_unavailable,
)
from storagemod.pages.backend import COMPARE, PORTABLE, USERFAULTFD
from storagemod.pages.page import runs_of
from storagemod.pages.tracker import WriteTracker
from storagemod.types import WASM_PAGE_BYTES
from tests.pages.images import page, replaced
from tests.pages.memories import PAGES_MAX, AnyMemory, MemoryMaker, ReservedMemory, host_write

WRONG_RESULT = "a trial gave a wrong result"

EXACT = {"userfaultfd", "compare", "portable"}
"""Those whose trackers return written pages and no others. To the page map, zeros that were read look alike."""


def image_of(backend: PageBackend, wasm_pages: int, *numbers: int) -> WritableImage:
    image = backend.image_maker()()
    image.replace(wasm_pages, {number: page(number, 2) for number in numbers})
    return image


def attach(backend: PageBackend, memory: AnyMemory, image: Image = NO_IMAGE) -> LiveRegion:
    return LiveRegion("region", memory, image, backend, UndoLog(), PAGES_MAX)


def tracker_of(backend: PageBackend, memory: AnyMemory, image: Image = NO_IMAGE) -> WriteTracker:
    """The tracker alone of a memory that shows an image."""
    return attach(backend, memory, image)._tracker


def contents(memory: AnyMemory) -> bytes:
    return memory.read(0, memory.pages * WASM_PAGE_BYTES)


def check_written(tracker: WriteTracker, memory: AnyMemory, changed: Iterable[int]) -> list[int]:
    """Ask the tracker, check that it returns these pages, and return all that it did."""
    found = list(tracker.written(memory.pages))
    assert found == sorted(set(found))
    assert set(changed) <= set(found)
    return found


# The image


@pytest.mark.parametrize("numbers", [(), (0,), (3, 4, 15), (0, 47), tuple(range(0, 48, 2))])
def test_an_image_shows_and_was_not_written(
    backend: PageBackend, new_memory: MemoryMaker, numbers: tuple[int, ...]
) -> None:
    memory = new_memory(3)
    region = attach(backend, memory, image_of(backend, 3, *numbers))
    assert contents(memory) == replaced(bytearray(), 3, {number: page(number, 2) for number in numbers})
    if backend.name in EXACT:
        assert list(region._tracker.written(3)) == []
    assert region.collect() == []


def test_an_image_shorter_than_its_memory_shows_zeros_beyond(backend: PageBackend, new_memory: MemoryMaker) -> None:
    memory = new_memory(2)
    region = attach(backend, memory, image_of(backend, 1, 15))
    assert contents(memory) == bytes(15 * PAGE_BYTES) + page(15, 2) + bytes(WASM_PAGE_BYTES)
    assert (region.wasm_pages, region.plain) == (1, False)
    memory.write(20 * PAGE_BYTES, b"\1")
    assert [number for number, *_ in region.collect()] == [20]
    assert region.outside


def test_memories_of_one_image_do_not_see_each_other_and_leave_it_alone(
    backend: PageBackend, new_memory: MemoryMaker
) -> None:
    image = image_of(backend, 1, 1)
    one, two = new_memory(1), new_memory(1)
    regions = attach(backend, one, image), attach(backend, two, image)
    host_write(one, PAGE_BYTES, b"one")
    host_write(two, 2 * PAGE_BYTES, b"two")
    assert [[number for number, *_ in region.collect()] for region in regions] == [[1], [2]]
    assert two.read(PAGE_BYTES, PAGE_BYTES) == page(1, 2)
    assert dict(image.pages()) == {1: page(1, 2)}


def overlay_with_changes(backend: PageBackend) -> OverlayImage:
    """A page of zeros over data, new pages, and an end that was cut off and grown again."""
    base = FileImage(MemoryFile(), 0, pending_pages_max=0)
    base.replace(4, {number: page(number, 2) for number in (0, 1, 2, 20, 40, 63)})
    overlay = OverlayImage(base, backend.image_maker()())
    overlay.replace(4, {1: page(1, 0), 2: page(2, 3), 30: page(30, 3), 50: page(50, 3)})
    overlay.replace(2, {})
    overlay.replace(4, {40: page(40, 3), 41: page(41, 0)})
    return overlay


OVERLAID = {0: page(0, 2), 2: page(2, 3), 20: page(20, 2), 30: page(30, 3), 40: page(40, 3)}


def test_newer_pages_over_an_image_show_and_come_back(backend: PageBackend, new_memory: MemoryMaker) -> None:
    memory = new_memory(4)
    image = overlay_with_changes(backend)
    region = attach(backend, memory, image)
    expected = replaced(bytearray(), 4, OVERLAID)
    assert contents(memory) == expected
    for number in range(64):
        memory.write(number * PAGE_BYTES + 8, b"changed")
    assert [number for number, *_ in region.collect()] == list(range(64))
    assert region.refresh(image, anew=True)
    assert contents(memory) == expected
    assert region.collect() == []


def test_another_state_of_an_image_shows_in_place_of_what_was_there(
    backend: PageBackend, new_memory: MemoryMaker
) -> None:
    memory = new_memory(2)
    image = image_of(backend, 2, 0, 1, 2, 20)
    region = attach(backend, memory, image)
    memory.write(1 * PAGE_BYTES, b"changed")
    memory.write(25 * PAGE_BYTES, b"changed")
    region.collect()
    pages = {0: page(0, 0), 2: page(2, 3), 3: page(3, 3), 30: page(30, 3)}
    image.replace(2, pages)
    other = image_of(backend, 2, 5)
    assert region.refresh(image)
    assert contents(memory) == replaced(replaced(bytearray(), 2, dict(image.pages())), 2, pages)
    assert region.refresh(other)
    assert contents(memory) == replaced(bytearray(), 2, {5: page(5, 2)})
    assert region.collect() == []
    memory.write(5 * PAGE_BYTES, b"changed")
    assert [number for number, *_ in region.collect()] == [5]


# Writes


def by_address(memory: AnyMemory, offset: int, data: bytes) -> None:
    host_write(memory, offset, data)


def by_itself(memory: AnyMemory, offset: int, data: bytes) -> None:
    memory.write(offset, data)


@pytest.mark.parametrize("write", [by_address, by_itself])
@pytest.mark.parametrize("again", [True, False], ids=["watched again", "watched once"])
def test_every_written_page_is_found(
    backend: PageBackend, new_memory: MemoryMaker, write: Callable[[AnyMemory, int, bytes], None], *, again: bool
) -> None:
    memory = new_memory(3)
    tracker = tracker_of(backend, memory, image_of(backend, 2, 4, 5, 31))
    memory.read(7 * PAGE_BYTES, 8)  # reading is no writing
    before = set[int]()
    for offset, data, numbers in [
        (5 * PAGE_BYTES - 1, b"ab", [4, 5]),
        (8, b"\1", [0]),
        (5 * PAGE_BYTES, b"c", [5]),  # again
        (3 * WASM_PAGE_BYTES - 1, b"\1", [47]),
        (0, b"\1" * WASM_PAGE_BYTES, list(range(16))),
    ]:
        write(memory, offset, data)
        found = check_written(tracker, memory, numbers)
        if again and tracker.watch_again(3):
            assert found == numbers
            assert list(tracker.written(3)) == []
        before |= set(numbers)
        if backend.name in EXACT:
            assert set(found) <= before


def test_more_pages_than_one_answer_of_the_kernel_holds_are_found(
    backend: PageBackend, new_memory: MemoryMaker
) -> None:
    memory = new_memory(PAGES_MAX)
    region = attach(backend, memory, image_of(backend, PAGES_MAX))
    numbers = list(range(0, PAGES_MAX * PAGES_PER_WASM_PAGE, 2))
    for fill in (b"\1", b"\2"):  # the second time, when all were watched again
        for number in numbers:
            memory.write(number * PAGE_BYTES, fill)
        assert [number for number, *_ in region.collect()] == numbers


def test_growth_alone_is_no_write_and_writes_to_it_are_found(backend: PageBackend, new_memory: MemoryMaker) -> None:
    memory = new_memory(1)
    tracker = tracker_of(backend, memory, image_of(backend, 1, 3))
    memory.grow(2)
    assert memory.read(WASM_PAGE_BYTES, 2 * WASM_PAGE_BYTES) == bytes(2 * WASM_PAGE_BYTES)
    found = check_written(tracker, memory, [])
    memory.write(40 * PAGE_BYTES, b"\1")
    memory.write(3 * PAGE_BYTES, b"\1")
    found += check_written(tracker, memory, [3, 40])
    if backend.name in EXACT:
        assert found == [3, 40]


# Which pages were touched


def test_the_pages_touched_are_known_exactly_or_not_at_all(backend: PageBackend) -> None:
    memory = ReservedMemory(3)
    tracker = tracker_of(backend, memory, image_of(backend, 2, *range(20)))
    memory.read(5 * PAGE_BYTES, 1)
    memory.read(7 * PAGE_BYTES - 1, 2)
    memory.write(40 * PAGE_BYTES, b"\1")
    memory.read(30 * PAGE_BYTES, 1)
    assert backend.knows_reads == (backend is USERFAULTFD)
    if not backend.knows_reads:
        assert tracker.touched(3) is None
        return
    assert tracker.touched(3) == [(5, 3), (30, 1), (40, 1)]
    list(tracker.written(3))
    memory.read(0, 1)
    memory.grow(1)
    memory.write(50 * PAGE_BYTES, b"\1")
    assert tracker.touched(4) == [(0, 1), (5, 3), (30, 1), (40, 1), (50, 1)]
    tracker.watch_again(4)
    assert tracker.touched(4) == [(0, 1), (5, 3), (30, 1), (40, 1), (50, 1)]


def test_all_touched_pages_are_known_where_they_are_many() -> None:
    if why_unavailable(USERFAULTFD) is not None:
        pytest.skip("no tracker here knows them")
    memory = ReservedMemory(PAGES_MAX)
    region = attach(USERFAULTFD, memory, image_of(USERFAULTFD, PAGES_MAX, 3))
    numbers = list(range(1, PAGES_MAX * PAGES_PER_WASM_PAGE, 3))
    for number in numbers:
        memory.read(number * PAGE_BYTES, 1)
    assert region.first_touched() == tuple(runs_of(numbers))
    assert region.first_touched() == ()


# Many at once


def test_trackers_on_several_threads_do_not_disturb_each_other(backend: PageBackend) -> None:
    """A world for each thread is what we tell users to have."""
    wrong: list[tuple[list[int], list[int]]] = []
    start = threading.Barrier(4)

    def work(seed: int) -> None:
        memory = ReservedMemory(8)
        region = attach(backend, memory, image_of(backend, 8))
        start.wait()
        for turn in range(40):
            numbers = sorted({(seed * 31 + turn * 7 + n * n) % 128 for n in range(20)})
            for number in numbers:
                memory.write(number * PAGE_BYTES, turn.to_bytes(2, "little") + b"\1")
            found = [number for number, *_ in region.collect()]
            if found != numbers:
                wrong.append((numbers, found))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# The choice


def test_there_is_always_a_backend_and_the_quickest_one_is_taken() -> None:
    assert why_unavailable(PORTABLE) is None
    assert why_unavailable(COMPARE) is None
    working = [backend for backend in BACKENDS.values() if why_unavailable(backend) is None]
    assert choose_backend() is working[0]
    assert list(BACKENDS) == ["userfaultfd", "pagemap", "compare", "portable"]
    assert choose_backend("portable") is PORTABLE


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_works_here_or_the_system_says_why_not(name: str) -> None:
    """One that gave wrong results would not be tested at all."""
    assert why_unavailable(BACKENDS[name]) != WRONG_RESULT


def test_a_backend_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(StateError, match=r"no write tracker 'ebpf' \(there are: userfaultfd, pagemap, compare, portab"):
        choose_backend("ebpf")


def test_a_backend_that_does_not_work_here_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(1, "userfaultfd: Operation not permitted")

    broken = attrs.evolve(PORTABLE, name="broken", track=refuse)
    lying = attrs.evolve(PORTABLE, name="lying", image_maker=lambda: _Forgetful)
    monkeypatch.setitem(BACKENDS, "broken", broken)
    monkeypatch.setitem(BACKENDS, "lying", lying)
    with pytest.raises(StateError, match=r"'broken' does not work here: .*not permitted.*try: .*compare, portable"):
        choose_backend("broken")
    with pytest.raises(StateError, match=f"'lying' does not work here: {WRONG_RESULT}"):
        choose_backend("lying")


class _Forgetful(MemoryImage):
    """An image that keeps nothing."""

    def replace(self, wasm_pages: int, pages: Mapping[int, bytes], spare: int = 0) -> None:
        pass
