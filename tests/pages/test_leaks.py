"""Transactions and worlds give everything back: descriptors, mappings, memory, and without the garbage collector."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from storagemod import Address, Limits, Receipt, World

FUZZ = os.environ.get("STORAGEMOD_FUZZ") == "1"

TRANSACTIONS = 10_000 if FUZZ else 500
"""On each backend."""

BUSY = """
(module
  (import "storage" "memory" (memory $s 1 8))
  (import "storage" "second" (memory $t 1 8))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "contract:self" "fail?" (func $fail (param i64) (result i32)))
  (memory (export "memory") 1)
  (func (export "ok") (param i64)
    (i64.store $s (i32.const 8) (local.get 0))
    (i64.store $t (i32.wrap_i64 (i64.and (local.get 0) (i64.const 0xfff8))) (local.get 0))
    (drop (memory.grow $s (i32.const 1))))
  (func $fail_here (export "fail") (param i64)
    (i64.store $t (i32.const 4096) (local.get 0))
    (drop (memory.grow $s (i32.const 1)))
    unreachable)
  (func (export "nested") (param i64)
    (i64.store $s (i32.const 8) (local.get 0))
    (if (i32.eqz (call $fail (local.get 0))) (then unreachable)))
  (func (export "revert") (param i64)
    (i64.store $s (i32.const 8) (local.get 0))
    (call $revert (i32.const 0) (i32.const 8)))
  (func (export "recurse") (param i64)
    (i64.store $s (i32.const 8) (local.get 0))
    (loop (br 0)))
  (func (export "main")))
"""

WAYS = ("ok", "fail", "nested", "revert", "recurse")


def busy_world(tracker: str) -> tuple[World, Address]:
    world = World(tracker=tracker, trace=False, limits=Limits(deadline_seconds=60))
    address = Address(0x77)
    return world, world.deploy(BUSY, address=address, links={"self": address})


def transact(world: World, to: Address, turn: int, way: str | None = None) -> Receipt:
    """One in four grows storage, or does nothing; it is given back before the next."""
    way = WAYS[turn % len(WAYS)] if way is None else way
    with world.snapshot():
        receipt = world.transact(to, way, turn, gas=20_000)
    assert receipt.ok == (way in {"ok", "nested"})
    return receipt


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def used() -> tuple[int, int, int]:
    """Open descriptors, mappings, and resident bytes of this process."""
    gc.collect()
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no directory of paths
    mappings = Path("/proc/self/maps").read_text().count("\n")
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return descriptors, mappings, resident


def test_many_transactions_take_no_more_than_few(tracker: str) -> None:
    world, address = busy_world(tracker)
    for turn in range(200):
        transact(world, address, turn)
    before = used()
    for turn in range(TRANSACTIONS):
        transact(world, address, turn)
    after = used()
    assert after[0] == before[0]
    assert after[1] <= before[1] + 8  # the C library's own allocations
    assert after[2] <= before[2] + (4 << 20)


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("way", WAYS)
def test_a_transaction_is_gone_without_the_garbage_collector(tracker: str, way: str) -> None:
    """A failed one above all: its journal may hold every page of its storage, and its receipt is kept."""
    world, address = busy_world(tracker)
    kept = [transact(world, address, turn, way) for turn in range(5)]
    before = Counter(type(each).__name__ for each in gc.get_objects())
    kept += [transact(world, address, turn, way) for turn in range(5)]
    after = Counter(type(each).__name__ for each in gc.get_objects())
    for name in ("Transaction", "Store", "Journal", "JournaledRegion", "Call", "frame", "traceback"):
        assert after[name] <= before[name], name


def test_worlds_give_their_descriptors_back(tracker: str) -> None:
    def one_world() -> None:
        world, address = busy_world(tracker)
        transact(world, address, 0)

    one_world()
    before = used()
    for _ in range(20):
        one_world()
    after = used()
    assert after[0] == before[0]
    assert after[1] <= before[1] + 8


def test_memory_does_not_grow_with_storage_that_was_written_and_zeroed(tracker: str) -> None:
    """What a world keeps is what its storage holds now."""
    world = World(tracker=tracker, trace=False)
    address = world.deploy("""(module (import "storage" "memory" (memory $s 4)) (func (export "fill") (param i32)
        (memory.fill $s (i32.const 0) (local.get 0) (i32.const 0x40000))))""")

    def fill_and_clear() -> None:
        for value in (1, 2, 0):
            assert world.transact(address, "fill", value).ok

    for _ in range(2):
        fill_and_clear()
    before = used()
    for _ in range(8):
        fill_and_clear()
    after = used()
    assert after[1] <= before[1] + 8
    assert after[2] <= before[2] + (2 << 20)  # a quarter of what was written
