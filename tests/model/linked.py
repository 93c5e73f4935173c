"""The oracle for the linking options under which storage is not memory that calls share: keyed and mapped storage.

The preludes of all of them offer 64 KiB and no growth. Where storage is mapped, each call works on a copy of its own;
these models say when copies and storage are brought in line, and so foretell what is wrong on purpose, too.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from storagemod.scenario import puppet
from storagemod.scenario.puppet import Operation, Script
from storagemod.types import Address, ExclusivePolicy, StorageMapping, SyncPolicy

from .reference import PAGE, WASM_PAGE, WRITES, Byte, Call, Failed, Prediction, ReferenceWorld, Region, append, i32

SLOT = 32


class SmallStorage(ReferenceWorld):
    """Storage of one Wasm page, whatever stands behind it, that calls share."""

    mapping: ClassVar[StorageMapping | None] = None
    """How puppets are deployed that map storage."""

    def _storage(self, call: Call) -> bytes:
        return bytes(self.accounts[call.address].regions["memory"].memory[:WASM_PAGE])

    @classmethod
    def mapping_at(cls, address: Address) -> StorageMapping | None:  # noqa: ARG003 - it is the same for all
        """How the puppet at an address maps storage, whatever storage its code runs on."""
        return cls.mapping

    def _access(self, call: Call, operation: Operation) -> None:
        match operation:
            case puppet.Size():
                append(call, i32(1))
            case puppet.Grow(pages):
                append(call, i32(-1 if pages else 1))
            case _:
                super()._access(call, operation)

    def _bytes(self, call: Call, operation: Operation, offset: int, length: int) -> slice:
        if offset + length > WASM_PAGE:
            raise Failed
        return super()._bytes(call, operation, offset, length)


class Keyed(SmallStorage):
    """Linear storage laid over 32-byte slots. A static call that stores anything fails at once, as on Ethereum."""

    def _bytes(self, call: Call, operation: Operation, offset: int, length: int) -> slice:
        accessed = super()._bytes(call, _as_read(operation), offset, length)
        if call.static and isinstance(operation, WRITES) and length:
            raise Failed
        return accessed


class Mapped(SmallStorage):
    """Storage is copied into the working memory of each call that uses it, when it does so first.

    Writes go to the copy, so nothing stops them in a static call (6): what counts is what they bring to storage. When
    a call ends well, its copy is written back; how, and whether the two are brought in line at each call as well, is
    for the account to say whose code runs.
    """

    def _mapping(self, call: Call) -> StorageMapping:
        mapping = self.mapping_at(call.code)
        assert mapping is not None
        return mapping

    def _stays_in_line(self, call: Call) -> bool:
        mapping = self._mapping(call)
        return mapping.option == "paged" or mapping.sync is SyncPolicy.CALL

    def _region(self, call: Call, operation: Operation) -> Region:
        super()._region(call, operation)
        if call.copy is None:
            call.copied = self._storage(call)
            call.copy = bytearray(call.copied)
        return Region(call.copy, 1)

    def _bytes(self, call: Call, operation: Operation, offset: int, length: int) -> slice:
        return super()._bytes(call, _as_read(operation), offset, length)

    def _suspend(self, call: Call) -> None:
        if call.copy is not None and self._stays_in_line(call):
            self._write_back(call, call.copy)

    def _resume(self, call: Call) -> None:
        if call.copy is not None and self._stays_in_line(call):
            call.copied = self._storage(call)
            call.copy[:] = call.copied

    def _finish(self, call: Call) -> None:
        if call.copy is not None:
            self._write_back(call, call.copy)

    def _write_back(self, call: Call, copy: bytearray) -> None:
        """Bring the copy to storage: all of it, or whole pages that changed, or the bytes that changed and no others.

        In a static call nothing else can have changed storage, so all of it changes nothing if the call did not (6).
        """
        mapping = self._mapping(call)
        if mapping.option == "copied" and mapping.sync is SyncPolicy.NONE:
            self.accounts[call.address].regions["memory"].memory[:WASM_PAGE] = copy
            return
        write = self._write_page if mapping.option == "paged" else self._write_bytes
        for page in range(0, WASM_PAGE, PAGE):
            if copy[page : page + PAGE] != call.copied[page : page + PAGE]:
                write(call, copy, page)
        call.copied = bytes(copy)

    def _write_page(self, call: Call, copy: bytearray, page: int) -> None:
        self.accounts[call.address].regions["memory"].memory[page : page + PAGE] = copy[page : page + PAGE]

    def _write_bytes(self, call: Call, copy: bytearray, page: int) -> None:
        memory = self.accounts[call.address].regions["memory"].memory
        for at in range(page, page + PAGE):
            if copy[at] != call.copied[at]:
                memory[at] = copy[at]


class CopiedAtCalls(Mapped):
    mapping = StorageMapping("copied", SyncPolicy.CALL)


class Paged(Mapped):
    mapping = StorageMapping("paged")


class Aliased(SmallStorage):
    """Storage itself is in the working memory of each call. A static call is stopped as it writes."""

    mapping = StorageMapping("aliased")


class Window(Aliased):
    """Storage itself, shown in one memory to all calls. It is a matter of the code, so no account says it."""

    mapping = None


class Exclusive(SmallStorage):
    """A call fails as it maps storage that a call above it holds, if one of the two wants it for itself."""

    def _region(self, call: Call, operation: Operation) -> Region:
        mapping = self.mapping_at(call.code)
        if mapping is not None and mapping.option != "copied" and not call.holds:
            above = call.parent
            while above is not None:
                if above.holds and above.address == call.address and self._excludes(above, call):
                    raise Failed
                above = above.parent
            call.holds = True
        return super()._region(call, operation)

    def _excludes(self, *calls: Call) -> bool:
        mappings = [self.mapping_at(call.code) for call in calls]
        return any(each is not None and each.exclusive is ExclusivePolicy.TRANSACTION for each in mappings)


class PagedExclusively(Exclusive, Paged):
    mapping = StorageMapping("paged", exclusive="transaction")


class AliasedExclusively(Exclusive, Aliased):
    mapping = StorageMapping("aliased", exclusive="transaction")


class Stale(Mapped):
    """Copies are not all brought in line at calls (3).

    Attributes:
        lost: Bytes that one call wrote and another one wrote over with what it had made of an older copy.
    """

    lost: list[Byte]

    def transact(
        self, to: Address, script: Script | bytes, *, sender: Address, value: int, commit: bool = True
    ) -> Prediction:
        shared = Shared(
            self.sender,
            0,
            call_depth_max=self.call_depth_max,
            storage_pages_max=self.storage_pages_max,
            spare=self.spare,
            protected=False,
        )
        shared.measured = self
        shared.accounts = self.copy_accounts()
        right = shared.transact(to, script, sender=sender, value=value, commit=commit)
        self.lost = []
        prediction = super().transact(to, script, sender=sender, value=value, commit=commit)
        astray = prediction != right or self.accounts != shared.accounts
        return attrs.evolve(prediction, astray=astray, lost=tuple(self.lost))

    def _write_back(self, call: Call, copy: bytearray) -> None:
        before, copied = self._storage(call), call.copied
        super()._write_back(call, copy)
        after = self._storage(call)
        if before not in (copied, after):
            where = (at for at in range(WASM_PAGE) if copied[at] != before[at] != after[at])
            self.lost += [(call.address, at, before[at], after[at]) for at in where]


class CopiedAtEnds(Stale):
    mapping = StorageMapping("copied", SyncPolicy.END)


class CopiedWhole(Stale):
    mapping = StorageMapping("copied", SyncPolicy.NONE)


class CopiedByRevision(Stale):
    """A call fails at its end if its copy and storage have both changed since they were in line: nothing is lost."""

    mapping = StorageMapping("copied", SyncPolicy.REVISION)

    def _finish(self, call: Call) -> None:
        if call.copy is not None and self._mapping(call).sync is SyncPolicy.REVISION:
            self._check_revision(call, call.copy)
        super()._finish(call)

    def _check_revision(self, call: Call, copy: bytearray) -> None:
        if copy != call.copied != self._storage(call):
            raise Failed


class Guarded(Exclusive, CopiedByRevision):
    """Each account has its own: one copies by revision, one pages exclusively, and one pages and excludes nobody."""

    _refused = False

    @classmethod
    def mapping_at(cls, address: Address) -> StorageMapping:
        mappings = [each.mapping for each in (Paged, CopiedByRevision, PagedExclusively)]
        return mappings[address[-1] % len(mappings)]

    def transact(
        self, to: Address, script: Script | bytes, *, sender: Address, value: int, commit: bool = True
    ) -> Prediction:
        """Foretell it; a call that was refused is no fault that a hazard would have to explain."""
        self._refused = False
        prediction = super().transact(to, script, sender=sender, value=value, commit=commit)
        return attrs.evolve(prediction, astray=prediction.astray and not self._refused)

    def _excludes(self, *calls: Call) -> bool:
        self._refused |= super()._excludes(*calls)
        return super()._excludes(*calls)


class Mixed(Stale):
    """Each account has its own, and in a delegate call that of the code counts, whosever storage it is."""

    @classmethod
    def mapping_at(cls, address: Address) -> StorageMapping:
        mappings = [each.mapping for each in (CopiedWhole, CopiedAtEnds, Paged)]
        return mappings[address[-1] % len(mappings)]


class Shared(SmallStorage):
    """What copies that grow stale are measured by: calls share 64 KiB of storage, as under ``single``.

    What static calls may do is judged as it is with copies: by what is left of it when they are written back (6).

    Attributes:
        measured: The model of copies that is measured.
    """

    measured: Stale

    def _begin_interval(self, call: Call) -> None:
        super()._begin_interval(call)
        if not call.copied:
            call.copied = self._storage(call)

    def _end_interval(self, call: Call) -> None:
        """What a call did is looked at when its copy would be written back."""

    def _suspend(self, call: Call) -> None:
        if self.measured._stays_in_line(call):
            self._finish(call)

    def _finish(self, call: Call) -> None:
        if call.static and self._storage(call) != call.copied:
            raise Failed


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
