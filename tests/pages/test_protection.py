"""Page protection holds code to reading and to a length; and says so where it cannot."""

from __future__ import annotations

import json

import pytest
from storagemod.pages.protection import PageProtection

from storagemod.errors import StateError
from storagemod.pages import BACKENDS, PageBackend, _libc
from storagemod.types import WASM_PAGE_BYTES
from tests.pages.memories import ReservedMemory
from tests.pages.programs import output_of


def test_what_is_forbidden_faults_and_what_is_allowed_does_not() -> None:
    trials = json.loads(output_of("tests.pages.forbidden_accesses"))
    assert {name for name, *_ in trials} >= {"compare", "portable"}
    for backend, memory, setting, access, allowed, faulted in trials:
        expected = BACKENDS[backend].protect(ReservedMemory(1)).enforces and not allowed
        assert faulted == expected, f"{backend}, {memory}: held to {setting!r}, {access!r}"


def test_all_but_the_portable_backend_can_hold_code_back(backend: PageBackend) -> None:
    assert backend.protect(ReservedMemory(1)).enforces == (backend.name != "portable")


def test_rights_that_are_set_already_cost_no_system_call(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int, int]] = []
    memory = ReservedMemory(2)
    protection = PageProtection(memory)
    monkeypatch.setattr(_libc, "protect", lambda *arguments: calls.append(arguments))
    protection.allow(writing=True, wasm_pages=2)
    assert calls == []
    for _ in range(2):
        protection.allow(writing=False, wasm_pages=1)
    base, page = memory.base, WASM_PAGE_BYTES
    assert calls == [(base, page, _libc.PROT_READ), (base + page, page, _libc.PROT_NONE)]


@pytest.mark.parametrize("failing", [1, 2])
def test_rights_that_could_not_be_set_are_not_taken_for_set(monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    calls: list[int] = []

    def refuse_once(*arguments: int) -> None:
        calls.append(arguments[2])
        if len(calls) == failing:
            raise OSError(12, "mprotect: Cannot allocate memory")

    protection = PageProtection(ReservedMemory(2))
    monkeypatch.setattr(_libc, "protect", refuse_once)
    with pytest.raises(StateError, match=r"access to storage cannot be restricted: .*Cannot allocate memory"):
        protection.allow(writing=False, wasm_pages=1)
    protection.allow(writing=True, wasm_pages=2)
    assert calls[failing:] == [_libc.PROT_READ_WRITE]
