"""What the machine has is no outcome: where memory is scarce, a transaction ends as elsewhere, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from storagemod.pages.backend import BACKENDS, why_unavailable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of a process are those of Linux here")

AVAILABLE = [name for name, backend in BACKENDS.items() if why_unavailable(backend) is None]


def run(seed: int, tracker: str, count: int, timeout: int) -> list[str]:
    command = [sys.executable, "-m", "tests.world.limited", str(seed), tracker, str(count)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert ended.returncode == 0, f"seed {seed} under {tracker}: {ended.stderr[-2_000:]}"
    return ended.stdout.splitlines()


@pytest.mark.parametrize("tracker", AVAILABLE)
def test_transactions_end_the_same_or_not_at_all(tracker: str) -> None:
    *lines, total = run(5, tracker, 40, 120)
    assert len(lines) == 40
    refused = [line for line in lines if "no memory left" in line or "cannot be" in line]
    assert 3 <= len(refused) <= 37
    assert all(line.endswith(": the same") for line in lines if line not in refused)
    assert total == f"40 transactions from seed 5: {len(refused)} were refused, and all others ended the same"


@pytest.mark.fuzz
@pytest.mark.skipif(os.environ.get("STORAGEMOD_FUZZ") != "1", reason="takes long: set STORAGEMOD_FUZZ=1 to run it")
@pytest.mark.parametrize("tracker", AVAILABLE)
@pytest.mark.parametrize("seed", range(100, 130))
def test_transactions_end_the_same_or_not_at_all_with_many_seeds(tracker: str, seed: int) -> None:
    run(seed, tracker, 60, 600)
