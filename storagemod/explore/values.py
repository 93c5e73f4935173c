"""Values for what attackers choose: arguments, money, call data, answers.

They come from everywhere: calls that were seen, storage, results, addresses, the constants of the code, and numbers
near all of these. Each choice is a *column*: values in the order in which they are likely, so that the rank of a value
is what it costs a try to use it. The operands of comparisons tell more: see :func:`patches`.
"""

from __future__ import annotations

import enum
import heapq
import itertools
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from attrs import define, field, frozen

from storagemod.explore.attacker import DATA_BYTES_MAX
from storagemod.trace import Trace
from storagemod.types import Address, Value, ValueType
from storagemod.vm.ethereum import U128_MAX
from storagemod.wasm import WASM_MAGIC

INTEGER_BYTES: Mapping[str, int] = {"i32": 4, "i64": 8}
_FLOATS: tuple[Value, ...] = (0.0, 1.0, -1.0, float("inf"), float("nan"))
_NEAR_MAX = 6
"""How many of the likeliest numbers have numbers near them in a column."""

_PROBE = 0x2545_F491
"""A number that stands in no contract: where a comparison has it, it came from us."""

WORD_BYTES = 32
"""A word of Ethereum's binary interface: a number, most significant byte first, or an address at its end."""

SELECTOR_BYTES = 4
_SELECTORS_MAX = 24
_ORDERS: tuple[Literal["big", "little"], ...] = ("big", "little")

_PROBE_BYTES = bytes((0x5B + 0x35 * at) & 0xFF for at in range(96))
"""Call data in which no two bytes of four stand twice."""


def probe(number: int) -> int:
    """Return a positive number of 30 bits that is not met by chance, another one for each place."""
    return (_PROBE + 0x3779_B1 * number) & 0x3FFF_FFFF


@define
class Observed:
    """Calls that were seen, and the numbers in them."""

    calls: dict[tuple[Address, str | None], dict[tuple[tuple[Value, ...], bytes, int], None]] = field(factory=dict)
    numbers: dict[ValueType, dict[Value, None]] = field(factory=dict)
    money: dict[int, None] = field(factory=dict)

    def call(
        self, contract: Address, method: str | None, args: tuple[Value, ...], data: bytes = b"", value: int = 0
    ) -> None:
        """Note a call that was made. A value that attackers cannot send, of more than 128 bits, is left out."""
        value = value if value <= U128_MAX else 0
        self.calls.setdefault((contract, method), {})[args, data, value] = None
        if value:
            self.money[value] = None

    def trace(self, trace: Trace | None) -> None:
        """Note every call of a transaction, and what it gave."""
        for record in trace or ():
            started, ended = record.started, record.ended
            self.call(started.address, started.method, started.args, started.data, started.value)
            for value in () if ended is None else ended.values:
                if isinstance(value, int):
                    self.number("i64", value)
                    self.number("i32", value)

    def number(self, kind: ValueType, value: Value) -> None:
        """Note a number of a type, brought to its signed form; integers that do not fit are left out."""
        signed = as_signed(kind, value)
        if signed is not None:
            self.numbers.setdefault(kind, {})[signed] = None


def as_signed(kind: ValueType, value: Value) -> Value | None:
    """Return a number as the type has it, or ``None`` if it does not fit."""
    if kind not in INTEGER_BYTES or not isinstance(value, int):
        return value if kind not in INTEGER_BYTES else None
    bits = 8 * INTEGER_BYTES[kind]
    if not -(2 ** (bits - 1)) <= value < 2**bits:
        return None
    return value - 2**bits if value >= 2 ** (bits - 1) else value


@frozen
class Surroundings:
    """What there is when a search begins.

    Attributes:
        own: The addresses of attackers.
        others: All other addresses.
        stored: Numbers that stand in storage, without repetition.
        balances: The balances of attackers.
        codes: Code of attackers, for contracts that create accounts from call data.
    """

    own: tuple[Address, ...]
    others: tuple[Address, ...]
    stored: tuple[int, ...]
    balances: tuple[int, ...]
    codes: tuple[bytes, ...] = ()


_FORMS = (1, 2, 4, 8)
"""Of how many of its last bytes a contract may make a number of an address."""


def _form_of(kind: ValueType, numbers: Sequence[Value], addresses: Iterable[Address]) -> int | None:
    """Return of how many bytes of addresses these numbers are made: all but 0, or one of them, if that is no chance."""
    known, others = list(addresses), [number for number in numbers if number]
    for length in _FORMS:
        ends = {as_signed(kind, int.from_bytes(address[-length:], "big")) for address in known}
        found = [number for number in others if number in ends]
        if found and (len(found) == len(others) or max(map(abs, found)) > _RARE):
            return length
    return None


_LENGTH_MAX = 1024
"""How long call data become at most because code compares their length."""


def _near(numbers: Sequence[int]) -> Iterator[int]:
    """Yield numbers near others: one more and less, halves, doubles, sums and differences of two."""
    for number in numbers:
        yield from (number + 1, number - 1, number // 2, 2 * number)
    for one, other in itertools.combinations(numbers, 2):
        yield from (one + other, abs(one - other))


def column(
    kind: ValueType,
    place: int,
    here: Sequence[Value],
    observed: Observed,
    around: Surroundings,
    constants: Sequence[int] = (),
) -> list[Value]:
    """Return the values for one parameter, the likeliest first.

    Args:
        kind: Its type.
        place: Its place, by which probes differ.
        here: Values that were seen in this place.
        observed: What else was seen.
        around: What there is.
        constants: Numbers in the code that is called, those right before comparisons first.
    """
    if kind not in INTEGER_BYTES:
        floats = map(float, (*here, *observed.numbers.get(kind, ()), *_FLOATS))
        # Each once, by its bits: nan is not equal to itself, and there are several.
        return list({struct.pack("<d", each): each for each in floats}.values())
    bits = 8 * INTEGER_BYTES[kind]
    seen = list(observed.numbers.get(kind, ()))
    ends = {length: [int.from_bytes(each[-length:], "big") for each in around.own] for length in _FORMS}
    form = _form_of(kind, here, (*around.own, *around.others))
    addresses = [] if form is None else ends[form]
    others = [] if form is None else [int.from_bytes(each[-form:], "big") for each in around.others]
    close = [number for number in (*here, *seen, *around.balances[:1]) if isinstance(number, int)][:_NEAR_MAX]
    likely: list[Value] = [*here[:2], *addresses, *here[2:6], 1, 0, *around.balances[:1], *others[:4]]
    likely += _interleave(here[6:], seen, around.stored, [probe(place)], constants, _near(close), others[4:])
    likely += [*itertools.chain(*ends.values()), *around.balances, -1, 2 ** (bits - 1) - 1, -(2 ** (bits - 1))]
    signed = (as_signed(kind, number) for number in likely)
    return list(dict.fromkeys(number for number in signed if number is not None))


def _interleave(*rows: Iterable[Value]) -> Iterator[Value]:
    return (each for several in itertools.zip_longest(*rows) for each in several if each is not None)


def money(here: Sequence[int], observed: Observed, around: Surroundings, constants: Sequence[int] = ()) -> list[int]:
    """Return what may be sent along, the likeliest first; 0 is among it."""
    balance = max(around.balances, default=0)
    seen = [*here, *observed.money]
    near = [*(each + 1 for each in seen[:_NEAR_MAX]), balance // 2, balance, 1, balance // 4, probe(0), balance // 3]
    more = [*seen, *near, *_near(seen[:3]), *around.stored, *constants]
    values = [*here[:2], *([] if here else [0]), *more, 0]
    return list(dict.fromkeys(each for each in values if 0 <= each <= balance))


def call_data(
    here: Sequence[bytes], observed: Observed, around: Surroundings, constants: Sequence[int] = ()
) -> Iterator[bytes]:
    """Yield call data for ``main``, the likeliest first: what was seen, nothing, and what was seen with a word changed.

    Words are of 4 and 8 bytes, in both orders, and addresses of 20.
    """
    seen = [data for data in here if len(data) <= DATA_BYTES_MAX]
    yield from seen
    yield b""
    for data in seen:
        yield from _addressed(data, around)
    if not seen:
        yield _PROBE_BYTES[:4]
        yield _PROBE_BYTES
    known = column("i64", 1, [], observed, around, constants)
    for value in known[:24]:
        for data in seen[:4]:
            yield from _reworded(data, int(value))
    yield _PROBE_BYTES


def with_codes(here: Sequence[bytes], around: Surroundings, chosen_by: Sequence[bytes]) -> Iterator[bytes]:
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


def selectors(here: Iterable[bytes], compared: Iterable[int]) -> list[bytes]:
    """Return the four bytes with which call data may begin to choose a method, those that were seen first.

    Code reads them in either order of bytes. Where calls were seen, they tell in which.

    Args:
        here: Call data that were seen.
        compared: Integers that the code compares with.
    """
    seen = list(dict.fromkeys(data[:SELECTOR_BYTES] for data in here if len(data) >= SELECTOR_BYTES))
    known = [number % (1 << 32) for number in compared if -(1 << 31) <= number < 1 << 32]
    known = [number for number in known if number > _RARE]
    rows = {order: [number.to_bytes(SELECTOR_BYTES, order) for number in known] for order in _ORDERS}
    told = [row for row in rows.values() if any(each in row for each in seen)] or list(rows.values())
    others = itertools.chain.from_iterable(zip(*told, strict=True))
    return list(dict.fromkeys([*seen, *others]))[:_SELECTORS_MAX]


def words(
    place: int,
    here: Sequence[int],
    sums: Sequence[int],
    observed: Observed,
    around: Surroundings,
    constants: Sequence[int] = (),
) -> list[bytes]:
    """Return the words of 32 bytes for one parameter of a method that is chosen by a selector, the likeliest first.

    Args:
        place: Its place, by which probes differ.
        here: Words that were seen in this place, as numbers.
        sums: What may be sent along, and so be asked back.
        observed: What else was seen.
        around: What there is.
        constants: Numbers in the code that is called.
    """
    own = [int.from_bytes(each, "big") for each in around.own]
    others = [int.from_bytes(each, "big") for each in around.others]
    numbers = [number for number in column("i64", place, [], observed, around, constants) if isinstance(number, int)]
    addresses_first = any(number in {*own, *others} for number in here)
    first = [1, *(each for each in sums[:4] if each), probe(place)]
    likely = [*here[:2], *own, *first] if addresses_first else [*here[:4], *first, *own]
    found = dict.fromkeys([*likely, *_near(here[:2]), *here, *others[:8], *numbers, (1 << 256) - 1])
    return [number.to_bytes(WORD_BYTES, "big") for number in found if 0 <= number < 1 << 256]


def _addressed(data: bytes, around: Surroundings) -> Iterator[bytes]:
    """Yield call data with addresses of attackers where it has another one."""
    for address in around.others:
        at = data.find(address)
        while at >= 0:
            for own in around.own:
                yield data[:at] + own + data[at + len(own) :]
            at = data.find(address, at + 1)


def _reworded(data: bytes, value: int) -> Iterator[bytes]:
    """Yield call data with a word changed that was a small number: of 8 bytes, little-endian or big-endian."""
    for at in range(0, len(data) - 7, 4):
        word = data[at : at + 8]
        for order in ("little", "big"):
            if 0 < int.from_bytes(word, order) < 1 << 48 and value >= 0:
                yield data[:at] + value.to_bytes(8, order) + data[at + 8 :]
                break


def combinations(columns: Sequence[Sequence[Value]], extra: float = 0.0) -> Iterator[tuple[float, tuple[Value, ...]]]:
    """Yield every combination of values, one of each column, with its cost: the likeliest first.

    A value of rank r costs log2(1 + r), and each combination ``extra`` besides. So one that stands far down is soon
    taken alone, and late with others like it.
    """
    first = (0,) * len(columns)
    if not all(columns):
        return
    waiting, met = [(0.0, first)], {first}
    while waiting:
        cost, places = heapq.heappop(waiting)
        yield cost + extra, tuple(values[place] for values, place in zip(columns, places, strict=True))
        for at, place in enumerate(places):
            if place + 1 < len(columns[at]):
                following = (*places[:at], place + 1, *places[at + 1 :])
                if following not in met:
                    met.add(following)
                    heapq.heappush(waiting, (sum(math.log2(1 + each) for each in following), following))


def patches(value: Value, pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, Sure]]:
    """Yield what to choose instead of a number, so that comparisons that it was part of come out otherwise.

    With each comes how sure it is that the number was part of them, and no other one like it.

    Args:
        value: The number that was chosen.
        pairs: The operands of the comparisons that were made meanwhile.
    """
    if not isinstance(value, int) or -1 <= value <= 1:  # these are met everywhere
        return
    sure = _sure(value)
    near: list[int] = []
    for pair in pairs:
        for one, other in (pair, pair[::-1]):
            if one == value:
                yield other, sure
                near += (other - 1, other + 1)
            elif sure is not Sure.NO and one > value > 0 and one % value == 0:
                yield other * value // one, sure  # it was multiplied before
                near.append(other * value // one + 1)
            elif value > _SHIFTED and abs(one - value) <= min(value, _SHIFT_MAX):
                near.append(other - (one - value))  # something was added before
    for number in near:
        yield number, Sure.NO


class Sure(enum.IntEnum):
    """How sure it is that an operand of a comparison came from a number that was chosen."""

    NO = 0
    LIKELY = 1
    YES = 2


COMMON_MAX, _RARE = 15, 0xFFFF
"""Numbers up to the first are met everywhere; those beyond the second hardly by chance."""


def _sure(number: int) -> Sure:
    return Sure.YES if abs(number) > _RARE else Sure.LIKELY if abs(number) > COMMON_MAX else Sure.NO


_SHIFTED, _SHIFT_MAX = 1_000, 1 << 20
"""Beyond the first, an operand that differs by the second at most may be the number with something added."""


_WORD_SIZES = (8, 4, 2, 1)


def data_patches(data: bytes, pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[bytes, Sure]]:
    """Yield call data, or return data, in which an operand of a comparison was replaced by the other one.

    With each comes how sure it is that the operand came from there. Operands are looked for as words of 8, 4, 2 and 1
    bytes, in both orders. Where one is the length, this is changed.
    """
    for pair in pairs:
        for one, other in (pair, pair[::-1]):
            if len(data) >= SELECTOR_BYTES and one == len(data) != other and 0 <= other <= _LENGTH_MAX:
                yield data[:other].ljust(other, b"\0"), Sure.LIKELY
            for size in _WORD_SIZES:
                word = _word(one, size)
                new = _word(other, size)
                if word is None or new is None or word == new:
                    continue
                if size < max(_WORD_SIZES) and word >> 4 * size == 0:
                    continue  # zeros before a short number are no sign
                for order in ("little", "big"):
                    at = data.find(word.to_bytes(size, order))
                    if at >= 0:
                        yield data[:at] + new.to_bytes(size, order) + data[at + size :], _sure(one)


def _word(number: int, size: int) -> int | None:
    """Return a number as an unsigned one of so many bytes, or ``None`` if it does not fit."""
    return number % (1 << 8 * size) if -(1 << 8 * size - 1) <= number < 1 << 8 * size else None
