from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storagemod.scenario.locate import Lines, TomlPath

TEXT = '''# a comment with [brackets] and "quotes
[scenario]
name = "x" # = y
"quo ted"."b" = 'z'

[accounts]
alice = { address = "0x1", balance = 5 }
[contracts.bank]
wat = """
[module]
  "q\\" " a = 1
""""
links = { A.b = "c" }
[[contracts.bank.storage]]
i64 = [1, # x ]
  2,
  3,
]
[[contracts.bank.storage]]
i32 = [[1], { a = [2,
 { z = 1 }] }]
[[transactions]]
to = "bank"
[transactions.expect]
value = 1
[[transactions]]
to = \'\'\'a
]\'\'\'
expect.value = 3
[[transactions.expect.storage]]
hex = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("scenario",), 2),
        (("scenario", "name"), 3),
        (("scenario", "quo ted", "b"), 4),
        (("accounts", "alice", "balance"), 7),
        (("contracts", "bank"), 8),
        (("contracts", "bank", "wat"), 9),
        (("contracts", "bank", "links", "A", "b"), 13),
        (("contracts", "bank", "storage", 0), 14),
        (("contracts", "bank", "storage", 0, "i64", 1), 16),
        (("contracts", "bank", "storage", 0, "i64", 2), 17),
        (("contracts", "bank", "storage", 1, "i32", 1, "a", 1, "z"), 21),
        (("transactions", 0, "expect", "value"), 25),
        (("transactions", 1, "to"), 27),
        (("transactions", 1, "expect", "value"), 29),
        (("transactions", 1, "expect", "storage", 0, "hex"), 31),
    ],
)
def test_path_is_found_at_its_line(path: TomlPath, line: int) -> None:
    tomllib.loads(TEXT)

    assert Lines(TEXT).line(path) == line


def test_path_that_is_not_there_is_found_at_its_nearest_ancestor() -> None:
    lines = Lines(TEXT)

    assert lines.line(("transactions", 1, "expect", "valeu", "more")) == 29
    assert lines.line(("transactions", 7)) == 22
    assert lines.line(("nothing", "here")) is None


def test_empty_text_has_no_lines() -> None:
    assert Lines("").line(("scenario",)) is None
    assert Lines(" \t\n# only a comment").line(()) is None


def paths_of(value: Any, path: TomlPath = ()) -> list[TomlPath]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += paths_of(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += paths_of(inner, (*path, index))
    return found


keys = st.one_of(st.from_regex(r"[a-z0-9_-]{1,4}", fullmatch=True), st.text("ab.[]#='\" \t", min_size=1, max_size=4))
scalars = st.one_of(
    st.integers(-9, 9).map(str),
    st.sampled_from(
        ['""', '"]"', '"a\\"b"', "'#'", '"""a\n]"""', "'''\n'a'''", '"""""""', "true", "1979-05-27T07:32:00Z"]
    ),
)


def quoted(key: str) -> str:
    return (
        key
        if key.replace("-", "a").isalnum() and key.isascii()
        else '"' + key.replace('"', '\\"').replace("\t", "\\t") + '"'
    )


values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: "[" + ", # ]\n".join(each) + "\n]"),
        st.dictionaries(keys, scalars.filter(lambda text: "\n" not in text), max_size=2).map(
            lambda each: "{ " + ", ".join(f"{quoted(key)} = {value}" for key, value in each.items()) + " }"
        ),
    ),
    max_leaves=6,
)
tables = st.dictionaries(keys, values, max_size=3)


@given(st.lists(st.tuples(st.booleans(), keys, tables), max_size=4))
def test_every_path_of_any_text_is_found_and_keys_are_on_their_line(
    parts: list[tuple[bool, str, dict[str, str]]],
) -> None:
    text = ""
    for number, (is_element, name, table) in enumerate(parts):
        header = f"[[{quoted(name)}]]" if is_element else f"[ {number}.{quoted(name)} ]"
        text += "".join([header, "\n", *(f"{quoted(key)} = {value} # c\n" for key, value in table.items())])
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # two headers that do not go together
    lines = Lines(text)
    source = text.split("\n")

    for path in paths_of(parsed):
        line = lines.line(path)
        assert line is not None
        if isinstance(path[-1], str):
            assert quoted(path[-1]) in source[line - 1]
