"""``storagemod explore``: what if the callee comes back?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from storagemod.cli.options import (
    NamedPath,
    check_policies,
    exclusive_option,
    link_option,
    load_named_scenario,
    sync_choice,
    tracker_option,
)
from storagemod.cli.output import note, say, say_document, say_tree
from storagemod.errors import StorageModError
from storagemod.explore import Exploration, Violation, explore
from storagemod.explore.executors import JOBS_MAX, dask_executor
from storagemod.explore.exploration import (
    CALLS_MAX,
    DEFAULT_TRIES,
    DEPTH_MAX,
    GAS_MAX,
    TRIES_MAX,
)
from storagemod.explore.menu import ARGUMENTS_MAX
from storagemod.explore.plan import GAS
from storagemod.explore.write import check_folder, write_tests
from storagemod.report import document
from storagemod.report.exploration import (
    coverage_lines,
    coverage_tables,
    exploration_to_json,
    place_of,
    script_lines,
)
from storagemod.types import ReentryPolicy

_SECONDS_MAX = 10_000_000


@click.command("explore", short_help="Search for re-entrant calls that break a scenario's invariants.")
@click.argument("file", type=NamedPath(), metavar="FILE.toml")
@click.option(
    "--calls",
    type=click.IntRange(1, CALLS_MAX),
    default=CALLS_MAX,
    show_default=True,
    help="How many calls a try makes at most: transactions, and calls back.",
)
@click.option(
    "--depth",
    type=click.IntRange(0, DEPTH_MAX),
    default=DEPTH_MAX,
    show_default=True,
    help="How deep calls back are nested at most.",
)
@click.option(
    "--tries",
    type=click.IntRange(1, TRIES_MAX),
    default=DEFAULT_TRIES,
    show_default=True,
    help="How many tries are run at most.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, _SECONDS_MAX, min_open=True),
    help="How long to search at most; then what is found depends on how quick the machine is.",
)
@click.option(
    "--arguments",
    type=click.IntRange(1, ARGUMENTS_MAX),
    default=ARGUMENTS_MAX,
    show_default=True,
    help="With how many combinations of arguments each method is called.",
)
@click.option(
    "--gas",
    type=click.IntRange(1, GAS_MAX),
    default=GAS,
    show_default=True,
    help="The gas of each transaction.",
)
@click.option("--boundaries", is_flag=True, help="Check all invariants while untrusted code has control, too.")
@click.option("--profit", is_flag=True, help="Check that untrusted accounts do not end with more than they begin with.")
@link_option
@click.option("--sync", type=sync_choice, help="When copies of storage are brought in line with it, under `copied`.")
@exclusive_option
@click.option(
    "--policy",
    type=click.Choice([policy.value for policy in ReentryPolicy]),
    default=ReentryPolicy.ALLOW.value,
    show_default=True,
    help="The re-entry policy of contracts for which the file says none.",
)
@click.option("--jobs", type=click.IntRange(1, JOBS_MAX), default=1, show_default=True, help="In how many processes.")
@click.option("--dask", metavar="ADDRESS", help="Run tries on the Dask cluster whose scheduler is there.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Another one is another order of tries; the same one is the same search.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@click.option("--no-time", is_flag=True, help="Leave out of the document what is not the same from run to run.")
@click.option(
    "--write",
    "folder",
    type=NamedPath(),
    metavar="DIR",
    help="Write a scenario and a pytest file for each invariant that does not hold.",
)
@click.option("--force", is_flag=True, help="Let --write overwrite files that were edited since it wrote them.")
@tracker_option
def explore_command(
    file: Path,
    calls: int,
    depth: int,
    tries: int,
    seconds: float | None,
    arguments: int,
    gas: int,
    boundaries: bool,
    profit: bool,
    link: str | None,
    sync: str | None,
    exclusive: str | None,
    policy: str,
    jobs: int,
    dask: str | None,
    seed: int,
    as_json: bool,
    no_time: bool,
    folder: Path | None,
    force: bool,
    tracker: str | None,
) -> int:
    """Search for calls that break the invariants of a scenario: what if a callee comes back while it is called?

    The transactions of the scenario are run first. Then accounts that are not trusted send transactions, and at each
    call out to one of them the search decides what it does: nothing, fail, or call any entry point of the contracts,
    nested up to --depth. What breaks an invariant is made as short as it can be, and shown as a call tree.

    The exit status is 1 if an invariant does not hold.
    """
    if jobs > 1 and dask is not None:
        raise click.UsageError("--jobs is about processes of this machine; the cluster of --dask has its own workers")
    check_policies(() if link is None else (link,), sync, exclusive)
    if folder is not None:
        check_folder(folder)
    elif force:
        raise click.UsageError("--force is about the files of --write, which is not given")
    scenario = load_named_scenario(file)
    with ExitStack() as stack:
        executor: Executor | None = None if dask is None else stack.enter_context(dask_executor(dask))
        progress = stack.enter_context(_progress())
        exploration = explore(
            scenario,
            link=link,
            sync=sync,
            exclusive=exclusive,
            policy=policy,
            calls=calls,
            depth=depth,
            tries=tries,
            seconds=seconds,
            seed=seed,
            arguments=arguments,
            gas=gas,
            boundaries=boundaries,
            profit=profit,
            tracker=tracker,
            jobs=jobs,
            executor=executor,
            progress=progress,
        )
    files, failure = _write(exploration, folder, force=force)
    if as_json:
        content = exploration_to_json(exploration, timed=not no_time)
        say_document(document("explore", {**content, "files": [str(path) for path in files]}))
    else:
        _print(exploration)
    found = exploration.found
    if not no_time:
        note(f"{found.tries:,} tries in {found.seconds:.1f} s: {found.tries / max(found.seconds, 1e-9):,.0f} a second")
    for path in files:
        note(f"wrote {path}")
    if failure is not None:
        raise failure
    if folder is not None and exploration.ok:
        note("nothing to write: every invariant holds")
    return 0 if exploration.ok else 1


def _write(exploration: Exploration, folder: Path | None, *, force: bool) -> tuple[list[Path], StorageModError | None]:
    """Write what was found; an error waits until all is told."""
    try:
        return ([] if folder is None else write_tests(exploration, folder, force)), None
    except StorageModError as error:
        return [], error


@contextmanager
def _progress() -> Iterator[Callable[[int, int, int], None] | None]:
    """A bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("exploring"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[broken]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, broken="")

        def show(tries: int, most: int, broken: int) -> None:
            bar.update(task, completed=tries, total=most, broken=f"{broken} broken" if broken else "")

        yield show


def _print(exploration: Exploration) -> None:
    trust_model = exploration.trust_model
    say(f"{exploration.scenario.path}: {exploration.scenario.name}", "bold")
    say(f"trusted: {', '.join(trust_model.trusted)}; untrusted: {', '.join(trust_model.untrusted)}")
    say(f"transactions run first: {exploration.setup} of {len(exploration.scenario.transactions)}")
    for name, verdict in exploration.verdicts.items():
        say()
        for violation in exploration.violations:
            if violation.invariant == name:
                _print_violation(exploration, violation)
        if verdict == "holds":
            say(f"holds: {name}", "green")
        elif verdict == "not explored":
            say(f"NOT EXPLORED: {name}", "bold yellow")
    for caveat in exploration.caveats:
        say()
        say(f"mind: {caveat.text}", "yellow" if caveat.is_serious else "")
    say()
    for line in coverage_lines(exploration):
        say(line)
    for _, table in coverage_tables(exploration):
        say()
        say(table, block=True)


def _print_violation(exploration: Exploration, violation: Violation) -> None:
    needed = "by a call back" if violation.needs_callback else "without any call back"
    say(f"BROKEN {needed}: {violation.invariant}", "bold red")
    say(f"  {violation.text}")
    say(f"  {place_of(violation)}:")
    for why in violation.breach.why:
        say(f"    {why}")
    say("  by")
    for line in script_lines(exploration, violation) or ["nothing at all"]:
        say(f"    {line}")
    for receipt in violation.receipts:
        if receipt.trace is not None:
            say()
            attackers = [attacker.account for attacker in exploration.attackers]
            say_tree(receipt.trace, verbosity=4, indent="  ", unshown=attackers)
