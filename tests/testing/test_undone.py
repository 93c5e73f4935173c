"""Undoing within a test: between the examples of Hypothesis, above all."""

from __future__ import annotations

import attrs
import pytest

from storagemod import World
from storagemod.testing import undone

from .conftest import Project


def test_all_worlds_are_undone_whatever_ends_the_block() -> None:
    worlds = [World(), World()]

    def change() -> None:
        with undone(*worlds):
            for world in worlds:
                world.fund(7, 70)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()

    assert [world.account(7).balance for world in worlds] == [0, 0]


def test_block_of_a_world_is_set_back_too() -> None:
    world = World()
    before = world.block

    with undone(world):
        world.block = attrs.evolve(before, number=before.number + 1)

    assert world.block == before


def test_each_example_of_hypothesis_begins_with_the_world_of_the_module(either: Project) -> None:
    either.write(
        test_it__py="""
import pytest
from hypothesis import given, settings, strategies as st
from storagemod.testing import undone
from storagemod.testing.strategies import call_scripts
from storagemod.scenario.fixtures import fixture_path

@pytest.fixture(scope="module")
def puppets(storage_worlds):
    world = storage_worlds()
    for address in (1, 2):
        world.deploy(fixture_path("puppet/puppet"), address=address)
    return world

@pytest.mark.storagemod(link=["single", "methods"], strict=False)
@given(call_scripts([1, 2]))
@settings(max_examples=20, deadline=None, database=None, derandomize=True)
def test_it(puppets, script):
    before = puppets.state_root
    with undone(puppets):
        assert puppets.storage(1)["memory"][:64] == bytes(64)
        puppets.transact(1, data=bytes(script))
        puppets.transact(1, data=bytes.fromhex("110000000001000000000000 00"))
        assert puppets.storage(1)["memory"].read_int(0) == 1
        assert puppets.state_root != before
    assert puppets.state_root == before

@given(number=st.integers(1, 9))
@settings(max_examples=5, deadline=None, database=None)
def test_without_the_block_examples_see_one_another_but_not_other_tests(puppets, number):
    assert puppets.account(9).balance < 1_000
    puppets.fund(9, puppets.account(9).balance + number)

def test_later(puppets):
    assert puppets.account(9).balance == 0
"""
    )

    either.passes(passed=4)


def test_each_example_begins_with_what_fixtures_of_the_test_left(either: Project) -> None:
    either.write(
        test_it__py="""
import pytest
from hypothesis import assume, given, settings, strategies as st
from storagemod import World

quick = settings(max_examples=20, deadline=None, database=None)

@pytest.fixture
def counter(storage_world):
    address = storage_world.deploy("counter.wat")
    storage_world.transact(address, "set", 0, 5).raise_for_error()
    return address

@pytest.fixture
def mine():
    with World() as world:
        yield world

@pytest.fixture(scope="module")
def older():
    return World()

def incremented(world, counter):
    assert world.transact(counter, "increment").value == 6

@pytest.mark.storagemod(link=["single", "copied"])
@quick
@given(number=st.integers())
def test_world_of_the_test(storage_world, counter, number):
    incremented(storage_world, counter)

class TestIt:
    @quick
    @given(number=st.integers())
    def test_world_of_a_method(self, storage_world, counter, number):
        incremented(storage_world, counter)

@quick
@given(number=st.integers())
def test_world_that_a_fixture_makes_itself(mine, older, number):
    for world in (mine, older):
        assert world.account(9).balance == 0
        world.fund(9, 1)

@quick
@given(data=st.data())
def test_world_that_an_example_asks_for(request, data):
    world = request.getfixturevalue("storage_world")
    assert world.account(9).balance == 0
    world.fund(9, 1)

@quick
@given(number=st.integers(0, 9))
def test_example_that_fails_is_undone_as_well(storage_world, number):
    assert storage_world.account(9).balance == 0
    storage_world.fund(9, 1)
    assume(number % 2)

def test_later(older):
    assert older.account(9).balance == 0
"""
    )

    either.passes(passed=7)


def test_hypothesis_itself_warns_of_other_fixtures_that_are_for_one_test(project: Project) -> None:
    project.write(
        test_it__py="""
import pytest
from hypothesis import given, strategies as st

@pytest.fixture
def numbers():
    return []

@given(st.integers())
def test_it(storage_world, numbers, number):
    pass

@given(st.integers())
def test_worlds_only(storage_world, number):
    pass
"""
    )

    result = project.run()

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*uses a function-scoped fixture *"])


def test_settings_of_the_test_are_as_before_when_it_ends(project: Project) -> None:
    project.write(
        test_it__py="""
from hypothesis import given, strategies as st

@given(st.integers())
def test_it(storage_world, number):
    pass

before = test_it.hypothesis.inner_test, test_it._hypothesis_internal_use_settings

def test_later():
    assert (test_it.hypothesis.inner_test, test_it._hypothesis_internal_use_settings) == before
"""
    )

    project.passes(passed=2)
