"""``storagemod statetest``: run state-test vectors and say which accounts are not as expected."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import click

from storagemod.cli.options import NamedPath, json_option, tracker_option
from storagemod.cli.output import note_error, say, say_document, say_tree
from storagemod.report import document, error_to_json, receipt_to_json
from storagemod.report.tree import VERBOSITY_MAX
from storagemod.statetest import LINK_OPTIONS, Status, VectorError, VectorResult, find_vectors, read_vector, run_vector

_WIDTH_MAX = 100

_MARKS = {Status.PASS: "pass", Status.FAIL: "FAIL", Status.SKIP: "skip"}
_STYLES = {Status.PASS: "green", Status.FAIL: "bold red", Status.SKIP: "yellow"}


@click.command("statetest", short_help="Run state-test vectors of ewasm, and say which accounts differ.")
@click.argument("paths", nargs=-1, required=True, type=NamedPath(), metavar="PATH...")
@click.option(
    "--filter",
    "patterns",
    multiple=True,
    metavar="TEXT",
    help="Run only vectors whose name contains this, or matches it where it has a *, ? or [ in it; several add up.",
)
@click.option(
    "--link",
    type=click.Choice(LINK_OPTIONS),
    help="Have storage under this linking option where contracts leave it open, as those that map storage do (default: "
    "copied), and skip vectors whose contracts have theirs under others only.",
)
@click.option(
    "--debug",
    is_flag=True,
    help="Offer the `debug` functions of ewasm to contracts. Call trees show what they print: -vv of vectors that "
    "fail, -vvvv of all.",
)
@json_option
@click.option(
    "-v",
    "verbosity",
    count=True,
    help="Show call trees, or have them in the document: -v the calls of vectors that fail, -vv with what they wrote, "
    "-vvv the calls of all vectors, -vvvv with what they wrote.",
)
@tracker_option
def statetest_command(
    paths: tuple[Path, ...],
    patterns: tuple[str, ...],
    link: str | None,
    debug: bool,
    as_json: bool,
    verbosity: int,
    tracker: str | None,
) -> int:
    """Run state-test vectors: JSON files with accounts, one transaction, and the accounts that there should be then.

    A PATH is a file, or a folder, in which every *.json is run. Contracts are held to the rules of ewasm: they export
    `main` and `memory` and import from `ethereum`. Their code may be WAT, also of 2018, or hexadecimal.

    The exit status is 1 if a vector fails, and 2 if a file is no vector.
    """
    results: list[VectorResult] = []
    errors: list[VectorError] = []
    chosen = _choice(patterns)
    for path in _files(paths, errors):
        try:
            vector = read_vector(path)
        except VectorError as error:
            errors.append(error)
            continue
        if chosen(vector.name):
            results.append(run_vector(vector, link=link, tracker=tracker, trace=verbosity > 0, debug=debug))
            if not as_json:
                _print(results[-1], min(verbosity, VERBOSITY_MAX))
    if not results and not errors:
        raise click.UsageError(f"no vector has a name like {' or '.join(patterns)}")
    for problem in errors:
        note_error(problem)
    ok = not errors and not any(result.status is Status.FAIL for result in results)
    counts = {status.value: sum(result.status is status for result in results) for status in Status}
    if as_json:
        body = {"ok": ok, **counts, "malformed": [error_to_json(each) for each in errors]}
        say_document(document("statetest", {**body, "vectors": [_to_json(result) for result in results]}))
    else:
        told = [f"{counts['pass']} passed", f"{counts['fail']} failed", f"{counts['skip']} skipped"]
        told += [f"{len(errors)} malformed"] if errors else []
        say(f"{_count(len(results))}: {', '.join(told)}", "bold green" if ok else "bold red")
    return 2 if errors else 0 if ok else 1


def _count(number: int) -> str:
    return "1 vector" if number == 1 else f"{number:,} vectors"


def _choice(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a name is one of those that are to be run."""

    def matches(name: str, pattern: str) -> bool:
        return fnmatchcase(name, pattern) if any(each in pattern for each in "*?[") else pattern in name

    return lambda name: not patterns or any(matches(name, pattern) for pattern in patterns)


def _files(paths: tuple[Path, ...], errors: list[VectorError]) -> dict[Path, None]:
    """The files to read, each once, in the order in which they were named. Folders that have none are errors."""
    files: dict[Path, None] = {}
    for path in paths:
        try:
            files |= dict.fromkeys(find_vectors(path))
        except VectorError as error:
            errors.append(error)
    return files


def _print(result: VectorResult, verbosity: int) -> None:
    reason = f" ({result.reason})" if result.reason is not None else ""
    say(f"{_MARKS[result.status]}  {result.vector.name}{reason}", _STYLES[result.status])
    for text in result.notes:
        say(f"      note: {text.splitlines()[0]}")
    for difference in result.differences:
        say(f"      {difference.address}: {difference.field}")
        say(f"        - wanted  {_shortened(difference.wanted)}", "green")
        say(f"        + found   {_shortened(difference.found)}", "red")
    receipt = result.receipt
    if receipt is None:
        return
    if result.status is Status.FAIL and receipt.error is not None:
        say(f"      the transaction failed: {receipt.error}")
    if receipt.trace is not None:
        say_tree(receipt.trace, verbosity=verbosity, failing=result.status is Status.FAIL, indent="      ")


def _shortened(text: str) -> str:
    """What a line has room for; a document has all of it."""
    return text if len(text) <= _WIDTH_MAX else f"{text[:_WIDTH_MAX]}… ({len(text) // 2 - 1:,} bytes)"


def _to_json(result: VectorResult) -> dict[str, object]:
    return {
        "path": result.vector.path,
        "name": result.vector.name,
        "status": result.status.value,
        "reason": result.reason,
        "differences": [
            {"address": str(each.address), "field": each.field, "wanted": each.wanted, "found": each.found}
            for each in result.differences
        ],
        "notes": list(result.notes),
        "receipt": None if result.receipt is None else receipt_to_json(result.receipt),
    }
