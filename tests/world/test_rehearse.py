"""What a transaction would commit can be known, applied and taken back without running it again."""

from __future__ import annotations

import pytest

from storagemod import StateError, World

COUNTER = """\
(module
  (import "storage" "memory" (memory $s 1 4))
  (func (export "add") (param i64)
    (i64.store $s (i32.const 0) (i64.add (i64.load $s (i32.const 0)) (local.get 0))))
  (func (export "grow") (drop (memory.grow $s (i32.const 1))) (i32.store8 $s (i32.const 65536) (i32.const 7)))
  (func (export "fail") (param i64) (i64.store $s (i32.const 0) (local.get 0)) unreachable))
"""


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(("method", "args"), [("add", (5,)), ("grow", ())])
def test_a_rehearsed_transaction_is_applied_as_if_it_had_been_committed(
    world: World, method: str, args: tuple[int, ...]
) -> None:
    counter, twin = world.deploy(COUNTER), World()
    assert twin.deploy(COUNTER) == counter
    before = world.state_root

    receipt, changes = world.rehearse(counter, method, *args)
    assert world.state_root == before
    assert receipt == twin.transact(counter, method, *args)

    world.apply(changes)
    assert world.state_root == twin.state_root
    again, _ = world.rehearse(counter, method, *args)
    assert again == twin.transact(counter, method, *args)  # memory follows what was applied

    world.apply(changes.inverted())
    assert world.state_root == before
    assert world.call(counter, method, *args) == receipt


def test_one_that_fails_would_change_nothing(world: World) -> None:
    counter = world.deploy(COUNTER)
    receipt, changes = world.rehearse(counter, "fail", 9)
    assert not receipt.ok
    assert not changes


def test_changes_joined_are_those_of_one_transaction_after_the_other(world: World) -> None:
    counter = world.deploy(COUNTER)
    before = world.state_root
    _, first = world.rehearse(counter, "add", 2)
    world.apply(first)
    _, second = world.rehearse(counter, "grow")
    world.apply(second)
    after = world.state_root
    world.apply(first.merged(second).inverted())
    assert world.state_root == before
    world.apply(first.merged(second))
    assert world.state_root == after


def test_a_world_that_is_closed_takes_nothing(world: World) -> None:
    counter = world.deploy(COUNTER)
    _, changes = world.rehearse(counter, "add", 2)
    world.close()
    with pytest.raises(StateError, match="closed"):
        world.apply(changes)
    with pytest.raises(StateError, match="closed"):
        world.rehearse(counter, "add", 2)
