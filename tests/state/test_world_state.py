"""Savepoints, over any store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from storagemod.errors import StateError
from storagemod.state import Account, MemoryPageStore, PageStore, SqlitePageStore, WorldState
from storagemod.state.catalogue import Catalogue

from .stores import A, B, account, content, page, write


@pytest.fixture(params=["memory", "directory"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WorldState]:
    store: PageStore = MemoryPageStore() if request.param == "memory" else SqlitePageStore(tmp_path / "world")
    yield WorldState(store)
    store.close()


def test_what_is_undone_is_as_it_was(state: WorldState) -> None:
    state.commit(account(state.store, A, Account(nonce=1)))
    before, root = content(state.store), state.store.state_root()
    savepoint = state.savepoint()
    for fill in (1, 2):
        state.commit(
            write(state.store, A, {0: fill, 50: fill}).merged(account(state.store, A, Account(nonce=fill + 1)))
        )
        state.commit(account(state.store, B, Account(balance=fill)))
    state.rollback(savepoint)
    assert (content(state.store), state.store.state_root()) == (before, root)


def test_savepoints_nest(state: WorldState) -> None:
    outer = state.savepoint()
    state.commit(write(state.store, A, {0: 1}))
    kept = state.savepoint()
    state.commit(write(state.store, A, {1: 1}))
    state.release(kept)
    undone = state.savepoint()
    state.commit(write(state.store, A, {1: 2, 2: 2}))
    state.rollback(undone)
    assert dict(state.store.image(A, "memory").pages()) == {0: page(1), 1: page(1)}
    with pytest.raises(StateError, match="reverse order"):
        state.rollback(undone)
    state.rollback(outer)
    assert content(state.store) == ({}, {})


def test_changes_since_a_savepoint_are_one_change(state: WorldState) -> None:
    state.commit(write(state.store, A, {0: 1}))
    outer = state.savepoint()
    assert not state.changes_since(outer)
    for fill in (2, 3, 1):
        state.commit(write(state.store, A, {0: fill, 5: fill}))
    inner = state.savepoint()
    state.commit(account(state.store, B, Account(balance=7)))
    since = state.changes_since(outer)
    assert since.regions[A, "memory"].pages == {5: (page(0), page(1))}
    assert since.accounts == {B: (Account(), Account(balance=7))}
    assert not state.changes_since(inner).regions
    state.rollback(inner)
    state.rollback(outer)
    assert dict(state.store.image(A, "memory").pages()) == {0: page(1)}


def test_a_savepoint_that_nothing_happened_since_can_be_ended_either_way(state: WorldState) -> None:
    state.rollback(state.savepoint())
    state.release(state.savepoint())
    assert content(state.store) == ({}, {})


def test_a_state_with_a_savepoint_is_not_closed(state: WorldState) -> None:
    savepoint = state.savepoint()
    with pytest.raises(StateError, match="a snapshot is still open"):
        state.close()
    state.release(savepoint)
    state.close()
    with pytest.raises(StateError, match="the world is closed"):
        state.savepoint()


def test_only_what_the_outermost_savepoint_kept_is_on_the_disk(tmp_path: Path) -> None:
    def on_the_disk() -> object:
        with closing(SqlitePageStore(tmp_path, read_only=True)) as reader:
            return content(reader)

    with closing(SqlitePageStore(tmp_path)) as store:
        state = WorldState(store)
        outer = state.savepoint()
        state.commit(write(store, A, {0: 1}))
        inner = state.savepoint()
        state.commit(write(store, A, {1: 2}))
        state.release(inner)
        assert on_the_disk() == ({}, {})
        state.release(outer)
        assert on_the_disk() == content(store)
        state.rollback(state.savepoint())
        state.commit(write(store, A, {2: 3}))
        assert on_the_disk() == content(store)


def test_what_cannot_be_kept_is_undone(tmp_path: Path) -> None:
    with closing(SqlitePageStore(tmp_path)) as store:
        state = WorldState(store)
        state.commit(write(store, A, {0: 1}))
        before, root = content(store), store.state_root()
        savepoint = state.savepoint()
        state.commit(write(store, A, {0: 2}))
        state.commit(account(store, B, Account(nonce=1)))

        def fail(*_: object) -> None:
            raise StateError("the disk is full")

        with patch.object(Catalogue, "commit", fail), pytest.raises(StateError, match="the disk is full"):
            state.release(savepoint)
        assert (content(store), store.state_root()) == (before, root)
        state.commit(write(store, A, {0: 3}))
    with closing(SqlitePageStore(tmp_path)) as store:
        assert dict(store.image(A, "memory").pages()) == {0: page(3)}


@pytest.mark.parametrize("what", ["begin_group", "commit_group", "commit"])
def test_after_an_interruption_nothing_is_taken_that_would_not_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    store = SqlitePageStore(tmp_path)
    state = WorldState(store)

    def go_there_and_back() -> None:
        savepoint = state.savepoint()
        state.commit(write(store, A, {0: 1}))
        if what == "commit":
            monkeypatch.setattr(store, "commit", interrupt)
        state.rollback(savepoint)

    if what != "commit":
        monkeypatch.setattr(store, what, interrupt)
    with pytest.raises(KeyboardInterrupt):
        go_there_and_back()
    monkeypatch.undo()
    with pytest.raises(StateError, match=r"was interrupted .open the world again"):
        state.commit(write(store, A, {0: 5}))
    store.close()
    with closing(SqlitePageStore(tmp_path)) as store:
        assert content(store) == ({}, {})
