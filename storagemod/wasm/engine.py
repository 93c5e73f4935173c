"""The one engine of the process, set up so that the same code gives the same result on every machine."""

from __future__ import annotations

import functools
import os
import threading
import time

import wasmtime

from storagemod.wasm._bindings import address_of, set_async_stack_size

WASM_STACK_BYTES = 64 << 20
"""Stack that the wasm and host frames of one transaction may use together."""

MEMORY_RESERVATION_BYTES = 1 << 32

EPOCH_SECONDS = 0.01
"""Length of an epoch: how exactly a deadline is kept."""

_IDLE_TICKS_MAX = 100


@functools.cache
def shared_engine() -> wasmtime.Engine:
    """Return the engine that compiles and runs everything; all worlds of the process share its modules.

    Threads, shared memories, garbage-collected types and exceptions are off: they are not deterministic, or no contract
    needs them. NaNs are canonical and relaxed SIMD is deterministic (rule 8 of the semantics).
    """
    config = wasmtime.Config()
    config.wasm_multi_memory = True
    config.wasm_memory64 = True
    config.wasm_threads = False
    config.wasm_exceptions = False
    config.wasm_gc = False
    config.gc_support = False
    config.wasm_function_references = False
    config.cranelift_nan_canonicalization = True
    config.wasm_relaxed_simd_deterministic = True
    # Storage is mapped under memories, so they must not move: each reserves the most that it may become.
    config.memory_reservation = MEMORY_RESERVATION_BYTES
    config.memory_may_move = False
    config.consume_fuel = True
    config.epoch_interruption = True
    # The limit of the wasm stack must not exceed the size set here, or wasmtime aborts the process.
    set_async_stack_size(address_of(config.ptr()), WASM_STACK_BYTES)
    config.max_wasm_stack = WASM_STACK_BYTES
    return wasmtime.Engine(config)


class _EpochClock:
    """Advances the engine's epoch while anything runs, and for a second after: to wake it each time would cost more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._awake = False
        self._running: set[object] = set()

    def start(self, runner: object) -> None:
        """Keep epochs advancing until :meth:`stop` is called with the same object."""
        self._running.add(runner)
        if not self._awake:  # the thread says that it falls asleep before it looks at who runs
            with self._changed:
                if not self._awake:
                    self._awake = True
                    threading.Thread(target=self._tick, name="storagemod-epochs", daemon=True).start()

    def stop(self, runner: object) -> bool:
        """Let epochs end, unless something else runs; return whether nothing does."""
        self._running.discard(runner)
        return not self._running

    def forget(self) -> None:
        """Start anew in a forked child, which has neither the thread nor what ran."""
        self.__init__()  # type: ignore[misc] # there is nothing to keep

    def _tick(self) -> None:
        engine = shared_engine()
        idle_ticks = 0
        while True:
            time.sleep(EPOCH_SECONDS)
            engine.increment_epoch()
            idle_ticks = 0 if self._running else idle_ticks + 1
            if idle_ticks > _IDLE_TICKS_MAX:
                with self._changed:
                    self._awake = False
                    if not self._running:
                        return
                    self._awake = True


epoch_clock = _EpochClock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=epoch_clock.forget)
