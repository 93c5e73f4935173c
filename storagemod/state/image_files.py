"""The files of a durable world that hold its images: one for each region, a header and then the pages.

Header, 4096 bytes: magic (16 bytes), format version (u32), 4 bytes of zeros, the identifier of the world (16 bytes),
the number of the region (u64), BLAKE2b-256 of all these; zeros. Integers are little-endian. A page of 4 KiB is at byte
4096 * (its number + 1). Files may have holes, and are never shortened, since they may be mapped somewhere.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from storagemod.errors import StateError
from storagemod.pages import PAGE_BYTES, PAGES_PER_WASM_PAGE, FileImage
from storagemod.state.directory import failure, sync_directory, sync_file

HEADER_BYTES = PAGE_BYTES
FORMAT = 1

_MAGIC = b"storagemod pages"
_FIELDS = struct.Struct("<16s I 4x 16s Q")
_CHECKSUM_BYTES = 32


def header(world: bytes, region: int) -> bytes:
    """Return the header of the file of a region."""
    fields = _FIELDS.pack(_MAGIC, FORMAT, world, region)
    return (fields + _checksum(fields)).ljust(HEADER_BYTES, b"\0")


def _checksum(fields: bytes) -> bytes:
    return hashlib.blake2b(fields, digest_size=_CHECKSUM_BYTES, person=b"storagemod head").digest()


def _what_is_wrong(found: bytes, world: bytes, region: int) -> str:
    """Return what is wrong with a header."""
    if not found.startswith(_MAGIC) or len(found) < HEADER_BYTES:
        return "it is no image of storagemod"
    _, version, of_world, of_region = _FIELDS.unpack_from(found)
    if found[_FIELDS.size : _FIELDS.size + _CHECKSUM_BYTES] != _checksum(found[: _FIELDS.size]):
        return "its header is damaged"
    if version != FORMAT:
        return f"it has format {version}, and this version of storagemod knows format {FORMAT}"
    if of_world != world:
        return "it belongs to another world"
    if of_region != region:
        return f"it belongs to region {of_region}"
    return "its header is damaged"


_RESTORE = "restore it from a copy"


class ImageFiles:
    """The image files of one world. They are opened when they are needed, at most ``OPEN_MAX`` at once.

    Args:
        directory: Where they are.
        world: The identifier of the world.
        read_only: Whether files may be made and written.
    """

    OPEN_MAX = 256

    def __init__(self, directory: Path, world: bytes, *, read_only: bool) -> None:
        self.directory = directory
        self.world = world
        self.read_only = read_only
        self._descriptors: OrderedDict[int, int] = OrderedDict()
        self._files: dict[int, ImageFile] = {}
        self._new_names = False

    def new(self, region: int) -> FileImage:
        """Return an image without pages. Its file is made when there are some."""
        return self._image(region, 0, headed=False)

    def existing(self, region: int, stored_pages: int) -> FileImage:
        """Return the image of a region as its file is.

        Args:
            region: Its number.
            stored_pages: How many pages of 4 KiB were synced. The log has those beyond.

        Raises:
            StateError: The file is missing, too short, or no image of this region.
        """
        path = self.path(region)
        try:
            with open(path, "rb", buffering=0, opener=_opener) as file:
                length = os.fstat(file.fileno()).st_size
                found = os.pread(file.fileno(), HEADER_BYTES, 0)
        except FileNotFoundError as error:
            if stored_pages:
                raise StateError(f"the image {path} is missing", cause=error, hint=_RESTORE) from error
            return self.new(region)
        except OSError as error:
            raise failure(f"the image {path} cannot be opened", error) from error
        expected = header(self.world, region)
        wrong = None if found == expected else _what_is_wrong(found, self.world, region)
        wanted = HEADER_BYTES + stored_pages * PAGE_BYTES
        if not stored_pages and expected.startswith(found.rstrip(b"\0")):
            wrong = None  # what was never synced may have lost its header when the machine stopped
        elif wrong is None and length < wanted:
            wrong = f"it is truncated: {length:,} bytes, and {wanted:,} were written"
        if wrong is not None:
            raise StateError(f"the image {path} is not what it should be: {wrong}", hint=_RESTORE)
        pages = stored_pages if self.read_only else max(length - HEADER_BYTES, 0) // PAGE_BYTES
        return self._image(region, pages, headed=found == expected)

    def stored_pages(self, region: int) -> int:
        """Return how many pages of 4 KiB the file of a region has."""
        return self._files[region].pages

    def sync(self, regions: Iterable[int]) -> None:
        """Sync the files of regions to the disk.

        Raises:
            OSError: They did not get there. They have to be written again before they are synced again.
            StateError: A file cannot be opened.
        """
        for region in regions:
            if self._files[region].pages:
                sync_file(self._files[region].fd)
        if self._new_names:
            sync_directory(self.directory)
            self._new_names = False

    def close(self) -> None:
        """Close all files."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    def __del__(self) -> None:
        self.close()

    def path(self, region: int) -> Path:
        """Return the file of a region."""
        return self.directory / f"{region}.pages"

    def descriptor(self, region: int, *, headed: bool) -> int:
        """Return the descriptor of a region's file.

        Raises:
            StateError: It cannot be opened, or made.
        """
        if region in self._descriptors:
            self._descriptors.move_to_end(region)
            return self._descriptors[region]
        while len(self._descriptors) >= self.OPEN_MAX:
            os.close(self._descriptors.popitem(last=False)[1])
        flags = os.O_RDONLY | os.O_NONBLOCK if self.read_only else os.O_RDWR if headed else os.O_RDWR | os.O_CREAT
        try:
            fd = os.open(self.path(region), flags, 0o666)
        except OSError as error:
            raise failure(f"the image {self.path(region)} cannot be opened", error) from error
        self._descriptors[region] = fd
        self._new_names |= not headed
        return fd

    def _image(self, region: int, pages: int, *, headed: bool) -> FileImage:
        file = self._files[region] = ImageFile(self, region, HEADER_BYTES + pages * PAGE_BYTES, headed=headed)
        return FileImage(file, HEADER_BYTES, -(-pages // PAGES_PER_WASM_PAGE), pages_in_file=pages, pending_pages_max=0)


def _opener(path: str, flags: int) -> int:
    """Open a file without waiting, if it is a pipe, for somebody to write to it."""
    return os.open(path, flags | os.O_NONBLOCK)


class ImageFile:
    """The file of one region. It is made, and given its header, when it is first used."""

    __slots__ = ("_end", "_files", "_headed", "_region")

    def __init__(self, files: ImageFiles, region: int, end: int, *, headed: bool) -> None:
        self._files = files
        self._region = region
        self._end = end
        self._headed = headed

    @property
    def fd(self) -> int:
        """Its descriptor now.

        Raises:
            StateError: It cannot be opened.
            OSError: Its header cannot be written.
        """
        fd = self._files.descriptor(self._region, headed=self._headed)
        if not self._headed:
            if os.pwrite(fd, header(self._files.world, self._region), 0) < HEADER_BYTES:
                raise OSError("its header was written in part")
            self._headed = True
        return fd

    @property
    def pages(self) -> int:
        """How many pages of 4 KiB it has."""
        return (self._end - HEADER_BYTES) // PAGE_BYTES

    def reserve(self, end: int) -> None:
        """Make the file at least so many bytes long.

        Raises:
            StateError: It cannot be opened.
            OSError: There is no room.
        """
        if end > self._end:
            os.ftruncate(self.fd, end)
            self._end = end
