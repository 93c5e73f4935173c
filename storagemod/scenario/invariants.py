"""Invariants: expressions over storage, balances and calls that must hold after transactions, or also within them.

Their language is documented in :mod:`storagemod.scenario.expressions`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from attrs import field, frozen

from storagemod.errors import ScenarioError, StateError, ValidationError, one_line
from storagemod.scenario.boundaries import Boundary, Moments, boundaries
from storagemod.scenario.check import Difference
from storagemod.scenario.expressions import (
    DIGITS_MAX,
    DestroyedError,
    Node,
    Reading,
    UnansweredError,
    read_expression,
)
from storagemod.scenario.schema import InvariantSpec, Scenario
from storagemod.scenario.trust import trust_model_of
from storagemod.trace import Trace
from storagemod.types import Address, ReentryPolicy
from storagemod.world import World

_LEAVES_SHOWN = 12


@frozen
class Verdict:
    """Whether an invariant holds, and if not, the values of its parts.

    Attributes:
        holds: Whether it holds.
        why: The values of its parts, if it does not hold.
        unanswered: Whether a part has no value, for example because a call in it failed.
        is_destroyed: Whether that is so because a contract of the file was destroyed.
    """

    holds: bool
    why: tuple[str, ...] = ()
    unanswered: bool = False
    is_destroyed: bool = False


class Invariant(Protocol):
    """Invariant that can be checked: an expression of a scenario, or a Python function in `explore`."""

    @property
    def name(self) -> str:
        """Name in messages."""

    @property
    def text(self) -> str:
        """The expression, or the name of the function."""

    @property
    def at(self) -> str:
        """When it must hold, one of :class:`storagemod.scenario.boundaries.Moments`."""

    def capture(self, world: World) -> tuple[Any, ...]:
        """Return the values that it needs from before a transaction."""

    def check(self, world: World, before: Sequence[Any] = ()) -> Verdict:
        """Check whether it holds."""

    def refused(self, world: World, active: Collection[Address]) -> bool:
        """Check whether one of its calls would be refused while these contracts are active."""


@frozen(eq=False)
class ExpressionInvariant:
    """ExpressionInvariant of a scenario, parsed.

    Attributes:
        name: Name in messages.
        text: The expression.
        at: When it must hold, one of :class:`storagemod.scenario.boundaries.Moments`.
        file: The file that it stands in.
        line: Its line there.
        callees: The accounts whose methods it calls.
        accounts: The accounts that it is about: whose storage, balance or methods it reads.
        balances: The accounts whose balances it reads itself, and not by calls.
        storages: The accounts whose storage it reads itself.
    """

    name: str
    text: str
    at: str
    file: str
    line: int | None
    callees: frozenset[Address]
    accounts: frozenset[Address]
    balances: frozenset[Address]
    storages: frozenset[Address]
    _test: Node = field(repr=False)
    _before: tuple[Node, ...] = field(repr=False)

    def capture(self, world: World, *, ran: set[Address] | None = None) -> tuple[Any, ...]:
        """Evaluate the parts in ``before(...)``; pass the values to :meth:`check` after the transaction.

        Args:
            world: The world.
            ran: If given, the accounts whose code or storage calls ran are added. The world has to keep traces then.

        Raises:
            ScenarioError: The expression names something that does not exist.
        """
        reading = Reading(world, (), ran=ran)  # one for all, so that they are bounded together
        return tuple(self._value(node, reading) for node in self._before)

    def check(
        self,
        world: World,
        before: Sequence[Any] = (),
        boundary: Boundary | None = None,
        *,
        ran: set[Address] | None = None,
    ) -> Verdict:
        """Check whether it holds in a world.

        Args:
            world: The world.
            before: The values of the parts in ``before(...)``.
            boundary: A call boundary of a transaction that would start from this world, if it is to be checked there.
                Only an invariant without ``callees`` can be: calls would run in the world as it is.
            ran: As for :meth:`capture`.

        Raises:
            ScenarioError: The expression names a region or a method that does not exist, or takes more than is
                allowed. Or a part of it has no value in any state.
        """
        assert boundary is None or not self.callees  # noqa: S101 - a mistake of ours
        reading = Reading(world, before, boundary, ran=ran)
        value = self._value(self._test, reading)
        if value is True:
            return Verdict(True)
        leaves = list(dict.fromkeys(f"{text} = {_number(leaf)}" for text, leaf in reading.leaves))
        if len(leaves) > _LEAVES_SHOWN:
            leaves[_LEAVES_SHOWN:] = [f"… and {len(leaves) - _LEAVES_SHOWN} more"]
        if isinstance(value, UnansweredError):
            is_destroyed = isinstance(value, DestroyedError)
            return Verdict(False, (*leaves, value.message), unanswered=True, is_destroyed=is_destroyed)
        return Verdict(False, tuple(leaves))

    def refused(self, world: World, active: Collection[Address]) -> bool:
        """Check whether re-entry policies would refuse one of its calls while these contracts are active."""
        if not self.callees:
            return False
        closed = {ReentryPolicy.DENY, ReentryPolicy.SELF_ONLY}
        return any(world.account(address).policy in closed for address in self.callees & set(active))

    def _value(self, node: Node, reading: Reading) -> Any:
        try:
            return node(reading)
        except UnansweredError as error:
            return error
        except RecursionError as error:
            raise ScenarioError("the expression is nested too deep", path=self.file, line=self.line) from error
        except (StateError, ValidationError) as error:
            raise self.mistake(error.message, cause=error, hint=error.hint) from error

    def mistake(self, message: str, *, cause: Exception | None = None, hint: str | None = None) -> ScenarioError:
        """Return the error of an invariant that is a mistake in the file, with its line."""
        message = f'invariant "{one_line(self.name)}": {message}'
        return ScenarioError(message, path=self.file, line=self.line, cause=cause, hint=hint)


def invariants_of(scenario: Scenario) -> tuple[ExpressionInvariant, ...]:
    """Parse the invariants of a scenario.

    Raises:
        ScenarioError: An expression is not in the language, names an unknown account, or has no value in any state.
    """
    return tuple(
        parse_invariant(spec, scenario, place=scenario.place(("invariants", number, "expr")))
        for number, spec in enumerate(scenario.invariants)
    )


def parse_invariant(
    spec: InvariantSpec | str, scenario: Scenario, *, place: tuple[str, int | None] | None = None
) -> ExpressionInvariant:
    """Parse one invariant.

    Args:
        spec: The invariant of a file, or the expression alone.
        scenario: The scenario, whose accounts and contracts the expression may name.
        place: Its file and its line there; by default no line of the scenario's file.

    Raises:
        ScenarioError: As :func:`invariants_of`.
    """
    if isinstance(spec, str):
        spec = InvariantSpec(expr=spec)
    file, line = place or (scenario.path, None)
    try:
        expression = read_expression(spec.expr, scenario.addresses, scenario.contracts)
    except ValidationError as error:
        raise ScenarioError(f"not an invariant: {error.message}", path=file, line=line, hint=error.hint) from error
    return ExpressionInvariant(
        name=spec.title,
        text=" ".join(spec.expr.split()),
        at=spec.at,
        line=line,
        callees=expression.callees,
        accounts=expression.accounts,
        balances=expression.balances,
        storages=expression.storages,
        file=file,
        test=expression.test,
        before=expression.before,
    )


@frozen
class BoundaryViolation:
    """An invariant that does not hold within a transaction.

    Attributes:
        invariant: Its name.
        why: The values of its parts.
        boundary: The call boundary.
    """

    invariant: str
    why: tuple[str, ...]
    boundary: Boundary


def violations_at_boundaries(
    invariants: Sequence[Invariant],
    befores: Sequence[Sequence[object]],
    trace: Trace,
    world: World,
    untrusted: Collection[Address] = (),
    *,
    at: Moments | None = None,
) -> list[BoundaryViolation]:
    """Check invariants at moments within a transaction that was not committed; report each of them once.

    An invariant is not violated if a part of it has no value at a boundary: a contract that calls there gets no wrong
    answer. It is not checked where re-entry policies refuse its calls.

    Args:
        invariants: The invariants.
        befores: The values of their parts in ``before(...)``.
        trace: The trace of the transaction.
        world: The world as it was before the transaction, which is as it was afterwards.
        untrusted: The accounts whose code is not trusted, for callouts.
        at: When all of them must hold at least; by default each when it says.

    Raises:
        ScenarioError: As :meth:`ExpressionInvariant.check`.
    """
    return list(_violations(invariants, befores, trace, world, untrusted, at).values())


def _violations(
    invariants: Sequence[Invariant],
    befores: Sequence[Sequence[object]],
    trace: Trace,
    world: World,
    untrusted: Collection[Address],
    at: Moments | None = None,
) -> dict[int, BoundaryViolation]:
    """Return the violations by the position of the invariant: names may be given twice."""
    moments = [_moments(each, at) for each in invariants]
    everything = zip(range(len(invariants)), invariants, befores, moments, strict=True)
    watched = [each for each in everything if each[3] is not Moments.END]
    callouts_only = all(when is Moments.CALLOUTS for *_, when in watched)
    found: dict[int, BoundaryViolation] = {}
    if not watched or (callouts_only and not untrusted):
        return found
    known: set[tuple[int, int]] = set()
    for boundary in boundaries(trace, world, untrusted, callouts_only=callouts_only):
        with ExitStack() as applied:
            is_applied = False
            for position, invariant, before, when in watched:
                if position in found:
                    continue
                if when is Moments.CALLOUTS and not _matters(
                    invariant, boundary.entered, is_callout=boundary.is_callout
                ):
                    continue
                if (position, boundary.state) in known or invariant.refused(world, boundary.active):
                    continue
                known.add((position, boundary.state))
                if isinstance(invariant, ExpressionInvariant) and not invariant.callees:
                    verdict = invariant.check(world, before, boundary)
                else:  # something runs there
                    if not is_applied:
                        applied.enter_context(world.snapshot())
                        boundary.apply(world)
                        is_applied = True
                    verdict = invariant.check(world, before)
                if not verdict.holds and not verdict.unanswered:
                    found[position] = BoundaryViolation(invariant.name, verdict.why, boundary)
        if len(found) == len(watched):
            break
    return found


def _moments(invariant: Invariant, at: Moments | None) -> Moments:
    """Return when an invariant must hold: when it says, or at more moments if that is asked for."""
    order = list(Moments)
    return max(Moments(invariant.at), at or Moments.END, key=order.index)


def _matters(invariant: Invariant, entered: frozenset[Address], *, is_callout: bool) -> bool:
    """Check whether code that is not trusted has control, and could make use of an invariant that does not hold.

    Who is told something wrong by a method can make use of it. Storage and balances are of use to nobody but the
    contracts themselves: one of them has to be called in this state, and act.
    """
    if isinstance(invariant, ExpressionInvariant):
        return is_callout if invariant.callees else not invariant.accounts.isdisjoint(entered)
    return bool(entered)


class InvariantCheck:
    """Checks a scenario's invariants around one transaction: :meth:`begin` before, :meth:`differences` after it."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self._world = world
        self._scenario = scenario
        self._invariants = invariants_of(scenario)
        self._befores: list[tuple[Any, ...]] = []
        self._within: dict[int, BoundaryViolation] = {}

    def begin(self, rehearse: Callable[[], Trace | None]) -> None:
        """Evaluate the parts in ``before(...)``, and check call boundaries in a rehearsal of the transaction.

        Args:
            rehearse: Runs the transaction without committing it; called only if an invariant is about moments within.

        Raises:
            ScenarioError: An invariant names something that does not exist.
            StorageModError: The transaction cannot start.
        """
        self._befores = [invariant.capture(self._world) for invariant in self._invariants]
        untrusted = trust_model_of(self._scenario).untrusted_addresses
        wanted = [
            each for each in self._invariants if each.at == Moments.BOUNDARIES or (each.at != "end" and untrusted)
        ]
        if not wanted:
            return
        trace = rehearse()
        if trace is None:
            raise ScenarioError(
                f"an invariant is about {wanted[0].at}, and the world keeps no traces",
                path=wanted[0].file,
                line=wanted[0].line,
                hint="run it with mediated calls, in a world that traces",
            )
        self._within = _violations(self._invariants, self._befores, trace, self._world, untrusted)

    def differences(self) -> Iterator[Difference]:
        """Yield the invariants that do not hold, in the order of the file."""
        for position, (invariant, before) in enumerate(zip(self._invariants, self._befores, strict=True)):
            violation = self._within.get(position)
            if violation is None:
                verdict = invariant.check(self._world, before)
                if verdict.holds:
                    continue
                where, why = "", verdict.why
            else:
                where, why = f" at the {violation.boundary.moment} of call {violation.boundary.call_id}", violation.why
            found = "; ".join(why) or "it does not hold"
            yield Difference(
                f'invariant "{invariant.name}"{where}', invariant.text, found, invariant.line, invariant.file
            )


def _number(value: Any) -> str:
    return str(value) if not isinstance(value, int) or value.bit_length() <= 4 * DIGITS_MAX else "a very long number"
