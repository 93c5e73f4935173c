"""Running vectors: ours, which prove the runner, and those of ewasm, which prove the interface."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from storagemod.errors import DeadlineError
from storagemod.limits import Limits
from storagemod.statetest import (
    LINK_OPTIONS,
    Difference,
    Status,
    VectorResult,
    find_vectors,
    parse_vector,
    read_vector,
    run_vector,
)
from storagemod.statetest.run import intrinsic_gas
from storagemod.statetest.vector import Code, ExpectedAccount
from storagemod.types import MAP_OPTIONS, Address

from .examples import CONTRACT, FAILING, PASSING, SENDER, SHARED, Raw, vector

STORES_GAS_LEFT = """(module
  (import "ethereum" "getGasLeft" (func $gas (result i64)))
  (import "ethereum" "storageStore" (func $store (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "main")
    (local $n i32)
    (loop $l (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))
    (i64.store (i32.const 32) (call $gas))
    (call $store (i32.const 0) (i32.const 32))))"""

STORES_BALANCE_OF_SENDER = f"""(module
  (import "ethereum" "getExternalBalance" (func $balance (param i32 i32)))
  (import "ethereum" "storageStore" (func $store (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "{"".join(f"{chr(92)}{SENDER[at : at + 2]}" for at in range(0, 40, 2))}")
  (func (export "main")
    (call $balance (i32.const 64) (i32.const 32))
    (call $store (i32.const 0) (i32.const 32))))"""

FOREVER = '(module (memory (export "memory") 1) (func (export "main") (loop $l (br $l))))'


def run(raw: Raw, *, link: str | None = None, limits: Limits | None = None) -> VectorResult:
    return run_vector(parse_vector(json.dumps(raw), path="it.json"), link=link, limits=limits)


def fields(result: VectorResult) -> list[str]:
    return [f"{difference.address.hex()}: {difference.field}" for difference in result.differences]


@pytest.mark.parametrize("path", find_vectors(PASSING), ids=lambda path: path.stem)
def test_own_vectors_pass(path: Path) -> None:
    result = run_vector(read_vector(path))

    assert (result.status, result.differences) == (Status.PASS, ())


with_shared_vectors = pytest.mark.skipif(not SHARED.is_dir(), reason="the vectors of ewasm are not beside this clone")


@with_shared_vectors
@pytest.mark.parametrize("link", [None, "keyed"])
def test_vectors_of_ewasm_pass_and_none_is_skipped(link: str | None) -> None:
    results = [run_vector(read_vector(path), link=link, trace=False) for path in find_vectors(SHARED)]

    assert len(results) >= 143
    assert {each.vector.name: each for each in results if each.status is not Status.PASS} == {}


@with_shared_vectors
def test_vectors_of_ewasm_fail_if_anything_that_they_say_is_otherwise() -> None:
    spoilt = 0
    for path in find_vectors(SHARED):
        vector = read_vector(path)
        for address, expected in vector.expect.items():
            for change in _otherwise(expected):
                changed = attrs.evolve(vector, expect={**vector.expect, address: attrs.evolve(expected, **change)})
                differences = run_vector(changed, trace=False).differences
                assert [each.address for each in differences] == [address], (vector.name, change)
                spoilt += 1

    assert spoilt > 300


def _otherwise(expected: ExpectedAccount) -> Iterator[dict[str, object]]:
    """An account as it should not be, in one way after another."""
    yield {"exists": not expected.exists}
    for name in ("balance", "nonce"):
        value = getattr(expected, name)
        if value is not None:
            yield {name: value + 1}
    if expected.code is not None:
        yield {"code": Code(expected.code.data + b"\0")}
    for slot in expected.storage or {}:
        assert expected.storage is not None
        yield {"storage": {**expected.storage, slot: expected.storage[slot] ^ 1}}


def test_what_is_wrong_is_told_field_by_field() -> None:
    result = run_vector(read_vector(FAILING / "wrongInEveryField.json"))

    contract, other, nobody = Address(CONTRACT), Address(f"b1{'00' * 18}02"), Address("c0" * 20)
    code = result.vector.pre[contract].code.data.hex()
    assert result.status is Status.FAIL
    assert result.differences == (
        Difference(contract, "balance", "1", "1000000000010"),
        Difference(contract, "nonce", "9", "0"),
        Difference(contract, "code", "0xff", f"0x{code}"),
        Difference(contract, "storage[0x2]", f"0x{0x10:064x}", f"0x{0x0F:064x}"),
        Difference(contract, "storage[0x3]", f"0x{0:064x}", f"0x{1:064x}"),
        Difference(contract, "storage[0x4]", f"0x{1:064x}", f"0x{0:064x}"),
        Difference(other, "exists", "no account", "an account"),
        Difference(nobody, "exists", "an account", "no account"),
    )


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [
        ("expect__CONTRACT__balance", "1000000000011", "balance"),
        ("expect__CONTRACT__nonce", "1", "nonce"),
        ("expect__CONTRACT__code", "0x00", "code"),
        ("expect__CONTRACT__storage", {}, "storage[0x2]"),
        ("expect__CONTRACT__storage", {"2": "0x0f", "3": "1"}, "storage[0x3]"),
        ("expect__CONTRACT", {"shouldnotexist": "1"}, "exists"),
    ],
)
def test_one_wrong_field_fails_a_vector(place: str, value: object, field: str) -> None:
    result = run(vector(**{place: value}))

    assert result.status is Status.FAIL
    assert fields(result) == [f"{CONTRACT}: {field}"]


def test_what_is_left_unsaid_is_not_compared() -> None:
    assert run(vector(expect__CONTRACT={})).status is Status.PASS
    assert run(vector(expect={})).status is Status.PASS


def test_balance_of_the_sender_is_not_compared_and_a_note_says_so() -> None:
    result = run(vector(expect__SENDER__balance="1"))

    assert result.status is Status.PASS
    assert result.notes == ("the balance of the sender depends on the price of gas: it is not compared",)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"transaction__nonce": "1"}, "it has the nonce 1, and its sender 0"),
        ({"transaction__gasLimit": "100000001"}, "its gas limit of 100,000,001 is more than that of the block"),
        ({"transaction__gasLimit": "20999"}, "its gas limit is 20,999, and it costs 21,000 to begin"),
        ({"transaction__value": "1000000000000"}, "its sender has a balance of 1,000,000,000,000"),
        ({"pre__SENDER__balance": "5242889"}, "it may cost 5,242,890, and its sender has a balance of 5,242,889"),
    ],
)
def test_an_invalid_transaction_changes_nothing_and_is_compared(changes: Raw, why: str) -> None:
    result = run(vector(**changes))

    assert result.receipt is None
    assert why in result.notes[0]
    assert fields(result) == [f"{SENDER}: nonce", f"{CONTRACT}: balance", f"{CONTRACT}: storage[0x2]"]


def test_a_sender_that_can_just_pay_is_taken() -> None:
    assert run(vector(pre__SENDER__balance="5242890")).status is Status.PASS


def test_a_vector_need_not_say_the_nonce_of_its_transaction() -> None:
    raw = vector(transaction__nonce=None, pre__SENDER__nonce="41", expect__SENDER__nonce="42")

    assert run(raw).status is Status.PASS


def test_instructions_are_free_and_what_it_costs_to_begin_is_not() -> None:
    gas = 0x500000 - 21_000 - 68 - 2 * 4 - 2
    raw = vector(
        pre__CONTRACT__code=STORES_GAS_LEFT,
        transaction__data="0x010000",
        expect__CONTRACT={"storage": {"0": f"0x{gas.to_bytes(32, 'little').hex()}", "2": "5"}},
    )

    assert run(raw).differences == ()


def test_gas_is_bought_before_anything_runs() -> None:
    balance = 1_000_000_000_000 - 0x500000 * 3 - 10
    stored = f"0x{balance.to_bytes(32, 'little').hex()}"
    raw = vector(
        pre__CONTRACT__code=STORES_BALANCE_OF_SENDER,
        transaction__gasPrice="3",
        expect__CONTRACT={"storage": {"0": stored, "2": "5"}},
    )

    assert run(raw).differences == ()


def test_a_creation_has_to_pay_for_its_code_to_the_last_unit() -> None:
    raw = json.loads((PASSING / "createsFromTransaction.json").read_text(encoding="utf-8"))
    begins = intrinsic_gas(parse_vector(json.dumps(raw), path="it.json").transaction)
    for gas, status in ((begins + 2 * 200, Status.PASS), (begins + 2 * 200 - 1, Status.FAIL)):
        raw["transaction"]["gasLimit"] = str(gas)

        assert run(raw).status is status


def test_a_call_of_what_is_no_module_fails() -> None:
    result = run_vector(read_vector(FAILING / "callsWhatIsNoModule.json"))

    assert fields(result) == [f"{CONTRACT}: balance"]
    assert result.receipt is not None
    assert not result.receipt.ok


def test_a_vector_that_runs_into_the_deadline_fails_whatever_it_expects() -> None:
    result = run(vector(pre__CONTRACT__code=FOREVER, expect={}), limits=Limits(deadline_seconds=0.05))

    assert result.status is Status.FAIL
    assert result.reason is not None
    assert "deadline" in result.reason
    assert result.receipt is not None
    assert isinstance(result.receipt.error, DeadlineError)


def test_accounts_that_cannot_be_fail_a_vector() -> None:
    result = run(vector(pre__CONTRACT__code="0x" + "00" * 101), limits=Limits(code_bytes_max=100))

    assert result.status is Status.FAIL
    assert result.reason is not None
    assert "code_bytes_max" in result.reason


def test_an_empty_account_exists_only_if_it_did_before() -> None:
    nobody = "c0" * 20
    raw = vector(**{f"expect__{nobody}": {"balance": "0"}})
    assert fields(run(raw)) == [f"{nobody}: exists"]

    raw["pre"][nobody] = {"balance": "0", "code": "", "nonce": "", "storage": {}}
    assert run(raw).status is Status.PASS


@pytest.mark.parametrize("link", LINK_OPTIONS)
def test_contracts_that_map_storage_run_under_the_option_that_is_asked_for(link: str) -> None:
    result = run_vector(read_vector(PASSING / "mapsStorage.json"), link=link)

    assert result.status is Status.PASS
    assert result.receipt is not None
    assert result.receipt.trace is not None
    mapped = {getattr(step, "option", None) for record in result.receipt.trace for step in record.steps} - {None}
    assert mapped == {link if link in MAP_OPTIONS else "copied"}


def test_a_vector_without_storage_under_an_option_is_skipped_with_the_reason() -> None:
    result = run(vector(), link="paged")

    assert (result.status, result.reason) == (Status.SKIP, "its storage is under keyed")
    assert result.receipt is None


def test_a_vector_without_storage_is_never_skipped() -> None:
    path = PASSING / "createsFromTransaction.json"

    assert run_vector(read_vector(path), link="paged").status is Status.PASS


def test_a_vector_runs_alike_with_every_tracker(tracker: str) -> None:
    result = run_vector(read_vector(PASSING / "undoesWhatReverts.json"), tracker=tracker)

    assert result.status is Status.PASS
