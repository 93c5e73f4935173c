"""Real worlds do what the model says, under every linking option, and where they did not, it would be noticed."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
)

from storagemod.types import Address, ReentryPolicy

from . import strategies
from .agreement import OPTIONS, PUPPETS, SideBySide

SETTINGS = settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False
)


class Histories(RuleBasedStateMachine):
    """Histories of a world: transactions, calls that leave nothing, snapshots, and what is done from outside."""

    options: tuple[str, ...] = OPTIONS
    spare = False
    both: SideBySide

    @initialize(policies=st.tuples(*[strategies.policies] * len(PUPPETS)))
    def begin(self, policies: tuple[ReentryPolicy, ...]) -> None:
        self.both = SideBySide.with_puppets(policies, self.options, spare=self.spare)

    @rule(
        data=st.data(),
        to=strategies.accounts,
        sender=st.none() | strategies.accounts,
        value=strategies.values,
        commit=st.sampled_from([True, True, True, False]),
    )
    def transact(self, data: st.DataObject, to: Address, sender: Address | None, value: int, commit: bool) -> None:
        script = data.draw(strategies.scripts(spare=self.spare), label="script")
        self.both.transact(to, script, sender=sender, value=value, commit=commit)
