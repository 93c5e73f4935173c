"""Interrupt short transactions by bursts of Ctrl-C, from another process: a program, since the signals are its own.

After each operation that was interrupted the world is free, and its state root is that before the operation or that
after it, as a twin world without interruptions has it. Money is neither created nor lost.

Arguments: ``memory`` or ``directory``; ``own`` or ``deep`` thread; how many interruptions; a seed.
It prints a JSON document: how many signals came, how many operations were interrupted and committed all the same.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from storagemod import Address, World
from storagemod.interruption import interruption
from storagemod.wasm import stack
from storagemod.wasm.engine import epoch_clock

BANK = """
(module
  (import "storage" "memory" (memory $s 1))
  (import "ethereum" "getCallValue" (func $value (param i32)))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $count (param $at i32)
    (i64.store $s (local.get $at) (i64.add (i64.load $s (local.get $at)) (i64.const 1))))
  (func (export "main") (call $count (i32.const 0)))
  (func (export "begin") (call $count (i32.const 8)))
  (func (export "spin") (param $turns i32)
    (call $count (i32.const 16))
    (loop $again
      (br_if $again (local.tee $turns (i32.sub (local.get $turns) (i32.const 1))))))
  (func (export "pass") (param $to i32)
    (call $count (i32.const 4096))
    (call $value (i32.const 32))
    (i32.store8 1 (i32.const 19) (local.get $to))
    (if (call $call (i64.const 1000000) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0)) (then unreachable))
    (call $count (i32.const 8192))))
"""
"""Counts calls, and passes on what it is sent to another bank."""

BANKS = tuple(Address(0x10 + number) for number in range(3))
SENDER_SOURCE = """
import os, random, sys, time
pid, seed = int(sys.argv[1]), sys.argv[2]
numbers = random.Random(seed)
while True:
    time.sleep(numbers.choice((0, 0.0003, 0.001, 0.004)) * numbers.random())
    for _ in range(numbers.choice((1, 1, 2, 3, 8))):
        os.kill(pid, 2)
        time.sleep(numbers.choice((0, 0, 0.00005)))
"""
"""Sends bursts until it is ended."""


class Operate:
    """Runs one operation. Only within, a handler raises: this program itself cannot be interrupted anywhere."""

    def __init__(self) -> None:
        self.signals = 0

    def __call__(self, operation: Callable[[], object]) -> bool:
        """Return whether it was interrupted."""
        try:
            self._inside(operation)
        except KeyboardInterrupt:
            return True
        return False

    @staticmethod
    def _inside(operation: Callable[[], object]) -> None:
        operation()

    def handle(self, _number: int, frame: FrameType | None) -> None:
        self.signals += 1
        while frame is not None:
            if frame.f_code is Operate._inside.__code__:
                raise KeyboardInterrupt
            frame = frame.f_back


@contextmanager
def bursts(seed: str) -> Iterator[None]:
    """Send bursts to this process as long as the block runs."""
    sender = subprocess.Popen([sys.executable, "-c", SENDER_SOURCE, str(os.getpid()), seed])
    try:
        yield
    finally:
        sender.kill()
        sender.wait()


class Campaign:
    def __init__(self, directory: Path | None, numbers: random.Random) -> None:
        self.directory = directory
        self.numbers = numbers
        self.world, self.twin = self._opened(), World(trace=False)
        for world in (self.world, self.twin):
            for address in BANKS:
                world.deploy(BANK, address=address, balance=1_000, init="begin")
        self.money = self._money()

    def _opened(self) -> World:
        return World(self.directory, trace=bool(self.numbers.getrandbits(1)), synchronous="normal")

    def _money(self) -> int:
        return sum(account.balance for account in self.world.accounts().values())

    def operation(self) -> Callable[[World], object]:
        numbers = self.numbers
        to, other, kind = numbers.choice(BANKS), numbers.choice(BANKS), numbers.randrange(16)
        value = numbers.randrange(1, 50)

        def move(world: World) -> None:
            world.transact(to, "pass", other[-1], value=value).raise_for_error()

        def block(world: World) -> None:
            with world.snapshot() as snapshot:
                move(world)
                world.transact(other, "spin", 5_000).raise_for_error()
                if kind == 7:
                    snapshot.keep()

        def deploy(world: World) -> None:
            world.deploy(BANK, init="begin", name=f"bank {value}")

        def create(world: World) -> None:
            world.create('(module (func (export "main")))', value=value).raise_for_error()

        operations: dict[int, Callable[[World], object]] = {
            6: block,
            7: block,
            8: block,
            9: deploy,
            10: create,
            11: lambda world: world.load_storage(to, "memory", bytes([value]) * 10_000, offset=20_000),
            12: lambda world: world.fund(0x99, 0, name=f"empty {value}"),
            13: lambda world: world.transact(to, "spin", 2_000_000, gas=2**40),
            14: lambda world: world.call(to, "pass", other[-1], value=value),
            15: lambda world: world.transact(to, "pass", other[-1], value=value, gas=30_000),
        }
        return operations.get(kind, move)

    def turn(self, operate: Operate) -> tuple[bool, bool]:
        """Run an operation; return whether it was interrupted, and whether it changed the state."""
        operation, before = self.operation(), self.twin.state_root
        with self.twin.snapshot() as snapshot:
            operation(self.twin)
            after = self.twin.state_root
            interrupted = operate(lambda: operation(self.world))
            self.check_free()
            root = self.world.state_root
            assert root in ({before, after} if interrupted else {after}), "half of an operation"
            if root == after:
                snapshot.keep()
        assert self._money() == self.money, "money was created or lost"
        return interrupted, root != before

    def check_free(self) -> None:
        assert not self.world._lock._busy.locked(), "a lock stayed taken"
        assert not self.world._state._savepoints, "a snapshot stayed open"
        assert not epoch_clock.running, "something goes on"
        assert interruption.raised is None

    def reopen(self, operate: Operate) -> None:
        operate(self.world.close)
        self.world.close()

        def open_again() -> None:
            self.world = self._opened()

        for _ in range(3):
            if not operate(open_again):
                break
            self.world.close()  # it may have been opened all the same
        else:
            open_again()  # opening takes longer than the time between two bursts
        assert self.world.state_root == self.twin.state_root


def main() -> None:
    kind, thread, count, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    if thread == "deep":
        stack._callers_stack.suffices = False
    operate = Operate()
    signal.signal(signal.SIGINT, operate.handle)
    turns = interrupted = went_through = 0
    with tempfile.TemporaryDirectory() as directory:
        campaign = Campaign(Path(directory) / "world" if kind == "directory" else None, random.Random(seed))  # noqa: S311 - no secret
        with bursts(seed):
            while interrupted < count:
                turns += 1
                was_interrupted, changed = campaign.turn(operate)
                interrupted += was_interrupted
                went_through += was_interrupted and changed
                if campaign.directory is not None and not turns % 50:
                    campaign.reopen(operate)
        assert signal.getsignal(signal.SIGINT) == operate.handle
        campaign.world.close()
    print(json.dumps({"signals": operate.signals, "turns": turns, "interrupted": interrupted, "after": went_through}))


if __name__ == "__main__":
    main()
