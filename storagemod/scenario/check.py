"""Compare the result of a transaction with the expectation in its scenario."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import regex
from attrs import define, frozen

from storagemod import errors
from storagemod.errors import ScenarioError, StateError, StorageModError
from storagemod.events import Log
from storagemod.scenario.contents import contents, gone
from storagemod.scenario.locate import TomlPath
from storagemod.scenario.schema import Expectation, ExpectedLog, ExpectedStorage, Numbers, Scenario
from storagemod.scenario.structure import did_you_mean
from storagemod.types import Outcome, Value
from storagemod.world import Receipt, World

_BYTES_SHOWN = 32
_NUMBERS_SHOWN = 8
_BITS = {"i32": 32, "i64": 64}

MATCH_SECONDS_MAX = 1.0
"""How long the expression of ``error`` may be tried. Some take time by powers of the length of the text."""


@frozen
class Difference:
    """One value that is not as expected; ``file`` and ``line`` are the place of the expectation."""

    what: str
    wanted: str
    found: str
    line: int | None
    file: str = ""


def check_transaction(
    world: World, scenario: Scenario, number: int, receipt: Receipt | None, refused: StorageModError | None
) -> tuple[Difference, ...]:
    """Compare a transaction with its expectation. If the outcome differs, nothing else is compared.

    Args:
        world: The world after the transaction.
        scenario: The scenario, which has the expectation.
        number: The index of the transaction.
        receipt: The receipt; ``None`` if it could not start.
        refused: Why it could not start.

    Raises:
        ScenarioError: The expectation names a contract or a region that does not exist.
    """
    check = _Check(world, scenario, number, [])
    expect = scenario.transactions[number].expect
    if check.outcome(expect, receipt, refused):
        check.ending(expect, receipt, refused)
        for position, storage in enumerate(expect.storage):
            check.storage(storage, ("storage", position))
        for name, wanted in expect.balance.items():
            balance = world.account(scenario.address(name)).balance
            check.compare(("balance", name), f"balance of {name}", str(wanted), str(balance))
    return tuple(check.differences)


@define
class _Check:
    world: World
    scenario: Scenario
    number: int
    differences: list[Difference]

    def compare(self, path: TomlPath, what: str, wanted: str, found: str) -> None:
        """Add a difference if two texts are not equal."""
        if wanted != found:
            file, line = self.place(path)
            self.differences.append(Difference(what, wanted, found, line, file))

    def place(self, path: TomlPath) -> tuple[str, int | None]:
        """Return the file and the line of a part of the expectation."""
        return self.scenario.place(("transactions", self.number, "expect", *path))

    def outcome(self, expect: Expectation, receipt: Receipt | None, refused: StorageModError | None) -> bool:
        """Compare the outcome; return whether it is as expected."""
        outcome = Outcome.FAILED if receipt is None else receipt.outcome
        if expect.may_fail:
            return True
        if expect.reverts:
            wanted, path, good = "a revert", "reverts", outcome is Outcome.REVERTED
        elif expect.success:
            wanted, path, good = "success", "ok", outcome is Outcome.OK
        else:
            path = next((key for key in ("error", "error_kind") if getattr(expect, key) is not None), "ok")
            wanted, good = "a failure", outcome is not Outcome.OK
        if not good:
            error = refused if receipt is None else receipt.error
            found = {Outcome.OK: "success", Outcome.FAILED: "a failure", Outcome.REVERTED: "a revert"}[outcome]
            self.compare((path,), "outcome", wanted, found if error is None else f"{found}: {error}")
        return good

    def ending(self, expect: Expectation, receipt: Receipt | None, refused: StorageModError | None) -> None:
        """Compare the error, the results, the gas and the logs."""
        error = refused if receipt is None else receipt.error
        if expect.error is not None:
            try:
                matches = regex.search(expect.error, str(error), timeout=MATCH_SECONDS_MAX) is not None
            except TimeoutError as timeout:
                file, line = self.place(("error",))
                raise ScenarioError(
                    f"the expression {expect.error!r} takes longer than {MATCH_SECONDS_MAX:g} s",
                    path=file,
                    line=line,
                    cause=timeout,
                    hint="repeat nothing that is a repetition itself, such as (a+)+",
                ) from timeout
            if not matches:
                self.compare(("error",), "error", f"text that matches {expect.error!r}", str(error))
        if expect.error_kind is not None and not isinstance(error, getattr(errors, expect.error_kind)):
            self.compare(("error_kind",), "error_kind", expect.error_kind, f"{type(error).__name__}: {error}")
        if receipt is None:
            return
        if expect.value is not None:
            found = _values(receipt)
            if not _same(self.signed(expect.value), found):
                self.compare(("value",), "value", _numbers(expect.value), _numbers(found))
        if expect.output is not None and expect.output != receipt.output:
            self.compare(("output",), "output", *_bytes_apart(expect.output, receipt.output))
        if expect.gas_min is not None and receipt.gas_used < expect.gas_min:
            self.compare(("gas_min",), "gas", f"at least {expect.gas_min:,}", f"{receipt.gas_used:,}")
        if expect.gas_max is not None and receipt.gas_used > expect.gas_max:
            self.compare(("gas_max",), "gas", f"at most {expect.gas_max:,}", f"{receipt.gas_used:,}")
        if expect.logs is not None:
            self.logs(expect.logs, receipt.logs)

    def signed(self, wanted: Numbers) -> Numbers:
        """Convert numbers to what methods return: integers signed, and floats rounded where the result is an f32.

        A file may write integers unsigned, as in arguments, and 0.1 for the f32 that is nearest to it.
        """
        transaction = self.scenario.transactions[self.number]
        if transaction.method is None:
            return wanted
        try:
            contract = self.world.contract(self.scenario.address(transaction.to))
        except StateError:  # the transaction destroyed it
            return wanted
        results = contract.entry_point(transaction.method).results
        if len(results) != len(wanted):
            return wanted
        return tuple(
            _as_f32(number)
            if kind == "f32"
            else number - 2**bits
            if (bits := _BITS.get(kind)) and 2 ** (bits - 1) <= number < 2**bits
            else number
            for number, kind in zip(wanted, results, strict=True)
        )

    def logs(self, wanted: Sequence[ExpectedLog], found: Sequence[Log]) -> None:
        """Compare logs one by one, in order."""
        for position in range(max(len(wanted), len(found))):
            what, path = f"log {position}", ("logs", position)
            if position >= len(found):
                self.compare(path, what, self.log(wanted[position]), "nothing")
            elif position >= len(wanted):
                self.compare(("logs",), what, "nothing", self.log(found[position]))
            elif not self.fits(wanted[position], found[position]):
                self.compare(path, what, self.log(wanted[position]), self.log(found[position]))

    def fits(self, wanted: ExpectedLog, found: Log) -> bool:
        """Check whether a log matches all that is expected of it."""
        return (
            (wanted.contract is None or self.scenario.address(wanted.contract) == found.address)
            and (wanted.topics is None or wanted.topics == found.topics)
            and (wanted.data is None or wanted.data == found.data)
        )

    def log(self, log: ExpectedLog | Log) -> str:
        """Describe a log, or an expected one."""
        name = self.world.label(log.address) if isinstance(log, Log) else log.contract or "any contract"
        topics = ["any topics"] if log.topics is None else [f"topic 0x{topic.hex()}" for topic in log.topics]
        return ", ".join([name, *topics, "any data" if log.data is None else f"data 0x{log.data.hex()}"])

    def storage(self, expected: ExpectedStorage, path: TomlPath) -> None:
        """Compare committed bytes of a region, its length, or both."""
        address = self.scenario.address(expected.contract)
        lost = gone(self.world, address, self.scenario.contract_at(address))
        if lost is not None:
            self.compare((*path, "contract"), f"storage of {expected.contract}", "a contract", lost)
            return
        try:
            regions = contents(self.world, address)
        except StateError as error:
            file, line = self.place((*path, "contract"))
            raise ScenarioError(error.message, path=file, line=line, cause=error) from error
        place = f"{expected.contract} {expected.region}"
        if expected.region not in regions:
            known = sorted(regions)
            file, line = self.place((*path, "region"))
            raise ScenarioError(
                f'"{expected.contract}" has no region "{expected.region}"'
                + (did_you_mean(expected.region, known) or f" (it has {', '.join(known) or 'none'})"),
                path=file,
                line=line,
            )
        view = regions[expected.region]
        if expected.pages is not None:
            self.compare((*path, "pages"), f"length of {place}", _pages(expected.pages), _pages(view.pages))
        if expected.length_bytes is not None:
            wanted_length, length = f"{expected.length_bytes:,} bytes", f"{len(view):,} bytes"
            self.compare((*path, "length_bytes"), f"length of {place}", wanted_length, length)
        if not expected.kinds:
            return
        start, wanted, kind = expected.offset_bytes, expected.data, expected.kinds[0]
        stop = start + len(wanted)
        if stop > len(view):
            end = f"the region ends at {len(view):#x}"
            self.compare((*path, kind), f"{place}[{start:#x}..{stop:#x}]", f"{len(wanted)} bytes", end)
            return
        found = view[start:stop]
        if found == wanted:
            return
        if kind == "hex":
            first = next(index for index in range(len(wanted)) if wanted[index] != found[index]) // 16 * 16
            window = slice(first, first + _BYTES_SHOWN)
            what = f"{place}[{start + first:#x}..{min(start + first + _BYTES_SHOWN, stop):#x}]"
            self.compare((*path, kind), what, "0x" + wanted[window].hex(), "0x" + found[window].hex())
            return
        pairs = list(zip(expected.decode(wanted), expected.decode(found), strict=True))
        size = len(wanted) // len(pairs)
        different = [index for index, (want, got) in enumerate(pairs) if not _same((want,), (got,))]
        for index in different[:_NUMBERS_SHOWN]:
            want, got = pairs[index]
            self.compare((*path, kind), f"{place}[{start + index * size:#x}] as {kind}", str(want), str(got))
        if len(different) > _NUMBERS_SHOWN:
            more = f"{len(different) - _NUMBERS_SHOWN} more"
            self.compare((*path, kind), f"{place} as {kind}", "as above", f"{more} numbers that differ")


def _as_f32(number: Value) -> Value:
    """Round a number to an f32; one that is too large for it stays, and is equal to none."""
    try:
        (rounded,) = struct.unpack("<f", struct.pack("<f", number))
    except OverflowError:
        return number
    return float(rounded)


def _pages(count: int) -> str:
    return "1 page" if count == 1 else f"{count:,} pages"


def _values(receipt: Receipt) -> tuple[Value, ...]:
    """Return the results of the method as a tuple."""
    if receipt.value is None:
        return ()
    return receipt.value if isinstance(receipt.value, tuple) else (receipt.value,)


def _same(wanted: Sequence[Value], found: Sequence[Value]) -> bool:
    """Check whether numbers are equal; NaN equals NaN here."""
    return len(wanted) == len(found) and all(
        want == got or (math.isnan(want) and math.isnan(got)) for want, got in zip(wanted, found, strict=True)
    )


def _numbers(values: Sequence[Value]) -> str:
    return ", ".join(map(repr, values)) or "nothing"


def _bytes_apart(wanted: bytes, found: bytes) -> tuple[str, str]:
    """Format two byte strings that differ, from shortly before the first difference."""
    shared = min(len(wanted), len(found))
    first = next((index for index in range(shared) if wanted[index] != found[index]), shared) // 16 * 16
    shown = []
    for data in (wanted, found):
        dots = ("…" if first else "", "…" if len(data) > first + _BYTES_SHOWN else "")
        shown.append(f"0x{dots[0]}{data[first : first + _BYTES_SHOWN].hex()}{dots[1]} ({len(data)} bytes)")
    return shown[0], shown[1]
