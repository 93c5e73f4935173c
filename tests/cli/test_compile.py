from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run

WAT = Path(__file__).parents[2] / "wat"

GOOD = '(module (func (export "f") (param i32) (result i64) (i64.const 1)))'
OPEN = '(module\n  ;; @storage\n  (memory $memory (export "memory") 1))'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is also where the command is run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_fixture_compiles_under_every_option(run: Run, option: str) -> None:
    ran = run("compile", WAT, "--link", option)

    count = len([path for path in WAT.rglob("*.wat") if path.parent.name != "storage"])
    assert ran.status == 0
    assert ran.out.splitlines()[-1] == f"{count} contracts compiled"
    assert ran.err == f"note: left out {WAT / 'storage'}: preludes, which are spliced into contracts\n"


def test_file_is_compiled_and_its_size_and_option_are_told(run: Run, folder: Path) -> None:
    (folder / "good.wat").write_text(GOOD)
    (folder / "open.wat").write_text(OPEN)

    ran = run("compile", "good.wat", "open.wat")

    good, opened, summary = ran.out.splitlines()
    assert ran.status == 0
    assert good.startswith("ok  good.wat  ")
    assert good.endswith(" bytes  no storage")
    assert opened.endswith(" bytes  single")
    assert summary == "2 contracts compiled"
    assert run("compile", "open.wat", "--link", "methods").out.splitlines()[0].endswith("  methods")


def test_every_file_that_fails_is_reported_with_line_and_column(run: Run, folder: Path) -> None:
    (folder / "a.wat").write_text("(module\n  (func bad))")
    (folder / "b.wat").write_text(GOOD)
    (folder / "c.wat").write_text("(module\n  ;; @storage\n  (memory $memory 1)\n  (func (i32.add $))")
    (folder / "deeper").mkdir()
    (folder / "deeper" / "d.wasm").write_bytes(b"\0asm\1\0\0\0\xff")

    ran = run("compile", ".")

    assert ran.status == 2
    assert ran.out.splitlines()[-1] == "1 contract compiled, 3 failed"
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert errors[0].startswith("error: a.wat:2:9: ")
    assert errors[1].startswith("error: c.wat:4:18: ")
    assert errors[2].startswith("error: deeper/d.wasm")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "it is empty"),
        ("hello", "a.wat:1:1: "),
        ('(module (import "storage" "memory" (memory 2 1)))', "a.wat"),
        ('(module (import "environment" "f" (func)))', "nothing is offered under 'environment'"),
        ('(module (import "storage" "lod_i32" (func)))', "did you mean 'load_i32'?"),
        ('(module (import "ethereum" "revert" (func)))', "wanted (func), offered (func (param i32 i32))"),
        ("(module (func $f) (start $f))", "a contract has no start function"),
        (b"(module ;; \xff\n)", "a.wat:1:12: neither a Wasm binary nor WAT text in UTF-8"),
        (OPEN + ";; @storage\n;; @storage", "exactly one line"),
    ],
)
def test_file_that_is_no_contract_has_one_clear_message(
    run: Run, folder: Path, source: str | bytes, message: str
) -> None:
    (folder / "a.wat").write_bytes(source if isinstance(source, bytes) else source.encode())

    ran = run("compile", "a.wat")

    assert ran.status == 2
    assert ran.err.startswith("error: a.wat")
    assert ran.err.count("error: ") == 1
    assert message in ran.err


def test_path_that_is_not_there_and_a_folder_without_contracts_are_errors(run: Run, folder: Path) -> None:
    (folder / "empty").mkdir()

    ran = run("compile", "none.wat", "empty")

    assert ran.status == 2
    assert "error: none.wat cannot be read: No such file or directory" in ran.err
    assert "error: empty is a folder without any .wat or .wasm file" in ran.err


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("dangling.wat", "No such file or directory"),
        ("a.wat/b.wat", "a.wat is a file, expected a directory"),
        ("loop.wat", "Too many levels of symbolic links"),
        ("n" * 300, "File name too long"),
    ],
)
def test_file_that_cannot_be_read_is_an_error_that_says_why(run: Run, folder: Path, path: str, reason: str) -> None:
    (folder / "a.wat").write_text(GOOD)
    (folder / "dangling.wat").symlink_to("nowhere")
    (folder / "loop.wat").symlink_to("loop.wat")

    ran = run("compile", "a.wat", path)

    assert (ran.status, ran.err) == (2, f"error: {path} cannot be read: {reason}\n")
    assert ran.out.splitlines()[-1] == "1 contract compiled, 1 failed"


def test_excerpt_of_a_long_line_is_the_part_with_the_fault(run: Run, folder: Path) -> None:
    (folder / "long.wat").write_text(f"(module {'(func) ' * 100}(func bad) {'(func) ' * 100})")

    _, excerpt, caret = run("compile", "long.wat").err.splitlines()

    assert len(excerpt) < 120
    assert excerpt[caret.index("^") :].startswith("bad)")


def test_fault_in_a_prelude_line_has_an_excerpt_that_can_be_read(run: Run, folder: Path) -> None:
    (folder / "a.wat").write_text("(module\n  ;; @storage\n  (func))")  # without the memory that preludes want

    ran = run("compile", "a.wat")

    assert ran.err.startswith("error: a.wat:2:")
    assert "$memory" in ran.err.splitlines()[0]
    assert max(map(len, ran.err.splitlines())) < 120


def test_file_that_is_named_twice_is_compiled_once(run: Run, folder: Path) -> None:
    (folder / "a.wat").write_text(GOOD)

    assert run("compile", "a.wat", "a.wat").out.splitlines()[-1] == "1 contract compiled"


def test_file_in_a_folder_called_storage_is_left_out_only_if_it_is_no_module(run: Run, folder: Path) -> None:
    (folder / "storage").mkdir()
    (folder / "storage" / "good.wat").write_text(";; (module\n" + GOOD)
    (folder / "storage" / "prelude.wat").write_text(";; a (module\n(func $load)")

    ran = run("compile", ".")

    assert ran.status == 0
    assert ran.out.startswith("ok  storage/good.wat")


def test_json_is_one_document_with_every_file(run: Run, folder: Path) -> None:
    (folder / "a.wat").write_text("(modul)")
    (folder / "b.wat").write_text(GOOD)

    ran = run("compile", ".", "--json")
    shown = json.loads(ran.out)

    assert ran.status == 2
    assert (shown["schema"], shown["ok"]) == ("storagemod.compile/1", False)
    assert [file["ok"] for file in shown["files"]] == [False, True]
    assert shown["files"][0]["error"]["type"] == "ValidationError"
    assert shown["files"][0]["error"]["message"].startswith("a.wat:1:2: ")
    assert shown["files"][1]["error"] is None
    assert shown["files"][1]["entry_points"] == {"f": "(func (param i32) (result i64))"}
