"""What differs between two states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from storagemod.pages import NO_IMAGE, HashTree, Image, WriteSet
from storagemod.state.account import NO_ACCOUNT, Account
from storagemod.state.committed import CommittedRegion
from storagemod.state.store import PageStore
from storagemod.types import Address


def account_differences(old: PageStore, new: PageStore) -> Mapping[Address, tuple[Account, Account]]:
    """The accounts that differ, in order: before and after. Storage is not part of them."""
    addresses = sorted(old.accounts.keys() | new.accounts.keys())
    pairs = {each: (old.accounts.get(each, NO_ACCOUNT), new.accounts.get(each, NO_ACCOUNT)) for each in addresses}
    return {address: (before, after) for address, (before, after) in pairs.items() if before != after}


def region_differences(old: PageStore, new: PageStore) -> Iterator[tuple[tuple[Address, str], WriteSet]]:
    """The regions that differ, in order, and by which pages.

    Costs what differs: equal parts are told by their digests. Holds the pages of one region at a time.
    """
    before, after = dict(old.regions()), dict(new.regions())
    for key in sorted(before.keys() | after.keys()):
        written = _region_difference(before.get(key), after.get(key))
        if written:
            yield key, written


def _region_difference(old: CommittedRegion | None, new: CommittedRegion | None) -> WriteSet:
    before, old_tree = _parts(old)
    after, new_tree = _parts(new)
    pages = {number: (before.page(number), after.page(number)) for number in old_tree.differing(new_tree)}
    return WriteSet(before.wasm_pages, after.wasm_pages, pages)


def _parts(region: CommittedRegion | None) -> tuple[Image, HashTree]:
    return (NO_IMAGE, HashTree()) if region is None else (region.image, region.tree())
