"""Explorations as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from storagemod.explore import Exploration, Violation
from storagemod.explore.coverage import Coverage
from storagemod.explore.saved import script_to_json
from storagemod.explore.script import calls_in, describe
from storagemod.report.json import receipt_to_json
from storagemod.report.table import render_table
from storagemod.types import Address

_SHOWN_MAX = 8
"""How many lengths, and how many depths, of tries are told in text; the JSON has all."""


def place_of(violation: Violation) -> str:
    """Describe where an invariant was broken."""
    breach = violation.breach
    if breach.transaction < 0:
        return "before anything was tried"
    number = f"transaction {breach.transaction + 1}"
    if breach.boundary is None:
        return f"after {number}"
    moment, call_id = breach.boundary
    return f"in {number}, at the {moment} of its call {call_id}"


def script_lines(exploration: Exploration, violation: Violation) -> list[str]:
    """Describe the script that breaks an invariant, a line for each call and reaction."""
    return describe(violation.script, exploration.labels)


def replay_lines(exploration: Exploration) -> Iterator[str]:
    """Yield what became of the attacks and tries that were known."""
    kept = exploration.kept
    for each in kept.replayed:
        what = {
            "breaks it": f"known attack still breaks: {each.invariant}",
            "mended": f"mended: a known attack no longer breaks: {each.invariant} (it is kept)",
            "not run": f"known attack was not run, for lack of time: {each.invariant}",
        }.get(each.status)
        yield what or f"known attack does not fit and is left alone: {each.invariant}: {each.why}"
    if kept.resumed is not None:
        yield f"resumed from {kept.resumed:,} {_tries(kept.resumed)} that met something new"
        if kept.unfit:
            yield f"{kept.unfit:,} saved {_tries(kept.unfit)} do not fit the scenario, and were left out"


def _tries(count: int) -> str:
    return "try" if count == 1 else "tries"


def coverage_tables(exploration: Exploration) -> Iterator[tuple[str, str]]:
    """Yield what was tried and what was not, as tables with their titles."""
    coverage, label = exploration.found.coverage, exploration.labels
    entries = len(coverage.entry_points)
    sites = [
        [
            f"{label.get(caller, str(caller))} to {label.get(account, str(account))}::{method}",
            "static" if static else "yes",
            "none: nothing could change" if static else f"{count} of {entries}",
        ]
        for (caller, account, method, static), count in coverage.call_sites.items()
    ]
    if sites:
        yield "call sites", render_table(("call site", "can write", "entry points called back"), sites)
    rows: list[list[str | int]] = []
    for (contract, method), each in coverage.entry_points.items():
        name = f"{label.get(contract, str(contract))}::{method}"
        taken = f"{each.taken:,} of {each.possible:,}"
        rows.append([name, each.sent, each.called_back, each.succeeded, each.changed, each.failed, taken])
    head = ("entry point", "transactions", "calls back", "succeeded", "changed", "failed", "arguments taken")
    yield "entry points", render_table(head, rows)


def coverage_lines(exploration: Exploration) -> Iterator[str]:
    """Yield what was tried and what was not, in sentences."""
    coverage, settings, found = exploration.found.coverage, exploration.settings, exploration.found
    lengths = _first(f"{count:,} of {_calls(calls)}" for calls, count in coverage.by_calls.items())
    depths = _first(f"{count:,} at depth {depth}" for depth, count in coverage.by_depth.items())
    tried, possible = coverage.nestings
    yield f"tried: {found.tries:,}" + (f" ({lengths}; calls back: {depths})" if lengths else "")
    yield f"nestings of a call site and an entry point: {tried} of {possible} tried"
    yield f"ended: {found.ended}"
    for number, what in (
        (coverage.left, "places in them where one more decision was not made"),
        (coverage.too_long, f"have {_calls(settings.calls)} already, and longer ones were not tried (--calls)"),
        (coverage.too_deep, f"times calling back would have been deeper than {settings.depth} (--depth)"),
        (coverage.idle, "changed nothing, and were not gone on from"),
        (coverage.alike, "led to a state that another one had led to, and were not followed by transactions"),
    ):
        if number:
            yield f"{number:,} {what}"
    for reason, number in coverage.refused.items():
        yield f"{number:,} could not be run to their end: {reason}"
    if coverage.static:
        yield f"{coverage.static:,} call sites are in static calls, from where calls back change nothing: not tried"
    for address, (ran, count) in coverage.blocks.items():
        yield f"blocks of code of {exploration.labels.get(address, address)} that ran: {ran:,} of {count:,}"
    if coverage.complete:
        yield "nothing is left within these bounds, with these arguments"


def _first(parts: Iterable[str]) -> str:
    """Join the first few, and say whether there are more."""
    several = list(parts)
    return ", ".join(several[:_SHOWN_MAX]) + (", and more" if len(several) > _SHOWN_MAX else "")


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"


def exploration_to_json(exploration: Exploration, *, timed: bool) -> dict[str, Any]:
    """Return an exploration as a JSON document."""
    found, settings = exploration.found, exploration.settings
    body: dict[str, Any] = {
        "path": exploration.scenario.path,
        "name": exploration.scenario.name,
        "ok": exploration.ok,
        "settings": {
            "link": settings.link,
            "sync": None if settings.sync is None else settings.sync.value,
            "exclusive": None if settings.exclusive is None else settings.exclusive.value,
            "policy": settings.policy.value,
            "calls": settings.calls,
            "depth": settings.depth,
            "tries": settings.tries,
            "seconds": settings.seconds,
            "seed": settings.seed,
            "arguments": settings.arguments,
            "gas": settings.gas,
            "boundaries": settings.everywhere,
            "profit": settings.profit,
        },
        "trusted": list(exploration.trust_model.trusted),
        "untrusted": list(exploration.trust_model.untrusted),
        "transactions_before": exploration.setup,
        "transactions": len(exploration.scenario.transactions),
        "invariants": list(exploration.invariants),
        "verdicts": dict(exploration.verdicts),
        "caveats": [{"text": each.text, "serious": each.is_serious} for each in exploration.caveats],
        "violations": [_violation(exploration, each) for each in exploration.violations],
        "replayed": [
            {
                "invariant": each.invariant,
                "status": each.status,
                "why": each.why,
                "script": script_to_json(each.script),
                "words": describe(each.script, exploration.labels),
            }
            for each in exploration.kept.replayed
        ],
        "resumed": exploration.kept.resumed,
        "unfit": exploration.kept.unfit,
        "saved": [str(path) for path in exploration.kept.saved],
        "tries": found.tries,
        "tries_to_shrink": found.shrinking,
        "ended": found.ended,
        "coverage": _coverage(found.coverage),
    }
    if timed:
        body |= {"seconds": found.seconds, "tries_per_second": found.tries / max(found.seconds, 1e-9)}
    return body


def _violation(exploration: Exploration, violation: Violation) -> dict[str, Any]:
    breach = violation.breach
    return {
        "invariant": violation.invariant,
        "expr": violation.text,
        "why": list(breach.why),
        "transaction": None if breach.transaction < 0 else breach.transaction,
        "boundary": None if breach.boundary is None else {"moment": breach.boundary[0], "call": breach.boundary[1]},
        "needs_callback": violation.needs_callback,
        "calls": calls_in(violation.script),
        "calls_found": calls_in(violation.found),
        "script": script_to_json(violation.script),
        "words": script_lines(exploration, violation),
        "receipts": [receipt_to_json(receipt) for receipt in violation.receipts],
    }


def _coverage(coverage: Coverage) -> dict[str, Any]:
    def site(key: tuple[Address, Address, str, bool]) -> dict[str, Any]:
        caller, account, method, static = key
        return {"caller": str(caller), "account": str(account), "method": method, "static": static}

    tried, possible = coverage.nestings
    return {
        "complete": coverage.complete,
        "call_sites": [
            site(key) | {"called_back": count, "possible": len(coverage.entry_points)}
            for key, count in coverage.call_sites.items()
        ],
        "entry_points": [
            {
                "contract": str(contract),
                "method": method,
                "transactions": each.sent,
                "calls_back": each.called_back,
                "succeeded": each.succeeded,
                "changed": each.changed,
                "failed": each.failed,
                "arguments_taken": each.taken,
                "arguments_possible": each.possible,
            }
            for (contract, method), each in coverage.entry_points.items()
        ],
        "nestings": {"tried": tried, "possible": possible},
        "by_calls": [{"calls": calls, "tries": count} for calls, count in coverage.by_calls.items()],
        "by_depth": [{"depth": depth, "tries": count} for depth, count in coverage.by_depth.items()],
        "left": coverage.left,
        "too_long": coverage.too_long,
        "too_deep": coverage.too_deep,
        "idle": coverage.idle,
        "alike": coverage.alike,
        "static": coverage.static,
        "out_of_gas": coverage.out_of_gas,
        "delegated": coverage.delegated,
        "created": coverage.created,
        "blocks": [
            {"contract": str(address), "ran": ran, "blocks": count} for address, (ran, count) in coverage.blocks.items()
        ],
        "refused": [{"reason": reason, "tries": count} for reason, count in coverage.refused.items()],
    }
