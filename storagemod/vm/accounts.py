"""Accounts as the running call sees them, and what calls do to them: pay, create, destroy. All of it can be undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from storagemod.errors import BalanceError, LimitError, ValidationError
from storagemod.pages import RegionDiff, UndoLog, erased
from storagemod.state import BALANCE_MAX, NO_ACCOUNT, NONCE_MAX, Account, ChangeSet, PageStore
from storagemod.types import Address

CREATED_NONCE = 1
"""The nonce of a contract when its init code begins (EIP-161), so that an address is never used twice."""


class Accounts:
    """The accounts of one transaction, over the committed ones.

    Args:
        state: The committed accounts.
        log: Where what undoes a change goes.
        label: What to call an address in errors.

    Attributes:
        destroyed: The accounts that go when the transaction ends, in the order in which they were destroyed.
    """

    def __init__(self, state: PageStore, log: UndoLog, label: Callable[[Address], str]) -> None:
        self._state = state
        self._committed: Mapping[Address, Account] = state.accounts
        self._log = log
        self._label = label
        self._latest: dict[Address, Account] = {}
        self.destroyed: list[Address] = []

    def restart(self) -> None:
        """Begin anew with the committed accounts."""
        self._latest.clear()
        self.destroyed.clear()

    def __getitem__(self, address: Address) -> Account:
        account = self._latest.get(address)
        return account if account is not None else self._committed.get(address, NO_ACCOUNT)

    def __setitem__(self, address: Address, account: Account) -> None:
        self._log.append((self._latest.__setitem__, address, self[address]))
        self._latest[address] = account

    def pay(self, payer: Address, payee: Address, value: int) -> None:
        """Move a value.

        Raises:
            BalanceError: The payer does not have it, or the payee would hold too much.
        """
        self.check_can_pay(payer, value)
        account = self[payer]
        self[payer] = account.with_changes(balance=account.balance - value)
        self._credit(payee, value)

    def check_can_pay(self, payer: Address, value: int) -> None:
        """Check that an account has a value.

        Raises:
            BalanceError: It does not.
        """
        balance = self[payer].balance
        if balance < value:
            raise BalanceError(f"{self._label(payer)} has a balance of {balance:,} and cannot pay {value:,}")

    def _credit(self, payee: Address, value: int) -> None:
        account = self[payee]
        if account.balance + value > BALANCE_MAX:
            raise BalanceError(f"{self._label(payee)} would hold more than a balance can be")
        self[payee] = account.with_changes(balance=account.balance + value)

    def check_nonce(self, creator: Address) -> None:
        """Check that the nonce of an account that is to create a contract can go up.

        Raises:
            LimitError: It is as high as it can be.
        """
        if self[creator].nonce >= NONCE_MAX:
            raise LimitError(f"the nonce of {self._label(creator)} is as high as it can be, {NONCE_MAX:,}")

    def bump_nonce(self, address: Address) -> None:
        """Count a transaction that an account sends, or a contract that it creates."""
        account = self._latest.get(address) or self._committed.get(address, NO_ACCOUNT)
        self._log.append((self._latest.__setitem__, address, account))
        self._latest[address] = account.with_changes(account.nonce + 1)

    def create(self, address: Address) -> None:
        """Begin a new contract where there may be a balance, and nothing else.

        Raises:
            ValidationError: Something was there already.
        """
        account = self[address]
        if account.code or account.nonce or self._state.region_names(address):
            raise ValidationError(f"a contract cannot be created at {address}: the address is in use already")
        self[address] = account.with_changes(nonce=CREATED_NONCE)

    def destroy(self, address: Address, beneficiary: Address) -> int:
        """Give all that an account has to another one, and destroy it when the transaction ends; return what it had.

        What it gives to itself is gone at once, as on Ethereum; what it gets later goes with it.

        Raises:
            BalanceError: The beneficiary would hold too much.
        """
        account = self[address]
        self[address] = account.with_changes(balance=0)
        if beneficiary != address:
            self._credit(beneficiary, account.balance)
        if address not in self.destroyed:
            self.destroyed.append(address)
            self._log.append((self.destroyed.pop,))
        return account.balance

    def set_code(self, address: Address, **changes: object) -> None:
        """Give a new account its code and what belongs to it."""
        self[address] = attrs.evolve(self[address], **changes)  # type: ignore[arg-type] # fields of an account

    def changes(self, written: dict[tuple[Address, str], RegionDiff]) -> ChangeSet:
        """Return what the transaction commits, given what it wrote in storage. Destroyed accounts and storage go."""
        committed = self._committed
        accounts = {}
        for address, new in self._latest.items():
            old = committed.get(address, NO_ACCOUNT)
            if old is not new and (old.nonce != new.nonce or old != new):
                accounts[address] = (old, new)
        if not self.destroyed:
            return ChangeSet(accounts, written)
        regions = {key: each for key, each in written.items() if key[0] not in self.destroyed}
        for address in self.destroyed:
            accounts.pop(address, None)
            standing = committed.get(address, NO_ACCOUNT)
            if standing != NO_ACCOUNT:
                accounts[address] = (standing, NO_ACCOUNT)
            for name in self._state.region_names(address):
                regions[address, name] = erased(self._state.image(address, name))
        return ChangeSet(accounts, regions)
