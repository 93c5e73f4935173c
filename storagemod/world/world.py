"""The world: accounts, contracts and their storage, and transactions on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import attrs

from storagemod.block import Block
from storagemod.errors import StateError, StorageModError, ValidationError
from storagemod.events import Event, Observer, PagesTouched, TablesShown
from storagemod.execution import Answer, Environment, Transaction
from storagemod.host import GasSchedule
from storagemod.limits import DEFAULT_GAS, Limits
from storagemod.linking import Contract
from storagemod.pages import choose_backend
from storagemod.state import (
    BALANCE_MAX,
    ChangeSet,
    MemoryPageStore,
    PageStore,
    SqlitePageStore,
    WorldState,
    created_address,
)
from storagemod.trace import HazardDetector, Recorder
from storagemod.types import Address, CallKind, Outcome, ReentryPolicy, StorageMapping, ValidationMode, Value, word_of
from storagemod.watch import tell
from storagemod.world.arguments import check_amount
from storagemod.world.code_rules import CodeRules
from storagemod.world.deployment import Deployment
from storagemod.world.gate import Gate
from storagemod.world.holdings import Holdings
from storagemod.world.receipt import Receipt, receipt_of
from storagemod.world.request import Creation, Request
from storagemod.world.snapshot import Snapshot

DEFAULT_SENDER = Address("5e9de7" + "00" * 16 + "01")
"""Who sends transactions and deploys contracts where no one else is named."""

DEFAULT_SENDER_BALANCE = 10**24

_WANTS: Mapping[object, tuple[type[Event], ...]] = {"pages": (PagesTouched,), "tables": (TablesShown,)}
"""What is recorded besides what costs nothing to find out."""


class World(Holdings):
    """Accounts and contracts, and transactions on them. In memory, or in a directory that outlives the process.

    One transaction runs at a time, from whichever thread; a second one is refused, not queued. A world is its process's
    own: a forked child cannot use it. Use it as a context manager, or close it, to have a directory tidied up; one that
    is not closed loses nothing.

    Args:
        path: A directory to keep the world in, created on first use; in memory if not given.
        limits: What bounds contracts and transactions.
        observers: Told of every event of every transaction, as it happens.
        trace: Whether receipts carry a trace; ``"pages"`` has the pages in it that each call touched first, too, and
            ``"tables"`` the page table and the frame table at each call, under the linking options with frames.
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
        trace: bool | Literal["pages", "tables"] = True,
        tracker: str | None = None,
        validation: ValidationMode | str = ValidationMode.RELAXED,
        schedule: GasSchedule | None = None,
        mapping: StorageMapping | str | None = None,
        debug: bool = False,
        synchronous: Literal["full", "normal"] = "full",
        read_only: bool = False,
    ) -> None:
        if synchronous not in ("full", "normal"):
            raise ValidationError(f'synchronous is "full" or "normal", not {synchronous!r}')
        self._limits = limits or Limits()
        self._observers = tuple(observers)
        self._trace = trace
        self._environment = Environment(
            schedule=schedule or GasSchedule(),
            validation=word_of(ValidationMode, validation, "validation mode"),
            debug=debug,
            mapping=_mapping(mapping) or StorageMapping(),
        )
        self._backend = choose_backend(tracker)
        store: PageStore
        if path is not None:
            maker = self._backend.image_maker()
            store = SqlitePageStore(Path(path), maker, synchronous=synchronous, read_only=read_only)
        elif read_only:
            raise ValidationError("a world in memory has nothing to be read before it is written")
        else:
            store = MemoryPageStore(self._backend.image_maker())
        rules = CodeRules(self._limits, self._environment.validation, debug)
        super().__init__(WorldState(store), Gate(read_only=read_only), rules, self._environment.mapping)
        if not store.accounts and not read_only:
            try:
                self.fund(DEFAULT_SENDER, DEFAULT_SENDER_BALANCE, name="sender")
            except BaseException:
                store.close()
                raise

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
        if not self._gate.closed:
            with self._gate.enter():
                self._state.close()
                self._gate.closed = True

    def checkpoint(self) -> None:
        """Bring everything that is committed into the image files, and empty the log. Happens by itself, too.

        Raises:
            StateError: The files cannot be written; nothing is lost, for the log has it all.
        """
        with self._gate.enter():
            self._state.store.flush_log()

    # What it is

    @property
    def limits(self) -> Limits:
        """What bounds contracts and transactions."""
        return self._limits

    @property
    def default_sender(self) -> Address:
        """Who sends transactions and deploys contracts where no one else is named."""
        return DEFAULT_SENDER

    @property
    def block(self) -> Block:
        """The block that the next transaction runs in. Set another one: it does not move on, and no directory keeps it.

        As in ``world.block = attrs.evolve(world.block, number=7)``.
        """
        return self._environment.block

    @block.setter
    def block(self, block: Block) -> None:
        if not isinstance(block, Block):
            raise ValidationError(f"the block of a world is a storagemod.Block, not {block!r}")
        self._environment = attrs.evolve(self._environment, block=block)

    def snapshot(self) -> Snapshot:
        """A context manager that undoes at its end what happened to the world inside, unless it is kept.

        The block is set back, too.
        """

        def check_idle() -> None:
            with self._gate.enter():
                pass

        def remember_block() -> Callable[[], None]:
            block = self.block

            def set_back() -> None:
                self.block = block

            return set_back

        return Snapshot(self._state, check_idle, remember_block)

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
        name: str | None = None,
        init: str | None = None,
        args: Sequence[Value] = (),
    ) -> Address:
        """Deploy a contract and give its address.

        Args:
            code: WAT text, a Wasm binary, or the path of a file of either.
            address: Where; by default derived from the default sender and its nonce, as Ethereum does.
            balance: What it holds from the start.
            links: The address for each ``contract:NAME`` that it imports from. It may be one where nothing stands yet,
                so that contracts can be linked in a cycle; what is deployed there must fit.
            policy: Who may call it while it is active: ``allow``, ``deny``, ``self-only`` or ``static-only``.
            mapping: How ``ethereum.storageMap`` is carried out for it: ``copied`` (the default), ``paged``, or a
                :class:`storagemod.StorageMapping` that says more.
            name: What to call it in traces and errors; by default the name of the file.
            init: A method to call once. If it fails, nothing is deployed.
            args: The arguments of ``init``.

        Raises:
            ValidationError: The code is no contract, or an argument is not what it has to be.
            LinkError: An import cannot be served.
            StorageModError: ``init`` failed.
        """
        check_amount("balance", balance, BALANCE_MAX)
        contract = Contract.load(
            code, name=name, limits=self._limits, mode=self._environment.validation, debug=self._environment.debug
        )
        bound = {link: Address(target) for link, target in (links or {}).items()}
        if args and init is None:
            raise ValidationError("args are given, but no init method to call with them")
        with self._gate.enter(writing=True):
            deployer = self.account(DEFAULT_SENDER)
            target = created_address(DEFAULT_SENDER, deployer.nonce) if address is None else Address(address)
            settings = (self._backend, _mapping(mapping), balance)
            deployment = Deployment(self._state.store.accounts, self._rules, target, contract, bound, *settings)
            deployment.check()
            savepoint = self._state.savepoint()
            try:
                self._state.commit(
                    deployment.changes(DEFAULT_SENDER, policy=word_of(ReentryPolicy, policy, "re-entry policy"))
                )
                if init is not None:
                    self._run(Request(target, DEFAULT_SENDER, init, args), commit=True).raise_for_error()
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
        source = DEFAULT_SENDER if sender is None else sender
        with self._gate.enter(writing=True):
            return self._run(Request(to, source, method, args, data, value, gas, gas_price), commit=True)

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
        source = DEFAULT_SENDER if sender is None else sender
        with self._gate.enter():
            return self._run(Request(to, source, method, args, data, value, gas, gas_price), commit=False)

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
        source = DEFAULT_SENDER if sender is None else sender
        with self._gate.enter(writing=True):
            return self._run(Creation(code, source, value, gas, gas_price), commit=True)

    def _run(self, request: Request | Creation, *, commit: bool) -> Receipt:
        store = self._state.store
        message = request.message(store.accounts, self._rules)
        recorder = Recorder(self._limits.trace_events_max, wants=_WANTS.get(self._trace, ()))
        detector = HazardDetector()
        transaction = Transaction(
            store,
            self._backend,
            limits=self._limits,
            label=self.label,
            environment=attrs.evolve(self._environment, gas_price=request.gas_price),
            observers=(recorder, detector, *self._observers) if self._trace else self._observers,
        )
        sender = transaction.accounts[message.caller]
        transaction.accounts[message.caller] = attrs.evolve(sender, nonce=sender.nonce + 1)
        changes = ChangeSet()

        def finish(answer: Answer) -> None:
            nonlocal changes
            if answer.outcome is Outcome.OK:
                changes = transaction.changes()
                if commit:
                    self._state.commit(changes)

        try:
            answer = transaction.run(message, finish)
        except StorageModError as error:
            if not error.aborts or isinstance(error, StateError):
                raise
            answer = Answer(Outcome.FAILED, error=error, gas_used=message.gas)
        logs = transaction.logs if answer.outcome is Outcome.OK else ()
        trace = recorder.trace(self._labels(), detector.hazards) if self._trace else None
        is_created = message.kind is CallKind.CREATE and answer.outcome is Outcome.OK
        created = message.address if is_created else None
        return tell(receipt_of(answer, logs, changes, transaction.costs(changes), trace, created=created))

    # Pieces

    def _labels(self) -> Mapping[Address, str]:
        named = self._state.store.accounts.items()
        return {address: account.name for address, account in named if account.name is not None}


def _mapping(mapping: StorageMapping | str | None) -> StorageMapping | None:
    return StorageMapping(mapping) if isinstance(mapping, str) else mapping
