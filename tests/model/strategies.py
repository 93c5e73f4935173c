"""Random scripts: trees of calls among a few accounts, made so that rules meet.

Offsets, lengths and values are few and chosen, so that calls hit upon each other's bytes, page borders and ends.
"""

from __future__ import annotations

import functools
from typing import TypeVar

from attrs import define
from hypothesis import strategies as st

from storagemod.scenario.puppet import (
    CALL_KINDS,
    Burn,
    Call,
    Caller,
    CallValue,
    CopyIn,
    CopyOut,
    EmitLog,
    Finish,
    Grow,
    Load,
    MemoryLoad,
    MemoryStore,
    Operation,
    OutOfBounds,
    OwnAddress,
    Revert,
    Script,
    Size,
    SpareGrow,
    SpareLoad,
    SpareSize,
    SpareStore,
    Store,
    Store8,
    Trap,
)
from storagemod.types import Address, CallKind, ReentryPolicy

from .kinds import EMPTY, LATE, LIMITS, PUPPET_BALANCE, PUPPETS
from .reference import BALANCE_MAX, WASM_PAGE

T = TypeVar("T")


def _weighted(*choices: tuple[int, st.SearchStrategy[T]]) -> st.SearchStrategy[T]:
    """One of some strategies, each so many times as likely. ``st.one_of`` leaves out what it is given twice."""
    return st.sampled_from([each for weight, each in choices for _ in range(weight)]).flatmap(lambda chosen: chosen)


accounts = st.sampled_from([*PUPPETS * 3, EMPTY, LATE])
senders = st.none() | accounts
"""``None`` is the default sender."""
policies = st.sampled_from(ReentryPolicy)
policies_of_puppets = st.tuples(st.sampled_from([*[ReentryPolicy.ALLOW] * 6, *ReentryPolicy]), policies, policies)
"""The first puppet, which is called most, mostly allows re-entry."""

_kinds = st.sampled_from([*[CallKind.CALL] * 3, *[CallKind.STATIC] * 2, *CALL_KINDS])

values = st.sampled_from([*[0] * 8, 1, 1, 400, PUPPET_BALANCE, PUPPET_BALANCE + 1])
balances = st.sampled_from([0, 1, PUPPET_BALANCE, BALANCE_MAX, BALANCE_MAX])
"""To fund accounts with. One that holds the most there can be cannot be paid."""

_inside = st.sampled_from([0, 0, 1, 8, 9, 16, 4_088, 4_090, 4_096, WASM_PAGE - 16, WASM_PAGE - 8])
"""Offsets of 8 bytes that every region has: beginnings, words side by side, across the border of two pages, the end."""

_around_the_end = st.builds(
    lambda pages, nearby: pages * WASM_PAGE + nearby,
    st.integers(1, LIMITS.storage_pages_max),
    st.sampled_from([-8, -7, -1, 0, 8, 4_088]),
)

_far_outside = st.sampled_from([2**31 - 1, 2**31, 2**32 - 8, 2**32 - 1])

offsets = _weighted((30, _inside), (2, _around_the_end), (1, st.integers(0, WASM_PAGE)), (1, _far_outside))

_near_a_hole = st.sampled_from([*[WASM_PAGE - 8] * 12, WASM_PAGE - 4, WASM_PAGE, WASM_PAGE + 8, 2 * WASM_PAGE])

integers = st.sampled_from([1, 2, 0, -1, 2**63 - 1, -(2**63)]) | st.integers(-(2**63), 2**63 - 1)

data = st.sampled_from([b"x", b"", b"\0", bytes(8), bytes(range(16)), b"\xff" * 40, b"page" * 1_100])

loads = st.tuples(_inside | st.sampled_from([2 * WASM_PAGE - 4_100, 3 * WASM_PAGE, 3 * WASM_PAGE + 5_000]), data)
"""Offsets and bytes to write into storage from outside, which makes it as long as that takes."""

_lengths = st.sampled_from([1, 0, 8, 17, 4_096, 5_000])

_growths = st.sampled_from([1, 1, 1, 0, 2, LIMITS.storage_pages_max, 2**16, 2**31, 2**32 - 1])

_own_offsets = st.sampled_from([0, 0, 0, 4, 1_016])

_topics = st.lists(st.sampled_from([bytes(32), b"\xff" * 32, bytes(range(32))]), max_size=4).map(tuple)


_small_offsets = _weighted(
    (12, st.sampled_from([0, 0, 0, 1, 4, 8, 28, 32])),
    (4, _inside),
    (1, st.sampled_from([WASM_PAGE - 7, WASM_PAGE, WASM_PAGE + 4_096, 2**32 - 8])),
)
"""Few, so that calls hit upon each other's copies."""

_short_data = st.sampled_from([b"x", b"", b"\0", bytes(8), bytes(range(16)), b"\xff" * 40])
"""The prelude of keyed storage makes three calls of the host for a byte."""

_small_operations: st.SearchStrategy[Operation] = _weighted(
    (5, st.builds(Store, _small_offsets, integers)),
    (2, st.builds(Store8, _small_offsets, st.sampled_from([1, 0, 255]))),
    (2, st.builds(CopyIn, _small_offsets, _short_data)),
    (3, st.builds(Load, _small_offsets)),
    (1, st.builds(CopyOut, _small_offsets, st.sampled_from([1, 0, 8, 17, 100]))),
    (1, st.sampled_from([Size(), Grow(0), Grow(1), Grow(2**32 - 1), SpareLoad(0), SpareSize()])),
)


_narrow_operations: st.SearchStrategy[Operation] = _weighted(
    (2, st.builds(Store, st.sampled_from([0, 0, 4, 8]), st.sampled_from([1, 2, 0, -1]))),
    (2, st.builds(Store8, st.integers(0, 9), st.sampled_from([1, 2, 0]))),
    (3, st.builds(Load, st.sampled_from([0, 0, 4, 8]))),
)
"""For calls that keep coming back to a few bytes."""


def _storage_operations(offsets: st.SearchStrategy[int]) -> st.SearchStrategy[Operation]:
    return _weighted(
        (4, st.builds(Store, offsets, integers)),
        (2, st.builds(Store8, offsets, st.sampled_from([1, 0, 255]))),
        (2, st.builds(CopyIn, offsets, data)),
        (2, st.builds(Load, offsets)),
        (1, st.builds(CopyOut, offsets, _lengths)),
        (1, st.builds(Size)),
        (2, st.builds(Grow, _growths)),
    )


_spare_offsets = st.sampled_from([*[0] * 6, *[8] * 6, 4_088, WASM_PAGE - 8, WASM_PAGE])

_spare_operations = _weighted(
    (2, st.builds(SpareGrow, _growths)),
    (2, st.builds(SpareStore, _spare_offsets, integers)),
    (1, st.builds(SpareLoad, _spare_offsets)),
    (1, st.builds(SpareSize)),
)

_other_operations = _weighted(
    (2, st.builds(EmitLog, data, _topics)),
    (1, st.builds(MemoryStore, _own_offsets, integers)),
    (1, st.builds(MemoryLoad, _own_offsets)),
    (1, st.builds(Caller)),
    (1, st.builds(OwnAddress)),
    (1, st.builds(CallValue)),
    (1, st.builds(Burn, st.sampled_from([0, 1, 100]))),
)

_endings = st.sampled_from([*[()] * 7, (Finish(),), (Revert(),), (Revert(),), (Trap(),), (OutOfBounds(),)])

_top_endings = st.sampled_from([*[()] * 16, (Finish(),), (Revert(),), (Revert(),), (Trap(),)])


@define
class _Node:
    """A call in a tree, as it is drawn. Trees are drawn as rows of calls, in the order in which these begin."""

    ups: int
    """How many calls end before this one begins: 0 if the one before makes it, 1 if both have one caller."""
    before: list[Operation]
    """What the callee does first; then come the calls that it makes."""
    account: Address
    kind: CallKind
    value: int
    ending: tuple[Operation, ...]
    after: list[Operation]
    """What the caller does when it is over."""


def _tree(first: list[Operation], nodes: list[_Node], ending: tuple[Operation, ...]) -> Script:
    """The script of the top-level call: what it does first, the calls below it, and how it ends."""
    running: list[tuple[list[Operation], _Node | None]] = [(first, None)]

    def end_last() -> None:
        operations, node = running.pop()
        assert node is not None
        value = node.value if node.kind is CallKind.CALL else 0
        script = Script(*operations, *node.ending)
        running[-1][0].extend([Call(node.account, script, kind=node.kind, value=value), *node.after])

    for node in nodes:
        for _ in range(max(min(node.ups, len(running) - 1), len(running) - LIMITS.call_depth_max)):
            end_last()
        running.append(([*node.before], node))
    while len(running) > 1:
        end_last()
    return Script(*first, *ending)


_called = st.sampled_from([*PUPPETS[:1] * 4, *PUPPETS * 3, EMPTY, LATE])


def _trees(
    operations: st.SearchStrategy[Operation], called: st.SearchStrategy[Address] = _called
) -> st.SearchStrategy[Script]:
    few = st.lists(operations, max_size=3)
    node = st.builds(
        _Node,
        ups=st.sampled_from([*[0] * 6, 1, 1, 2, 4]),
        before=few,
        account=called,
        kind=_kinds,
        value=values,
        ending=_endings,
        after=few,
    )
    nodes = st.sampled_from([1, 2, 3, 4, 6, 8]).flatmap(lambda count: st.lists(node, min_size=count, max_size=count))
    return st.builds(_tree, few.map(list), nodes, _top_endings)


def _undone_growth(*growths: Operation) -> Call:
    """Leaves a hole in the storage of the call that makes it, if that is the storage of a puppet."""
    return Call(PUPPETS[0], Script(*growths, Revert()), kind=CallKind.DELEGATE)


@functools.cache
def scripts(*, spare: bool = False, small: bool = False, undone: int = 2) -> st.SearchStrategy[Script]:
    """Scripts for a top-level call; those with ``spare`` use the second region too, ``small`` ones only 64 KiB.

    ``undone`` is by how many pages regions grow where some of these scripts undo it.
    """
    if small:
        wide = _trees(_weighted((6, _small_operations), (1, _other_operations)))
        narrow = _trees(_narrow_operations, st.sampled_from([*PUPPETS[:1] * 4, *PUPPETS[:2]]))
        return _weighted((1, wide), (1, narrow))

    def trees(offsets: st.SearchStrategy[int]) -> st.SearchStrategy[Script]:
        extra = [(4, _spare_operations)] if spare else []
        return _trees(_weighted((4, _storage_operations(offsets)), (2, _other_operations), *extra))

    hole = _undone_growth(Grow(undone), SpareGrow(undone)) if spare else _undone_growth(Grow(undone))
    near_a_hole = trees(_near_a_hole).map(lambda script: Script(hole, *script.operations))
    far_down = st.builds(_lowered, trees(offsets), st.lists(st.sampled_from(PUPPETS), min_size=3, max_size=5))
    return _weighted((5, trees(offsets)), (2, near_a_hole), (1, far_down))


def _lowered(script: Script, path: list[Address]) -> Script:
    """A script that calls along a path, at whose end is another one."""
    for address in path:
        script = Script(Call(address, script))
    return script
