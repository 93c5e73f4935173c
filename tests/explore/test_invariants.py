"""The language of invariants: what it says, and what it refuses, with the line of the file."""

from __future__ import annotations

import pytest

from storagemod import World
from storagemod.errors import ScenarioError
from storagemod.explore import explore
from storagemod.scenario import deploy_scenario, expressions, invariants_of, parse_invariant, run_scenario
from storagemod.scenario.invariants import Verdict

from .examples import scenario

TEXT = """
[accounts]
alice = 70
[contracts.bank]
wat = '''
(module
  (import "storage" "memory" (memory $storage 1))
  (func (export "total") (result i64) (i64.load $storage (i32.const 0)))
  (func (export "plus") (param i64 i32) (result i64) (i64.add (local.get 0) (i64.extend_i32_s (local.get 1))))
  (func (export "half") (result f64) (f64.const 0.5))
  (func (export "pair") (result i32 i32) (i32.const 1) (i32.const 2))
  (func (export "nothing"))
  (func (export "trap") (result i32) (unreachable))
  (func (export "spin") (result i32) (local $left i32)
    (local.set $left (i32.const 1000000))
    (loop $again (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (local.get $left))
  (func (export "add") (param i64)
    (i64.store $storage (i32.const 0) (i64.add (i64.load $storage (i32.const 0)) (local.get 0)))))
'''
balance = 5
storage = [{ i64 = [7, -1, 3] }]
[contracts.my-bank]
wat = '''(module (import "storage" "memory" (memory 1)))'''
"""
ADD = "[[transactions]]\nto = 'bank'\nmethod = 'add'\nargs = [3]\n"


def check(expr: str) -> Verdict:
    of = scenario(TEXT + ADD)
    world = World()
    deploy_scenario(of, world)
    invariant = parse_invariant(expr, of)
    return invariant.check(world, invariant.capture(world))


@pytest.mark.parametrize(
    "expr",
    [
        "bank.memory[0] == 7",
        "bank.memory[8] == -1",
        "bank.memory.u64[8] == 18446744073709551615",
        "bank.memory.i32[8] == -1 and bank.memory.u32[8] == 4294967295 and bank.memory.u8[8] == 255",
        "bank.memory[4 * 2 + 0x8] == 3",
        "sum(bank.memory[0:24]) == 9 and sum(bank.memory[0:]) == 9 and sum(bank.memory[:8]) == 7",
        "sum(bank.memory[0:20]) == 6",
        "max(bank.memory[0:24]) == 7 and min(bank.memory[0:24]) == -1 and max(1, 2, bank.memory[16]) == 3",
        "sum(bank.memory[8:8]) == 0",
        "balance(alice) == 70 and balance(bank) == 5",
        'call(bank, "total") == 7 and call(bank, "plus", 40, bank.memory[16] - 1) == 42',
        'call(bank, "half") < 1',
        'account("my-bank").memory[0] == 0 and balance(account("my-bank")) == 0',
        "before(bank.memory[0] + 1) == 8",
        "7 // 2 == 3 and -7 % 3 == 2 and abs(-4) == 4",
        "1 < 2 <= 2 < 3 != 4",
        "not False or 1 == 2",
        "True == (1 == 1)",
        "(1 ==\n 1)",
        "1 == 1 or bank.memory[0] // bank.memory[24] == 1",
    ],
)
def test_holds(expr: str) -> None:
    assert check(expr) == Verdict(True)


@pytest.mark.parametrize(
    ("expr", "why"),
    [
        ("bank.memory[0] > 7", ("bank.memory[0] = 7",)),
        ("sum(bank.memory[0:24]) == balance(alice)", ("sum(bank.memory[0:24]) = 9", "balance(alice) = 70")),
        ("before(balance(alice)) != 70", ("before(balance(alice)) = 70",)),
        ("False", ()),
        (
            "1 % bank.memory[24] == 1",
            ("bank.memory[24] = 0", "`1 % bank.memory[24]` has no value: integer modulo by zero"),
        ),
        ("bank.memory[65530] == 1", ("bank.memory[65530] = 0",)),
        (
            "bank.memory[bank.memory[8]] == 1",
            ("bank.memory[8] = -1", "`bank.memory[bank.memory[8]]`: an offset must be 0 or more, got -1"),
        ),
        ("min(bank.memory[8:8]) == 0", ("`min(bank.memory[8:8])` has no value: the range is empty",)),
    ],
)
def test_does_not_hold_and_says_why(expr: str, why: tuple[str, ...]) -> None:
    verdict = check(expr)

    assert not verdict.holds
    assert verdict.why == why


def test_a_call_that_fails_has_no_value() -> None:
    (why,) = check('call(bank, "trap") == 0').why
    assert why.startswith("`call(bank, 'trap')` has no value: bank at call depth 1:")


def test_numbers_do_not_grow_without_end() -> None:
    long = " * ".join(["bank.memory.u64[8]"] * 100)
    (*_, why) = check(f"{long} == 0").why
    assert why.endswith("longer than 1,000 digits")


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("", "invalid syntax"),
        ("1 ==", "invalid syntax"),
        ("bank.memory[0]", "is a number, and something true or false is wanted"),
        ("1 == True", "compares a number with something true or false"),
        ("bank.memory[0:8] == 1", "compares a range of numbers with a number"),
        ("bank", "`bank` is an account, and not a number by itself"),
        ("bnak.memory[0] == 1", 'no account or contract is named "bnak" \\(did you mean "bank"'),
        ("bank.memory.i16[0] == 1", "there are no integers 'i16'"),
        ("bank[0] == 1", "names no region of storage"),
        ("balance(7) == 1", "`7` is no account"),
        ("balance() == 1", "balance takes one argument"),
        ("call(bank) == 1", "wanted call\\(CONTRACT"),
        ("call(bank, 7) == 1", "wanted call\\(CONTRACT"),
        ("before(before(1)) == 1", "`before` within `before`"),
        ("sun(bank.memory[0:8]) == 1", 'no such function.*did you mean "sum"'),
        ("sum() == 1", "sum takes numbers"),
        ("sum(1 == 1) == 1", "sum takes numbers"),
        ("sum(*bank) == 1", "no arguments with a star"),
        ("abs(x=1) == 1", "no such function"),
        ("1 / 2 == 1", "no such operator"),
        ("1 in 2", "no such comparison"),
        ("1.5 == 1", "not a part of this language"),
        ("'a' == 1", "not a part of this language"),
        ("__import__('os').system('true') == 0", "no such function"),
        ("().__class__ == 1", "not a part of this language"),
        ("[x for x in (1,)] == 1", "not a part of this language"),
        ("(lambda: 1)() == 1", "no such function"),
        ("(a := 1) == 1", "not a part of this language"),
        ("1 == 1\0", "null"),
        ("(" * 5000 + "1" + ")" * 5000 + " == 1", "longer than 10,000|nested"),
        ("-" * 9000 + "1 == 1", "nested"),
        ("1 == " + "9" * 5000, "digit"),
    ],
)
def test_what_is_no_invariant_is_refused(expr: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        parse_invariant(expr, scenario(TEXT + ADD))


def test_an_evaluation_reads_so_much_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = ", ".join(["bank.memory.u8[0:]"] * 100)
    assert check(f"sum({ranges}) == 100 * (7 + 255 * 8 + 3) and min({ranges}) == 0 and max({ranges}) == 255").holds
    monkeypatch.setattr(expressions, "READ_BYTES_MAX", 65_536)
    assert check("sum(bank.memory[0:]) == 9").holds
    with pytest.raises(ScenarioError, match=r"it reads more than 65,536 bytes of storage \(take a range"):
        check("sum(bank.memory[0:]) == 9 and bank.memory[0] == 7")


def test_the_calls_of_an_evaluation_use_so_much_gas() -> None:
    calls = " + ".join(['call(bank, "spin")'] * 40)
    with pytest.raises(ScenarioError, match=r"its calls use more than 100,000,000 gas \(make several invariants"):
        check(f"{calls} == 0")


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("bank.memori[0] == 1", "bank has no region 'memori'"),
        ("alice.memory[0] == 1", "there is no contract at alice"),
        ('call(bank, "totl") == 1', "no method 'totl'.*did you mean 'total'"),
        ('call(bank, "plus", 1) == 1', "takes 2 arguments"),
        ('call(bank, "pair") == 1', "gives several numbers"),
        ('call(bank, "nothing") == 1', "gives nothing"),
        ('call(alice, "x") == 1', "there is no contract at alice"),
    ],
)
def test_what_an_invariant_speaks_of_has_to_be_there(expr: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        check(expr)


def test_a_scenario_checks_its_invariants_after_each_transaction_at_their_lines() -> None:
    invariants = """
[[invariants]]
name = "small"
expr = "bank.memory[0] < 11"
[[invariants]]
expr = "bank.memory[0] == before(bank.memory[0]) + 3"
"""
    text = TEXT + ADD + ADD + invariants

    result = run_scenario(scenario(text))

    first, second = result.transactions
    assert first.ok
    (difference,) = second.differences
    assert (difference.what, difference.found) == ('invariant "small"', "bank.memory[0] = 13")
    assert text.splitlines()[(difference.line or 0) - 1] == 'expr = "bank.memory[0] < 11"'


def test_a_wrong_one_is_told_before_anything_is_deployed() -> None:
    world = World()
    with pytest.raises(ScenarioError, match="`1 // 0` has no value"):
        run_scenario(scenario(TEXT + ADD + '[[invariants]]\nexpr = "1 // 0 == 1"\n'), world=world)
    assert list(world.accounts()) == [world.default_sender]


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        (
            "1 // bank.memory[24] == 1",
            r"it has no value before anything is tried: bank.memory\[24\] = 0; `1 // .* by zero \(where a part may",
        ),
        ("before(1 // bank.memory[24]) == 1", "it has no value before anything is tried"),
        ("bank.memory[bank.memory[8]] == 1", "an offset must be 0 or more, got -1"),
        ("call(bank, 'trap') == 0", r"before anything is tried: `call\(bank, 'trap'\)` has no value"),
        ("guest.memory[0] == 0", "expected storage or methods of a trusted contract, got those of guest"),
        ("call(guest, 'hook') == 0", r"got those of guest, which is untrusted \(an attacker runs in its place"),
        ("sum(guest.memory[0:8]) == 0", "got those of guest, which is untrusted"),
        ("alice.memory[0] == 0", "there is no contract at alice"),
    ],
)
def test_a_search_refuses_what_has_no_value_at_its_start(expr: str, message: str) -> None:
    text = f'{TEXT}[accounts.guest]\nbalance = 1\n[explore]\nuntrusted = ["guest"]\n[[invariants]]\nexpr = "{expr}"\n'
    line = text.count("\n")
    with pytest.raises(ScenarioError, match=rf"small.toml:{line}: invariant .*{message}"):
        explore(scenario(text))


def test_what_has_no_value_in_a_later_state_is_broken_there() -> None:
    text = f"{TEXT}[explore]\nuntrusted = ['guest']\n[accounts.guest]\nbalance = 1\n"
    found = explore(scenario(text + "[[invariants]]\nexpr = '1 // (bank.memory[0] - 8) < 2'\n"), tries=2000)
    (violation,) = found.violations
    assert len(violation.script) == 1
    assert "has no value: integer division or modulo by zero" in violation.breach.why[-1]


def test_a_wrong_one_is_told_with_its_line() -> None:
    text = TEXT + ADD + '[[invariants]]\nexpr = "1 =="\n'
    with pytest.raises(ScenarioError, match=rf"small.toml:{len(text.splitlines())}: not an invariant"):
        invariants_of(scenario(text))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[[invariants]]\nname = 'x'", 'the key "expr" is missing'),
        ("[[invariants]]\nexpr = 7", "wanted a string"),
        ("[[invariants]]\nexpr = '1 == 1'\nat = 'ends'", '"ends" is no moment \\(did you mean "end"'),
        ("[[invariants]]\nexpr = '1 == 1'\nwhen = 'end'", 'unknown key "when"'),
        ("[invariants]\nexpr = '1 == 1'", "wanted tables \\[\\[invariants\\]\\]"),
    ],
)
def test_tables_of_invariants_have_to_be_as_they_are(table: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        scenario(TEXT + ADD + table)
