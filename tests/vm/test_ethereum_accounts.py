"""What Ethereum's improvement proposals say of accounts: taken addresses, accounts that are empty, and 256 bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from storagemod import Address, GasSchedule, Limits, TrapError, ValidationError, World
from storagemod.state import BALANCE_MAX, Account, created_address
from storagemod.state.account import account_digest
from storagemod.wasm import to_wasm
from tests.vm.maker import MAKER, create, finish, init

PAYER = """
(module
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "selfDestruct" (func $destroy (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 18) "\\0b\\0b") ;; the address 0xb0b, at 0, and the value 1, at 32
  (data (i32.const 32) "\\01")
  (func (export "pay") (result i32)
    (call $call (i64.const 0) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0)))
  (func (export "die") (call $destroy (i32.const 0))))
"""
BOB = Address("0b0b")
IDLE = to_wasm('(module (func (export "main")))', name="idle", limits=Limits())

ASKS = """
(module
  (import "ethereum" "getExternalBalance" (func $balance (param i32 i32)))
  (import "ethereum" "getCallValue" (func $value (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 18) "\\0b\\0b")
  (func (export "balance") (result i64) (call $balance (i32.const 0) (i32.const 32)) (i64.load (i32.const 32)))
  (func (export "value") (result i64) (call $value (i32.const 32)) (i64.load (i32.const 32)))
  (func (export "main")))
"""


@pytest.mark.parametrize("standing", [{"code": b"x"}, {"nonce": 1}])
def test_a_creation_at_a_taken_address_uses_up_the_gas_given(standing: dict[str, object]) -> None:
    world = World(schedule=GasSchedule.free())
    a = world.deploy(MAKER)
    world.set_account(created_address(a, 0), **standing)  # type: ignore[arg-type]
    receipt = world.transact(a, data=create(init(finish(b"new"))), gas=640_000)
    assert list(receipt.output) == [1]
    assert receipt.gas_used > 600_000  # all but a 64th of what was left
    sender = world.default_sender
    world.set_account(created_address(sender, world.account(sender).nonce), nonce=1)
    receipt = world.create(b"", gas=70_000)
    assert (receipt.ok, receipt.gas_used) == (False, 70_000)


def test_a_creation_that_cannot_be_paid_for_costs_nothing_still() -> None:
    world = World(schedule=GasSchedule.free())
    a = world.deploy(MAKER)
    receipt = world.transact(a, data=create(init(finish(b"new")), value=1), gas=640_000)
    assert list(receipt.output) == [1]
    assert receipt.gas_used < 10_000


@pytest.mark.parametrize("method", ["pay", "die"])
@pytest.mark.parametrize(
    ("standing", "price"), [({}, 25_000), ({"nonce": 1}, 0), ({"balance": 1}, 0), ({"code": IDLE}, 0)]
)
def test_an_account_is_new_only_if_it_has_neither_nonce_nor_balance_nor_code(
    method: str, standing: dict[str, object], price: int
) -> None:
    used = []
    for there in ({"balance": 1}, standing):
        world = World(schedule=GasSchedule(metered=False))
        payer = world.deploy(PAYER, balance=5)
        world.set_account(BOB, **there)  # type: ignore[arg-type]
        used.append(world.transact(payer, method).raise_for_error().gas_used)
    assert used[1] - used[0] == price


@pytest.mark.parametrize("balance", [2**128 - 1, 2**128, BALANCE_MAX])
def test_balances_of_256_bits_are_kept_and_paid(tmp_path: Path, balance: int) -> None:
    with World(tmp_path / "world") as world:
        world.fund(BOB, balance)
        root = world.state_root
        world.transact(0xA11CE, sender=BOB, value=balance)
        assert (world.account(BOB).balance, world.account(0xA11CE).balance) == (0, balance)
    with World(tmp_path / "world", read_only=True) as world:
        assert world.account(0xA11CE).balance == balance
        assert world.state_root != root
    with pytest.raises(ValidationError, match=r"balance is an integer from 0 to"):
        World().fund(BOB, BALANCE_MAX + 1)


def test_a_number_that_the_interface_cannot_tell_traps() -> None:
    world = World()
    asks = world.deploy(ASKS)
    world.fund(BOB, 2**128 - 1)
    assert world.call(asks, "balance").value == -1
    world.fund(BOB, 2**128)
    error = world.call(asks, "balance").error
    assert isinstance(error, TrapError)
    assert (error.code, "expected a number of 128 bits, got one of 129" in str(error)) == ("number_too_large", True)
    assert world.transact(asks, sender=BOB, value=2**128).ok
    world.fund(BOB, 2**128)
    assert world.call(asks, "value", sender=BOB, value=2**128).error is not None


def test_digests_of_long_and_short_balances_differ() -> None:
    accounts = [Account(nonce, balance) for nonce in (0, 1) for balance in (0, 1, 2**127, 2**128, 2**128 + 1, 2**255)]
    assert len({account_digest(account, {}) for account in accounts}) == len(accounts)
    assert account_digest(Account(3, 2**128 - 1), {}).hex() == OLD_DIGEST


OLD_DIGEST = "9d4f946c65422b1f1eca2487230f1bce67a372f1ce414f996ac354834564b6ad"
"""As it was when balances had 128 bits: state roots of worlds stay what they were."""
