"""Names from files and contracts are shown escaped: none looks like a line of ours, and no terminal acts on one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storagemod.cli import output
from storagemod.errors import one_line
from tests.statetest.examples import vector

from .conftest import Run

FAKE = "x\\n  ok   all is well (ok, gas 0)\\u001b[31m[red]\\u202e"
FAKE_IN_EXPRESSION = FAKE.replace("\\", "\\\\")
SHOWN = r"x\n  ok   all is well (ok, gas 0)\x1b[31m[red]\u202e"
"""The name as TOML has it, and as it is shown."""

SCENARIO = f'''
[scenario]
name = "{FAKE}"
[accounts]
"{FAKE}" = 5
[contracts."c{FAKE}"]
wat = """(module
  ;; @storage
  (memory $memory (export "memory") 2) (func (export "main") (call $store_i64 (i32.const 0) (i64.const 1)))
  (func (export "other")))"""
[[transactions]]
name = "{FAKE}"
to = "c{FAKE}"
expect.output = "0x01"
[[invariants]]
name = "{FAKE}"
expr = "account('c{FAKE_IN_EXPRESSION}').memory.i32[0] == 0"
[explore]
untrusted = ["{FAKE}"]
'''


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "it.toml"
    path.write_text(SCENARIO)
    return path


COMMANDS = (
    ("run", "it.toml", "-vvvv"),
    ("compare", "it.toml", "-l", "single"),
    ("snapshot", "it.toml", "-l", "single", "--diff"),
    ("explore", "it.toml", "--tries", "20"),
    ("inspect", "--tables", "it.toml", "--link", "paged"),
)


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_newline_in_a_name_makes_no_line(run: Run, words: tuple[str, ...]) -> None:
    if words[0] == "snapshot":
        run("snapshot", "it.toml", "-l", "single")
        Path("it.toml").write_text(SCENARIO.replace("i64.const 1", "i64.const 2"))

    ran = run(*words)

    text = ran.out + ran.err
    assert (SHOWN if words[0] != "snapshot" else " ".join(SHOWN.replace("\\n", "").split())) in text
    assert not any(line.strip().startswith("ok   all is well") for line in text.splitlines())
    assert not any(character in text for character in ("\x1b", "\u202e"))


@pytest.mark.usefixtures("file")
def test_a_terminal_shows_markup_as_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "is_styled", lambda: True)
    assert SHOWN in run("run", "it.toml", "-vvvv").out.replace("\x1b[0m", "")


def test_errors_and_vectors_make_no_lines_either(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(f'[[transactions]]\nto = "{FAKE}"\n')
    ran = run("run", tmp_path / "bad.toml")
    assert ran.status == 2
    assert all(line.startswith(("error: ", "  ")) for line in ran.err.splitlines())
    (tmp_path / "it.json").write_text(json.dumps(vector(name="x\npass  y")))
    assert r"pass  x\npass  y" in run("statetest", tmp_path / "it.json").out.splitlines()


def test_a_file_with_a_newline_in_its_name_has_a_snapshot(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a\nb.toml"
    path.write_text('[contracts.c]\nwat = "(module (func (export \\"main\\")))"\n[[transactions]]\nto = "c"\n')
    snapshot = tmp_path / "s"
    assert run("snapshot", path, "-l", "single", "--file", snapshot).status == 0
    assert run("snapshot", path, "-l", "single", "--file", snapshot, "--check").status == 0
    assert len(snapshot.read_text().splitlines()) == 2 + 1


def test_only_what_is_not_printable_is_escaped() -> None:
    assert one_line("näme 日本 \\ 'x'") == "näme 日本 \\ 'x'"
    assert one_line("a\nb\t\u2028é") == r"a\nb\t\u2028é"
