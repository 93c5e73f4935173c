"""The compilers that the contracts of these tests need, and what is built with them.

They are extras: where one is missing, the tests that need it are skipped, unless `STORAGEMOD_COMPILERS` names it, as it
does in CI.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from storagemod.languages import _rust_compiler, compile_source

FOLDER = Path(__file__).parent
STYLES = ("mapped", "methods", "keyed")
LANGUAGES = ("c", "zig", "assemblyscript")

_ASC = Path("assemblyscript", "bin", "asc.js")
_HOW = {
    "zig": "pip install 'storagemod[c]'",
    "asc": "install Node, and run `npm ci` in tests/languages/assemblyscript",
    "rustc": "apt install rustc libstd-rust-dev-wasm32 lld, or rustup target add wasm32-unknown-unknown",
}


def bank(language: str, style: str) -> bytes:
    """The bank, written in a language, with its books kept in a style."""
    if language == "assemblyscript":
        return assemblyscript("bank.ts", "--use", f"STYLE={STYLES.index(style)}")
    return native(f"bank_{style}.{language}")


@functools.cache
def native(name: str) -> bytes:
    """A contract in C or Zig, as `storagemod compile` builds it."""
    require("zig")
    path = FOLDER / Path(name).suffix.removeprefix(".") / name
    made = compile_source(path)
    assert not made.warnings
    return made.code


def c(source: str, folder: Path) -> bytes:
    """A contract in C that is given as text."""
    require("zig")
    path = folder / "contract.c"
    path.write_text(source)
    made = compile_source(path)
    assert not made.warnings
    return made.code


@functools.cache
def assemblyscript(name: str, *options: str) -> bytes:
    """A contract in AssemblyScript, without the runtime: nothing is imported that the contract does not name."""
    require("asc")
    command = ["node", str(_asc()), name, "--runtime", "stub", "-O", "--noAssert", "--use", "abort=", *options]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "contract.wasm"
        ran = subprocess.run(
            [*command, "-o", str(output)], cwd=FOLDER / "assemblyscript", capture_output=True, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, b""), ran.stderr.decode()
        return output.read_bytes()


def require(compiler: str) -> None:
    """Skip the test where a compiler is missing; fail it where it has to be there."""
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
