"""Running trials in this process, in others, or on any executor of ``concurrent.futures``, Dask's among them.

Wherever they run, results come back in the order of the scripts, so that a search goes the same way.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from concurrent.futures import wait as futures_wait
from contextlib import contextmanager
from typing import TypeAlias

from attrs import define, field

from storagemod.errors import StorageModError, ValidationError, shown
from storagemod.explore.plan import Packed, Plan
from storagemod.explore.script import Script
from storagemod.explore.trial import TrialResult, TrialRunner
from storagemod.explore.workers import Workers, check_importable
from storagemod.interruption import interruption, uninterrupted

CHUNK = 32
"""How many scripts a worker is given at a time at most."""

JOBS_MAX = 256
_AHEAD = 3
"""How many chunks each worker is given ahead, so that none waits for the next one."""

_WAIT_SECONDS = 0.1
"""How long an interruption waits for a result."""

_LOSSES_MAX = 3
"""How often workers are lost until the search gives up: what it runs may use up their memory."""


class LostWorkersError(StorageModError, RuntimeError):
    """The workers of a search ended again and again before they gave their results."""


Trials: TypeAlias = Callable[[Iterable[Script], frozenset[str]], Iterator[TrialResult]]
"""Runs scripts, and yields the result of each in order. Invariants of these names need not hold."""

_known = threading.local()


def run_chunk(packed: Packed, scripts: Sequence[Script], ignored: frozenset[str]) -> list[TrialResult]:
    """Run trials in a worker, which builds the world once and keeps it for the chunks that follow."""
    if getattr(_known, "digest", None) != packed.digest:
        _known.runner = TrialRunner(packed.unpack())
        _known.digest = packed.digest
    return [_known.runner.run(script, ignored=ignored) for script in scripts]


@define(eq=False)
class Elsewhere:
    """Runs trials on an executor. Chunks whose worker was lost are given to another one.

    Args:
        packed: What workers need.
        executor: Where.
        stop: Asked while results are waited for. If it returns true, no more results come.
        renew: Makes another executor, where the first breaks with a worker of its.
        runner: Runs trials here as long as workers start, which takes seconds: short searches need none.
        starting: Calls that workers have answered once they all have started.
    """

    packed: Packed
    executor: Executor
    stop: Callable[[], bool]
    renew: Callable[[], Executor] | None = None
    runner: TrialRunner | None = None
    starting: Sequence[Future[list[TrialResult]]] = ()
    _losses: int = field(default=0, init=False)
    _came_back: bool = field(default=False, init=False)

    def results(self, scripts: Iterable[Script], ignored: frozenset[str]) -> Iterator[TrialResult]:
        """Yield the result of each, in order, or of the first ones if the search is to stop.

        Raises:
            LostWorkersError: Workers were lost too often.
        """
        every = list(scripts)
        while every and self.runner is not None and self._are_starting():
            yield self.runner.run(every.pop(0), ignored=ignored)
        workers = getattr(self.executor, "_max_workers", None) or 4
        size = max(1, min(CHUNK, -(-len(every) // workers)))  # a search begins with few: none is to wait for another
        chunks: deque[Sequence[Script]] = deque(every[at : at + size] for at in range(0, len(every), size))
        waiting: deque[tuple[Sequence[Script], Future[list[TrialResult]]]] = deque()
        ahead = _AHEAD * workers
        try:
            while chunks or waiting:
                try:
                    with uninterrupted():  # an executor that is interrupted within may wait for itself without end
                        while chunks and len(waiting) < ahead:
                            future = self.executor.submit(run_chunk, self.packed, chunks[0], ignored)
                            waiting.append((chunks.popleft(), future))
                        while not waiting[0][1].done():
                            futures_wait([waiting[0][1]], timeout=_WAIT_SECONDS)
                            interruption.check()
                            if self.stop():
                                return
                        found = waiting[0][1].result()
                except (BrokenExecutor, CancelledError) as error:
                    self._lost(error)
                    chunks.extendleft(reversed([chunk for chunk, _ in waiting]))
                    waiting.clear()
                    continue
                waiting.popleft()
                self._came_back = True
                yield from found
        finally:
            with uninterrupted():
                for _, future in waiting:
                    future.cancel()

    def _are_starting(self) -> bool:
        return not all(each.done() for each in self.starting)

    def _lost(self, error: BaseException) -> None:
        self._losses += 1
        never_came = self.renew is not None and not self._came_back and self._losses > 1
        if self.renew is None or self._losses > _LOSSES_MAX or never_came:
            raise LostWorkersError(
                f"workers were lost {self._losses} times: {str(error) or type(error).__name__}",
                cause=error,
                hint="was there enough memory? try fewer jobs",
            ) from error
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.executor = self.renew()


@contextmanager
def trials_on(
    plan: Plan,
    runner: TrialRunner,
    *,
    jobs: int = 1,
    executor: Executor | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Trials]:
    """Choose where trials run: on an executor if one is given, in as many processes as there are jobs, or here.

    ``stop`` is asked while results of other processes are waited for. If it returns true, no more results come.

    Raises:
        StateError: The system starts no more processes.
        ValidationError: The number of jobs is none, or the plan cannot be sent to other processes.
    """
    if jobs not in range(1, JOBS_MAX + 1):
        raise ValidationError(f"jobs is an integer from 1 to {JOBS_MAX}, not {shown(jobs)}")
    if executor is not None:
        yield Elsewhere(Packed.of(plan), executor, stop).results
    elif jobs == 1:
        yield lambda scripts, ignored: (runner.run(script, ignored=ignored) for script in scripts)
    else:
        # Not forked: a world belongs to its process, and so do the threads that transactions run on.
        packed = Packed.of(plan)
        check_importable(packed.data)
        elsewhere = Elsewhere(packed, Workers(jobs), stop, lambda: Workers(jobs), runner)
        try:
            elsewhere.starting = [elsewhere.executor.submit(run_chunk, packed, (), frozenset()) for _ in range(jobs)]
            yield elsewhere.results
        finally:
            with uninterrupted():  # until all have ended: a second Ctrl-C would leave some for good
                elsewhere.executor.shutdown()


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Connect to an executor on a Dask cluster.

    Args:
        address: Of its scheduler, such as ``tcp://127.0.0.1:8786``.

    Raises:
        ValidationError: Dask is not installed, or no scheduler answers there.
    """
    try:
        import distributed  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise ValidationError("Dask is not installed", cause=error, hint="pip install 'storagemod[dask]'") from error
    try:
        client = distributed.Client(  # type: ignore[no-untyped-call, unused-ignore]
            address, timeout=10, set_as_default=False
        )
    except (OSError, ValueError, TypeError) as error:
        raise ValidationError(
            f"no Dask scheduler answers at {address!r}: {error}", cause=error, hint="as in tcp://127.0.0.1:8786"
        ) from error
    try:
        # Chunks are computed anew where a worker is lost, as often as it takes within reason.
        yield client.get_executor(  # type: ignore[no-untyped-call, unused-ignore]
            pure=False, retries=_LOSSES_MAX
        )
    finally:
        client.close()  # type: ignore[no-untyped-call, unused-ignore]
