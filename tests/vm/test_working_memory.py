"""Working memory is bounded: that of one call, and that of all calls of a transaction that have not ended."""

from __future__ import annotations

import pytest

from storagemod import Address, Limits, Outcome, World
from storagemod.errors import LimitError, StateError, ValidationError
from storagemod.events import Event

NESTED = """(module (import "contract:next" "work?" (func $next (param i32) (result i32 i32)))
  (memory $own {pages})
  (func (export "work") (param $depth i32) (result i32) (local $deepest i32)
    {before}
    (if (i32.eqz (local.get $depth)) (then (return (i32.const 1))))
    (call $next (i32.sub (local.get $depth) (i32.const 1)))
    (local.set $deepest)
    (if (then (return (i32.const 1))))
    (i32.add (local.get $deepest) (i32.const 1))))"""
"""Calls itself as deep as it is told, and returns how many calls worked, one inside another."""


def nested(world: World, pages: str, before: str = "") -> Address:
    return world.deploy(NESTED.format(pages=pages, before=before), address=0xA, links={"next": 0xA})


@pytest.mark.parametrize("width", ["", "i64 "])
def test_a_memory_grows_to_the_limit_of_the_world_and_no_further(width: str) -> None:
    kind = "i64" if width else "i32"
    world = World(limits=Limits(memory_pages_max=10))
    address = world.deploy(f"""(module (memory {width}1) (func (export "grow") (param {kind}) (result {kind})
      (memory.grow (local.get 0))))""")
    assert [world.call(address, "grow", pages).value for pages in (0, 9, 10, 1_000, -1)] == [1, 1, -1, -1, -1]


def test_the_same_code_keeps_to_the_limits_of_each_world() -> None:
    code = '(module (memory 1) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))'
    values = []
    for pages_max in (10, 11, 1_024, 10):
        world = World(limits=Limits(memory_pages_max=pages_max))
        values.append(world.call(world.deploy(code), "grow", 10).value)
    assert values == [-1, 1, 1, -1]


@pytest.mark.parametrize(
    ("pages", "before", "each"),
    [
        ("10", "", 10),
        ("2 20", "(drop (memory.grow $own (i32.const 8)))", 10),
        ("2 20", "(drop (memory.grow $own (i32.const 3))) (drop (memory.grow $own (i32.const 5)))", 10),
        ("2 20", "(drop (memory.grow $own (i32.const 50)))", 2),
        ("5) (memory 5", "", 10),
        ("0) (table 81_920 funcref", "", 10),
    ],
)
def test_nested_calls_have_so_much_together(pages: str, before: str, each: int) -> None:
    world = World(limits=Limits(working_pages_max=100))
    address = nested(world, pages, before)
    fit = 100 // each
    assert world.transact(address, "work", fit - 1).value == fit
    receipt = world.transact(address, "work", fit)
    assert receipt.value == fit
    assert receipt.trace is not None
    failed = receipt.trace.calls[-1].ended
    assert failed is not None
    assert isinstance(failed.error, LimitError)
    assert "working_pages_max" in failed.error.message


def test_what_grew_too_much_fails_where_it_calls() -> None:
    world = World(limits=Limits(working_pages_max=100))
    receipt = world.transact(nested(world, "2 200", "(drop (memory.grow $own (i32.const 60)))"), "work", 3)
    assert receipt.value == 1
    assert receipt.trace is not None
    assert [call.ended.outcome for call in receipt.trace.calls if call.ended] == [Outcome.OK, Outcome.FAILED]


def test_calls_after_one_another_have_the_memory_in_turn() -> None:
    world = World(limits=Limits(working_pages_max=30))
    leaf = world.deploy('(module (memory 10 20) (func (export "work") (drop (memory.grow (i32.const 9)))))')
    caller = world.deploy(
        f"""(module (import "contract:leaf" "work" (func $work)) (memory 10)
          (func (export "go") {"(call $work)" * 100}))""",
        links={"leaf": leaf},
    )
    assert world.transact(caller, "go").ok


def test_tables_that_code_changes_count_to_the_end() -> None:
    """An instance with such a table cannot be put back, and stays."""
    world = World(limits=Limits(working_pages_max=30))
    leaf = world.deploy("""(module (table 8192 funcref) (func (export "read") (drop (table.get (i32.const 0))))
      (func (export "work") (table.set (i32.const 0) (ref.null func))))""")
    caller = world.deploy(
        """(module (import "contract:leaf" "work?" (func $work (result i32)))
          (func (export "go") (param i32) (result i32) (local i32)
            (loop (local.set 1 (i32.add (local.get 1) (i32.eqz (call $work))))
              (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (local.get 1)))""",
        links={"leaf": leaf},
    )
    assert world.transact(caller, "go", 30).value == 30
    assert world.transact(caller, "go", 31).value == 30


def test_tables_have_a_length_to_keep_to() -> None:
    world = World(limits=Limits(table_elements_max=10))
    world.deploy('(module (table 4 funcref) (table 6 funcref) (func (export "main")))')
    with pytest.raises(ValidationError, match=r"11 elements of tables, and 10 are allowed \(table_elements_max\)"):
        world.deploy('(module (table 5 funcref) (table 6 funcref) (func (export "main")))')


def test_a_host_without_memory_ends_the_transaction_and_is_no_failure_of_a_call() -> None:
    def observer(event: Event) -> None:
        if event.__class__.__name__ == "CallStarted" and event.depth == 2:  # type: ignore[attr-defined]
            raise MemoryError

    world = World(observers=[observer])
    address = nested(world, "1")
    root = world.state_root
    with pytest.raises(StateError, match="the system has no memory left for this transaction"):
        world.transact(address, "work", 3)
    assert world.state_root == root
    assert world.transact(address, "work", 0).ok
