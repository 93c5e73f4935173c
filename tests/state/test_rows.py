"""What databases are given comes back from them."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod.pages import EMPTY_NODE, PAGE_BYTES, ZERO_PAGE
from storagemod.state import BALANCE_MAX, NONCE_MAX, Account
from storagemod.state.rows import (
    account_of,
    account_row,
    code_row,
    codes_of,
    log_row,
    logged_page,
    packed,
    trimmed,
    unpacked,
    untrimmed,
)
from storagemod.types import MAP_OPTIONS, Address, ExclusivePolicy, ReentryPolicy, StorageMapping, SyncPolicy

digests = st.one_of(st.just(bytes(32)), st.binary(min_size=32, max_size=32))


@settings(deadline=None)
@given(st.lists(digests, min_size=16, max_size=16).map(b"".join))
def test_a_node_comes_back(children: bytes) -> None:
    assert unpacked(packed(children)) == children
    assert len(packed(children)) <= 1 + len(children)


def test_a_node_with_few_children_is_short() -> None:
    assert len(packed(EMPTY_NODE)) == 1
    assert len(packed(bytes(32 * 15) + b"\0" * 31 + b"\1")) == 1 + 32


@pytest.mark.parametrize("data", [b"", b"\0\0", bytes(1 + 32 * 17), bytes([16]) + bytes(32), bytes([255])])
def test_what_is_no_node_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, LookupError)):
        unpacked(data)


@settings(deadline=None)
@given(st.integers(0, PAGE_BYTES), st.binary(max_size=3), st.binary(max_size=3))
def test_a_page_comes_back_and_is_stored_without_most_of_its_last_zeros(zeros: int, first: bytes, last: bytes) -> None:
    page = ((first + bytes(PAGE_BYTES))[: PAGE_BYTES - zeros - len(last)] + last + bytes(PAGE_BYTES))[:PAGE_BYTES]
    data = trimmed(page)
    assert untrimmed(data) == page
    assert len(data) < len(page.rstrip(b"\0")) + 32
    assert (not data) == (page == bytes(PAGE_BYTES))


@settings(deadline=None)
@given(st.integers(1, 2**40), st.integers(0, 2**20 - 1), st.binary(max_size=PAGE_BYTES), st.data())
def test_a_logged_page_comes_back_unless_a_bit_flipped(
    region: int, number: int, start: bytes, choice: st.DataObject
) -> None:
    page = start.ljust(PAGE_BYTES, b"\0")
    place, data, checksum = log_row(region, number, page)
    assert logged_page((place, data, checksum)) == (region, number, page)
    bit = 1 << choice.draw(st.integers(0, 31))
    damaged = [(place ^ bit, data, checksum), (place, data, checksum ^ bit)]
    if data:
        at = choice.draw(st.integers(0, len(data) - 1))
        damaged.append((place, data[:at] + bytes([data[at] ^ 1 << bit.bit_length() % 8]) + data[at + 1 :], checksum))
    for row in damaged:
        with pytest.raises(ValueError, match="in its log is not what was written"):
            logged_page(row)


def test_a_page_of_zeros_takes_nothing_and_one_that_is_too_long_is_refused() -> None:
    assert trimmed(bytes(PAGE_BYTES)) == trimmed(ZERO_PAGE) == b""
    assert untrimmed(b"") is ZERO_PAGE
    with pytest.raises(ValueError, match="a page of 4097 bytes"):
        untrimmed(bytes(PAGE_BYTES + 1))


FIELDS = {
    "nonce": st.integers(0, NONCE_MAX),
    "balance": st.integers(0, BALANCE_MAX),
    "code": st.binary(max_size=40),
    "name": st.one_of(st.none(), st.text()),
    "links": st.dictionaries(st.text(), st.integers(0, 2**160 - 1).map(Address), max_size=2),
    "policy": st.sampled_from(ReentryPolicy),
    "mapping": st.one_of(
        st.none(),
        st.builds(
            StorageMapping,
            st.sampled_from(MAP_OPTIONS),
            st.sampled_from(SyncPolicy),
            frame_bytes=st.sampled_from([4_096, 65_536]),
            exclusive=st.sampled_from(ExclusivePolicy),
        ),
    ),
    "link": st.sampled_from([None, "single", "regions"]),
}


@settings(deadline=None)
@given(st.integers(0, 2**160 - 1).map(Address), st.builds(Account, **FIELDS))  # type: ignore[arg-type]
def test_an_account_comes_back(address: Address, account: Account) -> None:
    codes = codes_of([code_row(account.code)])  # type: ignore[list-item]
    assert account_of(account_row(address, account), codes) == (address, account)


def test_all_that_an_account_has_is_tried() -> None:
    assert [field.name for field in attrs.fields(Account)] == list(FIELDS)


@pytest.mark.parametrize("column", range(8))
def test_a_row_with_a_column_that_is_not_what_was_written_is_refused(column: int) -> None:
    row = list(account_row(Address(1), Account(1, 2, b"", "name")))
    row[column] = "other"
    with pytest.raises(ValueError, match="is not what was written"):
        account_of(tuple(row), codes_of([]))


@pytest.mark.parametrize("nonce", [-1, NONCE_MAX + 1])
def test_no_account_has_a_nonce_that_cannot_be_kept(nonce: int) -> None:
    with pytest.raises(ValueError, match="nonce"):
        Account(nonce=nonce)
