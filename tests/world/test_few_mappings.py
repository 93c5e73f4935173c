"""With few mappings left a transaction runs, or is refused with nothing lost; the process neither hangs nor aborts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from storagemod.errors import StateError
from storagemod.pages.backend import BACKENDS, why_unavailable
from storagemod.wasm.room import SPARE_MAPPINGS, check_room

from .few_mappings import CASES, ROOMS
from .limited import filled_mappings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of a process are those of Linux here")

AVAILABLE = [name for name, backend in BACKENDS.items() if why_unavailable(backend) is None]


@pytest.mark.parametrize("tracker", AVAILABLE)
def test_transactions_run_or_are_refused(tracker: str) -> None:
    command = [sys.executable, "-m", "tests.world.few_mappings", tracker]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=1_000, check=False)
    assert ran.returncode == 0, ran.stderr[-2_000:]
    found = json.loads(ran.stdout)
    assert len(found) == len(CASES) * len(ROOMS)
    wrong = {case: end for case, end in found.items() if end[0] or not end[1].startswith(("ran", "refused: "))}
    assert not wrong
    for case in CASES:
        assert found[f"{case} 120"] == [0, "ran"]
    for case in ("works", "works_on_thread", "maps", "direct"):
        assert found[f"{case} 3"][1].startswith("refused: the process has too little room left to run transactions")


def test_room_is_proved_and_given_back() -> None:
    check_room()
    with filled_mappings(SPARE_MAPPINGS + 8):
        for _ in range(20):
            check_room()
    with (
        filled_mappings(SPARE_MAPPINGS - 8),
        pytest.raises(StateError, match=r"too little room left to run transactions: .*it needs 32 more mappings"),
    ):
        check_room()
    check_room()
