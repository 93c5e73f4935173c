"""Bare wasmtime through its low-level bindings: the least that a call can cost, with no rule of this package kept.

``storagemod bench calls`` shows these calls beside those of a world. Nothing here counts gas by contract, undoes a
failed call or looks at what was written. So the rest of the package must not use this module.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import wasmtime
from wasmtime import _bindings as raw

_INSTANCES_MAX = 100_000
_STACK_BYTES = 1 << 20
_FUEL = 1 << 62
_WORD_BYTES = 8
_VALUE_BYTES = 16


def _typed(function: Any, result: Any, *arguments: Any) -> Any:
    """Give a function of the bindings plain integers for pointers: ctypes converts those the quickest."""
    return ctypes.CFUNCTYPE(result, *arguments)(ctypes.cast(function, ctypes.c_void_p).value or 0)


_pointer, _length = ctypes.c_void_p, ctypes.c_size_t
_call = _typed(raw._wasmtime_func_call_unchecked, _pointer, _pointer, _pointer, _pointer, _length, _pointer)
_instantiate = _typed(raw._wasmtime_instance_pre_instantiate, _pointer, _pointer, _pointer, _pointer, _pointer)
_export = _typed(raw._wasmtime_instance_export_get, ctypes.c_bool, _pointer, _pointer, _pointer, _length, _pointer)
_define = _typed(
    raw._wasmtime_linker_define_func_unchecked,
    *(_pointer, _pointer, _pointer, _length, _pointer, _length, _pointer, _pointer, _pointer, _pointer),
)
_delete_trap = _typed(raw._wasm_trap_delete, None, _pointer)
_delete_error = _typed(raw._wasmtime_error_delete, None, _pointer)
_Callback = ctypes.CFUNCTYPE(ctypes.c_size_t, _pointer, _pointer, _pointer, _length)
_FUNCTION_OFFSET = raw.wasmtime_extern_t.of.offset


@functools.cache
def _engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_multi_memory = True
    config.consume_fuel = True
    config.max_wasm_stack = _STACK_BYTES
    return wasmtime.Engine(config)


def _store() -> wasmtime.Store:
    store = wasmtime.Store(_engine())
    store.set_limits(instances=_INSTANCES_MAX, memories=_INSTANCES_MAX)
    store.set_fuel(_FUEL)
    return store


def _context(store: wasmtime.Store) -> int:
    return ctypes.cast(store._context(), _pointer).value or 0


def bare_null_call() -> Callable[[], object]:
    """Return a function that calls a wasm function which does nothing."""
    store = _store()
    module = wasmtime.Module(_engine(), '(module (func (export "null")))')
    function = wasmtime.Instance(store, module, []).exports(store)["null"]
    trap = ctypes.c_void_p()
    context, address, trap_address = _context(store), ctypes.addressof(function._func), ctypes.addressof(trap)

    def call(_keep: object = (store, function, trap)) -> None:
        _call(context, address, None, 0, trap_address)

    return call


class BarePingPong:
    """Run two contracts that call one another through a Python callback, with a fresh instance for each call.

    Args:
        code: WAT text of both. It imports a memory ``storage.memory`` of one page, and ``contract:peer`` ``hit?``. It
            exports ``hit``, which gets two i32: how many calls are left, and whether the innermost traps.
        depth: How many calls are nested; at most 64.
        traps: Whether the innermost traps.
        runs_per_store: After how many runs a new store is made. With 1, each run frees the memories of the one before.
    """

    def __init__(self, code: str, *, depth: int, traps: bool = False, runs_per_store: int = 100) -> None:
        self._module = wasmtime.Module(_engine(), code)
        self._depth, self._traps = depth, traps
        self._runs, self._runs_per_store = 0, runs_per_store
        self._values = (ctypes.c_int32 * (2 * _VALUE_BYTES // 4))()
        self._trap = ctypes.c_void_p()
        self._open()

    def close(self) -> None:
        """Free the store and what is in it."""
        self._store.close()

    def run(self) -> None:
        """Make the nested calls once."""
        if self._runs == self._runs_per_store:
            self.close()
            self._open()
            self._runs = 0
        self._runs += 1
        self._values[0], self._values[_VALUE_BYTES // 4] = self._depth - 1, self._traps
        values, trap = ctypes.addressof(self._values), ctypes.addressof(self._trap)
        if _call(_context(self._store), self._entry, values, 2, trap) or self._trap.value:
            raise RuntimeError("a bare nested call failed")

    def words(self) -> tuple[int, int]:
        """Return the first word of the storage of each contract."""
        first, second = (int.from_bytes(each.read(self._store, 0, _WORD_BYTES), "little") for each in self._memories)
        return first, second

    def _open(self) -> None:
        self._store = store = _store()
        page = wasmtime.MemoryType(wasmtime.Limits(1, 1))
        self._memories = [wasmtime.Memory(store, page) for _ in range(2)]
        i32 = wasmtime.ValType.i32()
        signature = wasmtime.FuncType([i32, i32], [i32])
        prepared: list[Any] = []
        addresses: list[int] = []
        callbacks = [_Callback(_hit(_context(store), addresses, callee)) for callee in (1, 0)]
        module, name = b"contract:peer", b"hit?"
        for memory, callback in zip(self._memories, callbacks, strict=True):
            linker = wasmtime.Linker(_engine())
            linker.define(store, "storage", "memory", memory)
            place = (module, len(module), name, len(name))
            _define(linker.ptr(), *place, signature.ptr(), ctypes.cast(callback, _pointer), None, None)
            prepared.append(linker.instantiate_pre(self._module))
            addresses.append(ctypes.cast(prepared[-1].ptr(), _pointer).value or 0)
        function = prepared[0].instantiate(store).exports(store)["hit"]
        self._entry = ctypes.addressof(function._func)
        self._kept = (prepared, callbacks, function)  # addresses of theirs are used


def _hit(context: int, prepared: list[int], callee: int) -> Callable[..., int]:
    """Return what a contract calls as ``hit?``: make an instance of the callee, and call it with the same arguments."""
    new_instance, new_export, address_of = raw.wasmtime_instance_t, raw.wasmtime_extern_t, ctypes.addressof
    result = ctypes.c_int32

    def hit(_env: int, _caller: int, values: int, _count: int) -> int:
        instance, export, trap = new_instance(), new_export(), ctypes.c_void_p()
        instance_address, export_address, trap_address = address_of(instance), address_of(export), address_of(trap)
        _instantiate(prepared[callee], context, instance_address, trap_address)
        _export(context, instance_address, b"hit", 3, export_address)
        error = _call(context, export_address + _FUNCTION_OFFSET, values, 2, trap_address)
        if error is not None:
            _delete_error(error)
        if trap.value is not None:
            _delete_trap(trap.value)
        result.from_address(values).value = error is not None or trap.value is not None
        return 0

    return hit
