"""Committed state: changes, the stores that make them, the one in memory, and savepoints over any of them."""

from __future__ import annotations

import hashlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NewType
from weakref import WeakSet

from attrs import field, frozen

from storagemod.errors import StateError
from storagemod.pages import (
    DIGEST_BYTES,
    NO_IMAGE,
    PAGES_PER_WASM_PAGE,
    TREE_PAGES_MAX,
    HashTree,
    Image,
    MemoryImage,
    RegionDiff,
    WritableImage,
    coded_length,
)
from storagemod.state.account import NO_ACCOUNT, Account, AccountIndex, account_digest
from storagemod.types import Address

_WASM_PAGES_MAX = TREE_PAGES_MAX // PAGES_PER_WASM_PAGE


@frozen
class ChangeSet:
    """All that one transaction commits: accounts and regions, each before and after."""

    accounts: Mapping[Address, tuple[Account, Account]] = field(factory=dict)
    regions: Mapping[tuple[Address, str], RegionDiff] = field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self.accounts) or any(self.regions.values())

    def inverted(self) -> ChangeSet:
        """Return the change that takes this one back."""
        return ChangeSet(
            {address: (new, old) for address, (old, new) in self.accounts.items()},
            {key: diff.inverted() for key, diff in self.regions.items()},
        )

    def merged(self, *later: ChangeSet) -> ChangeSet:
        """Join this change and later ones. What ends as it began drops out. Costs the sum of their sizes."""
        accounts = dict(self.accounts)
        regions = {key: [diff] for key, diff in self.regions.items()}
        for changes in later:
            for address, (between, account) in changes.accounts.items():
                old, _ = accounts.get(address, (between, between))
                accounts[address] = (old, account)
            for key, diff in changes.regions.items():
                regions.setdefault(key, []).append(diff)
        merged = {key: first.merged(*others) if others else first for key, (first, *others) in regions.items()}
        return ChangeSet(
            {address: (old, new) for address, (old, new) in accounts.items() if old != new},
            {key: diff for key, diff in merged.items() if diff},
        )


class CommittedRegion:
    """One region: its image, and the hash tree over it, which is brought up to date when it is needed.

    Args:
        image: Its bytes.
        tree: Its hash tree.
        root: The root, if it is known. Nothing is hashed to learn it then.
    """

    __slots__ = ("_root", "_tree", "_unhashed", "image")

    def __init__(self, image: WritableImage, tree: HashTree, root: bytes | None = None) -> None:
        self.image = image
        self._tree = tree
        self._root = root
        self._unhashed: set[int] = set()

    def change(self, diff: RegionDiff) -> None:
        """Apply a change.

        Raises:
            OSError: The image cannot be written; part of the change may be in it.
        """
        self._root = None  # first, as the image may be left half changed
        pages = diff.pages
        self._unhashed.update(pages)
        self.image.replace(diff.pages_new, {number: pair[1] for number, pair in pages.items()}, diff.spare_new)

    def tree(self) -> HashTree:
        """Return the hash tree over the region as it is now."""
        if self._unhashed:
            self._tree.update({number: self.image.page(number) for number in self._unhashed})
            self._unhashed.clear()
        return self._tree

    def root(self) -> bytes:
        """Return the digest of the region as it is now, 32 bytes."""
        if self._root is None:
            self._root = self.tree().root(coded_length(self.image.wasm_pages, self.image.spare))
        return self._root


@frozen
class Fault:
    """Reason why a store cannot be used."""

    reason: str
    hint: str | None = None


CLOSED = Fault("the world is closed")
_BUSY = Fault("a commit is being made", hint="read when it is over")
_HALF_CHANGED = Fault("a commit could be neither made nor taken back", hint="open the world again")


class PageStore(ABC):
    """Committed accounts and regions. A commit is made whole or not at all. For one thread at a time.

    Every method raises ``StateError`` if the store is closed, belongs to another process, or its files fail.
    """

    read_only = False
    """Whether commits are refused."""

    def __init__(self) -> None:
        self._accounts: dict[Address, Account] = {}
        self._index = AccountIndex()
        self._regions: dict[Address, dict[str, CommittedRegion]] = {}
        self._digests: dict[Address, bytes] = {}  # addresses and digests as they are, of accounts that were hashed
        self._fault: Fault | None = None

    # What is committed

    @property
    def accounts(self) -> Mapping[Address, Account]:
        """Every account that is not the default one; a live, read-only view."""
        self._check()
        return MappingProxyType(self._accounts)

    @property
    def labels(self) -> Mapping[Address, str]:
        """The names of the accounts that have one: a mapping that never changes, and stays the same until one does."""
        self._check()
        return self._index.labels

    def is_name_taken(self, name: str) -> bool:
        """Whether an account has this name."""
        self._check()
        return self._index.is_name_taken(name)

    def linked_to(self, address: Address) -> list[Address]:
        """Return the accounts whose imports are bound to an address, in order."""
        self._check()
        return self._index.linked_to(address)

    def image(self, address: Address, region: str) -> Image:
        """Return a region's committed bytes; of length 0 where there is none. Good until the next commit."""
        self._check()
        found = self._region(address, region)
        return NO_IMAGE if found is None else found.image

    def region_names(self, address: Address) -> tuple[str, ...]:
        """Return the regions of one address that are not empty, in the order of their names."""
        self._check()
        regions = self._regions.get(address, {})
        return tuple(name for name, region in sorted(regions.items()) if region.image.wasm_pages)

    def regions(self) -> Iterator[tuple[tuple[Address, str], CommittedRegion]]:
        """Return every region that is not empty, in the order of addresses and names."""
        self._check()
        return self._all_regions()

    def _all_regions(self) -> Iterator[tuple[tuple[Address, str], CommittedRegion]]:
        for address, regions in sorted(self._regions.items()):
            for name, region in sorted(regions.items()):
                if region.image.wasm_pages:
                    yield (address, name), region

    def state_root(self) -> bytes:
        """Return the digest of all accounts and storage, 32 bytes. What did not change is not hashed again.

        See :func:`storagemod.state.account_digest`.
        """
        self._check()
        state = hashlib.blake2b(digest_size=DIGEST_BYTES, person=b"storagemod state")
        digests = self._digests
        for address in sorted(self._accounts.keys() | self._regions.keys()):
            digest = digests.get(address)
            if digest is None:
                digest = digests[address] = self._addressed_digest(address)
            state.update(digest)
        return state.digest()

    def _addressed_digest(self, address: Address) -> bytes:
        """Return an address and the digest of its account; nothing where there is neither account nor storage."""
        regions = self._regions.get(address, {})
        roots = {name: region.root() for name, region in regions.items() if region.image.wasm_pages}
        if not roots and address not in self._accounts:
            return b""
        return address + account_digest(self._accounts.get(address, NO_ACCOUNT), roots)

    # What changes it

    @abstractmethod
    def commit(self, changes: ChangeSet) -> None:
        """Make a change. It shows at once, and is durable when this returns, unless a group has begun.

        Raises:
            StateError: It cannot be made, or the store is read-only. Nothing has changed.
        """

    @abstractmethod
    def begin_group(self) -> None:
        """Begin a group: commits do not become durable until :meth:`commit_group`."""

    @abstractmethod
    def commit_group(self) -> None:
        """Make what was committed since :meth:`begin_group` durable, all of it at once.

        Raises:
            StateError: It cannot be made durable. Everything is as it was when the group began.
        """

    @abstractmethod
    def flush_log(self) -> None:
        """Move what is committed to its final place, so that opening the store again takes less time.

        Raises:
            StateError: It cannot be moved now. Nothing is lost.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the resources of the store. A group that was not committed is dropped. Idempotent."""

    # For the stores themselves

    def _check(self) -> None:
        """Raise ``StateError`` if the store cannot be used."""
        if self._fault is not None:
            raise StateError(self._fault.reason, hint=self._fault.hint)

    @abstractmethod
    def _new_region(self, address: Address, name: str) -> CommittedRegion:
        """Make an empty region."""

    def _region(self, address: Address, name: str) -> CommittedRegion | None:
        regions = self._regions.get(address)
        return None if regions is None else regions.get(name)

    def _apply(self, changes: ChangeSet) -> None:
        """Show a change, whole or not at all.

        Raises:
            StateError: There is no room for it.
        """
        for diff in changes.regions.values():
            if diff.pages_new > _WASM_PAGES_MAX:
                raise StateError(
                    f"a region of storage has {_WASM_PAGES_MAX:,} Wasm pages at most, got {diff.pages_new:,}"
                )
        fault, self._fault = self._fault, _BUSY  # for signal handlers, which may read in the middle of it
        try:
            self._show(changes)
        except BaseException as error:  # an interruption as well must not leave half of it
            self._fault = _HALF_CHANGED
            try:
                self._show(changes.inverted())
            except OSError as again:
                raise _no_room(again) from again
            self._fault = fault
            if isinstance(error, OSError):
                raise _no_room(error) from error
            raise
        self._fault = fault

    def _show(self, changes: ChangeSet) -> None:
        accounts, digests = self._accounts, self._digests
        for address, (_, account) in changes.accounts.items():
            digests.pop(address, None)
            old = accounts.get(address, NO_ACCOUNT)
            if account.nonce or account.balance or account != NO_ACCOUNT:
                accounts[address] = account
            else:
                accounts.pop(address, None)
            if account.name is not old.name or account.links is not old.links:
                self._index.update(address, old, account)
        for (address, name), diff in changes.regions.items():
            if diff:
                digests.pop(address, None)
                region = self._region(address, name)
                if region is None:
                    region = self._new_region(address, name)
                    self._regions.setdefault(address, {})[name] = region
                region.change(diff)


class MemoryPageStore(PageStore):
    """A page store that lasts as long as the process.

    Args:
        new_image: Makes an empty image.
    """

    def __init__(self, new_image: Callable[[], WritableImage] = MemoryImage) -> None:
        super().__init__()
        self._new_image = new_image

    def commit(self, changes: ChangeSet) -> None:
        """Make a change.

        Raises:
            StateError: There is no room for it. Nothing has changed.
        """
        if self._fault is not None:
            self._check()
        self._apply(changes)

    def begin_group(self) -> None:
        """Do nothing: no commit outlasts the process."""
        self._check()

    def commit_group(self) -> None:
        """Do nothing, as above."""
        self._check()

    def flush_log(self) -> None:
        """Do nothing: there is no log."""
        self._check()

    def close(self) -> None:
        """Forget everything. Idempotent."""
        self._fault = CLOSED
        self._accounts = {}
        self._index = AccountIndex()
        self._regions = {}

    def _new_region(self, address: Address, name: str) -> CommittedRegion:  # noqa: ARG002 - all are alike
        return CommittedRegion(self._new_image(), HashTree())


def _no_room(error: OSError) -> StateError:
    return StateError(f"there is no room for the change: {error}", cause=error)


def _joined(commits: Sequence[ChangeSet]) -> ChangeSet:
    return commits[0].merged(*commits[1:]) if len(commits) > 1 else commits[0]


Savepoint = NewType("Savepoint", int)

_states: WeakSet[WorldState] = WeakSet()


def _forget_locks() -> None:
    """Have locks in a forked child that no thread of its parent holds."""
    for state in list(_states):
        state.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


class WorldState:
    """A page store and, while there are savepoints, every commit since the oldest of them.

    Commits between the outermost savepoint and its end are one group of the store: they become durable together, or
    not at all if the process dies before.

    Attributes:
        store: The page store. It is for one thread at a time.
        lock: Held while the store changes. Who reads on another thread takes it, to see one committed state.
    """

    def __init__(self, store: PageStore) -> None:
        self.store = store
        self.lock = threading.RLock()
        _states.add(self)
        self._savepoints: list[list[ChangeSet]] = []
        self._settled = True

    @property
    def labels(self) -> Mapping[Address, str]:
        """The names of the accounts that have one: a mapping that never changes, and stays the same until one does."""
        return self.store.labels

    def commit(self, changes: ChangeSet) -> None:
        """Make a change, whole.

        Raises:
            StateError: The store cannot make it.
        """
        if self._settled and not self._savepoints:
            with self.lock:
                self.store.commit(changes)
            return
        self._check()
        self._settled = False  # an interruption must not leave a commit that no savepoint knows
        try:
            with self.lock:
                self.store.commit(changes)
        except StateError:
            self._settled = True
            raise
        self._savepoints[-1].append(changes)
        self._settled = True

    def savepoint(self) -> Savepoint:
        """Begin a savepoint. Savepoints nest, and the newest is ended first."""
        self._check()
        self._settled = False
        if not self._savepoints:
            try:
                with self.lock:
                    self.store.begin_group()
            except StateError:  # then there is no group
                self._settled = True
                raise
        self._savepoints.append([])
        self._settled = True
        return Savepoint(len(self._savepoints))

    def changes_since(self, savepoint: Savepoint) -> ChangeSet:
        """Return what was committed since a savepoint, inner ones included, as one change."""
        levels = self._savepoints[savepoint - 1 :]
        for level in levels:
            if len(level) > 1:
                level[:] = [_joined(level)]  # kept, as a rollback needs it too
        commits = [changes for level in levels for changes in level]
        return _joined(commits) if commits else ChangeSet()

    def release(self, savepoint: Savepoint) -> None:
        """End a savepoint, and keep what was committed since.

        Raises:
            StateError: It was the outermost one, and the store cannot keep it: all since that savepoint is undone.
        """
        newest = self._end(savepoint)
        if self._savepoints:
            self._savepoints[-1] += newest
        else:
            try:
                with self.lock:
                    self.store.commit_group()
            except StateError:  # then the store itself has gone back to where the group began
                self._settled = True
                raise
        self._settled = True

    def rollback(self, savepoint: Savepoint) -> None:
        """End a savepoint, and bring the state back to it."""
        newest = self._end(savepoint)
        with self.lock:
            if newest:
                self.store.commit(_joined(newest).inverted())
            if not self._savepoints:
                self.store.commit_group()
        self._settled = True

    def close(self) -> None:
        """Close the store.

        Raises:
            StateError: A savepoint is open; or what is committed could not be moved to its final place. Nothing is
                lost then.
        """
        if self._savepoints:
            raise StateError("a snapshot is still open", hint="let its block end first")
        with self.lock:
            self.store.close()

    def flush_log(self) -> None:
        """Move what is committed to its final place.

        Raises:
            StateError: It cannot be moved now. Nothing is lost.
        """
        with self.lock:
            self.store.flush_log()

    def _end(self, savepoint: Savepoint) -> list[ChangeSet]:
        self._check()
        if savepoint != len(self._savepoints):
            raise StateError("snapshots end in the reverse order of their beginning; an inner one is still open")
        self._settled = False
        return self._savepoints.pop()

    def _check(self) -> None:
        if not self._settled:
            # A group may still be open in the store, and a commit to it would never become durable.
            raise StateError("the end of a snapshot or deployment was interrupted", hint="open the world again")
