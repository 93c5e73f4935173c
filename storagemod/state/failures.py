"""What the system refuses, said as errors of state."""

from __future__ import annotations

import errno
import sqlite3

from storagemod.errors import StateError

_NO_SPACE = "make room on the disk, then do it again"
_NOT_ALLOWED = "see who owns the directory and its files, and what may be done with them"
_BROKEN = "the disk may be failing: copy what can be read, then open the world again"
_DAMAGED = "restore the directory from a copy; nothing but storagemod may write there"

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
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_BUSY: "another program has the database open; close it there",
}

_NOTHING_DONE = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_TOOBIG}
)


def failure(what: str, error: OSError | sqlite3.Error) -> StateError:
    """An error that says what could not be done, why, and what helps."""
    if isinstance(error, OSError):
        return StateError(f"{what}: {error.strerror or error}", cause=error, hint=_OS_HINTS.get(error.errno or 0))
    return StateError(f"{what}: {error}", cause=error, hint=_SQLITE_HINTS.get(_primary_code(error)))


def leaves_doubt(error: sqlite3.Error) -> bool:
    """Whether a transaction that ended with this error may turn out to be committed when its file is opened again.

    A full disk is met before the last write of a transaction; but of a failed sync nobody knows what it has done.
    """
    return _primary_code(error) not in _NOTHING_DONE


def _primary_code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF  # the rest of an extended code is detail
