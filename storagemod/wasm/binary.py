"""Read what a module declares off its binary.

wasmtime's C interface aborts the process where a module's types have vectors in them, and says nothing of start
functions and of the code. So this file reads the sections itself. It reads only binaries that wasmtime has validated
with the features that the engine switches on, and has no defence against malformed ones.
Source: WebAssembly core specification 5.3, "Types", and 5.5, "Modules".
"""

from __future__ import annotations

import functools
import sys
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from attrs import define, field, frozen

from storagemod.errors import ValidationError
from storagemod.types import WASM_PAGE_BYTES, FunctionType, MemoryType, ValueType
from storagemod.wasm.compile_cost import (
    ELEMENT_BYTE_COST,
    MODULE_BYTES_A_UNIT,
    SIGNATURE_VALUE_COST,
    TABLE_ELEMENTS_A_UNIT,
    TYPE_COST,
    FunctionCost,
    ImageCost,
    Shape,
    check_cost,
)
from storagemod.wasm.instructions import (
    CONTINUES,
    LONG_REFERENCES,
    Instruction,
    read_unsigned,
    skip_constant,
    walk,
)
from storagemod.wasm.sections import (
    ACTIVE_WITH_MEMORY,
    CODE,
    CUSTOM,
    DATA,
    ELEMENTS,
    EXPORTS,
    FUNC,
    FUNCTIONS,
    GLOBAL,
    GLOBALS,
    HAS_MAXIMUM,
    HAS_PAGE_SIZE,
    IMPORTS,
    IS_64,
    MEMORIES,
    MEMORY,
    NAME_SECTION,
    PASSIVE,
    PREAMBLE_BYTES,
    START,
    TABLE,
    TABLES,
    TYPES,
    read_sections,
)

_COMPACT_IMPORTS = (0x7E, 0x7F)
"""Kinds that stand for several imports of one module. wasmtime takes them even where they are switched off."""

_TABLE_WITH_ELEMENT = 0x40
_CONSTANT_BITS = {0x41: 32, 0x42: 64}
_REF_FUNC = 0xD2


_NOT_ACTIVE, _WITH_INDEX, _WITH_EXPRESSIONS = 1, 2, 4  # bits of what begins an element segment

TABLE_ELEMENT_BYTES = 8
"""Memory that an element of a table takes."""

NUMBERS: dict[int, ValueType] = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64"}
_V128 = 0x7B
_OTHERS = {_V128: "v128", 0x70: "funcref"}


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
        function_exports: First name of each exported function, by function index.
        imported_references: Indices of the imported functions that are used as values: the module exports them, or puts
            them into tables or globals. Code can refer to no others (core specification 3.4.10, "Modules").
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
        compile_cost: Work that compiling is, in the units of ``Limits.compile_cost_max``.
        costliest: The part of the module that costs most of that, in words.
        image_bytes: Length of the images of own memories that the compiled module keeps.
    """

    imports: tuple[Import, ...]
    exports: dict[str, ExternType]
    types: int
    functions: int
    globals: int
    memory_exports: dict[str, int]
    function_exports: dict[int, str]
    imported_references: frozenset[int]
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
    compile_cost: int
    costliest: str
    image_bytes: int

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


PAGE_SIZES = "write (pagesize 1), or leave the page size out, which makes it 65,536 bytes"
"""The hint where a memory has pages of another length."""

_PAGE_BYTES = {0: 1, 16: WASM_PAGE_BYTES}
"""Lengths of pages that memories may have, by their logarithm to base 2."""


def _page_bytes(log2: int) -> int:
    """Return the length of a page of that logarithm.

    Source: the proposal "custom page sizes", which allows these two.

    Raises:
        ValidationError: There is no such page.
    """
    found = _PAGE_BYTES.get(log2)
    if found is None:
        raise ValidationError(
            f"expected a memory with pages of 1 or {WASM_PAGE_BYTES:,} bytes, got 2**{log2}",
            hint=PAGE_SIZES,
        )
    return found


def read_declarations(wasm: bytes, cost_max: int | None = None) -> Declarations:
    """Read the declarations of a valid module.

    Args:
        wasm: The module.
        cost_max: What it may cost to compile (``Limits.compile_cost_max``). Reading ends as soon as it costs more.

    Raises:
        ValidationError: A function has an instruction that the engine does not switch on, imports are compact, or the
            module costs too much.
    """
    reader = _ModuleReader(wasm, sys.maxsize if cost_max is None else cost_max)
    reader.costs["length"] = len(wasm) // MODULE_BYTES_A_UNIT
    for section, _, start, end in read_sections(wasm):
        if section == ELEMENTS:
            reader.costs["elements"] += (end - start) * ELEMENT_BYTE_COST
        read = _READERS.get(section)
        if read is not None:
            reader.offset = start
            read(reader)
            reader.check()
    return reader.declarations()


def without_names(wasm: bytes) -> bytes:
    """Return a valid module without its name section, into which translating text puts identifiers.

    Source: WebAssembly core specification, appendix "Custom Sections".
    """
    kept = [wasm[:PREAMBLE_BYTES]]
    for section, header, start, end in read_sections(wasm):
        if section != CUSTOM or not wasm.startswith(NAME_SECTION, start):
            kept.append(wasm[header:end])
    return b"".join(kept)


@define
class _ModuleReader:
    """Offset in a binary, and the declarations read so far."""

    wasm: bytes
    cost_max: int
    offset: int = 0
    types: list[FunctionType | OtherType] = field(factory=list)
    shapes: list[Shape] = field(factory=list)  # by type
    function_types: list[int] = field(factory=list)  # type indices of functions, imported ones first
    functions: list[int] = field(factory=list)  # type indices of own functions
    spaces: tuple[list[ExternType], ...] = field(factory=lambda: ([], [], [], []))  # by kind of extern
    imports: list[Import] = field(factory=list)
    exports: dict[str, ExternType] = field(factory=dict)
    memory_exports: dict[str, int] = field(factory=dict)
    function_exports: dict[int, str] = field(factory=dict)
    imported_references: set[int] = field(factory=set)
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
    images: dict[int, ImageCost] = field(factory=dict)  # of own memories, by index
    costs: Counter[str] = field(factory=Counter)
    costliest_function: tuple[int, int] = (0, 0)  # and its index

    def declarations(self) -> Declarations:
        return Declarations(
            imports=tuple(self.imports),
            exports=self.exports,
            types=len(self.types),
            functions=len(self.spaces[FUNC]),
            globals=len(self.spaces[GLOBAL]),
            memory_exports=self.memory_exports,
            function_exports=self.function_exports,
            imported_references=frozenset(self.imported_references),
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
            compile_cost=sum(self.costs.values()),
            costliest=self.costliest(),
            image_bytes=sum(image.bytes for image in self.images.values()),
        )

    def check(self) -> None:
        """Check that what was read so far is not too much to compile."""
        cost = sum(self.costs.values())
        check_cost(cost, self.cost_max, self.costliest() if cost > self.cost_max else "")

    def costliest(self) -> str:
        """Name the part that costs most."""
        ((part, total),) = self.costs.most_common(1)
        cost, index = self.costliest_function
        return f"function {index}" if part == "functions" and 2 * cost > total else f"its {part}"

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
        maximum = self.unsigned() if flags & HAS_MAXIMUM else None
        page_bytes = WASM_PAGE_BYTES
        if flags & HAS_PAGE_SIZE:
            page_bytes = _page_bytes(self.unsigned())
        return MemoryType(minimum, maximum, bool(flags & IS_64), page_bytes)

    def value_type(self) -> int:
        """Read a value type and return its first byte."""
        first = self.byte()
        if first in LONG_REFERENCES:
            self.unsigned()
        return first

    def reference(self, index: int) -> None:
        """Record that a function is used as a value."""
        if index < len(self.function_types) - len(self.functions):
            self.imported_references.add(index)

    def constant(self) -> None:
        """Step over a constant expression; record the function that it refers to."""
        if self.wasm[self.offset] == _REF_FUNC:
            self.reference(read_unsigned(self.wasm, self.offset + 1)[0])
        self.offset = skip_constant(self.wasm, self.offset)

    def global_type(self) -> tuple[int, bool]:
        """Read the type of a global; return the first byte of its value type, and whether it is mutable."""
        return self.value_type(), self.byte() == 1

    def extern(self, kind: int) -> ExternType:
        """Read the type of an import."""
        if kind == FUNC:
            self.function_types.append(self.unsigned())
            return self.types[self.function_types[-1]]
        if kind == MEMORY:
            return self.memory_type()
        if kind == TABLE:
            self.value_type()
            self.memory_type()
            return _TABLE_TYPE
        self.global_type()
        return _GLOBAL_TYPE

    # Sections

    def read_types(self) -> None:
        known = set()
        for _ in range(self.unsigned()):
            self.byte()  # the form: only functions are switched on
            params = tuple([self.value_type() for _ in range(self.unsigned())])
            results = tuple([self.value_type() for _ in range(self.unsigned())])
            self.shapes.append(Shape(len(params), len(results)))
            if (params, results) not in known:
                known.add((params, results))
                self.costs["types"] += TYPE_COST + SIGNATURE_VALUE_COST * (len(params) + len(results))
            self.types.append(_function_type(params, results))

    def read_imports(self) -> None:
        for _ in range(self.unsigned()):
            module, name, kind = self.name(), self.name(), self.byte()
            if kind in _COMPACT_IMPORTS:
                raise ValidationError(
                    f"not a valid module: expected imports one by one, got compact imports from {module!r}",
                    hint="compile without the feature compact-imports",
                )
            imported = self.extern(kind)
            self.spaces[kind].append(imported)
            self.imports.append(Import(module, name, imported))

    def read_functions(self) -> None:
        for _ in range(self.unsigned()):
            self.functions.append(self.unsigned())
            self.spaces[FUNC].append(self.types[self.functions[-1]])
        self.function_types += self.functions

    def read_tables(self) -> None:
        for _ in range(self.unsigned()):
            has_first_element = self.wasm[self.offset] == _TABLE_WITH_ELEMENT
            self.offset += 2 * has_first_element
            self.value_type()
            elements = self.memory_type().pages_min  # tables and memories have the same limits
            if has_first_element:
                self.constant()
            self.own_tables.append(elements)
            self.costs["tables"] += elements // TABLE_ELEMENTS_A_UNIT
            self.spaces[TABLE].append(_TABLE_TYPE)

    def read_memories(self) -> None:
        for _ in range(self.unsigned()):
            memory = self.memory_type()
            self.own_memories.append((len(self.spaces[MEMORY]), memory))
            self.images[len(self.spaces[MEMORY])] = ImageCost(memory.bytes_min)
            self.spaces[MEMORY].append(memory)

    def read_globals(self) -> None:
        for _ in range(self.unsigned()):
            first, mutable = self.global_type()
            self.constant()
            if mutable:
                kind = NUMBERS.get(first) or ("v128" if first == _V128 else "ref")
                self.mutable_globals.append((len(self.spaces[GLOBAL]), kind))
            self.spaces[GLOBAL].append(_GLOBAL_TYPE)

    def read_exports(self) -> None:
        for _ in range(self.unsigned()):
            name, kind, index = self.name(), self.byte(), self.unsigned()
            self.exports[name] = self.spaces[kind][index]
            if kind == MEMORY:
                self.memory_exports[name] = index
            elif kind == FUNC:
                self.reference(index)
                self.function_exports.setdefault(index, name)

    def read_start(self) -> None:
        self.has_start = True

    def read_code(self) -> None:
        imported = len(self.function_types) - len(self.functions)
        for number in range(self.unsigned()):
            length = self.unsigned()
            end = self.offset + length
            shape = self.shapes[self.functions[number]]
            local_count = shape.params
            for _ in range(self.unsigned()):
                local_count += self.unsigned()
                self.value_type()
            cost = FunctionCost(shape, local_count, self.shapes, self.function_types, length)
            self.read_instructions(end, imported + number, cost)
            self.add_function(imported + number, cost.total)
            self.offset = end

    def add_function(self, index: int, cost: int) -> None:
        """Add what a function costs, and check that it is not too much."""
        self.costs["functions"] += cost
        self.costliest_function = max(self.costliest_function, (cost, index))
        self.check()

    def read_instructions(self, end: int, index: int, cost: FunctionCost) -> None:
        """Record the notable instructions of one function, and what it costs to compile."""
        for stop in walk(self.wasm, self.offset, end):
            if cost.least > self.cost_max:  # then the rest need not be read, which takes its time as well
                self.add_function(index, cost.least)
            cost.add(stop)
            instruction, indices = stop.instruction, stop.indices
            if instruction is Instruction.MEMORY_GROW:
                self.grows_memory.update(indices)
            elif instruction is Instruction.MEMORY_INIT:
                self.bulk_memories.add(indices[1])  # the first index is a data segment
            elif instruction in _BULK_ACCESSES:
                self.bulk_memories.update(indices)
            elif instruction in _NOTED:
                self.instructions.add(instruction)

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
                    self.constant()
                else:
                    self.reference(self.unsigned())
            if active:
                self.active_segments += 1
                self.active_bytes += count * TABLE_ELEMENT_BYTES

    def read_data(self) -> None:
        for _ in range(self.unsigned()):
            mode = self.unsigned()
            if mode == PASSIVE:
                length = self.unsigned()
            else:
                memory = self.unsigned() if mode == ACTIVE_WITH_MEMORY else 0
                self.segment_memories.add(memory)
                begin, self.offset = self.offset, skip_constant(self.wasm, self.offset)
                offset = self.offset_at(begin)
                length = self.unsigned()
                if memory in self.images:
                    self.images[memory].add(offset, length)
                self.active_segments += 1
                self.active_bytes += length
            self.offset += length
        self.costs["data segments"] = sum(image.total for image in self.images.values())

    def offset_at(self, begin: int) -> int | None:
        """Return the offset of a data segment, or ``None`` where it is more than one constant."""
        bits = _CONSTANT_BITS.get(self.wasm[begin])
        if bits is None:
            return None
        value, end = read_unsigned(self.wasm, begin + 1)
        if end + 1 != self.offset:
            return None
        written_bits = 7 * (end - begin - 1)
        if value >> (written_bits - 1):  # constants are signed, offsets are not
            value -= 1 << written_bits
        return value % (1 << bits)


_READERS: dict[int, Callable[[_ModuleReader], None]] = {
    TYPES: _ModuleReader.read_types,
    IMPORTS: _ModuleReader.read_imports,
    FUNCTIONS: _ModuleReader.read_functions,
    TABLES: _ModuleReader.read_tables,
    MEMORIES: _ModuleReader.read_memories,
    GLOBALS: _ModuleReader.read_globals,
    EXPORTS: _ModuleReader.read_exports,
    START: _ModuleReader.read_start,
    ELEMENTS: _ModuleReader.read_elements,
    CODE: _ModuleReader.read_code,
    DATA: _ModuleReader.read_data,
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


_NOTED = _TABLE_MUTATIONS | _SEGMENT_DROPS


@functools.lru_cache(maxsize=1024)
def _function_type(params: tuple[int, ...], results: tuple[int, ...]) -> FunctionType | OtherType:
    if all(each in NUMBERS for each in (*params, *results)):
        return FunctionType(tuple(NUMBERS[each] for each in params), tuple(NUMBERS[each] for each in results))
    texts = [" ".join(NUMBERS.get(each) or _OTHERS.get(each, "ref") for each in part) for part in (params, results)]
    return OtherType(f"(func (param {texts[0]}) (result {texts[1]}))")
