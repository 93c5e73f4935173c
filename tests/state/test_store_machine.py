"""Durable stores, whatever is done to them in whatever order, against a model of a few dictionaries."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from unittest.mock import patch

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from storagemod.errors import StateError
from storagemod.state import NO_ACCOUNT, Account, ChangeSet, MemoryPageStore, SqlitePageStore, sqlite_store
from storagemod.types import Address, ReentryPolicy

from .stores import A, B, content, image_makers, page, quick_disk, root_anew, write

LOG_PAGES_MAX = 6
"""So small that histories go beyond it."""

PARTS = (0, 0, 0, 1 / 65_536, 0.5, 1 - 1 / 65_536)
"""By what part of a Wasm page a region is shorter than whole ones."""

addresses = st.sampled_from([A, B])
regions = st.sampled_from(["memory", "other"])
accounts = st.builds(
    Account,
    nonce=st.integers(0, 2),
    balance=st.sampled_from([0, 1, 2**128 - 1, 2**128, 2**256 - 1]),
    code=st.sampled_from([b"", b"one", b"two"]),
    name=st.sampled_from([None, "", "a"]),
    links=st.sampled_from([{}, {"x": A}, {"x": B, "y": A}]),
    policy=st.sampled_from(ReentryPolicy),
)
pages = st.dictionaries(st.sampled_from([0, 1, 2, 15, 16, 20, 31, 33, 40, 300]), st.integers(0, 2), max_size=3)


@define
class Model:
    accounts: dict[Address, Account] = field(factory=dict)
    regions: dict[tuple[Address, str], tuple[float, dict[int, int]]] = field(factory=dict)

    def content(self) -> object:
        return self.accounts, {
            key: (length, {number: page(fill) for number, fill in filled.items()})
            for key, (length, filled) in self.regions.items()
            if length
        }


class Stores(RuleBasedStateMachine):
    """Two durable stores and one in memory do the same. From time to time they are opened again, or looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(dir=quick_disk()))
        makers = list(image_makers().values())
        self.kinds = {"full": makers[0], "normal": makers[-1]}
        self.model = Model()
        self.durable = deepcopy(self.model)
        self.in_group = False
        self.changes: list[ChangeSet] = []  # since the group began
        self.memory = MemoryPageStore()
        self.stores = {kind: self.open(kind) for kind in self.kinds}
        self.readers: list[tuple[SqlitePageStore, object, bytes]] = []

    def open(self, kind: str, directory: Path | None = None, *, read_only: bool = False) -> SqlitePageStore:
        return SqlitePageStore(
            directory or self.home / kind,
            self.kinds[kind](),
            synchronous=kind,  # type: ignore[arg-type]
            read_only=read_only,
            log_pages_max=LOG_PAGES_MAX,
        )

    def teardown(self) -> None:
        for store in (*self.stores.values(), *(reader for reader, _, _ in self.readers)):
            store.close()
        shutil.rmtree(self.home)

    def commit(self, changes: ChangeSet) -> None:
        for store in (self.memory, *self.stores.values()):
            store.commit(changes)
        if self.in_group:
            self.changes.append(changes)
        else:
            self.durable = deepcopy(self.model)

    @rule(address=addresses, account=accounts)
    def set_account(self, address: Address, account: Account) -> None:
        change = ChangeSet({address: (self.memory.accounts.get(address, NO_ACCOUNT), account)})
        self.model.accounts[address] = account
        if account == NO_ACCOUNT:
            del self.model.accounts[address]
        self.commit(change)

    @rule(address=addresses, region=regions, pages=pages, shorter=st.integers(0, 3), part=st.sampled_from(PARTS))
    def write(self, address: Address, region: str, pages: dict[int, int], shorter: int, part: float) -> None:
        length, filled = self.model.regions.get((address, region), (0, {}))
        length = max([math.ceil(length) - shorter, 0, *(number // 16 + 1 for number in pages)])
        kept = {number: fill for number, fill in (filled | pages).items() if fill and number < length * 16}
        length = max(length - part, 0)
        change = write(self.memory, address, pages, wasm_pages=length, region=region)
        self.model.regions[address, region] = (length, kept)
        self.commit(change)

    @precondition(lambda self: not self.in_group)
    @rule()
    def begin_group(self) -> None:
        for store in (self.memory, *self.stores.values()):
            store.begin_group()
        self.in_group = True
        self.changes = []

    @precondition(lambda self: self.in_group)
    @rule()
    def commit_group(self) -> None:
        for store in (self.memory, *self.stores.values()):
            store.commit_group()
        self.in_group = False
        self.durable = deepcopy(self.model)

    @precondition(lambda self: not self.in_group)
    @rule()
    def flush_log(self) -> None:
        for kind, store in self.stores.items():
            read = any(reader.directory.name == kind for reader, _, _ in self.readers)
            try:
                store.flush_log()
                assert not read
            except StateError:
                assert read

    @precondition(lambda self: not self.in_group)
    @rule(kind=st.sampled_from(["full", "normal"]))
    def open_again(self, kind: str) -> None:
        self.stores[kind].close()
        self.stores[kind] = self.open(kind)

    @precondition(lambda self: self.in_group)
    @rule()
    def give_up_the_group(self) -> None:
        for kind, store in self.stores.items():
            store.close()
            self.stores[kind] = self.open(kind)
        for change in reversed(self.changes):
            self.memory.commit(change.inverted())
        self.model = deepcopy(self.durable)
        self.in_group = False

    @precondition(lambda self: not self.in_group)
    @rule(kind=st.sampled_from(["full", "normal"]))
    def go_on_after_a_kill(self, kind: str) -> None:
        if any(reader.directory.name == kind for reader, _, _ in self.readers):
            return
        with self.copied(kind) as copy:
            self.stores[kind].close()
            shutil.rmtree(self.home / kind)
            copy.rename(self.home / kind)
        self.stores[kind] = self.open(kind)

    @rule(kind=st.sampled_from(["full", "normal"]))
    def look_at_what_a_kill_would_leave(self, kind: str) -> None:
        with self.copied(kind) as copy:
            store = self.open(kind, copy)
            self.check(store, self.durable)
            store.close()
            store = self.open(kind, copy, read_only=True)
            self.check(store, self.durable)
            store.close()

    @rule(kind=st.sampled_from(["full", "normal"]))
    def look_at_it_from_elsewhere(self, kind: str) -> None:
        with self.copied(kind) as copy:
            store = self.open(kind, copy, read_only=True)
            self.check(store, self.durable)
            store.close()

    @precondition(lambda self: len(self.readers) < 3)
    @rule(kind=st.sampled_from(["full", "normal"]))
    def open_reader(self, kind: str) -> None:
        reader = self.open(kind, read_only=True)
        self.check(reader, self.durable)
        self.readers.append((reader, content(reader), reader.state_root()))

    @precondition(lambda self: self.readers)
    @rule(which=st.integers(0, 2))
    def close_reader(self, which: int) -> None:
        self.readers.pop(which % len(self.readers))[0].close()

    @invariant()
    def stores_show_what_the_model_says(self) -> None:
        expected = self.model.content()
        root = root_anew(self.memory)
        for store in (self.memory, *self.stores.values()):
            assert content(store) == expected
            assert store.state_root() == root

    @invariant()
    def readers_see_what_they_saw_when_they_came(self) -> None:
        for reader, seen, root in self.readers:
            assert content(reader) == seen
            assert reader.state_root() == root
            assert not list(reader.verify())

    def check(self, store: SqlitePageStore, expected: Model) -> None:
        assert content(store) == expected.content()
        assert not list(store.verify())

    @contextmanager
    def copied(self, kind: str) -> Iterator[Path]:
        copy = self.home / f"copy-{kind}"
        shutil.copytree(self.home / kind, copy)
        yield copy
        shutil.rmtree(copy, ignore_errors=True)  # it may have been moved


def test_stores_do_what_the_model_says_whatever_happens() -> None:
    with patch.object(sqlite_store, "OVERLAY_PAGES_MAX", 3):
        run_state_machine_as_test(Stores, settings=settings(max_examples=100, stateful_step_count=50, deadline=None))
