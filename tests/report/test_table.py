from __future__ import annotations

from storagemod.report import render_table
from storagemod.report.table import NOTHING


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_stand_to_the_right() -> None:
    text = render_table(("name", "gas", "n", "last"), [("a", 1_234, 7, "x"), ("longer", 5, NOTHING, "")])

    assert text.splitlines() == [
        "name      gas  n  last",
        "──────  ─────  ─  ────",
        "a       1,234  7  x",
        "longer      5  -",
    ]


def test_table_without_rows_is_its_headers() -> None:
    assert render_table(("a", "bc"), []) == "a  bc\n─  ──"
