"""Compiled modules: what they import and export, in our own types."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping

import wasmtime
from attrs import field, frozen

from storagemod.errors import ValidationError
from storagemod.limits import Limits
from storagemod.wasm.binary import Declarations, ExternType, Import, read_declarations
from storagemod.wasm.engine import shared_engine
from storagemod.wasm.lowering import Lowered, lower

_MODULES_KEPT = 256


@frozen(eq=False)
class Module:
    """A module that wasmtime has validated and compiled. Equal only to itself; the same bytes give the same object."""

    wasm: bytes = field(repr=lambda wasm: f"<{len(wasm)} bytes>")
    digest: bytes = field(repr=lambda digest: digest.hex())
    """SHA-256 of the binary."""
    declarations: Declarations
    lowered: Lowered = field(repr=False)
    """What was compiled, and how that exports what it keeps between calls."""
    compiled: wasmtime.Module = field(repr=False)
    first_bytes: dict[int, bytes | None] = field(factory=dict, init=False, repr=False)
    """What is known of its own memories by those who put instances back, by memory index."""

    @property
    def imports(self) -> tuple[Import, ...]:
        """What it imports, in order."""
        return self.declarations.imports

    @property
    def exports(self) -> Mapping[str, ExternType]:
        """What it exports, by name."""
        return self.declarations.exports


_modules: OrderedDict[tuple[bytes, int], Module] = OrderedDict()


def compile_module(wasm: bytes, limits: Limits) -> Module:
    """Validate and compile a binary; the last ``_MODULES_KEPT`` are remembered.

    Nothing interrupts a compilation, and its time grows with the square of how deep blocks are nested in a function:
    so the length of functions is bounded. It grows with loops times locals, too, and so that is bounded as well.

    Raises:
        ValidationError: wasmtime refuses it, and the message says why and where; or it would take long to compile.
    """
    digest = hashlib.sha256(wasm).digest()
    key = digest, limits.memory_pages_max
    module = _modules.get(key)
    if module is None:
        try:
            wasmtime.Module.validate(shared_engine(), wasm)
            declarations = read_declarations(wasm)
            _check_functions(declarations, limits)
            lowered = lower(wasm, declarations, memory_pages_max=limits.memory_pages_max)
            compiled = wasmtime.Module(shared_engine(), lowered.wasm)
        except wasmtime.WasmtimeError as error:
            raise ValidationError(_reason(str(error)), cause=error) from error
        module = Module(wasm, digest, declarations, lowered, compiled)
        _modules[key] = module
        if len(_modules) > _MODULES_KEPT:
            _modules.popitem(last=False)
    else:
        _check_functions(module.declarations, limits)
        _modules.move_to_end(key)
    return module


def _check_functions(declarations: Declarations, limits: Limits) -> None:
    if declarations.function_bytes_max > limits.function_bytes_max:
        raise ValidationError(
            f"a function of {declarations.function_bytes_max:,} bytes, and {limits.function_bytes_max:,} are allowed "
            "(function_bytes_max)",
        )
    if declarations.loop_locals > limits.loop_locals_max:
        raise ValidationError(
            f"its loops times locals, function by function, are {declarations.loop_locals:,}, and "
            f"{limits.loop_locals_max:,} are allowed (loop_locals_max)",
            hint="it would take too long to compile; have its longest functions split",
        )


def _reason(text: str) -> str:
    """The innermost cause that wasmtime names, and the function it was found in."""
    lines = [re.sub(r"\A\s*(\d+: )?", "", line) for line in text.splitlines() if line.strip()]
    found = re.search(r"wasm\[0\]::function\[(\d+)\](?:::(\S+))?", text)
    where = f" in function {found[2] or found[1]}" if found else ""
    return f"not a valid module: {lines[-1]}{where}"
