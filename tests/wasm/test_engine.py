"""Which features of WebAssembly are on is chosen, one by one, and code shows it."""

from __future__ import annotations

import pytest
import wasmtime

from storagemod import ValidationError, World
from storagemod.types import Outcome
from storagemod.vm import Contract
from storagemod.wasm._bindings import switches
from storagemod.wasm.engine import FEATURES, shared_engine

USES = {
    "wasm_bulk_memory": "(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))",
    "wasm_memory64": "(memory i64 1)",
    "wasm_multi_memory": "(memory 1) (memory 1)",
    "wasm_multi_value": "(func (result i32 i32) i32.const 1 i32.const 2)",
    "wasm_reference_types": "(table 1 funcref) (func (result funcref) (table.get 0 (i32.const 0)))",
    "wasm_simd": "(func (drop (v128.const i32x4 0 0 0 0)))",
    "wasm_relaxed_simd": "(func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))",
    "wasm_tail_call": "(func $f (return_call $f))",
    "wasm_wide_arithmetic": "(func (param i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 0)))",
    "wasm_threads": "(memory 1 1 shared)",
    "wasm_exceptions": "(tag)",
    "wasm_function_references": "(type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0)))",
    "wasm_gc": "(type (struct (field i32)))",
    "wasm_stack_switching": "(type $f (func)) (type (cont $f))",
    "wasm_custom_page_sizes": '(import "storage" "m" (memory 1 (pagesize 1)))',
}
NOT_IN_MODULES = {name for name in FEATURES if name.startswith("wasm_component_model")}
WITHOUT_A_TEXT = {"wasm_relaxed_simd_deterministic", "wasm_branch_hinting", "wasm_compact_imports"}

COMPACT_IMPORTS = b"\0asm\1\0\0\0\1\4\1\x60\0\0\2\x0e\1\1m\0\x7f\2\1f\0\0\1g\0\0"
SAME_TYPE_IMPORTS = b"\0asm\1\0\0\0\1\4\1\x60\0\0\2\x0c\1\1m\0\x7e\0\0\2\1f\1g"


def test_each_switch_of_this_wasmtime_is_decided_on() -> None:
    assert set(FEATURES) == switches()
    assert {name for name in dir(wasmtime.Config) if name.startswith("wasm_")} <= set(FEATURES)
    assert USES.keys() | NOT_IN_MODULES | WITHOUT_A_TEXT == FEATURES.keys()


@pytest.mark.parametrize("name", USES)
def test_code_that_uses_a_feature_is_valid_if_it_is_on(name: str) -> None:
    wasm = bytes(wasmtime.wat2wasm(f"(module {USES[name]})"))

    if FEATURES[name]:
        wasmtime.Module.validate(shared_engine(), wasm)
        Contract.load(wasm)
    else:
        with pytest.raises(ValidationError, match="not a valid module"):
            Contract.load(wasm)


def test_components_are_no_contracts() -> None:
    with pytest.raises(ValidationError):
        Contract.load(bytes(wasmtime.wat2wasm("(component)")))


@pytest.mark.parametrize("wasm", [COMPACT_IMPORTS, SAME_TYPE_IMPORTS], ids=["each with its type", "of one type"])
def test_compact_imports_are_refused_though_wasmtime_takes_them_where_they_are_off(wasm: bytes) -> None:
    wasmtime.Module.validate(shared_engine(), wasm)

    with pytest.raises(ValidationError, match="got compact imports from 'm'"):
        Contract.load(wasm)
    with World() as world:
        assert not world.create(wasm).ok


def test_wide_arithmetic_is_exact_in_a_contract(world: World) -> None:
    address = world.deploy(
        """(module (func (export "square") (param i64) (result i64 i64)
             (i64.mul_wide_u (local.get 0) (local.get 0)))
           (func (export "add") (param i64 i64 i64 i64) (result i64 i64)
             (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3))))"""
    )

    square, added = world.call(address, "square", -1), world.call(address, "add", -1, 0, 1, 0)

    assert (square.outcome, square.value) == (Outcome.OK, (1, -2))  # (2**64 - 1)**2 == 2**128 - 2**65 + 1
    assert (added.outcome, added.value) == (Outcome.OK, (0, 1))
