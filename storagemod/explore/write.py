"""Regression tests of what was found: a scenario file and a pytest file that fail now, and pass once it is mended.

The scenario extends the one that was explored, and adds what the attack needs: the attackers' contracts, and the
transactions. How these end makes no difference, but the invariant has to hold. It is run before it is written. What
cannot be written like that is written in another way, and a comment says why. A scenario without a file is copied.
Attackers that have no straight-line code go by a script in their storage, as they did in the search.

Contracts stand in the scenario file: so one file shows the whole attack, and nothing beside it can be lost or get old.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import define, field, frozen

from storagemod.errors import ScenarioError, StateError, StorageModError
from storagemod.explore.attacker import BEGIN, Attacker
from storagemod.explore.exploration import Exploration
from storagemod.explore.saved import write_whole
from storagemod.explore.script import Call, describe
from storagemod.explore.search import Violation
from storagemod.explore.straight import Contract, contracts_of, in_comment
from storagemod.explore.turns import NotStraightError, Transaction, read_transaction
from storagemod.inputs import os_reason
from storagemod.scenario import ScenarioResult, load_scenario, parse_scenario, run_scenario
from storagemod.scenario.locate import quoted
from storagemod.scenario.schema import ContractSpec, InvariantSpec, Scenario, TransactionSpec
from storagemod.types import Address, ReentryPolicy

_NAME_LENGTH_MAX = 60
_HEADER = re.compile(r"# written by storagemod explore, digest (?P<digest>[0-9a-f]{16}), of (?P<of>.*)\n")


def check_folder(folder: Path) -> None:
    """Check that files can be written to a folder, or that it can be made. Nothing is left behind.

    Raises:
        StateError: It cannot be written to.
    """
    existing = folder
    while not os.path.lexists(existing) and existing != existing.parent:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise _cannot_write(folder, error) from error


def write_tests(exploration: Exploration, folder: Path, force: bool = False) -> list[Path]:
    """Write a scenario and a test for each invariant that does not hold.

    Files that it wrote before for the same scenario and invariant are written again. One that was edited since is left
    as it is, and told once all others are written.

    Args:
        exploration: What was found.
        folder: Where to; made if it is not there.
        force: Whether to write over files that were edited.

    Returns:
        The files, two for each.

    Raises:
        ScenarioError: An invariant is a Python function, which a file cannot have, or a world was explored.
        StateError: A file cannot be written, or was edited; or what was found does not happen again.
    """
    if exploration.is_of_world:
        raise ScenarioError(
            "a world was explored, and a scenario file cannot have its state",
            hint="call storagemod.explore.explore from your test, or write its set-up as a scenario",
        )
    known = {spec.name for spec in exploration.scenario.invariants}
    for violation in exploration.violations:
        if violation.invariant not in known:
            raise ScenarioError(
                f"the invariant {violation.invariant!r} is a Python function, and a scenario file has expressions",
                hint="write it as an expression, or call storagemod.explore.explore from your test",
            )
    written: list[Path] = []
    problems: list[StateError] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for violation in exploration.violations:
            try:
                written += _write(exploration, violation, folder, written, force=force)
            except StateError as error:
                problems.append(error)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    if problems:
        others = f"; {len(written)} other files were written" if written else ""
        raise StateError("; ".join(each.message for each in problems) + others, hint=problems[0].hint)
    return written


def _cannot_write(folder: Path, error: OSError) -> StateError:
    return StateError(f"regression tests cannot be written to {folder}: {os_reason(error)}", cause=error)


def _write(
    exploration: Exploration, violation: Violation, folder: Path, written: Iterable[Path], *, force: bool
) -> list[Path]:
    """Write the two files of one invariant."""
    scenario = exploration.scenario
    source = _from(folder, scenario.file) if scenario.file is not None else scenario.path
    identity = in_comment(f"{source}: {violation.invariant}")
    name = _file_name(exploration, violation, folder, identity, taken={path.stem for path in written})
    paths = folder / f"{name}.toml", folder / f"test_{name}.py"
    edited = [path for path in paths if path.exists() and _Header.of(path).edited]
    if edited and not force:
        which = " and ".join(map(str, edited))
        raise StateError(
            f"{which} was not written by storagemod explore, or was edited since",
            hint="write to another folder, or over it with --force",
        )
    attack = _Attack(exploration, violation, folder, name)
    for path, text in zip(paths, (attack.scenario(), attack.test()), strict=True):
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        write_whole(path, f"# written by storagemod explore, digest {digest}, of {identity}\n{text}")
    return list(paths)


@frozen
class _Header:
    """First line of a file that was written: of which scenario and invariant, and whether the rest was edited."""

    identity: str | None
    edited: bool

    @classmethod
    def of(cls, path: Path) -> _Header:
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        found = _HEADER.match(text)
        if found is None:
            return cls(None, edited=True)
        digest = hashlib.sha256(text[found.end() :].encode()).hexdigest()[:16]
        return cls(found["of"], edited=digest != found["digest"])


def _file_name(
    exploration: Exploration, violation: Violation, folder: Path, identity: str, taken: Iterable[str]
) -> str:
    """Return a name that no file for another scenario or invariant has."""
    words = f"{Path(exploration.scenario.path).stem} {violation.invariant}"
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:_NAME_LENGTH_MAX].strip("_") or "explored"
    name, number, plain = f"explored_{name}", 2, f"explored_{name}"
    while name in set(taken) or (
        (path := folder / f"{name}.toml").exists() and _Header.of(path).identity not in {identity, None}
    ):
        name, number = f"{plain}_{number}", number + 1
    return name


@define
class _Attack:
    """What is written of one invariant that does not hold."""

    exploration: Exploration
    violation: Violation
    folder: Path
    name: str
    _spec: InvariantSpec = field(init=False)

    def __attrs_post_init__(self) -> None:
        invariants = self.exploration.scenario.invariants
        self._spec = next(each for each in invariants if each.name == self.violation.invariant)

    def scenario(self) -> str:
        """Return the text of the scenario, in the plainest form that breaks the invariant.

        Raises:
            StateError: None does.
        """
        done = self._run(self._text(None, None, ""))
        if done is None or not self._breaks(done):
            raise StateError(
                f"what breaks {self.violation.invariant!r} does not do so in a world of its own, so no test was written"
            )
        base, why_copied = self._base()
        why_scripted = "it does not break the invariant in straight-line code"
        bases = ([] if base is None else [(base, "")]) + [(None, why_copied)]
        for extended, why in bases:
            for exact in (False, True):
                try:
                    text = self._text(extended, self._straight(done, exact=exact), why)
                except NotStraightError as error:
                    why_scripted = str(error)
                    break
                if self._reproduces(text):
                    return text
        if base is not None and self._reproduces(text := self._text(base, None, "", why_scripted)):
            return text
        return self._text(None, None, why_copied, why_scripted)

    def _base(self) -> tuple[Scenario | None, str]:
        """Return the file that was explored, if it can be extended; else why not."""
        scenario, settings = self.exploration.scenario, self.exploration.settings
        if scenario.file is None:
            return None, "it has no file"
        trusted = [scenario.contracts[name] for name in self.exploration.trust_model.trusted]
        if settings.policy is not ReentryPolicy.ALLOW and any(spec.policy is None for spec in trusted):
            return None, f"it was explored with --policy {settings.policy.value}"
        try:
            base = load_scenario(scenario.file)
        except ScenarioError:
            return None, "its file was changed meanwhile"
        for key in ("accounts", "contracts", "transactions", "addresses"):
            if getattr(base, key) != getattr(scenario, key):
                return None, "what was explored is not what its file says"
        return base, "its own transactions are not as it expects"

    def _run(self, text: str) -> ScenarioResult | None:
        """Run a text as if it were written; ``None`` where it cannot be run."""
        settings = self.exploration.settings
        try:
            scenario = parse_scenario(text, path=f"{self.name}.toml", folder=self.folder)
            return run_scenario(scenario, link=settings.link, sync=settings.sync, exclusive=settings.exclusive)
        except StorageModError:
            return None

    def _reproduces(self, text: str) -> bool:
        done = self._run(text)
        return done is not None and self._breaks(done)

    def _breaks(self, done: ScenarioResult) -> bool:
        """Return whether the attack breaks the invariant, and all was well before."""
        setup = self.exploration.setup
        is_broken = self.violation.breach.transaction < 0  # from the start
        if not is_broken and not all(each.ok for each in done.transactions[:setup]):
            return False
        attack = done.transactions[max(0, setup - is_broken) :]
        start = f'invariant "{self.violation.invariant}"'
        return any(each.what.startswith(start) for transaction in attack for each in transaction.differences)

    def _straight(self, done: ScenarioResult, *, exact: bool) -> dict[Address, Contract]:
        """Return the contracts of attackers in straight-line code, from a run of those that go by a script."""
        setup, attackers, scenario = self.exploration.setup, self.exploration.attackers, self.exploration.scenario
        replaced = {each.account for each in attackers if scenario.contract_at(each.account) is not None}
        transactions: list[Transaction] = []
        for number, each in enumerate(done.transactions):
            spec = done.scenario.transactions[number]
            if number >= setup and spec.method == BEGIN:
                continue
            receipt = each.receipt
            record = None if receipt is None or receipt.trace is None else read_transaction(receipt.trace.raw_events)
            if record is not None:
                record.undone = spec.call
            transactions.append(record)
        try:
            return contracts_of(
                transactions, attackers, self.exploration.labels, replaced=replaced, setup=setup, exact=exact
            )
        except RecursionError as error:
            raise NotStraightError("its calls are nested too deep") from error

    # The text of the scenario

    def _text(
        self,
        base: Scenario | None,
        straight: Mapping[Address, Contract] | None,
        why_copied: str,
        why_scripted: str = "",
    ) -> str:
        """Return the text of the scenario.

        Args:
            base: The scenario that it extends; a copy of all that it needs if there is none.
            straight: The attackers' contracts; without them, attackers go by a script.
            why_copied: Why no scenario is extended.
            why_scripted: Why attackers go by a script.
        """
        setup = self.exploration.scenario.transactions[: self.exploration.setup]
        parts = [self._introduction(why_copied, why_scripted), self._about(base)]
        parts += [_table("[invariants]", self._invariant())] if self._base_invariant(base) is None else []
        parts += self._accounts(base, straight)
        if base is None:
            parts += [self._trusted(name) for name in self.exploration.trust_model.trusted]
        parts += list(self._attackers(base, straight))
        parts.append(_table("explore", {"untrusted": list(self.exploration.trust_model.untrusted)}))
        if base is None:
            parts += [_table("[transactions]", _transaction(transaction)) for transaction in setup]
        parts += list(self._transactions(straight))
        return "\n".join(part for part in parts if part)

    def _introduction(self, why_copied: str, why_scripted: str) -> str:
        exploration = self.exploration
        lines = [f'"{self.violation.invariant}" does not hold in {Path(exploration.scenario.path).name}.']
        lines[0] += " `storagemod explore` found this attack:"
        told = describe(self.violation.script, exploration.labels)
        lines += [f"  {line}" for line in told or ["(nothing: it does not hold from the start)"]]
        if options := self._options():
            lines.append(f"Run it with {' '.join(f'--{name} {value}' for name, value in options.items())}.")
        if why_copied:
            lines.append(f"The scenario is copied here: {why_copied}.")
        if why_scripted:
            lines.append(f"The attackers go by a script in their storage: {why_scripted}.")
        return _comment(*lines)

    def _options(self) -> dict[str, str]:
        """Return the options of the search that a run needs as well."""
        settings = self.exploration.settings
        options = {"link": settings.link}
        for key in ("exclusive", "sync"):
            policy = getattr(settings, key)
            options[key] = None if policy is None else policy.value
        return {key: value for key, value in options.items() if value is not None}

    def _about(self, base: Scenario | None) -> str:
        table: dict[str, Any] = {"name": f"{self.exploration.scenario.name}: {self.violation.invariant}"}
        if base is not None and base.file is not None:
            kept = self._base_invariant(base)
            table["extends"] = _from(self.folder, base.file)
            table["base_transactions"] = self.exploration.setup
            table["base_invariants"] = [] if kept is None else [kept]
        return _table("scenario", table)

    def _base_invariant(self, base: Scenario | None) -> str | None:
        """Return the title by which the base has the invariant as it is checked here; ``None`` if it has not."""
        wanted = InvariantSpec(**self._invariant())
        found = [] if base is None else [spec for spec in base.invariants if spec.title == wanted.title]
        return wanted.title if len(found) == 1 and attrs.evolve(found[0], name=wanted.name) == wanted else None

    def _invariant(self) -> dict[str, Any]:
        at = "callouts" if self.exploration.settings.everywhere and self._spec.at == "end" else self._spec.at
        return {"name": self._spec.name, "expr": self._spec.expr, "at": at}

    def _accounts(self, base: Scenario | None, straight: Mapping[Address, Contract] | None) -> Iterator[str]:
        """Yield the table of accounts: of all, or of those that the base has not."""
        scenario, trust_model = self.exploration.scenario, self.exploration.trust_model
        contracts = set(trust_model.trusted)
        contracts |= {
            name for name in trust_model.untrusted if straight is None or trust_model.addresses[name] in straight
        }
        accounts = {}
        for name in dict.fromkeys([*scenario.accounts, *trust_model.untrusted]):
            known = scenario.accounts.get(name) or scenario.contracts.get(name)
            if name not in contracts and (base is None or known is None):
                balance = trust_model.stranger_balance if known is None else known.balance
                accounts[name] = {"address": str(trust_model.addresses[name]), "balance": balance}
        if accounts:
            yield _table("accounts", accounts)

    def _trusted(self, name: str) -> str:
        """Return the table of a contract that is copied."""
        scenario = self.exploration.scenario
        spec = scenario.contracts[name]
        table: dict[str, Any] = {}
        if spec.code is not None:
            table["code"] = _from(self.folder, scenario.folder / spec.code)
        for attribute in attrs.fields(ContractSpec):
            value = getattr(spec, attribute.name)
            if attribute.name not in {"code", "address", "policy", "storage"} and value not in (None, (), {}, 0, False):
                table[attribute.name] = value
        if spec.storage:
            table["storage"] = [
                {"region": content.region, "offset_bytes": content.offset_bytes, "hex": content.data}
                for content in spec.storage
            ]
        table["address"] = str(self.exploration.trust_model.addresses[name])
        policy = (spec.policy or self.exploration.settings.policy).value
        if policy != "allow":
            table["policy"] = policy
        return _table(f"contracts.{_key(name)}", table)

    def _attackers(self, base: Scenario | None, straight: Mapping[Address, Contract] | None) -> Iterator[str]:
        trust_model, labels = self.exploration.trust_model, self.exploration.labels
        scenario = self.exploration.scenario
        for name, attacker in zip(trust_model.untrusted, self.exploration.attackers, strict=True):
            known = scenario.accounts.get(name) or scenario.contracts.get(name)
            table: dict[str, Any] = {}
            if base is None or known is None:
                table["address"] = str(attacker.account)
            balance = trust_model.stranger_balance if known is None else known.balance
            if balance:
                table["balance"] = balance
            if straight is None:
                table |= self._scripted(attacker)
            elif attacker.account in straight:
                contract = straight[attacker.account]
                if contract.links:
                    table["links"] = {link: labels.get(each, str(each)) for link, each in contract.links.items()}
                if contract.counts:
                    table["own_link"] = True
                table["wat"] = contract.wat
            else:
                continue
            yield _table(f"contracts.{_key(name)}", table)

    def _scripted(self, attacker: Attacker) -> dict[str, Any]:
        """Return the keys of an attacker that goes by a script, as in the search."""
        data, _ = attacker.encode(self.violation.script)
        used = dict.fromkeys(attacker.links[entry.contract] for entry in attacker.typed)
        return {
            "links": {link: link for link in used},
            "own_link": True,
            "storage": [{"offset_bytes": 0, "hex": data}],
            "wat": attacker.wat(),
        }

    def _transactions(self, straight: Mapping[Address, Contract] | None) -> Iterator[str]:
        """Yield the transactions of the attack."""
        labels, setup = self.exploration.labels, self.exploration.setup
        script = self.violation.script
        cursors = {each.account: each.encode(script)[1] for each in self.exploration.attackers}
        for number, call in enumerate(script):
            if straight is None:
                for account, places in cursors.items():
                    if places[number] or (number and places[number - 1]):
                        what = f"{labels[account]} is told what to do next"
                        yield _setting(what, labels[account], BEGIN, places[number])
            else:
                for account, contract in straight.items():
                    if setup + number in contract.arms:
                        what = f"{labels[account]} counts the calls that failed"
                        yield _setting(what, labels[account], contract.arm, contract.arms[setup + number])
            yield _table("[transactions]", self._call(call))
        if not script and not setup:
            name = self.exploration.trust_model.untrusted[0]
            yield _table("[transactions]", {"name": "nothing happens", "to": name, "expect": {"may_fail": True}})

    def _call(self, call: Call) -> dict[str, Any]:
        """Return a transaction of the attack. It has a name only where its call does not say all."""
        labels = self.exploration.labels
        table: dict[str, Any] = {"to": labels.get(call.contract, str(call.contract))}
        if call.method is not None:
            table["method"] = call.method
            if call.args:
                table["args"] = list(call.args)
        elif call.data:
            table["data"] = call.data
        if call.sender is not None:
            table["sender"] = labels.get(call.sender, str(call.sender))
        if call.value:
            table["value"] = call.value
        table["expect"] = {"may_fail": True}
        return table

    def test(self) -> str:
        """Return the text of the test."""
        options, imported = [], []
        for key, value in self._options().items():
            if key == "link":
                options.append(f'link="{value}"')
            else:
                imported.append(type(getattr(self.exploration.settings, key)).__name__)
                options.append(f'{key}={imported[-1]}("{value}")')
        imports = f"from storagemod import {', '.join(sorted(imported))}\n" if imported else ""
        call = ", ".join(["scenario", *options])
        return f'''\
"""Fails until the attack in the scenario beside this file breaks nothing."""

from pathlib import Path

{imports}from storagemod.scenario import load_scenario, run_scenario


def test_{self.name}() -> None:
    scenario = load_scenario(Path(__file__).with_name("{self.name}.toml"))

    result = run_scenario({call})

    different = [f"{{each.what}}: {{each.found}}" for done in result.transactions for each in done.differences]
    assert not different, "\\n".join(different)
'''


def _from(folder: Path, path: Path) -> str:
    """Return a path as seen from a folder."""
    return Path(os.path.relpath(path, folder)).as_posix()


def _setting(name: str, to: str, method: str, number: int) -> str:
    return _table("[transactions]", {"name": name, "to": to, "method": method, "args": [number]})


def _transaction(spec: TransactionSpec) -> dict[str, Any]:
    table = {
        attribute.name: getattr(spec, attribute.name)
        for attribute in attrs.fields(TransactionSpec)
        if attribute.name != "expect" and getattr(spec, attribute.name) not in (None, (), b"", 0, False)
    }
    if not spec.expect.success:
        table["expect"] = {"may_fail": True}
    return table


def _comment(*lines: str) -> str:
    return "".join(f"# {in_comment(line)}\n" for line in lines)


def _table(name: str, keys: Mapping[str, Any]) -> str:
    return f"[{name}]\n" + "".join(f"{_key(key)} = {_toml(value)}\n" for key, value in keys.items())


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _toml(value: Any) -> str:
    """Format a value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
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
    return quoted(text)
