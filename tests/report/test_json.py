from __future__ import annotations

import json

from storagemod import World
from storagemod.errors import ScenarioError
from storagemod.report import document, error_to_json, receipt_to_json, trace_to_json

from .traces import BANK, THIEF, accounts, ended, nested, record, robbery, started


def test_document_begins_with_its_schema_and_ends_with_a_newline() -> None:
    text = document("run", {"b": 1, "a": 2**64})

    assert text == '{\n  "schema": "storagemod.run/1",\n  "b": 1,\n  "a": 18446744073709551616\n}\n'


def test_document_is_ascii_so_that_it_is_the_same_bytes_wherever_it_is_written() -> None:
    text = document("run", {"name": "日本 \x7f\x1b\U0001f600"})

    assert text.isascii()
    assert "\x1b" not in text
    assert json.loads(text)["name"] == "日本 \x7f\x1b\U0001f600"


def test_trace_of_everything_is_json_that_keeps_its_order() -> None:
    shown = trace_to_json(robbery())
    attack, withdraw, receive, again, delegate, total = shown["calls"]

    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert shown["labels"] == {str(THIEF): "thief", str(BANK): "bank"}
    assert [step["type"] for step in withdraw["steps"]] == [
        "storage_module",
        "storage_written",
        "log",
        "call",
        "call",
        "call",
    ]
    assert (attack["parent"], withdraw["parent"], again["parent"]) == (None, 0, 2)
    assert [call["undone"] for call in shown["calls"]] == [False, False, True, True, True, True]
    assert [call["kind"] for call in (attack, delegate, total)] == ["call", "callDelegate", "callStatic"]
    assert receive["data"] == "0x" + bytes(range(40)).hex()
    assert (again["outcome"], again["error"]["type"], again["error"]["code"]) == (
        "failed",
        "TrapError",
        "memory_out_of_bounds",
    )
    assert (receive["outcome"], receive["output"]) == ("reverted", "0x6e6f")
    assert withdraw["values"] == [3, 1.5]
    assert attack["changes"] == [
        {"region": "memory", "offset_bytes": 0, "old": "0x" + "00" * 8, "new": "0x0400000000000000"}
    ]


def test_numbers_that_json_has_no_word_for_are_texts() -> None:
    shown = trace_to_json(record(started(0, BANK, "f"), ended(0, 1, float("nan"), float("-inf"), -(2**63), 0.5)))

    assert shown["calls"][0]["values"] == ["nan", "-inf", -(2**63), 0.5]


def test_calls_nested_to_the_limit_are_no_deeper_in_json() -> None:
    shown = trace_to_json(nested(1_024))

    assert len(json.loads(json.dumps(shown))["calls"]) == 1_024


def test_call_that_the_trace_does_not_see_end_has_no_outcome() -> None:
    shown = trace_to_json(record(started(0, BANK, "f")))

    assert shown["calls"][0]["outcome"] is None
    assert shown["calls"][0]["undone"]


def test_receipt_of_a_failed_transaction_names_the_causes_nearest_first() -> None:
    world = World()
    world.deploy('(module (func (export "f") unreachable))', address=1, name="bad")
    caller = '(module (import "contract:bad" "f" (func $f)) (func (export "g") (call $f)))'
    world.deploy(caller, address=2, links={"bad": 1}, name="caller")

    shown = receipt_to_json(world.transact(2, "g"))

    assert (shown["ok"], shown["outcome"], shown["values"], shown["changes"]) == (False, "failed", [], {})
    assert (shown["error"]["code"], shown["error"]["contract"], shown["error"]["depth"]) == (
        "callee_failed",
        "caller",
        1,
    )
    assert [(cause["code"], cause["contract"]) for cause in shown["error"]["causes"]] == [("unreachable", "bad")]
    assert [call["method"] for call in shown["trace"]["calls"]] == ["g", "f"]


def test_error_that_comes_from_many_calls_down_is_told_in_little_room() -> None:
    world = World()
    deep = """(module (import "contract:self" "f" (func $f (param i32)))
      (func (export "f") (param i32)
        (if (i32.eqz (local.get 0)) (then unreachable))
        (call $f (i32.sub (local.get 0) (i32.const 1)))))"""
    world.deploy(deep, address=1, links={"self": 1}, name="deep")

    shown = receipt_to_json(world.transact(1, "f", 300))["error"]

    assert len(shown["causes"]) == 300
    assert "did not end well: deep at call depth 301: `unreachable` was executed" in shown["message"]
    assert max(len(cause["message"]) for cause in shown["causes"]) < 200


def test_receipt_of_a_transaction_that_went_well_has_values_changes_and_logs() -> None:
    world = World(trace=False)
    world.deploy(
        """(module
          (import "ethereum" "log" (func $log (param i32 i32 i32 i32 i32 i32 i32)))
          (import "storage" "memory" (memory 1))
          (memory (export "memory") 1)
          (func (export "f") (result i32 i64)
            (i64.store (i32.const 8) (i64.const 5))
            (call $log (i32.const 0) (i32.const 2) (i32.const 0)
              (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
            (i32.const 1) (i64.const -1)))""",
        address=1,
    )

    shown = receipt_to_json(world.transact(1, "f"))

    assert (shown["ok"], shown["values"], shown["error"], shown["trace"]) == (True, [1, -1], None, None)
    assert shown["logs"] == [{"address": "0x" + "00" * 19 + "01", "topics": [], "data": "0x0000"}]
    assert shown["changes"] == {
        "0x" + "00" * 19 + "01": [
            {"region": "memory", "offset_bytes": 8, "old": "0x" + "00" * 8, "new": "0x05" + "00" * 7}
        ]
    }


def test_accounts_that_are_created_and_destroyed_are_steps() -> None:
    shown = trace_to_json(accounts())["calls"]

    assert [call["kind"] for call in shown] == ["call", "create", "create", "create", "callCode"]
    assert shown[1]["data"] == "0x" + bytes(range(40)).hex()
    assert shown[1]["steps"] == [
        {"type": "debug_printed", "text": "one\nline"},
        {"type": "account_created", "address": "0x" + "00" * 19 + "0d", "code": "0xbeef"},
    ]
    assert shown[4]["steps"] == [
        {"type": "account_destroyed", "address": str(BANK), "beneficiary": str(THIEF), "value": 93}
    ]


def test_receipt_says_what_a_transaction_created() -> None:
    receipt = World().create(b"")

    assert receipt_to_json(receipt)["created"] == str(receipt.created)
    assert receipt_to_json(World().transact(5))["created"] is None


def test_an_error_of_a_scenario_file_tells_the_file_and_the_line() -> None:
    shown = error_to_json(ScenarioError("no such key", path="bank.toml", line=7))

    assert shown is not None
    assert (shown["path"], shown["line"]) == ("bank.toml", 7)
