"""`storageUnmap` and `storageSize` under the options that map storage into the contract's own memory."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storagemod import Limits, Outcome, StorageMapping, TrapError, World
from storagemod.events import StorageUnmapped
from storagemod.pages import BACKENDS, why_not_shared
from storagemod.trace import HazardKind
from storagemod.types import CallKind
from tests.vm.mapper import (
    WASM_PAGE,
    Call,
    Get,
    Map,
    Operation,
    Revert,
    Set,
    Size,
    Unmap,
    decode,
    deploy,
    encode,
    pages_of,
    run,
    run_ok,
    storage_of,
)

PAGE = 4_096
MAPPINGS = (
    StorageMapping("copied", "call"),
    StorageMapping("copied", "end"),
    StorageMapping("copied", "none"),
    StorageMapping("paged"),
    StorageMapping("paged", exclusive=True),
    StorageMapping("aliased"),
)
IN_LINE = tuple(each for each in MAPPINGS if each.sync == "call")
LIMITS = Limits(storage_pages_max=3)


def works(mapping: StorageMapping, tracker: str) -> bool:
    return mapping.option != "aliased" or why_not_shared(BACKENDS[tracker]) is None


@pytest.fixture(params=MAPPINGS, ids=str)
def mapping(request: pytest.FixtureRequest, tracker: str) -> StorageMapping:
    mapping: StorageMapping = request.param
    return mapping if works(mapping, tracker) else StorageMapping("paged")


@pytest.fixture
def world(tracker: str) -> World:
    return World(tracker=tracker, limits=LIMITS)


def test_what_was_written_stays_in_storage_and_zeros_are_left(world: World, mapping: StorageMapping) -> None:
    a = deploy(world, mapping)
    script = (Map(0, PAGE, PAGE), Set(8, b"\1"), Unmap(0), Get(0, 16), Set(8, b"\2"), Get(8, 1))
    assert run_ok(world, a, *script) == [bytes(16), b"\2"]
    assert storage_of(world, a, PAGE, PAGE + 16) == bytes(8) + b"\1" + bytes(7)


def test_both_places_can_be_mapped_anew(world: World, mapping: StorageMapping) -> None:
    a = deploy(world, mapping)
    script = (Map(0, 0, PAGE), Set(0, b"\1"), Unmap(0), Map(PAGE, 0, PAGE), Get(PAGE, 1), Map(0, PAGE, PAGE), Get(0, 1))
    assert run_ok(world, a, *script) == [b"\1", b"\0"]


@pytest.mark.parametrize("script", [(Unmap(0),), (Map(0, 0, PAGE), Unmap(PAGE)), (Map(0, 0, 8), Unmap(0), Unmap(0))])
def test_what_is_not_mapped_cannot_be_unmapped(
    world: World, mapping: StorageMapping, script: tuple[Operation, ...]
) -> None:
    receipt = run(world, deploy(world, mapping), *script)
    assert isinstance(receipt.error, TrapError)
    assert receipt.error.code == "storage_map"
    assert "storageUnmap: no mapping begins at byte" in str(receipt.error)


@pytest.mark.parametrize("option", ["paged", "aliased"])
def test_a_mapping_takes_out_the_pages_that_it_brought_in(world: World, tracker: str, option: str) -> None:
    if not works(StorageMapping(option), tracker):
        return
    a = deploy(world, option)
    overlapping = (Map(0, 0, 2 * PAGE), Map(PAGE, PAGE, 2 * PAGE), Set(PAGE, b"\1"), Set(2 * PAGE, b"\2"))
    assert run_ok(world, a, *overlapping, Unmap(PAGE), Get(PAGE, 1), Get(2 * PAGE, 1)) == [b"\1", b"\0"]
    assert run_ok(world, a, *overlapping, Unmap(0), Get(PAGE, 1), Get(2 * PAGE, 1)) == [b"\0", b"\2"]
    assert run_ok(world, a, Map(0, 0, PAGE), Map(0, 0, 3 * PAGE), Unmap(0), Get(2 * PAGE, 1)) == [b"\0"]


def test_a_call_that_is_undone_after_it_unmapped_leaves_nothing(world: World, mapping: StorageMapping) -> None:
    a = deploy(world, mapping)
    called = Call(a, (Map(0, 0, PAGE), Set(0, b"\1"), Unmap(0), Revert()))
    assert run_ok(world, a, called, Map(0, 0, PAGE), Get(0, 1)) == [(Outcome.REVERTED, None), b"\0"]


def test_a_static_call_may_not_unmap_what_it_changed(world: World, mapping: StorageMapping) -> None:
    a = deploy(world, mapping)
    for changed, outcome in ((b"\0", Outcome.OK), (b"\1", Outcome.FAILED)):
        writes = () if outcome is Outcome.OK else (Set(0, changed),)
        static = Call(a, (Map(0, 0, PAGE), *writes, Unmap(0), Get(0, 1)), kind=CallKind.STATIC)
        assert run_ok(world, a, static)[0][0] is outcome
    assert storage_of(world, a, 0, 1) == b"\0"


def test_the_length_of_storage_is_told_in_bytes(world: World, mapping: StorageMapping) -> None:
    a = deploy(world, mapping)
    longer = (Size(), Map(0, WASM_PAGE, PAGE), Size(), Set(8, b"\1"), Unmap(0), Size())
    assert run_ok(world, a, *longer) == [WASM_PAGE, WASM_PAGE, 2 * WASM_PAGE]
    assert pages_of(world, a) == 2
    assert run_ok(world, a, Size()) == [2 * WASM_PAGE]


def test_a_length_counts_what_is_kept_in_line_and_no_copy_that_is_not(world: World, mapping: StorageMapping) -> None:
    a = deploy(world, mapping)
    (length,) = run_ok(world, a, Map(0, WASM_PAGE, PAGE), Set(0, b"\1"), Size())
    assert length == (2 if mapping in IN_LINE else 1) * WASM_PAGE


def test_a_length_that_an_undone_call_made_is_not_told(world: World, mapping: StorageMapping) -> None:
    a = deploy(world, mapping)
    undone = Call(a, (Map(0, WASM_PAGE, PAGE), Set(0, b"\1"), Unmap(0), Size(), Revert()))
    assert run_ok(world, a, undone, Size())[1] == WASM_PAGE


def test_a_trace_says_what_was_unmapped() -> None:
    world = World()
    a = deploy(world, "paged")
    trace = run(world, a, Map(PAGE, 0, PAGE), Unmap(PAGE)).trace
    assert trace is not None
    (step,) = [step for record in trace for step in record.steps if isinstance(step, StorageUnmapped)]
    assert (step.option, step.memory_offset) == ("paged", PAGE)


@pytest.mark.parametrize("sync", ["end", "none"])
@pytest.mark.parametrize("ending", [(), (Unmap(0),), (Unmap(0), Map(0, 0, 8))])
def test_an_update_that_unmapping_lost_is_found(sync: str, ending: tuple[Operation, ...]) -> None:
    world = World()
    a = deploy(world, StorageMapping("copied", sync))
    inner = Call(a, (Map(0, 0, 8), Set(0, b"\2" * 8)))
    trace = run(world, a, Map(0, 0, 8), Get(0, 8), Set(0, b"\1" * 8), inner, *ending).trace
    assert trace is not None
    kinds = [HazardKind.STALE_READ, HazardKind.LOST_UPDATE, HazardKind.WRITE_AFTER_CALL]
    assert [hazard.kind for hazard in trace.hazards] == kinds


# Options that keep the rules agree

_slots = st.integers(0, 3)
_bytes = st.sampled_from([b"\0", b"\1", b"ab"])


@st.composite
def scripts(draw: st.DrawFn, depth: int = 2) -> tuple[Operation, ...]:
    """Scripts that map page by page, each page of storage in one place, as every option allows."""
    script: list[Operation] = []
    mapped: dict[int, int] = {}
    for _ in range(draw(st.integers(0, 7))):
        slot, page = draw(_slots), draw(st.sampled_from([0, 1, 15, 16]))
        kind = draw(st.sampled_from(["map", "map", "set", "set", "get", "unmap", "size", "call"]))
        if kind == "map" and slot not in mapped and page not in mapped.values():
            mapped[slot] = page
            script.append(Map(slot * PAGE, page * PAGE, PAGE))
        elif kind == "unmap" and slot in mapped:
            del mapped[slot]
            script.append(Unmap(slot * PAGE))
        elif kind == "set":
            script.append(Set(slot * PAGE + 7, draw(_bytes)))
        elif kind == "get":
            script.append(Get(slot * PAGE + 6, 4))
        elif kind == "size":
            script.append(Size())
        elif kind == "call" and depth:
            ending = draw(st.sampled_from([(), (), (Revert(),)]))
            script.append(Call(OWNER, (*draw(scripts(depth - 1)), *ending)))
    return tuple(script)


OWNER = deploy(World(limits=LIMITS))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scripts(), scripts())
def test_options_that_keep_copies_in_line_agree(
    tracker: str, first: tuple[Operation, ...], second: tuple[Operation, ...]
) -> None:
    seen = []
    for mapping in IN_LINE:
        if works(mapping, tracker):
            world = World(tracker=tracker, limits=LIMITS)
            assert deploy(world, mapping) == OWNER
            ended = [world.transact(OWNER, data=encode(*script)) for script in (first, second)]
            results = [decode(script, each.output) for script, each in zip((first, second), ended, strict=True)]
            seen.append((results, bytes(world.storage(OWNER)["memory"][0 : 2 * WASM_PAGE]), pages_of(world, OWNER)))
    assert all(each == seen[0] for each in seen)
