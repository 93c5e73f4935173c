"""``storagemod bench``: measure on this machine, as ratios within one run."""

from __future__ import annotations

from collections.abc import Iterable

import click
from attrs import asdict

from storagemod.bench import INSTALL_PEERS, Comparison, Peers, call_comparisons, page_comparisons
from storagemod.cli.options import json_option, tracker_option
from storagemod.cli.output import note, say, say_document
from storagemod.report import document, render_table

_QUICK_SECONDS = 1e-4
"""Times below this are shown with decimals."""

_rounds_option = click.option(
    "--rounds", type=click.IntRange(1, 1_000), default=15, show_default=True, help="How often to do each."
)


@click.group("bench", short_help="Measure what things cost on this machine.")
def bench_command() -> None:
    """Measure what things cost on this machine.

    Everything is timed in turns with what it is compared with, so the ratios hold also where the machine is busy with
    something else; the times do not.
    """


@bench_command.command("pages", short_help="Reading, opening, writing, undoing and committing storage.")
@_rounds_option
@tracker_option
@json_option
def pages_command(rounds: int, tracker: str | None, as_json: bool) -> int:
    """Measure reading, opening, writing, undoing and committing storage."""
    _show(page_comparisons(tracker=tracker, rounds=rounds), {}, as_json=as_json)
    return 0


@bench_command.command("calls", short_help="Transactions and nested calls, beside other virtual machines.")
@_rounds_option
@tracker_option
@json_option
def calls_command(rounds: int, tracker: str | None, as_json: bool) -> int:
    """Measure transactions and nested calls, beside bare wasmtime, LiteSVM and revm.

    LiteSVM and revm are measured where they are installed: pip install 'storagemod[bench]'.
    """
    peers = Peers.installed()
    if not as_json:
        for name in peers.absent:
            say(f"{name} is not installed and left out: {INSTALL_PEERS}")
            say()
    absent = [{"name": name, "install": INSTALL_PEERS} for name in peers.absent]
    _show(call_comparisons(peers, tracker=tracker, rounds=rounds), {"absent": absent}, as_json=as_json)
    return 0


def _show(comparisons: Iterable[Comparison], more: dict[str, object], *, as_json: bool) -> None:
    measured = []
    for comparison in comparisons:
        measured.append(comparison)
        if as_json:
            note(f"measured: {comparison.title}")
        else:
            _print(comparison)
        if comparison.is_noisy:
            first = comparison.figures[0].name
            note(
                f"warning: the machine is too noisy to tell small differences: the times of {first} "
                f"spread by {comparison.noise:.0%} of their median; try more --rounds, or a quieter machine"
            )
    if as_json:
        say_document(document("bench", {"comparisons": [asdict(each) for each in measured], **more}))


def _print(comparison: Comparison) -> None:
    say(comparison.title, "bold")
    rows = [(each.name, _microseconds(each.seconds), f"{each.ratio:.2f}") for each in comparison.figures]
    say(render_table(("", "time", "ratio"), rows), block=True)
    say(f"aim: {comparison.aim}", "dim")
    say()


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.{0 if seconds >= _QUICK_SECONDS else 1}f} µs"
