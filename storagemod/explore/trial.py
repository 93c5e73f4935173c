"""Trials: running a script on a world that is rolled back afterwards, and reading from the trace what happened.

A search runs thousands of trials a second, so what a trial leaves unchanged is not looked at. The state is hashed as a
difference from the start, and expressions over a known state are not evaluated again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, TypeAlias

import attrs
from attrs import define, field, frozen

from storagemod.errors import ScenarioError, StateError, StorageModError, ValidationError
from storagemod.explore.attacker import CURSOR_BYTES, REGION
from storagemod.explore.follower import CallOutcome, CallSite, Follower, Site
from storagemod.explore.plan import Plan
from storagemod.explore.script import Call, Place, Script
from storagemod.interruption import uninterrupted
from storagemod.pages import PAGE_BYTES, ZERO_PAGE, RegionDiff
from storagemod.scenario.boundaries import Moments
from storagemod.scenario.invariants import (
    BoundaryViolation,
    ExpressionInvariant,
    Invariant,
    Verdict,
    violations_at_boundaries,
)
from storagemod.state import NO_ACCOUNT, Account, ChangeSet
from storagemod.trace import RecordedCall
from storagemod.types import WASM_PAGE_BYTES, Address
from storagemod.wasm.instrument import COMPARISON
from storagemod.world import Receipt, World

_Watched: TypeAlias = tuple[Invariant, tuple[Any, ...]]
"""An invariant, and the values of its ``before(...)`` parts."""

_VERDICTS_MAX = 100_000
"""How many verdicts on pairs of states are remembered at most. Then they are forgotten."""

_STEPS_MAX = 512
"""How many states that trials led to are kept, to go on from there. Each is as large as what it changed."""

_NO_CHANGES = ChangeSet()
_COMPARISONS_MAX = 256
"""How many pairs of operands of one transaction are returned at most."""

_call_id = attrgetter("call_id")


@frozen
class Breach:
    """Invariant that a trial broke, where, and why.

    Attributes:
        invariant: Its name.
        why: The values of its parts.
        transaction: The number of the transaction of the script; -1 where it did not hold before any.
        boundary: The call boundary within it: ``start`` or ``end``, and the number of the call; ``None`` at its end.
    """

    invariant: str
    why: tuple[str, ...]
    transaction: int
    boundary: tuple[str, int] | None = None


@frozen
class TrialResult:
    """Result of a trial.

    Attributes:
        breaches: The invariants that it broke.
        sites: Where attackers were called and did nothing, by the order of the calls, in its last transaction.
        outcomes: The outcomes of the calls of its last transaction, by path.
        reached: Call sites of that: caller, untrusted account, method, whether static.
        played: Reactions in it by their place: the number of the call that they answer, and who made it.
        hazardous: Whether it met a hazard that was not undone.
        state: Digest of the state that it led to; ``None`` where the last transaction changed nothing.
        refused: Why it could not be run to its end, if so.
        comparisons: The operands of comparisons of integers that its last transaction made, signed, each pair once.
        blocks: By contract, a bit for each block of code that its last transaction ran, and how many blocks it has.
        out_of_gas: Whether a call used all of its gas.
        delegated: Whether a contract ran the code of an attacker as its own.
        created: Whether a contract was created.
    """

    breaches: tuple[Breach, ...]
    sites: tuple[Site, ...] = ()
    outcomes: dict[Place, CallOutcome] = field(factory=dict)
    reached: frozenset[CallSite] = frozenset()
    played: dict[Place, tuple[int, Address]] = field(factory=dict)
    hazardous: bool = False
    state: bytes | None = None
    refused: str | None = None
    comparisons: tuple[tuple[int, int], ...] = ()
    blocks: Mapping[Address, tuple[int, int]] = field(factory=dict)
    out_of_gas: bool = False
    delegated: bool = False
    created: bool = False


@define(eq=False)
class _Step:
    """Result of some transactions from the start of a trial, the last of which it is about.

    Attributes:
        before: The transactions before the last one.
        at: Digest of the state that it led to.
        result: What came of the trial if it ends here.
        receipt: The receipt of the last transaction, as long as it is read.
        own: All that the last transaction changed, as long as it may have to be committed.
        lasting: The same without the scripts of attackers.
        changes: What all of them changed, scripts left out as well.
    """

    before: _Step | None
    at: bytes
    result: TrialResult = field(factory=lambda: TrialResult(()))
    receipt: Receipt | None = None
    own: ChangeSet = _NO_CHANGES
    lasting: ChangeSet = _NO_CHANGES
    _changes: ChangeSet | None = None

    def forget(self) -> None:
        """Forget what is not needed once its result is there, to go on from it."""
        _ = self.changes
        self.before, self.receipt, self.own, self.lasting = None, None, _NO_CHANGES, _NO_CHANGES

    @property
    def is_last(self) -> bool:
        """Whether the trial ends here, whatever follows."""
        return bool(self.result.breaches) or self.result.refused is not None

    @property
    def changes(self) -> ChangeSet:
        if self._changes is None:
            self._changes = _NO_CHANGES if self.before is None else _joined(self.before.changes, self.lasting)
        return self._changes


@define(eq=False)
class TrialRunner:
    """Runs trials on a world of its own.

    Two things are committed: what an invariant has to be evaluated on, and what the next transaction has to start from.
    That is the changes of the transactions before it, which are kept, so that these are not run again.

    Args:
        plan: The world and the invariants.
    """

    plan: Plan
    world: World = field(init=False)
    invariants: tuple[Invariant, ...] = field(init=False)
    _accounts: frozenset[Address] = field(init=False)
    _remembered: frozenset[ExpressionInvariant] = field(init=False)
    """The invariants whose verdict the digest of the state settles, where the calls that they make run no attacker."""
    _captured: dict[tuple[ExpressionInvariant, bytes], tuple[Any, ...]] = field(factory=dict, init=False)
    _verdicts: dict[tuple[object, ...], Verdict] = field(factory=dict, init=False)
    """By invariant, and the digests of the states before a transaction and after it."""
    _start: bytes = field(init=False)
    """Digest of the state that trials start from."""
    _ignored: frozenset[str] = field(default=frozenset(), init=False)
    _root: _Step = field(init=False)
    """No transactions."""
    _kept: OrderedDict[tuple[frozenset[str], Script], _Step] = field(factory=OrderedDict, init=False)
    """Transactions that changed something, those used last at the end. Others begin with them."""
    _blank: dict[Address, tuple[int, dict[int, bytes]]] = field(factory=dict, init=False)
    """By attacker, its storage at the start: Wasm pages, and pages of 4 KiB that are not zeros."""
    _place: _Step = field(init=False)
    """The transactions after which the world is, but for what follows."""
    _scripts: dict[Address, RegionDiff] = field(factory=dict, init=False)
    """What attackers have in their storage besides."""
    _applied: ChangeSet | None = field(default=None, init=False)
    """What was committed besides: another transaction."""

    def __attrs_post_init__(self) -> None:
        """Build the world."""
        self.world = self.plan.blueprint.build(tracker=self.plan.tracker)
        self.invariants = self.plan.invariants()
        self._accounts = frozenset(attacker.account for attacker in self.plan.attackers)
        self._start = self._digest(_NO_CHANGES)
        self._root = self._place = _Step(None, self._start)
        for account in sorted(self._accounts):
            if not self.world.account(account).code:
                continue  # it destroyed itself
            view = self.world.storage(account)[REGION]
            pages = {at: view[at * PAGE_BYTES : (at + 1) * PAGE_BYTES] for at in range(len(view) // PAGE_BYTES)}
            filled = {at: page for at, page in pages.items() if page != ZERO_PAGE}
            self._blank[account] = len(view) // WASM_PAGE_BYTES, filled
        self._remembered = frozenset(
            each
            for each in self.invariants
            if isinstance(each, ExpressionInvariant) and _is_of_state(each, self._accounts)
        )

    def start(self) -> tuple[Breach, ...]:
        """Return the invariants that do not hold before any trial.

        Raises:
            ScenarioError: An invariant has no value there, and not because its contract was destroyed.
        """
        self._go_to(self._root, {})
        return tuple(self._check(-1, [(each, each.capture(self.world)) for each in self.invariants]))

    @property
    def state(self) -> bytes:
        """Digest of the state that trials start from."""
        return self._start

    def broken_by_money(self, contract: Address, amount: int) -> tuple[str, ...]:
        """Return the invariants that break where a contract has so much more money than at the start of trials.

        Only those that read its balance themselves: what its code makes of more money is its own fault.
        """
        self._go_to(self._root, {})
        told = [
            each for each in self.invariants if not isinstance(each, ExpressionInvariant) or contract in each.balances
        ]
        befores = [(each, each.capture(self.world)) for each in told]
        with self.world.snapshot():
            self.world.fund(contract, self.world.account(contract).balance + amount)
            return tuple(breach.invariant for breach in self._check(0, befores))

    def run(
        self, script: Script, *, ignored: frozenset[str] = frozenset(), receipts: list[Receipt] | None = None
    ) -> TrialResult:
        """Run a script; it ends with the first transaction that breaks an invariant.

        Args:
            script: The transactions.
            ignored: Invariants that need not hold.
            receipts: If given, the receipt of each transaction is appended, and the world is left as the last one
                leaves it.

        Raises:
            ScenarioError: An invariant names something that does not exist.
            ValidationError: The script calls something that does not exist.
        """
        self._ignored = ignored
        step, length = self._root, 0
        if receipts is None:
            step, length = self._longest(script)
        while length < len(script) and not step.is_last:
            call = script[length]
            step = self._step(step, length, call)
            length += 1
            if receipts is None:
                if step.result.state is not None and not step.is_last:
                    self._keep(script[:length], step)
            else:
                if step.receipt is not None:
                    receipts.append(step.receipt)
                if length == len(script) or step.is_last:
                    self._settle(step)
            step.forget()
        return step.result

    def _longest(self, script: Script) -> tuple[_Step, int]:
        """Return the most transactions of a script, but for the last one, that are kept, and how many they are."""
        kept = self._kept
        for length in range(len(script) - 1, 0, -1):
            start = self._ignored, script[:length]
            step = kept.get(start)
            if step is not None:
                kept.move_to_end(start)
                return step, length
        return self._root, 0

    def _keep(self, script: Script, step: _Step) -> None:
        self._kept[self._ignored, script] = step
        if len(self._kept) > _STEPS_MAX:
            self._kept.popitem(last=False)

    def _recorded(self, step: _Step) -> Iterator[RecordedCall]:
        """Yield the records of the calls of a transaction that ran code of contracts, not of attackers."""
        recording = None if step.receipt is None else step.receipt.recording
        for call in () if recording is None else recording.calls:
            if call.code_address not in self._accounts:
                yield call

    def _comparisons(self, step: _Step) -> tuple[tuple[int, int], ...]:
        """Return the operands of comparisons in which they differed, in the order of time, each pair once."""
        pairs: dict[tuple[int, int], None] = {}
        for call in sorted(self._recorded(step), key=_call_id):
            for _, left, right in COMPARISON.iter_unpack(call.comparisons):
                if left != right:
                    pairs[left, right] = None
        return tuple(islice(pairs, _COMPARISONS_MAX))

    def _blocks(self, step: _Step) -> dict[Address, tuple[int, int]]:
        blocks: dict[Address, tuple[int, int]] = {}
        for call in self._recorded(step):
            ran, _ = blocks.get(call.code_address, (0, 0))
            blocks[call.code_address] = ran | int.from_bytes(call.blocks, "little"), len(call.blocks)
        return blocks

    def _go_to(self, place: _Step, scripts: dict[Address, RegionDiff]) -> None:
        """Bring the world to where some transactions lead, with these scripts for attackers."""
        changes = self._rewritten(scripts)
        if self._applied is not None or self._place is not place:
            applied = _NO_CHANGES if self._applied is None else self._applied.inverted()
            moved = () if self._place is place else (self._place.changes.inverted(), place.changes)
            changes = _joined(applied, changes, *moved)
        elif not changes.regions:
            return
        with uninterrupted():
            if changes:
                self.world.apply(changes)
            self._place, self._scripts, self._applied = place, scripts, None

    def _rewritten(self, scripts: Mapping[Address, RegionDiff]) -> ChangeSet:
        """Return the change of the attackers' storage from the scripts that it has to others."""
        regions: dict[tuple[Address, str], RegionDiff] = {}
        for account in self._blank:
            old, new = self._scripts.get(account), scripts.get(account)
            if old is None:
                if new is not None:
                    regions[account, REGION] = new
            elif new is None or old != new:
                back = old.inverted()
                regions[account, REGION] = back if new is None else back.merged(new)
        return ChangeSet(regions=regions)

    def _settle(self, step: _Step) -> None:
        """Commit the transaction that was rehearsed just now, if it is not yet committed."""
        if self._applied is None and step.before is self._place:
            with uninterrupted():
                self.world.apply(step.own)
                self._applied = step.own

    def _lasting(self, changes: ChangeSet) -> ChangeSet:
        """Return changes without those of the attackers' storage."""
        regions = {key: diff for key, diff in changes.regions.items() if key[0] not in self._accounts}
        return ChangeSet(changes.accounts, regions)

    def _step(self, before: _Step, number: int, call: Call) -> _Step:
        """Run the next transaction."""
        self._go_to(before, self._program(before, call))
        step = _Step(before, before.at, TrialResult((), hazardous=before.result.hazardous))
        watched = [(each, self._capture(each, before.at)) for each in self.invariants if each.name not in self._ignored]
        if call.sender is not None and call.value > self.world.account(call.sender).balance:
            return step  # it would be refused, and changes nothing
        if call.method is not None and not self.world.account(call.contract).code:
            return step  # an earlier transaction destroyed the contract
        try:
            receipt, step.own = self._send(call)
            step.receipt, step.lasting = receipt, self._lasting(step.own)
            breaches = self._check_boundaries(receipt, number, watched)
        except StorageModError as error:
            if not error.aborts:
                raise
            step.result = attrs.evolve(step.result, refused=str(error))
            return step
        trace, recording = receipt.trace, receipt.recording
        assert trace is not None and recording is not None  # noqa: S101, PT018 - the world keeps both
        follower = Follower(self._accounts, number)
        follower.follow(trace, recording, call)
        state = None
        if follower.outcomes[(number,)].changed:
            state = step.at = self._digest(step.changes)
        else:  # then only comparisons with the state before can have another result
            watched = [each for each in watched if each[1]]
        if watched:
            known = {breach.invariant for breach in breaches}
            found = self._check(number, watched, step)
            breaches += [each for each in found if each.invariant not in known]
        step.result = TrialResult(
            tuple(breaches),
            tuple(follower.sites),
            follower.outcomes,
            frozenset(follower.reached),
            follower.played,
            step.result.hazardous or follower.hazardous,
            state,
            comparisons=self._comparisons(step),
            blocks=self._blocks(step),
            out_of_gas=follower.out_of_gas,
            delegated=follower.delegated,
            created=follower.created,
        )
        return step

    def _program(self, before: _Step, call: Call) -> dict[Address, RegionDiff]:
        """Return what stands in the attackers' storage so that they do what they are to do."""
        scripts: dict[Address, RegionDiff] = {}
        if not call.reactions:
            return scripts
        for attacker in self.plan.attackers:
            account = attacker.account
            if account not in self._blank or account in self._destroyed(before):
                continue
            data, (cursor,) = attacker.encode((call,))
            if cursor:
                scripts[account] = self._script(account, cursor.to_bytes(CURSOR_BYTES, "little") + data[CURSOR_BYTES:])
        return scripts

    def _destroyed(self, place: _Step) -> set[Address]:
        """Return the accounts that were destroyed since the start."""
        return {address for address, (_, new) in place.changes.accounts.items() if not new.code} & self._accounts

    def _script(self, account: Address, data: bytes) -> RegionDiff:
        """Return the change of an attacker's storage that puts bytes at its beginning."""
        length, filled = self._blank[account]
        pages: dict[int, tuple[bytes, bytes]] = {}
        for at in range(-(-len(data) // PAGE_BYTES)):
            old = filled.get(at, ZERO_PAGE)
            part = data[at * PAGE_BYTES : (at + 1) * PAGE_BYTES]
            pages[at] = (old, part + old[len(part) :])
        return RegionDiff(length, max(length, -(-len(data) // WASM_PAGE_BYTES)), pages)

    def _send(self, call: Call) -> tuple[Receipt, ChangeSet]:
        """Run a transaction; return what it would commit as well."""
        return self.world.rehearse(
            call.contract,
            call.method,
            *call.args,
            data=call.data,
            sender=call.sender,
            value=call.value,
            gas=self.plan.gas,
        )

    def _check_boundaries(self, receipt: Receipt, number: int, watched: Sequence[_Watched]) -> list[Breach]:
        """Check invariants at each call boundary of a transaction that is not committed."""
        at = Moments.CALLOUTS if self.plan.everywhere else None
        watched = [each for each in watched if (at or each[0].at) != Moments.END]
        if not watched:
            return []
        trace = receipt.trace
        assert trace is not None  # noqa: S101 - the world keeps traces
        invariants, befores = [each for each, _ in watched], [before for _, before in watched]
        found = violations_at_boundaries(invariants, befores, trace, self.world, self._accounts, at=at)
        return [_breach(each, number) for each in found]

    def _check(self, number: int, watched: Sequence[_Watched], step: _Step | None = None) -> list[Breach]:
        """Check invariants after a transaction that was rehearsed, or in the world as it is."""
        breaches = []
        for invariant, before in watched:
            try:
                verdict = self._verdict(invariant, before, step)
            except (StateError, ValidationError, ScenarioError) as error:
                if number < 0:  # it cannot be evaluated in the world that trials start from: a mistake
                    raise
                verdict = Verdict(False, (str(error),), unanswered=True)
            if (
                number < 0
                and verdict.unanswered
                and not verdict.is_destroyed
                and isinstance(invariant, ExpressionInvariant)
            ):
                raise invariant.mistake(
                    f"it has no value before anything is tried: {'; '.join(verdict.why)}",
                    hint="where a part may have no value, put a condition before it, as in implies(a != 0, b // a > 1)",
                )
            if not verdict.holds:
                breaches.append(Breach(invariant.name, verdict.why, number))
        return breaches

    def _capture(self, invariant: Invariant, state: bytes) -> tuple[Any, ...]:
        """Return what an invariant needs from before a transaction, in a state that is known by its digest.

        It is remembered unless attackers ran: what these do depends on their storage, which is not in the digest.
        """
        if not isinstance(invariant, ExpressionInvariant) or invariant not in self._remembered:
            return invariant.capture(self.world)
        key = invariant, state
        found = self._captured.get(key)
        if found is None:
            ran: set[Address] = set()
            found = invariant.capture(self.world, ran=ran)
            if len(self._captured) >= _VERDICTS_MAX:
                self._captured.clear()
            if ran.isdisjoint(self._accounts):
                self._captured[key] = found
        return found

    def _verdict(self, invariant: Invariant, before: tuple[Any, ...], step: _Step | None) -> Verdict:
        if step is None or step.before is None:
            return invariant.check(self.world, before)
        if not isinstance(invariant, ExpressionInvariant) or invariant not in self._remembered:
            self._settle(step)
            return invariant.check(self.world, before)
        key = invariant, step.before.at, step.at
        verdict = self._verdicts.get(key)
        if verdict is None:
            self._settle(step)
            ran: set[Address] = set()
            verdict = invariant.check(self.world, before, ran=ran)
            if len(self._verdicts) >= _VERDICTS_MAX:
                self._verdicts.clear()
            if ran.isdisjoint(self._accounts) and (invariant, step.before.at) in self._captured:
                self._verdicts[key] = verdict
        return verdict

    def _digest(self, changes: ChangeSet) -> bytes:
        """Return a digest that tells states apart; nonces of senders, which contracts cannot see, are left out.

        Args:
            changes: The difference from the state that trials start from.
        """
        digest = hashlib.blake2b(digest_size=16)
        for (address, region), diff in sorted(changes.regions.items()):
            if address not in self._accounts:
                name = region.encode()
                digest.update(b"%b%d:%b:%d:%d:" % (address, len(name), name, diff.length_new, len(diff.pages)))
                for number, (_, new) in sorted(diff.pages.items()):
                    page = new.rstrip(b"\0")  # most of it, as a rule: hashing takes longer than looking for zeros
                    digest.update(b"%d:%d:%b" % (number, len(page), page))
        for address, (before, after) in sorted(changes.accounts.items()):
            seen = self._visible(address, after)
            if seen != self._visible(address, before):
                digest.update(b"|%b%d:%d:%d:%d;" % (address, *seen))
        return digest.digest()

    def _visible(self, address: Address, account: Account) -> tuple[bool, int, int, int]:
        """Return what contracts can see of an account, and whether it exists."""
        nonce = account.nonce if account.code and address not in self._accounts else 0
        return account != NO_ACCOUNT, account.balance, nonce, len(account.code)


def _joined(first: ChangeSet, *later: ChangeSet) -> ChangeSet:
    later = tuple(each for each in later if each.accounts or each.regions)
    if not first.accounts and not first.regions and later:
        first, *rest = later
        return first.merged(*rest) if rest else first
    return first.merged(*later) if later else first


def _is_of_state(invariant: ExpressionInvariant, untrusted: Collection[Address]) -> bool:
    """Return whether an expression reads what the digest of a state has: balances, and storage of trusted contracts."""
    return invariant.storages.isdisjoint(untrusted)


def _breach(broken: BoundaryViolation, number: int) -> Breach:
    return Breach(broken.invariant, broken.why, number, (broken.boundary.moment, broken.boundary.call_id))
