"""Room to nest in: a stack that is large enough, and a check that Python has frames left.

Every nested call of a contract puts wasm frames, ctypes frames and Python frames on one stack. Two limits stand in the
way. The C stack: a transaction runs on its caller's thread if that has, or can be given, enough of it, and else on a
thread of ours. Python's recursion limit: near it, ctypes swallows the error of a callback that could not start, and
wasm goes on with a wrong number. So the limit is raised while a transaction runs, and :func:`check_headroom` proves,
before a call, that the calls to come will fit.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

try:
    import resource
except ImportError:  # Windows: transactions run on threads of ours
    resource = None  # type: ignore[assignment]

import wasmtime

from storagemod.errors import StackError, StateError
from storagemod.interruption import interruption
from storagemod.wasm.engine import WASM_STACK_BYTES, shared_engine, start_thread
from storagemod.wasm.room import check_room
from storagemod.wasm.store import process, run_for_main_thread, running_store, runs_for_main_thread

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

_PROBED = 0x5AFE

_FRAMES_ARE_ALL = sys.version_info < (3, 12)
"""Whether the recursion limit counts all frames alike, those that C enters too. Then its height proves the headroom."""

_KNOWS_ITS_STACK = sys.version_info >= (3, 14)
"""Whether Python refuses to run on more stack than a thread had when it started."""


_NOTHING = b"\0asm\1\0\0\0\1\4\1\x60\0\0\3\2\1\0\7\5\1\1f\0\0\n\4\1\2\0\x0b"
"""A module with one function, ``f``, that does nothing."""

_NOTHINGS_FUEL = 1_000


class _CallersStack(threading.local):
    """What is known of the calling thread. The system is asked when it first runs a transaction.

    Attributes:
        suffices: Whether its stack is long enough.
        entered: Whether it has run wasm, so that wasmtime has done what it does once for each thread.
    """

    suffices: bool | None = None
    entered = False


def _stack_suffices() -> bool | None:
    """Return whether the thread's stack is long enough, or could be made so; ``None`` where that cannot be found now.

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
    try:
        room = _room_of_first_thread(end)
    except OSError:  # the process has no descriptor left, perhaps
        return None
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
    """Return how long the stack of the process's first thread can become, or ``None`` where it is another's.

    Raises:
        OSError: It cannot be read what the process has mapped.
    """
    below = 0
    with open("/proc/self/maps", encoding="ascii", errors="replace") as maps:  # noqa: PTH123 - it is no file of ours
        for line in maps:
            start, stop = (int(each, 16) for each in line.split(" ", 1)[0].split("-"))
            if line.rstrip().endswith("[stack]"):
                return stop - below if start <= end - 1 < stop else None
            below = stop
    return None


_callers_stack = _CallersStack()


class _Job:
    """One function to run and what became of it."""

    __slots__ = ("done", "error", "for_main_thread", "function", "result")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.for_main_thread = runs_for_main_thread()
        self.done = threading.Lock()  # held until the job is done: cheaper to wait for than an event
        self.done.acquire()
        self.result: Any = None
        self.error: BaseException | None = None


class _DeepThread:
    """A thread with a large stack that runs one job after another.

    Raises:
        StateError: The system has no such thread to give.
    """

    def __init__(self) -> None:
        self._job: _Job | None = None
        self._wake = threading.Lock()  # held until there is a job; no signal can come between its parts
        self._wake.acquire()
        thread = threading.Thread(target=self._work, name="storagemod-stack", daemon=True)
        with _stack_size_lock:
            size = threading.stack_size(STACK_BYTES)
            try:
                start_thread(thread, STACK_BYTES)
            finally:
                threading.stack_size(size)

    def start(self, job: _Job) -> None:
        self._job = job
        self._wake.release()

    def _work(self) -> None:
        while True:
            self._wake.acquire()
            job, self._job = self._job, None
            if job is not None:
                run_for_main_thread(job.for_main_thread)
                try:
                    if not _callers_stack.entered:
                        _enter_wasm()
                    job.result = job.function()
                except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
                    job.error = error
                job.done.release()
                del job


def _enter_wasm() -> None:
    """Have wasmtime do now what it does when a thread first runs wasm, while there is room for it.

    It maps a stack for signals, and aborts the process if it cannot.

    Raises:
        StateError: The process has too little room left.
    """
    check_room()
    try:
        engine = shared_engine()
        store = wasmtime.Store(engine)
        store.set_fuel(_NOTHINGS_FUEL)
        store.set_epoch_deadline(_NOTHINGS_FUEL)
        function = wasmtime.Instance(store, wasmtime.Module(engine, _NOTHING), []).exports(store)["f"]
        assert isinstance(function, wasmtime.Func)  # noqa: S101 - it is ours
        function(store)
        store.close()
    except (wasmtime.WasmtimeError, MemoryError) as error:
        raise StateError(f"a thread cannot be made ready to run wasm: {error}", cause=error) from error
    _callers_stack.entered = True


_stack_size_lock = threading.Lock()
_idle: list[_DeepThread] = []


def _forget_threads() -> None:
    """Begin anew in a forked child, which has only the thread that forked. Its stack is asked for again."""
    global _callers_stack, _stack_size_lock  # noqa: PLW0603 - as threads know them
    _callers_stack = _CallersStack()
    _stack_size_lock = threading.Lock()
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


def run_with_deep_stack(function: Callable[[], T]) -> T:
    """Run a function with a stack of some 64 MiB and more, and return its result or raise its error.

    It runs on the calling thread if the stack there suffices and nothing of ours runs there yet, else on another one.
    To be called in a section (:mod:`storagemod.interruption`), so that no signal breaks it off. Once a handler has
    raised something, wasm stops within an epoch; when the function has ended, that is raised.

    Raises:
        StateError: The system has no thread to give.
        BaseException: The function or a signal handler raised it.
    """
    own = _callers_stack
    if own.suffices is None:
        own.suffices = _stack_suffices()
    if not own.suffices or running_store() is not None:
        result = _on_deep_thread(function)
    else:
        if not own.entered:
            _enter_wasm()
        result = function()
    interruption.check()
    return result


def _on_deep_thread(function: Callable[[], T]) -> T:
    """Run a function on a thread of ours, to its end. Whoever calls this on the main thread is in a section."""
    try:
        thread = _idle.pop()  # another thread may take the last one
    except IndexError:
        thread = _DeepThread()
    job = _Job(function)
    thread.start(job)
    job.done.acquire()
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
