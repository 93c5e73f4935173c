"""`@pytest.mark.storagemod(...)`."""

from __future__ import annotations

import re

import pytest

from .conftest import Project

MARKED = """
import pytest
@pytest.mark.storagemod({})
def test_it(storage_world, storage_variant):
    print("ran", storage_variant[:4])
"""


def ids(lines: list[str]) -> list[str]:
    return sorted(set(re.findall(r"test_it\.py::test_it(\[[^]]*\])", "\n".join(lines))))


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ('link="methods"', ["[methods]"]),
        ('link=["single", "regions"]', ["[regions]", "[single]"]),
        ('link=("single", "copied"), sync=["call", "end"]', ["[copied-call]", "[copied-end]", "[single]"]),
        ('policy=["allow", "deny"]', ["[allow]", "[deny]"]),
        (
            'link="single", policy="self-only", depth_max=[3, 9]',
            ["[single-self-only-depth3]", "[single-self-only-depth9]"],
        ),
        ('sync="none"', ["[none]"]),
        (
            'link=("single", "paged"), exclusive=["call", "transaction"]',
            ["[paged-exclusive_call]", "[paged-exclusive_transaction]", "[single]"],
        ),
        ('link=["single", "single"]', ["[single]"]),
    ],
)
def test_test_runs_once_under_each_option_with_an_id_that_says_which(
    project: Project, said: str, wanted: list[str]
) -> None:
    project.write(test_it__py=MARKED.format(said))

    assert ids(project.passes(passed=len(wanted))) == wanted


def test_options_are_spread_over_processes(either: Project) -> None:
    either.write(test_it__py=MARKED.format('link=["single", "regions", "methods"]'))

    assert len(ids(either.passes(passed=3))) == 3


def test_depth_max_is_the_limit_of_the_world(project: Project) -> None:
    project.write(
        test_it__py="""
import pytest
@pytest.mark.storagemod(depth_max=7)
def test_it(storage_world):
    assert storage_world.limits.call_depth_max == 7
"""
    )

    project.passes(passed=1)


def test_nearest_marker_decides_key_by_key(project: Project) -> None:
    project.write(
        test_it__py="""
import pytest
pytestmark = pytest.mark.storagemod(link=["single", "regions"], policy="deny")
class TestIt:
    pytestmark = pytest.mark.storagemod(link="methods")
    def test_it(self, storage_variant):
        assert storage_variant[:3] == ("methods", None, "deny")
def test_outside(storage_variant):
    assert storage_variant.link != "methods"
def test_without_our_fixtures():
    pass
"""
    )

    project.passes(passed=4)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            'link="singel"',
            "*: link: there is no linking option 'singel' (did you mean 'single'?); there are: single, *",
        ),
        ('sync="x"', "*: sync: there is no sync policy 'x'; there are: call, end, none, revision"),
        ('policy=["deny", 3]', "*: policy: a re-entry policy is text, not 3"),
        ("depth_max=0", "*: depth_max: a limit of call depth is an integer from 1 on, not 0"),
        ("depth_max=True", "*: depth_max: a limit of call depth is an integer from 1 on, not True"),
        ('lnik="single"', "*: unknown keyword 'lnik' (did you mean 'link'?)"),
        ('"single"', "* takes keywords only: link, sync, policy, depth_max, exclusive, scenario, strict"),
    ],
)
def test_marker_that_means_nothing_is_an_error_of_collection(project: Project, said: str, message: str) -> None:
    project.write(test_it__py=MARKED.format(said))

    result = project.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])
    assert "Traceback" not in result.stdout.str()
    assert "variants.py" not in result.stdout.str()


def test_command_line_chooses_among_what_a_marker_names(project: Project) -> None:
    project.write(test_it__py=MARKED.format('link=["single", "regions", "methods"]'))

    assert ids(project.passes("--storagemod-link=methods,single", passed=2)) == ["[methods]", "[single]"]


def test_test_that_holds_under_none_of_the_chosen_options_is_skipped_with_the_reason(project: Project) -> None:
    project.write(test_it__py=MARKED.format('link="single"'))

    result = project.run("--storagemod-link=methods", "-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*its marker says link single, and the command line chose methods"])


def test_marker_is_registered(project: Project) -> None:
    result = project.run("--markers")

    result.stdout.fnmatch_lines(["@pytest.mark.storagemod(link=[[]...], sync=[[]...], *"])
    project.write(test_it__py=MARKED.format('link="single"'))
    project.passes("--strict-markers", passed=1)
