"""The one engine of the process, set up so that the same code gives the same result on every machine."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Final

import wasmtime

from storagemod.errors import StateError
from storagemod.wasm._bindings import address_of, set_async_stack_size, switch

WASM_STACK_BYTES = 64 << 20
"""Stack that the wasm and host frames of one transaction may use together."""

MEMORY_RESERVATION_BYTES = 1 << 32

EPOCH_SECONDS = 0.01
"""Length of an epoch: how exactly a deadline is kept."""

_IDLE_TICKS_MAX = 100

FEATURES: Final[Mapping[str, bool]] = {
    # On: the standard, as far as it is deterministic, and what storage needs.
    "wasm_bulk_memory": True,
    "wasm_memory64": True,
    "wasm_multi_memory": True,
    "wasm_multi_value": True,
    "wasm_reference_types": True,
    "wasm_simd": True,
    "wasm_relaxed_simd": True,
    "wasm_relaxed_simd_deterministic": True,  # or results would depend on the machine (rule 8)
    "wasm_tail_call": True,
    "wasm_wide_arithmetic": True,  # integers only, and balances and hashes are wider than 64 bits
    # Off: not deterministic.
    "wasm_threads": False,
    # Off: objects that no undo log or limit of ours knows.
    "wasm_exceptions": False,
    "wasm_function_references": False,
    "wasm_gc": False,
    "wasm_stack_switching": False,
    # Off: no contract needs them, and our readers of binaries do not know them.
    "wasm_branch_hinting": False,
    "wasm_compact_imports": False,
    "wasm_custom_page_sizes": False,
    # Off: contracts are modules, not components.
    "wasm_component_model": False,
    "wasm_component_model_accessors": False,
    "wasm_component_model_async": False,
    "wasm_component_model_async_stackful": False,
    "wasm_component_model_canonical_names": False,
    "wasm_component_model_implements": False,
    "wasm_component_model_map": False,
    "wasm_component_model_more_async_builtins": False,
}
"""Every feature that wasmtime can switch, and whether it is on: none is as wasmtime happens to have it."""

_engine: wasmtime.Engine | None = None
_engine_lock = threading.Lock()


def shared_engine() -> wasmtime.Engine:
    """Return the engine that compiles and runs everything; all worlds and threads of the process share its modules."""
    global _engine  # noqa: PLW0603 - there is one
    if _engine is None:
        with _engine_lock:
            if _engine is None:
                _engine = _new_engine()
    return _engine


def _new_engine() -> wasmtime.Engine:
    """Make an engine with :data:`FEATURES`, whose NaNs are canonical (rule 8 of the semantics)."""
    config = wasmtime.Config()
    for name, on in FEATURES.items():
        switch(config, name, on)
    config.gc_support = False
    config.shared_memory = False
    config.cranelift_nan_canonicalization = True
    # Storage is mapped under memories, so they must not move: each reserves the most that it may become.
    config.memory_reservation = MEMORY_RESERVATION_BYTES
    config.memory_may_move = False
    # A forked child has none of the threads that would compile in parallel, and would wait for them without end.
    config.parallel_compilation = False
    config.consume_fuel = True
    config.epoch_interruption = True
    # The limit of the wasm stack must not exceed the size set here, or wasmtime aborts the process.
    set_async_stack_size(address_of(config.ptr()), WASM_STACK_BYTES)
    config.max_wasm_stack = WASM_STACK_BYTES
    return wasmtime.Engine(config)


def start_thread(thread: threading.Thread) -> None:
    """Start a thread.

    Raises:
        StateError: The system refuses.
    """
    try:
        thread.start()
    except (RuntimeError, OSError) as error:
        raise StateError(
            f"a thread for running transactions cannot be started: {error}",
            cause=error,
            hint="have fewer threads, or raise the limits of the process (ulimit -u, ulimit -v)",
        ) from error


class _EpochClock:
    """Advances the engine's epoch while anything runs, and for a second after: to wake it each time would cost more.

    Attributes:
        running: What runs. Whoever runs adds itself, wakes the clock if it is not awake, and discards itself.
        awake: Whether epochs advance.
    """

    def __init__(self) -> None:
        self.running: set[object] = set()
        self.awake = False
        self._changed = threading.Lock()

    def wake(self) -> None:
        """Begin to advance epochs.

        Raises:
            StateError: The system has no thread to give.
        """
        with self._changed:
            if not self.awake:
                start_thread(threading.Thread(target=self._tick, name="storagemod-epochs", daemon=True))
                self.awake = True

    def forget(self) -> None:
        """Start anew in a forked child, which has neither the thread nor what ran."""
        self.__init__()  # type: ignore[misc] # there is nothing to keep

    def _tick(self) -> None:
        engine = shared_engine()
        idle_ticks = 0
        while True:
            time.sleep(EPOCH_SECONDS)
            engine.increment_epoch()
            idle_ticks = 0 if self.running else idle_ticks + 1
            if idle_ticks > _IDLE_TICKS_MAX:
                with self._changed:
                    self.awake = False
                    if not self.running:  # who adds itself from now on sees that it has to wake the clock
                        return
                    self.awake = True


epoch_clock = _EpochClock()


def _forget_lock() -> None:
    """Have a lock in a forked child that no thread of its parent holds."""
    global _engine_lock  # noqa: PLW0603 - as threads know it
    _engine_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)
    os.register_at_fork(after_in_child=epoch_clock.forget)
