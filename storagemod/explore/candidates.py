"""Longer and shorter scripts: the candidates one decision longer than a trial, and the shortest that breaks the same.

Candidates grow in the order of time: what is added to one happens after everything that was added before. So each
script is reached in one way, and every script can be reached. Those equivalent to a shorter one are left out: a call
that changed nothing is not followed by others, only by what might be done within it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import attrs
from attrs import frozen

from storagemod.explore.attacker import Attacker
from storagemod.explore.script import (
    MAIN,
    Call,
    Ending,
    Path,
    Reaction,
    Script,
    call_at,
    calls_in,
    decisions_in,
    replace_call,
    walk,
    with_reaction,
)
from storagemod.explore.trial import Site, TrialResult, outermost_idle, sites_within
from storagemod.types import Address, Value, ValueType

SHRINKING_TRIALS_MAX = 2_000
"""How many shorter or plainer scripts are run at most."""

Nesting = tuple[Address, Address, str, Address, str]
"""Who called whom by which method, and the contract and method that is called back from there."""


class Candidate:
    """A script that may be run. Most never are: the script is put together when it is first asked for.

    Args:
        make: Makes the script.
        added: The place of what was added last: a call, or a reaction.
        score: How promising it is; higher ones come first among those of one size.
        nesting: The site and the entry point that it tries, where it calls back.
    """

    __slots__ = ("_make", "_script", "added", "nesting", "score")

    def __init__(self, make: Callable[[], Script], added: Path, score: int = 0, nesting: Nesting | None = None) -> None:
        self._make = make
        self._script: Script | None = None
        self.added = added
        self.score = score
        self.nesting = nesting

    @property
    def script(self) -> Script:
        """The transactions."""
        if self._script is None:
            self._script = self._make()
        return self._script


@frozen
class Bounds:
    """How long and how deep candidates may be.

    Attributes:
        calls: The most calls in a script: transactions, and calls back.
        depth: How deep calls back may be nested.
    """

    calls: int
    depth: int


@frozen
class Grower:
    """Makes longer candidates.

    Attributes:
        calls: The calls to choose from.
        paid: Calls that only transactions can make.
        senders: The senders of transactions.
        attackers: The accounts that react.
        bounds: How long and deep scripts may be.
    """

    calls: tuple[Call, ...]
    paid: tuple[Call, ...]
    senders: tuple[Address, ...]
    attackers: tuple[Attacker, ...]
    bounds: Bounds

    def first(self) -> Iterator[Candidate]:
        """Yield the candidates of one call."""
        yield from self._transactions((), 0)

    def longer(self, parent: Candidate, result: TrialResult, *, known: bool = False) -> Iterator[Candidate]:
        """Yield the candidates that add one decision to another one, given its result.

        ``known`` is whether another trial led to the same state before.
        """
        script, added = parent.script, parent.added
        is_reaction = len(added) % 2 == 0
        found = result.played.get(added) if is_reaction else result.outcomes.get(added)
        if found is None or result.refused is not None:
            return  # what was added was never reached: what had been before it was undone
        time = found[0] if isinstance(found, tuple) else found.order
        call_path = added[:-1] if is_reaction else added
        inside = outermost_idle(result.outcomes, call_path) or ()
        bonus = 4 if result.hazardous else 0
        room = calls_in(script) < self.bounds.calls
        for site in sites_within(result.sites, inside):
            if site.order > time:
                yield from self._reactions(script, site, bonus, room=room)
        if room:
            for length in range(2, len(added) + 1, 2):
                if added[: len(inside)] == inside and length > len(inside):
                    yield from self._after(script, added[:length], result, bonus)
            if not inside and not known:
                yield from self._transactions(script, bonus)

    def _transactions(self, script: Script, bonus: int) -> Iterator[Candidate]:
        for sender in self.senders:
            for call in (*self.calls, *self.paid):

                def make(sender: Address = sender, call: Call = call) -> Script:
                    return (*script, call.sent_by(sender))

                yield Candidate(make, (len(script),), 1 + bonus)

    def _reactions(self, script: Script, site: Site, bonus: int, *, room: bool) -> Iterator[Candidate]:
        """Yield what could be done at a site."""
        call, done = call_at(script, site.path), site.reaction
        before = (*call.reactions, *site.skipped)
        place = (*site.path, len(before))

        def make(calls: Script = (), ending: Ending = Ending.RETURN, values: tuple[Value, ...] | None = None) -> Script:
            reaction = Reaction(done.account, done.site, done.static, calls, ending, values)
            return replace_call(script, site.path, call.with_reactions((*before, reaction)))

        if room and not done.static and len(site.path) // 2 < self.bounds.depth:
            for callback in self.calls:
                score = 3 if callback.contract in site.active else 2
                nesting = (site.caller, done.account, done.site, callback.contract, callback.method or MAIN)
                yield Candidate(partial(make, (callback,)), (*place, 0), score + bonus, nesting)
        for ending in (Ending.REVERT, Ending.TRAP):
            yield Candidate(partial(make, ending=ending), place, bonus)
        for values in self._values(done):
            yield Candidate(partial(make, values=values), place, 1 + bonus)

    def _after(self, script: Script, place: Path, result: TrialResult, bonus: int) -> Iterator[Candidate]:
        """Yield one more call at the end of a reaction."""
        call = call_at(script, place[:-1])
        reaction = call.reactions[place[-1]]
        if reaction.static or reaction.ending is not Ending.RETURN or len(place) // 2 > self.bounds.depth:
            return
        _, caller = result.played[place]

        def make(callback: Call) -> Script:
            longer = reaction.with_calls((*reaction.calls, callback))
            return replace_call(script, place[:-1], with_reaction(call, place[-1], longer))

        added, score = (*place, len(reaction.calls)), 2 + bonus
        for callback in self.calls:
            nesting = (caller, reaction.account, reaction.site, callback.contract, callback.method or MAIN)
            yield Candidate(partial(make, callback), added, score, nesting)

    def _values(self, reaction: Reaction) -> list[tuple[Value, ...]]:
        """Return what an attacker may return instead of zeros."""
        hooks = next(each for each in self.attackers if each.account == reaction.account).hooks
        results = hooks[reaction.site].results if reaction.site in hooks else ()
        return [tuple(_bound(kind, high=high) for kind in results) for high in (False, True)] if results else []


def _bound(kind: ValueType, *, high: bool) -> Value:
    if kind in {"f32", "f64"}:
        return float("inf") if high else 1.0
    return (2**31 - 1 if kind == "i32" else 2**63 - 1) if high else 1


def longer_than(bounds: Bounds, sites: Sequence[Site]) -> int:
    """Return how many of these sites are too deep to call back from."""
    return sum(not site.reaction.static and len(site.path) // 2 >= bounds.depth for site in sites)


def shrink(script: Script, breaks: Callable[[Script], bool], *, steps_max: int = SHRINKING_TRIALS_MAX) -> Script:
    """Return the simplest script that is found by leaving out one thing after another.

    Args:
        script: A script that breaks an invariant.
        breaks: Whether a script still does.
        steps_max: How many are run at most.

    Returns:
        A script from which no single call or reaction can be left out, and no argument made plainer. It has not more
        calls than the one given.
    """
    steps = 0
    seen = {script}
    found = True
    while found:
        found = False
        for simpler in _simpler(script):
            if simpler in seen or not simpler:
                continue
            seen.add(simpler)
            steps += 1
            if steps > steps_max:
                return script
            if breaks(simpler):
                script, found = simpler, True
                break
    return script


def _simpler(script: Script) -> Iterator[Script]:
    """Yield scripts that are simpler by one thing, the shortest first."""
    shorter = [replace_call(script, path, None) for path, _ in walk(script)]
    shorter += list(_hoisted(script))
    shorter += list(_tamer(script))
    yield from sorted(shorter, key=lambda each: (calls_in(each), decisions_in(each)))
    for path, call in walk(script):
        if call.value:
            yield replace_call(script, path, attrs.evolve(call, value=0))
        for number, value in enumerate(call.args):
            for plainer in _plainer(value):
                args = (*call.args[:number], plainer, *call.args[number + 1 :])
                yield replace_call(script, path, attrs.evolve(call, args=args))


def _hoisted(script: Script) -> Iterator[Script]:
    """Yield scripts with a call back in the place of the call during which it is made."""
    for path, call in walk(script):
        for reaction in call.reactions:
            for inner in reaction.calls:
                yield replace_call(script, path, attrs.evolve(inner, sender=call.sender))


def _tamer(script: Script) -> Iterator[Script]:
    """Yield scripts with a reaction that does less."""
    for path, call in walk(script):
        for position, reaction in enumerate(call.reactions):
            if reaction.calls:
                yield _reacting(script, path, position, calls=())
            if reaction.ending is not Ending.RETURN:
                yield _reacting(script, path, position, ending=Ending.RETURN)
            if reaction.values is not None:
                yield _reacting(script, path, position, values=None)
            if reaction.is_default:  # its place may not be needed
                kept = (*call.reactions[:position], *call.reactions[position + 1 :])
                yield replace_call(script, path, attrs.evolve(call, reactions=kept))


def _reacting(script: Script, path: Path, position: int, **changes: object) -> Script:
    call: Call = call_at(script, path)
    reaction = attrs.evolve(call.reactions[position], **changes)  # type: ignore[arg-type]
    return replace_call(script, path, with_reaction(call, position, reaction))


def _plainer(value: Value) -> list[Value]:
    """Return numbers that are easier to read, the easiest first."""
    if isinstance(value, float):
        return [] if value in {0.0, 1.0} else [0.0, 1.0]
    plain = [0, 1, *([value // 10, value // 2] if value > 1 else [])]
    return [each for each in dict.fromkeys(plain) if abs(each) < abs(value)]
