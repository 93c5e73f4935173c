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

from storagemod.explore.attacker import DATA_BYTES_MAX, EntryPoint
from storagemod.explore.call_data import Form, columns_of, forms, plain, probe_of, with_codes
from storagemod.explore.script import MAIN, Call
from storagemod.explore.values import (
    INTEGER_BYTES,
    Observed,
    Surroundings,
    as_signed,
    column,
    combinations,
    money,
    probe,
)
from storagemod.types import ADDRESS_BYTES, Address, Value
from storagemod.wasm import Mentions

ARGUMENTS_MAX = 10_000
"""How many calls are made of one entry point, with other arguments each time, if no other number is asked for."""

_LEARNT_MAX = 256
"""How many calls that comparisons told of are kept of one entry point."""

_SEEN_BEST = 4
"""How many of the calls that were seen cost least."""

_PROBES = 1.0
"""What the call costs whose arguments are numbers that comparisons show again."""

_PENALTY_MAX, _VIEW_PENALTY_MAX = 2.0, 6.0
"""What calls of an entry point cost besides at most, and of one that goes well and changes nothing.

It is put off, and never left out.
"""

_VIEW_SEEN = 3
"""How often an entry point has to go well, and change nothing, to be taken for one that only answers."""

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
    form: Form | None = None
    """The form of its call data."""
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
        if not self.changed and self.succeeded > _VIEW_SEEN:
            return self.nudge + min(_VIEW_PENALTY_MAX, 2.0 * math.log2(self.succeeded / 2))
        return self.nudge + min(_PENALTY_MAX, math.log2(self.tried / (4 * self.changed + 2)))

    def numbers(self, call: Call) -> tuple[Value, ...]:
        """Return the arguments of a call, or the numbers in its data; none where they have another form."""
        if self.point.method is not None:
            return call.args if call.method == self.point.method else ()
        return () if self.form is None or call.method is not None else self.form.numbers(call.data) or ()

    def probe(self, at: int) -> int | None:
        """Return a number for a place that is not met by chance, as far as its type allows; ``None`` if it has none."""
        if self.form is not None:
            field = self.form.fields[at]
            return None if field.size >= ADDRESS_BYTES else probe_of(field, at)
        return probe(at) if self.point.type.params[at] in INTEGER_BYTES else None

    def with_number(self, call: Call, at: int, number: int) -> tuple[tuple[Value, ...], bytes] | None:
        """Return the arguments and the data of a call with another number in a place; ``None`` if it does not fit.

        A number may come from a place that has a sign, or from one that has none.
        """
        if self.form is not None:
            numbers = list(self.form.numbers(call.data) or ())
            limit = 1 << 8 * self.form.fields[at].size
            if not numbers or not -limit // 2 <= number < limit:
                return None
            numbers[at] = number % limit
            return call.args, self.form.data(numbers)
        kind = self.point.type.params[at]
        value = as_signed(kind, number) if kind in INTEGER_BYTES else None
        return None if value is None else ((*call.args[:at], value, *call.args[at + 1 :]), call.data)

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
    formed: dict[Address, list[Form]] = {}
    for point in points:
        mentioned = code[point.contract].get(point.method or MAIN, _NOTHING)
        seen = observed.calls.get((point.contract, point.method), {})
        for args, _, _ in seen:
            for kind, value in zip(point.type.params, args, strict=False):
                observed.number(kind, value)
        if point.method is None and _CALL_DATA in mentioned.imports:
            data = ((data, value) for _, data, value in seen if data and len(data) <= DATA_BYTES_MAX)
            formed[point.contract] = forms(data, mentioned.constants[: mentioned.compared], around)
            for number in (each for form in formed[point.contract] for each in form.seen_numbers()):
                observed.number("i64", number)
    entries = []
    for point in points:
        mentioned = code[point.contract].get(point.method or MAIN, _NOTHING)
        if point.method is not None:
            number, calls = _typed(point, observed, around, mentioned)
            entries.append(Entry(point, number, calls, most))
            continue
        seen = observed.calls.get((point.contract, None), {})
        sums = _sums(seen, observed, around, mentioned)
        found = formed.get(point.contract, ())
        number, calls = _main(point, found, seen, sums, around, mentioned)
        entries.append(Entry(point, number, calls, most))
        for form in found:
            number, calls = _formed(point, form, sums, observed, around, mentioned)
            entries.append(Entry(point, number, calls, most, form=form))
    return entries


_NOTHING = Mentions((), frozenset())
_CALL_DATA = ("ethereum", "callDataCopy")
_CREATE = ("ethereum", "create")
_CALL_VALUE = ("ethereum", "getCallValue")
_Calls = tuple[int, Iterator[tuple[float, Call]]]
_Seen = Iterable[tuple[tuple[Value, ...], bytes, int]]
"""Calls that were seen: arguments, data, and the value that came along."""


def _main(
    point: EntryPoint, found: Sequence[Form], seen: _Seen, sums: Sequence[int], around: Surroundings, code: Mentions
) -> _Calls:
    """Return calls of ``main``, which have data and money: data that were seen, and such as have no form."""
    given = [data for _, data, _ in seen]
    data = plain(given)
    if _CREATE in code.imports and _CALL_DATA in code.imports:
        data = list(dict.fromkeys([*data[:2], *with_codes(given, around, (form.head for form in found)), *data[2:]]))
    known = (
        (math.log2(1 + number / _SEEN_BEST), Call(point.contract, None, data=given, value=value))
        for number, (_, given, value) in enumerate(seen)
    )
    made = (
        (cost, Call(point.contract, None, data=data[int(at)], value=int(amount)))
        for cost, (at, amount) in combinations([range(len(data)), sums])
    )
    return len(data) * len(sums), heapq.merge(known, made, key=itemgetter(0))


def _sums(seen: _Seen, observed: Observed, around: Surroundings, code: Mentions) -> list[int]:
    """Return what may be sent along with calls of ``main``: nothing, where its code does not look at it."""
    paid = [value for *_, value in seen if value]
    return money(paid, observed, around, code.constants) if paid or _CALL_VALUE in code.imports else [0]


def _formed(
    point: EntryPoint, form: Form, sums: Sequence[int], observed: Observed, around: Surroundings, code: Mentions
) -> _Calls:
    """Return the calls of ``main`` whose data have one form."""
    paid = list(dict.fromkeys(value for _, value in form.seen))
    amounts = [0] if form.seen and not any(paid) else list(dict.fromkeys([*(paid or [0]), *sums]))
    columns = columns_of(form, sums, observed, around, code.constants)

    def call(numbers: Iterable[int], amount: int) -> Call:
        return Call(point.contract, None, data=form.data(numbers), value=amount)

    made = (
        (cost, call(numbers, amount))  # type: ignore[arg-type]
        for cost, (*numbers, amount) in combinations([*columns, amounts], form.extra)
    )
    probes = [
        column[0] if field.size >= ADDRESS_BYTES else probe_of(field, place)
        for place, (field, column) in enumerate(zip(form.fields, columns, strict=True))
    ]
    told = [(_PROBES + form.extra, call(probes, amounts[0]))] if form.fields else []
    return math.prod(map(len, columns)) * len(amounts), heapq.merge(made, told, key=itemgetter(0))


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

    def call(values: Sequence[Value | None], value: int) -> Call:
        return Call(point.contract, point.method, tuple(values), value=value)  # type: ignore[arg-type]

    known = ((math.log2(1 + number / _SEEN_BEST), call(*each)) for number, each in enumerate(seen))
    made = (
        (cost, call(values[: len(params)], int(values[-1]) if len(values) > len(params) else 0))
        for cost, values in combinations(columns)
    )
    probes = tuple(probe(at) if kind in INTEGER_BYTES else 1.0 for at, kind in enumerate(params))
    told = [(_PROBES, call(probes, 0))] if params else []
    return possible, heapq.merge(known, made, told, key=itemgetter(0))
