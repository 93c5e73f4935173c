"""``storagemod compile``: is this file a contract? And ``storagemod header``, which C includes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import click
from attrs import frozen

from storagemod.cli.options import NamedPath, json_option, link_option
from storagemod.cli.output import note, note_error, say, say_document
from storagemod.errors import StorageModError, ValidationError
from storagemod.inputs import os_reason, read_text
from storagemod.languages import BINDINGS, compile_source, is_source
from storagemod.limits import Limits
from storagemod.report import document, error_to_json
from storagemod.scenario import load_contract
from storagemod.vm import Contract
from storagemod.wasm import read_source

SUFFIXES = (".wat", ".wasm")
PRELUDE_FOLDER = "storage"

_LANGUAGES = {"c": ".c", "zig": ".zig", "assemblyscript": ".ts", "rust": ".rs"}

_MODULE = re.compile(r"^[^;\n]*\(\s*module\b", re.MULTILINE)


@frozen
class Compiled:
    """What became of one file: a contract or an error."""

    path: Path
    contract: Contract | None = None
    error: StorageModError | None = None
    warnings: str = ""


@click.command("compile", short_help="Compile contracts and say what is wrong with each.")
@click.argument("paths", nargs=-1, required=True, type=NamedPath(), metavar="PATH...")
@click.option("-o", "--output", type=NamedPath(), metavar="FILE", help="Write the Wasm binary of the one PATH here.")
@link_option
@json_option
def compile_command(paths: tuple[Path, ...], output: Path | None, link: str | None, as_json: bool) -> int:
    """Compile contracts, and check that what they import is offered and that they keep within the limits.

    A PATH is a file of WAT or Wasm, or a folder, in which every *.wat and *.wasm is compiled. Or it is a file of C
    (*.c, which may #include <storagemod.h>) or Zig (*.zig), for which `pip install 'storagemod[c]'` installs a
    compiler; of AssemblyScript (*.ts) or Rust (*.rs), if their compilers are installed. Every file that fails is
    reported, with line and column where its text is wrong, and makes the exit status 2.
    """
    if output is not None and (len(paths) > 1 or _is_folder(paths[0])):
        raise click.UsageError("--output is for one file at a time")
    results = [_compile(path, link) for path in _files(paths)]
    for result in results:
        if result.warnings:
            note(result.warnings)
    if output is not None:
        results = [_written(result, output) for result in results]
    failures = [result for result in results if result.error is not None]
    if as_json:
        say_document(document("compile", {"ok": not failures, "files": [_to_json(result) for result in results]}))
    else:
        for result in results:
            if result.contract is not None:
                options = ", ".join(sorted(result.contract.options)) or "no storage"
                say(f"ok  {result.path}  {len(result.contract.code):,} bytes  {options}")
            else:
                note_error(result.error)
        failed = f", {len(failures)} failed" if failures else ""
        where = f" to {output}" if output is not None and not failures else ""
        say(f"{_count(len(results) - len(failures))} compiled{where}{failed}")
    return 2 if failures else 0


@click.command("header", short_help="Print storagemod.h, or the binding of another language.")
@click.argument("language", type=click.Choice(list(_LANGUAGES)), default="c", metavar="[LANGUAGE]")
@click.option(
    "--folder", is_flag=True, help="Print the folder of these files instead, such as for the -I of a compiler."
)
def header_command(language: str, folder: bool) -> int:
    """Print what contracts can import, and how they keep state.

    It is storagemod.h for contracts in C. LANGUAGE is `c`, `zig`, `assemblyscript` or `rust`. `storagemod compile`
    finds these files by itself; this is for compilers of your own.
    """
    binding = BINDINGS[_LANGUAGES[language]]
    say(str(binding.parent) if folder else binding.read_text(encoding="utf-8"), end="\n" if folder else "", block=True)
    return 0


def _count(number: int) -> str:
    return "1 contract" if number == 1 else f"{number:,} contracts"


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    """The files to compile: each path, or what there is in it, in order and each once."""
    seen = set()
    for path in paths:
        found = [path]
        if _is_folder(path):
            found = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and not _is_folder(file))
            preludes = [file for file in found if _is_prelude(file)]
            found = [file for file in found if file not in preludes] or [path]
            for folder in dict.fromkeys(prelude.parent for prelude in preludes):
                note(f"note: left out {folder}: preludes, which are spliced into contracts")
        for file in found:
            if file not in seen:
                seen.add(file)
                yield file


def _is_folder(path: Path) -> bool:
    """Unlike ``Path.is_dir`` this raises nothing where the system will not say: reading it tells what is wrong."""
    return os.path.isdir(path)  # noqa: PTH112


def _is_prelude(file: Path) -> bool:
    """Whether a file is a list of module fields, to be put into contracts, rather than a module."""
    if file.parent.name != PRELUDE_FOLDER or file.suffix != ".wat":
        return False
    try:
        return _MODULE.search(read_text(file, bytes_max=Limits().source_bytes_max)) is None
    except ValidationError:
        return False  # compiling it says what is wrong with it


def _compile(path: Path, link: str | None) -> Compiled:
    try:
        if _is_folder(path):
            raise ValidationError(f"{path} is a folder without any {' or '.join(SUFFIXES)} file to compile")
        if is_source(path):
            read_source(path, Limits())  # whether it can be read is said as of every file
            made = compile_source(path)
            return Compiled(path, load_contract(made.code, label=str(path), option=link), warnings=made.warnings)
        return Compiled(path, load_contract(path, label=str(path), option=link))
    except StorageModError as error:
        return Compiled(path, error=error)


def _written(result: Compiled, output: Path) -> Compiled:
    """The same, with the binary written to a file; or an error instead."""
    if result.contract is None:
        return result
    try:
        if result.path.suffix == ".wasm" or not output.exists() or not output.samefile(result.path):
            output.write_bytes(result.contract.code)
            return result
        error = ValidationError(f"{output} is the source itself, which would be overwritten")
    except OSError as cause:
        error = ValidationError(f"{output} cannot be written: {os_reason(cause)}", cause=cause)
    return attrs.evolve(result, contract=None, error=error)


def _to_json(result: Compiled) -> dict[str, object]:
    contract, error = result.contract, result.error
    shown: dict[str, object] = {"path": str(result.path), "ok": error is None, "error": error_to_json(error)}
    if contract is not None:
        shown["code_bytes"] = len(contract.code)
        shown["options"] = sorted(contract.options)
        shown["entry_points"] = {name: str(contract.entry_points[name]) for name in sorted(contract.entry_points)}
    return shown
