"""Run the first transactions of processes, and of threads, that have few mappings left.

``python -m tests.world.few_mappings TRACKER`` forks a process for each case, and prints a JSON document: for each case
how the process ended, and what became of the transaction. Nothing has run wasm before it forks.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from storagemod import Receipt, StateError, World

from .limited import CODE, filled_mappings, open_world

ROOMS = (0, 1, 2, 3, 4, 6, 8, 12, 24, 40, 120)
PATIENCE_SECONDS = 60

MAPS = """(module
  (import "ethereum" "storageMap" (func $map (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "add")
    (call $map (i32.const 0) (i32.const 0) (i32.const 4096))
    (call $map (i32.const 8192) (i32.const 8192) (i32.const 4096))
    (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))))"""

COUNTS = """(module
  (import "storage" "memory" (memory $s 1))
  (import "contract:next" "add" (func $next (param i32)))
  (func (export "add") (param $depth i32)
    (i32.store $s (i32.const 0) (i32.add (i32.const 1) (i32.load $s (i32.const 0))))
    (if (local.get $depth) (then (call $next (i32.sub (local.get $depth) (i32.const 1)))))))"""


def works(tracker: str) -> tuple[World, Callable[[], Receipt]]:
    world = open_world(tracker)
    return world, lambda: world.transact(0xC0, "work", 2, 2)


def works_warm(tracker: str) -> tuple[World, Callable[[], Receipt]]:
    world, run = works(tracker)
    run()
    return world, run


def works_on_thread(tracker: str) -> tuple[World, Callable[[], Receipt]]:
    world, run = works_warm(tracker)
    pool = ThreadPoolExecutor(1)
    pool.submit(int).result()  # it has started, and has run no wasm
    return world, lambda: pool.submit(run).result()


def compiles(tracker: str) -> tuple[World, Callable[[], Receipt]]:
    world, run = works_warm(tracker)

    def deploy() -> Receipt:
        with world.snapshot():
            world.deploy(CODE.replace("9000", "9008"), address=0xD0, links={"next": 0xC0})
        return run()

    return world, deploy


def maps(tracker: str) -> tuple[World, Callable[[], Receipt]]:
    world = World(tracker=tracker)
    address = world.deploy(MAPS, mapping="copied" if tracker == "portable" else "aliased")
    return world, lambda: world.transact(address, "add")


def direct(tracker: str) -> tuple[World, Callable[[], Receipt]]:
    world = World(tracker=tracker, calls="direct")
    for number in range(6):
        world.deploy(COUNTS, address=0xC0 + number, links={"next": 0xC0 + (number + 1) % 6})
    return world, lambda: world.transact(0xC0, "add", 12)


CASES = {each.__name__: each for each in (works, works_warm, works_on_thread, compiles, maps, direct)}


def ended(world: World, run: Callable[[], Receipt], room: int) -> str:
    """Run it with so many mappings left, and then with all that there are."""
    before = world.state_root
    try:
        with filled_mappings(room):
            receipt = run()
    except StateError as error:
        if world.state_root != before:
            return "something was committed"
        if not run().ok:
            return "the world does not go on"
        return f"refused: {error.message}"
    return "ran" if receipt.ok else f"failed: {receipt.error}"


def main(tracker: str) -> None:
    found = {}
    for name, make in CASES.items():
        for room in ROOMS:
            reading, writing = os.pipe()
            pid = os.fork()
            if not pid:
                signal.alarm(PATIENCE_SECONDS)
                os.write(writing, ended(*make(tracker), room).encode())
                os._exit(0)
            os.close(writing)
            with os.fdopen(reading) as pipe:
                text = pipe.read()
            found[f"{name} {room}"] = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text]
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
