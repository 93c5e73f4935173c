"""Attacks and tries that are kept in a folder, run again, and left alone where they do not fit."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storagemod.errors import StateError, ValidationError
from storagemod.explore import Call, Ending, Exploration, Reaction, Script, exploration, explore
from storagemod.explore.attacker import DATA_BYTES_MAX
from storagemod.explore.keeper import Fit
from storagemod.explore.opening import Candidate
from storagemod.explore.saved import Saved, script_from_json, script_to_json
from storagemod.explore.script import Place
from storagemod.explore.search import Budget, _Search
from storagemod.explore.trial import Breach, TrialResult, TrialRunner
from storagemod.scenario import load_scenario
from storagemod.scenario.fixtures import scenario_path
from storagemod.types import Address
from storagemod.vm.ethereum import U128_MAX
from storagemod.world import World
from tests.explore.examples import quick, rule, shipped, shop
from tests.explore.incidents.cases import place

FAULTY = scenario_path("reentry/withdraw").read_text(encoding="utf-8")
WAT = scenario_path("reentry/withdraw").parents[1] / "bank"


def bank(folder: Path, *, mended: bool = False, name: str = "bank.toml") -> Path:
    """A scenario file of the faulty bank, or of the mended one."""
    text = FAULTY.replace("../bank/bank.wat", str(WAT / ("bank_fixed.wat" if mended else "bank.wat")))
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def kept(folder: Path, name: str = "bank") -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / f"{name}.attacks.json").read_text(encoding="utf-8"))
    return document


def statuses(found: Exploration) -> list[str]:
    return [each.status for each in found.kept.replayed]


# Scripts as JSON

addresses = st.integers(0, 2**160 - 1).map(Address)
values = st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False))
names = st.text(min_size=1, max_size=5).filter(lambda name: name != "main")


def calls(reactions: st.SearchStrategy[Reaction]) -> st.SearchStrategy[Call]:
    return st.builds(
        Call,
        addresses,
        st.none() | names,
        st.lists(values, max_size=3).map(tuple),
        st.binary(max_size=40),
        st.integers(0, 2**127),
        st.none() | addresses,
        st.lists(reactions, max_size=2).map(tuple),
    )


def reactions(within: st.SearchStrategy[Call]) -> st.SearchStrategy[Reaction]:
    return st.builds(
        Reaction,
        addresses,
        st.just("main") | names,
        st.booleans(),
        st.lists(within, max_size=2).map(tuple),
        st.sampled_from(Ending),
        st.none() | st.lists(values, max_size=2).map(tuple),
        st.binary(max_size=40),
        st.none() | addresses,
    )


scripts = st.lists(calls(reactions(calls(reactions(calls(st.builds(Reaction, addresses, names)))))), max_size=3).map(
    tuple
)


@given(scripts)
def test_a_script_is_the_same_after_json(script: Script) -> None:
    text = json.dumps(script_to_json(script), allow_nan=False)

    assert script_from_json(json.loads(text)) == script
    assert repr(script_from_json(json.loads(text))) == repr(script)  # 1 is not 1.0


def test_a_number_that_is_none_is_one_after_json() -> None:
    (call,) = script_from_json(script_to_json((Call(Address(1), "f", (math.nan,)),)))

    assert math.isnan(call.args[0])


@pytest.mark.parametrize(
    "change",
    [
        {"contract": "0xzz"},
        {"contract": 5},
        {"method": None},
        {"args": [True]},
        {"args": ["much"]},
        {"args": {}},
        {"data": "ff"},
        {"data": "0xf"},
        {"value": 1.0},
        {"sender": 1},
        {"reactions": [{}]},
        {"reactions": None},
    ],
)
def test_what_is_no_script_is_refused(change: dict[str, Any]) -> None:
    (content,) = script_to_json((Call(Address(1), "f"),))

    with pytest.raises(ValueError, match=r".+"):
        script_from_json([content | change])


def test_calls_that_are_nested_without_end_are_refused() -> None:
    script: Script = (Call(Address(1), "f"),)
    for _ in range(100):
        script = (Call(Address(1), "f", reactions=(Reaction(Address(2), "g", calls=script),)),)

    with pytest.raises(ValueError, match="nested too deep"):
        script_from_json(script_to_json(script))


# Attacks


def test_a_known_attack_is_told_before_anything_is_tried(tmp_path: Path) -> None:
    scenario, folder = bank(tmp_path), tmp_path / "kept"
    first = explore(scenario, failures=folder)
    again = explore(scenario, failures=folder)

    assert (first.kept.replayed, statuses(again)) == ((), ["breaks it"])
    assert first.found.tries > 0 == again.found.tries
    assert [each.script for each in again.violations] == [each.script for each in first.violations]
    assert kept(folder)["scenario"] == "../bank.toml"


def test_the_attack_that_is_kept_is_the_shortest(tmp_path: Path) -> None:
    found = explore(bank(tmp_path), failures=tmp_path, seed=5)

    (attack,) = kept(tmp_path)["attacks"]
    (violation,) = found.violations
    assert script_from_json(attack["script"]) == violation.script
    assert attack["invariant"] == violation.invariant


def test_a_mended_contract_has_its_attack_called_mended_and_kept(tmp_path: Path) -> None:
    explore(bank(tmp_path), failures=tmp_path)
    before = kept(tmp_path)
    mended = explore(bank(tmp_path, mended=True), failures=tmp_path, tries=100)
    assert (statuses(mended), mended.ok, kept(tmp_path)) == (["mended"], True, before)

    assert statuses(explore(bank(tmp_path), failures=tmp_path)) == ["breaks it"]  # it came back


def test_an_attack_is_kept_however_the_search_ends(tmp_path: Path) -> None:
    class GoneError(Exception):
        pass

    def told(breach: Breach, script: Script, needs_callback: bool) -> None:
        raise GoneError(breach.invariant, script, needs_callback)

    with pytest.raises(GoneError):
        explore(bank(tmp_path), failures=tmp_path, told=told)

    assert [each["invariant"] for each in kept(tmp_path)["attacks"]] == ["the books are honest"]
    assert statuses(explore(bank(tmp_path), failures=tmp_path)) == ["breaks it"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("mallory = 0", "alice = 5\nmallory = 0", "is not untrusted"),
        ("args = [1, 500]", "args = [1, 600]", ""),
        ('name = "the books are honest"', 'name = "another"', "no such invariant"),
    ],
)
def test_an_attack_that_does_not_fit_is_told_and_left_alone(tmp_path: Path, old: str, new: str, why: str) -> None:
    scenario = bank(tmp_path)
    explore(scenario, failures=tmp_path)
    before = kept(tmp_path)["attacks"]
    scenario.write_text(scenario.read_text().replace(old, new))
    found = explore(scenario, failures=tmp_path, tries=5)

    if why:
        assert statuses(found) == ["does not fit"]
        assert why in found.kept.replayed[0].why
    else:
        assert statuses(found) == ["breaks it"]
    assert kept(tmp_path)["attacks"][: len(before)] == before


def test_an_attack_that_is_no_script_is_left_as_it_is(tmp_path: Path) -> None:
    scenario = bank(tmp_path)
    explore(scenario, failures=tmp_path)
    document = kept(tmp_path)
    document["attacks"] = [{"invariant": "the books are honest", "script": 5, "note": "mine"}, 7]
    (tmp_path / "bank.attacks.json").write_text(json.dumps(document))
    found = explore(scenario, failures=tmp_path)

    assert statuses(found) == ["does not fit", "does not fit"]
    assert kept(tmp_path)["attacks"][0] == document["attacks"][0]
    assert len(kept(tmp_path)["attacks"]) == 3


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"schema": "storagemod.run/1"}', '{"schema": "storagemod.attacks/1"}', "[" * 100_000, "\xff"],
)
@pytest.mark.parametrize("name", ["attacks", "corpus"])
def test_a_file_that_is_none_of_ours_is_an_error_before_the_search(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / f"bank.{name}.json"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(StateError, match=r"cannot be read.*mend the file, or move it away"):
        explore(bank(tmp_path), failures=tmp_path)
    assert path.read_bytes() == text.encode("latin-1")


def test_scenarios_of_one_name_have_files_of_their_own(tmp_path: Path) -> None:
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        explore(bank(tmp_path / part), failures=tmp_path)

    assert [kept(tmp_path, name)["scenario"] for name in ("bank", "bank_2")] == ["a/bank.toml", "b/bank.toml"]
    assert statuses(explore(tmp_path / "b" / "bank.toml", failures=tmp_path)) == ["breaks it"]
    explore(shipped("withdraw"), failures=tmp_path)
    assert kept(tmp_path, "withdraw")["scenario"] == "reentry/withdraw"  # no path of this machine


def test_a_folder_that_cannot_be_written_to_is_told_before_the_search(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StateError, match="cannot be written to"):
        explore(bank(tmp_path), failures=tmp_path / "file", told=lambda *_: pytest.fail("a search was begun"))


def test_what_cannot_be_saved_is_told_with_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StateError("the disk is full")

    monkeypatch.setattr("storagemod.explore.saved._write", full)
    found = explore(bank(tmp_path), failures=tmp_path)

    assert not found.ok
    assert "the disk is full" in str(found.kept.unsaved)
    assert found.kept.saved == ()


def test_python_functions_have_attacks_too(tmp_path: Path) -> None:
    bought = {"nothing is sold": lambda world: world.storage(address(world, "shop"))["memory"].read_int(0) == 0}
    settings: dict[str, Any] = {"invariants": bought, "failures": tmp_path, "calls": 1}
    first, second = (explore(shop(rule("1 == 1")), **settings) for _ in range(2))

    assert not first.ok
    assert statuses(second) == ["breaks it"]


def address(world: World, name: str) -> Address:
    return next(each for each, account in world.accounts().items() if account.name == name)


# What fits


@pytest.fixture
def attack() -> tuple[Fit, Script]:
    """The attack on the shop, and what fits it."""
    found = quick(shop(rule("shop.memory[0] == 0")), calls=1)
    (script,) = {each.script for each in found.violations}
    return Fit(found.attackers, tuple(each.account for each in found.attackers), 4, 2), script


def test_what_a_search_found_fits(attack: tuple[Fit, Script]) -> None:
    fit, script = attack

    assert fit.problem(script) is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sender": Address(77)}, "is not untrusted"),
        ({"sender": None}, "is not untrusted"),
        ({"contract": Address(77)}, "no contract"),
        ({"method": "sell"}, "no contract"),
        ({"args": ()}, "other arguments"),
        ({"args": (1.0,)}, "other arguments"),
        ({"args": (2**64,)}, "other arguments"),
        ({"value": -1}, "out of range"),
        ({"value": 2**128}, "out of range"),
        ({"method": None, "args": (), "data": bytes(DATA_BYTES_MAX + 1)}, "16,384 bytes of call data"),
        ({"reactions": (Reaction(Address(77), "thank"),)}, "nobody untrusted"),
    ],
)
def test_a_call_that_no_search_makes_does_not_fit(attack: tuple[Fit, Script], change: Any, why: str) -> None:
    fit, script = attack

    assert why in (fit.problem((attrs.evolve(script[0], **change),)) or "")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"site": "thanks"}, "nobody untrusted"),
        ({"values": (1, 2, 3)}, "other results"),
        ({"ending": Ending.DESTROY}, "inconsistent"),
        ({"beneficiary": Address(1)}, "inconsistent"),
        ({"output": b"x"}, "inconsistent"),
        ({"site": "main", "output": bytes(DATA_BYTES_MAX + 1)}, "16,384 bytes of call data, got 16,385"),
        ({"calls": (Call(Address(77), None),)}, "no contract"),
    ],
)
def test_a_reaction_that_no_search_makes_does_not_fit(attack: tuple[Fit, Script], change: Any, why: str) -> None:
    fit, script = attack
    buyer = fit.attackers[0]
    assert "thank" in buyer.hooks
    reaction = attrs.evolve(Reaction(buyer.account, "thank"), **change)

    assert why in (fit.problem((attrs.evolve(script[0], reactions=(reaction,)),)) or "")


def test_as_much_call_data_fits_as_an_attacker_can_send(attack: tuple[Fit, Script]) -> None:
    fit, script = attack
    longest = attrs.evolve(script[0], method=None, args=(), data=bytes(DATA_BYTES_MAX), value=U128_MAX)

    assert fit.problem((longest,)) is None
    assert script_from_json(script_to_json((longest,))) == (longest,)


def test_scripts_beyond_the_bounds_do_not_fit(attack: tuple[Fit, Script]) -> None:
    fit, script = attack

    assert "--calls" in (fit.problem(script * 6) or "")
    assert fit.problem(()) is not None


# Tries


def corpus(folder: Path, name: str) -> list[Any]:
    tries: list[Any] = json.loads((folder / f"{name}.corpus.json").read_text(encoding="utf-8"))["tries"]
    return tries


def test_a_search_goes_on_from_what_an_earlier_one_met(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"failures": tmp_path, "calls": 4}
    first = explore(shipped("withdraw_fixed"), tries=300, **settings)
    met = len(corpus(tmp_path, "withdraw_fixed"))
    second = explore(shipped("withdraw_fixed"), tries=met, resume=True, **settings)

    assert 0 < met < 100
    assert (second.kept.resumed, second.kept.unfit, second.found.tries) == (met, 0, met)
    assert second.found.coverage.blocks == first.found.coverage.blocks
    assert second.found.corpus == first.found.corpus  # each of them meets something new again
    alone = explore(shipped("withdraw_fixed"), tries=met, calls=4)
    assert len(alone.found.corpus) < met  # which takes longer without


def test_a_resumed_search_runs_no_try_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explore(shipped("withdraw_fixed"), tries=200, calls=3, failures=tmp_path)
    run: list[tuple[Script, Place]] = []
    take = _Search._take

    def keep(self: _Search, each: Candidate, result: TrialResult) -> None:
        run.append((each.script, each.added))
        take(self, each, result)

    monkeypatch.setattr(_Search, "_take", keep)
    found = explore(shipped("withdraw_fixed"), tries=200, calls=3, failures=tmp_path, resume=True)

    assert found.kept.resumed > 5
    assert len(run) == 200
    assert [each for each, times in Counter(run).items() if times > 1] == []


@pytest.mark.parametrize("name", ["five_steps", "dforce_liquidation"])
def test_a_search_that_is_stopped_and_resumed_finds_what_the_whole_one_finds(tmp_path: Path, name: str) -> None:
    place(name, tmp_path / name, fixed=False)
    of = load_scenario(tmp_path / name / "scenario.toml")
    whole = explore(of, tries=1_500)
    first = explore(of, tries=500, failures=tmp_path)
    second = explore(of, tries=1_500, failures=tmp_path, resume=True)  # ways are not counted on: it takes longer

    assert first.ok  # what is found comes later
    assert [each.invariant for each in whole.violations] == [each.invariant for each in second.violations] != []


def test_jobs_make_no_difference_to_a_resumed_search(tmp_path: Path) -> None:
    explore(shipped("withdraw_fixed"), tries=100, calls=3, failures=tmp_path)
    text = (tmp_path / "withdraw_fixed.corpus.json").read_text()
    found = []
    for jobs in (1, 2):
        (tmp_path / "withdraw_fixed.corpus.json").write_text(text)
        one = explore(shipped("withdraw_fixed"), tries=150, calls=3, failures=tmp_path, resume=True, jobs=jobs)
        found.append((one.found, one.kept.resumed))

    assert found[0] == found[1]


@pytest.mark.parametrize("resume", [False, True])
def test_a_short_search_loses_nothing_of_a_long_one(tmp_path: Path, resume: bool) -> None:
    settings: dict[str, Any] = {"failures": tmp_path, "calls": 3}
    explore(shipped("withdraw_fixed"), tries=200, **settings)
    before = corpus(tmp_path, "withdraw_fixed")
    explore(shipped("withdraw_fixed"), tries=2, resume=resume, **settings)

    after = corpus(tmp_path, "withdraw_fixed")
    assert all(each in after for each in before)


def test_tries_that_do_not_fit_are_counted_and_left_out(tmp_path: Path) -> None:
    explore(shipped("withdraw_fixed"), tries=50, calls=2, failures=tmp_path)
    path = tmp_path / "withdraw_fixed.corpus.json"
    document = json.loads(path.read_text())
    count = len(document["tries"])
    document["tries"][0]["script"][0]["method"] = "gone"
    document["tries"][1]["added"] = [9]
    document["tries"][2] = None
    path.write_text(json.dumps(document))
    found = explore(shipped("withdraw_fixed"), tries=50, calls=2, failures=tmp_path, resume=True)

    assert (found.kept.resumed, found.kept.unfit) == (count - 3, 3)


def test_resume_needs_a_folder() -> None:
    with pytest.raises(ValidationError, match="give `failures`"):
        explore(shipped("withdraw"), resume=True)


def test_no_more_attacks_on_one_invariant_are_kept_than_sixteen(tmp_path: Path) -> None:
    saved = Saved(tmp_path / "x", "x")
    for number in range(40):
        saved.add("one", (Call(Address(number), "f"),))
        saved.add("other", (Call(Address(number), "f"),))

    assert [len([each for each in saved.attacks if each.invariant == name]) for name in ("one", "other")] == [16, 16]
    assert not saved.add("one", (Call(Address(39), "f"),))
    assert not saved.add("one", ())


# Time


class Clock:
    """A clock that goes on by one second whenever a script is run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        run = TrialRunner.run

        def run_for_a_second(runner: TrialRunner, *arguments: Any, **named: Any) -> Any:
            self.now += 1.0
            return run(runner, *arguments, **named)

        monkeypatch.setattr(TrialRunner, "run", run_for_a_second)
        monkeypatch.setattr("storagemod.explore.search.time", self)
        monkeypatch.setattr(exploration, "time", self)

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize("name", ["withdraw", "withdraw_fixed", "cross_function"])
@pytest.mark.parametrize("seconds", [3, 20, 40])
def test_seconds_are_those_of_all_that_is_run(monkeypatch: pytest.MonkeyPatch, name: str, seconds: int) -> None:
    clock = Clock(monkeypatch)
    found = explore(shipped(name), calls=6, seconds=seconds)

    assert clock.now <= seconds + 8  # one script may be checked in so many forms, and is run once more for its receipts
    if not found.violations:
        assert found.found.ended == "seconds"


def test_set_up_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    stage = exploration._stage

    def slow(*arguments: Any) -> Any:
        clock.now += 1_000
        return stage(*arguments)

    monkeypatch.setattr(exploration, "_stage", slow)
    found = explore(shipped("withdraw_fixed"), seconds=999)

    assert (found.found.ended, found.found.tries) == ("seconds", 0)
    assert set(found.verdicts.values()) == {"not explored"}


def test_a_budget_tells_why_it_is_used_up() -> None:
    assert Budget(1, None).ended() is None
    assert Budget(1, 1.0, started=-math.inf).ended() == "seconds"
    assert Budget(1, 1.0, lambda: True, started=-math.inf).ended() == "interrupted"


def test_a_scenario_may_be_given_as_it_was_read(tmp_path: Path) -> None:
    path = bank(tmp_path)
    explore(load_scenario(path), failures=tmp_path)

    assert statuses(explore(str(path), failures=str(tmp_path))) == ["breaks it"]
