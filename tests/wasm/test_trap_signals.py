"""A trap is a signal first: whatever Python's faulthandler does to its handlers, the process goes on."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "actions",
    [
        ["nothing", "enable"],
        ["nothing", "enable", "disable"],
        ["enable", "disable"],
        ["enable", "disable", "enable"],
        ["nothing", "enable", "disable", "enable", "enable"],
    ],
    ids=" ".join,
)
def test_traps_end_calls_and_not_the_process(actions: list[str]) -> None:
    command = [sys.executable, "-m", "tests.wasm.trapping", *actions]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert len(lines) == 3 * len(actions)
    assert "out of bounds memory access" in lines[-3]
    assert "`unreachable` was executed" in lines[-2]
    assert "integer division by zero" in lines[-1]
