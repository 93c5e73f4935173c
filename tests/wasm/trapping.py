"""Trap in all ways that are signals, before and after what is asked for is done to faulthandler; print the errors."""

from __future__ import annotations

import faulthandler
import sys

from storagemod import World

CODE = """(module (memory 1)
  (func (export "load") (drop (i32.load (i32.const 0x7fffffff))))
  (func (export "unreachable") unreachable)
  (func (export "divide") (drop (i32.div_u (i32.const 1) (i32.const 0)))))"""


def main() -> None:
    before, *after = sys.argv[1:]
    if before == "enable":
        faulthandler.enable()
    world = World(trace=False)
    address = world.deploy(CODE)
    for action in ("nothing", *after):
        if action != "nothing":
            getattr(faulthandler, action)()
        for method in ("load", "unreachable", "divide"):
            print(world.transact(address, method).error)


if __name__ == "__main__":
    main()
