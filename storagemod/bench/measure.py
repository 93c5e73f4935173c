"""Timing several ways to do a thing in turns, so that what disturbs the machine disturbs all of them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping

from attrs import frozen


@frozen
class Figure:
    """One thing that was timed.

    Attributes:
        name: What was done.
        seconds: The median of all rounds.
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
    """

    title: str
    aim: str
    figures: tuple[Figure, ...]


def compare(title: str, aim: str, subjects: Mapping[str, Callable[[], object]], *, rounds: int) -> Comparison:
    """Time each subject once in each round, each beginning in turn, after one round that is not counted.

    Args:
        title: See :class:`Comparison`.
        aim: See :class:`Comparison`.
        subjects: What to time, by name.
        rounds: How many rounds; at least 1.
    """
    times: dict[str, list[float]] = {name: [] for name in subjects}
    in_turn = deque(subjects.items())
    collects = gc.isenabled()
    gc.disable()
    try:
        for round_number in range(rounds + 1):
            for name, subject in in_turn:
                start = time.perf_counter()
                subject()
                elapsed = time.perf_counter() - start
                if round_number:
                    times[name].append(elapsed)
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
    )
