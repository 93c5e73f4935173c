"""Recording of what code did in one transaction: blocks that ran, accesses to storage, operands of comparisons.

Instrumented contracts record it themselves (:mod:`storagemod.wasm.instrument`). At the end of each call the machine
copies the used part of its log, and nothing else happens. It is decoded when somebody looks.

Calls that failed are recorded as well: what they read, compared and stored, although nothing of it lasts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from attrs import field, frozen

from storagemod.types import Address
from storagemod.wasm.instrument import ACCESS, CHANGED, COMPARISON, SAME, UNKNOWN, Instrumented

CALLED, MAPPED, SHOWN, BY_HOST, BY_HOST_MAPPED = range(5)
"""Kinds of marks."""

Mark: TypeAlias = tuple[Any, ...]
"""What happened between the accesses of a call: a position, a kind, and what belongs to that::

    (position, CALLED, call_id)                                    it made another call
    (position, MAPPED, memory_offset, storage_offset, length)      it mapped storage
    (position, SHOWN, ranges)                                      mapped ranges of the same form, all of them
    (position, BY_HOST, region, offset, length, write, effect)     a host function accessed storage for it
    (position, BY_HOST_MAPPED, memory_offset, length, write, effect)   the same, in the memory into which it is mapped

A position is the number of accesses that came before, in the log of the call.
"""

Range: TypeAlias = tuple[int, int, int]
"""Storage in a memory: offset in the memory, offset in storage, length."""

Decoded: TypeAlias = tuple[str, int, int, bool, int, int | None, int | None]
"""An access: region, offset, length, whether it writes, effect, number of the site, offset in mapped memory."""

_CHANGED: Final[Mapping[int, bool | None]] = {CHANGED: True, SAME: False, UNKNOWN: None}


@frozen(eq=False)
class RecordedCode:
    """Code that records.

    Attributes:
        made: What its log means: blocks and sites, with offsets in the module.
        regions: The region that each watched memory is, by memory index; those that functions access as -1.
        mapped: The region that is mapped into a memory.
        mapped_memories: Indices of the memories whose accesses are to mapped storage.
    """

    made: Instrumented = field(repr=False)
    regions: Mapping[int, str]
    mapped: str
    mapped_memories: frozenset[int]


class RecordedCall(NamedTuple):
    """Raw record of one call.

    Attributes:
        call_id: Its number in the transaction.
        parent_id: The number of the call that made it.
        address: The owner of the storage.
        code_address: The owner of the code.
        code: The code.
        ok: Whether it succeeded itself; calls above it may have failed.
        blocks: A byte for each block: 1 if it ran.
        comparisons: Entries of 20 bytes, ``COMPARISON``: site, left and right operand.
        accesses: Entries of 16 bytes, ``ACCESS``.
        marks: What happened between them.
        accesses_lost: How many accesses had no room.
        comparisons_lost: How many comparisons had no room, or came after the first eight of their site.
    """

    call_id: int
    parent_id: int | None
    address: Address
    code_address: Address
    code: RecordedCode
    ok: bool
    blocks: bytes
    comparisons: bytes
    accesses: bytes
    marks: tuple[Mark, ...]
    accesses_lost: int
    comparisons_lost: int


@frozen
class Access:
    """One access to storage.

    Attributes:
        call_id: The call that made it.
        address: The owner of the storage.
        region: Where in it.
        offset: The first byte.
        length: How many bytes.
        write: Whether it is a store.
        changed: Whether a store changed anything; ``None`` for loads, and where that was not looked at: for
            ``memory.copy``, ``fill`` and ``init``, and for functions of the option ``methods``.
        site: The number of the instruction, in ``RecordedCode.made.accesses``; ``None`` for a host function.
    """

    call_id: int
    address: Address
    region: str
    offset: int
    length: int
    write: bool
    changed: bool | None
    site: int | None


@frozen
class Comparison:
    """Operands of one comparison of integers, signed. ``eqz`` compares with 0.

    Attributes:
        call_id: The call that made it.
        code_address: The owner of the code.
        site: The number of the instruction, in ``RecordedCode.made.comparisons``.
        left: The left operand.
        right: The right operand.
    """

    call_id: int
    code_address: Address
    site: int
    left: int
    right: int


class Recording:
    """What code did in one transaction.

    Attributes:
        calls: Raw records, in the order in which calls ended.
        stored: Numbers of the calls that stored to storage after their contract was re-entered, and were not undone.
        unseen: Why the code of an account did not record, by its address.
        complete: Whether the transaction came to its end; else calls that had not ended are missing.
    """

    def __init__(self) -> None:
        self.calls: list[RecordedCall] = []
        self.stored: list[int] = []
        self.unseen: dict[Address, str] = {}
        self.complete = True

    @property
    def hazardous(self) -> bool:
        """Whether a call stored to storage after its contract was re-entered, and that was not undone.

        Known without anything being decoded. Hazards of copies, such as stale reads, are only in the trace.
        """
        return bool(self.stored)

    @cached_property
    def blocks(self) -> Mapping[Address, int]:
        """Blocks that ran, by owner of the code: byte k of the number, the lowest first, is 1 if block k ran.

        ``seen | now`` joins two transactions, and ``now & ~seen`` is not 0 if something ran for the first time.
        """
        blocks: dict[Address, int] = {}
        for call in self.calls:
            blocks[call.code_address] = blocks.get(call.code_address, 0) | int.from_bytes(call.blocks, "little")
        return MappingProxyType(blocks)

    @property
    def codes(self) -> Mapping[Address, RecordedCode]:
        """The code that ran, by its owner: what the numbers of blocks and sites mean."""
        return MappingProxyType({call.code_address: call.code for call in self.calls})

    @cached_property
    def accesses(self) -> Mapping[int, tuple[Access, ...]]:
        """Accesses to storage in the order of time, by number of the call."""
        return MappingProxyType({call.call_id: tuple(_accesses(call)) for call in sorted(self.calls, key=_call_id)})

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Comparisons, by call and in the order of time."""
        return tuple(
            Comparison(call.call_id, call.code_address, *entry)
            for call in sorted(self.calls, key=_call_id)
            for entry in COMPARISON.iter_unpack(call.comparisons)
        )

    @property
    def accesses_lost(self) -> int:
        """How many accesses are missing, because a log was full."""
        return sum(call.accesses_lost for call in self.calls)

    @property
    def comparisons_lost(self) -> int:
        """How many comparisons are missing: beyond the first eight of a site in a call, or because a log was full."""
        return sum(call.comparisons_lost for call in self.calls)

    def __repr__(self) -> str:
        return f"Recording(<{len(self.calls)} calls>)"


def _call_id(call: RecordedCall) -> int:
    return call.call_id


def _accesses(call: RecordedCall) -> Iterator[Access]:
    for region, offset, length, write, effect, site, _ in decode_accesses(call.code, call.accesses, call.marks):
        yield Access(
            call.call_id, call.address, region, offset, length, write, _CHANGED[effect] if write else None, site
        )


def decode_accesses(
    code: RecordedCode, entries: bytes, marks: Sequence[Mark], *, first: int = 0, mark: int = 0
) -> Iterator[Decoded]:
    """Yield the accesses of a call in order.

    Those to memory in which nothing is mapped are left out: they are none to storage, or trapped.

    Args:
        code: The code.
        entries: Accesses from the log.
        marks: What happened between them, from the beginning of the call.
        first: The position of the first entry.
        mark: How many marks came before it.
    """
    ranges: list[Range] = []
    for each in marks[:mark]:
        _map(ranges, each)
    pending = iter(marks[mark:])
    following = next(pending, None)
    sites, regions = code.made.accesses, code.regions
    for position, (number, effect, address) in enumerate(ACCESS.iter_unpack(entries), first):
        while following is not None and following[0] <= position:
            yield from _marked(code, ranges, following)
            following = next(pending, None)
        site = sites[number]
        length = site.length or effect
        what = effect if site.write and site.length else UNKNOWN
        if site.memory in code.mapped_memories:
            yield from _mapped(code, ranges, address, length, site.write, what, number)
        elif length:
            yield regions[site.memory], address, length, site.write, what, number, None
    while following is not None:
        yield from _marked(code, ranges, following)
        following = next(pending, None)


def _map(ranges: list[Range], mark: Mark) -> None:
    if mark[1] == MAPPED:
        ranges.append(mark[2:])
    elif mark[1] == SHOWN:
        ranges[:] = mark[2]


def _marked(code: RecordedCode, ranges: list[Range], mark: Mark) -> Iterator[Decoded]:
    _map(ranges, mark)
    if mark[1] == BY_HOST:
        _, _, region, offset, length, write, effect = mark
        yield region, offset, length, write, effect, None, None
    elif mark[1] == BY_HOST_MAPPED:
        _, _, offset, length, write, effect = mark
        yield from _mapped(code, ranges, offset, length, write, effect, None)


def _mapped(
    code: RecordedCode, ranges: Sequence[Range], address: int, length: int, write: bool, effect: int, site: int | None
) -> Iterator[Decoded]:
    """Yield the parts of an access that are to mapped storage; each byte once."""
    seen: list[tuple[int, int]] = []
    for memory_offset, storage_offset, mapped_length in ranges:
        start, end = max(address, memory_offset), min(address + length, memory_offset + mapped_length)
        if start < end and not any(low <= start and end <= high for low, high in seen):
            seen.append((start, end))
            yield code.mapped, start - memory_offset + storage_offset, end - start, write, effect, site, start
