"""Run transactions in a process whose address space, data, mappings or descriptors are scarce, beside one that has all.

``python -m tests.world.limited SEED`` prints one line for each transaction: how scarce what was, and what became of it.
Each transaction must end as it does elsewhere, or in a ``StateError`` with nothing committed. After one it is run again
without limits, so that both worlds go the same way.
"""

from __future__ import annotations

import ctypes
import mmap
import random
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storagemod import Limits, Receipt, StateError, World

CODE = """(module
  (import "storage" "memory" (memory $s 1 60))
  (import "contract:next" "work?" (func $next (param i32 i32) (result i32 i32)))
  (memory $own 1 400)
  (func (export "work") (param $depth i32) (param $pages i32) (result i32)
    (local $i i32) (local $sum i32) (local $result i32) (local $outcome i32)
    (local.set $sum (memory.grow $own (local.get $pages)))
    (local.set $sum (i32.add (local.get $sum)
      (i32.mul (i32.const 7) (memory.grow $s (i32.and (local.get $pages) (i32.const 3))))))
    (loop $touch
      (i32.store $own (i32.mul (local.get $i) (i32.const 65536)) (local.get $sum))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $touch (i32.lt_u (local.get $i) (memory.size $own))))
    (i32.store $s (i32.mul (local.get $depth) (i32.const 9000)) (local.get $sum))
    (if (local.get $depth) (then
      (call $next (i32.sub (local.get $depth) (i32.const 1)) (local.get $pages))
      (local.set $result) (local.set $outcome)
      (local.set $sum (i32.add (local.get $sum) (i32.add (local.get $outcome)
        (i32.mul (i32.const 31) (local.get $result)))))))
    (i32.store $s (i32.const 4000) (i32.add (i32.load $s (i32.const 4000)) (local.get $sum)))
    (local.get $sum)))"""
"""Grows its memory and its storage, calls the next contract, and keeps what came of all that in storage.

A growth that was refused and a call that failed would be seen in its result and in its storage.
"""

CONTRACTS = 6
LIMITS = Limits(working_pages_max=65_536)


def open_world(tracker: str | None) -> World:
    """Make a world of contracts that are linked in a ring."""
    world = World(limits=LIMITS, tracker=tracker)
    addresses = [0xC0 + number for number in range(CONTRACTS)]
    for number, address in enumerate(addresses):
        world.deploy(CODE, address=address, links={"next": addresses[(number + 1) % CONTRACTS]})
    return world


def outcome_of(receipt: Receipt) -> tuple[object, ...]:
    """Return all of a receipt that must be the same everywhere."""
    return receipt.outcome, receipt.values, receipt.gas_used, str(receipt.error), receipt.costs


@contextmanager
def scarce(what: str, room: int) -> Iterator[None]:
    """Leave the process so much of something: bytes, descriptors, or mappings."""
    if what == "mappings":
        with filled_mappings(room):
            yield
        return
    number = {"address space": resource.RLIMIT_AS, "data": resource.RLIMIT_DATA, "descriptors": resource.RLIMIT_NOFILE}
    before = resource.getrlimit(number[what])
    used = {"address space": lambda: _status("VmSize"), "data": lambda: _status("VmData"), "descriptors": _descriptors}
    resource.setrlimit(number[what], (used[what]() + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(number[what], before)


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _descriptors() -> int:
    return max(int(each.name) for each in Path("/proc/self/fd").iterdir())


@contextmanager
def filled_mappings(room: int) -> Iterator[None]:
    """Have so many mappings that the process may make this many more."""
    most = int(Path("/proc/sys/vm/max_map_count").read_text())
    there = len(Path("/proc/self/maps").read_text().splitlines())
    count = max(most - there - room, 0)
    area = mmap.mmap(-1, max(count, 1) * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc = ctypes.CDLL(None, use_errno=True)
    for page in range(0, count, 2):  # each second page differs from its neighbours, so none are merged
        libc.mprotect(ctypes.c_void_p(start + page * mmap.PAGESIZE), mmap.PAGESIZE, mmap.PROT_READ)
    try:
        yield
    finally:
        area.close()


SCARCE = {
    "address space": (1 << 20, 64 << 30),
    "data": (1 << 18, 64 << 20),
    "mappings": (2, 120),
    "descriptors": (0, 4),
}
"""What can be scarce, and how much of it a transaction is left, from and to."""


def main(seed: int, tracker: str | None, count: int) -> None:
    """Run transactions on both worlds, and compare."""
    chosen = random.Random(seed)  # noqa: S311 - not a secret
    plenty, needy = open_world(tracker), open_world(tracker)
    refused = 0
    for number in range(count):
        what = chosen.choice(list(SCARCE))
        least, most = SCARCE[what]
        room = int(least * (most / least) ** chosen.random()) if least else chosen.randint(least, most)
        arguments = (chosen.randint(0, 12), chosen.choice([0, 1, 5, 40, 200, 500]))
        target = 0xC0 + chosen.randrange(CONTRACTS)
        expected = outcome_of(plenty.transact(target, "work", *arguments))
        before = needy.state_root
        try:
            with scarce(what, room):
                ended = outcome_of(needy.transact(target, "work", *arguments))
        except StateError as error:
            if needy.state_root != before:
                raise AssertionError(f"transaction {number} failed for {what}, and something was committed") from error
            print(f"{what} {room}: {error.message}", flush=True)
            refused += 1
            ended = outcome_of(needy.transact(target, "work", *arguments))
        else:
            print(f"{what} {room}: the same", flush=True)
        if ended != expected or needy.state_root != plenty.state_root:
            raise AssertionError(f"transaction {number} with little {what} ended differently: {ended}, not {expected}")
    print(f"{count:,} transactions from seed {seed}: {refused:,} were refused, and all others ended the same")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if sys.argv[2] != "any" else None, int(sys.argv[3]))
