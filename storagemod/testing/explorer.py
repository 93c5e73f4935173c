"""The fixture ``storage_explore``: a search for attacks as a test, with a budget, and what was found in the report.

Budgets come from the call, the marker, the settings of the project and the command line, which has the last word:
so the same tests look for seconds at a desk and for an hour at night.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storagemod.errors import StorageModError, one_line
from storagemod.testing.options import SETTINGS_KEY, suggestion
from storagemod.testing.recording import describe_trees, unheard
from storagemod.testing.variants import EXPLORE, MarkerError, Variant

if TYPE_CHECKING:
    from storagemod.explore import Exploration
    from storagemod.scenario import Scenario
    from storagemod.types import Address
    from storagemod.world import Receipt, World

_NUMBERS = ("tries", "seconds", "seed", "calls", "depth", "arguments", "gas")
_SWITCHES = ("boundaries", "allow_unexplored")


def explore_marker_of(node: pytest.Item | pytest.Collector) -> dict[str, Any]:
    """Return what the markers of a test say about its explorations, the nearest first.

    Raises:
        MarkerError: A marker has an argument that means nothing.
    """
    said: dict[str, Any] = {}
    for mark in node.iter_markers(EXPLORE):
        where = f"{node.nodeid}: pytest.mark.{EXPLORE}"
        if mark.args:
            raise MarkerError(f"{where} takes keywords only: {', '.join((*_NUMBERS, *_SWITCHES))}")
        for key, value in mark.kwargs.items():
            if key not in (*_NUMBERS, *_SWITCHES):
                raise MarkerError(f"{where}: unknown keyword {key!r}{suggestion(key, (*_NUMBERS, *_SWITCHES))}")
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (is_number if key in _NUMBERS else isinstance(value, bool)):
                wanted = "a number" if key in _NUMBERS else "True or False"
                raise MarkerError(f"{where}: {key} is {wanted}, not {value!r}")
            said.setdefault(key, value)
    return said


class Explorer:
    """Explores scenarios and worlds in a test: call it. It fails the test where an invariant does not hold."""

    def __init__(self, request: pytest.FixtureRequest, variant: Variant) -> None:
        self._request = request
        self._variant = variant

    def __call__(
        self,
        scenario: Scenario | World | str | Path,
        *,
        invariants: Mapping[str, str | Callable[[World], object]] | None = None,
        untrusted: Iterable[Address | str | int] = (),
        seen: Iterable[Receipt] = (),
        allow_unexplored: bool | None = None,
        **settings: Any,
    ) -> Exploration:
        """Explore, and fail the test if an invariant is broken, or could not be explored.

        Args:
            scenario: A scenario, the path of its file from the folder of the test, or a world.
            invariants: As for :func:`storagemod.explore.explore`, as for what follows.
            untrusted: See there.
            seen: See there.
            allow_unexplored: Pass where "holds" would say too much, because a search could not look at something
                that matters: see ``caveats`` of what is returned.
            settings: See there: ``tries``, ``seconds``, ``seed``, ``calls``, ``depth`` and so on.

        Returns:
            What was tried.
        """
        __tracebackhide__ = True
        from storagemod.explore import explore  # noqa: PLC0415 - heavy
        from storagemod.world import World  # noqa: PLC0415 - as above

        said = explore_marker_of(self._request.node)
        allowed = said.pop("allow_unexplored", False) if allow_unexplored is None else allow_unexplored
        if isinstance(scenario, str | Path):
            scenario = self._request.path.parent / scenario
        with_defaults = self._settings(said, settings, is_world=isinstance(scenario, World))
        problem = None
        try:
            with unheard():
                found = explore(scenario, invariants=invariants, untrusted=untrusted, seen=seen, **with_defaults)
        except StorageModError as error:
            problem = f"{EXPLORE}: {error}"
        if problem is not None:
            pytest.fail(problem, pytrace=False)  # here, or pytest would show how the error came about
        node = self._request.node
        budget = f"{found.found.tries:,} tries, ended: {found.found.ended}; seed {found.settings.seed}"
        node.add_report_section("call", EXPLORE, "\n".join([budget, *_caveats(found)]) + "\n")
        if found.violations:
            node.storagemod_section = lambda: "\n".join(_trees(found))
            pytest.fail("\n".join(self._broken(found, budget)), pytrace=False)
        if not found.ok and not allowed:
            pytest.fail("\n".join(_not_explored(found, budget)), pytrace=False)
        return found

    def _settings(self, said: Mapping[str, Any], given: Mapping[str, Any], *, is_world: bool) -> dict[str, Any]:
        """Return the settings of a search: the command line beats the call, then marker, project and variant."""
        options, variant = self._request.config.stash[SETTINGS_KEY], self._variant
        settings: dict[str, Any] = {"seed": options.seed}
        if options.tracker is not None:
            settings["tracker"] = options.tracker
        if variant.policy is not None and not is_world:
            settings["policy"] = variant.policy
        if variant.link_is_named and not is_world:
            settings |= {"link": variant.link, "sync": variant.sync, "exclusive": variant.exclusive}
        project = {"tries": options.explore_tries, "seconds": options.explore_seconds}
        settings |= {key: value for key, value in project.items() if value is not None}
        settings |= {**said, **given}
        for key, option in (("tries", "explore_tries"), ("seconds", "explore_seconds"), ("seed", "seed")):
            if option in options.chosen:
                settings[key] = options.chosen[option]
        return settings

    def _broken(self, found: Exploration, budget: str) -> Iterator[str]:
        from storagemod.report.exploration import place_of, script_lines  # noqa: PLC0415 - heavy

        broken = list(dict.fromkeys(each.invariant for each in found.violations))
        names = ", ".join(f'"{one_line(name)}"' for name in broken)
        yield f"{len(broken)} of {len(found.invariants)} invariants can be broken: {names} ({budget})"
        for each in found.violations:
            needed = "by a call back" if each.needs_callback else "without any call back"
            yield f"BROKEN {needed}: {one_line(each.invariant)}"
            yield f"  {one_line(each.text)}"
            yield f"  {place_of(each)}:"
            yield from (f"    {one_line(why)}" for why in each.breach.why)
            yield "  by"
            yield from (f"    {one_line(line)}" for line in script_lines(found, each) or ["nothing at all"])
        settings = found.settings
        again = f"--storagemod-seed {settings.seed} --storagemod-explore-tries {settings.tries}"
        yield f"repeat it with: pytest '{self._request.node.nodeid}' {again}"


def _caveats(found: Exploration) -> list[str]:
    return [f"mind: {each.text}" for each in found.caveats]


def _not_explored(found: Exploration, budget: str) -> Iterator[str]:
    yield f"nothing was found, but that says little ({budget}):"
    yield from (f"  {each.text}" for each in found.caveats if each.is_serious)
    yield "mend the set-up, or pass allow_unexplored=True"


def _trees(found: Exploration) -> Iterator[str]:
    for each in found.violations:
        yield f"{one_line(each.invariant)}: {len(each.receipts)} transactions"
        yield from describe_trees(each.receipts)
