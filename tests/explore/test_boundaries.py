"""Invariants at call boundaries: a view that lies in the middle of a transaction."""

from __future__ import annotations

from pathlib import Path

from storagemod import World
from storagemod.explore import explore
from storagemod.explore.write import write_tests
from storagemod.scenario import deploy_scenario, load_scenario, run_scenario, run_transaction
from storagemod.scenario.boundaries import boundaries

from .examples import quick, rule, scenario, shipped

PRICE = 'call(pool, "price") == 100'


def test_a_view_that_lies_in_the_middle_is_found_before_anyone_believes_it() -> None:
    exploration = explore(shipped("read_only"), invariants={"price": PRICE}, boundaries=True, calls=1)

    price = next(violation for violation in exploration.violations if violation.invariant == "price")
    assert price.breach.boundary is not None
    assert price.breach.boundary[0] == "start"
    assert price.script[0].reactions == ()
    assert price.breach.why == ("call(pool, 'price') = 200",)


def test_the_same_view_is_true_at_the_end_and_in_the_mended_pool() -> None:
    at_end = explore(shipped("read_only"), invariants={"price": PRICE}, calls=1)
    mended = explore(shipped("read_only_fixed"), invariants={"price": PRICE}, boundaries=True, calls=2, tries=300)

    assert not [each for each in at_end.violations if each.invariant == "price"]
    assert mended.found.tries == 300
    assert not [each for each in mended.violations if each.invariant == "price"]


def guarded(policy: str) -> str:
    return f"""
[accounts]
mallory = 0
[contracts.c]
wat = '''(module
  (import "storage" "memory" (memory $storage 1))
  (import "contract:m" "hook" (func $hook))
  (func (export "f") (i64.store $storage (i32.const 0) (i64.const 1)) (call $hook)
    (i64.store $storage (i32.const 0) (i64.const 0)))
  (func (export "view") (result i64) (i64.load $storage (i32.const 0))))'''
links = {{ m = "mallory" }}
policy = "{policy}"
"""


def test_a_view_that_nobody_can_ask_in_the_middle_is_no_lie() -> None:
    invariant = rule('call(c, "view") == 0', at="boundaries")

    assert not quick(scenario(guarded("allow") + invariant)).ok
    assert quick(scenario(guarded("deny") + invariant)).ok
    assert not quick(scenario(guarded("deny") + rule("c.memory[0] == 0", at="boundaries"))).ok


def test_a_view_that_refuses_to_answer_in_the_middle_is_no_lie() -> None:
    text = guarded("allow").replace(
        "(result i64) (i64.load $storage (i32.const 0))",
        "(result i64) (if (i64.ne (i64.load $storage (i32.const 0)) (i64.const 0)) (then (unreachable))) (i64.const 0)",
    )
    assert quick(scenario(text + rule('call(c, "view") == 0', at="boundaries"))).ok


NESTED = """
[accounts]
alice = 100
[contracts.a]
wat = '''(module
  (import "storage" "memory" (memory $storage 1))
  (import "contract:b" "fail?" (func $fail (result i32)))
  (import "contract:b" "grow" (func $grow))
  (memory (export "memory") 1)
  (func (export "f")
    (i64.store $storage (i32.const 0) (i64.const 1)) (drop (call $fail))
    (i64.store $storage (i32.const 0) (i64.const 2)) (call $grow)))'''
links = { b = "b" }
[contracts.b]
wat = '''(module
  (import "storage" "memory" (memory $storage 1 4))
  (import "contract:a" "g" (func $g))
  (func (export "fail") (i64.store $storage (i32.const 0) (i64.const 7)) (call $g) (unreachable))
  (func (export "grow") (drop (memory.grow $storage (i32.const 1)))
    (i64.store $storage (i32.const 65536) (i64.const 9)) (call $g)))'''
links = { a = "c" }
[contracts.c]
wat = '''(module (func (export "g")))'''
[[transactions]]
to = "a"
method = "f"
sender = "alice"
value = 30
"""


def test_states_are_those_that_a_contract_would_see_undone_calls_left_out() -> None:
    of = scenario(NESTED)
    world = World()
    deploy_scenario(of, world)
    a, b = of.address("a"), of.address("b")
    trace = world.call(a, "f", sender=of.address("alice"), value=30).trace
    assert trace is not None
    seen: list[tuple[int, str, int, int, int, int]] = []
    for each in boundaries(trace, world):
        with world.snapshot():
            each.apply(world)
            first, second = world.storage(a)["memory"], world.storage(b)["memory"]
            grown = second.read_int(65536) if second.pages == 2 else -1
            seen.append(
                (each.call_id, each.moment, first.read_int(0), second.read_int(0), grown, world.account(a).balance)
            )

    assert seen == [
        (1, "start", 1, 0, -1, 30),
        (2, "start", 1, 7, -1, 30),
        (2, "end", 1, 7, -1, 30),
        (1, "end", 1, 0, -1, 30),
        (3, "start", 2, 0, -1, 30),
        (4, "start", 2, 0, 9, 30),
        (4, "end", 2, 0, 9, 30),
        (3, "end", 2, 0, 9, 30),
    ]


def test_scenarios_check_them_too() -> None:
    of = scenario(
        guarded("allow")
        + "[[transactions]]\nto = 'c'\nmethod = 'f'\nexpect = { may_fail = true }\n"
        + rule("c.memory[0] == 0", "zero", "boundaries")
    )
    world = World()
    deploy_scenario(of, world)

    result = run_transaction(world, of, 0)

    assert [each.what for each in result.differences] == ['invariant "zero" at the start of call 1']
    assert run_scenario(of).transactions[0].differences == result.differences


def pool(*, locked: bool, pay_first: bool = True) -> str:
    """A pool that takes money, pays, and takes shares then; `add` is locked meanwhile, or is not."""
    check = "(if (i64.ne (i64.load $storage (i32.const 0)) (i64.const 0)) (then (unreachable)))"
    steps = [
        "(i64.store $storage (i32.const 8) (i64.sub (i64.load $storage (i32.const 8)) (i64.const 10)))",
        "(call $hook)",
        "(i64.store $storage (i32.const 16) (i64.sub (i64.load $storage (i32.const 16)) (i64.const 10)))",
    ]
    steps = steps if pay_first else [steps[0], steps[2], steps[1]]
    return f"""
[accounts]
mallory = 0
[contracts.pool]
wat = '''(module
  (import "storage" "memory" (memory $storage 1))
  (import "contract:m" "hook" (func $hook))
  (func (export "remove") {check}
    (i64.store $storage (i32.const 0) (i64.const 1))
    {" ".join(steps)}
    (i64.store $storage (i32.const 0) (i64.const 0)))
  (func (export "add") {check if locked else ""}
    (i64.store $storage (i32.const 8) (i64.add (i64.load $storage (i32.const 8)) (i64.const 1)))
    (i64.store $storage (i32.const 16) (i64.add (i64.load $storage (i32.const 16)) (i64.const 1))))
  (func (export "shares") (result i64) (i64.load $storage (i32.const 16))))'''
links = {{ m = "mallory" }}
storage = [{{ offset_bytes = 8, i64 = [100, 100] }}]
"""


FAIR = "pool.memory[8] == pool.memory[16]"


def test_a_pool_that_is_locked_while_it_pays_is_no_violation_at_callouts() -> None:
    assert quick(scenario(pool(locked=True) + rule(FAIR, at="callouts"))).ok
    for everywhere in (False, True):  # the option asks for more moments, never for fewer
        assert not quick(scenario(pool(locked=True) + rule(FAIR, at="boundaries")), boundaries=everywhere).ok


def test_a_pool_that_lets_somebody_in_while_it_pays_is_one_and_ends_well_all_the_same() -> None:
    (violation,) = quick(scenario(pool(locked=False) + rule(FAIR, at="callouts"))).violations
    assert violation.breach.boundary is not None
    assert violation.breach.why == ("pool.memory[8] = 90", "pool.memory[16] = 100")
    assert quick(scenario(pool(locked=False) + rule(FAIR))).ok
    assert quick(scenario(pool(locked=False, pay_first=False) + rule(FAIR, at="callouts"))).ok


def test_what_is_found_at_callouts_is_written_down_and_runs(tmp_path: Path) -> None:
    for expr in (FAIR, 'call(pool, "shares") == pool.memory[8]'):
        found = quick(scenario(pool(locked=False) + rule(expr)), boundaries=True)
        written = write_tests(found, tmp_path)[0]
        (broken,) = [each for each in run_scenario(load_scenario(written)).transactions if not each.ok]
        assert broken.differences[0].wanted == expr
        assert " of call " in broken.differences[0].what


def test_a_method_that_tells_of_shares_that_are_sold_is_one_although_the_pool_is_locked() -> None:
    tells = 'call(pool, "shares") == pool.memory[8]'
    (violation,) = quick(scenario(pool(locked=True) + rule(tells, at="callouts"))).violations
    assert violation.script[0].reactions == ()
