"""Room to nest in: a stack that is large enough, and a check that Python has frames left.

Every nested call of a contract puts wasm frames, ctypes frames and Python frames on one stack. Two limits stand in the
way. The C stack: a transaction runs on its caller's thread if that has, or can be given, enough of it, and else on a
thread of ours. Python's recursion limit: near it, ctypes swallows the error of a callback that could not start, and
wasm goes on with a wrong number. So the limit is raised while a transaction runs, and :func:`check_headroom` proves,
before a call, that the calls to come will fit.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # what signal.getsignal wraps: it takes a twentieth of the time
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

try:
    import resource
except ImportError:  # Windows: transactions run on threads of ours
    resource = None  # type: ignore[assignment]

from storagemod.errors import StackError
from storagemod.wasm.engine import WASM_STACK_BYTES
from storagemod.wasm.store import process, running_store

T = TypeVar("T")

STACK_BYTES = 2 * WASM_STACK_BYTES
"""Stack that a transaction has on a thread of ours. Address space, not memory: it is backed as it is used."""

_OWN_STACK_BYTES = WASM_STACK_BYTES * 7 // 4
"""Stack that the calling thread must have. Python code, which runs between wasm frames, takes next to none of it."""

_STACK_GAP_BYTES = 1 << 20
"""What the kernel keeps free below a stack that grows."""

FRAMES_PER_CALL = 40
"""Python frames that one nested call may need: the way down, and the deepest of what runs beside it."""

ENTRIES_PER_CALL = 3
"""Entries from C into Python that one nested call may need: its callback, and what built-in functions call back.

From Python 3.12 on they have a limit of their own. That of the first 3.12 releases is low: it ends at some 600 calls.
"""

FRAMES_PER_ENTRY = FRAMES_PER_CALL // ENTRIES_PER_CALL

CALLS_PER_CHECK = 8
"""Headroom is proven for this many calls at a time."""

_SIGINT = int(signal.SIGINT)

_PROBED = 0x5AFE

_FRAMES_ARE_ALL = sys.version_info < (3, 12)
"""Whether the recursion limit counts all frames alike, those that C enters too. Then its height proves the headroom."""

_KNOWS_ITS_STACK = sys.version_info >= (3, 14)
"""Whether Python refuses to run on more stack than a thread had when it started."""


class _CallersStack(threading.local):
    """Whether the stack of the calling thread is long enough, and whether Python handles signals there.

    Asked of the system once a thread, when it first runs a transaction.
    """

    suffices: bool | None = None
    handles_signals = True

    def examine(self) -> None:
        """Ask the system."""
        self.suffices = _stack_suffices()
        self.handles_signals = threading.current_thread() is threading.main_thread()


def _stack_suffices() -> bool:
    """Return whether the thread's stack is long enough, or could be made so.

    The stack of the process's first thread grows when it is used, as far as a limit allows at that moment, and never
    shrinks. The kernel keeps 128 MiB and more free below it. So the limit is raised for as long as it takes to use one
    byte at the far end.
    Source: pthread_getattr_np(3), setrlimit(2), mmap(2) on ``MAP_GROWSDOWN``.
    """
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if libc is None or _KNOWS_ITS_STACK or not hasattr(libc, "pthread_getattr_np"):
        return False
    attributes = ctypes.create_string_buffer(256)
    lowest, length = ctypes.c_void_p(), ctypes.c_size_t()
    libc.pthread_self.restype = ctypes.c_void_p
    if libc.pthread_getattr_np(ctypes.c_void_p(libc.pthread_self()), attributes):
        return False
    libc.pthread_attr_getstack(attributes, ctypes.byref(lowest), ctypes.byref(length))
    libc.pthread_attr_destroy(attributes)
    end = (lowest.value or 0) + length.value
    room = _room_of_first_thread(end)
    if room is None:
        return length.value >= _OWN_STACK_BYTES
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if room < _OWN_STACK_BYTES + _STACK_GAP_BYTES or (hard != resource.RLIM_INFINITY and hard < STACK_BYTES):
        return False
    resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, hard))
    ctypes.memset(end - _OWN_STACK_BYTES, 0, 1)
    resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
    return True


def _room_of_first_thread(end: int) -> int | None:
    """Return how long the stack of the process's first thread can become, or ``None`` where it is another's."""
    below = 0
    try:
        with open("/proc/self/maps", encoding="ascii", errors="replace") as maps:  # noqa: PTH123 - it is no file of ours
            for line in maps:
                start, stop = (int(each, 16) for each in line.split(" ", 1)[0].split("-"))
                if line.rstrip().endswith("[stack]"):
                    return stop - below if start <= end - 1 < stop else None
                below = stop
    except OSError:
        return None
    return None


_callers_stack = _CallersStack()


def _forget_callers_stack() -> None:
    """Ask anew in a forked child, where the thread that forked is the main one."""
    global _callers_stack  # noqa: PLW0603 - as threads know it
    _callers_stack = _CallersStack()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_callers_stack)


class _Job:
    """One function to run and what became of it."""

    __slots__ = ("done", "ended", "error", "function", "handed", "result")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.done = threading.Lock()  # held until the job is done: cheaper to wait for than an event
        self.done.acquire()
        self.handed = self.ended = False
        self.result: Any = None
        self.error: BaseException | None = None


class _DeepThread:
    """A thread with a large stack that runs one job after another."""

    def __init__(self) -> None:
        self._job: _Job | None = None
        self._wake = threading.Lock()  # held until there is a job; no signal can come between its parts
        self._wake.acquire()
        self._thread = threading.Thread(target=self._work, name="storagemod-stack", daemon=True)
        with _stack_size_lock:
            size = threading.stack_size(STACK_BYTES)
            try:
                self._thread.start()
            finally:
                threading.stack_size(size)

    def start(self, job: _Job) -> None:
        job.handed, self._job = True, job
        self._wake.release()

    def withdraw(self, job: _Job) -> bool:
        """Take back a job that was not begun; return whether it was not."""
        waiting, self._job = self._job, None
        return waiting is job or not job.handed

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
                job.ended = True
                job.done.release()
                del job


_stack_size_lock = threading.Lock()
_idle: list[_DeepThread] = []


_OTHER_SIGNALS = tuple(int(each) for each in signal.Signals if each is not signal.SIGINT)
"""All signals but that of Ctrl-C."""


class _Handlers:
    """Whether a signal other than Ctrl-C is handled in Python.

    Handlers run on the first thread, before the next line of Python there: while wasm runs, before the first one of a
    callback. What they raise there is swallowed by ctypes, which then returns whatever its memory holds, and wasmtime
    takes that for a trap and frees it.
    """

    def __init__(self) -> None:
        self._harmless: tuple[object, ...] = ()

    def may_raise(self) -> bool:
        """Look at the handlers; where they are those that were harmless before, that takes two microseconds."""
        handlers = tuple(map(_signal.getsignal, _OTHER_SIGNALS))
        if handlers != self._harmless:
            if any(handler is not None and handler.__class__ is not int for handler in handlers):
                return True
            self._harmless = handlers
        return False


_handlers = _Handlers()


def run_with_deep_stack(function: Callable[[], T], interrupt: Callable[[], None]) -> T:
    """Run a function with a stack of some 64 MiB and more, and return its result or raise its error.

    It runs on the calling thread if the stack there suffices, nothing of ours runs there yet, and no signal handler can
    raise there. Otherwise another thread runs it; if the waiting thread is interrupted (Ctrl-C), ``interrupt`` is
    called so that the function ends soon, its end is awaited, and the interruption goes on.
    """
    own = _callers_stack
    if own.suffices is None:
        own.examine()
    if own.suffices and running_store() is None:
        if not own.handles_signals:
            return function()
        if not _handlers.may_raise():
            return _with_interrupts_postponed(function, interrupt)
    return _on_deep_thread(function, interrupt)


def _with_interrupts_postponed(function: Callable[[], T], interrupt: Callable[[], None]) -> T:
    """Run a function; Ctrl-C has it end soon, and is handled when it has ended."""
    handler = _signal.getsignal(_SIGINT)
    if not callable(handler):
        return function()
    came: list[tuple[int, FrameType | None]] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append((number, frame))
        interrupt()

    _signal.signal(_SIGINT, note)
    try:
        return function()
    finally:
        _signal.signal(_SIGINT, handler)
        if came:
            handler(*came.pop())


def _on_deep_thread(function: Callable[[], T], interrupt: Callable[[], None]) -> T:
    try:
        thread = _idle.pop()
    except IndexError:
        thread = _DeepThread()
    if not thread.is_alive():  # after a fork
        thread = _DeepThread()
    job = _Job(function)
    try:
        thread.start(job)
        job.done.acquire()
    except BaseException:
        interrupt()
        if not thread.withdraw(job) and not job.ended:  # if it has, the interruption may have come after the waiting
            job.done.acquire()
        if job.ended:  # else it may have been woken for nothing
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


def frames_for(call_depth_max: int) -> int:
    """Return how many Python frames this many calls inside one another need."""
    return (call_depth_max + 2 * CALLS_PER_CHECK) * FRAMES_PER_CALL


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

    At each call, Python's recursion limit has to be where it was set. Where C frames are counted apart, it is tried at
    every ``CALLS_PER_CHECK``th call: callbacks from C are nested as deep as the next ones can go.

    Raises:
        StackError: Python's recursion limit is too near.
    """
    if sys.getrecursionlimit() >= process.frames_to and (
        _FRAMES_ARE_ALL or depth % CALLS_PER_CHECK or _probe(ENTRIES_PER_CALL * CALLS_PER_CHECK) == _PROBED
    ):
        return
    raise StackError(
        "this Python has too little stack left to nest another call safely",
        depth=depth,
        hint="lower Limits.call_depth_max, use Python 3.11 or a later release of 3.12 or 3.13, "
        "and leave sys.setrecursionlimit() alone during a transaction",
    )
