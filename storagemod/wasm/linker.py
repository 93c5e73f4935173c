"""Host functions, and the linker that offers them and other things to a module."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import wasmtime
from attrs import define, field

from storagemod.types import FunctionType, Value
from storagemod.wasm._bindings import NO_FINALIZER, new_trap, raw
from storagemod.wasm.engine import shared_engine
from storagemod.wasm.module import Module
from storagemod.wasm.store import Store, name_buffer, running_store

Body: TypeAlias = Callable[..., Any]

Prepared: TypeAlias = wasmtime.InstancePre
"""A module with all of its imports resolved, ready to be instantiated many times."""

_TRAP_MESSAGE = b"a host function failed"

_VALUE_TYPES = {
    "i32": wasmtime.ValType.i32,
    "i64": wasmtime.ValType.i64,
    "f32": wasmtime.ValType.f32,
    "f64": wasmtime.ValType.f64,
}


@define(eq=False)
class HostFunction:
    """A function of ours that contracts may import.

    ``body`` gets the running call and then the arguments, integers signed. It gives one value, or a tuple of them
    where there are several results, or ``None``. What it raises stops the wasm that called it and comes out of
    :meth:`Instance.invoke` unchanged.
    """

    module: str
    name: str
    type: FunctionType
    body: Body
    callback: Any = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.callback = _make_callback(self.type, self.body)


def _make_callback(function_type: FunctionType, body: Body) -> Any:
    """Wrap a body for wasmtime.

    Everything is inside the ``try``, and failing needs no further Python frame: an error that escaped from here would
    be swallowed by ctypes, and wasm would go on with a wrong result.
    """
    params = tuple(enumerate(function_type.params))
    results = tuple(enumerate(function_type.results))
    single = len(results) == 1

    def callback(_env: Any, _caller: Any, values: Any, _length: int) -> int:
        store: Store | None = None
        try:
            store = running_store()
            store.host_calls += 1
            answer: Value | tuple[Value, ...] | None = body(
                store.current, *[getattr(values[index], value_type) for index, value_type in params]
            )
            if results:
                answers: Any = (answer,) if single else answer
                for index, value_type in results:
                    setattr(values[index], value_type, answers[index])
        except BaseException as error:  # noqa: BLE001 - raised again when wasm has been left
            if store is not None:
                store.pending = error
            trap: int = new_trap(_TRAP_MESSAGE, len(_TRAP_MESSAGE))
            return trap
        return 0

    return raw.wasmtime_func_unchecked_callback_t(callback)


class Linker:
    """What one module may import. Host functions first, for any store; then, in a copy, what belongs to one store."""

    def __init__(self, functions: Iterable[HostFunction] = ()) -> None:
        self._functions = tuple(functions)  # wasmtime holds their callbacks by address only
        self._linker = wasmtime.Linker(shared_engine())
        for function in self._functions:
            function_type = wasmtime.FuncType(
                [_VALUE_TYPES[each]() for each in function.type.params],
                [_VALUE_TYPES[each]() for each in function.type.results],
            )
            error = raw._wasmtime_linker_define_func_unchecked(
                self._linker.ptr(),
                *name_buffer(function.module),
                *name_buffer(function.name),
                function_type.ptr(),
                function.callback,
                None,
                NO_FINALIZER,
            )
            _raise_for(error)

    def copy(self) -> Linker:
        """A linker that offers the same and can be given more."""
        copied = Linker.__new__(Linker)
        copied._functions = self._functions
        copied._linker = wasmtime.Linker.__new__(wasmtime.Linker)
        copied._linker._set_ptr(raw._wasmtime_linker_clone(self._linker.ptr()))
        copied._linker.engine = self._linker.engine
        return copied

    def define(self, store: Store, module: str, name: str, item: Any) -> None:
        """Offer an export of an instance of the store under a name."""
        error = raw._wasmtime_linker_define(
            self._linker.ptr(), store.context, *name_buffer(module), *name_buffer(name), ctypes.byref(item)
        )
        _raise_for(error)

    def prepare(self, module: Module) -> Prepared:
        """Resolve all imports of a module.

        Raises:
            wasmtime.WasmtimeError: Something is not offered as the module wants it. Callers compare types first.
        """
        return self._linker.instantiate_pre(module.compiled)


def _raise_for(error: Any) -> None:
    if error:
        raise wasmtime.WasmtimeError._from_ptr(error)
