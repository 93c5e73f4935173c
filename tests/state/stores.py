"""Page stores of every kind, and what tests commit to them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

from storagemod.pages import (
    BACKENDS,
    PAGE_BYTES,
    ZERO_PAGE,
    Image,
    RegionDiff,
    WritableImage,
    image_length,
    why_unavailable,
)
from storagemod.state import NO_ACCOUNT, Account, ChangeSet, MemoryPageStore, PageStore, SqlitePageStore
from storagemod.types import WASM_PAGE_BYTES, Address

A, B, C = Address(0xA), Address(0xB), Address(0xC)


def image_makers() -> dict[str, Callable[[], Callable[[], WritableImage]]]:
    """The ways of this machine to make images that need no disk, by the name of the first backend that has it."""
    makers: dict[Callable[[], Callable[[], WritableImage]], str] = {}
    for name, backend in BACKENDS.items():
        if why_unavailable(backend) is None:
            makers.setdefault(backend.image_maker, name)
    return {name: maker for maker, name in makers.items()}


def memory_store(maker: Callable[[], Callable[[], WritableImage]]) -> Callable[[Path], PageStore]:
    return lambda _path: MemoryPageStore(maker())


def sqlite_store(maker: Callable[[], Callable[[], WritableImage]], synchronous: str) -> Callable[[Path], PageStore]:
    return lambda path: SqlitePageStore(path, maker(), synchronous=synchronous)  # type: ignore[arg-type]


def quick_disk() -> str | None:
    """Where files are quick to sync, for tests that are not about that; ``None`` is the ordinary place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


MEMORY = {f"memory-{name}": memory_store(maker) for name, maker in image_makers().items()}
DURABLE = {
    f"sqlite-{synchronous}-{name}": sqlite_store(maker, synchronous)
    for name, maker in image_makers().items()
    for synchronous in ("full", "normal")
}
STORES = MEMORY | DURABLE
"""Each opens a store; the durable ones in a directory."""


def page(fill: int) -> bytes:
    return fill.to_bytes(8, "little") * (PAGE_BYTES // 8)


def account(store: PageStore, address: Address, new: Account) -> ChangeSet:
    return ChangeSet({address: (store.accounts.get(address, NO_ACCOUNT), new)})


def write(
    store: PageStore,
    address: Address,
    pages: dict[int, int],
    *,
    wasm_pages: float | None = None,
    region: str = "memory",
) -> ChangeSet:
    """The change that fills pages, and sets the length if one is given. A shorter region loses what lies beyond.

    A part of a Wasm page is a length in bytes: of 65,536 a page.
    """
    image = store.image(address, region)
    if wasm_pages is None:
        wasm_pages = max([length_of(image), *(number // 16 + 1 for number in pages)])
    length = math.ceil(wasm_pages)
    spare = round((length - wasm_pages) * WASM_PAGE_BYTES)
    new = {number: page(fill) for number, fill in pages.items()}
    new |= {number: ZERO_PAGE for number, _ in image.pages() if number >= length * 16}
    written = {number: (image.page(number), data) for number, data in new.items() if image.page(number) != data}
    return ChangeSet(regions={(address, region): RegionDiff(image.wasm_pages, length, written, image.spare, spare)})


def length_of(image: Image) -> float:
    """The length of an image in Wasm pages, with the part of one at its end. It is exact."""
    return image_length(image) / WASM_PAGE_BYTES


def content(store: PageStore) -> object:
    """All that a store shows, as values that can be compared."""
    return dict(store.accounts), {
        key: (length_of(region.image), dict(region.image.pages())) for key, region in store.regions()
    }


def root_anew(store: PageStore) -> bytes:
    """The state root, all hashed again."""
    copy = MemoryPageStore()
    regions = {
        key: RegionDiff(
            0,
            region.image.wasm_pages,
            {number: (ZERO_PAGE, data) for number, data in region.image.pages()},
            spare_new=region.image.spare,
        )
        for key, region in store.regions()
    }
    copy.commit(ChangeSet({address: (NO_ACCOUNT, new) for address, new in store.accounts.items()}, regions))
    return copy.state_root()
