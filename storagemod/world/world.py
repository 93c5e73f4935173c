"""The world that users hold: accounts, contracts and their storage, and transactions on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self, cast

import attrs

from storagemod.block import Block
from storagemod.errors import LinkError, StateError, StorageModError, ValidationError, shown
from storagemod.events import Event, Observer, PagesTouched, TablesShown
from storagemod.interruption import uninterrupted
from storagemod.limits import DEFAULT_GAS, GAS_MAX, Limits
from storagemod.pages import ImageEdit, choose_backend
from storagemod.state import (
    BALANCE_MAX,
    NO_ACCOUNT,
    NONCE_MAX,
    Account,
    ChangeSet,
    MemoryPageStore,
    PageStore,
    SqlitePageStore,
    WorldState,
    created_address,
)
from storagemod.trace import HAZARD_EVENTS, EventLog
from storagemod.types import (
    MAP_OPTIONS,
    Address,
    CallKind,
    CallMode,
    Outcome,
    ReentryPolicy,
    StorageMapping,
    ValidationMode,
    Value,
    parse_enum,
)
from storagemod.vm import (
    MAIN,
    SLOTS_REGION,
    CodeRules,
    Contract,
    DirectRuns,
    Frame,
    GasSchedule,
    Machine,
    read_binary,
)
from storagemod.vm.contract import EntryPoint
from storagemod.vm.ethereum import U128_MAX
from storagemod.watch import notify, recorders
from storagemod.world.arguments import check_amount, check_kind, to_values
from storagemod.world.deployment import Deployment, contract_of
from storagemod.world.lock import WorldLock
from storagemod.world.presets import Presets
from storagemod.world.receipt import Receipt
from storagemod.world.snapshot import Snapshot
from storagemod.world.views import SlotsView, StorageView

DEFAULT_SENDER = Address("5e9de7" + "00" * 16 + "01")
"""Who sends transactions and deploys contracts where no one else is named."""

DEFAULT_SENDER_BALANCE = 10**24

_CALL, _CREATE = CallKind.CALL, CallKind.CREATE

_WANTS: Mapping[object, frozenset[type[Event]]] = {
    "pages": HAZARD_EVENTS | {PagesTouched},
    "tables": HAZARD_EVENTS | {TablesShown},
}
"""The events that cost something to find out and are recorded, by what ``trace`` asks for."""


class World:
    """Accounts and contracts, and transactions on them. In memory, or in a directory that outlives the process.

    One transaction runs at a time, from whichever thread; a second one is refused, not queued. A world is its process's
    own: a forked child cannot use it. Use it as a context manager, or close it, to have a directory tidied up; one that
    is not closed loses nothing.

    What a signal handler raises, on Ctrl-C for example, ends a running transaction within an epoch. It is raised when
    the world is in one committed state again and free. That is the state before or after what was being done.

    Args:
        path: A directory to keep the world in, created on first use; in memory if not given.
        limits: What bounds contracts and transactions.
        observers: Told of every event of every transaction, as it happens.
        trace: Whether receipts carry a trace; ``"pages"`` has the pages in it that each call touched first, too, and
            ``"tables"`` the page table and the frame table at each call, under the linking options with frames. They
            do if it is not given, unless calls are to be ``direct``.
        calls: Who stands between contracts that call one another through typed imports: the host (``mediated``), or
            nobody (``direct``), which is quicker and cannot be traced. Receipts are the same. If it is not given,
            nobody does where nobody listens, without a trace and observers, from a contract's second transaction on.
        recording: Whether receipts tell what code did: blocks that ran, accesses to storage, operands of comparisons
            (:class:`storagemod.trace.Recording`). Costs time, and calls are mediated. Results and gas stay the same.
        tracker: How storage is mapped and written pages are found: ``userfaultfd``, ``pagemap``, ``compare`` or
            ``portable``; the quickest that works here if not given. All give the same results.
        validation: What contracts have to be: ``relaxed``, whatever can be linked, or ``ewasm``, as the Ewasm Contract
            Interface says. Held to by all code that is deployed, created or run.
        schedule: What host functions cost; as on Ethereum if not given.
        mapping: How ``ethereum.storageMap`` is carried out for contracts of which it is not said: those that contracts
            or transactions create, and those that are preset.
        debug: Whether contracts may import from ``debug``.
        synchronous: ``"full"``: what a receipt says is committed survives a loss of power. ``"normal"``: quicker; it
            survives the end of the process, and a loss of power can take the last commits, but never half of one.
        read_only: Open a directory to look at the state that it has now, while another process may go on writing.

    Raises:
        StateError: The tracker does not work here, or the directory cannot be opened as a world.
        ValidationError: An argument is none of those that there are.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        limits: Limits | None = None,
        observers: Sequence[Observer] = (),
        trace: bool | Literal["pages", "tables"] | None = None,
        calls: CallMode | str | None = None,
        recording: bool = False,
        tracker: str | None = None,
        validation: ValidationMode | str = ValidationMode.RELAXED,
        schedule: GasSchedule | None = None,
        mapping: StorageMapping | str | None = None,
        debug: bool = False,
        synchronous: Literal["full", "normal"] = "full",
        read_only: bool = False,
    ) -> None:
        if synchronous not in ("full", "normal"):
            raise ValidationError(f'synchronous is "full" or "normal", not {shown(synchronous)}')
        check_kind("limits", limits, Limits, "a storagemod.Limits")
        check_kind("schedule", schedule, GasSchedule, "a storagemod.GasSchedule")
        self._limits = limits or Limits()
        if calls is not None:
            calls = parse_enum(CallMode, calls, "call mode")
        if trace is None:
            trace = calls is not CallMode.DIRECT
        if calls is CallMode.DIRECT and (trace or observers):
            raise ValidationError(
                'calls="direct" leaves nobody who could record or observe calls: expected no trace and no observers',
                hint='leave out calls, or say calls="mediated"',
            )
        check_kind("recording", recording, bool, "True or False")
        if calls is CallMode.DIRECT and recording:
            raise ValidationError(
                'calls="direct" leaves nobody who could record calls: expected no recording',
                hint='leave out calls, or say calls="mediated"',
            )
        self._trace = trace
        self._recording = recording
        self._wants = _WANTS.get(trace, HAZARD_EVENTS)
        validation = parse_enum(ValidationMode, validation, "validation mode")
        self._backend = choose_backend(tracker)
        store: PageStore | None = None
        try:
            with uninterrupted():
                store = self._open_store(path, synchronous=synchronous, read_only=read_only)
                self._state = WorldState(store)
                self._lock = WorldLock(read_only=read_only)
                self._rules = CodeRules(self._limits, validation, debug)
                default_mapping = _mapping(mapping) or StorageMapping()
                self._presets = Presets(store, self._rules, default_mapping)
                self._machine = Machine(
                    store,
                    self._backend,
                    self._rules,
                    schedule=schedule or GasSchedule(),
                    mapping=default_mapping,
                    direct=None if calls is None else calls is CallMode.DIRECT,
                    observers=observers,
                )
                if not store.accounts and not read_only:
                    self.fund(DEFAULT_SENDER, DEFAULT_SENDER_BALANCE, name="sender")
        except BaseException:
            if store is not None:
                with uninterrupted():
                    store.close()
            raise

    def _open_store(
        self, path: str | Path | None, *, synchronous: Literal["full", "normal"], read_only: bool
    ) -> PageStore:
        try:
            if path is not None:
                maker = self._backend.image_maker()
                return SqlitePageStore(Path(path), maker, synchronous=synchronous, read_only=read_only)
            if read_only:
                raise ValidationError("a world in memory has nothing to be read before it is written")
            return MemoryPageStore(self._backend.image_maker())
        except OSError as error:
            raise StateError(
                f"a file for storage cannot be made: {error}",
                cause=error,
                hint="close worlds or files that are not needed, or raise the limits of the process (ulimit -n)",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the directory; what was committed is there already. Closing twice does no harm.

        Raises:
            StateError: A transaction or a snapshot is open.
        """
        if not self._lock.closed:
            with self._lock.held():
                self._state.close()
                self._machine.close()
                self._lock.closed = True

    def checkpoint(self) -> None:
        """Bring everything that is committed into the image files, and empty the log. Happens by itself, too.

        Raises:
            StateError: The files cannot be written; nothing is lost, for the log has it all.
        """
        with self._lock.held():
            self._state.flush_log()

    # What it is

    @property
    def limits(self) -> Limits:
        """What bounds contracts and transactions."""
        return self._limits

    @property
    def rules(self) -> CodeRules:
        """What code has to be, to be a contract of this world."""
        return self._rules

    @property
    def default_sender(self) -> Address:
        """Who sends transactions and deploys contracts where no one else is named."""
        return DEFAULT_SENDER

    @property
    def direct_runs(self) -> DirectRuns:
        """How many transactions and calls ran with contracts calling one another directly, since the world is open."""
        return DirectRuns(self._machine.direct_completed, self._machine.direct_redone)

    @property
    def block(self) -> Block:
        """The block that the next transaction runs in. Set another one: it does not move on, and no directory keeps it.

        As in ``world.block = attrs.evolve(world.block, number=7)``.
        """
        return self._machine.block

    @block.setter
    def block(self, block: Block) -> None:
        if not isinstance(block, Block):
            raise ValidationError(f"the block of a world is a storagemod.Block, not {shown(block)}")
        self._machine.block = block

    def snapshot(self) -> Snapshot:
        """A context manager that undoes at its end what happened to the world inside, unless it is kept.

        The block is set back, too.
        """

        def remember_block() -> Callable[[], None]:
            block = self.block

            def set_back() -> None:
                self.block = block

            return set_back

        return Snapshot(self._state, self._lock, remember_block)

    # What is there, and presetting it

    @property
    def state_root(self) -> bytes:
        """The digest, 32 bytes, of every account's nonce, balance and storage; code is not in it."""
        with self._state.lock:
            return self._state.store.state_root()

    def accounts(self) -> Mapping[Address, Account]:
        """Every account that anything was done to, ordered by address; a copy."""
        with self._state.lock:
            return dict(sorted(self._state.store.accounts.items()))

    def account(self, address: Address | str | int) -> Account:
        """An account; the empty one where there is none."""
        with self._state.lock:
            return self._state.store.accounts.get(Address(address), NO_ACCOUNT)

    def contract(self, address: Address | str | int) -> Contract:
        """The contract at an address.

        Raises:
            StateError: There is none, or what is there is none under the rules of this world.
        """
        address = Address(address)
        try:
            contract = contract_of(self.account(address), self._rules)
        except (ValidationError, LinkError) as error:
            reason = f"the code of {self.label(address)} is no contract: {error.message}"
            raise StateError(reason, cause=error) from error
        if contract is None:
            raise StateError(f"there is no contract at {self.label(address)}")
        return contract

    def label(self, address: Address) -> str:
        """The name of an account, or its address where it has none."""
        return self.account(address).name or str(address)

    def storage(self, address: Address | str | int) -> Mapping[str, StorageView]:
        """The committed storage of an account, by region: what its contract imports, and what else it has.

        More than its contract imports is what foreign code wrote that ran on its storage: a library's, or init code.

        Raises:
            StateError: There is neither a contract nor storage.
        """
        address = Address(address)
        contract = self._presets.contract_in(self.account(address))
        names = {region.name for region in contract.layout.regions} if contract is not None else set()
        with self._state.lock:
            names.update(self._state.store.region_names(address))
        if not names and contract is None:
            raise StateError(f"there is no contract at {self.label(address)}")
        return MappingProxyType({name: self._view(address, name) for name in sorted(names)})

    def slots(self, address: Address | str | int) -> SlotsView:
        """The committed entries of an account's keyed storage, to be read and preset like a dictionary.

        Raises:
            StateError: Its contract has a memory where they would be.
        """
        address = Address(address)
        self._presets.check_keyed(address, self._presets.contract_in(self.account(address)))
        return SlotsView(self._view(address, SLOTS_REGION), lambda entries: self._set_slots(address, entries))

    def load_storage(self, address: Address | str | int, region: str, data: bytes, *, offset: int = 0) -> None:
        """Write bytes into committed storage, outside any transaction; the region grows as needed.

        Raises:
            StateError: There is no such region.
            ValidationError: The bytes would not fit into what the region may hold.
        """
        address = Address(address)
        found, label = self._presets.region(address, region), self.label(address)
        pages_max, page_bytes = found.type.pages_max or 0, found.type.page_bytes
        if offset < 0 or offset + len(data) > pages_max * page_bytes:
            raise ValidationError(
                f"bytes [{offset}, {offset + len(data)}) do not fit region {region!r} of {label}, "
                f"which holds {pages_max:,} {found.type.unit} at most"
            )
        with self._lock.held(writing=True):
            edit = ImageEdit(self._state.store.image(address, region), page_bytes=page_bytes)
            edit.write(offset, bytes(data))
            self._state.commit(ChangeSet(regions={(address, region): edit.diff()}))

    def fund(self, address: Address | str | int, balance: int, *, name: str | None = None) -> Address:
        """Set the balance of an account, and name it if a name is given.

        Raises:
            ValidationError: The balance is not an integer from 0 to 2**256 - 1.
        """
        return self.set_account(address, balance=balance, name=name)

    def set_account(
        self,
        address: Address | str | int,
        *,
        nonce: int | None = None,
        balance: int | None = None,
        code: bytes | None = None,
        slots: Mapping[bytes, bytes] | None = None,
        name: str | None = None,
    ) -> Address:
        """Set what is given of an account, outside any transaction, and leave the rest as it is.

        Args:
            address: Which.
            nonce: From 0 to 2**63 - 1.
            balance: From 0 to 2**256 - 1.
            code: Any bytes. Those that are a contract of this world get its regions, at their least lengths; nothing
                links it to others. A call of others fails. What storage there is stays.
            slots: Entries of keyed storage, 32 bytes by 32 bytes, besides those that there are.
            name: What to call it in traces and errors.

        Raises:
            ValidationError: A value is not what it has to be.
            StateError: There is no keyed storage to set: the contract has a memory where it would be.
        """
        address = Address(address)
        given: dict[str, object] = {} if name is None else {"name": name}
        for what, amount, maximum in (("nonce", nonce, NONCE_MAX), ("balance", balance, BALANCE_MAX)):
            if amount is not None:
                check_amount(what, amount, maximum)
                given[what] = amount
        with self._lock.held(writing=True):
            before = self.account(address)
            account = attrs.evolve(before, **given)  # type: ignore[arg-type]
            if code is not None:
                account = self._presets.with_code(account, code)
            contract = self._presets.contract_in(account)
            regions = self._presets.least_regions(address, contract) if code is not None else {}
            if slots:
                self._presets.check_keyed(address, contract)
                regions[address, SLOTS_REGION] = self._presets.slots_diff(address, slots)
            self._state.commit(ChangeSet({address: (before, account)}, regions))
        return address

    # Contracts

    def deploy(
        self,
        code: str | bytes | Path,
        *,
        address: Address | str | int | None = None,
        balance: int = 0,
        links: Mapping[str, Address | str | int] | None = None,
        policy: ReentryPolicy | str = ReentryPolicy.ALLOW,
        mapping: StorageMapping | str | None = None,
        link: str | None = None,
        name: str | None = None,
        init: str | None = None,
        args: Sequence[Value] = (),
    ) -> Address:
        """Deploy a contract and give its address.

        Args:
            code: WAT text, a Wasm binary, or the path of a file of either, or of C, Zig, AssemblyScript or Rust.
            address: Where; by default derived from the default sender and its nonce, as Ethereum does.
            balance: What it holds from the start.
            links: The address for each ``contract:NAME`` that it imports from. It may be one where nothing stands yet,
                so that contracts can be linked in a cycle; what is deployed there must fit.
            policy: Who may call it while it is active: ``allow``, ``deny``, ``self-only`` or ``static-only``.
            mapping: How ``ethereum.storageMap`` is carried out for it: ``copied`` (the default), ``paged``, or a
                :class:`storagemod.StorageMapping` that says more.
            link: The linking option that it is to run under. For a contract that imports the functions of ``methods``
                it can be ``single`` or ``regions``: memory instructions replace its calls. For one that calls
                ``ethereum.storageMap``, ``link="paged"`` is ``mapping="paged"``. The imports of others settle it.
            name: What to call it in traces and errors; by default the name of the file.
            init: A method to call once. If it fails, nothing is deployed.
            args: The arguments of ``init``.

        Raises:
            ValidationError: The code is no contract, or an argument is not what it has to be.
            LinkError: An import cannot be served.
            StorageModError: ``init`` failed.
        """
        check_amount("balance", balance, BALANCE_MAX)
        check_kind("link", link, str, "text")
        check_kind("init", init, str, "text")
        check_kind("links", links, Mapping, "a mapping of names to addresses")
        rules = self._rules
        contract = Contract.load(code, name=name, limits=rules.limits, mode=rules.mode, debug=rules.debug, link=link)
        if link in MAP_OPTIONS and contract.maps_storage:
            mapping = _mapping_under(link, mapping)
        bound = {link: Address(target) for link, target in (links or {}).items()}
        if args and init is None:
            raise ValidationError("args are given, but no init method to call with them")
        with self._lock.held(writing=True):
            deployer = self.account(DEFAULT_SENDER)
            target = created_address(DEFAULT_SENDER, deployer.nonce) if address is None else Address(address)
            settings = (self._backend, _mapping(mapping), balance)
            deployment = Deployment(self._state.store, self._rules, target, contract, bound, *settings)
            deployment.check()
            savepoint = self._state.savepoint()
            try:
                self._state.commit(
                    deployment.changes(DEFAULT_SENDER, policy=parse_enum(ReentryPolicy, policy, "re-entry policy"))
                )
                if init is not None:
                    receipt, _ = self._run(target, None, init, args, b"", 0, DEFAULT_GAS, 0, commit=True)
                    receipt.raise_for_error()
            except BaseException:
                self._state.rollback(savepoint)
                raise
            self._state.release(savepoint)
        return target

    # Transactions

    def transact(
        self,
        to: Address | str | int,
        method: str | None = None,
        /,
        *args: Value,
        data: bytes = b"",
        sender: Address | str | int | None = None,
        value: int = 0,
        gas: int = DEFAULT_GAS,
        gas_price: int = 0,
    ) -> Receipt:
        """Run a transaction and commit it if it succeeds; one that fails changes nothing and is a receipt too.

        Args:
            to: The account to call.
            method: An exported function, called with ``args``; ``None`` calls ``main``, which reads ``data``.
            args: Numbers; integers may be signed or unsigned.
            data: Call data.
            sender: Who calls; the default sender if not given.
            value: What to transfer to the callee with the call.
            gas: The most that it may use: wasmtime fuel, and what host functions cost.
            gas_price: What contracts are told that a unit of it costs. No gas is bought: balances do not change by it.

        Raises:
            ValidationError: The transaction cannot start: no such method, wrong arguments, a sender that cannot pay.
            StateError: Another transaction is open on this world.
        """
        self._lock.acquire(writing=True)
        try:
            return self._run(to, sender, method, args, data, value, gas, gas_price, commit=True)[0]
        finally:
            self._lock.release()

    def call(
        self,
        to: Address | str | int,
        method: str | None = None,
        /,
        *args: Value,
        data: bytes = b"",
        sender: Address | str | int | None = None,
        value: int = 0,
        gas: int = DEFAULT_GAS,
        gas_price: int = 0,
    ) -> Receipt:
        """Run like :meth:`transact`, but never commit.

        Raises:
            ValidationError: It cannot start.
            StateError: A transaction is open on this world.
        """
        return self.rehearse(to, method, *args, data=data, sender=sender, value=value, gas=gas, gas_price=gas_price)[0]

    def rehearse(
        self,
        to: Address | str | int,
        method: str | None = None,
        /,
        *args: Value,
        data: bytes = b"",
        sender: Address | str | int | None = None,
        value: int = 0,
        gas: int = DEFAULT_GAS,
        gas_price: int = 0,
    ) -> tuple[Receipt, ChangeSet]:
        """Run like :meth:`call`, and return what :meth:`transact` would commit as well, for :meth:`apply`.

        Raises:
            ValidationError: It cannot start.
            StateError: A transaction is open on this world.
        """
        self._lock.acquire()
        try:
            return self._run(to, sender, method, args, data, value, gas, gas_price, commit=False)
        finally:
            self._lock.release()

    def apply(self, changes: ChangeSet) -> None:
        """Commit changes from :meth:`rehearse`, joined or inverted perhaps. What they begin with must be there.

        Raises:
            StateError: They cannot be committed, or a transaction is open on this world.
        """
        self._lock.acquire(writing=True)
        try:
            self._state.commit(changes)
        finally:
            self._lock.release()

    def create(
        self,
        code: str | bytes | Path,
        /,
        *,
        sender: Address | str | int | None = None,
        value: int = 0,
        gas: int = DEFAULT_GAS,
        gas_price: int = 0,
    ) -> Receipt:
        """Run a transaction that creates a contract, and commit it if it succeeds: its init code gives the code.

        This is how contracts come to be on Ethereum; :meth:`deploy` puts one where it is to be. The receipt has the
        address. What init code gives is kept if it is a contract of this world, or does not begin as wasm does.

        Args:
            code: The init code: WAT text, or the path of a file of that or of Wasm; bytes are taken as they are, and if
                they are no contract the transaction fails.
            sender: Who creates it; the default sender if not given. Its nonce decides where.
            value: What to transfer to the new contract.
            gas: As for :meth:`transact`.
            gas_price: As for :meth:`transact`.

        Raises:
            ValidationError: The transaction cannot start: no WAT, or a sender that cannot pay.
            StateError: Another transaction is open on this world.
        """
        with self._lock.held(writing=True):
            source = self._check_sender(self._state.store.accounts, sender, value, gas, gas_price)
            init_code = code if isinstance(code, bytes) else read_binary(code, None, self._limits)[0]
            address = created_address(source, self.account(source).nonce)
            frame = Frame(
                self._machine,
                None,
                CallKind.CREATE,
                address,
                address,
                source,
                value=value,
                gas=gas,
                code=init_code,
            )
            return self._transact(frame, b"", None, gas_price, commit=True)[0]

    def _run(
        self,
        to: Address | str | int,
        sender: Address | str | int | None,
        method: str | None,
        args: Sequence[object],
        data: bytes,
        value: int,
        gas: int,
        gas_price: int,
        *,
        commit: bool,
    ) -> tuple[Receipt, ChangeSet]:
        """Check a transaction, run it, and commit it if it is to be and ends well; return what it changed as well."""
        machine = self._machine
        address = to if type(to) is Address else Address(to)
        accounts = self._state.store.accounts
        source = self._check_sender(accounts, sender, value, gas, gas_price)
        if type(data) is not bytes:
            data = _to_bytes(data)
        raw, shown, entry = b"", cast("tuple[Any, ...]", ()), None
        if method is not None:
            if type(method) is not str:
                check_kind("method", method, str, "text")
            if data:
                raise ValidationError("a transaction has a method or call data, not both")
            entry = self._entry_point(accounts, address, method)
            if args or entry.type.params:
                try:
                    raw = entry.pack(to_values(method, entry.type, args))
                except ValidationError as error:
                    error.at(self.label(address))
                    raise
                shown = (entry.type.params, raw)
        elif args:
            raise ValidationError("arguments are given, but no method to call with them")
        else:
            self._check_main(accounts, address)
        frame = Frame(machine, None, _CALL, address, address, source, value, gas, False, method, shown, data)
        return self._transact(frame, raw, entry, gas_price, commit=commit)

    def _transact(
        self, frame: Frame, raw: bytes, entry: EntryPoint | None, gas_price: int, *, commit: bool
    ) -> tuple[Receipt, ChangeSet]:
        machine = self._machine
        machine.gas_price = gas_price
        if (True if recorders else self._recording) is not machine.records:
            machine.record(not machine.records)
        event_log = EventLog(self._limits, self._wants) if self._trace else None
        # Names from before: a contract that the transaction destroys keeps its own in the trace.
        labels: Mapping[Address, str] = {} if event_log is None else self._state.labels
        changes = machine.transact(frame, raw, event_log, self._state.commit if commit else None)
        ok = frame.outcome is Outcome.OK
        values: tuple[Value, ...] = ()
        if entry is not None and frame.values:
            values = entry.unpack(frame.values[1])
        receipt = Receipt(
            frame.outcome,
            values,
            frame.output,
            frame.error,
            frame.gas_used,
            tuple(machine.logs) if machine.logs else (),
            None if event_log is None else event_log.trace(labels),
            changes.regions,
            machine.counts(changes),
            frame.address if ok and frame.kind is _CREATE else None,
            machine.recording,
        )
        return notify(receipt), changes

    def _check_sender(
        self,
        accounts: Mapping[Address, Account],
        sender: Address | str | int | None,
        value: int,
        gas: int,
        gas_price: int,
    ) -> Address:
        """Check that amounts are in range, and that the sender can send; return it.

        Raises:
            ValidationError: They are not, or it cannot.
        """
        if type(value) is not int or value:
            check_amount("value", value, BALANCE_MAX)
        if type(gas) is not int or not 0 <= gas <= GAS_MAX:
            check_amount("gas", gas, GAS_MAX)
        if type(gas_price) is not int or gas_price:
            check_amount("gas_price", gas_price, U128_MAX)
        source = DEFAULT_SENDER if sender is None else Address(sender)
        account = accounts.get(source, NO_ACCOUNT)
        if value > account.balance:
            raise ValidationError(
                f"{account.name or source} has a balance of {account.balance:,} and cannot pay {value:,}"
            )
        if account.nonce >= NONCE_MAX:
            raise ValidationError(f"the nonce of {account.name or source} is as high as it can be, {NONCE_MAX:,}")
        return source

    def _entry_point(self, accounts: Mapping[Address, Account], address: Address, method: str) -> EntryPoint:
        """Return the method of a contract that a transaction calls.

        Raises:
            ValidationError: There is none.
            LinkError: What is there is no contract of this world.
        """
        account = accounts.get(address, NO_ACCOUNT)
        if not account.code:
            raise ValidationError(f"there is no contract at {account.name or address} to call {method!r} of")
        try:
            contract = self._machine.contract(account.code, account.link)
            entry = contract.entries.get(method)
            if entry is None:
                contract.entry_point(method)  # raises, and says what there is
                raise LookupError(method)
        except StorageModError as error:
            error.contract = None
            error.at(account.name or str(address))
            raise
        return entry

    def _check_main(self, accounts: Mapping[Address, Account], address: Address) -> None:
        """Check that a contract which is called with call data has a ``main``.

        Raises:
            ValidationError: It has none.
        """
        account = accounts.get(address, NO_ACCOUNT)
        if not account.code:
            return
        try:
            contract = self._machine.contract(account.code, account.link)
        except (LinkError, ValidationError):
            return  # the transaction fails, and says why
        if MAIN not in contract.entries:
            try:
                contract.entry_point(MAIN)
            except ValidationError as error:
                error.at(account.name or str(address))
                raise

    # Pieces

    def _set_slots(self, address: Address, entries: Mapping[bytes, bytes]) -> None:
        with self._lock.held(writing=True):
            written = self._presets.slots_diff(address, entries)
            self._state.commit(ChangeSet(regions={(address, SLOTS_REGION): written}))

    def _view(self, address: Address, region: str) -> StorageView:
        return StorageView(region, lambda: self._state.store.image(address, region), self._state.lock)


def _to_bytes(data: object) -> bytes:
    if not isinstance(data, bytes | bytearray):
        raise ValidationError(f"call data is bytes, not {shown(data)}")
    return bytes(data)


def _mapping(mapping: StorageMapping | str | None) -> StorageMapping | None:
    return StorageMapping(mapping) if isinstance(mapping, str) else mapping


def _mapping_under(link: str, mapping: StorageMapping | str | None) -> StorageMapping:
    """Return how storage is mapped under a linking option that maps it.

    Raises:
        ValidationError: ``mapping`` says another option.
    """
    mapping = _mapping(link if mapping is None else mapping)
    assert mapping is not None  # noqa: S101 - it is not None
    if mapping.option != link:
        raise ValidationError(f"expected a mapping under {link!r}, got {mapping.option!r}", hint="leave out `link`")
    return mapping
