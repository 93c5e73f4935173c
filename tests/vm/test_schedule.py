"""What host functions cost, and that they are paid before they do anything."""

from __future__ import annotations

import contextlib

import attrs
import pytest

from storagemod.errors import OutOfGasError, RevertError, ValidationError
from storagemod.types import Address
from storagemod.vm import FUNCTIONS, Finished, GasSchedule
from tests.vm.fakes import CALLER, Destroyed, FakeContext, do
from tests.vm.interface import METHODS

NEW = Address("0x" + "ff" * 20)

PRICES: dict[str, tuple[tuple[int, ...], int]] = {
    "useGas": ((12_345,), 12_345),
    "getGasLeft": ((), 2),
    "getAddress": ((0,), 2),
    "getCaller": ((0,), 2),
    "getCallValue": ((0,), 2),
    "getTxOrigin": ((0,), 2),
    "getTxGasPrice": ((0,), 2),
    "getCallDataSize": ((), 2),
    "getReturnDataSize": ((), 2),
    "getCodeSize": ((), 2),
    "getBlockCoinbase": ((0,), 2),
    "getBlockDifficulty": ((0,), 2),
    "getBlockGasLimit": ((), 2),
    "getBlockNumber": ((), 2),
    "getBlockTimestamp": ((), 2),
    "getBlockHash": ((0, 0), 800),
    "getExternalBalance": ((0, 0), 400),
    "getExternalCodeSize": ((0,), 700),
    "callDataCopy": ((0, 0, 33), 3 + 3 * 2),
    "returnDataCopy": ((0, 0, 32), 3 + 3 * 1),
    "codeCopy": ((0, 0, 0), 3),
    "externalCodeCopy": ((0, 0, 0, 64), 700 + 3 * 2),
    "call": ((0, 0, 64, 0, 0), 700),
    "callCode": ((0, 0, 64, 0, 0), 700),
    "callDelegate": ((0, 0, 0, 0), 700),
    "callStatic": ((0, 0, 0, 0), 700),
    "create": ((64, 0, 0, 0), 32_000),
    "log": ((0, 10, 3, 0, 0, 0, 0), 375 + 375 * 3 + 8 * 10),
    "finish": ((0, 0), 0),
    "revert": ((0, 0), 0),
    "selfDestruct": ((0,), 5_000),
}


def paying(gas: int) -> FakeContext:
    """A call that can pay so much. The account at memory offset 0 has code, that at 32 is new; a value is at 96."""
    context = FakeContext(gas_left=gas, data=bytes(64), return_data=bytes(64), codes={Address(0): bytes(64)})
    context.memory.data[32:52] = NEW
    context.memory.data[96] = 1
    return context


def test_every_method_has_its_price_written_down_here() -> None:
    assert PRICES.keys() == METHODS.keys() & FUNCTIONS.keys()


@pytest.mark.parametrize("name", PRICES)
def test_a_method_costs_what_the_schedule_says(name: str) -> None:
    args, price = PRICES[name]
    context = paying(1_000_000)
    with contextlib.suppress(Finished, RevertError, Destroyed):
        do(context, name, *args)
    assert 1_000_000 - context.gas_left == price


@pytest.mark.parametrize("name", [name for name, (_, price) in PRICES.items() if price])
def test_a_call_that_cannot_pay_for_a_method_does_none_of_it(name: str) -> None:
    args, price = PRICES[name]
    context = paying(price - 1)
    with pytest.raises(OutOfGasError):
        do(context, name, *args)
    assert (context.memory.writes, context.memory.reads, context.done) == ([], [], [])


@pytest.mark.parametrize(
    ("name", "at", "price"), [("call", 0, 9_700), ("call", 32, 34_700), ("callCode", 0, 9_700), ("callCode", 32, 9_700)]
)
def test_a_value_has_a_price_of_which_the_callee_gets_a_part(name: str, at: int, price: int) -> None:
    context = paying(100_000)
    do(context, name, 50, at, 96, 0, 0)
    assert context.done[0][1] == 50 + 2_300
    assert 100_000 - context.gas_left == price - 2_300  # which the transaction hands to the callee
    short = paying(price - 1)
    with pytest.raises(OutOfGasError):
        do(short, name, 50, at, 96, 0, 0)
    assert short.done == []


@pytest.mark.parametrize(("at", "balance", "price"), [(0, 0, 5_000), (0, 7, 5_000), (32, 0, 5_000), (32, 7, 30_000)])
def test_a_balance_that_goes_to_a_new_account_costs_more(at: int, balance: int, price: int) -> None:
    context = paying(100_000)
    context.balances[context.address] = balance
    with pytest.raises(Destroyed):
        do(context, "selfDestruct", at)
    assert 100_000 - context.gas_left == price


def test_an_account_with_a_balance_is_not_new() -> None:
    context = paying(100_000)
    context.balances |= {NEW: 1, CALLER: 1}
    do(context, "call", 0, 32, 96, 0, 0)
    assert 100_000 - context.gas_left == 9_700 - 2_300


def test_a_schedule_can_be_replaced_and_nothing_else_costs_anything() -> None:
    names = [each.name for each in attrs.fields(GasSchedule) if each.type in {int, "int"}]
    free = GasSchedule.free()
    assert {getattr(free, name) for name in names} == {0}
    for name, (args, _) in PRICES.items():
        context = attrs.evolve(paying(12_345), schedule=free)
        with contextlib.suppress(Finished, RevertError, Destroyed):
            do(context, name, *args)
        assert context.gas_left == (0 if name == "useGas" else 12_345), name
    dear = attrs.evolve(paying(12_345), schedule=attrs.evolve(free, base=12_000))
    assert do(dear, "getGasLeft") == 345


@pytest.mark.parametrize("price", [-1, 2**31, 1.0, True, "2", None])
def test_a_price_that_cannot_be_is_refused(price: object) -> None:
    with pytest.raises(ValidationError, match="the price 'base' is gas from 0 to"):
        GasSchedule(base=price)  # type: ignore[arg-type]


@pytest.mark.parametrize(("part", "whole"), [("call_stipend", "call_value"), ("storage_store", "storage_store_new")])
def test_a_part_of_a_price_cannot_be_more_than_it(part: str, whole: str) -> None:
    assert GasSchedule(**{part: 5, whole: 5})
    with pytest.raises(ValidationError, match=f"'{part}' is part of '{whole}'"):
        GasSchedule(**{part: 6, whole: 5})


@pytest.mark.parametrize(("length", "words"), [(0, 0), (1, 1), (32, 1), (33, 2), (2**32 - 1, 2**27)])
def test_copies_are_priced_by_the_word_begun(length: int, words: int) -> None:
    assert GasSchedule().copying(length) == 3 * words
