"""The chain of commits: each has a number and the digest of the one before, and the newest is kept twice.

A write-ahead log that lost its end, or whose end is damaged, is a shorter log, and SQLite shows an older state without
a word. So the catalogue has the link of its newest commit, and the file ``newest`` beside it has that link as well. It
is written after the commit, without a sync of its own, and so it is never ahead of a sound catalogue. A catalogue that
is behind ``newest`` has lost commits.

The file has two slots, at bytes 0 and 4096, which are written in turn: a write that is cut short spoils one of them. A
slot: magic (8 bytes), the identifier of the world (16), 1 if commits are synced when they are acknowledged (u8), the
link as the catalogue has it. A link there: the number (u64), the digest of the commit (16 bytes) and of the one before
(16), the sum over the rows of the catalogue (16), CRC-32 of these and the world (u32). Integers are little-endian.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from zlib import crc32

from attrs import frozen

from storagemod.pages import read_all, write_all
from storagemod.state.directory import NEWEST, sync_directory, sync_file

DIGEST_BYTES = 16
NO_DIGEST = bytes(DIGEST_BYTES)

_NEW = f"{NEWEST}.new"
_MAGIC = b"stmwlast"
_HEAD = struct.Struct("<8s16s?")
_ROW = struct.Struct("<Q16s16s16s")
_CHECK_BYTES = 4
_SLOT_BYTES = 4_096


@frozen
class Link:
    """A commit as a link of the chain.

    Attributes:
        number: Its number. That of the first one is 1; 0 stands for a world without commits.
        digest: Its digest, 16 bytes: of the one before, the number, and the rows of the catalogue after it.
    """

    number: int = 0
    digest: bytes = NO_DIGEST

    def next(self, contents: bytes, number: int | None = None) -> Link:
        """Return the link of the next commit.

        Args:
            contents: The sum over all rows after it, 16 bytes.
            number: Its number, if it is not the next one.
        """
        number = self.number + 1 if number is None else number
        digest = hashlib.blake2b(b"%d" % number + self.digest + contents, digest_size=DIGEST_BYTES).digest()
        return Link(number, digest)


def pack_link(link: Link, before: bytes, contents: bytes, world: bytes) -> bytes:
    """Return a link as the catalogue keeps it, with its own checksum.

    Args:
        link: The link.
        before: The digest of the one before.
        contents: The sum over the rows of the catalogue as it is now.
        world: The identifier of the world.
    """
    row = _ROW.pack(link.number, link.digest, before, contents)
    return row + crc32(row, crc32(world)).to_bytes(_CHECK_BYTES, "little")


def unpack_link(data: bytes, world: bytes) -> tuple[Link, bytes, bytes]:
    """Return the link, the digest of the one before and the sum of a link that was packed.

    Raises:
        ValueError: It is not what was packed for this world.
    """
    row, check = data[: _ROW.size], data[_ROW.size :]
    if len(row) < _ROW.size or check != crc32(row, crc32(world)).to_bytes(_CHECK_BYTES, "little"):
        raise ValueError("the link of a commit is not what was written")
    number, digest, before, contents = _ROW.unpack(row)
    return Link(number, digest), before, contents


def missing(newest: Link, found: Link, before: bytes) -> str | None:
    """Return what the catalogue lacks, or has instead of the newest commit; ``None`` if all is well.

    Args:
        newest: The link that the file ``newest`` has. It may be an older one.
        found: The link that the catalogue has.
        before: The digest of the one before that.
    """
    if newest.number > found.number:
        lost = newest.number - found.number
        if lost == 1:
            return f"commit {newest.number:,} is missing"
        return f"commits {found.number + 1:,} to {newest.number:,} are missing"
    known = {found.number: found.digest, found.number - 1: before}
    if known.get(newest.number, newest.digest) != newest.digest:
        return f"commit {newest.number:,} is not the one that was acknowledged, but another one of the same number"
    return None


class NewestFile:
    """The file ``newest`` of a world. It is read when it is opened.

    Args:
        directory: The descriptor of the world's directory.

    Attributes:
        exists: Whether there is such a file.
        world: The identifier of the world that it belongs to; empty if no slot can be read.
        link: The newest link that it has.
        synced: Whether that commit was on the disk before it was acknowledged.

    Raises:
        OSError: It cannot be opened or read.
    """

    def __init__(self, directory: int, *, read_only: bool) -> None:
        self.exists = False
        self.world = b""
        self.link = Link()
        self.synced = True
        self._fd = -1
        self._directory = directory
        self._head = b""
        with suppress(FileNotFoundError):
            flags = os.O_NONBLOCK | (os.O_RDONLY if read_only else os.O_RDWR)  # a pipe in its place is not waited for
            self._fd = os.open(NEWEST, flags, dir_fd=directory)
        if self._fd >= 0:
            self.exists = True
            try:
                self._read()
            except BaseException:
                self.close()
                raise

    def begin(self, world: bytes, link: Link, packed: bytes, *, synced: bool) -> None:
        """Begin to write: the file gets a link, and is made if there is none that belongs to this world.

        Args:
            world: The identifier of the world.
            link: The link of its newest commit.
            packed: The same as :func:`pack_link` gives it.
            synced: Whether commits are synced when they are acknowledged.

        Raises:
            OSError: It cannot be written.
        """
        self._head = _HEAD.pack(_MAGIC, world, synced)
        if self.world == world:
            if (self.link, self.synced) != (link, synced):
                self.write(link.number, packed)
        else:
            self._make(packed)
            self.exists, self.world = True, world
        self.link, self.synced = link, synced

    def _make(self, packed: bytes) -> None:
        """Make the file. It gets its name when it is complete and on the disk."""
        fd = os.open(_NEW, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666, dir_fd=self._directory)
        try:
            for offset in (0, _SLOT_BYTES):
                write_all(fd, (self._head + packed).ljust(_SLOT_BYTES, b"\0"), offset)
            sync_file(fd)
            os.rename(_NEW, NEWEST, src_dir_fd=self._directory, dst_dir_fd=self._directory)
            sync_directory(self._directory)
        except BaseException:
            os.close(fd)
            raise
        self.close()
        self._fd = fd

    def write(self, number: int, packed: bytes) -> None:
        """Write the link of a new commit over the one before the last.

        Raises:
            OSError: It cannot be written. The file has the last one.
        """
        write_all(self._fd, self._head + packed, number % 2 * _SLOT_BYTES)

    def sync(self) -> None:
        """Bring what was written to the disk.

        Raises:
            OSError: It did not get there.
        """
        sync_file(self._fd)

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()

    def _read(self) -> None:
        for offset in (0, _SLOT_BYTES):
            if os.fstat(self._fd).st_size < offset + _SLOT_BYTES:
                break
            slot = read_all(self._fd, _HEAD.size + _ROW.size + _CHECK_BYTES, offset)
            magic, world, synced = _HEAD.unpack_from(slot)
            try:
                link, _, _ = unpack_link(slot[_HEAD.size :], world)
            except ValueError:
                continue
            if magic == _MAGIC and (not self.world or link.number > self.link.number):
                self.world, self.link, self.synced = world, link, synced


class RowSum:
    """The sum over the checksums of all rows that a catalogue has, kept up to date by what each commit changes.

    It is that of one set of rows and no other, in whatever order they were written. A catalogue that was put together
    from parts of different times has another one, though each of its rows may be sound.
    """

    def __init__(self) -> None:
        self._rows: dict[Hashable, int] = {}
        self._total = 0
        self._next: tuple[Mapping[Hashable, int], list[Hashable], int] = ({}, [], 0)

    def add(self, key: Hashable, check: int) -> None:
        """Add a row that was read."""
        self._rows[key] = check
        self._total += check

    def after(self, changed: Mapping[Hashable, int], *, without: Iterable[Hashable] = ()) -> bytes:
        """Return the sum, 16 bytes, once rows have changed. :meth:`take` says that they have.

        Args:
            changed: The checksums of rows that are new or changed; 0 of those that are gone.
            without: The keys of other rows that are gone.
        """
        rows, total = self._rows, self._total
        for key, check in changed.items():
            total += check - rows.get(key, 0)
        gone = list(without)
        total -= sum(rows.get(key, 0) for key in gone)
        self._next = changed, gone, total
        return (total % _MODULUS).to_bytes(DIGEST_BYTES, "little")

    def take(self) -> None:
        """Take over the change of rows that :meth:`after` was asked about last."""
        changed, gone, self._total = self._next
        self._rows.update(changed)
        for key in gone:
            self._rows.pop(key, None)


_MODULUS = 1 << 8 * DIGEST_BYTES
