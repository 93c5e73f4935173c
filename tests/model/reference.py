"""The oracle: what ``design/semantics.md`` says of worlds, calls and storage, in the plainest Python that does it.

It is to be read as a specification, and was written from one. It runs the scripts of the puppet without wasm: storage
is a bytearray, every call begins with a copy of the whole state, and one that fails puts that copy back. It has no gas,
no pages of 4 KiB, no journal, no trackers, and of linking options those under which storage is memory that calls share;
``linked.py`` has the others. Numbers in comments are the rules of the semantics.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TypeAlias

from attrs import Factory, define, frozen

from storagemod.scenario import puppet
from storagemod.scenario.puppet import Operation, Script
from storagemod.types import Address, CallKind, Outcome, ReentryPolicy
from tests.semantics.puppets import BYTEWISE_MIN

WASM_PAGE = 65_536
PAGE = 4_096
WORD = 8
BALANCE_MAX = 2**256 - 1
OUTPUT_MAX = 2**20
OWN_MEMORY = 1_024

WRITES = (puppet.Store, puppet.Store8, puppet.CopyIn, puppet.SpareStore)
_ON_SPARE = (puppet.SpareLoad, puppet.SpareStore, puppet.SpareSize, puppet.SpareGrow)

Log: TypeAlias = tuple[Address, tuple[bytes, ...], bytes]
"""Who emitted it, its topics, its data."""

Change: TypeAlias = tuple[str, int, bytes, bytes]
"""Region, offset, bytes before, bytes after."""


Byte: TypeAlias = tuple[Address, int, int, int]
"""Whose storage, offset, the byte before, the byte after."""


class Failed(Exception):
    """The running call is over, and fails."""


class Reverted(Exception):
    """The running call is over, and gave up on purpose."""


@define
class Region:
    """A linear memory of storage.

    ``pages`` is the length of the region, in pages of ``page`` bytes. The memory is longer where a growth was undone,
    since it cannot shrink within a transaction; what it has beyond the region's length is called the hole, and holds
    zeros (5).
    """

    memory: bytearray
    pages: int
    page: int = WASM_PAGE

    @property
    def length(self) -> int:
        return self.pages * self.page

    @property
    def hole(self) -> slice:
        return slice(self.length, len(self.memory))

    def copy(self) -> Region:
        return Region(bytearray(self.memory), self.pages, self.page)


@define
class Account:
    """An account; one that has regions is a puppet, and the others have no code."""

    nonce: int = 0
    balance: int = 0
    policy: ReentryPolicy = ReentryPolicy.ALLOW
    regions: dict[str, Region] = Factory(dict)

    def copy(self) -> Account:
        return Account(self.nonce, self.balance, self.policy, self.copy_regions())

    def copy_regions(self) -> dict[str, Region]:
        return {name: region.copy() for name, region in self.regions.items()}


@define
class Call:
    """One activation of a puppet. In a delegate call ``address`` and ``code`` differ."""

    kind: CallKind
    parent: Call | None
    address: Address
    code: Address
    caller: Address
    value: int
    static: bool
    script: Script | bytes
    own_memory: bytearray = Factory(lambda: bytearray(OWN_MEMORY))
    output: bytearray = Factory(bytearray)
    storage_before: dict[str, Region] = Factory(dict)
    """The storage as it was when this call last began to run: at its start, or when a call that it made had ended."""
    copy: bytearray | None = None
    """Under an option that maps storage, what this call has of it in its working memory, once it has used it."""
    copied: bytes = b""
    """What storage and that copy had in common when they were last brought in line."""
    holds: bool = False
    """Whether it has mapped storage, under an option that has frames."""

    @property
    def depth(self) -> int:
        return 1 if self.parent is None else self.parent.depth + 1

    @property
    def storage_owners(self) -> list[Address]:
        """The owners of the storage that this call and those above it run on."""
        return [self.address] + ([] if self.parent is None else self.parent.storage_owners)


@frozen
class Prediction:
    """What a receipt has to say."""

    outcome: Outcome
    output: bytes
    logs: tuple[Log, ...] = ()
    changes: dict[Address, tuple[Change, ...]] = Factory(dict)
    astray: bool = False
    """Whether storage that calls share would have made a difference."""
    lost: tuple[Byte, ...] = ()
    """Bytes that one call wrote, and that another one wrote over with what it had made of an older copy."""


class ReferenceWorld:
    """The state between transactions and, while one runs, within it.

    Args:
        sender: The account that deploys.
        call_depth_max: As in ``storagemod.Limits``.
        storage_pages_max: As in ``storagemod.Limits``.
        spare: Whether puppets have the region ``spare``, which only the linking option ``regions`` gives them.
        protected: Whether pages are: then an access to a hole (5) and a write in a static call (6) fail as they are
            made. If not, writes are found afterwards, by what they changed.
    """

    page = WASM_PAGE
    """How many bytes a page of storage has."""

    pages_at_first = 1

    stops_at_holes = True
    """Whether protected pages keep calls from holes: they cannot where a length is counted in bytes."""

    def __init__(
        self,
        sender: Address,
        sender_balance: int,
        *,
        call_depth_max: int,
        storage_pages_max: int,
        spare: bool,
        protected: bool,
    ) -> None:
        self.sender = sender
        self.call_depth_max = call_depth_max
        self.storage_pages_max = storage_pages_max
        self.spare = spare
        self.protected = protected
        self.accounts: defaultdict[Address, Account] = defaultdict(Account)
        self.accounts[sender].balance = sender_balance
        self.logs: list[Log] = []

    # Between transactions.

    def deploy(self, address: Address, balance: int, policy: ReentryPolicy) -> None:
        """Put a puppet where there is none. What the account holds already stays its own."""
        self.accounts[self.sender].nonce += 1
        account = self.accounts[address]
        account.balance += balance
        account.policy = policy
        memory = bytearray(self.pages_at_first * self.page)
        account.regions = {"memory": Region(memory, self.pages_at_first, self.page)}
        if self.spare:
            account.regions["spare"] = Region(bytearray(), 0, self.page)

    def fund(self, address: Address, balance: int) -> None:
        """Set a balance."""
        self.accounts[address].balance = balance

    def load_storage(self, address: Address, name: str, data: bytes, offset: int) -> None:
        """Write storage; it becomes as long as that takes."""
        region = self.accounts[address].regions[name]
        region.pages = max(region.pages, -(-(offset + len(data)) // self.page))
        region.memory.extend(bytes(region.length - len(region.memory)))
        region.memory[offset : offset + len(data)] = data

    def copy_accounts(self) -> defaultdict[Address, Account]:
        """All there is, as it is now."""
        return defaultdict(Account, {address: account.copy() for address, account in self.accounts.items()})

    def digest(self) -> bytes:
        """Nonces, balances and storage in 32 bytes. What is as if it had never been is left out."""
        digest = hashlib.sha256()
        for address, account in sorted(self.accounts.items()):
            regions = {name: region for name, region in sorted(account.regions.items()) if region.pages}
            if account.nonce or account.balance or regions:
                digest.update(f"{address}: {account.nonce} {account.balance} {len(regions)}\n".encode())
                for name, region in regions.items():
                    digest.update(f"{name} {region.pages}\n".encode() + region.memory)
        return digest.digest()

    # Transactions.

    def transact(
        self, to: Address, script: Script | bytes, *, sender: Address, value: int, commit: bool = True
    ) -> Prediction:
        """Run a transaction of a sender who can pay. All of it is committed, or nothing (7)."""
        before = self.copy_accounts()
        self.logs = []
        self.accounts[sender].nonce += 1
        call = Call(CallKind.CALL, None, to, to, sender, value, False, script)
        outcome, output = self._call(call)
        changes = {}
        if outcome is Outcome.OK:
            for address, account in sorted(self.accounts.items()):
                runs = _changes(before[address].regions, account.regions)
                if runs:
                    changes[address] = runs
        if outcome is not Outcome.OK or not commit:
            self.accounts = before
        for account in self.accounts.values():
            for region in account.regions.values():
                del region.memory[region.hole]
        return Prediction(outcome, output, tuple(self.logs), changes)

    def _call(self, call: Call) -> tuple[Outcome, bytes]:
        """Run a call, and give its outcome and its output."""
        accounts, logs = self.copy_accounts(), list(self.logs)
        try:
            self._enter(call)
        except Failed:
            self._undo(accounts, logs)
            return Outcome.FAILED, b""
        except Reverted:
            self._undo(accounts, logs)
            return Outcome.REVERTED, bytes(call.output)
        return Outcome.OK, bytes(call.output)

    def _undo(self, accounts: defaultdict[Address, Account], logs: list[Log]) -> None:
        """Put back what was there before a call (4). Memory cannot shrink: it stays as long, as zeros (5)."""
        for address, account in accounts.items():
            for name, region in account.regions.items():
                longer = len(self.accounts[address].regions[name].memory) - len(region.memory)
                region.memory.extend(bytes(longer))
        self.accounts, self.logs = accounts, logs

    def _enter(self, call: Call) -> None:
        """Let a call in, or fail it before any of its code runs."""
        if call.depth > self.call_depth_max:  # (9)
            raise Failed
        if call.kind is not CallKind.DELEGATE:  # which enters nothing: it runs on its caller's storage (2)
            if call.parent is not None and call.address in call.parent.storage_owners:
                self._check_reentry(call)
            self._transfer(call.caller, call.address, call.value)
        if self.accounts[call.code].regions:
            self._run(call)

    def _check_reentry(self, call: Call) -> None:
        """The callee is active already: its policy decides (3)."""
        policy = self.accounts[call.address].policy
        assert call.parent is not None
        if policy is ReentryPolicy.DENY:
            raise Failed
        if policy is ReentryPolicy.SELF_ONLY and call.parent.address != call.address:
            raise Failed
        if policy is ReentryPolicy.STATIC_ONLY and not call.static:
            raise Failed

    def _transfer(self, payer: Address, payee: Address, value: int) -> None:
        if self.accounts[payer].balance < value:
            raise Failed
        self.accounts[payer].balance -= value
        if self.accounts[payee].balance + value > BALANCE_MAX:
            raise Failed
        self.accounts[payee].balance += value

    def _run(self, call: Call) -> None:
        """Carry out a script. Storage is that of ``call.address``, whoever else runs on it (1)."""
        self._begin_interval(call)
        reverts = False
        for operation in _operations(call.script):
            if isinstance(operation, puppet.Finish):
                break
            if isinstance(operation, puppet.Revert):
                reverts = True
                break
            self._step(call, operation)
        if not reverts:
            self._finish(call)
        self._end_interval(call)
        if reverts:
            raise Reverted

    def _suspend(self, call: Call) -> None:
        """The call is about to make another. Nothing is to be done where calls share storage."""

    def _resume(self, call: Call) -> None:
        """The call that it made is over."""

    def _finish(self, call: Call) -> None:
        """The call is about to end well."""

    def _begin_interval(self, call: Call) -> None:
        call.storage_before = self.accounts[call.address].copy_regions()

    def _end_interval(self, call: Call) -> None:
        """A call calls another or ends: what it did to storage since it began to run is looked at here.

        Whatever it wrote into a hole makes it fail, also if it has grown the memory since (5). If it is static, so does
        any change (6). Where it made the memory longer, the region is as long as that from here on (5).
        """
        for name, region in self.accounts[call.address].regions.items():
            before = call.storage_before[name]
            if region.memory[before.hole].strip(b"\0"):
                raise Failed
            if call.static and region.memory != before.memory:
                raise Failed
            if len(region.memory) > len(before.memory):
                region.pages = len(region.memory) // self.page

    def _step(self, call: Call, operation: Operation) -> None:
        """Carry out one operation that does not end the script."""
        match operation:
            case puppet.Trap() | puppet.OutOfBounds() | puppet.StackOverflow():
                raise Failed
            case puppet.Burn():
                pass
            case puppet.MemoryLoad(offset):
                append(call, call.own_memory[offset : offset + 8])
            case puppet.MemoryStore(offset, value):
                call.own_memory[offset : offset + 8] = _i64(value)
            case puppet.Caller():
                append(call, call.caller)
            case puppet.OwnAddress():
                append(call, call.address)
            case puppet.CallValue():
                append(call, call.value.to_bytes(16, "little"))
            case puppet.Call():
                self._call_out(call, operation)
            case puppet.EmitLog(data, topics):
                if call.static:  # (6)
                    raise Failed
                self.logs.append((call.address, topics, data))
            case _:
                self._access(call, operation)

    def _access(self, call: Call, operation: Operation) -> None:
        """Carry out an operation on storage."""
        memory = self._region(call, operation).memory
        match operation:
            case puppet.Load(offset) | puppet.SpareLoad(offset):
                append(call, memory[self._bytes(call, operation, offset, 8)])
            case puppet.Store(offset, value) | puppet.SpareStore(offset, value):
                memory[self._bytes(call, operation, offset, 8)] = _i64(value)
            case puppet.Store8(offset, value):
                memory[self._bytes(call, operation, offset, 1)] = bytes([value])
            case puppet.CopyIn(offset, data):
                memory[self._bytes(call, operation, offset, len(data))] = data
            case puppet.CopyOut(offset, length):
                append(call, memory[self._bytes(call, operation, offset, length)])
            case puppet.Size() | puppet.SpareSize():
                append(call, i32(len(memory) // self.page))
            case puppet.Grow(pages) | puppet.SpareGrow(pages):
                append(call, i32(self._grow(memory, pages)))
            case _:
                raise NotImplementedError(f"the model does not know {operation!r}")

    def _bytes(self, call: Call, operation: Operation, offset: int, length: int) -> slice:
        """These bytes of a memory, if it has them: what leaves the memory, the hole counted, traps."""
        end = offset + length
        if end > len(self._region(call, operation).memory):
            raise Failed
        if self.protected and length:
            hole = call.storage_before[region_name(operation)].hole
            if self.stops_at_holes and max(offset, hole.start) < min(end, hole.stop):
                raise Failed
            if call.static and isinstance(operation, WRITES):
                raise Failed
        return slice(offset, end)

    def _region(self, call: Call, operation: Operation) -> Region:
        region = self.accounts[call.address].regions.get(region_name(operation))
        if region is None:
            raise Failed
        return region

    def _grow(self, memory: bytearray, pages: int) -> int:
        """What ``memory.grow`` answers. It knows how long the memory is, not how long the region is."""
        pages_before = len(memory) // self.page
        if (pages_before + pages) * self.page > self.storage_pages_max * WASM_PAGE:
            return -1
        memory.extend(bytes(pages * self.page))
        return pages_before

    def _call_out(self, call: Call, asked: puppet.Call) -> None:
        """Make a call, and append its outcome and its output."""
        if asked.value and call.static:  # it is the caller that breaks the rule (6)
            raise Failed
        self._suspend(call)
        self._end_interval(call)
        delegate = asked.kind is CallKind.DELEGATE
        callee = Call(
            kind=asked.kind,
            parent=call,
            address=call.address if delegate else asked.address,
            code=asked.address,
            caller=call.caller if delegate else call.address,
            value=call.value if delegate else asked.value,
            static=call.static or asked.kind is CallKind.STATIC,
            script=asked.data,
        )
        outcome, output = self._call(callee)
        self._begin_interval(call)
        self._resume(call)
        append(call, i32(outcome) + i32(len(output)) + output)


class ByBytes(ReferenceWorld):
    """Storage whose memories have pages of one byte."""

    page = 1
    pages_at_first = BYTEWISE_MIN
    stops_at_holes = False


def _operations(script: Script | bytes) -> tuple[Operation, ...]:
    if isinstance(script, Script):
        return script.operations
    if script:
        raise NotImplementedError("the model runs scripts, not mere bytes")
    return ()


def region_name(operation: Operation) -> str:
    return "spare" if isinstance(operation, _ON_SPARE) else "memory"


def append(call: Call, data: bytes | bytearray) -> None:
    if len(call.output) + len(data) > OUTPUT_MAX:
        raise Failed
    call.output += data


def i32(value: int) -> bytes:
    return value.to_bytes(4, "little", signed=True)


def _i64(value: int) -> bytes:
    return value.to_bytes(8, "little", signed=True)


def _changes(before: dict[str, Region], after: dict[str, Region]) -> tuple[Change, ...]:
    """The words that differ, neighbours joined; where a region was not yet there, it counts as zeros.

    That it passes over equal pages at once saves time, no more.
    """
    runs: list[Change] = []
    for name, region in sorted(after.items()):
        new = bytes(region.memory[: region.length])
        old = bytes(before[name].memory).ljust(len(new), b"\0")
        pages = (page for page in range(0, len(new), PAGE) if old[page : page + PAGE] != new[page : page + PAGE])
        for at in (word for page in pages for word in range(page, page + PAGE, WORD)):
            words = old[at : at + WORD], new[at : at + WORD]
            if words[0] == words[1]:
                continue
            if runs and runs[-1][0] == name and runs[-1][1] + len(runs[-1][2]) == at:
                _, start, run_old, run_new = runs.pop()
                runs.append((name, start, run_old + words[0], run_new + words[1]))
            else:
                runs.append((name, at, *words))
    return tuple(runs)
