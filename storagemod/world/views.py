"""Reading committed storage, linear and keyed, and presetting the latter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager
from itertools import zip_longest
from typing import Any, Self, overload

from storagemod.errors import StateError, ValidationError, shown
from storagemod.pages import PAGE_BYTES, Image, image_length, read_image
from storagemod.types import WASM_PAGE_BYTES
from storagemod.vm import Slots
from storagemod.vm.slots import CELL_BYTES, KEY_BYTES, NO_VALUE, VALUE_BYTES


class StorageBytes(bytes):
    """Bytes of storage that know where they stood, for those who explain a difference. Otherwise plain bytes.

    Attributes:
        region: The region that they were read from.
        offset: Where in it the first of them stood.
    """

    region: str
    offset: int

    def __new__(cls, data: bytes, region: str, offset: int) -> Self:
        """Take over bytes."""
        found = super().__new__(cls, data)
        found.region = region
        found.offset = offset
        return found

    def __reduce__(self) -> tuple[type[StorageBytes], tuple[bytes, str, int]]:
        return StorageBytes, (bytes(self), self.region, self.offset)


class StorageView:
    """The committed bytes of one region, indexed like ``bytes``. Always shows what is committed now.

    It can be read on any thread: each read sees one committed state, and waits for a commit that is being made.

    Attributes:
        lock: Held while the state changes. Hold it to see the same state in several reads.

    Views are equal where their regions hold the same bytes now, as long as each other; so are a view and bytes.
    """

    __hash__ = None  # type: ignore[assignment] # what it shows changes

    def __init__(self, region: str, image: Callable[[], Image], lock: AbstractContextManager[object]) -> None:
        self._region = region
        self._image = image
        self.lock = lock

    @property
    def region(self) -> str:
        """The name of the region."""
        return self._region

    @property
    def pages(self) -> int:
        """Length in Wasm pages of 64 KiB, rounded up; ``len`` gives it in bytes."""
        with self.lock:
            return self._image().wasm_pages

    def __len__(self) -> int:
        with self.lock:
            return image_length(self._image())

    @overload
    def __getitem__(self, key: int) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> bytes: ...
    def __getitem__(self, key: int | slice) -> int | bytes:
        """One byte as an integer, or a range of bytes; ranges are cut at the end as those of ``bytes`` are.

        Raises:
            IndexError: A single index is outside.
        """
        with self.lock:
            if isinstance(key, slice):
                start, stop, step = key.indices(len(self))
                if step == 1:
                    return StorageBytes(read_image(self._image(), start, stop), self._region, start)
                return bytes(self[index] for index in range(start, stop, step))
            index = key + len(self) if key < 0 else key
            if not 0 <= index < len(self):
                raise IndexError(f"byte {shown(key)} is outside region {self._region!r} of {len(self)} bytes")
            return read_image(self._image(), index, index + 1)[0]

    def read_int(self, offset: int, size: int = 8, *, signed: bool = False) -> int:
        """The little-endian integer of ``size`` bytes at an offset.

        Raises:
            ValidationError: It lies outside the region, or the offset or size is not an integer.
        """
        for number in (offset, size):
            if not isinstance(number, int):
                raise ValidationError(f"offset and size must be integers, got {shown(number)}")
        with self.lock:
            if offset < 0 or size < 1 or offset + size > len(self):
                raise ValidationError(f"bytes [{shown(offset)}, {shown(offset + size)}) are outside {self!r}")
            return int.from_bytes(read_image(self._image(), offset, offset + size), "little", signed=signed)

    def data(self) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of each page of 4 KiB that holds anything but zeros, in order. Costs those pages only.

        The last page ends where the region does.

        Raises:
            StateError: The region changed since the first page was read.
        """
        with self.lock:
            length, image = len(self), self._image()
            version, pages = image.version, image.pages()
        while True:
            with self.lock:
                if image.version != version:
                    raise StateError(
                        f"region {self._region!r} changed while its pages were read one by one",
                        hint="read all at once, as in view[:], or while nothing is committed",
                    )
                number, page = next(pages, (0, b""))
            if not page:
                return
            start = number * PAGE_BYTES
            yield start, page if start + PAGE_BYTES <= length else page[: length - start]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StorageView):
            # Pages of zeros cost nothing, however long a region is.
            return len(self) == len(other) and all(a == b for a, b in zip_longest(self.data(), other.data()))
        if isinstance(other, bytes | bytearray):
            return len(self) == len(other) and self[:] == other
        return NotImplemented

    def __repr__(self) -> str:
        length = len(self)
        pages, rest = divmod(length, WASM_PAGE_BYTES)
        return f"<region {self._region!r} of {f'{length:,} bytes' if rest else f'{pages} Wasm pages'}>"


class _Committed:
    """The committed bytes of the table, as a memory; zeros where there is none yet."""

    def __init__(self, view: StorageView) -> None:
        self._view = view

    def read(self, offset: int, length: int) -> bytes:
        return self._view[offset : offset + length].ljust(length, b"\0")

    def write(self, offset: int, data: bytes | memoryview) -> None:
        raise NotImplementedError("entries are changed through the world, all at once")


_NO_DEFAULT: Any = object()


class SlotsView(MutableMapping[bytes, bytes]):
    """The committed entries of one contract: values of 32 bytes by keys of 32 bytes. Always shows what there is now.

    ``slots[key]`` of a key without an entry is zero, as it is for the contract. All else goes by the entries, as with
    ``collections.defaultdict``: iteration in no order, ``in``, ``get``, ``setdefault`` and ``pop``. Setting one is what
    :meth:`storagemod.World.load_storage` is for linear storage.

    Raises:
        ValidationError: A key or a value is not 32 bytes.
    """

    def __init__(self, view: StorageView, change: Callable[[Mapping[bytes, bytes]], None]) -> None:
        self._view = view
        self._slots = Slots(_Committed(view))
        self._change = change

    def __getitem__(self, key: bytes) -> bytes:
        with self._view.lock:  # one entry may be looked for in several places
            return self._slots.load(_checked("key", key, KEY_BYTES))

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._change({key: value})

    def __delitem__(self, key: bytes) -> None:
        self._change({key: NO_VALUE})

    def get(self, key: bytes, default: Any = None) -> Any:
        """The value of a key that has an entry, or the default."""
        with self._view.lock:  # a commit may remove the entry between the two
            return self[key] if key in self else default  # noqa: SIM401 - this is what `get` is

    def setdefault(self, key: bytes, default: bytes = NO_VALUE) -> bytes:
        """The value of a key, which is set to the default if it has no entry."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: bytes, default: Any = _NO_DEFAULT) -> Any:
        """Remove an entry and give its value, or the default if there is none.

        Raises:
            KeyError: There is no entry, and no default.
        """
        if key in self:
            value = self[key]
            del self[key]
            return value
        if default is _NO_DEFAULT:
            raise KeyError(key)
        return default

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and len(key) == KEY_BYTES and self[key] != NO_VALUE

    def __iter__(self) -> Iterator[bytes]:
        for _, page in self._view.data():
            for at in range(0, len(page), CELL_BYTES):
                if page[at + KEY_BYTES : at + CELL_BYTES] != NO_VALUE:
                    yield page[at : at + KEY_BYTES]

    def __len__(self) -> int:
        return sum(1 for _ in self)


def checked_entries(entries: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Entries, if they are some.

    Raises:
        ValidationError: A key or a value is not 32 bytes.
    """
    return {_checked("key", key, KEY_BYTES): _checked("value", value, VALUE_BYTES) for key, value in entries.items()}


def _checked(what: str, value: object, length: int) -> bytes:
    if not isinstance(value, bytes) or len(value) != length:
        raise ValidationError(f"a {what} of keyed storage is {length} bytes, not {shown(value)}")
    return value
