"""The regression tests that are written: they fail now, and pass once the contract is mended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from storagemod import SyncPolicy
from storagemod.errors import ScenarioError, StateError
from storagemod.explore import explore
from storagemod.explore.write import write_tests
from storagemod.scenario import load_scenario, run_scenario
from storagemod.scenario.fixtures import scenario_path

from .examples import FAULTS, quick, rule, shop

MENDED = {
    "withdraw": [("bank.wat", "bank_fixed.wat")],
    "cross_function": [("ledger.wat", "ledger_fixed.wat")],
    "cross_contract": [("desk.wat", "desk_fixed.wat")],
    "read_only": [("pool.wat", "pool_fixed.wat")],
    "hooks": [("coin.wat", "coin_fixed.wat")],
    "guard": [("strongbox.wat", "strongbox_fixed.wat")],
}


def pytest_in(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", str(folder)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    """A folder with copies of the contracts and scenarios that a user would have."""
    root = scenario_path("reentry/withdraw").parents[1]
    for name in ("reentry", "bank"):
        shutil.copytree(root / name, tmp_path / name)
    return tmp_path


def test_they_are_red_now_and_green_once_all_is_mended(contracts: Path) -> None:
    tests = contracts / "tests"
    for name in FAULTS:
        exploration = explore(contracts / "reentry" / f"{name}.toml", calls=2, tries=400)
        assert [path.suffix for path in write_tests(exploration, tests)] == [".toml", ".py"]
    total = len(FAULTS)

    red = pytest_in(tests)
    assert red.returncode == 1, red.stdout + red.stderr
    assert f"{total} failed" in red.stdout
    assert "sum(bank.memory[64:]) = " in red.stdout

    for replaced in MENDED.values():
        for faulty, fixed in replaced:
            folder = contracts / ("bank" if faulty == "bank.wat" else "reentry")
            shutil.copy(folder / fixed, folder / faulty)
    stale = contracts / "reentry" / "stale_guard.toml"
    stale.write_text(stale.read_text().replace('sync = "end"', 'sync = "call"'))

    green = pytest_in(tests)
    assert green.returncode == 0, green.stdout + green.stderr
    assert f"{total} passed" in green.stdout


@pytest.mark.parametrize("link", ["methods", "keyed", "copied"])
def test_they_run_under_the_linking_option_that_the_fault_was_found_under(contracts: Path, link: str) -> None:
    sync = SyncPolicy.END if link == "copied" else None
    exploration = explore(contracts / "reentry" / "withdraw.toml", link=link, sync=sync, calls=2, tries=200)
    scenario, test = write_tests(exploration, contracts / "tests")

    assert f"link={link!r}" in test.read_text()
    assert not run_scenario(load_scenario(scenario), link=link, sync=sync).ok
    assert pytest_in(test.parent).returncode == 1


def test_they_have_the_policies_that_the_fault_was_found_under(contracts: Path) -> None:
    exploration = explore(
        contracts / "reentry" / "withdraw.toml", link="paged", sync="revision", exclusive="call", calls=2, tries=200
    )
    _, test = write_tests(exploration, contracts / "tests")

    assert "from storagemod import ExclusivePolicy, SyncPolicy\n" in test.read_text()
    assert "exclusive=ExclusivePolicy('call'), sync=SyncPolicy('revision')" in test.read_text()
    assert pytest_in(test.parent).returncode == 1


def test_tries_of_several_transactions_and_reactions_are_played_as_they_were(tmp_path: Path) -> None:
    goal = "shop.memory[8] != 1 or shop.memory[16] == 0"
    exploration = quick(shop(rule(goal, "several things")), calls=2, depth=0, tries=2_000)
    (violation,) = exploration.violations
    scenario, _ = write_tests(exploration, tmp_path)

    result = run_scenario(load_scenario(scenario))

    assert len(violation.script) > 1
    (difference,) = result.transactions[-1].differences
    assert difference.found == "; ".join(violation.breach.why)
    assert all(transaction.ok for transaction in result.transactions[:-1])


def test_one_that_does_not_hold_from_the_start_is_written_too(tmp_path: Path) -> None:
    exploration = quick(shop(rule("shop.memory[0] == 7")))
    scenario, _ = write_tests(exploration, tmp_path)

    assert not run_scenario(load_scenario(scenario)).ok


def test_names_of_files_are_apart_and_whatever_is_in_names_is_written_as_it_is(tmp_path: Path) -> None:
    names = ['a "b" \\ \u202e\n', "a_b", "../../a b", "ä" * 300]
    exploration = quick(
        shop("[explore]"), invariants={name: f"shop.memory[0] == {number + 7}" for number, name in enumerate(names)}
    )
    paths = write_tests(exploration, tmp_path / "new" / "folder")

    assert len(set(paths)) == 2 * len(names)
    assert {path.parent for path in paths} == {tmp_path / "new" / "folder"}
    for path, name in zip(paths[::2], names, strict=True):
        assert [each.name for each in load_scenario(path).invariants] == [name]
        compile(path.with_name(f"test_{path.stem}.py").read_text(encoding="utf-8"), "test", "exec")


def test_what_has_no_file_form_or_no_place_is_an_error(tmp_path: Path) -> None:
    exploration = quick(shop("[explore]"), invariants={"python": lambda _: False})
    with pytest.raises(ScenarioError, match=r"'python' is a Python function.*write it as an expression"):
        write_tests(exploration, tmp_path)

    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be written"):
        write_tests(quick(shop(rule("shop.memory[0] == 7"))), tmp_path / "file")
