"""Real worlds do what the model says, whatever happens to them: under every linking option and every write tracker."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import settings

from .agreement import ALL_KINDS, ALL_KINDS_WITH_SPARE
from .histories import ORDINARY, Histories, HistoriesWithSpare, run
from .witness import EVENTS, EVENTS_OF_SPARE, Witness

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


class LongHistories(Histories):
    kinds = ALL_KINDS


class LongHistoriesWithSpare(HistoriesWithSpare):
    kinds = ALL_KINDS_WITH_SPARE


@pytest.mark.fuzz
@pytest.mark.skipif(not FUZZ, reason="takes long: set STORAGEMOD_FUZZ=1 to run it")
@pytest.mark.parametrize("histories", [LongHistories, LongHistoriesWithSpare])
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
