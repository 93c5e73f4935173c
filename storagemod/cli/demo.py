"""``storagemod demo``: what a storage module is for, told with four short stories."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import click
from attrs import frozen

from storagemod.cli.options import link_choice
from storagemod.cli.output import say, say_tree
from storagemod.linking import OPTIONS
from storagemod.report import render_table
from storagemod.scenario.fixtures import fixture
from storagemod.types import Address, ReentryPolicy
from storagemod.world import Receipt, World

WIDTH = 100
GAS = 1_000_000

MALLORY, ALICE = 0, 1  # their numbers at the bank
DEPOSITS = {MALLORY: 100, ALICE: 500}
TIMES_BACK = 2

EXCHANGE, BUYER = 0, 1  # their accounts at the token
TOKENS, PRICE_PAID = 50, 10

_INTRODUCTION = """\
A contract here keeps its storage in a Wasm module of its own, the storage module. It is generated from what the
contract imports, instantiated once in a transaction, and imported by every call of that contract, however deep. So a
contract that is called back while it is still running sees what its earlier calls wrote, and they see what it writes.
Four stories show what that means.

In the trees each line is a call, `[gas] contract::method(arguments)`, or what a call wrote to its own storage,
`memory[offset] found -> left`, in the order in which it happened. `re-entry 2` says that two calls of that contract
were running already, and `←` how a call ended.
"""


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
    run: Callable[[str], Ending]


@click.command("demo")
@click.option(
    "--link", type=link_choice, help="Tell all under this linking option only (default: compare all of them)."
)
def demo_command(link: str | None) -> int:
    """See contracts call one another back, and what each call saw and wrote.

    Runs a bank that can be robbed and its robber, the same bank mended, and a token and an exchange.
    """
    shown = OPTIONS[0].name if link is None else link
    compared = [option for option in OPTIONS if link in (None, option.name)]
    say("storagemod: storage as a Wasm module, shared by re-entrant calls\n", "bold")
    for paragraph in _INTRODUCTION.split("\n\n"):
        _tell(paragraph)
    rows: list[tuple[str | int, ...]] = []
    for number, story in enumerate(STORIES, 1):
        endings = {option.name: story.run(option.name) for option in compared}
        _show(number, story, endings[shown])
        for name, ending in endings.items():
            title = "" if rows and rows[-1][1] != compared[-1].name else story.title  # once for all options
            rows.append((title, name, ending.result, ending.receipt.gas_used, ending.state_root.hex()[:8]))
    say(f"The stories under {'every linking option' if link is None else f'the linking option {link}'}\n", "bold")
    for option in compared:
        _tell(f"{option.name}: {option.summary}.", end="")
    say()
    say(render_table(("story", "linking", "outcome", "gas", "state root"), rows))
    say()
    _tell(
        "The state root is a digest of all accounts and storage: where it is the same, nothing that lasts differs. "
        "Next: `storagemod inspect bank/bank` shows a contract's imports and its storage module, and `storagemod run` "
        "runs scenarios of your own.",
        end="",
    )
    return 0


def _show(number: int, story: Story, ending: Ending) -> None:
    say(f"{number}. {story.title}\n", "bold")
    _tell(story.told)
    assert ending.receipt.trace is not None  # noqa: S101 - a world traces unless told not to
    say_tree(ending.receipt.trace, verbosity=4, indent="  ")
    say()
    _tell(ending.told)


def _tell(text: str, end: str = "\n") -> None:
    say(textwrap.fill(text, WIDTH, break_on_hyphens=False) + "\n", end=end)


def _rob(bank: str, policy: ReentryPolicy, option: str) -> tuple[Receipt, World, int, int]:
    """Let Mallory attack a bank; the receipt, the world, what Mallory has then, and what the bank has left."""
    world = World()
    at_bank, at_mallory = Address(1), Address(2)
    world.deploy(fixture(bank, option), address=at_bank, name="bank", links={"customer": at_mallory}, policy=policy)
    world.deploy(fixture("bank/attacker", option), address=at_mallory, name="mallory", links={"bank": at_bank})
    for who, amount in DEPOSITS.items():
        world.transact(at_bank, "deposit", who, amount).raise_for_error()
    receipt = world.transact(at_mallory, "attack", MALLORY, TIMES_BACK, gas=GAS)
    loot = _number(world.call(at_mallory, "loot"))
    return receipt, world, loot, sum(DEPOSITS.values()) - loot


def _faulty(option: str) -> Ending:
    receipt, world, loot, left = _rob("bank/bank", ReentryPolicy.ALLOW, option)
    told = (
        f"Every withdrawal found the balance of {DEPOSITS[MALLORY]} untouched, because none had written yet, and paid "
        f"it out: {loot} in all. The bank has {left} left and owes Alice {DEPOSITS[ALICE]}."
    )
    return Ending(receipt, told, f"robbed: paid {loot} for {DEPOSITS[MALLORY]}", world.state_root)


def _mended(option: str) -> Ending:
    receipt, world, loot, left = _rob("bank/bank_fixed", ReentryPolicy.ALLOW, option)
    told = (
        "The second withdrawal, deep inside the first, found the 0 that the first had just written to the storage they "
        f"share, and paid nothing. Mallory got {loot}, and the bank has the {left} that it owes Alice."
    )
    return Ending(receipt, told, f"safe: paid {loot}", world.state_root)


def _closed(option: str) -> Ending:
    receipt, world, loot, left = _rob("bank/bank", ReentryPolicy.DENY, option)
    told = (
        "The refusal failed Mallory's `receive`. That used up its gas, and what it had written is undone. The bank "
        f"learnt that its payment was not taken, and went on. Mallory got {loot}; all {left} are still there."
    )
    return Ending(receipt, told, f"safe: paid {loot}", world.state_root)


def _swap(option: str) -> Ending:
    world = World()
    token, exchange = Address(1), Address(2)
    world.deploy(fixture("token/token", option), address=token, name="token", links={"exchange": exchange})
    world.deploy(fixture("exchange/exchange", option), address=exchange, name="exchange", links={"token": token})
    world.transact(token, "mint", BUYER, TOKENS).raise_for_error()
    receipt = world.transact(token, "transfer", BUYER, EXCHANGE, PRICE_PAID, gas=GAS)
    credits_bought = _number(world.call(exchange, "credits_of", BUYER))
    told = (
        f"`balance_of` saw the {PRICE_PAID} tokens of a transfer that was not over yet. The outer `transfer`, which "
        f"gives what the buyer has in the end, {_number(receipt)}, saw the change that the inner one sent. The buyer "
        f"has {credits_bought} credits."
    )
    return Ending(receipt, told, f"bought {credits_bought} credits", world.state_root)


def _number(receipt: Receipt) -> int:
    """The one number that a method gave."""
    value = receipt.raise_for_error().value
    assert isinstance(value, int)  # noqa: S101 - the fixtures' getters give one i64
    return value


STORIES = (
    Story(
        "A bank with a fault",
        f"Mallory has {DEPOSITS[MALLORY]} in a bank, and Alice has {DEPOSITS[ALICE]}. The bank pays first and writes "
        "its books afterwards: the total at 0x0, Mallory's balance at 0x40. Mallory is a contract that withdraws again "
        f"whenever it is paid, {TIMES_BACK} times at most.",
        _faulty,
    ),
    Story(
        "The bank, mended",
        "Now it writes its books first and pays afterwards. Nothing else is different.",
        _mended,
    ),
    Story(
        "The bank, closed while it works",
        "The faulty bank again, but deployed with the re-entry policy `deny`: nobody may call it while it is active.",
        _closed,
    ),
    Story(
        "A token and an exchange",
        f"A buyer sends {PRICE_PAID} tokens to an exchange, where a credit costs 3. The token tells the exchange, "
        "which asks the token whether they have come, notes the credits, and sends one token of change back: two "
        "calls into a token that is in the middle of a transfer.",
        _swap,
    ),
)
