"""Shrinking: the simplest try that breaks the same invariant, found by leaving out one thing after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from storagemod.explore.script import (
    Call,
    Ending,
    Place,
    Script,
    call_at,
    calls_in,
    decisions_in,
    replace_call,
    walk,
    with_reaction,
)
from storagemod.types import Value

_STEPS_MAX = 2_000
"""How many shorter or plainer scripts are run at most."""


def shrink(script: Script, breaks: Callable[[Script], bool], *, enough: Callable[[], bool] = lambda: False) -> Script:
    """Return the simplest script that is found by leaving out one thing after another.

    Args:
        script: A script that breaks an invariant.
        breaks: Whether a script still does.
        enough: Asked before each; if it returns true, the simplest one so far is returned.

    Returns:
        A script from which no single call or reaction can be left out, and no argument made plainer, unless shrinking
        was cut short. It has not more calls than the one given.
    """
    seen = {script}
    found = True
    while found:
        found = False
        for simpler in _simpler(script):
            if simpler in seen or not simpler:
                continue
            seen.add(simpler)
            if len(seen) > _STEPS_MAX + 1 or enough():
                return script
            if breaks(simpler):
                script, found = simpler, True
                break
    return script


def _simpler(script: Script) -> Iterator[Script]:
    """Yield scripts that are simpler by one thing, the shortest first."""
    shorter = [replace_call(script, path, None) for path, _ in walk(script)]
    shorter += list(_hoisted(script))
    shorter += list(_tamer(script))
    yield from sorted(shorter, key=lambda each: (calls_in(each), decisions_in(each)))
    for path, call in walk(script):
        for value in _plainer(call.value):
            yield replace_call(script, path, attrs.evolve(call, value=int(value)))
        for number, value in enumerate(call.args):
            for plainer in _plainer(value):
                args = (*call.args[:number], plainer, *call.args[number + 1 :])
                yield replace_call(script, path, attrs.evolve(call, args=args))


def _hoisted(script: Script) -> Iterator[Script]:
    """Yield scripts with a call back in the place of the call during which it is made."""
    for path, call in walk(script):
        for reaction in call.reactions:
            for inner in reaction.calls:
                yield replace_call(script, path, attrs.evolve(inner, sender=call.sender))


def _tamer(script: Script) -> Iterator[Script]:
    """Yield scripts with a reaction that does less."""
    for path, call in walk(script):
        for position, reaction in enumerate(call.reactions):
            if reaction.calls:
                yield _reacting(script, path, position, calls=())
            if reaction.ending is not Ending.RETURN:
                yield _reacting(script, path, position, ending=Ending.RETURN, beneficiary=None)
            if reaction.values is not None or reaction.output:
                yield _reacting(script, path, position, values=None, output=b"")
            if reaction.is_default:  # its place may not be needed
                kept = (*call.reactions[:position], *call.reactions[position + 1 :])
                yield replace_call(script, path, attrs.evolve(call, reactions=kept))


def _reacting(script: Script, path: Place, position: int, **changes: object) -> Script:
    call: Call = call_at(script, path)
    reaction = attrs.evolve(call.reactions[position], **changes)  # type: ignore[arg-type]
    return replace_call(script, path, with_reaction(call, position, reaction))


def _plainer(value: Value) -> list[Value]:
    """Return numbers that are easier to read, the easiest first."""
    if isinstance(value, float):
        return [] if value in {0.0, 1.0} else [0.0, 1.0]
    plain = [0, 1, *([value // 10, value // 2] if value > 1 else [])]
    return [each for each in dict.fromkeys(plain) if abs(each) < abs(value)]
