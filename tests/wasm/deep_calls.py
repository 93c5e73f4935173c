"""Run transactions on stacks of several lengths: a program, since one that went wrong would end the process.

Its argument says what to try; it prints a JSON document.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
from collections.abc import Callable

from storagemod import Address, Receipt, World
from storagemod.errors import TrapError
from storagemod.events import CallStarted
from storagemod.wasm.stack import STACK_BYTES

GAS = 10**14

RECURSION = """
(module
  (func $down (param i64) (result i64) (i64.add (i64.const 1) (call $down (i64.add (local.get 0) (i64.const 1)))))
  (func (export "down") (result i64) (call $down (i64.const 0))))
"""

CALLS_ITSELF = """
(module
  (import "storage" "memory" (memory $s 1))
  (import "contract:self" "down" (func $down (param i64) (result i64)))
  (func (export "down") (param i64) (result i64)
    (i64.store $s (i32.const 0) (local.get 0))
    (if (i64.eqz (local.get 0)) (then (return (i64.const 0))))
    (i64.add (i64.const 1) (call $down (i64.sub (local.get 0) (i64.const 1))))))
"""

COUNTER = """
(module
  (import "storage" "memory" (memory $s 1))
  (func (export "add") (result i64)
    (i64.store $s (i32.const 0) (i64.add (i64.load $s (i32.const 0)) (i64.const 1))) (i64.load $s (i32.const 0))))
"""

THREADS = {"small": 256 << 10, "usual": 8 << 20, "large": STACK_BYTES + (1 << 20)}


def on_each_thread(work: Callable[[], object]) -> dict[str, object]:
    """What a function returns on the main thread, and on threads with stacks of several lengths."""
    found: dict[str, object] = {"main": work()}

    def run(name: str) -> None:
        found[name] = work()

    for name, length in THREADS.items():
        threading.stack_size(length)
        thread = threading.Thread(target=run, args=(name,))
        thread.start()
        thread.join()
    threading.stack_size(0)
    return found


def where_it_runs() -> object:
    """Whether a transaction runs on the thread of its caller, and the limits of the stack that it leaves behind."""
    before = resource.getrlimit(resource.RLIMIT_STACK)
    seen = list[int]()
    world = World(observers=[lambda _: seen.append(threading.get_ident())])
    counter = world.deploy(COUNTER)
    seen.clear()
    assert world.transact(counter, "add").value == 1
    assert len(set(seen)) == 1
    return [seen[0] == threading.get_ident(), resource.getrlimit(resource.RLIMIT_STACK) == before]


def ended(receipt: Receipt) -> list[object]:
    return [receipt.ok, receipt.value if receipt.ok else str(receipt.error)]


def recurse() -> object:
    """Recursion without end inside one instance; the world goes on."""
    world = World(trace=False)
    code, counter = world.deploy(RECURSION), world.deploy(COUNTER)
    found = [ended(world.transact(code, "down", gas=10**12)) for _ in range(2)]
    return [*found, ended(world.transact(counter, "add"))]


def call_deeply() -> object:
    """Calls inside one another, as deep as they may be, and one deeper."""
    world = World(trace=False)
    address = Address(0x77)
    world.deploy(CALLS_ITSELF, address=address, links={"self": address})
    limit = sys.getrecursionlimit()
    deepest = world.limits.call_depth_max - 1
    found = [ended(world.transact(address, "down", depth, gas=GAS)) for depth in (deepest, deepest + 1, 3)]
    return [*found, sys.getrecursionlimit() == limit]


def nest_worlds() -> object:
    """A world whose observer runs another world, whose observer runs a third."""
    threads = list[int]()

    def new_world(inner: Callable[[], object]) -> Callable[[], object]:
        world: World

        def observe(event: object) -> None:
            if isinstance(event, CallStarted) and ready:
                threads.append(threading.get_ident())
                inner()

        ready = list[bool]()
        world = World(observers=[observe])
        counter = world.deploy(COUNTER)
        ready.append(True)
        return lambda: results.append(world.transact(counter, "add").value)

    results = list[object]()
    outermost = new_world(new_world(new_world(lambda: None)))
    outermost()
    outermost()
    return [results, len(set(threads))]


def raise_inside_nested_worlds() -> object:
    """What an observer of an inner world raises comes out of the outer one."""
    broken = list[bool]()

    def fail(_event: object) -> None:
        if broken:
            raise TrapError("raised by an observer", code="unreachable")

    inner = World(observers=[fail])
    counter = inner.deploy(COUNTER)
    outer = World(observers=[lambda _: inner.transact(counter, "add") if broken else None])
    other = outer.deploy(COUNTER)
    broken.append(True)
    try:
        outer.transact(other, "add")
    except TrapError as error:
        raised = str(error)
    broken.clear()
    return [raised, outer.transact(other, "add").value, inner.transact(counter, "add").value]


def with_a_low_limit() -> object:
    """Where the stack of the main thread can never become as long, another thread takes over."""
    resource.setrlimit(resource.RLIMIT_STACK, (8 << 20, 16 << 20))
    return [where_it_runs(), recurse()]


TRIALS: dict[str, Callable[[], object]] = {
    "threads": lambda: on_each_thread(where_it_runs),
    "recursion": lambda: on_each_thread(recurse),
    "calls": lambda: on_each_thread(call_deeply),
    "nested": lambda: on_each_thread(nest_worlds),
    "raising": lambda: on_each_thread(raise_inside_nested_worlds),
    "low limit": with_a_low_limit,
}


if __name__ == "__main__":
    print(json.dumps(TRIALS[sys.argv[1]]()))
