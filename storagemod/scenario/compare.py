"""Run one scenario under every linking option and policy, and compare the results."""

from __future__ import annotations

import hashlib
import statistics
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import zip_longest

from attrs import frozen

from storagemod.errors import ScenarioError, StorageModError, one_line
from storagemod.events import Log
from storagemod.scenario.contents import Bytes, contents, gone
from storagemod.scenario.deploy import compile_scenario
from storagemod.scenario.run import ScenarioResult, TransactionResult, run_scenario
from storagemod.scenario.schema import Scenario
from storagemod.state import NO_ACCOUNT
from storagemod.trace import HazardKind
from storagemod.types import FRAME_OPTIONS, MAP_OPTIONS, CallMode, ExclusivePolicy, SyncPolicy
from storagemod.vm import WINDOW, Costs, option_names
from storagemod.world import World

_ROUNDS = 3
_LOGS_SHOWN = 8
_LOGS_WRITTEN = 2
_BYTES_SHOWN = 64

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
        return [Variant(link, direct=True) for link in links or option_names() if links or link not in _MAPPED]
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
            if variant.direct and variant.link in _MAPPED:
                refused[variant] = "calls are mediated where storage is mapped: each brings it in line"
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
            except StorageModError as error:  # other variants may do; a mistake in the file is one under all of them
                refused[variant] = str(error)
                runs.pop(variant, None)
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
    """Describe the differences from the first variant: all that receipts hold but costs, and the state at the end."""
    (result, world), (first_result, first_world) = ours, first
    under = f"under {Variant(first_result.link, first_result.sync, first_result.exclusive)}"
    for here, there in zip(result.transactions, first_result.transactions, strict=True):
        title = one_line(here.title)
        if _ending(here) != _ending(there):
            yield f'"{title}" {_ending(here)}; {under} it {_ending(there)}'
        if here.receipt is not None and there.receipt is not None and here.receipt.ok and there.receipt.ok:
            yield from _log_differences(title, here.receipt.logs, there.receipt.logs, world, under)
    for name in scenario.contracts:
        address = scenario.address(name)
        lost = [gone(each, address, name) is not None for each in (world, first_world)]
        if not any(lost):
            yield from _storage_differences(name, contents(world, address), contents(first_world, address), under)
        elif lost[0] != lost[1]:
            yield f"{name} is {'destroyed' if lost[0] else 'there'} at the end; {under} it is not"
    labels = {address: name for name, address in scenario.addresses.items()}
    accounts, first_accounts = world.accounts(), first_world.accounts()
    for address in sorted(accounts.keys() | first_accounts.keys()):
        found, wanted = (each.get(address, NO_ACCOUNT) for each in (accounts, first_accounts))
        name = labels.get(address) or world.label(address)
        if found.balance != wanted.balance:
            yield f"{name} has a balance of {found.balance:,} at the end; {under} of {wanted.balance:,}"
        if found.nonce != wanted.nonce and (found.code or wanted.code):  # others count transactions, which are compared
            yield f"{name} has the nonce {found.nonce:,} at the end; {under} {wanted.nonce:,}"
        if address not in labels and bool(found.code) != bool(wanted.code):
            is_one, was_one = ("a contract" if each.code else "no contract" for each in (found, wanted))
            yield f"{name} is {is_one} at the end; {under} it is {was_one}"


def _storage_differences(
    name: str, storage: Mapping[str, Bytes], first_storage: Mapping[str, Bytes], under: str
) -> Iterator[str]:
    """Describe the first difference in each region that both have. The table of keyed storage is shown as linear."""
    for region in sorted(storage.keys() & first_storage.keys()):
        regions = storage[region], first_storage[region]
        length = max(map(len, regions))
        found, wanted = (each[0:length].ljust(length, b"\0") for each in regions)
        if found != wanted:
            offset = next(
                start for start in range(0, length, 8) if found[start : start + 8] != wanted[start : start + 8]
            )
            numbers = [int.from_bytes(data[offset : offset + 8], "little", signed=True) for data in (found, wanted)]
            yield f"{name} {region}[{offset:#x}] is {numbers[0]} at the end; {under} it is {numbers[1]}"


def _log_differences(
    title: str, logs: Sequence[Log], first_logs: Sequence[Log], world: World, under: str
) -> Iterator[str]:
    """Describe the logs that differ, a few of them."""
    pairs = list(zip_longest(logs, first_logs))
    different = [number for number, (here, there) in enumerate(pairs) if here != there]
    for number in different[:_LOGS_SHOWN]:
        here, there = (_log(each, world) for each in pairs[number])
        yield f'"{title}": log {number} is {here}; {under} it is {there}'
    if len(different) > _LOGS_SHOWN:
        yield f'"{title}": {len(different) - _LOGS_SHOWN:,} more logs differ'


def _log(log: Log | None, world: World) -> str:
    if log is None:
        return "none"
    topics = [f"topic {_bytes(topic)}" for topic in log.topics]
    return ", ".join([one_line(world.label(log.address)), *topics, f"data {_bytes(log.data)}"])


def _bytes(data: bytes) -> str:
    """Format bytes so that different ones look different: long ones by their digest."""
    if len(data) <= _BYTES_SHOWN:
        return f"0x{data.hex()}"
    return f"of {len(data):,} bytes with sha256 {hashlib.sha256(data).hexdigest()[:16]}"


def answer_of(transaction: TransactionResult) -> str:
    """Describe on one line what a transaction gave besides its outcome: values, output, logs, the error.

    Different answers have different lines: what is long is there as a digest.
    """
    receipt = transaction.receipt
    error = transaction.refused if receipt is None else receipt.error
    parts = [] if error is None else [one_line(f"{type(error).__name__}: {error}")]
    if receipt is not None:
        parts += [", ".join(map(repr, receipt.values))] if receipt.values else []
        parts += [f"output {_bytes(receipt.output)}"] if receipt.output else []
        parts += [] if receipt.created is None else [f"created {receipt.created}"]
        parts += _logs_in_words(receipt.logs)
    return "; ".join(parts) or "nothing"


def _logs_in_words(logs: Sequence[Log]) -> Iterator[str]:
    """Describe a few logs one by one, and many by their digest."""
    if len(logs) > _LOGS_WRITTEN:
        digest = hashlib.sha256()
        for log in logs:
            digest.update(b"%b%d:%d:" % (log.address, len(log.topics), len(log.data)))
            digest.update(b"".join(log.topics) + log.data)
        yield f"{len(logs):,} logs with sha256 {digest.hexdigest()[:16]}"
        return
    for log in logs:
        topics = "".join(f" topic {_bytes(topic)}" for topic in log.topics)
        yield f"log of {log.address}{topics} data {_bytes(log.data)}"


def _ending(transaction: TransactionResult) -> str:
    """Describe how a transaction ended, independent of gas and of the linking option. Logs are compared one by one."""
    receipt = transaction.receipt
    if receipt is None:
        return "was refused"
    if not receipt.ok:
        output = f" with output {_bytes(receipt.output)}" if receipt.output else ""
        return f"ended {receipt.outcome.name.lower()} ({type(receipt.error).__name__}){output}"
    gave = [] if receipt.value is None else [str(receipt.value)]
    gave += [_bytes(receipt.output)] if receipt.output else []
    return f"gave {' '.join(gave) or 'nothing'}"
