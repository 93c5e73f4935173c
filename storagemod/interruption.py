"""Interruption by signals, Ctrl-C above all: what a handler raises waits until the world is whole again.

Python runs signal handlers on its main thread, between any two bytecodes. What a handler raises there would leave a
lock taken, a commit half made, or a number of wasm's wrong. So whatever must end whole is a *section*. It begins with
:meth:`Interruption.hold` and ends with :meth:`Interruption.release`, and sections nest. In a section each Python
handler of a signal has been replaced by ours. That calls the handler at once, keeps what it raises, and the end of the
outermost section raises it. Meanwhile running wasm looks at :attr:`Interruption.raised` once an epoch and stops.

Three facts about CPython make this hold at every bytecode:

- ``signal.signal`` runs handlers that are due, and then replaces the handler in one step.
- Handlers run when a function starts, at a jump backwards and after a call of C, and nowhere else.
- So nothing comes between the end of a call of Python and the assignment that follows it.

Other threads run no handlers: there a section does nothing. What ``PyThreadState_SetAsyncExc`` raises, as some
debuggers do, is no signal and is not held back.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # what the module `signal` wraps: it takes a tenth of the time
import os
import signal
import threading
from collections.abc import Callable
from types import CodeType, FrameType, TracebackType
from typing import Any, TypeAlias, TypeVar
from weakref import WeakSet

_Handler: TypeAlias = Callable[[int, FrameType | None], Any]
_Function = TypeVar("_Function", bound=Callable[..., Any])

_NUMBERS = tuple(
    sorted(
        {int(number) for number in signal.valid_signals()}
        - {int(getattr(signal, name, 0)) for name in ("SIGKILL", "SIGSTOP")},
        reverse=True,
    )
)
"""Every signal that can be handled, real-time ones as well. That of Ctrl-C is among the last, so that it gets its
handler back when most others have theirs."""


class Interruption:
    """The sections of this process, and what handlers raised meanwhile.

    Attributes:
        raised: What a handler raised in the section that is open; the first one if several did.
    """

    def __init__(self) -> None:
        self.raised: BaseException | None = None
        self._main_thread = threading.main_thread().ident
        self._depth = 0
        self._guards = WeakSet[object]()
        self._guarded = False  # whether there may be some: to ask a WeakSet takes longer
        self._handlers: dict[int, _Handler] = {}  # those that ours has stood in for
        self._replaced: list[tuple[int, _Handler]] = []
        self._seen: tuple[tuple[object, ...], list[tuple[int, _Handler]]] = ((), [])
        self._protected: set[CodeType] = set()
        self._ours: _Handler = self._handle  # one object, so that it can be recognized
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def is_main_thread(self) -> bool:
        """Return whether this thread runs signal handlers."""
        return threading.get_ident() == self._main_thread

    def hold(self) -> None:
        """Begin a section: until its end no handler raises here.

        Raises:
            BaseException: A handler raised it just before. No section has begun.
        """
        if threading.get_ident() != self._main_thread:
            return
        if self._depth:
            self._depth += 1
            return
        self._depth = 1
        try:
            self._replace_handlers()
        except BaseException:
            self._depth = 0
            self.raised = None  # something else is on its way already
            raise

    def release(self) -> None:
        """End a section.

        Raises:
            BaseException: It is the outermost one, and a handler raised this since it began.
        """
        if threading.get_ident() != self._main_thread or not self._depth:
            return
        if self._depth > 1:
            self._depth -= 1
            return
        try:
            if not self._guarded or not self._guards:
                self._put_handlers_back()
        finally:
            self._depth = 0
            raised, self.raised = self.raised, None  # before any call: from here on handlers raise
            if raised is not None:
                try:
                    raise raised
                finally:
                    del raised  # break the cycle through its traceback

    def check(self) -> None:
        """Check that no handler raised anything in this section, where it can be left at once.

        Raises:
            BaseException: A handler raised it.
        """
        if threading.get_ident() == self._main_thread:
            raised, self.raised = self.raised, None
            if raised is not None:
                try:
                    raise raised
                finally:
                    del raised  # as above

    # Blocks of `with` that have to end in a section

    def protect(self, function: _Function) -> _Function:
        """Make a section of a function from its very first bytecode on, as long as there is a guard.

        For ``__exit__``: a handler may run before its first line, and what that raised would skip it. The function
        itself still has to hold and to release.
        """
        self._protected.add(function.__code__)
        return function

    def guard(self, block: object) -> None:
        """Keep our handler in place between sections too, as long as a block is open. To be called in a section.

        Between sections it raises what the handler that it stands in for raises, but not in protected functions.
        """
        if threading.get_ident() == self._main_thread:
            self._guards.add(block)
            self._guarded = True

    def unguard(self, block: object) -> None:
        """End what :meth:`guard` began. To be called in a section. Idempotent."""
        self._guards.discard(block)
        self._guarded = bool(self._guards)

    # Handlers

    def _replace_handlers(self) -> None:
        current = tuple(map(_signal.getsignal, _NUMBERS))
        seen, replaced = self._seen
        if current != seen:
            replaced = [
                (number, self._handlers[number] if handler is self._ours else handler)
                for number, handler in zip(_NUMBERS, current, strict=True)
                if callable(handler)
            ]
            self._handlers.update(replaced)
            self._seen = current, replaced
        self._replaced = replaced
        for number, _ in replaced:
            _signal.signal(number, self._ours)

    def _put_handlers_back(self) -> None:
        for number, handler in self._replaced:
            if _signal.getsignal(number) is self._ours:  # else somebody has set another one
                _signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Stand in for a handler. Where no section is open, as when putting back was interrupted, nothing changes."""
        handler = self._handlers[number]
        if not self._depth and not self._runs_protected(frame):
            handler(number, frame)
            return
        try:
            handler(number, frame)
        except BaseException as error:  # noqa: BLE001 - raised at the end of the section
            if self.raised is None:
                self.raised = error

    def _runs_protected(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if frame.f_code in self._protected:
                return True
            frame = frame.f_back
        return False

    def _forget(self) -> None:
        """Begin anew in a forked child: the thread that forked is its main one, and no section has to end well."""
        self._main_thread = threading.get_ident()
        if self._depth or self._guards:
            self._put_handlers_back()
        self._depth = 0
        self._guards.clear()
        self.raised = None


interruption = Interruption()


class uninterrupted:  # noqa: N801 - a context manager, used like a function
    """Section as a ``with`` block."""

    def __enter__(self) -> None:
        interruption.hold()

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        interruption.release()
