"""The difference of two states is what makes the one out of the other."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod.pages import hash_tree
from storagemod.state import (
    Account,
    ChangeSet,
    MemoryPageStore,
    PageStore,
    SqlitePageStore,
    account_differences,
    region_differences,
)
from storagemod.types import Address

from .stores import A, B, account, content, write

states = st.lists(
    st.tuples(
        st.sampled_from([A, B]),
        st.integers(0, 2),
        st.dictionaries(st.sampled_from([0, 1, 16, 300]), st.integers(0, 2)),
    ),
    max_size=3,
)


def difference(old: PageStore, new: PageStore) -> ChangeSet:
    return ChangeSet(account_differences(old, new), dict(region_differences(old, new)))


@settings(deadline=None)
@given(states, states)
def test_a_state_and_the_difference_to_another_make_the_other(
    first: list[tuple[Address, int, dict[int, int]]], second: list[tuple[Address, int, dict[int, int]]]
) -> None:
    old, new = MemoryPageStore(), MemoryPageStore()
    for store, history in ((old, first), (new, second)):
        for address, nonce, pages in history:
            store.commit(account(store, address, Account(nonce=nonce)))
            store.commit(write(store, address, pages))
    changes = difference(old, new)
    assert bool(changes) == (content(old) != content(new))
    assert all(before != after for written in changes.regions.values() for before, after in written.pages.values())
    old.commit(changes)
    assert content(old) == content(new)
    assert old.state_root() == new.state_root()


def test_equal_pages_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        with closing(SqlitePageStore(tmp_path / name)) as store:
            store.commit(write(store, A, dict.fromkeys(range(0, 100_000, 1_000), 1) | {5: ord(name)}))
    old, new = (SqlitePageStore(tmp_path / name, read_only=True) for name in "ab")
    read: list[int] = []
    real = hash_tree.HashTree.node
    monkeypatch.setattr(hash_tree.HashTree, "node", lambda tree, key: read.append(key) or real(tree, key))  # type: ignore[arg-type,func-returns-value]
    ((key, written),) = region_differences(old, new)
    assert (key, list(written.pages)) == ((A, "memory"), [5])
    assert len(set(read)) == hash_tree.LEVELS
    old.close()
    new.close()
