"""One suite for every page backend: the image shows, what is written is told, and pages can be put back."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import attrs
import pytest

from storagemod.errors import StateError
from storagemod.pages import (
    BACKENDS,
    NO_IMAGE,
    PAGE_BYTES,
    PAGES_PER_WASM_PAGE,
    Image,
    MemoryImage,
    OverlayImage,
    PageBackend,
    WritableImage,
    choose_backend,
    why_unavailable,
)
from storagemod.pages.backend import COMPARE, PORTABLE, USERFAULTFD, Attachment
from storagemod.types import WASM_PAGE_BYTES
from tests.pages.images import page, replaced
from tests.pages.memories import PAGES_MAX, AnyMemory, MemoryMaker, MovingMemory, ReservedMemory, host_write

Attached = tuple[AnyMemory, Attachment]

WRONG_RESULT = "a trial gave a wrong result"

FORGETFUL = {"userfaultfd", "compare", "portable"}
"""Those whose trackers start anew when they were asked. The other one tells all that was ever written."""


def image_of(backend: PageBackend, wasm_pages: int, *numbers: int) -> WritableImage:
    image = backend.image_maker()()
    image.replace(wasm_pages, {number: page(number, 2) for number in numbers})
    return image


def attach(backend: PageBackend, memory: AnyMemory, image: Image = NO_IMAGE) -> Attachment:
    return backend.attach(memory, image, PAGES_MAX)


def contents(memory: AnyMemory) -> bytes:
    return memory.read(0, memory.pages * WASM_PAGE_BYTES)


def written(backend: PageBackend, attachment: Attachment, changed: Iterable[int]) -> None:
    """Ask the tracker, and see that these pages are told: only these, where it starts anew each time."""
    told = attachment.tracker.drain()
    assert told == sorted(set(told))
    assert set(changed) <= set(told)
    if backend.name in FORGETFUL:
        assert set(told) == set(changed)


# The image


@pytest.mark.parametrize("numbers", [(), (0,), (3, 4, 15), (0, 47), tuple(range(0, 48, 2))])
def test_an_image_shows_and_was_not_written(
    backend: PageBackend, new_memory: MemoryMaker, numbers: tuple[int, ...]
) -> None:
    memory = new_memory(3)
    attached = attach(backend, memory, image_of(backend, 3, *numbers))
    assert contents(memory) == replaced(bytearray(), 3, {number: page(number, 2) for number in numbers})
    written(backend, attached, [])


def test_an_image_shorter_than_its_memory_shows_zeros_beyond(backend: PageBackend, new_memory: MemoryMaker) -> None:
    memory = new_memory(2)
    attached = attach(backend, memory, image_of(backend, 1, 15))
    assert contents(memory) == bytes(15 * PAGE_BYTES) + page(15, 2) + bytes(WASM_PAGE_BYTES)
    memory.write(20 * PAGE_BYTES, b"\1")
    written(backend, attached, [20])
    attached.mapping.restore({20: None})
    assert memory.read(20 * PAGE_BYTES, 1) == b"\0"


def test_a_memory_that_can_hold_nothing_may_be_opened(backend: PageBackend, new_memory: MemoryMaker) -> None:
    attached = backend.attach(new_memory(0, 0), NO_IMAGE, 0)
    assert attached.tracker.drain() == []
    assert not attached.tracker.touched()
    attached.protection.allow(writing=False, wasm_pages=0)
    attached.mapping.restore({})


def test_an_empty_memory_may_grow(backend: PageBackend, new_memory: MemoryMaker) -> None:
    memory = new_memory(0)
    attached = attach(backend, memory)
    assert attached.tracker.drain() == []
    memory.grow(2)
    memory.write(WASM_PAGE_BYTES, b"\1")
    assert 16 in attached.tracker.drain()
    attached.mapping.restore({16: None})
    assert contents(memory) == bytes(2 * WASM_PAGE_BYTES)


def test_memories_of_one_image_do_not_see_each_other_and_leave_it_alone(
    backend: PageBackend, new_memory: MemoryMaker
) -> None:
    image = image_of(backend, 1, 1)
    one, two = new_memory(1), new_memory(1)
    attached = attach(backend, one, image), attach(backend, two, image)
    host_write(one, PAGE_BYTES, b"one")
    host_write(two, 2 * PAGE_BYTES, b"two")
    written(backend, attached[0], [1])
    written(backend, attached[1], [2])
    assert two.read(PAGE_BYTES, PAGE_BYTES) == page(1, 2)
    assert dict(image.pages()) == {1: page(1, 2)}


def overlay_with_changes(backend: PageBackend) -> OverlayImage:
    """A page of zeros over data, new pages, and an end that was cut off and grown again."""
    overlay = OverlayImage(image_of(backend, 4, 0, 1, 2, 20, 40, 63), backend.image_maker()())
    overlay.replace(4, {1: page(1, 0), 2: page(2, 3), 30: page(30, 3), 50: page(50, 3)})
    overlay.replace(2, {})
    overlay.replace(4, {40: page(40, 3), 41: page(41, 0)})
    return overlay


OVERLAID = {0: page(0, 2), 2: page(2, 3), 20: page(20, 2), 30: page(30, 3), 40: page(40, 3)}


def test_newer_pages_over_an_image_show_and_come_back(backend: PageBackend, new_memory: MemoryMaker) -> None:
    memory = new_memory(4)
    attached = attach(backend, memory, overlay_with_changes(backend))
    expected = replaced(bytearray(), 4, OVERLAID)
    assert contents(memory) == expected
    for number in range(64):
        memory.write(number * PAGE_BYTES + 8, b"changed")
    written(backend, attached, range(64))
    attached.mapping.restore(dict.fromkeys(range(64)))
    assert contents(memory) == expected


# Writes


def by_address(memory: AnyMemory, offset: int, data: bytes) -> None:
    host_write(memory, offset, data)


def by_itself(memory: AnyMemory, offset: int, data: bytes) -> None:
    memory.write(offset, data)


@pytest.mark.parametrize("write", [by_address, by_itself])
def test_every_changed_page_is_told_once(
    backend: PageBackend, new_memory: MemoryMaker, write: Callable[[AnyMemory, int, bytes], None]
) -> None:
    memory = new_memory(3)
    attached = attach(backend, memory, image_of(backend, 2, 4, 5, 31))
    memory.read(7 * PAGE_BYTES, 8)  # reading is no writing
    for offset, data, numbers in [
        (5 * PAGE_BYTES - 1, b"ab", [4, 5]),
        (8, b"\1", [0]),
        (5 * PAGE_BYTES, b"c", [5]),  # again
        (3 * WASM_PAGE_BYTES - 1, b"\1", [47]),
        (0, b"\1" * WASM_PAGE_BYTES, list(range(16))),
    ]:
        write(memory, offset, data)
        written(backend, attached, numbers)
        written(backend, attached, [])


def test_more_pages_than_one_answer_of_the_kernel_holds_are_told(backend: PageBackend, new_memory: MemoryMaker) -> None:
    memory = new_memory(PAGES_MAX)
    attached = attach(backend, memory)
    numbers = range(0, PAGES_MAX * PAGES_PER_WASM_PAGE, 2)
    for number in numbers:
        memory.write(number * PAGE_BYTES, b"\1")
    written(backend, attached, numbers)


def test_growth_alone_is_no_write_and_writes_to_it_are_told(backend: PageBackend) -> None:
    memory = ReservedMemory(1)
    attached = attach(backend, memory, image_of(backend, 1, 3))
    memory.grow(2)
    assert memory.read(WASM_PAGE_BYTES, 2 * WASM_PAGE_BYTES) == bytes(2 * WASM_PAGE_BYTES)
    written(backend, attached, [])
    memory.write(40 * PAGE_BYTES, b"\1")
    memory.write(3 * PAGE_BYTES, b"\1")
    written(backend, attached, [3, 40])


def test_all_that_was_written_is_told_of_a_memory_that_moved(backend: PageBackend) -> None:
    memory = MovingMemory(2)
    attached = attach(backend, memory, image_of(backend, 2, 1, 20))
    memory.write(8, b"before")
    memory.grow(1)
    memory.write(40 * PAGE_BYTES, b"after")
    assert {0, 40} <= set(attached.tracker.drain())
    memory.write(1 * PAGE_BYTES, b"later")
    assert 1 in attached.tracker.drain()
    written(backend, attached, [])


# Putting back


def test_pages_are_put_back_to_given_bytes_and_to_those_of_the_image(
    backend: PageBackend, new_memory: MemoryMaker
) -> None:
    memory = new_memory(2)
    attached = attach(backend, memory, image_of(backend, 2, 1, 2, 3, 20))
    for number in (0, 1, 2, 3, 20, 31):
        memory.write(number * PAGE_BYTES, b"changed")
    attached.tracker.drain()
    attached.mapping.restore({1: page(1, 3), 0: None, 2: None, 3: None, 20: page(20, 0), 31: None})
    assert contents(memory) == replaced(bytearray(), 2, {1: page(1, 3), 2: page(2, 2), 3: page(3, 2)})
    attached.tracker.drain()
    for number in (0, 1, 2, 20):
        memory.write(number * PAGE_BYTES, b"changed again")
    written(backend, attached, [0, 1, 2, 20])


def test_pages_that_a_memory_grew_by_become_zeros_again(backend: PageBackend, new_memory: MemoryMaker) -> None:
    memory = new_memory(1)
    attached = attach(backend, memory, image_of(backend, 1, 0))
    memory.grow(1)
    memory.write(0, b"\1" * 2 * WASM_PAGE_BYTES)
    attached.tracker.drain()
    attached.mapping.restore(dict.fromkeys(range(32)))
    assert contents(memory) == page(0, 2) + bytes(2 * WASM_PAGE_BYTES - PAGE_BYTES)


def test_pages_are_put_back_where_the_memory_is_now(backend: PageBackend) -> None:
    memory = MovingMemory(1)
    attached = attach(backend, memory, image_of(backend, 1, 0, 1, 2))
    memory.write(PAGE_BYTES, b"before")
    memory.grow(1)
    assert memory.read(2 * PAGE_BYTES, PAGE_BYTES) == page(2, 2)
    memory.write(0, b"after")
    memory.write(20 * PAGE_BYTES, b"after")
    attached.mapping.restore({0: None, 1: None, 2: page(2, 5), 20: None})
    assert contents(memory) == replaced(bytearray(), 2, {0: page(0, 2), 1: page(1, 2), 2: page(2, 5)})


# Which pages were touched


def test_the_pages_touched_are_told_exactly_or_not_at_all(backend: PageBackend) -> None:
    memory = ReservedMemory(3)
    attached = attach(backend, memory, image_of(backend, 2, *range(20)))
    memory.read(5 * PAGE_BYTES, 1)
    memory.read(7 * PAGE_BYTES - 1, 2)
    memory.write(40 * PAGE_BYTES, b"\1")
    memory.read(30 * PAGE_BYTES, 1)
    if backend is not USERFAULTFD:
        assert attached.tracker.touched() is None
        return
    assert attached.tracker.touched() == [(5, 3), (30, 1), (40, 1)]
    attached.tracker.drain()
    memory.read(0, 1)
    memory.grow(1)
    memory.write(50 * PAGE_BYTES, b"\1")
    assert attached.tracker.touched() == [(0, 1), (5, 3), (30, 1), (40, 1), (50, 1)]


def test_the_pages_touched_are_not_known_of_a_memory_that_moved(backend: PageBackend) -> None:
    memory = MovingMemory(1)
    attached = attach(backend, memory, image_of(backend, 1, 1))
    memory.read(PAGE_BYTES, 1)
    memory.grow(1)
    assert attached.tracker.touched() is None
    attached.tracker.drain()
    assert attached.tracker.touched() is None


# Many at once


def test_trackers_on_several_threads_do_not_disturb_each_other(
    backend: PageBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A world for each thread is what we tell users to have."""
    wrong: list[tuple[list[int], list[int]]] = []
    start = threading.Barrier(4)
    ioctl = fcntl.ioctl

    def ioctl_and_let_others_run(*arguments: Any) -> Any:
        result = ioctl(*arguments)
        time.sleep(0.000_1)
        return result

    def work(seed: int) -> None:
        memory = ReservedMemory(8)
        attached = attach(backend, memory)
        start.wait()
        for turn in range(20):
            numbers = sorted({(seed * 31 + turn * 7 + n * n) % 128 for n in range(20)})
            for number in numbers:
                memory.write(number * PAGE_BYTES, turn.to_bytes(2, "little") + b"\1")
            told = attached.tracker.drain()
            if not set(numbers) <= set(told) or (backend.name in FORGETFUL and told != numbers):
                wrong.append((numbers, told))

    monkeypatch.setattr(fcntl, "ioctl", ioctl_and_let_others_run)
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

    def replace(self, wasm_pages: int, pages: Mapping[int, bytes]) -> None:
        pass
