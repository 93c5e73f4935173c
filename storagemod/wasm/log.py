"""The log of an instance that records: gas left, and what was recorded since a call began."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from storagemod.process_memory import MEMORY, read_bytes
from storagemod.wasm.instrument import (
    ACCESS,
    ACCESS_END,
    ACCESSES_LOST,
    ACCESSES_MAX,
    BLOCKS_START,
    HEADER,
    HIGH,
    LOW,
    OUT,
    Instrumented,
)
from storagemod.wasm.memory import LinearMemory, forget_written

if TYPE_CHECKING:
    from storagemod.wasm.store import Instance

_DRAIN_AT = ACCESSES_MAX // 2


class Log:
    """The appended memory of one instance, as the host uses it during one call.

    Accesses are counted from the beginning of the call, by *position*: those that were taken out to make room count.

    Args:
        instance: The instance.
        made: What its module records.

    Attributes:
        made: As above.
        gas: The number there that counts gas left; negative if more was used than there was.
    """

    __slots__ = (
        "_base",
        "_end",
        "_header_end",
        "_high",
        "_lost",
        "_low",
        "_memory",
        "_out",
        "_parts",
        "_taken",
        "gas",
        "made",
    )

    def __init__(self, instance: Instance, made: Instrumented) -> None:
        self._memory: LinearMemory = instance.memory(made.export)
        self.made = made
        self._base = base = self._memory.base
        self.gas = ctypes.c_int64.from_address(base)
        self._end = ctypes.c_uint32.from_address(base + ACCESS_END)
        self._lost = ctypes.c_uint32.from_address(base + ACCESSES_LOST)
        self._out = ctypes.c_uint32.from_address(base + OUT)
        self._low = ctypes.c_uint64.from_address(base + LOW)
        self._high = ctypes.c_uint64.from_address(base + HIGH)
        self._header_end = base + len(made.header)
        self._taken = 0
        self._parts: list[bytes] = []

    def begin(self) -> None:
        """Forget what was recorded: another call begins."""
        MEMORY[self._base : self._header_end] = self.made.header
        if self._taken:
            self._taken, self._parts = 0, []

    @property
    def spent_in(self) -> str | None:
        """Where gas ran out, if it did: the name of a function that the code called, or empty for the code itself."""
        place = self._out.value
        return None if not place else "" if place == 1 else self.made.out_names[place - 2]

    @property
    def position(self) -> int:
        """How many accesses were recorded."""
        recorded: int = (self._end.value - self.made.accesses_start) // ACCESS.size
        return self._taken + recorded

    @property
    def lost(self) -> int:
        """How many accesses were not recorded, because there was no room."""
        lost: int = self._lost.value
        return lost

    def make_room(self) -> None:
        """Take accesses out if the log is half full: the call makes another one, and is out of wasm for now."""
        position = self.position
        if position - self._taken >= _DRAIN_AT:
            self._parts.append(self.accesses(self._taken))
            self._taken = position
            self._end.value = self.made.accesses_start

    def accesses(self, position: int = 0) -> bytes:
        """Return what was recorded from a position on."""
        if position < self._taken:
            return b"".join((*self._parts, self.accesses(self._taken)))[position * ACCESS.size :]
        start = self.made.accesses_start + (position - self._taken) * ACCESS.size
        return read_bytes(self._base + start, self._end.value - start)

    def show(self, start: int, end: int) -> None:
        """Record accesses to a range of the memory into which storage is mapped, from now on."""
        self._low.value = min(start, self._low.value) if self._high.value else start
        self._high.value = max(end, self._high.value)

    def take(self) -> tuple[bytes, bytes, bytes, int, int]:
        """Return blocks, comparisons, accesses, and how many accesses and comparisons are missing."""
        made, base = self.made, self._base
        _, _, comparisons_end, accesses_lost, comparisons_lost, *_ = HEADER.unpack_from(MEMORY, base)
        blocks = read_bytes(base + BLOCKS_START, len(made.blocks))
        comparisons = read_bytes(base + made.comparisons_start, comparisons_end - made.comparisons_start)
        return blocks, comparisons, self.accesses(), accesses_lost, comparisons_lost

    def discard(self) -> None:
        """Give its pages back to the system: no call uses it any more."""
        forget_written(self._base, len(self._memory))
