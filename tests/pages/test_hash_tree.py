"""The hash tree: the same as hashing everything anew, and no more work than what changed."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod.pages import hash_tree
from storagemod.pages.hash_tree import DIGEST_BYTES, EMPTY_NODE, LEVELS, TREE_PAGES_MAX, HashTree, NodeKey
from storagemod.pages.page import PAGE_BYTES, ZERO_PAGE


def page(fill: int) -> bytes:
    return fill.to_bytes(2, "little") * (PAGE_BYTES // 2)


def blake(person: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32, person=person).digest()


def oracle(pages: dict[int, bytes], wasm_pages: int) -> bytes:
    """The root as the format describes it, from the top down and with nothing kept."""

    def digest(first: int, width: int) -> bytes:
        below = [number for number, data in pages.items() if first <= number < first + width and any(data)]
        if not below:
            return bytes(32)
        if width == 1:
            return blake(b"storagemod page", pages[first])
        step = width // 16
        return blake(b"storagemod node", b"".join(digest(first + n * step, step) for n in range(16)))

    return blake(b"storagemod image", wasm_pages.to_bytes(8, "little") + digest(0, 2**20))


numbers = st.one_of(st.integers(0, 40), st.integers(0, TREE_PAGES_MAX - 1), st.sampled_from([15, 16, 255, 256, 4096]))
updates = st.lists(st.dictionaries(numbers, st.integers(0, 3).map(page), max_size=4), max_size=6)


@settings(deadline=None)
@given(updates, st.integers(0, 2**16))
def test_the_root_is_that_of_hashing_everything_anew(history: list[dict[int, bytes]], wasm_pages: int) -> None:
    tree, pages = HashTree(), dict[int, bytes]()
    for update in history:
        tree.update(update)
        pages |= update
        assert tree.root(wasm_pages) == oracle(pages, wasm_pages)
    assert list(tree.pages()) == sorted(number for number, data in pages.items() if data != ZERO_PAGE)
    assert not list(tree.broken())


def test_the_format_does_not_change_unnoticed() -> None:
    tree = HashTree()
    assert tree.root(0).hex() == "5aebbb78f939da2a2807593ff51f1e44a786945180f4dea22a1c6effadc45856"
    tree.update({0: page(1), 17: page(2), TREE_PAGES_MAX - 1: page(3)})
    assert tree.root(65_536).hex() == "071a32d3a3957db350289b3ad0bb1a44fe88304acccbbf52d7ea3e6d56942eea"


@settings(deadline=None)
@given(updates)
def test_a_tree_that_is_stored_and_loaded_again_goes_on_as_if_nothing_had_happened(
    history: list[dict[int, bytes]],
) -> None:
    stored: dict[NodeKey, bytes] = {}
    kept = HashTree()
    for update in history:
        loaded = HashTree(lambda key: stored.get(key, EMPTY_NODE))
        for tree in (kept, loaded):
            tree.update(update)
        for key, children in loaded.changed().items():
            stored[key] = children
            if children == EMPTY_NODE:
                del stored[key]
        loaded.mark_stored()
        assert not loaded.changed()
        assert loaded.root(1) == kept.root(1)
    nodes = len({(level, number // 16 ** (level + 1)) for number in kept.pages() for level in range(LEVELS)})
    assert len(stored) == nodes  # and those of regions of zeros are gone


def test_nodes_are_not_kept_without_end_once_they_are_stored() -> None:
    stored: dict[NodeKey, bytes] = {}
    tree = HashTree(lambda key: stored.get(key, EMPTY_NODE))
    tree.update({number * 16: page(1) for number in range(HashTree.NODES_KEPT_MAX + 1)})
    stored |= tree.changed()
    before = tree.root(1)
    tree.mark_stored()
    assert not tree._nodes
    assert tree.root(1) == before


@settings(deadline=None)
@given(st.dictionaries(numbers, st.integers(0, 2).map(page)), st.dictionaries(numbers, st.integers(0, 2).map(page)))
def test_the_difference_of_two_trees_is_the_pages_that_differ(a: dict[int, bytes], b: dict[int, bytes]) -> None:
    one, other = HashTree(), HashTree()
    one.update(a)
    other.update(b)
    differing = sorted(n for n in a.keys() | b.keys() if a.get(n, ZERO_PAGE) != b.get(n, ZERO_PAGE))
    assert list(one.differing(other)) == list(other.differing(one)) == differing


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many pages and nodes were hashed."""
    counts = Counter[str]()

    def count(name: str) -> None:
        real = getattr(hash_tree, name)

        def counting(data: bytes) -> bytes:
            counts[name] += any(data)
            return bytes(real(data))

        monkeypatch.setattr(hash_tree, name, counting)

    count("page_digest")
    count("node_digest")
    return counts


def test_only_pages_that_changed_are_hashed_again_and_the_nodes_above_them(hashed: Counter[str]) -> None:
    tree = HashTree()
    tree.update({number: page(number + 1) for number in range(1_000)})
    tree.root(100)
    hashed.clear()
    tree.update({0: page(7), 1: page(8), 999: page(9)})  # 2 neighbours and one far away: the upper levels are shared
    assert hashed == {"page_digest": 3, "node_digest": 2 + 2 + 1 + 1 + 1}
    tree.root(100)
    assert hashed == {"page_digest": 3, "node_digest": 7 + 1}


def test_nothing_above_a_page_that_was_written_back_is_hashed(hashed: Counter[str]) -> None:
    tree = HashTree()
    tree.update({5: page(1)})
    tree.mark_stored()
    hashed.clear()
    tree.update({5: page(1)})
    assert +hashed == {"page_digest": 1}
    assert not tree.changed()


def test_looking_for_what_differs_does_not_open_what_is_equal() -> None:
    stored: dict[NodeKey, bytes] = {}
    one, other = HashTree(), HashTree()
    one.update({number * 16: page(1) for number in range(1_000)})
    stored |= one.changed()
    other.update({number * 16: page(1) for number in range(1_000)} | {160: page(2)})
    asked = []

    def load(key: NodeKey) -> bytes:
        asked.append(key)
        return stored.get(key, EMPTY_NODE)

    assert list(HashTree(load).differing(other)) == [160]
    assert len(asked) == LEVELS


@pytest.mark.parametrize("level", range(LEVELS - 1))
def test_a_node_that_does_not_hash_to_what_is_above_it_is_found(level: int) -> None:
    tree = HashTree()
    tree.update({0: page(1), 300_000: page(2)})
    key = (level, 300_000 // 16 ** (level + 1))
    damaged = bytearray(tree.node(key))
    damaged[damaged.index(next(filter(None, damaged)))] ^= 1
    stored = tree.changed() | {key: bytes(damaged)}
    (pages,) = HashTree(lambda each: stored.get(each, EMPTY_NODE)).broken()
    assert len(pages) == 16 ** (level + 1)
    assert 300_000 in pages


@pytest.mark.parametrize("number", [-1, TREE_PAGES_MAX])
def test_a_page_outside_the_tree_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="1,048,576 pages"):
        HashTree().update({0: page(1), number: page(1)})


def test_digests_are_32_bytes() -> None:
    assert len(HashTree().root(1)) == len(HashTree().page(3)) == DIGEST_BYTES
