"""Frame: one call while it runs, from its message to its result. Host functions get it as their first argument."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from storagemod.block import Block
from storagemod.errors import LinkError, OutOfGasError, StorageModError, TrapError
from storagemod.events import CallStarted, RawEvent, StorageHeldBack, StorageMapped, StorageUnmapped
from storagemod.pages import PAGE_BYTES, LiveRegion
from storagemod.process_memory import MEMORY
from storagemod.state import created_address
from storagemod.trace import BY_HOST, BY_HOST_MAPPED, MAPPED, SHOWN, Mark
from storagemod.types import Address, CallKind, Outcome, StorageMapping
from storagemod.vm.aliased import AliasedMappings, check_aliasing
from storagemod.vm.boundary import collect
from storagemod.vm.contract import MEMORY_EXPORT, Contract, ContractImport
from storagemod.vm.copied import CopiedMappings
from storagemod.vm.ethereum import Finished
from storagemod.vm.layout import DEFAULT_REGION, WINDOW
from storagemod.vm.paged import PagedMappings, PageTable
from storagemod.vm.schedule import GasSchedule
from storagemod.vm.storage import StorageAccess, StorageInstance
from storagemod.vm.storage_map import CallMemory, Mappings, nothing_mapped, refuse_mapping
from storagemod.vm.window import StorageWindow
from storagemod.wasm import CHANGED, RAW_VALUE_BYTES, SAME, UNKNOWN, Instance, InstancePool, LinearMemory, Log

if TYPE_CHECKING:
    from storagemod.vm.machine import Machine

_OWED_MAX = 100
"""Gas that a call may owe for host functions. To take it from wasmtime's fuel takes as long as the cheapest of them, so
it is taken for several at once. What a call does by then that cannot pay is undone with it."""

_CALL, _STATIC, _DELEGATE, _CODE, _CREATE = (
    CallKind.CALL,
    CallKind.STATIC,
    CallKind.DELEGATE,
    CallKind.CODE,
    CallKind.CREATE,
)
NO_LINKS: Mapping[str, Address] = MappingProxyType({})

ALL_GAS = -1
"""What a caller gives that names no amount: all that it may."""

_OK = Outcome.OK
_FAILED = Outcome.FAILED

_outcome = struct.Struct("<i")


class Frame:
    """One call: what it was asked, what it may do, what it has used, and how it ended.

    Attributes:
        machine: The machine that runs it.
        parent: The call that made it, or ``None`` for the top-level call.
        kind: How it was made.
        address: The owner of the storage and balance that it runs on.
        code_address: The owner of its code. In a creation both are the new account.
        caller: Who called.
        value: The value that came with it.
        gas: What its caller wants to give, and then what it was given.
        static: Whether it may change nothing: it, or a call above it, is a static call.
        method: The export that it runs, or ``None`` for ``main``.
        args: Its arguments, as raw events have them.
        data: Call data; none in a creation.
        code: The code that runs; in a creation, the init code.
        links: The addresses that the code's imports from other contracts are bound to.
        call_id: Its number in the transaction, 0 for the top-level call.
        depth: 1 for the top-level call.
        borrows: Whether foreign code runs on the caller's storage, so that nobody's contract is entered.
        code_started: Whether any of its code may have run, or its code was found to be no contract.
        nonce_bumped: Whether its caller's nonce went up for it: that of a contract which creates another.
        contract: Its code as a contract.
        storage: The storage that it runs on.
        pool: Where its instance goes back to.
        mappings: What it mapped into its memory.
        window: The window of its storage, if its code imports that.
        return_data: The output of the last call that it made, or what its last creation reverted with.
        outcome: How it ended.
        values: The results of its method, as raw events have them.
        output: What it handed to ``ethereum.finish`` or ``ethereum.revert``.
        error: Why it failed.
        gas_used: Gas that it and the calls inside it used.
        working_pages: Wasm pages of working memory that it is counted for.
        log: Where its code records what it does, if it does.
        marks: What happened between the accesses that it recorded (:mod:`storagemod.trace.recording`).
        reentered: Whether its contract was called again while it waited, and that call succeeded.
        stored_before: How many calls had stored after a re-entry when it began, where code records.
        boundary: Where its accesses since the last boundary begin: a position, the number of marks, and how many
            accesses had been lost.
    """

    __slots__ = (
        "_memory",
        "_owed",
        "address",
        "args",
        "borrows",
        "boundary",
        "call_id",
        "caller",
        "code",
        "code_address",
        "code_started",
        "contract",
        "data",
        "depth",
        "error",
        "gas",
        "gas_used",
        "instance",
        "kind",
        "links",
        "log",
        "machine",
        "mappings",
        "marks",
        "method",
        "nonce_bumped",
        "outcome",
        "output",
        "parent",
        "pool",
        "reentered",
        "return_data",
        "static",
        "storage",
        "stored_before",
        "value",
        "values",
        "window",
        "working_pages",
    )

    def __init__(
        self,
        machine: Machine,
        parent: Frame | None,
        kind: CallKind,
        address: Address,
        code_address: Address,
        caller: Address,
        value: int = 0,
        gas: int = 0,
        static: bool = False,
        method: str | None = None,
        args: tuple[Any, ...] = (),
        data: bytes = b"",
        code: bytes = b"",
    ) -> None:
        self.machine = machine
        self.parent = parent
        self.kind = kind
        self.address = address
        self.code_address = code_address
        self.caller = caller
        self.value = value
        self.gas = gas
        self.static = static
        self.method = method
        self.args = args
        self.data = data
        self.code = code
        self.links = NO_LINKS
        self.call_id = 0
        self.depth: int = 1 if parent is None else parent.depth + 1
        self.borrows = kind is _DELEGATE or kind is _CODE
        self.code_started = self.nonce_bumped = False
        self.contract: Contract | None = None
        self.storage: StorageInstance | None = None
        self.pool: InstancePool | None = None
        self.instance: Instance | None = None
        self.mappings: Mappings | None = None
        self.window: StorageWindow | None = None
        self.log: Log | None = None
        self.reentered = False
        self.stored_before = 0
        self._memory: CallMemory | None = None
        self._owed = self.working_pages = 0
        self.return_data = self.output = b""
        self.outcome = _OK
        self.values: tuple[Any, ...] = ()
        self.error: StorageModError | None = None
        self.gas_used = 0

    def restart(self) -> None:
        """Be what it was before it ran."""
        self.__init__(  # type: ignore[misc] # all but its message is new
            self.machine,
            self.parent,
            self.kind,
            self.address,
            self.code_address,
            self.caller,
            self.value,
            self.gas,
            self.static,
            self.method,
            self.args,
            self.data,
            self.code if self.kind is _CREATE else b"",
        )

    # What it records

    def begin_recording(self, log: Log) -> None:
        """Record from now on, in the log of an instance."""
        log.begin()
        self.log = log
        self.marks: list[Mark] = []
        self.boundary = (0, 0, 0)
        self.note_window()

    def note_window(self) -> None:
        """Record what the window shows, if its code imports that: other calls may have changed it."""
        if self.window is not None and self.log is not None:
            self.marks.append((self.log.position, SHOWN, self.window.ranges()))

    def note_access(self, region: str, offset: int, length: int, write: bool, effect: int) -> None:
        """Record that a host function accesses storage for it."""
        if length and self.log is not None:
            self.marks.append((self.log.position, BY_HOST, region, offset, length, write, effect))

    def note_mapped_access(self, offset: int, length: int, write: bool, effect: int) -> None:
        """Record that a host function accesses the memory into which it mapped storage."""
        if length and self.log is not None:
            self.marks.append((self.log.position, BY_HOST_MAPPED, offset, length, write, effect))

    def _note_mapping(self, log: Log, memory_offset: int, storage_offset: int, length: int) -> None:
        mappings, unit = self.mappings, 1
        if mappings is None:
            unit = PAGE_BYTES
        elif not isinstance(mappings, CopiedMappings):
            unit = mappings.table.frame_bytes  # type: ignore[attr-defined] # the others have one
        length = -(-length // unit) * unit
        self.marks.append((log.position, MAPPED, memory_offset, storage_offset, length))
        if mappings is not None:
            log.show(memory_offset, memory_offset + length)

    @property
    def enforced(self) -> bool:
        """Whether the system stops it where it may not write, or reaches beyond a region's length.

        Otherwise that is found when it stops running, by what changed.
        """
        return self.machine.backend.protects and self.contract is not None and not self.contract.bulk_storage

    @property
    def pages_enforced(self) -> bool:
        """Whether the system stops it where it may not write pages of storage in its own memory."""
        return self.machine.backend.protects and self.contract is not None and not self.contract.bulk_memory

    def started(self, reentry: int) -> RawEvent:
        """Return the raw event of its start, when so many calls of its address are active."""
        return (
            CallStarted,
            self.call_id,
            None if self.parent is None else self.parent.call_id,
            self.depth,
            self.kind,
            self.address,
            self.code_address,
            self.caller,
            self.method,
            self.args,
            self.code if self.kind is _CREATE else self.data,
            self.value,
            self.gas,
            self.static,
            reentry,
        )

    # What host functions ask

    @property
    def block(self) -> Block:
        """The block that the transaction is in."""
        return self.machine.block

    @property
    def origin(self) -> Address:
        """Who sent the transaction."""
        return self.machine.origin

    @property
    def gas_price(self) -> int:
        """What the sender would pay for a unit of gas."""
        return self.machine.gas_price

    @property
    def schedule(self) -> GasSchedule:
        """What host functions cost."""
        return self.machine.schedule

    @property
    def memory(self) -> CallMemory:
        """The contract's exported memory; where that is storage, rules 5 and 6 are kept."""
        if self._memory is None:
            assert self.instance is not None  # noqa: S101 - host functions run in an instance
            assert self.contract is not None  # noqa: S101 - of a contract
            region = self.contract.memory_region
            self._memory = self.instance.memory(MEMORY_EXPORT) if region is None else self.storage_memory(region)
        return self._memory

    def storage_memory(self, region: str) -> StorageAccess:
        """Return a region of the storage that the call runs on."""
        return StorageAccess(self, region)

    def account_code(self, address: Address) -> bytes:
        """Return the code of an account, empty where there is none."""
        return self.machine.accounts[address].code

    def account_balance(self, address: Address) -> int:
        """Return the balance of an account; 0 where there is none."""
        return self.machine.accounts[address].balance

    def account_is_empty(self, address: Address) -> bool:
        """Return whether an account has neither nonce nor balance nor code, so that a value creates it (EIP-161)."""
        account = self.machine.accounts[address]
        return not (account.nonce or account.balance or account.code)

    # Gas

    @property
    def gas_left(self) -> int:
        """Gas that this call has left."""
        return self.settle_gas()

    def use_gas(self, amount: int) -> None:
        """Take gas away, at once unless it is next to nothing.

        Raises:
            OutOfGasError: There is not as much.
        """
        self._owed += amount
        if self._owed >= _OWED_MAX:
            self.settle_gas()

    def settle_gas(self) -> int:
        """Take the gas away that is still owed, and return what is left.

        Called before the call makes another, asks for its gas, or ends well: instructions can have used more than there
        was.

        Raises:
            OutOfGasError: The call used more than it was given.
        """
        store = self.machine.store
        owed, left = self._owed, store.fuel
        if owed > left:
            what = f": host functions cost {owed:,}, and {left:,} are left" if left >= 0 else ""
            raise OutOfGasError(f"out of gas{what}")
        if owed:
            self._owed = 0
            left -= owed
            store.fuel = left
        return left

    # What it does

    def call_linked(self, callee: ContractImport, values: int) -> None:
        """Call the contract that a link of the running code is bound to.

        Args:
            callee: The import.
            values: Where its arguments are, and its results go.
        """
        machine = self.machine
        address = self.links.get(callee.link)
        if address is None:  # deployment binds every link
            raise LinkError(f'"contract:{callee.link}" is not linked to an address')
        args = callee.raw_args(values) if machine.notify is not None else ()
        frame = Frame(
            machine, self, _CALL, address, address, self.address, 0, ALL_GAS, self.static, callee.method, args
        )
        machine.call(frame, values, callee.type)
        self.return_data = frame.output
        length = callee.results_bytes
        if not callee.catches:
            if frame.outcome is not _OK:
                raise _failed_callee(callee, frame)
            return
        if frame.outcome is not _OK:
            MEMORY[values + RAW_VALUE_BYTES : values + RAW_VALUE_BYTES + length] = bytes(length)
        elif length:
            MEMORY[values + RAW_VALUE_BYTES : values + RAW_VALUE_BYTES + length] = MEMORY[values : values + length]
        _outcome.pack_into(MEMORY, values, frame.outcome)

    def call_account(self, kind: CallKind, gas: int, address: Address, value: int, data: bytes) -> Outcome:
        """Call an account's ``main`` with call data; its output becomes ``return_data``."""
        borrows = kind is _DELEGATE or kind is _CODE
        if value and self.static and not borrows:
            raise TrapError("a static call sent value", code="static_write")
        delegate = kind is _DELEGATE
        frame = Frame(
            self.machine,
            self,
            kind,
            self.address if borrows else address,
            address,
            self.caller if delegate else self.address,
            self.value if delegate else value,
            gas,
            self.static or kind is _STATIC,
            data=data,
        )
        self.machine.call(frame)
        self.return_data = frame.output
        return frame.outcome

    def create_account(self, value: int, code: bytes) -> tuple[Outcome, Address | None]:
        """Create a contract whose code is the output of the init code; its address if that ended well."""
        if self.static:
            raise TrapError("a static call created a contract", code="static_write")
        address = created_address(self.address, self.machine.accounts[self.address].nonce)
        frame = Frame(self.machine, self, _CREATE, address, address, self.address, value, ALL_GAS, code=code)
        self.machine.call(frame)
        self.return_data = frame.output
        return frame.outcome, address if frame.outcome is _OK else None

    def self_destruct(self, beneficiary: Address) -> NoReturn:
        """Give the balance away, have the account removed when the transaction ends, and end the call well."""
        if self.static:
            raise TrapError("a static call destroyed its account", code="static_write")
        self.machine.destroy(self, beneficiary)
        raise Finished(b"")

    def emit_log(self, topics: tuple[bytes, ...], data: bytes) -> None:
        """Emit a log."""
        self.machine.emit_log(self, topics, data)

    def debug(self, text: str) -> None:
        """Show text to whoever listens. It changes nothing."""
        self.machine.print_debug(self, text)

    # Storage mapped into its memory

    def map_storage(self, memory_offset: int, storage_offset: int, length: int) -> None:
        """Make storage appear in this call's memory, or in the window that its code imports.

        Raises:
            TrapError: The linking option refuses it.
            LinkError: This machine cannot show storage in its memory.
        """
        machine = self.machine
        if self.window is not None:
            self.window.map(self, memory_offset, storage_offset, length)
        else:
            if self.mappings is None:
                self.mappings = self._new_mappings(machine.accounts[self.code_address].mapping or machine.mapping)
                self._memory = self.mappings.guard(self.memory)
                if self.log is not None:
                    self._memory = _RecordedMemory(self, self._memory)
            self.mappings.map(memory_offset, storage_offset, length)
        if self.log is not None and length:
            self._note_mapping(self.log, memory_offset, storage_offset, length)
        if machine.notify is not None:
            option = WINDOW if self.mappings is None else self.mappings.option
            machine.notify((StorageMapped, self.call_id, self.address, option, memory_offset, storage_offset, length))

    def unmap_storage(self, memory_offset: int) -> None:
        """Take out the storage that was mapped at an offset: what was written there is storage's, and zeros are left.

        Raises:
            TrapError: Nothing was mapped there, or a static call wrote it.
        """
        if self.window is not None:
            self.window.unmap(self, memory_offset)
        elif self.mappings is not None:
            self.mappings.unmap(memory_offset)
        else:
            raise nothing_mapped(memory_offset)
        if self.mappings is not None and self.log is not None:
            self.marks.append((self.log.position, SHOWN, self.mappings.ranges()))
        self.note_window()
        collect(self.machine, self)  # before the same bytes are copied in again: an update may have been lost
        if self.machine.notify is not None:
            option = WINDOW if self.mappings is None else self.mappings.option
            self.machine.notify((StorageUnmapped, self.call_id, self.address, option, memory_offset))

    def storage_size(self) -> int:
        """Return how long storage is, in bytes, with what mappings that are kept in line have grown it by."""
        if self.window is not None:
            broken = self.window.settle(self)
            if broken is not None:
                raise broken
        elif self.mappings is not None:
            self.mappings.flush()
        return self.storage_memory(DEFAULT_REGION).length

    def _new_mappings(self, settings: StorageMapping) -> Mappings:
        machine = self.machine
        storage = self.storage_memory(DEFAULT_REGION)
        if settings.option == "copied":
            listens = StorageHeldBack in machine.wants
            return CopiedMappings(self.memory, storage, settings.sync, self._hold_back if listens else None)
        table = PageTable(
            (self.address, DEFAULT_REGION),
            machine.frame_table,
            depth=self.depth,
            frame_bytes=settings.frame_bytes,
            exclusive=settings.exclusive,
        )
        if settings.option == "paged":
            return PagedMappings(self.memory, storage, table)
        check_aliasing(machine.backend)
        memory = self.memory
        if not isinstance(memory, LinearMemory):
            raise refuse_mapping("the memory of the contract is storage itself, which cannot show other storage")
        writing = not self.static or not self.pages_enforced
        return AliasedMappings(memory, storage, machine.frame_file, table, writing=writing)

    def _hold_back(self, areas: list[tuple[int, bytes, bytes]]) -> None:
        raw = tuple((DEFAULT_REGION, offset, loaded, now) for offset, loaded, now in areas)
        if self.machine.notify is not None:
            self.machine.notify((StorageHeldBack, self.call_id, self.address, raw))

    # Between the calls that it makes

    def resume(self) -> None:
        """Have its rights and no others, and see storage as it is: it is to run, or to run on."""
        if self.storage is not None:
            for region in self.storage.regions:
                if self.static or not region.plain:
                    self._allow(region)
        if self.window is not None:
            self.window.resume(self)
        if self.mappings is not None:
            self.mappings.resume()

    def _allow(self, region: LiveRegion) -> None:
        """Allow what the call may do with a region."""
        if self.enforced:
            region.allow(writing=not self.static)
        else:
            region.allow_all()


class _RecordedMemory:
    """A contract's memory into which storage is mapped, whose accesses by host functions are recorded."""

    __slots__ = ("_frame", "_memory")

    def __init__(self, frame: Frame, memory: CallMemory) -> None:
        self._frame = frame
        self._memory = memory

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out; a range outside traps."""
        data = self._memory.read(offset, length)
        self._frame.note_mapped_access(offset, length, False, UNKNOWN)
        return data

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Copy bytes in; a range outside traps."""
        same = self._memory.read(offset, len(data)) == data
        self._memory.write(offset, data)
        self._frame.note_mapped_access(offset, len(data), True, SAME if same else CHANGED)


def _failed_callee(callee: ContractImport, frame: Frame) -> TrapError:
    """Return the error of a caller whose typed call, without ``?``, failed.

    The message names where it began to fail, 1,024 calls down perhaps. What lies between are the causes.
    """
    origin: BaseException | None = frame.error
    while isinstance(origin, TrapError) and origin.code == "callee_failed":
        origin = origin.cause
    return TrapError(
        f'the call of "{callee.method}" of "contract:{callee.link}" did not end well: {origin}',
        code="callee_failed",
        cause=frame.error,
        hint=f'import "{callee.method}?" to go on after a failure',
    )
