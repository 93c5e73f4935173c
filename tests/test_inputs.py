"""Whatever is read has a limit: what is no file is refused, and what is small on disk does not take for ever."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import pytest

from storagemod import Limits, World, inputs, languages
from storagemod.errors import ScenarioError, StateError, StorageModError, ValidationError
from storagemod.inputs import TOML_DEPTH_MAX, TOML_KEY_PARTS_MAX, TOML_VALUES_MAX, open_file, parse_toml, read_file
from storagemod.languages import compile_source
from storagemod.scenario import TransactionResult, load_scenario, parse_scenario, run_scenario
from storagemod.scenario.load import PROBLEMS_MAX, ScenarioFileError
from storagemod.scenario_files import is_scenario
from storagemod.state import SqlitePageStore, import_state
from storagemod.statetest.vector import VectorError, parse_vector, read_vector
from storagemod.testing.options import _read_table
from storagemod.wasm import read_source

PATIENCE_SECONDS = 60
"""Time after which something counts as without end. The slowest of these takes a tenth of a second."""


@pytest.fixture(autouse=True)
def _no_test_waits_for_ever() -> Iterator[None]:
    def stop(_: int, __: FrameType | None) -> None:
        raise AssertionError(f"it has not ended after {PATIENCE_SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(PATIENCE_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


# Files that are none


@pytest.fixture(params=["pipe", "device", "socket", "directory"])
def no_file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    path = Path("it.toml")
    if request.param == "pipe":
        os.mkfifo(path)
        yield path
    elif request.param == "device":
        path.symlink_to("/dev/zero")
        yield path
    elif request.param == "directory":
        path.mkdir()
        yield path
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            yield path


READERS: dict[str, Callable[[Path], object]] = {
    "scenario": load_scenario,
    "contract": lambda path: read_source(path, Limits()),
    "contract that is deployed": lambda path: World().deploy(path),
    "vector": read_vector,
    "snapshot": lambda path: inputs.read_text(path, bytes_max=100),
    "source": lambda path: compile_source(path.rename(path.with_suffix(".rs"))),
    "export": lambda path: import_state(path, path.with_name("world")),
}


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_refused(no_file: Path, reader: str) -> None:
    with pytest.raises(StorageModError):
        READERS[reader](no_file)


def test_what_is_no_file_is_no_scenario_and_no_settings(no_file: Path) -> None:
    assert not is_scenario(no_file)
    with pytest.raises(pytest.UsageError, match="is a "):
        _read_table(no_file)


@pytest.mark.parametrize(
    "argument",
    [
        ["run"],
        ["compare"],
        ["explore"],
        ["suggest"],
        ["snapshot"],
        ["statetest"],
        ["compile"],
        ["inspect"],
        ["state", "list"],
    ],
    ids=" ".join,
)
def test_commands_refuse_a_pipe_at_once(tmp_path: Path, argument: list[str]) -> None:
    os.mkfifo(tmp_path / "it.toml")
    command = [sys.executable, "-m", "storagemod", *argument, "it.toml"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert ran.returncode == 2, ran.stderr
    assert "it.toml" in ran.stderr


@pytest.mark.parametrize("name", ["catalogue.sqlite", "readers", "lock", "newest", "images/1.pages"])
def test_pipes_in_the_directory_of_a_world_are_not_waited_for(tmp_path: Path, name: str) -> None:
    directory = tmp_path / "world"
    with World(directory) as world:
        address = world.deploy('(module (import "storage" "memory" (memory 1)) (func (export "main")))')
        world.load_storage(address, "memory", b"something")
    (directory / name).unlink()
    os.mkfifo(directory / name)
    for read_only in (False, True):
        try:
            store = SqlitePageStore(directory, read_only=read_only)
        except StateError:
            continue
        store.close()  # a pipe can be locked, if nothing is read from it
        assert name in ("readers", "lock")


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it"
    os.mkfifo(path)
    regular = Path(__file__).stat()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", lambda _self, **_: regular)
        with pytest.raises(ValidationError, match=r"is a named pipe \(write its content to a file first\)"):
            open_file(path)


def test_a_file_has_its_length_at_most(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes(bytes(100))
    assert read_file(path, bytes_max=100) == bytes(100)
    with pytest.raises(ValidationError, match=r"it is longer than 99 bytes \(some_max\)"):
        read_file(path, bytes_max=99, limit="some_max")


# TOML


def test_a_key_has_so_many_parts() -> None:
    parse_toml(".".join(["a"] * TOML_KEY_PARTS_MAX) + " = 1.5")
    parse_toml(f"[{' . '.join(['a'] * TOML_KEY_PARTS_MAX)}]")
    for key in (".".join, " . ".join, lambda parts: ".".join(f'"{each}."' for each in parts)):
        for before, after in (("", "= 1"), ("[", "]"), ("[[", "]]"), ("x = {", "= 1}")):
            with pytest.raises(ValueError, match=rf"more than {TOML_KEY_PARTS_MAX} parts \(at line 2, column \d+\)"):
                parse_toml("y = 1.5\n" + before + key(["a"] * (TOML_KEY_PARTS_MAX + 1)) + after)
    with pytest.raises(ScenarioError, match=r"it:1: a key has more than 32 parts"):
        parse_scenario(".".join(["a"] * 100_000) + " = 1", path="it", folder=Path())


def test_dots_and_brackets_in_strings_and_comments_do_not_count() -> None:
    many, marks = "." * 100, "[{,=" * 100
    text = f"""
a = "{many}{marks}\\"{many}"  # {many}{marks}
b = '{many}{marks}'
c = \"\"\"{many}{marks}\\\"\"\"{many}
"" {many}\"\"\"\"\"
d = '''{many}{marks}
'' {many}'''''
"e.{many}" = 1979-05-27T07:32:00.999
"""
    assert set(parse_toml(text)) == {"a", "b", "c", "d", f"e.{many}"}


def test_toml_has_so_many_values_and_is_so_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    parse_toml("a = " + "[" * TOML_DEPTH_MAX + "]" * TOML_DEPTH_MAX)
    with pytest.raises(ValueError, match=r"nested deeper than 32 \(at line 1, column 37\)"):
        parse_toml("a = " + "[" * (TOML_DEPTH_MAX + 1) + "]" * (TOML_DEPTH_MAX + 1))
    with pytest.raises(ValueError, match=r"more than 200,000 values"):
        parse_toml("a = [" + "1," * TOML_VALUES_MAX + "]")
    monkeypatch.setattr(inputs, "TOML_VALUES_MAX", 5)
    parse_toml("a = 1\nb = [1, 2]")
    for text in ("a = [1, 2, 3, 4, 5]", "[a]\n" * 6, "a = 1\n" * 6, "x = {a = 1, b = 1, c = 1}"):
        with pytest.raises(ValueError, match="more than 5 values"):
            parse_toml(text)


@pytest.mark.parametrize("start", ['a = "', "a = '", 'a = """', "a = '''", "a = [", "a.", '"\\', '"""\\', "a = {"])
def test_long_text_that_is_no_toml_is_refused_in_linear_time(start: str) -> None:
    for filling in ("x", '"', "'", '\\"', "\\", '"\\', "\n", "[", "a."):
        with pytest.raises(ValueError, match=r"\S"):
            parse_toml(start + filling * 100_000)


def test_blank_lines_are_not_remembered() -> None:
    text = "[contracts.a]\nwat = ''\n" + "# a line\n" * 100_000 + "[[transactions]]\nto = 'a'\n"
    assert parse_scenario(text, path="it", folder=Path()).lines.line(("transactions", 0)) == 100_003


# Scenarios


def test_a_file_with_problems_without_end_is_told_in_part() -> None:
    text = "[contracts.a]\nwat = ''\n" + "[[transactions]]\nto = 'b'\nargs = [1]\n" * 10_000
    with pytest.raises(ScenarioFileError) as raised:
        parse_scenario(text, path="it", folder=Path())
    assert len(raised.value.problems) == PROBLEMS_MAX
    assert str(raised.value).startswith("it: 5,000 problems and perhaps more\n")


def test_names_are_looked_for_in_many_others_at_once() -> None:
    contracts = "".join(f"[contracts.c{number}]\nwat = ''\n" for number in range(5_000))
    calls = "".join(f"[[transactions]]\nto = 'c{number}'\n" for number in range(5_000))
    assert len(parse_scenario(contracts + calls, path="it", folder=Path()).transactions) == 5_000
    with pytest.raises(ScenarioError, match=r"no account or contract is named \"zz\" \(there is c0, .*4,980 more\)"):
        parse_scenario(contracts + "[[transactions]]\nto = 'zz'\n", path="it", folder=Path())


BOX = """
[contracts.box]
wat = '(module (func (export "main") (unreachable)))'
[[transactions]]
to = "box"
method = "METHOD"
expect.error = 'PATTERN'
"""


def run_box(pattern: str, method: str = "a" * 60) -> tuple[TransactionResult, ...]:
    text = BOX.replace("METHOD", method).replace("PATTERN", pattern)
    scenario = parse_scenario(text, path="it.toml", folder=Path())
    with World() as world:
        return tuple(run_scenario(scenario, world=world).transactions)


@pytest.mark.parametrize("on_main_thread", [True, False])
@pytest.mark.parametrize("pattern", [r"(a|aa)+$", r"(.|.)+\1x$"])
def test_an_expression_has_so_much_time(pattern: str, on_main_thread: bool) -> None:
    def run() -> None:
        with pytest.raises(ScenarioError, match=r"it.toml:7: the expression .* takes longer than 1 s \(repeat nothing"):
            run_box(pattern)

    if on_main_thread:
        run()
        return
    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


@pytest.mark.parametrize("pattern", ["no method", "^box: .*a+", "(a+)+", "^(a+)+$", "[a]{60}", "^(?:[^b]){3,}", "A"])
def test_other_expressions_match_as_ever(pattern: str) -> None:
    (result,) = run_box(pattern)
    assert result.ok is (re.search(pattern, str(result.refused)) is not None)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a{9999999}", "are too large together"),
        ("(?:(?:a?){999}){999}", "are too large together"),
        ("(?:a{1,999}){,1000}", "are too large together"),
        ("a" * 1_001, "1,000 characters at most, found 1,001"),
        ("(" * 450 + ")" * 450, "is not a regular expression"),
        ("(", "is not a regular expression"),
    ],
)
def test_an_expression_that_is_too_large_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        run_box(pattern)


# Vectors


def test_an_object_of_a_vector_may_have_many_keys() -> None:
    keys = ",".join(f'"k{number}": 1' for number in range(40_000))
    with pytest.raises(VectorError, match="40003 problems"):
        parse_vector("{" + keys + "}", path="it")
    with pytest.raises(VectorError, match='"k7" is there twice'):
        parse_vector("{" + keys + ', "k7": 2}', path="it")


# Compilers


def test_a_compiler_that_does_not_end_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    monkeypatch.setattr(languages, "COMPILE_SECONDS_MAX", 3.0)
    with pytest.raises(ValidationError, match="the compiler has not ended after 3 s"):
        languages._run([sys.executable, "-c", program])
    pid = int((tmp_path / "pid").read_text())
    ended = threading.Event()
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            break
        ended.wait(0.1)
    else:
        raise AssertionError("the child of the compiler is still there")


def test_of_what_a_compiler_prints_the_beginning_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "MESSAGES_BYTES_MAX", 10)
    ran = languages._run([sys.executable, "-c", "import sys; sys.stderr.write('x' * 10_000_000); print('out')"])
    assert (ran.status, ran.output, ran.messages) == (0, b"out\n", b"x" * 10)
