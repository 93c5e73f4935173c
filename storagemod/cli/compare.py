"""``storagemod compare``: one scenario under every linking option, side by side."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import click
from attrs import asdict, evolve

from storagemod.cli.options import (
    NamedPath,
    call_choice,
    exclusives_option,
    link_choice,
    load_named_scenario,
    sync_choice,
    tracker_option,
)
from storagemod.cli.output import continued, say, say_document
from storagemod.report import document, options_to_json, render_table
from storagemod.report.table import NOTHING
from storagemod.scenario.compare import Compared, Comparison, Variant, compare_scenario, variants
from storagemod.trace import HazardKind
from storagemod.types import CallMode, ExclusivePolicy, SyncPolicy

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
@click.option(
    "--calls",
    type=call_choice,
    help="Only with contract calls made in this way: `mediated` by the host, or `direct` from wasm to wasm, which has "
    "neither hazards nor pages touched to tell. Default: both, where a transaction runs whole with direct calls.",
)
@click.option("--json", "form", flag_value="json", help="Print one JSON document.")
@click.option("--markdown", "form", flag_value="markdown", help="Print the table as Markdown.")
@click.option("--no-time", is_flag=True, help="Leave out the times, which are not the same from run to run.")
@tracker_option
def compare_command(
    file: Path,
    links: tuple[str, ...],
    syncs: tuple[str, ...],
    exclusives: tuple[str, ...],
    calls: str | None,
    form: str | None,
    no_time: bool,
    tracker: str | None,
) -> int:
    """Run a scenario under every linking option that its contracts can be built for, and show what each costs.

    Options with direct calls have rows of their own: contracts call one another with no host between.

    Shown are the transactions that end as the scenario expects, whether results or storage differ from those under the
    first option, hazards (stale reads, lost updates and torn mappings; in brackets writes after calls), gas, calls of
    the host, bytes that it copied, instances made, pages of 4 KiB written and touched, and the time as a ratio to the
    quickest. What differs is told below in words.

    The exit status is 0 whatever differs: under some options things go wrong on purpose.
    """
    scenario = load_named_scenario(file)
    wanted = variants(
        links,
        [SyncPolicy(each) for each in syncs],
        [ExclusivePolicy(each) for each in exclusives],
        [*CallMode] if calls is None else [CallMode(calls)],
    )
    comparison = compare_scenario(scenario, wanted, tracker=tracker)
    if calls is None:
        comparison = without_refused_direct(comparison)
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


def without_refused_direct(comparison: Comparison) -> Comparison:
    """Return a comparison that does not say for which variants there were no direct calls: nobody asked for these."""
    refused = {variant: reason for variant, reason in comparison.refused.items() if not variant.direct}
    return evolve(comparison, refused=refused)


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
    hazards = NOTHING
    if compared.hazards is not None:
        warnings = compared.hazards.get(HazardKind.WRITE_AFTER_CALL, 0)
        hazards = f"{sum(compared.hazards.get(kind, 0) for kind in _FAULTS)}{f' ({warnings})' if warnings else ''}"
    costs = compared.costs
    return [
        str(compared.variant),
        f"{sum(each.ok for each in transactions)} of {len(transactions)}",
        "yes" if compared.differences else "no",
        hazards,
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
            for kind, number in sorted((compared.hazards or {}).items()):
                if kind in _FAULTS:
                    say(f"  {number} {kind.value}{'' if number == 1 else 's'} (`storagemod run -vvvv` shows where)")
    for reason in dict.fromkeys(comparison.refused.values()):
        refused = [str(variant) for variant, each in comparison.refused.items() if each == reason]
        say()
        say(continued(f"{'; '.join(refused)}: cannot run: {reason}"), block=True)


def _variant(variant: Variant) -> dict[str, Any]:
    return {
        "link": variant.link,
        "sync": None if variant.sync is None else variant.sync.value,
        "exclusive": None if variant.exclusive is None else variant.exclusive.value,
        "calls": (CallMode.DIRECT if variant.direct else CallMode.MEDIATED).value,
    }


def _to_json(comparison: Comparison, *, timed: bool) -> dict[str, Any]:
    return {
        "path": comparison.scenario.path,
        "name": comparison.scenario.name,
        "variants": [
            _variant(each.variant)
            | {
                "options": options_to_json(each.result.options),
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
                "hazards": None
                if each.hazards is None
                else {kind.value: number for kind, number in sorted(each.hazards.items())},
                "gas_used": each.gas,
                "costs": asdict(each.costs),
                "pages_touched": each.pages_touched,
                "state_root": f"0x{each.result.state_root.hex()}",
            }
            | ({"time_ratio": ratio} if timed else {})
            for each, ratio in zip(comparison.compared, _time_ratios(comparison), strict=True)
        ],
        "refused": [_variant(variant) | {"reason": reason} for variant, reason in comparison.refused.items()],
    }
