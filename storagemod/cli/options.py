"""Options and arguments that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from storagemod.errors import ScenarioError, StorageModError
from storagemod.pages import BACKENDS
from storagemod.scenario import Scenario, load_scenario
from storagemod.scenario.fixtures import did_you_mean, scenario_names, scenario_path
from storagemod.types import SyncPolicy
from storagemod.vm import option_names

link_choice = click.Choice(option_names())

link_option = click.option(
    "--link",
    type=link_choice,
    help="The linking option of a contract whose source leaves it open with a line `;; @storage` (default: single), or "
    "that imports functions of `methods`, as compiled contracts do: methods (the default there), single or regions.",
)

sync_choice = click.Choice([policy.value for policy in SyncPolicy])

tracker_option = click.option(
    "--tracker",
    type=click.Choice(list(BACKENDS)),
    help="How storage is mapped and writes are found (default: the quickest that works; see `storagemod doctor`).",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")


class NamedPath(click.Path):
    """A path, as a ``Path``. An empty one is refused: as a path it would be the current folder, which nobody named."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take over a word of the command line."""
        if value == "":
            self.fail("it is empty (a variable of the shell that is not set?)", param, ctx)
        return super().convert(value, param, ctx)


def load_named_scenario(file: Path) -> Scenario:
    """A scenario, by its file or else by the name that it comes with.

    Raises:
        ScenarioError: It cannot be read, or cannot be understood.
    """
    name = str(file)
    try:
        return load_scenario(file)
    except ScenarioError as error:
        if is_missing(error):
            if name in scenario_names():
                return load_scenario(scenario_path(name), label=name)
            error.hint = did_you_mean(name, scenario_names())
        raise


def is_missing(error: StorageModError) -> bool:
    """Whether a file could not be read because there is none."""
    cause: BaseException | None = error
    while isinstance(cause, StorageModError):
        cause = cause.cause
    return isinstance(cause, FileNotFoundError)
