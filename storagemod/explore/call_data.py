"""Call data for ``main``: the forms in which they were seen, and others of these forms.

Each contract reads call data as it likes. Mostly they begin with a number that chooses a method, its *selector*, and
numbers and addresses of some widths follow. Calls that were seen tell which ones, and so do the integers that the code
compares with. A wrong guess costs tries only. :func:`data_patches` yields what comparisons tell besides.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple, TypeAlias

from attrs import frozen

from storagemod.explore.attacker import DATA_BYTES_MAX
from storagemod.explore.values import (
    RARE,
    Observed,
    Sure,
    Surroundings,
    column,
    is_probe,
    narrow_probe,
    near,
    next_names,
    probe,
    sure_of,
)
from storagemod.types import ADDRESS_BYTES, Value
from storagemod.wasm import WASM_MAGIC

Order: TypeAlias = Literal["big", "little"]

WORD_BYTES = 32
"""A word of Ethereum's binary interface: a number, most significant byte first, or an address at its end."""

SELECTOR_BYTES = 4
"""Length of a selector of Ethereum's binary interface, and of one of which nothing is known."""

_WORDS_MAX = 3
"""How many words follow a selector at most, where no call of it was seen."""

_SELECTORS_MAX = 24
_SHAPES_MAX = 2
"""How many forms of other selectors are tried for one of which no call data were seen."""

_SHORT_SELECTORS_MAX = 4
"""How many selectors of one byte are taken from code: it compares with small numbers for many reasons."""

_FIELDS_MAX = 16
"""How many fields call data have at most; of longer ones only those that were seen are sent."""

_PROBE_BYTES = bytes((0x5B + 0x35 * at) & 0xFF for at in range(96))
"""Call data in which no two bytes of four stand twice."""

_LENGTH_MAX = 1024
"""How long call data become at most because code compares their length."""

_SIZES = (8, 4, 2, 1)
"""Widths of integers, in bytes."""

_ALIGNED = 4
"""At multiples of how many bytes fields begin, where they are in line."""


class Field(NamedTuple):
    """Part of call data: a number, or an address of 20 bytes with zeros before it."""

    size: int
    order: Order
    is_address: bool = False


@frozen
class Form:
    """Form of call data: a selector, and fields behind it.

    Attributes:
        head: The selector; empty where there is none.
        fields: What follows.
        seen: The call data of this form that were seen, each with the value that came along.
        extra: What its calls cost besides, in bits.
    """

    head: bytes
    fields: tuple[Field, ...]
    seen: tuple[tuple[bytes, int], ...] = ()
    extra: float = 0.0

    @property
    def length(self) -> int:
        """How many bytes call data have in all."""
        return len(self.head) + sum(field.size for field in self.fields)

    def numbers(self, data: bytes) -> tuple[int, ...] | None:
        """Return what stands in the fields; ``None`` if these data have another form."""
        if len(data) != self.length or not data.startswith(self.head):
            return None
        found, at = [], len(self.head)
        for size, order, _ in self.fields:
            found.append(int.from_bytes(data[at : at + size], order))
            at += size
        return tuple(found)

    def seen_numbers(self) -> Iterator[int]:
        """Yield the numbers that stand in call data that were seen, addresses and words left out."""
        for data, _ in self.seen:
            for number, field in zip(self.numbers(data) or (), self.fields, strict=True):
                if field.size < ADDRESS_BYTES:
                    yield number

    def data(self, numbers: Iterable[int]) -> bytes:
        """Return call data with these numbers in the fields.

        Raises:
            OverflowError: A number is negative, or wider than its field.
        """
        parts = (number.to_bytes(size, order) for number, (size, order, _) in zip(numbers, self.fields, strict=True))
        return self.head + b"".join(parts)


def forms(seen: Iterable[tuple[bytes, int]], compared: Iterable[int], around: Surroundings) -> list[Form]:
    """Return the forms of call data: those that were seen, and of other selectors that the code compares with.

    Args:
        seen: Call data that were seen, none of them empty, with the value that came along.
        compared: Integers that the code compares with.
        around: What there is.
    """
    compared = list(compared)
    known = {size: {number % (1 << 8 * size) for number in compared if _is_read(number, size)} for size in _SIZES}
    seen = list(seen)
    # A selector that is a small number may have zeros behind it. The fewer fields there are then, the better they fit.
    widths = [size for size in _SIZES if all(_is_wide(data, size) for data, _ in seen)] or [1]
    ways = [_forms_seen(seen, known, width, around) for width in widths]
    found, heads = min(ways, key=lambda way: sum(len(form.fields) for form in way[0]) - len(way[0]) * _FIELDS_MAX)
    taken = {form.head for form in found}
    shapes = list(dict.fromkeys(form.fields for form in sorted(found, key=lambda form: -len(form.seen))))
    lengths = {number for number in compared if 0 < number <= _LENGTH_MAX}
    others = (head for head in _other_heads(known, heads) if head not in taken)
    for head in itertools.islice(others, max(0, _SELECTORS_MAX - len(taken))):
        found += _unseen(head, shapes, lengths)
    return found


_Head: TypeAlias = tuple[int, Order]
"""Size and order of a selector."""


def _forms_seen(
    seen: Sequence[tuple[bytes, int]], known: dict[int, set[int]], width: int, around: Surroundings
) -> tuple[list[Form], list[_Head]]:
    """Return the forms that were seen, and how their selectors are written.

    Args:
        seen: Call data, and values.
        known: Integers that the code compares with, by size.
        width: How many bytes a selector has that is a small number.
        around: What there is.
    """
    groups: dict[tuple[bytes, int], list[tuple[bytes, int]]] = {}
    heads: dict[_Head, None] = {}
    for data, value in seen:
        told = _head(data, known)
        if told is not None and told[0] == 1:
            told = width, "little"
        if told is not None:
            heads[told] = None
        elif len(data) % WORD_BYTES == SELECTOR_BYTES:
            told = SELECTOR_BYTES, "big"
        size = 0 if told is None else told[0]
        groups.setdefault((data[:size], len(data)), []).append((data, value))
    order: Order = "big" if any(order == "big" for size, order in heads if size > 1) else "little"
    found = []
    for (head, _), like in groups.items():
        fields = _fields([data[len(head) :] for data, _ in like], around, order)
        if fields is not None and (head or fields):
            found.append(Form(head, fields, tuple(like)))
    return found, list(heads)


def _is_read(number: int, size: int) -> bool:
    """Check whether code can compare a selector of so many bytes with a number; it reads short ones unsigned."""
    return _fits(number, size) and (number >= 0 or size >= SELECTOR_BYTES)


def _fits(number: int, size: int) -> bool:
    return -(1 << 8 * size - 1) <= number < 1 << 8 * size


def _is_wide(data: bytes, size: int) -> bool:
    """Check whether call data may begin with a small number of so many bytes: what follows is in line with it."""
    return len(data) >= size and len(data) % min(size, _ALIGNED) == 0 and not any(data[1:size])


def _head(data: bytes, known: dict[int, set[int]]) -> _Head | None:
    """Return the size and the order of the selector of call data: an integer that the code compares with."""
    for size in _SIZES:
        if len(data) < size:
            continue
        orders: tuple[Order, ...] = ("big", "little") if size > 1 else ("big",)
        for order in orders:
            number = int.from_bytes(data[:size], order)
            if _chooses(number, size) and number in known[size]:
                return size, order
    return None


def _chooses(number: int, size: int) -> bool:
    """Check whether an integer can be a selector of so many bytes: wide enough, not -1 and the like, and no limit."""
    if size > 1 and number.bit_count() == 1:  # lengths and numbers of things are compared with powers of two
        return False
    if size == SELECTOR_BYTES:  # one that is computed from a name may begin with a zero
        return RARE < number < (1 << 8 * size) - RARE
    return number >> 8 * (size - 1) > 0 and (size < SELECTOR_BYTES or number < (1 << 8 * size) - RARE)


def _other_heads(known: dict[int, set[int]], heads: Sequence[_Head]) -> Iterator[bytes]:
    """Yield integers of the code as selectors: of the size and order of those that were seen, or of four bytes."""
    for size, order in heads or [(SELECTOR_BYTES, "big"), (SELECTOR_BYTES, "little")]:
        numbers = (number for number in known[size] if _chooses(number, size))
        for number in itertools.islice(numbers, _SHORT_SELECTORS_MAX if size == 1 else _SELECTORS_MAX):
            yield number.to_bytes(size, order)


def _unseen(head: bytes, shapes: Sequence[tuple[Field, ...]], lengths: AbstractSet[int]) -> Iterator[Form]:
    """Yield the forms that call data of a selector may have of which none were seen.

    They are those of other selectors, or up to three words. Code that compares the length of call data with that of
    such data makes them likelier.
    """
    if len(head) == SELECTOR_BYTES and all(field.size == WORD_BYTES for fields in shapes for field in fields):
        counts = range(_WORDS_MAX + 1)
        told = {at for at in counts if {len(head) + WORD_BYTES * at, WORD_BYTES * at} & lengths}
        for count in counts:
            extra = 0.0 if count in told else count + 2.0 * bool(told and count)
            yield Form(head, (Field(WORD_BYTES, "big"),) * count, extra=extra)
        return
    short = 1.0 if len(head) == 1 else 0.0
    for fields in dict.fromkeys([*shapes[:_SHAPES_MAX], ()]):
        form = Form(head, fields, extra=2.0 + short)
        yield Form(head, fields, extra=short) if form.length in lengths else form


def _fields(bodies: Sequence[bytes], around: Surroundings, order: Order) -> tuple[Field, ...] | None:
    """Return the fields of call data of one form, without the selector; ``None`` if there are too many."""
    length = len(bodies[0])
    addresses = {address for address in (*around.own, *around.others) if any(address)}
    found: list[Field] = []
    start = at = 0
    while at + ADDRESS_BYTES <= length:
        there = {body[at : at + ADDRESS_BYTES] for body in bodies} & addresses
        is_aligned = at - start < _ALIGNED or (at - start) % _ALIGNED == 0
        if not there or not (is_aligned or any(sum(map(bool, address)) > 1 for address in there)):
            at += 1  # zeros and a small number look like the address of a fixture
            continue
        first = at - (WORD_BYTES - ADDRESS_BYTES)
        if first >= start and first % WORD_BYTES == 0 and not any(any(body[first:at]) for body in bodies):
            found += [*_split(bodies, start, first, order), Field(WORD_BYTES, "big", True)]
        else:
            found += [*_split(bodies, start, at, order), Field(ADDRESS_BYTES, "big", True)]
        start = at = at + ADDRESS_BYTES
    found += _split(bodies, start, length, order)
    return tuple(found) if len(found) <= _FIELDS_MAX else None


def _split(bodies: Sequence[bytes], start: int, end: int, order: Order) -> Iterator[Field]:
    """Yield the fields between two places: words, else what is left over first, and then integers of eight bytes.

    Where these are many, they are told by their zeros: a small number has them behind it, little-endian, and as many as
    an address has are one.
    """
    while start < end:
        length = end - start
        here = [body[start:end] for body in bodies]
        small = all(0 < int.from_bytes(body[:8], "little") < 1 << 32 for body in here)
        if length % WORD_BYTES == 0 and not small:
            size = WORD_BYTES
        elif length >= ADDRESS_BYTES and not any(any(body[:ADDRESS_BYTES]) for body in here):
            size = ADDRESS_BYTES
        elif length > 2 * max(_SIZES) and length % _ALIGNED == 0:
            size = max(_SIZES) if any(any(body[:_ALIGNED]) for body in here) else _ALIGNED
        else:
            size = next(size for size in _SIZES if length % size == 0 and (size == max(_SIZES) or length % (2 * size)))
        if size >= ADDRESS_BYTES:
            yield Field(size, "big", size == ADDRESS_BYTES)
        else:
            big, little = (max(int.from_bytes(body[:size], each) for body in here) for each in ("big", "little"))
            yield Field(size, order if big == little else "big" if big < little else "little")
        start += size


def columns_of(
    form: Form, sums: Sequence[int], observed: Observed, around: Surroundings, constants: Sequence[int]
) -> list[list[int]]:
    """Return the numbers for each field, the likeliest first.

    Args:
        form: The form of call data.
        sums: What may be sent along, and so be asked back.
        observed: What else was seen.
        around: What there is.
        constants: Numbers in the code that is called.
    """
    own, others = ([int.from_bytes(each, "big") for each in addresses] for addresses in (around.own, around.others))
    rows = [numbers for data, _ in form.seen if (numbers := form.numbers(data)) is not None]
    found = []
    for place, field in enumerate(form.fields):
        here = list(dict.fromkeys(row[place] for row in rows))
        rest = [*column("i64", place, [], observed, around, constants), (1 << 8 * field.size) - 1]
        if field.size < ADDRESS_BYTES:
            values = [*column("i64", place, here, observed, around, constants), probe_of(field, place), *rest]
            if here and all(each == _reversed(each, field.size) for each in here):  # in either order of bytes
                values = [each for value in values for each in (value, _reversed(value, field.size))]
        else:
            first = [1, *(each for each in sums[:4] if each), probe(place)]
            if field.is_address or any(number in {*own, *others} for number in here):
                values = [*here[:2], *own, *here[2:4], *others[:4], *first]
            else:
                names = list(next_names(here))
                values = [*here[:4], *names[:2], *first[:2], *own, *first[2:], *names[2:]]
            values += [*near(here[:2]), *here, *others, *rest]
        limit = 1 << 8 * field.size
        fitting = (each % limit for each in values if isinstance(each, int) and -limit // 2 <= each < limit)
        found.append(list(dict.fromkeys(fitting)))
    return found


def _reversed(number: Value, size: int) -> int:
    """Return the number with its bytes in the other order; itself, where it does not fit."""
    assert isinstance(number, int)  # noqa: S101 - columns of integers
    return int.from_bytes(number.to_bytes(size, "big"), "little") if 0 <= number < 1 << 8 * size else number


def probe_of(field: Field, place: int) -> int:
    """Return a number for a field that is not met by chance, as far as its width allows."""
    return probe(place) if field.size >= ADDRESS_BYTES else narrow_probe(field.size, place)


def with_codes(here: Sequence[bytes], around: Surroundings, chosen_by: Iterable[bytes]) -> Iterator[bytes]:
    """Yield call data with code of attackers: instead of code that was seen, alone, and behind selectors.

    Args:
        here: Call data that were seen.
        around: What there is.
        chosen_by: Selectors of methods.
    """
    heads = [data[: data.index(WASM_MAGIC)] for data in here if WASM_MAGIC in data]
    for head in dict.fromkeys([*heads, b"", *chosen_by]):
        for code in around.codes:
            yield head + code


def plain(here: Sequence[bytes]) -> list[bytes]:
    """Return call data of no form, the likeliest first: what was seen, nothing, and bytes that comparisons show."""
    seen = [data for data in here if len(data) <= DATA_BYTES_MAX]
    return list(dict.fromkeys([*seen, b"", *([] if seen else [_PROBE_BYTES[:4]]), _PROBE_BYTES]))


def data_patches(data: bytes, pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[bytes, Sure]]:
    """Yield call data, or return data, in which an operand of a comparison was replaced by the other one.

    With each comes how sure it is that the operand came from there. Operands are looked for as words of 8, 4, 2 and 1
    bytes, in both orders. Where one is the length, this is changed.
    """
    for pair in pairs:
        for one, other in (pair, pair[::-1]):
            if len(data) >= SELECTOR_BYTES and one == len(data) != other and 0 <= other <= _LENGTH_MAX:
                yield data[:other].ljust(other, b"\0"), Sure.LIKELY
            for size in _SIZES:
                word = _unsigned(one, size)
                new = _unsigned(other, size)
                if word is None or new is None or word == new:
                    continue
                if size < max(_SIZES) and word >> 4 * size == 0:
                    continue  # zeros before a short number are no sign
                for order in ("little", "big"):
                    at = data.find(word.to_bytes(size, order))
                    if at < 0:
                        continue
                    yield data[:at] + new.to_bytes(size, order) + data[at + size :], sure_of(one)
                    if new and is_probe(one):
                        yield data[:at] + (new - 1).to_bytes(size, order) + data[at + size :], sure_of(one)


def _unsigned(number: int, size: int) -> int | None:
    """Return a number as an unsigned one of so many bytes, or ``None`` if it does not fit."""
    return number % (1 << 8 * size) if _fits(number, size) else None
