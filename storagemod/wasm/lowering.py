"""Lowering: what is changed in a valid module before it is compiled, so that rules of the host hold inside it.

- Its memories and mutable globals are exported, so that an instance can be put back to how it was.
- Its memories get a maximum, so that ``memory.grow`` keeps to the limits.
- ``memory.grow`` goes through a guard function. A refusal by the rules gives -1, as ever. One by the system traps: were
  it -1, contracts would see what machine they run on (rule 8).
- A call is followed by an empty loop. wasmtime looks at fuel and epochs at function entries and loop heads only, so
  nothing else would stop a million calls that return one after another, each into long code without either.
- So is an instruction like ``memory.fill``: each may take as long as many epochs.
- An exported function without a name gets that of its export, which wasmtime tells in traps.

No index of the module changes: what is new comes last. Empty loops use no fuel; a guard uses some ten units.
Source: WebAssembly core specification 5.4, "Instructions", and 5.5, "Modules".
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field, frozen

from storagemod.types import MemoryType, most_pages
from storagemod.wasm.binary import NUMBERS, Declarations
from storagemod.wasm.instructions import Instruction, Stop, read_unsigned, walk, write_signed, write_unsigned
from storagemod.wasm.sections import (
    CODE,
    EXPORTS,
    FUNCTIONS,
    GLOBAL,
    GLOBALS,
    MEMORIES,
    MEMORY,
    TYPES,
    appended,
    first_instruction,
    memory_limits,
    name_section,
    named_functions,
    read_sections,
    sized,
    vector,
    with_sections,
)

_TAIL_BYTES = 64
"""Code behind a call that is too short for a look at fuel and epochs: a million times, it takes milliseconds."""

_EMPTY_LOOP = b"\x03\x40\x0b"
_CALL = b"\x10"
_CALLS = (Instruction.CALL, Instruction.CALL_INDIRECT)  # nothing runs behind tail calls
_BULK = (
    Instruction.MEMORY_INIT,
    Instruction.MEMORY_COPY,
    Instruction.MEMORY_FILL,
    Instruction.TABLE_INIT,
    Instruction.TABLE_COPY,
    Instruction.TABLE_GROW,
    Instruction.TABLE_FILL,
)


@frozen
class Lowered:
    """Module as it is compiled.

    Attributes:
        wasm: The binary.
        memories: Export name of each own memory, by memory index.
        globals: Export name of each own mutable global of a number type, by global index.
        maxima: Export name of a global for each imported memory that the code grows, by memory index. Whoever makes an
            instance has to set it to the maximum of the memory, in its pages.
        guards: Indices of the guard functions. One that traps was refused memory by the system.
    """

    wasm: bytes = field(repr=lambda wasm: f"<{len(wasm)} bytes>")
    memories: dict[int, str]
    globals: dict[int, str]
    maxima: dict[int, str]
    guards: range


def lower(wasm: bytes, declarations: Declarations, *, memory_pages_max: int, prefix: str = "state") -> Lowered:
    """Lower a valid module.

    Args:
        wasm: The module.
        declarations: What it declares.
        memory_pages_max: The most that each memory of its own may become, in Wasm pages.
        prefix: Begin of all new export names. ``_`` is appended until no export of the module begins so.
    """
    while any(name.startswith(prefix) for name in declarations.exports):
        prefix += "_"
    numbers = NUMBERS.values()
    own = {index: _bounded(memory, memory_pages_max) for index, memory in declarations.own_memories}
    types = {**dict(enumerate(_imported_memories(declarations))), **own}
    grown = sorted(declarations.grows_memory)
    memories = {index: f"{prefix}.memory{index}" for index in own}
    state = {index: f"{prefix}.global{index}" for index, kind in declarations.mutable_globals if kind in numbers}
    maxima = {index: f"{prefix}.maximum{index}" for index in grown if index not in own}
    guards = {index: declarations.functions + place for place, index in enumerate(grown)}
    maximum_globals = {index: declarations.globals + place for place, index in enumerate(maxima)}

    added = [_export(name, MEMORY, index) for index, name in memories.items()]
    added += [_export(name, GLOBAL, index) for index, name in state.items()]
    added += [_export(name, GLOBAL, maximum_globals[index]) for index, name in maxima.items()]
    widths = sorted({types[index].is_64 for index in grown})
    type_of = {is_64: declarations.types + place for place, is_64 in enumerate(widths)}
    bodies = []
    for index in grown:
        is_64 = types[index].is_64
        if index in maxima:
            maximum = _global_get(maximum_globals[index])
        else:
            maximum = _constant(own[index].pages_max or 0, is_64)
        bodies.append(_guard(index, maximum, is_64))

    sections = {number: wasm[start:end] for number, _, start, end in read_sections(wasm) if number}
    changed = {
        TYPES: appended(sections.get(TYPES), [_guard_type(is_64) for is_64 in widths]),
        FUNCTIONS: appended(sections.get(FUNCTIONS), [write_unsigned(type_of[types[each].is_64]) for each in grown]),
        MEMORIES: vector([memory_limits(memory) for memory in own.values()]) if own else None,
        GLOBALS: appended(sections.get(GLOBALS), [_mutable_zero(types[index].is_64) for index in maxima]),
        EXPORTS: appended(sections.get(EXPORTS), added),
    }
    code = sections.get(CODE)
    if code is not None:
        changed[CODE] = vector([*_guarded(code, guards), *bodies])
    new = {number: content for number, content in changed.items() if content not in (None, sections.get(number))}
    lowered = with_sections(wasm, new) if new else wasm
    if declarations.function_exports:
        named = named_functions(wasm)
        unnamed = {index: name for index, name in declarations.function_exports.items() if index not in named}
        lowered += name_section(unnamed) if unnamed else b""  # names of two sections add up
    first = declarations.functions
    return Lowered(lowered, memories, state, maxima, range(first, first + len(grown)))


def _imported_memories(declarations: Declarations) -> Iterator[MemoryType]:
    return (item.type for item in declarations.imports if isinstance(item.type, MemoryType))


def _bounded(memory: MemoryType, wasm_pages_max: int) -> MemoryType:
    pages_max = most_pages(wasm_pages_max, memory)
    if memory.pages_max is not None:
        pages_max = min(memory.pages_max, pages_max)
    return MemoryType(memory.pages_min, max(memory.pages_min, pages_max), memory.is_64, memory.page_bytes)


# Code


def _guarded(code: bytes, guards: dict[int, int]) -> Iterator[bytes]:
    """Yield the functions of a code section, with guards called where memories grow, and with empty loops."""
    count, offset = read_unsigned(code, 0)
    for _ in range(count):
        length, start = read_unsigned(code, offset)
        offset = start + length
        pieces = []
        copied = start
        for stop in walk(code, first_instruction(code, start), offset):
            if stop.instruction is Instruction.MEMORY_GROW:
                pieces += [code[copied : stop.start], _CALL + write_unsigned(guards[stop.indices[0]])]
                copied = stop.end
            elif is_followed_by_loop(stop, offset):
                pieces += [code[copied : stop.end], _EMPTY_LOOP]
                copied = stop.end
        yield sized(b"".join((*pieces, code[copied:offset])))


def is_followed_by_loop(stop: Stop, end: int) -> bool:
    """Return whether an empty loop comes behind an instruction of a function that ends there."""
    return stop.instruction in _BULK or (stop.instruction in _CALLS and end - stop.end > _TAIL_BYTES)


def _guard(memory: int, maximum: bytes, is_64: bool) -> bytes:
    """Return the function that grows a memory: its one parameter and its result are those of ``memory.grow``.

    After a refusal it compares: pages wanted, at most the maximum less the pages there are? Then nothing but the system
    stood against it, and it traps.
    """
    width = b"\x7e" if is_64 else b"\x7f"
    minus_one, equal, minus, at_most = (
        (b"\x42\x7f", b"\x51", b"\x7d", b"\x58") if is_64 else (b"\x41\x7f", b"\x46", b"\x6b", b"\x4d")
    )
    get_pages, set_result, get_result, begin_if, end = b"\x20\x00", b"\x22\x01", b"\x20\x01", b"\x04\x40", b"\x0b"
    index = write_unsigned(memory)
    grow, size, unreachable = b"\x40" + index, b"\x3f" + index, b"\x00"
    one_local = b"\x01\x01" + width
    refused = get_pages + grow + set_result + minus_one + equal
    allowed = get_pages + maximum + size + minus + at_most
    body = refused + begin_if + allowed + begin_if + unreachable + end + end + get_result + end
    return sized(one_local + body)


def _guard_type(is_64: bool) -> bytes:
    width = b"\x7e" if is_64 else b"\x7f"
    return b"\x60\x01" + width + b"\x01" + width


def _constant(pages: int, is_64: bool) -> bytes:
    """Return the instruction for a constant that is not negative."""
    return (b"\x42" if is_64 else b"\x41") + write_signed(pages)


def _global_get(index: int) -> bytes:
    return b"\x23" + write_unsigned(index)


# Sections


def _mutable_zero(is_64: bool) -> bytes:
    """Return a mutable global that begins with 0."""
    return (b"\x7e\x01" if is_64 else b"\x7f\x01") + _constant(0, is_64) + b"\x0b"


def _export(name: str, kind: int, index: int) -> bytes:
    return sized(name.encode()) + bytes([kind]) + write_unsigned(index)
