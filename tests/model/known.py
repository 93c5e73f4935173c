"""Histories whose end is known: for rules that random ones meet seldom, and for what was once wrong.

Each is a function of worlds side by side. It says in numbers of its own what has to come out, so model and worlds
cannot be wrong together.
"""

from __future__ import annotations

from typing import Any

from storagemod.scenario.puppet import (
    Call,
    Caller,
    CallValue,
    CopyIn,
    EmitLog,
    Grow,
    Load,
    MemoryLoad,
    MemoryStore,
    Operation,
    Revert,
    Script,
    Size,
    SpareGrow,
    SpareLoad,
    SpareSize,
    SpareStore,
    Store,
    Trap,
    decode_output,
)
from storagemod.types import CallKind, Outcome, ReentryPolicy

from .agreement import SideBySide
from .kinds import EMPTY, LATE, LIMITS, PUPPET_BALANCE, PUPPETS
from .reference import BALANCE_MAX, WASM_PAGE, Prediction

A, B, C = PUPPETS
STATIC, DELEGATE = CallKind.STATIC, CallKind.DELEGATE
OK, FAILED, REVERTED = Outcome.OK, Outcome.FAILED, Outcome.REVERTED

_END = WASM_PAGE - 8
_UNDONE_GROWTH = Call(A, Script(Grow(2), Store(WASM_PAGE, 9), Revert()))


def played(both: SideBySide, *operations: Operation, **arguments: Any) -> list[Any]:
    """What a script for A that ends well appended."""
    script = Script(*operations)
    prediction = both.transact(A, script, **arguments)
    assert prediction is not None
    assert prediction.outcome is OK
    return _results(script, prediction)


def _results(script: Script, prediction: Prediction) -> list[Any]:
    return [*decode_output(script, prediction.output)]


def outcome(both: SideBySide, *operations: Operation, **arguments: Any) -> Outcome:
    """How a script for A ended."""
    prediction = both.transact(A, Script(*operations), **arguments)
    assert prediction is not None
    return prediction.outcome


def a_reentry_sees_unfinished_writes_and_its_own_are_seen(both: SideBySide) -> None:
    """A word that is written on both sides of a re-entry is one change (polkadot-sdk#12267)."""
    reentry = Call(A, Script(Load(0), Store(0, 2), Store(8, 3)))
    script = Script(Store(0, 1), Call(B, Script(reentry)), Load(0), Store(0, 4))
    prediction = both.transact(A, script)
    assert prediction is not None
    through, seen = _results(script, prediction)
    assert (through.results[0].results, seen) == ([1], 2)
    assert prediction.changes == {A: (("memory", 0, bytes(16), bytes([4, *bytes(7), 3, *bytes(7)])),)}


def an_undone_call_leaves_nothing_behind(both: SideBySide) -> None:
    inner = Script(Store(0, 2), Grow(1), EmitLog(b"gone"), Call(EMPTY, value=2), Revert())
    script = Script(Store(8, 1), EmitLog(b"kept"), Call(B, inner, value=3), Call(A, inner), Load(0))
    prediction = both.transact(A, script)
    assert prediction is not None
    assert prediction.logs == ((A, (), b"kept"),)
    first, second, value = _results(script, prediction)
    assert (first.outcome, second.outcome, value) == (REVERTED, REVERTED, 0)
    assert [both.model.accounts[address].balance for address in (A, B, EMPTY)] == [PUPPET_BALANCE, PUPPET_BALANCE, 0]
    assert both.model.accounts[A].regions["memory"].pages == 1


def a_failed_transaction_changes_not_even_a_nonce(both: SideBySide) -> None:
    root = both.state_root
    assert outcome(both, Store(0, 1), Trap(), value=1) is FAILED
    assert both.state_root == root
    assert outcome(both, Store(0, 1), value=1, commit=False) is OK
    assert both.state_root == root


def a_static_call_changes_nothing(both: SideBySide) -> None:
    for operation in Store(0, 1), Grow(1), CopyIn(0, b"x"), EmitLog():
        (called,) = played(both, Call(B, Script(operation), kind=STATIC))
        assert called.outcome is FAILED
    (called,) = played(both, Call(B, Script(Grow(0), CopyIn(0, b""), Load(0)), kind=STATIC))
    assert called.results == [1, 0]


def a_static_call_passes_its_staticness_on(both: SideBySide) -> None:
    (outer,) = played(both, Call(B, Script(Call(C, Script(Store(0, 1))), Call(C, Script(Load(0)))), kind=STATIC))
    assert [inner.outcome for inner in outer.results] == [FAILED, OK]


def a_static_call_that_sends_value_fails_itself(both: SideBySide) -> None:
    nothing, one = (Call(EMPTY, value=value) for value in (0, 1))
    calls = played(both, Call(B, Script(nothing), kind=STATIC), Call(B, Script(one), kind=STATIC))
    assert [call.outcome for call in calls] == [OK, FAILED]


def a_call_that_breaks_a_rule_and_then_reverts_has_failed(both: SideBySide) -> None:
    (static,) = played(both, Call(A, Script(Store(0, 1), Revert()), kind=STATIC))
    assert (static.outcome, static.output) == (FAILED, b"")
    assert outcome(both, _UNDONE_GROWTH, Store(WASM_PAGE, 1), Revert()) is FAILED


def a_delegate_call_has_the_caller_and_the_value_of_its_caller(both: SideBySide) -> None:
    (called,) = played(both, Call(B, Script(Caller(), CallValue()), kind=DELEGATE), value=5)
    assert called.results == [both.sender, 5]


def a_delegate_call_enters_nobody(both: SideBySide) -> None:
    """It runs B's code on A's storage while B is active and wants no re-entry; A is not asked either."""
    both.deploy(LATE, 0, ReentryPolicy.DENY)
    inner = Script(Store(0, 7))
    (called,) = played(both, Call(LATE, Script(Call(A, Script(Call(LATE, inner, kind=DELEGATE))))))
    assert called.results[0].results[0].outcome is OK
    assert played(both, Load(0)) == [7]


def a_policy_decides_who_may_call_back(both: SideBySide) -> None:
    look = Script(Load(0))
    ways = Call(LATE, look), Call(B, Script(Call(LATE, look))), Call(B, Script(Call(LATE, look, kind=STATIC)))
    for policy, expected in {
        ReentryPolicy.ALLOW: (OK, OK, OK),
        ReentryPolicy.DENY: (FAILED, FAILED, FAILED),
        ReentryPolicy.SELF_ONLY: (OK, FAILED, FAILED),
        ReentryPolicy.STATIC_ONLY: (FAILED, FAILED, OK),
    }.items():
        both.begin_snapshot()
        both.deploy(LATE, 0, policy)
        (called,) = played(both, Call(LATE, Script(*ways)))
        itself, *others = called.results
        assert (itself.outcome, *(other.results[0].outcome for other in others)) == expected
        both.end_snapshot(keep=False)


def calls_nest_to_the_limit(both: SideBySide) -> None:
    script = Script(Store(0, LIMITS.call_depth_max + 1))
    for depth in range(LIMITS.call_depth_max, 1, -1):
        script = Script(Store(0, depth), Call(A, script))
    played(both, Call(A, script))
    assert played(both, Load(0)) == [LIMITS.call_depth_max]


def no_balance_exceeds_what_it_can_be(both: SideBySide) -> None:
    both.fund(EMPTY, BALANCE_MAX - 1)
    calls = played(both, *(Call(EMPTY, value=value) for value in (2, 1, 1, 0)))
    assert [call.outcome for call in calls] == [FAILED, OK, FAILED, OK]
    assert both.model.accounts[A].balance == PUPPET_BALANCE - 1
    both.fund(A, BALANCE_MAX)
    assert outcome(both, value=1) is FAILED
    assert outcome(both, Call(A, value=2**128 - 1)) is OK


def each_call_has_working_memory_of_its_own(both: SideBySide) -> None:
    (called, own) = played(both, MemoryStore(0, 1), Call(A, Script(MemoryLoad(0))), MemoryLoad(0))
    assert (called.results, own) == ([0], 1)


def what_an_account_holds_before_a_deployment_stays_its_own(both: SideBySide) -> None:
    both.fund(LATE, 3)
    both.deploy(LATE, 4, ReentryPolicy.ALLOW)
    assert both.model.accounts[LATE].balance == 7


def an_undone_growth_leaves_a_hole_until_storage_grows_again(both: SideBySide) -> None:
    _, size = played(both, _UNDONE_GROWTH, Size())
    assert size == 3  # the memory cannot shrink
    assert both.model.accounts[A].regions["memory"].pages == 1  # the region did
    assert outcome(both, _UNDONE_GROWTH, Store(WASM_PAGE, 1)) is FAILED
    assert outcome(both, _UNDONE_GROWTH, Store(WASM_PAGE - 4, -1)) is FAILED  # with one foot in it
    assert outcome(both, _UNDONE_GROWTH, CopyIn(WASM_PAGE - 4, b"12345")) is FAILED
    _, before, _, hole = played(both, _UNDONE_GROWTH, Grow(1), Call(B), Load(WASM_PAGE))
    assert (before, hole) == (3, 0)
    assert both.model.accounts[A].regions["memory"].pages == 4


def snapshots_nest(both: SideBySide) -> None:
    both.begin_snapshot()
    played(both, Store(0, 1), Grow(1))
    both.begin_snapshot()
    played(both, Store(_END, 2), Grow(1), Call(EMPTY, value=1))
    both.end_snapshot(keep=True)
    assert played(both, Load(0), Load(_END), Size()) == [1, 2, 3]
    both.begin_snapshot()
    played(both, Store(0, 9))
    both.end_snapshot(keep=False)
    assert played(both, Load(0), Load(_END), Size()) == [1, 2, 3]
    both.end_snapshot(keep=False)
    assert played(both, Load(0), Load(_END), Size()) == [0, 0, 1]
    assert both.model.accounts[EMPTY].balance == 0


def a_world_opened_anew_is_as_it_was(both: SideBySide) -> None:
    """What is kept in a directory has its storage, its balances, and its policies again."""
    both.deploy(LATE, 3, ReentryPolicy.DENY)
    played(both, Store(0, 1), Store(_END, 2), Call(EMPTY, value=4))
    root = both.state_root
    both.reopen()
    assert both.state_root == root
    assert played(both, Load(0), Load(_END)) == [1, 2]
    (called,) = played(both, Call(LATE, Script(Store(0, 3), Call(LATE))))
    assert called.results[0].outcome is FAILED
    both.reopen()
    assert [both.model.accounts[address].balance for address in (A, LATE, EMPTY)] == [PUPPET_BALANCE - 4, 3, 4]


HISTORIES = (
    a_reentry_sees_unfinished_writes_and_its_own_are_seen,
    an_undone_call_leaves_nothing_behind,
    a_failed_transaction_changes_not_even_a_nonce,
    a_static_call_changes_nothing,
    a_static_call_passes_its_staticness_on,
    a_static_call_that_sends_value_fails_itself,
    a_call_that_breaks_a_rule_and_then_reverts_has_failed,
    a_delegate_call_has_the_caller_and_the_value_of_its_caller,
    a_delegate_call_enters_nobody,
    a_policy_decides_who_may_call_back,
    calls_nest_to_the_limit,
    no_balance_exceeds_what_it_can_be,
    each_call_has_working_memory_of_its_own,
    what_an_account_holds_before_a_deployment_stays_its_own,
    an_undone_growth_leaves_a_hole_until_storage_grows_again,
    snapshots_nest,
    a_world_opened_anew_is_as_it_was,
)


def regions_have_lengths_and_holes_of_their_own(both: SideBySide) -> None:
    """For puppets with a second region."""
    undone = Call(A, Script(SpareGrow(2), SpareStore(0, 9), Grow(1), Revert()))
    _, sizes, spare = played(both, undone, Size(), SpareSize())
    assert (sizes, spare) == (2, 2)
    assert outcome(both, undone, SpareStore(0, 1)) is FAILED
    played(both, undone, SpareGrow(1), Call(B), SpareStore(0, 5))
    regions = both.model.accounts[A].regions
    assert (regions["memory"].pages, regions["spare"].pages) == (1, 3)
    assert played(both, SpareLoad(0), Load(0)) == [5, 0]
