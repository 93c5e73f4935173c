"""A table of 32-byte keys and values in linear memory, whose bytes do not tell in which order it was filled.

Linear probing in which a cell belongs to the greatest of the keys that come by it: so there is one arrangement for any
set of entries, whatever was inserted and removed on the way to it, and equal storage has equal state roots.
Source: G. Blelloch and D. Golovin, "Strongly History-Independent Hashing with Applications", FOCS 2007, section 3.

A value of zero is no entry. A cell is 64 bytes, key and value, and all zeros if empty. Neighbouring keys share pages.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Protocol

from storagemod.errors import LimitError

KEY_BYTES = 32
VALUE_BYTES = 32
CELL_BYTES = KEY_BYTES + VALUE_BYTES

WASM_PAGES = 64
"""Length of the memory that a table takes, in Wasm pages: 4 MiB, of which only touched pages cost anything."""

CELLS = WASM_PAGES * 65_536 // CELL_BYTES

PROBES_MAX = 4_096
"""How many cells a key may be away from where it belongs. Reached when some 60,000 of the 65,536 cells are taken."""

NO_VALUE = bytes(VALUE_BYTES)

_GROUP_BITS = 6
_GROUP = 1 << _GROUP_BITS


class SlotsMemory(Protocol):
    """A memory that a table can be in."""

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out."""

    def write(self, offset: int, data: bytes) -> None:
        """Copy bytes in."""


class Slots:
    """The table that is in a memory."""

    def __init__(self, memory: SlotsMemory) -> None:
        self._memory = memory

    def load(self, key: bytes) -> bytes:
        """The value of a key, 32 bytes; zeros where there is none."""
        place = home(key)
        for _ in range(PROBES_MAX):
            found, value = self._cell(place)
            if value == NO_VALUE or found < key:
                return NO_VALUE
            if found == key:
                return value
            place = (place + 1) % CELLS
        return NO_VALUE

    def store(self, key: bytes, value: bytes) -> None:
        """Set the value of a key; zeros remove it.

        Raises:
            LimitError: There is no room.
        """
        if value == NO_VALUE:
            self._remove(key)
            return
        place = home(key)
        for _ in range(PROBES_MAX):
            found, standing = self._cell(place)
            if standing == NO_VALUE or found <= key:
                self._set(place, key, value)
                if standing == NO_VALUE or found == key:
                    return
                key, value = found, standing  # the lesser one looks for another place
            place = (place + 1) % CELLS
        raise LimitError(f"keyed storage has no room for another key (it has {CELLS:,} cells)")

    def _remove(self, key: bytes) -> None:
        place = home(key)
        found, value = self._cell(place)
        for _ in range(PROBES_MAX):  # a preset may fill every cell, with whatever it likes
            if value == NO_VALUE or found <= key:
                break
            place = (place + 1) % CELLS
            found, value = self._cell(place)
        if value == NO_VALUE or found != key:
            return
        # Fill the hole with the next key that would rather be there, and so on with the hole that this leaves.
        hole = place
        for _ in range(CELLS - 1):
            place = (place + 1) % CELLS
            cell = self._cell(place)
            if cell[1] == NO_VALUE:
                break
            if (place - home(cell[0])) % CELLS >= (place - hole) % CELLS:
                self._set(hole, *cell)
                hole = place
        self._memory.write(hole * CELL_BYTES, bytes(CELL_BYTES))

    def _cell(self, place: int) -> tuple[bytes, bytes]:
        cell = self._memory.read(place * CELL_BYTES, CELL_BYTES)
        return cell[:KEY_BYTES], cell[KEY_BYTES:]

    def _set(self, place: int, key: bytes, value: bytes) -> None:
        self._memory.write(place * CELL_BYTES, key + value)


def home(key: bytes) -> int:
    """The cell that a key would rather be in. The last byte counts up within a group of neighbours."""
    number = int.from_bytes(key, "big")
    return (_hash(number >> _GROUP_BITS) * _GROUP + number % _GROUP) % CELLS


@lru_cache(maxsize=4096)  # a store asks three times, and contracts use few keys again and again
def _hash(group: int) -> int:
    digest = hashlib.blake2b(group.to_bytes(KEY_BYTES, "big"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
