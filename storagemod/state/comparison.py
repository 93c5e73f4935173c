"""Compare states with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from storagemod.pages import NO_IMAGE, HashTree, Image, RegionDiff
from storagemod.state.account import NO_ACCOUNT, Account
from storagemod.state.store import CommittedRegion, PageStore
from storagemod.types import Address


def account_differences(old: PageStore, new: PageStore) -> Mapping[Address, tuple[Account, Account]]:
    """Return the accounts that differ, in order: before and after. Storage is not part of them."""
    addresses = sorted(old.accounts.keys() | new.accounts.keys())
    pairs = {each: (old.accounts.get(each, NO_ACCOUNT), new.accounts.get(each, NO_ACCOUNT)) for each in addresses}
    return {address: (before, after) for address, (before, after) in pairs.items() if before != after}


def region_differences(old: PageStore, new: PageStore) -> Iterator[tuple[tuple[Address, str], RegionDiff]]:
    """Yield the regions that differ, in order, and their differing pages.

    Costs what differs: equal parts have equal digests. Holds the pages of one region at a time.
    """
    before, after = dict(old.regions()), dict(new.regions())
    for key in sorted(before.keys() | after.keys()):
        diff = _region_difference(before.get(key), after.get(key))
        if diff:
            yield key, diff


def _region_difference(old: CommittedRegion | None, new: CommittedRegion | None) -> RegionDiff:
    before, old_tree = _parts(old)
    after, new_tree = _parts(new)
    pages = {number: (before.page(number), after.page(number)) for number in old_tree.differing(new_tree)}
    return RegionDiff(before.wasm_pages, after.wasm_pages, pages, before.spare, after.spare)


def _parts(region: CommittedRegion | None) -> tuple[Image, HashTree]:
    return (NO_IMAGE, HashTree()) if region is None else (region.image, region.tree())
