"""``storagemod compare``: one scenario under every linking option, side by side."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import click
from attrs import asdict

from storagemod.cli.options import (
    NamedPath,
    exclusives_option,
    link_choice,
    load_named_scenario,
    sync_choice,
    tracker_option,
)
from storagemod.cli.output import continued, say, say_document
from storagemod.report import document, render_table
from storagemod.report.table import NOTHING
from storagemod.scenario.compare import Compared, Comparison, compare_scenario, variants
from storagemod.trace import HazardKind
from storagemod.types import ExclusivePolicy, SyncPolicy

_HEADERS = (
    "linking",
    "as expected",
    "differs",
    "hazards",
    "gas",
    "host calls",
    "bytes copied",
    "instances",
    "written",
    "touched",
)
COLUMNS_NARROW = len(_HEADERS) - 3
"""How many columns are shown where a line has 100 characters; they are the same on every machine."""

_FAULTS = (HazardKind.STALE_READ, HazardKind.LOST_UPDATE, HazardKind.TORN_MAPPING)


@click.command("compare", short_help="Run a scenario under every linking option, side by side.")
@click.argument("file", type=NamedPath(), metavar="FILE.toml")
@click.option("--links", "-l", multiple=True, type=link_choice, help="Only these linking options; may be repeated.")
@click.option(
    "--sync",
    "syncs",
    multiple=True,
    type=sync_choice,
    help="Only these sync policies of the option `copied`; may be repeated.",
)
@exclusives_option
@click.option("--json", "form", flag_value="json", help="Print one JSON document.")
@click.option("--markdown", "form", flag_value="markdown", help="Print the table as Markdown.")
@click.option("--no-time", is_flag=True, help="Leave out the times, which are not the same from run to run.")
@tracker_option
def compare_command(
    file: Path,
    links: tuple[str, ...],
    syncs: tuple[str, ...],
    exclusives: tuple[str, ...],
    form: str | None,
    no_time: bool,
    tracker: str | None,
) -> int:
    """Run a scenario under every linking option that its contracts can be built for, and show what each costs.

    Shown are the transactions that end as the scenario expects, whether results or storage differ from those under the
    first option, hazards (stale reads, lost updates and torn mappings; in brackets writes after calls), gas, calls of
    the host, bytes that it copied, instances made, pages of 4 KiB written and touched, and the time as a ratio to the
    quickest. What differs is told below in words.

    The exit status is 0 whatever differs: under some options things go wrong on purpose.
    """
    scenario = load_named_scenario(file)
    wanted = variants(links, [SyncPolicy(each) for each in syncs], [ExclusivePolicy(each) for each in exclusives])
    comparison = compare_scenario(scenario, wanted, tracker=tracker)
    if form == "json":
        say_document(document("compare", _to_json(comparison, timed=not no_time)))
        return 0
    headers, rows = comparison_table(comparison, timed=not no_time)
    if form == "markdown":
        text = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
        for row in (headers, ["---"] * len(headers), *text):
            say(f"| {' | '.join(row)} |")
    else:
        say(f"{scenario.path}: {scenario.name}", "bold")
        say(render_table(headers, rows), block=True)
    say_differences(comparison)
    return 0


def comparison_table(comparison: Comparison, *, timed: bool) -> tuple[list[str], list[list[str | int]]]:
    """Headers and rows, one for each variant; the first ``COLUMNS_NARROW`` columns are a narrow table."""
    headers, rows = list(_HEADERS), [_row(each) for each in comparison.compared]
    if timed:
        headers.append("time")
        rows = [[*row, f"{ratio:.1f}"] for row, ratio in zip(rows, _time_ratios(comparison), strict=True)]
    return headers, rows


def _time_ratios(comparison: Comparison) -> list[float]:
    """Return the time of each variant over the least one; 1 where nothing ran that takes time."""
    least = min(each.seconds for each in comparison.compared)
    return [each.seconds / least if least else 1.0 for each in comparison.compared]


def _row(compared: Compared) -> list[str | int]:
    transactions = compared.result.transactions
    faults = sum(compared.hazards.get(kind, 0) for kind in _FAULTS)
    warnings = compared.hazards.get(HazardKind.WRITE_AFTER_CALL, 0)
    costs = compared.costs
    return [
        str(compared.variant),
        f"{sum(each.ok for each in transactions)} of {len(transactions)}",
        "yes" if compared.differences else "no",
        f"{faults}{f' ({warnings})' if warnings else ''}",
        compared.gas,
        costs.host_calls,
        costs.bytes_copied,
        costs.instances,
        costs.pages_written,
        NOTHING if compared.pages_touched is None else compared.pages_touched,
    ]


def say_differences(comparison: Comparison, *, columns: int = sys.maxsize) -> None:
    """Print, in words, what differs, and why a variant could not run; longer lines are wrapped."""
    for compared in comparison.compared:
        if compared.differences:
            say()
            say(f"{compared.variant}", "bold")
            for difference in compared.differences:
                say(textwrap.fill(difference, columns, initial_indent="  ", subsequent_indent="    "), block=True)
            for kind, number in sorted(compared.hazards.items()):
                if kind in _FAULTS:
                    say(f"  {number} {kind.value}{'' if number == 1 else 's'} (`storagemod run -vvvv` shows where)")
    for variant, reason in comparison.refused.items():
        say()
        say(continued(f"{variant}: cannot run: {reason}"), block=True)


def _to_json(comparison: Comparison, *, timed: bool) -> dict[str, Any]:
    return {
        "path": comparison.scenario.path,
        "name": comparison.scenario.name,
        "variants": [
            {
                "link": each.variant.link,
                "sync": None if each.variant.sync is None else each.variant.sync.value,
                "exclusive": None if each.variant.exclusive is None else each.variant.exclusive.value,
                "transactions": [
                    {
                        "title": transaction.title,
                        "as_expected": transaction.ok,
                        "outcome": "refused"
                        if transaction.receipt is None
                        else transaction.receipt.outcome.name.lower(),
                    }
                    for transaction in each.result.transactions
                ],
                "differences": list(each.differences),
                "hazards": {kind.value: number for kind, number in sorted(each.hazards.items())},
                "gas_used": each.gas,
                "costs": asdict(each.costs),
                "pages_touched": each.pages_touched,
                "state_root": f"0x{each.result.state_root.hex()}",
            }
            | ({"time_ratio": ratio} if timed else {})
            for each, ratio in zip(comparison.compared, _time_ratios(comparison), strict=True)
        ],
        "refused": [{"link": variant.link, "reason": reason} for variant, reason in comparison.refused.items()],
    }
