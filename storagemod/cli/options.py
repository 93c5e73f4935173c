"""Options that several commands have."""

from __future__ import annotations

import click

from storagemod.linking import option_names

link_choice = click.Choice(option_names())

link_option = click.option(
    "--link",
    type=link_choice,
    help="How a contract that leaves it open reaches its storage (default: single).",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
