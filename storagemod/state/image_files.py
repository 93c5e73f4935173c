"""The files of a durable world that hold its images: one for each region, a header and then the pages.

Header, 4096 bytes: magic (16 bytes), format version (u32), 4 bytes of zeros, the identifier of the world (16 bytes),
the number of the region (u64), BLAKE2b-256 of all these; zeros. Integers are little-endian. A page of 4 KiB is at byte
4096 * (its number + 1). Files may have holes, and are never shortened, since they may be mapped somewhere.
"""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from storagemod.errors import StateError
from storagemod.pages import PAGE_BYTES, PAGES_PER_WASM_PAGE, FileImage, read_all, write_all
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
_ENDING = ".pages"


def _head(fd: int) -> tuple[bytes, int]:
    """Return the header of a file, shorter where the file is, and the length of the file."""
    length = os.fstat(fd).st_size
    return read_all(fd, min(length, HEADER_BYTES), 0), length


def _copy_file(source: int, path: Path) -> None:
    """Copy the data of a file into a new one, and leave holes where it has holes."""
    end = os.fstat(source).st_size
    with path.open("xb", buffering=0) as file:
        os.ftruncate(file.fileno(), end)
        at = 0
        while at < end:
            try:
                at = os.lseek(source, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # holes all the way
                    break
                raise
            hole = os.lseek(source, at, os.SEEK_HOLE)
            while at < hole:
                piece = read_all(source, min(hole - at, _PIECE_BYTES), at)
                if not piece:
                    raise OSError(errno.EIO, f"{path.name} became shorter while it was copied")
                write_all(file.fileno(), piece, at)
                at += len(piece)
        sync_file(file.fileno())


_PIECE_BYTES = 1 << 20


def describe_images(folder: Path) -> list[str]:
    """Return what each image file of a folder is, whatever world it belongs to.

    Raises:
        StateError: The folder or a file cannot be read.
    """
    try:
        return [_describe_image(path) for path in sorted(folder.glob(f"*{_ENDING}"))]
    except OSError as error:
        raise failure(f"the images {folder} cannot be read", error) from error


def _describe_image(path: Path) -> str:
    if not path.is_file():  # a pipe would be waited for
        return f"image {path.name}: it is no file"
    with path.open("rb", buffering=0) as file:
        found, length = _head(file.fileno())
    world, region = b"", 0
    if len(found) == HEADER_BYTES:
        _, _, world, region = _FIELDS.unpack_from(found)
    if found == header(world, region):
        return f"image {path.name}: region {region} of world {world.hex()}, {length - HEADER_BYTES:,} bytes"
    return f"image {path.name}: {_what_is_wrong(found, world, region)}"


OPEN_MAX = 256
"""Image files that are open at once, where the process may have many files open."""

_OPEN_MIN = 4


def open_max() -> int:
    """Return how many image files of one world may be open at once: an eighth of what the process may have open."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_MAX if limit == resource.RLIM_INFINITY else min(max(limit // 8, _OPEN_MIN), OPEN_MAX)


class _Descriptor(int):
    """A descriptor that is closed when nobody uses it any more: one thread may evict what another one reads from."""

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self)


class ImageFiles:
    """The image files of one world. They are opened when they are needed, at most :func:`open_max` at once.

    Each time that a file is opened, its header and its length are checked: it may be another one by now.

    Args:
        directory: Where they are, for messages.
        fd: The descriptor of that directory.
        world: The identifier of the world.
        read_only: Whether files may be made and written.
    """

    def __init__(self, directory: Path, fd: int, world: bytes, *, read_only: bool) -> None:
        self.directory = directory
        self.world = world
        self.read_only = read_only
        self._fd = fd
        self._descriptors: OrderedDict[int, _Descriptor] = OrderedDict()
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
            fd = self._open(region, os.O_RDONLY)
            try:
                found, length = _head(fd)
            finally:
                os.close(fd)
        except FileNotFoundError as error:
            if stored_pages:
                raise StateError(f"the image {path} is missing", cause=error, hint=_RESTORE) from error
            return self.new(region)
        except OSError as error:
            raise failure(f"the image {path} cannot be opened", error) from error
        lost = not stored_pages and header(self.world, region).startswith(found.rstrip(b"\0"))
        if not lost:  # what was never synced may have lost its header when the machine stopped
            self._check(region, found, length, HEADER_BYTES + stored_pages * PAGE_BYTES)
        pages = stored_pages if self.read_only else max(length - HEADER_BYTES, 0) // PAGE_BYTES
        return self._image(region, pages, headed=found == header(self.world, region))

    def unknown(self) -> list[str]:
        """Return the names of image files that belong to no region of the world.

        Raises:
            OSError: The directory cannot be read.
        """
        known = {self.path(region).name for region in self._files}
        return sorted(name for name in os.listdir(self._fd) if name.endswith(_ENDING) and name not in known)  # noqa: PTH208 - a descriptor

    def set_aside(self, name: str, commit: int) -> None:
        """Rename an image file that belongs to no region, so that no new region gets its bytes.

        Raises:
            OSError: It cannot be renamed.
        """
        os.rename(name, f"{name}.before-{commit}", src_dir_fd=self._fd, dst_dir_fd=self._fd)
        sync_directory(self._fd)

    def copy_to(self, directory: Path) -> None:
        """Copy the files of all regions, holes as holes, and bring them to the disk. Nobody may write meanwhile.

        Raises:
            OSError: They cannot be copied.
        """
        for region in self._files:
            try:
                source = self._open(region, os.O_RDONLY)
            except FileNotFoundError:  # nothing was settled there yet
                continue
            try:
                _copy_file(source, directory / self.path(region).name)
            finally:
                os.close(source)
        sync_directory(directory)

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
            sync_directory(self._fd)
            self._new_names = False

    def close(self) -> None:
        """Close all files."""
        self._descriptors.clear()

    def path(self, region: int) -> Path:
        """Return the file of a region."""
        return self.directory / f"{region}{_ENDING}"

    def descriptor(self, region: int, length: int, *, headed: bool) -> int:
        """Return the descriptor of a region's file.

        Args:
            region: Its number.
            length: How long the file is at least, in bytes.
            headed: Whether it has its header. A file without one is made if there is none.

        Raises:
            StateError: It cannot be opened, or made, or it is not the file that it was.
        """
        known = self._descriptors.get(region)
        if known is not None:
            with suppress(KeyError):  # another thread may have closed it meanwhile: this one still has it
                self._descriptors.move_to_end(region)
            return known
        while len(self._descriptors) >= open_max():
            self._close_oldest()
        flags = os.O_RDONLY if self.read_only else os.O_RDWR if headed else os.O_RDWR | os.O_CREAT
        try:
            fd = self._open(region, flags)
            try:
                if headed:
                    self._check(region, *_head(fd), length)
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            raise failure(f"the image {self.path(region)} cannot be opened", error) from error
        self._descriptors[region] = kept = _Descriptor(fd)
        self._new_names |= not headed
        return kept

    def _open(self, region: int, flags: int) -> int:
        """Open the file of a region. Others are closed if the process may have no more open."""
        while True:
            try:
                return os.open(self.path(region).name, flags | os.O_NONBLOCK, 0o666, dir_fd=self._fd)
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._descriptors:
                    raise
                self._close_oldest()

    def _close_oldest(self) -> None:
        with suppress(KeyError):  # another thread was quicker
            self._descriptors.popitem(last=False)

    def _check(self, region: int, found: bytes, length: int, wanted: int) -> None:
        """Check the header and the length of a file.

        Raises:
            StateError: It is not the image of this region.
        """
        wrong = None if found == header(self.world, region) else _what_is_wrong(found, self.world, region)
        if wrong is None and length < wanted:
            wrong = f"it is truncated: {length:,} bytes, and {wanted:,} were written"
        if wrong is not None:
            raise StateError(f"the image {self.path(region)} is not what it should be: {wrong}", hint=_RESTORE)

    def _image(self, region: int, pages: int, *, headed: bool) -> FileImage:
        file = self._files[region] = ImageFile(self, region, HEADER_BYTES + pages * PAGE_BYTES, headed=headed)
        return FileImage(file, HEADER_BYTES, -(-pages // PAGES_PER_WASM_PAGE), pages_in_file=pages, pending_pages_max=0)


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
        fd = self._files.descriptor(self._region, self._end, headed=self._headed)
        if not self._headed:
            write_all(fd, header(self._files.world, self._region), 0)
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
