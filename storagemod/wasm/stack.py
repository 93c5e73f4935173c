"""Room to nest in: threads with a large stack, and a check that Python has frames left.

Every nested call of a contract puts wasm frames, ctypes frames and Python frames on one stack. Two limits stand in the
way. The C stack: transactions run on threads of our own with enough of it. Python's recursion limit: near it, ctypes
swallows the error of a callback that could not start, and wasm goes on with a wrong number. So the limit is raised
while a transaction runs, and :func:`check_headroom` proves by trying, before a call, that the calls to come will fit.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from storagemod.errors import StackError
from storagemod.wasm.engine import WASM_STACK_BYTES

T = TypeVar("T")

THREAD_STACK_BYTES = 2 * WASM_STACK_BYTES
"""Address space, not memory: the stack is backed as it is used."""

FRAMES_PER_CALL = 40
"""Python frames that one nested call may need: the way down, and the deepest of what runs beside it."""

ENTRIES_PER_CALL = 3
"""Entries from C into Python that one nested call may need: its callback, and what built-in functions call back.

From Python 3.12 on they have a limit of their own. That of the first 3.12 releases is low: it ends at some 600 calls.
"""

FRAMES_PER_ENTRY = FRAMES_PER_CALL // ENTRIES_PER_CALL

CALLS_PER_CHECK = 8
"""Headroom is proven for this many calls at a time."""

_PROBED = 0x5AFE


class _Job:
    """One function to run and what became of it."""

    __slots__ = ("done", "error", "function", "result")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.done = threading.Lock()  # held until the job is done: cheaper to wait for than an event
        self.done.acquire()
        self.result: Any = None
        self.error: BaseException | None = None


class _DeepThread:
    """A thread with a large stack that runs one job after another."""

    def __init__(self) -> None:
        self._job: _Job | None = None
        self._wake = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, name="storagemod-stack", daemon=True)
        with _stack_size_lock:
            size = threading.stack_size(THREAD_STACK_BYTES)
            try:
                self._thread.start()
            finally:
                threading.stack_size(size)

    def start(self, job: _Job) -> None:
        self._job = job
        self._wake.release()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _work(self) -> None:
        while True:
            self._wake.acquire()
            job, self._job = self._job, None
            if job is not None:
                try:
                    job.result = job.function()
                except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
                    job.error = error
                job.done.release()
                del job


_stack_size_lock = threading.Lock()
_idle: list[_DeepThread] = []


def run_with_deep_stack(function: Callable[[], T], interrupt: Callable[[], None]) -> T:
    """Run a function on a thread with a stack of ``THREAD_STACK_BYTES`` and give its result or raise its error.

    If the waiting thread is interrupted (Ctrl-C), ``interrupt`` is called so that the function ends soon, its end is
    awaited, and the interruption goes on. A function that itself runs on such a thread gets another one.
    """
    try:
        thread = _idle.pop()
    except IndexError:
        thread = _DeepThread()
    if not thread.is_alive():  # after a fork
        thread = _DeepThread()
    job = _Job(function)
    thread.start(job)
    try:
        job.done.acquire()
    except BaseException:
        interrupt()
        job.done.acquire()
        _idle.append(thread)
        raise
    _idle.append(thread)
    if job.error is not None:
        try:
            raise job.error
        finally:
            del job  # break the cycle from the error through its traceback to this frame
    result: T = job.result
    return result


class _RecursionLimit:
    """Raises Python's recursion limit, which all threads share, while anything needs it raised."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._needs: list[int] = []
        self._before = 0
        self._raised_to = 0

    @contextmanager
    def raised(self, frames: int) -> Iterator[None]:
        with self._lock:
            if not self._needs:
                self._before = sys.getrecursionlimit()
            self._needs.append(frames)
            self._set(self._before + max(self._needs))
        try:
            yield
        finally:
            with self._lock:
                self._needs.remove(frames)
                self._set(self._before + max(self._needs, default=0))

    def holds(self) -> bool:
        """Whether nobody lowered the limit meanwhile."""
        return sys.getrecursionlimit() >= self._raised_to

    def _set(self, frames: int) -> None:
        sys.setrecursionlimit(frames)
        self._raised_to = frames


_recursion_limit = _RecursionLimit()


@contextmanager
def room_for_calls(call_depth_max: int) -> Iterator[None]:
    """Make room on Python's own stack for this many calls inside one another."""
    with _recursion_limit.raised((call_depth_max + 2 * CALLS_PER_CHECK) * FRAMES_PER_CALL):
        yield


def _descend(levels: int, frames: int) -> int:
    """Go down so many Python frames, then through C into Python again, as a nested call does, and so on."""
    if frames:
        return _descend(levels, frames - 1)
    if levels:
        reached: int = _probe(levels - 1)
        return reached
    return _PROBED


def _try_descending(levels: int) -> int:
    try:
        return _descend(levels, FRAMES_PER_ENTRY)
    except (RecursionError, ctypes.ArgumentError):  # ctypes wraps the one that it meets itself
        return 0


_probe = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_size_t)(_try_descending)


def check_headroom(depth: int) -> None:
    """Make sure, before the call at this depth starts, that callbacks into Python will find the frames they need.

    At each call, Python's recursion limit has to be where it was set. At every ``CALLS_PER_CHECK``th, it is tried:
    callbacks from C are nested as deep as the next ones can go. That costs a few microseconds a call, spread over them.

    Raises:
        StackError: Python's recursion limit is too near.
    """
    deep = depth % CALLS_PER_CHECK == 0
    if not _recursion_limit.holds() or (deep and _probe(ENTRIES_PER_CALL * CALLS_PER_CHECK) != _PROBED):
        raise StackError(
            "this Python has too little stack left to nest another call safely",
            depth=depth,
            hint="lower Limits.call_depth_max, use Python 3.11 or a later release of 3.12 or 3.13, "
            "and leave sys.setrecursionlimit() alone during a transaction",
        )
