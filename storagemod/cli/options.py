"""Options and arguments that several commands have."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import click

from storagemod.errors import ScenarioError, StorageModError
from storagemod.pages import BACKENDS
from storagemod.scenario import Scenario, load_scenario
from storagemod.scenario.fixtures import did_you_mean, scenario_names, scenario_path
from storagemod.types import FRAME_OPTIONS, CallMode, ExclusivePolicy, SyncPolicy
from storagemod.vm import option_names

link_choice = click.Choice(option_names())

link_option = click.option(
    "--link",
    type=link_choice,
    help="The linking option of a contract whose source leaves it open with a line `;; @storage` (default: single), or "
    "that imports functions of `methods`, as compiled contracts do: methods (the default there), single or regions.",
)

sync_choice = click.Choice([policy.value for policy in SyncPolicy])

exclusive_choice = click.Choice([policy.value for policy in ExclusivePolicy])

exclusive_option = click.option(
    "--exclusive",
    type=exclusive_choice,
    help="Which second page for a frame of storage is refused, for contracts that run under `paged` or `aliased` and "
    "do not say it in the file (default: none).",
)

exclusives_option = click.option(
    "--exclusive",
    "exclusives",
    multiple=True,
    type=exclusive_choice,
    help="Only this exclusive policy of the options `paged` and `aliased`; may be repeated.",
)


call_choice = click.Choice([mode.value for mode in CallMode])


def check_policies(links: Collection[str], sync: str | None, exclusive: str | None) -> None:
    """Check that policies are about an option that is asked for; no option means that contracts say theirs.

    Raises:
        UsageError: One is not.
    """
    if sync is not None and links and "copied" not in links:
        raise click.UsageError("--sync is about copies of storage, which are made under --link copied")
    if exclusive is not None and links and not set(FRAME_OPTIONS) & set(links):
        options = " and ".join(f"--link {option}" for option in FRAME_OPTIONS)
        raise click.UsageError(f"--exclusive is about frames of storage, which {options} have")


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
