"""The menu of a search: the calls that may be made of each entry point, and how they fared.

A call has a cost, in bits as it were: how unlikely it is that just this one is needed. Calls that fail again and again
become dearer, and so do entry points by which nothing ever changes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

from attrs import define, field

from storagemod.explore.attacker import EntryPoint
from storagemod.explore.script import MAIN, Call
from storagemod.explore.values import (
    INTEGER_BYTES,
    SELECTOR_BYTES,
    WORD_BYTES,
    Observed,
    Surroundings,
    as_signed,
    call_data,
    column,
    combinations,
    money,
    probe,
    selectors,
    with_codes,
    words,
)
from storagemod.types import Address, Value
from storagemod.wasm import Mentions

ARGUMENTS_MAX = 10_000
"""How many calls are made of one entry point, with other arguments each time, if no other number is asked for."""

_WORDS_MAX = 3
"""How many words follow a selector at most, where no call of it was seen."""

_LEARNT_MAX = 256
"""How many calls that comparisons told of are kept of one entry point."""

_SEEN_BEST = 4
"""How many of the calls that were seen cost least."""

_PROBES = 1.0
"""What the call costs whose arguments are numbers that comparisons show again."""

_PENALTY_MAX = 2.0
"""What calls of an entry point cost besides at most: it is put off, and never left out."""

_PAST = math.inf


@define(eq=False)
class Entry:
    """An entry point, its calls from the likeliest to the least likely, so that costs never fall, and how they fared.

    Attributes:
        point: The entry point.
        possible: How many combinations of values there are.
    """

    point: EntryPoint
    possible: int
    _rest: Iterator[tuple[float, Call]] = field(repr=False)
    _most: int
    calls: list[Call] = field(factory=list)
    costs: list[float] = field(factory=list)
    learnt: list[Call] = field(factory=list)
    """Calls that comparisons told of. They cost little."""
    _known: set[Call] = field(factory=set, repr=False)
    nudge: float = 0.0
    """What changes the order by the seed."""
    tried: int = 0
    succeeded: int = 0
    changed: int = 0
    """How many of the calls that were made changed anything."""

    @property
    def key(self) -> tuple[Address, str]:
        """Contract and method."""
        return self.point.contract, self.point.method or MAIN

    def cost(self, number: int) -> float:
        """Return the cost of the call of a number; infinite where there is none."""
        while number >= len(self.calls):
            if len(self.calls) >= self._most:
                return _PAST
            found = next(self._rest, None)
            if found is None:
                return _PAST
            if found[1] not in self._known:
                self._known.add(found[1])
                self.calls.append(found[1])
                self.costs.append(found[0])
        return self.costs[number]

    @property
    def penalty(self) -> float:
        """What its calls cost besides: nothing while there is hope."""
        if self.tried <= 4 * self.changed + 2:
            return self.nudge
        return self.nudge + min(_PENALTY_MAX, math.log2(self.tried / (4 * self.changed + 2)))

    def learn(self, call: Call) -> bool:
        """Take a call up that comparisons told of; return whether it is new."""
        if call in self._known or len(self.learnt) >= _LEARNT_MAX or len(self.learnt) + len(self.calls) >= self._most:
            return False
        self._known.add(call)
        self.learnt.append(call)
        return True


def menu_of(
    points: Sequence[EntryPoint],
    observed: Observed,
    around: Surroundings,
    *,
    code: Mapping[Address, Mapping[str, Mentions]],
    most: int = ARGUMENTS_MAX,
) -> list[Entry]:
    """Return what may be called.

    Args:
        points: The entry points.
        observed: Calls that were seen, and the numbers in them.
        around: Addresses, balances, numbers in storage.
        code: By contract, what the code of each method mentions.
        most: How many calls are made of one entry point at most.
    """
    for point in points:
        for args, _, _ in observed.calls.get((point.contract, point.method), ()):
            for kind, value in zip(point.type.params, args, strict=False):
                observed.number(kind, value)
    entries = []
    for point in points:
        mentioned = code[point.contract].get(point.method or MAIN, _NOTHING)
        make = _main if point.method is None else _typed
        number, calls = make(point, observed, around, mentioned)
        entries.append(Entry(point, number, calls, most))
        if point.method is None and _CALL_DATA in mentioned.imports:
            for number, calls in _selected(point, observed, around, mentioned):
                entries.append(Entry(point, number, calls, most))
    return entries


_NOTHING = Mentions((), frozenset())
_CALL_DATA = ("ethereum", "callDataCopy")
_CREATE = ("ethereum", "create")
_CALL_VALUE = ("ethereum", "getCallValue")
_Calls = tuple[int, Iterator[tuple[float, Call]]]


def _main(point: EntryPoint, observed: Observed, around: Surroundings, code: Mentions) -> _Calls:
    """Return calls of ``main``, which have data and money."""
    seen = observed.calls.get((point.contract, None), {})
    given = [data for _, data, _ in seen]
    data = list(dict.fromkeys(call_data(given, observed, around, code.constants)))
    if _CREATE in code.imports and _CALL_DATA in code.imports:
        chosen_by = selectors(given, code.constants[: code.compared])
        data = list(dict.fromkeys([*data[:2], *with_codes(given, around, chosen_by), *data[2:]]))
    sums = _sums(seen, observed, around, code)
    known = (
        (math.log2(1 + number / _SEEN_BEST), Call(point.contract, None, data=given, value=value))
        for number, (_, given, value) in enumerate(seen)
    )
    made = (
        (cost, Call(point.contract, None, data=data[int(at)], value=int(amount)))
        for cost, (at, amount) in combinations([range(len(data)), sums])
    )
    return len(data) * len(sums), heapq.merge(known, made, key=itemgetter(0))


def _selected(point: EntryPoint, observed: Observed, around: Surroundings, code: Mentions) -> Iterator[_Calls]:
    """Yield calls of ``main`` for each method that call data choose: a selector, and words of 32 bytes behind it."""
    seen = observed.calls.get((point.contract, None), {})
    sums = _sums(seen, observed, around, code)
    for selector in selectors([data for _, data, _ in seen], code.constants[: code.compared]):
        like = [(data, value) for _, data, value in seen if data.startswith(selector)]
        yield _words_behind(point, selector, like, sums, observed, around, code)


def _sums(
    seen: Iterable[tuple[tuple[Value, ...], bytes, int]], observed: Observed, around: Surroundings, code: Mentions
) -> list[int]:
    """Return what may be sent along with calls of ``main``: nothing, where its code does not look at it."""
    paid = [value for *_, value in seen if value]
    return money(paid, observed, around, code.constants) if paid or _CALL_VALUE in code.imports else [0]


def _words_behind(
    point: EntryPoint,
    selector: bytes,
    like: Sequence[tuple[bytes, int]],
    sums: Sequence[int],
    observed: Observed,
    around: Surroundings,
    code: Mentions,
) -> _Calls:
    """Return the calls of one method: of as many words as were seen, else of none to three.

    Code that compares the length of call data with that of so many words makes this number likelier.
    """
    lengths = {len(data) - SELECTOR_BYTES for data, _ in like}
    if any(length % WORD_BYTES for length in lengths):
        return 0, iter(())  # not of words: calls of `main` that are like those seen do it
    counts = sorted({length // WORD_BYTES for length in lengths}) or range(_WORDS_MAX + 1)
    paid = list(dict.fromkeys(value for _, value in like))
    amounts = [0] if like and not any(paid) else list(dict.fromkeys([*(paid or [0]), *sums]))
    compared = code.constants[: code.compared]
    told = {at for at in counts if {SELECTOR_BYTES + WORD_BYTES * at, WORD_BYTES * at} & set(compared) - {0}}
    rows: list[list[Sequence[Value]]] = []
    for count in counts:
        columns: list[Sequence[Value]] = []
        for place in range(count):
            start = SELECTOR_BYTES + WORD_BYTES * place
            here = [int.from_bytes(data[start : start + WORD_BYTES], "big") for data, _ in like if len(data) > start]
            columns.append(words(place, list(dict.fromkeys(here)), sums, observed, around, code.constants))  # type: ignore[arg-type]
        rows.append([*columns, amounts])

    def calls() -> Iterator[tuple[float, Call]]:
        several = []
        for count, columns in zip(counts, rows, strict=True):
            extra = 0.0 if like or count in told else count + 2.0 * bool(told and count)
            several.append(combinations(columns, extra))
        for cost, (*behind, amount) in heapq.merge(*several, key=itemgetter(0)):
            data = selector + b"".join(behind)  # type: ignore[arg-type]
            yield cost, Call(point.contract, None, data=data, value=int(amount))

    return sum(math.prod(map(len, columns)) for columns in rows), calls()


def _typed(point: EntryPoint, observed: Observed, around: Surroundings, code: Mentions) -> _Calls:
    """Return calls of a method, which have arguments; and money, where they are sent as transactions."""
    params = point.type.params
    seen = [
        (tuple(as_signed(kind, arg) for kind, arg in zip(params, args, strict=True)), value)
        for args, _, value in observed.calls.get((point.contract, point.method), {})
        if len(args) == len(params)
    ]
    columns: list[Sequence[Value]] = [
        column(kind, at, list(dict.fromkeys(args[at] for args, _ in seen)), observed, around, code.constants)  # type: ignore[misc]
        for at, kind in enumerate(params)
    ]
    paid = list(dict.fromkeys(value for _, value in seen if value))
    if paid or _CALL_VALUE in code.imports:
        columns.append(money(paid, observed, around, code.constants))
    possible = math.prod(len(each) for each in columns)
    probes = tuple(probe(at) if kind in INTEGER_BYTES else 1.0 for at, kind in enumerate(params))

    def call(values: Sequence[Value | None], value: int) -> Call:
        return Call(point.contract, point.method, tuple(values), value=value)  # type: ignore[arg-type]

    known = ((math.log2(1 + number / _SEEN_BEST), call(*each)) for number, each in enumerate(seen))
    made = (
        (cost, call(values[: len(params)], int(values[-1]) if len(values) > len(params) else 0))
        for cost, values in combinations(columns)
    )
    told = [(_PROBES, call(probes, 0))] if params else []
    return possible, heapq.merge(known, made, told, key=itemgetter(0))
