"""Vectors: state tests as JSON files, and how they are read. The format is in ``design/0013-state-tests.md``.

A file is checked to its end: every problem is reported with its place.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field, frozen
from Crypto.Hash import keccak

from storagemod.block import HASHES_SERVED, Block
from storagemod.errors import ValidationError
from storagemod.inputs import VECTOR_BYTES_MAX, read_file
from storagemod.limits import GAS_MAX, Limits
from storagemod.state import BALANCE_MAX, NONCE_MAX
from storagemod.types import ADDRESS_BYTES, Address
from storagemod.wasm import to_wasm, without_names

SUFFIX = ".json"

T = TypeVar("T")

_U64_MAX = 2**64 - 1
_U128_MAX = 2**128 - 1
_U256_MAX = 2**256 - 1

_PROBLEMS_SHOWN = 20

_VECTOR_KEYS = ("name", "source", "env", "pre", "transaction", "expect")
_ENV_KEYS = ("currentCoinbase", "currentDifficulty", "currentGasLimit", "currentNumber", "currentTimestamp")
_UNUSED_ENV_KEYS = ("previousHash",)
_ACCOUNT_KEYS = ("balance", "nonce", "code", "storage")
_EXPECT_KEYS = (*_ACCOUNT_KEYS, "shouldnotexist")
_TRANSACTION_KEYS = ("sender", "to", "data", "value", "gasLimit", "gasPrice", "nonce")

_DIGEST_BITS = 256

_NUMBER = re.compile(r"(?P<hex>0[xX](?P<hex_digits>[0-9a-fA-F]*))|(?P<digits>[0-9]*)")
_HEX = re.compile(r"(?:0[xX])?(?P<digits>[0-9a-fA-F]*)")
_MODULE = re.compile(r"\s*(?:\(|;;)")

_DIGITS_MAX = 100
"""More digits than a number of any vector has, with leading zeros."""

_SHOWN_MAX = 60


@frozen
class Code:
    """Code of a vector.

    Attributes:
        data: The code of an account, or the data of a transaction.
        problem: Why the text of a module does not compile. Then ``data`` is that text in UTF-8. It is no module, so a
            call of it fails.
    """

    data: bytes = field(repr=lambda data: f"<{len(data):,} bytes>")
    problem: str | None = None


NO_CODE = Code(b"")


@frozen
class PresetAccount:
    """Account before the transaction. Storage maps 256-bit numbers to 256-bit numbers."""

    balance: int = 0
    nonce: int = 0
    code: Code = NO_CODE
    storage: Mapping[int, int] = field(factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether the account is empty, so that it may as well not exist (EIP-161)."""
        return not (self.balance or self.nonce or self.code.data)


@frozen
class ExpectedAccount:
    """Expected account after the transaction. Fields that are ``None`` are not compared.

    Attributes:
        exists: Whether the account should exist.
        storage: The whole expected storage; slots that are not named should be zero.
    """

    exists: bool = True
    balance: int | None = None
    nonce: int | None = None
    code: Code | None = None
    storage: Mapping[int, int] | None = None


@frozen
class VectorTransaction:
    """Transaction of a vector. Without ``to`` it creates a contract, and ``data`` is the init code.

    Attributes:
        gas_limit: The gas limit, which includes the intrinsic gas.
        gas_price: The price that the sender pays for a unit of gas.
        nonce: The nonce that the sender must have; ``None`` for any.
    """

    sender: Address
    to: Address | None
    data: Code
    value: int
    gas_limit: int
    gas_price: int
    nonce: int | None


@frozen
class Vector:
    """State test of one file.

    Attributes:
        path: The name of the file in messages.
        ignored: Places of keys in the file that do not affect the test.
    """

    path: str
    name: str
    block: Block
    pre: Mapping[Address, PresetAccount]
    transaction: VectorTransaction
    expect: Mapping[Address, ExpectedAccount]
    ignored: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for the reader of a result: texts that are no module, and keys that are ignored."""
        codes = [(f"pre.{address.hex()}.code", account.code) for address, account in self.pre.items()]
        codes.append(("transaction.data", self.transaction.data))
        return (
            *(f"{place} is no module, so calls of it fail: {code.problem}" for place, code in codes if code.problem),
            *(f"{place} is not looked at" for place in self.ignored),
        )


class VectorError(ValidationError):
    """Error of a file that is not a valid vector.

    Attributes:
        path: The file.
        problems: Each problem with its place, such as ``pre.00…01.balance``, and the value that was expected.
    """

    def __init__(self, path: str, problems: Sequence[str], *, cause: BaseException | None = None) -> None:
        lines = list(problems[:_PROBLEMS_SHOWN])
        if len(problems) > _PROBLEMS_SHOWN:
            lines.append(f"… and {len(problems) - _PROBLEMS_SHOWN:,} more")
        summary = lines[0] if len(problems) == 1 else "\n  ".join((f"{len(problems)} problems", *lines))
        super().__init__(f"{path}: {summary}", cause=cause)
        self.path = path
        self.problems = tuple(problems)


def find_vectors(path: Path) -> list[Path]:
    """Find the vectors of a path: the file itself, or every ``*.json`` in a folder and its subfolders, in order.

    Raises:
        VectorError: The folder has none.
    """
    if not os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir this never raises; reading the file reports the problem
        return [path]
    found = sorted(file for file in path.rglob(f"*{SUFFIX}") if not os.path.isdir(file))  # noqa: PTH112
    if not found:
        raise VectorError(str(path), [f"a folder without any *{SUFFIX} in it"])
    return found


def read_vector(path: Path, *, limits: Limits | None = None) -> Vector:
    """Read a vector file.

    Raises:
        VectorError: The file cannot be read, is not JSON, or is not a valid vector.
    """
    try:
        text = read_file(path, bytes_max=VECTOR_BYTES_MAX).decode("utf-8-sig")  # some editors write a byte order mark
    except UnicodeDecodeError as error:
        raise VectorError(str(path), ["not text in UTF-8"], cause=error) from error
    except ValidationError as error:
        raise VectorError(str(path), [error.message.removeprefix(f"{path} ")], cause=error) from error
    return parse_vector(text, path=str(path), limits=limits)


def parse_vector(text: str, *, path: str, limits: Limits | None = None) -> Vector:
    """Parse the text of a vector.

    Args:
        text: JSON.
        path: The name of the file, for messages.
        limits: The limits of its code.

    Raises:
        VectorError: As :func:`read_vector`.
    """
    reader = _Reader(limits or Limits())
    try:
        raw = json.loads(text, object_pairs_hook=reader.unique, parse_constant=reader.no_constant)
    except RecursionError as error:
        raise VectorError(path, ["objects or arrays are nested too deep"], cause=error) from error
    except json.JSONDecodeError as error:
        raise VectorError(f"{path}:{error.lineno}:{error.colno}", [f"not JSON: {error.msg}"], cause=error) from error
    except ValueError as error:  # NaN, or an integer of thousands of digits
        raise VectorError(path, [f"not JSON of a vector: {error}"], cause=error) from error
    vector = reader.vector(raw, path)
    if vector is None or reader.problems:
        raise VectorError(path, reader.problems)
    return vector


@define
class _Reader:
    """Builds a vector from parsed JSON, and collects the problems. Keys of a place are joined by dots."""

    limits: Limits
    problems: list[str] = field(factory=list)
    ignored: list[str] = field(factory=list)

    def unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Build an object of the file, and report repeated keys, of which ``json`` would keep the last."""
        table = dict(pairs)
        if len(table) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            self.problems += [
                f"the key {_format_json(key)} is there twice" for key in sorted(counts) if counts[key] > 1
            ]
        return table

    def no_constant(self, name: str) -> None:
        """Reject NaN and infinity, which ``json`` accepts and JSON does not have."""
        raise ValueError(f"there is no {name} in it")

    def vector(self, raw: object, path: str) -> Vector | None:
        """Read the vector, which is valid only if no problem was found."""
        table = self.table(raw, "", _VECTOR_KEYS)
        if table is None:
            return None
        for key in ("pre", "transaction", "expect"):
            if key not in table:
                self.problems.append(f"there is no {_format_json(key)}")
        name = table.get("name", Path(path).stem)
        if not isinstance(name, str):
            self.problems.append(f"name: wanted a text, found {_format_json(name)}")
            return None
        block = self.block(table.get("env", {}))
        transaction = self.transaction(table.get("transaction", {}))
        pre = self.accounts(table.get("pre", {}), "pre", self.preset)
        expect = self.accounts(table.get("expect", {}), "expect", self.expected)
        if block is None or transaction is None:
            return None
        return Vector(path, name, block, pre, transaction, expect, tuple(self.ignored))

    def block(self, raw: object) -> Block | None:
        """Read the block."""
        env = self.table(raw, "env", (*_ENV_KEYS, *_UNUSED_ENV_KEYS), others_are_ignored=True)
        if env is None:
            return None
        number = self.number(env, "env", "currentNumber", _U64_MAX) or 0
        coinbase = self.value(env, "env", "currentCoinbase", _to_address)
        return Block(
            number=number,
            timestamp=self.number(env, "env", "currentTimestamp", _U64_MAX) or 0,
            coinbase=coinbase or Address(0),
            difficulty=self.number(env, "env", "currentDifficulty", _U256_MAX) or 0,
            gas_limit=GAS_MAX if (limit := self.number(env, "env", "currentGasLimit", _U64_MAX)) is None else limit,
            hashes={each: hash_of_block(each) for each in range(max(0, number - HASHES_SERVED), number)},
        )

    def transaction(self, raw: object) -> VectorTransaction | None:
        """Read the transaction; its sender and its gas limit are required."""
        where = "transaction"
        table = self.table(raw, where, _TRANSACTION_KEYS)
        if table is None:
            return None
        for key in ("sender", "gasLimit"):
            if key not in table and table:
                self.problems.append(f"{where}: there is no {_format_json(key)}")
        sender = self.value(table, where, "sender", _to_address)
        to = None if table.get("to", "") == "" else self.value(table, where, "to", _to_address)
        return VectorTransaction(
            sender=sender or Address(0),
            to=to,
            data=self.code(table, where, "data") or NO_CODE,
            value=self.number(table, where, "value", _U256_MAX) or 0,
            gas_limit=self.number(table, where, "gasLimit", GAS_MAX) or 0,
            gas_price=self.number(table, where, "gasPrice", _U128_MAX) or 0,
            nonce=self.number(table, where, "nonce", _U64_MAX),
        )

    def accounts(self, raw: object, where: str, make: Callable[[object, str], T | None]) -> dict[Address, T]:
        """Read accounts by address."""
        accounts: dict[Address, T] = {}
        table = self.table(raw, where, None)
        for key, value in (table or {}).items():
            try:
                address = _to_address(key)
            except _InvalidValueError as problem:
                self.problems.append(f"{where}: {problem}")
                continue
            if address in accounts:
                self.problems.append(f"{where}: {address} is there twice, written differently")
            account = make(value, f"{where}.{key}")
            if account is not None:
                accounts[address] = account
        return accounts

    def preset(self, raw: object, where: str) -> PresetAccount | None:
        """Read an account before the transaction; missing fields are zero or empty."""
        table = self.table(raw, where, _ACCOUNT_KEYS)
        if table is None:
            return None
        return PresetAccount(
            balance=self.number(table, where, "balance", BALANCE_MAX) or 0,
            nonce=self.number(table, where, "nonce", NONCE_MAX) or 0,
            code=self.code(table, where, "code") or NO_CODE,
            storage=self.storage(table, where) or {},
        )

    def expected(self, raw: object, where: str) -> ExpectedAccount | None:
        """Read an expected account."""
        table = self.table(raw, where, _EXPECT_KEYS)
        if table is None:
            return None
        absent = bool(self.value(table, where, "shouldnotexist", _to_flag))
        if absent and len(table) > 1:
            self.problems.append(f"{where}: an account that should not exist has nothing else to be compared")
        return ExpectedAccount(
            exists=not absent,
            balance=self.number(table, where, "balance", _U256_MAX),
            nonce=self.number(table, where, "nonce", _U64_MAX),
            code=self.code(table, where, "code"),
            storage=self.storage(table, where),
        )

    def storage(self, table: Mapping[str, Any], where: str) -> dict[int, int] | None:
        """Read the storage of an account, if it is present."""
        if "storage" not in table:
            return None
        where = f"{where}.storage"
        storage: dict[int, int] = {}
        for key, raw in (self.table(table["storage"], where, None) or {}).items():
            try:
                slot = _to_word(key)
            except _InvalidValueError as problem:
                self.problems.append(f"{where}: as a key {problem}")
                continue
            if slot in storage:
                self.problems.append(f"{where}: the key {_format_json(key)} is there twice, written differently")
            storage[slot] = self.checked(f"{where}.{key}", raw, _to_word) or 0
        return storage

    def number(self, table: Mapping[str, Any], where: str, key: str, maximum: int) -> int | None:
        """Read a number of a table, if it is present."""
        return self.value(table, where, key, lambda raw: _to_number(raw, maximum=maximum))

    def code(self, table: Mapping[str, Any], where: str, key: str) -> Code | None:
        """Read code or data of a table, if it is present."""
        return self.value(table, where, key, lambda raw: _to_code(raw, self.limits))

    def value(self, table: Mapping[str, Any], where: str, key: str, read: Callable[[object], T]) -> T | None:
        """Read a value of a table; ``None`` if it is missing, or invalid, which is reported."""
        return None if key not in table else self.checked(f"{where}.{key}", table[key], read)

    def checked(self, where: str, raw: object, read: Callable[[object], T]) -> T | None:
        """Convert a value; ``None`` if it is invalid, which is reported."""
        try:
            return read(raw)
        except _InvalidValueError as problem:
            self.problems.append(f"{where}: {problem}")
            return None

    def table(
        self, raw: object, where: str, known: Sequence[str] | None, *, others_are_ignored: bool = False
    ) -> dict[str, Any] | None:
        """Check that a value is an object with known keys. An unknown key may be a misspelt expectation.

        Keys that start with ``_`` are comments.
        """
        before = f"{where}: " if where else ""
        if not isinstance(raw, dict):
            self.problems.append(f"{before}wanted an object, found {_format_json(raw)}")
            return None
        for key in raw if known is not None else ():
            if key in (known or ()) or key.startswith("_"):
                continue
            if others_are_ignored:
                self.ignored.append(f"{where}.{key}")
                continue
            close = get_close_matches(key, known or (), n=1) if len(self.problems) < _PROBLEMS_SHOWN else []
            hint = f"did you mean {_format_json(close[0])}?" if close else f"known are {', '.join(known or ())}"
            self.problems.append(f"{before}the key {_format_json(key)} means nothing ({hint})")
        return raw


def _to_word(raw: object) -> int:
    return _to_number(raw, maximum=_U256_MAX)


class _InvalidValueError(Exception):
    """A value is not of the expected kind."""


def _to_number(raw: object, *, maximum: int) -> int:
    """Convert a number: decimal, hexadecimal after ``0x``, or an empty text, which is zero.

    Raises:
        _InvalidValueError: The value is not a number, or is greater than ``maximum``.
    """
    if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 0:
        number = raw
    else:
        found = _NUMBER.fullmatch(raw) if isinstance(raw, str) and len(raw) <= _DIGITS_MAX else None
        if found is None:
            raise _InvalidValueError(f'wanted a number like "10", "0x0a" or "", found {_format_json(raw)}')
        number = int(found["hex_digits"] or "0", 16) if found["hex"] is not None else int(found["digits"] or "0")
    if number > maximum:
        raise _InvalidValueError(f"wanted a number of {maximum.bit_length()} bits at most, found {_format_json(raw)}")
    return number


def _to_flag(raw: object) -> bool:
    """Convert a flag: the number 0 or 1, or a JSON boolean.

    Raises:
        _InvalidValueError: The value is neither.
    """
    if isinstance(raw, bool):
        return raw
    number = _to_number(raw, maximum=2**64)
    if number > 1:
        raise _InvalidValueError(f'wanted "1" or "0", found {_format_json(raw)}')
    return bool(number)


def _to_address(raw: object) -> Address:
    """Convert an address: 40 hexadecimal digits, with or without ``0x``.

    Raises:
        _InvalidValueError: The value is not an address.
    """
    found = _HEX.fullmatch(raw) if isinstance(raw, str) else None
    if found is None or len(found["digits"]) != 2 * ADDRESS_BYTES:
        raise _InvalidValueError(
            f"wanted an address, {2 * ADDRESS_BYTES} hexadecimal digits, found {_format_json(raw)}"
        )
    return Address(found["digits"])


def _to_code(raw: object, limits: Limits) -> Code:
    """Convert code: hexadecimal bytes, with or without ``0x``, or the text of a module, of today or of 2018.

    Compiled text has no name section: the suite's contracts had none, and they read their own bytes.

    Raises:
        _InvalidValueError: The value is neither. Text that does not compile is valid; :class:`Code` has the reason.
    """
    if isinstance(raw, str):
        if _MODULE.match(raw):
            return _compiled(raw, limits)
        found = _HEX.fullmatch(raw.strip())
        if found is not None and len(found["digits"]) % 2 == 0:
            return Code(bytes.fromhex(found["digits"]))
    raise _InvalidValueError(
        f'wanted bytes like "0x01ff", or the text of a module, "(module …)", found {_format_json(raw)}'
    )


def _compiled(text: str, limits: Limits) -> Code:
    try:
        return Code(without_names(to_wasm(text, name="the text", limits=limits)))
    except ValidationError as error:
        return Code(text.encode(errors="surrogatepass"), str(error))


def _format_json(raw: object) -> str:
    """Format a JSON value for a message: short, and on one line."""
    if isinstance(raw, dict | list):
        return ("an object" if isinstance(raw, dict) else "an array") + (" of something" if raw else " of nothing")
    text = json.dumps(raw)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"


@functools.lru_cache(maxsize=512)
def hash_of_block(number: int) -> bytes:
    """Return the hash of an earlier block: Keccak-256 of its number as decimal text.

    Vectors have no hashes of blocks. Source: the test mode of Ethereum clients, whose hash the suite's
    ``getBlockHash`` expects for block 0.
    """
    return keccak.new(digest_bits=_DIGEST_BITS, data=str(number).encode()).digest()
