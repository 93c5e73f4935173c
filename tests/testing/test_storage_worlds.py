"""Worlds that outlive a test: what each test does to them is undone."""

from __future__ import annotations

import pytest

from .conftest import Project

BANK = """
import pytest
from storagemod import World

@pytest.fixture(scope="{scope}")
def counting({needs}):
    world = {world}
    counter = world.deploy(CODE, name="counter")
    world.transact(counter, "increment")
    return world

CODE = '''(module (import "storage" "memory" (memory 1)) (func (export "increment") (result i64)
  (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1))) (i64.load (i32.const 0))))'''

def address(world):
    return next(address for address, account in world.accounts().items() if account.name == "counter")

class TestIt:
    @pytest.mark.parametrize("number", range(4))
    def test_it(self, counting, number):
        assert counting.transact(address(counting), "increment").value == 2

def test_later(counting):
    assert counting.transact(address(counting), "increment").value == 2
"""


def test_what_a_test_does_to_a_world_made_by_storage_worlds_is_undone(either: Project) -> None:
    for scope in ("class", "module"):
        text = BANK.format(scope=scope, needs="storage_worlds", world="storage_worlds()")
        either.write(**{f"test_{scope}__py": text})

    either.passes(passed=10)


@pytest.mark.parametrize("scope", ["module", "package", "session"])
def test_what_a_test_does_to_a_world_that_a_fixture_gives_is_undone(project: Project, scope: str) -> None:
    project.write(test_it__py=BANK.format(scope=scope, needs="", world="World()"))

    project.passes(passed=5)


def test_what_the_fixtures_of_a_module_do_to_a_world_of_the_session_is_undone_with_them(project: Project) -> None:
    project.write(
        conftest__py="""
import pytest
from storagemod import World
@pytest.fixture(scope="session")
def shared():
    with World() as world:
        world.fund(7, 70)
        yield world
"""
    )
    for name in ("one", "two"):
        project.write(
            **{
                f"test_{name}__py": """
import pytest
@pytest.fixture(scope="module", autouse=True)
def richer(shared):
    shared.fund(7, shared.account(7).balance + 1)
@pytest.fixture
def richest(shared):
    shared.fund(7, shared.account(7).balance + 10)
@pytest.mark.parametrize("number", range(2))
def test_it(shared, richest, number):
    assert shared.account(7).balance == 81
    shared.fund(7, 0)
def test_without(shared):
    assert shared.account(7).balance == 71
"""
            }
        )

    project.passes(passed=6)


def test_a_world_that_is_asked_for_in_the_middle_of_a_test_is_undone_too(project: Project) -> None:
    project.write(
        test_it__py="""
import pytest
@pytest.fixture(scope="module")
def late(storage_worlds):
    world = storage_worlds()
    world.fund(7, 70)
    return {"world": world}  # not the world itself
@pytest.mark.parametrize("number", range(3))
def test_it(request, number):
    world = request.getfixturevalue("late")["world"]
    assert world.account(7).balance == 70
    world.fund(7, 0)
"""
    )

    project.passes(passed=3)


def test_a_test_that_fails_is_undone_too(project: Project) -> None:
    project.write(
        test_it__py="""
import pytest
@pytest.fixture(scope="module")
def shared(storage_worlds):
    return storage_worlds()
def test_bad(shared):
    shared.fund(7, 1)
    assert shared.account(7).balance == 2
def test_good(shared):
    assert shared.account(7).balance == 0
"""
    )

    project.passes(passed=1, failed=1)


def test_a_world_with_parameters_that_its_fixture_closes_is_made_anew_for_each(project: Project) -> None:
    project.write(
        test_it__py="""
import pytest
from storagemod import World
@pytest.fixture(scope="session", params=[1, 2])
def shared(request):
    with World() as world:
        world.fund(7, request.param)
        yield world
@pytest.fixture(scope="module", autouse=True)
def other():
    return None
def test_it(shared):
    assert shared.account(7).balance in (1, 2)
    shared.fund(7, 0)
def test_again(shared):
    assert shared.account(7).balance in (1, 2)
"""
    )

    project.passes(passed=4)


def test_fixtures_of_a_module_have_a_world_for_each_option(project: Project) -> None:
    project.write(
        test_it__py="""
import pytest
pytestmark = pytest.mark.storagemod(link=["single", "methods"])
@pytest.fixture(scope="module")
def shared(storage_worlds):
    return storage_worlds()
def test_it(shared, storage_variant):
    assert shared.variant is storage_variant
def test_again(shared, storage_variant):
    assert shared.variant is storage_variant
"""
    )

    project.passes(passed=4)


def test_a_world_can_be_made_with_settings_of_its_own(project: Project) -> None:
    project.write(
        test_it__py="""
def test_it(storage_worlds, tmp_path):
    with storage_worlds(path=tmp_path / "world", trace=False) as world:
        assert world.transact(world.deploy("counter.wat"), "increment").trace is None
    assert (tmp_path / "world").is_dir()
"""
    )

    project.passes(passed=1)


HELD = """
import pytest, types, unittest
from storagemod import World

CODE = '''(module (import "storage" "memory" (memory 1)) (func (export "increment") (result i64)
  (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1))) (i64.load (i32.const 0))))'''

def made():
    world = World()
    return world, world.deploy(CODE, name="counter")

def check(world, counter):
    assert world.transact(counter, "increment").value == 1
"""


@pytest.mark.parametrize(
    ("result", "parts"),
    [
        ("made()", "held"),
        ("[made()]", "held[0]"),
        ("{'it': made()}", "held['it']"),
        ("types.SimpleNamespace(it=made())", "held.it"),
        ("Holder()", "(held.world, held.counter)"),
    ],
)
def test_a_world_within_what_a_fixture_gives_is_brought_back(project: Project, result: str, parts: str) -> None:
    project.write(
        test_it__py=f"""{HELD}
class Holder:
    def __init__(self):
        self.world, self.counter = made()

@pytest.fixture(scope="module")
def held():
    return {result}

@pytest.mark.parametrize("number", range(3))
def test_it(held, number):
    check(*{parts})
"""
    )

    project.passes(passed=3)


def test_a_world_that_the_setup_of_a_class_or_a_module_keeps_is_brought_back(project: Project) -> None:
    project.write(
        test_it__py=f"""{HELD}
def setup_module():
    global both
    both = made()

class TestPlain:
    @classmethod
    def setup_class(cls):
        cls.world, cls.counter = made()
    def test_one(self): check(self.world, self.counter)
    def test_two(self): check(self.world, self.counter)
    def test_three(self): check(*both)

class TestBelow(TestPlain):
    pass

class TestUnit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.both = made()
    def test_one(self): check(*self.both)
    def test_two(self): check(*self.both)
    def test_three(self): check(*both)
"""
    )

    project.passes(passed=9)
