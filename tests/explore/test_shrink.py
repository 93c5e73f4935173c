"""Shrinking: what is left cannot be simpler."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storagemod import Address
from storagemod.explore.script import Call, Ending, Reaction, Script, calls_in, decisions_in, walk
from storagemod.explore.shrink import shrink

A, B = Address(1), Address(2)


def calls(inner: st.SearchStrategy[Reaction]) -> st.SearchStrategy[Call]:
    return st.builds(
        Call,
        contract=st.just(A),
        method=st.sampled_from(["f", "g", "h"]),
        args=st.tuples(st.integers(-200, 200)),
        reactions=st.lists(inner, max_size=2).map(tuple),
    )


def reactions(inner: st.SearchStrategy[Call]) -> st.SearchStrategy[Reaction]:
    return st.builds(
        Reaction,
        account=st.just(B),
        site=st.just("hook"),
        calls=st.lists(inner, max_size=2).map(tuple),
        ending=st.sampled_from(Ending),
    )


NOTHING = st.just(Reaction(B, "hook"))
SCRIPTS = st.lists(calls(reactions(calls(reactions(calls(NOTHING))))), min_size=1, max_size=3).map(tuple)


def breaks(script: Script) -> bool:
    """Whether `g` is called with more than 20 while `f` runs, wherever that is."""
    return any(
        len(path) > len(above) and path[: len(above)] == above and call.method == "g" and call.args[0] > 20
        for above, outer in walk(script)
        if outer.method == "f"
        for path, call in walk(script)
    )


@given(SCRIPTS)
def test_what_is_left_has_no_call_and_no_ending_too_many(script: Script) -> None:
    if not breaks(script):
        return
    shortest = shrink(script, breaks)

    assert breaks(shortest)
    assert (calls_in(shortest), decisions_in(shortest)) == (2, 2)
    assert shortest[0].args == (0,)
    assert shortest[0].reactions[0].calls[0].args[0] <= 42


def test_one_that_cannot_be_simpler_stays() -> None:
    script = (Call(A, "f", (1,)),)
    assert shrink(script, lambda _: False) == script


def test_it_ends_with_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storagemod.explore.shrink._STEPS_MAX", 10)
    runs = []

    def counted(script: Script) -> bool:
        runs.append(script)
        return False

    script = tuple(Call(A, "f", (number,)) for number in range(100, 150))
    assert shrink(script, counted) == script
    assert len(runs) == 10
