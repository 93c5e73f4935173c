"""Ctrl-C ends an exploration, and leaves neither a world that is not as it was nor processes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from storagemod.explore import Stop, explore
from storagemod.explore.executors import Elsewhere
from storagemod.explore.script import calls_in
from storagemod.explore.workers import Workers
from storagemod.world import World
from tests.explore.examples import shipped
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


def test_a_script_without_a_guard_is_not_run_again_by_workers() -> None:
    command = [sys.executable, "-m", "tests.explore.unguarded"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    assert (run.returncode, run.stdout.split(), run.stderr) == (0, ["100"], "")


SCRIPT = """
from storagemod.explore import executors, explore
from storagemod.scenario.fixtures import scenario_path

def holds(world):
    print("checked")
    return True

if __name__ == "__main__":
    executors.Elsewhere._are_starting = lambda _: False  # nothing is run here
    explore(scenario_path("reentry/withdraw_fixed"), tries=20, jobs=2, invariants={{"mine": {function}}})
    print("done")
"""


def test_a_function_of_the_main_script_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.format(function="holds"))
    run = run_script(tmp_path)

    assert run.returncode == 1
    assert "holds stands in the script that explores" in run.stderr
    assert "put it into a module that the script imports; or use one job" in run.stderr


def test_a_function_of_a_module_beside_the_script_is_run_by_workers(tmp_path: Path) -> None:
    """What it prints is no reply of a worker, and goes to standard error."""
    (tmp_path / "other.py").write_text(SCRIPT.format(function="holds"))
    (tmp_path / "script.py").write_text("import other\n" + SCRIPT.format(function="other.holds"))
    run = run_script(tmp_path)

    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-1] == "done"
    assert "checked" in run.stderr


def run_script(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "script.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_search_that_is_stopped_returns_what_it_found(jobs: int) -> None:
    stop = Stop()

    def progress(*counts: int) -> None:
        if counts[0] == 40:
            stop.request()

    found = explore(shipped("withdraw_fixed"), jobs=jobs, stop=stop, progress=progress).found

    assert (found.tries, found.ended, stop.signal) == (40, "interrupted", 0)


def test_a_search_that_is_stopped_shrinks_what_it_found() -> None:
    stop = threading.Event()
    settings: dict[str, Any] = {"stop": stop.is_set, "told": lambda *_: stop.set(), "seed": 5}
    found = explore(shipped("cross_contract"), invariants={"nothing": "1 == 1"}, **settings)

    (violation,) = found.violations
    assert found.found.ended == "interrupted"
    assert calls_in(violation.script) == 2


def test_a_search_that_is_stopped_at_once_holds_nothing() -> None:
    found = explore(shipped("withdraw_fixed"), stop=lambda: True)

    assert (found.found.tries, found.found.ended) == (0, "interrupted")
    assert set(found.verdicts.values()) == {"not explored"}


def test_without_a_stop_control_c_is_raised() -> None:
    """A library does not swallow it."""
    with pytest.raises(KeyboardInterrupt):
        explore(shipped("withdraw_fixed"), progress=lambda *_: signal.raise_signal(signal.SIGINT))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_requests_a_stop_and_one_that_comes_later_leaves(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("storagemod.explore.stopping.time", SimpleNamespace(monotonic=lambda: now[0]))
    before = signal.getsignal(number)
    with Stop() as stop:
        assert not stop()
        signal.raise_signal(number)
        assert (stop(), stop.signal) == (True, number)
        now[0] = 0.1
        signal.raise_signal(number)  # the same request, passed on by a wrapper
        now[0] = 5.0
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_signals_that_are_ignored_stay_ignored_and_other_threads_change_nothing() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Stop() as stop:
            signal.raise_signal(signal.SIGINT)
            assert not stop()
    finally:
        signal.signal(signal.SIGINT, before)
    handlers: list[object] = []

    def elsewhere() -> None:
        with Stop():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert handlers == [before]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_one_control_c_ends_the_command_with_a_report(jobs: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "storagemod", "explore", "reentry/withdraw_fixed", "--failures", str(tmp_path)]
    with (
        subprocess.Popen(
            [*command, "--jobs", jobs, "--tries", "10000000", "--json"],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - one thread
            text=True,
        ) as process,
        ending_all(process.pid, seconds=60),
    ):
        wait_for_children(process.pid, int(jobs) if jobs != "1" else 0)
        time.sleep(6)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=60)

    document = json.loads(out)
    assert (process.returncode, document["ended"]) == (130, "interrupted"), err
    assert "Traceback" not in err
    if document["tries"]:
        assert json.loads((tmp_path / "withdraw_fixed.corpus.json").read_text())["tries"]


def test_a_worker_that_is_killed_breaks_its_call() -> None:
    with Workers(1) as workers:
        with pytest.raises(BrokenExecutor, match="status 3"):
            workers.submit(os._exit, 3).result(60)
        with pytest.raises(BrokenExecutor):
            workers.submit(os.getpid).result(60)


def end_one_worker(world: World) -> bool:
    """An invariant that ends the first process that checks it, other than the one that explores."""
    marker = Path(os.environ["STORAGEMOD_TEST_MARKER"])
    if str(os.getpid()) != os.environ["STORAGEMOD_TEST_PARENT"] and not marker.exists():
        marker.touch()
        os._exit(1)
    return bool(world)


def test_a_search_goes_on_when_a_worker_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGEMOD_TEST_MARKER", str(tmp_path / "marker"))
    monkeypatch.setenv("STORAGEMOD_TEST_PARENT", str(os.getpid()))
    monkeypatch.setattr(Elsewhere, "_are_starting", lambda _: False)  # nothing is run here
    settings: dict[str, Any] = {"tries": 60, "calls": 2, "invariants": {"one is lost": end_one_worker}}
    lost = explore(shipped("withdraw_fixed"), jobs=2, **settings)

    assert (tmp_path / "marker").exists()
    assert lost.found == explore(shipped("withdraw_fixed"), **settings).found


def test_what_a_worker_raises_is_raised_here() -> None:
    with Workers(1) as workers:
        with pytest.raises(ZeroDivisionError) as caught:
            workers.submit(divmod, 1, 0).result(60)
        assert "in a worker" in caught.value.__notes__[0]
        with pytest.raises(RuntimeError, match="cannot pickle"):
            workers.submit(threading.Lock).result(60)
        assert workers.submit(divmod, 7, 2).result(60) == (3, 1)


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
