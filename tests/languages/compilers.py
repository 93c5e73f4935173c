"""The compilers that the contracts of these tests need, and what is built with them.

They are extras: where one is missing, the tests that need it are skipped, unless `STORAGEMOD_COMPILERS` names it, as it
does in CI.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from storagemod.languages import _rust_compiler, compile_source

FOLDER = Path(__file__).parent
LANGUAGES = {"c": ".c", "zig": ".zig", "assemblyscript": ".ts", "rust": ".rs"}
"""Each language has a folder of that name; its files have this suffix."""

FIXTURES = ("counter", "bank", "token")
STYLES = ("methods", "mapped", "keyed")
"""How a fixture reaches its storage: each has a file for each."""

_COMPILERS = {".c": "zig", ".zig": "zig", ".ts": "asc", ".rs": "rustc"}
_ASC = Path("assemblyscript", "bin", "asc.js")
_HOW = {
    "zig": "pip install 'storagemod[c]'",
    "asc": "install Node, and run `npm ci` in tests/languages/assemblyscript",
    "rustc": "apt install rustc libstd-rust-dev-wasm32 lld, or rustup target add wasm32-unknown-unknown",
}


def source(language: str, name: str) -> Path:
    """The source of a contract, whose compiler is there; the test is skipped if it is not."""
    path = FOLDER / language / f"{name}{LANGUAGES[language]}"
    require(path.suffix)
    return path


@functools.cache
def contract(language: str, name: str) -> bytes:
    """A contract, as `storagemod compile` builds it."""
    return _compiled(source(language, name))


def written(text: str, suffix: str, folder: Path) -> bytes:
    """A contract that is given as text."""
    require(suffix)
    path = folder / f"contract{suffix}"
    path.write_text(text)
    return _compiled(path)


def _compiled(path: Path) -> bytes:
    made = compile_source(path)
    assert not made.warnings
    return made.code


def require(suffix: str) -> None:
    """Skip the test where a compiler is missing; fail it where it has to be there."""
    compiler = _COMPILERS[suffix]
    there = {
        "zig": lambda: importlib.util.find_spec("ziglang"),
        "asc": lambda: shutil.which("node") and _asc().is_file(),
        "rustc": _rust_compiler,
    }[compiler]()
    if there:
        if compiler == "asc":
            os.environ.setdefault("STORAGEMOD_NODE_MODULES", str(_asc().parents[2]))
        return
    if compiler in os.environ.get("STORAGEMOD_COMPILERS", "").split():
        pytest.fail(f"{compiler} is missing, and STORAGEMOD_COMPILERS says that it is there")
    pytest.skip(f"{compiler} is missing: {_HOW[compiler]}")


def _asc() -> Path:
    folder = os.environ.get("STORAGEMOD_NODE_MODULES")
    return (Path(folder) if folder else FOLDER / "assemblyscript" / "node_modules") / _ASC
