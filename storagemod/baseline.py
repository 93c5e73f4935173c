"""Baselines: golden files with a line for each transaction of scenarios under each linking option.

The lines are ordered, so a diff of two files shows what changed and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from attrs import frozen

from storagemod.errors import ScenarioError, StorageModError, ValidationError
from storagemod.pages import choose_backend, why_not_shared
from storagemod.scenario import Scenario, TransactionResult, deploy_scenario, run_transaction
from storagemod.scenario.compare import Variant, answer_of
from storagemod.scenario.deploy import compile_scenario
from storagemod.vm import Aliased
from storagemod.world import World

__all__ = [
    "BaselineRun",
    "Change",
    "Entry",
    "changes_between",
    "line_of",
    "parse_snapshot",
    "render_snapshot",
    "take_snapshot",
]

_FIRST_LINE = "# storagemod snapshot 2"
_VERSION_1 = "# storagemod snapshot 1"
"""Files of this version have no answers, and are read."""
_COLUMNS = (
    "# scenario | transaction | linking | outcome | answer | gas | pages touched | pages written | host calls "
    "| state root"
)
_SEPARATOR = " | "
_FIELDS = _COLUMNS.count(_SEPARATOR) + 1
_ANSWER = 4
_NUMBER = re.compile(r"(\d{1,3}(?:,\d{3})*) (gas|touched|written|host calls)")
_UNKNOWN = "- touched"
_NO_ANSWER = "-"
_ROOT = re.compile(r"0x[0-9a-f]{64}")
_OUTCOMES = ("ok", "failed", "reverted", "refused")
_COUNTS = {"gas": "gas", "touched": "pages touched", "written": "pages written", "host_calls": "host calls"}

Key: TypeAlias = tuple[str, str, str]
"""File, transaction and variant."""


@frozen
class Entry:
    """Result of one transaction under one variant.

    Attributes:
        path: The scenario file, or the name of a scenario that ships with the package.
        title: The transaction. The second of several with one title ends in ``#2``.
        variant: The linking option, with the sync policy of `copied` or the exclusive policy of `paged` or `aliased`.
        outcome: ``ok``, ``failed``, ``reverted``, or ``refused`` for a transaction that could not start.
        gas: Gas used.
        touched: Pages of 4 KiB that were read or written, or ``None`` if the write tracker cannot know.
        written: Pages of 4 KiB that differ at the end.
        host_calls: Calls from contracts into the host.
        state_root: The digest of the world after the transaction, 32 bytes.
        answer: Values, output, logs and error in words, as :func:`storagemod.scenario.compare.answer_of` has them; or
            ``None`` if the file is of a version that had none.
    """

    path: str
    title: str
    variant: str
    outcome: str
    gas: int
    touched: int | None
    written: int
    host_calls: int
    state_root: bytes
    answer: str | None = None

    @property
    def key(self) -> Key:
        """File, transaction and variant, which no other entry of the file shares."""
        return self.path, self.title, self.variant


@frozen
class BaselineRun:
    """Entries from one run of scenarios on this machine.

    Attributes:
        entries: One for each transaction and variant.
        refused: Why a scenario cannot run under a variant, or not to its end, by path and variant.
        unavailable: Why a variant does not work on this machine, by variant.
    """

    entries: tuple[Entry, ...]
    refused: Mapping[tuple[str, str], str]
    unavailable: Mapping[str, str]


@frozen
class Change:
    """Change of one entry between two baselines.

    Attributes:
        kind: Whether the entry is new, gone or different.
        key: The entry's key.
        old: The entry before; ``None`` for a new one.
        new: The entry now; ``None`` for one that is gone.
        details: The fields that changed, in words; empty for entries that are new or gone.
    """

    kind: Literal["added", "removed", "changed"]
    key: Key
    old: Entry | None
    new: Entry | None
    details: tuple[str, ...] = ()


def take_snapshot(
    scenarios: Mapping[str, Scenario], wanted: Sequence[Variant], *, tracker: str | None = None
) -> BaselineRun:
    """Run scenarios under variants, and make an entry of each transaction.

    Args:
        scenarios: By the path that entries name.
        wanted: The variants. A scenario runs under those that it can run under.
        tracker: As for :class:`storagemod.World`.

    Raises:
        ScenarioError: A scenario can run under no variant: it has a mistake, or fits none.
    """
    backend = choose_backend(tracker)
    reason = why_not_shared(backend)
    unavailable = {} if reason is None else {variant: reason for variant in wanted if variant.link == Aliased.name}
    available = [variant for variant in wanted if variant not in unavailable]
    entries: list[Entry] = []
    refused: dict[tuple[str, str], str] = {}
    for path, source in scenarios.items():
        scenario = compile_scenario(source)
        reasons = {}
        for variant in available:
            with World(trace="pages", tracker=tracker) as world:
                try:
                    deploy_scenario(scenario, world, link=variant.link, sync=variant.sync, exclusive=variant.exclusive)
                    for number, title in enumerate(scenario.unique_titles()):
                        result = run_transaction(world, scenario, number)
                        key = (path, title, str(variant))
                        entries.append(_entry(key, result, world.state_root, knows_reads=backend.knows_reads))
                except StorageModError as error:  # other variants may do; a mistake in the file is one under all
                    reasons[path, str(variant)] = str(error)
        if reasons and len(reasons) == len(available):
            raise ScenarioError(next(iter(reasons.values())))
        refused |= reasons
    return BaselineRun(tuple(entries), refused, {str(variant): why for variant, why in unavailable.items()})


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
        answer=answer_of(result),
    )


def changes_between(old: Iterable[Entry], new: Iterable[Entry], *, tolerance_percent: float = 0) -> tuple[Change, ...]:
    """Compare two baselines and return the entries that differ, in order.

    Args:
        old: Entries before.
        new: Entries now.
        tolerance_percent: How far gas, pages and host calls may differ from before. Outcomes, answers and state roots
            must be equal.
    """
    before, after = ({entry.key: entry for entry in entries} for entries in (old, new))
    changes = []
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        if was is None:
            changes.append(Change("added", key, None, now))
        elif now is None:
            changes.append(Change("removed", key, was, None))
        elif details := _details(was, now, tolerance_percent):
            changes.append(Change("changed", key, was, now, details))
    return tuple(changes)


def _details(was: Entry, now: Entry, tolerance_percent: float) -> tuple[str, ...]:
    details = []
    if was.outcome != now.outcome:
        details.append(f"outcome {was.outcome} -> {now.outcome}")
    if was.answer != now.answer:
        old_answer, new_answer = ("(not in the file)" if each.answer is None else each.answer for each in (was, now))
        details.append(f"answer {old_answer} -> {new_answer}")
    for name, what in _COUNTS.items():
        old, new = getattr(was, name), getattr(now, name)
        if old is None or new is None:  # the write tracker of one machine could not know
            continue
        if abs(new - old) * 100 > old * tolerance_percent:
            ratio = f" ({100 * (new - old) / old:+.1f} %)" if old else ""
            details.append(f"{what} {old:,} -> {new:,}{ratio}")
    if was.state_root != now.state_root:
        details.append(f"state root 0x{was.state_root.hex()[:8]}… -> 0x{now.state_root.hex()[:8]}…")
    return tuple(details)


def render_snapshot(entries: Iterable[Entry]) -> str:
    """Render a baseline as text: the same bytes for the same entries."""
    lines = [_FIRST_LINE, _COLUMNS, *sorted(map(line_of, entries))]
    return "\n".join(lines) + "\n"


def line_of(entry: Entry) -> str:
    """Render one entry as a line."""
    return _SEPARATOR.join(
        [
            *(_escaped(field) for field in entry.key),
            entry.outcome,
            _NO_ANSWER if entry.answer is None else _escaped(entry.answer),
            f"{entry.gas:,} gas",
            _UNKNOWN if entry.touched is None else f"{entry.touched:,} touched",
            f"{entry.written:,} written",
            f"{entry.host_calls:,} host calls",
            f"0x{entry.state_root.hex()}",
        ]
    )


def parse_snapshot(text: str, *, path: str) -> tuple[Entry, ...]:
    """Parse the text of a baseline.

    Args:
        text: Output of :func:`render_snapshot`.
        path: The name of the file, for messages.

    Raises:
        ValidationError: A line is not an entry, or repeats the key of another; the message has the line's number.
    """
    lines = text.splitlines()
    if not lines or lines[0] not in (_FIRST_LINE, _VERSION_1):
        raise ValidationError(f"{path}: no snapshot: its first line is not {_FIRST_LINE!r}")
    entries: dict[Key, Entry] = {}
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        try:
            entry = _parse_line(line, with_answer=lines[0] == _FIRST_LINE)
        except ValueError as error:
            hint = "a merge may have left this; write it anew: storagemod snapshot PATH..."
            raise ValidationError(f"{path}:{number}: no entry of a snapshot: {error}", hint=hint) from error
        if entry.key in entries:
            raise ValidationError(f"{path}:{number}: a second entry of {_SEPARATOR.join(entry.key)}")
        entries[entry.key] = entry
    return tuple(entries.values())


def _parse_line(line: str, *, with_answer: bool) -> Entry:
    fields, wanted = line.split(_SEPARATOR), _FIELDS if with_answer else _FIELDS - 1
    if len(fields) != wanted:
        raise ValueError(f"{wanted} parts between bars are wanted, found {len(fields)}")
    answer = fields.pop(_ANSWER) if with_answer else _NO_ANSWER
    path, title, variant, outcome, gas, touched, written, host_calls, root = fields
    if outcome not in _OUTCOMES:
        raise ValueError(f"{outcome!r} is none of {', '.join(_OUTCOMES)}")
    if not _ROOT.fullmatch(root):
        raise ValueError(f"{root!r} is no state root, 0x and 64 digits")
    return Entry(
        path=_unescaped(path),
        title=_unescaped(title),
        variant=_unescaped(variant),
        outcome=outcome,
        gas=_parse_number(gas, "gas"),
        touched=None if touched == _UNKNOWN else _parse_number(touched, "touched"),
        written=_parse_number(written, "written"),
        host_calls=_parse_number(host_calls, "host calls"),
        state_root=bytes.fromhex(root[2:]),
        answer=None if answer == _NO_ANSWER else _unescaped(answer),
    )


def _parse_number(field: str, what: str) -> int:
    found = _NUMBER.fullmatch(field)
    if found is None or found[2] != what:
        raise ValueError(f"{field!r} is no number of {what}, like '1,234 {what}'")
    return int(found[1].replace(",", ""))


def _escaped(field: str) -> str:
    """Escape bars, and a leading ``#``, which would start a comment."""
    field = field.replace("\\", "\\\\").replace("|", "\\|")
    return f"\\{field}" if field.startswith("#") else field


def _unescaped(field: str) -> str:
    return re.sub(r"\\(.)", r"\1", field)
