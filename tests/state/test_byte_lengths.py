"""Regions that end within a Wasm page: how their lengths are kept, and that nothing else is kept otherwise for them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storagemod.errors import StateError
from storagemod.pages import HashTree, coded_length, decoded_length, image_length
from storagemod.state import (
    MemoryPageStore,
    PageStore,
    SqlitePageStore,
    export_state,
    import_state,
    portable,
)
from storagemod.types import WASM_PAGE_BYTES

from .stores import A, B, content, write

PART = 3 + 1 / WASM_PAGE_BYTES
"""Of a region: three Wasm pages and a byte."""


def version(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        ((found,),) = connection.execute("PRAGMA user_version")
    assert isinstance(found, int)
    return found


def in_bytes(store: PageStore) -> int:
    return image_length(store.image(A, "log"))


@given(st.integers(0, 2**32))
def test_a_length_can_be_read_again_and_whole_pages_are_kept_as_they_were(length: int) -> None:
    wasm_pages = -(-length // WASM_PAGE_BYTES)
    spare = wasm_pages * WASM_PAGE_BYTES - length
    code = coded_length(wasm_pages, spare)
    assert decoded_length(code) == (wasm_pages, spare)
    assert code == (-length if spare else wasm_pages)


def test_lengths_that_differ_by_a_byte_have_different_roots_and_those_of_whole_pages_have_the_old_ones() -> None:
    tree = HashTree()
    roots = [tree.root(code) for code in (*range(4), *range(-4, 0), -(2**32))]
    assert len(set(roots)) == len(roots)
    assert tree.root(1).hex() == OLD_ROOT_OF_A_PAGE_OF_ZEROS


OLD_ROOT_OF_A_PAGE_OF_ZEROS = "9b0f91a9d0dc5de61f483df036509a67b93349bea3b95d4b97bb84aaf1453d92"
"""As releases computed it that knew no other lengths."""


def test_a_directory_keeps_such_lengths(tmp_path: Path) -> None:
    with closing(SqlitePageStore(tmp_path)) as store:
        store.commit(write(store, A, {0: 1}, wasm_pages=3))
        store.commit(write(store, A, {40: 2}, wasm_pages=PART, region="log"))
        root = store.state_root()
    for read_only in (True, False):
        with closing(SqlitePageStore(tmp_path, read_only=read_only)) as store:
            assert (in_bytes(store), store.state_root()) == (3 * WASM_PAGE_BYTES + 1, root)
            assert not list(store.verify())


def test_an_export_has_a_new_format_where_it_needs_one(tmp_path: Path) -> None:
    store = MemoryPageStore()
    store.commit(write(store, A, {0: 1}, wasm_pages=3))
    export_state(store, tmp_path / "old")
    assert version(tmp_path / "old") == portable.FORMAT
    store.commit(write(store, A, {48: 2}, wasm_pages=PART, region="log"))
    store.commit(write(store, B, {}, wasm_pages=1))
    exported = export_state(store, tmp_path / "new")
    assert version(tmp_path / "new") == portable.FORMAT_BYTES
    assert import_state(tmp_path / "new", tmp_path / "world") == exported
    with closing(SqlitePageStore(tmp_path / "world")) as imported:
        assert content(imported) == content(store)


def test_an_export_of_the_old_format_has_no_length_in_bytes(tmp_path: Path) -> None:
    store = MemoryPageStore()
    store.commit(write(store, A, {}, wasm_pages=PART))
    export_state(store, tmp_path / "file")
    with closing(sqlite3.connect(tmp_path / "file")) as connection:
        connection.execute(f"PRAGMA user_version = {portable.FORMAT}")
    with pytest.raises(StateError, match=r'region "memory" of .* cannot have -196609 Wasm pages'):
        import_state(tmp_path / "file", tmp_path / "world")
