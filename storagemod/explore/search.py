"""The search: candidates by their number of decisions, promising ones first, until all is broken or nothing is left.

Also what it covered: what was tried, and what was not.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import TypeAlias

from attrs import define, field, frozen

from storagemod.errors import StorageModError
from storagemod.explore.attacker import Attacker
from storagemod.explore.candidates import Bounds, Candidate, Grower, longer_than, shrink
from storagemod.explore.executors import Trials, trials_on
from storagemod.explore.plan import Plan
from storagemod.explore.scope import CandidateCalls
from storagemod.explore.script import MAIN, Script, calls_in, depth_of
from storagemod.explore.trial import Breach, CallSite, TrialResult, TrialRunner
from storagemod.types import Address
from storagemod.world import Receipt

Progress = Callable[[int, int, int], None]
"""Told how many tries were run, of how many that are to be at most, and how many invariants are broken."""


@frozen
class Violation:
    """An invariant that does not hold, and the shortest try that was found to break it.

    Attributes:
        invariant: Its name.
        text: What it says.
        breach: Where, and why.
        script: The try, empty where it does not hold before any.
        receipts: What came of each of its transactions; the last one has the breach.
        found: The try as the search met it, before it was shrunk.
    """

    invariant: str
    text: str
    breach: Breach
    script: Script
    receipts: tuple[Receipt, ...] = field(repr=False)
    found: Script = field(repr=False)


@frozen
class Budget:
    """Limits of a search.

    Attributes:
        tries: How many tries are run at most.
        seconds: How long; a search that ends so may end elsewhere the next time.
    """

    tries: int
    seconds: float | None = None


@frozen
class Found:
    """Result of a search.

    Attributes:
        violations: In the order of the invariants.
        coverage: What was tried.
        tries: How many.
        shrinking: How many more were run to shrink what was found.
        seconds: How long the search took, shrinking left out.
        ended: Why it ended: ``everything tried``, ``every invariant broken``, ``tries`` or ``seconds``.
    """

    violations: tuple[Violation, ...]
    coverage: Coverage
    tries: int
    shrinking: int
    seconds: float = field(eq=False)
    ended: str


EntryKey: TypeAlias = tuple[Address, str]
"""Contract and method."""


@frozen
class Coverage:
    """What was tried, and what was not.

    Attributes:
        call_sites: Calls out to untrusted accounts that happened, each with the number of entry points that were called
            back from there.
        entry_points: All that may be called, each with the number of tries that sent a transaction there, and of those
            that called back there.
        arguments: By entry point, combinations of arguments that were taken and that there would be.
        by_calls: Tries by their number of calls.
        by_depth: Tries by how deep calls back were nested.
        left: Tries that the budget did not reach, one decision longer than those that were run, or as long.
        too_deep: Call sites met where calls back would have been nested deeper than the bound.
        too_long: Tries that were not made longer, having as many calls as the bound allows.
        idle: Tries that were not made longer, what they added having changed nothing.
        alike: Tries that were not followed by more transactions, the state being one that another try had led to.
        static: Call sites in static calls: calls back from there change nothing, and were not tried.
        refused: Tries that could not be run to their end, by the reason.
    """

    call_sites: Mapping[CallSite, int]
    entry_points: Mapping[EntryKey, tuple[int, int]]
    arguments: Mapping[EntryKey, tuple[int, int]]
    by_calls: Mapping[int, int]
    by_depth: Mapping[int, int]
    left: int
    too_deep: int
    too_long: int
    idle: int
    alike: int
    static: int
    refused: Mapping[str, int]

    @property
    def nestings(self) -> tuple[int, int]:
        """Pairs of a call site and an entry point called back from there: tried, and all."""
        dynamic = [count for site, count in self.call_sites.items() if not site[3]]
        return sum(dynamic), len(dynamic) * len(self.entry_points)

    @property
    def complete(self) -> bool:
        """Whether every try within the bounds was run, with the arguments that were taken, or is like one that was."""
        return not self.left and not self.refused


@define
class Tally:
    """Counts while a search runs."""

    candidate_calls: CandidateCalls
    attackers: Sequence[Attacker]
    bounds: Bounds
    sites: dict[CallSite, set[EntryKey]] = field(factory=dict)
    sent: Counter[EntryKey] = field(factory=Counter)
    called_back: Counter[EntryKey] = field(factory=Counter)
    by_calls: Counter[int] = field(factory=Counter)
    by_depth: Counter[int] = field(factory=Counter)
    refused: Counter[str] = field(factory=Counter)
    left: int = 0
    too_deep: int = 0
    too_long: int = 0
    idle: int = 0
    alike: int = 0

    def count(self, each: Candidate, result: TrialResult, children: int) -> None:
        """Count a trial, and how many longer candidates it led to."""
        script = each.script
        calls = calls_in(script)
        self.by_calls[calls] += 1
        self.by_depth[depth_of(script)] += 1
        if result.refused is not None:
            self.refused[result.refused] += 1
        for site in result.reached:
            self.sites.setdefault(site, set())
        for call in script:
            self.sent[call.contract, call.method or MAIN] += 1
        if each.nesting is not None:
            caller, account, method, contract, entry = each.nesting
            self.sites.setdefault((caller, account, method, False), set()).add((contract, entry))
            self.called_back[contract, entry] += 1
        self.too_deep += longer_than(self.bounds, result.sites)
        if calls >= self.bounds.calls:
            self.too_long += 1
        elif not children:
            self.idle += 1

    def coverage(self) -> Coverage:
        """Return all that was counted."""
        entries = list(dict.fromkeys(_keys(self.attackers)))
        arguments = {
            (contract, method or MAIN): (self.candidate_calls.taken[contract, method], count)
            for (contract, method), count in self.candidate_calls.candidates.items()
        }
        return Coverage(
            call_sites={site: len(self.sites[site]) for site in sorted(self.sites)},
            entry_points={key: (self.sent[key], self.called_back[key]) for key in entries},
            arguments=arguments,
            by_calls=dict(sorted(self.by_calls.items())),
            by_depth=dict(sorted(self.by_depth.items())),
            left=self.left,
            too_deep=self.too_deep,
            too_long=self.too_long,
            idle=self.idle,
            alike=self.alike,
            static=sum(static for *_, static in self.sites),
            refused=dict(sorted(self.refused.items())),
        )


def _keys(attackers: Sequence[Attacker]) -> Iterator[EntryKey]:
    for attacker in attackers:
        for entry in attacker.entry_points:
            yield entry.contract, entry.method or MAIN


def search(
    plan: Plan,
    candidate_calls: CandidateCalls,
    senders: Sequence[Address],
    *,
    bounds: Bounds,
    budget: Budget,
    seed: int = 0,
    jobs: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Found:
    """Search for scripts that break invariants.

    Args:
        plan: What to try on.
        candidate_calls: What may be called.
        senders: Who sends transactions.
        bounds: How long and how deep tries may be.
        budget: When to end.
        seed: With another seed than 0, tries that are equally promising come in another order.
        jobs: In how many processes to run tries.
        executor: Where to run them instead.
        progress: Told of each step.
    """
    runner = TrialRunner(plan)
    grower = Grower(candidate_calls.calls, candidate_calls.paid, tuple(senders), plan.attackers, bounds)
    run = _Search(
        runner, grower, Tally(candidate_calls, plan.attackers, bounds), budget, seed, progress or (lambda *_: None)
    )
    started = time.monotonic()
    for breach in runner.start():
        run.broken[breach.invariant] = (breach, ())
    run.states[runner.state()] = 0
    with trials_on(plan, runner, jobs=jobs, executor=executor) as trials:
        ended = run.levels(trials, None if budget.seconds is None else started + budget.seconds)
    seconds = time.monotonic() - started
    violations = [_violation(run, rule.name, rule.text) for rule in runner.invariants if rule.name in run.broken]
    return Found(tuple(violations), run.tally.coverage(), run.tries, run.shrinking, seconds, ended)


@define
class _Search:
    runner: TrialRunner
    grower: Grower
    tally: Tally
    budget: Budget
    seed: int
    progress: Progress
    broken: dict[str, tuple[Breach, Script]] = field(factory=dict)
    tries: int = 0
    shrinking: int = 0
    states: dict[bytes, int] = field(factory=dict)
    """States that tries led to, each with the fewest calls."""

    def levels(self, trials: Trials, deadline: float | None) -> str:
        """Run level after level; return why it ended."""
        level = self._sorted(self.grower.first(), 1)
        size = 1
        while level:
            if self._all_broken():
                self.tally.left += len(level)
                return "every invariant broken"
            buckets = _Buckets(self.budget.tries)
            ended = self._level(level, trials, deadline, buckets)
            if ended is not None:
                self.tally.left += buckets.total
                return ended
            self.tally.left += buckets.dropped
            size += 1
            level = self._sorted(buckets.all(), size)
        return "every invariant broken" if self._all_broken() else "everything tried"

    def _known(self, script: Script, result: TrialResult) -> bool:
        """Return whether a script with no more calls led to the same state; note this one if not."""
        if result.state is None or result.breaches:
            return False
        calls = calls_in(script)
        if self.states.get(result.state, calls + 1) <= calls:
            self.tally.alike += 1
            return True
        self.states[result.state] = calls
        return False

    def _all_broken(self) -> bool:
        return len(self.broken) == len(self.runner.invariants)

    def _level(
        self, level: Sequence[Candidate], trials: Trials, deadline: float | None, longer: _Buckets
    ) -> str | None:
        """Run the candidates of one size; return why the search has to end, if it has to."""
        ignored = frozenset(self.broken)
        allowed = level[: max(0, self.budget.tries - self.tries)]
        results = trials.results((each.script for each in allowed), ignored)
        for number, each in enumerate(allowed):
            if deadline is not None and time.monotonic() > deadline:
                self.tally.left += len(level) - number
                return "seconds"
            result = next(results)
            self.tries += 1
            for breach in result.breaches:
                self.broken.setdefault(breach.invariant, (breach, each.script))
            before = longer.total
            longer.add(self.grower.longer(each, result, known=self._known(each.script, result)))
            self.tally.count(each, result, longer.total - before)
            self.progress(self.tries, self.budget.tries, len(self.broken))
            if self._all_broken():
                self.tally.left += len(level) - number - 1
                return "every invariant broken"
        if len(allowed) < len(level):
            self.tally.left += len(level) - len(allowed)
            return "tries"
        return None

    def _sorted(self, tries: Iterable[Candidate], size: int) -> list[Candidate]:
        """Sort candidates, promising ones first; a seed changes the order of those that are alike."""
        found = list(tries)
        if self.seed:
            random.Random(f"{self.seed}:{size}").shuffle(found)  # noqa: S311 - an order, no secret
        return sorted(found, key=lambda each: -each.score)


@define
class _Buckets:
    """Candidates of the next size. More of one score than will ever be run are counted and forgotten."""

    room: int
    by_score: dict[int, list[Candidate]] = field(factory=dict)
    total: int = 0
    dropped: int = 0

    def add(self, tries: Iterable[Candidate]) -> None:
        for each in tries:
            self.total += 1
            bucket = self.by_score.setdefault(each.score, [])
            if len(bucket) < self.room:
                bucket.append(each)
            else:
                self.dropped += 1

    def all(self) -> Iterator[Candidate]:
        for score in sorted(self.by_score, reverse=True):
            yield from self.by_score[score]


def _violation(run: _Search, name: str, text: str) -> Violation:
    """Shrink a script that was found, and run it once more for its receipts."""
    breach, script = run.broken[name]
    if not script:
        return Violation(name, text, breach, (), (), ())
    ignored = frozenset(rule.name for rule in run.runner.invariants if rule.name != name)

    def breaks(shorter: Script) -> bool:
        run.shrinking += 1
        try:
            return bool(run.runner.run(shorter, ignored=ignored).breaches)
        except StorageModError:  # what it calls is refused from the start: not a try
            return False

    shortest = shrink(script, breaks)
    receipts: list[Receipt] = []
    (breach,) = run.runner.run(shortest, ignored=ignored, receipts=receipts).breaches
    return Violation(name, text, breach, shortest[: len(receipts)], tuple(receipts), script)
