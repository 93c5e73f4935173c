"""The low-level functions of wasmtime that this package uses, by name, and a check that they are there.

They take and return plain integers: addresses and lengths. A call through them costs a tenth of one through the classes
of wasmtime-py, whose own callback trampoline can lose exceptions besides (design/0003). They are private to wasmtime-py
and move between its releases. So the version is pinned, and a change is a clear failure at import and no wrong result.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

try:
    import wasmtime
    from wasmtime import _bindings as _raw
    from wasmtime import _ffi
except (ImportError, RuntimeError) as error:  # RuntimeError: no build of wasmtime for this platform
    raise ImportError(f"storagemod needs the wasmtime package, which could not be loaded: {error}") from error

_Function: TypeAlias = Callable[..., Any]

_POINTER, _SIZE, _U64 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64

_path = _ffi.dll._name
_library = ctypes.CDLL(_path)
_quick = ctypes.PyDLL(_path)
"""The same library, without giving other threads a turn: for functions of well under a microsecond that call nothing
back. To let go of the interpreter and take it again costs more than they do."""

_missing: list[str] = []


def _function(library: ctypes.CDLL, name: str, result: Any, *parameters: Any) -> _Function:
    found: Any = getattr(library, name, None)
    if found is None:
        _missing.append(name)
        return _function
    found.restype, found.argtypes = result, parameters
    function: _Function = found
    return function


call_function: Final = _function(
    _library, "wasmtime_func_call_unchecked", _POINTER, _POINTER, _POINTER, _POINTER, _SIZE, _POINTER
)
"""Call a function: context, function, values, their number, where a trap goes. Returns an error or ``None``."""

set_fuel: Final = _function(_quick, "wasmtime_context_set_fuel", _POINTER, _POINTER, _U64)
get_fuel: Final = _function(_quick, "wasmtime_context_get_fuel", _POINTER, _POINTER, _POINTER)
instantiate: Final = _function(
    _library, "wasmtime_instance_pre_instantiate", _POINTER, _POINTER, _POINTER, _POINTER, _POINTER
)
find_export: Final = _function(
    _quick, "wasmtime_instance_export_get", ctypes.c_bool, _POINTER, _POINTER, ctypes.c_char_p, _SIZE, _POINTER
)
memory_data: Final = _function(_quick, "wasmtime_memory_data", _POINTER, _POINTER, _POINTER)
memory_pages: Final = _function(_quick, "wasmtime_memory_size", _U64, _POINTER, _POINTER)
grow_memory: Final = _function(_library, "wasmtime_memory_grow", _POINTER, _POINTER, _POINTER, _U64, _POINTER)
get_global: Final = _function(_quick, "wasmtime_global_get", None, _POINTER, _POINTER, _POINTER)
set_global: Final = _function(_quick, "wasmtime_global_set", _POINTER, _POINTER, _POINTER, _POINTER)
set_table: Final = _function(_quick, "wasmtime_table_set", _POINTER, _POINTER, _POINTER, _U64, _POINTER)
trap_code: Final = _function(_quick, "wasmtime_trap_code", ctypes.c_bool, _POINTER, _POINTER)
delete_trap: Final = _function(_library, "wasm_trap_delete", None, _POINTER)
delete_error: Final = _function(_library, "wasmtime_error_delete", None, _POINTER)
define_function: Final = _function(
    _library,
    "wasmtime_linker_define_func_unchecked",
    _POINTER,
    *(_POINTER, ctypes.c_char_p, _SIZE, ctypes.c_char_p, _SIZE, _POINTER, _POINTER, _POINTER, _POINTER),
)
define_extern: Final = _function(
    _library,
    "wasmtime_linker_define",
    _POINTER,
    *(_POINTER, _POINTER, ctypes.c_char_p, _SIZE, ctypes.c_char_p, _SIZE, _POINTER),
)
set_deadline_callback: Final = _function(
    _library, "wasmtime_store_epoch_deadline_callback", None, _POINTER, _POINTER, _POINTER, _POINTER
)
set_async_stack_size: Final = _function(_library, "wasmtime_config_async_stack_size_set", None, _POINTER, _U64)

_image_range: Final = _function(_quick, "wasmtime_module_image_range", None, _POINTER, _POINTER, _POINTER)

# A callback that fails must not need another Python frame to say so: these make what wasmtime wants in one C call.

new_trap: Final = _function(_quick, "wasmtime_trap_new", _SIZE, ctypes.c_char_p, _SIZE)
"""Make a trap from a message and its length; returns its address."""

new_error: Final = _function(_quick, "wasmtime_error_new", _SIZE, ctypes.c_char_p)
"""Make an error from a message; returns its address."""

_missing += [
    name
    for name in ("wasmtime_extern_t", "wasmtime_instance_t", "wasmtime_val_t", "wasm_trap_t", "wasmtime_error_t")
    if not hasattr(_raw, name)
]
if _missing:
    raise ImportError(
        f"this release of wasmtime ({getattr(wasmtime, '__version__', 'unknown')}) lacks {', '.join(_missing)}; "
        "install one that storagemod's package metadata allows, such as wasmtime==50.0.1"
    )

HostCallback: Final = ctypes.CFUNCTYPE(_SIZE, _POINTER, _POINTER, _POINTER, _SIZE)
"""What wasm calls: environment, caller, values, their number. Returns a trap's address or 0."""

DeadlineCallback: Final = ctypes.CFUNCTYPE(_SIZE, _POINTER, _POINTER, _POINTER, _POINTER)
"""What an epoch calls: context, data, where the epochs to go on go, where the kind goes. Returns an error or 0."""

Instance: Final[Any] = _raw.wasmtime_instance_t
Extern: Final[Any] = _raw.wasmtime_extern_t
Value: Final[Any] = _raw.wasmtime_val_t
Function: Final[Any] = _raw.wasmtime_func_t

EXTERN_OFFSET: Final[int] = _raw.wasmtime_extern_t.of.offset
"""Where the function or memory itself stands in an extern."""

EXTERN_FUNCTION: Final[int] = _ffi.WASMTIME_EXTERN_FUNC.value
EXTERN_GLOBAL: Final[int] = _ffi.WASMTIME_EXTERN_GLOBAL.value
EXTERN_MEMORY: Final[int] = _ffi.WASMTIME_EXTERN_MEMORY.value
EXTERN_TABLE: Final[int] = _ffi.WASMTIME_EXTERN_TABLE.value

FUNCTION_REFERENCE: Final[int] = _ffi.WASMTIME_FUNCREF.value
"""The kind of a value that is a function."""

RAW_VALUE_BYTES: Final = 16
"""Length of one value where wasm and the host hand each other numbers."""


def switches() -> frozenset[str]:
    """Return the names of all features of WebAssembly that this wasmtime can switch on or off, as in ``wasm_simd``."""
    found = (re.fullmatch(r"wasmtime_config_(wasm_\w+)_set", name) for name in dir(_raw))
    return frozenset(each[1] for each in found if each is not None)


def switch(config: wasmtime.Config, name: str, on: bool) -> None:
    """Switch a feature on or off. wasmtime-py's own properties leave some out."""
    setter: Any = getattr(_library, f"wasmtime_config_{name}_set")
    setter.restype, setter.argtypes = None, (_POINTER, ctypes.c_bool)
    setter(address_of(config.ptr()), on)


def address_of(pointer: Any) -> int:
    """Return the address that one of wasmtime-py's pointers holds."""
    return ctypes.cast(pointer, _POINTER).value or 0


def image_length(module: wasmtime.Module) -> int:
    """Return how many bytes of memory the code and the data of a compiled module take."""
    begin, end = ctypes.c_void_p(), ctypes.c_void_p()
    _image_range(address_of(module.ptr()), ctypes.byref(begin), ctypes.byref(end))
    return (end.value or 0) - (begin.value or 0)


def take_trap(address: int) -> wasmtime.Trap:
    """Turn the address of a trap into wasmtime-py's object, which frees it."""
    trap: wasmtime.Trap = wasmtime.Trap._from_ptr(ctypes.cast(address, ctypes.POINTER(_raw.wasm_trap_t)))
    return trap


def take_error(address: int) -> wasmtime.WasmtimeError:
    """Turn the address of an error into wasmtime-py's object, which frees it."""
    error: wasmtime.WasmtimeError = wasmtime.WasmtimeError._from_ptr(
        ctypes.cast(address, ctypes.POINTER(_raw.wasmtime_error_t))
    )
    return error


def _as_text(error: wasmtime.WasmtimeError) -> tuple[type[RuntimeError], tuple[str]]:
    """Return what copies and pickles of an error of wasmtime are made of: its own pointer cannot leave the process."""
    return RuntimeError, (f"WasmtimeError: {error}",)


wasmtime.WasmtimeError.__reduce__ = _as_text  # such errors lie behind ours, and some pickle what lies behind
