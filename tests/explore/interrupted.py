"""Interrupt trials of the explorer by bursts of Ctrl-C, from another process: a program, since the signals are its own.

A trial that was interrupted leaves the world as trials find it: the next one has the result that it has without
interruptions. Arguments: how many interruptions; a seed. It prints a JSON document.
"""

from __future__ import annotations

import json
import random
import signal
import sys

from storagemod.explore.plan import Plan
from storagemod.explore.script import Script
from storagemod.explore.trial import TrialResult, TrialRunner
from storagemod.interruption import interruption
from tests.explore.examples import recorded, shipped
from tests.world.interrupt_campaign import Operate, bursts


def tried(name: str) -> tuple[Plan, dict[Script, TrialResult]]:
    """A plan, and the results of the trials that a search makes."""
    plan, trials = recorded(shipped(name), calls=3, tries=150, boundaries=True)
    return plan, {script: result for script, ignored, result in trials if not ignored}


def main() -> None:
    count, seed = int(sys.argv[1]), sys.argv[2]
    numbers = random.Random(seed)  # noqa: S311 - no secret
    plan, results = tried("withdraw_fixed")
    runner, scripts = TrialRunner(plan), list(results)
    runner.start()
    start, turns, interrupted = runner.world.state_root, 0, 0
    operate = Operate()
    signal.signal(signal.SIGINT, operate.handle)
    with bursts(seed):
        while interrupted < count:
            turns += 1
            script = numbers.choice(scripts)
            interrupted += operate(lambda script=script: runner.run(script))
            assert interruption.raised is None
            again = numbers.choice(scripts)
            assert runner.run(again) == results[again], "a trial has another result"
            if turns % 10 == 0:
                runner.start()
                assert runner.world.state_root == start, "the world is not as it was"
    assert signal.getsignal(signal.SIGINT) == operate.handle
    print(json.dumps({"signals": operate.signals, "turns": turns, "interrupted": interrupted}))


if __name__ == "__main__":
    main()
