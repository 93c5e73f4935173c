"""The semantics hold whatever shows storage in memory and finds what was written."""

from __future__ import annotations

import pytest

from storagemod import World
from storagemod.vm import option_names
from tests.conftest import works
from tests.semantics.puppets import LOWERED


@pytest.fixture(params=["single", "regions", "methods", LOWERED])
def option(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=[*filter(works, option_names()), LOWERED])
def any_option(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def world(tracker: str) -> World:
    return World(tracker=tracker)
