"""Presets: changes of accounts and storage that are made outside of transactions."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from storagemod.errors import LinkError, StateError, ValidationError, shown
from storagemod.pages import ImageEdit, RegionDiff
from storagemod.state import NO_ACCOUNT, Account, PageStore
from storagemod.types import Address, StorageMapping
from storagemod.vm import SLOTS_REGION, CodeRules, Contract, Region, Slots, hosted_region
from storagemod.wasm import strip_hint
from storagemod.world.deployment import contract_of
from storagemod.world.views import checked_entries


class Presets:
    """Works out what presets change in a page store, under the rules of a world.

    Args:
        store: The committed state, which is not changed here.
        rules: What code has to be.
        mapping: How storage is mapped for contracts that are preset.
    """

    def __init__(self, store: PageStore, rules: CodeRules, mapping: StorageMapping) -> None:
        self._store = store
        self._rules = rules
        self._mapping = mapping

    def _account(self, address: Address) -> Account:
        return self._store.accounts.get(address, NO_ACCOUNT)

    def _label(self, address: Address) -> str:
        return self._account(address).name or str(address)

    def with_code(self, account: Account, code: bytes) -> Account:
        """Return an account with other code, and nothing that belonged to the code before.

        Raises:
            ValidationError: The code is not bytes, or too long.
        """
        if not isinstance(code, bytes):
            raise ValidationError(f"code is bytes, not {shown(code)}")
        if len(code) > self._rules.limits.code_bytes_max:
            raise ValidationError(
                f"{len(code):,} bytes of code, and {self._rules.limits.code_bytes_max:,} are allowed (code_bytes_max)",
                hint=strip_hint(code),
            )
        fresh = Account(nonce=account.nonce, balance=account.balance, code=code, name=account.name)
        contract = self.contract_in(fresh)
        maps = contract is not None and contract.maps_storage
        return attrs.evolve(fresh, mapping=self._mapping) if maps else fresh

    def least_regions(self, address: Address, contract: Contract | None) -> dict[tuple[Address, str], RegionDiff]:
        """Return what makes the regions of a contract as long as they are at least."""
        regions = () if contract is None else contract.layout.regions
        image = self._store.image
        edits = {
            region.name: ImageEdit(image(address, region.name), region.type.bytes_min).diff() for region in regions
        }
        return {(address, name): written for name, written in edits.items() if written}

    def slots_diff(self, address: Address, entries: Mapping[bytes, bytes]) -> RegionDiff:
        """Return what sets entries of keyed storage.

        Raises:
            ValidationError: A key or a value is not 32 bytes.
        """
        region = hosted_region(SLOTS_REGION, self._rules.limits)
        assert region is not None  # noqa: S101 - the option keyed has it
        edit = ImageEdit(self._store.image(address, SLOTS_REGION), region.type.bytes_min)
        table = Slots(edit)
        for key, value in checked_entries(entries).items():
            table.store(key, value)
        return edit.diff()

    def check_keyed(self, address: Address, contract: Contract | None) -> None:
        """Check that a contract has no memory where keyed storage would be.

        Raises:
            StateError: It has.
        """
        if contract is not None and contract.layout.region(SLOTS_REGION) is not None and not contract.is_keyed:
            raise StateError(f"the storage of {self._label(address)} is not keyed")

    def region(self, address: Address, name: str) -> Region:
        """Return a region that an account has, by its contract or in its storage.

        Raises:
            StateError: It has none of that name.
        """
        contract = self.contract_in(self._account(address))
        names = self._store.region_names(address)
        found = None if contract is None else contract.layout.region(name)
        if found is None and name in names:
            found = hosted_region(name, self._rules.limits)
        if found is None:
            known = {*names, *(region.name for region in contract.layout.regions)} if contract is not None else names
            if contract is None and not names:
                raise StateError(f"there is no contract at {self._label(address)}")
            if name in names:
                raise StateError(f"the code of {self._label(address)} does not import the storage region {name!r}")
            hint = f"it has: {', '.join(sorted(known)) or 'none'}"
            raise StateError(f"{self._label(address)} has no storage region {name!r}", hint=hint)
        return found

    def contract_in(self, account: Account) -> Contract | None:
        """Return the contract that an account holds, or ``None`` where its code is none."""
        try:
            return contract_of(account, self._rules)
        except (ValidationError, LinkError):
            return None
