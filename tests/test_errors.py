"""Errors, receipts, accounts and blocks can be copied, pickled, sent to other processes and compared."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from storagemod import Address, Block, GasSchedule, Limits, Receipt, StorageMapping, StorageModError, World, errors

COPIES: tuple[Callable[[Any], Any], ...] = (copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each)))  # noqa: S301 - ours
CLASSES = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, StorageModError)]

A, B = Address(0xA1), Address(0xB2)

TRAPS = (
    '(module (func (export "fail") unreachable) (func (export "nan") (result f64 f32) (f64.const nan) (f32.const -0)))'
)
CALLER = '(module (import "contract:peer" "fail" (func $fail)) (func (export "go") (call $fail)))'


def open_world() -> World:
    world = World()
    world.deploy(TRAPS, address=A, name="trapping")
    world.deploy(CALLER, address=B, links={"peer": A})
    return world


@pytest.mark.parametrize("make", COPIES)
@pytest.mark.parametrize("kind", CLASSES)
def test_errors_of_all_classes_are_copied_whole(kind: type[StorageModError], make: Callable[[Any], Any]) -> None:
    own: dict[str, Any] = {"cause": ValueError("behind"), "hint": "do that"}
    if kind is errors.RevertError:
        own = {"output": b"why"}
    elif kind is errors.TrapError:
        own |= {"code": "unreachable", "fault": (1, 2)}
    elif kind is errors.ScenarioError:
        own |= {"path": "a.toml", "line": 3}
    error = kind("it failed", **own).at("bank", 2)
    error.add_note("a note")
    made = make(error)
    assert type(made) is kind
    assert str(made) == str(error)
    assert {**vars(made), "cause": None} == {**vars(error), "cause": None}
    assert repr(made.cause) == repr(error.cause)


def test_a_cause_of_another_library_is_kept_as_text() -> None:
    with pytest.raises(errors.ValidationError) as found:
        World().deploy("(module (func (export")
    made = COPIES[2](found.value)
    assert str(made) == str(found.value)
    assert str(found.value.cause) in str(made.cause)


def fail_in_a_worker(_number: int) -> None:
    open_world().call(B, "go").raise_for_error()


def test_an_error_comes_out_of_a_pool_as_it_was() -> None:
    wanted = open_world().call(B, "go").error
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        error = pool.submit(fail_in_a_worker, 0).exception()
    assert isinstance(error, errors.TrapError)
    assert (str(error), error.code, error.depth) == (str(wanted), "callee_failed", 1)
    assert isinstance(error.cause, errors.TrapError)
    assert error.cause.contract == "trapping"


@pytest.mark.parametrize("make", COPIES)
def test_values_are_equal_to_their_copies(make: Callable[[Any], Any]) -> None:
    world = open_world()
    world.block = Block(number=9, hashes={8: b"\1" * 32})
    for value in (
        world.account(B),
        world.accounts(),
        world.block,
        world.limits,
        StorageMapping("paged"),
        GasSchedule(),
    ):
        made = make(value)
        assert made == value
        assert repr(made) == repr(value)
    assert Limits() == make(Limits())
    with pytest.raises(TypeError):
        make(world.account(B)).links["peer"] = B
    with pytest.raises(TypeError):
        make(world.block).hashes[1] = b""


@pytest.mark.parametrize("make", COPIES)
@pytest.mark.parametrize("method", ["fail", "nan"])
def test_receipts_are_equal_to_their_copies(method: str, make: Callable[[Any], Any]) -> None:
    receipt = open_world().call(A, method)
    made: Receipt = make(receipt)
    assert made == receipt
    assert hash(made) == hash(receipt)
    assert made.trace is not None
    assert receipt.trace is not None
    assert len(list(made.trace)) == len(list(receipt.trace)) == 1


def test_receipts_tell_numbers_apart_that_python_takes_for_equal() -> None:
    assert _value("0") != _value("-0")
    assert _value("0") == _value("0")


def _value(text: str) -> Receipt:
    world = World()
    return world.call(world.deploy(f'(module (func (export "f") (result f64) (f64.const {text})))', address=A), "f")
