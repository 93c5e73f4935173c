"""The sync policy `revision`: a call fails that would copy back a range which another call changed meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod import Address, Outcome, StorageMapping, World
from storagemod.errors import TrapError
from storagemod.trace import HazardKind
from storagemod.types import CallKind, SyncPolicy
from storagemod.vm.copied import CopiedMappings

from .mapper import WASM_PAGE, Call, Get, Map, Memory, Revert, Set, Storage, Trap, deploy, run, run_ok, storage_of

A, B = Address(0xA), Address(0xB)
REVISION = StorageMapping("copied", SyncPolicy.REVISION)


@pytest.fixture
def world(tracker: str) -> World:
    world = World(tracker=tracker)
    deploy(world, REVISION, address=A)
    return world


def copies() -> tuple[CopiedMappings, Memory, Storage]:
    """Mappings of a call, over storage that holds 0, 1, 2 and so on."""
    memory, storage = Memory(), Storage()
    storage.bytes[:] = range(256)
    return CopiedMappings(memory, storage, SyncPolicy.REVISION, None), memory, storage


# Over plain memories


def test_bytes_that_changed_are_copied_back_at_the_end_and_not_before() -> None:
    mappings, memory, storage = copies()
    mappings.map(0, 100, 8)
    memory.write(1, b"x")
    mappings.suspend()
    mappings.resume()
    assert storage.writes == []
    mappings.end()
    assert storage.writes == [(101, b"x")]


@pytest.mark.parametrize("at", [100, 101, 107])
def test_a_changed_copy_of_a_range_that_changed_in_storage_is_refused_wherever_either_changed(at: int) -> None:
    mappings, memory, storage = copies()
    mappings.map(0, 100, 8)
    memory.write(1, b"x")
    storage.bytes[at] = ord("y")
    with pytest.raises(TrapError, match=r"bytes \[0x64, 0x6c\) of storage have a newer revision") as refused:
        mappings.end()
    assert refused.value.code == "newer_revision"
    assert storage.writes == []


def test_the_same_bytes_written_by_two_calls_are_an_update_that_would_be_lost() -> None:
    """Both counted from 100 to 101: one of the counts would be missing."""
    mappings, memory, storage = copies()
    mappings.map(0, 100, 1)
    memory.write(0, bytes([101]))
    storage.bytes[100] = 101
    with pytest.raises(TrapError, match="newer revision"):
        mappings.end()


def test_a_copy_that_did_not_change_is_refused_by_nothing() -> None:
    mappings, memory, storage = copies()
    mappings.map(0, 100, 8)
    memory.write(0, b"x")
    memory.write(0, bytes([100]))
    storage.bytes[100] = 1
    mappings.end()
    assert storage.writes == []


def test_a_range_that_is_back_to_what_was_copied_has_its_old_revision() -> None:
    mappings, memory, storage = copies()
    mappings.map(0, 100, 8)
    storage.bytes[100] = 1
    storage.bytes[100] = 100
    memory.write(0, b"x")
    mappings.end()
    assert storage.writes == [(100, b"x")]


def test_each_range_has_a_revision_of_its_own() -> None:
    mappings, memory, storage = copies()
    mappings.map(0, 100, 4)
    mappings.map(4, 104, 4)
    memory.write(0, b"x")
    storage.bytes[104] = 1
    mappings.end()
    assert storage.writes == [(100, b"x")]


areas = st.lists(st.integers(1, 5), min_size=1, max_size=6)
changes = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 2)), max_size=6)


@settings(max_examples=300, derandomize=True, database=None)
@given(lengths=areas, own=changes, others=changes)
def test_it_is_refused_exactly_where_both_sides_of_one_range_changed(
    lengths: list[int], own: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    memory, storage = Memory(32), Storage(32)
    mappings = CopiedMappings(memory, storage, SyncPolicy.REVISION, None)
    at = 0
    ranges = []
    for length in lengths:
        mappings.map(at, at, length)
        ranges.append(range(at, at + length))
        at += length
    for changed, where in ((own, memory), (others, storage)):
        for offset, value in changed:
            where.bytes[offset] = value
    copy, before = bytes(memory.bytes), bytes(storage.bytes)
    conflict = any(any(copy[i] for i in each) and any(before[i] for i in each) for each in ranges)
    expected = bytes(copy[i] if i < at and copy[i] else before[i] for i in range(32))
    if conflict:
        with pytest.raises(TrapError, match="newer revision"):
            mappings.end()
    else:
        mappings.end()
        assert storage.bytes == expected


# Through worlds

MAP = Map(0, 0, 8)


def code_of(world: World, *script: object) -> str | None:
    receipt = run(world, A, *script)  # type: ignore[arg-type]
    return getattr(receipt.error, "code", None)


def test_a_call_that_would_undo_what_its_callee_wrote_fails_and_its_callee_is_undone_with_it(world: World) -> None:
    inner = Call(A, (MAP, Set(1, b"i")))
    assert code_of(world, MAP, Set(0, b"o"), inner) == "newer_revision"
    assert storage_of(world, A, 0, 8) == bytes(8)
    script = (Call(A, (MAP, Set(0, b"o"), inner)), MAP, Get(0, 2), Set(2, b"k"))
    assert run_ok(world, A, *script) == [(Outcome.FAILED, None), b"\0\0"]
    assert storage_of(world, A, 0, 3) == b"\0\0k"


def test_a_stale_copy_may_be_read_and_is_a_hazard(world: World) -> None:
    receipt = run(world, A, MAP, Call(A, (MAP, Set(0, b"i"))), Get(0, 1))
    assert receipt.ok
    assert receipt.output[-1:] == b"\0"
    assert storage_of(world, A, 0, 1) == b"i"
    assert receipt.trace is not None
    (found,) = receipt.trace.hazards
    assert (found.kind, found.undone) == (HazardKind.STALE_READ, False)


def test_an_update_that_is_refused_is_shown_as_a_stale_read_that_was_undone(world: World) -> None:
    receipt = run(world, A, MAP, Call(A, (MAP, Set(0, b"i"))), Set(0, b"o"))
    assert not receipt.ok
    assert receipt.trace is not None
    assert [(each.kind, each.undone) for each in receipt.trace.hazards] == [(HazardKind.STALE_READ, True)]


@pytest.mark.parametrize("ending", [Trap(), Revert(), Map(0, 0, 1)])
def test_what_an_undone_call_wrote_is_no_revision(world: World, ending: Trap | Revert | Map) -> None:
    run_ok(world, A, MAP, Call(A, (MAP, Set(0, b"i"), ending)), Set(0, b"o"))
    assert storage_of(world, A, 0, 1) == b"o"


def test_ranges_beyond_the_length_of_storage_have_revisions(world: World) -> None:
    far = Map(0, 2 * WASM_PAGE, 8)
    run_ok(world, A, far, Call(A, (far, Get(0, 1))), Set(0, b"o"))
    assert storage_of(world, A, 2 * WASM_PAGE, 2 * WASM_PAGE + 1) == b"o"
    far = Map(0, 4 * WASM_PAGE, 8)
    assert code_of(world, far, Call(A, (far, Set(0, b"i"))), Set(1, b"o")) == "newer_revision"
    assert world.storage(A)["memory"].pages == 3


@pytest.mark.parametrize("option", ["copied", "paged", "aliased"])
def test_code_of_another_contract_makes_revisions_whatever_its_option(option: str) -> None:
    world = World()
    deploy(world, REVISION, address=A)
    deploy(world, option, address=B)
    foreign = Call(B, (MAP, Set(1, b"f")), kind=CallKind.DELEGATE)
    assert code_of(world, MAP, Set(0, b"o"), foreign) == "newer_revision"
    run_ok(world, A, MAP, foreign)
    assert storage_of(world, A, 0, 2) == b"\0f"


def test_calls_one_after_another_see_each_other_and_fail_nowhere(world: World) -> None:
    count = (MAP, Get(0, 1))
    results = run_ok(world, A, Call(A, (*count, Set(0, b"1"))), Call(A, (*count, Set(0, b"2"))), *count, Set(0, b"3"))
    assert results == [(Outcome.OK, [b"\0"]), (Outcome.OK, [b"1"]), b"2"]
    assert storage_of(world, A, 0, 1) == b"3"
