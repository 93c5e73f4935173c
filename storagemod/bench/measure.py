"""Timing several ways to do a thing in turns, so that what disturbs the machine disturbs all of them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

NOISE_MAX = 0.25
"""Above this noise of a comparison, small differences between its figures mean nothing."""


@frozen
class Figure:
    """One thing that was timed.

    Attributes:
        name: What was done.
        seconds: The median of all rounds, of one part of the work.
        ratio: Against the first figure of the comparison: the median of the ratios within each round.
    """

    name: str
    seconds: float
    ratio: float


@frozen
class Comparison:
    """Things timed side by side; the first is what the others are compared with.

    Attributes:
        title: What is compared.
        aim: What the ratios should be, in words.
        figures: In the order of measuring.
        noise: How far the times of the first figure spread between rounds: interquartile range over median.
    """

    title: str
    aim: str
    figures: tuple[Figure, ...]
    noise: float = 0.0

    @property
    def is_noisy(self) -> bool:
        """Return whether the machine was too busy with something else to show small differences."""
        return self.noise > NOISE_MAX


def compare(
    title: str,
    aim: str,
    subjects: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    repeats: int = 1,
    parts: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Comparison:
    """Time each subject in each round, each beginning in turn, after one round that is not counted.

    Args:
        title: See :class:`Comparison`.
        aim: See :class:`Comparison`.
        subjects: What to time, by name.
        rounds: How many rounds; at least 1.
        repeats: How often a subject runs in its turn.
        parts: How many equal parts one run of a subject consists of, such as nested calls.
        clock: Returns the time in seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in subjects}
    in_turn = deque(subjects.items())
    collects = gc.isenabled()
    gc.disable()
    try:
        for round_number in range(rounds + 1):
            for name, subject in in_turn:
                start = clock()
                for _ in range(repeats):
                    subject()
                elapsed = clock() - start
                if round_number:
                    times[name].append(elapsed / (repeats * parts))
            in_turn.rotate(-1)  # whoever begins a round finds the caches cold
            gc.collect()
    finally:
        if collects:
            gc.enable()
    base = next(iter(times.values()))
    return Comparison(
        title,
        aim,
        tuple(
            Figure(name, statistics.median(each), statistics.median(a / b for a, b in zip(each, base, strict=True)))
            for name, each in times.items()
        ),
        _spread(base),
    )


def _spread(times: Sequence[float]) -> float:
    if len(times) == 1:
        return 0.0
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return (high - low) / median
