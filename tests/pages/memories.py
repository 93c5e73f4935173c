"""Live memories to try page backends on: one of plain address space, and wasmtime's own."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from storagemod.limits import Limits
from storagemod.pages import _libc
from storagemod.types import WASM_PAGE_BYTES
from storagemod.wasm import LinearMemory, Linker, Store, compile_module, to_wasm

PAGES_MAX = 128
"""How long these memories may become unless said otherwise, in Wasm pages."""


class ReservedMemory:
    """Address space for all that the memory may become. An access to what it is not yet is an error, or a fault."""

    def __init__(self, pages: int, pages_max: int = PAGES_MAX) -> None:
        self.pages = pages
        self.pages_max = pages_max
        self._space = self._reserve()

    @property
    def base(self) -> int:
        return ctypes.addressof(ctypes.c_char.from_buffer(self._space))

    def read(self, offset: int, length: int) -> bytes:
        self._check(offset, length)
        return ctypes.string_at(self.base + offset, length)

    def write(self, offset: int, data: bytes) -> None:
        self._check(offset, len(data))
        ctypes.memmove(self.base + offset, data, len(data))

    def grow(self, pages: int) -> None:
        assert self.pages + pages <= self.pages_max
        if pages:
            _libc.protect(self.base + self.pages * WASM_PAGE_BYTES, pages * WASM_PAGE_BYTES, _libc.PROT_READ_WRITE)
            self.pages += pages

    def close(self) -> None:
        """Give the addresses back: an access from now on is a fault."""
        self._space.close()

    def _reserve(self) -> mmap.mmap:
        length, end = self.pages * WASM_PAGE_BYTES, self.pages_max * WASM_PAGE_BYTES
        space = mmap.mmap(-1, max(end, mmap.PAGESIZE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if length < end:
            base = ctypes.addressof(ctypes.c_char.from_buffer(space))
            _libc.protect(base + length, end - length, _libc.PROT_NONE)
        return space

    def _check(self, offset: int, length: int) -> None:
        if not 0 <= offset <= offset + length <= self.pages * WASM_PAGE_BYTES:
            raise IndexError(f"[{offset}, {offset + length}) is outside {self.pages} Wasm pages")


class WasmMemory:
    """A memory of a wasmtime store."""

    def __init__(self, memory: LinearMemory, store: Store) -> None:
        self._memory = memory
        self._store = store  # it has to live as long
        self.read, self.write = memory.read, memory.write

    @property
    def base(self) -> int:
        return self._memory.base

    @property
    def pages(self) -> int:
        return self._memory.pages

    def grow(self, pages: int) -> None:
        assert self._memory.grow(pages, PAGES_MAX)

    def close(self) -> None:
        self._store.close()


def wasm_memory(pages: int, pages_max: int = PAGES_MAX) -> WasmMemory:
    store = Store(Limits(storage_pages_max=max(pages_max, 1)))
    wasm = to_wasm(f'(module (memory (export "m") {pages} {pages_max}))', name="memory", limits=Limits())
    prepared = Linker().prepare(compile_module(wasm, Limits()))
    return WasmMemory(store.instantiate(prepared.address).memory("m"), store)


AnyMemory = ReservedMemory | WasmMemory
MemoryMaker = Callable[..., AnyMemory]

MEMORIES: dict[str, MemoryMaker] = {"reserved": ReservedMemory, "wasm": wasm_memory}


@contextmanager
def memories_of(make: MemoryMaker) -> Iterator[MemoryMaker]:
    """A maker whose memories are given back at the end."""
    made: list[AnyMemory] = []

    def make_and_note(*arguments: int) -> AnyMemory:
        made.append(make(*arguments))
        return made[-1]

    try:
        yield make_and_note
    finally:
        for memory in made:
            memory.close()


def host_write(memory: AnyMemory, offset: int, data: bytes) -> None:
    """Write as foreign code does that holds the address."""
    assert offset + len(data) <= memory.pages * WASM_PAGE_BYTES
    ctypes.memmove(memory.base + offset, data, len(data))
