"""``storagemod explore``: what if the callee comes back?"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import click
from attrs import define, field
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
from storagemod.cli.output import note, note_error, say, say_document, say_tree
from storagemod.errors import StorageModError, one_line
from storagemod.explore import Breach, Exploration, Script, Stop, Violation, explore
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
from storagemod.report import document, error_to_json
from storagemod.report.exploration import (
    coverage_lines,
    coverage_tables,
    exploration_to_json,
    place_of,
    replay_lines,
    script_lines,
)
from storagemod.types import ReentryPolicy

_SECONDS_MAX = 10_000_000
_LINE_SECONDS = 10
"""How often a search tells how far it is, where there is no terminal."""


@click.command("explore", short_help="Search for re-entrant calls that break a scenario's invariants.")
@click.argument("files", nargs=-1, required=True, type=NamedPath(), metavar="FILE.toml...")
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
    help="How long each FILE may take, from its set-up to the end of shrinking; then what is found depends on the "
    "machine.",
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
@click.option("--no-time", is_flag=True, help="Leave out what is not the same from run to run.")
@click.option(
    "--write",
    "folder",
    type=NamedPath(),
    metavar="DIR",
    help="Write a scenario and a pytest file for each invariant that does not hold.",
)
@click.option("--force", is_flag=True, help="Let --write overwrite files that were edited since it wrote them.")
@click.option(
    "--failures",
    type=NamedPath(),
    metavar="DIR",
    help="Keep each attack in this folder as soon as it is found, and run those that are there first. One that still "
    "breaks its invariant is reported at once; one that does not is reported as mended, and stays. For each scenario "
    "there is a file NAME.attacks.json, and a file NAME.corpus.json with tries that met something new.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on from the tries that an earlier search left in --failures; its other tries may be run again.",
)
@tracker_option
def explore_command(
    files: tuple[Path, ...],
    jobs: int,
    dask: str | None,
    as_json: bool,
    no_time: bool,
    folder: Path | None,
    force: bool,
    **settings: Any,
) -> int:
    """Search for calls that break the invariants of scenarios: what if a callee comes back while it is called?

    The transactions of a scenario are run first. Then accounts that are not trusted send transactions. At each call
    out to one of them the search decides what it does: nothing, fail, or call any entry point of the contracts. Calls
    are nested up to --depth. What breaks an invariant is made as short as it can be, and shown as a call tree.

    Ctrl-C, or a request of the system to end (SIGTERM), ends the search. What was found so far is shrunk for some
    seconds at most, reported and written. Ctrl-C once more leaves at once. Attacks are in --failures even then.

    The exit status is 1 if an invariant does not hold, however the search ended, or was not explored. It is 2 if a FILE
    cannot be explored, and 130 if Ctrl-C (143 if SIGTERM) ended the search before anything was found.
    """
    if jobs > 1 and dask is not None:
        raise click.UsageError("--jobs is about processes of this machine; the cluster of --dask has its own workers")
    link: str | None = settings["link"]
    check_policies(() if link is None else (link,), settings["sync"], settings["exclusive"])
    if folder is not None:
        check_folder(folder)
    elif force:
        raise click.UsageError("--force is about the files of --write, which is not given")
    if settings["resume"] and settings["failures"] is None:
        raise click.UsageError("--resume goes on from the tries in --failures, which is not given")
    with ExitStack() as stack:
        executor: Executor | None = None if dask is None else stack.enter_context(dask_executor(dask))
        stop = stack.enter_context(Stop())
        session = _Session(len(files), settings | {"jobs": jobs, "executor": executor}, stop, as_json, not no_time)
        for file in files:
            session.explore(file, folder, force=force)
    session.report()
    if session.errors:
        return 2
    if any(exploration.violations for exploration in session.done):
        return 1  # something is broken, and that is certain, whatever ended the search
    if stop():
        return 128 + stop.signal
    return int(not all(exploration.ok for exploration in session.done))


@define
class _Session:
    """One run of the command: some files, one after the other."""

    count: int
    settings: Mapping[str, Any]
    stop: Stop
    as_json: bool
    timed: bool
    done: list[Exploration] = field(factory=list)
    bodies: list[dict[str, Any]] = field(factory=list)
    errors: list[StorageModError] = field(factory=list)
    left: list[Path] = field(factory=list)

    def explore(self, file: Path, folder: Path | None, *, force: bool) -> None:
        """Explore one file, and tell what came of it; nothing, once the end was requested.

        Raises:
            StorageModError: The only file cannot be explored.
        """
        if self.stop():
            self.left.append(file)
            return
        try:
            scenario = load_named_scenario(file)
            with _Progress("" if self.count == 1 else f"{file}: ", self.stop, self.timed) as progress:
                exploration = explore(
                    scenario, progress=progress.show, told=progress.tell, stop=progress.stops, **self.settings
                )
        except StorageModError as error:
            if self.count == 1:
                raise
            self.errors.append(error)  # the others are explored all the same
            return
        written, failure = _write(exploration, folder, force=force)
        self.errors += [each for each in (failure, exploration.kept.unsaved) if each is not None]
        self.done.append(exploration)
        body = exploration_to_json(exploration, timed=self.timed)
        self.bodies.append({**body, "files": [str(path) for path in written]})
        if not self.as_json:
            _print(exploration)
            if self.count > 1:
                say()
        _note(exploration, written, folder, timed=self.timed)

    def report(self) -> None:
        """Print what came of all files."""
        if self.as_json and self.count == 1:
            say_document(document("explore", self.bodies[0]))
        elif self.as_json:
            content = {
                "ok": not self.errors and not self.left and all(exploration.ok for exploration in self.done),
                "errors": [error_to_json(each) for each in self.errors],
                "not_begun": [str(file) for file in self.left],
                "explorations": self.bodies,
            }
            say_document(document("explore", content))
        elif self.count > 1:
            _print_summary(self.done, len(self.errors), len(self.left))
        for problem in self.errors:
            note_error(problem)
        if self.left:
            note(one_line(f"interrupted before {', '.join(map(str, self.left))}"))


def _write(exploration: Exploration, folder: Path | None, *, force: bool) -> tuple[list[Path], StorageModError | None]:
    """Write what was found; an error waits until all is told."""
    try:
        return ([] if folder is None else write_tests(exploration, folder, force)), None
    except StorageModError as error:
        return [], error


def _note(exploration: Exploration, written: Sequence[Path], folder: Path | None, *, timed: bool) -> None:
    found = exploration.found
    if timed:
        note(f"{found.tries:,} tries in {found.seconds:.1f} s: {found.tries / max(found.seconds, 1e-9):,.0f} a second")
    for path in written:
        note(one_line(f"wrote {path}"))
    for path in exploration.kept.saved:
        note(one_line(f"saved {path}"))
    if folder is not None and not exploration.violations:
        note("nothing to write: no invariant is broken")


class _Progress:
    """Progress on standard error: a bar on a terminal, elsewhere a line now and then; what is broken at once.

    Lines now and then are left out where what depends on the time is to be left out.
    """

    def __init__(self, prefix: str, stop: Stop, timed: bool) -> None:
        self._name = prefix
        self._stop = stop
        self._timed = timed
        self._started = self._last = time.monotonic()
        self._stopped = False
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            columns = (
                TextColumn("exploring"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[broken]}"),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=None, broken="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, tries: int, most: int, broken: int) -> None:
        """Show how far a search is."""
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=tries, total=most, broken=f"{broken} broken" if broken else "")
        elif self._timed and now - self._last >= _LINE_SECONDS:
            self._last = now
            line = f"{self._name}{tries:,} of {most:,} tries in {now - self._started:.0f} s, {broken} broken"
            note(one_line(line))

    def stops(self) -> bool:
        """Return whether the search is to end, and tell so the first time."""
        if self._stop() and not self._stopped:
            self._stopped = True
            note("interrupted: the search ends and tells what it found; once more leaves at once")
        return self._stop()

    def tell(self, breach: Breach, script: Script, needs_callback: bool) -> None:
        """Print that an invariant is broken."""
        how = "by a call back" if needs_callback else "without any call back"
        note(one_line(f"{self._name}broken {how if script else 'before anything was tried'}: {breach.invariant}"))


def _print_summary(done: Sequence[Exploration], errors: int, left: int) -> None:
    broken = sum(bool(exploration.violations) for exploration in done)
    unexplored = sum(not exploration.ok for exploration in done) - broken
    parts = [f"{len(done)} explored: {broken} broken"]
    parts += [f"{unexplored} not explored enough"] if unexplored else []
    parts += [f"{errors} with errors"] if errors else []
    parts += [f"{left} not begun"] if left else []
    say(", ".join(parts), "bold red" if broken or errors else "bold yellow" if unexplored or left else "bold green")


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
    for line in replay_lines(exploration):
        say()
        say(line)
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
