"""The directory of a world: what is where in it, who may use it, and what the system says when it fails."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path

from storagemod.errors import StateError
from storagemod.interruption import interruption

CATALOGUE = "catalogue.sqlite"
IMAGES = "images"
LOCK = "lock"
READERS = "readers"
NEW = "catalogue.new"
"""A catalogue before it is complete."""

_NAMES = {CATALOGUE, NEW, f"{NEW}-journal", f"{NEW}-wal", f"{NEW}-shm", IMAGES, LOCK, READERS}
"""Names that a broken-off creation of a world may leave."""

_WAIT_SECONDS = 10.0
"""How long a reader waits while the writer changes images: it syncs them at worst."""

_POLL_SECONDS = 0.005


class DirectoryLock:
    """Lock of a directory, held by its one writer or by one of its readers. It ends with the process at the latest.

    The writer holds ``lock``. It changes images only while it holds ``readers`` as well, which all readers share. So
    the images do not change under a reader, and the writer never waits.
    """

    def __init__(self, directory: Path, readers: FileIO, resources: ExitStack, *, undisturbed: bool = False) -> None:
        self.directory = directory
        self.undisturbed = undisturbed
        """Whether a reader knows that there is no writer."""
        self._readers = readers
        self._resources = resources

    @contextmanager
    def without_readers(self) -> Iterator[bool]:
        """Keep readers out, if there are none now. Yields whether there are none."""
        alone = _try_lock(self._readers, fcntl.LOCK_EX)
        try:
            yield alone
        finally:
            fcntl.flock(self._readers, fcntl.LOCK_UN)

    def close(self) -> None:
        """Release the lock."""
        self._resources.close()


def lock_for_writing(directory: Path) -> DirectoryLock:
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
                gc.collect()  # a world that was dropped, as Ctrl-C may do to one just opened, lets go now
                if not _try_lock(lock, fcntl.LOCK_EX):
                    raise _taken(directory, lock)
            os.ftruncate(lock.fileno(), 0)
            os.pwrite(lock.fileno(), str(os.getpid()).encode(), 0)
            readers = resources.enter_context(_open_made(directory / READERS))
            return DirectoryLock(directory, readers, resources.pop_all())
    except OSError as error:
        raise failure(f"the world {directory} cannot be opened", error) from error


def lock_for_reading(directory: Path) -> DirectoryLock:
    """Become a reader of a directory.

    Raises:
        StateError: There is no world in it, or it may not be read.
    """
    try:
        if not (directory / CATALOGUE).exists():
            raise StateError(f"there is no world in {directory}")
        with ExitStack() as resources:
            readers = resources.enter_context(_open_to_read(directory / READERS))
            deadline = time.monotonic() + _WAIT_SECONDS
            while not _try_lock(readers, fcntl.LOCK_SH):
                if time.monotonic() > deadline:
                    raise StateError(
                        f"the world {directory} cannot be read: its writer has been busy for {_WAIT_SECONDS:.0f} s",
                        hint="try again",
                    )
                if interruption.raised is not None and interruption.is_main_thread():
                    raise StateError("interrupted")  # the end of the section raises the interruption itself
                time.sleep(_POLL_SECONDS)
            undisturbed = False
            if not os.access(directory, os.W_OK):
                lock = resources.enter_context(_open_to_read(directory / LOCK))
                undisturbed = _try_lock(lock, fcntl.LOCK_SH)
            return DirectoryLock(directory, readers, resources.pop_all(), undisturbed=undisturbed)
    except OSError as error:
        raise failure(f"the world {directory} cannot be read", error) from error


def sync_file(fd: int) -> None:
    """Sync the content of a file to the disk.

    Raises:
        OSError: It did not get there. The system may have dropped what it could not write: write it again.
    """
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def sync_directory(directory: Path) -> None:
    """Sync the names in a directory to the disk."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _check_place(directory: Path) -> None:
    """Refuse directories that hold something else, before anything is left there."""
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
    """Open a file to lock, and make it if there is none."""
    return open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)  # noqa: PTH123 - a descriptor


def _open_to_read(path: Path) -> FileIO:
    """Open a file to lock. A pipe in its place is not waited for."""
    return open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)  # noqa: PTH123 - a descriptor


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


_NO_SPACE = "make room on the disk, then do it again"
_NOT_ALLOWED = "see who owns the directory and its files, and what may be done with them"
_BROKEN = "the disk may be failing: copy what can be read, then open the world again"
DAMAGED_HINT = "restore the directory from a copy; nothing but storagemod may write there"

_OS_HINTS = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EROFS: _NOT_ALLOWED,
    errno.EIO: _BROKEN,
    errno.EMFILE: "the process has too many files open; raise its limit, see `ulimit -n`",
}

_SQLITE_HINTS = {
    sqlite3.SQLITE_FULL: _NO_SPACE,
    sqlite3.SQLITE_READONLY: _NOT_ALLOWED,
    sqlite3.SQLITE_CANTOPEN: _NOT_ALLOWED,
    sqlite3.SQLITE_PERM: _NOT_ALLOWED,
    sqlite3.SQLITE_IOERR: _BROKEN,
    sqlite3.SQLITE_CORRUPT: DAMAGED_HINT,
    sqlite3.SQLITE_NOTADB: DAMAGED_HINT,
    sqlite3.SQLITE_BUSY: "another program has the database open; close it there",
}

_NOTHING_DONE = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_TOOBIG}
)


def failure(what: str, error: OSError | sqlite3.Error) -> StateError:
    """Make an error that says what could not be done, why, and what helps."""
    if isinstance(error, OSError):
        return StateError(f"{what}: {error.strerror or error}", cause=error, hint=_OS_HINTS.get(error.errno or 0))
    return StateError(f"{what}: {error}", cause=error, hint=_SQLITE_HINTS.get(_primary_code(error)))


def leaves_doubt(error: sqlite3.Error) -> bool:
    """Return whether a transaction that ended with this error may turn out to be committed later.

    A full disk is met before the last write of a transaction; but nobody knows what a failed sync has done.
    """
    return _primary_code(error) not in _NOTHING_DONE


def _primary_code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF  # the rest of an extended code is detail
