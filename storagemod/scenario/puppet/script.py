"""Scripts, what an operation is, and what comes of a script."""

from __future__ import annotations

import io
from typing import ClassVar, TypeAlias, cast

import attrs
from attrs import field, frozen

from storagemod.errors import ValidationError
from storagemod.scenario.puppet.encoding import DATA_BYTES_MAX, U8, Integer
from storagemod.types import Outcome

Result: TypeAlias = "int | bytes | CallResult"
"""What an operation appended: a number, bytes (an account is an :class:`Address`), or how a call ended."""


@frozen
class Operation:
    """One step of a script: an opcode, and operands in the order of the fields.

    Raises:
        ValidationError: An operand is not in its range.
    """

    opcode: ClassVar[int]
    last: ClassVar[bool] = False
    """Whether a call that carries this out goes no further."""

    def __bytes__(self) -> bytes:
        return U8.encode(self.opcode) + self._operands()

    def _operands(self) -> bytes:
        """The operands as they stand in a script; operations override this where not all of them are integers."""
        attributes = attrs.fields(type(self))
        return b"".join(cast("Integer", each.validator).encode(getattr(self, each.name)) for each in attributes)


@frozen
class Query(Operation):
    """An operation that appends a result to the output."""

    def read(self, output: io.BytesIO) -> Result:
        """Take the result of this operation from an output.

        Raises:
            ValidationError: The output ends before.
        """
        raise NotImplementedError


@frozen(init=False, repr=False)
class Script:
    """Operations for a puppet to carry out, one after the other: ``bytes(script)`` is call data.

    Scripts are equal where their bytes are. The bytes are made at once and kept, so that scripts can stand inside
    scripts to any depth; a script of depth d that does nothing but call takes memory in the order of 50 * d**2 bytes.

    Raises:
        ValidationError: Something is not an operation, or the script is longer than ``DATA_BYTES_MAX``.
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
    """How a call that a script made ended, and the output of its callee."""

    outcome: Outcome
    output: bytes
    script: Script | None = field(default=None, eq=False, repr=False)
    """The script that the callee was given, or ``None`` where its data were mere bytes."""

    @property
    def results(self) -> list[Result]:
        """What the callee's own script appended; nothing where the call failed, which leaves no output.

        Raises:
            ValidationError: The callee was given no script, or the output is not of that script, for example because
                the callee is no puppet.
        """
        if self.outcome is Outcome.FAILED:
            return []
        if self.script is None:
            raise ValidationError("the callee was given bytes, so its output is bytes", hint="use CallResult.output")
        return decode_output(self.script, self.output)


def decode_output(script: Script, output: bytes) -> list[Result]:
    """Read what a script appended to the output of a call that ended well or reverted.

    Args:
        script: What the puppet carried out.
        output: The output of that call.

    Returns:
        One result for each :class:`Query` in front of the operation that ended the call. What a call inside the script
        appended is in its :attr:`CallResult.results`.

    Raises:
        ValidationError: The output is shorter or longer than this script makes it.
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
