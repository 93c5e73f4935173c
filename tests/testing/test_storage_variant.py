from __future__ import annotations

from .conftest import Project


def test_without_marker_and_options_a_test_runs_once_and_its_id_is_its_name(either: Project) -> None:
    either.write(
        test_it__py="""
def test_it(storage_world, storage_variant):
    assert storage_variant == ("single", None, None, None, False, None)
"""
    )

    lines = either.passes(passed=1)

    assert any("test_it.py::test_it PASSED" in line or "PASSED test_it.py::test_it" in line for line in lines)


def test_tests_can_ask_for_the_option_that_they_run_under(project: Project) -> None:
    project.write(
        test_it__py="""
from storagemod import World
from storagemod.scenario.fixtures import fixture
def test_it(storage_variant):  # in a world of one's own
    world = World()
    bank = world.deploy(fixture("bank/bank", storage_variant.link), links={"customer": 0x99})
    assert storage_variant.link in world.contract(bank).options
"""
    )

    project.passes("--storagemod-link", "single,methods", passed=2)
