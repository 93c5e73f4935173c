"""The search: deterministic wherever it runs, bounded, and honest about what it left out."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

from storagemod import World
from storagemod.errors import ScenarioError, ValidationError
from storagemod.explore import LostWorkersError, explore
from storagemod.explore.executors import Elsewhere
from storagemod.explore.script import Call, Reaction, calls_in, depth_of
from storagemod.report.exploration import exploration_to_json
from storagemod.scenario import load_scenario
from storagemod.scenario.fixtures import scenario_path
from storagemod.types import Address

from .examples import quick, rule, scenario, shipped, shop


def books_are_honest(world: World) -> bool:
    (bank,) = (address for address, account in world.accounts().items() if account.name == "bank")
    view = world.storage(bank)["memory"]
    return view.read_int(0) == sum(view.read_int(at) for at in range(64, 4096, 8))


def test_the_same_seed_is_the_same_search() -> None:
    first, second = (explore(shipped("hooks"), calls=3, tries=150, seed=7) for _ in range(2))

    assert exploration_to_json(first, timed=False) == exploration_to_json(second, timed=False)


def test_another_seed_is_another_order() -> None:
    scripts = {explore(shipped("withdraw"), calls=2, seed=seed).found.violations[0].found for seed in range(6)}

    assert len(scripts) > 1


@pytest.mark.parametrize("name", ["withdraw", "withdraw_fixed"])
@pytest.mark.parametrize("at_once", [True, False])
def test_two_processes_find_what_one_finds(name: str, at_once: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if at_once:  # else tries are run here as long as workers start
        monkeypatch.setattr(Elsewhere, "_are_starting", lambda _: False)
    alone, together = (explore(shipped(name), calls=2, tries=120, jobs=jobs) for jobs in (1, 2))

    assert exploration_to_json(alone, timed=False) == exploration_to_json(together, timed=False)


def test_any_executor_finds_the_same() -> None:
    with ThreadPoolExecutor(2) as executor:
        elsewhere = explore(shipped("guard"), calls=2, tries=120, executor=executor)

    here = explore(shipped("guard"), calls=2, tries=120)
    assert exploration_to_json(here, timed=False) == exploration_to_json(elsewhere, timed=False)


class Broken(Executor):
    """An executor all of whose workers die."""

    def submit(self, fn: Any, /, *_: Any, **__: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(BrokenProcessPool(f"{fn.__name__} was killed"))
        return future


def test_an_executor_that_loses_its_workers_is_an_error_and_not_a_result() -> None:
    with pytest.raises(LostWorkersError, match=r"workers were lost 1 times: run_chunk was killed"):
        explore(shipped("guard"), executor=Broken())


def test_more_tries_than_the_budget_are_counted_as_left() -> None:
    exploration = explore(shipped("withdraw_fixed"), calls=3, tries=50)

    coverage = exploration.found.coverage
    assert (exploration.found.tries, exploration.found.ended) == (50, "tries")
    assert sum(coverage.by_calls.values()) == sum(coverage.by_depth.values()) == 50
    assert coverage.left > 0
    assert not coverage.complete


def test_a_search_that_comes_to_its_end_says_so() -> None:
    coverage = explore(shipped("guard_fixed"), calls=2, depth=1, arguments=3).found.coverage

    assert coverage.complete
    assert coverage.left == 0
    tried, possible = coverage.nestings
    assert 0 < tried == possible


def test_seconds_end_a_search() -> None:
    exploration = explore(shipped("read_only_fixed"), calls=6, depth=3, seconds=0.2, tries=1_000_000)

    assert exploration.found.ended == "seconds"
    assert not exploration.found.coverage.complete


def test_no_try_is_longer_or_deeper_than_asked_for() -> None:
    shallow = explore(shipped("withdraw_fixed"), calls=2, depth=0, tries=500).found.coverage
    deeper = explore(shipped("withdraw_fixed"), calls=3, depth=1, tries=2_000).found.coverage

    assert set(shallow.by_calls) == {1, 2}
    assert set(shallow.by_depth) == {0}
    assert shallow.too_deep > 0
    assert max(deeper.by_calls) == 3
    assert set(deeper.by_depth) == {0, 1}


def test_arguments_beyond_those_that_were_taken_are_counted() -> None:
    coverage = explore(shipped("withdraw_fixed"), calls=1, arguments=3).found.coverage

    taken = {method: (each.taken, each.possible) for (_, method), each in coverage.entry_points.items()}
    assert taken["deposit"][0] == 3 < taken["deposit"][1]
    assert taken["total"] == (1, 1)


def test_callees_that_answer_and_callees_that_fail_are_tried() -> None:
    found = quick(shop(rule("shop.memory[8] < 2") + rule("shop.memory[40] == 0") + rule("shop.memory[40] != 2")))

    words = [violation.script[0].reactions[0] for violation in found.violations]
    (answer,) = words[0].values or ()
    assert answer >= 2
    assert words[1].ending != 0
    assert words[2].ending.name == "REVERT"


def test_a_reaction_to_the_second_call_out_is_tried_while_the_first_does_nothing() -> None:
    of = shop(rule("shop.memory[16] == 0 or shop.memory[32] == 0 or shop.memory[16] != 1"))

    (violation,) = quick(of).violations

    assert calls_in(violation.script) == 2


def test_main_is_called_back_with_call_data_that_was_seen() -> None:
    of = shop(rule("shop.memory[32] == 0 or shop.memory[0] == 0"))

    (violation,) = quick(of).violations

    assert calls_in(violation.script) == 2
    methods = {
        violation.script[-1].method,
        *(inner.method for call in violation.script for each in call.reactions for inner in each.calls),
    }
    assert None in methods


def test_call_sites_in_static_calls_are_told_of_and_not_called_back_from() -> None:
    exploration = quick(shop(rule("shop.memory[24] == 0"), '[explore]\nentry_points = { shop = ["ask"] }'), depth=1)

    assert exploration.found.coverage.static == 1
    (violation,) = exploration.violations  # but it may fail
    assert violation.script[0].reactions[0].static
    assert depth_of(violation.script) == 0


def test_invariants_that_do_not_hold_from_the_start_need_no_try() -> None:
    (violation,) = quick(shop(rule("shop.memory[0] == 7"))).violations

    assert violation.script == ()
    assert violation.breach.transaction == -1
    assert violation.breach.why == ("shop.memory[0] = 0",)


def test_every_invariant_has_a_try_of_its_own() -> None:
    found = quick(shop(rule("shop.memory[32] == 0") + rule("shop.memory[0] == 0") + rule("shop.memory[0] >= 0")))

    assert [violation.invariant for violation in found.violations] == [
        "shop.memory[32] == 0",
        "shop.memory[0] == 0",
        "shop.memory[0] >= 0",
    ]
    assert [violation.script[0].method for violation in found.violations] == [None, "buy", "buy"]


def test_python_functions_are_invariants_here_and_in_other_processes() -> None:
    for jobs in (1, 2):
        exploration = explore(shipped("withdraw"), invariants={"python": books_are_honest}, calls=2, jobs=jobs)

        assert [violation.invariant for violation in exploration.violations] == ["the books are honest", "python"]


def test_functions_that_cannot_be_sent_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValidationError, match=r"cannot be sent to another process.*at the top of a module"):
        explore(shipped("withdraw"), invariants={"here": lambda _: True}, jobs=2)


def test_expressions_and_assertions_are_taken_from_python() -> None:
    def refuses(_: World) -> None:
        raise AssertionError("never")

    found = explore(shop("[explore]"), invariants={"a": "shop.memory[0] == 0", "b": refuses}, calls=1).violations

    assert [(each.invariant, each.breach.why) for each in found][1] == ("b", ("never",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"calls": 0}, "calls is an integer from 1 to 64"),
        ({"depth": -1}, "depth is an integer from 0 to 32"),
        ({"tries": 0}, "tries is an integer from 1"),
        ({"seconds": 0}, "seconds is a number greater than 0"),
        ({"seed": -1}, "seed is an integer from 0"),
        ({"arguments": 0}, "arguments is an integer from 1"),
        ({"calls": True}, "calls is an integer"),
        ({"jobs": 0}, "jobs is an integer from 1 to 256"),
        ({"jobs": 1.5}, "jobs is an integer from 1 to 256"),
        ({"policy": "open"}, "no re-entry policy 'open'"),
        ({"sync": "never"}, "no sync policy 'never'"),
        ({"invariants": {"a": 7}}, "the invariant 'a' is an expression or a function"),
        ({"invariants": {"a": lambda _: 7}}, "the invariant 'a' gives True, False or None, not 7"),
    ],
)
def test_settings_that_are_none_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        explore(shipped("withdraw"), **settings)


def test_a_scenario_without_invariants_is_refused_with_what_to_add() -> None:
    with pytest.raises(ScenarioError, match=r"nothing to check.*\[\[invariants\]\]"):
        explore(shop("[[transactions]]\nto = 'shop'\nmethod = 'sold'"))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ('untrusted = ["shop"]', "no contract is trusted"),
        ('entry_points = { shop = ["bye"] }', 'has no method "bye" \\(did you mean "buy"'),
        ('entry_points = { buyer = ["x"] }', 'no contract is named "buyer"'),
        ('trusted = ["shopp"]', 'no contract is named "shopp" \\(did you mean "shop"'),
        ('trusted = ["shop"]\nuntrusted = ["shop"]', '"shop" is trusted and untrusted'),
        ('senders = ["bob"]', 'no account or contract is named "bob"'),
        ('trust = ["shop"]', 'unknown key "trust" \\(did you mean "trusted"'),
        ("trusted = 7", "wanted an array"),
    ],
)
def test_what_the_file_tells_the_explorer_has_to_be_so(told: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        explore(shop(rule("shop.memory[0] == 0"), f"[explore]\n{told}"))


def test_a_scenario_that_names_nobody_untrusted_gets_a_stranger() -> None:
    counter = load_scenario(scenario_path("counter/counter"))

    exploration = explore(counter, invariants={"small": "counter.memory[0] < 100"}, calls=2)

    assert exploration.trust_model.untrusted == ("attacker",)
    assert [each.script[0].sender for each in exploration.violations] == [exploration.trust_model.addresses["attacker"]]


@pytest.mark.parametrize(("known", "wanted"), [(-2, -1), (-1, -2), (3, 2**63 - 1), (-4, -(2**63))])
def test_a_number_is_tried_to_which_python_gives_the_hash_of_another_one(known: int, wanted: int) -> None:
    safe = scenario(f"""
[contracts.safe]
wat = '''
(module
  (import "storage" "memory" (memory 1))
  (func (export "open") (param $number i64)
    (if (i64.eq (local.get $number) (i64.const {known})) (then (i64.store (i32.const 8) (i64.const 1))))
    (if (i64.eq (local.get $number) (i64.const {wanted})) (then (i64.store (i32.const 0) (i64.const 1))))))'''
{rule("safe.memory[0] == 0")}
""")
    assert hash(known) == hash(wanted)
    exploration = explore(safe, calls=1, tries=300)

    assert [each.found[0].args for each in exploration.violations] == [(wanted,)]


def test_floats_that_differ_in_their_bits_are_different_tries() -> None:
    contract = Address(1)
    floats = [0.0, -0.0, 1.0, float("inf"), float("nan")]
    assert len({Call(contract, "set", (each,)) for each in [*floats, *floats, float("nan")]}) == len(floats)
    assert len({Reaction(contract, "ask", values=(each,)) for each in [*floats, *floats]}) == len(floats)
