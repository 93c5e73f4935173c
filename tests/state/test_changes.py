"""Changes, taken back and taken together."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod.pages import ZERO_PAGE, RegionDiff
from storagemod.state import NO_ACCOUNT, Account, ChangeSet, MemoryPageStore

from .stores import A, B, account, content, page, write

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([A, B]), st.integers(0, 2)),
        st.tuples(st.sampled_from([A, B]), st.dictionaries(st.integers(0, 31), st.integers(0, 2), max_size=3)),
        st.tuples(st.sampled_from([A, B]), st.just({}), st.integers(0, 3)),
    ),
    min_size=1,
    max_size=8,
)


def change(store: MemoryPageStore, step: tuple[object, ...]) -> ChangeSet:
    match step:
        case (address, int(balance)):
            return account(store, address, Account(balance=balance))  # type: ignore[arg-type]
        case (address, dict(pages)):
            return write(store, address, pages)  # type: ignore[arg-type]
        case (address, dict(pages), int(wasm_pages)):
            return write(store, address, pages, wasm_pages=wasm_pages)  # type: ignore[arg-type]
    raise AssertionError(step)


@settings(deadline=None)
@given(steps, steps)
def test_changes_merged_do_what_they_do_one_after_another(before: list[object], after: list[object]) -> None:
    one, other = MemoryPageStore(), MemoryPageStore()
    for step in before:
        for store in (one, other):
            store.commit(change(store, step))  # type: ignore[arg-type]
    history = []
    for step in after:
        history.append(change(one, step))  # type: ignore[arg-type]
        one.commit(history[-1])
    merged = history[0].merged(*history[1:])
    other.commit(merged)
    assert content(other) == content(one)
    assert other.state_root() == one.state_root()
    other.commit(merged.inverted())
    for each in reversed(history):
        one.commit(each.inverted())
    assert content(other) == content(one)
    assert other.state_root() == one.state_root()


@settings(deadline=None)
@given(steps)
def test_a_change_and_its_inverse_are_no_change(history: list[object]) -> None:
    store = MemoryPageStore()
    changes = []
    for step in history:
        changes.append(change(store, step))  # type: ignore[arg-type]
        store.commit(changes[-1])
    back = [each.inverted() for each in reversed(changes)]
    assert not changes[0].merged(*changes[1:], *back)


def test_what_ends_as_it_began_drops_out() -> None:
    first = ChangeSet(
        {A: (NO_ACCOUNT, Account(nonce=1)), B: (NO_ACCOUNT, Account(balance=1))},
        {
            (A, "x"): RegionDiff(0, 1, {0: (ZERO_PAGE, page(1)), 1: (ZERO_PAGE, page(2))}),
            (B, "y"): RegionDiff(1, 2, {}),
        },
    )
    second = ChangeSet(
        {A: (Account(nonce=1), Account(nonce=2)), B: (Account(balance=1), NO_ACCOUNT)},
        {(A, "x"): RegionDiff(1, 1, {0: (page(1), ZERO_PAGE), 1: (page(2), page(3))}), (B, "y"): RegionDiff(2, 1, {})},
    )
    assert first.merged(second) == ChangeSet(
        {A: (NO_ACCOUNT, Account(nonce=2))}, {(A, "x"): RegionDiff(0, 1, {1: (ZERO_PAGE, page(3))})}
    )
    assert first.merged() == first
    assert not ChangeSet(regions={(A, "x"): RegionDiff(1, 1, {})})
