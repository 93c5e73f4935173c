"""Known histories come out as they have to, in the model and in worlds of every kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from . import known, known_small
from .agreement import SideBySide
from .kinds import ALL_KINDS, ALL_KINDS_WITH_SPARE, SMALL, all_small_kinds


@pytest.mark.parametrize("history", known.HISTORIES, ids=lambda history: history.__name__)
def test_worlds_and_the_model_do_what_is_known(history: Callable[[SideBySide], None]) -> None:
    with SideBySide.with_puppets(kinds=ALL_KINDS) as both:
        history(both)


def test_regions_have_lengths_and_holes_of_their_own() -> None:
    with SideBySide.with_puppets(kinds=ALL_KINDS_WITH_SPARE, spare=True) as both:
        known.regions_have_lengths_and_holes_of_their_own(both)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("history", known_small.HISTORIES, ids=lambda history: history.__name__)
def test_keyed_and_mapped_storage_does_what_is_known(history: Callable[[SideBySide, str], None], name: str) -> None:
    with SideBySide.with_puppets(kinds=all_small_kinds(name)) as both:
        history(both, name)


def test_delegate_call_maps_storage_as_its_code_does() -> None:
    with SideBySide.with_puppets(kinds=all_small_kinds("copied, mixed")) as both:
        known_small.a_delegate_call_maps_storage_as_its_code_does(both)


def test_of_two_calls_one_is_enough_to_exclude_the_other() -> None:
    with SideBySide.with_puppets(kinds=all_small_kinds("paged, mixed")) as both:
        known_small.of_two_calls_one_is_enough_to_exclude_the_other(both)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("history", known_small.ALIKE, ids=lambda history: history.__name__)
def test_what_has_nothing_to_do_with_storage_is_the_same_under_every_option(
    history: Callable[[SideBySide], None], name: str
) -> None:
    with SideBySide.with_puppets(kinds=all_small_kinds(name)) as both:
        history(both)
