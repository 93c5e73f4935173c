"""Find what each function of a module mentions: the integers that stand in its code, and the imports that it can call.

For those who look for input that matters to code. Functions that it calls count; calls through tables may reach every
function of the module, and each import that is used as a value. The start function runs before whatever is called.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field, frozen

from storagemod.types import FunctionType
from storagemod.wasm.binary import Declarations, OtherType
from storagemod.wasm.instructions import Instruction, instruction_starts, read_unsigned
from storagemod.wasm.sections import EXPORTS, FUNC, START, first_instruction, function_bodies, read_sections

_I32_CONST, _I64_CONST = 0x41, 0x42
_COMPARISONS = frozenset((*range(0x45, 0x5B), Instruction.IF, Instruction.BR_IF, Instruction.BR_TABLE))
"""Comparisons of integers, and branches: a constant right before one says which way to go."""

_CALLS = (Instruction.CALL, Instruction.RETURN_CALL)
_INDIRECT = (Instruction.CALL_INDIRECT, Instruction.RETURN_CALL_INDIRECT)


@frozen
class Mentions:
    """What an exported function mentions, with all functions that it can call, and the start function.

    Attributes:
        constants: Integers in the code, signed, each once; those right before a comparison come first.
        imports: Imported functions that it can call: module and name.
        compared: How many of the constants are those right before a comparison.
    """

    constants: tuple[int, ...]
    imports: frozenset[tuple[str, str]]
    compared: int = 0


@define
class _Function:
    compared: dict[int, None] = field(factory=dict)
    others: dict[int, None] = field(factory=dict)
    calls: set[int] = field(factory=set)
    is_indirect: bool = False


def mentions(wasm: bytes, declarations: Declarations) -> dict[str, Mentions]:
    """Return what each exported function mentions, by the name of the export.

    The module must have been validated.
    """
    imported = [each for each in declarations.imports if _is_function(each.type)]
    functions = dict(enumerate(_functions(wasm), len(imported)))
    exported, start = _entries(wasm)
    found = {}
    for name, index in exported.items():
        reached = _reached([index, *start], functions, declarations.imported_references)
        compared = dict.fromkeys(number for each in reached if each in functions for number in functions[each].compared)
        others = dict.fromkeys(number for each in reached if each in functions for number in functions[each].others)
        imports = frozenset((imported[each].module, imported[each].name) for each in reached if each < len(imported))
        found[name] = Mentions(tuple(compared | others), imports, len(compared))
    return found


def _is_function(kind: object) -> bool:
    return isinstance(kind, FunctionType) or (isinstance(kind, OtherType) and str(kind).startswith("(func"))


def _entries(wasm: bytes) -> tuple[dict[str, int], list[int]]:
    """Return the index of each exported function by name, one for each name, and that of the start function."""
    exported: dict[str, int] = {}
    first: list[int] = []
    for number, _, content, _ in read_sections(wasm):
        if number == START:
            first.append(read_unsigned(wasm, content)[0])
        elif number == EXPORTS:
            count, offset = read_unsigned(wasm, content)
            for _ in range(count):
                length, name = read_unsigned(wasm, offset)
                index, offset = read_unsigned(wasm, name + length + 1)
                if wasm[name + length] == FUNC:
                    exported[wasm[name : name + length].decode()] = index
    return exported, first


def _reached(first: list[int], functions: dict[int, _Function], referred: frozenset[int]) -> list[int]:
    """Return the functions that some can call, themselves included, in the order in which they are met."""
    met, waiting = dict.fromkeys(first), first[::-1]
    while waiting:
        function = functions.get(waiting.pop())
        if function is None:
            continue
        following = sorted(function.calls)
        if function.is_indirect:
            following += [*functions, *sorted(referred)]
        waiting += [each for each in following if each not in met]
        met.update(dict.fromkeys(following))
    return list(met)


def _functions(wasm: bytes) -> Iterator[_Function]:
    """Yield the functions that the module defines."""
    for body, end in function_bodies(wasm):
        function = _Function()
        for at in instruction_starts(wasm, first_instruction(wasm, body), end):
            opcode = wasm[at]
            if opcode in (_I32_CONST, _I64_CONST):
                value, behind = _signed(wasm, at + 1)
                (function.compared if wasm[behind] in _COMPARISONS else function.others)[value] = None
            elif opcode in _CALLS:
                function.calls.add(read_unsigned(wasm, at + 1)[0])
            elif opcode in _INDIRECT:
                function.is_indirect = True
        yield function


def _signed(data: bytes, offset: int) -> tuple[int, int]:
    """Read a signed LEB128 number; return it and the offset behind it."""
    value, end = read_unsigned(data, offset)
    bits = 7 * (end - offset)
    return value - (1 << bits) if value >> (bits - 1) else value, end
