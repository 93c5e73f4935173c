"""Every long campaign, one after the other, from one seed: ``python -m tests.nightly MINUTES SEED``.

Each prints a line: its name, its seed, and what it counted. If it failed, it prints how to run it again, too. The exit
status is 1 if one did. They look for the death of the process, transactions that do not end, errors that are not ours,
and roots that differ: random modules and histories under all trackers, mutated files through every command, kills,
disks that fail, Ctrl-C at random instants, and machines on which memory, mappings or descriptors are scarce.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from attrs import frozen

from storagemod.pages import BACKENDS, why_unavailable

_HANGS = 3
"""A campaign that takes so many times as long as it was given hangs."""

_STARTING_SECONDS = 300


@frozen
class Campaign:
    """One program that searches.

    Attributes:
        name: What it looks at.
        command: The words after ``python``; ``SECONDS``, ``COUNT`` and ``SEED`` are filled in.
        share: Its part of the time.
        each: Seconds that one of its units takes or so, for a program that wants a count.
        fuzzes: Whether it is a run of tests that are marked ``fuzz``: these get seconds, count and seed by environment
            variables.
    """

    name: str
    command: str
    share: float = 1.0
    each: float = 1.0
    fuzzes: bool = False

    def words(self, seconds: float, seed: int) -> list[str]:
        """Return the command for a time and a seed."""
        filled = {"SECONDS": f"{max(seconds, 1):.0f}", "COUNT": self._count(seconds), "SEED": str(seed)}
        words = [filled.get(word, word) for word in shlex.split(self.command)]
        return [sys.executable, *words, *([f"--hypothesis-seed={seed}"] if self.fuzzes else [])]

    def variables(self, seconds: float, seed: int) -> dict[str, str]:
        """Return the environment variables that go with the command."""
        if not self.fuzzes:
            return {}
        return {
            "STORAGEMOD_FUZZ": "1",
            "STORAGEMOD_FUZZ_SECONDS": f"{max(seconds, 1):.0f}",
            "STORAGEMOD_FUZZ_EXAMPLES": self._count(seconds),
            "STORAGEMOD_DISK_SEED": str(seed),
        }

    def _count(self, seconds: float) -> str:
        return f"{max(seconds / self.each, 1):.0f}"


CAMPAIGNS = (
    Campaign("random modules and arguments", "-m pytest -q -m fuzz tests/fuzz/test_fuzz.py", 2, each=0.05, fuzzes=True),
    Campaign("mutated files", "-m tests.fuzz.commands SEED COUNT", each=0.05),
    Campaign("modules that are dear to compile", "-m tests.fuzz.compiling SECONDS SEED"),
    Campaign("direct and mediated calls", "-m tests.vm.direct_histories SECONDS SEED"),
    Campaign(
        "options, trackers and the reference model",
        "-m pytest -q -m fuzz tests/model/test_model.py tests/pages/test_live.py",
        2,
        each=5,
        fuzzes=True,
    ),
    Campaign("warm machines", "-m pytest -q -m fuzz tests/vm/test_warm.py", each=5, fuzzes=True),
    Campaign("disks that fail", "-m pytest -q -m fuzz tests/state/test_simulated_disks.py", 2, fuzzes=True),
    Campaign("killed stores and worlds", "-m pytest -q tests/state/test_crash.py tests/world/test_killed.py"),
    Campaign("interrupted worlds in memory", "-m tests.world.interrupt_campaign memory own COUNT SEED", each=0.02),
    Campaign(
        "interrupted worlds in directories", "-m tests.world.interrupt_campaign directory deep COUNT SEED", each=0.04
    ),
    Campaign("interrupted searches", "-m tests.explore.interrupted COUNT SEED", each=0.05),
    *(
        Campaign(f"scarce machines, {tracker}", f"-m tests.world.limited SEED {tracker} COUNT", 0.5, each=0.3)
        for tracker, backend in BACKENDS.items()
        if why_unavailable(backend) is None
    ),
)


def run(campaign: Campaign, seconds: float, seed: int) -> bool:
    """Run a campaign, print its line, and return whether it found nothing."""
    words, variables = campaign.words(seconds, seed), campaign.variables(seconds, seed)
    begun = time.monotonic()
    try:
        done = subprocess.run(
            words,
            env=os.environ | variables,
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_HANGS * seconds + _STARTING_SECONDS,
            check=False,
        )
        status: int | str = done.returncode
        output = done.stdout + done.stderr
    except subprocess.TimeoutExpired as error:
        # What was printed so far is bytes here, although text was asked for.
        status = "hangs"
        output = b"".join(part for part in (error.stdout, error.stderr) if isinstance(part, bytes)).decode(
            errors="replace"
        )
    ok = status == 0
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "")
    print(
        f"{'ok  ' if ok else 'FAIL'} {campaign.name}, seed {seed}, {time.monotonic() - begun:.0f} s: {last:.300}",
        flush=True,
    )
    if not ok:
        again = shlex.join([*(f"{name}={value}" for name, value in variables.items()), *words])
        print(f"     status {status}; run it again: {again}", flush=True)
        print("\n".join(f"     {line}" for line in output.splitlines()[-40:]), flush=True)
    return ok


def main(minutes: float, seed: int) -> int:
    """Run all campaigns, for about so many minutes in all; return the exit status."""
    unit = minutes * 60 / sum(each.share for each in CAMPAIGNS)
    # All of them, whatever the first ones found.
    found_nothing = [run(each, each.share * unit, seed) for each in CAMPAIGNS]
    return int(not all(found_nothing))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m tests.nightly MINUTES SEED")
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2])))
