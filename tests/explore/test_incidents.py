"""The cases of `incidents/` prove what they say: each attack by hand breaks the faulty contracts, and not the mended.

The search over them takes minutes and belongs to `python -m tests.explore.incidents`, or to
`STORAGEMOD_BENCH=1 python -m pytest -m bench tests/explore/test_incidents.py`. That is the first set only: the
search does not find all of the second.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.explore.incidents.cases import FIXED, ROOT, SECOND, about, attack, names

README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST_ROWS, _, SECOND_ROWS = README.partition("## The second set")


@pytest.mark.parametrize("name", names())
def test_an_attack_by_hand_breaks_the_faulty_contracts_and_not_the_mended(name: str, tmp_path: Path) -> None:
    assert attack(name, tmp_path) == "ok"


@pytest.mark.parametrize("name", names())
def test_a_case_names_its_incident_and_what_an_attack_takes(name: str) -> None:
    first, second, third, *_ = (ROOT / name / "scenario.toml").read_text(encoding="utf-8").splitlines()
    assert first.startswith("# ")
    assert second.startswith("# Needs: ")
    assert third == ""
    assert about(name) == (first[2:], second.removeprefix("# Needs: "))
    assert f"| `{name}` |" in (SECOND_ROWS if name in SECOND else FIRST_ROWS)


@pytest.mark.parametrize("name", names())
def test_an_attack_is_on_the_contracts_and_invariants_of_the_scenario(name: str) -> None:
    scenario, exploit = (
        tomllib.loads((ROOT / name / file).read_text(encoding="utf-8")) for file in ("scenario.toml", "exploit.toml")
    )
    honest = len(scenario["transactions"])
    assert exploit["transactions"][:honest] == scenario["transactions"]
    assert {each["expr"] for each in exploit["invariants"]} <= {each["expr"] for each in scenario["invariants"]}
    for contract, spec in scenario["contracts"].items():
        assert exploit["contracts"][contract] == spec


@pytest.mark.parametrize("name", names())
def test_every_contract_says_what_it_is_and_twins_differ(name: str) -> None:
    folder = ROOT / name
    twins = sorted(folder.glob(f"*{FIXED}"))
    assert twins
    for twin in twins:
        faulty = twin.with_name(twin.name.replace(FIXED, ".wat"))
        assert _code(twin) != _code(faulty)
    for path in folder.glob("*.wat"):
        assert path.stem in {"attacker", "accomplice"} or path.read_text(encoding="utf-8").startswith(";; ")


def _code(path: Path) -> list[str]:
    """A contract without its comments."""
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith(";;")]


def test_every_case_is_in_one_of_two_sets_which_the_readme_counts() -> None:
    first, second = names("first"), names("second")
    assert set(second) == SECOND
    assert sorted([*first, *second]) == names()
    assert README.startswith(f"# Incidents\n\n{len(names())} contracts ")
    assert f"{len(first)} are the first set" in README
    assert f"{len(second)} are the second" in README


@pytest.mark.bench
@pytest.mark.skipif(os.environ.get("STORAGEMOD_BENCH") != "1", reason="takes long: set STORAGEMOD_BENCH=1 to run it")
@pytest.mark.parametrize("name", names("first"))
def test_the_explorer_finds_the_fault_and_is_quiet_about_the_mended_twin(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.explore.incidents", name, "--keep", str(tmp_path / "kept")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stdout + done.stderr
