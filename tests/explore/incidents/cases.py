"""The cases: what is in their folders, their twins, and the attacks by hand that prove their faults.

A case is a folder with ``scenario.toml``, one ``X_fixed.wat`` or more beside ``X.wat``, ``exploit.toml``, and the
attackers that it deploys. The mended twin is the same folder with ``X_fixed.wat`` in the place of ``X.wat``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from storagemod.errors import StorageModError
from storagemod.scenario.load import load_scenario
from storagemod.scenario.run import run_scenario

ROOT = Path(__file__).parent
FIXED = "_fixed.wat"
TWINS = ("faulty", "fixed")
SETS = ("first", "second")
SECOND = frozenset(
    {
        "allowance_call",
        "basket_redeem",
        "bridge_bitmap",
        "clipper_take",
        "cover_claim",
        "craft_hook",
        "flashmint_rate",
        "ibeth_work",
        "pair_sync",
        "queue_cancel",
        "route_callback",
        "skim_surplus",
        "unstake_vote",
        "vesting_split",
        "wrap_rebase",
    }
)
"""Cases that others wrote after the search was made, to tell how it does on what it was not tuned to."""


def names(which: str | None = None) -> list[str]:
    """Return the names of all cases in order, or those of one of the `SETS`."""
    found = sorted(path.parent.name for path in ROOT.glob("*/scenario.toml"))
    return found if which is None else [name for name in found if (name in SECOND) is (which == "second")]


def about(name: str) -> tuple[str, str]:
    """Return the incident that a case is modelled on, and what an attack takes."""
    incident, needs, *_ = (ROOT / name / "scenario.toml").read_text(encoding="utf-8").splitlines()
    return incident.removeprefix("# "), needs.removeprefix("# Needs: ")


def place(name: str, folder: Path, *, fixed: bool) -> None:
    """Copy a case into a new folder, as it is or mended."""
    folder.mkdir(parents=True)
    for path in sorted((ROOT / name).iterdir()):
        if not path.name.endswith(FIXED):
            shutil.copy(path, folder)
    if fixed:
        mend(name, folder)


def mend(name: str, folder: Path) -> None:
    """Put the mended contracts of a case in the place of the faulty ones."""
    for path in (ROOT / name).glob(f"*{FIXED}"):
        shutil.copy(path, folder / path.name.replace(FIXED, ".wat"))


def attack(name: str, folder: Path) -> str:
    """Run the attack by hand on both twins, which are put into ``folder``.

    Returns:
        ``"ok"`` where it breaks an invariant of the faulty contracts and none of the mended ones, the honest
        transactions before it break none, and all come to what they should; otherwise what is wrong.
    """
    for twin in TWINS:
        place(name, folder / twin, fixed=twin == "fixed")
        honest = len(load_scenario(folder / twin / "scenario.toml").transactions)
        try:
            results = run_scenario(load_scenario(folder / twin / "exploit.toml")).transactions
        except StorageModError as error:
            return f"{twin}: {error}"
        breaks = False
        for number, result in enumerate(results):
            for difference in result.differences:
                if "invariant" not in difference.what:
                    return f"{twin}: {result.title}: {difference.what} is {difference.found}"
                if number < honest:
                    return f"{twin}: {result.title}, which is honest, breaks {difference.what}"
                breaks = True
        if breaks is not (twin == "faulty"):
            return f"{twin}: breaks {'an' if breaks else 'no'} invariant"
    return "ok"
