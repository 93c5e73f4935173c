"""Contracts whose storage is mapped do what they do on shared storage, where copies are in line at every call."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from attrs import define, frozen
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from storagemod import Address, StorageMapping, World
from storagemod.limits import GAS_MAX
from storagemod.scenario.fixtures import fixture
from storagemod.scenario.puppet import (
    Call,
    CopyIn,
    CopyOut,
    EmitLog,
    Load,
    MemoryLoad,
    MemoryStore,
    Operation,
    Revert,
    Script,
    Store,
    Store8,
    Trap,
)
from storagemod.types import CallKind, SyncPolicy

WASM_PAGE = 65_536
PUPPETS = (Address(0xA), Address(0xB), Address(0xC))

ORDINARY = settings(
    max_examples=50, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)

Linking = Mapping[Address, tuple[str, StorageMapping | None]]
"""For each puppet the option whose prelude it has, and how its storage is mapped."""


def everywhere(option: str, mapping: StorageMapping | None = None) -> Linking:
    return dict.fromkeys(PUPPETS, (option, mapping))


SHARED = everywhere("single")
IN_LINE = {
    "copied": everywhere("copied", StorageMapping("copied")),
    "paged": everywhere("paged", StorageMapping("paged")),
    "paged, small frames": everywhere("paged", StorageMapping("paged", frame_bytes=256, exclusive="call")),
    "aliased": everywhere("aliased", StorageMapping("aliased")),
    "aliased, long frames": everywhere("aliased", StorageMapping("aliased", frame_bytes=WASM_PAGE, exclusive="call")),
    "window": everywhere("window"),
}
MIXED = dict(
    zip(
        PUPPETS,
        (
            ("copied", StorageMapping("copied")),
            ("paged", StorageMapping("paged", frame_bytes=WASM_PAGE)),
            ("single", None),
        ),
        strict=True,
    )
)
MIXED_WITH_ALIASED = MIXED | {PUPPETS[0]: ("aliased", StorageMapping("aliased"))}

# Few offsets, so that calls hit upon each other's bytes: at borders of frames, and where the last one leaves storage.
offsets = st.sampled_from(
    [*[0] * 6, *[4] * 4, 1, 8, 8, 250, 250, 4_090, 4_090, 4_096, *[WASM_PAGE - 8] * 2, WASM_PAGE - 4]
)

changes = st.one_of(
    st.builds(Store, offsets, st.sampled_from([0, 1, 2, -1, 2**62])),
    st.builds(Store8, offsets, st.integers(0, 3)),
    st.builds(CopyIn, offsets, st.sampled_from([b"", b"x", bytes(9), b"y" * 300, b"z" * 5_000])),
    st.builds(EmitLog, st.sampled_from([b"", b"log"])),
)
looks = st.one_of(
    st.builds(Load, offsets),
    st.builds(CopyOut, offsets, st.sampled_from([0, 1, 8, 300])),
    st.builds(MemoryStore, st.just(0), st.integers(0, 3)),
    st.builds(MemoryLoad, st.just(0)),
)

FORBIDDEN = Store(16, 0x0123_4567_89AB_CDEF)
"""What a static call ends with if it writes: it changes storage for certain, because it fails wherever it is done."""


endings = st.sampled_from([*[()] * 8, (Revert(),), (Trap(),)])


@frozen
class Node:
    """A call as it is drawn. A tree of calls is drawn as a row, in the order in which they begin."""

    ups: int
    """How many calls end before this one begins: 0 if the one before makes it, 1 if both have one caller."""
    account: Address
    kind: CallKind
    steps: list[Operation]
    """What it does first."""
    looks: list[Operation]
    """What it does instead in a static call."""
    ending: tuple[Operation, ...]
    writes: bool
    """Whether it tries to, in a static call."""
    after: list[Operation]
    """What its caller looks at when it is over."""


@define
class _Running:
    operations: list[Operation]
    static: bool
    node: Node | None = None


def tree(first: list[Operation], row: list[Node], ending: tuple[Operation, ...]) -> Script:
    """The script of a top-level call.

    Shared memory stops a static call where it writes, a copy when it is written back: so what it writes comes last.
    """
    running = [_Running([*first], static=False)]

    def end_last() -> None:
        ended = running.pop()
        node = ended.node
        assert node is not None
        last = (FORBIDDEN,) if ended.static and node.writes else node.ending
        call = Call(node.account, Script(*ended.operations, *last), kind=node.kind)
        running[-1].operations += [call, *node.after]

    for node in row:
        for _ in range(min(node.ups, len(running) - 1)):
            end_last()
        static = running[-1].static or node.kind is CallKind.STATIC
        running.append(_Running([*(node.looks if static else node.steps)], static, node))
    while len(running) > 1:
        end_last()
    return Script(*running[0].operations, *ending)


def histories(*kinds: CallKind) -> st.SearchStrategy[list[tuple[Address, Script]]]:
    """Top-level calls: which puppet, and its script."""
    accounts = st.sampled_from([*PUPPETS[:1] * 3, *PUPPETS])
    steps, few_looks = st.lists(changes | looks, max_size=3), st.lists(looks, max_size=2)
    node = st.builds(
        Node,
        ups=st.sampled_from([0, 0, 0, 1, 2]),
        account=accounts,
        kind=st.sampled_from(kinds),
        steps=steps,
        looks=few_looks,
        ending=endings,
        writes=st.booleans(),
        after=few_looks,
    )
    script = st.builds(tree, steps, st.lists(node, min_size=1, max_size=6), endings)
    return st.lists(st.tuples(accounts, script), min_size=1, max_size=2)


def worlds(linkings: list[Linking]) -> list[World]:
    found = []
    for linking in linkings:
        world = World()
        for address, (option, mapping) in linking.items():
            world.deploy(fixture("puppet/puppet", option), address=address, mapping=mapping)
        found.append(world)
    return found


def check_agreement(history: list[tuple[Address, Script]], linkings: dict[str, Linking]) -> None:
    """Run a history everywhere, and compare all that can be seen after each of its transactions."""
    reference, *others = worlds([SHARED, *linkings.values()])
    for account, script in history:
        expected = reference.transact(account, data=bytes(script), gas=GAS_MAX)
        for name, world in zip(linkings, others, strict=True):
            receipt = world.transact(account, data=bytes(script), gas=GAS_MAX)
            assert receipt.outcome is expected.outcome, f"{name}: {receipt.error} / {expected.error}"
            assert receipt.output == expected.output, name
            assert receipt.logs == expected.logs, name
            assert receipt.changes == expected.changes, name
            assert world.state_root == reference.state_root, name


ALL_KINDS = (*[CallKind.CALL] * 4, CallKind.STATIC, CallKind.DELEGATE)


@ORDINARY
@given(history=histories(*ALL_KINDS))
def test_copies_in_line_at_every_call_do_what_shared_storage_does(history: list[tuple[Address, Script]]) -> None:
    check_agreement(history, IN_LINE)


@ORDINARY
@given(history=histories(CallKind.CALL, CallKind.CALL, CallKind.STATIC))
def test_contracts_with_different_options_do_among_each_other_what_shared_storage_does(
    history: list[tuple[Address, Script]],
) -> None:
    check_agreement(history, {"mixed": MIXED, "mixed with aliased": MIXED_WITH_ALIASED})


@pytest.mark.parametrize("sync", [SyncPolicy.END, SyncPolicy.NONE])
def test_copies_that_are_not_in_line_are_told_from_shared_storage(sync: SyncPolicy) -> None:
    """That the comparison above can fail."""

    @settings(ORDINARY, phases=[Phase.generate], report_multiple_bugs=False)
    @given(history=histories(*ALL_KINDS))
    def compare(history: list[tuple[Address, Script]]) -> None:
        check_agreement(history, {"stale": everywhere("copied", StorageMapping("copied", sync))})

    with pytest.raises(AssertionError, match="stale"):
        compare()
