"""Compiled modules: what they import and export, in our own types."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from typing import TypeAlias

import wasmtime
from attrs import field, frozen

from storagemod.errors import ValidationError
from storagemod.types import FunctionType, MemoryType, ValueType
from storagemod.wasm.binary import BinaryFacts, read_facts
from storagemod.wasm.engine import shared_engine

_MODULES_KEPT = 256

_VALUE_TYPES: dict[str, ValueType] = {"i32": "i32", "i64": "i64", "f32": "f32", "f64": "f64"}


@frozen
class OtherType:
    """A type that crosses no contract's border: a table, a global, or a function of vectors or references."""

    description: str

    def __str__(self) -> str:
        return self.description


ExternType: TypeAlias = FunctionType | MemoryType | OtherType


@frozen
class Import:
    """One import of a module: ``module`` is the namespace it is taken from."""

    module: str
    name: str
    type: ExternType

    def __str__(self) -> str:
        return f'(import "{self.module}" "{self.name}" {self.type})'


@frozen(eq=False)
class Module:
    """A module that wasmtime has validated and compiled. Equal only to itself; the same bytes give the same object."""

    wasm: bytes = field(repr=lambda wasm: f"<{len(wasm)} bytes>")
    digest: bytes = field(repr=lambda digest: digest.hex())
    """SHA-256 of the binary."""
    imports: tuple[Import, ...]
    exports: dict[str, ExternType]
    facts: BinaryFacts
    compiled: wasmtime.Module = field(repr=False)


_modules: OrderedDict[bytes, Module] = OrderedDict()


def compile_module(wasm: bytes, *, name: str) -> Module:
    """Validate and compile a binary; the last ``_MODULES_KEPT`` are remembered.

    Raises:
        ValidationError: wasmtime refuses it; the message says why and where.
    """
    digest = hashlib.sha256(wasm).digest()
    module = _modules.get(digest)
    if module is None:
        try:
            compiled = wasmtime.Module(shared_engine(), wasm)
        except wasmtime.WasmtimeError as error:
            raise ValidationError(_reason(str(error)), contract=name, cause=error) from error
        module = Module(
            wasm,
            digest,
            tuple(Import(item.module, item.name or "", _extern_type(item.type)) for item in compiled.imports),
            {item.name: _extern_type(item.type) for item in compiled.exports},
            read_facts(wasm),
            compiled,
        )
        _modules[digest] = module
        if len(_modules) > _MODULES_KEPT:
            _modules.popitem(last=False)
    else:
        _modules.move_to_end(digest)
    return module


def _reason(text: str) -> str:
    """The innermost cause that wasmtime names, and the function it was found in."""
    lines = [re.sub(r"\A\s*(\d+: )?", "", line) for line in text.splitlines() if line.strip()]
    found = re.search(r"wasm\[0\]::function\[(\d+)\](?:::(\S+))?", text)
    where = f" in function {found[2] or found[1]}" if found else ""
    return f"not a valid module: {lines[-1]}{where}"


def _extern_type(item: object) -> ExternType:
    if isinstance(item, wasmtime.FuncType):
        params = _value_types(item.params)
        results = _value_types(item.results)
        if params is None or results is None:
            return OtherType(f"(func (param {_join(item.params)}) (result {_join(item.results)}))")
        return FunctionType(params, results)
    if isinstance(item, wasmtime.MemoryType):
        return MemoryType(item.limits.min, item.limits.max, item.is_64)
    return OtherType(f"({type(item).__name__.removesuffix('Type').lower()})")


def _value_types(types: list[wasmtime.ValType]) -> tuple[ValueType, ...] | None:
    try:
        return tuple(_VALUE_TYPES[str(each)] for each in types)
    except KeyError:
        return None


def _join(types: list[wasmtime.ValType]) -> str:
    return " ".join(str(each) for each in types)
