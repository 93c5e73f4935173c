"""Inlining gives the module that one would write by hand for the memory, to the byte."""

from __future__ import annotations

import pytest
import wasmtime
from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storagemod.types import MemoryType
from storagemod.wasm import Import, inline, without_names
from storagemod.wasm.binary import read_declarations
from storagemod.wasm.engine import shared_engine
from tests.fuzz.seeds import modules as seeds
from tests.wasm.modules import compiled, leb, sections, validated

_LOADS = """
i32.load i64.load f32.load f64.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u i64.load8_s i64.load8_u
i64.load16_s i64.load16_u i64.load32_s i64.load32_u
"""
_STORES = "i32.store i64.store f32.store f64.store i32.store8 i32.store16 i64.store8 i64.store16 i64.store32"
LOADS = {name: 0x28 + number for number, name in enumerate(_LOADS.split())}
STORES = {name: 0x36 + number for number, name in enumerate(_STORES.split())}
OPCODES = {**LOADS, **STORES, "memory.size": 0x3F, "memory.grow": 0x40}

OWN = (
    "(drop (i32.load {memory} offset=3 ({at}.const 8)))",
    "(i64.store16 {memory} align=1 ({at}.const 8) (i64.const 1))",
    "(f64.store {memory} offset=70000 ({at}.const 0) (f64.const 2))",
    "(drop (memory.grow {memory} ({at}.const 0)))",
    "(drop (memory.size {memory}))",
    "(memory.fill {memory} ({at}.const 1) (i32.const 2) ({at}.const 3))",
    "(memory.copy {memory} {memory} ({at}.const 1) ({at}.const 2) ({at}.const 3))",
    "(memory.init {memory} $passive ({at}.const 1) (i32.const 0) (i32.const 1))",
    "(drop (v128.load32_splat {memory} offset=5 ({at}.const 8)))",
    "(drop (v128.load64_lane {memory} 1 ({at}.const 8) (v128.const i64x2 1 2)))",
    "(v128.store8_lane {memory} offset=9 15 ({at}.const 8) (v128.const i64x2 1 2))",
    "(v128.store {memory} ({at}.const 8) (v128.const i64x2 1 2))",
    "(drop (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (v128.const i64x2 1 2) (v128.const i64x2 1 2)))",
    "(data.drop $passive)",
    "(block (block (br_table 0 1 0 (i32.const 1))))",
    "(drop (i32.shl (i32.const 1000) (i32.const 40)))",
    "(call $other)",
    "(call_indirect (i32.const 0))",
)
"""What code does besides: with its own memories, and with none."""


@frozen
class Pair:
    """A module that calls functions, and the same as one would write it for the memory."""

    calls: bytes
    by_hand: bytes
    memory: Import
    opcodes: dict[int, int]


def name_of(opcode: str) -> str:
    return "$" + opcode.replace(".", "_")


def signature(opcode: str, width: str) -> tuple[list[str], str]:
    """Return parameters and result of the function that does what an instruction does."""
    if opcode in LOADS:
        return [width], f"(result {opcode[:3]})"
    if opcode in STORES:
        return [width, opcode[:3]], ""
    return ([width] if opcode == "memory.grow" else []), f"(result {width})"


def access(opcode: str, width: str, *, by_hand: bool) -> str:
    """Return one use of the memory, as a statement."""
    params, result = signature(opcode, width)
    args = " ".join(f"({each}.const {8 if number == 0 else 1})" for number, each in enumerate(params))
    what = f"call {name_of(opcode)}"
    if by_hand:
        what = f"{opcode} $storage" + (" align=1" if opcode in LOADS or opcode in STORES else "")
    return f"(drop ({what} {args}))" if result else f"({what} {args})"


def tail_call(opcode: str, width: str, *, by_hand: bool) -> str:
    """Return a function that ends in such a use."""
    params, result = signature(opcode, width)
    args = " ".join(f"({each}.const 8)" for each in params)
    if by_hand:
        aligned = " align=1" if opcode in LOADS or opcode in STORES else ""
        return f"(func {result} {args} {opcode} $storage{aligned} return)"
    return f"(func {result} {args} return_call {name_of(opcode)})"


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    wide = draw(st.booleans())
    width = "i64" if wide else "i32"
    imported = draw(st.lists(st.booleans(), max_size=2))
    own = draw(st.lists(st.booleans(), max_size=3))
    widths = ["i64" if each else "i32" for each in (*imported, *own)]
    names = [f"$m{number}" for number in range(len(widths))]
    used = draw(st.lists(st.sampled_from(list(OPCODES)), unique=True, max_size=6))
    order = [(opcode, draw(st.booleans())) for opcode in used]
    imports = ['(import "m" "other" (func $other))']
    for opcode, first in order:
        params, result = signature(opcode, width)
        text = f'(import "storage" "{opcode}" (func {name_of(opcode)} (param {" ".join(params)}) {result}))'
        imports.insert(0 if first else len(imports), text)
    indices = {text: number for number, text in enumerate(imports)}
    opcodes = {
        number: OPCODES[text.split('"')[3]] for text, number in indices.items() if text.startswith('(import "storage"')
    }
    imports += [
        f'(import "m" "memory{n}" (memory {names[n]} {"i64 " if each else ""}1 9))' for n, each in enumerate(imported)
    ]
    if draw(st.booleans()):
        imports.append('(import "m" "global" (global i32))')
    fields = [f"(memory {names[len(imported) + n]} {'i64 ' if each else ''}1)" for n, each in enumerate(own)]
    fields += ['(data $passive "passive")', "(table 1 funcref) (elem (i32.const 0) func $other)"]
    for n, (name, at) in enumerate(zip(names, widths, strict=True)):
        if draw(st.booleans()):
            fields.append(f'(export "memory{n}" (memory {name})) (data (memory {name}) ({at}.const {70 * n}) "data")')
    statements: list[tuple[str, str]] = []
    for _ in range(draw(st.integers(0, 8))):
        if used and draw(st.booleans()):
            opcode = draw(st.sampled_from(used))
            statements.append((access(opcode, width, by_hand=False), access(opcode, width, by_hand=True)))
            continue
        template = draw(st.sampled_from(OWN))
        if "{memory}" in template and not names:
            continue
        number = draw(st.integers(0, len(names) - 1)) if names else 0
        text = template.format(memory=names[number], at=widths[number]) if names else template
        statements.append((text, text))
    tails = draw(st.lists(st.sampled_from(used), max_size=2)) if used else []
    texts = []
    for by_hand in (False, True):
        body = " ".join(each[by_hand] for each in statements)
        functions = [f'(func $run (export "run") (local i32 i64 v128) {body})', *fields]
        functions += [tail_call(opcode, width, by_hand=by_hand) for opcode in tails]
        more = [f'(import "storage" "memory" (memory $storage {"i64 " if wide else ""}1))'] if by_hand else []
        texts.append(f"(module {' '.join((*imports, *more, *functions))})")
    calls, by_hand = (without_names(compiled(text)) for text in texts)
    return Pair(calls, by_hand, Import("storage", "memory", MemoryType(1, None, wide)), opcodes)


@given(pairs())
@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_the_module_is_the_one_that_one_would_write_by_hand(pair: Pair) -> None:
    assert inline(pair.calls, read_declarations(pair.calls), pair.memory, pair.opcodes) == pair.by_hand


def test_every_load_and_store_has_its_opcode() -> None:
    for opcode, number in OPCODES.items():
        params, result = signature(opcode, "i32")
        function = f'(import "storage" "f" (func {name_of(opcode)} (param {" ".join(params)}) {result}))'
        storage = '(import "storage" "memory" (memory $storage 1 2))'
        pair = [
            without_names(compiled(f"(module {function} {more} (func {access(opcode, 'i32', by_hand=bool(more))}))"))
            for more in ("", storage)
        ]
        memory = Import("storage", "memory", MemoryType(1, 2))
        assert inline(pair[0], read_declarations(pair[0]), memory, {0: number}) == pair[1], opcode


@pytest.mark.parametrize("index", range(len(seeds())))
def test_modules_of_all_kinds_stay_valid_with_a_memory_more(index: int) -> None:
    wasm = seeds()[index]
    declarations = read_declarations(wasm)
    validated(inline(wasm, declarations, Import("storage", "added", MemoryType(1)), {}))


def test_numbers_that_are_written_long_are_read_and_custom_sections_kept() -> None:
    module = compiled(
        '(module (import "storage" "f" (func (param i32) (result i64))) (memory (export "memory") 1)'
        ' (func (export "run") (result i64) (call 0 (i32.load (i32.const 8)))))'
    )
    pieces = dict(sections(without_names(module)))
    # one function: i32.const 8, i32.load with alignment 2 and memory 0 written long, call 0 written long
    body = b"\0" + b"\x41\x08" + b"\x28" + leb(2 | 0x40, 3) + leb(0, 4) + leb(5, 2) + b"\x10" + leb(0, 5) + b"\x0b"
    pieces[10] = leb(1, 2) + leb(len(body), 5) + body
    note = b"\4note" + bytes(9)
    wasm = module[:8] + b"".join(
        bytes([number]) + leb(len(content), 3) + content + b"\0" + leb(len(note), 2) + note
        for number, content in pieces.items()
    )
    validated(wasm)
    inlined = validated(inline(wasm, read_declarations(wasm), Import("s", "m", MemoryType(1)), {0: 0x29}))
    assert inlined.count(note) == len(pieces)
    changed = b"\0" + b"\x41\x08" + b"\x28\x42\x01" + leb(5, 2) + b"\x29\x00\x00" + b"\x0b"
    assert {number: content for number, content in sections(inlined) if number}[10] == b"\1" + leb(
        len(changed)
    ) + changed


def test_functions_that_are_values_are_named_by_the_declarations() -> None:
    names = {
        "export": '(export "f" (func 0))',
        "table": "(table funcref (elem 0))",
        "global": "(global funcref (ref.func 0))",
    }
    names |= {
        "expression": "(table 1 funcref) (elem (i32.const 0) funcref (ref.null func) (ref.func 0))",
        "declared": "(elem declare func 0) (func (drop (ref.func 0)))",
    }
    for field in names.values():
        wasm = compiled(f'(module (import "m" "f" (func)) (import "m" "g" (func)) {field} (func (call 0) (call 1)))')
        assert read_declarations(wasm).imported_references == {0}, field
    wasm = compiled('(module (import "m" "f" (func)) (func (export "g") (call 0)) (table funcref (elem 1)))')
    assert read_declarations(wasm).imported_references == set()


def test_an_inlined_module_does_what_the_calls_did() -> None:
    """The rest is a matter of what is linked: the imports are there, and nobody calls them."""
    text = """(module (import "storage" "load" (func $load (param i32) (result i32))) (memory $own 1)
      (data (i32.const 4) "own!") (func (export "run") (param i32) (result i32) (call $load (local.get 0))))"""
    wasm = compiled(text)
    inlined = inline(wasm, read_declarations(wasm), Import("storage", "memory", MemoryType(1)), {0: 0x28})
    store = wasmtime.Store(shared_engine())
    store.set_fuel(1_000_000)
    store.set_epoch_deadline(1_000)
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(1, 3)))
    memory.write(store, b"that", 4)
    kind = wasmtime.FuncType([wasmtime.ValType.i32()], [wasmtime.ValType.i32()])
    never = wasmtime.Func(store, kind, lambda _: pytest.fail("it was called"))
    run = wasmtime.Instance(store, wasmtime.Module(shared_engine(), inlined), [never, memory]).exports(store)["run"]
    assert run(store, 4) == int.from_bytes(b"that", "little")
