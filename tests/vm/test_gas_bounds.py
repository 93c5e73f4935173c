"""A call ends well exactly if it costs at most what it was given, whatever it does, and whatever failed inside it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storagemod import GasSchedule, Outcome, World
from storagemod.errors import OutOfGasError
from storagemod.pages import choose_backend
from storagemod.pages.backend import why_not_shared
from tests.vm.gas_trees import GAS, TOUCHES, Node, costs, deploy, nodes, predict, seen


@pytest.mark.storagemod(strict=False)
@pytest.mark.parametrize("option", TOUCHES)
@given(nodes(), st.data())
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_calls_end_as_sums_of_their_costs_say(option: str, node: Node, data: st.DataObject) -> None:
    mapping = option if option in ("copied", "paged", "aliased") else None
    if option == "aliased" and why_not_shared(choose_backend()) is not None:
        pytest.skip("this machine cannot show a page in several memories")
    known = costs(option, mapping)
    world = World()
    address = deploy(world, node, option, mapping)
    true_cost = predict(known, node, GAS)[0].used
    near = st.sampled_from([true_cost + off for off in (-2, -1, 0, 1, 2) if true_cost + off >= 0])
    limits = [GAS, true_cost, *data.draw(st.lists(near | st.integers(0, true_cost * 2), min_size=3, max_size=6))]
    for gas in limits:
        receipt = world.transact(address, gas=gas)
        assert receipt.trace is not None
        assert seen(receipt.trace) == predict(known, node, gas), gas
        assert bool(receipt.changes) <= (receipt.outcome is Outcome.OK)


@pytest.mark.parametrize("given_gas", [0, 2, 11_999, 12_000, 12_001, 20_000])
def test_straight_code_does_not_run_on_gas_that_it_was_not_given(given_gas: int) -> None:
    """wasmtime looks at fuel where a function begins: 2,000 increments follow, and none of them looks again."""
    increment = "(i64.store $s (i32.const 0) (i64.add (i64.load $s (i32.const 0)) (i64.const 1)))"
    world = World()
    worker = world.deploy(f"""(module (import "storage" "memory" (memory $s 1)) (memory (export "memory") 1)
      (func (export "main") {increment * 2_000}))""")
    data = "".join(f"\\{byte:02x}" for byte in worker)
    boss = world.deploy(f"""(module (import "ethereum" "call" (func $c (param i64 i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 0) "{data}")
      (func (export "go") (result i32)
        (call $c (i64.const {given_gas}) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0))))""")
    receipt = world.transact(boss, "go").raise_for_error()
    assert receipt.trace is not None
    ended = receipt.trace.calls[1].ended
    assert ended is not None
    enough = given_gas >= 12_001
    assert receipt.value == (0 if enough else 1)
    assert ended.gas_used == min(given_gas, 12_001)
    assert isinstance(ended.error, OutOfGasError) == (not enough)
    assert world.storage(worker)["memory"].read_int(0) == (2_000 if enough else 0)


@pytest.mark.storagemod(strict=False)
@pytest.mark.parametrize("ending", ["finish", "revert", "selfDestruct", ""])
def test_whatever_ends_a_call_is_paid_for(ending: str) -> None:
    imports = {
        "finish": '(import "ethereum" "finish" (func $end (param i32 i32)))',
        "revert": '(import "ethereum" "revert" (func $end (param i32 i32)))',
        "selfDestruct": '(import "ethereum" "selfDestruct" (func $end (param i32)))',
        "": "",
    }[ending]
    end = {"selfDestruct": "(call $end (i32.const 0))", "": ""}.get(ending, "(call $end (i32.const 0) (i32.const 0))")
    code = (
        f'(module {imports} (memory (export "memory") 1) (func (export "main") {"(drop (i32.const 0))" * 500} {end}))'
    )
    world = World(schedule=GasSchedule(self_destruct=0, new_account=0))
    address = world.deploy(code)
    cost = world.call(address).gas_used
    for gas in (0, 1, 2, cost - 2, cost - 1, cost, cost + 1):
        receipt = world.call(address, gas=gas)
        wanted = Outcome.FAILED if gas < cost else Outcome.REVERTED if ending == "revert" else Outcome.OK
        assert (receipt.outcome, receipt.gas_used) == (wanted, min(gas, cost))
        assert isinstance(receipt.error, OutOfGasError) == (gas < cost)


def test_an_instance_is_paid_for_by_its_segments() -> None:
    world = World()
    prices = {}
    for segments, elements in ((0, 0), (1, 0), (2, 0), (1, 8)):
        data = "".join(f'(data (i32.const {each * 4_096}) "{"x" * 33}")' for each in range(segments))
        table = f"(table 9 funcref) (elem (i32.const 0) {'$f ' * elements})" if elements else ""
        address = world.deploy(f'(module (memory 1) {table} {data} (func $f (export "main")))')
        prices[segments, elements] = world.transact(address).raise_for_error().gas_used
        assert isinstance(world.transact(address, gas=prices[segments, elements] - 1).error, OutOfGasError)
    null = prices.pop((0, 0))
    assert {each: price - null for each, price in prices.items()} == {
        (1, 0): 100 + 3 * 2,
        (2, 0): 200 + 3 * 3,
        (1, 8): 200 + 3 * 4,
    }
    unmetered = World(schedule=GasSchedule(metered=False))
    assert (
        unmetered.transact(
            unmetered.deploy('(module (memory 1) (data (i32.const 0) "x") (func (export "main")))')
        ).gas_used
        == 0
    )
