"""The instruction walker steps over every instruction that the engine knows, exactly. wasmtime is the oracle."""

from __future__ import annotations

import functools
import re
from collections import Counter
from itertools import product
from typing import TypeAlias

import pytest
import wasmtime
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from storagemod.errors import ValidationError
from storagemod.wasm.engine import shared_engine
from storagemod.wasm.instructions import Instruction, skip_constant, walk
from tests.wasm.modules import bodies, by_hand, compiled, leb, sections

Notable: TypeAlias = tuple[Instruction, tuple[int, ...]]

PLAIN_CONTROL = {instruction for instruction in Instruction if instruction < Instruction.TABLE_SET}
PLAIN_CONTROL.remove(Instruction.LOOP)


def count_notable(code: bytes, offset: int, end: int) -> Counter[Notable]:
    """Count the instructions that say something about a module, and loops, whose types are left out."""
    stops = [stop for stop in walk(code, offset, end) if stop.instruction not in PLAIN_CONTROL]
    return Counter((each.instruction, () if each.instruction is Instruction.LOOP else each.indices) for each in stops)


# Every opcode

OPCODES = [bytes([byte]) for byte in range(256) if byte not in (0xFB, 0xFC, 0xFD, 0xFE)]
OPCODES += [bytes([prefix]) + leb(number) for prefix in (0xFB, 0xFC, 0xFD, 0xFE) for number in range(0x200)]

OFF = "not enabled|illegal opcode|unknown .* subopcode|legacy_exceptions feature|`delegate` found"


def refusal(instructions: bytes) -> str:
    """Return why the engine refuses a function, or nothing."""
    try:
        wasmtime.Module.validate(shared_engine(), by_hand(instructions))
    except wasmtime.WasmtimeError as error:
        return str(error)
    return ""


def stands_alone(opcode: bytes) -> bool:
    """Ask the engine whether nothing follows an opcode: else the `return` behind it would be an index out of range."""
    return not refusal(b"\0" + opcode + b"\x0f")


@functools.cache
def switched_on() -> frozenset[bytes]:
    return frozenset(opcode for opcode in OPCODES if not re.search(OFF, refusal(b"\0" + opcode + bytes(40))))


MARKER = b"\x40\x03"
MARKED = (Instruction.MEMORY_GROW, (3,))


def test_the_walker_knows_the_opcodes_that_the_engine_knows() -> None:
    for opcode in OPCODES:
        code = opcode + bytes(40)
        if opcode in switched_on():
            count_notable(code, 0, len(code))
        elif opcode[0] != 0xFD:  # holes between vector instructions cannot be in valid code
            with pytest.raises(ValidationError, match=f"got {opcode.hex(' ')}"):
                count_notable(code, 0, len(code))


def test_nothing_follows_the_opcodes_that_stand_alone() -> None:
    alone = [opcode for opcode in switched_on() if stands_alone(opcode)]
    assert len(alone) > 350
    for opcode in alone:
        code = opcode + MARKER
        assert count_notable(code, 0, len(code)) == {MARKED: 1}, opcode.hex()


# Every instruction that something follows. The indices and numbers are opcodes of notable instructions.

INDICES = (0, 3, 0x26, 0x40)
ACCESSES = {
    **dict.fromkeys(("i32.load8_s", "i32.load8_u", "i64.load8_s", "i64.load8_u", "i32.store8", "i64.store8"), 1),
    **dict.fromkeys(("i32.load16_s", "i32.load16_u", "i64.load16_s", "i64.load16_u", "i32.store16", "i64.store16"), 2),
    **dict.fromkeys(("i32.load", "f32.load", "i64.load32_s", "i64.load32_u", "i32.store", "f32.store"), 4),
    **dict.fromkeys(("i64.store32", "v128.load32_splat", "v128.load32_zero"), 4),
    **dict.fromkeys(("i64.load", "f64.load", "i64.store", "f64.store", "v128.load64_splat", "v128.load64_zero"), 8),
    **dict.fromkeys((f"v128.load{shape}_{sign}" for shape in ("8x8", "16x4", "32x2") for sign in "su"), 8),
    **dict.fromkeys(("v128.load", "v128.store"), 16),
    "v128.load8_splat": 1,
    "v128.load16_splat": 2,
}
LANE_ACCESSES = {f"v128.{kind}{bits}_lane": bits // 8 for kind in ("load", "store") for bits in (8, 16, 32, 64)}
LANES = {
    **{f"i8x16.{what}": 16 for what in ("extract_lane_s", "extract_lane_u", "replace_lane")},
    **{f"i16x8.{what}": 8 for what in ("extract_lane_s", "extract_lane_u", "replace_lane")},
    **{
        f"{shape}.{what}": int(shape[-1])
        for shape in ("i32x4", "i64x2", "f32x4", "f64x2")
        for what in ("extract_lane", "replace_lane")
    },
}
OFFSETS = (0, 3, 0x40, 0x0303, 0xFC, 0x0AFC)
BLOCK_TYPES = (
    "",
    "(result i32)",
    "(result f64)",
    "(result v128)",
    "(result funcref)",
    "(type 64)",
)
LABELS = ("0", "3 3", "3 38 64 0", "3 64 " * 300, f"{'3 ' * 200} 64", f"200 {'3 ' * 8} 200")


def snippets() -> dict[str, list[Notable]]:
    """Return each instruction in the text format, with the notable instructions in it."""
    plain = ["ref.null func"]
    plain += [f"{name} {index}" for index in INDICES for name in ("br", "br_if", "call", "return_call", "ref.func")]
    plain += [f"{name} {i}" for i in (*INDICES, 252, 299) for name in ("local.get", "local.set", "local.tee", "br")]
    plain += [f"{name} {i}" for i in INDICES for name in ("global.get", "global.set", "table.get", "table.size")]
    plain += [
        f"{name} {i} (type {j})" for i in INDICES for j in INDICES for name in ("call_indirect", "return_call_indirect")
    ]
    plain += [f"br_table {labels}" for labels in LABELS]
    plain += [f"memory.size {index}" for index in INDICES]
    numbers = (0, 3, 63, 64, -64, -65, 0xFC, 1532, 0x0AFC, 0x40, 0x0303_0303, 2**31 - 1, -(2**31))
    plain += [f"i32.const {number}" for number in numbers]
    plain += [f"i64.const {number}" for number in (*numbers, 2**63 - 1, -(2**63), 0x0303_0303_0303_0303)]
    plain += [f"f32.const {number}" for number in ("0", "nan:0x400303", "-nan", "0x1.060606p0", "inf")]
    plain += [f"f64.const {number}" for number in ("0", "nan:0x8030303030303", "0x1.3030303030303p0", "-inf")]
    plain += [f"v128.const i8x16 {f'{byte} ' * 16}" for byte in (0, 3, 0x40, 0xFC)]
    plain += [f"i8x16.shuffle {f'{lane} ' * 16}" for lane in (0, 3, 11, 31)]
    plain += [f"{name} {lane}" for name, count in LANES.items() for lane in {0, 1, min(3, count - 1), count - 1}]
    plain += [
        f"{name} {memory} {f'offset={offset}' if offset else ''} align={align} {lane}"
        for name, size in (*ACCESSES.items(), *LANE_ACCESSES.items())
        for memory, offset, align in product(INDICES, OFFSETS, {1, size})
        for lane in ({0, min(3, 16 // size - 1)} if name in LANE_ACCESSES else {""})
    ]
    plain += [f"i64.load 2 offset={offset}" for offset in (2**32 + 3, 2**63 + 0x40, 2**64 - 1)]
    plain += [f"select (result {kind})" for kind in ("i32", "f64", "v128", "funcref")]
    plain += [f"block {kind} unreachable end" for kind in BLOCK_TYPES]
    plain += [f"if {kind} unreachable else unreachable end" for kind in BLOCK_TYPES]
    found: dict[str, list[Notable]] = {text: [] for text in plain}
    found |= {f"loop {kind} unreachable end": [(Instruction.LOOP, ())] for kind in BLOCK_TYPES}
    for name in set(Instruction) - PLAIN_CONTROL - {Instruction.LOOP}:
        text = name.name.lower().replace("_", ".", 1)
        if name in {Instruction.MEMORY_COPY, Instruction.TABLE_COPY}:
            found |= {f"{text} {i} {j}": [(name, (i, j))] for i in INDICES for j in INDICES}
        elif name in {Instruction.MEMORY_INIT, Instruction.TABLE_INIT}:  # the text has the segment last
            found |= {f"{text} {i} {j}": [(name, (j, i))] for i in INDICES for j in INDICES}
        else:
            found |= {f"{text} {i}": [(name, (i,))] for i in INDICES}
    return found


SNIPPETS = snippets()

HEAD = f"""{"(type (func))" * 65} {"(memory 0)" * 2} (memory i64 0) {"(memory 0)" * 62} {"(table 0 funcref)" * 65}
  {"(global (mut i32) (i32.const 0))" * 65} {"(func)" * 65} {'(data "")' * 65} {"(elem func)" * 65}
  (elem declare func {" ".join(map(str, range(65)))})"""


def function(snippet: str) -> str:
    """Return a function in which an instruction finds all operands, locals and labels, with a marker at its end."""
    inner = f"unreachable {snippet} unreachable memory.grow 3 unreachable"
    return f"(func {'(local i32)' * 300} {'block ' * 300} {inner} {'end ' * 300})"


def test_each_instruction_is_stepped_over_exactly() -> None:
    wasm = compiled(f"(module {HEAD} {' '.join(map(function, SNIPPETS))})")
    opcodes = set()
    for (text, notable), body in zip(SNIPPETS.items(), list(bodies(wasm))[65:], strict=True):
        start = 2 * 300 + 1  # behind the blocks, whose ends are 300 bytes
        assert count_notable(body, start, len(body) - 300) == Counter([*notable, MARKED]), text
        opcodes.add(body[start : start + 1 + (body[start] in (0xFC, 0xFD))])
    with_operands = {opcode for opcode in switched_on() if not stands_alone(opcode)}
    assert opcodes == with_operands - {b"\x05", b"\x0b"}  # else and end come with "if"


@given(st.lists(st.sampled_from(sorted(SNIPPETS)), max_size=30))
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_sequences_of_instructions_are_stepped_over_exactly(texts: list[str]) -> None:
    (*_, body) = bodies(compiled(f"(module {HEAD} {function(' unreachable '.join(texts))})"))
    expected = Counter([MARKED, *(notable for text in texts for notable in SNIPPETS[text])])
    assert count_notable(body, 2 * 300, len(body) - 300) == expected


@pytest.mark.parametrize("count", [999, 1_000, 1_001, 2_000, 5_003])
def test_functions_are_read_in_pieces_of_any_length(count: int) -> None:
    body = b"\x20\x03" * count + b"\x0e\0\0" + b"\x41\x26" * count + MARKER + b"\x0b"
    assert count_notable(body, 0, len(body)) == {MARKED: 1}


# Types and numbers that are longer than necessary, which no tool writes


@pytest.mark.parametrize(
    "code", [b"\x02\x63\x70\0\x0b", b"\x04\x63\x70\0\x05\0\x0b", b"\x1c\x01\x63\x70", b"\x1c\x81\0\x7b"]
)
def test_long_types_are_read(code: bytes) -> None:
    body = b"\0" + code + b"\0" + b"\x40\2\0"
    assert refusal(body) == ""
    assert count_notable(body, 0, len(body)) == {(Instruction.MEMORY_GROW, (2,)): 1}


def test_the_type_of_a_loop_may_be_long() -> None:
    body = b"\0\3\x63\x70\0\x0b\0\3\x80\0\x0b"
    assert refusal(body) == ""
    assert count_notable(body, 0, len(body)) == {(Instruction.LOOP, ()): 2}


lengths = st.integers(1, 5)


@st.composite
def long_numbers(draw: st.DrawFn) -> tuple[bytes, list[Notable]]:
    """Draw an instruction with numbers longer than they need to be, and the notable instruction that it is."""

    def number(*values: int) -> tuple[int, bytes]:
        value = draw(st.sampled_from(values))
        return value, leb(value, draw(lengths))

    kind = draw(st.sampled_from(["indexed", "pair", "access", "vector access", "lane", "vector", "loop", "plain"]))
    memory, memory_bytes = number(0, 1, 2)
    zero, zero_bytes = number(0)
    if kind == "indexed":
        fill = b"\xfc" + leb(11, draw(lengths))
        opcode, encoded = draw(st.sampled_from([(0x40, b"\x40"), (0xFC0B, fill)]))
        return encoded + memory_bytes, [(Instruction(opcode), (memory,))]
    if kind == "pair":
        operation, operation_bytes = number(8, 10, 12)
        first, first_bytes = number(0, 1) if operation != 12 else (zero, zero_bytes)
        second, second_bytes = (memory, memory_bytes) if operation != 12 else number(0)
        if operation == 12:
            operation, operation_bytes = 14, leb(14, draw(lengths))  # there is no element segment
        encoded = b"\xfc" + operation_bytes + first_bytes + second_bytes
        return encoded, [(Instruction(0xFC00 | operation), (first, second))]
    flags = leb(0x40, draw(lengths)) + memory_bytes if draw(st.booleans()) else zero_bytes
    access = flags + leb(draw(st.sampled_from([0, 3, 0x40, 0xFC, 0x0AFC])), draw(lengths))
    return {
        "access": b"\x2d" + access,
        "vector access": b"\xfd" + number(0, 7, 11, 92)[1] + access,
        "lane": b"\xfd" + number(84, 88)[1] + access + b"\3",
        "vector": b"\xfd" + number(14, 77, 128, 186, 255, 256, 275)[1],
        "plain": b"\xfc" + number(0, 7)[1] + b"\x41" + leb(3, draw(lengths)) + b"\xfc" + number(16)[1] + zero_bytes,
        "loop": b"\3" + leb(0, draw(lengths)) + b"\x0b",
    }[kind], [(Instruction.LOOP, ())] if kind == "loop" else []


@given(st.lists(long_numbers(), max_size=20))
@settings(deadline=None)
def test_numbers_longer_than_necessary_are_read(instructions: list[tuple[bytes, list[Notable]]]) -> None:
    body = b"\0" + b"\0".join(encoded for encoded, _ in instructions) + b"\0\x40\2\0"
    assert refusal(body) == ""
    expected = Counter([(Instruction.MEMORY_GROW, (2,)), *(each for _, found in instructions for each in found)])
    assert count_notable(body, 0, len(body)) == expected


# Bytes that only look like an instruction


@pytest.mark.parametrize(
    "code",
    [
        b"\x41\xfc\x0b\x1a",  # i32.const 1532, drop: a search for bytes took it for memory.fill 26
        b"\x41\xfc\x00\x1a",  # i32.const 124
        b"\x20\x26\x1a",  # local.get 38
        b"\x41\x26\x1a\x41\x40\x1a\x41\x03\x1a",
        b"\x43\xfc\x0a\0\0\x1a",
        b"\x44\xfc\x0b\0\xfc\x08\0\0\x03\x1a",
        b"\x23\x40\x1a",
        b"\x10\x03",
        b"\xfd\x0c" + b"\xfc\x0b\0\x03" * 4,
    ],
)
def test_operands_are_not_taken_for_instructions(code: bytes) -> None:
    assert count_notable(code, 0, len(code)) == {}


def test_only_the_given_part_is_read() -> None:
    code = b"\x03\x40\x0b" * 3
    assert count_notable(code, 3, 6) == {(Instruction.LOOP, ()): 1}


# Code that cannot have passed validation


@pytest.mark.parametrize("code", [b"\x06\x40", b"\x01\xfb\x00", b"\xfe\x00\x02\x00", b"\xfc\x12\x00", b"\xfd\x94\x02"])
def test_an_unknown_instruction_is_an_error(code: bytes) -> None:
    with pytest.raises(ValidationError, match="expected an instruction of a feature that is switched on, got "):
        count_notable(b"\1" + code, 0, len(code) + 1)


@pytest.mark.parametrize("code", [b"\x0e\x05\0\0", b"\x0e\x05\x80\x80\x80\x80\x80\x80\x80\0\0\0\0\0\0"])
def test_an_instruction_that_goes_past_the_end_of_its_function_is_an_error(code: bytes) -> None:
    with pytest.raises(ValidationError, match="expected a function to end at byte 4 of the module, got "):
        count_notable(code + bytes(20), 0, 4)


@given(st.binary(max_size=60))
@example(b"\xfc")
@example(b"\xfc\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
@settings(deadline=None)
def test_any_bytes_give_a_result_or_an_error_and_end(code: bytes) -> None:
    padded = code + bytes(40)
    try:
        counts = count_notable(padded, 0, len(padded))
    except (ValidationError, IndexError):
        return
    assert sum(counts.values()) <= len(code)


# Constant expressions


@pytest.mark.parametrize(
    ("kind", "expression"),
    [
        ("i32", "(i32.const 11)"),
        ("i32", "(i32.add (global.get 11) (i32.mul (i32.const 11) (i32.sub (i32.const 0x0b0b) (i32.const 1419))))"),
        ("i64", f"(i64.const {11 << 56})"),
        ("i64", "(i64.sub (i64.const 11) (i64.add (i64.mul (i64.const -11) (i64.const 1)) (i64.const 1419)))"),
        ("f32", "(f32.const 0x1.161616p-104)"),
        ("f64", "(f64.const 0x1.b0b0b0b0b0b0bp-847)"),
        ("v128", f"(v128.const i8x16 {'11 ' * 16})"),
        ("funcref", "(ref.func 11)"),
        ("funcref", "(ref.null func)"),
    ],
)
def test_a_constant_expression_ends_at_its_end(kind: str, expression: str) -> None:
    imports = '(import "m" "g" (global i32))' * 12
    wasm = compiled(f"(module {imports} {'(func)' * 12} (global {kind} {expression}) (global i64 (i64.const 11)))")
    content, after = dict(sections(wasm))[6], b"\x7e\0\x42\x0b\x0b"
    assert content.endswith(after)
    assert skip_constant(content, 3) == len(content) - len(after)  # count, type and mutability come before


def test_an_unknown_instruction_in_a_constant_expression_is_an_error() -> None:
    with pytest.raises(ValidationError, match="got fb 1c 0b"):
        skip_constant(b"\x41\0\xfb\x1c\x0b", 2)


# What instructions do to the height of the stack

CONSTANTS = {
    "i32": b"\x41\0",
    "i64": b"\x42\0",
    "f32": b"\x43" + bytes(4),
    "f64": b"\x44" + bytes(8),
    "v128": b"\xfd\x0c" + bytes(16),
    "funcref": b"\xd0\x70",
}
DROP = b"\x1a"


def stack_change(opcode: bytes) -> int | None:
    """Ask the engine how an instruction that stands alone changes the height of the stack; it takes three at most."""
    for count in range(4):
        for operands in product(CONSTANTS.values(), repeat=count):
            for results in (0, 1):
                if not refusal(b"".join(operands) + opcode + DROP * results):
                    return results - count
    return None


def test_each_instruction_that_stands_alone_changes_the_height_of_the_stack_as_the_engine_says() -> None:
    wide_arithmetic = {b"\xfc\x13", b"\xfc\x14", b"\xfc\x15", b"\xfc\x16"}  # these give two values
    control = {bytes([code]) for code in (0x00, 0x05, 0x0B, 0x0F)}
    for opcode in switched_on() - wide_arithmetic - control:
        if stands_alone(opcode):
            (stop,) = walk(opcode + b"\x0b", 0, len(opcode) + 1)
            assert stop.change == stack_change(opcode), opcode.hex()


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("i64.add128", -2),
        ("i64.sub128", -2),
        ("i64.mul_wide_s", 0),
        ("i64.mul_wide_u", 0),
        ("local.get 3", 1),
        ("local.set 3", -1),
        ("local.tee 3", 0),
        ("global.get 3", 1),
        ("global.set 3", -1),
        ("table.size 3", 1),
        ("ref.null func", 1),
        ("ref.func 3", 1),
        ("memory.size 3", 1),
        ("i32.const 3", 1),
        ("i64.const 3", 1),
        ("f32.const 3", 1),
        ("f64.const 3", 1),
        ("v128.const i64x2 3 3", 1),
        ("i32.const 3 i32.shl", 0),
        ("i64.const 3 i64.rotr", 0),
        ("select (result i32)", -2),
        ("i32.load8_u", 0),
        ("f64.load", 0),
        ("i64.store32", -2),
        ("f32.store", -2),
        ("v128.load", 0),
        ("v128.load64_zero", 0),
        ("v128.store", -2),
        ("v128.load16_lane 3", -1),
        ("v128.store64_lane 1", -2),
        ("i8x16.extract_lane_s 3", 0),
        ("f64x2.extract_lane 1", 0),
        ("i16x8.replace_lane 3", -1),
        ("f32x4.replace_lane 3", -1),
        ("i8x16.shuffle 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3", -1),
    ],
)
def test_instructions_with_operands_change_the_height_of_the_stack(text: str, change: int) -> None:
    (*_, body) = bodies(compiled(f"(module {HEAD} (func {'(local i32)' * 4} unreachable {text} unreachable))"))
    (stop,) = walk(body, body.index(0) + 1, len(body))
    assert stop.change == change


@pytest.mark.parametrize(
    ("text", "change"),
    [("table.get 3", 0), ("memory.grow 3", 0), ("memory.fill 3", -3), ("memory.copy 3 3", -3), ("memory.init 3 3", -3),
     ("data.drop 3", 0),     ("table.set 3", -2), ("table.grow 3", -1), ("table.fill 3", -3), ("table.copy 3 3", -3),
     ("table.init 3 3", -3),
     ("elem.drop 3", 0)],
)  # fmt: skip
def test_notable_instructions_change_the_height_of_the_stack(text: str, change: int) -> None:
    (*_, body) = bodies(compiled(f"(module {HEAD} (func unreachable {text} unreachable))"))
    _, end = walk(body, 0, len(body))
    assert end.change == change
