"""Another thread reads while transactions are committed: each read sees one committed state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storagemod import Address, World
from storagemod.errors import StateError
from storagemod.state import image_files

pytestmark = pytest.mark.usefixtures("often_another_thread")

A = Address(0xA1)
B = Address(0xB2)
SENDER = Address(0x5E)

PAGES = 6
COMMITS = 150

TWINS = f"""(module (import "storage" "memory" (memory $s {PAGES}))
  (func (export "set") (param i64) (local i32)
    (loop $next
      (i64.store $s (i32.mul (local.get 1) (i32.const 65536)) (local.get 0))
      (br_if $next (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (i32.const {PAGES}))))))"""

KEYED = """(module (import "ethereum" "storageStore" (func $store (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "set") (param i64)
    (i64.store (i32.const 32) (local.get 0)) (i64.store (i32.const 56) (local.get 0))
    (call $store (i32.const 0) (i32.const 32))))"""


@pytest.fixture(params=["memory", "directory"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    path = tmp_path / "world" if request.param == "directory" else None
    with World(path, trace=False, synchronous="normal") as world:
        world.deploy(TWINS, address=A)
        world.deploy(KEYED, address=B)
        world.fund(SENDER, 10**9)
        world.transact(A, "set", 1).raise_for_error()
        yield world


def numbers(data: bytes) -> set[int]:
    return {int.from_bytes(data[at : at + 8], "little") for at in range(0, PAGES * 65_536, 65_536)}


def read_storage(world: World) -> bool:
    return len(numbers(world.storage(A)["memory"][:])) == 1


def read_a_word(world: World) -> bool:
    view = world.storage(A)["memory"]
    return view.read_int(0) >= 1 and len(view) == PAGES * 65_536


def read_under_the_lock(world: World) -> bool:
    view = world.storage(A)["memory"]
    with view.lock:
        return len({view.read_int(page * 65_536) for page in range(PAGES)}) == 1


def read_pages(world: World) -> bool:
    try:
        return len({page[:8] for _, page in world.storage(A)["memory"].data()}) <= 1
    except StateError as error:
        return "changed while its pages were read" in str(error)


def read_slots(world: World) -> bool:
    value = world.slots(B)[bytes(32)]
    return value[:8] == value[24:]


def read_accounts(world: World) -> bool:
    accounts = world.accounts()
    return sorted(accounts) == [*accounts] and world.account(SENDER).nonce >= accounts[SENDER].nonce


def read_root(world: World) -> bool:
    return len(world.state_root) == 32


READERS = (read_storage, read_a_word, read_under_the_lock, read_pages, read_slots, read_accounts, read_root)


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_a_read_sees_one_committed_state(world: World, read: Callable[[World], bool]) -> None:
    found: list[object] = []
    over = threading.Event()

    def read_on() -> None:
        while not over.is_set():
            try:
                found.append(read(world))
            except BaseException as error:
                found.append(error)
                raise

    thread = threading.Thread(target=read_on)
    thread.start()
    try:
        for number in range(2, COMMITS):
            for address in (A, B):
                world.transact(address, "set", number, sender=SENDER).raise_for_error()
            if number % 20 == 0:
                with world.snapshot():
                    world.transact(A, "set", 7 * number).raise_for_error()
    finally:
        over.set()
        thread.join()
    assert {*found} == {True}
    root = world.state_root
    with World(trace=False) as other:
        for address, code in ((A, TWINS), (B, KEYED)):
            other.deploy(code, address=address)
            other.transact(address, "set", COMMITS - 1).raise_for_error()
        for address in other.accounts().keys() | world.accounts().keys():
            account = world.account(address)
            other.set_account(address, nonce=account.nonce, balance=account.balance)
        assert other.state_root == root  # no digest was remembered of a state that is over


def test_files_that_a_reader_needs_are_not_closed_under_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "open_max", lambda: 1)
    addresses = [Address(0x100 + each) for each in range(6)]
    with World(tmp_path / "world", trace=False, synchronous="normal") as world:
        for number, address in enumerate(addresses, 1):
            world.deploy(TWINS, address=address)
            world.load_storage(address, "memory", bytes([number]) * PAGES * 65_536)
        world.checkpoint()
        wrong: list[object] = []

        def read_all() -> None:
            for _ in range(20):
                for number, address in enumerate(addresses, 1):
                    seen = world.storage(address)["memory"][100 : PAGES * 65_536 : 4_096]
                    if {*seen} != {number}:
                        wrong.append((number, {*seen}))

        threads = [threading.Thread(target=read_all) for _ in range(2)]
        for thread in threads:
            thread.start()
        for round_number in range(20):
            for address in addresses:
                world.transact(address, "set", round_number).raise_for_error()
        for thread in threads:
            thread.join()
    assert wrong == []
