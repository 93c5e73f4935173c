"""The semantics hold whatever shows storage in memory and finds what was written."""

from __future__ import annotations

import pytest

from storagemod import World


@pytest.fixture
def world(tracker: str) -> World:
    return World(tracker=tracker)
