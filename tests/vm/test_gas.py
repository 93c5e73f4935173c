"""Gas and long data, in a world: what contracts pay the host for, and what becomes of those that cannot."""

from __future__ import annotations

import itertools

import pytest

from storagemod import GasSchedule, Outcome
from storagemod.errors import OutOfGasError
from tests.vm.interface import METHODS, import_of
from tests.vm.method_calls import (
    ADDRESS_AT,
    DATA_AT,
    NOBODY,
    RESULT_AT,
    SENDER,
    A,
    calling,
    escaped,
    fresh,
    run,
    run_ok,
)

PRICES: dict[str, tuple[tuple[int, ...], int]] = {
    "getGasLeft": ((), 2),
    "getAddress": ((RESULT_AT,), 2),
    "getCodeSize": ((), 2),
    "getBlockHash": ((0, RESULT_AT), 800),
    "getExternalBalance": ((ADDRESS_AT, RESULT_AT), 400),
    "externalCodeCopy": ((ADDRESS_AT, RESULT_AT, 0, 33), 706),
    "callDataCopy": ((RESULT_AT, 0, 33), 9),
    "storageStore": ((ADDRESS_AT, DATA_AT), 20_000),
    "storageLoad": ((ADDRESS_AT, RESULT_AT), 200),
    "log": ((0, 10, 4, 0, 0, 0, 0), 375 + 4 * 375 + 80),
    "create": ((64, 0, 0, RESULT_AT), 32_000),
    "callStatic": ((0, NOBODY[-1], 0, 0), 700),
    "selfDestruct": ((ADDRESS_AT,), 5_000),
    "finish": ((0, 0), 0),
}


@pytest.mark.parametrize("name", PRICES)
def test_a_method_costs_what_its_schedule_says_and_fails_for_want_of_one_unit(name: str) -> None:
    args, price = PRICES[name]
    code, data, schedule = calling(name, *args), bytes(64), GasSchedule(metered=False)
    assert run_ok(fresh(schedule), code, data=data, gas=price).receipt.gas_used == price
    if not price:
        return
    short = fresh(schedule)
    receipt = run(short, code, data=data, gas=price - 1).receipt
    assert isinstance(receipt.error, OutOfGasError)
    assert (receipt.outcome, receipt.gas_used, receipt.logs, receipt.output) == (Outcome.FAILED, price - 1, (), b"")
    assert dict(receipt.changes) == {}
    assert short.account(A).balance == 1_000


@pytest.mark.parametrize("name", PRICES)
def test_instructions_cost_what_they_cost_without_prices(name: str) -> None:
    args, price = PRICES[name]
    code, data = calling(name, *args), bytes(64)
    free = run_ok(fresh(GasSchedule.free()), code, data=data).receipt.gas_used
    assert 0 < free < 100
    assert run_ok(fresh(GasSchedule(segment=0, segment_word=0)), code, data=data).receipt.gas_used == free + price


@pytest.mark.parametrize("ending", ["", "revert", "call"])
def test_small_prices_are_paid_whatever_comes_after_them(ending: str) -> None:
    """They are gathered before they are taken from wasmtime's fuel: none may be forgotten on the way."""
    last = {
        "": "",
        "revert": "(call $revert (i32.const 0) (i32.const 0))",
        "call": "(drop (call $callStatic (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))",
    }[ending]
    imports = " ".join(import_of(name, METHODS[name].type) for name in ("getCallDataSize", "revert", "callStatic"))
    used, short = [], []
    for count in (0, 1, 3, 60):
        asks = "(drop (call $getCallDataSize))" * count
        code = f'(module {imports} (memory (export "memory") 1) (func (export "main") {asks} {last}))'
        schedule = GasSchedule(metered=False, call=0)
        world = fresh(schedule)
        receipt = run(world, code).receipt
        assert receipt.outcome is (Outcome.REVERTED if ending == "revert" else Outcome.OK)
        used.append(receipt.gas_used)
        if count:
            short.append(run(fresh(schedule), code, gas=2 * count - 1).receipt)
    assert used == [0, 2, 6, 120]
    assert all(isinstance(receipt.error, OutOfGasError) for receipt in short)
    assert {receipt.outcome for receipt in short} == {Outcome.FAILED}


def test_what_is_left_is_exact_at_every_question() -> None:
    asks = "".join(f"(i64.store (i32.const {8 * each}) (call $getGasLeft))" for each in range(100))
    code = calling("getGasLeft", before=asks)
    ran = run_ok(fresh(GasSchedule(metered=False)), code, gas=10_000)
    left = [int.from_bytes(ran.at(8 * each, 8), "little") for each in range(100)]
    assert left == [10_000 - 2 * (each + 1) for each in range(100)]


@pytest.mark.parametrize("price", [700, 0])
def test_a_callee_is_given_what_is_left_when_the_price_of_calling_it_is_paid(price: int) -> None:
    left = calling("getGasLeft")
    world = fresh(GasSchedule(metered=False, call=price))
    world.deploy(left, address=NOBODY)
    asks = "(drop (call $getCallDataSize))" * 3
    size = import_of("getCallDataSize", METHODS["getCallDataSize"].type)
    code = calling("callStatic", 2**62, ADDRESS_AT, 0, 0, to=NOBODY, before=asks, imports=size)
    world.deploy(code, address=A)
    receipt = world.transact(A, gas=64_006 + price)
    assert receipt.trace is not None
    callee = receipt.trace.calls[1]
    assert callee.started.gas == 64_000 - 64_000 // 64


def test_small_prices_are_paid_before_a_linked_contract_is_given_what_is_left() -> None:
    world = fresh(GasSchedule(metered=False))
    world.deploy('(module (func (export "work")))', address=NOBODY)
    size = import_of("getCallDataSize", METHODS["getCallDataSize"].type)
    code = f"""(module {size} (import "contract:other" "work" (func $work))
      (func (export "main") {"(drop (call $getCallDataSize))" * 3} (call $work)))"""
    world.deploy(code, address=A, links={"other": NOBODY})
    receipt = world.transact(A, gas=64_006).raise_for_error()
    assert receipt.trace is not None
    assert receipt.trace.calls[1].started.gas == 64_000 - 64_000 // 64
    failed = world.transact(A, gas=5)
    assert isinstance(failed.error, OutOfGasError)
    assert failed.trace is not None
    assert len(failed.trace.calls) == 1  # the other contract is not even called


def test_running_out_of_gas_in_the_middle_leaves_nothing_behind() -> None:
    imports = " ".join(import_of(name, METHODS[name].type) for name in ("storageStore", "log"))
    store = "(call $storageStore (i32.const 0) (i32.const 32))"
    log = "(call $log (i32.const 0) (i32.const 0) (i32.const 0)" + "(i32.const 0)" * 4 + ")"
    code = f"""(module {imports} (memory (export "memory") 1) (data (i32.const 32) "value")
      (func (export "main") {log} {store} {store} {log}))"""
    used = run_ok(fresh(), code).receipt.gas_used
    for gas in (used - 1, used - 376, used - 5_376, used - 25_376, 1):
        world = fresh()
        receipt = run(world, code, gas=gas).receipt
        assert isinstance(receipt.error, OutOfGasError)
        assert (receipt.gas_used, receipt.logs, dict(receipt.changes)) == (gas, (), {})
        assert dict(world.slots(A)) == {}


def test_storing_is_dearer_where_nothing_was() -> None:
    prices = []
    stores = {"new": (DATA_AT,), "again": (DATA_AT, DATA_AT), "zeros": (0,), "cleared": (DATA_AT, 0)}
    for values in stores.values():
        before = "".join(f"(call $storageStore (i32.const {ADDRESS_AT}) (i32.const {each}))" for each in values[:-1])
        code = calling("storageStore", ADDRESS_AT, values[-1], before=before)
        prices.append(run_ok(fresh(GasSchedule(metered=False)), code).receipt.gas_used)
    assert prices == [20_000, 25_000, 5_000, 25_000]


@pytest.mark.parametrize("mapping", ["copied", "paged"])
def test_mapping_storage_costs_the_same_however_it_is_done(mapping: str) -> None:
    world = fresh(GasSchedule(metered=False))
    code = """(module (import "ethereum" "storageMap" (func $map (param i32 i32 i32))) (memory (export "memory") 1)
      (func (export "main") (call $map (i32.const 0) (i32.const 0) (i32.const 8192))))"""
    world.deploy(code, address=A, mapping=mapping)
    assert world.transact(A).raise_for_error().gas_used == 200 + 3 * 256


@pytest.mark.parametrize("name", ["copy_in", "copy_out"])
def test_bytes_that_the_host_copies_for_the_option_methods_cost_what_call_data_does(name: str) -> None:
    world = fresh(GasSchedule(metered=False))
    code = f"""(module (import "storage" "{name}" (func $copy (param i32 i32 i32))) (memory (export "memory") 1)
      (func (export "main") (call $copy (i32.const 0) (i32.const 0) (i32.const 65))))"""
    world.deploy(code, address=A)
    assert world.transact(A).raise_for_error().gas_used == 3 + 3 * 3


def test_a_mebibyte_of_call_data_is_copied_by_one_call_of_the_host() -> None:
    data = bytes(range(256)) * 4_096
    code = """(module (import "ethereum" "callDataCopy" (func $copy (param i32 i32 i32)))
      (import "ethereum" "finish" (func $finish (param i32 i32))) (memory (export "memory") 17)
      (func (export "main") (call $copy (i32.const 1) (i32.const 0) (i32.const 1048576))
        (call $finish (i32.const 1) (i32.const 1048576))))"""
    ran = run_ok(fresh(), code, data=data)
    assert ran.receipt.output == data
    assert ran.receipt.costs.host_calls == 2


@pytest.mark.parametrize("excess", [0, 1])
def test_call_data_that_is_too_long_fails_the_call_and_not_its_caller(excess: int) -> None:
    world = fresh()
    limit = world.limits.data_bytes_max
    call = import_of("callStatic", METHODS["callStatic"].type)
    finish = import_of("finish", METHODS["finish"].type)
    code = f"""(module {call} {finish} (memory (export "memory") 17) (data (i32.const 64) "{escaped(SENDER)}")
      (func (export "main")
        (i32.store (i32.const 0)
          (call $callStatic (i64.const 0) (i32.const 64) (i32.const 0) (i32.const {limit + excess})))
        (call $finish (i32.const 0) (i32.const 4))))"""
    ran = run_ok(world, code)
    assert int.from_bytes(ran.receipt.output, "little") == excess
    if excess:
        assert ran.receipt.trace is not None
        assert "(data_bytes_max)" in str(ran.receipt.trace.calls[1].ended.error)


def test_prices_are_part_of_a_world_and_not_of_its_contracts() -> None:
    code = calling("getBlockNumber")
    worlds = (fresh(GasSchedule(base=base)) for base in (0, 5, 1_000))
    gas = [run_ok(world, code).receipt.gas_used for world in worlds]
    assert [after - before for before, after in itertools.pairwise(gas)] == [5, 995]
