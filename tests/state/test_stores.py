"""What every page store does, wherever it keeps things."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType

import pytest

from storagemod.errors import StateError
from storagemod.pages import ZERO_PAGE, FileImage, RegionDiff, WritableImage
from storagemod.state import NO_ACCOUNT, Account, ChangeSet, CommittedRegion, MemoryPageStore, PageStore, WorldState
from storagemod.state.account import account_digest
from storagemod.types import ReentryPolicy

from .stores import STORES, A, B, C, account, content, image_makers, page, root_anew, write


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PageStore]:
    store = STORES[request.param](tmp_path / "world")
    yield store
    store.close()


def test_a_new_store_is_empty(store: PageStore) -> None:
    assert not store.accounts
    assert not list(store.regions())
    assert store.image(A, "memory").wasm_pages == 0
    assert store.image(A, "memory").page(3) == ZERO_PAGE
    assert not store.read_only
    assert store.state_root() == MemoryPageStore().state_root()


def test_what_is_committed_is_shown(store: PageStore) -> None:
    first = Account(1, 2**256 - 1, b"code", "näme", {"bank": B, "": C}, ReentryPolicy.SELF_ONLY)
    store.commit(account(store, A, first))
    store.commit(account(store, B, Account(name="")))
    store.commit(write(store, A, {0: 1, 17: 2}))
    store.commit(write(store, A, {40: 3}, region="other"))
    assert store.accounts == {A: first, B: Account(name="")}
    assert content(store)[1] == {  # type: ignore[index]
        (A, "memory"): (2, {0: page(1), 17: page(2)}),
        (A, "other"): (3, {40: page(3)}),
    }
    assert [key for key, _ in store.regions()] == [(A, "memory"), (A, "other")]


def test_a_page_can_become_zeros_and_an_account_nothing(store: PageStore) -> None:
    store.commit(account(store, A, Account(nonce=1, code=b"x")))
    store.commit(write(store, A, {0: 1, 1: 2}))
    root = store.state_root()
    store.commit(account(store, A, NO_ACCOUNT))
    store.commit(write(store, A, {0: 0}))
    assert content(store) == ({}, {(A, "memory"): (1, {1: page(2)})})
    assert store.state_root() != root


def test_regions_that_are_empty_do_not_count(store: PageStore) -> None:
    store.commit(account(store, A, Account(nonce=1)))
    root = store.state_root()
    store.commit(ChangeSet(regions={(A, "memory"): RegionDiff(0, 0, {}), (B, "memory"): RegionDiff(0, 0, {})}))
    assert (store.state_root(), list(store.regions())) == (root, [])
    grown = write(store, B, {}, wasm_pages=3)
    store.commit(grown)
    assert store.state_root() != root
    store.commit(grown.inverted())
    assert (store.state_root(), list(store.regions())) == (root, [])


def test_what_a_shortened_region_lost_does_not_come_back(store: PageStore) -> None:
    store.commit(write(store, A, {0: 1, 15: 4, 20: 2, 40: 3}))
    store.commit(write(store, A, {}, wasm_pages=1))
    assert dict(store.image(A, "memory").pages()) == {0: page(1), 15: page(4)}
    store.commit(write(store, A, {24: 5}, wasm_pages=3))
    assert dict(store.image(A, "memory").pages()) == {0: page(1), 15: page(4), 24: page(5)}
    fresh = MemoryPageStore()
    fresh.commit(write(fresh, A, {0: 1, 15: 4, 24: 5}, wasm_pages=3))
    assert store.state_root() == fresh.state_root()


def test_the_state_root_is_that_of_the_state_whatever_the_history(store: PageStore) -> None:
    store.commit(write(store, A, {3: 1, 4: 1}))
    store.commit(account(store, B, Account(nonce=5)))
    store.commit(write(store, A, {3: 2, 5: 1, 4: 0}))
    store.commit(account(store, B, Account(balance=7)))
    other = MemoryPageStore()
    other.commit(account(other, B, Account(balance=7)))
    other.commit(write(other, A, {3: 2, 5: 1}))
    assert store.state_root() == other.state_root()


def test_only_accounts_that_changed_are_hashed_again(store: PageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in (A, B, C):
        store.commit(account(store, address, Account(nonce=1)))
        store.commit(write(store, address, {0: 1}))
    store.state_root()
    hashed: list[Account] = []

    def counted(account: Account, regions: Mapping[str, bytes]) -> bytes:
        hashed.append(account)
        return account_digest(account, regions)

    with monkeypatch.context() as patched:
        patched.setattr("storagemod.state.store.account_digest", counted)
        store.commit(write(store, B, {0: 2}))
        store.commit(account(store, C, Account(nonce=2)))
        root = store.state_root()
        assert (hashed, store.state_root()) == ([Account(nonce=1), Account(nonce=2)], root)
    assert root == root_anew(store)


def test_a_region_of_4_gib_costs_what_is_in_it(store: PageStore) -> None:
    store.commit(write(store, A, {0: 1, 2**20 - 1: 2, 2**19: 3}, wasm_pages=2**16))
    assert store.image(A, "memory").wasm_pages == 2**16
    assert list(store.image(A, "memory").pages()) == [(0, page(1)), (2**19, page(3)), (2**20 - 1, page(2))]
    with pytest.raises(StateError, match="65,536 Wasm pages at most"):
        store.commit(write(store, A, {}, wasm_pages=2**16 + 1))
    assert store.image(A, "memory").wasm_pages == 2**16


def test_a_group_is_shown_and_stays_when_it_is_committed(store: PageStore) -> None:
    store.commit(write(store, A, {0: 1}))
    store.begin_group()
    store.commit(account(store, A, Account(nonce=1)))
    store.commit(write(store, A, {0: 2, 50: 3}))
    assert store.accounts[A].nonce == 1
    assert store.image(A, "memory").page(50) == page(3)
    root = store.state_root()
    store.commit_group()
    assert store.image(A, "memory").page(0) == page(2)
    assert store.state_root() == root
    store.flush_log()
    assert store.state_root() == root
    assert content(store) == ({A: Account(nonce=1)}, {(A, "memory"): (4, {0: page(2), 50: page(3)})})


def test_a_group_can_be_taken_back(store: PageStore) -> None:
    store.commit(account(store, A, Account(nonce=1)))
    store.commit(write(store, A, {0: 1}))
    before, root = content(store), store.state_root()
    store.begin_group()
    change = write(store, A, {0: 2, 50: 3}).merged(account(store, A, NO_ACCOUNT), write(store, B, {1: 1}))
    store.commit(change)
    store.commit(change.inverted())
    store.commit_group()
    assert (content(store), store.state_root()) == (before, root)


def test_an_image_that_cannot_be_written_leaves_nothing_behind(
    store: PageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit(account(store, A, Account(nonce=1)))
    store.commit(write(store, A, {0: 1}))
    before, root = content(store), store.state_root()
    change = write(store, A, {0: 2, 3: 3}).merged(account(store, A, Account(nonce=2)), write(store, B, {7: 7}))
    real = CommittedRegion.change
    calls = []

    def fail_once(region: CommittedRegion, written: RegionDiff) -> None:
        real(region, written)
        calls.append(region)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(CommittedRegion, "change", fail_once)
    with pytest.raises(StateError, match=r"no room .* No space left") as caught:
        store.commit(change)
    assert isinstance(caught.value.cause, OSError)
    assert (content(store), store.state_root()) == (before, root)
    store.commit(change)
    assert store.image(B, "memory").page(7) == page(7)


def test_a_change_that_could_be_neither_made_nor_taken_back_is_not_shown(
    store: PageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit(write(store, A, {0: 1}))
    change = account(store, A, Account(nonce=1)).merged(write(store, A, {0: 2}))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CommittedRegion, "change", fail)
    with pytest.raises(StateError, match="no room"):
        store.commit(change)
    for use in (store.state_root, lambda: store.image(A, "memory"), lambda: store.commit(ChangeSet())):
        with pytest.raises(StateError, match=r"could be neither made nor taken back .open the world again"):
            use()


def test_an_interrupted_change_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryPageStore()
    store.commit(account(store, A, Account(nonce=1)))
    before, root = content(store), store.state_root()

    def interrupt(*_: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    change = account(store, A, Account(nonce=2)).merged(write(store, B, {7: 7}))
    monkeypatch.setattr(CommittedRegion, "change", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.commit(change)
    assert (content(store), store.state_root()) == (before, root)
    store.commit(change)


class Interruptor:
    """Raises ``KeyboardInterrupt`` at one bytecode of the code under test: the first, the second, and so on."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self, frame: FrameType, event: str, _: object) -> Interruptor | None:
        if f"{os.sep}storagemod{os.sep}" not in frame.f_code.co_filename or "tests" in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def interrupted(use: Callable[[], object], count: int) -> bool:
    """Whether it had so many bytecodes."""
    before = sys.gettrace()
    sys.settrace(Interruptor(count))
    try:
        use()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def everything(store: PageStore) -> object:
    links = [store.linked_to(address) for address in (A, B, C)]
    names = [store.is_name_taken(name) for name in ("old", "new")]
    return content(store), dict(store.labels), links, names, store.state_root()


@pytest.mark.parametrize("maker", image_makers().values())
@pytest.mark.parametrize("in_a_snapshot", [False, True])
def test_a_commit_interrupted_at_any_bytecode_is_whole_or_not_at_all(
    maker: Callable[[], Callable[[], WritableImage]], in_a_snapshot: bool
) -> None:
    """Otherwise the store refuses to be used. It never shows half of a change, nor a wrong root."""

    def prepared() -> tuple[WorldState, ChangeSet]:
        store = MemoryPageStore(maker())
        store.commit(account(store, A, Account(nonce=1, name="old", links={"x": B})))
        store.commit(write(store, A, {0: 1, 20: 5}))
        image = store.image(A, "memory")
        if isinstance(image, FileImage):
            image.extents()
        new = Account(nonce=2, name="new", links={"x": C})
        change = account(store, A, new).merged(account(store, B, Account(balance=1)), write(store, B, {7: 7}))
        return WorldState(store), change.merged(write(store, A, {0: 2, 3: 3}, wasm_pages=1))

    state, change = prepared()
    before = everything(state.store)
    state.store.commit(change)
    after = everything(state.store)
    taken_back = made = refused = 0
    count = 1
    while True:
        state, change = prepared()
        savepoint = state.savepoint() if in_a_snapshot else None
        if not interrupted(lambda state=state, change=change: state.commit(change), count):  # type: ignore[misc]
            break
        count += 1
        try:
            found = everything(state.store)
            if savepoint is not None:
                state.rollback(savepoint)
                assert everything(state.store) == before
        except StateError:
            refused += 1
        else:
            assert found in (before, after)
            taken_back += found == before
            made += found == after
    assert count > 100
    assert (refused if in_a_snapshot else taken_back) > count // 2
    assert made


def test_a_closed_store_says_so(store: PageStore) -> None:
    store.close()
    store.close()
    for use in (store.state_root, store.begin_group, store.commit_group, store.flush_log, store.regions):
        with pytest.raises(StateError, match="the world is closed"):
            use()
    with pytest.raises(StateError, match="the world is closed"):
        store.commit(ChangeSet())
    with pytest.raises(StateError, match="the world is closed"):
        store.image(A, "memory")
    with pytest.raises(StateError, match="the world is closed"):
        _ = store.accounts
