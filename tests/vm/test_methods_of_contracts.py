"""Every method, called by a contract in a world: what it does, and where ranges end."""

from __future__ import annotations

import pytest

from storagemod import Address, Outcome, World
from storagemod.errors import OutOfGasError, TrapError
from tests.vm.interface import METHODS, import_of
from tests.vm.method_calls import (
    ADDRESS_AT,
    CALLEE,
    DATA_AT,
    NOBODY,
    PAGE,
    RESULT_AT,
    SENDER,
    VALUE_AT,
    A,
    calling,
    fresh,
    run,
    run_ok,
)


@pytest.fixture
def world() -> World:
    return fresh()


TOLD_IN_MEMORY = {
    "getAddress": bytes(A),
    "getCaller": bytes(SENDER),
    "getTxOrigin": bytes(SENDER),
    "getCallValue": (77).to_bytes(16, "little"),
    "getTxGasPrice": (7).to_bytes(16, "little"),
    "getBlockCoinbase": bytes(Address(0xC0)),
    "getBlockDifficulty": (2**200 + 1).to_bytes(32, "little"),
}
TOLD = {
    "getBlockNumber": 1_000,
    "getBlockTimestamp": 1_543_000_000,
    "getBlockGasLimit": 8_000_000,
    "getCallDataSize": 5,
    "getReturnDataSize": 0,
}


@pytest.mark.parametrize("name", TOLD_IN_MEMORY)
def test_a_fact_is_written_where_the_contract_wants_it(world: World, name: str) -> None:
    ran = run_ok(world, calling(name, RESULT_AT), value=77, data=b"input")
    assert ran.at(RESULT_AT, len(TOLD_IN_MEMORY[name]) + 1) == TOLD_IN_MEMORY[name] + b"\0"


@pytest.mark.parametrize("name", TOLD)
def test_a_number_is_given(world: World, name: str) -> None:
    assert run_ok(world, calling(name), data=b"input").answer == TOLD[name]


@pytest.mark.parametrize("name", ["getExternalBalance", "getBalance"])
@pytest.mark.parametrize(("to", "balance"), [(CALLEE, 12_345), (A, 1_000), (NOBODY, 0)])
def test_the_balance_of_any_account_is_told(world: World, name: str, to: Address, balance: int) -> None:
    ran = run_ok(world, calling(name, ADDRESS_AT, RESULT_AT, to=to))
    assert ran.at(RESULT_AT, 16) == balance.to_bytes(16, "little")


@pytest.mark.parametrize(("number", "known"), [(999, True), (998, False), (1_000, False), (-1, False)])
def test_the_hash_of_a_block_before_this_one_is_told(world: World, number: int, *, known: bool) -> None:
    ran = run_ok(world, calling("getBlockHash", number, RESULT_AT))
    assert (ran.answer, ran.at(RESULT_AT, 32)) == ((0, b"h" * 32) if known else (1, bytes(32)))


def test_code_is_told_and_copied(world: World) -> None:
    size = run_ok(world, calling("getCodeSize")).answer
    assert size == len(world.account(A).code)
    other = fresh()
    copied = run_ok(other, calling("codeCopy", RESULT_AT, 2, 100))
    assert copied.at(RESULT_AT, 100) == other.account(A).code[2:102]


@pytest.mark.parametrize(("to", "is_contract"), [(CALLEE, True), (NOBODY, False)])
def test_the_code_of_any_account_is_told(world: World, to: Address, *, is_contract: bool) -> None:
    size = run_ok(world, calling("getExternalCodeSize", ADDRESS_AT, to=to)).answer
    assert size == (len(world.account(CALLEE).code) if is_contract else 0)


def test_the_code_of_any_account_is_copied(world: World) -> None:
    ran = run_ok(world, calling("externalCodeCopy", ADDRESS_AT, RESULT_AT, 1, 64))
    assert ran.at(RESULT_AT, 64) == world.account(CALLEE).code[1:65]


def test_call_data_is_copied(world: World) -> None:
    assert run_ok(world, calling("callDataCopy", RESULT_AT, 2, 3), data=b"0123456").at(RESULT_AT, 4) == b"234\0"


RETURN_DATA = (
    import_of("returnDataCopy", METHODS["returnDataCopy"].type),
    f"(call $returnDataCopy (i32.const {RESULT_AT}) (i32.const 0) (i32.const 9))",
)


@pytest.mark.parametrize("name", ["call", "callCode", "callDelegate", "callStatic"])
def test_a_call_hands_data_over_and_gets_data_back(world: World, name: str) -> None:
    value = [VALUE_AT] if name in {"call", "callCode"} else []
    code = calling(name, 100_000, ADDRESS_AT, *value, DATA_AT, 9)
    copy, copied = RETURN_DATA
    code = code.replace("(memory", f"{copy} (memory", 1).replace("(call $finish", f"{copied} (call $finish", 1)
    ran = run_ok(world, code)
    assert ran.answer == 0
    assert ran.at(RESULT_AT, 10) == b"call data\0"


@pytest.mark.parametrize(
    ("to", "value", "gas", "answer"),
    [(CALLEE, 0, 0, 1), (CALLEE, 1, 0, 0), (NOBODY, 1, 0, 0), (CALLEE, 1_001, 100_000, 1)],
    ids=["no gas", "no gas but a value's", "nobody", "too much"],
)
def test_the_callee_has_the_gas_that_is_named_and_what_comes_with_a_value(
    world: World, to: Address, value: int, gas: int, answer: int
) -> None:
    ran = run_ok(world, calling("call", gas, ADDRESS_AT, VALUE_AT, DATA_AT, 0, to=to, value=value))
    assert ran.answer == answer
    assert world.account(A).balance == 1_000 - (0 if answer else value)


def test_what_a_callee_reverted_with_is_return_data(world: World) -> None:
    world.deploy(calling("revert", DATA_AT, 4), address=NOBODY)
    copy, _ = RETURN_DATA
    code = calling("call", 100_000, ADDRESS_AT, VALUE_AT, DATA_AT, 0, to=NOBODY)
    size = import_of("returnDataSize", METHODS["getReturnDataSize"].type)
    after = f"(i32.store (i32.const {RESULT_AT}) (call $returnDataSize)) (call $finish"
    code = code.replace("(memory", f"{copy} {size} (memory", 1).replace("(call $finish", after, 1)
    ran = run_ok(world, code)
    assert ran.answer == 2
    assert ran.at(RESULT_AT, 4) == (4).to_bytes(4, "little")


@pytest.mark.parametrize("name", ["finish", "return"])
def test_output_is_what_a_contract_finishes_with(world: World, name: str) -> None:
    assert run_ok(world, calling(name, DATA_AT, 9)).receipt.output == b"call data"


def test_a_contract_reverts_with_output(world: World) -> None:
    ran = run(world, calling("revert", DATA_AT, 9))
    assert (ran.receipt.outcome, ran.receipt.output) == (Outcome.REVERTED, b"call data")


def test_a_log_has_topics_and_data(world: World) -> None:
    ran = run_ok(world, calling("log", DATA_AT, 9, 2, DATA_AT, ADDRESS_AT, 0, 0))
    [log] = ran.receipt.logs
    assert log.data == b"call data"
    assert log.topics == (b"call data of eight and twenty\0\0\0", bytes(CALLEE) + bytes(12))


@pytest.mark.parametrize(("length", "answer"), [(0, 0), (29, 1)], ids=["no init code", "init code that is no wasm"])
def test_an_account_is_made_or_not(world: World, length: int, answer: int) -> None:
    ran = run_ok(world, calling("create", VALUE_AT, DATA_AT, length, RESULT_AT, value=5))
    made = Address(ran.at(RESULT_AT, 20))
    assert ran.answer == answer
    assert (made == Address(0)) is bool(answer)
    assert world.account(A).balance == 1_000 - (0 if answer else 5)
    assert world.account(made).balance == (0 if answer else 5)


def test_a_contract_is_gone_when_it_destroyed_itself(world: World) -> None:
    assert run_ok(world, calling("selfDestruct", ADDRESS_AT)).receipt.output == b""
    assert A not in world.accounts()
    assert world.account(CALLEE).balance == 13_345


def test_storage_is_kept_by_keys(world: World) -> None:
    load = import_of("storageLoad", METHODS["storageLoad"].type)
    code = calling("storageStore", ADDRESS_AT, DATA_AT, imports=load)
    loads = f"(call $storageLoad (i32.const {ADDRESS_AT}) (i32.const {RESULT_AT})) (call $finish"
    ran = run_ok(world, code.replace("(call $finish", loads, 1))
    assert ran.at(RESULT_AT, 29) == b"call data of eight and twenty"


def test_gas_is_used() -> None:
    gas = [run_ok(fresh(), calling("useGas", amount)).receipt.gas_used for amount in (0, 1_234)]
    assert gas[1] - gas[0] == 1_234
    assert isinstance(run(fresh(), calling("useGas", -1)).receipt.error, OutOfGasError)


@pytest.mark.parametrize(
    ("name", "args", "value"),
    [
        ("storageStore", (DATA_AT, DATA_AT), 0),
        ("storageStore", (0, 0), 0),
        ("log", (0, 0, 0, 0, 0, 0, 0), 0),
        ("create", (0, 0, 0, 0), 0),
        ("selfDestruct", (ADDRESS_AT,), 0),
        ("call", (0, ADDRESS_AT, VALUE_AT, 0, 0), 1),
    ],
)
def test_a_static_call_changes_nothing_and_its_caller_goes_on(
    world: World, name: str, args: tuple[int, ...], value: int
) -> None:
    before = {address: world.account(address) for address in (CALLEE, NOBODY)}
    world.deploy(calling(name, *args, value=value), address=NOBODY, balance=9)
    ran = run_ok(world, calling("callStatic", 1_000_000, ADDRESS_AT, 0, 0, to=NOBODY))
    assert ran.answer == 1
    assert world.account(CALLEE) == before[CALLEE]
    assert world.account(NOBODY).balance == 9
    assert ran.receipt.logs == ()
    assert ran.receipt.trace is not None
    error = ran.receipt.trace.calls[1].ended.error
    assert isinstance(error, TrapError)
    assert error.code == "static_write"


# Bounds

ARGUMENTS: dict[str, tuple[int, ...]] = {
    "call": (0, 0, 64, 0, 8),
    "callCode": (0, 0, 64, 0, 8),
    "callDelegate": (0, 0, 0, 8),
    "callStatic": (0, 0, 0, 8),
    "callDataCopy": (0, 0, 8),
    "codeCopy": (0, 0, 8),
    "externalCodeCopy": (ADDRESS_AT, 0, 0, 8),
    "returnDataCopy": (0, 0, 0),
    "log": (0, 8, 4, 0, 0, 0, 0),
    "create": (64, 0, 0, 0),
    "finish": (0, 8),
    "revert": (0, 8),
}
RANGES = [(name, index) for name, method in METHODS.items() for index in range(len(method.ranges))]


@pytest.mark.parametrize(("name", "index"), RANGES)
def test_a_range_may_end_with_the_memory_and_traps_beyond_it_without_wrapping(name: str, index: int) -> None:
    found = METHODS[name].ranges[index]
    args = list(ARGUMENTS.get(name, (0,) * len(METHODS[name].params)))
    if (name, index) == ("externalCodeCopy", 0):
        args[3] = 0  # the account whose address is read at the end of memory has no code
    length = found.bytes or args[found.length or 0]
    endings = []
    for offset in (PAGE - length, PAGE - length + 1, 2**32 - length, 2**32 - 1):
        args[found.offset] = offset % 2**32
        receipt = run(fresh(), calling(name, *args), data=bytes(64)).receipt
        endings.append(receipt.error.code if isinstance(receipt.error, TrapError) else receipt.outcome)
    inside = Outcome.REVERTED if name == "revert" else Outcome.OK
    wraps_to_nothing = length == 0  # 2**32 is taken for 0, as an i32 is
    expected = ["memory_out_of_bounds"] * 3
    if wraps_to_nothing:
        expected[1] = inside
    assert endings == [inside, *expected]


def test_a_mapping_of_storage_beyond_memory_traps(world: World) -> None:
    code = f"""(module (import "ethereum" "storageMap" (func $map (param i32 i32 i32))) (memory (export "memory") 1)
      (func (export "main") (call $map (i32.const {PAGE - 8}) (i32.const 0) (i32.const 9))))"""
    error = run(world, code).receipt.error
    assert isinstance(error, TrapError)
    assert error.code == "memory_out_of_bounds"
