"""Track memories in a process and in forks of it: a program, since a fork of a process of tests would be one too.

It prints a JSON document: for each backend that works here, what each process found.
"""

from __future__ import annotations

import json
import os
import sys

from storagemod import StateError, World
from storagemod.pages import BACKENDS, PAGE_BYTES, LiveRegion, PageBackend, UndoLog, why_unavailable
from tests.pages.memories import ReservedMemory

COUNTER = """
(module
  (import "storage" "memory" (memory $s 1))
  (func (export "add") (i64.store $s (i32.const 0) (i64.add (i64.load $s (i32.const 0)) (i64.const 1))))
  (func (export "get") (result i64) (i64.load $s (i32.const 0))))
"""


def opened(log: UndoLog, backend: PageBackend) -> LiveRegion:
    image = backend.image_maker()()
    image.replace(2, dict.fromkeys((1, 20), b"\x01" * PAGE_BYTES))
    return LiveRegion("region", ReservedMemory(2), image, backend, log, 2)


def pages_found(region: LiveRegion, *numbers: int) -> list[int]:
    for number in numbers:
        region.memory.write(number * PAGE_BYTES, os.urandom(8))  # type: ignore[attr-defined] # ours can be
    return [number for number, *_ in region.collect()]


def in_a_fork(work: object) -> object:
    """What a function gives in a forked process."""
    read, write = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.write(write, json.dumps(work()).encode())  # type: ignore[operator]
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if status == 0 else f"ended with {status}"


def track(backend: PageBackend) -> dict[str, object]:
    region = opened(UndoLog(), backend)
    found: dict[str, object] = {"before": pages_found(region, 1, 5)}

    def in_child() -> list[list[int]]:
        own = UndoLog()
        fresh = opened(own, backend)
        found = [pages_found(fresh, 2, 20), pages_found(fresh), pages_found(fresh, 3, 20)]
        checkpoint = own.newest = len(own)
        found.append(pages_found(fresh, 1))
        own.undo(checkpoint)
        return [*found, pages_found(fresh), list(fresh.memory.read(PAGE_BYTES, 1))]  # type: ignore[attr-defined]

    region.memory.write(7 * PAGE_BYTES, b"written before the fork, asked for after it")  # type: ignore[attr-defined]
    found["in a fork"] = in_a_fork(in_child)
    found["in a fork of a fork"] = in_a_fork(lambda: in_a_fork(in_child))
    found["after"] = pages_found(region, 6)
    return found


def run_worlds(backend: PageBackend) -> dict[str, object]:
    world = World(tracker=backend.name)
    counter = world.deploy(COUNTER)
    world.transact(counter, "add")

    def in_child() -> list[object]:
        try:
            world.transact(counter, "add")
        except StateError as error:
            refused = "this is a fork" in str(error)
        own = World(tracker=backend.name)
        other = own.deploy(COUNTER)
        return [refused, *(own.transact(other, "add").ok for _ in range(3)), own.call(other, "get").value]

    found = {"in a fork": in_a_fork(in_child), "value": world.call(counter, "get").value}
    world.transact(counter, "add")
    return found | {"later": world.call(counter, "get").value}


def main() -> None:
    working = [backend for backend in BACKENDS.values() if why_unavailable(backend) is None]
    print(json.dumps({backend.name: track(backend) | {"worlds": run_worlds(backend)} for backend in working}))


if __name__ == "__main__":
    main()
