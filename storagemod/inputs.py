"""Read what users hand over, each kind with a limit: a file may be endless, or hold little that takes for ever.

Limits of contracts and of transactions are :class:`storagemod.Limits`. ``design/0018-fuzzing.md`` has a table of all
that is read, from where, and what bounds it. Imports of this module stay light: pytest reads every TOML file with it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, BinaryIO

from storagemod.errors import ValidationError

SCENARIO_BYTES_MAX = 8 << 20
"""Length of a scenario file, and of the settings in ``pyproject.toml``."""

SNAPSHOT_BYTES_MAX = 64 << 20
"""Length of a snapshot file."""

EXTENDS_MAX = 8
"""Scenario files in a row of which each extends the next."""

VECTOR_BYTES_MAX = 8 << 20
"""Length of a state-test vector. Parsed JSON takes up to 30 times as much memory."""

TOML_VALUES_MAX = 200_000
"""Keys, and elements of arrays, in one TOML file: some seconds to read, and 200 MB."""

TOML_DEPTH_MAX = 32
"""Arrays and inline tables inside one another in a TOML file."""

TOML_KEY_PARTS_MAX = 32
"""Parts of one dotted key. ``tomllib`` takes time and memory by the square of their number."""

_KINDS = {
    stat.S_IFDIR: "directory",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}

_NON_BLOCKING = getattr(os, "O_NONBLOCK", 0)


def open_file(path: Path) -> BinaryIO:
    """Open a regular file to read it. Nothing else is opened: a pipe may never say anything, a device never end.

    Raises:
        ValidationError: It is something else than a file.
        OSError: It cannot be opened.
    """
    _check_kind(path, path.stat().st_mode)
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NON_BLOCKING))  # noqa: SIM115
    try:
        _check_kind(path, os.fstat(file.fileno()).st_mode)  # what is there may have changed meanwhile
    except BaseException:
        file.close()
        raise
    return file


def _check_kind(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "special file")
        hint = "name a file" if kind == "directory" else "write its content to a file first"
        raise ValidationError(f"{path} is a {kind}", hint=hint)


def os_reason(error: OSError) -> str:
    """Return why the system refused a path; where a file stands in the place of a directory, name the file."""
    if error.errno in {errno.ENOTDIR, errno.EEXIST} and isinstance(error.filename, str | os.PathLike):
        path = Path(error.filename)
        for part in (*reversed(path.parents), path):
            if part.exists() and not part.is_dir():
                return f"{part} is a file, expected a directory"
    return error.strerror or str(error)


def read_file(path: Path, *, bytes_max: int, limit: str | None = None) -> bytes:
    """Read a regular file.

    Args:
        path: The file.
        bytes_max: How long it may be.
        limit: The name of that limit, if users can set it.

    Raises:
        ValidationError: It cannot be read, is no file, or is longer than ``bytes_max``.
    """
    try:
        with open_file(path) as file:
            data = file.read(bytes_max + 1)
    except ValidationError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = os_reason(error) if isinstance(error, OSError) else str(error)
        raise ValidationError(f"{path} cannot be read: {reason}", cause=error) from error
    if len(data) > bytes_max:
        raise ValidationError(f"{path} is longer than {bytes_max:,} bytes" + (f" ({limit})" if limit else ""))
    return data


def read_text(path: Path, *, bytes_max: int, limit: str | None = None) -> str:
    """Read a text file in UTF-8.

    Raises:
        ValidationError: As :func:`read_file`, or it is not UTF-8.
    """
    data = read_file(path, bytes_max=bytes_max, limit=limit)
    try:
        return data.decode("utf-8-sig")  # some editors write a byte order mark first
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValidationError(f"{path}:{line}: not text in UTF-8", cause=error) from error


_TOML_TOKEN = re.compile(
    r'"""(?:[^\\"]++|\\.|"(?!""))*+(?:"{3,5})?'
    r"|'''(?:[^']++|'(?!''))*+(?:'{3,5})?"
    r'|"(?:[^"\\\n]++|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
    r"|(?P<mark>[.,=\[\]{}]|\n++)"
    r"|[^\"'#.,=\n\[\]{}]++",
    re.DOTALL,
)
"""Strings and comments whole, the marks that structure a TOML file, and all else. No part of it looks back."""


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML of bounded shape.

    Raises:
        ValidationError: It has more values, parts of a key, or brackets inside one another than are allowed.
        ValueError: It is not TOML.
    """
    _check_toml_shape(text)
    return tomllib.loads(text)


def _check_toml_shape(text: str) -> None:
    """Check a text before it is parsed. For text that is no TOML, only up to where it stops being TOML."""
    values = depth = dots = 0
    offset = 0
    for token in _TOML_TOKEN.finditer(text):
        mark = token["mark"]
        if mark is None:
            continue
        offset = token.start()
        if mark == ".":
            dots += 1
            if dots >= TOML_KEY_PARTS_MAX:
                raise ValidationError(f"a key has more than {TOML_KEY_PARTS_MAX} parts {_place(text, offset)}")
            continue
        dots = 0
        if mark in ("[", "{"):
            depth += 1
            if depth > TOML_DEPTH_MAX:
                raise ValidationError(
                    f"arrays or tables are nested deeper than {TOML_DEPTH_MAX} {_place(text, offset)}"
                )
        elif mark in ("]", "}"):
            depth = max(depth - 1, 0)
        if mark in (",", "=", "["):
            values += 1
            if values > TOML_VALUES_MAX:
                raise ValidationError(f"there are more than {TOML_VALUES_MAX:,} values {_place(text, offset)}")


def _place(text: str, offset: int) -> str:
    """Return a place as ``tomllib`` tells it."""
    return f"(at line {text.count(chr(10), 0, offset) + 1}, column {offset - text.rfind(chr(10), 0, offset)})"
