"""The stories of the demo: what is run in each, and what there is to say about it.

What a story tells in numbers is taken from what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

from storagemod.events import StorageWritten
from storagemod.report import WordNames
from storagemod.scenario.fixtures import fixture
from storagemod.trace import CallRecord, Trace
from storagemod.types import MAP_OPTIONS, Address, ReentryPolicy
from storagemod.world import Receipt, World

GAS = 1_000_000

MALLORY, ALICE = 0, 1  # their numbers at the bank
DEPOSITS = {MALLORY: 100, ALICE: 500}
TIMES_BACK = 2

EXCHANGE, BUYER = 0, 1  # their accounts at the token
TOKENS, TOKENS_SENT, CREDIT_PRICE = 50, 10, 3

_AT_BANK, _AT_MALLORY = Address(1), Address(2)
_AT_TOKEN, _AT_EXCHANGE = Address(1), Address(2)

_TOTAL = 0x0  # where a word of storage stands, in bytes
_BANK_NAMES: WordNames = {
    (_AT_BANK, "memory", _TOTAL): "total",
    (_AT_BANK, "memory", 0x40): "Mallory's balance",
    (_AT_MALLORY, "memory", 0x0): "loot",
    (_AT_MALLORY, "memory", 0x8): "times to go back",
}
_TOKEN_NAMES: WordNames = {
    (_AT_TOKEN, "memory", 0x40): "the exchange's balance",
    (_AT_TOKEN, "memory", 0x48): "the buyer's balance",
    (_AT_EXCHANGE, "memory", 0x0): "reserve",
    (_AT_EXCHANGE, "memory", 0x48): "the buyer's credits",
}


@frozen
class Ending:
    """How a story ended: the transaction to show, what to say of it, and a few words for the table."""

    receipt: Receipt
    told: str
    result: str
    state_root: bytes


@frozen
class Story:
    """One story: it can be told under any linking option."""

    title: str
    told: str
    names: WordNames
    run: Callable[[str], Ending]


@frozen
class _Robbery:
    """Mallory's attack on a bank: its receipt, the world after it, what she has then, and what the bank has left."""

    receipt: Receipt
    world: World
    loot: int
    left: int


def _deploy(world: World, contract: str, option: str, address: Address, **arguments: Any) -> None:
    mapping = option if option in MAP_OPTIONS else None
    world.deploy(fixture(contract, option), address=address, mapping=mapping, **arguments)


def _rob(bank: str, policy: ReentryPolicy, option: str) -> _Robbery:
    world = World()
    _deploy(world, bank, option, _AT_BANK, name="bank", links={"customer": _AT_MALLORY}, policy=policy)
    _deploy(world, "bank/attacker", option, _AT_MALLORY, name="mallory", links={"bank": _AT_BANK})
    for who, amount in DEPOSITS.items():
        world.transact(_AT_BANK, "deposit", who, amount).raise_for_error()
    receipt = world.transact(_AT_MALLORY, "attack", MALLORY, TIMES_BACK, gas=GAS)
    loot = _number(world.call(_AT_MALLORY, "loot"))
    return _Robbery(receipt, world, loot, sum(DEPOSITS.values()) - loot)


def _faulty(option: str) -> Ending:
    robbery = _rob("bank/bank", ReentryPolicy.ALLOW, option)
    found = ", ".join(f"{number:,}" for number in _found(trace_of(robbery.receipt).root, _AT_BANK, _TOTAL))
    told = (
        "Every `withdraw` found Mallory's balance untouched, because those around it had not written yet, and paid it "
        f"out: {robbery.loot} in all. The bank has {robbery.left} left and owes Alice {DEPOSITS[ALICE]}. Yet no write "
        f"was lost: on the way back each call found in the total what the one inside it had left, {found}. Had each "
        "worked on a copy of its own, the last to write would have won, and the total would say "
        f"{sum(DEPOSITS.values()) - DEPOSITS[MALLORY]}."
    )
    result = f"paid {robbery.loot} for {DEPOSITS[MALLORY]}"
    return Ending(robbery.receipt, told, result, robbery.world.state_root)


def _mended(option: str) -> Ending:
    robbery = _rob("bank/bank_fixed", ReentryPolicy.ALLOW, option)
    told = (
        "The second `withdraw`, deep inside the first, found the 0 that the first had just written to the storage they "
        f"share, and paid nothing. Mallory got {robbery.loot}, and the bank has the {robbery.left} that it owes Alice."
    )
    return Ending(robbery.receipt, told, f"paid {robbery.loot}", robbery.world.state_root)


def _closed(option: str) -> Ending:
    robbery = _rob("bank/bank", ReentryPolicy.DENY, option)
    told = (
        "The refusal failed Mallory's `receive`, which does not catch failures. A call that traps uses up the gas that "
        "it was given, and what it had written is undone. The bank learnt that its payment was not taken, and went on. "
        f"Mallory got {robbery.loot}; all {robbery.left} are still there."
    )
    return Ending(robbery.receipt, told, f"paid {robbery.loot}", robbery.world.state_root)


def _swap(option: str) -> Ending:
    world = World()
    _deploy(world, "token/token", option, _AT_TOKEN, name="token", links={"exchange": _AT_EXCHANGE})
    _deploy(world, "exchange/exchange", option, _AT_EXCHANGE, name="exchange", links={"token": _AT_TOKEN})
    world.transact(_AT_TOKEN, "mint", BUYER, TOKENS).raise_for_error()
    receipt = world.transact(_AT_TOKEN, "transfer", BUYER, EXCHANGE, TOKENS_SENT, gas=GAS)
    bought = _number(world.call(_AT_EXCHANGE, "credits_of", BUYER))
    told = (
        f"`balance_of` saw the {TOKENS_SENT} tokens of a transfer that was not over yet. The outer `transfer` reads "
        f"the buyer's balance last, and saw what the inner one had put there: {_number(receipt)}. The buyer has "
        f"{bought} credits. Here re-entry is no attack but how two contracts work together, and closing the token "
        "would break it."
    )
    return Ending(receipt, told, f"bought {bought} credits", world.state_root)


def _number(receipt: Receipt) -> int:
    """The one number that a method gave."""
    value = receipt.raise_for_error().value
    assert isinstance(value, int)  # noqa: S101 - the fixtures' getters give one i64
    return value


def trace_of(receipt: Receipt) -> Trace:
    """The trace of a transaction."""
    assert receipt.trace is not None  # noqa: S101 - a world traces unless told not to
    return receipt.trace


def _found(record: CallRecord, address: Address, offset: int) -> Iterator[int]:
    """What a call and its callees found in a word of storage when they changed it, in the order in which they did."""
    for step in record.steps:
        if isinstance(step, CallRecord):
            yield from _found(step, address, offset)
        elif isinstance(step, StorageWritten) and step.address == address:
            for change in step.changes:
                if change.offset == offset:
                    yield int.from_bytes(change.old[:8], "little", signed=True)


STORIES = (
    Story(
        "A bank with a fault",
        f"Mallory has {DEPOSITS[MALLORY]} in a bank, and Alice has {DEPOSITS[ALICE]}. The bank pays first and writes "
        "its books afterwards. Mallory is a contract that withdraws again whenever it is paid, "
        f"{TIMES_BACK} times at most.",
        _BANK_NAMES,
        _faulty,
    ),
    Story(
        "The bank, mended",
        "Now it writes its books first and pays afterwards. Nothing else is different.",
        _BANK_NAMES,
        _mended,
    ),
    Story(
        "The bank, closed while it works",
        "The faulty bank again, but deployed with the re-entry policy `deny`: nobody may call it while it is active.",
        _BANK_NAMES,
        _closed,
    ),
    Story(
        "A token and an exchange",
        f"A buyer sends {TOKENS_SENT} tokens to an exchange, where a credit costs {CREDIT_PRICE}. The token tells the "
        "exchange, which asks the token whether they have come, notes the credits, and sends one token of change back: "
        "two calls into a token that is in the middle of a transfer.",
        _TOKEN_NAMES,
        _swap,
    ),
)
