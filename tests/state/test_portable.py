"""A state goes through a file to another place and is the same there, or nothing is made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storagemod.errors import StateError
from storagemod.state import (
    Account,
    Contents,
    MemoryPageStore,
    PageStore,
    SqlitePageStore,
    export_state,
    import_state,
)
from storagemod.state.portable import _BoundedRows
from storagemod.state.rows import PUT_ACCOUNT, checksum
from storagemod.types import ReentryPolicy

from .stores import A, B, account, content, write


def filled(store: PageStore) -> PageStore:
    store.commit(account(store, A, Account(5, 2**127, b"some code", "alice", {"b": B}, ReentryPolicy.DENY)))
    store.commit(account(store, B, Account(1, 2, b"some code", "")))
    store.commit(write(store, A, {0: 1, 40: 2, 41: 3, 2**20 - 1: 9}))
    store.commit(write(store, A, {3: 1}, wasm_pages=9, region="ß"))
    store.commit(write(store, B, {}, wasm_pages=2))
    return store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "state.stmx"
    export_state(filled(MemoryPageStore()), file)
    return file


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


@pytest.mark.parametrize("batch_pages", [1, 3, 1_000])
def test_what_is_imported_is_what_was_exported(tmp_path: Path, batch_pages: int) -> None:
    with closing(SqlitePageStore(tmp_path / "old")) as store:
        filled(store)
        exported = export_state(store, tmp_path / "file")
        seen = content(store)
        assert exported == Contents(accounts=2, regions=3, pages=5, root=store.state_root())
    assert import_state(tmp_path / "file", tmp_path / "new", batch_pages=batch_pages) == exported
    with closing(SqlitePageStore(tmp_path / "new", read_only=True)) as store:
        assert (content(store), store.state_root()) == (seen, exported.root)
        assert not list(store.verify())
    assert names(tmp_path) == ["file", "new", "old"]


def test_one_state_gives_one_file_wherever_it_was_kept(tmp_path: Path, file: Path) -> None:
    with closing(SqlitePageStore(tmp_path / "world")) as store:
        store.commit(write(store, B, {5: 5}))
        store.commit(write(store, B, {5: 0}, wasm_pages=0))
        filled(store)
        store.flush_log()
        export_state(store, tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == file.read_bytes()


def test_an_empty_state_can_be_carried_too(tmp_path: Path) -> None:
    export_state(MemoryPageStore(), tmp_path / "file")
    (tmp_path / "world").mkdir()  # an empty directory is as good as none
    import_state(tmp_path / "file", tmp_path / "world")
    with closing(SqlitePageStore(tmp_path / "world", read_only=True)) as store:
        assert content(store) == ({}, {})


def test_nothing_is_written_over(tmp_path: Path, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(StateError, match=r"exists already .export to a new file"):
        export_state(MemoryPageStore(), file)
    assert file.read_bytes() == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").touch()
    for place in (tmp_path / "full", file):
        with pytest.raises(StateError, match=r"exists already .choose a new directory"):
            import_state(file, place)
    assert names(tmp_path) == ["full", "state.stmx"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, file: Path) -> None:
    with pytest.raises(StateError, match=r"nowhere/file cannot be written: No such file or directory"):
        export_state(MemoryPageStore(), tmp_path / "nowhere" / "file")
    with pytest.raises(StateError, match=r"cannot be imported into .*/state.stmx is a file, expected a directory"):
        import_state(file, file / "world")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("PRAGMA application_id = 1", "is a database, but not an exported state"),
        ("PRAGMA user_version = 9", "has format 9, and this version of storagemod knows format 1"),
        ("UPDATE accounts SET nonce = 9", "is damaged: the account .* is not what was written"),
        ("UPDATE codes SET wasm = x'00'", "is damaged: the code .* is not what was written"),
        ("UPDATE codes SET wasm = 5", "is damaged: the code .* is not what was written"),
        ("UPDATE codes SET hash = 5", "is damaged: the code 5 is not what was written"),
        ("DELETE FROM codes", "is damaged: the code of the account .* is missing"),
        ("DELETE FROM accounts", "is damaged: the state root is not the one that it had"),
        ("UPDATE regions SET wasm_pages = 10 WHERE id = 2", 'is damaged: region "ß" of .* does not have the root'),
        ("UPDATE regions SET wasm_pages = -1 WHERE id = 2", 'is damaged: region "ß" of .* cannot have -1 Wasm'),
        ("UPDATE regions SET wasm_pages = 'x' WHERE id = 3", "is damaged: a region has 'x' in place of an integer"),
        ("UPDATE regions SET wasm_pages = 70000 WHERE id = 3", "65,536 Wasm pages at most"),
        ("UPDATE regions SET address = x'01' WHERE id = 2", "is damaged: .* is not an address"),
        ("UPDATE regions SET name = x'05' WHERE id = 2", "is damaged: a region has .* in place of text"),
        ("UPDATE pages SET page = 42 WHERE page = 41", 'is damaged: region "memory" of .* does not have the root'),
        ("UPDATE pages SET page = -1 WHERE page = 41", "is damaged: page -1 of .* cannot be one"),
        ("UPDATE pages SET page = 'x' WHERE page = 41", "is damaged: a page of .* has 'x' in place of an integer"),
        ("UPDATE pages SET page = 1.5 WHERE page = 41", "is damaged: a page of .* has 1.5 in place of an integer"),
        ("UPDATE pages SET data = zeroblob(4096) WHERE page = 41", "does not have the root"),
        ("UPDATE pages SET data = x'01' WHERE page = 41", "is damaged: page 41 of .* cannot be one"),
        ("UPDATE pages SET data = 5 WHERE page = 41", "is damaged: a page of .* has 5 in place of bytes"),
        ("DELETE FROM pages WHERE page = 41", "does not have the root"),
        ("DELETE FROM regions WHERE id = 3", "is damaged: the state root is not the one that it had"),
        ("DELETE FROM state", "is damaged: the state root is not the one that it had"),
        ("INSERT INTO state VALUES (x'00')", "is damaged: the state root is not the one that it had"),
        ("DROP TABLE pages", "is damaged: its tables are not those of an exported state"),
        ("ALTER TABLE regions ADD COLUMN more", "is damaged: its tables are not those"),
        ("CREATE TABLE more (x)", "is damaged: its tables are not those"),
        ("CREATE INDEX more ON regions (name)", "is damaged: its tables are not those"),
        ("CREATE TRIGGER t AFTER INSERT ON regions BEGIN SELECT 1; END", "is damaged: its tables are not those"),
    ],
)
def test_a_file_that_somebody_wrote_in_makes_no_world(tmp_path: Path, file: Path, sql: str, message: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(sql)
        connection.commit()
    with pytest.raises(StateError, match=message):
        import_state(file, tmp_path / "world")
    assert names(tmp_path) == ["state.stmx"]


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


@pytest.mark.parametrize(
    "view",
    [
        "regions AS ENDLESS SELECT i AS id, zeroblob(20) AS address, i AS name, 0 AS wasm_pages, x'' AS root FROM n",
        "pages AS ENDLESS SELECT i % 3 + 1 AS region, i AS page, zeroblob(4096) AS data FROM n",
        "codes AS ENDLESS SELECT x'' AS hash, zeroblob(1000000) AS wasm FROM n",
        "state AS ENDLESS SELECT i AS root FROM n",
    ],
)
def test_a_view_without_end_is_not_read(tmp_path: Path, file: Path, view: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"DROP TABLE {view.split(maxsplit=1)[0]}")
        connection.execute(f"CREATE VIEW {view}".replace("ENDLESS", ENDLESS))
        connection.commit()
    with pytest.raises(StateError, match="is damaged: its tables are not those of an exported state"):
        import_state(file, tmp_path / "world")
    assert names(tmp_path) == ["state.stmx"]


def test_a_catalogue_with_a_view_without_end_is_not_read(tmp_path: Path) -> None:
    with closing(SqlitePageStore(tmp_path / "world")) as store:
        filled(store)
    with closing(sqlite3.connect(tmp_path / "world" / "catalogue.sqlite")) as connection:
        connection.execute("DROP TABLE log")
        view = "CREATE VIEW log AS ENDLESS SELECT i AS place, x'' AS data, 0 AS checksum FROM n"
        connection.execute(view.replace("ENDLESS", ENDLESS))
        connection.commit()
    with pytest.raises(StateError, match="is damaged: its tables are not those of the catalogue of a world"):
        SqlitePageStore(tmp_path / "world")


def test_no_more_rows_are_read_than_a_file_can_hold() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        rows = _BoundedRows(connection, 5_000)
        assert list(rows("SELECT x'00ff', 'ab', 7, NULL")) == [(b"\0\xff", "ab", 7, None)]
        with pytest.raises(ValueError, match="it has more rows than it is long"):
            sum(1 for _ in rows("ENDLESS SELECT i, zeroblob(100) FROM n".replace("ENDLESS", ENDLESS)))


def test_text_that_is_nested_too_deep_is_damage(tmp_path: Path, file: Path) -> None:
    deep = "[" * 100_000
    with closing(sqlite3.connect(file)) as connection:
        for row in list(connection.execute("SELECT * FROM accounts")):
            changed = (*row[:5], deep, *row[6:-1])
            connection.execute(PUT_ACCOUNT, (*changed, checksum(changed)))
        connection.commit()
    with pytest.raises(StateError, match="is damaged: "):
        import_state(file, tmp_path / "world")


def test_a_file_that_is_something_else_makes_no_world(tmp_path: Path, file: Path) -> None:
    with pytest.raises(StateError, match="there is no file"):
        import_state(tmp_path / "nothing", tmp_path / "world")
    with pytest.raises(StateError, match="is not a file, and an export is one"):
        import_state(tmp_path, tmp_path / "world")
    file.write_bytes(file.read_bytes()[:20_000])
    with pytest.raises(StateError, match=r"malformed|damaged"):
        import_state(file, tmp_path / "world")
    file.write_text("plain text " * 1_000)
    with pytest.raises(StateError, match="file is not a database"):
        import_state(file, tmp_path / "world")
    assert names(tmp_path) == ["state.stmx"]
