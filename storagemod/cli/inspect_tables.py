"""``storagemod inspect --tables``: the page tables and the frame table at each call of a scenario."""

from __future__ import annotations

from pathlib import Path

import click

from storagemod.cli.options import load_named_scenario
from storagemod.cli.output import note, note_error, say, say_document, say_tree
from storagemod.errors import ScenarioError
from storagemod.events import TablesShown
from storagemod.report import document, scenario_to_json
from storagemod.report.tree import VERBOSITY_MAX
from storagemod.scenario import ScenarioResult, run_scenario
from storagemod.types import FRAME_OPTIONS, ExclusivePolicy
from storagemod.world import World

OPTIONS_WITH_TABLES = (*FRAME_OPTIONS, "window")
"""The linking options that have tables, the one that is taken by default first."""


def inspect_tables(file: Path, link: str | None, exclusive: str | None, *, as_json: bool) -> int:
    """Run a scenario under an option that has tables, and show them in its call trees.

    Raises:
        UsageError: The option has none.
    """
    link = link or OPTIONS_WITH_TABLES[0]
    if link not in OPTIONS_WITH_TABLES:
        *others, last = OPTIONS_WITH_TABLES
        raise click.UsageError(f"{link} has no tables; {', '.join(others)} and {last} have")
    try:
        scenario = load_named_scenario(file)
        with World(trace="tables") as world:
            policy = None if exclusive is None else ExclusivePolicy(exclusive)
            result = run_scenario(scenario, link=link, exclusive=policy, world=world)
    except ScenarioError as error:
        note_error(error)
        return 2
    if as_json:
        say_document(document("tables", scenario_to_json(result)))
        return 0
    policy_told = "" if result.exclusive is None else f", exclusive {result.exclusive}"
    say(f"{scenario.path}: {scenario.name}, linked as {link}{policy_told}", "bold")
    for transaction in result.transactions:
        say()
        say(transaction.title, "bold")
        if transaction.receipt is not None and transaction.receipt.trace is not None:
            say_tree(transaction.receipt.trace, verbosity=VERBOSITY_MAX, failing=False, indent="  ")
    if not _has_tables(result):
        note("note: there were no tables: no contract called ethereum.storageMap")
    return 0


def _has_tables(result: ScenarioResult) -> bool:
    traces = [each.receipt.trace for each in result.transactions if each.receipt is not None]
    records = [record for trace in traces if trace is not None for record in trace]
    return any(isinstance(step, TablesShown) for record in records for step in record.steps)
