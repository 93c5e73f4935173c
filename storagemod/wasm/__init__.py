"""The only package that speaks to wasmtime: compiling, linking, instances, memories, calls, fuel and deadlines."""

from storagemod.wasm._bindings import RAW_VALUE_BYTES
from storagemod.wasm.binary import TABLE_ELEMENT_BYTES, Declarations, ExternType, Import, OtherType, without_names
from storagemod.wasm.inlining import FIRST_ACCESS, inline
from storagemod.wasm.instrument import CHANGED, SAME, UNKNOWN, Accessor, Instrumented, Watched
from storagemod.wasm.linker import HostFunction, Linker, Prepared, raw_values
from storagemod.wasm.log import Log
from storagemod.wasm.memory import LinearMemory, no_memory
from storagemod.wasm.mentions import Mentions, mentions
from storagemod.wasm.module import Module, compile_module
from storagemod.wasm.pool import InstancePool
from storagemod.wasm.sections import strip_hint
from storagemod.wasm.stack import check_headroom, frames_for, run_with_deep_stack
from storagemod.wasm.store import FunctionTable, Instance, Store
from storagemod.wasm.text import WASM_MAGIC, read_source, to_wasm, with_line

__all__ = [
    "CHANGED",
    "FIRST_ACCESS",
    "RAW_VALUE_BYTES",
    "SAME",
    "TABLE_ELEMENT_BYTES",
    "UNKNOWN",
    "WASM_MAGIC",
    "Accessor",
    "Declarations",
    "ExternType",
    "FunctionTable",
    "HostFunction",
    "Import",
    "Instance",
    "InstancePool",
    "Instrumented",
    "LinearMemory",
    "Linker",
    "Log",
    "Mentions",
    "Module",
    "OtherType",
    "Prepared",
    "Store",
    "Watched",
    "check_headroom",
    "compile_module",
    "frames_for",
    "inline",
    "mentions",
    "no_memory",
    "raw_values",
    "read_source",
    "run_with_deep_stack",
    "strip_hint",
    "to_wasm",
    "with_line",
    "without_names",
]
