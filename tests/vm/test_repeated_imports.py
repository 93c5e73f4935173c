"""What deploys can be linked: imports that stand twice are served, or refused at deployment."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod import World
from storagemod.errors import LinkError, StorageModError
from storagemod.types import MAP_OPTIONS, METHODS_OPTIONS

CALLEE = """
(module (func (export "f") (param i32) (result i32) (local.get 0))
  (func (export "g") (result i64) (i64.const 1)))
"""

IMPORTS = [
    '(import "storage" "memory" (memory 1))',
    '(import "storage" "memory" (memory 1 2))',
    '(import "storage" "memory" (memory i64 1))',
    '(import "storage" "ledger" (memory 1))',
    '(import "storage" "ledger" (memory 2))',
    '(import "storage" "window" (memory 1))',
    '(import "storage" "load_i64" (func (param i32) (result i64)))',
    '(import "storage" "load_i64" (func (param i64) (result i64)))',
    '(import "storage" "store_i64" (func (param i32 i64)))',
    '(import "storage" "copy_in" (func (param i32 i32 i32)))',
    '(import "storage" "size" (func (result i32)))',
    '(import "storage" "grow" (func (param i32) (result i32)))',
    '(import "ethereum" "storageMap" (func (param i32 i32 i32)))',
    '(import "ethereum" "storageSize" (func (result i64)))',
    '(import "ethereum" "storageLoad" (func (param i32 i32)))',
    '(import "ethereum" "storageStore" (func (param i32 i32)))',
    '(import "ethereum" "getGasLeft" (func (result i64)))',
    '(import "ethereum" "getGasLeft" (func (result i32)))',
    '(import "contract:a" "f" (func (param i32) (result i32)))',
    '(import "contract:a" "f" (func (param i64) (result i32)))',
    '(import "contract:a" "f?" (func (param i32) (result i32 i32)))',
    '(import "contract:a" "g" (func (result i64)))',
]


def module(imports: list[str]) -> str:
    return f'(module {" ".join(imports)} (memory (export "memory") 1) (func (export "run")))'


CALLER = """
(module (import "contract:b" "run" (func $run)) (import "storage" "memory" (memory $storage 1))
  (func (export "go") (i64.store $storage (i32.const 0) (i64.const 7)) (call $run)))
"""


@pytest.mark.parametrize(
    ("item", "link"),
    [
        ('(import "storage" "memory" (memory 1))', None),
        ('(import "storage" "ledger" (memory 1 4))', None),
        ('(import "storage" "window" (memory 1))', None),
        *(('(import "storage" "load_i64" (func (param i32) (result i64)))', link) for link in METHODS_OPTIONS),
        *(('(import "storage" "grow" (func (param i32) (result i32)))', link) for link in METHODS_OPTIONS),
        *(('(import "ethereum" "storageMap" (func (param i32 i32 i32)))', link) for link in MAP_OPTIONS),
        ('(import "ethereum" "storageLoad" (func (param i32 i32)))', None),
        ('(import "contract:a" "f" (func (param i32) (result i32)))', None),
    ],
)
def test_an_import_that_stands_twice_alike_is_linked(item: str, link: str | None) -> None:
    world = World()
    links = {"a": world.deploy(CALLEE)} if "contract:a" in item else {}
    twice = world.deploy(module([item, item]), links=links, link=link)
    assert world.transact(twice, "run").ok


def test_one_memory_imported_twice_is_one_memory() -> None:
    world = World()
    twice = world.deploy(
        """(module (import "storage" "memory" (memory $one 1)) (import "storage" "memory" (memory $two 1))
        (func (export "run") (result i64)
          (i64.store $one (i32.const 8) (i64.const 5)) (i64.store $two (i32.const 16) (i64.const 6))
          (i64.add (i64.load $two (i32.const 8)) (i64.load $one (i32.const 16)))))"""
    )
    assert world.transact(twice, "run").value == 11
    assert world.storage(twice)["memory"].read_int(16) == 6


def test_a_method_of_a_contract_under_two_types_is_refused_at_deployment() -> None:
    world = World()
    a = world.deploy(CALLEE)
    types = ["(param i32) (result i32)", "(param i64) (result i32)"]
    for first, second in (types, types[::-1]):
        imports = [f'(import "contract:a" "f" (func {each}))' for each in (first, second)]
        with pytest.raises(LinkError, match='expected one type for all imports of "contract:a" "f", got'):
            world.deploy(module(imports), links={"a": a})


@given(st.lists(st.sampled_from(IMPORTS), max_size=5), st.sampled_from([None, *METHODS_OPTIONS, *MAP_OPTIONS]))
@settings(deadline=None)
def test_what_deploys_runs_and_nothing_but_our_own_errors_comes_out(imports: list[str], link: str | None) -> None:
    world = World()
    links = {"a": world.deploy(CALLEE)} if any("contract:a" in each for each in imports) else {}
    try:
        b = world.deploy(module(imports), links=links, link=link)
    except StorageModError:
        return
    caller = world.deploy(CALLER, links={"b": b})
    world.transact(b, "run").raise_for_error()
    world.transact(caller, "go").raise_for_error()
    assert world.storage(caller)["memory"].read_int(0) == 7
