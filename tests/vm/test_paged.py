"""The linking option `paged`: frames of storage that the host keeps, and a page table for each call."""

from __future__ import annotations

import pytest

from storagemod import Address, Limits, Outcome, StorageMapping, World
from storagemod.errors import LimitError, TrapError
from storagemod.types import CallKind, ExclusivePolicy
from storagemod.vm import paged as page_table
from storagemod.vm.paged import Frame, FrameKey, FrameTable, PagedMappings, PageTable

from .mapper import (
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

FRAME_SIZES = [2**n for n in range(3, 17)]


@pytest.fixture
def world(tracker: str) -> World:
    return World(tracker=tracker)


def paging(
    table: FrameTable | None = None,
    *,
    frame_bytes: int = 16,
    exclusive: ExclusivePolicy = ExclusivePolicy.NONE,
    depth: int = 1,
) -> tuple[PagedMappings, Memory, Storage]:
    """A page table over storage that holds 0, 1, 2 and so on."""
    memory, storage = Memory(), Storage()
    storage.bytes[:] = range(256)
    owner = (A, "memory")
    frames = FrameTable() if table is None else table
    pages = PageTable(owner, frames, depth=depth, frame_bytes=frame_bytes, exclusive=exclusive)
    return PagedMappings(memory, storage, pages), memory, storage


def frame(index: int, frame_bytes: int = 16) -> FrameKey:
    return FrameKey(A, "memory", index, frame_bytes)


# Over plain memories


@pytest.mark.parametrize("length", [17, 31, 32])
def test_frames_are_mapped_whole_however_little_of_the_last_one_is_asked_for(length: int) -> None:
    mappings, memory, _ = paging()
    mappings.map(64, 32, length)
    assert memory.bytes[63:97] == bytes([0, *range(32, 64), 0])
    assert mappings.table.pages == {4: frame(2), 5: frame(3)}


@pytest.mark.parametrize(
    ("memory_offset", "storage_offset", "message"),
    [
        (8, 32, "page fault: byte 0x8 of memory is not where a page of 16 begins"),
        (32, 1, "page fault: byte 0x1 of storage is not where a page of 16 begins"),
        (2**32 - 1, 0, "page fault: byte 0xffffffff of memory"),
    ],
)
def test_an_offset_that_is_not_that_of_a_page_is_a_page_fault(
    memory_offset: int, storage_offset: int, message: str
) -> None:
    mappings, _, storage = paging()
    with pytest.raises(TrapError) as fault:
        mappings.map(memory_offset, storage_offset, 16)
    assert fault.value.code == "storage_map"
    assert message in str(fault.value)
    assert storage.reads == []


@pytest.mark.parametrize(
    ("memory_offset", "storage_offset", "length", "code"),
    [
        (0, 256, 1, "storage_out_of_bounds"),
        (0, 240, 17, "storage_out_of_bounds"),
        (0, 2**32 - 16, 2**32 - 1, "storage_out_of_bounds"),
        (256, 0, 1, "memory_out_of_bounds"),
        (240, 0, 17, "memory_out_of_bounds"),
        (2**32 - 16, 0, 16, "memory_out_of_bounds"),
    ],
)
def test_a_range_outside_is_a_page_fault_before_anything_is_mapped(
    memory_offset: int, storage_offset: int, length: int, code: str
) -> None:
    table = FrameTable()
    mappings, _, storage = paging(table)
    with pytest.raises(TrapError, match=r"^storageMap: page fault: bytes \[") as fault:
        mappings.map(memory_offset, storage_offset, length)
    assert fault.value.code == code
    assert (storage.reads, mappings.table.pages, table.frames) == ([], {}, {})
    mappings.map(240, 240, 1)


@pytest.mark.parametrize("offset", [0, 3, 256, 2**32 - 1])
def test_a_length_of_zero_maps_nothing_wherever_it_is(offset: int) -> None:
    mappings, _, storage = paging()
    mappings.map(offset, offset, 0)
    assert (storage.reads, mappings.table.pages) == ([], {})


def test_the_same_frame_in_the_same_page_is_mapped_once_and_keeps_what_was_written() -> None:
    mappings, memory, _ = paging(exclusive=ExclusivePolicy.CALL)
    mappings.map(0, 32, 16)
    memory.write(0, b"x")
    mappings.map(0, 32, 32)
    assert memory.bytes[0] == ord("x")
    assert mappings.table.pages == {0: frame(2), 1: frame(3)}


def test_a_page_that_stands_for_another_frame_is_refused() -> None:
    mappings, _, _ = paging()
    mappings.map(16, 32, 16)
    with pytest.raises(TrapError, match="page 1 of memory stands for frame 2 already") as refused:
        mappings.map(0, 0, 32)
    assert refused.value.code == "storage_map"


def test_of_two_pages_for_one_frame_the_one_further_on_in_memory_is_written_last() -> None:
    mappings, memory, storage = paging()
    mappings.map(48, 32, 16)
    mappings.map(16, 32, 16)
    memory.write(16, b"first")
    memory.write(48, b"LAST")
    mappings.suspend()
    assert storage.bytes[32:38] == b"LAST" + bytes([36, 37])  # whole pages: the fifth byte of the first is gone too
    mappings.resume()
    assert memory.bytes[16:22] == memory.bytes[48:54] == storage.bytes[32:38]


def test_of_two_pages_for_one_frame_only_those_that_changed_are_written() -> None:
    mappings, memory, storage = paging()
    mappings.map(16, 32, 16)
    mappings.map(48, 32, 16)
    memory.write(16, b"first")
    mappings.suspend()
    assert storage.bytes[32:38] == b"first" + bytes([37])
    mappings.resume()
    assert memory.bytes[48:53] == b"first"
    mappings.end()
    assert len(storage.writes) == 1


def test_where_frames_are_exclusive_a_second_page_for_one_is_refused() -> None:
    mappings, _, _ = paging(exclusive=ExclusivePolicy.CALL)
    mappings.map(16, 32, 32)
    with pytest.raises(TrapError, match="frame 3 stands in page 2 already, and is exclusive") as refused:
        mappings.map(64, 48, 16)
    assert refused.value.code == "storage_map"
    mappings.map(64, 64, 16)


def test_pages_that_changed_are_written_whole_and_others_are_not() -> None:
    mappings, memory, storage = paging()
    mappings.map(0, 0, 64)
    memory.write(17, b"x")
    memory.write(40, bytes([40]))  # what is there already
    mappings.suspend()
    assert storage.writes == [(16, bytes([16, ord("x"), *range(18, 32)]))]
    mappings.resume()
    mappings.end()
    assert len(storage.writes) == 1


def test_frames_that_others_changed_are_brought_into_their_pages() -> None:
    mappings, memory, storage = paging()
    mappings.map(0, 0, 32)
    mappings.suspend()
    storage.bytes[20] = 99
    mappings.resume()
    assert memory.bytes[20] == 99
    mappings.end()
    assert storage.writes == []


def test_the_frame_table_lists_each_frame_once_and_whether_it_was_written() -> None:
    table = FrameTable()
    first, memory, _ = paging(table)
    first.map(0, 0, 48)
    memory.write(20, b"x")
    second, _, _ = paging(table)
    second.map(64, 32, 32)
    assert not any(each.dirty for each in table.frames.values())
    first.end()
    second.end()
    assert table.frames == {
        frame(0): Frame(dirty=False),
        frame(1): Frame(dirty=True),
        frame(2): Frame(dirty=False),
        frame(3): Frame(dirty=False),
    }


def test_frames_of_two_sizes_are_not_taken_for_one_another() -> None:
    """Code that runs on the storage of another contract brings its own size."""
    table = FrameTable()
    small, memory, _ = paging(table, frame_bytes=8)
    large, _, _ = paging(table, frame_bytes=32)
    small.map(0, 8, 8)
    large.map(0, 32, 32)
    memory.write(0, b"x")
    small.end()
    large.end()
    assert table.frames == {frame(1, 8): Frame(dirty=True), frame(1, 32): Frame(dirty=False)}


def test_a_page_table_that_would_be_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_table, "PAGES_MAX", 3)
    mappings, _, _ = paging()
    mappings.map(0, 0, 32)
    mappings.map(0, 0, 48)
    with pytest.raises(LimitError, match="a page table would have more than 3 pages"):
        mappings.map(64, 64, 16)


# Through worlds


@pytest.mark.parametrize("frame_bytes", FRAME_SIZES)
def test_frames_of_every_size_keep_what_is_written_at_their_edges(frame_bytes: int) -> None:
    world = World()
    deploy(world, StorageMapping("paged", frame_bytes=frame_bytes), address=A)
    first, last = b"f", b"l"
    write = (Map(0, 0, 2 * frame_bytes), Set(frame_bytes - 1, last + first), Call(A, (Map(0, 0, 1), Get(0, 8))))
    (outcome, _), seen = run_ok(world, A, *write, Get(frame_bytes - 1, 2))
    assert (outcome, seen) == (Outcome.OK, b"lf")
    assert storage_of(world, A, frame_bytes - 2, frame_bytes + 2) == b"\0lf\0"
    assert pages_of(world, A) == (2 if frame_bytes == WASM_PAGE else 1)
    receipt = run(world, A, Map(0, frame_bytes, 1), Map(frame_bytes, frame_bytes // 2, 1))
    assert "page fault" in str(receipt.error)


@pytest.mark.parametrize("frame_bytes", [8, 4_096])
def test_what_a_reentrant_call_writes_is_seen_and_kept_even_in_the_same_frame(world: World, frame_bytes: int) -> None:
    deploy(world, StorageMapping("paged", frame_bytes=frame_bytes), address=A)
    world.load_storage(A, "memory", b"........")
    inner = (Map(0, 0, 8), Get(0, 8), Set(1, b"BBB"), Get(0, 8))
    results = run_ok(world, A, Map(0, 0, 8), Set(0, b"AA"), Call(A, inner), Get(0, 8), Set(6, b"a"))
    assert results == [(Outcome.OK, [b"AA......", b"ABBB...."]), b"ABBB...."]
    assert storage_of(world, A, 0, 8) == b"ABBB..a."


def test_a_frame_that_a_callee_changed_is_in_the_pages_of_every_call_above(world: World) -> None:
    deploy(world, StorageMapping("paged", frame_bytes=8), address=A)
    deploy(world, "copied", address=B)
    third = (Map(0, 0, 8), Get(0, 3), Set(2, b"3"))
    second = (Map(64, 0, 8), Get(64, 3), Set(65, b"2"), Call(B, (Call(A, third),)), Get(64, 3))
    results = run_ok(world, A, Map(0, 0, 16), Set(0, b"1"), Call(A, second), Get(0, 3))
    assert results == [
        (Outcome.OK, [b"1\0\0", (Outcome.OK, [(Outcome.OK, [b"12\0"])]), b"123"]),
        b"123",
    ]


@pytest.mark.parametrize("ending", [Revert(), Trap()])
def test_frames_are_as_before_where_the_call_that_changed_them_failed(world: World, ending: Revert | Trap) -> None:
    deploy(world, StorageMapping("paged", frame_bytes=8), address=A)
    inner = (Map(0, 0, 8), Set(1, b"lost"), Map(8, WASM_PAGE, 8), Set(8, b"lost"), Call(B, ()), ending)
    look = (Map(0, 0, 8), Get(0, 8))
    results = run_ok(world, A, Map(0, 0, 8), Set(0, b"1"), Call(A, inner), Get(0, 8), Call(A, look))
    assert results[1:] == [b"1" + bytes(7), (Outcome.OK, [b"1" + bytes(7)])]
    assert pages_of(world, A) == 1


def test_frames_beyond_the_length_are_zeros_and_make_storage_longer_when_they_are_not(world: World) -> None:
    deploy(world, "paged", address=A)
    assert run_ok(world, A, Map(0, 3 * WASM_PAGE, 1), Set(0, bytes(4_096)), Get(0, 8)) == [bytes(8)]
    assert pages_of(world, A) == 1
    run_ok(world, A, Map(0, 0, 4 * WASM_PAGE), Set(2 * WASM_PAGE, b"x"))
    assert pages_of(world, A) == 3
    assert storage_of(world, A, WASM_PAGE, 3 * WASM_PAGE) == bytes(WASM_PAGE) + b"x" + bytes(WASM_PAGE - 1)


def test_a_page_fault_beyond_what_storage_may_be_fails_the_call() -> None:
    world = World(limits=Limits(storage_pages_max=2))
    deploy(world, "paged", address=A)
    receipt = run(world, A, Map(0, 2 * WASM_PAGE - 4_096, 4_097), gas=12_345)
    assert isinstance(receipt.error, TrapError)
    assert receipt.error.code == "storage_out_of_bounds"
    assert "page fault: bytes [0x1f000, 0x21000) lie outside what storage may be, 0x20000 bytes" in str(receipt.error)
    assert receipt.gas_used == 12_345


def test_a_static_call_fails_by_a_changed_page_and_not_by_an_unchanged_one(world: World) -> None:
    deploy(world, StorageMapping("paged", frame_bytes=64), address=A)
    look = (Map(0, 0, 8), Get(0, 8), Set(0, b"x"), Set(0, b"\0"), Call(B, ()), Map(64, WASM_PAGE, 64))
    lengthen = (Map(64, WASM_PAGE, 64), Set(64, b"x"))
    scripts = (look, (*look, Set(63, b"x")), (*look, Set(63, b"x"), Call(B, ())), lengthen)
    results = run_ok(world, A, *(Call(A, script, kind=CallKind.STATIC) for script in scripts))
    assert [outcome for outcome, _ in results] == [Outcome.OK, Outcome.FAILED, Outcome.FAILED, Outcome.FAILED]
    assert storage_of(world, A, 0, WASM_PAGE) == bytes(WASM_PAGE)
    assert pages_of(world, A) == 1


@pytest.mark.parametrize(
    "mappings",
    [
        (StorageMapping("paged"), StorageMapping("copied", "end")),
        (StorageMapping("paged"), StorageMapping("paged", frame_bytes=8, exclusive="call")),
        (StorageMapping("copied"), StorageMapping("paged", frame_bytes=8)),
    ],
    ids=str,
)
def test_code_of_another_contract_maps_its_callers_storage_in_its_own_way(
    world: World, mappings: tuple[StorageMapping, StorageMapping]
) -> None:
    own, foreign = mappings
    deploy(world, own, address=A)
    deploy(world, foreign, address=B)
    script = (Map(4_096, 0, 8), Get(4_096, 3), Set(4_097, b"f"))
    results = run_ok(world, A, Map(0, 0, 8), Set(0, b"o"), Call(B, script, kind=CallKind.DELEGATE), Get(0, 3))
    assert results == [(Outcome.OK, [b"o\0\0"]), b"of\0"]
    assert (storage_of(world, A, 0, 3), storage_of(world, B, 0, 3)) == (b"of\0", bytes(3))


@pytest.mark.parametrize("option", ["copied", "paged"])
def test_contracts_with_different_options_call_each_other(world: World, option: str) -> None:
    """Each sees its own storage as the other's callee left it, and nothing of the other's."""
    deploy(world, StorageMapping(option, frame_bytes=8), address=A)
    deploy(world, "paged" if option == "copied" else "copied", address=B)
    back = (Map(0, 0, 8), Get(0, 2), Set(1, b"2"))
    there = (Map(0, 0, 8), Get(0, 2), Set(0, b"B"), Call(A, back), Get(0, 2))
    results = run_ok(world, A, Map(0, 0, 8), Set(0, b"1"), Call(B, there), Get(0, 2))
    assert results == [(Outcome.OK, [b"\0\0", (Outcome.OK, [b"1\0"]), b"B\0"]), b"12"]
    assert (storage_of(world, A, 0, 2), storage_of(world, B, 0, 2)) == (b"12", b"B\0")


def test_a_second_page_for_a_frame_fails_the_call_where_frames_are_exclusive() -> None:
    world = World()
    script = (Map(0, 0, 8), Map(64, 0, 8), Set(0, b"first"), Set(64, b"last!"))
    deploy(world, StorageMapping("paged", frame_bytes=64, exclusive="call"), address=A)
    deploy(world, StorageMapping("paged", frame_bytes=64), address=B)
    assert "frame 0 stands in page 0 already, and is exclusive" in str(run(world, A, *script).error)
    assert storage_of(world, A, 0, 5) == bytes(5)
    run_ok(world, B, *script)
    assert storage_of(world, B, 0, 5) == b"last!"


def test_many_small_frames_can_be_mapped_and_be_exclusive() -> None:
    world = World(trace=False)
    deploy(world, StorageMapping("paged", frame_bytes=8, exclusive="call"), address=A)
    assert run_ok(world, A, Map(0, 0, 4 * WASM_PAGE), Set(0, b"x"), Get(0, 1)) == [b"x"]
