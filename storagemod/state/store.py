"""Committed state: the protocol, and the implementation that keeps it in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from attrs import field, frozen

from storagemod.pages import DIGEST_BYTES, NO_IMAGE, Image, MemoryImage, RegionDigest, WritableImage, WriteSet
from storagemod.state.account import NO_ACCOUNT, Account
from storagemod.types import Address


@frozen
class ChangeSet:
    """All that one transaction commits: accounts and regions, each before and after."""

    accounts: Mapping[Address, tuple[Account, Account]] = field(factory=dict)
    regions: Mapping[tuple[Address, str], WriteSet] = field(factory=dict)

    def inverted(self) -> ChangeSet:
        """The change that takes this one back."""
        return ChangeSet(
            {address: (new, old) for address, (old, new) in self.accounts.items()},
            {key: written.inverted() for key, written in self.regions.items()},
        )


class PageStore(Protocol):
    """Where committed accounts and images are kept. A commit is taken whole or not at all."""

    @property
    def accounts(self) -> Mapping[Address, Account]:
        """Every account that is not the default one; a live, read-only view."""

    def image(self, address: Address, region: str) -> Image:
        """A region's committed bytes; of length 0 where there is none. Good until the next commit."""

    def commit(self, changes: ChangeSet) -> None:
        """Take a change in."""

    def state_root(self) -> bytes:
        """The digest of all accounts and storage, 32 bytes."""


class MemoryPageStore:
    """A page store in memory: dictionaries of accounts and of sparse images."""

    def __init__(self, new_image: Callable[[], WritableImage] = MemoryImage) -> None:
        self._new_image = new_image
        self._accounts: dict[Address, Account] = {}
        self._images: dict[Address, dict[str, WritableImage]] = {}
        self._digests: dict[tuple[Address, str], RegionDigest] = {}

    @property
    def accounts(self) -> Mapping[Address, Account]:
        """Every account that is not the default one; a live, read-only view."""
        return MappingProxyType(self._accounts)

    def image(self, address: Address, region: str) -> Image:
        """A region's committed bytes; of length 0 where there is none. Good until the next commit."""
        return self._images.get(address, {}).get(region) or NO_IMAGE

    def commit(self, changes: ChangeSet) -> None:
        """Take a change in."""
        for address, (_, new) in changes.accounts.items():
            if new == NO_ACCOUNT:
                self._accounts.pop(address, None)
            else:
                self._accounts[address] = new
        for (address, region), written in changes.regions.items():
            images = self._images.setdefault(address, {})
            image = images.get(region)
            if image is None:
                image = images[region] = self._new_image()
            image.replace(written.pages_new, {number: new for number, (_, new) in written.pages.items()})
            digest = self._digests.setdefault((address, region), RegionDigest())
            digest.invalidate(set(written.pages))

    def state_root(self) -> bytes:
        """The digest of all accounts and storage, 32 bytes: see :func:`account_digest`."""
        root = hashlib.blake2b(digest_size=DIGEST_BYTES, person=b"storagemod state")
        for address in sorted(self._accounts.keys() | self._images.keys()):
            account = self._accounts.get(address, NO_ACCOUNT)
            regions = {
                region: self._digests[address, region].digest(image)
                for region, image in sorted(self._images.get(address, {}).items())
                if image.wasm_pages
            }
            if account != NO_ACCOUNT or regions:
                root.update(address + account_digest(account, regions))
        return root.digest()


def account_digest(account: Account, regions: Mapping[str, bytes]) -> bytes:
    """The digest of one account: nonce, balance, and the name and digest of each region that is not empty.

    Code, links, name and policy are left out on purpose: one contract has different code under each linking option,
    and the root is there to show that its state is the same (design/0005).
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES, person=b"storagemod acct")
    digest.update(account.nonce.to_bytes(8, "little") + account.balance.to_bytes(16, "little"))
    for region, of_region in sorted(regions.items()):
        name = region.encode()
        digest.update(len(name).to_bytes(8, "little") + name + of_region)
    return digest.digest()
