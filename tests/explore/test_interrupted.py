"""Ctrl-C ends an exploration, and leaves neither a world that is not as it was nor processes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fuzz.test_fuzz import if_asked
from tests.pages.programs import ROOT, output_of


def test_an_interrupted_trial_leaves_the_world_as_trials_find_it() -> None:
    found = json.loads(output_of("tests.explore.interrupted", "150", "1"))
    assert found["interrupted"] == 150


@pytest.mark.fuzz
@if_asked
def test_ten_thousand_interruptions_of_trials() -> None:
    assert json.loads(output_of("tests.explore.interrupted", "10000", str(random.getrandbits(32)), seconds=1_200))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked for in /proc")
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("to_all", [False, True])
def test_bursts_end_an_exploration_and_all_of_its_processes(jobs: int, to_all: bool) -> None:
    """A terminal sends Ctrl-C to workers as well."""
    command = [sys.executable, "-m", "storagemod", "explore", "reentry/withdraw_fixed"]
    with subprocess.Popen(
        [*command, "--jobs", str(jobs), "--calls", "6", "--tries", "1000000"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        send_bursts(process, jobs=jobs, to_all=to_all)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked for in /proc")
def test_a_request_to_end_leaves_no_worker_behind() -> None:
    command = [sys.executable, "-m", "storagemod", "explore", "reentry/withdraw_fixed", "--jobs", "2"]
    with (
        subprocess.Popen(
            [*command, "--calls", "6", "--tries", "1000000"],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process,
        ending_all(process.pid, seconds=60),
    ):
        wait_for_children(process.pid, 2)
        process.terminate()
        process.wait(30)


def test_a_script_without_a_guard_is_told_so() -> None:
    command = [sys.executable, "-m", "tests.explore.unguarded"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].endswith('what explores belongs under `if __name__ == "__main__":`)')


def send_bursts(process: subprocess.Popen[str], *, jobs: int, to_all: bool) -> None:
    with ending_all(process.pid, seconds=20):
        wait_for_children(process.pid, jobs if jobs > 1 else 0)
        time.sleep(1)
        for _ in range(5):
            (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
            time.sleep(0.001)
        _, err = process.communicate(timeout=30)
        assert process.returncode in {130, -signal.SIGINT}, err


@contextmanager
def ending_all(group: int, *, seconds: float) -> Iterator[None]:
    """Check that all processes of a group end within some time of a block; none is left in any case."""
    try:
        yield
        deadline = time.monotonic() + seconds
        while group_members(group) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not group_members(group)
    finally:
        for pid in group_members(group):
            os.kill(pid, signal.SIGKILL)


def wait_for_children(pid: int, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(group_members(pid)) <= count and time.monotonic() < deadline:
        time.sleep(0.05)


def group_members(group: int) -> list[int]:
    """The processes of a group that run."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                members.append(int(entry.name))
    return members
