"""Benchmark of `storagemod explore`: does it find the faults of these incidents, and is it quiet about mended ones?

    python -m tests.explore.incidents                     all cases, both twins, with default settings
    python -m tests.explore.incidents omni_liquidation --seeds 0-4
    python -m tests.explore.incidents --set second        only the cases that were written after the search
    python -m tests.explore.incidents --check             only the attacks by hand
    python -m tests.explore.incidents --fixed --callouts  alarms on the mended twins, also while others have control

The table goes to stdout, what goes on to stderr, everything to `--json FILE`. The search is the same for the same seed
and budget of tries: only the seconds differ. The exit status is 1 if a fault is not found, or an alarm is false.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.explore.incidents.cases import SETS, TWINS, about, attack, mend, names, place

TIMEOUT_S = 1800
ENVIRONMENT = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
HEAD = ("case", "seed", "attack", "result", "tries", "s", "calls", "shrunk", "test", "twin", "tries", "s", "ended")
Row = dict[str, Any]


def main() -> int:
    asked = _parser().parse_args()
    known = names(asked.set)
    for name in asked.cases:
        if name not in known:
            sys.exit(f"expected names of cases, got {name!r}; there are {', '.join(known)}")
    if asked.list:
        for name in asked.cases or known:
            print("{}: {} Needs: {}".format(name, *about(name)))
        return 0
    rows = []
    for name in asked.cases or known:
        for seed in [asked.seed] if asked.seeds is None else asked.seeds:
            rows.append(_one(name, seed, asked))
            print(_line(rows[-1]), file=sys.stderr, flush=True)
            if asked.json:
                asked.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(_table(rows))
    return 0 if all(_as_it_should(row) for row in rows) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.explore.incidents",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cases", nargs="*", help="names of cases; all if none is given")
    parser.add_argument("--set", choices=SETS, help="which of the two sets the cases are from; both if not given")
    parser.add_argument("--list", action="store_true", help="only say what the cases are")
    parser.add_argument("--check", action="store_true", help="only run the attacks by hand")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the search")
    parser.add_argument("--seeds", type=_seeds, metavar="FIRST-LAST", help="search with each of these seeds")
    parser.add_argument("--faulty", action="store_true", help="only search the faulty contracts")
    parser.add_argument("--fixed", action="store_true", help="only search the mended contracts")
    parser.add_argument("--callouts", action="store_true", help="check invariants during transactions, too")
    parser.add_argument("--jobs", type=int, default=1, help="in how many processes explore runs tries")
    parser.add_argument("--tries", type=int, help="how many tries at most, if not what explore does by itself")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write all results, after each case")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where to keep what was worked in; a new folder")
    return parser


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def _one(name: str, seed: int, asked: argparse.Namespace) -> Row:
    incident, needs = about(name)
    row: Row = {"name": name, "seed": seed, "incident": incident, "needs": needs}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if asked.keep is None else asked.keep / f"{name}-{seed}"
        row["attack"] = attack(name, folder / "by_hand")
        for twin in TWINS:
            if asked.check or getattr(asked, "fixed" if twin == "faulty" else "faulty"):
                continue
            place(name, folder / twin, fixed=twin == "fixed")
            row[twin] = _explored(folder / twin, seed, asked)
        if row.get("faulty", {}).get("result") == "found":
            row["faulty"]["test"] = _written(name, folder / "faulty")
    return row


def _explored(folder: Path, seed: int, asked: argparse.Namespace) -> Row:
    """Explore one twin in a process of its own; what came of it."""
    options = ["--json", "--seed", str(seed), "--jobs", str(asked.jobs), "--write", "written"]
    options += ["--boundaries"] * asked.callouts
    options += [] if asked.tries is None else ["--tries", str(asked.tries)]
    command = [sys.executable, "-m", "storagemod", "explore", "scenario.toml", *options]
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=_environment(), cwd=folder, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {"result": "timeout", "seconds": TIMEOUT_S}
    wall = time.monotonic() - started
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return {"result": "error", "message": done.stderr.strip()[-500:], "seconds": wall}
    row: Row = {
        "result": "found" if found["violations"] else "nothing",
        "wall": wall,
        "message": done.stderr.strip()[-500:],
        **{key: found[key] for key in ("tries", "tries_to_shrink", "seconds", "ended") if key in found},
    }
    if found["violations"]:
        first = found["violations"][0]
        row |= {key: first[key] for key in ("invariant", "calls_found", "calls", "words") if key in first}
    return row


def _written(name: str, folder: Path) -> str:
    """Whether the tests that were written fail, and pass once the contracts are mended."""
    outcomes = []
    for _ in range(2):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "written"]
        done = subprocess.run(
            command, capture_output=True, env=_environment(), cwd=folder, timeout=TIMEOUT_S, check=False
        )
        outcomes.append({0: "green", 1: "red"}.get(done.returncode, f"status {done.returncode}"))
        mend(name, folder)
    return "ok" if outcomes == ["red", "green"] else f"{outcomes[0]}, then {outcomes[1]}"


def _environment() -> dict[str, str]:
    """The storagemod that this process would import is the one that is run, from any folder."""
    root = str(Path(__file__).parents[3])
    return {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([root, *ENVIRONMENT.get("PYTHONPATH", "").split(os.pathsep)])}


def _as_it_should(row: Row) -> bool:
    faulty, fixed = row.get("faulty"), row.get("fixed")
    found = faulty is None or (faulty["result"] == "found" and faulty["test"] == "ok")
    return row["attack"] == "ok" and found and (fixed is None or fixed["result"] == "nothing")


def _line(row: Row) -> str:
    results = [f"attack {row['attack']}", *(f"{twin} {row[twin]['result']}" for twin in TWINS if twin in row)]
    return f"{row['name']}, seed {row['seed']}: {', '.join(results)}"


def _table(rows: Sequence[Row]) -> str:
    body = [_cells(row) for row in rows]
    widths = [max(len(line[column]) for line in [HEAD, *body]) for column in range(len(HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [HEAD, *body]
    ]
    found = [row for row in rows if row.get("faulty", {}).get("result") == "found"]
    alarms = [row for row in rows if row.get("fixed", {}).get("result") == "found"]
    tests = [row for row in found if row["faulty"]["test"] == "ok"]
    proved = [row for row in rows if row["attack"] == "ok"]
    lines.append(
        f"\n{len(proved)} of {len(rows)} attacks by hand are as they should be, {len(found)} found, "
        f"{len(tests)} written tests are red and then green, {len(alarms)} false alarms"
    )
    return "\n".join(lines)


def _cells(row: Row) -> list[str]:
    faulty, fixed = row.get("faulty", {}), row.get("fixed", {})
    return [
        row["name"],
        str(row["seed"]),
        row["attack"],
        faulty.get("result", "-"),
        *(_number(faulty.get(key)) for key in ("tries", "seconds", "calls_found", "calls")),
        faulty.get("test", "-"),
        {"found": "FALSE ALARM", "nothing": "quiet"}.get(fixed.get("result", "-"), fixed.get("result", "-")),
        *(_number(fixed.get(key)) for key in ("tries", "seconds")),
        fixed.get("ended", "-"),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
