"""Rule 9: reaching a limit fails the call or the transaction, and never the process."""

from __future__ import annotations

import threading
import time

import pytest
import wasmtime

from storagemod import DeadlineError, LimitError, Limits, Outcome, OutOfGasError, StateError, TrapError, World
from storagemod.events import Event
from storagemod.scenario.puppet import Burn, Call, Load, Script, StackOverflow, Store
from tests.semantics.puppets import deploy_puppet, integer_at, play, play_ok, script

LOOP = '(module (func (export "spin") (loop (br 0))) (func (export "ok") (result i32) (i32.const 1)))'

ASKS_FOR_EVER = """(module (import "ethereum" "getGasLeft" (func $gas (result i64)))
  (func (export "ask") (loop (drop (call $gas)) (br 0))))"""


def test_an_endless_loop_runs_out_of_gas(world: World) -> None:
    a = world.deploy(LOOP, name="loop")
    receipt = world.transact(a, "spin", gas=1_000_000)
    assert isinstance(receipt.error, OutOfGasError)
    assert str(receipt.error) == "loop at call depth 1: out of gas in spin"
    assert receipt.gas_used == 1_000_000


def test_an_endless_loop_with_endless_gas_is_stopped_at_the_deadline() -> None:
    world = World(limits=Limits(deadline_seconds=0.2))
    a = world.deploy(LOOP, name="loop")
    started = time.monotonic()
    receipt = world.transact(a, "spin", gas=2**62)
    assert time.monotonic() - started < 5
    assert isinstance(receipt.error, DeadlineError)
    assert "loop at call depth 1: stopped at the deadline" in str(receipt.error)
    assert world.transact(a, "ok").value == 1


def test_calls_of_the_host_look_at_the_clock_even_if_epochs_do_not_advance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that advances them may starve on a busy machine."""
    monkeypatch.setattr(wasmtime.Engine, "increment_epoch", lambda _: None)
    world = World(limits=Limits(deadline_seconds=0.2))
    a = world.deploy(ASKS_FOR_EVER, name="asks")
    receipt = world.transact(a, "ask", gas=100_000_000)
    assert isinstance(receipt.error, DeadlineError)
    assert "asks at call depth 1: stopped at the deadline" in str(receipt.error)


def test_no_caller_can_catch_the_deadline(any_option: str) -> None:
    """Whether it is reached depends on the machine, so a caller that went on would not be deterministic (rule 8)."""
    world = World(limits=Limits(deadline_seconds=0.2))
    a, b = world.deploy(LOOP.replace('"spin"', '"main"'), name="loop"), deploy_puppet(world, any_option)
    receipt = play(world, b, Store(0, 1), Call(a), gas=2**62)
    assert isinstance(receipt.error, DeadlineError)
    assert receipt.error.depth == 2
    assert integer_at(world, b, 0) == 0


def test_a_transaction_that_is_stopped_on_another_thread_is_undone_and_the_world_goes_on() -> None:
    world = World(limits=Limits(deadline_seconds=1))
    a = world.deploy(LOOP, name="loop")
    receipts = []
    thread = threading.Thread(target=lambda: receipts.append(world.transact(a, "spin", gas=2**62)))
    store = world._machine.store
    thread.start()
    while thread.is_alive() and store.current is None:
        time.sleep(0.01)
    with pytest.raises(StateError, match="a transaction is open on this world already"):
        world.transact(a, "ok")
    thread.join(10)
    assert isinstance(receipts[0].error, DeadlineError)
    assert world.transact(a, "ok").value == 1


def test_an_endless_recursion_exhausts_the_stack_or_the_gas(world: World, any_option: str) -> None:
    a = deploy_puppet(world, any_option, name="deep")
    receipt = play(world, a, StackOverflow())
    assert isinstance(receipt.error, LimitError)
    assert receipt.error.contract == "deep"
    assert play_ok(world, a, Load(0)) == [0]


def test_a_callee_cannot_use_more_gas_than_it_was_given(world: World, any_option: str) -> None:
    a = deploy_puppet(world, any_option)
    burn = script(Burn(10_000_000))
    call, _ = play_ok(world, a, Call(a, burn, gas=100_000), Load(0), gas=5_000_000)
    assert call.outcome is Outcome.FAILED
    receipt = play(world, a, Call(a, burn, gas=100_000), gas=5_000_000)
    assert 100_000 < receipt.gas_used < 200_000


def test_a_caller_keeps_a_64th_of_its_gas(world: World, any_option: str) -> None:
    """EIP-150. What a callee is given is bounded by what is left, whatever the caller asks for."""
    a = deploy_puppet(world, any_option)
    receipt = play(world, a, Call(a, script(Burn(2**32 - 1))), gas=6_400_000)
    assert receipt.ok
    assert receipt.trace is not None
    given = receipt.trace.calls[1].started.gas
    assert 6_200_000 < given <= 6_400_000 * 63 // 64 + 1
    assert given < receipt.gas_used < 6_400_000


def test_gas_is_counted_alike_each_time(world: World, any_option: str) -> None:
    a = deploy_puppet(world, any_option)
    used = {
        world.call(a, data=bytes(script(Store(0, 1), Call(a, script(Load(0), Burn(100)))))).gas_used for _ in range(5)
    }
    assert len(used) == 1


def test_the_number_of_calls_is_bounded(any_option: str) -> None:
    world = World(limits=Limits(calls_max=10))
    a = deploy_puppet(world, any_option)
    receipt = play(world, a, *[Call(a, script())] * 12)
    assert receipt.ok
    assert receipt.trace is not None
    ended = [call.ended for call in receipt.trace.calls]
    assert [end.outcome for end in ended if end is not None] == [Outcome.OK] * 10 + [Outcome.FAILED] * 3
    assert "more than 10 calls" in str(ended[-1] and ended[-1].error)


def test_the_number_of_memories_is_bounded(option: str) -> None:
    world = World(limits=Limits(memories_per_transaction_max=5))
    a = deploy_puppet(world, option)
    receipt = play(world, a, *[Call(a, script(), gas=100_000)] * 8)
    assert receipt.ok
    assert receipt.trace is not None
    assert {call.ended.outcome for call in receipt.trace.calls[-3:] if call.ended} == {Outcome.FAILED}


def test_call_data_and_output_are_bounded() -> None:
    world = World(limits=Limits(data_bytes_max=64))
    a = deploy_puppet(world, "single")
    assert isinstance(world.transact(a, data=bytes(65)).error, LimitError)
    assert isinstance(play(world, a, *[Load(0)] * 9).error, LimitError)
    assert play(world, a, *[Load(0)] * 8).ok


def test_a_trace_is_cut_where_it_becomes_too_long() -> None:
    world = World(limits=Limits(trace_events_max=4))
    a = deploy_puppet(world, "single")
    receipt = play(world, a, *[Call(a, script(Store(0, 1)))] * 5)
    assert receipt.ok
    assert receipt.trace is not None
    assert receipt.trace.dropped > 0
    assert len(receipt.trace.calls) <= 4


def test_a_memory_of_4_gib_is_refused_or_not_given(world: World) -> None:
    a = world.deploy(
        """(module (import "storage" "memory" (memory $s 1)) (memory $m 1)
          (func (export "storage") (result i32) (memory.grow $s (i32.const 65535)))
          (func (export "working") (result i32) (memory.grow $m (i32.const 65535))))"""
    )
    assert world.transact(a, "storage").value == -1
    assert world.transact(a, "working").value == -1


def test_an_access_outside_storage_says_where(world: World) -> None:
    a = world.deploy(
        """(module (import "storage" "memory" (memory $s 1))
          (func $far (export "far") (result i64) (i64.load $s (i32.const 65530))))""",
        name="reader",
    )
    receipt = world.transact(a, "far")
    assert isinstance(receipt.error, TrapError)
    assert str(receipt.error) == "reader at call depth 1: out of bounds memory access in far"


def test_one_world_runs_one_transaction_at_a_time() -> None:
    problems = []

    def nested(_event: Event) -> None:
        with pytest.raises(StateError, match="open on this world already"):
            world.call(a, "ok")
        problems.append(other.transact(b, "ok").value)  # another world is free

    world, other = World(observers=[nested]), World()
    a, b = world.deploy(LOOP), other.deploy(LOOP)
    assert world.transact(a, "ok").value == 1
    assert problems == [1, 1]


def test_what_an_observer_raises_ends_the_transaction_and_is_raised() -> None:
    class Mine(Exception):
        pass

    armed = []

    def observer(event: Event) -> None:
        if armed and type(event).__name__ == armed[0]:
            raise Mine

    world = World(observers=[observer])
    a = deploy_puppet(world, "single")
    root = world.state_root
    for name in ("CallStarted", "StorageWritten", "CallEnded"):
        armed[:] = [name]
        with pytest.raises(Mine):
            play(world, a, Store(0, 1), Call(a, script(Store(8, 1))))
    armed.clear()
    assert world.state_root == root
    assert play_ok(world, a, Load(0)) == [0]


def test_a_thousand_transactions_leave_nothing_open(world: World) -> None:
    a = deploy_puppet(world, "single")
    script_bytes = bytes(Script(Store(0, 1), Call(a, script(Load(0)))))
    threads = threading.active_count()
    for _ in range(1_000):
        assert world.transact(a, data=script_bytes).ok
    assert threading.active_count() <= threads + 2
