"""Suggested invariants: what they find, that they hold, and that they are of use."""

from __future__ import annotations

import tomllib
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod import World
from storagemod.explore import explore
from storagemod.scenario import Scenario, deploy_scenario, load_scenario, parse_invariant, parse_scenario, run_scenario
from storagemod.scenario.fixtures import scenario_path
from storagemod.scenario.suggest import SUGGESTIONS_MAX, profit_invariant, suggest_invariants

KEEPER = """
(module
  (import "storage" "memory" (memory $storage 1))
  (func (export "set") (param i32 i64) (i64.store $storage (local.get 0) (local.get 1)))
  (func (export "noop")))
"""


def keeper(writes: list[list[tuple[int, int]]], more: str = "") -> Scenario:
    """A scenario whose transactions write numbers at offsets; one transaction for each."""
    text = "[accounts]\nalice = { address = '0x01' }\nbob = { address = '0x02' }\n"
    text += f"[contracts.keeper]\nwat = '''{KEEPER}'''\naddress = '0x20'\n{more}\n"
    for state in writes:
        for offset, number in state:
            text += f"[[transactions]]\nto = 'keeper'\nmethod = 'set'\nargs = [{offset}, {number}]\n"
    return parse_scenario(text, path="it.toml", folder=Path())


def shipped(name: str) -> Scenario:
    return load_scenario(scenario_path(name), label=name)


def exprs(scenario: Scenario) -> list[str]:
    return [each.spec.expr for each in suggest_invariants(scenario)]


@pytest.mark.parametrize(
    ("name", "expr"),
    [
        ("reentry/withdraw", "sum(bank.memory[64:]) == bank.memory[0]"),
        ("reentry/cross_function", "sum(ledger.memory[64:]) == ledger.memory[0]"),
        ("reentry/cross_contract", "sum(desk.memory[64:]) == till.memory[0]"),
        ("reentry/guard", "balance(box) >= sum(box.memory[64:2112])"),
        ("bank/safe", "sum(bank.memory[64:]) == bank.memory[0]"),
    ],
)
def test_what_the_authors_of_fixtures_wrote_comes_first(name: str, expr: str) -> None:
    assert exprs(shipped(name))[0] == expr


@pytest.mark.parametrize("link", ["keyed", "copied", "aliased", "window"])
def test_suggestions_are_the_same_under_every_option(link: str) -> None:
    assert suggest_invariants(shipped("reentry/withdraw"), link=link) == suggest_invariants(shipped("reentry/withdraw"))


@pytest.mark.parametrize("fault", ["withdraw", "cross_function", "cross_contract", "hooks", "guard", "stale_guard"])
def test_explore_breaks_a_suggestion_of_what_is_faulty(fault: str) -> None:
    faulty = shipped(f"reentry/{fault}")
    first = suggest_invariants(faulty)[0].spec
    assert not explore(attrs.evolve(faulty, invariants=(first,)), calls=2, tries=2_000).ok


def test_a_share_that_never_loses_worth_is_found() -> None:
    found = exprs(keeper([[(16, 100)], [(24, 50)], [(16, 200)], [(24, 100)], [(16, 90)]]))
    assert "keeper.memory[16] * before(keeper.memory[24])" not in " ".join(found)
    wat = KEEPER.replace(
        '(func (export "noop"))',
        """(func (export "both") (param i64 i64)
             (i64.store $storage (i32.const 16) (local.get 0)) (i64.store $storage (i32.const 24) (local.get 1)))""",
    )
    text = (
        f"[contracts.pool]\nwat = '''{wat}'''\naddress = '0x20'\nstorage = [{{ offset_bytes = 16, i64 = [100, 50] }}]\n"
    )
    for both in ([200, 100], [120, 55], [121, 55]):
        text += f"[[transactions]]\nto = 'pool'\nmethod = 'both'\nargs = {both}\n"
    (worth,) = [each for each in exprs(parse_scenario(text, path="it.toml", folder=Path())) if "*" in each]
    assert worth == "pool.memory[16] * before(pool.memory[24]) >= before(pool.memory[16]) * pool.memory[24]"


def test_what_was_never_touched_is_not_suggested() -> None:
    storage = "storage = [{ i64 = [7, 7, 7] }, { offset_bytes = 256, i64 = [7] }]"
    assert suggest_invariants(keeper([[(0, 7)]], storage)) == ()
    assert not any("[8]" in each for each in exprs(keeper([[(0, 8)], [(0, 9)]], storage)))


def test_a_number_that_only_grows_and_one_that_falls() -> None:
    growing = "keeper.memory[8] >= before(keeper.memory[8])"
    assert growing in exprs(keeper([[(8, 1)], [(8, 2)]]))
    assert growing not in exprs(keeper([[(8, 3)], [(8, 2)]]))


def test_names_that_python_does_not_read_are_quoted() -> None:
    scenario = keeper([[(8, 1)], [(8, 2)]])
    text = (
        f"[contracts.'my \"keeper\"']\nwat = '''{KEEPER}'''\n[[transactions]]\nto = 'my \"keeper\"'\nmethod = 'set'\n"
        "args = [8, 1]\n[[transactions]]\nto = 'my \"keeper\"'\nmethod = 'set'\nargs = [8, 2]\n"
    )
    named = parse_scenario(text, path="it.toml", folder=Path())
    assert exprs(named)[0] == 'account("my \\"keeper\\"").memory[8] >= 0'
    assert len(exprs(named)) == len(exprs(scenario))


cells = st.tuples(st.sampled_from([0, 8, 16, 256, 264, 272, 512, 2304, 2312]), st.integers(-3, 30))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(cells, min_size=1, max_size=2), min_size=1, max_size=4))
def test_whatever_happens_suggestions_are_few_and_hold_and_speak_of_what_changed(
    writes: list[list[tuple[int, int]]],
) -> None:
    scenario = keeper(writes)
    found = suggest_invariants(scenario)
    assert len(found) <= SUGGESTIONS_MAX
    assert len({each.spec.expr for each in found}) == len(found)
    assert all(each.changed for each in found)
    for each in found:
        parse_invariant(each.spec, scenario)
    checked = run_scenario(attrs.evolve(scenario, invariants=tuple(each.spec for each in found)))
    assert checked.ok
    with_toml = "".join(f"[[invariants]]\nexpr = '{each.spec.expr}'\n" for each in found)
    assert len(tomllib.loads(with_toml).get("invariants", [])) == len(found)


def test_nobody_who_is_untrusted_ends_with_more_than_all_of_them_had() -> None:
    world = World()
    mallory, trudy = world.fund(9, 700), world.fund(10, 300)
    spec = profit_invariant(world, {"mallory": mallory, "tru-dy": trudy})
    assert spec.expr == 'balance(mallory) + balance(account("tru-dy")) <= 1000'
    assert spec.name == "no profit for mallory, tru-dy"
    assert profit_invariant(world, {}).expr == "0 <= 0"


BANK = """
[accounts]
alice = {{ address = "0x01", balance = 100 }}
mallory = {{ address = "0x09", balance = 100 }}
[explore]
untrusted = ["mallory"]
[contracts.bank]
wat = '''(module
  (import "storage" "memory" (memory $storage 1))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallValue" (func $value (param i32)))
  (import "ethereum" "getCaller" (func $caller (param i32)))
  (memory $own (export "memory") 1)
  (func $slot (result i32)
    (call $caller (i32.const 0)) (i32.add (i32.const 256) (i32.mul (i32.const 8) (i32.load8_u $own (i32.const 19)))))
  (func (export "deposit")
    (call $value (i32.const 32))
    (i64.store $storage (call $slot) (i64.add (i64.load $storage (call $slot)) (i64.load $own (i32.const 32)))))
  (func (export "withdraw") (local $amount i64)
    (local.set $amount (i64.load $storage (call $slot)))
    {before}
    (i64.store $own (i32.const 32) (local.get $amount)) (i64.store $own (i32.const 40) (i64.const 0))
    (if (call $call (i64.const 1000000) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0)) (then (unreachable)))
    {after}))'''
[[transactions]]
to = "bank"
method = "deposit"
sender = "alice"
value = 60
[[transactions]]
to = "bank"
method = "deposit"
sender = "alice"
value = 10
"""
CLEAR = "(i64.store $storage (call $slot) (i64.const 0))"


def bank(**order: str) -> Scenario:
    return parse_scenario(BANK.format(**{"before": "", "after": "", **order}), path="it.toml", folder=Path())


def test_a_robbery_is_a_profit_and_taking_back_a_deposit_is_none() -> None:
    faulty, mended = bank(after=CLEAR), bank(before=CLEAR)
    world = World()
    deploy_scenario(faulty, world)
    spec = profit_invariant(world, {"mallory": faulty.addresses["mallory"]})
    (found,) = explore(attrs.evolve(faulty, invariants=(spec,)), tries=3_000).violations
    assert found.breach.why[0].startswith("balance(mallory) = 1")
    assert found.breach.why != ("balance(mallory) = 100",)
    assert explore(attrs.evolve(mended, invariants=(spec,)), tries=1_000).ok
