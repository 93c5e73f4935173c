"""Listen to the transactions of all worlds of this process, for tests that get worlds from many places.

This module imports nothing heavy, so a listener can start before the virtual machine is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

Listener: TypeAlias = Callable[[Any], None]
"""Called with a :class:`storagemod.Receipt`."""

_Receipt = TypeVar("_Receipt")

_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call a listener with the receipt of every transaction and call of this process during a ``with`` block.

    A transaction that cannot start has no receipt. Listeners are called in the order in which they were added, and
    receive transactions of all threads.
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


recorders: list[object] = []
"""Those who want what code does recorded, in whatever world."""


@contextmanager
def recording() -> Iterator[None]:
    """Have all worlds of this process record what code does, in their transactions during a ``with`` block."""
    recorder = object()
    recorders.append(recorder)
    try:
        yield
    finally:
        recorders.remove(recorder)


def notify(receipt: _Receipt) -> _Receipt:
    """Call every listener with a receipt, and return the receipt."""
    for listener in tuple(_listeners):
        listener(receipt)
    return receipt
