"""Committed state in a directory, which survives the end of the process and of the machine.

A commit is one transaction of the catalogue: accounts, lengths, and the changed pages in its log. Then it is durable.
Pages are *settled* later, several commits at once: written into the image files, where they are mapped from. When the
log is long, it is *flushed*: the image files are synced, the hash trees brought up to date and stored, and the log
emptied. Opening a world applies what the log still has, which can be repeated.

A world that is not as its last commit left it is told at its opening: commits that are missing, rows of other times, a
copy whose files are of other times.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path

from attrs import frozen

from storagemod.errors import StateError
from storagemod.pages import (
    FileImage,
    HashTree,
    MemoryImage,
    NodeKey,
    OverlayImage,
    RegionDiff,
    WritableImage,
    coded_length,
    decoded_length,
    page_digest,
)
from storagemod.state.account import NO_ACCOUNT
from storagemod.state.catalogue import Catalogue, RegionRecord, Synchronous
from storagemod.state.chain import NewestFile, missing
from storagemod.state.directory import (
    CATALOGUE,
    IMAGES,
    NEWEST,
    DirectoryLock,
    failure,
    lock_for_reading,
    lock_for_writing,
)
from storagemod.state.image_files import ImageFiles, describe_images
from storagemod.state.store import CLOSED, ChangeSet, CommittedRegion, Fault, PageStore
from storagemod.types import Address

LOG_PAGES_MAX = 4_096
"""Pages in the log, 16 MiB, at which it is flushed."""

_LOGS_KEPT = 4
"""How many times as long as it should be the log may become while it cannot be emptied."""

OVERLAY_PAGES_MAX = 64
"""Pages that lie over images before they are settled. Each run of them is a mapping."""


@frozen
class Damage:
    """Something that is not what was committed.

    Attributes:
        what: Description of the damage.
        address: The account concerned, if there is one.
        region: The region concerned, if there is one.
        page: The number of the page of 4 KiB, if a page is damaged.
    """

    what: str
    address: Address | None = None
    region: str | None = None
    page: int | None = None

    @property
    def where(self) -> str:
        """The account and the region, to be followed by what is wrong there; empty if there are none."""
        return "" if self.address is None else f"{self.address} {self.region}: "


class StoredRegion(CommittedRegion):
    """A region whose image is a file, with newer pages over it.

    Args:
        number: Its key in the catalogue.
        base: Its file.
        upper: An empty image for newer pages.
        load_node: Gives a stored node of its hash tree.
    """

    __slots__ = ("_load_node", "_stored_pages", "_tree_length", "_tree_root", "id", "logged", "overlay")

    def __init__(
        self, number: int, base: FileImage, upper: WritableImage, load_node: Callable[[NodeKey], bytes]
    ) -> None:
        self.id = number
        self.overlay = OverlayImage(base, upper)
        self.logged: set[int] = set()
        """The pages of the log."""
        self._load_node = load_node
        self._tree_root = _EMPTY_ROOT
        self._tree_length = 0
        self._stored_pages = 0
        super().__init__(self.overlay, HashTree(load_node))

    def load(self, record: RegionRecord, logged: Mapping[int, bytes]) -> None:
        """Take over what the catalogue has, and lay pages of the log over the image.

        Raises:
            OSError: There is no room for the pages.
        """
        self._tree_root, self._tree_length = record.tree_root, record.tree_length
        self._stored_pages = record.stored_pages
        wasm_pages, spare = decoded_length(record.length)
        self.overlay.replace(wasm_pages, logged, spare)
        self._unhashed.update(logged)
        self.logged.update(logged)
        if not logged and record.length == record.tree_length:
            self._root = record.tree_root

    @property
    def _length(self) -> int:
        return coded_length(self.overlay.wasm_pages, self.overlay.spare)

    def logged_record(self, key: tuple[Address, str], pages: Mapping[int, object]) -> RegionRecord:
        """Return its record once these pages are in the log as well."""
        logged_pages = len(self.logged) + sum(number not in self.logged for number in pages)
        tree = (self._tree_root, self._tree_length)
        return RegionRecord(self.id, *key, self._length, *tree, self._stored_pages, logged_pages)

    def flushed_record(self, key: tuple[Address, str], stored_pages: int) -> RegionRecord:
        """Return its record once the log is empty."""
        length = self._length
        return RegionRecord(self.id, *key, length, self.root(), length, stored_pages, 0)

    def note_flushed(self, stored_pages: int) -> None:
        """Note that the log is empty, and that the catalogue has the hash tree and the length of the file."""
        self._tree_root, self._tree_length = self.root(), self._length
        self._stored_pages = stored_pages
        self.logged.clear()
        self._tree.mark_stored()

    def stored_tree(self) -> tuple[HashTree, bool]:
        """Return the hash tree that the catalogue has, and whether its root is the one that was stored."""
        tree = HashTree(self._load_node)
        return tree, tree.root(self._tree_length) == self._tree_root

    def damage(self) -> Iterator[tuple[str, int | None]]:
        """Hash it again, and yield what is wrong, with the number of the page where it is one.

        Raises:
            StateError: The image or the hash tree cannot be read.
        """
        stored, fits = self.stored_tree()
        for pages in stored.broken():
            yield f"the hash tree over pages [{pages.start:,}, {pages.stop:,}) does not fit together", None
        if not fits:
            yield "the root is not that of the hash tree", None
        tree = self.tree()
        expected = set(tree.pages())
        wrong = []
        for number, data in self.image.pages():
            if page_digest(data) != tree.page(number):
                wrong.append(number)
            expected.discard(number)
        for number in sorted([*wrong, *expected]):  # what is left over should hold something, and is zeros
            yield f"page {number:,} is not what was committed", number


_EMPTY_ROOT = HashTree().root(0)


class SqlitePageStore(PageStore):
    """A page store in a directory, for one writer and any number of readers.

    A reader sees the state at the moment when it opened the directory, as long as it stays. Meanwhile the writer goes
    on, but keeps what it commits in memory and in the log.

    Args:
        directory: Where; made by the first writer.
        new_image: Makes empty images that need no disk, for pages on their way into a file.
        synchronous: ``"full"``: what is committed stays whatever happens. ``"normal"`` does not wait for the disk: a
            commit outlasts the process, but when the machine stops, the last ones may be lost, none by half.
        read_only: Whether to open it as a reader.
        log_pages_max: How many pages the log may have before it is flushed.
        tolerant: Whether to open it though it is not as its last commit left it. Then ``problems`` says what is wrong,
            and nothing can be committed before :meth:`accept`.

    Attributes:
        problems: What is not as the last commit left it; empty if all is well. Pages are not hashed to learn this,
            except those of a copy of a directory that was open.

    Raises:
        StateError: There is no world and none can be made; or it has a writer; or it is damaged; or it is not as its
            last commit left it.
    """

    def __init__(
        self,
        directory: Path,
        new_image: Callable[[], WritableImage] = MemoryImage,
        *,
        synchronous: Synchronous = "full",
        read_only: bool = False,
        log_pages_max: int = LOG_PAGES_MAX,
        tolerant: bool = False,
    ) -> None:
        super().__init__()
        self.directory = directory.absolute()
        self.read_only = read_only
        self.problems: list[str] = []
        self._writing = False
        self._synced = synchronous == "full"
        self._new_image = new_image
        self._log_pages_max = log_pages_max
        self._process = os.getpid()
        self._interrupted = Fault(
            f"a commit to the world {self.directory} was interrupted, or its disk failed",
            hint="open it again: it has all that was committed before",
        )
        self._group: list[ChangeSet] | None = None
        self._next_id = 1
        self._logged = 0  # pages in the log
        self._logged_regions: dict[StoredRegion, tuple[Address, str]] = {}  # changed since the log was empty
        self._unsettled: dict[StoredRegion, int] = {}  # not all in their files, with their newer pages
        self._newer_pages = 0  # of all of them
        with ExitStack() as resources:
            self._lock = (lock_for_reading if read_only else lock_for_writing)(self.directory)
            resources.callback(self._lock.close)
            with _files_failing(self.directory, "read"):
                # Before the catalogue: a writer may go on, and what is newest now is not ahead of what is read then.
                self._newest = NewestFile(self._lock.fd, read_only=read_only)
            resources.callback(self._newest.close)
            self._catalogue = _open_catalogue(self._lock, synchronous, read_only=read_only)
            resources.callback(self._close_catalogue)
            self._files = ImageFiles(
                self.directory / IMAGES, self._lock.images_fd, self._catalogue.world, read_only=read_only
            )
            resources.callback(self._files.close)
            self._load()
            self.problems += self._find_problems()
            if self._lock.was_copied and not tolerant:
                self.problems += [damage.where + damage.what for damage in islice(self._damage(), _COPY_DAMAGE_MAX)]
            if self.problems and not tolerant:
                raise self._refusal()
            if not read_only and not tolerant:
                self._begin_writing()
            self._resources = resources.pop_all()
        if self._writing:
            self._after_commit()

    @property
    def newest(self) -> int:
        """The number of the newest commit."""
        self._check()
        return self._catalogue.link.number

    def verify(self) -> Iterator[Damage]:
        """Hash everything again, and yield what is wrong, in the order of addresses, regions and pages.

        Costs the bytes that are stored, and the memory of one number for each page. A store with damage that keeps it
        from being opened, like a missing image, does not get here.
        """
        self._check()
        for problem in self.problems:
            yield Damage(problem)
        yield from self._damage()

    def _damage(self) -> Iterator[Damage]:
        for text in self._catalogue.damage():
            yield Damage(f"the catalogue is damaged: {text}")
        for (address, name), region in self._all_regions():
            assert isinstance(region, StoredRegion)  # noqa: S101 - this store makes no others
            try:
                for what, page in region.damage():
                    yield Damage(what, address, name, page)
            except StateError as error:
                yield Damage(error.message, address, name)

    def _find_problems(self) -> Iterator[str]:
        """Yield what is not as the last commit left it, as far as nothing has to be hashed for that."""
        catalogue, newest = self._catalogue, self._newest
        if newest.exists and newest.world == catalogue.world:
            lacking = missing(newest.link, catalogue.link, catalogue.before)
            if lacking is not None:
                yield lacking if newest.synced else f"{lacking}, which a loss of power may do (synchronous=normal)"
        elif newest.world:
            yield f"the file {NEWEST} belongs to another world"
        elif newest.exists or catalogue.link.number:
            what = "damaged" if newest.exists else "missing"
            yield f"the file {NEWEST} is {what}: commits after {catalogue.link.number:,} may be missing"
        if not catalogue.fits_together:
            yield f"the rows of the catalogue are not those of commit {catalogue.link.number:,}, but of different times"
        for name in self._files.unknown():
            yield f"{IMAGES}/{name} belongs to no region: the commit that made it is missing"

    def _refusal(self) -> StateError:
        if not self.problems:
            return StateError(f"the world {self.directory} was opened to see what is wrong, and not to be written")
        first, *others = self.problems
        more = f" (and {len(others):,} more)" if others else ""
        copied = ", a copy of one that was not closed," if self._lock.was_copied else ""
        return StateError(
            f"the world {self.directory}{copied} is not as its last commit left it: {first}{more}",
            hint="restore it from a copy, or go on with what is there: `storagemod state accept`",
        )

    def _begin_writing(self) -> None:
        with _files_failing(self.directory):
            catalogue = self._catalogue
            self._newest.begin(catalogue.world, catalogue.link, catalogue.packed_link, synced=self._synced)
            self._lock.mark_open()
        self._writing = True

    def _close_catalogue(self) -> None:
        if self._lock.is_in_place:
            self._catalogue.close()
        else:
            self._catalogue.abandon()

    # What changes it

    def commit(self, changes: ChangeSet) -> None:
        """Make a change. It is durable when this returns, unless a group has begun.

        Raises:
            StateError: It cannot be made, or the store is read-only, or the log is far too long and cannot be emptied.
                Nothing has changed. Where the disk failed, the world has to be opened again to learn what is on it.
        """
        self._check_writable()
        with self._unusable_if_interrupted():
            if self._logged > _LOGS_KEPT * self._log_pages_max and self._group is None:
                self._flush_log()  # it failed before, and now it says so; a reader may hold it up
            self._apply(changes)
            if self._group is None:
                self._persist(changes)
            else:
                self._group.append(changes)

    def begin_group(self) -> None:
        """Begin a group: commits do not become durable until :meth:`commit_group`."""
        self._check()
        if self._group is not None:
            raise StateError("a group of commits is open already")
        self._group = []

    def commit_group(self) -> None:
        """Make what was committed since :meth:`begin_group` durable, all of it at once.

        Raises:
            StateError: It cannot be made durable. Everything is as it was when the group began.
        """
        self._check()
        with self._unusable_if_interrupted():
            changes = self._merged_group()
            self._group = None
            if changes:
                self._persist(changes)

    def accept(self) -> None:
        """Go on with what is there, though it is not as the last commit left it. Afterwards it is a state like others.

        Commits that are missing stay so, and their numbers are not used again. Pages that are not what was committed
        are taken as they are. Image files of no region are renamed.

        Raises:
            StateError: Hash trees or the catalogue are damaged, which cannot be accepted; or nothing can be written.
        """
        self._check()
        if self.read_only:
            raise self._only_readable()
        found = list(self._damage())
        for damage in found:
            if damage.page is None:
                raise StateError(f"this cannot be accepted: {damage.where}{damage.what}", hint=_RESTORE)
        number = max(self._catalogue.link.number, self._newest.link.number) + 1
        with self._unusable_if_interrupted():
            with _files_failing(self.directory):
                for name in self._files.unknown():
                    self._files.set_aside(name, number)
            self._catalogue.accept(number)
            self.problems.clear()
            self._begin_writing()
        regions: dict[tuple[Address, str], RegionDiff] = {}
        for damage in found:
            assert damage.address is not None and damage.region is not None and damage.page is not None  # noqa: S101, PT018
            key = (damage.address, damage.region)
            image = self.image(*key)
            data = image.page(damage.page)
            as_it_is = RegionDiff(image.wasm_pages, image.wasm_pages, {}, image.spare, image.spare)
            regions.setdefault(key, as_it_is).pages[damage.page] = data, data
        if regions:
            self.commit(ChangeSet(regions=regions))
        self.flush_log()

    def copy_files(self, directory: Path) -> None:
        """Copy a reader's files into an empty directory. The writer may go on: a reader's images stand still.

        Raises:
            StateError: This is no reader, or the files cannot be copied.
            OSError: The new ones cannot be written.
        """
        self._check()
        if not self.read_only:
            raise StateError("only a reader's files can be copied", hint="open the world to read only")
        (directory / IMAGES).mkdir()
        self._files.copy_to(directory / IMAGES)
        catalogue = self._catalogue
        catalogue.copy_to(directory / CATALOGUE)
        with ExitStack() as resources:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            resources.callback(os.close, fd)
            newest = NewestFile(fd, read_only=False)
            resources.callback(newest.close)
            newest.begin(catalogue.world, catalogue.link, catalogue.packed_link, synced=True)

    def flush_log(self) -> None:
        """Bring all that is committed into the images, and empty the log.

        Raises:
            StateError: The files cannot be written, or a reader is using them. Nothing is lost: the log has it.
        """
        self._check_writable()
        if self._group is not None:
            raise StateError("what a snapshot or a deployment has begun cannot be brought into the images yet")
        with self._unusable_if_interrupted():
            flushed = self._flush_log()
        if not flushed:
            raise StateError(
                f"the images of {self.directory} are in use by a reader", hint="nothing is lost: the log has it all"
            )

    def close(self) -> None:
        """Bring what is committed into the images if no reader uses them, and release resources.

        A group that was not committed is dropped. Idempotent.

        Raises:
            StateError: The images cannot be written. The store is closed, and nothing is lost: the log has it all.
        """
        if self._fault is CLOSED or self._process != os.getpid():  # a fork leaves what it shares to its parent
            return
        fault, self._fault = self._fault, CLOSED
        with self._resources:
            if not self._writing or fault is not None or not self._catalogue.trusted:
                return
            changes = self._merged_group()
            if changes:
                self._apply(changes.inverted())
            if self._logged:
                self._flush_log()
            with _files_failing(self.directory):
                self._newest.sync()
                self._lock.mark_closed()

    # Loading

    def _load(self) -> None:
        for address, account in self._catalogue.accounts():
            self._accounts[address] = account
            self._index.update(address, NO_ACCOUNT, account)
        for record, logged in self._catalogue.regions():
            self._next_id = max(self._next_id, record.id + 1)
            with _files_failing(self.directory):
                region = self._make_region(record.id, self._files.existing(record.id, record.stored_pages))
                region.load(record, logged)
            self._regions.setdefault(record.address, {})[record.name] = region
            self._logged += len(logged)
            if not region.overlay.settled:
                self._note_unsettled(region)
            if logged or not region.overlay.settled:
                self._logged_regions[region] = (record.address, record.name)

    def _new_region(self, address: Address, name: str) -> StoredRegion:  # noqa: ARG002 - the catalogue learns them later
        number = self._next_id
        self._next_id += 1
        return self._make_region(number, self._files.new(number))

    def _make_region(self, number: int, base: FileImage) -> StoredRegion:
        return StoredRegion(number, base, self._new_image(), partial(self._catalogue.node, number))

    # Committing

    def _persist(self, changes: ChangeSet) -> None:
        """Make durable what is shown. If that fails, show again what was before."""
        try:
            self._catalogue.commit(
                changes.accounts, [self._logged_change(key, diff) for key, diff in changes.regions.items() if diff]
            )
        except StateError:
            self._apply(changes.inverted())
            raise
        for key, diff in changes.regions.items():
            if diff:
                region = self._stored_region(key)
                region.logged.update(diff.pages)
                self._note_unsettled(region)
                self._logged_regions[region] = key
                self._logged += len(diff.pages)
        # The commit is durable by now. If this fails, the file has an older link, and the next commit writes a new one.
        with suppress(OSError):
            self._newest.write(self._catalogue.link.number, self._catalogue.packed_link)
        self._after_commit()

    def _logged_change(self, key: tuple[Address, str], diff: RegionDiff) -> tuple[RegionRecord, dict[int, bytes]]:
        region = self._stored_region(key)
        pages = {number: new for number, (_, new) in diff.pages.items()}
        return region.logged_record(key, pages), pages

    def _stored_region(self, key: tuple[Address, str]) -> StoredRegion:
        region = self._region(*key)
        assert isinstance(region, StoredRegion)  # noqa: S101 - this store makes no others
        return region

    def _merged_group(self) -> ChangeSet:
        first, *others = self._group or [ChangeSet()]
        return first.merged(*others)

    def _after_commit(self) -> None:
        """Move pages on towards their final place, if it is time, and as far as possible.

        What is committed is durable by now, in the log. A failure here is not reported at once: the next commit tries
        again, and ``flush_log``, ``close`` and commits report it once the log is far too long.
        """
        with suppress(StateError):
            if self._logged > self._log_pages_max:
                self._flush_log()
            elif self._newer_pages >= OVERLAY_PAGES_MAX:
                # The log has to be on the disk before the images, or they might show half of a commit that was lost.
                self._catalogue.sync()
                with self._lock.without_readers() as alone:
                    if alone:
                        self._settle()

    def _note_unsettled(self, region: StoredRegion) -> None:
        newer = region.overlay.newer_pages
        self._newer_pages += newer - self._unsettled.get(region, 0)
        self._unsettled[region] = newer

    def _flush_log(self) -> bool:
        """Bring what is committed into the images for good, unless a reader uses them. Return whether it was done."""
        with self._lock.without_readers() as alone:
            if not alone:
                return False
            self._catalogue.sync()
            regions = self._logged_regions
            for region in regions:
                region.root()  # while its new pages are in memory
            self._settle()
            with _files_failing(self.directory):
                try:
                    self._files.sync(region.id for region in regions)
                except (OSError, StateError):
                    self._show_log()
                    raise
                self._newest.sync()
            self._catalogue.empty_log(
                (region.flushed_record(key, self._files.stored_pages(region.id)), region.tree().changed())
                for region, key in regions.items()
            )
            for region in regions:
                region.note_flushed(self._files.stored_pages(region.id))
            self._logged_regions.clear()
            self._logged = 0
            return True

    def _settle(self) -> None:
        """Write newer pages into the image files."""
        with _files_failing(self.directory):
            for region in list(self._unsettled):
                region.overlay.settle()
                self._newer_pages -= self._unsettled.pop(region)

    def _show_log(self) -> None:
        """Lay the logged pages over the images again: after a failed sync, nobody knows which of them are there."""
        log = self._catalogue.log()
        for region in self._logged_regions:
            if region.id in log:
                region.overlay.replace(region.overlay.wasm_pages, log[region.id], region.overlay.spare)
                self._note_unsettled(region)

    # Whether it can be used

    def _check(self) -> None:
        if self._process != os.getpid():
            raise StateError(
                f"the world {self.directory} was opened by process {self._process}, before it forked",
                hint="open it again here, to read only",
            )
        if self._fault is None and not self._catalogue.trusted:
            self._fault = self._interrupted
        super()._check()

    def _check_writable(self) -> None:
        self._check()
        if self.read_only:
            raise self._only_readable()
        if not self._writing:
            raise self._refusal()

    def _only_readable(self) -> StateError:
        return StateError(f"the world {self.directory} is open to read only")

    @contextmanager
    def _unusable_if_interrupted(self) -> Iterator[None]:
        """Make the store unusable if the block is broken off, by Ctrl-C for example."""
        self._fault = self._interrupted
        try:
            yield
        except StateError:
            if self._fault is self._interrupted:
                self._fault = None
            raise
        self._fault = None


_COPY_DAMAGE_MAX = 100
"""Damage that is counted in a copy, of which the first is shown."""

_RESTORE = "restore the directory from a copy"


def what_is_left(directory: Path) -> list[str]:
    """Return what there is of a world that has lost its catalogue; nothing if it has one, or if there is no world.

    Raises:
        StateError: The files cannot be read.
    """
    if (directory / CATALOGUE).exists() or not directory.is_dir():
        return []
    with ExitStack() as resources, _files_failing(directory, "read"):
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        resources.callback(os.close, fd)
        newest = NewestFile(fd, read_only=True)
        resources.callback(newest.close)
        noted = [f"{NEWEST}: commit {newest.link.number:,} of world {newest.world.hex()}"] if newest.world else []
        return [*noted, *describe_images(directory / IMAGES)]


def _open_catalogue(lock: DirectoryLock, synchronous: Synchronous, *, read_only: bool) -> Catalogue:
    path = lock.directory / CATALOGUE
    if not read_only:
        return Catalogue(path, synchronous=synchronous)
    left = path.with_name(f"{CATALOGUE}-wal")
    immutable = lock.undisturbed and not (left.exists() and left.stat().st_size)
    return Catalogue(path, read_only=True, immutable=immutable)


@contextmanager
def _files_failing(directory: Path, what: str = "written") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise failure(f"the files of the world {directory} cannot be {what}", error) from error
