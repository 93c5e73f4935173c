"""Load a scenario file. All of its problems are reported at once, each with its line."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
from attrs import define, field

from storagemod.errors import ScenarioError, ValidationError, one_line
from storagemod.inputs import EXTENDS_MAX, SCENARIO_BYTES_MAX, parse_toml, read_text
from storagemod.scenario import schema
from storagemod.scenario.locate import Lines, TomlPath
from storagemod.scenario.schema import (
    MAPPING_KEYS,
    AccountSpec,
    ContractSpec,
    Expectation,
    ExploreSpec,
    InvariantSpec,
    Scenario,
    ScenarioSpec,
    TransactionSpec,
)
from storagemod.scenario.structure import describe, did_you_mean, structure, unknown_key
from storagemod.types import Address

T = TypeVar("T")

_TABLES = ("scenario", "accounts", "contracts", "transactions", "invariants", "explore")
_ACCOUNTS_START = 0xACC0_0000
_CONTRACTS_START = 0xC0DE_0000
_PROBLEMS_SHOWN = 20
_NAMES_SHOWN = 20

PROBLEMS_MAX = 5_000
"""Problems of a file that are looked for."""


class ScenarioFileError(ScenarioError):
    """Error of a scenario file with several problems.

    Attributes:
        problems: One error for each problem, in the order of the file.
    """

    def __init__(self, path: str, problems: tuple[ScenarioError, ...]) -> None:
        more = " and perhaps more" if len(problems) >= PROBLEMS_MAX else ""
        super().__init__(f"{len(problems):,} problems{more}", path=path)
        self.problems = problems

    def __str__(self) -> str:
        shown = [str(problem) for problem in self.problems[:_PROBLEMS_SHOWN]]
        if len(self.problems) > _PROBLEMS_SHOWN:
            shown.append(f"… and {len(self.problems) - _PROBLEMS_SHOWN:,} more")
        return "\n  ".join([super().__str__(), *shown])


def load_scenario(path: str | Path, *, label: str | None = None) -> Scenario:
    """Read and check a scenario file.

    Args:
        path: A TOML file. Paths in it are relative to its folder.
        label: The name of the file in messages and reports; by default its path.

    Raises:
        ScenarioError: The file, or one that it extends, cannot be read, is not TOML, or is not a valid scenario.
            Several problems of one file are one :class:`ScenarioFileError`.
    """
    try:
        text = read_text(Path(path), bytes_max=SCENARIO_BYTES_MAX)
    except ValidationError as error:
        raise ScenarioError(error.message, cause=error, hint=error.hint) from error
    return _parse(text, label or str(path), Path(path).parent, Path(path), ())


def parse_scenario(text: str, *, path: str, folder: Path) -> Scenario:
    """Parse and check the text of a scenario.

    Args:
        text: TOML.
        path: The name of the file, for messages.
        folder: The folder that paths in the text are relative to.

    Raises:
        ScenarioError: As :func:`load_scenario`.
    """
    return _parse(text, path, folder, None, ())


def _parse(text: str, path: str, folder: Path, file: Path | None, above: tuple[str, ...]) -> Scenario:
    """Parse and check a scenario. ``above`` has the real paths of the files that extend it."""
    chain = above if file is None else (*above, os.path.realpath(file))
    try:
        raw = parse_toml(text)
        lines = Lines(text, path)
    except ValidationError as error:
        raise ScenarioError(error.message, path=path, line=_line_of(error, text), cause=error) from error
    except ValueError as error:
        raise ScenarioError(f"not TOML: {error}", path=path, line=_line_of(error, text), cause=error) from error
    scenario = _load(_Loader(raw, base=_base(raw, path, folder, lines, chain)), path, folder, lines)
    return attrs.evolve(scenario, file=file)


def _base(raw: Mapping[str, Any], path: str, folder: Path, lines: Lines, chain: tuple[str, ...]) -> Scenario | None:
    """Load the scenario that another one extends; ``None`` if it extends none, or says so in no valid way."""
    about = raw.get("scenario")
    extended = about.get("extends") if isinstance(about, dict) else None
    if not isinstance(extended, str):
        return None
    line = lines.line(("scenario", "extends"))
    if not extended:
        raise ScenarioError("`extends` is the path of another scenario, and it is empty", path=path, line=line)
    base = folder / extended
    if os.path.realpath(base) in chain:
        raise ScenarioError(f"{one_line(extended)} is extended by itself in the end", path=path, line=line)
    if len(chain) > EXTENDS_MAX:
        raise ScenarioError(f"more than {EXTENDS_MAX} scenarios extend one another in a row", path=path, line=line)
    try:
        text = read_text(base, bytes_max=SCENARIO_BYTES_MAX)
    except ValidationError as error:  # no cause: to the caller, this file is there
        hint = error.hint or "`extends` is relative to the folder of this file"
        raise ScenarioError(error.message, path=path, line=line, hint=hint) from error
    return _parse(text, str(Path(path).parent / extended), base.parent, base, chain)


def parse_contracts(table: Mapping[str, Any], *, path: str, folder: Path, text: str, prefix: TomlPath) -> Scenario:
    """Parse and check the accounts and contracts in a table of another TOML file.

    Args:
        table: A table with ``accounts`` and ``contracts``, as in a scenario.
        path: The name of the file, for messages.
        folder: The folder that paths in the table are relative to.
        text: The text of the whole file.
        prefix: The keys that lead to the table.

    Raises:
        ScenarioError: As :func:`load_scenario`.
    """
    return _load(_Loader(table, has_transactions=False), path, folder, Lines(text, path).below(prefix))


def _load(loader: _Loader, path: str, folder: Path, lines: Lines) -> Scenario:
    try:
        scenario = loader.scenario(path, folder, lines)
    except _TooManyProblemsError:
        pass
    else:
        if not loader.problems:
            return scenario
    located = [ScenarioError(message, path=path, line=lines.line(where)) for where, message in loader.problems]
    located.sort(key=lambda problem: problem.line or 0)
    raise located[0] if len(located) == 1 else ScenarioFileError(path, tuple(located))


def _line_of(error: ValueError, text: str) -> int | None:
    """Find the line in a message of ``tomllib``, whose errors have a line number only from Python 3.14 on."""
    found = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)", str(error))
    if found is None:
        return None
    return text.count("\n") + 1 if found[1] is None else int(found[1])


class _TooManyProblemsError(Exception):
    """There are enough problems to tell of."""


@define
class _Loader:
    """Builds a scenario from parsed TOML and the scenario that it extends, and collects the problems."""

    raw: Mapping[str, Any]
    base: Scenario | None = None
    has_transactions: bool = True
    problems: list[tuple[TomlPath, str]] = field(factory=list)

    def scenario(self, path: str, folder: Path, lines: Lines) -> Scenario:
        """Build the scenario, which is valid only if no problem was found."""
        for key in self.raw:
            if key not in _TABLES:
                self.report((key,), unknown_key(key, _TABLES))
        about = structure(self.raw.get("scenario", {}), ScenarioSpec, ("scenario",), self.report) or ScenarioSpec()
        accounts = self.named("accounts", AccountSpec)
        contracts = self.named("contracts", ContractSpec)
        transactions = self.transactions()
        invariants = self.array("invariants", InvariantSpec)
        explore = structure(self.raw.get("explore", {}), ExploreSpec, ("explore",), self.report) or ExploreSpec()
        for name in accounts.keys() & contracts.keys():
            self.report(("contracts", name), f'"{name}" is an account already')
        self.check_base(about, accounts, ("scenario",))
        for name, contract in contracts.items():
            if contract is not None:
                self.check_contract(contract, ("contracts", name))
        for number, transaction in enumerate(transactions):
            if transaction is not None:
                self.check_transaction(transaction, ("transactions", number))
        self.check_explore(explore, ("explore",))
        scenario = Scenario(
            path=path,
            folder=folder,
            lines=lines,
            name=about.name if about.name is not None else Path(path).stem,
            description=about.description,
            accounts={name: spec for name, spec in accounts.items() if spec is not None},
            contracts={name: spec for name, spec in contracts.items() if spec is not None},
            transactions=tuple(spec for spec in transactions if spec is not None),
            addresses=self.addresses(accounts, contracts),
            invariants=tuple(spec for spec in invariants if spec is not None),
            explore=explore,
        )
        return scenario if self.base is None else self.extended(scenario, self.base, about)

    def extended(self, own: Scenario, base: Scenario, about: ScenarioSpec) -> Scenario:
        """Return a scenario with all that holds of its base."""
        folder = Path(about.extends or "").parent
        contracts = {
            name: spec if spec.code is None else attrs.evolve(spec, code=str(folder / spec.code))
            for name, spec in base.contracts.items()
        }
        kept = base.transactions[: about.base_transactions]
        named = {spec.title for spec in own.invariants}
        invariants = [
            number
            for number, spec in enumerate(base.invariants)
            if spec.title not in named and (about.base_invariants is None or spec.title in about.base_invariants)
        ]
        explored = {key: getattr(own.explore, key) for key in self.raw.get("explore", ())}
        moved: dict[TomlPath, tuple[Lines, TomlPath]] = {
            (key, name): (base.lines, (key, name))
            for key, names in (("accounts", base.accounts), ("contracts", base.contracts))
            for name in names
            if name not in own.accounts and name not in own.contracts
        }
        for key, numbers, count in (
            ("transactions", list(range(len(kept))), len(own.transactions)),
            ("invariants", invariants, len(own.invariants)),
        ):
            places = [(base.lines, number) for number in numbers] + [(own.lines, number) for number in range(count)]
            moved |= {(key, number): (lines, (key, place)) for number, (lines, place) in enumerate(places)}
        moved |= {("explore", key): (base.lines, ("explore", key)) for key in schema.keys_of(ExploreSpec)}
        return attrs.evolve(
            own,
            lines=own.lines.moved({key: place for key, place in moved.items() if key[1] not in explored}),
            accounts={name: each for name, each in base.accounts.items() if name not in own.contracts} | own.accounts,
            contracts=contracts | own.contracts,
            transactions=(*kept, *own.transactions),
            invariants=(*(base.invariants[number] for number in invariants), *own.invariants),
            explore=attrs.evolve(base.explore, **explored),
        )

    def check_base(self, about: ScenarioSpec, accounts: Mapping[str, AccountSpec | None], where: TomlPath) -> None:
        """Check what is said of the scenario that this one extends."""
        if self.base is None:
            for key in ("base_transactions", "base_invariants"):
                self.check(
                    getattr(about, key) is None, (*where, key), f"`{key}` is about the scenario of `extends`, a path"
                )
            return
        count = len(self.base.transactions)
        self.check(
            (about.base_transactions or 0) <= count,
            (*where, "base_transactions"),
            f"`base_transactions` is {about.base_transactions}, and {self.base.path} has {count}",
        )
        known = list(dict.fromkeys(spec.title for spec in self.base.invariants))
        for number, name in enumerate(about.base_invariants or ()):
            hint = did_you_mean(name, known) or f" (it has: {', '.join(known[:_NAMES_SHOWN]) or 'none'})"
            self.check(
                name in known,
                (*where, "base_invariants", number),
                f'{self.base.path} has no invariant named "{name}"{hint}',
            )
        for name in accounts:
            is_contract = name in self.base.contracts
            self.check(not is_contract, ("accounts", name), f'"{name}" is a contract of {self.base.path}')

    def report(self, where: TomlPath, message: str) -> None:
        """Add a problem, on one line whatever the names in it.

        Raises:
            _TooManyProblemsError: There are enough of them.
        """
        self.problems.append((where, one_line(message)))
        if len(self.problems) >= PROBLEMS_MAX:
            raise _TooManyProblemsError

    def check(self, condition: bool, where: TomlPath, message: str) -> None:
        """Add a problem unless a condition holds. Skip it if a problem below ``where`` may be its cause."""
        if not condition and not any(known[: len(where)] == where for known, _ in self.problems):
            self.report(where, message)

    def named(self, key: str, table: type[T]) -> dict[str, T | None]:
        """Build the tables of a table of tables; ``None`` for each that is invalid."""
        raw = self.raw.get(key, {})
        if not isinstance(raw, dict):
            self.report((key,), f"wanted a table of tables, [{key}.NAME], found {describe(raw)}")
            return {}
        return {name: structure(value, table, (key, name), self.report) for name, value in raw.items()}

    def transactions(self) -> list[TransactionSpec | None]:
        """Build the transactions; ``None`` for each that is invalid."""
        misspelt = any(key not in _TABLES for key in self.raw)  # already reported, and it may be [[transaction]]
        is_explored = not self.raw.keys().isdisjoint({"invariants", "explore"})  # an exploration needs no transactions
        needs_them = self.base is None and self.has_transactions  # else they may be in another file
        if self.raw.get("transactions", []) == [] and not misspelt and needs_them and not is_explored:
            self.report(("transactions",), "there is no transaction: add a table [[transactions]]")
        return self.array("transactions", TransactionSpec)

    def array(self, key: str, table: type[T]) -> list[T | None]:
        """Build the tables of an array of tables; ``None`` for each that is invalid."""
        raw = self.raw.get(key, [])
        if not isinstance(raw, list):
            self.report((key,), f"wanted tables [[{key}]], found {describe(raw)}")
            return []
        return [structure(value, table, (key, number), self.report) for number, value in enumerate(raw)]

    def check_explore(self, explore: ExploreSpec, where: TomlPath) -> None:
        """Check the names in the table ``explore``."""
        for key in ("trusted", "untrusted", "senders"):
            what = "contract" if key == "trusted" else "account or contract"
            for number, name in enumerate(getattr(explore, key) or ()):
                self.check_name(name, (*where, key, number), what)
        for name in explore.entry_points:
            self.check_name(name, (*where, "entry_points", name), "contract")
        for number, name in enumerate(explore.untrusted):
            both = name in (explore.trusted or ())
            self.check(not both, (*where, "untrusted", number), f'"{name}" is trusted and untrusted')

    def check_contract(self, contract: ContractSpec, where: TomlPath) -> None:
        """Check a contract's names, and keys that depend on each other."""
        one_source = (contract.code is None) != (contract.wat is None)
        self.check(one_source, where, "a contract has either `code`, a path, or `wat`, text")
        is_empty = contract.code == "" and contract.wat is None
        self.check(not is_empty, (*where, "code"), "`code` is the path of a contract, and it is empty")
        has_use = not contract.args or contract.init is not None
        self.check(has_use, (*where, "args"), "`args` are for `init`, a method to run at deployment, which is missing")
        for key in contract.mapping_keys:
            options = [option for option, keys in MAPPING_KEYS.items() if key in keys]
            if options and contract.mapping not in {None, *options}:
                made_for = f"`{key}` is for contracts that are {' or '.join(options)}"
                self.report((*where, key), f"{made_for}, and `mapping` says {contract.mapping}")
        both = contract.link is not None and contract.mapping is not None
        self.check(not both, (*where, "link"), "`link` is for contracts that import functions, `mapping` for others")
        for name, target in contract.links.items():
            self.check_name(target, (*where, "links", name), "account or contract")
        for number, preset in enumerate(contract.storage):
            self.check_content(preset, (*where, "storage", number))

    def check_transaction(self, transaction: TransactionSpec, where: TomlPath) -> None:
        """Check a transaction's names, and keys that depend on each other."""
        self.check_name(transaction.to, (*where, "to"), "account or contract")
        if transaction.sender is not None:
            self.check_name(transaction.sender, (*where, "sender"), "account or contract")
        has_method = transaction.method is not None
        self.check(
            has_method or not transaction.args, (*where, "args"), "`args` are for a `method`; `main` reads `data`"
        )
        self.check(
            not (has_method and transaction.data), (*where, "data"), "`data` is for `main`; a `method` has `args`"
        )
        self.check_expectation(transaction.expect, (*where, "expect"))

    def check_expectation(self, expect: Expectation, where: TomlPath) -> None:
        """Check an expectation's names, and keys that depend on each other."""
        contradicts = bool(expect.ok) and expect.says_failure
        self.check(not contradicts, (*where, "ok"), "`ok = true` goes with none of `reverts`, `error` and `error_kind`")
        has_value = expect.value is None or expect.success
        self.check(has_value, (*where, "value"), "a transaction that fails has no `value`")
        in_order = expect.gas_min is None or expect.gas_max is None or expect.gas_min <= expect.gas_max
        self.check(in_order, (*where, "gas_min"), "`gas_min` is more than `gas_max`")
        for number, storage in enumerate(expect.storage):
            self.check_name(storage.contract, (*where, "storage", number, "contract"), "contract")
            if storage.kinds or (storage.pages is None and storage.length_bytes is None):
                self.check_content(storage, (*where, "storage", number))
        for number, log in enumerate(expect.logs or ()):
            if log.contract is not None:
                self.check_name(log.contract, (*where, "logs", number, "contract"), "contract")
        for name in expect.balance:
            self.check_name(name, (*where, "balance", name), "account or contract")

    def check_content(self, content: schema.Content, where: TomlPath) -> None:
        """Check that exactly one key has the content."""
        found = " and ".join(content.kinds) or "none"
        wanted = ", ".join(schema.CONTENT_KINDS)
        self.check(len(content.kinds) == 1, where, f"exactly one of {wanted} is wanted, found {found}")

    def check_name(self, name: str, where: TomlPath, what: str) -> None:
        """Check that a name is defined in this file, or is an address."""
        if any(name in table for table in self.tables(what)):
            return
        try:
            if name.startswith("0x"):
                Address(name)
                return
        except ValidationError as error:
            self.report(where, error.message)
            return
        known = list(itertools.chain(*self.tables(what)))
        more = f", … and {len(known) - _NAMES_SHOWN:,} more" if len(known) > _NAMES_SHOWN else ""
        hint = did_you_mean(name, known) or f" (there is {', '.join(known[:_NAMES_SHOWN]) or 'none'}{more})"
        self.report(where, f'no {what} is named "{name}"{hint}')

    def tables(self, what: str) -> Iterator[Mapping[str, Any]]:
        """Yield tables whose keys are the names that the file or its base defines, invalid tables included."""
        for key in ("contracts",) if what == "contract" else ("accounts", "contracts"):
            raw = self.raw.get(key)
            if isinstance(raw, dict):
                yield raw
            if self.base is not None:
                yield getattr(self.base, key)

    def addresses(
        self, accounts: Mapping[str, AccountSpec | None], contracts: Mapping[str, ContractSpec | None]
    ) -> dict[str, Address]:
        """Return the address of each account and contract: the one in the file, or one made from its position.

        What the base has keeps its address, and positions count on from there. All addresses are known before the first
        deployment, so contracts can be linked in a cycle.
        """
        addresses: dict[str, Address] = {}
        if self.base is not None:
            stated = {name for name, spec in {**accounts, **contracts}.items() if spec is not None and spec.address}
            addresses = {name: each for name, each in self.base.addresses.items() if name not in stated}
        taken = {address: name for name, address in addresses.items()}
        inherited = frozenset(taken)
        for key, start, specs in (("accounts", _ACCOUNTS_START, accounts), ("contracts", _CONTRACTS_START, contracts)):
            free = (each for each in map(Address, itertools.count(start)) if each not in inherited)
            for (name, spec), numbered in zip(specs.items(), free, strict=False):
                stated_here = None if spec is None else spec.address
                address = addresses[name] = stated_here or addresses.get(name) or numbered
                if taken.setdefault(address, name) != name:
                    self.report((key, name, "address"), f"{address} is the address of {taken[address]} already")
        return addresses
