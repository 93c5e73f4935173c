"""Regions whose memories have pages of one byte: they are as long as the contract says, to the byte."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod import Limits, LinkError, Outcome, TrapError, ValidationError, World
from storagemod.events import StorageGrown, StorageWritten
from storagemod.pages import BACKENDS, PAGE_BYTES, why_unavailable
from storagemod.types import WASM_PAGE_BYTES, Address

TRACKERS = tuple(name for name, backend in BACKENDS.items() if why_unavailable(backend) is None)

BYTES_MIN, BYTES_MAX = 100, 200_000

ME = Address(0xC)

CONTRACT = """(module
  (import "storage" "log" (memory $log {width}{least} {most} (pagesize 1)))
  (import "contract:me" "put_and_trap?" (func $put_and_trap (param {at} {at} i32) (result i32)))
  (import "contract:me" "put" (func $put_again (param {at} i32)))
  (memory $own (export "memory") 1)
  (func (export "size") (result {at}) (memory.size $log))
  (func $grow (export "grow") (param {at}) (result {at}) (memory.grow $log (local.get 0)))
  (func (export "get") (param {at}) (result i64) (i64.load $log (local.get 0)))
  (func (export "get_byte") (param {at}) (result i32) (i32.load8_u $log (local.get 0)))
  (func (export "set") (param {at} i64) (i64.store $log (local.get 0) (local.get 1)))
  (func $put (export "put") (param {at} i32) (i32.store8 $log (local.get 0) (local.get 1)))
  (func (export "put_twice") (param {at} i32)
    (call $put_again (local.get 0) (local.get 1))
    (call $put (local.get 0) (i32.add (i32.load8_u $log (local.get 0)) (i32.const 1))))
  (func (export "put_and_trap") (param $grown {at}) (param $at {at}) (param $value i32)
    (drop (call $grow (local.get $grown)))
    (call $put (local.get $at) (local.get $value))
    (unreachable))
  (func (export "get_in_hole") (param $grown {at}) (param $at {at}) (result i32)
    (drop (call $put_and_trap (local.get $grown) (local.get $at) (i32.const 255)))
    (i32.load8_u $log (local.get $at)))
  (func (export "put_in_hole") (param $grown {at}) (param $at {at}) (result i32)
    (drop (call $put_and_trap (local.get $grown) (local.get $at) (i32.const 255)))
    (call $put (local.get $at) (i32.const 7))
    (i32.const 1))
  (func (export "grow_over_hole") (param $grown {at}) (param $more {at}) (result {at})
    (drop (call $put_and_trap (local.get $grown) ({at}.const 0) (i32.const 255)))
    (call $grow (local.get $more)))
  {extra})"""

FILL = """(func (export "fill") (param {at} i32 {at})
    (memory.fill $log (local.get 0) (local.get 1) (local.get 2)))"""


def source(at: str = "i32", *, bulk: bool = False, least: int = BYTES_MIN, most: int | str = BYTES_MAX) -> str:
    """Return the contract. With ``bulk`` it has an instruction that is carried out where pages cannot be protected."""
    extra = FILL.format(at=at) if bulk else ""
    return CONTRACT.format(width="i64 " if at == "i64" else "", at=at, extra=extra, least=least, most=most)


def deploy(world: World, code: str | None = None, **arguments: object) -> Address:
    return world.deploy(source() if code is None else code, address=ME, links={"me": ME}, **arguments)  # type: ignore[arg-type]


@pytest.fixture(params=["i32", "i64"])
def at(request: pytest.FixtureRequest) -> str:
    """The type of addresses."""
    name: str = request.param
    return name


@pytest.fixture(params=[False, True], ids=["plain", "bulk"])
def bulk(request: pytest.FixtureRequest) -> bool:
    found: bool = request.param
    return found


def test_an_access_beyond_the_last_byte_traps_and_one_before_it_does_not(tracker: str, at: str, bulk: bool) -> None:
    world = World(tracker=tracker)
    contract = deploy(world, source(at, bulk=bulk))
    view = world.storage(contract)["log"]
    assert (len(view), view.pages) == (BYTES_MIN, 1)
    assert world.transact(contract, "put", 99, 7).ok
    assert world.transact(contract, "set", 92, 2**62 + 1).ok
    for method, *arguments in (("put", 100, 0), ("set", 93, 0), ("get", 93), ("get_byte", 100), ("get_byte", 4_095)):
        error = world.transact(contract, method, *arguments).error
        assert isinstance(error, TrapError)
        assert error.code == "memory_out_of_bounds"
    assert view[:] == bytes(92) + (2**62 + 1).to_bytes(8, "little")


def test_growth_is_by_bytes_and_gives_the_length_before(tracker: str, at: str, bulk: bool) -> None:
    world = World(tracker=tracker)
    contract = deploy(world, source(at, bulk=bulk))
    view = world.storage(contract)["log"]
    length = BYTES_MIN
    for more in (0, 1, 3_995, 1, 61_437, 3, 100_000):
        assert world.transact(contract, "grow", more).value == length
        length += more
        assert (world.transact(contract, "size").value, len(view)) == (length, length)
        assert world.transact(contract, "put", length - 1, 1).ok
        assert not world.transact(contract, "put", length, 1).ok
    assert world.transact(contract, "grow", BYTES_MAX - length + 1).value == -1
    assert world.transact(contract, "grow", BYTES_MAX - length).value == length
    assert world.transact(contract, "grow", 1).value == -1
    assert len(view) == BYTES_MAX


def test_limits_are_in_wasm_pages_and_hold_for_bytes() -> None:
    world = World(limits=Limits(storage_pages_max=2))
    contract = deploy(world)
    assert world.transact(contract, "grow", 2 * WASM_PAGE_BYTES - BYTES_MIN + 1).value == -1
    assert world.transact(contract, "grow", 2 * WASM_PAGE_BYTES - BYTES_MIN).value == BYTES_MIN
    with pytest.raises(ValidationError, match='"log" is too long: wanted 131,073 bytes at least, offered 131,072 at'):
        World(limits=Limits(storage_pages_max=2)).deploy(source(least=2 * WASM_PAGE_BYTES + 1))


def signed(value: int) -> int:
    """The number of 32 bits as wasm's i32 is written, from -2**31."""
    return value - 2**32 if value >= 2**31 else value


def test_growth_uses_one_unit_of_gas_for_each_page_which_is_a_byte_here() -> None:
    world = World()
    contract = deploy(world)
    little, much = (world.call(contract, "grow", more).gas_used for more in (10, 10_010))
    assert much - little == 10_000


@pytest.mark.parametrize("at", ["i32", "i64"])
def test_a_region_is_four_gigabytes_long_at_most_or_a_wasm_page_less(at: str) -> None:
    world = World(limits=Limits(storage_pages_max=65_536))
    contract = deploy(world, source(at, most="" if at == "i64" else 2**32 - 1))
    most = 2**32 if at == "i64" else 2**32 - WASM_PAGE_BYTES
    too_much, enough = (signed(most - BYTES_MIN + each) if at == "i32" else most - BYTES_MIN + each for each in (1, 0))
    assert world.transact(contract, "grow", too_much).value == -1
    assert world.transact(contract, "grow", enough, gas=2**33).value == BYTES_MIN
    last = signed(most - 1) if at == "i32" else most - 1
    assert world.transact(contract, "put", last, 9).ok
    assert len(world.storage(contract)["log"]) == most
    assert world.storage(contract)["log"][most - 1] == 9


def test_what_a_failed_call_grew_is_given_back_to_the_byte(tracker: str, at: str, bulk: bool) -> None:
    """A memory cannot shrink. What is beyond the length reads as zeros, and a write there fails its call: no protection
    of pages ends at a byte, so it is found afterwards under every tracker."""
    world = World(tracker=tracker)
    contract = deploy(world, source(at, bulk=bulk))
    view = world.storage(contract)["log"]
    for grown in (1, 50, 10_000, 70_000):
        for place in {100, 100 + grown // 2, 99 + grown}:
            assert world.transact(contract, "get_in_hole", grown, place).value == 0
            error = world.transact(contract, "put_in_hole", grown, place).error
            assert isinstance(error, TrapError)
            assert "beyond the length of the region" in error.message
            assert view[:] == bytes(BYTES_MIN)
        error = world.transact(contract, "get_in_hole", grown, 100 + grown).error
        assert isinstance(error, TrapError)  # there is no memory
        assert world.transact(contract, "put_in_hole", grown, 99).value == 1  # before the length
        world.load_storage(contract, "log", b"\0", offset=99)
    assert world.call(contract, "grow_over_hole", 50, 7).value == BYTES_MIN + 50  # as `memory.grow` answers
    assert world.transact(contract, "size").value == len(view) == BYTES_MIN


def test_a_reentrant_call_shares_the_bytes(tracker: str) -> None:
    world = World(tracker=tracker)
    contract = deploy(world)
    assert world.transact(contract, "put_twice", 99, 4).ok
    assert world.storage(contract)["log"][99] == 5


def test_instructions_that_the_host_carries_out_end_at_the_byte(tracker: str, at: str) -> None:
    world = World(tracker=tracker)
    contract = deploy(world, source(at, bulk=True))
    assert world.transact(contract, "fill", 90, 3, 10).ok
    assert not world.transact(contract, "fill", 90, 4, 11).ok
    assert world.storage(contract)["log"][:] == bytes(90) + b"\3" * 10


def test_a_static_call_does_not_write(tracker: str, bulk: bool) -> None:
    fill = "(func (memory.fill $log (i32.const 0) (i32.const 0) (i32.const 0)))" if bulk else ""
    caller = """(module (import "ethereum" "callStatic" (func $call (param i64 i32 i32 i32) (result i32)))
      (import "storage" "log" (memory $log 10 20 (pagesize 1)))
      (memory $own (export "memory") 1) (data (memory $own) (i32.const 19) "\\0c")
      (func (export "main") (i32.store8 $log (i32.const 9) (i32.const 1)))
      (func (export "call") (result i32) (call $call (i64.const 1000000) (i32.const 0) (i32.const 32) (i32.const 0)))
      """
    world = World(tracker=tracker, trace=True)
    world.deploy(caller + fill + ")", address=ME)
    receipt = world.transact(ME, "call")
    assert receipt.value == Outcome.FAILED
    assert "a static call wrote storage" in str(receipt.trace.calls[1].ended.error)  # type: ignore[union-attr]
    assert world.storage(ME)["log"][:] == bytes(10)


# What is told


def test_receipts_and_traces_count_in_bytes_and_end_where_the_region_does() -> None:
    world = World(trace=True)
    contract = deploy(world, source(least=99))
    receipt = world.transact(contract, "grow", 2)
    assert receipt.changes == {}
    (grown,) = (step for step in receipt.trace.root.steps if isinstance(step, StorageGrown))  # type: ignore[union-attr]
    assert grown == StorageGrown(0, contract, "log", 99, 101, 1)
    receipt = world.transact(contract, "put", 100, 9)
    (written,) = (step for step in receipt.trace.root.steps if isinstance(step, StorageWritten))  # type: ignore[union-attr]
    for (change,) in (receipt.changes[contract], written.changes):
        assert (change.region, change.offset, change.old, change.new) == ("log", 96, bytes(5), b"\0\0\0\0\t")


def test_lengths_are_state_and_page_sizes_are_not() -> None:
    """A region of whole Wasm pages has the root that it had before there were other page sizes."""
    by_pages = """(module (import "storage" "log" (memory $log 2))
      (func (export "run") (i32.store8 $log (i32.const 9) (i32.const 1))))"""
    by_bytes = by_pages.replace("2)", f"{2 * WASM_PAGE_BYTES} (pagesize 1))")
    roots = set()
    for code in (by_pages, by_bytes, by_bytes.replace("131072", "131071"), by_bytes.replace("131072", "131070")):
        world = World()
        world.transact(world.deploy(code, address=ME), "run")
        roots.add(world.state_root)
    assert len(roots) == 3


def test_presets_make_a_region_as_long_as_they_are() -> None:
    world = World()
    contract = deploy(world)
    view = world.storage(contract)["log"]
    with world.snapshot():
        world.load_storage(contract, "log", b"abc", offset=5_000)
        assert (len(view), view[4_999:]) == (5_003, b"\0abc")
        assert list(view.data()) == [(PAGE_BYTES, bytes(904) + b"abc")]
        assert repr(view) == "<region 'log' of 5,003 bytes>"
        assert world.transact(contract, "size").value == 5_003
    assert len(view) == world.transact(contract, "size").value == BYTES_MIN
    with pytest.raises(ValidationError, match=r"\[199999, 200001\) do not fit .* holds 200,000 bytes at most"):
        world.load_storage(contract, "log", b"ab", offset=BYTES_MAX - 1)


# What is refused


def test_two_page_sizes_for_one_region_are_refused() -> None:
    both = '(module (import "storage" "log" (memory 1)) (import "storage" "log" (memory 1 (pagesize 1))))'
    with pytest.raises(LinkError, match=r'"log" is imported twice .*wanted \(memory 1 \(pagesize 1\)\)'):
        World().deploy(both)
    mixed = """(module (import "storage" "memory" (memory 1 (pagesize 1)))
      (import "storage" "load_i64" (func (param i32) (result i64))))"""
    with pytest.raises(LinkError):
        World().deploy(mixed)


@pytest.mark.parametrize("size", [0, 2, 4_096, 131_072])
def test_other_page_sizes_are_refused(size: int) -> None:
    with pytest.raises(ValidationError, match="invalid custom page size") as refused:
        World().deploy(f'(module (import "storage" "log" (memory 1 (pagesize {size}))))')
    assert str(refused.value).startswith("contract:1:") or "write (pagesize 1), or leave" in str(refused.value)


def test_the_usual_page_size_may_be_written_down() -> None:
    world = World()
    contract = world.deploy('(module (import "storage" "log" (memory 1 2 (pagesize 65536))))')
    assert len(world.storage(contract)["log"]) == WASM_PAGE_BYTES


def test_a_memory_of_the_contracts_own_has_pages_of_the_usual_size() -> None:
    with pytest.raises(ValidationError, match=r"expected pages of 65,536 bytes .* got \(memory 5 \(pagesize 1\)\)"):
        World().deploy('(module (memory (export "memory") 5 (pagesize 1)))')


def test_a_window_has_pages_of_the_usual_size() -> None:
    with pytest.raises(LinkError, match=r"expected a window of Wasm pages .* got \(memory 1 \(pagesize 1\)\)"):
        World().deploy('(module (import "storage" "window" (memory 1 (pagesize 1))))')


def test_code_that_counts_in_wasm_pages_cannot_have_a_part_of_one(tracker: str) -> None:
    """The storage of an account stays when its code is set."""
    world = World(tracker=tracker)
    contract = deploy(world)
    code = '(module (import "storage" "log" (memory $log 0 4)) (func (export "size") (result i32) (memory.size $log)))'
    other = World()
    wasm = other.account(other.deploy(code)).code
    world.set_account(contract, code=wasm)
    receipt = world.transact(contract, "size")
    assert '"log" is 100 bytes long' in str(receipt.error)
    assert "(pagesize 1)" in str(receipt.error)
    world.load_storage(contract, "log", b"\0", offset=WASM_PAGE_BYTES - 1)
    assert world.transact(contract, "size").value == 1


@pytest.mark.parametrize("lengths", ["0", "0 4", "0 60000"])
def test_foreign_code_with_another_page_size_is_refused_the_storage(lengths: str) -> None:
    caller = """(module (import "storage" "log" (memory 0 262144 (pagesize 1)))
      (import "ethereum" "callDelegate" (func $call (param i64 i32 i32 i32) (result i32)))
      (memory $own (export "memory") 1) (data (memory $own) (i32.const 19) "\\0d")
      (func (export "run") (result i32) (call $call (i64.const 100000) (i32.const 0) (i32.const 32) (i32.const 0))))"""
    world = World(trace=True)
    world.deploy(f'(module (import "storage" "log" (memory {lengths})) (func (export "main")))', address=Address(0xD))
    receipt = world.transact(world.deploy(caller), "run")
    assert receipt.value == Outcome.FAILED
    assert "does not match the storage that it is to run on" in str(receipt.trace.calls[1].ended.error)  # type: ignore[union-attr]
    assert "(pagesize 1)" in str(receipt.trace.calls[1].ended.error)  # type: ignore[union-attr]


def test_host_functions_keep_to_the_bytes_of_storage_that_is_exported_as_memory(tracker: str) -> None:
    world = World(tracker=tracker)
    contract = world.deploy(
        """(module (import "storage" "log" (memory $log 40 80 (pagesize 1))) (export "memory" (memory $log))
          (import "ethereum" "getAddress" (func $address (param i32)))
          (func (export "run") (param i32) (call $address (local.get 0))))""",
        address=Address(2**160 - 1),
    )
    assert world.transact(contract, "run", 20).ok
    error = world.transact(contract, "run", 21).error
    assert isinstance(error, TrapError)
    assert "[0x15, 0x29) lie outside the memory of 0x28 bytes" in error.message
    assert world.storage(contract)["log"][:] == bytes(20) + b"\xff" * 20


# Anything, against a bytearray

near = st.sampled_from([-9, -8, -7, -1, 0, 1, 8, 100, 4_096])
"""Offsets from the end of the region."""
fixed = st.sampled_from([0, 1, 96, 4_088, 4_095, 4_096, 65_530, 65_536, 70_000])
places = st.tuples(st.booleans(), near, fixed)
growths = st.sampled_from([0, 1, 2, 7, 8, 50, 3_990, 4_096, 61_000, 65_536, BYTES_MAX])
steps = st.one_of(
    st.tuples(st.just("set"), places, st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("put"), places, st.integers(0, 255)),
    st.tuples(st.just("get"), places),
    st.tuples(st.just("grow"), growths),
    st.tuples(st.just("put_and_trap"), growths, places, st.integers(1, 255)),
    st.tuples(st.just("get_in_hole"), growths, places),
    st.tuples(st.just("put_in_hole"), growths, places),
    st.tuples(st.just("load_storage"), places, st.binary(min_size=1, max_size=9)),
    st.tuples(st.sampled_from(["undone", "reopen"])),
)


@contextmanager
def worlds() -> Iterator[list[tuple[World, str, str | None]]]:
    """A world in memory for each tracker, and two in directories, each with the contract."""
    with ExitStack() as stack:
        made: list[tuple[World, str, str | None]] = [(World(tracker=tracker), tracker, None) for tracker in TRACKERS]
        for tracker in (TRACKERS[0], TRACKERS[-1]):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="storagemod-bytes-"))
            made.append((World(folder, tracker=tracker, synchronous="normal"), tracker, folder))
        for world, *_ in made:
            deploy(world)
        try:
            yield made
        finally:
            for world, *_ in made:
                world.close()


def place_in(data: bytearray, is_near: bool, from_end: int, offset: int) -> int:
    return max(len(data) + from_end, 0) if is_near else offset


def expected_of(data: bytearray, name: str, *arguments: int) -> object:
    """Return what a method gives, ``None`` if it gives nothing, and ``TrapError`` if it fails; change the bytes."""
    grown = arguments[0] if name in {"put_and_trap", "get_in_hole", "put_in_hole"} else 0
    hole = grown if len(data) + grown <= BYTES_MAX else 0
    found: object = None
    match name, arguments:
        case "grow", (more,):
            found = -1
            if len(data) + more <= BYTES_MAX:
                found = len(data)
                data.extend(bytes(more))
        case "get", (place,) if place + 8 <= len(data):
            found = int.from_bytes(data[place : place + 8], "little", signed=True)
        case "set", (place, value) if place + 8 <= len(data):
            data[place : place + 8] = value.to_bytes(8, "little", signed=True)
        case "put", (place, value) if place < len(data):
            data[place] = value
        case "get_in_hole", (_, place) if place < len(data) + hole:
            found = data[place] if place < len(data) else 0
        case "put_in_hole", (_, place) if place < len(data):
            data[place] = 7
            found = 1
        case _:
            found = TrapError
    return found


@settings(max_examples=60)
@given(st.lists(steps, min_size=1, max_size=12))
def test_whatever_is_done_near_the_end_comes_out_as_for_a_bytearray(history: list[tuple[object, ...]]) -> None:
    data = bytearray(BYTES_MIN)
    with worlds() as made:
        for name, *drawn in history:
            arguments = [place_in(data, *each) if isinstance(each, tuple) else each for each in drawn]
            if name == "load_storage":
                place, written = arguments
                assert isinstance(place, int)
                assert isinstance(written, bytes)
                data.extend(bytes(max(place + len(written) - len(data), 0)))
                data[place : place + len(written)] = written
                for world, *_ in made:
                    world.load_storage(ME, "log", written, offset=place)
            elif name == "undone":
                for world, *_ in made:
                    with world.snapshot():
                        world.transact(ME, "grow", 5_000)
                        world.transact(ME, "set", len(data), -1)
                        world.transact(ME, "set", 3, -1)
            elif name == "reopen":
                for number, (world, tracker, folder) in enumerate(made):
                    if folder is not None:
                        world.close()
                        made[number] = (World(folder, tracker=tracker, synchronous="normal"), tracker, folder)
            else:
                expected = expected_of(data, str(name), *arguments)  # type: ignore[arg-type]
                for world, tracker, _ in made:
                    receipt = world.transact(ME, str(name), *arguments)  # type: ignore[arg-type]
                    if expected is TrapError:
                        assert isinstance(receipt.error, TrapError), (tracker, name, arguments)
                    else:
                        assert (receipt.error, receipt.value) == (None, expected), (tracker, name, arguments)
            for world, tracker, _ in made:
                assert world.storage(ME)["log"] == bytes(data), (tracker, name, arguments)
            assert len({world.state_root for world, *_ in made}) == 1
