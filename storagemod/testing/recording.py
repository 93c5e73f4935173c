"""What transactions a test ran, as far as a report of its failure has use for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from storagemod.errors import one_line
from storagemod.testing.unchecked import Ledger, Unchecked

if TYPE_CHECKING:
    from storagemod.world import Receipt

SECTION = "storagemod"

_LINES_MAX = 200

_recorders: list[Recorder] = []
_deaf: list[object] = []
"""Searches that are under way, whose tries are no transactions of the test."""


class Recorder:
    """Is told of the transactions of one test, and keeps two: the last, and the last that failed unexpectedly.

    Attributes:
        count: How many there were.
        ledger: Those that failed and that nobody has looked at.
    """

    def __init__(self) -> None:
        self.count = 0
        self.ledger = Ledger()
        self._last: tuple[int, Receipt] | None = None
        self._failed: tuple[int, Receipt] | None = None

    def __call__(self, receipt: Receipt) -> None:
        """Take one receipt."""
        if _deaf:
            return
        self.count += 1
        self._last = (self.count, receipt)
        if not receipt.ok:
            self._failed = self._last
            if _recorders[-1:] == [self]:  # a pytest inside a test answers for its own tests
                self.ledger.watch(self.count, receipt)

    def expect(self, receipt: Receipt) -> None:
        """A failure was expected."""
        if self._failed is not None and self._failed[1] is receipt:
            self._failed = None

    def clear(self) -> None:
        """Begin another test."""
        self.count, self._last, self._failed = 0, None, None
        self.ledger.take()

    def show(self, unchecked: Unchecked) -> None:
        """Have the section be about a transaction that nobody looked at."""
        self._failed = (unchecked.number, unchecked.receipt)

    def section(self) -> str:
        """On the transaction that failed, or else the last: how it ended, its call tree and hazards; empty for none."""
        if self._last is None:
            return ""
        number, receipt = self._failed or self._last
        return f"transaction {number} of {self.count} in this test{describe(receipt)}"


def describe(receipt: Receipt) -> str:
    """How a transaction ended, then its call tree and hazards."""
    ending = ": ok" if receipt.error is None else f": {receipt.outcome.name.lower()}: {one_line(str(receipt.error))}"
    if receipt.trace is None:
        return f"{ending}\n(its world keeps no traces)"
    return "\n".join([ending, *describe_trees([receipt])])


def describe_trees(receipts: Iterable[Receipt]) -> list[str]:
    """The call trees of transactions and their hazards, in lines of which there are not too many."""
    from storagemod.report import render_tree  # noqa: PLC0415 - heavy; there is a receipt, so it is loaded

    traces = [receipt.trace for receipt in receipts if receipt.trace is not None]
    lines = [line for trace in traces for line in render_tree(trace, failing=True).splitlines()]
    if len(lines) > _LINES_MAX:
        lines[_LINES_MAX:] = [f"… {len(lines) - _LINES_MAX:,} more lines: see receipt.trace"]
    return lines


def start(recorder: Recorder) -> None:
    """Have a recorder told what is expected."""
    _recorders.append(recorder)


def stop(recorder: Recorder) -> None:
    """No longer."""
    _recorders.remove(recorder)


@contextmanager
def unheard() -> Iterator[None]:
    """Have no recorder told of transactions during a ``with`` block."""
    search = object()
    _deaf.append(search)
    try:
        yield
    finally:
        _deaf.remove(search)


def expect(receipt: Receipt) -> None:
    """Tell every recorder that a failure was expected."""
    for recorder in _recorders:
        recorder.expect(receipt)
