"""Memory follows an image that is replaced: as if it were mapped anew, whatever the images and trackers are."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storagemod.pages import (
    PAGE_BYTES,
    PAGES_PER_WASM_PAGE,
    FileImage,
    LiveRegion,
    MemoryFile,
    MemoryImage,
    OverlayImage,
    PageBackend,
    UndoLog,
    WritableImage,
    read_image,
)
from storagemod.types import WASM_PAGE_BYTES
from tests.pages.images import page
from tests.pages.memories import PAGES_MAX, MemoryMaker

Step: TypeAlias = tuple[Any, ...]

numbers = st.integers(0, 2 * PAGES_PER_WASM_PAGE - 1)
replacements = st.tuples(
    st.just("replace"),
    st.sampled_from([2, 2, 2, 1, 0]),
    st.dictionaries(numbers, st.integers(0, 3), max_size=3) | st.just(dict.fromkeys(range(20), 1)),
)
steps = st.lists(
    st.one_of(
        replacements,
        st.tuples(st.just("use"), st.booleans(), st.dictionaries(numbers, st.integers(0, 3), max_size=2)),
    ),
    max_size=20,
)

IMAGES = {
    "dictionary": MemoryImage,
    "file": MemoryFile().new_image,
    "file that is written at once": lambda: FileImage(MemoryFile(), 0, pending_pages_max=0),
    "overlay": lambda: OverlayImage(FileImage(MemoryFile(), 0, pending_pages_max=0), MemoryFile().new_image()),
}


def contents(image: WritableImage) -> bytes:
    return read_image(image, 0, image.wasm_pages * WASM_PAGE_BYTES)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps)
def test_memory_that_follows_holds_what_the_image_does(
    backend: PageBackend, new_memory: MemoryMaker, steps: list[Step]
) -> None:
    memory, log = new_memory(2), UndoLog()
    image = backend.image_maker()()
    image.replace(2, {3: page(3, 1)})
    region = LiveRegion("region", memory, image, backend, log, PAGES_MAX)
    for step in (*steps, ("use", False, {})):
        if step[0] == "replace":
            _, wasm_pages, pages = step
            image.replace(wasm_pages, {number: page(number, seed) for number, seed in pages.items()})
            continue
        _, static, written = step
        usable = region.refresh(image)
        assert usable == (image.wasm_pages == 2)
        if not usable:
            continue
        before = contents(image)
        assert memory.read(0, len(before)) == before
        assert not region.collect()
        if static:  # it may not be written now, and has to follow all the same
            region.allow(writing=False)
            continue
        for number, seed in written.items():
            memory.write(number * PAGE_BYTES, page(number, seed))
        expected = [n for n in sorted(written) if page(n, written[n]) != before[n * PAGE_BYTES :][:PAGE_BYTES]]
        assert [number for number, *_ in region.collect()] == expected
        log.undo(0)
        log.restart()
        region.settle(image)
        assert memory.read(0, len(before)) == before


@pytest.mark.parametrize("kind", IMAGES)
@given(st.lists(replacements, max_size=12))
def test_pages_that_an_image_does_not_name_are_as_they_were(kind: str, steps: list[Step]) -> None:
    image: WritableImage = IMAGES[kind]()
    image.replace(2, {0: page(0, 1)})
    earlier = [(image.version, contents(image))]
    for _, wasm_pages, pages in steps:
        image.replace(wasm_pages, {number: page(number, seed) for number, seed in pages.items()})
        now = contents(image)
        for version, before in earlier:
            replaced = image.replaced_since(version)
            if replaced is not None:
                assert len(before) <= len(now)
                old = before.ljust(len(now), b"\0")
                pairs = (
                    (old[at : at + PAGE_BYTES], now[at : at + PAGE_BYTES]) for at in range(0, len(now), PAGE_BYTES)
                )
                differ = {number for number, (one, other) in enumerate(pairs) if one != other}
                assert differ <= set(replaced)
        earlier.append((image.version, now))


@pytest.mark.parametrize("kind", IMAGES)
def test_the_last_small_replacements_are_known(kind: str) -> None:
    image: WritableImage = IMAGES[kind]()
    image.replace(2, {})
    start = image.version
    image.replace(2, {4: page(4, 1)})
    image.replace(2, {5: page(5, 1), 6: page(6, 1)})
    assert image.replaced_since(image.version) is not None
    assert sorted(image.replaced_since(start + 1) or ()) == [5, 6]
    assert sorted(image.replaced_since(start) or ()) == [4, 5, 6]
    image.replace(1, {})
    assert image.replaced_since(start) is None  # the end was cut off
    for _ in range(20):
        image.replace(1, {1: page(1, 2)})
    assert image.replaced_since(start + 3) is None  # too long ago
