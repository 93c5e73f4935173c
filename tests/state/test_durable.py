"""What directories add to page stores: they are there again later, and can be read meanwhile."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from storagemod.errors import StateError
from storagemod.pages import OverlayImage, choose_backend
from storagemod.state import NO_ACCOUNT, Account, ChangeSet, MemoryPageStore, SqlitePageStore, verify
from storagemod.state import image_files as files_module
from storagemod.state import sqlite_store as store_module
from storagemod.state.catalogue import Catalogue
from storagemod.state.image_files import HEADER_BYTES, ImageFiles

from .stores import A, B, account, content, page, write


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "world"


def open_files() -> list[Path]:
    return sorted(Path("/dev/fd").iterdir())


def catalogue_rows(home: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{home / 'catalogue.sqlite'}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_what_was_committed_is_there_again(home: Path, synchronous: str) -> None:
    with closing(SqlitePageStore(home, synchronous=synchronous)) as store:  # type: ignore[arg-type]
        store.commit(account(store, A, Account(3, 4, b"code", "a", {"x": B})))
        store.commit(write(store, A, {0: 1, 70_000: 2}))
        seen, root = content(store), store.state_root()
    assert sorted(entry.name for entry in home.iterdir()) == ["catalogue.sqlite", "images", "lock", "readers"]
    for read_only in (True, False):
        with closing(SqlitePageStore(home, read_only=read_only)) as store:
            assert (content(store), store.state_root()) == (seen, root)
            assert not list(verify(store))


def test_opening_again_hashes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, dict.fromkeys(range(50), 1)))
        root = store.state_root()

    def refuse(_: bytes) -> bytes:
        raise AssertionError

    monkeypatch.setattr("storagemod.pages.hash_tree.page_digest", refuse)
    with closing(SqlitePageStore(home)) as store:
        assert store.state_root() == root


def test_a_path_is_the_same_one_when_the_process_has_gone_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(SqlitePageStore(Path("world"))) as store:
        monkeypatch.chdir("/")
        store.commit(write(store, A, {0: 1}))
    assert (tmp_path / "world" / "images" / "1.pages").exists()


def test_only_nodes_that_changed_are_stored(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {number * 16: 1 for number in range(100)}))
        nodes = []
        real = Catalogue.commit

        def count(catalogue: Catalogue, accounts: object, regions: list[object]) -> None:
            nodes.extend(len(region.nodes) for region in regions)  # type: ignore[attr-defined]
            real(catalogue, accounts, regions)  # type: ignore[arg-type]

        monkeypatch.setattr(Catalogue, "commit", count)
        store.commit(write(store, A, {16: 2}))
        store.commit(write(store, A, {17: 2, 20: 2}))
        assert nodes == [5, 5]


def test_a_checkpoint_empties_the_log_and_brings_everything_into_the_images(home: Path) -> None:
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 1, 5: 2}))
        assert len(catalogue_rows(home, "SELECT * FROM log")) == 2
        store.checkpoint()
        assert not catalogue_rows(home, "SELECT * FROM log")
        assert catalogue_rows(home, "SELECT stored_pages FROM regions") == [(16,)]
        image = (home / "images" / "1.pages").read_bytes()
        assert image[HEADER_BYTES:][5 * 4096 : 6 * 4096] == page(2)


def test_the_log_is_emptied_when_it_is_long(home: Path) -> None:
    with closing(SqlitePageStore(home, log_pages_max=10)) as store:
        for number in range(11):
            assert len(catalogue_rows(home, "SELECT * FROM log")) == number
            store.commit(write(store, A, {number: 1}))
        assert not catalogue_rows(home, "SELECT * FROM log")


def test_pages_of_zeros_take_no_room(home: Path) -> None:
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 1, 500: 2}, wasm_pages=2**16))
        store.checkpoint()
        store.commit(write(store, A, {500: 0}))
        assert catalogue_rows(home, "SELECT page, length(data) FROM log") == [(500, 0)]
        store.checkpoint()
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


def test_what_is_held_is_on_the_disk_only_when_it_is_released(home: Path, tmp_path: Path) -> None:
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
        commits = store.commits
        store.hold()
        for fill in (2, 3, 4):
            store.commit(write(store, A, {0: fill, fill: 7}).merged(account(store, B, Account(nonce=fill))))
            assert after_a_kill() == before
        with pytest.raises(StateError, match="holds already"):
            store.hold()
        with pytest.raises(StateError, match="cannot be brought into the images yet"):
            store.checkpoint()
        store.release()
        assert store.commits == commits + 2  # one for all of it, one to empty the log
        assert after_a_kill() == content(store)


def test_a_hold_that_changed_nothing_writes_nothing(home: Path) -> None:
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 1}))
        commits = store.commits
        store.hold()
        change = write(store, A, {0: 2})
        store.commit(change)
        store.commit(change.inverted())
        store.release()
        store.hold()
        store.release()
        assert store.commits == commits


def test_a_reader_sees_one_state_however_long_it_stays(home: Path) -> None:
    with closing(SqlitePageStore(home, log_pages_max=2)) as store:
        store.commit(write(store, A, {0: 1, 40: 2}).merged(account(store, A, Account(nonce=1))))
        seen, root = content(store), store.state_root()
        with closing(SqlitePageStore(home, read_only=True)) as reader:
            for fill in range(10):
                store.commit(write(store, A, {0: fill + 5, fill: 6, 90: fill}).merged(account(store, B, Account(fill))))
            with pytest.raises(StateError, match=r"in use by a reader .nothing is lost"):
                store.checkpoint()
            assert (content(reader), reader.state_root()) == (seen, root)
            assert not list(verify(reader))  # its hash trees are those of then, too
            with closing(SqlitePageStore(home, read_only=True)) as later:
                assert (content(later), later.state_root()) == (content(store), store.state_root())
                assert not list(verify(later))
        store.checkpoint()
        assert not catalogue_rows(home, "SELECT * FROM log")


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
        store.checkpoint()
    with closing(SqlitePageStore(home)) as store:
        assert content(store) == ({}, {(A, "memory"): (1, {0: page(2), 1: page(3), 2: page(4)})})


def test_a_reader_changes_nothing(home: Path) -> None:
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 1}))
    reader = SqlitePageStore(home, read_only=True)
    assert reader.read_only
    for change in (reader.checkpoint, lambda: reader.commit(write(reader, A, {0: 2}))):
        with pytest.raises(StateError, match="is open to read only"):
            change()
    reader.hold()  # as snapshots do, where calls are made without being committed
    reader.release()
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
    monkeypatch.setattr(ImageFiles, "OPEN_MAX", 3)
    make = choose_backend("portable" if maker == "memory" else None).image_maker()
    names = [f"region{number}" for number in range(10)]
    with closing(SqlitePageStore(home, make)) as store:
        before = len(open_files())
        for turn in (1, 2, 3):
            for number, name in enumerate(names):
                store.commit(write(store, A, {turn: number + turn}, region=name))
            store.checkpoint()
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
            store.checkpoint()
        store.image(A, "memory").page(0)
        store.close()
        assert open_files() == before
    (home / "images" / "1.pages").unlink()
    with pytest.raises(StateError):
        SqlitePageStore(home)
    assert open_files() == before


class Order:
    """What is brought to the disk, and in which order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self._watch(monkeypatch, Catalogue, "sync")
        self._watch(monkeypatch, Catalogue, "commit")
        self._watch(monkeypatch, Catalogue, "empty_log")
        self._watch(monkeypatch, OverlayImage, "settle")
        self._watch(monkeypatch, files_module, "sync_file")
        self._watch(monkeypatch, files_module, "sync_directory")

    def _watch(self, monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
        real: Callable[..., object] = getattr(owner, name)

        def watched(*args: object) -> object:
            self.events.append(name)
            return real(*args)

        monkeypatch.setattr(owner, name, watched)


def test_images_are_on_the_disk_before_the_log_is_emptied(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(SqlitePageStore(home)) as store:
        order = Order(monkeypatch)
        store.commit(write(store, A, {0: 1}))
        assert order.events == ["commit", "settle"]
        order.events.clear()
        store.checkpoint()
        assert order.events == ["sync", "sync_file", "sync_directory", "empty_log"]


def test_without_waiting_for_the_disk_the_log_gets_there_before_the_images(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a machine that stops could leave pages of a commit in the images that the log does not know."""
    monkeypatch.setattr(store_module, "OVERLAY_PAGES_MAX", 3)
    with closing(SqlitePageStore(home, synchronous="normal")) as store:
        order = Order(monkeypatch)
        for number in range(4):
            store.commit(write(store, A, {number: 1}))
        assert order.events == ["commit", "commit", "commit", "sync", "settle", "commit"]
        order.events.clear()
        store.checkpoint()
        assert order.events == ["sync", "settle", "sync_file", "sync_directory", "empty_log"]


def test_the_log_is_synced_when_that_matters(home: Path) -> None:
    def synced(store: SqlitePageStore) -> object:
        return store._catalogue._value("PRAGMA synchronous")

    with closing(SqlitePageStore(home)) as store:
        assert synced(store) == 2
    with closing(SqlitePageStore(home, synchronous="normal")) as store:
        assert synced(store) == 1
        statements: list[str] = []
        store._catalogue._connection.set_trace_callback(statements.append)
        store._catalogue.sync()
        assert synced(store) == 1
    order = [each for each in statements if each.startswith(("PRAGMA synchronous", "UPDATE", "COMMIT"))]
    assert order[:4] == [
        "PRAGMA synchronous = full",
        "UPDATE world SET commits = commits + 1",
        "COMMIT",
        "PRAGMA synchronous = normal",
    ]


def test_images_that_lost_what_was_not_synced_are_made_good_from_the_log(home: Path, tmp_path: Path) -> None:
    """As when the machine stops: of what was written to images since the last checkpoint, anything may be gone."""
    copy = tmp_path / "copy"
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 1, 1: 1, 20: 1}))
        store.checkpoint()
        old = (home / "images" / "1.pages").read_bytes()
        store.commit(write(store, A, {0: 2, 1: 0, 40: 2}))
        store.commit(write(store, B, {3: 3}))
        seen, root = content(store), store.state_root()
        shutil.copytree(home, copy)
    (copy / "images" / "1.pages").write_bytes(old)
    for left in (None, b"", bytes(HEADER_BYTES), bytes(HEADER_BYTES + 4096 * 16), "header"):
        image = copy / "images" / "2.pages"
        if left is None:
            image.unlink()
        elif left == "header":
            image.write_bytes((home / "images" / "2.pages").read_bytes()[:50])
        else:
            image.write_bytes(left)  # type: ignore[arg-type]
        again = tmp_path / "again"
        shutil.copytree(copy, again)
        for read_only in (True, False):
            with closing(SqlitePageStore(again, read_only=read_only)) as store:
                assert (content(store), store.state_root()) == (seen, root)
                assert not list(verify(store))
        shutil.rmtree(again)


def test_pages_that_a_failed_sync_may_have_dropped_are_written_again(home: Path) -> None:
    """Systems forget what they could not write: to sync once more brings nothing to the disk."""
    image = home / "images" / "1.pages"

    def drop(_: int) -> None:
        data = image.read_bytes()
        image.write_bytes(data[:HEADER_BYTES] + bytes(len(data) - HEADER_BYTES))
        raise OSError(5, "Input/output error")

    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 1, 9: 2}).merged(write(store, B, {3: 1})))
        before = content(store)
        with patch.object(files_module, "sync_file", drop), pytest.raises(StateError, match="Input/output error"):
            store.checkpoint()
        assert content(store) == before
        store.checkpoint()
        assert content(store) == before
    with closing(SqlitePageStore(home)) as store:
        assert content(store) == before
        assert not list(verify(store))


def test_closing_says_if_the_images_could_not_be_written(home: Path) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    store = SqlitePageStore(home)
    store.commit(write(store, A, {0: 1}))
    before = content(store)
    with patch.object(files_module, "sync_file", fail), pytest.raises(StateError, match="No space left on device"):
        store.close()
    store.close()
    with closing(SqlitePageStore(home)) as store:
        assert content(store) == before


def test_an_interrupted_commit_has_to_be_looked_for_on_the_disk(home: Path) -> None:
    """Nobody knows at which moment the interruption came, so the store is not used any more."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    store = SqlitePageStore(home)
    store.commit(write(store, A, {0: 1}))
    before = content(store)
    change = write(store, A, {0: 2})
    with patch.object(Catalogue, "commit", interrupt), pytest.raises(KeyboardInterrupt):
        store.commit(change)
    with pytest.raises(StateError, match=r"a commit .* was interrupted, or its disk failed .open it again"):
        store.image(A, "memory")
    store.close()
    with closing(SqlitePageStore(home)) as store:
        assert content(store) == before


@pytest.mark.parametrize(("code", "in_doubt"), [("SQLITE_IOERR_FSYNC", True), ("SQLITE_FULL", False)])
def test_after_an_error_that_leaves_in_doubt_what_is_on_the_disk_it_has_to_be_opened_again(
    home: Path, code: str, in_doubt: bool
) -> None:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = getattr(sqlite3, code)
    real = Catalogue._run

    def fail(catalogue: Catalogue, sql: str, *values: object) -> sqlite3.Cursor:
        if sql == "COMMIT":
            raise error
        return real(catalogue, sql, *values)

    store = SqlitePageStore(home)
    store.commit(write(store, A, {0: 1}))
    before, change = content(store), write(store, A, {0: 2})
    with patch.object(Catalogue, "_run", fail), pytest.raises(StateError, match="what SQLite says"):
        store.commit(change)
    if in_doubt:
        with pytest.raises(StateError, match="open it again"):
            store.state_root()
    else:
        assert content(store) == before
    store.close()
    with closing(SqlitePageStore(home)) as store:
        assert content(store) == before
        store.commit(change)


def test_stale_pages_beyond_what_was_synced_do_not_come_back(home: Path, tmp_path: Path) -> None:
    """A page of an image was zeroed, but only in the log when the machine stopped. Or the header was lost, too."""
    killed, copy = tmp_path / "killed", tmp_path / "copy"
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {1: 1, 10: 1}))
        stale = bytearray((home / "images" / "1.pages").read_bytes())
        store.commit(write(store, A, {10: 0}))
        shutil.copytree(home, killed)
    for head in (stale[:HEADER_BYTES], bytes(HEADER_BYTES)):
        shutil.copytree(killed, copy)
        stale[:HEADER_BYTES] = head
        (copy / "images" / "1.pages").write_bytes(stale)
        with closing(SqlitePageStore(copy)) as store:
            store.commit(write(store, A, {8: 2, 12: 3}))
        with closing(SqlitePageStore(copy)) as store:
            assert dict(store.image(A, "memory").pages()) == {1: page(1), 8: page(2), 12: page(3)}
            assert not list(verify(store))
        shutil.rmtree(copy)


def test_a_store_in_memory_and_one_in_a_directory_have_one_root(home: Path) -> None:
    memory = MemoryPageStore()
    with closing(SqlitePageStore(home)) as store:
        for each in (store, memory):
            each.commit(account(each, A, Account(1, 2)))
            each.commit(write(each, A, {0: 1}))
        assert store.state_root() == memory.state_root()
