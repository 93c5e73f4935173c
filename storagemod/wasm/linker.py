"""Host functions, and the linker that offers them and other things to a module."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import wasmtime
from attrs import define, field

from storagemod.errors import LinkError
from storagemod.process_memory import MEMORY
from storagemod.types import FunctionType, ValueType
from storagemod.wasm import _bindings as raw
from storagemod.wasm._bindings import RAW_VALUE_BYTES
from storagemod.wasm.engine import shared_engine
from storagemod.wasm.module import Module
from storagemod.wasm.store import Store, running_store

Body: TypeAlias = Callable[..., Any]


class Prepared:
    """A module with all of its imports resolved, ready to be instantiated many times.

    Attributes:
        address: Where wasmtime has it.
    """

    __slots__ = ("_owner", "address")

    def __init__(self, owner: wasmtime.InstancePre) -> None:
        self._owner = owner
        self.address = raw.address_of(owner.ptr())


CALLS_PER_LOOK = 32
"""How many calls of the host may go by until one looks at the clock.

The thread that advances epochs needs Python's lock for that, and can starve while calls of the host take it in turns.
"""

_TRAP_MESSAGE = b"a host function failed"

_VALUE_TYPES = {
    "i32": wasmtime.ValType.i32,
    "i64": wasmtime.ValType.i64,
    "f32": wasmtime.ValType.f32,
    "f64": wasmtime.ValType.f64,
}

_NUMBERS: Final[dict[ValueType, Any]] = {
    "i32": ctypes.c_int32,
    "i64": ctypes.c_int64,
    "f32": ctypes.c_float,
    "f64": ctypes.c_double,
}
"""Assigning to these takes integers of either sign, and floats that are too large for an f32 as infinite."""

_FORMATS: Final[dict[ValueType, str]] = {"i32": "i12x", "i64": "q8x", "f32": "f12x", "f64": "d8x"}


def raw_values(types: Iterable[ValueType]) -> struct.Struct:
    """Return the layout of numbers of these types where wasm and the host hand them over: 16 bytes each."""
    return struct.Struct("<" + "".join(_FORMATS[each] for each in types))


@define(eq=False)
class HostFunction:
    """A function of ours that contracts may import.

    ``body`` gets the running call and then the arguments, integers signed. It returns one value, or a tuple of them
    where there are several results, or ``None``. What it raises stops the wasm that called it and comes out of
    :meth:`Store.invoke` unchanged.

    With ``takes_raw`` the body gets the running call and the address of the values instead: arguments of 16 bytes each,
    in whose place it puts the results.
    """

    module: str
    name: str
    type: FunctionType
    body: Body
    takes_raw: bool = False
    callback: Any = field(init=False, repr=False)
    wasm_type: wasmtime.FuncType = field(init=False, repr=False)
    """Its type as wasmtime has it: making one takes longer than offering a function."""

    def __attrs_post_init__(self) -> None:
        self.wasm_type = wasmtime.FuncType(
            [_VALUE_TYPES[each]() for each in self.type.params], [_VALUE_TYPES[each]() for each in self.type.results]
        )
        body = self.body if self.takes_raw else _decoded(self.type, self.body)
        self.callback = raw.HostCallback(_callback(body))


def _decoded(function_type: FunctionType, body: Body) -> Body:
    """Wrap a body that takes arguments and returns results, as one that reads and writes values itself."""
    params, types = raw_values(function_type.params), [_NUMBERS[each] for each in function_type.results]
    unpack, length = params.unpack_from, params.size
    only = types[0].from_address if len(types) == 1 else None

    def decoded(call: object, values: int) -> None:
        result = body(call, *unpack(MEMORY, values)) if length else body(call)
        if only is not None:
            only(values).value = result
        elif types:
            for index, number in enumerate(types):
                number.from_address(values + index * RAW_VALUE_BYTES).value = result[index]

    return decoded


def _callback(body: Body) -> Callable[[int, int, int, int], int]:
    """Wrap a body that reads and writes values itself, for wasmtime.

    Everything is inside the ``try``, and failing needs no further Python frame: an error that escaped from here would
    be swallowed by ctypes, and wasm would go on with a wrong result.
    """
    running, new_trap, message, message_length = running_store, raw.new_trap, _TRAP_MESSAGE, len(_TRAP_MESSAGE)

    def callback(_env: int, _caller: int, values: int, _count: int) -> int:
        store: Store | None = None
        try:
            store = running()
            store.host_calls += 1  # type: ignore[union-attr] # without a store it is an error that stops wasm
            if not store.host_calls % CALLS_PER_LOOK:  # type: ignore[union-attr]
                store.check_time()  # type: ignore[union-attr]
            body(store.current, values)  # type: ignore[union-attr]
        except BaseException as error:  # noqa: BLE001 - raised again when wasm has been left
            if store is not None:
                store.pending = error
            trap: int = new_trap(message, message_length)
            return trap
        return 0

    return callback


class Linker:
    """What one module may import."""

    def __init__(self) -> None:
        self._linker = wasmtime.Linker(shared_engine())

    def offer(self, function: HostFunction) -> None:
        """Offer a host function. Its callback must live as long as what is linked to it."""
        error = raw.define_function(
            raw.address_of(self._linker.ptr()),
            *_name(function.module),
            *_name(function.name),
            raw.address_of(function.wasm_type.ptr()),
            raw.address_of(function.callback),
            None,
            None,
        )
        _raise_for(error)

    def define(self, store: Store, module: str, name: str, item: raw.Extern) -> None:
        """Offer an export of an instance of the store under a name."""
        error = raw.define_extern(
            raw.address_of(self._linker.ptr()), store.context, *_name(module), *_name(name), ctypes.addressof(item)
        )
        _raise_for(error)

    def prepare(self, module: Module) -> Prepared:
        """Resolve all imports of a module.

        Raises:
            LinkError: Something is not offered as the module wants it. Callers compare types first.
        """
        try:
            return Prepared(self._linker.instantiate_pre(module.compiled))
        except wasmtime.WasmtimeError as error:
            raise _link_error(error) from error


def _name(text: str) -> tuple[bytes, int]:
    encoded = text.encode()
    return encoded, len(encoded)


def _raise_for(error: int | None) -> None:
    if error:
        raise _link_error(raw.take_error(error))


def _link_error(error: wasmtime.WasmtimeError) -> LinkError:
    return LinkError(f"wasmtime cannot link it: {str(error).strip().splitlines()[-1].strip()}", cause=error)
