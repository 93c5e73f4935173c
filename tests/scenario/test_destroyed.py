"""A contract that a transaction destroys is a finding about the world, and no mistake in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from storagemod.errors import ScenarioError, ValidationError
from storagemod.explore import explore
from storagemod.scenario import Difference, parse_scenario, run_scenario

BANK = """
[accounts]
alice = 5
[contracts.bank]
wat = '''
(module
  (import "storage" "memory" (memory $storage 1))
  (import "ethereum" "selfDestruct" (func $destroy (param i32)))
  (memory (export "memory") 1)
  (func (export "total") (result i64) (i64.load $storage (i32.const 0)))
  (func (export "half") (result f64) (f64.const 0.5))
  (func (export "echo") (param i32) (result i32) (local.get 0))
  (func (export "main"))
  (func (export "kill") (call $destroy (i32.const 0))))
'''
"""
KILL = "[[transactions]]\nto = 'bank'\nmethod = 'kill'\n"
GONE = "the contract bank is gone: it was destroyed"

DOOR = """
(module
  (import "contract:guest" "greet" (func $greet))
  (import "contract:bank" "kill" (func $kill))
  (func (export "enter") (call $greet) (call $kill)))
"""


def differences(text: str) -> list[Difference]:
    result = run_scenario(parse_scenario(BANK + text, path="it.toml", folder=Path()))
    return [difference for transaction in result.transactions for difference in transaction.differences]


@pytest.mark.parametrize(
    "expr", ["bank.memory[0] == 0", "sum(bank.memory[0:8]) == 0", "call(bank, 'total') == before(call(bank, 'total'))"]
)
def test_an_invariant_over_a_destroyed_contract_is_violated(expr: str) -> None:
    (found,) = differences(f'{KILL}[[invariants]]\nexpr = "{expr}"\n')
    assert (found.wanted, found.found) == (expr, GONE)


def test_an_expectation_of_the_storage_of_a_destroyed_contract_differs_at_its_line() -> None:
    text = f"{KILL}expect.storage = [{{ contract = 'bank', i64 = 0 }}]\n"
    (found,) = differences(text)
    assert (found.what, found.found) == ("storage of bank", GONE)
    assert found.line == (BANK + text).count("\n")


def test_a_transaction_to_a_destroyed_contract_differs_and_the_next_one_runs() -> None:
    total = "[[transactions]]\nto = 'bank'\nmethod = 'total'\n"
    text = f"{KILL}{total}[[transactions]]\nto = 'alice'\nvalue = 1\nexpect.balance = {{ alice = 7 }}\n"
    refused, balance = differences(text)
    assert (refused.what, refused.found) == ("outcome", f"a failure: {GONE}")
    assert (balance.wanted, balance.found) == ("7", "6")


def test_a_sender_that_spent_its_money_is_a_difference_and_one_that_never_had_it_a_mistake() -> None:
    send = "[[transactions]]\nto = 'bank'\nsender = 'alice'\nvalue = {}\n"
    (found,) = differences(send.format(3) + send.format(4))
    assert found.found == "a failure: alice has a balance of 2 and cannot pay 4"
    with pytest.raises(ScenarioError, match="cannot pay 6"):
        differences(send.format(6))


def test_a_value_in_the_world_that_is_no_argument_violates_and_a_float_as_offset_is_a_mistake() -> None:
    preset = "[[contracts.bank.storage]]\ni64 = 9_999_999_999\n"
    transaction = "[[transactions]]\nto = 'bank'\n"
    expr = "call(bank, 'echo', bank.memory[0]) == 0"
    (found,) = differences(f'{preset}{transaction}[[invariants]]\nexpr = "{expr}"\n')
    assert "9999999999 does not fit 32 bits" in found.found
    for place in ("bank.memory[call(bank, 'half')] == 0", "sum(bank.memory[0:call(bank, 'half')]) == 0"):
        with pytest.raises(ScenarioError, match=r"it.toml:\d+: .*an offset is an integer, got 0.5"):
            differences(f'{transaction}[[invariants]]\nexpr = "{place}"\n')


def test_the_trace_of_the_transaction_names_the_contract_that_it_destroys() -> None:
    result = run_scenario(parse_scenario(BANK + KILL, path="it.toml", folder=Path()))
    receipt = result.transactions[0].receipt
    assert receipt is not None
    assert receipt.trace is not None
    assert "bank" in receipt.trace.labels.values()


def test_an_attack_that_destroys_a_contract_is_found_and_shown() -> None:
    invariants = "[[invariants]]\nexpr = 'bank.memory[0] == 0'\n[[invariants]]\nexpr = 'balance(bank) == 0'\n"
    text = f"{BANK}[contracts.door]\nwat = '''{DOOR}'''\nlinks = {{ guest = 'guest', bank = 'bank' }}\n"
    text = text.replace("[accounts]", "[accounts]\nguest = 1")
    found = explore(parse_scenario(text + invariants, path="it.toml", folder=Path()), calls=3)
    (violation,) = found.violations
    assert violation.breach.why == (GONE,)
    assert len(violation.receipts) == 1


def test_a_function_that_cannot_be_evaluated_any_more_is_violated_too() -> None:
    text = f"{BANK}[explore]\nsenders = ['alice']\nuntrusted = ['alice']\n"
    scenario = parse_scenario(text, path="it.toml", folder=Path())
    bank = scenario.addresses["bank"]
    invariants = {
        "total": lambda world: world.call(bank, "total").value == 0,
        "pages": lambda world: len(world.storage(bank)) == 1,
    }
    found = explore(scenario, invariants=invariants)
    assert [violation.invariant for violation in found.violations] == ["total", "pages"]
    assert all("there is no contract" in violation.breach.why[0] for violation in found.violations)
    with pytest.raises(ValidationError, match="no method 'totl'"):
        explore(scenario, invariants={"total": lambda world: world.call(bank, "totl").value == 0})


def test_what_a_scenario_destroys_before_the_search_breaks_its_invariants_from_the_start() -> None:
    invariants = "[explore]\nsenders = ['alice']\nuntrusted = ['alice']\n[[invariants]]\nexpr = 'bank.memory[0] == 0'\n"
    found = explore(parse_scenario(BANK + KILL + invariants, path="it.toml", folder=Path()))
    (violation,) = found.violations
    assert (violation.breach.why, violation.script) == ((GONE,), ())
