"""Ctrl-C at any instant leaves a world in one committed state, free, and fit for the next transaction."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from storagemod import Address, World
from storagemod.wasm import stack
from tests.fuzz.test_fuzz import if_asked
from tests.pages.programs import output_of
from tests.world.instants import check_free, run

COUNTER = """
(module
  (import "storage" "memory" (memory $s 1))
  (func $add (export "add") (param $page i32)
    (local $at i32)
    (local.set $at (i32.mul (local.get $page) (i32.const 4096)))
    (i64.store $s (local.get $at) (i64.add (i64.load $s (local.get $at)) (i64.const 1))))
  (func (export "begin") (call $add (i32.const 3)))
  (func (export "read") (param $page i32) (result i64)
    (i64.load $s (i32.mul (local.get $page) (i32.const 4096)))))
"""
A, B = Address(0xA), Address(0xB)

Operation: TypeAlias = Callable[[World], object]


def undone_block(world: World) -> None:
    with world.snapshot():
        world.transact(A, "add", 0, value=1)


def kept_block(world: World) -> None:
    with world.snapshot() as snapshot:
        world.transact(A, "add", 0, value=1)
        snapshot.keep()


OPERATIONS: dict[str, Operation] = {
    "transact": lambda world: world.transact(A, "add", 0, value=1),
    "call": lambda world: world.call(A, "add", 0),
    "deploy": lambda world: world.deploy(COUNTER, address=B, init="begin", balance=5),
    "create": lambda world: world.create("(module)", value=3),
    "fund": lambda world: world.fund(B, 7),
    "load_storage": lambda world: world.load_storage(A, "memory", b"\1" * 9_000),
    "snapshot": undone_block,
    "kept snapshot": kept_block,
    "checkpoint": lambda world: world.checkpoint(),
}


@pytest.fixture(params=["memory", "directory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / "world" if request.param == "directory" else None, synchronous="normal") as world:
        world.deploy(COUNTER, address=A)
        world.transact(A, "add", 1)
        yield world


def roots_around(world: World, operation: Operation) -> set[bytes]:
    """The state roots before and after an operation, which is taken back."""
    if operation is OPERATIONS["checkpoint"]:  # it is refused in a snapshot
        return {world.state_root}
    before = world.state_root
    with world.snapshot():
        operation(world)
        return {before, world.state_root}


@pytest.mark.storagemod(strict=False)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_interruption_at_any_instant_leaves_the_state_before_or_after(opened: World, name: str) -> None:
    """Each instant at which Python may run a handler where sections begin and end, and pairs of them."""
    check_instants(opened, name, pairs=10)


def test_so_it_does_when_another_thread_runs_the_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack._callers_stack, "suffices", False)
    with World() as world:
        world.deploy(COUNTER, address=A)
        for name in ("transact", "snapshot"):
            check_instants(world, name, pairs=10)


def check_instants(world: World, name: str, *, pairs: int) -> None:
    operation = OPERATIONS[name]
    before = world.state_root
    roots = roots_around(world, operation)
    _, count = run(lambda: operation(world), ()) if name == "checkpoint" else run(lambda: undone(world, operation), ())
    numbers = random.Random(name)  # noqa: S311 - no secret
    for at in [(number,) for number in range(count)] + [numbers.sample(range(count), 2) for _ in range(pairs)]:
        block = world.snapshot()
        if name != "checkpoint":
            block.begin()
        interrupted, reached = run(lambda: operation(world), at)
        assert interrupted == (min(at) < reached), at
        assert world.state_root in (roots if interrupted else roots - {before} or roots), at
        if name != "checkpoint":
            block.end()
        check_free(world)
        assert world.state_root == before
        assert world.call(A, "read", 1).ok


def undone(world: World, operation: Operation) -> None:
    with world.snapshot():
        operation(world)


def test_a_world_whose_closing_is_interrupted_is_closed_or_open_and_loses_nothing(tmp_path: Path) -> None:
    for number in itertools.count():
        world = World(tmp_path, synchronous="normal")
        if number == 0:
            world.deploy(COUNTER, address=A)
        world.transact(A, "add", 0).raise_for_error()
        interrupted, reached = run(world.close, (number,))
        assert interrupted == (number < reached)
        check_free(world)
        world.close()
        with World(tmp_path) as again:
            assert again.storage(A)["memory"].read_int(0) == number + 1
        if not interrupted:
            break


def test_what_any_handler_raises_stops_a_transaction_and_comes_out_of_it() -> None:
    """Real-time signals as well. One that raises nothing changes nothing."""
    world = World()
    spin = world.deploy('(module (func (export "spin") (loop (br 0))))')
    numbers = [signal.SIGALRM, signal.SIGTERM, *([signal.SIGRTMIN + 3] if hasattr(signal, "SIGRTMIN") else [])]
    for number in numbers:
        told: list[int] = []

        def tell(number: int, _: object, told: list[int] = told) -> None:
            told.append(number)
            if len(told) == 2:
                raise TimeoutError(f"signal {number}")

        handler = signal.signal(number, tell)
        senders = [threading.Timer(delay, os.kill, (os.getpid(), number)) for delay in (0.03, 0.1)]
        try:
            for sender in senders:
                sender.start()
            with pytest.raises(TimeoutError, match=f"signal {number:d}"):
                world.transact(spin, "spin", gas=2**62)
        finally:
            for sender in senders:
                sender.join()
            assert signal.signal(number, handler) is tell
        assert told == [number, number]
        check_free(world)


def test_a_handler_may_use_other_worlds_and_set_other_handlers() -> None:
    world, other = World(), World()
    spin = world.deploy('(module (func (export "spin") (loop (br 0))))')
    other.deploy(COUNTER, address=A)
    values: list[object] = []

    def use(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        values.append(other.transact(A, "read", 0).value)
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, use)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(TimeoutError):
            world.transact(spin, "spin", gas=2**62)
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGALRM, before)
    assert values == [0]
    check_free(world)
    check_free(other)


KINDS = [("memory", "own"), ("memory", "deep"), ("directory", "own"), ("directory", "deep")]


def campaign(program: str, *arguments: object) -> dict[str, int]:
    found: dict[str, int] = json.loads(output_of(program, *map(str, arguments), seconds=1_200))
    return found


@pytest.mark.parametrize(("store", "thread"), KINDS)
def test_bursts_of_interruptions_leave_one_committed_state_and_no_money_is_made(store: str, thread: str) -> None:
    found = campaign("tests.world.interrupt_campaign", store, thread, 150, 1)
    assert found["interrupted"] == 150
    assert found["signals"] > 150


@pytest.mark.fuzz
@if_asked
@pytest.mark.parametrize(("store", "thread"), KINDS)
def test_ten_thousand_interruptions_in_bursts(store: str, thread: str) -> None:
    assert campaign("tests.world.interrupt_campaign", store, thread, 10_000, random.getrandbits(32))
