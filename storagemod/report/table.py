"""Small plain tables, the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Sequence

from storagemod.errors import one_line

NOTHING = "-"


def render_table(headers: Sequence[str], rows: Sequence[Sequence[str | int]]) -> str:
    """Lay out rows under headers, columns two spaces apart.

    A column of integers stands to the right, with thousands commas; ``NOTHING`` is a cell without one.

    Args:
        headers: One for each column.
        rows: Cells, as many in each row as there are headers.

    Returns:
        The lines, joined and without a newline at the end. What is not printable in a cell is escaped.
    """
    text = [[f"{cell:,}" if isinstance(cell, int) else one_line(cell) for cell in row] for row in rows]
    widths = [max(len(line[column]) for line in [list(headers), *text]) for column in range(len(headers))]
    right = [
        bool(rows) and all(isinstance(row[column], int) or row[column] == NOTHING for row in rows)
        for column in range(len(headers))
    ]
    lines = []
    for line in [list(headers), ["─" * width for width in widths], *text]:
        cells = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
