"""The memories that a module reaches in bulk: none is missed, however the instruction is written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import wasmtime
from attrs import frozen
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from storagemod.wasm.binary import read_declarations
from storagemod.wasm.bulk import memories_in_code, memories_in_data
from storagemod.wasm.engine import shared_engine

CODE, DATA = 10, 11

MORE_GLOBALS = '(import "m" "more" (global i32)) ' * 9

HEAD = f"""
  (import "m" "g" (global $g i32)) (import "m" "h" (global $h i64)) {MORE_GLOBALS} (import "m" "k" (global $eleven i32))
  (import "m" "a" (memory 1)) (import "m" "b" (memory 1)) (import "m" "wide" (memory i64 1)) (memory 1)
"""


def compiled(wat: str) -> bytes:
    """A binary that wasmtime accepts."""
    wasm = bytes(wasmtime.wat2wasm(wat))
    wasmtime.Module.validate(shared_engine(), wasm)
    return wasm


def sections(wasm: bytes) -> Iterator[tuple[int, bytes]]:
    at = 8
    while at < len(wasm):
        kind, length, shift = wasm[at], 0, 0
        while True:
            at += 1
            length |= (wasm[at] & 0x7F) << shift
            shift += 7
            if wasm[at] < 0x80:
                break
        yield kind, wasm[at + 1 : at + 1 + length]
        at += 1 + length


def found(wat: str) -> tuple[set[int], set[int]]:
    """What is found in the code and in the data of a module."""
    by_kind = dict(sections(compiled(wat)))
    code = memories_in_code(by_kind[CODE]) if CODE in by_kind else set()
    data = memories_in_data(by_kind[DATA]) if DATA in by_kind else set()
    assert read_declarations(compiled(wat)).bulk_memories == code | data
    return code, data


# Each way that there is


THREE = "(i32.const 0) (i32.const 0) (i32.const 0)"


@pytest.mark.parametrize(
    ("body", "memories"),
    [
        ("", set()),
        (f"(memory.copy 1 3 {THREE})", {1, 3}),
        (f"(memory.copy 3 1 {THREE})", {1, 3}),
        (f"(memory.copy 0 0 {THREE})", {0}),
        ("(memory.copy 2 0 (i64.const 0) (i32.const 0) (i32.const 0))", {0, 2}),
        ("(memory.copy 0 2 (i32.const 0) (i64.const 0) (i32.const 0))", {0, 2}),
        (f"(memory.fill 1 {THREE})", {1}),
        ("(memory.fill 2 (i64.const 0) (i32.const 0) (i64.const 0))", {2}),
        (f"(memory.init 1 $passive {THREE})", {1}),
        (f"(memory.init 0 $passive {THREE}) (data.drop $passive)", {0}),
        ("(data.drop $passive)", set()),
        ("(drop (memory.size 1)) (drop (memory.grow 1 (i32.const 1)))", set()),
        ("(i64.store 1 (i32.const 0) (i64.load 3 (i32.const 0)))", set()),
        ("(drop (v128.load 1 (i32.const 0))) (drop (i64.trunc_sat_f64_u (f64.const 1)))", set()),
        (f"(table.copy 1 0 {THREE}) (table.init 1 $elements {THREE}) (elem.drop $elements)", set()),
        ("(drop (table.grow 0 (ref.null func) (i32.const 1))) (drop (table.size 0))", set()),
        (f"(if (i32.const 0) (then (loop (block (memory.fill 3 {THREE})))))", {3}),
        # The number that is the last operand looks like an instruction itself, of which the true one would be a part.
        ("(memory.fill 1 (i32.const 0) (i32.const 0) (i32.const 1532))", {1, 1532}),
    ],
)
def test_instructions_are_found(body: str, memories: set[int]) -> None:
    wat = f"""(module {HEAD} (table 1 funcref) (table 1 funcref) (elem $elements func)
      (data $first "x") (data $passive "y") (func) (func (local i32 i64) {body}) (func))"""
    assert found(wat) == (memories, set())


@pytest.mark.parametrize(
    ("data", "memories"),
    [
        ('(data "passive")', set()),
        ('(data (i32.const 0) "x")', {0}),
        ('(data (memory 1) (i32.const 0) "x")', {1}),
        ('(data (memory 1) (i32.const -2147483648) "")', {1}),
        ('(data (memory 2) (i64.const 0x7fffffffffffffff) "x")', {2}),
        ('(data (memory 2) (i64.const -9223372036854775808) "x")', {2}),
        ('(data (memory 3) (global.get $g) "x")', {3}),
        (f'(data (memory 3) (global.get $g) "{"x" * 70_000}")', {3}),
        ('(data (memory 2) (global.get $h) "x")', {2}),
        # What ends an expression is the byte 11, which numbers have in them too.
        ('(data (memory 3) (global.get $eleven) "x")', {3}),
        (f'(data (memory 2) (i64.const {11 << 56}) "x")', {2}),
        ('(data (memory 1) (i32.add (global.get $g) (i32.mul (i32.const 11) (i32.const 0x0b0b))) "x")', {1}),
        ('(data (memory 2) (i64.sub (i64.const 11) (i64.add (global.get $h) (i64.const 1419))) "x")', {2}),
        ('(data "p") (data (memory 3) (i32.const 11) "\\0b\\fc\\0b") (data (memory 1) (i32.const 0) "")', {1, 3}),
        (" ".join(f'(data (memory {n % 2}) (i32.const {n}) "{"x" * n}")' for n in range(200)), {0, 1}),
    ],
)
def test_segments_are_found(data: str, memories: set[int]) -> None:
    assert found(f"(module {HEAD} {data})") == (set(), memories)
    after = f"{HEAD} (memory 1)"
    assert found(f'(module {after} {data} (data (memory 4) (i32.const 0) "z"))') == (set(), memories | {4})


# Modules at random


@frozen
class Written:
    """A module in the text format, and what it reaches."""

    wat: str
    in_code: set[int]
    in_data: set[int]
    prefixes: int
    """How many of its instructions begin with the byte that marks instructions in bulk."""


SMALL = st.integers(0, 63)
ANY_NUMBER = st.integers(-(2**31), 2**31 - 1)


@st.composite
def modules(draw: st.DrawFn) -> Written:
    imported = draw(st.lists(st.booleans(), max_size=3))
    own = draw(st.lists(st.booleans(), min_size=0 if imported else 1, max_size=3))
    wide = imported + own
    kinds = ["i64" if each else "i32" for each in wide]
    memory = st.integers(0, len(wide) - 1)
    number = draw(st.sampled_from([SMALL, ANY_NUMBER]))
    in_code: set[int] = set()
    in_data: set[int] = set()
    prefixes = 0

    def const(kind: str) -> str:
        return f"({kind}.const {draw(number)})"

    def instruction() -> str:
        nonlocal prefixes
        name = draw(st.sampled_from(["copy", "fill", "init", "load", "store", "grow", "saturate", "table", "constant"]))
        prefixes += name in {"copy", "fill", "init", "saturate", "table"}
        at, other = draw(memory), draw(memory)
        address, count = kinds[at], "i64" if wide[at] and wide[other] else "i32"
        if name in {"copy", "fill", "init"}:
            in_code.update({at, other} if name == "copy" else {at})
        return {
            "copy": f"(memory.copy {at} {other} {const(address)} {const(kinds[other])} {const(count)})",
            "fill": f"(memory.fill {at} {const(address)} {const('i32')} {const(address)})",
            "init": f"(memory.init {at} {draw(st.integers(0, 2))} {const(address)} {const('i32')} {const('i32')})",
            "load": f"(drop (i64.load {at} offset={draw(SMALL)} {const(address)}))",
            "store": f"(i32.store16 {at} {const(address)} {const('i32')})",
            "grow": f"(drop (memory.grow {at} {const(address)}))",
            "saturate": f"(drop (i32.trunc_sat_f32_s (f32.convert_i32_s {const('i32')})))",
            "table": f"(table.fill 0 {const('i32')} (ref.null func) {const('i32')})",
            "constant": f"(drop {const('i64')})",
        }[name]

    def segment() -> str:
        text = draw(st.sampled_from(["", "x", "\\fc\\0b\\00", "y" * 130]))
        if draw(st.booleans()):
            return f'(data "{text}")'
        at = draw(memory)
        in_data.add(at)
        kind = kinds[at]
        sum_of_two = f"({kind}.add {const(kind)} {const(kind)})"
        offset = draw(st.sampled_from([const(kind), f"(global.get ${kind})", sum_of_two]))
        return f'(data (memory {at}) {offset} "{text}")'

    functions = [f"(func {' '.join(instruction() for _ in range(draw(st.integers(0, 6))))})" for _ in range(2)]
    segments = [segment() for _ in range(draw(st.integers(3, 5)))]
    parts = [
        '(import "m" "g" (global $i32 i32)) (import "m" "h" (global $i64 i64))',
        *(f'(import "m" "{n}" (memory {"i64 " if each else ""}1))' for n, each in enumerate(imported)),
        *(f"(memory {'i64 ' if each else ''}1)" for each in own),
        "(table 1 funcref)",
        *functions,
        *segments,
    ]
    return Written("\n".join(["(module", *parts, ")"]), in_code, in_data, prefixes)


@given(modules())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_no_memory_is_missed_and_none_is_added_without_a_reason(module: Written) -> None:
    in_code, in_data = found(module.wat)
    assert in_data == module.in_data
    assert in_code >= module.in_code
    code = dict(sections(compiled(module.wat)))[CODE]
    if code.count(0xFC) == module.prefixes:  # no other byte looks like the beginning of one
        assert in_code == module.in_code


# Binaries that no tool writes


def leb(value: int, length: int) -> bytes:
    """An unsigned number in so many bytes, more than it needs perhaps."""
    groups = [(value >> (7 * index)) & 0x7F for index in range(length)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + leb(len(content), 5) + content


def by_hand(instruction: bytes, data: bytes) -> bytes:
    """A module with two imported memories and one of its own, a function with one instruction, and a data section."""
    memories = b"".join(b"\1m" + bytes([1, name]) + b"\2\0\1" for name in b"ab")
    operands = b"\x41\0" * 3
    body = b"\0" + operands + instruction + b"\x0b"
    return b"\0asm\1\0\0\0" + b"".join(
        [
            section(1, b"\1\x60\0\0"),
            section(2, b"\2" + memories),
            section(3, b"\1\0"),
            section(5, b"\1\0\1"),
            section(12, b"\2"),
            section(CODE, b"\1" + leb(len(body), 4) + body),
            section(DATA, data),
        ]
    )


lengths = st.tuples(*[st.integers(1, 5)] * 4)


@given(
    st.sampled_from([(8, True), (10, False), (11, False)]),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    lengths,
    lengths,
    st.sampled_from([0, 1]),
)
@example((8, True), (2, 1), (5, 5, 5, 5), (5, 5, 5, 5), 1)
@settings(deadline=None)
def test_numbers_longer_than_they_need_be_are_read(
    operation: tuple[int, bool], operands: tuple[int, int], long: tuple[int, ...], long_data: tuple[int, ...], at: int
) -> None:
    opcode, of_segment = operation
    first, second = operands
    encoded = b"\xfc" + leb(opcode, long[0])
    if of_segment:
        encoded += leb(1, long[1]) + leb(second, long[2])
        memories = {second}
    elif opcode == 10:
        encoded += leb(first, long[1]) + leb(second, long[2])
        memories = {first, second}
    else:
        encoded += leb(first, long[1])
        memories = {first}
    active = leb(2, long_data[1]) + leb(at, long_data[2]) + b"\x41" + leb(0, long_data[3]) + b"\x0b\1x"
    data = leb(2, long_data[0]) + active + leb(1, long_data[3]) + leb(1, long_data[2]) + b"y"
    wasm = by_hand(encoded, data)
    wasmtime.Module.validate(shared_engine(), wasm)
    assert memories_in_code(dict(sections(wasm))[CODE]) == memories
    assert memories_in_data(dict(sections(wasm))[DATA]) == {at}
    assert read_declarations(wasm).bulk_memories == memories | {at}


@given(st.one_of(st.binary(), st.lists(st.sampled_from([0xFC, 0x80, 0xFF, 8, 10, 11, 0]), max_size=30).map(bytes)))
@example(b"\xfc")
@example(b"\xfc\x0a")
@example(b"\xfc\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
@settings(deadline=None)
def test_bytes_that_are_no_code_give_some_memories_and_no_error(code: bytes) -> None:
    assert all(0 <= index < 2**70 for index in memories_in_code(code))


def test_what_only_looks_like_an_instruction_is_taken_for_one() -> None:
    """The number 1532 and `drop` are the bytes of `memory.fill 26`. One too many is safe, one too few is a crash."""
    assert found(f"(module {HEAD} (func (drop (i32.const 1532))))") == ({26}, set())
