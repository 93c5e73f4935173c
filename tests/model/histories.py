"""Random histories of a world, as a Hypothesis state machine: whatever happens to worlds, happens to the model too."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from storagemod.scenario.puppet import Script
from storagemod.types import Address, ReentryPolicy

from . import strategies
from .agreement import SideBySide
from .kinds import BYTEWISE_KINDS, KINDS, KINDS_WITH_SPARE, LATE, PUPPET_BALANCE, PUPPETS, SMALL_KINDS, Kind
from .reference import BALANCE_MAX, WASM_PAGE, ReferenceWorld

SNAPSHOTS_MAX = 3
"""Open at once."""

ORDINARY = settings(
    max_examples=40,
    stateful_step_count=25,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
"""Every run has the same histories, whatever model and worlds they happen to.

That is, as long as the code stays as it is: Hypothesis makes use of constants that it finds in loaded modules.
"""

UNSHRUNK = settings(
    ORDINARY, max_examples=2 * ORDINARY.max_examples, phases=[Phase.generate], report_multiple_bugs=False
)
"""For what has to fail, and does within the first few histories as a rule: twice as many make luck unnecessary."""


class Histories(RuleBasedStateMachine):
    """Transactions, calls that leave nothing, snapshots, and what is done from outside.

    ``SideBySide`` compares after each step, so there are no invariants here.
    """

    kinds: ClassVar[tuple[Kind, ...]] = KINDS
    spare: ClassVar[bool] = False
    small: ClassVar[bool] = False
    undone: ClassVar[int] = 2
    model: ClassVar[type[ReferenceWorld] | None] = None
    both: SideBySide

    @initialize(policies=strategies.policies_of_puppets)
    def begin(self, policies: tuple[ReentryPolicy, ...]) -> None:
        self.both = SideBySide.with_puppets(policies, self.kinds, spare=self.spare, model=self.model)

    @rule(data=st.data(), to=strategies.accounts)
    def transact(self, data: st.DataObject, to: Address) -> None:
        self.both.transact(to, self._script(data))

    @rule(data=st.data(), to=strategies.accounts, sender=strategies.senders, value=strategies.values)
    def pay(self, data: st.DataObject, to: Address, sender: Address | None, value: int) -> None:
        self.both.transact(to, self._script(data), sender=sender, value=value)

    @rule(data=st.data(), to=strategies.accounts, sender=strategies.senders, value=strategies.values)
    def call(self, data: st.DataObject, to: Address, sender: Address | None, value: int) -> None:
        self.both.transact(to, self._script(data), sender=sender, value=value, commit=False)

    @precondition(lambda self: not self.both.model.accounts[LATE].regions)
    @rule(balance=st.sampled_from([0, 1, PUPPET_BALANCE]), policy=strategies.policies)
    def deploy(self, balance: int, policy: ReentryPolicy) -> None:
        held = max(model.accounts[LATE].balance for model in self.both.models.values())  # which stays its own
        self.both.deploy(LATE, min(balance, BALANCE_MAX - held), policy)

    @rule(address=strategies.accounts, balance=strategies.balances)
    def fund(self, address: Address, balance: int) -> None:
        self.both.fund(address, balance)

    @rule(address=st.sampled_from([*PUPPETS, LATE]), loaded=strategies.loads, second=st.booleans())
    def load_storage(self, address: Address, loaded: tuple[int, bytes], second: bool) -> None:
        offset, data = loaded
        if self.small and offset + len(data) > WASM_PAGE:
            return
        if self.both.model.accounts[address].regions:
            self.both.load_storage(address, "spare" if self.spare and second else "memory", data, offset)

    @precondition(lambda self: self.both.open_snapshots < SNAPSHOTS_MAX)
    @rule()
    def begin_snapshot(self) -> None:
        self.both.begin_snapshot()

    @precondition(lambda self: self.both.open_snapshots)
    @rule(keep=st.booleans())
    def end_snapshot(self, keep: bool) -> None:
        self.both.end_snapshot(keep=keep)

    @precondition(lambda self: not self.both.open_snapshots)
    @rule()
    def reopen(self) -> None:
        self.both.reopen()

    def teardown(self) -> None:
        if hasattr(self, "both"):  # not where it could not even begin
            self.both.close()

    def _script(self, data: st.DataObject) -> Script:
        scripts = strategies.scripts(spare=self.spare, small=self.small, undone=self.undone)
        return data.draw(scripts, label="script")


class HistoriesWithSpare(Histories):
    """The same with puppets that have a second region, which is empty at first."""

    kinds = KINDS_WITH_SPARE
    spare = True


class HistoriesOfSmallStorage(Histories):
    """The same under the options whose preludes offer 64 KiB. Few places of it are used, so that copies meet."""

    kinds = SMALL_KINDS
    small = True


class HistoriesByBytes(Histories):
    """The same where lengths are counted in bytes, and end within a page."""

    kinds = BYTEWISE_KINDS
    spare = True
    undone = 40


def run(histories: type[Histories], settings: settings = ORDINARY) -> None:
    """Run a machine for as many examples as the settings say.

    Raises:
        AssertionError: A world did what its model did not foretell.
    """
    run_state_machine_as_test(histories, settings=settings)
