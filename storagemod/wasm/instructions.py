"""Walk the instructions of a function body.

Instructions carry no length, so finding one means stepping over all that precede it. One regular expression knows how
long each is, what it does to the height of the operand stack, and how much work it is for the compiler. Whoever walks
sees one by one only those that have to do with control, and those that say something about the module.

The code must have passed wasmtime's validation, with the features that the engine switches on. Another opcode is an
error and never skipped: to miss ``memory.copy`` is to let a fault on a protected page end the process.
Source: WebAssembly core specification 5.2.2, "Integers", and 5.4, "Instructions".
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from storagemod.errors import ValidationError

CONTINUES = 0x80
"""Bit that every byte of a number has, except the last one."""

_GROUP_BITS = 7
_SIGN = 0x40
_NO_RESULT = 0x40

LONG_REFERENCES = (0x63, 0x64)
"""Bytes that come before the type that is referred to. ``funcref`` may be written so with any features."""


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


def write_signed(value: int) -> bytes:
    """Return a number as signed LEB128, as short as possible."""
    written = bytearray()
    while not -_SIGN <= value < _SIGN:
        written.append(value & ~CONTINUES & 0xFF | CONTINUES)
        value >>= _GROUP_BITS
    return bytes([*written, value & ~CONTINUES & 0xFF])


_BULK, _VECTOR = 0xFC, 0xFD


class Instruction(enum.IntEnum):
    """Instruction that a walk stops at. The value is its opcode; if that has a prefix, the prefix is the upper byte."""

    BLOCK = 0x02
    LOOP = 0x03
    IF = 0x04
    ELSE = 0x05
    END = 0x0B
    BR = 0x0C
    BR_IF = 0x0D
    BR_TABLE = 0x0E
    RETURN = 0x0F
    CALL = 0x10
    CALL_INDIRECT = 0x11
    RETURN_CALL = 0x12
    RETURN_CALL_INDIRECT = 0x13
    TABLE_GET = 0x25
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


_BLOCKS = {Instruction.BLOCK, Instruction.LOOP, Instruction.IF}


class Stop(NamedTuple):
    """Instruction that a walk stops at, and the plain ones since the stop before.

    Attributes:
        instruction: What it is.
        indices: Its indices, as in the binary format: ``memory.init`` names the data segment first. A block, loop or
            ``if`` has the index of its type; where it names none, how many values it takes and gives.
        change: By how much the plain instructions changed the height of the operand stack, taken together.
        work: What the plain instructions cost the compiler.
        written: The locals that the plain instructions set, as numbers in the binary.
        start: Where it begins.
        end: The offset behind it.
    """

    instruction: Instruction
    indices: tuple[int, ...]
    change: int
    work: int
    written: set[bytes]
    start: int
    end: int


def walk(code: bytes, offset: int, end: int) -> Iterator[Stop]:
    """Walk the instructions from ``offset`` to ``end``.

    Raises:
        ValidationError: The code has an opcode of a feature that the engine does not switch on.
    """
    change = work = 0
    written: set[bytes] = set()
    while offset < end:
        group = 0
        for step in iter(_STEP.scanner(code, offset, end).match, None):  # type: ignore[attr-defined] # typeshed lacks it
            group = step.lastindex or 0  # each alternative is a group
            offset = step.end()
            if group < _FIRST_STOP:
                change += _CHANGES[group]
                work += _WORK[group]
                if group in _SETS:
                    written.add(step[group][1:])
                continue
            instruction, indices = _decode(step[group])
            if group == _BR_TABLE:
                indices, offset = _labels(code, offset)
            yield Stop(instruction, indices, change, work, written, step.start(), offset)
            change, work, written = _CHANGES[group], _WORK[group], set()
            if group == _BR_TABLE:
                break  # the scanner stands before the labels
        else:
            if offset < end:
                raise _unknown_instruction(code, offset)
    if offset != end:
        raise ValidationError(f"expected a function to end at byte {end:,} of the module, got {offset:,}")


_OPERANDS = frozenset((Instruction.CALL, Instruction.RETURN_CALL, *range(0x28, 0x41), _BULK, _VECTOR))
"""First bytes of the instructions that call a function by its index, or name a memory."""


def find_operands(code: bytes, offset: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each instruction that can name a function to call, or a memory.

    The code must have been walked before: opcodes are not checked again.
    """
    while offset < end:
        for step in iter(_STEP.scanner(code, offset, end).match, None):  # type: ignore[attr-defined] # as above
            start, offset = step.span()
            if code[start] in _OPERANDS:
                yield start, offset
            elif code[start] == Instruction.BR_TABLE:
                _, offset = _labels(code, offset)
                break  # the scanner stands before the labels


_CONSTANTS = (0x41, 0x42)


def instruction_starts(code: bytes, offset: int, end: int) -> Iterator[int]:
    """Yield where each instruction begins.

    Raises:
        ValidationError: As :func:`walk`.
    """
    while offset < end:
        step = _STEP.match(code, offset, end)
        if step is None:
            raise _unknown_instruction(code, offset)
        yield offset
        # A step takes a constant and what uses it together.
        offset = read_unsigned(code, offset + 1)[1] if code[offset] in _CONSTANTS else step.end()
        if step.lastindex == _BR_TABLE:
            _, offset = _labels(code, offset)


@functools.lru_cache(maxsize=4096)
def _decode(encoded: bytes) -> tuple[Instruction, tuple[int, ...]]:
    opcode, offset = encoded[0], 1
    if opcode == _BULK:
        operation, offset = read_unsigned(encoded, offset)
        opcode = _BULK << 8 | operation
    instruction = Instruction(opcode)
    if instruction in _BLOCKS:
        return instruction, _block_type(encoded)
    indices = []
    while offset < len(encoded):
        index, offset = read_unsigned(encoded, offset)
        indices.append(index)
    return instruction, tuple(indices)


def skip_constant(data: bytes, offset: int) -> int:
    """Return the offset behind a constant expression, which ends with ``end``."""
    found = _CONSTANT.match(data, offset)
    if found is None:
        raise _unknown_instruction(data, offset)
    return found.end()


def _block_type(encoded: bytes) -> tuple[int, ...]:
    first = encoded[1]
    if first < CONTINUES and first & _SIGN:  # a negative number of one byte: a value type, or no type
        return 0, int(first != _NO_RESULT)
    if first in LONG_REFERENCES:
        return 0, 1
    return (read_unsigned(encoded, 1)[0],)


def _labels(code: bytes, offset: int) -> tuple[tuple[int, ...], int]:
    """Return the labels of a ``br_table``, the default one included, and the offset behind them."""
    count, offset = read_unsigned(code, offset)
    count += 1
    labels = code[offset : offset + count]
    if labels.isascii():  # one byte each, as good as always
        return tuple(labels), offset + count
    numbers = []
    for _ in range(count):
        number, offset = read_unsigned(code, offset)
        numbers.append(number)
    return tuple(numbers), offset


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


class _Row(NamedTuple):
    """Instructions of one pattern, which do the same to the height of the stack and are as much work to compile.

    Work is in units of about a microsecond of compiling, for the worst code of the kind that was measured. What
    compiles quickly is free here: its bytes are counted.
    """

    pattern: bytes
    change: int
    work: int


def _vector(values: Iterable[int], operands: bytes = b"") -> bytes:
    return rb"\xfd" + _numbers(values) + operands


def _span(*bounds: int) -> list[int]:
    """Return the numbers of spans, the last one included."""
    pairs = zip(bounds[::2], bounds[1::2], strict=True)
    return [value for first, last in pairs for value in range(first, last + 1)]


# Vector instructions by what they do to the height of the stack. Those of numbers with a point make NaNs canonical.
_VECTOR_BINARY = _span(14, 14, 35, 76, 78, 81, 101, 102, 107, 115, 118, 121, 123, 123, 130, 130, 133, 134, 139, 147)
_VECTOR_BINARY += _span(149, 153, 155, 159, 162, 162, 165, 166, 171, 191, 197, 198, 203, 223, 256, 256, 273, 274)
_VECTOR_TERNARY = _span(82, 82, 265, 268, 275, 275)
_FLOATS_BINARY, _FLOATS_TERNARY = _span(226, 226, 228, 235, 238, 238, 240, 247, 269, 272), _span(261, 264)
_FLOATS_UNARY = _span(94, 95, 103, 106, 116, 117, 122, 122, 148, 148, 224, 225, 227, 227, 236, 237, 239, 239)
_FLOATS_UNARY += _span(248, 255, 257, 260)
_VECTOR_UNARY = sorted(
    {*_span(15, 20, 35, 83, 94, 275)}.difference(
        _VECTOR_BINARY, _VECTOR_TERNARY, _FLOATS_BINARY, _FLOATS_TERNARY, _FLOATS_UNARY
    )
)

_PLAIN = (
    _Row(rb"[\x20\x23]" + _NUMBER, +1, 0),  # locals and globals
    _Row(rb"\x21" + _NUMBER, -1, 0),
    _Row(rb"[\x41\x42]" + _NUMBER + rb"[\x74-\x78\x86-\x8a]", 0, 4),  # shifts by constants are cheap
    _Row(rb"[\x41\x42]" + _NUMBER, +1, 0),
    _Row(rb"\x22" + _NUMBER, 0, 0),
    _Row(rb"[\x28-\x35]" + _ACCESS, 0, 6),
    _Row(rb"[\x36-\x3e]" + _ACCESS, -2, 3),
    _Row(rb"[\x46-\x4f\x51-\x5a\x6a-\x6c\x71-\x73\x7c-\x7e\x83-\x85]", -1, 4),
    _Row(rb"[\x45\x50\x67-\x69\x79-\x7b\xa7\xac\xad\xbc-\xc4\xd1]", 0, 4),
    _Row(rb"\x1a", -1, 0),
    _Row(rb"[\x00\x01]", 0, 1),
    _Row(rb"\x1b", -2, 8),
    _Row(rb"\x1c" + _NUMBER + _TYPE, -2, 8),  # select: validation demands that there is one type
    _Row(rb"[\x74-\x78\x86-\x8a]", -1, 150),  # shifts
    _Row(rb"[\x6d-\x70\x7f-\x82]", -1, 14),  # divisions
    _Row(rb"\x24" + _NUMBER, -1, 1),
    _Row(rb"[\x3f\xd0\xd2]" + _NUMBER, +1, 5),  # memory.size, references
    _Row(rb"[\x5b-\x66]", -1, 8),
    _Row(rb"[\x8b-\x91\x99-\x9f\xa8-\xab\xae-\xbb]", 0, 25),
    _Row(rb"[\x92-\x98\xa0-\xa6]", -1, 25),
    _Row(rb"\x43.{4}|\x44.{8}|" + _vector([12], rb".{16}"), +1, 1),
    _Row(rb"\xfc" + _numbers(range(8)), 0, 25),  # saturating truncations
    _Row(rb"\xfc" + _numbers([19, 20]), -2, 10),  # wide arithmetic
    _Row(rb"\xfc" + _numbers([21, 22]), 0, 10),
    _Row(rb"\xfc" + _numbers([16]) + _NUMBER, +1, 2),  # table.size
    _Row(_vector([*range(11), 92, 93], _ACCESS), 0, 6),
    _Row(_vector([11], _ACCESS), -2, 3),
    _Row(_vector(range(84, 88), _ACCESS + rb"."), -1, 8),
    _Row(_vector(range(88, 92), _ACCESS + rb"."), -2, 8),
    _Row(_vector([13], rb".{16}"), -1, 8),  # shuffle
    _Row(_vector([21, 22, 24, 25, 27, 29, 31, 33], rb"."), 0, 8),  # lanes
    _Row(_vector([23, 26, 28, 30, 32, 34], rb"."), -1, 8),
    _Row(_vector(_VECTOR_UNARY), 0, 12),
    _Row(_vector(_VECTOR_BINARY), -1, 12),
    _Row(_vector(_VECTOR_TERNARY), -2, 12),
    _Row(_vector(_FLOATS_UNARY), 0, 30),
    _Row(_vector(_FLOATS_BINARY), -1, 30),
    _Row(_vector(_FLOATS_TERNARY), -2, 30),
)
_STOPS = (
    _Row(rb"[\x02-\x04]" + _TYPE, 0, 0),
    _Row(rb"[\x05\x0b\x0f]", 0, 0),
    _Row(rb"[\x0c\x0d\x10\x12]" + _NUMBER, 0, 0),  # branches and calls; whoever walks knows what these do
    _Row(rb"[\x11\x13]" + _NUMBER + _NUMBER, 0, 0),  # indirect calls
    _Row(rb"\x0e", 0, 0),  # br_table alone
    _Row(rb"\x25" + _NUMBER, 0, 200),  # table.get
    _Row(rb"\x26" + _NUMBER, -2, 8),  # table.set
    _Row(rb"\x40" + _NUMBER, 0, 300),  # memory.grow
    _Row(rb"\xfc" + _numbers([9, 13]) + _NUMBER, 0, 2),  # drops of segments
    _Row(rb"\xfc" + _numbers([8, 10]) + _NUMBER + _NUMBER, -3, 200),  # memory.init, memory.copy
    _Row(rb"\xfc" + _numbers([12, 14]) + _NUMBER + _NUMBER, -3, 900),  # table.init, table.copy
    _Row(rb"\xfc" + _numbers([11, 17]) + _NUMBER, -3, 300),  # fills
    _Row(rb"\xfc" + _numbers([15]) + _NUMBER, -1, 500),  # table.grow
)
_ROWS = (*_PLAIN, *_STOPS)
_STEP = re.compile(b"|".join(b"(%s)" % row.pattern for row in _ROWS), re.DOTALL)
"""One instruction: which group matched says which row it is in. There is one way to read each instruction."""

_CHANGES, _WORK = (0, *(row.change for row in _ROWS)), (0, *(row.work for row in _ROWS))
_SETS = {number for number, row in enumerate(_ROWS, 1) if row.pattern[:4] in (rb"\x21", rb"\x22")}
_FIRST_STOP = len(_PLAIN) + 1
_BR_TABLE = len(_PLAIN) + 5

_CONSTANT_PLAIN = (
    rb"[\x6a-\x6c\x7c-\x7e]",  # addition, subtraction, multiplication
    rb"[\x23\x41\x42\xd0\xd2]" + _NUMBER,
    rb"\x43.{4}",
    rb"\x44.{8}",
    rb"\xfd" + _numbers([12]) + rb".{16}",
)
_CONSTANT = re.compile(rb"(?:%s)*\x0b" % b"|".join(_CONSTANT_PLAIN), re.DOTALL)
