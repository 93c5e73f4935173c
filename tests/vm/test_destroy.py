"""Accounts that destroy themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from storagemod import Address, BalanceError, GasSchedule, Outcome, TrapError, World
from storagemod.events import AccountDestroyed
from storagemod.state import BALANCE_MAX, Account, SqlitePageStore, created_address
from tests.vm.maker import (
    MAKER,
    call,
    call_code,
    create,
    delegate,
    destroy,
    finish,
    finish_as,
    init,
    load,
    log,
    revert,
    static,
    store,
)
from tests.vm.test_create import FREE, GAS, answers, error_of, play

HEIR = Address(0x4E14)


@pytest.fixture
def world(tracker: str) -> World:
    return World(tracker=tracker, schedule=FREE)


def maker(world: World, name: str = "a", balance: int = 0) -> Address:
    return world.deploy(MAKER, name=name, balance=balance)


def test_a_destroyed_account_is_gone_with_its_storage_and_its_balance_is_the_heirs(world: World) -> None:
    a = maker(world, balance=7)
    play(world, a, store(1, 1), store(2, 2)).raise_for_error()
    receipt = play(world, a, store(3, 3), log(1), destroy(HEIR))
    assert receipt.ok
    assert receipt.output == b""
    assert len(receipt.logs) == 1
    assert world.account(a) == Account()
    assert world.account(HEIR).balance == 7
    assert a not in world.accounts()
    assert dict(world.slots(a)) == {}
    assert not world._state.store.region_names(a)


def test_the_state_after_a_destruction_is_that_of_a_world_without_the_account(world: World, tracker: str) -> None:
    a = maker(world, balance=7)
    play(world, a, store(1, 1)).raise_for_error()
    play(world, a, destroy(HEIR)).raise_for_error()
    other = World(tracker=tracker, schedule=FREE)
    other.set_account(other.default_sender, nonce=3)
    other.fund(HEIR, 7)
    assert world.state_root == other.state_root


def test_an_account_lives_until_the_transaction_ends(world: World) -> None:
    """It is entered again, has its storage and what it got since; all that is gone at the end."""
    a, b = maker(world, "a", balance=7), maker(world, "b", balance=3)
    play(world, a, store(1, 5)).raise_for_error()
    receipt = play(world, b, call(a, destroy(HEIR)), call(a, load(1), store(1, 6), value=3), call(a, load(1)))
    assert answers(receipt) == [0, 0, 0]
    assert receipt.trace is not None
    outputs = [each.ended and each.ended.output for each in receipt.trace.calls[2:]]
    assert outputs == [b"\5", b"\6"]
    assert world.account(a) == Account()
    assert (world.account(HEIR).balance, world.account(b).balance) == (7, 0)


def test_a_destruction_is_undone_with_its_call_or_one_above_it(world: World) -> None:
    a, b = maker(world, "a", balance=7), maker(world, "b")
    receipt = play(world, b, call(b, call(a, destroy(HEIR)), revert()), call(a, store(1, 1)))
    assert answers(receipt) == [Outcome.REVERTED, 0]
    assert world.account(a).balance == 7
    assert world.account(HEIR) == Account()
    assert dict(world.slots(a)) != {}
    assert not play(world, b, call(a, destroy(HEIR)), revert()).ok
    assert world.account(a).balance == 7


def test_an_account_can_be_destroyed_twice(world: World) -> None:
    a, b = maker(world, "a", balance=7), maker(world, "b", balance=2)
    receipt = play(world, b, call(a, destroy(HEIR)), call(a, destroy(b), value=2))
    assert answers(receipt) == [0, 0]
    assert (world.account(HEIR).balance, world.account(b).balance) == (7, 2)
    assert world.account(a) == Account()


def test_what_an_account_leaves_to_itself_is_gone(world: World) -> None:
    a = maker(world, balance=7)
    assert play(world, a, destroy(a)).ok
    assert world.account(a) == Account()


def test_what_an_account_left_to_itself_cannot_be_spent_any_more(world: World) -> None:
    a, b = maker(world, "a", balance=7), maker(world, "b")
    receipt = play(world, b, call(a, destroy(a)), call(a, call(HEIR, value=1)))
    assert answers(receipt) == [0, 0]
    assert isinstance(error_of(receipt, 3), BalanceError)
    assert world.account(HEIR) == Account()


def test_an_heir_that_would_hold_too_much_gets_nothing(world: World) -> None:
    a, b = maker(world, "a", balance=7), maker(world, "b")
    world.fund(HEIR, BALANCE_MAX - 6)
    receipt = play(world, b, call(a, destroy(HEIR)))
    assert answers(receipt) == [1]
    assert isinstance(error_of(receipt, 1), BalanceError)
    assert world.account(a).balance == 7


def test_borrowed_code_destroys_the_account_that_it_runs_for(world: World) -> None:
    for borrow in (call_code, delegate):
        a, library = maker(world, "a", balance=7), maker(world, "library", balance=1)
        assert answers(play(world, a, borrow(library, destroy(HEIR)))) == [0]
        assert world.account(a) == Account()
        assert world.account(library).balance == 1
    assert world.account(HEIR).balance == 14


def test_a_static_call_destroys_nothing(world: World) -> None:
    a = maker(world, balance=7)
    receipt = play(world, a, static(a, destroy(HEIR)), static(a, delegate(a, destroy(HEIR))))
    assert answers(receipt) == [1, 0]
    error = error_of(receipt, 1)
    assert isinstance(error, TrapError)
    assert error.code == "static_write"
    assert world.account(a).balance == 7


def test_init_code_may_destroy_what_it_creates(world: World) -> None:
    a = maker(world, balance=7)
    made = created_address(a, 0)
    receipt = play(world, a, create(init(store(1, 1), destroy(HEIR)), value=7), call(made))
    assert answers(receipt) == [0, 0]
    assert world.account(made) == Account()
    assert world.account(HEIR).balance == 7
    assert not world._state.store.region_names(made)


def test_a_destroyed_creation_leaves_its_address_taken_until_the_end_and_free_after_it(world: World) -> None:
    a = maker(world)
    made = created_address(a, 0)
    play(world, a, create(init(finish_as(a))), call(made, store(1, 1), destroy(HEIR))).raise_for_error()
    assert world.account(made) == Account()
    world.set_account(a, nonce=0)
    assert answers(play(world, a, create(init(finish_as(a))), call(made, load(1)))) == [0, 0]
    assert world.account(made).code == MAKER
    assert dict(world.slots(made)) == {}


def test_events_tell_who_was_destroyed_and_for_whom() -> None:
    events: list[object] = []
    world = World(observers=[events.append], schedule=FREE)
    a = maker(world, balance=7)
    play(world, a, destroy(HEIR))
    assert [each for each in events if isinstance(each, AccountDestroyed)] == [AccountDestroyed(0, a, HEIR, 7)]


def test_a_snapshot_brings_a_destroyed_account_back(world: World) -> None:
    a = maker(world, balance=7)
    play(world, a, store(1, 1)).raise_for_error()
    root = world.state_root
    with world.snapshot():
        play(world, a, destroy(HEIR)).raise_for_error()
        assert world.account(a) == Account()
    assert world.state_root == root
    assert answers(play(world, a, load(1))) == [1]


def test_a_directory_keeps_what_was_created_and_nothing_of_what_was_destroyed(tmp_path: Path) -> None:
    secret = int.from_bytes(b"a value that is to be found" * 1, "big")
    with World(tmp_path / "w", schedule=FREE) as world:
        a, b = maker(world, "a", balance=7), maker(world, "b")
        play(world, a, store(1, secret)).raise_for_error()
        world.checkpoint()
        assert _found(tmp_path / "w", b"a value that is to be found")
        made = created_address(b, 0)
        play(world, b, create(init(store(5, 6), finish_as(b))), call(a, destroy(HEIR))).raise_for_error()
        root = world.state_root
    assert not _found(tmp_path / "w", b"a value that is to be found")
    store_of = SqlitePageStore(tmp_path / "w", read_only=True)
    assert list(store_of.verify()) == []
    store_of.close()
    with World(tmp_path / "w", schedule=FREE) as world:
        assert world.state_root == root
        assert world.account(a) == Account()
        assert (world.account(made).code, world.account(made).nonce) == (MAKER, 1)
        assert answers(play(world, made, load(5))) == [6]
        again = world.deploy(MAKER, name="again", address=a)
        assert answers(play(world, again, load(1), store(1, 2), load(1))) == [0, 2]
    with World(tmp_path / "w", schedule=FREE) as world:
        assert answers(play(world, a, load(1))) == [2]


def _found(directory: Path, data: bytes) -> bool:
    return any(data in path.read_bytes() for path in (directory / "images").iterdir())


def test_code_that_is_no_contract_is_kept_in_a_directory(tmp_path: Path) -> None:
    with World(tmp_path / "w", schedule=FREE) as world:
        made = world.create(init(store(1, 2), finish(b"\xbe\xef"))).raise_for_error().created
        assert made is not None
    with World(tmp_path / "w") as world:
        assert world.account(made).code == b"\xbe\xef"
        assert list(world.storage(made)) == ["slots"]
        assert not world.transact(made).ok


def test_prices_of_the_default_schedule_leave_room_for_all_that() -> None:
    world = World(schedule=GasSchedule())
    a = maker(world, balance=7)
    receipt = play(world, a, create(init(finish_as(a))), destroy(HEIR), gas=GAS)
    assert receipt.raise_for_error().gas_used > 32_000 + 200 * len(MAKER) + 5_000
