"""``storagemod run``: run scenarios and say what is not as expected."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import product
from pathlib import Path

import click

from storagemod.cli.options import (
    NamedPath,
    call_choice,
    check_policies,
    exclusive_option,
    link_choice,
    load_named_scenario,
    sync_choice,
    tracker_option,
)
from storagemod.cli.output import note, note_error, say, say_document, say_tree
from storagemod.errors import ScenarioError, StorageModError
from storagemod.report import document, error_to_json, scenario_to_json
from storagemod.report.tree import VERBOSITY_MAX
from storagemod.scenario import DEFAULT_OPTION, Scenario, ScenarioResult, TransactionResult, run_scenario
from storagemod.types import CallMode, ExclusivePolicy, SyncPolicy
from storagemod.world import World


@click.command("run", short_help="Run scenario files: contracts, transactions, what is expected.")
@click.argument("files", nargs=-1, required=True, type=NamedPath(), metavar="FILE.toml...")
@click.option(
    "--link",
    "links",
    multiple=True,
    type=link_choice,
    help="Run under this linking option; given several times, once under each (default: single, or for contracts that "
    "import functions of `methods`, that one).",
)
@click.option(
    "--sync",
    type=sync_choice,
    help="When copies of storage are brought in line with it, for contracts that run under `copied` and do not say it "
    "in the file (default: call).",
)
@exclusive_option
@click.option(
    "--calls",
    type=call_choice,
    help="How contracts call one another through typed imports: `mediated` by the host, which sees and traces each "
    "call (the default), or `direct` from wasm to wasm: quicker, and without call trees. Results and gas are the same.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of text; it has all call trees in it."
)
@click.option(
    "-v",
    "verbosity",
    count=True,
    help="Show call trees: -v the calls of transactions that are not as expected, -vv with what they wrote, -vvv the "
    "calls of all transactions, -vvvv with what they wrote.",
)
@click.option(
    "--world",
    "directory",
    type=NamedPath(),
    metavar="DIR",
    help="Run in the world that this directory keeps, made on first use, and leave there what transactions changed. "
    "Contracts that stand there already stay as they are. Default: a new world in memory for each run.",
)
@tracker_option
def run_command(
    files: tuple[Path, ...],
    links: tuple[str, ...],
    sync: str | None,
    exclusive: str | None,
    calls: str | None,
    as_json: bool,
    verbosity: int,
    directory: Path | None,
    tracker: str | None,
) -> int:
    """Run scenarios: TOML files that say which contracts to deploy, which transactions to run, and what to expect.

    A FILE may also be a scenario that comes with storagemod: bank/robbed, bank/safe, counter/counter, exchange/change,
    pingpong/rally, puppet/script, or one of the known faults of re-entry and their mended twins: reentry/withdraw,
    reentry/cross_function, reentry/cross_contract, reentry/read_only, reentry/hooks, reentry/guard,
    reentry/stale_guard, reentry/withdraw_fixed, reentry/cross_function_fixed, reentry/cross_contract_fixed,
    reentry/read_only_fixed, reentry/hooks_fixed, reentry/guard_fixed or reentry/stale_guard_fixed.

    The exit status is 1 if something was not as a scenario expects, and 2 if a scenario cannot be run.
    """
    if directory is not None and len(set(links)) > 1:
        raise click.UsageError("contracts stand in a --world under one --link only")
    check_policies(links, sync, exclusive)
    if verbosity and calls == CallMode.DIRECT:
        raise click.UsageError("-v shows call trees, and nobody records them where calls are direct")
    errors: list[StorageModError] = []
    scenarios = [scenario for scenario in (_load(file, errors) for file in files) if scenario is not None]
    results = []
    direct = redone = 0
    with ExitStack() as stack:
        kept = None if directory is None else stack.enter_context(World(directory, calls=calls, tracker=tracker))
        for scenario, link in product(scenarios, dict.fromkeys(links) or (None,)):
            world = kept or stack.enter_context(World(calls=calls, tracker=tracker))
            before = world.direct_runs
            try:
                result = run_scenario(
                    scenario,
                    link=link,
                    sync=None if sync is None else SyncPolicy(sync),
                    exclusive=None if exclusive is None else ExclusivePolicy(exclusive),
                    world=world,
                )
            except StorageModError as error:  # the others are run all the same
                errors.append(error)
                continue
            results.append(result)
            direct += world.direct_runs.completed - before.completed
            redone += world.direct_runs.redone - before.redone
            if not as_json:
                _print(result, min(verbosity, VERBOSITY_MAX))
    for problem in errors:
        note_error(problem)
    if errors and not results:
        return 2
    if sync is not None and not any(result.sync for result in results):
        note("note: --sync changed nothing: no contract ran under `copied`, or those that did say it in the file")
    if exclusive is not None and not any(result.exclusive for result in results):
        note("note: --exclusive changed nothing: no contract ran under `paged` or `aliased`, or those did say it")
    if calls == CallMode.DIRECT:
        note(f"note: transactions that ran whole with direct calls: {direct:,}; run again mediated: {redone:,}")
    ok = not errors and all(result.ok for result in results)
    if as_json:
        runs = [scenario_to_json(result) for result in results]
        say_document(document("run", {"ok": ok, "errors": [error_to_json(each) for each in errors], "runs": runs}))
    else:
        _print_summary(results, len(errors))
    return 2 if errors else 0 if ok else 1


def _load(file: Path, errors: list[StorageModError]) -> Scenario | None:
    """Load a scenario; what is wrong with it goes to ``errors``."""
    try:
        return load_named_scenario(file)
    except ScenarioError as error:
        errors.append(error)
        return None


def _print(result: ScenarioResult, verbosity: int) -> None:
    say(f"{result.scenario.path}: {result.scenario.name}, linked as {_linking(result)}", "bold")
    for transaction in result.transactions:
        _print_transaction(transaction, verbosity)
    say()


def _linking(result: ScenarioResult) -> str:
    sync = "" if result.sync is None else f", sync {result.sync}"
    exclusive = "" if result.exclusive is None else f", exclusive {result.exclusive}"
    return f"{_options(result)}{sync}{exclusive}"


def _options(result: ScenarioResult) -> str:
    """The linking option that contracts ran under, and which contracts had another than was asked for."""
    others = {name: option for name, option in result.options.items() if option != result.link}
    if others.keys() == result.options.keys() and len(set(others.values())) == 1:
        return next(iter(others.values()))
    return "".join((result.link, *(f", {name} as {option}" for name, option in others.items())))


def _print_transaction(transaction: TransactionResult, verbosity: int) -> None:
    receipt = transaction.receipt
    mark, style = ("ok  ", "green") if transaction.ok else ("FAIL", "bold red")
    ending = "refused" if receipt is None else f"{receipt.outcome.name.lower()}, gas {receipt.gas_used:,}"
    say(f"  {mark} {transaction.title} ({ending})", style)
    for difference in transaction.differences:
        say(f"       {difference.file}:{difference.line}: {difference.what}")
        say(f"         - wanted  {difference.wanted}", "green")
        say(f"         + found   {difference.found}", "red")
    if receipt is not None and receipt.trace is not None:
        say_tree(receipt.trace, verbosity=verbosity, failing=not transaction.ok, indent="       ")


def _print_summary(results: list[ScenarioResult], errors: int) -> None:
    failed = sum(not transaction.ok for result in results for transaction in result.transactions)
    total = sum(len(result.transactions) for result in results)
    links = ", ".join(dict.fromkeys(map(_linking, results))) or DEFAULT_OPTION
    also = f"; {errors:,} scenario{'' if errors == 1 else 's'} could not be run" if errors else ""
    style = "bold red" if failed or errors else "bold green"
    say(f"{total - failed} of {total} transactions as expected ({links}){also}", style)
