"""The world: accounts, contracts and their storage, and transactions on them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import attrs

from storagemod.errors import StateError, StorageModError, ValidationError
from storagemod.events import Observer, StorageChange
from storagemod.execution import Answer, Message, Transaction
from storagemod.limits import DEFAULT_GAS, GAS_MAX, Limits
from storagemod.linking import MAIN, Contract
from storagemod.pages import choose_backend, merged_runs, overwrite
from storagemod.state import BALANCE_MAX, NO_ACCOUNT, Account, ChangeSet, MemoryPageStore, WorldState
from storagemod.trace import Recorder
from storagemod.types import WASM_PAGE_BYTES, Address, CallKind, Outcome, ReentryPolicy, Value
from storagemod.world.arguments import to_values
from storagemod.world.deployment import Deployment, contract_of, deployed_address
from storagemod.world.receipt import Receipt
from storagemod.world.snapshot import Snapshot
from storagemod.world.storage_view import StorageView

DEFAULT_SENDER = Address("5e9de7" + "00" * 16 + "01")
"""Who sends transactions and deploys contracts where no one else is named."""

DEFAULT_SENDER_BALANCE = 10**24


class World:
    """Accounts and contracts in memory, and transactions on them.

    Args:
        limits: What bounds contracts and transactions.
        observers: Told of every event of every transaction, as it happens.
        trace: Whether receipts carry a trace.
        tracker: How storage is mapped and written pages are found: ``userfaultfd``, ``pagemap`` or ``compare``; the
            quickest that works here if not given. All give the same results.

    Raises:
        StateError: The tracker does not work here.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        observers: Sequence[Observer] = (),
        trace: bool = True,
        tracker: str | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._observers = tuple(observers)
        self._trace = trace
        self._backend = choose_backend(tracker)
        self._state = WorldState(MemoryPageStore(self._backend.image_maker()))
        self._busy = threading.Lock()
        sender = Account(balance=DEFAULT_SENDER_BALANCE, name="sender")
        self._commit_account(DEFAULT_SENDER, sender)

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
        _check_amount("balance", balance, BALANCE_MAX)
        with self._exclusive():
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
        with self._exclusive():
            written = overwrite(self._state.store.image(address, region), offset, bytes(data))
            self._state.commit(ChangeSet(regions={(address, region): written}))

    def snapshot(self) -> Snapshot:
        """A context manager that undoes at its end what happened to the world inside, unless it is kept."""

        def check_idle() -> None:
            with self._exclusive():
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
            name: What to call it in traces and errors; by default the name of the file.
            init: A method to call once. If it fails, nothing is deployed.
            args: The arguments of ``init``.

        Raises:
            ValidationError: The code is no contract, or an argument is not what it has to be.
            LinkError: An import cannot be served.
            StorageModError: ``init`` failed.
        """
        _check_amount("balance", balance, BALANCE_MAX)
        contract = Contract.load(code, name=name, limits=self._limits)
        bound = {link: Address(target) for link, target in (links or {}).items()}
        if args and init is None:
            raise ValidationError("args are given, but no init method to call with them")
        with self._exclusive():
            deployer = self.account(DEFAULT_SENDER)
            target = deployed_address(DEFAULT_SENDER, deployer.nonce) if address is None else Address(address)
            deployment = Deployment(self._state.store.accounts, self._limits, target, contract, bound)
            deployment.check()
            mark = self._state.mark()
            try:
                self._state.commit(deployment.changes(DEFAULT_SENDER, balance=balance, policy=_policy(policy)))
                if init is not None:
                    self._run(self._message(target, init, args), commit=True).raise_for_error()
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
        with self._exclusive():
            return self._run(
                self._message(Address(to), method, args, data=data, sender=sender, value=value, gas=gas), commit=True
            )

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
        with self._exclusive():
            return self._run(
                self._message(Address(to), method, args, data=data, sender=sender, value=value, gas=gas), commit=False
            )

    def _message(
        self,
        to: Address,
        method: str | None,
        args: Sequence[object],
        *,
        data: bytes = b"",
        sender: Address | str | int | None = None,
        value: int = 0,
        gas: int = DEFAULT_GAS,
    ) -> Message:
        """Check what a transaction is made of."""
        source = DEFAULT_SENDER if sender is None else Address(sender)
        _check_amount("value", value, BALANCE_MAX)
        _check_amount("gas", gas, GAS_MAX)
        if not isinstance(data, bytes | bytearray):
            raise ValidationError(f"call data is bytes, not {data!r}")
        if value > self.account(source).balance:
            raise ValidationError(
                f"{self.label(source)} has a balance of {self.account(source).balance:,} and cannot pay {value:,}"
            )
        values: tuple[Value, ...] = ()
        if method is not None:
            values = self._values(to, method, args)
            if data:
                raise ValidationError("a transaction has a method or call data, not both")
        elif args:
            raise ValidationError("arguments are given, but no method to call with them")
        elif self.account(to).code:
            self._values(to, MAIN, ())
        return Message(
            kind=CallKind.CALL,
            address=to,
            code_address=to,
            caller=source,
            value=value,
            gas=gas,
            static=False,
            method=method,
            args=values,
            data=bytes(data),
        )

    def _values(self, to: Address, method: str, args: Sequence[object]) -> tuple[Value, ...]:
        contract = self._contract_at(to)
        if contract is None:
            raise ValidationError(f"there is no contract at {self.label(to)} to call {method!r} of")
        try:
            return to_values(method, contract.entry_point(method), args)
        except ValidationError as error:
            error.at(self.label(to))
            raise

    def _run(self, message: Message, *, commit: bool) -> Receipt:
        recorder = Recorder(self._limits.trace_events_max) if self._trace else None
        observers: tuple[Observer, ...] = self._observers if recorder is None else (recorder, *self._observers)
        transaction = Transaction(
            self._state.store, self._backend, limits=self._limits, label=self.label, observers=observers
        )
        sender = transaction.accounts[message.caller]
        transaction.accounts[message.caller] = attrs.evolve(sender, nonce=sender.nonce + 1)
        changes = ChangeSet()
        try:
            answer = transaction.run(message)
        except StorageModError as error:
            if not error.aborts:
                raise
            answer = Answer(Outcome.FAILED, error=error, gas_used=message.gas)
        if answer.outcome is Outcome.OK:
            changes = transaction.changes()
            if commit:
                self._state.commit(changes)
        return Receipt(
            outcome=answer.outcome,
            value=_value(answer),
            output=answer.output,
            error=answer.error,
            gas_used=answer.gas_used,
            logs=tuple(transaction.logs) if answer.outcome is Outcome.OK else (),
            changes=_storage_changes(changes),
            trace=None if recorder is None else recorder.trace(self._labels()),
        )

    # Pieces

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise StateError(
                "a transaction is open on this world already",
                hint="a world runs one at a time: wait for it, or use a world for each thread",
            )
        try:
            yield
        finally:
            self._busy.release()

    def _contract_at(self, address: Address) -> Contract | None:
        return contract_of(self.account(address), self._limits)

    def _view(self, address: Address, region: str) -> StorageView:
        return StorageView(region, lambda: self._state.store.image(address, region))

    def _labels(self) -> Mapping[Address, str]:
        named = self._state.store.accounts.items()
        return {address: account.name for address, account in named if account.name is not None}

    def _commit_account(self, address: Address, account: Account) -> None:
        self._state.commit(ChangeSet({address: (self.account(address), account)}))


def _value(answer: Answer) -> Value | tuple[Value, ...] | None:
    if len(answer.values) == 1:
        return answer.values[0]
    return answer.values or None


def _storage_changes(changes: ChangeSet) -> Mapping[Address, tuple[StorageChange, ...]]:
    by_address: dict[Address, list[StorageChange]] = {}
    for (address, region), written in sorted(changes.regions.items()):
        runs = [StorageChange(region, run.offset, run.old, run.new) for run in merged_runs(written.pages)]
        if runs:
            by_address.setdefault(address, []).extend(runs)
    return MappingProxyType({address: tuple(runs) for address, runs in by_address.items()})


def _check_amount(what: str, amount: object, maximum: int) -> None:
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount <= maximum:
        raise ValidationError(f"{what} is an integer from 0 to {maximum:,}, not {amount!r}")


def _policy(policy: ReentryPolicy | str) -> ReentryPolicy:
    try:
        return ReentryPolicy(policy)
    except ValueError as error:
        known = ", ".join(each.value for each in ReentryPolicy)
        raise ValidationError(f"there is no re-entry policy {policy!r}", hint=f"there are: {known}") from error
