"""Running a module of the tests as a program: for what may end a process, or is to be done in a fresh one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def output_of(module: str, *arguments: str, seconds: float = 120) -> str:
    """What a program writes; it has to end well."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert ended.returncode == 0, f"ended with {ended.returncode}:\n{ended.stdout[-2_000:]}\n{ended.stderr[-4_000:]}"
    return ended.stdout
