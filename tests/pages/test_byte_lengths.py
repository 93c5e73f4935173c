"""Live regions whose length is counted in bytes do under every backend what one does that is a bytearray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storagemod.limits import Limits
from storagemod.pages import (
    BACKENDS,
    PAGE_BYTES,
    Image,
    LiveRegion,
    PageBackend,
    UndoLog,
    WritableImage,
    image_length,
    read_image,
    why_unavailable,
)
from storagemod.types import WASM_PAGE_BYTES
from storagemod.wasm import LinearMemory, Linker, Store, compile_module, to_wasm

BYTES_MAX = 3 * WASM_PAGE_BYTES - 5

lengths = st.sampled_from([0, 1, 100, 4_095, 4_096, 4_097, 65_535, 65_536, 65_537, 100_000])
growths = st.sampled_from([1, 2, 7, 4_000, 4_096, 65_536])
from_end = st.sampled_from([-4_097, -9, -8, -1, 0])
"""Where a write ends, from the end of the memory."""
steps = st.one_of(
    st.tuples(st.just("write"), from_end, st.binary(min_size=1, max_size=9)),
    st.tuples(st.just("grow"), growths, st.booleans()),
    st.tuples(st.sampled_from(["collect", "checkpoint", "undo", "undo", "commit", "abort", "allow"])),
)


@contextmanager
def byte_memory(length: int) -> Iterator[LinearMemory]:
    """A memory of a wasmtime store whose pages have one byte."""
    store = Store(Limits())
    wasm = to_wasm(f'(module (memory (export "m") {length} {BYTES_MAX} (pagesize 1)))', name="m", limits=Limits())
    prepared = Linker().prepare(compile_module(wasm, Limits()))
    try:
        yield store.instantiate(prepared.address).memory("m", 1)
    finally:
        store.close()


def filled(backend: PageBackend, length: int) -> WritableImage:
    """An image of that length, with its last byte set."""
    image = backend.image_maker()()
    wasm_pages = -(-length // WASM_PAGE_BYTES)
    pages = {}
    if length:
        number, at = divmod(length - 1, PAGE_BYTES)
        pages[number] = (bytes(at) + b"\x77").ljust(PAGE_BYTES, b"\0")
    image.replace(wasm_pages, pages, wasm_pages * WASM_PAGE_BYTES - length)
    return image


def all_bytes(image: Image) -> bytes:
    return read_image(image, 0, image_length(image))


class Machine:
    """A region, its memory, and what they have to be: the bytes of the memory, and the length of the region."""

    def __init__(self, backend: PageBackend, image: WritableImage, memory: LinearMemory) -> None:
        self.log = UndoLog()
        self.memory, self.image = memory, image
        self.region = LiveRegion("log", memory, image, backend, self.log, BYTES_MAX, page_bytes=1)
        self.live = bytearray(all_bytes(image))
        self.collected = bytes(self.live)
        self.length = len(self.live)
        self.checkpoints: list[tuple[int, int, bytes, int]] = []

    def write(self, from_end: int, data: bytes) -> None:
        at = max(len(self.live) + from_end - len(data), 0)
        data = data[: len(self.live) - at]
        self.memory.write(at, data)
        self.live[at : at + len(data)] = data

    def grow(self, more: int, by_host: bool) -> None:
        more = min(more, BYTES_MAX - len(self.live))
        assert self.memory.grow(more, BYTES_MAX)
        self.live += bytes(more)
        if by_host:
            self.collect()

    def allow(self) -> None:
        self.region.allow(writing=False)
        assert self.memory.read(0, len(self.live)) == self.live  # all can be read, holes as well
        self.region.allow_all()

    def collect(self) -> None:
        longest = len(self.collected)
        changed = self.region.collect()
        padded = self.collected.ljust(len(self.live), b"\0")
        assert [number for number, _, _ in changed] == [
            number
            for number in range(-(-len(self.live) // PAGE_BYTES))
            if self.live[number * PAGE_BYTES : (number + 1) * PAGE_BYTES]
            != padded[number * PAGE_BYTES : (number + 1) * PAGE_BYTES]
        ]
        assert self.region.outside == (self.live[self.length : longest] != padded[self.length : longest])
        self.region.outside = False
        if len(self.live) != longest:
            self.length = len(self.live)
        self.collected = bytes(self.live)
        self.check()

    def check(self) -> None:
        assert (self.region.length, self.region.memory_length) == (self.length, len(self.collected))
        assert self.memory.read(0, len(self.live)) == self.live
        first = len(self.live) // PAGE_BYTES
        for number in range(first, -(-len(self.live) // PAGE_BYTES)):  # what is beyond the memory stays zeros
            assert not self.region.page(number)[len(self.live) - number * PAGE_BYTES :].strip(b"\0")

    def checkpoint(self) -> None:
        self.collect()
        self.checkpoints.append((len(self.log), self.log.newest, self.collected, self.length))
        self.log.newest = len(self.log)

    def undo(self) -> None:
        self.collect()
        length, newest, collected, region_length = self.checkpoints.pop() if self.checkpoints else (0, 0, None, 0)
        self.log.undo(length)
        self.log.newest = newest
        if collected is None:
            collected, region_length = all_bytes(self.image), image_length(self.image)
        self.collected = collected.ljust(len(self.live), b"\0")
        self.live[:] = self.collected
        self.length = region_length
        self.check()

    def commit(self) -> None:
        """The transaction ends well: what holes have is not part of it."""
        self.collect()
        self.check_holes()
        diff = self.region.diff()
        assert (diff.length_old, diff.length_new) == (image_length(self.image), self.length)
        self.image.replace(diff.pages_new, {number: new for number, (_, new) in diff.pages.items()}, diff.spare_new)
        assert all_bytes(self.image) == self.live[: self.length]
        self.end()

    def abort(self) -> None:
        self.collect()
        self.checkpoints.clear()
        self.undo()
        self.end()

    def check_holes(self) -> None:
        """A call that wrote beyond the length fails; here its write is put back by hand."""
        if self.live[self.length :].strip(b"\0"):
            self.memory.write(self.length, bytes(len(self.live) - self.length))
            self.live[self.length :] = bytes(len(self.live) - self.length)
            self.collect()

    def end(self) -> None:
        self.region.settle(self.image)
        self.log.restart()
        self.checkpoints.clear()
        is_usable = self.region.refresh(self.image)
        assert is_usable == (self.length == len(self.live))


@settings(max_examples=120)
@given(length=lengths, history=st.lists(steps, max_size=25))
@example(length=0, history=[("grow", 4000, False), ("undo",), ("grow", 4000, False), ("write", -9, b"\x01")])
@pytest.mark.parametrize("which", [name for name, each in BACKENDS.items() if why_unavailable(each) is None])
def test_it_does_what_a_bytearray_does(which: str, length: int, history: list[tuple[object, ...]]) -> None:
    backend = BACKENDS[which]
    with byte_memory(length) as memory:
        machine = Machine(backend, filled(backend, length), memory)
        machine.check()
        for name, *arguments in history:
            getattr(machine, str(name))(*arguments)
            if name in {"commit", "abort"} and machine.length != len(machine.live):
                return  # the memory cannot shrink: a new one is made
        machine.collect()
