"""What is brought to the disk in which order, and what becomes of it where the disk or the machine lets it down."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from storagemod.errors import StateError
from storagemod.pages import OverlayImage
from storagemod.state import ChangeSet, SqlitePageStore
from storagemod.state import image_files as files_module
from storagemod.state import sqlite_store as store_module
from storagemod.state.catalogue import Catalogue
from storagemod.state.image_files import HEADER_BYTES

from .stores import A, B, content, page, write


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "world"


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
        assert order.events == ["commit"]
        order.events.clear()
        store.flush_log()
        assert order.events == ["sync", "settle", "sync_file", "sync_directory", "empty_log"]


@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_the_log_is_on_the_disk_before_the_images_are_written(
    home: Path, monkeypatch: pytest.MonkeyPatch, synchronous: str
) -> None:
    """Otherwise a machine that stops could leave pages of a commit in the images that the log does not know."""
    monkeypatch.setattr(store_module, "OVERLAY_PAGES_MAX", 3)
    with closing(SqlitePageStore(home, synchronous=synchronous)) as store:  # type: ignore[arg-type]
        order = Order(monkeypatch)
        for number in range(4):
            store.commit(write(store, A, {number: 1}))
        assert order.events == ["commit", "commit", "commit", "sync", "settle", "commit"]
        order.events.clear()
        store.flush_log()
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
        "UPDATE world SET syncs = syncs + 1",
        "COMMIT",
        "PRAGMA synchronous = normal",
    ]


def test_images_that_lost_what_was_not_synced_are_made_good_from_the_log(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the machine stops: of what was written to images since the log was flushed, anything may be gone."""
    monkeypatch.setattr(store_module, "OVERLAY_PAGES_MAX", 1)
    copy = tmp_path / "copy"
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 1, 1: 1, 20: 1}))
        store.flush_log()
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
                assert not list(store.verify())
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
            store.flush_log()
        assert content(store) == before
        store.flush_log()
        assert content(store) == before
    with closing(SqlitePageStore(home)) as store:
        assert content(store) == before
        assert not list(store.verify())


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


@pytest.mark.parametrize("by_itself", [False, True])
@pytest.mark.parametrize("name", ["empty_log", "note_flushed"])
def test_after_an_interrupted_flush_the_world_has_to_be_opened_again(home: Path, name: str, by_itself: bool) -> None:
    """The store might count pages of a log that is empty by now."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    store = SqlitePageStore(home, log_pages_max=2 if by_itself else 100)
    store.commit(write(store, A, {0: 1, 20: 2}))
    change = write(store, A, {1: 1, 20: 0})
    if not by_itself:
        store.commit(change)
    owner = Catalogue if name == "empty_log" else store_module.StoredRegion
    with patch.object(owner, name, interrupt), pytest.raises(KeyboardInterrupt):
        store.commit(change) if by_itself else store.flush_log()
    with pytest.raises(StateError, match=r"was interrupted, or its disk failed .open it again"):
        store.commit(ChangeSet())
    store.close()
    with closing(SqlitePageStore(home)) as store:
        assert dict(store.image(A, "memory").pages()) == {0: page(1), 1: page(1)}
        assert not list(store.verify())
        store.commit(write(store, A, {2: 2}))
    with closing(SqlitePageStore(home)) as store:
        assert not list(store.verify())


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


def test_stale_pages_beyond_what_was_synced_do_not_come_back(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of an image was zeroed, but only in the log when the machine stopped. Or the header was lost as well."""
    monkeypatch.setattr(store_module, "OVERLAY_PAGES_MAX", 1)
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
            assert not list(store.verify())
        shutil.rmtree(copy)
