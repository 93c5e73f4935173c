"""Numbers from Python: amounts, and what a contract's parameters take."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from storagemod.errors import ValidationError, shown
from storagemod.types import FunctionType, Value, ValueType

_BITS = {"i32": 32, "i64": 64}


def check_amount(what: str, amount: object, maximum: int) -> None:
    """Check that an amount is an integer in range.

    Raises:
        ValidationError: It is no integer, or not from 0 to ``maximum``.
    """
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount <= maximum:
        raise ValidationError(f"{what} is an integer from 0 to {maximum:,}, not {shown(amount)}")


def check_kind(what: str, value: object, kind: type, wanted: str) -> None:
    """Check that a value is of a type, or ``None``.

    Raises:
        ValidationError: It is something else.
    """
    if value is not None and not isinstance(value, kind):
        raise ValidationError(f"{what} must be {wanted}, got {shown(value)}")


def to_values(method: str, function_type: FunctionType, args: Sequence[object]) -> tuple[Value, ...]:
    """Check arguments against a method's parameters; integers may be signed or unsigned and become signed.

    Raises:
        ValidationError: Too few, too many, of a wrong type, or out of range.
    """
    params = function_type.params
    if len(args) != len(params):
        takes = f"{len(params)} argument{'' if len(params) == 1 else 's'}"
        raise ValidationError(f"{method!r} takes {takes} {function_type}, not {len(args)}")
    return tuple(
        _to_value(f"argument {number} of {method!r}", value_type, arg)
        for number, (value_type, arg) in enumerate(zip(params, args, strict=True), 1)
    )


def _to_value(what: str, value_type: ValueType, arg: object) -> Value:
    bits = _BITS.get(value_type)
    if isinstance(arg, bool) or not isinstance(arg, int | float) or (bits is not None and not isinstance(arg, int)):
        wanted = "an integer" if bits is not None else "a number"
        raise ValidationError(f"{what} is {value_type}: {wanted} is needed, not {shown(arg)}")
    if bits is None:
        try:
            struct.pack(
                "<f" if value_type == "f32" else "<d", float(arg)
            )  # raises for a finite number that is too large
        except OverflowError as error:
            raise ValidationError(
                f"{what} is {value_type}, and {shown(arg)} is too large for it", cause=error
            ) from error
        return float(arg)
    if not -(2 ** (bits - 1)) <= arg < 2**bits:
        raise ValidationError(f"{what} is {value_type}, and {shown(arg)} does not fit {bits} bits")
    return int(arg) - 2**bits if arg >= 2 ** (bits - 1) else int(arg)
