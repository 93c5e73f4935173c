"""The frontier: every try within the bounds comes once, against a plain enumeration of scripts; no trial is run."""

from __future__ import annotations

import itertools
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from storagemod.explore import frontier as module
from storagemod.explore.attacker import Attacker, EntryPoint
from storagemod.explore.call_data import Field, Form
from storagemod.explore.follower import CallOutcome, Site
from storagemod.explore.frontier import Frontier
from storagemod.explore.menu import Entry
from storagemod.explore.opening import Candidate
from storagemod.explore.script import (
    MAIN,
    Call,
    Ending,
    Place,
    Reaction,
    Script,
    calls_in,
    decisions_in,
    depth_of,
    walk,
)
from storagemod.explore.trial import TrialResult
from storagemod.explore.values import probe
from storagemod.types import Address, FunctionType, Value, ValueType

BANK, MALLORY, EVE = Address(0xBA), Address(0xAA), Address(0xEE)
HOOK = "hook"


@define
class Toy:
    """A contract whose methods call the attacker so many times, as trials would tell of it: all that runs is changed.

    Attributes:
        hooks: By method, how often it calls out.
        magic: What each of its calls out has to be answered, or it fails.
        static: Whether it calls out in static calls.
        gives: By method, the number that it returns.
    """

    hooks: dict[str, int]
    magic: Value | None = None
    static: bool = False
    gives: dict[str, int] = field(factory=dict)
    _order: int = 0

    def run(self, script: Script) -> TrialResult:
        self._order = 0
        sites: list[Site] = []
        outcomes: dict[Place, CallOutcome] = {}
        played: dict[Place, tuple[int, Address]] = {}
        self._call(script[-1], (len(script) - 1,), (), sites, outcomes, played)
        return TrialResult((), tuple(sites), outcomes, frozenset(), played)

    def _call(
        self,
        call: Call,
        path: Place,
        active: tuple[Address, ...],
        sites: list[Site],
        outcomes: dict[Place, CallOutcome],
        played: dict[Place, tuple[int, Address]],
    ) -> None:
        number, position, ok = self._next(), 0, True
        skipped: list[Reaction] = []
        outcomes[path] = CallOutcome(True, True, number)
        for _ in range(1 if call.method is None else self.hooks[call.method]):
            called = self._next()
            if position == len(call.reactions):
                done = Reaction(MALLORY, HOOK, self.static)
                sites.append(Site(path, tuple(skipped), done, BANK, (*active, BANK), called))
                skipped.append(done)
                ok &= self.magic is None
                continue
            reaction, place = call.reactions[position], (*path, position)
            played[place] = called, BANK
            for at, inner in enumerate(reaction.calls):
                self._call(inner, (*place, at), (*active, BANK, reaction.account), sites, outcomes, played)
            ok &= self.magic is None or reaction.values == (self.magic,)
            position += reaction.ending is Ending.RETURN  # one that fails takes its move back
        numbers = (self.gives[call.method],) if call.method in self.gives else ()
        outcomes[path] = CallOutcome(ok, ok, number, numbers)

    def _next(self) -> int:
        self._order += 1
        return self._order - 1


def entry(method: str, *args: tuple[Value, ...], kinds: tuple[ValueType, ...] = ()) -> Entry:
    calls = [(float(at), Call(BANK, method, each)) for at, each in enumerate(args or [()])]
    return Entry(EntryPoint(BANK, method, FunctionType(kinds, ())), len(calls), iter(calls), 100)


def frontier_of(
    menu: Sequence[Entry],
    *,
    calls: int,
    depth: int,
    results: tuple[ValueType, ...] = (),
    others: Sequence[Address] = (),
    costs: Iterator[float] | None = None,
) -> Frontier:
    points = tuple(each.point for each in menu)
    attackers = [Attacker(MALLORY, {HOOK: FunctionType((), results)}, points, {BANK: "bank"})]
    attackers += [Attacker(each, {}, points, {BANK: "bank"}) for each in others]
    senders = (MALLORY,)
    shuffle = costs or itertools.repeat(0.0)
    return Frontier(list(menu), senders, tuple(attackers), (), frozenset(), calls, depth, shuffle)


def taken(
    frontier: Frontier, toy: Toy, most: int = 100_000, learn: Callable[[Candidate], None] | None = None
) -> list[Candidate]:
    """Take tries to the end, and grow each by what the toy tells."""
    found: list[Candidate] = []
    while len(found) < most:
        each = frontier.take()
        if each is None:
            break
        found.append(each)
        result = toy.run(each.script)
        if learn is not None:
            learn(each)
        frontier.grow(each, result, known=False, bonus=len(found) % 9, number=len(found))
    return found


def answered_calls_back(script: Script) -> bool:
    """Whether an attacker calls back and then answers otherwise than by zeros."""
    return any(each.calls and each.values for _, call in walk(script) for each in call.reactions)


# All scripts, plainly


@define
class Everything:
    """All scripts within bounds.

    Attributes:
        hooks: By method, how often it calls out.
        arguments: By method, the arguments that it is called with.
        answers: What reactions may return, besides zeros.
    """

    hooks: dict[str, int]
    arguments: dict[str, list[tuple[Value, ...]]]
    answers: list[tuple[Value, ...]] = field(factory=list)

    def rows(self, calls: int, depth: int, sender: Address | None = None) -> Iterator[Script]:
        """All rows of calls with just so many calls."""
        if calls == 0:
            yield ()
        for first in range(1, calls + 1):
            for call in self.calls(first, depth, sender):
                for rest in self.rows(calls - first, depth, sender):
                    yield (call, *rest)

    def calls(self, calls: int, depth: int, sender: Address | None) -> Iterator[Call]:
        for method, room in self.hooks.items():
            for reactions in self.lists(calls - 1, depth, room):
                if not reactions or not reactions[-1].is_default:
                    for args in self.arguments[method]:
                        yield Call(BANK, method, args, sender=sender, reactions=reactions)

    def lists(self, calls: int, depth: int, room: int) -> Iterator[tuple[Reaction, ...]]:
        if calls == 0:
            yield ()
        if room == 0:
            return
        for ending in (Ending.REVERT, Ending.TRAP):  # what is called next in the same call does the same
            if calls == 0:
                yield (Reaction(MALLORY, HOOK, ending=ending),)
        quiet = [Reaction(MALLORY, HOOK), *(Reaction(MALLORY, HOOK, values=each) for each in self.answers)]
        for rest in self.lists(calls, depth, room - 1):
            for reaction in quiet:
                yield (reaction, *rest)
        for first in range(1, calls + 1) if depth else ():
            for row in self.rows(first, depth - 1):
                for rest in self.lists(calls - first, depth, room - 1):
                    for reaction in quiet:
                        yield (reaction.with_calls(row), *rest)

    def within(self, calls: int, depth: int) -> set[Script]:
        return {script for count in range(1, calls + 1) for script in self.rows(count, depth, MALLORY)}


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, int], int, int, tuple[ValueType, ...], int]:
    hooks = {f"m{at}": draw(st.integers(0, 2)) for at in range(draw(st.integers(1, 2)))}
    arguments = {method: draw(st.integers(1, 2)) for method in hooks}
    results: tuple[ValueType, ...] = draw(st.sampled_from([(), (), ("i32",)]))
    calls = draw(st.integers(1, 2 if results else 3))
    return hooks, arguments, calls, draw(st.integers(0, 2)), results, draw(st.integers(0, 2**16))


@given(worlds())
def test_every_script_within_the_bounds_is_tried_once_whatever_the_order(
    world: tuple[dict[str, int], dict[str, int], int, int, tuple[ValueType, ...], int],
) -> None:
    hooks, numbers, calls, depth, results, seed = world
    arguments = {method: [(at,) for at in range(number)] for method, number in numbers.items()}
    answers = [(1,), (probe(7),), (2**31 - 1,)] if results else []
    menu = [entry(method, *args, kinds=("i32",)) for method, args in arguments.items()]
    costs = ((seed * at % 7) / 3 for at in itertools.count())
    frontier = frontier_of(menu, calls=calls, depth=depth, results=results, costs=costs)
    frontier.begin()

    found = [each.script for each in taken(frontier, Toy(hooks))]

    assert len(set(found)) == len(found)
    assert set(found) == Everything(hooks, arguments, answers).within(calls, depth)
    assert (frontier.waiting, frontier.forgotten) == (0, 0)


def test_a_try_that_is_alone_first_costs_least_and_those_that_begin_alike_stand_together() -> None:
    frontier = frontier_of([entry("a"), entry("b")], calls=3, depth=2)
    frontier.begin()
    found = taken(frontier, Toy({"a": 1, "b": 1}))

    assert {decisions_in(each.script) for each in found[:2]} == {1}
    for each in found:
        assert each.order == tuple(sorted(each.order))
        assert len(each.order) == decisions_in(each.script)  # its ancestors, and itself once it grew


def test_costs_tell_how_much_was_decided() -> None:
    frontier = frontier_of([entry("a")], calls=3, depth=2)
    frontier.begin()
    costs: dict[int, list[float]] = {}
    for each in taken(frontier, Toy({"a": 1})):
        costs.setdefault(decisions_in(each.script), []).append(each.cost)

    least = [min(each) for _, each in sorted(costs.items())]
    assert least == sorted(least)


# Bounds


def test_what_is_longer_or_deeper_is_counted_and_not_tried() -> None:
    frontier = frontier_of([entry("a")], calls=2, depth=1)
    frontier.begin()
    found = [each.script for each in taken(frontier, Toy({"a": 1}))]

    assert max(map(calls_in, found)) == 2
    assert max(map(depth_of, found)) == 1
    assert frontier.too_long > 0
    assert frontier.too_deep > 0


@pytest.mark.parametrize(("calls", "depth"), [(2, 1), (2, 4), (3, 1), (3, 2), (4, 3)])
def test_an_accomplice_is_a_call_more_and_a_level_and_keeps_the_bounds(calls: int, depth: int) -> None:
    frontier = frontier_of([entry("a")], calls=calls, depth=depth, others=[EVE])
    frontier.begin()
    found = [each.script for each in taken(frontier, Toy({"a": 1}))]

    assert len(set(found)) == len(found)
    assert max(map(calls_in, found)) == calls
    assert max(map(depth_of, found)) <= depth
    has_room = calls >= 3 and depth >= 2
    assert any(call.contract == EVE for script in found for _, call in walk(script)) is has_room


def test_in_a_static_call_nothing_is_called_and_the_arguments_of_others_are_not_made_for_it() -> None:
    many = entry("a", *((at,) for at in range(90)), kinds=("i32",))
    frontier = frontier_of([many], calls=1, depth=3)
    frontier.begin()
    (first,) = taken(frontier, Toy({"a": 1}, static=True), most=1)
    opened = next(opening for _, _, opening in frontier._steady if opening.site is not None)

    assert {other.ending for _, other in opened.others if isinstance(other, Reaction)} == {Ending.REVERT, Ending.TRAP}
    assert not opened.may_call
    assert len(many.calls) < 5  # what was looked at is what could be taken
    assert first.script == (Call(BANK, "a", (0,), sender=MALLORY),)


@pytest.mark.parametrize("bound", [2, 10, 50])
def test_places_are_bounded_and_what_is_forgotten_is_counted(bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OPENINGS_MAX", bound)
    menu = [entry("a", *((at,) for at in range(5)), kinds=("i32",)), entry("b")]
    frontier = frontier_of(menu, calls=4, depth=3)
    frontier.begin()
    scripts = []
    for _ in range(600):
        scripts += [each.script for each in taken(frontier, Toy({"a": 2, "b": 1}), most=1)]
        assert frontier.waiting <= bound + 1

    assert len(set(scripts)) == len(scripts)
    assert frontier.forgotten > 0


def test_whatever_is_missing_was_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = frontier_of([entry("a")], calls=3, depth=2)
    whole.begin()
    every = {each.script for each in taken(whole, Toy({"a": 1}))}
    for bound in (*range(2, 40), 1_000):
        monkeypatch.setattr(module, "_OPENINGS_MAX", bound)
        frontier = frontier_of([entry("a")], calls=3, depth=2)
        frontier.begin()
        found = {each.script for each in taken(frontier, Toy({"a": 1}))}

        assert found <= every
        assert frontier.forgotten > 0 or found == every
    assert found == every
    assert frontier.forgotten == 0


def test_changed_tries_are_bounded_as_places_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATCHES_WAIT_MAX", 10)
    frontier = frontier_of([entry("a", (probe(0),), kinds=("i64",))], calls=1, depth=0)
    frontier.begin()
    (each,) = taken(frontier, Toy({"a": 0}), most=1)
    frontier.patch(each, [(probe(0), 10_000 * at) for at in range(1, 60)], failed=True)

    assert frontier.waiting <= 2 * 11
    assert frontier.forgotten > 0


# Learning


def test_a_place_at_which_nothing_was_left_wakes_when_a_call_is_learnt() -> None:
    menu = [entry("a", (1,), kinds=("i64",))]
    frontier, toy = frontier_of(menu, calls=2, depth=1), Toy({"a": 1})
    frontier.begin()
    before = {each.script for each in taken(frontier, toy)}
    assert frontier.take() is None
    menu[0].learn(Call(BANK, "a", (99,)))
    after = [each.script for each in taken(frontier, toy)]

    assert before.isdisjoint(after)
    assert len(set(after)) == len(after)
    wanted = Everything({"a": 1}, {"a": [(1,), (99,)]}).within(2, 1)
    assert before | set(after) == wanted


def test_an_argument_that_a_comparison_asks_for_is_tried_soon() -> None:
    frontier = frontier_of([entry("a", (probe(0),), kinds=("i64",)), entry("b")], calls=3, depth=1)
    frontier.begin()
    toy = Toy({"a": 0, "b": 1})

    def learn(each: Candidate) -> None:
        if each.script[-1].args == (probe(0),):
            frontier.patch(each, [(777, probe(0))], failed=True)

    found = [each.script for each in taken(frontier, toy, most=12, learn=learn)]
    assert (Call(BANK, "a", (777,), sender=MALLORY),) in found


def test_each_change_of_a_way_is_made_once_and_changes_of_changes_end() -> None:
    frontier = frontier_of([entry("a", (probe(0),), kinds=("i64",))], calls=1, depth=0)
    frontier.begin()
    (each,) = taken(frontier, Toy({"a": 0}), most=1)
    for _ in range(3):
        frontier.patch(each, [(777, probe(0))], failed=True)
    changed = taken(frontier, Toy({"a": 0}))
    assert sorted(other.script[0].args for other in changed) == [(776,), (777,), (778,)]
    row = changed[0]
    for at in range(20):  # each of them tells of another one
        frontier.patch(row, [(row.script[0].args[0], 10_000 + 7 * at)], failed=True)  # type: ignore[list-item]
        following = frontier.take()
        if following is None:
            break
        row = following
    assert row.patched <= 6


def test_changes_to_minus_one_and_to_minus_two_are_two() -> None:
    """Python gives both numbers one hash."""
    frontier = frontier_of([entry("a", (probe(0),), kinds=("i64",))], calls=1, depth=0)
    frontier.begin()
    (each,) = taken(frontier, Toy({"a": 0}), most=1)
    frontier.patch(each, [(probe(0), -1)], failed=True)

    changed = taken(frontier, Toy({"a": 0}))
    assert sorted(other.script[0].args for other in changed) == [(-2,), (-1,), (0,)]


def test_changes_that_were_made_are_remembered_up_to_a_bound_and_made_again_beyond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("storagemod.explore.frontier._CHANGES_MAX", 3)
    frontier = frontier_of([entry("a", (probe(0),), kinds=("i64",))], calls=1, depth=0)
    frontier.begin()
    (each,) = taken(frontier, Toy({"a": 0}), most=1)

    made = []
    for number in (777, 777, 999, 777):
        frontier.patch(each, [(number, probe(0))], failed=True)
        made.append(sorted(other.script[0].args[0] for other in taken(frontier, Toy({"a": 0}))))
    assert made == [[776, 777, 778], [], [998, 999, 1000], [776, 777, 778]]


@pytest.mark.parametrize("callback", [False, True])
def test_places_that_wait_take_no_more_memory_where_the_menu_is_longer(*, callback: bool) -> None:
    """Most never have their turn, and a search of 20,000 tries has as many."""

    def bytes_of_places(methods: int) -> int:
        names = [f"m{at}" for at in range(methods)]
        frontier = frontier_of([entry(each) for each in names], calls=3, depth=1)
        toy = Toy(dict.fromkeys(names, int(callback)))
        frontier.begin()
        first = frontier.take()
        assert first is not None
        result = toy.run(first.script)
        frontier.grow(first, result, known=False, bonus=0.0, number=0)
        before = frontier.waiting
        tracemalloc.start()
        for number in range(100):
            frontier.grow(first, result, known=callback, bonus=0.0, number=number)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert frontier.waiting == before + 100
        return held

    assert bytes_of_places(100) < 1.2 * bytes_of_places(2)


def test_changes_that_one_try_has_no_room_for_are_made_of_the_next_one_that_tells_of_them() -> None:
    frontier = frontier_of([entry("a", (probe(0),), kinds=("i64",))], calls=1, depth=0)
    frontier.begin()
    (each,) = taken(frontier, Toy({"a": 0}), most=1)
    pairs = [(probe(0), 10_000 * at) for at in range(1, 41)]
    wanted = {number + more for _, number in pairs for more in (-1, 0, 1)}
    found: list[Value] = []
    while True:
        frontier.patch(each, pairs, failed=True)
        made = [other.script[0].args[0] for other in taken(frontier, Toy({"a": 0}))]
        assert len(made) <= 24
        if not made:
            break
        found += made

    assert len(set(found)) == len(found)
    assert set(found) == wanted


def test_where_callers_want_an_answer_the_attacker_gives_it_after_it_called_back() -> None:
    frontier, toy = frontier_of([entry("a")], calls=2, depth=1, results=("i32",)), Toy({"a": 1}, magic=42)
    frontier.begin()

    def learn(each: Candidate) -> None:
        answered = [r for _, call in walk(each.script) for r in call.reactions if r.values == (probe(7),)]
        if answered:
            frontier.patch(each, [(42, probe(7))], failed=True)

    found = [each.script for each in taken(frontier, toy, learn=learn)]
    back = Reaction(MALLORY, HOOK, calls=(Call(BANK, "a"),), values=(42,))
    assert (Call(BANK, "a", sender=MALLORY, reactions=(back,)),) in found
    answers = {each.values for script in found for _, call in walk(script) for each in call.reactions if each.calls}
    assert (42,) in answers


@pytest.mark.parametrize("magic", [1, probe(7), 42])
@pytest.mark.parametrize(("methods", "calls", "depth"), [("a", 3, 2), ("ab", 3, 1), ("ab", 3, 2)])
def test_a_call_back_with_an_answer_that_was_learnt_comes_once(
    methods: str, calls: int, depth: int, magic: int
) -> None:
    hooks = dict.fromkeys(methods, 1)
    menu = [entry(method) for method in methods]
    frontier = frontier_of(menu, calls=calls, depth=depth, results=("i32",))
    frontier.begin()

    found: list[Script] = []
    changed: set[Script] = set()
    toy = Toy(hooks, magic)
    while (each := frontier.take()) is not None:
        if each.patched:
            changed.add(each.script)
        if each.script in changed and each.script in found:
            continue  # a change may make an answer that a list has; a search does not run it again
        found.append(each.script)
        result = toy.run(each.script)
        if magic == 42 and any(r.values == (probe(7),) for _, call in walk(each.script) for r in call.reactions):
            frontier.patch(each, [(magic, probe(7))], failed=True)
        frontier.grow(each, result, known=False, bonus=0.0, number=len(found))

    assert any(answered_calls_back(script) for script in found)
    assert [script for script, times in Counter(found).items() if times > 1] == []


def test_an_answer_that_a_comparison_makes_empty_is_no_other_answer() -> None:
    """Attackers return no data at first, so a comparison of the length with 0 asks for nothing new."""
    frontier = frontier_of([entry("a")], calls=1, depth=0)
    frontier.begin()
    (each,) = taken(frontier, Toy({"a": 1}), most=1)
    answer = Reaction(MALLORY, HOOK, output=bytes(32))
    answered = Candidate((each.script[0].with_reactions((answer,)),), (0, 0), 1.0, way=each.way)

    frontier.patch(answered, [(32, 0), (32, 4)], failed=True)

    following = [found.script[0].reactions for found in taken(frontier, Toy({"a": 1})) if found.patched]
    assert all(len(reactions) == 1 and reactions[0].output for reactions in following)
    assert (Reaction(MALLORY, HOOK, output=bytes(4)),) in following


def test_where_callers_become_content_with_zeros_nothing_is_tried_again() -> None:
    """Zeros were tried first, then an answer that was learnt, and now zeros again: calls back go on where they were."""
    menu = [entry("a", *((at,) for at in range(4)), kinds=("i32",))]
    frontier, toy = frontier_of(menu, calls=2, depth=1, results=("i32",)), Toy({"a": 1}, magic=1)
    frontier.begin()
    found: list[Candidate] = []
    for most in (25, 100_000):
        found += taken(frontier, toy, most=most)
        toy.magic = None
    scripts = [each.script for each in found]
    plain = [script for script in scripts if not answered_calls_back(script)]

    assert any(map(answered_calls_back, scripts[:25]))  # it was wanted
    assert len(set(plain)) == len(plain)
    assert len({script for script in plain if depth_of(script)}) > 4


@pytest.mark.parametrize("number", [77_000, 2**63 + 5, -3])
def test_a_number_that_a_call_gave_is_soon_an_argument_of_others(number: int) -> None:
    """It is one of those that come next, within a call back and after it, however many arguments are likelier."""
    menu = [entry("open"), entry("close", *((at,) for at in range(90)), kinds=("i64",))]
    frontier = frontier_of(menu, calls=3, depth=1)
    frontier.begin()
    found = [each.script for each in taken(frontier, Toy({"open": 1, "close": 1}, gives={"open": number}), most=60)]

    closing = Call(BANK, "close", (number - 2**64 if number >= 2**63 else number,))
    opening = Call(BANK, "open", sender=MALLORY)
    assert (opening, closing.sent_by(MALLORY)) in found
    within = opening.with_reactions((Reaction(MALLORY, HOOK, calls=(closing,)),))
    assert (within,) in found  # what a call will give is known from when it was run before


def test_what_many_calls_gave_is_bounded() -> None:
    menu = [entry(f"m{at}") for at in range(8)]
    frontier = frontier_of(menu, calls=8, depth=0)
    frontier.begin()
    tries = taken(frontier, Toy({f"m{at}": 0 for at in range(8)}, gives={f"m{at}": at for at in range(8)}), most=400)

    assert max(len(each.given) for each in tries) == 4
    for each in tries:
        if len(each.script) == 1:
            assert each.given == (int(str(each.script[0].method)[1:]),)


def test_a_call_of_main_that_comes_again_has_the_entry_point_of_its_form() -> None:
    """Comparisons then change the numbers in its data, as when it was made first."""
    point = EntryPoint(BANK, None, FunctionType())
    data = [b"\1" + bytes(8), b"\2" + bytes(8)]
    menu = [Entry(point, 1, iter([(0.0, Call(BANK, None))]), 10)]
    for each in data:
        form = Form(each[:1], (Field(8, "little"),), ((each, 0),))
        menu.append(Entry(point, 1, iter([(0.0, Call(BANK, None, data=each))]), 10, form=form))
    frontier = frontier_of(menu, calls=2, depth=1)
    script = (Call(BANK, None, data=data[1], sender=MALLORY),)

    resumed = frontier.resumed(script, (0,), Toy({}).run(script))
    assert resumed.entry is menu[2]
    frontier.grow(resumed, Toy({}).run(script), known=False, bonus=0.0, number=1)
    again = next(each for each in taken(frontier, Toy({})) if len(each.script) == 2 and each.script[1] == script[0])
    assert again.entry is menu[2]


def test_an_entry_point_that_always_fails_is_put_off_and_not_left_out() -> None:
    menu = [entry("good", *((at,) for at in range(90)), kinds=("i32",)), entry("bad", (0,), (1,), kinds=("i32",))]
    menu[1].tried = 1_000
    frontier = frontier_of(menu, calls=1, depth=0)
    frontier.begin()
    methods = [each.script[0].method for each in taken(frontier, Toy({"good": 0, "bad": 0}))]

    assert methods.count("bad") == 2
    assert methods[0] == "good"
    assert methods.index("bad") < 20


def test_a_try_that_broke_something_or_was_refused_is_not_gone_on_from() -> None:
    frontier = frontier_of([entry("a")], calls=3, depth=2)
    frontier.begin()
    each = frontier.take()
    assert each is not None
    result = Toy({"a": 1}).run(each.script)

    refused = TrialResult((), result.sites, result.outcomes, played=result.played, refused="too much memory")
    assert frontier.grow(each, refused, known=False, bonus=0.0, number=1) == 0
    assert frontier.grow(each, result, known=True, bonus=0.0, number=1) == 1  # its call out, and no more transactions
    assert frontier.grow(each, result, known=False, bonus=0.0, number=1) == 2


def test_main_is_called_by_attackers_with_money_and_typed_calls_without() -> None:
    point = EntryPoint(BANK, None, FunctionType())
    calls = [(0.0, Call(BANK, None, data=b"x", value=5)), (1.0, Call(BANK, None))]
    main = Entry(point, 2, iter(calls), 10)
    paid = Entry(
        EntryPoint(BANK, "a", FunctionType()), 2, iter([(0.0, Call(BANK, "a", value=5)), (1.0, Call(BANK, "a"))]), 10
    )
    frontier = frontier_of([main, paid], calls=2, depth=1)
    frontier.begin()
    found = [each.script for each in taken(frontier, Toy({"a": 1}))]

    back = {(call.method, call.value) for script in found for path, call in walk(script) if len(path) > 1}
    assert back == {(None, 5), (None, 0), ("a", 0)}
    assert {(each.method, each.value) for script in found for each in script} >= {("a", 5), ("a", 0)}
    assert MAIN not in {r.site for script in found for _, call in walk(script) for r in call.reactions}
