"""Find scenario files among other TOML files.

Imports of this module stay light: pytest calls it for every TOML file, and most of them are not scenarios.
"""

from __future__ import annotations

import re
from pathlib import Path

from storagemod.errors import ValidationError
from storagemod.inputs import SCENARIO_BYTES_MAX, parse_toml, read_file

_HEADER = re.compile(r"^\s*\[+\s*(?:contracts|transactions)\b", re.MULTILINE)


def is_scenario(path: Path) -> bool:
    """Check whether a TOML file is meant to be a scenario: it has contracts or transactions, or extends another one.

    A file with errors counts if it has such a header, so that the errors are reported when it is loaded.
    """
    try:
        data = read_file(path, bytes_max=SCENARIO_BYTES_MAX)
    except ValidationError:
        return False
    text = data.decode("utf-8-sig", errors="replace")
    try:
        found = parse_toml(text)
    except ValueError:
        return _HEADER.search(text) is not None
    about = found.get("scenario")
    return "contracts" in found or "transactions" in found or (isinstance(about, dict) and "extends" in about)


def scenarios_in(folder: Path) -> list[Path]:
    """Return the scenario files in a folder and its subfolders, in order."""
    return sorted(path for path in folder.rglob("*.toml") if path.is_file() and is_scenario(path))
