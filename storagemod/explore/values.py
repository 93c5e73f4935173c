"""Values for what attackers choose: arguments, money, answers.

They come from everywhere: calls that were seen, storage, results, addresses, the constants of the code, and numbers
near all of these. Each choice is a *column*: values in the order in which they are likely. So the rank of a value
is what it costs a try to use it. The operands of comparisons tell more: see :func:`patches`.
"""

from __future__ import annotations

import enum
import heapq
import itertools
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import define, field, frozen

from storagemod.trace import Trace
from storagemod.types import Address, Value, ValueType
from storagemod.vm.ethereum import U128_MAX

INTEGER_BYTES: Mapping[str, int] = {"i32": 4, "i64": 8}
_FLOATS: tuple[Value, ...] = (0.0, 1.0, -1.0, float("inf"), float("nan"))
_NEAR_MAX = 6
"""How many of the likeliest numbers have numbers near them in a column."""

_PROBE = 0x2545_F491
"""A number that stands in no contract: where a comparison has it, it came from us."""


def probe(number: int) -> int:
    """Return a positive number of 30 bits that is not met by chance, another one for each place."""
    return (_PROBE + 0x3779_B1 * number) & 0x3FFF_FFFF


def narrow_probe(size: int, number: int) -> int:
    """Return such a number of 2, 4 or 8 bytes that is the same in both orders of bytes; of one byte, a short one."""
    half = (probe(number) & 0x7F7F_7F7F).to_bytes(4, "big")[-((size + 1) // 2) :]
    return int.from_bytes(half[: size // 2] + half[::-1], "big")


_PROBES = frozenset(
    number for at in range(16) for number in (probe(at), *(narrow_probe(size, at) for size in (2, 4, 8)))
)
"""Probes of the first places. One of two bytes is hardly met by chance, too."""


def is_probe(number: int) -> bool:
    """Check whether a number is a probe: a comparison that has it tells a limit, and the number below may be needed."""
    return number in _PROBES


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
        if found and (len(found) == len(others) or max(map(abs, found)) > RARE):
            return length
    return None


def near(numbers: Sequence[int]) -> Iterator[int]:
    """Yield numbers near others: one more and less, halves, doubles, sums and differences of two."""
    for number in numbers:
        yield from (number + 1, number - 1, number // 2, 2 * number)
    for one, other in itertools.combinations(numbers, 2):
        yield from (one + other, abs(one - other))


_NAME_MAX = 255


def next_names(here: Sequence[Value]) -> Iterator[int]:
    """Yield the numbers that come next where things are named by counting: two new names, and those before."""
    names = [number for number in here if isinstance(number, int) and 0 <= number <= _NAME_MAX]
    if names and len(names) == len(here):
        last = max(names)
        yield from (last + 1, last + 2)
        yield from range(min(last, COMMON_MAX) + 1)


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
    usual = [1, 0] if here else [1, 0, *ends[INTEGER_BYTES[kind]][:1]]
    likely: list[Value] = [*here[:2], *addresses, *here[2:6], *next_names(here), *usual]
    likely += [*around.balances[:1], *others[:4]]
    likely += _interleave(here[6:], seen, around.stored, [probe(place)], constants, near(close), others[4:])
    likely += [*itertools.chain(*ends.values()), *around.balances, -1, 2 ** (bits - 1) - 1, -(2 ** (bits - 1))]
    signed = (as_signed(kind, number) for number in likely)
    return list(dict.fromkeys(number for number in signed if number is not None))


def _interleave(*rows: Iterable[Value]) -> Iterator[Value]:
    return (each for several in itertools.zip_longest(*rows) for each in several if each is not None)


def money(here: Sequence[int], observed: Observed, around: Surroundings, constants: Sequence[int] = ()) -> list[int]:
    """Return what may be sent along, the likeliest first; 0 is among it."""
    balance = max(around.balances, default=0)
    seen = [*here, *observed.money]
    close = [*(each + 1 for each in seen[:_NEAR_MAX]), balance // 2, balance, 1, balance // 4, probe(0), balance // 3]
    known = [each for each in (*observed.numbers.get("i64", ()), *around.stored) if isinstance(each, int) and each > 1]
    more = [*seen, *_interleave(close, known), *near(seen[:3]), *constants]
    values = [*here[:2], *([] if here else [0]), *more, 0]
    return list(dict.fromkeys(each for each in values if isinstance(each, int) and 0 <= each <= balance))


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
    sure = sure_of(value)
    close: list[int] = []
    for pair in pairs:
        for one, other in (pair, pair[::-1]):
            if one == value:
                yield other, sure
                if is_probe(value):  # it was too much, and the limit itself may be as well
                    yield other - 1, sure
                    close.append(other + 1)
                else:
                    close += (other - 1, other + 1)
            elif sure is not Sure.NO and one > value > 0 and one % value == 0:
                yield other * value // one, sure  # it was multiplied before
                close.append(other * value // one + 1)
            elif value > _SHIFTED and abs(one - value) <= min(value, _SHIFT_MAX):
                close.append(other - (one - value))  # something was added before
    for number in close:
        yield number, Sure.NO


class Sure(enum.IntEnum):
    """How sure it is that an operand of a comparison came from a number that was chosen."""

    NO = 0
    LIKELY = 1
    YES = 2


COMMON_MAX, RARE = 15, 0xFFFF
"""Numbers up to the first are met everywhere; those beyond the second hardly by chance."""


def sure_of(number: int) -> Sure:
    """Return how sure it is that a number in a comparison is one that was chosen, and no other like it."""
    if abs(number) > RARE or is_probe(number):
        return Sure.YES
    return Sure.LIKELY if abs(number) > COMMON_MAX else Sure.NO


_SHIFTED, _SHIFT_MAX = 1_000, 1 << 20
"""Beyond the first, an operand that differs by the second at most may be the number with something added."""
