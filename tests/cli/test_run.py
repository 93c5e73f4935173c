from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import storagemod
from storagemod.scenario.fixtures import scenario_names
from tests.golden import check_golden

from .conftest import Run

WAT = Path(__file__).parents[2] / "wat"
GOLDEN = Path(__file__).parent / "golden"

SCENARIO = """\
[scenario]
name = "a counter"

[contracts.counter]
code = "counter.wat"

[[transactions]]
name = "count to two"
to = "counter"
method = "add"
args = [2]
expect.value = 2

[[transactions]]
to = "counter"
method = "get"
call = true
[transactions.expect]
value = 3
storage = [{ contract = "counter", i64 = [5] }]

[[transactions]]
to = "counter"
method = "get"
gas = 1
expect.error_kind = "OutOfGasError"
"""


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scenario of three transactions, of which the second is not as expected, in the current folder."""
    (tmp_path / "counter.wat").write_bytes((WAT / "counter" / "counter.wat").read_bytes())
    (tmp_path / "counter.toml").write_text(SCENARIO)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "counter.toml"


def mended(scenario: Path) -> None:
    scenario.write_text(SCENARIO.replace("value = 3", "value = 2").replace("[5]", "[2]"))


@pytest.mark.usefixtures("scenario")
@pytest.mark.parametrize("verbosity", ["", "-v", "-vv", "-vvv", "-vvvv"])
def test_what_is_told_of_a_scenario_is_the_golden_file(run: Run, verbosity: str) -> None:
    ran = run("run", "counter.toml", *filter(None, [verbosity]))

    assert (ran.status, ran.err) == (1, "")
    check_golden(GOLDEN / f"run_counter{verbosity}.txt", ran.out)


def test_scenario_that_is_as_expected_has_status_zero(run: Run, scenario: Path) -> None:
    mended(scenario)

    ran = run("run", "counter.toml")

    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines()[-1] == "3 of 3 transactions as expected (single)"


@pytest.mark.parametrize("name", scenario_names())
def test_scenarios_that_come_with_the_contracts_are_as_expected_by_file_and_by_name(
    run: Run, option: str, name: str
) -> None:
    by_file, by_name = (run("run", what, "--link", option) for what in (WAT / f"{name}.toml", name))

    assert (by_file.status, by_file.err) == (0, "")
    assert by_name.out == by_file.out.replace(str(WAT / f"{name}.toml"), name)


@pytest.mark.usefixtures("scenario")
def test_file_goes_before_a_scenario_of_that_name_and_a_name_that_is_near_is_suggested(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "safe").write_text('[[transactions]]\nname = "mine"\nto = "0x1"\n')

    assert "mine" in run("run", "bank/safe").out
    ran = run("run", "bank/robed")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("error: bank/robed cannot be read: No such file or directory (did you mean bank/robbed")


@pytest.mark.usefixtures("scenario")
def test_option_that_is_named_twice_is_run_once(run: Run) -> None:
    assert run("run", "counter.toml", "--link", "methods", "--link", "methods").out.count("linked as methods") == 1


def test_several_options_are_run_one_after_the_other(run: Run, scenario: Path) -> None:
    mended(scenario)

    ran = run("run", "counter.toml", "--link", "methods", "--link", "regions")

    assert [line for line in ran.out.splitlines() if "linked as" in line] == [
        "counter.toml: a counter, linked as methods",
        "counter.toml: a counter, linked as regions",
    ]
    assert ran.out.splitlines()[-1] == "6 of 6 transactions as expected (methods, regions)"


@pytest.mark.usefixtures("scenario")
def test_json_is_one_document_with_every_run_receipt_and_difference(run: Run) -> None:
    ran = run("run", "counter.toml", "--link", "single", "--link", "methods", "--json")
    shown = json.loads(ran.out)
    first = shown["runs"][0]

    assert ran.status == 1
    assert (shown["schema"], shown["ok"]) == ("storagemod.run/1", False)
    assert [each["link"] for each in shown["runs"]] == ["single", "methods"]
    assert first["state_root"] == shown["runs"][1]["state_root"]
    assert [each["ok"] for each in first["transactions"]] == [True, False, True]
    assert first["transactions"][1]["differences"] == [
        {"file": "counter.toml", "line": 19, "what": "value", "wanted": "3", "found": "2"},
        {
            "file": "counter.toml",
            "line": 20,
            "what": "counter memory[0x0] as i64",
            "wanted": "5",
            "found": "2",
        },
    ]
    assert first["transactions"][0]["receipt"]["values"] == [2]
    assert first["transactions"][2]["receipt"]["error"]["type"] == "OutOfGasError"


@pytest.mark.parametrize(
    "args",
    [
        ["run", "counter.toml", "--json", "--link", "single", "--link", "methods"],
        ["run", "counter.toml", "-vvvv"],
        ["compile", ".", "--json"],
        ["inspect", "counter.wat", "--json"],
    ],
)
def test_same_input_prints_the_same_bytes_in_every_process(scenario: Path, args: list[str]) -> None:
    printed = [
        subprocess.run(
            [sys.executable, "-m", "storagemod", *args],
            cwd=scenario.parent,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(storagemod.__file__).parents[1])},
            capture_output=True,
            check=False,
        ).stdout
        for seed in ("1", "2")
    ]

    assert printed[0] == printed[1] != b""


@pytest.mark.usefixtures("scenario")
def test_json_of_a_scenario_is_the_golden_file(run: Run) -> None:
    check_golden(GOLDEN / "run_counter.json", run("run", "counter.toml", "--json").out)


def test_json_is_nothing_where_a_scenario_cannot_be_run(run: Run, scenario: Path) -> None:
    scenario.write_text("")

    assert run("run", scenario, "--json").out == ""


def test_transaction_that_is_refused_as_expected_is_fine(run: Run, scenario: Path) -> None:
    scenario.write_text("[[transactions]]\nto = '0x1'\nmethod = 'f'\nexpect.error = 'no contract'\n")

    ran = run("run", scenario)

    assert ran.status == 0
    assert "ok   0x1::f() (refused)" in ran.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            SCENARIO.replace("expect.value", "expect.valeu"),
            'counter.toml:12: unknown key "valeu" (did you mean "value"?)',
        ),
        (SCENARIO.replace("counter.wat", "none.wat"), 'counter.toml:5: contract "counter": none.wat cannot be read'),
        (SCENARIO.replace('"add"', '"ad"'), "counter.toml:7: transaction \"count to two\": counter: no method 'ad'"),
        (
            SCENARIO.replace("args = [2]", ""),
            "counter.toml:7: transaction \"count to two\": counter: 'add' takes 1 argument",
        ),
        (SCENARIO.replace("args = [2]", "args = [2.5]"), "an integer is needed"),
        ("[[transactions", "counter.toml:1: not TOML"),
    ],
)
def test_scenario_that_cannot_be_run_has_one_clear_message_and_status_two(
    run: Run, scenario: Path, text: str, message: str
) -> None:
    scenario.write_text(text)

    ran = run("run", "counter.toml")

    assert ran.status == 2
    assert ran.err.startswith("error: ")
    assert ran.err.count("error: ") == 1
    assert message in ran.err


@pytest.mark.usefixtures("scenario")
def test_every_file_that_cannot_be_read_is_told_and_the_others_are_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")

    ran = run("run", ".", "none.toml", "counter.toml", "binary.toml")

    assert ran.status == 2
    assert "2 of 3 transactions as expected (single); 3 scenarios could not be run" in ran.out
    assert ran.err.splitlines() == [
        "error: . is a directory (name a file)",
        "error: none.toml cannot be read: No such file or directory",
        "error: binary.toml:1: not text in UTF-8",
    ]


def test_a_scenario_that_cannot_be_run_does_not_hide_the_others(run: Run, scenario: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(scenario.read_text().replace('"add"', '"ad"'))

    ran = run("run", "bad.toml", "counter.toml", "--json")

    document = json.loads(ran.out)
    assert (ran.status, document["ok"], len(document["runs"]), len(document["errors"])) == (2, False, 1, 1)
    assert "no method 'ad'" in ran.err


def test_endless_loop_and_endless_recursion_end_with_a_clear_error(run: Run, scenario: Path) -> None:
    scenario.write_text(
        """
[contracts.x]
wat = '''(module
  (import "contract:self" "again" (func $again))
  (func (export "loop") (loop (br 0)))
  (func $recurse (export "recurse") (call $recurse))
  (func (export "again") (call $again)))'''
links = { self = "x" }
[[transactions]]
to = "x"
method = "loop"
gas = 1_000_000
expect.error_kind = "OutOfGasError"
[[transactions]]
to = "x"
method = "recurse"
gas = 1_000_000_000
expect.error = "stack"
[[transactions]]
to = "x"
method = "again"
expect.ok = false
"""
    )

    ran = run("run", scenario, "-vvvv")

    assert ran.status == 0
    assert "3 of 3 transactions as expected" in ran.out


def test_a_world_in_a_directory_goes_on_where_the_last_run_left_it(run: Run, tmp_path: Path) -> None:
    world = str(tmp_path / "world")
    first = run("run", "counter/counter", "--world", world)
    assert (first.status, first.err) == (0, "")
    second = run("run", "counter/counter", "--world", world)
    assert second.status == 1
    assert "+ found   2" in second.out


def test_a_world_in_a_directory_has_room_for_one_linking_option(run: Run, tmp_path: Path) -> None:
    world = str(tmp_path / "world")
    several = run("run", "counter/counter", "--world", world, "--link", "single", "--link", "methods")
    assert several.status == 2
    assert "under one --link only" in several.err
    assert run("run", "counter/counter", "--world", world, "--link", "single").status == 0
    other = run("run", "counter/counter", "--world", world, "--link", "methods")
    assert other.status == 2
    assert "counter/counter:" in other.err
    assert "the world has other code at its address" in other.err


def test_a_directory_that_is_no_world_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    result = run("run", "counter/counter", "--world", str(tmp_path))
    assert result.status == 2
    assert "holds no world, but other files" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


MAPS = """
[contracts.it]
wat = '''(module (import "ethereum" "storageMap" (func $map (param i32 i32 i32))) (memory (export "memory") 1)
  (func (export "set")
    (call $map (i32.const 0) (i32.const 0) (i32.const 1))
    (i32.store8 (i32.const 0) (i32.const 1))))'''
[[transactions]]
to = "it"
method = "set"
expect.storage = [{ contract = "it", hex = "01" }]
"""


@pytest.mark.parametrize("sync", ["call", "end", "none"])
def test_a_sync_policy_is_that_of_the_whole_run(run: Run, sync: str) -> None:
    ran = run("run", "exchange/change", "--link", "copied", "--sync", sync)

    assert ran.err == ""
    assert f"linked as copied, sync {sync}\n" in ran.out
    assert f"transactions as expected (copied, sync {sync})\n" in ran.out
    assert ran.status == (0 if sync == "call" else 1)
    document = json.loads(run("run", "exchange/change", "--link", "copied", "--sync", sync, "--json").out)
    assert [each["sync"] for each in document["runs"]] == [sync]


def test_contracts_that_map_storage_themselves_run_under_both_options(run: Run, tmp_path: Path) -> None:
    (tmp_path / "maps.toml").write_text(MAPS)
    ran = run("run", tmp_path / "maps.toml", "--link", "copied", "--link", "paged", "--sync", "end")

    assert (ran.status, ran.err) == (0, "")
    assert "linked as copied, sync end\n" in ran.out
    assert "linked as paged\n" in ran.out
    assert run("run", tmp_path / "maps.toml", "--sync", "none").err == ""
    refused = run("run", tmp_path / "maps.toml", "--link", "methods")
    assert (refused.status, refused.out) == (2, "")
    assert "'methods' is asked for, but the contract imports its storage in its own way: aliased, cop" in refused.err


def test_a_sync_policy_that_changes_nothing_is_noted_or_refused(run: Run) -> None:
    ran = run("run", "counter/counter", "--sync", "end")
    assert ran.status == 0
    assert "note: --sync changed nothing" in ran.err
    refused = run("run", "counter/counter", "--sync", "end", "--link", "paged")
    assert (refused.status, refused.out) == (2, "")
    assert "error: --sync is about copies of storage, which are made under --link copied\n" in refused.err


def test_a_world_in_a_directory_has_room_for_one_way_of_mapping(run: Run, tmp_path: Path) -> None:
    """The preludes of `copied` and `paged` are the same code."""
    first = run("run", "counter/counter", "--world", tmp_path / "w", "--link", "paged")
    assert first.status == 0
    again = run("run", "counter/counter", "--world", tmp_path / "w", "--link", "copied")
    assert again.status == 2
    assert "in the world its storage is mapped otherwise: paged, frames of 4,096 bytes" in again.err


def test_an_exclusive_policy_is_that_of_the_whole_run(run: Run) -> None:
    ran = run("run", "bank/robbed", "--link", "paged", "--exclusive", "transaction", "-vvv")

    assert ran.status == 1
    assert "linked as paged, exclusive transaction\n" in ran.out
    assert "stands in page 16 of the call at depth 1, and is exclusive in the transaction" in " ".join(ran.out.split())
    document = json.loads(run("run", "bank/robbed", "--link", "paged", "--exclusive", "transaction", "--json").out)
    (done,) = document["runs"]
    assert (done["sync"], done["exclusive"]) == (None, "transaction")
    errors = [call["error"] for each in done["transactions"] for call in each["receipt"]["trace"]["calls"]]
    assert [error["code"] for error in errors if error is not None][:1] == ["frame_held"]


def test_an_exclusive_policy_that_changes_nothing_is_noted_or_refused(run: Run) -> None:
    ran = run("run", "counter/counter", "--exclusive", "call")
    assert "note: --exclusive changed nothing" in ran.err
    refused = run("run", "counter/counter", "--exclusive", "call", "--link", "copied")
    assert refused.status == 2
    assert "error: --exclusive is about frames of storage, which --link paged and --link aliased have\n" in refused.err


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (("links = { b = 'b' }", "links = { b = 'c' }"), 4, "in the world it is linked to other accounts"),
        (("policy = 'deny'", "policy = 'allow'"), 5, "its re-entry policy is 'deny', and 'allow' is asked for"),
        (("policy = 'deny'", ""), 2, "its re-entry policy is 'deny', and 'allow' is asked for"),
    ],
)
def test_a_world_whose_contract_is_linked_or_closed_otherwise_is_refused(
    run: Run, tmp_path: Path, change: tuple[str, str], line: int, message: str
) -> None:
    text = """
[contracts.a]
wat = '(module (import "contract:b" "f" (func)) (func (export "main")))'
links = { b = 'b' }
policy = 'deny'
[contracts.b]
wat = '(module (func (export "f")))'
[contracts.c]
wat = '(module (func (export "f")))'
[[transactions]]
to = "a"
"""
    file = tmp_path / "it.toml"
    file.write_text(text)
    assert [run("run", file, "--world", tmp_path / "world").status for _ in range(2)] == [0, 0]
    file.write_text(text.replace(*change))

    ran = run("run", file, "--world", tmp_path / "world")

    assert ran.status == 2
    assert f'it.toml:{line}: contract "a": ' in ran.err
    assert message in ran.err


@pytest.mark.parametrize("words", [["--calls", "direct"], ["--link", "copied", "--sync", "end"]])
def test_nothing_is_noted_about_runs_that_there_were_not(run: Run, words: list[str]) -> None:
    shown = run("run", "nope.toml", *words)

    assert shown.status == 2
    assert shown.err.startswith("error: nope.toml")
    assert "note:" not in shown.err
