"""What receipts and traces keep of an error: what it says and what lay behind it, and nothing of how it came about."""

from __future__ import annotations

from collections.abc import Iterator

from storagemod import World
from storagemod.errors import TrapError

MAPS = """(module
  (import "ethereum" "storageMap" (func $map (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "outside") (call $map (i32.const 65000) (i32.const 0) (i32.const 1000))))"""


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def test_errors_behind_an_error_are_kept_without_the_frames_that_they_came_through() -> None:
    """Frames would keep the whole transaction, as long as anyone keeps its receipt."""
    world = World()
    receipt = world.transact(world.deploy(MAPS), "outside")
    errors = list(chain(receipt.error))
    assert [type(error) for error in errors] == [TrapError, TrapError]
    assert [(error.__traceback__, error.__context__ in (None, error.__cause__)) for error in errors] == [
        (None, True)
    ] * 2
