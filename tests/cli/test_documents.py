"""What the README and the design notes say of the command line is so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storagemod.cli.main import cli
from storagemod.scenario import schema
from tests.statetest.examples import FAILING

from .conftest import Run

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REPORTS = (ROOT / "design" / "0006-reports.md").read_text(encoding="utf-8")
FIXTURES = (ROOT / "wat" / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The blocks of code of one language in a text."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the README's contract in it, which is also where the command is run."""
    (tmp_path / "counter.wat").write_text(blocks(README, "wat")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_of_the_readme_runs() -> None:
    names: dict[str, object] = {}
    for example in blocks(README, "python"):
        exec(example, names)  # noqa: S102 - our own


def test_scenario_of_the_readme_is_as_expected(run: Run, folder: Path) -> None:
    (example,) = blocks(README, "toml")
    (folder / "counter.toml").write_text(example)

    assert run("run", "counter.toml").status == 0


def test_imports_that_the_readme_lists_are_offered(run: Run, folder: Path) -> None:
    imports = re.findall(r"\(import \"(?:storage|contract:\w+|ethereum)\" .*?\)\)(?=`|\s+;;)", README)
    assert len(imports) == 11
    for number, each in enumerate(imports):
        memory = "" if "(memory" in each else '(memory (export "memory") 1)'
        (folder / f"{number}.wat").write_text(f"(module {each} {memory})")

        assert run("compile", f"{number}.wat").status == 0


def test_commands_that_the_readme_lists_are_there() -> None:
    listed = re.findall(r"^\| `storagemod (\w+)", README, re.MULTILINE)

    assert len(listed) >= 4
    assert set(listed) <= set(cli.commands)


def test_every_key_of_a_scenario_is_in_the_readme() -> None:
    tables = (schema.ScenarioSpec, schema.AccountSpec, schema.ContractSpec, schema.TransactionSpec, schema.Expectation)
    parts = (schema.Content, schema.ExpectedStorage, schema.ExpectedLog)
    reference = README.split("### Scenarios")[1].split("## What holds")[0]

    for table in (*tables, *parts):
        for key in schema.keys_of(table):
            assert re.search(rf"[`{{ .]{key}[` ,\]]", reference), f"{table.__name__}.{key}"


def test_contract_of_the_fixtures_readme_compiles_under_every_option(run: Run, folder: Path, option: str) -> None:
    (folder / "it.wat").write_text(blocks(FIXTURES, "wat")[1])

    assert run("compile", "it.wat", "--link", option).status == 0


def keys(document: Any) -> Iterator[str]:
    """All keys in a document."""
    if isinstance(document, dict):
        yield from document
        for value in document.values():
            yield from keys(value)
    elif isinstance(document, list):
        for value in document:
            yield from keys(value)


def test_every_key_of_a_json_document_is_in_the_design_note(run: Run, folder: Path) -> None:
    (folder / "bad.wat").write_text("(module")
    (folder / "all.toml").write_text(
        """
[contracts.x]
code = "counter.wat"
[contracts.y]
wat = '''(module (import "contract:x" "trap" (func $f)) (import "ethereum" "revert" (func $revert (param i32 i32)))
 (import "ethereum" "log" (func $log (param i32 i32 i32 i32 i32 i32 i32)))
 (import "storage" "memory" (memory $storage 1)) (memory (export "memory") 1)
 (func (export "f") (drop (memory.grow $storage (i32.const 1))) (call $f))
 (func (export "trap") unreachable)
 (func (export "main") (call $log (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
   (i32.const 0)) (call $revert (i32.const 0) (i32.const 0))))'''
links = { x = "y" }
[[transactions]]
to = "x"
method = "increment"
expect.value = 5
[[transactions]]
to = "y"
method = "f"
[[transactions]]
to = "y"
"""
    )
    printed = [
        run("run", "all.toml", "--json"),
        run("compile", ".", "--json"),
        run("inspect", "counter.wat", "--json"),
        run("snapshot", "all.toml", "--json"),
        run("statetest", FAILING, "--json", "-v"),
        run("explore", "reentry/withdraw", "--calls", "2", "--json"),
        run("suggest", "reentry/withdraw", "--json"),
        run("compare", "counter/counter", "--json"),
    ]
    assert [ran.status for ran in printed] == [1, 2, 0, 0, 1, 1, 0, 0]
    documents = [json.loads(ran.out) for ran in printed]
    chosen = {"increment", "the books are honest"}  # entry points, addresses and invariants are keys too, not ours
    found = {key for document in documents for key in keys(document) if not key.startswith("0x")} - chosen

    assert len(found) > 60
    assert {key for key in found if f"`{key}`" not in REPORTS} == set()
    assert {document["schema"] for document in documents} == set(re.findall(r"storagemod\.\w+/\d+", REPORTS))
