"""The comparison can fail for keyed and mapped storage, too: each model here is wrong about one rule, and found out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import attrs
import pytest

from storagemod.scenario.puppet import Call as CallOut
from storagemod.scenario.puppet import Load, Operation, Script, Store
from storagemod.trace import Hazard, HazardDetector, HazardKind
from storagemod.types import Address, StorageMapping

from . import known_small
from .agreement import SideBySide
from .histories import UNSHRUNK, HistoriesOfSmallStorage, run
from .kinds import PUPPETS, SMALL, TRACKERS, Kind, all_small_kinds, small_kind
from .linked import (
    Aliased,
    AliasedExclusively,
    CopiedAtCalls,
    CopiedAtEnds,
    CopiedByRevision,
    CopiedWhole,
    Exclusive,
    Guarded,
    Keyed,
    Mixed,
    Paged,
    PagedExclusively,
    SmallStorage,
    Stale,
    Window,
)
from .reference import PAGE, WASM_PAGE, WRITES, Account, Call, Failed, Log, ReferenceWorld, Region


class SharesStorageAtOnce(CopiedAtEnds):
    """As if there were no copies."""

    def _region(self, call: Call, operation: Operation) -> Region:
        return ReferenceWorld._region(self, call, operation)


class CopiesWhatACallAboveHoldsBack(CopiedAtEnds):
    def _region(self, call: Call, operation: Operation) -> Region:
        first = call.copy is None
        region = super()._region(call, operation)
        above = call.parent
        if first and above is not None and above.address == call.address and above.copy is not None:
            region.memory[:] = above.copy
        return region


class CopiesStorageWhenACallBegins(CopiedAtEnds):
    def _run(self, call: Call) -> None:
        self._region(call, Load(0))
        super()._run(call)


class RefreshesStaleCopies(CopiedAtEnds):
    def _resume(self, call: Call) -> None:
        if call.copy is not None:
            for at, byte in enumerate(self._storage(call)):
                if call.copy[at] == call.copied[at] != byte:
                    call.copy[at] = byte
            call.copied = self._storage(call)


class WritesBackBeforeCallsOnly(CopiedAtEnds):
    def _suspend(self, call: Call) -> None:
        super()._finish(call)


class WritesWholePagesAtTheEnd(CopiedAtEnds):
    def _write_bytes(self, call: Call, copy: bytearray, page: int) -> None:
        self._write_page(call, copy, page)


class WritesWholeWordsAtTheEnd(CopiedAtEnds):
    def _write_bytes(self, call: Call, copy: bytearray, page: int) -> None:
        memory = self.accounts[call.address].regions["memory"].memory
        for at in range(page, page + PAGE, 8):
            if copy[at : at + 8] != call.copied[at : at + 8]:
                memory[at : at + 8] = copy[at : at + 8]


class WritesEverythingAtTheEnd(CopiedAtEnds):
    def _mapping(self, call: Call) -> StorageMapping:  # noqa: ARG002 - whatever it says
        return CopiedWhole.mapping


class LosesNothing(CopiedAtEnds):
    def _finish(self, call: Call) -> None:
        super()._finish(call)
        self.lost.clear()


class WritesOnlyWhatChanged(CopiedWhole):
    def _mapping(self, call: Call) -> StorageMapping:  # noqa: ARG002 - whatever it says
        return CopiedAtEnds.mapping


class WritesNothingWhereNothingChanged(CopiedWhole):
    def _write_back(self, call: Call, copy: bytearray) -> None:
        if copy != call.copied:
            super()._write_back(call, copy)


class ForgetsToWriteBeforeACall(CopiedAtCalls):
    def _suspend(self, call: Call) -> None:
        pass


class ForgetsToWriteBeforeADelegateCall(CopiedAtCalls):
    """The fault of a flush that is left out on one kind of call."""

    def _call_out(self, call: Call, asked: CallOut) -> None:
        copy, call.copy = call.copy, call.copy if asked.kind != "callDelegate" else None
        try:
            super()._call_out(call, asked)
        finally:
            call.copy = copy


class ForgetsToRefreshAfterACall(CopiedAtCalls):
    def _resume(self, call: Call) -> None:
        if call.copy is not None:
            call.copied = self._storage(call)


class RefreshesTheCallerOnly(CopiedAtCalls):
    """And no other ancestor of the same contract."""

    def _call_out(self, call: Call, asked: CallOut) -> None:
        before = call.copy
        call.copy = None if before is None else bytearray(before)
        super()._call_out(call, asked)
        if before is not None and asked.address != call.address:
            call.copy, call.copied = before, bytes(before)


class LetsStaticCallsWriteCopies(CopiedAtCalls):
    def _end_interval(self, call: Call) -> None:
        super()._end_interval(attrs.evolve(call, static=False))


class StopsWritesToCopiesInStaticCalls(Paged):
    def _bytes(self, call: Call, operation: Operation, offset: int, length: int) -> slice:
        if call.static and isinstance(operation, WRITES) and length:
            raise Failed
        return super()._bytes(call, operation, offset, length)


class JudgesStaticCallsThatRevert(Paged):
    def _run(self, call: Call) -> None:
        try:
            super()._run(call)
        except Exception:
            if call.static and call.copy is not None and call.copy != call.copied:
                raise Failed from None
            raise


class GrowsByOnePage(Paged):
    def _access(self, call: Call, operation: Operation) -> None:
        ReferenceWorld._access(self, call, operation)


class LosesUpdatesAllTheSame(CopiedByRevision):
    def _check_revision(self, call: Call, copy: bytearray) -> None:
        pass


class ComparesByteByByte(CopiedByRevision):
    """As if it were enough that no byte was written by both."""

    def _check_revision(self, call: Call, copy: bytearray) -> None:
        if any(own != old != now for own, old, now in zip(copy, call.copied, self._storage(call), strict=True)):
            raise Failed


class RefusesCopiesThatAreMerelyOld(CopiedByRevision):
    def _check_revision(self, call: Call, copy: bytearray) -> None:
        if call.copied != self._storage(call):
            raise Failed
        super()._check_revision(call, copy)


class ChecksCallsThatRevert(CopiedByRevision):
    def _run(self, call: Call) -> None:
        try:
            super()._run(call)
        except Exception:
            if call.copy is not None:
                self._check_revision(call, call.copy)
            raise


class CountsWhatWasUndone(CopiedByRevision):
    """As if a revision were a number that nobody puts back."""

    def _call_out(self, call: Call, asked: CallOut) -> None:
        super()._call_out(call, asked)
        if call.copy is not None and asked.address == call.address and call.output[-8:-4] != bytes(4):
            call.copied = bytes([call.copied[0] ^ 1]) + call.copied[1:]


class LooksAtTheCallerOnly(PagedExclusively):
    def _excludes(self, *calls: Call) -> bool:
        return calls[0] is calls[1].parent and super()._excludes(*calls)


class LetsStaticCallsShare(PagedExclusively):
    def _excludes(self, *calls: Call) -> bool:
        return not calls[1].static and super()._excludes(*calls)


class LetsDelegateCallsShare(AliasedExclusively):
    def _excludes(self, *calls: Call) -> bool:
        return calls[1].kind != "callDelegate" and super()._excludes(*calls)


class HoldsWhatACallThatEndedHeld(AliasedExclusively):
    def _call_out(self, call: Call, asked: CallOut) -> None:
        super()._call_out(call, asked)
        call.holds |= asked.address == call.address


class HoldsFromTheStart(PagedExclusively):
    def _run(self, call: Call) -> None:
        self._region(call, Load(0))
        super()._run(call)


class TheNewcomerAloneExcludes(Guarded):
    def _excludes(self, *calls: Call) -> bool:
        return super()._excludes(calls[1])


class TheHolderAloneExcludes(Guarded):
    def _excludes(self, *calls: Call) -> bool:
        return super()._excludes(calls[0])


class TakesTheMappingOfTheStorage(Mixed):
    """In a delegate call, rather than that of the code."""

    def _mapping(self, call: Call) -> StorageMapping:
        return self.mapping_at(call.address)


class LetsKeyedStorageBeLonger(Keyed):
    def _bytes(self, call: Call, operation: Operation, offset: int, length: int) -> slice:
        return super()._bytes(call, operation, offset % WASM_PAGE if length == 8 else offset, length)


class FindsStaticWritesOfKeysAfterwards(Keyed):
    def _bytes(self, call: Call, operation: Operation, offset: int, length: int) -> slice:
        return super()._bytes(attrs.evolve(call, static=False), operation, offset, length)


class FindsStaticWritesOfPagesAfterwards(Aliased):
    def _bytes(self, call: Call, operation: Operation, offset: int, length: int) -> slice:
        return super()._bytes(attrs.evolve(call, static=False), operation, offset, length)


class LosesWhatAReentryWrote(Window):
    """As if each call had a window of its own."""

    def _call_out(self, call: Call, asked: CallOut) -> None:
        before = self._storage(call)
        super()._call_out(call, asked)
        self.accounts[call.address].regions["memory"].memory[:8] = before[:8]


class KeepsWhatAFailedCallWrote(Window):
    def _undo(self, accounts: defaultdict[Address, Account], logs: list[Log]) -> None:
        written = {address: account.copy_regions() for address, account in self.accounts.items()}
        super()._undo(accounts, logs)
        for address, regions in written.items():
            self.accounts[address].regions = regions


class ShowsNothingOfWhatACallAboveWrote(Aliased):
    def _run(self, call: Call) -> None:
        if call.parent is not None and call.parent.address == call.address:
            self.accounts[call.address].regions["memory"].memory[:8] = bytes(8)
        super()._run(call)


BY_KNOWN_HISTORIES: dict[type[SmallStorage], Callable[[SideBySide, str], None]] = {
    SharesStorageAtOnce: known_small.a_delegate_call_has_a_copy_of_its_own,
    CopiesWhatACallAboveHoldsBack: known_small.a_reentry_sees_what_was_written_where_copies_are_in_line,
    CopiesStorageWhenACallBegins: known_small.storage_is_copied_when_it_is_first_used,
    RefreshesStaleCopies: known_small.a_copy_that_was_not_changed_is_written_back_under_none,
    WritesBackBeforeCallsOnly: known_small.a_reentry_sees_what_was_written_where_copies_are_in_line,
    WritesWholePagesAtTheEnd: known_small.bytes_that_two_calls_wrote_side_by_side_are_all_kept_but_under_none,
    WritesWholeWordsAtTheEnd: known_small.bytes_that_two_calls_wrote_side_by_side_are_all_kept_but_under_none,
    WritesEverythingAtTheEnd: known_small.a_copy_that_was_not_changed_is_written_back_under_none,
    LosesNothing: known_small.a_reentry_sees_what_was_written_where_copies_are_in_line,
    WritesOnlyWhatChanged: known_small.a_copy_that_was_not_changed_is_written_back_under_none,
    WritesNothingWhereNothingChanged: known_small.a_copy_that_was_not_changed_is_written_back_under_none,
    ForgetsToWriteBeforeADelegateCall: known_small.a_delegate_call_has_a_copy_of_its_own,
    ForgetsToRefreshAfterACall: known_small.a_reentry_sees_what_was_written_where_copies_are_in_line,
    RefreshesTheCallerOnly: known_small.a_copy_that_was_not_changed_is_written_back_under_none,
    JudgesStaticCallsThatRevert: known_small.a_static_call_may_not_end_or_call_with_a_copy_that_it_changed,
    TakesTheMappingOfTheStorage: lambda both, _: known_small.a_delegate_call_maps_storage_as_its_code_does(both),
    LosesUpdatesAllTheSame: known_small.bytes_that_two_calls_wrote_side_by_side_are_all_kept_but_under_none,
    ComparesByteByByte: known_small.bytes_that_two_calls_wrote_side_by_side_are_all_kept_but_under_none,
    RefusesCopiesThatAreMerelyOld: known_small.a_copy_that_was_not_changed_is_written_back_under_none,
    CountsWhatWasUndone: known_small.what_an_undone_call_made_of_its_copy_is_gone,
    LooksAtTheCallerOnly: known_small.a_call_above_the_caller_counts_as_much_as_the_caller,
    LetsDelegateCallsShare: known_small.a_delegate_call_has_a_copy_of_its_own,
    HoldsFromTheStart: known_small.calls_one_after_another_share_storage_whatever_excludes_them,
    TheNewcomerAloneExcludes: lambda both, _: known_small.of_two_calls_one_is_enough_to_exclude_the_other(both),
    TheHolderAloneExcludes: lambda both, _: known_small.of_two_calls_one_is_enough_to_exclude_the_other(both),
    GrowsByOnePage: known_small.storage_has_one_page_and_no_way_to_more,
}
"""These mutants random histories find out too, but not as quickly."""

BY_RANDOM_HISTORIES = [
    mutant
    for model in (
        *(CopiedAtEnds, CopiedWhole, CopiedByRevision, CopiedAtCalls, Paged, PagedExclusively, Mixed, Guarded),
        *(Keyed, Aliased, AliasedExclusively, Window),
    )
    for mutant in model.__subclasses__()
    if mutant.__module__ == __name__ and mutant not in BY_KNOWN_HISTORIES
]

_DISAGREEMENT = (
    "^[a-z]+, (keyed|paged|aliased|window|copied)(, [a-z]+)?(: 0x[0-9a-f]+)?: "
    "(outcome|output|logs|changes|lost updates|nonce|balance|code|regions|length of|bytes of)"
)


def name_of(model: type[SmallStorage]) -> str:
    """The option and policy that a model is of."""
    if issubclass(model, Mixed | Guarded):
        return "copied, mixed" if issubclass(model, Mixed) else "paged, mixed"
    if issubclass(model, Window):
        return "window"
    if model.mapping is None:
        return "keyed"
    if model.mapping.option == "copied":
        return f"copied, {model.mapping.sync}"
    return f"{model.mapping.option}, transaction" if issubclass(model, Exclusive) else model.mapping.option


def kinds_of(mutant: type[SmallStorage]) -> tuple[Kind, ...]:
    return all_small_kinds(name_of(mutant))[0], all_small_kinds(name_of(mutant))[-2]


@pytest.mark.parametrize("mutant", BY_RANDOM_HISTORIES, ids=lambda mutant: mutant.__name__)
def test_random_histories_find_out_a_model_that_is_wrong(mutant: type[SmallStorage]) -> None:
    class HistoriesOfAMutant(HistoriesOfSmallStorage):
        kinds = kinds_of(mutant)
        model = mutant

    with pytest.raises(AssertionError, match=_DISAGREEMENT):
        run(HistoriesOfAMutant, UNSHRUNK)


@pytest.mark.parametrize(
    ("mutant", "history"), BY_KNOWN_HISTORIES.items(), ids=[mutant.__name__ for mutant in BY_KNOWN_HISTORIES]
)
def test_known_histories_find_out_a_model_that_is_wrong(
    mutant: type[SmallStorage], history: Callable[[SideBySide, str], None]
) -> None:
    kinds = kinds_of(mutant)
    with SideBySide.with_puppets(kinds=kinds) as both:
        history(both, name_of(mutant))
    with pytest.raises(AssertionError, match=_DISAGREEMENT), SideBySide.with_puppets(kinds=kinds, model=mutant) as both:
        history(both, name_of(mutant))


REENTRY = Script(Store(0, 1), CallOut(PUPPETS[0], Script(Load(0))), Load(0))


@pytest.mark.parametrize("name", SMALL)
def test_hazards_are_missed_where_there_are_some_and_found_out_where_there_are_none(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The detector under test is blind where copies grow stale, and sees what is not there where they do not."""
    stale = issubclass(small_kind(name, TRACKERS[0]).model, Stale)
    hazard = Hazard(HazardKind.STALE_READ, PUPPETS[0], "memory", 0, b"\0", b"\1")
    monkeypatch.setattr(HazardDetector, "_end", lambda *_: None)
    monkeypatch.setattr(HazardDetector, "_found", lambda *_: None)
    if not stale:
        monkeypatch.setattr(HazardDetector, "_load", lambda self, *_: self.hazards.append(hazard))
        monkeypatch.setattr(HazardDetector, "_write", lambda self, *_: self.hazards.append(hazard))
    with (
        SideBySide.with_puppets(kinds=all_small_kinds(name)) as both,
        pytest.raises(AssertionError, match=f"^[a-z]+, {name}: hazards"),
    ):
        both.transact(PUPPETS[0], REENTRY)
