"""A world runs one transaction at a time, in one process, until it is closed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from storagemod import World
from storagemod.errors import StateError
from storagemod.events import CallStarted, Event, PagesTouched
from storagemod.pages import BACKENDS, why_unavailable

COUNTER = """
(module
  (import "storage" "memory" (memory $s 1))
  (func (export "increment") (param $page i32)
    (local $at i32)
    (local.set $at (i32.mul (local.get $page) (i32.const 4096)))
    (i64.store $s (local.get $at) (i64.add (i64.load $s (local.get $at)) (i64.const 1))))
  (func (export "read") (param $page i32) (result i64)
    (i64.load $s (i32.mul (local.get $page) (i32.const 4096)))))
"""


@pytest.mark.parametrize("operation", ["transact", "call", "fund", "load_storage", "snapshot", "close"])
def test_whatever_needs_the_world_is_refused_while_a_transaction_runs(operation: str) -> None:
    """From the transaction's own observers as well as from another thread."""
    refused: list[str] = []

    def observe(event: Event) -> None:
        if isinstance(event, CallStarted):
            for run in (attempt, lambda: in_a_thread(attempt)):
                run()

    def attempt() -> None:
        operations: dict[str, Callable[[], object]] = {
            "transact": lambda: world.transact(contract, "increment", 0),
            "call": lambda: world.call(contract, "increment", 0),
            "fund": lambda: world.fund(1, 5),
            "load_storage": lambda: world.load_storage(contract, "memory", b"x"),
            "snapshot": lambda: world.snapshot().__enter__(),
            "close": world.close,
        }
        try:
            operations[operation]()
        except StateError as error:
            refused.append(str(error))

    world = World(observers=[observe])
    contract = world.deploy(COUNTER)
    assert world.transact(contract, "increment", 0).ok
    assert len(refused) == 2
    assert all("a transaction is open on this world" in message for message in refused)
    assert world.storage(contract)["memory"].read_int(0) == 1


def in_a_thread(function: Callable[[], None]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_threads_that_take_turns_share_a_world() -> None:
    world = World(trace=False)
    contract = world.deploy(COUNTER)
    turn = threading.Lock()

    def work() -> None:
        for _ in range(20):
            with turn:
                world.transact(contract, "increment", 0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.storage(contract)["memory"].read_int(0) == 80


def test_threads_with_a_world_each_do_not_disturb_one_another(tracker: str) -> None:
    results: list[int] = []

    def work() -> None:
        world = World(trace=False, tracker=tracker)
        contract = world.deploy(COUNTER)
        for _ in range(30):
            world.transact(contract, "increment", 0).raise_for_error()
        results.append(world.storage(contract)["memory"].read_int(0))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [30] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_cannot_use_its_parents_world_but_one_of_its_own(tracker: str) -> None:
    world = World(tracker=tracker)
    contract = world.deploy(COUNTER)
    world.transact(contract, "increment", 0)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            world.transact(contract, "increment", 0)
        except StateError as error:
            own = World(tracker=tracker)
            mine = own.deploy(COUNTER)
            own.transact(mine, "increment", 0).raise_for_error()
            if f"belongs to process {os.getppid()}" in str(error) and own.storage(mine)["memory"].read_int(0) == 1:
                status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert world.storage(contract)["memory"].read_int(0) == 1


def test_a_closed_world_says_so() -> None:
    with World() as world:
        contract = world.deploy(COUNTER)
    world.close()  # once more does no harm
    with pytest.raises(StateError, match="the world is closed"):
        world.transact(contract, "increment", 0)


@pytest.mark.skipif(why_unavailable(BACKENDS["userfaultfd"]) is not None, reason="no tracker here knows of reads")
def test_a_trace_can_tell_which_pages_each_call_touched_first() -> None:
    world = World(trace="pages", tracker="userfaultfd")
    contract = world.deploy(COUNTER)
    world.load_storage(contract, "memory", bytes([1]) * 65_536)
    for method in ("read", "increment"):
        receipt = world.transact(contract, method, 3)
        assert receipt.trace is not None
        touched = [step for step in receipt.trace.root.steps if isinstance(step, PagesTouched)]
        assert [(step.region, step.runs) for step in touched] == [("memory", ((3, 1),))]


def test_traces_do_not_tell_touched_pages_unless_asked() -> None:
    world = World()
    receipt = world.transact(world.deploy(COUNTER), "read", 0)
    assert receipt.trace is not None
    assert not any(isinstance(step, PagesTouched) for step in receipt.trace.root.steps)
