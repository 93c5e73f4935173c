"""``storagemod suggest``: what it prints can be pasted into the file that it was asked about."""

from __future__ import annotations

import json
from pathlib import Path

from storagemod.scenario.fixtures import scenario_path

from .conftest import Run


def test_what_is_printed_is_a_part_of_a_scenario_that_holds(run: Run, tmp_path: Path) -> None:
    shown = run("suggest", "reentry/guard")
    assert (shown.status, shown.err) == (0, "")
    assert shown.out.startswith("# Held in all 3 states. 2 transactions changed what it is about.\n[[invariants]]\n")
    source = scenario_path("reentry/guard")
    text = source.read_text().replace('code = "', f'code = "{source.parent}/') + "\n" + shown.out
    (tmp_path / "it.toml").write_text(text)
    assert run("run", tmp_path / "it.toml").status == 0
    assert 'invariant "box covers' not in run("run", tmp_path / "it.toml", "-v").out


def test_a_document_and_how_many(run: Run) -> None:
    body = json.loads(run("suggest", "reentry/withdraw", "--json", "--count", "1").out)
    assert body["schema"] == "storagemod.suggest/1"
    (first,) = body["suggestions"]
    assert first["expr"] == "sum(bank.memory[64:]) == bank.memory[0]"
    assert (first["states"], first["changed"]) == (3, 2)


def test_nothing_to_suggest_is_told_and_bad_input_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "it.toml").write_text("[accounts]\na = 5\n[[transactions]]\nto = 'a'\n")
    shown = run("suggest", tmp_path / "it.toml")
    assert (shown.status, shown.out) == (0, "")
    assert shown.err.startswith("nothing to suggest")
    assert run("suggest", "reentry/withdrow").status == 2
    assert run("suggest", "reentry/withdraw", "--count", "0").status == 2
