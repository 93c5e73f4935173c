"""The generated attacker plays what it is told, and its script is read back from traces as it was played."""

from __future__ import annotations

import pytest

from storagemod import Outcome
from storagemod.explore.exploration import Settings, _stage
from storagemod.explore.plan import Plan
from storagemod.explore.script import Call, Ending, Reaction, describe
from storagemod.explore.trial import TrialRunner
from storagemod.scenario import Scenario
from storagemod.world import Receipt

from .examples import rule, shop


def runner_of(of: Scenario) -> tuple[TrialRunner, Scenario]:
    stage = _stage(of, Settings(), None)
    return TrialRunner(Plan(stage.scenario, stage.blueprint, stage.attackers)), stage.scenario


@pytest.fixture(scope="module")
def stage() -> tuple[TrialRunner, Scenario]:
    return runner_of(shop(rule("shop.memory[0] >= 0")))


def play(stage: tuple[TrialRunner, Scenario], *script: Call) -> list[Receipt]:
    receipts: list[Receipt] = []
    stage[0].run(script, receipts=receipts)
    return receipts


def call(stage: tuple[TrialRunner, Scenario], method: str | None, *args: int, **more: object) -> Call:
    of = stage[1]
    return Call(of.address("shop"), method, args, sender=of.address("buyer"), **more)  # type: ignore[arg-type]


def react(stage: tuple[TrialRunner, Scenario], *calls: Call, site: str = "thank", **more: object) -> Reaction:
    return Reaction(stage[1].address("buyer"), site, calls=calls, **more)  # type: ignore[arg-type]


def word(stage: tuple[TrialRunner, Scenario], offset: int) -> int:
    """A word of the shop as the last try left it."""
    runner, of = stage
    return runner.world.storage(of.address("shop"))["memory"].read_int(offset, signed=True)


def test_calls_are_made_in_order_and_values_returned(stage: tuple[TrialRunner, Scenario]) -> None:
    inner = react(stage, call(stage, None), call(stage, None), values=(-3,))

    play(stage, call(stage, "buy", 5, reactions=(inner,)))

    assert (word(stage, 0), word(stage, 8), word(stage, 32)) == (5, -3, 2)


def test_main_is_called_with_data_and_value() -> None:
    of = shop(rule("shop.memory[0] >= 0"))
    stage = runner_of(of)

    (receipt,) = play(stage, call(stage, "buy", 1, reactions=(react(stage, call(stage, None, data=b"abc", value=7)),)))

    assert receipt.trace is not None
    started = receipt.trace.calls[2].started
    assert (started.data, started.value, started.caller) == (b"abc", 7, of.address("buyer"))
    assert stage[0].world.account(of.address("shop")).balance == 7


@pytest.mark.parametrize(("ending", "told"), [(Ending.REVERT, Outcome.REVERTED), (Ending.TRAP, Outcome.FAILED)])
def test_a_reaction_that_fails_undoes_its_calls(
    stage: tuple[TrialRunner, Scenario], ending: Ending, told: Outcome
) -> None:
    play(stage, call(stage, "buy", 5, reactions=(react(stage, call(stage, None), ending=ending),)))

    assert (word(stage, 0), word(stage, 8), word(stage, 32), word(stage, 40)) == (5, 0, 0, told)


def test_reactions_are_taken_one_by_one_and_those_within_others_are_their_own(
    stage: tuple[TrialRunner, Scenario],
) -> None:
    inner = call(stage, "twice", reactions=(react(stage), react(stage, call(stage, None))))
    outer = call(stage, "twice", reactions=(react(stage, inner), react(stage, call(stage, None), call(stage, None))))

    play(stage, outer)

    assert (word(stage, 16), word(stage, 32)) == (2, 3)


def test_a_reaction_that_failed_is_given_again_as_documented(stage: tuple[TrialRunner, Scenario]) -> None:
    result = stage[0].run((call(stage, "twice", reactions=(react(stage, ending=Ending.REVERT),)),))

    assert not result.sites  # both calls out were answered by the one reaction


def test_transactions_have_reactions_of_their_own(stage: tuple[TrialRunner, Scenario]) -> None:
    first = call(stage, "buy", 1, reactions=(react(stage, call(stage, None)),))

    play(stage, first, call(stage, "buy", 1), first)

    assert (word(stage, 0), word(stage, 32)) == (3, 2)


def test_a_world_is_as_it_was_after_tries(stage: tuple[TrialRunner, Scenario]) -> None:
    stage[0].start()
    before = stage[0].world.state_root
    play(stage, call(stage, "buy", 5, reactions=(react(stage, call(stage, None)),)))
    played = word(stage, 0)

    stage[0].start()
    assert stage[0].world.state_root == before
    assert (played, word(stage, 0)) == (5, 0)


def test_reactions_in_static_calls_fail_or_do_nothing(stage: tuple[TrialRunner, Scenario]) -> None:
    answers = []
    for ending in Ending:
        play(stage, call(stage, "ask", reactions=(react(stage, site="main", static=True, ending=ending),)))
        answers.append(word(stage, 24))

    assert answers == [Outcome.OK, Outcome.REVERTED, Outcome.FAILED, Outcome.FAILED]


def test_sites_are_the_calls_out_that_nothing_was_done_at(stage: tuple[TrialRunner, Scenario]) -> None:
    result = stage[0].run((call(stage, "twice", reactions=(react(stage, call(stage, "twice")),)),))

    assert [(site.path, len(site.skipped)) for site in result.sites] == [((0, 0, 0), 0), ((0, 0, 0), 1), ((0,), 0)]
    assert [made.changed for made in result.outcomes.values()] == [True, True]


def test_a_try_in_words(stage: tuple[TrialRunner, Scenario]) -> None:
    inner = Call(stage[1].address("shop"), None, data=b"\1", value=3)
    script = (call(stage, "buy", 5, reactions=(react(stage, inner, values=(1,)),)),)

    assert describe(script, {address: name for name, address in stage[1].addresses.items()}) == [
        "buyer sends shop::buy(5)",
        "  buyer::thank, called, calls back and returns 1",
        "    shop::main{value: 3}(0x01)",
    ]
