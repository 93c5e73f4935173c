"""Presetting accounts: any nonce, balance, code and entries."""

from __future__ import annotations

from pathlib import Path

import pytest

from storagemod import Limits, StateError, StorageMapping, ValidationError, World
from storagemod.state import BALANCE_MAX, NONCE_MAX, Account
from storagemod.wasm import to_wasm

KEYED = """(module (import "ethereum" "storageLoad" (func $load (param i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32))) (memory (export "memory") 1)
  (func (export "main") (call $load (i32.const 0) (i32.const 32)) (call $finish (i32.const 32) (i32.const 32))))"""

KEY, VALUE = bytes(32), bytes(range(32))


def wasm(text: str) -> bytes:
    return to_wasm(text, name="test", limits=Limits())


def test_what_is_given_is_set_and_the_rest_stays() -> None:
    world = World()
    a = world.set_account("0xaa", nonce=NONCE_MAX, balance=BALANCE_MAX, code=b"x", name="a")
    assert world.account(a) == Account(NONCE_MAX, BALANCE_MAX, b"x", "a")
    world.set_account(a, nonce=3)
    assert world.account(a) == Account(3, BALANCE_MAX, b"x", "a")
    world.set_account(a, nonce=0, balance=0, code=b"")
    world.set_account(a)
    assert world.account(a) == Account(name="a")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nonce": -1}, "nonce is an integer from 0"),
        ({"nonce": NONCE_MAX + 1}, "nonce is an integer from 0"),
        ({"balance": BALANCE_MAX + 1}, "balance is an integer from 0"),
        ({"balance": True}, "balance is an integer from 0"),
        ({"code": "(module)"}, "code is bytes, not"),
        ({"code": bytes(101)}, "101 bytes of code, and 100 are allowed"),
        ({"slots": {b"short": VALUE}}, "a key of keyed storage is 32 bytes"),
        ({"slots": {KEY: 7}}, "a value of keyed storage is 32 bytes"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_set(given: dict[str, object], message: str) -> None:
    world = World(limits=Limits(code_bytes_max=100))
    root = world.state_root
    with pytest.raises(ValidationError, match=message):
        world.set_account(5, **{"balance": 1, **given})  # type: ignore[arg-type]
    assert world.state_root == root


def test_a_contract_that_is_preset_runs_as_one_that_is_deployed(tracker: str) -> None:
    world, deployed = World(tracker=tracker), World(tracker=tracker)
    world.set_account(0xAA, code=wasm(KEYED), slots={KEY: VALUE, VALUE: KEY})
    deployed.deploy(KEYED, address=0xAA)
    deployed.slots(0xAA)[KEY] = VALUE
    deployed.set_account(deployed.default_sender, nonce=0)
    assert world.state_root == deployed.state_root
    assert world.transact(0xAA).output == VALUE
    assert dict(world.slots(0xAA)) == {KEY: VALUE}


def test_entries_are_set_at_once_and_added_to_those_that_there_are() -> None:
    world = World()
    entries = {number.to_bytes(32, "big"): (number + 1).to_bytes(32, "big") for number in range(300)}
    world.set_account(5, slots=entries)
    assert dict(world.slots(5)) == entries
    world.set_account(5, slots={KEY: bytes(32), VALUE: VALUE})
    del entries[KEY]
    assert dict(world.slots(5)) == {**entries, VALUE: VALUE}


def test_an_account_without_code_may_have_entries(tmp_path: Path) -> None:
    with World(tmp_path / "w") as world:
        world.set_account(5, slots={KEY: VALUE})
        root = world.state_root
    with World(tmp_path / "w") as world:
        assert world.state_root == root
        assert dict(world.slots(5)) == {KEY: VALUE}
        assert list(world.storage(5)) == ["slots"]
        assert dict(world.slots(6)) == {}


def test_keyed_storage_is_not_set_where_a_contract_has_a_memory() -> None:
    world = World()
    code = wasm('(module (import "storage" "slots" (memory 1)))')
    with pytest.raises(StateError, match="is not keyed"):
        world.set_account(5, code=code, slots={KEY: VALUE})
    assert world.account(5) == Account()
    world.set_account(5, code=code)
    assert world.storage(5)["slots"].pages == 1


def test_a_contract_that_maps_storage_is_preset_to_do_it_as_the_world_says() -> None:
    code = wasm(
        '(module (import "ethereum" "storageMap" (func (param i32 i32 i32))) (memory (export "memory") 1)'
        ' (func (export "main")))'
    )
    world = World(mapping=StorageMapping("paged", frame_bytes=512))
    world.set_account(5, code=code)
    assert world.account(5).mapping == StorageMapping("paged", frame_bytes=512)
    world.set_account(5, code=b"other")
    assert world.account(5).mapping is None


def test_bytes_are_loaded_into_a_region_that_foreign_code_made() -> None:
    world = World()
    with pytest.raises(StateError, match="there is no contract at"):
        world.load_storage(5, "slots", b"x")
    world.set_account(5, slots={KEY: VALUE})
    world.load_storage(5, "slots", b"\1", offset=64 * 65_536 - 1)
    with pytest.raises(ValidationError, match="holds 64 Wasm pages at most"):
        world.load_storage(5, "slots", b"\1", offset=64 * 65_536)
    with pytest.raises(StateError, match=r"no storage region 'memory' .it has: slots."):
        world.load_storage(5, "memory", b"x")


def test_a_region_that_new_code_does_not_import_is_not_loaded() -> None:
    """It stays in storage, and only the code that made it knows its type."""
    world = World()
    account = world.deploy('(module (import "storage" "books" (memory 1)))')
    other = world.deploy('(module (import "storage" "memory" (memory 1)))')
    world.set_account(account, code=world.account(other).code)
    with pytest.raises(StateError, match="the code of contract does not import the storage region 'books'"):
        world.load_storage(account, "books", b"\x01")
    with pytest.raises(StateError, match=r"no storage region 'cook' .it has: books, memory"):
        world.load_storage(account, "cook", b"\x01")
