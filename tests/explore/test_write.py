"""The regression tests that are written: they fail now, and pass once the contract is mended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from storagemod import SyncPolicy
from storagemod.errors import ScenarioError, StateError
from storagemod.explore import Call, Reaction, explore
from storagemod.explore.write import check_folder, write_tests
from storagemod.scenario import load_scenario, run_scenario
from storagemod.scenario.fixtures import scenario_path

from .attacks import CONTRACT, MALLORY, attack
from .examples import FAULTS, SHOP, quick, rule, shop

MENDED = {
    "withdraw": [("bank.wat", "bank_fixed.wat")],
    "cross_function": [("ledger.wat", "ledger_fixed.wat")],
    "cross_contract": [("desk.wat", "desk_fixed.wat")],
    "read_only": [("pool.wat", "pool_fixed.wat")],
    "hooks": [("coin.wat", "coin_fixed.wat")],
    "guard": [("strongbox.wat", "strongbox_fixed.wat")],
}


def pytest_in(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", str(folder)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    """A folder with copies of the contracts and scenarios that a user would have."""
    root = scenario_path("reentry/withdraw").parents[1]
    for name in ("reentry", "bank"):
        shutil.copytree(root / name, tmp_path / name)
    return tmp_path


def test_they_are_red_now_and_green_once_all_is_mended(contracts: Path) -> None:
    tests = contracts / "tests"
    for name in FAULTS:
        exploration = explore(contracts / "reentry" / f"{name}.toml", calls=2, tries=400)
        assert [path.suffix for path in write_tests(exploration, tests)] == [".toml", ".py"]
    total = len(FAULTS)

    red = pytest_in(tests)
    assert red.returncode == 1, red.stdout + red.stderr
    assert f"{total} failed" in red.stdout
    assert "sum(bank.memory[64:]) = " in red.stdout

    for replaced in MENDED.values():
        for faulty, fixed in replaced:
            folder = contracts / ("bank" if faulty == "bank.wat" else "reentry")
            shutil.copy(folder / fixed, folder / faulty)
    stale = contracts / "reentry" / "stale_guard.toml"
    stale.write_text(stale.read_text().replace('sync = "end"', 'sync = "call"'))

    green = pytest_in(tests)
    assert green.returncode == 0, green.stdout + green.stderr
    assert f"{total} passed" in green.stdout


@pytest.mark.parametrize("link", ["methods", "keyed", "copied"])
def test_they_run_under_the_linking_option_that_the_fault_was_found_under(contracts: Path, link: str) -> None:
    sync = SyncPolicy.END if link == "copied" else None
    exploration = explore(contracts / "reentry" / "withdraw.toml", link=link, sync=sync, calls=2, tries=200)
    scenario, test = write_tests(exploration, contracts / "tests")

    assert f'link="{link}"' in test.read_text()
    assert not run_scenario(load_scenario(scenario), link=link, sync=sync).ok
    assert pytest_in(test.parent).returncode == 1


def test_they_have_the_policies_that_the_fault_was_found_under(contracts: Path) -> None:
    exploration = explore(
        contracts / "reentry" / "withdraw.toml", link="paged", sync="revision", exclusive="call", calls=2, tries=200
    )
    _, test = write_tests(exploration, contracts / "tests")

    assert "from storagemod import ExclusivePolicy, SyncPolicy\n" in test.read_text()
    assert 'exclusive=ExclusivePolicy("call"), sync=SyncPolicy("revision")' in test.read_text()
    assert pytest_in(test.parent).returncode == 1


def test_tries_of_several_transactions_and_reactions_are_played_as_they_were(tmp_path: Path) -> None:
    goal = "shop.memory[8] != 1 or shop.memory[16] == 0"
    exploration = quick(shop(rule(goal, "several things")), calls=2, depth=0, tries=2_000)
    (violation,) = exploration.violations
    scenario, _ = write_tests(exploration, tmp_path)

    result = run_scenario(load_scenario(scenario))

    assert len(violation.script) > 1
    (difference,) = result.transactions[-1].differences
    assert difference.found == "; ".join(violation.breach.why)
    assert all(transaction.ok for transaction in result.transactions[:-1])


def test_one_that_does_not_hold_from_the_start_is_written_too(tmp_path: Path) -> None:
    exploration = quick(shop(rule("shop.memory[0] == 7")))
    scenario, _ = write_tests(exploration, tmp_path)

    assert not run_scenario(load_scenario(scenario)).ok


def test_names_of_files_are_apart_and_whatever_is_in_names_is_written_as_it_is(tmp_path: Path) -> None:
    names = ['a "b" \\ \u202e\n', "a_b", "../../a b", "ä" * 300]
    exploration = quick(
        shop("[explore]"), invariants={name: f"shop.memory[0] == {number + 7}" for number, name in enumerate(names)}
    )
    paths = write_tests(exploration, tmp_path / "new" / "folder")

    assert len(set(paths)) == 2 * len(names)
    assert {path.parent for path in paths} == {tmp_path / "new" / "folder"}
    for path, name in zip(paths[::2], names, strict=True):
        assert [each.name for each in load_scenario(path).invariants] == [name]
        compile(path.with_name(f"test_{path.stem}.py").read_text(encoding="utf-8"), "test", "exec")


def test_what_has_no_file_form_or_no_place_is_an_error(tmp_path: Path) -> None:
    exploration = quick(shop("[explore]"), invariants={"python": lambda _: False})
    with pytest.raises(ScenarioError, match=r"'python' is a Python function.*write it as an expression"):
        write_tests(exploration, tmp_path)

    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be written"):
        write_tests(quick(shop(rule("shop.memory[0] == 7"))), tmp_path / "file")


def test_the_scenario_is_extended_and_only_the_attack_stands_in_the_file(contracts: Path) -> None:
    exploration = explore(contracts / "reentry" / "withdraw.toml", calls=2, tries=200)
    scenario, test = write_tests(exploration, contracts / "reentry" / "tests")

    header, _, text = scenario.read_text().partition("\n")
    assert header.startswith("# written by storagemod explore, digest ")
    assert header.endswith(", of ../withdraw.toml: the books are honest")
    assert (
        text
        == """\
# "the books are honest" does not hold in withdraw.toml. `storagemod explore` found this attack:
#   mallory sends bank::withdraw(1)
#     mallory::receive, called, calls back
#       bank::deposit(1, 1)

[scenario]
name = "a bank, faulty: the books are honest"
extends = "../withdraw.toml"
base_transactions = 2
base_invariants = ["the books are honest"]

[contracts.mallory]
links = { bank = "bank" }
wat = '''
(module
  (import "contract:bank" "deposit" (func $bank.deposit (param i32 i64)))

  ;; Called by bank::withdraw.
  (func (export "receive") (param i64)
    (call $bank.deposit (i32.const 1) (i64.const 1))))
'''

[explore]
untrusted = ["mallory"]

[[transactions]]
to = "bank"
method = "withdraw"
args = [1]
sender = "mallory"
expect = { may_fail = true }
"""
    )
    assert len(test.read_text().splitlines()) < 20


@pytest.mark.parametrize("name", FAULTS)
def test_trees_of_what_is_written_show_the_attack_alone(contracts: Path, name: str) -> None:
    exploration = explore(contracts / "reentry" / f"{name}.toml", calls=2, tries=400)
    (violation,) = exploration.violations
    scenario, _ = write_tests(exploration, contracts / "tests")
    assert "extends = " in scenario.read_text()
    assert "go by a script" not in scenario.read_text()

    result = run_scenario(load_scenario(scenario))
    attack = result.transactions[exploration.setup :]
    calls = [
        [(record.started.address, record.started.method, record.started.args) for record in done.receipt.trace]
        for done in attack
        if done.receipt is not None and done.receipt.trace is not None
    ]
    searched = [
        [(record.started.address, record.started.method, record.started.args) for record in receipt.trace or ()]
        for receipt in violation.receipts
    ]
    assert calls == searched


def test_a_policy_of_the_command_line_and_what_has_no_file_are_copied(contracts: Path) -> None:
    path = contracts / "reentry" / "withdraw.toml"
    policed, _ = write_tests(
        explore(path, policy="static-only", calls=1, tries=9, invariants={"no": "1 == 2"}), contracts / "a"
    )
    assert "# The scenario is copied here: it was explored with --policy static-only." in policed.read_text()
    assert load_scenario(policed).contracts["bank"].policy == "static-only"

    parsed, _ = write_tests(quick(shop(rule("shop.memory[0] == 7"))), contracts / "b")
    assert "# The scenario is copied here: it has no file." in parsed.read_text()

    exploration = explore(path, calls=2, tries=200)
    path.write_text(path.read_text().replace("args = [0, 100]", "args = [0, 101]"))
    changed, _ = write_tests(exploration, contracts / "c")
    assert "# The scenario is copied here: what was explored is not what its file says." in changed.read_text()
    assert not run_scenario(load_scenario(changed)).ok


def test_expectations_of_the_scenario_that_do_not_hold_are_not_taken_for_the_fault(contracts: Path) -> None:
    path = contracts / "reentry" / "withdraw.toml"
    path.write_text(path.read_text().replace("args = [0, 100]", "args = [0, 100]\nexpect = { value = 7 }"))
    exploration = explore(path, calls=2, tries=200)
    scenario, _ = write_tests(exploration, contracts / "tests")

    assert "# The scenario is copied here: its own transactions are not as it expects." in scenario.read_text()
    (difference,) = [each for done in run_scenario(load_scenario(scenario)).transactions for each in done.differences]
    assert difference.what == 'invariant "the books are honest"'


def test_an_invariant_that_the_file_has_not_is_written_whole(contracts: Path) -> None:
    path = contracts / "reentry" / "withdraw.toml"
    added = explore(path, calls=2, tries=200, invariants={"more": "bank.memory[0] == 600 or bank.memory[0] < 600"})
    written = write_tests(added, contracts / "tests")
    everywhere = write_tests(explore(path, calls=2, tries=200, boundaries=True), contracts / "boundaries")

    more = load_scenario(next(each for each in written if "more" in each.name and each.suffix == ".toml"))
    assert [each.name for each in more.invariants] == ["more"]
    assert [(each.name, each.at) for each in load_scenario(everywhere[0]).invariants] == [
        ("the books are honest", "callouts")
    ]


def test_a_file_that_was_edited_is_left_and_all_others_are_written(contracts: Path) -> None:
    exploration = explore(
        contracts / "reentry" / "withdraw.toml", calls=2, tries=200, invariants={"less": "bank.memory[0] <= 600"}
    )
    folder = contracts / "tests"
    paths = write_tests(exploration, folder)
    texts = [path.read_text() for path in paths]
    assert write_tests(exploration, folder) == paths  # untouched files are written again
    assert [path.read_text() for path in paths] == texts

    paths[0].write_text(texts[0] + "# mine\n")
    paths[2].write_text(texts[2] + "\n")
    paths[3].unlink()
    with pytest.raises(StateError, match=f"{paths[0]} was not written by .* or was edited since; .*--force"):
        write_tests(exploration, folder)
    assert paths[0].read_text().endswith("# mine\n")
    assert not paths[3].exists()  # a test goes with its scenario
    paths[2].write_text(texts[2])
    with pytest.raises(StateError, match="; 2 other files were written"):
        write_tests(exploration, folder)
    assert paths[3].exists()

    write_tests(exploration, folder, force=True)
    assert [path.read_text() for path in paths] == texts


def test_scenarios_of_one_name_do_not_write_over_one_another(contracts: Path) -> None:
    (contracts / "other").mkdir()
    other = contracts / "other" / "withdraw.toml"
    shutil.copy(contracts / "reentry" / "withdraw.toml", other)
    explorations = [explore(path, calls=2, tries=200) for path in (contracts / "reentry" / "withdraw.toml", other)]

    first, second = (write_tests(each, contracts / "tests") for each in explorations)
    again, once_more = (write_tests(each, contracts / "tests") for each in reversed(explorations))

    assert (once_more, again) == (first, second)
    assert [path.stem.removeprefix("test_") for path in second] == ["explored_withdraw_the_books_are_honest_2"] * 2
    assert 'extends = "../other/withdraw.toml"' in second[0].read_text()
    assert pytest_in(contracts / "tests").stdout.count("FAILED") == 2


def test_contracts_that_are_not_trusted_are_replaced_whether_they_did_anything_or_not(tmp_path: Path) -> None:
    """Their own code would keep the attack from happening."""
    (tmp_path / "base.toml").write_text(f"""
[explore]
untrusted = ["mallory", "guard"]
[contracts.mallory]
address = "0x09"
wat = '''(module (func (export "thank") (param i64) (result i32) (unreachable)))'''
[contracts.guard]
wat = '''(module (memory (export "memory") 1) (func (export "main") (unreachable)))'''
[contracts.shop]
address = "0x20"
wat = '''{SHOP}'''
links = {{ buyer = "mallory" }}
[[transactions]]
to = "shop"
method = "sold"
{rule("shop.memory[8] != 3")}""")
    reaction = Reaction(MALLORY, "thank", values=(3,))
    script = (Call(CONTRACT, "buy", (1,), sender=MALLORY, reactions=(reaction,)),)
    path, _ = write_tests(attack(tmp_path / "base.toml", script), tmp_path / "tests")

    found = load_scenario(path)
    assert "extends" in path.read_text()
    assert "unreachable" not in (found.contracts["mallory"].wat or "")
    assert (
        found.contracts["guard"].wat
        == """\
(module
  ;; Not called in this attack.
  (func (export "main")))
"""
    )


def test_what_does_not_happen_again_is_not_written(tmp_path: Path) -> None:
    exploration = attack(shop(rule("shop.memory[0] < 5")), (Call(CONTRACT, "buy", (1,), sender=MALLORY),))

    with pytest.raises(
        StateError, match=r"what breaks .* does not do so in a world of its own, so no test was written"
    ):
        write_tests(exploration, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_checked_before_and_nothing_is_left_there(tmp_path: Path) -> None:
    check_folder(tmp_path / "new" / "folder")
    check_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []

    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    for folder in ("file", "file/below", "dangling"):
        with pytest.raises(StateError, match="regression tests cannot be written to"):
            check_folder(tmp_path / folder)
