"""Fixtures: contracts that ship with the package, written once for several linking options.

A fixture with a line ``;; @storage`` leaves its linking option open. Each linking option has a *prelude*
(``wat/storage/<option>.wat``): imports and functions with the same interface to storage.
Options that map storage share one prelude, since a contract imports the same functions under all of them.
Splicing replaces the line with a prelude on one line, so that all line numbers of the fixture stay the same.
"""

from __future__ import annotations

import difflib
import re
from functools import cache
from pathlib import Path

from storagemod.errors import StorageModError, ValidationError
from storagemod.types import MAP_OPTIONS

_PRELUDE_FOLDER = "storage"
_MAPPED = "mapped"
_MARKER = re.compile(r"^[ \t]*;;[ \t]*@storage[ \t\r]*$", re.MULTILINE)
_TOKEN = re.compile(
    r"""
      (?P<text> "(?: [^"\\] | \\. )*" | [^\s"(;]+ | \((?!;) | ;(?!;) )
    | (?P<space> \s+ | ;;[^\r\n]* )
    | (?P<block> \(; )
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"\(;|;\)")


def fixture_names() -> tuple[str, ...]:
    """Return the names of all fixtures, such as ``bank/bank_fixed``, in alphabetical order."""
    root = _wat_folder()
    names = (path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.wat"))
    return tuple(sorted(name for name in names if not name.startswith(f"{_PRELUDE_FOLDER}/")))


def scenario_names() -> tuple[str, ...]:
    """Return the names of all scenarios that ship with the fixtures, such as ``bank/robbed``, in alphabetical order."""
    root = _wat_folder()
    return tuple(sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.toml")))


def scenario_path(name: str) -> Path:
    """Return the file of a scenario that ships with the fixtures.

    Raises:
        ValidationError: There is no such scenario.
    """
    if name not in (known := scenario_names()):
        raise _unknown("scenario", name, known)
    return _wat_folder() / f"{name}.toml"


def option_names() -> tuple[str, ...]:
    """Return the linking options that have a prelude, in alphabetical order."""
    found = {path.stem for path in (_wat_folder() / _PRELUDE_FOLDER).glob("*.wat")}
    if _MAPPED in found:
        found = found - {_MAPPED} | {*MAP_OPTIONS}
    return tuple(sorted(found))


def fixture_path(name: str) -> Path:
    """Return the file of a fixture, as written: without a prelude.

    Raises:
        ValidationError: There is no such fixture.
    """
    if name not in (known := fixture_names()):
        raise _unknown("fixture", name, known)
    return _wat_folder() / f"{name}.wat"


def fixture(name: str, option: str = "single") -> str:
    """Return the source text of a fixture, ready to deploy under a linking option.

    A fixture with a fixed option, such as ``token/token_regions``, is the same under every option.

    Args:
        name: Folder and file of the fixture in ``wat/``, without its suffix: ``bank/bank``.
        option: The linking option whose prelude is spliced in.

    Raises:
        ValidationError: There is no such fixture, or no prelude for that option.
    """
    path = fixture_path(name)
    spliced_in = prelude(option)  # before it is needed, so that an unknown option is an error for every fixture
    source = path.read_text(encoding="utf-8")
    return splice(source, spliced_in) if needs_prelude(source) else source


def prelude(option: str) -> str:
    """Return the source text of the prelude of a linking option: module fields with comments.

    Raises:
        ValidationError: There is no prelude for that option.
    """
    if option not in (known := option_names()):
        raise _unknown("linking option", option, known)
    name = _MAPPED if option in MAP_OPTIONS else option
    return (_wat_folder() / _PRELUDE_FOLDER / f"{name}.wat").read_text(encoding="utf-8")


def needs_prelude(source: str) -> bool:
    """Check whether a source text has a line ``;; @storage`` for a prelude; blanks in it do not matter."""
    return _MARKER.search(source) is not None


def splice(source: str, prelude: str) -> str:
    """Replace the line ``;; @storage`` with a prelude, without its comments and joined to one line.

    Every other line of the source keeps its number.

    Raises:
        ValidationError: The source does not have exactly one such line, or a string or comment of the prelude is not
            closed.
    """
    line = _one_line(prelude)
    spliced, count = _MARKER.subn(lambda _: line, source)
    if count != 1:
        raise ValidationError(
            f"a source to splice has exactly one line ';; @storage', not {count}",
            hint="put it after the other imports and before the memory of the contract",
        )
    return spliced


def _one_line(source: str) -> str:
    """Strip comments from WAT and join its lines, leaving string literals unchanged."""
    words: list[str] = [""]
    offset = 0
    while offset < len(source):
        token = _TOKEN.match(source, offset)
        if token is None:
            raise ValidationError(f"a string is not closed: {source[offset : offset + 40]!r}")
        if token.lastgroup == "text":
            words[-1] += token[0]
            offset = token.end()
        else:  # a comment separates words, as white space does
            words.append("")
            offset = token.end() if token.lastgroup == "space" else _end_of_block_comment(source, offset)
    return " ".join(filter(None, words))


def _end_of_block_comment(source: str, start: int) -> int:
    """Return the end of the block comment that starts here; block comments nest."""
    depth = 0
    for edge in _BLOCK_EDGE.finditer(source, start):
        depth += 1 if edge[0] == "(;" else -1
        if depth == 0:
            return edge.end()
    raise ValidationError(f"a comment is not closed: {source[start : start + 40]!r}")


def did_you_mean(name: str, known: tuple[str, ...]) -> str | None:
    """Return a hint with the nearest known names, or ``None`` if none is near."""
    near = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else None


def _unknown(what: str, name: str, known: tuple[str, ...]) -> ValidationError:
    """Make the error for an unknown name, with the nearest known names."""
    hint = did_you_mean(name, known) or f"there are {', '.join(known)}"
    return ValidationError(f"there is no {what} {name!r}", hint=hint)


@cache
def _wat_folder() -> Path:
    """Find the folder of the fixtures: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    # In this order: a folder ``wat`` beside an installed package belongs to something else.
    for folder in (package / "_wat", package.parent / "wat"):
        if (folder / _PRELUDE_FOLDER).is_dir():
            return folder
    raise StorageModError("the fixtures are missing from this installation", hint="install storagemod anew")
