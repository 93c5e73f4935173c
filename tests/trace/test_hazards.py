"""Hazards: what re-entry does to copies of storage, found and told exactly, and nothing where nothing can happen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from storagemod import Address, Receipt, World
from storagemod.scenario.fixtures import fixture
from storagemod.scenario.puppet import Call, CopyIn, Load, Operation, Revert, Script, Store, Store8, Trap
from storagemod.trace import Hazard, HazardKind
from storagemod.types import CallKind, StorageMapping, SyncPolicy
from storagemod.vm import option_names
from tests.model import strategies
from tests.model.agreement import SideBySide
from tests.model.kinds import PUPPETS, SMALL, TRACKERS, kind, small_kind
from tests.model.linked import Stale

A, B, C = PUPPETS

STALE, LOST = HazardKind.STALE_READ, HazardKind.LOST_UPDATE
TORN, AFTER = HazardKind.TORN_MAPPING, HazardKind.WRITE_AFTER_CALL

COPIED_LATE = [StorageMapping("copied", SyncPolicy.END), StorageMapping("copied", SyncPolicy.NONE)]
IN_LINE = [
    *((option, None) for option in option_names() if option != "copied"),
    ("copied", StorageMapping("copied", SyncPolicy.CALL)),
]


@pytest.fixture(params=[SyncPolicy.END, SyncPolicy.NONE])
def late(request: pytest.FixtureRequest) -> World:
    """Two puppets whose copies are brought in line when calls end, and then only."""
    return world_of_puppets("copied", StorageMapping("copied", request.param))


@pytest.fixture
def at_ends() -> World:
    return world_of_puppets("copied", COPIED_LATE[0])


@pytest.fixture
def whole() -> World:
    return world_of_puppets("copied", COPIED_LATE[1])


def world_of_puppets(option: str, mapping: StorageMapping | None = None) -> World:
    world = World()
    for address in (A, B):
        world.deploy(fixture("puppet/puppet", option), address=address, mapping=mapping)
    return world


def play(world: World, *operations: Operation) -> tuple[Hazard, ...]:
    """The hazards of a script for A, writes after calls left out."""
    return tuple(each for each in hazards(world.transact(A, data=bytes(Script(*operations)))) if each.kind is not AFTER)


def hazards(receipt: Receipt) -> tuple[Hazard, ...]:
    assert receipt.trace is not None
    return receipt.trace.hazards


def hazard(
    kind: HazardKind, offset: int, change: tuple[bytes, bytes], *, calls: tuple[int, int], undone: bool = False
) -> Hazard:
    """One of A's storage: the old and new bytes, the call that it happened to and the other one."""
    return Hazard(kind, A, "memory", offset, *change, *calls, undone)


def test_call_that_goes_on_with_a_copy_that_a_reentry_made_stale_has_a_stale_read(at_ends: World) -> None:
    found = play(at_ends, Load(0), Call(A, Script(CopyIn(3, b"xyz"))), Load(0))

    assert found == (hazard(STALE, 3, (bytes(3), b"xyz"), calls=(0, 1)),)


def test_call_that_copies_in_what_a_call_above_it_holds_back_has_a_stale_read(late: World) -> None:
    found = play(late, CopyIn(10, b"ab"), Call(B, Script(Call(A, Script(Load(8))))))

    assert found == (hazard(STALE, 10, (bytes(2), b"ab"), calls=(2, 0)),)


def test_bytes_of_two_calls_that_were_not_seen_are_told_apart(at_ends: World) -> None:
    found = play(at_ends, Load(0), Call(A, Script(CopyIn(0, b"ab"))), Call(A, Script(CopyIn(2, b"cd"))), Load(0))

    assert found == (
        hazard(STALE, 0, (bytes(2), b"ab"), calls=(0, 1)),
        hazard(STALE, 2, (bytes(2), b"cd"), calls=(0, 2)),
    )


def test_bytes_on_both_sides_of_a_page_border_are_one_range(at_ends: World) -> None:
    found = play(at_ends, Load(0), Call(A, Script(CopyIn(4_094, b"abcd"))), Load(0))

    assert found == (hazard(STALE, 4_094, (bytes(4), b"abcd"), calls=(0, 1)),)


def test_copy_written_back_over_what_a_reentry_wrote_is_a_lost_update(at_ends: World) -> None:
    found = play(at_ends, Call(B), Load(0), Call(A, Script(CopyIn(1, b"abc"))), CopyIn(2, b"xy"))

    assert [each for each in found if each.kind is LOST] == [hazard(LOST, 2, (b"bc", b"xy"), calls=(0, 2))]


def test_copy_written_back_unchanged_is_a_lost_update_where_everything_is(whole: World) -> None:
    found = play(whole, Load(0), Call(A, Script(CopyIn(1, b"abc"))))

    assert found == (hazard(LOST, 1, (b"abc", bytes(3)), calls=(0, 1)),)


def test_lost_update_across_a_page_border_is_told_whole(whole: World) -> None:
    found = play(whole, Load(0), Call(A, Script(CopyIn(4_094, b"abcd"))))

    assert found == (hazard(LOST, 4_094, (b"abcd", bytes(4)), calls=(0, 1)),)


def test_mapping_that_holds_bytes_of_two_calls_is_torn(at_ends: World) -> None:
    found = play(at_ends, Load(0), Call(A, Script(CopyIn(0, b"ab"))), CopyIn(1, b"x"))

    assert [each for each in found if each.kind is TORN] == [hazard(TORN, 0, (b"\0", b"a"), calls=(0, 1))]
    assert [each for each in found if each.kind is LOST] == [hazard(LOST, 1, (b"b", b"x"), calls=(0, 1))]


def test_write_back_of_everything_tears_nothing(whole: World) -> None:
    found = play(whole, Load(0), Call(A, Script(CopyIn(0, b"ab"))), CopyIn(1, b"x"))

    assert found == (hazard(LOST, 0, (b"ab", b"\0x"), calls=(0, 1)),)


def test_hazards_of_a_call_that_failed_or_reverted_are_marked_undone(late: World) -> None:
    for ending in (Revert(), Trap()):
        held_back = Call(A, Script(Load(0), ending))
        assert play(late, Store8(0, 1), held_back, Store8(0, 0)) == (
            hazard(STALE, 0, (b"\0", b"\1"), calls=(1, 0), undone=True),
        )


def test_hazards_inside_a_call_that_was_undone_are_marked_and_others_are_not(at_ends: World) -> None:
    stale = Script(Load(0), Call(A, Script(Store8(0, 1))), Load(0))
    found = play(at_ends, Call(B, Script(Call(A, stale), Revert())), Call(B, Script(Call(A, stale))))

    assert [(each.call_id, each.other_call_id, each.undone) for each in found] == [(2, 3, True), (5, 6, False)]
    assert {each.kind for each in found} == {STALE}


@pytest.mark.storagemod(strict=False)
def test_everything_is_undone_where_the_transaction_fails(late: World) -> None:
    (found,) = play(late, Store8(0, 1), Call(A, Script(Load(0))), Trap())

    assert found == hazard(STALE, 0, (b"\0", b"\1"), calls=(1, 0), undone=True)


def test_what_an_undone_reentry_wrote_makes_nothing_stale(at_ends: World) -> None:
    assert play(at_ends, Load(0), Call(A, Script(Store(0, 1), Revert())), Load(0)) == ()


def test_what_a_reentry_wrote_and_another_one_took_back_makes_nothing_stale(at_ends: World) -> None:
    write, undo = (Call(B, Script(Call(A, Script(Store8(0, value))))) for value in (1, 0))
    found = play(at_ends, Load(0), Call(B, Script(write, undo)), Load(0))

    assert found == ()


def test_first_use_of_storage_after_a_reentry_is_up_to_date(late: World) -> None:
    assert play(late, Call(A, Script(Store(0, 1))), Load(0), Store(8, 1)) == ()


def test_other_contracts_and_later_transactions_make_nothing_stale(late: World) -> None:
    assert play(late, Store(0, 1), Call(B, Script(Store(0, 2), Load(0))), Load(0)) == ()
    assert play(late, Load(0), Store(0, 3)) == ()


def test_delegate_call_is_judged_by_the_storage_that_it_runs_on(late: World) -> None:
    found = play(late, Store8(0, 1), Call(B, Script(Load(0)), kind=CallKind.DELEGATE))

    assert found == (hazard(STALE, 0, (b"\0", b"\1"), calls=(1, 0)),)


@pytest.mark.parametrize(("option", "mapping"), IN_LINE)
def test_nothing_is_stale_lost_or_torn_where_storage_is_one(option: str, mapping: StorageMapping | None) -> None:
    if option == "paged":
        mapping = StorageMapping("paged")
    world = world_of_puppets(option, mapping)
    inner = Call(B, Script(Call(A, Script(Load(0), CopyIn(1, b"ab"), Store(4_090, 7)))))

    assert play(world, Load(0), CopyIn(0, b"x"), inner, Load(0), CopyIn(2, b"y"), inner, Store(0, 0)) == ()


# The bank.


def robbed(bank: str, option: str, mapping: StorageMapping | None = None) -> World:
    """A bank with two customers, of which the second one comes back while it is being paid."""
    world = World()
    world.deploy(fixture(bank, option), address=1, links={"customer": 2}, mapping=mapping)
    world.deploy(fixture("bank/attacker", option), address=2, links={"bank": 1}, mapping=mapping)
    for who, amount in ((0, 500), (1, 100)):
        assert world.transact(1, "deposit", who, amount).ok
    return world


@pytest.mark.parametrize("option", option_names())
def test_bank_that_pays_first_writes_after_a_call_and_the_mended_one_does_not(option: str) -> None:
    mapping = StorageMapping("paged") if option == "paged" else None
    found = hazards(robbed("bank/bank", option, mapping).transact(2, "attack", 1, 1))
    mended = hazards(robbed("bank/bank_fixed", option, mapping).transact(2, "attack", 1, 1))

    assert {each.kind for each in found} == {AFTER}
    assert {each.address for each in found} >= {Address(1)}
    assert [each for each in mended if each.address == Address(1)] == []


def test_write_after_a_call_names_the_call_that_came_back_and_what_was_written() -> None:
    # The attack is call 0, the first withdrawal 1, the payment 2, the withdrawal inside it 3, its payment 4.
    found = hazards(robbed("bank/bank", "single").transact(2, "attack", 1, 1))
    of_the_bank = [each for each in found if each.address == Address(1)]

    # What the first withdrawal makes of the balance is what the second one made of it; the total it lowers again.
    total, lower = (amount.to_bytes(8, "little") for amount in (500, 400))
    assert of_the_bank == [Hazard(AFTER, Address(1), "memory", 0, total, lower, call_id=1, other_call_id=3)]


def test_call_that_is_not_reentered_may_write_after_it() -> None:
    world = world_of_puppets("single")
    receipt = world.transact(A, data=bytes(Script(Store(0, 1), Call(B, Script(Store(0, 2))), Store(0, 3))))

    assert hazards(receipt) == ()


# Random trees of calls.

QUICK = settings(
    max_examples=120,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def all_options() -> Iterator[SideBySide]:
    """All but `regions`, whose second region the others lack: random histories of worlds look at it, too."""
    kinds = (
        *(kind(option, TRACKERS[0]) for option in ("single", "methods")),
        *(small_kind(name, TRACKERS[0]) for name in SMALL),
    )
    with SideBySide.with_puppets(kinds=kinds) as both:
        assert all(world.call(A).trace for world in both.worlds.values())
        yield both


@QUICK
@given(script=strategies.scripts(small=True))
def test_nothing_is_found_where_storage_is_one_and_something_wherever_copies_went_wrong(
    all_options: SideBySide, script: Script
) -> None:
    """``SideBySide`` looks at the hazards of every receipt: the model knows what went astray, and each byte lost."""
    all_options.transact(A, script, commit=False)


def test_random_trees_go_astray_often_enough(all_options: SideBySide) -> None:
    astray: list[bool] = []

    @QUICK
    @given(script=strategies.scripts(small=True))
    def look(script: Script) -> None:
        for model in all_options.models.values():
            if isinstance(model, Stale):
                prediction = model.transact(A, script, sender=all_options.sender, value=0, commit=False)
                astray.append(prediction.astray)

    look()
    assert sum(astray) > len(astray) / 10


@pytest.mark.parametrize("sync", SyncPolicy)
def test_looking_for_hazards_does_not_bring_a_long_transaction_to_its_deadline(sync: SyncPolicy) -> None:
    """Much is written, by the call that goes on as well as by one below it, and then many calls are made."""
    world = world_of_puppets("copied", StorageMapping("copied", sync))
    much = CopyIn(0, b"x" * 50_000)
    for script in (
        Script(Call(A, Script(much)), Load(0), *[Call(C)] * 1_000),
        Script(much, *[Call(C)] * 1_000),
        Script(Load(0), *[Call(A, Script(much, Revert()))] * 10, *[Call(C)] * 1_000),
    ):
        assert world.call(A, data=bytes(script), gas=10**12).ok


def test_bytes_that_others_changed_and_changed_back_are_not_lost(whole: World) -> None:
    """The call at the top holds a 1 of its own; one is written below it, and lost. It overwrites what it had found."""
    found = play(whole, Store(0, 1), Call(A, Script(Load(0), Call(A, Script(Store(0, 1))))))
    assert [(each.call_id, each.other_call_id) for each in found if each.kind is LOST] == [(1, 2)]
