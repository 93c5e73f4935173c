"""The directory of a world: what is where in it, who may use it, and what the system says when it fails.

A world is used through the descriptor of its directory. So it stays the same world when the directory is renamed.
"""

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
from pathlib import Path
from weakref import WeakSet

from storagemod.errors import StateError
from storagemod.inputs import os_reason
from storagemod.interruption import interruption

CATALOGUE = "catalogue.sqlite"
IMAGES = "images"
LOCK = "lock"
READERS = "readers"
NEWEST = "newest"
NEW = "catalogue.new"
"""A catalogue before it is complete."""

_NAMES = {CATALOGUE, NEW, f"{NEW}-journal", f"{NEW}-wal", f"{NEW}-shm", IMAGES, LOCK, READERS}
"""Names that a broken-off creation of a world may leave."""

NO_CATALOGUE = "restore catalogue.sqlite from a copy; `storagemod state verify` lists what is there"

_WAIT_SECONDS = 10.0
"""How long a reader waits while the writer changes images: it syncs them at worst."""

_POLL_SECONDS = 0.005


class DirectoryLock:
    """Lock of a directory, held by its one writer or by one of its readers, and the descriptor of that directory.

    The writer holds ``lock``. It changes images only while it holds ``readers`` as well, which all readers share. So
    the images do not change under a reader, and the writer never waits.

    The lock belongs to the process that took it. A forked child has none: it closes the descriptors that it inherits,
    and the process releases the lock explicitly, so no child keeps it.

    Attributes:
        directory: Its path when it was opened.
        fd: Its descriptor.
        images_fd: The descriptor of the folder of its images.
        undisturbed: Whether a reader knows that there is no writer.
        was_copied: Whether this is a copy of a directory that a writer had open, or had not closed.
    """

    def __init__(
        self,
        directory: Path,
        descriptors: tuple[int, int],
        files: tuple[int | None, int],
        resources: ExitStack,
        *,
        undisturbed: bool = False,
        was_copied: bool = False,
    ) -> None:
        self.directory = directory
        self.fd, self.images_fd = descriptors
        self.undisturbed = undisturbed
        self.was_copied = was_copied
        self._process = os.getpid()
        self._resources = resources
        self._writing, self._readers = files
        self._held = tuple(fd for fd in files if fd is not None)
        _locks.add(self)

    @property
    def is_in_place(self) -> bool:
        """Whether the directory still has the path at which it was opened."""
        try:
            return os.path.samestat(self.directory.stat(), os.fstat(self.fd))
        except OSError:  # nothing is there that can be looked at
            return False

    @contextmanager
    def without_readers(self) -> Iterator[bool]:
        """Keep readers out, if there are none now. Yields whether there are none."""
        alone = _try_lock(self._readers, fcntl.LOCK_EX)
        try:
            yield alone
        finally:
            fcntl.flock(self._readers, fcntl.LOCK_UN)

    def mark_open(self) -> None:
        """Note in ``lock`` that this process writes, and to which directory: a copy of it is none of its own."""
        assert self._writing is not None  # noqa: S101 - called by the writer
        self._write_mark(f"{os.getpid()} {_identity(self.fd, self._writing)}")
        self.was_copied = False

    def mark_closed(self) -> None:
        """Note that nothing is being written any more. A copy that is made from now on is whole.

        Raises:
            OSError: It cannot be written. The directory counts as one that was not closed.
        """
        self._write_mark("")

    def close(self) -> None:
        """Release the lock, in the process that took it. A forked child releases nothing."""
        held, self._held = self._held, ()
        if self._process == os.getpid():
            for fd in held:
                fcntl.flock(fd, fcntl.LOCK_UN)  # explicitly, for a child may have the same descriptor
        self._resources.close()

    def __del__(self) -> None:
        self.close()

    def _write_mark(self, text: str) -> None:
        assert self._writing is not None  # noqa: S101 - called by the writer
        os.pwrite(self._writing, text.ljust(_MARK_BYTES).encode(), 0)

    def abandon(self) -> None:
        """Close what a forked child has of it, so that the lock ends when the parent ends, however it ends."""
        self._held = ()
        self._resources.close()


_locks = WeakSet[DirectoryLock]()


def _abandon_locks() -> None:
    """Begin anew in a forked child, which has no lock."""
    for lock in list(_locks):
        lock.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_locks)


def lock_for_writing(directory: Path) -> DirectoryLock:
    """Become the writer of a directory, which is made if there is none.

    Raises:
        StateError: It has a writer, or is something else than a place for a world, or may not be used; or it lost its
            catalogue.
    """
    try:
        _check_place(directory)
        (directory / IMAGES).mkdir(parents=True, exist_ok=True)
        with ExitStack() as resources:
            fd, images_fd = _open_directories(directory, resources)
            lock = _open(LOCK, os.O_RDWR | os.O_CREAT, fd, resources)
            if not _try_lock(lock, fcntl.LOCK_EX):
                gc.collect()  # a world that was dropped, as Ctrl-C may do to one just opened, lets go now
                if not _try_lock(lock, fcntl.LOCK_EX):
                    raise _taken(directory, lock)
            readers = _open(READERS, os.O_RDWR | os.O_CREAT, fd, resources)
            was_copied = _is_copy(lock, fd)
            files = (lock, readers)
            return DirectoryLock(directory, (fd, images_fd), files, resources.pop_all(), was_copied=was_copied)
    except OSError as error:
        raise failure(f"the world {directory} cannot be opened", error) from error


def lock_for_reading(directory: Path) -> DirectoryLock:
    """Become a reader of a directory.

    Raises:
        StateError: There is no world in it, or it lost its catalogue, or it may not be read.
    """
    try:
        if not (directory / CATALOGUE).exists():
            if directory.is_dir():
                _check_catalogue_is_not_lost(directory)
            elif directory.exists():
                raise _not_a_directory(directory)
            raise StateError(f"there is no world in {directory}")
        with ExitStack() as resources:
            fd, images_fd = _open_directories(directory, resources)
            readers = _open(READERS, os.O_RDONLY, fd, resources)
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
            lock = _open(LOCK, os.O_RDONLY, fd, resources)
            undisturbed = not os.access(directory, os.W_OK) and _try_lock(lock, fcntl.LOCK_SH)
            return DirectoryLock(
                directory,
                (fd, images_fd),
                (lock if undisturbed else None, readers),
                resources.pop_all(),
                undisturbed=undisturbed,
                was_copied=_is_copy(lock, fd),
            )
    except OSError as error:
        raise failure(f"the world {directory} cannot be read", error) from error


def _open_directories(directory: Path, resources: ExitStack) -> tuple[int, int]:
    """Open a directory and the folder of its images."""
    fd = _open(directory, os.O_RDONLY | os.O_DIRECTORY, None, resources)
    return fd, _open(IMAGES, os.O_RDONLY | os.O_DIRECTORY, fd, resources)


def _open(name: Path | str, flags: int, folder: int | None, resources: ExitStack) -> int:
    fd = os.open(name, flags | os.O_NONBLOCK, 0o666, dir_fd=folder)  # a pipe in its place is not waited for
    resources.callback(os.close, fd)
    return fd


def sync_file(fd: int) -> None:
    """Sync the content of a file to the disk.

    Raises:
        OSError: It did not get there. The system may have dropped what it could not write: write it again.
    """
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def sync_directory(directory: Path | int) -> None:
    """Sync the names in a directory, given by path or descriptor, to the disk."""
    if isinstance(directory, int):
        os.fsync(directory)
        return
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _not_a_directory(path: Path) -> StateError:
    return StateError(f"{path} is a file, and a world is a directory")


def _check_place(directory: Path) -> None:
    """Refuse directories that hold something else, before anything is left there."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise _not_a_directory(directory)
    names = {entry.name for entry in directory.iterdir()}
    if CATALOGUE in names:
        return
    _check_catalogue_is_not_lost(directory)
    if not names <= _NAMES:
        raise StateError(
            f"{directory} holds no world, but other files", hint="a new world needs an empty directory, or none yet"
        )


def _check_catalogue_is_not_lost(directory: Path) -> None:
    """Refuse a directory with a world's images or newest commit, but no catalogue: it must not become a new world."""
    images = len(list((directory / IMAGES).glob("*.pages")))
    if images or (directory / NEWEST).exists():
        raise StateError(
            f"the world {directory} has lost its catalogue; its images are left: {images:,}", hint=NO_CATALOGUE
        )


def _try_lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_MARK_BYTES = 96


def _identity(directory: int, lock: int) -> str:
    """Return what tells a directory and its ``lock`` from a copy: device and numbers."""
    found = os.fstat(lock)
    return f"{found.st_dev} {found.st_ino} {os.fstat(directory).st_ino}"


def _is_copy(lock: int, directory: int) -> bool:
    """Whether a writer had not closed the directory that this is a copy of."""
    _, _, identity = _mark(lock).partition(" ")
    return bool(identity) and identity != _identity(directory, lock)


def _mark(lock: int) -> str:
    return os.pread(lock, _MARK_BYTES, 0).decode(errors="replace").strip()


def _taken(directory: Path, lock: int) -> StateError:
    pid = _mark(lock).partition(" ")[0]
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
        return StateError(f"{what}: {os_reason(error)}", cause=error, hint=_OS_HINTS.get(error.errno or 0))
    return StateError(f"{what}: {error}", cause=error, hint=_SQLITE_HINTS.get(_primary_code(error)))


def leaves_doubt(error: sqlite3.Error) -> bool:
    """Return whether a transaction that ended with this error may turn out to be committed later.

    A full disk is met before the last write of a transaction; but nobody knows what a failed sync has done.
    """
    return _primary_code(error) not in _NOTHING_DONE


def _primary_code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF  # the rest of an extended code is detail
