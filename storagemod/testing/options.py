"""Settings of the plugin: ``[tool.storagemod]`` of pyproject.toml, over it pytest's ini file, over it the command line.

Names of linking options and trackers are looked up, and the virtual machine loaded, only where one is given.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from storagemod.errors import ValidationError
from storagemod.inputs import SCENARIO_BYTES_MAX, parse_toml, read_text

TABLE = "tool.storagemod"


class Setting(NamedTuple):
    """One setting, by the same name in the table, in the ini file (``storagemod_``), on the command line, in markers.

    Attributes:
        key: Its name.
        help: What it is for, in half a sentence.
        what: What a value is, in a message that denies it.
        known: The values that there are, or ``None`` where any will do.
        kind: The type of a value.
        several: Whether there can be several.
        metavar: What a value is called in the help.
    """

    key: str
    help: str
    what: str
    known: Callable[[], Sequence[str]] | None = None
    kind: type = str
    several: bool = False
    metavar: str | None = None


def _links() -> Sequence[str]:
    from storagemod.vm import option_names  # noqa: PLC0415 - heavy, and mostly not needed

    return option_names()


def _trackers() -> Sequence[str]:
    from storagemod.pages import BACKENDS  # noqa: PLC0415 - as above

    return list(BACKENDS)


def _syncs() -> Sequence[str]:
    from storagemod.types import SyncPolicy  # noqa: PLC0415 - as above

    return [policy.value for policy in SyncPolicy]


def _exclusives() -> Sequence[str]:
    from storagemod.types import ExclusivePolicy  # noqa: PLC0415 - as above

    return [policy.value for policy in ExclusivePolicy]


def _policies() -> Sequence[str]:
    from storagemod.types import ReentryPolicy  # noqa: PLC0415 - as above

    return [policy.value for policy in ReentryPolicy]


SETTINGS = {
    setting.key: setting
    for setting in (
        Setting(
            "link",
            "linking option of contracts that leave it open: single, regions, methods, keyed, copied, paged, "
            "aliased or window",
            "linking option",
            _links,
            several=True,
            metavar="OPTION",
        ),
        Setting(
            "sync",
            "when copies of storage are brought in line with it: call, end, none or revision",
            "sync policy",
            _syncs,
            several=True,
            metavar="POLICY",
        ),
        Setting(
            "policy",
            "re-entry policy of contracts that name none: allow, deny, self-only or static-only",
            "re-entry policy",
            _policies,
            several=True,
            metavar="POLICY",
        ),
        Setting(
            "depth_max", "most calls inside one another", "limit of call depth", kind=int, several=True, metavar="N"
        ),
        Setting(
            "exclusive",
            "which second page for a frame of storage is refused: none, call or transaction",
            "exclusive policy",
            _exclusives,
            several=True,
            metavar="POLICY",
        ),
        Setting(
            "tracker",
            "how storage is mapped and writes are found: userfaultfd, pagemap, compare or portable",
            "write tracker",
            _trackers,
            metavar="NAME",
        ),
        Setting("seed", "what storage_seed gives, for searches that are random: 0 if not given", "seed", kind=int),
        Setting("explore_tries", "tries of each search of storage_explore: 20,000 if not given", "budget", kind=int),
        Setting("explore_seconds", "most seconds of each search of storage_explore", "budget", kind=int),
        Setting("scenario", "scenario whose contracts storage_project deploys", "path", metavar="FILE"),
        Setting(
            "strict",
            "fail tests that do not look at the receipt of a failed transaction: true if not given",
            "switch",
            kind=bool,
            metavar="true|false",
        ),
        Setting("collect", "names of scenario files that are tests", "pattern", several=True, metavar="PATTERN"),
    )
}

DIMENSIONS = ("link", "sync", "policy", "depth_max", "exclusive")
"""Settings under each value of which a test runs once."""

MARKER_KEYS = (*DIMENSIONS, "scenario", "strict")

_SWITCHES = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_CONTRACT_TABLES = ("accounts", "contracts")
_DEFAULTS: Mapping[str, Any] = {
    "tracker": None,
    "seed": 0,
    "explore_tries": None,
    "explore_seconds": None,
    "scenario": None,
    "strict": True,
    "collect": ("test_*.toml",),
}


class Settings(NamedTuple):
    """What holds for one run of pytest.

    Attributes:
        link: Linking options, none where nobody says.
        sync: Sync policies.
        policy: Re-entry policies.
        depth_max: Limits of call depth.
        exclusive: Exclusive policies.
        tracker: The write tracker, or ``None`` for the quickest that works.
        seed: For searches that are random.
        explore_tries: How many tries a search has, or ``None`` where nobody says.
        explore_seconds: How many seconds, likewise.
        scenario: The file whose contracts ``storage_project`` deploys, or ``None``.
        strict: Whether a failed receipt that a test did not look at fails it.
        collect: Patterns of names of scenario files that are tests.
        chosen: What the command line says, by key.
        table: ``[tool.storagemod]``.
        text: The text that it stands in.
        path: The file.
    """

    link: tuple[str, ...]
    sync: tuple[str, ...]
    policy: tuple[str, ...]
    depth_max: tuple[int, ...]
    exclusive: tuple[str, ...]
    tracker: str | None
    seed: int
    explore_tries: int | None
    explore_seconds: int | None
    scenario: Path | None
    strict: bool
    collect: tuple[str, ...]
    chosen: Mapping[str, Any]
    table: Mapping[str, Any]
    text: str
    path: Path

    @property
    def header(self) -> str:
        """One line on what is set."""
        said = [f"{key} {', '.join(map(str, getattr(self, key)))}" for key in DIMENSIONS if getattr(self, key)]
        said += [f"tracker {self.tracker}"] if self.tracker else []
        said += [f"scenario {self.scenario.name}"] if self.scenario else []
        said += [] if self.strict else ["not strict"]
        return "; ".join([*said, f"seed {self.seed}"])


SETTINGS_KEY = pytest.StashKey[Settings]()


def add_options(parser: pytest.Parser) -> None:
    """Add the options and ini keys."""
    group = parser.getgroup("storagemod", "storagemod: contracts and their storage")
    for setting in SETTINGS.values():
        more = "; may be repeated" if setting.several else ""
        group.addoption(
            f"--storagemod-{setting.key.replace('_', '-')}",
            dest=f"storagemod_{setting.key}",
            action="append" if setting.several else "store",
            default=None,
            metavar=setting.metavar or "N",
            help=f"{setting.help}{more}",
        )
        kind = "args" if setting.several else "string"
        parser.addini(f"storagemod_{setting.key}", setting.help, type=kind, default=None)  # type: ignore[arg-type]


def read_settings(config: pytest.Config) -> Settings:
    """The settings of a run.

    Raises:
        pytest.UsageError: A value is none of those that there are, or a key means nothing.
    """
    path = config.rootpath / "pyproject.toml"
    table, text = _read_table(path)
    values: dict[str, Any] = dict.fromkeys(DIMENSIONS, ()) | dict(_DEFAULTS)
    folder = dict.fromkeys(SETTINGS, config.rootpath)
    for key in table.keys() & SETTINGS.keys():
        values[key] = check(SETTINGS[key], table[key], f"{path.name}: [{TABLE}] {key}")
    for key, setting in SETTINGS.items():
        raw = config.getini(f"storagemod_{key}")
        if raw is not None:
            values[key] = check(setting, raw, f"storagemod_{key}")
            folder[key] = config.rootpath if config.inipath is None else config.inipath.parent
    chosen = {}
    for key, setting in SETTINGS.items():
        raw = config.getoption(f"storagemod_{key}")
        if raw is not None:
            values[key] = chosen[key] = check(setting, raw, f"--storagemod-{key.replace('_', '-')}")
            folder[key] = config.invocation_params.dir
    if values["scenario"] is not None:
        values["scenario"] = folder["scenario"] / values["scenario"]
    return Settings(**values, chosen=chosen, table=table, text=text, path=path)


def check(setting: Setting, raw: object, where: str) -> Any:
    """A value of a setting, or a tuple of them.

    Raises:
        pytest.UsageError: It is none.
    """
    if setting.several:
        return check_words(setting, raw, where)
    return _value(setting, raw, where)


def check_words(setting: Setting, raw: object, where: str) -> tuple[Any, ...]:
    """Values of a setting: one, several, or text with commas between them.

    Raises:
        pytest.UsageError: One of them is none.
    """
    if isinstance(raw, str) or not isinstance(raw, Iterable):
        raw = [raw]
    words: list[object] = []
    for word in raw:
        words += [part.strip() for part in word.split(",")] if type(word) is str else [word]
    return tuple(dict.fromkeys(_value(setting, word, where) for word in words))


def _value(setting: Setting, raw: object, where: str) -> Any:
    if setting.kind is bool:
        if isinstance(raw, str) and raw.lower() in _SWITCHES:
            return _SWITCHES[raw.lower()]
        if not isinstance(raw, bool):
            raise pytest.UsageError(f"{where}: a {setting.what} is true or false, not {raw!r}")
        return raw
    if setting.kind is int:
        least = 1 if setting.several else 0
        try:
            number = int(raw) if isinstance(raw, str | int) and not isinstance(raw, bool) else None
        except ValueError:
            number = None
        if number is None or number < least:
            raise pytest.UsageError(f"{where}: a {setting.what} is an integer from {least} on, not {raw!r}")
        return number
    if not isinstance(raw, str) or not raw:
        raise pytest.UsageError(f"{where}: a {setting.what} is text, not {raw!r}")
    word = str(raw)
    known = None if setting.known is None else setting.known()
    if known is not None and word not in known:
        raise pytest.UsageError(
            f"{where}: there is no {setting.what} {word!r}{_near(word, known)}; there are: {', '.join(known)}"
        )
    return word


def suggestion(word: str, known: Iterable[str]) -> str:
    """A hint at the nearest word there is, or at all of them where nothing is near."""
    words = list(known)
    return _near(word, words) or f" (known here: {', '.join(words)})"


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _read_table(path: Path) -> tuple[Mapping[str, Any], str]:
    try:
        if not path.exists():
            return {}, ""
        text = read_text(path, bytes_max=SCENARIO_BYTES_MAX)
        tool = parse_toml(text).get("tool", {})
    except ValidationError as error:
        raise pytest.UsageError(f"{path.name}: {error}") from error
    except (OSError, ValueError) as error:
        raise pytest.UsageError(f"{path}: cannot be read: {error}") from error
    table = tool.get("storagemod", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise pytest.UsageError(f"{path.name}: {TABLE} is a table [{TABLE}]")
    known = (*SETTINGS, *_CONTRACT_TABLES)
    for key in table:
        if key not in known:
            raise pytest.UsageError(
                f"{path.name}:{_line(text, key)}: [{TABLE}]: unknown key {key!r}{suggestion(key, known)}"
            )
    if "scenario" in table and table.keys() & set(_CONTRACT_TABLES):
        raise pytest.UsageError(f"{path.name}: [{TABLE}] has contracts of its own and names a scenario: leave one out")
    return table, text


def _line(text: str, key: str) -> int:
    from storagemod.scenario.locate import Lines  # noqa: PLC0415 - heavy, and this is an error

    return Lines(text).line(("tool", "storagemod", key)) or 1
