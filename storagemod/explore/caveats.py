"""Caveats: what a search could not look at, so that nobody takes "nothing was found" for "nothing is there"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from storagemod.explore.coverage import Coverage
from storagemod.explore.search import Found
from storagemod.types import Address

_NEVER_SHOWN = 6
"""How many entry points that never succeeded are named."""

_STARVED_PART = 0.5
"""Beyond this part of tries that ran out of gas, the verdict is "not explored"."""


@frozen
class Caveat:
    """Something that a search could not look at.

    Attributes:
        text: A sentence.
        is_serious: Whether "holds" would say too much.
    """

    text: str
    is_serious: bool = False


@frozen
class SetUp:
    """What came of the transactions that were run before the search.

    Attributes:
        transactions: How many they are.
        unexpected: For each that did not go as the file says, what did not.
        stranger: The untrusted account that was added, with its balance, because the file names none.
        penniless: Whether no untrusted account has money, and contracts look at what is sent to them.
        factories: Contracts that create accounts and read call data, by name: perhaps from code that callers give.
    """

    transactions: int = 0
    unexpected: tuple[str, ...] = ()
    stranger: tuple[str, int] | None = None
    penniless: bool = False
    factories: tuple[str, ...] = ()


def caveats_of(set_up: SetUp, found: Found, gas: int, labels: Mapping[Address, str]) -> tuple[Caveat, ...]:
    """Return what a search could not look at, what is serious first."""
    caveats = [*_of_set_up(set_up), *_of_search(found.coverage, found.tries, gas, labels)]
    if not found.tries and found.ended in {"interrupted", "seconds"}:
        caveats.append(Caveat(f"nothing was tried before the search ended: {found.ended}", is_serious=True))
    if set_up.factories and all(caller in labels for caller, *_ in found.coverage.call_sites):
        caveats.append(
            Caveat(
                f"{_listed(set_up.factories)}: creates accounts, perhaps from code that callers give; "
                "no such code was run in any try"
            )
        )
    for invariant, contract in found.fragile.items():
        caveats.append(
            Caveat(
                f'more money of {labels.get(contract, contract)} alone breaks "{invariant}": an account that destroys '
                "itself can force some upon it, and this was not tried (use >= where == is not meant)"
            )
        )
    return tuple(sorted(caveats, key=lambda each: not each.is_serious))


def _of_set_up(set_up: SetUp) -> Iterator[Caveat]:
    for what in set_up.unexpected:
        yield Caveat(f"the search began from another state than the file means: {what}", is_serious=True)
    if set_up.stranger is not None:
        name, balance = set_up.stranger
        yield Caveat(
            f'the file names no untrusted account, so one was added: "{name}", with a balance of {balance:,} '
            "(name yours in `untrusted` of [explore])"
        )
    if set_up.penniless:
        yield Caveat("untrusted accounts have no money, and contracts look at what is sent to them")


def _of_search(coverage: Coverage, tries: int, gas: int, labels: Mapping[Address, str]) -> Iterator[Caveat]:
    entries = coverage.entry_points
    if tries and not any(each.changed for each in entries.values()):
        succeeded = sum(each.succeeded for each in entries.values())
        what = "no call that was tried changed anything" if succeeded else "every call that was tried failed"
        yield Caveat(what, is_serious=True)
    if coverage.delegated:
        yield Caveat(
            f"in {coverage.delegated:,} tries a contract ran the code of an untrusted account as its own, "
            "and what such code could do was not tried",
            is_serious=True,
        )
    if coverage.created:
        yield Caveat(
            f"in {coverage.created:,} tries a contract was created, and the search calls contracts of the file only"
        )
    if coverage.out_of_gas:
        yield Caveat(
            f"in {coverage.out_of_gas:,} tries a call used up its gas, of {gas:,} for a transaction (--gas)",
            is_serious=coverage.out_of_gas > _STARVED_PART * tries,
        )
    never = [
        f"{labels.get(contract, str(contract))}::{method} ({each.failed:,} times)"
        for (contract, method), each in entries.items()
        if each.failed and not each.succeeded
    ]
    if never:
        yield Caveat(f"never succeeded: {_listed(never)}")
    missed = [
        f"{labels.get(contract, str(contract))}::{method}"
        for (contract, method), each in entries.items()
        if not each.failed and not each.succeeded
    ]
    if missed:
        yield Caveat(f"never called: {_listed(missed)}")


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NEVER_SHOWN
    return ", ".join(names[:_NEVER_SHOWN]) + (f" and {more} more" if more > 0 else "")
