"""The semantics hold whatever shows storage in memory and finds what was written.

Policies that refuse calls bend rule 3 on purpose. A test whose call is refused under one must fail there: it is marked
so, strictly, and ``tests/model/known_small.py`` says what comes of such a script instead.
"""

from __future__ import annotations

import pytest

from storagemod import TrapError, World
from storagemod.vm import option_names
from tests.conftest import works

from .puppets import BYTES, LOWERED, POLICIES

_ALL = tuple(POLICIES)
_REVISION, *_EXCLUSIVE = POLICIES

REFUSED = {
    "test_a_guard_in_storage_is_seen_by_the_call_that_comes_back": _ALL,
    "test_every_call_above_sees_what_a_callee_wrote_whatever_lies_between": _ALL,
    "test_rights_are_those_of_the_call_that_runs_and_not_of_the_one_that_ran": _EXCLUSIVE,
    "test_what_is_written_on_both_sides_of_a_reentry_counts_once": _ALL,
    "test_what_was_written_is_there_for_every_kind_of_call": _ALL,
    "test_working_memory_that_is_written_over_changes_no_storage": _ALL,
    "test_a_delegate_call_runs_on_the_callers_storage": _ALL,
    "test_a_reentrant_call_sees_what_was_written_before_it_and_its_writes_are_seen_after_it": _ALL,
    "test_a_refused_reentry_is_a_failure_code_to_the_caller": _EXCLUSIVE,
    "test_every_ancestor_sees_the_writes_of_a_descendant": _ALL,
    "test_every_kind_of_call_sees_unfinished_writes": _ALL,
    "test_a_write_that_restores_the_committed_value_is_no_change": _ALL,
    "test_the_undone_part_of_a_partly_undone_tree_is_undone": _ALL,
    "test_a_static_call_may_read_everything": _ALL,
    "test_a_write_is_found_at_the_next_call_out_already": (_REVISION,),
}
"""Policies by the test that has a call which they refuse, or that reads what is held back until a call ends."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that a policy makes fail on purpose."""
    for item in items:
        if isinstance(item, pytest.Function) and item.originalname in REFUSED and hasattr(item, "callspec"):
            params = item.callspec.params
            ends_badly = params.get("ending", ()) != ()
            if params["any_option"] in REFUSED[item.originalname] and not ends_badly and params.get("policy") != "deny":
                reason = "the policy refuses the call on purpose"
                item.add_marker(
                    pytest.mark.xfail(raises=(AssertionError, TrapError, ValueError), strict=True, reason=reason)
                )


@pytest.fixture(params=["single", "regions", "methods", LOWERED, BYTES])
def option(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=[*filter(works, option_names()), *filter(works, POLICIES), LOWERED, BYTES])
def any_option(request: pytest.FixtureRequest) -> str:
    """Each linking option in turn, and each policy that refuses calls."""
    name: str = request.param
    return name


@pytest.fixture
def world(tracker: str) -> World:
    return World(tracker=tracker)
