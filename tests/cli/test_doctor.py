from __future__ import annotations

import json

import pytest

from storagemod.cli import doctor
from storagemod.pages import BACKENDS

from .conftest import Run


def test_what_works_here_is_told(run: Run) -> None:
    told = run("doctor")
    assert (told.status, told.err) == (0, "")
    assert "1,024 deep" in told.out
    for name in BACKENDS:
        assert f"tracker {name}" in told.out
    assert told.out.count("used unless you choose another") == 1


def test_what_works_here_is_told_to_programs(run: Run) -> None:
    told = json.loads(run("doctor", "--json").out)
    assert (told["schema"], told["ok"]) == ("storagemod.doctor/1", True)
    assert {finding["subject"] for finding in told["findings"]} >= {"Python", "wasmtime", "SQLite", "nested calls"}


def test_a_tracker_that_does_not_work_is_told_with_the_reason(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def why(backend: object) -> str | None:
        return "the kernel is too old" if backend is BACKENDS["userfaultfd"] else None

    monkeypatch.setattr(doctor, "why_unavailable", why)
    told = run("doctor")
    assert told.status == 0  # there are others
    assert "--  tracker userfaultfd" in told.out
    assert "the kernel is too old" in told.out


def test_something_needed_that_does_not_work_is_a_failure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_DOWN", doctor._DOWN.replace("(i32.const 1))))", "(i32.const 2))))"))
    told = run("doctor")
    assert told.status == 1
    assert "Something that is needed does not work." in told.out
