"""The comparison can fail: each model here is wrong about one rule, and found out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import attrs
import pytest

from storagemod.scenario import puppet
from storagemod.scenario.puppet import Operation, Script
from storagemod.types import Address, CallKind, ReentryPolicy

from . import known
from .agreement import SideBySide
from .histories import UNSHRUNK, Histories, run
from .kinds import TRACKERS, kind
from .reference import BALANCE_MAX, WASM_PAGE, Account, Call, Change, Failed, Log, Prediction, ReferenceWorld

KINDS = (kind("single", TRACKERS[0]), kind("single", TRACKERS[-1]))
"""One that protects pages, if any here does, and one that does not."""


class KeepsWhatAnUndoneCallWrote(ReferenceWorld):
    def _undo(self, accounts: defaultdict[Address, Account], logs: list[Log]) -> None:
        after = self.accounts
        super()._undo(accounts, logs)
        for address, account in self.accounts.items():
            account.regions = after[address].copy_regions()


class KeepsTheLengthThatAnUndoneCallGrew(ReferenceWorld):
    def _undo(self, accounts: defaultdict[Address, Account], logs: list[Log]) -> None:
        super()._undo(accounts, logs)
        for account in self.accounts.values():
            for region in account.regions.values():
                region.pages = len(region.memory) // WASM_PAGE


class ShrinksMemoryWhereACallIsUndone(ReferenceWorld):
    def _undo(self, accounts: defaultdict[Address, Account], logs: list[Log]) -> None:
        self.accounts, self.logs = accounts, logs


class KeepsTheValueThatAnUndoneCallMoved(ReferenceWorld):
    def _undo(self, accounts: defaultdict[Address, Account], logs: list[Log]) -> None:
        balances = {address: account.balance for address, account in self.accounts.items()}
        super()._undo(accounts, logs)
        for address, balance in balances.items():
            self.accounts[address].balance = balance


class KeepsTheLogsOfAnUndoneCall(ReferenceWorld):
    def _undo(self, accounts: defaultdict[Address, Account], logs: list[Log]) -> None:
        super()._undo(accounts, [*logs, *self.logs[len(logs) :]])


class CountsTheNonceOfAFailedTransaction(ReferenceWorld):
    """As Ethereum does."""

    def transact(
        self, to: Address, script: Script | bytes, *, sender: Address, value: int, commit: bool = True
    ) -> Prediction:
        prediction = super().transact(to, script, sender=sender, value=value, commit=commit)
        if prediction.outcome:
            self.accounts[sender].nonce += 1
        return prediction


class CommitsCallsThatCarryValue(ReferenceWorld):
    def transact(
        self, to: Address, script: Script | bytes, *, sender: Address, value: int, commit: bool = True
    ) -> Prediction:
        return super().transact(to, script, sender=sender, value=value, commit=commit or value > 0)


class LetsStaticCallsWrite(ReferenceWorld):
    def _bytes(self, call: Call, operation: Operation, offset: int, length: int) -> slice:
        return super()._bytes(attrs.evolve(call, static=False), operation, offset, length)

    def _end_interval(self, call: Call) -> None:
        super()._end_interval(attrs.evolve(call, static=False))


class LetsStaticCallsGrowStorage(ReferenceWorld):
    def _end_interval(self, call: Call) -> None:
        grown = any(
            len(region.memory) > len(call.storage_before[name].memory)
            for name, region in self.accounts[call.address].regions.items()
        )
        super()._end_interval(attrs.evolve(call, static=call.static and not grown))


class LetsStaticCallsEmitLogs(ReferenceWorld):
    def _step(self, call: Call, operation: Operation) -> None:
        if isinstance(operation, puppet.EmitLog):
            self.logs.append((call.address, operation.topics, operation.data))
        else:
            super()._step(call, operation)


class LetsStaticCallsSendValue(ReferenceWorld):
    def _call_out(self, call: Call, asked: puppet.Call) -> None:
        super()._call_out(call, attrs.evolve(asked, value=0) if call.static else asked)


class LetsCallsBelowAStaticOneWrite(ReferenceWorld):
    def _enter(self, call: Call) -> None:
        call.static = call.kind is CallKind.STATIC
        super()._enter(call)


class ForgetsThatThereAreHoles(ReferenceWorld):
    def _begin_interval(self, call: Call) -> None:
        super()._begin_interval(call)
        for region in call.storage_before.values():
            region.pages = len(region.memory) // WASM_PAGE


class TellsTheLengthWithoutTheHole(ReferenceWorld):
    def _access(self, call: Call, operation: Operation) -> None:
        if isinstance(operation, puppet.Size):
            region = self._region(call, operation)
            call.output += region.pages.to_bytes(4, "little")
        else:
            super()._access(call, operation)


class ForgetsThatCallsGrowStorage(ReferenceWorld):
    def _end_interval(self, call: Call) -> None:
        lengths = {name: region.pages for name, region in self.accounts[call.address].regions.items()}
        super()._end_interval(call)
        for name, pages in lengths.items():
            self.accounts[call.address].regions[name].pages = pages


class GrowsBeyondTheLimit(ReferenceWorld):
    def _grow(self, memory: bytearray, pages: int) -> int:
        if len(memory) // WASM_PAGE + pages == self.storage_pages_max + 1:
            memory.extend(bytes(pages * WASM_PAGE))
            return self.storage_pages_max + 1 - pages
        return super()._grow(memory, pages)


class LoadsOneByteTooFar(ReferenceWorld):
    def _bytes(self, call: Call, operation: Operation, offset: int, length: int) -> slice:
        return super()._bytes(call, operation, offset, length - 1 if length == 8 else length)


class GivesEachCallStorageOfItsOwn(ReferenceWorld):
    """The fault of storage that is copied into each call and written back at its end."""

    def _call_out(self, call: Call, asked: puppet.Call) -> None:
        before = self.accounts[call.address].copy_regions()
        super()._call_out(call, asked)
        if asked.kind is not CallKind.DELEGATE:
            self.accounts[call.address].regions = before


class RunsADelegateCallOnTheStorageOfItsCode(ReferenceWorld):
    def _enter(self, call: Call) -> None:
        call.address = call.code
        super()._enter(call)


class AsksTheCallerOfADelegateCall(ReferenceWorld):
    """As if it were an ordinary call of the account whose code it runs."""

    def _enter(self, call: Call) -> None:
        if call.kind is CallKind.DELEGATE and call.parent is not None:
            call.caller = call.parent.address
        super()._enter(call)


class ForgetsPolicies(ReferenceWorld):
    def _check_reentry(self, call: Call) -> None:
        pass


class TakesSelfOnlyForAllow(ReferenceWorld):
    def _check_reentry(self, call: Call) -> None:
        if self.accounts[call.address].policy is not ReentryPolicy.SELF_ONLY:
            super()._check_reentry(call)


class TakesStaticOnlyForDeny(ReferenceWorld):
    def _check_reentry(self, call: Call) -> None:
        if self.accounts[call.address].policy is ReentryPolicy.STATIC_ONLY:
            raise Failed
        super()._check_reentry(call)


class NestsOneCallDeeper(ReferenceWorld):
    def _enter(self, call: Call) -> None:
        self.call_depth_max += 1
        try:
            super()._enter(call)
        finally:
            self.call_depth_max -= 1


class PaysMoreThanABalanceCanBe(ReferenceWorld):
    def _transfer(self, payer: Address, payee: Address, value: int) -> None:
        room = BALANCE_MAX - self.accounts[payee].balance
        super()._transfer(payer, payee, min(value, room) if payer != payee else value)


class KeepsWorkingMemory(ReferenceWorld):
    """From one call of a puppet to the next one inside it."""

    def _enter(self, call: Call) -> None:
        if call.parent is not None and call.parent.code == call.code:
            call.own_memory = call.parent.own_memory
        super()._enter(call)


class TellsChangesOfOneByteLess(ReferenceWorld):
    def transact(
        self, to: Address, script: Script | bytes, *, sender: Address, value: int, commit: bool = True
    ) -> Prediction:
        prediction = super().transact(to, script, sender=sender, value=value, commit=commit)

        def cut(change: Change) -> Change:
            region, offset, old, new = change
            return region, offset, old[:-1], new[:-1]

        changes = {address: tuple(map(cut, runs)) for address, runs in prediction.changes.items()}
        return attrs.evolve(prediction, changes=changes)


class LoadsStorageOneByteLate(ReferenceWorld):
    def load_storage(self, address: Address, name: str, data: bytes, offset: int) -> None:
        super().load_storage(address, name, data, offset + 1)


class ForgetsWhatWasThereBeforeADeployment(ReferenceWorld):
    def deploy(self, address: Address, balance: int, policy: ReentryPolicy) -> None:
        self.accounts.pop(address, None)
        super().deploy(address, balance, policy)


BY_KNOWN_HISTORIES = {
    KeepsTheValueThatAnUndoneCallMoved: known.an_undone_call_leaves_nothing_behind,
    CommitsCallsThatCarryValue: known.a_failed_transaction_changes_not_even_a_nonce,
    LetsStaticCallsGrowStorage: known.a_static_call_changes_nothing,
    LetsStaticCallsEmitLogs: known.a_static_call_changes_nothing,
    LetsStaticCallsSendValue: known.a_static_call_that_sends_value_fails_itself,
    LetsCallsBelowAStaticOneWrite: known.a_static_call_passes_its_staticness_on,
    TellsTheLengthWithoutTheHole: known.an_undone_growth_leaves_a_hole_until_storage_grows_again,
    AsksTheCallerOfADelegateCall: known.a_delegate_call_has_the_caller_and_the_value_of_its_caller,
    TakesSelfOnlyForAllow: known.a_policy_decides_who_may_call_back,
    TakesStaticOnlyForDeny: known.a_policy_decides_who_may_call_back,
    NestsOneCallDeeper: known.calls_nest_to_the_limit,
    PaysMoreThanABalanceCanBe: known.no_balance_exceeds_what_it_can_be,
    KeepsWorkingMemory: known.each_call_has_working_memory_of_its_own,
    ForgetsWhatWasThereBeforeADeployment: known.what_an_account_holds_before_a_deployment_stays_its_own,
}
"""These mutants random histories find out too, but not every time."""

BY_RANDOM_HISTORIES = [
    mutant
    for mutant in ReferenceWorld.__subclasses__()
    if mutant.__module__ == __name__ and mutant not in BY_KNOWN_HISTORIES
]

_DISAGREEMENT = (
    f"^({'|'.join(kind.name for kind in KINDS)})(: 0x[0-9a-f]+)?: "
    "(outcome|output|logs|changes|nonce|balance|code|regions|length of|bytes of)"
)


@pytest.mark.parametrize("mutant", BY_RANDOM_HISTORIES, ids=lambda mutant: mutant.__name__)
def test_random_histories_find_out_a_model_that_is_wrong(mutant: type[ReferenceWorld]) -> None:
    class HistoriesOfAMutant(Histories):
        kinds = KINDS
        model = mutant

    with pytest.raises(AssertionError, match=_DISAGREEMENT):
        run(HistoriesOfAMutant, UNSHRUNK)


@pytest.mark.parametrize(
    ("mutant", "history"), BY_KNOWN_HISTORIES.items(), ids=[mutant.__name__ for mutant in BY_KNOWN_HISTORIES]
)
def test_known_histories_find_out_a_model_that_is_wrong(
    mutant: type[ReferenceWorld], history: Callable[[SideBySide], None]
) -> None:
    with SideBySide.with_puppets(kinds=KINDS) as both:
        history(both)
    with pytest.raises(AssertionError, match=_DISAGREEMENT), SideBySide.with_puppets(kinds=KINDS, model=mutant) as both:
        history(both)
