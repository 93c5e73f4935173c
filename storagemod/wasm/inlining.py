"""Inlining: an imported memory is added to a module, and instructions on it replace calls of imported functions.

Compilers emit one memory only, so their code reaches a second one through functions. Whoever links the module knows
that memory, and what each of the functions does to it:

    (call $load_i64 (local.get $offset))    ->    (i64.load $storage (local.get $offset))

Arguments and results stay where they are on the operand stack, so nothing else of the code changes. Function indices
do not change: the imports stay, and nobody calls them. Imported memories come before own ones, so the index of each
own memory goes up by one, wherever it is named: by instructions, exports and data segments. Custom sections are kept
as they are; a name section names functions rightly, and its names of memories are read by nobody.
Source: WebAssembly core specification 5.4, "Instructions", and 5.5, "Modules".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from storagemod.types import MemoryType
from storagemod.wasm.binary import Declarations, Import
from storagemod.wasm.instructions import Instruction, find_operands, read_unsigned, skip_constant, write_unsigned
from storagemod.wasm.sections import (
    ACTIVE_WITH_MEMORY,
    CODE,
    DATA,
    EXPORTS,
    IMPORTS,
    MEMORY,
    PASSIVE,
    appended,
    first_instruction,
    memory_limits,
    read_sections,
    sized,
    vector,
    with_sections,
)

FIRST_ACCESS = 0x28
"""Opcode of ``i32.load``. The other loads follow, the stores, ``memory.size`` and ``memory.grow``."""

_MEMORY_SIZE = 0x3F

_RETURN = b"\x0f"
_NAMES_MEMORY = 0x40
"""Bit of an alignment that says that the index of a memory follows."""

_PREFIXES = (0xFC, 0xFD)
_ACCESSES = {*range(FIRST_ACCESS, _MEMORY_SIZE), *(0xFD << 8 | number for number in (*range(12), *range(84, 94)))}
"""Loads and stores. Where an opcode has a prefix, that is the upper byte."""

_BY_INDEX = {
    _MEMORY_SIZE,
    Instruction.MEMORY_GROW,
    Instruction.MEMORY_INIT,
    Instruction.MEMORY_COPY,
    Instruction.MEMORY_FILL,
}


def inline(wasm: bytes, declarations: Declarations, memory: Import, opcodes: Mapping[int, int]) -> bytes:
    """Return a valid module that imports one more memory, with instructions on it in place of calls.

    Args:
        wasm: The module.
        declarations: What it declares.
        memory: The memory, as the module is to import it.
        opcodes: Opcode of the instruction that replaces calls of a function, by index of the function: a load or a
            store, ``memory.size`` or ``memory.grow``. Parameters and results are those of the instruction. Nothing
            uses these functions as values (``Declarations.imported_references``).
    """
    assert isinstance(memory.type, MemoryType)  # noqa: S101 - what the caller has to give
    assert declarations.imported_references.isdisjoint(opcodes)  # noqa: S101 - as above
    first_own = sum(isinstance(item.type, MemoryType) for item in declarations.imports)
    mover = _Mover(first_own, opcodes)
    sections = {number: wasm[start:end] for number, _, start, end in read_sections(wasm) if number}
    changed: dict[int, bytes | None] = {IMPORTS: appended(sections.get(IMPORTS), [_import(memory, memory.type)])}
    for number, change in ((EXPORTS, mover.exports), (CODE, mover.functions), (DATA, mover.segments)):
        if number in sections:
            changed[number] = vector(change(sections[number]))
    return with_sections(wasm, changed)


def _import(memory: Import, memory_type: MemoryType) -> bytes:
    names = sized(memory.module.encode()) + sized(memory.name.encode())
    return names + bytes([MEMORY]) + memory_limits(memory_type)


class _Mover:
    """Contents of sections with the new memory at ``added``, and all memories from there on behind it."""

    def __init__(self, added: int, opcodes: Mapping[int, int]) -> None:
        self._added = added
        self._accesses = {index: self._access(opcode) for index, opcode in opcodes.items()}

    def _access(self, opcode: int) -> bytes:
        """Return the instruction on the new memory: alignment of one byte, which is a hint only, and offset 0."""
        if opcode >= _MEMORY_SIZE:
            return bytes([opcode]) + write_unsigned(self._added)
        return bytes([opcode]) + self._operands(0, self._added) + b"\0"

    @staticmethod
    def _operands(alignment: int, memory: int) -> bytes:
        return bytes([alignment | _NAMES_MEMORY]) + write_unsigned(memory) if memory else bytes([alignment])

    def _moved(self, memory: int) -> int:
        return memory + (memory >= self._added)

    def exports(self, section: bytes) -> Iterator[bytes]:
        count, offset = read_unsigned(section, 0)
        for _ in range(count):
            length, name = read_unsigned(section, offset)
            kind = name + length
            index, end = read_unsigned(section, kind + 1)
            moved = self._moved(index) if section[kind] == MEMORY else index
            yield section[offset : kind + 1] + write_unsigned(moved)
            offset = end

    def segments(self, section: bytes) -> Iterator[bytes]:
        count, offset = read_unsigned(section, 0)
        for _ in range(count):
            mode, content = read_unsigned(section, offset)
            head = section[offset:content]
            after = content
            if mode != PASSIVE:
                memory = 0
                if mode == ACTIVE_WITH_MEMORY:
                    memory, content = read_unsigned(section, content)
                memory = self._moved(memory)
                head = write_unsigned(ACTIVE_WITH_MEMORY) + write_unsigned(memory) if memory else b"\0"
                after = skip_constant(section, content)
            length, start = read_unsigned(section, after)
            offset = start + length
            yield head + section[content:offset]

    def functions(self, section: bytes) -> Iterator[bytes]:
        count, offset = read_unsigned(section, 0)
        for _ in range(count):
            length, start = read_unsigned(section, offset)
            offset = start + length
            pieces = []
            copied = start
            for begin, end in find_operands(section, first_instruction(section, start), offset):
                changed = self._instruction(section, begin, end)
                if changed is not None:
                    pieces += [section[copied:begin], changed]
                    copied = end
            yield sized(b"".join((*pieces, section[copied:offset])))

    def _instruction(self, code: bytes, start: int, end: int) -> bytes | None:
        """Return what replaces an instruction, or ``None`` if nothing does."""
        opcode, operands = code[start], start + 1
        if opcode in (Instruction.CALL, Instruction.RETURN_CALL):
            access = self._accesses.get(read_unsigned(code, operands)[0])
            return access + _RETURN if access is not None and opcode == Instruction.RETURN_CALL else access
        if opcode in _PREFIXES:
            operation, operands = read_unsigned(code, operands)
            opcode = opcode << 8 | operation
        if opcode in _BY_INDEX:
            if opcode == Instruction.MEMORY_INIT:  # its first index is a data segment
                _, operands = read_unsigned(code, operands)
            return code[start:operands] + self._indices(code, operands, end)
        if opcode not in _ACCESSES:
            return None
        alignment, rest = read_unsigned(code, operands)
        memory = 0
        if alignment & _NAMES_MEMORY:
            memory, rest = read_unsigned(code, rest)
        moved = self._operands(alignment & ~_NAMES_MEMORY, self._moved(memory))
        return code[start:operands] + moved + code[rest:end]

    def _indices(self, code: bytes, offset: int, end: int) -> bytes:
        """Return the indices of memories that end an instruction, moved."""
        moved = b""
        while offset < end:
            index, offset = read_unsigned(code, offset)
            moved += write_unsigned(self._moved(index))
        return moved
