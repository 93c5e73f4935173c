"""Run a vector: create its accounts in a new world, run its transaction, and compare the accounts that it names.

A :class:`storagemod.World` neither buys gas nor checks a transaction against its block. This module does both, as a
client of Ethereum would.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Literal

from attrs import frozen

from storagemod.errors import StorageModError
from storagemod.limits import Limits
from storagemod.state import BALANCE_MAX, NONCE_MAX
from storagemod.statetest.vector import ExpectedAccount, Vector, VectorTransaction
from storagemod.types import MAP_OPTIONS, Address, StorageMapping, ValidationMode
from storagemod.vm import Contract, GasSchedule
from storagemod.world import Receipt, World

SCHEDULE = GasSchedule(metered=False)
"""Instructions are free: the suite's clients did not meter wasm, which ``getGasLeft`` in its contracts shows."""

LIMITS = Limits(created_code_bytes_max=24_576)
"""The suite's clients created no longer contract (EIP-170)."""

LINK_OPTIONS = ("keyed", *MAP_OPTIONS)
"""The linking options for contracts of ewasm, which import functions of ``ethereum`` only."""

_TRANSACTION_GAS = 21_000
_CREATION_GAS = 32_000
_ZERO_BYTE_GAS = 4
_BYTE_GAS = 68

_WORD_BYTES = 32
_WORD_DIGITS = 2 * _WORD_BYTES


class Status(enum.StrEnum):
    """How a vector ended."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIP = "skip"


@frozen
class Difference:
    """One field of one account that is not as expected.

    Attributes:
        field: ``exists``, ``balance``, ``nonce``, ``code`` or ``storage[0x…]``.
    """

    address: Address
    field: str
    wanted: str
    found: str


@frozen
class VectorResult:
    """Result of a vector.

    Attributes:
        reason: Why it was skipped or did not run to its end; otherwise ``None``.
        differences: Fields that are not as expected.
        notes: Remarks on how it was run, for the reader of a report.
        receipt: The receipt of the transaction, if it could start.
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
    debug: bool = False,
) -> VectorResult:
    """Run a vector and compare the accounts that it names.

    Args:
        vector: The vector.
        link: One of ``LINK_OPTIONS``, for contracts that leave it open, by default ``copied``. A vector is skipped if
            its contracts use other options and none uses this one.
        limits: The limits of contracts and of the transaction; by default ``LIMITS``.
        tracker: The write tracker, as for :class:`storagemod.World`.
        trace: Whether the receipt carries a trace.
        debug: Whether contracts may import from ``debug``. Traces have what they print.
    """
    limits = limits or LIMITS
    unserved = None if link is None else _unserved(vector, link, limits, debug=debug)
    if unserved is not None:
        return VectorResult(vector, Status.SKIP, unserved, (), vector.notes, None)
    mapping = StorageMapping(link) if link in MAP_OPTIONS else None
    with World(
        validation=ValidationMode.EWASM,
        schedule=SCHEDULE,
        mapping=mapping,
        limits=limits,
        tracker=tracker,
        trace=trace,
        debug=debug,
    ) as world:
        try:
            _preset(world, vector)
        except StorageModError as error:
            return VectorResult(vector, Status.FAIL, f"its accounts cannot be: {error}", (), vector.notes, None)
        refusal = _refusal(world, vector)
        try:
            receipt = _send(world, vector) if refusal is None else None
        except StorageModError as error:
            reason = f"its transaction cannot be sent: {error}"
            return VectorResult(vector, Status.FAIL, reason, (), vector.notes, None)
        if receipt is not None and receipt.error is not None and receipt.error.aborts:
            # Such an error is about this machine; it says nothing of the vector.
            reason = f"it did not run to its end: {receipt.error}"
            return VectorResult(vector, Status.FAIL, reason, (), vector.notes, receipt)
        return _compared(world, vector, receipt, refusal)


def _unserved(vector: Vector, link: str, limits: Limits, *, debug: bool) -> str | None:
    """Explain why a linking option is irrelevant to a vector; ``None`` if it is relevant.

    It is irrelevant if contracts have storage under other options and none has storage under this one.
    """
    used: set[str] = set()
    for account in vector.pre.values():
        if account.code.data:
            try:
                code = account.code.data
                used |= Contract.load(code, limits=limits, mode=ValidationMode.EWASM, debug=debug).options
            except StorageModError:  # not a contract: it fails when it is called
                continue
    return f"its storage is under {' or '.join(sorted(used))}" if used and link not in used else None


def _preset(world: World, vector: Vector) -> None:
    """Create the accounts that exist before the transaction.

    Raises:
        ValidationError: An account exceeds the limits of the world.
    """
    world.block = vector.block
    for address, account in vector.pre.items():
        world.set_account(
            address,
            balance=account.balance,
            nonce=account.nonce,
            code=account.code.data,
            slots={_to_word(key): _to_word(value) for key, value in account.storage.items()},
        )


def intrinsic_gas(transaction: VectorTransaction) -> int:
    """Return the gas that a transaction costs before any of its code runs.

    Source: Ethereum Yellow Paper, equation 54 and appendix G, as they were before EIP-2028 made data cheaper.
    """
    data = transaction.data.data
    zeros = data.count(0)
    creation = _CREATION_GAS if transaction.to is None else 0
    return _TRANSACTION_GAS + creation + _ZERO_BYTE_GAS * zeros + _BYTE_GAS * (len(data) - zeros)


def _refusal(world: World, vector: Vector) -> str | None:
    """Explain why a transaction is invalid (Ethereum Yellow Paper, section 6.2); ``None`` if it is valid."""
    transaction, block = vector.transaction, vector.block
    sender = world.account(transaction.sender)
    if transaction.nonce is not None and transaction.nonce != sender.nonce:
        return f"it has the nonce {transaction.nonce}, and its sender {sender.nonce}"
    if sender.nonce >= NONCE_MAX:
        return f"the nonce of its sender is as high as it can be, {NONCE_MAX:,}"
    if transaction.gas_limit > block.gas_limit:
        return f"its gas limit of {transaction.gas_limit:,} is more than that of the block, {block.gas_limit:,}"
    if transaction.gas_limit < intrinsic_gas(transaction):
        return f"its gas limit is {transaction.gas_limit:,}, and it costs {intrinsic_gas(transaction):,} to begin"
    price = transaction.gas_limit * transaction.gas_price + transaction.value
    if price > sender.balance:
        return f"it may cost {price:,}, and its sender has a balance of {sender.balance:,}"
    return None


def _send(world: World, vector: Vector) -> Receipt:
    """Run a valid transaction. Its sender pays for the gas it used, and its nonce rises even if it fails."""
    transaction = vector.transaction
    sender, price, data = transaction.sender, transaction.gas_price, transaction.data.data
    gas = transaction.gas_limit - intrinsic_gas(transaction)
    _pay(world, sender, -transaction.gas_limit * price)
    nonce = world.account(sender).nonce
    if transaction.to is None:
        receipt = world.create(data, sender=sender, value=transaction.value, gas=gas, gas_price=price)
    else:
        receipt = world.transact(
            transaction.to, data=data, sender=sender, value=transaction.value, gas=gas, gas_price=price
        )
    if not receipt.ok:
        world.set_account(sender, nonce=nonce + 1)
    used = intrinsic_gas(transaction) + receipt.gas_used
    _pay(world, sender, (transaction.gas_limit - used) * price)
    _pay(world, vector.block.coinbase, used * price)
    return receipt


def _pay(world: World, address: Address, amount: int) -> None:
    if amount:
        balance = world.account(address).balance + amount
        world.set_account(address, balance=min(balance, BALANCE_MAX))  # a coinbase may start with almost all there is


def _compared(world: World, vector: Vector, receipt: Receipt | None, refusal: str | None) -> VectorResult:
    paid = {vector.transaction.sender: "sender", vector.block.coinbase: "coinbase"}
    differences: list[Difference] = []
    notes = [*vector.notes]
    if refusal is not None:
        notes.append(f"the transaction is invalid, and changed nothing: {refusal}")
    for address, expected in vector.expect.items():
        with_balance = refusal is not None or address not in paid
        if not with_balance and expected.balance is not None:
            notes.append(f"the balance of the {paid[address]} depends on the price of gas: it is not compared")
        differences += _differences(world, vector, address, expected, with_balance=with_balance)
    status = Status.FAIL if differences else Status.PASS
    return VectorResult(vector, status, None, tuple(differences), tuple(notes), receipt)


def _differences(
    world: World, vector: Vector, address: Address, expected: ExpectedAccount, *, with_balance: bool
) -> Iterator[Difference]:
    """Compare an account with all that the vector expects of it.

    An account without nonce, balance and code exists only if it existed before the transaction (EIP-161).
    """
    found, before = world.account(address), vector.pre.get(address)
    exists = bool(found.nonce or found.balance or found.code) or (before is not None and before.is_empty)
    if expected.exists != exists:
        words = {True: "an account", False: "no account"}
        yield Difference(address, "exists", words[expected.exists], words[exists])
        if not expected.exists:
            return
    if with_balance and expected.balance is not None and expected.balance != found.balance:
        yield Difference(address, "balance", f"{expected.balance}", f"{found.balance}")
    if expected.nonce is not None and expected.nonce != found.nonce:
        yield Difference(address, "nonce", f"{expected.nonce}", f"{found.nonce}")
    if expected.code is not None and expected.code.data != found.code:
        yield Difference(address, "code", _format_bytes(expected.code.data), _format_bytes(found.code))
    if expected.storage is not None:
        slots = {int.from_bytes(key, "big"): int.from_bytes(word, "big") for key, word in world.slots(address).items()}
        for slot in sorted(expected.storage.keys() | slots.keys()):
            wanted, actual = expected.storage.get(slot, 0), slots.get(slot, 0)
            if wanted != actual:
                yield Difference(address, f"storage[{slot:#x}]", _format_word(wanted), _format_word(actual))


def _to_word(value: int) -> bytes:
    return value.to_bytes(_WORD_BYTES, "big")


def _format_bytes(data: bytes) -> str:
    return f"0x{data.hex()}" if data else "none"


def _format_word(value: int) -> str:
    return f"0x{value:0{_WORD_DIGITS}x}"
