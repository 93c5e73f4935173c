"""Running a vector: its accounts in a world of their own, its transaction, and a look at what became of them."""

from __future__ import annotations

import enum
from typing import Literal

from attrs import frozen

from storagemod.errors import StorageModError
from storagemod.limits import Limits
from storagemod.statetest.client import Client
from storagemod.statetest.compare import Difference, compare
from storagemod.statetest.vector import Vector
from storagemod.types import MAP_OPTIONS, StorageMapping, ValidationMode
from storagemod.vm import Contract, GasSchedule
from storagemod.world import Receipt, World

SCHEDULE = GasSchedule(metered=False)
"""The suite's clients did not meter wasm: instructions were free, and ``getGasLeft`` of its contracts tells so."""

LIMITS = Limits(created_code_bytes_max=24_576)
"""The suite's clients created no contract that is longer (EIP-170)."""

LINK_OPTIONS = ("keyed", *MAP_OPTIONS)
"""The linking options that serve contracts of ewasm: they import nothing but functions of ``ethereum``."""


class Status(enum.StrEnum):
    """How a vector ended."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIP = "skip"


@frozen
class VectorResult:
    """What became of a vector.

    Attributes:
        reason: Why it was not run, or did not run to its end; ``None`` otherwise.
        differences: What is not as expected.
        notes: What a reader should know of how it was run.
        receipt: What came of the transaction, if it could start.
    """

    vector: Vector
    status: Status
    reason: str | None
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    receipt: Receipt | None


def run_vector(
    vector: Vector,
    *,
    link: str | None = None,
    limits: Limits | None = None,
    tracker: str | None = None,
    trace: bool | Literal["pages"] = True,
) -> VectorResult:
    """Run a vector and compare the accounts that it names.

    Args:
        vector: What to run.
        link: One of ``LINK_OPTIONS``, for contracts that leave it open. A vector in which no contract has its storage
            under it, but others have, is skipped. By default it is ``copied`` where it is open.
        limits: What bounds contracts and the transaction; ``LIMITS`` if not given.
        tracker: How storage is mapped, as :class:`storagemod.World` has it.
        trace: Whether the receipt carries a trace.
    """
    limits = limits or LIMITS
    unserved = None if link is None else _unserved(vector, link, limits)
    if unserved is not None:
        return VectorResult(vector, Status.SKIP, unserved, (), vector.notes, None)
    mapping = StorageMapping(link) if link in MAP_OPTIONS else None
    with World(
        validation=ValidationMode.EWASM, schedule=SCHEDULE, mapping=mapping, limits=limits, tracker=tracker, trace=trace
    ) as world:
        client = Client(world, vector)
        try:
            client.preset()
        except StorageModError as error:
            return VectorResult(vector, Status.FAIL, f"its accounts cannot be: {error}", (), vector.notes, None)
        receipt, refusal = client.send()
        return _judged(vector, client, receipt, refusal)


def _judged(vector: Vector, client: Client, receipt: Receipt | None, refusal: str | None) -> VectorResult:
    if receipt is not None and receipt.error is not None and receipt.error.aborts:
        # It says something of this machine, and nothing of the vector.
        reason = f"it did not run to its end: {receipt.error}"
        return VectorResult(vector, Status.FAIL, reason, (), vector.notes, receipt)
    paid = {vector.transaction.sender: "sender", vector.block.coinbase: "coinbase"}
    differences: list[Difference] = []
    notes = [*vector.notes]
    if refusal is not None:
        notes.append(f"the transaction is invalid, and changed nothing: {refusal}")
    for address, expected in vector.expect.items():
        left_out = {"balance"} if address in paid and refusal is None else set()
        if left_out and expected.balance is not None:
            notes.append(f"the balance of the {paid[address]} depends on the price of gas: it is not compared")
        differences += compare(address, expected, client.found(address), left_out=left_out)
    status = Status.FAIL if differences else Status.PASS
    return VectorResult(vector, status, None, tuple(differences), tuple(notes), receipt)


def _unserved(vector: Vector, link: str, limits: Limits) -> str | None:
    """Why a vector says nothing of a linking option: it has contracts with storage, and none under that option."""
    used: set[str] = set()
    for account in vector.pre.values():
        used |= _options(account.code.data, limits)
    return f"its storage is under {' or '.join(sorted(used))}" if used and link not in used else None


def _options(code: bytes, limits: Limits) -> frozenset[str]:
    """The linking options of code; of what is no contract, none: it will not run."""
    if not code:
        return frozenset()
    try:
        return Contract.load(code, limits=limits, mode=ValidationMode.EWASM).options
    except StorageModError:
        return frozenset()
