"""``storagemod explore``: what it prints, how it ends, what it refuses."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storagemod.cli.explore import _Progress
from storagemod.errors import StateError

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
    shown = run("explore", "reentry/guard_fixed", "--calls", "2", "--arguments", "3")

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
        (["--resume"], "--resume goes on from the tries in --failures"),
        (["--failures", ""], "it is empty"),
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


def numbers(text: str) -> set[int]:
    """All numbers in a text, without those that are part of a word or of an address."""
    return {int(each.replace(",", "")) for each in re.findall(r"(?<![\w.])\d[\d,]*(?!\w)", text)}


def values(document: Any) -> Iterator[Any]:
    """All values in a document that are no tables or arrays."""
    if isinstance(document, dict | list):
        for each in document.values() if isinstance(document, dict) else document:
            yield from values(each)
    else:
        yield document


@pytest.mark.parametrize(
    "words", [("reentry/withdraw",), ("reentry/cross_contract_fixed", "--calls", "3", "--depth", "1")]
)
def test_json_counts_as_text_does(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Trees are left out: receipts have them, and a test of their own."""
    options = (*words, "--tries", "150", "--arguments", "5", "--failures", tmp_path, "--write", tmp_path)
    run("explore", *options)
    shown = run("explore", *options, "--resume")
    document = json.loads(run("explore", *options, "--resume", "--json").out)

    found = list(values(document))
    known = {each for each in found if isinstance(each, int)} | numbers(" ".join(map(str, found)))
    lines = [line for line in shown.out.splitlines() if not re.search("[─│├└]|^  ! |^      ", line)]
    told = numbers("\n".join(lines))
    assert len(told) > 5
    assert told - known == set()
    for line in shown.err.splitlines():
        if line.startswith(("wrote ", "saved ")):
            assert line.split(" ", 1)[1] in found
    for name, verdict in document["verdicts"].items():
        what = {"broken": "BROKEN ", "holds": "holds: ", "not explored": "NOT EXPLORED: "}[verdict]
        assert any(line.startswith(what) and name in line for line in lines)
    for each in document["caveats"]:
        assert f"mind: {each['text']}" in shown.out
    for each in document["violations"]:
        assert ("by a call back: " if each["needs_callback"] else "without any call back: ") + each[
            "invariant"
        ] in shown.out


def test_several_files_are_explored_one_after_the_other(run: Run, tmp_path: Path) -> None:
    files = ("reentry/withdraw", "reentry/withdraw_fixed", "reentry/cross_contract")
    options = ("--calls", "2", "--tries", "60")
    shown = run("explore", *files, *options, "--write", tmp_path)
    document = json.loads(run("explore", *files, *options, "--json", "--no-time").out)
    alone = [json.loads(run("explore", each, *options, "--json", "--no-time").out) for each in files]

    assert shown.status == 1
    assert shown.out.splitlines()[-1] == "3 explored: 2 broken"
    assert "reentry/withdraw: broken by a call back: the books are honest" in shown.err
    assert document["ok"] is False
    assert [{"schema": document["schema"], **each} for each in document["explorations"]] == alone
    assert len(list(tmp_path.glob("explored_*.toml"))) == 2


def test_one_file_that_is_wrong_leaves_the_others(run: Run) -> None:
    shown = run("explore", "bank/robbed", "reentry/withdraw", "--json")

    assert shown.status == 2
    assert "no invariant" in shown.err
    document = json.loads(shown.out)
    assert [each["path"] for each in document["explorations"]] == ["reentry/withdraw"]
    assert len(document["errors"]) == 1
    assert run("explore", "bank/robbed", "nothing").out == "0 explored: 0 broken, 2 with errors\n"


def test_attacks_are_kept_and_run_first(run: Run, tmp_path: Path) -> None:
    first = run("explore", "reentry/withdraw", "--failures", tmp_path / "kept")
    again = run("explore", "reentry/withdraw", "--failures", tmp_path / "kept")

    assert (first.status, again.status) == (1, 1)
    assert "known attack" not in first.out
    assert "known attack still breaks: the books are honest" in again.out
    assert "tried: 0" in again.out
    assert f"saved {tmp_path / 'kept' / 'withdraw.attacks.json'}" in again.err


def test_what_cannot_be_saved_is_an_error_after_all_was_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StateError("the disk is full")

    monkeypatch.setattr("storagemod.explore.saved._write", full)
    shown = run("explore", "reentry/withdraw", "--failures", tmp_path)

    assert (shown.status, "BROKEN" in shown.out) == (2, True)
    assert "error: the disk is full" in shown.err


@pytest.mark.parametrize(
    ("name", "number", "status"),
    [
        ("reentry/withdraw_fixed", signal.SIGINT, 130),
        ("reentry/withdraw_fixed", signal.SIGTERM, 143),
        ("reentry/withdraw", signal.SIGINT, 1),
    ],
)
def test_a_signal_ends_the_search_with_a_report(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, number: int, status: int, tmp_path: Path
) -> None:
    show = _Progress.show

    def signal_soon(self: _Progress, tries: int, most: int, broken: int) -> None:
        show(self, tries, most, broken)
        if broken or tries == 50:
            signal.raise_signal(number)

    monkeypatch.setattr(_Progress, "show", signal_soon)
    again = "reentry/guard"
    shown = run("explore", name, again, "--write", tmp_path, "--failures", tmp_path)

    assert shown.status == status
    if status != 1:
        assert "interrupted: the search ends and tells what it found; once more leaves at once" in shown.err
        assert "ended: interrupted" in shown.out
    assert shown.out.splitlines()[-1] == f"1 explored: {int(status == 1)} broken, 1 not begun"
    assert f"interrupted before {again}" in shown.err
    assert bool(list(tmp_path.glob("explored_*.toml"))) is (status == 1)
    assert list(tmp_path.glob("*.corpus.json"))


def test_what_was_not_explored_is_not_said_to_be_well(run: Run, tmp_path: Path) -> None:
    starved = ("explore", "reentry/withdraw_fixed", "--gas", "10", "--tries", "20", "--write", str(tmp_path))
    shown, document = run(*starved), run(*starved, "--json")

    assert "NOT EXPLORED: the books are honest" in shown.out
    assert "nothing to write: no invariant is broken" in shown.err
    assert (document.status, json.loads(document.out)["ok"]) == (1, False)


def test_a_line_now_and_then_tells_how_far_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storagemod.cli.explore._LINE_SECONDS", 0)
    options = ("explore", "reentry/withdraw_fixed", "--calls", "2", "--tries", "30", "--json")
    shown = run(*options)

    assert re.search(r"^30 of 30 tries in \d+ s, 0 broken$", shown.err, re.MULTILINE)
    assert json.loads(shown.out)["tries"] == 30
    assert run(*options, "--no-time").err == ""


def test_an_invariant_that_is_broken_from_the_start_is_told_at_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "it.toml").write_text(
        "[accounts]\nmallory = 5\n[contracts.it]\nwat = '(module (func (export \"f\")))'\n"
        '[[invariants]]\nname = "rich"\nexpr = "balance(mallory) == 6"\n'
    )
    shown = run("explore", tmp_path / "it.toml", "--failures", tmp_path)

    assert shown.err.splitlines()[0] == "broken before anything was tried: rich"
    assert not (tmp_path / "it.attacks.json").exists()  # there is no attack


def test_a_second_signal_leaves_at_once_and_attacks_are_there_all_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def signal_twice(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("storagemod.explore.stopping._SAME_SECONDS", -1)
    monkeypatch.setattr(_Progress, "tell", signal_twice)
    shown = run("explore", "reentry/withdraw", "--failures", tmp_path)

    assert (shown.status, shown.out, shown.err) == (130, "", "interrupted\n")
    assert len(json.loads((tmp_path / "withdraw.attacks.json").read_text())["attacks"]) == 1
