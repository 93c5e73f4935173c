"""What calls do to accounts: static calls, kinds of call, creation and self-destruction, in vectors of our own."""

from __future__ import annotations

import json

import pytest

from storagemod.state import created_address
from storagemod.statetest import parse_vector, run_vector
from storagemod.types import Address

from .contracts import LOG, NOBODY, OTHER, SELF, ZERO, check, escaped, little, module, stored, word
from .examples import SENDER

WRITES = {
    "storageStore": "(call $storageStore (i32.const 0) (i32.const 0))",
    "log": LOG,
    "create": "(drop (call $create (i32.const 128) (i32.const 0) (i32.const 8) (i32.const 200)))",
    "selfDestruct": "(call $selfDestruct (i32.const 32))",
    "call with value": """(i32.store8 (i32.const 128) (i32.const 1))
      (drop (call $call (i64.const 50000) (i32.const 32) (i32.const 128) (i32.const 0) (i32.const 0)))""",
}
STATIC = "(call $put (i32.const 1) (call $callStatic (i64.const 500000) (i32.const 0) (i32.const 0) (i32.const 0)))"


@pytest.mark.parametrize("write", WRITES)
def test_static_calls_that_change_anything_fail(write: str) -> None:
    check(STATIC, {**stored(k1="1"), OTHER: {"balance": "50", "storage": {}}}, other=module(WRITES[write]))


@pytest.mark.parametrize("write", WRITES)
def test_the_same_succeeds_in_other_calls(write: str) -> None:
    call = f"(call $put (i32.const 1) (call $call (i64.const 500000) {ZERO} (i32.const 128) {ZERO * 2}))"

    check(call, stored(k1="0"), other=module(WRITES[write]))


@pytest.mark.parametrize("kind", ["callDelegate", "callCode", "call"])
@pytest.mark.parametrize("write", ["storageStore", "log", "selfDestruct"])
def test_calls_within_static_calls_are_static(kind: str, write: str) -> None:
    value = "(i32.const 128)" if kind != "callDelegate" else ""
    inner = f"""(if (i32.eqz (call $getCallDataSize)) (then
        (drop (call ${kind} (i64.const 100000) (i32.const 0) {value} (i32.const 0) (i32.const 1))))
      (else {WRITES[write]}))"""

    check(STATIC, {**stored(k1="0"), OTHER: {"balance": "50", "storage": {}}}, other=module(inner))


def test_static_calls_that_only_look_succeed() -> None:
    check(
        STATIC,
        {**stored(k1="0"), OTHER: {"storage": {}}},
        other=module("(call $storageLoad (i32.const 0) (i32.const 64)) (call $getCaller (i32.const 200))"),
    )


SEES = """
  (call $getAddress (i32.const 200)) (call $keep (i32.const 1) (i32.const 200))
  (call $getCaller (i32.const 240)) (call $keep (i32.const 2) (i32.const 240))
  (call $getCallValue (i32.const 280)) (call $keep (i32.const 3) (i32.const 280))
  (call $getTxOrigin (i32.const 320)) (call $keep (i32.const 4) (i32.const 320))"""


@pytest.mark.parametrize(
    ("kind", "holder", "sees", "balances"),
    [
        ("call", OTHER, (OTHER, SELF, 5), (1072, 55)),
        ("callCode", SELF, (SELF, SELF, 5), (1077, 50)),
        ("callDelegate", SELF, (SELF, SENDER, 77), (1077, 50)),
    ],
)
def test_who_calls_sees_and_stores_by_kind(
    kind: str, holder: str, sees: tuple[str, str, int], balances: tuple[int, int]
) -> None:
    value = "(i32.const 128)" if kind != "callDelegate" else ""
    storage = {"1": word(sees[0]), "2": word(sees[1]), "3": little(sees[2]), "4": word(SENDER)}
    expect: dict[str, object] = {
        each: {"balance": str(balance), "storage": storage if each == holder else {}}
        for each, balance in zip((SELF, OTHER), balances, strict=True)
    }

    check(
        f"""(i32.store8 (i32.const 128) (i32.const 5))
        (if (call ${kind} (i64.const 500000) {ZERO} {value} {ZERO * 2}) (then (unreachable)))""",
        expect,
        other=module(SEES),
        value="77",
    )


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [("call", 1001, 1), ("call", 1000, 0), ("callCode", 1001, 1), ("callCode", 1000, 0)],
)
def test_a_value_that_is_not_there_fails_the_call_and_not_the_caller(kind: str, value: int, result: int) -> None:
    check(
        f"""(i32.store (i32.const 128) (i32.const {value}))
        (call $put (i32.const 1)
          (call ${kind} (i64.const 50000) (i32.const 0) (i32.const 128) (i32.const 0) (i32.const 0)))""",
        stored(k1=result),
        other=module(""),
    )


@pytest.mark.parametrize(
    ("other", "result", "size"),
    [
        ("(call $finish (i32.const 0) (i32.const 7))", 0, 7),
        ("(call $revert (i32.const 0) (i32.const 9))", 2, 9),
        ("(unreachable)", 1, 0),
        ("(call $useGas (i64.const 1000000))", 1, 0),
        ("(call $useGas (i64.const -1))", 1, 0),
        ("(call $finish (i32.const 0) (i32.const 0))", 0, 0),
    ],
)
@pytest.mark.parametrize("kind", ["call", "callCode", "callDelegate", "callStatic"])
def test_results_and_return_data_by_ending(kind: str, other: str, result: int, size: int) -> None:
    value = "(i32.const 128)" if kind in ("call", "callCode") else ""

    check(
        f"""(call $put (i32.const 1)
          (call ${kind} (i64.const 100000) (i32.const 0) {value} (i32.const 0) (i32.const 0)))
        (call $put (i32.const 2) (call $getReturnDataSize))""",
        stored(k1=result, k2=size),
        other=module(other),
    )


def created_by(body: str) -> str:
    """Code that creates a contract with init code that it finds as the code of OTHER."""
    return f"""(local $size i32)
      (local.set $size (call $getExternalCodeSize (i32.const 0)))
      (call $externalCodeCopy (i32.const 0) (i32.const 1024) (i32.const 0) (local.get $size))
      (i32.store8 (i32.const 128) (i32.const 9))
      (call $put (i32.const 1) (call $create (i32.const 128) (i32.const 1024) (local.get $size) (i32.const 200)))
      (call $keep (i32.const 2) (i32.const 200))
      (call $put (i32.const 3) (call $getReturnDataSize)) {body}"""


CREATED = created_address(Address(SELF), 0).hex()


def test_created_contract_has_value_and_code_and_nonce_1() -> None:
    check(
        created_by(""),
        {
            SELF: {"nonce": "1", "balance": "991", "storage": {"1": "0", "2": word(CREATED), "3": "0"}},
            CREATED: {"balance": "9", "code": f"0x{OTHER[:6]}", "nonce": "1", "storage": {}},
        },
        other=module("(call $finish (i32.const 0) (i32.const 3))"),
    )


@pytest.mark.parametrize(
    ("init", "result", "size"),
    [
        ("(unreachable)", 1, 0),
        ("(call $revert (i32.const 0) (i32.const 5))", 2, 5),
        ("(call $useGas (i64.const 90000000))", 1, 0),
    ],
)
def test_init_code_that_does_not_end_well_creates_nothing(init: str, result: int, size: int) -> None:
    expect: dict[str, object] = {
        SELF: {"balance": "1000", "storage": {"1": str(result), "3": str(size)}},
        CREATED: {"shouldnotexist": "1"},
    }

    check(created_by(""), expect, other=module(init))


MEMORY = '(memory (export "memory") 1)'
MAIN = '(func (export "main"))'


@pytest.mark.parametrize(
    "init",
    [
        "0x6001",
        "0x0061736d",
        "0x0061736d02000000",
        "0x0061736d01000000",
        f"(module {MAIN})",
        f"(module {MEMORY})",
        f'(module {MEMORY} (func (export "main") (result i32) (i32.const 0)))',
        f'(module {MEMORY} (func (export "main") (param i32)))',
        f'(module {MEMORY} (func $f (export "main")) (start $f))',
        f'(module {MEMORY} {MAIN} (func (export "extra")))',
        f'(module {MEMORY} {MAIN} (memory (export "more") 1))',
        f'(module {MEMORY} {MAIN} (global (export "g") i32 (i32.const 0)))',
        '(module (memory (export "main") 1) (func (export "memory")))',
        f'(module (import "env" "f" (func)) {MEMORY} {MAIN})',
        f'(module (import "debug" "print32" (func (param i32))) {MEMORY} {MAIN})',
        f'(module (import "ethereum" "gasLeft" (func (result i64))) {MEMORY} {MAIN})',
        f'(module (import "ethereum" "memory" (memory 1)) (export "memory" (memory 0)) {MAIN})',
        f'(module (import "storage" "memory" (memory 1)) (export "memory" (memory 0)) {MAIN})',
    ],
)
def test_init_code_that_is_no_contract_creates_nothing(init: str) -> None:
    expect: dict[str, object] = {
        SELF: {"balance": "1000", "storage": {"1": "1", "3": "0"}},
        CREATED: {"shouldnotexist": "1"},
    }

    check(created_by(""), expect, other=init)


@pytest.mark.parametrize(
    "code",
    [
        b"\0asm\x01\0\0\0",
        b"\0asm",
        b"\0asm\x01",
        b"\0asm\x02\0\0\0",
    ],
)
def test_created_code_that_begins_as_wasm_has_to_be_a_contract(code: bytes) -> None:
    init = module(
        f"(call $finish (i32.const 300) (i32.const {len(code)}))",
        data=f'(data (i32.const 300) "{escaped(code.hex())}")',
    )

    check(
        created_by(""),
        {SELF: {"balance": "1000", "storage": {"1": "1"}}, CREATED: {"shouldnotexist": "1"}},
        other=init,
    )


@pytest.mark.parametrize(("length", "result"), [(24_576, 0), (24_577, 1)])
def test_created_code_is_no_longer_than_clients_let_it_be(length: int, result: int) -> None:
    exists: dict[str, object] = {"code": f"0x{'00' * length}"} if result == 0 else {"shouldnotexist": "1"}

    check(
        created_by(""),
        {SELF: {"storage": {"1": str(result), **({"2": word(CREATED)} if result == 0 else {})}}, CREATED: exists},
        other=module(f"(call $finish (i32.const 4096) (i32.const {length}))"),
    )


def test_a_value_that_is_not_there_creates_nothing() -> None:
    check(
        """(i32.store (i32.const 128) (i32.const 1001))
        (call $put (i32.const 1) (call $create (i32.const 128) (i32.const 0) (i32.const 0) (i32.const 200)))""",
        {SELF: {"balance": "1000", "storage": {"1": "1"}}, CREATED: {"shouldnotexist": "1"}},
    )


def test_empty_init_code_creates_an_account_without_code() -> None:
    check(
        created_by(""),
        {SELF: {"storage": {"1": "0", "2": word(CREATED)}}, CREATED: {"balance": "9", "code": "", "nonce": "1"}},
    )


@pytest.mark.parametrize("at", [65517, -1])
def test_an_address_that_cannot_be_stored_undoes_the_creation(at: int) -> None:
    body = created_by("").replace("(local.get $size) (i32.const 200)", f"(local.get $size) (i32.const {at})")

    check(body, {**stored(), CREATED: {"shouldnotexist": "1"}}, other=module(""))


def test_a_creation_that_fails_stores_no_address_wherever_it_would_be() -> None:
    body = "(call $put (i32.const 1) (call $create (i32.const 96) (i32.const 0) (i32.const 8) (i32.const -1)))"

    check(body, stored(k1="1"))


def test_created_contract_can_be_called_and_has_storage_of_its_init_code() -> None:
    init = module(
        """(call $put (i32.const 5) (i32.const 6))
        (i32.store (i32.const 1024) (call $getExternalCodeSize (i32.const 32)))
        (call $externalCodeCopy (i32.const 32) (i32.const 2048) (i32.const 0) (i32.load (i32.const 1024)))
        (call $finish (i32.const 2048) (i32.load (i32.const 1024)))"""
    )
    body = created_by(
        """(call $put (i32.const 4)
             (call $call (i64.const 500000) (i32.const 200) (i32.const 160) (i32.const 0) (i32.const 0)))"""
    )
    raw_runtime = module("(call $put (i32.const 8) (i32.const 9))")
    pre = {
        SENDER: {"balance": "1000000000000"},
        SELF: {"balance": "1000", "code": module(body)},
        OTHER: {"code": init},
        NOBODY: {"code": raw_runtime},
    }
    raw = {
        "pre": pre,
        "transaction": {"sender": SENDER, "to": SELF, "gasLimit": "0x5000001"},
        "expect": {
            SELF: {"storage": {"1": "0", "2": word(CREATED), "4": "0"}},
            CREATED: {"balance": "9", "code": raw_runtime, "storage": {"5": "6", "8": "9"}},
        },
    }

    assert run_vector(parse_vector(json.dumps(raw), path="it.json")).differences == ()


DESTROYS = "(call $selfDestruct (i32.const {at}))"


def len_of(text: str) -> int:
    raw = {"pre": {SELF: {"code": text}}, "transaction": {"sender": SENDER, "gasLimit": "1"}, "expect": {}}
    return len(parse_vector(json.dumps(raw), path="it.json").pre[Address(SELF)].code.data)


def test_self_destruction_gives_the_balance_away_and_removes_the_account_at_the_end() -> None:
    check(
        """(drop (call $call (i64.const 500000) (i32.const 0) (i32.const 128) (i32.const 0) (i32.const 0)))
        (call $put (i32.const 1) (call $getExternalCodeSize (i32.const 0)))
        (call $getExternalBalance (i32.const 32) (i32.const 240)) (call $keep (i32.const 2) (i32.const 240))
        (drop (call $call (i64.const 500000) (i32.const 0) (i32.const 128) (i32.const 0) (i32.const 0)))""",
        {
            OTHER: {"shouldnotexist": "1"},
            NOBODY: {"balance": "50", "nonce": "0", "code": "", "storage": {}},
            SELF: {"storage": {"1": str(len_of(module(DESTROYS.format(at=32)))), "2": little(50)}},
        },
        other=module(DESTROYS.format(at=32)),
    )


def test_self_destruction_in_favour_of_itself_burns_the_balance() -> None:
    check(DESTROYS.format(at=64), {SELF: {"shouldnotexist": "1"}})


def test_self_destruction_that_is_undone_did_not_happen() -> None:
    inner = """(if (i32.eqz (call $getCallDataSize)) (then
        (drop (call $call (i64.const 100000) (i32.const 0) (i32.const 128) (i32.const 0) (i32.const 1)))
        (call $revert (i32.const 0) (i32.const 0)))
      (else (call $selfDestruct (i32.const 32))))"""

    check(
        "(drop (call $call (i64.const 500000) (i32.const 0) (i32.const 128) (i32.const 0) (i32.const 0)))",
        {OTHER: {"balance": "50"}, NOBODY: {"shouldnotexist": "1"}},
        other=module(inner),
    )


def test_nothing_is_executed_after_self_destruction() -> None:
    check(
        f"{DESTROYS.format(at=32)} (call $put (i32.const 1) (i32.const 1)) (unreachable)",
        {SELF: {"shouldnotexist": "1"}},
    )
