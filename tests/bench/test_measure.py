"""What is timed, and what the figures mean, on a clock that moves as it is told."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

from attrs import define

from storagemod.bench import NOISE_MAX, Comparison, compare


@define
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def takes(self, *seconds: float) -> Callable[[], None]:
        """Work that takes so long, one time after another."""
        turns = cycle(seconds)

        def work() -> None:
            self.now += next(turns)

        return work


def test_subjects_take_turns_and_the_first_round_does_not_count() -> None:
    done: list[str] = []
    compared = compare("turns", "none", {"a": lambda: done.append("a"), "b": lambda: done.append("b")}, rounds=3)
    assert done == ["a", "b", "b", "a"] * 2
    assert isinstance(compared, Comparison)


def test_medians_and_ratios_are_of_the_rounds_that_count() -> None:
    clock = Clock()
    subjects = {"a": clock.takes(100, 1, 2, 4), "b": clock.takes(1, 3, 4, 20)}
    first, second = compare("", "", subjects, rounds=3, clock=clock).figures
    assert (first.seconds, first.ratio) == (2, 1)
    assert (second.seconds, second.ratio) == (4, 3)  # within rounds: 3, 2 and 5


def test_time_is_that_of_one_part_of_one_run() -> None:
    clock, runs = Clock(), []

    def work() -> None:
        runs.append(1)
        clock.now += 64

    (figure,) = compare("", "", {"a": work}, rounds=1, repeats=5, parts=64, clock=clock).figures
    assert figure.seconds == 1
    assert len(runs) == 10


def test_noise_is_the_spread_of_the_first_subject() -> None:
    clock = Clock()
    steady, restless = clock.takes(4), clock.takes(4, 2, 4, 6, 8)

    noisy = compare("", "", {"a": restless, "b": steady}, rounds=9, clock=clock)
    assert noisy.noise > NOISE_MAX
    assert noisy.is_noisy

    calm = compare("", "", {"a": steady, "b": restless}, rounds=9, clock=clock)
    assert calm.noise == 0
    assert not calm.is_noisy


def test_noise_is_interquartile_range_over_median() -> None:
    clock = Clock()
    assert compare("", "", {"a": clock.takes(9, 1, 2, 3, 4, 5)}, rounds=5, clock=clock).noise == 2 / 3


def test_one_round_tells_nothing_of_noise() -> None:
    clock = Clock()
    assert not compare("", "", {"a": clock.takes(1, 9)}, rounds=1, clock=clock).is_noisy
