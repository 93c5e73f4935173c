from __future__ import annotations

from pathlib import Path

import pytest

from storagemod.errors import ScenarioError
from storagemod.scenario import Scenario, load_scenario, parse_scenario
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
