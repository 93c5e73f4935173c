"""What compilers make of writing to mapped storage keeps the rules for static calls, with any instructions."""

from __future__ import annotations

import pytest

from storagemod import Address, StorageMapping, World
from storagemod.types import MAP_OPTIONS, Outcome

from .compilers import contract

MEMORY_FILL = b"\xfc\x0b\0"  # the instruction
LIBRARY = Address(0xF111)

CALLER = """
(module
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callStatic" (func $call_static (param i64 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 18) "\\f1\\11")
  (func (export "plain") (result i32)
    (call $call (i64.const 1000000) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0)))
  (func (export "static") (result i32)
    (call $call_static (i64.const 1000000) (i32.const 0) (i32.const 0) (i32.const 0))))
"""


@pytest.mark.parametrize("option", MAP_OPTIONS)
@pytest.mark.parametrize("language", ["c", "assemblyscript"])
def test_static_call_cannot_write_mapped_storage_and_its_caller_goes_on(language: str, option: str) -> None:
    world = World()
    code = contract(language, "fill")
    assert (MEMORY_FILL in code) is (language == "assemblyscript")
    world.deploy(code, address=LIBRARY, mapping=StorageMapping(option), name="library")
    caller = world.deploy(CALLER, name="caller")

    assert world.transact(caller, "static").value == Outcome.FAILED
    assert world.storage(LIBRARY)["memory"][0:4096] == bytes(4096)

    assert world.transact(caller, "plain").value == Outcome.OK
    assert world.storage(LIBRARY)["memory"][0:4096] == b"\7" * 4096
