"""A limit on everything that a contract could grow without end."""

from __future__ import annotations

import attrs
from attrs import field, frozen

from storagemod.errors import ValidationError, shown


def _limit(default: int, *, at_most: int | None = None) -> int:
    def check(_limits: Limits, attribute: attrs.Attribute[int], value: object) -> None:
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or value < 1
            or (at_most is not None and value > at_most)
        ):
            bounds = "of 1 or more" if at_most is None else f"from 1 to {at_most:,}"
            raise ValidationError(f"{attribute.name} must be an integer {bounds}, got {shown(value)}")

    value: int = field(default=default, validator=check, kw_only=True)
    return value


def _is_time(_limits: Limits, attribute: attrs.Attribute[float], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValidationError(f"{attribute.name} must be a number of seconds above 0, got {shown(value)}")


@frozen(cache_hash=True)
class Limits:
    """The limits of one world. Reaching one fails the call or the transaction with a ``LimitError``, never the process.

    All are counts unless the name says otherwise. Limits that are checked when a contract is deployed come first.

    Raises:
        ValidationError: A limit is not an integer of 1 or more, or is above the most that it can be.
    """

    source_bytes_max: int = _limit(8 << 20)
    """Length of a contract in the text format."""
    code_bytes_max: int = _limit(1 << 20)
    """Length of a contract in the binary format."""
    created_code_bytes_max: int = _limit(1 << 20)
    """Length of the code that an init code gives, where that is to be shorter; Ethereum has 24,576 (EIP-170)."""
    compile_cost_max: int = _limit(3_000_000)
    """Work that it may be to compile a contract, estimated from its binary, since nothing interrupts a compilation. A
    unit is about a microsecond at most, or 250 bytes of memory. Ordinary code costs two to four a byte."""
    created_compile_cost_max: int = _limit(12_000_000)
    """The same for all code that one transaction creates, init code included, whether it was compiled before or not."""
    imports_max: int = _limit(1_000)
    """Imports of one contract."""
    exports_max: int = _limit(1_000)
    """Exports of one contract."""
    regions_max: int = _limit(16)
    """Regions of one contract's storage."""
    storage_pages_max: int = _limit(1_024, at_most=65_536)
    """Length of one region of storage, in Wasm pages: 64 MiB by default, 4 GiB at most, whatever its address width."""
    memories_max: int = _limit(16)
    """Working memories of one contract."""
    memory_pages_max: int = _limit(1_024, at_most=65_536)
    """Length of one working memory, in Wasm pages: 64 MiB by default, 4 GiB at most."""
    working_pages_max: int = _limit(16_384)
    """Wasm pages of working memory that the calls of a transaction that have not ended have together (1 GiB by
    default), grown ones included. Tables count by the bytes of their elements, and those that code can change count to
    the end of the transaction."""
    table_elements_max: int = _limit(100_000)
    """Elements that the tables of functions of one contract have from the start, and those of one that grows."""
    call_depth_max: int = _limit(1_024)
    """Calls inside one another, the top-level call counted."""
    calls_max: int = _limit(8_000)
    """Calls in one transaction. Each has a fresh instance, and its address space is given back at the end only."""
    memories_per_transaction_max: int = _limit(10_000)
    """Linear memories in one transaction. A process has address space for about 32,000, and 65,530 mappings."""
    data_bytes_max: int = _limit(1 << 20)
    """Call data or output of one call, in bytes."""
    payload_bytes_max: int = _limit(256 << 20)
    """Call data, init code and output of all calls of one transaction together, undone ones counted, in bytes. They
    cost next to no gas, and traces and errors keep them."""
    logs_max: int = _limit(10_000)
    """Logs of one transaction."""
    log_bytes_max: int = _limit(1 << 16)
    """Data of one log, in bytes."""
    trace_events_max: int = _limit(100_000)
    """Events that the trace of one transaction keeps; later ones are counted and dropped."""
    trace_bytes_max: int = _limit(256 << 20)
    """Pages, data, output and logs that the trace of one transaction keeps, in bytes; later events are counted and
    dropped."""
    changed_pages_max: int = _limit(1 << 18)
    """Pages of 4 KiB that differ from committed storage at one time in one transaction (1 GiB by default)."""
    deadline_seconds: float = field(default=10.0, validator=_is_time, kw_only=True)
    """Wall-clock time of one transaction."""


GAS_MAX = 2**63 - 1
"""The most gas that a transaction can be given: gas is an i64 in the Ethereum Environment Interface."""

DEFAULT_GAS = 100_000_000
"""The gas of a transaction for which none is named: about a second of wasm on one core."""
