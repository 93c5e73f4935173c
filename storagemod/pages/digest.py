"""The digest of one region: what it holds and how long it is, however it came to be.

Format 1: BLAKE2b of 32 bytes over the length in Wasm pages and, in order, the number and the digest of every 4 KiB
page that is not zero. Integers are 8 bytes, little-endian; the two levels of hashing are told apart by their
``person`` parameter (RFC 7693).
"""

from __future__ import annotations

import hashlib

from storagemod.pages.image import Image
from storagemod.pages.page import ZERO_PAGE

DIGEST_BYTES = 32


def page_digest(data: bytes) -> bytes:
    """The digest of one page."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES, person=b"storagemod page").digest()


class RegionDigest:
    """Keeps the digests of pages, so that only pages that changed are hashed again."""

    def __init__(self) -> None:
        self._pages: dict[int, bytes] = {}
        self._dirty: set[int] | None = None  # None: nothing is known yet

    def invalidate(self, numbers: set[int]) -> None:
        """Forget pages that changed."""
        if self._dirty is not None:
            self._dirty |= numbers

    def digest(self, image: Image) -> bytes:
        """The digest of the image as it is now."""
        if self._dirty is None:
            self._pages = {number: page_digest(data) for number, data in image.pages() if data != ZERO_PAGE}
        else:
            for number in self._dirty:
                data = image.page(number)
                if data == ZERO_PAGE:
                    self._pages.pop(number, None)
                else:
                    self._pages[number] = page_digest(data)
        self._dirty = set()
        whole = hashlib.blake2b(digest_size=DIGEST_BYTES, person=b"storagemod image")
        whole.update(image.wasm_pages.to_bytes(8, "little"))
        for number in sorted(self._pages):
            whole.update(number.to_bytes(8, "little") + self._pages[number])
        return whole.digest()
