"""The ``ethereum`` namespace: the part of the Ethereum Environment Interface that calls, data and logs need.

Source: ewasm/design, ``eth_interface.md``. Offsets and lengths are unsigned i32 into the memory that the contract
exports as ``memory``; addresses are 20 bytes; values are u128, little-endian; gas is i64. A range outside memory or
outside the data that is copied traps.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from storagemod.errors import RevertError, TrapError
from storagemod.host.context import HostContext
from storagemod.types import ADDRESS_BYTES, Address, CallKind, FunctionType, ValueType
from storagemod.wasm import HostFunction

NAMESPACE = "ethereum"

VALUE_BYTES = 16
TOPIC_BYTES = 32
TOPICS_MAX = 4


class Finished(Exception):  # noqa: N818 - it is not an error: a contract ends its call well with some output
    """A contract ended its own call. Only execution catches it."""

    def __init__(self, output: bytes) -> None:
        super().__init__("the contract finished")
        self.output = output


@frozen(eq=False)
class EthereumFunction:
    """One method of the interface, and whether its caller has to export a memory."""

    host: HostFunction
    needs_memory: bool


def u32(value: int) -> int:
    """An i32 as contracts mean it where it is an offset or a length: unsigned."""
    return value & 0xFFFF_FFFF


def _read_address(context: HostContext, offset: int) -> Address:
    return Address(context.memory.read(u32(offset), ADDRESS_BYTES))


def _gas(gas: int) -> int:
    """Gas is an i64; a negative one can only mean more than there ever is."""
    return gas if gas >= 0 else gas + 2**64


def _call(
    context: HostContext, gas: int, address_offset: int, value_offset: int, data_offset: int, data_length: int
) -> int:
    value = int.from_bytes(context.memory.read(u32(value_offset), VALUE_BYTES), "little")
    data = context.memory.read(u32(data_offset), u32(data_length))
    return context.call_account(CallKind.CALL, _gas(gas), _read_address(context, address_offset), value, data)


def _call_without_value(kind: CallKind) -> Callable[[HostContext, int, int, int, int], int]:
    def call(context: HostContext, gas: int, address_offset: int, data_offset: int, data_length: int) -> int:
        data = context.memory.read(u32(data_offset), u32(data_length))
        return context.call_account(kind, _gas(gas), _read_address(context, address_offset), 0, data)

    return call


def _copy(context: HostContext, source: bytes, what: str, result_offset: int, data_offset: int, length: int) -> None:
    start, stop = u32(data_offset), u32(data_offset) + u32(length)
    if stop > len(source):
        raise TrapError(
            f"bytes [{start}, {stop}) lie outside the {what}, which is {len(source)} bytes long",
            code="data_out_of_bounds",
        )
    context.memory.write(u32(result_offset), source[start:stop])


def _call_data_copy(context: HostContext, result_offset: int, data_offset: int, length: int) -> None:
    _copy(context, context.data, "call data", result_offset, data_offset, length)


def _return_data_copy(context: HostContext, result_offset: int, data_offset: int, length: int) -> None:
    _copy(context, context.return_data, "return data", result_offset, data_offset, length)


def _get_call_data_size(context: HostContext) -> int:
    return len(context.data)


def _get_return_data_size(context: HostContext) -> int:
    return len(context.return_data)


def _get_address(context: HostContext, result_offset: int) -> None:
    context.memory.write(u32(result_offset), context.address)


def _get_caller(context: HostContext, result_offset: int) -> None:
    context.memory.write(u32(result_offset), context.caller)


def _get_call_value(context: HostContext, result_offset: int) -> None:
    context.memory.write(u32(result_offset), context.value.to_bytes(VALUE_BYTES, "little"))


def _get_gas_left(context: HostContext) -> int:
    return context.gas_left


def _use_gas(context: HostContext, amount: int) -> None:
    context.use_gas(_gas(amount))


def _finish(context: HostContext, data_offset: int, length: int) -> None:
    raise Finished(context.memory.read(u32(data_offset), u32(length)))


def _revert(context: HostContext, data_offset: int, length: int) -> None:
    output = context.memory.read(u32(data_offset), u32(length))
    shown = f" with 0x{output[:32].hex()}{'…' if len(output) > 32 else ''}" if output else ""  # noqa: PLR2004
    raise RevertError(f"reverted{shown}", output=output)


def _log(context: HostContext, data_offset: int, length: int, topic_count: int, *topic_offsets: int) -> None:
    if not 0 <= topic_count <= TOPICS_MAX:
        raise TrapError(f"a log has 0 to {TOPICS_MAX} topics, not {u32(topic_count)}", code="log_topics")
    data = context.memory.read(u32(data_offset), u32(length))
    topics = tuple(context.memory.read(u32(offset), TOPIC_BYTES) for offset in topic_offsets[:topic_count])
    context.emit_log(topics, data)


def _table() -> dict[str, EthereumFunction]:
    i32: ValueType = "i32"
    i64: ValueType = "i64"
    copy = FunctionType((i32, i32, i32))
    output = FunctionType((i32, i32))
    to_memory = FunctionType((i32,))
    size = FunctionType((), (i32,))
    call_without_value = FunctionType((i64, i32, i32, i32), (i32,))
    rows: list[tuple[str, FunctionType, Callable[..., object], bool]] = [
        ("call", FunctionType((i64, i32, i32, i32, i32), (i32,)), _call, True),
        ("callStatic", call_without_value, _call_without_value(CallKind.STATIC), True),
        ("callDelegate", call_without_value, _call_without_value(CallKind.DELEGATE), True),
        ("callDataCopy", copy, _call_data_copy, True),
        ("getCallDataSize", size, _get_call_data_size, False),
        ("returnDataCopy", copy, _return_data_copy, True),
        ("getReturnDataSize", size, _get_return_data_size, False),
        ("getAddress", to_memory, _get_address, True),
        ("getCaller", to_memory, _get_caller, True),
        ("getCallValue", to_memory, _get_call_value, True),
        ("getGasLeft", FunctionType((), (i64,)), _get_gas_left, False),
        ("useGas", FunctionType((i64,)), _use_gas, False),
        ("finish", output, _finish, True),
        ("revert", output, _revert, True),
        ("log", FunctionType((i32,) * 7), _log, True),
    ]
    return {
        name: EthereumFunction(HostFunction(NAMESPACE, name, function_type, body), needs_memory)
        for name, function_type, body, needs_memory in rows
    }


FUNCTIONS = _table()
"""The methods that a contract may import from ``ethereum``, by name."""
