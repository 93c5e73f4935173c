"""The machine of a world: runs transactions, one after another, on storage that stays mapped between them.

Whatever code, links and limits settle is resolved once and kept: contracts by their code, storage modules by address,
instances by code and storage. A transaction that commits leaves memory and image alike. Costs are counted by rule, so
that they do not depend on what was kept.
"""

from __future__ import annotations

import ctypes
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from attrs import evolve, frozen

from storagemod.block import Block
from storagemod.errors import (
    DeadlineError,
    LimitError,
    LinkError,
    OutOfGasError,
    ReentryError,
    RevertError,
    StorageModError,
    TrapError,
    ValidationError,
)
from storagemod.events import (
    AccountCreated,
    AccountDestroyed,
    CallEnded,
    DebugPrinted,
    Log,
    LogEmitted,
    Notifier,
    Observer,
    PagesTouched,
    RawEvent,
    StorageHeldBack,
    StorageLoaded,
    StorageModuleInstantiated,
    StorageRewritten,
    TablesShown,
)
from storagemod.pages import FrameFile, PageBackend, RegionDiff, UndoLog
from storagemod.state import ChangeSet, PageStore
from storagemod.trace import CALLED, EventLog, RecordedCall, Recording
from storagemod.types import ZERO_ADDRESS, Address, CallKind, FunctionType, Outcome, ReentryPolicy, StorageMapping
from storagemod.vm.accounts import Accounts
from storagemod.vm.aliased import AliasedMappings
from storagemod.vm.boundary import collect, watch_stores
from storagemod.vm.budget import Budget
from storagemod.vm.contract import MAIN, CodeRules, Contract, EntryPoint, check_unlinked, load_binary
from storagemod.vm.direct import DirectCalls
from storagemod.vm.ethereum import Finished
from storagemod.vm.frame import Frame
from storagemod.vm.layout import WINDOW, Layout
from storagemod.vm.paged import FrameTable
from storagemod.vm.schedule import GasSchedule
from storagemod.vm.storage import StorageInstance, broken_rule
from storagemod.wasm import (
    RAW_VALUE_BYTES,
    WASM_MAGIC,
    Instance,
    InstancePool,
    Store,
    check_headroom,
    frames_for,
    no_memory,
    run_with_deep_stack,
    strip_hint,
)

_GAS_KEPT_DIVISOR = 64
"""A caller keeps one 64th of its gas whatever its callee does with the rest (EIP-150)."""

_INSTANCES_MAX = 10_000
_MEMORIES_MAX = 2_000
_MODULE_BYTES_MAX = 512 << 20
"""Instances and linear memories of a wasmtime store after which the next transaction gets a new one.

Nothing of a store is given back before it is closed, and a process has address space for about 32,000 memories."""

_VALUES_MAX = 1_024
"""More parameters or results than a function can have."""

_CREATE, _DELEGATE, _CODE = CallKind.CREATE, CallKind.DELEGATE, CallKind.CODE
_OK, _FAILED, _REVERTED = Outcome.OK, Outcome.FAILED, Outcome.REVERTED


@frozen
class Costs:
    """What a transaction made the host do, undone calls included.

    Attributes:
        instances: Instances: of contracts, one for each call, and of storage modules, one for each contract used.
        host_calls: Calls from contracts into the host.
        bytes_copied: Bytes that the host copied out of and into storage for contracts.
        pages_written: Pages of 4 KiB that differ at the end; those are committed.
    """

    instances: int = 0
    host_calls: int = 0
    bytes_copied: int = 0
    pages_written: int = 0


class Machine:
    """Runs the transactions of one world.

    Args:
        state: What is committed. The machine never changes it.
        backend: How images are shown in memory and written pages are found.
        rules: What code has to be, and the limits of everything.
        schedule: What host functions cost.
        mapping: How ``ethereum.storageMap`` is carried out for accounts that do not say.
        direct: Whether contracts call one another directly where nobody listens; ``None`` for those that are called a
            second time, for which it pays to link them.
        observers: Called with every event.

    Attributes:
        limits: What bounds contracts and transactions.
        store: The wasmtime store.
        accounts: Accounts as the running call sees them.
        block: The block of the transaction.
        origin: Who sent it.
        gas_price: What the sender would pay for a unit of gas.
        logs: The logs of calls that were not undone.
        notify: Takes raw events; ``None`` where nobody listens.
        wants: The events that cost something to find out and that somebody wants.
        frame_table: The frames that calls under the linking options with frames have used.
        frame_file: Where pages are kept that several memories show.
        budget: What the transaction has used, and may use.
        event_log: Where events are recorded, if anywhere.
        recording: What code did in this transaction, if it records that.
        records: Whether it does.
        touches: Whether somebody wants to know the pages that are touched.
        direct_completed: As in :class:`DirectRuns`.
        direct_redone: As in :class:`DirectRuns`.
    """

    def __init__(
        self,
        state: PageStore,
        backend: PageBackend,
        rules: CodeRules,
        *,
        schedule: GasSchedule,
        mapping: StorageMapping,
        direct: bool | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._state = state
        self._rules = rules
        self.limits = rules.limits
        self._calls_directly = direct
        self._runs_directly = self._redoes = False
        self._called: set[Address] = set()  # contracts that call others, and were called themselves
        self._direct: DirectCalls | None = None  # those of this store, once there are any
        self.direct_completed = self.direct_redone = 0
        self._notifier = Notifier(observers)
        self._observed = bool(observers)
        self._log = UndoLog(rules.limits.changed_pages_max, self._check_time)
        self._values = (ctypes.c_char * (_VALUES_MAX * RAW_VALUE_BYTES))()
        self._values_address = ctypes.addressof(self._values)
        self._values_view = memoryview(self._values).cast("B")  # `ctypes.memmove` lets other threads run each time
        self._frames_needed = frames_for(rules.limits.call_depth_max)
        self._transaction = 0
        self.event_log: EventLog | None = None
        self.recording: Recording | None = None
        self.records = rules.recorded
        self.touches = False
        self._active: dict[Address, int] = {}
        self._clean = True
        self.backend = backend
        self.schedule = schedule
        self.mapping = mapping
        self.accounts = Accounts(state, self._log, self.label)
        self.block = Block()
        self.origin = ZERO_ADDRESS
        self.gas_price = 0
        self.logs: list[Log] = []
        self.notify: Callable[[RawEvent], None] | None = None
        self.wants: frozenset[type] = frozenset()
        self.frame_table = FrameTable()
        self.frame_file: FrameFile = backend.frame_file()
        self.budget = Budget(rules.limits)
        self._contracts: defaultdict[str | None, dict[bytes, Contract]] = defaultdict(dict)  # by linking option
        self._module_bytes = 0  # of these contracts
        self._storages: dict[Address, StorageInstance] = {}
        self._used: dict[StorageInstance, Address] = {}
        self.store = Store(rules.limits, metered=schedule.metered)

    def label(self, address: Address) -> str:
        """Return the name of an account, or its address where it has none."""
        account = self._state.accounts.get(address)
        return str(address) if account is None or account.name is None else account.name

    def record(self, on: bool) -> None:
        """Let code record what it does from the next transaction on, or no longer. Costs a new store."""
        self.records = on
        self._rules = evolve(self._rules, recorded=on)
        self.restart()

    # Transactions

    def transact(
        self,
        frame: Frame,
        values: bytes,
        recording: EventLog | None,
        commit: Callable[[ChangeSet], None] | None,
    ) -> ChangeSet:
        """Run a top-level call with all the gas that it has, and commit what it changed if it ends well.

        It runs on a stack that is deep enough, and in a section, so that no signal breaks it off. ``frame`` has the
        result afterwards.

        Args:
            frame: The call.
            values: Its arguments, 16 bytes each.
            recording: Where its events go.
            commit: Keeps what it changed, on the same thread; ``None`` to undo it.

        Returns:
            What it changed; nothing if it failed.

        Raises:
            StateError: Storage cannot be read or mapped; nothing is committed.
            BaseException: What an observer or ``commit`` raised, or what was lost in a callback.
        """
        store = self.store
        if (
            not self._clean
            or store.instances > _INSTANCES_MAX
            or store.memories > _MEMORIES_MAX
            or self._module_bytes > _MODULE_BYTES_MAX
        ):
            self.restart()
        self._clean = False
        self._begin()
        self.origin = frame.caller
        if recording is not None or self._observed:
            self._listen(recording)
        try:
            changes = run_with_deep_stack(partial(self._run_all, frame, values, commit))
        except MemoryError as error:
            raise no_memory(error) from error
        self._clean = True
        return changes

    def _begin(self) -> None:
        """Begin with nothing done."""
        self._transaction += 1
        self._runs_directly = self._redoes = False
        self.recording = Recording() if self.records else None
        self._log.restart()
        self.accounts.restart()
        self._used.clear()
        self._active.clear()
        if self.logs:
            self.logs = []
        if self.frame_table.frames:
            self.frame_table = FrameTable()
        if self.frame_file.is_open:
            self.frame_file.close()
        self.budget.restart()

    def counts(self, changes: ChangeSet) -> tuple[int, int, int, int]:
        """Return the fields of :class:`Costs` for the last transaction, given what it changed."""
        pages = sum(len(written.pages) for written in changes.regions.values()) if changes.regions else 0
        budget = self.budget
        return budget.instances, self.store.host_calls, budget.bytes_copied, pages

    def _listen(self, recording: EventLog | None) -> None:
        """Settle who gets events: the recording, observers, both or nobody."""
        notifier = self._notifier
        self.event_log = recording
        self.touches = (recording is not None and PagesTouched in recording.wants) or notifier.wants(PagesTouched)
        self.wants = _NO_EVENTS if recording is None else recording.wants
        if not self._observed:
            self.notify = None if recording is None else recording.events.append
            return
        self.wants |= {kind for kind in _ON_DEMAND if notifier.wants(kind)}
        if recording is None:
            self.notify = notifier
            return
        append, wanted = recording.events.append, recording.wants

        def both(raw: RawEvent) -> None:
            if raw[0] not in _ON_DEMAND or raw[0] in wanted:
                append(raw)
            notifier(raw)

        self.notify = both

    def _run_all(self, frame: Frame, values: bytes, commit: Callable[[ChangeSet], None] | None) -> ChangeSet:
        store, log = self.store, self._log
        store.start(self.limits.deadline_seconds, self._frames_needed)
        try:
            try:
                self._call_top(frame, values)
                if self._direct is not None and self._direct.gave_up:
                    self._direct.gave_up = False
                    log.undo(0)
                    if log.wrote:
                        self._settle()
                    self._redo(frame)
                    self._call_top(frame, values)
                changes = _NOTHING
                if frame.outcome is _OK:
                    changes = self.accounts.changes(self._diffs() if log.wrote else {})
                if frame.outcome is not _OK or commit is None:
                    self.logs = [*self.logs]  # undoing takes them off the other
                    log.undo(0)
                store.check_time()  # the deadline ends here: a commit that has begun is finished
            except LimitError as error:
                if not error.aborts:
                    raise
                if not self._runs_directly or isinstance(error, DeadlineError):
                    return self._abort(frame, error)
                self.direct_redone += 1
                self.restart()  # a mediated run may have stopped before it came to that
            else:
                if frame.outcome is _OK and commit is not None:
                    commit(changes)
                if log.wrote:
                    self._settle()
                return changes
        finally:
            store.stop()
        self._redo(frame)
        return self._run_all(frame, values, commit)

    def _call_top(self, frame: Frame, values: bytes) -> None:
        self.accounts.bump_nonce(frame.caller)
        if values:
            self._values_view[: len(values)] = values
        self.call(frame, self._values_address)

    def _redo(self, frame: Frame) -> None:
        """Begin again, mediated, after a direct run that was undone: nothing tells that there was one."""
        self._begin()
        self._clean, self._redoes = False, True
        self.store.host_calls = 0
        frame.restart()

    def _check_time(self) -> None:
        self.store.check_time()

    def _abort(self, frame: Frame, error: StorageModError) -> ChangeSet:
        """End a transaction that the machine or a limit of all of it stopped: it is a failure, and all is made anew."""
        _drop_traceback(error)
        frame.outcome, frame.error, frame.gas_used = _FAILED, error, frame.gas
        frame.values, frame.output = (), b""
        events = [] if self.event_log is None else self.event_log.events
        if events and events[-1][:2] == (CallEnded, frame.call_id):
            events.pop()  # it ended well, and then its time was over
        self.logs = []
        recording = self.recording
        self.restart()
        if recording is not None:
            recording.complete = False
            recording.stored.clear()  # all is undone
        return _NOTHING

    def _diffs(self) -> dict[tuple[Address, str], RegionDiff]:
        """Return what the transaction changed in storage."""
        diffs = {}
        for storage, address in self._used.items():
            for region in storage.regions:
                if region.changed:
                    diff = region.diff()
                    if diff:
                        diffs[address, region.name] = diff
        return diffs

    def _settle(self) -> None:
        """Take memory for committed: it holds what the images hold."""
        for storage, address in self._used.items():
            for region in storage.regions:
                if region.changed:
                    region.settle(self._state.image(address, region.name))

    def restart(self) -> None:
        """Begin with a new wasmtime store, in which nothing is mapped."""
        self._let_go()
        self._contracts.clear()
        self._module_bytes = 0
        old, self.store = self.store, Store(self.limits, metered=self.schedule.metered)
        old.close()
        self._clean = True

    def close(self) -> None:
        """Give back what the machine has of the system."""
        self._let_go()
        self.store.close()

    def _let_go(self) -> None:
        """Forget what is in the store, which is to be closed."""
        self._used.clear()
        self._storages.clear()
        self._direct = None
        self._log.restart()
        self.frame_file.close()

    # Calls

    def call(  # noqa: C901, PLR0912, PLR0915 - each step of the way of a call that is not always taken is a branch
        self, frame: Frame, values: int = 0, expected: FunctionType | None = None
    ) -> None:
        """Make a call, nested in the running one if there is one. Its failure is its result.

        Args:
            frame: The call.
            values: Where its arguments are, and its results go, 16 bytes each.
            expected: The type that a typed import has for the callee's method.

        Raises:
            TrapError: The caller itself broke a rule of storage before it called.
            OutOfGasError: The caller cannot pay for what it did before it called.
            StorageModError: The whole transaction is over; ``aborts`` is set.
            BaseException: What an observer raised.
        """
        parent, store, log, notify = frame.parent, self.store, self._log, self.notify
        left = frame.gas
        if parent is not None:
            left = parent.settle_gas()
            if parent.mappings is not None:
                parent.mappings.suspend()
            collect(self, parent)
            if parent.contract.grows_memory:  # type: ignore[union-attr] # its code calls
                self.hold_grown(parent)
            given = left - left // _GAS_KEPT_DIVISOR
            if not 0 <= frame.gas < given:
                frame.gas = given
        budget = self.budget
        frame.call_id = budget.calls
        budget.calls += 1
        rejection = budget.reject_data(frame) if frame.data or frame.code else None
        if notify is not None:
            notify(frame.started(self._active.get(frame.address, 0)))
        recording = self.recording
        if recording is not None:
            self._mark_call(frame, recording)
        checkpoint, newest = len(log), log.newest
        log.newest = checkpoint
        store.fuel = frame.gas
        try:
            try:
                self._start(frame, values, expected, rejection)
            except StorageModError as error:
                error.at(self.label(frame.code_address), frame.depth)
                if error.aborts:
                    raise
                self._fail(frame, error, checkpoint)
            if frame.working_pages:
                budget.release_pages(frame, frame.contract.lasting_pages)  # type: ignore[union-attr] # it has pages
            if frame.pool is not None or frame.mappings is not None:
                self._give_back(frame)
        finally:
            log.newest = newest
            store.current = parent
            if recording is not None:
                self._end_recording(frame, recording)
        if (
            frame.outcome is _FAILED
        ):  # a trap leaves wasmtime's fuel inexact, so its price is all, as on Ethereum (rule 8)
            frame.gas_used = frame.gas if frame.code_started else 0
        if notify is not None:
            notify((CallEnded, frame.call_id, frame.outcome, frame.values, frame.output, frame.gas_used, frame.error))
            events = self.event_log
            if events is not None and len(events.events) >= events.check_at:
                events.check()
        if parent is not None:
            store.fuel = left - frame.gas_used
            parent.resume()
            if (notify is not None or recording is not None) and (parent.reentered or self._active.get(frame.address)):
                self._go_on(frame, parent)

    def _go_on(self, frame: Frame, parent: Frame) -> None:
        """Note which calls were re-entered by one that ended, and watch what its caller stores from now on."""
        if frame.outcome is _OK and self._active.get(frame.address):
            above: Frame | None = parent
            while above is not None:
                if above.address == frame.address:
                    if above.reentered:
                        break  # and so were those of the same contract above it
                    above.reentered = True
                above = above.parent
        if parent.reentered:
            watch_stores(self, parent)

    def _mark_call(self, frame: Frame, recording: Recording) -> None:
        """Note in the record of its caller that a call begins."""
        frame.stored_before = len(recording.stored)
        parent = frame.parent
        if parent is not None and parent.log is not None:
            parent.marks.append((parent.log.position, CALLED, frame.call_id))
            parent.log.make_room()

    def _gather(self, frame: Frame) -> None:
        """Take over what a call recorded, before its instance serves another one."""
        recording, contract, log = self.recording, frame.contract, frame.log
        if recording is None or contract is None or contract.recorded is None or log is None:
            return
        blocks, comparisons, accesses, *lost = log.take()
        recording.calls.append(
            RecordedCall(
                frame.call_id,
                None if frame.parent is None else frame.parent.call_id,
                frame.address,
                frame.code_address,
                contract.recorded,
                frame.outcome is _OK,
                blocks,
                comparisons,
                accesses,
                tuple(frame.marks),
                *lost,
            )
        )
        frame.log = None

    def _end_recording(self, frame: Frame, recording: Recording) -> None:
        """Forget what was stored by a call that failed, and let its caller count gas, and map storage, as before."""
        if frame.outcome is not _OK:
            del recording.stored[frame.stored_before :]
        parent = frame.parent
        self.store.count_by(None if parent is None else parent.log)
        if parent is not None:
            parent.note_window()

    def count_instance(self, frame: Frame, contract: Contract, pool: InstancePool) -> None:
        """Count the memories and tables of an instance that a call is to have, and take the price of its segments.

        Raises:
            LimitError: The transaction has too many of them, or the call cannot pay.
        """
        declarations = contract.module.declarations
        self.budget.count_memories(pool.memories)
        self.budget.hold_pages(frame, contract.working_pages)
        if declarations.active_segments:
            frame.code_started = True
            frame.use_gas(self.schedule.instantiating(declarations.active_segments, declarations.active_bytes))

    def hold_grown(self, frame: Frame) -> None:
        """Count how much longer a call made its working memories.

        Raises:
            LimitError: The calls of the transaction have more of them than they may.
        """
        contract, pool, instance = frame.contract, frame.pool, frame.instance
        if contract is not None and pool is not None and instance is not None:
            pages = contract.working_pages + pool.grown_pages(instance)
            if pages > frame.working_pages:
                self.budget.hold_pages(frame, pages - frame.working_pages)

    def _start(self, frame: Frame, values: int, expected: FunctionType | None, rejection: LimitError | None) -> None:
        """Run a call behind the checkpoint just set."""
        address, kind = frame.address, frame.kind
        if frame.depth > self.limits.call_depth_max or frame.call_id >= self.limits.calls_max:
            self.budget.check_call(frame)
        if rejection is not None:
            raise rejection
        active = self._active.get(address, 0)
        if active and not frame.borrows:
            self._check_reentry(frame)
        check_headroom(frame.depth)
        self.store.current = frame
        if kind is _CREATE:
            self._begin_account(frame)
        if frame.value and kind is not _DELEGATE:
            if kind is _CODE:
                self.accounts.check_can_pay(frame.caller, frame.value)
            else:
                self.accounts.pay(frame.caller, address, frame.value)
        self._active[address] = active + 1
        try:
            if kind is _CREATE:
                self._create(frame)
            else:
                self._run(frame, values, expected)
        finally:
            self._active[address] = active
        if frame.mappings is not None:
            frame.mappings.end()
        if frame.storage is not None:
            collect(self, frame)
        if frame.static and frame.window is not None and len(self._log) > self._log.newest:
            self._log.undo(self._log.newest)  # a static call changes nothing: all that it can have logged is mappings
        if kind is _CREATE and self.notify is not None:
            self.notify((AccountCreated, frame.call_id, address, self.accounts[address].code))

    def _check_reentry(self, frame: Frame) -> None:
        """Check that the callee, which is active, allows to be entered.

        Raises:
            ReentryError: Its policy refuses it.
        """
        policy = self.accounts[frame.address].policy
        if policy is ReentryPolicy.ALLOW:
            return
        parent = frame.parent
        from_itself = parent is not None and parent.address == frame.address
        if policy is ReentryPolicy.DENY or not (from_itself if policy is ReentryPolicy.SELF_ONLY else frame.static):
            raise ReentryError(f"re-entry refused: the contract is active, and its policy is {policy.value!r}")

    def _fail(self, frame: Frame, error: StorageModError, checkpoint: int) -> None:
        """Undo all that a call and its callees changed (rule 4), and give it its error.

        If it broke a rule of storage before it failed, that is the reason: where rules are enforced, it would have
        failed there.

        Raises:
            StateError: The system refused memory to its code; the transaction is over.
        """
        if isinstance(error, TrapError) and error.code == "unreachable" and _in_guard(frame, error):
            raise no_memory()
        broken: TrapError | None = None
        try:
            collect(self, frame)
        except TrapError as found:
            broken = found
        if broken is None and isinstance(error, TrapError) and error.fault is not None and frame.window is not None:
            broken = frame.window.forbidden(*error.fault, static=frame.static)  # before its mappings are undone
        self._log.undo(checkpoint)
        if frame.nonce_bumped:
            self.accounts.bump_nonce(frame.caller)
        if broken is None and isinstance(error, TrapError) and error.fault is not None:
            broken = broken_rule(frame, *error.fault)
        failure = error
        if broken is not None:
            failure = broken.at(self.label(frame.code_address), frame.depth)
        _drop_traceback(failure)
        frame.values = ()
        frame.error = failure
        frame.outcome, frame.output = _FAILED, b""
        if isinstance(failure, RevertError):
            frame.outcome, frame.output = _REVERTED, failure.output

    def _give_back(self, frame: Frame) -> None:
        """Let go of what a call mapped, and hand its instance to the next one that needs it.

        An instance into which pages of storage were mapped serves no other call.
        """
        mappings, pool = frame.mappings, frame.pool
        if frame.log is not None:
            self._gather(frame)
        if mappings is not None:
            mappings.release()
        if pool is not None:
            if isinstance(mappings, AliasedMappings):
                pool.discard(frame.instance)  # type: ignore[arg-type] # it has one
            else:
                pool.give_back(frame.instance)  # type: ignore[arg-type] # as above
            frame.instance = frame.pool = None

    # Running code

    def _run(self, frame: Frame, values: int, expected: FunctionType | None) -> None:
        """Run the entry point of the callee; ``expected`` is the type that a typed import has for it."""
        account = self.accounts[frame.code_address]
        code = frame.code = account.code
        if not code:
            if frame.method is not None:
                raise LinkError(f"there is no contract to call {frame.method!r} of")
            return  # an account without code takes a value, and that is all
        frame.links = account.links
        contract = self._contracts[account.link].get(code) or self._load(frame, code, account.link)
        self._enter(frame, contract, _entry_point(contract, frame.method, expected), values)

    def contract(self, code: bytes, link: str | None = None) -> Contract:
        """Return code as a contract of this world, as it runs under a linking option (``Account.link``).

        Raises:
            ValidationError, LinkError: It is none.
        """
        contract = self._contracts[link].get(code)
        if contract is None:
            contract = self._contracts[link][code] = load_binary(code, self._rules, link=link)
            self._module_bytes += contract.module.bytes_kept
        return contract

    def _load(self, frame: Frame, code: bytes, link: str | None = None) -> Contract:
        self.store.check_time()  # nothing does while code is compiled
        try:
            return self.contract(code, link)
        except (ValidationError, LinkError) as error:
            frame.code_started = True
            error.contract = None
            raise

    def _enter(self, frame: Frame, contract: Contract, entry: EntryPoint, values: int) -> None:
        """Run one function of code in an instance; making one can write storage already."""
        frame.contract = contract
        storage, pool = self.open_storage(frame, contract)
        frame.storage = storage
        if contract.layout.window is not None:
            frame.window = storage.window
        frame.resume()
        direct = None
        if (
            frame.parent is None
            and contract.contract_imports
            and self.notify is None
            and not self._redoes
            and self.recording is None
        ):
            direct, pool = self._begin_direct(frame, contract, storage, pool)
        if contract.has_own_parts:
            self.count_instance(frame, contract, pool)
        frame.code_started = True
        instance = pool.only
        if instance is None:
            instance = frame.instance = pool.take()
            frame.pool = pool
        else:
            frame.instance = instance
        self.budget.instances += 1
        if self.recording is not None:
            self._begin_recording(frame, contract, instance)
        function = instance.functions.get(entry.name) or instance.function(entry.name)
        try:
            if direct is None:
                self.store.invoke(function, values, entry.count)
            else:
                direct.invoke(frame, function, values, entry.count)
            frame.gas_used = frame.gas - frame.settle_gas()
        except Finished as finished:
            frame.gas_used = frame.gas - frame.settle_gas()
            if entry.type.results:
                raise TrapError(
                    f"{entry.name!r} has results to give, and `ethereum.finish` or `ethereum.selfDestruct` ended it "
                    "before",
                    code="finish_in_method",
                ) from None
            frame.output = self.budget.check_output(finished.output)
            return
        except RevertError as error:
            frame.gas_used = frame.gas - frame.settle_gas()
            self.budget.check_output(error.output)
            raise
        if entry.results_bytes:
            frame.values = entry.raw_results(values)

    def _begin_recording(self, frame: Frame, contract: Contract, instance: Instance) -> None:
        if instance.log is not None:
            frame.begin_recording(instance.log)
        elif contract.unseen and self.recording is not None:
            self.recording.unseen[frame.code_address] = contract.unseen
        self.store.count_by(instance.log)

    def _begin_direct(
        self, frame: Frame, contract: Contract, storage: StorageInstance, pool: InstancePool
    ) -> tuple[DirectCalls | None, InstancePool]:
        """Begin a run in which contracts call one another directly, if this one is to be; return its instances."""
        if not self._calls_directly and (self._calls_directly is False or frame.address not in self._called):
            self._called.add(frame.address)
            return None, pool
        if self._direct is None:
            self._direct = DirectCalls(self)
        gated = self._direct.begin(frame, contract, storage)
        if gated is None:
            return None, pool
        self._runs_directly = True
        return self._direct, gated

    def open_storage(self, frame: Frame, contract: Contract) -> tuple[StorageInstance, InstancePool]:
        """Return the storage that a call runs on, open in this transaction, and the instances of its code."""
        storage = self._storages.get(frame.address)
        if storage is not None and not frame.borrows:
            own = None
            if storage.transaction == self._transaction:
                own = storage.own
            elif not self.touches and storage.reopen(self._transaction, contract):
                own = storage.own
                self._count_storage(frame, storage, storage.names)
            if own is not None and own[0] is contract:
                return storage, own[1]
        return self._link(frame, contract)

    def _link(self, frame: Frame, contract: Contract) -> tuple[StorageInstance, InstancePool]:
        """Return the storage that a call runs on, and the instances of its code that are linked to that.

        It is the storage of the call's address, with the regions that this code may have there. The owner's own code
        has all that it imports. To foreign code only those are added that the host alone reaches, and these, as those
        of init code, have no length before they are written.
        """
        storage = self._open(frame.address)
        if frame.borrows:
            self._add(frame, storage, contract.layout.hosted)
            return storage, storage.instances_of(contract, borrowed=True)
        layout = contract.layout
        if storage.layout is not layout:
            self._add(frame, storage, layout)
        were_long_enough = storage.establish(layout.shared if frame.kind is _CREATE else layout)
        pool = storage.instances_of(contract, borrowed=False)
        if were_long_enough and frame.kind is not _CREATE:
            storage.keep(contract, pool)
        return storage, pool

    def _open(self, address: Address) -> StorageInstance:
        """Return the storage of an address, opened for this transaction."""
        storage = self._storages.get(address)
        if storage is None:
            image_of = partial(self._state.image, address)
            storage = self._storages[address] = StorageInstance(self.store, self.backend, self._log, image_of)
        if storage.transaction != self._transaction:
            storage.open(self._transaction)
            self._used[storage] = address
        return storage

    def _add(self, frame: Frame, storage: StorageInstance, layout: Layout) -> None:
        added = storage.add(layout, anew=self.touches)
        if added:
            self._count_storage(frame, storage, added)

    def _count_storage(self, frame: Frame, storage: StorageInstance, added: tuple[str, ...]) -> None:
        """Count and report a storage module that the transaction uses for the first time, by rule and not by need."""
        if storage not in self._used:
            self._used[storage] = frame.address
        self.budget.instances += 1
        self.budget.count_memories(len(added))
        if storage.layout.window is not None and WINDOW in added:
            self.budget.keep_pages(storage.layout.window.pages_min)
        if self.notify is not None:
            self.notify((StorageModuleInstantiated, frame.call_id, frame.address, added))

    # Creating and destroying accounts

    def _begin_account(self, frame: Frame) -> None:
        """Begin the account that a call is to create. The nonce of its creator stays counted even if that fails.

        Raises:
            StorageModError: It cannot be created.
        """
        accounts, address = self.accounts, frame.address
        accounts.check_can_pay(frame.caller, frame.value)
        if frame.parent is not None:  # the nonce of a transaction's sender was counted before
            accounts.check_nonce(frame.caller)
            accounts.bump_nonce(frame.caller)
            frame.nonce_bumped = True
        frame.code_started = True  # what is wrong from here on uses up the gas, a taken address as well (EIP-684)
        accounts.create(address)
        self._log.append((self._forget, address))

    def _forget(self, address: Address) -> None:
        """Close the storage of a contract whose creation was undone, so that all is new if it is created again."""
        storage = self._storages.pop(address, None)
        if storage is not None:
            storage.release()
            self._used.pop(storage, None)

    def _create(self, frame: Frame) -> None:
        """Run init code, and give the new account the code that it ends with.

        Raises:
            StorageModError: It failed, or its output cannot be the code of a contract.
        """
        frame.code_started = True  # whatever is wrong with init code uses up the gas, as on Ethereum
        if frame.code:  # else there is nothing to run, and no output
            contract = self._load(frame, frame.code)
            self.budget.count_compilation(contract.module.declarations.compile_cost)
            check_unlinked(contract)
            self._enter(frame, contract, _entry_point(contract, None, None), 0)
        code, frame.output = frame.output, b""
        self._set_code(frame, code)

    def _set_code(self, frame: Frame, code: bytes) -> None:
        """Give a new account its code. Bytes that do not begin as wasm does are kept as they are, and never run.

        Raises:
            LimitError: It is too long, or there is not enough gas left to pay for it.
            ValidationError, LinkError: It begins as wasm does, and is no contract, or not for the storage that the init
                code made.
        """
        for limit in ("created_code_bytes_max", "code_bytes_max"):
            allowed = getattr(self.limits, limit)
            if len(code) > allowed:
                message = f"{len(code):,} bytes of code, and {allowed:,} are allowed ({limit})"
                raise LimitError(message, hint=strip_hint(code))
        price, left = self.schedule.create_byte * len(code), frame.gas - frame.gas_used
        if price > left:
            raise OutOfGasError(f"out of gas: {len(code):,} bytes of code cost {price:,}, and {left:,} are left")
        frame.gas_used += price
        mapping = None
        if code.startswith(WASM_MAGIC):
            contract = self._load(frame, code)
            self.budget.count_compilation(contract.module.declarations.compile_cost)
            check_unlinked(contract)
            storage = self._open(frame.address)
            self._add(frame, storage, contract.layout)
            storage.establish(contract.layout)
            storage.instances_of(contract, borrowed=False)
            mapping = self.mapping if contract.maps_storage else None
        self.accounts.set_code(frame.address, code=code, mapping=mapping)

    def destroy(self, frame: Frame, beneficiary: Address) -> None:
        """Destroy the account whose storage a call runs on, when the transaction ends."""
        value = self.accounts.destroy(frame.address, beneficiary)
        if self.notify is not None:
            self.notify((AccountDestroyed, frame.call_id, frame.address, beneficiary, value))

    # What calls emit and write

    def emit_log(self, frame: Frame, topics: tuple[bytes, ...], data: bytes) -> None:
        """Take a log of the running call.

        Raises:
            TrapError: The call is static.
            LimitError: The log is too long, or one too many.
        """
        if frame.static:
            raise TrapError("a static call emitted a log", code="static_write")
        if len(self.logs) >= self.limits.logs_max:
            raise LimitError(f"the transaction emits more than {self.limits.logs_max:,} logs (logs_max)")
        if len(data) > self.limits.log_bytes_max:
            raise LimitError(
                f"a log of {len(data):,} bytes, and {self.limits.log_bytes_max:,} are allowed (log_bytes_max)"
            )
        log = Log(frame.address, topics, data)
        self.logs.append(log)
        self._log.append((self.logs.pop,))
        if self.notify is not None:
            self.notify((LogEmitted, frame.call_id, log))

    def print_debug(self, frame: Frame, text: str) -> None:
        """Take a text that the running call prints."""
        if self.notify is not None:
            self.notify((DebugPrinted, frame.call_id, text))


_NOTHING = ChangeSet()

_NO_EVENTS: frozenset[type] = frozenset()

_ON_DEMAND = frozenset({PagesTouched, TablesShown, StorageLoaded, StorageHeldBack, StorageRewritten})


def _entry_point(contract: Contract, method: str | None, wanted: FunctionType | None) -> EntryPoint:
    """Return the export that a call enters.

    Raises:
        LinkError: There is none, or it is not of the type that the caller wants.
    """
    if method is None:
        method, wanted = MAIN, _MAIN_TYPE
    entry = contract.entries.get(method)
    if entry is not None and (wanted is None or wanted is entry.wanted):
        return entry
    if entry is None or entry.type != wanted:
        offered = "no function of that name" if entry is None else entry.type
        raise LinkError(f"{method!r} cannot be called: wanted {wanted or 'a function'}, offered {offered}")
    entry.wanted = wanted
    return entry


_MAIN_TYPE = FunctionType()


def _in_guard(frame: Frame, trap: TrapError) -> bool:
    """Return whether a trap comes from a function that guards the growth of memory."""
    return frame.contract is not None and trap.function_index in frame.contract.module.lowered.guards


def _drop_traceback(error: BaseException) -> None:
    """Drop the frames that an error came through, and what was handled there.

    As long as it is kept, by thousands in a trace perhaps, they would keep the whole transaction, and outputs that were
    too long. Errors of calls that lie behind it have been through this already.
    """
    behind: BaseException | None = error
    while behind is not None and (behind.__traceback__ or behind.__context__):
        behind.__traceback__ = behind.__context__ = None
        behind = behind.__cause__
