"""Transactions and worlds give everything back: descriptors, mappings, memory, and without the garbage collector."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storagemod import Address, Limits, Receipt, World
from storagemod.vm import machine
from tests.conftest import no_garbage_collected

FUZZ = os.environ.get("STORAGEMOD_FUZZ") == "1"

TRANSACTIONS = 10_000 if FUZZ else 200
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
    with no_garbage_collected():
        yield


def used() -> tuple[int, int, int]:
    """Open descriptors, mappings, and resident bytes of this process."""
    gc.collect()
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no directory of paths
    mappings = Path("/proc/self/maps").read_text().count("\n")
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return descriptors, mappings, resident


@pytest.fixture
def short_lived_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a machine begin with a new wasmtime store every few transactions."""
    monkeypatch.setattr(machine, "_INSTANCES_MAX", 60)
    monkeypatch.setattr(machine, "_MEMORIES_MAX", 30)


def most_used(work: Callable[[int], object], turns: int) -> tuple[int, int, int]:
    """Do something again and again; return the most that was used in between."""
    most = used()
    for turn in range(turns):
        work(turn)
        if turn % 7 == 0:
            most = tuple(map(max, most, used()))  # type: ignore[assignment] # three again
    return most


def check_flat(before: tuple[int, int, int], after: tuple[int, int, int]) -> None:
    assert after[0] <= before[0]
    assert after[1] <= before[1] + 16  # the C library's own allocations
    assert after[2] <= before[2] + (4 << 20)


@pytest.mark.usefixtures("short_lived_stores")
def test_many_transactions_take_no_more_than_few(tracker: str) -> None:
    world, address = busy_world(tracker)
    stores = set[int]()

    def work(turn: int) -> None:
        transact(world, address, turn)
        stores.add(world._machine.store.context)

    before = most_used(work, 150)
    assert len(stores) > 1
    check_flat(before, most_used(work, TRANSACTIONS))


@pytest.mark.usefixtures("short_lived_stores")
def test_many_contracts_take_no_more_than_few_transactions_of_each(tracker: str) -> None:
    """What stays mapped of contracts that nobody calls any more ends with its store."""
    world = World(tracker=tracker, trace=False)
    addresses = [Address(0x100 + index) for index in range(20)]
    contracts = [world.deploy(BUSY, address=each, links={"self": each}) for each in addresses]

    def work(turn: int) -> None:
        transact(world, contracts[turn * 7 % len(contracts)], turn)

    before = most_used(work, 150)
    check_flat(before, most_used(work, 300))


GROWS_ITS_MEMORY = """(module (memory 1) (func (export "go")
  (drop (memory.grow (i32.const 20))) (memory.fill (i32.const 0) (i32.const 1) (i32.const 1300000))))"""

FRESH_EACH_TIME = """(module (memory 21) (data $d "x") (func (export "go")
  (data.drop $d) (memory.fill (i32.const 0) (i32.const 1) (i32.const 1300000))))"""

UNDONE_GROWTH = """(module (import "storage" "memory" (memory $s 1 64)) (func (export "go")
  (drop (memory.grow $s (i32.const 20)))
  (memory.fill $s (i32.const 0) (i32.const 1) (i32.const 1300000)) unreachable))"""


@pytest.mark.storagemod(strict=False)
@pytest.mark.parametrize("wat", [GROWS_ITS_MEMORY, FRESH_EACH_TIME, UNDONE_GROWTH], ids=["grows", "fresh", "undone"])
def test_memory_that_serves_one_call_only_is_given_back_after_it(tracker: str, wat: str) -> None:
    """The store keeps the addresses for long, and must not keep what was written there."""
    world = World(tracker=tracker, trace=False)
    address = world.deploy(wat)
    for _ in range(10):
        world.transact(address, "go")
    before = used()
    for _ in range(40):
        world.transact(address, "go")
    after = used()
    assert after[2] <= before[2] + (8 << 20)  # a sixth of what was written


@pytest.mark.storagemod(strict=False)
def test_mappings_of_a_region_that_is_replaced_are_given_back(tracker: str) -> None:
    """A process may have some 65,000; an image in pieces has many, and a failed call that grew storage replaces it."""
    world = World(tracker=tracker, trace=False)
    address = world.deploy(UNDONE_GROWTH.replace("1 64", "20 64"))
    for piece in range(16):
        world.load_storage(address, "memory", b"\1", offset=piece * 18 * 4_096)
    world.transact(address, "go")
    before = used()
    for _ in range(50):
        world.transact(address, "go")
    after = used()
    assert after[1] <= before[1] + 50 * 5  # a reserved memory with its guards, in pieces


@pytest.mark.usefixtures("short_lived_stores")
def test_memories_of_contracts_count_for_the_life_of_a_store() -> None:
    """The address space of a process ends at some 30,000 of them."""
    world = World(trace=False)
    memories = "(memory 1)" * 16
    address = world.deploy(f'(module {memories} (func (export "go") (drop (memory.grow 3 (i32.const 1)))))')

    def work(_turn: int) -> None:
        assert world.transact(address, "go").ok
        assert world._machine.store.memories <= 30 + 17

    check_flat(most_used(work, 20), most_used(work, 60))


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("way", WAYS)
def test_a_transaction_is_gone_without_the_garbage_collector(tracker: str, way: str) -> None:
    """A failed one above all: its undo log may hold every page of its storage, and its receipt is kept."""
    world, address = busy_world(tracker)
    kept = [transact(world, address, turn, way) for turn in range(5)]
    before = Counter(type(each).__name__ for each in gc.get_objects())
    kept += [transact(world, address, turn, way) for turn in range(5)]
    after = Counter(type(each).__name__ for each in gc.get_objects())
    for name in ("Machine", "Store", "UndoLog", "LiveRegion", "Frame", "frame", "traceback"):
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
