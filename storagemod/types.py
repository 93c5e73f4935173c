"""Types that every package uses: addresses, value types, function and memory types, enums, storage mappings."""

from __future__ import annotations

import enum
import re
from typing import Literal, Self, TypeAlias, TypeVar

from attrs import field, frozen

from storagemod.errors import ValidationError, shown

WASM_PAGE_BYTES = 65_536
"""Unit of the length of a linear memory (WebAssembly core specification, 4.2.8)."""

ADDRESS_BYTES = 20

_HEX_ADDRESS = re.compile(r"(?:0[xX])?([0-9a-fA-F]+)")

EnumT = TypeVar("EnumT", bound=enum.StrEnum)

ValueType: TypeAlias = Literal["i32", "i64", "f32", "f64"]
"""Value types of entry points and imports of contracts. Types v128 and references are not allowed there."""

Value: TypeAlias = int | float
"""WebAssembly number. Integers from a contract are signed, as in wasmtime."""


class Address(bytes):
    """20-byte address of an account, made from 20 bytes, an integer, or hexadecimal text with or without ``0x``.

    Raises:
        ValidationError: The value has another type, or does not fit 20 bytes.
    """

    __slots__ = ()

    def __new__(cls, value: bytes | int | str) -> Self:
        """Make an address; integers and short hexadecimal text are padded with zeros on the left."""
        if isinstance(value, Address):
            return super().__new__(cls, value)
        if isinstance(value, bool) or not isinstance(value, bytes | bytearray | int | str):
            raise ValidationError(f"an address is 20 bytes, an integer or hexadecimal text, not {shown(value)}")
        try:
            if isinstance(value, int):
                raw = value.to_bytes(ADDRESS_BYTES, "big")
            elif isinstance(value, str):
                found = _HEX_ADDRESS.fullmatch(value)  # int() takes blanks, signs and digits of other scripts as well
                raw = b"" if found is None else int(found[1], 16).to_bytes(ADDRESS_BYTES, "big")
            else:
                raw = bytes(value)
        except (ValueError, OverflowError):
            raw = b""
        if len(raw) != ADDRESS_BYTES:
            raise ValidationError(f"{shown(value)} is not an address: an address is {ADDRESS_BYTES} bytes")
        return super().__new__(cls, raw)

    def __str__(self) -> str:
        return "0x" + self.hex()

    def __repr__(self) -> str:
        return f"Address('{self}')"


ZERO_ADDRESS = Address(0)


@frozen
class FunctionType:
    """Parameters and results of a function. Its text is WAT."""

    params: tuple[ValueType, ...] = ()
    results: tuple[ValueType, ...] = ()

    def __str__(self) -> str:
        parts = ["func"]
        if self.params:
            parts.append(f"(param {' '.join(self.params)})")
        if self.results:
            parts.append(f"(result {' '.join(self.results)})")
        return f"({' '.join(parts)})"


@frozen
class MemoryType:
    """Limits of a linear memory in its own pages, the width of its addresses, and the length of a page.

    A page has 65,536 bytes, or one (the proposal "custom page sizes").
    """

    pages_min: int
    pages_max: int | None = None
    is_64: bool = False
    page_bytes: int = WASM_PAGE_BYTES

    def __str__(self) -> str:
        limits = str(self.pages_min) if self.pages_max is None else f"{self.pages_min} {self.pages_max}"
        size = "" if self.page_bytes == WASM_PAGE_BYTES else f" (pagesize {self.page_bytes})"
        return f"(memory {'i64 ' if self.is_64 else ''}{limits}{size})"

    @property
    def bytes_min(self) -> int:
        """The least length, in bytes."""
        return self.pages_min * self.page_bytes

    @property
    def unit(self) -> str:
        """What its length is counted in, for messages."""
        return "Wasm pages" if self.page_bytes == WASM_PAGE_BYTES else "bytes"


def most_pages(wasm_pages: int, memory: MemoryType) -> int:
    """Return how many pages of its type a memory may have that is to have so many Wasm pages at most.

    A memory of 32-bit addresses and pages of one byte has one Wasm page less than 4 GiB: its length has to be a number
    of 32 bits, and wasmtime refuses the last bytes.
    """
    pages = wasm_pages * (WASM_PAGE_BYTES // memory.page_bytes)
    if memory.page_bytes != WASM_PAGE_BYTES and not memory.is_64:
        pages = min(pages, 2**32 - WASM_PAGE_BYTES)
    return pages


def parse_enum(kind: type[EnumT], value: str, what: str) -> EnumT:
    """Convert a value to an enum member.

    Args:
        kind: The enum.
        value: A member, or its text.
        what: The name of the enum in the error message.

    Raises:
        ValidationError: The value is not a member.
    """
    try:
        return kind(value)
    except ValueError as error:
        raise ValidationError(f"there is no {what} {shown(value)}", hint=f"there are: {', '.join(kind)}") from error


class CallKind(enum.StrEnum):
    """Kind of a call, named as in the Ethereum Environment Interface."""

    CALL = "call"
    STATIC = "callStatic"
    DELEGATE = "callDelegate"
    """Runs foreign code on the caller's storage, with the caller's own caller and value."""
    CODE = "callCode"
    """Runs foreign code on the caller's storage, called by the caller, with a value that is not transferred."""
    CREATE = "create"
    """Runs init code on the storage of a new contract, and returns the contract's code."""

    @property
    def borrows(self) -> bool:
        """Whether foreign code runs on the caller's storage, so that no other contract is entered."""
        return self is CallKind.DELEGATE or self is CallKind.CODE


class ValidationMode(enum.StrEnum):
    """Rules that a contract must satisfy."""

    RELAXED = "relaxed"
    """Any module whose imports are offered."""
    EWASM = "ewasm"
    """The Ewasm Contract Interface: exports ``main`` and ``memory`` only, imports from ``ethereum`` only."""


class ReentryPolicy(enum.StrEnum):
    """Callers that may call a contract that is already active in the running transaction."""

    ALLOW = "allow"
    """Anyone."""
    DENY = "deny"
    """No one."""
    SELF_ONLY = "self-only"
    """The contract itself, directly."""
    STATIC_ONLY = "static-only"
    """Anyone, in a static call."""


class Outcome(enum.IntEnum):
    """How a call ended, with the numbers that ``ethereum.call`` and ``method?`` imports return."""

    OK = 0
    FAILED = 1
    REVERTED = 2


class SyncPolicy(enum.StrEnum):
    """When copies and storage are synchronized under the linking option `copied`."""

    CALL = "call"
    """At each call that the copying call makes, and at its end: re-entrant calls see what was written."""
    END = "end"
    """At the end of the call: changes are copied back. Re-entrant calls read stale bytes."""
    NONE = "none"
    """At the end of the call: all bytes are copied back, changed or not."""
    REVISION = "revision"
    """At the end of the call, as under ``end``. A call fails that would copy back a range whose revision is newer than
    its copy: no update is lost. The revision of a range is its bytes; no counter has to be undone."""


class CallMode(enum.StrEnum):
    """Who stands between a contract and one that it calls through a typed import."""

    MEDIATED = "mediated"
    """The host: it sees each call, can trace it, and can undo it alone."""
    DIRECT = "direct"
    """Nobody, while all goes well: wasm calls wasm. A transaction for which that is not enough is undone and run again
    mediated, so that both modes give the same receipts."""


class ExclusivePolicy(enum.StrEnum):
    """Whether several pages of memory may stand for one frame of storage, under the options that have frames."""

    NONE = "none"
    """Any pages of any calls may."""
    CALL = "call"
    """One page of each call. A call that maps the frame a second time fails."""
    TRANSACTION = "transaction"
    """One page of all calls that have not ended: a re-entrancy lock by frame. A call fails that maps a frame which a
    call above it holds."""


METHODS_OPTIONS = ("methods", "single", "regions")
"""Linking options of a contract that imports functions of `methods`. Under the last two, instructions replace calls."""

MAP_OPTIONS = ("copied", "paged", "aliased")
"""Linking options that implement ``ethereum.storageMap``."""

FRAME_OPTIONS = ("paged", "aliased")
"""Those of them that map storage in frames."""

_FRAME_BYTES_MAX = 65_536
_MACHINE_PAGE_BYTES = 4_096


def _sync_policy(value: SyncPolicy | str) -> SyncPolicy:
    return parse_enum(SyncPolicy, value, "sync policy")


def _exclusive_policy(value: ExclusivePolicy | str | bool) -> ExclusivePolicy:
    if isinstance(value, bool):  # as it was spelled before there was a third policy, in stored worlds for instance
        return ExclusivePolicy.CALL if value else ExclusivePolicy.NONE
    return parse_enum(ExclusivePolicy, value, "exclusive policy")


def _is_frame_length(_instance: object, _attribute: object, value: object) -> None:
    if not isinstance(value, int) or not 8 <= value <= _FRAME_BYTES_MAX or value & (value - 1):  # noqa: PLR2004
        raise ValidationError(f"a frame is a power of two of bytes from 8 to {_FRAME_BYTES_MAX:,}, not {shown(value)}")


def _is_map_option(_instance: object, _attribute: object, value: object) -> None:
    if value not in MAP_OPTIONS:
        hint = "a contract that imports storage.window maps there, and needs no setting" if value == "window" else None
        raise ValidationError(f"storage is mapped by one of {', '.join(MAP_OPTIONS)}, not {shown(value)}", hint=hint)


@frozen
class StorageMapping:
    """Settings of ``ethereum.storageMap`` for a contract.

    Attributes:
        option: The linking option.
        sync: When copies and storage are synchronized, for ``copied``.
        frame_bytes: The length of frames and pages, for ``paged`` and ``aliased``: a power of two, 65,536 at most.
            Frames of ``aliased`` are pages of the machine, so they have at least 4,096 bytes.
        exclusive: Which second page for a frame is refused, for ``paged`` and ``aliased``. ``True`` is ``call``, and
            ``False`` is ``none``.

    Raises:
        ValidationError: A value is not allowed.
    """

    option: str = field(default="copied", validator=_is_map_option)
    sync: SyncPolicy = field(default=SyncPolicy.CALL, converter=_sync_policy)
    frame_bytes: int = field(default=4_096, validator=_is_frame_length, kw_only=True)
    exclusive: ExclusivePolicy = field(default=ExclusivePolicy.NONE, converter=_exclusive_policy, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Check that frames of ``aliased`` are whole pages of the machine."""
        if self.option == "aliased" and self.frame_bytes < _MACHINE_PAGE_BYTES:
            raise ValidationError(
                f"under aliased a frame is {_MACHINE_PAGE_BYTES:,} bytes at least, not {self.frame_bytes:,}: "
                "frames are pages of the machine"
            )

    def __str__(self) -> str:
        if self.option == "copied":
            return f"copied, sync {self.sync}"
        exclusive = "" if self.exclusive is ExclusivePolicy.NONE else f", exclusive {self.exclusive}"
        return f"{self.option}, frames of {self.frame_bytes:,} bytes{exclusive}"
