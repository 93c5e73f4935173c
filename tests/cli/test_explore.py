"""``storagemod explore``: what it prints, how it ends, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run


def test_a_fault_is_shown_with_its_try_its_tree_and_what_was_left_out(run: Run) -> None:
    shown = run("explore", "reentry/guard")

    assert shown.status == 1
    assert "BROKEN by a call back: the box holds what it owes" in shown.out
    assert "    sum(box.memory[64:]) = 500" in shown.out
    assert (
        "mallory sends box::withdraw(0)\n      mallory::main, called, calls back\n        box::withdraw(0)" in shown.out
    )
    assert "re-entry 1" in shown.out
    assert "! write after call of bank" in run("explore", "reentry/withdraw").out
    assert "places in them where one more decision was not made" in shown.out
    assert "a second" in shown.err


def test_the_mended_one_ends_well(run: Run) -> None:
    shown = run("explore", "reentry/guard_fixed", "--calls", "2")

    assert shown.status == 0
    assert "holds: the box holds what it owes" in shown.out
    assert "nothing is left within these bounds, with these arguments" in shown.out


@pytest.mark.parametrize("form", [[], ["--json", "--no-time"]])
def test_it_prints_the_same_every_time(run: Run, form: list[str]) -> None:
    first, second, jobs = (
        run("explore", "reentry/hooks", "--seed", "3", "--calls", "2", *form, *more).out
        for more in ([], [], ["--jobs", "2"])
    )

    assert first == second == jobs


def test_json_has_it_all(run: Run) -> None:
    body = json.loads(run("explore", "reentry/withdraw", "--json").out)

    assert body["schema"] == "storagemod.explore/1"
    assert body["ok"] is False
    (violation,) = body["violations"]
    assert violation["calls"] == 2
    assert violation["script"][0]["reactions"][0]["calls"][0]["contract"] == violation["script"][0]["contract"]
    assert violation["receipts"][0]["trace"]["hazards"]
    assert body["coverage"]["left"] > 0
    assert body["tries_per_second"] > 0
    assert "seconds" not in json.loads(run("explore", "reentry/withdraw", "--json", "--no-time").out).keys() - {
        "settings"
    }


def test_write_writes_a_scenario_and_a_test(run: Run, tmp_path: Path) -> None:
    shown = run("explore", "reentry/withdraw", "--write", str(tmp_path / "found"))

    written = sorted(path.name for path in (tmp_path / "found").iterdir())
    assert written == [
        "explored_withdraw_the_books_are_honest.toml",
        "test_explored_withdraw_the_books_are_honest.py",
    ]
    assert all(name in shown.err for name in written)
    assert run("run", str(tmp_path / "found" / written[0])).status == 1
    nothing = run("explore", "reentry/guard_fixed", "--calls", "1", "--write", str(tmp_path / "none"))
    assert (nothing.status, "nothing to write" in nothing.err) == (0, True)


def test_files_that_were_edited_are_not_written_over_unless_forced(run: Run, tmp_path: Path) -> None:
    options = ("explore", "reentry/withdraw", "--json", "--write", str(tmp_path))
    first = run(*options)
    (tmp_path / "explored_withdraw_the_books_are_honest.toml").write_text("# mine\n")
    refused, forced = run(*options), run(*options, "--force")

    assert json.loads(first.out)["files"] == json.loads(forced.out)["files"]
    assert [Path(each).suffix for each in json.loads(first.out)["files"]] == [".toml", ".py"]
    assert (refused.status, forced.status) == (2, 1)
    assert json.loads(refused.out)["files"] == []  # and what was found is told all the same
    assert "over it with --force" in refused.err


def test_link_sync_and_other_policies_and_boundaries_are_taken(run: Run) -> None:
    assert run("explore", "reentry/withdraw", "--link", "copied", "--sync", "call", "--calls", "2").status == 1
    assert run("explore", "reentry/withdraw", "--policy", "deny", "--calls", "2", "--tries", "300").status == 0
    assert run("explore", "reentry/withdraw", "--calls", "1").status == 0
    paged = ("--link", "paged", "--calls", "2", "--tries", "300", "--exclusive")
    assert [run("explore", "reentry/withdraw", *paged, each).status for each in ("call", "transaction")] == [1, 0]
    # The lender writes a debt before it asks whether it is covered, and asks nobody but the pool, which is trusted.
    assert run("explore", "reentry/read_only", "--boundaries", "--calls", "1").status == 0
    shown = run("explore", "reentry/withdraw", "--boundaries", "--calls", "2")
    assert shown.status == 1
    assert run("explore", "reentry/withdraw_fixed", "--boundaries", "--calls", "2", "--tries", "200").status == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--calls", "0"], "--calls"),
        (["--calls", "many"], "--calls"),
        (["--depth", "-1"], "--depth"),
        (["--tries", "0"], "--tries"),
        (["--seconds", "0"], "--seconds"),
        (["--seconds", "nan"], "seconds is a number greater than 0"),
        (["--arguments", "0"], "--arguments"),
        (["--jobs", "0"], "--jobs"),
        (["--jobs", "1000"], "--jobs"),
        (["--seed", "-1"], "--seed"),
        (["--link", "singel"], "--link"),
        (["--sync", "never"], "--sync"),
        (["--policy", "open"], "--policy"),
        (["--tracker", "eyes"], "--tracker"),
        (["--write", ""], "it is empty"),
        (["--force"], "--force is about the files of --write"),
        (["--sync", "end", "--link", "single"], "--sync is about copies"),
        (["--exclusive", "call", "--link", "copied"], "--exclusive is about frames"),
        (["--exclusive", "always"], "--exclusive"),
        (["--jobs", "2", "--dask", "tcp://127.0.0.1:1"], "--jobs is about processes of this machine"),
        (["--wirte", "x"], "--wirte"),
    ],
)
def test_a_wrong_flag_is_refused_without_a_search(run: Run, words: list[str], message: str) -> None:
    refused = run("explore", "reentry/withdraw", *words)

    assert refused.status == 2
    assert message in refused.err
    assert refused.out == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reentry/withdrawn", "did you mean reentry/withdraw"),
        ("bank/robbed", "there is nothing to check: no invariant"),
        ("", "it is empty"),
    ],
)
def test_a_wrong_file_is_refused_with_what_to_do(run: Run, name: str, message: str) -> None:
    refused = run("explore", name)

    assert refused.status == 2
    assert message in refused.err


def test_a_folder_that_cannot_be_written_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = run("explore", "reentry/guard", "--write", str(tmp_path / "file"))

    assert refused.status == 2
    assert "cannot be written" in refused.err
    assert refused.out == ""  # it is told before the search
