"""What a search takes over from earlier ones, and leaves to later ones.

Scripts from files are data from outside. Each is checked against the scenario before it is run, and one that does not
fit is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import define, field, frozen

from storagemod.errors import StateError, StorageModError
from storagemod.explore.attacker import DATA_BYTES_MAX, Attacker, EntryPoint
from storagemod.explore.saved import Saved
from storagemod.explore.script import MAIN, Call, Ending, Place, Reaction, Script, calls_in, depth_of
from storagemod.explore.search import Found, Told
from storagemod.explore.trial import Breach
from storagemod.types import Address, Value, ValueType
from storagemod.vm.ethereum import U128_MAX


@frozen
class Fit:
    """What scripts may name: only those that a search could have made are run.

    Attributes:
        attackers: The untrusted accounts.
        senders: Who sends transactions.
        calls: The most calls of a try.
        depth: How deep calls back are nested at most.
    """

    attackers: tuple[Attacker, ...]
    senders: tuple[Address, ...]
    calls: int
    depth: int
    _points: Mapping[tuple[Address, str | None], EntryPoint] = field(init=False, repr=False)

    @_points.default
    def _entry_points(self) -> Mapping[tuple[Address, str | None], EntryPoint]:
        return {(each.contract, each.method): each for each in self.attackers[0].entry_points}

    def problem(self, script: Script) -> str | None:
        """Return why a script does not fit, ``None`` if it does."""
        if not script:
            return "it has no transaction"
        if calls_in(script) > self.calls + 1:  # an accomplice is one call and one level more
            return f"it has {calls_in(script)} calls (--calls)"
        if depth_of(script) > self.depth + 1:
            return f"its calls back are {depth_of(script)} deep (--depth)"
        return next(self._problems(script), None)

    def _problems(self, script: Script) -> Iterator[str]:
        for call in script:
            if call.sender not in self.senders:
                yield f"{call.sender} is not untrusted"
            yield from self._of_call(call)

    def _of_call(self, call: Call) -> Iterator[str]:
        point = self._points.get((call.contract, call.method))
        own = call.method is None and any(each.account == call.contract for each in self.attackers)
        if point is None and not own:
            yield f"no contract at {call.contract} has a method {call.method or MAIN} to call"
        elif not _suits(call.args, () if point is None or point.method is None else point.type.params):
            yield f"{call.method or MAIN} takes other arguments"
        elif not 0 <= call.value <= U128_MAX:
            yield "it sends an amount that is out of range"
        yield from _too_long(call.data)
        for reaction in call.reactions:
            yield from self._of_reaction(reaction)

    def _of_reaction(self, reaction: Reaction) -> Iterator[str]:
        attacker = next((each for each in self.attackers if each.account == reaction.account), None)
        if attacker is None or (reaction.site != MAIN and reaction.site not in attacker.hooks):
            yield f"nobody untrusted is called at {reaction.account} by {reaction.site}"
            return
        results = () if reaction.site == MAIN else attacker.hooks[reaction.site].results
        if reaction.values is not None and not _suits(reaction.values, results):
            yield f"{reaction.site} has other results"
        if (reaction.ending is Ending.DESTROY) != (reaction.beneficiary is not None) or (
            reaction.output and reaction.site != MAIN
        ):
            yield "its reactions are inconsistent"
        yield from _too_long(reaction.output)
        for call in reaction.calls:
            if call.sender is not None or (call.method is not None and call.value):
                yield "a call back has a sender of its own, or a typed one sends money"
            yield from self._of_call(call)


def _too_long(data: bytes) -> Iterator[str]:
    if len(data) > DATA_BYTES_MAX:
        yield f"expected at most {DATA_BYTES_MAX:,} bytes of call data, got {len(data):,}"


def _suits(values: Sequence[Value], types: Sequence[ValueType]) -> bool:
    return len(values) == len(types) and all(map(_is_of, values, types))


def _is_of(value: Value, kind: ValueType) -> bool:
    if kind not in {"i32", "i64"}:
        return isinstance(value, float)
    bits = 32 if kind == "i32" else 64
    return isinstance(value, int) and -(1 << (bits - 1)) <= value < 1 << bits


@frozen
class Replayed:
    """What became of a known attack.

    Attributes:
        invariant: What it broke.
        script: The attack, empty where it cannot be read.
        status: ``breaks it``, ``mended``, ``does not fit``, or ``not run`` where the time was over.
        why: Why it does not fit.
    """

    invariant: str
    script: Script
    status: str
    why: str = ""


@frozen
class Kept:
    """What a search kept, and what became of what was kept before.

    Attributes:
        replayed: What became of the attacks that were known.
        resumed: How many tries of an earlier search were gone on from; ``None`` if none was to be.
        unfit: How many saved tries do not fit the scenario as it is now, and were left out.
        saved: The files that keep what was found.
        unsaved: Why that could not be saved.
    """

    replayed: tuple[Replayed, ...] = ()
    resumed: int | None = None
    unfit: int = 0
    saved: tuple[Path, ...] = ()
    unsaved: StorageModError | None = None


@define(eq=False)
class Keeper:
    """Has a search run what was saved, and saves what it finds: attacks at once, all else at the end."""

    saved: Saved
    listener: Told | None
    attacks: list[tuple[str, Script]] = field(factory=list)
    tries: list[tuple[Script, Place]] = field(factory=list)
    misfits: list[Replayed] = field(factory=list)
    unfit: int = 0

    def sort(self, fit: Fit, names: Sequence[str], *, resume: bool) -> None:
        """Find out what can be run."""
        for each in self.saved.attacks:
            if each.script is None:
                why: str | None = "it is no script"
            else:
                unknown = each.invariant not in names
                why = "the scenario has no such invariant" if unknown else fit.problem(each.script)
            if why is None and each.script is not None:
                self.attacks.append((each.invariant, each.script))
            else:
                self.misfits.append(Replayed(each.invariant, each.script or (), "does not fit", why or ""))
        if resume:
            self.tries = [each for each in self.saved.corpus if fit.problem(each[0]) is None]
            self.unfit = self.saved.unread + len(self.saved.corpus) - len(self.tries)

    def told(self, breach: Breach, script: Script, needs_callback: bool) -> None:
        """Save an attack as soon as it is found, whatever becomes of the search; an error comes up at the end."""
        if self.saved.add(breach.invariant, script):
            with suppress(StateError):
                self.saved.write_attacks()
        if self.listener is not None:
            self.listener(breach, script, needs_callback)

    def keep(self, found: Found, *, resume: bool) -> Kept:
        """Save what was found; return that, and what became of what was known."""
        replayed = [
            Replayed(name, script, "not run" if stands is None else "breaks it" if stands else "mended")
            for (name, script), stands in zip(self.attacks, found.recalled, strict=True)
        ]
        for violation in found.violations:
            self.saved.add(violation.invariant, violation.script, instead=violation.found)
        files: list[Path] = []
        unsaved: StorageModError | None = None
        try:
            written = self.saved.write_attacks()
            files += [] if written is None else [written]
            files.append(self.saved.write_corpus(found.corpus, resumed=resume))
        except StateError as error:
            unsaved = error
        return Kept(
            (*replayed, *self.misfits),
            len(self.tries) if resume else None,
            self.unfit + found.unfit,
            tuple(files),
            unsaved,
        )
