"""Contracts in C, Zig, AssemblyScript and Rust, compiled to Wasm where their compilers are installed.

The code is for WebAssembly as it was first published, as far as a compiler can be told so: every virtual machine for
contracts takes that. It has no ``memory.copy`` and no exported globals. The stack comes first in memory, so that one
that overflows traps instead of reaching data, and storage that is mapped there, from above.

Nothing stale is ever returned. Zig, which compiles C as well, keeps what it made by the content of all that it read;
for the others the same is done here.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from attrs import frozen

from storagemod.errors import StorageModError, ValidationError
from storagemod.inputs import read_file, read_text
from storagemod.wasm.sections import GLOBAL, without_exports

INCLUDE_FOLDER = Path(__file__).resolve().parent / "include"
HEADER = INCLUDE_FOLDER / "storagemod.h"

BINDINGS = {
    ".c": HEADER,
    **{suffix: INCLUDE_FOLDER / f"storagemod{suffix}" for suffix in (".zig", ".ts", ".rs")},
}
"""The file that declares what contracts can import, for each language."""

RUST_BINDING = "STORAGEMOD_RS"
"""The environment variable with the path of Rust's binding: ``mod storagemod { include!(env!("STORAGEMOD_RS")); }``."""

_BINDING = "storagemod"
"""The module that the bindings for Zig and AssemblyScript are imported as."""

STACK_BYTES = 65_536

SOURCE_BYTES_MAX = 8 << 20
"""Length of a source, and of each file of AssemblyScript that it imports."""

INPUT_BYTES_MAX = 64 << 20
"""Length of any other file that compilers of Rust read, and of a binary that a compiler makes."""

COMPILE_SECONDS_MAX = 600.0
"""How long a compiler may run. Zig compiles its own library when it is first used: that takes a minute or two."""

MESSAGES_BYTES_MAX = 1 << 20
"""How much of what a compiler prints is kept."""

_KEPT_FORMAT = b"2"
"""Another one where what is done to binaries of compilers changes: those that are kept are left alone then."""

_KEPT_MAX = 256
"""Binaries in the cache folder; the oldest go first."""

_TARGET = ("-target", "wasm32-freestanding", "-mcpu=mvp")
_C = (
    *("cc", *_TARGET, "-Wl,--no-entry", f"-Wl,-z,stack-size={STACK_BYTES}", "-s", "-Os"),
    *("-Wall", "-Wextra", "-fsanitize=undefined", "-fsanitize-trap=undefined"),
)
_ZIG = ("build-exe", *_TARGET, "-fno-entry", "-rdynamic", "--stack", str(STACK_BYTES), "-fstrip", "-O", "ReleaseSafe")

_RUST_TARGET = ("--target", "wasm32-unknown-unknown")
_RUST = (
    *("--edition", "2021", "--crate-type", "cdylib", "--crate-name", "contract", *_RUST_TARGET),
    *("-C", "opt-level=s", "-C", "panic=abort", "-C", "lto", "-C", "overflow-checks=on", "-C", "target-cpu=mvp"),
    *("-C", "strip=symbols", "-C", "link-arg=--stack-first", "-C", f"link-arg=-zstack-size={STACK_BYTES}"),
)

_RUST_EXPORTS = ("__data_end", "__heap_base")
"""What rustc has its linker export, whatever it is asked for. Ewasm forbids exported globals."""

_ASSEMBLYSCRIPT = ("--runtime", "stub", "-O", "--noAssert", "--use", "abort=")
_ASSEMBLYSCRIPT_FOLDER = "STORAGEMOD_NODE_MODULES"
_IMPORT = re.compile(r"""\b(?:from|import)\s*["']([^"'\n]+)["']""")


@frozen
class Compiled:
    """What a compiler made: the Wasm binary, and what it warns of."""

    code: bytes
    warnings: str


def is_source(path: Path) -> bool:
    """Return whether a file is in a language that :func:`compile_source` knows, by its suffix."""
    return path.suffix in _LANGUAGES


def suffixes() -> tuple[str, ...]:
    """Return the suffixes of files that :func:`compile_source` knows."""
    return tuple(_LANGUAGES)


def compile_source(path: Path) -> Compiled:
    """Compile a file of C, Zig, AssemblyScript or Rust to Wasm.

    What the languages leave undefined, such as a signed sum that overflows, traps as far as a compiler can have it so.

    Raises:
        StorageModError: There is no compiler for it.
        ValidationError: The compiler refuses it; its messages, with its lines, are part of the error's.
    """
    language = _LANGUAGES[path.suffix]
    command = language.command(path)
    read_file(path, bytes_max=SOURCE_BYTES_MAX)  # compilers wait for a pipe without end
    key = None if language.inputs is None else _key(command, language.inputs(path, command))
    kept = None if key is None else _cache_folder() / f"{key}.wasm"
    if kept is not None:
        with suppress(ValidationError):
            return Compiled(read_file(kept, bytes_max=INPUT_BYTES_MAX), "")
    with tempfile.TemporaryDirectory(prefix="storagemod-") as folder:
        output = Path(folder) / "contract.wasm"
        ran = _run([*command, *language.output(output)])
        messages = ran.messages.decode("utf-8", errors="replace").rstrip()
        if ran.status or not output.is_file():
            raise ValidationError(f"{path} does not compile\n{messages or 'and the compiler does not say why'}")
        code = language.finish(read_file(output, bytes_max=INPUT_BYTES_MAX))
    if kept is not None and not messages:  # what warned warns again
        _keep(kept, code)
    return Compiled(code, messages)


@frozen
class _Ran:
    """A compiler that has ended: its exit status, and the beginnings of what it printed."""

    status: int
    output: bytes
    messages: bytes


def _run(command: Sequence[str]) -> _Ran:
    """Run a compiler, with all that it starts.

    Raises:
        ValidationError: It takes too long.
    """
    environment = {**os.environ, RUST_BINDING: str(BINDINGS[".rs"])}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as messages:
        # no shell, and the path cannot be taken for an option
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=messages,
            env=environment,
            start_new_session=True,  # a group of its own: it ends with all that it started
        )
        try:
            status = process.wait(COMPILE_SECONDS_MAX)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise ValidationError(
                    f"{command[-1]}: the compiler has not ended after {COMPILE_SECONDS_MAX:g} s",
                    cause=error,
                    hint="does it include a file without end, or itself?",
                ) from error
            raise
        for file in (output, messages):
            file.seek(0)
        return _Ran(status, output.read(MESSAGES_BYTES_MAX), messages.read(MESSAGES_BYTES_MAX))


# What is kept


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "storagemod" / "compiled"


def _key(command: Sequence[str], inputs: list[bytes] | None) -> str | None:
    """Return the digest of all that a binary depends on; ``None`` where that is not known."""
    if inputs is None:
        return None
    digest = hashlib.sha256(_KEPT_FORMAT + "\0".join(command).encode())
    for each in inputs:
        digest.update(hashlib.sha256(each).digest())
    return digest.hexdigest()


def _keep(path: Path, code: bytes) -> None:
    """Keep a binary. A cache folder that cannot be written is none."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".new", delete=False) as new:
            new.write(code)
        Path(new.name).replace(path)
        oldest = sorted(path.parent.glob("*.wasm"), key=lambda each: each.stat().st_mtime)
        for each in oldest[:-_KEPT_MAX]:
            each.unlink()


# Languages


def _absent(path: Path, language: str, compiler: str, hint: str) -> NoReturn:
    raise StorageModError(
        f"{path}: {language} is compiled by {compiler}, which is not installed",
        hint=f"{hint}, or compile to .wasm with a compiler of your own",
    )


def _argument(path: Path) -> str:
    """Return the name of a file, so that it cannot be taken for an option or for a file of options."""
    name = str(path)
    return f"./{name}" if name.startswith(("-", "@")) else name


def _zig(path: Path, *arguments: str) -> list[str]:
    if importlib.util.find_spec("ziglang") is None:
        _absent(path, "C" if path.suffix == ".c" else "Zig", "Zig", "pip install 'storagemod[c]'")
    return [sys.executable, "-P", "-m", "ziglang", *arguments]  # -P: no module of that folder


def _c_command(path: Path) -> list[str]:
    return _zig(path, *_C, "-I", str(INCLUDE_FOLDER), _argument(path))


def _zig_command(path: Path) -> list[str]:
    return _zig(path, *_ZIG, "--dep", _BINDING, f"-Mroot={path}", f"-M{_BINDING}={BINDINGS['.zig']}")


def _rust_command(path: Path) -> list[str]:
    compiler = _rust_compiler()
    if compiler is None:
        _absent(
            path,
            "Rust",
            "a rustc that has the target wasm32-unknown-unknown",
            "rustup target add wasm32-unknown-unknown (on Debian: apt install rustc libstd-rust-dev-wasm32 lld)",
        )
    return [compiler, *_RUST, _argument(path)]


@functools.cache
def _rust_compiler() -> str | None:
    """Return the first rustc on the path that can make Wasm."""
    for folder in os.get_exec_path():
        compiler = shutil.which("rustc", path=folder)
        if compiler is not None:
            library = _run([compiler, "--print", "target-libdir", *_RUST_TARGET])
            if library.status == 0 and Path(os.fsdecode(library.output).strip()).is_dir():
                return compiler
    return None


def _rust_inputs(_path: Path, command: Sequence[str]) -> list[bytes] | None:
    """Return what a file of Rust depends on: the compiler says which files, and which variables of the environment."""
    with tempfile.TemporaryDirectory(prefix="storagemod-") as folder:
        listing = Path(folder) / "inputs.d"
        if _run([*command, f"--emit=dep-info={listing}"]).status:
            return None
        lines = read_text(listing, bytes_max=INPUT_BYTES_MAX).splitlines()
    files = [line[:-1].replace("\\ ", " ") for line in lines if line.endswith(":")]  # a rule for each file
    variables = [line.encode() for line in lines if line.startswith("# env-dep:")]
    return [_version(command[0]), *variables, *(read_file(Path(file), bytes_max=INPUT_BYTES_MAX) for file in files)]


@functools.cache
def _version(compiler: str) -> bytes:
    return _run([compiler, "-vV"]).output


def _assemblyscript_command(path: Path) -> list[str]:
    package, node = _assemblyscript_package(path), shutil.which("node")
    if package is None or node is None:
        _absent(path, "AssemblyScript", "asc", "install Node, and run `npm install assemblyscript` beside the contract")
    folders = ("--baseDir", str(path.resolve().parent), "--lib", str(BINDINGS[".ts"]))
    return [node, str(package / "bin" / "asc.js"), *_ASSEMBLYSCRIPT, *folders, f"./{path.name}"]


def _assemblyscript_package(path: Path) -> Path | None:
    """Return the folder of the compiler: in the nearest ``node_modules``, or in that of an environment variable."""
    named = os.environ.get(_ASSEMBLYSCRIPT_FOLDER)
    folders = [Path(named)] if named else [each / "node_modules" for each in path.resolve().parents]
    return next((each / "assemblyscript" for each in folders if (each / "assemblyscript/bin/asc.js").is_file()), None)


def _assemblyscript_inputs(path: Path, command: Sequence[str]) -> list[bytes] | None:
    """Return what a file of AssemblyScript depends on: the compiler, and all files that are imported.

    ``None`` where settings or packages could say more.
    """
    if (path.parent / "asconfig.json").exists():
        return None
    inputs = [(Path(command[1]).parents[1] / "package.json").read_bytes(), BINDINGS[".ts"].read_bytes()]
    seen, waiting = set[Path](), [path.resolve()]
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        inputs.append(read_file(file, bytes_max=SOURCE_BYTES_MAX))
        for name in _IMPORT.findall(inputs[-1].decode("utf-8", errors="replace")):
            if name == _BINDING:
                continue
            if not name.startswith("."):
                return None
            found = (file.parent / f"{name}.ts", file.parent / name / "index.ts")
            waiting += [each.resolve() for each in found if each.is_file()]
    return inputs


@frozen
class _Language:
    """How a language is compiled.

    Attributes:
        command: The compiler's command for a file, without the output.
        output: The options that name the output.
        inputs: What the binary depends on besides the command; ``None`` where the compiler keeps what it made itself.
        finish: What is done to the binary.
    """

    command: Callable[[Path], list[str]]
    output: Callable[[Path], list[str]] = lambda output: ["-o", str(output)]
    inputs: Callable[[Path, Sequence[str]], list[bytes] | None] | None = None
    finish: Callable[[bytes], bytes] = bytes


_LANGUAGES = {
    ".c": _Language(_c_command),
    ".zig": _Language(_zig_command, lambda output: [f"-femit-bin={output}"]),
    ".ts": _Language(_assemblyscript_command, inputs=_assemblyscript_inputs),
    ".rs": _Language(
        _rust_command, inputs=_rust_inputs, finish=lambda code: without_exports(code, _RUST_EXPORTS, GLOBAL)
    ),
}
