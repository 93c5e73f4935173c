"""Export and import: a whole state in one file, for another machine or version. And backup: a copy of a directory.

The file is an SQLite database with its own application id (``stmx``) and format version. Nothing in it depends on the
directory that it came from: a state gives the same content wherever it was kept.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import frozen

from storagemod.errors import StateError, shown
from storagemod.pages import (
    PAGE_BYTES,
    PAGES_PER_WASM_PAGE,
    ZERO_PAGE,
    MemoryImage,
    RegionDiff,
    WritableImage,
    coded_length,
    decoded_length,
)
from storagemod.state.account import NO_ACCOUNT
from storagemod.state.directory import failure, sync_directory, sync_file
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
    code_row,
    codes_of,
)
from storagemod.state.sqlite_store import SqlitePageStore
from storagemod.state.store import ChangeSet, PageStore
from storagemod.types import Address

APPLICATION_ID = int.from_bytes(b"stmx", "big")
FORMAT = 1

FORMAT_BYTES = FORMAT + 1
"""Format of a file with a region whose length is no whole Wasm pages: ``wasm_pages`` is in bytes there, negative."""

_SCHEMA = (
    "CREATE TABLE state (root BLOB NOT NULL)",
    CODES_SCHEMA,
    ACCOUNTS_SCHEMA,
    "CREATE TABLE regions (id INTEGER PRIMARY KEY, address BLOB, name TEXT, wasm_pages INTEGER, root BLOB)",
    "CREATE TABLE pages (region INTEGER, page INTEGER, data BLOB, PRIMARY KEY (region, page)) WITHOUT ROWID",
)

BATCH_PAGES = 1_024


@frozen
class Contents:
    """Size and root of what was exported or imported."""

    accounts: int
    regions: int
    pages: int
    root: bytes


def export_state(store: PageStore, file: Path) -> Contents:
    """Write all of a state into a new file.

    Raises:
        StateError: There is such a file already, or it cannot be written. Then there is none, or the one there was.
    """
    if file.exists():
        raise StateError(f"{file} exists already", hint="export to a new file")
    try:
        with tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=f".{file.name}-") as directory:
            part = Path(directory) / file.name
            with _database(part, new=True) as connection:
                contents = _write(store, connection)
            with part.open("rb") as written:
                sync_file(written.fileno())
            part.rename(file)
        sync_directory(file.absolute().parent)
    except (OSError, sqlite3.Error) as error:
        raise failure(f"{file} cannot be written", error) from error
    return contents


def _write(store: PageStore, connection: sqlite3.Connection) -> Contents:
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    accounts = sorted(store.accounts.items())
    for address, account in accounts:
        if account.code:
            connection.execute(PUT_CODE, code_row(account.code))
        connection.execute(PUT_ACCOUNT, account_row(address, account))
    regions = pages = 0
    for (address, name), region in store.regions():
        regions += 1
        image = region.image
        if image.spare:
            connection.execute(f"PRAGMA user_version = {FORMAT_BYTES}")
        row = (regions, bytes(address), name, coded_length(image.wasm_pages, image.spare), region.root())
        connection.execute("INSERT INTO regions VALUES (?, ?, ?, ?, ?)", row)
        for number, data in region.image.pages():
            connection.execute("INSERT INTO pages VALUES (?, ?, ?)", (regions, number, data))
            pages += 1
    root = store.state_root()
    connection.execute("INSERT INTO state VALUES (?)", (root,))
    return Contents(len(accounts), regions, pages, root)


def backup_state(store: SqlitePageStore, directory: Path) -> int:
    """Make a copy of a world in a new directory, as the world is for a reader, while its writer may go on.

    The copy is the same world: it has its identifier and its chain of commits. It is verified before it gets its name.

    Args:
        store: A reader.
        directory: Where to make the copy. It must not exist, or be empty.

    Returns:
        The number of the newest commit in the copy.

    Raises:
        StateError: The directory is not empty, or cannot be written; or the world is damaged. Nothing is made then.
    """
    with _made_directory(directory, f"{store.directory} cannot be copied to {directory}") as made:
        store.copy_files(made)
        copy = SqlitePageStore(made, synchronous="normal")
        try:
            for damage in copy.verify():
                raise StateError(f"the world {store.directory} is damaged: {damage.where}{damage.what}")
            newest = copy.newest
        finally:
            copy.close()
    return newest


def import_state(
    file: Path,
    directory: Path,
    new_image: Callable[[], WritableImage] = MemoryImage,
    *,
    batch_pages: int = BATCH_PAGES,
) -> Contents:
    """Make a world from an exported file, and check every root.

    Args:
        file: The file.
        directory: Where to make the world. It must not exist, or be empty.
        new_image: As for :class:`SqlitePageStore`.
        batch_pages: How many pages are held in memory at a time.

    Raises:
        StateError: The file is no export, or damaged; or the directory is not empty. Nothing has been made then.
    """
    if not file.is_file():
        raise StateError(f"{file} is not a file, and an export is one" if file.exists() else f"there is no file {file}")
    with (
        _made_directory(directory, f"{file} cannot be imported into {directory}") as made,
        _database(file, new=False) as connection,
        _understanding(file),
    ):
        return _read(_BoundedRows(connection, file.stat().st_size), made, new_image, batch_pages)


@contextmanager
def _made_directory(directory: Path, what: str) -> Iterator[Path]:
    """Make a directory under another name, which it keeps until the block has ended well. Else nothing stays."""
    directory = directory.absolute()
    try:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise StateError(f"{directory} exists already", hint="choose a new directory")
        made = directory.with_name(f".{directory.name}-{secrets.token_hex(4)}")
        made.mkdir(parents=True)
        try:
            yield made
            made.rename(directory)
            sync_directory(directory.parent)
        finally:
            shutil.rmtree(made, ignore_errors=True)  # not there any more, if all went well
    except (OSError, sqlite3.Error) as error:
        raise failure(what, error) from error


def _read(rows: _BoundedRows, directory: Path, new_image: Callable[[], WritableImage], batch_pages: int) -> Contents:
    store = SqlitePageStore(directory, new_image, synchronous="normal")
    try:
        pages = 0
        for changes in _changes(rows, batch_pages):
            store.commit(changes)
            pages += sum(len(written.pages) for written in changes.regions.values())
        regions = dict(store.regions())
        for address, name, root in rows("SELECT address, name, root FROM regions"):
            region = regions.get((Address(address), name))
            if region is None or region.root() != root:
                raise ValueError(
                    f'region "{name}" of {Address(address)} does not have the root that it was exported with'
                )
        contents = Contents(len(store.accounts), len(regions), pages, store.state_root())
        if list(rows("SELECT root FROM state LIMIT 2")) != [(contents.root,)]:
            raise ValueError("the state root is not the one that it had")
    finally:
        store.close()
    return contents


def _changes(rows: _BoundedRows, batch_pages: int) -> Iterator[ChangeSet]:
    """Yield the content of a file, a part at a time."""
    codes = codes_of(rows(GET_CODES))
    accounts = dict(account_of(row, codes) for row in rows(GET_ACCOUNTS))
    yield ChangeSet({address: (NO_ACCOUNT, account) for address, account in accounts.items()})
    ((file_format,),) = rows("PRAGMA user_version")
    for row in rows("SELECT id, address, name, wasm_pages FROM regions"):
        region, address, name, length = _typed(row, "a region", (int, bytes, str, int))
        key = (Address(address), name)
        if length < 0 and file_format != FORMAT_BYTES:
            raise ValueError(f'region "{name}" of {key[0]} cannot have {length} Wasm pages')
        wasm_pages, spare = decoded_length(length)
        yield ChangeSet(regions={key: RegionDiff(0, wasm_pages, {}, 0, spare)})
        pages = rows("SELECT page, data FROM pages WHERE region = ? ORDER BY page", region)
        typed = (_typed(row, f'a page of region "{name}" of {key[0]}', (int, bytes)) for row in pages)
        while batch := dict(islice(typed, batch_pages)):
            for number, data in batch.items():
                if len(data) != PAGE_BYTES or not 0 <= number < wasm_pages * PAGES_PER_WASM_PAGE:
                    raise ValueError(f'page {number} of region "{name}" of {key[0]} cannot be one')
            written = {number: (ZERO_PAGE, data) for number, data in batch.items()}
            yield ChangeSet(regions={key: RegionDiff(wasm_pages, wasm_pages, written, spare, spare)})


def _typed(row: tuple[Any, ...], what: str, types: tuple[type, ...]) -> tuple[Any, ...]:
    """Check the types of the columns of a row, which SQLite does not check."""
    for column, wanted in zip(row, types, strict=True):
        if type(column) is not wanted:
            raise ValueError(f"{what} has {shown(column)} in place of {_TYPE_NAMES[wanted]}")
    return row


_TYPE_NAMES = {int: "an integer", bytes: "bytes", str: "text"}


@contextmanager
def _database(path: Path, *, new: bool) -> Iterator[sqlite3.Connection]:
    """Open a database of this format: a new one, in one transaction without a log, or one that exists, to read it."""
    mode = "mode=rwc" if new else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        if new:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
        else:
            check_identity(connection, path, APPLICATION_ID, (FORMAT, FORMAT_BYTES), "an exported state", _SCHEMA)
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")
    except UnicodeDecodeError as error:  # of a message of SQLite, or of a row
        raise StateError(f"{path} is damaged: {error}", cause=error) from error
    finally:
        connection.close()


@contextmanager
def _understanding(file: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise StateError(f"{file} is damaged: {error}", cause=error) from error


class _BoundedRows:
    """Reads rows of a file, no more than fit into it: pages of a damaged one can lead to one another in circles.

    Args:
        connection: The open file.
        file_bytes: Its length.
    """

    def __init__(self, connection: sqlite3.Connection, file_bytes: int) -> None:
        self._connection = connection
        self._bytes_left = 2 * file_bytes  # regions are read twice

    def __call__(self, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Run a query, and yield its rows.

        Raises:
            ValueError: There are more than the file can hold.
        """
        for row in self._connection.execute(sql, values):
            self._bytes_left -= sum(len(column) if isinstance(column, bytes | str) else 1 for column in row)
            if self._bytes_left < 0:
                raise ValueError("it has more rows than it is long")
            yield row
