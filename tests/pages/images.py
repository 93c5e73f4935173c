"""Images of every kind to test, the files behind them, and a bytearray that holds what they should."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import define, field

from storagemod.pages import (
    PAGE_BYTES,
    PAGES_PER_WASM_PAGE,
    FileImage,
    MemoryImage,
    OverlayImage,
    PageFile,
    WritableImage,
)
from storagemod.pages.file_image import MemoryFile
from storagemod.types import WASM_PAGE_BYTES

HEADER_BYTES = PAGE_BYTES

ENDLESS = 1 << 60


def page(number: int, fill: int) -> bytes:
    """A page that tells its number: of zeros for 0, with nothing but a last byte for 1."""
    if fill <= 1:
        return bytes(PAGE_BYTES - 1) + bytes([fill])
    return (number << 8 | fill).to_bytes(8, "little") * (PAGE_BYTES // 8)


class DiskFile:
    """A file on disk for images. It can be made to fail: it is read-only once its descriptor was asked for so often."""

    def __init__(self, path: Path) -> None:
        self._writable = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        self._read_only = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.good_uses = ENDLESS

    @property
    def fd(self) -> int:
        self.good_uses -= 1
        return self._writable if self.good_uses >= 0 else self._read_only

    @property
    def size(self) -> int:
        return os.fstat(self._writable).st_size

    @property
    def blocks(self) -> int:
        """What it takes on disk, in units of 512 bytes."""
        os.fdatasync(self._writable)  # some file systems allocate late
        return os.fstat(self._writable).st_blocks

    def reserve(self, end: int) -> None:
        if end > self.size:
            os.ftruncate(self.fd, end)

    def close(self) -> None:
        os.close(self._writable)
        os.close(self._read_only)


@contextmanager
def disk_file() -> Iterator[DiskFile]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        file = DiskFile(Path(directory) / "image")
        try:
            yield file
        finally:
            file.close()


@define
class Subject:
    """An image under test, as long and as full as it says.

    ``file`` is the one that can fail, where there is one; ``reopen`` gives the image anew, of another process perhaps,
    that is as long as this one.
    """

    image: WritableImage
    data: bytearray = field(factory=bytearray)
    file: DiskFile | None = None
    reopen: Callable[[int], WritableImage] | None = None
    neighbours: tuple[WritableImage, ...] = ()

    def replace(self, wasm_pages: int, pages: Mapping[int, bytes], spare: int = 0) -> None:
        self.image.replace(wasm_pages, pages, spare)
        self.data = replaced(self.data, wasm_pages, pages)


def replaced(data: bytearray, wasm_pages: int, pages: Mapping[int, bytes]) -> bytearray:
    """What bytes become."""
    end = wasm_pages * WASM_PAGE_BYTES
    after = data[:end] + bytes(max(0, end - len(data)))
    for number, new in pages.items():
        if number < wasm_pages * PAGES_PER_WASM_PAGE:
            after[number * PAGE_BYTES : (number + 1) * PAGE_BYTES] = new
    return after


FULL = {number: page(number, 7) for number in (0, 1, 5, 15, 16, 30, 47)}
"""What the image below an overlay holds; it is 3 Wasm pages long."""


def _neighbour(file: MemoryFile) -> FileImage:
    image = file.new_image()
    image.replace(1, {0: page(0, 9), 15: page(15, 9)})
    return image


def _dictionary(_: ExitStack) -> Subject:
    return Subject(MemoryImage())


def _memory_file(_: ExitStack) -> Subject:
    file = MemoryFile()
    before, image, after = _neighbour(file), file.new_image(), _neighbour(file)
    return Subject(image, neighbours=(before, after))


def _disk_file(stack: ExitStack) -> Subject:
    file = stack.enter_context(disk_file())

    def reopen(wasm_pages: int) -> FileImage:
        pages = max(file.size - HEADER_BYTES, 0) // PAGE_BYTES
        return FileImage(file, HEADER_BYTES, wasm_pages, pages_in_file=pages, pending_pages_max=0)

    return Subject(FileImage(file, HEADER_BYTES, pending_pages_max=0), file=file, reopen=reopen)


def _disk_file_with_few_pending_pages(stack: ExitStack) -> Subject:
    file = stack.enter_context(disk_file())
    return Subject(FileImage(file, HEADER_BYTES, pending_pages_max=5), file=file)


def base_image(file: PageFile) -> FileImage:
    base = FileImage(file, HEADER_BYTES, pending_pages_max=0)
    base.replace(3, FULL)
    return base


def _overlay_in_dictionaries(stack: ExitStack) -> Subject:
    base = base_image(stack.enter_context(disk_file()))
    return Subject(OverlayImage(base, MemoryImage()), replaced(bytearray(), 3, FULL))


def _overlay_in_files(stack: ExitStack) -> Subject:
    file = stack.enter_context(disk_file())
    base = base_image(file)
    above = MemoryFile()
    _neighbour(above)
    return Subject(OverlayImage(base, above.new_image()), replaced(bytearray(), 3, FULL), file)


SUBJECTS: dict[str, Callable[[ExitStack], Subject]] = {
    "dictionary": _dictionary,
    "memory file": _memory_file,
    "disk file": _disk_file,
    "disk file with few pending pages": _disk_file_with_few_pending_pages,
    "overlay in a dictionary": _overlay_in_dictionaries,
    "overlay in files": _overlay_in_files,
}


@contextmanager
def subject(kind: str) -> Iterator[Subject]:
    with ExitStack() as stack:
        yield SUBJECTS[kind](stack)
