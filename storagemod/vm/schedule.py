"""What host functions cost, on top of the fuel of the instructions around them."""

from __future__ import annotations

from typing import Any, Self

import attrs
from attrs import field, frozen, validators

from storagemod.errors import ValidationError, shown

WORD_BYTES = 32
"""The unit by which copies are priced."""

_PRICE_MAX = 2**31 - 1
"""No price times a length of an i32 leaves an i64."""


def _is_price(_instance: object, attribute: attrs.Attribute[int], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _PRICE_MAX:
        raise ValidationError(f"the price {attribute.name!r} is gas from 0 to {_PRICE_MAX:,}, not {shown(value)}")


def _price(gas: int) -> Any:
    return field(default=gas, validator=_is_price)


@frozen(kw_only=True)
class GasSchedule:
    """Prices of host functions, in gas; one unit of gas is one unit of wasmtime's fuel, about one instruction.

    A method costs what the opcode of Ethereum costs that it stands for (ewasm/design, ``fee_schedule.md``), and opcodes
    cost what they did when the interface was written: appendix G of the Yellow Paper with EIP-150, EIP-160 and EIP-161
    ("Tangerine Whistle", "Spurious Dragon"). ``design/0012-ethereum-interface.md`` has the table by method.

    Raises:
        ValidationError: A price is no integer from 0 to 2**31 - 1.
    """

    base: int = _price(2)
    """Whatever tells one fact about the call, the block or the transaction: ``getAddress``, ``getCaller``,
    ``getCallValue``, ``getCallDataSize``, ``getReturnDataSize``, ``getCodeSize``, ``getGasLeft``, ``getTxOrigin``,
    ``getTxGasPrice``, ``getBlockCoinbase``, ``getBlockDifficulty``, ``getBlockGasLimit``, ``getBlockNumber``,
    ``getBlockTimestamp`` (``W_base``) and ``storageSize``."""
    copy: int = _price(3)
    """``callDataCopy``, ``returnDataCopy`` and ``codeCopy``, and ``copy_in`` and ``copy_out`` of the linking option
    ``methods``, before the bytes (``W_verylow``)."""
    copy_word: int = _price(3)
    """Each 32 bytes, begun or whole, of those, of ``externalCodeCopy`` and of ``storageMap`` (``G_copy``)."""
    external_balance: int = _price(400)
    """``getExternalBalance`` (``G_balance``, EIP-150)."""
    external_code: int = _price(700)
    """``getExternalCodeSize``, and ``externalCodeCopy`` before the bytes (``G_extcode``, EIP-150)."""
    block_hash: int = _price(800)
    """``getBlockHash`` (EIP-210, which the implementations of the interface took: a hash is read from state)."""
    storage_load: int = _price(200)
    """``storageLoad``, ``storageUnmap``, and ``storageMap`` before the bytes (``G_sload``, EIP-150)."""
    storage_store: int = _price(5_000)
    """``storageStore`` (``G_sreset``). Nothing is given back for storing zeros."""
    storage_store_new: int = _price(20_000)
    """``storageStore`` of a value where there were zeros, all in all (``G_sset``)."""
    log: int = _price(375)
    """``log``, before topics and data (``G_log``)."""
    log_topic: int = _price(375)
    """Each topic of a log (``G_logtopic``)."""
    log_byte: int = _price(8)
    """Each byte of a log's data (``G_logdata``)."""
    call: int = _price(700)
    """``call``, ``callCode``, ``callDelegate`` and ``callStatic``, without what callees use (``G_call``, EIP-150)."""
    call_value: int = _price(9_000)
    """A value with ``call`` or ``callCode``, on top (``G_callvalue``)."""
    call_stipend: int = _price(2_300)
    """What the callee of a call with a value may use beyond the gas that the caller names; it is part of
    ``call_value``, and what is left of it comes back (``G_callstipend``)."""
    new_account: int = _price(25_000)
    """A value with ``call``, or a balance with ``selfDestruct``, to an account that has neither code nor balance, on
    top (``G_newaccount``, EIP-161)."""
    create: int = _price(32_000)
    """``create``, without what the init code uses (``G_create``)."""
    create_byte: int = _price(200)
    """Each byte of the code that an init code gives, paid by the creation (``G_codedeposit``)."""
    segment: int = _price(100)
    """Each active segment of the code that a call runs, of data or of elements, which are written before it begins.
    They count as instructions: where those cost nothing, segments cost nothing."""
    segment_word: int = _price(3)
    """Each 32 bytes of all those together, begun or whole; an element has 8 (``G_copy``)."""
    self_destruct: int = _price(5_000)
    """``selfDestruct`` (``G_selfdestruct``, EIP-150). Nothing is given back."""

    metered: bool = field(default=True, validator=validators.instance_of(bool))
    """Whether instructions cost what wasmtime's fuel says, about one each. Without, host functions alone cost gas, as
    for clients that ran the interface without metering (``getGasLeft`` tells the two apart), and a loop without end is
    stopped by ``deadline_seconds`` of the limits alone."""

    def __attrs_post_init__(self) -> None:
        """See that what is part of a price is not more than it."""
        for part, whole in (("call_stipend", "call_value"), ("storage_store", "storage_store_new")):
            if getattr(self, part) > getattr(self, whole):
                raise ValidationError(f"the price {part!r} is part of {whole!r} and cannot be more than it")

    @classmethod
    def free(cls) -> Self:
        """A schedule under which host functions cost nothing."""
        prices: dict[str, Any] = {each.name: 0 for each in attrs.fields(cls) if each.name != "metered"}
        return cls(**prices)

    def copying(self, length: int) -> int:
        """The price of copying so many bytes, without that of the method."""
        return self.copy_word * ((length + WORD_BYTES - 1) // WORD_BYTES)

    def instantiating(self, segments: int, length: int) -> int:
        """The price of an instance whose active segments have so many bytes together."""
        if not self.metered:
            return 0
        return self.segment * segments + self.segment_word * ((length + WORD_BYTES - 1) // WORD_BYTES)
