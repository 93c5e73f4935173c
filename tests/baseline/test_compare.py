from __future__ import annotations

import attrs
import pytest

from storagemod.baseline import Entry, changes_between

ENTRY = Entry("bank.toml", "pay", "single", "ok", 1_000, 4, 2, 10, bytes(32), "41")
OTHER = attrs.evolve(ENTRY, title="later")


def test_equal_snapshots_have_no_changes() -> None:
    assert changes_between([ENTRY, OTHER], [OTHER, ENTRY]) == ()


def test_entries_that_are_new_or_gone_are_told() -> None:
    (added,) = changes_between([ENTRY], [ENTRY, OTHER])
    (removed,) = changes_between([ENTRY, OTHER], [ENTRY])

    assert (added.kind, added.old, added.new) == ("added", None, OTHER)
    assert (removed.kind, removed.old, removed.new) == ("removed", OTHER, None)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"outcome": "reverted"}, "outcome ok -> reverted"),
        ({"answer": "42"}, "answer 41 -> 42"),
        ({"answer": None}, "answer 41 -> (not in the file)"),
        ({"gas": 1_100}, "gas 1,000 -> 1,100 (+10.0 %)"),
        ({"touched": 3}, "pages touched 4 -> 3 (-25.0 %)"),
        ({"written": 3}, "pages written 2 -> 3 (+50.0 %)"),
        ({"host_calls": 0}, "host calls 10 -> 0 (-100.0 %)"),
        ({"state_root": b"\xff" * 32}, "state root 0x00000000… -> 0xffffffff…"),
    ],
)
def test_every_part_of_an_entry_counts(changed: dict[str, object], told: str) -> None:
    (change,) = changes_between([ENTRY], [attrs.evolve(ENTRY, **changed)])

    assert (change.kind, change.details) == ("changed", (told,))


@pytest.mark.parametrize(
    ("gas", "percent", "differs"), [(1_100, 10, False), (1_101, 10, True), (899, 10, True), (900, 10, False)]
)
def test_numbers_may_differ_by_the_tolerance(gas: int, percent: float, differs: bool) -> None:
    assert bool(changes_between([ENTRY], [attrs.evolve(ENTRY, gas=gas)], tolerance_percent=percent)) is differs


def test_nothing_has_no_percentage() -> None:
    nothing = attrs.evolve(ENTRY, host_calls=0)
    (change,) = changes_between([nothing], [attrs.evolve(ENTRY, host_calls=1)], tolerance_percent=50)

    assert change.details == ("host calls 0 -> 1",)


@pytest.mark.parametrize("changed", [{"outcome": "failed"}, {"answer": "42"}, {"state_root": b"\xff" * 32}])
def test_outcome_and_state_root_have_no_tolerance(changed: dict[str, object]) -> None:
    assert changes_between([ENTRY], [attrs.evolve(ENTRY, **changed)], tolerance_percent=1_000)


def test_pages_that_a_machine_cannot_know_are_not_compared() -> None:
    unknown = attrs.evolve(ENTRY, touched=None)

    assert changes_between([ENTRY], [unknown]) == changes_between([unknown], [ENTRY]) == ()
