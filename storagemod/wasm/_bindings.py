"""The low-level functions of wasmtime-py that this room uses, by name, and a check that they are there.

They are private to wasmtime-py and move between its releases, but calls through them cost a sixth of calls through its
classes, and its own callback trampoline can lose exceptions (design/0003). So the version is pinned, and a change is a
clear failure at import and not a wrong result.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

try:
    import wasmtime
    from wasmtime import _bindings as _raw
    from wasmtime import _ffi
except (ImportError, RuntimeError) as error:  # RuntimeError: no build of wasmtime for this platform
    raise ImportError(f"storagemod needs the wasmtime package, which could not be loaded: {error}") from error

_MISSING = [
    name
    for name in (
        "_wasmtime_config_async_stack_size_set",
        "_wasmtime_context_get_fuel",
        "_wasmtime_context_set_fuel",
        "_wasmtime_error_new",
        "_wasmtime_func_call_unchecked",
        "_wasmtime_instance_export_get",
        "_wasmtime_instance_pre_instantiate",
        "_wasmtime_linker_clone",
        "_wasmtime_linker_define",
        "_wasmtime_linker_define_func_unchecked",
        "_wasmtime_memory_data",
        "_wasmtime_memory_data_size",
        "_wasmtime_memory_grow",
        "_wasmtime_memory_size",
        "_wasmtime_store_epoch_deadline_callback",
        "_wasmtime_trap_new",
        "wasm_trap_t",
        "wasmtime_extern_t",
        "wasmtime_func_t",
        "wasmtime_func_unchecked_callback_t",
        "wasmtime_instance_t",
        "wasmtime_memory_t",
        "wasmtime_val_raw_t",
    )
    if not hasattr(_raw, name)
]
if _MISSING:
    raise ImportError(
        f"this release of wasmtime ({getattr(wasmtime, '__version__', 'unknown')}) lacks {', '.join(_MISSING)}; "
        "install one that storagemod's package metadata allows, such as wasmtime==50.0.1"
    )

raw: Final[Any] = _raw
"""The generated bindings. Functions with a leading underscore take and give plain ctypes values."""

EXTERN_FUNC: Final[int] = _ffi.WASMTIME_EXTERN_FUNC.value
EXTERN_MEMORY: Final[int] = _ffi.WASMTIME_EXTERN_MEMORY.value

NO_FINALIZER: Final[Any] = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(0)

TrapPointer: Final[Any] = ctypes.POINTER(_raw.wasm_trap_t)


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


# A callback that fails must not need another Python frame to say so: these make what wasmtime wants in one C call.

new_trap: Final[Any] = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)(
    _address(_raw._wasmtime_trap_new)
)
"""Make a trap from a message and its length, and give the trap's address."""

new_error: Final[Any] = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_char_p)(_address(_raw._wasmtime_error_new))
"""Make an error from a message, and give the error's address."""

DeadlineCallback: Final[Any] = _raw._wasmtime_store_epoch_deadline_callback.argtypes[1]
