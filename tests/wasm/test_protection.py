"""Storage that code may not write, or not reach: a trap or a failed call, whichever way it tries, and never a crash."""

from __future__ import annotations

import json

import pytest

from storagemod.vm import Contract
from tests.pages.programs import output_of

WASM_PAGE = 65_536


def test_every_load_and_store_traps_exactly_where_it_is_forbidden() -> None:
    trials = json.loads(output_of("tests.wasm.protected_accesses"))
    assert len(trials) > 3_000
    for at, backend, rights, name, stores, address, width, found in trials:
        expected: object = "ok"
        if rights == "reading" and stores:
            expected = ["memory_out_of_bounds", [address, 2 * WASM_PAGE]]
        elif rights == "a length" and address + width > WASM_PAGE:
            expected = ["memory_out_of_bounds", [max(address, WASM_PAGE), 2 * WASM_PAGE]]
        for way, outcome in found.items():
            assert outcome == expected, f"{name} at {address} ({way}, {at}) held to {rights} by {backend}"


HELD_BACK = {
    "grow and fail": ("static", "outside", "static"),
    "nothing": ("ok", "ok", "ok"),
    "load": ("ok", "ok", "ok"),
    "store": ("static", "ok", "static"),
    "store the same": ("static", "ok", "static"),
    "load beyond": ("bounds", "outside", "outside"),
    "store beyond": ("bounds", "outside", "outside"),
    "store across": ("static", "outside", "static"),
}
"""How a call ends whose code is held back while it runs: a static one, one after an undone growth of its storage, and
one that is both.
"""

FOUND_AFTERWARDS = {
    "grow and fail": ("static", "outside", "outside"),
    "nothing": ("ok", "ok", "ok"),
    "load": ("ok", "ok", "ok"),
    "store": ("static", "ok", "static"),
    "store the same": ("ok", "ok", "ok"),
    "load beyond": ("bounds", "ok", "ok"),
    "store beyond": ("bounds", "outside", "outside"),
    "store across": ("bounds", "outside", "outside"),
    "fill": ("static", "ok", "static"),
    "fill with the same": ("ok", "ok", "ok"),
    "fill nothing": ("ok", "ok", "ok"),
    "fill beyond": ("bounds", "outside", "outside"),
    "fill across": ("bounds", "outside", "outside"),
    "fill outside": ("bounds", "bounds", "bounds"),
    "copy to storage": ("static", "ok", "static"),
    "copy beyond": ("bounds", "outside", "outside"),
    "copy from storage": ("ok", "ok", "ok"),
    "copy from beyond": ("bounds", "ok", "ok"),
    "copy within storage": ("static", "ok", "static"),
    "copy from beyond to storage": ("bounds", "ok", "ok"),
    "init": ("static", "ok", "static"),
    "init beyond": ("bounds", "outside", "outside"),
    "segment inside": ("static", "ok", "static"),
    "segment beyond": ("bounds", "outside", "outside"),
    "segment across": ("bounds", "outside", "outside"),
}
"""The same of code that cannot be held back, and is judged by what it changed."""

ERRORS = {
    "ok": ("OK", None, None),
    "static": ("FAILED", "static_write", "a static call "),
    "bounds": ("FAILED", "memory_out_of_bounds", "out of bounds memory access"),
    "outside": ("FAILED", "memory_out_of_bounds", "out of bounds storage access: beyond the length of the region"),
}


def test_code_in_bulk_never_crashes_and_is_judged_when_it_ends(tracker: str) -> None:
    seen = set()
    for at, kind, name, situation, (outcome, code, message) in json.loads(
        output_of("tests.wasm.protected_contracts", tracker)
    ):
        held_back = tracker != "portable" and (kind == "plain" or (kind, name) == ("delegated", "store"))
        expected = (HELD_BACK if held_back else FOUND_AFTERWARDS)[name][("static", "hole", "both").index(situation)]
        start = ERRORS[expected][2]
        assert (outcome, code) == ERRORS[expected][:2], f"{name}, {kind}, {at}, {situation}: {message}"
        assert message is None if start is None else message.startswith(start), f"{name}, {kind}, {at}, {situation}"
        seen.add((at, kind))
    assert seen >= {("i32", "plain"), ("i64", "plain"), ("i32", "in bulk"), ("i64", "in bulk"), ("i32", "delegated")}


@pytest.mark.parametrize(
    ("body", "in_bulk"),
    [
        ("(func (memory.fill $own (i32.const 0) (i32.const 0) (i32.const 0)))", False),
        ("(func (memory.fill $s (i32.const 0) (i32.const 0) (i32.const 0)))", True),
        ("(func (memory.copy $own $own (i32.const 0) (i32.const 0) (i32.const 0)))", False),
        ("(func (memory.copy $own $s (i32.const 0) (i32.const 0) (i32.const 0)))", True),
        ("(func (memory.copy $s $own (i32.const 0) (i32.const 0) (i32.const 0)))", True),
        ('(data $d "x") (func (memory.init $own $d (i32.const 0) (i32.const 0) (i32.const 0)))', False),
        ('(data $d "x") (func (memory.init $s $d (i32.const 0) (i32.const 0) (i32.const 0)))', True),
        ('(data (memory $own) (i32.const 0) "x")', False),
        ('(data (memory $s) (i32.const 0) "x")', True),
        ('(data "x")', False),
        ("(func (i64.store $s (i32.const 0) (i64.const 0)))", False),
    ],
)
def test_a_contract_is_held_back_unless_it_reaches_storage_in_bulk(body: str, in_bulk: bool) -> None:
    contract = Contract.load(f'(module (import "storage" "memory" (memory $s 1)) (memory $own 1) {body})')
    assert contract.bulk_storage == in_bulk
