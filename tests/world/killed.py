"""Kills processes that run transactions on a world, and looks at what they left. ``python -m tests.world.killed ...``

One warm process forks all the others, so that many kills take seconds. It runs no wasm itself: what an engine has
running must not go through a fork.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from storagemod import Address, World
from storagemod.state import SqlitePageStore
from storagemod.world import DEFAULT_SENDER

COUNTER = Address(0xC)
PAGES = 40

CONTRACT = f"""
(module
  (import "storage" "memory" (memory $s 1 3))
  (func (export "count") (result i64)
    (local $n i64)
    (local.set $n (i64.add (i64.load $s (i32.const 8)) (i64.const 1)))
    (if (i32.eq (memory.size $s) (i32.const 1)) (then (drop (memory.grow $s (i32.const 2)))))
    (i64.store $s (i32.const 8) (local.get $n))
    (i64.store $s
      (i32.mul (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const {PAGES}))) (i32.const 4096))
      (local.get $n))
    (local.get $n)))
"""
"""Counts at byte 8, and leaves each number at the start of a page, one page after another."""

NUMBER_BYTES = 4


def main(directory: str, tracker: str, kills: int, seed: int) -> None:
    """Print a line of JSON for each kill: what had been acknowledged, and what was found."""
    chosen = random.Random(seed)  # noqa: S311 - not a secret
    deploy(directory, tracker)
    found = 0
    for _ in range(kills):
        before = found
        acknowledged = kill_one(directory, tracker, chosen) or before
        found = look(Path(directory))
        print(json.dumps({"before": before, "acknowledged": acknowledged, "found": found}), flush=True)


def deploy(directory: str, tracker: str) -> None:
    pid = os.fork()
    if not pid:
        with World(directory, tracker=tracker) as world:
            world.deploy(CONTRACT, address=COUNTER)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0


def kill_one(directory: str, tracker: str, chosen: random.Random) -> int:
    """Let a process count until it is killed; the last number that it acknowledged, 0 if none."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        count_without_end(directory, tracker, writing)
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        acknowledged = b""
        awaited = chosen.randrange(0, 30)
        while len(acknowledged) < awaited * NUMBER_BYTES and (more := pipe.read(NUMBER_BYTES)):
            acknowledged += more
        time.sleep(chosen.uniform(0, 0.003))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), "it ended by itself"
        acknowledged += pipe.read()
    return int.from_bytes(acknowledged[-NUMBER_BYTES:], "little")


def count_without_end(directory: str, tracker: str, acknowledge: int) -> NoReturn:
    try:
        with World(directory, tracker=tracker, trace=False) as world:
            while True:
                number = world.transact(COUNTER, "count").raise_for_error().value
                assert isinstance(number, int)
                os.write(acknowledge, number.to_bytes(NUMBER_BYTES, "little"))
    finally:  # an error: the other side sees that nobody had to kill it
        os._exit(1)


def look(directory: Path) -> int:
    """The number that was reached, after it was seen that everything else fits it."""
    with closing(SqlitePageStore(directory)) as store:
        image = store.image(COUNTER, "memory")
        number = word(image.page(0), 8)
        latest = {each % PAGES: each for each in range(max(1, number - PAGES + 1), number + 1)}
        assert {at: word(image.page(at), 0) for at in range(PAGES)} == {at: latest.get(at, 0) for at in range(PAGES)}
        assert image.wasm_pages == (3 if number else 1)
        assert store.accounts[DEFAULT_SENDER].nonce == 1 + number  # it deployed the contract, too
        assert not list(store.verify())
    return number


def word(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
