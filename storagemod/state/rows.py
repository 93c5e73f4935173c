"""Accounts, nodes of hash trees and pages as rows of databases, and back. A damaged row is a ``ValueError``."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias
from zlib import crc32

import attrs

from storagemod.errors import StateError, shown
from storagemod.pages import DIGEST_BYTES, EMPTY_NODE, PAGE_BYTES, TREE_PAGES_MAX, ZERO_PAGE
from storagemod.state.account import Account
from storagemod.types import Address, ReentryPolicy, StorageMapping

Column: TypeAlias = int | str | bytes | None

CODES_SCHEMA = "CREATE TABLE codes (hash BLOB PRIMARY KEY, wasm BLOB NOT NULL)"

ACCOUNTS_SCHEMA = """CREATE TABLE accounts (
  address BLOB PRIMARY KEY, nonce INTEGER NOT NULL, balance BLOB NOT NULL, code BLOB, name TEXT, links TEXT NOT NULL,
  policy TEXT NOT NULL, mapping TEXT, checksum BLOB NOT NULL
) WITHOUT ROWID"""

PUT_CODE = "INSERT OR IGNORE INTO codes VALUES (?, ?)"
PUT_ACCOUNT = "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
GET_CODES = "SELECT hash, wasm FROM codes"
GET_ACCOUNTS = "SELECT * FROM accounts ORDER BY address"

_BALANCE_BYTES, _LONG_BALANCE_BYTES = 16, 32
_CHECKSUM_BYTES = 16


def check_identity(
    connection: sqlite3.Connection,
    path: Path,
    application: int,
    formats: tuple[int, ...],
    what: str,
    schema: Collection[str],
    hint: str | None = None,
) -> None:
    """Check the application id, the format version and the tables of a database.

    Nothing but the tables may be there, written as they were made: a view in place of one can give rows without end.

    Raises:
        StateError: It is another one.
    """
    ((found,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    if found != application:
        raise StateError(f"{path} is a database, but not {what}")
    if version not in formats:
        known = " and ".join(map(str, formats))
        raise StateError(f"{path} has format {version}, and this version of storagemod knows format {known}", hint=hint)
    there = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL LIMIT ?"  # what SQLite makes by itself has none
    if sorted(sql for (sql,) in connection.execute(there, (len(schema) + 1,))) != sorted(schema):
        raise StateError(f"{path} is damaged: its tables are not those of {what}")


def checksum(row: Iterable[Column]) -> bytes:
    """Return 16 bytes over the columns of a row, for its last column: databases do not notice that a bit flipped."""
    text = json.dumps([column.hex() if isinstance(column, bytes) else column for column in row])
    return hashlib.blake2b(text.encode(), digest_size=_CHECKSUM_BYTES, person=b"storagemod row").digest()


def region_checksum(row: Iterable[Column]) -> bytes:
    """Return 16 bytes over the columns of a region. Exported files keep :func:`checksum`, which takes longer."""
    text = ascii(tuple(row)).encode()
    return hashlib.blake2b(text, digest_size=_CHECKSUM_BYTES, person=b"storagemod row").digest()


def check_row(row: tuple[Any, ...], what: str, checksum: Callable[[Iterable[Column]], bytes] = checksum) -> None:
    """Check that a row has the columns that its checksum was made of. They need no other checks then."""
    *columns, expected = row
    if checksum(columns) != expected:
        key = columns[0].hex() if isinstance(columns[0], bytes) else columns[0]
        raise ValueError(f"the {what} {key} is not what was written")


@lru_cache(maxsize=256)  # each commit of an account needs the hash of its code
def code_hash(code: bytes) -> bytes:
    """Return the SHA-256 of a code, which is its key."""
    return hashlib.sha256(code).digest()


def code_row(code: bytes) -> tuple[Column, ...]:
    """Return the row of a code."""
    return code_hash(code), code


def codes_of(rows: Iterable[tuple[Any, ...]]) -> dict[bytes | None, bytes]:
    """Return codes by hash. The key ``None`` is for accounts without one."""
    codes: dict[bytes | None, bytes] = {None: b""}
    for digest, code in rows:
        if not isinstance(code, bytes) or code_hash(code) != digest:
            key = digest.hex() if isinstance(digest, bytes) else shown(digest)
            raise ValueError(f"the code {key} is not what was written")
        codes[digest] = code
    return codes


def account_row(address: Address, account: Account) -> tuple[Column, ...]:
    """Return the row of an account."""
    row = (
        bytes(address),
        account.nonce,
        account.balance.to_bytes(_LONG_BALANCE_BYTES if account.balance >> 128 else _BALANCE_BYTES, "big"),
        code_hash(account.code) if account.code else None,
        account.name,
        json.dumps({link: str(target) for link, target in sorted(account.links.items())}) if account.links else "{}",
        account.policy.value,
        _settings(account),
    )
    return *row, checksum(row)


def _settings(account: Account) -> str | None:
    """Return how an account reaches its storage, as far as its deployment chose that: the column ``mapping``."""
    settings = {} if account.mapping is None else attrs.asdict(account.mapping)
    if account.link is not None:
        settings["link"] = account.link
    return json.dumps(settings) if settings else None


def account_of(row: tuple[Any, ...], codes: Mapping[bytes | None, bytes]) -> tuple[Address, Account]:
    """Return the account of a row."""
    check_row(row, "account")
    address, nonce, balance, code, name, links, policy, settings, _ = row
    if code not in codes:
        raise ValueError(f"the code of the account {Address(address)} is missing")
    mapping = {} if settings is None else json.loads(settings)
    link = mapping.pop("link", None)
    account = Account(
        nonce=nonce,
        balance=int.from_bytes(balance, "big"),
        code=codes[code],
        name=name,
        links=MappingProxyType({link: Address(target) for link, target in json.loads(links).items()}),
        policy=ReentryPolicy(policy),
        mapping=StorageMapping(**mapping) if mapping else None,
        link=link,
    )
    return Address(address), account


def packed(children: bytes) -> bytes:
    """Return a node without the zeros at both ends: how many children of zeros come first, then the other digests."""
    first = (len(children) - len(children.lstrip(b"\0"))) // DIGEST_BYTES
    end = -(-len(children.rstrip(b"\0")) // DIGEST_BYTES)
    return bytes([first]) + children[first * DIGEST_BYTES : end * DIGEST_BYTES]


def unpacked(data: bytes) -> bytes:
    """Return the node that was packed."""
    children = bytes(data[0] * DIGEST_BYTES) + data[1:]
    if len(children) % DIGEST_BYTES or len(children) > len(EMPTY_NODE):
        raise ValueError("a node of its hash trees has the wrong length")
    return children.ljust(len(EMPTY_NODE), b"\0")


_ZEROS = tuple(bytes(PAGE_BYTES >> step) for step in range(1, 8))  # 2048 bytes down to 32


def trimmed(page: bytes) -> bytes:
    """Return a page without most zeros at its end; nothing of a page of zeros. Each step halves what is left to see."""
    if page[-1]:
        return page
    if page is ZERO_PAGE or page == ZERO_PAGE:
        return b""
    end = PAGE_BYTES
    for zeros in _ZEROS:
        if page.endswith(zeros, 0, end):
            end -= len(zeros)
    return page[:end]


def untrimmed(data: bytes) -> bytes:
    """Return the page that was trimmed."""
    if len(data) > PAGE_BYTES:
        raise ValueError(f"a page of {len(data)} bytes")
    return data.ljust(PAGE_BYTES, b"\0") if data else ZERO_PAGE


def log_row(region: int, number: int, page: bytes) -> tuple[int, bytes, int]:
    """Return the row of a page in the log. Its integer key makes a commit faster than one of two columns would."""
    place, data = region * TREE_PAGES_MAX + number, trimmed(page)
    return place, data, _page_checksum(place, data)


def logged_page(row: tuple[int, bytes, int]) -> tuple[int, int, bytes]:
    """Return the region, the number and the bytes of a page in the log."""
    place, data, expected = row
    region, number = divmod(place, TREE_PAGES_MAX)
    if _page_checksum(place, data) != expected:
        raise ValueError(f"page {number} of region {region} in its log is not what was written")
    return region, number, untrimmed(data)


def _page_checksum(place: int, data: bytes) -> int:
    return crc32(data, crc32(b"%d" % place))  # several times faster than a digest, and finds what a disk does
