"""What directories add to page stores: they are there again later, and can be read meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from storagemod.errors import StateError
from storagemod.pages import NodeKey, OverlayImage, choose_backend, file_image
from storagemod.state import NO_ACCOUNT, Account, ChangeSet, MemoryPageStore, SqlitePageStore
from storagemod.state.catalogue import Catalogue, RegionRecord
from storagemod.state.image_files import HEADER_BYTES
from storagemod.types import Address

from .stores import A, B, account, content, page, write


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "world"


def open_files() -> list[Path]:
    return sorted(Path("/dev/fd").iterdir())


def catalogue_rows(home: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{home / 'catalogue.sqlite'}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def statements(store: SqlitePageStore, start: str) -> list[str]:
    """Return a list that the statements which begin so are added to from now on."""
    found: list[str] = []
    store._catalogue._connection.set_trace_callback(lambda sql: found.append(sql) if sql.startswith(start) else None)
    return found


@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_what_was_committed_is_there_again(home: Path, synchronous: str) -> None:
    with closing(SqlitePageStore(home, synchronous=synchronous)) as store:  # type: ignore[arg-type]
        store.commit(account(store, A, Account(3, 4, b"code", "a", {"x": B})))
        store.commit(write(store, A, {0: 1, 70_000: 2}))
        seen, root = content(store), store.state_root()
    assert sorted(entry.name for entry in home.iterdir()) == ["catalogue.sqlite", "images", "lock", "newest", "readers"]
    for read_only in (True, False):
        with closing(SqlitePageStore(home, read_only=read_only)) as store:
            assert (content(store), store.state_root()) == (seen, root)
            assert not list(store.verify())


def test_neither_committing_nor_opening_again_hashes_a_page(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: bytes) -> bytes:
        raise AssertionError

    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, dict.fromkeys(range(50), 1)))
        store.commit(write(store, B, {}, wasm_pages=2))
        with monkeypatch.context() as patched:
            patched.setattr("storagemod.pages.hash_tree.page_digest", refuse)
            store.commit(write(store, A, {3: 2, 60: 1}))
        root = store.state_root()
    monkeypatch.setattr("storagemod.pages.hash_tree.page_digest", refuse)
    with closing(SqlitePageStore(home)) as store:
        assert store.state_root() == root


def test_a_commit_looks_at_what_it_changes_however_much_there_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[OverlayImage] = []

    def counted(image: OverlayImage) -> int:
        looked.append(image)
        return len(image._newer)

    with closing(SqlitePageStore(home)) as store:
        for number in range(100):
            store.commit(write(store, Address(number), {}, wasm_pages=1))
        monkeypatch.setattr(OverlayImage, "newer_pages", property(counted))
        store.commit(write(store, A, {0: 1}))
        assert 0 < len(looked) < 5


def test_a_killed_world_has_the_same_roots(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, dict.fromkeys(range(50), 1)))
        store.flush_log()
        store.commit(write(store, A, {3: 2, 60: 1}))
        store.commit(write(store, B, {}, wasm_pages=2))
        root = store.state_root()
        shutil.copytree(home, copy)
    for read_only in (True, False, True):
        with closing(SqlitePageStore(copy, read_only=read_only)) as store:
            assert store.state_root() == root
            assert not list(store.verify())


def test_a_path_is_the_same_one_when_the_process_has_gone_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(SqlitePageStore(Path("world"))) as store:
        monkeypatch.chdir("/")
        store.commit(write(store, A, {0: 1}))
    assert (tmp_path / "world" / "images" / "1.pages").exists()


def test_only_nodes_that_changed_are_stored_when_the_log_is_flushed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {number * 16: 1 for number in range(100)}))
        assert not catalogue_rows(home, "SELECT * FROM nodes")
        store.flush_log()
        assert len(catalogue_rows(home, "SELECT * FROM nodes WHERE level = 0")) == 100
        changed = []
        real = Catalogue.empty_log

        def count(catalogue: Catalogue, regions: Iterable[tuple[RegionRecord, dict[NodeKey, bytes]]]) -> None:
            regions = list(regions)
            changed.append({record.id: len(nodes) for record, nodes in regions})
            real(catalogue, regions)

        monkeypatch.setattr(Catalogue, "empty_log", count)
        store.commit(write(store, A, {16: 2}))
        store.commit(write(store, A, {17: 2, 20: 2}))
        store.flush_log()
        store.commit(write(store, A, {16: 3, 32: 3}))
        store.flush_log()
        assert changed == [{1: 5}, {1: 6}]


def test_flushing_empties_the_log_and_brings_everything_into_the_images(home: Path) -> None:
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 1, 5: 2}))
        assert len(catalogue_rows(home, "SELECT * FROM log WHERE place > 0")) == 2
        store.flush_log()
        assert not catalogue_rows(home, "SELECT * FROM log WHERE place > 0")
        assert catalogue_rows(home, "SELECT stored_pages FROM regions") == [(16,)]
        image = (home / "images" / "1.pages").read_bytes()
        assert image[HEADER_BYTES:][5 * 4096 : 6 * 4096] == page(2)


def test_the_log_is_emptied_when_it_is_long(home: Path) -> None:
    with closing(SqlitePageStore(home, log_pages_max=10)) as store:
        for number in range(11):
            assert len(catalogue_rows(home, "SELECT * FROM log WHERE place > 0")) == number
            store.commit(write(store, A, {number: 1}))
        assert not catalogue_rows(home, "SELECT * FROM log WHERE place > 0")


def test_a_log_that_cannot_be_emptied_is_told_of_before_it_has_no_end(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with closing(SqlitePageStore(home, log_pages_max=2)) as store:
        monkeypatch.setattr(file_image, "write_all", failing)
        for number in range(9):
            store.commit(write(store, A, {number: 1}))  # durable in the log, whatever the images do
        with pytest.raises(StateError, match="No space left on device"):
            store.commit(write(store, A, {9: 1}))
        assert store.image(A, "memory").page(9) == bytes(4096)
        monkeypatch.undo()
        store.commit(write(store, A, {9: 1}))
        assert len(catalogue_rows(home, "SELECT * FROM log WHERE place > 0")) == 1
    with closing(SqlitePageStore(home)) as store:
        assert dict(store.image(A, "memory").pages()) == {number: page(1) for number in range(10)}


def test_pages_of_zeros_take_no_room(home: Path) -> None:
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 1, 500: 2}, wasm_pages=2**16))
        store.flush_log()
        store.commit(write(store, A, {500: 0}))
        assert catalogue_rows(home, "SELECT place % 1048576, length(data) FROM log WHERE place > 0") == [(500, 0)]
        store.flush_log()
        assert (home / "images" / "1.pages").stat().st_blocks * 512 < 2**20
    with closing(SqlitePageStore(home)) as store:
        assert dict(store.image(A, "memory").pages()) == {0: page(1)}


def test_a_code_is_kept_once_and_as_long_as_an_account_has_it(home: Path) -> None:
    def codes() -> list[tuple[object, ...]]:
        return catalogue_rows(home, "SELECT wasm FROM codes ORDER BY wasm")

    with closing(SqlitePageStore(home)) as store:
        store.commit(account(store, A, Account(code=b"one")).merged(account(store, B, Account(code=b"one"))))
        assert codes() == [(b"one",)]
        store.commit(account(store, A, Account(code=b"two")))
        assert codes() == [(b"one",), (b"two",)]
        store.commit(account(store, B, NO_ACCOUNT))
        assert codes() == [(b"two",)]


def test_a_group_is_on_the_disk_only_when_it_is_committed(home: Path, tmp_path: Path) -> None:
    def after_a_kill() -> object:
        copy = tmp_path / "copy"
        shutil.copytree(home, copy)
        with closing(SqlitePageStore(copy)) as store:
            seen = content(store)
        shutil.rmtree(copy)
        return seen

    with closing(SqlitePageStore(home, log_pages_max=1)) as store:
        store.commit(write(store, A, {0: 1}))
        before = content(store)
        commits = statements(store, "COMMIT")
        store.begin_group()
        for fill in (2, 3, 4):
            store.commit(write(store, A, {0: fill, fill: 7}).merged(account(store, B, Account(nonce=fill))))
            assert after_a_kill() == before
        with pytest.raises(StateError, match="a group of commits is open already"):
            store.begin_group()
        with pytest.raises(StateError, match="cannot be brought into the images yet"):
            store.flush_log()
        store.commit_group()
        assert len(commits) == 2  # one for all of it, one to empty the log
        assert after_a_kill() == content(store)


def test_a_group_that_changed_nothing_writes_nothing(home: Path) -> None:
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 1}))
        commits = statements(store, "COMMIT")
        store.begin_group()
        change = write(store, A, {0: 2})
        store.commit(change)
        store.commit(change.inverted())
        store.commit_group()
        store.begin_group()
        store.commit_group()
        assert not commits


def test_a_reader_sees_one_state_however_long_it_stays(home: Path) -> None:
    with closing(SqlitePageStore(home, log_pages_max=2)) as store:
        store.commit(write(store, A, {0: 1, 40: 2}).merged(account(store, A, Account(nonce=1))))
        seen, root = content(store), store.state_root()
        with closing(SqlitePageStore(home, read_only=True)) as reader:
            for fill in range(10):
                store.commit(write(store, A, {0: fill + 5, fill: 6, 90: fill}).merged(account(store, B, Account(fill))))
            with pytest.raises(StateError, match=r"in use by a reader .nothing is lost"):
                store.flush_log()
            assert (content(reader), reader.state_root()) == (seen, root)
            assert not list(reader.verify())  # its hash trees are those of then, too
            with closing(SqlitePageStore(home, read_only=True)) as later:
                assert (content(later), later.state_root()) == (content(store), store.state_root())
                assert not list(later.verify())
        store.flush_log()
        assert not catalogue_rows(home, "SELECT * FROM log WHERE place > 0")


def test_a_reader_is_not_in_the_way_of_closing_and_opening(home: Path) -> None:
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 1}))
        seen = content(store)
        reader = SqlitePageStore(home, read_only=True)
        store.commit(write(store, A, {0: 2}))
    with closing(SqlitePageStore(home)) as store:
        assert store.image(A, "memory").page(0) == page(2)
        store.commit(write(store, A, {1: 3}))
        assert content(reader) == seen
        reader.close()
        store.commit(write(store, A, {2: 4}))
        store.flush_log()
    with closing(SqlitePageStore(home)) as store:
        assert content(store) == ({}, {(A, "memory"): (1, {0: page(2), 1: page(3), 2: page(4)})})


def test_a_reader_changes_nothing(home: Path) -> None:
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 1}))
    reader = SqlitePageStore(home, read_only=True)
    assert reader.read_only
    for change in (reader.flush_log, lambda: reader.commit(write(reader, A, {0: 2}))):
        with pytest.raises(StateError, match="is open to read only"):
            change()
    reader.begin_group()  # as snapshots do, where calls are made without being committed
    reader.commit_group()
    reader.close()
    with closing(SqlitePageStore(home)) as store:
        assert dict(store.image(A, "memory").pages()) == {0: page(1)}


def test_a_fork_does_not_use_the_store_of_its_parent(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(SqlitePageStore(home)) as store:
        monkeypatch.setattr(os, "getpid", lambda: 1)
        for use in (store.state_root, lambda: store.commit(ChangeSet())):
            with pytest.raises(StateError, match=r"was opened by process \d+, before it forked"):
                use()
        store.close()  # which leaves it open for the parent
        monkeypatch.undo()
        store.commit(write(store, A, {0: 1}))


@pytest.mark.parametrize("maker", ["memory", "best"])
def test_more_regions_than_files_may_be_open(home: Path, maker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storagemod.state.image_files.OPEN_MAX", 3)
    make = choose_backend("portable" if maker == "memory" else None).image_maker()
    names = [f"region{number}" for number in range(10)]
    with closing(SqlitePageStore(home, make)) as store:
        before = len(open_files())
        for turn in (1, 2, 3):
            for number, name in enumerate(names):
                store.commit(write(store, A, {turn: number + turn}, region=name))
            store.flush_log()
        assert len(open_files()) <= before + 3
        for number, name in enumerate(names):
            filled = {turn: page(number + turn) for turn in (1, 2, 3)}
            assert dict(store.image(A, name).pages()) == filled
        assert len(open_files()) <= before + 3


def test_a_store_that_is_closed_has_nothing_open(home: Path) -> None:
    SqlitePageStore(home).close()  # what a process opens only once is open now
    before = open_files()
    for read_only in (False, True, False):
        store = SqlitePageStore(home, read_only=read_only)
        if not read_only:
            store.commit(write(store, A, {0: len(before)}))
            store.flush_log()
        store.image(A, "memory").page(0)
        store.close()
        assert open_files() == before
    (home / "images" / "1.pages").unlink()
    with pytest.raises(StateError):
        SqlitePageStore(home)
    assert open_files() == before


def test_a_store_in_memory_and_one_in_a_directory_have_one_root(home: Path) -> None:
    memory = MemoryPageStore()
    with closing(SqlitePageStore(home)) as store:
        for each in (store, memory):
            each.commit(account(each, A, Account(1, 2)))
            each.commit(write(each, A, {0: 1}))
        assert store.state_root() == memory.state_root()
