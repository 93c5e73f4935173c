"""What storage costs, as ratios within one run. No time is asserted: machines are noisy, and shared."""

from __future__ import annotations

import os

import pytest

from storagemod.bench import page_comparisons
from storagemod.pages import BACKENDS, why_unavailable

MEASURED = {
    "summing 1 MiB, 50 times in one transaction": ["own memory", "storage"],
    "a transaction that opens storage and touches nothing": ["64 KiB", "64 MiB", "4 GiB"],
    "a transaction that writes pages of 4 GiB, far apart": ["1 page", "10 pages", "100 pages"],
    "64 nested calls that write a page": ["and return", "and revert"],
    "64 nested calls that each map 1 MiB and write a word": ["single", "copied", "paged", "aliased", "window"],
    "20 transactions that commit 10 pages each": [
        "plain SQLite, the same page writes",
        "a world in a directory",
        "a world in memory",
    ],
}


@pytest.mark.skipif(why_unavailable(BACKENDS["userfaultfd"]) is not None, reason="the quick tracker does not work here")
def test_everything_is_measured_once() -> None:
    comparisons = list(page_comparisons(tracker="userfaultfd", rounds=1))
    assert {each.title: [figure.name for figure in each.figures] for each in comparisons} == MEASURED
    assert all(figure.seconds > 0 and figure.ratio > 0 for each in comparisons for figure in each.figures)
    assert all(each.figures[0].ratio == 1 for each in comparisons)


@pytest.mark.bench
@pytest.mark.skipif(os.environ.get("STORAGEMOD_BENCH") != "1", reason="takes long: set STORAGEMOD_BENCH=1 to run it")
def test_the_ratios_are_what_the_design_promises() -> None:
    """With room for a noisy machine; ``storagemod bench pages`` shows the figures."""
    reading, opening, writing, undoing, mapping, _ = (
        {figure.name: figure.ratio for figure in each.figures} for each in page_comparisons(rounds=25)
    )
    assert reading["storage"] < 1.1
    assert max(opening.values()) < 1.5
    assert writing["100 pages"] / writing["10 pages"] < 12
    assert undoing["and revert"] < 3
    assert max(mapping["aliased"], mapping["copied"]) < mapping["paged"]
