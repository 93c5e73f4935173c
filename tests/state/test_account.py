"""Accounts: changed copies, and the index of their names and links."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod.state import BALANCE_MAX, NO_ACCOUNT, NONCE_MAX, Account
from storagemod.state.account import AccountIndex
from storagemod.types import Address, ReentryPolicy, StorageMapping

from .stores import A, B, C

FULL = Account(1, 2, b"code", "name", {"x": B}, ReentryPolicy.SELF_ONLY, StorageMapping())

nonces = st.one_of(st.none(), st.integers(0, NONCE_MAX))
balances = st.one_of(st.none(), st.integers(0, BALANCE_MAX))


@given(st.sampled_from([NO_ACCOUNT, FULL]), nonces, balances)
def test_a_changed_copy_is_what_attrs_makes(account: Account, nonce: int | None, balance: int | None) -> None:
    before = attrs.evolve(account)
    given_values = {name: value for name, value in (("nonce", nonce), ("balance", balance)) if value is not None}
    copy = account.with_changes(nonce=nonce, balance=balance)
    expected = attrs.evolve(account, **given_values)  # type: ignore[arg-type]
    assert copy == expected
    assert repr(copy) == repr(expected)
    assert hash(copy) == hash(expected)
    assert copy.with_changes() == copy
    assert account == before


@pytest.mark.parametrize(
    ("name", "value"), [("nonce", -1), ("nonce", NONCE_MAX + 1), ("balance", -1), ("balance", BALANCE_MAX + 1)]
)
def test_a_value_out_of_range_is_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"a {name} must be between 0 and .*, got {value:,}"):
        FULL.with_changes(**{name: value})
    with pytest.raises(ValueError, match=name):
        attrs.evolve(FULL, **{name: value})


def test_an_account_is_not_changed_in_place() -> None:
    for account in (FULL, FULL.with_changes(nonce=2)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            account.nonce = 3  # type: ignore[misc]


accounts = st.builds(
    Account,
    nonce=st.integers(0, 1),
    name=st.sampled_from([None, "", "a", "b"]),
    links=st.sampled_from([{}, {"x": A}, {"x": B, "y": A}, {"x": C, "y": C}]),
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([A, B, C]), accounts, st.booleans())))
def test_the_index_has_what_a_search_finds(history: list[tuple[Address, Account, bool]]) -> None:
    index = AccountIndex()
    state: dict[Address, Account] = {}
    snapshots: list[tuple[Mapping[Address, str], dict[Address, str]]] = []
    for address, account, twice in history:
        old, before = state.get(address, NO_ACCOUNT), index.labels
        for _ in range(1 + twice):  # as when an interrupted update is repeated
            index.update(address, old, account)
        state[address] = account
        labels = {each: found.name for each, found in state.items() if found.name}
        assert index.labels == labels
        if old.name == account.name:
            assert index.labels is before
        snapshots.append((index.labels, labels))
        for name in ("", "a", "b"):
            assert index.is_name_taken(name) == (name in labels.values())
        for target in (A, B, C):
            assert index.linked_to(target) == sorted(
                each for each, found in state.items() if target in found.links.values()
            )
    assert all(snapshot == then for snapshot, then in snapshots)
    with pytest.raises(TypeError):
        index.labels[A] = "x"  # type: ignore[index]
