"""What broke other systems, each as a test under every linking option: the rules hold where these did not.

Under ``copied`` the sync policy is ``call``, the default; what the others break on purpose is in ``test_copied.py``.
"""

from __future__ import annotations

import pytest

from storagemod import Address, Limits, LinkError, Outcome, World
from storagemod.scenario.contents import contents
from storagemod.scenario.puppet import (
    CALL_KINDS,
    Call,
    CopyIn,
    CopyOut,
    EmitLog,
    Grow,
    Load,
    MemoryLoad,
    MemoryStore,
    Revert,
    Size,
    Store,
    Trap,
)
from storagemod.types import MAP_OPTIONS, CallKind, ReentryPolicy
from storagemod.vm import OPTIONS
from tests.semantics.puppets import BYTES, LOWERED, deploy_puppet, integer_at, linked, play, play_ok, script

GUARD, BALANCE = 0, 8
GROWS = ("single", "regions", "methods", LOWERED, BYTES)
"""Options under which the storage of a puppet can become longer; the others say at once that it cannot."""


@pytest.mark.parametrize("ending", [(), (Revert(),), (Trap(),)], ids=["returns", "reverts", "traps"])
def test_what_is_written_on_both_sides_of_a_reentry_counts_once(
    world: World, any_option: str, ending: tuple[Revert | Trap, ...]
) -> None:
    """polkadot-sdk#12267: a deposit for K1 was taken twice, or lost, when the inner call wrote K2 and reverted."""
    a = deploy_puppet(world, any_option)
    receipt = play(world, a, Store(0, 1), Call(a, script(Store(64, 2), *ending)), Store(0, 3))
    receipt.raise_for_error()
    assert (integer_at(world, a, 0), integer_at(world, a, 64)) == (3, 0 if ending else 2)
    alone = World()
    b = deploy_puppet(alone, any_option)
    play(alone, b, Store(0, 3), *([] if ending else [Store(64, 2)])).raise_for_error()
    assert contents(alone, b)["memory"][0:4_096] == contents(world, a)["memory"][0:4_096]
    assert receipt.costs.pages_written == len({*_pages(world)})


def _pages(world: World) -> list[tuple[Address, str, int]]:
    """Every page of storage that is not zeros."""
    return [
        (address, region, number)
        for (address, region), committed in world._state.store.regions()
        for number, _ in committed.image.pages()
    ]


def test_every_call_above_sees_what_a_callee_wrote_whatever_lies_between(world: World, any_option: str) -> None:
    """soroban-env PR 1617: only the nearest frame of the contract was refreshed."""
    a, b, c = (deploy_puppet(world, any_option) for _ in range(3))
    deepest = Call(c, script(Call(a, script(Load(0), Store(0, 4)))))
    third = Call(a, script(Load(0), Store(0, 3), deepest, Load(0)))
    second = Call(a, script(Load(0), Store(0, 2), Call(b, script(third)), Load(0)), kind=CallKind.DELEGATE)
    outer, seen = play_ok(world, a, Store(0, 1), second, Load(0))
    assert seen == integer_at(world, a, 0) == 4
    assert (outer.results[0], outer.results[-1]) == (1, 4)


@pytest.mark.parametrize("kind", [CallKind.CALL, CallKind.DELEGATE])
def test_a_length_that_a_callee_changed_is_the_length_of_every_call_above(
    world: World, any_option: str, kind: CallKind
) -> None:
    """agave#1093: a resize in a nested call left the caller with a buffer that was somewhere else."""
    a, b = deploy_puppet(world, any_option), deploy_puppet(world, any_option)
    delegate = kind is CallKind.DELEGATE
    grow = Call(b, script(Grow(1)), kind=kind) if delegate else Call(b, script(Call(a, script(Grow(1)))))
    before, _, after, seen = play_ok(world, a, Store(0, 7), Size(), grow, Size(), Load(0), Store(0, 8))[0:4]
    assert before == 1
    assert after == (2 if any_option in GROWS else 1)
    assert seen == 7
    assert integer_at(world, a, 0) == 8


def test_rights_are_those_of_the_call_that_runs_and_not_of_the_one_that_ran(world: World, any_option: str) -> None:
    """solana-labs#32649: rights of mappings were set after data had moved."""
    a, b = deploy_puppet(world, any_option), deploy_puppet(world, any_option)
    static = Call(a, script(Load(0), Call(b, script(Store(0, 1)))), kind=CallKind.STATIC)
    looked, refused = play_ok(
        world, a, Store(0, 5), static, Store(8, 6), Call(a, script(Store(0, 9)), kind=CallKind.STATIC)
    )
    assert looked.outcome is Outcome.OK
    assert looked.results[1].outcome is Outcome.FAILED
    assert refused.outcome is Outcome.FAILED
    assert (integer_at(world, a, 0), integer_at(world, a, 8), integer_at(world, b, 0)) == (5, 6, 0)


def test_a_copy_is_of_the_length_that_was_checked(world: World, any_option: str) -> None:
    """solana-labs#31986: a length that lay in mapped memory was changed while the copy that it bounds went on."""
    a = deploy_puppet(world, any_option)
    data = bytes(range(1, 201))
    (seen,) = play_ok(world, a, CopyIn(100, data), CopyOut(100, 200))
    assert seen == data
    outside = (
        play(world, a, CopyIn(65_536 - 8, data)) if any_option not in GROWS else play(world, a, CopyIn(65_436, data))
    )
    assert outside.outcome is Outcome.FAILED
    assert contents(world, a)["memory"][65_336:65_536] == bytes(200)


def test_a_guard_in_storage_is_seen_by_the_call_that_comes_back(world: World, any_option: str) -> None:
    """openbrush-contracts#85: storage was held in a struct and flushed at exit, so that a guard guarded nothing."""
    a, b = deploy_puppet(world, any_option), deploy_puppet(world, any_option)
    inner = Call(b, script(Call(a, script(Load(GUARD)))))
    called, after = play_ok(world, a, Store(GUARD, 1), inner, Load(GUARD), Store(GUARD, 0))
    assert called.results[0].results == [1]
    assert after == 1
    assert integer_at(world, a, GUARD) == 0


def test_a_guard_in_working_memory_guards_nothing(world: World, any_option: str) -> None:
    """The other side of it: each call has fresh working memory, so a guard kept there is not seen."""
    a, b = deploy_puppet(world, any_option), deploy_puppet(world, any_option)
    called, kept = play_ok(
        world, a, MemoryStore(GUARD, 1), Call(b, script(Call(a, script(MemoryLoad(GUARD))))), MemoryLoad(GUARD)
    )
    assert called.results[0].results == [0]
    assert kept == 1


def test_working_memory_that_is_written_over_changes_no_storage(world: World, any_option: str) -> None:
    """burrow#1417: the state cache kept a slice of the machine's memory."""
    a = deploy_puppet(world, any_option)
    called, seen = play_ok(
        world,
        a,
        MemoryStore(0, 7),
        CopyIn(0, b"kept"),
        MemoryStore(0, -1),
        Call(a, script(CopyOut(0, 4))),
        CopyOut(0, 4),
    )
    assert called.results == [b"kept"]
    assert seen == b"kept"
    assert contents(world, a)["memory"][0:4] == b"kept"


@pytest.mark.parametrize("kind", CALL_KINDS)
def test_what_was_written_is_there_for_every_kind_of_call(world: World, any_option: str, kind: CallKind) -> None:
    """Stylus: the cache is flushed before a call that its library makes, and not before a raw one."""
    a, b = deploy_puppet(world, any_option), deploy_puppet(world, any_option)
    back = script(Load(0)) if kind is CallKind.DELEGATE else script(Call(a, script(Load(0))))
    (called,) = play_ok(world, a, Store(0, 41), Call(b, back, kind=kind))
    (found,) = called.results
    assert found == 41 if kind is CallKind.DELEGATE else found.results == [41]


def test_each_transaction_starts_from_what_was_committed(world: World, any_option: str) -> None:
    """stylus-test-helpers#41: a harness that kept its cache hid the bug under test."""
    a = deploy_puppet(world, any_option)
    play_ok(world, a, Store(0, 1))
    assert not play(world, a, Store(0, 2), Trap()).ok
    assert world.call(a, data=bytes(script(Store(0, 3)))).ok
    assert play_ok(world, a, Load(0), Store(0, 4)) == [1]
    assert play_ok(world, a, Load(0)) == [4]


def test_an_undone_call_leaves_no_log_and_no_balance(world: World, any_option: str) -> None:
    """Rule 4 in one piece: bytes, lengths, logs and balances together."""
    a = deploy_puppet(world, any_option, balance=10)
    b = deploy_puppet(world, any_option)
    inner = script(EmitLog(b"gone"), Store(0, 1), Grow(1), Call(b, value=4), Revert())
    receipt = play(world, a, EmitLog(b"kept"), Call(a, inner))
    assert [log.data for log in receipt.raise_for_error().logs] == [b"kept"]
    assert (world.account(a).balance, world.account(b).balance) == (10, 0)
    assert (integer_at(world, a, 0), contents(world, a)["memory"].pages) == (0, 1)


SEGMENT = """
(module
  {storage}
  (memory $memory (export "memory") 4)
  (data $own (memory $memory) (i32.const {at}) "overwritten")
  (func (export "main")))
"""


@pytest.mark.parametrize("option", [option.name for option in OPTIONS])
def test_a_data_segment_writes_the_memory_that_it_names_and_no_other(option: str) -> None:
    """multi-memory `linking1`: the segment of an importing module overwrites the exporter's memory.

    That is what it is for where the memory is imported; where storage is the host's, it can only be the contract's own.
    """
    imports = {
        "single": '(import "storage" "memory" (memory $storage 1))',
        "regions": '(import "storage" "balances" (memory $storage 1))',
        "methods": '(import "storage" "load_i64" (func (param i32) (result i64)))',
        "keyed": '(import "ethereum" "storageLoad" (func (param i32 i32)))',
    }
    storage = imports.get(option, '(import "ethereum" "storageMap" (func (param i32 i32 i32)))')
    world = World()
    mapping = option if option in MAP_OPTIONS else None
    address = world.deploy(SEGMENT.format(storage=storage, at=8), mapping=mapping)
    world.transact(address).raise_for_error()
    assert all(view[0:65_536].strip(b"\0") == b"" for view in world.storage(address).values())


@pytest.mark.parametrize("option", GROWS)
def test_growth_stops_where_the_storage_module_says_whatever_an_import_declares(option: str) -> None:
    """multi-memory `memory_grow`: an import that declares more than the exporter's maximum stops there all the same."""
    world = World(limits=Limits(storage_pages_max=3))
    a = deploy_puppet(world, option)
    assert play_ok(world, a, Grow(2), Grow(1), Size()) == [1, -1, 3]


def test_a_deployment_that_fails_when_it_is_instantiated_leaves_nothing(any_option: str) -> None:
    """multi-memory `linking3`: segments that were written before an instantiation failed persist."""
    world = World()
    root = world.state_root
    with pytest.raises(LinkError):
        world.deploy(**linked("bank/bank", any_option), links={})
    assert world.state_root == root


@pytest.mark.parametrize("policy", [ReentryPolicy.DENY, ReentryPolicy.STATIC_ONLY])
def test_a_refused_reentry_leaves_the_caller_its_storage(world: World, any_option: str, policy: ReentryPolicy) -> None:
    a, b = deploy_puppet(world, any_option, policy=policy), deploy_puppet(world, any_option)
    called, seen = play_ok(
        world, a, Store(BALANCE, 5), Call(b, script(Call(a, script(Store(BALANCE, 0))))), Load(BALANCE)
    )
    assert called.results[0].outcome is Outcome.FAILED
    assert seen == integer_at(world, a, BALANCE) == 5
