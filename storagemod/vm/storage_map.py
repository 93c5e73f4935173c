"""What the options that map storage into working memory have in common: ``ethereum.storageMap``.

``storageMap(memoryOffset: i32, storageOffset: i32, storageLength: i32)`` makes a range of linear storage appear at an
offset of the contract's memory. ``storageUnmap(memoryOffset: i32)`` takes it out again, and ``storageSize() -> i64``
returns the length of storage in bytes. How memory and storage are kept in line is what the options differ in.
Source: ewasm/design issue 188, "Linear storage design".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

from storagemod.errors import TrapError
from storagemod.limits import Limits
from storagemod.types import FunctionType, MemoryType
from storagemod.vm import ethereum
from storagemod.vm.ethereum import u32
from storagemod.vm.layout import DEFAULT_REGION, Access, Region, bounded_region
from storagemod.vm.option import ServedByHost
from storagemod.wasm import HostFunction

if TYPE_CHECKING:
    from storagemod.vm.frame import Frame
    from storagemod.vm.storage import StorageAccess

_PAGES_MIN = 1


class CallMemory(Protocol):
    """A memory that host functions read and write for a call: its own, or storage, or its own with pages of storage."""

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out; a range outside traps."""

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Copy bytes in, a view of bytes too; a range outside traps."""


class Mappings(ABC):
    """The mappings of one call: which bytes of its memory stand for which bytes of storage.

    ``option`` is the name of the linking option.
    """

    option: ClassVar[str]

    @abstractmethod
    def peek(self, offset: int, length: int) -> bytes:
        """Return bytes of the call's memory."""

    @abstractmethod
    def map(self, memory_offset: int, storage_offset: int, length: int) -> None:
        """Make storage appear in memory; traps where that cannot be. A length of 0 maps nothing, wherever it is."""

    @abstractmethod
    def suspend(self) -> None:
        """The call is about to call another one."""

    @abstractmethod
    def resume(self) -> None:
        """The call that it made is over."""

    @abstractmethod
    def end(self) -> None:
        """The call is about to end well."""

    @abstractmethod
    def unmap(self, memory_offset: int) -> None:
        """Bring to storage what was written in the mapping made at this offset, and leave zeros in its place.

        Raises:
            TrapError: No mapping was made there.
        """

    @abstractmethod
    def flush(self) -> None:
        """Bring to storage what was written so far, if that would be done before a call."""

    @abstractmethod
    def ranges(self) -> tuple[tuple[int, int, int], ...]:
        """What is mapped: offset in memory, offset in storage, and length, of each range."""

    def settle(self) -> None:  # noqa: B027 - there is nothing to do where bytes are copied
        """The call stopped running, for now or for good, and however it ended: say what it wrote in storage itself."""

    def release(self) -> None:  # noqa: B027 - copies are simply forgotten
        """The call is over, however it ended: hold nothing any more."""

    def guard(self, memory: CallMemory) -> CallMemory:
        """The call's memory as host functions are to use it from now on."""
        return memory

    def forbidden(self, offset: int) -> TrapError | None:  # noqa: ARG002 - copies may be written
        """The rule that an access at an offset in memory broke which the machine stopped, if it was one."""
        return None


def _storage_map(frame: Frame, memory_offset: int, storage_offset: int, length: int) -> None:
    schedule = frame.schedule
    frame.use_gas(schedule.storage_load + schedule.copying(u32(length)))
    frame.map_storage(u32(memory_offset), u32(storage_offset), u32(length))


def _storage_unmap(frame: Frame, memory_offset: int) -> None:
    frame.use_gas(frame.schedule.storage_load)
    frame.unmap_storage(u32(memory_offset))


def _storage_size(frame: Frame) -> int:
    frame.use_gas(frame.schedule.base)
    return frame.storage_size()


class StorageMapOption(ServedByHost):
    """The imports of ``storageMap`` and its kin; storage is one region, which only the host reaches."""

    functions: ClassVar = {
        each.name: each
        for each in (
            HostFunction(ethereum.NAMESPACE, "storageMap", FunctionType(("i32", "i32", "i32")), _storage_map),
            HostFunction(ethereum.NAMESPACE, "storageUnmap", FunctionType(("i32",)), _storage_unmap),
            HostFunction(ethereum.NAMESPACE, "storageSize", FunctionType((), ("i64",)), _storage_size),
        )
    }
    region_name = DEFAULT_REGION

    def region(self, limits: Limits) -> Region:
        """The one region, as long as the limits allow."""
        return bounded_region(DEFAULT_REGION, MemoryType(_PAGES_MIN, None), Access.HOST, limits)


def check_range(
    memory: CallMemory,
    memory_offset: int,
    storage: StorageAccess,
    storage_offset: int,
    length: int,
    *,
    what: str = "",
) -> None:
    """See that memory is as long as a mapping needs, and storage may be.

    Before anything is copied: a range may be much longer than either. ``what`` a range outside is called comes before
    the message.

    Raises:
        TrapError: One is not.
    """
    if storage_offset + length > storage.bytes_max:
        raise TrapError(
            f"storageMap: {what}bytes [{storage_offset:#x}, {storage_offset + length:#x}) lie outside what storage "
            f"may be, {storage.bytes_max:#x} bytes",
            code="storage_out_of_bounds",
        )
    try:
        memory.read(memory_offset + length - 1, 1)
    except TrapError as error:
        raise TrapError(
            f"storageMap: {what}bytes [{memory_offset:#x}, {memory_offset + length:#x}) lie outside the memory of the "
            "contract",
            code=error.code,
            cause=error,
        ) from error


def nothing_mapped(memory_offset: int) -> TrapError:
    """Return the error of unmapping what was never mapped, or is not any more."""
    return TrapError(f"storageUnmap: no mapping begins at byte {memory_offset:#x} of memory", code="storage_map")


def refuse_mapping(reason: str) -> TrapError:
    """What a mapping that cannot be made ends the call with."""
    return TrapError(f"storageMap: {reason}", code="storage_map")
