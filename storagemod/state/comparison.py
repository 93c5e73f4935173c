"""Compare states: with each other, and with the hashes of what was committed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from storagemod.errors import StateError
from storagemod.pages import NO_IMAGE, HashTree, Image, RegionDiff, page_digest
from storagemod.state.account import NO_ACCOUNT, Account
from storagemod.state.sqlite_store import SqlitePageStore, StoredRegion
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


@frozen
class Damage:
    """Something that is not what was committed.

    Attributes:
        what: Description of the damage.
        address: The account concerned, if there is one.
        region: The region concerned, if there is one.
        page: The number of the page of 4 KiB, if a page is damaged.
    """

    what: str
    address: Address | None = None
    region: str | None = None
    page: int | None = None


def verify(store: SqlitePageStore) -> Iterator[Damage]:
    """Hash everything again, and yield what is wrong, in the order of addresses, regions and pages.

    Costs the bytes that are stored, and the memory of one number for each page. A store with damage that keeps it from
    being opened, like a missing image, does not get here.
    """
    for text in store.damage():
        yield Damage(f"the catalogue is damaged: {text}")
    for (address, name), region in store.regions():
        assert isinstance(region, StoredRegion)  # noqa: S101 - such a store has no others
        try:
            for what, page in _damage_of(region):
                yield Damage(what, address, name, page)
        except StateError as error:
            yield Damage(error.message, address, name)


def _damage_of(region: StoredRegion) -> Iterator[tuple[str, int | None]]:
    stored, fits = region.stored_tree()
    for pages in stored.broken():
        yield f"the hash tree over pages [{pages.start:,}, {pages.stop:,}) does not fit together", None
    if not fits:
        yield "the root is not that of the hash tree", None
    tree = region.tree()
    expected = set(tree.pages())
    wrong = []
    for number, data in region.image.pages():
        if page_digest(data) != tree.page(number):
            wrong.append(number)
        expected.discard(number)
    for number in sorted([*wrong, *expected]):  # what is left over should hold something, and is zeros
        yield f"page {number:,} is not what was committed", number
