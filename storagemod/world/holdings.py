"""What a world holds between transactions: accounts, contracts, storage. Looking at it, and presetting it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from storagemod.errors import LinkError, StateError, ValidationError
from storagemod.linking import SLOTS_REGION, Contract, Region, Slots, hosted_region
from storagemod.pages import ImageEdit, RegionDiff
from storagemod.state import BALANCE_MAX, NO_ACCOUNT, NONCE_MAX, Account, ChangeSet, WorldState
from storagemod.types import WASM_PAGE_BYTES, Address, StorageMapping
from storagemod.world.arguments import check_amount
from storagemod.world.code_rules import CodeRules
from storagemod.world.gate import Gate
from storagemod.world.slots_view import SlotsView, checked_entries
from storagemod.world.storage_view import StorageView


class Holdings:
    """The part of a world that runs nothing.

    Args:
        state: Where it is kept.
        gate: Lets one thing at a time be done.
        rules: What code has to be.
        mapping: How storage is mapped for contracts that are preset.
    """

    def __init__(self, state: WorldState, gate: Gate, rules: CodeRules, mapping: StorageMapping) -> None:
        self._state = state
        self._gate = gate
        self._rules = rules
        self._mapping = mapping

    @property
    def state_root(self) -> bytes:
        """The digest, 32 bytes, of every account's nonce, balance and storage; code is not in it."""
        return self._state.store.state_root()

    def accounts(self) -> Mapping[Address, Account]:
        """Every account that anything was done to, ordered by address."""
        return MappingProxyType(dict(sorted(self._state.store.accounts.items())))

    def account(self, address: Address | str | int) -> Account:
        """An account; the empty one where there is none."""
        return self._state.store.accounts.get(Address(address), NO_ACCOUNT)

    def contract(self, address: Address | str | int) -> Contract:
        """The contract at an address.

        Raises:
            StateError: There is none, or what is there is none under the rules of this world.
        """
        address = Address(address)
        try:
            contract = self._rules.contract_of(self.account(address))
        except (ValidationError, LinkError) as error:
            reason = f"the code of {self.label(address)} is no contract: {error.message}"
            raise StateError(reason, cause=error) from error
        if contract is None:
            raise StateError(f"there is no contract at {self.label(address)}")
        return contract

    def label(self, address: Address) -> str:
        """The name of an account, or its address where it has none."""
        return self.account(address).name or str(address)

    def storage(self, address: Address | str | int) -> Mapping[str, StorageView]:
        """The committed storage of an account, by region: what its contract imports, and what else it has.

        More than its contract imports is what foreign code wrote that ran on its storage: a library's, or init code.

        Raises:
            StateError: There is neither a contract nor storage.
        """
        address = Address(address)
        contract = self._contract_or_none(address)
        names = {region.name for region in contract.layout.regions} if contract is not None else set()
        names.update(self._state.store.region_names(address))
        if not names and contract is None:
            raise StateError(f"there is no contract at {self.label(address)}")
        return MappingProxyType({name: self._view(address, name) for name in sorted(names)})

    def slots(self, address: Address | str | int) -> SlotsView:
        """The committed entries of an account's keyed storage, to be read and preset like a dictionary.

        Raises:
            StateError: Its contract has a memory where they would be.
        """
        address = Address(address)
        self._check_keyed(address, self._contract_or_none(address))
        return SlotsView(self._view(address, SLOTS_REGION), lambda entries: self._set_slots(address, entries))

    def load_storage(self, address: Address | str | int, region: str, data: bytes, *, offset: int = 0) -> None:
        """Write bytes into committed storage, outside any transaction; the region grows as needed.

        Raises:
            StateError: There is no such region.
            ValidationError: The bytes would not fit into what the region may hold.
        """
        address = Address(address)
        found, label = self._region(address, region), self.label(address)
        pages_max = found.type.pages_max or 0
        if offset < 0 or offset + len(data) > pages_max * WASM_PAGE_BYTES:
            raise ValidationError(
                f"bytes [{offset}, {offset + len(data)}) do not fit region {region!r} of {label}, "
                f"which holds {pages_max:,} Wasm pages at most"
            )
        with self._gate.enter(writing=True):
            edit = ImageEdit(self._state.store.image(address, region))
            edit.write(offset, bytes(data))
            self._state.commit(ChangeSet(regions={(address, region): edit.diff()}))

    def fund(self, address: Address | str | int, balance: int, *, name: str | None = None) -> Address:
        """Set the balance of an account, and name it if a name is given.

        Raises:
            ValidationError: The balance is no u128.
        """
        return self.set_account(address, balance=balance, name=name)

    def set_account(
        self,
        address: Address | str | int,
        *,
        nonce: int | None = None,
        balance: int | None = None,
        code: bytes | None = None,
        slots: Mapping[bytes, bytes] | None = None,
        name: str | None = None,
    ) -> Address:
        """Set what is given of an account, outside any transaction, and leave the rest as it is.

        Args:
            address: Which.
            nonce: From 0 to 2**63 - 1.
            balance: A u128.
            code: Any bytes. Those that are a contract of this world get its regions, at their least lengths; nothing
                links it to others. A call of others fails. What storage there is stays.
            slots: Entries of keyed storage, 32 bytes by 32 bytes, besides those that there are.
            name: What to call it in traces and errors.

        Raises:
            ValidationError: A value is not what it has to be.
            StateError: There is no keyed storage to set: the contract has a memory where it would be.
        """
        address = Address(address)
        given: dict[str, object] = {} if name is None else {"name": name}
        for what, amount, maximum in (("nonce", nonce, NONCE_MAX), ("balance", balance, BALANCE_MAX)):
            if amount is not None:
                check_amount(what, amount, maximum)
                given[what] = amount
        with self._gate.enter(writing=True):
            before = self.account(address)
            account = attrs.evolve(before, **given)  # type: ignore[arg-type]
            if code is not None:
                account = self._with_code(account, code)
            contract = self._contract_in(account)
            regions = self._least_regions(address, contract) if code is not None else {}
            if slots:
                self._check_keyed(address, contract)
                regions[address, SLOTS_REGION] = self._slots_written(address, slots)
            self._state.commit(ChangeSet({address: (before, account)}, regions))
        return address

    # Pieces

    def _with_code(self, account: Account, code: bytes) -> Account:
        if not isinstance(code, bytes):
            raise ValidationError(f"code is bytes, not {code!r}")
        if len(code) > self._rules.limits.code_bytes_max:
            raise ValidationError(
                f"{len(code):,} bytes of code, and {self._rules.limits.code_bytes_max:,} are allowed (code_bytes_max)"
            )
        fresh = Account(nonce=account.nonce, balance=account.balance, code=code, name=account.name)
        contract = self._contract_in(fresh)
        maps = contract is not None and contract.maps_storage
        return attrs.evolve(fresh, mapping=self._mapping) if maps else fresh

    def _least_regions(self, address: Address, contract: Contract | None) -> dict[tuple[Address, str], RegionDiff]:
        """What makes the regions of a contract as long as they are at least."""
        regions = () if contract is None else contract.layout.regions
        image = self._state.store.image
        diffs = {
            region.name: ImageEdit(image(address, region.name), region.type.pages_min).diff() for region in regions
        }
        return {(address, name): written for name, written in diffs.items() if written}

    def _set_slots(self, address: Address, entries: Mapping[bytes, bytes]) -> None:
        with self._gate.enter(writing=True):
            written = self._slots_written(address, entries)
            self._state.commit(ChangeSet(regions={(address, SLOTS_REGION): written}))

    def _slots_written(self, address: Address, entries: Mapping[bytes, bytes]) -> RegionDiff:
        region = hosted_region(SLOTS_REGION, self._rules.limits)
        assert region is not None  # noqa: S101 - the option keyed has it
        edit = ImageEdit(self._state.store.image(address, SLOTS_REGION), region.type.pages_min)
        table = Slots(edit)
        for key, value in checked_entries(entries).items():
            table.store(key, value)
        return edit.diff()

    def _check_keyed(self, address: Address, contract: Contract | None) -> None:
        if contract is not None and contract.layout.region(SLOTS_REGION) is not None and not contract.is_keyed:
            raise StateError(f"the storage of {self.label(address)} is not keyed")

    def _region(self, address: Address, name: str) -> Region:
        """A region that an account has, by its contract or in its storage.

        Raises:
            StateError: It has none of that name.
        """
        contract = self._contract_or_none(address)
        names = self._state.store.region_names(address)
        found = None if contract is None else contract.layout.region(name)
        if found is None and name in names:
            found = hosted_region(name, self._rules.limits)
        if found is None:
            known = {*names, *(region.name for region in contract.layout.regions)} if contract is not None else names
            if contract is None and not names:
                raise StateError(f"there is no contract at {self.label(address)}")
            hint = f"it has: {', '.join(sorted(known)) or 'none'}"
            raise StateError(f"{self.label(address)} has no storage region {name!r}", hint=hint)
        return found

    def _contract_or_none(self, address: Address) -> Contract | None:
        return self._contract_in(self.account(address))

    def _contract_in(self, account: Account) -> Contract | None:
        """The contract that an account holds, or ``None`` where its code is none."""
        try:
            return self._rules.contract_of(account)
        except (ValidationError, LinkError):
            return None

    def _view(self, address: Address, region: str) -> StorageView:
        return StorageView(region, lambda: self._state.store.image(address, region))
