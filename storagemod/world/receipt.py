"""Receipt: the result of one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from struct import pack
from types import MappingProxyType
from typing import Any

import attrs
from attrs import frozen

from storagemod.errors import StorageModError
from storagemod.events import Log, StorageChange
from storagemod.pages import RegionDiff
from storagemod.trace import Recording, Trace
from storagemod.types import Address, Outcome, Value
from storagemod.vm import Costs


@frozen(slots=False, eq=False, repr=False, init=False)
class Receipt:
    """Result of one transaction, or of a call that was not to be committed.

    Receipts are equal where everything but their traces and recordings is. Errors are equal where their classes and
    texts are.

    The machine hands over the first seven, ``created`` and ``recording``; ``value``, ``changes`` and ``costs`` are
    made of these when somebody looks.

    Attributes:
        outcome: How the top-level call ended.
        values: The results of the method, none if it failed.
        output: Bytes that ``main`` passed to ``ethereum.finish`` or ``ethereum.revert``.
        error: Why it failed, with contract, depth and cause; ``None`` if it did not.
        gas_used: Gas of the top-level call and all inside it.
        logs: Logs in the order of emission, without those of undone calls.
        trace: The tree of calls, or ``None`` where the world keeps none.
        created: The contract that the transaction created, if it was a creation and succeeded.
        recording: What code did, block by block and access by access, or ``None`` where the world does not record it.
    """

    outcome: Outcome
    values: tuple[Value, ...]
    output: bytes
    error: StorageModError | None
    gas_used: int
    logs: tuple[Log, ...]
    trace: Trace | None
    _regions: Mapping[tuple[Address, str], RegionDiff]
    """What it changed, by address and region: :attr:`storagemod.state.ChangeSet.regions`."""
    _counts: tuple[int, int, int, int]
    """The fields of :class:`storagemod.execution.Costs`."""
    created: Address | None
    recording: Recording | None

    def __init__(
        self,
        outcome: Outcome,
        values: tuple[Value, ...],
        output: bytes,
        error: StorageModError | None,
        gas_used: int,
        logs: tuple[Log, ...],
        trace: Trace | None,
        regions: Mapping[tuple[Address, str], RegionDiff],
        counts: tuple[int, int, int, int],
        created: Address | None = None,
        recording: Recording | None = None,
    ) -> None:
        """Take over what the machine has, at once: one is made for each transaction."""
        self.__dict__.update(
            outcome=outcome,
            values=values,
            output=output,
            error=error,
            gas_used=gas_used,
            logs=logs,
            trace=trace,
            _regions=regions,
            _counts=counts,
            created=created,
            recording=recording,
        )

    @property
    def ok(self) -> bool:
        """Whether it succeeded, and so was committed if it was to be."""
        return self.outcome is Outcome.OK

    @cached_property
    def value(self) -> Value | tuple[Value, ...] | None:
        """The result of the method: a number, a tuple of them, or ``None`` if it has no results or failed."""
        return self.values[0] if len(self.values) == 1 else self.values or None

    @cached_property
    def changes(self) -> Mapping[Address, tuple[StorageChange, ...]]:
        """By contract, the runs of bytes of storage that the transaction changed: first old bytes, last new bytes."""
        by_address: dict[Address, list[StorageChange]] = {}
        for (address, region), written in sorted(self._regions.items()):
            runs = [StorageChange(region, run.offset, run.old, run.new) for run in written.runs()]
            if runs:
                by_address.setdefault(address, []).extend(runs)
        return MappingProxyType({address: tuple(runs) for address, runs in by_address.items()})

    @cached_property
    def costs(self) -> Costs:
        """What the host did for it."""
        return Costs(*self._counts)

    def raise_for_error(self) -> Receipt:
        """Raise the error of a transaction that did not succeed; return a receipt that did.

        Raises:
            StorageModError: The transaction failed or reverted.
        """
        if self.error is not None:
            raise self.error
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Receipt):
            return NotImplemented
        if self is other:
            return True
        return self._compared() == other._compared() and self.changes == other.changes

    def __hash__(self) -> int:
        return hash(self._compared())

    def __repr__(self) -> str:
        return (
            f"Receipt(outcome={self.outcome!r}, value={self.value!r}, output={self.output.hex()}, "
            f"error={self.error!r}, gas_used={self.gas_used}, logs=<{len(self.logs)} logs>, created={self.created!r})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields only: what is made of them is made again."""
        return {attribute.name: getattr(self, attribute.name) for attribute in attrs.fields(Receipt)}

    def _compared(self) -> tuple[object, ...]:
        """Return what makes receipts equal, except changes. Exceptions and NaNs are equal to nothing but themselves."""
        error = None if self.error is None else (type(self.error).__name__, str(self.error))
        values = tuple(pack("<d", each) if type(each) is float else each for each in self.values)
        return (self.outcome, values, self.output, error, self.gas_used, self.logs, self._counts, self.created)
