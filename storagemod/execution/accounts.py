"""What calls do to accounts besides running their code: pay, create, destroy. All of it is undone with the call."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from attrs import frozen

from storagemod.errors import BalanceError, LimitError, ValidationError
from storagemod.execution.message import Message
from storagemod.pages import RegionDiff, erased
from storagemod.state import (
    BALANCE_MAX,
    NO_ACCOUNT,
    NONCE_MAX,
    Account,
    AccountJournal,
    ChangeSet,
    PageStore,
)
from storagemod.types import Address, CallKind

CREATED_NONCE = 1
"""The nonce of a contract when its init code begins (EIP-161), so that an address is never used twice."""


@frozen
class LedgerMark:
    """How many accounts had been created and destroyed."""

    created: int
    destroyed: int


class Ledger:
    """Payments, creations and destructions of one transaction, over its account journal.

    Attributes:
        created: The contracts that calls made which were not undone, in the order in which they began.
        destroyed: The accounts that go when the transaction ends, in the order in which they were destroyed.
    """

    def __init__(self, state: PageStore, accounts: AccountJournal, label: Callable[[Address], str]) -> None:
        self._state = state
        self._accounts = accounts
        self._label = label
        self.created: list[Address] = []
        self.destroyed: list[Address] = []

    def mark(self) -> LedgerMark:
        """Where to go back to when the call that begins is undone. The account journal has its own checkpoints."""
        return LedgerMark(len(self.created), len(self.destroyed))

    def discard(self, mark: LedgerMark) -> list[Address]:
        """Go back to a mark; give the addresses where there is no new contract any more."""
        gone = self.created[mark.created :]
        del self.created[mark.created :]
        del self.destroyed[mark.destroyed :]
        return gone

    def transfer(self, message: Message) -> None:
        """Move the value that a call carries. That of `callCode` stays where it is, but must be there.

        Raises:
            BalanceError: The caller does not have it, or the callee would hold too much.
        """
        if not message.value or message.kind is CallKind.DELEGATE:
            return
        payer = self.check_can_pay(message)
        if message.kind is CallKind.CODE:
            return
        self._accounts[message.caller] = attrs.evolve(payer, balance=payer.balance - message.value)
        self._pay(message.address, message.value)

    def check_can_pay(self, message: Message) -> Account:
        """The caller, if it has the value that a call carries.

        Raises:
            BalanceError: It does not.
        """
        payer = self._accounts[message.caller]
        if payer.balance < message.value:
            raise BalanceError(
                f"{self._label(message.caller)} has a balance of {payer.balance:,} and cannot pay {message.value:,}"
            )
        return payer

    def check_can_count(self, creator: Address) -> None:
        """See that the nonce of an account that is to create a contract can go up.

        Raises:
            LimitError: It is as high as it can be.
        """
        if self._accounts[creator].nonce >= NONCE_MAX:
            raise LimitError(f"the nonce of {self._label(creator)} is as high as it can be, {NONCE_MAX:,}")

    def count(self, creator: Address) -> None:
        """Count a contract that an account creates. It counts even if that fails: call this again when it is undone."""
        account = self._accounts[creator]
        self._accounts[creator] = attrs.evolve(account, nonce=account.nonce + 1)

    def begin(self, address: Address) -> None:
        """Begin a new contract where there may be a balance, and nothing else.

        Raises:
            ValidationError: Something was there already.
        """
        account = self._accounts[address]
        if account.code or account.nonce or self._state.region_names(address):
            raise ValidationError(f"a contract cannot be created at {address}: the address is in use already")
        self.created.append(address)
        self._accounts[address] = attrs.evolve(account, nonce=CREATED_NONCE)

    def destroy(self, address: Address, beneficiary: Address) -> int:
        """Give all that an account has to another one, and destroy it when the transaction ends; give what it had.

        What it gives to itself is gone at once, as on Ethereum; what it gets later goes with it.

        Raises:
            BalanceError: The beneficiary would hold too much.
        """
        account = self._accounts[address]
        self._accounts[address] = attrs.evolve(account, balance=0)
        if beneficiary != address:
            self._pay(beneficiary, account.balance)
        if address not in self.destroyed:
            self.destroyed.append(address)
        return account.balance

    def changes(self, written: dict[tuple[Address, str], RegionDiff]) -> ChangeSet:
        """What the transaction commits, given what it wrote in storage: destroyed accounts and their storage go."""
        gone = set(self.destroyed)
        accounts = {address: pair for address, pair in self._accounts.changes().items() if address not in gone}
        regions = {key: each for key, each in written.items() if key[0] not in gone}
        for address in self.destroyed:
            standing = self._state.accounts.get(address, NO_ACCOUNT)
            if standing != NO_ACCOUNT:
                accounts[address] = (standing, NO_ACCOUNT)
            for name in self._state.region_names(address):
                regions[address, name] = erased(self._state.image(address, name))
        return ChangeSet(accounts, regions)

    def _pay(self, address: Address, value: int) -> None:
        payee = self._accounts[address]
        if payee.balance + value > BALANCE_MAX:
            raise BalanceError(f"{self._label(address)} would hold more than a balance can be")
        self._accounts[address] = attrs.evolve(payee, balance=payee.balance + value)
