"""What the recorder keeps of transactions that really run, under every linking option."""

from __future__ import annotations

import pytest

from storagemod import Address, Limits, Outcome, Receipt, TrapError, World
from storagemod.errors import ReentryError, RevertError
from storagemod.events import LogEmitted, StorageGrown, StorageModuleInstantiated, StorageWritten
from storagemod.scenario.fixtures import fixture
from storagemod.scenario.puppet import Call, EmitLog, Grow, Load, Operation, Revert, Script, Store, Trap
from storagemod.trace import CallRecord, Trace, model
from storagemod.types import CallKind
from tests.report.traces import change

A, B = Address(0xA), Address(0xB)


@pytest.fixture
def world(option: str) -> World:
    return world_of_puppets(option)


def world_of_puppets(option: str, limits: Limits | None = None) -> World:
    world = World(limits=limits)
    for address, name in ((A, "a"), (B, "b")):
        world.deploy(fixture("puppet/puppet", option), address=address, name=name)
    return world


def play(world: World, *operations: Operation) -> Receipt:
    return world.transact(A, data=bytes(Script(*operations)))


def traced(receipt: Receipt) -> Trace:
    assert receipt.trace is not None
    return receipt.trace


def told(record: CallRecord) -> list[object]:
    """The steps of a call, each in short; the opening of storage modules is left out."""
    shown: list[object] = []
    for step in record.steps:
        if isinstance(step, CallRecord):
            shown.append(("call", step.started.address))
        elif isinstance(step, StorageWritten):
            shown.append(("write", *((each.offset, each.old[0], each.new[0]) for each in step.changes)))
        elif isinstance(step, StorageGrown):
            shown.append(("grow", step.pages_old, step.pages_new))
        elif isinstance(step, LogEmitted):
            shown.append(("log", step.log.data))
    return shown


def test_logs_calls_and_changes_stand_in_the_order_in_which_they_happened(world: World) -> None:
    receipt = play(
        world,
        Store(0, 1),
        Call(B, Script(Store(0, 5), EmitLog(b"inner"))),
        EmitLog(b"between"),
        Store(0, 2),
        Store(8, 3),
        Call(B, Script(Load(0))),
        Store(0, 4),
        EmitLog(b"last"),
    )
    trace = traced(receipt)

    # Storage is compared at the borders of calls, so what a call wrote since the last one is told there; a log at once.
    assert told(trace.root) == [
        ("write", (0, 0, 1)),
        ("call", B),
        ("log", b"between"),
        ("write", (0, 1, 2)),
        ("call", B),
        ("log", b"last"),
        ("write", (0, 2, 4)),
    ]
    assert told(trace.root.calls[0]) == [("log", b"inner"), ("write", (0, 0, 5))]
    assert told(trace.root.calls[1]) == []
    assert [log.data for log in receipt.logs] == [b"inner", b"between", b"last"]


def test_changes_of_the_calls_that_stay_add_up_to_those_of_the_receipt(world: World) -> None:
    receipt = play(world, Store(0, 1), Call(A, Script(Store(0, 2))), Call(A, Script(Store(0, 3), Revert())))
    outer, kept, undone = traced(receipt)

    assert (outer.changes, kept.changes, undone.changes) == (
        (change(0, 0, 1),),
        (change(0, 1, 2),),
        (change(0, 2, 3),),
    )
    assert [call.undone for call in (outer, kept, undone)] == [False, False, True]
    assert receipt.changes == {A: (change(0, 0, 2),)}


def test_call_inside_a_reverted_call_is_undone_though_it_ended_well(world: World) -> None:
    trace = traced(play(world, Call(B, Script(Call(A, Script(Store(0, 9))), Revert()))))
    outer, reverted, inner = trace

    assert inner.ended is not None
    assert inner.ended.outcome is Outcome.OK
    assert reverted.ended is not None
    assert (reverted.ended.outcome, type(reverted.ended.error)) == (Outcome.REVERTED, RevertError)
    assert [call.undone for call in (outer, reverted, inner)] == [False, True, True]


def test_failing_call_has_its_error_with_contract_and_depth_and_uses_up_its_gas(world: World) -> None:
    trace = traced(play(world, Call(B, Script(Store(0, 1), Trap()), gas=50_000)))
    _, failed = trace

    assert failed.ended is not None
    error = failed.ended.error
    assert isinstance(error, TrapError)
    assert (error.code, error.contract, error.depth) == ("unreachable", "b", 2)
    assert (failed.started.gas, failed.ended.gas_used) == (50_000, 50_000)
    assert failed.changes == (change(0, 0, 1),)
    assert failed.undone


def test_reentry_counts_the_calls_of_the_contract_that_are_running_already(world: World) -> None:
    deepest = Call(A, Script(Load(0)))
    trace = traced(play(world, Call(B, Script(Call(A, Script(Call(B, Script(deepest))))), gas=10**7), Call(B)))

    assert [call.started.address for call in trace] == [A, B, A, B, A, B]
    assert [call.started.reentry for call in trace] == [0, 0, 1, 1, 2, 0]
    assert [call.started.depth for call in trace] == [1, 2, 3, 4, 5, 2]


def test_refused_reentry_is_a_call_of_its_own_that_used_no_gas(option: str) -> None:
    world = World()
    world.deploy(fixture("puppet/puppet", option), address=A, name="a", policy="deny")
    trace = traced(play(world, Call(A, Script(Store(0, 1)))))
    _, refused = trace

    assert refused.ended is not None
    assert isinstance(refused.ended.error, ReentryError)
    assert (refused.started.reentry, refused.ended.gas_used, refused.steps) == (1, 0, [])


def test_growth_stands_before_what_was_written_in_the_new_pages(world: World) -> None:
    receipt = play(world, Grow(2), Store(65_536, 7))
    trace = traced(receipt)

    assert told(trace.root) == [("grow", 1, 3), ("write", (65_536, 0, 7))]
    assert world.storage(A)["memory"].pages == 3


def test_growth_of_a_reverted_call_is_told_there_and_again_where_a_later_call_grows_on_top_of_it(world: World) -> None:
    trace = traced(play(world, Call(A, Script(Grow(3), Revert())), Grow(1)))
    outer, reverted = trace

    assert told(reverted) == [("grow", 1, 4)]
    assert reverted.undone
    # The length went back to 1, but a wasm memory cannot shrink, so the next growth takes those pages with it.
    assert told(outer) == [("call", A), ("grow", 1, 5)]


def test_delegate_call_runs_the_code_of_another_on_the_storage_of_its_caller(world: World) -> None:
    receipt = play(world, Call(B, Script(Store(0, 5), EmitLog(b"x")), kind=CallKind.DELEGATE))
    outer, delegate = traced(receipt)
    started = delegate.started

    assert (started.kind, started.address, started.code_address) == (CallKind.DELEGATE, A, B)
    assert started.caller == outer.started.caller
    assert [step.address for step in delegate.steps if isinstance(step, StorageWritten)] == [A]
    assert delegate.changes == (change(0, 0, 5),)
    assert receipt.logs[0].address == A


def test_static_call_and_the_calls_inside_it_are_marked(world: World) -> None:
    trace = traced(play(world, Call(B, Script(Call(A, Script(Load(0)))), kind=CallKind.STATIC), Call(B)))

    assert [call.started.static for call in trace] == [False, True, True, False]
    assert [call.started.kind for call in trace][1:3] == [CallKind.STATIC, CallKind.CALL]


def test_storage_module_of_a_contract_is_opened_once_by_the_call_that_needs_it_first(world: World) -> None:
    trace = traced(play(world, Call(B, Script(Call(A, Script(Load(0))))), Call(B)))
    opened = [
        (record.started.call_id, step.address)
        for record in trace
        for step in record.steps
        if isinstance(step, StorageModuleInstantiated)
    ]

    assert opened == [(0, A), (1, B)]


def test_trace_that_reached_its_limit_does_not_change_what_the_transaction_does(option: str) -> None:
    script = (Store(0, 1), *(Call(B, Script(Store(0, number), EmitLog(b"x"))) for number in range(1, 11)), Load(0))
    whole = play(world_of_puppets(option), *script)
    short = play(world_of_puppets(option, Limits(trace_events_max=7)), *script)

    assert traced(whole).dropped == 0
    assert (
        sum(len(record.steps) + 1 for record in traced(whole)) - len(traced(whole).root.calls)
        == 7 + traced(short).dropped
    )
    assert all(record.ended is not None for record in traced(short))
    assert (short.outcome, short.output, short.gas_used) == (whole.outcome, whole.output, whole.gas_used)
    assert (short.logs, short.changes) == (whole.logs, whole.changes)


def test_trace_out_of_bytes_does_not_change_what_the_transaction_does(option: str) -> None:
    script = (Store(0, 1), *(Call(B, Script(Store(0, number), EmitLog(b"x"))) for number in range(1, 11)), Load(0))
    whole = play(world_of_puppets(option), *script)
    short = play(world_of_puppets(option, Limits(trace_bytes_max=40_000)), *script)

    assert traced(whole).dropped == 0
    assert traced(short).dropped > 0
    assert traced(short).raw_events[0] == traced(whole).raw_events[0]
    assert all(record.ended is not None for record in traced(short))
    assert short == whole


def test_trace_that_cannot_be_decoded_does_not_change_what_the_transaction_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding, and looking for hazards, can take any time and memory; so neither happens while a call runs."""

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    for name in ("decode", "find_hazards"):
        monkeypatch.setattr(model, name, fail)
    receipt = play(world, Store(0, 1), Call(B, Script(Call(A, Script(Store(0, 2))))), Load(0))

    assert receipt.ok
    assert receipt.changes == {A: (change(0, 0, 2),)}
    for look in ("calls", "hazards"):
        with pytest.raises(MemoryError):
            getattr(traced(receipt), look)


def test_storage_that_is_filled_whole_is_one_change() -> None:
    """16 MiB: what joins a run page by page, copying it each time, does not come to an end here."""
    world = World()
    code = """(module (import "storage" "memory" (memory 256))
        (func (export "fill") (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x1000000))))"""
    world.deploy(code, address=1)
    receipt = world.transact(1, "fill", gas=10**12)

    (run,) = receipt.changes[Address(1)]
    assert (run.offset, run.old, run.new) == (0, bytes(1 << 24), b"\1" * (1 << 24))
    assert traced(receipt).root.changes == (run,)


@pytest.mark.storagemod(strict=False)
def test_top_level_call_is_always_in_the_trace(option: str) -> None:
    trace = traced(play(world_of_puppets(option, Limits(trace_events_max=1)), Store(0, 1), Trap()))

    assert len(trace.calls) == 1
    assert trace.root.ended is not None
    assert isinstance(trace.root.ended.error, TrapError)
    assert trace.dropped == 2


def test_typed_call_is_traced_with_its_arguments_and_results(world: World, option: str) -> None:
    world.deploy(fixture("pingpong/ping", option), address=1, name="ping", links={"pong": 2})
    world.deploy(fixture("pingpong/pong", option), address=2, name="pong", links={"ping": 1})
    trace = traced(world.transact(1, "ping", 2))

    shown = [(trace.label(call.started.address), call.started.method, call.started.args) for call in trace]
    assert shown == [("ping", "ping", (2,)), ("pong", "pong", (1,)), ("ping", "ping", (0,))]
    assert [call.ended.values for call in trace if call.ended is not None] == [(3,), (2,), (1,)]


@pytest.mark.storagemod(strict=False)
def test_transaction_that_ends_at_its_deadline_has_calls_that_did_not_end() -> None:
    world = World(limits=Limits(deadline_seconds=0.05))
    world.deploy('(module (func (export "f") (loop (br 0))))', address=1, name="endless")
    trace = traced(world.transact(1, "f", gas=2**62))

    assert trace.root.ended is None
    assert trace.root.undone


def test_world_that_is_told_not_to_trace_gives_receipts_without_a_trace() -> None:
    world = World(trace=False)
    world.deploy('(module (func (export "f")))', address=1)

    assert world.transact(1, "f").trace is None
