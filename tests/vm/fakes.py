"""A running call without execution: what host functions are given, and what they did with it."""

from __future__ import annotations

from typing import NoReturn

from attrs import Factory, define, field

from storagemod.block import Block
from storagemod.errors import OutOfGasError, TrapError
from storagemod.types import Address, CallKind, Outcome
from storagemod.vm import FUNCTIONS, GasSchedule

PAGE = 65_536

HERE = Address(0xA)
CALLER = Address(0xC)


@define
class FakeMemory:
    """A memory of one Wasm page that keeps count of the copies out of it and into it."""

    data: bytearray = Factory(lambda: bytearray(PAGE))
    reads: list[tuple[int, int]] = Factory(list)
    writes: list[tuple[int, bytes | memoryview]] = Factory(list)

    def read(self, offset: int, length: int) -> bytes:
        self._check(offset, length)
        self.reads.append((offset, length))
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, data: bytes | memoryview) -> None:
        self._check(offset, len(data))
        self.writes.append((offset, data))
        self.data[offset : offset + len(data)] = data

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or offset + length > len(self.data):
            raise TrapError("outside memory", code="memory_out_of_bounds")


class Destroyed(Exception):
    """The call ended by `selfDestruct`."""


@define
class FakeContext:
    """Every property is what its name says; what is done to the world is listed in `done`."""

    memory: FakeMemory = Factory(FakeMemory)
    address: Address = HERE
    caller: Address = CALLER
    origin: Address = CALLER
    value: int = 0
    data: bytes = b""
    code: bytes = b""
    return_data: bytes = b""
    block: Block = Factory(Block)
    gas_price: int = 0
    schedule: GasSchedule = Factory(GasSchedule)
    static: bool = False
    gas_left: int = 10**9
    codes: dict[Address, bytes] = Factory(dict)
    balances: dict[Address, int] = Factory(dict)
    outcome: Outcome = Outcome.OK
    created: Address | None = None
    done: list[tuple[object, ...]] = field(factory=list)

    def use_gas(self, amount: int) -> None:
        if amount > self.gas_left:
            raise OutOfGasError("out of gas")
        self.gas_left -= amount

    def account_code(self, address: Address) -> bytes:
        return self.codes.get(address, b"")

    def account_is_empty(self, address: Address) -> bool:
        return not (self.account_code(address) or self.account_balance(address))

    def account_balance(self, address: Address) -> int:
        return self.balances.get(address, 0)

    def call_account(self, kind: CallKind, gas: int, address: Address, value: int, data: bytes) -> Outcome:
        self.done.append((kind, gas, address, value, data))
        return self.outcome

    def create_account(self, value: int, code: bytes) -> tuple[Outcome, Address | None]:
        self.done.append(("create", value, code))
        return self.outcome, self.created

    def self_destruct(self, beneficiary: Address) -> NoReturn:
        self.done.append(("selfDestruct", beneficiary))
        raise Destroyed

    def emit_log(self, topics: tuple[bytes, ...], data: bytes) -> None:
        self.done.append((topics, data))

    def debug(self, text: str) -> None:
        self.done.append((text,))


def do(context: FakeContext, name: str, *args: int) -> object:
    """Call a method as wasm does."""
    return FUNCTIONS[name].host.body(context, *args)
