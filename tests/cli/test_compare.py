from __future__ import annotations

import json

from .conftest import Run


def test_a_scenario_is_compared(run: Run) -> None:
    shown = run("compare", "bank/robbed")
    assert (shown.status, shown.err) == (0, "")
    assert "copied, end " in shown.out
    assert "bank memory[0x0] is 500 at the end; under single it is 300" in shown.out


def test_only_what_is_named_is_compared(run: Run) -> None:
    shown = run("compare", "bank/robbed", "--links", "single", "--links", "copied", "--sync", "end")
    assert "paged" not in shown.out
    assert "copied, call" not in shown.out


def test_only_exclusive_policies_that_are_named_are_compared(run: Run) -> None:
    shown = run("compare", "counter/counter", "-l", "paged", "-l", "single", "--exclusive", "call", "--markdown")
    rows = [line.split(" | ")[0] for line in shown.out.splitlines() if line.startswith("|")]
    assert rows[2:] == ["| paged, call", "| single"]


def test_what_a_policy_refuses_is_told(run: Run) -> None:
    shown = run("compare", "bank/robbed", "--no-time", "-l", "single", "-l", "copied", "--sync", "revision")
    assert "copied, revision" in shown.out
    assert "2 stale reads" in shown.out
    assert "lost update" not in shown.out


def test_the_table_can_be_markdown(run: Run) -> None:
    lines = run("compare", "counter/counter", "--markdown").out.splitlines()
    assert lines[0].startswith("| linking | as expected |")
    assert lines[1].startswith("| --- |")
    assert len({line.count("|") for line in lines[:10]}) == 1


def test_without_times_the_same_input_prints_the_same(run: Run) -> None:
    for form in ("--json", "--markdown"):
        first, second = (run("compare", "bank/robbed", "--no-time", form).out for _ in range(2))
        assert first == second


def test_json_has_it_all(run: Run) -> None:
    document = json.loads(run("compare", "exchange/change", "--json").out)
    assert document["schema"] == "storagemod.compare/1"
    by_variant = {(each["link"], each["sync"], each["exclusive"]): each for each in document["variants"]}
    assert len(by_variant) == 13
    assert ("aliased", None, "transaction") in by_variant
    end = by_variant["copied", "end", None]
    assert end["hazards"] == {"stale read": 2}
    assert end["transactions"][1]["outcome"] == "reverted"
    assert min(each["time_ratio"] for each in document["variants"]) == 1


def test_a_file_that_is_not_there_is_an_error(run: Run) -> None:
    missing = run("compare", "bank/robed")
    assert missing.status == 2
    assert "did you mean bank/robbed" in missing.err
