from __future__ import annotations

from pathlib import Path

import pytest

from storagemod import World
from storagemod.errors import ScenarioError
from storagemod.scenario import Scenario, load_scenario, parse_scenario, run_scenario
from storagemod.scenario.compare import Compared, Comparison, Variant, compare_scenario, variants
from storagemod.scenario.fixtures import scenario_names, scenario_path
from storagemod.trace import HazardKind
from storagemod.types import ExclusivePolicy, SyncPolicy

KEEPS_THE_RULES = ("single", "regions", "methods", "keyed", "copied, call", "paged", "aliased", "window")
BENDS_THEM = ("copied, end", "copied, none", "copied, revision")
EXCLUDES = ("paged, transaction", "aliased, transaction")
FAULTS = (HazardKind.STALE_READ, HazardKind.LOST_UPDATE, HazardKind.TORN_MAPPING)


def parsed(text: str) -> Scenario:
    return parse_scenario(text, path="test.toml", folder=Path())


def compared(name: str) -> Comparison:
    return compare_scenario(load_scenario(scenario_path(name), label=name), variants())


def leaves_open(name: str) -> bool:
    """Whether a scenario says of no contract how its storage is mapped."""
    contracts = load_scenario(scenario_path(name), label=name).contracts
    return all(spec.mapping is None for spec in contracts.values())


@pytest.mark.parametrize("name", [*filter(leaves_open, scenario_names())])
def test_options_that_keep_the_rules_do_as_expected_alike_and_without_hazards(name: str) -> None:
    results = {str(each.variant): each for each in compared(name).compared}
    assert set(results) == {*KEEPS_THE_RULES, *BENDS_THEM, *EXCLUDES}
    for variant in KEEPS_THE_RULES:
        assert results[variant].result.ok
        assert results[variant].differences == ()
        assert not any(results[variant].hazards.get(kind) for kind in FAULTS)


@pytest.mark.parametrize("name", [*filter(leaves_open, scenario_names())])
def test_what_differs_where_the_rules_bend_has_a_hazard_to_explain_it(name: str) -> None:
    for each in compared(name).compared:
        faults = any(each.hazards.get(kind) for kind in FAULTS)
        if each.differences:
            assert faults if str(each.variant) in BENDS_THEM else refusals(each)
        assert not faults or str(each.variant) in BENDS_THEM
        assert str(each.variant) != "copied, revision" or not each.hazards.get(HazardKind.LOST_UPDATE)


def refusals(compared: Compared) -> int:
    """How many calls failed because a call above them held a frame."""
    receipts = [each.receipt for each in compared.result.transactions if each.receipt is not None]
    calls = [call for receipt in receipts if receipt.trace is not None for call in receipt.trace.calls]
    return sum(call.ended is not None and getattr(call.ended.error, "code", "") == "frame_held" for call in calls)


def test_a_bank_that_is_robbed_is_not_where_a_policy_lets_nobody_take_twice() -> None:
    results = {str(each.variant): each for each in compared("bank/robbed").compared}
    for variant in ("copied, revision", *EXCLUDES):
        assert "mallory memory[0x0] is 0 at the end; under single it is 300" in results[variant].differences
    assert [refusals(results[variant]) for variant in EXCLUDES] == [1, 1]


def test_what_differs_is_said_in_words() -> None:
    results = {str(each.variant): each for each in compared("exchange/change").compared}
    words = results["copied, end"].differences
    assert words[0] == (
        '"ten tokens buy three credits, and one comes back" ended reverted (RevertError); under single it gave 41'
    )
    assert "token memory[0x40] is 0 at the end; under single it is 9" in words


def test_a_bank_that_writes_after_its_call_is_warned_of_wherever_a_call_came_back_and_ended_well() -> None:
    for each in compared("bank/robbed").compared:
        came_back = str(each.variant) not in {"copied, revision", *EXCLUDES}
        assert bool(each.hazards.get(HazardKind.WRITE_AFTER_CALL)) is came_back
    for each in compared("bank/safe").compared:
        if str(each.variant) in KEEPS_THE_RULES:
            assert not each.hazards.get(HazardKind.WRITE_AFTER_CALL)


def test_costs_are_those_of_the_option() -> None:
    results = {str(each.variant): each for each in compared("counter/counter").compared}
    single, keyed, copied, paged = (results[name] for name in ("single", "keyed", "copied, call", "paged"))
    assert (single.costs.host_calls, single.costs.bytes_copied) == (0, 0)
    assert keyed.costs.host_calls > 0
    assert 65_536 < copied.costs.bytes_copied < 65_536 + 8  # all of it in, one byte back
    assert paged.costs.bytes_copied >= 65_536 + 4_096
    assert {each.costs.pages_written for each in results.values()} == {1}
    assert {each.costs.instances for each in results.values()} == {2}


def test_a_contract_that_says_how_it_is_linked_runs_under_that_only() -> None:
    scenario = parsed(
        """
        [contracts.c]
        wat = '''(module (import "storage" "memory" (memory 1)) (func (export "f")))'''
        [[transactions]]
        to = "c"
        method = "f"
        """
    )
    comparison = compare_scenario(scenario, variants())
    assert [str(each.variant) for each in comparison.compared] == ["single"]
    assert set(comparison.refused) == set(variants()) - {Variant("single")}
    assert "imports its storage in its own way: single" in comparison.refused[Variant("paged")]
    with pytest.raises(ScenarioError, match="imports its storage in its own way"):
        compare_scenario(scenario, [Variant("paged")])


def test_what_is_wrong_under_every_option_is_an_error() -> None:
    scenario = parsed(
        """
        [contracts.c]
        wat = '''(module)'''
        init = "nothing"
        [[transactions]]
        to = "c"
        method = "f"
        """
    )
    with pytest.raises(ScenarioError, match="no method 'nothing'"):
        compare_scenario(scenario, variants())


def test_variants_are_those_that_are_named() -> None:
    assert [str(each) for each in variants(["single", "copied"], [SyncPolicy.END])] == ["single", "copied, end"]
    assert [str(each) for each in variants(["paged", "keyed"], (), [*ExclusivePolicy])] == [
        *(f"paged, {policy}" for policy in ExclusivePolicy),
        "keyed",
    ]
    assert len(variants()) == 13


FUNCTIONS = """(module (import "storage" "load_i64" (func $load (param i32) (result i64)))
  (import "storage" "store_i64" (func $store (param i32 i64))) {more}
  (func (export "count") (result i64)
    (call $store (i32.const 8) (i64.add (call $load (i32.const 8)) (i64.const 1))) (call $load (i32.const 8))))"""
"""A counter as compilers make it: they know no second memory."""

COUNTED = """
[contracts.c]
wat = '''{code}'''
[[transactions]]
to = "c"
method = "count"
expect = {{ value = 1 }}
"""


def test_a_contract_that_calls_functions_runs_as_single_and_regions_as_well() -> None:
    comparison = compare_scenario(parsed(COUNTED.format(code=FUNCTIONS.format(more=""))), variants())
    found = {str(each.variant): each for each in comparison.compared}
    assert list(found) == ["single", "regions", "methods"]
    assert all(each.result.ok and not each.differences for each in found.values())
    assert len({each.result.state_root for each in found.values()}) == 1
    assert found["single"].gas == found["regions"].gas < found["methods"].gas
    assert {each.costs.host_calls for each in found.values()} == {0}


def test_a_contract_that_uses_a_function_as_a_value_says_why_it_runs_as_methods_only() -> None:
    code = FUNCTIONS.format(more='(export "load" (func $load))')
    comparison = compare_scenario(parsed(COUNTED.format(code=code)), variants())
    assert [str(each.variant) for each in comparison.compared] == ["methods"]
    assert "no instruction can replace it there" in comparison.refused[Variant("single")]


def test_a_contract_in_a_world_stays_linked_as_it_was_deployed() -> None:
    scenario, world = parsed(COUNTED.format(code=FUNCTIONS.format(more=""))), World()
    assert run_scenario(scenario, link="single", world=world).ok
    with pytest.raises(ScenarioError, match="in the world it is linked as 'single', and 'methods' is asked for"):
        run_scenario(scenario, link="methods", world=world)
    again = run_scenario(scenario, world=world).transactions[0]
    assert again.receipt is not None
    assert again.receipt.value == 2


def of_functions(*lines: str) -> Scenario:
    """Return the scenario of the counter, with more keys of its contract."""
    text = COUNTED.format(code=FUNCTIONS.format(more=""))
    return parsed(text.replace("wat =", "\n".join((*lines, "wat ="))))


def test_a_contract_with_a_link_of_its_own_stays_as_it_imports_storage() -> None:
    scenario, world = of_functions("own_link = true"), World()
    assert run_scenario(scenario, link="single", world=world).ok
    assert world.account(scenario.address("c")).link is None


def test_a_file_fixes_what_a_contract_is_linked_as() -> None:
    for lines, asked, wanted in (
        (['link = "single"'], None, "single"),
        (['link = "regions"'], "regions", "regions"),
        (['link = "methods"'], None, None),
        (['link = "single"', "own_link = true"], "keyed", "single"),
    ):
        scenario, world = of_functions(*lines), World()
        assert run_scenario(scenario, link=asked, world=world).ok
        assert world.account(scenario.address("c")).link == wanted
    with pytest.raises(ScenarioError, match="'methods' is asked for, but `link` says 'single'") as caught:
        run_scenario(of_functions('link = "single"'), link="methods")
    assert caught.value.line == 3
    with pytest.raises(ScenarioError, match=r"test.toml:3: .* linking option"):
        of_functions('link = "keyed"')
    with pytest.raises(ScenarioError, match="`link` is for contracts that import functions, `mapping` for others"):
        of_functions('link = "single"', 'mapping = "paged"')
    memory = COUNTED.format(code='(module (import "storage" "memory" (memory 1)) (func (export "count")))')
    with pytest.raises(ScenarioError, match="imports its storage in its own way: single"):
        run_scenario(parsed(memory.replace("wat =", 'link = "methods"\nwat =')))


DIFFERS = """
[accounts]
alice = { address = 0xa11ce, balance = 5 }
[contracts.it]
address = 2
balance = 9
wat = '''
(module
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "ethereum" "log" (func $log (param i32 i32 i32 i32 i32 i32 i32)))
  (import "ethereum" "selfDestruct" (func $destroy (param i32)))
  (import "ethereum" "create" (func $create (param i32 i32 i32 i32) (result i32)))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  ;; @storage
  (memory $memory (export "memory") 2)
  (data (memory $memory) (i32.const 531) "\\02") ;; the own address, at 512
  (data (memory $memory) (i32.const 624) "\\00\\0a\\11\\ce") ;; that of alice, at 608
  (func (export "main") (call $store_i64 (i32.const 0) (i64.const 7)))
  (func $seen (result i32)
    (drop (call $load_i64 (i32.const 0)))
    (drop (call $call (i64.const 100000) (i32.const 512) (i32.const 480) (i32.const 544) (i32.const 0)))
    (i32.store8 $memory (i32.const 300) (i32.wrap_i64 (call $load_i64 (i32.const 0))))
    (i32.load8_u $memory (i32.const 300)))
  (func $shout (call $log (i32.const 300) (i32.const 1) (i32.const 1)
    (i32.const 300) (i32.const 0) (i32.const 0) (i32.const 0)))
  (func (export "run") RUN))
'''
[[transactions]]
to = "it"
method = "run"
expect.may_fail = true
"""
"""``$seen`` is 7 where a call sees what a call within it wrote, and 0 under `copied` with the sync policy `end`."""


@pytest.mark.parametrize(
    ("run", "told"),
    [
        ("(result i32) (call $seen)", '"it::run()" gave 0; under copied, call it gave 7'),
        (
            "(drop (call $seen)) (call $finish (i32.const 300) (i32.const 1))",
            "gave 0x00; under copied, call it gave 0x07",
        ),
        (
            "(drop (call $seen)) (call $revert (i32.const 300) (i32.const 1))",
            "with output 0x00; under copied, call it ended reverted (RevertError) with output 0x07",
        ),
        (
            "(drop (call $seen)) (call $shout)",
            f"is it, topic 0x{'00' * 32}, data 0x00; under copied, call it is it, topic 0x07{'00' * 31}, data 0x07",
        ),
        (
            "(if (call $seen) (then (call $shout)))",
            '"it::run()": log 0 is none; under copied, call it is it, topic 0x07',
        ),
        (
            """(drop (call $seen)) (i32.store8 $memory (i32.const 688) (i32.load8_u $memory (i32.const 300)))
            (drop (call $call (i64.const 100000) (i32.const 608) (i32.const 688) (i32.const 0) (i32.const 0)))""",
            "alice has a balance of 5 at the end; under copied, call of 12",
        ),
        (
            "(if (call $seen) (then (call $destroy (i32.const 608))))",
            "it is there at the end; under copied, call it is not",
        ),
        (
            """(if (call $seen) (then
            (drop (call $create (i32.const 688) (i32.const 0) (i32.const 0) (i32.const 800)))))""",
            "it has the nonce 0 at the end; under copied, call 1",
        ),
    ],
)
def test_all_that_a_receipt_holds_and_all_accounts_are_compared(run: str, told: str) -> None:
    wanted = [Variant("copied", SyncPolicy.CALL), Variant("copied", SyncPolicy.END)]
    same, other = compare_scenario(parsed(DIFFERS.replace("RUN", run)), wanted).compared
    assert same.differences == ()
    assert any(told in difference for difference in other.differences), other.differences


def test_logs_are_compared_where_values_differ_as_well() -> None:
    text = DIFFERS.replace(
        "RUN", "(result i32) (local $seen i32) (local.set $seen (call $seen)) (call $shout) (local.get $seen)"
    )
    wanted = [Variant("copied", SyncPolicy.CALL), Variant("copied", SyncPolicy.END)]
    told = compare_scenario(parsed(text), wanted).compared[1].differences
    assert any("gave 0; under copied, call it gave 7" in each for each in told)
    assert any("log 0 is it, topic" in each for each in told)


def test_a_destroyed_contract_is_compared_like_any_other() -> None:
    text = DIFFERS.replace("RUN", "(call $destroy (i32.const 608))")
    compared = compare_scenario(parsed(text), [Variant("single"), Variant("keyed"), Variant("paged")]).compared
    assert [each.differences for each in compared] == [(), (), ()]


def test_a_variant_that_cannot_run_a_scenario_to_its_end_does_not_hide_the_others() -> None:
    text = """
    [contracts.it]
    init = "run"
    wat = '''(module
      ;; @storage
      (memory $memory (export "memory") 1) (func (export "run") (call $store_i64 (i32.const 0) (i64.const 7))))'''
    [[transactions]]
    to = "it"
    method = "run"
    """
    comparison = compare_scenario(parsed(text), [Variant("copied"), Variant("single")])
    assert [str(each.variant) for each in comparison.compared] == ["single"]
    assert "outside the memory of the contract" in comparison.refused[Variant("copied")]
    with pytest.raises(ScenarioError, match="no method 'walk'"):
        compare_scenario(parsed(text.replace('method = "run"', 'method = "walk"')), [Variant("single")])
