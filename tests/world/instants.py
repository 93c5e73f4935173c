"""Sending Ctrl-C at chosen instants: at the bytecodes at which Python runs signal handlers."""

from __future__ import annotations

import contextlib
import dis
import functools
import signal
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import storagemod
from storagemod import World
from storagemod.interruption import interruption
from storagemod.wasm.engine import epoch_clock

PACKAGE = str(Path(storagemod.__file__).parent)
SECTIONS = (
    *(str(Path(PACKAGE, each)) for each in ("interruption.py", "world", "wasm/stack.py")),
    contextlib.__file__,
)
"""The code in which sections begin and end."""


@functools.cache
def instants_of(code: CodeType) -> frozenset[int]:
    """The offsets of the bytecodes before which a handler may run: at the start, at jumps backwards, after calls."""
    offsets, after_call = set(), False
    for each in dis.get_instructions(code):
        if after_call or each.opname == "RESUME" or "BACKWARD" in each.opname:
            offsets.add(each.offset)
        after_call = each.opname.startswith("CALL")
    return frozenset(offsets)


class Sender:
    """Sends Ctrl-C at some of the instants that it counts, in code of some files."""

    def __init__(self, at: Collection[int], files: tuple[str, ...]) -> None:
        self.count = 0
        self._at = at
        self._files = files

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(self._files):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and frame.f_lasti in instants_of(frame.f_code):
            self.count += 1
            if self.count - 1 in self._at:
                signal.raise_signal(signal.SIGINT)
        return self


def run(action: Callable[[], object], at: Collection[int], files: tuple[str, ...] = SECTIONS) -> tuple[bool, int]:
    """Run an action; return whether it was interrupted, and how many instants it had."""
    sender, before = Sender(at, files), sys.gettrace()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.settrace(sender)
        try:
            action()
        except KeyboardInterrupt:
            return True, sender.count
        finally:
            sys.settrace(before)
        return False, sender.count
    finally:
        ours = signal.signal(signal.SIGINT, handler)
        assert ours is signal.default_int_handler, "the handler was not put back"


def check_free(world: World) -> None:
    """Check that nothing runs on a world, and that it can be used."""
    assert interruption._depth == 0
    assert interruption.raised is None
    assert not interruption._guards
    assert not world._lock._busy.locked()
    assert not world._state._savepoints
    assert not epoch_clock.running
