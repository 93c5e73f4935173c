"""Fixtures that tests of all packages share."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import settings

from storagemod import World
from storagemod.pages import BACKENDS, choose_backend, why_not_shared, why_unavailable
from storagemod.vm import option_names

pytest_plugins = ["pytester"]  # tests/testing/ runs pytest inside pytest

# The machine may be busy with something else: how long an example takes says nothing.
settings.register_profile("storagemod", deadline=None)
settings.load_profile("storagemod")


@pytest.fixture(params=["single", "regions", "methods"])
def option(request: pytest.FixtureRequest) -> str:
    """Each linking option in turn under which the storage of fixtures is the region `memory` and can grow."""
    name: str = request.param
    return name


@contextmanager
def no_garbage_collected() -> Iterator[None]:
    """Collect garbage, and none within."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def works(option: str, tracker: str | None = None) -> bool:
    """Whether a linking option works here: one does not everywhere, which tests/vm/test_aliased.py is about."""
    return not option.startswith("aliased") or why_not_shared(choose_backend(tracker)) is None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out options that do not work under a tracker."""

    def can_run(item: pytest.Item) -> bool:
        params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        return works(params.get("any_option", ""), params.get("tracker"))

    items[:] = [item for item in items if can_run(item)]


@pytest.fixture(params=filter(works, option_names()))
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
def often_another_thread() -> Iterator[None]:
    """Have Python change threads a thousand times as often as it does by itself."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def world() -> World:
    return World()
