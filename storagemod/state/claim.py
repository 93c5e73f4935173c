"""The directory of a world: what is where in it, and who may use it."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path

from storagemod.errors import StateError
from storagemod.state.failures import failure

CATALOGUE = "catalogue.sqlite"
IMAGES = "images"
LOCK = "lock"
READERS = "readers"
NEW = "catalogue.new"
"""A catalogue before it is complete."""

_NAMES = {CATALOGUE, NEW, f"{NEW}-journal", f"{NEW}-wal", f"{NEW}-shm", IMAGES, LOCK, READERS}
"""What there may be where the making of a world was broken off."""

_WAIT_SECONDS = 10.0
"""How long a reader waits for the writer to be done with the images: it syncs them at worst."""

_POLL_SECONDS = 0.005


class Claim:
    """The right to use a directory, as its one writer or as one of its readers. It ends with the process at the latest.

    The writer holds ``lock``. It changes images only while it holds ``readers`` too, which all readers share: so what a
    reader sees in the images stays as it is, and the writer is never kept waiting.
    """

    def __init__(self, directory: Path, readers: FileIO, resources: ExitStack, *, undisturbed: bool = False) -> None:
        self.directory = directory
        self.undisturbed = undisturbed
        """Whether a reader knows that there is no writer."""
        self._readers = readers
        self._resources = resources

    @contextmanager
    def without_readers(self) -> Iterator[bool]:
        """Keep readers out, if there are none now; say whether that is so."""
        alone = _try_lock(self._readers, fcntl.LOCK_EX)
        try:
            yield alone
        finally:
            fcntl.flock(self._readers, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the right back."""
        self._resources.close()


def claim_for_writing(directory: Path) -> Claim:
    """Become the writer of a directory, which is made if there is none.

    Raises:
        StateError: It has a writer, or is something else than a place for a world, or may not be used.
    """
    try:
        _check_place(directory)
        (directory / IMAGES).mkdir(parents=True, exist_ok=True)
        with ExitStack() as resources:
            lock = resources.enter_context(_open_made(directory / LOCK))
            if not _try_lock(lock, fcntl.LOCK_EX):
                raise _taken(directory, lock)
            os.ftruncate(lock.fileno(), 0)
            os.pwrite(lock.fileno(), str(os.getpid()).encode(), 0)
            readers = resources.enter_context(_open_made(directory / READERS))
            return Claim(directory, readers, resources.pop_all())
    except OSError as error:
        raise failure(f"the world {directory} cannot be opened", error) from error


def claim_for_reading(directory: Path) -> Claim:
    """Become a reader of a directory.

    Raises:
        StateError: There is no world in it, or it may not be read.
    """
    try:
        if not (directory / CATALOGUE).exists():
            raise StateError(f"there is no world in {directory}")
        with ExitStack() as resources:
            readers = resources.enter_context((directory / READERS).open("rb", buffering=0))
            deadline = time.monotonic() + _WAIT_SECONDS
            while not _try_lock(readers, fcntl.LOCK_SH):
                if time.monotonic() > deadline:
                    raise StateError(
                        f"the world {directory} cannot be read: its writer has been busy for {_WAIT_SECONDS:.0f} s",
                        hint="try again",
                    )
                time.sleep(_POLL_SECONDS)
            undisturbed = False
            if not os.access(directory, os.W_OK):
                lock = resources.enter_context((directory / LOCK).open("rb", buffering=0))
                undisturbed = _try_lock(lock, fcntl.LOCK_SH)
            return Claim(directory, readers, resources.pop_all(), undisturbed=undisturbed)
    except OSError as error:
        raise failure(f"the world {directory} cannot be read", error) from error


def sync_file(fd: int) -> None:
    """Bring what was written to a file to the disk.

    Raises:
        OSError: It did not get there. The system may have dropped what it could not write: write it again.
    """
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def sync_directory(directory: Path) -> None:
    """Bring the names of a directory to the disk."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _check_place(directory: Path) -> None:
    """Keep away from directories that hold something else: not even a lock is left there."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise StateError(f"{directory} is a file, and a world is a directory")
    names = {entry.name for entry in directory.iterdir()}
    if CATALOGUE not in names and not names <= _NAMES:
        raise StateError(
            f"{directory} holds no world, but other files", hint="a new world needs an empty directory, or none yet"
        )


def _open_made(path: Path) -> FileIO:
    """A file to be locked, made if there is none."""
    return open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)  # noqa: PTH123 - a descriptor


def _try_lock(file: FileIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken(directory: Path, lock: FileIO) -> StateError:
    pid = lock.read().decode(errors="replace").strip()
    who = "in this process" if pid == str(os.getpid()) else f"in process {pid}" if pid.isdigit() else "elsewhere"
    return StateError(
        f"the world {directory} is open for writing {who}", hint="close it there, or open it here to read only"
    )
