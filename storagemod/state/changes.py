"""What is committed at once."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from storagemod.pages import WriteSet
from storagemod.state.account import Account
from storagemod.types import Address


@frozen
class ChangeSet:
    """All that one transaction commits: accounts and regions, each before and after."""

    accounts: Mapping[Address, tuple[Account, Account]] = field(factory=dict)
    regions: Mapping[tuple[Address, str], WriteSet] = field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self.accounts) or any(self.regions.values())

    def inverted(self) -> ChangeSet:
        """The change that takes this one back."""
        return ChangeSet(
            {address: (new, old) for address, (old, new) in self.accounts.items()},
            {key: written.inverted() for key, written in self.regions.items()},
        )

    def merged(self, *later: ChangeSet) -> ChangeSet:
        """This change and later ones as one; what ends as it began drops out. Costs the sum of their sizes."""
        accounts = dict(self.accounts)
        regions = {key: [written] for key, written in self.regions.items()}
        for changes in later:
            for address, (between, account) in changes.accounts.items():
                old, _ = accounts.get(address, (between, between))
                accounts[address] = (old, account)
            for key, written in changes.regions.items():
                regions.setdefault(key, []).append(written)
        merged = {key: first.merged(*others) for key, (first, *others) in regions.items()}
        return ChangeSet(
            {address: (old, new) for address, (old, new) in accounts.items() if old != new},
            {key: written for key, written in merged.items() if written},
        )
