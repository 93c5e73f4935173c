"""What a host function needs of the call that runs: a protocol, so that this room knows nothing of execution."""

from __future__ import annotations

from typing import Protocol

from storagemod.types import Address, CallKind, Outcome


class CallMemory(Protocol):
    """The memory that a contract exports as ``memory``. Ranges are checked, and so is whether it may be written."""

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out; a range outside traps."""

    def write(self, offset: int, data: bytes) -> None:
        """Copy bytes in; a range outside traps."""


class HostContext(Protocol):
    """The running call."""

    @property
    def memory(self) -> CallMemory:
        """The contract's exported memory."""

    @property
    def address(self) -> Address:
        """The owner of the storage and balance: ``getAddress``."""

    @property
    def caller(self) -> Address:
        """Who called: ``getCaller``."""

    @property
    def value(self) -> int:
        """The value that came with the call."""

    @property
    def data(self) -> bytes:
        """The call data."""

    @property
    def return_data(self) -> bytes:
        """The output of the last call that this one made."""

    @property
    def gas_left(self) -> int:
        """Gas that this call has left."""

    def use_gas(self, amount: int) -> None:
        """Take gas away; out of gas if there is not as much."""

    def call_account(self, kind: CallKind, gas: int, address: Address, value: int, data: bytes) -> Outcome:
        """Call another account's ``main``, or this one's, with call data; its output becomes ``return_data``."""

    def emit_log(self, topics: tuple[bytes, ...], data: bytes) -> None:
        """Emit a log."""
