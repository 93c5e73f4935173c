"""Walk the instructions of a function body.

Instructions carry no length, so finding one means stepping over all that precede it. A regular expression steps over
the instructions that say nothing about a module, at the speed of C. Python code sees only the notable ones.

The code must have passed wasmtime's validation, with the features that the engine switches on. Another opcode is an
error and never skipped: to miss ``memory.copy`` is to let a fault on a protected page end the process.
Source: WebAssembly core specification 5.2.2, "Integers", and 5.4, "Instructions".
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from storagemod.errors import ValidationError

CONTINUES = 0x80
"""Bit that every byte of a number has, except the last one."""

_GROUP_BITS = 7


def read_unsigned(data: bytes, offset: int) -> tuple[int, int]:
    """Read an unsigned LEB128 number; return it and the offset behind it."""
    value = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        value |= (byte & ~CONTINUES) << shift
        if byte < CONTINUES:
            return value, offset
        shift += _GROUP_BITS


def write_unsigned(value: int) -> bytes:
    """Return a number as unsigned LEB128, as short as possible."""
    written = bytearray()
    while value >= CONTINUES:
        written.append(value & ~CONTINUES & 0xFF | CONTINUES)
        value >>= _GROUP_BITS
    return bytes([*written, value])


_BULK = 0xFC


class Instruction(enum.IntEnum):
    """Notable instruction. The value is its opcode; where that has a prefix, the prefix is the upper byte."""

    LOOP = 0x03
    TABLE_SET = 0x26
    MEMORY_GROW = 0x40
    MEMORY_INIT = _BULK << 8 | 8
    DATA_DROP = _BULK << 8 | 9
    MEMORY_COPY = _BULK << 8 | 10
    MEMORY_FILL = _BULK << 8 | 11
    TABLE_INIT = _BULK << 8 | 12
    ELEM_DROP = _BULK << 8 | 13
    TABLE_COPY = _BULK << 8 | 14
    TABLE_GROW = _BULK << 8 | 15
    TABLE_FILL = _BULK << 8 | 17


Notable: TypeAlias = tuple[Instruction, tuple[int, ...]]
"""An instruction and its indices, as in the binary format: ``memory.init`` names the data segment first.

A loop has none.
"""


def count_notable(code: bytes, offset: int, end: int) -> dict[Notable, int]:
    """Count the notable instructions from ``offset`` to ``end``, apart by their indices.

    Raises:
        ValidationError: The code has an opcode of a feature that the engine does not switch on.
    """
    loops = 0
    encoded: dict[bytes, int] = {}  # decoded at the end: few are different
    while offset < end:
        step = _STEP.match(code, offset, end)
        if step is None or step.end() == offset:
            raise _unknown_instruction(code, offset)
        offset = step.end()
        if step.lastindex == _LOOP_GROUP:
            loops += 1
        elif step.lastindex == _INDEXED_GROUP:
            encoded[step[_INDEXED_GROUP]] = encoded.get(step[_INDEXED_GROUP], 0) + 1
        elif step.lastindex == _BR_TABLE_GROUP:
            offset = _skip_labels(code, offset)
    if offset != end:
        raise ValidationError(f"expected a function to end at byte {end:,} of the module, got {offset:,}")
    counts: dict[Notable, int] = {(Instruction.LOOP, ()): loops} if loops else {}
    for each, count in encoded.items():
        notable = _decode(each)
        counts[notable] = counts.get(notable, 0) + count  # numbers can be written in several ways
    return counts


def calls_and_grows(code: bytes, offset: int, end: int) -> Iterator[tuple[int, int, int | None]]:
    """Yield begin, end and memory index of each ``memory.grow`` from ``offset`` to ``end``; of each call, ``None``.

    Tail calls are left out: nothing runs behind them.
    """
    while offset < end:
        step = _CALL_STEP.match(code, offset, end)
        if step is None or step.end() == offset:
            raise _unknown_instruction(code, offset)
        offset = step.end()
        if step.lastindex == _CALL_GROUP:
            yield step.start(_CALL_GROUP), offset, None
        elif step.lastindex == _GROW_GROUP:
            start = step.start(_GROW_GROUP)
            yield start - 1, offset, read_unsigned(code, start)[0]
        elif step.lastindex == _OTHER_BR_TABLE_GROUP:
            offset = _skip_labels(code, offset)


def _decode(encoded: bytes) -> Notable:
    opcode, offset = encoded[0], 1
    if opcode == _BULK:
        operation, offset = read_unsigned(encoded, offset)
        opcode = _BULK << 8 | operation
    indices = []
    while offset < len(encoded):
        index, offset = read_unsigned(encoded, offset)
        indices.append(index)
    return Instruction(opcode), tuple(indices)


def skip_constant(data: bytes, offset: int) -> int:
    """Return the offset behind a constant expression, which ends with ``end``."""
    found = _CONSTANT.match(data, offset)
    if found is None:
        raise _unknown_instruction(data, offset)
    return found.end()


def _skip_labels(code: bytes, offset: int) -> int:
    """Return the offset behind the labels of a ``br_table``, the default one included."""
    count, offset = read_unsigned(code, offset)
    count += 1
    if code[offset : offset + count].isascii():  # one byte each, as good as always
        return offset + count
    for _ in range(count):
        _, offset = read_unsigned(code, offset)
    return offset


def _unknown_instruction(code: bytes, offset: int) -> ValidationError:
    return ValidationError(
        f"expected an instruction of a feature that is switched on, got {code[offset : offset + 3].hex(' ')}",
        hint="compile the contract without garbage collection, exceptions, threads and function references",
    )


# The grammar of instructions, as regular expressions over bytes.


def _byte_class(values: Iterable[int]) -> bytes:
    return b"[%s]" % b"".join(rb"\x%02x" % value for value in values)


def _numbers(values: Iterable[int]) -> bytes:
    """Return a pattern of some LEB128 numbers, also where they are written longer than necessary."""
    by_rest: dict[int, list[int]] = {}
    for value in values:
        by_rest.setdefault(value >> _GROUP_BITS, []).append(value & ~CONTINUES & 0xFF)
    alternatives = []
    for rest, first in by_rest.items():
        longer = _byte_class(each | CONTINUES for each in first)
        if rest == 0:
            alternatives += [_byte_class(first), longer + rb"\x80*+\x00"]
        else:
            alternatives += [longer + _numbers([rest])]
    return b"(?:%s)" % b"|".join(alternatives)


_NUMBER = rb"[\x80-\xff]*+[\x00-\x7f]"
_TYPE = rb"[\x63\x64]?+" + _NUMBER
"""A value type, an empty block type, or the index of a type. The two bytes begin a reference written long."""

_ALIGNMENT = rb"(?:[\x00-\x3f]|[\x80-\xbf]%(n)s|(?:[\x40-\x7f]|[\xc0-\xff]%(n)s)%(n)s)" % {b"n": _NUMBER}
"""The alignment of a memory access. Its bit 6 says that the index of a memory follows."""
_ACCESS = _ALIGNMENT + _NUMBER

_VECTOR_ACCESS, _VECTOR_LANE_ACCESS, _VECTOR_LANE = (*range(12), 92, 93), range(84, 92), range(21, 35)
_VECTOR_CONST, _VECTOR_SHUFFLE = 12, 13
_VECTOR_PLAIN = (*range(14, 21), *range(35, 84), *range(94, 276))

_PLAIN = (
    rb"[\x20-\x25\x41\x42]" + _NUMBER,  # locals, globals, table.get, constants; the frequent ones first
    rb"[\x00\x01\x05\x0b\x0f\x1a\x1b\x45-\xc4\xd1]++",  # nothing follows these
    rb"[\x28-\x3e]" + _ACCESS,
    rb"[\x0c\x0d\x12\x3f\xd0\xd2]" + _NUMBER,  # branches, tail calls, memory.size, references
    rb"[\x02\x04]" + _TYPE,  # block, if
    rb"\x13" + _NUMBER + _NUMBER,  # indirect tail calls
    rb"\x43.{4}",
    rb"\x44.{8}",
    rb"\x1c" + _NUMBER + _TYPE,  # select: validation demands that there is one type
    rb"\xfc" + _numbers((*range(8), *range(19, 23))),  # saturating truncations, wide arithmetic
    rb"\xfc" + _numbers([16]) + _NUMBER,  # table.size
    rb"\xfd" + _numbers(_VECTOR_ACCESS) + _ACCESS,
    rb"\xfd" + _numbers(_VECTOR_LANE_ACCESS) + _ACCESS + rb".",
    rb"\xfd" + _numbers(_VECTOR_LANE) + rb".",
    rb"\xfd" + _numbers([_VECTOR_CONST, _VECTOR_SHUFFLE]) + rb".{16}",
    rb"\xfd" + _numbers(_VECTOR_PLAIN),
)
_CALLS = (
    rb"\x10" + _NUMBER,
    rb"\x11" + _NUMBER + _NUMBER,  # indirect
)
_CONSTANT_PLAIN = (
    rb"[\x6a-\x6c\x7c-\x7e]",  # addition, subtraction, multiplication
    rb"[\x23\x41\x42\xd0\xd2]" + _NUMBER,
    rb"\x43.{4}",
    rb"\x44.{8}",
    rb"\xfd" + _numbers([_VECTOR_CONST]) + rb".{16}",
)
_CONSTANT = re.compile(rb"(?:%s)*\x0b" % b"|".join(_CONSTANT_PLAIN), re.DOTALL)

_LOOP_GROUP, _INDEXED_GROUP, _BR_TABLE_GROUP = 1, 2, 3
_STEP = re.compile(
    rb"(?:%(plain)s){0,1000}(?:(\x03)%(type)s|([\x26\x40]%(n)s|\xfc%(one)s%(n)s|\xfc%(two)s%(n)s%(n)s)|(\x0e))?"
    % {
        b"plain": b"|".join((*_PLAIN, *_CALLS)),
        b"type": _TYPE,
        b"n": _NUMBER,
        b"one": _numbers([9, 11, 13, 15, 17]),
        b"two": _numbers([8, 10, 12, 14]),
    },
    re.DOTALL,
)
"""Up to 1,000 plain instructions, then perhaps a loop, a notable instruction with indices, or ``br_table`` alone.

The number bounds what a match keeps in memory to go back to. It never goes back: there is one way to read each
instruction. A possessive repeat of a group says so without a bound, but Python 3.11.4 and older match it wrongly.
"""

_CALL_GROUP, _GROW_GROUP, _OTHER_BR_TABLE_GROUP = 1, 2, 3
_CALL_STEP = re.compile(
    rb"(?:%(plain)s|\x03%(type)s|\x26%(n)s|\xfc%(one)s%(n)s|\xfc%(two)s%(n)s%(n)s){0,1000}"
    rb"(?:(%(calls)s)|\x40(%(n)s)|(\x0e))?"
    % {
        b"plain": b"|".join(_PLAIN),
        b"calls": b"|".join(_CALLS),
        b"type": _TYPE,
        b"n": _NUMBER,
        b"one": _numbers([9, 11, 13, 15, 17]),
        b"two": _numbers([8, 10, 12, 14]),
    },
    re.DOTALL,
)
"""Up to 1,000 of all other instructions, then perhaps a call, ``memory.grow``, or ``br_table`` alone."""
