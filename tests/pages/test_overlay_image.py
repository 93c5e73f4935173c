"""Newer pages over an image: what lies below stays as it is until they are settled, and if that fails."""

from __future__ import annotations

import os

import pytest

from storagemod.pages import FileImage, MemoryImage, OverlayImage, file_image
from storagemod.pages.file_image import MemoryFile
from tests.pages.images import FULL, HEADER_BYTES, base_image, disk_file, page


@pytest.fixture
def base() -> FileImage:
    return base_image(MemoryFile())


def test_the_base_stays_as_it_is_until_the_overlay_settles(base: FileImage) -> None:
    overlay = OverlayImage(base, MemoryImage())
    overlay.replace(2, {0: page(0, 0), 2: page(2, 2), 40: page(40, 2)})
    overlay.replace(4, {50: page(50, 3)})
    assert (base.wasm_pages, dict(base.pages())) == (3, FULL)
    assert overlay.newer_pages == 3
    overlay.settle()
    assert overlay.newer_pages == 0
    below = {number: data for number, data in FULL.items() if 0 < number < 32}
    assert (base.wasm_pages, dict(base.pages())) == (4, below | {2: page(2, 2), 50: page(50, 3)})


def test_settling_frees_what_the_newer_pages_took(base: FileImage) -> None:
    above = MemoryFile()
    overlay = OverlayImage(base, above.new_image())
    overlay.replace(3, {number: page(number, 2) for number in range(30)})
    overlay.extents()
    assert os.fstat(above.fd).st_blocks
    overlay.settle()
    assert not os.fstat(above.fd).st_blocks


@pytest.mark.parametrize("length", [1, 3, 5])
def test_a_base_that_cannot_be_written_leaves_everything_above(length: int) -> None:
    with disk_file() as file:
        base = base_image(file)
        overlay = OverlayImage(base, MemoryFile().new_image())
        overlay.replace(length, {0: page(0, 0), 2: page(2, 2), 33: page(33, 2)})
        before = dict(overlay.pages())
        for _ in range(2):
            file.good_uses = 0
            with pytest.raises(OSError, match=r"Bad file descriptor|Invalid argument"):
                overlay.settle()
            assert (overlay.wasm_pages, dict(overlay.pages())) == (length, before)
            assert overlay.newer_pages == (3 if length > 2 else 2)
        file.good_uses = 100
        overlay.settle()
        assert (base.wasm_pages, dict(base.pages())) == (length, before)


@pytest.mark.parametrize("uses", range(16))
def test_newer_pages_that_cannot_all_be_dropped_do_not_show(
    base: FileImage, monkeypatch: pytest.MonkeyPatch, uses: int
) -> None:
    monkeypatch.setattr(file_image, "punch_hole", lambda *_: False)
    with disk_file() as file:
        overlay = OverlayImage(base, FileImage(file, HEADER_BYTES, pending_pages_max=0))
        overlay.replace(4, {number: page(number, 2) for number in (0, 2, 60)})
        before = dict(overlay.pages())
        file.good_uses = uses
        try:
            overlay.settle()
        except OSError:
            assert dict(overlay.pages()) == before
        file.good_uses = 100
        overlay.replace(1, {})
        overlay.replace(4, {})
        overlay.settle()
        assert dict(overlay.pages()) == {number: data for number, data in before.items() if number < 16}


def test_only_newer_pages_in_a_file_are_mapped(base: FileImage) -> None:
    with pytest.raises(TypeError, match="if its newer pages are in a file"):
        OverlayImage(base, MemoryImage()).extents()


@pytest.mark.parametrize("mapped", [False, True])
def test_settling_makes_mappings_of_the_newer_pages_invalid(base: FileImage, mapped: bool) -> None:
    overlay = OverlayImage(base, MemoryFile().new_image())
    overlay.extents()  # only of the base
    overlay.replace(3, {0: page(0, 2)})
    if mapped:
        overlay.extents()
    before = overlay.version
    overlay.settle()
    assert (overlay.version > before) == mapped
    before = overlay.version
    overlay.settle()
    assert overlay.version == before


def test_an_overlay_is_settled_when_its_base_shows_the_same(base: FileImage) -> None:
    overlay = OverlayImage(base, MemoryFile().new_image())
    assert overlay.settled
    for changes in ([(3, {0: page(0, 2)})], [(2, {})], [(4, {})], [(1, {}), (4, {})]):
        for length, pages in changes:
            overlay.replace(length, pages)
        assert not overlay.settled
        overlay.settle()
        assert overlay.settled
