"""What a search covered: what was tried and how it fared, and what was not tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from attrs import define, field, frozen

from storagemod.explore.follower import CallSite
from storagemod.explore.menu import Entry
from storagemod.explore.opening import Candidate
from storagemod.explore.script import MAIN, calls_in, depth_of
from storagemod.explore.trial import TrialResult
from storagemod.types import Address

EntryKey: TypeAlias = tuple[Address, str]
"""Contract and method."""


@frozen
class EntryCoverage:
    """How one entry point was called, and how that went.

    Attributes:
        sent: Transactions in tries.
        called_back: Tries that added a call back.
        taken: Combinations of arguments, money and data that calls were made of.
        possible: Combinations of all values that were thought of.
        succeeded: Calls that were added to a try and succeeded.
        changed: Those that also changed something.
        failed: Calls that were added to a try and failed.
    """

    sent: int
    called_back: int
    taken: int
    possible: int
    succeeded: int
    changed: int
    failed: int


@frozen
class Coverage:
    """What was tried, and what was not.

    Attributes:
        call_sites: Calls out to untrusted accounts that happened, each with the number of entry points that were called
            back from there.
        entry_points: All that may be called, each with how it was called and how that went.
        by_calls: Tries by their number of calls.
        by_depth: Tries by how deep calls back were nested.
        left: Places in tries where one decision more could have been made, and was not.
        too_deep: Call sites met where calls back would have been nested deeper than the bound.
        too_long: Tries that were not made longer, having as many calls as the bound allows.
        idle: Tries that were not made longer, what they added having changed nothing.
        alike: Tries that were not followed by more transactions, the state being one that another try had led to.
        static: Call sites in static calls: calls back from there change nothing, and were not tried.
        refused: Tries that could not be run to their end, by the reason.
        blocks: Blocks of code that ran, and all, by contract.
        out_of_gas: Tries in which a call used all of its gas.
        delegated: Tries in which a contract ran the code of an attacker as its own.
        created: Tries in which a contract was created.
    """

    call_sites: Mapping[CallSite, int]
    entry_points: Mapping[EntryKey, EntryCoverage]
    by_calls: Mapping[int, int]
    by_depth: Mapping[int, int]
    left: int
    too_deep: int
    too_long: int
    idle: int
    alike: int
    static: int
    refused: Mapping[str, int]
    blocks: Mapping[Address, tuple[int, int]] = field(factory=dict)
    out_of_gas: int = 0
    delegated: int = 0
    created: int = 0

    @property
    def nestings(self) -> tuple[int, int]:
        """Pairs of a call site and an entry point called back from there: tried, and all."""
        dynamic = [count for site, count in self.call_sites.items() if not site[3]]
        return sum(dynamic), len(dynamic) * len(self.entry_points)

    @property
    def complete(self) -> bool:
        """Whether every try within the bounds was run, with the arguments that were taken, or is like one that was."""
        return not self.left and not self.refused


@define
class Tally:
    """Counts while a search runs."""

    menu: Sequence[Entry]
    sites: dict[CallSite, set[EntryKey]] = field(factory=dict)
    sent: Counter[EntryKey] = field(factory=Counter)
    called_back: Counter[EntryKey] = field(factory=Counter)
    by_calls: Counter[int] = field(factory=Counter)
    by_depth: Counter[int] = field(factory=Counter)
    refused: Counter[str] = field(factory=Counter)
    idle: int = 0
    alike: int = 0
    out_of_gas: int = 0
    delegated: int = 0
    created: int = 0

    def count(self, each: Candidate, result: TrialResult, openings: int) -> None:
        """Count a trial, and how many places for one decision more it opened."""
        script = each.script
        self.by_calls[calls_in(script)] += 1
        self.by_depth[depth_of(script)] += 1
        self.out_of_gas += result.out_of_gas
        self.delegated += result.delegated
        self.created += result.created
        if result.refused is not None:
            self.refused[result.refused] += 1
        for site in result.reached:
            if site not in self.sites:
                self.sites[site] = set()
        for call in script:
            self.sent[call.contract, call.method or MAIN] += 1
        if each.nesting is not None:
            caller, account, method, contract, entry = each.nesting
            self.sites.setdefault((caller, account, method, False), set()).add((contract, entry))
            self.called_back[contract, entry] += 1
        if not openings:
            self.idle += 1

    def _entry(self, key: EntryKey) -> EntryCoverage:
        """Return how an entry point was called: `main` stands in the menu once for each method that data choose."""
        entries = [entry for entry in self.menu if entry.key == key]
        taken = [len(entry.calls) + len(entry.learnt) for entry in entries]
        return EntryCoverage(
            self.sent[key],
            self.called_back[key],
            sum(taken),
            sum(max(entry.possible, count) for entry, count in zip(entries, taken, strict=True)),
            sum(entry.succeeded for entry in entries),
            sum(entry.changed for entry in entries),
            sum(entry.tried - entry.succeeded for entry in entries),
        )

    def coverage(
        self, *, left: int, too_deep: int, too_long: int, blocks: Mapping[Address, tuple[int, int]]
    ) -> Coverage:
        """Return all that was counted."""
        return Coverage(
            call_sites={site: len(self.sites[site]) for site in sorted(self.sites)},
            entry_points={key: self._entry(key) for key in dict.fromkeys(entry.key for entry in self.menu)},
            by_calls=dict(sorted(self.by_calls.items())),
            by_depth=dict(sorted(self.by_depth.items())),
            left=left,
            too_deep=too_deep,
            too_long=too_long,
            idle=self.idle,
            alike=self.alike,
            static=sum(static for *_, static in self.sites),
            refused=dict(sorted(self.refused.items())),
            blocks=blocks,
            out_of_gas=self.out_of_gas,
            delegated=self.delegated,
            created=self.created,
        )
