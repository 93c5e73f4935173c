"""Page protection holds code to reading and to a length, and errors say so where it cannot."""

from __future__ import annotations

import json

import pytest

from storagemod.errors import StateError
from storagemod.pages import BACKENDS, LiveRegion, MemoryImage, UndoLog, _libc
from storagemod.pages.backend import COMPARE
from storagemod.types import WASM_PAGE_BYTES
from tests.pages.memories import ReservedMemory
from tests.pages.programs import output_of


def test_what_is_forbidden_faults_and_what_is_allowed_does_not() -> None:
    trials = json.loads(output_of("tests.pages.forbidden_accesses"))
    assert {name for name, *_ in trials} >= {"compare", "portable"}
    for backend, memory, setting, access, allowed, faulted in trials:
        expected = BACKENDS[backend].protects and not allowed
        assert faulted == expected, f"{backend}, {memory}: held to {setting!r}, {access!r}"


def test_all_but_the_portable_backend_can_hold_code_back() -> None:
    assert [name for name, backend in BACKENDS.items() if not backend.protects] == ["portable"]


def region_of_two_pages(length: int = 2) -> LiveRegion:
    return LiveRegion("region", ReservedMemory(2), MemoryImage(length), COMPARE, UndoLog(), 2)


def test_rights_that_are_set_already_cost_no_system_call(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int, int]] = []
    region, longer = region_of_two_pages(1), region_of_two_pages(2)
    monkeypatch.setattr(_libc, "protect", lambda *arguments: calls.append(arguments))
    region.allow_all()
    longer.allow(writing=True)
    assert calls == []
    for _ in range(2):
        region.allow(writing=False)
    base, page = region.memory.base, WASM_PAGE_BYTES
    assert calls == [(base, page, _libc.PROT_READ), (base + page, page, _libc.PROT_NONE)]


def test_a_region_is_plain_while_all_of_its_memory_is_its_own_and_may_be_written() -> None:
    """Callers skip what there is to check otherwise."""
    region = region_of_two_pages()
    assert region.plain
    region.allow(writing=False)
    assert not region.plain
    region.allow_all()
    assert region.plain
    assert not region_of_two_pages(1).plain


@pytest.mark.parametrize("failing", [1, 2])
def test_rights_that_could_not_be_set_are_not_taken_for_set(monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    calls: list[int] = []

    def refuse_once(*arguments: int) -> None:
        calls.append(arguments[2])
        if len(calls) == failing:
            raise OSError(12, "mprotect: Cannot allocate memory")

    region = region_of_two_pages(1)
    monkeypatch.setattr(_libc, "protect", refuse_once)
    with pytest.raises(StateError, match=r"access to storage cannot be restricted: .*Cannot allocate memory"):
        region.allow(writing=False)
    assert not region.plain
    region.allow_all()
    assert calls[failing:] == [_libc.PROT_READ_WRITE]
