from __future__ import annotations

import time
from pathlib import Path

from tests.golden import check_golden

from .conftest import Run

GOLDEN = Path(__file__).parent / "golden"


def test_demo_is_the_golden_file_and_takes_less_than_ten_seconds(run: Run) -> None:
    start = time.monotonic()
    ran = run("demo")

    assert time.monotonic() - start < 10
    assert (ran.status, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= 100
    check_golden(GOLDEN / "demo.txt", ran.out)


def test_demo_ends_alike_under_every_option(run: Run) -> None:
    lines = run("demo").out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("story"))
    rows = lines[start + 2 : start + 14]

    for first in range(0, 12, 3):
        endings = {row.split("  ")[-1] for row in rows[first : first + 3]}
        assert len(endings) == 1


def test_demo_under_one_option_tells_the_same_stories(run: Run, option: str) -> None:
    told = run("demo", "--link", option).out
    stories, table = told.split("The stories under ")

    assert stories.replace("memory, spare", "memory") == run("demo").out.split("The stories under ")[0]
    assert table.startswith(f"the linking option {option}\n")
    assert table.count("robbed: paid 300 for 100") == 1
