"""How numbers and bytes stand in scripts and outputs: little-endian, and bytes behind their number."""

from __future__ import annotations

import io
from typing import Any

import attrs
from attrs import frozen

from storagemod.errors import ValidationError
from storagemod.limits import GAS_MAX

DATA_BYTES_MAX = 1 << 20
"""The most bytes of call data that a puppet reads, and the most of output that it makes."""

OWN_MEMORY_BYTES = 1 << 10
"""Length of the part of a puppet's working memory that scripts may use."""

TOPICS_MAX = 4
TOPIC_BYTES = 32


@frozen
class Integer:
    """An attrs validator for numbers of a fixed width that also writes them, little-endian."""

    width_bytes: int
    low: int
    high: int

    def __call__(self, operation: object, attribute: attrs.Attribute[Any], value: object) -> None:
        """Check an operand.

        Raises:
            ValidationError: It is no integer, or out of range.
        """
        fits = isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high
        require(fits, operation, attribute, f"an integer from {self.low} to {self.high}")

    def encode(self, value: int) -> bytes:
        """The bytes of a number."""
        return value.to_bytes(self.width_bytes, "little", signed=self.low < 0)


U8 = Integer(1, 0, 2**8 - 1)
U32 = Integer(4, 0, 2**32 - 1)
I64 = Integer(8, -(2**63), 2**63 - 1)
U128 = Integer(16, 0, 2**128 - 1)
GAS = Integer(8, 0, GAS_MAX)
OWN_OFFSET = Integer(4, 0, OWN_MEMORY_BYTES - 8)


def require(fits: bool, operation: object, attribute: attrs.Attribute[Any], wanted: str) -> None:
    """The common end of all validators of operands.

    Raises:
        ValidationError: The operand does not fit.
    """
    if not fits:
        value = getattr(operation, attribute.name)
        raise ValidationError(f"{type(operation).__name__}.{attribute.name} is {wanted}, not {value!r}")


def with_length(raw: bytes) -> bytes:
    """Bytes behind their number."""
    return U32.encode(len(raw)) + raw


def take(output: io.BytesIO, length: int) -> bytes:
    """The next bytes of an output.

    Raises:
        ValidationError: There are fewer.
    """
    taken = output.read(length)
    if len(taken) < length:
        raise ValidationError("the output ends before the script does", hint="was it made by this script?")
    return taken


def take_integer(output: io.BytesIO, width_bytes: int, *, signed: bool) -> int:
    """The next number of an output.

    Raises:
        ValidationError: The output ends before.
    """
    return int.from_bytes(take(output, width_bytes), "little", signed=signed)
