"""Ending a search early, and keeping what it found: by Ctrl-C, by a request of the system, or by a program.

A search asks between tries whether to stop, so it is never left half done: it shrinks, reports and saves what it found.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any, Self

from attrs import define, field

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_SAME_SECONDS = 0.5
"""Signals that come so soon after the first one are the same request: wrappers pass on what a terminal sent already."""


@define(eq=False)
class Stop:
    """Request to end a search, made by a signal or by :meth:`request`. Called, it returns whether there is one.

    In a ``with`` block the first SIGINT (Ctrl-C), SIGTERM or SIGHUP requests the end. A second one, half a second
    later or more, is handled as before the block, or raises ``KeyboardInterrupt``. Signals that are ignored stay
    ignored. On another thread than the main one, a block changes nothing.

    Attributes:
        signal: The number of the signal that requested it; 0 where no signal did.
    """

    signal: int = 0
    _requested: float | None = field(default=None, init=False)
    _previous: dict[int, Any] = field(factory=dict, init=False)

    def __call__(self) -> bool:
        """Return whether the end was requested."""
        return self._requested is not None

    def request(self) -> None:
        """Request the end. Idempotent."""
        if self._requested is None:
            self._requested = time.monotonic()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for name in _NAMES:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) not in {signal.SIG_IGN, None}:
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._requested is None:
            self.signal = number
            self.request()
        elif time.monotonic() - self._requested > _SAME_SECONDS:
            previous = self._previous.get(number)
            if callable(previous):
                previous(number, frame)
            raise KeyboardInterrupt
