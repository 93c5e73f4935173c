"""Whatever a disk does, the next opening shows one committed state with all that was acknowledged, or says why not.

A failure names its seed. For hours of other seeds::

    STORAGEMOD_FUZZ=1 STORAGEMOD_FUZZ_SECONDS=7200 pytest -m fuzz tests/state/test_simulated_disks.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SEED = os.environ.get("STORAGEMOD_DISK_SEED")
SEEDS = 150
SECONDS_MAX = 60.0
SECONDS_FUZZED = float(os.environ.get("STORAGEMOD_FUZZ_SECONDS", "120"))


def simulate(shim: Path, place: Path, first: int, count: int, seconds: float) -> dict[str, int]:
    command = [sys.executable, "-m", "tests.state.simulated", str(shim), str(place)]
    done = subprocess.run(
        [*command, str(first), str(count), str(seconds)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"LD_PRELOAD": str(shim)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_disk_that_fails_leaves_one_committed_state_or_says_why_not(shim: Path, place: Path) -> None:
    if SEED is not None:
        simulate(shim, place, int(SEED), 1, SECONDS_MAX)
        return
    found = simulate(shim, place, 1, SEEDS, SECONDS_MAX)
    kinds = ("failed", "refused", "killed", "power", "flipped", "told at opening", "one committed state")
    assert all(found[kind] for kind in kinds)


@pytest.mark.fuzz
@pytest.mark.skipif(os.environ.get("STORAGEMOD_FUZZ") != "1", reason="takes long: set STORAGEMOD_FUZZ=1 to run it")
def test_no_seed_of_many_leaves_anything_else(shim: Path, place: Path) -> None:
    first = int(SEED) if SEED is not None else time.time_ns() // 1_000_000
    assert simulate(shim, place, first, sys.maxsize, SECONDS_FUZZED)["seeds"]
