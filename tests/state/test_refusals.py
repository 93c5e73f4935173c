"""What is no world, or may not be used now, is refused with words that help, and left as it is."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storagemod.errors import StateError
from storagemod.state import Account, SqlitePageStore, directory
from storagemod.state.image_files import FORMAT, HEADER_BYTES, header

from .stores import A, account, content, page, write


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A world that was closed: one account and one region of 2 Wasm pages."""
    home = tmp_path / "world"
    with closing(SqlitePageStore(home)) as store:
        store.commit(account(store, A, Account(nonce=1)))
        store.commit(write(store, A, {0: 1, 17: 2}))
    return home


def image_of(home: Path) -> Path:
    return home / "images" / "1.pages"


def refusal(home: Path, *, read_only: bool) -> str:
    with pytest.raises(StateError) as caught:
        SqlitePageStore(home, read_only=read_only)
    return str(caught.value)


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    os.truncate(path, HEADER_BYTES + 4096 * 32 - 1)


def overwrite_all(path: Path) -> None:
    path.write_bytes(b"something else altogether" * 10_000)


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def of_another_world(path: Path) -> None:
    replace_header(path, header(b"another world!!!", 1))


def of_another_region(path: Path) -> None:
    world = path.read_bytes()[24:40]
    replace_header(path, header(world, 7))


def of_another_format(path: Path) -> None:
    fields = bytearray(path.read_bytes()[:48])
    fields[16] = FORMAT + 1
    from storagemod.state.image_files import _checksum  # noqa: PLC0415

    replace_header(path, (bytes(fields) + _checksum(bytes(fields))).ljust(HEADER_BYTES, b"\0"))


def flip_in_header(path: Path) -> None:
    damaged = bytearray(path.read_bytes()[:HEADER_BYTES])
    damaged[30] ^= 1
    replace_header(path, bytes(damaged))


def flip_after_header(path: Path) -> None:
    damaged = bytearray(path.read_bytes()[:HEADER_BYTES])
    damaged[HEADER_BYTES - 1] ^= 1
    replace_header(path, bytes(damaged))


def replace_header(path: Path, data: bytes) -> None:
    path.write_bytes(data + path.read_bytes()[HEADER_BYTES:])


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove, "1.pages is missing (restore it from a copy)"),
        (truncate, "it is truncated: 135,167 bytes, and 135,168 were written"),
        (overwrite_all, "it is no image of storagemod"),
        (make_empty, "it is no image of storagemod"),
        (make_directory, "1.pages cannot be opened: Is a directory"),
        (of_another_world, "it belongs to another world"),
        (of_another_region, "it belongs to region 7"),
        (of_another_format, "it has format 2, and this version of storagemod knows format 1"),
        (flip_in_header, "its header is damaged"),
        (flip_after_header, "its header is damaged"),
    ],
)
def test_an_image_that_is_not_what_it_should_be(
    home: Path, spoil: Callable[[Path], None], message: str, read_only: bool
) -> None:
    kept = home.with_name("kept")
    shutil.copytree(home, kept)
    spoil(image_of(home))
    assert message in refusal(home, read_only=read_only)
    if image_of(home).is_dir():
        image_of(home).rmdir()
    shutil.copy(image_of(kept), image_of(home))
    with closing(SqlitePageStore(home, read_only=read_only)) as store:  # as the hint says
        assert not list(store.verify())


def test_an_image_that_was_removed_while_the_world_is_open(home: Path) -> None:
    with closing(SqlitePageStore(home)) as store:
        image_of(home).unlink()
        with pytest.raises(StateError, match=r"1\.pages cannot be opened: No such file"):
            store.image(A, "memory").page(0)


def spoil_identity(home: Path, pragma: str) -> None:
    with closing(sqlite3.connect(home / "catalogue.sqlite")) as connection:
        connection.execute(f"PRAGMA {pragma}")


def another_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: spoil_identity(path.parent, "user_version = 2"), "has format 2, and this version"),
        (lambda path: spoil_identity(path.parent, "application_id = 5"), "not the catalogue of a world"),
        (another_database, "is a database, but not the catalogue of a world"),
        (make_empty, "is a database, but not the catalogue of a world"),
        (overwrite_all, "cannot be opened: file is not a database (restore the directory from a copy"),
    ],
)
def test_a_catalogue_that_is_something_else(
    home: Path, spoil: Callable[[Path], None], message: str, read_only: bool
) -> None:
    path = home / "catalogue.sqlite"
    spoil(path)
    before = path.read_bytes()
    assert message in refusal(home, read_only=read_only)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE accounts SET nonce = 7",
        "UPDATE accounts SET balance = x'00'",
        "UPDATE accounts SET name = 'other'",
        "UPDATE accounts SET links = '[]'",
        "UPDATE accounts SET policy = 'never'",
        "UPDATE accounts SET code = x'01'",
        "UPDATE accounts SET address = x'01'",
        "UPDATE regions SET wasm_pages = 7",
        "UPDATE regions SET wasm_pages = 'many'",
        "UPDATE regions SET name = 'other'",
        "UPDATE regions SET tree_root = x'00'",
        "UPDATE regions SET address = NULL",
        "UPDATE regions SET id = 3",
        "INSERT INTO codes VALUES (x'00', x'00')",
        "UPDATE regions SET stored_pages = 0",
        "UPDATE regions SET logged_pages = 1",
        "INSERT INTO log VALUES (1048576, x'00', 0, NULL)",
        "INSERT INTO log VALUES (1048576, 5, 0, NULL)",
        "INSERT INTO log VALUES (1048576, '', 0, NULL)",
        "UPDATE log SET link = NULL",
        "UPDATE log SET link = x'00'",
        "DELETE FROM log",
        "DROP TABLE log",
        "DROP TABLE world",
        "DELETE FROM world",
    ],
)
def test_a_catalogue_that_somebody_wrote_in(home: Path, sql: str) -> None:
    with closing(sqlite3.connect(home / "catalogue.sqlite")) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        try:
            connection.execute(sql)
        except sqlite3.IntegrityError:
            connection.execute(sql.replace("NULL", "x'02'"))
        connection.commit()
    for read_only in (False, True):
        assert "the catalogue" in refusal(home, read_only=read_only)


def test_a_place_that_holds_something_else(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    assert "is a file, and a world is a directory" in refusal(file, read_only=False)
    assert "is a file, and a world is a directory" in refusal(file, read_only=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("x")
    assert "holds no world, but other files (a new world needs an empty directory" in refusal(
        tmp_path / "full", read_only=False
    )
    assert "there is no world in" in refusal(tmp_path / "full", read_only=True)
    assert [entry.name for entry in (tmp_path / "full").iterdir()] == ["notes.txt"]
    assert f"{file} is a file, expected a directory" in refusal(file / "world", read_only=False)


def test_a_place_where_a_world_can_be_made(tmp_path: Path) -> None:
    assert "there is no world in" in refusal(tmp_path, read_only=True)
    assert "there is no world in" in refusal(tmp_path / "a" / "b", read_only=True)
    assert not list(tmp_path.iterdir())
    for place in (tmp_path, tmp_path / "images" / "b"):  # an empty directory, and none yet
        with closing(SqlitePageStore(place)) as store:
            store.commit(account(store, A, Account(nonce=1)))


@pytest.mark.parametrize("left", ["nothing", "an empty file", "half a database"])
def test_a_world_whose_making_was_broken_off_is_made_anew(tmp_path: Path, left: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "lock").touch()
    (tmp_path / "readers").touch()
    catalogue = tmp_path / "catalogue.new"
    if left == "an empty file":
        catalogue.touch()
    elif left == "half a database":
        with closing(sqlite3.connect(catalogue)) as connection:
            connection.execute("CREATE TABLE accounts (address)")
        (tmp_path / "catalogue.new-journal").write_bytes(b"something")
    assert "there is no world in" in refusal(tmp_path, read_only=True)
    with closing(SqlitePageStore(tmp_path)) as store:
        store.commit(account(store, A, Account(nonce=1)))
    with closing(SqlitePageStore(tmp_path, read_only=True)) as store:
        assert store.accounts[A].nonce == 1


def test_a_second_writer_is_told_of_the_first(home: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from storagemod.state import SqlitePageStore\n"
        "store = SqlitePageStore(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        expected = f"is open for writing in process {other.pid} (close it there, or open it here to read only)"
        assert expected in refusal(home, read_only=False)
        with closing(SqlitePageStore(home, read_only=True)) as reader:
            assert dict(reader.image(A, "memory").pages()) == {0: page(1), 17: page(2)}
        other.kill()
    with closing(SqlitePageStore(home)) as store:  # the lock ended with its process
        assert "is open for writing in this process" in refusal(home, read_only=False)
        store.commit(write(store, A, {0: 5}))


def test_a_reader_does_not_wait_forever_for_a_writer_that_is_busy(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "_WAIT_SECONDS", 0.02)
    with closing(SqlitePageStore(home)) as store:
        with store._lock.without_readers() as alone:
            assert alone
            assert "its writer has been busy" in refusal(home, read_only=True)
        SqlitePageStore(home, read_only=True).close()


def test_a_database_that_another_program_writes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storagemod.state.catalogue._BUSY_SECONDS", 0.02)
    with closing(SqlitePageStore(home)) as store:
        before = content(store)
        with closing(sqlite3.connect(home / "catalogue.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StateError, match=r"database is locked .another program has the database open"):
                store.commit(write(store, A, {0: 9}))
        assert content(store) == before
        store.commit(write(store, A, {0: 9}))
        assert store.image(A, "memory").page(0) == page(9)


def test_a_name_that_cannot_be_kept(home: Path) -> None:
    with closing(SqlitePageStore(home)) as store:
        before = content(store)
        with pytest.raises(StateError, match="a name cannot be kept, since it is no Unicode text"):
            store.commit(account(store, A, Account(name="\ud800")))
        assert content(store) == before
        store.commit(account(store, A, Account(name="fine")))


# What the system does not allow. The superuser may do everything, so it becomes somebody else for a moment.

AS_SOMEBODY_ELSE = """
import os, sys
import urllib.parse  # pathlib imports it late, when somebody else may not
from pathlib import Path
from storagemod.errors import StateError
from storagemod.state import SqlitePageStore
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
home, how = Path(sys.argv[1]), sys.argv[2]
try:
    store = SqlitePageStore(home, read_only=how == "read")
    print("opened", len(store.accounts), len(list(store.verify())))
    store.close()
except StateError as error:
    print(error)
"""


@pytest.fixture
def public(home: Path) -> Iterator[Path]:
    """The same world where everybody can reach it."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        shutil.copytree(home, Path(directory) / "world")
        yield Path(directory) / "world"


def somebody_else(home: Path, how: str) -> str:
    command = [sys.executable, "-c", AS_SOMEBODY_ELSE, str(home), how]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def set_modes(home: Path, directories: int, files: int) -> None:
    for path in (home, *home.rglob("*")):
        path.chmod(directories if path.is_dir() else files)


def test_a_directory_that_may_not_be_used(public: Path) -> None:
    set_modes(public, 0o700, 0o600)
    public.chmod(0)
    try:
        assert somebody_else(public, "write") == (
            f"the world {public} cannot be opened: Permission denied "
            "(see who owns the directory and its files, and what may be done with them)"
        )
        assert "cannot be read: Permission denied" in somebody_else(public, "read")
        public.chmod(0o700)
        public.parent.chmod(0o555)
        assert "Permission denied" in somebody_else(public.with_name("new"), "write")
    finally:
        public.parent.chmod(0o755)
        public.chmod(0o700)


def test_a_directory_that_may_only_be_read_can_be_read(public: Path) -> None:
    set_modes(public, 0o555, 0o444)
    try:
        assert somebody_else(public, "read") == "opened 1 0"
        assert "Permission denied" in somebody_else(public, "write")
    finally:
        set_modes(public, 0o755, 0o644)
    with closing(SqlitePageStore(public)) as store:  # also while somebody writes
        store.commit(write(store, A, {0: 5}))
        for path in (public, public / "images"):
            path.chmod(0o555)
        try:
            assert somebody_else(public, "read") == "opened 1 0"
        finally:
            set_modes(public, 0o755, 0o644)


def test_a_directory_that_may_only_be_read_and_was_not_closed_is_refused(public: Path) -> None:
    copy = public.with_name("copy")
    with closing(SqlitePageStore(public)) as store:
        store.commit(write(store, A, {0: 5}))
        shutil.copytree(public, copy, ignore=shutil.ignore_patterns("*-shm"))
    set_modes(copy, 0o555, 0o444)
    try:
        assert "cannot be opened" in somebody_else(copy, "read")
    finally:
        set_modes(copy, 0o755, 0o644)


def test_errors_say_what_helps() -> None:
    full = directory.failure("it", OSError(28, "No space left on device"))
    assert full.hint == "make room on the disk, then do it again"
    assert "ulimit" in str(directory.failure("it", OSError(24, "Too many open files")))
    assert str(directory.failure("it", OSError("in part"))) == "it: in part"
    assert str(directory.failure("it", sqlite3.OperationalError("no such table: x"))) == "it: no such table: x"


def test_a_schema_that_is_no_text_is_damage(tmp_path: Path) -> None:
    """SQLite quotes it in its message, which then is no text either."""
    with closing(SqlitePageStore(tmp_path)):
        pass
    catalogue = tmp_path / directory.CATALOGUE
    data = catalogue.read_bytes()
    assert data.count(b"tableregionsregions") == 1
    catalogue.write_bytes(data.replace(b"tableregionsregions", b"tablereg\xeeonsregions"))
    for read_only in (False, True):
        with pytest.raises(StateError, match=r"catalogue\.sqlite is damaged"):
            SqlitePageStore(tmp_path, read_only=read_only)
