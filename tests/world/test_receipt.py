"""Receipts: values that are equal, copied, pickled and shown by what they say, and worked out when somebody looks."""

from __future__ import annotations

import copy
import pickle

import attrs
import pytest

from storagemod import Address, Outcome, Receipt, World
from storagemod.pages import PAGE_BYTES, RegionDiff, image
from storagemod.scenario.fixtures import fixture
from tests.report.traces import change

A = Address(0xA)


def page(*changed: tuple[int, bytes], fill: bytes = b"\0") -> bytes:
    data = bytearray(fill * PAGE_BYTES)
    for offset, value in changed:
        data[offset : offset + len(value)] = value
    return bytes(data)


def receipt(**given: object) -> Receipt:
    """A receipt of a transaction that wrote one word."""
    plain = Receipt(
        outcome=Outcome.OK,
        values=(7,),
        output=b"",
        error=None,
        gas_used=21,
        logs=(),
        trace=None,
        regions={(A, "memory"): RegionDiff(1, 1, {1: (page(), page((8, b"\1")))})},
        counts=(1, 2, 3, 1),
    )
    return attrs.evolve(plain, **given)


@pytest.fixture
def world() -> World:
    world = World()
    world.deploy(fixture("counter/counter"), address=A, name="counter")
    return world


def test_changes_are_runs_by_contract_and_region_without_lengths() -> None:
    other = Address(0xB)
    found = receipt(
        regions={
            (other, "memory"): RegionDiff(1, 3, {}),
            (A, "z"): RegionDiff(1, 1, {0: (page(), page((0, b"\1")))}),
            (A, "a"): RegionDiff(1, 1, {0: (page((16, b"\2")), page())}),
        }
    )
    assert dict(found.changes) == {A: (change(16, 2, 0, "a"), change(0, 0, 1, "z"))}
    with pytest.raises(TypeError):
        found.changes[other] = ()  # type: ignore[index]


@pytest.mark.parametrize(("values", "value"), [((), None), ((3,), 3), ((3, 1.5), (3, 1.5))])
def test_value_is_one_number_several_or_none(values: tuple[int | float, ...], value: object) -> None:
    assert receipt(values=values).value == value


def test_costs_are_the_counts_of_the_machine() -> None:
    costs = receipt().costs
    assert (costs.instances, costs.host_calls, costs.bytes_copied, costs.pages_written) == (1, 2, 3, 1)


def test_changes_and_costs_are_worked_out_once_and_only_when_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    merged_runs = image.merged_runs
    monkeypatch.setattr(image, "merged_runs", lambda pages: asked.append(pages) or merged_runs(pages))
    found = receipt()
    assert found.ok
    assert repr(found)
    assert hash(found)
    assert not asked
    assert found.changes is found.changes
    assert found.costs is found.costs
    assert len(asked) == 1


def test_receipts_are_equal_where_their_changes_are_whatever_lies_beside_them() -> None:
    beside = {(A, "memory"): RegionDiff(1, 1, {1: (page(fill=b"\3"), page((8, b"\1" + bytes(7)), fill=b"\3"))})}
    alike = {
        (A, "memory"): RegionDiff(1, 1, {1: (page((8, bytes(8)), fill=b"\3"), page((8, b"\1" + bytes(7)), fill=b"\3"))})
    }
    assert receipt(regions=alike) == receipt()
    assert hash(receipt(regions=alike)) == hash(receipt())
    assert receipt(regions=beside) != receipt()


@pytest.mark.parametrize(
    "other",
    [
        {"outcome": Outcome.REVERTED},
        {"values": (8,)},
        {"output": b"x"},
        {"gas_used": 22},
        {"counts": (1, 2, 4, 1)},
        {"created": A},
        {"regions": {}},
    ],
)
def test_receipts_that_say_something_else_differ(other: dict[str, object]) -> None:
    assert receipt(**other) != receipt()
    assert receipt() != "a receipt"


def test_receipts_of_equal_transactions_are_equal_with_and_without_a_trace(world: World) -> None:
    untraced = World(trace=False)
    untraced.deploy(fixture("counter/counter"), address=A)
    one, other = world.call(A, "increment"), untraced.call(A, "increment")
    assert one.trace is not None
    assert other.trace is None
    assert one == other
    assert hash(one) == hash(other)


def test_receipts_of_failures_are_equal_where_their_errors_say_the_same() -> None:
    world = World()
    world.deploy(
        '(module (func (export "f") unreachable) (func (export "g") (drop (i32.load (i32.const -1)))) (memory 1))',
        address=A,
    )
    one, other, third = world.call(A, "f"), world.call(A, "f"), world.call(A, "g")
    assert one.error is not other.error
    assert one == other
    assert hash(one) == hash(other)
    assert one != third


def test_copies_and_pickles_say_the_same(world: World) -> None:
    found = world.transact(A, "increment")
    before = pickle.dumps(found)
    looked = (found.changes, found.trace and found.trace.calls, found.costs)
    assert all(looked)
    for again in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found)), pickle.loads(before)):  # noqa: S301
        assert again == found
        assert again.changes == found.changes
        assert again.trace == found.trace
        assert again.trace is not None
        assert [call.changes for call in again.trace] == [found.changes[A]]


def test_receipts_cannot_be_changed() -> None:
    found = receipt()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        found.gas_used = 0  # type: ignore[misc]


def test_receipt_is_shown_in_short() -> None:
    assert repr(receipt(output=b"\1\2")) == (
        "Receipt(outcome=<Outcome.OK: 0>, value=7, output=0102, error=None, gas_used=21, logs=<0 logs>, created=None)"
    )


LOGGER = """(module
  (import "ethereum" "log" (func $log (param i32 i32 i32 i32 i32 i32 i32)))
  (memory (export "memory") 1) (data (i32.const 0) "told")
  (func (export "tell")
    (call $log (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))"""


def test_what_a_call_that_is_not_committed_logged_is_in_its_receipt() -> None:
    world = World()
    world.deploy(LOGGER, address=A)
    assert [log.data for log in world.call(A, "tell").logs] == [b"told"]
    assert [log.data for log in world.transact(A, "tell").logs] == [b"told"]
