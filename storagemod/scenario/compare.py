"""Run one scenario under every linking option and policy, and compare the results."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from attrs import frozen

from storagemod.errors import ScenarioError, ValidationError
from storagemod.scenario.contents import contents
from storagemod.scenario.deploy import compile_scenario
from storagemod.scenario.run import ScenarioResult, TransactionResult, run_scenario
from storagemod.scenario.schema import Scenario
from storagemod.trace import HazardKind
from storagemod.types import FRAME_OPTIONS, MAP_OPTIONS, CallMode, ExclusivePolicy, SyncPolicy
from storagemod.vm import DEFAULT_REGION, WINDOW, Costs, option_names
from storagemod.world import World

_ROUNDS = 3

_MAPPED = (*MAP_OPTIONS, WINDOW)
"""Options under which calls are mediated: what is mapped is brought in line with storage at each."""


@frozen
class Variant:
    """Linking option; and direct calls, the sync policy of `copied`, or the exclusive one of `paged` and `aliased`."""

    link: str
    sync: SyncPolicy | None = None
    exclusive: ExclusivePolicy | None = None
    direct: bool = False

    def __str__(self) -> str:
        policy = CallMode.DIRECT if self.direct else self.sync or self.exclusive
        return self.link if policy is None else f"{self.link}, {policy}"


@frozen
class Compared:
    """Result of a scenario under one variant.

    Attributes:
        variant: The variant.
        result: The result of one run.
        costs: The sum of the costs of all transactions.
        pages_touched: Pages of 4 KiB that were read or written, or ``None`` if the write tracker cannot know.
        hazards: The number of hazards of each kind, or ``None`` where nobody stands between the calls to see them.
            Those of undone calls count: they may be why these failed.
        seconds: The time of all transactions, as the median of several rounds.
        differences: Differences from the first variant, in words.
    """

    variant: Variant
    result: ScenarioResult
    costs: Costs
    pages_touched: int | None
    hazards: Mapping[HazardKind, int] | None
    seconds: float
    differences: tuple[str, ...]

    @property
    def gas(self) -> int:
        """Gas that all transactions used."""
        return sum(each.receipt.gas_used for each in self.result.transactions if each.receipt is not None)


@frozen
class Comparison:
    """Results of a scenario under several variants, each compared with the first.

    Attributes:
        scenario: The scenario.
        compared: The variants under which it can run.
        refused: Why it cannot run under the others.
    """

    scenario: Scenario
    compared: tuple[Compared, ...]
    refused: Mapping[Variant, str]


def variants(
    links: Sequence[str] = (),
    syncs: Sequence[SyncPolicy] = (),
    exclusives: Sequence[ExclusivePolicy] = (),
    calls: Collection[CallMode] = (CallMode.MEDIATED,),
) -> list[Variant]:
    """Return the variants of some options and policies, with contract calls made in some modes.

    By default of all, but for the exclusive policy `call`: what it refuses in a contract has nothing to do with calls.
    """
    if CallMode.MEDIATED not in calls:
        return [Variant(link, direct=True) for link in links or option_names() if link not in _MAPPED]
    found = []
    for link in links or option_names():
        if link == "copied":
            found += [Variant(link, sync) for sync in syncs or SyncPolicy]
        elif link in FRAME_OPTIONS:
            found += [Variant(link, None, exclusive) for exclusive in exclusives or (None, ExclusivePolicy.TRANSACTION)]
        else:
            found.append(Variant(link))
            if CallMode.DIRECT in calls and link not in _MAPPED:
                found.append(Variant(link, direct=True))
    return found


def compare_scenario(scenario: Scenario, wanted: Sequence[Variant], *, tracker: str | None = None) -> Comparison:
    """Run a scenario under each variant, several times in turns, and compare the results.

    Raises:
        ScenarioError: It can run under none of the variants.
    """
    scenario = compile_scenario(scenario)
    refused: dict[Variant, str] = {}
    runs: dict[Variant, list[tuple[ScenarioResult, World]]] = {}
    for _ in range(_ROUNDS):
        for variant in wanted:
            if variant in refused:
                continue
            if variant.direct and any(each.at == "boundaries" for each in scenario.invariants):
                refused[variant] = "an invariant is about call boundaries, which mediated calls alone show"
                continue
            if variant.direct:
                world = World(calls=CallMode.DIRECT, tracker=tracker)
            else:
                world = World(trace="pages", tracker=tracker)
            try:
                result = run_scenario(
                    scenario, link=variant.link, sync=variant.sync, exclusive=variant.exclusive, world=world
                )
            except ScenarioError as error:
                if not isinstance(error.cause, ValidationError):  # the variant is not the cause
                    raise
                refused[variant] = str(error)
                continue
            if variant.direct and not world.direct_runs.completed:
                refused[variant] = "no transaction ran whole with direct calls"
                continue
            runs.setdefault(variant, []).append((result, world))
    if not runs:
        raise ScenarioError(next(iter(refused.values()), "no linking option is named"))
    first = next(iter(runs.values()))[0]
    return Comparison(
        scenario, tuple(_compared(scenario, variant, rounds, first) for variant, rounds in runs.items()), refused
    )


def _compared(
    scenario: Scenario,
    variant: Variant,
    rounds: Sequence[tuple[ScenarioResult, World]],
    first: tuple[ScenarioResult, World],
) -> Compared:
    result, world = rounds[0]
    receipts = [each.receipt for each in result.transactions if each.receipt is not None]
    traces = [receipt.trace for receipt in receipts if receipt.trace is not None]
    touched = [trace.pages_touched for trace in traces]
    differences = () if rounds[0] is first else tuple(_differences(scenario, (result, world), first))
    return Compared(
        variant=variant,
        result=result,
        costs=Costs(
            instances=sum(receipt.costs.instances for receipt in receipts),
            host_calls=sum(receipt.costs.host_calls for receipt in receipts),
            bytes_copied=sum(receipt.costs.bytes_copied for receipt in receipts),
            pages_written=sum(receipt.costs.pages_written for receipt in receipts),
        ),
        pages_touched=sum(touched) if any(touched) else None,
        hazards=None if variant.direct else Counter(hazard.kind for trace in traces for hazard in trace.hazards),
        seconds=statistics.median(sum(each.seconds for each in run.transactions) for run, _ in rounds),
        differences=differences,
    )


def _differences(
    scenario: Scenario, ours: tuple[ScenarioResult, World], first: tuple[ScenarioResult, World]
) -> Iterator[str]:
    """Describe the differences from the first variant."""
    (result, world), (first_result, first_world) = ours, first
    under = f"under {Variant(first_result.link, first_result.sync, first_result.exclusive)}"
    for here, there in zip(result.transactions, first_result.transactions, strict=True):
        if _ending(here) != _ending(there):
            yield f'"{here.title}" {_ending(here)}; {under} it {_ending(there)}'
    for name in scenario.contracts:
        address = scenario.address(name)
        storage, first_storage = contents(world, address), contents(first_world, address)
        if DEFAULT_REGION not in storage or DEFAULT_REGION not in first_storage:
            continue
        regions = storage[DEFAULT_REGION], first_storage[DEFAULT_REGION]
        length = max(map(len, regions))
        found, wanted = (region[0:length].ljust(length, b"\0") for region in regions)
        if found != wanted:
            offset = next(
                start for start in range(0, length, 8) if found[start : start + 8] != wanted[start : start + 8]
            )
            numbers = [int.from_bytes(data[offset : offset + 8], "little", signed=True) for data in (found, wanted)]
            yield (f"{name} {DEFAULT_REGION}[{offset:#x}] is {numbers[0]} at the end; {under} it is {numbers[1]}")
        if world.account(address).balance != first_world.account(address).balance:
            balances = world.account(address).balance, first_world.account(address).balance
            yield f"{name} has a balance of {balances[0]:,} at the end; {under} of {balances[1]:,}"


def _ending(transaction: TransactionResult) -> str:
    """Describe how a transaction ended, independent of gas and of the linking option."""
    receipt = transaction.receipt
    if receipt is None:
        return "was refused"
    if not receipt.ok:
        return f"ended {receipt.outcome.name.lower()} ({type(receipt.error).__name__})"
    gave = [] if receipt.value is None else [str(receipt.value)]
    gave += [f"0x{receipt.output.hex()}"] if receipt.output else []
    logs = f" and {len(receipt.logs)} logs" if receipt.logs else ""
    return f"gave {' '.join(gave) or 'nothing'}{logs}"
