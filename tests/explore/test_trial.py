"""Trials give the same results whatever was tried before: what is kept of other ones tells nothing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from storagemod.errors import DeadlineError
from storagemod.explore import explore
from storagemod.explore import search as search_module
from storagemod.explore.attacker import CURSOR_BYTES, REGION
from storagemod.explore.plan import Plan
from storagemod.explore.script import Call, Ending, Reaction, Script
from storagemod.explore.trial import TrialRunner
from storagemod.scenario import Scenario, load_scenario
from storagemod.scenario.invariants import ExpressionInvariant, Verdict
from storagemod.types import Address
from storagemod.world import World

from .examples import recorded, rule, scenario, shipped, shop
from .incidents.cases import place


def tried(of: Scenario, tries: int, *, boundaries: bool = False) -> tuple[Plan, list[Script]]:
    """A plan, and scripts that a search tries."""
    plan, trials = recorded(of, tries=tries, boundaries=boundaries)
    return plan, list(dict.fromkeys(script for script, _, _ in trials))


def incident(name: str, folder: Path) -> Scenario:
    place(name, folder / name, fixed=True)
    return load_scenario(folder / name / "scenario.toml")


@pytest.mark.parametrize("name", ["five_steps", "dao_split", "ether_game", "conic_oracle"])
@pytest.mark.parametrize("boundaries", [False, True])
def test_a_trial_has_the_result_that_it_has_in_a_new_world(name: str, boundaries: bool, tmp_path: Path) -> None:
    plan, scripts = tried(incident(name, tmp_path), 400, boundaries=boundaries)
    numbers = random.Random(name)  # noqa: S311 - no secret
    longest = sorted(scripts, key=len)[-30:]
    chosen = numbers.sample(scripts, min(30, len(scripts))) + longest
    wanted = {script: TrialRunner(plan).run(script) for script in chosen}
    runner = TrialRunner(plan)
    for _ in range(200):
        script = numbers.choice(chosen)
        assert runner.run(script) == wanted[script]
        if not numbers.randrange(10):
            runner.start()


@pytest.mark.storagemod(strict=False)
@pytest.mark.parametrize("name", ["five_steps", "dao_split", "ether_game"])
def test_a_trial_leaves_the_state_that_its_transactions_lead_to_one_by_one(name: str, tmp_path: Path) -> None:
    plan, scripts = tried(incident(name, tmp_path), 400)
    numbers = random.Random(name)  # noqa: S311 - no secret
    runner = TrialRunner(plan)
    for _ in range(40):
        script = numbers.choice(scripts)
        runner.run(numbers.choice(scripts))
        result = runner.run(script, receipts=[])
        if not result.breaches and result.refused is None:
            assert seen(plan, runner.world) == seen(plan, one_by_one(plan, script))


def one_by_one(plan: Plan, script: Script) -> World:
    """A new world after some transactions, each committed."""
    world = plan.blueprint.build(tracker=plan.tracker)
    for call in script:
        for attacker in plan.attackers:
            if world.account(attacker.account).code:
                data, (cursor,) = attacker.encode((call,))
                data = cursor.to_bytes(CURSOR_BYTES, "little") + data[CURSOR_BYTES:]
                world.load_storage(attacker.account, REGION, data)
        if call.sender is not None and call.value > world.account(call.sender).balance:
            continue
        if call.method is not None and not world.account(call.contract).code:
            continue
        to = call.contract, call.method
        world.transact(*to, *call.args, data=call.data, sender=call.sender, value=call.value, gas=plan.gas)
    return world


def seen(plan: Plan, world: World) -> dict[Address, object]:
    """All of a world but the scripts of attackers."""
    attackers = {attacker.account for attacker in plan.attackers}
    return {
        address: (account, {} if address in attackers or not account.code else dict(world.storage(address)))
        for address, account in world.accounts().items()
    }


ASKING = """
(module
  (import "storage" "memory" (memory $storage 1))
  (import "contract:buyer" "thank" (func $thank (result i64)))
  (func (export "buy")
    (drop (call $thank))
    (i64.store $storage (i32.const 0) (i64.add (i64.load $storage (i32.const 0)) (i64.const 1))))
  (func (export "quote") (result i64) (call $thank))
  (func (export "sold") (result i64) (i64.load $storage (i32.const 0))))
"""
"""Its view ``quote`` asks the buyer, whose answer depends on the script: the state alone does not tell it."""


@pytest.mark.parametrize(
    ("expr", "answers"), [('call(shop, "quote") < 7', (0, 9)), ('before(call(shop, "quote")) < 7', (9,))]
)
@pytest.mark.parametrize("first", ["holds", "breaks"])
def test_what_an_attacker_answers_to_an_invariant_is_not_remembered_of_the_state(
    expr: str, answers: tuple[int, ...], first: str
) -> None:
    scene = f"[accounts]\nbuyer = 50\n[contracts.shop]\nwat = '''{ASKING}'''\nlinks = {{ buyer = 'buyer' }}\n"
    plan, _ = tried(scenario(scene + rule(expr)), 1)
    shop, buyer = plan.scenario.address("shop"), plan.scenario.address("buyer")
    reactions = tuple(Reaction(buyer, "thank", values=(each,)) for each in answers)
    scripts = {
        "holds": (Call(shop, "buy", sender=buyer),),
        "breaks": (Call(shop, "buy", sender=buyer, reactions=reactions),),
    }
    runner = TrialRunner(plan)
    runner.run(scripts[first])
    assert not runner.run(scripts["holds"]).breaches
    assert [each.invariant for each in runner.run(scripts["breaks"]).breaches] == [expr]


@pytest.mark.parametrize(
    "expr", ['call(shop, "sold") >= before(call(shop, "sold"))', "balance(buyer) <= 50", "shop.memory[0] >= 0"]
)
def test_an_invariant_that_the_state_settles_is_checked_once_for_a_pair_of_states(
    expr: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, _ = tried(shop(rule(expr)), 1)
    place, buyer = plan.scenario.address("shop"), plan.scenario.address("buyer")
    runner = TrialRunner(plan)
    checks: list[str] = []
    check = ExpressionInvariant.check

    def counted(self: ExpressionInvariant, *args: Any, **named: Any) -> Verdict:
        checks.append(self.text)
        return check(self, *args, **named)

    monkeypatch.setattr(ExpressionInvariant, "check", counted)
    for reactions in ((), (Reaction(buyer, "thank", ending=Ending.REVERT),)) * 3:
        runner.run((Call(place, "buy", (5,), sender=buyer, reactions=reactions),))
    assert len(checks) == 2  # one for each of two states: the shop keeps whether its call failed


def test_a_script_longer_than_a_page_is_written_and_taken_back() -> None:
    plan, _ = tried(shop(rule("shop.memory[0] >= 0")), 1)
    of = plan.scenario
    back = Call(of.address("shop"), None, sender=of.address("buyer"))
    long = Reaction(of.address("buyer"), "thank", calls=(back,) * 1_500)
    script = (Call(of.address("shop"), "buy", (5,), sender=of.address("buyer"), reactions=(long,)),)
    runner = TrialRunner(plan)
    start = runner.world.state_root

    assert len(runner.run(script).outcomes) == 1_501

    runner.start()
    assert runner.world.state_root == start


@pytest.mark.parametrize("how", ["it cannot pay", "its contract is gone", "it takes too long"])
def test_a_transaction_that_is_refused_leaves_the_hazard_of_those_before_it(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, _ = tried(shop(rule("shop.memory[0] >= 0")), 1)
    place, buyer = plan.scenario.address("shop"), plan.scenario.address("buyer")
    back = Reaction(buyer, "thank", calls=(Call(place, None),))
    first = Call(place, "buy", (5,), sender=buyer, reactions=(back,))
    refused = {
        "it cannot pay": Call(place, None, value=10**30, sender=buyer),
        "its contract is gone": Call(Address(77), "buy", (5,), sender=buyer),
        "it takes too long": Call(place, None, sender=buyer),
    }[how]
    runner = TrialRunner(plan)
    assert runner.run((first,)).hazardous
    if how == "it takes too long":
        send = TrialRunner._send

        def late(self: TrialRunner, call: Call) -> object:
            if call == refused:
                raise DeadlineError("too long")
            return send(self, call)

        monkeypatch.setattr(TrialRunner, "_send", late)

    assert runner.run((first, refused)).hazardous
    assert not runner.run((refused,)).hazardous


def test_an_invariant_is_found_broken_also_when_many_tries_were_checked_for_calls_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_module, "_CHECKS_MAX", 0)

    found = explore(shipped("withdraw"), tries=2_000)

    assert [each.needs_callback for each in found.violations] == [True]
