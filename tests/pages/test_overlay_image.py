"""Newer pages over an image: what lies below stays as it is until they are settled, and if that fails."""

from __future__ import annotations

import os

import pytest

from storagemod.pages import FileImage, MemoryImage, OverlayImage, file_image
from storagemod.pages.file_image import MemoryFile
from tests.pages.images import FULL, HEADER_BYTES, disk_file, page


def base_image() -> MemoryImage:
    base = MemoryImage()
    base.replace(3, FULL)
    return base


def test_the_base_stays_as_it_is_until_the_overlay_settles() -> None:
    base = base_image()
    overlay = OverlayImage(base, MemoryImage())
    overlay.replace(2, {0: page(0, 0), 2: page(2, 2), 40: page(40, 2)})
    overlay.replace(4, {50: page(50, 3)})
    assert (base.wasm_pages, dict(base.pages())) == (3, FULL)
    assert overlay.newer_pages == 3
    overlay.settle()
    assert overlay.newer_pages == 0
    below = {number: data for number, data in FULL.items() if 0 < number < 32}
    assert (base.wasm_pages, dict(base.pages())) == (4, below | {2: page(2, 2), 50: page(50, 3)})


def test_settling_frees_what_the_newer_pages_took() -> None:
    above = MemoryFile()
    overlay = OverlayImage(base_image(), above.new_image())
    overlay.replace(3, {number: page(number, 2) for number in range(30)})
    assert os.fstat(above.fd).st_blocks
    overlay.settle()
    assert not os.fstat(above.fd).st_blocks


@pytest.mark.parametrize("length", [1, 3, 5])
def test_a_base_that_cannot_be_written_leaves_everything_above(length: int) -> None:
    with disk_file() as file:
        base = FileImage(file, HEADER_BYTES)
        base.replace(3, FULL)
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
def test_newer_pages_that_cannot_all_be_dropped_do_not_show(monkeypatch: pytest.MonkeyPatch, uses: int) -> None:
    monkeypatch.setattr(file_image, "punch_hole", lambda *_: False)
    with disk_file() as file:
        base = base_image()
        overlay = OverlayImage(base, FileImage(file, HEADER_BYTES))
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


def test_only_images_in_files_are_mapped() -> None:
    file = MemoryFile()
    for base, upper in ((MemoryImage(), file.new_image()), (file.new_image(), MemoryImage())):
        with pytest.raises(TypeError, match="if both of its images are in files"):
            OverlayImage(base, upper).extents()
