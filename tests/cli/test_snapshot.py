from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run

COUNTER = """
[contracts.counter]
code = "counter.wat"
[[transactions]]
name = "once"
to = "counter"
method = "increment"
[[transactions]]
name = "twice"
to = "counter"
method = "increment"
"""

CODE = """
(module
  (import "storage" "memory" (memory 1))
  (func (export "increment") (result i64)
    (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
    (i64.load (i32.const 0))))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "counter.toml").write_text(COUNTER)
    (tmp_path / "scenarios" / "counter.wat").write_text(CODE)
    (tmp_path / "scenarios" / "other.toml").write_text("[tool]\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def text(folder: Path) -> str:
    return (folder / "storagemod.snapshot").read_text()


def test_first_snapshot_is_written_with_a_line_for_each_transaction(run: Run, folder: Path) -> None:
    ran = run("snapshot", "scenarios")

    assert (ran.status, ran.out, ran.err) == (0, "storagemod.snapshot: wrote 2 entries: 2 added\n", "")
    lines = text(folder).splitlines()
    assert [line.split(" | ")[:4] for line in lines[2:]] == [
        ["scenarios/counter.toml", "once", "single", "ok"],
        ["scenarios/counter.toml", "twice", "single", "ok"],
    ]
    assert list(folder.glob(".storagemod*")) == []


def test_check_of_what_is_still_so_ends_well_and_writes_nothing(run: Run, folder: Path) -> None:
    run("snapshot", "scenarios")
    before = (folder / "storagemod.snapshot").stat()

    ran = run("snapshot", "./scenarios/counter.toml", "--check")

    assert (ran.status, ran.out) == (0, "storagemod.snapshot: 2 entries: no difference\n")
    assert (folder / "storagemod.snapshot").stat() == before


def test_snapshot_that_is_written_again_is_the_same_bytes(run: Run, folder: Path) -> None:
    run("snapshot", "scenarios")
    before = text(folder)

    assert run("snapshot", "scenarios").out == "storagemod.snapshot: wrote 2 entries: no difference\n"
    assert text(folder) == before


def change(folder: Path, old: str, new: str, file: str = "scenarios/counter.wat") -> None:
    path = folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_check_fails_on_a_change_and_shows_what_changed(run: Run, folder: Path) -> None:
    run("snapshot", "scenarios")
    before = text(folder)
    change(folder, "(i64.const 1)", "(i64.const 2)")

    ran = run("snapshot", "scenarios", "--check")

    assert ran.status == 1
    assert "~ scenarios/counter.toml | once | single\n    answer 1 -> 2\n    state root 0x" in ran.out
    assert ran.out.endswith("storagemod.snapshot: 2 entries: 2 changed\n")
    assert text(folder) == before


def test_diff_shows_the_same_and_ends_well(run: Run, folder: Path) -> None:
    run("snapshot", "scenarios")
    before = text(folder)
    change(folder, "(i64.const 1)", "(i64.const 2)")

    assert run("snapshot", "scenarios", "--diff").out == run("snapshot", "scenarios", "--check").out
    assert run("snapshot", "scenarios", "--diff").status == 0
    assert text(folder) == before


def test_check_fails_on_entries_that_are_gone_or_new(run: Run, folder: Path) -> None:
    run("snapshot", "scenarios")
    change(folder, '"twice"', '"thrice"', "scenarios/counter.toml")

    ran = run("snapshot", "scenarios", "--check")

    assert ran.status == 1
    assert ran.out.splitlines()[0].startswith("+ scenarios/counter.toml | thrice | single | ok | ")
    assert ran.out.splitlines()[1].startswith("- scenarios/counter.toml | twice | single | ok | ")
    assert ran.out.splitlines()[2] == "storagemod.snapshot: 2 entries: 1 added, 1 removed"


def test_scenario_file_that_is_gone_is_a_difference(run: Run, folder: Path) -> None:
    (folder / "scenarios" / "second.toml").write_text(COUNTER)
    run("snapshot", "scenarios")
    (folder / "scenarios" / "second.toml").unlink()

    ran = run("snapshot", "scenarios", "--check")

    assert (ran.status, ran.out.splitlines()[-1]) == (1, "storagemod.snapshot: 2 entries: 2 removed")


def test_tolerance_lets_numbers_differ_and_nothing_else(run: Run, folder: Path) -> None:
    run("snapshot", "scenarios")
    change(folder, "(i64.load (i32.const 0))))", "(nop) (drop (i64.load (i32.const 0))) (i64.load (i32.const 0))))")

    assert run("snapshot", "scenarios", "--check").status == 1
    assert run("snapshot", "scenarios", "--check", "--tolerance", "100").status == 0
    change(folder, "(i64.const 1)", "(i64.const 2)")
    assert run("snapshot", "scenarios", "--check", "--tolerance", "100").status == 1


def test_options_can_be_chosen_and_scenarios_that_come_with_the_package_named(run: Run, folder: Path) -> None:
    ran = run("snapshot", "bank/robbed", "--link", "copied", "--sync", "end", "--sync", "call", "--file", "b.snapshot")

    assert ran.status == 0
    keys = [line.split(" | ")[:3] for line in (folder / "b.snapshot").read_text().splitlines()[2:]]
    assert {(path, variant) for path, _, variant in keys} == {
        ("bank/robbed", "copied, end"),
        ("bank/robbed", "copied, call"),
    }


def test_exclusive_policies_can_be_chosen(run: Run, folder: Path) -> None:
    policies = ("--exclusive", "none", "--exclusive", "transaction")
    assert run("snapshot", "bank/robbed", "--link", "paged", *policies, "--file", "b.snapshot").status == 0
    variants = {line.split(" | ")[2] for line in (folder / "b.snapshot").read_text().splitlines()[2:]}
    assert variants == {"paged, none", "paged, transaction"}


def test_paths_are_from_the_folder_of_the_snapshot_wherever_it_is_run(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("snapshot", "scenarios")
    monkeypatch.chdir(folder / "scenarios")

    assert run("snapshot", "counter.toml", "--check", "--file", "../storagemod.snapshot").status == 0


def test_what_the_file_says_of_options_that_do_not_work_here_stays(run: Run, folder: Path) -> None:
    run("snapshot", "counter/counter", "--link", "aliased", "--link", "single")
    with_aliased = text(folder)
    assert "| aliased |" in with_aliased

    checked = run(
        "snapshot", "counter/counter", "--link", "aliased", "--link", "single", "--tracker=portable", "--check"
    )
    assert (checked.status, checked.out) == (0, "storagemod.snapshot: 1 entry: no difference\n")
    assert "note: aliased does not work here" in checked.err
    run("snapshot", "counter/counter", "--link", "aliased", "--link", "single", "--tracker=portable")
    assert [line for line in text(folder).splitlines() if "aliased" in line] == [
        line for line in with_aliased.splitlines() if "aliased" in line
    ]


def test_document_has_the_entries_and_what_changed(run: Run, folder: Path) -> None:
    run("snapshot", "scenarios")
    change(folder, '"twice"', '"thrice"', "scenarios/counter.toml")

    ran = run("snapshot", "scenarios", "--check", "--json")

    found = json.loads(ran.out)
    assert ran.status == 1
    assert (found["schema"], found["ok"], found["wrote"]) == ("storagemod.snapshot/1", False, False)
    assert [entry["title"] for entry in found["entries"]] == ["once", "thrice"]
    assert [(each["kind"], each["old"] is None, each["new"] is None) for each in found["changes"]] == [
        ("added", True, False),
        ("removed", False, True),
    ]
    assert {each["link"] for each in found["refused"]} >= {"methods", "keyed"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere.toml"], "error: nowhere.toml cannot be read: No such file or directory"),
        (["scenarios/other.toml"], "error: scenarios/other.toml"),
        (["scenarios", "--check"], "run it without --check and --diff first"),
        (["scenarios", "--diff", "--file", "nowhere/s"], "run it without --check and --diff first"),
        (["scenarios", "--file", "nowhere/s"], "error: nowhere/s cannot be written: No such file or directory"),
        (["scenarios", "--file", "scenarios"], "error: scenarios is a directory"),
        (["scenarios", "--tolerance", "5"], "--tolerance goes with --check or --diff"),
        (["scenarios", "--check", "--tolerance", "-1"], "-1.0 is not in the range"),
        (["scenarios", "--check", "--tolerance", "nan"], "is no percentage"),
        (["scenarios", "--link", "x"], "'x' is not one of"),
        (["scenarios", "--link", "methods"], "the linking option 'methods' is asked for"),
        (["empty"], "empty has no scenario in it"),
        ([], "Missing argument 'PATH...'"),
    ],
)
def test_bad_input_is_told_and_writes_nothing(run: Run, folder: Path, args: list[str], message: str) -> None:
    (folder / "empty").mkdir()

    ran = run("snapshot", *args)

    assert (ran.status, ran.out) == (2, "")
    assert message in ran.err
    assert not (folder / "storagemod.snapshot").exists()


def test_snapshot_that_a_merge_left_broken_is_told_with_its_line(run: Run, folder: Path) -> None:
    run("snapshot", "scenarios")
    (folder / "storagemod.snapshot").write_text(text(folder) + "<<<<<<< HEAD\n")

    ran = run("snapshot", "scenarios", "--check")

    assert ran.status == 2
    assert "storagemod.snapshot:5: no entry of a snapshot" in ran.err


def test_one_scenario_that_cannot_be_run_does_not_hide_the_others(run: Run, folder: Path) -> None:
    (folder / "scenarios" / "a.toml").write_text("[[transactions]]\nto = 'nobody'\n")

    ran = run("snapshot", "scenarios", "nowhere.toml")

    assert ran.status == 2
    assert [line.partition(":")[0] for line in ran.err.splitlines()] == [
        *("error", "error"),
        "storagemod.snapshot stays as it is",
    ]
    assert "2 entries: 2 added" in ran.out
    assert not (folder / "storagemod.snapshot").exists()
    document = json.loads(run("snapshot", "scenarios", "--json").out)
    assert (document["ok"], len(document["entries"]), len(document["errors"])) == (False, 2, 1)


def test_a_link_that_a_contract_does_not_fit_does_not_hide_the_other_one(run: Run, folder: Path) -> None:
    ran = run("snapshot", "scenarios", "--link", "methods", "--link", "single")

    assert ran.status == 2
    assert "the linking option 'methods' is asked for" in ran.err
    assert "2 entries: 2 added" in ran.out
    assert not (folder / "storagemod.snapshot").exists()
