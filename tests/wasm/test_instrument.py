"""Instrumented modules do what the plain ones do, to the unit of gas, and record it."""

from __future__ import annotations

import ctypes
from random import Random
from typing import Any

import pytest
import wasmtime
from attrs import field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storagemod.types import MemoryType
from storagemod.wasm.binary import read_declarations
from storagemod.wasm.engine import shared_engine
from storagemod.wasm.instructions import write_signed
from storagemod.wasm.instrument import (
    ACCESS,
    ACCESSES_MAX,
    BLOCKS_START,
    CHANGED,
    COMPARISON,
    HEADER,
    REPEATS_MAX,
    SAME,
    Instrumented,
    Watched,
    instrument,
)
from storagemod.wasm.locate import find_in_text
from storagemod.wasm.lowering import lower
from tests.fuzz.seeds import modules as seeds
from tests.wasm.modules import compiled
from tests.wasm.programs import Program

ENDLESS = 2**62


@frozen
class Ran:
    """What a run of an exported function left."""

    values: tuple[Any, ...]
    trap: str
    gas: int | None
    state: tuple[Any, ...]
    log: bytes = field(default=b"", eq=False)

    @property
    def header(self) -> tuple[int, ...]:
        return HEADER.unpack_from(self.log)


def watched_by(wasm: bytes) -> Watched:
    """Watch all memories that a module imports, and map nothing."""
    imports = read_declarations(wasm).imports
    memories = [item for item in imports if isinstance(item.type, MemoryType)]
    return Watched(frozenset(range(len(memories))))


def instrumented(wasm: bytes, watched: Watched | None = None) -> Instrumented:
    declarations = read_declarations(wasm)
    lowered = lower(wasm, declarations, memory_pages_max=20)
    return instrument(wasm, declarations, lowered, watched_by(wasm) if watched is None else watched)


def run(wasm: bytes, name: str, args: list[Any], gas: int, made: Instrumented | None = None) -> Ran:
    """Run an export of a module, plain or instrumented, with so much gas; its imports are memories and functions."""
    declarations = read_declarations(wasm)
    lowered = lower(wasm, declarations, memory_pages_max=20)
    store = wasmtime.Store(shared_engine())
    store.set_fuel(ENDLESS)
    store.set_epoch_deadline(1_000_000)
    module = wasmtime.Module(shared_engine(), lowered.wasm if made is None else made.wasm)
    imported: list[Any] = []
    for item in module.imports:
        kind = item.type
        imported.append(
            wasmtime.Memory(store, kind)
            if isinstance(kind, wasmtime.MemoryType)
            else wasmtime.Func(store, kind, lambda *_: None)
        )
    exports = wasmtime.Instance(store, module, imported).exports(store)
    for maximum in lowered.maxima.values():
        exports[maximum].set_value(store, 3)
    log: Any = None if made is None else exports[made.export]
    if made is None:
        store.set_fuel(gas + 1)
    else:
        log.write(store, made.header, 0)
        log.write(store, gas.to_bytes(8, "little", signed=True), 0)
    values: Any = ()
    trap = ""
    try:
        values = exports[name](store, *args)
    except wasmtime.Trap as error:
        trap = "" if error.trap_code is None else error.trap_code.name
    record = b"" if made is None else bytes(log.read(store, 0, log.data_len(store)))
    if made is None:
        left = store.get_fuel() - 1
    else:
        out = HEADER.unpack_from(record)[5]
        trap, left = ("OUT_OF_FUEL" if out else trap), max(HEADER.unpack_from(record)[0], -1)
    memories = [each for each in imported if isinstance(each, wasmtime.Memory)]
    memories += [exports[each] for each in lowered.memories.values()]
    state = [bytes(each.read(store, 0, each.data_len(store))) for each in memories]
    globals_ = [str(exports[each].value(store)) for each in lowered.globals.values()]
    values = tuple(values) if isinstance(values, list) else (values,)
    if trap == "OUT_OF_FUEL":
        state, globals_ = [], []  # it is undone, and how far bulk instructions come before that is the engine's
    return Ran(tuple(map(str, values)), trap, None if trap else left, (*state, *globals_), record)


def agree(wasm: bytes, name: str, args: list[Any], gas: int = 10_000) -> Ran:
    """Check that a run is the same plain and instrumented, and return the latter."""
    plain, recorded = run(wasm, name, args, gas), run(wasm, name, args, gas, instrumented(wasm))
    assert recorded == plain
    return recorded


SAMPLES = {
    "unreachable code is polymorphic": """(import "s" "m" (memory 1)) (func (export "f") (result i32)
        (block (result i32) (br 0 (i32.const 7)) (i64.store (i64.load (unreachable))) (i32.eq)
          (i32.add) (if (result i32) (then (i32.const 1)) (else (i32.const 2)))))""",
    "loop with parameters": """(func (export "f") (result i32 i32) (local i32) (i32.const 0) (i32.const 10)
        (loop (param i32 i32) (result i32 i32) (local.set 0) (i32.const 3) (i32.add) (local.get 0) (i32.const -1)
          (i32.add) (local.tee 0) (br_if 0 (i32.ge_s (local.get 0) (i32.const 0)))))""",
    "branch table": """(func (export "f") (result i32) (local i32) (loop $l (block $c (block $b (block $a
        (br_table $a $b $c (local.get 0))) (local.set 0 (i32.const 1)) (br $l)) (local.set 0 (i32.const 9)) (br $l)))
        (local.get 0))""",
    "if without else": """(func (export "f") (result i32) (local i32)
        (if (i32.eqz (local.get 0)) (then (local.set 0 (i32.const 5)))) (if (local.get 0) (then (nop)))
        (local.get 0))""",
    "tail calls": """(func $even (param i32) (result i32) (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
        (return_call $odd (i32.sub (local.get 0) (i32.const 1))))
        (func $odd (param i32) (result i32) (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
        (return_call_indirect (param i32) (result i32) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))
        (table funcref (elem $even)) (func (export "f") (result i32) (call $even (i32.const 77)))""",
    "several results": """(func $two (result i64 f32) (i64.const 4) (f32.const 2)) (func (export "f") (result f32 i64)
        (local i64 f32) (call $two) (local.set 1) (local.set 0) (local.get 1) (i64.ne (local.get 0) (i64.const 4))
        (i64.extend_i32_u))""",
    "growth": """(memory $m 1 3) (func (export "f") (result i32 i32 i32) (memory.grow $m (i32.const 1))
        (memory.grow $m (i32.const 9)) (memory.size $m))""",
    "start function": """(global $g (mut i32) (i32.const 1)) (func $s (if (i32.lt_u (global.get $g) (i32.const 5))
        (then (global.set $g (i32.const 9))))) (start $s) (func (export "f") (result i32) (global.get $g))""",
    "nested ends": """(func (export "f") (result i32) (block (block (block (loop (br 3))))) (block (result i32)
        (block (br 0)) (i32.const 3)))""",
    "trap in a store": """(import "s" "m" (memory 1)) (func (export "f")
        (i64.store (i32.const 65530) (i64.const 1)))""",
    "endless loop": """(func (export "f") (loop (br 0)))""",
    "endless recursion of tails": """(func $f (export "f") (return_call $f))""",
    "stack is exhausted": """(func $f (export "f") (result i32) (i32.add (call $f) (i32.const 1)))""",
    "bulk": """(import "s" "m" (memory 1)) (data $d "abcdef") (func (export "f") (result i32)
        (memory.init $d (i32.const 8) (i32.const 1) (i32.const 4))
        (memory.copy (i32.const 9) (i32.const 8) (i32.const 4))
        (memory.fill (i32.const 0) (i32.const 3) (i32.const 5)) (data.drop $d) (i32.load (i32.const 9)))""",
    "bulk that traps": """(import "s" "m" (memory 1)) (func (export "f")
        (memory.fill (i32.const 65530) (i32.const 3) (i32.const 50)))""",
    "tables": """(table $t 10 20 funcref) (table $u i64 5 9 funcref) (elem $e funcref (ref.func $f) (ref.null func))
        (func $f (export "f") (result i32 i64 i32) (table.init $t $e (i32.const 1) (i32.const 0) (i32.const 2))
        (table.grow $t (ref.func $f) (i32.const 4)) (table.grow $u (ref.null func) (i64.const 2))
        (table.grow $t (ref.null func) (i32.const 90)) (table.fill $u (i64.const 0) (ref.func $f) (i64.const 3))
        (table.copy $t $u (i32.const 0) (i64.const 1) (i32.const 2))
        (table.copy $u $u (i64.const 0) (i64.const 1) (i64.const 2))
        (drop (table.grow $t (ref.null func) (i32.const 400))) (elem.drop $e))""",
    "wide addresses": """(import "s" "m" (memory i64 1)) (memory $n 1) (func (export "f") (result i64)
        (i64.store offset=8 (i64.const 16) (i64.const -5)) (memory.copy 0 $n (i64.const 0) (i32.const 0) (i32.const 8))
        (i64.load32_s offset=12 (i64.const 12)))""",
    "vectors": """(import "s" "m" (memory 1)) (func (export "f") (result i64)
        (v128.store offset=3 (i32.const 5) (v128.const i64x2 1 2)) (v128.store (i32.const 8) (v128.load (i32.const 8)))
        (v128.store16_lane 3 (i32.const 1) (v128.load64_lane 1 (i32.const 8) (v128.load8_splat (i32.const 8))))
        (v128.store64_lane 1 (i32.const 40) (v128.const i64x2 7 9)) (i64.load (i32.const 40)))""",
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("gas", [0, 1, 5, 30, 10_000])
def test_samples_of_each_kind_of_instruction_are_alike(name: str, gas: int) -> None:
    agree(compiled(f"(module {SAMPLES[name]})"), "f", [], gas)


def test_all_seeds_validate_and_keep_their_blocks_in_order() -> None:
    for wasm in seeds():
        try:
            wasmtime.Module.validate(shared_engine(), wasm)
        except wasmtime.WasmtimeError:
            continue
        made = instrumented(wasm)
        wasmtime.Module.validate(shared_engine(), made.wasm)
        assert list(made.blocks) == sorted(made.blocks)
        assert made.export not in read_declarations(wasm).exports


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**40), st.integers(0, 1_500), st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=2))
def test_random_programs_are_alike_with_any_gas(seed: int, gas: int, args: list[int]) -> None:
    wasm = compiled(Program(Random(seed)).text())  # noqa: S311 - Hypothesis has the seed
    agree(wasm, "f", args, gas)
    agree(wasm, "f", args, 1_000_000)


def accesses(made: Instrumented, ran: Ran) -> list[tuple[int, int, str]]:
    """Return address, length and what was done, of each recorded access."""
    names = {CHANGED: "changed", SAME: "same"}
    found = []
    for number, effect, address in ACCESS.iter_unpack(ran.log[made.accesses_start : ran.header[1]]):
        site = made.accesses[number]
        known = names.get(effect, "unknown") if site.length and site.write else ("write" if site.write else "read")
        found.append((address, site.length or effect, known))
    return found


def record(wat: str, watched: Watched | None = None) -> tuple[Instrumented, Ran]:
    wasm = compiled(f"(module {wat})")
    made = instrumented(wasm, watched)
    return made, run(wasm, "f", [], 1_000_000, made)


def test_accesses_are_recorded_in_order_with_effective_addresses() -> None:
    made, ran = record("""(import "s" "m" (memory 1)) (memory $own 1) (func (export "f")
        (i64.store offset=8 (i32.const 4) (i64.const 0)) (i64.store offset=8 (i32.const 4) (i64.const 6))
        (i32.store8 (i32.const 12) (i32.const 0x106)) (drop (f32.load (i32.const 9)))
        (f64.store (i32.const 0) (f64.const -0)) (i32.store $own (i32.const 0) (i32.const 1))
        (memory.copy 0 $own (i32.const 70) (i32.const 0) (i32.const 3)))""")

    assert accesses(made, ran) == [
        (12, 8, "same"),
        (12, 8, "changed"),
        (12, 1, "same"),
        (9, 4, "read"),
        (0, 8, "changed"),
        (70, 3, "write"),
    ]


def test_address_beyond_32_bits_is_recorded_whole_and_traps_as_before() -> None:
    made, ran = record(
        """(import "s" "m" (memory 1)) (func (export "f") (drop (i32.load offset=4294967295 (i32.const -1))))"""
    )

    assert accesses(made, ran) == [(2**33 - 2, 4, "read")]
    assert ran.trap == "MEMORY_OUT_OF_BOUNDS"


def test_accesses_to_the_mapped_range_only_are_recorded() -> None:
    wasm = compiled("""(module (memory 1) (func (export "f") (param i32) (result i32)
        (i64.store (local.get 0) (i64.const 1)) (i32.load offset=20 (local.get 0))))""")
    made = instrumented(wasm, Watched(mapped=0))
    for address, expected in ((0, 0), (92, 0), (93, 1), (107, 1), (108, 0), (76, 0), (77, 1), (87, 1), (88, 0)):
        store = wasmtime.Store(shared_engine())
        store.set_fuel(ENDLESS)
        store.set_epoch_deadline(10)
        exports: Any = wasmtime.Instance(store, wasmtime.Module(shared_engine(), made.wasm), []).exports(store)
        exports[made.export].write(store, (100).to_bytes(8, "little") + (108).to_bytes(8, "little"), 32)
        exports["f"](store, address)
        header = HEADER.unpack(exports[made.export].read(store, 0, HEADER.size))
        assert (address, (header[1] - made.accesses_start) // ACCESS.size) == (address, expected)


def test_what_does_not_fit_is_counted() -> None:
    made, ran = record("""(import "s" "m" (memory 1)) (func (export "f") (local i32) (loop
        (i32.store (i32.const 0) (local.get 0)) (local.set 0 (i32.add (local.get 0) (i32.const 1)))
        (br_if 0 (i32.ne (local.get 0) (i32.const 5000)))))""")

    assert len(accesses(made, ran)) == ACCESSES_MAX
    assert ran.header[3] == 5_000 - ACCESSES_MAX
    assert ran.header[4] == 5_000 - REPEATS_MAX


def test_operands_of_comparisons_are_recorded_signed() -> None:
    made, ran = record("""(func (export "f") (drop (i32.lt_u (i32.const -1) (i32.const 5)))
        (drop (i64.eq (i64.const 9223372036854775807) (i64.const -2))) (drop (i32.eqz (i32.const 8)))
        (drop (i64.eqz (i64.const -8))) (drop (i64.ge_s (i64.const 3) (i64.const 4)))
        (drop (f32.eq (f32.const 1) (f32.const 1))))""")
    found = [*COMPARISON.iter_unpack(ran.log[made.comparisons_start : ran.header[2]])]

    assert found == [(0, -1, 5), (1, 2**63 - 1, -2), (2, 8, 0), (3, -8, 0), (4, 3, 4)]
    assert [opcode for _, opcode in made.comparisons] == [0x49, 0x51, 0x45, 0x50, 0x59]


def test_blocks_that_ran_are_told_from_those_that_did_not() -> None:
    made, ran = record("""(func (export "f") (if (i32.const 0) (then (nop) (drop (i32.const 1))) (else (nop)))
        (block (br 0) (nop)) (nop))""")
    ran_blocks = ran.log[BLOCKS_START : BLOCKS_START + len(made.blocks)]

    assert ran_blocks == bytes([1, 0, 1, 1, 1])


def test_blocks_and_sites_have_offsets_that_lines_are_known_of() -> None:
    text = """(module (import "s" "m" (memory 1 4)) (func $g (drop (memory.grow (i32.const 1))) (call $h) %s
      (if (i32.lt_u (i32.const 1) (i32.const 2)) (then (i32.store (i32.const 0) (i32.const 9)))))
      (func $h (nop)))""" % ("(nop)" * 80)  # so long that lowering puts a loop behind the call
    wasm = compiled(text)
    made = instrumented(wasm)
    found = [find_in_text(text, wasm, offset) for offset in (*made.blocks, *(site.offset for site in made.accesses))]

    assert [text[at : at + 9] for at in found if at is not None] == [
        *("i32.const", "i32.const", "nop)))", "i32.store"),
    ]
    ((offset, _),) = made.comparisons
    assert text[find_in_text(text, wasm, offset) or 0 :].startswith("i32.lt_u")


def test_export_has_a_name_of_its_own() -> None:
    wasm = compiled('(module (memory (export "record.log") 1) (func (export "record_")))')

    assert instrumented(wasm).export == "record__.log"


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_numbers_are_as_short_as_possible(value: int) -> None:
    written = write_signed(value)
    bits = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(written))
    assert bits - ((1 << 7 * len(written)) if written[-1] & 0x40 else 0) == value
    assert len(written) == (value if value >= 0 else ~value).bit_length() // 7 + 1
    assert ctypes.c_int64(value).value == value
