"""Compiled modules: what they import and export, in our own types."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

import wasmtime
from attrs import evolve, field, frozen

from storagemod.errors import StorageModError, ValidationError
from storagemod.limits import Limits
from storagemod.wasm._bindings import image_length
from storagemod.wasm.binary import PAGE_SIZES, Declarations, ExternType, Import, read_declarations
from storagemod.wasm.compile_cost import check_cost
from storagemod.wasm.engine import shared_engine
from storagemod.wasm.instrument import Instrumented, Watched, instrument
from storagemod.wasm.lowering import Lowered, lower
from storagemod.wasm.memory import no_memory

MODULES_KEPT, BYTES_KEPT = 256, 256 << 20
"""Modules that are remembered, and the memory that they may take together. The last one is remembered in any case."""

_OF_THE_SYSTEM = "(os error "
"""In messages of wasmtime where the system refused something."""


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
    instrumented: Instrumented | None = field(default=None, repr=False)
    """What it records, if it was compiled to record; without the binary."""
    first_bytes: dict[int, bytes | None] = field(factory=dict, init=False, repr=False)
    """What is known of its own memories by those who put instances back, by memory index."""
    uses: dict[Hashable, Any] = field(factory=dict, init=False, repr=False)
    """What other layers made of it, to be forgotten with it."""
    bytes_kept: int = field(init=False)
    """Memory that it takes: binaries, machine code, and images of memories, which are laid out a second time when it is
    first instantiated."""

    def __attrs_post_init__(self) -> None:
        """Add up what it takes."""
        binaries = len(self.wasm) + len(self.lowered.wasm)
        object.__setattr__(self, "bytes_kept", binaries + image_length(self.compiled) + self.declarations.image_bytes)

    @property
    def imports(self) -> tuple[Import, ...]:
        """What it imports, in order."""
        return self.declarations.imports

    @property
    def exports(self) -> Mapping[str, ExternType]:
        """What it exports, by name."""
        return self.declarations.exports


_modules_lock = threading.RLock()
"""Held while the cache is read or changed, never while something is compiled. A signal handler may compile."""

_modules: OrderedDict[tuple[bytes, int, Watched | None], Module] = OrderedDict()
"""By binary, the maximum of its memories, and what it records; the one used last is last."""


def compile_module(wasm: bytes, limits: Limits, watched: Watched | None = None) -> Module:
    """Validate and compile a binary. The last modules are remembered, as many as take ``BYTES_KEPT`` at most.

    Nothing interrupts a compilation, so what it would cost is estimated first. What an instrumented module costs more
    is not counted: about three times as much.

    Args:
        wasm: The binary.
        limits: What bounds it.
        watched: What of it is storage, if it is to record; ``None`` for the plain module.

    Raises:
        ValidationError: wasmtime refuses it, and the message says why and where; or it costs too much to compile.
        StateError: The system has no memory for it.
    """
    key = wasm, limits.memory_pages_max, watched
    with _modules_lock:
        module = _modules.get(key)
        if module is not None:
            _modules.move_to_end(key)
    if module is None and watched is not None:
        module = _recording(compile_module(wasm, limits), watched)
        with _modules_lock:
            _modules[key] = module
            _forget_oldest()
    elif module is None:
        try:
            wasmtime.Module.validate(shared_engine(), wasm)
        except wasmtime.WasmtimeError as error:
            raise _refusal(error) from error
        declarations = read_declarations(wasm, limits.compile_cost_max)
        lowered = lower(wasm, declarations, memory_pages_max=limits.memory_pages_max)
        try:
            compiled = wasmtime.Module(shared_engine(), lowered.wasm)
        except wasmtime.WasmtimeError as error:
            refusal = _refusal(error)
            # An offset would be one in the lowered binary, which nobody sees.
            refusal.message = re.sub(r" \(at offset \w+\)", "", refusal.message)
            raise refusal from error
        module = Module(wasm, hashlib.sha256(wasm).digest(), declarations, lowered, compiled)
        with _modules_lock:
            _modules[key] = module
            _forget_oldest()
    else:
        check_cost(module.declarations.compile_cost, limits.compile_cost_max, module.declarations.costliest)
    return module


def _recording(plain: Module, watched: Watched) -> Module:
    """Return a module that records what it does."""
    made = instrument(plain.wasm, plain.declarations, plain.lowered, watched)
    try:
        compiled = wasmtime.Module(shared_engine(), made.wasm)
    except wasmtime.WasmtimeError as error:
        raise _refusal(error) from error
    return Module(
        plain.wasm, plain.digest, plain.declarations, plain.lowered, compiled, instrumented=evolve(made, wasm=b"")
    )


def _forget_oldest() -> None:
    taken = sum(module.bytes_kept for module in _modules.values())
    while len(_modules) > 1 and (len(_modules) > MODULES_KEPT or taken > BYTES_KEPT):
        _, oldest = _modules.popitem(last=False)
        taken -= oldest.bytes_kept
        oldest.uses.clear()  # these refer to it, and cycles are freed late


def _refusal(error: wasmtime.WasmtimeError) -> StorageModError:
    """Return the error for a module that wasmtime does not take: it is invalid, or the system has no memory for it."""
    text = str(error)
    if _OF_THE_SYSTEM in text:
        return no_memory(error)
    reason = _reason(text)
    return ValidationError(reason, cause=error, hint=PAGE_SIZES if "custom page size" in reason else None)


def _reason(text: str) -> str:
    """The innermost cause that wasmtime names, and the function it was found in."""
    lines = [re.sub(r"\A\s*(\d+: )?", "", line) for line in text.splitlines() if line.strip()]
    found = re.search(r"wasm\[0\]::function\[(\d+)\](?:::(\S+))?", text)
    where = f" in function {found[2] or found[1]}" if found else ""
    return f"not a valid module: {lines[-1]}{where}"


def _forget_lock() -> None:
    """Have a lock in a forked child that no thread of its parent holds."""
    global _modules_lock  # noqa: PLW0603 - as threads know it
    _modules_lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)
