"""The namespaces ``ethereum`` and ``debug``: what contracts may call of the host, by name, with their types.

The methods are those of the Ethereum Environment Interface. ``storageLoad``, ``storageStore`` and ``storageMap`` belong
to linking options; all others are here. Each takes its price first (:mod:`storagemod.vm.schedule`). Their first
argument is the running call.

Offsets and lengths are unsigned i32 into the memory that the contract exports as ``memory``; addresses are 20 bytes;
u128 and u256 are little-endian; gas is i64. A range that leaves the memory traps, at 2**32 too: nothing wraps.
Sources: ewasm/design, ``eth_interface.md``; for ``debug``, ``contract_interface.md``, "Debug-mode".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from attrs import frozen

from storagemod.errors import RevertError, TrapError
from storagemod.types import ADDRESS_BYTES, Address, CallKind, FunctionType, Outcome, ValueType
from storagemod.wasm import HostFunction

if TYPE_CHECKING:
    from storagemod.vm.frame import Frame

NAMESPACE = "ethereum"
DEBUG_NAMESPACE = "debug"
"""What contracts under development print. A world offers it on request. Printing changes and costs nothing."""

ALIASES = {"return": "finish", "returnDataSize": "getReturnDataSize", "getBalance": "getExternalBalance"}
"""Names of earlier drafts of the interface that contracts use, with their present names."""


# Reading arguments

U128_BYTES = 16
U128_MAX = 2**128 - 1
U256_BYTES = 32


def u32(value: int) -> int:
    """An i32 as contracts mean it where it is an offset or a length: unsigned."""
    return value & 0xFFFF_FFFF


def u64(value: int) -> int:
    """An i64 as contracts mean it where it is gas or a block's number: unsigned.

    So negative gas is more than there ever is, and no negative block is known.
    """
    return value & 0xFFFF_FFFF_FFFF_FFFF


def read_address(frame: Frame, offset: int) -> Address:
    """The address at an offset."""
    return Address(frame.memory.read(u32(offset), ADDRESS_BYTES))


def read_u128(frame: Frame, offset: int) -> int:
    """The number at an offset."""
    return int.from_bytes(frame.memory.read(u32(offset), U128_BYTES), "little")


def write_u128(frame: Frame, offset: int, value: int) -> None:
    """Put a number at an offset.

    Raises:
        TrapError: It has more than 128 bits: balances have 256, and the interface tells 128 of them.
    """
    if value > U128_MAX:
        raise TrapError(f"expected a number of 128 bits, got one of {value.bit_length()}", code="number_too_large")
    frame.memory.write(u32(offset), value.to_bytes(U128_BYTES, "little"))


# What a contract asks about its call, its transaction, the block and accounts; and gas

_HASH_BYTES = 32


def use_gas(frame: Frame, amount: int) -> None:
    """Take gas away; the method itself is free, or contracts could not be metered by it."""
    frame.use_gas(u64(amount))


def get_gas_left(frame: Frame) -> int:
    """Gas that is left, this question paid."""
    frame.use_gas(frame.schedule.base)
    return frame.gas_left


def get_address(frame: Frame, result_offset: int) -> None:
    """The account whose storage and balance the call runs on."""
    frame.use_gas(frame.schedule.base)
    frame.memory.write(u32(result_offset), frame.address)


def get_caller(frame: Frame, result_offset: int) -> None:
    """The account that made the call; in a delegate call, its caller's caller."""
    frame.use_gas(frame.schedule.base)
    frame.memory.write(u32(result_offset), frame.caller)


def get_call_value(frame: Frame, result_offset: int) -> None:
    """The value that came with the call, u128; in a delegate call, its caller's."""
    frame.use_gas(frame.schedule.base)
    write_u128(frame, result_offset, frame.value)


def get_tx_origin(frame: Frame, result_offset: int) -> None:
    """The account that sent the transaction."""
    frame.use_gas(frame.schedule.base)
    frame.memory.write(u32(result_offset), frame.origin)


def get_tx_gas_price(frame: Frame, result_offset: int) -> None:
    """The price of gas that the transaction named, u128."""
    frame.use_gas(frame.schedule.base)
    write_u128(frame, result_offset, frame.gas_price)


def get_external_balance(frame: Frame, address_offset: int, result_offset: int) -> None:
    """The balance of any account, u128; zero where there is none."""
    frame.use_gas(frame.schedule.external_balance)
    write_u128(frame, result_offset, frame.account_balance(read_address(frame, address_offset)))


def get_block_number(frame: Frame) -> int:
    """The number of the block."""
    frame.use_gas(frame.schedule.base)
    return frame.block.number


def get_block_timestamp(frame: Frame) -> int:
    """The time of the block, in seconds since 1970."""
    frame.use_gas(frame.schedule.base)
    return frame.block.timestamp


def get_block_gas_limit(frame: Frame) -> int:
    """The gas that all transactions of the block may use."""
    frame.use_gas(frame.schedule.base)
    return frame.block.gas_limit


def get_block_coinbase(frame: Frame, result_offset: int) -> None:
    """The account that earns what the block pays."""
    frame.use_gas(frame.schedule.base)
    frame.memory.write(u32(result_offset), frame.block.coinbase)


def get_block_difficulty(frame: Frame, result_offset: int) -> None:
    """The difficulty of the block, u256."""
    frame.use_gas(frame.schedule.base)
    frame.memory.write(u32(result_offset), frame.block.difficulty.to_bytes(U256_BYTES, "little"))


def get_block_hash(frame: Frame, number: int, result_offset: int) -> int:
    """The hash of one of the 256 blocks before this one: 0, or 1 and nothing written where it is not known.

    The range for the result is checked in either case, as the interface wants.
    """
    frame.use_gas(frame.schedule.block_hash)
    frame.memory.read(u32(result_offset), _HASH_BYTES)  # traps if it leaves the memory
    found = frame.block.hash_of(u64(number))
    if found is None:
        return 1
    frame.memory.write(u32(result_offset), found)
    return 0


# Bytes: call data, return data, code, output and logs

TOPIC_BYTES = 32
TOPICS_MAX = 4

_SHOWN_BYTES = 32
"""So much of what a contract reverted with is told in the message."""


class Finished(Exception):  # noqa: N818 - it is not an error: a contract ends its call well with some output
    """A contract ended its own call. Only execution catches it."""

    def __init__(self, output: bytes) -> None:
        super().__init__("the contract finished")
        self.output = output


def _copy(frame: Frame, source: bytes, what: str, *, to: int, start: int, length: int) -> None:
    """Copy a part of some data into memory, which is the only copy made of it.

    Raises:
        TrapError: The part leaves the data, or memory.
    """
    start, stop = u32(start), u32(start) + u32(length)
    if stop > len(source):
        raise TrapError(
            f"bytes [{start}, {stop}) lie outside the {what}, which is {len(source)} bytes long",
            code="data_out_of_bounds",
        )
    frame.memory.write(u32(to), memoryview(source)[start:stop])


def call_data_copy(frame: Frame, result_offset: int, data_offset: int, length: int) -> None:
    """Copy call data into memory."""
    schedule = frame.schedule
    frame.use_gas(schedule.copy + schedule.copying(u32(length)))
    _copy(frame, frame.data, "call data", to=result_offset, start=data_offset, length=length)


def return_data_copy(frame: Frame, result_offset: int, data_offset: int, length: int) -> None:
    """Copy the output of the last call into memory."""
    schedule = frame.schedule
    frame.use_gas(schedule.copy + schedule.copying(u32(length)))
    _copy(frame, frame.return_data, "return data", to=result_offset, start=data_offset, length=length)


def code_copy(frame: Frame, result_offset: int, code_offset: int, length: int) -> None:
    """Copy the running code into memory."""
    schedule = frame.schedule
    frame.use_gas(schedule.copy + schedule.copying(u32(length)))
    _copy(frame, frame.code, "code", to=result_offset, start=code_offset, length=length)


def external_code_copy(frame: Frame, address_offset: int, result_offset: int, code_offset: int, length: int) -> None:
    """Copy the code of any account into memory."""
    schedule = frame.schedule
    frame.use_gas(schedule.external_code + schedule.copying(u32(length)))
    address = read_address(frame, address_offset)
    _copy(frame, frame.account_code(address), f"code of {address}", to=result_offset, start=code_offset, length=length)


def get_call_data_size(frame: Frame) -> int:
    """The length of the call data."""
    frame.use_gas(frame.schedule.base)
    return len(frame.data)


def get_return_data_size(frame: Frame) -> int:
    """The length of the output of the last call."""
    frame.use_gas(frame.schedule.base)
    return len(frame.return_data)


def get_code_size(frame: Frame) -> int:
    """The length of the running code."""
    frame.use_gas(frame.schedule.base)
    return len(frame.code)


def get_external_code_size(frame: Frame, address_offset: int) -> int:
    """The length of the code of any account; 0 where there is none."""
    frame.use_gas(frame.schedule.external_code)
    return len(frame.account_code(read_address(frame, address_offset)))


def finish(frame: Frame, data_offset: int, length: int) -> NoReturn:
    """End the call well, with output."""
    raise Finished(frame.memory.read(u32(data_offset), u32(length)))


def revert(frame: Frame, data_offset: int, length: int) -> NoReturn:
    """Have the call undone, with output."""
    output = frame.memory.read(u32(data_offset), u32(length))
    shown = f" with 0x{output[:_SHOWN_BYTES].hex()}{'…' if len(output) > _SHOWN_BYTES else ''}" if output else ""
    raise RevertError(f"reverted{shown}", output=output)


def log(frame: Frame, data_offset: int, length: int, topic_count: int, *topic_offsets: int) -> None:
    """Emit a log. Only as many topics are read as are named."""
    if not 0 <= topic_count <= TOPICS_MAX:
        raise TrapError(f"a log has 0 to {TOPICS_MAX} topics, not {u32(topic_count)}", code="log_topics")
    schedule = frame.schedule
    frame.use_gas(schedule.log + schedule.log_topic * topic_count + schedule.log_byte * u32(length))
    data = frame.memory.read(u32(data_offset), u32(length))
    topics = tuple(frame.memory.read(u32(offset), TOPIC_BYTES) for offset in topic_offsets[:topic_count])
    frame.emit_log(topics, data)


# Calls of other accounts, new accounts, and the end of one


def _pay_for_value(frame: Frame, price: int) -> int:
    """Take the price of sending a value; give the part of it that the callee may use, the stipend.

    That part is not taken: it stays, to be handed to the callee beyond what the caller names for it.
    """
    stipend = frame.schedule.call_stipend
    if price > frame.gas_left:
        frame.use_gas(price)  # out of gas
    frame.use_gas(price - stipend)
    return stipend


def calling_with_value(kind: CallKind) -> Callable[[Frame, int, int, int, int, int], Outcome]:
    """The method that makes calls of a kind that carries a value."""

    def call(
        frame: Frame, gas: int, address_offset: int, value_offset: int, data_offset: int, data_length: int
    ) -> Outcome:
        schedule = frame.schedule
        frame.use_gas(schedule.call)
        address = read_address(frame, address_offset)
        value = read_u128(frame, value_offset)
        data = frame.memory.read(u32(data_offset), u32(data_length))
        stipend = 0
        if value:
            to_new = kind is CallKind.CALL and frame.account_is_empty(address)
            stipend = _pay_for_value(frame, schedule.call_value + (schedule.new_account if to_new else 0))
        return frame.call_account(kind, u64(gas) + stipend, address, value, data)

    return call


def calling_without_value(kind: CallKind) -> Callable[[Frame, int, int, int, int], Outcome]:
    """The method that makes calls of a kind that carries no value, or its caller's."""

    def call(frame: Frame, gas: int, address_offset: int, data_offset: int, data_length: int) -> Outcome:
        frame.use_gas(frame.schedule.call)
        address = read_address(frame, address_offset)
        data = frame.memory.read(u32(data_offset), u32(data_length))
        return frame.call_account(kind, u64(gas), address, 0, data)

    return call


def create(frame: Frame, value_offset: int, data_offset: int, length: int, result_offset: int) -> Outcome:
    """Make an account from init code; its address is written if that ended well, and only then its range is checked."""
    frame.use_gas(frame.schedule.create)
    value = read_u128(frame, value_offset)
    code = frame.memory.read(u32(data_offset), u32(length))
    outcome, address = frame.create_account(value, code)
    if address is not None:
        frame.memory.write(u32(result_offset), address)
    return outcome


def self_destruct(frame: Frame, address_offset: int) -> NoReturn:
    """Give the balance away and end; the account is removed when the transaction ends."""
    schedule = frame.schedule
    frame.use_gas(schedule.self_destruct)
    beneficiary = read_address(frame, address_offset)
    if frame.account_balance(frame.address) and frame.account_is_empty(beneficiary):
        frame.use_gas(schedule.new_account)
    frame.self_destruct(beneficiary)


# What contracts print

_PRINTED_BYTES = 1_024
"""So many bytes of memory are shown at most."""

_PRINTABLE = bytes(byte if 0x20 <= byte < 0x7F else ord(".") for byte in range(256))  # noqa: PLR2004 - ASCII


def as_characters(data: bytes) -> str:
    """Bytes as ASCII, with a point for each that is no printable character."""
    return data.translate(_PRINTABLE).decode("ascii")


def as_hex(data: bytes) -> str:
    """Bytes as hexadecimal digits."""
    return f"0x{data.hex()}"


def print_32(frame: Frame, value: int) -> None:
    """Print a number of 32 bits, as a signed one and in hexadecimal."""
    frame.debug(f"{value} (0x{u32(value):x})")


def print_64(frame: Frame, value: int) -> None:
    """Print a number of 64 bits, as a signed one and in hexadecimal."""
    frame.debug(f"{value} (0x{u64(value):x})")


def print_mem(frame: Frame, offset: int, length: int) -> None:
    """Print bytes of memory as characters."""
    data, rest = _shown(frame, offset, length)
    frame.debug(as_characters(data) + rest)


def print_mem_hex(frame: Frame, offset: int, length: int) -> None:
    """Print bytes of memory in hexadecimal."""
    data, rest = _shown(frame, offset, length)
    frame.debug(as_hex(data) + rest)


def _shown(frame: Frame, offset: int, length: int) -> tuple[bytes, str]:
    """The bytes to print, and words for those that are too many."""
    data = frame.memory.read(u32(offset), u32(length))
    more = len(data) - _PRINTED_BYTES
    return data[:_PRINTED_BYTES], f"… and {more:,} more bytes" if more > 0 else ""


# The tables


@frozen(eq=False)
class EthereumFunction:
    """One method of the interface, and whether its caller has to export a memory."""

    host: HostFunction
    needs_memory: bool


_I32: ValueType = "i32"
_I64: ValueType = "i64"

_GET_I32 = FunctionType((), (_I32,))
_GET_I64 = FunctionType((), (_I64,))
_TO_MEMORY = FunctionType((_I32,))
_OUTPUT = FunctionType((_I32, _I32))
_COPY = FunctionType((_I32, _I32, _I32))
_CALL = FunctionType((_I64, _I32, _I32, _I32, _I32), (_I32,))
_CALL_WITHOUT_VALUE = FunctionType((_I64, _I32, _I32, _I32), (_I32,))

_Row = tuple[str, FunctionType, Callable[..., object]]

_USE_MEMORY: tuple[_Row, ...] = (
    ("getAddress", _TO_MEMORY, get_address),
    ("getCaller", _TO_MEMORY, get_caller),
    ("getCallValue", _TO_MEMORY, get_call_value),
    ("getTxOrigin", _TO_MEMORY, get_tx_origin),
    ("getTxGasPrice", _TO_MEMORY, get_tx_gas_price),
    ("getExternalBalance", FunctionType((_I32, _I32)), get_external_balance),
    ("getBlockCoinbase", _TO_MEMORY, get_block_coinbase),
    ("getBlockDifficulty", _TO_MEMORY, get_block_difficulty),
    ("getBlockHash", FunctionType((_I64, _I32), (_I32,)), get_block_hash),
    ("callDataCopy", _COPY, call_data_copy),
    ("returnDataCopy", _COPY, return_data_copy),
    ("codeCopy", _COPY, code_copy),
    ("externalCodeCopy", FunctionType((_I32,) * 4), external_code_copy),
    ("getExternalCodeSize", FunctionType((_I32,), (_I32,)), get_external_code_size),
    ("finish", _OUTPUT, finish),
    ("revert", _OUTPUT, revert),
    ("log", FunctionType((_I32,) * 7), log),
    ("call", _CALL, calling_with_value(CallKind.CALL)),
    ("callCode", _CALL, calling_with_value(CallKind.CODE)),
    ("callDelegate", _CALL_WITHOUT_VALUE, calling_without_value(CallKind.DELEGATE)),
    ("callStatic", _CALL_WITHOUT_VALUE, calling_without_value(CallKind.STATIC)),
    ("create", FunctionType((_I32,) * 4, (_I32,)), create),
    ("selfDestruct", FunctionType((_I32,)), self_destruct),
)

_USE_NO_MEMORY: tuple[_Row, ...] = (
    ("useGas", FunctionType((_I64,)), use_gas),
    ("getGasLeft", _GET_I64, get_gas_left),
    ("getCallDataSize", _GET_I32, get_call_data_size),
    ("getReturnDataSize", _GET_I32, get_return_data_size),
    ("getCodeSize", _GET_I32, get_code_size),
    ("getBlockNumber", _GET_I64, get_block_number),
    ("getBlockTimestamp", _GET_I64, get_block_timestamp),
    ("getBlockGasLimit", _GET_I64, get_block_gas_limit),
)


def _functions(
    namespace: str, use_memory: tuple[_Row, ...], use_no_memory: tuple[_Row, ...]
) -> dict[str, EthereumFunction]:
    return {
        name: EthereumFunction(HostFunction(namespace, name, function_type, body), needs_memory)
        for rows, needs_memory in ((use_memory, True), (use_no_memory, False))
        for name, function_type, body in rows
    }


def _with_aliases(functions: dict[str, EthereumFunction]) -> dict[str, EthereumFunction]:
    for alias, name in ALIASES.items():
        known = functions[name]
        function = HostFunction(NAMESPACE, alias, known.host.type, known.host.body)
        functions[alias] = EthereumFunction(function, known.needs_memory)
    return functions


FUNCTIONS = _with_aliases(_functions(NAMESPACE, _USE_MEMORY, _USE_NO_MEMORY))
"""The methods that a contract may import from ``ethereum``, by name."""

DEBUG_FUNCTIONS = _functions(
    DEBUG_NAMESPACE,
    (
        ("printMem", FunctionType((_I32, _I32)), print_mem),
        ("printMemHex", FunctionType((_I32, _I32)), print_mem_hex),
    ),
    (
        ("print32", FunctionType((_I32,)), print_32),
        ("print64", FunctionType((_I64,)), print_64),
    ),
)
"""What a contract may import from ``debug``, by name, where that is offered."""
