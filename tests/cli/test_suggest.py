"""``storagemod suggest``: what it prints can be pasted into the file that it was asked about."""

from __future__ import annotations

import json
from pathlib import Path

from storagemod.scenario.fixtures import scenario_path

from .conftest import Run

HOSTILE = r'"x\n\"ok\" \\ \u001b[31m \u202e \u007f \U0001f600"'


def test_what_is_printed_is_a_part_of_a_scenario_that_holds(run: Run, tmp_path: Path) -> None:
    shown = run("suggest", "reentry/guard")
    assert (shown.status, shown.err) == (0, "")
    assert shown.out.startswith("# Held in all 3 states. 2 transactions changed what it is about.\n[[invariants]]\n")
    source = scenario_path("reentry/guard")
    text = source.read_text().replace('code = "', f'code = "{source.parent}/') + "\n" + shown.out
    (tmp_path / "it.toml").write_text(text)
    assert run("run", tmp_path / "it.toml").status == 0
    assert 'invariant "box covers' not in run("run", tmp_path / "it.toml", "-v").out


def test_hostile_names_are_escaped_and_can_be_pasted(run: Run, tmp_path: Path) -> None:
    store = "(i64.store (i32.const 8) (local.get 0))"
    code = f'(module (import "storage" "memory" (memory 1)) (func (export "set") (param i64) {store}))'
    call = f"[[transactions]]\nto = {HOSTILE}\nmethod = 'set'\nargs = [{{}}]\n"
    text = f"[contracts.{HOSTILE}]\nwat = '''{code}'''\n" + call.format(1) + call.format(2)
    (tmp_path / "it.toml").write_text(text)
    shown = run("suggest", tmp_path / "it.toml")
    assert "never falls" in shown.out
    assert not set("\x1b\u202e\x7f") & set(shown.out)
    assert len([line for line in shown.out.splitlines() if line and line[0] not in "#[ne"]) == 0
    (tmp_path / "more.toml").write_text(text + shown.out)
    assert run("run", tmp_path / "more.toml").status == 0


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
