from __future__ import annotations

from .conftest import Project

TWO_TESTS = """
def test_first(storage_world):
    counter = storage_world.deploy("counter.wat")
    assert storage_world.transact(counter, "increment").value == 1

def test_second(storage_world):
    assert len(storage_world.accounts()) == 1
    counter = storage_world.deploy("counter.wat")
    assert storage_world.transact(counter, "increment").value == 1
"""


def test_each_test_has_a_fresh_world(either: Project) -> None:
    either.write(test_it__py=TWO_TESTS)

    either.passes(passed=2)


def test_world_is_closed_when_its_test_is_over(project: Project) -> None:
    project.write(
        test_it__py="""
import pytest, storagemod
kept = []
def test_first(storage_world):
    kept.append(storage_world)
    storage_world.deploy("counter.wat")
def test_second():
    with pytest.raises(storagemod.StateError, match="closed"):
        kept[0].deploy("counter.wat")
"""
    )

    project.passes(passed=2)


def test_contracts_that_leave_it_open_are_deployed_under_the_option_of_the_test(project: Project) -> None:
    project.write(
        test_it__py="""
from pathlib import Path
import pytest
@pytest.mark.storagemod(link=["single", "regions", "methods", "keyed", "copied", "paged"])
def test_it(storage_world, storage_variant):
    for code in ("counter.wat", Path("counter.wat"), Path("counter.wat").read_text()):
        address = storage_world.deploy(code)
        assert storage_world.account(address).name in {"counter", "counter-2", "contract"}
        assert storage_variant.link in storage_world.contract(address).options
        assert storage_world.transact(address, "increment").value == 1
"""
    )

    project.passes(passed=6)


def test_contracts_that_map_storage_are_mapped_as_the_test_says(project: Project) -> None:
    project.write(
        test_it__py="""
import pytest
@pytest.mark.storagemod(link=["copied", "paged"], sync=["call", "end"], exclusive=["none", "transaction"])
def test_it(storage_world, storage_variant):
    mapping = storage_world.account(storage_world.deploy("counter.wat")).mapping
    assert (mapping.option, mapping.sync) == (storage_variant.link, storage_variant.sync or "call")
    assert mapping.exclusive == (storage_variant.exclusive or "none")

def test_what_the_test_itself_says_holds(storage_world):
    address = storage_world.deploy("counter.wat", policy="deny")
    assert storage_world.account(address).policy == "deny"
"""
    )

    project.passes(passed=5)


def test_contracts_that_call_functions_are_linked_as_the_test_says(project: Project) -> None:
    project.write(
        test_it__py="""
import pytest
CODE = '(module (import "storage" "size" (func $size (result i32))) (func (export "f") (result i32) (call $size)))'
@pytest.mark.storagemod(link=["single", "regions", "methods", "keyed"])
def test_it(storage_world, storage_variant):
    address = storage_world.deploy(CODE)
    wanted = "methods" if storage_variant.link == "keyed" else storage_variant.link
    assert storage_world.contract(address).options == {wanted}
    assert storage_world.transact(address, "f").value == 1
    assert storage_world.contract(storage_world.deploy(CODE, link="regions")).options == {"regions"}

def test_nothing_is_said(storage_world):
    assert storage_world.contract(storage_world.deploy(CODE)).options == {"methods"}
"""
    )

    project.passes(passed=5)


def test_contracts_that_do_not_leave_it_open_are_deployed_as_they_are(project: Project) -> None:
    project.write(
        test_it__py="""
import pytest
from storagemod.scenario import load_contract
@pytest.mark.storagemod(link="methods")
def test_it(storage_world):
    text = '(module (import "storage" "memory" (memory 1)))'
    address = storage_world.deploy(text)
    assert storage_world.contract(address).options == {"single"}
    binary = storage_world.contract(address).code
    assert storage_world.account(storage_world.deploy(binary)).code == binary
"""
    )

    project.passes(passed=1)


def test_contracts_have_the_re_entry_policy_of_the_test(project: Project) -> None:
    project.write(
        test_it__py="""
import pytest
@pytest.mark.storagemod(policy=["deny", "self-only"])
def test_it(storage_world, storage_variant):
    assert storage_world.account(storage_world.deploy("counter.wat")).policy == storage_variant.policy
    assert storage_world.account(storage_world.deploy("counter.wat", policy="allow")).policy == "allow"
"""
    )

    project.passes(passed=2)
