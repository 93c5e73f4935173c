"""Scenarios: TOML files with contracts to deploy, transactions to run, and expected results."""

from storagemod.scenario.check import Difference
from storagemod.scenario.deploy import DEFAULT_OPTION, deploy_scenario, load_contract
from storagemod.scenario.invariants import ExpressionInvariant, invariants_of, parse_invariant
from storagemod.scenario.load import ScenarioFileError, load_scenario, parse_scenario
from storagemod.scenario.run import (
    ScenarioResult,
    TransactionResult,
    run_scenario,
    run_transaction,
)
from storagemod.scenario.schema import Scenario

__all__ = [
    "DEFAULT_OPTION",
    "Difference",
    "ExpressionInvariant",
    "Scenario",
    "ScenarioFileError",
    "ScenarioResult",
    "TransactionResult",
    "deploy_scenario",
    "invariants_of",
    "load_contract",
    "load_scenario",
    "parse_invariant",
    "parse_scenario",
    "run_scenario",
    "run_transaction",
]
