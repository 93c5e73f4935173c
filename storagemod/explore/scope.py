"""The scope of a search: who is untrusted, and what may be called."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from storagemod.errors import ScenarioError, StorageModError, ValidationError, shown
from storagemod.explore.attacker import Attacker, EntryPoint
from storagemod.explore.script import MAIN
from storagemod.scenario import Scenario, load_contract
from storagemod.scenario.deploy import contract_error
from storagemod.scenario.locate import Lines
from storagemod.scenario.schema import AccountSpec, Amount, ContractSpec, ExploreSpec
from storagemod.scenario.structure import did_you_mean
from storagemod.scenario.trust import TrustModel, trust_model_of
from storagemod.types import Address, FunctionType
from storagemod.vm import Contract
from storagemod.vm.ethereum import U128_MAX
from storagemod.world import World

STRANGER = "attacker"
"""The untrusted account of a scenario that names none."""

_STRANGER_BALANCE = 1_000_000


def scenario_of(world: World, untrusted: Iterable[Address | str | int]) -> Scenario:
    """Return the accounts of a world as a scenario without transactions.

    Raises:
        ValidationError: Who is untrusted is no account of the world, nor an address.
    """
    if isinstance(untrusted, str):
        raise ValidationError(f"untrusted is several names or addresses, got {shown(untrusted)}")
    accounts = world.accounts()
    names: dict[Address, str] = {}
    for address, account in accounts.items():
        name = account.name or str(address)
        names[address] = name if name not in names.values() else str(address)
    addresses = {name: address for address, name in names.items()}
    distrusted = []
    for each in untrusted:
        try:
            address = addresses[each] if isinstance(each, str) and each in addresses else Address(each)
        except ValidationError as error:
            hint = did_you_mean(str(each), addresses) or f" (there is {', '.join(addresses) or 'none'})"
            raise ValidationError(f"no account of the world is named {shown(each)}{hint}", cause=error) from error
        distrusted.append(names.setdefault(address, str(address)))
        addresses.setdefault(names[address], address)
    contracts = {
        names[address]: ContractSpec(
            code=names[address],
            address=address,
            balance=Amount(account.balance),
            links={link: str(target) for link, target in account.links.items()},
        )
        for address, account in accounts.items()
        if account.code
    }
    others = {
        name: AccountSpec(address=address, balance=Amount(world.account(address).balance))
        for name, address in addresses.items()
        if name not in contracts
    }
    return Scenario(
        path="<world>",
        folder=Path(),
        lines=Lines(""),
        name="a world",
        description="",
        accounts=others,
        contracts=contracts,
        transactions=(),
        addresses=addresses,
        explore=ExploreSpec(untrusted=tuple(dict.fromkeys(distrusted))),
    )


def with_stranger(scenario: Scenario) -> TrustModel:
    """Return who is trusted; an untrusted account with the money of all is added where the file names none.

    Raises:
        ScenarioError: No contract is left to be explored.
    """
    named = trust_model_of(scenario)
    if not named.trusted:
        raise ScenarioError("no contract is trusted, so there is nothing to explore", path=scenario.path)
    if named.untrusted:
        return named
    names = itertools.chain([STRANGER], (f"{STRANGER}-{number}" for number in itertools.count(2)))
    stranger = next(name for name in names if name not in named.addresses)
    address = next(each for each in map(Address, itertools.count(0xA77A_C4E7)) if each not in named.labels)
    balance = sum(spec.balance for spec in scenario.accounts.values()) or _STRANGER_BALANCE
    addresses = {**named.addresses, stranger: address}
    return TrustModel(named.trusted, (stranger,), addresses, stranger, min(balance, U128_MAX))


def loaded(scenario: Scenario, name: str, link: str | None) -> Contract:
    """Compile a contract of a scenario, for its imports and exports.

    Raises:
        ScenarioError: It is none; with the line that names it.
    """
    spec = scenario.contracts[name]
    source = (spec.wat or "") if spec.code is None else scenario.folder / spec.code
    try:
        return load_contract(source, label=name, option=spec.option(link))
    except StorageModError as error:
        raise contract_error(scenario, name, ("wat" if spec.code is None else "code",), error) from error


def attackers_of(
    scenario: Scenario, trust_model: TrustModel, contracts: Mapping[str, Contract]
) -> tuple[Attacker, ...]:
    """Return the attackers that a scenario needs, with what each exports and may call.

    Raises:
        ScenarioError: Contracts import a method of one untrusted account under several types, or a name of a method
            that may be called is none.
    """
    entry_points = tuple(_entry_points(scenario, trust_model, contracts))
    links = {trust_model.addresses[name]: name for name in trust_model.trusted}
    borrows = any(
        each.module == "ethereum" and each.name in {"callDelegate", "callCode"}
        for name in trust_model.trusted
        for each in contracts[name].module.imports
    )
    return tuple(
        Attacker(address, _hooks(scenario, trust_model, contracts, address), entry_points, links, borrows)
        for address in (trust_model.addresses[name] for name in trust_model.untrusted)
    )


def _entry_points(
    scenario: Scenario, trust_model: TrustModel, contracts: Mapping[str, Contract]
) -> Iterator[EntryPoint]:
    for name, methods in scenario.explore.entry_points.items():
        known = contracts[name].entry_points if name in contracts else {}
        for method in methods:
            if method not in known:
                file, line = scenario.place(("explore", "entry_points", name))
                hint = (
                    did_you_mean(method, known) or f" (it has: {', '.join(sorted(known)) or 'none that may be called'})"
                )
                raise ScenarioError(f'"{name}" has no method "{method}"{hint}', path=file, line=line)
    for name in trust_model.trusted:
        offered = contracts[name].entry_points
        for method in scenario.explore.entry_points.get(name, sorted(offered)):
            is_main = method == MAIN and offered[method] == FunctionType()
            yield EntryPoint(trust_model.addresses[name], None if is_main else method, offered[method])


def _hooks(
    scenario: Scenario, trust_model: TrustModel, contracts: Mapping[str, Contract], account: Address
) -> dict[str, FunctionType]:
    hooks: dict[str, FunctionType] = {}
    for name in trust_model.trusted:
        for each in contracts[name].contract_imports:
            target = scenario.contracts[name].links.get(each.link)
            if target is None or scenario.address(target) != account:
                continue
            if hooks.setdefault(each.method, each.type) != each.type:
                file, line = scenario.place(("contracts", name))
                raise ScenarioError(
                    f'"{name}" imports {each.method!r} of {account} as {each.type}, and another contract as '
                    f"{hooks[each.method]}: no contract has both",
                    path=file,
                    line=line,
                )
    return hooks
