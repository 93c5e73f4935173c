"""Attacks by hand and at random, to write as files: contracts that call two attackers in every way, and scripts."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from pathlib import Path

import attrs

from storagemod.explore import Call, Ending, Exploration, Reaction, Script, Violation, explore
from storagemod.explore.trial import Breach
from storagemod.explore.write import _Attack, write_tests
from storagemod.scenario import (
    Scenario,
    deploy_scenario,
    load_scenario,
    parse_scenario,
    run_scenario,
    run_transaction,
)
from storagemod.types import Address
from storagemod.world import World

from .examples import rule, scenario

MALLORY, TRUDY, CONTRACT = Address(9), Address(10), Address(32)
WORDS = 4
"""The words of storage that contracts work on."""

HOOKS = {"hook": 0, "ask": 1, "main": 0}
"""What contracts call of attackers, by how many numbers it returns."""

_OPERATIONS = ("add", "set", "keep", "put", "require", "hook", "hook", "try", "ask", "ask", "pay", "static", "trudy")


def attack(of: Scenario | Path, script: Script, invariant: str | None = None) -> Exploration:
    """Return an exploration that found a script, by hand."""
    exploration = explore(of, tries=1, calls=1)
    name = invariant or exploration.invariants[0]
    breach = Breach(name, (), len(script) - 1)
    violation = Violation(name, "", breach, script, (), script)
    return attrs.evolve(exploration, found=attrs.evolve(exploration.found, violations=(violation,)))


def written(of: Scenario | Path, script: Script, folder: Path, invariant: str | None = None) -> str:
    """Write an attack; return the text of its scenario, which was checked to break the invariant alone."""
    path, _ = write_tests(attack(of, script, invariant), folder)
    result = run_scenario(load_scenario(path))
    assert [each.ok for each in result.transactions] == [True] * (len(result.transactions) - 1) + [False]
    return path.read_text(encoding="utf-8")


def operation(kind: str, word: int, other: int, number: int) -> str:
    """One line of a contract that works on words of storage, and calls attackers."""
    at, load = f"(i32.const {8 * word})", f"(i64.load $storage (i32.const {8 * word}))"
    raw = "(i64.const 1000000000000) (i32.const {}) (i32.const 64) (i32.const 0) (i32.const 0)"
    return {
        "add": f"(i64.store $storage {at} (i64.add {load} (i64.const {number})))",
        "set": f"(i64.store $storage {at} (i64.const {number}))",
        "keep": f"(local.set $kept {load})",
        "put": f"(i64.store $storage (i32.const {8 * other}) (local.get $kept))",
        "require": f"(if (i64.ne {load} (i64.const {number})) (then (unreachable)))",
        "hook": "(call $hook)",
        "try": f"(i64.store $storage {at} (i64.extend_i32_u (call $try)))",
        "ask": f"(call $ask (i64.const {number})) (local.set $kept) (local.set $failed) "
        f"(i64.store $storage {at} (i64.add (i64.mul {load} (i64.const 3)) (i64.add (local.get $kept) "
        "(i64.extend_i32_u (local.get $failed)))))",
        "pay": f"(i64.store $storage {at} (i64.extend_i32_u (call $call {raw.format(0)})))",
        "trudy": f"(i64.store $storage {at} (i64.extend_i32_u (call $call {raw.format(32)})))",
        "static": f"(i64.store $storage {at} (i64.add (i64.mul {load} (i64.const 3)) (i64.extend_i32_u (call $static "
        "(i64.const 1000000000000) (i32.const 0) (i32.const 0) (i32.const 0)))))",
    }[kind]


def contract(bodies: Sequence[Sequence[str]], goal: str) -> Scenario:
    """A contract whose methods m0, m1... are operations."""
    functions = "\n".join(
        f'(func (export "m{number}") (local $kept i64) (local $failed i32) {" ".join(body)})'
        for number, body in enumerate(bodies)
    )
    return scenario(f"""
[accounts]
mallory = {{ address = "0x09", balance = 100 }}
trudy = {{ address = "0x0a", balance = 100 }}
[explore]
untrusted = ["mallory", "trudy"]
[contracts.c]
address = "0x20"
balance = 50
wat = '''(module
  (import "storage" "memory" (memory $storage 1))
  (import "contract:hook" "hook" (func $hook))
  (import "contract:hook" "hook?" (func $try (result i32)))
  (import "contract:hook" "ask?" (func $ask (param i64) (result i32 i64)))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callStatic" (func $static (param i64 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (memory 1) (i32.const 19) "\\09")
  (data (memory 1) (i32.const 51) "\\0a")
  (data (memory 1) (i32.const 64) "\\01")
  (func (export "main"))
  {functions})'''
links = {{ hook = "mallory" }}
{rule(goal, "goal")}""")


def goal_of(words: Sequence[int]) -> str:
    """An invariant that one state alone breaks."""
    return " or ".join(f"c.memory[{8 * number}] != {word}" for number, word in enumerate(words))


def random_bodies(source: random.Random) -> list[list[str]]:
    """Methods of a contract."""
    return [
        [
            operation(source.choice(_OPERATIONS), source.randrange(WORDS), source.randrange(WORDS), source.randrange(3))
            for _ in range(source.randint(1, 4))
        ]
        for _ in range(3)
    ]


def random_script(source: random.Random) -> Script:
    """Some transactions, in which attackers do something."""
    return tuple(_random_call(source, 3).sent_by(source.choice((MALLORY, TRUDY))) for _ in range(source.randint(1, 3)))


def _random_call(source: random.Random, depth: int) -> Call:
    count = source.choice((0, 1, 1, 2, 3)) if depth else 0
    reactions = tuple(_random_reaction(source, depth - 1) for _ in range(count))
    if source.random() < 0.1:
        return Call(CONTRACT, None, data=source.choice((b"", b"abc")), value=source.choice((0, 3)), reactions=reactions)
    return Call(CONTRACT, f"m{source.randrange(3)}", reactions=reactions)


def _random_reaction(source: random.Random, depth: int) -> Reaction:
    account = source.choice((MALLORY, MALLORY, TRUDY))
    site = source.choice(tuple(HOOKS)) if account == MALLORY else "main"
    static = site == "main" and account == MALLORY and source.random() < 0.4
    count = 0 if static else source.choice((0, 1, 1, 2))
    return Reaction(
        account,
        site,
        static,
        tuple(_random_call(source, depth) for _ in range(count)),
        source.choice((Ending.RETURN,) * 5 + (Ending.REVERT, Ending.TRAP)),
        (source.randrange(-2, 3),) if HOOKS[site] and source.random() < 0.7 else None,
    )


def broken(bodies: Sequence[Sequence[str]], script: Script, folder: Path) -> tuple[Scenario, Script] | None:
    """Return a scenario whose invariant is broken by one state alone, that which a script leads to, and the script.

    It is cut after its first transaction that leads there; ``None`` if it leads nowhere.
    """

    def states(script: Script) -> list[tuple[int, ...]]:
        exploration = attack(contract(bodies, "c.memory[0] != 123456789"), script)
        text = _Attack(exploration, exploration.violations[0], folder, "explored")._text(None, None, "")
        world, of = World(), parse_scenario(text, path="explored.toml", folder=folder)
        deploy_scenario(of, world)
        found = []
        for number, spec in enumerate(of.transactions):
            run_transaction(world, of, number)
            if spec.to == "c":
                data = world.storage(CONTRACT)["memory"][0 : 8 * WORDS]
                found.append(struct.unpack(f"<{WORDS}q", data))
        return found

    reached = states(script)
    last = reached[-1]
    script = script[: reached.index(last) + 1]
    if last == (0,) * WORDS or states(script)[-1] != last:
        return None
    return contract(bodies, goal_of(last)), script
