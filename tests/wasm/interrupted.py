"""Interrupt transactions at any instant by a signal whose handler raises: a program, since the signals are its own.

A contract adds up what a host function returns, and writes the sum and a number into two regions. Whatever instant an
interruption hits, both regions hold a transaction's numbers or neither does, and sums are right.
It prints a JSON document: how many transactions were interrupted, and what was wrong.
"""

from __future__ import annotations

import json
import signal
import sys
import time

from storagemod import World

TURNS = 40

WAT = f"""
(module
  (import "storage" "memory" (memory $s 1))
  (import "storage" "second" (memory $t 1))
  (import "ethereum" "getGasLeft" (func $gas (result i64)))
  (import "ethereum" "getBlockNumber" (func $number (result i64)))
  (func (export "add") (param $n i64) (result i64) (local $left i32) (local $sum i64)
    (i64.store $s (i32.const 0) (local.get $n))
    (local.set $left (i32.const {TURNS}))
    (loop $again
      (drop (call $gas))
      (local.set $sum (i64.add (local.get $sum) (call $number)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i64.store $s (i32.const 4096) (local.get $sum))
    (i64.store $t (i32.const 0) (local.get $n))
    (local.get $sum)))
"""


class Interruption(Exception):  # noqa: N818 - like KeyboardInterrupt, it is no failure
    """What the handler raises."""


def interrupt(_signal: int, _frame: object) -> None:
    raise Interruption


def number(world: World, address: object, region: str, offset: int = 0) -> int:
    return int.from_bytes(bytes(world.storage(address)[region][offset : offset + 8]), "little")  # type: ignore[arg-type]


def main() -> None:
    world = World(trace=False)
    address = world.deploy(WAT)
    block = world.block.number + 1_000_003
    with_number = world.block.__class__(number=block)
    world.block = with_number
    wrong: list[object] = []
    interrupted = committed = at = 0
    signal.signal(signal.SIGALRM, interrupt)
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        at += 1
        before = number(world, address, "memory")
        receipt = None
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.000_02 + (at * 7_919 % 1_000) * 1e-6)
            receipt = world.transact(address, "add", at)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Interruption:
            interrupted += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        first, second = number(world, address, "memory"), number(world, address, "second")
        total = number(world, address, "memory", 4_096)
        committed += first == at
        if first != second or first not in {before, at} or total not in {0, TURNS * block}:
            wrong.append(["storage", at, before, first, second, total])
        if receipt is not None and (not receipt.ok or receipt.value != TURNS * block or first != at):
            wrong.append(["receipt", at, receipt.ok, str(receipt.error), first])
    print(json.dumps({"interrupted": interrupted, "committed": committed, "wrong": wrong[:5]}))


if __name__ == "__main__":
    main()
