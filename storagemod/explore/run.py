"""One try on a world that is put back afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from attrs import define, field, frozen

from storagemod.errors import StorageModError
from storagemod.explore.attacker import CURSOR_BYTES, REGION
from storagemod.explore.follow import Follower, Made, Site
from storagemod.explore.plan import GAS, Plan, Rule
from storagemod.explore.script import Call, Path, Script
from storagemod.scenario.invariants import Violation, violations_at_boundaries
from storagemod.types import Address
from storagemod.world import Receipt, Snapshot, World

CallSite: TypeAlias = tuple[Address, Address, str, bool]
"""Caller, untrusted account, method, whether static."""

_Cell: TypeAlias = tuple[Address, str, int]
"""A byte of storage."""


@frozen
class Breach:
    """An invariant that a try broke, where, and why.

    Attributes:
        invariant: Its name.
        why: What its parts are.
        transaction: The number of the transaction of the try; -1 where it did not hold before any.
        boundary: The call boundary within it: ``start`` or ``end``, and the number of the call; ``None`` at its end.
    """

    invariant: str
    why: tuple[str, ...]
    transaction: int
    boundary: tuple[str, int] | None = None


@frozen
class Result:
    """What came of a try.

    Attributes:
        breaches: The invariants that it broke.
        sites: Where untrusted accounts were called and did nothing, by the order of the calls, in its last transaction.
        made: Its calls as they went.
        reached: Call sites: caller, untrusted account, method, whether static.
        played: Reactions by their place: the number of the call that they answer, and who made it.
        hazards: How many were found.
        state: Tells apart the states that tries lead to; ``None`` where the last transaction changed nothing.
        refused: Why it could not be run to its end, if so.
    """

    breaches: tuple[Breach, ...]
    sites: tuple[Site, ...] = ()
    made: dict[Path, Made] = field(factory=dict)
    reached: frozenset[CallSite] = frozenset()
    played: dict[Path, tuple[int, Address]] = field(factory=dict)
    hazards: int = 0
    state: bytes | None = None
    refused: str | None = None


@define(eq=False)
class _Step:
    """A transaction of a try that was run, and is not undone yet."""

    call: Call
    snapshot: Snapshot
    cursors: frozenset[Address]
    """The attackers whose cursor may stand at something."""
    cells: dict[_Cell, tuple[int, int]]
    """Bytes that differ from where tries start: what they are there, and what they are now."""
    breaches: list[Breach] = field(factory=list)
    receipt: Receipt | None = None
    follower: Follower | None = None
    refused: str | None = None

    @property
    def is_last(self) -> bool:
        """Whether the try ends here, whatever follows."""
        return bool(self.breaches) or self.refused is not None


@define(eq=False)
class Arena:
    """A world to try in.

    What was run last is undone only as far as the next try does not begin with the same transactions.

    Args:
        plan: What to try on.
    """

    plan: Plan
    world: World = field(init=False)
    rules: tuple[Rule, ...] = field(init=False)
    _accounts: frozenset[Address] = field(init=False)
    _steps: list[_Step] = field(factory=list, init=False)
    _ignored: frozenset[str] = field(default=frozenset(), init=False)

    def __attrs_post_init__(self) -> None:
        """Build the world."""
        self.world = self.plan.blueprint.build(tracker=self.plan.tracker)
        self.rules = self.plan.rules()
        self._accounts = frozenset(attacker.account for attacker in self.plan.attackers)

    def start(self) -> tuple[Breach, ...]:
        """The invariants that do not hold before anything is tried."""
        self._rewind(0)
        return tuple(self._ends(-1, [(rule, rule.capture(self.world)) for rule in self.rules]))

    def run(
        self, script: Script, *, ignored: frozenset[str] = frozenset(), receipts: list[Receipt] | None = None
    ) -> Result:
        """Run a try; it ends with the first transaction that breaks an invariant.

        Args:
            script: The try.
            ignored: Invariants that need not hold.
            receipts: If given, what came of each transaction is appended.

        Raises:
            ScenarioError: An invariant speaks of what does not exist.
            ValidationError: The try calls what there is not.
        """
        shared = 0
        if ignored == self._ignored:
            while shared < min(len(self._steps), len(script) - 1) and self._steps[shared].call == script[shared]:
                shared += 1
        self._ignored = ignored
        try:
            self._rewind(shared)
            while len(self._steps) < len(script) and not (self._steps and self._steps[-1].is_last):
                self._step(script[len(self._steps)])
        except BaseException:
            self._rewind(0)
            raise
        if receipts is not None:
            receipts += [step.receipt for step in self._steps if step.receipt is not None]
        return self._result()

    def _result(self) -> Result:
        last = self._steps[-1]
        made: dict[Path, Made] = {}
        played: dict[Path, tuple[int, Address]] = {}
        reached: set[CallSite] = set()
        hazards = 0
        for step in self._steps:
            if step.follower is not None:
                made |= step.follower.made
                played |= step.follower.played
                reached |= step.follower.reached
            if step.receipt is not None and step.receipt.trace is not None:
                hazards += sum(not hazard.undone for hazard in step.receipt.trace.hazards)
        sites = () if last.follower is None else tuple(last.follower.sites)
        top = made.get((len(self._steps) - 1,))
        state = self._state(last.cells) if top is not None and top.changed else None
        return Result(tuple(last.breaches), sites, made, frozenset(reached), played, hazards, state, last.refused)

    def _rewind(self, length: int) -> None:
        """Undo all transactions but the first few."""
        while len(self._steps) > length:
            self._steps.pop().snapshot.__exit__(None, None, None)

    def _step(self, call: Call) -> None:
        """Run the next transaction."""
        before = self._steps[-1] if self._steps else None
        snapshot = self.world.snapshot()
        snapshot.__enter__()
        step = _Step(call, snapshot, frozenset(), {} if before is None else dict(before.cells))
        number = len(self._steps)
        self._steps.append(step)
        step.cursors = self._program(call, frozenset() if before is None else before.cursors)
        watched = [(rule, rule.capture(self.world)) for rule in self.rules if rule.name not in self._ignored]
        if call.sender is not None and call.value > self.world.account(call.sender).balance:
            return  # nothing happens, and so nothing comes of it
        try:
            step.breaches = self._boundaries(call, number, watched)
            step.receipt = self._send(call)
        except StorageModError as error:
            if not error.aborts:
                raise
            step.refused = str(error)
            return
        step.follower = Follower(self._accounts, number)
        assert step.receipt.trace is not None  # noqa: S101 - the world keeps traces
        step.follower.follow(step.receipt.trace, call)
        self._note_cells(step, step.receipt)
        if not step.follower.made[(number,)].changed:  # then only what is compared with before can be otherwise
            watched = [each for each in watched if each[1]]
        known = {breach.invariant for breach in step.breaches}
        step.breaches += [each for each in self._ends(number, watched) if each.invariant not in known]

    def _program(self, call: Call, standing: frozenset[Address]) -> frozenset[Address]:
        """Write what attackers are to do into their storage; whose cursor stands at something then."""
        programmed = set()
        for attacker in self.plan.attackers:
            data, (cursor,) = attacker.encode((call,))
            if cursor:
                data = cursor.to_bytes(CURSOR_BYTES, "little") + data[CURSOR_BYTES:]
                self.world.load_storage(attacker.account, REGION, data)
                programmed.add(attacker.account)
            elif attacker.account in standing:
                self.world.load_storage(attacker.account, REGION, bytes(CURSOR_BYTES))
        return frozenset(programmed)

    def _send(self, call: Call, *, commit: bool = True) -> Receipt:
        run = self.world.transact if commit else self.world.call
        return run(
            call.contract, call.method, *call.args, data=call.data, sender=call.sender, value=call.value, gas=GAS
        )

    def _boundaries(self, call: Call, number: int, rules: Sequence[tuple[Rule, tuple[Any, ...]]]) -> list[Breach]:
        watched = [each for each in rules if self.plan.everywhere or each[0].at == "boundaries"]
        if not watched:
            return []
        trace = self._send(call, commit=False).trace
        assert trace is not None  # noqa: S101 - the world keeps traces
        asked, befores = [rule for rule, _ in watched], [before for _, before in watched]
        return [_breach(each, number) for each in violations_at_boundaries(asked, befores, trace, self.world)]

    def _ends(self, number: int, rules: Sequence[tuple[Rule, tuple[Any, ...]]]) -> list[Breach]:
        verdicts = [(rule, rule.check(self.world, before)) for rule, before in rules]
        return [Breach(rule.name, verdict.why, number) for rule, verdict in verdicts if not verdict.holds]

    def _note_cells(self, step: _Step, receipt: Receipt) -> None:
        """Keep account of the bytes that are not what they were."""
        for address, changes in receipt.changes.items():
            if address in self._accounts:
                continue
            for change in changes:
                for at, (old, new) in enumerate(zip(change.old, change.new, strict=True), change.offset):
                    if old != new:
                        cell = (address, change.region, at)
                        first = step.cells[cell][0] if cell in step.cells else old
                        step.cells[cell] = (first, new)
                        if first == new:
                            del step.cells[cell]

    def state(self) -> bytes:
        """Tells the state that tries start from apart from those that they lead to."""
        self._rewind(0)
        return self._state({})

    def _state(self, cells: Mapping[_Cell, tuple[int, int]]) -> bytes:
        """What tells the states apart that tries lead to; nonces of senders, which contracts cannot see, left out."""
        digest = hashlib.blake2b(digest_size=16)
        for (address, region, at), (_, now) in sorted(cells.items()):
            digest.update(b"%b%d:%b:%d:%d;" % (address, len(region), region.encode(), at, now))
        for address, account in self.world.accounts().items():
            nonce = account.nonce if account.code and address not in self._accounts else 0
            digest.update(b"|%b%d:%d:%d;" % (address, account.balance, nonce, len(account.code)))
            if nonce or (account.code and address not in self._accounts):
                for region, view in self.world.storage(address).items():
                    digest.update(b"%b:%d," % (region.encode(), view.pages))
        return digest.digest()


def _breach(violation: Violation, number: int) -> Breach:
    boundary = violation.boundary
    place = None if boundary is None else (boundary.moment, boundary.call_id)
    return Breach(violation.invariant, violation.why, number, place)
