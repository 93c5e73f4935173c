"""Direct calls: contracts call one another from wasm to wasm, through gates, and no host stands between.

A gate is a small function between one contract's typed import and the method that the import is bound to. It keeps the
depth and the number of calls, refuses re-entry, and calls the method through a table, so that cycles can be linked. The
host is called for what a gate cannot do: once a transaction for each contract that is entered, to open its storage, and
around each call of code that has state of its own or uses host functions, since such a call needs an instance that is
as if new, and a frame.

A gate does nothing about failures. What does not end well, or what only bookkeeping call by call could settle, gives
up: the transaction is undone and runs again mediated, with the machine between its calls, which tells nobody (rule 8).
So the rules are kept in one place. What is left to prove is that a run which ends well would have ended so there, too
(``design/0023-direct-calls.md``).
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from attrs import frozen

from storagemod.errors import OutOfGasError, StorageModError, TrapError
from storagemod.limits import Limits
from storagemod.pages import PAGES_PER_WASM_PAGE, LiveRegion
from storagemod.state import Account
from storagemod.types import WASM_PAGE_BYTES, Address, CallKind, FunctionType, ReentryPolicy
from storagemod.vm.boundary import collect
from storagemod.vm.contract import Contract, ContractImport
from storagemod.vm.ethereum import Finished
from storagemod.vm.frame import Frame
from storagemod.vm.storage import StorageInstance
from storagemod.wasm import HostFunction, Instance, InstancePool, Linker, Module, Prepared, compile_module, to_wasm

if TYPE_CHECKING:
    from storagemod.vm.machine import Machine

_METHODS_MAX = 4_096
"""Methods that can be called directly in one store. Contracts that import more are called through the machine."""

_DIRECT_GAS_MAX = 20_000_000
"""Gas of a direct run: some 20 ms. Longer ones gain little, and to do one over takes time from its deadline."""

_GATES_GAS = 2_000_000
"""Gas that gates may use besides: enough for some 25,000 calls. What they used is given back."""

_REDONE_MAX, _SKIPPED_MAX = 4, 10
"""Runs of a method that are done over in a row until the next ones are mediated from the start: 16, and twice as many
each time, 1,024 at most."""

_SHARE = 63 / 64 * (1 - 1e-12)
"""The least part of its gas that a caller gives where it names no amount (EIP-150), a little less for rounding."""

_ONE, _NONE = FunctionType(("i32",)), FunctionType()

_HOST, _BOARD = "host", "board"
"""Namespaces of what gates import."""

# Words of the board, 4 bytes each. A record of 4 words for each party follows.
_DEPTH, _DEEPEST, _CALLS, _RUNNING, _OVERHEAD, _DEPTH_MAX, _CALLS_MAX = 0, 1, 2, 3, 4, 6, 7
_WORD_MAX = 2**32 - 1
_FIRST_RECORD, _RECORD_WORDS = 16, 4
_OPEN, _ACTIVE, _REFUSES, _ATTENDED = 0, 1, 2, 3
_FIRST_CALL = 2
"""What the count of calls is during the first one inside the top-level call."""
_PARTIES_MAX = (WASM_PAGE_BYTES // 4 - _FIRST_RECORD) // _RECORD_WORDS

_OTHERS, _ITSELF = 1, 2
_REFUSED = {
    ReentryPolicy.ALLOW: 0,
    ReentryPolicy.SELF_ONLY: _OTHERS,
    ReentryPolicy.DENY: _OTHERS | _ITSELF,
    ReentryPolicy.STATIC_ONLY: _OTHERS | _ITSELF,  # no direct call is static
}
"""Whom a contract refuses while it is active."""


class _GivesUp(StorageModError):  # noqa: N818 - nothing is wrong
    """The run has to be done over. Nobody sees this but the machine."""


@frozen
class DirectRuns:
    """How many runs there were in which contracts called one another directly.

    Attributes:
        completed: Those that ended well.
        redone: Those that were undone and done over, with the host between the calls.
    """

    completed: int = 0
    redone: int = 0


class _Party:
    """An account that takes part in direct calls.

    Attributes:
        address: The account.
        record: Index of the first word of its record.
        methods: Places in the table, by method.
        linked: Its contract, once that is linked.
        frame: The frame for which its storage was opened in this transaction.
    """

    __slots__ = ("address", "frame", "linked", "methods", "record")

    def __init__(self, address: Address, record: int) -> None:
        self.address = address
        self.record = record
        self.methods: dict[str, int] = {}
        self.linked: _Linked | None = None
        self.frame: Frame | None = None


@frozen(eq=False)
class _Linked:
    """A contract that is linked: to the storage of its account, and through gates to what it calls.

    Attributes:
        contract: The contract.
        links: What its account binds it to.
        gates: The exports of its gates, by import.
        regions: The storage.
        pool: Its instances.
        attended: Whether each call needs a frame, for its host functions, or an instance of its own.
    """

    contract: Contract
    links: Mapping[str, Address]
    gates: Mapping[tuple[str, str], object]
    regions: tuple[LiveRegion, ...]
    pool: InstancePool
    attended: bool


@frozen(eq=False)
class _Gate:
    """A gate: who calls whom through it, and whether the caller can make memory of its own longer."""

    caller: _Party
    callee: _Party
    method: str
    grows: bool
    instance: Instance


class DirectCalls:
    """The contracts of one wasmtime store that call one another directly, and their run.

    Args:
        machine: What runs everything else.

    Attributes:
        gave_up: Whether the run has to be done over.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._store = machine.store
        limits = machine.limits
        self._methods_max = min(_METHODS_MAX, limits.table_elements_max)
        prepared = Linker().prepare(_board(self._methods_max))
        self._board = self._store.instantiate(prepared.address)
        self._table = self._board.table("methods")
        memory = self._board.memory("words")
        self._words = (ctypes.c_uint32 * (WASM_PAGE_BYTES // 4)).from_address(memory.base)
        self._overhead = ctypes.c_uint64.from_address(memory.base + 4 * _OVERHEAD)
        self._words[_DEPTH_MAX] = min(limits.call_depth_max, _WORD_MAX)
        self._words[_CALLS_MAX] = min(limits.calls_max, _WORD_MAX)
        functions = (("open", self._open_callee, _ONE), ("enter", self._enter, _ONE), ("leave", self._leave, _NONE))
        self._host = [HostFunction(_HOST, name, kind, body) for name, body, kind in functions]
        self._prepared: dict[tuple[FunctionType, bool], Prepared] = {}
        self._parties: dict[Address, _Party] = {}
        self._gates: list[_Gate] = []
        self._methods = 0
        self._given_up: dict[tuple[Address, str | None], list[int]] = {}  # in a row, and how many are to be skipped
        self._open: list[_Party] = []
        self._granted = 0
        self._attended = 0  # calls of the host that gates made
        self.gave_up = False

    # A run

    def begin(self, frame: Frame, contract: Contract, storage: StorageInstance) -> InstancePool | None:
        """Begin the run of a top-level call; return the instances of its code whose imports lead to gates.

        ``None`` if it cannot run directly.
        """
        address, words = frame.address, self._words
        for each in self._open:
            words[each.record + _OPEN] = words[each.record + _ACTIVE] = 0
            each.frame = None
        self._open.clear()
        given_up = self._given_up.get((address, frame.method))
        if given_up is not None and given_up[1]:
            given_up[1] -= 1
            return None
        if contract.mediated_by:
            return None
        try:
            party = self._party(address)
            linked = self._link(party, self._machine.accounts[address], contract, storage)
        except _GivesUp:
            return None
        words[_DEPTH] = words[_DEEPEST] = words[_CALLS] = 1
        words[_RUNNING] = 4 * party.record
        words[party.record + _ACTIVE] = 1
        self._overhead.value = self._attended = 0
        self._open.append(party)
        party.frame = frame
        self._granted = min(frame.gas, _DIRECT_GAS_MAX)
        self._store.fuel = self._granted
        return linked.pool

    def invoke(self, frame: Frame, function: int, values: int, count: int) -> None:
        """Run the entry point, with everything that it calls directly.

        Raises:
            StorageModError: It failed; :attr:`gave_up` tells whether it has to be done over.
            BaseException: As :meth:`Store.invoke` does.
        """
        try:
            self._store.invoke(function, values, count)
        except Finished:
            if self._words[_DEPTH] != 1:
                raise self._give_up(frame) from None  # it ended the calls around it as well
            self._settle(frame)
            raise
        except StorageModError as error:
            if error.aborts:
                place = (self._words[_RUNNING] // 4 - _FIRST_RECORD) // _RECORD_WORDS
                error.at(self._machine.label([*self._parties][place]), self._words[_DEPTH])
            elif self._words[_CALLS] > 1 or isinstance(error, OutOfGasError):  # at the entry of a gate, perhaps
                raise self._give_up(frame) from error
            else:
                self._store.fuel += frame.gas - self._granted
            raise
        self._settle(frame)

    def _settle(self, frame: Frame) -> None:
        """Count what the calls used, now that all have ended well.

        Raises:
            _GivesUp: Only the machine can tell whether they ended within their limits.
        """
        words, store, machine = self._words, self._store, self._machine
        calls = words[_CALLS] - 1
        try:
            left = frame.settle_gas()  # what it owed when it called is not its callees' to use
        except OutOfGasError:
            raise self._give_up(frame) from None
        if not calls:
            store.fuel = left + frame.gas - self._granted
            return
        overhead = self._overhead.value if machine.schedule.metered else 0
        used = self._granted + _GATES_GAS - left - overhead
        if used > self._granted or used > frame.gas * _SHARE ** (words[_DEEPEST] - 1):
            raise self._give_up(frame)
        try:
            self._collect(frame)
        except TrapError:
            raise self._give_up(frame) from None
        if self._pages() > machine.limits.changed_pages_max:
            raise self._give_up(frame)
        store.fuel = frame.gas - used
        store.host_calls += calls - self._attended
        machine.budget.instances += calls
        machine.budget.calls += calls
        machine.direct_completed += 1
        self._given_up.pop((frame.address, frame.method), None)

    def _give_up(self, frame: Frame) -> _GivesUp:
        """Bring the store back to the top-level call, whose failure undoes everything."""
        self.gave_up = True
        self._machine.direct_redone += 1
        given_up = self._given_up.setdefault((frame.address, frame.method), [0, 0])
        given_up[0] += 1
        if given_up[0] >= _REDONE_MAX:
            given_up[1] = 1 << min(given_up[0], _SKIPPED_MAX)
        inner = self._store.current
        while inner is not frame:
            if inner.pool is not None:
                inner.pool.give_back(inner.instance)
            inner = inner.parent
        self._store.current = frame
        with suppress(TrapError):  # it fails anyway
            self._collect(frame)
        return _GivesUp("a direct run is to be done over")

    def _collect(self, frame: Frame) -> None:
        """Take in what callees wrote.

        Raises:
            TrapError: They broke a rule of storage.
        """
        for party in self._open:
            if party.frame is not None and party.frame is not frame:
                collect(self._machine, party.frame)

    def _pages(self) -> int:
        """Return how many pages of 4 KiB the storage of all callees has: no more can have changed at any time."""
        regions = [region for party in self._open if party.linked is not None for region in party.linked.regions]
        return PAGES_PER_WASM_PAGE * sum(region.memory_pages for region in regions)

    # What gates call

    def _open_callee(self, _frame: Frame, number: int) -> None:
        """Open the storage of a contract that is entered for the first time in the transaction."""
        self._attended += 1
        gate, machine, words = self._gates[number], self._machine, self._words
        callee = gate.callee
        if words[_CALLS] == _FIRST_CALL:
            left = self._store.fuel
            if left < 0:
                raise _GivesUp("it overran its gas")
            self._store.fuel = left + _GATES_GAS
        account = machine.accounts[callee.address]
        if not account.code:
            raise _GivesUp("there is no contract")
        contract = machine.contract(account.code, account.link)
        if contract.mediated_by:
            raise _GivesUp("it needs the machine")
        frame = Frame(machine, None, CallKind.CALL, callee.address, callee.address, gate.caller.address)
        frame.contract = contract
        frame.storage = machine.open_storage(frame, contract)[0]
        frame.resume()
        self._link(callee, account, contract, frame.storage)
        if callee.frame is None:
            callee.frame = frame
            self._open.append(callee)
        words[callee.record + _OPEN] = 1

    def _enter(self, parent: Frame, number: int) -> None:
        """Give a call a frame, and an instance that is as if it were new."""
        self._attended += 1
        gate, machine = self._gates[number], self._machine
        callee = gate.callee
        linked, opened = callee.linked, callee.frame
        assert linked is not None  # noqa: S101 - it was opened
        assert opened is not None  # noqa: S101 - as above
        if gate.grows:
            machine.hold_grown(parent)
        frame = Frame(
            machine,
            parent,
            CallKind.CALL,
            callee.address,
            callee.address,
            gate.caller.address,
            gas=parent.gas,
            method=gate.method,
        )
        frame.depth = self._words[_DEPTH]
        frame.contract, frame.links, frame.storage = linked.contract, linked.links, opened.storage
        frame.code = linked.contract.code
        self._store.current = frame
        pool = linked.pool
        if linked.contract.has_own_parts:
            machine.count_instance(frame, linked.contract, pool)
        frame.instance = instance = pool.take()
        if not pool.shares:
            frame.pool = pool
            if gate.method not in linked.contract.entries:
                raise _GivesUp("there is no such method")
            self._table.set(callee.methods[gate.method], instance.function(gate.method))

    def _leave(self, frame: Frame) -> None:
        """Take the instance back after the call."""
        self._attended += 1
        frame.settle_gas()
        if frame.working_pages:
            self._machine.budget.release_pages(frame, frame.contract.lasting_pages)  # type: ignore[union-attr] # it has pages
        if frame.pool is not None:
            frame.pool.give_back(frame.instance)  # type: ignore[arg-type] # it has one
        self._store.current = frame.parent

    # Linking

    def _party(self, address: Address) -> _Party:
        """Return an account that takes part.

        Raises:
            _GivesUp: There are too many.
        """
        party = self._parties.get(address)
        if party is None:
            if len(self._parties) == _PARTIES_MAX:
                raise _GivesUp("too many contracts")
            party = _Party(address, _FIRST_RECORD + _RECORD_WORDS * len(self._parties))
            self._parties[address] = party
        return party

    def _link(self, party: _Party, account: Account, contract: Contract, storage: StorageInstance) -> _Linked:
        """Link a contract to its storage as that is open now, unless it is.

        Raises:
            _GivesUp: There is no room for what it imports.
        """
        linked = party.linked
        same = linked is not None and linked.contract is contract and linked.links == account.links
        if linked is None or not same or linked.regions != storage.regions:
            gates = linked.gates if linked is not None and same else self._gates_of(party, account, contract)
            pool = storage.link(contract, gates)
            attended = len(contract.functions) > len(gates) or contract.has_own_parts or not pool.shares
            linked = _Linked(contract, account.links, gates, storage.regions, pool, attended)
            party.linked = linked
            for method in party.methods:
                self._place(party, linked, method)
        words, record = self._words, party.record
        words[record + _REFUSES] = _REFUSED[account.policy]
        words[record + _ATTENDED] = linked.attended
        return linked

    def _place(self, party: _Party, linked: _Linked, method: str) -> None:
        """Put a method into the table, unless each call has an instance of its own: then :meth:`_enter` does."""
        function = None
        if linked.pool.shares and method in linked.contract.entries:
            function = linked.pool.take().function(method)
        self._table.set(party.methods[method], function)

    def _gates_of(self, party: _Party, account: Account, contract: Contract) -> dict[tuple[str, str], object]:
        """Make a gate for each method that a contract imports."""
        gates = {}
        for each in contract.contract_imports:
            address = account.links.get(each.link)
            if address is None or self._methods == self._methods_max:
                raise _GivesUp("not bound to a contract, or too many methods")
            gates[each.key] = self._gate(party, self._party(address), each, grows=contract.grows_memory)
        return gates

    def _gate(self, caller: _Party, callee: _Party, wanted: ContractImport, *, grows: bool) -> object:
        """Make the gate between an import and the method of the contract that it is bound to; return its export."""
        if wanted.method not in callee.methods:
            callee.methods[wanted.method] = self._methods
            self._methods += 1
            if callee.linked is not None:
                self._place(callee, callee.linked, wanted.method)
        kind = wanted.type, wanted.catches
        if kind not in self._prepared:
            self._prepared[kind] = self._prepare(*kind)
        instance = self._store.instantiate(self._prepared[kind].address)
        for name, value in (
            ("gate", len(self._gates)),
            ("caller", 4 * caller.record),
            ("callee", 4 * callee.record),
            ("method", callee.methods[wanted.method]),
            ("kept_out", _ITSELF if callee is caller else _OTHERS),
            ("grows", int(grows)),
        ):
            instance.set_variable(name, value)
        self._gates.append(_Gate(caller, callee, wanted.method, grows, instance))
        return instance.export("call")

    def _prepare(self, kind: FunctionType, catches: bool) -> Prepared:
        linker = Linker()
        for function in self._host:
            linker.offer(function)
        for name in ("words", "methods"):
            linker.define(self._store, _BOARD, name, self._board.export(name))
        return linker.prepare(_gate_module(kind, catches))


def _board(methods: int) -> Module:
    """Return the module that holds what all gates of a store share: the words they keep, and the table of methods."""
    text = f"""(module
  (memory (export "words") 1)
  (table (export "methods") {methods} funcref))"""
    return compile_module(to_wasm(text, name="board", limits=Limits()), Limits())


@lru_cache(maxsize=64)
def _gate_module(kind: FunctionType, catches: bool) -> Module:
    """Return the module of a gate: for a type of callee, and for callers that catch failures or do not."""
    return compile_module(to_wasm(_gate_wat(kind, catches), name="gate", limits=Limits()), Limits())


def _gate_wat(kind: FunctionType, catches: bool) -> str:
    """Return the module of a gate as text. Its overhead is what wasmtime takes for it as fuel."""
    params = "".join(f" (param {each})" for each in kind.params)
    results = "".join(f" (result {each})" for each in kind.results)
    outcome = " (result i32)" if catches else ""
    count = len(kind.params)
    depth, active, attended = (f"local.get {count + place}" for place in range(3))
    set_depth, set_active, set_attended = (f"local.set {count + place}" for place in range(3))

    def word(number: int) -> list[str]:
        return ["i32.const 0", f"i32.load offset={4 * number}"]

    def record(number: int) -> list[str]:
        return ["global.get $callee", f"i32.load offset={4 * number}"]

    def set_word(number: int, *value: str) -> list[str]:
        return ["i32.const 0", *value, f"i32.store offset={4 * number}"]

    def set_record(number: int, *value: str) -> list[str]:
        return ["global.get $callee", *value, f"i32.store offset={4 * number}"]

    def count_fuel(fuel: str) -> list[str]:
        at = f"offset={4 * _OVERHEAD}"
        return ["i32.const 0", "i32.const 0", f"i64.load {at}", f"i64.const {fuel}", "i64.add", f"i64.store {at}"]

    def when(condition: list[str], *then: str) -> list[str]:
        return [*condition, "if", *then, "end"]

    def at_times(condition: list[str], *then: str) -> list[str]:
        """As :func:`when`, for code that ends well: its fuel is counted there."""
        body = [*count_fuel("FUEL"), *then]
        return when(condition, *(line.replace("FUEL", str(_fuel(body))) for line in body))

    always = [
        *count_fuel("ALWAYS"),
        *set_word(_CALLS, *word(_CALLS), "i32.const 1", "i32.add"),  # first: what traps behind it is a call's failure
        *when([*word(_CALLS), *word(_CALLS_MAX), "i32.gt_u"], "unreachable"),
        *word(_DEPTH), "i32.const 1", "i32.add", set_depth,
        *when([depth, *word(_DEPTH_MAX), "i32.gt_u"], "unreachable"),
        *set_word(_DEPTH, depth),
        *set_word(_DEEPEST, depth, *word(_DEEPEST), depth, *word(_DEEPEST), "i32.gt_u", "select"),
        *set_word(_RUNNING, "global.get $callee"),
        *at_times([*record(_OPEN), "i32.eqz"], "global.get $gate", "call $open"),
        *record(_ACTIVE), set_active,
        *when([*record(_REFUSES), "global.get $kept_out", "i32.and", "i32.const 0", active, "select"], "unreachable"),
        *set_record(_ACTIVE, active, "i32.const 1", "i32.add"),
        *record(_ATTENDED), "global.get $grows", "i32.or", set_attended,
        *at_times([attended], "global.get $gate", "call $enter"),
        *(["i32.const 0"] if catches else []),
        *(f"local.get {place}" for place in range(count)),
        "global.get $method",
        "call_indirect (type $method)",
        *at_times([attended], "call $leave"),
        *set_record(_ACTIVE, active),
        *set_word(_DEPTH, depth, "i32.const 1", "i32.sub"),
        *set_word(_RUNNING, "global.get $caller"),
    ]  # fmt: skip
    fuel = str(1 + _fuel(always))  # a function that is entered takes one
    body = "\n    ".join(line.replace("ALWAYS", fuel) for line in always)
    variables = "\n  ".join(
        f'(global ${name} (export "{name}") (mut i32) (i32.const 0))'
        for name in ("gate", "caller", "callee", "method", "kept_out", "grows")
    )
    return f"""(module
  (type $method (func{params}{results}))
  (import "{_HOST}" "open" (func $open (param i32)))
  (import "{_HOST}" "enter" (func $enter (param i32)))
  (import "{_HOST}" "leave" (func $leave))
  (import "{_BOARD}" "words" (memory 1))
  (import "{_BOARD}" "methods" (table 0 funcref))
  {variables}
  (func (export "call"){params}{outcome}{results} (local i32 i32 i32)
    {body}))
"""


def _fuel(lines: list[str]) -> int:
    """Return the fuel of instructions in a row, without those that stand inside an ``if``."""
    fuel = nesting = 0
    for line in lines:
        if line == "end":
            nesting -= 1
        elif not nesting:
            fuel += 1
        nesting += line == "if"
    return fuel
