"""The deadline holds for what the host does, too: at boundaries, when a call is undone, and before a commit.

Nothing here measures time. The clock is looked at after so many pages, and may be over at any of these looks.
"""

from __future__ import annotations

import pytest

from storagemod import DeadlineError, Limits, Outcome, World
from storagemod.pages import live
from storagemod.pages.live import LiveRegion
from storagemod.types import MAP_OPTIONS, Address
from storagemod.wasm import store as store_module
from storagemod.wasm.store import Store
from tests.conftest import works

A = Address(0xA)
PAGES_PER_LOOK = 16
PAGES = 4 * PAGES_PER_LOOK

WRITES = f"""
(module
  (import "storage" "memory" (memory $s {PAGES // 16}))
  (import "contract:self" "fail?" (func $fail (param i64) (result i32)))
  (func $fill (export "fill") (param $value i64) (local $at i32)
    (loop $again
      (i64.store $s (local.get $at) (local.get $value))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $again (i32.lt_u (local.get $at) (i32.const {PAGES * 4096})))))
  (func (export "fail") (param $value i64) (call $fill (local.get $value)) unreachable)
  (func (export "catch") (param $value i64) (drop (call $fail (local.get $value))))
  (func (export "both") (param $value i64)
    (call $fill (local.get $value))
    (drop (call $fail (i64.add (local.get $value) (i64.const 1))))))
"""


class Looks:
    """Counts looks at the clock and pages between them; the time is over at one of the looks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, over_at: int | None) -> None:
        self.count = self.pages = self.most_pages = 0
        self.over_at = over_at
        look, put_back = Store.check_time, LiveRegion._put_back
        read = live.read_bytes

        def counted_look(store: Store) -> None:
            self.count += 1
            self.pages = 0
            if self.count - 1 == self.over_at:
                store._deadline = 0.0
            look(store)

        def counted_read(address: int, length: int) -> bytes:
            self.count_page()
            return read(address, length)

        def counted_put_back(region: LiveRegion, number: int, old: bytes, previous: int) -> None:
            self.count_page()
            put_back(region, number, old, previous)

        monkeypatch.setattr(Store, "check_time", counted_look)
        monkeypatch.setattr(live, "read_bytes", counted_read)
        monkeypatch.setattr(LiveRegion, "_put_back", counted_put_back)

    def count_page(self) -> None:
        self.pages += 1
        self.most_pages = max(self.most_pages, self.pages)


@pytest.fixture
def filled(tracker: str) -> World:
    world = World(tracker=tracker, limits=Limits(deadline_seconds=600))
    world.deploy(WRITES, address=A, links={"self": A})
    world.transact(A, "fill", 1).raise_for_error()
    return world


def ends_at_each_look(world: World, method: str, monkeypatch: pytest.MonkeyPatch, *, commit: bool = True) -> int:
    """Have the time be over at each look in turn; return how many there are."""
    monkeypatch.setattr(live, "PAGES_PER_LOOK", PAGES_PER_LOOK)
    monkeypatch.setattr(store_module, "WORK_PER_LOOK", PAGES_PER_LOOK)
    root, over_at = world.state_root, 0
    while True:
        with monkeypatch.context() as patch, world.snapshot():
            looks = Looks(patch, over_at)
            receipt = (world.transact if commit else world.call)(A, method, 7, gas=10**12)
            assert looks.most_pages <= 2 * PAGES_PER_LOOK
            if looks.count <= over_at:
                return over_at
            assert looks.count == over_at + 1, "it went on after its time was over"
            assert isinstance(receipt.error, DeadlineError)
            assert (receipt.outcome, receipt.values, receipt.output) == (Outcome.FAILED, (), b"")
            assert receipt.trace is not None
            assert receipt.trace.root.undone
            assert world.state_root == root
        over_at += 1


@pytest.mark.storagemod(strict=False)
@pytest.mark.parametrize("method", ["fill", "fail", "catch", "both"])
@pytest.mark.parametrize("commit", [True, False])
def test_a_transaction_ends_wherever_its_time_is_over_and_changes_nothing(
    filled: World, method: str, commit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ends_at_each_look(filled, method, monkeypatch, commit=commit) > PAGES // PAGES_PER_LOOK
    assert (filled.transact if commit else filled.call)(A, "fill", 5).ok
    assert filled.storage(A)["memory"].read_int(4096) == (5 if commit else 1)


MAPS = f"""
(module
  (import "ethereum" "storageMap" (func $map (param i32 i32 i32)))
  (import "contract:self" "fill?" (func $again (param i64) (result i32)))
  (memory (export "memory") {PAGES // 16})
  (func (export "fill") (param $value i64) (local $at i32)
    (call $map (i32.const 0) (i32.const 0) (i32.const {PAGES * 4096}))
    (loop $again
      (i64.store (local.get $at) (local.get $value))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $again (i32.lt_u (local.get $at) (i32.const {PAGES * 4096}))))
    (if (i64.gt_s (local.get $value) (i64.const 5))
      (then (drop (call $again (i64.sub (local.get $value) (i64.const 1))))))))
"""


def test_a_window_holds_the_deadline_at_boundaries(tracker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(limits=Limits(deadline_seconds=600), tracker=tracker)
    code = MAPS.replace(f'(memory (export "memory") {PAGES // 16})', "")
    code = code.replace("(import", f'(import "storage" "window" (memory {PAGES // 16}))\n  (import', 1)
    world.deploy(code, address=A, links={"self": A})
    world.transact(A, "fill", 1).raise_for_error()
    assert ends_at_each_look(world, "fill", monkeypatch) > PAGES // PAGES_PER_LOOK
    assert world.transact(A, "fill", 3).ok
    assert world.storage(A)["memory"].read_int(4096) == 3


@pytest.mark.parametrize("mapping", [name for name in MAP_OPTIONS if works(name)])
def test_mapped_storage_holds_the_deadline_at_boundaries(mapping: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(limits=Limits(deadline_seconds=600), mapping=mapping)
    world.deploy(MAPS, address=A, links={"self": A}, mapping=mapping)
    world.transact(A, "fill", 1).raise_for_error()
    assert ends_at_each_look(world, "fill", monkeypatch) > 2 * PAGES // PAGES_PER_LOOK
    assert world.transact(A, "fill", 3).ok
    assert world.storage(A)["memory"].read_int(4096) == 3
