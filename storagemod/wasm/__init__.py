"""The only room that speaks to wasmtime: compiling, linking, instances, memories, calls, fuel and deadlines."""

from storagemod.wasm.binary import (
    Declarations,
    ExternType,
    Import,
    OtherType,
    StateExports,
    export_state,
    without_names,
)
from storagemod.wasm.linker import HostFunction, Linker, Prepared
from storagemod.wasm.memory import LinearMemory
from storagemod.wasm.module import Module, compile_module
from storagemod.wasm.stack import check_headroom, room_for_calls, run_with_deep_stack
from storagemod.wasm.store import Instance, Store
from storagemod.wasm.text import WASM_MAGIC, read_source, to_wasm

__all__ = [
    "WASM_MAGIC",
    "Declarations",
    "ExternType",
    "HostFunction",
    "Import",
    "Instance",
    "LinearMemory",
    "Linker",
    "Module",
    "OtherType",
    "Prepared",
    "StateExports",
    "Store",
    "check_headroom",
    "compile_module",
    "export_state",
    "read_source",
    "room_for_calls",
    "run_with_deep_stack",
    "to_wasm",
    "without_names",
]
