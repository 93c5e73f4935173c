"""Scripts for the puppet, the fixture that does what its call data says (``wat/puppet/puppet.wat``).

A script is a sequence of operations, and its bytes are call data. The results that operations append are the output of
the call::

    script = Script(Store(0, 7), Call(other, Script(Load(0)), kind=CallKind.STATIC), Load(0))
    receipt = world.transact(puppet, data=bytes(script))
    call, value = decode_output(script, receipt.output)

Offsets and lengths are in bytes, sizes in Wasm pages. Operations work on the storage of the call that runs the script.
Numbers are little-endian; bytes follow their length.
"""

from __future__ import annotations

import io
from typing import Any, ClassVar, TypeAlias, cast

import attrs
from attrs import field, frozen

from storagemod.errors import ValidationError, shown
from storagemod.limits import GAS_MAX
from storagemod.types import ADDRESS_BYTES, Address, CallKind, Outcome

DATA_BYTES_MAX = 1 << 20
"""The most bytes of call data that a puppet reads, and the most of output that it makes."""

OWN_MEMORY_BYTES = 1 << 10
"""Length of the part of a puppet's working memory that scripts may use."""

TOPICS_MAX = 4
TOPIC_BYTES = 32

CALL_KINDS = (CallKind.CALL, CallKind.STATIC, CallKind.DELEGATE)
"""The kinds of call that a puppet can make."""


@frozen
class _Integer:
    """Attrs validator for integers of a fixed width, which encodes them too."""

    width_bytes: int
    low: int
    high: int

    def __call__(self, operation: object, attribute: attrs.Attribute[Any], value: object) -> None:
        """Check an operand.

        Raises:
            ValidationError: The value is not an integer in range.
        """
        fits = isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high
        _require(fits, operation, attribute, f"an integer from {self.low} to {self.high}")

    def encode(self, value: int) -> bytes:
        """Encode a number, little-endian."""
        return value.to_bytes(self.width_bytes, "little", signed=self.low < 0)


_U8 = _Integer(1, 0, 2**8 - 1)
_U32 = _Integer(4, 0, 2**32 - 1)
_I64 = _Integer(8, -(2**63), 2**63 - 1)
_U128 = _Integer(16, 0, 2**128 - 1)
_GAS = _Integer(8, 0, GAS_MAX)
_OWN_OFFSET = _Integer(4, 0, OWN_MEMORY_BYTES - 8)


def _require(fits: bool, operation: object, attribute: attrs.Attribute[Any], wanted: str) -> None:
    """Raise the error of an operand unless it fits.

    Raises:
        ValidationError: The operand does not fit.
    """
    if not fits:
        value = getattr(operation, attribute.name)
        raise ValidationError(f"{type(operation).__name__}.{attribute.name} is {wanted}, not {shown(value)}")


def _with_length(raw: bytes) -> bytes:
    """Prefix bytes with their length."""
    return _U32.encode(len(raw)) + raw


def _take(output: io.BytesIO, length: int) -> bytes:
    """Read the next bytes of an output.

    Raises:
        ValidationError: The output is shorter.
    """
    taken = output.read(length)
    if len(taken) < length:
        raise ValidationError("the output ends before the script does", hint="was it made by this script?")
    return taken


def _take_integer(output: io.BytesIO, width_bytes: int, *, signed: bool) -> int:
    """Read the next number of an output.

    Raises:
        ValidationError: The output is shorter.
    """
    return int.from_bytes(_take(output, width_bytes), "little", signed=signed)


Result: TypeAlias = "int | bytes | CallResult"
"""Result that an operation appends: a number, bytes (an account is an :class:`Address`), or how a call ended."""


@frozen
class Operation:
    """One step of a script: an opcode, and operands in the order of the fields.

    Raises:
        ValidationError: An operand is not in its range.
    """

    opcode: ClassVar[int]
    last: ClassVar[bool] = False
    """Whether the operation ends the call."""

    def __bytes__(self) -> bytes:
        return _U8.encode(self.opcode) + self._operands()

    def _operands(self) -> bytes:
        """Encode the operands. Operations with operands other than integers override this."""
        attributes = attrs.fields(type(self))
        return b"".join(cast("_Integer", each.validator).encode(getattr(self, each.name)) for each in attributes)


@frozen
class Query(Operation):
    """An operation that appends a result to the output."""

    def read(self, output: io.BytesIO) -> Result:
        """Read the result of this operation from an output.

        Raises:
            ValidationError: The output is too short.
        """
        raise NotImplementedError


@frozen(init=False, repr=False)
class Script:
    """Operations that a puppet carries out in order; ``bytes(script)`` is the call data.

    Scripts are equal if their bytes are equal. They are encoded once, when made, so scripts can nest to any depth.
    A script that only nests calls to depth d takes about 50 * d**2 bytes of memory.

    Raises:
        ValidationError: An argument is not an operation, or the script is longer than ``DATA_BYTES_MAX``.
    """

    operations: tuple[Operation, ...] = field(eq=False)
    _encoded: bytes

    def __init__(self, *operations: Operation) -> None:
        for operation in operations:
            if not isinstance(cast("object", operation), Operation):
                raise ValidationError(f"a script is made of operations, not of {operation!r}")
        encoded = b"".join(map(bytes, operations))
        if len(encoded) > DATA_BYTES_MAX:
            raise ValidationError(f"a script is {DATA_BYTES_MAX} bytes at most, not {len(encoded)}")
        self.__attrs_init__(operations, encoded)

    def __bytes__(self) -> bytes:
        return self._encoded

    def __repr__(self) -> str:
        return f"Script({', '.join(map(repr, self.operations))})"


@frozen
class CallResult:
    """Outcome of a call that a script made, and the output of its callee."""

    outcome: Outcome
    output: bytes
    script: Script | None = field(default=None, eq=False, repr=False)
    """Script that was the callee's call data, or ``None`` if the data was plain bytes."""

    @property
    def results(self) -> list[Result]:
        """Results of the callee's own script; empty if the call failed, since a failed call has no output.

        Raises:
            ValidationError: The callee's call data was no script, or the output does not match the script, for
                example because the callee is not a puppet.
        """
        if self.outcome is Outcome.FAILED:
            return []
        if self.script is None:
            raise ValidationError("the callee was given bytes, so its output is bytes", hint="use CallResult.output")
        return decode_output(self.script, self.output)


def decode_output(script: Script, output: bytes) -> list[Result]:
    """Decode the output of a call that succeeded or reverted.

    Args:
        script: The script that the puppet carried out.
        output: The output of that call.

    Returns:
        One result for each :class:`Query` before the operation that ended the call. Results of a call inside the
        script are in its :attr:`CallResult.results`.

    Raises:
        ValidationError: The output is shorter or longer than the script's results.
    """
    rest = io.BytesIO(output)
    results = []
    for operation in script.operations:
        if isinstance(operation, Query):
            results.append(operation.read(rest))
        if operation.last:
            break
    if left := len(output) - rest.tell():
        raise ValidationError(f"the output has {left} bytes more than the script", hint="was it made by this script?")
    return results


@frozen
class _QueryI64(Query):
    def read(self, output: io.BytesIO) -> int:
        return _take_integer(output, 8, signed=True)


@frozen
class _QueryI32(Query):
    def read(self, output: io.BytesIO) -> int:
        return _take_integer(output, 4, signed=True)


@frozen
class _QueryAddress(Query):
    def read(self, output: io.BytesIO) -> Address:
        return Address(_take(output, ADDRESS_BYTES))


# Ways to end a call, and ways to get there.


@frozen
class Trap(Operation):
    """Trap."""

    opcode = 0x00
    last = True


@frozen
class Finish(Operation):
    """End the call successfully with the output so far, as the end of a script does."""

    opcode = 0x01
    last = True


@frozen
class Revert(Operation):
    """Revert the call, with the output so far."""

    opcode = 0x02
    last = True


@frozen
class Burn(Operation):
    """Run a loop, to use gas or time."""

    opcode = 0x03
    rounds: int = field(validator=_U32)


@frozen
class StackOverflow(Operation):
    """Recurse without end."""

    opcode = 0x04
    last = True


@frozen
class OutOfBounds(Operation):
    """Load from far outside of working memory."""

    opcode = 0x05
    last = True


# Storage: the region `memory`.


@frozen
class Load(_QueryI64):
    """Load 8 bytes as a signed integer."""

    opcode = 0x10
    offset: int = field(validator=_U32)


@frozen
class Store(Operation):
    """Store a signed integer of 8 bytes."""

    opcode = 0x11
    offset: int = field(validator=_U32)
    value: int = field(validator=_I64)


@frozen
class Store8(Operation):
    """Store one byte."""

    opcode = 0x12
    offset: int = field(validator=_U32)
    value: int = field(validator=_U8)


@frozen
class Grow(_QueryI32):
    """Grow storage; the result is its size before, or -1 if it cannot grow by that much."""

    opcode = 0x13
    pages: int = field(validator=_U32)


@frozen
class Size(_QueryI32):
    """Query the size of storage."""

    opcode = 0x14


@frozen
class CopyIn(Operation):
    """Copy bytes from the script into storage, in one copy."""

    opcode = 0x15
    offset: int = field(validator=_U32)
    data: bytes = field()

    @data.validator
    def _check_data(self, attribute: attrs.Attribute[bytes], value: object) -> None:
        _require(isinstance(value, bytes), self, attribute, "bytes")

    def _operands(self) -> bytes:
        return _U32.encode(self.offset) + _with_length(bytes(self.data))


@frozen
class CopyOut(Query):
    """Copy bytes from storage to the output, in one copy."""

    opcode = 0x16
    offset: int = field(validator=_U32)
    length: int = field(validator=_U32)

    def read(self, output: io.BytesIO) -> bytes:
        """Read the bytes from an output."""
        return _take(output, self.length)


# The region `spare`, which only the linking option `regions` offers: these operations trap under other options.


@frozen
class SpareLoad(_QueryI64):
    """Load 8 bytes of the second region as a signed integer."""

    opcode = 0x20
    offset: int = field(validator=_U32)


@frozen
class SpareStore(Operation):
    """Store a signed integer of 8 bytes in the second region."""

    opcode = 0x21
    offset: int = field(validator=_U32)
    value: int = field(validator=_I64)


@frozen
class SpareGrow(_QueryI32):
    """Grow the second region, to 16 pages at most; the result is its size before, or -1."""

    opcode = 0x22
    pages: int = field(validator=_U32)


@frozen
class SpareSize(_QueryI32):
    """Query the size of the second region, which is 0 at first."""

    opcode = 0x23


# Working memory: the part of it that a script may use, all zeros when a call starts.


@frozen
class MemoryLoad(_QueryI64):
    """Load 8 bytes of working memory as a signed integer."""

    opcode = 0x30
    offset: int = field(validator=_OWN_OFFSET)


@frozen
class MemoryStore(Operation):
    """Store a signed integer of 8 bytes in working memory."""

    opcode = 0x31
    offset: int = field(validator=_OWN_OFFSET)
    value: int = field(validator=_I64)


# Calls and logs.


@frozen
class Call(Query):
    """Call an account; the result is a :class:`CallResult`.

    ``data`` is a script if the callee is a puppet. ``gas`` limits the callee, by default to all gas that is left.
    Only an ordinary call has a ``value``.
    """

    opcode = 0x40
    address: Address = field(converter=Address)
    data: Script | bytes = field(default=b"")
    kind: CallKind = field(default=CallKind.CALL, kw_only=True)
    gas: int = field(default=GAS_MAX, kw_only=True, validator=_GAS)
    value: int = field(default=0, kw_only=True, validator=_U128)

    @data.validator
    def _check_data(self, attribute: attrs.Attribute[Script | bytes], value: object) -> None:
        _require(isinstance(value, Script | bytes), self, attribute, "a Script or bytes")

    @kind.validator
    def _check_kind(self, attribute: attrs.Attribute[CallKind], value: object) -> None:
        fits = isinstance(value, CallKind) and value in CALL_KINDS
        _require(fits, self, attribute, f"one of {', '.join(CALL_KINDS)}")

    def __attrs_post_init__(self) -> None:
        """Check operands that depend on each other."""
        if self.value and self.kind is not CallKind.CALL:
            raise ValidationError(f"a {self.kind} carries no value, so Call.value is 0, not {self.value}")

    def _operands(self) -> bytes:
        kind = _U8.encode(CALL_KINDS.index(self.kind))
        return kind + self.address + _GAS.encode(self.gas) + _U128.encode(self.value) + _with_length(bytes(self.data))

    def read(self, output: io.BytesIO) -> CallResult:
        """Read the outcome and the output of the callee from an output."""
        outcome = _take_integer(output, 4, signed=False)
        if outcome not in tuple(Outcome):
            raise ValidationError(f"a call ends with 0, 1 or 2, not {outcome}", hint="was it made by this script?")
        returned = _take(output, _take_integer(output, 4, signed=False))
        return CallResult(Outcome(outcome), returned, self.data if isinstance(self.data, Script) else None)


@frozen
class EmitLog(Operation):
    """Emit a log, with up to four topics of 32 bytes."""

    opcode = 0x41
    data: bytes = field(default=b"")
    topics: tuple[bytes, ...] = field(default=())

    @data.validator
    def _check_data(self, attribute: attrs.Attribute[bytes], value: object) -> None:
        _require(isinstance(value, bytes), self, attribute, "bytes")

    @topics.validator
    def _check_topics(self, attribute: attrs.Attribute[tuple[bytes, ...]], value: object) -> None:
        topics = value if isinstance(value, tuple) else (None,)
        fits = all(isinstance(topic, bytes) and len(topic) == TOPIC_BYTES for topic in topics)
        wanted = f"a tuple of at most {TOPICS_MAX} topics of {TOPIC_BYTES} bytes"
        _require(fits and len(topics) <= TOPICS_MAX, self, attribute, wanted)

    def _operands(self) -> bytes:
        return _U8.encode(len(self.topics)) + b"".join(self.topics) + _with_length(bytes(self.data))


# The context of the call.


@frozen
class Caller(_QueryAddress):
    """Query the account that made this call."""

    opcode = 0x50


@frozen
class OwnAddress(_QueryAddress):
    """Query the account whose storage this call works on."""

    opcode = 0x51


@frozen
class CallValue(Query):
    """Query the value of this call."""

    opcode = 0x52

    def read(self, output: io.BytesIO) -> int:
        """Read the value from an output."""
        return _take_integer(output, 16, signed=False)
