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


def linked(name: str, option: str) -> dict[str, Any]:
    """Return what deploys a fixture under a linking option, lowered, or under one of the policies of ``POLICIES``."""
    if option == LOWERED:
        return {"code": fixture(name, "methods"), "link": "single"}
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
