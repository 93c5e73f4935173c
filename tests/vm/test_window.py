"""The option `window`: storage mapped into a memory of the storage module, against a model in plain Python."""

from __future__ import annotations

import copy

import attrs
import pytest
from attrs import Factory, define
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storagemod import Address, Limits, LinkError, Outcome, Receipt, StorageMapping, TrapError, ValidationError, World
from storagemod.events import StorageMapped, StorageUnmapped, TablesShown
from storagemod.pages import BACKENDS, why_not_shared, why_unavailable
from storagemod.types import CallKind
from storagemod.vm import Contract, GasSchedule, storage_module_wat
from tests.vm.mapper import (
    WINDOW_PAGES,
    Call,
    Get,
    Map,
    Operation,
    Result,
    Revert,
    Set,
    Size,
    Trap,
    Unmap,
    decode,
    deploy,
    encode,
    pages_of,
    run,
    run_ok,
    storage_of,
    window_mapper,
)

PAGE, WASM_PAGE = 4_096, 65_536
WINDOW_BYTES = WINDOW_PAGES * WASM_PAGE
LIMITS = Limits(storage_pages_max=3, call_depth_max=8)
TRACKERS = [name for name, backend in BACKENDS.items() if why_unavailable(backend) is None]
FAULTS = [name for name in TRACKERS if why_not_shared(BACKENDS[name]) is None]
"""Trackers under which an access to what is not mapped faults."""
STATIC, DELEGATE = CallKind.STATIC, CallKind.DELEGATE


def windowed(world: World, *, bulk: bool = False) -> Address:
    return world.deploy(window_mapper(bulk=bulk), name="windowed")


@pytest.fixture
def world(tracker: str) -> World:
    return World(tracker=tracker, limits=LIMITS)


def code_of(receipt: Receipt) -> str:
    assert isinstance(receipt.error, TrapError)
    return receipt.error.code


# What a mapping shows


def test_what_is_written_through_a_window_is_storage(world: World) -> None:
    a = windowed(world)
    run_ok(world, a, Map(2 * PAGE, PAGE, 2 * PAGE), Set(3 * PAGE - 1, b"ab"))
    assert storage_of(world, a, 2 * PAGE - 2, 2 * PAGE + 2) == b"\0ab\0"
    assert run_ok(world, a, Map(0, 2 * PAGE, 1), Get(0, 2)) == [b"b\0"]


def test_calls_inside_one_another_share_what_is_mapped(world: World) -> None:
    a, b = windowed(world), windowed(world)
    inner = Call(a, (Get(0, 1), Set(0, b"\2"), Map(8 * PAGE, PAGE, PAGE), Set(8 * PAGE, b"\3")))
    results = run_ok(world, a, Map(0, 0, PAGE), Set(0, b"\1"), Call(b, (inner,)), Get(0, 1), Get(8 * PAGE, 1))
    assert results == [(Outcome.OK, [(Outcome.OK, [b"\1"])]), b"\2", b"\3"]


def test_nothing_is_mapped_when_a_transaction_begins(world: World) -> None:
    a = windowed(world)
    for _ in range(3):
        run_ok(world, a, Map(0, 0, PAGE), Set(0, b"\7"))
        left = run(world, a, Get(0, 1))
        assert decode((Get(0, 1),), left.output) == [b"\0"] if left.ok else code_of(left) == "storage_not_mapped"


@pytest.mark.parametrize("tracker", FAULTS)
def test_a_fault_is_explained_by_what_was_mapped_when_it_happened(tracker: str) -> None:
    world = World(tracker=tracker, trace=True)
    a = windowed(world)
    static = Call(a, (Map(PAGE, PAGE, PAGE), Set(PAGE, b"\1")), kind=STATIC)
    taken_out = Call(a, (Unmap(0), Get(0, 1)))
    trace = run(world, a, Map(0, 0, PAGE), static, taken_out).trace
    assert trace is not None
    errors = [record.ended.error for record in trace if record.ended is not None]
    assert [error.code for error in errors if isinstance(error, TrapError)] == ["static_write", "storage_not_mapped"]


def test_storage_can_be_longer_than_the_window(world: World) -> None:
    a = windowed(world)
    last = 3 * WASM_PAGE - PAGE
    assert last >= WINDOW_BYTES
    assert run_ok(world, a, Size(), Map(0, last, PAGE), Size(), Set(0, b"x"), Size()) == [65_536, 65_536, 196_608]
    assert pages_of(world, a) == 3
    assert run_ok(world, a, Map(WINDOW_BYTES - PAGE, last, PAGE), Get(WINDOW_BYTES - PAGE, 1)) == [b"x"]


# What is refused


def test_the_same_range_at_the_same_place_is_mapped_already(world: World) -> None:
    a = windowed(world)
    again = (Map(0, 0, 4 * PAGE), Map(PAGE, PAGE, 2 * PAGE), Map(0, 0, 0))
    assert run_ok(world, a, Map(0, 0, 4 * PAGE), Set(0, b"\1"), *again, Call(a, again), Get(0, 1))[-1] == b"\1"


@pytest.mark.parametrize(
    ("second", "code", "message"),
    [
        (Map(PAGE, 4 * PAGE, PAGE), "storage_map", "of the window overlap"),
        (Map(8 * PAGE, PAGE, PAGE), "storage_map", "of storage overlap"),
        (Map(PAGE, PAGE, 2 * PAGE), "storage_map", "overlap"),
        (Map(PAGE + 8, 0, 1), "storage_map", "offsets must be multiples of 4,096, got byte 0x1008 of the window"),
        (Map(0, 8, 1), "storage_map", "got byte 0x8 of storage"),
        (Map(WINDOW_BYTES - PAGE, 8 * PAGE, PAGE + 1), "memory_out_of_bounds", "outside the window"),
        (Map(8 * PAGE, 3 * WASM_PAGE, 1), "storage_out_of_bounds", "outside what storage may be"),
        (Unmap(PAGE), "storage_map", "no mapping begins at byte 0x1000"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused_with_the_reason(
    world: World, second: Operation, code: str, message: str
) -> None:
    a = windowed(world)
    receipt = run(world, a, Map(0, 0, 2 * PAGE), second)
    assert code_of(receipt) == code
    assert message in str(receipt.error)


def test_a_window_shows_so_many_mappings(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storagemod.vm.window.MAPPINGS_MAX", 2)
    a = windowed(world)
    three = [Map(each * PAGE, 2 * each * PAGE, PAGE) for each in range(3)]
    assert run(world, a, *three[:2]).ok
    assert "at most 2 mappings" in str(run(world, a, *three).error)


@pytest.mark.parametrize("tracker", FAULTS)
@pytest.mark.parametrize("access", [Get(PAGE, 1), Set(PAGE, b"\1"), Set(PAGE, b"\0"), Get(WINDOW_BYTES - 1, 1)])
def test_an_access_to_what_is_not_mapped_traps(access: Operation, tracker: str) -> None:
    world = World(tracker=tracker)
    a = windowed(world)
    receipt = run(world, a, Map(0, 0, PAGE), Set(0, b"\1"), access)
    assert code_of(receipt) == "storage_not_mapped"
    assert storage_of(world, a, 0, 1) == b"\0"


@pytest.mark.parametrize(("tracker", "bulk"), [("portable", False), *((tracker, True) for tracker in TRACKERS)])
def test_where_nothing_faults_a_write_to_what_is_not_mapped_is_found_at_the_next_boundary(
    tracker: str, bulk: bool
) -> None:
    world = World(tracker=tracker)
    a = windowed(world, bulk=bulk)
    map_and_set = (Map(0, 0, PAGE), Set(0, b"\1"))
    assert run_ok(world, a, *map_and_set, Get(PAGE, 1)) == [b"\0"]
    for script in (
        (*map_and_set, Set(PAGE, b"\1")),
        (Set(PAGE, b"\1"), Call(a, ())),
        (Set(PAGE, b"\1"), Size()),
        (Set(0, b"\1"), Map(0, 0, PAGE)),
    ):
        assert code_of(run(world, a, *script)) == "storage_not_mapped"
    caught = run_ok(world, a, *map_and_set, Call(a, (Set(0, b"\2"), Set(PAGE, b"\1"))), Get(0, 1), Get(PAGE, 1))
    assert caught == [(Outcome.FAILED, None), b"\1", b"\0"]


# Calls that are undone, and static calls


@pytest.mark.parametrize("ending", [Trap(), Revert()])
def test_an_undone_call_undoes_what_it_mapped_and_unmapped(world: World, ending: Operation) -> None:
    a = windowed(world)
    undone = Call(a, (Unmap(0), Map(0, PAGE, PAGE), Set(0, b"\2"), Map(4 * PAGE, 2 * PAGE, PAGE), ending))
    after = (Get(0, 1), Map(4 * PAGE, 3 * PAGE, PAGE), Map(8 * PAGE, 2 * PAGE, PAGE), Get(4 * PAGE, 1))
    results = run_ok(world, a, Map(0, 0, PAGE), Set(0, b"\1"), undone, *after)
    assert results[1:] == [b"\1", b"\0"]
    assert storage_of(world, a, 0, 1) + storage_of(world, a, PAGE, PAGE + 1) == b"\1\0"


def test_a_static_call_may_map_and_leaves_nothing_mapped(world: World) -> None:
    a = windowed(world)
    looks = Call(a, (Map(0, PAGE, PAGE), Get(0, 1), Unmap(0), Map(0, 2 * PAGE, PAGE)), kind=STATIC)
    assert run_ok(world, a, looks, Map(0, 3 * PAGE, PAGE), Map(PAGE, 2 * PAGE, PAGE))[0][0] is Outcome.OK


def test_a_static_call_takes_nothing_out_for_good(world: World) -> None:
    a = windowed(world)
    takes_out = Call(a, (Unmap(0),), kind=STATIC)
    assert run_ok(world, a, Map(0, 0, PAGE), Set(0, b"\1"), takes_out, Get(0, 1), Set(0, b"\2"))[1] == b"\1"
    assert storage_of(world, a, 0, 1) == b"\2"


@pytest.mark.parametrize("bulk", [False, True])
def test_a_static_call_writes_nothing(world: World, bulk: bool) -> None:
    a = windowed(world, bulk=bulk)
    for script in ((Set(0, b"\2"),), (Set(0, b"\2"), Call(a, ())), (Map(PAGE, PAGE, PAGE), Set(PAGE, b"\2"))):
        static, seen = run_ok(world, a, Map(0, 0, PAGE), Set(0, b"\1"), Call(a, script, kind=STATIC), Get(0, 1))
        assert (static[0], seen) == (Outcome.FAILED, b"\1")
    assert run_ok(world, a, Map(0, 0, PAGE), Call(a, (), kind=STATIC), Set(0, b"\3"), Get(0, 1))[1] == b"\3"


# Delegate calls, and other code on the same storage


def test_foreign_code_has_the_window_of_the_storage_that_it_runs_on(world: World) -> None:
    a, b = windowed(world), windowed(world)
    inner = Call(b, (Get(0, 1), Set(0, b"\2"), Map(PAGE, PAGE, PAGE), Set(PAGE, b"\3")), kind=DELEGATE)
    assert run_ok(world, a, Map(0, 0, PAGE), Set(0, b"\1"), inner, Get(0, 1), Get(PAGE, 1)) == [
        (Outcome.OK, [b"\1"]),
        b"\2",
        b"\3",
    ]
    assert storage_of(world, b, 0, 2 * PAGE) == bytes(2 * PAGE)


@pytest.mark.parametrize("mapping", ["copied", "paged", "aliased"])
def test_code_under_another_option_sees_and_is_seen(world: World, tracker: str, mapping: str) -> None:
    if mapping == "aliased" and tracker not in FAULTS:
        return
    a, other = windowed(world), deploy(world, mapping)
    inner = Call(other, (Map(0, 0, PAGE), Get(0, 1), Set(1, b"\2")), kind=DELEGATE)
    assert run_ok(world, a, Map(0, 0, PAGE), Set(0, b"\1"), inner, Get(0, 2)) == [(Outcome.OK, [b"\1"]), b"\1\2"]
    assert storage_of(world, a, 0, 2) == b"\1\2"


def test_code_that_wants_a_window_cannot_run_where_there_is_none(world: World) -> None:
    a, b = deploy(world), windowed(world)
    assert run_ok(world, a, Call(b, (), kind=DELEGATE)) == [(Outcome.FAILED, None)]


# Deployment


def test_the_storage_module_has_the_window_and_storage_behind_it() -> None:
    contract = Contract.load(window_mapper())
    assert contract.options == {"window"}
    assert [region.name for region in contract.layout.regions] == ["memory"]
    assert '(memory $window (export "window") 2 2)' in storage_module_wat(contract.layout)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ('(import "storage" "window" (memory i64 1))', LinkError, "expected a window of 32-bit addresses"),
        (
            '(import "storage" "window" (memory 1)) (import "storage" "window" (memory 2))',
            LinkError,
            "expected one type",
        ),
        ('(import "storage" "window" (memory 2000))', ValidationError, "at most 1,024 Wasm pages"),
        (
            '(import "storage" "window" (memory 1)) (export "memory" (memory 0))',
            ValidationError,
            "of the contract's own",
        ),
    ],
)
def test_a_window_that_cannot_be_is_refused_when_it_is_deployed(fields: str, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        World().deploy(f'(module {fields} (func (export "main")))')


def test_how_storage_is_mapped_is_said_by_the_import_of_the_window() -> None:
    world = World()
    with pytest.raises(ValidationError, match=r"to be mapped by copied, but it imports storage\.window"):
        world.deploy(window_mapper(), mapping="copied")
    with pytest.raises(ValidationError, match="needs no setting"):
        StorageMapping("window")
    assert world.account(windowed(world)).mapping is None


def test_a_window_never_grows_and_needs_no_memory_of_its_own() -> None:
    code = """(module (import "storage" "window" (memory 1 5))
      (import "ethereum" "storageMap" (func $map (param i32 i32 i32)))
      (func (export "grow") (result i32) (memory.grow (i32.const 1)))
      (func (export "size") (result i32) (memory.size)))"""
    world = World()
    a = world.deploy(code)
    assert world.transact(a, "grow").value == -1
    assert world.transact(a, "size").value == 1


def test_an_active_segment_is_written_where_something_is_mapped(world: World) -> None:
    code = """(module (import "storage" "window" (memory 1))
      (import "ethereum" "storageMap" (func $map (param i32 i32 i32)))
      (data (i32.const 4096) "\\07")
      (func (export "main") (call $map (i32.const 4096) (i32.const 0) (i32.const 1))))"""
    a = world.deploy(code)
    assert code_of(world.transact(a)) == "storage_not_mapped"
    b = windowed(world)
    called, seen = run_ok(world, b, Map(PAGE, 0, PAGE), Call(a, (), kind=DELEGATE), Get(PAGE, 1))
    assert (called[0], seen) == (Outcome.OK, b"\7")


# Traces and limits


def test_traces_say_what_was_mapped_and_what_the_window_showed(tracker: str) -> None:
    world = World(tracker=tracker, trace="tables")
    a = windowed(world)
    receipt = run(world, a, Map(PAGE, 2 * PAGE, 2 * PAGE), Set(PAGE, b"\1"), Call(a, ()), Unmap(PAGE))
    assert receipt.trace is not None
    steps = [step for record in receipt.trace for step in record.steps]
    (mapped,) = [step for step in steps if isinstance(step, StorageMapped)]
    (unmapped,) = [step for step in steps if isinstance(step, StorageUnmapped)]
    assert (mapped.option, unmapped.option, unmapped.memory_offset) == ("window", "window", PAGE)
    first = next(step for step in steps if isinstance(step, TablesShown))
    assert [(run.page, run.frame, run.count) for run in first.pages] == [(1, 2, 2)]
    assert [(run.first, run.count, run.dirty) for run in first.frames] == [(2, 1, True), (3, 1, False)]


def test_windows_count_as_working_memory() -> None:
    world = World(limits=Limits(working_pages_max=9))
    a = windowed(world)  # its own memory has 8 pages, and the window 2
    assert "working_pages_max" in str(run(world, a).error)


# The model


class Failed(Exception):
    """The running call is over."""


@define
class Storage:
    bytes: bytearray = Factory(lambda: bytearray(3 * WASM_PAGE))
    pages: int = 1
    mappings: dict[int, tuple[int, int]] = Factory(dict)
    """By offset in the window: the offset in storage, and the length."""
    unmapped: bytearray = Factory(lambda: bytearray(WINDOW_BYTES))
    """What the window has where nothing is mapped."""


@define
class Model:
    """What is to happen, byte by byte.

    ``faults`` says whether accesses to what is not mapped, and stores in static calls, are stopped as they are made.
    """

    faults: bool
    storages: dict[Address, Storage]

    def transact(self, address: Address, script: tuple[Operation, ...]) -> list[Result] | None:
        for storage in self.storages.values():
            storage.mappings.clear()
        return self.call(address, script, static=False)

    def call(self, owner: Address, script: tuple[Operation, ...], *, static: bool) -> list[Result] | None:
        before = copy.deepcopy(self.storages)
        try:
            results = self.run(owner, script, static=static)
        except Failed:
            self.storages = before
            return None
        if static:
            for address, storage in self.storages.items():
                storage.mappings = before[address].mappings
        return results

    def run(self, owner: Address, script: tuple[Operation, ...], *, static: bool) -> list[Result]:
        results: list[Result] = []
        began = bytes(self.storages[owner].bytes)
        for operation in script:
            storage = self.storages[owner]
            match operation:
                case Map(memory, at, length):
                    self.map(storage, memory, at, length)
                case Unmap(memory):
                    if memory not in storage.mappings:
                        raise Failed
                    self.settle(storage, began, static=static)
                    del storage.mappings[memory]
                case Set(memory, data):
                    for step, byte in enumerate(data):
                        content, where = self.place(storage, memory + step)
                        if static and self.faults:
                            raise Failed
                        content[where] = byte
                case Get(memory, length):
                    found = [self.place(storage, memory + step) for step in range(length)]
                    results.append(bytes(content[where] for content, where in found))
                case Size():
                    self.settle(storage, began, static=static, boundary=False)
                    results.append(storage.pages * WASM_PAGE)
                case Call(address, inner, kind=kind):
                    self.settle(storage, began, static=static)
                    callee = owner if kind is DELEGATE else address
                    called = self.call(callee, inner, static=static or kind is STATIC)
                    outcome = Outcome.OK if called is not None else Outcome.FAILED
                    results.append((outcome, called))
                    began = bytes(self.storages[owner].bytes)
                case _:
                    raise Failed
        self.settle(self.storages[owner], began, static=static)
        return results

    def settle(self, storage: Storage, began: bytes, *, static: bool, boundary: bool = True) -> None:
        if storage.unmapped.strip(b"\0"):
            raise Failed
        if static and boundary and storage.bytes != began:
            raise Failed
        length = len(storage.bytes.rstrip(b"\0"))
        if not static:
            storage.pages = max(storage.pages, -(-length // WASM_PAGE))

    def place(self, storage: Storage, offset: int) -> tuple[bytearray, int]:
        if offset >= WINDOW_BYTES:
            raise Failed
        for memory, (at, length) in storage.mappings.items():
            if memory <= offset < memory + length:
                return storage.bytes, at + offset - memory
        if self.faults:
            raise Failed
        return storage.unmapped, offset

    def map(self, storage: Storage, memory: int, at: int, length: int) -> None:
        if not length:
            return
        length = -(-length // PAGE) * PAGE
        if memory % PAGE or at % PAGE or memory + length > WINDOW_BYTES or at + length > len(storage.bytes):
            raise Failed
        ours = {(memory + step, at + step) for step in range(0, length, PAGE)}
        for start, (other, size) in storage.mappings.items():
            theirs = {(start + step, other + step) for step in range(0, size, PAGE)}
            if ours <= theirs:
                return
            if {m for m, _ in ours} & {m for m, _ in theirs} or {s for _, s in ours} & {s for _, s in theirs}:
                raise Failed
        if storage.unmapped[memory : memory + length].strip(b"\0"):
            raise Failed
        storage.mappings[memory] = at, length


A, B = Address(0xA), Address(0xB)
UNMETERED = attrs.evolve(GasSchedule.free(), metered=False)
"""Nothing runs out of gas: a call that fails uses all that it has."""

FIRST, SECOND = Map(0, 0, 2 * PAGE), Map(3 * PAGE, WASM_PAGE - PAGE, 2 * PAGE)
"""What scripts mostly map, so that not all of them fail. The second reaches beyond the length of storage."""

_mapped_offsets = st.builds(lambda page, step: page * PAGE + step, st.sampled_from([0, 3, 4]), st.integers(0, 2))
_harmless = st.one_of(
    st.builds(Set, _mapped_offsets, st.binary(min_size=1, max_size=3)),
    st.builds(Set, _mapped_offsets, st.just(b"\0")),
    st.builds(Get, _mapped_offsets, st.integers(1, 3)),
    st.just(Size()),
)
_pages = st.integers(0, 5).map(lambda page: page * PAGE)
_storage_pages = st.sampled_from([0, PAGE, 2 * PAGE, 3 * PAGE, WASM_PAGE - PAGE, WASM_PAGE, 3 * WASM_PAGE - PAGE])
_risky = st.one_of(
    st.builds(Map, _pages, _storage_pages, st.sampled_from([1, PAGE, 2 * PAGE])),
    st.builds(Unmap, st.sampled_from([0, 3 * PAGE])),
    st.builds(
        Set, st.builds(lambda page, step: page * PAGE - step, st.integers(1, 6), st.integers(1, 2)), st.just(b"ab")
    ),
    st.builds(Get, _pages, st.integers(1, 3)),
    st.just(Trap()),
)


_maps = st.sampled_from([(FIRST, SECOND), (FIRST, SECOND), (SECOND,), ()])
_leaves = st.builds(
    lambda first, rest: (*first, *rest), _maps, st.lists(st.one_of(_harmless, _harmless, _risky), max_size=4)
)


def _scripts(inner: st.SearchStrategy[tuple[Operation, ...]]) -> st.SearchStrategy[tuple[Operation, ...]]:
    calls = st.builds(
        lambda address, script, kind: Call(address, script, kind=kind),
        st.sampled_from([A, A, B]),
        inner,
        st.sampled_from([CallKind.CALL, CallKind.CALL, STATIC, DELEGATE]),
    )
    operations = st.one_of(_harmless, calls, calls)
    return st.builds(lambda first, rest: (*first, *rest), _maps, st.lists(operations, max_size=5))


_histories = st.lists(_scripts(_leaves | _scripts(_leaves)) | _leaves, min_size=1, max_size=3)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(history=_histories, bulk=st.booleans(), commits=st.booleans())
def test_a_model_in_plain_python_predicts_every_byte(
    tracker: str, history: list[tuple[Operation, ...]], bulk: bool, commits: bool
) -> None:
    world = World(tracker=tracker, limits=LIMITS, schedule=UNMETERED)
    for address in (A, B):
        world.deploy(window_mapper(bulk=bulk), address=address)
    model = Model(tracker in FAULTS and not bulk, {address: Storage() for address in (A, B)})
    for script in history:
        before = copy.deepcopy(model.storages)
        expected = model.transact(A, script)
        data = encode(*script)
        receipt = (world.transact if commits else world.call)(A, data=data)
        assert receipt.ok == (expected is not None), receipt.error
        if expected is not None:
            assert decode(script, receipt.output) == expected
        if not commits:
            model.storages = before
        for address in (A, B):
            storage = model.storages[address]
            assert pages_of(world, address) == storage.pages
            assert (
                storage_of(world, address, 0, storage.pages * WASM_PAGE) == storage.bytes[: storage.pages * WASM_PAGE]
            )
