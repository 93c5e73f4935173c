"""Without the plugin, and where it has nothing to do."""

from __future__ import annotations

import subprocess
import sys

from .conftest import Project

HEAVY = (
    "wasmtime",
    "storagemod.world",
    "storagemod.vm",
    "storagemod.scenario",
    "storagemod.types",
    "cattrs",
    "rich",
)


def test_without_the_plugin_helpers_and_strategies_work(either: Project) -> None:
    either.write(
        test_it__py="""
from hypothesis import given, settings
from storagemod import World
from storagemod.testing import no_hazards, reverts, undone
from storagemod.testing.strategies import call_trees
def test_it():
    world = World()
    contract = world.deploy('(module (func (export "f") unreachable))')
    with reverts(), no_hazards(), undone(world):
        world.transact(contract, "f")
@given(call_trees([1]))
@settings(max_examples=3)
def test_strategies(tree):
    assert tree.depth <= 4
"""
    )

    lines = either.passes("-p", "no:storagemod", passed=2)

    assert not any(line.startswith("storagemod:") for line in lines)


def test_without_the_plugin_its_fixtures_are_not_there(project: Project) -> None:
    project.write(test_it__py="def test_it(storage_world): pass", test_counter__toml="[contracts]\n")

    result = project.run("-p", "no:storagemod")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'storage_world' not found"])


def test_nothing_heavy_is_imported_until_a_fixture_is_used(project: Project) -> None:
    project.write(
        test_data__toml="[tool]\nname = 1\n",
        test_it__py=f"""
import sys
def test_without():
    assert not [name for name in {HEAVY!r} if name in sys.modules]
def test_with(storage_world):
    assert "wasmtime" in sys.modules
""",
    )

    # Hypothesis brings modules of its own; storagemod's are looked at by themselves.
    result = project.pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:hypothesispytest")

    result.assert_outcomes(passed=2)


def test_plugin_brings_few_modules_of_its_own_and_none_of_other_packages() -> None:
    program = """
import sys, pytest
before = set(sys.modules)
import storagemod.testing.plugin
print(*sorted(set(sys.modules) - before))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    brought = ran.stdout.split()

    assert "storagemod.testing.plugin" in brought
    foreign = {name.partition(".")[0] for name in brought} - {"storagemod"} - sys.stdlib_module_names
    assert foreign == set()
    assert len([name for name in brought if name.startswith("storagemod")]) <= 16


def test_helpers_can_be_imported_without_the_virtual_machine() -> None:
    program = """
import sys
from storagemod.testing import reverts, no_hazards, undone
assert not {"wasmtime", "attrs", "pytest"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
