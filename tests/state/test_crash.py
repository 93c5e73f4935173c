"""Whenever a process that commits is killed, it leaves exactly one committed state, with all that it acknowledged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .stores import image_makers

KILLS = 60
"""For each way to commit: more than 200 where images can be mapped, 120 elsewhere."""

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("tracker", image_makers())
@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_a_killed_writer_leaves_one_committed_state_and_all_that_it_acknowledged(
    tmp_path: Path, synchronous: str, tracker: str
) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.state.killed",
        str(tmp_path / "world"),
        synchronous,
        tracker,
        str(KILLS),
        "1",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rounds) == KILLS
    for each in rounds:
        assert each["acknowledged"] <= each["found"] <= each["acknowledged"] + 1  # one may be on its way
    assert sum(each["found"] > each["before"] for each in rounds) > KILLS // 4  # and many had time to commit
