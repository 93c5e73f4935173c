"""The world: accounts, contracts and their storage, and transactions on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Literal, Self

import attrs

from storagemod.errors import StateError, StorageModError, ValidationError
from storagemod.events import Observer
from storagemod.execution import Answer, Transaction
from storagemod.limits import DEFAULT_GAS, Limits
from storagemod.linking import SLOTS_REGION, Contract
from storagemod.pages import choose_backend, overwrite
from storagemod.state import (
    BALANCE_MAX,
    NO_ACCOUNT,
    Account,
    ChangeSet,
    MemoryPageStore,
    PageStore,
    SqlitePageStore,
    WorldState,
)
from storagemod.trace import HazardDetector, Recorder
from storagemod.types import WASM_PAGE_BYTES, Address, Outcome, ReentryPolicy, StorageMapping, Value
from storagemod.world.deployment import Deployment, contract_of, deployed_address
from storagemod.world.gate import Gate
from storagemod.world.receipt import Receipt, receipt_of
from storagemod.world.request import Request, check_amount
from storagemod.world.slots_view import SlotsView
from storagemod.world.snapshot import Snapshot
from storagemod.world.storage_view import StorageView

DEFAULT_SENDER = Address("5e9de7" + "00" * 16 + "01")
"""Who sends transactions and deploys contracts where no one else is named."""

DEFAULT_SENDER_BALANCE = 10**24


class World:
    """Accounts and contracts, and transactions on them. In memory, or in a directory that outlives the process.

    One transaction runs at a time, from whichever thread; a second one is refused, not queued. A world is its process's
    own: a forked child cannot use it. Use it as a context manager, or close it, to have a directory tidied up; one that
    is not closed loses nothing.

    Args:
        path: A directory to keep the world in, created on first use; in memory if not given.
        limits: What bounds contracts and transactions.
        observers: Told of every event of every transaction, as it happens.
        trace: Whether receipts carry a trace; ``"pages"`` has the pages in it that each call touched first, too.
        tracker: How storage is mapped and written pages are found: ``userfaultfd``, ``pagemap``, ``compare`` or
            ``portable``; the quickest that works here if not given. All give the same results.
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
        trace: bool | Literal["pages"] = True,
        tracker: str | None = None,
        synchronous: Literal["full", "normal"] = "full",
        read_only: bool = False,
    ) -> None:
        if synchronous not in ("full", "normal"):
            raise ValidationError(f'synchronous is "full" or "normal", not {synchronous!r}')
        self._limits = limits or Limits()
        self._observers = tuple(observers)
        self._trace = trace
        self._backend = choose_backend(tracker)
        store: PageStore
        if path is not None:
            maker = self._backend.image_maker()
            store = SqlitePageStore(Path(path), maker, synchronous=synchronous, read_only=read_only)
        elif read_only:
            raise ValidationError("a world in memory has nothing to be read before it is written")
        else:
            store = MemoryPageStore(self._backend.image_maker())
        self._state = WorldState(store)
        self._gate = Gate(read_only=read_only)
        if not store.accounts and not read_only:
            try:
                self._commit_account(DEFAULT_SENDER, Account(balance=DEFAULT_SENDER_BALANCE, name="sender"))
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
            self._state.store.checkpoint()

    # Accounts and storage

    @property
    def limits(self) -> Limits:
        """What bounds contracts and transactions."""
        return self._limits

    @property
    def default_sender(self) -> Address:
        """Who sends transactions and deploys contracts where no one else is named."""
        return DEFAULT_SENDER

    @property
    def state_root(self) -> bytes:
        """The digest, 32 bytes, of every account's nonce, balance and storage; code is not in it."""
        return self._state.store.state_root()

    def accounts(self) -> Mapping[Address, Account]:
        """Every account that anything was done to, ordered by address."""
        return MappingProxyType(dict(sorted(self._state.store.accounts.items())))

    def account(self, address: Address | str | int) -> Account:
        """An account; the empty one where there is none."""
        return self._state.store.accounts.get(Address(address), NO_ACCOUNT)

    def contract(self, address: Address | str | int) -> Contract:
        """The contract at an address.

        Raises:
            StateError: There is none.
        """
        address = Address(address)
        contract = self._contract_at(address)
        if contract is None:
            raise StateError(f"there is no contract at {self.label(address)}")
        return contract

    def label(self, address: Address) -> str:
        """The name of an account, or its address where it has none."""
        return self.account(address).name or str(address)

    def fund(self, address: Address | str | int, balance: int, *, name: str | None = None) -> Address:
        """Set the balance of an account, and name it if a name is given.

        Raises:
            ValidationError: The balance is no u128.
        """
        address = Address(address)
        check_amount("balance", balance, BALANCE_MAX)
        with self._gate.enter(writing=True):
            account = self.account(address)
            self._commit_account(address, attrs.evolve(account, balance=balance, name=name or account.name))
        return address

    def storage(self, address: Address | str | int) -> Mapping[str, StorageView]:
        """The committed storage of a contract, by region.

        Raises:
            StateError: There is no contract.
        """
        address = Address(address)
        names = [region.name for region in self.contract(address).layout.regions]
        return MappingProxyType({name: self._view(address, name) for name in names})

    def slots(self, address: Address | str | int) -> SlotsView:
        """The committed entries of a contract's keyed storage, to be read and preset like a dictionary.

        Raises:
            StateError: There is no contract, or its storage is not keyed.
        """
        address = Address(address)
        if not self.contract(address).is_keyed:
            raise StateError(f"the storage of {self.label(address)} is not keyed")
        return SlotsView(self, address, self._view(address, SLOTS_REGION))

    def load_storage(self, address: Address | str | int, region: str, data: bytes, *, offset: int = 0) -> None:
        """Write bytes into committed storage, outside any transaction; the region grows as needed.

        Raises:
            StateError: There is no contract, or it has no such region.
            ValidationError: The bytes would not fit into what the region may hold.
        """
        address = Address(address)
        contract = self.contract(address)
        found = contract.layout.region(region)
        if found is None:
            known = ", ".join(each.name for each in contract.layout.regions) or "none"
            raise StateError(f"{contract.name} has no storage region {region!r}", hint=f"it has: {known}")
        pages_max = found.type.pages_max or 0
        if offset < 0 or offset + len(data) > pages_max * WASM_PAGE_BYTES:
            raise ValidationError(
                f"bytes [{offset}, {offset + len(data)}) do not fit region {region!r} of {contract.name}, "
                f"which holds {pages_max:,} Wasm pages at most"
            )
        with self._gate.enter(writing=True):
            written = overwrite(self._state.store.image(address, region), offset, bytes(data))
            self._state.commit(ChangeSet(regions={(address, region): written}))

    def snapshot(self) -> Snapshot:
        """A context manager that undoes at its end what happened to the world inside, unless it is kept."""

        def check_idle() -> None:
            with self._gate.enter():
                pass

        return Snapshot(self._state, check_idle)

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
            address: Where; by default derived from the default sender and its nonce.
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
        contract = Contract.load(code, name=name, limits=self._limits)
        bound = {link: Address(target) for link, target in (links or {}).items()}
        if args and init is None:
            raise ValidationError("args are given, but no init method to call with them")
        with self._gate.enter(writing=True):
            deployer = self.account(DEFAULT_SENDER)
            target = deployed_address(DEFAULT_SENDER, deployer.nonce) if address is None else Address(address)
            mapped = StorageMapping(mapping) if isinstance(mapping, str) else mapping
            deployment = Deployment(self._state.store.accounts, self._limits, target, contract, bound, mapped, balance)
            deployment.check()
            mark = self._state.mark()
            try:
                self._state.commit(deployment.changes(DEFAULT_SENDER, policy=_policy(policy)))
                if init is not None:
                    self._run(Request(target, DEFAULT_SENDER, init, args), commit=True).raise_for_error()
            except BaseException:
                self._state.undo(mark)
                raise
            self._state.keep(mark)
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
    ) -> Receipt:
        """Run a transaction and commit it if it succeeds; one that fails changes nothing and is a receipt too.

        Args:
            to: The account to call.
            method: An exported function, called with ``args``; ``None`` calls ``main``, which reads ``data``.
            args: Numbers; integers may be signed or unsigned.
            data: Call data.
            sender: Who calls; the default sender if not given.
            value: What to transfer to the callee with the call.
            gas: The most that it may use, wasmtime fuel.

        Raises:
            ValidationError: The transaction cannot start: no such method, wrong arguments, a sender that cannot pay.
            StateError: Another transaction is open on this world.
        """
        source = DEFAULT_SENDER if sender is None else sender
        with self._gate.enter(writing=True):
            return self._run(Request(to, source, method, args, data, value, gas), commit=True)

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
    ) -> Receipt:
        """Run like :meth:`transact`, but never commit.

        Raises:
            ValidationError: It cannot start.
            StateError: A transaction is open on this world.
        """
        source = DEFAULT_SENDER if sender is None else sender
        with self._gate.enter():
            return self._run(Request(to, source, method, args, data, value, gas), commit=False)

    def _run(self, request: Request, *, commit: bool) -> Receipt:
        store = self._state.store
        message = request.message(store.accounts, self._limits)
        recorder = Recorder(self._limits.trace_events_max, wants_pages=self._trace == "pages")
        detector = HazardDetector()
        transaction = Transaction(
            store,
            self._backend,
            limits=self._limits,
            label=self.label,
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
        return receipt_of(answer, logs, changes, transaction.costs(changes), trace)

    # Pieces

    def _contract_at(self, address: Address) -> Contract | None:
        return contract_of(self.account(address), self._limits)

    def _view(self, address: Address, region: str) -> StorageView:
        return StorageView(region, lambda: self._state.store.image(address, region))

    def _labels(self) -> Mapping[Address, str]:
        named = self._state.store.accounts.items()
        return {address: account.name for address, account in named if account.name is not None}

    def _commit_account(self, address: Address, account: Account) -> None:
        self._state.commit(ChangeSet({address: (self.account(address), account)}))


def _policy(policy: ReentryPolicy | str) -> ReentryPolicy:
    try:
        return ReentryPolicy(policy)
    except ValueError as error:
        known = ", ".join(each.value for each in ReentryPolicy)
        raise ValidationError(f"there is no re-entry policy {policy!r}", hint=f"there are: {known}") from error
