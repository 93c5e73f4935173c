"""Compiled modules: what they import and export, in our own types."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping

import wasmtime
from attrs import field, frozen

from storagemod.errors import ValidationError
from storagemod.wasm.binary import Declarations, ExternType, Import, read_declarations
from storagemod.wasm.engine import shared_engine

_MODULES_KEPT = 256


@frozen(eq=False)
class Module:
    """A module that wasmtime has validated and compiled. Equal only to itself; the same bytes give the same object."""

    wasm: bytes = field(repr=lambda wasm: f"<{len(wasm)} bytes>")
    digest: bytes = field(repr=lambda digest: digest.hex())
    """SHA-256 of the binary."""
    declarations: Declarations
    compiled: wasmtime.Module = field(repr=False)

    @property
    def imports(self) -> tuple[Import, ...]:
        """What it imports, in order."""
        return self.declarations.imports

    @property
    def exports(self) -> Mapping[str, ExternType]:
        """What it exports, by name."""
        return self.declarations.exports


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
            read_declarations(wasm),
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
