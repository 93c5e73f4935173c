"""Try what page protection allows and what it forbids: a program, since what is forbidden ends the process.

It prints a JSON document: for each backend that works here and each trial, whether the access ended its process.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
from collections.abc import Callable

from storagemod.pages import BACKENDS, PAGE_BYTES, LiveRegion, PageBackend, UndoLog, why_unavailable
from storagemod.types import WASM_PAGE_BYTES
from tests.pages.memories import MEMORIES, AnyMemory, MemoryMaker

LAST = 2 * WASM_PAGE_BYTES - 1
HOLE = 2 * WASM_PAGE_BYTES

Setting = Callable[[LiveRegion, UndoLog, AnyMemory], None]


def held_to(*rights: bool) -> Setting:
    """What code may do next, whether to write, one after another."""

    def allow(region: LiveRegion, _log: UndoLog, _memory: AnyMemory) -> None:
        for writing in rights:
            region.allow(writing=writing)

    return allow


def let_go(region: LiveRegion, _log: UndoLog, _memory: AnyMemory) -> None:
    region.allow(writing=False)
    region.allow_all()


def grown(*, before: bool, after: bool, collected: bool = True, undone: bool = False) -> Setting:
    """The memory grows between two rights."""

    def allow(region: LiveRegion, log: UndoLog, memory: AnyMemory) -> None:
        region.allow(writing=before)
        memory.grow(1)
        if collected:
            region.collect()
        if undone:
            log.undo(0)
        region.allow(writing=after)

    return allow


def undone_under_rights(region: LiveRegion, log: UndoLog, memory: AnyMemory) -> None:
    memory.write(0, b"\1")
    region.collect()
    region.allow(writing=False)
    log.undo(0)


def refreshed(region: LiveRegion, _log: UndoLog, memory: AnyMemory) -> None:
    region.allow(writing=False)
    image = region.image
    memory.grow(image.wasm_pages - memory.pages)
    assert region.refresh(image) == (memory.pages == image.wasm_pages)


SETTINGS: dict[str, tuple[int, Setting, dict[str, bool]]] = {
    "everything": (3, held_to(True), {"r0": True, "w0": True, "w hole": True}),
    "a length": (2, held_to(True), {"w0": True, "w last": True, "r last": True, "r hole": False, "w hole": False}),
    "reading": (3, held_to(False), {"r0": True, "r hole": True, "w0": False, "w last": False, "w hole": False}),
    "reading a length": (2, held_to(False), {"r last": True, "w last": False, "r hole": False, "w hole": False}),
    "nothing": (0, held_to(True), {"r0": False, "w0": False, "r hole": False}),
    "taken back": (2, let_go, {"w0": True, "w last": True, "w hole": True}),
    "again": (2, held_to(True, True), {"w0": True, "w hole": False}),
    "writing again": (2, held_to(False, True), {"w0": True, "w last": True, "w hole": False}),
    "after growth": (3, grown(before=True, after=False), {"r last": True, "w0": False, "r end": True, "w end": False}),
    "writing after growth": (3, grown(before=False, after=True), {"w0": True, "w hole": True, "w end": True}),
    "after growth that nobody knows of": (
        3,
        grown(before=True, after=True, collected=False),
        {"w0": True, "w hole": True, "r end": False},
    ),
    "after undone growth": (
        3,
        grown(before=True, after=True, undone=True),
        {"w0": True, "w hole": True, "r end": False, "w end": False},
    ),
    "after an undoing": (2, undone_under_rights, {"w0": True, "w hole": True}),
    "in the next transaction": (3, refreshed, {"w0": True, "w hole": True}),
}
"""By name: length of the region, what is set, and which accesses to a memory of three Wasm pages it allows."""

ACCESSES: dict[str, Callable[[int], object]] = {
    "r0": lambda base: ctypes.string_at(base, 1),
    "w0": lambda base: ctypes.memset(base, 1, 1),
    "r last": lambda base: ctypes.string_at(base + LAST, 1),
    "w last": lambda base: ctypes.memset(base + LAST, 1, 1),
    "r hole": lambda base: ctypes.string_at(base + HOLE, 1),
    "w hole": lambda base: ctypes.memset(base + HOLE + WASM_PAGE_BYTES - 1, 1, 1),
    "r end": lambda base: ctypes.string_at(base + 4 * WASM_PAGE_BYTES - 1, 1),
    "w end": lambda base: ctypes.memset(base + 4 * WASM_PAGE_BYTES - 1, 1, 1),
}


def faults(backend: PageBackend, make: MemoryMaker, length: int, setting: Setting, access: str) -> bool:
    """Whether an access, in a process of its own, ends that."""
    child = os.fork()
    if not child:
        memory, log = make(3, 4), UndoLog()
        image = backend.image_maker()()
        pages = {1: b"\1" * PAGE_BYTES, 40: b"\1" * PAGE_BYTES}
        image.replace(length, {number: data for number, data in pages.items() if number < length * 16})
        setting(LiveRegion("region", memory, image, backend, log, 4), log, memory)
        ACCESSES[access](memory.base)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"{backend.name}, {access}: exit status {os.WEXITSTATUS(status)}")
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGSEGV, signal.SIGBUS)


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    found = [
        [backend.name, kind, name, access, allowed, faults(backend, make, length, setting, access)]
        for backend in BACKENDS.values()
        if why_unavailable(backend) is None
        for kind, make in MEMORIES.items()
        if kind == "reserved"  # wasmtime takes faults for its own
        for name, (length, setting, accesses) in SETTINGS.items()
        for access, allowed in accesses.items()
    ]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
