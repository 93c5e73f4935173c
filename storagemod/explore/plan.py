"""The plan of a search: the world that trials start from, and the invariants, as data for other processes."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Collection, Sequence
from typing import Any

from attrs import define, field, frozen

from storagemod.errors import ValidationError, shown
from storagemod.explore.attacker import Attacker
from storagemod.scenario import Scenario, invariants_of
from storagemod.scenario.invariants import Invariant, Verdict
from storagemod.state import Account
from storagemod.types import Address, ReentryPolicy, StorageMapping
from storagemod.world import World

GAS = 10_000_000
"""The gas of one transaction of a try, if no other is asked for: a tenth of a second of wasm at most."""


@frozen
class AccountPlan:
    """One account, and its storage as offsets and bytes by region, each with its length in bytes."""

    address: Address
    name: str | None
    balance: int
    nonce: int
    code: bytes
    links: tuple[tuple[str, Address], ...]
    policy: ReentryPolicy
    mapping: StorageMapping | None
    link: str | None
    regions: tuple[tuple[str, int, tuple[tuple[int, bytes], ...]], ...]


@frozen
class Blueprint:
    """All accounts of a world between transactions."""

    accounts: tuple[AccountPlan, ...]

    @classmethod
    def of(cls, world: World) -> Blueprint:
        """Return the blueprint of a world as it is now."""
        return cls(tuple(_plan(world, address, account) for address, account in world.accounts().items()))

    def build(self, *, tracker: str | None = None) -> World:
        """Build a world from it.

        Raises:
            StorageModError: A contract does not fit here: its linking option does not work on this machine.
        """
        world = World(tracker=tracker, recording=True)
        self.fill(world)
        return world

    def fill(self, world: World, *, without: Collection[Address] = ()) -> None:
        """Add the accounts to a world, but for some of them.

        Raises:
            StorageModError: As :meth:`build`.
        """
        accounts = [plan for plan in self.accounts if plan.address not in without]
        for plan in accounts:
            if plan.code:
                world.deploy(
                    plan.code,
                    address=plan.address,
                    links=dict(plan.links),
                    policy=plan.policy,
                    mapping=plan.mapping,
                    link=plan.link,
                    name=plan.name,
                )
        for plan in accounts:  # now the deployer's nonce, too, is what it is to be
            world.set_account(plan.address, nonce=plan.nonce, balance=plan.balance, name=plan.name)
            for region, length, runs in plan.regions:
                if length > len(world.storage(plan.address)[region]):
                    world.load_storage(plan.address, region, b"\0", offset=length - 1)
                for offset, data in runs:
                    world.load_storage(plan.address, region, data, offset=offset)


def _plan(world: World, address: Address, account: Account) -> AccountPlan:
    regions = world.storage(address).items() if account.code else ()
    return AccountPlan(
        address=address,
        name=account.name,
        balance=account.balance,
        nonce=account.nonce,
        code=account.code,
        links=tuple(sorted(account.links.items())),
        policy=account.policy,
        mapping=account.mapping,
        link=account.link,
        regions=tuple((name, len(view), tuple(view.data())) for name, view in regions if len(view)),
    )


@frozen
class PythonInvariant:
    """A Python function of a world that gives whether all is well, or raises an ``AssertionError`` where it is not."""

    name: str
    function: Callable[[World], object]
    at: str = "end"

    @property
    def text(self) -> str:
        """The function, by name."""
        return f"{getattr(self.function, '__name__', 'a function')}(world)"

    def capture(self, world: World) -> tuple[Any, ...]:  # noqa: ARG002 - a rule of expressions needs it
        """Return nothing: a function sees one state."""
        return ()

    def check(self, world: World, before: Sequence[Any] = ()) -> Verdict:  # noqa: ARG002
        """Call the function."""
        try:
            answer = self.function(world)
        except AssertionError as error:
            return Verdict(False, (str(error) or "AssertionError",))
        if not isinstance(answer, bool) and answer is not None:
            raise ValidationError(f"the invariant {self.name!r} gives True, False or None, not {shown(answer)}")
        return Verdict(answer is not False)

    def refused(self, world: World, active: Any) -> bool:  # noqa: ARG002
        """Return ``False``: a function is always called."""
        return False


@frozen(eq=False)
class Plan:
    """World that trials start from, and the invariants.

    Attributes:
        scenario: The file, for its names and invariants.
        blueprint: The world, attackers deployed.
        attackers: Who is untrusted.
        functions: Invariants that are Python functions.
        everywhere: Whether all invariants are checked at callouts as well: while untrusted code has control.
        gas: The gas of each transaction.
        tracker: How writes are found.
    """

    scenario: Scenario
    blueprint: Blueprint
    attackers: tuple[Attacker, ...]
    functions: tuple[PythonInvariant, ...] = ()
    everywhere: bool = False
    gas: int = GAS
    tracker: str | None = None

    def invariants(self) -> tuple[Invariant, ...]:
        """Return all invariants, those of the file first.

        Raises:
            ScenarioError: One cannot be understood.
        """
        return (*invariants_of(self.scenario), *self.functions)


@define(eq=False)
class Packed:
    """A plan on its way to another process, with a name by which that finds out whether it has it already."""

    data: bytes = field(repr=False)
    digest: str

    @classmethod
    def of(cls, plan: Plan) -> Packed:
        """Pack a plan.

        Raises:
            ValidationError: An invariant is a function that cannot be sent, such as one within another.
        """
        try:
            data = pickle.dumps(plan)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ValidationError(
                f"an invariant cannot be sent to another process: {error}",
                hint="functions at the top of a module can; or use one job",
            ) from error
        return cls(data, hashlib.sha256(data).hexdigest())

    def unpack(self) -> Plan:
        """Return the plan.

        Raises:
            ValidationError: An invariant is a function of a module that this process cannot import.
        """
        try:
            plan: Plan = pickle.loads(self.data)  # noqa: S301 - our own, handed on by the executor that runs us
        except (ImportError, AttributeError) as error:
            raise ValidationError(
                f"an invariant cannot be found by a worker: {error}",
                cause=error,
                hint="put its function into a module that can be imported by its name; or use one job",
            ) from error
        return plan
