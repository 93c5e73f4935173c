"""Trials: running a script on a world that is rolled back afterwards, and reading from the trace what happened.

Attackers are followed call by call, cursor and all, as :mod:`storagemod.explore.attacker` describes them. A *site* is a
call out to an attacker that it had no reaction for, and so an opportunity for one.

A search runs thousands of trials a second, so traces are read as raw events, and what a trial leaves unchanged is not
looked at: the state is hashed as a difference from the start, and expressions over a known state are not evaluated
again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, TypeAlias

from attrs import define, field, frozen

from storagemod.errors import OutOfGasError, StateError, StorageModError, ValidationError
from storagemod.events import (
    AccountCreated,
    AccountDestroyed,
    CallEnded,
    CallStarted,
    RawEvent,
    StorageGrown,
    StorageWritten,
)
from storagemod.explore.attacker import CURSOR_BYTES, REGION
from storagemod.explore.plan import Invariant, Plan
from storagemod.explore.script import MAIN, Call, Path, Reaction, Script
from storagemod.interruption import uninterrupted
from storagemod.scenario.boundaries import Moments
from storagemod.scenario.invariants import Invariant as Expression
from storagemod.scenario.invariants import Verdict, Violation, violations_at_boundaries
from storagemod.state import NO_ACCOUNT, Account, ChangeSet
from storagemod.trace import HAZARD_EVENTS, RecordedCall, Recording, Trace
from storagemod.types import Address, CallKind, Outcome
from storagemod.wasm.instrument import COMPARISON
from storagemod.world import Receipt, Snapshot, World

CallSite: TypeAlias = tuple[Address, Address, str, bool]
"""Caller, untrusted account, method, whether static."""

_Watched: TypeAlias = tuple[Invariant, tuple[Any, ...]]
"""An invariant, and the values of its ``before(...)`` parts."""

_VERDICTS_MAX = 100_000
_NO_CHANGES = ChangeSet()
_COMPARISONS_MAX = 256
"""How many pairs of operands are told of one transaction."""

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
class Site:
    """Call out to an attacker that did nothing.

    Attributes:
        path: The call of the script during which it happened.
        skipped: The reactions, of those that do nothing, that have to stand before one for this site.
        reaction: What happened there: nothing.
        caller: The contract that called.
        active: The contracts that were running.
        order: The number of the call in its transaction.
    """

    path: Path
    skipped: tuple[Reaction, ...]
    reaction: Reaction
    caller: Address
    active: frozenset[Address]
    order: int


@frozen
class CallOutcome:
    """Outcome of a call of the script.

    Attributes:
        path: Its place in the script.
        ok: Whether it succeeded.
        changed: Whether it, or a call within it, changed anything that lasts as long as it does.
        order: The number of the call in its transaction.
        active: The contracts that were running when it was made.
    """

    path: Path
    ok: bool
    changed: bool
    order: int
    active: frozenset[Address] = frozenset()


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
    """

    breaches: tuple[Breach, ...]
    sites: tuple[Site, ...] = ()
    outcomes: dict[Path, CallOutcome] = field(factory=dict)
    reached: frozenset[CallSite] = frozenset()
    played: dict[Path, tuple[int, Address]] = field(factory=dict)
    hazardous: bool = False
    state: bytes | None = None
    refused: str | None = None
    comparisons: tuple[tuple[int, int], ...] = ()
    blocks: Mapping[Address, tuple[int, int]] = field(factory=dict)
    out_of_gas: bool = False
    delegated: bool = False


@define(eq=False)
class _Step:
    """Transaction of a trial that was run, and is not rolled back yet."""

    call: Call
    snapshot: Snapshot
    at: bytes
    """Digest of the state after it."""
    programmed: frozenset[Address] = frozenset()
    """The attackers whose cursor may not be 0."""
    breaches: list[Breach] = field(factory=list)
    receipt: Receipt | None = None
    follower: Follower | None = None
    state: bytes | None = None
    refused: str | None = None

    @property
    def is_last(self) -> bool:
        """Whether the trial ends here, whatever follows."""
        return bool(self.breaches) or self.refused is not None


@define(eq=False)
class TrialRunner:
    """Runs trials on a world of its own.

    Transactions are rolled back only as far as the next trial does not begin with the same ones.

    Args:
        plan: The world and the invariants.
    """

    plan: Plan
    world: World = field(init=False)
    invariants: tuple[Invariant, ...] = field(init=False)
    _accounts: frozenset[Address] = field(init=False)
    _remembered: frozenset[Expression] = field(init=False)
    """The invariants whose verdict the digest of the state settles."""
    _captured: dict[tuple[Expression, bytes], tuple[Any, ...]] = field(factory=dict, init=False)
    _verdicts: dict[tuple[Expression, bytes, bytes], Verdict] = field(factory=dict, init=False)
    _start: bytes = field(init=False)
    """Digest of the state that trials start from."""
    _steps: list[_Step] = field(factory=list, init=False)
    _ignored: frozenset[str] = field(default=frozenset(), init=False)
    _clean: bool = field(default=True, init=False)
    """Whether all steps were run to their end; else none of them is shared with the next trial."""

    def __attrs_post_init__(self) -> None:
        """Build the world."""
        self.world = self.plan.blueprint.build(tracker=self.plan.tracker)
        self.invariants = self.plan.invariants()
        self._accounts = frozenset(attacker.account for attacker in self.plan.attackers)
        self._start = self._digest(_NO_CHANGES)
        addresses = self.plan.scenario.addresses
        untrusted = [name for name, address in addresses.items() if address in self._accounts]
        self._remembered = frozenset(
            each for each in self.invariants if isinstance(each, Expression) and _is_of_state(each, untrusted)
        )

    def start(self) -> tuple[Breach, ...]:
        """Return the invariants that do not hold before any trial."""
        self._rewind(0)
        return tuple(self._check(-1, [(each, each.capture(self.world)) for each in self.invariants], None))

    @property
    def state(self) -> bytes:
        """Digest of the state that trials start from."""
        return self._start

    def broken_by_money(self, contract: Address, amount: int) -> tuple[str, ...]:
        """Return the invariants that break where a contract has so much more money than at the start of trials.

        Only those that read its balance themselves: what its code makes of more money is its own fault.
        """
        self._rewind(0)
        told = [each for each in self.invariants if not isinstance(each, Expression) or contract in each.balances]
        befores = [(each, each.capture(self.world)) for each in told]
        with self.world.snapshot():
            self.world.fund(contract, self.world.account(contract).balance + amount)
            return tuple(breach.invariant for breach in self._check(0, befores, None))

    def run(
        self, script: Script, *, ignored: frozenset[str] = frozenset(), receipts: list[Receipt] | None = None
    ) -> TrialResult:
        """Run a script; it ends with the first transaction that breaks an invariant.

        Args:
            script: The transactions.
            ignored: Invariants that need not hold.
            receipts: If given, the receipt of each transaction is appended.

        Raises:
            ScenarioError: An invariant names something that does not exist.
            ValidationError: The script calls something that does not exist.
        """
        shared = 0
        if self._clean and ignored == self._ignored:
            while shared < min(len(self._steps), len(script) - 1) and self._steps[shared].call == script[shared]:
                shared += 1
        self._clean, self._ignored = False, ignored
        self._rewind(shared)
        while len(self._steps) < len(script) and not (self._steps and self._steps[-1].is_last):
            self._step(script[len(self._steps)])
        self._clean = True
        if receipts is not None:
            receipts += [step.receipt for step in self._steps if step.receipt is not None]
        return self._result()

    def _result(self) -> TrialResult:
        last = self._steps[-1]
        breaches, follower = tuple(last.breaches), last.follower
        if follower is None:
            return TrialResult(breaches, state=last.state, refused=last.refused)
        hazardous = any(step.follower.hazardous for step in self._steps if step.follower is not None)
        return TrialResult(
            breaches,
            tuple(follower.sites),
            follower.outcomes,
            frozenset(follower.reached),
            follower.played,
            hazardous,
            last.state,
            last.refused,
            comparisons=self._comparisons(last),
            blocks=self._blocks(last),
            out_of_gas=follower.out_of_gas,
            delegated=follower.delegated,
        )

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

    def _rewind(self, length: int) -> None:
        """Roll back all transactions but the first few."""
        while len(self._steps) > length:
            with uninterrupted():
                self._steps[-1].snapshot.end()
                self._steps.pop()

    def _step(self, call: Call) -> None:
        """Run the next transaction."""
        before = self._steps[-1].at if self._steps else self._start
        programmed: frozenset[Address] = self._steps[-1].programmed if self._steps else frozenset()
        step, number = _Step(call, self.world.snapshot(), before), len(self._steps)
        with uninterrupted():
            step.snapshot.begin()
            self._steps.append(step)
        step.programmed = self._program(call, programmed)
        watched = [(each, self._capture(each, before)) for each in self.invariants if each.name not in self._ignored]
        if call.sender is not None and call.value > self.world.account(call.sender).balance:
            return  # it would be refused, and changes nothing
        if call.method is not None and not self.world.account(call.contract).code:
            return  # an earlier transaction destroyed the contract
        try:
            step.breaches = self._check_boundaries(call, number, watched)
            step.receipt = self._send(call)
        except StorageModError as error:
            if not error.aborts:
                raise
            step.refused = str(error)
            return
        trace, recording = step.receipt.trace, step.receipt.recording
        assert trace is not None and recording is not None  # noqa: S101, PT018 - the world keeps both
        step.follower = Follower(self._accounts, number)
        step.follower.follow(trace, recording, call)
        if step.follower.outcomes[(number,)].changed:
            step.state = step.at = self._digest(self._steps[0].snapshot.changes())
        else:  # then only comparisons with the state before can have another result
            watched = [each for each in watched if each[1]]
        known = {breach.invariant for breach in step.breaches}
        if watched:
            found = self._check(number, watched, (before, step.at))
            step.breaches += [each for each in found if each.invariant not in known]

    def _program(self, call: Call, programmed: frozenset[Address]) -> frozenset[Address]:
        """Write into the attackers' storage what they are to do; return those whose cursor is not 0 then."""
        if not call.reactions and not programmed:
            return programmed
        now = set()
        for attacker in self.plan.attackers:
            if not self.world.account(attacker.account).code:
                continue  # it destroyed itself
            data, (cursor,) = attacker.encode((call,))
            if cursor:
                data = cursor.to_bytes(CURSOR_BYTES, "little") + data[CURSOR_BYTES:]
                self.world.load_storage(attacker.account, REGION, data)
                now.add(attacker.account)
            elif attacker.account in programmed:
                self.world.load_storage(attacker.account, REGION, bytes(CURSOR_BYTES))
        return frozenset(now)

    def _send(self, call: Call, *, commit: bool = True) -> Receipt:
        run = self.world.transact if commit else self.world.call
        return run(
            call.contract,
            call.method,
            *call.args,
            data=call.data,
            sender=call.sender,
            value=call.value,
            gas=self.plan.gas,
        )

    def _check_boundaries(self, call: Call, number: int, watched: Sequence[_Watched]) -> list[Breach]:
        """Check invariants at each call boundary of a transaction, without committing it."""
        at = Moments.CALLOUTS if self.plan.everywhere else None
        watched = [each for each in watched if (at or each[0].at) != Moments.END]
        if not watched:
            return []
        trace = self._send(call, commit=False).trace
        assert trace is not None  # noqa: S101 - the world keeps traces
        invariants, befores = [each for each, _ in watched], [before for _, before in watched]
        found = violations_at_boundaries(invariants, befores, trace, self.world, self._accounts, at=at)
        return [_breach(each, number) for each in found]

    def _check(self, number: int, watched: Sequence[_Watched], states: tuple[bytes, bytes] | None) -> list[Breach]:
        """Check invariants at the end of a transaction that led from one state to another, if these are known."""
        breaches = []
        for invariant, before in watched:
            try:
                verdict = self._verdict(invariant, before, states)
            except (StateError, ValidationError) as error:
                if number < 0:  # it cannot be evaluated in the world that trials start from: a mistake
                    raise
                verdict = Verdict(False, (str(error),), unanswered=True)
            if not verdict.holds:
                breaches.append(Breach(invariant.name, verdict.why, number))
        return breaches

    def _capture(self, invariant: Invariant, state: bytes) -> tuple[Any, ...]:
        """Return what an invariant needs from before a transaction, in a state that is known by its digest."""
        if not isinstance(invariant, Expression) or invariant not in self._remembered:
            return invariant.capture(self.world)
        key = invariant, state
        found = self._captured.get(key)
        if found is None:
            found = invariant.capture(self.world)
            if len(self._captured) >= _VERDICTS_MAX:
                self._captured.clear()
            self._captured[key] = found
        return found

    def _verdict(self, invariant: Invariant, before: tuple[Any, ...], states: tuple[bytes, bytes] | None) -> Verdict:
        if states is None or not isinstance(invariant, Expression) or invariant not in self._remembered:
            return invariant.check(self.world, before)
        key = invariant, states[0] if before else b"", states[1]
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = invariant.check(self.world, before)
            if len(self._verdicts) >= _VERDICTS_MAX:
                self._verdicts.clear()
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
                    digest.update(b"%d:" % number + new)
        for address, (before, after) in sorted(changes.accounts.items()):
            seen = self._visible(address, after)
            if seen != self._visible(address, before):
                digest.update(b"|%b%d:%d:%d:%d;" % (address, *seen))
        return digest.digest()

    def _visible(self, address: Address, account: Account) -> tuple[bool, int, int, int]:
        """Return what contracts can see of an account, and whether it exists."""
        nonce = account.nonce if account.code and address not in self._accounts else 0
        return account != NO_ACCOUNT, account.balance, nonce, len(account.code)


def _is_of_state(invariant: Expression, untrusted: Collection[str]) -> bool:
    """Return whether an expression is one over balances and the storage of trusted contracts.

    Calls are not: they can run attackers, whose storage is not in the digest of a state.
    """
    return not invariant.callees and not any(name in invariant.text for name in untrusted)


def _breach(broken: Violation, number: int) -> Breach:
    boundary = broken.boundary
    place = None if boundary is None else (boundary.moment, boundary.call_id)
    return Breach(broken.invariant, broken.why, number, place)


class _Record:
    """Call as it is read from raw events, with the calls that it made.

    Attributes:
        started: The raw event of its start.
        calls: The calls that it made.
        changed: Whether it changed anything itself, if it succeeded: a transfer of value, storage, accounts.
        ok: Whether it succeeded.
    """

    __slots__ = ("calls", "changed", "ok", "started")

    def __init__(self, started: RawEvent) -> None:
        self.started = started
        self.calls: list[_Record] = []
        self.changed = bool(started[11]) and started[4] is CallKind.CALL
        self.ok = False


def _records(raw_events: Sequence[RawEvent], attackers: frozenset[Address]) -> tuple[_Record, bool, bool]:
    """Return the top-level call, with all calls in it; whether calls held copies of storage, and one ran out of gas.

    Storage of attackers does not count as changed.
    """
    root: _Record | None = None
    copies = starved = False
    stack: list[_Record] = []
    for raw in raw_events:
        kind = raw[0]
        if kind is CallStarted:
            record = _Record(raw)
            if root is None:
                root = record
            else:
                stack[-1].calls.append(record)
            stack.append(record)
        elif kind is CallEnded:
            record = stack.pop()
            if raw[2] is Outcome.FAILED and isinstance(raw[6], OutOfGasError):
                starved = True
            if raw[2] is Outcome.OK:
                record.ok = True
        elif kind is StorageWritten or kind is StorageGrown:
            stack[-1].changed |= raw[2] not in attackers
        elif kind is AccountCreated or kind is AccountDestroyed:
            stack[-1].changed = True
        elif kind in HAZARD_EVENTS:
            copies = True
    assert root is not None  # noqa: S101 - the start of the top-level call is always recorded
    return root, copies, starved


@define
class Follower:
    """Follows the script through one transaction of a trial.

    Args:
        accounts: The attackers.
        number: The number of the transaction in the script.
    """

    accounts: frozenset[Address]
    number: int
    hazardous: bool = False
    """Whether the transaction met a hazard that was not undone."""
    out_of_gas: bool = False
    delegated: bool = False
    sites: list[Site] = field(factory=list)
    outcomes: dict[Path, CallOutcome] = field(factory=dict)
    reached: set[CallSite] = field(factory=set)
    played: dict[Path, tuple[int, Address]] = field(factory=dict)
    """Reactions by their place: the number of the call that they answer, and who made it."""
    _free: dict[Path, tuple[Reaction, ...]] = field(factory=dict)
    """By call of the script: the reactions behind the last one in it that were not undone, all of which did nothing."""
    _lists: dict[Address, tuple[tuple[Path, Reaction], ...]] = field(factory=dict)
    """By attacker: the list that its cursor is at, each reaction with its place in the script."""

    def follow(self, trace: Trace, recording: Recording, call: Call) -> None:
        """Go through the trace of the transaction that a call of the script is."""
        path = (self.number,)
        root, copies, self.out_of_gas = _records(trace.raw_events, self.accounts)
        # Without copies of storage the one hazard is a write after a call, which the recording tells of.
        self.hazardous = any(not hazard.undone for hazard in trace.hazards) if copies else recording.hazardous
        self._lists = {account: tuple(_level(call, path, account)) for account in self.accounts}
        self._call(root, path, ())

    def _call(self, record: _Record, path: Path, active: tuple[Address, ...]) -> bool:
        """Follow a call of the script; return whether it changed anything."""
        changed = self._run(record, path, active) and record.ok
        self.outcomes[path] = CallOutcome(path, record.ok, changed, record.started[1], frozenset(active))
        return changed

    def _run(self, record: _Record, path: Path, active: tuple[Address, ...]) -> bool:
        """Follow a call, of an attacker or not, and all calls within it."""
        address, kind = record.started[5], record.started[4]
        lists, free = self._lists, self._free
        if not record.ok:  # what is taken from the lists is put back
            self._lists, self._free = lists.copy(), free.copy()
        if kind.borrows and record.started[6] in self.accounts:
            self.delegated = True
        if address in self.accounts and not kind.borrows:
            changed = self._attacker(record, path, active)
        else:
            changed = record.changed
            for inner in record.calls:
                changed |= self._run(inner, path, (*active, address))
        if not record.ok:
            self._lists, self._free = lists, free
            return False
        return changed

    def _attacker(self, record: _Record, path: Path, active: tuple[Address, ...]) -> bool:
        """Follow a call of an attacker."""
        _, call_id, _, _, _, account, _, caller, method, _, _, _, _, static, _ = record.started
        site = method or MAIN
        self.reached.add((caller, account, site, static))
        place, reaction = self._take(account, site)
        if reaction is None:
            done = Reaction(account, site, static)
            free = self._free.get(path, ())
            self.sites.append(Site(path, free, done, caller, frozenset(active), call_id))
            self._free[path] = (*free, done)
            return record.changed
        self.played[place] = call_id, caller
        after = self._lists[account]
        changed = record.changed
        for number, (inner, made) in enumerate(zip(reaction.calls, record.calls, strict=False)):
            inner_path = (*place, number)
            self._lists[account] = tuple(_level(inner, inner_path, account))
            changed |= self._call(made, inner_path, (*active, account))
            self._lists[account] = after
        return changed

    def _take(self, account: Address, site: str) -> tuple[Path, Reaction | None]:
        """Take the next reaction off an attacker's list, as its contract does."""
        entries = self._lists[account]
        while entries and entries[0][1].static:
            if entries[0][1].site == site:
                return entries[0]
            entries = entries[1:]
        if not entries:
            return (), None
        self._lists[account] = entries[1:]
        return entries[0]


def _level(call: Call, path: Path, account: Address) -> list[tuple[Path, Reaction]]:
    """Return the reactions of one account during a call, with their places, without those within its own."""
    found: list[tuple[Path, Reaction]] = []
    for position, reaction in enumerate(call.reactions):
        place = (*path, position)
        if reaction.account == account:
            found.append((place, reaction))
        else:
            for number, inner in enumerate(reaction.calls):
                found += _level(inner, (*place, number), account)
    return found


def outermost_idle(outcomes: Mapping[Path, CallOutcome], path: Path) -> Path | None:
    """Return the outermost call on the way to one, itself included, that changed nothing; ``None`` if all did."""
    for length in range(1, len(path) + 1, 2):
        each = outcomes.get(path[:length])
        if each is None or not each.changed:
            return path[:length]
    return None


def sites_within(sites: Sequence[Site], path: Path) -> list[Site]:
    """Return the sites that happened within a call of the script."""
    return [site for site in sites if site.path[: len(path)] == path]
