"""Persistent storage of Wasm contracts as instantiated storage modules, shared by re-entrant calls.

Names are imported when they are first used: whoever imports the package alone, as pytest does for the plugin in it,
does not pay for the virtual machine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storagemod.block import Block
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
    from storagemod.types import (
        Address,
        CallKind,
        ExclusivePolicy,
        Outcome,
        ReentryPolicy,
        StorageMapping,
        SyncPolicy,
        ValidationMode,
    )
    from storagemod.vm import Contract, GasSchedule
    from storagemod.world import Receipt, Snapshot, StorageView, World

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_GAS",
    "Address",
    "BalanceError",
    "Block",
    "CallKind",
    "Contract",
    "DeadlineError",
    "ExclusivePolicy",
    "GasSchedule",
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
    "ValidationMode",
    "World",
    "__version__",
]

_ROOMS = {
    "DEFAULT_GAS": "limits",
    "Address": "types",
    "Block": "block",
    "CallKind": "types",
    "Contract": "vm",
    "ExclusivePolicy": "types",
    "GasSchedule": "vm",
    "Limits": "limits",
    "Outcome": "types",
    "Receipt": "world",
    "ReentryPolicy": "types",
    "Snapshot": "world",
    "StorageMapping": "types",
    "StorageView": "world",
    "SyncPolicy": "types",
    "ValidationMode": "types",
    "World": "world",
}
"""Where names come from; all others are errors."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_ROOMS.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
