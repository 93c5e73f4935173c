"""What a search leaves to the next one, in a folder: the attacks that it found, and the tries that met something new.

Each scenario has two files there, of JSON. ``NAME.attacks.json`` has attacks by the invariant that they break; it is
small, and worth keeping in version control. ``NAME.corpus.json`` has tries that met something new, from which another
search can grow. Both are written whole or not at all.
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field, frozen

from storagemod.errors import StateError
from storagemod.explore.script import MAIN, Call, Ending, Place, Reaction, Script
from storagemod.inputs import os_reason
from storagemod.scenario import Scenario
from storagemod.types import Address, Value

_ATTACKS_SCHEMA, _CORPUS_SCHEMA = "storagemod.attacks/1", "storagemod.corpus/1"
_ATTACKS_MAX = 16
"""How many attacks on one invariant are kept; the newest ones."""

CORPUS_MAX = 4_096
"""How many tries that met something new are kept for another search."""

_FILE_BYTES_MAX = 256 * 1024 * 1024
_NESTING_MAX = 64
_T = TypeVar("_T")


# Scripts as JSON


def script_to_json(script: Script) -> list[dict[str, Any]]:
    """Return a script as JSON: an array of calls, nested as they are."""
    return [_call(call) for call in script]


def _call(call: Call) -> dict[str, Any]:
    return {
        "contract": str(call.contract),
        "method": call.method or MAIN,
        "args": _numbers(call.args),
        "data": f"0x{call.data.hex()}",
        "value": call.value,
        "sender": None if call.sender is None else str(call.sender),
        "reactions": [_reaction(reaction) for reaction in call.reactions],
    }


def _reaction(reaction: Reaction) -> dict[str, Any]:
    return {
        "account": str(reaction.account),
        "method": reaction.site,
        "static": reaction.static,
        "ending": reaction.ending.name.lower(),
        "values": None if reaction.values is None else _numbers(reaction.values),
        "output": f"0x{reaction.output.hex()}",
        "beneficiary": None if reaction.beneficiary is None else str(reaction.beneficiary),
        "calls": script_to_json(reaction.calls),
    }


def _numbers(values: Sequence[Value]) -> list[Value | str]:
    """Return numbers for JSON: as text those that it cannot express."""
    return [value if math.isfinite(value) else repr(value) for value in values]


def script_from_json(content: object, nesting: int = 0) -> Script:
    """Return a script from JSON.

    Raises:
        ValueError: It is no script.
    """
    if nesting > _NESTING_MAX:
        raise ValueError("calls are nested too deep")
    return tuple(_read_call(each, nesting) for each in _typed(content, list))


def _read_call(content: object, nesting: int) -> Call:
    table = _typed(content, dict)
    method = _typed(table.get("method"), str)
    return Call(
        _address(table.get("contract")),
        None if method == MAIN else method,
        _values(table.get("args")),
        _bytes(table.get("data")),
        _integer(table.get("value")),
        None if table.get("sender") is None else _address(table["sender"]),
        tuple(_read_reaction(each, nesting + 1) for each in _typed(table.get("reactions"), list)),
    )


def _read_reaction(content: object, nesting: int) -> Reaction:
    table = _typed(content, dict)
    ending = _typed(table.get("ending"), str).upper()
    if ending not in Ending.__members__:
        raise ValueError(f"expected an ending of a reaction, got {ending!r}")
    return Reaction(
        _address(table.get("account")),
        _typed(table.get("method"), str),
        _typed(table.get("static"), bool),
        script_from_json(table.get("calls"), nesting),
        Ending[ending],
        None if table.get("values") is None else _values(table["values"]),
        _bytes(table.get("output")),
        None if table.get("beneficiary") is None else _address(table["beneficiary"]),
    )


def _typed(value: object, kind: type[_T]) -> _T:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value


def _integer(value: object) -> int:
    return _typed(value, int)


def _address(value: object) -> Address:
    return Address(_typed(value, str))


def _bytes(value: object) -> bytes:
    text = _typed(value, str)
    if not re.fullmatch(r"0x([0-9a-f]{2})*", text):
        raise ValueError("expected data such as 0x00ff")
    return bytes.fromhex(text[2:])


def _values(content: object) -> tuple[Value, ...]:
    return tuple(
        float(each) if each in {"inf", "-inf", "nan"} else each if type(each) is float else _integer(each)
        for each in _typed(content, list)
    )


# The files


@frozen
class Attack:
    """Script that broke an invariant once; ``None`` where it cannot be read any more."""

    invariant: str
    script: Script | None
    content: Mapping[str, Any] = field(repr=False, eq=False, factory=dict)
    """As it stands in the file."""


@define
class Saved:
    """Attacks and tries that were saved for one scenario.

    Attributes:
        stem: The two files, without their suffixes.
        scenario: The scenario, as the files name it.
        attacks: The oldest first.
        corpus: Tries that met something new, each with the place of what was added last.
        unread: How many tries of the file are no scripts.
    """

    stem: Path
    scenario: str
    attacks: list[Attack] = field(factory=list)
    corpus: tuple[tuple[Script, Place], ...] = ()
    unread: int = 0

    @property
    def files(self) -> tuple[Path, Path]:
        """The file of attacks, and that of the corpus."""
        return Path(f"{self.stem}.attacks.json"), Path(f"{self.stem}.corpus.json")

    @classmethod
    def load(cls, folder: Path, scenario: Scenario) -> Saved:
        """Load what a folder has for a scenario: nothing, if it has not been used for it. It is made if need be.

        Raises:
            StateError: It cannot be written to; or a file there cannot be read, or is not one of ours.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise StateError(f"{folder} cannot be written to: {os_reason(error)}", cause=error) from error
        name = _name_of(folder, scenario)
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(scenario.path).stem).strip("._") or "scenario"
        stem, number = folder / plain, 2
        while True:
            saved = cls(stem, name)
            documents = [
                _document(path, schema)
                for path, schema in zip(saved.files, (_ATTACKS_SCHEMA, _CORPUS_SCHEMA), strict=True)
            ]
            if all(each is None or each["scenario"] == name for each in documents):
                break
            stem, number = folder / f"{plain}_{number}", number + 1
        attacks, corpus = (each or {} for each in documents)
        for content in attacks.get("attacks", ()):
            saved.attacks.append(_read_attack(content))
        tries = []
        for content in corpus.get("tries", ()):
            try:
                tries.append(_read_try(content))
            except ValueError:
                saved.unread += 1
        saved.corpus = tuple(tries)
        return saved

    def add(self, invariant: str, script: Script, instead: Script | None = None) -> bool:
        """Add an attack, in the place of a longer one if given; return whether it is new."""
        if not script:
            return False  # no attack: the invariant does not hold from the start
        known = [each.script for each in self.attacks if each.invariant == invariant]
        if instead is not None and instead != script and instead in known:
            self.attacks = [each for each in self.attacks if (each.invariant, each.script) != (invariant, instead)]
        if script in known:
            return False
        self.attacks.append(Attack(invariant, script))
        alike = [each for each in self.attacks if each.invariant == invariant]
        for oldest in alike[: max(0, len(alike) - _ATTACKS_MAX)]:
            self.attacks.remove(oldest)
        return True

    def write_attacks(self) -> Path | None:
        """Write the attacks; return the file, or ``None`` where there is none to write.

        Raises:
            StateError: It cannot be written.
        """
        path, _ = self.files
        if not self.attacks and not path.exists():
            return None
        attacks = [
            {"invariant": each.invariant, "script": script_to_json(each.script)}
            if each.script is not None
            else each.content
            for each in self.attacks
        ]
        _write(path, {"schema": _ATTACKS_SCHEMA, "scenario": self.scenario, "attacks": attacks}, indent=1)
        return path

    def write_corpus(self, corpus: Sequence[tuple[Script, Place]], *, resumed: bool) -> Path:
        """Write tries that met something new, before those of an earlier search that this one did not go on from.

        Raises:
            StateError: It cannot be written.
        """
        kept = dict.fromkeys(corpus if resumed else (*corpus, *self.corpus))
        self.corpus = tuple(kept)[:CORPUS_MAX]
        _, path = self.files
        tries = [{"added": list(added), "script": script_to_json(script)} for script, added in self.corpus]
        _write(path, {"schema": _CORPUS_SCHEMA, "scenario": self.scenario, "tries": tries}, indent=None)
        return path


def _name_of(folder: Path, scenario: Scenario) -> str:
    """Return what a scenario is called in files of a folder: its path as seen from there, or the name it ships with."""
    if scenario.file is None or Path(scenario.path).suffix != scenario.file.suffix:
        return scenario.path
    return Path(os.path.relpath(scenario.file.absolute(), folder.absolute())).as_posix()


def _document(path: Path, schema: str) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise ValueError(f"it is longer than {_FILE_BYTES_MAX:,} bytes")  # noqa: TRY301 - told below, as others
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.get("schema") != schema:
            raise ValueError(f"expected the schema {schema}")  # noqa: TRY301
        _typed(content.get("scenario"), str)
        _typed(content.get("attacks" if schema == _ATTACKS_SCHEMA else "tries"), list)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else str(error)
        raise StateError(
            f"{path} cannot be read: {reason or error}", cause=error, hint="mend the file, or move it away"
        ) from error
    return content


def _read_attack(content: object) -> Attack:
    table = content if isinstance(content, dict) else {}
    name = str(table.get("invariant"))
    try:
        return Attack(name, script_from_json(table.get("script")), table)
    except ValueError:
        return Attack(name, None, table)


def _read_try(content: object) -> tuple[Script, Place]:
    table = _typed(content, dict)
    script = script_from_json(table.get("script"))
    added = tuple(_integer(each) for each in _typed(table.get("added"), list))
    calls = script
    for level in range(0, len(added), 2):
        if not 0 <= added[level] < len(calls):
            raise ValueError("it has no such place")
        call = calls[added[level]]
        if level + 1 < len(added):
            if not 0 <= added[level + 1] < len(call.reactions):
                raise ValueError("it has no such place")
            calls = call.reactions[added[level + 1]].calls
    if not added:
        raise ValueError("it has no such place")
    return script, added


def _write(path: Path, content: Mapping[str, Any], *, indent: int | None) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(content, indent=indent, allow_nan=False) + "\n")
    except OSError as error:
        raise StateError(f"{path} cannot be written: {os_reason(error)}", cause=error) from error


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    finally:
        with suppress(FileNotFoundError):  # it has its name
            scratch.unlink()
