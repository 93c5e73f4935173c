from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import storagemod
from storagemod.cli import main

from .conftest import Run

ENDLESS = """
[contracts.x]
wat = '(module (func (export "f") (loop (br 0))))'
[[transactions]]
to = "x"
method = "f"
gas = 9_000_000_000_000_000_000
"""


def start(*args: object, stdout: str | None = None, **environment: str) -> subprocess.Popen[str]:
    """Run the command line in a process of its own; its output goes to a pipe or to a file."""
    root = Path(storagemod.__file__).parents[1]
    with contextlib.ExitStack() as stack:
        return subprocess.Popen(
            [sys.executable, "-m", "storagemod", *map(str, args)],
            stdout=subprocess.PIPE if stdout is None else stack.enter_context(Path(stdout).open("w")),
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": str(root), **environment},
        )


def test_help_and_version_are_results(run: Run) -> None:
    assert run("--help").status == 0
    assert "demo" in run("-h").out
    assert run("--version").out == f"storagemod, version {storagemod.__version__}\n"


@pytest.mark.parametrize("args", [["frobnicate"], ["run"], ["run", "--link", "nope", "x.toml"], ["demo", "--what"]])
def test_wrong_usage_has_status_two_and_a_message(run: Run, args: list[str]) -> None:
    ran = run(*args)

    assert ran.status == 2
    assert ran.out == ""
    assert "Error: " in ran.err


def test_fault_of_the_program_is_called_one_and_asks_for_a_report(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("storagemod.cli.run.load_scenario", fail)

    ran = run("run", tmp_path)

    assert ran.status == 70
    assert ran.err.startswith(
        f"error: this is a fault of storagemod {storagemod.__version__}, not yours: RuntimeError: boom\n"
    )


def test_fault_shows_its_traceback_where_the_environment_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("storagemod.cli.run.load_scenario", fail)
    monkeypatch.setenv("STORAGEMOD_TRACEBACK", "1")

    assert main(["run", "x"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_interrupt_ends_a_running_transaction_with_status_130(tmp_path: Path) -> None:
    file = tmp_path / "endless.toml"
    file.write_text(ENDLESS)
    process = start("run", file)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)

    out, err = process.communicate(timeout=8)

    assert process.returncode == 130
    assert err == "interrupted\n"
    assert "expected" not in out


def test_reader_that_goes_away_is_no_error() -> None:
    process = start("demo")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()

    assert process.stderr.read() == ""
    assert process.wait(timeout=20) == 141
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_output_that_cannot_be_written_is_told() -> None:
    process = start("demo", stdout="/dev/full")

    assert process.communicate(timeout=20)[1] == "error: No space left on device\n"
    assert process.returncode == 74


def test_output_in_an_encoding_without_the_characters_of_the_tree_is_no_error() -> None:
    process = start("demo", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")

    out, err = process.communicate(timeout=20)

    assert (process.returncode, err) == (0, "")
    assert r"\u2514\u2500 \u2190 [Return]" in out
