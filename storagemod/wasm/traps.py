"""From wasmtime's traps to our errors."""

from __future__ import annotations

import re

import wasmtime

from storagemod.errors import OutOfGasError, StackError, StateError, StorageModError, TrapError

_TEXT = {
    wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS: "out of bounds memory access",
    wasmtime.TrapCode.TABLE_OUT_OF_BOUNDS: "out of bounds table access",
    wasmtime.TrapCode.INDIRECT_CALL_TO_NULL: "indirect call of an empty table element",
    wasmtime.TrapCode.BAD_SIGNATURE: "indirect call of a function of another type",
    wasmtime.TrapCode.INTEGER_OVERFLOW: "integer overflow",
    wasmtime.TrapCode.INTEGER_DIVISION_BY_ZERO: "integer division by zero",
    wasmtime.TrapCode.BAD_CONVERSION_TO_INTEGER: "a float that fits no integer was converted",
    wasmtime.TrapCode.UNREACHABLE: "`unreachable` was executed",
}


def error_from_trap(trap: wasmtime.Trap, spent_in: str | None = None) -> StorageModError:
    """The error that a trap of wasmtime's own stands for; not for traps that a host function made.

    Args:
        trap: The trap.
        spent_in: Where code that counts its own gas had none left, if that is so: the name of a function, or empty for
            that which called the one that trapped.
    """
    frames = trap.frames
    if spent_in is not None:
        name = spent_in or (_shown(frames[1].func_name) or f"function {frames[1].func_index}")
        return OutOfGasError(f"out of gas in {name}")
    function = index = None
    if frames:
        index = frames[0].func_index
        function = _shown(frames[0].func_name) or f"function {index}"
    where = f" in {function}" if function else ""
    code = trap.trap_code
    if code is wasmtime.TrapCode.OUT_OF_FUEL:
        return OutOfGasError(f"out of gas{where}")
    if code is wasmtime.TrapCode.STACK_OVERFLOW:
        return StackError(f"the call stack is exhausted{where}", hint="is a recursion without end?")
    if code is None:
        return TrapError(f"{trap.message.strip().splitlines()[-1].strip()}{where}", code="host", function=function)
    text = _TEXT.get(code) or code.name.lower().replace("_", " ")
    return TrapError(
        f"{text}{where}",
        code=code.name.lower(),
        function=function,
        function_index=index,
        fault=_fault(trap.message),
    )


def engine_error(error: wasmtime.WasmtimeError) -> StateError:
    """Return the error for what wasmtime refused though it should always work. It ends the transaction."""
    return StateError(f"wasmtime refused: {str(error).strip().splitlines()[-1].strip()}", cause=error)


def _shown(name: str | None) -> str | None:
    """Return a name that keeps to its line; contracts choose theirs."""
    return name if name is None or name.isprintable() else ascii(name)


def _fault(message: str) -> tuple[int, int] | None:
    """Offset and memory length, in bytes, of an access that the machine's page protection stopped."""
    found = re.search(r"memory fault at wasm address 0x([0-9a-f]+) in linear memory of size 0x([0-9a-f]+)", message)
    return None if found is None else (int(found[1], 16), int(found[2], 16))
