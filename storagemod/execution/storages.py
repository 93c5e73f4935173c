"""The storage modules of one transaction: opened at first use, asked at each boundary of a call what was written."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from attrs import frozen

from storagemod.errors import TrapError
from storagemod.events import StorageChange
from storagemod.linking import LiveStorage, outside_region, static_growth, static_write
from storagemod.pages import Journal, RegionDiff
from storagemod.state import PageStore
from storagemod.types import Address
from storagemod.wasm import Store


@frozen
class Growth:
    """A region became longer, in Wasm pages."""

    region: str
    pages_old: int
    pages_new: int


@frozen
class Collected:
    """What one call changed between two boundaries, and the rule that it broke by that, if any."""

    changes: tuple[StorageChange, ...] = ()
    growths: tuple[Growth, ...] = ()
    broken: TrapError | None = None


_NOTHING = Collected()


class Storages:
    """Live storage by address, over one journal."""

    def __init__(self, state: PageStore, store: Store, journal: Journal) -> None:
        self._state = state
        self._store = store
        self._journal = journal
        self._live: dict[Address, LiveStorage] = {}

    def open(self, address: Address) -> LiveStorage:
        """The storage of an address, without any region if it was not open."""
        storage = self._live.get(address)
        if storage is None:
            image_of = functools.partial(self._state.image, address)
            storage = self._live[address] = LiveStorage(self._store, self._journal, image_of)
        return storage

    def forget(self, address: Address) -> None:
        """Close the storage of a contract whose creation was undone, so that all is new if it is created again."""
        self._live.pop(address, None)

    def collect(self, storage: LiveStorage | None, *, static: bool, details: bool) -> Collected:
        """Take in what the call that ran on a storage wrote since the last boundary; changes and growths with details.

        The rules that only a look at the whole memory can keep are checked here: a static call changes nothing
        (rule 6), and nothing is written beyond a region's length (rule 5).
        """
        if storage is None:
            return _NOTHING
        changes: list[StorageChange] = []
        growths: list[Growth] = []
        broken: TrapError | None = None
        for name, region in storage.regions.items():
            written = self._journal.collect(region)
            if not written:
                continue
            if details:
                changes += [StorageChange(name, run.offset, run.old, run.new) for run in written.runs]
            if details and written.pages_old != written.pages_new:
                growths.append(Growth(name, written.pages_old, written.pages_new))
            if broken is None and written.outside:
                broken = outside_region()
            elif broken is None and static:
                broken = static_write() if written.pages else static_growth(name)
        return Collected(tuple(changes), tuple(growths), broken)

    def first_touched(self, storage: LiveStorage) -> Iterator[tuple[str, tuple[tuple[int, int], ...]]]:
        """By region, the pages that were touched for the first time since this was last asked, where that is known."""
        for name, region in storage.regions.items():
            runs = self._journal.first_touched(region)
            if runs:
                yield name, runs

    @property
    def bytes_copied(self) -> int:
        """Bytes that the host copied for contracts, out of and into storage."""
        return sum(storage.copied.bytes for storage in self._live.values())

    def write_sets(self) -> dict[tuple[Address, str], RegionDiff]:
        """What differs from the committed images, by address and region."""
        return {
            (address, name): written
            for address, storage in self._live.items()
            for name, region in storage.regions.items()
            if (written := self._journal.write_set(region))
        }
