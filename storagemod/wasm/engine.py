"""The one engine of the process, set up so that the same code gives the same result on every machine."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import Final

import wasmtime

from storagemod.errors import StateError
from storagemod.wasm._bindings import address_of, set_async_stack_size, switch
from storagemod.wasm.room import check_room

WASM_STACK_BYTES = 64 << 20
"""Stack that the wasm and host frames of one transaction may use together."""

MEMORY_RESERVATION_BYTES = 1 << 32

EPOCH_SECONDS = 0.01
"""Length of an epoch: how exactly a deadline is kept."""

_IDLE_TICKS_MAX = 100

FEATURES: Final[Mapping[str, bool]] = {
    # On: the standard, as far as it is deterministic, and what storage needs.
    "wasm_bulk_memory": True,
    "wasm_custom_page_sizes": True,  # storage whose length is counted in bytes
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
    engine = wasmtime.Engine(config)
    trap_signals.keep()
    return engine


class _TrapSignals:
    """The signals by which wasmtime notices that wasm traps, on Linux: its handlers are there from the first engine on.

    Whoever takes them away turns the next trap into the end of the process. Python's ``faulthandler`` does, where it is
    enabled after the engine was made, or disabled after it had been enabled before: pytest does so when it ends.
    """

    _SIGNALS = (signal.SIGSEGV, signal.SIGILL, signal.SIGFPE)
    _STRUCT_BYTES = 256
    """More than ``struct sigaction`` takes; the handler comes first in it."""

    def __init__(self) -> None:
        self._kept: list[ctypes.Array[ctypes.c_char]] = []
        self._handler = 0
        self._was_enabled = False
        self._now = ctypes.create_string_buffer(self._STRUCT_BYTES)
        self._now_address = ctypes.addressof(self._now)
        self._sigaction = None
        if sys.platform == "linux":
            self._sigaction = ctypes.PyDLL(None).sigaction
            self._sigaction.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]

    def keep(self) -> None:
        """Remember the handlers that are there now: wasmtime's."""
        if self._sigaction is not None:
            self._kept = [ctypes.create_string_buffer(self._STRUCT_BYTES) for _ in self._SIGNALS]
            for number, action in zip(self._SIGNALS, self._kept, strict=True):
                self._sigaction(number, None, action)
            self._handler = _handler_at(ctypes.addressof(self._kept[0]))
            self._was_enabled = faulthandler.is_enabled()

    def put_right(self) -> bool:
        """Put the handlers in place again if another one took them away; return whether one did.

        One of Python's that was there before the engine is still called for what is no trap.
        """
        if not (self._was_enabled or faulthandler.is_enabled()):
            return False  # nobody else takes them, and to ask takes a microsecond
        if self._sigaction is None or not self._kept:
            return False
        self._sigaction(self._SIGNALS[0], None, self._now_address)
        if _handler_at(self._now_address) == self._handler:
            return False
        for number, action in zip(self._SIGNALS, self._kept, strict=True):
            self._sigaction(number, action, None)
        return True


def _handler_at(address: int) -> int:
    """Return the handler in a ``struct sigaction``."""
    return ctypes.c_size_t.from_address(address).value


trap_signals = _TrapSignals()


def start_thread(thread: threading.Thread, stack_bytes: int = 0) -> None:
    """Start a thread.

    Args:
        thread: The thread.
        stack_bytes: How long its stack is, if it is longer than usual.

    Raises:
        StateError: The system refuses, or would once the thread has started: then nobody would hear of it.
    """
    check_room(stack_bytes)
    try:
        thread.start()
    except (RuntimeError, OSError) as error:
        raise StateError(
            f"a thread for running transactions cannot be started: {error}",
            cause=error,
            hint="none can be at interpreter shutdown; otherwise have fewer, or raise `ulimit -u` and `ulimit -v`",
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
