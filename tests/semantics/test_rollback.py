"""Rules 4 and 5: a call that fails leaves nothing behind, and what it grew is given back."""

from __future__ import annotations

import pytest

from storagemod import Address, CallKind, LimitError, Limits, Outcome, TrapError, World
from storagemod.scenario.contents import contents
from storagemod.scenario.puppet import (
    Burn,
    Call,
    CopyIn,
    EmitLog,
    Grow,
    Load,
    Operation,
    OutOfBounds,
    Revert,
    Size,
    StackOverflow,
    Store,
    Trap,
)
from tests.semantics.puppets import BYTES, deploy_puppet, integer_at, play, play_ok, results, script

FAILURES: dict[str, Operation] = {
    "trap": Trap(),
    "revert": Revert(),
    "stack": StackOverflow(),
    "bounds": OutOfBounds(),
    "gas": Burn(2**32 - 1),
    "storage bounds": Load(2**31),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_call_leaves_nothing_behind_and_its_caller_goes_on(
    world: World, any_option: str, failure: str
) -> None:
    a = deploy_puppet(world, any_option, balance=10)
    b = deploy_puppet(world, any_option)
    inner = script(
        Store(0, 2), Grow(1), Store(65_528, 3), EmitLog(b"gone"), Call(Address(0x99), value=4), FAILURES[failure]
    )
    outer = script(Store(8, 1), Call(a, inner, gas=1_000_000, value=0))
    receipt = play(world, a, Store(0, 1), EmitLog(b"kept"), Call(b, outer), Load(0), Load(8))
    assert receipt.ok
    assert integer_at(world, a, 0) == 1
    assert integer_at(world, b, 8) == 1
    assert contents(world, a)["memory"].pages == 1
    assert [log.data for log in receipt.logs] == [b"kept"]
    assert (world.account(a).balance, world.account(0x99).balance) == (10, 0)
    (change,) = receipt.changes[a]
    if any_option != "keyed":
        assert (change.region, change.offset) == ("memory", 0)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_transaction_changes_nothing(world: World, any_option: str, failure: str) -> None:
    a = deploy_puppet(world, any_option, balance=10)
    root = world.state_root
    receipt = play(
        world, a, Store(0, 2), Grow(1), EmitLog(b"x"), Call(Address(0x99), value=4), FAILURES[failure], gas=3_000_000
    )
    assert receipt.outcome is (Outcome.REVERTED if failure == "revert" else Outcome.FAILED)
    assert receipt.error is not None
    assert (receipt.changes, receipt.logs) == ({}, ())
    assert world.state_root == root
    assert play_ok(world, a, Load(0), Size()) == [0, 1]


def test_what_an_undone_call_wrote_is_in_the_trace_and_marked(world: World) -> None:
    a = deploy_puppet(world, "single")
    receipt = play(world, a, Store(0, 1), Call(a, script(Store(0, 2), Trap())))
    assert receipt.trace is not None
    outer, inner = receipt.trace.calls
    assert (outer.undone, inner.undone) == (False, True)
    (change,) = inner.changes
    assert (change.old, change.new) == ((1).to_bytes(8, "little"), (2).to_bytes(8, "little"))


@pytest.mark.storagemod(strict=False)
def test_a_revert_hands_over_its_output_and_gives_gas_back(world: World) -> None:
    a = deploy_puppet(world, "single")
    receipt = play(world, a, Load(0), Revert(), gas=10_000_000)
    assert receipt.outcome is Outcome.REVERTED
    assert receipt.output == bytes(8)
    assert receipt.gas_used < 100_000
    assert play(world, a, Load(0), Trap(), gas=10_000_000).gas_used == 10_000_000


def test_the_undone_part_of_a_partly_undone_tree_is_undone(world: World, any_option: str) -> None:
    a = deploy_puppet(world, any_option)
    kept = script(Store(8, 2), Call(a, script(Store(0, 3), Revert())))
    undone = script(Store(16, 4), Call(a, script(Store(24, 5))), Revert())
    play_ok(world, a, Store(0, 1), Call(a, kept), Call(a, undone))
    assert [integer_at(world, a, offset) for offset in (0, 8, 16, 24)] == [1, 2, 0, 0]


def test_a_write_that_restores_the_committed_value_is_no_change(world: World, any_option: str) -> None:
    a = deploy_puppet(world, any_option)
    play_ok(world, a, Store(0, 1))
    root = world.state_root
    receipt = world.call(a, data=bytes(script(Store(0, 2), Call(a, script(Store(0, 1))))))
    assert receipt.ok
    assert receipt.changes == {}
    assert world.state_root == root


# Rule 5


def test_an_undone_growth_is_given_back_and_its_bytes_are_zero(world: World, option: str) -> None:
    a = deploy_puppet(world, option)
    grow = script(Grow(1), Store(65_536, 7), Revert())
    (call,) = play_ok(world, a, Call(a, grow))
    assert call.outcome is Outcome.REVERTED
    assert contents(world, a)["memory"].pages == 1


def test_a_read_beyond_a_length_that_was_given_back_traps(world: World, option: str, tracker: str) -> None:
    a = deploy_puppet(world, option)
    receipt = play(world, a, Call(a, script(Grow(1), Store(65_536, 7), Revert())), Load(65_536))
    if tracker == "portable" or option == BYTES:  # they cannot make a read trap, but there is nothing to be read
        assert results(receipt, Call(a, b""), Load(65_536))[1] == 0
    else:
        assert isinstance(receipt.error, TrapError)
        assert receipt.error.code == "memory_out_of_bounds"


def test_a_write_beyond_a_length_that_was_given_back_fails_its_call(world: World, option: str) -> None:
    a = deploy_puppet(world, option, name="grower")
    receipt = play(world, a, Call(a, script(Grow(1), Revert())), Store(65_544, 7))
    assert isinstance(receipt.error, TrapError)
    assert receipt.error.code == "memory_out_of_bounds"
    assert "beyond the length of the region, where an undone growth had been" in str(receipt.error)
    assert contents(world, a)["memory"].pages == 1


def test_a_copy_by_the_host_beyond_a_length_that_was_given_back_traps(world: World) -> None:
    a = deploy_puppet(world, "methods")
    receipt = play(world, a, Call(a, script(Grow(1), Revert())), CopyIn(65_532, b"12345678"), Trap())
    assert isinstance(receipt.error, TrapError)
    assert receipt.error.code == "memory_out_of_bounds"
    assert "beyond the length of the region" in str(receipt.error)


def test_growing_again_after_an_undone_growth_makes_the_memory_usable(world: World, option: str) -> None:
    a = deploy_puppet(world, option)
    undone = script(Grow(1), Store(65_536, 7), Revert())
    regrow = script(Grow(1), Store(131_072, 8))
    play_ok(world, a, Call(a, undone), Call(a, regrow), Load(65_536), Store(65_544, 9))
    assert contents(world, a)["memory"].pages == 3
    assert [integer_at(world, a, offset) for offset in (65_536, 65_544, 131_072)] == [0, 9, 8]


def test_growth_stops_at_the_declared_maximum_and_at_the_limit() -> None:
    """multi-memory `memory_grow`: an import that declares more than the exporter's maximum still stops there."""
    world = World(limits=Limits(storage_pages_max=3))
    for declared, reached in (("1 2", 2), ("1 1000", 3), ("1", 3)):
        a = world.deploy(
            f"""(module (import "storage" "memory" (memory $s {declared}))
              (func (export "grow") (param i32) (result i32) (memory.grow $s (local.get 0))))"""
        )
        assert world.transact(a, "grow", reached - 1).value == 1
        assert world.transact(a, "grow", 1).value == -1
        assert world.transact(a, "grow", 65_535).value == -1
        assert contents(world, a)["memory"].pages == reached


# Instantiation


SEGMENTS = """
(module
  (import "storage" "memory" (memory $storage 1))
  (data (memory $storage) (i32.const 0) "\\2a")
  {more}
  (func (export "get") (result i32) (i32.load8_u $storage (i32.const 0)))
  (func (export "fail") unreachable)
  (func (export "main")))
"""


def test_an_active_segment_overwrites_storage_at_each_instantiation(world: World) -> None:
    """multi-memory `linking1`: an importing module's data segment overwrites the exporter's memory."""
    a = world.deploy(SEGMENTS.format(more=""))
    world.load_storage(a, "memory", b"\1")
    assert world.call(a, "get").value == 42
    assert contents(world, a)["memory"][0] == 1
    receipt = world.transact(a, "get")
    assert [(change.old[0], change.new[0]) for change in receipt.changes[a]] == [(1, 42)]


def test_segments_written_before_a_call_fails_are_undone(world: World) -> None:
    a = world.deploy(SEGMENTS.format(more=""))
    root = world.state_root
    assert not world.transact(a, "fail").ok
    assert world.state_root == root


def test_segments_written_before_instantiation_fails_are_undone(world: World, option: str) -> None:
    """multi-memory `linking3`: segments written before a failing instantiation persist."""
    a = world.deploy(SEGMENTS.format(more='(data (memory $storage) (i32.const 65536) "x")'), name="broken")
    b = deploy_puppet(world, option)
    receipt = play(world, b, Store(0, 1), Call(a), Call(a))
    assert receipt.ok
    assert receipt.trace is not None
    ended = receipt.trace.calls[2].ended
    assert ended is not None
    assert isinstance(ended.error, TrapError)
    assert ended.error.contract == "broken"
    assert contents(world, a)["memory"][0] == 0
    assert integer_at(world, b, 0) == 1


# Counters that limits depend on


def test_undone_logs_leave_room_for_others() -> None:
    world = World(limits=Limits(logs_max=2))
    a = deploy_puppet(world, "single")
    receipt = play(world, a, EmitLog(b"1"), Call(a, script(EmitLog(b"2"), Revert())), EmitLog(b"3"))
    assert [log.data for log in receipt.logs] == [b"1", b"3"]
    full = play(world, a, EmitLog(b"1"), EmitLog(b"2"), EmitLog(b"3"))
    assert isinstance(full.error, LimitError)


def test_a_delegate_call_that_fails_undoes_the_callers_storage(world: World, any_option: str) -> None:
    a, b = deploy_puppet(world, any_option), deploy_puppet(world, any_option)
    play_ok(world, a, Store(0, 1), Call(b, script(Store(0, 2), Revert()), kind=CallKind.DELEGATE))
    assert integer_at(world, a, 0) == 1
