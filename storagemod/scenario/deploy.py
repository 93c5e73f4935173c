"""Compile the contracts of a scenario under a linking option, and deploy its accounts and contracts into a world."""

from __future__ import annotations

from pathlib import Path

import attrs

from storagemod.errors import LinkError, ScenarioError, StateError, StorageModError, ValidationError, one_line
from storagemod.languages import compile_source, is_source
from storagemod.limits import Limits
from storagemod.scenario.contents import preset
from storagemod.scenario.fixtures import needs_prelude, prelude, splice
from storagemod.scenario.locate import TomlPath
from storagemod.scenario.schema import ContractSpec, Scenario
from storagemod.scenario.structure import did_you_mean
from storagemod.state import NO_ACCOUNT, Account
from storagemod.types import (
    MAP_OPTIONS,
    METHODS_OPTIONS,
    ExclusivePolicy,
    ReentryPolicy,
    StorageMapping,
    SyncPolicy,
)
from storagemod.vm import PREFIX, Contract, check_option
from storagemod.wasm import read_source
from storagemod.world import World

DEFAULT_OPTION = "single"
"""The linking option of a contract that leaves its storage open, if none is named."""


def load_contract(
    source: Path | str | bytes, *, label: str, option: str | None = None, limits: Limits | None = None
) -> Contract:
    """Compile and validate a contract. If it leaves its linking option open, link it under the option given here.

    A contract that imports the functions of ``methods`` can run under ``single`` and ``regions`` as well.

    Args:
        source: The path of a file, as :meth:`Contract.load` takes it, WAT text, or a Wasm binary. Text with a line
            ``;; @storage`` leaves the option open.
        label: The name of the contract in messages: its path, if it has one.
        option: The linking option of a contract that leaves it open, by default ``single``. Others run as they are,
            or under this one if they can.
        limits: The limits to validate it with.

    Raises:
        ValidationError: The source cannot be read, or is not a contract.
        LinkError: It imports something that is not offered.
    """
    limits = limits or Limits()
    code = source.encode() if isinstance(source, str) else source
    if isinstance(code, Path):
        code = compile_source(code).code if is_source(code) else read_source(code, limits)
    text = _decode(code)
    if text is not None and needs_prelude(text):
        try:
            code = splice(text, prelude(option or DEFAULT_OPTION)).encode()
        except ValidationError as error:
            error.at(label)
            raise
    contract = Contract.load(code, name=label, limits=limits)
    if option in METHODS_OPTIONS and not contract.options.isdisjoint(METHODS_OPTIONS[:1]):
        contract = Contract.load(contract.code, name=label, limits=limits, link=option)
    return contract


def leaves_open(source: Path | str, limits: Limits | None = None) -> bool:
    """Check whether a contract leaves its linking option open: it is WAT with a line ``;; @storage``.

    Raises:
        ValidationError: The source cannot be read.
    """
    if isinstance(source, Path) and is_source(source):
        return False
    code = read_source(source, limits or Limits()) if isinstance(source, Path) else source.encode()
    text = _decode(code)
    return text is not None and needs_prelude(text)


def _decode(code: bytes) -> str | None:
    """Decode code that is text; ``None`` for other code, which :meth:`Contract.load` checks."""
    if code.startswith(b"\0"):
        return None
    try:
        return code.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def compile_scenario(scenario: Scenario) -> Scenario:
    """Return a scenario whose contracts in C, Zig, AssemblyScript and Rust are compiled, so that each run has the same.

    Raises:
        ScenarioError: One does not compile, or has no compiler here.
    """
    binaries = {}
    for name, spec in scenario.contracts.items():
        if spec.code is not None and is_source(scenario.folder / spec.code):
            try:
                read_source(scenario.folder / spec.code, Limits())  # errors about the file are those of every contract
                binaries[name] = compile_source(scenario.folder / spec.code).code
            except StorageModError as error:
                raise contract_error(scenario, name, ("code",), error) from error
    return attrs.evolve(scenario, binaries=binaries)


def deploy_scenario(
    scenario: Scenario,
    world: World,
    *,
    link: str | None = None,
    sync: SyncPolicy | None = None,
    exclusive: ExclusivePolicy | None = None,
    policy: ReentryPolicy = ReentryPolicy.ALLOW,
) -> tuple[SyncPolicy | None, ExclusivePolicy | None]:
    """Deploy the accounts and contracts of a scenario into a world, without running its transactions.

    Args:
        scenario: The scenario.
        world: The world. Contracts and accounts that it already has are left unchanged.
        link: As for :func:`run_scenario`.
        sync: As for :func:`run_scenario`.
        exclusive: As for :func:`run_scenario`.
        policy: The re-entry policy of contracts for which the file has none.

    Returns:
        ``sync`` and ``exclusive``, each if it applies to a contract.

    Raises:
        ScenarioError: A contract cannot be deployed.
    """
    for name, account in scenario.accounts.items():
        if world.account(scenario.address(name)) == NO_ACCOUNT:
            world.fund(scenario.address(name), account.balance, name=name)
    sync_applies = exclusive_applies = False
    deployed = []
    for name, spec in scenario.contracts.items():
        contract, is_new = _deploy(scenario, world, name, link, sync, exclusive, policy)
        if contract.maps_storage:
            sync_applies |= spec.takes_sync(link)
            exclusive_applies |= spec.takes_exclusive(link)
        if is_new:
            deployed.append(name)
    for name in deployed:
        for number, content in enumerate(scenario.contracts[name].storage):
            try:
                preset(world, scenario.address(name), content.region, content.data, offset=content.offset_bytes)
            except StorageModError as error:
                raise contract_error(scenario, name, ("storage", number), error) from error
    return sync if sync_applies else None, exclusive if exclusive_applies else None


def _deploy(
    scenario: Scenario,
    world: World,
    name: str,
    link: str | None,
    sync: SyncPolicy | None,
    exclusive: ExclusivePolicy | None,
    policy: ReentryPolicy,
) -> tuple[Contract, bool]:
    """Deploy one contract unless the world has it already; return it, and whether it is new.

    Errors have the line of the key that causes them.
    """
    spec, address = scenario.contracts[name], scenario.address(name)
    key = "mapping"
    try:
        own_link = None if spec.own_link else link
        option = spec.option(link)
        if own_link is not None and option != own_link:
            key = "link" if spec.mapping is None else "mapping"
            raise ValidationError(
                f"the linking option {own_link!r} is asked for, but `{key}` says {option!r}",
                hint=f"to leave the option open, leave out `{key}`",
            )
        key = "wat" if spec.code is None else "code"
        source = (spec.wat or "") if spec.code is None else scenario.folder / spec.code
        label = one_line(name) if isinstance(source, str) else str(source)
        code = scenario.binaries.get(name, source)
        contract = load_contract(code, label=label, option=option, limits=world.limits)
        if own_link is not None:
            check_option(contract, own_link)
        if spec.link is not None:
            key = "link"
            check_option(contract, spec.link)
        keys = spec.mapping_keys
        if keys and not contract.maps_storage and not leaves_open(source, world.limits):
            key = keys[0]
            raise ValidationError(f"`{key}` is given, but the contract does not import ethereum.storageMap")
        mapping = spec.storage_mapping(link, sync, exclusive) if contract.maps_storage else None
        if world.account(address).code:
            sync_is_asked = sync is not None and spec.takes_sync(link)
            exclusive_is_asked = exclusive is not None and spec.takes_exclusive(link)
            policy_is_asked = contract.maps_storage and (sync_is_asked or exclusive_is_asked)
            mapping_is_asked = bool(keys) or link in MAP_OPTIONS or policy_is_asked
            _check_deployed(world.account(address), contract, mapping, mapping_is_asked=mapping_is_asked)
            _check_link(world.account(address), contract, spec.link or own_link)
            key = "links"
            links = {imported: scenario.address(target) for imported, target in spec.links.items()}
            if dict(world.account(address).links) != links:
                raise StateError("in the world it is linked to other accounts", hint="use another world")
            key, found = "policy", world.account(address).policy
            if found is not (spec.policy or policy):
                wanted = (spec.policy or policy).value
                raise StateError(
                    f"in the world its re-entry policy is {found.value!r}, and {wanted!r} is asked for",
                    hint="use another world",
                )
            return contract, False
        key = "links"
        _check_links(contract, spec)
        key = "init"
        world.deploy(
            contract.code,
            address=address,
            balance=spec.balance,
            links={imported: scenario.address(target) for imported, target in spec.links.items()},
            policy=spec.policy or policy,
            name=name,
            mapping=mapping,
            link=contract.link,
            init=spec.init,
            args=spec.args,
        )
    except StorageModError as error:
        if isinstance(error, LinkError) and key == "init":  # contracts that are linked to each other do not fit
            key = "links"
        raise contract_error(scenario, name, (key,), error) from error
    return contract, True


def _check_deployed(
    account: Account, contract: Contract, mapping: StorageMapping | None, *, mapping_is_asked: bool
) -> None:
    """Check that the contract in the world has the code, and the mapping if one is asked for."""
    if account.code != contract.code:
        raise StateError("the world has other code at its address", hint="use another world")
    if mapping_is_asked and account.mapping != mapping:
        raise StateError(
            f"in the world its storage is mapped otherwise: {account.mapping}, and {mapping} is asked for",
            hint="use another world",
        )


def _check_link(account: Account, contract: Contract, link: str | None) -> None:
    """Check that the contract in the world runs under the linking option that is asked for, if one is."""
    if link is not None and account.link != contract.link:
        found, wanted = (each or METHODS_OPTIONS[0] for each in (account.link, contract.link))
        raise StateError(
            f"in the world it is linked as {found!r}, and {wanted!r} is asked for", hint="use another world"
        )


def _check_links(contract: Contract, spec: ContractSpec) -> None:
    """Check that every contract import is linked, and nothing else, with messages in terms of a scenario."""
    wanted = list(dict.fromkeys(each.link for each in contract.contract_imports))
    for link in wanted:
        if link not in spec.links:
            hint = f'add `links = {{ {link} = "NAME" }}`'
            raise LinkError(f'it imports from "{PREFIX}{link}", which is linked to nothing', hint=hint)
    for link in spec.links:
        if link not in wanted:
            hint = did_you_mean(link, wanted) or f" (it imports from: {', '.join(wanted) or 'none'})"
            raise LinkError(f'the link "{link}" is given, but nothing is imported from "{PREFIX}{link}"{hint}')


def contract_error(scenario: Scenario, name: str, where: TomlPath, error: StorageModError) -> ScenarioError:
    """Make the error of a contract: it has the contract's name once, and the line of the key that causes it."""
    file, line = scenario.place(("contracts", name, *where))
    return ScenarioError(
        f'contract "{one_line(name)}": {str(error).removeprefix(f"{one_line(name)}: ")}',
        path=file,
        line=line,
        cause=error,
    )
