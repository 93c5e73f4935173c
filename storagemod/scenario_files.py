"""Find scenario files among other TOML files, and read text files.

Imports of this module stay light: pytest calls it for every TOML file, and most of them are not scenarios.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from storagemod.errors import ValidationError

FILE_BYTES_MAX = 8 << 20
"""The maximum length of a scenario file."""

_HEADER = re.compile(r"^\s*\[+\s*(?:contracts|transactions)\b", re.MULTILINE)


def is_scenario(path: Path) -> bool:
    """Check whether a TOML file is meant to be a scenario: it has contracts or transactions.

    A file with errors counts if it has such a header, so that the errors are reported when it is loaded.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError:
        return False
    if len(data) > FILE_BYTES_MAX:
        return False
    text = data.decode("utf-8-sig", errors="replace")
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError):
        return _HEADER.search(text) is not None
    return "contracts" in found or "transactions" in found


def scenarios_in(folder: Path) -> list[Path]:
    """Return the scenario files in a folder and its subfolders, in order."""
    return sorted(path for path in folder.rglob("*.toml") if path.is_file() and is_scenario(path))


def read_text(path: Path, *, bytes_max: int) -> str:
    """Read a text file in UTF-8.

    Raises:
        ValidationError: The file cannot be read, is not UTF-8, or is longer than ``bytes_max``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except IsADirectoryError as error:
        raise ValidationError(f"{path} is a directory", cause=error, hint="name a file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ValidationError(f"{path} cannot be read: {reason}", cause=error) from error
    if len(data) > bytes_max:
        raise ValidationError(f"{path} is longer than {bytes_max:,} bytes")
    try:
        return data.decode("utf-8-sig")  # some editors write a byte order mark first
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValidationError(f"{path}:{line}: not text in UTF-8", cause=error) from error
