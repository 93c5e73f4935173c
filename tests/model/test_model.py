"""Real worlds do what the model says, whatever happens to them: under every linking option and every write tracker."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from .agreement import ALL_KINDS, ALL_KINDS_WITH_SPARE
from .histories import ORDINARY, Histories, HistoriesWithSpare, run

FUZZ = os.environ.get("STORAGEMOD_FUZZ") == "1"
FUZZ_EXAMPLES = int(os.environ.get("STORAGEMOD_FUZZ_EXAMPLES", "3000"))
"""Histories for each of the fuzz tests: some 20 minutes in all."""


def test_worlds_do_what_the_model_says() -> None:
    run(Histories)


def test_worlds_with_a_second_region_do_what_the_model_says() -> None:
    run(HistoriesWithSpare)


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
            database=settings.default.database,
            print_blob=True,
        ),
    )
