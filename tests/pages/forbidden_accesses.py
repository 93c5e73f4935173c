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

from storagemod.pages.protection import Protection

from storagemod.pages import BACKENDS, PAGE_BYTES, PageBackend, why_unavailable
from storagemod.types import WASM_PAGE_BYTES
from tests.pages.memories import MovingMemory, ReservedMemory

LAST = 2 * WASM_PAGE_BYTES - 1
HOLE = 2 * WASM_PAGE_BYTES

Setting = Callable[[Protection, ReservedMemory], None]


def held_to(*rights: tuple[bool, int]) -> Setting:
    def allow(protection: Protection, _memory: ReservedMemory) -> None:
        for writing, wasm_pages in rights:
            protection.allow(writing=writing, wasm_pages=wasm_pages)

    return allow


def grown(before: tuple[bool, int], after: tuple[bool, int]) -> Setting:
    def allow(protection: Protection, memory: ReservedMemory) -> None:
        protection.allow(writing=True, wasm_pages=3)
        memory.grow(1)
        for writing, wasm_pages in (before, after):
            protection.allow(writing=writing, wasm_pages=wasm_pages)

    return allow


SETTINGS: dict[str, tuple[Setting, dict[str, bool]]] = {
    "everything": (held_to((True, 3)), {"r0": True, "w0": True, "w hole": True}),
    "a length": (held_to((True, 2)), {"w0": True, "w last": True, "r last": True, "r hole": False, "w hole": False}),
    "reading": (held_to((False, 3)), {"r0": True, "r hole": True, "w0": False, "w last": False, "w hole": False}),
    "reading a length": (held_to((False, 2)), {"r last": True, "w last": False, "r hole": False, "w hole": False}),
    "nothing": (held_to((True, 0)), {"r0": False, "w0": False, "r hole": False}),
    "taken back": (held_to((False, 2), (True, 3)), {"w0": True, "w last": True, "w hole": True}),
    "again": (held_to((True, 2), (True, 2)), {"w0": True, "w hole": False}),
    "after growth": (grown((True, 3), (False, 2)), {"r last": True, "w0": False, "r hole": False}),
    "no longer after growth": (grown((False, 2), (True, 4)), {"w0": True, "w hole": True, "w end": True}),
}
"""By name: what is set, and which accesses to a memory of three Wasm pages it allows."""

ACCESSES: dict[str, Callable[[int], object]] = {
    "r0": lambda base: ctypes.string_at(base, 1),
    "w0": lambda base: ctypes.memset(base, 1, 1),
    "r last": lambda base: ctypes.string_at(base + LAST, 1),
    "w last": lambda base: ctypes.memset(base + LAST, 1, 1),
    "r hole": lambda base: ctypes.string_at(base + HOLE, 1),
    "w hole": lambda base: ctypes.memset(base + HOLE + WASM_PAGE_BYTES - 1, 1, 1),
    "w end": lambda base: ctypes.memset(base + 4 * WASM_PAGE_BYTES - 1, 1, 1),
}


def faults(backend: PageBackend, make: type[ReservedMemory], setting: Setting, access: str) -> bool:
    """Whether an access, in a process of its own, ends that."""
    child = os.fork()
    if not child:
        memory = make(3, 4)
        image = backend.image_maker()()
        image.replace(3, {1: b"\1" * PAGE_BYTES, 40: b"\1" * PAGE_BYTES})
        attached = backend.attach(memory, image, 4)
        setting(attached.protection, memory)
        ACCESSES[access](memory.base)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"{backend.name}, {access}: exit status {os.WEXITSTATUS(status)}")
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGSEGV, signal.SIGBUS)


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    found = [
        [backend.name, make.__name__, name, access, allowed, faults(backend, make, setting, access)]
        for backend in BACKENDS.values()
        if why_unavailable(backend) is None
        for make in (ReservedMemory, MovingMemory)
        for name, (setting, accesses) in SETTINGS.items()
        for access, allowed in accesses.items()
    ]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
