"""The fixtures. They load the virtual machine when one of them is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from storagemod.testing.options import SETTINGS_KEY, Settings
from storagemod.testing.undo import UNDO_KEY, Undo
from storagemod.testing.variants import Excluded, Variant, marker_of, variants_of

if TYPE_CHECKING:
    from storagemod.scenario import Scenario
    from storagemod.testing.explorer import Explorer
    from storagemod.testing.worlds import Project, VariantWorld
    from storagemod.world import World


class Worlds:
    """Makes worlds: call it. They are closed when the module ends, if nobody closed them before."""

    def __init__(self, variant: Variant, settings: Settings, undo: Undo) -> None:
        self._variant = variant
        self._settings = settings
        self._undo = undo
        self._made: list[VariantWorld] = []

    def __call__(self, **settings: Any) -> VariantWorld:
        """Make a world of the test's variant.

        Args:
            settings: As for :class:`storagemod.World`.
        """
        from storagemod.testing.worlds import VariantWorld  # noqa: PLC0415 - heavy

        settings.setdefault("tracker", self._settings.tracker)
        world = VariantWorld(self._variant, **settings)
        self._undo.made(world)
        self._made.append(world)
        return world

    def close(self, world: VariantWorld | None = None) -> None:
        """Close one world, or all."""
        for each in self._made if world is None else [world]:
            each.close()
        self._made = [] if world is None else [each for each in self._made if each is not world]


@pytest.fixture(scope="module")
def storage_variant(request: pytest.FixtureRequest) -> Variant:
    """Under which options the test runs: `link`, `sync`, `policy`, `depth_max`, `exclusive`."""
    found = getattr(request, "param", None)
    if found is None:  # nobody named any, or one that holds for all tests
        variants = variants_of({}, request.config.stash[SETTINGS_KEY])
        found = Variant() if isinstance(variants, Excluded) else variants[0]
    variant: Variant = found
    return variant


@pytest.fixture(scope="module")
def storage_worlds(request: pytest.FixtureRequest, storage_variant: Variant) -> Iterator[Worlds]:
    """Makes worlds for fixtures that outlive a test: what each test does to them is undone."""
    worlds = Worlds(storage_variant, request.config.stash[SETTINGS_KEY], request.config.stash[UNDO_KEY])
    yield worlds
    worlds.close()


@pytest.fixture
def storage_world(storage_worlds: Worlds) -> Iterator[World]:
    """A fresh world in memory, in which contracts that leave something open are deployed as the test's options say."""
    world = storage_worlds()
    yield world
    storage_worlds.close(world)


@pytest.fixture
def storage_project(request: pytest.FixtureRequest, storage_world: World, storage_variant: Variant) -> Project:
    """The contracts of the project's scenario, deployed and linked: `storage_project["bank"]` is an address."""
    from storagemod.errors import ScenarioError  # noqa: PLC0415 - with what follows
    from storagemod.testing.worlds import deploy_project  # noqa: PLC0415 - heavy

    try:
        return deploy_project(storage_world, _scenario(request), storage_variant)
    except ScenarioError as error:
        problem = str(error)
    pytest.fail(f"storage_project: {problem}", pytrace=False)  # here, or pytest would show how the error came about


@pytest.fixture
def storage_explore(request: pytest.FixtureRequest, storage_variant: Variant) -> Explorer:
    """Explores a scenario or a world, and fails the test with the attack if an invariant can be broken: call it."""
    from storagemod.testing.explorer import Explorer  # noqa: PLC0415 - not needed else

    return Explorer(request, storage_variant)


@pytest.fixture(scope="session")
def storage_seed(pytestconfig: pytest.Config) -> int:
    """The seed of this run, for searches that are random; 0 if none was given."""
    return pytestconfig.stash[SETTINGS_KEY].seed


def _scenario(request: pytest.FixtureRequest) -> Scenario:
    """The scenario that the marker names, or else the settings, or what the settings are."""
    from storagemod.scenario import load_scenario  # noqa: PLC0415 - heavy
    from storagemod.scenario.load import parse_contracts  # noqa: PLC0415 - heavy

    settings = request.config.stash[SETTINGS_KEY]
    named = marker_of(request.node).get("scenario")
    if named is not None:
        return load_scenario(request.path.parent / named)
    if settings.scenario is not None:
        return load_scenario(settings.scenario)
    contracts = {key: settings.table[key] for key in ("accounts", "contracts") if key in settings.table}
    if not contracts:
        pytest.fail(
            'storage_project: no scenario is named: add `scenario = "FILE.toml"` or tables of contracts to '
            "[tool.storagemod] in pyproject.toml, name one with --storagemod-scenario, or with "
            "@pytest.mark.storagemod(scenario=...)",
            pytrace=False,
        )
    return parse_contracts(
        contracts,
        path=settings.path.name,
        folder=settings.path.parent,
        text=settings.text,
        prefix=("tool", "storagemod"),
    )
