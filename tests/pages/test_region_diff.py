"""Changes of a region: what they are made from, joined, and taken back."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod.pages import PAGE_BYTES, ImageEdit, MemoryImage, RegionDiff, image_length, read_image
from storagemod.types import WASM_PAGE_BYTES

writes = st.tuples(
    st.one_of(st.integers(0, 3 * WASM_PAGE_BYTES), st.sampled_from([4_095, 4_096, 65_535, 65_536])),
    st.builds(lambda fill, length: bytes([fill]) * length, st.integers(0, 2), st.integers(1, 10_000)),
)


def apply(image: MemoryImage, change: RegionDiff) -> None:
    assert (change.pages_old, change.length_old) == (image.wasm_pages, image_length(image))
    assert all(image.page(number) == old for number, (old, _) in change.pages.items())
    image.replace(change.pages_new, {number: new for number, (_, new) in change.pages.items()}, change.spare_new)
    assert change.length_new == image_length(image)


def contents(image: MemoryImage) -> tuple[int, bytes]:
    assert not read_image(image, image_length(image), image.wasm_pages * WASM_PAGE_BYTES).strip(b"\0")
    return image.wasm_pages, read_image(image, 0, image_length(image))


@given(st.lists(writes, min_size=1, max_size=5), st.sampled_from([1, WASM_PAGE_BYTES]))
@settings(deadline=None)
def test_bytes_are_overwritten_and_can_be_taken_back_at_once_or_one_by_one(
    history: list[tuple[int, bytes]], page_bytes: int
) -> None:
    image, at_once, data = MemoryImage(), MemoryImage(), bytearray()
    changes = []
    for offset, written in history:
        edit = ImageEdit(image, page_bytes=page_bytes)
        edit.write(offset, written)
        assert edit.read(offset, len(written)) == written
        changes.append(edit.diff())
        apply(image, changes[-1])
        end = -(-max(len(data), offset + len(written)) // page_bytes) * page_bytes
        data += bytes(end - len(data))
        data[offset : offset + len(written)] = written
        assert contents(image) == (-(-end // WASM_PAGE_BYTES), bytes(data))
        runs = {run.offset: run.new for run in changes[-1].runs()}
        assert all(data[at : at + len(new)] == new for at, new in runs.items())
    merged = changes[0].merged(*changes[1:])
    apply(at_once, merged)
    assert contents(at_once) == contents(image)
    assert all(old != new for old, new in merged.pages.values())
    apply(at_once, merged.inverted())
    for change in reversed(changes):
        apply(image, change.inverted())
    assert contents(image) == contents(at_once) == (0, b"")
    undone = merged.merged(merged.inverted())
    assert not undone
    assert undone.pages == {}


def test_a_change_is_true_if_it_changes_bytes_or_a_length() -> None:
    page = b"\1" * PAGE_BYTES
    zeros = bytes(PAGE_BYTES)
    for lengths, pages in itertools.product([(1, 1), (1, 2), (2, 1)], [{}, {0: (zeros, page)}]):
        assert bool(RegionDiff(*lengths, pages)) == (bool(pages) or lengths != (1, 1))
        assert RegionDiff(*lengths, pages, 1, 0)
        assert RegionDiff(*lengths, pages, 0, 1)
