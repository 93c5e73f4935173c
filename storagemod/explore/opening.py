"""Tries that are to be run, and the places in tries where one more decision can be made: a call, or a reaction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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

_REPEATED, _AGAIN = 2, "again"
"""What marks a call under way that is made again: in the next addition of an opening, and in a way."""

_NO_WAYS: Mapping[int, Way] = {}


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
        tried: How many tries did.
        often: The logarithm of that, to base 2, with one more.
        patched: Changes that comparisons told of, for what was added last.
        longer: Those that are longer by one, by what was added: where, and then the number of the entry point.
    """

    tried: int = 0
    often: float = 0.0
    patched: set[Change] = field(factory=set)
    longer: dict[object, dict[int, Way]] = field(factory=dict)

    def to(self, kind: object, number: int) -> Way:
        """Return the row with one more entry point, which is tried once more."""
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
        again: Calls that the try itself suggests, from the end, with their costs and the numbers of their entry points.
            They are those under way, made again, and others with values of its calls.
        answer: How the attacker answers after it has called back.
        may_call: Whether calls can be added, and not only what is done besides.
    """

    parent: Candidate
    place: Place
    base: float
    bonus: float
    who: Address
    active: frozenset[Address] = frozenset()
    site: Site | None = None
    caller: Address | None = None
    voice: Address | None = None
    others: list[tuple[float, Call | Reaction]] = field(factory=list)
    again: list[Suggestion] = field(factory=list)
    answer: Answer = ZEROS
    may_call: bool = True
    taken: int = 0
    queued: int = 0
    """In how many queues it stands."""
    _next_cost: float = 0.0
    """What the try that comes next costs, however it and others fared so far."""
    _next: tuple[int, int] = (0, 0)
    _at: list[int] = field(factory=list)
    _progress: dict[Answer, tuple[list[int], list[Suggestion]]] = field(factory=dict)
    """By answer, how far the calls were taken with it, and which are still to be made again."""
    _suggested: tuple[Suggestion, ...] = field(init=False)
    _repeated: frozenset[Call] = field(init=False)
    """The calls that were suggested: they are not made once more where their turn comes."""

    def __attrs_post_init__(self) -> None:
        self._suggested = tuple(self.again)
        self._repeated = frozenset(call for _, _, call in self.again)
        self._progress[self.answer] = self._at, self.again

    @property
    def kind(self) -> object:
        """What kind of place it is: all that matters for the way that is taken, besides the entry point."""
        site = None if self.site is None else self.site.reaction.site
        return (self.who, self.voice, site, len(self.place), self.answer)

    def begin_anew(self, answer: Answer) -> None:
        """Begin anew with all calls, if the attacker is to answer otherwise; go on where it answered so before."""
        if answer != self.answer:
            self.answer, (self._at, self.again) = answer, self._progress_with(answer)

    def _progress_with(self, answer: Answer) -> tuple[list[int], list[Suggestion]]:
        return self._progress.setdefault(answer, ([], list(self._suggested)))

    def share(self, origin: Opening, answer: Answer) -> None:
        """Take what another opening has not taken with an answer, and leave to it what this one has not.

        The other one adds a call back that ends with this answer; this one adds the same call to the answer alone.
        """
        self._suggested, self._repeated = origin._suggested, origin._repeated
        self._at, self.again = origin._progress_with(answer)

    @property
    def is_callback(self) -> bool:
        """Whether what is added is done by the code of an attacker, and not sent by its account."""
        return self.caller is not None

    def look(self, menu: Sequence[Entry], often: float) -> float:
        """Find what would be added next; return its cost, infinite where nothing is left.

        ``often`` is what it costs, by the logarithm of how often, that a row of entry points was tried already.
        """
        at = self._at
        if not at:
            at.extend([0] * (2 * len(menu)))
        best = price = math.inf
        callback = self.is_callback
        assert self.parent.way is not None  # noqa: S101 - tries that are added to were run
        longer, kind = self.parent.way.longer, self.kind
        ways, repeated = longer.get(kind, _NO_WAYS), self._repeated
        for number, entry in enumerate(menu if self.may_call else ()):
            way = ways.get(number)
            kin = self._kin(entry) if callback else 0.0
            extra = entry.penalty + (0.0 if way is None else often * way.often) + kin
            unpaid = callback and entry.point.method is not None  # typed calls carry no money
            calls, costs, place = entry.calls, entry.costs, at[2 * number]
            cost = costs[place] if place < len(costs) else entry.cost(place)
            while cost < math.inf and ((unpaid and calls[place].value) or calls[place] in repeated):
                place += 1
                cost = entry.cost(place)
            at[2 * number] = place
            if cost + extra < best:
                best, price, self._next = cost + extra, cost + kin, (number, 0)
            learnt = entry.learnt
            if learnt:
                place = at[2 * number + 1]
                while place < len(learnt) and ((unpaid and learnt[place].value) or learnt[place] in repeated):
                    place += 1
                at[2 * number + 1] = place
                cost = _LEARNT + math.log2(1 + place / 2)
                if place < len(learnt) and cost + extra < best:
                    best, price, self._next = cost + extra, cost + kin, (number, 1)
        if self.again:
            cost, number, _ = self.again[-1]
            way = longer.get((kind, _AGAIN), _NO_WAYS).get(number)
            extra = 0.0 if way is None else often * way.often
            kin = self._kin(menu[number]) if callback else 0.0
            if cost + kin + extra < best:
                best, price, self._next = cost + kin + extra, cost + kin, (number, _REPEATED)
        if self.others:
            way = ways.get(-1)
            cost = self.others[-1][0]
            extra = 0.0 if way is None else often * way.often
            if cost + extra < best:
                best, price, self._next = cost + extra, cost, (-1, 0)
        self._next_cost = self.base + price
        return self.base + best

    def _kin(self, entry: Entry) -> float:
        """Return what it costs besides to call back a contract that is running, or another one."""
        return _REENTRY if entry.point.contract in self.active else _ELSEWHERE

    def take(self, menu: Sequence[Entry]) -> Candidate:
        """Return the try with what was found last added to it."""
        number, which = self._next
        self.taken += 1
        parent, cost = self.parent, self._next_cost
        assert parent.way is not None  # noqa: S101 - as above
        if number < 0:
            _, other = self.others.pop()
            way = parent.way.to(self.kind, -1)
            script = self._adding_reaction(other) if isinstance(other, Reaction) else (*parent.script, other)
            return Candidate(script, self.place, cost, way=way, order=parent.order, given=parent.given, origin=self)
        entry = menu[number]
        if which == _REPEATED:
            _, _, call = self.again.pop()
            way = parent.way.to((self.kind, _AGAIN), number)
        else:
            at = self._at[2 * number + which]
            self._at[2 * number + which] += 1
            call = (entry.learnt if which else entry.calls)[at]
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
