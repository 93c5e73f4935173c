"""Declarations read off a binary are what wasmtime says."""

from __future__ import annotations

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod.errors import ValidationError
from storagemod.types import FunctionType, MemoryType
from storagemod.wasm.binary import Declarations, OtherType, read_declarations, without_names
from storagemod.wasm.engine import shared_engine
from tests.wasm.modules import by_hand, compiled, leb, sections, validated

MODULES = [
    "(module)",
    '(module (func (export "a") (param i32 f32 f64) (result i64) (i64.const 1)) (func $s) (start $s))',
    """(module (import "m" "f" (func (param i32) (result i64 i32))) (import "m" "mem" (memory 1 2))
      (import "m" "wide" (memory i64 3)) (import "m" "t" (table 1 2 funcref)) (import "m" "g" (global (mut i64)))
      (import "m" "h" (func)) (func) (memory 4) (memory i64 5 6) (table 7 funcref) (global i32 (i32.const 8))
      (export "imported" (func 0)) (export "own" (func 2)) (export "memory" (memory 0)) (export "fourth" (memory 3))
      (export "" (memory 2)) (export "it" (table 0)) (export "ot" (table 1)) (export "ig" (global 0))
      (export "og" (global 1)) (elem (i32.const 0) 0) (data (i32.const 0) "x") (data "passive"))""",
    """(module (import "m" "bytes" (memory 70000 (pagesize 1))) (import "m" "wide" (memory i64 0 9 (pagesize 1)))
      (import "m" "usual" (memory 1 2 (pagesize 65536))) (memory (export "own") 5 300 (pagesize 1)) (memory 6))""",
    '(module (type (func (param i64))) (type (func (result f32))) (import "x" "ünï" (func (type 1))) (func (type 0)))',
    '(module (@custom "note" "bytes") (func (export "f") (local i64 v128)))',
    "(module " + " ".join(f'(func (export "f{n}"))' for n in range(300)) + ")",
]


def described(item: object) -> object:
    if isinstance(item, wasmtime.FuncType):
        return FunctionType(tuple(map(str, item.params)), tuple(map(str, item.results)))  # type: ignore[arg-type]
    if isinstance(item, wasmtime.MemoryType):
        return MemoryType(item.limits.min, item.limits.max, item.is_64, item.page_size)
    return OtherType(f"({type(item).__name__.removesuffix('Type').lower()})")


@pytest.mark.parametrize("wat", MODULES)
def test_declarations_are_what_wasmtime_says(wat: str) -> None:
    wasm = bytes(wasmtime.wat2wasm(wat))
    module = wasmtime.Module(shared_engine(), wasm)
    declarations = read_declarations(wasm)
    assert [(item.module, item.name, item.type) for item in declarations.imports] == [
        (item.module, item.name, described(item.type)) for item in module.imports
    ]
    assert declarations.exports == {item.name: described(item.type) for item in module.exports}
    assert declarations.has_start == ("(start" in wat)


def declared(wat: str) -> Declarations:
    return read_declarations(compiled(wat))


@pytest.mark.parametrize("log2", [1, 12, 15, 17, 32, 64, 128])
def test_pages_of_another_length_are_refused(log2: int) -> None:
    """wasmtime refuses them as well: this is for a release that does not any more."""
    memories = b"\x05" + leb(len(leb(log2)) + 3) + b"\1\x08\1" + leb(log2)
    with pytest.raises(ValidationError, match=rf"expected a memory with pages of 1 or 65,536 bytes, got 2\*\*{log2}"):
        read_declarations(b"\0asm\1\0\0\0" + memories)


def test_vectors_are_named_where_wasmtime_would_abort_the_process() -> None:
    wasm = bytes(wasmtime.wat2wasm('(module (import "m" "f" (func (param v128 i32) (result v128 funcref))))'))
    (item,) = read_declarations(wasm).imports
    assert item.type == OtherType("(func (param v128 i32) (result v128 funcref))")


# State of a module's own

STATE = """(module (import "m" "a" (memory 1)) (import "m" "g" (global (mut i32))) (import "m" "t" (table 1 funcref))
  (memory $b 2 3) (memory $wide i64 4) (table 1 funcref) (table i64 5 6 funcref) (elem $e func) (data $d "")
  (global i32 (i32.const 11)) (global (mut i64) (i64.const 11)) (global (mut v128) (v128.const i64x2 11 11))
  (global (mut funcref) (ref.null func)) (global f32 (f32.const 0)) (global (mut f64) (f64.const 0))
  (export "memory" (memory 0)) (export "b" (memory $b)) (export "again" (memory $b)) (export "g" (global 0))
  (func (param i32) %s))"""


def test_own_memories_tables_and_globals_are_told_apart_from_imported_and_constant_ones() -> None:
    declarations = declared(STATE % "")
    assert declarations.own_memories == ((1, MemoryType(2, 3)), (2, MemoryType(4, is_64=True)))
    assert declarations.memories == (MemoryType(2, 3), MemoryType(4, is_64=True))
    assert declarations.own_tables == (1, 5)
    assert declarations.mutable_globals == ((2, "i64"), (3, "v128"), (4, "ref"), (6, "f64"))
    assert declarations.memory_exports == {"memory": 0, "b": 1, "again": 1}


def test_a_global_of_a_reference_written_long_is_a_reference() -> None:
    wasm = validated(bytes.fromhex("0061736d01000000 060c 02 637001 d0700b 7e01 420b0b"))
    assert read_declarations(wasm).mutable_globals == ((0, "ref"), (1, "i64"))


THREE = "(local.get 0) (local.get 0) (local.get 0)"


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ("(drop (table.get 1 (local.get 0))) (drop (table.size 1)) (drop (i32.const 0x26fc))", ""),
        (f"(memory.init 0 $d {THREE}) (memory.copy 0 0 {THREE})", ""),
        ("(table.set 1 (local.get 0) (ref.null func))", "table"),
        ("(drop (table.grow 1 (ref.null func) (local.get 0)))", "table"),
        ("(table.fill 1 (local.get 0) (ref.null func) (local.get 0))", "table"),
        (f"(table.copy 0 1 {THREE})", "table"),
        (f"(table.init 1 $e {THREE})", "table"),
        ("(data.drop $d)", "segment"),
        ("(elem.drop $e)", "segment"),
    ],
)
def test_changes_of_tables_and_segments_are_found(body: str, changed: str) -> None:
    declarations = declared(STATE % body)
    assert declarations.mutates_tables == (changed == "table")
    assert declarations.drops_segments == (changed == "segment")
    assert declarations.has_own_state
    without_own_state = f"""(module (import "m" "a" (memory 1)) (table 1 funcref) (table 5 funcref) (elem $e func)
      (data $d "") (global i32 (i32.const 1)) (func (param i32) {body}))"""
    assert declared(without_own_state).has_own_state == bool(changed)


@pytest.mark.parametrize(
    ("fields", "has_state"),
    [
        ("", False),
        ('(import "m" "a" (memory 1)) (import "m" "g" (global (mut i32)))', False),
        ("(global i32 (i32.const 0)) (table 1 funcref)", False),
        ("(memory 0)", True),
        ("(global (mut i32) (i32.const 0))", True),
        ("(global (mut funcref) (ref.null func))", True),
    ],
)
def test_a_module_has_state_of_its_own_if_it_defines_some_that_can_change(fields: str, has_state: bool) -> None:
    assert declared(f"(module {fields})").has_own_state == has_state


def test_memories_that_grow_are_found() -> None:
    grow = "(drop (memory.grow 2 (i64.const 1))) (drop (memory.size 1)) (drop (memory.grow 0 (memory.size 1)))"
    assert declared(STATE % grow).grows_memory == {0, 2}
    assert declared(STATE % "(drop (memory.size 1)) (drop (i32.const 64))").grows_memory == frozenset()


# Memories that the host accesses for the module

HEAD = f"""(import "m" "g" (global $g i32)) (import "m" "h" (global $h i64))
  {'(import "m" "more" (global i32)) ' * 9} (import "m" "k" (global $eleven i32))
  (import "m" "a" (memory 1)) (import "m" "b" (memory 1)) (import "m" "wide" (memory i64 1)) (memory 1)"""

ZEROS = "(i32.const 0) (i32.const 0) (i32.const 0)"


@pytest.mark.parametrize(
    ("body", "memories"),
    [
        ("", set()),
        (f"(memory.copy 1 3 {ZEROS})", {1, 3}),
        (f"(memory.copy 3 1 {ZEROS})", {1, 3}),
        (f"(memory.copy 0 0 {ZEROS})", {0}),
        ("(memory.copy 2 0 (i64.const 0) (i32.const 0) (i32.const 0))", {0, 2}),
        ("(memory.copy 0 2 (i32.const 0) (i64.const 0) (i32.const 0))", {0, 2}),
        (f"(memory.fill 1 {ZEROS})", {1}),
        ("(memory.fill 2 (i64.const 0) (i32.const 0) (i64.const 0))", {2}),
        (f"(memory.init 1 $passive {ZEROS})", {1}),
        (f"(memory.init 0 $passive {ZEROS}) (data.drop $passive)", {0}),
        ("(data.drop $passive)", set()),
        ("(drop (memory.size 1)) (drop (memory.grow 1 (i32.const 1)))", set()),
        ("(i64.store 1 (i32.const 0) (i64.load 3 (i32.const 0)))", set()),
        ("(drop (v128.load 1 (i32.const 0))) (drop (i64.trunc_sat_f64_u (f64.const 1)))", set()),
        (f"(table.copy 1 0 {ZEROS}) (table.init 1 $elements {ZEROS}) (elem.drop $elements)", set()),
        (f"(if (i32.const 0) (then (loop (block (memory.fill 3 {ZEROS})))))", {3}),
        ("(drop (i32.const 1532))", set()),
        # The number that is the last operand looks like an instruction itself, and the true one would be part of it.
        ("(memory.fill 1 (i32.const 0) (i32.const 0) (i32.const 1532))", {1}),
    ],
)
def test_memories_that_bulk_instructions_name_are_found_and_no_others(body: str, memories: set[int]) -> None:
    wat = f"""(module {HEAD} (table 1 funcref) (table 1 funcref) (elem $elements func)
      (data $first "x") (data $passive "y") (func) (func (local i32 i64) {body}) (func))"""
    declarations = declared(wat)
    assert declarations.bulk_memories == memories
    assert declarations.bulk_instructions == bool(memories)


@pytest.mark.parametrize(
    ("data", "memories"),
    [
        ('(data "passive")', set()),
        ('(data (i32.const 0) "x")', {0}),
        ('(data (memory 1) (i32.const 0) "x")', {1}),
        ('(data (memory 1) (i32.const -2147483648) "")', {1}),
        ('(data (memory 2) (i64.const 0x7fffffffffffffff) "x")', {2}),
        ('(data (memory 3) (global.get $g) "x")', {3}),
        (f'(data (memory 3) (global.get $g) "{"x" * 70_000}")', {3}),
        # What ends an expression is the byte 11, which numbers have in them too.
        ('(data (memory 3) (global.get $eleven) "x")', {3}),
        (f'(data (memory 2) (i64.const {11 << 56}) "x")', {2}),
        ('(data (memory 1) (i32.add (global.get $g) (i32.mul (i32.const 11) (i32.const 0x0b0b))) "x")', {1}),
        ('(data (memory 2) (i64.sub (i64.const 11) (i64.add (global.get $h) (i64.const 1419))) "x")', {2}),
        ('(data "p") (data (memory 3) (i32.const 11) "\\0b\\fc\\0b") (data (memory 1) (i32.const 0) "")', {1, 3}),
        (" ".join(f'(data (memory {n % 2}) (i32.const {n}) "{"x" * n}")' for n in range(200)), {0, 1}),
    ],
)
def test_memories_that_active_segments_name_are_found(data: str, memories: set[int]) -> None:
    declarations = declared(f"(module {HEAD} {data})")
    assert declarations.bulk_memories == memories
    assert not declarations.bulk_instructions
    after = declared(f'(module {HEAD} (memory 1) {data} (data (memory 4) (i32.const 0) "z") (func))')
    assert after.bulk_memories == memories | {4}


@given(st.tuples(*[st.integers(1, 5)] * 5), st.sampled_from([0, 1, 2]))
@settings(deadline=None)
def test_segments_with_numbers_longer_than_necessary_are_read(lengths: tuple[int, ...], memory: int) -> None:
    of_count, of_mode, of_memory, of_offset, of_length = lengths
    active = leb(2, of_mode) + leb(memory, of_memory) + b"\x41" + leb(0, of_offset) + b"\x0b" + leb(1, of_length) + b"x"
    wasm = by_hand(b"", leb(2, of_count) + active + leb(1, of_mode) + leb(1, of_length) + b"y")
    wasmtime.Module.validate(shared_engine(), wasm)
    assert read_declarations(wasm).bulk_memories == {memory}


# Name sections


def test_names_are_left_out_and_nothing_else() -> None:
    text = '(module (@custom "note" "bytes") (func $%s (param $%s i32)) (memory $m 1) (@custom "nam" "e"))'
    named, other = bytes(wasmtime.wat2wasm(text % ("f", "p"))), bytes(wasmtime.wat2wasm(text % ("g", "q")))
    assert named != other
    assert without_names(named) == without_names(other)
    assert [kind for kind, _ in sections(without_names(named))] == [1, 3, 5, 10, 0, 0]
    assert without_names(without_names(named)) == without_names(named)
