"""Persistent storage of Wasm contracts as instantiated storage modules, shared by re-entrant calls."""

from storagemod.errors import (
    BalanceError,
    DeadlineError,
    LimitError,
    LinkError,
    OutOfGasError,
    ReentryError,
    RevertError,
    ScenarioError,
    StackError,
    StateError,
    StorageModError,
    TrapError,
    ValidationError,
)
from storagemod.limits import DEFAULT_GAS, Limits
from storagemod.linking import Contract
from storagemod.types import Address, CallKind, Outcome, ReentryPolicy, StorageMapping, SyncPolicy
from storagemod.world import Receipt, Snapshot, StorageView, World

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_GAS",
    "Address",
    "BalanceError",
    "CallKind",
    "Contract",
    "DeadlineError",
    "LimitError",
    "Limits",
    "LinkError",
    "OutOfGasError",
    "Outcome",
    "Receipt",
    "ReentryError",
    "ReentryPolicy",
    "RevertError",
    "ScenarioError",
    "Snapshot",
    "StackError",
    "StateError",
    "StorageMapping",
    "StorageModError",
    "StorageView",
    "SyncPolicy",
    "TrapError",
    "ValidationError",
    "World",
    "__version__",
]
