"""What tests of all floors share."""

from __future__ import annotations

import pytest

from storagemod import World
from storagemod.linking import option_names


@pytest.fixture(params=option_names())
def option(request: pytest.FixtureRequest) -> str:
    """Each linking option in turn."""
    name: str = request.param
    return name


@pytest.fixture
def world() -> World:
    return World()
