"""Every host function with arguments of any kind, in rows, under every linking option."""

from __future__ import annotations

import functools
import random

from attrs import frozen

from storagemod import Address, Receipt, World
from storagemod.errors import DeadlineError, StackError
from storagemod.pages import BACKENDS, choose_backend, why_not_shared, why_unavailable
from tests.fuzz import checks
from tests.fuzz.poker import (
    COUNTER,
    COUNTER_CODE,
    EMPTY,
    JUNK,
    KINDS,
    PEER,
    POKER,
    STATIC,
    STATIC_CODE,
    Kind,
    code,
    functions,
    script,
)
from tests.fuzz.source import FromBytes, Source, one_of

_GAS = (0, 700, 5_000, 60_000, 1_000_000, 20_000_000, 2**63 - 1)
_PORTABLE = "portable"
"""Does not stop writes in static calls but finds what they changed (design/0007): comparable with itself alone."""

_VALUES = (0, 0, 0, 1, 1_000)
_PEERS = tuple(kind for kind in KINDS if not kind.script_apart)


@frozen
class Chosen:
    """What the bytes stand for."""

    kind: Kind
    peer: Kind
    tracker: int
    static: bool
    gas: int
    value: int
    script: bytes


def choose(source: Source) -> Chosen:
    """Take two pokers and a script."""
    kind = one_of(source, KINDS)
    return Chosen(
        kind=kind,
        peer=one_of(source, _PEERS[::3]),
        tracker=source.integer(0, 3),
        static=bool(source.integer(0, 3) == 1),
        gas=one_of(source, _GAS),
        value=one_of(source, _VALUES),
        script=script(source, kind),
    )


def run(data: bytes) -> None:
    """Run a script twice, under two trackers as a rule; the second has to do what the first does."""
    chosen = choose(FromBytes(data))
    names = chosen.kind.name + chosen.peer.name
    usable = _trackers(aliased="aliased" in names or "window" in names)
    first = usable[chosen.tracker % len(usable)]
    second = _PORTABLE if first == _PORTABLE else next(each for each in usable[::-1] if each != _PORTABLE)
    outcomes = [_outcome(chosen, tracker) for tracker in (first, second)]
    if None not in outcomes:
        assert outcomes[0] == outcomes[1], f"it ended in two ways under {first} and {second}"


def seeds() -> tuple[bytes, ...]:
    """Each function of each kind once, with zeros; and random rows."""
    chance = random.Random(1)  # noqa: S311 - not a secret
    return tuple(
        bytes([number, 0, place % 4, place % 3, 4 + place % 3, 0, 0, place])
        for number, kind in enumerate(KINDS)
        for place in range(0, len(functions(kind)), 3)
    ) + tuple(chance.randbytes(120) for _ in range(100))


@functools.cache
def _trackers(*, aliased: bool) -> tuple[str, ...]:
    """The trackers that work here, and there where frames are to be mapped by the machine."""
    usable = [name for name, backend in BACKENDS.items() if why_unavailable(backend) is None]
    return tuple(name for name in usable if not aliased or why_not_shared(choose_backend(name)) is None)


def _outcome(chosen: Chosen, tracker: str) -> tuple[object, ...] | None:
    """What the script did; ``None`` where that depends on the machine."""
    world = _world(chosen.kind, chosen.peer, tracker)
    before = world.state_root
    with world.snapshot():
        if chosen.kind.script_apart:
            world.set_account(POKER, code=code(chosen.kind, chosen.script))
        receipt = _transacted(world, chosen)
        checks.goes_on(world)
        summary = checks.summary(world, receipt)
    assert world.state_root == before
    stopped = receipt is not None and isinstance(receipt.error, DeadlineError | StackError)
    return None if stopped else summary


def _transacted(world: World, chosen: Chosen) -> Receipt | None:
    to: Address = STATIC if chosen.static else POKER
    data = b"" if chosen.kind.script_apart else chosen.script
    return checks.transacted(world, to, data=data, gas=chosen.gas, value=chosen.value)


@functools.lru_cache(maxsize=60)
def _world(kind: Kind, peer: Kind, tracker: str) -> World:
    world = checks.world_that_goes_on(debug=True, tracker=tracker)
    world.deploy(COUNTER_CODE, address=COUNTER, name="counter")
    links = {"counter": COUNTER}
    for address, each in ((POKER, kind), (PEER, peer)):
        world.deploy(code(each), address=address, links=links, mapping=each.mapping, balance=1_000)
    world.deploy(STATIC_CODE, address=STATIC)
    world.set_account(JUNK, code=b"neither wasm nor anything else", balance=10)
    world.fund(EMPTY, 5)
    return world
