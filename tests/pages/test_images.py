"""Images of every kind do what a bytearray does, whatever files lie behind them and whatever those cannot do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from storagemod.pages import (
    NO_IMAGE,
    PAGE_BYTES,
    PAGES_PER_WASM_PAGE,
    ZERO_PAGE,
    FileImage,
    LiveRegion,
    MemoryImage,
    OverlayImage,
    UndoLog,
    WritableImage,
    file_image,
    read_image,
)
from storagemod.pages.backend import PAGEMAP
from storagemod.pages.file_image import MemoryFile
from storagemod.pages.image import EXTENTS_MAX
from storagemod.types import WASM_PAGE_BYTES
from tests.pages.images import ENDLESS, FULL, HEADER_BYTES, SUBJECTS, Subject, page, replaced, subject
from tests.pages.memories import ReservedMemory

WASM_PAGES = 4
PAGES = WASM_PAGES * PAGES_PER_WASM_PAGE

Step: TypeAlias = tuple[Any, ...]

VARIANTS: dict[str, dict[str, object]] = {
    "as it is": {},
    "with few mappings": {"_GAP_PAGES": 1, "EXTENTS_MAX": 3},
    "without holes": {"punch_hole": lambda *_: False},
}

lengths = st.integers(0, WASM_PAGES)
numbers = st.one_of(st.integers(0, PAGES - 1), st.sampled_from([0, 15, 16, PAGES - 1]))
pages = st.dictionaries(numbers, st.integers(0, 3), max_size=8)
replacements = st.tuples(lengths, pages)
steps = st.one_of(
    st.tuples(st.just("replace"), replacements),
    st.tuples(st.just("fail"), replacements, st.integers(0, 6)),
    st.tuples(st.sampled_from(["settle", "reopen", "map"])),
    st.tuples(st.just("fail to map"), st.integers(0, 6)),
    st.tuples(st.just("fail to settle"), st.integers(0, 6)),
)


def check(under_test: Subject) -> None:
    image, data = under_test.image, under_test.data
    end = len(data) // PAGE_BYTES
    assert image.wasm_pages * WASM_PAGE_BYTES == len(data)
    assert b"".join(image.page(number) for number in range(end)) == data
    assert all(image.page(number) == ZERO_PAGE for number in (end, end + 1, end + 40))
    expected = [(number, bytes(data[number * PAGE_BYTES :][:PAGE_BYTES])) for number in range(end)]
    assert list(image.pages()) == [(number, each) for number, each in expected if any(each)]
    assert read_image(image, len(data) // 3, len(data) // 2) == data[len(data) // 3 : len(data) // 2]
    for neighbour in under_test.neighbours:
        assert dict(neighbour.pages()) == {0: page(0, 9), 15: page(15, 9)}


def can_be_mapped(image: WritableImage) -> bool:
    return isinstance(image, FileImage | OverlayImage) and not isinstance(getattr(image, "_upper", None), MemoryImage)


def check_mapping(under_test: Subject) -> None:
    image = under_test.image
    if not can_be_mapped(image):
        return
    assert isinstance(image, FileImage | OverlayImage)
    for at_most in (EXTENTS_MAX, 5, 1):
        assert len(image.extents(at_most)[0]) <= at_most
        memory = ReservedMemory(image.wasm_pages)
        try:
            region = LiveRegion("memory", memory, image, PAGEMAP, UndoLog(), memory.pages, at_most)
            assert memory.read(0, len(under_test.data)) == under_test.data
            if memory.pages:
                memory.write(0, bytes(7))
            if region.refresh(image, anew=True):
                assert memory.read(0, len(under_test.data)) == under_test.data
        finally:
            memory.close()
    for extent in image.extents()[0]:
        assert extent.offset % PAGE_BYTES == 0
        assert extent.page_count > 0
        assert extent.first_page + extent.page_count <= image.wasm_pages * PAGES_PER_WASM_PAGE
        assert os.fstat(extent.fd).st_size >= extent.offset + extent.page_count * PAGE_BYTES


def made_of(fills: Mapping[int, int]) -> dict[int, bytes]:
    return {number: page(number, fill) for number, fill in fills.items()}


def take(under_test: Subject, step: Step) -> None:
    match step:
        case ("replace", (wasm_pages, fills)):
            under_test.replace(wasm_pages, made_of(fills))
        case ("fail", (wasm_pages, fills), uses):
            fail_to_replace(under_test, wasm_pages, made_of(fills), uses)
        case ("map",):
            check_mapping(under_test)
        case ("fail to map", uses) if under_test.file is not None and can_be_mapped(under_test.image):
            under_test.file.good_uses = uses
            with suppress(OSError):
                check_mapping(under_test)
            under_test.file.good_uses = ENDLESS
        case ("settle",) if isinstance(under_test.image, OverlayImage):
            under_test.image.settle()
            assert under_test.image.newer_pages == 0
        case ("fail to settle", uses) if under_test.file is not None and isinstance(under_test.image, OverlayImage):
            under_test.file.good_uses = uses
            try:
                under_test.image.settle()
            except OSError:
                assert under_test.image.newer_pages or under_test.file.good_uses < 0
            under_test.file.good_uses = ENDLESS
        case ("reopen",) if under_test.reopen is not None:
            under_test.image = under_test.reopen(under_test.image.wasm_pages)


def fail_to_replace(under_test: Subject, wasm_pages: int, new: Mapping[int, bytes], uses: int) -> None:
    """A replacement that fails on the way leaves each page old or new; replacing it back brings back what was."""
    if under_test.file is None or isinstance(under_test.image, OverlayImage):
        return
    before, image = under_test.data, under_test.image
    after = replaced(before, wasm_pages, new)
    under_test.file.good_uses = uses
    try:
        image.replace(wasm_pages, new)
    except OSError:
        assert image.wasm_pages * WASM_PAGE_BYTES == len(before)
        for number in range(PAGES):
            span = slice(number * PAGE_BYTES, (number + 1) * PAGE_BYTES)
            old_or_new = (before[span].ljust(PAGE_BYTES, b"\0"), after[span].ljust(PAGE_BYTES, b"\0"))
            assert image.page(number) in (old_or_new if span.stop <= len(before) else (ZERO_PAGE,))
    under_test.file.good_uses = ENDLESS
    old = {number: bytes(before[number * PAGE_BYTES :][:PAGE_BYTES]) for number in range(len(before) // PAGE_BYTES)}
    image.replace(len(before) // WASM_PAGE_BYTES, old)


class FileImageMachine(RuleBasedStateMachine):
    """An image in a file, its file read through the extents, and a dictionary of pages hold the same."""

    def __init__(self) -> None:
        super().__init__()
        self.image = MemoryFile().new_image()
        self.length = 0
        self.pages: dict[int, bytes] = {}

    @rule(length=lengths, fills=pages)
    def replace(self, length: int, fills: dict[int, int]) -> None:
        version = self.image.version
        self.image.replace(length, made_of(fills))
        assert self.image.version > version
        self.length = length
        self.pages = {
            number: data
            for number, data in (self.pages | made_of(fills)).items()
            if number < length * PAGES_PER_WASM_PAGE
        }

    @rule(number=numbers)
    def read_a_page(self, number: int) -> None:
        assert self.image.page(number) == self.pages.get(number, ZERO_PAGE)

    @rule()
    def read_all_pages(self) -> None:
        expected = [(number, data) for number, data in sorted(self.pages.items()) if data != ZERO_PAGE]
        assert list(self.image.pages()) == expected

    @rule(at_most=st.sampled_from([1, 2, 64]))
    def read_through_the_file(self, at_most: int) -> None:
        version = self.image.version
        shown = {}
        extents, copied = self.image.extents(at_most)
        assert len(extents) <= at_most
        assert not copied
        for extent in extents:
            for place in range(extent.page_count):
                shown[extent.first_page + place] = os.pread(extent.fd, PAGE_BYTES, extent.offset + place * PAGE_BYTES)
        assert all(number < self.length * PAGES_PER_WASM_PAGE for number in shown)
        assert all(data == self.pages.get(number, ZERO_PAGE) for number, data in shown.items())
        assert all(number in shown or data == ZERO_PAGE for number, data in self.pages.items())
        assert self.image.version == version

    @invariant()
    def lengths_agree(self) -> None:
        assert self.image.wasm_pages == self.length


@pytest.mark.parametrize("pending_pages_max", [0, 3, 10, 256])
def test_a_file_image_does_what_a_dictionary_does(pending_pages_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def new_image(file: MemoryFile) -> FileImage:
        return FileImage(file, file.new_slot(), pending_pages_max=pending_pages_max)

    monkeypatch.setattr(MemoryFile, "new_image", new_image)
    run_state_machine_as_test(FileImageMachine, settings=settings(max_examples=40, deadline=None))


ZEROS_ONLY = [("replace", (4, {0: 0, 47: 0}))]
GROWN_AND_CUT = [("replace", (4, {63: 2, 20: 3})), ("replace", (1, {})), ("replace", (4, {30: 2}))]
HALF_SETTLED = [
    ("replace", (4, {50: 2, 60: 2})),
    ("fail to settle", 2),
    ("replace", (3, {})),
    ("replace", (4, {63: 3})),
    ("settle",),
]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", SUBJECTS)
@given(st.lists(steps, max_size=6))
@example(ZEROS_ONLY)
@example(GROWN_AND_CUT)
@example(HALF_SETTLED)
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_an_image_holds_what_a_bytearray_would(kind: str, variant: str, history: list[Step]) -> None:
    with pytest.MonkeyPatch.context() as patch, subject(kind) as under_test:
        for name, value in VARIANTS[variant].items():
            patch.setattr(file_image, name, value)
        check(under_test)
        for step in history:
            size = under_test.file.size if under_test.file else 0
            image, version, before = under_test.image, under_test.image.version, bytes(under_test.data)
            take(under_test, step)
            check(under_test)
            assert under_test.file is None or under_test.file.size >= size, "a mapped file must never be shortened"
            if under_test.image is image:
                assert image.version > version or (image.version == version and under_test.data == before)
        check_mapping(under_test)
        check(under_test)


@pytest.mark.parametrize("kind", SUBJECTS)
def test_the_version_grows_with_each_replacement_and_not_by_reading(kind: str) -> None:
    with subject(kind) as under_test:
        image = under_test.image
        version = image.version
        for pages in ({}, {0: page(0, 2)}, {0: page(0, 2)}):
            image.replace(1, pages)
            assert image.version > version
            version = image.version
        image.page(0), list(image.pages())
        if can_be_mapped(image):
            image.extents()  # type: ignore[attr-defined]
        assert image.version == version


def test_nothing_was_committed_to_no_image() -> None:
    assert (NO_IMAGE.version, NO_IMAGE.wasm_pages, NO_IMAGE.page(3)) == (0, 0, ZERO_PAGE)
    assert not list(NO_IMAGE.pages())
    assert NO_IMAGE.extents() == ((), ())


@pytest.mark.parametrize("kind", SUBJECTS)
def test_pages_beyond_the_length_are_not_taken(kind: str) -> None:
    with subject(kind) as under_test:
        under_test.replace(1, {3: page(3, 2), 16: page(16, 2), 2**20 - 1: page(0, 2)})
        check(under_test)
        under_test.replace(2, {})
        check(under_test)


def test_what_the_file_has_beyond_the_length_of_an_image_never_shows() -> None:
    with subject("disk file") as under_test:
        assert under_test.file is not None
        under_test.replace(3, FULL)
        under_test.image = FileImage(under_test.file, HEADER_BYTES, 1, pages_in_file=48)
        under_test.data = under_test.data[:WASM_PAGE_BYTES]
        check(under_test)
        under_test.replace(3, {20: page(20, 2)})
        check(under_test)
