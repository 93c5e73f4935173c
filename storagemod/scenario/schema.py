"""Tables of a scenario file as classes, whose fields are the keys of the file.

:mod:`storagemod.scenario.load` makes and checks them. Integers carry their unit in the key: ``offset_bytes``,
``pages`` (Wasm pages of 64 KiB, rounded up), ``gas``.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NewType, TypeAlias

from attrs import field, fields, frozen

from storagemod.errors import one_line
from storagemod.scenario.locate import Lines, TomlPath
from storagemod.types import (
    FRAME_OPTIONS,
    MAP_OPTIONS,
    Address,
    ExclusivePolicy,
    ReentryPolicy,
    StorageMapping,
    SyncPolicy,
    Value,
)

Gas = NewType("Gas", int)
"""0 to 2**63 - 1."""
Amount = NewType("Amount", int)
"""A balance, or the value of a call: an unsigned integer of 256 bits."""
Count = NewType("Count", int)
"""A number of bytes or pages: 0 to 2**63 - 1."""
Pattern = NewType("Pattern", str)
"""A regular expression that compiles."""
ErrorKind = NewType("ErrorKind", str)
"""The name of a class in :mod:`storagemod.errors`."""
Moment = NewType("Moment", str)
"""When an invariant must hold: ``end``, ``callouts`` or ``boundaries``."""
MapOption = NewType("MapOption", str)
MethodsOption = NewType("MethodsOption", str)
"""A linking option that implements ``ethereum.storageMap``."""
FrameBytes = NewType("FrameBytes", int)
"""The length of a frame: a power of two of bytes."""
I32 = NewType("I32", int)
I64 = NewType("I64", int)
U32 = NewType("U32", int)
U64 = NewType("U64", int)
F32 = NewType("F32", float)

F32_MAX = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
"""The largest finite f32."""

Numbers: TypeAlias = tuple[Value, ...]
"""A number, or an array of numbers, in the file."""

MAPPING_KEYS = {"copied": ("sync",), "paged": ("frame_bytes", "exclusive"), "aliased": ("frame_bytes", "exclusive")}
"""The keys of a contract that apply to each option for ``ethereum.storageMap``."""

_FORMATS = {"i32": "i", "i64": "q", "u32": "I", "u64": "Q", "f32": "f", "f64": "d"}


@frozen(kw_only=True)
class Content:
    """Bytes of storage under exactly one of the keys. Numbers are little-endian, without gaps."""

    region: str = "memory"
    offset_bytes: Count = Count(0)
    hex: bytes | None = None
    i32: tuple[I32, ...] | None = None
    i64: tuple[I64, ...] | None = None
    u32: tuple[U32, ...] | None = None
    u64: tuple[U64, ...] | None = None
    f32: tuple[F32, ...] | None = None
    f64: tuple[float, ...] | None = None

    @property
    def kinds(self) -> list[str]:
        """Keys for content that the file has here."""
        return [name for name in CONTENT_KINDS if getattr(self, name) is not None]

    @property
    def data(self) -> bytes:
        """The content as bytes."""
        kind = self.kinds[0]
        if kind == "hex":
            return self.hex or b""
        numbers = getattr(self, kind)
        return struct.pack(f"<{len(numbers)}{_FORMATS[kind]}", *numbers)

    def decode(self, data: bytes) -> Numbers | bytes:
        """Decode other bytes in the format of this content."""
        kind = self.kinds[0]
        if kind == "hex":
            return data
        return tuple(number for (number,) in struct.iter_unpack(f"<{_FORMATS[kind]}", data))


CONTENT_KINDS = ("hex", *_FORMATS)


@frozen(kw_only=True)
class AccountSpec:
    """Account without code: ``[accounts] NAME = {...}``, or the balance alone."""

    address: Address | None = None
    balance: Amount = Amount(0)


@frozen(kw_only=True)
class ContractSpec:
    """Contract that is deployed before the first transaction: ``[contracts.NAME]``.

    Exactly one of ``code``, a path relative to the file, and ``wat``, text, is given. ``links`` maps the names of
    typed imports to contracts or accounts, by name or by address. ``mapping``, ``sync``, ``frame_bytes`` and
    ``exclusive`` are for contracts that call ``ethereum.storageMap``; ``mapping`` fixes the linking option.
    ``link`` fixes it for contracts that import functions of ``methods``.
    A contract with ``own_link`` ignores the linking option of the run.
    """

    code: str | None = None
    wat: str | None = None
    address: Address | None = None
    balance: Amount = Amount(0)
    links: dict[str, str] = field(factory=dict)
    policy: ReentryPolicy | None = None
    mapping: MapOption | None = None
    link: MethodsOption | None = None
    sync: SyncPolicy | None = None
    frame_bytes: FrameBytes | None = None
    exclusive: ExclusivePolicy | None = None
    init: str | None = None
    args: tuple[Value, ...] = ()
    storage: tuple[Content, ...] = ()
    own_link: bool = False

    def option(self, link: str | None) -> str | None:
        """Return the linking option: what the file says, else what the run asks for, or ``None`` if neither does."""
        return self.mapping or self.link or (None if self.own_link else link)

    @property
    def mapping_keys(self) -> list[str]:
        """Keys about mapping that the file has for this contract."""
        keys = dict.fromkeys(("mapping", *(key for option in MAP_OPTIONS for key in MAPPING_KEYS[option])))
        return [key for key in keys if getattr(self, key) is not None]

    def storage_mapping(
        self, link: str | None, sync: SyncPolicy | None, exclusive: ExclusivePolicy | None
    ) -> StorageMapping:
        """Choose how storage is mapped: as the file says, else as the run asks, else by default."""
        option = self._map_option(link)
        settings: dict[str, Any] = {key: getattr(self, key) for key in MAPPING_KEYS[option]}
        if self.takes_sync(link):
            settings["sync"] = sync
        if self.takes_exclusive(link):
            settings["exclusive"] = exclusive
        return StorageMapping(option, **{key: value for key, value in settings.items() if value is not None})

    def takes_sync(self, link: str | None) -> bool:
        """Whether the sync policy of a run under a linking option applies to this contract, if it maps storage."""
        return self._map_option(link) == "copied" and self.sync is None

    def takes_exclusive(self, link: str | None) -> bool:
        """Whether the exclusive policy of a run under a linking option applies to this contract, if it maps storage."""
        return self._map_option(link) in FRAME_OPTIONS and self.exclusive is None

    def _map_option(self, link: str | None) -> str:
        return self.mapping or (link if link in MAP_OPTIONS and not self.own_link else MAP_OPTIONS[0])


@frozen(kw_only=True)
class ExpectedStorage(Content):
    """Expected content of a region, its length, or both, after the transaction."""

    contract: str
    pages: Count | None = None
    length_bytes: Count | None = None


@frozen(kw_only=True)
class ExpectedLog:
    """One expected log. Missing keys match anything."""

    contract: str | None = None
    topics: tuple[bytes, ...] | None = None
    data: bytes | None = None


@frozen(kw_only=True)
class Expectation:
    """Expected result of a transaction: ``[transactions.expect]``. Missing keys match anything.

    With ``may_fail`` the transaction may succeed or fail. Without ``ok`` it must succeed, unless ``reverts``, ``error``
    or ``error_kind`` is given.
    ``logs`` are all logs of the transaction, in order. ``storage`` and ``balance`` are the committed state.
    """

    ok: bool | None = None
    may_fail: bool = False
    value: Numbers | None = None
    output: bytes | None = None
    reverts: bool = False
    error: Pattern | None = None
    error_kind: ErrorKind | None = None
    gas_min: Gas | None = None
    gas_max: Gas | None = None
    storage: tuple[ExpectedStorage, ...] = ()
    logs: tuple[ExpectedLog, ...] | None = None
    balance: dict[str, Amount] = field(factory=dict)

    @property
    def says_failure(self) -> bool:
        """Whether a key other than ``ok`` expects a failure."""
        return self.reverts or self.error is not None or self.error_kind is not None

    @property
    def success(self) -> bool:
        """Whether the transaction must succeed."""
        if self.may_fail:
            return False
        return not self.says_failure if self.ok is None else self.ok


@frozen(kw_only=True)
class TransactionSpec:
    """Transaction, or with ``call`` a call that is never committed: ``[[transactions]]``."""

    to: str
    name: str | None = None
    method: str | None = None
    args: tuple[Value, ...] = ()
    data: bytes = b""
    sender: str | None = None
    value: Amount = Amount(0)
    gas: Gas | None = None
    call: bool = False
    expect: Expectation = Expectation()

    @property
    def title(self) -> str:
        """Name of the transaction, or the call that it makes."""
        if self.name is not None:
            return self.name
        if self.method is not None:
            args = ", ".join(map(repr, self.args))
        else:
            args = "0x" + self.data.hex() if self.data else ""
        return f"{self.to}::{self.method or 'main'}({args})"


@frozen(kw_only=True)
class InvariantSpec:
    """Condition that must hold after each transaction: ``[[invariants]]``.

    With ``at``, it must hold within transactions as well. ``callouts`` is as untrusted code takes control,
    ``boundaries`` at the start and the end of every call.
    ``expr`` is in the language of :mod:`storagemod.scenario.expressions`.
    """

    expr: str
    name: str | None = None
    at: Moment = Moment("end")

    @property
    def title(self) -> str:
        """Its name, or else the expression."""
        return self.name if self.name is not None else " ".join(self.expr.split())


@frozen(kw_only=True)
class ExploreSpec:
    """Bounds of `storagemod explore`: ``[explore]``.

    An attacker replaces the code of contracts that are not ``trusted``. By default all contracts are trusted that are
    not ``untrusted``. ``senders`` may send transactions besides attackers. ``entry_points`` are the methods that may
    be called, by contract; by default all.
    """

    trusted: tuple[str, ...] | None = None
    untrusted: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    entry_points: dict[str, tuple[str, ...]] = field(factory=dict)


@frozen(kw_only=True)
class ScenarioSpec:
    """Name and description of the file, and the file that it extends: ``[scenario]``.

    ``extends`` is the path of another scenario, relative to this file: its *base*. Accounts, contracts, invariants and
    keys of ``[explore]`` of the base hold here, unless this file has one of the same name. A contract may replace an
    account, and keeps its address. Transactions of the base run first.

    Attributes:
        base_transactions: How many of the base's transactions run first; by default all.
        base_invariants: The names of the base's invariants that are checked here; by default all.
    """

    name: str | None = None
    description: str = ""
    extends: str | None = None
    base_transactions: Count | None = None
    base_invariants: tuple[str, ...] | None = None


@frozen(kw_only=True)
class Scenario:
    """Whole scenario file, checked.

    Attributes:
        path: The name of the file in messages; ``place`` names the one of each key, which may be one that it extends.
        folder: The folder that paths in the file are relative to.
        file: The file that it was read from; ``None`` for one that was parsed from text.
        lines: The line of each key in the file.
        addresses: The address of every account and contract, by name.
        binaries: What the sources of contracts were compiled to beforehand, by name. Others are compiled as they are
            deployed.
    """

    path: str
    folder: Path
    lines: Lines = field(repr=False)
    name: str
    description: str
    accounts: dict[str, AccountSpec]
    contracts: dict[str, ContractSpec]
    transactions: tuple[TransactionSpec, ...]
    addresses: dict[str, Address]
    invariants: tuple[InvariantSpec, ...] = ()
    explore: ExploreSpec = ExploreSpec()
    binaries: Mapping[str, bytes] = field(factory=dict, repr=False)
    file: Path | None = None

    def place(self, where: TomlPath) -> tuple[str, int | None]:
        """Return the name of the file that has a key of the scenario, and the line there."""
        file, line = self.lines.place(where)
        return file or self.path, line

    def address(self, name: str) -> Address:
        """Return the address of an account or contract, or of hexadecimal text."""
        return self.addresses[name] if name in self.addresses else Address(name)

    def contract_at(self, address: Address) -> str | None:
        """Return the name of the contract that the file deploys at an address; ``None`` if it deploys none there."""
        return next((name for name in self.contracts if self.addresses[name] == address), None)

    def unique_titles(self) -> list[str]:
        """Return a title for each transaction, printable and on one line. A repeated title ends in ``#2`` and so on.

        Titles have no index, so that a new transaction does not change the titles of others.
        """
        seen: Counter[str] = Counter()
        titles = []
        for spec in self.transactions:
            title = one_line(" ".join(spec.title.split()))
            seen[title] += 1
            titles.append(title if seen[title] == 1 else f"{title} #{seen[title]}")
        return titles


def keys_of(table: type) -> list[str]:
    """Return the keys that a table may have."""
    return [attribute.name for attribute in fields(table)]
