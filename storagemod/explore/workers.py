"""Worker processes: an executor of ``concurrent.futures`` whose processes know nothing of the script that explores.

The processes of ``multiprocessing`` import the main script again, and run it where it has no guard. These ones are
started with a program of their own, and are given the module search path and pickled calls through a pipe. A function
of the main script cannot be sent to them, and that is said before any is started.
"""

from __future__ import annotations

import io
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import IO, Any, ParamSpec, TypeVar

from storagemod.errors import StateError, StorageModError, ValidationError
from storagemod.interruption import uninterrupted

_Params = ParamSpec("_Params")
_Result = TypeVar("_Result")

_PROGRAM = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from storagemod.explore.workers import serve; serve()"
)
_LENGTH = struct.Struct("<Q")
_MAIN = "__main__"


class Workers(Executor):
    """Processes that run calls, each one at a time.

    A worker that ends breaks the call that it ran, and those that it would have run next: make other workers then.
    To shut down is to end all of them at once, whatever they do: nothing they do lasts.

    Args:
        count: How many.

    Raises:
        StateError: The system starts no more processes.
    """

    def __init__(self, count: int) -> None:
        self._max_workers = count
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="storagemod-worker")
        self._all: list[_Worker] = []
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        with uninterrupted():  # or a process could be started that nobody knows of
            try:
                for _ in range(count):
                    worker = _Worker()
                    self._all.append(worker)
                    self._idle.put(worker)
            except OSError as error:
                self.shutdown()
                raise StateError(
                    f"worker {len(self._all) + 1} of {count} cannot be started: {error.strerror or error}",
                    cause=error,
                    hint="try fewer jobs",
                ) from error

    def submit(
        self, fn: Callable[_Params, _Result], /, *args: _Params.args, **kwargs: _Params.kwargs
    ) -> Future[_Result]:
        """Have a worker call a function that it can import."""
        return self._threads.submit(self._run, fn, args, kwargs)

    def _run(self, function: Callable[..., _Result], args: tuple[Any, ...], named: dict[str, Any]) -> _Result:
        worker = self._idle.get()
        try:
            result: _Result = worker.ask((function, args, named))
        finally:
            self._idle.put(worker)
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End all workers, and drop the calls that were not made. Idempotent."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._all:
            worker.end()
        if wait or cancel_futures:
            self._threads.shutdown(wait=wait, cancel_futures=True)


class _Worker:
    """One process, and the pipes to it."""

    def __init__(self) -> None:
        with _without_interrupts() as flags:
            self._process = subprocess.Popen(  # noqa: S603 - this Python, and a program of ours
                [sys.executable, "-P", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                creationflags=flags,
            )
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        with suppress(OSError):  # it ended already: the first call says so
            self._process.stdin.write(pickle.dumps(sys.path))
            self._process.stdin.flush()

    def ask(self, call: object) -> Any:
        """Send a call, wait for its result, and return it or raise what it raised.

        Raises:
            BrokenExecutor: The process ended before.
        """
        assert self._process.stdin is not None  # noqa: S101 - as above
        assert self._process.stdout is not None  # noqa: S101
        sent = pickle.dumps(call)
        try:
            _write(self._process.stdin, sent)
            reply = _read(self._process.stdout)
        except (OSError, ValueError) as error:  # its pipe is broken, or closed by us
            raise BrokenExecutor(f"a worker ended: {error}") from error
        if reply is None:
            status = self._process.wait()
            raise BrokenExecutor(f"a worker ended with status {status}")
        result, raised = pickle.loads(reply)  # noqa: S301 - from a process of ours
        if raised is not None:
            raise raised
        return result

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was not sent is not wanted any more
                    pipe.close()


@contextmanager
def _without_interrupts() -> Iterator[int]:
    """Keep Ctrl-C from a process that is started within, from its very beginning; yield flags for its creation."""
    if sys.platform == "win32":
        yield subprocess.CREATE_NEW_PROCESS_GROUP
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield 0
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _write(pipe: IO[bytes], data: bytes) -> None:
    pipe.write(_LENGTH.pack(len(data)) + data)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes | None:
    """Read one message; ``None`` where the other side has ended."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = pipe.read(length)
    return data if len(data) == length else None


def serve() -> None:
    """Run calls in a worker until its parent ends, however that ends. Whatever calls print goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    with suppress(OSError):  # there may be no standard error
        os.dup2(2, 1)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 - for as long as the process lives
    inbox: SimpleQueue[bytes] = SimpleQueue()

    def receive() -> None:
        while (request := _read(requests)) is not None:
            inbox.put(request)
        os._exit(0)

    threading.Thread(target=receive, name="storagemod-parent", daemon=True).start()
    while True:
        result: object = None
        error: Exception | None = None
        try:
            function, args, named = pickle.loads(inbox.get())  # noqa: S301 - from the process that started this one
            result = function(*args, **named)
        except Exception as raised:  # noqa: BLE001 - raised in the parent
            error = raised
            if not isinstance(raised, StorageModError):
                raised.add_note("in a worker:\n" + traceback.format_exc())
        try:
            _write(replies, pickle.dumps((result, error)))
        except OSError:  # the parent has ended
            os._exit(0)
        except Exception as unsent:  # noqa: BLE001 - what cannot be sent is named at least
            _write(replies, pickle.dumps((None, RuntimeError(f"{unsent}: {error if error is not None else result!r}"))))


def check_importable(data: bytes) -> None:
    """Check that a pickled object names nothing of the main script, which workers do not import.

    Raises:
        ValidationError: It does.
    """
    _Finder(io.BytesIO(data)).load()


class _Finder(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        if module == _MAIN:
            raise ValidationError(
                f"{name} stands in the script that explores, which workers do not import",
                hint="put it into a module that the script imports; or use one job",
            )
        return super().find_class(module, name)
