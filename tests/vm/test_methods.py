"""What each method reads, writes and asks for, on a call that is not real."""

from __future__ import annotations

import contextlib

import pytest

from storagemod.block import Block
from storagemod.errors import OutOfGasError, RevertError, TrapError
from storagemod.types import Address, CallKind, Outcome
from storagemod.vm import FUNCTIONS, Finished, GasSchedule
from tests.vm.fakes import PAGE, Destroyed, FakeContext, FakeMemory, do
from tests.vm.interface import METHODS

OTHER = Address("0x" + "0a0b0c0d0e" * 4)
SERVED = [name for name in METHODS if name in FUNCTIONS]


def test_facts_are_written_as_the_interface_encodes_them() -> None:
    context = FakeContext(
        address=Address(1),
        caller=Address(2),
        origin=Address(3),
        value=0x0102,
        gas_price=2**128 - 2,
        block=Block(coinbase=Address(4), difficulty=2**255 + 7),
    )
    written = {
        "getAddress": bytes(19) + b"\1",
        "getCaller": bytes(19) + b"\2",
        "getTxOrigin": bytes(19) + b"\3",
        "getBlockCoinbase": bytes(19) + b"\4",
        "getCallValue": b"\2\1" + bytes(14),
        "getTxGasPrice": b"\xfe" + b"\xff" * 15,
        "getBlockDifficulty": b"\7" + bytes(30) + b"\x80",
    }
    for name, data in written.items():
        assert do(context, name, 100) is None
        assert context.memory.writes == [(100, data)], name
        context.memory.writes.clear()


def test_numbers_are_given_as_they_are() -> None:
    block = Block(number=2**63 - 1, timestamp=1_543_000_000, gas_limit=8_000_000)
    context = FakeContext(block=block, data=b"abc", code=b"code", return_data=b"12345", codes={OTHER: b"x" * 9})
    context.memory.data[:20] = OTHER
    assert do(context, "getBlockNumber") == 2**63 - 1
    assert do(context, "getBlockTimestamp") == 1_543_000_000
    assert do(context, "getBlockGasLimit") == 8_000_000
    assert do(context, "getCallDataSize") == 3
    assert do(context, "getCodeSize") == 4
    assert do(context, "getReturnDataSize") == 5
    assert do(context, "getExternalCodeSize", 0) == 9
    assert do(context, "getExternalCodeSize", 20) == 0


def test_the_gas_that_is_left_is_told_with_the_question_paid() -> None:
    assert do(FakeContext(gas_left=1_000), "getGasLeft") == 1_000 - GasSchedule().base


def test_balances_of_any_account_are_u128() -> None:
    context = FakeContext(balances={OTHER: 2**128 - 1})
    context.memory.data[:20] = OTHER
    do(context, "getExternalBalance", 0, 64)
    do(context, "getExternalBalance", 20, 96)
    assert context.memory.writes == [(64, b"\xff" * 16), (96, bytes(16))]


@pytest.mark.parametrize(
    ("number", "known"),
    [(299, True), (44, True), (43, False), (300, False), (0, False), (-1, False), (-(2**63), False)],
)
def test_the_hashes_of_256_blocks_are_served_and_no_others(number: int, *, known: bool) -> None:
    context = FakeContext(block=Block(number=300, hashes={each: each.to_bytes(32, "big") for each in range(301)}))
    context.memory.data[:] = b"#" * PAGE
    assert do(context, "getBlockHash", number, 64) == (0 if known else 1)
    assert context.memory.writes == ([(64, number.to_bytes(32, "big"))] if known else [])


@pytest.mark.parametrize("number", [0, 1, 5])
def test_where_a_hash_goes_is_checked_even_if_there_is_none(number: int) -> None:
    context = FakeContext(block=Block(number=1, hashes={0: b"h" * 32}))
    assert do(context, "getBlockHash", number, PAGE - 32) == (0 if number == 0 else 1)
    with pytest.raises(TrapError):
        do(context, "getBlockHash", number, PAGE - 31)


def test_a_negative_amount_of_gas_is_more_than_there_is() -> None:
    context = FakeContext(gas_left=2**63 - 1)
    with pytest.raises(OutOfGasError):
        do(context, "useGas", -1)
    do(context, "useGas", 2**63 - 1)
    assert context.gas_left == 0


# Data

COPIES = {"callDataCopy": "data", "returnDataCopy": "return_data", "codeCopy": "code", "externalCodeCopy": "other"}


def copying(name: str, source: bytes) -> tuple[FakeContext, tuple[int, ...]]:
    """A call with data to copy, and the arguments before the others: the address of external code."""
    if name != "externalCodeCopy":
        return FakeContext(**{COPIES[name]: source}), ()
    context = FakeContext(codes={OTHER: source})
    context.memory.data[1_000:1_020] = OTHER
    return context, (1_000,)


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize(("start", "length"), [(0, 10), (3, 4), (9, 1), (10, 0), (0, 0)])
def test_a_part_of_some_data_is_copied(name: str, start: int, length: int) -> None:
    context, first = copying(name, b"0123456789")
    do(context, name, *first, 64, start, length)
    assert context.memory.writes == [(64, b"0123456789"[start : start + length])]


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize(
    ("start", "length"), [(0, 11), (10, 1), (11, 0), (-1, 1), (-1, 0), (5, -5), (-(2**31), -(2**31)), (1, -1)]
)
def test_a_part_outside_the_data_traps_and_writes_nothing(name: str, start: int, length: int) -> None:
    context, first = copying(name, b"0123456789")
    context.gas_left = 2**62
    with pytest.raises(TrapError) as trapped:
        do(context, name, *first, 64, start, length)
    assert trapped.value.code == "data_out_of_bounds"
    assert "which is 10 bytes long" in trapped.value.message
    assert context.memory.writes == []


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize(("start", "length"), [(0, 1 << 20), (4, (1 << 20) - 4)])
def test_a_mebibyte_is_copied_by_one_write_of_memory_and_not_copied_before(name: str, start: int, length: int) -> None:
    source = bytes(range(256)) * 4_096
    context, first = copying(name, source)
    context.memory.data.extend(bytes(1 << 20))
    context.memory.reads.clear()
    do(context, name, *first, 2_048, start, length)
    [(offset, written)] = context.memory.writes
    assert offset == 2_048
    assert isinstance(written, memoryview)
    assert written.obj is source
    assert context.memory.data[2_048 : 2_048 + length] == source[start:]
    assert len(context.memory.reads) == len(first)


def test_a_call_ends_with_the_output_that_it_names() -> None:
    context = FakeContext()
    context.memory.data[8:12] = b"done"
    with pytest.raises(Finished) as finished:
        do(context, "finish", 8, 4)
    assert finished.value.output == b"done"
    with pytest.raises(RevertError, match="reverted with 0x646f6e65") as reverted:
        do(context, "revert", 8, 4)
    assert reverted.value.output == b"done"


@pytest.mark.parametrize("count", range(5))
def test_a_log_has_as_many_topics_as_it_names_and_does_not_read_others(count: int) -> None:
    context = FakeContext()
    for topic in range(4):
        context.memory.data[32 * topic : 32 * topic + 32] = bytes([topic + 1]) * 32
    outside = -1
    topics = [32 * topic for topic in range(count)] + [outside] * (4 - count)
    do(context, "log", 0, 3, count, *topics)
    assert context.done == [(tuple(bytes([topic + 1]) * 32 for topic in range(count)), b"\1\1\1")]


@pytest.mark.parametrize("count", [5, -1, 2**31 - 1, -(2**31)])
def test_a_log_of_more_than_four_topics_traps(count: int) -> None:
    context = FakeContext()
    with pytest.raises(TrapError, match=f"0 to 4 topics, not {count % 2**32}"):
        do(context, "log", 0, 0, count, 0, 0, 0, 0)
    assert context.done == []


# Calls


def calling() -> FakeContext:
    context = FakeContext(codes={OTHER: b"code"}, outcome=Outcome.REVERTED)
    context.memory.data[0:20] = OTHER
    context.memory.data[32:48] = (2**127 + 5).to_bytes(16, "little")
    context.memory.data[64:68] = b"data"
    return context


@pytest.mark.parametrize(("name", "kind"), [("callStatic", CallKind.STATIC), ("callDelegate", CallKind.DELEGATE)])
def test_a_call_without_value_asks_for_what_its_arguments_say(name: str, kind: CallKind) -> None:
    context = calling()
    assert do(context, name, 1_000, 0, 64, 4) == 2
    assert context.done == [(kind, 1_000, OTHER, 0, b"data")]


@pytest.mark.parametrize(("name", "kind"), [("call", CallKind.CALL), ("callCode", CallKind.CODE)])
def test_a_call_with_value_asks_for_what_its_arguments_say(name: str, kind: CallKind) -> None:
    context = calling()
    assert do(context, name, 1_000, 0, 32, 64, 4) == 2
    assert context.done == [(kind, 1_000 + GasSchedule().call_stipend, OTHER, 2**127 + 5, b"data")]
    assert do(context, name, 1_000, 0, 128, 64, 0) == 2
    assert context.done[1:] == [(kind, 1_000, OTHER, 0, b"")]


@pytest.mark.parametrize("name", ["call", "callCode", "callDelegate", "callStatic"])
def test_negative_gas_for_a_call_is_more_than_there_is(name: str) -> None:
    context = calling()
    do(context, name, -1, 0, *([128] if name in {"call", "callCode"} else []), 64, 0)
    assert context.done[0][1] == 2**64 - 1


def test_the_address_of_a_new_account_is_written_if_it_was_made() -> None:
    context = calling()
    context.outcome, context.created = Outcome.OK, Address(7)
    assert do(context, "create", 32, 64, 4, 200) == 0
    assert context.done == [("create", 2**127 + 5, b"data")]
    assert context.memory.writes == [(200, Address(7))]


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.REVERTED])
def test_nothing_is_written_for_an_account_that_was_not_made_wherever_it_would_be(outcome: Outcome) -> None:
    context = calling()
    context.outcome = outcome
    assert do(context, "create", 32, 64, 4, -1) == outcome
    assert context.memory.writes == []


def test_an_account_that_was_made_and_whose_address_fits_nowhere_traps() -> None:
    context = calling()
    context.created = Address(7)
    with pytest.raises(TrapError):
        do(context, "create", 32, 64, 4, PAGE - 19)


def test_self_destruction_names_who_is_to_have_the_balance() -> None:
    context = calling()
    with pytest.raises(Destroyed):
        do(context, "selfDestruct", 0)
    assert context.done == [("selfDestruct", OTHER)]


# Bounds


def ranges() -> list[tuple[str, int]]:
    return [(name, index) for name in SERVED for index in range(len(METHODS[name].ranges))]


def prepared(name: str) -> tuple[FakeContext, list[int]]:
    """A call in which a method with these arguments does all that it can do."""
    context = FakeContext(
        data=bytes(64),
        return_data=bytes(64),
        code=bytes(64),
        codes={Address(0): bytes(64)},
        block=Block(number=9),
        created=Address(7),
        gas_left=2**62,
    )
    args = [0] * len(METHODS[name].params)
    if name == "log":
        args[2] = 4
    for each in METHODS[name].ranges:
        if each.length is not None:
            args[each.length] = 8
    return context, args


@pytest.mark.parametrize(("name", "index"), ranges())
def test_a_range_may_end_where_memory_ends_and_not_one_byte_later(name: str, index: int) -> None:
    found = METHODS[name].ranges[index]
    length = found.bytes or 8
    for offset in (PAGE - length, PAGE - length + 1, PAGE, 2**31, 2**32 - length, 2**32 - 1):
        context, args = prepared(name)
        args[found.offset] = offset if offset < 2**31 else offset - 2**32  # as wasm hands it over
        if offset == PAGE - length:
            with contextlib.suppress(Finished, RevertError, Destroyed):
                do(context, name, *args)
            continue
        with pytest.raises(TrapError) as trapped:
            do(context, name, *args)
        assert trapped.value.code == "memory_out_of_bounds"


@pytest.mark.parametrize(
    ("name", "index"), [each for each in ranges() if METHODS[each[0]].ranges[each[1]].bytes is None]
)
def test_a_range_as_long_as_memory_is_inside_and_longer_ones_are_not(name: str, index: int) -> None:
    found = METHODS[name].ranges[index]
    assert found.length is not None
    for length in (PAGE, PAGE + 1, 2**32 - 1):
        context, args = prepared(name)
        context.data = context.code = context.return_data = context.codes[Address(0)] = bytes(PAGE + 1)
        args[found.length] = length if length < 2**31 else length - 2**32
        try:
            do(context, name, *args)
        except (Finished, RevertError, Destroyed):
            assert length == PAGE
        except TrapError:
            assert length > PAGE
        else:
            assert length == PAGE


def test_the_memory_of_the_fakes_is_as_strict_as_a_real_one() -> None:
    with pytest.raises(TrapError):
        FakeMemory().read(PAGE, 1)
    assert FakeMemory().read(PAGE, 0) == b""
