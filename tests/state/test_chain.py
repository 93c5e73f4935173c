"""Commits that a directory has lost are told when it is opened, and only what is accepted goes on."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from storagemod.errors import StateError
from storagemod.state import Account, SqlitePageStore

from .histories import commits
from .stores import A, B, account, content, page, write


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A world with three commits, closed."""
    home = tmp_path / "world"
    with closing(SqlitePageStore(home)) as store:
        for number in range(1, 4):
            store.commit(account(store, A, Account(nonce=number)).merged(write(store, A, {0: number})))
    return home


@pytest.fixture
def killed(home: Path, tmp_path: Path) -> Path:
    """The same world, killed after ten commits, the last seven in SQLite's log."""
    killed = tmp_path / "killed"
    with closing(SqlitePageStore(home)) as store:
        for number in range(4, 11):
            store.commit(account(store, A, Account(nonce=number)).merged(write(store, A, {number: number})))
        shutil.copytree(home, killed)
    return killed


def log_of(world: Path) -> Path:
    return world / "catalogue.sqlite-wal"


def refusals(world: Path) -> list[str]:
    """What a reader and a writer are told."""
    found = []
    for read_only in (True, False):
        with pytest.raises(StateError) as caught:
            SqlitePageStore(world, read_only=read_only)
        found.append(str(caught.value))
    return found


def problems(world: Path) -> list[str]:
    with closing(SqlitePageStore(world, read_only=True, tolerant=True)) as store:
        return [each.what for each in store.verify()]


def accept(world: Path) -> None:
    with closing(SqlitePageStore(world, tolerant=True)) as store:
        store.accept()


def frames(log: bytes) -> list[int]:
    """Where the frames of SQLite's log begin that end a transaction."""
    size = 24 + int.from_bytes(log[8:12], "big")
    return [at for at in range(32, len(log) - size + 1, size) if int.from_bytes(log[at + 4 : at + 8], "big")]


def test_a_world_counts_its_commits(home: Path) -> None:
    with closing(SqlitePageStore(home)) as store:
        assert store.newest == 3
        store.commit(write(store, B, {0: 1}))
        store.flush_log()
        assert store.newest == 4
        with closing(SqlitePageStore(home, read_only=True)) as reader:
            assert reader.newest == 4


def test_a_killed_world_has_lost_nothing(killed: Path) -> None:
    assert problems(killed) == []
    with closing(SqlitePageStore(killed)) as store:
        assert (store.newest, store.accounts[A].nonce) == (10, 10)


@pytest.mark.parametrize(("left", "told"), [(0, "4 to 10 are"), (3, "7 to 10 are"), (6, "10 is")])
@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_log_that_lost_its_end_is_told(killed: Path, left: int, told: str, how: str) -> None:
    log = bytearray(log_of(killed).read_bytes())
    ends = frames(log)[-7:]
    at = 40 if not left else ends[left - 1] + 24 + 4096
    if how == "cut":
        del log[at:]
    else:
        log[at + 5] ^= 1
    log_of(killed).write_bytes(log)
    for message in refusals(killed):
        assert f"commit{'s' if 'to' in told else ''} {told} missing" in message
        assert "`storagemod state accept`" in message
    assert f"{told} missing" in problems(killed)[0]
    accept(killed)
    with closing(SqlitePageStore(killed)) as store:
        assert store.accounts[A].nonce == 3 + left
        assert store.newest == 11  # no number stands for two commits
        assert list(store.verify()) == []
        store.commit(account(store, A, Account(nonce=50)))
    assert problems(killed) == []


def test_a_log_that_is_gone_is_told(killed: Path) -> None:
    log_of(killed).unlink()
    (killed / "catalogue.sqlite-shm").unlink()
    assert all("commits 4 to 10 are missing" in each for each in refusals(killed))


def test_an_older_catalogue_is_told(home: Path) -> None:
    old = (home / "catalogue.sqlite").read_bytes()
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, B, {0: 1}))
    (home / "catalogue.sqlite").write_bytes(old)
    assert all("commit 4 is missing" in each for each in refusals(home))
    assert problems(home)[1:] == ["images/2.pages belongs to no region: the commit that made it is missing"]


def test_a_new_contract_does_not_get_the_bytes_of_a_lost_one(home: Path) -> None:
    old = (home / "catalogue.sqlite").read_bytes()
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, B, {0: 77, 9: 77}))
    (home / "catalogue.sqlite").write_bytes(old)
    accept(home)
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, B, {3: 1}))
        assert dict(store.image(B, "memory").pages()) == {3: page(1)}
        store.flush_log()
    with closing(SqlitePageStore(home)) as store:
        assert dict(store.image(B, "memory").pages()) == {3: page(1)}
        assert list(store.verify()) == []


def test_pages_of_lost_commits_are_accepted_as_they_are(home: Path) -> None:
    old = (home / "catalogue.sqlite").read_bytes()
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {0: 9}))
    (home / "catalogue.sqlite").write_bytes(old)
    assert "page 0 is not what was committed" in problems(home)
    accept(home)
    assert problems(home) == []
    with closing(SqlitePageStore(home)) as store:
        assert dict(store.image(A, "memory").pages()) == {0: page(9)}


def test_a_world_that_went_another_way_is_told(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(home, other)
    for world, nonce in ((home, 5), (other, 6)):
        with closing(SqlitePageStore(world)) as store:
            store.commit(account(store, A, Account(nonce=nonce)))
    shutil.copy(other / "newest", home / "newest")
    assert all("commit 4 is not the one that was acknowledged" in each for each in refusals(home))


def spoil(path: Path) -> None:
    path.write_bytes(b"\xff" * 8_192)


def shorten(path: Path) -> None:
    path.write_bytes(b"")


def of_another_world(path: Path) -> None:
    with closing(SqlitePageStore(path.parent.with_name("another"))) as store:
        store.commit(account(store, A, Account(nonce=1)))
    shutil.copy(path.parent.with_name("another") / "newest", path)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (Path.unlink, "the file newest is missing: commits after 3 may be missing"),
        (spoil, "the file newest is damaged: commits after 3 may be missing"),
        (shorten, "the file newest is damaged"),
        (of_another_world, "the file newest belongs to another world"),
    ],
)
def test_a_record_of_the_newest_commit_that_is_no_good_is_told(
    home: Path, harm: Callable[[Path], None], told: str
) -> None:
    harm(home / "newest")
    assert all(told in each for each in refusals(home))
    accept(home)
    assert problems(home) == []


@pytest.mark.parametrize("slot", [0, 4_096])
def test_a_slot_that_was_written_in_part_does_no_harm(home: Path, slot: int) -> None:
    with (home / "newest").open("r+b") as file:
        file.seek(slot + 30)
        file.write(b"\xff" * 9)
    with closing(SqlitePageStore(home)) as store:
        assert store.newest == 3


def test_a_commit_that_was_not_noted_yet_is_no_loss(home: Path) -> None:
    old = (home / "newest").read_bytes()
    with closing(SqlitePageStore(home)) as store:
        for nonce in (7, 8, 9):
            store.commit(account(store, A, Account(nonce=nonce)))
    (home / "newest").write_bytes(old)
    for read_only in (True, False):
        with closing(SqlitePageStore(home, read_only=read_only)) as store:
            assert (store.newest, store.accounts[A].nonce) == (6, 9)


def test_a_catalogue_of_parts_of_different_times_is_told(home: Path) -> None:
    """Each of its rows is sound, but the old row of an account is beside the new row of a region."""
    with closing(sqlite3.connect(home / "catalogue.sqlite")) as connection:
        (old,) = connection.execute("SELECT * FROM accounts")
    with closing(SqlitePageStore(home)) as store:
        store.commit(account(store, A, Account(nonce=9)).merged(write(store, A, {0: 9})))
    with closing(sqlite3.connect(home / "catalogue.sqlite")) as connection:
        connection.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", old)
        connection.commit()
    assert all("the rows of the catalogue are not those of commit 4" in each for each in refusals(home))
    accept(home)
    assert problems(home) == []


def test_what_a_loss_of_power_may_take_is_said(home: Path) -> None:
    old = (home / "catalogue.sqlite").read_bytes()
    with closing(SqlitePageStore(home, synchronous="normal")) as store:
        store.commit(account(store, A, Account(nonce=5)))
    (home / "catalogue.sqlite").write_bytes(old)
    assert all("commit 4 is missing, which a loss of power may do" in each for each in refusals(home))


def test_what_is_wrong_is_only_looked_at(killed: Path) -> None:
    log_of(killed).write_bytes(b"")
    before = {path: path.read_bytes() for path in killed.rglob("*") if path.is_file() and not path.name.endswith("shm")}
    with closing(SqlitePageStore(killed, tolerant=True)) as store:
        with pytest.raises(StateError, match="commits 4 to 10 are missing"):
            store.commit(account(store, A, Account(nonce=9)))
        assert store.accounts[A].nonce == 3
    with (
        pytest.raises(StateError, match="open to read only"),
        closing(SqlitePageStore(killed, tolerant=True, read_only=True)) as store,
    ):
        store.accept()
    refusals(killed)
    assert {path: path.read_bytes() for path in before if path.exists() and path != log_of(killed)} == {
        path: data for path, data in before.items() if path != log_of(killed)
    }


def test_damage_to_hash_trees_is_not_accepted(home: Path) -> None:
    with closing(SqlitePageStore(home)) as store:
        store._catalogue._run("DELETE FROM nodes WHERE level = 4")
    (home / "newest").unlink()
    with (
        closing(SqlitePageStore(home, tolerant=True)) as store,
        pytest.raises(StateError, match=r"cannot be accepted: .* does not fit together"),
    ):
        store.accept()
    refusals(home)


def test_a_failing_note_of_the_newest_commit_fails_no_commit(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with closing(SqlitePageStore(home)) as store:
        with monkeypatch.context() as patched:
            patched.setattr("storagemod.state.chain.write_all", fail)
            store.commit(account(store, A, Account(nonce=5)))
        seen = content(store)
    with closing(SqlitePageStore(home)) as store:
        assert content(store) == seen


@pytest.mark.parametrize("left", ["images", "newest", "both"])
def test_a_world_that_lost_its_catalogue_is_not_a_new_one(home: Path, left: str) -> None:
    (home / "catalogue.sqlite").unlink()
    if left == "newest":
        (home / "images" / "1.pages").unlink()
    elif left == "images":
        (home / "newest").unlink()
    listed = sorted(home.iterdir())
    for message in refusals(home):
        assert "has lost its catalogue; its images are left: " in message
        assert "restore catalogue.sqlite from a copy; `storagemod state verify` lists what is there" in message
    assert sorted(home.iterdir()) == listed


COMMITS = """
import sys
from pathlib import Path
from storagemod.state import SqlitePageStore
from tests.state.histories import commit, commits
store = SqlitePageStore(Path(sys.argv[1]), synchronous="normal", log_pages_max=50)
number = 0
while True:
    number += 1
    commit(store, number)
    if number == 1:
        print("open", flush=True)
"""


def test_commits_that_are_made_meanwhile_are_not_missing(place: Path) -> None:
    """A reader looks at the newest commit and at the catalogue, one after the other, while both move on."""
    home = place / "world"
    command = [sys.executable, "-c", COMMITS, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        seen = set()
        for _ in range(60):
            with closing(SqlitePageStore(home, read_only=True)) as reader:
                assert commits(reader) == reader.newest
                seen.add(reader.newest)
        writer.kill()
    assert len(seen) > 1
