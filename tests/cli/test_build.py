"""``storagemod compile`` of C and Zig, what it writes, and ``storagemod header``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from storagemod import World
from storagemod.languages import BINDINGS, HEADER
from storagemod.scenario.fixtures import fixture_path, scenario_path
from tests.languages.compilers import FOLDER, require

from .conftest import Run

COUNTER = """\
#include <storagemod.h>
struct STORAGEMOD_PAGED state { int64_t count; };
static struct state state;
STORAGEMOD_EXPORT(increment) int64_t increment(void) {
  STORAGEMOD_MAP(state, 0);
  return ++state.count;
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is also where the command is run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def zig() -> None:
    require(".c")


@pytest.mark.usefixtures("zig")
def test_file_of_c_is_compiled_and_checked_and_written(run: Run, folder: Path) -> None:
    (folder / "counter.c").write_text(COUNTER)

    ran = run("compile", "counter.c", "-o", "counter.wasm")

    world = World()
    address = world.deploy(folder / "counter.wasm")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("ok  counter.c  ")
    assert ran.out.endswith("1 contract compiled to counter.wasm\n")
    assert [world.transact(address, "increment").value for _ in range(2)] == [1, 2]
    assert sorted(path.name for path in folder.iterdir()) == ["counter.c", "counter.wasm"]


@pytest.mark.usefixtures("zig")
def test_compiled_contract_runs_in_a_scenario(run: Run, folder: Path) -> None:
    text = scenario_path("bank/safe").read_text()
    text = text.replace("bank_fixed.wat", "bank.wasm").replace("attacker.wat", str(fixture_path("bank/attacker")))
    text = text.replace(", gas_max = 1_000", "")  # what is linked how is no matter here
    (folder / "safe.toml").write_text(text)
    for source in ("c/bank_mapped.c", "zig/bank_methods.zig"):
        assert run("compile", FOLDER / source, "-o", "bank.wasm").status == 0

        ran = run("run", "safe.toml")

        assert (ran.status, ran.err) == (0, "")


@pytest.mark.usefixtures("zig")
@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("a.c", "int f(", "a.c:1:7: error: expected"),
        ("-a.c", "int f(", "./-a.c:1:7: error: expected"),
        ("@a.c", "int f(", "./@a.c:1:7: error: expected"),
        ("a.c", "#include <stdlib.h>\n", "a.c:1:10: fatal error: 'stdlib.h' file not found"),
        ("a.c", 'int g(void); __attribute__((export_name("f"))) int f(void) { return g(); }', "undefined symbol: g"),
        ("a.zig", "export fn f() void { x(); }", "a.zig:1:22: error: use of undeclared identifier 'x'"),
    ],
)
def test_what_the_compiler_says_is_the_error(run: Run, folder: Path, name: str, source: str, message: str) -> None:
    (folder / name).write_text(source)

    ran = run("compile", "-o", "a.wasm", "--", name)

    assert ran.status == 2
    assert ran.err.startswith(f"error: {name} does not compile\n")
    assert message in ran.err
    assert not (folder / "a.wasm").exists()


@pytest.mark.usefixtures("zig")
def test_what_compiles_and_is_no_contract_is_an_error_and_not_written(run: Run, folder: Path) -> None:
    (folder / "a.c").write_text(
        '#include <storagemod.h>\nSTORAGEMOD_IMPORT("env", "abort") void stop(void);\n'
        "STORAGEMOD_EXPORT(f) void f(void) { stop(); }\n"
    )

    ran = run("compile", "a.c", "-o", "a.wasm")

    assert ran.status == 2
    assert ran.err.startswith("error: a.c: ")
    assert "nothing is offered under 'env'" in ran.err
    assert not (folder / "a.wasm").exists()


@pytest.mark.usefixtures("zig")
def test_warnings_are_shown_and_stop_nothing(run: Run, folder: Path) -> None:
    (folder / "a.c").write_text(COUNTER.replace("return ++", "int unused; return ++"))

    ran = run("compile", "a.c", "--json")

    assert ran.status == 0
    assert "a.c:6:7: warning: unused variable 'unused'" in ran.err
    assert json.loads(ran.out)["files"][0]["entry_points"] == {"increment": "(func (result i64))"}


@pytest.mark.usefixtures("zig")
def test_a_contract_that_calls_functions_is_checked_for_a_link_and_written_as_compiled(run: Run, folder: Path) -> None:
    (folder / "a.c").write_text(
        "#include <storagemod.h>\n"
        "STORAGEMOD_EXPORT(count) int64_t count(void) { storage_store_i64(0, storage_load_i64(0) + 1); return 0; }"
    )

    assert run("compile", "a.c", "-o", "plain.wasm").status == 0
    lowered = json.loads(run("compile", "a.c", "-o", "a.wasm", "--link", "single", "--json").out)

    assert lowered["files"][0]["options"] == ["single"]
    assert (folder / "a.wasm").read_bytes() == (folder / "plain.wasm").read_bytes()


def test_without_the_compiler_it_is_said_how_to_install_it(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.c").write_text(COUNTER)
    monkeypatch.setitem(sys.modules, "ziglang", None)

    ran = run("compile", "a.c")

    assert ran.status == 2
    assert ran.err.startswith("error: a.c: C is compiled by Zig, which is not installed (pip install ")


@pytest.mark.usefixtures("zig")
def test_source_that_is_named_where_a_contract_belongs_is_compiled(run: Run, folder: Path) -> None:
    (folder / "a.c").write_text(COUNTER)
    (folder / "a.toml").write_text(
        '[contracts.a]\ncode = "a.c"\n[[transactions]]\nto = "a"\nmethod = "increment"\nexpect = { value = 1 }\n'
    )

    assert run("run", "a.toml").status == 0
    assert "increment  (func (result i64))" in run("inspect", "a.c").out


def test_source_that_is_not_there_is_an_error_that_says_why(run: Run, folder: Path) -> None:
    assert not list(folder.iterdir())
    assert run("compile", "a.c").err == "error: a.c cannot be read: No such file or directory\n"


def test_wat_is_written_with_the_option_that_is_asked_for(run: Run, folder: Path) -> None:
    ran = run("compile", fixture_path("counter/counter"), "--link", "methods", "-o", "counter.wasm")

    assert ran.status == 0
    assert (folder / "counter.wasm").read_bytes().startswith(b"\0asm")
    assert run("compile", "counter.wasm").out.splitlines()[0].endswith("  methods")


@pytest.mark.parametrize("paths", [("a.wat", "b.wat"), (".",)])
def test_output_is_for_one_file(run: Run, folder: Path, paths: tuple[str, ...]) -> None:
    (folder / "a.wat").write_text("(module)")
    (folder / "b.wat").write_text("(module)")

    ran = run("compile", *paths, "-o", "a.wasm")

    assert ran.status == 2
    assert "--output is for one file at a time" in ran.err
    assert not (folder / "a.wasm").exists()


def test_source_is_never_overwritten(run: Run, folder: Path) -> None:
    (folder / "a.wat").write_text("(module)")

    ran = run("compile", "a.wat", "-o", "./a.wat")

    assert (ran.status, ran.err) == (2, "error: a.wat is the source itself, which would be overwritten\n")
    assert (folder / "a.wat").read_text() == "(module)"


def test_output_that_cannot_be_written_is_an_error_that_says_why(run: Run, folder: Path) -> None:
    (folder / "a.wat").write_text("(module)")

    ran = run("compile", "a.wat", "-o", "none/a.wasm")

    assert (ran.status, ran.err) == (2, "error: none/a.wasm cannot be written: No such file or directory\n")
    assert ran.out == "0 contracts compiled, 1 failed\n"


def test_header_is_printed_and_its_folder_too(run: Run) -> None:
    assert run("header").out == HEADER.read_text()
    assert Path(run("header", "--folder").out.strip(), "storagemod.h").samefile(HEADER)


@pytest.mark.parametrize(
    ("language", "suffix"), [("c", ".c"), ("zig", ".zig"), ("assemblyscript", ".ts"), ("rust", ".rs")]
)
def test_binding_of_each_language_is_printed(run: Run, language: str, suffix: str) -> None:
    assert run("header", language).out == BINDINGS[suffix].read_text()


def test_header_of_an_unknown_language_is_an_error_that_names_those_there_are(run: Run) -> None:
    ran = run("header", "perl")
    assert ran.status == 2
    assert "'c', 'zig', 'assemblyscript', 'rust'" in ran.err
