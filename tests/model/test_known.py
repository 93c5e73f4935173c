"""Known histories come out as they have to, in the model and in worlds of every kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from . import known
from .agreement import ALL_KINDS, ALL_KINDS_WITH_SPARE, SideBySide


@pytest.mark.parametrize("history", known.HISTORIES, ids=lambda history: history.__name__)
def test_worlds_and_the_model_do_what_is_known(history: Callable[[SideBySide], None]) -> None:
    with SideBySide.with_puppets(kinds=ALL_KINDS) as both:
        history(both)


def test_regions_have_lengths_and_holes_of_their_own() -> None:
    with SideBySide.with_puppets(kinds=ALL_KINDS_WITH_SPARE, spare=True) as both:
        known.regions_have_lengths_and_holes_of_their_own(both)
