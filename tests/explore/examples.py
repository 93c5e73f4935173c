"""Contracts and scenarios to explore, small enough to know what is to be found."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

from storagemod.explore import Exploration, exploration, explore
from storagemod.explore.plan import Plan
from storagemod.explore.script import Script
from storagemod.explore.trial import TrialResult, TrialRunner
from storagemod.scenario import Scenario, load_scenario, parse_scenario
from storagemod.scenario.fixtures import scenario_path

FAULTS = ("withdraw", "cross_function", "cross_contract", "read_only", "hooks", "guard", "stale_guard")
SHORTEST = 2
"""The calls that each of them takes: one that calls out, and one back."""


def shipped(name: str) -> Scenario:
    return load_scenario(scenario_path(f"reentry/{name}"), label=f"reentry/{name}")


def scenario(text: str) -> Scenario:
    return parse_scenario(text, path="small.toml", folder=Path())


SHOP = """
(module
  (import "storage" "memory" (memory $storage 1))
  (import "contract:buyer" "thank?" (func $thank (param i64) (result i32 i32)))
  (import "ethereum" "getCaller" (func $caller (param i32)))
  (import "ethereum" "callStatic" (func $ask (param i64 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "buy") (param $price i64) (local $failed i32) (local $answer i32)
    (i64.store $storage (i32.const 0) (i64.add (i64.load $storage (i32.const 0)) (local.get $price)))
    (call $thank (local.get $price))
    (local.set $answer)
    (local.set $failed)
    (i64.store $storage (i32.const 8) (i64.extend_i32_s (local.get $answer)))
    (i64.store $storage (i32.const 40) (i64.extend_i32_s (local.get $failed))))
  (func (export "twice")
    (drop (drop (call $thank (i64.const 1))))
    (drop (drop (call $thank (i64.const 2))))
    (i64.store $storage (i32.const 16) (i64.add (i64.load $storage (i32.const 16)) (i64.const 1))))
  (func (export "ask")
    (call $caller (i32.const 0))
    (i64.store $storage (i32.const 24)
      (i64.extend_i32_s (call $ask (i64.const 100000) (i32.const 0) (i32.const 0) (i32.const 0)))))
  (func (export "main")
    (i64.store $storage (i32.const 32) (i64.add (i64.load $storage (i32.const 32)) (i64.const 1))))
  (func (export "sold") (result i64) (i64.load $storage (i32.const 0))))
"""
"""Calls a buyer, whose answer it keeps; calls it twice; calls its caller in a static call; counts calls of main."""


def shop(invariants: str, more: str = "") -> Scenario:
    return scenario(f"""
[accounts]
buyer = 50
[contracts.shop]
wat = '''{SHOP}'''
links = {{ buyer = "buyer" }}
{more}
{invariants}
""")


def rule(expr: str, name: str | None = None, at: str = "end") -> str:
    return f"[[invariants]]\nexpr = '{expr}'\nname = '{name or expr}'\nat = '{at}'\n"


def quick(of: Scenario, **settings: object) -> Exploration:
    return explore(of, **{"calls": 2, "depth": 2, "tries": 400, **settings})  # type: ignore[arg-type]


def recorded(of: Scenario, **settings: object) -> tuple[Plan, list[tuple[Script, frozenset[str], TrialResult]]]:
    """Explore; return the plan, and each trial that was run with the invariants that it ignored and its result."""
    plans: list[Plan] = []
    trials: list[tuple[Script, frozenset[str], TrialResult]] = []
    search, run = exploration.search, TrialRunner.run

    def keep_plan(plan: Plan, *arguments: object, **named: object) -> object:
        plans.append(plan)
        return search(plan, *arguments, **named)  # type: ignore[arg-type]

    def keep_trial(self: TrialRunner, script: Script, **named: object) -> TrialResult:
        result = run(self, script, **named)  # type: ignore[arg-type]
        trials.append((script, named.get("ignored", frozenset()), result))  # type: ignore[arg-type]
        return result

    with patch.object(exploration, "search", keep_plan), patch.object(TrialRunner, "run", keep_trial):
        explore(of, **settings)  # type: ignore[arg-type]
    return plans[0], trials
