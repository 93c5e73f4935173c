"""Rule 2: a contract reaches its own storage and no other, and a delegate call its caller's."""

from __future__ import annotations

import pytest

from storagemod import CallKind, Contract, LinkError, Outcome, World
from storagemod.scenario.puppet import Call, Grow, Load, Store
from storagemod.vm import storage_module
from tests.semantics.puppets import deploy_puppet, play, script


def delegate(world: World, owner_option: str, wat_imports: str) -> str:
    """What comes of running a contract with these imports on the storage of a puppet."""
    owner = deploy_puppet(world, owner_option)
    code = world.deploy(f'(module {wat_imports} (func (export "main")))', name="library")
    receipt = play(world, owner, Store(0, 1), Grow(1), Call(code, kind=CallKind.DELEGATE))
    assert receipt.ok
    assert receipt.trace is not None
    ended = receipt.trace.calls[1].ended
    assert ended is not None
    if ended.outcome is Outcome.OK:
        return "ok"
    assert isinstance(ended.error, LinkError)
    assert ended.gas_used == 0
    return str(ended.error)


@pytest.mark.parametrize(
    ("owner", "imports", "outcome"),
    [
        ("single", '(import "storage" "memory" (memory 1))', "ok"),
        ("single", '(import "storage" "memory" (memory 2))', "ok"),  # it grew before
        ("single", '(import "storage" "memory" (memory 3))', "wanted (memory 3), offered (memory 1 1024)"),
        ("single", '(import "storage" "memory" (memory 1 1024))', "ok"),
        ("single", '(import "storage" "memory" (memory 1 9))', "wanted (memory 1 9), offered (memory 1 1024)"),
        ("single", '(import "storage" "memory" (memory i64 1))', "wanted (memory i64 1), offered (memory 1 1024)"),
        ("single", '(import "storage" "other" (memory 1))', "offered nothing of that name"),
        ("single", '(import "storage" "size" (func (result i32)))', "offered nothing of that name"),
        ("regions", '(import "storage" "spare" (memory 0 16))', "ok"),
        ("methods", '(import "storage" "size" (func (result i32)))', "ok"),
        ("methods", '(import "storage" "size" (func (result i64)))', "wanted (func (result i64)), offered"),
        ("methods", '(import "storage" "memory" (memory 1))', "offered nothing of that name"),
        ("methods", "", "ok"),
    ],
)
def test_code_runs_on_its_callers_storage_only_if_that_fits(
    world: World, owner: str, imports: str, outcome: str
) -> None:
    assert outcome in delegate(world, owner, imports)


def test_the_memory_behind_methods_is_offered_to_no_contract() -> None:
    contract = Contract.load('(module (import "storage" "size" (func (result i32))))')
    assert "memory" in storage_module(contract.layout).exports  # for the host, which maps images under it
    for name in ("memory", "region0"):
        with pytest.raises(LinkError):
            Contract.load(
                f"""(module (import "storage" "size" (func (result i32)))
                  (import "storage" "{name}" (memory 1)) (import "storage" "memory" (memory 1)))"""
            )


def test_a_delegate_cannot_reach_the_private_memory(world: World) -> None:
    owner = deploy_puppet(world, "methods")
    thief = deploy_puppet(world, "single", name="thief")
    receipt = play(world, owner, Store(0, 1), Call(thief, script(Load(0)), kind=CallKind.DELEGATE))
    assert receipt.ok
    assert receipt.trace is not None
    ended = receipt.trace.calls[1].ended
    assert ended is not None
    assert 'thief at call depth 2: import "storage" "memory" does not match the storage' in str(ended.error)
