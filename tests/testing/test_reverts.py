from __future__ import annotations

from collections.abc import Callable

import pytest

from storagemod import (
    LinkError,
    OutOfGasError,
    ReentryError,
    RevertError,
    StateError,
    StorageModError,
    TrapError,
    ValidationError,
    World,
)
from storagemod.testing import reverts

GIVES_UP = """
(module
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "main") (call $revert (i32.const 0) (i32.const 0)))
  (func (export "trap") unreachable)
  (func (export "well")))
"""


@pytest.fixture
def callee(world: World) -> int:
    world.deploy(GIVES_UP, address=1, name="callee")
    world.deploy(
        '(module (import "contract:callee" "trap" (func $f)) (func (export "go") (call $f)))',
        address=2,
        name="caller",
        links={"callee": 1},
    )
    return 1


def test_transaction_that_reverts_traps_or_runs_out_of_gas_is_what_is_wanted(world: World, callee: int) -> None:
    with reverts(kind=RevertError) as seen:
        receipt = world.transact(callee)
    assert seen.receipt is receipt
    assert isinstance(seen.error, RevertError)
    with reverts(kind=TrapError):
        world.transact(callee, "trap")
    with reverts(kind=OutOfGasError):
        world.transact(callee, "well", gas=0)


def test_block_in_which_nothing_fails_is_an_error(world: World, callee: int) -> None:
    with pytest.raises(AssertionError, match=r"no transaction failed \(1 ran\); wanted: a failure"), reverts():
        world.transact(callee, "well")
    with pytest.raises(AssertionError, match=r"no transaction failed \(none ran\)"), reverts():
        pass


def test_contract_and_depth_and_message_are_those_of_the_call_that_failed_or_one_above(
    world: World, callee: int
) -> None:
    for wanted in ({"contract": "callee", "depth": 2}, {"contract": "caller", "depth": 1}, {"match": "unreachable"}):
        with reverts(**wanted):  # type: ignore[arg-type]
            world.transact(2, "go")
    assert world.account(callee).name == "callee"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"contract": "callee", "depth": 1}, "a failure of callee at call depth 1"),
        ({"contract": "nobody"}, "a failure of nobody"),
        ({"match": "no such words"}, "a failure whose message matches 'no such words'"),
        ({"kind": RevertError}, "a RevertError"),
        ({"match": "unreachable", "kind": ReentryError}, "a ReentryError whose message matches 'unreachable'"),
    ],
)
def test_failure_of_another_kind_is_an_error_that_tells_both(
    world: World, callee: int, wanted: dict[str, object], told: str
) -> None:
    assert callee
    with pytest.raises(AssertionError) as caught, reverts(**wanted):  # type: ignore[arg-type]
        world.transact(2, "go")

    first, second, *rest = str(caught.value).splitlines()
    assert first == "a transaction failed otherwise"
    assert second == f"wanted: {told}"
    assert rest[0].startswith("found: TrapError: caller at call depth 1")
    assert any("callee at call depth 2" in line for line in rest)


def test_every_failure_of_a_block_has_to_be_as_it_is_said(world: World, callee: int) -> None:
    with reverts(contract="callee"):
        world.transact(callee, "trap")
        world.transact(callee, "well")
        world.transact(callee)
    with pytest.raises(AssertionError, match="failed otherwise"), reverts(kind=TrapError):
        _ = world.transact(callee, "trap"), world.transact(callee)


def test_error_that_is_raised_ends_the_block_and_counts_once(world: World, callee: int) -> None:
    with reverts(kind=TrapError) as seen:
        world.transact(callee, "trap").raise_for_error()
        raise NotImplementedError
    assert len(seen.errors) == 1


def _closed(world: World) -> None:
    world.close()
    world.transact(1, "trap")


NOT_STARTED: dict[str, tuple[type[StorageModError], Callable[[World], object]]] = {
    "misspelt method": (ValidationError, lambda world: world.transact(1, "trp")),
    "argument too many": (ValidationError, lambda world: world.transact(1, "trap", 1)),
    "wrong argument": (ValidationError, lambda world: world.transact(1, "trap", gas=-1)),
    "sender that cannot pay": (ValidationError, lambda world: world.transact(1, "trap", sender=99, value=1)),
    "no contract": (ValidationError, lambda world: world.transact(98, "trap")),
    "closed world": (StateError, _closed),
    "call that is not committed": (ValidationError, lambda world: world.call(1, "trp")),
    "code that is none": (ValidationError, lambda world: world.deploy("(module")),
    "import that is not offered": (LinkError, lambda world: world.deploy('(module (import "a" "b" (func)))')),
}


@pytest.mark.parametrize("case", NOT_STARTED)
@pytest.mark.usefixtures("callee")
def test_what_cannot_start_is_no_failure_unless_its_kind_is_named(world: World, case: str) -> None:
    kind, act = NOT_STARTED[case]

    for wanted in ({}, {"match": "."}, {"kind": TrapError}):
        with pytest.raises(kind), reverts(**wanted):  # type: ignore[arg-type]
            act(world)
    with reverts(kind=kind) as seen:
        act(world)
    with pytest.raises(LookupError, match="no transaction of this block failed"):
        _ = seen.receipt


def test_what_cannot_start_is_no_failure_after_one_that_is(world: World, callee: int) -> None:
    with pytest.raises(ValidationError, match="trp"), reverts():
        _ = world.transact(callee, "trap"), world.transact(callee, "trp")


def test_error_of_a_receipt_counts_whatever_its_class(world: World) -> None:
    world.set_account(5, code=b"no wasm")

    with reverts(match="."):
        world.transact(5).raise_for_error()


def test_errors_that_are_not_of_contracts_pass_through(world: World) -> None:
    with pytest.raises(ZeroDivisionError), reverts():
        _ = 1 / len(world.accounts().keys() - world.accounts().keys())
    with pytest.raises(AssertionError, match="TrapError"), reverts(kind=RevertError):
        raise TrapError("no", code="unreachable")


def test_calls_that_never_commit_count(world: World, callee: int) -> None:
    with reverts():
        world.call(callee, "trap")


def test_policy_that_refuses_re_entry_is_found_behind_the_failure(world: World) -> None:
    ask = '(module (import "contract:other" "f" (func $f)) (func (export "f") (call $f)))'
    world.deploy(ask, address=1, name="closed", links={"other": 2}, policy="deny")
    world.deploy(ask, address=2, name="open", links={"other": 1})

    with reverts(kind=ReentryError, contract="closed", depth=3):
        world.transact(1, "f")


def test_blocks_nest_and_end_watching(world: World, callee: int) -> None:
    with reverts() as outer:
        with reverts() as inner:
            world.transact(callee, "trap")
        world.transact(callee, "trap")
    assert not world.transact(callee, "trap").ok

    assert (len(outer.receipts), len(inner.receipts)) == (2, 1)
