"""Instrumenting: a module that records what its code does, in a memory of its own that is appended.

No import is added and no index moves. What is recorded, and where in the appended memory, the *log*:

- which blocks of code ran: one byte a block;
- each access to a watched memory, in order: site, length or effect, effective address;
- the operands of integer comparisons, the first :data:`REPEATS_MAX` of each site.

The log is bounded; what does not fit is counted. The program's memories, tables and traps are those of the plain code.

Gas is exact. The engine's fuel would count the added instructions, so instrumented code counts its own in the log: by
basic blocks, as wasmtime does it, and looks at it where wasmtime does, at function entries and loop heads. Whoever runs
it gives the engine's fuel without end, sets the gas in the log, and reads there what is left.

What is instrumented is the lowered module: its guards and empty loops count towards gas as well. Offsets of blocks and
sites are those of the module before it was lowered, which :mod:`storagemod.wasm.locate` knows lines of.

Source of the rules of fuel: wasmtime, crates/cranelift/src/func_environ.rs, and measurement. Every instruction costs 1,
those of :data:`_FREE` nothing, and entering a function 1. Instructions such as ``memory.fill`` and ``memory.grow`` cost
1 more for each byte, page or element, once it is known that they do not trap or fail.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

from attrs import field, frozen

from storagemod.types import WASM_PAGE_BYTES, MemoryType
from storagemod.wasm.binary import Declarations
from storagemod.wasm.instructions import (
    LONG_REFERENCES,
    Instruction,
    Stop,
    instruction_starts,
    read_unsigned,
    skip_constant,
    walk,
    write_signed,
    write_unsigned,
)
from storagemod.wasm.lowering import Lowered, is_followed_by_loop
from storagemod.wasm.sections import (
    ACTIVE_WITH_MEMORY,
    CODE,
    DATA,
    DATA_COUNT,
    EXPORTS,
    FUNCTIONS,
    GLOBAL,
    HAS_MAXIMUM,
    HAS_PAGE_SIZE,
    IMPORTS,
    IS_64,
    MEMORIES,
    MEMORY,
    TABLE,
    TABLES,
    TYPES,
    appended,
    first_instruction,
    function_bodies,
    memory_limits,
    read_sections,
    sized,
    vector,
    with_sections,
)

REPEATS_MAX = 8
"""Comparisons of one site that are recorded in one call; later ones are counted."""

COMPARISONS_MAX = 2_048
"""Comparisons that are recorded in one call."""

ACCESSES_MAX = 4_096
"""Accesses that are recorded in one call."""

COMPARISON = struct.Struct("<Iqq")
"""One comparison in the log: number of the site, left and right operand, signed."""

ACCESS = struct.Struct("<IIQ")
"""One access in the log: number of the site, its effect or length, effective address.

A store has :data:`CHANGED`, :data:`SAME` or :data:`UNKNOWN` in the middle. A load, and an instruction that accesses as
many bytes as an operand says, has the length there.
"""

LOG_BYTES_MAX = 1 << 24
"""More than any log takes: code of 1 MiB has fewer blocks and comparisons than bytes."""

CHANGED, SAME, UNKNOWN = range(3)
"""Effects of stores."""

HEADER = struct.Struct("<qIIIIIxxxxQQ")
"""The beginning of the log: gas left, ends of what is recorded, counts of what did not fit, where gas ran out, and the
range of mapped storage. The bytes of blocks follow."""

GAS, ACCESS_END, COMPARISON_END, ACCESSES_LOST, COMPARISONS_LOST, OUT, LOW, HIGH = 0, 8, 12, 16, 20, 24, 32, 40
BLOCKS_START = HEADER.size
"""Offsets of these in the log."""

_ENDLESS_GAS = 1 << 62

_TABLE_WITH_ELEMENT = 0x40
_CONSTANTS, _SIGN_BIT, _SMALL_GROWTH_MAX = b"\x41\x42", 0x40, 128

_I32, _I64, _F32, _F64, _V128 = 0x7F, 0x7E, 0x7D, 0x7C, 0x7B
_NAMES_MEMORY = 0x40

_FREE = frozenset(b"\x00\x01\x02\x03\x05\x0b\x0f\x1a")
"""Instructions that use no fuel: unreachable, nop, block, loop, else, end, return, drop."""

_ENTRY_COST = 1

_ENDS_BLOCK = frozenset(b"\x00\x03\x04\x05\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13")
_BLOCK_FOLLOWS = frozenset(b"\x03\x04\x05\x0b\x0d")
_OPENS = frozenset(b"\x02\x03\x04")
_BRANCHES = frozenset(b"\x0c\x0d\x0e")
_NEVER_GO_ON = frozenset(b"\x00\x0c\x0e\x0f\x12\x13")

_EQZ32, _EQZ64 = 0x45, 0x50
_COMPARISONS = range(0x45, 0x5B)
"""Those of integers of 32 bits, then those of 64; each begins with ``eqz``."""

_LOADS = dict(zip(range(0x28, 0x36), (4, 8, 4, 8, 1, 1, 2, 2, 1, 1, 2, 2, 4, 4), strict=True))
_VECTOR, _BULK = 0xFD, 0xFC
_VECTOR_LOADS = {0: 16, **dict.fromkeys(range(1, 7), 8), 7: 1, 8: 2, 9: 4, 10: 8, 92: 4, 93: 8}
_VECTOR_STORE = 11
_LANE_LOADS = {84: 1, 85: 2, 86: 4, 87: 8}
_LANE_STORES = {88: 1, 89: 2, 90: 4, 91: 8}

_EQ32, _EQ64 = b"\x46", b"\x51"


@frozen
class _Store:
    """A store: type of its operand, length, and how the bytes before and those to be are compared."""

    type: int
    length: int
    load: bytes
    prepared: bytes
    """Makes an integer of the operand that the loaded one can be equal to."""
    equal: bytes


_STORES = {
    0x36: _Store(_I32, 4, b"\x28", b"", _EQ32),
    0x37: _Store(_I64, 8, b"\x29", b"", _EQ64),
    0x38: _Store(_F32, 4, b"\x28", b"\xbc", _EQ32),
    0x39: _Store(_F64, 8, b"\x29", b"\xbd", _EQ64),
    0x3A: _Store(_I32, 1, b"\x2d", b"\x41\xff\x01\x71", _EQ32),
    0x3B: _Store(_I32, 2, b"\x2f", b"\x41\xff\xff\x03\x71", _EQ32),
    0x3C: _Store(_I64, 1, b"\x31", b"\x42\xff\x01\x83", _EQ64),
    0x3D: _Store(_I64, 2, b"\x33", b"\x42\xff\xff\x03\x83", _EQ64),
    0x3E: _Store(_I64, 4, b"\x35", b"\x42\xff\xff\xff\xff\x0f\x83", _EQ64),
}
_WHOLE_VECTOR = _Store(_V128, 16, b"\xfd\x00", b"", b"\xfd\x23\xfd\x63")  # i8x16.eq, i8x16.all_true
_LANES = {
    88: (b"\x2d", b"\xfd\x16", _EQ32),
    89: (b"\x2f", b"\xfd\x19", _EQ32),
    90: (b"\x28", b"\xfd\x1b", _EQ32),
    91: (b"\x29", b"\xfd\x1d", _EQ64),
}
"""For stores of a lane: the load of its width, the extraction of a lane, and the comparison."""


@frozen
class Accessor:
    """An imported function that accesses storage.

    Attributes:
        name: What messages call it.
        fuel: What it uses of that.
        length: Bytes that it accesses; 0 if none.
        value: Its second parameter, ``i32`` to ``f64``, if it writes; ``None`` if it reads.
        is_64: Whether its first parameter, the address, is an ``i64``.
    """

    name: str
    fuel: int
    length: int = 0
    value: str | None = None
    is_64: bool = False


@frozen
class Watched:
    """What of a module is storage.

    Attributes:
        memories: Indices of the memories all accesses to which are recorded.
        mapped: Index of the memory a range of which stands for storage, as whoever runs the code says; or ``None``.
        functions: Imported functions that access storage, with their indices.
    """

    memories: frozenset[int] = frozenset()
    mapped: int | None = None
    functions: tuple[tuple[int, Accessor], ...] = ()


@frozen
class AccessSite:
    """An instruction that accesses storage.

    Attributes:
        offset: Where it is in the module, in bytes.
        memory: The index of the memory; -1 where it calls a function.
        length: Bytes that it accesses; 0 if an operand says how many.
        write: Whether it writes.
    """

    offset: int
    memory: int
    length: int
    write: bool


@frozen
class Instrumented:
    """Module that records, and what its log means.

    Attributes:
        wasm: The binary.
        export: Name of the log, a memory.
        blocks: Offset in the module of the first instruction of each block.
        comparisons: Offset in the module, and opcode, of each comparison.
        accesses: Each instruction that accesses storage.
        pages: Length of the log, in Wasm pages.
        header: The bytes that the log begins with, before each call; the first 8 are the gas.
        comparisons_start: Offset of the recorded comparisons.
        accesses_start: Offset of the recorded accesses.
        out_names: Names of accessors, by what the log has where gas ran out, less 2.
    """

    wasm: bytes = field(repr=lambda wasm: f"<{len(wasm)} bytes>")
    export: str
    blocks: tuple[int, ...] = field(repr=lambda blocks: f"<{len(blocks)} blocks>")
    comparisons: tuple[tuple[int, int], ...] = field(repr=lambda sites: f"<{len(sites)} comparisons>")
    accesses: tuple[AccessSite, ...] = field(repr=lambda sites: f"<{len(sites)} accesses>")
    pages: int
    header: bytes = field(repr=False)
    comparisons_start: int
    accesses_start: int
    out_names: tuple[str, ...] = field(repr=False)


def instrument(wasm: bytes, declarations: Declarations, lowered: Lowered, watched: Watched) -> Instrumented:
    """Instrument a valid module.

    Args:
        wasm: The module.
        declarations: What it declares.
        lowered: The same module as it is compiled.
        watched: What of it is storage.
    """
    writer = _Writer(declarations, lowered, watched)
    return writer.finish(lowered.wasm, list(writer.functions(wasm, lowered.wasm)))


def _section_of(wasm: bytes, wanted: int) -> tuple[int, int] | None:
    return next(((start, end) for number, _, start, end in read_sections(wasm) if number == wanted), None)


def _parameter_counts(wasm: bytes) -> list[int]:
    """Return how many parameters each own function of a module has."""
    types = _section_of(wasm, TYPES)
    functions = _section_of(wasm, FUNCTIONS)
    if types is None or functions is None:
        return []
    counts = []
    count, offset = read_unsigned(wasm, types[0])
    for _ in range(count):
        offset += 1
        for part in range(2):
            length, offset = read_unsigned(wasm, offset)
            if not part:
                counts.append(length)
            for _ in range(length):
                if wasm[offset] in LONG_REFERENCES:
                    offset += 1
                _, offset = read_unsigned(wasm, offset)
    own = []
    count, offset = read_unsigned(wasm, functions[0])
    for _ in range(count):
        index, offset = read_unsigned(wasm, offset)
        own.append(counts[index])
    return own


def _table_widths(wasm: bytes) -> list[bool]:
    """Return for each table of a module, imported ones first, whether it has addresses of 64 bits."""
    widths: list[bool] = []
    for number, _, start, _ in read_sections(wasm):
        if number not in (IMPORTS, TABLES):
            continue
        count, offset = read_unsigned(wasm, start)
        for _ in range(count):
            kind = TABLE
            if number == IMPORTS:
                for _ in range(2):
                    length, offset = read_unsigned(wasm, offset)
                    offset += length
                kind, offset = wasm[offset], offset + 1
            has_element = kind == TABLE and wasm[offset] == _TABLE_WITH_ELEMENT
            offset += 2 * has_element
            if kind in (TABLE, GLOBAL):  # a reference or value type
                offset += wasm[offset] in LONG_REFERENCES
            if kind != MEMORY:
                _, offset = read_unsigned(wasm, offset)  # the type, or its index
            if kind == GLOBAL:
                offset += 1
            if kind in (TABLE, MEMORY):
                flags = wasm[offset]
                _, offset = read_unsigned(wasm, offset + 1)
                for bit in (HAS_MAXIMUM, HAS_PAGE_SIZE):
                    if flags & bit:
                        _, offset = read_unsigned(wasm, offset)
            if kind == TABLE:
                widths.append(bool(flags & IS_64))
            if has_element:
                offset = skip_constant(wasm, offset)
    return widths


def _local_count(code: bytes, start: int) -> tuple[int, int, int]:
    """Return how many groups of locals a function declares, where they begin, and how many locals they are."""
    groups, offset = read_unsigned(code, start)
    begin, total = offset, 0
    for _ in range(groups):
        count, offset = read_unsigned(code, offset)
        total += count
        if code[offset] in LONG_REFERENCES:
            offset += 1
        _, offset = read_unsigned(code, offset)
    return groups, begin, total


_I, _L = b"\x7f", b"\x7e"
_HELPER_TYPES = (
    ("out", _I, b""),
    ("access", _L + _I + _I, b""),
    ("mapped", _L + _I + _I + _I, b""),
    ("read32", _I + _L + _I + _I, _I),
    ("read64", _L + _L + _I + _I, _L),
    ("mapped_read", _I + _L + _I + _I, _I),
    ("compare", _L + _L + _I, b""),
    ("pair32", _I + _I + _I, _I + _I),
    ("pair64", _L + _L + _I, _L + _L),
    ("one32", _I + _I, _I),
    ("one64", _L + _I, _L),
)
"""Functions that are added: name, types of parameters, and of results."""

_END, _GET0, _GET1, _GET2, _GET3 = b"\x0b", b"\x20\x00", b"\x20\x01", b"\x20\x02", b"\x20\x03"
_IF, _RETURN, _UNREACHABLE, _EXTEND_U, _EXTEND_S = b"\x04\x40", b"\x0f", b"\x00", b"\xad", b"\xac"
_ZERO = b"\x41\x00"


class _Locals:
    """Locals that are added to one function, made when they are first wanted."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._types: list[int] = []
        self._known: dict[tuple[int, int], int] = {}

    def index(self, value_type: int, number: int = 0) -> bytes:
        """Return the index of a local of a type, encoded; ``number`` tells those of one type apart."""
        index = self._known.get((value_type, number))
        if index is None:
            index = self._known[value_type, number] = self._first + len(self._types)
            self._types.append(value_type)
        return write_unsigned(index)

    def declared(self) -> tuple[int, bytes]:
        """Return how many groups declare them, and these."""
        return len(self._types), b"".join(b"\x01" + bytes([each]) for each in self._types)


class _Scope:
    """A block, loop or ``if`` on the way: what is known of whether code runs."""

    __slots__ = ("branched", "else_follows", "head", "is_loop")

    def __init__(self, head: bool, opcode: int) -> None:
        self.head = head
        self.is_loop = opcode == Instruction.LOOP
        self.else_follows = opcode == Instruction.IF
        self.branched = False


class _Writer:
    def __init__(self, declarations: Declarations, lowered: Lowered, watched: Watched) -> None:
        self._watched = watched
        self._functions = dict(watched.functions)
        imported = [item.type for item in declarations.imports if isinstance(item.type, MemoryType)]
        self._is_64 = [each.is_64 for each in (*imported, *declarations.memories)]
        self._tables_64 = _table_widths(lowered.wasm)
        self._log = len(self._is_64)
        self._prefix = "record"
        while any(name.startswith(self._prefix) for name in declarations.exports):
            self._prefix += "_"
        self._first_helper = declarations.functions + len(lowered.guards)
        self._helpers = {
            name: write_unsigned(self._first_helper + place) for place, (name, *_) in enumerate(_HELPER_TYPES)
        }
        self._parameters = _parameter_counts(lowered.wasm)
        self._blocks: list[int] = []
        self._comparisons: list[tuple[int, int]] = []
        self._accesses: list[AccessSite] = []
        self._out_names: list[str] = []

    # Pieces of code

    def _at(self, opcode: int, offset: int) -> bytes:
        """Return a load or store of the log."""
        return bytes([opcode, _NAMES_MEMORY]) + write_unsigned(self._log) + write_unsigned(offset)

    def _call(self, helper: str) -> bytes:
        return b"\x10" + self._helpers[helper]

    def _charge(self, cost: int) -> bytes:
        if not cost:
            return b""
        return _ZERO + _ZERO + self._at(0x29, GAS) + b"\x42" + write_signed(cost) + b"\x7d" + self._at(0x37, GAS)

    def _check(self, what: int = 1) -> bytes:
        """Return code that traps where gas ran out; ``what`` tells the host where."""
        spent = _ZERO + self._at(0x29, GAS) + b"\x42\x00\x53"
        return spent + _IF + _constant(what) + self._call("out") + _END

    def _mark(self, offset: int) -> bytes:
        """Return code that records that a block ran."""
        self._blocks.append(offset)
        return _ZERO + b"\x41\x01" + self._at(0x3A, BLOCKS_START + len(self._blocks) - 1)

    def _count(self, offset: int) -> bytes:
        return _ZERO + _ZERO + self._at(0x28, offset) + b"\x41\x01\x6a" + self._at(0x36, offset)

    # Functions of the module

    def functions(self, wasm: bytes, lowered: bytes) -> Iterator[bytes]:
        originals = [*function_bodies(wasm)]
        for number, (start, end) in enumerate(function_bodies(lowered)):
            origins = _origins(wasm, *originals[number]) if number < len(originals) else None
            yield sized(self._function(lowered, start, end, self._parameters[number], origins))

    def _function(
        self, code: bytes, start: int, end: int, parameters: int, origins: list[tuple[int, bool]] | None
    ) -> bytes:
        groups, groups_start, count = _local_count(code, start)
        first = first_instruction(code, start)
        self._locals = _Locals(parameters + count)
        starts = [*instruction_starts(code, first, end), end]
        stops = {stop.start: stop for stop in walk(code, first, end)}
        pieces = [self._charge(_ENTRY_COST) + self._check()]
        if origins is not None:
            pieces.append(self._mark(origins[0][0]))
        slot, cost = len(pieces), 0
        pieces.append(b"")
        scopes, reached = [_Scope(True, Instruction.BLOCK)], True
        for number, at in enumerate(starts[:-1]):
            behind, opcode = starts[number + 1], code[at]
            offset, added = (0, True) if origins is None else origins[number]
            cost += opcode not in _FREE
            stop = stops.get(at)
            pieces.append(b"" if origins is None else self._observed(code, at, behind, stop, offset))
            before, after = (b"", b"") if stop is None else self._measured(stop)
            if stop is not None and stop.instruction is Instruction.TABLE_GROW:
                known = _small_constant(code, starts[number - 1])
                if known is not None:
                    cost, before, after = cost + known, b"", b""
            pieces.append(before + code[at:behind] + after)
            if opcode == Instruction.BLOCK or opcode in _ENDS_BLOCK:
                reached = _goes_on(scopes, opcode, stop, reached)
            if opcode not in _ENDS_BLOCK and not after:
                continue
            pieces[slot] = self._charge(cost)
            if opcode == Instruction.LOOP:
                pieces.append(self._check())
            following = code[behind] if behind < end else Instruction.END
            if (
                opcode in _BLOCK_FOLLOWS
                and not added
                and reached
                and following not in (Instruction.END, Instruction.ELSE)
            ):
                pieces.append(self._mark(origins[number + 1][0] if origins is not None else 0))
            slot, cost = len(pieces), 0
            pieces.append(b"")
        more, declared = self._locals.declared()
        return write_unsigned(groups + more) + code[groups_start:first] + declared + b"".join(pieces)

    def _observed(self, code: bytes, start: int, end: int, stop: Stop | None, offset: int) -> bytes:
        """Return code that records what an instruction does; it comes before that."""
        opcode = code[start]
        if opcode in (Instruction.CALL, Instruction.RETURN_CALL):
            accessor = self._functions.get(stop.indices[0]) if stop is not None else None
            return b"" if accessor is None else self._accessed(accessor, offset)
        if opcode in _COMPARISONS:
            return self._compared(opcode, offset)
        if opcode in _LOADS or opcode in _STORES:
            return self._scalar(code, start, offset)
        if opcode == _VECTOR:
            return self._vector(code, start, end, offset)
        return self._bulk(stop, offset) if opcode == _BULK and stop is not None else b""

    def _measured(self, stop: Stop) -> tuple[bytes, bytes]:
        """Return code before and behind an instruction whose price depends on its last operand."""
        instruction, widths = stop.instruction, self._tables_64
        if instruction is Instruction.MEMORY_COPY:
            is_64 = all(self._is_64[each] for each in stop.indices)
        elif instruction in (Instruction.MEMORY_FILL, Instruction.MEMORY_GROW):
            is_64 = self._is_64[stop.indices[0]]
        elif instruction in (Instruction.TABLE_FILL, Instruction.TABLE_GROW):
            is_64 = widths[stop.indices[0]]
        elif instruction is Instruction.TABLE_COPY:
            is_64 = all(widths[each] for each in stop.indices)
        elif instruction in (Instruction.MEMORY_INIT, Instruction.TABLE_INIT):
            is_64 = False
        else:
            return b"", b""
        kind = _I64 if is_64 else _I32
        count = self._locals.index(kind, 4)
        length = b"\x20" + count + (b"" if is_64 else _EXTEND_U)
        charge = _ZERO + _ZERO + self._at(0x29, GAS) + length + b"\x7d" + self._at(0x37, GAS)
        if instruction in (Instruction.MEMORY_GROW, Instruction.TABLE_GROW):
            result = self._locals.index(kind, 5)
            grew = b"\x20" + result + (b"\x42\x7f\x52" if is_64 else b"\x41\x7f\x47")
            charge = b"\x21" + result + grew + _IF + charge + self._check() + _END + b"\x20" + result
        return b"\x22" + count, charge

    def _compared(self, opcode: int, offset: int) -> bytes:
        helper = ("one" if opcode in (_EQZ32, _EQZ64) else "pair") + ("32" if opcode < _EQZ64 else "64")
        self._comparisons.append((offset, opcode))
        return _constant(len(self._comparisons) - 1) + self._call(helper)

    # Accesses

    def _site(self, offset: int, memory: int, length: int, write: bool) -> bytes:
        self._accesses.append(AccessSite(offset, memory, length, write))
        return _constant(len(self._accesses) - 1)

    def _is_watched(self, memory: int) -> bool:
        return memory in self._watched.memories or memory == self._watched.mapped

    def _operand(self, code: bytes, offset: int) -> tuple[int, int, int]:
        """Return memory, offset and end of the operand of an access."""
        alignment, offset = read_unsigned(code, offset)
        memory = 0
        if alignment & _NAMES_MEMORY:
            memory, offset = read_unsigned(code, offset)
        immediate, offset = read_unsigned(code, offset)
        return memory, immediate, offset

    def _scalar(self, code: bytes, start: int, offset: int) -> bytes:
        memory, immediate, _ = self._operand(code, start + 1)
        if not self._is_watched(memory):
            return b""
        store = _STORES.get(code[start])
        if store is None:
            return self._loaded(memory, immediate, _LOADS[code[start]], offset)
        return self._stored(memory, immediate, store, offset)

    def _loaded(self, memory: int, immediate: int, length: int, offset: int) -> bytes:
        """Return code that records a load whose address is on top of the stack."""
        helper = "read64" if self._is_64[memory] else "read32"
        if memory not in self._watched.memories:
            helper = "mapped_read"
        site = self._site(offset, memory, length, False)
        return b"\x42" + _signed64(immediate) + site + _constant(length) + self._call(helper)

    def _stored(self, memory: int, immediate: int, store: _Store, offset: int) -> bytes:
        """Return code that records a store whose address and operand are on top of the stack."""
        value = self._locals.index(store.type)
        address = self._address(memory)
        load = store.load + self._operands(memory, immediate)
        same = b"\x20" + address + load + b"\x20" + value + store.prepared + store.equal
        site = self._site(offset, memory, store.length, True)
        record = self._record(memory, address, immediate, site, same, _constant(store.length))
        return b"\x21" + value + b"\x22" + address + record + b"\x20" + value

    def _operands(self, memory: int, immediate: int) -> bytes:
        """Return the operand of an access of the least alignment."""
        return bytes([_NAMES_MEMORY]) + write_unsigned(memory) + write_unsigned(immediate)

    def _address(self, memory: int, number: int = 0) -> bytes:
        return self._locals.index(_I64 if self._is_64[memory] else _I32, number + 1)

    def _record(self, memory: int, address: bytes, immediate: int, site: bytes, effect: bytes, length: bytes) -> bytes:
        """Return code that records an access, given code for its effect and its length."""
        effective = b"\x20" + address + (b"" if self._is_64[memory] else _EXTEND_U)
        if immediate:
            effective += b"\x42" + _signed64(immediate) + b"\x7c"
        if memory in self._watched.memories:
            return effective + site + effect + self._call("access")
        return effective + site + effect + length + self._call("mapped")

    def _vector(self, code: bytes, start: int, end: int, offset: int) -> bytes:
        operation, at = read_unsigned(code, start + 1)
        is_lane = operation in _LANE_LOADS or operation in _LANE_STORES
        if not is_lane and operation not in _VECTOR_LOADS and operation != _VECTOR_STORE:
            return b""
        memory, immediate, at = self._operand(code, at)
        if not self._is_watched(memory):
            return b""
        if operation == _VECTOR_STORE:
            return self._stored(memory, immediate, _WHOLE_VECTOR, offset)
        if operation in _VECTOR_LOADS:
            return self._loaded(memory, immediate, _VECTOR_LOADS[operation], offset)
        if operation in _LANE_LOADS:
            value = self._locals.index(_V128)
            loaded = self._loaded(memory, immediate, _LANE_LOADS[operation], offset)
            return b"\x21" + value + loaded + b"\x20" + value
        load, extract, equal = _LANES[operation]
        store = _Store(_V128, _LANE_STORES[operation], load, extract + code[at:end], equal)
        return self._stored(memory, immediate, store, offset)

    def _bulk(self, stop: Stop, offset: int) -> bytes:
        """Return code that records ``memory.copy``, ``fill`` or ``init``, whose three operands are on the stack."""
        if stop.instruction is Instruction.MEMORY_COPY:
            written, read = stop.indices
            middle = _I64 if self._is_64[read] else _I32
            both = self._is_64[written] and self._is_64[read]
        elif stop.instruction is Instruction.MEMORY_FILL:
            written, read, middle = stop.indices[0], -1, _I32
            both = self._is_64[written]
        elif stop.instruction is Instruction.MEMORY_INIT:
            written, read, middle, both = stop.indices[1], -1, _I32, False
        else:
            return b""
        watched = [each for each in (written, read) if each >= 0 and self._is_watched(each)]
        if not watched:
            return b""
        to = self._address(written)
        source, count = self._locals.index(middle, 3), self._locals.index(_I64 if both else _I32, 4)
        # A length of 64 bits that does not fit 32 traps.
        length = b"\x20" + count + (b"\xa7" if both else b"")
        keep = b"\x21" + count + b"\x21" + source + b"\x21" + to
        give_back = b"\x20" + to + b"\x20" + source + b"\x20" + count
        records = b""
        if read in watched:
            records += self._record(read, source, 0, self._site(offset, read, 0, False), length, length)
        if written in watched:
            records += self._record(written, to, 0, self._site(offset, written, 0, True), length, length)
        return keep + records + give_back

    def _accessed(self, accessor: Accessor, offset: int) -> bytes:
        """Return code that records a call of a function that accesses storage, and counts its gas."""
        self._out_names.append(accessor.name)
        recorded = b""
        if accessor.length and accessor.value is None:
            site = self._site(offset, -1, accessor.length, False)
            helper = "read64" if accessor.is_64 else "read32"
            recorded = b"\x42\x00" + site + _constant(accessor.length) + self._call(helper)
        elif accessor.length and accessor.value is not None:
            value = self._locals.index({"i32": _I32, "i64": _I64, "f32": _F32, "f64": _F64}[accessor.value])
            address = self._locals.index(_I64 if accessor.is_64 else _I32, 1)
            extended = b"" if accessor.is_64 else _EXTEND_U
            site = self._site(offset, -1, accessor.length, True)
            record = b"\x20" + address + extended + site + _constant(UNKNOWN) + self._call("access")
            recorded = b"\x21" + value + b"\x22" + address + record + b"\x20" + value
        entry = self._charge(_ENTRY_COST) + self._check(len(self._out_names) + 1)
        return recorded + entry + self._charge(accessor.fuel - _ENTRY_COST)

    # Functions and sections that are added

    def finish(self, lowered: bytes, bodies: list[bytes]) -> Instrumented:
        """Return the module, given its functions."""
        counts_start = BLOCKS_START + len(self._blocks)
        comparisons_start = -(-(counts_start + len(self._comparisons)) // 8) * 8
        comparisons_end = comparisons_start + COMPARISONS_MAX * COMPARISON.size
        accesses_start = -(-comparisons_end // 8) * 8
        accesses_end = accesses_start + ACCESSES_MAX * ACCESS.size
        pages = -(-accesses_end // WASM_PAGE_BYTES)
        header = HEADER.pack(_ENDLESS_GAS, accesses_start, comparisons_start, 0, 0, 0, 0, 0)
        helpers = self._helper_bodies(counts_start, comparisons_end, accesses_end)
        sections = {number: lowered[start:end] for number, _, start, end in read_sections(lowered) if number}
        first_type = read_unsigned(sections[TYPES], 0)[0] if TYPES in sections else 0
        segment = write_unsigned(ACTIVE_WITH_MEMORY) + write_unsigned(self._log) + _ZERO + _END + sized(header)
        export = f"{self._prefix}.log"
        changed: dict[int, bytes | None] = {
            TYPES: appended(
                sections.get(TYPES),
                [b"\x60" + sized(parameters) + sized(results) for _, parameters, results in _HELPER_TYPES],
            ),
            FUNCTIONS: appended(
                sections.get(FUNCTIONS), [write_unsigned(first_type + place) for place in range(len(_HELPER_TYPES))]
            ),
            MEMORIES: appended(sections.get(MEMORIES), [memory_limits(MemoryType(pages, pages))]),
            EXPORTS: appended(
                sections.get(EXPORTS), [sized(export.encode()) + bytes([MEMORY]) + write_unsigned(self._log)]
            ),
            CODE: vector([*bodies, *helpers]),
            DATA: appended(sections.get(DATA), [segment]),
        }
        if DATA_COUNT in sections:
            changed[DATA_COUNT] = write_unsigned(read_unsigned(sections[DATA_COUNT], 0)[0] + 1)
        return Instrumented(
            wasm=with_sections(lowered, changed),
            export=export,
            blocks=tuple(self._blocks),
            comparisons=tuple(self._comparisons),
            accesses=tuple(self._accesses),
            pages=pages,
            header=header + bytes(comparisons_start - len(header)),
            comparisons_start=comparisons_start,
            accesses_start=accesses_start,
            out_names=tuple(self._out_names),
        )

    def _helper_bodies(self, counts_start: int, comparisons_end: int, accesses_end: int) -> Iterable[bytes]:
        bodies: Mapping[str, bytes] = {
            "out": b"\x00" + _ZERO + _GET0 + self._at(0x36, OUT) + _UNREACHABLE,
            "access": self._append_access(accesses_end),
            "mapped": self._append_mapped(),
            "read32": b"\x00" + self._read(_EXTEND_U, "access") + _GET0,
            "read64": b"\x00" + self._read(b"", "access") + _GET0,
            "mapped_read": b"\x00" + self._read(_EXTEND_U, "mapped") + _GET0,
            "compare": self._append_comparison(counts_start, comparisons_end),
            "pair32": b"\x00" + _GET0 + _EXTEND_S + _GET1 + _EXTEND_S + _GET2 + self._call("compare") + _GET0 + _GET1,
            "pair64": b"\x00" + _GET0 + _GET1 + _GET2 + self._call("compare") + _GET0 + _GET1,
            "one32": b"\x00" + _GET0 + _EXTEND_S + b"\x42\x00" + _GET1 + self._call("compare") + _GET0,
            "one64": b"\x00" + _GET0 + b"\x42\x00" + _GET1 + self._call("compare") + _GET0,
        }
        return [sized(bodies[name] + _END) for name, *_ in _HELPER_TYPES]

    def _read(self, extended: bytes, helper: str) -> bytes:
        """Return code that records a load: parameters are address, immediate, site and length."""
        effective = _GET0 + extended + _GET1 + b"\x7c"
        return effective + _GET2 + _GET3 + (_GET3 if helper == "mapped" else b"") + self._call(helper)

    def _append_mapped(self) -> bytes:
        """Return a function that records an access if it is to the mapped range."""
        reaches = _GET0 + _GET3 + _EXTEND_U + b"\x7c" + _ZERO + self._at(0x29, LOW) + b"\x56"
        begins = _GET0 + _ZERO + self._at(0x29, HIGH) + b"\x54"
        both = reaches + begins + b"\x71"
        return b"\x00" + both + _IF + _GET0 + _GET1 + _GET2 + self._call("access") + _END

    def _append_access(self, end: int) -> bytes:
        """Return a function that records an access: parameters are effective address, site and effect."""
        entry = b"\x20\x03"
        cursor = _ZERO + self._at(0x28, ACCESS_END) + b"\x22\x03"
        fits = cursor + _constant(end) + b"\x49"
        write = entry + _GET1 + self._at(0x36, 0) + entry + _GET2 + self._at(0x36, 4) + entry + _GET0
        write += self._at(0x37, 8)
        advance = _ZERO + entry + _constant(ACCESS.size) + b"\x6a" + self._at(0x36, ACCESS_END)
        return b"\x01\x01\x7f" + fits + _IF + write + advance + _RETURN + _END + self._count(ACCESSES_LOST)

    def _append_comparison(self, counts_start: int, end: int) -> bytes:
        """Return a function that records a comparison: parameters are left, right and site."""
        entry = b"\x20\x03"
        repeats = _GET2 + self._at(0x2D, counts_start)
        is_early = repeats + _constant(REPEATS_MAX) + b"\x49"
        fits = _ZERO + self._at(0x28, COMPARISON_END) + b"\x22\x03" + _constant(end) + b"\x49"
        count = _GET2 + repeats + b"\x41\x01\x6a" + self._at(0x3A, counts_start)
        write = entry + _GET2 + self._at(0x36, 0) + entry + _GET0 + self._at(0x37, 4) + entry + _GET1
        write += self._at(0x37, 12)
        advance = _ZERO + entry + _constant(COMPARISON.size) + b"\x6a" + self._at(0x36, COMPARISON_END)
        recorded = is_early + _IF + fits + _IF + count + write + advance + _RETURN + _END + _END
        return b"\x01\x01\x7f" + recorded + self._count(COMPARISONS_LOST)


def _small_constant(code: bytes, start: int) -> int | None:
    """Return the operand of ``table.grow`` that is charged whether the table grows or not, if it is one.

    wasmtime does that with constants up to 128. Those that come by way of a local are not looked for.
    """
    if code[start] not in _CONSTANTS:
        return None
    value, end = read_unsigned(code, start + 1)
    is_negative = code[end - 1] & _SIGN_BIT
    return value if not is_negative and value <= _SMALL_GROWTH_MAX else None


def _constant(value: int) -> bytes:
    return b"\x41" + write_signed(value)


def _signed64(value: int) -> bytes:
    """Return an unsigned number of 64 bits as the operand of ``i64.const``."""
    return write_signed(value - (1 << 64) if value >> 63 else value)


def _origins(wasm: bytes, start: int, end: int) -> list[tuple[int, bool]]:
    """Return for each instruction of a lowered function where it came from, and whether lowering added it."""
    first = first_instruction(wasm, start)
    followed = {stop.start for stop in walk(wasm, first, end) if is_followed_by_loop(stop, end)}
    origins = []
    for at in instruction_starts(wasm, first, end):
        origins.append((at, False))
        if at in followed:
            origins += [(at, True), (at, True)]
    return origins


def _goes_on(scopes: list[_Scope], opcode: int, stop: Stop | None, reached: bool) -> bool:
    """Take in a control instruction; return whether what follows it can run, as far as the structure shows."""
    if opcode in _OPENS:
        scopes.append(_Scope(reached, opcode))
    elif opcode in _BRANCHES and stop is not None and reached:
        for label in set(stop.indices):
            scopes[-1 - label].branched = True
    elif opcode == Instruction.ELSE:
        scope = scopes[-1]
        scope.branched, scope.else_follows = scope.branched or reached, False
        return scope.head
    elif opcode == Instruction.END:
        scope = scopes.pop()
        return reached or (scope.branched and not scope.is_loop) or (scope.else_follows and scope.head)
    return reached and opcode not in _NEVER_GO_ON
