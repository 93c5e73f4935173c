"""Find the integers that stand in code, for those who look for input that matters to it."""

from __future__ import annotations

from collections.abc import Iterator

from storagemod.wasm.instructions import instruction_starts, read_unsigned
from storagemod.wasm.sections import CODE, first_instruction, read_sections

_I32_CONST, _I64_CONST = 0x41, 0x42
_COMPARISONS = frozenset((*range(0x45, 0x5B), 0x04, 0x0D, 0x0E))
"""Comparisons of integers, and branches: a constant before one says which way to go."""


def integer_constants(wasm: bytes) -> list[int]:
    """Return the integers in the code of a module that wasmtime has validated, signed, each once.

    Those that stand right before a comparison come first.
    """
    compared: dict[int, None] = {}
    others: dict[int, None] = {}
    for value, following in _constants(wasm):
        (compared if following in _COMPARISONS else others)[value] = None
    return list(compared | others)


def _constants(wasm: bytes) -> Iterator[tuple[int, int]]:
    """Yield each constant with the opcode of the instruction behind it."""
    for number, _, start, _ in read_sections(wasm):
        if number != CODE:
            continue
        count, offset = read_unsigned(wasm, start)
        for _ in range(count):
            length, body = read_unsigned(wasm, offset)
            offset = body + length
            for at in instruction_starts(wasm, first_instruction(wasm, body), offset):
                if wasm[at] in (_I32_CONST, _I64_CONST):
                    value, end = _signed(wasm, at + 1)
                    yield value, wasm[end]


def _signed(data: bytes, offset: int) -> tuple[int, int]:
    """Read a signed LEB128 number; return it and the offset behind it."""
    value, end = read_unsigned(data, offset)
    bits = 7 * (end - offset)
    return value - (1 << bits) if value >> (bits - 1) else value, end
