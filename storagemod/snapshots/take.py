"""Running scenarios under every variant, and writing down what each transaction came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from storagemod.errors import ScenarioError, ValidationError
from storagemod.pages import choose_backend, why_not_shared
from storagemod.scenario import Scenario, TransactionResult, deploy_scenario, run_transaction
from storagemod.scenario.compare import Variant
from storagemod.scenario.titles import unique_titles
from storagemod.snapshots.entry import Entry, Key
from storagemod.vm import Aliased
from storagemod.world import World


@frozen
class Taken:
    """A snapshot, as it was taken here.

    Attributes:
        entries: One for each transaction and variant.
        refused: By path and variant, why a scenario cannot run under it: its contracts are made for another.
        unavailable: Why variants do not work on this machine.
    """

    entries: tuple[Entry, ...]
    refused: Mapping[tuple[str, str], str]
    unavailable: Mapping[str, str]


def take_snapshot(scenarios: Mapping[str, Scenario], wanted: Sequence[Variant], *, tracker: str | None = None) -> Taken:
    """Run scenarios under variants.

    Args:
        scenarios: By the path that entries name.
        wanted: The variants, of which each scenario is run under those that it can be built for.
        tracker: As for :class:`storagemod.World`.

    Raises:
        ScenarioError: One can run under none of them, or a transaction cannot start and was not expected to fail.
    """
    unavailable = _unavailable(wanted, tracker)
    entries: list[Entry] = []
    refused: dict[tuple[str, str], str] = {}
    for path, scenario in scenarios.items():
        ran = False
        for variant in wanted:
            if str(variant) in unavailable:
                continue
            try:
                entries += _entries(path, scenario, variant, tracker)
                ran = True
            except _RefusedError as error:
                refused[path, str(variant)] = str(error)
        if not ran and len(unavailable) < len(wanted):
            raise ScenarioError(next(reason for (name, _), reason in refused.items() if name == path))
    return Taken(tuple(entries), refused, unavailable)


class _RefusedError(Exception):
    """A scenario cannot be built for a variant."""


def _unavailable(wanted: Sequence[Variant], tracker: str | None) -> dict[str, str]:
    reason = why_not_shared(choose_backend(tracker))
    return {} if reason is None else {str(variant): reason for variant in wanted if variant.link == Aliased.name}


def _entries(path: str, scenario: Scenario, variant: Variant, tracker: str | None) -> list[Entry]:
    with World(trace="pages", tracker=tracker) as world:
        try:
            deploy_scenario(scenario, world, link=variant.link, sync=variant.sync)
        except ScenarioError as error:
            if isinstance(error.cause, ValidationError):  # a matter of the variant
                raise _RefusedError(str(error)) from error
            raise
        knows_reads = choose_backend(tracker).knows_reads
        entries = []
        for number, title in enumerate(unique_titles(scenario)):
            key = (path, title, str(variant))
            result = run_transaction(world, scenario, number)
            entries.append(_entry(key, result, world.state_root, knows_reads=knows_reads))
        return entries


def _entry(key: Key, result: TransactionResult, state_root: bytes, *, knows_reads: bool) -> Entry:
    receipt = result.receipt
    touched = None
    if knows_reads:
        touched = 0 if receipt is None or receipt.trace is None else receipt.trace.pages_touched
    return Entry(
        *key,
        outcome="refused" if receipt is None else receipt.outcome.name.lower(),
        gas=0 if receipt is None else receipt.gas_used,
        touched=touched,
        written=0 if receipt is None else receipt.costs.pages_written,
        host_calls=0 if receipt is None else receipt.costs.host_calls,
        state_root=state_root,
    )
