"""Oracle for states at call boundaries: single bytes in dictionaries that are copied at each call, over decoded calls.

Slow and plain. It knows nothing of pages, logs of what to undo, or raw events.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from attrs import define, field, frozen

from storagemod.events import AccountDestroyed, StorageGrown, StorageWritten
from storagemod.trace import CallRecord, Trace
from storagemod.types import Address, CallKind, Outcome
from storagemod.world import World

Place = tuple[Address, str, int]


@frozen
class PlainBoundary:
    call_id: int
    moment: str
    is_callout: bool
    entered: frozenset[Address]
    active: frozenset[Address]
    bytes: dict[Place, int]
    lengths: dict[tuple[Address, str], int]
    balances: dict[Address, int]


def plain_boundaries(trace: Trace, world: World, untrusted: Collection[Address] = ()) -> list[PlainBoundary]:
    return list(_Walk(world, untrusted).call(trace.root))


@define
class _Walk:
    world: World
    untrusted: Collection[Address]
    bytes: dict[Place, int] = field(factory=dict)
    lengths: dict[tuple[Address, str], int] = field(factory=dict)
    balances: dict[Address, int] = field(factory=dict)
    active: list[Address] = field(factory=list)

    def call(self, record: CallRecord) -> Iterator[PlainBoundary]:
        before = dict(self.bytes), dict(self.lengths), dict(self.balances)
        self.begin(record)
        for step in record.steps:
            if isinstance(step, CallRecord):
                if step.started.code_address not in self.untrusted:
                    yield self.boundary(step, "start")
                    yield from self.call(step)
                else:
                    kept = dict(self.balances)
                    self.begin(step)
                    yield self.boundary(step, "start")
                    self.active.pop()
                    self.balances = kept
                    yield from self.call(step)
                yield self.boundary(step, "end")
            elif isinstance(step, StorageWritten):
                for change in step.changes:
                    for offset, new in enumerate(change.new, change.offset):
                        self.bytes[step.address, change.region, offset] = new
            elif isinstance(step, StorageGrown):
                self.lengths[step.address, step.region] = step.pages_new * step.page_bytes
            elif isinstance(step, AccountDestroyed):
                self.pay(step.address, -step.value)
                self.pay(step.beneficiary, step.value)
        self.active.pop()
        assert record.ended is not None
        if record.ended.outcome is not Outcome.OK:
            self.bytes, self.lengths, self.balances = before

    def begin(self, record: CallRecord) -> None:
        started = record.started
        self.active.append(started.address)
        if started.value and started.kind in {CallKind.CALL, CallKind.CREATE}:
            self.pay(started.caller, -started.value)
            self.pay(started.address, started.value)

    def pay(self, address: Address, amount: int) -> None:
        self.balances[address] = max(0, self.balances.get(address, self.world.account(address).balance) + amount)

    def boundary(self, record: CallRecord, moment: str) -> PlainBoundary:
        parent = record.parent
        assert parent is not None
        into = record if moment == "start" else parent
        states = dict(self.bytes), dict(self.lengths), dict(self.balances)
        is_callout = into.started.code_address in self.untrusted
        entered = self.entered(record) if moment == "start" else frozenset()
        return PlainBoundary(record.started.call_id, moment, is_callout, entered, frozenset(self.active), *states)

    def entered(self, record: CallRecord) -> frozenset[Address]:
        assert record.parent is not None
        comes_in = record.parent.started.code_address in self.untrusted
        if not comes_in or record.started.code_address in self.untrusted or record.undone:
            return frozenset()
        kept = [each for each in below(record) if not each.undone]
        if not any(self.changes(each) for each in kept):
            return frozenset()
        return frozenset(each.started.address for each in kept)

    def changes(self, record: CallRecord) -> bool:
        started = record.started
        if started.value and started.kind is CallKind.CALL and started.address in self.untrusted:
            return started.caller not in self.untrusted
        kinds = (StorageWritten, StorageGrown, AccountDestroyed)
        return any(isinstance(step, kinds) and step.address not in self.untrusted for step in record.steps)


def below(record: CallRecord) -> list[CallRecord]:
    return [record, *(each for call in record.calls for each in below(call))]
