"""Sections of a binary: their numbers, what they are made of, and a module with some of them replaced.

Only for binaries that wasmtime has validated: there is no defence against malformed ones, but in `strip_hint`. Custom
sections are not validated, so `named_functions` reads them with care.
Source: WebAssembly core specification 5.5, "Modules".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from storagemod.types import WASM_PAGE_BYTES, MemoryType
from storagemod.wasm.instructions import CONTINUES, LONG_REFERENCES, read_unsigned, write_unsigned

PREAMBLE_BYTES = 8

_SECTIONS_MAX = 1_000
_LENGTH_BYTES_MAX = 5
"""Bytes of a section's length, which is a u32."""

CUSTOM, TYPES, IMPORTS, FUNCTIONS, TABLES, MEMORIES, GLOBALS, EXPORTS, START, ELEMENTS, CODE, DATA = range(12)
"""Numbers of sections."""

DATA_COUNT = 12
_ORDER = (*range(TYPES, ELEMENTS + 1), DATA_COUNT, CODE, DATA)
"""Sections in their order; custom ones stand anywhere."""

NAME_SECTION = b"\x04name"
"""How a custom section begins that has names for functions and other things, as far as it has any."""

_FUNCTION_NAMES = 1

FUNC, TABLE, MEMORY, GLOBAL = range(4)
"""Kinds of imports and exports."""

HAS_MAXIMUM, IS_64, HAS_PAGE_SIZE = 1, 4, 8
"""Bits of what begins the limits of a memory or table."""

PASSIVE, ACTIVE_WITH_MEMORY = 1, 2
"""What a data segment begins with, unless it is active in memory 0."""


def read_sections(wasm: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, offset of the header, offset of the content, and end of each section."""
    header = PREAMBLE_BYTES
    while header < len(wasm):
        length, start = read_unsigned(wasm, header + 1)
        yield wasm[header], header, start, start + length
        header = start + length


def without_exports(wasm: bytes, names: Iterable[str], kind: int) -> bytes:
    """Return a module without its exports of some names that are of a kind, such as `GLOBAL`."""
    unwanted = {name.encode() for name in names}
    for number, _, start, _ in read_sections(wasm):
        if number == EXPORTS:
            count, offset = read_unsigned(wasm, start)
            kept = []
            for _ in range(count):
                length, name = read_unsigned(wasm, offset)
                end = read_unsigned(wasm, name + length + 1)[1]
                if wasm[name + length] != kind or wasm[name : name + length] not in unwanted:
                    kept.append(wasm[offset:end])
                offset = end
            return wasm if len(kept) == count else with_sections(wasm, {EXPORTS: vector(kept)})
    return wasm


def strip_hint(code: bytes) -> str | None:
    """Return how to make a binary shorter that is too long, or ``None`` where it has no custom sections.

    Takes any bytes, and looks at 1,000 sections at most: counting ends at what is no section.
    """
    custom, header = 0, PREAMBLE_BYTES
    for _ in range(_SECTIONS_MAX):
        number = code[header : header + 1]
        field = code[header + 1 : header + 1 + _LENGTH_BYTES_MAX]
        if not number or all(byte & CONTINUES for byte in field):
            break
        length, start = read_unsigned(code, header + 1)
        if start + length > len(code):
            break
        if number[0] == CUSTOM:
            custom += start + length - header
        header = start + length
    if not custom:
        return None
    return (
        f"{custom:,} of these bytes are custom sections, such as names and debug information, which do not run: strip "
        "them, by `-C strip=symbols` of rustc, `-s` of clang and zig cc, `-fstrip` of zig, or "
        "`wasm-opt --strip-debug --strip-producers`"
    )


def named_functions(wasm: bytes) -> set[int]:
    """Return the indices of the functions that the name section names, as far as it can be read."""
    named: set[int] = set()
    for number, _, start, end in read_sections(wasm):
        if number == CUSTOM and wasm.startswith(NAME_SECTION, start):
            named.update(_named_in(wasm[start + len(NAME_SECTION) : end]))
    return named


def _named_in(content: bytes) -> Iterator[int]:
    offset = 0
    while header := _read_u32(content, offset + 1):
        kind, (length, start) = content[offset], header
        offset = start + length
        count, at = (kind == _FUNCTION_NAMES and _read_u32(content, start)) or (0, start)
        while count and (index := _read_u32(content, at)) and (name := _read_u32(content, index[1])):
            yield index[0]
            count, at = count - 1, name[1] + name[0]


def _read_u32(data: bytes, offset: int) -> tuple[int, int] | None:
    """Read an unsigned LEB128 number of 5 bytes at most; ``None`` where there is none."""
    encoded = data[offset : offset + _LENGTH_BYTES_MAX]
    if not encoded or all(byte & CONTINUES for byte in encoded):
        return None
    value, length = read_unsigned(encoded, 0)
    return value, offset + length


def name_section(functions: Mapping[int, str]) -> bytes:
    """Return a section that names functions, by index, for a module that has no other names for them."""
    names = vector(write_unsigned(index) + sized(functions[index].encode()) for index in sorted(functions))
    return bytes([CUSTOM]) + sized(NAME_SECTION + bytes([_FUNCTION_NAMES]) + sized(names))


def function_bodies(wasm: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each function that a module defines begins, with its local variables, and where it ends."""
    for number, _, content, _ in read_sections(wasm):
        if number == CODE:
            count, offset = read_unsigned(wasm, content)
            for _ in range(count):
                length, start = read_unsigned(wasm, offset)
                offset = start + length
                yield start, offset


def first_instruction(code: bytes, offset: int) -> int:
    """Return the offset behind the local variables that a function declares."""
    groups, offset = read_unsigned(code, offset)
    for _ in range(groups):
        _, offset = read_unsigned(code, offset)
        if code[offset] in LONG_REFERENCES:
            offset += 1
        _, offset = read_unsigned(code, offset)
    return offset


def sized(content: bytes) -> bytes:
    """Return bytes with their length before them."""
    return write_unsigned(len(content)) + content


def vector(items: Iterable[bytes]) -> bytes:
    """Return items with their number before them."""
    each = list(items)
    return write_unsigned(len(each)) + b"".join(each)


def appended(section: bytes | None, items: list[bytes]) -> bytes | None:
    """Return the content of a section with items added at its end; ``None`` stands for no section."""
    if not items:
        return section
    count, first = (0, 0) if section is None else read_unsigned(section, 0)
    return write_unsigned(count + len(items)) + (section or b"")[first:] + b"".join(items)


def memory_limits(memory: MemoryType) -> bytes:
    """Return a type of a memory as a binary has it."""
    flags, limits = IS_64 * memory.is_64, write_unsigned(memory.pages_min)
    if memory.pages_max is not None:
        flags, limits = flags | HAS_MAXIMUM, limits + write_unsigned(memory.pages_max)
    if memory.page_bytes != WASM_PAGE_BYTES:
        flags, limits = flags | HAS_PAGE_SIZE, limits + write_unsigned(memory.page_bytes.bit_length() - 1)
    return bytes([flags]) + limits


def with_sections(wasm: bytes, new: Mapping[int, bytes | None]) -> bytes:
    """Return a module with the content of some sections replaced, or added in their order where it has none of them."""
    missing = sorted(new.keys() - {number for number, *_ in read_sections(wasm)}, key=_ORDER.index)
    pieces = [wasm[:PREAMBLE_BYTES]]
    for number, header, _, end in read_sections(wasm):
        while missing and number and _ORDER.index(number) > _ORDER.index(missing[0]):
            pieces.append(_section(missing[0], new[missing.pop(0)]))
        pieces.append(_section(number, new[number]) if number in new else wasm[header:end])
    pieces += [_section(number, new[number]) for number in missing]
    return b"".join(pieces)


def _section(number: int, content: bytes | None) -> bytes:
    return bytes([number]) + sized(content or b"")
