"""Real worlds do what the model says, whatever happens to them: under every linking option and every write tracker."""

from __future__ import annotations

import os
from collections import Counter

import attrs
import pytest
from hypothesis import settings

from .histories import ORDINARY, Histories, HistoriesByBytes, HistoriesOfSmallStorage, HistoriesWithSpare, run
from .kinds import ALL_BYTEWISE_KINDS, ALL_KINDS, ALL_KINDS_WITH_SPARE, ALL_SMALL, ALL_SMALL_KINDS, SMALL_KINDS, Kind
from .witness import (
    EVENTS,
    EVENTS_OF_MAPPED_STORAGE,
    EVENTS_OF_SPARE,
    EVENTS_OF_STALE_COPIES,
    EVENTS_WHERE_WRITES_ARE_STOPPED,
    MappedWitness,
    StoppedWitness,
    Witness,
)

FUZZ = os.environ.get("STORAGEMOD_FUZZ") == "1"
FUZZ_EXAMPLES = int(os.environ.get("STORAGEMOD_FUZZ_EXAMPLES", "2000"))
"""Histories for each of the fuzz tests. They take a quarter of an hour or so, in all."""


SEEN: Counter[str] = Counter()


class CountingModel(Witness):
    seen = SEEN


class WitnessedHistories(Histories):
    model = CountingModel


class WitnessedHistoriesWithSpare(HistoriesWithSpare):
    model = CountingModel


def test_worlds_do_what_the_model_says_and_all_that_matters_happens() -> None:
    """Should some edit or release make other histories, and these no longer meet everything, then `strategies.py` has
    to make it likelier."""
    run(WitnessedHistories)
    run(WitnessedHistoriesWithSpare)
    assert (EVENTS | EVENTS_OF_SPARE) - SEEN.keys() == set()


SEEN_BY_BYTES: Counter[str] = Counter()


class WitnessedHistoriesByBytes(HistoriesByBytes):
    kinds = tuple(
        attrs.evolve(kind, model=type("WitnessByBytes", (Witness, kind.model), {"seen": SEEN_BY_BYTES}))
        for kind in HistoriesByBytes.kinds
    )


def test_storage_counted_in_bytes_does_what_its_model_says_and_all_that_matters_happens() -> None:
    run(WitnessedHistoriesByBytes, settings(ORDINARY, max_examples=30, stateful_step_count=20))
    stopped = {"a hole was accessed: stopped", "a hole was accessed: stopped, in the second region"}
    assert (EVENTS | EVENTS_OF_SPARE) - SEEN_BY_BYTES.keys() <= stopped


SEEN_SMALL: dict[str, Counter[str]] = {name: Counter() for name in ALL_SMALL}


def witnessed(kind: Kind, name: str) -> Kind:
    """The same kind, whose model counts what it meets."""
    witness = StoppedWitness if name.startswith(("keyed", "aliased", "window")) else MappedWitness
    model = type(kind.model.__name__, (witness, kind.model), {"seen": SEEN_SMALL[name]})
    return attrs.evolve(kind, model=model)


class WitnessedHistoriesOfSmallStorage(HistoriesOfSmallStorage):
    kinds = tuple(
        witnessed(kind, name)
        for name in ALL_SMALL
        for kind in SMALL_KINDS
        if f", {name}" == kind.name.removesuffix(", durable")[kind.name.index(", ") :]
    )


def test_keyed_and_mapped_storage_does_what_its_model_says_and_all_that_matters_happens() -> None:
    run(WitnessedHistoriesOfSmallStorage, settings(ORDINARY, stateful_step_count=20))
    assert len(WitnessedHistoriesOfSmallStorage.kinds) == len(SMALL_KINDS)
    stale = EVENTS_OF_MAPPED_STORAGE | EVENTS_OF_STALE_COPIES
    in_line = EVENTS_OF_MAPPED_STORAGE - {
        "storage had changed since it was copied",
        "a call used storage while one above it had changed its copy",
    }
    missed = {
        name: events - SEEN_SMALL[name].keys()
        for name, events in {
            "keyed": EVENTS_WHERE_WRITES_ARE_STOPPED,
            "copied, call": in_line,
            "copied, end": stale,
            "copied, none": stale,
            "paged": in_line,
            "aliased": EVENTS_WHERE_WRITES_ARE_STOPPED,
            "window": EVENTS_WHERE_WRITES_ARE_STOPPED,
            "copied, revision": stale - {"an update was lost"},
            "paged, transaction": in_line,
            "aliased, transaction": EVENTS_WHERE_WRITES_ARE_STOPPED,
            "copied, mixed": stale,
            "paged, mixed": stale - {"an update was lost"},
        }.items()
    }
    assert missed == {name: set() for name in ALL_SMALL}


class LongHistories(Histories):
    kinds = ALL_KINDS


class LongHistoriesWithSpare(HistoriesWithSpare):
    kinds = ALL_KINDS_WITH_SPARE


class LongHistoriesByBytes(HistoriesByBytes):
    kinds = ALL_BYTEWISE_KINDS


class LongHistoriesOfSmallStorage(HistoriesOfSmallStorage):
    kinds = ALL_SMALL_KINDS


@pytest.mark.fuzz
@pytest.mark.skipif(not FUZZ, reason="takes long: set STORAGEMOD_FUZZ=1 to run it")
@pytest.mark.parametrize(
    "histories", [LongHistories, LongHistoriesWithSpare, LongHistoriesByBytes, LongHistoriesOfSmallStorage]
)
def test_worlds_do_what_the_model_says_for_long(histories: type[Histories]) -> None:
    """Other histories each time. One that fails is kept in `.hypothesis`, and comes first the next time."""
    run(
        histories,
        settings(
            ORDINARY,
            max_examples=FUZZ_EXAMPLES,
            stateful_step_count=40,
            derandomize=False,
            database=settings().database,
            print_blob=True,
        ),
    )
