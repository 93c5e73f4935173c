"""``storagemod bench``: measure on this machine, as ratios within one run."""

from __future__ import annotations

import click
from attrs import asdict

from storagemod.bench import Comparison, page_comparisons
from storagemod.cli.options import json_option, tracker_option
from storagemod.cli.output import note, say, say_document
from storagemod.report import document, render_table


@click.group("bench", short_help="Measure what things cost on this machine.")
def bench_command() -> None:
    """Measure what things cost on this machine.

    Everything is timed in turns with what it is compared with, so the ratios hold also where the machine is busy with
    something else; the times do not.
    """


@bench_command.command("pages", short_help="Reading, opening, writing, undoing and committing storage.")
@click.option("--rounds", type=click.IntRange(1, 1_000), default=15, show_default=True, help="How often to do each.")
@tracker_option
@json_option
def pages_command(rounds: int, tracker: str | None, as_json: bool) -> int:
    """Measure reading, opening, writing, undoing and committing storage."""
    comparisons = []
    for comparison in page_comparisons(tracker=tracker, rounds=rounds):
        comparisons.append(comparison)
        if as_json:
            note(f"measured: {comparison.title}")
        else:
            _print(comparison)
    if as_json:
        say_document(document("bench", {"comparisons": [asdict(each) for each in comparisons]}))
    return 0


def _print(comparison: Comparison) -> None:
    say(comparison.title, "bold")
    rows = [(each.name, f"{each.seconds * 1e6:,.0f} µs", f"{each.ratio:.2f}") for each in comparison.figures]
    say(render_table(("", "time", "ratio"), rows))
    say(f"aim: {comparison.aim}", "dim")
    say()
