"""Putting the contracts of a scenario into a world, each as the file says and under the option that is asked for."""

from __future__ import annotations

from pathlib import Path

from attrs import define

from storagemod.errors import LinkError, ScenarioError, StateError, StorageModError, ValidationError
from storagemod.scenario.locate import TomlPath
from storagemod.scenario.mapping import check_link, given_keys, storage_mapping, takes_sync
from storagemod.scenario.schema import ContractSpec, Scenario
from storagemod.scenario.source import DEFAULT_OPTION, check_option, leaves_open, load_contract
from storagemod.scenario.structure import did_you_mean
from storagemod.types import MAP_OPTIONS, ReentryPolicy, StorageMapping, SyncPolicy
from storagemod.vm import PREFIX, Contract
from storagemod.world import World


@define
class Deployment:
    """A contract of the file, on its way into the world."""

    world: World
    scenario: Scenario
    name: str
    link: str | None
    sync: SyncPolicy | None
    policy: ReentryPolicy = ReentryPolicy.ALLOW
    takes_sync: bool = False
    """Whether the policy for the whole run is for it."""

    def deploy(self) -> bool:
        """Deploy it, unless it stands already; an error stands at the line of the key that it comes from."""
        spec, address = self.scenario.contracts[self.name], self.scenario.address(self.name)
        key = "mapping"
        try:
            check_link(spec, None if spec.own_link else self.link)
            key = "wat" if spec.code is None else "code"
            contract = self._load(spec)
            keys = given_keys(spec)
            if keys and not contract.maps_storage and not leaves_open(self._source(spec), self.world.limits):
                key = keys[0]
                raise ValidationError(f"`{key}` is given, but the contract does not import ethereum.storageMap")
            mapping = self._mapping(spec, contract)
            if self._stands(contract, mapping, said=bool(keys)):
                return False
            key = "links"
            _check_links(contract, spec)
            key = "init"
            self.world.deploy(
                contract.code,
                address=address,
                balance=spec.balance,
                links={link: self.scenario.address(target) for link, target in spec.links.items()},
                policy=spec.policy or self.policy,
                name=self.name,
                mapping=mapping,
                init=spec.init,
                args=spec.args,
            )
        except StorageModError as error:
            if isinstance(error, LinkError) and key == "init":  # what is linked to one another does not fit
                key = "links"
            raise contract_error(self.scenario, self.name, (key,), error) from error
        return True

    def _source(self, spec: ContractSpec) -> Path | str:
        return (spec.wat or "") if spec.code is None else self.scenario.folder / spec.code

    def _load(self, spec: ContractSpec) -> Contract:
        source = self._source(spec)
        label = self.name if isinstance(source, str) else str(source)
        option = spec.mapping or (None if spec.own_link else self.link) or DEFAULT_OPTION
        contract = load_contract(source, label=label, option=option, limits=self.world.limits)
        if self.link is not None and not spec.own_link:
            check_option(contract, self.link)
        return contract

    def _mapping(self, spec: ContractSpec, contract: Contract) -> StorageMapping | None:
        if not contract.maps_storage:
            return None
        mapping = storage_mapping(spec, None if spec.own_link else self.link, self.sync)
        self.takes_sync = takes_sync(spec, mapping.option)
        return mapping

    def _stands(self, contract: Contract, mapping: StorageMapping | None, *, said: bool) -> bool:
        """Whether the contract stands in the world already, as it is to be.

        ``said`` is whether the file says how its storage is mapped. Where nobody does, it stays as it is.
        """
        standing = self.world.account(self.scenario.address(self.name))
        if not standing.code:
            return False
        if standing.code != contract.code:
            raise StateError("the world has other code at its address", hint="use another world")
        asked = said or self.link in MAP_OPTIONS or (self.takes_sync and self.sync is not None)
        if asked and standing.mapping != mapping:
            raise StateError(
                f"in the world its storage is mapped otherwise: {standing.mapping}, and {mapping} is asked for",
                hint="use another world",
            )
        return True


def _check_links(contract: Contract, spec: ContractSpec) -> None:
    """Check, in the words of a scenario, that what is imported is linked, and nothing else."""
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
    """An error of a contract, named once, at the line of the key that it comes from."""
    line = scenario.lines.line(("contracts", name, *where))
    return ScenarioError(
        f'contract "{name}": {str(error).removeprefix(f"{name}: ")}', path=scenario.path, line=line, cause=error
    )
