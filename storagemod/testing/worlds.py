"""Worlds for tests: the test's variant completes what a deployment leaves open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from storagemod.errors import ValidationError
from storagemod.inputs import read_text
from storagemod.limits import Limits
from storagemod.scenario import Scenario, deploy_scenario
from storagemod.scenario.deploy import leaves_open
from storagemod.scenario.fixtures import prelude, splice
from storagemod.scenario.structure import did_you_mean
from storagemod.testing.variants import Variant
from storagemod.types import (
    MAP_OPTIONS,
    METHODS_OPTIONS,
    Address,
    ExclusivePolicy,
    ReentryPolicy,
    StorageMapping,
    SyncPolicy,
    Value,
)
from storagemod.vm import Contract
from storagemod.world import World


class VariantWorld(World):
    """World that deploys contracts under a variant, unless the deployment overrides it.

    Source with a line ``;; @storage`` is linked under the variant's option. Contracts that
    import functions of ``methods`` run under it if it is ``single`` or ``regions``. Others keep their own option.

    Args:
        variant: The variant.
        settings: As for :class:`storagemod.World`.
    """

    def __init__(self, variant: Variant, **settings: Any) -> None:
        if variant.depth_max is not None:
            settings.setdefault("limits", Limits(call_depth_max=variant.depth_max))
        super().__init__(**settings)
        self.variant = variant

    def deploy(
        self,
        code: str | bytes | Path,
        *,
        address: Address | str | int | None = None,
        balance: int = 0,
        links: Mapping[str, Address | str | int] | None = None,
        policy: ReentryPolicy | str | None = None,
        mapping: StorageMapping | str | None = None,
        link: str | None = None,
        name: str | None = None,
        init: str | None = None,
        args: Sequence[Value] = (),
    ) -> Address:
        """Deploy a contract and return its address, like :meth:`storagemod.World.deploy`.

        The variant has the defaults of ``policy``, ``mapping`` and ``link``.
        """
        if isinstance(code, str) and "(" not in code:
            code = Path(code)
        if isinstance(code, Path):
            name = name or code.stem
        if not isinstance(code, bytes) and leaves_open(code, self.limits):
            text = read_text(code, bytes_max=self.limits.source_bytes_max) if isinstance(code, Path) else code
            code = splice(text, prelude(self.variant.link))
        contract = self._load(code, name)
        if mapping is None and link not in MAP_OPTIONS and contract.maps_storage:
            mapping = self._variant_mapping()
        is_named = self.variant.link_is_named and self.variant.link in METHODS_OPTIONS
        if link is None and is_named and METHODS_OPTIONS[0] in contract.options:
            link = self.variant.link
        return super().deploy(
            code,
            address=address,
            balance=balance,
            links=links,
            policy=policy or self.variant.policy or ReentryPolicy.ALLOW,
            mapping=mapping,
            link=link,
            name=name,
            init=init,
            args=args,
        )

    def _load(self, code: str | bytes | Path, name: str | None) -> Contract:
        rules = self.rules
        return Contract.load(code, name=name, limits=rules.limits, mode=rules.mode, debug=rules.debug)

    def _variant_mapping(self) -> StorageMapping:
        option = self.variant.link if self.variant.link in MAP_OPTIONS else MAP_OPTIONS[0]
        exclusive = self.variant.exclusive or ExclusivePolicy.NONE
        return StorageMapping(option, self.variant.sync or SyncPolicy.CALL, exclusive=exclusive)


@frozen
class Project:
    """Contracts of a scenario, deployed in a world and linked to each other.

    Attributes:
        world: The world.
        scenario: The scenario.
    """

    world: World
    scenario: Scenario = field(repr=lambda scenario: scenario.path)

    def __getitem__(self, name: str) -> Address:
        """Return the address of a contract or account.

        Raises:
            ValidationError: The name is unknown.
        """
        known = self.scenario.addresses
        if name not in known:
            hint = did_you_mean(name, known) or f" (there is {', '.join(known) or 'none'})"
            raise ValidationError(f"{self.scenario.path} has nothing named {name!r}{hint}")
        return known[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of accounts and contracts."""
        return iter(self.scenario.addresses)


def deploy_project(world: World, scenario: Scenario, variant: Variant) -> Project:
    """Deploy the contracts of a scenario into a world, under a variant.

    Raises:
        ScenarioError: A contract cannot be deployed.
    """
    deploy_scenario(
        scenario,
        world,
        link=variant.link if variant.link_is_named else None,
        sync=None if variant.sync is None else SyncPolicy(variant.sync),
        exclusive=None if variant.exclusive is None else ExclusivePolicy(variant.exclusive),
        policy=ReentryPolicy(variant.policy or ReentryPolicy.ALLOW),
    )
    return Project(world, scenario)
