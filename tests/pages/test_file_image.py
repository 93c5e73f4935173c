"""Images in files: what they take, what they map, and files that do less than they should."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from storagemod.errors import StateError
from storagemod.pages import (
    PAGE_BYTES,
    PAGES_PER_WASM_PAGE,
    FileImage,
    LiveRegion,
    PageFile,
    UndoLog,
    _libc,
    file_image,
)
from storagemod.pages.backend import PAGEMAP
from storagemod.pages.file_image import MemoryFile
from storagemod.types import WASM_PAGE_BYTES
from tests.pages.images import HEADER_BYTES, disk_file, page
from tests.pages.memories import ReservedMemory

BLOCKS_PER_PAGE = PAGE_BYTES // 512
WASM_PAGES_4_GIB = 65_536


@pytest.fixture
def memory_file() -> MemoryFile:
    return MemoryFile()


def blocks(file: PageFile) -> int:
    return os.fstat(file.fd).st_blocks


def runs(image: FileImage) -> list[tuple[int, int]]:
    return [(extent.first_page, extent.first_page + extent.page_count) for extent in image.extents()[0]]


def filled(*numbers: int) -> dict[int, bytes]:
    return {number: page(number, 2) for number in numbers}


@contextmanager
def mapped(image: FileImage) -> Iterator[ReservedMemory]:
    memory = ReservedMemory(image.wasm_pages, image.wasm_pages)
    LiveRegion("memory", memory, image, PAGEMAP, UndoLog(), memory.pages)
    try:
        yield memory
    finally:
        memory.close()


# What is mapped


@pytest.mark.parametrize("order", [(0, 17, 40), (40, 17, 0)])
def test_pages_are_mapped_together_when_16_pages_or_fewer_lie_between(
    memory_file: MemoryFile, order: tuple[int, ...]
) -> None:
    image = memory_file.new_image()
    for number in order:
        image.replace(4, filled(number))
    assert runs(image) == [(0, 18), (40, 41)]
    image.replace(4, filled(24))
    assert runs(image) == [(0, 41)]


def test_no_more_than_64_places_of_an_image_are_mapped_and_the_longest_gaps_are_left_out(
    memory_file: MemoryFile,
) -> None:
    image = memory_file.new_image()
    numbers = [0, *range(500, 1_000, 20), *range(1_500, 2_500, 20), 3_000]
    image.replace(200, filled(*numbers))
    found = runs(image)
    assert len(found) <= 64
    assert all(any(first <= number < end for first, end in found) for number in numbers)
    assert not any(first <= hole < end for first, end in found for hole in (250, 1_250, 2_750))
    with mapped(image) as memory:
        for number in numbers:
            assert memory.read(number * PAGE_BYTES, PAGE_BYTES) == page(number, 2)


def test_what_is_cut_off_is_mapped_no_more(memory_file: MemoryFile) -> None:
    image = memory_file.new_image()
    image.replace(4, filled(0, 14, 30, 60))
    assert runs(image) == [(0, 31), (60, 61)]
    image.replace(1, {})
    assert runs(image) == [(0, 16)]
    image.replace(0, {})
    assert runs(image) == []


# What it takes


@pytest.mark.parametrize("count", [2, 64, 100])
def test_reading_a_big_hole_takes_no_memory(memory_file: MemoryFile, count: int) -> None:
    image = memory_file.new_image()
    first_end, second = 20 * count, 20 * count + 1_024
    image.replace(second // PAGES_PER_WASM_PAGE + 1, filled(*range(0, first_end, 20), second))
    image.flush()
    before = blocks(memory_file)
    with mapped(image) as memory:
        for number in range(first_end, second):
            assert memory.read(number * PAGE_BYTES, 1) == b"\0"
    assert blocks(memory_file) == before


def test_4_gib_of_sparse_storage_take_what_its_pages_take(memory_file: MemoryFile) -> None:
    def resident_pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    last = WASM_PAGES_4_GIB * PAGES_PER_WASM_PAGE - 1
    image = memory_file.new_image()
    image.replace(WASM_PAGES_4_GIB, filled(0, 500_000, last))
    image.flush()
    assert blocks(memory_file) == 3 * BLOCKS_PER_PAGE
    before = resident_pages()
    with mapped(image) as memory:
        assert memory.read(last * PAGE_BYTES, PAGE_BYTES) == page(last, 2)
        assert memory.read(1 << 31, 8) == bytes(8)
        assert resident_pages() - before < 1_000
    assert [number for number, _ in image.pages()] == [0, 500_000, last]
    assert blocks(memory_file) == 3 * BLOCKS_PER_PAGE
    image.replace(0, {})
    assert blocks(memory_file) == 0


def test_memory_files_give_the_memory_of_zero_pages_back(memory_file: MemoryFile) -> None:
    image = memory_file.new_image()
    for pages in (filled(*range(64)), dict.fromkeys(range(10), bytes(PAGE_BYTES))):
        image.replace(4, pages)
        image.flush()
    assert blocks(memory_file) == 54 * BLOCKS_PER_PAGE
    image.replace(1, {})
    assert blocks(memory_file) == 6 * BLOCKS_PER_PAGE


def test_files_give_the_blocks_of_zero_pages_back() -> None:
    with disk_file() as file:
        image = FileImage(file, HEADER_BYTES, pending_pages_max=0)
        image.replace(4, filled(*range(64)))
        before = file.blocks
        image.replace(1, dict.fromkeys(range(8), bytes(PAGE_BYTES)))
        freed = before - file.blocks
        if _libc.punch_hole(file.fd, HEADER_BYTES, PAGE_BYTES):
            assert freed == (48 + 8) * BLOCKS_PER_PAGE
        else:  # this file system has no holes
            assert freed == 0
        assert dict(image.pages()) == filled(*range(8, 16))


def test_telling_the_pages_of_a_sparse_image_reads_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    pread = os.pread

    def counted(fd: int, length: int, offset: int) -> bytes:
        reads.append(offset)
        return pread(fd, length, offset)

    with disk_file() as file:
        FileImage(file, HEADER_BYTES, pending_pages_max=0).replace(WASM_PAGES_4_GIB, filled(0, 1, 1_000_000))
        image = FileImage(file, HEADER_BYTES, WASM_PAGES_4_GIB, pages_in_file=(file.size - HEADER_BYTES) // PAGE_BYTES)
        monkeypatch.setattr(os, "pread", counted)
        assert dict(image.pages()) == filled(0, 1, 1_000_000)
        assert len(reads) < 100  # a file system may keep more than 4 KiB together


def test_a_world_of_images_needs_one_descriptor_and_gives_it_back() -> None:
    def open_files() -> list[str]:
        return sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no directory of paths

    before = open_files()
    file = MemoryFile()
    images = [file.new_image() for _ in range(50)]
    for image in images:
        image.replace(1, filled(3))
        image.flush()
    assert len(open_files()) == len(before) + 1
    del file, image
    assert images[7].page(3) == page(3, 2)
    images.clear()
    assert open_files() == before


def test_a_memory_file_is_not_handed_to_programs_that_are_started(memory_file: MemoryFile) -> None:
    assert not os.get_inheritable(memory_file.fd)
    assert stat.S_ISREG(os.fstat(memory_file.fd).st_mode)


# What waits in memory


def test_pages_are_written_when_they_are_mapped(memory_file: MemoryFile) -> None:
    image = memory_file.new_image()
    image.replace(1, filled(2, 3))
    assert not blocks(memory_file)
    assert dict(image.pages()) == filled(2, 3)
    assert runs(image) == [(2, 4)]
    assert blocks(memory_file) == 2 * BLOCKS_PER_PAGE


def test_too_many_pages_are_written_all_at_once(memory_file: MemoryFile) -> None:
    image = memory_file.new_image()
    image.replace(40, filled(*range(200)))
    assert not blocks(memory_file)
    image.replace(40, filled(*range(190, 257)))
    assert blocks(memory_file) == 257 * BLOCKS_PER_PAGE
    image.replace(40, filled(0))
    image.replace(40, {0: page(0, 3)})
    assert blocks(memory_file) == 257 * BLOCKS_PER_PAGE
    assert dict(image.pages()) == filled(*range(1, 257)) | {0: page(0, 3)}


def test_a_flush_that_fails_leaves_the_image_as_it_was() -> None:
    with disk_file() as file:
        image = FileImage(file, HEADER_BYTES)
        image.replace(4, filled(0, 20, 40))
        for uses in range(5):
            file.good_uses = uses
            with suppress(OSError):
                image.flush()
            assert dict(image.pages()) == filled(0, 20, 40)
        file.good_uses = 100
        image.flush()
        assert dict(FileImage(file, HEADER_BYTES, 4, pages_in_file=64).pages()) == filled(0, 20, 40)


# Files that do less than they should


def test_a_write_that_takes_a_part_goes_on_with_the_rest(
    memory_file: MemoryFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:1_000], offset))
    image = memory_file.new_image()
    image.replace(1, filled(2, 3, 4))
    image.flush()
    assert dict(image.pages()) == filled(2, 3, 4)


def test_holes_that_are_shorter_than_a_page_are_no_reason_to_tell_it_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    grain = 1_024
    held = {5 * grain, 7 * grain, 9 * grain, 40 * grain}
    end = HEADER_BYTES + WASM_PAGE_BYTES

    def seek(fd: int, at: int, how: int) -> int:  # noqa: ARG001 - the signature of os.lseek
        places = range(at, end, grain) if at % grain == 0 else range(at - at % grain, end, grain)
        if how == os.SEEK_HOLE:
            return next((max(at, place) for place in places if place not in held), end)
        found = next((max(at, place) for place in places if place in held), None)
        if found is None:
            raise OSError(6, "ENXIO")
        return found

    with disk_file() as file:
        os.ftruncate(file.fd, end)
        for place in held:
            os.pwrite(file.fd, b"\1" * grain, place)
        image = FileImage(file, HEADER_BYTES, 1, pages_in_file=16)
        monkeypatch.setattr(os, "lseek", seek)
        assert [number for number, _ in image.pages()] == [0, 1, 9]


def test_a_file_that_ends_within_a_page_is_read_as_zeros_from_there_on() -> None:
    with disk_file() as file:
        FileImage(file, HEADER_BYTES, pending_pages_max=0).replace(1, filled(0, 1))
        os.ftruncate(file.fd, HEADER_BYTES + PAGE_BYTES + 8)
        image = FileImage(file, HEADER_BYTES, 1, pages_in_file=2)
        assert dict(image.pages()) == {0: page(0, 2), 1: page(1, 2)[:8] + bytes(PAGE_BYTES - 8)}
        assert image.page(15) == bytes(PAGE_BYTES)


def test_a_file_that_cannot_be_read_is_an_error_of_the_state() -> None:
    with disk_file() as file:
        FileImage(file, HEADER_BYTES, pending_pages_max=0).replace(1, filled(0))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(file), "fd", -1)
            image = FileImage(file, HEADER_BYTES, 1, pages_in_file=1)
            with pytest.raises(StateError, match=r"page 0 of an image cannot be read: .*Bad file descriptor"):
                image.page(0)
            with pytest.raises(StateError, match=r"an image cannot be read: .*Bad file descriptor"):
                list(image.pages())


def test_a_system_without_holes_is_told_so() -> None:
    read, write = os.pipe()
    try:
        assert not _libc.punch_hole(write, 0, PAGE_BYTES)
    finally:
        os.close(read)
        os.close(write)


def test_the_maximum_of_mappings_is_what_is_documented() -> None:
    assert (file_image._GAP_PAGES, file_image.EXTENTS_MAX, file_image.PENDING_PAGES_MAX) == (16, 64, 256)
