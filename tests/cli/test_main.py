from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

import storagemod
from storagemod.cli import main
from storagemod.cli.main import cli
from storagemod.scenario.fixtures import fixture_names, scenario_names

from .conftest import Run

FULL = "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)"
needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")

ENDLESS = """
[contracts.x]
wat = '(module (func (export "f") (loop (br 0))))'
[[transactions]]
to = "x"
method = "f"
gas = 9_000_000_000_000_000_000
"""


def start(
    *args: object, code: str | None = None, stdout: str | None = None, **environment: str
) -> subprocess.Popen[str]:
    """Run the command line in a process of its own; its output goes to a pipe or to a file.

    Args:
        args: What stands behind the program's name.
        code: Python to run instead.
        stdout: A file for its output; by default a pipe.
        environment: What to add to the environment.
    """
    root = Path(storagemod.__file__).parents[1]
    what = ["-m", "storagemod", *map(str, args)] if code is None else ["-c", code]
    with contextlib.ExitStack() as stack:
        return subprocess.Popen(
            [sys.executable, *what],
            stdout=subprocess.PIPE if stdout is None else stack.enter_context(Path(stdout).open("w")),
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": str(root), **environment},
        )


def test_version_names_the_program_and_what_it_runs_on(run: Run) -> None:
    ran = run("--version")

    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(f"storagemod {storagemod.__version__} (wasmtime ")


@pytest.mark.parametrize("args", [[], *([name] for name in cli.commands)])
def test_help_is_a_result_that_fits_a_terminal(run: Run, args: list[str]) -> None:
    ran = run(*args, "--help")

    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: storagemod {' '.join([*args, '[OPTIONS]'])}")
    assert max(map(len, ran.out.splitlines())) <= 80
    assert ran.out == run(*args, "-h").out


def test_help_names_every_command_with_a_whole_sentence(run: Run) -> None:
    listed = run("--help").out.split("Commands:\n")[1].split("\n\n")[0].splitlines()

    assert [line.split()[0] for line in listed] == sorted(cli.commands)
    assert all(line.endswith(".") and "..." not in line for line in listed)


def test_help_names_the_contracts_and_scenarios_that_come_with_the_package(run: Run) -> None:
    words = {command: set(re.findall(r"\w+/\w+", run(command, "--help").out)) for command in ("inspect", "run")}

    assert words == {"inspect": set(fixture_names()), "run": set(scenario_names())}


def test_without_a_command_help_is_shown_but_nothing_is_a_result(run: Run) -> None:
    ran = run()

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == run("--help").out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["frobnicate"], "No such command 'frobnicate'."),
        (["run"], "Missing argument 'FILE.toml...'."),
        (["inspect"], "Missing argument 'CONTRACT'."),
        (["inspect", "a", "b"], "Got unexpected extra argument (b)"),
        (["compile", "--json"], "Missing argument 'PATH...'."),
        (["run", "--link", "nope", "x.toml"], "'nope' is not one of 'single', 'regions', 'methods'"),
        (["compile", "--link"], "Option '--link' requires an argument."),
        (["demo", "--what"], "No such option"),
        (["run", ""], "it is empty"),
        (["compile", ""], "it is empty"),
        (["inspect", ""], "it is empty"),
    ],
)
def test_wrong_usage_has_status_two_and_one_message(run: Run, args: list[str], message: str) -> None:
    ran = run(*args)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert ran.err.lower().count("error: ") == 1
    assert message in ran.err.splitlines()[0]


def test_fault_of_the_program_is_called_one_and_asks_for_a_report(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("storagemod.cli.run.load_named_scenario", fail)

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

    monkeypatch.setattr("storagemod.cli.run.load_named_scenario", fail)
    monkeypatch.setenv("STORAGEMOD_TRACEBACK", "1")

    assert main(["run", "x"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_interrupt_ends_a_running_transaction_with_status_130(tmp_path: Path) -> None:
    (tmp_path / "quick.toml").write_text('[[transactions]]\nto = "0x1"\n')
    (tmp_path / "endless.toml").write_text(ENDLESS)
    process = start("run", tmp_path / "quick.toml", tmp_path / "endless.toml", "-vvvv", PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    assert "quick" in process.stdout.readline()  # from here on it is running, and will not end by itself for long
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)

    out, err = process.communicate(timeout=8)

    assert (process.returncode, err) == (130, "interrupted\n")
    assert "endless" not in out


def test_reader_that_goes_away_is_no_error() -> None:
    process = start("demo")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()

    assert process.stderr.read() == ""
    assert process.wait(timeout=20) == 141
    process.stderr.close()


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["inspect", "puppet/puppet"], ["demo"]])
def test_reader_that_reads_nothing_is_no_error(args: list[str]) -> None:
    code = (
        "import os, sys; reading, writing = os.pipe(); os.close(reading); os.dup2(writing, 1); os.close(writing); "
        f"os.execv(sys.executable, [sys.executable, '-m', 'storagemod', *{args!r}])"
    )
    process = start(code=code)

    assert process.communicate(timeout=20)[1] == ""
    assert process.returncode == 141


@needs_dev_full
def test_output_that_cannot_be_written_is_told() -> None:
    process = start("demo", stdout="/dev/full")

    assert process.communicate(timeout=20)[1] == "error: No space left on device\n"
    assert process.returncode == 74


@pytest.mark.parametrize("args", [["demo"], ["inspect", "bank/bank", "--json"], ["run", "bank/safe"]])
def test_standard_output_that_is_closed_is_told(args: list[str]) -> None:
    code = f"import os, sys; os.close(1); os.execv(sys.executable, [sys.executable, '-m', 'storagemod', *{args!r}])"
    process = start(code=code)

    assert process.communicate(timeout=20)[1] == "error: the standard output is closed\n"
    assert process.returncode == 74


@pytest.mark.parametrize("stderr", ["os.close(2)", pytest.param(FULL, marks=needs_dev_full)])
@pytest.mark.parametrize(("args", "status"), [(["run", "none.toml"], 2), (["nonsense"], 2), (["run", "bank/safe"], 0)])
def test_status_is_right_where_messages_cannot_be_written(stderr: str, args: list[str], status: int) -> None:
    code = f"import os, sys; {stderr}; os.execv(sys.executable, [sys.executable, '-m', 'storagemod', *{args!r}])"
    process = start(code=code)

    process.communicate(timeout=20)
    assert process.returncode == status


def test_output_in_an_encoding_without_the_characters_of_the_tree_is_no_error() -> None:
    process = start("demo", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")

    out, err = process.communicate(timeout=20)

    assert (process.returncode, err) == (0, "")
    assert r"\u2514\u2500 \u2190 [Return]" in out


def on_terminal(*args: object, columns: int = 80, **environment: str) -> str:
    """What the command line prints on a terminal."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    plain = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS", "FORCE_COLOR"}}
    root = Path(storagemod.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "storagemod", *map(str, args)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**plain, "PYTHONPATH": str(root), "TERM": "xterm-256color", **environment},
    )
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # Linux says so where the other end is closed
        while part := os.read(controller, 65_536):
            shown += part
    os.close(controller)
    assert process.wait(timeout=20) == 0
    return shown.decode().replace("\r\n", "\n")


def test_terminal_gets_colours_and_the_same_text_as_a_pipe() -> None:
    shown = on_terminal("demo", columns=200)
    piped = start("demo").communicate(timeout=20)[0]

    assert "\x1b[" in shown
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == piped
    assert "\x1b" not in piped


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_terminal_whose_user_wants_no_colours_gets_none(variable: dict[str, str]) -> None:
    assert "\x1b" not in on_terminal("run", "bank/robbed", "-vvvv", **variable)


def test_prose_is_no_wider_than_a_narrow_terminal() -> None:
    told = on_terminal("demo", columns=40, NO_COLOR="1").split("1. A bank with a fault")[0].splitlines()

    prose = [line for line in told if line and not line.startswith("  ")]
    assert len(prose) > 15
    assert max(map(len, prose[1:])) <= 40


def test_width_of_a_terminal_does_not_change_what_goes_into_a_file() -> None:
    assert start("demo", COLUMNS="40").communicate(timeout=20) == start("demo").communicate(timeout=20)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("storagemod sta", ["plain,state", "plain,statetest"]),
        ("storagemod state ver", ["plain,verify"]),
        ("storagemod run --lin", ["plain,--link"]),
        ("storagemod run --link reg", ["plain,regions"]),
        ("storagemod run ", ["file,"]),
    ],
)
def test_shells_complete_words(run: Run, monkeypatch: pytest.MonkeyPatch, words: str, wanted: list[str]) -> None:
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    monkeypatch.setenv("_STORAGEMOD_COMPLETE", "bash_complete")

    done = run()

    assert (done.status, done.out.split(), done.err) == (0, wanted, "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_shells_get_the_script_that_completes(run: Run, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("_STORAGEMOD_COMPLETE", f"{shell}_source")

    done = run()

    assert done.status == 0
    assert f"_STORAGEMOD_COMPLETE={shell}_complete" in done.out


def test_shell_that_is_unknown_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_STORAGEMOD_COMPLETE", "tcsh_source")

    done = run()

    assert (done.status, done.out) == (2, "")
    assert "must be bash_source or fish_source or zsh_source, got 'tcsh_source'" in done.err
