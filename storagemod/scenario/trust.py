"""Who is trusted in a scenario, and who is not."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from storagemod.scenario.schema import Scenario
from storagemod.types import Address


@frozen
class TrustModel:
    """The trusted contracts and the untrusted accounts of a scenario.

    Attributes:
        trusted: Contracts whose code is as the file says, by name.
        untrusted: Accounts that may have any code, by name; hexadecimal where the file has no name.
        addresses: All addresses by name.
        stranger: The untrusted account that a search added, since the file names none.
        stranger_balance: Its balance.
    """

    trusted: tuple[str, ...]
    untrusted: tuple[str, ...]
    addresses: Mapping[str, Address]
    stranger: str | None = None
    stranger_balance: int = 0

    @property
    def labels(self) -> Mapping[Address, str]:
        """Names by address."""
        return {address: name for name, address in self.addresses.items()}

    @property
    def untrusted_addresses(self) -> frozenset[Address]:
        """The addresses of the untrusted accounts."""
        return frozenset(self.addresses[name] for name in self.untrusted)


def trust_model_of(scenario: Scenario) -> TrustModel:
    """Return who is trusted: as ``[explore]`` says, else all contracts; link targets without a contract never are."""
    spec, addresses = scenario.explore, dict(scenario.addresses)
    trusted = list(scenario.contracts) if spec.trusted is None else list(dict.fromkeys(spec.trusted))
    trusted = [name for name in trusted if name not in spec.untrusted]
    untrusted = [name for name in scenario.contracts if name not in trusted]
    untrusted += [name for name in spec.untrusted if name not in untrusted]
    standing = {scenario.addresses[name] for name in scenario.contracts}
    names = {address: name for name, address in addresses.items()}
    for name in trusted:
        for target in map(scenario.address, scenario.contracts[name].links.values()):
            if target not in standing and names.setdefault(target, str(target)) not in untrusted:
                untrusted.append(names[target])
                addresses.setdefault(names[target], target)
    return TrustModel(tuple(trusted), tuple(untrusted), addresses)
