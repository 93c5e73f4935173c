"""Caveats: what a search could not look at is told, by Python and on the command line; "holds" is not said then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from storagemod.cli import main
from storagemod.explore import Exploration, explore
from storagemod.explore.caveats import SetUp, caveats_of
from storagemod.explore.coverage import Coverage, EntryCoverage, Tally
from storagemod.explore.search import Found
from storagemod.scenario import load_scenario
from storagemod.types import Address

from .examples import rule

Told = tuple[Exploration, str, int]
BANK = Address(0xBA)


@pytest.fixture
def search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Explore a scenario from Python and on the command line; return what that told, and its exit status."""

    def search_both(text: str, **settings: int) -> Told:
        path = tmp_path / "small.toml"
        path.write_text(text)
        settings = {"tries": 60, "calls": 2, **settings}
        found = explore(load_scenario(path), **settings)  # type: ignore[arg-type]
        options = [str(each) for name, number in settings.items() for each in (f"--{name}", number)]
        status = main(["explore", str(path), *options])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        assert main(["explore", str(path), *options, "--json"]) == status
        body = json.loads(capsys.readouterr().out)
        assert body["verdicts"] == dict(found.verdicts)
        assert body["caveats"] == [{"text": each.text, "serious": each.is_serious} for each in found.caveats]
        plain = " ".join(shown.out.split())
        assert all(" ".join(f"mind: {each.text}".split()) in plain for each in found.caveats)
        return found, plain, status

    return search_both


def contract(body: str, more: str = "", money: int = 50, untrusted: bool = True) -> str:
    """A contract with a word of storage and some methods, and an account that nobody trusts."""
    return f"""
{f"[accounts]{chr(10)}mallory = {money}" if untrusted else ""}
[contracts.c]
wat = '''(module (import "storage" "memory" (memory $s 1))
  (import "ethereum" "getCallValue" (func $paid (param i32)))
  (import "ethereum" "getCaller" (func $caller (param i32)))
  (import "ethereum" "callDelegate" (func $delegate (param i64 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  {body})'''
{
        '''[explore]
untrusted = ["mallory"]'''
        if untrusted
        else ""
    }
{more}
{rule("c.memory[0] < 1000000")}"""


COUNT = """(func (export "count") (i64.store $s (i32.const 0) (i64.add (i64.load $s (i32.const 0)) (i64.const 1))))"""
FAIL = """(func (export "fail") (i64.store $s (i32.const 0) (i64.const 7)) unreachable)"""


def serious(found: Exploration) -> list[str]:
    return [each.text for each in found.caveats if each.is_serious]


def verdict(found: Exploration) -> str:
    (only,) = found.verdicts.values()
    return only


def test_where_all_is_well_nothing_is_told_and_it_holds(search: Callable[..., Told]) -> None:
    found, shown, status = search(contract(COUNT))

    assert found.caveats == ()
    assert (verdict(found), status) == ("holds", 0)
    assert "holds: c.memory[0] < 1000000" in shown
    assert "NOT EXPLORED" not in shown


def test_where_every_call_failed_nothing_was_explored(search: Callable[..., Told]) -> None:
    found, shown, status = search(contract(FAIL))

    assert status == 1  # nobody shall take it for a search that found nothing
    assert serious(found) == ["every call that was tried failed"]
    failed = found.found.coverage.entry_points[c_of(found), "fail"].failed
    assert [each.text for each in found.caveats[1:]] == [f"never succeeded: c::fail ({failed} times)"]
    assert failed > 0
    assert verdict(found) == "not explored"
    assert "NOT EXPLORED: c.memory[0] < 1000000" in shown
    assert "holds:" not in shown


def test_where_calls_changed_nothing_nothing_was_explored(search: Callable[..., Told]) -> None:
    found, shown, _ = search(contract("""(func (export "look") (result i64) (i64.load $s (i32.const 0)))"""))

    assert serious(found) == ["no call that was tried changed anything"]
    assert "NOT EXPLORED" in shown


def test_a_method_that_never_succeeded_is_named_beside_one_that_did(search: Callable[..., Told]) -> None:
    found, shown, status = search(contract(COUNT + FAIL))

    assert serious(found) == []
    assert [each.text for each in found.caveats] == [
        f"never succeeded: c::fail ({found.found.coverage.entry_points[c_of(found), 'fail'].failed} times)"
    ]
    assert (verdict(found), status) == ("holds", 0)
    assert "never succeeded: c::fail" in shown


def c_of(found: Exploration) -> Address:
    return found.trust_model.addresses["c"]


def test_untrusted_accounts_that_were_forgotten_are_told_of_with_their_money(search: Callable[..., Told]) -> None:
    found, _, status = search(contract(COUNT, untrusted=False))

    (told,) = found.caveats
    assert "the file names no untrusted account, so one was added" in told.text
    assert '"attacker", with a balance of 1,000,000' in told.text
    assert (told.is_serious, verdict(found), status) == (False, "holds", 0)


def test_attackers_without_money_are_told_of_where_contracts_look_at_it(search: Callable[..., Told]) -> None:
    found, _, _ = search(contract(COUNT, money=0))

    assert [each.text for each in found.caveats] == [
        "untrusted accounts have no money, and contracts look at what is sent to them"
    ]
    assert search(contract(COUNT, money=1))[0].caveats == ()


@pytest.mark.parametrize(
    ("transaction", "what"),
    [
        ('method = "fail"', "outcome"),
        ('method = "count"\nexpect = { value = 5 }', "value"),
        ('method = "count"\nexpect = { ok = false }', "outcome"),
    ],
    ids=["a transaction that reverts", "a false expectation", "a failure that was expected"],
)
def test_a_search_that_began_elsewhere_than_the_file_means_explored_nothing(
    transaction: str, what: str, search: Callable[..., Told]
) -> None:
    found, shown, _ = search(contract(COUNT + FAIL, f'[[transactions]]\nname = "first"\nto = "c"\n{transaction}\n'))

    (text,) = serious(found)
    assert text.startswith('the search began from another state than the file means: transaction "first": ')
    assert what in text
    assert "NOT EXPLORED" in shown
    assert verdict(found) == "not explored"


def test_a_transaction_that_is_as_the_file_says_is_no_caveat(search: Callable[..., Told]) -> None:
    more = '[[transactions]]\nto = "c"\nmethod = "fail"\nexpect = { ok = false }\n'

    assert serious(search(contract(COUNT + FAIL, more))[0]) == []


def test_tries_that_ran_out_of_gas_are_told_and_if_most_did_nothing_was_explored(search: Callable[..., Told]) -> None:
    starved, shown, _ = search(contract(COUNT), gas=5)
    fed, _, _ = search(contract(COUNT), gas=1_000_000)

    assert any("used up its gas, of 5 for a transaction (--gas)" in each for each in serious(starved))
    assert "NOT EXPLORED" in shown
    assert fed.caveats == ()


def test_a_few_tries_without_gas_are_told_and_no_more(search: Callable[..., Told]) -> None:
    """One method of several never ends."""
    found, _, status = search(contract(COUNT + """(func (export "spin") (loop (br 0)))"""), gas=20_000, tries=40)

    (told,) = [each for each in found.caveats if "used up its gas" in each.text]
    assert 0 < found.found.coverage.out_of_gas < found.found.tries / 2
    assert (told.is_serious, verdict(found), status) == (False, "holds", 0)


def test_code_of_attackers_that_a_contract_ran_as_its_own_was_not_explored(search: Callable[..., Told]) -> None:
    run = """(func (export "run") (call $caller (i32.const 0))
      (drop (call $delegate (i64.const 100000) (i32.const 0) (i32.const 0) (i32.const 0))))"""
    found, shown, _ = search(contract(COUNT + run))

    (text,) = serious(found)
    assert "a contract ran the code of an untrusted account as its own" in text
    assert verdict(found) == "not explored"
    assert "NOT EXPLORED" in shown


def test_an_invariant_that_more_money_alone_breaks_is_told_and_not_reported_as_broken(
    search: Callable[..., Told],
) -> None:
    exact = contract(COUNT).replace("c.memory[0] < 1000000", "balance(c) == 0")
    lenient = contract(COUNT).replace("c.memory[0] < 1000000", "balance(c) >= 0")
    pay = """(func (export "pay") (call $paid (i32.const 0)))"""
    found, _, status = search(exact.replace(COUNT, COUNT), tries=300)

    (told,) = found.caveats
    assert 'more money of c alone breaks "balance(c) == 0"' in told.text
    assert (verdict(found), status) == ("holds", 0)
    assert search(lenient)[0].caveats == ()
    broken, _, status = search(exact.replace(COUNT, pay))  # who can pay as well is found, whatever is told
    assert (verdict(broken), status) == ("broken", 1)


def test_a_broken_invariant_is_broken_whatever_could_not_be_looked_at(search: Callable[..., Told]) -> None:
    """What was not explored can hide a fault, and not make one."""
    more = '[[transactions]]\nto = "c"\nmethod = "count"\nexpect = { value = 5 }\n'
    text = contract(COUNT, more).replace("c.memory[0] < 1000000", "c.memory[0] < 2")
    found, shown, status = search(text + rule("c.memory[8] == 0"))

    assert dict(found.verdicts) == {"c.memory[0] < 2": "broken", "c.memory[8] == 0": "not explored"}
    assert status == 1
    assert "BROKEN without any call back: c.memory[0] < 2" in shown
    assert "NOT EXPLORED: c.memory[8] == 0" in shown


# Texts, by numbers


def entry(*, succeeded: int = 0, changed: int = 0, failed: int = 0) -> EntryCoverage:
    return EntryCoverage(0, 0, 0, 0, succeeded, changed, failed)


def found_of(entries: dict[str, EntryCoverage], tries: int = 100, out_of_gas: int = 0) -> Found:
    by_name = {(BANK, name): each for name, each in entries.items()}
    coverage = Coverage({}, by_name, {}, {}, 0, 0, 0, 0, 0, 0, {}, out_of_gas=out_of_gas)
    return Found((), coverage, tries, 0, 0.0, "tries")


def test_six_of_many_methods_are_named_and_what_is_serious_comes_first() -> None:
    entries = {f"m{at}": entry(failed=3) for at in range(9)} | {"good": entry(succeeded=1, changed=1), "idle": entry()}
    found = found_of(entries, out_of_gas=51)
    told = caveats_of(SetUp(stranger=("attacker", 5)), found, 1_000, {BANK: "bank"})

    assert [each.is_serious for each in told] == [True, False, False, False]
    texts = "\n".join(each.text for each in told)
    assert "bank::m5 (3 times) and 3 more" in texts
    assert "m6" not in texts
    assert "never called: bank::idle" in texts
    assert told[0].text == "in 51 tries a call used up its gas, of 1,000 for a transaction (--gas)"


@pytest.mark.parametrize(("out_of_gas", "is_serious"), [(0, None), (1, False), (50, False), (51, True)])
def test_half_of_the_tries_without_gas_is_the_bound(out_of_gas: int, is_serious: bool | None) -> None:
    told = caveats_of(SetUp(), found_of({"a": entry(succeeded=1, changed=1)}, 100, out_of_gas), 10, {})

    assert [each.is_serious for each in told] == ([] if is_serious is None else [is_serious])


def test_a_search_that_tried_nothing_tells_of_methods_and_not_of_failures() -> None:
    (told,) = caveats_of(SetUp(), found_of({"a": entry()}, 0), 10, {BANK: "bank"})

    assert (told.text, told.is_serious) == ("never called: bank::a", False)


# Coverage


def test_coverage_adds_up(search: Callable[..., Told]) -> None:
    unpaid = contract(COUNT + FAIL).replace('(import "ethereum" "getCallValue" (func $paid (param i32)))', "")
    found = search(unpaid, tries=50, calls=3)[0].found
    coverage = found.coverage

    assert sum(coverage.by_calls.values()) == sum(coverage.by_depth.values()) == found.tries
    assert sum(each.sent for each in coverage.entry_points.values()) == sum(
        calls * count for calls, count in coverage.by_calls.items()
    )  # nobody is called and nobody can be paid, so every call is a transaction to an entry point
    for each in coverage.entry_points.values():
        assert each.changed <= each.succeeded
        assert each.succeeded + each.failed <= found.tries
        assert each.taken <= each.possible
    ((ran, blocks),) = coverage.blocks.values()
    assert 0 < ran <= blocks


@pytest.mark.parametrize(("left", "refused", "complete"), [(0, {}, True), (1, {}, False), (0, {"too much": 1}, False)])
def test_a_search_is_complete_where_nothing_is_left_and_nothing_was_refused(
    left: int, refused: dict[str, int], complete: bool
) -> None:
    tally = Tally([])
    tally.refused.update(refused)

    assert tally.coverage(left=left, too_deep=3, too_long=4, blocks={}).complete is complete
