"""What a transaction and a nested call cost, beside bare wasmtime and other virtual machines in the same process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from itertools import count
from typing import Self

from attrs import frozen

from storagemod.bench.contracts import BUMP_METHODS, BUMP_SINGLE, PING_PONG, PING_PONG_OWN_PAGE, WORDS
from storagemod.bench.litesvm import LiteSvm
from storagemod.bench.measure import Comparison, compare
from storagemod.bench.pages import committing, open_world, transact
from storagemod.bench.revm import Revm
from storagemod.explore import explore
from storagemod.pages import choose_backend, why_not_shared
from storagemod.scenario import load_scenario
from storagemod.scenario.deploy import deploy_scenario
from storagemod.scenario.fixtures import scenario_path
from storagemod.types import MAP_OPTIONS, WASM_PAGE_BYTES, Address, CallMode
from storagemod.vm import WINDOW, Aliased
from storagemod.wasm.bare import BarePingPong, bare_null_call
from storagemod.world import World

INSTALL_PEERS = "pip install 'storagemod[bench]'"

DEPTH = 64
SUMMED = bytes(range(256)) * 125
"""What is summed: 4,000 words of 8 bytes, or 1,000 slots of 32 bytes."""

BUMPS = 100

TRIES = 1_000
EXPLORED = "reentry/withdraw_fixed"

_COUNTED_BYTES = 10 << 20
_PAGES_MAX = 65_536
_REPEATS = 10
_RUNS_NESTED = 2
PING, PONG = Address(0xA1), Address(0xB2)

_Subjects = dict[str, Callable[[], object]]


@frozen
class Peers:
    """Keep other virtual machines to compare with, as far as they are installed."""

    litesvm: LiteSvm | None = None
    revm: Revm | None = None

    @classmethod
    def installed(cls) -> Self:
        """Set up those that are installed."""
        litesvm, revm = None, None
        with suppress(ImportError):
            litesvm = LiteSvm(SUMMED, _COUNTED_BYTES)
        with suppress(ImportError):
            revm = Revm(SUMMED)
        return cls(litesvm, revm)

    @property
    def absent(self) -> tuple[str, ...]:
        """Name those that are not installed."""
        return tuple(name for name, peer in (("LiteSVM", self.litesvm), ("pyrevm", self.revm)) if peer is None)


def call_comparisons(peers: Peers, *, tracker: str | None = None, rounds: int = 15) -> Iterator[Comparison]:
    """Measure, one comparison after another; takes up to a minute in all.

    Args:
        peers: What to compare with.
        tracker: See :class:`storagemod.World`.
        rounds: How often each thing is done.

    Raises:
        StateError: The tracker does not work here.
    """
    for comparison in (_null, _sum, _fill, _word):
        with ExitStack() as stack:
            yield comparison(stack, peers, tracker, rounds)
    for traps in (False, True):
        for trace in (False, True):
            with ExitStack() as stack:
                yield _nested(stack, peers, tracker, rounds, trace=trace, traps=traps)
    for last in (_lowered, _own_page, committing, _exploring):
        with ExitStack() as stack:
            yield last(stack, tracker, rounds)


def _null(stack: ExitStack, peers: Peers, tracker: str | None, rounds: int) -> Comparison:
    subjects: _Subjects = {} if peers.litesvm is None else {"LiteSVM": peers.litesvm.null}
    for name, trace in (("a world", False), ("a world that traces", True)):
        world = open_world(stack, tracker, trace=trace)
        subjects[name] = partial(transact, world, world.deploy(WORDS.format(pages=1)), "null")
    if peers.revm is not None:
        subjects["pyrevm"] = peers.revm.null
    subjects["a call of a bare wasmtime function"] = bare_null_call()
    return compare(
        "a transaction that does nothing",
        "a world no slower than LiteSVM, and at most 2 times that where it traces",
        subjects,
        rounds=rounds,
        repeats=2 * _REPEATS,
    )


def _sum(stack: ExitStack, peers: Peers, tracker: str | None, rounds: int) -> Comparison:
    subjects: _Subjects = {} if peers.litesvm is None else {"LiteSVM": peers.litesvm.sum}
    world = open_world(stack, tracker)
    contract = world.deploy(WORDS.format(pages=1))
    world.load_storage(contract, "memory", SUMMED)
    subjects["a world"] = partial(transact, world, contract, "sum", len(SUMMED))
    if peers.revm is not None:
        subjects["pyrevm"] = peers.revm.sum
    title = "a transaction that sums 32 KB of storage"
    return compare(title, "a world no slower than LiteSVM", subjects, rounds=rounds, repeats=_REPEATS)


def _fill(stack: ExitStack, peers: Peers, tracker: str | None, rounds: int) -> Comparison:
    subjects: _Subjects = {} if peers.litesvm is None else {"LiteSVM": peers.litesvm.fill}
    world, value = open_world(stack, tracker), count(1)
    contract = world.deploy(WORDS.format(pages=1))
    subjects["a world"] = lambda: transact(world, contract, "fill", len(SUMMED), next(value))
    if peers.revm is not None:
        subjects["pyrevm, not committed"] = peers.revm.fill
    title = "a transaction that fills 32 KB of storage, committed in memory"
    return compare(title, "a world no slower than LiteSVM", subjects, rounds=rounds, repeats=_REPEATS)


def _word(stack: ExitStack, peers: Peers, tracker: str | None, rounds: int) -> Comparison:
    subjects: _Subjects = {} if peers.litesvm is None else {"LiteSVM, 10 MiB": peers.litesvm.count}
    world = open_world(stack, tracker)
    lengths = {"10 MiB": _COUNTED_BYTES // WASM_PAGE_BYTES}
    if not choose_backend(tracker).copies:
        lengths["4 GiB"] = _PAGES_MAX
    for name, pages in lengths.items():
        contract = world.deploy(WORDS.format(pages=pages))
        length = pages * WASM_PAGE_BYTES
        world.load_storage(contract, "memory", b"\1" * min(length, _COUNTED_BYTES), offset=0)
        world.load_storage(contract, "memory", b"\1", offset=length - 1)
        subjects[f"a world, {name}"] = partial(transact, world, contract, "count", length // 2)
    return compare(
        "a transaction that writes one word of long storage",
        "a world under a twentieth of LiteSVM, whatever the length",
        subjects,
        rounds=rounds,
        repeats=_REPEATS,
    )


def _nested(
    stack: ExitStack, peers: Peers, tracker: str | None, rounds: int, *, trace: bool, traps: bool
) -> Comparison:
    bare = stack.enter_context(closing(BarePingPong(PING_PONG["single"], depth=DEPTH, traps=traps)))
    subjects: _Subjects = {"bare wasmtime": bare.run}
    can_share = why_not_shared(choose_backend(tracker)) is None
    for option, code in PING_PONG.items():
        if option != Aliased.name or can_share:
            mapping = option if option in MAP_OPTIONS else None
            for calls in (CallMode.MEDIATED, CallMode.DIRECT):
                if calls is CallMode.MEDIATED or (mapping is None and option != WINDOW and not trace and not traps):
                    world = open_ping_pong(stack, tracker, code, mapping, trace=trace, calls=calls)
                    name = option if calls is CallMode.MEDIATED else f"{option}, {calls}"
                    subjects[name] = partial(transact, world, PING, "hit", DEPTH - 1, int(traps))
    if peers.revm is not None and not trace:
        subjects["pyrevm"] = partial(peers.revm.ping_pong, DEPTH, traps=traps)
    traced = ", traced" if trace else ""
    trapping = ", the innermost trapping and caught" if traps else ""
    return compare(
        f"a nested call of {DEPTH}{trapping}, each writing a word{traced}",
        f"at most {18 if trace else 12} µs a call, whatever the linking option, and direct ones quicker than pyrevm "
        "(LiteSVM does not nest calls so deep)",
        subjects,
        rounds=rounds,
        repeats=_RUNS_NESTED,
        parts=DEPTH,
    )


def open_ping_pong(
    stack: ExitStack,
    tracker: str | None,
    code: str,
    mapping: str | None = None,
    *,
    trace: bool = False,
    calls: CallMode = CallMode.MEDIATED,
) -> World:
    """Open a world with two contracts of the same code that are linked to one another."""
    world = open_world(stack, tracker, trace=trace, calls=calls)
    for address, peer in ((PING, PONG), (PONG, PING)):
        world.deploy(code, address=address, links={"peer": peer}, mapping=mapping)
    return world


def _lowered(stack: ExitStack, tracker: str | None, rounds: int) -> Comparison:
    subjects: _Subjects = {}
    for name, code, link in (
        ("single, written by hand", BUMP_SINGLE, None),
        ("calls of functions, run as single", BUMP_METHODS, "single"),
        ("calls of functions, run as methods", BUMP_METHODS, "methods"),
    ):
        world = open_world(stack, tracker)
        contract = world.deploy(code, link=link)
        world.load_storage(contract, "memory", SUMMED)
        subjects[name] = partial(transact, world, contract, "bump", len(SUMMED), BUMPS)
    return compare(
        f"a word of storage that is loaded and stored, {BUMPS} times all words of 32 KB",
        "what is written for methods and run as single within 5 % of what is written for single",
        subjects,
        rounds=rounds,
        repeats=2,
        parts=BUMPS * len(SUMMED) // 8,
    )


def _own_page(stack: ExitStack, tracker: str | None, rounds: int) -> Comparison:
    bare = stack.enter_context(closing(BarePingPong(PING_PONG_OWN_PAGE, depth=DEPTH, runs_per_store=1)))
    subjects: _Subjects = {"bare wasmtime, a store for each transaction": bare.run}
    for name, trace, calls in (
        ("a world", False, CallMode.MEDIATED),
        ("a world that traces", True, CallMode.MEDIATED),
        ("a world, direct", False, CallMode.DIRECT),
    ):
        world = open_ping_pong(stack, tracker, PING_PONG_OWN_PAGE, trace=trace, calls=calls)
        subjects[name] = partial(transact, world, PING, "hit", DEPTH - 1, 0)
    return compare(
        f"a nested call of {DEPTH}, each writing a word, and a page of memory of its own",
        "at most 20 µs a call",
        subjects,
        rounds=rounds,
        repeats=_RUNS_NESTED,
        parts=DEPTH,
    )


def _exploring(stack: ExitStack, tracker: str | None, rounds: int) -> Comparison:
    path = scenario_path(EXPLORED)
    scenario = load_scenario(path)
    world = stack.enter_context(World(tracker=tracker))
    deploy_scenario(scenario, world)
    first = scenario.transactions[0]
    bank = scenario.address(first.to)

    def transactions() -> None:
        for _ in range(TRIES):
            world.transact(bank, first.method, *first.args)

    return compare(
        f"a try of the explorer on {EXPLORED}, of {TRIES:,} in one process, setting up included",
        "at most 200 µs: 5,000 tries a second; a try makes calls back besides, and is read",
        {"a transaction": transactions, "a try": lambda: explore(path, tries=TRIES, tracker=tracker)},
        rounds=max(rounds // 5, 1),
        parts=TRIES,
    )
