"""Run out of descriptors, and go on when there are some again: a program, since the limit is its own.

It prints a JSON document: the errors that came of it, and what worked afterwards.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from storagemod import World
from storagemod.errors import StateError
from storagemod.pages import BACKENDS, choose_backend, why_unavailable

COUNTER = """
(module
  (import "storage" "memory" (memory $s 1))
  (func (export "add") (i64.store $s (i32.const 0) (i64.add (i64.load $s (i32.const 0)) (i64.const 1)))))
"""
MAPS = """
(module
  (import "ethereum" "storageMap" (func $map (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "add")
    (call $map (i32.const 0) (i32.const 0) (i32.const 4096))
    (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))))
"""


@contextmanager
def without_descriptors() -> Iterator[None]:
    taken = []
    try:
        while True:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        yield
    finally:
        for each in taken:
            os.close(each)


def error_of(action: Callable[[], object]) -> list[str]:
    try:
        action()
    except StateError as error:
        return [str(error)]
    return []


def main() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    World(tracker="portable")  # modules are loaded by now
    folder = tempfile.mkdtemp()
    errors: dict[str, list[str]] = {}
    with without_descriptors():
        errors["choosing a tracker"] = error_of(choose_backend)
        errors["a world"] = error_of(World)
        errors["a directory"] = error_of(lambda: World(Path(folder) / "world", tracker="portable"))
    works = [name for name, backend in BACKENDS.items() if why_unavailable(backend) is None]
    world = World()
    address = world.deploy(COUNTER)
    with without_descriptors():
        errors["another world"] = error_of(World)
        ran = world.transact(address, "add").ok
    errors["sharing"] = []
    if works[0] != "portable":
        mapping = world.deploy(MAPS, mapping="aliased")
        with without_descriptors():
            errors["sharing"] = error_of(lambda: world.transact(mapping, "add"))
        ran &= world.transact(mapping, "add").ok
    with World(Path(folder) / "world") as kept:
        ran &= kept.transact(kept.deploy(COUNTER), "add").ok
    print(json.dumps({"errors": errors, "works": works, "chosen": choose_backend().name, "ran": ran}))


if __name__ == "__main__":
    sys.exit(main())
