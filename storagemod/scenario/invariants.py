"""Invariants: expressions over storage, balances and calls that must hold after transactions or at call boundaries.

Their language is documented in :mod:`storagemod.scenario.expressions`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Protocol

from attrs import field, frozen

from storagemod.errors import ScenarioError, StateError, ValidationError, one_line
from storagemod.scenario.boundaries import Boundary, boundaries
from storagemod.scenario.check import Difference
from storagemod.scenario.expressions import DIGITS_MAX, Node, Reading, UnansweredError, read_expression
from storagemod.scenario.schema import InvariantSpec, Scenario
from storagemod.trace import Trace
from storagemod.types import Address, ReentryPolicy
from storagemod.world import World

_LEAVES_SHOWN = 12


@frozen
class Verdict:
    """Whether an invariant holds, and if not, the values of its parts.

    ``unanswered``: a part has no value, for example because a call in it failed.
    """

    holds: bool
    why: tuple[str, ...] = ()
    unanswered: bool = False


@frozen(eq=False)
class Invariant:
    """Invariant of a scenario, parsed.

    Attributes:
        name: Name in messages.
        text: The expression.
        at: ``end``: it must hold after each transaction; ``boundaries``: at the start and end of each call, too.
        file: The file that it stands in.
        line: Its line there.
        callees: The accounts whose methods it calls.
    """

    name: str
    text: str
    at: str
    file: str
    line: int | None
    callees: frozenset[Address]
    _test: Node = field(repr=False)
    _before: tuple[Node, ...] = field(repr=False)

    def capture(self, world: World) -> tuple[Any, ...]:
        """Evaluate the parts in ``before(...)``; pass the values to :meth:`check` after the transaction.

        Raises:
            ScenarioError: The expression names something that does not exist.
        """
        return tuple(self._value(node, Reading(world, ())) for node in self._before)

    def check(self, world: World, before: Sequence[Any] = ()) -> Verdict:
        """Check whether it holds in a world.

        Raises:
            ScenarioError: The expression names a region or a method that does not exist.
        """
        reading = Reading(world, before)
        value = self._value(self._test, reading)
        if value is True:
            return Verdict(True)
        leaves = list(dict.fromkeys(f"{text} = {_number(leaf)}" for text, leaf in reading.leaves))
        if len(leaves) > _LEAVES_SHOWN:
            leaves[_LEAVES_SHOWN:] = [f"… and {len(leaves) - _LEAVES_SHOWN} more"]
        if isinstance(value, UnansweredError):
            return Verdict(False, (*leaves, value.message), unanswered=True)
        return Verdict(False, tuple(leaves))

    def refused(self, world: World, active: Collection[Address]) -> bool:
        """Check whether re-entry policies would refuse one of its calls while these contracts are active."""
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
            raise ScenarioError(
                f'invariant "{one_line(self.name)}": {error.message}',
                path=self.file,
                line=self.line,
                cause=error,
                hint=error.hint,
            ) from error


def invariants_of(scenario: Scenario) -> tuple[Invariant, ...]:
    """Parse the invariants of a scenario.

    Raises:
        ScenarioError: An expression is not in the language, or names an unknown account.
    """
    return tuple(
        parse_invariant(spec, scenario, place=scenario.place(("invariants", number, "expr")))
        for number, spec in enumerate(scenario.invariants)
    )


def parse_invariant(
    spec: InvariantSpec | str, scenario: Scenario, *, place: tuple[str, int | None] | None = None
) -> Invariant:
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
    return Invariant(
        name=spec.title,
        text=" ".join(spec.expr.split()),
        at=spec.at,
        line=line,
        callees=expression.callees,
        file=file,
        test=expression.test,
        before=expression.before,
    )


@frozen
class Violation:
    """An invariant that does not hold.

    Attributes:
        invariant: Its name.
        why: The values of its parts.
        boundary: The call boundary; ``None`` for the end of the transaction.
    """

    invariant: str
    why: tuple[str, ...]
    boundary: Boundary | None = None


class BoundaryInvariant(Protocol):
    """Invariant that can be checked at call boundaries: an expression here, or a Python function in `explore`."""

    @property
    def name(self) -> str:
        """Name in messages."""

    def check(self, world: World, before: Sequence[Any] = ()) -> Verdict:
        """Check whether it holds."""

    def refused(self, world: World, active: Collection[Address]) -> bool:
        """Check whether one of its calls would be refused while these contracts are active."""


def violations_at_boundaries(
    invariants: Sequence[BoundaryInvariant], befores: Sequence[Sequence[object]], trace: Trace, world: World
) -> list[Violation]:
    """Check invariants at each boundary of a transaction that was not committed; report each of them once.

    An invariant is not violated if a call in it fails at a boundary: a contract that calls there gets no wrong answer.
    It is not checked where re-entry policies refuse its calls.
    """
    found: dict[str, Violation] = {}
    for boundary in boundaries(trace, world):
        left = [each for each in zip(invariants, befores, strict=True) if each[0].name not in found]
        if not left:
            break
        with world.snapshot():
            try:
                boundary.apply(world)
            except StateError:  # the state includes a contract that was created within the transaction
                continue
            for invariant, before in left:
                if not invariant.refused(world, boundary.active):
                    verdict = invariant.check(world, before)
                    if not verdict.holds and not verdict.unanswered:
                        found[invariant.name] = Violation(invariant.name, verdict.why, boundary)
    return list(found.values())


class InvariantCheck:
    """Checks a scenario's invariants around one transaction: :meth:`begin` before, :meth:`differences` after it."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self._world = world
        self._scenario = scenario
        self._invariants = invariants_of(scenario)
        self._befores: list[tuple[Any, ...]] = []
        self._at_boundaries: dict[str, Violation] = {}

    def begin(self, rehearse: Callable[[], Trace | None]) -> None:
        """Evaluate the parts in ``before(...)``, and check call boundaries in a rehearsal of the transaction.

        Args:
            rehearse: Runs the transaction without committing it; called only if an invariant is about boundaries.

        Raises:
            ScenarioError: An invariant names something that does not exist.
            StorageModError: The transaction cannot start.
        """
        self._befores = [invariant.capture(self._world) for invariant in self._invariants]
        wanted = [pair for pair in zip(self._invariants, self._befores, strict=True) if pair[0].at == "boundaries"]
        if not wanted:
            return
        trace = rehearse()
        if trace is None:
            raise ScenarioError(
                "an invariant is about call boundaries, and the world keeps no traces",
                path=wanted[0][0].file,
                line=wanted[0][0].line,
                hint="run it with mediated calls, in a world that traces",
            )
        invariants, befores = [each for each, _ in wanted], [before for _, before in wanted]
        found = violations_at_boundaries(invariants, befores, trace, self._world)
        self._at_boundaries = {violation.invariant: violation for violation in found}

    def differences(self) -> Iterator[Difference]:
        """Yield the invariants that do not hold, in the order of the file."""
        for invariant, before in zip(self._invariants, self._befores, strict=True):
            violation = self._at_boundaries.get(invariant.name)
            where = ""
            if violation is None:
                verdict = invariant.check(self._world, before)
                if verdict.holds:
                    continue
                violation = Violation(invariant.name, verdict.why)
            elif violation.boundary is not None:
                where = f" at the {violation.boundary.moment} of call {violation.boundary.call_id}"
            found = "; ".join(violation.why) or "it does not hold"
            yield Difference(
                f'invariant "{invariant.name}"{where}', invariant.text, found, invariant.line, invariant.file
            )


def _number(value: Any) -> str:
    return str(value) if not isinstance(value, int) or value.bit_length() <= 4 * DIGITS_MAX else "a very long number"
