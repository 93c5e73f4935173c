"""Committed state in a directory, that outlasts the process and the machine's sudden end.

A commit is one transaction of the catalogue, which has accounts, digests and the changed pages; then it is durable. The
pages are written into the images after that, where they are mapped from. From time to time the images are synced and
the log is emptied. Opening a world applies what is left in the log: doing so twice does no harm.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from storagemod.errors import StateError
from storagemod.pages import MemoryImage, WritableImage
from storagemod.state.catalogue import Catalogue, RegionChange, RegionRecord, Synchronous
from storagemod.state.changes import ChangeSet
from storagemod.state.claim import CATALOGUE, IMAGES, Claim, claim_for_reading, claim_for_writing
from storagemod.state.committed import CommittedStore
from storagemod.state.failures import failure
from storagemod.state.image_files import ImageFiles
from storagemod.state.stored_regions import StoredRegion, StoredRegions
from storagemod.types import Address

LOG_PAGES_MAX = 4_096
"""Pages in the log, 16 MiB, at which it is emptied."""

OVERLAY_PAGES_MAX = 64
"""Pages that lie over images before they are written into them, where that takes a sync. Each run is a mapping."""


class SqlitePageStore(CommittedStore[StoredRegion]):
    """A page store in a directory, for one writer and any number of readers.

    A reader sees the state that there was when it opened the directory, as long as it stays. Meanwhile the writer goes
    on, but keeps what it commits in memory and in the log.

    Args:
        directory: Where; made by the first writer.
        new_image: Makes empty images that need no disk, for pages on their way into a file.
        synchronous: ``"full"``: what is committed stays whatever happens. ``"normal"`` does not wait for the disk: a
            commit outlasts the process, but when the machine stops, the last ones may be lost, none by half.
        read_only: Whether to open it as a reader.
        log_pages_max: How many pages the log may have before it is emptied.

    Raises:
        StateError: There is no world and none can be made; or it has a writer; or it is damaged.
    """

    def __init__(
        self,
        directory: Path,
        new_image: Callable[[], WritableImage] = MemoryImage,
        *,
        synchronous: Synchronous = "full",
        read_only: bool = False,
        log_pages_max: int = LOG_PAGES_MAX,
    ) -> None:
        self.directory = directory.absolute()
        self.read_only = read_only
        self._synchronous = synchronous
        self._log_pages_max = log_pages_max
        self._process = os.getpid()
        self._closed = False
        self._sound = True
        self._held: list[ChangeSet] | None = None
        self._unsettled: set[StoredRegion] = set()  # not all in their files
        self._unsynced: set[StoredRegion] = set()  # written to their files since these were synced
        self._logged = 0
        with ExitStack() as resources:
            self._claim = (claim_for_reading if read_only else claim_for_writing)(self.directory)
            resources.callback(self._claim.close)
            self._catalogue = _open_catalogue(self._claim, synchronous, read_only=read_only)
            resources.callback(self._catalogue.close)
            self._files = ImageFiles(self.directory / IMAGES, self._catalogue.world, read_only=read_only)
            resources.callback(self._files.close)
            regions = StoredRegions(self._catalogue, self._files, new_image)
            super().__init__(regions.new)
            self._load(regions)
            self._resources = resources.pop_all()
        if not read_only:
            self._after_commit()

    # What there is

    @property
    def commits(self) -> int:
        """How many times something was made durable here."""
        self._check()
        return self._catalogue.commits

    def damage(self) -> list[str]:
        """What is wrong with the catalogue as a file, in words; nothing if all is well. Reads all of it."""
        self._check()
        return self._catalogue.damage()

    # What changes it

    def commit(self, changes: ChangeSet) -> None:
        """Take a change in. It is durable when this returns, unless the store holds.

        Raises:
            StateError: It cannot be kept, or the store is read-only. Nothing has changed. Where the disk failed, the
                world has to be opened again to learn what is on it.
        """
        self._check_writable()
        with self._uninterrupted():
            self._committed.change(changes)
            if self._held is None:
                self._keep(changes)
            else:
                self._held.append(changes)

    def hold(self) -> None:
        """Keep all that is committed from now on from becoming durable, until :meth:`release`."""
        self._check()
        if self._held is not None:
            raise StateError("the store holds already")
        self._held = []

    def release(self) -> None:
        """Make what was committed since :meth:`hold` durable, all of it at once.

        Raises:
            StateError: It cannot be kept. Everything is as it was when the hold began.
        """
        self._check()
        with self._uninterrupted():
            held = self._merged_held()
            self._held = None
            if held:
                self._keep(held)

    def checkpoint(self) -> None:
        """Bring all that is committed into the images, and empty the log.

        Raises:
            StateError: The files cannot be written, or a reader is using them. Nothing is lost: the log has it.
        """
        self._check_writable()
        if self._held is not None:
            raise StateError("what a snapshot or a deployment has begun cannot be brought into the images yet")
        if not self._checkpoint():
            raise StateError(
                f"the images of {self.directory} are in use by a reader", hint="nothing is lost: the log has it all"
            )

    def close(self) -> None:
        """Bring what is committed into the images if no reader uses them, and give back what the store has.

        What is held and was not released is dropped. Closing twice does no harm.

        Raises:
            StateError: The images cannot be written. The store is closed, and nothing is lost: the log has it all.
        """
        if self._closed or self._process != os.getpid():  # what a fork shares with its parent is left to that one
            return
        self._closed = True
        with self._resources:
            if self.read_only or not (self._sound and self._catalogue.trusted and self._committed.whole):
                return
            held = self._merged_held()
            if held:
                self._committed.change(held.inverted())
            if self._logged:
                self._checkpoint()

    def _load(self, regions: StoredRegions) -> None:
        for address, account in self._catalogue.accounts():
            self._committed.set_account(address, account)
        log = self._catalogue.log()
        self._logged = sum(len(pages) for pages in log.values())
        for record in self._catalogue.regions():
            with _files_failing(self.directory):
                region = regions.existing(record, log.get(record.id, {}))
            self._committed.add(record.address, record.name, region)
            if not region.settled:
                self._unsettled.add(region)

    # Committing

    def _keep(self, changes: ChangeSet) -> None:
        """Make durable what is shown; if that fails, show again what was before."""
        regions = {key: self._region(key) for key, written in changes.regions.items() if written}
        try:
            records = [_change(key, region, changes) for key, region in regions.items()]
            self._catalogue.commit(changes.accounts, records)
        except StateError:
            self._committed.change(changes.inverted())
            raise
        for region in regions.values():
            region.tree().mark_stored()
        self._unsettled.update(regions.values())
        self._logged += sum(len(record.pages) for record in records)
        self._after_commit()

    def _region(self, key: tuple[Address, str]) -> StoredRegion:
        region = self._committed.region(*key)
        assert region is not None  # noqa: S101 - it was shown
        return region

    def _merged_held(self) -> ChangeSet:
        first, *others = self._held or [ChangeSet()]
        return first.merged(*others)

    def _after_commit(self) -> None:
        """Move pages on to where they stay, if it is time, and as far as it can be done.

        What is committed is durable by now, in the log. So there is no one to tell if this fails: it is tried again
        after the next commit, and those who ask for it, ``checkpoint`` and ``close``, are told.
        """
        with suppress(StateError):
            if self._logged > self._log_pages_max:
                self._checkpoint()
            else:
                self._settle()

    def _settle(self) -> None:
        """Write what is committed into the images, unless a reader uses them."""
        if self._synchronous == "normal":
            # The log has to be on the disk before the images, or they might show half of what was never committed.
            if sum(region.overlay.newer_pages for region in self._unsettled) < OVERLAY_PAGES_MAX:
                return
            self._catalogue.sync()
        with self._claim.without_readers() as alone:
            if alone:
                self._write_images()

    def _checkpoint(self) -> bool:
        """Bring what is committed into the images for good, unless a reader uses them; say whether it was done."""
        with self._claim.without_readers() as alone:
            if not alone:
                return False
            self._catalogue.sync()
            self._write_images()
            with _files_failing(self.directory):
                try:
                    self._files.sync(region.id for region in self._unsynced)
                except (OSError, StateError):
                    self._show_log()
                    raise
            self._catalogue.empty_log({region.id: self._files.stored_pages(region.id) for region in self._unsynced})
            self._unsynced.clear()
            self._logged = 0
            return True

    def _write_images(self) -> None:
        with _files_failing(self.directory):
            for region in list(self._unsettled):
                self._unsynced.add(region)
                region.overlay.settle()
                self._unsettled.discard(region)

    def _show_log(self) -> None:
        """Lay the logged pages over the images again: after a failed sync, nobody knows which of them are there."""
        log = self._catalogue.log()
        for _, region in self._committed.regions():
            if region.id in log:
                region.overlay.replace(region.overlay.wasm_pages, log[region.id])
                self._unsettled.add(region)

    # Whether it can be used

    def _check(self) -> None:
        if self._closed:
            raise StateError("the world is closed")
        if self._process != os.getpid():
            raise StateError(
                f"the world {self.directory} was opened by process {self._process}, before it forked",
                hint="open it again here, to read only",
            )
        if not self._sound or not self._catalogue.trusted:
            raise StateError(
                f"a commit to the world {self.directory} was interrupted, or its disk failed",
                hint="open it again: it has all that was committed before",
            )
        super()._check()

    def _check_writable(self) -> None:
        self._check()
        if self.read_only:
            raise StateError(f"the world {self.directory} is open to read only")

    @contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        """See to it that the store is not used any more if what is done now is broken off, by Ctrl-C, say."""
        self._sound = False
        try:
            yield
        except StateError:
            self._sound = True
            raise
        self._sound = True


def _open_catalogue(claim: Claim, synchronous: Synchronous, *, read_only: bool) -> Catalogue:
    path = claim.directory / CATALOGUE
    if not read_only:
        return Catalogue(path, synchronous=synchronous)
    left = path.with_name(f"{CATALOGUE}-wal")
    immutable = claim.undisturbed and not (left.exists() and left.stat().st_size)
    return Catalogue(path, read_only=True, immutable=immutable)


def _change(key: tuple[Address, str], region: StoredRegion, changes: ChangeSet) -> RegionChange:
    root = region.root()
    record = RegionRecord(region.id, *key, region.image.wasm_pages, root)
    pages = {number: new for number, (_, new) in changes.regions[key].pages.items()}
    return RegionChange(record, region.tree().changed(), pages)


@contextmanager
def _files_failing(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise failure(f"the files of the world {directory} cannot be written", error) from error
