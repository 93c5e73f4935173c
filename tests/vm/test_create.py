"""Contracts that create contracts, and transactions that do."""

from __future__ import annotations

import attrs
import pytest

from storagemod import (
    Address,
    BalanceError,
    CallKind,
    GasSchedule,
    LimitError,
    Limits,
    LinkError,
    Outcome,
    OutOfGasError,
    Receipt,
    ReentryError,
    StateError,
    TrapError,
    ValidationError,
    World,
)
from storagemod.events import AccountCreated
from storagemod.state import NONCE_MAX, Account, created_address
from storagemod.types import StorageMapping
from storagemod.wasm import to_wasm
from tests.vm.maker import (
    MAKER,
    TRAP,
    call,
    call_code,
    create,
    delegate,
    finish,
    finish_as,
    init,
    load,
    log,
    revert,
    static,
    store,
)

FREE = GasSchedule.free()
GAS = 2**60


def wasm(text: str) -> bytes:
    return to_wasm(text, name="test", limits=Limits())


@pytest.fixture
def world(tracker: str) -> World:
    return World(tracker=tracker, schedule=FREE)


def maker(world: World, balance: int = 0) -> Address:
    return world.deploy(MAKER, name="maker", balance=balance)


def play(world: World, to: Address, *script: bytes, gas: int = GAS, value: int = 0) -> Receipt:
    return world.transact(to, data=b"".join(script), gas=gas, value=value)


def answers(receipt: Receipt) -> list[int]:
    receipt.raise_for_error()
    return list(receipt.output)


def error_of(receipt: Receipt, call_id: int) -> BaseException | None:
    assert receipt.trace is not None
    ended = receipt.trace.calls[call_id].ended
    assert ended is not None
    return ended.error


def test_the_address_of_a_created_contract_is_that_of_ethereum() -> None:
    """The first three from go-ethereum's own example of its `CreateAddress`; others from the vectors of ewasm."""
    sender = Address("970e8128ab834e8eac17ab8e3812f010678cf791")
    assert created_address(sender, 0) == Address("333c3310824b7c685133f2bedb2ca4b8b4df633d")
    assert created_address(sender, 1) == Address("8bda78331c916a08481428e4b07c96d3e916d165")
    assert created_address(sender, 2) == Address("c9ddedf451bc62ce88bf9292afb13df35b670699")
    assert created_address(Address("deadbeef" + "00" * 16), 0) == Address("f2048c36a5536fea3bc71d49ed59f2c65c546eea")


def test_numbers_of_several_bytes_give_addresses_of_their_own() -> None:
    nonces = [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 2**32, NONCE_MAX]
    assert len({created_address(Address(1), nonce) for nonce in nonces}) == len(nonces)


def test_a_contract_creates_one_and_calls_it(world: World) -> None:
    a = maker(world, balance=10)
    made = created_address(a, 0)
    code = init(store(1, 9), finish_as(a))
    receipt = play(world, a, create(code, value=3), call(made, load(1), log(5), value=2))
    assert answers(receipt) == [0, 0]
    account = world.account(made)
    assert (account.code, account.nonce, account.balance) == (MAKER, 1, 5)
    assert world.account(a).nonce == 1
    assert world.account(a).balance == 5
    assert [each.address for each in receipt.logs] == [made]
    assert answers(play(world, made, load(1))) == [9]
    assert receipt.trace is not None
    assert [each.started.kind for each in receipt.trace] == [CallKind.CALL, CallKind.CREATE, CallKind.CALL]


def test_each_creation_counts_in_the_nonce(world: World) -> None:
    a = maker(world)
    code = init(finish(b"x"))
    assert answers(play(world, a, create(code), create(code), create(code))) == [0, 0, 0]
    assert [world.account(created_address(a, nonce)).code for nonce in range(4)] == [b"x"] * 3 + [b""]
    assert world.account(a).nonce == 3


def test_a_failed_creation_counts_and_leaves_nothing_else(world: World) -> None:
    a = maker(world, balance=5)
    root_but_nonce = attrs.evolve(world.account(a), nonce=2)
    receipt = play(world, a, create(init(store(1, 1), log(1), TRAP), 5), create(init(store(1, 1), revert(b"why")), 5))
    assert answers(receipt) == [Outcome.FAILED, Outcome.REVERTED]
    assert world.account(a) == root_but_nonce
    assert receipt.logs == ()
    for nonce in range(2):
        assert world.account(created_address(a, nonce)) == Account()
        with pytest.raises(StateError, match="there is no contract"):
            world.storage(created_address(a, nonce))


def test_a_creation_in_an_undone_call_is_undone_and_its_address_is_used_again(world: World) -> None:
    """With other storage of the same names: nothing of the first contract may be left."""
    a, b = maker(world), world.deploy(MAKER, name="b")
    made = created_address(b, 0)
    small = wasm('(module (import "storage" "memory" (memory 1 2)) (func (export "main")))')
    large = wasm('(module (import "storage" "memory" (memory 3 9)) (func (export "main")))')
    undone = [create(init(finish(small))), call(made), revert()]
    receipt = play(world, a, call(b, *undone), call(b, create(init(finish(large))), call(made)))
    assert answers(receipt) == [Outcome.REVERTED, Outcome.OK]
    assert world.account(made).code == large
    assert world.storage(made)["memory"].pages == 3
    assert world.account(b).nonce == 1


def test_init_code_may_be_empty(world: World) -> None:
    a = maker(world, balance=1)
    assert answers(play(world, a, create(b"", value=1))) == [0]
    account = world.account(created_address(a, 0))
    assert (account.code, account.nonce, account.balance) == (b"", 1, 1)


@pytest.mark.parametrize("code", [b"", b"\xbe\xef", b"\0as", b"(module)"])
def test_code_that_does_not_begin_as_wasm_is_kept_and_a_call_of_it_fails(world: World, code: bytes) -> None:
    a = maker(world)
    made = created_address(a, 0)
    receipt = play(world, a, create(init(finish(code))), call(made))
    assert answers(receipt) == [0, 0 if not code else 1]
    assert world.account(made).code == code
    top = world.transact(made)
    assert top.ok == (not code)
    if code:
        assert isinstance(top.error, ValidationError)
        with pytest.raises(StateError, match="is no contract: not a valid module: it begins with"):
            world.contract(made)
        with pytest.raises(ValidationError, match="not a valid module"):
            world.transact(made, "method")


@pytest.mark.parametrize(
    "text",
    [
        '(module (start $s) (func $s) (func (export "main")))',
        '(module (import "nowhere" "f" (func)) (func (export "main")))',
        '(module (import "contract:x" "f" (func)) (func (export "main")))',
    ],
)
def test_code_that_begins_as_wasm_has_to_be_a_contract(world: World, text: str) -> None:
    a = maker(world)
    for code in (wasm(text), b"\0asm", b"\0asm\1\0\0\0\xff"):
        receipt = play(world, a, create(init(finish(code))), create(code))
        assert answers(receipt) == [1, 1]
        assert {type(error_of(receipt, each)) for each in (1, 2)} <= {ValidationError, LinkError}
    assert world.account(a).nonce == 6


def test_refused_code_uses_up_the_gas_of_its_creation() -> None:
    world = World(schedule=FREE)
    a = maker(world)
    receipt = play(world, a, create(b"\0asm"), gas=6_400_000)
    assert 6_200_000 < receipt.gas_used < 6_400_000


def test_code_is_paid_by_the_byte() -> None:
    world = World(schedule=attrs.evolve(FREE, create_byte=1_000))
    a = maker(world)
    enough, little = (play(world, a, create(init(finish(bytes(100)))), gas=gas) for gas in (200_000, 90_000))
    assert answers(enough) == [0]
    assert enough.gas_used > 100_000
    assert answers(little) == [1]
    assert isinstance(error_of(little, 1), OutOfGasError)
    assert "100 bytes of code cost 100,000" in str(error_of(little, 1))


def test_a_creation_that_cannot_start_costs_no_gas_and_does_not_count(world: World) -> None:
    a = maker(world, balance=1)
    receipt = play(world, a, create(b"", value=2), gas=100_000)
    assert answers(receipt) == [1]
    assert isinstance(error_of(receipt, 1), BalanceError)
    assert receipt.gas_used < 10_000
    assert world.account(a).nonce == 0


def test_an_account_with_the_highest_nonce_creates_nothing(world: World) -> None:
    a = maker(world)
    world.set_account(a, nonce=NONCE_MAX)
    receipt = play(world, a, create(b""))
    assert answers(receipt) == [1]
    assert "as high as it can be" in str(error_of(receipt, 1))
    world.set_account(world.default_sender, nonce=NONCE_MAX)
    with pytest.raises(ValidationError, match="as high as it can be"):
        world.transact(a)


@pytest.mark.parametrize("standing", [{"code": b"x"}, {"nonce": 1}, {"slots": {bytes(32): b"\1" * 32}}])
def test_nothing_is_created_where_something_is(world: World, standing: dict[str, object]) -> None:
    a = maker(world)
    made = created_address(a, 0)
    world.set_account(made, **standing)  # type: ignore[arg-type]
    before = world.account(made)
    receipt = play(world, a, create(init(finish(b"new"))))
    assert answers(receipt) == [1]
    assert "is in use already" in str(error_of(receipt, 1))
    assert world.account(made) == before
    assert world.account(a).nonce == 1


def test_a_balance_may_be_waiting_where_a_contract_is_created(world: World) -> None:
    a = maker(world, balance=4)
    made = created_address(a, 0)
    world.fund(made, 3)
    assert answers(play(world, a, create(init(finish(b"new")), value=4))) == [0]
    assert world.account(made).balance == 7


def test_init_code_that_is_too_long_is_refused() -> None:
    world = World(limits=Limits(code_bytes_max=5_000), schedule=FREE)
    a = maker(world)
    receipt = play(world, a, create(bytes(5_001)), create(init(finish(bytes(4_000)))))
    assert answers(receipt) == [1, 1]
    assert "5,001 bytes of init code, and 5,000 are allowed" in str(error_of(receipt, 1))
    assert isinstance(error_of(receipt, 2), LimitError)


def test_code_that_is_too_long_is_refused() -> None:
    world = World(limits=Limits(code_bytes_max=3_000), schedule=FREE)
    a = maker(world)
    receipt = play(world, a, create(wasm(GIVES_4_000_BYTES)))
    assert answers(receipt) == [1]
    assert "4,000 bytes of code, and 3,000 are allowed (code_bytes_max)" in str(error_of(receipt, 1))


GIVES_4_000_BYTES = """(module (import "ethereum" "finish" (func $finish (param i32 i32)))
  (memory (export "memory") 1) (func (export "main") (call $finish (i32.const 0) (i32.const 4000))))"""


def test_a_static_call_creates_nothing(world: World) -> None:
    a = maker(world)
    receipt = play(world, a, static(a, create(b"")))
    assert answers(receipt) == [1]
    error = error_of(receipt, 1)
    assert isinstance(error, TrapError)
    assert error.code == "static_write"
    assert world.account(a).nonce == 0


def test_a_contract_under_creation_has_no_code_yet(world: World) -> None:
    """A call of it succeeds and does nothing; and it has storage and a balance."""
    a = maker(world, balance=2)
    made = created_address(a, 0)
    code = init(store(1, 5), call(a, call(made, revert(), value=1)), load(1), finish_as(a))
    receipt = play(world, a, create(code))
    assert answers(receipt) == [0]
    assert world.account(made).balance == 1
    assert receipt.trace is not None
    inner = [each.ended and each.ended.outcome for each in receipt.trace if each.started.address == made]
    assert inner == [Outcome.OK, Outcome.OK]


def test_a_creator_that_lets_nobody_in_is_not_entered_by_init_code(world: World) -> None:
    a = world.deploy(MAKER, policy="deny")
    receipt = play(world, a, create(init(call(a), finish(b"x"))))
    assert answers(receipt) == [0]
    assert isinstance(error_of(receipt, 2), ReentryError)


def test_init_code_may_create_in_turn(world: World) -> None:
    a = maker(world)
    outer, inner = created_address(a, 0), created_address(created_address(a, 0), 1)
    receipt = play(world, a, create(init(create(init(finish(b"inner"))), finish(b"outer"))))
    assert answers(receipt) == [0]
    assert (world.account(outer).code, world.account(inner).code) == (b"outer", b"inner")
    assert world.account(outer).nonce == 2


def test_events_tell_of_creations_in_the_order_in_which_they_are_done() -> None:
    events: list[object] = []
    world = World(observers=[events.append], schedule=FREE)
    a = maker(world)
    outer, inner = created_address(a, 0), created_address(created_address(a, 0), 1)
    play(world, a, create(init(create(init(finish(b"inner"))), finish(b"outer"))))
    told = [event for event in events if isinstance(event, AccountCreated)]
    assert told == [AccountCreated(2, inner, b"inner"), AccountCreated(1, outer, b"outer")]


SPAWNER = """(module
  (import "ethereum" "create" (func $create (param i32 i32 i32 i32) (result i32)))
  (import "ethereum" "codeCopy" (func $codeCopy (param i32 i32 i32)))
  (import "ethereum" "getCodeSize" (func $codeSize (result i32)))
  (memory (export "memory") 1)
  (func (export "main")
    (call $codeCopy (i32.const 64) (i32.const 0) (call $codeSize))
    (drop (call $create (i32.const 0) (i32.const 64) (call $codeSize) (i32.const 32)))))"""


def test_creations_nest_as_deep_as_calls_may() -> None:
    """Init code that creates itself, 1,024 deep and no deeper. Nobody but the machine may stop it before."""
    world = World(schedule=FREE)
    receipt = world.create(wasm(SPAWNER), gas=2**62)
    assert receipt.ok
    assert receipt.trace is not None
    assert len(receipt.trace.calls) == 1_025
    assert isinstance(error_of(receipt, 1_024), LimitError)
    assert len([each for each in world.accounts().values() if each.nonce]) == 1_025


def test_many_creations_reach_the_limit_of_calls_and_not_the_end_of_the_process() -> None:
    world = World(limits=Limits(calls_max=30), schedule=FREE)
    a = maker(world)
    code = init(store(1, 1), finish_as(a))
    receipt = play(world, a, *[create(code)] * 14, *[create(code)] * 20)
    assert answers(receipt) == [0] * 29 + [1] * 5
    assert world.account(a).nonce == 29


# Storage


def test_init_code_leaves_its_entries_though_no_code_reaches_them(world: World) -> None:
    a = maker(world)
    made = created_address(a, 0)
    assert answers(play(world, a, create(init(store(1, 5))))) == [0]
    assert world.account(made).code == b""
    assert dict(world.slots(made)) == {(1).to_bytes(32, "big"): (5).to_bytes(32, "big")}
    assert list(world.storage(made)) == ["slots"]


LINEAR_INIT = """(module
  (import "storage" "memory" (memory {limits}))
  (import "ethereum" "getCaller" (func $caller (param i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (memory $own (export "memory") 1)
  (data (memory $own) (i32.const 64) "{code}")
  (func (export "main") (i32.store8 0 (i32.const 7) (i32.const 42)) (call $finish (i32.const 64) (i32.const {length}))))
"""


def linear_init(limits: str, code: bytes) -> bytes:
    text = LINEAR_INIT.replace("{limits}", limits).replace("{length}", str(len(code)))
    return wasm(text.replace("{code}", "".join(f"\\{byte:02x}" for byte in code)))


READER = '(module (import "storage" "memory" (memory {})) (func (export "get") (result i32) {}) (func (export "main")))'


def test_init_code_sets_up_linear_storage_for_the_code(world: World) -> None:
    a = maker(world)
    made = created_address(a, 0)
    code = wasm(READER.format("1 4", "(i32.load8_u (i32.const 7))"))
    assert answers(play(world, a, create(linear_init("1 4", code)), call(made))) == [0, 0]
    assert world.call(made, "get").value == 42
    assert world.storage(made)["memory"].pages == 1


def test_code_that_does_not_fit_the_storage_of_its_init_code_is_refused(world: World) -> None:
    a = maker(world)
    code = wasm(READER.format("1 2", "(i32.const 0)"))
    receipt = play(world, a, create(linear_init("1 4", code)))
    assert answers(receipt) == [1]
    assert isinstance(error_of(receipt, 1), LinkError)
    assert "does not match the storage that it is to run on" in str(error_of(receipt, 1))
    assert world.account(created_address(a, 0)) == Account()


def test_a_created_contract_has_its_regions_at_their_least_length_like_a_deployed_one(world: World) -> None:
    code = wasm('(module (import "storage" "x" (memory 2 5)) (import "storage" "y" (memory 1)) (func (export "main")))')
    a = maker(world)
    play(world, a, create(init(finish(code)))).raise_for_error()
    made, deployed = created_address(a, 0), world.deploy(code)
    assert [view.pages for view in world.storage(made).values()] == [2, 1]
    assert [view.pages for view in world.storage(deployed).values()] == [2, 1]


def test_a_created_contract_maps_storage_as_the_world_says(tracker: str) -> None:
    world = World(tracker=tracker, schedule=FREE, mapping="paged")
    a = maker(world)
    code = wasm(
        """(module (import "ethereum" "storageMap" (func $map (param i32 i32 i32))) (memory (export "memory") 2)
          (func (export "main") (call $map (i32.const 0) (i32.const 0) (i32.const 4096))
            (i32.store8 (i32.const 9) (i32.const 8))))"""
    )
    made = created_address(a, 0)
    play(world, a, create(init(finish(code))), call(made)).raise_for_error()
    assert world.account(made).mapping == StorageMapping("paged")
    assert world.storage(made)["memory"][9] == 8


def test_a_library_brings_keyed_storage_to_a_contract_that_has_none(world: World) -> None:
    proxy = world.deploy(PROXY, name="proxy")
    library = maker(world)
    before = world.state_root
    assert answers(play(world, proxy, bytes(library), load(1))) == [0]
    assert list(world.storage(proxy)) == []  # what is only read leaves no empty region
    play(world, proxy, bytes(library), store(1, 4), load(1)).raise_for_error()
    assert dict(world.slots(proxy)) == {(1).to_bytes(32, "big"): (4).to_bytes(32, "big")}
    assert dict(world.slots(library)) == {}
    assert world.state_root != before
    play(world, proxy, bytes(library), store(1, 0)).raise_for_error()
    assert dict(world.slots(proxy)) == {}


def test_storage_that_a_library_brought_is_undone_with_its_call(world: World) -> None:
    proxy, library = world.deploy(PROXY, name="proxy"), maker(world)
    a = world.deploy(MAKER, name="a")
    inner = bytes(library) + store(1, 4) + revert()
    assert answers(play(world, a, call(proxy, inner), call(proxy, bytes(library) + store(1, 4) + revert()))) == [0, 0]
    assert list(world.storage(proxy)) == []
    assert answers(play(world, a, call(proxy, inner), call(proxy, bytes(library) + store(2, 6)))) == [0, 0]
    assert dict(world.slots(proxy)) == {(2).to_bytes(32, "big"): (6).to_bytes(32, "big")}


def test_a_library_reads_keyed_storage_in_a_static_call_and_writes_none(world: World) -> None:
    proxy, library = world.deploy(PROXY, name="proxy"), maker(world)
    a = world.deploy(MAKER, name="a")
    receipt = play(world, a, static(proxy, bytes(library), load(1)), static(proxy, bytes(library), store(1, 1)))
    assert answers(receipt) == [0, 0]
    assert error_of(receipt, 2) is None
    assert isinstance(error_of(receipt, 4), TrapError)
    assert list(world.storage(proxy)) == []


PROXY = """(module
  (import "ethereum" "callDelegate" (func $delegate (param i64 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallDataSize" (func $size (result i32)))
  (import "ethereum" "callDataCopy" (func $copy (param i32 i32 i32)))
  (import "ethereum" "getReturnDataSize" (func $returned (result i32)))
  (import "ethereum" "returnDataCopy" (func $returnCopy (param i32 i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "main")
    (call $copy (i32.const 0) (i32.const 0) (call $size))
    (drop (call $delegate (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 20)
      (i32.sub (call $size) (i32.const 20))))
    (call $returnCopy (i32.const 0) (i32.const 0) (call $returned))
    (call $finish (i32.const 0) (call $returned))))"""


def test_foreign_code_brings_no_memory_of_its_own(world: World) -> None:
    proxy = world.deploy(PROXY)
    library = world.deploy('(module (import "storage" "memory" (memory 1)) (func (export "main")))')
    receipt = play(world, proxy, bytes(library))
    assert receipt.ok
    assert isinstance(error_of(receipt, 1), LinkError)


# callCode


def test_call_code_runs_on_the_callers_storage_with_the_caller_as_sender(world: World) -> None:
    a = maker(world, balance=9)
    library = world.deploy(MAKER, name="library")
    receipt = play(world, a, call_code(library, store(1, 3), log(1), value=9), load(1))
    assert answers(receipt) == [0, 3]
    assert world.account(a).balance == 9
    assert world.account(library).balance == 0
    assert dict(world.slots(library)) == {}
    assert [each.address for each in receipt.logs] == [a]
    assert receipt.trace is not None
    started = receipt.trace.calls[1].started
    assert (started.kind, started.address, started.code_address, started.caller, started.value) == (
        CallKind.CODE,
        a,
        library,
        a,
        9,
    )


def test_call_code_with_more_value_than_there_is_fails(world: World) -> None:
    a = maker(world, balance=1)
    receipt = play(world, a, call_code(a, store(1, 1), value=2), load(1))
    assert answers(receipt) == [1, 0]
    assert isinstance(error_of(receipt, 1), BalanceError)


def test_a_static_call_may_call_code_with_a_value_since_none_moves(world: World) -> None:
    a = maker(world, balance=1)
    receipt = play(world, a, static(a, call_code(a, load(1), value=1), call_code(a, store(1, 1))))
    assert answers(receipt) == [0]
    assert receipt.trace is not None
    outcomes = [each.ended and each.ended.outcome for each in receipt.trace.calls[2:]]
    assert outcomes == [Outcome.OK, Outcome.FAILED]


def test_nobody_is_entered_by_borrowed_code(world: World) -> None:
    a = world.deploy(MAKER, policy="deny")
    assert answers(play(world, a, call_code(a), delegate(a), call(a))) == [0, 0, 1]


# Transactions


def test_a_transaction_creates_a_contract(world: World) -> None:
    library = maker(world)
    alice = world.fund(0xA11CE, 100, name="alice")
    receipt = world.create(init(store(1, 2), log(3), finish_as(library)), sender=alice, value=60, gas=GAS)
    made = created_address(alice, 0)
    assert receipt.raise_for_error().created == made
    assert (receipt.output, receipt.value) == (b"", None)
    assert world.account(made).code == MAKER
    assert (world.account(alice).balance, world.account(made).balance) == (40, 60)
    assert (world.account(alice).nonce, world.account(made).nonce) == (1, 1)
    assert [each.address for each in receipt.logs] == [made]
    assert answers(play(world, made, load(1))) == [2]


def test_a_transaction_takes_init_code_as_text_or_from_a_file(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("x") / "init.wat"
    path.write_text(GIVES_4_000_BYTES)
    made = [world.create(source).raise_for_error().created for source in (GIVES_4_000_BYTES, path, str(path))]
    assert [world.account(each).code for each in made if each] == [bytes(4_000)] * 3


@pytest.mark.parametrize("code", [b"garbage", b"\0asm", wasm("(module)"), init(TRAP), init(revert(b"no"))])
def test_a_creation_that_fails_is_a_receipt_and_changes_nothing(world: World, code: bytes) -> None:
    root = world.state_root
    receipt = world.create(code, value=5)
    assert not receipt.ok
    assert receipt.created is None
    assert receipt.error is not None
    assert world.state_root == root
    assert receipt.output == (b"no" if receipt.outcome is Outcome.REVERTED else b"")


def test_a_creation_that_cannot_start_is_refused(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(ValidationError, match="cannot pay 7"):
        world.create(b"", sender=0xA11CE, value=7)
    with pytest.raises(ValidationError, match="gas_price is an integer"):
        world.create(b"", gas_price=-1)
    with pytest.raises(ValidationError):
        world.create("(modul)")
    with pytest.raises(ValidationError, match="cannot be read"):
        world.create(tmp_path_factory.mktemp("x") / "none.wat")


def test_the_contract_that_a_transaction_would_create_next_can_be_told(world: World) -> None:
    nonce = world.account(world.default_sender).nonce
    assert world.create(b"").created == created_address(world.default_sender, nonce)
    assert world.deploy("(module)") == created_address(world.default_sender, nonce + 1)
