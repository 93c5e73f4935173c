"""A directory that is renamed, copied, or shared with forked processes while it is open."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from storagemod.errors import StateError
from storagemod.state import Account, SqlitePageStore, backup_state
from storagemod.state import sqlite_store as store_module
from storagemod.state.image_files import HEADER_BYTES, header

from .stores import A, B, account, content, page, write


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make(tmp_path / "world", 1)


def make(directory: Path, fill: int) -> Path:
    with closing(SqlitePageStore(directory)) as store:
        store.commit(write(store, A, {0: fill}))
        store.commit(write(store, B, {0: fill}))
    return directory


def first_pages(directory: Path) -> list[bytes]:
    with closing(SqlitePageStore(directory)) as store:
        assert list(store.verify()) == []
        return [store.image(address, "memory").page(0) for address in (A, B)]


# Renamed


@pytest.mark.parametrize("read_first", [False, True])
def test_a_renamed_directory_stays_the_same_world(home: Path, tmp_path: Path, read_first: bool) -> None:
    other, moved = make(tmp_path / "other", 100), tmp_path / "moved"
    with closing(SqlitePageStore(home)) as store:
        if read_first:
            assert store.image(A, "memory").page(0) == page(1)
        home.rename(moved)
        other.rename(home)
        assert store.image(A, "memory").page(0) == page(1)
        store.commit(write(store, A, {0: 2}))
        store.flush_log()
        store.commit(write(store, B, {0: 3}))
    assert first_pages(home) == [page(100), page(100)]
    assert first_pages(moved) == [page(2), page(3)]


def test_closing_a_renamed_directory_leaves_the_log_of_the_one_that_has_its_path(home: Path, tmp_path: Path) -> None:
    """SQLite removes its log by path when it closes."""
    other = make(tmp_path / "other", 100)
    killed = tmp_path / "killed"
    with closing(SqlitePageStore(other)) as store:
        store.commit(write(store, A, {0: 101}))
        shutil.copytree(other, killed)
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 2}))
        home.rename(tmp_path / "moved")
        killed.rename(home)
    assert first_pages(home) == [page(101), page(100)]
    assert first_pages(tmp_path / "moved") == [page(2), page(1)]


def test_a_directory_that_was_removed_while_open_says_so(home: Path) -> None:
    store = SqlitePageStore(home)
    shutil.rmtree(home)
    with pytest.raises(StateError, match=r"1\.pages cannot be opened: No such file"):
        store.image(A, "memory").page(0)
    store.close()
    assert not home.exists()


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda data, _: header(b"another world!!!", 1) + data[HEADER_BYTES:], "it belongs to another world"),
        (lambda data, world: header(world, 2) + data[HEADER_BYTES:], "it belongs to region 2"),
        (lambda data, _: data[:-1], "it is truncated"),
        (lambda data, _: data[:100], "it is no image"),
    ],
)
def test_an_image_is_checked_each_time_it_is_opened(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[bytes, bytes], bytes],
    told: str,
    read_only: bool,
) -> None:
    monkeypatch.setattr("storagemod.state.image_files.OPEN_MAX", 1)
    image = home / "images" / "1.pages"
    with closing(SqlitePageStore(home, read_only=read_only)) as store:
        for address in (A, B):  # the second one closes the file of the first
            assert store.image(address, "memory").page(0) == page(1)
        data = image.read_bytes()
        image.rename(image.with_name("kept"))
        image.write_bytes(spoil(data, data[24:40]))
        with pytest.raises(StateError, match=told):
            store.image(A, "memory").page(0)
        image.with_name("kept").rename(image)
        assert store.image(A, "memory").page(0) == page(1)


# Forked


FORKS_A_POOL = """
import os, sys
from pathlib import Path
from storagemod.state import SqlitePageStore
from tests.state.stores import A, write
home = Path(sys.argv[1])
import concurrent.futures
from multiprocessing import get_context
with concurrent.futures.ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
    store = SqlitePageStore(home)
    reader = SqlitePageStore(home, read_only=True)
    child = pool.submit(os.getpid).result()
    store.close()
    reader.close()
    store = SqlitePageStore(home)
    store.commit(write(store, A, {0: 2}))
    store.flush_log()  # which no reader hinders
    store.close()
    assert pool.submit(os.getpid).result() == child != os.getpid()
"""

FORKS_AND_THE_CHILD_CLOSES = """
import os, sys
from pathlib import Path
from storagemod.errors import StateError
from storagemod.state import SqlitePageStore
from tests.state.stores import A, write
home = Path(sys.argv[1])
store = SqlitePageStore(home)
pid = os.fork()
if not pid:
    store.close()
    del store
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
try:
    SqlitePageStore(home)
except StateError as error:
    assert "is open for writing in this process" in str(error)
else:
    raise AssertionError
store.commit(write(store, A, {0: 2}))
store.close()
"""


def run(program: str, *arguments: object) -> None:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, check=False, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_world_can_be_opened_again_while_a_forked_child_lives(home: Path) -> None:
    run(FORKS_A_POOL, home)
    assert first_pages(home) == [page(2), page(1)]


def test_a_child_that_closes_a_world_leaves_it_to_its_parent(home: Path) -> None:
    run(FORKS_AND_THE_CHILD_CLOSES, home)
    assert first_pages(home) == [page(2), page(1)]


FORKS_AND_IS_KILLED = """
import os, signal, sys, time
from pathlib import Path
from storagemod.state import SqlitePageStore
store = SqlitePageStore(Path(sys.argv[1]))
reader = SqlitePageStore(Path(sys.argv[1]), read_only=True)
pid = os.fork()
if not pid:
    print(os.getpid(), flush=True)
    time.sleep(600)
time.sleep(600)
"""


def test_the_lock_ends_with_the_process_that_took_it_though_its_child_lives(home: Path) -> None:
    command = [sys.executable, "-c", FORKS_AND_IS_KILLED, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            with pytest.raises(StateError, match=f"is open for writing in process {parent.pid}"):
                SqlitePageStore(home)
            parent.kill()
            parent.wait()
            os.kill(child, 0)
            with closing(SqlitePageStore(home)) as store:
                store.commit(write(store, A, {0: 2}))
                store.flush_log()
        finally:
            os.kill(child, signal.SIGKILL)


FORKS_AND_ENDS = """
import os, sys
from pathlib import Path
from storagemod.state import SqlitePageStore
from tests.state.stores import A, write
store = SqlitePageStore(Path(sys.argv[1]))
store.commit(write(store, A, {0: 2}))
pid = os.fork()
if not pid:
    sys.exit()  # which closes what the interpreter has
os.waitpid(pid, 0)
store.commit(write(store, A, {0: 3}))
assert (Path(sys.argv[1]) / "catalogue.sqlite-wal").exists()
os._exit(0)
"""


def test_a_child_that_ends_leaves_the_log_alone(home: Path) -> None:
    run(FORKS_AND_ENDS, home)
    assert first_pages(home) == [page(3), page(1)]


# Few descriptors

MANY_REGIONS = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), int(sys.argv[2])))
from pathlib import Path
from storagemod.pages import choose_backend
from storagemod.state import SqlitePageStore
from tests.state.stores import A, page, write
make = choose_backend(sys.argv[3]).image_maker()
for turn in (1, 2):
    store = SqlitePageStore(Path(sys.argv[1]), make, synchronous="normal")
    held = [open("/dev/null") for _ in range(int(sys.argv[4]))]
    for number in range(int(sys.argv[5])):
        store.commit(write(store, A, {turn: number + turn}, region=f"r{number}"))
    store.flush_log()
    for number in range(int(sys.argv[5])):
        assert store.image(A, f"r{number}").page(turn) == page(number + turn)
    assert list(store.verify()) == []
    store.close()
    held.clear()
"""


@pytest.mark.parametrize(("limit", "held", "regions"), [(64, 0, 80), (64, 20, 80), (256, 0, 300)])
@pytest.mark.parametrize("tracker", ["portable", "compare"])
def test_few_descriptors_are_enough_for_many_regions(
    place: Path, limit: int, held: int, regions: int, tracker: str
) -> None:
    run(MANY_REGIONS, place / "world", limit, tracker, held, regions)


def test_a_store_that_is_dropped_leaves_nothing_open(home: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    SqlitePageStore(home).close()
    before = descriptors()
    for read_only in (True, False):
        SqlitePageStore(home, read_only=read_only)
        gc.collect()
        assert descriptors() == before
    with closing(SqlitePageStore(home, read_only=True)) as reader, pytest.raises(StateError, match="exists already"):
        backup_state(reader, home)
    assert descriptors() == before


# Copied


def test_a_copy_of_an_open_world_that_is_whole_is_the_world(home: Path, tmp_path: Path) -> None:
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 7}))
        seen = content(store)
        shutil.copytree(home, tmp_path / "copy")
    for read_only in (True, False, True):
        with closing(SqlitePageStore(tmp_path / "copy", read_only=read_only)) as store:
            assert content(store) == seen


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("earlier", ["catalogue", "images"])
def test_a_copy_of_an_open_world_with_files_of_different_times_is_told(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: str, read_only: bool
) -> None:
    """As when the writer commits and flushes its log while the files are copied one after the other."""
    monkeypatch.setattr(store_module, "OVERLAY_PAGES_MAX", 1)
    copy = tmp_path / "copy"
    with closing(SqlitePageStore(home)) as store:
        shutil.copytree(home, copy)
        store.commit(write(store, A, {0: 8}))
        store.flush_log()
        later = ["images"] if earlier == "catalogue" else ["catalogue.sqlite", "catalogue.sqlite-wal", "newest"]
        for name in later:
            if (home / name).is_dir():
                shutil.rmtree(copy / name)
                shutil.copytree(home / name, copy / name)
            else:
                shutil.copy(home / name, copy / name)
    (copy / "catalogue.sqlite-shm").unlink()
    with pytest.raises(StateError, match="copy, a copy of one that was not closed, is not as its last commit left"):
        SqlitePageStore(copy, read_only=read_only)


def test_a_copy_stays_told_as_long_as_its_damage_is_not_accepted(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with closing(SqlitePageStore(home)) as store:
        store.flush_log()
        shutil.copytree(home, copy)
    with closing(sqlite3.connect(copy / "catalogue.sqlite")) as connection:
        connection.execute("DELETE FROM nodes WHERE region = 1 AND level = 4")
        connection.commit()
    for _ in range(2):
        with pytest.raises(StateError, match="is not as its last commit left it"):
            SqlitePageStore(copy)
        with closing(SqlitePageStore(copy, tolerant=True)) as store:
            with pytest.raises(StateError, match="was opened to see what is wrong, and not to be written"):
                store.commit(write(store, A, {0: 5}))
            with pytest.raises(StateError, match="this cannot be accepted"):
                store.accept()


def test_a_copy_of_a_closed_world_is_not_hashed(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: bytes) -> bytes:
        raise AssertionError

    shutil.copytree(home, tmp_path / "copy")
    monkeypatch.setattr(store_module, "page_digest", refuse)
    SqlitePageStore(tmp_path / "copy", read_only=True).close()
    SqlitePageStore(tmp_path / "copy").close()


def test_a_backup_has_the_state_of_its_reader_while_the_writer_goes_on(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with closing(SqlitePageStore(home)) as store:
        store.commit(account(store, A, Account(nonce=1, code=b"code")).merged(write(store, A, {0: 2, 900: 3})))
        store.flush_log()
        store.commit(write(store, A, {1: 4, 0: 0}))
        seen, root = content(store), store.state_root()
        with closing(SqlitePageStore(home, read_only=True)) as reader:
            store.commit(write(store, A, {0: 5, 900: 6}))
            assert backup_state(reader, copy) == 4
            with pytest.raises(StateError, match="exists already"):
                backup_state(reader, copy)
    with closing(SqlitePageStore(copy)) as store:
        assert (content(store), store.state_root(), store.newest) == (seen, root, 4)
        store.commit(write(store, A, {0: 9}))
    blocks = (copy / "images" / "1.pages").stat().st_blocks
    assert blocks * 512 < 1 << 20  # holes stay holes
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy", "world"]


def test_a_backup_of_a_damaged_world_is_not_made(home: Path, tmp_path: Path) -> None:
    with (home / "images" / "1.pages").open("r+b") as file:
        file.seek(HEADER_BYTES)
        file.write(b"\xff")
    with (
        closing(SqlitePageStore(home, read_only=True)) as reader,
        pytest.raises(StateError, match="page 0 is not what was committed"),
    ):
        backup_state(reader, tmp_path / "copy")
    with closing(SqlitePageStore(home)) as writer, pytest.raises(StateError, match="only a reader's files"):
        backup_state(writer, tmp_path / "copy")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["world"]
