"""The one engine of the process, set up so that the same code gives the same result on every machine."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import wasmtime

from storagemod.wasm._bindings import raw

WASM_STACK_BYTES = 64 << 20
"""Stack that the wasm and host frames of one transaction may use together."""

MEMORY_RESERVATION_BYTES = 1 << 32

EPOCH_SECONDS = 0.01
"""Length of an epoch: how exactly a deadline is kept."""

_IDLE_TICKS_MAX = 100


@functools.cache
def shared_engine() -> wasmtime.Engine:
    """The engine that compiles and runs everything; modules can be shared by all worlds of the process.

    Off are threads and shared memories, garbage-collected types and exceptions: they are not deterministic, or no
    contract needs them. NaNs are canonical and relaxed SIMD is deterministic (rule 8 of the semantics).
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
    # Storage is mapped under memories, so they stay where they are: what is reserved for each is the most it may be.
    config.memory_reservation = MEMORY_RESERVATION_BYTES
    config.memory_may_move = False
    config.consume_fuel = True
    config.epoch_interruption = True
    # The limit of the wasm stack must not exceed the size set here, or wasmtime aborts the process.
    raw._wasmtime_config_async_stack_size_set(config.ptr(), WASM_STACK_BYTES)
    config.max_wasm_stack = WASM_STACK_BYTES
    return wasmtime.Engine(config)


class _EpochClock:
    """Advances the engine's epoch while anything runs, and a while longer: waking up for each run would cost more."""

    def __init__(self) -> None:
        self._running = 0
        self._awake = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def _tick(self) -> None:
        engine = shared_engine()
        idle_ticks = 0
        while True:
            time.sleep(EPOCH_SECONDS)
            engine.increment_epoch()
            idle_ticks = 0 if self._running else idle_ticks + 1
            if idle_ticks > _IDLE_TICKS_MAX:
                with self._changed:
                    if not self._running:
                        self._awake = False
                        self._changed.wait_for(lambda: self._awake)

    @contextmanager
    def ticking(self) -> Iterator[None]:
        with self._changed:
            self._running += 1
            if self._thread is None or not self._thread.is_alive():  # not alive: after a fork
                self._awake = True
                self._thread = threading.Thread(target=self._tick, name="storagemod-epochs", daemon=True)
                self._thread.start()
            elif not self._awake:
                self._awake = True
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1


_clock = _EpochClock()


def epochs_ticking() -> AbstractContextManager[None]:
    """Keep the epochs of :func:`shared_engine` advancing for the length of a ``with`` block."""
    return _clock.ticking()
