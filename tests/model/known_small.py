"""Histories whose end is known, for storage that is keyed or mapped: what each option makes of the same scripts.

Each is a function of worlds side by side, all under one option, and the name of that option and policy.
"""

from __future__ import annotations

from storagemod.scenario.puppet import Call, CopyIn, Grow, Load, Revert, Script, Size, SpareSize, Store
from storagemod.types import CallKind, Outcome

from . import known
from .agreement import SideBySide
from .kinds import PUPPETS
from .known import outcome, played
from .reference import WASM_PAGE

A, B, C = PUPPETS
OK, FAILED, REVERTED = Outcome.OK, Outcome.FAILED, Outcome.REVERTED

EXCLUSIVE = ("paged, transaction", "aliased, transaction")
"""Those under which a re-entrant call that uses storage fails, if a call above it used it."""

IN_LINE = ("keyed", "copied, call", "paged", "aliased", "window", *EXCLUSIVE)
"""Those under which a re-entrant call that can use storage sees everything, and all see what it did."""

REVISION = "copied, revision"
"""That under which a call fails which changed its copy, if another call changed storage."""

STOPPED = ("keyed", "aliased", "aliased, transaction", "window")
"""Those under which a static call is stopped as it writes."""

_END = WASM_PAGE - 8


def _committed(both: SideBySide, offset: int = 0) -> int:
    return int(played(both, Load(offset))[0])


def a_reentry_sees_what_was_written_where_copies_are_in_line(both: SideBySide, name: str) -> None:
    script = (Store(0, 1), Call(A, Script(Load(0), Store(0, 5))), Load(0))
    if name == REVISION:
        assert (outcome(both, *script), _committed(both)) == (FAILED, 0)
        return
    inner, seen = played(both, *script)
    if name in EXCLUSIVE:
        assert (inner.outcome, seen, _committed(both)) == (FAILED, 1, 1)
        return
    assert (inner.results, seen, _committed(both)) == (([1], 5, 5) if name in IN_LINE else ([0], 1, 1))


def a_copy_that_was_not_changed_is_written_back_under_none(both: SideBySide, name: str) -> None:
    _, _, seen = played(both, Load(0), Call(B, Script(Call(A, Script(Store(0, 5), Store(_END, 6))))), Load(0))
    assert seen == (5 if name in IN_LINE and name not in EXCLUSIVE else 0)
    expected = (0, 0) if name in {"copied, none", *EXCLUSIVE} else (5, 6)
    assert (_committed(both), _committed(both, _END)) == expected


def bytes_that_two_calls_wrote_side_by_side_are_all_kept_but_under_none(both: SideBySide, name: str) -> None:
    script = (Store(0, 1), Call(A, Script(CopyIn(1, b"\2"), CopyIn(4_096, b"\3"))), CopyIn(2, b"\4"))
    if name == REVISION:
        assert (outcome(both, *script), _committed(both), _committed(both, 4_096)) == (FAILED, 0, 0)
        return
    played(both, *script)
    of_one_call = name in {"copied, none", *EXCLUSIVE}
    assert _committed(both) == (0x04_00_01 if of_one_call else 0x04_02_01)
    assert _committed(both, 4_096) == (0 if of_one_call else 3)


def storage_is_copied_when_it_is_first_used(both: SideBySide, name: str) -> None:  # noqa: ARG001 - under each
    _, size, seen = played(both, Call(A, Script(Store(0, 5))), Size(), Load(0))
    assert (size, seen, _committed(both)) == (1, 5, 5)


def a_delegate_call_has_a_copy_of_its_own(both: SideBySide, name: str) -> None:
    script = (Store(0, 1), Call(B, Script(Load(0), Store(8, 2)), kind=CallKind.DELEGATE), Load(8))
    if name == REVISION:
        assert (outcome(both, *script), _committed(both), _committed(both, 8)) == (FAILED, 0, 0)
        return
    inner, seen = played(both, *script)
    if name in EXCLUSIVE:
        assert (inner.outcome, seen, _committed(both), _committed(both, 8)) == (FAILED, 0, 1, 0)
        return
    assert (inner.results, seen) == (([1], 2) if name in IN_LINE else ([0], 0))
    assert (_committed(both), _committed(both, 8)) == (1, 0 if name == "copied, none" else 2)


def what_an_undone_call_made_of_its_copy_is_gone(both: SideBySide, name: str) -> None:
    called, seen = played(both, Store(0, 1), Call(A, Script(Store(0, 2), Store(8, 2), Revert())), Load(8))
    assert (called.outcome, seen) == (FAILED if name in EXCLUSIVE else REVERTED, 0)
    assert (_committed(both), _committed(both, 8)) == (1, 0)


def a_static_call_may_not_end_or_call_with_a_copy_that_it_changed(both: SideBySide, name: str) -> None:
    reads, writes = Script(Load(0)), Script(Store(0, 1))
    restores = Script(Store(0, 1), Call(B), Store(0, 0))
    reverts = Script(Store(0, 1), Revert())
    called = played(both, *(Call(A, each, kind=CallKind.STATIC) for each in (reads, writes, restores, reverts)))
    assert [each.outcome for each in called] == [
        OK,
        FAILED,
        FAILED if name in IN_LINE else OK,
        FAILED if name in STOPPED else REVERTED,
    ]


def a_static_call_that_stores_what_is_there_fails_only_where_stores_are_stopped(both: SideBySide, name: str) -> None:
    (called,) = played(both, Call(A, Script(Store(0, 0), CopyIn(30, bytes(8)), Load(0)), kind=CallKind.STATIC))
    if name in STOPPED:
        assert called.outcome is FAILED
    else:  # it is working memory that is written, and storage is not changed by it
        assert (called.outcome, called.results) == (OK, [0])


def storage_has_one_page_and_no_way_to_more(both: SideBySide, name: str) -> None:  # noqa: ARG001 - under each
    assert played(both, Size(), Grow(0), Grow(1), Size(), Grow(2**32 - 1)) == [1, 1, -1, 1, -1]
    assert outcome(both, Store(_END, 1)) is OK
    assert outcome(both, Store(_END + 1, 1)) is FAILED
    assert outcome(both, CopyIn(WASM_PAGE, b"")) is OK
    assert outcome(both, CopyIn(WASM_PAGE + 1, b"")) is FAILED
    assert outcome(both, SpareSize()) is FAILED


def a_world_opened_anew_is_as_it_was(both: SideBySide, name: str) -> None:
    known.a_world_opened_anew_is_as_it_was(both)
    both.load_storage(A, "memory", bytes(8), 0)
    a_reentry_sees_what_was_written_where_copies_are_in_line(both, name)


def a_delegate_call_maps_storage_as_its_code_does(both: SideBySide) -> None:
    """Where A writes at its end, B pages, and C writes everything at its end."""
    sees = Script(Store(0, 1), Call(A, Script(Load(0))), Revert())
    of_each = played(both, Call(A, sees), *(Call(each, sees, kind=CallKind.DELEGATE) for each in PUPPETS))
    assert [called.results[0].results for called in of_each] == [[0], [0], [1], [0]]
    whole = Script(Load(0), Call(A, Script(Store(0, 5))))
    played(both, Call(B, whole, kind=CallKind.DELEGATE))
    assert _committed(both) == 5
    played(both, Store(0, 6))
    played(both, Call(C, whole, kind=CallKind.DELEGATE))
    assert _committed(both) == 6


def calls_one_after_another_share_storage_whatever_excludes_them(both: SideBySide, name: str) -> None:  # noqa: ARG001
    script = Script(Load(0), Store(0, 1)), Script(Load(0), Store(0, 2), Revert()), Script(Load(0), Store(0, 3))
    first, undone, third, seen = played(both, *(Call(A, each) for each in script), Load(0))
    assert (first.results, undone.outcome, third.results, seen) == ([0], REVERTED, [1], 3)
    assert _committed(both) == 3


def a_call_that_only_reads_may_be_behind_storage(both: SideBySide, name: str) -> None:
    """And a failed one makes no revision."""
    undone = Call(A, Script(Store(0, 9), Revert()))
    (*_, seen) = played(both, Load(0), Call(A, Script(Store(8, 5))), undone, Load(8))
    kept = name not in {"copied, none", *EXCLUSIVE}
    assert (seen, _committed(both), _committed(both, 8)) == (
        5 if name in IN_LINE and kept else 0,
        0,
        5 if kept else 0,
    )
    assert played(both, Load(8), undone, Store(8, 6))[0] == (5 if kept else 0)
    assert _committed(both, 8) == 6


def a_call_above_the_caller_counts_as_much_as_the_caller(both: SideBySide, name: str) -> None:
    inner = Call(B, Script(Call(C, Script(Call(A, Script(Load(0), Store(8, 2)))))))
    script = (Store(0, 1), inner)
    expected = {REVISION: (0, 0), "copied, none": (1, 0), **dict.fromkeys(EXCLUSIVE, (1, 0))}
    assert outcome(both, *script) is (FAILED if name == REVISION else OK)
    assert (_committed(both), _committed(both, 8)) == expected.get(name, (1, 2))


def of_two_calls_one_is_enough_to_exclude_the_other(both: SideBySide) -> None:
    """Where C pages, A copies by revision, and B pages exclusively."""
    look = Script(Load(0))
    alone, shared = (Call(each, look, kind=CallKind.DELEGATE) for each in (B, C))
    inner, outer = [], []
    for first in (B, C):
        called = Script(Load(0), alone, shared)
        (result,) = played(both, Call(first, called, kind=CallKind.DELEGATE))
        inner.append([each.outcome for each in result.results[1:]])
        (result,) = played(both, Call(first, called))
        outer.append([each.outcome for each in result.results[1:]])
    assert inner == outer == [[FAILED, FAILED], [FAILED, OK]]
    called = played(both, Load(0), alone, shared, Call(B, Script(Load(0), Call(A, Script(Load(0))))))
    assert [each.outcome for each in called[1:]] == [OK, OK, OK]
    assert outcome(both, Store(0, 1), Call(C, Script(Store(8, 1)), kind=CallKind.DELEGATE)) is FAILED


def what_broke_other_systems_comes_out_as_each_policy_wants_it(both: SideBySide, name: str) -> None:
    """For each script what is committed in line, and under the policies: the second is `revision`, the third exclusive.

    They are those of ``tests/semantics`` that these policies refuse.
    """
    count = Script(Load(0), Store(0, 4))
    third = Call(C, Script(Call(A, count)))
    second = Call(A, Script(Load(0), Store(0, 2), Call(B, Script(third)), Load(0)), kind=CallKind.DELEGATE)
    guarded = (Store(0, 1), Call(B, Script(Call(A, Script(Load(0))))), Store(0, 0))
    rights = Call(A, Script(Load(0), Call(B, Script(Store(0, 1)))), kind=CallKind.STATIC)
    for script, expected in (
        ((Store(0, 1), second, Load(0)), (4, 1, 1)),  # soroban-env PR 1617; the second call fails, and all in it
        (guarded, (0, 0, 0)),  # openbrush-contracts#85
        ((Store(0, 5), rights, Store(8, 6)), (5, 5, 5)),  # solana-labs#32649
        ((Store(0, 1), Call(A, Script(Store(64, 2))), Store(0, 3)), (3, 0, 3)),  # polkadot-sdk#12267
        ((Store(0, 1), Call(A, Script(Store(64, 2), Revert())), Store(0, 3)), (3, 3, 3)),
        ((CopyIn(0, b"kept"), Call(A, Script(Load(0)))), (0x74_70_65_6B,) * 3),  # burrow#1417
        *(
            ((Store(0, 41), Call(B, Script(Call(A, Script(Load(0)), kind=kind)))), (41, 41, 41))  # Stylus
            for kind in (CallKind.CALL, CallKind.STATIC, CallKind.DELEGATE)
        ),
    ):
        both.load_storage(A, "memory", bytes(128), 0)
        ended = outcome(both, *script)
        if name in IN_LINE or name == REVISION:  # the others are as wrong as the model says
            in_line, by_revision, exclusive = expected
            wanted = exclusive if name in EXCLUSIVE else by_revision if name == REVISION else in_line
            assert _committed(both) == wanted
            assert ended is (FAILED if name == REVISION and in_line and not by_revision else OK)


HISTORIES = (
    a_reentry_sees_what_was_written_where_copies_are_in_line,
    a_copy_that_was_not_changed_is_written_back_under_none,
    bytes_that_two_calls_wrote_side_by_side_are_all_kept_but_under_none,
    storage_is_copied_when_it_is_first_used,
    a_delegate_call_has_a_copy_of_its_own,
    what_an_undone_call_made_of_its_copy_is_gone,
    a_static_call_may_not_end_or_call_with_a_copy_that_it_changed,
    a_static_call_that_stores_what_is_there_fails_only_where_stores_are_stopped,
    storage_has_one_page_and_no_way_to_more,
    calls_one_after_another_share_storage_whatever_excludes_them,
    a_call_that_only_reads_may_be_behind_storage,
    a_call_above_the_caller_counts_as_much_as_the_caller,
    what_broke_other_systems_comes_out_as_each_policy_wants_it,
    a_world_opened_anew_is_as_it_was,
)

ALIKE = (
    known.a_failed_transaction_changes_not_even_a_nonce,
    known.a_static_call_passes_its_staticness_on,
    known.a_static_call_that_sends_value_fails_itself,
    known.a_delegate_call_has_the_caller_and_the_value_of_its_caller,
    known.a_delegate_call_enters_nobody,
    known.a_policy_decides_who_may_call_back,
    known.no_balance_exceeds_what_it_can_be,
    known.each_call_has_working_memory_of_its_own,
    known.what_an_account_holds_before_a_deployment_stays_its_own,
)
"""Histories that come out as they do where storage is memory."""
