"""The counter, the bank and the token do the same in every language, under every linking option.

A plain model says what each step of a history returns and what storage is left. The contracts of the other side are
hostile, and call back while they are called.
"""

from __future__ import annotations

import copy
import functools
from collections import Counter
from collections.abc import Callable

import pytest
from attrs import define, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod import StorageMapping, World
from storagemod.scenario.contents import contents
from storagemod.scenario.fixtures import fixture
from storagemod.types import MAP_OPTIONS, METHODS_OPTIONS, Address, Outcome, Value
from tests.languages.compilers import FIXTURES, LANGUAGES, contract

OTHER = Address(0xBAD)
I64_MAX = 2**63 - 1
ACCOUNTS = 8184
REFUSES, COMES_BACK = 1, 2
"""What the other side does when it is called, besides counting."""

CUSTOMER = """
(module
  (import "contract:fixture" "withdraw?" (func $withdraw (param i32) (result i32)))
  (import "contract:fixture" "deposit?" (func $deposit (param i32 i64) (result i32)))
  (import "storage" "memory" (memory 1))
  (func (export "arm") (param $mode i32) (param $who i32) (param $times i32)
    (i32.store (i32.const 8) (local.get $mode))
    (i32.store (i32.const 12) (local.get $who))
    (i32.store (i32.const 16) (local.get $times)))
  (func (export "received") (result i64) (i64.load (i32.const 0)))
  (func (export "receive") (param $amount i64)
    (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (local.get $amount)))
    (if (i32.eq (i32.load (i32.const 8)) (i32.const 1)) (then unreachable))
    (if (i32.and (i32.eq (i32.load (i32.const 8)) (i32.const 2)) (i32.ne (i32.load (i32.const 16)) (i32.const 0)))
      (then
        (i32.store (i32.const 16) (i32.sub (i32.load (i32.const 16)) (i32.const 1)))
        (drop (call $withdraw (i32.load (i32.const 12))))
        (drop (call $deposit (i32.load (i32.const 12)) (i64.const 5)))
        (drop (call $withdraw (i32.load (i32.const 12))))))))
"""
"""A customer of the bank: while it is paid it withdraws again, deposits 5 and withdraws those."""

EXCHANGE = """
(module
  (import "contract:fixture" "transfer?" (func $transfer (param i32 i32 i64) (result i32 i64)))
  (import "contract:fixture" "balance_of" (func $balance_of (param i32) (result i64)))
  (import "storage" "memory" (memory 1))
  (func (export "arm") (param $mode i32) (param $who i32) (param $times i32)
    (i32.store (i32.const 8) (local.get $mode))
    (i32.store (i32.const 12) (local.get $who))
    (i32.store (i32.const 16) (local.get $times)))
  (func (export "received") (result i64) (i64.load (i32.const 0)))
  (func (export "on_received") (param $from i32) (param $amount i64)
    (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (call $balance_of (i32.const 0))))
    (if (i32.eq (i32.load (i32.const 8)) (i32.const 1)) (then unreachable))
    (if (i32.and (i32.eq (i32.load (i32.const 8)) (i32.const 2)) (i32.ne (i32.load (i32.const 16)) (i32.const 0)))
      (then
        (i32.store (i32.const 16) (i32.sub (i32.load (i32.const 16)) (i32.const 1)))
        (call $transfer (i32.const 0) (local.get $from) (i64.const 2)) drop drop
        (call $transfer (local.get $from) (i32.const 0) (i64.const 1)) drop drop
        (call $transfer (local.get $from) (i32.const 0) (local.get $amount)) drop drop))))
"""
"""An exchange that adds up what it has. While it is called it sends 2 back, and takes 1 and all once more."""


@frozen
class Option:
    """A linking option, and how a fixture reaches its storage there."""

    name: str
    style: str
    link: str | None = None
    mapping: StorageMapping | None = None

    def __str__(self) -> str:
        return self.name


OPTIONS = (
    *(Option(name, "methods", link=name) for name in METHODS_OPTIONS),
    *(Option(name, "mapped", mapping=StorageMapping(name)) for name in MAP_OPTIONS),
    Option("keyed", "keyed"),
)
"""All but `window`, for which a compiler would have to know a second memory."""


# The model


class RevertedError(Exception):
    """The call reverts."""


def require(condition: bool) -> None:
    if not condition:
        raise RevertedError


def signed(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


@define
class Model:
    """Storage of a fixture, as 64-bit numbers, and of the other side."""

    cells: Counter[int] = field(factory=Counter)
    received: int = 0
    mode: int = 0
    who: int = 0
    times: int = 0

    def attempt(self, method: str, *args: int) -> tuple[Outcome, int | None]:
        """Call a method; what it did is undone if it reverts."""
        before = copy.deepcopy(self)
        try:
            return Outcome.OK, getattr(self, method)(*args)
        except RevertedError:
            for name in ("cells", "received", "mode", "who", "times"):
                setattr(self, name, getattr(before, name))
            return Outcome.REVERTED, None

    def arm(self, mode: int, who: int, times: int) -> None:
        self.mode, self.who, self.times = mode, who, times

    def is_called(self) -> bool:
        """Whether the other side, which is called now, calls back."""
        require(self.mode != REFUSES)
        if self.mode != COMES_BACK or not self.times:
            return False
        self.times -= 1
        return True

    def account(self, number: int) -> int:
        require(0 <= number < ACCOUNTS)
        return 8 + number

    def total(self) -> int:
        return self.cells[0]

    def add_to_total(self, amount: int) -> None:
        require(amount >= 0)
        require(self.cells[0] + amount <= I64_MAX)
        self.cells[0] += amount


class CounterModel(Model):
    def get(self) -> int:
        return self.cells[0]

    def add(self, n: int) -> int:
        self.cells[0] = signed(self.cells[0] + n)
        return self.cells[0]

    def increment(self) -> int:
        return self.add(1)


class BankModel(Model):
    def balance(self, who: int) -> int:
        return self.cells[self.account(who)]

    def deposit(self, who: int, amount: int) -> None:
        self.add_to_total(amount)
        self.cells[self.account(who)] += amount

    def withdraw(self, who: int) -> None:
        amount = self.balance(who)
        if amount:
            self.cells[self.account(who)] = 0
            self.cells[0] -= amount
            self.received += amount
            if self.is_called():
                self.attempt("withdraw", self.who)
                self.attempt("deposit", self.who, 5)
                self.attempt("withdraw", self.who)


class TokenModel(Model):
    supply = Model.total

    def balance_of(self, account: int) -> int:
        return self.cells[self.account(account)]

    def mint(self, to: int, amount: int) -> None:
        self.add_to_total(amount)
        self.cells[self.account(to)] += amount

    def transfer(self, sender: int, to: int, amount: int) -> int:
        require(amount >= 0)
        require(self.balance_of(sender) >= amount)
        self.cells[self.account(sender)] -= amount
        self.cells[self.account(to)] += amount
        if to == 0 != sender:
            self.received += self.balance_of(0)
            if self.is_called():
                self.attempt("transfer", 0, sender, 2)
                self.attempt("transfer", sender, 0, 1)
                self.attempt("transfer", sender, 0, amount)
        return self.balance_of(sender)


MODELS: dict[str, Callable[[], Model]] = {"counter": CounterModel, "bank": BankModel, "token": TokenModel}
LINKS = {"counter": {}, "bank": {"customer": OTHER}, "token": {"exchange": OTHER}}
OTHERS = {"bank": CUSTOMER, "token": EXCHANGE}
WAT = {"counter": "counter/counter", "bank": "bank/bank_fixed", "token": "token/token"}


# Histories: steps of a method of the fixture with arguments, or `arm` of the other side

Step = tuple[str, *tuple[int, ...]]

HISTORIES: dict[str, tuple[Step, ...]] = {
    "counter": (
        ("get",),
        ("increment",),
        ("add", 41),
        ("add", -100),
        ("get",),
        ("add", I64_MAX),
        ("add", I64_MAX),
        ("increment",),
    ),
    "bank": (
        ("deposit", 1, 500),
        ("deposit", 0, 100),
        ("deposit", 1, -1),
        ("deposit", 1, I64_MAX),
        ("deposit", ACCOUNTS, 1),
        ("deposit", -1, 1),
        ("balance", ACCOUNTS),
        ("withdraw", ACCOUNTS),
        ("arm", REFUSES, 0, 0),
        ("withdraw", 0),
        ("balance", 0),
        ("withdraw", 7),
        ("arm", COMES_BACK, 0, 1),
        ("withdraw", 0),
        ("total",),
        ("arm", COMES_BACK, 1, 9),
        ("deposit", 0, 7),
        ("withdraw", 0),
        ("balance", 1),
        ("total",),
        ("deposit", ACCOUNTS - 1, I64_MAX),
        ("total",),
    ),
    "token": (
        ("mint", 1, 50),
        ("mint", 1, -1),
        ("mint", 1, I64_MAX),
        ("mint", ACCOUNTS, 1),
        ("mint", -1, 1),
        ("transfer", 1, 2, 51),
        ("transfer", 1, ACCOUNTS, 1),
        ("transfer", -1, 1, 0),
        ("transfer", 1, 2, -1),
        ("transfer", 1, 2, 20),
        ("transfer", 1, 1, 30),
        ("arm", REFUSES, 0, 0),
        ("transfer", 1, 0, 3),
        ("transfer", 1, 2, 1),
        ("arm", COMES_BACK, 0, 1),
        ("transfer", 1, 0, 10),
        ("balance_of", 0),
        ("arm", COMES_BACK, 0, 3),
        ("transfer", 2, 0, 4),
        ("balance_of", 2),
        ("balance_of", ACCOUNTS),
        ("supply",),
    ),
}


@frozen
class Story:
    """What came of a history."""

    endings: tuple[tuple[Outcome, Value | tuple[Value, ...] | None], ...]
    storage: bytes
    received: Value | tuple[Value, ...] | None


def predicted(name: str, history: tuple[Step, ...]) -> Story:
    model = MODELS[name]()
    endings = tuple(model.attempt(*step) for step in history)
    cells = b"".join(model.cells[number].to_bytes(8, "little", signed=True) for number in range(8192))
    return Story(endings, cells, model.received)


def played(name: str, code: str | bytes, option: Option, history: tuple[Step, ...]) -> tuple[Story, bytes]:
    """Run a history; return what came of it, and the state root."""
    world = World(trace=False)
    ours = world.deploy(code, links=LINKS[name], mapping=option.mapping, link=option.link, name=name)
    if name in OTHERS:
        world.deploy(OTHERS[name], address=OTHER, links={"fixture": ours}, name="other")
    receipts = [world.transact(OTHER if step[0] == "arm" else ours, *step) for step in history]
    received = world.call(OTHER, "received").value if name in OTHERS else 0
    storage = contents(world, ours)["memory"]
    assert storage.pages == 1
    return Story(tuple((each.outcome, each.value) for each in receipts), storage[0:65536], received), world.state_root


@functools.cache
def root_of_wat(name: str, option: str) -> bytes:
    """The state root after the history, of the fixture in WAT with linear or keyed storage."""
    story, root = played(name, fixture(WAT[name], option), Option(option, option), HISTORIES[name])
    assert story == predicted(name, HISTORIES[name])
    return root


@pytest.mark.parametrize("option", OPTIONS, ids=str)
@pytest.mark.parametrize("name", FIXTURES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_history_ends_as_the_model_says_with_the_state_root_of_the_fixture_in_wat(
    language: str, name: str, option: Option
) -> None:
    story, root = played(name, contract(language, f"{name}_{option.style}"), option, HISTORIES[name])

    assert story == predicted(name, HISTORIES[name])
    assert root == root_of_wat(name, "keyed" if option.style == "keyed" else "single")


def test_histories_have_failures_and_calls_that_come_back() -> None:
    for name in OTHERS:
        outcomes = Counter(outcome for outcome, _ in predicted(name, HISTORIES[name]).endings)
        assert outcomes[Outcome.REVERTED] >= 7
        honest = tuple(step for step in HISTORIES[name] if step[0] != "arm")
        assert predicted(name, honest).received != predicted(name, HISTORIES[name]).received


NUMBERS = st.sampled_from([0, 1, 2, 3, ACCOUNTS - 1, ACCOUNTS, -1, 2**31 - 1])
AMOUNTS = st.sampled_from([0, 1, 2, 5, 2**40, I64_MAX - 1, I64_MAX, -1, -I64_MAX, -(2**63)])
ARMED = st.tuples(
    st.just("arm"), st.sampled_from([0, REFUSES, COMES_BACK]), st.sampled_from([0, 1, 2]), st.integers(0, 3)
)
STEPS = {
    "counter": st.one_of(st.just(("get",)), st.just(("increment",)), st.tuples(st.just("add"), AMOUNTS)),
    "bank": st.one_of(
        st.tuples(st.just("deposit"), NUMBERS, AMOUNTS),
        st.tuples(st.sampled_from(["withdraw", "balance"]), NUMBERS),
        st.just(("total",)),
        ARMED,
    ),
    "token": st.one_of(
        st.tuples(st.just("mint"), NUMBERS, AMOUNTS),
        st.tuples(st.just("transfer"), NUMBERS, NUMBERS, AMOUNTS),
        st.tuples(st.just("balance_of"), NUMBERS),
        ARMED,
    ),
}


@pytest.mark.parametrize("name", FIXTURES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_any_history_ends_as_the_model_says_under_every_option(language: str, name: str) -> None:
    codes = {option: contract(language, f"{name}_{option.style}") for option in OPTIONS}

    @settings(max_examples=10, deadline=None)
    @given(st.lists(STEPS[name], max_size=10).map(tuple))
    def ends_as_the_model_says(history: tuple[Step, ...]) -> None:
        roots = set()
        for option, code in codes.items():
            story, root = played(name, code, option, history)
            assert story == predicted(name, history)
            if option.style != "keyed":
                roots.add(root)
        assert len(roots) == 1

    ends_as_the_model_says()
