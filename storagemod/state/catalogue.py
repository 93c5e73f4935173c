"""The catalogue of a durable world: an SQLite database that is its write-ahead log as well.

It has every account and region, their hash trees as they were when the images were last synced, and all pages that were
committed since (``log``). A call of :meth:`Catalogue.commit` is kept whole or not at all.

One row of ``log`` that a commit writes has the link of that commit in the chain: no page of the database is written for
the link alone. A commit that writes no pages puts it into a row of its own, at place 0, which no region has.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias
from weakref import WeakSet

from attrs import frozen

from storagemod.errors import StateError
from storagemod.pages import EMPTY_NODE, NodeKey
from storagemod.state.account import NO_ACCOUNT, Account
from storagemod.state.chain import NO_DIGEST, Link, RowSum, pack_link, unpack_link
from storagemod.state.directory import DAMAGED_HINT, NEW, failure, leaves_doubt, sync_directory, sync_file
from storagemod.state.rows import (
    ACCOUNTS_SCHEMA,
    CODES_SCHEMA,
    GET_ACCOUNTS,
    GET_CODES,
    PUT_ACCOUNT,
    PUT_CODE,
    account_of,
    account_row,
    check_identity,
    check_row,
    code_hash,
    code_row,
    codes_of,
    log_row,
    logged_page,
    packed,
    region_checksum,
    unpacked,
)
from storagemod.types import Address

Synchronous: TypeAlias = Literal["full", "normal"]

APPLICATION_ID = int.from_bytes(b"stmw", "big")
FORMAT = 3

WORLD_ID_BYTES = 16

_SCHEMA = (
    "CREATE TABLE world (id BLOB NOT NULL, syncs INTEGER NOT NULL)",
    CODES_SCHEMA,
    ACCOUNTS_SCHEMA,
    """CREATE TABLE regions (
      id INTEGER PRIMARY KEY, address BLOB NOT NULL, name TEXT NOT NULL, wasm_pages INTEGER NOT NULL,
      tree_root BLOB NOT NULL, tree_wasm_pages INTEGER NOT NULL, stored_pages INTEGER NOT NULL,
      logged_pages INTEGER NOT NULL, checksum BLOB NOT NULL, UNIQUE (address, name)
    )""",
    """CREATE TABLE nodes (
      region INTEGER, level INTEGER, place INTEGER, children BLOB NOT NULL, PRIMARY KEY (region, level, place)
    ) WITHOUT ROWID""",
    "CREATE TABLE log (place INTEGER PRIMARY KEY, data BLOB NOT NULL, checksum INTEGER NOT NULL, link BLOB)",
)

_PUT_REGION = """INSERT INTO regions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
  wasm_pages = excluded.wasm_pages, tree_root = excluded.tree_root, tree_wasm_pages = excluded.tree_wasm_pages,
  stored_pages = excluded.stored_pages, logged_pages = excluded.logged_pages, checksum = excluded.checksum
"""

_NO_PLACE = 0
"""The place of a link that no page goes with: regions are numbered from 1."""

_PUT_PAGE = "INSERT OR REPLACE INTO log VALUES (?, ?, ?, ?)"

_BUSY_SECONDS = 10.0


@frozen
class RegionRecord:
    """A region without its pages.

    Attributes:
        id: Its number in this world, which names its file.
        length: Its length in Wasm pages, or in bytes, negative (``coded_length``).
        tree_root: The root of its hash tree when the log was emptied last.
        tree_length: Its length then.
        stored_pages: How many pages of 4 KiB its file had then.
        logged_pages: How many pages the log has.
    """

    id: int
    address: Address
    name: str
    length: int
    tree_root: bytes
    tree_length: int
    stored_pages: int
    logged_pages: int


class Catalogue:
    """A catalogue, opened by the one writer of a world or by a reader.

    A reader sees the state at the moment when it opened the catalogue, however long it stays.

    Args:
        path: The database. The writer makes it if there is none.
        read_only: Whether to open it as a reader.
        immutable: Whether a reader can be sure that nobody writes. Then it needs no right to write.
        synchronous: ``"full"``: what is committed stays whatever happens. ``"normal"``: when the machine stops, the
            last commits may be lost, but none by half.

    Raises:
        StateError: It cannot be opened, is no catalogue, or of another format.
    """

    def __init__(
        self, path: Path, *, read_only: bool = False, immutable: bool = False, synchronous: Synchronous = "full"
    ) -> None:
        self.path = path
        self.trusted = True
        """Whether the content of the disk is known: not after an error that leaves it in doubt."""
        self.link = Link()
        """The newest commit that it has."""
        self.before = NO_DIGEST
        """The digest of the commit before that."""
        self.packed_link = b""
        """Both as ``log`` has them."""
        self._contents = RowSum()
        self._stored_contents = b""
        self._log_places = set[int]()
        self._synchronous = synchronous
        with self._failing("opened"):
            if not read_only and not path.exists():
                _create(path)
            for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                if name.exists() and not name.is_file():  # SQLite waits without end for a pipe
                    raise StateError(f"{name} is no file", hint=DAMAGED_HINT)
            mode = ("mode=ro&immutable=1" if immutable else "mode=ro") if read_only else "mode=rw"
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?{mode}",
                uri=True,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            with self._failing("opened"):
                self._run("PRAGMA trusted_schema = OFF")
                if read_only:
                    self._run("BEGIN")  # until it is closed: one transaction, one state
                self._check_identity()
                if not read_only:
                    self._set_synchronous(synchronous)
            with self._reading():
                ((self.world,),) = self._run("SELECT id FROM world")
        except BaseException:
            self._connection.close()
            raise
        _open.add(self)

    def _check_identity(self) -> None:
        hint = "export the world with the version that made it, and import the file here"
        what = "the catalogue of a world"
        check_identity(self._connection, self.path, APPLICATION_ID, (FORMAT,), what, _SCHEMA, hint)

    @property
    def fits_together(self) -> bool:
        """Whether its rows, all of which have been read, are those of its newest commit."""
        return self._contents.after({}) == self._stored_contents

    def close(self) -> None:
        """Close it. If nobody else has it open, a writer leaves a single file."""
        _open.discard(self)
        with self._failing("closed"):
            self._connection.close()

    def abandon(self) -> None:
        """Leave it open until the process ends.

        SQLite names its files by path, and removes the log when it closes: it may be that of another directory, which
        has the path now. And a forked child shares memory with its parent, in which SQLite would undo what is open.
        """
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))  # or the interpreter closes it as it ends

    # Reading

    def accounts(self) -> Iterator[tuple[Address, Account]]:
        """Yield every account that is not the default one."""
        with self._reading():
            codes = codes_of(self._run(GET_CODES))
            for row in self._run(GET_ACCOUNTS):
                self._contents.add(row[0], _number(row[-1]))
                yield account_of(row, codes)

    def regions(self) -> Iterator[tuple[RegionRecord, dict[int, bytes]]]:
        """Yield every region, with its pages of the log by number."""
        log = self.log()
        with self._reading():
            self._load_link()
            for row in self._run("SELECT * FROM regions"):
                check_row(row, "region", region_checksum)
                number, address, *values, check = row
                self._contents.add(~number, _number(check))
                record = RegionRecord(number, Address(address), *values)
                pages = log.pop(number, {})
                if len(pages) != record.logged_pages:
                    raise ValueError(
                        f"its log has {len(pages):,} pages of region {number}, and {record.logged_pages:,} were written"
                    )
                yield record, pages
            if log:
                raise ValueError("its log has pages of a region that does not exist")

    def node(self, region: int, key: NodeKey) -> bytes:
        """Return a node of a region's hash tree, as it was when the log was emptied last."""
        with self._reading():
            sql = "SELECT children FROM nodes WHERE region = ? AND level = ? AND place = ?"
            return unpacked(row[0]) if (row := self._run(sql, region, *key).fetchone()) else EMPTY_NODE

    def log(self) -> dict[int, dict[int, bytes]]:
        """Return the pages that are not in the images for good yet, by region and number."""
        log: dict[int, dict[int, bytes]] = {}
        with self._reading():
            for row in self._run("SELECT place, data, checksum FROM log WHERE place > ?", _NO_PLACE):
                region, number, page = logged_page(row)
                log.setdefault(region, {})[number] = page
        return log

    def _load_link(self) -> None:
        links = []
        for place, check, link in self._run("SELECT place, checksum, link FROM log"):
            if place != _NO_PLACE:
                self._contents.add(place, check)
                self._log_places.add(place)
            if link is not None:
                links.append((*unpack_link(link, self.world), link))
        if not links:
            raise ValueError("the link of its newest commit is missing")
        self.link, self.before, self._stored_contents, self.packed_link = max(links, key=lambda each: each[0].number)

    def damage(self) -> list[str]:
        """Return what SQLite finds wrong with the file; nothing if all is well. Reads all of it."""
        with self._reading():
            return [text for (text,) in self._run("PRAGMA integrity_check") if text != "ok"]

    def copy_to(self, path: Path) -> None:
        """Copy the state that it shows into a new database.

        Raises:
            StateError: It cannot be read, or the copy not be written.
        """
        with self._failing("copied"), closing(sqlite3.connect(path)) as copy:
            self._connection.backup(copy)

    # Writing

    def commit(
        self,
        accounts: Mapping[Address, tuple[Account, Account]],
        regions: Iterable[tuple[RegionRecord, Mapping[int, bytes]]],
    ) -> None:
        """Store a change: accounts before and after, and regions after, with their new pages.

        Raises:
            StateError: It cannot be stored. Nothing is, unless ``trusted`` is false now.
        """
        changed: dict[Hashable, int] = {}
        rows: list[tuple[int, bytes, int]] = []
        with self._failing("written"), self._transaction():
            for address, (old, new) in accounts.items():
                changed[address] = self._put_account(address, old, new)
            for record, pages in regions:
                changed[~record.id] = self._put_region(record)
                rows += [log_row(record.id, number, data) for number, data in pages.items()]
            changed.update((place, check) for place, _, check in rows)
            contents = self._contents.after(changed)
            link = self.link.next(contents)
            link_row = pack_link(link, self.link.digest, contents, self.world)
            self._put_rows(rows, link_row)
        self._contents.take()
        self._log_places.update(place for place, _, _ in rows)
        self.link, self.before, self.packed_link = link, self.link.digest, link_row

    def accept(self, number: int) -> None:
        """Store a commit of this number that changes nothing: what is there is what goes on.

        Raises:
            StateError: It cannot be stored.
        """
        with self._failing("written"), self._transaction():
            contents = self._contents.after({})
            link = self.link.next(contents, number)
            link_row = pack_link(link, self.link.digest, contents, self.world)
            self._put_rows([], link_row)
        self.link, self.before, self.packed_link = link, self.link.digest, link_row
        self._stored_contents = contents

    def empty_log(self, regions: Iterable[tuple[RegionRecord, Mapping[NodeKey, bytes]]]) -> None:
        """Empty the log, now that all of it is in the images for good.

        Args:
            regions: The regions that changed since the log was empty, and the nodes of their hash trees that did.

        Raises:
            StateError: It cannot be written. The log stays.
        """
        changed: dict[Hashable, int] = {}
        with self._failing("written"), self._transaction():
            self._run("DELETE FROM log")
            for record, nodes in regions:
                changed[~record.id] = self._put_region(record)
                self._connection.executemany(
                    "INSERT OR REPLACE INTO nodes VALUES (?, ?, ?, ?)",
                    [(record.id, *key, packed(node)) for key, node in nodes.items() if node != EMPTY_NODE],
                )
                self._connection.executemany(
                    "DELETE FROM nodes WHERE region = ? AND level = ? AND place = ?",
                    [(record.id, *key) for key, node in nodes.items() if node == EMPTY_NODE],
                )
            contents = self._contents.after(changed, without=self._log_places)
            link_row = pack_link(self.link, self.before, contents, self.world)
            self._put_rows([], link_row)
        self._contents.take()
        self.packed_link = link_row
        self._log_places.clear()

    def sync(self) -> None:
        """Sync everything committed to the disk.

        Raises:
            StateError: The disk fails.
        """
        if self._synchronous == "full":
            return
        with self._failing("written"):
            self._set_synchronous("full")
            try:
                with self._transaction():  # this is synced, and so is all that lies before it in SQLite's log
                    self._run("UPDATE world SET syncs = syncs + 1")
            finally:
                self._set_synchronous("normal")

    # Pieces

    def _put_rows(self, rows: list[tuple[int, bytes, int]], link: bytes) -> None:
        """Store rows of the log, the first one with a link; a link alone if there are none."""
        found: list[tuple[int, bytes, int, bytes | None]] = [(*row, None) for row in rows] or [
            (_NO_PLACE, b"", 0, None)
        ]
        found[0] = (*found[0][:3], link)
        self._connection.executemany(_PUT_PAGE, found)

    def _put_account(self, address: Address, old: Account, new: Account) -> int:
        """Store an account, and return the checksum of its row as a number; 0 if it has none now."""
        check = 0
        if new.code and new.code != old.code:
            self._run(PUT_CODE, *code_row(new.code))
        if new == NO_ACCOUNT:
            self._run("DELETE FROM accounts WHERE address = ?", address)
        else:
            row = account_row(address, new)
            self._run(PUT_ACCOUNT, *row)
            check = _number(row[-1])
        if old.code and old.code != new.code:
            sql = "DELETE FROM codes WHERE hash = ? AND NOT EXISTS (SELECT 1 FROM accounts WHERE code = codes.hash)"
            self._run(sql, code_hash(old.code))
        return check

    def _put_region(self, record: RegionRecord) -> int:
        """Store a region, and return the checksum of its row as a number."""
        row = (
            record.id,
            bytes(record.address),
            record.name,
            record.length,
            record.tree_root,
            record.tree_length,
            record.stored_pages,
            record.logged_pages,
        )
        check = region_checksum(row)
        self._run(_PUT_REGION, *row, check)
        return _number(check)

    def _run(self, sql: str, *values: object) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

    def _value(self, sql: str) -> int | str:
        value: int | str = self._run(sql).fetchone()[0]
        return value

    def _set_synchronous(self, synchronous: Synchronous) -> None:
        self._run(f"PRAGMA synchronous = {synchronous}")
        self._run("PRAGMA fullfsync = ON")  # a matter of macOS alone

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._run("ROLLBACK")
            raise

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """Turn errors of SQLite into errors of state."""
        try:
            yield
        except OSError as error:
            raise failure(f"the catalogue {self.path} cannot be {what}", error) from error
        except sqlite3.Error as error:
            self.trusted = self.trusted and not leaves_doubt(error)
            raise failure(f"the catalogue {self.path} cannot be {what}", error) from error
        except UnicodeDecodeError as error:  # of a message of SQLite: it quotes what it found
            raise StateError(f"the catalogue {self.path} is damaged: {error}", cause=error) from error
        except UnicodeEncodeError as error:
            raise StateError(f"a name cannot be kept, since it is no Unicode text: {error}", cause=error) from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn errors of SQLite, and of rows that cannot be read, into errors of state."""
        with self._failing("read"):
            try:
                yield
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                raise StateError(f"the catalogue {self.path} is damaged: {error}", cause=error) from error


_open = WeakSet[Catalogue]()


def _abandon_catalogues() -> None:
    """Leave those of the parent alone in a forked child."""
    for catalogue in list(_open):
        catalogue.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_catalogues)


def _number(check: Any) -> int:
    """Return the checksum of a row as a number, to add it up."""
    return int.from_bytes(check, "little")


def _create(path: Path) -> None:
    """Make an empty catalogue. It gets its name when it is complete, so that nobody finds half of one."""
    new = path.with_name(NEW)
    new.unlink(missing_ok=True)  # somebody died here
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        for statement in _SCHEMA:
            connection.execute(statement)
        world = os.urandom(WORLD_ID_BYTES)
        connection.execute("INSERT INTO world VALUES (?, 0)", (world,))
        link = pack_link(Link(), NO_DIGEST, RowSum().after({}), world)
        connection.execute(_PUT_PAGE, (_NO_PLACE, b"", 0, link))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
        ((mode,),) = connection.execute("PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise StateError(f"{path} is where SQLite cannot keep a write-ahead log", hint="use a local disk")
    with new.open("rb") as file:
        sync_file(file.fileno())
    new.rename(path)
    sync_directory(path.parent)
    sync_directory(path.absolute().parent.parent)
