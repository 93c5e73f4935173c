from __future__ import annotations

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storagemod import ValidationError
from storagemod.baseline import Entry, parse_snapshot, render_snapshot

ENTRY = Entry("bank.toml", "pay", "copied, end", "ok", 12_345, 3, 2, 1_000, bytes(range(32)), "41; 1 log")

names = (
    st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1)
    .map(lambda text: " ".join(text.split()))
    .filter(bool)
)
numbers = st.integers(0, 2**63 - 1)
entries = st.builds(
    Entry,
    path=names,
    title=names,
    variant=st.sampled_from(["single", "copied, end"]),
    outcome=st.sampled_from(["ok", "failed", "reverted", "refused"]),
    gas=numbers,
    touched=st.none() | numbers,
    written=numbers,
    host_calls=numbers,
    state_root=st.binary(min_size=32, max_size=32),
    answer=st.none() | names.filter(lambda text: text != "-"),
)


def test_entry_is_one_line_to_be_read_by_people() -> None:
    header, columns, line = render_snapshot([ENTRY]).splitlines()

    assert header == "# storagemod snapshot 2"
    assert columns.count(" | ") == line.count(" | ")
    root = bytes(range(32)).hex()
    assert (
        line
        == "bank.toml | pay | copied, end | ok | 41; 1 log | 12,345 gas | 3 touched | 2 written | 1,000 host calls "
        f"| 0x{root}"
    )


@example([attrs.evolve(ENTRY, path="a | b", title="#c | d\\")])
@example([attrs.evolve(ENTRY, path="#a", title="|"), attrs.evolve(ENTRY, path="a", title="\\|")])
@given(st.lists(entries, unique_by=lambda entry: entry.key, max_size=4))
def test_what_was_written_is_read_whatever_the_names(found: list[Entry]) -> None:
    text = render_snapshot(found)

    assert sorted(parse_snapshot(text, path="x"), key=lambda entry: entry.key) == sorted(found, key=lambda e: e.key)
    assert render_snapshot(reversed(found)) == text
    assert len(text.splitlines()) == 2 + len(found)


def test_lines_are_sorted() -> None:
    entries = [attrs.evolve(ENTRY, title=title) for title in ("pay more", "pay", "b", "a")]
    lines = render_snapshot(entries).splitlines()[2:]

    assert lines == sorted(lines)


LINE = render_snapshot([ENTRY]).splitlines()[2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("<<<<<<< HEAD", "10 parts between bars are wanted, found 1"),
        (LINE.replace("| ok |", "| fine |"), "'fine' is none of ok, failed, reverted, refused"),
        (LINE.replace("12,345 gas", "12345 gas"), "'12345 gas' is no number of gas, like '1,234 gas'"),
        (LINE.replace("3 touched", "3 written"), "'3 written' is no number of touched"),
        (LINE[:-1], "is no state root, 0x and 64 digits"),
        (LINE + " | 3", "10 parts between bars are wanted, found 11"),
        (LINE, "a second entry of bank.toml | pay | copied, end"),
    ],
)
def test_line_that_is_no_entry_is_an_error_with_its_number(line: str, message: str) -> None:
    text = render_snapshot([ENTRY]) + "\n# a remark\n" + line + "\n"

    with pytest.raises(ValidationError, match="here:6: ") as caught:
        parse_snapshot(text, path="here")

    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "# storagemod snapshot 3\n", "counter"])
def test_text_that_is_no_snapshot_is_an_error(text: str) -> None:
    with pytest.raises(ValidationError, match="here: no snapshot"):
        parse_snapshot(text, path="here")


def test_a_file_of_version_1_is_read_and_its_entries_have_no_answers() -> None:
    text = render_snapshot([ENTRY]).replace("snapshot 2", "snapshot 1").replace("| 41; 1 log ", "")
    (entry,) = parse_snapshot(text, path="old")
    assert entry == attrs.evolve(ENTRY, answer=None)
    assert parse_snapshot(render_snapshot([entry]), path="new") == (entry,)
