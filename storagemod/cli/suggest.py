"""``storagemod suggest``: invariants that held over a scenario's transactions."""

from __future__ import annotations

from pathlib import Path

import click

from storagemod.cli.options import NamedPath, json_option, link_option, load_named_scenario
from storagemod.cli.output import note, say, say_document
from storagemod.report import document
from storagemod.scenario.locate import quoted
from storagemod.scenario.suggest import SUGGESTIONS_MAX, suggest_invariants


@click.command("suggest", short_help="Suggest invariants that held over a scenario's transactions.")
@click.argument("file", type=NamedPath(), metavar="FILE.toml")
@click.option(
    "--count",
    type=click.IntRange(1, 60),
    default=SUGGESTIONS_MAX,
    show_default=True,
    help="How many to suggest at most, the most telling ones first.",
)
@link_option
@json_option
def suggest_command(file: Path, count: int, link: str | None, as_json: bool) -> int:
    """Run a scenario, and suggest invariants that held before and after each of its transactions.

    Balances and storage, as integers of 64 bits, are compared with one another. Examples are: money covers debts, a
    total is the sum of a table, a share never loses worth. Paste what you mean into the file; `storagemod explore` then
    tries to break it. A suggestion is a guess: the more transactions the scenario has, deposits and withdrawals of
    several accounts, the better.
    """
    scenario = load_named_scenario(file)
    suggestions = suggest_invariants(scenario, link=link, most=count)
    if as_json:
        body = [
            {"name": each.spec.name, "expr": each.spec.expr, "states": each.states, "changed": each.changed}
            for each in suggestions
        ]
        say_document(document("suggest", {"path": scenario.path, "name": scenario.name, "suggestions": body}))
        return 0
    for number, each in enumerate(suggestions):
        if number:
            say()
        times = "1 transaction" if each.changed == 1 else f"{each.changed} transactions"
        say(f"# Held in all {each.states} states. {times} changed what it is about.")
        say("[[invariants]]", "bold")
        say(f"name = {quoted(each.spec.name or '')}")
        say(f"expr = {quoted(each.spec.expr)}")
    if not suggestions:
        note("nothing to suggest: nothing that changed was related to anything else (add transactions)")
    return 0
