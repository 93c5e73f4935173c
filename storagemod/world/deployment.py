"""Putting a contract at an address: what is checked, and what is committed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import attrs
from attrs import frozen

from storagemod.errors import LinkError, ValidationError
from storagemod.pages import NO_IMAGE, ImageEdit, PageBackend
from storagemod.state import BALANCE_MAX, NO_ACCOUNT, Account, ChangeSet, PageStore
from storagemod.types import Address, ReentryPolicy, StorageMapping
from storagemod.vm import Aliased, CodeRules, Contract, check_aliasing, check_callee, check_links, load_binary


def contract_of(account: Account, rules: CodeRules) -> Contract | None:
    """Return the contract that an account holds, or ``None`` where it has no code.

    Raises:
        ValidationError, LinkError: Its code is no contract: init code can leave any bytes.
    """
    return load_binary(account.code, rules, account.name or "contract", link=account.link) if account.code else None


@frozen
class Deployment:
    """A contract that is to stand at an address.

    Attributes:
        store: The accounts that there are.
        rules: What code has to be.
        links: The address for each ``contract:NAME`` that it imports from.
        backend: What the machine does for storage.
        mapping: How its storage is mapped; for a contract that calls ``ethereum.storageMap``.
        balance: What it holds from the start, besides what the account holds already.
    """

    store: PageStore
    rules: CodeRules
    address: Address
    contract: Contract
    links: Mapping[str, Address]
    backend: PageBackend
    mapping: StorageMapping | None = None
    balance: int = 0

    def check(self) -> None:
        """Compare what is imported with what is offered, in both directions.

        Raises:
            ValidationError: The address is taken, it would hold more than a balance can be, or something is given that
                the contract does not import.
            LinkError: An import of the contract, or of another one from this address, does not match; or this machine
                cannot map storage as it is to be.
        """
        standing = self.store.accounts.get(self.address, NO_ACCOUNT)
        if standing.code:
            raise ValidationError(f"there is a contract at {standing.name or self.address} already")
        if standing.balance + self.balance > BALANCE_MAX:
            raise ValidationError(
                f"the account holds {standing.balance:,} already, and with {self.balance:,} more it would hold more "
                f"than a balance can be, {BALANCE_MAX:,}"
            )
        if self.mapping is not None and not self.contract.maps_storage:
            raise ValidationError(
                "how its storage is mapped is given, but it does not import ethereum.storageMap"
                if self.contract.layout.window is None
                else f"its storage is to be mapped by {self.mapping.option}, but it imports storage.window",
                contract=self.contract.name,
            )
        try:
            if self.mapping is not None and self.mapping.option == Aliased.name:
                check_aliasing(self.backend)
            check_links(self.contract, self.links, self._contract_at)
        except (LinkError, ValidationError) as error:
            error.at(self.contract.name)
            raise
        for name, importer in self._importers():
            for callee in importer.contract_imports:
                try:
                    check_callee(callee, self.contract)
                except LinkError as error:
                    error.at(name)
                    raise

    def changes(self, deployer: Address, *, policy: ReentryPolicy) -> ChangeSet:
        """What is committed: the account, its regions at their least lengths, and the deployer's nonce."""
        sender, before = (self.store.accounts.get(each, NO_ACCOUNT) for each in (deployer, self.address))
        account = attrs.evolve(
            before,
            balance=before.balance + self.balance,
            code=self.contract.code,
            name=self._unused_name(),
            links=MappingProxyType(dict(self.links)),
            policy=policy,
            mapping=(self.mapping or StorageMapping()) if self.contract.maps_storage else None,
            link=self.contract.link,
        )
        return ChangeSet(
            {deployer: (sender, attrs.evolve(sender, nonce=sender.nonce + 1)), self.address: (before, account)},
            {
                (self.address, region.name): ImageEdit(NO_IMAGE, region.type.bytes_min).diff()
                for region in self.contract.layout.regions
            },
        )

    def _contract_at(self, address: Address) -> Contract | None:
        if address == self.address:
            return self.contract
        try:
            return contract_of(self.store.accounts.get(address, NO_ACCOUNT), self.rules)
        except (ValidationError, LinkError) as error:
            raise LinkError(f"the code at {address} is no contract: {error.message}", cause=error) from error

    def _importers(self) -> Iterator[tuple[str, Contract]]:
        """The contracts that are linked to this address already, each with only the imports that are."""
        for address in self.store.linked_to(self.address):
            account = self.store.accounts[address]
            contract = contract_of(account, self.rules)
            assert contract is not None  # noqa: S101 - only a contract is linked
            here = [each for each in contract.contract_imports if account.links[each.link] == self.address]
            yield account.name or str(address), attrs.evolve(contract, contract_imports=tuple(here))

    def _unused_name(self) -> str:
        """The contract's name, with a number if another account has it.

        The number is the next one, found in few steps where thousands of contracts have one name.
        """
        taken, free = 0, 1
        while self.store.is_name_taken(self._numbered(free)):
            taken, free = free, 2 * free
        while free - taken > 1:
            between = (taken + free) // 2
            if self.store.is_name_taken(self._numbered(between)):
                taken = between
            else:
                free = between
        return self._numbered(free)

    def _numbered(self, number: int) -> str:
        return self.contract.name if number == 1 else f"{self.contract.name}-{number}"
