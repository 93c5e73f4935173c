"""Whatever turns over on the disk is found, and said where."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storagemod.errors import StateError
from storagemod.state import Account, Damage, SqlitePageStore
from storagemod.state.image_files import HEADER_BYTES

from .stores import A, B, account, content, write

ZEROS = f"x'00{'00' * 32}'"
"""A node that has one child, of zeros."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "world"
    with closing(SqlitePageStore(home)) as store:
        store.commit(account(store, A, Account(5, 7, b"some code", "alice", {"bank": B})))
        store.commit(account(store, B, Account(nonce=1)))
        store.commit(write(store, A, {0: 1, 40: 2, 41: 3}))
        store.commit(write(store, B, {7: 4}, region="books"))
    return home


def flip(path: Path, at: int, bit: int = 0) -> None:
    with path.open("r+b", buffering=0) as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def damage(home: Path, *, read_only: bool = True) -> list[Damage]:
    with closing(SqlitePageStore(home, read_only=read_only)) as store:
        return list(store.verify())


def test_all_is_well_with_what_was_committed(home: Path) -> None:
    assert damage(home) == []
    assert damage(home, read_only=False) == []


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("image", "number", "found"),
    [
        (1, 0, (A, "memory", 0)),
        (1, 40, (A, "memory", 40)),
        (1, 13, (A, "memory", 13)),  # which held zeros
        (2, 7, (B, "books", 7)),
    ],
)
def test_a_bit_that_turned_over_in_an_image_is_found(
    home: Path, image: int, number: int, found: tuple[object, ...], read_only: bool
) -> None:
    flip(home / "images" / f"{image}.pages", HEADER_BYTES + number * 4096 + 1234)
    (wrong,) = damage(home, read_only=read_only)
    assert (wrong.address, wrong.region, wrong.page) == found
    assert wrong.what == f"page {number} is not what was committed"


def test_every_wrong_page_is_named(home: Path) -> None:
    image = home / "images" / "1.pages"
    for number in (41, 0, 13):
        flip(image, HEADER_BYTES + number * 4096)
    with image.open("r+b") as file:
        file.seek(HEADER_BYTES + 40 * 4096)
        file.write(bytes(4096))  # it should hold something
    assert [wrong.page for wrong in damage(home)] == [0, 13, 40, 41]


@pytest.fixture
def logged(home: Path, tmp_path: Path) -> Path:
    """A world that was killed with pages in its log, which SQLite brought into the database itself."""
    copy = tmp_path / "logged"
    with closing(SqlitePageStore(home)) as store:
        store.commit(write(store, A, {40: 9, 2: 7}))
        store.commit(write(store, B, {1: 8}, region="books"))
        shutil.copytree(home, copy)
    with closing(sqlite3.connect(copy / "catalogue.sqlite", isolation_level=None)) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    (copy / "lock").write_bytes(b"")  # or opening it hashes everything, as a copy that may not be whole
    assert damage(copy) == []
    return copy


def changed(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path / "catalogue.sqlite", isolation_level=None)) as connection:
        connection.execute(sql)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (
            "UPDATE log SET data = CAST(x'01' || substr(data, 2) AS BLOB) WHERE place = {P40}",
            "page 40 of region 1 in its log is not what was written",
        ),
        ("UPDATE log SET checksum = checksum + 1 WHERE place = {P40}", "page 40 of region 1 in its log is not what"),
        (
            "UPDATE log SET place = {P40} + 1 WHERE place = {P40}",
            "page 41 of region 1 in its log",
        ),
        (
            "UPDATE log SET place = {P40} + 1048576 WHERE place = {P40}",
            "page 40 of region 2 in its log",
        ),
        ("DELETE FROM log WHERE place = {P40}", "its log has 1 pages of region 1, and 2 were written"),
        ("DELETE FROM log WHERE place > 2 * 1048576", "its log has 0 pages of region 2, and 1 were written"),
        ("DELETE FROM regions WHERE id = 2", "its log has pages of a region that does not exist"),
    ],
)
def test_a_log_that_is_not_what_was_written_is_refused(logged: Path, sql: str, message: str, read_only: bool) -> None:
    changed(logged, sql.replace("{P40}", str(1_048_576 + 40)))
    with pytest.raises(StateError, match=message):
        SqlitePageStore(logged, read_only=read_only)


def test_whichever_bit_turns_over_in_a_catalogue_with_a_log_it_is_found_or_does_not_matter(
    logged: Path, tmp_path: Path
) -> None:
    look_at_flipped_bits(logged, tmp_path, count=200)


@pytest.mark.parametrize("level", [0, 1, 4])
def test_damage_to_a_stored_tree_is_found_though_the_log_changed_what_lies_above_it(logged: Path, level: int) -> None:
    changed(logged, f"UPDATE nodes SET children = {ZEROS} WHERE region = 1 AND level = {level}")  # noqa: S608
    assert any("hash tree" in wrong.what for wrong in damage(logged))


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (f"UPDATE nodes SET children = {ZEROS} WHERE region = 1 AND level = 1", "does not fit together"),  # noqa: S608
        ("DELETE FROM nodes WHERE region = 1 AND level = 0 AND place = 2", "does not fit together"),
        ("DELETE FROM nodes WHERE region = 1 AND level = 4", "the root is not that of the hash tree"),
        ("UPDATE nodes SET children = x'00ff' WHERE region = 1 AND level = 4", "has the wrong length"),
    ],
)
def test_hash_trees_that_somebody_wrote_in_are_found(home: Path, sql: str, message: str) -> None:
    with closing(SqlitePageStore(home)) as store:
        store._catalogue._run(sql)
    found = damage(home)
    assert any(message in wrong.what for wrong in found)
    assert {wrong.region for wrong in found} == {"memory"}


def test_whichever_bit_turns_over_in_the_catalogue_it_is_found_or_does_not_matter(home: Path, tmp_path: Path) -> None:
    look_at_flipped_bits(home, tmp_path, count=400)


def look_at_flipped_bits(home: Path, tmp_path: Path, *, count: int) -> None:
    with closing(SqlitePageStore(home, read_only=True)) as store:
        expected, root = content(store), store.state_root()
    catalogue = home / "catalogue.sqlite"
    length = catalogue.stat().st_size
    chosen = random.Random(1)  # noqa: S311 - the same bits each time
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    refused = reported = harmless = 0
    for _ in range(count):
        shutil.copy(catalogue, copy / "catalogue.sqlite")
        flip(copy / "catalogue.sqlite", chosen.randrange(length), chosen.randrange(8))
        try:
            with closing(SqlitePageStore(copy, read_only=True)) as store:
                if any(store.verify()):
                    reported += 1
                    continue
                assert (content(store), store.state_root()) == (expected, root)
                harmless += 1
        except StateError:
            refused += 1
    assert refused
    assert reported
    assert harmless  # a bit where nothing is kept
