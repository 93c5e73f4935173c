from __future__ import annotations

from pathlib import Path

import pytest

from storagemod.inputs import SCENARIO_BYTES_MAX
from storagemod.scenario_files import is_scenario, scenarios_in


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("[contracts.a]\n", True),
        ("[[transactions]]\n", True),
        ("\ufeff[contracts]\n", True),
        ("transactions = 3", True),
        ("[contracts.a\n", True),
        ("[tool.contracts]\n", False),
        ("", False),
        ("this is no toml", False),
        ("# contracts\n", False),
    ],
)
def test_scenarios_have_contracts_or_transactions(tmp_path: Path, text: str, is_one: bool) -> None:
    path = tmp_path / "it.toml"
    path.write_text(text, encoding="utf-8")

    assert is_scenario(path) is is_one


def test_what_cannot_be_read_or_is_too_long_is_none(tmp_path: Path) -> None:
    path = tmp_path / "it.toml"
    assert not is_scenario(path)
    assert not is_scenario(tmp_path)
    path.write_bytes(b"[contracts.a]\n" + b"\n" * SCENARIO_BYTES_MAX)
    assert not is_scenario(path)


def test_bytes_that_are_no_text_count_by_their_looks(tmp_path: Path) -> None:
    path = tmp_path / "it.toml"
    path.write_bytes(b"[contracts.a]\ncode = '\xff'\n")

    assert is_scenario(path)


def test_folders_are_searched_to_their_ends_in_order(tmp_path: Path) -> None:
    for name in ("b.toml", "a/z.toml", "a/y/x.toml", "c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("[contracts.a]\n")
    (tmp_path / "other.toml").write_text("[tool]\n")
    (tmp_path / "d.toml").mkdir()

    assert scenarios_in(tmp_path) == [tmp_path / name for name in ("a/y/x.toml", "a/z.toml", "b.toml")]
