"""A world whose process is killed has exactly the transactions that were committed, whatever finds what they wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

KILLS = 60
"""Under each tracker that works here: 240 where all do. Stores without worlds are killed in tests/state/ as often."""


def test_a_killed_world_has_every_transaction_whole_or_not_at_all(tmp_path: Path, tracker: str) -> None:
    command = [sys.executable, "-m", "tests.world.killed", str(tmp_path / "world"), tracker, str(KILLS), "1"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rounds) == KILLS
    for each in rounds:
        assert each["acknowledged"] <= each["found"] <= each["acknowledged"] + 1  # one may be on its way
    assert sum(each["found"] > each["before"] for each in rounds) > KILLS // 2
