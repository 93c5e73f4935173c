"""The exclusive policy `transaction`: a frame stands in one page of all calls that have not ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod import Address, ExclusivePolicy, Outcome, Receipt, StorageMapping, ValidationError, World
from storagemod.errors import LimitError, TrapError
from storagemod.pages import BACKENDS, why_not_shared, why_unavailable
from storagemod.state import Account
from storagemod.state.rows import account_of, account_row, checksum
from storagemod.types import CallKind
from storagemod.vm import paged
from storagemod.vm.paged import FrameTable, PageTable

from .mapper import (
    Call,
    Get,
    Map,
    Memory,
    Operation,
    Revert,
    Set,
    Storage,
    Trap,
    Unmap,
    deploy,
    run,
    run_ok,
    storage_of,
)

A, B = Address(0xA), Address(0xB)
PAGE = 4_096

NONE, CALL, TRANSACTION = ExclusivePolicy


def places() -> Iterator[tuple[str, str]]:
    """Yield each option that has frames under each tracker that it works with."""
    for tracker, backend in BACKENDS.items():
        if why_unavailable(backend) is None:
            yield "paged", tracker
            if why_not_shared(backend) is None:
                yield "aliased", tracker


@frozen
class Place:
    """A world, and the option under which its contracts are deployed."""

    world: World
    option: str

    def deploy(self, address: Address, exclusive: str = "transaction", frame_bytes: int = PAGE) -> None:
        deploy(self.world, StorageMapping(self.option, frame_bytes=frame_bytes, exclusive=exclusive), address=address)

    def ended(self, *script: Operation) -> list[tuple[Outcome, str | None]]:
        """How each call of a transaction ended, in the order in which they began, with the code of its trap."""
        return endings(run(self.world, A, *script))


def endings(receipt: Receipt) -> list[tuple[Outcome, str | None]]:
    assert receipt.trace is not None
    ends = [call.ended for call in receipt.trace.calls]
    assert None not in ends
    return [(end.outcome, getattr(end.error, "code", None)) for end in ends if end is not None]


@pytest.fixture(params=places(), ids=", ".join)
def place(request: pytest.FixtureRequest) -> Place:
    option, tracker = request.param
    return Place(World(tracker=tracker), option)


OK = (Outcome.OK, None)
HELD = (Outcome.FAILED, "frame_held")

MAP = Map(0, 0, 8)
ELSEWHERE = Map(2 * PAGE, PAGE, 8)


# Through worlds


def test_a_reentrant_call_that_maps_a_frame_which_a_call_above_it_holds_fails_and_its_caller_goes_on(
    place: Place,
) -> None:
    place.deploy(A)
    place.deploy(B)
    inner = (Map(2 * PAGE, 0, 8), Set(2 * PAGE, b"lost"))
    receipt = run(place.world, A, MAP, Set(0, b"kept"), Call(B, (Call(A, inner),)), Call(A, inner), Get(0, 4))
    assert endings(receipt) == [OK, OK, HELD, HELD]
    assert receipt.output.endswith(b"kept")
    assert storage_of(place.world, A, 0, 4) == b"kept"


def test_the_error_says_which_call_holds_the_frame(place: Place) -> None:
    place.deploy(A)
    deploy(place.world, "copied", address=B)
    receipt = run(place.world, A, Call(B, (Call(A, (ELSEWHERE, Call(B, (Call(A, (ELSEWHERE,)),)))),)))
    assert receipt.trace is not None
    last = receipt.trace.calls[-1].ended
    assert last is not None
    assert isinstance(last.error, TrapError)
    assert (last.error.code, last.error.depth) == ("frame_held", 5)
    assert (
        "storageMap: frame 1 of 4,096 bytes stands in page 2 of the call at depth 3, "
        "and is exclusive in the transaction"
    ) in str(last.error)


def test_a_reentrant_call_may_map_other_frames_and_frames_may_be_mapped_again_in_the_same_page(place: Place) -> None:
    place.deploy(A)
    inner = (ELSEWHERE, Set(2 * PAGE, b"in"), ELSEWHERE)
    assert place.ended(MAP, MAP, Set(0, b"out"), Call(A, inner), MAP) == [OK, OK]
    assert (storage_of(place.world, A, 0, 3), storage_of(place.world, A, PAGE, PAGE + 2)) == (b"out", b"in")


def test_a_call_that_ended_holds_nothing_however_it_ended(place: Place) -> None:
    place.deploy(A)
    for ending in ((), (Revert(),), (Trap(),), (Map(1, 0, 8),), (Call(A, (MAP,)), Trap())):
        inner = Call(A, (MAP, Set(0, b"x"), *ending))
        outcomes = [outcome for outcome, _ in run_ok(place.world, A, inner, Call(A, (MAP,)))]
        assert outcomes[1] is Outcome.OK
    assert place.ended(Call(A, (MAP,)), MAP, Call(A, (MAP,)), Call(A, (ELSEWHERE,))) == [OK, OK, HELD, OK]


def test_a_call_holds_what_it_mapped_before_it_was_refused_no_longer_than_itself(place: Place) -> None:
    place.deploy(A)
    refused = Call(A, (Map(0, 0, 3 * PAGE),))  # frame 0 is free, frame 1 is not
    assert place.ended(Map(PAGE, PAGE, 8), refused, Call(A, (MAP,)), MAP) == [OK, HELD, OK]


def test_a_frame_that_was_unmapped_is_held_no_more(place: Place) -> None:
    place.deploy(A)
    inner = Call(A, (MAP, Set(0, b"in")))
    assert place.ended(MAP, inner, Unmap(0), inner, MAP, inner) == [OK, HELD, OK, HELD]


def test_a_frame_is_held_until_the_last_page_of_a_call_that_stands_for_it_is_unmapped(place: Place) -> None:
    place.deploy(A, "none")
    place.deploy(B)
    other = Call(B, (MAP,), kind=CallKind.DELEGATE)
    twice = (MAP, Map(PAGE, 0, 8), Unmap(0), other, Unmap(PAGE), other)
    assert place.ended(*twice) == [OK, HELD, OK]


@pytest.mark.storagemod(strict=False)
def test_transactions_do_not_hold_frames_for_one_another(place: Place) -> None:
    place.deploy(A)
    for script in ((MAP,), (MAP, Trap()), (MAP, Call(A, (MAP,))), (MAP,)):
        assert place.ended(*script)[0][1] in {None, "unreachable"}


@pytest.mark.storagemod(strict=False)
def test_a_transaction_that_is_aborted_holds_nothing_in_the_next_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.deploy(A)

    def abort(*_: object) -> None:
        raise LimitError("too much")

    with monkeypatch.context() as patch:
        patch.setattr(LimitError, "aborts", True)
        patch.setattr(paged.FrameTable, "let_go", abort)
        run(place.world, A, MAP, Call(A, (ELSEWHERE,)))
    assert place.ended(MAP, ELSEWHERE, Call(A, (Map(0, 2 * PAGE, 8),))) == [OK, OK]


@pytest.mark.parametrize("kind", [CallKind.DELEGATE, CallKind.STATIC])
def test_delegate_and_static_calls_on_the_same_storage_are_calls_like_others(place: Place, kind: CallKind) -> None:
    place.deploy(A)
    place.deploy(B)
    to = B if kind is CallKind.DELEGATE else A
    assert place.ended(MAP, Call(to, (Map(0, 0, 1),), kind=kind), Call(to, (ELSEWHERE,), kind=kind)) == [OK, HELD, OK]


def test_contracts_do_not_hold_frames_of_one_another(place: Place) -> None:
    place.deploy(A)
    place.deploy(B)
    assert place.ended(MAP, Call(B, (MAP,))) == [OK, OK]


@pytest.mark.parametrize("policies", [("transaction", "none"), ("none", "transaction"), ("call", "transaction")])
def test_one_of_two_calls_that_wants_a_frame_for_itself_is_enough(place: Place, policies: tuple[str, str]) -> None:
    for address, policy in zip((A, B), policies, strict=True):
        place.deploy(address, policy)
    delegate = Call(B, (Map(2 * PAGE, 0, 8),), kind=CallKind.DELEGATE)
    assert place.ended(MAP, delegate) == [OK, HELD]
    assert place.ended(delegate, MAP) == [OK, OK]


@pytest.mark.parametrize("lengths", [(PAGE, 4 * PAGE), (4 * PAGE, PAGE)])
def test_frames_of_two_lengths_are_held_where_they_have_bytes_in_common(place: Place, lengths: tuple[int, int]) -> None:
    for address, length in zip((A, B), lengths, strict=True):
        place.deploy(address, frame_bytes=length)
    within, beyond = (Call(B, (Map(0, at, 8),), kind=CallKind.DELEGATE) for at in (0, 4 * PAGE))
    assert place.ended(MAP, within, beyond) == [OK, HELD, OK]


def test_a_second_page_of_the_same_call_is_refused_as_under_call(place: Place) -> None:
    place.deploy(A)
    error = run(place.world, A, MAP, Map(PAGE, 0, 8)).error
    assert "frame 0 stands in page 0 already, and is exclusive" in str(error)
    assert isinstance(error, TrapError)
    assert error.code == "storage_map"


@pytest.mark.parametrize("policy", ["none", "call"])
def test_other_policies_let_calls_share_frames(place: Place, policy: str) -> None:
    place.deploy(A, policy)
    assert place.ended(MAP, Call(A, (MAP, Call(A, (Map(PAGE, 0, 8),))))) == [OK, OK, OK]


# Settings


def test_the_spellings_of_two_policies_as_true_and_false_mean_what_they_meant() -> None:
    assert StorageMapping("paged", exclusive=True) == StorageMapping("paged", exclusive="call")  # type: ignore[arg-type]
    assert StorageMapping("paged", exclusive=False) == StorageMapping("paged")  # type: ignore[arg-type]
    assert (
        str(StorageMapping("paged", exclusive="transaction")) == "paged, frames of 4,096 bytes, exclusive transaction"
    )


def test_stored_worlds_that_say_true_or_false_are_read() -> None:
    for stored, policy in (("true", CALL), ("false", NONE), ('"transaction"', TRANSACTION)):
        mapping = StorageMapping("paged", exclusive=policy)
        *row, _ = account_row(A, Account(mapping=mapping))
        row[7] = row[7].replace(f'"exclusive": "{policy}"', f'"exclusive": {stored}')
        assert account_of((*row, checksum(row)), {None: b""})[1].mapping == mapping


@pytest.mark.parametrize("value", ["transactions", "", 1, None])
def test_an_exclusive_policy_that_cannot_be_is_refused(value: object) -> None:
    with pytest.raises(
        ValidationError, match=r"there is no exclusive policy .* \(there are: none, call, transaction\)"
    ):
        StorageMapping("paged", exclusive=value)  # type: ignore[arg-type]


# The oracle: what is held, byte by byte

UNIT, UNITS = 8, 32


@frozen
class Enter:
    """A call begins, with its own length of frames and policy."""

    frame_bytes: int
    exclusive: ExclusivePolicy


@frozen
class Hold:
    """The running call maps a frame."""

    number: int
    page: int


steps = st.lists(
    st.one_of(
        st.builds(Enter, st.sampled_from([8, 16, 64]), st.sampled_from([*ExclusivePolicy, TRANSACTION])),
        st.builds(Hold, st.integers(0, 7), st.integers(0, 7)),
        st.none(),  # the running call ends
    ),
    max_size=40,
)


@frozen
class Held:
    """What the oracle knows of a call: the bytes of each page that it has."""

    depth: int
    enter: Enter
    pages: dict[int, set[int]]


def refusal(calls: list[Held], number: int, page: int) -> str | int | None:
    """Foretell what comes of a mapping: the depth of the call that holds it, a word, or nothing."""
    running, size = calls[-1], calls[-1].enter.frame_bytes
    wanted = set(range(number * size, (number + 1) * size))
    if page in running.pages:
        return None if running.pages[page] == wanted else "page"
    if running.enter.exclusive is not NONE and wanted in running.pages.values():
        return "frame"
    for call in calls[:-1]:
        shared = any(wanted & held for held in call.pages.values())
        if shared and TRANSACTION in (call.enter.exclusive, running.enter.exclusive):
            return call.depth
    return None


@settings(max_examples=300, derandomize=True, database=None)
@given(steps=steps)
def test_what_is_refused_is_what_the_bytes_of_open_calls_say(steps: list[Enter | Hold | None]) -> None:
    frames, storage = FrameTable(), Storage(1_024)
    calls: list[Held] = []
    tables: list[PageTable] = []
    for step in [Enter(8, TRANSACTION), *steps, *[None] * len(steps)]:
        if isinstance(step, Enter):
            depth = len(calls) + 1
            calls.append(Held(depth, step, {}))
            tables.append(
                PageTable((A, "memory"), frames, depth=depth, frame_bytes=step.frame_bytes, exclusive=step.exclusive)
            )
        elif step is None:
            if calls:
                calls.pop()
                tables.pop().release()
        elif calls:
            size = calls[-1].enter.frame_bytes
            expected = refusal(calls, step.number, step.page)
            place = Memory(1_024), step.page * size, storage, step.number * size, 1
            if expected is None:
                tables[-1].enter(*place)
                calls[-1].pages[step.page] = set(range(step.number * size, (step.number + 1) * size))
                continue
            with pytest.raises(TrapError) as refused:
                tables[-1].enter(*place)
            assert refused.value.code == ("frame_held" if isinstance(expected, int) else "storage_map")
            assert not isinstance(expected, int) or f"of the call at depth {expected}, " in str(refused.value)
            calls.pop()  # it failed
            tables.pop().release()
    assert not any(held for lengths in frames._holders.values() for held in lengths.values())
