"""Files that hold what a command or a writer printed when a person last looked at it."""

from __future__ import annotations

import os
from pathlib import Path

UPDATE_VARIABLE = "STORAGEMOD_UPDATE_GOLDEN"


def check_golden(path: Path, text: str) -> None:
    """Compare a text with a golden file, or with ``STORAGEMOD_UPDATE_GOLDEN=1`` write it there."""
    if os.environ.get(UPDATE_VARIABLE) == "1":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"if it is meant, run again with {UPDATE_VARIABLE}=1"
