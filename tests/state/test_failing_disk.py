"""Whichever write or sync fails, nothing that was acknowledged is lost, and the error is one of state."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .stores import quick_disk

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes calls fail."""
    if sys.platform != "linux":
        pytest.skip("calls are made to fail by LD_PRELOAD and /proc, which are of Linux")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler to build the library that makes calls fail")
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "faults.c"), "-ldl"]
    subprocess.run(command, check=True)
    return library


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=quick_disk()) as directory:
        yield Path(directory)


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
