"""Suggest invariants: what held over the transactions of a scenario, in the manner of Daikon, but for contracts.

Storage is looked at after each transaction that changed anything, as integers of 64 bits. *Tables* are found by their
keys: contracts keep what belongs to an account at ``base + stride * key``. Where they ask who calls, the key is the
last byte of its address, and a table has 256 entries. Otherwise it is an argument, and a table goes on.
Relations that contracts live by are tried between balances, single integers and sums of tables. Money covers debts, a
total is the sum of a table, a sum stays, a share never loses worth, nothing is negative.

A suggestion is a guess from few states. Each held in all of them, and no suggestion is about what never changed.
"""

from __future__ import annotations

import json
import keyword
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import attrs
from attrs import define, field, frozen

from storagemod.scenario.contents import contents, gone
from storagemod.scenario.deploy import deploy_scenario
from storagemod.scenario.run import run_scenario, run_transaction
from storagemod.scenario.schema import InvariantSpec, Scenario
from storagemod.types import Address
from storagemod.vm import SLOTS_REGION
from storagemod.world import StorageView, World

SUGGESTIONS_MAX = 12
CELLS_MAX = 20_000
"""Integers of one contract that are looked at, those at the lowest offsets first."""
_TRIED_MAX = 60
"""Suggestions that are checked by a run of their own."""
_CELL = 8
_STRIDES = (8, 16, 32)
_ENTRIES = 256
"""Of a table whose key is the last byte of an address."""
_ALIGNED = 64
"""Where a table may begin of which one entry was seen."""
_SMALL = 16

Values = tuple[int, ...]
"""One value for each state: the first before any transaction."""


@frozen
class Suggestion:
    """An invariant that held.

    Attributes:
        spec: The invariant, as a scenario has it.
        states: In how many states it held.
        changed: How many transactions changed what it is about.
    """

    spec: InvariantSpec
    states: int
    changed: int


@frozen
class _Term:
    """Something with a value in each state.

    Attributes:
        text: It, in the language of invariants.
        title: It, for people.
        owner: The contract that it belongs to.
        kind: ``balance``, ``cell``, ``table``, or ``entry`` of a table that belongs to another contract.
        least: The least number in it; of a table, in any state.
        most: The greatest.
    """

    text: str
    title: str
    owner: str
    kind: str
    values: Values
    least: int
    most: int

    @property
    def changes(self) -> int:
        """How many transactions changed it."""
        return sum(1 for before, after in pairwise(self.values) if before != after)


def reference(name: str) -> str:
    """Return how an expression names an account."""
    plain = name.isidentifier() and name.isascii() and not keyword.iskeyword(name)
    return name if plain else f"account({json.dumps(name, ensure_ascii=False)})"  # Python has these escapes, too


def profit_invariant(world: World, untrusted: Mapping[str, Address]) -> InvariantSpec:
    """Return the invariant that untrusted accounts, all together, end with no more than they begin with.

    Their money at the start is in it as a number, so that it can be written into a test. Only balances count: tokens
    that contracts keep in storage do not, and to take back what contracts rightly owe is a profit.

    Args:
        world: The world that tries start from.
        untrusted: The accounts, by the names that expressions have for them.
    """
    total = " + ".join(f"balance({reference(name)})" for name in untrusted) or "0"
    start = sum(world.account(address).balance for address in dict.fromkeys(untrusted.values()))
    names = ", ".join(untrusted) or "nobody"
    return InvariantSpec(expr=f"{total} <= {start}", name=f"no profit for {names}")


def suggest_invariants(
    scenario: Scenario, *, link: str | None = None, most: int = SUGGESTIONS_MAX
) -> tuple[Suggestion, ...]:
    """Suggest invariants that held before and after all transactions of a scenario, the most telling ones first.

    Args:
        scenario: The scenario. Its own invariants do not matter.
        link: The linking option of contracts that leave it open.
        most: How many to suggest at most.

    Raises:
        ScenarioError: The scenario cannot be run.
    """
    states = _Observed(scenario)
    world = World()
    deploy_scenario(scenario, world, link=link)
    states.add(world)
    quiet = attrs.evolve(scenario, invariants=())
    for number in range(len(scenario.transactions)):
        run_transaction(world, quiet, number)
        states.add(world)
    terms = states.terms()
    drawn: dict[str, tuple[InvariantSpec, int]] = {}
    for spec, changed in _relations(terms):
        if changed and len(drawn) < _TRIED_MAX:
            drawn.setdefault(spec.expr, (spec, changed))
    found = [Suggestion(spec, states.count, changed) for spec, changed in drawn.values()]
    return tuple(_holding(scenario, link, found))[:most]


def _holding(scenario: Scenario, link: str | None, suggestions: Sequence[Suggestion]) -> Iterator[Suggestion]:
    """Run the scenario with the suggestions as its invariants, and yield those that hold."""
    if not suggestions:
        return
    specs = tuple(attrs.evolve(each.spec, name=str(number)) for number, each in enumerate(suggestions))
    result = run_scenario(attrs.evolve(scenario, invariants=specs), link=link)
    broken = {difference.what for each in result.transactions for difference in each.differences}
    for number, each in enumerate(suggestions):
        if f'invariant "{number}"' not in broken:
            yield each


@define
class _Observed:
    """The states that a scenario went through, each different from the one before.

    Attributes:
        cells: Integers that are not zero, by contract and region, then by offset, for each state.
        balances: Balances by name, for each state.
        asking: The contracts that ask who calls.
    """

    scenario: Scenario
    cells: list[dict[tuple[str, str], dict[int, int]]] = field(factory=list)
    balances: list[dict[str, int]] = field(factory=list)
    asking: set[str] = field(factory=set)

    @property
    def count(self) -> int:
        """How many states there were."""
        return len(self.cells)

    def add(self, world: World) -> None:
        """Look at the world as it is now."""
        cells: dict[tuple[str, str], dict[int, int]] = {}
        for name in self.scenario.contracts:
            address = self.scenario.addresses[name]
            if gone(world, address, name) is not None:
                continue
            regions = contents(world, address)
            if any(each.name == "getCaller" for each in world.contract(address).imports):
                self.asking.add(name)
            for region, view in regions.items():
                if region.isidentifier() and not keyword.iskeyword(region) and region != SLOTS_REGION:
                    cells[name, region] = _cells(view.data() if isinstance(view, StorageView) else [(0, view[:])])
        balances = {name: world.account(address).balance for name, address in self.scenario.addresses.items()}
        if not self.cells or (cells, balances) != (self.cells[-1], self.balances[-1]):
            self.cells.append(cells)
            self.balances.append(balances)

    def terms(self) -> list[_Term]:
        """Return what relations can be about: what changed, and is there in all states."""
        terms = []
        for name in self.scenario.contracts:
            values = tuple(balances[name] for balances in self.balances)
            text = f"balance({reference(name)})"
            terms.append(_Term(text, text, name, "balance", values, min(values), max(values)))
        places = [place for place in self.cells[0] if all(place in cells for cells in self.cells)]
        for place in places:
            terms += self._of_region(*place)
        return [term for term in terms if term.changes]

    def _of_region(self, name: str, region: str) -> Iterator[_Term]:
        history = [cells[name, region] for cells in self.cells]
        offsets = sorted({offset for cells in history for offset in cells})
        place = f"{reference(name)}.{region}"
        tables = self._tables(offsets)
        for base, stride in tables:
            later = next((other for other, _ in tables if other > base), None)
            stop = later if name not in self.asking else min(base + _ENTRIES * stride, later or sys.maxsize)
            inside = range(base, stop or sys.maxsize, stride)
            values = tuple(sum(cells[offset] for offset in cells if offset in inside) for cells in history)
            numbers = [cells.get(offset, 0) for cells in history for offset in offsets if offset in inside]
            text = f"sum({place}[{base}:{stop or ''}{'' if stride == _CELL else f':{stride}'}])"
            title = f"the table of {name} at {base}"
            yield _Term(text, title, name, "table", values, min(*numbers, 0), max(numbers))
        contracts = [self.scenario.addresses[each][-1] for each in self.scenario.contracts]
        entries = {base + stride * key for base, stride in tables for key in contracts}
        for offset in offsets:
            is_inside = any(base <= offset and (offset - base) % stride == 0 for base, stride in tables)
            if is_inside and offset not in entries:
                continue
            values = tuple(cells.get(offset, 0) for cells in history)
            text, kind = f"{place}[{offset}]", "entry" if is_inside else "cell"
            yield _Term(text, text, name, kind, values, min(values), max(values))

    def _keys(self) -> set[int]:
        """Return what tables may have for keys."""
        args = [arg for transaction in self.scenario.transactions for arg in transaction.args]
        small = {arg for arg in args if isinstance(arg, int) and 0 <= arg < _SMALL}
        return {0, *small, *(address[-1] for address in self.scenario.addresses.values())}

    def _tables(self, offsets: Sequence[int]) -> list[tuple[int, int]]:
        """Find tables: where each begins, and its stride. The one that explains most integers is taken first."""
        keys, left, tables = self._keys(), set(offsets), []
        while left:
            scores: dict[tuple[int, int], int] = {}
            for stride in _STRIDES:
                for offset in left:
                    for key in keys:
                        base = offset - stride * key
                        if base > 0:
                            scores[base, stride] = scores.get((base, stride), 0) + 1
            likely = [
                (score, base & -base, -stride, base)
                for (base, stride), score in scores.items()
                if base % _ALIGNED == 0 or score > 2  # noqa: PLR2004 - two can meet by chance
            ]
            if not likely:
                break
            _, _, stride, base = max(likely)
            tables.append((base, -stride))
            stop = base + _ENTRIES * -stride
            left = {offset for offset in left if not base <= offset < stop}
        return sorted(tables)


def _cells(pages: Iterable[tuple[int, bytes]]) -> dict[int, int]:
    """Return the integers that are not zero, by offset."""
    cells: dict[int, int] = {}
    for start, page in pages:
        for place in range(0, len(page) - _CELL + 1, _CELL):
            number = int.from_bytes(page[place : place + _CELL], "little", signed=True)
            if number:
                if len(cells) >= CELLS_MAX:
                    return cells
                cells[start + place] = number
    return cells


def _relations(terms: Sequence[_Term]) -> Iterator[tuple[InvariantSpec, int]]:
    """Yield the relations between terms that held in all states, the most telling ones first."""
    balances = [term for term in terms if term.kind == "balance"]
    tables = [term for term in terms if term.kind == "table"]
    cells = [term for term in terms if term.kind in {"cell", "entry"}]
    for relation in (_covered, _totalled, _worth, _steady, _opposite, _not_negative, _growing, _limited):
        yield from relation(balances, tables, cells)


def _covered(
    balances: Sequence[_Term], tables: Sequence[_Term], cells: Sequence[_Term]
) -> Iterator[tuple[InvariantSpec, int]]:
    """Money covers debts: the difference of a balance and a sum stays. More money than that does no harm."""
    for money in balances:
        for debt in (*tables, *cells):
            apart = {has - owes for has, owes in zip(money.values, debt.values, strict=True)}
            if len(apart) == 1:
                (more,) = apart
                extra = "" if more == 0 else f" + {more}" if more > 0 else f" - {-more}"
                yield _spec(f"{money.owner} covers {debt.title}", f"{money.text} >= {debt.text}{extra}", money, debt)
                break  # others of equal value say the same


def _totalled(
    _: Sequence[_Term], tables: Sequence[_Term], cells: Sequence[_Term]
) -> Iterator[tuple[InvariantSpec, int]]:
    """A total is the sum of a table. What another contract has written down for this one may be more."""
    for table in tables:
        for cell in cells:
            if cell.values != table.values:
                continue
            if cell.kind == "entry" and cell.owner != table.owner:
                yield _spec(f"{cell.title} covers {table.title}", f"{table.text} <= {cell.text}", table, cell)
            elif cell.kind == "cell":
                yield _spec(f"{cell.title} is the sum of {table.title}", f"{table.text} == {cell.text}", table, cell)


def _worth(
    balances: Sequence[_Term], tables: Sequence[_Term], cells: Sequence[_Term]
) -> Iterator[tuple[InvariantSpec, int]]:
    """A share never loses worth: what there is, by how many own it, does not get less."""
    own = [cell for cell in cells if cell.kind == "cell"]
    done: set[str] = set()
    for has in (*balances, *own):
        for shares in (*own[own.index(has) + 1 if has in own else 0 :], *tables):
            if has.owner in done or shares.owner != has.owner or min(*has.values, *shares.values) <= 0:
                continue
            steps = list(pairwise(zip(has.values, shares.values, strict=True)))
            together = sum(1 for (a, s), (b, t) in steps if a != b and s != t)
            if together > 1 and all(b * s >= a * t for (a, s), (b, t) in steps):
                done.add(has.owner)
                expr = f"{has.text} * before({shares.text}) >= before({has.text}) * {shares.text}"
                yield _spec(f"a share of {has.title} by {shares.title} never loses worth", expr, has, shares)


def _steady(_: Sequence[_Term], tables: Sequence[_Term], cells: Sequence[_Term]) -> Iterator[tuple[InvariantSpec, int]]:
    """Yield that two tables together hold the same all the time: what leaves one goes to the other."""
    terms = [*tables, *cells]
    for number, one in enumerate(terms):
        for other in terms[number + 1 :]:
            together = {a + b for a, b in zip(one.values, other.values, strict=True)}
            if len(together) == 1 and "table" in {one.kind, other.kind}:
                name = f"{one.title} and {other.title} together stay"
                yield _spec(name, f"{one.text} + {other.text} == {together.pop()}", one, other)


def _opposite(
    balances: Sequence[_Term], tables: Sequence[_Term], cells: Sequence[_Term]
) -> Iterator[tuple[InvariantSpec, int]]:
    """Yield that what is paid is written down: a balance and a number together stay."""
    for money in balances:
        for paid in (*tables, *cells):
            together = {a + b for a, b in zip(money.values, paid.values, strict=True)}
            if len(together) == 1:
                name = f"{money.owner} writes down in {paid.title} what it pays"
                yield _spec(name, f"{money.text} + {paid.text} >= {together.pop()}", money, paid)


def _not_negative(
    _: Sequence[_Term], tables: Sequence[_Term], cells: Sequence[_Term]
) -> Iterator[tuple[InvariantSpec, int]]:
    """Nothing is negative."""
    for term in (*tables, *_apart(cells, tables)):
        if term.least >= 0 and term.changes > 1:
            inner = term.text.removeprefix("sum(").removesuffix(")")
            expr = f"min({inner}) >= 0" if term.kind == "table" else f"{term.text} >= 0"
            yield _spec(f"{term.title} is never negative", expr, term)


def _growing(
    balances: Sequence[_Term], tables: Sequence[_Term], cells: Sequence[_Term]
) -> Iterator[tuple[InvariantSpec, int]]:
    """A number only grows. Amounts are left out: a scenario in which nobody withdraws says nothing about them."""
    for term in _apart(cells, [*tables, *balances]):
        if term.changes > 1 and all(before <= after for before, after in pairwise(term.values)):
            yield _spec(f"{term.title} never falls", f"{term.text} >= before({term.text})", term)


def _apart(cells: Sequence[_Term], others: Sequence[_Term]) -> list[_Term]:
    """Return the integers of their own that are not equal to anything else in all states."""
    known = {term.values for term in others}
    return [cell for cell in cells if cell.kind == "cell" and cell.values not in known]


def _limited(_: Sequence[_Term], tables: Sequence[_Term], __: Sequence[_Term]) -> Iterator[tuple[InvariantSpec, int]]:
    """No entry of a table goes beyond a small number: a guess at a limit that the contract may have."""
    for term in tables:
        if 0 <= term.least <= term.most <= _SMALL and term.changes > 1:
            inner = term.text.removeprefix("sum(").removesuffix(")")
            yield _spec(f"no entry of {term.title} exceeds {term.most}", f"max({inner}) <= {term.most}", term)


def _spec(name: str, expr: str, *terms: _Term) -> tuple[InvariantSpec, int]:
    steps = zip(*(pairwise(term.values) for term in terms), strict=True)
    changed = sum(1 for step in steps if any(before != after for before, after in step))
    return InvariantSpec(expr=expr, name=name), changed
