"""Command ``storagemod snapshot``: record the results of scenarios in a golden file, and check them."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import click

from storagemod.baseline import (
    BaselineRun,
    Change,
    Entry,
    changes_between,
    line_of,
    parse_snapshot,
    render_snapshot,
    take_snapshot,
)
from storagemod.cli.options import (
    NamedPath,
    exclusives_option,
    is_missing,
    json_option,
    link_choice,
    load_named_scenario,
    sync_choice,
    tracker_option,
)
from storagemod.cli.output import note, note_error, say, say_document
from storagemod.errors import ScenarioError, StorageModError, ValidationError, one_line
from storagemod.inputs import SNAPSHOT_BYTES_MAX, os_reason, read_text
from storagemod.report import document, error_to_json
from storagemod.scenario import Scenario
from storagemod.scenario.compare import Variant, variants
from storagemod.scenario_files import scenarios_in
from storagemod.types import ExclusivePolicy, SyncPolicy

DEFAULT_FILE = "storagemod.snapshot"
_MARKS = {"added": "+", "removed": "-", "changed": "~"}
_STYLES = {"added": "green", "removed": "red", "changed": "yellow"}


@click.command("snapshot", short_help="Write down what scenarios come to, or check that it is still so.")
@click.argument("paths", nargs=-1, required=True, type=NamedPath(), metavar="PATH...")
@click.option(
    "--file",
    type=NamedPath(),
    default=DEFAULT_FILE,
    show_default=True,
    help="The snapshot; entries name scenarios by their paths from its folder.",
)
@click.option("--check", is_flag=True, help="Write nothing: the exit status is 1 if anything differs from the file.")
@click.option("--diff", is_flag=True, help="Write nothing: show what differs from the file.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1_000),
    default=0,
    metavar="PCT",
    help="Let gas, pages and calls of the host differ by so many percent; outcomes, answers and state roots may not.",
)
@click.option(
    "--link", "-l", "links", multiple=True, type=link_choice, help="Only this linking option; may be repeated."
)
@click.option(
    "--sync",
    "syncs",
    multiple=True,
    type=sync_choice,
    help="Only this sync policy of the option `copied`; may be repeated.",
)
@exclusives_option
@json_option
@tracker_option
def snapshot_command(
    paths: tuple[Path, ...],
    file: Path,
    check: bool,
    diff: bool,
    tolerance: float,
    links: tuple[str, ...],
    syncs: tuple[str, ...],
    exclusives: tuple[str, ...],
    as_json: bool,
    tracker: str | None,
) -> int:
    """Run scenarios under every linking option, and write a line for each transaction and option into a text file.

    A PATH is a scenario file, a scenario that comes with storagemod, or a folder, in which every *.toml with contracts
    or transactions is run. A line says the outcome, the answer (values, output, logs, the error), gas, pages touched
    (read or written) and written, calls of the host, and the state root. The file holds what these PATHs give and
    nothing else.

    With --check or --diff the file stays as it is. What is new, gone or other is shown; with --check it makes the exit
    status 1.
    """
    if math.isnan(tolerance):
        raise click.UsageError("nan is no percentage")
    if tolerance and not (check or diff):
        raise click.UsageError("--tolerance goes with --check or --diff: what is written is what was found")
    wanted = variants(links, [SyncPolicy(each) for each in syncs], [ExclusivePolicy(each) for each in exclusives])
    old = _read(file, needed=check or diff)
    errors: list[StorageModError] = []
    run = _taken(_scenarios(paths, file, errors), wanted, tracker, errors)
    for name, reason in run.unavailable.items():
        note(f"note: {name} does not work here, and what the file says of it stays: {reason}")
    if links and run.refused:
        errors += [ValidationError(reason) for reason in run.refused.values()]
    for error in errors:
        note_error(error)
    if errors and not run.entries:
        return 2
    old_here = tuple(entry for entry in old if entry.variant not in run.unavailable)
    changes = changes_between(old_here, run.entries, tolerance_percent=tolerance)
    wrote = not (check or diff or errors)
    if wrote:
        elsewhere = [entry for entry in old if entry.variant in run.unavailable]
        _write(file, render_snapshot([*run.entries, *elsewhere]))
    if as_json:
        say_document(document("snapshot", _to_json(file, run, changes, errors, wrote=wrote)))
    else:
        # In a first snapshot everything is new, and the file shows it.
        _print(file, run, changes, wrote=wrote, shown=bool(old) or check or diff)
    if errors:
        if not (check or diff):
            note(f"{file} stays as it is: entries of what cannot be run would be lost")
        return 2
    return 1 if check and changes else 0


def _read(file: Path, *, needed: bool) -> tuple[Entry, ...]:
    try:
        return parse_snapshot(read_text(file, bytes_max=SNAPSHOT_BYTES_MAX), path=str(file))
    except ValidationError as error:
        if not is_missing(error):
            raise
        if needed:
            error.hint = "run it without --check and --diff first, to write the snapshot"
            raise
    return ()


def _taken(
    scenarios: dict[str, Scenario], wanted: list[Variant], tracker: str | None, errors: list[StorageModError]
) -> BaselineRun:
    """Take the snapshot of each scenario by itself: one that cannot be run does not hide the others."""
    runs = [take_snapshot({}, wanted, tracker=tracker)]
    for name, scenario in scenarios.items():
        try:
            runs.append(take_snapshot({name: scenario}, wanted, tracker=tracker))
        except ScenarioError as error:
            errors.append(error)
    refused = {key: reason for run in runs for key, reason in run.refused.items()}
    return BaselineRun(tuple(entry for run in runs for entry in run.entries), refused, runs[0].unavailable)


def _scenarios(paths: tuple[Path, ...], file: Path, errors: list[StorageModError]) -> dict[str, Scenario]:
    """Load the scenarios, by the names that entries have for them; what is wrong with others goes to ``errors``."""
    found: dict[str, Scenario] = {}
    for path in paths:
        if path.is_dir():
            files = scenarios_in(path)
            if not files:
                errors.append(ScenarioError(f"{path} has no scenario in it: no *.toml with contracts or transactions"))
        else:
            files = [path]
        for each in files:
            try:
                scenario = load_named_scenario(each)
            except ScenarioError as error:
                errors.append(error)
                continue
            name = one_line(_name(each, file) if each.exists() else str(each))
            found.setdefault(name, scenario)
    return found


def _name(path: Path, file: Path) -> str:
    return Path(os.path.relpath(path.resolve(), file.resolve().parent)).as_posix()


def _write(file: Path, text: str) -> None:
    """Write a text file, all of it or nothing."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageModError(f"{file} cannot be written: {os_reason(error)}", cause=error) from error


def _print(file: Path, run: BaselineRun, changes: tuple[Change, ...], *, wrote: bool, shown: bool) -> None:
    for change in changes if shown else ():
        mark, style = _MARKS[change.kind], _STYLES[change.kind]
        entry = change.new or change.old
        if change.kind == "changed":
            say(f"{mark} {' | '.join(change.key)}", style)
            for detail in change.details:
                say(f"    {detail}")
        elif entry is not None:
            say(f"{mark} {line_of(entry)}", style)
    counts = [sum(change.kind == kind for change in changes) for kind in _MARKS]
    found = ", ".join(f"{count:,} {kind}" for count, kind in zip(counts, _MARKS, strict=True) if count)
    entries = "1 entry" if len(run.entries) == 1 else f"{len(run.entries):,} entries"
    say(
        f"{file}: {f'wrote {entries}' if wrote else entries}: {found or 'no difference'}",
        "bold" if wrote or not changes else "bold red",
    )


def _to_json(
    file: Path, run: BaselineRun, changes: tuple[Change, ...], errors: list[StorageModError], *, wrote: bool
) -> dict[str, Any]:
    return {
        "ok": not changes and not errors,
        "file": str(file),
        "wrote": wrote,
        "entries": [_entry_to_json(entry) for entry in sorted(run.entries, key=lambda entry: entry.key)],
        "changes": [
            {
                "kind": change.kind,
                "old": None if change.old is None else _entry_to_json(change.old),
                "new": None if change.new is None else _entry_to_json(change.new),
                "details": list(change.details),
            }
            for change in changes
        ],
        "refused": [{"path": path, "link": link, "reason": reason} for (path, link), reason in run.refused.items()],
        "errors": [error_to_json(error) for error in errors],
        "unavailable": [{"link": link, "reason": reason} for link, reason in run.unavailable.items()],
    }


def _entry_to_json(entry: Entry) -> dict[str, Any]:
    return {
        "path": entry.path,
        "title": entry.title,
        "link": entry.variant,
        "outcome": entry.outcome,
        "answer": entry.answer,
        "gas_used": entry.gas,
        "pages_touched": entry.touched,
        "pages_written": entry.written,
        "host_calls": entry.host_calls,
        "state_root": f"0x{entry.state_root.hex()}",
    }
