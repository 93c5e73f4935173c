"""Failed receipts that a test did not look at fail it."""

from __future__ import annotations

import copy
import pickle

import attrs
import pytest

from storagemod import World
from storagemod.testing.unchecked import PENDING_MAX, Ledger
from storagemod.types import Outcome
from storagemod.world import Receipt

from .conftest import COUNTER, Project

HEAD = """
import pytest

FAILS = '(module (func (export "fail") (param i64) unreachable))'

from storagemod import World
from storagemod.testing import reverts

@pytest.fixture
def counter(storage_world):
    return storage_world.deploy("counter.wat", name="counter")
"""


@pytest.mark.parametrize(
    "body",
    [
        "storage_world.transact(counter, 'increment', gas=0)",
        "assert storage_world.transact(counter, 'increment', gas=0)",
        "assert storage_world.transact(counter, 'increment', gas=0).value is None",
        "assert storage_world.call(counter, 'fail', 1).gas_used",
        "print(repr(storage_world.transact(counter, 'fail', 1)))",
        "assert not storage_world.transact(counter, 'fail', 1).changes",
        "World().create(b'no wasm')",
        "storage_world.transact(counter, 'fail', 1); storage_world.transact(counter, 'increment')",
    ],
)
def test_failure_that_nobody_looks_at_fails_the_test_with_its_tree(project: Project, body: str) -> None:
    project.write(test_it__py=f"{HEAD}\ndef test_it(storage_world, counter):\n    {body}\n")

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "a transaction failed and the test did not look at the receipt:",
            "  *test_it.py:14: transaction *: failed: *",
            "*.raise_for_error()*reverts*strict=False*",
            "transaction * in this test: failed: *",
            "*← [[]*",
        ]
    )
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


LOOKS = """
def test_with_reverts(storage_world, counter):
    with reverts():
        storage_world.transact(counter, "fail", 1)

@pytest.mark.parametrize("look", [
    lambda receipt: not receipt.ok,
    lambda receipt: receipt.error,
    lambda receipt: receipt.outcome,
    lambda receipt: not receipt == 1,
    lambda receipt: receipt != 1,
    lambda receipt: receipt not in [1, 2],
    lambda receipt: pytest.raises(Exception, receipt.raise_for_error),
])
def test_look(storage_world, counter, look):
    receipt = storage_world.transact(counter, "fail", 1)
    assert look(receipt)

def test_comparison(storage_world, counter):
    left, right = (storage_world.call(counter, "fail", 1) for _ in range(2))
    assert left == right

def test_many(storage_world, counter):
    receipts = [storage_world.call(counter, "fail", 1) for _ in range(300)]
    assert not any(receipt.ok for receipt in receipts)

def test_deployment(storage_world):
    with pytest.raises(RuntimeError):
        storage_world.deploy("counter.wat", init="fail", args=[1])

@pytest.fixture
def failed(storage_world, counter):
    return storage_world.transact(counter, "fail", 1)

def test_fixture(failed):
    assert failed.error is not None

@pytest.mark.storagemod(strict=False)
def test_that_may_ignore_it(storage_world, counter):
    storage_world.transact(counter, "fail", 1)

def test_that_is_skipped(storage_world, counter):
    storage_world.transact(counter, "fail", 1)
    pytest.skip("later")

@pytest.mark.xfail(strict=True)
def test_that_is_expected_to_fail(storage_world, counter):
    storage_world.transact(counter, "fail", 1)
"""


def test_whoever_looks_or_is_not_strict_passes(either: Project) -> None:
    either.write(test_it__py=HEAD + LOOKS)

    either.passes(passed=13, skipped=1, xfailed=1)


def test_failure_of_its_own_is_all_that_a_test_is_told(project: Project) -> None:
    project.write(
        test_it__py=HEAD
        + """
def test_it(storage_world, counter):
    storage_world.transact(counter, "fail", 1)
    assert 1 == 2

@pytest.fixture
def broken(storage_world, counter):
    storage_world.transact(counter, "fail", 1)
    raise LookupError

def test_setup(broken):
    pass
"""
    )

    result = project.run()

    result.assert_outcomes(failed=1, errors=1)
    result.stdout.no_fnmatch_line("*did not look*")


FIXTURES = """
@pytest.fixture(scope="module")
def silent(storage_worlds):
    world = storage_worlds()
    counter = world.deploy("counter.wat")
    world.transact(counter, "fail", 1)
    return world

def test_first(silent):
    pass

def test_second(silent):
    pass

@pytest.fixture(scope="module")
def handed_on(storage_worlds):
    world = storage_worlds()
    counter = world.deploy("counter.wat")
    return world, {"receipt": world.transact(counter, "fail", 1)}

def test_receipt_of_a_fixture(handed_on):
    assert not handed_on[1]["receipt"].ok

def test_that_does_not_need_it(handed_on):
    pass

@pytest.fixture
def ending(storage_world, counter):
    yield
    storage_world.transact(counter, "fail", 1)

def test_end(ending):
    pass

class TestSetUp:
    def setup_method(self):
        self.world = World()
        self.counter = self.world.deploy(FAILS)
        self.receipt = self.world.transact(self.counter, "fail", 1)

    def test_looks(self):
        assert not self.receipt.ok

    def test_does_not(self):
        pass

class TestClass:
    @classmethod
    def setup_class(cls):
        world = World()
        world.transact(world.deploy(FAILS), "fail", 1)

    def test_class(self):
        pass
"""


def test_fixtures_that_outlive_tests_fail_themselves_and_others_with_their_test(either: Project) -> None:
    either.write(test_it__py=HEAD + FIXTURES)

    result = either.run("-v")

    result.assert_outcomes(passed=4, failed=1, errors=4)
    for name in ("test_first", "test_second", "test_end", "test_class"):
        result.stdout.fnmatch_lines([f"*ERROR *{name}*"])
    result.stdout.fnmatch_lines(["*FAILED *test_does_not*"])
    result.stdout.fnmatch_lines(["a transaction failed and the fixture 'silent' did not look at the receipt:"])


@pytest.mark.parametrize(
    ("files", "args"),
    [
        ({"pyproject__toml": "[tool.storagemod]\nstrict = false\n"}, ()),
        ({"pytest__ini": "[pytest]\nstoragemod_strict = no\n"}, ()),
        ({"pytest__ini": "[pytest]\nstoragemod_strict = yes\n"}, ("--storagemod-strict=false",)),
        (
            {
                "conftest__py": "import pytest\n\ndef pytest_itemcollected(item):\n"
                "    item.add_marker(pytest.mark.storagemod(strict=False))\n"
            },
            (),
        ),
    ],
    ids=["table", "ini", "command line", "conftest"],
)
def test_settings_turn_it_off(project: Project, files: dict[str, str], args: tuple[str, ...]) -> None:
    test = "\ndef test_it(storage_world, counter):\n    storage_world.transact(counter, 'fail', 1)\n"
    project.write(test_it__py=HEAD + test, **files)

    project.passes(*args, passed=1)


def test_marker_is_stronger_than_settings(project: Project) -> None:
    project.write(
        test_it__py=HEAD
        + """
@pytest.mark.storagemod(strict=True)
def test_it(storage_world, counter):
    storage_world.transact(counter, "fail", 1)
"""
    )

    project.run("--storagemod-strict=false").assert_outcomes(failed=1)


@pytest.mark.parametrize("value", ["2", "maybe", ""])
def test_value_that_is_no_switch_is_an_error(project: Project, value: str) -> None:
    result = project.run(f"--storagemod-strict={value}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--storagemod-strict: a switch is true or false, not {value!r}"])


def test_example_of_hypothesis_fails_by_itself_and_is_shrunk(project: Project) -> None:
    project.write(
        test_it__py=HEAD
        + """
from hypothesis import given, settings, strategies as st

@settings(database=None, derandomize=True, deadline=None)
@given(number=st.integers(0, 1_000))
def test_it(storage_world, counter, number):
    if number > 17:
        storage_world.transact(counter, "fail", number)
"""
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*this example did not look at the receipt:", "*number=18*"])


def test_scenarios_have_expectations_of_their_own(project: Project) -> None:
    scenario = """
[contracts.counter]
code = "counter.wat"
[[transactions]]
to = "counter"
method = "fail"
args = [1]
"""
    project.write(
        test_counter__toml=scenario + "expect = { may_fail = true }\n",
        other__toml=scenario + "expect = { ok = false }\n",
        test_it__py="""
from storagemod.scenario import load_scenario, run_scenario

def test_it():
    from pathlib import Path
    run_scenario(load_scenario(Path("other.toml")))
""",
    )

    project.passes(passed=2)


def test_pytest_inside_a_test_answers_for_its_own_tests(project: Project) -> None:
    project.write(
        test_it__py=f"{HEAD}\ndef test_it(storage_world, counter):\n    storage_world.transact(counter, 'fail', 1)\n"
    )

    project.run().assert_outcomes(failed=1)  # and this test, which ran it, passes


@pytest.fixture
def watched(world: World) -> tuple[Ledger, Receipt]:
    """A failed receipt, and a ledger that watches it."""
    ledger = Ledger()
    counter = world.deploy(COUNTER.replace(";; @storage", PRELUDE), name="counter")
    receipt = world.transact(counter, "fail", 1)
    assert not receipt.ok  # the plugin, which watches it, too, lets go of it
    ledger.watch(1, receipt)
    return ledger, receipt


PRELUDE = """
  (import "storage" "memory" (memory $storage 1))
  (func $load_i64 (param i32) (result i64) (i64.load $storage (local.get 0)))
  (func $store_i64 (param i32 i64) (i64.store $storage (local.get 0) (local.get 1)))
"""


def test_receipt_is_as_it_was_until_and_after_someone_looks(watched: tuple[Ledger, Receipt]) -> None:
    ledger, receipt = watched
    assert isinstance(receipt, Receipt)
    assert repr(receipt).startswith("Receipt(outcome=")
    assert (receipt.value, receipt.values, receipt.logs, dict(receipt.changes)) == (None, (), (), {})
    assert receipt.trace is not None
    assert type(receipt) is not Receipt

    assert receipt.outcome is Outcome.FAILED

    assert type(receipt) is Receipt
    assert ledger.take() == []


def _as_dict(receipt: Receipt) -> dict[str, object]:
    return attrs.asdict(receipt, recurse=False)


def test_copy_is_a_plain_receipt_and_counts_as_a_look(world: World) -> None:
    counter = world.deploy('(module (func (export "fail") unreachable))')
    for copied in (copy.copy, copy.deepcopy, lambda receipt: pickle.loads(pickle.dumps(receipt)), _as_dict):  # noqa: S301
        ledger = Ledger()
        receipt = world.call(counter, "fail", gas=0)
        assert not receipt.ok
        ledger.watch(1, receipt)
        other = copied(receipt)
        assert ledger.take() == []
        assert other == receipt or isinstance(other, dict)
        assert type(other) in {Receipt, dict}


def test_number_of_receipts_that_are_kept_is_bounded(world: World) -> None:
    ledger = Ledger()
    counter = world.deploy('(module (func (export "fail") unreachable))')
    receipts = [world.call(counter, "fail") for _ in range(PENDING_MAX + 5)]
    for receipt in receipts:
        assert not receipt.ok
        ledger.watch(1, receipt)

    assert len(ledger.take()) == PENDING_MAX
