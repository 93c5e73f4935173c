"""Whether stored state is what was committed."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from storagemod.errors import StateError
from storagemod.pages import page_digest
from storagemod.state.committed import CommittedRegion
from storagemod.state.sqlite_store import SqlitePageStore
from storagemod.types import Address


@frozen
class Damage:
    """Something that is not what was committed.

    Attributes:
        what: What it is, in words.
        address: The account concerned, if it is one.
        region: Its region, if it is in one.
        page: The number of the page of 4 KiB, if it is one.
    """

    what: str
    address: Address | None = None
    region: str | None = None
    page: int | None = None


def verify(store: SqlitePageStore) -> Iterator[Damage]:
    """Hash everything again and say what is wrong, in the order of addresses, regions and pages.

    Costs the bytes that are stored, and the memory of one number for each page. What keeps a world from being opened,
    like a missing image, has been told by then.
    """
    for text in store.damage():
        yield Damage(f"the catalogue is damaged: {text}")
    for (address, name), region in store.regions():
        try:
            for what, page in _damage_of(region):
                yield Damage(what, address, name, page)
        except StateError as error:
            yield Damage(error.message, address, name)


def _damage_of(region: CommittedRegion) -> Iterator[tuple[str, int | None]]:
    tree = region.tree()
    for pages in tree.broken():
        yield f"the hash tree over pages [{pages.start:,}, {pages.stop:,}) does not fit together", None
    if tree.root(region.image.wasm_pages) != region.root():
        yield "the root is not that of the hash tree", None
    expected = set(tree.pages())
    wrong = []
    for number, data in region.image.pages():
        if page_digest(data) != tree.page(number):
            wrong.append(number)
        expected.discard(number)
    for number in sorted([*wrong, *expected]):  # what is left over should hold something, and is zeros
        yield f"page {number:,} is not what was committed", number
