"""A scenario that extends another one: what holds of both, and where its problems are."""

from __future__ import annotations

from pathlib import Path

import pytest

from storagemod.errors import ScenarioError
from storagemod.explore import explore
from storagemod.inputs import EXTENDS_MAX
from storagemod.scenario import Scenario, ScenarioFileError, load_scenario, parse_scenario, run_scenario
from storagemod.scenario.fixtures import scenario_names, scenario_path
from storagemod.scenario_files import is_scenario
from storagemod.types import Address

BASE = """\
[scenario]
name = "base"

[accounts]
alice = 100
mallory = { balance = 7 }

[contracts.box]
code = "box.wat"

[explore]
untrusted = ["mallory"]
senders = ["alice"]

[[transactions]]
to = "box"
method = "set"
args = [1]
expect = { storage = [{ contract = "box", i64 = [1] }] }

[[transactions]]
to = "box"
method = "set"
args = [2]

[[invariants]]
name = "small"
expr = "box.memory[0] < 10"

[[invariants]]
expr = "box.memory[0] != 5"
"""

BOX = """\
(module
  (import "storage" "memory" (memory $storage 1))
  (memory (export "memory") 1)
  (func (export "set") (param i64) (i64.store $storage (i32.const 0) (local.get 0))))
"""

EMPTY = '(module (memory (export "memory") 1) (func (export "main")))'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base scenario, and a folder beside it for those that extend it."""
    (tmp_path / "base.toml").write_text(BASE)
    (tmp_path / "box.wat").write_text(BOX)
    (tmp_path / "more").mkdir()
    return tmp_path


def extended(folder: Path, text: str, about: str = "", name: str = "more/own.toml") -> Scenario:
    path = folder / name
    path.write_text(f'[scenario]\nextends = "../base.toml"\n{about}\n{text}')
    return load_scenario(path, label=name)


def test_all_of_the_base_holds_and_its_transactions_run_first(folder: Path) -> None:
    scenario = extended(folder, '[[transactions]]\nto = "box"\nmethod = "set"\nargs = [3]')

    result = run_scenario(scenario)

    assert scenario.name == "own"
    assert list(scenario.accounts) == ["alice", "mallory"]
    assert [each.title for each in result.transactions] == ["box::set(1)", "box::set(2)", "box::set(3)"]
    assert [each.title for each in scenario.invariants] == ["small", "box.memory[0] != 5"]
    assert scenario.explore.untrusted == ("mallory",)
    assert result.ok


def test_it_may_run_only_the_first_transactions_and_check_only_some_invariants(folder: Path) -> None:
    text = '[[transactions]]\nto = "box"\nmethod = "set"\nargs = [5]'
    scenario = extended(folder, text, 'base_transactions = 1\nbase_invariants = ["small"]')

    result = run_scenario(scenario)

    assert [each.title for each in result.transactions] == ["box::set(1)", "box::set(5)"]
    assert [each.name for each in scenario.invariants] == ["small"]
    assert result.ok


def test_what_has_the_same_name_replaces_that_of_the_base_and_a_contract_keeps_its_address(folder: Path) -> None:
    text = f"""
    [accounts]
    alice = 5
    bob = 6
    [contracts.mallory]
    wat = '''{EMPTY}'''
    [contracts.other]
    wat = '''{EMPTY}'''
    [explore]
    senders = ["bob"]
    [[invariants]]
    name = "small"
    expr = "box.memory[0] < 2"
    """
    scenario, base = extended(folder, text), load_scenario(folder / "base.toml")

    assert {name: spec.balance for name, spec in scenario.accounts.items()} == {"alice": 5, "bob": 6}
    assert list(scenario.contracts) == ["box", "mallory", "other"]
    assert {name: scenario.addresses[name] for name in base.addresses} == dict(base.addresses)
    assert len(set(scenario.addresses.values())) == len(scenario.addresses) == 5
    assert (scenario.explore.untrusted, scenario.explore.senders) == (("mallory",), ("bob",))
    assert [each.expr for each in scenario.invariants] == ["box.memory[0] != 5", "box.memory[0] < 2"]
    (difference,) = run_scenario(scenario).transactions[1].differences
    assert (difference.what, difference.file) == ('invariant "small"', "more/own.toml")


def test_an_address_that_is_given_is_taken_whatever_the_base_says(folder: Path) -> None:
    scenario = extended(folder, f"[contracts.mallory]\naddress = '0x09'\nwat = '''{EMPTY}'''")

    assert scenario.addresses["mallory"] == Address(9)
    with pytest.raises(ScenarioError, match=r"more/own.toml:5: .* is the address of box already"):
        extended(folder, "[accounts]\nnew = { address = 0xc0de0000 }")


def test_differences_and_errors_name_the_file_that_has_the_line(folder: Path) -> None:
    scenario = extended(folder, '[[transactions]]\nto = "box"\nmethod = "set"\nargs = [50]\nname = "last"')
    last = run_scenario(scenario).transactions[-1]

    assert (last.file, last.line) == ("more/own.toml", 4)
    assert [(each.file, each.line) for each in last.differences] == [("more/../base.toml", 28)]

    base = folder / "base.toml"
    base.write_text(base.read_text().replace("i64 = [1]", "i64 = [7]").replace("args = [2]", "args = []"))
    scenario = extended(folder, "")
    with pytest.raises(ScenarioError, match=r'more/\.\./base\.toml:21: transaction "box::set\(\)"'):
        run_scenario(scenario)

    (folder / "box.wat").write_text("(module")
    with pytest.raises(ScenarioError, match=r'more/\.\./base\.toml:9: contract "box"'):
        run_scenario(scenario)


def test_an_expectation_of_the_base_is_told_with_its_line_there(folder: Path) -> None:
    base = folder / "base.toml"
    base.write_text(base.read_text().replace("i64 = [1]", "i64 = [7]"))

    first = run_scenario(extended(folder, "")).transactions[0]

    assert [(each.file, each.line) for each in first.differences] == [("more/../base.toml", 19)]


def test_problems_of_both_files_are_told_with_their_place(folder: Path) -> None:
    with pytest.raises(ScenarioFileError) as both:
        extended(folder, '[[transactions]]\nto = "bxo"', 'base_transactions = 3\nbase_invariants = ["smal"]')
    assert [str(each) for each in both.value.problems] == [
        "more/own.toml:3: `base_transactions` is 3, and more/../base.toml has 2",
        'more/own.toml:4: more/../base.toml has no invariant named "smal" (did you mean "small"?)',
        'more/own.toml:6: no account or contract is named "bxo" (did you mean "box"?)',
    ]
    with pytest.raises(ScenarioError, match=r'more/own\.toml:5: "box" is a contract of more/\.\./base\.toml'):
        extended(folder, "[accounts]\nbox = 1")
    with pytest.raises(ScenarioError, match=r"own\.toml:2: `base_invariants` is about the scenario of `extends`"):
        parse_scenario("[scenario]\nbase_invariants = []\n[invariants]", path="own.toml", folder=folder)

    (folder / "base.toml").write_text("[contract]")
    with pytest.raises(ScenarioError, match=r'more/\.\./base\.toml:1: unknown key "contract"'):
        extended(folder, "")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../gone.toml", "gone.toml cannot be read: No such file or directory (`extends` is relative to"),
        ("", "`extends` is the path of another scenario, and it is empty"),
        ("..", "is a directory (name a file)"),
        ("own.toml", "own.toml is extended by itself in the end"),
        ("../more/./own.toml", "own.toml is extended by itself in the end"),
    ],
)
def test_a_base_that_cannot_be_is_told_at_the_line_that_names_it(folder: Path, path: str, message: str) -> None:
    own = folder / "more" / "own.toml"
    own.write_text(f'\n[scenario]\nextends = "{path}"')

    with pytest.raises(ScenarioError) as error:
        load_scenario(own)

    assert str(error.value).startswith(f"{own}:3: ")
    assert message in str(error.value)


def test_a_row_of_files_that_extend_one_another_has_a_limit_and_no_circle(folder: Path) -> None:
    for number in range(EXTENDS_MAX + 1):
        base = "base.toml" if number == 0 else f"{number - 1}.toml"
        (folder / f"{number}.toml").write_text(f'[scenario]\nextends = "{base}"\nbase_transactions = 1')

    assert len(load_scenario(folder / f"{EXTENDS_MAX - 1}.toml").transactions) == 1
    with pytest.raises(ScenarioError, match=f"more than {EXTENDS_MAX} scenarios extend one another"):
        load_scenario(folder / f"{EXTENDS_MAX}.toml")

    (folder / "base.toml").write_text('[scenario]\nextends = "0.toml"')
    with pytest.raises(ScenarioError, match=r"base\.toml:2: 0\.toml is extended by itself in the end"):
        load_scenario(folder / "0.toml")


@pytest.mark.parametrize("name", scenario_names())
def test_what_only_extends_a_scenario_runs_as_that_does(tmp_path: Path, name: str) -> None:
    path = scenario_path(name)
    base = load_scenario(path)
    (tmp_path / "own.toml").write_text(f'[scenario]\nextends = "{path}"')
    half = len(base.transactions) // 2
    (tmp_path / "half.toml").write_text(f'[scenario]\nextends = "own.toml"\nbase_transactions = {half}')

    whole, own, first = (
        run_scenario(load_scenario(each)) for each in (path, tmp_path / "own.toml", tmp_path / "half.toml")
    )

    assert own.state_root == whole.state_root
    for found in (own, first):
        assert len(found.transactions) == (len(base.transactions) if found is own else half)
        for expected, done in zip(whole.transactions, found.transactions, strict=False):
            assert (done.title, done.line, done.differences) == (expected.title, expected.line, expected.differences)
            assert (done.receipt is None) == (expected.receipt is None)
            if done.receipt is not None and expected.receipt is not None:
                assert (done.receipt.values, done.receipt.gas_used) == (
                    expected.receipt.values,
                    expected.receipt.gas_used,
                )


def test_what_extends_a_scenario_is_explored_as_that_is(tmp_path: Path) -> None:
    path = scenario_path("reentry/guard")
    (tmp_path / "own.toml").write_text(f'[scenario]\nextends = "{path}"')

    base, own = (explore(each, calls=2, tries=100) for each in (path, tmp_path / "own.toml"))

    assert [each.script for each in own.violations] == [each.script for each in base.violations]
    assert own.setup == base.setup
    assert own.violations


def test_a_file_that_only_extends_another_one_is_a_scenario(folder: Path) -> None:
    own = folder / "more" / "own.toml"
    own.write_text('[scenario]\nextends = "../base.toml"')

    assert is_scenario(own)
    assert run_scenario(load_scenario(own)).ok
