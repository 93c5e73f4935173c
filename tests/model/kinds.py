"""The kinds of worlds that a model has to be true of, and the accounts in them."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
from attrs import Factory, frozen

from storagemod import Limits, World
from storagemod.pages import BACKENDS, why_not_shared, why_unavailable
from storagemod.types import Address
from storagemod.vm.slots import WASM_PAGES
from tests.semantics.puppets import BYTEWISE, LOWERED

from . import linked
from .reference import ByBytes, ReferenceWorld

LIMITS = Limits(call_depth_max=5, storage_pages_max=4)
"""Small, so that they are reached."""

LIMITS_OF_KEYED = attrs.evolve(LIMITS, storage_pages_max=WASM_PAGES)
"""Its table takes more than storage that is laid over it may."""

PUPPETS = (Address(0xA), Address(0xB), Address(0xC))
EMPTY = Address(0xE)
"""An account without code."""
LATE = Address(0xF)
"""An account without code, until a puppet is deployed there."""

PUPPET_BALANCE = 1_000


@frozen(eq=False)
class Kind:
    """One way to make a world of which the model has to be true.

    Attributes:
        name: What to call it where it went wrong.
        option: The linking option of its puppets.
        world: Arguments for ``World``, besides the limits.
        protected: Whether it protects pages, as in ``ReferenceWorld``.
        durable: Whether it is kept in a directory.
        model: What foretells it.
    """

    name: str
    option: str
    world: dict[str, Any] = Factory(dict)
    protected: bool = False
    durable: bool = False
    model: type[ReferenceWorld] = ReferenceWorld

    def open(self, folder: str | None) -> World:
        """Make such a world, or open it anew where it is kept in a directory."""
        arguments = {"limits": LIMITS_OF_KEYED if self.option == "keyed" else LIMITS, **self.world}
        return World(folder, synchronous="normal", **arguments) if folder else World(**arguments)


OPTIONS = ("single", "regions", "methods", LOWERED)

TRACKERS = tuple(name for name, backend in BACKENDS.items() if why_unavailable(backend) is None)
"""Those that work here, the quickest first, and ``portable`` last."""


def kind(option: str, tracker: str, *, durable: bool = False) -> Kind:
    """A kind by what users choose. Some have traces and some have not: to listen changes nothing."""
    return Kind(
        f"{tracker}, {option}{', durable' if durable else ''}",
        option,
        {"tracker": tracker, "trace": option == "single" or tracker == TRACKERS[0]},
        protected=BACKENDS[tracker].protects,
        durable=durable,
    )


def durable_kind(option: str, tracker: str) -> Kind:
    """The same in a directory."""
    return kind(option, tracker, durable=True)


ALL_KINDS: tuple[Kind, ...] = (
    *(kind(option, tracker) for tracker in TRACKERS for option in OPTIONS),
    *map(durable_kind, itertools.cycle(OPTIONS), TRACKERS),
)

KINDS: tuple[Kind, ...] = (
    *(kind(option, TRACKERS[0]) for option in OPTIONS),
    *map(kind, itertools.cycle(OPTIONS), TRACKERS[1:]),
    durable_kind("single", TRACKERS[0]),
)
"""Every option and every tracker, though not each with each, and a world in a directory."""

ALL_KINDS_WITH_SPARE: tuple[Kind, ...] = (
    *(kind("regions", tracker) for tracker in TRACKERS),
    *(durable_kind("regions", tracker) for tracker in TRACKERS),
)
"""Those whose puppets have the region ``spare``."""

_MODELS: dict[str, type[linked.SmallStorage]] = {
    "keyed": linked.Keyed,
    "copied, call": linked.CopiedAtCalls,
    "copied, end": linked.CopiedAtEnds,
    "copied, none": linked.CopiedWhole,
    "paged": linked.Paged,
    "aliased": linked.Aliased,
    "window": linked.Window,
    "copied, revision": linked.CopiedByRevision,
    "paged, transaction": linked.PagedExclusively,
    "aliased, transaction": linked.AliasedExclusively,
    "copied, mixed": linked.Mixed,
    "paged, mixed": linked.Guarded,
}

SMALL = tuple(name for name in _MODELS if not name.endswith("mixed"))
"""The options, and policies, under which storage is 64 KiB and does not grow."""

ALL_SMALL = tuple(_MODELS)
"""The same, and puppets with different ones in one world."""


def small_kind(name: str, tracker: str, *, durable: bool = False) -> Kind:
    """A kind of one of these. They all have traces, for the hazards."""
    option, _, _ = name.partition(",")
    plain = kind(option, tracker, durable=durable)
    named = f"{tracker}, {name}{', durable' if durable else ''}"
    return attrs.evolve(plain, name=named, world={"tracker": tracker}, model=_MODELS[name])


def all_small_kinds(name: str) -> tuple[Kind, ...]:
    """One of these options under every tracker, and in a directory."""
    trackers = [each for each in TRACKERS if not name.startswith("aliased") or why_not_shared(BACKENDS[each]) is None]
    return *(small_kind(name, tracker) for tracker in trackers), small_kind(name, trackers[0], durable=True)


ALL_SMALL_KINDS: tuple[Kind, ...] = tuple(kind for name in ALL_SMALL for kind in all_small_kinds(name))

SMALL_KINDS: tuple[Kind, ...] = (
    *(small_kind(name, TRACKERS[0]) for name in ALL_SMALL),
    small_kind("keyed", TRACKERS[-1]),
    small_kind("paged", TRACKERS[-1], durable=True),
    small_kind("aliased", "compare", durable=True),
    small_kind("window", TRACKERS[-1], durable=True),
)
"""Every one of them; where it matters whether pages are protected, without that, too; and one in a directory."""

KINDS_WITH_SPARE: tuple[Kind, ...] = (kind("regions", TRACKERS[0]), durable_kind("regions", TRACKERS[-1]))

_BYTEWISE = tuple(
    attrs.evolve(kind(BYTEWISE, tracker, durable=durable), model=ByBytes)
    for durable in (False, True)
    for tracker in TRACKERS
)

BYTEWISE_KINDS: tuple[Kind, ...] = (*_BYTEWISE[: len(TRACKERS)], _BYTEWISE[len(TRACKERS)])
"""Storage whose length is counted in bytes: every tracker, and one in a directory. Their puppets have ``spare``."""

ALL_BYTEWISE_KINDS: tuple[Kind, ...] = _BYTEWISE
