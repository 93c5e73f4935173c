"""Rule 8: same state and transaction, same result, under every option that keeps the rules."""

from __future__ import annotations

import pytest

from storagemod import World
from storagemod.scenario.puppet import Call, CopyIn, Grow, Revert, Store, Trap
from storagemod.vm import option_names
from tests.semantics.puppets import BYTES, LOWERED, deploy_puppet, play, script


def history(option: str) -> list[str]:
    """The state root after each step of one history."""
    world = World()
    a, b = deploy_puppet(world, option, balance=100), deploy_puppet(world, option)
    roots = [world.state_root]
    for operations in (
        [Store(0, 1), Call(b, script(Store(8, 2), Call(a, script(Store(16, 3)))), value=7)],
        [Grow(2), CopyIn(100_000, b"some bytes"), Call(b, script(Grow(1), Trap()))],
        [Store(0, 5), Revert()],
        [Store(0, 0), Store(16, 0)],
    ):
        play(world, a, *operations)
        roots.append(world.state_root)
    return [root.hex() for root in roots]


@pytest.mark.storagemod(strict=False)
def test_one_history_has_one_state_root_under_every_option() -> None:
    histories = {option: history(option) for option in (*option_names(), LOWERED, BYTES)}
    growing = [histories[option] for option in ("single", "regions", "methods", LOWERED, BYTES)]
    assert growing == growing[:1] * len(growing)
    assert len(set(growing[0])) == len(growing[0]) - 1
    assert histories["copied"] == histories["paged"]
    for roots in histories.values():
        assert roots[3] == roots[2]  # a reverted transaction


def test_the_state_root_is_that_of_the_state_and_not_of_the_way_to_it(world: World) -> None:
    a = deploy_puppet(world, "single")
    play(world, a, Store(0, 1))
    root = world.state_root
    with world.snapshot():
        play(world, a, Store(0, 2), Grow(1), Store(65_536, 1))
        assert world.state_root != root
    assert world.state_root == root


def test_nans_are_canonical(world: World) -> None:
    a = world.deploy(
        """(module (func (export "nan") (param f64) (result i64)
          (i64.reinterpret_f64 (f64.sub (local.get 0) (local.get 0)))))"""
    )
    assert world.transact(a, "nan", float("inf")).value == 0x7FF8 << 48
