"""Puppets to test semantics with: contracts that do what their call data says."""

from __future__ import annotations

from typing import Any

from storagemod import Address, Receipt, World
from storagemod.scenario import puppet
from storagemod.scenario.contents import contents
from storagemod.scenario.fixtures import fixture
from storagemod.types import MAP_OPTIONS, StorageMapping

POLICIES = {
    "copied, revision": StorageMapping("copied", "revision"),
    "paged, transaction": StorageMapping("paged", exclusive="transaction"),
    "aliased, transaction": StorageMapping("aliased", exclusive="transaction"),
}
"""Policies under which calls are refused that others let through."""

LOWERED = "lowered"
"""Stands beside the linking options: contracts that call functions of `methods`, and run under `single`."""


BYTES = "bytes"
"""The same: the option `regions`, with memories whose pages have one byte, grown by 65,536 of them at a time."""

BYTEWISE = "bytewise"
"""The same, grown and measured by bytes, and no whole Wasm pages long from the start."""

BYTEWISE_MIN, BYTEWISE_MAX = 65_541, 4 * 65_536

_REQUIRED = "(i64.shl (i64.extend_i32_u (memory.size $storage)) (i64.const 16))"

_SIZE = "(func $storage_size (result i32) (memory.size $storage))"
_GROW = "(func $storage_grow (param $pages i32) (result i32) (memory.grow $storage (local.get $pages)))"

_BY_WASM_PAGES = """
(func $storage_size (result i32) (i32.shr_u (memory.size $storage) (i32.const 16)))
(func $storage_grow (param $pages i32) (result i32)
  (local $before i32)
  (if (i32.gt_u (local.get $pages) (i32.const 0xffff))
    (then (return (i32.const -1))))
  (local.set $before (memory.grow $storage (i32.shl (local.get $pages) (i32.const 16))))
  (if (result i32) (i32.eq (local.get $before) (i32.const -1))
    (then (i32.const -1))
    (else (i32.shr_u (local.get $before) (i32.const 16)))))
"""


def with_pages_of_a_byte(source: str, *, bytewise: bool) -> str:
    """Return a fixture of the option `regions` whose memories of storage have pages of one byte."""
    least = BYTEWISE_MIN if bytewise else 65_536
    changed = [
        ("(memory $storage 1))", f"(memory $storage {least} (pagesize 1)))"),
        ("(memory $spare 0 16))", f"(memory $spare 0 {16 * 65_536} (pagesize 1)))"),
        (_REQUIRED, "(i64.extend_i32_u (memory.size $storage))"),
    ]
    if not bytewise:
        changed += [(_SIZE, ""), (_GROW, _BY_WASM_PAGES)]
    for old, new in changed:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    return source


def linked(name: str, option: str) -> dict[str, Any]:
    """Return what deploys a fixture under a linking option, lowered, or under one of the policies of ``POLICIES``."""
    if option == LOWERED:
        return {"code": fixture(name, "methods"), "link": "single"}
    if option in {BYTES, BYTEWISE}:
        return {"code": with_pages_of_a_byte(fixture(name, "regions"), bytewise=option == BYTEWISE), "mapping": None}
    mapping = POLICIES.get(option) or (StorageMapping(option) if option in MAP_OPTIONS else None)
    return {"code": fixture(name, option if mapping is None else mapping.option), "mapping": mapping}


def deploy_puppet(world: World, option: str, **arguments: Any) -> Address:
    """Deploy one under a linking option, lowered, or under one of the policies of ``POLICIES``."""
    return world.deploy(**{"name": "puppet"} | linked("puppet/puppet", option) | arguments)


def play(world: World, to: Address, *operations: puppet.Operation, **arguments: Any) -> Receipt:
    """Have a puppet carry out a script, and commit what it did."""
    return world.transact(to, data=bytes(puppet.Script(*operations)), **arguments)


def results(receipt: Receipt, *operations: puppet.Operation) -> list[Any]:
    """What the operations that a receipt came of appended."""
    return puppet.decode_output(puppet.Script(*operations), receipt.output)


def play_ok(world: World, to: Address, *operations: puppet.Operation, **arguments: Any) -> list[Any]:
    """Have a puppet carry out a script that succeeds, and give the results."""
    receipt = play(world, to, *operations, **arguments)
    assert receipt.ok, receipt.error
    return results(receipt, *operations)


def script(*operations: puppet.Operation) -> puppet.Script:
    return puppet.Script(*operations)


def integer_at(world: World, address: Address, offset: int, region: str = "memory") -> int:
    return int.from_bytes(contents(world, address)[region][offset : offset + 8], "little", signed=True)
