"""Regression tests of what was found: a scenario file and a pytest file that fail now, and pass once it is mended.

The scenario has the contracts by the paths of their files, the transactions that were run first, and the attacker, as a
contract whose storage tells it what to do. Its last transactions are the try: it is all the same how they end, but the
invariant has to hold.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from storagemod.errors import ScenarioError, StateError
from storagemod.explore.attacker import BEGIN, Attacker
from storagemod.explore.exploration import Exploration
from storagemod.explore.script import Call, describe, title
from storagemod.explore.search import Violation
from storagemod.scenario.schema import ContractSpec, Scenario, TransactionSpec
from storagemod.types import Address

_NAME_LENGTH_MAX = 60


def write_tests(exploration: Exploration, folder: Path) -> list[Path]:
    """Write a scenario and a test for each invariant that does not hold.

    Args:
        exploration: What was found.
        folder: Where to; made if it is not there.

    Returns:
        The files, two for each.

    Raises:
        ScenarioError: An invariant is a Python function, which a file cannot have.
        StateError: A file cannot be written.
    """
    known = {spec.name: spec for spec in exploration.scenario.invariants}
    for violation in exploration.violations:
        if violation.invariant not in known:
            raise ScenarioError(
                f"the invariant {violation.invariant!r} is a Python function, and a scenario file has expressions",
                hint="write it as an expression, or call storagemod.explore.explore from your test",
            )
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for violation in exploration.violations:
            name = _file_name(exploration, violation, taken={path.stem for path in written})
            scenario, test = folder / f"{name}.toml", folder / f"test_{name}.py"
            scenario.write_text(_scenario(exploration, violation, folder), encoding="utf-8")
            test.write_text(_test(exploration, violation, name), encoding="utf-8")
            written += [scenario, test]
    except OSError as error:
        reason = error.strerror or str(error)
        raise StateError(f"regression tests cannot be written to {folder}: {reason}", cause=error) from error
    return written


def _file_name(exploration: Exploration, violation: Violation, taken: set[str]) -> str:
    words = f"{Path(exploration.scenario.path).stem} {violation.invariant}"
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:_NAME_LENGTH_MAX].strip("_") or "explored"
    name, number, plain = f"explored_{name}", 2, f"explored_{name}"
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name


def _scenario(exploration: Exploration, violation: Violation, folder: Path) -> str:
    scenario, settings = exploration.scenario, exploration.settings
    spec = next(each for each in scenario.invariants if each.name == violation.invariant)
    parts = [
        _comment(
            f'"{violation.invariant}" does not hold in {Path(scenario.path).name}. `storagemod explore` found this:',
            *(f"  {line}" for line in describe(violation.script, exploration.labels)),
        ),
        _table("scenario", {"name": f"{scenario.name}: {violation.invariant}"}),
        _accounts(exploration),
    ]
    for name in exploration.trust_model.trusted:
        contract = scenario.contracts[name]
        policy = contract.policy or settings.policy
        address = exploration.trust_model.addresses[name]
        parts.append(_table(f"contracts.{_key(name)}", _contract(contract, scenario, folder, address, policy.value)))
    cursors: dict[Address, list[int]] = {}
    for name, attacker in zip(exploration.trust_model.untrusted, exploration.attackers, strict=True):
        data, cursors[attacker.account] = attacker.encode(violation.script)
        parts.append(_table(f"contracts.{_key(name)}", _attacker(exploration, name, attacker, data)))
    setup = scenario.transactions[: exploration.setup]
    parts += [_table("[transactions]", _transaction(transaction)) for transaction in setup]
    for number, call in enumerate(violation.script):
        parts += _try(exploration, call, number, cursors)
    if not violation.script and not exploration.setup:
        name = exploration.trust_model.untrusted[0]
        parts.append(_table("[transactions]", {"name": "nothing happens", "to": name, "method": BEGIN, "args": [0]}))
    at = "callouts" if settings.everywhere and spec.at == "end" else spec.at
    if at == "callouts":  # `run` has to know whose calls these are
        parts.append(_table("explore", {"untrusted": list(exploration.trust_model.untrusted)}))
    parts.append(_table("[invariants]", {"name": spec.name, "expr": spec.expr, "at": at}))
    return "\n".join(parts)


def _accounts(exploration: Exploration) -> str:
    scenario = exploration.scenario
    accounts = {
        name: {"address": str(scenario.address(name)), "balance": spec.balance}
        for name, spec in scenario.accounts.items()
        if name not in exploration.trust_model.untrusted
    }
    return _table("accounts", accounts) if accounts else ""


def _contract(spec: ContractSpec, scenario: Scenario, folder: Path, address: Address, policy: str) -> dict[str, Any]:
    table: dict[str, Any] = {}
    if spec.code is not None:
        table["code"] = Path(os.path.relpath(scenario.folder / spec.code, folder)).as_posix()
    for attribute in attrs.fields(ContractSpec):
        value = getattr(spec, attribute.name)
        if attribute.name not in {"code", "address", "policy", "storage"} and value not in (None, (), {}, 0, False):
            table[attribute.name] = value
    if spec.storage:
        table["storage"] = [
            {"region": content.region, "offset_bytes": content.offset_bytes, "hex": content.data}
            for content in spec.storage
        ]
    table["address"] = str(address)
    if policy != "allow":
        table["policy"] = policy
    return table


def _attacker(exploration: Exploration, name: str, attacker: Attacker, data: bytes) -> dict[str, Any]:
    scenario = exploration.scenario
    known = scenario.accounts.get(name) or scenario.contracts.get(name)
    used = dict.fromkeys(attacker.links[entry.contract] for entry in attacker.typed)
    return {
        "wat": attacker.wat(),
        "own_link": True,
        "address": str(attacker.account),
        "balance": 0 if known is None else known.balance,
        "links": {link: link for link in used},
        "storage": [{"offset_bytes": 0, "hex": data}],
    }


def _transaction(spec: TransactionSpec) -> dict[str, Any]:
    table = {
        attribute.name: getattr(spec, attribute.name)
        for attribute in attrs.fields(TransactionSpec)
        if attribute.name != "expect" and getattr(spec, attribute.name) not in (None, (), b"", 0, False)
    }
    if not spec.expect.success:
        table["expect"] = {"may_fail": True}
    return table


def _try(exploration: Exploration, call: Call, number: int, cursors: Mapping[Address, list[int]]) -> Iterable[str]:
    """Yield the transactions that play one transaction of a script."""
    labels = exploration.labels
    for account, places in cursors.items():
        if places[number] or (number and places[number - 1]):
            what = f"{labels[account]} is told what to do next"
            begin = {"name": what, "to": labels[account], "method": BEGIN, "args": [places[number]]}
            yield _table("[transactions]", begin)
    table: dict[str, Any] = {"name": title(call, labels), "to": labels.get(call.contract, str(call.contract))}
    if call.method is not None:
        table |= {"method": call.method, "args": list(call.args)}
    elif call.data:
        table["data"] = call.data
    if call.sender is not None:
        table["sender"] = labels.get(call.sender, str(call.sender))
    if call.value:
        table["value"] = call.value
    table["expect"] = {"may_fail": True}
    yield _table("[transactions]", table)


def _test(exploration: Exploration, violation: Violation, name: str) -> str:
    settings = exploration.settings
    options = [f"link={settings.link!r}"] if settings.link is not None else []
    imported = []
    for key, policy in (("exclusive", settings.exclusive), ("sync", settings.sync)):
        if policy is not None:
            imported.append(type(policy).__name__)
            options.append(f"{key}={imported[-1]}({policy.value!r})")
    imports = f"from storagemod import {', '.join(imported)}\n" if imported else ""
    call = ", ".join(["scenario", *options])
    lines = describe(violation.script, exploration.labels) or ["(nothing: it does not hold from the start)"]
    told = "\n".join(f"# {_safe(line)}" for line in lines)
    return f'''\
"""Found by `storagemod explore`; run with pytest. It passes once the invariant holds."""

from pathlib import Path

{imports}from storagemod.scenario import load_scenario, run_scenario

{told}


def test_{name}() -> None:
    scenario = load_scenario(Path(__file__).with_name("{name}.toml"))

    result = run_scenario({call})

    different = [f"{{each.what}}: {{each.found}}" for done in result.transactions for each in done.differences]
    assert not different, "\\n".join(different)
'''


def _comment(*lines: str) -> str:
    return "".join(f"# {_safe(line)}\n" for line in lines)


def _safe(text: str) -> str:
    """Return text for a comment: on one line, without characters that a file may not have."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _table(name: str, keys: Mapping[str, Any]) -> str:
    return f"[{name}]\n" + "".join(f"{_key(key)} = {_toml(value)}\n" for key, value in keys.items())


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _toml(value: Any) -> str:  # noqa: PLR0911 - one line a type
    """Format a value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Address):
        return f'"{value}"'
    if isinstance(value, bytes):
        return f'"0x{value.hex()}"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return _text(str(value))


def _text(text: str) -> str:
    if "\n" in text and "'''" not in text and all(c.isprintable() or c == "\n" for c in text):
        return f"'''\n{text}'''"
    escaped = "".join(f"\\{c}" if c in '"\\' else c if c.isprintable() else f"\\U{ord(c):08X}" for c in text)
    return f'"{escaped}"'
