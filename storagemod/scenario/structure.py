"""Build the classes of a scenario from the output of ``tomllib``, and report every problem with its place.

cattrs walks the classes and collects the problems. Types must match exactly: text is never converted to a number, nor
a number to text.
"""

from __future__ import annotations

import copy
import difflib
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, get_args, get_origin

import attrs
import regex
from cattrs import Converter
from cattrs.cols import list_structure_factory, mapping_structure_factory
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError
from cattrs.gen import make_dict_structure_fn

from storagemod import errors
from storagemod.errors import StorageModError
from storagemod.limits import GAS_MAX
from storagemod.scenario import schema
from storagemod.scenario.boundaries import Moments
from storagemod.scenario.locate import TomlPath
from storagemod.types import (
    MAP_OPTIONS,
    METHODS_OPTIONS,
    Address,
    ExclusivePolicy,
    ReentryPolicy,
    StorageMapping,
    SyncPolicy,
    Value,
)

T = TypeVar("T")

Report = Callable[[TomlPath, str], None]
"""Receives a problem: its place, and one sentence that describes it."""

_DIGITS_SHOWN = 40
_BITS_WRITTEN = 14_000
"""Longer integers have more digits than Python writes."""

PATTERN_LENGTH_MAX = 1_000
"""Length of a regular expression."""

PATTERN_SIZE_MAX = 1_000_000
"""Its length times all counts in braces: to compile it takes as much as the longest text that these spell out."""

_BRACES = re.compile(r"\{[^{}]*")

_NEIGHBOURS_MAX = 500
"""Words among which a misspelt one is looked for."""

ERROR_KINDS = sorted(
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, StorageModError)
)


def structure(raw: object, table: type[T], path: TomlPath, report: Report) -> T | None:
    """Build one table of a scenario.

    Args:
        raw: The value in the file.
        table: A class of :mod:`storagemod.scenario.schema`.
        path: The place of the value.
        report: Called with every problem in it.

    Returns:
        The table. Keys with problems are left out, so that the rest can be checked; ``None`` if they are required.
    """
    try:
        return _CONVERTER.structure(raw, table)
    except Exception as error:  # noqa: BLE001 - errors of cattrs have no common base class, and all are about the file
        found = list(_problems(error, path))
    for where, message in found:
        report(where, message)
    try:
        return _CONVERTER.structure(_without(raw, [where[len(path) :] for where, _ in found]), table)
    except Exception:  # noqa: BLE001 - as above, and already reported
        return None


def _without(raw: object, paths: Iterable[TomlPath]) -> object:
    """Copy a table without some keys; a path into an array removes the whole array."""
    raw = copy.deepcopy(raw)
    for path in paths:
        keys = list(itertools.takewhile(lambda step: isinstance(step, str), path))
        table: Any = raw
        for key in keys[:-1]:
            table = table.get(key, {})
        if keys:
            table.pop(keys[-1], None)
    return raw


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return `` (did you mean "..."?)`` with the nearest word, ignoring case, or an empty text if none is near."""
    by_lower = {known.lower(): known for known in itertools.islice(words, _NEIGHBOURS_MAX)}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f' (did you mean "{by_lower[near[0]]}"?)' if near else ""


def unknown_key(key: str, keys: Iterable[str]) -> str:
    """Describe the problem of an unknown key."""
    known = list(keys)
    hint = did_you_mean(key, known)
    return f'unknown key "{key}"' + (hint or f" (known here: {', '.join(known)})")


def describe(raw: object) -> str:
    """Name the TOML type of a value."""
    kinds = {bool: "a boolean", int: "an integer", float: "a float", str: "a string", list: "an array", dict: "a table"}
    return kinds.get(type(raw), "a date or time")


def _problems(error: BaseException, path: TomlPath) -> Iterator[tuple[TomlPath, str]]:
    if isinstance(error, ClassValidationError):
        with_place, without_place = error.group_exceptions()
        for inner, note in with_place:
            yield from _problems(inner, (*path, note.name))
        for inner in without_place:
            yield from _problems(inner, path)
    elif isinstance(error, IterableValidationError):
        for element, place in error.group_exceptions()[0]:
            yield from _problems(element, (*path, place.index))
    elif isinstance(error, ForbiddenExtraKeysError):
        known = schema.keys_of(error.cl)
        for key in sorted(error.extra_fields):
            yield (*path, key), unknown_key(key, known)
    elif isinstance(error, KeyError):
        yield path[:-1], f'the key "{path[-1]}" is missing'
    else:
        yield path, error.message if isinstance(error, StorageModError) else str(error)


def _wanted(what: str, raw: object) -> TypeError:
    return TypeError(f"wanted {what}, found {describe(raw)}")


def _integer(low: int, high: int, what: str = "an integer") -> Callable[[object, object], int]:
    def hook(raw: object, _: object) -> int:
        if not isinstance(raw, int) or isinstance(raw, bool):
            raise _wanted(what, raw)
        if not low <= raw <= high:
            raise _out_of_range(raw, f"{what} from {_power(low)} to {_power(high)} is wanted")
        return raw

    return hook


def _out_of_range(number: int, wanted: str) -> ValueError:
    if number.bit_length() > _BITS_WRITTEN:  # hexadecimal digits in the file; Python writes no so long numbers
        return ValueError(f"an integer of {number.bit_length():,} bits is out of range: {wanted}")
    text = str(number)
    if len(text) > _DIGITS_SHOWN:
        text = f"{text[: _DIGITS_SHOWN // 2]}… ({len(text.lstrip('-')):,} digits)"
    return ValueError(f"{text} is out of range: {wanted}")


def _power(number: int) -> str:
    """Format a bound: large powers of two as powers."""
    for shown, bits in ((number, ""), (-number, "-"), (number + 1, "")):
        if shown >= 2**31 and shown.bit_count() == 1:
            return f"{bits}2**{shown.bit_length() - 1}" + (" - 1" if shown == number + 1 else "")
    return str(number)


def _exactly(kind: type, what: str) -> Callable[[object, object], object]:
    def hook(raw: object, _: object) -> object:
        if type(raw) is not kind:
            raise _wanted(what, raw)
        return raw

    return hook


def _number(raw: object, _: object = None) -> Value:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise _wanted("a number", raw)
    if isinstance(raw, int) and not -(2**63) <= raw < 2**64:
        raise _out_of_range(raw, "an integer from -2**63 to 2**64 - 1, or a float like 1e30, is wanted")
    return raw


def _float(raw: object, _: object) -> float:
    return float(_number(raw))


def _f32(raw: object, _: object) -> float:
    number = float(_number(raw))
    if math.isfinite(number) and abs(number) > schema.F32_MAX:
        raise ValueError(f"{number} is too large for an f32")
    return number


def _hex(raw: object, _: object) -> bytes:
    if not isinstance(raw, str):
        raise _wanted('bytes as hexadecimal text like "0x01ff"', raw)
    try:
        return bytes.fromhex(raw.strip().removeprefix("0x"))
    except ValueError:
        raise ValueError(f'{raw!r} is not bytes in hexadecimal, like "0x01ff"') from None


def _address(raw: object, _: object) -> Address:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise _wanted("an address as hexadecimal text or an integer", raw)
    return Address(raw)


def _one_of(what: str, wanted: str, known: Sequence[str], make: Callable[[str], T]) -> Callable[[object, object], T]:
    """Make a hook for a few words. ``what`` and ``wanted`` name their kind in error messages."""

    def hook(raw: object, _: object) -> T:
        if not isinstance(raw, str):
            raise _wanted(wanted, raw)
        if raw not in known:
            raise ValueError(f'"{raw}" is no {what}' + (did_you_mean(raw, known) or f": {', '.join(known)}"))
        return make(raw)

    return hook


_exclusive_word = _one_of("exclusive policy", "an exclusive policy", list(ExclusivePolicy), ExclusivePolicy)


def _exclusive(raw: object, kind: object) -> ExclusivePolicy:
    if isinstance(raw, bool):  # `true` is "call", as for StorageMapping
        return StorageMapping("paged", exclusive=raw).exclusive
    return _exclusive_word(raw, kind)


def _frame_bytes(raw: object, _: object) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise _wanted("an integer", raw)
    return StorageMapping(frame_bytes=raw).frame_bytes


def _pattern(raw: object, _: object) -> str:
    if not isinstance(raw, str):
        raise _wanted("a regular expression in a string", raw)
    if len(raw) > PATTERN_LENGTH_MAX:
        raise ValueError(f"a regular expression has {PATTERN_LENGTH_MAX:,} characters at most, found {len(raw):,}")
    counts = [max(int(number), 1) for braces in _BRACES.findall(raw) for number in re.findall(r"[0-9]+", braces)]
    is_small = len(raw) * math.prod(counts) <= PATTERN_SIZE_MAX
    try:
        re.compile(raw)  # as Python knows them: `regex` knows more, and takes some of it for something else
        if is_small:
            regex.compile(raw)
    except (re.error, regex.error, OverflowError, RecursionError, FutureWarning) as error:
        raise ValueError(f"{raw!r} is not a regular expression: {error}") from None
    if not is_small:
        raise ValueError(f"the counts in {raw!r} are too large together: repeat with + or *, or less often")
    return raw


def _table(table: type[Any]) -> Callable[[Any, Any], Any]:
    inner = make_dict_structure_fn(table, _CONVERTER, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True)

    def hook(raw: Any, _: Any) -> Any:
        if isinstance(raw, int) and not isinstance(raw, bool) and table is schema.AccountSpec:
            raw = {"balance": raw}
        if not isinstance(raw, dict):
            raise _wanted("a table", raw)
        return inner(raw, table)

    return hook


def _array(kind: Any) -> Callable[[Any, Any], Any]:
    element = get_args(kind)[0]
    as_list: Any = list.__class_getitem__(element)
    inner = list_structure_factory(as_list, _CONVERTER)

    def hook(raw: Any, _: Any) -> Any:
        if isinstance(raw, int | float) and not isinstance(raw, bool) and element in _NUMBERS:
            raw = [raw]  # one number stands for an array of one
        if not isinstance(raw, list):
            raise _wanted("an array", raw)
        return tuple(inner(raw, as_list))

    return hook


def _names(kind: Any) -> Callable[[Any, Any], Any]:
    inner = mapping_structure_factory(kind, _CONVERTER)

    def hook(raw: Any, _: Any) -> Any:
        if not isinstance(raw, dict):
            raise _wanted("a table", raw)
        return inner(raw, kind)

    return hook


def _is_generic(origin: Any) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is origin


_NUMBERS = (Value, float, schema.F32, schema.I32, schema.I64, schema.U32, schema.U64)

_CONVERTER = Converter(detailed_validation=True)
_CONVERTER.register_structure_hook_factory(attrs.has, _table)
_CONVERTER.register_structure_hook_factory(_is_generic(tuple), _array)
_CONVERTER.register_structure_hook_factory(_is_generic(dict), _names)
_CONVERTER.register_structure_hook_func(lambda kind: kind == Value, _number)
for _kind, _hook in (
    (str, _exactly(str, "a string")),
    (bool, _exactly(bool, "true or false")),
    (bytes, _hex),
    (float, _float),
    (Address, _address),
    (ReentryPolicy, _one_of("re-entry policy", "a re-entry policy", list(ReentryPolicy), ReentryPolicy)),
    (ExclusivePolicy, _exclusive),
    (SyncPolicy, _one_of("sync policy", "a sync policy", list(SyncPolicy), SyncPolicy)),
    (schema.MethodsOption, _one_of("linking option for functions", "a linking option", METHODS_OPTIONS, str)),
    (schema.MapOption, _one_of("linking option that maps storage", "a linking option", MAP_OPTIONS, str)),
    (schema.Moment, _one_of("moment", "a moment", list(Moments), str)),
    (schema.FrameBytes, _frame_bytes),
    (schema.ErrorKind, _one_of("error class", "the name of an error class", ERROR_KINDS, str)),
    (schema.Pattern, _pattern),
    (schema.Gas, _integer(0, GAS_MAX)),
    (schema.Amount, _integer(0, 2**256 - 1)),
    (schema.Count, _integer(0, 2**63 - 1)),
    (schema.F32, _f32),
    (schema.I32, _integer(-(2**31), 2**31 - 1)),
    (schema.I64, _integer(-(2**63), 2**63 - 1)),
    (schema.U32, _integer(0, 2**32 - 1)),
    (schema.U64, _integer(0, 2**64 - 1)),
):
    _CONVERTER.register_structure_hook(_kind, _hook)
