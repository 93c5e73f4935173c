"""Read what a module declares off its binary.

wasmtime's C interface aborts the process where a module's types have vectors in them, and says nothing of start
functions and of the code. So this file reads the sections itself. It reads only binaries that wasmtime has validated
with the features that the engine switches on, and has no defence against malformed ones.
Source: WebAssembly core specification 5.3, "Types", and 5.5, "Modules".
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TypeAlias

from attrs import define, field, frozen

from storagemod.types import FunctionType, MemoryType, ValueType
from storagemod.wasm.instructions import (
    CONTINUES,
    Instruction,
    count_notable,
    read_unsigned,
    skip_constant,
)

_PREAMBLE_BYTES = 8

_CUSTOM, _TYPES, _IMPORTS, _FUNCTIONS, _TABLES, _MEMORIES, _GLOBALS, _EXPORTS, _START = range(9)
_ELEMENTS, _CODE, _DATA, _DATA_COUNT = 9, 10, 11, 12

_NAME_SECTION = b"\x04name"

_FUNC, _TABLE, _MEMORY, _GLOBAL = range(4)

_HAS_MAXIMUM, _IS_64 = 1, 4
_PASSIVE, _ACTIVE_WITH_MEMORY = 1, 2
_NOT_ACTIVE, _WITH_INDEX, _WITH_EXPRESSIONS = 1, 2, 4  # bits of what begins an element segment

TABLE_ELEMENT_BYTES = 8
"""Memory that an element of a table takes."""

_NUMBERS: dict[int, ValueType] = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64"}
_V128 = 0x7B
_OTHERS = {_V128: "v128", 0x70: "funcref"}

_LONG_REFERENCES = (0x63, 0x64)
"""Bytes that come before the type that is referred to. ``funcref`` may be written so with any features."""


@frozen
class OtherType:
    """Type that crosses no contract's border: a table, a global, or a function of vectors or references."""

    description: str

    def __str__(self) -> str:
        return self.description


_TABLE_TYPE, _GLOBAL_TYPE = OtherType("(table)"), OtherType("(global)")

ExternType: TypeAlias = FunctionType | MemoryType | OtherType


@frozen
class Import:
    """One import of a module; ``module`` is the namespace that it comes from."""

    module: str
    name: str
    type: ExternType

    def __str__(self) -> str:
        return f'(import "{self.module}" "{self.name}" {self.type})'


@frozen(kw_only=True)
class Declarations:
    """Everything that is known of a module before it runs.

    Memory and global indices are those of the module's index spaces, in which imports come first.

    Attributes:
        imports: All imports, in order.
        exports: Type of each export, by name.
        types: Number of types.
        functions: Number of functions, imported ones included.
        globals: Number of globals, imported ones included.
        memory_exports: Memory index of each exported memory, by name.
        own_memories: Index and type of each memory that the module defines.
        own_tables: The least number of elements of each table that the module defines.
        mutable_globals: Index and type of each mutable global that the module defines: a number type, ``v128``, or
            ``ref`` for every reference.
        has_start: Whether the module has a start function.
        bulk_memories: Indices of the memories that ``memory.copy``, ``fill``, ``init`` or an active data segment names.
            wasmtime accesses them in the host, where a fault on a protected page ends the process instead of trapping.
        segment_memories: Indices of the memories that an active data segment names: instantiation writes them.
        active_segments: Number of active segments, of data and of elements.
        active_bytes: Length of what they write at instantiation.
        bulk_instructions: Whether functions have such instructions. Segments alone leave it ``False``.
        grows_memory: Indices of the memories that ``memory.grow`` names.
        mutates_tables: Whether functions have an instruction that changes a table.
        grows_tables: Whether they have ``table.grow``.
        drops_segments: Whether functions drop a data or element segment.
        function_bytes_max: Length of the longest function.
        loop_locals: Sum over all functions of loops times locals, parameters included. The compiler looks at each
            local for each loop around its uses, so its time grows with this number, and nothing interrupts it.
    """

    imports: tuple[Import, ...]
    exports: dict[str, ExternType]
    types: int
    functions: int
    globals: int
    memory_exports: dict[str, int]
    own_memories: tuple[tuple[int, MemoryType], ...]
    own_tables: tuple[int, ...]
    mutable_globals: tuple[tuple[int, str], ...]
    has_start: bool
    bulk_memories: frozenset[int]
    segment_memories: frozenset[int]
    active_segments: int
    active_bytes: int
    bulk_instructions: bool
    grows_memory: frozenset[int]
    mutates_tables: bool
    grows_tables: bool
    drops_segments: bool
    function_bytes_max: int
    loop_locals: int

    @property
    def memories(self) -> tuple[MemoryType, ...]:
        """The types of the memories that the module defines."""
        return tuple(memory for _, memory in self.own_memories)

    @property
    def has_own_state(self) -> bool:
        """Whether running a function can leave something in an instance that the next call would see.

        State that the instance imports does not count.
        """
        return bool(self.own_memories or self.mutable_globals or self.mutates_tables or self.drops_segments)


def read_declarations(wasm: bytes) -> Declarations:
    """Read the declarations of a valid module.

    Raises:
        ValidationError: A function has an instruction that the engine does not switch on.
    """
    reader = _ModuleReader(wasm)
    for section, _, start, _ in read_sections(wasm):
        read = _READERS.get(section)
        if read is not None:
            reader.offset = start
            read(reader)
    return reader.declarations()


def without_names(wasm: bytes) -> bytes:
    """Return a valid module without its name section, into which translating text puts identifiers.

    Source: WebAssembly core specification, appendix "Custom Sections".
    """
    kept = [wasm[:_PREAMBLE_BYTES]]
    for section, header, start, end in read_sections(wasm):
        if section != _CUSTOM or not wasm.startswith(_NAME_SECTION, start):
            kept.append(wasm[header:end])
    return b"".join(kept)


def read_sections(wasm: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, offset of the header, offset of the content, and end of each section."""
    header = _PREAMBLE_BYTES
    while header < len(wasm):
        length, start = read_unsigned(wasm, header + 1)
        yield wasm[header], header, start, start + length
        header = start + length


@define
class _ModuleReader:
    """Offset in a binary, and the declarations read so far."""

    wasm: bytes
    offset: int = 0
    types: list[FunctionType | OtherType] = field(factory=list)
    param_counts: list[int] = field(factory=list)  # by type
    functions: list[int] = field(factory=list)  # type indices of own functions
    spaces: tuple[list[ExternType], ...] = field(factory=lambda: ([], [], [], []))  # by kind of extern
    imports: list[Import] = field(factory=list)
    exports: dict[str, ExternType] = field(factory=dict)
    memory_exports: dict[str, int] = field(factory=dict)
    own_memories: list[tuple[int, MemoryType]] = field(factory=list)
    own_tables: list[int] = field(factory=list)
    mutable_globals: list[tuple[int, str]] = field(factory=list)
    has_start: bool = False
    segment_memories: set[int] = field(factory=set)
    active_segments: int = 0
    active_bytes: int = 0
    bulk_memories: set[int] = field(factory=set)
    grows_memory: set[int] = field(factory=set)
    instructions: set[Instruction] = field(factory=set)
    function_bytes_max: int = 0
    loop_locals: int = 0

    def declarations(self) -> Declarations:
        return Declarations(
            imports=tuple(self.imports),
            exports=self.exports,
            types=len(self.types),
            functions=len(self.spaces[_FUNC]),
            globals=len(self.spaces[_GLOBAL]),
            memory_exports=self.memory_exports,
            own_memories=tuple(self.own_memories),
            own_tables=tuple(self.own_tables),
            mutable_globals=tuple(self.mutable_globals),
            has_start=self.has_start,
            bulk_memories=frozenset(self.bulk_memories | self.segment_memories),
            segment_memories=frozenset(self.segment_memories),
            active_segments=self.active_segments,
            active_bytes=self.active_bytes,
            bulk_instructions=bool(self.bulk_memories),
            grows_memory=frozenset(self.grows_memory),
            grows_tables=Instruction.TABLE_GROW in self.instructions,
            mutates_tables=not self.instructions.isdisjoint(_TABLE_MUTATIONS),
            drops_segments=not self.instructions.isdisjoint(_SEGMENT_DROPS),
            function_bytes_max=self.function_bytes_max,
            loop_locals=self.loop_locals,
        )

    # Parts of sections

    def byte(self) -> int:
        self.offset += 1
        return self.wasm[self.offset - 1]

    def unsigned(self) -> int:
        value = self.wasm[self.offset]
        if value < CONTINUES:  # nearly always
            self.offset += 1
            return value
        value, self.offset = read_unsigned(self.wasm, self.offset)
        return value

    def name(self) -> str:
        length = self.unsigned()
        self.offset += length
        return self.wasm[self.offset - length : self.offset].decode()

    def memory_type(self) -> MemoryType:
        flags = self.byte()
        minimum = self.unsigned()
        maximum = self.unsigned() if flags & _HAS_MAXIMUM else None
        return MemoryType(minimum, maximum, bool(flags & _IS_64))

    def value_type(self) -> int:
        """Read a value type and return its first byte."""
        first = self.byte()
        if first in _LONG_REFERENCES:
            self.unsigned()
        return first

    def global_type(self) -> tuple[int, bool]:
        """Read the type of a global; return the first byte of its value type, and whether it is mutable."""
        return self.value_type(), self.byte() == 1

    def extern(self, kind: int) -> ExternType:
        """Read the type of an import."""
        if kind == _FUNC:
            return self.types[self.unsigned()]
        if kind == _MEMORY:
            return self.memory_type()
        if kind == _TABLE:
            self.value_type()
            self.memory_type()
            return _TABLE_TYPE
        self.global_type()
        return _GLOBAL_TYPE

    # Sections

    def read_types(self) -> None:
        for _ in range(self.unsigned()):
            self.byte()  # the form: only functions are switched on
            params = tuple([self.value_type() for _ in range(self.unsigned())])
            results = tuple([self.value_type() for _ in range(self.unsigned())])
            self.param_counts.append(len(params))
            self.types.append(_function_type(params, results))

    def read_imports(self) -> None:
        for _ in range(self.unsigned()):
            module, name, kind = self.name(), self.name(), self.byte()
            imported = self.extern(kind)
            self.spaces[kind].append(imported)
            self.imports.append(Import(module, name, imported))

    def read_functions(self) -> None:
        for _ in range(self.unsigned()):
            self.functions.append(self.unsigned())
            self.spaces[_FUNC].append(self.types[self.functions[-1]])

    def read_tables(self) -> None:
        for _ in range(self.unsigned()):
            self.value_type()
            self.own_tables.append(self.memory_type().pages_min)  # tables and memories have the same limits
            self.spaces[_TABLE].append(_TABLE_TYPE)

    def read_memories(self) -> None:
        for _ in range(self.unsigned()):
            memory = self.memory_type()
            self.own_memories.append((len(self.spaces[_MEMORY]), memory))
            self.spaces[_MEMORY].append(memory)

    def read_globals(self) -> None:
        for _ in range(self.unsigned()):
            first, mutable = self.global_type()
            self.offset = skip_constant(self.wasm, self.offset)
            if mutable:
                kind = _NUMBERS.get(first) or ("v128" if first == _V128 else "ref")
                self.mutable_globals.append((len(self.spaces[_GLOBAL]), kind))
            self.spaces[_GLOBAL].append(_GLOBAL_TYPE)

    def read_exports(self) -> None:
        for _ in range(self.unsigned()):
            name, kind, index = self.name(), self.byte(), self.unsigned()
            self.exports[name] = self.spaces[kind][index]
            if kind == _MEMORY:
                self.memory_exports[name] = index

    def read_start(self) -> None:
        self.has_start = True

    def read_code(self) -> None:
        for number in range(self.unsigned()):
            length = self.unsigned()
            end = self.offset + length
            self.function_bytes_max = max(self.function_bytes_max, length)
            local_count = self.param_counts[self.functions[number]]
            for _ in range(self.unsigned()):
                local_count += self.unsigned()
                self.value_type()
            self.loop_locals += local_count * self.read_instructions(end)
            self.offset = end

    def read_instructions(self, end: int) -> int:
        """Record the notable instructions of one function; return the number of its loops."""
        counts = count_notable(self.wasm, self.offset, end)
        for instruction, indices in counts:
            self.instructions.add(instruction)
            if instruction is Instruction.MEMORY_GROW:
                self.grows_memory.update(indices)
            elif instruction is Instruction.MEMORY_INIT:
                self.bulk_memories.add(indices[1])  # the first index is a data segment
            elif instruction in _BULK_ACCESSES:
                self.bulk_memories.update(indices)
        return counts.get((Instruction.LOOP, ()), 0)

    def read_elements(self) -> None:
        for _ in range(self.unsigned()):
            flags = self.unsigned()
            active = not flags & _NOT_ACTIVE
            if active:
                if flags & _WITH_INDEX:
                    self.unsigned()
                self.offset = skip_constant(self.wasm, self.offset)
            if flags & (_NOT_ACTIVE | _WITH_INDEX):
                self.value_type()
            count = self.unsigned()
            for _ in range(count):
                if flags & _WITH_EXPRESSIONS:
                    self.offset = skip_constant(self.wasm, self.offset)
                else:
                    self.unsigned()
            if active:
                self.active_segments += 1
                self.active_bytes += count * TABLE_ELEMENT_BYTES

    def read_data(self) -> None:
        for _ in range(self.unsigned()):
            mode = self.unsigned()
            if mode != _PASSIVE:
                self.segment_memories.add(self.unsigned() if mode == _ACTIVE_WITH_MEMORY else 0)
                self.offset = skip_constant(self.wasm, self.offset)
            length = self.unsigned()
            self.offset += length
            if mode != _PASSIVE:
                self.active_segments += 1
                self.active_bytes += length


_READERS: dict[int, Callable[[_ModuleReader], None]] = {
    _TYPES: _ModuleReader.read_types,
    _IMPORTS: _ModuleReader.read_imports,
    _FUNCTIONS: _ModuleReader.read_functions,
    _TABLES: _ModuleReader.read_tables,
    _MEMORIES: _ModuleReader.read_memories,
    _GLOBALS: _ModuleReader.read_globals,
    _EXPORTS: _ModuleReader.read_exports,
    _START: _ModuleReader.read_start,
    _ELEMENTS: _ModuleReader.read_elements,
    _CODE: _ModuleReader.read_code,
    _DATA: _ModuleReader.read_data,
}

_BULK_ACCESSES = {Instruction.MEMORY_COPY, Instruction.MEMORY_FILL}
_TABLE_MUTATIONS = {
    Instruction.TABLE_SET,
    Instruction.TABLE_INIT,
    Instruction.TABLE_COPY,
    Instruction.TABLE_GROW,
    Instruction.TABLE_FILL,
}
_SEGMENT_DROPS = {Instruction.DATA_DROP, Instruction.ELEM_DROP}


@functools.lru_cache(maxsize=1024)
def _function_type(params: tuple[int, ...], results: tuple[int, ...]) -> FunctionType | OtherType:
    if all(each in _NUMBERS for each in (*params, *results)):
        return FunctionType(tuple(_NUMBERS[each] for each in params), tuple(_NUMBERS[each] for each in results))
    texts = [" ".join(_NUMBERS.get(each) or _OTHERS.get(each, "ref") for each in part) for part in (params, results)]
    return OtherType(f"(func (param {texts[0]}) (result {texts[1]}))")
