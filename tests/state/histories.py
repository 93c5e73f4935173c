"""A history of commits in which each follows from its number: what a store holds tells how far it came.

Commit ``n`` sets the nonce of account A to ``n``, and writes pages of some regions in ways that depend on ``n`` alone.
"""

from __future__ import annotations

import math
import random

from attrs import define, field

from storagemod.state import NO_ACCOUNT, Account, ChangeSet, PageStore
from storagemod.types import Address

from .stores import A, B, C, page, write

REGIONS = [(A, "memory"), (B, "memory"), (B, "books"), (C, "memory")]
PAGES_MAX = 80


@define
class Step:
    """A part of a commit: what becomes of one region."""

    key: tuple[Address, str]
    pages: dict[int, int]
    wasm_pages: float


def steps(number: int) -> list[Step]:
    """What a commit does after it counted itself. Several steps are committed one by one, within a group."""
    chosen = random.Random(number)  # noqa: S311 - not a secret
    found = []
    for _ in range(chosen.choice([1, 1, 1, 3])):
        length = chosen.choice([1, 2, 3, 5, 2 - 1 / 65_536, 2.5, 4 + 1 / 65_536])
        pages = {
            chosen.randrange(math.ceil(length * 16)): chosen.choice([0, number, number + 1])
            for _ in range(chosen.randrange(5))
        }
        found.append(Step(chosen.choice(REGIONS), pages, length))
    return found


def commit(store: PageStore, number: int) -> None:
    """Make commit ``number``."""
    old = store.accounts.get(A, NO_ACCOUNT)
    counted = ChangeSet({A: (old, Account(nonce=number, code=bytes([number % 3])))})
    todo = steps(number)
    if len(todo) == 1:
        store.commit(counted.merged(_change(store, todo[0])))
        return
    store.begin_group()
    store.commit(counted)
    for step in todo:
        store.commit(_change(store, step))
    store.commit_group()


def commits(store: PageStore) -> int:
    """How many of them a store has."""
    return store.accounts.get(A, NO_ACCOUNT).nonce


def _change(store: PageStore, step: Step) -> ChangeSet:
    return write(store, step.key[0], step.pages, wasm_pages=step.wasm_pages, region=step.key[1])


@define
class Model:
    """What there is after some number of commits."""

    number: int = 0
    regions: dict[tuple[Address, str], tuple[float, dict[int, int]]] = field(factory=dict)

    def advance(self, number: int) -> None:
        """Go on to a later commit."""
        while self.number < number:
            self.number += 1
            for step in steps(self.number):
                _, pages = self.regions.get(step.key, (0, {}))
                pages = {
                    at: fill
                    for at, fill in (pages | step.pages).items()
                    if fill and at < math.ceil(step.wasm_pages) * 16
                }
                self.regions[step.key] = (step.wasm_pages, pages)

    def content(self) -> object:
        """The same as ``content`` of a store."""
        accounts = {A: Account(nonce=self.number, code=bytes([self.number % 3]))} if self.number else {}
        return accounts, {
            key: (length, {at: page(fill) for at, fill in pages.items()})
            for key, (length, pages) in self.regions.items()
        }
