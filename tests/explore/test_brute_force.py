"""Against a search that leaves nothing out: the explorer finds what there is to find, and with as few decisions."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storagemod.explore.exploration import Settings, _stage
from storagemod.explore.plan import Plan
from storagemod.explore.script import Call, Ending, Reaction, Script, decisions_in
from storagemod.explore.trial import TrialRunner
from storagemod.scenario import Scenario
from storagemod.types import Address

from .examples import quick, rule, scenario

DECISIONS = 3
_REACTIONS_MAX = 3


def sequences(menu: list[Call], attacker: Address, decisions: int) -> Iterator[Script]:
    """All rows of calls with so many decisions."""
    if decisions == 0:
        yield ()
        return
    for first in range(1, decisions + 1):
        for call in calls(menu, attacker, first):
            for rest in sequences(menu, attacker, decisions - first):
                yield (call, *rest)


def calls(menu: list[Call], attacker: Address, decisions: int) -> Iterator[Call]:
    """All calls with so many decisions, their own included."""
    for reactions in lists(menu, attacker, decisions - 1, _REACTIONS_MAX):
        for call in menu:
            yield Call(call.contract, call.method, call.args, sender=attacker, reactions=reactions)


def lists(menu: list[Call], attacker: Address, decisions: int, room: int) -> Iterator[tuple[Reaction, ...]]:
    """All lists of reactions with so many decisions, none of which ends with one that does nothing."""
    if decisions == 0:
        yield ()
        return
    if room == 0:
        return
    for first in range(decisions + 1):
        for reaction in reactions_of(menu, attacker, first):
            for rest in lists(menu, attacker, decisions - first, room - 1):
                yield (reaction, *rest)


def reactions_of(menu: list[Call], attacker: Address, decisions: int) -> Iterator[Reaction]:
    for inner in sequences(menu, attacker, decisions):
        yield Reaction(
            attacker,
            "hook",
            calls=tuple(Call(each.contract, each.method, each.args, reactions=each.reactions) for each in inner),
        )
    if decisions == 1:
        yield Reaction(attacker, "hook", ending=Ending.REVERT)
        yield Reaction(attacker, "hook", ending=Ending.TRAP)


def fewest_decisions(of: Scenario, most: int) -> int | None:
    """How many decisions it takes to break an invariant, found by trying everything."""
    stage = _stage(of, Settings(), None)
    runner = TrialRunner(Plan(stage.scenario, stage.blueprint, stage.attackers))
    menu = [Call(entry.point.contract, entry.point.method) for entry in stage.menu]  # these methods take nothing
    for decisions in range(1, most + 1):
        for script in sequences(menu, stage.senders[0], decisions):
            if runner.run(script).breaches:
                return decisions
    return None


def operation(kind: str, word: int, other: int, number: int) -> str:
    """One line of a contract that works on three words of storage."""
    load = f"(i64.load $storage (i32.const {8 * word}))"
    return {
        "add": f"(i64.store $storage (i32.const {8 * word}) (i64.add {load} (i64.const {number})))",
        "set": f"(i64.store $storage (i32.const {8 * word}) (i64.const {number}))",
        "keep": f"(local.set $kept {load})",
        "put": f"(i64.store $storage (i32.const {8 * other}) (local.get $kept))",
        "require": f"(if (i64.ne {load} (i64.const {number})) (then (unreachable)))",
        "call": "(call $hook)",
        "try": f"(i64.store $storage (i32.const {8 * word}) (i64.extend_i32_u (call $try)))",
    }[kind]


operations = st.builds(
    operation,
    st.sampled_from(["add", "set", "keep", "put", "require", "call", "call", "try"]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
)
methods = st.lists(operations, min_size=1, max_size=_REACTIONS_MAX)
goals = st.builds(
    "c.memory[{}] {} {}".format, st.sampled_from([0, 8, 16]), st.sampled_from(["!=", "<"]), st.integers(1, 3)
)


def contract(bodies: list[list[str]], goal: str) -> Scenario:
    functions = "\n".join(
        f'(func (export "m{number}") (local $kept i64) {" ".join(body)})' for number, body in enumerate(bodies)
    )
    return scenario(f"""
[accounts]
mallory = 0
[contracts.c]
wat = '''(module
  (import "storage" "memory" (memory $storage 1))
  (import "contract:hook" "hook" (func $hook))
  (import "contract:hook" "hook?" (func $try (result i32)))
  {functions})'''
links = {{ hook = "mallory" }}
{rule(goal)}""")


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(methods, min_size=2, max_size=2), goals)
def test_what_everything_finds_the_search_finds_with_as_few_decisions(bodies: list[list[str]], goal: str) -> None:
    of = contract(bodies, goal)

    wanted = fewest_decisions(of, DECISIONS)
    found = quick(of, calls=DECISIONS, depth=DECISIONS, tries=5_000)

    decisions = [decisions_in(violation.found) for violation in found.violations]
    if wanted is not None:
        assert decisions == [wanted]
    else:
        assert all(each > DECISIONS for each in decisions)


def test_a_fault_that_takes_two_hooks_in_one_call_is_found_like_that() -> None:
    """The first must do nothing, the second fail, and a call back come before that in another transaction."""
    keep, put, add = operation("keep", 0, 0, 0), operation("put", 0, 0, 0), operation("add", 0, 0, 1)
    call, attempt = operation("call", 0, 0, 0), operation("try", 1, 0, 0)
    of = contract([[call, keep, attempt, add, attempt, put], [add]], "c.memory[0] < 2 or c.memory[8] != 2")

    wanted = fewest_decisions(of, 4)

    assert wanted is not None
    assert [decisions_in(each.found) for each in quick(of, calls=4, depth=3, tries=5_000).violations] == [wanted]


def test_where_everything_finds_nothing_the_search_finds_nothing_and_leaves_nothing() -> None:
    add, call = operation("add", 0, 0, 1), operation("call", 0, 0, 0)
    of = contract([[add, call], [call, add]], "c.memory[0] <= 3")

    assert fewest_decisions(of, 3) is None
    found = quick(of, calls=3, depth=3, tries=5_000)
    assert found.ok
    assert found.found.coverage.complete
    assert quick(of, calls=4, depth=3, tries=5_000).violations  # and with one call more there is one
