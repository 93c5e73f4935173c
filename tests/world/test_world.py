"""The world that users hold."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from storagemod import Address, Limits, LinkError, ReentryPolicy, StateError, TrapError, ValidationError, World
from storagemod.state import PageStore

COUNTER = """
(module
  (import "storage" "memory" (memory $s 1 4))
  (func (export "set") (param i64) (i64.store $s (i32.const 8) (local.get 0)))
  (func (export "get") (result i64) (i64.load $s (i32.const 8)))
  (func (export "floats") (param f32 f64) (result f64 f32) (local.get 1) (local.get 0))
  (func (export "vector") (param v128))
  (func (export "fail") unreachable))
"""


@pytest.fixture
def counter(world: World) -> Address:
    return world.deploy(COUNTER, name="counter")


def test_a_transaction_commits_and_a_call_does_not(world: World, counter: Address) -> None:
    assert world.call(counter, "set", 5).changes[counter]
    assert world.call(counter, "get").value == 0
    assert world.transact(counter, "set", 5).ok
    assert world.call(counter, "get").value == 5
    assert world.storage(counter)["memory"][8:16] == (5).to_bytes(8, "little")


def test_a_receipt_says_what_changed_and_why_not(world: World, counter: Address) -> None:
    receipt = world.transact(counter, "set", 258)
    (change,) = receipt.changes[counter]
    assert (change.region, change.offset, change.old, change.new) == ("memory", 8, bytes(8), b"\2\1\0\0\0\0\0\0")
    assert receipt.raise_for_error() is receipt
    failed = world.transact(counter, "fail")
    assert (failed.ok, failed.value, failed.changes) == (False, None, {})
    with pytest.raises(TrapError, match="counter at call depth 1: `unreachable` was executed"):
        failed.raise_for_error()


@pytest.mark.parametrize(
    ("method", "args", "message"),
    [
        ("gett", (), "counter: no method 'gett' (did you mean 'get'?)"),
        ("xyz", (), "counter: no method 'xyz' (its methods: fail, floats, get, set)"),
        ("vector", (1,), "the export 'vector' is not a function of numbers: (func (param v128)"),
        ("set", (), "'set' takes 1 argument (func (param i64)), not 0"),
        ("set", (1, 2), "'set' takes 1 argument (func (param i64)), not 2"),
        ("set", ("1",), "argument 1 of 'set' is i64: an integer is needed, not '1'"),
        ("set", (1.0,), "argument 1 of 'set' is i64: an integer is needed, not 1.0"),
        ("set", (True,), "argument 1 of 'set' is i64: an integer is needed, not True"),
        ("set", (2**64,), "argument 1 of 'set' is i64, and 18446744073709551616 does not fit 64 bits"),
        ("set", (-(2**63) - 1,), "does not fit 64 bits"),
        ("floats", (1, None), "argument 2 of 'floats' is f64: a number is needed, not None"),
        ("floats", (1, 10**400), "is too large for it"),
        (None, (), "counter: no method 'main'"),
        (None, (1,), "arguments are given, but no method"),
    ],
)
def test_what_cannot_start_is_refused(
    world: World, counter: Address, method: str | None, args: tuple[object, ...], message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        world.transact(counter, method, *args)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_integers_may_be_signed_or_unsigned_and_come_out_signed(world: World, counter: Address) -> None:
    for given in (-1, 2**64 - 1):
        world.transact(counter, "set", given)
        assert world.call(counter, "get").value == -1
    assert world.call(counter, "floats", 2, 0.5).value == (0.5, 2.0)


def test_the_sender_pays_the_value(world: World) -> None:
    payee = world.deploy('(module (func (export "main")) (func (export "fail") unreachable))', balance=3)
    alice = world.fund("a1", 10, name="alice")
    assert world.transact(payee, sender=alice, value=4).ok
    assert (world.account(alice).balance, world.account(payee).balance) == (6, 7)
    assert not world.transact(payee, "fail", sender=alice, value=4).ok
    assert world.account(alice).balance == 6
    with pytest.raises(ValidationError, match="alice has a balance of 6 and cannot pay 7"):
        world.transact(payee, sender=alice, value=7)
    assert world.account(alice).nonce == 1


@pytest.mark.parametrize("amount", [-1, 2**256, 1.5, "1", True])
def test_amounts_are_checked(world: World, amount: object) -> None:
    with pytest.raises(ValidationError, match="is an integer from 0 to"):
        world.fund(1, amount)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="gas is an integer"):
        world.transact(1, gas=amount)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["0x", "xyz", "1" * 41, -1, 2**160, b"short", 1.5, "1_0"])
def test_addresses_are_checked(world: World, address: object) -> None:
    with pytest.raises(ValidationError):
        world.transact(address)  # type: ignore[arg-type]


def test_init_runs_once_and_a_failed_one_deploys_nothing(world: World) -> None:
    a = world.deploy(COUNTER, init="set", args=(7,), name="a")
    assert world.call(a, "get").value == 7
    root, accounts = world.state_root, dict(world.accounts())
    with pytest.raises(TrapError):
        world.deploy(COUNTER, init="fail")
    with pytest.raises(ValidationError, match="takes 1 argument"):
        world.deploy(COUNTER, init="set")
    with pytest.raises(ValidationError, match="no init method"):
        world.deploy(COUNTER, args=(1,))
    assert (world.state_root, dict(world.accounts())) == (root, accounts)


def test_an_address_holds_one_contract(world: World, counter: Address) -> None:
    with pytest.raises(ValidationError, match="there is a contract at counter already"):
        world.deploy(COUNTER, address=counter)


def test_contracts_of_one_name_can_be_told_apart(world: World, counter: Address) -> None:
    other = world.deploy(COUNTER, name="counter")
    assert (world.label(counter), world.label(other)) == ("counter", "counter-2")


def test_the_next_of_many_contracts_of_one_name_takes_few_looks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [world.label(world.deploy(COUNTER, name="c")) for _ in range(100)]
    assert labels == ["c", *(f"c-{number}" for number in range(2, 101))]
    looks: list[str] = []
    look = PageStore.is_name_taken

    def counted(store: PageStore, name: str) -> bool:
        looks.append(name)
        return look(store, name)

    monkeypatch.setattr(PageStore, "is_name_taken", counted)
    world.deploy(COUNTER, name="c")
    assert 0 < len(looks) < 20


def test_a_policy_that_does_not_exist_is_refused(world: World) -> None:
    with pytest.raises(ValidationError, match="allow, deny, self-only, static-only"):
        world.deploy(COUNTER, policy="never")
    assert world.account(world.deploy(COUNTER, policy="deny")).policy is ReentryPolicy.DENY


def test_storage_can_be_set_and_read(world: World, counter: Address) -> None:
    world.load_storage(counter, "memory", b"\x2a", offset=8)
    assert world.call(counter, "get").value == 42
    world.load_storage(counter, "memory", b"abc", offset=65_535)
    view = world.storage(counter)["memory"]
    assert (view.pages, len(view), view[65_535:65_538], view[-1], view[65_536]) == (2, 131_072, b"abc", 0, ord("b"))
    assert view[8:20:4] == b"\x2a\0\0"
    with pytest.raises(IndexError):
        view[131_072]
    with pytest.raises(ValidationError, match="holds 4 Wasm pages at most"):
        world.load_storage(counter, "memory", b"x", offset=4 * 65_536)
    with pytest.raises(StateError, match=r"no storage region 'memry' .it has: memory."):
        world.load_storage(counter, "memry", b"x")
    with pytest.raises(StateError, match="there is no contract at"):
        world.storage(Address(5))
    with pytest.raises(ValidationError):
        view.read_int(131_070)


def test_snapshots_nest_and_are_undone_unless_kept(world: World, counter: Address) -> None:
    root = world.state_root
    with world.snapshot():
        world.transact(counter, "set", 1)
        with world.snapshot() as inner:
            world.transact(counter, "set", 2)
            world.load_storage(counter, "memory", b"x", offset=100_000)
            inner.keep()
        assert world.call(counter, "get").value == 2
        with world.snapshot():
            second = world.deploy(COUNTER)
            world.fund(9, 9)
        assert world.account(second).code == b""
        assert world.call(counter, "get").value == 2
    assert world.state_root == root
    assert world.storage(counter)["memory"].pages == 1


def test_an_exception_undoes_a_snapshot(world: World, counter: Address) -> None:
    def fail() -> None:
        with world.snapshot():
            world.transact(counter, "set", 1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert world.call(counter, "get").value == 0


def test_snapshots_end_in_order_and_are_used_once(world: World) -> None:
    outer, inner = world.snapshot(), world.snapshot()
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(StateError, match="reverse order"):
        outer.__exit__(None, None, None)
    with pytest.raises(StateError, match="entered once"):
        inner.__enter__()


def test_a_region_longer_than_the_limits_is_refused() -> None:
    small = World(limits=Limits(storage_pages_max=1))
    with pytest.raises(ValidationError, match="storage_pages_max"):
        small.deploy('(module (import "storage" "memory" (memory 2)))')


def test_a_contract_without_storage_has_no_regions(world: World) -> None:
    a = world.deploy('(module (func (export "f") (result i32) (i32.const 1)))')
    assert dict(world.storage(a)) == {}
    assert world.transact(a, "f").value == 1


def test_unlinked_imports_leave_no_account(world: World) -> None:
    before = dict(world.accounts())
    with pytest.raises(LinkError):
        world.deploy('(module (import "contract:x" "f" (func)))')
    assert dict(world.accounts()) == before


def test_a_world_without_a_trace_gives_the_same_receipts(counter: Address, world: World) -> None:
    bare = World(trace=False)
    address = bare.deploy(COUNTER, name="counter")
    with_trace, without = world.transact(counter, "set", 3), bare.transact(address, "set", 3)
    assert without.trace is None
    assert (without.gas_used, without.changes, without.value) == (
        with_trace.gas_used,
        with_trace.changes,
        with_trace.value,
    )


@pytest.mark.skipif(os.name != "posix", reason="signals to a process are POSIX")
def test_control_c_stops_a_transaction_at_once_and_leaves_the_world_as_it_was() -> None:
    program = """
import sys, time
from storagemod import Limits, World
world = World(limits=Limits(deadline_seconds=60))
a = world.deploy('(module (func (export "spin") (loop (br 0))) (func (export "one") (result i32) (i32.const 1)))')
root = world.state_root
print("ready", flush=True)
try:
    world.transact(a, "spin", gas=2**62)
except KeyboardInterrupt:
    print(world.state_root == root, world.transact(a, "one").value)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    assert output == "True 1\n"


def test_a_contract_cannot_be_deployed_with_more_than_a_balance_can_be(world: World) -> None:
    world.fund(0xF, 2**256 - 1)
    root = world.state_root
    with pytest.raises(ValidationError, match="more than a balance can be"):
        world.deploy("(module)", address=0xF, balance=1)
    assert world.state_root == root
