"""Accounts: what an address has besides its storage, and the address of a new one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from attrs import field, frozen, validators
from Crypto.Hash import keccak

from storagemod.pages import DIGEST_BYTES
from storagemod.types import ADDRESS_BYTES, Address, ReentryPolicy, StorageMapping

BALANCE_MAX = 2**256 - 1
"""Values and balances have 256 bits, as on Ethereum. The Ethereum Environment Interface tells 128 of them."""

NONCE_MAX = 2**63 - 1
"""The largest integer that the catalogue's database can hold."""

_SHORT_BALANCE_BITS = 128

_KeyT = TypeVar("_KeyT")

_no_links: Mapping[str, Address] = MappingProxyType({})


@frozen(slots=False)  # a dictionary of fields is copied several times faster than slots
class Account:
    """One account between transactions. An address that was never used has the default one.

    Attributes:
        nonce: Number of transactions sent and contracts deployed from here.
        balance: In the smallest unit of value.
        code: The contract as a Wasm binary, empty for an account without one.
        name: Label for traces and errors, or ``None``.
        links: The addresses that its ``contract:NAME`` imports are bound to.
        policy: Who may call it while it is active.
        mapping: How ``ethereum.storageMap`` is carried out for it, or ``None`` where it does not call that.
        link: The linking option that it runs under in place of ``methods``, which its imports ask for: ``single`` or
            ``regions``.
    """

    nonce: int = field(default=0, validator=[validators.ge(0), validators.le(NONCE_MAX)])
    balance: int = field(default=0, validator=[validators.ge(0), validators.le(BALANCE_MAX)])
    code: bytes = field(default=b"", repr=lambda code: f"<{len(code)} bytes>")
    name: str | None = None
    links: Mapping[str, Address] = field(default=_no_links, hash=False)
    policy: ReentryPolicy = ReentryPolicy.ALLOW
    mapping: StorageMapping | None = None
    link: str | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields, as copies and pickles take them: links as a dictionary."""
        return {**self.__dict__, "links": dict(self.links)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over fields; links cannot be changed."""
        self.__dict__.update(state, links=MappingProxyType(state["links"]))

    def with_changes(self, nonce: int | None = None, balance: int | None = None) -> Account:
        """Return a copy with another nonce or balance. Ten times faster than ``attrs.evolve``.

        Raises:
            ValueError: A value is out of range.
        """
        copy: Account = _allocate(Account)
        values = copy.__dict__
        values.update(self.__dict__)
        if nonce is not None:
            if not 0 <= nonce <= NONCE_MAX:
                raise ValueError(f"a nonce must be between 0 and {NONCE_MAX:,}, got {nonce:,}")
            values["nonce"] = nonce
        if balance is not None:
            if not 0 <= balance <= BALANCE_MAX:
                raise ValueError(f"a balance must be between 0 and {BALANCE_MAX:,}, got {balance:,}")
            values["balance"] = balance
        return copy


_allocate = object.__new__

NO_ACCOUNT = Account()


class AccountIndex:
    """Accounts by name and by link. Updating it costs something only where a name or links change."""

    def __init__(self) -> None:
        self._labels: dict[Address, str] = {}
        self._snapshot: Mapping[Address, str] | None = None
        self._named: dict[str, set[Address]] = {}
        self._importers: dict[Address, set[Address]] = {}

    def update(self, address: Address, old: Account, new: Account) -> None:
        """Replace an account. Idempotent, so that an interrupted update can be repeated or reversed."""
        if old.name != new.name:
            self._snapshot = None
            if old.name:
                self._labels.pop(address, None)
                _discard(self._named, old.name, address)
            if new.name:
                self._labels[address] = new.name
                self._named.setdefault(new.name, set()).add(address)
            self._snapshot = None
        if old.links is not new.links and old.links != new.links:
            for target in old.links.values():
                _discard(self._importers, target, address)
            for target in new.links.values():
                self._importers.setdefault(target, set()).add(address)

    @property
    def labels(self) -> Mapping[Address, str]:
        """The names of the accounts that have one. The mapping never changes; a new name makes a new one."""
        if self._snapshot is None:
            self._snapshot = MappingProxyType(self._labels.copy())
        return self._snapshot

    def is_name_taken(self, name: str) -> bool:
        """Whether an account has this name."""
        return name in self._named

    def linked_to(self, address: Address) -> list[Address]:
        """Return the accounts whose imports are bound to an address, in order."""
        return sorted(self._importers.get(address, ()))


def _discard(sets: dict[_KeyT, set[Address]], key: _KeyT, address: Address) -> None:
    members = sets.get(key, set())
    members.discard(address)
    if not members:
        sets.pop(key, None)


class AccountJournal:
    """Accounts as the running transaction sees them, over the committed ones.

    Memory: one account for each that changed, once more for each open checkpoint since which it changed.
    """

    def __init__(self, committed: Mapping[Address, Account]) -> None:
        self._committed = committed
        self._latest: dict[Address, Account] = {}
        self._checkpoints: list[dict[Address, Account]] = []

    def __getitem__(self, address: Address) -> Account:
        account = self._latest.get(address)
        return account if account is not None else self._committed.get(address, NO_ACCOUNT)

    def __setitem__(self, address: Address, account: Account) -> None:
        if self._checkpoints:
            self._checkpoints[-1].setdefault(address, self[address])
        self._latest[address] = account

    def checkpoint(self) -> None:
        """Begin a checkpoint. Checkpoints nest, and the newest is ended first."""
        self._checkpoints.append({})

    def commit(self) -> None:
        """End the newest checkpoint, and keep what changed since."""
        newest = self._checkpoints.pop()
        if self._checkpoints:
            for address, account in newest.items():
                self._checkpoints[-1].setdefault(address, account)

    def discard(self) -> None:
        """End the newest checkpoint, and bring accounts back to it."""
        self._latest.update(self._checkpoints.pop())

    def changes(self) -> dict[Address, tuple[Account, Account]]:
        """Return every account that differs from the committed one: before and after."""
        pairs = ((address, self._committed.get(address, NO_ACCOUNT), new) for address, new in self._latest.items())
        return {address: (old, new) for address, old, new in pairs if old != new}


def account_digest(account: Account, regions: Mapping[str, bytes]) -> bytes:
    """Return the digest of one account: nonce, balance, and the name and root of each region that is not empty.

    Code, links, name and policy are left out on purpose: one contract has different code under each linking option,
    and the root is there to show that its state is the same (design/0005).
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES, person=b"storagemod acct")
    if account.balance.bit_length() <= _SHORT_BALANCE_BITS:
        digest.update(account.nonce.to_bytes(8, "little") + account.balance.to_bytes(16, "little"))
    else:  # told apart by the highest bit of the nonce, which no nonce has
        digest.update((account.nonce | 1 << 63).to_bytes(8, "little") + account.balance.to_bytes(32, "little"))
    for region, root in sorted(regions.items()):
        name = region.encode()
        digest.update(len(name).to_bytes(8, "little") + name + root)
    return digest.digest()


_RLP_SINGLE_MAX = 0x7F
_RLP_STRING, _RLP_LIST = 0x80, 0xC0
_KECCAK_BITS = 256


def created_address(creator: Address, nonce: int) -> Address:
    """Return the address of the contract that an account creates with a nonce.

    It is the end of Keccak-256 over both, in RLP. Source: Ethereum Yellow Paper (Shanghai), equation 86 (section 7),
    and appendix B, "Recursive Length Prefix".
    """
    digits = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    items = _rlp(creator) + _rlp(digits)
    digest = keccak.new(digest_bits=_KECCAK_BITS, data=bytes([_RLP_LIST + len(items)]) + items).digest()
    return Address(digest[-ADDRESS_BYTES:])


def _rlp(data: bytes) -> bytes:
    """Encode 55 bytes at most."""
    return data if len(data) == 1 and data[0] <= _RLP_SINGLE_MAX else bytes([_RLP_STRING + len(data)]) + data
