"""The fixture `storage_explore`: what passes, what fails and how, and where its budget comes from."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from storagemod.scenario.fixtures import scenario_path

from .conftest import Project
from .test_reports import section

VAULT = Path(__file__).parents[1] / "explore" / "foreign" / "vault.wat"
PAY, WRITE = (
    "(call $pay (local.get $what)) ;; pay",
    "(call $set (i32.const 0) (i64.sub (local.get $has) (local.get $what))) ;; write",
)

IN_A_WORLD = """
def holds(world):
    vault = next(address for address, account in world.accounts().items() if account.name == "vault")
    assert world.account(vault).balance >= 1400, "robbed"

def test_it(storage_world, storage_explore):
    vault = storage_world.deploy("{file}", name="vault", balance=1300)
    alice, mallory = 0xa11ce, 0x6a11
    storage_world.fund(alice, 500)
    storage_world.fund(mallory, 300)
    seen = [storage_world.transact(vault, data=bytes.fromhex("d0e30db0"), sender=alice, value=100)]
    before = storage_world.state_root
    found = storage_explore(
        storage_world,
        invariants={{"owed": "balance(vault) >= 1300 + vault.slots[0xa11ce]", "python": holds}},
        untrusted=[mallory],
        seen=seen,
    )
    assert storage_world.state_root == before
    assert found.verdicts == {{"owed": "holds", "python": "holds"}}
"""


def file(name: str) -> str:
    return str(scenario_path(f"reentry/{name}"))


def test_attack_is_in_the_report_as_words_and_as_a_call_tree(either: Project) -> None:
    either.write(test_it__py=f"def test_it(storage_explore): storage_explore({file('withdraw')!r})")

    result = either.run()

    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "invariants can be broken: " in text
    assert "BROKEN by a call back: " in text
    assert "calls back" in text
    assert "repeat it with: pytest 'test_it.py::test_it' --storagemod-seed 0 --storagemod-explore-tries 20000" in text
    assert any("re-entry" in line for line in section(result.outlines))
    assert "Traceback" not in text


def test_every_broken_invariant_has_a_tree(project: Project) -> None:
    project.write(
        test_it__py=f"""
def never(world): return False
def test_it(storage_explore):
    storage_explore({file("withdraw")!r}, invariants={{"one more": "balance(bank) < 0", "function": never}})
""".replace("balance(bank) < 0", "0 > 1")
    )

    result = project.run()

    text = result.stdout.str()
    assert "3 of 3 invariants can be broken" in text
    assert '"one more", "function"' in text
    assert {line.split(":")[0] for line in section(result.outlines) if line.endswith("transactions")} >= {
        "one more",
        "function",
    }


def test_mended_contracts_pass_and_tell_what_was_tried(project: Project) -> None:
    project.write(
        test_it__py=f"""
import pytest
@pytest.mark.storage_explore(tries=200, seed=3)
def test_it(storage_explore):
    found = storage_explore({file("withdraw_fixed")!r})
    assert (found.found.tries, found.settings.seed, found.ok) == (200, 3, True)
"""
    )

    lines = project.passes("-rP", passed=1)
    assert any("200 tries, ended: tries; seed 3" in line for line in lines)


def test_command_line_has_the_last_word_on_the_budget(project: Project) -> None:
    project.write(
        pyproject__toml="[tool.storagemod]\nexplore_tries = 90\n",
        test_it__py=f"""
import os, pytest
def test_project(storage_explore):
    assert storage_explore({file("withdraw_fixed")!r}).found.tries == int(os.environ["PROJECT"])
@pytest.mark.storage_explore(tries=80)
def test_marker(storage_explore):
    assert storage_explore({file("withdraw_fixed")!r}).found.tries == int(os.environ["MARKER"])
@pytest.mark.storage_explore(tries=80)
def test_call(storage_explore):
    assert storage_explore({file("withdraw_fixed")!r}, tries=70).found.tries == int(os.environ["CALL"])
""",
    )
    with pytest.MonkeyPatch.context() as patched:
        for key, number in (("PROJECT", "90"), ("MARKER", "80"), ("CALL", "70")):
            patched.setenv(key, number)
        project.passes(passed=3)
        for key in ("PROJECT", "MARKER", "CALL"):
            patched.setenv(key, "60")
        project.passes("--storagemod-explore-tries=60", passed=3)


def test_marker_that_means_nothing_is_an_error_of_collection(project: Project) -> None:
    project.write(
        test_it__py="""
import pytest
@pytest.mark.storage_explore(trys=80)
def test_it(storage_explore): pass
""",
        test_that__py="""
import pytest
@pytest.mark.storage_explore(tries="many")
def test_it(storage_explore): pass
""",
    )

    result = project.run()
    result.assert_outcomes(errors=2)
    assert "unknown keyword 'trys' (did you mean 'tries'?)" in result.stdout.str()
    assert "tries is a number, not 'many'" in result.stdout.str()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ('storage_explore("missing.toml")', "missing.toml"),
        (f"storage_explore({file('withdraw')!r}, tries=0)", "tries"),
        (f"storage_explore({file('withdraw')!r}, untrusted=['x'])", "for worlds"),
        ('storage_explore(storage_world, invariants={"a": "1 > 0"})', "no contract is trusted"),
        ('storage_explore(storage_world, untrusted=["nobody"])', "no account of the world is named 'nobody'"),
    ],
)
def test_what_cannot_be_explored_fails_with_a_line(project: Project, call: str, told: str) -> None:
    project.write(test_it__py=f"def test_it(storage_explore, storage_world): {call}")

    result = project.run()
    result.assert_outcomes(failed=1)
    assert told in result.stdout.str()
    assert "Traceback" not in result.stdout.str()
    assert ">   " not in result.stdout.str()


SHUT = """
(module (import "storage" "memory" (memory $storage 1)) (memory (export "memory") 1)
  (func (export "open") (i32.store $storage (i32.const 0) (i32.const 1)) unreachable))
"""


def test_what_was_not_explored_fails_unless_that_is_allowed(project: Project) -> None:
    project.write(
        shut__wat=SHUT,
        test_it__py="""
import pytest
def explored(storage_world, storage_explore, **more):
    storage_world.deploy("shut.wat", name="shut")
    return storage_explore(storage_world, invariants={"shut": "shut.memory[0] == 0"}, tries=50, **more)
def test_fails(storage_world, storage_explore): explored(storage_world, storage_explore)
def test_allowed(storage_world, storage_explore):
    found = explored(storage_world, storage_explore, allow_unexplored=True)
    assert found.verdicts == {"shut": "not explored"}
@pytest.mark.storage_explore(allow_unexplored=True)
def test_marked(storage_world, storage_explore): explored(storage_world, storage_explore)
""",
    )

    result = project.run()
    result.assert_outcomes(failed=1, passed=2)
    assert "nothing was found, but that says little" in result.stdout.str()
    assert "every call that was tried failed" in result.stdout.str()


def test_scenario_that_extends_another_is_found_from_the_folder_of_the_test(project: Project) -> None:
    project.write(
        **{
            "deep/more__toml": f'[scenario]\nname = "more"\nextends = "{file("withdraw")}"\n',
            "deep/test_it__py": 'def test_it(storage_explore): storage_explore("more.toml")',
        }
    )

    result = project.run()
    result.assert_outcomes(failed=1)
    assert "BROKEN by a call back" in result.stdout.str()


def test_world_that_was_set_up_in_python_is_explored_and_left_as_it_is(project: Project) -> None:
    source = VAULT.read_text(encoding="utf-8")
    assert PAY in source
    assert WRITE in source
    fixed = source.replace(PAY, "PAY").replace(WRITE, PAY).replace("PAY", WRITE)
    project.write(
        vault__wat=source,
        fixed__wat=fixed,
        test_robbed__py=IN_A_WORLD.format(file="vault.wat"),
        test_fixed__py=IN_A_WORLD.format(file="fixed.wat"),
    )

    result = project.run("--storagemod-explore-tries=3000")
    result.assert_outcomes(failed=1, passed=1)
    text = result.stdout.str()
    assert "test_robbed.py" in text
    assert "robbed" in text


def test_tries_are_no_transactions_of_the_test(project: Project) -> None:
    project.write(
        counter2__wat=SHUT,
        test_it__py=f"""
def test_it(storage_explore, storage_world):
    counter = storage_world.deploy("counter.wat")
    storage_world.transact(counter, "increment")
    storage_explore({file("withdraw_fixed")!r}, tries=50)
    assert False
""",
    )

    assert section(project.run().outlines)[0] == "transaction 1 of 1 in this test: ok"


@pytest.mark.skipif(importlib.util.find_spec("xdist") is None, reason="pytest-xdist is missing")
def test_it_works_in_processes_of_xdist(project: Project) -> None:
    project.write(test_it__py=f"def test_it(storage_explore): storage_explore({file('withdraw')!r})")

    result = project.run("-n1")
    result.assert_outcomes(failed=1)
    assert "BROKEN by a call back" in result.stdout.str()
    assert any("re-entry" in line for line in section(result.outlines))
