"""Contracts that are deployed as they are written: compiled when needed, never stale, with errors that have lines."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from storagemod import World, languages
from storagemod.errors import StorageModError, ValidationError
from storagemod.scenario import load_scenario, run_scenario
from tests.languages.compilers import require

STEP = {"c": "step.h", "zig": "step.zig", "ts": "./step", "rs": "step.rs"}

SOURCES = {
    "c": (
        '#include <storagemod.h>\n#include "step.h"\n'
        "STORAGEMOD_EXPORT(increment) int64_t increment(void) {\n"
        "  storage_store_i64(0, storage_load_i64(0) + STEP);\n  return storage_load_i64(0);\n}\n"
    ),
    "zig": (
        'const step = @import("step.zig");\n'
        'extern "storage" fn load_i64(offset: u32) i64;\nextern "storage" fn store_i64(offset: u32, value: i64) void;\n'
        "export fn increment() i64 {\n  store_i64(0, load_i64(0) + step.STEP);\n  return load_i64(0);\n}\n"
    ),
    "ts": (
        'import { STEP } from "./step";\n'
        '@external("storage", "load_i64") declare function load(offset: u32): i64;\n'
        '@external("storage", "store_i64") declare function store_(offset: u32, value: i64): void;\n'
        "export function increment(): i64 {\n  store_(0, load(0) + STEP);\n  return load(0);\n}\n"
    ),
    "rs": (
        "#![no_std]\nmod step;\n"
        '#[link(wasm_import_module = "storage")]\n'
        'extern "C" { fn load_i64(offset: u32) -> i64; fn store_i64(offset: u32, value: i64); }\n'
        '#[no_mangle]\npub extern "C" fn increment() -> i64 {\n'
        "    unsafe { store_i64(0, load_i64(0) + step::STEP); load_i64(0) }\n}\n"
        "#[panic_handler]\nfn panic(_: &core::panic::PanicInfo) -> ! { core::arch::wasm32::unreachable() }\n"
    ),
}
STEPS = {
    "c": ("step.h", "#define STEP %d\n"),
    "zig": ("step.zig", "pub const STEP = %d;\n"),
    "ts": ("step.ts", "export const STEP: i64 = %d;\n"),
    "rs": ("step.rs", "pub const STEP: i64 = %d;\n"),
}
languages_there = pytest.mark.parametrize("language", SOURCES)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def written(folder: Path, language: str, step: int = 1) -> Path:
    require(f".{language}")
    name, text = STEPS[language]
    (folder / name).write_text(text % step)
    path = folder / f"counter.{language}"
    path.write_text(SOURCES[language])
    return path


@languages_there
def test_a_source_file_is_deployed_as_it_is(language: str, tmp_path: Path) -> None:
    world = World()
    address = world.deploy(written(tmp_path, language))
    assert [world.transact(address, "increment").value for _ in range(3)] == [1, 2, 3]
    assert world.account(address).name == "counter"


@languages_there
def test_a_scenario_names_a_source_file(language: str, tmp_path: Path) -> None:
    written(tmp_path, language)
    scenario = tmp_path / "a.toml"
    scenario.write_text(f"""[contracts.a]
code = "counter.{language}"
[[transactions]]
to = "a"
method = "increment"
expect = {{ value = 1 }}
""")
    assert run_scenario(load_scenario(scenario)).ok


@languages_there
def test_what_a_file_includes_is_never_stale(language: str, tmp_path: Path) -> None:
    for step in (1, 5, 1, 7):
        world = World()
        address = world.deploy(written(tmp_path, language, step))
        assert world.transact(address, "increment").value == step


@pytest.mark.parametrize("language", ["ts", "rs"])
def test_a_file_is_compiled_once(language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, language)
    commands: list[Sequence[str]] = []
    run = languages._run

    def noted(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        return run(command)

    monkeypatch.setattr(languages, "_run", noted)
    codes = {languages.compile_source(path).code for _ in range(3)}
    assert len(codes) == 1
    assert sum("-o" in command for command in commands) == 1
    path.write_text(path.read_text() + "\n")
    languages.compile_source(path)
    assert sum("-o" in command for command in commands) == 2


@pytest.mark.parametrize("language", ["ts", "rs"])
def test_a_cache_that_cannot_be_written_is_none(language: str, tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file, not a folder")
    path = written(tmp_path, language)
    assert languages.compile_source(path) == languages.compile_source(path)


def test_the_oldest_binaries_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(languages, "_KEPT_MAX", 2)
    for step in range(4):
        languages.compile_source(written(tmp_path, "rs", step))
    assert len(list(cache.rglob("*.wasm"))) == 2


@pytest.mark.parametrize(
    ("language", "line", "message"),
    [("c", 5, "counter.c:5:"), ("zig", 6, "counter.zig:6:"), ("ts", 6, "counter.ts(6,"), ("rs", 7, "counter.rs:7:")],
)
def test_errors_are_those_of_the_compiler_with_its_lines(
    language: str, line: int, message: str, tmp_path: Path
) -> None:
    path = written(tmp_path, language)
    lines = path.read_text().splitlines()
    lines[line - 1] = lines[line - 1].replace("load", "lode")
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValidationError, match="does not compile") as caught:
        World().deploy(path)
    assert message in str(caught.value)
    (tmp_path / "a.toml").write_text(
        f'[contracts.a]\ncode = "counter.{language}"\n[[transactions]]\nto = "a"\nmethod = "increment"\n'
    )
    with pytest.raises(StorageModError) as shown:
        run_scenario(load_scenario(tmp_path / "a.toml"))
    assert message in str(shown.value)


@pytest.mark.parametrize(
    ("name", "missing", "hint"),
    [
        ("a.rs", "Rust is compiled by a rustc that has the target wasm32", "rustup target add"),
        ("a.ts", "AssemblyScript is compiled by asc", "npm install assemblyscript"),
    ],
)
def test_without_a_compiler_it_is_said_how_to_install_it(
    name: str, missing: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("STORAGEMOD_NODE_MODULES", str(tmp_path))
    languages._rust_compiler.cache_clear()
    (tmp_path / name).write_text("")
    with pytest.raises(StorageModError, match=missing) as caught:
        World().deploy(tmp_path / name)
    assert hint in str(caught.value)
    languages._rust_compiler.cache_clear()


MAIN = (
    '#![no_std]\nmod storagemod { include!(env!("STORAGEMOD_RS")); }\n'
    '#[no_mangle]\npub extern "C" fn main() { storagemod::ethereum::finish(&[7]) }\n'
)


def test_rust_exports_what_it_is_told_to_and_keeps_the_rules_of_ewasm(tmp_path: Path) -> None:
    require(".rs")
    path = tmp_path / "main.rs"
    path.write_text(MAIN)
    world = World(validation="ewasm")
    address = world.deploy(path)
    assert world.transact(address).output == b"\7"


def test_a_rustc_without_the_target_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    native = tmp_path / "rustc"
    native.write_text(f"#!/bin/sh\necho {tmp_path}/no-library\n")
    native.chmod(0o755)
    languages._rust_compiler.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a.rs").write_text(MAIN)
    with pytest.raises(StorageModError, match="a rustc that has the target wasm32-unknown-unknown, which is not inst"):
        World().deploy(tmp_path / "a.rs")
    monkeypatch.undo()
    languages._rust_compiler.cache_clear()
    require(".rs")
    found = languages._rust_compiler()
    languages._rust_compiler.cache_clear()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert languages._rust_compiler() == found
