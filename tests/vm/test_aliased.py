"""The linking option `aliased`: frames of storage that are pages of every call's memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from storagemod import Address, LinkError, Outcome, StateError, StorageMapping, ValidationError, World
from storagemod.errors import TrapError
from storagemod.events import PagesTouched
from storagemod.pages import BACKENDS, why_not_shared
from storagemod.types import CallKind

from .mapper import WASM_PAGE, Call, Get, Map, Revert, Set, Trap, deploy, pages_of, run, run_ok, storage_of

A, B = Address(0xA), Address(0xB)
PAGE = 4_096

SHARING = [name for name, backend in BACKENDS.items() if why_not_shared(backend) is None]


@pytest.fixture(params=SHARING)
def world(request: pytest.FixtureRequest) -> World:
    return World(tracker=request.param)


def aliased(world: World, address: Address = A, **settings: object) -> None:
    deploy(world, StorageMapping("aliased", **settings), address=address)  # type: ignore[arg-type]


def test_what_a_reentrant_call_writes_is_seen_by_every_call_above_and_kept(world: World) -> None:
    aliased(world)
    deploy(world, "copied", address=B)
    world.load_storage(A, "memory", b"........")
    third = (Map(0, 0, 8), Get(0, 8), Set(2, b"3"))
    second = (Map(2 * PAGE, 0, 8), Get(2 * PAGE, 8), Set(2 * PAGE + 1, b"2"), Call(B, (Call(A, third),)), Get(8_192, 8))
    called, seen = run_ok(world, A, Map(0, 0, 8), Set(0, b"1"), Call(A, second), Get(0, 8), Set(7, b"1"))
    assert called == (Outcome.OK, [b"1.......", (Outcome.OK, [(Outcome.OK, [b"12......"])]), b"123....."])
    assert seen == b"123....."
    assert storage_of(world, A, 0, 8) == b"123....1"


def test_two_pages_for_one_frame_are_one_page(world: World) -> None:
    aliased(world)
    first, second = run_ok(
        world, A, Map(0, 0, 8), Map(PAGE, 0, 8), Set(0, b"a"), Set(PAGE + 1, b"b"), Get(0, 2), Get(PAGE, 2)
    )
    assert first == second == b"ab"
    assert storage_of(world, A, 0, 2) == b"ab"


def test_a_second_page_is_refused_where_frames_are_exclusive(world: World) -> None:
    aliased(world, exclusive="call")
    receipt = run(world, A, Map(0, 0, 8), Map(PAGE, 0, 8))
    assert "frame 0 stands in page 0 already, and is exclusive" in str(receipt.error)


@pytest.mark.parametrize(("memory", "storage"), [(8, 0), (0, 8), (PAGE - 1, 0), (0, 2_048)])
def test_an_offset_that_is_not_that_of_a_page_is_a_page_fault(world: World, memory: int, storage: int) -> None:
    aliased(world)
    receipt = run(world, A, Map(memory, storage, 8))
    assert isinstance(receipt.error, TrapError)
    assert "page fault" in str(receipt.error)
    assert receipt.error.code == "storage_map"


@pytest.mark.parametrize("frame_bytes", [PAGE, 2 * PAGE, WASM_PAGE])
def test_frames_keep_what_is_written_at_their_edges(world: World, frame_bytes: int) -> None:
    aliased(world, frame_bytes=frame_bytes)
    run_ok(world, A, Map(0, frame_bytes, frame_bytes + 1), Set(frame_bytes - 1, b"ab"), Set(0, b"f"))
    assert storage_of(world, A, 2 * frame_bytes - 1, 2 * frame_bytes + 1) == b"ab"
    assert storage_of(world, A, frame_bytes, frame_bytes + 1) == b"f"


@pytest.mark.parametrize("frame_bytes", [8, 2_048])
def test_a_frame_that_is_less_than_a_page_of_the_machine_is_refused(frame_bytes: int) -> None:
    with pytest.raises(ValidationError, match="under aliased a frame is 4,096 bytes at least"):
        StorageMapping("aliased", frame_bytes=frame_bytes)


def test_frames_are_filled_once_and_nothing_is_copied_at_calls(world: World) -> None:
    aliased(world)
    world.load_storage(A, "memory", b"x" * 3 * PAGE)
    inner = (Map(PAGE, 0, 2 * PAGE), Set(PAGE, b"y"))
    receipt = run(world, A, Map(0, 0, 2 * PAGE), *[Call(A, inner)] * 5, Set(1, b"z"))
    receipt.raise_for_error()
    assert receipt.costs.bytes_copied == 2 * PAGE
    assert receipt.costs.pages_written == 1
    assert storage_of(world, A, 0, 3) == b"yzx"


@pytest.mark.parametrize("ending", [Revert(), Trap()])
def test_frames_are_as_before_where_the_call_that_changed_them_failed(world: World, ending: Revert | Trap) -> None:
    aliased(world)
    deploy(world, "copied", address=B)
    world.load_storage(A, "memory", b"1" * 8)
    inner = (
        Map(0, 0, 8),
        Set(1, b"lost"),
        Map(PAGE, WASM_PAGE, 8),
        Set(PAGE, b"lost"),
        Call(B, ()),
        Set(6, b"?"),
        ending,
    )
    look = (Map(0, 0, 8), Get(0, 8), Map(PAGE, WASM_PAGE, 8), Get(PAGE, 4))
    called, seen, again = run_ok(world, A, Map(0, 0, 8), Set(0, b"2"), Call(A, inner), Get(0, 8), Call(A, look))
    assert called[0] is (Outcome.REVERTED if isinstance(ending, Revert) else Outcome.FAILED)
    assert seen == b"2" + b"1" * 7
    assert again == (Outcome.OK, [b"2" + b"1" * 7, bytes(4)])
    assert pages_of(world, A) == 1
    assert storage_of(world, A, 0, 8) == b"2" + b"1" * 7


def test_a_page_that_an_undone_call_was_the_first_to_map_can_be_used_after_it(world: World) -> None:
    aliased(world)
    undone = Call(A, (Map(0, 0, 8), Set(0, b"lost"), Revert()))
    _, seen = run_ok(world, A, undone, Map(0, 0, 8), Get(0, 4), Set(0, b"kept"))
    assert seen == bytes(4)
    assert storage_of(world, A, 0, 4) == b"kept"


def test_frames_beyond_the_length_are_zeros_and_make_storage_longer_when_they_are_not(world: World) -> None:
    aliased(world)
    (seen,) = run_ok(world, A, Map(0, 3 * WASM_PAGE, 1), Set(0, bytes(PAGE)), Get(0, 8))
    assert seen == bytes(8)
    assert pages_of(world, A) == 1
    run_ok(world, A, Map(0, 0, 4 * WASM_PAGE), Set(2 * WASM_PAGE, b"x"))
    assert pages_of(world, A) == 3
    assert storage_of(world, A, WASM_PAGE, 3 * WASM_PAGE) == bytes(WASM_PAGE) + b"x" + bytes(WASM_PAGE - 1)


def test_a_static_call_may_look_and_not_write(world: World) -> None:
    aliased(world)
    look = (Map(0, 0, 8), Get(0, 8), Map(PAGE, WASM_PAGE, 8), Get(PAGE, 1))
    writes = (*look, Set(0, b"x"))
    writes_before_a_call = (*look, Set(0, b"x"), Call(A, ()))
    lengthens = (*look, Set(PAGE, b"x"))
    scripts = (look, writes, writes_before_a_call, lengthens)
    results = run_ok(world, A, *(Call(A, script, kind=CallKind.STATIC) for script in scripts))
    assert [outcome for outcome, _ in results] == [Outcome.OK, Outcome.FAILED, Outcome.FAILED, Outcome.FAILED]
    assert storage_of(world, A, 0, WASM_PAGE) == bytes(WASM_PAGE)
    assert pages_of(world, A) == 1


PLAIN = """
(module
  (import "ethereum" "storageMap" (func $map (param i32 i32 i32)))
  (import "ethereum" "callStatic" (func $call_static (param i64 i32 i32 i32) (result i32)))
  (import "ethereum" "callDataCopy" (func $data_copy (param i32 i32 i32)))
  (import "ethereum" "getAddress" (func $own (param i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (memory (export "memory") 2)
  (data (i32.const 0x10000) "\\00\\01\\02")
  (func (export "main") (call $map (i32.const 0) (i32.const 0) (i32.const 4096))
    (call $data_copy (i32.const 0x1000) (i32.const 0) (i32.const 1))
    (if (i32.eq (i32.load8_u (i32.const 0x1000)) (i32.const 0)) (then (i32.store (i32.const 8) (i32.const 7))))
    (if (i32.eq (i32.load8_u (i32.const 0x1000)) (i32.const 1)) (then (call $own (i32.const 0x0ff8))))
    (if (i32.eq (i32.load8_u (i32.const 0x1000)) (i32.const 2)) (then (i32.store (i32.const 0xffc) (i32.const 0)))))
  (func (export "call") (param i32) (result i32)
    (call $own (i32.const 64))
    (call $call_static (i64.const 1000000) (i32.const 64)
      (i32.add (i32.const 0x10000) (local.get 0)) (i32.const 1)))
  (func (export "grow_and_look") (result i64)
    (call $map (i32.const 0) (i32.const 0) (i32.const 4096))
    (i64.store (i32.const 16) (i64.const 99))
    (drop (memory.grow (i32.const 30)))
    (i64.store (i32.const 0x1f0000) (i64.const 5))
    (call $map (i32.const 0x1e0000) (i32.const 0) (i32.const 4096))
    (i64.load (i32.const 0x1e0010))))
"""
"""Without instructions that the host carries out: a store to a page of storage can be stopped as it is made."""


@pytest.mark.parametrize(
    "way", [0, 1, 2], ids=["store", "host function that runs into the page", "store of what is there"]
)
def test_a_store_to_a_page_in_a_static_call_traps_as_it_is_made(world: World, way: int) -> None:
    world.deploy(PLAIN, address=A, mapping="aliased", name="plain")
    receipt = world.transact(A, "call", way)
    assert receipt.value == Outcome.FAILED
    assert receipt.trace is not None
    ended = receipt.trace.calls[1].ended
    assert ended is not None
    error = ended.error
    assert isinstance(error, TrapError)
    assert error.code == "static_write"
    assert (error.contract, error.depth) == ("plain", 2)
    assert world.transact(A, None, data=b"\0").ok  # and where it is no static call, it is made
    assert storage_of(world, A, 8, 9) == b"\7"


def test_host_functions_write_straight_into_frames(world: World) -> None:
    world.deploy(PLAIN, address=A, mapping="aliased")
    world.transact(A, None, data=b"\1").raise_for_error()
    assert storage_of(world, A, PAGE - 8, PAGE) == bytes(8)  # an address begins with zeros, and ends beyond the page


def test_memory_that_grows_keeps_its_pages(world: World) -> None:
    world.deploy(PLAIN, address=A, mapping="aliased")
    assert world.transact(A, "grow_and_look").value == 99
    assert storage_of(world, A, 16, 17) == b"c"


@pytest.mark.parametrize(
    ("own", "foreign"),
    [
        (StorageMapping("aliased"), StorageMapping("paged", frame_bytes=8)),
        (StorageMapping("copied"), StorageMapping("aliased")),
        (StorageMapping("aliased"), StorageMapping("copied")),
        (StorageMapping("paged"), StorageMapping("aliased", frame_bytes=WASM_PAGE)),
    ],
    ids=str,
)
def test_code_of_another_contract_maps_its_callers_storage_in_its_own_way(
    world: World, own: StorageMapping, foreign: StorageMapping
) -> None:
    deploy(world, own, address=A)
    deploy(world, foreign, address=B)
    script = (
        Map(WASM_PAGE, 0, 8),
        Get(WASM_PAGE, 3),
        Set(WASM_PAGE + 1, b"f"),
        Map(3 * WASM_PAGE, WASM_PAGE, 8),
        Set(3 * WASM_PAGE, b"l"),
    )
    called, seen = run_ok(world, A, Map(0, 0, 8), Set(0, b"o"), Call(B, script, kind=CallKind.DELEGATE), Get(0, 3))
    assert (called, seen) == ((Outcome.OK, [b"o\0\0"]), b"of\0")
    assert (storage_of(world, A, 0, 3), storage_of(world, B, 0, 3)) == (b"of\0", bytes(3))
    assert storage_of(world, A, WASM_PAGE, WASM_PAGE + 1) == b"l"


def test_many_calls_and_many_mappings_share_their_frames(world: World) -> None:
    aliased(world)
    inner = (Map(0, 0, 8), Get(0, 2), Set(1, b"x"))
    scattered = [Map(number * PAGE, 2 * number * PAGE, 1) for number in range(1, 30)]
    results = run_ok(world, A, Map(0, 0, 8), *scattered, Set(0, b"1"), *[Call(A, inner)] * 200, Set(29 * PAGE, b"e"))
    assert {seen for _, (seen,) in results[1:]} == {b"1x"}
    assert storage_of(world, A, 58 * PAGE, 58 * PAGE + 1) == b"e"


def test_transactions_leave_no_mapping_and_no_descriptor_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storagemod.vm.machine._MEMORIES_MAX", 20)  # each call has an instance of its own until then
    aliased(world)
    script = (Map(0, 0, 8), Set(0, b"1"), Call(A, (Map(0, 0, 8), Set(1, b"x"))))

    def held() -> tuple[int, int]:
        return len(Path("/proc/self/maps").read_text().splitlines()), len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(20):
        run_ok(world, A, *script)
    mappings, descriptors = held()
    for _ in range(100):
        run_ok(world, A, *script)
    assert held()[0] <= mappings + 3 * 20
    assert held()[1] <= descriptors


def test_pages_that_are_read_through_frames_are_in_the_trace() -> None:
    world = World(tracker=SHARING[0], trace="pages")
    if SHARING[0] != "userfaultfd":
        pytest.skip("only userfaultfd knows the pages that were read")
    aliased(world)
    world.load_storage(A, "memory", b"x" * 4 * PAGE)
    receipt = run(
        world, A, Map(0, 0, 4 * PAGE), Get(2 * PAGE, 1), Call(A, (Map(0, 0, 4 * PAGE), Get(0, 1), Set(PAGE, b"y")))
    )
    assert receipt.trace is not None
    touched = [step.runs for call in receipt.trace for step in call.steps if isinstance(step, PagesTouched)]
    assert touched == [((2, 1),), ((0, 2),)]


def test_where_the_machine_cannot_it_is_refused_at_deployment_with_a_way_out() -> None:
    with pytest.raises(LinkError, match=r"aliased does not work here: .*'portable'.*paged does the same by copying"):
        aliased(World(tracker="portable"))


def test_a_world_from_a_machine_that_can_is_refused_call_by_call_where_it_cannot(tmp_path: Path) -> None:
    with World(tmp_path / "world") as world:
        aliased(world)
        run_ok(world, A, Map(0, 0, 8), Set(0, b"kept"))
    with World(tmp_path / "world", tracker="portable") as world:
        receipt = run(world, A, Map(0, 0, 8))
        assert isinstance(receipt.error, LinkError)
        assert storage_of(world, A, 0, 4) == b"kept"


def test_durable_worlds_keep_what_is_written_through_frames(tmp_path: Path) -> None:
    with World(tmp_path / "world") as world:
        aliased(world)
        run_ok(world, A, Map(0, 0, 8), Set(0, b"kept"), Map(PAGE, 2 * WASM_PAGE, 8), Set(PAGE, b"far"))
        root = world.state_root
    with World(tmp_path / "world") as world:
        assert world.state_root == root
        assert world.account(A).mapping == StorageMapping("aliased")
        assert run_ok(world, A, Map(0, 2 * WASM_PAGE, 8), Get(0, 3), Map(PAGE, 0, 8), Get(PAGE, 4)) == [b"far", b"kept"]


EXPORTS_STORAGE = """
(module
  (import "ethereum" "storageMap" (func $map (param i32 i32 i32)))
  (import "storage" "other" (memory $other 1))
  (export "memory" (memory $other))
  (func (export "main") (call $map (i32.const 0) (i32.const 0) (i32.const 8))))
"""


def test_storage_cannot_show_other_storage(world: World) -> None:
    world.deploy(EXPORTS_STORAGE, address=A, mapping="aliased")
    receipt = world.transact(A)
    assert "the memory of the contract is storage itself" in str(receipt.error)


def test_a_machine_that_has_no_room_for_frames_ends_the_transaction(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    aliased(world)
    run_ok(world, A, Map(0, 0, 8), Set(0, b"kept"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(12, "mmap: Cannot allocate memory")

    with monkeypatch.context() as patched:
        patched.setattr("storagemod.pages._libc.map_shared", refuse)
        with pytest.raises(StateError, match=r"storage cannot be shared: .*Cannot allocate memory"):
            run(world, A, Map(0, 0, 8), Set(0, b"lost"))
    assert run_ok(world, A, Map(0, 0, 8), Get(0, 4)) == [b"kept"]
