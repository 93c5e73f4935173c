"""Every backend that works here, on every kind of memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storagemod.pages import BACKENDS, PageBackend, live, why_not_shared
from tests.pages.memories import MEMORIES, MemoryMaker, memories_of


@pytest.fixture
def backend(tracker: str) -> PageBackend:
    return BACKENDS[tracker]


@pytest.fixture(params=[name for name, backend in BACKENDS.items() if why_not_shared(backend) is None])
def sharing_backend(request: pytest.FixtureRequest) -> PageBackend:
    """Each backend in turn that can show a page in several memories here."""
    return BACKENDS[request.param]


@pytest.fixture(params=MEMORIES)
def new_memory(request: pytest.FixtureRequest) -> Iterator[MemoryMaker]:
    """Makes memories of each kind in turn: of so many Wasm pages, and at most so many."""
    with memories_of(MEMORIES[request.param]) as make:
        yield make


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has written pages watched again, and regions mapped anew, after next to nothing."""
    monkeypatch.setattr(live, "COMPARED_PAGES_MAX", 2)
    monkeypatch.setattr(live, "_QUIET_BOUNDARIES_MAX", 1)
    monkeypatch.setattr(live, "_PRIVATE_PAGES_MAX", 3)
