"""Accounts: what an address has besides its storage."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen, validators

from storagemod.types import Address, ReentryPolicy, StorageMapping

BALANCE_MAX = 2**128 - 1
"""Values and balances are u128 (Ethereum Environment Interface)."""

NONCE_MAX = 2**63 - 1
"""What a database's integers hold, and more than anyone can count to."""

_no_links: Mapping[str, Address] = MappingProxyType({})


@frozen
class Account:
    """One account between transactions. An address that nothing was done to has the default one.

    Attributes:
        nonce: Transactions sent and contracts deployed from here.
        balance: In the smallest unit of value.
        code: The contract as a Wasm binary, empty for an account without one.
        name: What to call it in traces and errors, or ``None``.
        links: The addresses that its ``contract:NAME`` imports are bound to.
        policy: Who may call it while it is active.
        mapping: How ``ethereum.storageMap`` is carried out for it, or ``None`` where it does not call that.
    """

    nonce: int = field(default=0, validator=[validators.ge(0), validators.le(NONCE_MAX)])
    balance: int = field(default=0, validator=[validators.ge(0), validators.le(BALANCE_MAX)])
    code: bytes = field(default=b"", repr=lambda code: f"<{len(code)} bytes>")
    name: str | None = None
    links: Mapping[str, Address] = field(default=_no_links, hash=False)
    policy: ReentryPolicy = ReentryPolicy.ALLOW
    mapping: StorageMapping | None = None

    def with_changes(self, nonce=None, balance=None):
        import attrs
        ch={}
        if nonce is not None: ch["nonce"]=nonce
        if balance is not None: ch["balance"]=balance
        return attrs.evolve(self, **ch)

NO_ACCOUNT = Account()
