"""What fuzzing found, and what was found while it was being set up."""

from __future__ import annotations

import pytest

from storagemod import Contract, World
from storagemod.errors import ValidationError
from storagemod.limits import Limits
from storagemod.types import FunctionType
from storagemod.wasm import OtherType
from storagemod.wasm.binary import read_declarations
from storagemod.wasm.instructions import Instruction, walk
from tests.fuzz.seeds import FUNCREF_WRITTEN_LONG
from tests.wasm.modules import bodies


def test_a_reference_type_that_is_written_long_is_read_as_one_type() -> None:
    """It was taken for two, and so every type after it for another one."""
    contract = Contract.load(FUNCREF_WRITTEN_LONG)
    assert contract.entry_points == {"main": FunctionType()}
    assert contract.module.exports == {"main": FunctionType(), "f": OtherType("(func (param ref i32) (result i64))")}
    world = World()
    assert world.transact(world.deploy(FUNCREF_WRITTEN_LONG)).ok


def test_the_type_of_a_table_or_a_global_may_be_written_long() -> None:
    wasm = bytes.fromhex("0061736d01000000 0213 02 016d0174 01 6370 010203 016d0167 03 6370 00")
    imports = read_declarations(wasm).imports
    assert [(item.name, str(item.type)) for item in imports] == [("t", "(table)"), ("g", "(global)")]


@pytest.mark.parametrize(
    "name", [r" at <anon>:99:1\n x", r"\n --> <anon>:99:1\n x", r"\n --> <anon>:99:1", r" at <anon>:9:9"]
)
@pytest.mark.parametrize("padding", ["", " " * 2_000])
def test_a_name_that_looks_like_a_place_in_the_text_is_not_taken_for_one(name: str, padding: str) -> None:
    """It led out of the text, to an `IndexError`."""
    text = f'(module\n  (func{padding} (call $"{name}")))'
    with pytest.raises(ValidationError, match=rf"^contract:2:{8 + len(padding) + 7}: unknown func"):
        Contract.load(text)


def loops_over_locals(loops: int, locals_count: int) -> str:
    reads = " ".join(f"(drop (local.get {number}))" for number in range(locals_count))
    return f'(module (func (export "main") (local{" i32" * locals_count}) {"(loop " * loops}{reads}{")" * loops}))'


def test_loops_over_many_locals_are_refused_before_they_are_compiled() -> None:
    """Of 26 KB like this nothing was heard for 48 seconds: no deadline holds while code is compiled."""
    text = loops_over_locals(3_000, 4_000)
    with pytest.raises(ValidationError, match=r"and 3,000,000 are allowed \(compile_cost_max\)"):
        Contract.load(text)
    receipt = World().create(text)
    assert "compile_cost_max" in str(receipt.error)
    assert Contract.load(loops_over_locals(20, 500))


def test_loops_are_counted_whatever_the_numbers_between_instructions_look_like() -> None:
    """There are two, and some 200 bytes that are the same as theirs."""
    text = f"""(module (memory $a 4) (memory $b 4) (table $t 10 funcref) (table $u 10 funcref)
      (global $g (mut i32) (i32.const 3)) (elem $e funcref (ref.null func)) (elem declare func $f) (data $d "three")
      (func $f (param i32 i32) (result i32) {"(local i64)" * 600}
        (drop (i64.const 0x0303030303030303)) (drop (f32.const 0x1.060606p0)) (drop (f64.const 0x1.3030303030303p0))
        (drop (v128.const i8x16 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3))
        (drop (i8x16.shuffle 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 (v128.const i64x2 3 3) (v128.const i64x2 3 3)))
        (drop (i8x16.extract_lane_s 3 (v128.load $b offset=3 (i32.const 3))))
        (v128.store64_lane $b offset=3 align=8 1 (i32.const 3) (v128.const i64x2 3 3))
        (drop (v128.load32_zero $b offset=3 (i32.const 3)))
        (i64.store $b offset=0x0303 align=8 (i32.const 3) (i64.load $a offset=3 align=8 (i32.const 3)))
        (memory.copy $a $b (i32.const 3) (i32.const 3) (i32.const 3)) (memory.init $b $d (i32.const 3) (i32.const 3)
        (i32.const 0)) (data.drop $d) (memory.fill $b (i32.const 3) (i32.const 3) (i32.const 3)) (elem.drop $e)
        (table.copy $t $u (i32.const 3) (i32.const 3) (i32.const 3)) (drop (table.size $u))
        (table.set $u (i32.const 3) (ref.func $f)) (drop (ref.is_null (ref.null func))) (global.set $g (i32.const 3))
        (drop (select (result i32) (i32.const 3) (i32.const 3) (i32.const 3))) (drop (memory.grow $b (i32.const 3)))
        (drop (i32.trunc_sat_f32_s (f32.const 3)))
        (block (block (block (block (br_table 3 3 {"3 " * 99} 3 (i32.const 3))))))
        (loop (br_if 0 (i32.eqz (i32.const 3))))
        (if (result i32) (i32.const 3) (then (call_indirect $t (param i32 i32) (result i32) (i32.const 3) (i32.const 3)
        (i32.const 3))) (else (loop (result i32) (i32.const 3))))))"""
    wasm = Contract.load(text).code
    (*_, body) = bodies(wasm)
    assert sum(stop.instruction is Instruction.LOOP for stop in walk(body, 0, len(body))) == 2


CALLS_WITHOUT_END = """(module
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callDelegate" (func $delegate (param i64 i32 i32 i32) (result i32)))
  (import "ethereum" "getAddress" (func $address (param i32)))
  (import "ethereum" "getCallDataSize" (func $size (result i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (memory (export "memory") 2)
  (func (export "send") (result i32)  ;; how many calls with 50,000 bytes of data ended well
    (local i32) (loop (br_if 0 (i32.and
      (i32.eqz (call $call (i64.const 0) (i32.const 0) (i32.const 32) (i32.const 64) (i32.const 50000)))
      (i32.lt_u (i32.const 0) (local.tee 0 (i32.add (local.get 0) (i32.const 1)))))))
    (i32.sub (local.get 0) (i32.const 1)))
  (func (export "main")  ;; gives 50,000 bytes, in one way or the other
    (if (i32.eqz (call $size)) (then (call $finish (i32.const 0) (i32.const 50000))))
    (call $revert (i32.const 0) (i32.const 50000)))
  (func (export "take") (param $length i32) (result i32)  ;; how many calls gave so many
    (local i32 i32) (call $address (i32.const 0))
    (loop (local.set 2 (call $delegate (i64.const 100000) (i32.const 0) (i32.const 64) (local.get $length)))
      (if (i32.ne (local.get 2) (i32.const 1))
        (then (local.set 1 (i32.add (local.get 1) (i32.const 1))) (br 1))))
    (local.get 1)))"""


@pytest.mark.parametrize(("method", "args", "calls"), [("send", (), 20), ("take", (0,), 20), ("take", (1,), 19)])
def test_what_calls_hand_to_one_another_is_bounded_whichever_way_it_goes(
    method: str, args: tuple[int, ...], calls: int
) -> None:
    """Traces keep it, at 1 MiB and 700 gas a call: 8 GiB with the gas that a transaction has by default."""
    world = World(limits=Limits(payload_bytes_max=1_000_000))
    contract = world.deploy(CALLS_WITHOUT_END)
    receipt = world.transact(contract, method, *args).raise_for_error()
    assert receipt.value == calls
    assert receipt.trace is not None
    assert any("payload_bytes_max" in str(call.ended.error) for call in receipt.trace.calls if call.ended)


@pytest.mark.parametrize("ending", ["finish", "revert"])
def test_what_is_too_long_is_not_kept_with_the_error_that_says_so(ending: str) -> None:
    """100 calls that gave 60 MB each, for 1,700 gas each, took 5.7 GB; and so did 400 calls that handed on as much."""
    world = World(limits=Limits(data_bytes_max=100))
    callee = world.deploy(f"""(module (import "ethereum" "{ending}" (func $end (param i32 i32)))
      (memory (export "memory") 1) (func (export "main") (call $end (i32.const 0) (i32.const 60000))))""")
    caller = world.deploy(f"""(module (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 0) "{"".join(f"{chr(92)}{byte:02x}" for byte in callee)}")
      (func (export "main")
        (drop (call $call (i64.const 10000) (i32.const 0) (i32.const 32) (i32.const 64) (i32.const 0)))
        (drop (call $call (i64.const 10000) (i32.const 0) (i32.const 32) (i32.const 64) (i32.const 60000)))))""")
    trace = world.transact(caller).raise_for_error().trace
    assert trace is not None
    gave, took = trace.calls[1:]
    for call in (gave, took):
        assert call.ended is not None
        error = call.ended.error
        assert "60,000 bytes of" in str(error)
        assert error is not None
        assert (error.__traceback__, error.__context__) == (None, None)
    assert (took.started.data, took.ended.output) == (b"", b"")
