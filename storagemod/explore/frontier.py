"""The frontier of a search: the places in tries where one more decision can be made, and which comes next.

A try grows in the order of time: what is added to it happens after all that was added before. So each is reached in one
way. A call that changed nothing is followed only by what may be done within it. Without it there is a shorter try
that does the same.

Every decision has a cost, and a try costs what its decisions do. Two queues take turns. One is in the order of costs
alone, so that nothing is put off for ever. In the other one, what is added to tries that met something new costs less.
What is added where much was added already costs more. Tries are made when they are taken, not before.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

from attrs import define, field

from storagemod.explore.attacker import Attacker
from storagemod.explore.call_data import SELECTOR_BYTES, WORD_BYTES, data_patches
from storagemod.explore.follower import Site, outermost_idle, sites_within
from storagemod.explore.menu import Entry
from storagemod.explore.opening import (
    ZEROS,
    Answer,
    Candidate,
    Change,
    Opening,
    Suggestions,
    Way,
)
from storagemod.explore.script import (
    MAIN,
    Call,
    Ending,
    Place,
    Reaction,
    Script,
    call_at,
    calls_in,
    decisions_in,
    replace_call,
    walk,
    with_reaction,
)
from storagemod.explore.trial import TrialResult
from storagemod.explore.values import COMMON_MAX, INTEGER_BYTES, Sure, patches, probe
from storagemod.types import Address, FunctionType, Value, ValueType
from storagemod.vm.ethereum import U128_MAX

STEP = 3.0
"""What a decision costs, whatever it is."""

_OFTEN_STEADY, _OFTEN_LED = 1.0, 2.0
"""What it costs besides, by the logarithm of how often, that a row of entry points was tried already."""

_OTHER_SENDER = 1.0
"""What a transaction costs besides whose sender is not the first."""

_ACCOMPLICE = 2.0
"""What it costs besides to have another attacker act."""

_PATCH = 1.0
"""What it costs to change what was added by what comparisons told."""

_PATCHED_MAX = 6
"""How often what was added is changed so, one change after the other."""

_PATCHES_MAX = 24
"""How many changes are made of one try."""

_SURE_TURNS, _PATCH_TURNS = 3, 8
"""Of how many tries one may be such a change, whatever else would cost less."""

_ECHO = 0.5
"""What it costs to take a number of another call of the try."""

_ECHOED_MAX, _ECHOES_MAX, _ECHOES_CHEAP = 3, 24, 8
"""How many numbers are taken, how many calls are made with them, and how many of these cost no more."""

_GIVEN_MAX = 4
"""How many numbers that its calls gave are remembered of a try."""

_ANSWERS_MAX = 16
"""How many answers are remembered for each method of an attacker."""

_OPENINGS_MAX, _PATCHES_WAIT_MAX = 50_000, 20_000
"""How many places, and changed tries, wait in a queue; beyond that the least likely half is forgotten, and counted.

While places wait, each queue of changes has every third turn at most: fewer in 20,000 tries than the half that is kept.
"""

_CHANGES_MAX = 200_000
"""How many changes of tries are remembered at most, so as not to make them again. Then they are forgotten."""

_ANSWER = bytes((0xA7 + 0x1D * at) & 0xFF for at in range(32))
"""Return data of which no four bytes stand twice. A magic number is as long as a selector, or as a word."""

_TRUE = (1).to_bytes(WORD_BYTES, "big")
"""What Ethereum's binary interface has for truth."""


@define(eq=False)
class Frontier:
    """All openings, in two queues.

    Args:
        menu: What may be called.
        senders: Who sends transactions.
        attackers: The accounts that react.
        beneficiaries: Contracts that attackers may leave their balance to.
        readers: Contracts that look at the data which calls return.
        calls: How many calls a try has at most.
        depth: How deep calls back are nested at most.
        shuffle: Changes costs a little, by the seed.
    """

    menu: list[Entry]
    senders: tuple[Address, ...]
    attackers: tuple[Attacker, ...]
    beneficiaries: tuple[Address, ...]
    readers: frozenset[Address]
    calls: int
    depth: int
    shuffle: Iterator[float]
    forgotten: int = 0
    too_long: int = 0
    too_deep: int = 0
    _steady: list[tuple[float, int, Opening]] = field(factory=list)
    _led: list[tuple[float, int, Opening]] = field(factory=list)
    _dormant: list[Opening] = field(factory=list)
    """Openings at which nothing is left, until more calls or answers are known."""
    _lost: int = 0
    """How many more there were than are kept: once they could go on, they are forgotten."""
    _patches: list[_Patch] = field(factory=list)
    _sure: list[_Patch] = field(factory=list)
    _made: set[int] = field(factory=set)
    """Hashes of changes that were queued, 64 bits each, so as not to queue them again."""
    _answers: dict[tuple[Address, str], dict[Answer, None]] = field(factory=dict)
    """By attacker and method, answers with which calls out to it went well; the last one is likeliest."""
    _unanswered: set[tuple[Address, str]] = field(factory=set)
    """Attackers and methods by which calls out went well with the answer zero."""
    _places: dict[tuple[Address, str | None], list[int]] = field(factory=dict)
    """Where entry points stand in the menu, by contract and method."""
    _hooks: dict[Address, Mapping[str, FunctionType]] = field(init=False)
    """What contracts import from each attacker."""
    _ends: dict[tuple[Reaction, bool], tuple[tuple[float, Call | Reaction], ...]] = field(factory=dict)
    """What attackers may do at sites besides calling, by what they did and whether their caller reads data."""
    _sacrifices: dict[Address, tuple[tuple[float, Call | Reaction], ...]] = field(init=False)
    """By attacker, transactions in which it forces its balance upon a contract, the likeliest last."""
    _learnt: int = 0
    _count: int = 0
    _turn: int = 0

    def __attrs_post_init__(self) -> None:
        for at, entry in enumerate(self.menu):
            self._places.setdefault((entry.point.contract, entry.point.method), []).append(at)
        self._hooks = {attacker.account: attacker.hooks for attacker in self.attackers}
        self._sacrifices = {account: self._sacrifices_of(account) for account in self._hooks}

    @property
    def waiting(self) -> int:
        """How many openings and patched tries wait."""
        return max(len(self._steady), len(self._led)) + len(self._patches) + len(self._sure)

    def begin(self) -> None:
        """Open the place for the first transaction."""
        self._open_transactions(Candidate((), (), 0.0, way=Way()), 0.0, ())

    def resumed(self, script: Script, added: Place, result: TrialResult) -> Candidate:
        """Return a try of an earlier search, that was run again, as one to go on from."""
        entry, nesting = None, None
        if len(added) % 2:
            call = call_at(script, added)
            number = self._place(call)
            entry = None if number is None else self.menu[number]
            place = added[:-1]
            while place[2:] and place in result.played and result.played[place][1] in self._hooks:
                place = place[:-2]  # of the attacker that had this accomplice act
            if entry is not None and place in result.played:
                reaction = call_at(script, place[:-1]).reactions[place[-1]]
                at = result.played[place][1], reaction.account, reaction.site
                nesting = (*at, *entry.key)
        return Candidate(script, added, STEP * decisions_in(script), entry, nesting, Way())

    def take(self) -> Candidate | None:
        """Return the try that comes next, or ``None`` where nothing is left."""
        self._turn += 1
        while True:
            queue = self._led if self._turn % 2 else self._steady
            if not queue:
                queue = self._steady if self._turn % 2 else self._led
            for changes, turns in ((self._sure, _SURE_TURNS), (self._patches, _PATCH_TURNS)):
                if changes and (not queue or self._turn % turns == 0):
                    return _changed(heapq.heappop(changes))
            if not queue:
                if self._wake():
                    continue
                return None
            key, _, opening = heapq.heappop(queue)
            now = self._key(opening, queue is self._led)
            if now > key + 1e-9:  # it went on, in the other queue, or became dearer
                self._push(queue, now, opening)
                continue
            found = opening.take(self.menu)
            self._push(queue, self._key(opening, queue is self._led), opening)
            return found

    def _key(self, opening: Opening, led: bool) -> float:
        """Look for what would be added next at an opening; return where it belongs in a queue."""
        if opening.site is not None and opening.is_callback:
            opening.begin_anew(self._answer(opening.site.reaction))
        if not led:
            return opening.look(self.menu, _OFTEN_STEADY)
        return _led(opening, opening.look(self.menu, _OFTEN_LED))

    def _answer(self, done: Reaction) -> Answer:
        """Return how an attacker answers after it has called back: with zeros, if callers are content with them."""
        key = done.account, done.site
        learnt = self._answers.get(key)
        return ZEROS if not learnt or key in self._unanswered else next(reversed(learnt))

    def _push(self, queue: list[tuple[float, int, Opening]], key: float, opening: Opening) -> None:
        """Queue an opening; put it off where nothing is left to add."""
        if key == math.inf:
            self._put_off(opening)
            return
        self._count += 1
        heapq.heappush(queue, (key, self._count, opening))
        if len(queue) > _OPENINGS_MAX:
            for _, _, each in _forget(queue, _OPENINGS_MAX // 2):
                each.queued -= 1
                self.forgotten += each.queued == 0

    def _push_patch(self, queue: list[_Patch], cost: float, each: Candidate, change: Change) -> None:
        self._count += 1
        heapq.heappush(queue, (cost, self._count, each, each.order, *change))
        if len(queue) > _PATCHES_WAIT_MAX:
            self.forgotten += len(_forget(queue, _PATCHES_WAIT_MAX // 2))

    def _put_off(self, opening: Opening) -> None:
        opening.queued -= 1
        if opening.queued == 0:
            if len(self._dormant) < _OPENINGS_MAX:
                self._dormant.append(opening)
            else:
                self._lost += 1

    def _wake(self) -> bool:
        """Queue exhausted openings again, if more calls are known than when they were; return whether any was."""
        known = sum(len(entry.learnt) for entry in self.menu) + sum(map(len, self._answers.values()))
        known += len(self._unanswered)
        if known == self._learnt:
            return False
        self._learnt = known
        self.forgotten += self._lost
        self._lost = 0
        woken, self._dormant = self._dormant, []
        for opening in woken:
            self._add(opening)
        return bool(self._steady)

    def _add(self, opening: Opening) -> None:
        opening.queued = 2
        key = self._key(opening, False)
        self._push(self._steady, key, opening)
        # Where nobody came by yet, both queues have the same in mind: the menu is gone through once.
        self._push(self._led, self._key(opening, True) if opening.is_known else _led(opening, key), opening)

    # Growing

    def grow(self, each: Candidate, result: TrialResult, *, known: bool, bonus: float, number: int) -> int:
        """Open the places for one decision more, given the result of a try; return how many there are.

        Args:
            each: The try.
            result: Its result.
            known: Whether another try led to the same state before.
            bonus: What it met that is new is worth.
            number: The number of the try, by which those that grow from it are kept together.
        """
        script, added = each.script, each.added
        is_reaction = len(added) % 2 == 0
        found = result.played.get(added) if is_reaction else result.outcomes.get(added)
        self._learn_answers(each, result)
        if found is None or result.refused is not None or result.breaches:
            return 0  # what was added was never reached: what had been before it was undone
        each.order = (*each.order, number)
        given = [number for path in sorted(result.outcomes, reverse=True) for number in result.outcomes[path].numbers]
        each.given = tuple(dict.fromkeys((*given, *each.given)))[:_GIVEN_MAX]
        time = found[0] if isinstance(found, tuple) else found.order
        call_path = added[:-1] if is_reaction else added
        inside = outermost_idle(result.outcomes, call_path) or ()
        room = calls_in(script) < self.calls
        sites = [
            (at, site)
            for at, site in enumerate(sites_within(result.sites, inside))
            if site.order > time or (site.order == time and not is_reaction and site.path == added)
        ]
        is_followed = not inside and not known
        echoes = self._echoes(each) if room and (sites or is_followed) else []
        count = sum(self._open_site(each, site, bonus, math.log2(1 + at), echoes, room=room) for at, site in sites)
        if not room:
            self.too_long += 1
            return count
        for length in range(2, len(added) + 1, 2):
            if added[: len(inside)] == inside and length > len(inside):
                origin = each.origin if length == len(added) else None
                count += self._open_end(each, added[:length], result, bonus, origin)
        if is_followed:
            count += self._open_transactions(each, bonus, echoes)
        return count

    def _suggested(self, script: Script, path: Place, echoes: Sequence[tuple[int, Call]]) -> Suggestions:
        """Return the calls that a script itself suggests, the likeliest last.

        Those under way at a call of it are made again, the innermost first. Numbers of its calls, such as the name
        of something, are taken for others: these are its echoes.
        """
        again = self._again(script, path)
        others = [each for each in echoes if each not in again]
        echoed = [(_ECHO + 0.5 * math.log2(1 + at / _ECHOES_CHEAP), *each) for at, each in enumerate(others)]
        suggested = (*echoed[::-1], *((0.0, *each) for each in again))
        return suggested, frozenset(call for _, _, call in suggested)

    def _echoes(self, each: Candidate) -> list[tuple[int, Call]]:
        """Return calls with a number that a call of the try gave or was given, the last ones first."""
        numbers: list[Value] = [*each.given]
        for _, call in reversed(list(walk(each.script))):
            for at in self._places.get((call.contract, call.method), ()):
                numbers += self.menu[at].numbers(call)
        latest = dict.fromkeys(number for number in numbers if isinstance(number, int) and abs(number) > 1)
        found: dict[tuple[int, Call], None] = {}
        for value in list(latest)[:_ECHOED_MAX]:
            for number, entry in enumerate(self.menu):
                if entry.cost(0) == math.inf:
                    continue
                first = entry.calls[0]
                for at, old in enumerate(entry.numbers(first)):
                    other = None if old == value else entry.with_number(first, at, value)
                    if other is not None:
                        found[number, Call(first.contract, first.method, *other, first.value)] = None
        return list(found)[:_ECHOES_MAX]

    def _again(self, script: Script, path: Place) -> list[tuple[int, Call]]:
        """Return the calls under way at a call of a script as they could be made again, the innermost last."""
        found: dict[tuple[int, Call], None] = {}
        for length in range(1, len(path) + 1, 2):
            call = call_at(script, path[:length])
            number = self._place(call)
            if number is not None:
                plain = Call(call.contract, call.method, call.args, call.data, call.value if call.method is None else 0)
                found.pop((number, plain), None)
                found[number, plain] = None
        return list(found)

    def _place(self, call: Call) -> int | None:
        """Return where the entry point of a call stands in the menu: of those of ``main``, the one of its form."""
        places = self._places.get((call.contract, call.method), ())
        return next((at for at in places if self.menu[at].numbers(call)), places[0] if places else None)

    def _learn_answers(self, each: Candidate, result: TrialResult) -> None:
        """Learn which answers of attackers callers are content with."""
        for site in result.sites:
            outcome = result.outcomes.get(site.path)
            if outcome is not None and outcome.ok:
                self._unanswered.add((site.reaction.account, site.reaction.site))
        if len(each.added) % 2 == 0:
            outcome = result.outcomes.get(each.added[:-1])
            reaction = call_at(each.script, each.added[:-1]).reactions[each.added[-1]]
            if outcome is not None and outcome.ok and (reaction.values or reaction.output):
                known = self._answers.setdefault((reaction.account, reaction.site), {})
                answer = reaction.values, reaction.output
                if len(known) < _ANSWERS_MAX and answer not in known:
                    known[answer] = None
                    self._ends.clear()

    def _open_transactions(self, each: Candidate, bonus: float, echoes: Sequence[tuple[int, Call]]) -> int:
        place = (len(each.script),)
        again = self._suggested(each.script, (), echoes)
        for at, sender in enumerate(self.senders):
            base = each.cost + STEP + (_OTHER_SENDER if at else 0.0) + next(self.shuffle)
            others = self._sacrifices.get(sender, ())
            self._add(Opening(each, place, base, bonus, sender, others=others, again=again))
        return len(self.senders)

    def _sacrifices_of(self, account: Address) -> tuple[tuple[float, Call | Reaction], ...]:
        found: list[tuple[float, Call | Reaction]] = []
        for at, contract in enumerate(self.beneficiaries):
            ends = Reaction(account, MAIN, ending=Ending.DESTROY, beneficiary=contract)
            found.append((5.0 + math.log2(1 + at), Call(account, None, sender=account, reactions=(ends,))))
        return tuple(reversed(found))

    def _open_site(
        self,
        each: Candidate,
        site: Site,
        bonus: float,
        late: float,
        echoes: Sequence[tuple[int, Call]],
        *,
        room: bool,
    ) -> int:
        call, done = call_at(each.script, site.path), site.reaction
        place = (*site.path, len(call.reactions) + len(site.skipped))
        ends = done, site.caller in self.readers
        others = self._ends.get(ends)
        if others is None:
            others = self._ends[ends] = tuple(sorted(_cheapest(self._endings(*ends)), key=lambda other: -other[0]))
        base = each.cost + STEP + late + next(self.shuffle)
        deep = len(site.path) // 2 >= self.depth
        if deep and not done.static:
            self.too_deep += 1
        if not room or done.static or deep:
            self._add(Opening(each, place, base, bonus, done.account, site.active, site, others=others, may_call=False))
            return 1
        at = each, place, base, bonus, done.account, site.active, site, site.caller
        again = self._suggested(each.script, site.path, echoes)
        self._add(Opening(*at, others=others, again=again))
        if calls_in(each.script) + 2 > self.calls or len(site.path) // 2 + 1 >= self.depth:
            return 1  # an accomplice is called by the attacker, which is a call more, and one level
        at = each, place, base + _ACCOMPLICE, bonus, done.account, site.active, site, site.caller
        for other in self._hooks:
            if other != done.account:
                self._add(Opening(*at, voice=other, again=again))
        return len(self._hooks)

    def _open_end(
        self, each: Candidate, place: Place, result: TrialResult, bonus: float, origin: Opening | None
    ) -> int:
        """Open the end of a reaction, for one more call; ``origin`` made it, if it is an answer alone."""
        reaction = call_at(each.script, place[:-1]).reactions[place[-1]]
        if reaction.static or reaction.ending is not Ending.RETURN or len(place) // 2 > self.depth:
            return 0
        _, caller = result.played[place]
        base = each.cost + STEP + next(self.shuffle)
        end = (*place, len(reaction.calls))
        opening = Opening(each, end, base, bonus, reaction.account, (caller,), None, caller)
        if origin is not None:
            opening.share(origin, (reaction.values, reaction.output))
        self._add(opening)
        return 1

    def _endings(self, done: Reaction, reads: bool) -> Iterator[tuple[float, Call | Reaction]]:
        """Yield what an attacker may do at a site besides calling, where its caller reads data or does not."""
        hook = None if done.site == MAIN else self._hooks[done.account].get(done.site)
        results: Sequence[ValueType] = () if hook is None else hook.results

        def ends(**how: object) -> Reaction:
            return Reaction(done.account, done.site, done.static, **how)  # type: ignore[arg-type]

        for at, (values, output) in enumerate(reversed(self._answers.get((done.account, done.site), {}))):
            yield -1.0 + at / 4, ends(values=values, output=output)
        if results:
            yield 0.0, ends(values=tuple(_number(kind, 1) for kind in results))
            yield 0.5, ends(values=tuple(_number(kind, probe(7 + at)) for at, kind in enumerate(results)))
            yield 1.0, ends(values=tuple(_highest(kind) for kind in results))
        elif done.site == MAIN:
            for at, answer in enumerate((_ANSWER, _ANSWER[:SELECTOR_BYTES], _TRUE) if reads else (_ANSWER,)):
                yield (0.5 if reads else 4.0) + at / 2, ends(output=answer)
        yield 1.0, ends(ending=Ending.REVERT)
        yield 2.0, ends(ending=Ending.TRAP)
        if not done.static:
            for at, contract in enumerate(self.beneficiaries):
                yield 4.0 + math.log2(1 + at), ends(ending=Ending.DESTROY, beneficiary=contract)

    # Patching

    def patch(self, each: Candidate, pairs: Sequence[tuple[int, int]], *, failed: bool) -> None:
        """Queue tries like this one in which what was added last has values that comparisons told of.

        Args:
            each: The try.
            pairs: The operands of the comparisons made during it.
            failed: Whether what was added failed, or had its caller fail: then there is more reason to change it.
        """
        way = each.way
        assert way is not None  # noqa: S101 - it was run
        if each.patched >= _PATCHED_MAX:
            return
        made = 0
        for change, sure in self._changes(each, pairs):
            # What fails has to be other; what goes well within a call back may go well with more.
            first = sure is Sure.YES if failed else sure is not Sure.NO and each.nesting is not None
            values, *rest = change
            where = each.order if first and failed else way.number  # a limit depends on what was done before
            which = hash((where, repr(values), *rest))  # by their text: Python gives -1 and -2 one hash
            if which in self._made:
                continue
            if made == _PATCHES_MAX:
                return
            if len(self._made) >= _CHANGES_MAX:
                self._made.clear()
            self._made.add(which)
            way.patched += 1
            made += 1
            often = math.log2(1 + way.patched / _PATCHES_MAX)
            cost = each.cost + (0.0 if first else _PATCH if failed else 2 * _PATCH) + 0.25 * made + often
            self._push_patch(self._sure if first else self._patches, cost, each, change)

    def _changes(self, each: Candidate, pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[Change, Sure]]:
        """Yield what may stand in the place of what was added, and how sure it is that it matters."""
        added = each.added
        if len(added) % 2 == 0:
            yield from self._other_answers(call_at(each.script, added[:-1]).reactions[added[-1]], pairs)
            return
        call = call_at(each.script, added)
        if each.entry is None or call.contract != each.entry.point.contract:
            return
        if each.nesting is not None and not each.patched:
            yield from _probing(call, each.entry)
        yield from _other_calls(call, each.entry, pairs, is_sent=len(added) == 1)

    def _other_answers(self, reaction: Reaction, pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[Change, Sure]]:
        values, static = reaction.values, reaction.static
        if reaction.output:
            for data, sure in data_patches(reaction.output, pairs):
                if data:  # a reaction that returns nothing is left out of a script, and came before this one
                    yield (values, data, static), sure
        if values is None:
            return
        kinds = self._hooks[reaction.account][reaction.site].results
        for at, (kind, value) in enumerate(zip(kinds, values, strict=True)):
            for other, sure in patches(value, pairs):
                fitting = _fit(kind, other)
                if fitting is not None:
                    yield ((*values[:at], fitting, *values[at + 1 :]), b"", static), sure


_Patch: TypeAlias = tuple[float, int, Candidate, tuple[int, ...], tuple[Value, ...] | None, bytes, int]
"""A change of what a try added last: its cost, its number, the try, the place of its siblings, and the change.

Most never have their turn. So it is no try yet, and of plain numbers and bytes, which the garbage collector leaves out.
"""


def _changed(patch: _Patch) -> Candidate:
    """Return the try that a patch stands for."""
    cost, _, parent, order, values, data, amount = patch
    script, added = parent.script, parent.added
    if len(added) % 2 == 0:
        place = added[:-1]
        call = call_at(script, place)
        old = call.reactions[added[-1]]
        answering = Reaction(old.account, old.site, old.static, old.calls, old.ending, values, data)
        changed = with_reaction(call, added[-1], answering)
    else:
        place, call = added, call_at(script, added)
        changed = Call(call.contract, call.method, values or (), data, amount, call.sender, call.reactions)
    script = replace_call(script, place, changed)
    what = parent.entry, parent.nesting, parent.way
    return Candidate(script, added, cost, *what, order, parent.given, parent.patched + 1, parent.origin)


def _led(opening: Opening, cost: float) -> float:
    """Return where an opening belongs in the queue of what is new, given what its next try costs."""
    return cost - opening.bonus + 0.5 * math.log2(1 + opening.taken)


_Queued = TypeVar("_Queued", tuple[float, int, Opening], _Patch)


def _forget(queue: list[_Queued], left: int) -> list[_Queued]:
    """Leave all but the likeliest out of a queue, and return them."""
    queue.sort()
    gone = queue[left:]
    del queue[left:]
    return gone


def _cheapest(endings: Iterable[tuple[float, Call | Reaction]]) -> list[tuple[float, Call | Reaction]]:
    """Return what may be done, each once, with the least that it costs."""
    found: dict[Call | Reaction, float] = {}
    for cost, ending in endings:
        found[ending] = min(cost, found.get(ending, math.inf))
    return [(cost, ending) for ending, cost in found.items()]


def _probing(call: Call, entry: Entry) -> Iterator[tuple[Change, Sure]]:
    """Yield changes to a probe in the place of a small number, which asks for the limit: comparisons then tell it."""
    for at, value in enumerate(entry.numbers(call)):
        number = entry.probe(at)
        if number is not None and abs(value) <= COMMON_MAX:
            changed = entry.with_number(call, at, number)
            if changed is not None:
                yield (*changed, call.value), Sure.LIKELY


def _other_calls(
    call: Call, entry: Entry, pairs: Sequence[tuple[int, int]], *, is_sent: bool
) -> Iterator[tuple[Change, Sure]]:
    """Yield changes to another argument, other money or other call data, by what comparisons told."""
    args, data, money = call.args, call.data, call.value
    for at, (kind, value) in enumerate(zip(entry.point.type.params, args, strict=False)):
        for number, sure in patches(value, pairs):
            fitting = _fit(kind, number)
            if fitting is not None:
                yield ((*args[:at], fitting, *args[at + 1 :]), data, money), sure
    if money and (is_sent or call.method is None):
        for number, sure in patches(money, pairs):
            if 0 < number <= U128_MAX:
                yield (args, data, number), sure
    if data:
        for other, sure in data_patches(data, pairs):
            yield (args, other, money), sure


def _fit(kind: ValueType, number: int) -> int | None:
    half = 1 << 8 * INTEGER_BYTES[kind] - 1 if kind in INTEGER_BYTES else 0
    return number if -half <= number < half else None


def _number(kind: ValueType, number: int) -> Value:
    return number if kind in INTEGER_BYTES else float(number)


def _highest(kind: ValueType) -> Value:
    return 2 ** (8 * INTEGER_BYTES[kind] - 1) - 1 if kind in INTEGER_BYTES else float("inf")
