"""The hash tree of one region: its content and length in 32 bytes, whatever its history.

Format 2. The tree has a fixed shape: 16 children to a node, 5 levels, and so room for 2**20 pages of 4 KiB. The digest
of a page is BLAKE2b of its bytes; that of a node is BLAKE2b of its children's digests, 32 bytes each, in order. What is
all zeros, a page or all that a node stands for, has the digest of 32 zero bytes, so that a sparse region has a sparse
tree. The root is BLAKE2b over the length (8 bytes, little-endian) and the digest of the top node. A length is in Wasm
pages; one that is none is in bytes, negative (two's complement). The
three kinds of hash are told apart by their ``person`` parameter (RFC 7693).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from storagemod.pages.page import ZERO_PAGE

DIGEST_BYTES = 32
ARITY = 16
LEVELS = 5
TREE_PAGES_MAX = ARITY**LEVELS
"""Number of pages of a full tree: 4 GiB."""

NodeKey: TypeAlias = tuple[int, int]
"""The level of a node, 0 next to the pages, and its place there."""

NO_DIGEST = bytes(DIGEST_BYTES)
EMPTY_NODE = bytes(ARITY * DIGEST_BYTES)

_TOP: NodeKey = (LEVELS - 1, 0)


def page_digest(data: bytes) -> bytes:
    """Return the digest of one page."""
    if data is ZERO_PAGE or data == ZERO_PAGE:
        return NO_DIGEST
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES, person=b"storagemod page").digest()


def node_digest(children: bytes) -> bytes:
    """Return the digest of a node: of the digests of its children."""
    if children == EMPTY_NODE:
        return NO_DIGEST
    return hashlib.blake2b(children, digest_size=DIGEST_BYTES, person=b"storagemod node").digest()


def _no_node(key: NodeKey) -> bytes:  # noqa: ARG001 - the signature of a loader
    return EMPTY_NODE


class HashTree:
    """The tree, kept up to date. A change hashes the pages that changed, and the nodes above them.

    Memory: 512 bytes for each node that was used since the tree was made, or since :meth:`mark_stored` dropped them.

    Args:
        load: Gives a node that is used for the first time: the digests of its children, ``EMPTY_NODE`` if it was never
            stored. A tree without it begins as that of a region of zeros.
    """

    NODES_KEPT_MAX = 1_024

    def __init__(self, load: Callable[[NodeKey], bytes] | None = None) -> None:
        self._load = load or _no_node
        self._nodes: dict[NodeKey, bytes] = {}
        self._changed: set[NodeKey] = set()

    def update(self, pages: Mapping[int, bytes]) -> None:
        """Hash the bytes of pages, by number, and the nodes above them.

        Raises:
            ValueError: A number is outside the tree.
        """
        self.set_digests({number: page_digest(data) for number, data in pages.items()})

    def set_digests(self, digests: Mapping[int, bytes]) -> None:
        """Set the digests of pages, by number, and hash the nodes above them.

        Raises:
            ValueError: A number is outside the tree.
        """
        if digests and not 0 <= min(digests) <= max(digests) < TREE_PAGES_MAX:
            raise ValueError(f"a region has {TREE_PAGES_MAX:,} pages of 4 KiB at most")
        fresh: dict[NodeKey, bytes] = {}
        for level in range(LEVELS):
            nodes: dict[int, bytearray] = {}
            for number, digest in digests.items():
                index, place = number // ARITY, number % ARITY * DIGEST_BYTES
                node = nodes.get(index)
                if node is None:
                    node = nodes[index] = bytearray(self.node((level, index)))
                node[place : place + DIGEST_BYTES] = digest
            above: dict[int, bytes] = {}
            for index, children in nodes.items():
                if children != self._nodes[level, index]:
                    fresh[level, index] = bytes(children)
                    above[index] = node_digest(fresh[level, index])
            digests = above
        self._changed.update(fresh)
        self._nodes.update(fresh)  # all at once: half an update, left by an interruption, would give wrong roots

    def root(self, length: int) -> bytes:
        """Return the digest of the region, of a length in Wasm pages, or in bytes, negative (``coded_length``)."""
        root = hashlib.blake2b(digest_size=DIGEST_BYTES, person=b"storagemod image")
        root.update(length.to_bytes(8, "little", signed=True) + node_digest(self.node(_TOP)))
        return root.digest()

    def node(self, key: NodeKey) -> bytes:
        """Return the digests of a node's children, side by side."""
        if key not in self._nodes:
            self._nodes[key] = self._load(key)
        return self._nodes[key]

    def child(self, key: NodeKey, place: int) -> bytes:
        """Return the digest that a node has for one of its children."""
        return self.node(key)[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES]

    def page(self, number: int) -> bytes:
        """Return the digest that the tree has for a page."""
        return self.child((0, number // ARITY), number % ARITY)

    def pages(self) -> Iterator[int]:
        """Yield the numbers of the pages that are not zeros, in order."""
        return self.differing(HashTree())

    def differing(self, other: HashTree) -> Iterator[int]:
        """Yield the numbers of the pages in which two trees differ, in order. Costs what differs."""
        if self.node(_TOP) != other.node(_TOP):
            yield from self._differing(other, _TOP)

    def _differing(self, other: HashTree, key: NodeKey) -> Iterator[int]:
        level, index = key
        for place in range(ARITY):
            if self.child(key, place) == other.child(key, place):
                continue
            if level:
                yield from self._differing(other, (level - 1, index * ARITY + place))
            else:
                yield index * ARITY + place

    def broken(self) -> Iterator[range]:
        """Yield the ranges of pages over which a node does not have the digest that the node above it has for it."""
        return self._broken(_TOP)

    def _broken(self, key: NodeKey) -> Iterator[range]:
        level, index = key
        for place in range(ARITY if level else 0):
            below = (level - 1, index * ARITY + place)
            digest = self.child(key, place)
            if node_digest(self.node(below)) != digest:
                width = ARITY**level
                yield range(below[1] * width, (below[1] + 1) * width)
            elif digest != NO_DIGEST:
                yield from self._broken(below)

    def changed(self) -> dict[NodeKey, bytes]:
        """Return the nodes that changed since the tree was stored. An ``EMPTY_NODE`` need not be stored any more."""
        return {key: self._nodes[key] for key in sorted(self._changed)}

    def mark_stored(self) -> None:
        """Note that the changed nodes have been stored where nodes are loaded from. They may be dropped now."""
        self._changed.clear()
        if len(self._nodes) > self.NODES_KEPT_MAX:
            self._nodes.clear()
