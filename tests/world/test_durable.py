"""A world in a directory: what is committed is there the next time, and for whoever reads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from storagemod import Address, World
from storagemod.errors import StateError, StorageModError, ValidationError
from storagemod.world import DEFAULT_SENDER

COUNTER = """
(module
  (import "storage" "memory" (memory $s 1 100))
  (func (export "increment") (result i64)
    (i64.store $s (i32.const 4096) (i64.add (i64.load $s (i32.const 4096)) (i64.const 1)))
    (i64.load $s (i32.const 4096)))
  (func (export "grow") (param i32) (result i32) (memory.grow $s (local.get 0)))
  (func (export "fail") unreachable))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "world"


def counter_at(folder: Path, tracker: str | None = None) -> Address:
    with World(folder, tracker=tracker) as world:
        counter = world.deploy(COUNTER, name="counter", balance=5, policy="deny")
        world.transact(counter, "increment")
    return counter


def count(world: World, counter: Address) -> int:
    return world.storage(counter)["memory"].read_int(4_096)


def test_a_world_is_as_it_was_when_it_is_opened_again(folder: Path, tracker: str) -> None:
    with World(folder, tracker=tracker) as world:
        counter = world.deploy(COUNTER, name="counter", balance=5, policy="deny")
        for number in range(3):
            assert world.transact(counter, "increment").value == number + 1
        assert world.transact(counter, "grow", 2).value == 1
        accounts, root = dict(world.accounts()), world.state_root
    with World(folder, tracker=tracker) as world:
        assert dict(world.accounts()) == accounts
        assert world.state_root == root
        assert world.storage(counter)["memory"].pages == 3
        assert world.transact(counter, "increment").value == 4


def test_a_world_that_was_not_closed_has_lost_nothing(folder: Path) -> None:
    program = f"""
from storagemod import World
world = World({str(folder)!r})
counter = world.deploy({COUNTER!r}, address=7)
world.transact(counter, "increment").raise_for_error()
import os
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    with World(folder) as world:
        assert count(world, Address(7)) == 1


def test_worlds_of_all_trackers_open_one_another(folder: Path, tracker: str) -> None:
    counter = counter_at(folder)
    with World(folder, tracker=tracker) as world:
        assert world.transact(counter, "increment").value == 2
    with World(folder, tracker="portable") as world:
        assert world.transact(counter, "increment").value == 3


def test_the_state_root_does_not_depend_on_where_a_world_is_kept(folder: Path) -> None:
    roots = []
    for world in (World(folder), World(), World(tracker="portable")):
        with world:
            counter = world.deploy(COUNTER)
            world.transact(counter, "increment")
            world.transact(counter, "grow", 3)
            roots.append(world.state_root)
    assert len(set(roots)) == 1


def test_what_failed_is_not_kept(folder: Path) -> None:
    counter = counter_at(folder)
    with World(folder) as world:
        root = world.state_root
        assert not world.transact(counter, "fail").ok
        with pytest.raises(StorageModError):
            world.deploy(COUNTER, init="fail")
    with World(folder) as world:
        assert world.state_root == root
        assert len(world.accounts()) == 2


def test_a_snapshot_is_kept_whole_or_not_at_all(folder: Path, tracker: str) -> None:
    counter = counter_at(folder)
    with World(folder, tracker=tracker) as world:
        with world.snapshot():
            world.transact(counter, "increment")
            with world.snapshot() as inner:
                assert world.transact(counter, "increment").value == 3
                inner.keep()
        with world.snapshot() as outer:
            assert world.transact(counter, "increment").value == 2
            with world.snapshot():
                assert world.transact(counter, "increment").value == 3
            assert world.transact(counter, "increment").value == 3
            outer.keep()
    with World(folder) as world:
        assert count(world, counter) == 3


def test_a_process_that_dies_within_a_snapshot_leaves_nothing_of_it(folder: Path) -> None:
    counter = counter_at(folder)
    program = f"""
import os
from storagemod import World
world = World({str(folder)!r})
with world.snapshot() as snapshot:
    snapshot.keep()
    assert world.transact({str(counter)!r}, "increment").value == 2
    os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    with World(folder) as world:
        assert count(world, counter) == 1


def test_readers_see_the_state_of_their_opening_while_the_writer_goes_on(folder: Path, tracker: str) -> None:
    counter = counter_at(folder)
    with World(folder) as writer, World(folder, read_only=True, tracker=tracker) as early:
        writer.transact(counter, "increment")
        with World(folder, read_only=True, tracker=tracker) as late:
            writer.transact(counter, "increment")
            assert [count(world, counter) for world in (early, late, writer)] == [1, 2, 3]
            assert [world.call(counter, "increment").value for world in (early, late, writer)] == [2, 3, 4]
    with World(folder) as world:
        assert count(world, counter) == 3


@pytest.mark.parametrize("operation", ["transact", "deploy", "fund", "load_storage"])
def test_a_reader_changes_nothing(folder: Path, operation: str) -> None:
    counter = counter_at(folder)
    with World(folder, read_only=True) as world:
        operations = {
            "transact": lambda: world.transact(counter, "increment"),
            "deploy": lambda: world.deploy(COUNTER),
            "fund": lambda: world.fund(1, 1),
            "load_storage": lambda: world.load_storage(counter, "memory", b"x"),
        }
        with pytest.raises(StateError, match="opened to be read only"):
            operations[operation]()


def test_there_is_one_writer(folder: Path) -> None:
    counter_at(folder)
    with World(folder), pytest.raises(StateError, match="is open for writing in this process"):
        World(folder)
    with World(folder) as world:
        assert len(world.accounts()) == 2


def test_the_sender_is_funded_once(folder: Path) -> None:
    with World(folder) as world:
        world.fund(DEFAULT_SENDER, 3)
    with World(folder) as world:
        assert world.account(DEFAULT_SENDER).balance == 3


def test_the_quicker_way_to_commit_keeps_the_state_too(folder: Path) -> None:
    with World(folder, synchronous="normal") as world:
        counter = world.deploy(COUNTER)
        world.transact(counter, "increment")
        world.checkpoint()
        world.transact(counter, "increment")
    with World(folder) as world:
        assert count(world, counter) == 2


def test_a_world_in_memory_cannot_be_read_only() -> None:
    with pytest.raises(ValidationError, match="nothing to be read"):
        World(read_only=True)


def test_a_way_to_commit_that_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(ValidationError, match="synchronous"):
        World(folder, synchronous="sometimes")  # type: ignore[arg-type]
