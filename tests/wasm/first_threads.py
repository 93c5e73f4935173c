"""Have the threads of a process that never used storagemod use it all at once: a program. It prints what they got."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from storagemod import World

COUNT = 8


def main() -> None:
    together = threading.Barrier(COUNT)

    def use() -> object:
        together.wait()
        world = World()
        return world.transact(world.deploy('(module (func (export "one") (result i32) (i32.const 1)))'), "one").value

    with ThreadPoolExecutor(COUNT) as pool:
        values = [future.result() for future in [pool.submit(use) for _ in range(COUNT)]]
    print(len(values), sorted(set(values), key=str))


if __name__ == "__main__":
    main()
