"""What code did is recorded: the same results as plain, each store after a re-entry, blocks, accesses, comparisons."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import pytest
from attrs import define, field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storagemod import Address, GasSchedule, Limits, Receipt, ScenarioError, ValidationError, World
from storagemod.pages import BACKENDS, why_not_shared, why_unavailable
from storagemod.report import render_tree, trace_to_json
from storagemod.scenario import load_scenario, run_scenario
from storagemod.scenario.fixtures import option_names, scenario_names, scenario_path
from storagemod.scenario.puppet import Call, CopyIn, Load, Operation, Revert, Script, Store, Store8, Trap
from storagemod.testing import no_hazards
from storagemod.trace import HazardKind, Recording
from storagemod.types import CallKind, StorageMapping, SyncPolicy
from tests.model.kinds import PUPPETS, TRACKERS
from tests.semantics import puppets
from tests.semantics.puppets import LOWERED
from tests.vm.direct_histories import check_history

A, B, _ = PUPPETS
AFTER, AGAIN = HazardKind.WRITE_AFTER_CALL, HazardKind.PAGE_WRITTEN_AGAIN

IN_LINE: dict[str, StorageMapping | None] = {
    "single": None,
    "regions": None,
    "methods": None,
    LOWERED: None,
    "copied, call": StorageMapping("copied", SyncPolicy.CALL),
    "paged": StorageMapping("paged"),
    "aliased": StorageMapping("aliased"),
    "window": None,
}
LATE: dict[str, StorageMapping | None] = {
    "copied, end": StorageMapping("copied", SyncPolicy.END),
    "copied, none": StorageMapping("copied", SyncPolicy.NONE),
}
ALL = {**IN_LINE, **LATE, "keyed": None}

VAULT = """(module $vault
  (import "storage" "memory" (memory $s 1))
  (import "contract:user" "paid?" (func $paid (param i64) (result i32)))
  (func (export "deposit") (param $n i64) (i64.store $s (i32.const 8) (local.get $n)))
  (func (export "withdraw") (local $b i64)
    (local.set $b (i64.load $s (i32.const 8)))
    (if (i64.gt_s (local.get $b) (i64.const 0)) (then
    (if (i32.eqz (call $paid (local.get $b))) (then (i64.store $s (i32.const 8) (i64.const 0))))))))"""
"""Pays, and then sets the balance to 0, which it is by then if it was entered again meanwhile."""

ROBBER = """(module $robber
 (import "contract:vault" "withdraw" (func $w))
 (import "storage" "memory" (memory 1))
 (func (export "paid") (param i64)
   (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (local.get 0)))
   (if (i64.lt_s (i64.load (i32.const 0)) (i64.const 15)) (then (call $w)))))"""


def robbed(**arguments: Any) -> tuple[World, Address]:
    world = World(**arguments)
    vault = world.deploy(VAULT, links={"user": 0xAA}, name="vault")
    world.deploy(ROBBER, address=0xAA, links={"vault": vault}, name="robber")
    world.transact(vault, "deposit", 5).raise_for_error()
    return world, vault


def recording_of(receipt: Receipt) -> Recording:
    assert receipt.recording is not None
    return receipt.recording


def test_store_of_what_is_there_is_a_write_after_a_call() -> None:
    world, vault = robbed(recording=True)
    receipt = world.transact(vault, "withdraw")
    assert receipt.trace is not None
    found = receipt.trace.hazards

    assert [(each.kind, each.region, each.offset, each.call_id, each.other_call_id) for each in found] == [
        (AFTER, "memory", 8, 2, 4),
        (AFTER, "memory", 8, 0, 2),
    ]
    assert {(each.old, each.new) for each in found} == {(bytes(8), bytes(8))}
    assert recording_of(receipt).hazardous
    tree = render_tree(receipt.trace)
    assert "write after call of vault memory[0x8]" in tree
    assert "wrote 0 -> 0 after vault::withdraw" in tree
    shown = trace_to_json(receipt.trace)["hazards"]
    assert [(each["kind"], each["offset_bytes"]) for each in shown] == [("write after call", 8)] * 2


def test_no_hazards_sees_such_a_store_in_a_world_that_does_not_record() -> None:
    world, vault = robbed()
    with pytest.raises(AssertionError, match="2 write after calls"), no_hazards():
        world.transact(vault, "withdraw")
    assert world.transact(vault, "deposit", 5).recording is None  # only in the block
    with no_hazards():
        world.transact(vault, "deposit", 5)
    with no_hazards(allow="write after call"):
        world.transact(vault, "withdraw")


@pytest.mark.parametrize("tracker", TRACKERS)
def test_page_written_again_is_reported_without_recording_where_the_kernel_tells(tracker: str) -> None:
    world, vault = robbed(tracker=tracker)
    receipt = world.transact(vault, "withdraw")
    assert receipt.trace is not None
    found = [(each.kind, each.offset, each.old, each.call_id) for each in receipt.trace.hazards]

    assert found == ([(AGAIN, 0, b"", 2), (AGAIN, 0, b"", 0)] if tracker == "userfaultfd" else [])
    if found:
        assert "page written again of vault memory[0x0]" in render_tree(receipt.trace)


@pytest.mark.parametrize("more", [(), (Store8(4_096, 1),)], ids=["nothing else", "a store elsewhere"])
def test_copy_brought_to_storage_late_is_told_recorded_as_it_is_plain(more: tuple[Operation, ...]) -> None:
    script = Script(Store8(0, 1), Call(A, Script()), *more)
    found = []
    for recording in (False, True):
        receipt = puppet_world("copied, end", recording=recording).call(A, data=bytes(script))
        assert receipt.trace is not None
        found.append([(each.offset, each.old, each.new) for each in receipt.trace.hazards if each.offset < 4_096])

    assert found[0] == found[1] == [(0, bytes(8), bytes([1, *bytes(7)]))]


# Random trees of calls, beside a plain model of them.


def leaves() -> st.SearchStrategy[Operation]:
    places = st.one_of(st.integers(0, 12), st.integers(4_090, 4_100))
    values = st.integers(0, 1)
    return st.one_of(
        st.builds(Store8, places, values),
        st.builds(Store, places, values),
        st.builds(CopyIn, places, st.sampled_from([b"\0", b"\0\1", bytes(5)])),
        st.builds(Load, places),
    )


def endings() -> st.SearchStrategy[list[Operation]]:
    return st.sampled_from([[], [], [], [], [Revert()], [Trap()]])


def trees() -> st.SearchStrategy[Script]:
    def deeper(inner: st.SearchStrategy[Script]) -> st.SearchStrategy[Script]:
        call = st.builds(Call, st.sampled_from([A, A, B]), inner)
        return st.builds(
            lambda steps, end: Script(*steps, *end), st.lists(st.one_of(leaves(), call, call), max_size=6), endings()
        )

    first = st.builds(lambda steps, end: Script(*steps, *end), st.lists(leaves(), max_size=3), endings())
    return st.recursive(first, deeper, max_leaves=8)


@define
class Model:
    """Walks a script as the puppets do, and notes which bytes a call stores after it was re-entered."""

    calls: int = 0
    stored: dict[int, set[int]] = field(factory=dict)
    before: dict[int, set[int]] = field(factory=dict)
    undone: set[int] = field(factory=set)
    stack: list[tuple[Address, int]] = field(factory=list)
    reentered: set[int] = field(factory=set)

    def run(self, script: Script, address: Address) -> bool:
        number, self.calls = self.calls, self.calls + 1
        self.stack.append((address, number))
        ok = all(self.step(operation, number) for operation in script.operations)
        self.stack.pop()
        if ok:
            self.reentered |= {above for owner, above in self.stack if owner == address}
        else:
            self.undone |= set(range(number, self.calls))
        return ok

    def step(self, operation: Operation, number: int) -> bool:
        if isinstance(operation, Revert | Trap):
            return False
        if isinstance(operation, Call):
            script = operation.data
            assert isinstance(script, Script)
            self.run(script, operation.address)
        elif not isinstance(operation, Load):
            length = {Store: 8, Store8: 1}.get(type(operation)) or len(operation.data)  # type: ignore[attr-defined]
            written = set(range(operation.offset, operation.offset + length))  # type: ignore[attr-defined]
            place = self.stored if number in self.reentered else self.before
            place.setdefault(number, set()).update(written)
        return True


def puppet_world(name: str, **arguments: Any) -> World:
    world = World(**arguments)
    option = name.partition(",")[0]
    linked = puppets.linked("puppet/puppet", option)
    for address in (A, B):
        world.deploy(address=address, **{**linked, "mapping": ALL[name]})
    return world


def reported(receipt: Receipt, kind: HazardKind) -> dict[int, set[int]]:
    assert receipt.trace is not None
    found: dict[int, set[int]] = {}
    for each in receipt.trace.hazards:
        if each.kind is kind:
            found.setdefault(each.call_id, set()).update(range(each.offset, each.offset + len(each.new)))
    return found


def words(places: set[int]) -> set[int]:
    """Return the bytes of the words of 8 that some bytes lie in: changes of storage are noted as such."""
    return {word * 8 + at for word in {place // 8 for place in places} for at in range(8)}


def works(name: str, tracker: str = TRACKERS[0]) -> bool:
    return not name.startswith("aliased") or why_not_shared(BACKENDS[tracker]) is None


ORDINARY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


@pytest.mark.storagemod(strict=False)
@pytest.mark.parametrize("name", [name for name in ALL if works(name)])
def test_every_store_after_a_reentry_is_reported_and_nothing_else(name: str) -> None:
    world = puppet_world(name, recording=True)

    @ORDINARY
    @given(script=trees())
    def check(script: Script) -> None:
        model = Model()
        ok = model.run(script, A)
        receipt = world.call(A, data=bytes(script))
        assert receipt.ok is ok
        assert receipt.trace is not None
        found = reported(receipt, AFTER)
        if name in IN_LINE:
            assert found == model.stored
        elif name in LATE:  # what was stored before, and is brought to storage after the re-entry, is one as well
            for number, places in model.stored.items():
                assert places <= found[number]
            for number, places in found.items():
                assert places <= model.stored.get(number, set()) | words(model.before.get(number, set())) | (
                    set(range(65_536)) if name == "copied, none" else set()
                )
        else:  # places are those of slots
            assert found.keys() == model.stored.keys()
        for each in receipt.trace.hazards:
            if each.kind is AFTER:
                assert each.undone is (each.call_id in model.undone)
        stores = {number for number in model.stored if number not in model.undone}
        assert set(recording_of(receipt).stored) == stores
        assert reported(receipt, AGAIN) == {}

    check()


@pytest.mark.storagemod(strict=False)
@pytest.mark.parametrize("tracker", TRACKERS)
@pytest.mark.parametrize("name", list(ALL))
def test_nothing_false_is_reported_without_recording(name: str, tracker: str) -> None:
    if not works(name, tracker):
        pytest.skip("pages cannot be shared with this tracker")
    world = puppet_world(name, tracker=tracker)
    exact = tracker == "userfaultfd" and name in IN_LINE and not name.startswith(("copied", "paged"))

    @ORDINARY
    @given(script=trees())
    def check(script: Script) -> None:
        model = Model()
        model.run(script, A)
        receipt = world.call(A, data=bytes(script))
        assert receipt.trace is not None
        again: dict[int, set[int]] = {}
        for each in receipt.trace.hazards:
            if each.kind is AGAIN:
                again.setdefault(each.call_id, set()).add(each.offset // 4096)
        changed = {number: {at // 4096 for at in places} for number, places in reported(receipt, AFTER).items()}
        for number, pages in again.items():
            assert name == "keyed" or pages <= {at // 4096 for at in model.stored[number]}
            assert number in model.stored
        for number, places in model.stored.items() if exact else ():
            assert again.get(number, set()) | changed.get(number, set()) >= {at // 4096 for at in places}

    check()


@pytest.mark.storagemod(strict=False)
@pytest.mark.parametrize("name", [name for name in ALL if works(name)])
def test_results_gas_and_storage_are_those_of_plain_code(name: str) -> None:
    worlds = [puppet_world(name, recording=recording, calls="mediated") for recording in (False, True)]

    @ORDINARY
    @given(script=trees(), gas=st.one_of(st.just(10**8), st.integers(0, 20_000)))
    def check(script: Script, gas: int) -> None:
        plain, recorded = (world.transact(A, data=bytes(script), gas=gas) for world in worlds)
        assert recorded == plain
        assert worlds[0].state_root == worlds[1].state_root

    check()


# What is recorded.

COUNTER = """(module (import "storage" "memory" (memory 1 4))
  (func (export "bump") (param i32) (result i64)
    (if (i32.gt_u (local.get 0) (i32.const 40)) (then (i64.store (i32.const 0) (i64.const 9)))
      (else (i64.store offset=8 (i32.const 8) (i64.add (i64.load (i32.const 16)) (i64.const 1)))))
    (i64.load (i32.const 16)))
  (func (export "fail") (i32.store (i32.const 4) (i32.const 7)) unreachable)
  (func (export "often") (param i32) (loop (i32.store8 (i32.const 1) (local.get 0))
    (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"""


def test_accesses_blocks_and_comparisons_of_a_transaction() -> None:
    world = World(recording=True)
    counter = world.deploy(COUNTER)
    first, second = recording_of(world.transact(counter, "bump", 3)), recording_of(world.transact(counter, "bump", 41))

    assert [(each.offset, each.length, each.write, each.changed) for each in first.accesses[0]] == [
        (16, 8, False, None),
        (16, 8, True, True),
        (16, 8, False, None),
    ]
    assert {each.region for each in first.accesses[0]} == {"memory"}
    assert [(each.site, each.left, each.right) for each in first.comparisons] == [(0, 3, 40)]
    assert second.blocks[counter] & ~first.blocks[counter]  # another branch
    assert recording_of(world.transact(counter, "bump", 4)).blocks[counter] & ~first.blocks[counter] == 0
    assert first.codes[counter].made.comparisons[0][1] == 0x4B
    assert (first.accesses_lost, first.comparisons_lost, first.complete, first.unseen) == (0, 0, True, {})


def test_failed_transaction_is_recorded_as_well() -> None:
    world = World(recording=True)
    counter = world.deploy(COUNTER)
    receipt = world.transact(counter, "fail")
    recording = recording_of(receipt)

    assert not receipt.ok
    assert [(each.offset, each.write) for each in recording.accesses[0]] == [(4, True)]
    assert [call.ok for call in recording.calls] == [False]
    assert not recording.hazardous


def test_what_a_log_has_no_room_for_is_counted() -> None:
    world = World(recording=True)
    counter = world.deploy(COUNTER)
    recording = recording_of(world.transact(counter, "often", 5_000))

    assert len(recording.accesses[0]) + recording.accesses_lost == 5_000
    assert recording.accesses_lost > 0


def test_store_that_had_no_room_is_found_by_its_page_where_the_kernel_tells() -> None:
    code = """(module (import "storage" "memory" (memory 1)) (import "contract:self" "poke" (func $poke))
      (func (export "poke")) (func (export "go") (local i32) (call $poke) (loop
        (drop (i32.load (i32.const 0))) (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1)))
        (i32.const 5000)))) (i64.store (i32.const 8192) (i64.const 0))))"""
    world = World(recording=True)
    world.deploy(code, address=1, links={"self": 1})
    receipt = world.transact(1, "go")
    assert receipt.trace is not None

    found = [(each.kind, each.offset) for each in receipt.trace.hazards]
    assert found == ([(AGAIN, 8_192)] if TRACKERS[0] == "userfaultfd" else [])
    assert recording_of(receipt).accesses_lost > 0


@pytest.mark.parametrize("name", [name for name in ALL if works(name)])
def test_accesses_are_told_in_offsets_of_storage_under_every_option(name: str) -> None:
    world = puppet_world(name, recording=True)
    inner = Call(B, Script(Load(0)), kind=CallKind.DELEGATE)
    receipt = world.transact(A, data=bytes(Script(Store(24, 7), Load(24), Call(B, Script(Store(40, 1))), inner)))
    assert receipt.ok
    accesses = recording_of(receipt).accesses
    own = [(each.offset, each.length, each.write) for each in accesses[0]]

    assert {call: {each.address for each in made} for call, made in accesses.items()} == {0: {A}, 1: {B}, 2: {A}}
    if name != "keyed":
        assert {each for each in own if each[2]} == {(24, 8, True)}
        assert (24, 8, False) in own
        assert [(each.offset, each.length) for each in accesses[1] if each.write] == [(40, 8)]


def test_code_that_cannot_record_runs_plain_and_is_named() -> None:
    code = """(module (import "storage" "load_i64" (func $load (param i32) (result i64))) (table 1 funcref)
      (elem (i32.const 0) $load) (type $t (func (param i32) (result i64)))
      (func (export "go") (result i64) (call_indirect (type $t) (i32.const 8) (i32.const 0))))"""
    plain, recorded = World(), World(recording=True)
    receipts = []
    for world in (plain, recorded):
        world.deploy(code, address=1)
        world.deploy(COUNTER, address=2)
        receipts.append(world.transact(1, "go"))
    assert receipts[0] == receipts[1]
    assert "'load_i64' of storage is used as a value" in recording_of(receipts[1]).unseen[Address(1)]
    assert plain.transact(2, "bump", 1) == recorded.transact(2, "bump", 1)


def test_gas_without_a_meter_stays_so() -> None:
    worlds = [World(recording=recording, schedule=GasSchedule(metered=False)) for recording in (False, True)]
    for world in worlds:
        world.deploy(COUNTER, address=1)
    plain, recorded = (world.transact(1, "often", 500) for world in worlds)
    assert recorded == plain


def test_calls_are_not_direct_where_they_are_recorded() -> None:
    with pytest.raises(ValidationError, match="nobody who could record calls"):
        World(calls="direct", recording=True)
    world, vault = robbed(recording=True, trace=False)
    assert all(world.transact(vault, "deposit", 5).ok for _ in range(3))
    assert world.direct_runs.completed == 0
    receipt = world.transact(vault, "withdraw")
    assert recording_of(receipt).hazardous  # without a trace


def test_recordings_can_be_pickled_and_receipts_are_equal_without_them() -> None:
    world, vault = robbed(recording=True)
    receipt = world.call(vault, "withdraw")
    copy = pickle.loads(pickle.dumps(receipt))  # noqa: S301 - our own

    assert copy == receipt
    assert copy.recording.accesses == recording_of(receipt).accesses
    assert copy.recording.blocks == recording_of(receipt).blocks


def test_aborted_transaction_says_that_its_recording_is_not_complete() -> None:
    world = World(recording=True, limits=Limits(changed_pages_max=1))
    world.deploy(
        """(module (import "storage" "memory" (memory 1)) (func (export "go")
          (i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 5000) (i32.const 1))))""",
        address=1,
    )
    receipt = world.transact(1, "go")
    assert not receipt.ok
    assert not recording_of(receipt).complete


@pytest.mark.parametrize("tracker", [name for name, backend in BACKENDS.items() if why_unavailable(backend) is None])
def test_a_stored_balance_is_reported_under_every_tracker(tracker: str) -> None:
    world, vault = robbed(recording=True, tracker=tracker)
    receipt = world.transact(vault, "withdraw")
    assert reported(receipt, AFTER) == {0: set(range(8, 16)), 2: set(range(8, 16))}


@pytest.mark.storagemod(strict=False)
@pytest.mark.parametrize("name", scenario_names())
def test_scenarios_that_come_with_the_package_are_the_same_recorded(name: str) -> None:
    scenario = load_scenario(scenario_path(name))
    for option in option_names():
        if not works(option):
            continue
        ran = []
        for recording in (False, True):
            with World(recording=recording, calls="mediated") as world:
                try:
                    ran.append(run_scenario(scenario, link=option, world=world))
                except ScenarioError as error:  # its contracts use another option
                    ran.append(str(error))
        assert ran[0] == ran[1], option


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_random_contracts_and_histories_are_the_same_recorded(seed: int) -> None:
    check_history(seed, Counter(), recorded=True)
