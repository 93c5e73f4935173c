"""Typed calls from contract to contract."""

from __future__ import annotations

import pytest

from storagemod import Address, LinkError, Outcome, TrapError, ValidationError, World

CALLEE = """
(module
  (import "storage" "memory" (memory $s 1))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "ethereum" "getReturnDataSize" (func $size (result i32)))
  (memory (export "memory") 1)
  (func (export "pair") (param i32 i64 f32 f64) (result f64 i64)
    (i32.store $s (i32.const 0) (local.get 0))
    (f64.add (local.get 3) (f64.promote_f32 (local.get 2))) (local.get 1))
  (func (export "nothing"))
  (func (export "trap") (result i64) (i64.store $s (i32.const 8) (i64.const 1)) unreachable)
  (func (export "revert") (result i64) (i64.store $s (i32.const 8) (i64.const 1))
    (call $revert (i32.const 0) (i32.const 5)) (i64.const 1)))
"""

CALLER = """
(module
  (import "contract:other" "pair" (func $pair (param i32 i64 f32 f64) (result f64 i64)))
  (import "contract:other" "nothing?" (func $nothing (result i32)))
  (import "contract:other" "trap" (func $trap (result i64)))
  (import "contract:other" "trap?" (func $try_trap (result i32 i64)))
  (import "contract:other" "revert" (func $revert (result i64)))
  (import "contract:other" "revert?" (func $try_revert (result i32 i64)))
  (import "ethereum" "getReturnDataSize" (func $size (result i32)))
  (func (export "pair") (param i32 i64 f32 f64) (result f64 i64)
    (call $pair (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func (export "nothing") (result i32) (call $nothing))
  (func (export "trap") (result i64) (call $trap))
  (func (export "try_trap") (result i32 i64) (call $try_trap))
  (func (export "revert") (result i64) (call $revert))
  (func (export "try_revert") (result i32 i64 i32) (call $try_revert) (call $size)))
"""


@pytest.fixture
def pair(world: World) -> tuple[Address, Address]:
    callee = world.deploy(CALLEE, name="callee")
    return world.deploy(CALLER, name="caller", links={"other": callee}), callee


def test_numbers_of_every_type_pass_through(world: World, pair: tuple[Address, Address]) -> None:
    caller, callee = pair
    receipt = world.transact(caller, "pair", -5, 2**63, 1.5, 2.25)
    assert receipt.value == (3.75, -(2**63))
    assert world.storage(callee)["memory"].read_int(0, 4, signed=True) == -5


def test_a_name_with_a_question_mark_gives_the_outcome_first(world: World, pair: tuple[Address, Address]) -> None:
    caller, callee = pair
    assert world.transact(caller, "nothing").value == Outcome.OK
    assert world.transact(caller, "try_trap").value == (Outcome.FAILED, 0)
    assert world.transact(caller, "try_revert").value == (Outcome.REVERTED, 0, 5)
    assert world.storage(callee)["memory"].read_int(8) == 0


@pytest.mark.parametrize("method", ["trap", "revert"])
def test_without_one_a_failed_callee_fails_the_caller(world: World, pair: tuple[Address, Address], method: str) -> None:
    receipt = world.transact(pair[0], method)
    assert receipt.outcome is Outcome.FAILED
    error = receipt.error
    assert isinstance(error, TrapError)
    assert (error.code, error.contract, error.depth) == ("callee_failed", "caller", 1)
    assert error.cause is not None
    assert "callee at call depth 2" in str(error.cause)
    assert f'import "{method}?" to go on' in str(error)


def test_contracts_can_be_linked_in_a_cycle(world: World) -> None:
    wat = """(module (import "contract:other" "down" (func $down (param i32) (result i32)))
      (import "storage" "memory" (memory $s 1))
      (func (export "down") (param i32) (result i32)
        (i32.store $s (i32.const 0) (i32.add (i32.load $s (i32.const 0)) (i32.const 1)))
        (if (result i32) (local.get 0)
          (then (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (i32.load $s (i32.const 0))))
          (else (i32.const 0)))))"""
    ping, pong = Address(1), Address(2)
    world.deploy(wat, address=ping, links={"other": pong})
    assert not world.call(ping, "down", 1).ok  # nothing stands there yet
    world.deploy(wat, address=pong, links={"other": ping})
    assert world.transact(ping, "down", 4).value == 3 + 2 + 3 + 2
    assert world.storage(ping)["memory"].read_int(0, 4) == 3
    assert world.storage(pong)["memory"].read_int(0, 4) == 2


IMPORTS_MINT = '(module (import "contract:token" "mint" (func (param i64))))'


def test_imports_are_checked_when_the_importer_is_deployed(world: World) -> None:
    token = world.deploy('(module (func (export "mint") (param i32)) (func (export "burn")))', name="token")
    with pytest.raises(LinkError) as caught:
        world.deploy(IMPORTS_MINT, name="shop", links={"token": token})
    assert str(caught.value) == (
        'shop: import "contract:token" "mint" does not match token: '
        "wanted (func (param i64)), offered (func (param i32))"
    )
    with pytest.raises(LinkError, match="did you mean 'mint'"):
        world.deploy(IMPORTS_MINT.replace('"mint"', '"mnit"'), links={"token": token})


def test_imports_are_checked_when_what_they_are_linked_to_is_deployed(world: World) -> None:
    world.deploy(IMPORTS_MINT, name="shop", links={"token": 7})
    with pytest.raises(LinkError, match=r"shop: import .* does not match token: wanted .* offered no function"):
        world.deploy('(module (func (export "burn")))', address=7, name="token")
    assert world.account(7).code == b""
    world.deploy('(module (func (export "mint") (param i64)))', address=7, name="token")


def test_links_are_complete_and_known(world: World) -> None:
    with pytest.raises(LinkError, match=r'"contract:token" is imported, but not linked .*links=\{'):
        world.deploy(IMPORTS_MINT)
    with pytest.raises(ValidationError, match=r"the link 'tokn' is given, .*did you mean 'token'"):
        world.deploy(IMPORTS_MINT, links={"token": 7, "tokn": 8})


def test_a_link_to_nothing_is_a_failed_call(world: World) -> None:
    shop = world.deploy(
        '(module (import "contract:token" "mint" (func $f)) (func (export "go") (call $f)))',
        name="shop",
        links={"token": 7},
    )
    receipt = world.transact(shop, "go")
    assert receipt.error is not None
    assert isinstance(receipt.error.cause, LinkError)
    assert "there is no contract to call 'mint' of" in str(receipt.error)


@pytest.mark.parametrize("bits", [0x7FA00001, 0x7F800001, 0xFFBFFFFF, 0x7FC00000, 0xFFC12345, 0x80000000, 0x00000001])
@pytest.mark.parametrize("mark", ["", "?"])
def test_bits_of_floats_cross_contracts_unchanged(bits: int, mark: str) -> None:
    """A signalling NaN must not become a quiet one on its way, as it does where a number of the host stands between."""
    wide = bits << 32 | 0xABCDEF
    world = World()
    echo = world.deploy("""(module (func (export "echo") (param f32 f64) (result f64 f32)
      (local.get 1) (local.get 0)))""")
    outcome = "(result i32 f64 f32)" if mark else "(result f64 f32)"
    drop = "(drop)" if mark else ""
    caller = world.deploy(
        f"""(module (import "contract:echo" "echo{mark}" (func $echo (param f32 f64) {outcome}))
          (func (export "go") (result i32 i64) (local $narrow f32) (local $wide f64)
            (call $echo (f32.reinterpret_i32 (i32.const {bits})) (f64.reinterpret_i64 (i64.const {wide})))
            (local.set $narrow) (local.set $wide) {drop}
            (i32.reinterpret_f32 (local.get $narrow)) (i64.reinterpret_f64 (local.get $wide))))""",
        links={"echo": echo},
    )
    narrow, double = world.call(caller, "go").values
    assert (narrow & 0xFFFFFFFF, double & 2**64 - 1) == (bits, wide)  # type: ignore[operator]
