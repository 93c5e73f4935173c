"""Scenario files as tests."""

from __future__ import annotations

import pytest

from .conftest import Project

SCENARIO = """
[contracts.counter]
code = "counter.wat"
[[transactions]]
name = "once"
to = "counter"
method = "increment"
expect.value = 1
[[transactions]]
to = "counter"
method = "increment"
expect.value = 2
[[transactions]]
to = "counter"
method = "increment"
expect.value = {third}
[[transactions]]
name = "refused"
to = "counter"
method = "nowhere"
expect.ok = false
"""


def test_each_transaction_of_a_file_is_a_test(either: Project) -> None:
    either.write(test_counter__toml=SCENARIO.format(third=3))

    lines = either.passes(passed=4)

    for name in ("once", "counter.increment()", "counter.increment() #2", "refused"):
        assert any(f"test_counter.toml::{name}" in line for line in lines)


def test_transactions_that_are_chosen_run_after_those_before_them(project: Project) -> None:
    project.write(test_counter__toml=SCENARIO.format(third=3))

    project.passes("test_counter.toml::counter.increment() #2", passed=1)
    project.passes("-k", "refused", passed=1, deselected=3)


def test_what_differs_is_told_with_its_line_and_the_call_tree_and_without_a_traceback(project: Project) -> None:
    project.write(test_counter__toml=SCENARIO.format(third=9))

    result = project.run()

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "counter::increment(): not as test_counter.toml expects",
            "test_counter.toml:16: value",
            "  - wanted  9",
            "  + found   3",
            "*storagemod*",
            "transaction 3 of 4: ok",
            "*counter::increment()",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert "collect.py" not in result.stdout.str()


def test_files_run_under_each_option(project: Project) -> None:
    project.write(test_counter__toml=SCENARIO.format(third=3))

    lines = project.passes("--storagemod-link=single,methods", passed=8)

    assert sum("[methods]" in line for line in lines) == 4


def test_file_that_is_wrong_is_a_test_that_fails_and_the_others_run(project: Project) -> None:
    project.write(
        test_counter__toml=SCENARIO.format(third=3).replace("method", "methd"), test_it__py="def test_it(): pass"
    )

    result = project.run()

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(['*test_counter.toml:7: unknown key "methd" (did you mean "method"?)'])
    assert "Traceback" not in result.stdout.str()


def test_file_that_is_not_toml_but_looks_like_a_scenario_fails(project: Project) -> None:
    project.write(test_counter__toml='[contracts.counter]\ncode = "counter.wat\n')

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["test_counter.toml:2: not TOML: *"])


def test_contract_that_cannot_be_deployed_fails_its_transactions(project: Project) -> None:
    project.write(test_counter__toml=SCENARIO.format(third=3).replace("counter.wat", "nowhere.wat"))

    result = project.run()

    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(['test_counter.toml:3: contract "counter": *nowhere.wat cannot be read: *'])


def test_transaction_that_cannot_start_fails_and_those_behind_it_run(project: Project) -> None:
    project.write(test_counter__toml=SCENARIO.format(third=3).replace('"increment"\nexpect.value = 2', '"wrong"'))

    result = project.run()

    result.assert_outcomes(passed=2, failed=2)  # the third counts on the second


def test_other_toml_files_are_left_alone(project: Project) -> None:
    project.write(
        test_data__toml="[tool]\nname = 1\n",
        test_broken__toml="this is = = no toml",
        counter__toml=SCENARIO.format(third=3),
        test_it__py="def test_it(): pass",
    )

    project.passes(passed=1)


def test_file_that_is_named_is_run_whatever_its_name(project: Project) -> None:
    project.write(counter__toml=SCENARIO.format(third=3))

    project.passes("counter.toml", passed=4)


@pytest.mark.parametrize(
    "args", [["--storagemod-collect=*_scenario.toml"], ["-o", "storagemod_collect=*_scenario.toml"]]
)
def test_patterns_of_names_can_be_chosen(project: Project, args: list[str]) -> None:
    project.write(counter_scenario__toml=SCENARIO.format(third=3), test_counter__toml=SCENARIO.format(third=9))

    project.passes(*args, passed=4)


def test_settings_of_the_project_hold_for_files(project: Project) -> None:
    project.write(
        pyproject__toml='[tool.storagemod]\npolicy = "deny"\ndepth_max = 1\n',
        test_self__toml="""
[contracts.a]
wat = '''(module (import "contract:b" "f?" (func $f (result i32))) (func (export "g") (result i32) (call $f)))'''
links = { b = "b" }
[contracts.b]
wat = '''(module (func (export "f")))'''
[[transactions]]
to = "a"
method = "g"
expect.value = 1
""",
    )

    project.passes(passed=1)


def test_names_cannot_disturb_a_terminal(project: Project) -> None:
    project.write(test_counter__toml=SCENARIO.format(third=3).replace('"once"', r'"on\u001bce\n[x]"'))

    lines = project.passes(passed=4)

    assert not any("\x1b" in line for line in lines)


def test_worlds_of_a_file_are_closed_when_its_last_transaction_is_over(project: Project) -> None:
    project.write(
        test_a__toml=SCENARIO.format(third=3),
        test_b__py="""
from storagemod.testing.worlds import VariantWorld
import gc
def test_it():
    worlds = [each for each in gc.get_objects() if type(each) is VariantWorld]
    assert all(world._lock.closed for world in worlds)
""",
    )

    project.passes(passed=5)
