"""What tests of all floors share."""

from __future__ import annotations

import pytest
from hypothesis import settings

from storagemod import World
from storagemod.linking import option_names
from storagemod.pages import BACKENDS, why_unavailable

# The machine may be busy with something else: how long an example takes says nothing.
settings.register_profile("storagemod", deadline=None)
settings.load_profile("storagemod")


@pytest.fixture(params=["single", "regions", "methods"])
def option(request: pytest.FixtureRequest) -> str:
    """Each linking option in turn under which the storage of fixtures is the region `memory` and can grow."""
    name: str = request.param
    return name


@pytest.fixture(params=option_names())
def any_option(request: pytest.FixtureRequest) -> str:
    """Each linking option in turn."""
    name: str = request.param
    return name


@pytest.fixture(params=[name for name, backend in BACKENDS.items() if why_unavailable(backend) is None])
def tracker(request: pytest.FixtureRequest) -> str:
    """Each write tracker that works on this machine in turn."""
    name: str = request.param
    return name


@pytest.fixture
def world() -> World:
    return World()
