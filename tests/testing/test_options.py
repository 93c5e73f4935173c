"""The group of options, the ini keys and `[tool.storagemod]`."""

from __future__ import annotations

import pytest

from storagemod.pages import BACKENDS
from storagemod.types import ExclusivePolicy, ReentryPolicy, SyncPolicy
from storagemod.vm import option_names

from .conftest import Project

SHOW = """
def test_it(storage_variant, storage_seed, storage_worlds):
    print("variant", *storage_variant[:4], "seed", storage_seed)
    storage_worlds()
"""


def shown(project: Project, *args: str) -> str:
    project.write(test_it__py=SHOW)
    result = project.run("-s", *args)
    assert result.ret == 0
    return "\n".join(line[line.index("variant") :].rstrip(".") for line in result.outlines if "variant" in line).strip()


def test_help_has_one_group_that_names_every_value(project: Project) -> None:
    text = " ".join(project.run("--help").stdout.str().split())

    group = text.split("storagemod: contracts and their storage:")[1].split("[pytest] configuration options")[0]
    for option in ("link", "sync", "policy", "depth-max", "exclusive", "tracker", "seed", "scenario", "collect"):
        assert f"--storagemod-{option}" in group
    for name in (*option_names(), *BACKENDS, *SyncPolicy, *ReentryPolicy, *ExclusivePolicy):
        assert name in group


def test_one_line_of_the_header_says_what_is_set(either: Project) -> None:
    result = either.run("--storagemod-link=single,methods", "--storagemod-policy", "deny", "--storagemod-seed", "5")

    found = [line for line in result.outlines if line.startswith("storagemod:")]
    assert found == ["storagemod: 0.1.0; link single, methods; policy deny; seed 5"]


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["--storagemod-link=methods"], "variant methods None None None seed 0"),
        (["--storagemod-link", "copied", "--storagemod-sync", "end"], "variant copied end None None seed 0"),
        (["--storagemod-policy=deny"], "variant single None deny None seed 0"),
        (["--storagemod-depth-max=5"], "variant single None None 5 seed 0"),
        (["--storagemod-seed=9"], "variant single None None None seed 9"),
        (["--storagemod-tracker=portable"], "variant single None None None seed 0"),
        (
            ["--storagemod-link=single", "--storagemod-link=methods"],
            "variant single None None None seed 0\nvariant methods None None None seed 0",
        ),
        (["-o", "storagemod_link=methods", "-o", "storagemod_seed=3"], "variant methods None None None seed 3"),
        (["-o", "storagemod_link=methods", "--storagemod-link=keyed"], "variant keyed None None None seed 0"),
    ],
)
def test_options_hold_for_all_tests(project: Project, args: list[str], wanted: str) -> None:
    assert shown(project, *args) == wanted


def test_table_of_the_project_holds_below_the_ini_file_and_the_command_line(project: Project) -> None:
    project.write(
        pyproject__toml="""
[tool.storagemod]
link = ["regions"]
policy = "deny"
depth_max = 4
seed = 8
"""
    )
    assert shown(project) == "variant regions None deny 4 seed 8"
    assert shown(project, "-o", "storagemod_policy=allow") == "variant regions None allow 4 seed 8"
    assert shown(project, "-o", "storagemod_seed=9", "--storagemod-seed=1") == "variant regions None deny 4 seed 1"


def test_world_has_the_tracker_that_was_asked_for(project: Project) -> None:
    project.write(
        test_it__py="def test_it(storage_world): assert storage_world._backend.name == 'compare'",
    )

    project.passes("--storagemod-tracker=compare", passed=1)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--storagemod-link=singel"], "there is no linking option 'singel' (did you mean 'single'?); there are: "),
        (["--storagemod-link="], "a linking option is text, not ''"),
        (["--storagemod-sync=often"], "there is no sync policy 'often'; there are: call, end, none"),
        (
            ["--storagemod-policy=denny"],
            "there is no re-entry policy 'denny' (did you mean 'deny'?); there are: allow, ",
        ),
        (["--storagemod-exclusive=calls"], "there is no exclusive policy 'calls' (did you mean 'call'?)"),
        (["--storagemod-tracker=pages"], "there is no write tracker 'pages'"),
        (["--storagemod-depth-max=many"], "a limit of call depth is an integer from 1 on, not 'many'"),
        (["--storagemod-seed=-1"], "a seed is an integer from 0 on, not '-1'"),
        (["-o", "storagemod_link=x"], "storagemod_link: there is no linking option 'x'"),
    ],
)
def test_wrong_value_is_an_error_of_usage_that_lists_the_right_ones(
    project: Project, args: list[str], message: str
) -> None:
    project.write(test_it__py=SHOW)

    result = project.run(*args)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('lnik = "single"', "pyproject.toml:2: [tool.storagemod]: unknown key 'lnik' (did you mean 'link'?)"),
        ('link = "x"', "pyproject.toml: [tool.storagemod] link: there is no linking option 'x'"),
        ("link = 3", "pyproject.toml: [tool.storagemod] link: a linking option is text, not 3"),
        ("seed = 1.5", "pyproject.toml: [tool.storagemod] seed: a seed is an integer from 0 on, not 1.5"),
        ('scenario = "a.toml"\naccounts = {a = 1}', "has contracts of its own and names a scenario"),
    ],
)
def test_table_that_means_nothing_is_an_error_of_usage(project: Project, table: str, message: str) -> None:
    project.write(pyproject__toml=f"[tool.storagemod]\n{table}\n", test_it__py=SHOW)

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()


def test_table_that_is_none_is_an_error_of_usage(project: Project) -> None:
    project.write(pyproject__toml="[tool]\nstoragemod = 3\n", test_it__py=SHOW)

    assert "tool.storagemod is a table" in project.run().stderr.str()
