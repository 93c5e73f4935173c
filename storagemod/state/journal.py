"""What a transaction changed in accounts, and how to take it back. The twin, for accounts, of the journal of pages."""

from __future__ import annotations

from collections.abc import Mapping

from storagemod.state.account import NO_ACCOUNT, Account
from storagemod.types import Address


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
        """Set a mark; marks nest, and the newest is ended first."""
        self._checkpoints.append({})

    def commit(self) -> None:
        """Keep what changed since the newest mark; it belongs to the one before."""
        newest = self._checkpoints.pop()
        if self._checkpoints:
            for address, account in newest.items():
                self._checkpoints[-1].setdefault(address, account)

    def discard(self) -> None:
        """Bring accounts back to the newest mark."""
        self._latest.update(self._checkpoints.pop())

    def changes(self) -> dict[Address, tuple[Account, Account]]:
        """Every account that differs from the committed one: before and after."""
        pairs = ((address, self._committed.get(address, NO_ACCOUNT), new) for address, new in self._latest.items())
        return {address: (old, new) for address, old, new in pairs if old != new}
