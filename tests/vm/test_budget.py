"""What a transaction and a nested call may cost the host: function calls and objects, which no machine changes.

The bounds are a tenth or so above what was measured. Who makes something cheaper lowers them.
"""

from __future__ import annotations

import gc
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from statistics import median
from types import FrameType

import pytest

from storagemod import Address, World
from storagemod.bench.contracts import PING_PONG, WORDS
from storagemod.types import MAP_OPTIONS, CallMode
from storagemod.wasm.stack import _on_deep_thread
from tests.conftest import no_garbage_collected

PING, PONG = Address(0xA1), Address(0xB2)
NULL = Address(0xC3)

_WARM = 5
"""Transactions before anything is counted: by then all is instantiated and cached."""

_COUNTED = 5
"""Transactions whose calls are counted; all but one may be disturbed by the clock."""


def open_world(*, trace: bool, option: str = "single", calls: CallMode = CallMode.MEDIATED) -> World:
    world = World(trace=trace, calls=calls)
    world.deploy(WORDS.format(pages=1), address=NULL)
    mapping = option if option in MAP_OPTIONS else None
    for address, peer in ((PING, PONG), (PONG, PING)):
        world.deploy(PING_PONG[option], address=address, links={"peer": peer}, mapping=mapping)
    return world


def calls_of(action: Callable[[], object]) -> int:
    """Count calls of functions, in Python and in C, that an action makes on its thread once it is warm.

    The fewest of some runs count: where an epoch of the clock ends in a run, wasmtime calls the host to look at the
    deadline. No garbage is collected meanwhile: what a library has in ``gc.callbacks``, as Hypothesis has, is called.
    """
    calls = 0
    fewest = sys.maxsize

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    def counted() -> None:
        nonlocal calls, fewest
        for _ in range(_WARM):
            action()
        before = sys.getprofile()
        for _ in range(_COUNTED):
            calls = 0
            sys.setprofile(count)
            try:
                action()
            finally:
                sys.setprofile(before)
            fewest = min(fewest, calls - 1)  # that of `setprofile` is ours

    with no_garbage_collected():
        _on_deep_thread(counted)  # where the stack of this thread is long enough, no other thread is used
    return fewest


def blocks_of(action: Callable[[], object]) -> float:
    """Count blocks of memory that what an action returns takes: the median, as caches may grow or shrink meanwhile."""
    for _ in range(_WARM):
        action()
    kept: list[object] = [None] * 40
    taken = array("q", [0] * len(kept))
    with no_garbage_collected():
        for index in range(len(kept)):
            before = sys.getallocatedblocks()
            kept[index] = action()
            taken[index] = sys.getallocatedblocks() - before
    return median(taken)


@pytest.fixture
def busy_collector() -> Iterator[list[str]]:
    """Has garbage collected at every allocation, and a callback told so."""
    phases: list[str] = []
    thresholds = gc.get_threshold()

    def keep(phase: str, _information: object) -> None:
        phases.append(phase)

    gc.callbacks.append(keep)
    gc.set_threshold(1)
    yield phases
    gc.set_threshold(*thresholds)
    gc.callbacks.remove(keep)


def test_collecting_garbage_is_not_counted(busy_collector: list[str]) -> None:
    assert calls_of(lambda: [[index] for index in range(1000)]) == 2  # the lambda and its comprehension
    assert busy_collector


def test_looking_at_the_clock_is_not_counted() -> None:
    world = open_world(trace=False)
    run = nested(world, 8)
    calls = calls_of(run)
    rest = iter([0.0] * _WARM + [0.1, 0.0] + [0.1] * (_COUNTED - 2))  # epochs end while nothing runs

    def run_after_a_rest() -> None:
        time.sleep(next(rest))
        run()

    assert calls_of(run_after_a_rest) - calls == 3  # this function, `next` and `sleep`


@pytest.mark.parametrize(("trace", "calls", "blocks"), [(False, 115, 6), (True, 140, 14)])
def test_a_null_transaction(trace: bool, calls: int, blocks: float) -> None:
    world = open_world(trace=trace)

    def run() -> object:
        return world.transact(NULL, "null").raise_for_error()

    assert calls_of(run) <= calls
    assert blocks_of(run) <= blocks


_NESTED = {
    "single": (62, 92, 0, 11),
    "regions": (62, 92, 0, 11),
    "methods": (62, 92, 0, 11),
    "keyed": (187, 212, 3, 15),
    "copied": (198, 236, 19, 35),
    "paged": (217, 255, 30, 46),
    "window": (175, 205, 1, 13),
}
"""Calls and blocks for each nested call, without and with a trace. Each of these calls but the last is re-entered, so
that a trace has its storage watched when it goes on."""


@pytest.mark.parametrize("option", _NESTED)
def test_a_nested_typed_call(option: str) -> None:
    """It writes a word, and catches. Calls are half the difference between 64 and 32 of them, blocks a 64th of all."""
    calls, calls_traced, blocks, blocks_traced = _NESTED[option]
    for trace, calls_max, blocks_max in ((False, calls, blocks), (True, calls_traced, blocks_traced)):
        world = open_world(trace=trace, option=option)
        deep, shallow = (nested(world, depth) for depth in (64, 32))
        assert (calls_of(deep) - calls_of(shallow)) / 32 <= calls_max
        assert blocks_of(deep) / 64 <= blocks_max + 0.5


@pytest.mark.parametrize(("option", "each", "first"), [("single", 0, 100), ("methods", 0, 100), ("keyed", 150, 120)])
def test_a_direct_call(option: str, each: int, first: int) -> None:
    """The host is called where a contract is entered first, and around calls of those that use host functions."""
    world = open_world(trace=False, option=option, calls=CallMode.DIRECT)
    deep, shallow, one, none = (calls_of(nested(world, depth)) for depth in (64, 32, 2, 1))
    assert (deep - shallow) / 32 <= each
    assert one - none <= first + each
    assert world.direct_runs.redone == 0


def nested(world: World, depth: int) -> Callable[[], object]:
    return lambda: world.transact(PING, "hit", depth - 1, 0).raise_for_error()


@pytest.mark.parametrize("trace", [False, True])
def test_transactions_leave_nothing_behind_in_memory(trace: bool) -> None:
    world = open_world(trace=trace)

    def after_some() -> int:
        for _ in range(100):
            world.transact(NULL, "null")
            world.transact(PING, "hit", 4, 1)
        gc.collect()
        return sys.getallocatedblocks()

    after_some()
    before = after_some()
    assert min(after_some() for _ in range(3)) - before <= 50  # something else may take some meanwhile
