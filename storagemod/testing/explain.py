"""How two receipts, or two runs of storage, differ: by range, as a person wants to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from storagemod.events import StorageChange
from storagemod.pages import ZERO_PAGE, differing_bytes
from storagemod.testing.values import shown
from storagemod.world import Receipt, StorageBytes, StorageView

_COMPARED = ("outcome", "value", "output", "error", "gas_used", "logs", "changes", "costs", "created")
"""Attributes in which receipts that are not equal differ."""

_RANGES_SHOWN = 20
_WORD_BYTES = 8


def explain(left: object, right: object) -> list[str] | None:
    """Lines for a failed ``left == right``, the first a summary; ``None`` where it is about neither."""
    if isinstance(left, Receipt) and isinstance(right, Receipt):
        return ["the receipts differ", *_receipts(left, right)]
    if isinstance(left, StorageView | StorageBytes) or isinstance(right, StorageView | StorageBytes):
        return _storage(left, right)
    if _is_changes(left) and _is_changes(right):
        return ["the changes differ", *_changes(left, right)]
    return None


def _receipts(left: Receipt, right: Receipt) -> Iterator[str]:
    for name in _COMPARED:
        ours, theirs = getattr(left, name), getattr(right, name)
        if ours == theirs:
            continue
        if name == "error":
            if str(ours) == str(theirs) and type(ours) is type(theirs):
                continue
        elif name == "changes":
            yield from _changes(ours, theirs)
            continue
        yield f"  {name}: left {_brief(ours)}, right {_brief(theirs)}"


def _brief(value: object) -> str:
    if isinstance(value, bytes):
        return shown(value)
    if isinstance(value, Exception):
        return f"{type(value).__name__}: {value}"
    return repr(value)


def _is_changes(value: object) -> bool:
    return isinstance(value, Mapping) and any(
        isinstance(change, StorageChange) for runs in value.values() if isinstance(runs, tuple) for change in runs
    )


def _changes(left: object, right: object) -> Iterator[str]:
    """The ranges that were written otherwise, or by one only."""
    ours, theirs = (_by_place(each) for each in (left, right))
    for place in sorted(ours.keys() | theirs.keys()):
        (found, wanted) = (each.get(place) for each in (ours, theirs))
        if found != wanted:
            address, region, offset = place
            yield f"  changes of {address} {region}[{offset:#x}]: left {_change(found)}, right {_change(wanted)}"


def _by_place(changes: object) -> dict[tuple[str, str, int], tuple[bytes, bytes]]:
    """Changes by word: runs of the same words may be cut differently."""
    words: dict[tuple[str, str, int], tuple[bytes, bytes]] = {}
    if isinstance(changes, Mapping):
        for address, runs in changes.items():
            for run in runs:
                for at in range(0, len(run.old), _WORD_BYTES):
                    cut = slice(at, at + _WORD_BYTES)
                    words[str(address), run.region, run.offset + at] = (run.old[cut], run.new[cut])
    return words


def _change(change: tuple[bytes, bytes] | None) -> str:
    return "none" if change is None else f"{shown(change[0])} -> {shown(change[1])}"


def _storage(left: object, right: object) -> list[str] | None:
    place = next(each for each in (left, right) if isinstance(each, StorageView | StorageBytes))
    region, start = place.region, place.offset if isinstance(place, StorageBytes) else 0
    if not all(isinstance(each, StorageView | bytes | bytearray) for each in (left, right)):
        return None
    found = [
        (start + offset + low, start + offset + high, ours[low:high], theirs[low:high])
        for offset, ours, theirs in _parts(left, right)
        for low, high in _words(ours, theirs)
    ]
    lines = [
        f"  {region}[{low:#x}..{high:#x}]: left {shown(ours)}, right {shown(theirs)}"
        for low, high, ours, theirs in found[:_RANGES_SHOWN]
    ]
    if len(found) > _RANGES_SHOWN:
        lines.append(f"  … and {len(found) - _RANGES_SHOWN:,} more ranges")
    lengths = [len(each) for each in (left, right) if isinstance(each, StorageView | bytes | bytearray)]
    if lengths[0] != lengths[1]:
        lines.append(f"  left is {lengths[0]:,} bytes long, right {lengths[1]:,}")
    count = "1 range" if len(found) == 1 else f"{len(found):,} ranges"
    return [f"{region}[{start:#x}..{start + lengths[0]:#x}] differs in {count}", *lines]


def _parts(left: object, right: object) -> Iterator[tuple[int, bytes, bytes]]:
    """Offsets and bytes to compare. Of two regions only the pages that hold something: they can be 4 GiB long."""
    if isinstance(left, StorageView) and isinstance(right, StorageView):
        ours, theirs = dict(left.data()), dict(right.data())
        for offset in sorted(ours.keys() | theirs.keys()):
            end = min(len(left), len(right)) - offset
            if end > 0:
                yield offset, ours.get(offset, ZERO_PAGE)[:end], theirs.get(offset, ZERO_PAGE)[:end]
        return
    both = [
        each[:] if isinstance(each, StorageView) else bytes(each)
        for each in (left, right)
        if isinstance(each, StorageView | bytes | bytearray)
    ]
    shared = min(map(len, both))
    yield 0, both[0][:shared], both[1][:shared]


def _words(left: bytes, right: bytes) -> Iterator[tuple[int, int]]:
    """Differing ranges, widened to the words that they lie in, and joined where these touch."""
    last: tuple[int, int] | None = None
    for low, high in differing_bytes(left, right):
        word = (low // _WORD_BYTES * _WORD_BYTES, min(-(-high // _WORD_BYTES) * _WORD_BYTES, len(left)))
        if last is not None and word[0] <= last[1]:
            last = (last[0], max(last[1], word[1]))
            continue
        if last is not None:
            yield last
        last = word
    if last is not None:
        yield last
