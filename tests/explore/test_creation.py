"""Calls back out of code that is not a contract's own: of accounts being created, of libraries, of attackers."""

from __future__ import annotations

from pathlib import Path

import pytest

from storagemod.explore import Exploration, explore
from storagemod.explore.attacker import REGION
from storagemod.explore.exploration import Settings, _stage
from storagemod.explore.plan import Plan
from storagemod.explore.script import Call, Reaction
from storagemod.explore.trial import TrialRunner
from storagemod.scenario import parse_scenario
from storagemod.scenario.schema import Scenario
from tests.explore.incidents.cases import FIXED, ROOT

FACTORY = """
(module
  (import "ethereum" "create" (func $create (param i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callDataCopy" (func $callDataCopy (param i32 i32 i32)))
  (import "ethereum" "getCallDataSize" (func $size (result i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "storage" "memory" (memory $storage 1))
  (memory $memory (export "memory") 2)
  (func (export "main") (local $count i32)
    (local.set $count (i32.load $storage (i32.const 0)))
    (if (i32.ge_u (local.get $count) (i32.const 2)) (then (call $revert (i32.const 0) (i32.const 0))))
    (if (i32.lt_u (call $size) (i32.const {head})) (then (call $revert (i32.const 0) (i32.const 0))))
    (call $callDataCopy (i32.const 4096) (i32.const {head}) (i32.sub (call $size) (i32.const {head})))
    {first}
    (if (call $create (i32.const 64) (i32.const 4096) (i32.sub (call $size) (i32.const {head})) (i32.const 32))
      (then (call $revert (i32.const 0) (i32.const 0))))
    {then}
    (i32.store $storage (i32.const 4) (i32.add (i32.load $storage (i32.const 4)) (i32.const 1)))))
"""
"""Creates accounts from code in its call data, two at most. It counts them before or after."""

COUNT = "(i32.store $storage (i32.const 0) (i32.add (local.get $count) (i32.const 1)))"


def factory(*, fixed: bool, head: int = 0, more: str = "") -> Scenario:
    code = FACTORY.format(head=head, first=COUNT if fixed else "", then="" if fixed else COUNT)
    text = f"""
[accounts]
mallory = {{ address = "0x6a11", balance = 0 }}
[explore]
untrusted = ["mallory"]
[contracts.factory]
wat = '''{code}'''
{more}
[[invariants]]
name = "all are counted"
expr = "factory.memory.i32[0] == factory.memory.i32[4]"
"""
    return parse_scenario(text, path="factory.toml", folder=Path())


def test_code_that_callers_give_to_a_factory_calls_back() -> None:
    exploration = explore(factory(fixed=False), tries=600)

    (violation,) = exploration.violations
    assert violation.needs_callback
    created = violation.script[0].reactions[0]
    assert created.site == "main"
    assert created.calls


def test_code_stands_where_code_was_seen_in_call_data() -> None:
    seen = '[[transactions]]\nto = "factory"\ndata = "0x010203040061736d01000000"\nexpect = { may_fail = true }\n'
    exploration = explore(factory(fixed=False, head=4, more=seen), tries=600)

    (violation,) = exploration.violations
    assert violation.script[0].data[:8] == b"\x01\x02\x03\x04\0asm"


def test_factory_that_counts_first_holds_and_the_code_of_attackers_ran() -> None:
    exploration = explore(factory(fixed=True), tries=600)

    assert exploration.verdicts == {"all are counted": "holds"}
    assert not any("perhaps from code that callers give" in each.text for each in exploration.caveats)


def test_it_is_told_where_no_code_of_attackers_was_created() -> None:
    exploration = explore(factory(fixed=True, head=3), tries=300)

    assert any("perhaps from code that callers give" in each.text for each in exploration.caveats)


# Incidents: code of a template that a factory creates, and a library


def incident(name: str, *, fixed: bool) -> Exploration:
    folder = ROOT / name
    text = (folder / "scenario.toml").read_text(encoding="utf-8")
    if fixed:
        for twin in folder.glob(f"*{FIXED}"):
            text = text.replace(f'"{twin.name.replace(FIXED, ".wat")}"', f'"{twin.name}"')
    return explore(parse_scenario(text, path=f"{name}.toml", folder=folder), tries=20_000 if not fixed else 500)


@pytest.mark.parametrize("name", ["wallet_template", "parity_library"])
def test_call_back_out_of_created_or_delegated_code_is_found(name: str) -> None:
    violations = incident(name, fixed=False).violations

    assert violations
    assert any(each.needs_callback for each in violations)


@pytest.mark.parametrize("name", ["wallet_template", "parity_library"])
def test_mended_twin_of_created_or_delegated_code_holds(name: str) -> None:
    exploration = incident(name, fixed=True)

    assert exploration.ok
    told = [each.text for each in exploration.caveats if "a contract was created" in each.text]
    assert bool(told) == (name == "wallet_template")


# Contracts that run the code of attackers as their own

PROXY = """
(module
  (import "ethereum" "{kind}" (func $delegate (param i64 i32 {value} i32 i32) (result i32)))
  (import "storage" "memory" (memory $storage 1{pages}))
  (memory $memory (export "memory") 1)
  (data (memory $memory) (i32.const 12) "\\00\\00\\00\\00\\00\\00\\6a\\11")
  (func (export "run") (result i32)
    (call $delegate (i64.const 5000000) (i32.const 0) {zero} (i32.const 0) (i32.const 0))))
"""


@pytest.mark.parametrize("pages", ["", " 2"])
@pytest.mark.parametrize("kind", ["callDelegate", "callCode"])
@pytest.mark.parametrize("garbage", ["[16]", "[-1]", "[4294967312, 4294967312, 1]", "[68719476752, 0, 0]", "[65536]"])
def test_attacker_does_nothing_on_the_storage_of_a_contract(kind: str, garbage: str, pages: str) -> None:
    """Whatever stands there: read as a script, a list that leads to itself would never end, and others would trap."""
    code = kind == "callCode"
    wat = PROXY.format(kind=kind, pages=pages, value="i32" if code else "", zero="(i32.const 64)" if code else "")
    text = f"""
[accounts]
mallory = {{ address = "0x6a11", balance = 5 }}
[explore]
untrusted = ["mallory"]
[contracts.proxy]
wat = '''{wat}'''
storage = [{{ offset_bytes = 0, i64 = {garbage} }}, {{ offset_bytes = 16, i64 = [4294967312, 16, -1] }}]
[[invariants]]
expr = "proxy.memory[0] == before(proxy.memory[0])"
"""
    scenario = parse_scenario(text, path="proxy.toml", folder=Path())
    stage = _stage(scenario, Settings(), None)
    runner = TrialRunner(Plan(stage.scenario, stage.blueprint, stage.attackers))
    proxy, mallory = scenario.address("proxy"), scenario.address("mallory")
    receipts: list[object] = []

    result = runner.run((Call(proxy, "run", sender=mallory),), receipts=receipts)  # type: ignore[arg-type]

    (receipt,) = receipts
    assert (receipt.ok, receipt.value) == (True, 0)  # type: ignore[attr-defined]
    assert receipt.gas_used < 100_000  # type: ignore[attr-defined]
    assert not result.breaches
    assert result.delegated
    assert stage.attackers[0].is_borrowed
    assert len(runner.world.storage(mallory)[REGION]) > 0

    played = Reaction(mallory, "main", calls=(Call(proxy, "run"),))  # on its own storage it is as it was
    result = runner.run((Call(mallory, None, sender=mallory, reactions=(played,)),))
    assert result.outcomes[0, 0, 0].ok


def test_attacker_asks_where_it_runs_only_if_its_code_may_be_borrowed() -> None:
    (attacker,) = _stage(factory(fixed=True), Settings(), None).attackers

    assert not attacker.is_borrowed
    assert "getAddress" not in attacker.wat()
