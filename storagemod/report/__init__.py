"""Writers over a trace and a receipt: text tree, tables, JSON."""

from storagemod.report.json import (
    document,
    error_to_json,
    options_to_json,
    receipt_to_json,
    scenario_to_json,
    trace_to_json,
)
from storagemod.report.table import render_table
from storagemod.report.tree import WordNames, render_tree, render_tree_rich

__all__ = [
    "WordNames",
    "document",
    "error_to_json",
    "options_to_json",
    "receipt_to_json",
    "render_table",
    "render_tree",
    "render_tree_rich",
    "scenario_to_json",
    "trace_to_json",
]
