"""What storage costs: reading, opening, writing, undoing, committing."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

from storagemod.bench.contracts import NESTED, STEPS_MAPPED, STEPS_SHARED, STEPS_WINDOW, SUM, WRITE_PAGES
from storagemod.bench.measure import Comparison, compare
from storagemod.limits import Limits
from storagemod.pages import PAGE_BYTES, choose_backend, why_not_shared
from storagemod.types import MAP_OPTIONS, WASM_PAGE_BYTES, Address, CallMode
from storagemod.vm import Aliased
from storagemod.vm.shared_memories import Single
from storagemod.vm.window import Window
from storagemod.world import World

_LIMITS = Limits(storage_pages_max=65_536)

_LENGTHS = {"64 KiB": 1, "64 MiB": 1_024, "4 GiB": 65_536}
_LENGTHS_COPIED = {"64 KiB": 1, "1 MiB": 16, "16 MiB": 256}
"""For trackers that copy all storage that is used."""

_PASSES = 50
_NESTED_CALLS = 64
_COMMITS = 20
_PAGES_PER_COMMIT = 10
_PAGES_WRITTEN_MAX = 100


def page_comparisons(*, tracker: str | None = None, rounds: int = 15) -> Iterator[Comparison]:
    """Measure, one comparison after another; takes some seconds in all.

    Args:
        tracker: See :class:`storagemod.World`.
        rounds: How often each thing is done.

    Raises:
        StateError: The tracker does not work here.
    """
    for comparison in (_reading, _opening, _writing, _undoing, _mapping, committing):
        with ExitStack() as stack:
            yield comparison(stack, tracker, rounds)


def open_world(
    stack: ExitStack,
    tracker: str | None,
    path: Path | None = None,
    *,
    trace: bool = False,
    calls: CallMode = CallMode.MEDIATED,
) -> World:
    """Open a world that is closed with the stack; its contracts may have all of 4 GiB."""
    return stack.enter_context(World(path, limits=_LIMITS, trace=trace, calls=calls, tracker=tracker))


def transact(world: World, to: Address, method: str, *args: int) -> None:
    """Run a transaction that must succeed, with all the gas that it can want."""
    world.transact(to, method, *args, gas=10**12).raise_for_error()


def _reading(stack: ExitStack, tracker: str | None, rounds: int) -> Comparison:
    world = open_world(stack, tracker)
    contract = world.deploy(SUM)
    world.load_storage(contract, "memory", bytes(range(256)) * 4_096)
    return compare(
        f"summing 1 MiB, {_PASSES} times in one transaction",
        "storage within 5 % of the contract's own memory",
        {
            "own memory": lambda: transact(world, contract, "sum_own", _PASSES),
            "storage": lambda: transact(world, contract, "sum_storage", _PASSES),
        },
        rounds=rounds,
    )


def _opening(stack: ExitStack, tracker: str | None, rounds: int) -> Comparison:
    world = open_world(stack, tracker)
    subjects: dict[str, Callable[[], object]] = {}
    for name, pages in _lengths(tracker).items():
        contract = world.deploy(WRITE_PAGES.format(pages=pages, stride=PAGE_BYTES), name=name)
        for offset in (0, pages * WASM_PAGE_BYTES - PAGE_BYTES):  # data at both ends, nothing between
            world.load_storage(contract, "memory", b"\1" * PAGE_BYTES, offset=offset)
        subjects[name] = lambda contract=contract: transact(world, contract, "write", 0, 0)  # type: ignore[misc]
    return compare("a transaction that opens storage and touches nothing", "flat", subjects, rounds=rounds * 4)


def _lengths(tracker: str | None) -> dict[str, int]:
    return _LENGTHS_COPIED if choose_backend(tracker).copies else _LENGTHS


def _writing(stack: ExitStack, tracker: str | None, rounds: int) -> Comparison:
    world = open_world(stack, tracker)
    name, length = list(_lengths(tracker).items())[-1]
    stride = length * WASM_PAGE_BYTES // _PAGES_WRITTEN_MAX // PAGE_BYTES * PAGE_BYTES
    contract = world.deploy(WRITE_PAGES.format(pages=length, stride=stride))
    value = count(1)
    return compare(
        f"a transaction that writes pages of {name}, far apart",
        "what is above one page grows with the number of pages",
        {
            f"{pages} page{'s' if pages > 1 else ''}": lambda pages=pages: transact(  # type: ignore[misc]
                world, contract, "write", pages, next(value)
            )
            for pages in (1, 10, _PAGES_WRITTEN_MAX)
        },
        rounds=rounds,
    )


def _undoing(stack: ExitStack, tracker: str | None, rounds: int) -> Comparison:
    world = open_world(stack, tracker)
    address = Address(0xBE)
    contract = world.deploy(NESTED, address=address, links={"self": address})
    return compare(
        f"{_NESTED_CALLS} nested calls that write a page",
        "reverting under 3 times returning",
        {
            "and return": lambda: transact(world, contract, "run", _NESTED_CALLS, 0),
            "and revert": lambda: transact(world, contract, "run", _NESTED_CALLS, 1),
        },
        rounds=rounds,
    )


def _mapping(stack: ExitStack, tracker: str | None, rounds: int) -> Comparison:
    subjects: dict[str, Callable[[], object]] = {}
    options = [
        option for option in MAP_OPTIONS if option != Aliased.name or why_not_shared(choose_backend(tracker)) is None
    ]
    codes = {Single.name: STEPS_SHARED, **dict.fromkeys(options, STEPS_MAPPED), Window.name: STEPS_WINDOW}
    for option, code in codes.items():
        world, address = open_world(stack, tracker), Address(0xBE)
        mapping = option if option in MAP_OPTIONS else None
        world.deploy(code, address=address, links={"self": address}, mapping=mapping)
        world.load_storage(address, "memory", bytes(range(256)) * 4_096)
        subjects[option] = lambda world=world, address=address: transact(world, address, "run", _NESTED_CALLS)  # type: ignore[misc]
    return compare(
        f"{_NESTED_CALLS} nested calls that each map 1 MiB and write a word",
        "aliased under copied and paged, which copy at each call",
        subjects,
        rounds=max(rounds // 3, 1),
    )


def committing(stack: ExitStack, tracker: str | None, rounds: int) -> Comparison:
    """Compare commits of a world in a directory with plain SQLite that writes the same pages."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="storagemod-bench-")))
    value = count(1)
    connection = stack.enter_context(closing(sqlite3.connect(folder / "plain.sqlite", isolation_level=None)))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE pages (number INTEGER PRIMARY KEY, data BLOB)")

    def plain() -> None:
        for _ in range(_COMMITS):
            page = next(value).to_bytes(8, "little") + bytes(PAGE_BYTES - 8)
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT OR REPLACE INTO pages VALUES (?, ?)", ((number, page) for number in range(_PAGES_PER_COMMIT))
            )
            connection.execute("COMMIT")

    subjects: dict[str, Callable[[], object]] = {"plain SQLite, the same page writes": plain}
    for name, path in (("a world in a directory", folder / "world"), ("a world in memory", None)):
        world = open_world(stack, tracker, path)
        contract = world.deploy(WRITE_PAGES.format(pages=1, stride=PAGE_BYTES))

        def commits(world: World = world, contract: Address = contract) -> None:
            for _ in range(_COMMITS):
                transact(world, contract, "write", _PAGES_PER_COMMIT, next(value))

        subjects[name] = commits
    return compare(
        f"{_COMMITS} transactions that commit {_PAGES_PER_COMMIT} pages each",
        "a world in a directory at most 2.5 times plain SQLite, the transactions included",
        subjects,
        rounds=max(rounds // 3, 1),
    )
