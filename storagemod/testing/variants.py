"""Under which options a test runs: what its marker says, what the project says, what the command line chooses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import pytest

from storagemod.testing.options import DIMENSIONS, MARKER_KEYS, SETTINGS, Settings, check, suggestion

MARKER = (
    "storagemod(link=[...], sync=[...], policy=[...], depth_max=[...], exclusive=[...], scenario=FILE, strict=BOOL): "
    "run the test once under each linking option, sync policy, re-entry policy, limit of call depth and exclusive "
    "policy; each is one value or several. `scenario` is what storage_project deploys, a path from the folder of the "
    "test. strict=False lets the test ignore receipts of failed transactions."
)

EXPLORE = "storage_explore"
"""A fixture, and the marker with its budget."""

EXPLORE_MARKER = (
    f"{EXPLORE}(tries=N, seconds=N, seed=N, calls=N, depth=N, arguments=N, gas=N, boundaries=BOOL, "
    "allow_unexplored=BOOL): the budget and bounds of searches by storage_explore, as of storagemod.explore.explore"
)

DEFAULT_LINK = "single"


class MarkerError(pytest.Collector.CollectError):
    """A marker says something that means nothing. pytest shows the message, without a traceback."""


class Variant(NamedTuple):
    """One way in which a test runs. No attrs class: pytest starts quicker without.

    Attributes:
        link: The linking option of contracts that leave it open.
        sync: When copies of storage are brought in line with it, or ``None`` where nobody says.
        policy: The re-entry policy of contracts for which nobody says another, or ``None`` for ``allow``.
        depth_max: The most calls inside one another, or ``None`` for the limit that worlds have.
        link_is_named: Whether somebody asked for this linking option, so that contracts that do not leave it open and
            use another are no matter of this variant.
        exclusive: Which second page for a frame of storage is refused, or ``None`` where nobody says.
    """

    link: str = DEFAULT_LINK
    sync: str | None = None
    policy: str | None = None
    depth_max: int | None = None
    link_is_named: bool = False
    exclusive: str | None = None

    @property
    def title(self) -> str:
        """What stands in the brackets of a test's id: the parts that somebody named."""
        parts = [
            self.link if self.link_is_named else None,
            self.sync,
            self.policy,
            None if self.depth_max is None else f"depth{self.depth_max}",
            None if self.exclusive is None else f"exclusive_{self.exclusive}",
        ]
        return "-".join(part for part in parts if part is not None) or self.link


class Excluded(NamedTuple):
    """A test holds under some options, and the command line chose others."""

    reason: str


def marker_of(node: pytest.Item | pytest.Collector) -> dict[str, Any]:
    """What the markers of a test say, the nearest first; values are checked.

    Raises:
        MarkerError: A marker says something that means nothing.
    """
    said: dict[str, Any] = {}
    for mark in node.iter_markers("storagemod"):
        where = f"{node.nodeid}: pytest.mark.storagemod"
        if mark.args:
            raise MarkerError(f"{where} takes keywords only: {', '.join(MARKER_KEYS)}")
        for key, raw in mark.kwargs.items():
            if key not in MARKER_KEYS:
                raise MarkerError(f"{where}: unknown keyword {key!r}{suggestion(key, MARKER_KEYS)}")
            try:
                value = str(raw) if key == "scenario" else check(SETTINGS[key], raw, f"{where}: {key}")
            except pytest.UsageError as error:
                raise MarkerError(*error.args) from None
            said.setdefault(key, value)
    return said


def variants_of(said: Mapping[str, Any], settings: Settings) -> list[Variant] | Excluded:
    """The variants of a test, in the order in which they were named.

    The command line chooses among what a marker names. Where a marker says nothing, the settings hold.
    """
    values: dict[str, Sequence[Any]] = {}
    for key in DIMENSIONS:
        chosen = settings.chosen.get(key)
        if key not in said:
            values[key] = getattr(settings, key)
        elif chosen is None:
            values[key] = said[key]
        else:
            values[key] = [value for value in said[key] if value in chosen]
            if not values[key] and said[key]:
                holds, asked = (", ".join(map(str, each)) for each in (said[key], chosen))
                return Excluded(f"its marker says {key} {holds}, and the command line chose {asked}")
    return list(dict.fromkeys(_product(values)))


def _product(values: Mapping[str, Sequence[Any]]) -> Iterator[Variant]:
    for link, policy, depth_max in product(*(values[key] or (None,) for key in ("link", "policy", "depth_max"))):
        # Only copies can be out of line, and two options have frames. Where no option is named, contracts say theirs.
        syncs = values["sync"] if link in {None, "copied"} else ()
        exclusives = values["exclusive"] if link in {None, "paged", "aliased"} else ()
        for sync, exclusive in product(syncs or (None,), exclusives or (None,)):
            yield Variant(link or DEFAULT_LINK, sync, policy, depth_max, link is not None, exclusive)


def parametrize(metafunc: pytest.Metafunc, settings: Settings) -> None:
    """Have a test that uses ``storage_variant``, itself or through another fixture, run once under each variant.

    Raises:
        MarkerError: As :func:`marker_of`.
    """
    said = marker_of(metafunc.definition)
    if "storage_variant" not in metafunc.fixturenames:
        return
    found = variants_of(said, settings)
    if isinstance(found, Excluded):
        skipped = pytest.param(Variant(), marks=pytest.mark.skip(reason=found.reason), id="not-chosen")
        metafunc.parametrize("storage_variant", [skipped], indirect=True)
    elif len(found) > 1 or said.keys() & set(DIMENSIONS):
        # The scope is the fixture's, so that those of a module can have worlds of a variant.
        metafunc.parametrize("storage_variant", found, indirect=True, ids=[variant.title for variant in found])
