"""Failed receipts that a test did not look at.

A transaction that fails is a receipt and raises nothing, so a test that ignores the receipt passes. The plugin watches
each failed receipt until someone looks at how it ended. A receipt that nobody looked at fails the test.

A watched receipt has a class of its own, derived from the usual one, until the first look. So receipts know nothing
about tests, and those of successful transactions stay as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from storagemod.world import Receipt

LOOKS = frozenset({"ok", "error", "outcome", "raise_for_error"})
"""Attributes of a receipt that say whether it failed. ``value`` does not: it is ``None`` after many a success."""

PENDING_MAX = 100
"""Receipts that are watched at the same time. Later ones are not watched; these fail the test unless it looks."""

_SHOWN_MAX = 5
_NESTING_MAX = 3
_TICKET = "_unchecked_ticket"
_TRANSPARENT = ("storagemod.world", "storagemod.watch", "storagemod.testing.recording", __name__)
"""Modules between whoever runs a transaction and this one."""


class Unchecked(NamedTuple):
    """A failed receipt that nobody looked at, the number of its transaction, and the line that ran it."""

    number: int
    receipt: Receipt
    place: str


class Ledger:
    """The failed receipts of one test that nobody has looked at yet, in order."""

    def __init__(self) -> None:
        self._pending: dict[int, Unchecked] = {}
        self._ticket = 0

    def watch(self, number: int, receipt: Receipt) -> None:
        """Watch a failed receipt until someone looks, unless storagemod itself ran the transaction.

        Scenarios, comparisons and the explorer run transactions that may fail, and check them by their own rules.
        """
        if len(self._pending) >= PENDING_MAX or _TICKET in receipt.__dict__:
            return
        place = _caller()
        if place is None:
            return
        self._ticket += 1
        self._pending[self._ticket] = Unchecked(number, receipt, place)
        receipt.__dict__[_TICKET] = (self, self._ticket)
        usual: Any = type(receipt)
        object.__setattr__(receipt, "__class__", _watched(usual))

    @property
    def mark(self) -> int:
        """Where the ledger stands now, for :meth:`take`."""
        return self._ticket

    def take(self, mark: int = 0, *, handed_on: object = None) -> list[Unchecked]:
        """Stop watching the receipts of transactions since a mark, and return those that nobody looked at.

        Args:
            mark: What :attr:`mark` was then; 0 for all.
            handed_on: The value of a fixture. Receipts in it are left out: tests look at them, or do not need them.
        """
        taken = [each for ticket, each in list(self._pending.items()) if ticket > mark]  # other threads may add
        for each in taken:
            _look(each.receipt)  # which forgets it
        given = {id(receipt) for receipt in _receipts_in(handed_on, _NESTING_MAX)} if taken else set()
        return [each for each in taken if id(each.receipt) not in given]

    def forget(self, ticket: int) -> None:
        """Take a receipt out: someone looked at it."""
        self._pending.pop(ticket, None)


def describe_unchecked(found: list[Unchecked], where: str) -> str:
    """Return the message of a failure: which transactions failed, where they were run, and what to do."""
    count = "a transaction failed" if len(found) == 1 else f"{len(found)} transactions failed"
    lines = [f"{count} and {where} did not look at the receipt{'' if len(found) == 1 else 's'}:"]
    for number, receipt, place in found[:_SHOWN_MAX]:
        lines.append(f"  {place}: transaction {number}: {receipt.outcome.name.lower()}: {receipt.error}")
    if len(found) > _SHOWN_MAX:
        lines.append(f"  … and {len(found) - _SHOWN_MAX} more")
    lines.append(
        "expected success: add .raise_for_error(); expected failure: use `with reverts():` or check receipt.ok; "
        "to allow it: @pytest.mark.storagemod(strict=False)"
    )
    return "\n".join(lines)


def _look(receipt: Receipt) -> None:
    """Give a watched receipt its usual class back."""
    fields = object.__getattribute__(receipt, "__dict__")
    ledger, ticket = fields.pop(_TICKET, (None, 0))
    if ledger is not None:
        object.__setattr__(receipt, "__class__", object.__getattribute__(receipt, "__class__").__base__)
        ledger.forget(ticket)


@lru_cache(maxsize=16)
def _watched(usual: Any) -> type[Receipt]:
    """Return the class of receipts that are watched."""

    def get(self: Any, name: str) -> Any:
        if name in LOOKS:
            _look(self)
        return object.__getattribute__(self, name)

    def compare(self: Any, other: object) -> Any:
        _look(self)
        return usual.__eq__(self, other)

    def reduce(self: Any, protocol: Any) -> Any:
        _look(self)  # whoever gets the copy may look at that one
        return usual.__reduce_ex__(self, protocol)

    def show(self: Any) -> Any:
        plain = object.__new__(usual)  # a representation reads the outcome, and is no look at it
        plain.__dict__.update(self.__dict__)
        return usual.__repr__(plain)

    names = {
        "__getattribute__": get,
        "__eq__": compare,
        "__hash__": usual.__hash__,
        "__reduce_ex__": reduce,
        "__repr__": show,
    }
    return type(usual.__name__, (usual,), names)


def _caller() -> str | None:
    """Return the file and line that ran the transaction, or ``None`` if that is in storagemod itself."""
    frame = sys._getframe(1)  # noqa: SLF001 - traceback.extract_stack reads every file of the stack
    while frame.f_back is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(_TRANSPARENT):
            if module == "storagemod" or module.startswith("storagemod."):
                return None
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _receipts_in(value: object, nesting: int) -> list[object]:
    """Return the receipts in a value: itself, or in lists, tuples, mappings and plain objects in it."""
    if isinstance(value, sys.modules["storagemod.world.receipt"].Receipt):
        return [value]
    if nesting == 0 or isinstance(value, str | bytes | type):
        return []
    if isinstance(value, Mapping):
        parts = list(value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        parts = list(value)
    else:
        parts = list(getattr(value, "__dict__", {}).values())
    return [receipt for part in parts for receipt in _receipts_in(part, nesting - 1)]
