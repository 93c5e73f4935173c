"""Interrupt transactions at any instant by a signal whose handler raises: a program, since the signals are its own.

A contract adds up what a host function returns, and writes the sum and a number into two regions. Whatever instant an
interruption hits, both regions hold a transaction's numbers or neither does, and sums are right.
It prints a JSON document: how many transactions were interrupted, and what was wrong.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

from storagemod import Address, World

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


class Interruption(Exception):
    """What the handler raises."""


waiting = False
"""Whether this program waits for a transaction: it cannot be interrupted elsewhere itself."""


def interrupt(_signal: int, _frame: object) -> None:
    if waiting:
        raise Interruption


def number(world: World, address: Address, region: str, offset: int = 0) -> int:
    return int.from_bytes(bytes(world.storage(address)[region][offset : offset + 8]), "little")


class Interrupter:
    """Has one signal come soon: an alarm, or Ctrl-C as another thread sends it."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._armed = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._after: float | None = None
        if kind == "interrupt":
            threading.Thread(target=self._send, daemon=True).start()

    def arm(self, seconds: float) -> None:
        if self._kind == "alarm":
            signal.setitimer(signal.ITIMER_REAL, seconds)
        else:
            self._after = seconds
            self._armed.release()

    def disarm(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        with self._lock:
            self._after = None

    def _send(self) -> None:
        while True:
            self._armed.acquire()
            time.sleep(self._after or 0)
            with self._lock:
                if self._after is not None:
                    os.kill(os.getpid(), signal.SIGINT)
                    self._after = None


def main() -> None:
    global waiting  # noqa: PLW0603 - as the handler sees it
    world = World(trace=False)
    address = world.deploy(WAT)
    block = world.block.number + 1_000_003
    with_number = world.block.__class__(number=block)
    world.block = with_number
    wrong: list[object] = []
    interrupted = committed = at = 0
    interrupter = Interrupter(sys.argv[2])
    signal.signal(signal.SIGALRM if sys.argv[2] == "alarm" else signal.SIGINT, interrupt)
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        at += 1
        before = number(world, address, "memory")
        receipt = None
        try:
            interrupter.arm(0.000_02 + (at * 7_919 % 1_000) * 1e-6)
            waiting = True
            receipt = world.transact(address, "add", at)
            waiting = False
            interrupter.disarm()
            time.sleep(0)  # if one is on its way
        except Interruption:
            waiting = False
            interrupted += 1
        interrupter.disarm()
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
