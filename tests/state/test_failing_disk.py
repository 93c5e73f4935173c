"""Whichever write or sync fails, nothing that was acknowledged is lost, and the error is one of state."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("synchronous", "error", "persistent"),
    [
        ("full", errno.ENOSPC, False),
        ("full", errno.ENOSPC, True),
        ("full", errno.EIO, False),
        ("normal", errno.EIO, False),
    ],
    ids=["a full disk, once", "a full disk", "a bad disk, once", "a bad disk, once, without waiting for it"],
)
def test_nothing_acknowledged_is_lost_whichever_call_fails(
    place: Path, shim: Path, synchronous: str, error: int, persistent: bool
) -> None:
    arguments = [str(shim), str(place), synchronous, str(error), str(int(persistent))]
    done = subprocess.run(
        [sys.executable, "-m", "tests.state.failing", *arguments],
        cwd=HERE.parents[1],
        env=os.environ | {"LD_PRELOAD": str(shim)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *trials, without = [json.loads(line) for line in done.stdout.splitlines()]
    assert without == {"failed": 0, "refused": 0, "went_on": 0}
    assert len(trials) > 100
    assert all(trial["failed"] for trial in trials)
    assert any(trial["refused"] for trial in trials)
    if error == errno.ENOSPC and not persistent:  # when there is room again, there is no need to open it again
        assert any(trial["went_on"] for trial in trials)
