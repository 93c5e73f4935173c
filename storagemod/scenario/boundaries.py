"""Reconstruct the state at each call boundary of a transaction from its trace.

At a boundary control passes from one call to another, so storage is what a contract that is called there would see.
Read-only re-entry exploits views that give wrong answers at these moments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import define, field, frozen

from storagemod.events import AccountDestroyed, StorageGrown, StorageWritten
from storagemod.trace import CallRecord, Trace
from storagemod.types import Address, CallKind, Outcome
from storagemod.world import World


@frozen
class Boundary:
    """Moment when control passes from one call to another, and how the state then differs from the start.

    Attributes:
        call_id: The call that starts or ended.
        moment: ``start`` or ``end``.
        active: The contracts that were running.
        bytes: Written bytes by address, region and offset.
        lengths: Lengths of regions that grew, in bytes.
        balances: New balances of accounts whose balance changed.
    """

    call_id: int
    moment: str
    active: frozenset[Address]
    bytes: Mapping[tuple[Address, str, int], int] = field(repr=False)
    lengths: Mapping[tuple[Address, str], int] = field(repr=False)
    balances: Mapping[Address, int]

    @property
    def state(self) -> tuple[object, ...]:
        """Hashable state: equal for boundaries with equal states."""
        return (*(frozenset(part.items()) for part in (self.bytes, self.lengths, self.balances)), self.active)

    def apply(self, world: World) -> None:
        """Apply this state to a world, within a snapshot.

        Raises:
            StateError: The state includes a contract that the world does not have.
        """
        for address, balance in self.balances.items():
            world.fund(address, balance)
        for (address, region), length in self.lengths.items():
            if (address, region, length - 1) not in self.bytes:
                world.load_storage(address, region, b"\0", offset=length - 1)
        for address, region, start, data in _runs(self.bytes):
            world.load_storage(address, region, data, offset=start)


def boundaries(trace: Trace, world: World) -> Iterator[Boundary]:
    """Yield the boundaries inside a transaction in order, each state once.

    Args:
        trace: The trace of a transaction that ran on the world as it is now, and was not committed.
        world: The world, for balances.
    """
    seen: set[tuple[object, ...]] = set()
    for boundary in _Walk(world).of(trace.root):
        if boundary.state not in seen:
            seen.add(boundary.state)
            yield boundary


@define
class _Walk:
    world: World
    bytes: dict[tuple[Address, str, int], int] = field(factory=dict)
    lengths: dict[tuple[Address, str], int] = field(factory=dict)
    balances: dict[Address, int] = field(factory=dict)
    active: list[Address] = field(factory=list)

    def of(self, root: CallRecord) -> Iterator[Boundary]:
        """Walk through the calls, without recursion: calls may be 1,024 deep."""
        self.begin(root)
        stack = [(root, iter(root.steps), self.saved())]
        while stack:
            record, steps, before = stack[-1]
            step = next(steps, None)
            if isinstance(step, CallRecord):
                yield self.boundary(step, "start")
                saved = self.saved()
                self.begin(step)
                stack.append((step, iter(step.steps), saved))
            elif step is None:
                stack.pop()
                self.active.pop()
                if record.ended is None or record.ended.outcome is not Outcome.OK:
                    self.bytes, self.lengths, self.balances = before
                if stack:
                    yield self.boundary(record, "end")
            else:
                self.take(step)

    def saved(self) -> tuple[dict[tuple[Address, str, int], int], dict[tuple[Address, str], int], dict[Address, int]]:
        return dict(self.bytes), dict(self.lengths), dict(self.balances)

    def begin(self, record: CallRecord) -> None:
        started = record.started
        self.active.append(started.address)
        if started.value and started.kind in {CallKind.CALL, CallKind.CREATE}:
            self.pay(started.caller, -started.value)
            self.pay(started.address, started.value)

    def pay(self, address: Address, amount: int) -> None:
        self.balances[address] = max(0, self.balances.get(address, self.world.account(address).balance) + amount)

    def take(self, step: object) -> None:
        if isinstance(step, StorageWritten):
            for change in step.changes:
                for offset, new in enumerate(change.new, change.offset):
                    self.bytes[step.address, change.region, offset] = new
        elif isinstance(step, StorageGrown):
            self.lengths[step.address, step.region] = step.pages_new * step.page_bytes
        elif isinstance(step, AccountDestroyed):
            self.pay(step.address, -step.value)
            self.pay(step.beneficiary, step.value)

    def boundary(self, record: CallRecord, moment: str) -> Boundary:
        return Boundary(record.started.call_id, moment, frozenset(self.active), *self.saved())


def _runs(cells: Mapping[tuple[Address, str, int], int]) -> Iterator[tuple[Address, str, int, bytes]]:
    """Join single bytes to runs, in order."""
    run: list[int] = []
    place: tuple[Address, str, int] | None = None
    for (address, region, offset), value in sorted(cells.items()):
        if place is not None and place == (address, region, offset - len(run)):
            run.append(value)
            continue
        if place is not None:
            yield (*place, bytes(run))
        place, run = (address, region, offset), [value]
    if place is not None:
        yield (*place, bytes(run))
