"""Real worlds do what the model says, under every linking option."""

from __future__ import annotations

from .histories import Histories, HistoriesWithSpare, run


def test_worlds_under_every_linking_option_do_what_the_model_says() -> None:
    run(Histories)


def test_worlds_with_a_second_region_do_what_the_model_says() -> None:
    run(HistoriesWithSpare)
