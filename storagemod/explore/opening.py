"""Tries that are to be run, and the places in tries where one more decision can be made: a call, or a reaction."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from attrs import define, field

from storagemod.explore.follower import Site
from storagemod.explore.menu import Entry
from storagemod.explore.script import MAIN, Call, Place, Reaction, Script, call_at, replace_call, with_reaction
from storagemod.types import Address, Value

Nesting = tuple[Address, Address, str, Address, str]
"""Who called whom by which method, and the contract and method that is called back from there."""

Answer = tuple[tuple[Value, ...] | None, bytes]
"""The results, or the return data, of a reaction."""

ZEROS: Answer = (None, b"")

_REENTRY, _ELSEWHERE = -1.0, 1.0
"""What it costs besides to call back a contract that is running, and another one."""

_LEARNT = 0.5
"""What the first call costs that comparisons told of: about as much as a likely value."""

Change = tuple[tuple[Value, ...] | None, bytes, int]
"""What stands in the place of a call or an answer that was added last: arguments, call data and money of a call; or
results, return data, and whether the answer is one in a static call."""

Suggestion = tuple[float, int, Call]
"""A call that a try itself suggests: its cost, the number of its entry point, and the call."""

Suggestions = tuple[tuple[Suggestion, ...], frozenset[Call]]
"""The calls that a try itself suggests, the likeliest last, and their set: their turn in the menu is left out."""

NOTHING_SUGGESTED: Suggestions = ((), frozenset())

_LISTED, _LEARNED, _REPEATED = 0, 1, 2
"""Where the next call comes from: the calls of its entry point, those that comparisons told of, or suggestions."""

_OTHER = -1
"""What is added next is no call of the menu."""

_AGAIN = "again"
"""What marks a suggested call in a way."""

_MADE = -1
"""Where the number of suggestions that were taken stands."""

_NO_WAYS: dict[int, Way] = {}
_NOTHING_LONGER: dict[object, dict[int, Way]] = {}


@define(eq=False)
class Candidate:
    """A try that is to be run.

    Attributes:
        script: Its transactions.
        added: The place of what was added last: a call, or a reaction.
        cost: What its decisions cost.
        entry: The entry point of the call that was added, if it was one.
        nesting: The site and the entry point that it tries, where it calls back.
        way: The row of entry points that it came by, whatever the arguments.
        patched: How often comparisons changed what was added.
        order: Where its parent stands, so that tries that begin alike are run one after the other.
        given: Numbers that its calls gave, the latest first, once it was run; until then those of its parent.
        origin: The opening whose answer was added, if an answer alone was: it makes calls with this answer itself.
    """

    script: Script
    added: Place
    cost: float
    entry: Entry | None = None
    nesting: Nesting | None = None
    way: Way | None = None
    order: tuple[int, ...] = ()
    given: tuple[int, ...] = ()
    patched: int = 0
    origin: Opening | None = None


@define(eq=False)
class Way:
    """A row of entry points that tries came by, whatever the arguments.

    Attributes:
        number: Tells it apart from all others.
        tried: How many tries did.
        often: The logarithm of that, to base 2, with one more.
        patched: How many changes comparisons told of, for what was added last.
        longer: Those that are longer by one, by what was added: where, and then the number of the entry point.
    """

    number: int = field(factory=itertools.count().__next__)
    tried: int = 0
    often: float = 0.0
    patched: int = 0
    longer: dict[object, dict[int, Way]] = _NOTHING_LONGER

    def to(self, kind: object, number: int) -> Way:
        """Return the row with one more entry point, which is tried once more."""
        if self.longer is _NOTHING_LONGER:
            self.longer = {}
        ways = self.longer.setdefault(kind, {})
        found = ways.get(number)
        if found is None:
            found = ways[number] = Way()
        found.tried += 1
        found.often = math.log2(1 + found.tried)
        return found


@define(eq=False)
class Opening:
    """A place in a try where something may be added: a transaction, a reaction, or a call at the end of one.

    Attributes:
        parent: The try.
        place: Where what is added stands.
        base: What each addition costs besides.
        bonus: How much less it costs in the queue of what is new.
        who: Who acts: the sender of a transaction, or the attacker that is called.
        site: The call out that is answered, if this is one.
        voice: The accomplice that the attacker has act, if it does not act itself.
        others: What can be done besides calling, with its cost, from the end.
        again: Calls that the try itself suggests. They are those under way, made again, and others with values of its
            calls.
        answer: How the attacker answers after it has called back.
        may_call: Whether calls can be added, and not only what is done besides.
    """

    parent: Candidate
    place: Place
    base: float
    bonus: float
    who: Address
    active: tuple[Address, ...] = ()
    site: Site | None = None
    caller: Address | None = None
    voice: Address | None = None
    others: tuple[tuple[float, Call | Reaction], ...] = ()
    again: Suggestions = NOTHING_SUGGESTED
    answer: Answer = ZEROS
    may_call: bool = True
    taken: int = 0
    queued: int = 0
    """In how many queues it stands."""
    _next_cost: float = 0.0
    """What the try that comes next costs, however it and others fared so far."""
    _next: int = _OTHER
    """What comes next: three times the number of an entry point, and where its call comes from."""
    _others_taken: int = 0
    _at: dict[int, int] = field(factory=dict)
    """How far the calls of each entry point were taken, where any was: thousands of openings wait for their turn."""
    _progress: dict[Answer, dict[int, int]] | None = None
    """The same by answer, once there is more than one."""

    @property
    def kind(self) -> object:
        """What kind of place it is: all that matters for the way that is taken, besides the entry point."""
        site = None if self.site is None else self.site.reaction.site
        return (self.who, self.voice, site, len(self.place), self.answer)

    @property
    def is_known(self) -> bool:
        """Whether anything was added in such a place to a try that came by the same way."""
        assert self.parent.way is not None  # noqa: S101 - tries that are added to were run
        kind, longer = self.kind, self.parent.way.longer
        return kind in longer or (kind, _AGAIN) in longer

    def begin_anew(self, answer: Answer) -> None:
        """Begin anew with all calls, if the attacker is to answer otherwise; go on where it answered so before."""
        if answer != self.answer:
            self._at, self.answer = self._progress_with(answer), answer

    def _progress_with(self, answer: Answer) -> dict[int, int]:
        if self._progress is None:
            self._progress = {self.answer: self._at}
        return self._progress.setdefault(answer, {})

    def share(self, origin: Opening, answer: Answer) -> None:
        """Take what another opening has not taken with an answer, and leave to it what this one has not.

        The other one adds a call back that ends with this answer; this one adds the same call to the answer alone.
        """
        self.again, self._at = origin.again, origin._progress_with(answer)

    @property
    def is_callback(self) -> bool:
        """Whether what is added is done by the code of an attacker, and not sent by its account."""
        return self.caller is not None

    def look(self, menu: Sequence[Entry], often: float) -> float:
        """Find what would be added next; return its cost, infinite where nothing is left.

        ``often`` is what it costs, by the logarithm of how often, that a row of entry points was tried already.
        """
        at, active = self._at, self.active
        best = price = math.inf
        callback = self.is_callback
        assert self.parent.way is not None  # noqa: S101 - tries that are added to were run
        longer, kind, (again, repeated) = self.parent.way.longer, self.kind, self.again
        ways = longer.get(kind, _NO_WAYS)
        kin, unpaid = 0.0, False
        for number, entry in enumerate(menu if self.may_call else ()):
            if callback:
                kin = _REENTRY if entry.point.contract in active else _ELSEWHERE
                unpaid = entry.point.method is not None  # typed calls carry no money
            extra = entry.penalty + (often * ways[number].often if number in ways else 0.0) + kin
            calls, costs, place = entry.calls, entry.costs, at.get(2 * number, 0)
            cost = costs[place] if place < len(costs) else entry.cost(place)
            if unpaid or repeated:
                first = place
                while cost < math.inf and ((unpaid and calls[place].value) or calls[place] in repeated):
                    place += 1
                    cost = entry.cost(place)
                if place > first:
                    at[2 * number] = place
            if cost + extra < best:
                best, price, self._next = cost + extra, cost + kin, 3 * number + _LISTED
            learnt = entry.learnt
            if learnt:
                first = at.get(2 * number + 1, 0)
                place = self._unmade(learnt, first, unpaid=unpaid)
                if place > first:
                    at[2 * number + 1] = place
                cost = _LEARNT + math.log2(1 + place / 2)
                if place < len(learnt) and cost + extra < best:
                    best, price, self._next = cost + extra, cost + kin, 3 * number + _LEARNED
        made = at.get(_MADE, 0)
        if made < len(again):
            cost, number, _ = again[-1 - made]
            way = longer.get((kind, _AGAIN), _NO_WAYS).get(number)
            extra = 0.0 if way is None else often * way.often
            kin = (_REENTRY if menu[number].point.contract in active else _ELSEWHERE) if callback else 0.0
            if cost + kin + extra < best:
                best, price, self._next = cost + kin + extra, cost + kin, 3 * number + _REPEATED
        if self._others_taken < len(self.others):
            way = ways.get(_OTHER)
            cost = self.others[-1 - self._others_taken][0]
            extra = 0.0 if way is None else often * way.often
            if cost + extra < best:
                best, price, self._next = cost + extra, cost, _OTHER
        self._next_cost = self.base + price
        return self.base + best

    def _unmade(self, learnt: Sequence[Call], place: int, *, unpaid: bool) -> int:
        """Return where the next call stands that is not suggested, nor carries money if it cannot."""
        while place < len(learnt) and ((unpaid and learnt[place].value) or learnt[place] in self.again[1]):
            place += 1
        return place

    def take(self, menu: Sequence[Entry]) -> Candidate:
        """Return the try with what was found last added to it."""
        number, which = divmod(self._next, 3)
        self.taken += 1
        parent, cost = self.parent, self._next_cost
        assert parent.way is not None  # noqa: S101 - as above
        if number < 0:
            self._others_taken += 1
            _, other = self.others[-self._others_taken]
            way = parent.way.to(self.kind, _OTHER)
            script = self._adding_reaction(other) if isinstance(other, Reaction) else (*parent.script, other)
            return Candidate(script, self.place, cost, way=way, order=parent.order, given=parent.given, origin=self)
        entry = menu[number]
        if which == _REPEATED:
            made = self._at[_MADE] = self._at.get(_MADE, 0) + 1
            _, _, call = self.again[0][-made]
            way = parent.way.to((self.kind, _AGAIN), number)
        else:
            at = self._at.get(2 * number + which, 0)
            self._at[2 * number + which] = at + 1
            call = (entry.learnt if which == _LEARNED else entry.calls)[at]
            way = parent.way.to(self.kind, number)
        if self.caller is None:
            script = (*parent.script, call.sent_by(self.who))
            return Candidate(script, self.place, cost, entry, None, way, parent.order, parent.given)
        inner: Place = ()
        if self.voice is not None:
            call = Call(self.voice, None, reactions=(Reaction(self.voice, MAIN, calls=(call,)),))
            inner = (0, 0)
        script = parent.script
        if self.site is not None:
            done = self.site.reaction
            values, output = self.answer
            back = Reaction(done.account, done.site, done.static, (call,), values=values, output=output)
            script = self._adding_reaction(back)
            added, site = (*self.place, 0, *inner), done.site
        else:
            outer = call_at(script, self.place[:-2])
            reaction = outer.reactions[self.place[-2]]
            longer = reaction.with_calls((*reaction.calls, call))
            script = replace_call(script, self.place[:-2], with_reaction(outer, self.place[-2], longer))
            added, site = (*self.place, *inner), reaction.site
        nesting = (self.caller, self.who, site, entry.point.contract, entry.point.method or MAIN)
        return Candidate(script, added, cost, entry, nesting, way, parent.order, parent.given)

    def _adding_reaction(self, reaction: Reaction) -> Script:
        site = self.site
        assert site is not None  # noqa: S101 - only those at sites have reactions to add
        call = call_at(self.parent.script, site.path)
        reactions = (*call.reactions, *site.skipped, reaction)
        return replace_call(self.parent.script, site.path, call.with_reactions(reactions))
