"""The search: takes tries from the frontier, runs them, and learns from what they met, until the budget is used."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor

from attrs import define, field, frozen

from storagemod.errors import StorageModError
from storagemod.explore.coverage import Coverage, Tally
from storagemod.explore.executors import Trials, trials_on
from storagemod.explore.follower import CallOutcome
from storagemod.explore.frontier import Frontier
from storagemod.explore.menu import Entry
from storagemod.explore.opening import Candidate
from storagemod.explore.plan import Plan
from storagemod.explore.saved import CORPUS_MAX
from storagemod.explore.script import Call, Place, Script, call_at, calls_in, depth_of, walk
from storagemod.explore.shrink import shrink
from storagemod.explore.trial import Breach, TrialResult, TrialRunner
from storagemod.types import Address
from storagemod.world import Receipt

Progress = Callable[[int, int, int], None]
"""Told how many tries were run, of how many that are to be at most, and how many invariants are broken."""

Told = Callable[[Breach, Script, bool], None]
"""Told at once how an invariant was broken, by which script, not shrunk yet, and whether it needs a call back."""

_BATCH_MAX = 128
"""How many tries are chosen before the results of the first of them are known, wherever they run."""

_CHECKS_MAX = 500
"""How many tries are run once more without their calls back, to see whether these were needed."""

_AFTER_PLAIN = 5_000
"""How many tries look for a call back that breaks an invariant, once all are broken without one or with one."""

_STATES_MAX = 1_000_000
"""How many states are remembered at most. Later ones are taken for new each time."""

_RUN_MAX = 200_000
"""How many tries are remembered at most, so as not to run them again: some 20 MiB. Then they are forgotten."""

_SEARCH_SHARE = 0.8
"""Of its seconds, the part after which a search that found something ends, so that there is time for shrinking."""

_GRACE_SECONDS = 3.0
"""How long what was found is shrunk, all in all, after a request to stop."""


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
        needs_callback: Whether it takes a call back: the same try without any does not break the invariant.
    """

    invariant: str
    text: str
    breach: Breach
    script: Script
    receipts: tuple[Receipt, ...] = field(repr=False)
    found: Script = field(repr=False)
    needs_callback: bool = False


@frozen
class Budget:
    """Limits of a search.

    Attributes:
        tries: How many tries are run at most.
        seconds: How long, shrinking included; a search that ends so may end elsewhere the next time.
        stop: Asked between tries; the search ends if it returns true.
        started: Since when seconds count, on the clock of ``time.monotonic``.
    """

    tries: int
    seconds: float | None = None
    stop: Callable[[], bool] = lambda: False
    started: float = field(factory=time.monotonic)

    def ended(self, share: float = 1.0) -> str | None:
        """Return why the search has to end: ``interrupted``, or ``seconds`` once this share of them has gone by."""
        if self.stop():
            return "interrupted"
        over = self.seconds is not None and time.monotonic() > self.started + share * self.seconds
        return "seconds" if over else None


@frozen
class Found:
    """Result of a search.

    Attributes:
        violations: In the order of the invariants; of one that is broken with and without calls back, both.
        coverage: What was tried.
        tries: How many.
        shrinking: How many more were run to shrink what was found.
        seconds: How long the search took, shrinking left out.
        ended: Why it ended: ``everything tried``, ``every invariant broken``, ``tries``, ``seconds`` or
            ``interrupted``.
        fragile: Invariants that are broken by nothing but more money, and whose. Anybody can force money upon a
            contract by destroying an own one, so this is not tried there.
        corpus: Tries that met something new, each with the place of what was added last.
        unfit: How many of the saved tries could not be run.
        recalled: For each known attack whether it breaks its invariant; ``None`` where the time was over before.
    """

    violations: tuple[Violation, ...]
    coverage: Coverage
    tries: int
    shrinking: int
    seconds: float = field(eq=False)
    ended: str
    fragile: Mapping[str, Address] = field(factory=dict)
    corpus: tuple[tuple[Script, Place], ...] = field(default=(), repr=False)
    unfit: int = 0
    recalled: tuple[bool | None, ...] = ()


def search(
    plan: Plan,
    menu: list[Entry],
    senders: Sequence[Address],
    *,
    beneficiaries: Sequence[Address] = (),
    readers: Sequence[Address] = (),
    calls: int,
    depth: int,
    budget: Budget,
    seed: int = 0,
    jobs: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    told: Told | None = None,
    attacks: Sequence[tuple[str, Script]] = (),
    saved: Sequence[tuple[Script, Place]] = (),
) -> Found:
    """Search for scripts that break invariants.

    Args:
        plan: What to try on.
        menu: What may be called.
        senders: Who sends transactions.
        beneficiaries: Contracts that attackers may force their money upon.
        readers: Contracts that look at the data which calls return.
        calls: How many calls a try has at most.
        depth: How deep calls back are nested at most.
        budget: When to end.
        seed: With another seed than 0, tries that are equally promising come in another order.
        jobs: In how many processes to run tries.
        executor: Where to run them instead.
        progress: Told of each step.
        told: Told of each invariant that is broken.
        attacks: Known attacks, each with the invariant that it broke; run first, and not counted as tries.
        saved: Tries of an earlier search, run before all others.
    """
    runner = TrialRunner(plan)
    started = time.monotonic()
    told = told or (lambda *_: None)
    broken: dict[str, tuple[Breach, Script]] = {breach.invariant: (breach, ()) for breach in runner.start()}
    for breach, _ in broken.values():
        told(breach, (), False)
    fragile = _fragile(runner, beneficiaries, broken)
    steadfast = tuple(each for each in beneficiaries if each not in fragile.values())
    frontier = Frontier(
        menu, tuple(senders), plan.attackers, steadfast, frozenset(readers), calls, depth, _shuffle(seed)
    )
    for entry in menu:
        entry.nudge = next(frontier.shuffle)
    run = _Search(runner, frontier, Tally(menu), budget, progress or (lambda *_: None), told, broken)
    run.states[runner.state] = 0
    recalled = tuple(run.recall(*each) for each in attacks)
    mended = [(script, (len(script) - 1,)) for (_, script), stands in zip(attacks, recalled, strict=True) if not stands]
    ended = run.replay([*mended, *saved])
    if ended is None:
        with trials_on(plan, runner, jobs=jobs, executor=executor, stop=lambda: run.ended() is not None) as trials:
            ended = run.go(trials)
    seconds = time.monotonic() - started
    violations = [each for rule in runner.invariants for each in run.violations(rule.name, rule.text)]
    coverage = run.tally.coverage(
        left=frontier.waiting + frontier.forgotten,
        too_deep=frontier.too_deep,
        too_long=frontier.too_long,
        blocks={address: (ran.bit_count(), count) for address, (ran, count) in sorted(run.blocks.items())},
    )
    return Found(
        tuple(violations),
        coverage,
        run.tries,
        run.shrinking,
        seconds,
        ended,
        fragile,
        (*((each.script, each.added) for each in run.corpus), *run.unreplayed)[:CORPUS_MAX],
        run.unfit,
        recalled,
    )


def _fragile(runner: TrialRunner, beneficiaries: Sequence[Address], broken: Mapping[str, object]) -> dict[str, Address]:
    """Return the invariants that more money alone breaks, each with the contract that has it then."""
    fragile: dict[str, Address] = {}
    amounts = {1, *(runner.world.account(attacker.account).balance for attacker in runner.plan.attackers)}
    for contract in beneficiaries:
        for amount in sorted(amounts - {0}):
            for name in runner.broken_by_money(contract, amount):
                if name not in broken:
                    fragile.setdefault(name, contract)
    return fragile


def _shuffle(seed: int) -> Iterator[float]:
    """Yield what changes the order of tries that are equally promising: nothing for seed 0."""
    if not seed:
        while True:
            yield 0.0
    source = random.Random(seed)  # noqa: S311 - an order, no secret
    while True:
        yield source.random() / 2


@define
class _Search:
    runner: TrialRunner
    frontier: Frontier
    tally: Tally
    budget: Budget
    progress: Progress
    told: Told
    broken: dict[str, tuple[Breach, Script]] = field(factory=dict)
    """Invariants, each with the try that was found to break it."""
    plain: dict[str, tuple[Breach, Script]] = field(factory=dict)
    """Those that are broken without a call back, too."""
    tries: int = 0
    shrinking: int = 0
    checks: int = 0
    settled: int = 0
    """The last try before which an invariant was not broken at all."""
    states: dict[bytes, int] = field(factory=dict)
    """States that tries led to, each with the fewest calls."""
    run: set[int] = field(factory=set)
    """Hashes of tries that were run, 64 bits each. That two are equal by chance leaves a try out, and is unlikely."""
    met: set[object] = field(factory=set)
    """What tries met, to know what is new."""
    blocks: dict[Address, tuple[int, int]] = field(factory=dict)
    """By contract, a bit for each block of code that ran, and how many blocks it has."""
    corpus: list[Candidate] = field(factory=list)
    """Tries that met something new, in the order in which they did."""
    unreplayed: Sequence[tuple[Script, Place]] = ()
    unfit: int = 0
    shrunk: int = 0
    """How many of the violations were shrunk."""
    over: str | None = None

    def ended(self) -> str | None:
        """Return why the search has to end, if it has to; once it has to, it has to."""
        if self.over is None:
            self.over = self.budget.ended(_SEARCH_SHARE if self.broken or self.plain else 1.0)
        return self.over

    def recall(self, name: str, script: Script) -> bool | None:
        """Run a known attack; return whether it breaks its invariant, or ``None`` where the time is over."""
        if self.ended() is not None:
            return None
        breach = self._breaks(script, name)
        if breach is not None:
            self._note(breach, script)
        return breach is not None

    def replay(self, saved: Sequence[tuple[Script, Place]]) -> str | None:
        """Run tries of an earlier search, here; return why the search has to end, if it has to."""
        for number, (script, added) in enumerate(saved):
            ended = "every invariant broken" if self._all_broken() else self.ended()
            if ended is None and self.tries >= self.budget.tries:
                ended = "tries"
            if ended is not None:
                self.unreplayed = saved[number:]
                return ended
            if self._was_run(script, added):
                continue
            try:
                result = self.runner.run(script, ignored=frozenset(self.broken))
            except StorageModError:  # what it calls is refused from the start: not a try any more
                self.unfit += 1
                continue
            self._take(self.frontier.resumed(script, added, result), result)
            self.progress(self.tries, self.budget.tries, len(self.broken.keys() | self.plain.keys()))
        return None

    def go(self, trials: Trials) -> str:
        """Run tries; return why it ended."""
        frontier = self.frontier
        frontier.begin()
        while not self._all_broken():
            size = min(_BATCH_MAX, 8 + self.tries // 8, self.budget.tries - self.tries)
            if size <= 0:
                return "tries"
            batch: list[Candidate] = []
            while len(batch) < size:
                found = frontier.take()
                if found is None:
                    break
                if not self._was_run(found.script, found.added):
                    batch.append(found)
            if not batch:
                return "everything tried"
            batch.sort(key=lambda each: each.order)
            ended = self._run(batch, trials)
            if ended is not None:
                return ended
        return "every invariant broken"

    def _was_run(self, script: Script, added: Place) -> bool:
        """Return whether the same try was run before, which was reached in another way; note that it is run."""
        which = hash((script, added))
        if which in self.run:
            return True
        if len(self.run) >= _RUN_MAX:
            self.run.clear()
        self.run.add(which)
        return False

    def _run(self, batch: Sequence[Candidate], trials: Trials) -> str | None:
        """Run some tries; return why the search has to end, if it has to."""
        ignored = frozenset(self.broken)
        results = trials((each.script for each in batch), ignored)
        for each in batch:
            ended = self.ended()
            result = None if ended is not None else next(results, None)
            if result is None:  # the time was over while it was waited for
                return ended or self.ended()
            self._take(each, result)
            self.progress(self.tries, self.budget.tries, len(self.broken.keys() | self.plain.keys()))
            if self._all_broken():
                return "every invariant broken"
        return None

    def _take(self, each: Candidate, result: TrialResult) -> None:
        """Learn from the result of a try."""
        self.tries += 1
        for breach in result.breaches:
            self._note(breach, each.script)
        outcome = result.outcomes.get(each.added)
        entry = each.entry
        if entry is not None and outcome is not None:
            entry.tried += 1
            entry.succeeded += outcome.ok
            entry.changed += outcome.changed
            if each.patched and outcome.changed:
                entry.learn(call_at(each.script, each.added).alone())
        bonus = self._novelty(each, result, outcome)
        if bonus and len(self.corpus) < CORPUS_MAX:
            self.corpus.append(each)
        known = self._known(each.script, result)
        if result.comparisons:
            inner = result.outcomes.get(each.added[:-1]) if len(each.added) % 2 == 0 else outcome
            self.frontier.patch(each, result.comparisons, failed=inner is None or not inner.ok)
        openings = self.frontier.grow(each, result, known=known, bonus=bonus, number=self.tries)
        self.tally.count(each, result, openings)

    def _note(self, breach: Breach, script: Script) -> None:
        """Note that a try broke an invariant, with or without calls back."""
        name = breach.invariant
        if name in self.broken:
            return
        flat: tuple[Breach, Script] | None = breach, script
        if depth_of(script) > 0:
            if self.checks >= _CHECKS_MAX and name in self.plain:
                return  # it is known to be broken, and stays so without a call back
            self.checks += 1
            flat = self._flat(script, name)
        if flat is None:
            self.broken[name] = (breach, script)
            self.told(breach, script, True)
        elif name not in self.plain:
            self.plain[name] = flat
            self.told(*flat, False)

    def _flat(self, script: Script, name: str) -> tuple[Breach, Script] | None:
        """Return a try that breaks an invariant as this one does, but without calls back, if there is one.

        What is called back is left out, or called before or after instead.
        """
        for flat in _flattened(script):
            breach = self._breaks(flat, name)
            if breach is not None:
                return breach, flat
        return None

    def _all_but(self, name: str) -> frozenset[str]:
        """Return the names of the other invariants."""
        return frozenset(rule.name for rule in self.runner.invariants) - {name}

    def _breaks(self, script: Script, name: str) -> Breach | None:
        """Run a try here; return how it breaks an invariant, if it does."""
        try:
            return next(iter(self.runner.run(script, ignored=self._all_but(name)).breaches), None)
        except StorageModError:  # what it calls is refused from the start: not a try
            return None

    def _novelty(self, each: Candidate, result: TrialResult, outcome: CallOutcome | None) -> float:
        """Return what a try met that no other one did before, in the unit of costs."""
        bonus = 0.0
        entry = each.entry
        if entry is not None and outcome is not None:
            head = None if entry.form is None else entry.form.head
            bonus += self._is_new((entry.key, head, outcome.ok, outcome.changed), 2.0 if outcome.ok else 0.5)
            own = "own", entry.key, head
            if outcome.changed and own not in self.met and self._names_attacker(each):
                bonus += self._is_new(own, 2.0)
            if outcome.changed and each.nesting is not None:
                bonus += self._is_new((each.nesting, head), 2.0)
                if result.hazardous:
                    bonus += self._is_new(("hazard", each.nesting, head), 3.0)
        for site in result.reached:
            bonus += self._is_new(site, 3.0)
        for address, (ran, count) in result.blocks.items():
            before, _ = self.blocks.get(address, (0, 0))
            if ran & ~before:
                self.blocks[address] = before | ran, count
                bonus += 2.0
        return min(bonus, 8.0)

    def _names_attacker(self, each: Candidate) -> bool:
        """Check whether what was added has an attacker's address among its arguments, or in its data."""
        call = call_at(each.script, each.added)
        own = [attacker.account for attacker in self.runner.plan.attackers]
        ends = {int.from_bytes(account[-8:], "big") for account in own}
        return not ends.isdisjoint(call.args) or any(call.data.find(account) >= 0 for account in own)

    def _is_new(self, what: object, worth: float) -> float:
        if what in self.met:
            return 0.0
        self.met.add(what)
        return worth

    def _known(self, script: Script, result: TrialResult) -> bool:
        """Return whether a script with no more calls led to the same state; note this one if not."""
        if result.state is None or result.breaches:
            return False
        calls = calls_in(script)
        if self.states.get(result.state, calls + 1) <= calls:
            self.tally.alike += 1
            return True
        if len(self.states) < _STATES_MAX:
            self.states[result.state] = calls
        return False

    def _all_broken(self) -> bool:
        """Return whether every invariant is broken; where no call back was needed, one is looked for a while longer."""
        if len(self.broken) == len(self.runner.invariants):
            return True
        if len(self.broken.keys() | self.plain.keys()) < len(self.runner.invariants):
            self.settled = self.tries
        return self.tries - self.settled >= _AFTER_PLAIN

    def _patience(self) -> Callable[[], bool]:
        """Return what tells when to end shrinking the next violation: each has an equal share of the time."""
        budget, now = self.budget, time.monotonic()
        left = max(1, len(self.broken) + len(self.plain) - self.shrunk)
        self.shrunk += 1
        end = math.inf if budget.seconds is None else now + (budget.started + budget.seconds - now) / left
        stopped: list[float] = []

        def enough() -> bool:
            if budget.stop() and not stopped:
                stopped.append(time.monotonic() + _GRACE_SECONDS / left)
            return time.monotonic() > min([end, *stopped])

        return enough

    def violations(self, name: str, text: str) -> Iterator[Violation]:
        """Yield what was found to break an invariant, each shrunk: what needs no call back first."""
        for found, needs_callback in ((self.plain.get(name), False), (self.broken.get(name), True)):
            if found is not None:
                yield self._violation(name, text, *found, needs_callback=needs_callback)

    def _violation(self, name: str, text: str, breach: Breach, script: Script, *, needs_callback: bool) -> Violation:
        """Shrink a script that was found, and run it once more for its receipts."""
        if not script:
            return Violation(name, text, breach, (), (), ())

        def breaks(shorter: Script) -> bool:
            self.shrinking += 1
            if self._breaks(shorter, name) is None:
                return False
            return not needs_callback or self._flat(shorter, name) is None

        shortest = shrink(script, breaks, enough=self._patience())
        receipts: list[Receipt] = []
        (breach,) = self.runner.run(shortest, ignored=self._all_but(name), receipts=receipts).breaches
        return Violation(name, text, breach, shortest[: len(receipts)], tuple(receipts), script, needs_callback)


def _flattened(script: Script) -> Iterator[Script]:
    """Yield scripts without calls back: these are left out, or sent as transactions, after the others or before."""
    quiet: list[Call] = []
    back: list[Call] = []
    for path, call in walk(script):
        reactions = tuple(each.with_calls(()) for each in call.reactions)
        if len(path) == 1:
            quiet.append(call.with_reactions(reactions))
        else:
            outer = call_at(script, path[:-2]).reactions[path[-2]]
            back.append(call.with_reactions(reactions).sent_by(outer.account))
    yield tuple(quiet)
    if back:
        yield (*quiet, *back)
        yield (*back, *quiet)
        yield (*quiet[:-1], *back, *quiet[-1:])
