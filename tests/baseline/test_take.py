from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from storagemod import ScenarioError, World
from storagemod.baseline import render_snapshot, take_snapshot
from storagemod.pages import choose_backend
from storagemod.scenario import Scenario, load_scenario, parse_scenario, run_scenario
from storagemod.scenario.compare import Variant, variants
from storagemod.scenario.fixtures import scenario_path
from storagemod.types import SyncPolicy

FIXED = """
[contracts.it]
wat = '''(module (import "storage" "memory" (memory 1)) (func (export "f") (i64.store (i32.const 0) (i64.const 1)))
  (func (export "trap") unreachable))'''
[[transactions]]
to = "it"
method = "f"
[[transactions]]
to = "it"
method = "f"
[[transactions]]
to = "it"
method = "trap"
expect.ok = false
[[transactions]]
name = "nowhere | at all"
to = "it"
method = "nowhere"
expect.ok = false
"""


def fixed(text: str = FIXED) -> Mapping[str, Scenario]:
    return {"fixed.toml": parse_scenario(text, path="fixed.toml", folder=Path())}


def test_entries_say_what_the_transactions_came_to() -> None:
    scenario = load_scenario(scenario_path("bank/robbed"))
    entries = take_snapshot({"robbed": scenario}, [Variant("single")]).entries
    result = run_scenario(scenario, link="single")

    assert [entry.title for entry in entries] == [each.title for each in result.transactions]
    assert entries[-1].state_root == result.state_root
    receipts = [each.receipt for each in result.transactions]
    assert [entry.gas for entry in entries] == [receipt.gas_used for receipt in receipts if receipt]
    assert [entry.host_calls for entry in entries] == [receipt.costs.host_calls for receipt in receipts if receipt]
    assert [entry.written for entry in entries] == [1, 1, 2, 0]
    assert {entry.path for entry in entries} == {"robbed"}


def test_root_is_that_after_each_transaction() -> None:
    first, second, *_ = take_snapshot({"it": load_scenario(scenario_path("bank/robbed"))}, [Variant("single")]).entries

    assert first.state_root != second.state_root


def test_outcomes_and_titles_tell_transactions_apart() -> None:
    entries = take_snapshot(fixed(), [Variant("single")]).entries

    assert [(entry.title, entry.outcome) for entry in entries] == [
        ("it::f()", "ok"),
        ("it::f() #2", "ok"),
        ("it::trap()", "failed"),
        ("nowhere | at all", "refused"),
    ]
    assert (entries[3].gas, entries[3].written) == (0, 0)
    assert entries[2].state_root != entries[0].state_root  # the sender's nonce


def test_pages_that_were_only_read_are_counted_where_the_tracker_knows(tracker: str) -> None:
    entries = take_snapshot(
        {"it": load_scenario(scenario_path("bank/robbed"))}, [Variant("single")], tracker=tracker
    ).entries
    knows = choose_backend(tracker).knows_reads

    assert entries[-1].touched == (1 if knows else None)
    assert knows is (tracker == "userfaultfd")


def test_snapshot_is_the_same_every_time_under_every_option() -> None:
    scenarios = {"it": load_scenario(scenario_path("bank/robbed"))}
    first, second = (take_snapshot(scenarios, variants()) for _ in range(2))

    assert render_snapshot(first.entries) == render_snapshot(second.entries)
    assert {entry.variant for entry in first.entries} | set(first.unavailable) == {str(each) for each in variants()}


def test_options_that_contracts_are_not_made_for_are_left_out_and_told() -> None:
    taken = take_snapshot(fixed(), [Variant("methods"), Variant("single"), Variant("copied", SyncPolicy.END)])

    assert {entry.variant for entry in taken.entries} == {"single"}
    assert set(taken.refused) == {("fixed.toml", "methods"), ("fixed.toml", "copied, end")}


def test_scenario_that_runs_under_no_option_is_an_error() -> None:
    with pytest.raises(ScenarioError, match="the linking option 'methods' is asked for"):
        take_snapshot(fixed(), [Variant("methods")])


def test_option_that_does_not_work_here_is_left_out_and_told() -> None:
    taken = take_snapshot(fixed(), [Variant("aliased"), Variant("single")], tracker="portable")

    assert set(taken.unavailable) == {"aliased"}
    assert {entry.variant for entry in taken.entries} == {"single"}


def test_transaction_that_cannot_start_and_was_not_expected_to_fail_is_an_error() -> None:
    with pytest.raises(ScenarioError, match="nowhere"):
        take_snapshot(fixed(FIXED.replace('"nowhere"\nexpect.ok = false', '"nowhere"')), [Variant("single")])


def test_worlds_are_not_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(World, "close", lambda self: closed.append(self))  # noqa: PLW0108 - a method

    take_snapshot(fixed(), [Variant("single")])

    assert len(closed) == 1


def test_the_answer_of_an_entry_is_all_that_the_receipt_holds_besides() -> None:
    text = """
    [contracts.it]
    wat = '''(module
      (import "ethereum" "finish" (func $finish (param i32 i32)))
      (import "ethereum" "log" (func $log (param i32 i32 i32 i32 i32 i32 i32)))
      (memory (export "memory") 1)
      (func (export "pair") (param f64) (result i32 f64) (i32.const -1) (local.get 0))
      (func (export "output") (param i32) (call $finish (i32.const 0) (local.get 0)))
      (func (export "shout") (param i32) (i32.store8 (i32.const 0) (local.get 0))
        (call $log (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
      (func $one (param i32) (i32.store8 (i32.const 0) (local.get 0))
        (call $log (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
      (func (export "thrice") (param i32) (call $one (i32.const 1)) (call $one (local.get 0)) (call $one (i32.const 1)))
      (func (export "trap") unreachable))'''
    """
    calls = [
        ("pair", "nan"),
        ("output", 2),
        ("output", 100),
        ("shout", 0),
        ("shout", 7),
        ("trap", ""),
        ("thrice", 1),
        ("thrice", 2),
    ]
    for method, arg in calls:
        text += f"[[transactions]]\nto = 'it'\nmethod = '{method}'\nargs = [{arg}]\nexpect.may_fail = true\n"
    run = take_snapshot({"it.toml": parse_scenario(text, path="it.toml", folder=Path())}, [Variant("single")])
    answers = [entry.answer for entry in run.entries]
    assert answers[:2] == ["-1, nan", "output 0x0000"]
    assert str(answers[2]).startswith("output of 100 bytes with sha256 ")
    assert [str(answer).partition(" data ")[2] for answer in answers[3:5]] == ["0x00", "0x07"]
    assert str(answers[6]).startswith("3 logs with sha256 ")
    assert len(set(answers)) == len(answers)
    assert "TrapError: it at call depth 1: `unreachable` was executed" in str(answers[5])
