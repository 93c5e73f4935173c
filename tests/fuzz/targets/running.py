"""Code of any kind loaded, deployed, created and called, under both validation modes."""

from __future__ import annotations

import functools
from collections.abc import Callable

import wasmtime

from storagemod import Contract, World
from storagemod.errors import StorageModError
from storagemod.types import METHODS_OPTIONS, FunctionType, MemoryType, ValidationMode, Value
from storagemod.wasm import OtherType
from storagemod.wasm.engine import shared_engine
from tests.fuzz import checks

METHODS_MAX = 6
"""So many of its methods are called."""

Arguments = Callable[[FunctionType], tuple[Value, ...]]


def try_code(code: bytes, arguments: Arguments, data: bytes = b"", gas: int = checks.GAS) -> None:
    """Do with code whatever can be done with it.

    Args:
        code: Any bytes.
        arguments: Gives arguments for a method of a type.
        data: Call data for ``main``.
        gas: For each call; a creation has more.
    """
    for mode in ValidationMode:
        world = _world(mode)
        before = world.state_root
        with world.snapshot():
            contract = _loaded(code, mode)
            if contract is not None:
                _agrees_with_wasmtime(contract)
                _deploy_and_call(world, contract, arguments, data, gas)
                if METHODS_OPTIONS[0] in contract.options:
                    _deploy_and_call(world, contract, arguments, data, gas, link="single")
            most = gas + 100_000
            created = checks.checked(world, lambda: world.create(code, gas=most), most)  # noqa: B023 - called at once
            if created is not None and created.created is not None:
                assert contract is not None or not code, "what is no contract ran as init code"
                checks.transacted(world, created.created, data=data, gas=gas)
            checks.goes_on(world)
        assert world.state_root == before


@functools.cache
def _world(mode: ValidationMode) -> World:
    return checks.world_that_goes_on(validation=mode)


def _loaded(code: bytes, mode: ValidationMode) -> Contract | None:
    try:
        return Contract.load(code, mode=mode, limits=checks.LIMITS)
    except StorageModError as error:
        checks.told(error)
        return None


def _deploy_and_call(
    world: World, contract: Contract, arguments: Arguments, data: bytes, gas: int, link: str | None = None
) -> None:
    links = {callee.link: checks.KNOWN for callee in contract.contract_imports}
    try:
        address = world.deploy(contract.code, links=links, link=link)
    except StorageModError as error:
        checks.told(error)
        return
    if _has_main(contract):
        checks.transacted(world, address, data=data, gas=gas)
    for method in list(contract.entry_points)[:METHODS_MAX]:
        checks.transacted(world, address, method, *arguments(contract.entry_points[method]), gas=gas)


def _has_main(contract: Contract) -> bool:
    return contract.entry_points.get("main") == FunctionType()


def _agrees_with_wasmtime(contract: Contract) -> None:
    """See that what was read off the binary is what wasmtime reads.

    Where there are vectors it cannot be asked: it would abort the process.
    """
    declared = contract.module.declarations
    externs = [item.type for item in declared.imports] + list(declared.exports.values())
    if any(isinstance(each, OtherType) and each.description.startswith("(func") for each in externs):
        return
    module = wasmtime.Module(shared_engine(), contract.code)  # what is compiled for contracts was lowered
    assert [(item.module, item.name, item.type) for item in declared.imports] == [
        (item.module, item.name, _described(item.type)) for item in module.imports
    ]
    assert declared.exports == {item.name: _described(item.type) for item in module.exports}


def _described(item: object) -> object:
    if isinstance(item, wasmtime.FuncType):
        return FunctionType(tuple(map(str, item.params)), tuple(map(str, item.results)))  # type: ignore[arg-type]
    if isinstance(item, wasmtime.MemoryType):
        return MemoryType(item.limits.min, item.limits.max, item.is_64, item.page_size)
    return OtherType(f"({type(item).__name__.removesuffix('Type').lower()})")
