"""Transactions have stack enough wherever they are begun, and interruptions of them are not lost."""

from __future__ import annotations

import json
import sys

import pytest

from tests.pages.programs import output_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux about stacks")

ON_CALLERS_THREAD = sys.version_info < (3, 14)
EXHAUSTED = "contract at call depth 1: the call stack is exhausted in down (is a recursion without end?)"


def tried(name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(output_of("tests.wasm.deep_calls", name))
    return found


def test_a_transaction_runs_on_its_callers_thread_if_that_has_stack_enough() -> None:
    own, other = [ON_CALLERS_THREAD, True], [False, True]
    assert tried("threads") == {"main": own, "small": other, "usual": other, "large": own}


def test_recursion_without_end_traps_on_every_thread_and_the_world_goes_on() -> None:
    for thread, ends in tried("recursion").items():
        assert ends == [[False, EXHAUSTED], [False, EXHAUSTED], [True, 1]], thread


def test_calls_may_be_nested_to_the_limit_on_every_thread() -> None:
    for thread, (deepest, deeper, shallow, limit_is_back) in tried("calls").items():  # type: ignore[misc, str-unpack]
        assert deepest == [True, 1_023], thread
        assert not deeper[0], thread
        assert "nested deeper than 1,024 (call_depth_max)" in deeper[1], thread
        assert (shallow, limit_is_back) == ([True, 3], True), thread


def test_observers_may_run_worlds_of_their_own_inside_one_another() -> None:
    for thread, found in tried("nested").items():
        assert found == [[1, 1, 1, 2, 2, 2], 3], thread


def test_what_an_observer_of_an_inner_world_raises_comes_out_of_the_outer_one() -> None:
    for thread, found in tried("raising").items():
        assert found == ["raised by an observer", 1, 1], thread


def test_a_hard_limit_that_was_lowered_hands_over_to_another_thread() -> None:
    where, ends = json.loads(output_of("tests.wasm.deep_calls", "low limit"))
    assert where == [False, True]
    assert ends == [[False, EXHAUSTED], [False, EXHAUSTED], [True, 1]]


@pytest.mark.parametrize("kind", ["alarm", "interrupt"])
def test_an_interruption_at_any_instant_undoes_the_transaction_or_comes_after_it(kind: str) -> None:
    """One that hits the very start of a callback must not have wasm go on with a wrong number, or end the process."""
    found = json.loads(output_of("tests.wasm.interrupted", "4", kind))
    assert found["wrong"] == []
    assert found["interrupted"] > 20
