"""A wasmtime store that outlives transactions, its fuel and deadline, and the instances in it."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import wasmtime

from storagemod.errors import DeadlineError, StateError
from storagemod.interruption import interruption
from storagemod.limits import Limits
from storagemod.types import WASM_PAGE_BYTES
from storagemod.wasm import _bindings as raw
from storagemod.wasm.engine import epoch_clock, shared_engine, trap_signals
from storagemod.wasm.instrument import LOG_BYTES_MAX
from storagemod.wasm.log import Log
from storagemod.wasm.memory import LinearMemory, no_memory
from storagemod.wasm.traps import engine_error, error_from_trap

_ENDLESS_FUEL = 2**63 - 1
"""What wasm gets in a store that is not metered: centuries of it."""

_SPARE_FUEL = 1
"""Fuel that wasm has beyond what it may use. wasmtime looks at fuel at function entries and loop heads only, and tells
nobody by how much it was overrun: whether any of the spare fuel is gone tells that it was."""
WORK_PER_LOOK = 512
"""Pages of 4 KiB that the host copies or compares for contracts until one looks at the clock: a millisecond or two."""

_INSTANCES_MAX = 2**31 - 1
"""Who uses the store bounds instances and memories: wasmtime counts those of all transactions together."""


class Store:
    """A wasmtime store. It runs on one thread at a time, from :meth:`start` to :meth:`stop`.

    With ``metered`` instructions use its fuel; without, only :attr:`fuel` itself changes what is left.

    Attributes:
        context: Its address, as wasmtime's functions take it.
        current: The first argument of host functions: the running call. Whoever runs calls sets it.
        pending: The exception that a host function raised, while it travels through wasm frames.
        lost: The exception that ctypes swallowed because a callback could not begin; wasm went on with a wrong result.
        host_calls: How many times contracts called the host since :meth:`start`.
        instances: How many instances it holds; they stay until it is closed.
        memories: How many linear memories they have of their own, as whoever makes instances counts them.
        meter: The log in which the code that runs counts its gas; ``None`` where the engine counts it.
    """

    def __init__(self, limits: Limits, *, metered: bool = True) -> None:
        store = wasmtime.Store(shared_engine())
        store.set_limits(
            memory_size=max(
                limits.memory_pages_max * WASM_PAGE_BYTES, limits.storage_pages_max * WASM_PAGE_BYTES, LOG_BYTES_MAX
            ),
            table_elements=limits.table_elements_max,
            instances=_INSTANCES_MAX,
            tables=_INSTANCES_MAX,
            memories=_INSTANCES_MAX,
        )
        self.handle = store
        self.context = raw.address_of(store._context())
        raw.set_deadline_callback(raw.address_of(store.ptr()), _at_epoch_address, None, None)
        self.current: Any = None
        self.pending: BaseException | None = None
        self.lost: BaseException | None = None
        self.host_calls = 0
        self.instances = self.memories = 0
        self._deadline = 0.0
        self._work = 0
        self._for_main_thread = False
        self._before: Store | None = None
        self._scratch = ctypes.c_uint64()
        self._scratch_address = ctypes.addressof(self._scratch)
        self._trap = ctypes.c_void_p()
        self._trap_address = ctypes.addressof(self._trap)
        self._free_fuel: int | None = None
        self.meter: Log | None = None
        if not metered:
            self._free_fuel = 0
            raw.set_fuel(self.context, _ENDLESS_FUEL)

    @property
    def fuel(self) -> int:
        """Fuel left; -1 if more was used than there was. Instructions use it, unless the store is not metered."""
        if self._free_fuel is not None:
            return self._free_fuel
        if self.meter is not None:
            left: int = self.meter.gas.value
            return left if left >= 0 else -1
        raw.get_fuel(self.context, self._scratch_address)
        return self._scratch.value - _SPARE_FUEL

    @fuel.setter
    def fuel(self, amount: int) -> None:
        if self._free_fuel is not None:
            self._free_fuel = amount
        elif self.meter is None:
            raw.set_fuel(self.context, amount + _SPARE_FUEL)
        else:
            self.meter.gas.value = amount

    def count_by(self, meter: Log | None) -> None:
        """Let a log count gas from now on, for the code that runs next, or the engine; what is left stays the same."""
        if self._free_fuel is not None or meter is self.meter:
            return  # a log has gas without end where nobody sets it
        left, was_log = self.fuel, self.meter is not None
        self.meter = meter
        if meter is not None and not was_log:
            raw.set_fuel(self.context, _ENDLESS_FUEL)
        self.fuel = left

    def start(self, deadline_seconds: float, frames: int) -> None:
        """Bind the store to this thread, start its deadline, and make room for so many Python frames.

        An epoch that is over is noticed when wasm runs.

        Raises:
            StateError: The system has no thread to give that advances epochs.
        """
        process.enter(self, frames)
        self._before, _bound.store = _bound.store, self
        self._for_main_thread = _bound.for_main_thread
        self.lost = None
        self.host_calls = 0
        self._deadline = time.monotonic() + deadline_seconds

    def stop(self) -> None:
        """Unbind the store from its thread."""
        process.leave(self)
        _bound.store, self._before = self._before, None
        self.current = None

    def close(self) -> None:
        """Free all instances. Nothing of the store can be used any more."""
        self.handle._delete(self.handle._consume())  # an interruption in `close` would have it freed twice

    def check_time(self) -> None:
        """Check that there is time left; called once an epoch while wasm runs.

        Raises:
            DeadlineError: The deadline has passed, or the run was interrupted.
        """
        if self.lost is not None:
            self.check_lost()
        if self._for_main_thread and interruption.raised is not None:
            raise DeadlineError("interrupted")
        if time.monotonic() > self._deadline:
            raise DeadlineError("stopped at the deadline (deadline_seconds)", hint="is a loop without end?")

    def count_work(self, pages: int) -> None:
        """Count pages that the host copies or compares for a contract, and look at the clock after so many.

        Raises:
            DeadlineError: As :meth:`check_time` does.
        """
        self._work += pages
        if self._work >= WORK_PER_LOOK:
            self._work = 0
            self.check_time()

    def check_lost(self) -> None:
        """Check that no exception was lost; the transaction has to check before it believes any result.

        Raises:
            BaseException: The exception that was.
        """
        if self.lost is not None:
            lost, self.lost = self.lost, None
            raise lost

    def instantiate(self, prepared: int) -> Instance:
        """Make an instance of the module whose imports are resolved at an address; its active segments are written.

        Raises:
            TrapError: A segment does not fit.
            StateError: The system has no memory for it.
        """
        handle = raw.Instance()
        self.instances += 1  # one that fails takes its place as well
        error = raw.instantiate(prepared, self.context, ctypes.addressof(handle), self._trap_address)
        if error or self._trap.value:
            self._raise(error)
        return Instance(self.context, handle)

    def invoke(self, function: int, values: int, count: int) -> None:
        """Run a function.

        Args:
            function: Its address, from :meth:`Instance.function`.
            values: Where its arguments are, 16 bytes each; its results take their place.
            count: How many values there is room for.

        Raises:
            StorageModError: It trapped, ran out of gas or out of time.
            BaseException: Whatever a host function raised.
        """
        error = raw.call_function(self.context, function, values, count, self._trap_address)
        if error or self._trap.value:
            self._raise(error)

    def _raise(self, error: int | None) -> None:
        trap, self._trap.value = self._trap.value, None
        pending, self.pending = self.pending, None
        if pending is not None:
            if trap:
                raw.delete_trap(trap)
            else:
                raw.delete_error(error)
            try:
                raise pending
            finally:
                del pending  # it holds this frame: what it carries would stay until garbage is collected
        if trap:
            raise error_from_trap(raw.take_trap(trap), None if self.meter is None else self.meter.spent_in)
        raise no_memory(raw.take_error(error or 0))  # limits of ours that code can reach are checked before


class _Process:
    """What all stores that run in this process need together: epochs that advance, room for frames, lost exceptions.

    Attributes:
        frames_to: What Python's recursion limit, which all threads share, was raised to; 0 where nothing runs.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limit_before = 0
        self._hook_before = sys.unraisablehook
        self.frames_to = 0

    def enter(self, store: Store, frames: int) -> None:
        """Begin to run a store that needs so many Python frames.

        Raises:
            StateError: The system has no thread to give that advances epochs.
        """
        running = epoch_clock.running
        trap_signals.put_right()
        with self._lock:
            if not running:
                self._limit_before = sys.getrecursionlimit()
                self._hook_before, sys.unraisablehook = sys.unraisablehook, _keep_lost
            running.add(store)
            limit = self._limit_before + frames
            if limit > self.frames_to:
                sys.setrecursionlimit(limit)
                self.frames_to = limit
        if not epoch_clock.awake:  # it says that it falls asleep before it looks at who runs
            try:
                epoch_clock.wake()
            except StateError:
                self.leave(store)
                raise

    def leave(self, store: Store) -> None:
        """End to run a store."""
        running = epoch_clock.running
        with self._lock:
            running.discard(store)
            if not running:
                sys.setrecursionlimit(self._limit_before)
                self.frames_to = 0
                sys.unraisablehook = self._hook_before

    def forget(self) -> None:
        """Begin anew in a forked child, in which nothing runs."""
        self._lock = threading.Lock()
        if self.frames_to:
            with suppress(RecursionError):  # it forked deep inside a call, and goes on there
                sys.setrecursionlimit(self._limit_before)
            self.frames_to = 0
            sys.unraisablehook = self._hook_before

    def pass_on(self, unraisable: Any) -> None:
        """Hand an exception of somebody else's to the hook that was there before."""
        self._hook_before(unraisable)


process = _Process()


class _Bound(threading.local):
    """What runs on this thread.

    Attributes:
        store: The store whose wasm runs here; there is at most one.
        for_main_thread: Whether the main thread runs here or waits for it. Then signals end it.
    """

    def __init__(self) -> None:
        self.store: Store | None = None
        self.for_main_thread = interruption.is_main_thread()


_bound = _Bound()


def _forget() -> None:
    """Begin anew in a forked child. The thread that forked is its main one, and no other one holds a lock."""
    _bound.for_main_thread = True
    process.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def runs_for_main_thread() -> bool:
    """Return whether the main thread runs here or waits for this thread."""
    return _bound.for_main_thread


def run_for_main_thread(runs: bool) -> None:
    """Note for whom this thread of ours runs from now on."""
    _bound.for_main_thread = runs


def running_store() -> Store | None:
    """Return the store that is bound to this thread, or ``None``."""
    return _bound.store


def _keep_lost(unraisable: Any) -> None:
    """Keep the exception that a callback of ours raised before its first line: Ctrl-C comes at any instant."""
    store = _bound.store
    if store is not None and "ctypes callback" in (unraisable.err_msg or ""):
        store.lost = store.lost or unraisable.exc_value or RuntimeError("a callback failed")
    else:
        process.pass_on(unraisable)


_TIME_IS_OVER = b"the time is over"


def _check_time(_context: int, _data: int, epochs: int, _kind: int) -> int:
    """Let wasm go on for another epoch, or stop it. As in host functions, nothing may escape."""
    store = None
    try:
        store = _bound.store
        store.check_time()  # type: ignore[union-attr] # else it is an error that stops wasm
        ctypes.c_uint64.from_address(epochs).value = 1
    except BaseException as error:  # noqa: BLE001 - raised again when wasm has been left
        if store is not None:
            store.pending = error
        stop: int = raw.new_error(_TIME_IS_OVER)
        return stop
    return 0


_at_epoch = raw.DeadlineCallback(_check_time)
_at_epoch_address = raw.address_of(_at_epoch)


class Instance:
    """One instantiated module.

    Attributes:
        functions: The addresses of exported functions that were asked for, by name.
        log: What it records, if it does.
    """

    __slots__ = ("_context", "_externs", "_handle", "_linear", "functions", "log")

    def __init__(self, context: int, handle: raw.Instance) -> None:
        self._context = context
        self._handle = handle
        self.functions: dict[str, int] = {}
        self._externs: dict[str, raw.Extern] = {}  # own what addresses point to
        self._linear: dict[str, LinearMemory] = {}
        self.log: Log | None = None

    def function(self, name: str) -> int:
        """Return the address of an exported function, as :meth:`Store.invoke` takes it."""
        found = self.functions.get(name)
        if found is None:
            found = self.functions[name] = self._part(name, raw.EXTERN_FUNCTION)
        return found

    def memory(self, name: str, page_bytes: int = WASM_PAGE_BYTES) -> LinearMemory:
        """Return an exported memory, whose type has pages of that length."""
        found = self._linear.get(name)
        if found is None:
            handle = self._part(name, raw.EXTERN_MEMORY)
            found = self._linear[name] = LinearMemory(self._context, self._externs[name], handle, page_bytes)
        return found

    def variable(self, name: str) -> int:
        """Return the address of an exported global."""
        return self._part(name, raw.EXTERN_GLOBAL)

    def set_variable(self, name: str, value: int) -> None:
        """Set an exported global of an integer type."""
        address, holder = self.variable(name), raw.Value()
        raw.get_global(self._context, address, ctypes.addressof(holder))  # its type is part of it
        holder.of.i64 = value
        error = raw.set_global(self._context, address, ctypes.addressof(holder))
        if error:
            raise engine_error(raw.take_error(error))

    def table(self, name: str) -> FunctionTable:
        """Return an exported table of functions."""
        handle = self._part(name, raw.EXTERN_TABLE)
        return FunctionTable(self._context, self._externs[name], handle)

    def export(self, name: str) -> raw.Extern | None:
        """Return an export as a linker takes it, or ``None``."""
        extern = raw.Extern()
        encoded = name.encode()
        found = raw.find_export(
            self._context, ctypes.addressof(self._handle), encoded, len(encoded), ctypes.addressof(extern)
        )
        return extern if found else None

    def _part(self, name: str, kind: int) -> int:
        extern = self._externs.get(name)
        if extern is None:  # asked for once: an instance serves calls without end
            extern = self.export(name)
        if extern is None or extern.kind != kind:
            raise LookupError(f"nothing of that kind is exported as {name!r}")  # callers read the module's exports
        self._externs[name] = extern
        return ctypes.addressof(extern) + raw.EXTERN_OFFSET


class FunctionTable:
    """A table of functions of an instance.

    Args:
        context: The address of its store.
        owner: Keeps the handle alive.
        handle: Where wasmtime has it.
    """

    __slots__ = ("_context", "_handle", "_owner", "_value")

    def __init__(self, context: int, owner: object, handle: int) -> None:
        self._context = context
        self._owner = owner
        self._handle = handle
        self._value = raw.Value()
        self._value.kind = raw.FUNCTION_REFERENCE

    def set(self, index: int, function: int | None) -> None:
        """Set an element: to a function at an address, from :meth:`Instance.function`, or to none."""
        no_function = raw.Function()
        self._value.of.funcref = no_function if function is None else raw.Function.from_address(function)
        error = raw.set_table(self._context, self._handle, index, ctypes.addressof(self._value))
        if error:
            raise raw.take_error(error)
