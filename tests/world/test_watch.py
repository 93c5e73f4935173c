from __future__ import annotations

import pytest

from storagemod import Receipt, World
from storagemod.watch import listening

CODE = '(module (func (export "f")) (func (export "trap") unreachable))'


@pytest.mark.storagemod(strict=False)
def test_every_transaction_and_call_of_every_world_is_told_in_order() -> None:
    seen: list[Receipt] = []
    with listening(seen.append):
        ran = []
        for world in (World(), World(trace=False)):
            contract = world.deploy(CODE)
            ran += [world.transact(contract, "f"), world.transact(contract, "trap"), world.call(contract, "f")]
        ran.append(world.create(CODE))

    assert [id(receipt) for receipt in seen] == [id(receipt) for receipt in ran]


def test_nothing_is_told_before_and_after_whatever_ends_the_block() -> None:
    seen: list[Receipt] = []
    world = World()
    contract = world.deploy(CODE)

    def fail() -> None:
        with listening(seen.append):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    world.transact(contract, "f")

    assert seen == []


def test_watchers_nest() -> None:
    outer: list[Receipt] = []
    inner: list[Receipt] = []
    world = World()
    contract = world.deploy(CODE)
    with listening(outer.append):
        with listening(inner.append):
            world.transact(contract, "f")
        world.transact(contract, "f")

    assert (len(outer), len(inner)) == (2, 1)
