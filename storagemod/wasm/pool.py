"""Instances that serve one call after another, each call finding one as if it were new.

Code without state of its own has one instance, which serves calls inside one another as well. Other instances are put
back after each call: memories by dropping the pages that were written, so that the system shows their first bytes
again, and globals by setting them. Where that is not possible, each call gets a fresh instance: a memory grew, tables
or segments can be changed, or instantiation itself writes to storage.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

from storagemod.types import WASM_PAGE_BYTES
from storagemod.wasm import _bindings as raw
from storagemod.wasm.linker import Prepared
from storagemod.wasm.log import Log
from storagemod.wasm.memory import LinearMemory, forget_written
from storagemod.wasm.module import Module
from storagemod.wasm.store import Instance, Store
from storagemod.wasm.traps import engine_error

_PAGES_PER_WASM_PAGE = 16
"""Pages of the system, as time is counted, in a page of wasm."""

_RESET_PAGES_MAX = 64
"""Wasm pages, 4 MiB, of own memories up to which an instance is put back: once a module, all bytes are compared."""

_COPIED_BYTES_MAX = 1 << 18
"""Length of a memory up to which it is put back by copying where the system cannot show its first bytes again."""

_INSTANTIATION_FUEL = 1 << 40
"""More than any initial values take: wasmtime counts some of those, and some offsets of segments. What they cost a call
is a matter of prices, or it would depend on which instances are kept."""

_KEPT_MAX = 64
"""Instances kept for calls of one code that are inside one another."""


class InstancePool:
    """Instances of one module with its imports resolved, in one store.

    Args:
        store: Where they live.
        prepared: The module with its imports resolved.
        module: The module.
        maxima: The maximum of each imported memory, in its pages, by memory index.

    Attributes:
        memories: How many linear memories an instance has of its own.
        shares: Whether one instance serves all calls.
        only: That instance, once there is one; it need not be given back.
    """

    __slots__ = (
        *("_free", "_fresh", "_maxima", "_module", "_pages", "_prepared", "_records", "_store"),
        *("memories", "only", "shares"),
    )

    def __init__(self, store: Store, prepared: Prepared, module: Module, maxima: Mapping[int, int]) -> None:
        declarations = module.declarations
        own_pages = self._pages = sum(memory.pages_min for _, memory in declarations.own_memories)
        own = {index for index, _ in declarations.own_memories}
        self._store = store
        self._prepared = prepared
        self._module = module
        self._maxima = maxima
        self._free: list[_Resettable] = []
        self.only: Instance | None = None
        self.memories = len(declarations.own_memories)
        writes_imports = not declarations.segment_memories <= own
        self._fresh = (
            writes_imports
            or declarations.mutates_tables
            or declarations.drops_segments
            or own_pages > _RESET_PAGES_MAX
            or len(module.lowered.globals) < len(declarations.mutable_globals)
        )
        self._records = module.instrumented is not None
        self.shares = not self._fresh and not declarations.has_own_state and not self._records

    def take(self) -> Instance:
        """Return an instance that is as if it were new.

        Raises:
            TrapError: It is new, and an active segment does not fit.
            StateError: It is new, and the system has no memory for it.
        """
        if self.only is not None:
            return self.only
        if self._free:
            return self._free.pop()
        store = self._store
        store.memories += self.memories + self._records
        left, store.fuel = store.fuel, _INSTANTIATION_FUEL
        try:
            instance = store.instantiate(self._prepared.address)
        finally:
            store.fuel = left
        for index, name in self._module.lowered.maxima.items():
            instance.set_variable(name, self._maxima[index])
        if self._module.instrumented is not None:
            instance.log = Log(instance, self._module.instrumented)
        if self._fresh:
            return instance
        if self.shares:
            self.only = instance
            return instance
        return _Resettable(instance, self._module)

    def grown_pages(self, instance: Instance) -> int:
        """Return by how many Wasm pages the own memories of an instance are longer than they were at first."""
        names = self._module.lowered.memories
        return sum(
            instance.memory(names[index]).pages - memory.pages_min
            for index, memory in self._module.declarations.own_memories
        )

    def give_back(self, instance: Instance) -> None:
        """Take an instance back after its call, however that ended. One that cannot be put back loses its memory.

        Raises:
            DeadlineError: There is no time left: pages that were written are given back to the system.
        """
        if self._pages:
            self._store.count_work(self._pages * _PAGES_PER_WASM_PAGE)
        if isinstance(instance, _Resettable) and len(self._free) < _KEPT_MAX and instance.reset():
            self._free.append(instance)
        elif instance is not self.only:
            self.discard(instance)

    def discard(self, instance: Instance) -> None:
        """Give the pages of an instance back to the system: no call uses it any more, and it stays in its store."""
        for name in self._module.lowered.memories.values():
            memory = instance.memory(name)
            forget_written(memory.base, len(memory))
        if instance.log is not None:
            instance.log.discard()


class _Resettable(Instance):
    """An instance that can be put back to how it was when it was new."""

    __slots__ = ("_globals", "_memories")

    def __init__(self, instance: Instance, module: Module) -> None:
        super().__init__(instance._context, instance._handle)
        self.log = instance.log
        self._globals = [self._global(name) for name in module.lowered.globals.values()]
        self._memories = [
            (self.memory(module.lowered.memories[index]), memory.pages_min, _first_bytes(self, module, index))
            for index, memory in module.declarations.own_memories
        ]

    def reset(self) -> bool:
        """Put it back; ``False`` if it cannot be."""
        for memory, pages, content in self._memories:
            if memory.pages != pages:
                return False
            if content is None:
                forget_written(memory.base, pages * WASM_PAGE_BYTES)
            elif not content:
                return False
            else:
                memory.write(0, content)
        for address, value in self._globals:
            error = raw.set_global(self._context, address, ctypes.addressof(value))
            if error:
                raise engine_error(raw.take_error(error))
        return True

    def _global(self, name: str) -> tuple[int, raw.Value]:
        address, value = self.variable(name), raw.Value()
        raw.get_global(self._context, address, ctypes.addressof(value))
        return address, value


def _first_bytes(instance: Instance, module: Module, index: int) -> bytes | None:
    """Return how a memory of a new instance is put back: ``None`` by dropping written pages, else its first bytes.

    Found out once a module, by trying. Empty bytes stand for a memory that cannot be put back.
    """
    known = module.first_bytes
    if index not in known:
        memory = instance.memory(module.lowered.memories[index])
        length = len(memory)
        content = memory.read(0, length)
        found: bytes | None = None
        if length and not _comes_back(memory, content):
            memory.write(0, content)
            found = content if length <= _COPIED_BYTES_MAX else b""
        known[index] = found  # another thread may look as soon as it is there
    return known[index]


def _comes_back(memory: LinearMemory, content: bytes) -> bool:
    """Write to a memory, drop what was written, and return whether its first bytes are there again."""
    inverted = bytes(255 - byte for byte in (content[0], content[-1]))
    memory.write(0, inverted[:1])
    memory.write(len(content) - 1, inverted[1:])
    return forget_written(memory.base, len(content)) and memory.read(0, len(content)) == content
