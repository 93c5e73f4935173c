"""One contract activation: what host functions and imports see as the running call."""

from __future__ import annotations

from typing import Protocol

from storagemod.errors import LinkError, OutOfGasError, TrapError
from storagemod.execution.message import Answer, Message
from storagemod.host import CallMemory
from storagemod.linking import MEMORY_EXPORT, Contract, ContractImport, LiveStorage, Mappings, Rights
from storagemod.state import AccountJournal
from storagemod.types import Address, CallKind, FunctionType, Outcome, Value
from storagemod.wasm import Instance, Store

_ZEROS: dict[str, Value] = {"i32": 0, "i64": 0, "f32": 0.0, "f64": 0.0}


class Transaction(Protocol):
    """What a call needs of the transaction that it is part of."""

    @property
    def store(self) -> Store:
        """Where it runs, and its fuel."""

    @property
    def accounts(self) -> AccountJournal:
        """Accounts as the running call sees them."""

    def call(self, message: Message, expected: FunctionType | None = None) -> Answer:
        """Make a call, nested in the running one."""

    def emit_log(self, call: Call, topics: tuple[bytes, ...], data: bytes) -> None:
        """Take a log of the running call."""

    def new_mappings(self, call: Call) -> Mappings:
        """The mappings of a call that makes its first one."""

    def storage_mapped(self, call: Call, memory_offset: int, storage_offset: int, length: int) -> None:
        """Tell that a call mapped storage."""


class Call:
    """A call while it runs. It serves the protocols that host functions and linking ask for.

    Attributes:
        call_id: Its number in the transaction, 0 for the top-level call.
        depth: 1 for the top-level call.
        static: Whether it may change nothing: it, or a call above it, is a static call.
        gas: What it was given.
        entered: Whether any of its code may have run.
    """

    def __init__(self, transaction: Transaction, message: Message, call_id: int, parent: Call | None) -> None:
        self._transaction = transaction
        self.message = message
        self.call_id = call_id
        self.parent = parent
        self.depth: int = 1 if parent is None else parent.depth + 1
        self.static = message.static
        self.gas = 0
        self.entered = False
        self.return_data = b""
        self.storage: LiveStorage | None = None
        self.rights = Rights(writing=not message.static, enforced=False)
        self.instance: Instance | None = None
        self._memory: CallMemory | None = None
        self._mappings: Mappings | None = None

    @property
    def address(self) -> Address:
        """The owner of the storage and balance."""
        return self.message.address

    @property
    def caller(self) -> Address:
        """Who called."""
        return self.message.caller

    @property
    def value(self) -> int:
        """The value that came with the call."""
        return self.message.value

    @property
    def data(self) -> bytes:
        """The call data."""
        return self.message.data

    @property
    def memory(self) -> CallMemory:
        """The contract's exported memory; where that is storage, rules 5 and 6 are kept."""
        if self._memory is None:
            assert self.instance is not None  # noqa: S101 - host functions run in an instance
            memory = self.instance.memory(MEMORY_EXPORT)
            assert memory is not None  # noqa: S101 - a contract whose host functions need it exports it
            region = self.storage.region_at(memory.base) if self.storage is not None else None
            self._memory = memory if region is None else self.storage_memory(region)
        return self._memory

    def use_storage(self, storage: LiveStorage, code: Contract) -> None:
        """Run this code on this storage from now on."""
        self.storage = storage
        self.rights = Rights(writing=not self.static, enforced=storage.can_enforce(code))
        self.resume()

    def map_storage(self, memory_offset: int, storage_offset: int, length: int) -> None:
        """Make storage appear in this call's memory."""
        if self._mappings is None:
            self._mappings = self._transaction.new_mappings(self)
        self._mappings.map(memory_offset, storage_offset, length)
        self._transaction.storage_mapped(self, memory_offset, storage_offset, length)

    def suspend(self) -> None:
        """See to it, before this call makes another, that storage has what it wrote."""
        if self._mappings is not None:
            self._mappings.suspend()

    def resume(self) -> None:
        """See to it, when this call is to run or to run on, that it has its rights and no others, and sees storage."""
        if self.storage is not None:
            self.storage.allow(self.rights)
        if self._mappings is not None:
            self._mappings.resume()

    def end(self) -> None:
        """See to it, when this call ended well, that storage has what it wrote."""
        if self._mappings is not None:
            self._mappings.end()

    def storage_memory(self, region: str) -> CallMemory:
        """A region of the storage that the call runs on."""
        assert self.storage is not None  # noqa: S101 - the contract imports storage
        return self.storage.guarded(region, self.rights)

    @property
    def gas_left(self) -> int:
        """Gas that this call has left."""
        return self._transaction.store.fuel

    def use_gas(self, amount: int) -> None:
        """Take gas away.

        Raises:
            OutOfGasError: There is not as much.
        """
        left = self._transaction.store.fuel
        if amount > left:
            raise OutOfGasError(f"out of gas: useGas asked for {amount:,} and {left:,} are left")
        self._transaction.store.fuel = left - amount

    def call_account(self, kind: CallKind, gas: int, address: Address, value: int, data: bytes) -> Outcome:
        """Call an account's code with call data; its output becomes ``return_data``."""
        if value and self.static:
            raise TrapError("a static call sent value", code="static_write")
        delegate = kind is CallKind.DELEGATE
        answer = self._transaction.call(
            Message(
                kind=kind,
                address=self.address if delegate else address,
                code_address=address,
                caller=self.caller if delegate else self.address,
                value=self.value if delegate else value,
                gas=gas,
                static=self.static or kind is CallKind.STATIC,
                data=data,
            )
        )
        self.return_data = answer.output
        return answer.outcome

    def call_linked(self, callee: ContractImport, args: tuple[Value, ...]) -> tuple[Value, ...]:
        """Call the contract that a link of the running code is bound to."""
        address = self._transaction.accounts[self.message.code_address].links.get(callee.link)
        if address is None:  # deployment binds every link
            raise LinkError(f'"contract:{callee.link}" is not linked to an address')
        answer = self._transaction.call(
            Message(
                kind=CallKind.CALL,
                address=address,
                code_address=address,
                caller=self.address,
                value=0,
                gas=self.gas_left,
                static=self.static,
                method=callee.method,
                args=args,
            ),
            callee.type,
        )
        self.return_data = answer.output
        if answer.outcome is Outcome.OK:
            values = answer.values
        elif callee.catches:
            values = tuple(_ZEROS[value_type] for value_type in callee.type.results)
        else:
            raise _failed_callee(callee, answer)
        return (int(answer.outcome), *values) if callee.catches else values

    def emit_log(self, topics: tuple[bytes, ...], data: bytes) -> None:
        """Emit a log."""
        self._transaction.emit_log(self, topics, data)


def _failed_callee(callee: ContractImport, answer: Answer) -> TrapError:
    """What a typed call without ``?`` does to its caller when the callee fails.

    The message tells where it began to fail, 1,024 calls down perhaps, and not what lies between: those are the causes.
    """
    origin: BaseException | None = answer.error
    while isinstance(origin, TrapError) and origin.code == "callee_failed":
        origin = origin.cause
    return TrapError(
        f'the call of "{callee.method}" of "contract:{callee.link}" did not end well: {origin}',
        code="callee_failed",
        cause=answer.error,
        hint=f'import "{callee.method}?" to go on after a failure',
    )
