"""Descriptors that cannot be had are a clear error, and no answer for good."""

from __future__ import annotations

import json
import sys

import pytest

from storagemod.pages import BACKENDS, choose_backend, why_unavailable
from tests.pages.programs import output_of


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other trackers need no descriptors")
def test_a_process_without_descriptors_is_told_so_and_goes_on_when_it_has_some() -> None:
    found = json.loads(output_of("tests.pages.scarce"))
    for what, errors in found["errors"].items():
        (error,) = errors
        assert "Too many open files" in error or "too many files" in error, what
        assert "ulimit -n" in error, what
    assert found["works"] == [name for name, backend in BACKENDS.items() if why_unavailable(backend) is None]
    assert found["chosen"] == choose_backend().name
    assert found["ran"] is True
