"""Compile, keep deadlines and be interrupted in forked children, whatever their parent was doing: a program.

It prints a JSON document: what each process found, by how it came to be.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from storagemod import DeadlineError, Limits, World
from storagemod.events import CallStarted, Event
from storagemod.wasm import engine
from storagemod.wasm.engine import epoch_clock

SPIN = '(module (func (export "spin") (loop (br 0))))'
MANY = "(module {})".format(
    "".join(f'(func (export "f{number}") (result i64) (i64.const {number}))' for number in range(64))
)
"""Functions enough that several threads would compile them."""


def found_here() -> list[bool]:
    """Whether this process can compile, has deadlines that hold, and can be interrupted; twice."""
    found: list[bool] = []
    for number in range(2):
        world = World(limits=Limits(deadline_seconds=0.1))
        many = world.deploy(MANY.replace("f63", f"g{os.getpid()}_{number}"))
        found.append(world.transact(many, "f7").value == 7)
        spin = world.deploy(SPIN)
        found.append(isinstance(world.transact(spin, "spin", gas=2**62).error, DeadlineError))
        world = World(limits=Limits(deadline_seconds=60))
        spin = world.deploy(SPIN)
        sender = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        sender.start()
        try:
            world.transact(spin, "spin", gas=2**62)
            found.append(False)
        except KeyboardInterrupt:
            found.append(True)
        sender.join()
        found.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    return found


def found_in_pool(_number: int) -> list[bool]:
    return found_here()


def in_child(action: Callable[[], object]) -> object:
    """Return what an action returns in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(action()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as pipe:  # noqa: PTH123 - a descriptor
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text or "null")


def asleep() -> None:
    while epoch_clock.awake:
        time.sleep(0.01)


def from_an_observer() -> object:
    """Fork while a transaction runs on this thread, which the child never ends."""
    found: list[object] = []

    def observe(event: Event) -> None:
        if isinstance(event, CallStarted):
            found.append(in_child(found_here))

    world = World(observers=[observe])
    world.transact(world.deploy('(module (func (export "main")))'))
    return found[0]


def from_another_thread() -> object:
    """Fork on a thread while the main one runs a transaction."""
    found: list[object] = []
    world = World(limits=Limits(deadline_seconds=2))
    spin = world.deploy(SPIN)

    def fork() -> None:
        while world._machine.store.current is None:
            time.sleep(0.001)
        found.append(in_child(found_here))

    thread = threading.Thread(target=fork)
    thread.start()
    world.transact(spin, "spin", gas=2**62)
    thread.join()
    return found[0]


def main() -> None:
    engine._IDLE_TICKS_MAX = 3  # to fall asleep soon
    found: dict[str, object] = {"parent": found_here()}
    found["child"] = in_child(found_here)
    asleep()
    found["child of a parent whose clock slept"] = in_child(found_here)
    found["grandchild"] = in_child(lambda: in_child(found_here))

    def child_that_slept() -> object:
        found_here()
        asleep()
        return in_child(found_here)

    found["grandchild of a child whose clock slept"] = in_child(child_that_slept)
    found["child of an observer"] = from_an_observer()
    found["child of another thread"] = from_another_thread()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found["workers of a pool"] = [all(each) for each in pool.map(found_in_pool, range(8), chunksize=1)]
    found["parent again"] = found_here()
    print(json.dumps(found))


if __name__ == "__main__":
    sys.exit(main())
