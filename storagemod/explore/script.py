"""A try as data: transactions, and at each call out to an untrusted account what that account does.

The tree of a try is nested like its calls. A :class:`Call` has the :class:`Reaction` of each untrusted account that is
called while it runs, in the order in which they happen. A reaction has the calls that it makes.
What is left out at the end does nothing: it returns zeros.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from attrs import field, frozen

from storagemod.types import Address, Value

MAIN = "main"


class Ending(enum.IntEnum):
    """How a reaction ends, after its calls."""

    RETURN = 0
    REVERT = 1
    TRAP = 2
    DESTROY = 3
    """It destroys itself, and its balance goes to the beneficiary."""


@frozen(cache_hash=True)
class Call:
    """A call of an entry point: a transaction at the top of a try, else one that an untrusted account makes.

    Numbers are told apart by their text: Python gives -1 and -2 one hash, and takes 0.0 and -0.0 for equal.

    Attributes:
        contract: Whom.
        method: Which, or ``None`` for ``main`` with ``data``.
        args: Its arguments.
        data: Call data.
        value: What is sent with it; typed calls of contracts carry none.
        sender: Who sends a transaction; for calls within it, whoever reacts.
        reactions: What untrusted accounts do while it runs.
    """

    contract: Address
    method: str | None
    args: tuple[Value, ...] = field(default=(), eq=repr)
    data: bytes = field(default=b"", repr=lambda data: data.hex())
    value: int = field(default=0, eq=repr)
    sender: Address | None = None
    reactions: tuple[Reaction, ...] = ()

    def with_reactions(self, reactions: tuple[Reaction, ...]) -> Call:
        """Return the call with other reactions. Made for each candidate: ``attrs.evolve`` takes ten times as long."""
        return Call(self.contract, self.method, self.args, self.data, self.value, self.sender, reactions)

    def alone(self) -> Call:
        """Return the call without its sender and reactions."""
        return Call(self.contract, self.method, self.args, self.data, self.value)

    def sent_by(self, sender: Address) -> Call:
        """Return the call as a transaction of a sender."""
        return Call(self.contract, self.method, self.args, self.data, self.value, sender, self.reactions)


@frozen(cache_hash=True)
class Reaction:
    """What an untrusted account does when it is called.

    Attributes:
        account: Which.
        site: The method that was called, or ``main``.
        static: Whether in a static call; then it makes no calls, which could change nothing.
        calls: What it calls, one after the other; failures are ignored.
        ending: How it ends then.
        values: What it returns; zeros if not given.
        output: The return data of `main`.
        beneficiary: Who gets its balance when it destroys itself.
    """

    account: Address
    site: str
    static: bool = False
    calls: tuple[Call, ...] = ()
    ending: Ending = Ending.RETURN
    values: tuple[Value, ...] | None = field(default=None, eq=repr)
    output: bytes = field(default=b"", repr=lambda data: data.hex())
    beneficiary: Address | None = None

    @property
    def is_default(self) -> bool:
        """Whether it does nothing."""
        return not self.calls and self.is_plain

    @property
    def is_plain(self) -> bool:
        """Whether it ends by returning zeros and no data."""
        return self.ending is Ending.RETURN and self.values is None and not self.output

    def with_calls(self, calls: tuple[Call, ...]) -> Reaction:
        """Return the reaction with other calls."""
        return Reaction(
            self.account, self.site, self.static, calls, self.ending, self.values, self.output, self.beneficiary
        )


Script: TypeAlias = tuple[Call, ...]
"""A try: transactions, one after the other."""

Place: TypeAlias = tuple[int, ...]
"""A place in a script: the number of a call, of a reaction to it, of a call in that, and so on."""


def calls_in(script: Script) -> int:
    """Count the calls of a script."""
    count = len(script)
    for call in script:
        for reaction in call.reactions:
            if reaction.calls:
                count += calls_in(reaction.calls)
    return count


def decisions_in(script: Script) -> int:
    """Count the calls, and the reactions that end otherwise than by returning zeros."""
    return calls_in(script) + sum(not each.is_plain for _, call in walk(script) for each in call.reactions)


def depth_of(script: Script) -> int:
    """Return how deep calls are nested within reactions: 0 where no reaction calls back."""
    deepest = 0
    for call in script:
        for reaction in call.reactions:
            if reaction.calls:
                deepest = max(deepest, 1 + depth_of(reaction.calls))
    return deepest


def walk(script: Script, start: Place = ()) -> Iterator[tuple[Place, Call]]:
    """Yield every call with its path, each before those within it."""
    for number, call in enumerate(script):
        path = (*start, number)
        yield path, call
        for position, reaction in enumerate(call.reactions):
            yield from walk(reaction.calls, (*path, position))


def call_at(script: Script, path: Place) -> Call:
    """Return the call at a path of odd length."""
    call = script[path[0]]
    for reaction, number in zip(path[1::2], path[2::2], strict=True):
        call = call.reactions[reaction].calls[number]
    return call


def replace_call(script: Script, path: Place, new: Call | None) -> Script:
    """Return the script with another call at a path, or without it."""
    number, rest = path[0], path[1:]
    if rest:
        old = script[number]
        reaction = old.reactions[rest[0]]
        inner = replace_call(reaction.calls, rest[1:], new)
        new = with_reaction(old, rest[0], reaction.with_calls(inner))
    return (*script[:number], *(() if new is None else (new,)), *script[number + 1 :])


def with_reaction(call: Call, position: int, reaction: Reaction) -> Call:
    """Return the call with another reaction at a position; reactions at the end that do nothing are left out."""
    reactions = [*call.reactions[:position], reaction, *call.reactions[position + 1 :]]
    while reactions and reactions[-1].is_default:
        reactions.pop()
    return call.with_reactions(tuple(reactions))


def describe(script: Script, labels: Mapping[Address, str]) -> list[str]:
    """Describe a script, a line for each call and reaction."""
    lines: list[str] = []

    def add_calls(calls: Script, level: int) -> None:
        for call in calls:
            sender = "" if call.sender is None else f"{_label(call.sender, labels)} sends "
            lines.append("  " * level + sender + title(call, labels))
            for reaction in call.reactions:
                add_reaction(reaction, level + 1)

    def add_reaction(reaction: Reaction, level: int) -> None:
        ending = {Ending.REVERT: "reverts", Ending.TRAP: "traps"}.get(reaction.ending)
        if reaction.beneficiary is not None:
            ending = f"destroys itself in favour of {_label(reaction.beneficiary, labels)}"
        if reaction.values is not None:
            ending = f"returns {', '.join(map(repr, reaction.values))}"
        elif reaction.output:
            ending = f"returns 0x{reaction.output.hex()}"
        does = [*(["calls back"] if reaction.calls else []), *([ending] if ending else [])] or ["does nothing"]
        static = " in a static call" if reaction.static else ""
        who = f"{_label(reaction.account, labels)}::{reaction.site}"
        lines.append("  " * level + f"{who}, called{static}, {' and '.join(does)}")
        add_calls(reaction.calls, level + 1)

    add_calls(script, 0)
    return lines


def title(call: Call, labels: Mapping[Address, str]) -> str:
    """Describe a call in a few words."""
    args = ", ".join(map(repr, call.args)) if call.method is not None else f"0x{call.data.hex()}" if call.data else ""
    value = f"{{value: {call.value}}}" if call.value else ""
    return f"{_label(call.contract, labels)}::{call.method or MAIN}{value}({args})"


def _label(address: Address, labels: Mapping[Address, str]) -> str:
    return labels.get(address) or str(address)
