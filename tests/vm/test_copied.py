"""The linking option `copied`: storage copied into working memory, and back under each policy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod import Address, Limits, Outcome, StorageMapping, World
from storagemod.errors import LinkError, TrapError, ValidationError
from storagemod.pages import differing_bytes
from storagemod.state import SqlitePageStore
from storagemod.state.portable import export_state, import_state
from storagemod.types import CallKind, SyncPolicy
from storagemod.vm import GasSchedule
from storagemod.vm.copied import CopiedMappings

from .mapper import (
    MEMORY_BYTES,
    WASM_PAGE,
    Call,
    Get,
    Map,
    Memory,
    Revert,
    Set,
    Storage,
    Trap,
    deploy,
    pages_of,
    run,
    run_ok,
    storage_of,
)

A, B = Address(0xA), Address(0xB)

HeldBack: TypeAlias = Callable[[list[tuple[int, bytes, bytes]]], None]

every_policy = pytest.mark.parametrize("sync", SyncPolicy)
stale_policies = pytest.mark.parametrize("sync", [SyncPolicy.END, SyncPolicy.NONE])


@pytest.fixture
def world(tracker: str) -> World:
    return World(tracker=tracker)


def copies(
    sync: SyncPolicy = SyncPolicy.CALL, held_back: HeldBack | None = None
) -> tuple[CopiedMappings, Memory, Storage]:
    """Mappings of a call, over storage that holds 0, 1, 2 and so on."""
    memory, storage = Memory(), Storage()
    storage.bytes[:] = range(256)
    return CopiedMappings(memory, storage, sync, held_back), memory, storage


# Over plain memories


def test_a_range_is_copied_when_it_is_mapped() -> None:
    mappings, memory, _ = copies()
    mappings.map(100, 20, 4)
    assert memory.bytes[99:105] == bytes([0, 20, 21, 22, 23, 0])


@pytest.mark.parametrize(
    ("memory_offset", "storage_offset", "length", "where"),
    [
        (64, 128, 16, "memory"),  # the same range once more
        (200, 128, 16, "storage"),
        (64, 200, 16, "memory"),
        (79, 200, 1, "memory"),  # the last byte
        (49, 200, 16, "memory"),  # the first byte
        (0, 200, 56, None),
        (48, 200, 16, None),  # touching from below
        (80, 200, 16, None),  # touching from above
        (60, 200, 30, "memory"),  # around it
        (70, 200, 2, "memory"),  # inside it
        (200, 143, 1, "storage"),
        (200, 113, 16, "storage"),
        (200, 112, 16, None),
        (200, 144, 16, None),
        (200, 100, 56, "storage"),
        (200, 130, 2, "storage"),
    ],
)
def test_ranges_that_overlap_are_refused_and_those_that_touch_are_not(
    memory_offset: int, storage_offset: int, length: int, where: str | None
) -> None:
    mappings, _, _ = copies()
    mappings.map(64, 128, 16)
    if where is None:
        mappings.map(memory_offset, storage_offset, length)
        return
    with pytest.raises(TrapError, match=rf"bytes \[.*\) of {where} overlap \[.*\), which are mapped") as refused:
        mappings.map(memory_offset, storage_offset, length)
    assert refused.value.code == "storage_map"


@pytest.mark.parametrize("offset", [0, 70, 256, 2**32 - 1])
def test_a_length_of_zero_maps_nothing_wherever_it_is(offset: int) -> None:
    mappings, memory, storage = copies(SyncPolicy.NONE)
    mappings.map(64, 128, 16)
    storage.reads.clear()
    mappings.map(offset, offset, 0)
    assert storage.reads == []
    mappings.map(0, 0, 1)  # where a range of nothing would be in the way
    memory.write(64, b"x" * 16)
    mappings.end()
    assert len(storage.writes) == 2


@pytest.mark.parametrize(
    ("memory_offset", "storage_offset", "length", "code"),
    [
        (0, 256, 1, "storage_out_of_bounds"),
        (0, 250, 7, "storage_out_of_bounds"),
        (0, 2**32 - 1, 2**32 - 1, "storage_out_of_bounds"),
        (256, 0, 1, "memory_out_of_bounds"),
        (250, 0, 7, "memory_out_of_bounds"),
        (2**32 - 1, 0, 1, "memory_out_of_bounds"),
    ],
)
def test_a_range_outside_traps_before_anything_is_copied(
    memory_offset: int, storage_offset: int, length: int, code: str
) -> None:
    mappings, _, storage = copies()
    with pytest.raises(TrapError, match=r"^storageMap: bytes \[") as trapped:
        mappings.map(memory_offset, storage_offset, length)
    assert trapped.value.code == code
    assert storage.reads == []
    mappings.map(255, 255, 1)


@pytest.mark.parametrize("sync", [SyncPolicy.END, SyncPolicy.CALL])
def test_what_is_copied_back_is_the_bytes_that_changed_and_no_others(sync: SyncPolicy) -> None:
    mappings, memory, storage = copies(sync)
    mappings.map(0, 100, 20)
    mappings.map(32, 10, 4)
    memory.write(0, b"ab")
    memory.write(3, bytes([103]))  # what is there already
    memory.write(19, b"z")
    storage.bytes[101] = storage.bytes[110] = 7  # by a call that this one does not see
    mappings.end()
    assert storage.writes == [(100, b"ab"), (119, b"z")]
    assert storage.bytes[100:103] == b"ab" + bytes([102])
    assert storage.bytes[110] == 7


def test_under_none_everything_is_copied_back_changed_or_not() -> None:
    mappings, memory, storage = copies(SyncPolicy.NONE)
    mappings.map(0, 100, 4)
    memory.write(1, b"x")
    storage.bytes[100:104] = b"lost"
    mappings.suspend()
    mappings.resume()
    assert memory.bytes[:4] == bytes([100, ord("x"), 102, 103])
    assert storage.writes == []
    mappings.end()
    assert storage.bytes[100:104] == bytes([100, ord("x"), 102, 103])


def test_under_end_nothing_is_copied_at_calls() -> None:
    mappings, memory, storage = copies(SyncPolicy.END)
    mappings.map(0, 100, 4)
    memory.write(1, b"x")
    mappings.suspend()
    storage.bytes[100:104] = b"left"
    mappings.resume()
    assert storage.writes == []
    assert memory.bytes[:4] == bytes([100, ord("x"), 102, 103])
    mappings.end()
    assert storage.bytes[100:104] == b"lxft"


@pytest.mark.parametrize("sync", SyncPolicy)
def test_what_is_not_copied_back_before_a_call_is_told_with_what_was_copied_in(sync: SyncPolicy) -> None:
    told: list[list[tuple[int, bytes, bytes]]] = []
    mappings, memory, _ = copies(sync, told.append)
    mappings.map(0, 100, 4)
    mappings.map(32, 10, 2)
    memory.write(1, b"x")
    mappings.suspend()
    mappings.resume()
    memory.write(33, b"y")
    mappings.suspend()
    first, second = bytes([100, 101, 102, 103]), bytes([10, 11])
    changed = bytes([100, ord("x"), 102, 103])
    expected = [
        [(100, first, changed), (10, second, second)],
        [(100, first, changed), (10, second, bytes([10, ord("y")]))],
    ]
    assert told == ([] if sync is SyncPolicy.CALL else expected)


def test_under_call_copies_and_storage_are_in_line_at_every_call() -> None:
    mappings, memory, storage = copies(SyncPolicy.CALL)
    mappings.map(0, 100, 4)
    memory.write(1, b"x")
    mappings.suspend()
    assert storage.bytes[100:104] == bytes([100, ord("x"), 102, 103])
    storage.bytes[102:104] = b"yz"
    mappings.resume()
    assert memory.bytes[:4] == bytes([100, *b"xyz"])
    storage.writes.clear()
    mappings.suspend()
    mappings.resume()
    mappings.end()
    assert storage.writes == []


alike = st.binary(max_size=700).flatmap(
    lambda old: st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=8).map(
        lambda changes: (
            old,
            bytes(dict(c for c in changes if c[0] < len(old)).get(at, byte) for at, byte in enumerate(old)),
        )
    )
)


@settings(max_examples=200, derandomize=True, database=None)
@given(pair=alike)
def test_differing_bytes_are_those_that_differ_in_runs_as_long_as_can_be(pair: tuple[bytes, bytes]) -> None:
    old, new = pair
    runs = list(differing_bytes(old, new))
    assert [at for start, stop in runs for at in range(start, stop)] == [
        at for at in range(len(old)) if old[at] != new[at]
    ]
    assert all(stop < start for (_, stop), (start, _) in itertools.pairwise(runs))


def test_a_run_across_blocks_is_one() -> None:
    assert list(differing_bytes(bytes(600), bytes(200) + b"x" * 300 + bytes(100))) == [(200, 500)]
    assert list(differing_bytes(bytes(600), b"x" * 600)) == [(0, 600)]


# Through worlds: ranges and lengths


def test_ranges_that_touch_in_memory_and_storage_are_written_each_to_its_own_place(world: World) -> None:
    deploy(world, address=A)
    run_ok(world, A, Map(0, 8, 8), Map(8, 0, 8), Set(0, b"eight...zero...."))
    assert storage_of(world, A, 0, 16) == b"zero....eight..."


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (Map(15, 64, 8), r"bytes [0xf, 0x17) of memory overlap [0x8, 0x10), which are mapped already"),
        (Map(64, 0, 1), r"bytes [0x0, 0x1) of storage overlap [0x0, 0x8), which are mapped already"),
        (Map(8, 0, 8), r"bytes [0x8, 0x10) of memory overlap"),
    ],
)
def test_a_second_mapping_of_the_same_bytes_fails_the_call(second: Map, message: str) -> None:
    world = World()
    deploy(world, address=A)
    receipt = run(world, A, Map(8, 0, 8), Set(8, b"lost"), second)
    assert message in str(receipt.error)
    assert isinstance(receipt.error, TrapError)
    assert receipt.error.code == "storage_map"
    assert storage_of(world, A, 0, 8) == bytes(8)


def test_each_call_has_mappings_of_its_own(world: World) -> None:
    deploy(world, address=A)
    assert run_ok(world, A, Map(0, 0, 8), Call(A, (Map(0, 0, 8), Get(0, 1))), Get(0, 1)) == [
        (Outcome.OK, [b"\0"]),
        b"\0",
    ]


@pytest.mark.parametrize(
    ("mapping", "code", "message"),
    [
        (Map(MEMORY_BYTES, 0, 1), "memory_out_of_bounds", "storageMap: bytes [0x80000, 0x80001) lie outside"),
        (Map(MEMORY_BYTES - 1, 0, 2), "memory_out_of_bounds", "storageMap: bytes [0x7ffff, 0x80001) lie outside"),
        (Map(2**32 - 1, 0, 1), "memory_out_of_bounds", "storageMap: bytes [0xffffffff, 0x100000000) lie outside"),
        (Map(0, 2 * WASM_PAGE, 1), "storage_out_of_bounds", "what storage may be, 0x20000 bytes"),
        (Map(0, 2 * WASM_PAGE - 1, 2), "storage_out_of_bounds", "bytes [0x1ffff, 0x20001)"),
        (Map(0, 2**32 - 1, 2**32 - 1), "storage_out_of_bounds", "bytes [0xffffffff, 0x1fffffffe)"),
    ],
)
def test_a_range_that_leaves_memory_or_storage_fails_the_call(mapping: Map, code: str, message: str) -> None:
    world = World(limits=Limits(storage_pages_max=2))
    deploy(world, address=A)
    gas = 500_000_000  # mapping is paid for by its length before it is refused
    receipt = run(world, A, mapping, gas=gas)
    assert isinstance(receipt.error, TrapError)
    assert receipt.error.code == code
    assert message in str(receipt.error)
    assert receipt.gas_used == gas


def test_storage_beyond_its_length_is_read_as_zeros_and_stays_as_long_as_it_is(world: World) -> None:
    deploy(world, address=A)
    before = world.state_root
    world.load_storage(A, "memory", b"end", offset=WASM_PAGE - 3)
    root = world.state_root
    script = (Map(0, WASM_PAGE - 3, 100), Get(0, 8), Set(50, bytes(9)))
    assert run_ok(world, A, *script) == [b"end" + bytes(5)]
    assert pages_of(world, A) == 1
    assert root not in {before, world.state_root}  # the nonce has changed
    assert run(world, A, *script).changes == {}


@every_policy
@pytest.mark.parametrize(
    ("at", "data", "pages"),
    [
        (0, b"x", 1),
        (8, bytes(4), 1),
        (8, b"x", 2),
        (8, b"x" + bytes(WASM_PAGE), 2),
        (8 + WASM_PAGE, b"x", 3),
    ],
)
def test_storage_becomes_as_long_as_what_is_written_and_not_zero_needs(
    world: World, sync: SyncPolicy, at: int, data: bytes, pages: int
) -> None:
    deploy(world, StorageMapping("copied", sync), address=A)
    run_ok(world, A, Map(0, WASM_PAGE - 8, 8 + 2 * WASM_PAGE), Set(at, data))
    assert pages_of(world, A) == pages
    assert (
        storage_of(world, A, WASM_PAGE - 8, pages * WASM_PAGE)[at : at + len(data)]
        == (data[: (pages - 1) * WASM_PAGE + 8 - at])
    )


@every_policy
def test_a_mapping_that_lies_beyond_the_length_can_be_left_alone(world: World, sync: SyncPolicy) -> None:
    deploy(world, StorageMapping("copied", sync), address=A)
    assert run_ok(world, A, Map(0, 3 * WASM_PAGE, 8), Get(0, 8)) == [bytes(8)]
    assert pages_of(world, A) == 1


def test_growth_is_undone_with_the_call_that_fails(world: World) -> None:
    deploy(world, address=A)
    grow = (Map(0, WASM_PAGE, 8), Set(0, b"grown"))
    look = (Map(0, WASM_PAGE, 8), Get(0, 8))
    for ending in (Revert(), Trap()):
        script = (Call(A, (*grow, Call(B, ()), ending)), Call(A, look))
        (outcome, _), (_, seen) = run_ok(world, A, *script)
        assert outcome is not Outcome.OK
        assert seen == [bytes(8)]
        assert pages_of(world, A) == 1


def test_storage_can_grow_again_where_growth_was_undone(world: World) -> None:
    deploy(world, address=A)
    undone = (Map(0, 2 * WASM_PAGE, 8), Set(0, b"undone"), Call(B, ()), Revert())
    less = (Map(0, WASM_PAGE, 8), Set(0, b"grown"))
    look = (Map(0, 0, 3 * WASM_PAGE), Get(WASM_PAGE, 8), Get(2 * WASM_PAGE, 8))
    results = run_ok(world, A, Call(A, undone), Call(A, less), Call(A, look))
    assert results[2] == (Outcome.OK, [b"grown" + bytes(3), bytes(8)])
    assert pages_of(world, A) == 2
    assert storage_of(world, A, WASM_PAGE, WASM_PAGE + 8) == b"grown" + bytes(3)


def test_a_caller_sees_what_a_callee_made_storage_longer_by(world: World) -> None:
    deploy(world, address=A)
    grow = (Map(0, WASM_PAGE, 8), Set(0, b"grown"))
    assert run_ok(world, A, Map(0, WASM_PAGE, 8), Call(A, grow), Get(0, 5))[1] == b"grown"


# Through worlds: re-entry under each policy. Storage is 8 bytes, at first `........`; the outer call writes before it
# is re-entered and after.

_BEFORE = b"........"
_OUTER = (Map(0, 0, 8), Set(0, b"AA"))
_INNER = (Map(0, 0, 8), Get(0, 8), Set(1, b"BBB"), Get(0, 8))
_AFTER = (Get(0, 8), Set(6, b"a"))


@pytest.mark.parametrize(
    ("sync", "inner_found", "inner_left", "outer_found", "kept"),
    [
        (SyncPolicy.CALL, b"AA......", b"ABBB....", b"ABBB....", b"ABBB..a."),
        (SyncPolicy.END, b"........", b".BBB....", b"AA......", b"AABB..a."),  # byte 1 is lost, 2 and 3 are stale
        (SyncPolicy.NONE, b"........", b".BBB....", b"AA......", b"AA....a."),  # 1, 2 and 3 are lost
    ],
)
def test_what_a_reentrant_call_sees_and_leaves_byte_by_byte(
    world: World, sync: SyncPolicy, *, inner_found: bytes, inner_left: bytes, outer_found: bytes, kept: bytes
) -> None:
    deploy(world, StorageMapping("copied", sync), address=A)
    world.load_storage(A, "memory", _BEFORE)
    (outcome, inner), found = run_ok(world, A, *_OUTER, Call(A, _INNER), *_AFTER)
    assert outcome is Outcome.OK
    assert inner == [inner_found, inner_left]
    assert found == outer_found
    assert storage_of(world, A, 0, 8) == kept


@pytest.mark.parametrize(
    ("sync", "kept"),
    [(SyncPolicy.CALL, b"AA....a."), (SyncPolicy.END, b"AA....a."), (SyncPolicy.NONE, b"AA....a.")],
)
def test_nothing_of_a_reentrant_call_that_failed_is_seen(world: World, sync: SyncPolicy, kept: bytes) -> None:
    deploy(world, StorageMapping("copied", sync), address=A)
    world.load_storage(A, "memory", _BEFORE)
    for ending in (Revert(), Trap()):
        results = run_ok(world, A, *_OUTER, Call(A, (*_INNER, Call(B, ()), ending)), *_AFTER)
        assert results[1] == b"AA......" if ending == Revert() else b"AA....a."
        assert storage_of(world, A, 0, 8) == kept


@pytest.mark.parametrize(
    ("sync", "kept"), [(SyncPolicy.CALL, b"\x03"), (SyncPolicy.END, b"\x01"), (SyncPolicy.NONE, b"\x01")]
)
def test_writes_of_calls_inside_one_another_come_back_from_the_innermost_outwards(
    world: World, sync: SyncPolicy, kept: bytes
) -> None:
    """Byte 0 is written by all three, bytes 1 to 3 by one each."""
    deploy(world, StorageMapping("copied", sync), address=A)
    third = (Map(0, 0, 4), Set(0, b"\x03"), Set(3, b"\x03"))
    second = (Map(0, 0, 4), Set(0, b"\x02"), Set(2, b"\x02"), Call(A, third), Get(0, 4))
    results = run_ok(world, A, Map(0, 0, 4), Set(0, b"\x01"), Set(1, b"\x01"), Call(A, second), Get(0, 4))
    in_line = sync is SyncPolicy.CALL
    assert results == [
        (Outcome.OK, [(Outcome.OK, []), b"\x03\x01\x02\x03" if in_line else b"\x02\0\x02\0"]),
        b"\x03\x01\x02\x03" if in_line else b"\x01\x01\0\0",
    ]
    others = b"\0\0" if sync is SyncPolicy.NONE else b"\x02\x03"
    assert storage_of(world, A, 0, 4) == kept + b"\x01" + others


def test_copies_of_a_caller_are_in_line_whoever_its_callee_calls_back_through(world: World) -> None:
    deploy(world, address=A)
    deploy(world, StorageMapping("copied", SyncPolicy.END), address=B)
    inner = (Map(0, 0, 2), Get(0, 2), Set(1, b"i"))
    through = (Map(0, 0, 2), Set(0, b"B"), Call(A, inner), Get(0, 2))
    results = run_ok(world, A, Map(0, 0, 2), Set(0, b"o"), Call(B, through), Get(0, 2))
    assert results == [(Outcome.OK, [(Outcome.OK, [b"o\0"]), b"B\0"]), b"oi"]
    assert (storage_of(world, A, 0, 2), storage_of(world, B, 0, 2)) == (b"oi", b"B\0")


# Through worlds: static calls, delegate calls, failures


@every_policy
def test_a_static_call_whose_copy_did_not_change_succeeds(world: World, sync: SyncPolicy) -> None:
    deploy(world, StorageMapping("copied", sync), address=A)
    world.load_storage(A, "memory", b"kept")
    look = (Map(0, 0, 4), Get(0, 4), Set(0, b"KEPT"), Set(0, b"kept"), Call(B, ()), Map(8, WASM_PAGE, 8))
    assert run_ok(world, A, Call(A, look, kind=CallKind.STATIC)) == [
        (Outcome.OK, [b"kept", (Outcome.OK, [])]),
    ]


@every_policy
@pytest.mark.parametrize("storage", [0, WASM_PAGE - 2, WASM_PAGE])
def test_a_static_call_whose_copy_changed_fails(world: World, sync: SyncPolicy, storage: int) -> None:
    deploy(world, StorageMapping("copied", sync), address=A)
    change = (Map(0, storage, 4), Set(0, b"lost"))
    for script in (change, (*change, Call(B, ()))):
        (outcome, _), seen = run_ok(world, A, Call(A, script, kind=CallKind.STATIC), Map(0, storage, 4), Get(0, 4))
        assert (outcome, seen) == (Outcome.FAILED, bytes(4))
        assert pages_of(world, A) == 1
    receipt = run(world, A, Call(A, change, kind=CallKind.STATIC))
    assert receipt.trace is not None
    failed = receipt.trace.calls[1].ended
    assert failed is not None
    assert isinstance(failed.error, TrapError)
    assert failed.error.code == "static_write"


def test_a_static_call_that_wrote_its_copy_and_reverts_is_reverted(world: World) -> None:
    """It would have been stopped on shared storage; here nothing was written."""
    deploy(world, address=A)
    script = (Map(0, 0, 4), Set(0, b"lost"), Revert())
    assert run_ok(world, A, Call(A, script, kind=CallKind.STATIC)) == [(Outcome.REVERTED, None)]


@every_policy
def test_code_of_another_contract_maps_the_storage_that_it_runs_on(world: World, sync: SyncPolicy) -> None:
    """Whatever the policy of the code, the caller's copies are in line as its own policy wants it."""
    deploy(world, "copied", address=A)
    deploy(world, StorageMapping("copied", sync), address=B)
    foreign = (Map(8, 0, 4), Get(8, 4), Set(9, b"f"))
    results = run_ok(world, A, Map(0, 0, 4), Set(0, b"o"), Call(B, foreign, kind=CallKind.DELEGATE), Get(0, 4))
    assert results == [(Outcome.OK, [b"o\0\0\0"]), b"of\0\0"]
    assert storage_of(world, A, 0, 4) == b"of\0\0"
    assert storage_of(world, B, 0, 4) == bytes(4)


def delegating(world: World, storage: str) -> Address:
    """A contract with an import of storage, or none, that runs the code at ``B`` on its own storage."""
    callee = "".join(f"\\{byte:02x}" for byte in B)
    return world.deploy(
        f"""(module {storage}
          (import "ethereum" "callDelegate" (func $call (param i64 i32 i32 i32) (result i32)))
          (memory $memory (export "memory") 1)
          (data (memory $memory) (i32.const 0) "{callee}")
          (func (export "delegate") (result i32)
            (call $call (i64.const 1000000) (i32.const 0) (i32.const 0) (i32.const 0))))""",
        name="caller",
    )


@pytest.mark.parametrize(
    "storage",
    [
        '(import "storage" "memory" (memory $storage 1))',
        '(import "storage" "load_i64" (func (param i32) (result i64)))',
    ],
)
def test_code_that_maps_cannot_run_where_the_region_it_maps_is_the_contracts_own(world: World, storage: str) -> None:
    caller = delegating(world, storage)
    deploy(world, address=B)
    receipt = world.transact(caller, "delegate")
    assert receipt.value == Outcome.FAILED
    assert receipt.trace is not None
    ended = receipt.trace.calls[1].ended
    assert ended is not None
    assert isinstance(ended.error, LinkError)
    assert 'import "ethereum" "storageMap" does not match the storage that it is to run on' in str(ended.error)


@pytest.mark.parametrize(
    "storage",
    ['(import "storage" "balances" (memory 1))', '(import "ethereum" "storageLoad" (func (param i32 i32)))', ""],
)
def test_code_that_maps_brings_its_region_along_where_there_is_none(world: World, storage: str) -> None:
    caller = delegating(world, storage)
    world.deploy(
        """(module
          (import "ethereum" "storageMap" (func $map (param i32 i32 i32)))
          (memory (export "memory") 1)
          (func (export "main") (call $map (i32.const 0) (i32.const 0) (i32.const 8))
            (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1)))))""",
        address=B,
    )
    for _ in range(2):
        assert world.transact(caller, "delegate").value == Outcome.OK
    assert (storage_of(world, caller, 0, 1), storage_of(world, B, 0, 1)) == (b"\2", b"\0")


@every_policy
@pytest.mark.parametrize("ending", [Trap(), Revert()])
def test_nothing_is_kept_of_a_call_that_fails_after_it_wrote(
    world: World, sync: SyncPolicy, ending: Trap | Revert
) -> None:
    deploy(world, StorageMapping("copied", sync), address=A)
    receipt = run(world, A, Map(0, 0, 4), Set(0, b"lost"), Call(A, (Map(0, 0, 4), Get(0, 4))), ending, gas=1_000_000)
    assert not receipt.ok
    assert receipt.changes == {}
    assert storage_of(world, A, 0, 4) == bytes(4)
    assert (receipt.gas_used == 1_000_000) is isinstance(ending, Trap)


def test_mapping_is_charged_for_by_the_word_begun(world: World) -> None:
    deploy(world, address=A)
    nothing, *used = (run(world, A, Map(0, 0, length)).gas_used for length in (0, 1, 32, 33, 2 * WASM_PAGE))
    assert [gas - nothing for gas in used] == [GasSchedule().copy_word * words for words in (1, 1, 2, 4_096)]


# Mappings of accounts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"option": "single"}, "storage is mapped by one of copied, paged, aliased, not 'single'"),
        ({"option": None}, "storage is mapped by one of copied, paged, aliased"),
        ({"sync": "always"}, "there is no sync policy 'always' (there are: call, end, none, revision)"),
        ({"sync": None}, "there is no sync policy None"),
        *(
            ({"frame_bytes": size}, "a frame is a power of two of bytes from 8 to 65,536")
            for size in (0, 4, 7, 12, 4_097, 131_072, -8, 8.0, "8", True)
        ),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        StorageMapping(**arguments)  # type: ignore[arg-type]
    assert message in str(refused.value)


def test_a_mapping_of_a_contract_that_does_not_map_is_refused() -> None:
    world = World()
    with pytest.raises(ValidationError, match=r"it does not import ethereum\.storageMap"):
        world.deploy('(module (import "storage" "memory" (memory 1)))', mapping="copied")
    with pytest.raises(ValidationError, match="storage is mapped by one of copied, paged, aliased, not 'singel'"):
        deploy(world, "singel")


def test_a_contract_that_maps_is_copied_at_every_call_unless_told_otherwise() -> None:
    world = World()
    assert world.account(deploy(world)).mapping == StorageMapping("copied", SyncPolicy.CALL)
    assert world.account(world.deploy("(module)")).mapping is None


SETTINGS = [
    StorageMapping("copied", SyncPolicy.END),
    StorageMapping("copied", SyncPolicy.NONE),
    StorageMapping("paged", frame_bytes=64, exclusive="call"),
]


@pytest.mark.parametrize("mapping", SETTINGS, ids=str)
def test_a_mapping_lasts_as_long_as_its_account(tmp_path: Path, mapping: StorageMapping) -> None:
    with World(tmp_path / "world") as first:
        deploy(first, mapping, address=A)
    store = SqlitePageStore(tmp_path / "world", read_only=True)
    assert store.accounts[A].mapping == mapping
    export_state(store, tmp_path / "file")
    store.close()
    import_state(tmp_path / "file", tmp_path / "copy")
    with World(tmp_path / "copy") as copied:
        assert copied.account(A).mapping == mapping
        _, found = run_ok(copied, A, *_OUTER, Call(A, _INNER), *_AFTER)
    assert found == (b"ABBB" if mapping.option == "paged" else b"AA\0\0") + bytes(4)
