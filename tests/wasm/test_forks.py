"""Forked children compile, keep deadlines and are interrupted; threads that come first at once share one engine."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest
import wasmtime

from storagemod import StateError, World
from storagemod.wasm import engine, stack
from storagemod.wasm.engine import epoch_clock
from tests.pages.programs import output_of

ONE = '(module (func (export "one") (result i32) (i32.const 1)))'


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_can_do_whatever_its_parent_can() -> None:
    found: dict[str, list[bool]] = json.loads(output_of("tests.wasm.forks"))
    assert len(found) == 9
    for name, each in found.items():
        assert each == [True] * 8, name


def test_threads_that_are_first_at_once_make_one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[wasmtime.Engine] = []
    new_engine = engine._new_engine

    def slowly() -> wasmtime.Engine:
        time.sleep(0.05)
        made.append(new_engine())
        return made[-1]

    monkeypatch.setattr(engine, "_engine", None)
    monkeypatch.setattr(engine, "_new_engine", slowly)
    threads = [threading.Thread(target=engine.shared_engine) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [engine.shared_engine()]


def test_threads_that_use_it_first_at_once_share_modules() -> None:
    assert output_of("tests.wasm.first_threads") == "8 [1]\n"


def refuse_threads(*_: object) -> None:
    raise RuntimeError("can't start new thread")


def test_a_thread_that_cannot_be_had_is_a_state_error_and_the_world_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock needs one, and a transaction where the stack of the caller does not suffice."""
    monkeypatch.setattr(engine, "_IDLE_TICKS_MAX", 2)
    world = World()
    one = world.deploy(ONE)
    root = world.state_root
    for deep in (False, True):
        while epoch_clock.awake:
            time.sleep(0.01)
        with monkeypatch.context() as patch:
            if deep:
                patch.setattr(stack._callers_stack, "suffices", False)
                patch.setattr(stack, "_idle", [])
            patch.setattr(threading.Thread, "start", refuse_threads)
            with pytest.raises(StateError, match="a thread for running transactions cannot be started"):
                world.transact(one, "one")
        assert world.state_root == root
        assert not epoch_clock.running
        assert not world._lock._busy.locked()
    assert world.transact(one, "one").value == 1
    assert epoch_clock.awake
