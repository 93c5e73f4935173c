"""The oracle for the linking options under which storage is not memory that calls share: keyed and mapped storage.

The preludes of all of them offer 64 KiB and no growth. Where storage is mapped, each call works on a copy of its own;
these models say when copies and storage are brought in line, and so foretell what is wrong on purpose, too.
"""

from __future__ import annotations

from typing import ClassVar

from storagemod.scenario import puppet
from storagemod.scenario.puppet import Operation
from storagemod.types import Address, StorageMapping, SyncPolicy

from .reference import PAGE, WASM_PAGE, WRITES, Call, Failed, ReferenceWorld, Region

SLOT = 32


class SmallStorage(ReferenceWorld):
    """Storage of one Wasm page, whatever stands behind it, that calls share."""

    mapping: ClassVar[StorageMapping | None] = None
    """How puppets are deployed that map storage."""

    @classmethod
    def mapping_at(cls, address: Address) -> StorageMapping | None:  # noqa: ARG003 - it is the same for all
        """How the puppet at an address maps storage, whatever storage its code runs on."""
        return cls.mapping

    def _grow(self, memory: bytearray, pages: int) -> int:  # noqa: ARG002 - it is as long as it will ever be
        return -1 if pages else 1

    def _access(self, call: Call, operation: Operation) -> None:
        match operation:
            case puppet.Size() | puppet.Grow():
                pages = 0 if isinstance(operation, puppet.Size) else operation.pages
                call.output += self._grow(bytearray(), pages).to_bytes(4, "little", signed=True)
            case _:
                super()._access(call, operation)

    def _bytes(self, call: Call, operation: Operation, offset: int, length: int) -> slice:
        if offset + length > WASM_PAGE:
            raise Failed
        return super()._bytes(call, operation, offset, length)


class Keyed(SmallStorage):
    """Linear storage laid over 32-byte slots. A slot of zeros is none, and to remove what is not there is no write."""

    def _bytes(self, call: Call, operation: Operation, offset: int, length: int) -> slice:
        accessed = super()._bytes(call, _as_read(operation), offset, length)
        if self.protected and call.static and isinstance(operation, WRITES) and length:
            memory = self._region(call, operation).memory
            slots = memory[offset // SLOT * SLOT : -(-(offset + length) // SLOT) * SLOT]
            if slots.strip(b"\0") or _data(operation).strip(b"\0"):
                raise Failed
        return accessed


class Mapped(SmallStorage):
    """Storage is copied into the working memory of each call that uses it, when it does so first.

    Writes go to the copy, so nothing stops them in a static call (6): what counts is what they bring to storage.
    """

    def _region(self, call: Call, operation: Operation) -> Region:
        super()._region(call, operation)
        if call.copy is None:
            call.copied = self._storage(call)
            call.copy = bytearray(call.copied)
        return Region(call.copy, 1)

    def _bytes(self, call: Call, operation: Operation, offset: int, length: int) -> slice:
        return super()._bytes(call, _as_read(operation), offset, length)

    def _finish(self, call: Call) -> None:
        if call.copy is not None:
            self._write_back(call, call.copy)

    def _storage(self, call: Call) -> bytes:
        return bytes(self.accounts[call.address].regions["memory"].memory[:WASM_PAGE])

    def _write_back(self, call: Call, copy: bytearray) -> None:
        """Bring what changed from the copy to storage."""
        for page in range(0, WASM_PAGE, PAGE):
            if copy[page : page + PAGE] != call.copied[page : page + PAGE]:
                self._write_page(call, copy, page)
        call.copied = bytes(copy)

    def _write_page(self, call: Call, copy: bytearray, page: int) -> None:
        """Bring the bytes that changed to storage, and no others."""
        memory = self.accounts[call.address].regions["memory"].memory
        for at in range(page, page + PAGE):
            if copy[at] != call.copied[at]:
                memory[at] = copy[at]


class CopiedAtEnds(Mapped):
    """``copied`` with the policy ``end``: what changed is written when a call ends well. Copies grow stale (3)."""

    mapping = StorageMapping("copied", SyncPolicy.END)


class CopiedWhole(Mapped):
    """``copied`` with the policy ``none``: when a call ends well, everything is written, changed or not (3).

    So a static call that used storage at all fails where writes are stopped, and where they are found by what they
    changed, only if it changed its copy.
    """

    mapping = StorageMapping("copied", SyncPolicy.NONE)

    def _write_back(self, call: Call, copy: bytearray) -> None:
        if call.static and self.protected:
            raise Failed
        self.accounts[call.address].regions["memory"].memory[:WASM_PAGE] = copy


class CopiedAtCalls(Mapped):
    """``copied`` with the policy ``call``: in line at each call, too."""

    mapping = StorageMapping("copied", SyncPolicy.CALL)

    def _suspend(self, call: Call) -> None:
        self._finish(call)

    def _resume(self, call: Call) -> None:
        if call.copy is not None:
            call.copied = self._storage(call)
            call.copy[:] = call.copied


class Paged(CopiedAtCalls):
    """``paged``: pages that changed are written whole."""

    mapping = StorageMapping("paged")

    def _write_page(self, call: Call, copy: bytearray, page: int) -> None:
        self.accounts[call.address].regions["memory"].memory[page : page + PAGE] = copy[page : page + PAGE]


def _as_read(operation: Operation) -> Operation:
    """An operation that reaches the same region, and writes nothing."""
    return puppet.Load(0) if isinstance(operation, WRITES) else operation


def _data(operation: Operation) -> bytes:
    match operation:
        case puppet.Store(_, value):
            return value.to_bytes(8, "little", signed=True)
        case puppet.Store8(_, value):
            return bytes([value])
        case puppet.CopyIn(_, data):
            return data
    raise NotImplementedError(f"{operation!r} does not write the region `memory`")
