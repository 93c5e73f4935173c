"""Random trees of calls, creations and destructions against a model so plain that it can be read off the rules.

The model copies all of its state before each call and takes the copy back where the call fails.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TypeAlias

from attrs import define, field, frozen
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from storagemod import Address, GasSchedule, Outcome, World
from storagemod.state import NO_ACCOUNT, created_address
from tests.vm import maker

A, B, C = (Address(each) for each in (0xA0, 0xB0, 0xC0))
PAYEE = Address(0xE0)
MAKERS = (A, B, C)
TARGETS = (*MAKERS, PAYEE, *(created_address(each, nonce) for each in MAKERS for nonce in range(2)))
BALANCE = 10
GAS = 2**62
BURNS_MAX = 6
"""A call that traps uses up all but a 64th of its caller's gas: after more of them there is none left to go on with."""

JUNK = b"\xbe\xef"


@frozen
class Visit:
    """Run an account's code with a script: `call`, `callCode`, `callDelegate` or `callStatic`."""

    kind: str
    to: Address
    script: Script
    value: int = 0


@frozen
class Make:
    """Create a contract."""

    script: Script
    value: int


@frozen
class Do:
    """`destroy`, `log`, `store`, `revert`, `trap`, and the two ways to end with code: `junk`, `maker`."""

    what: str
    to: Address = PAYEE
    number: int = 0


Operation: TypeAlias = Visit | Make | Do
Script: TypeAlias = tuple[Operation, ...]

_do = st.builds(
    Do,
    st.sampled_from(["log", "store", "store", "destroy", "revert", "trap", "junk", "maker", "maker"]),
    st.sampled_from(TARGETS),
    st.integers(0, 3),
)


def _scripts(inner: st.SearchStrategy[Script]) -> st.SearchStrategy[Script]:
    values = st.sampled_from([0, 0, 1, 4, BALANCE + 1])
    kinds = st.sampled_from(["call", "call", "call", "code", "delegate", "static"])
    visits = st.builds(Visit, kinds, st.sampled_from(TARGETS), inner, values)
    makes = st.builds(Make, inner, values)
    return st.lists(st.one_of(visits, visits, makes, makes, _do), max_size=4).map(tuple)


scripts = st.recursive(st.lists(_do, max_size=2).map(tuple), _scripts, max_leaves=8)


def encoded(script: Script) -> bytes:
    return b"".join(map(_encoded, script))


def _encoded(operation: Operation) -> bytes:
    match operation:
        case Visit("call", to, script, value):
            return maker.call(to, encoded(script), value=value)
        case Visit("code", to, script, value):
            return maker.call_code(to, encoded(script), value=value)
        case Visit(kind, to, script):
            return (maker.delegate if kind == "delegate" else maker.static)(to, encoded(script))
        case Make(script, value):
            return maker.create(maker.init(encoded(script)), value)
        case Do(what, to, number):
            return {
                "log": maker.log(number),
                "store": maker.store(number % 2, number),
                "destroy": maker.destroy(to),
                "revert": maker.revert(),
                "trap": maker.TRAP,
                "junk": maker.finish(JUNK),
                "maker": maker.finish_as(A),
            }[what]


@define
class Holder:
    nonce: int = 0
    balance: int = 0
    code: bytes = b""
    slots: dict[int, int] = field(factory=dict)


class Trap(Exception):
    pass


class Revert(Exception):
    pass


class Finish(Exception):
    def __init__(self, output: bytes) -> None:
        self.output = output


@define
class Model:
    holders: dict[Address, Holder] = field(factory=dict)
    logs: list[tuple[Address, int]] = field(factory=list)
    destroyed: list[Address] = field(factory=list)
    burns: int = 0

    def at(self, address: Address) -> Holder:
        return self.holders.setdefault(address, Holder())

    def transact(self, sender: Address, to: Address, script: Script) -> Outcome:
        before = copy.deepcopy(self.holders)
        self.logs, self.destroyed, self.burns = [], [], 0
        self.at(sender).nonce += 1
        outcome, _ = self.visit(sender, to, to, script, 0, static=False)
        if outcome is Outcome.OK:
            for address in self.destroyed:
                del self.holders[address]
        else:
            self.holders, self.logs = before, []
        return outcome

    def visit(
        self,
        caller: Address,
        here: Address,
        code_at: Address,
        script: Script,
        value: int,
        *,
        static: bool,
        paid: bool = False,
    ) -> tuple[Outcome, bytes]:
        """One call; ``paid`` where the value came with the call before, as with `callDelegate`."""
        before = copy.deepcopy((self.holders, self.logs, self.destroyed))
        try:
            if not paid:
                if self.at(caller).balance < value:
                    return Outcome.FAILED, b""
                self.at(caller).balance -= value  # with `callCode` it comes back at once
                self.at(here).balance += value
            code = self.at(code_at).code
            if code and code != maker.MAKER:
                raise Trap  # noqa: TRY301 - whatever fails is undone below
            return Outcome.OK, self.run(here, caller, value, script, static=static) if code else b""
        except (Trap, Revert) as error:
            self.burns += isinstance(error, Trap)
            self.holders, self.logs, self.destroyed = before
            return (Outcome.FAILED if isinstance(error, Trap) else Outcome.REVERTED), b""

    def make(self, creator: Address, script: Script, value: int) -> Outcome:
        account = self.at(creator)
        if account.balance < value:
            return Outcome.FAILED
        address = created_address(creator, account.nonce)
        account.nonce += 1
        before = copy.deepcopy((self.holders, self.logs, self.destroyed))
        new = self.at(address)
        if new.code or new.nonce or new.slots:
            return Outcome.FAILED
        new.nonce = 1
        try:
            account.balance -= value
            new.balance += value
            output = self.run(address, creator, value, script, static=False)
            self.at(address).code = output
        except (Trap, Revert) as error:
            self.burns += isinstance(error, Trap)
            self.holders, self.logs, self.destroyed = before
            return Outcome.FAILED if isinstance(error, Trap) else Outcome.REVERTED
        return Outcome.OK

    def run(self, here: Address, caller: Address, value: int, script: Script, *, static: bool) -> bytes:
        try:
            for operation in script:
                self.step(here, caller, value, operation, static=static)
        except Finish as finish:
            return finish.output
        return b""

    def step(self, here: Address, caller: Address, value: int, operation: Operation, *, static: bool) -> None:
        match operation:
            case Visit("call", to, script, sent):
                if sent and static:
                    raise Trap
                self.visit(here, to, to, script, sent, static=static)
            case Visit("code", to, script, sent):
                self.visit(here, here, to, script, sent, static=static)
            case Visit("delegate", to, script):
                self.visit(caller, here, to, script, value, paid=True, static=static)
            case Visit("static", to, script):
                self.visit(here, to, to, script, 0, static=True)
            case Make(script, sent):
                if static:
                    raise Trap
                self.make(here, script, sent)
            case Do(what, to, number):
                self.do(here, what, to, number, static=static)

    def do(self, here: Address, what: str, to: Address, number: int, *, static: bool) -> None:
        if what == "revert":
            raise Revert
        if what == "trap" or (static and what in {"log", "store", "destroy"}):
            raise Trap
        if what == "junk":
            raise Finish(JUNK)
        if what == "maker":
            raise Finish(self.at(A).code)
        if what == "log":
            self.logs.append((here, number))
        elif what == "store":
            self.at(here).slots[number % 2] = number
            if not number:
                del self.at(here).slots[0]
        else:
            balance, self.at(here).balance = self.at(here).balance, 0
            if to != here:
                self.at(to).balance += balance
            if here not in self.destroyed:
                self.destroyed.append(here)
            raise Finish(b"")


def preset(world: World) -> Model:
    model = Model()
    for address in MAKERS:
        world.set_account(address, balance=BALANCE, code=maker.MAKER)
        model.holders[address] = Holder(balance=BALANCE, code=maker.MAKER)
    sender = world.account(world.default_sender)
    model.holders[world.default_sender] = Holder(sender.nonce, sender.balance)
    return model


def held(model: Model) -> dict[Address, tuple[int, int, bytes, dict[int, int]]]:
    found = {at: (each.nonce, each.balance, each.code, each.slots) for at, each in model.holders.items()}
    return {address: each for address, each in found.items() if each != (0, 0, b"", {})}


def found_in(world: World, addresses: Iterator[Address]) -> dict[Address, tuple[int, int, bytes, dict[int, int]]]:
    found = {}
    for address in addresses:
        account = world.account(address)
        slots = {
            int.from_bytes(key, "big"): int.from_bytes(value, "big") for key, value in world.slots(address).items()
        }
        if account != NO_ACCOUNT or slots:
            found[address] = (account.nonce, account.balance, account.code, slots)
    return found


@given(history=st.lists(st.tuples(st.sampled_from(MAKERS), scripts), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_accounts_code_entries_and_logs_are_those_of_the_plain_model(history: list[tuple[Address, Script]]) -> None:
    world = World(schedule=GasSchedule.free(), tracker="portable")
    model = preset(world)
    for to, script in history:
        before = sum(each.balance for each in model.holders.values())
        outcome = model.transact(world.default_sender, to, script)
        assume(model.burns <= BURNS_MAX)
        receipt = world.transact(to, data=encoded(script), gas=GAS)
        assert receipt.outcome is outcome, receipt.error
        assert [(each.address, each.data[0]) for each in receipt.logs] == model.logs
        addresses = {*model.holders, *world.accounts(), *TARGETS}
        assert found_in(world, iter(addresses)) == held(model)
        after = sum(each.balance for each in world.accounts().values())
        assert after <= before
        event(f"{outcome.name.lower()}, destroyed {bool(model.destroyed)}, burnt {after < before}")
        assert after == before or (outcome is Outcome.OK and model.destroyed)
