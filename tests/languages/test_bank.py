"""The mended bank in every language does what the fixture in WAT does under every option, hazards included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from attrs import frozen

from storagemod import StorageMapping, World
from storagemod.scenario.contents import contents
from storagemod.scenario.fixtures import fixture
from storagemod.trace import HazardKind
from storagemod.types import MAP_OPTIONS, METHODS_OPTIONS, Address, Outcome, SyncPolicy, Value

from .compilers import LANGUAGES, contract


@frozen
class Variant:
    """A linking option, how it maps storage if it does, and the style of contracts that it serves.

    ``option`` is that of the fixture, ``link`` what contracts that call functions are linked as.
    """

    style: str
    option: str
    link: str | None = None
    mapping: StorageMapping | None = None

    @property
    def is_stale(self) -> bool:
        """Whether re-entrant calls read storage as it was when the call above them mapped it."""
        return self.mapping is not None and self.mapping.option == "copied" and self.mapping.sync is not SyncPolicy.CALL

    @property
    def loot(self) -> int:
        """How much the attacker has in the end: nothing, where an attack fails that would have an update lost."""
        if self.mapping is not None and self.mapping.sync is SyncPolicy.REVISION:
            return 0
        return 300 if self.is_stale else 100

    def __str__(self) -> str:
        return self.link or self.option if self.mapping is None else str(self.mapping)


def variants() -> Iterator[Variant]:
    yield from (Variant("methods", link, link) for link in METHODS_OPTIONS)
    yield Variant("keyed", "keyed")
    for option in MAP_OPTIONS:
        syncs = SyncPolicy if option == "copied" else [SyncPolicy.CALL]
        yield from (Variant("mapped", option, mapping=StorageMapping(option, sync)) for sync in syncs)


@frozen
class Story:
    """What came of the attack on a bank."""

    endings: tuple[tuple[Outcome, Value | tuple[Value, ...] | None], ...]
    bank: bytes
    attacker: bytes
    hazards: dict[HazardKind, int]


def story(code: str | bytes, variant: Variant, link: str | None = None) -> Story:
    """Alice and Mallory deposit; Mallory's contract withdraws, and twice more while it is paid; and what is refused."""
    world = World()
    theirs = Address(0xBAD)
    ours = world.deploy(code, links={"customer": theirs}, mapping=variant.mapping, link=link, name="bank")
    world.deploy(fixture("bank/attacker"), address=theirs, links={"bank": ours}, name="attacker")
    receipts = [
        world.transact(to, method, *args)
        for to, method, *args in (
            (ours, "deposit", 1, 500),
            (ours, "deposit", 0, 100),
            (theirs, "attack", 0, 2),
            (theirs, "loot"),
            (ours, "balance", 0),
            (ours, "balance", 1),
            (ours, "total"),
            (ours, "deposit", 1, -1),
            (ours, "deposit", 1, 2**63 - 1),
            (ours, "deposit", 8184, 1),
            (ours, "deposit", 8183, 7),
            (ours, "balance", 8183),
            (ours, "withdraw", 8183),
        )
    ]
    hazards = [hazard for receipt in receipts if receipt.trace is not None for hazard in receipt.trace.hazards]
    return Story(
        tuple((receipt.outcome, receipt.value) for receipt in receipts),
        contents(world, ours)["memory"][0:65536],
        contents(world, theirs)["memory"][0:65536],
        dict(Counter(hazard.kind for hazard in hazards)),
    )


@pytest.mark.parametrize("variant", list(variants()), ids=str)
@pytest.mark.parametrize("language", LANGUAGES)
def test_bank_ends_with_the_outcomes_the_storage_and_the_hazards_of_the_fixture(
    language: str, variant: Variant
) -> None:
    told = story(contract(language, f"bank_{variant.style}"), variant, variant.link)

    assert told == story(fixture("bank/bank_fixed", variant.option), variant)


@pytest.mark.parametrize("variant", list(variants()), ids=str)
@pytest.mark.parametrize("language", LANGUAGES)
def test_bank_is_robbed_where_a_re_entrant_call_reads_stale_books_and_nowhere_else(
    language: str, variant: Variant
) -> None:
    told = story(contract(language, f"bank_{variant.style}"), variant, variant.link)

    assert told.endings[3] == (Outcome.OK, variant.loot)
    assert (HazardKind.STALE_READ in told.hazards) is variant.is_stale
