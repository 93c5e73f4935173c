"""A transaction as a user asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from storagemod.errors import ValidationError
from storagemod.execution import Message
from storagemod.limits import DEFAULT_GAS, GAS_MAX, Limits
from storagemod.linking import MAIN
from storagemod.state import BALANCE_MAX, NO_ACCOUNT, Account
from storagemod.types import Address, CallKind, Value
from storagemod.world.arguments import to_values
from storagemod.world.deployment import contract_of


@frozen
class Request:
    """What :meth:`storagemod.World.transact` was given; nothing of it is checked yet."""

    to: Address = field(converter=Address)
    sender: Address = field(converter=Address)
    method: str | None = None
    args: Sequence[object] = ()
    data: bytes = b""
    value: int = 0
    gas: int = DEFAULT_GAS

    def message(self, accounts: Mapping[Address, Account], limits: Limits) -> Message:
        """The top-level call that is asked for.

        Raises:
            ValidationError: There is no such method, the arguments are wrong, or the sender cannot pay.
        """
        check_amount("value", self.value, BALANCE_MAX)
        check_amount("gas", self.gas, GAS_MAX)
        if not isinstance(self.data, bytes | bytearray):
            raise ValidationError(f"call data is bytes, not {self.data!r}")
        sender = accounts.get(self.sender, NO_ACCOUNT)
        if self.value > sender.balance:
            raise ValidationError(
                f"{sender.name or self.sender} has a balance of {sender.balance:,} and cannot pay {self.value:,}"
            )
        return Message(
            kind=CallKind.CALL,
            address=self.to,
            code_address=self.to,
            caller=self.sender,
            value=self.value,
            gas=self.gas,
            static=False,
            method=self.method,
            args=self._values(accounts.get(self.to, NO_ACCOUNT), limits),
            data=bytes(self.data),
        )

    def _values(self, account: Account, limits: Limits) -> tuple[Value, ...]:
        """The arguments, as the entry point takes them."""
        if self.method is not None and self.data:
            raise ValidationError("a transaction has a method or call data, not both")
        if self.method is None and self.args:
            raise ValidationError("arguments are given, but no method to call with them")
        label = account.name or str(self.to)
        contract = contract_of(account, limits)
        if contract is None:
            if self.method is not None:
                raise ValidationError(f"there is no contract at {label} to call {self.method!r} of")
            return ()
        method = MAIN if self.method is None else self.method
        try:
            return to_values(method, contract.entry_point(method), self.args)
        except ValidationError as error:
            error.at(label)
            raise


def check_amount(what: str, amount: object, maximum: int) -> None:
    """See that an amount is one.

    Raises:
        ValidationError: It is no integer, or not from 0 to ``maximum``.
    """
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount <= maximum:
        raise ValidationError(f"{what} is an integer from 0 to {maximum:,}, not {amount!r}")
