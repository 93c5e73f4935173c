"""The menu: the calls of each entry point in the order of their costs, and what it costs to fail."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storagemod.explore.attacker import EntryPoint
from storagemod.explore.menu import ARGUMENTS_MAX, Entry, menu_of
from storagemod.explore.script import MAIN, Call
from storagemod.explore.values import Observed, Surroundings, narrow_probe, probe
from storagemod.types import Address, FunctionType, ValueType
from storagemod.wasm import Mentions

BANK, OWN = Address(0xBA), Address(0xAA)
AROUND = Surroundings((OWN,), (BANK,), (12, 9_000), (700,))
PAYABLE = Mentions((5,), frozenset({("ethereum", "getCallValue")}))
PLAIN = Mentions((5,), frozenset({("ethereum", "getCaller")}))


def point(method: str | None, *params: ValueType) -> EntryPoint:
    return EntryPoint(BANK, method, FunctionType(params, ()))


def entry_of(
    at: EntryPoint, observed: Observed | None = None, code: Mentions = PLAIN, most: int = ARGUMENTS_MAX
) -> Entry:
    (found,) = menu_of([at], observed or Observed(), AROUND, code={BANK: {at.method or MAIN: code}}, most=most)
    return found


def all_of(entry: Entry, most: int = 3_000) -> list[tuple[float, Call]]:
    """Return cost and call, to the end or as far as asked."""
    found = []
    for number in range(most):
        cost = entry.cost(number)
        if cost == math.inf:
            break
        found.append((cost, entry.calls[number]))
    return found


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    kinds = draw(st.lists(st.sampled_from(["i32", "i64"]), max_size=3))
    method = draw(st.sampled_from(["go", None]))
    at = point(method, *(kinds if method else ()))
    observed = Observed()
    numbers = st.integers(-(2**31), 2**31 - 1)
    for _ in range(draw(st.integers(0, 30))):  # a long set-up
        args = tuple(draw(numbers) for _ in at.type.params)
        observed.call(BANK, method, args, draw(st.binary(max_size=12)), draw(st.sampled_from([0, 0, 3, 400, 10_000])))
    return entry_of(at, observed, draw(st.sampled_from([PAYABLE, PLAIN])))


@given(entries())
def test_costs_never_fall_along_the_list_and_no_call_comes_twice(entry: Entry) -> None:
    found = all_of(entry, 600)
    costs = [cost for cost, _ in found]

    assert costs == sorted(costs)
    assert len({call for _, call in found}) == len(found)
    assert all(call.contract == BANK and call.method == entry.point.method for _, call in found)
    assert costs[0] == 0


def test_a_cheap_combination_does_not_wait_for_all_that_was_seen() -> None:
    observed = Observed()
    for number in range(100, 140):
        observed.call(BANK, "go", (number, number))
    calls = [call.args for _, call in all_of(entry_of(point("go", "i64", "i64"), observed), 60)]

    assert calls[0] == (100, 100)
    assert calls.index((100, 101)) < calls.index((110, 110))


@pytest.mark.parametrize("most", [1, 7, 100])
def test_no_more_calls_are_made_than_asked_for(most: int) -> None:
    entry = entry_of(point("go", "i64", "i64"), most=most)

    assert len(all_of(entry)) == most
    assert len(entry.calls) == most
    assert entry.possible > most


def test_a_list_that_is_used_up_ends_with_every_combination() -> None:
    entry = entry_of(point("go", "i32"))
    values = {call.args for _, call in all_of(entry)}

    assert len(values) == entry.possible
    assert entry.cost(10**9) == math.inf
    assert all_of(entry_of(point("go"))) == [(0.0, Call(BANK, "go"))]


@pytest.mark.parametrize("method", ["go", None])
def test_money_is_sent_to_code_that_looks_at_it_and_to_no_other(method: str | None) -> None:
    paid = {call.value for _, call in all_of(entry_of(point(method), code=PAYABLE))}
    unpaid = {call.value for _, call in all_of(entry_of(point(method), code=PLAIN))}

    assert {0, 1, 350, 700} <= paid
    assert max(paid) == 700  # what there is
    assert unpaid == {0}


def test_money_that_was_seen_is_sent_whether_code_looks_at_it_or_not() -> None:
    observed = Observed()
    observed.call(BANK, "go", (), value=30)
    calls = [call.value for _, call in all_of(entry_of(point("go"), observed))]

    assert calls[0] == 30
    assert {0, 31} <= set(calls)


def test_numbers_of_one_method_are_arguments_of_another() -> None:
    observed = Observed()
    observed.call(BANK, "put", (4_321,))
    points = [point("put", "i64"), point("take", "i64")]
    _, take = menu_of(points, observed, AROUND, code={BANK: {"put": PLAIN, "take": PLAIN}})

    assert (4_321,) in {call.args for _, call in all_of(take)}


def test_constants_of_the_code_and_probes_are_among_the_first() -> None:
    entry = entry_of(point("go", "i64", "i32"), code=Mentions((987_654,), frozenset()))
    calls = [call.args for _, call in all_of(entry, 60)]

    assert (probe(0), probe(1)) in calls[:6]
    assert any(987_654 in args for args in calls)


def test_main_is_called_with_data_that_was_seen() -> None:
    observed = Observed()
    observed.call(BANK, None, (), b"\x01\x02\x03\x04", 9)
    found = all_of(entry_of(point(None), observed, PAYABLE))

    assert found[0] == (0.0, Call(BANK, None, data=b"\x01\x02\x03\x04", value=9))
    assert {(b"", 0), (b"\x01\x02\x03\x04", 0)} <= {(call.data, call.value) for _, call in found}


# Numbers of calls

TYPED = entry_of(point("go", "i64", "f32", "i32"))
HEAD = bytes.fromhex("2e1a7d4d")


def formed_entry(data: bytes, *compared: int) -> Entry:
    """The entry point `main` with calls of the form of some call data."""
    observed = Observed()
    observed.call(BANK, None, (), data)
    code = Mentions(compared, frozenset({("ethereum", "callDataCopy")}), len(compared))
    entries = menu_of([point(None)], observed, AROUND, code={BANK: {MAIN: code}})
    return next(each for each in entries if each.form is not None and each.form.seen)


FORMED = formed_entry(HEAD + bytes.fromhex("0500000000000000") + bytes(32), int.from_bytes(HEAD, "big"))


def test_numbers_of_a_call_are_its_arguments_or_those_of_its_data() -> None:
    assert TYPED.numbers(Call(BANK, "go", (5, 1.0, 7))) == (5, 1.0, 7)
    assert TYPED.numbers(Call(BANK, "other", (5, 1.0, 7))) == ()
    assert FORMED.numbers(Call(BANK, None, data=HEAD + bytes([5]) + bytes(39))) == (5, 0)
    assert FORMED.numbers(Call(BANK, None, data=HEAD)) == ()
    assert FORMED.numbers(Call(BANK, "go", (5,), data=HEAD + bytes(40))) == ()
    assert entry_of(point(None)).numbers(Call(BANK, None, data=HEAD)) == ()


@given(st.integers(-(2**65), 2**65))
def test_number_is_put_where_it_fits_with_a_sign_and_without(number: int) -> None:
    """What one call returned without a sign can be an argument that has one, and the other way round."""
    call = Call(BANK, "go", (5, 1.0, 7))
    for at, bits in ((0, 64), (2, 32)):
        found = TYPED.with_number(call, at, number)
        assert (found is not None) == (-(2 ** (bits - 1)) <= number < 2**bits)
        if found is not None:
            args, data = found
            assert isinstance(args[at], int)
            assert args[at] % 2**bits == number % 2**bits
            assert -(2 ** (bits - 1)) <= args[at] < 2 ** (bits - 1)
            assert (len(args), data) == (3, b"")
    assert TYPED.with_number(call, 1, number) is None

    call = Call(BANK, None, data=HEAD + bytes([5]) + bytes(39))
    found = FORMED.with_number(call, 0, number)
    assert (found is not None) == (-(2**63) <= number < 2**64)
    assert found is None or found == ((), HEAD + (number % 2**64).to_bytes(8, "little") + bytes(32))
    word = FORMED.with_number(call, 1, number)
    assert word == ((), HEAD + bytes([5]) + bytes(7) + (number % 2**256).to_bytes(32, "big"))
    assert FORMED.with_number(Call(BANK, None, data=HEAD), 0, number) is None


def test_probes_are_for_integers_and_fields_that_are_no_words() -> None:
    assert [TYPED.probe(at) for at in range(3)] == [probe(0), None, probe(2)]
    assert [FORMED.probe(at) for at in range(2)] == [narrow_probe(8, 0), None]


def test_main_has_calls_of_each_form_and_money_where_it_came_along() -> None:
    observed = Observed()
    observed.call(BANK, None, (), b"\1" + (5).to_bytes(8, "little"), 30)
    observed.call(BANK, None, (), b"\2" + (6).to_bytes(8, "little"))
    code = Mentions((1, 2, 3), frozenset({("ethereum", "callDataCopy"), ("ethereum", "getCallValue")}), 3)
    plain, *others = menu_of([point(None)], observed, AROUND, code={BANK: {MAIN: code}})

    assert plain.form is None
    paid = {}
    for entry in others:
        assert entry.form is not None
        calls = [call for _, call in all_of(entry, 600)]
        assert all(entry.form.numbers(call.data) is not None for call in calls)
        paid.setdefault(entry.form.head, set()).update(call.value for call in calls)
    assert {30, 31, 700} <= paid[b"\1"]
    assert paid[b"\2"] == {0}  # it was never paid for
    assert {0, 30} <= paid[b"\3"]


# How calls fared


@given(st.integers(0, 5_000), st.integers(0, 5_000))
def test_failing_makes_dearer_up_to_a_bound_and_changes_make_cheaper(tried: int, changed: int) -> None:
    entry = entry_of(point("go"))
    entry.nudge = 0.25

    def penalty(tried: int, changed: int) -> float:
        entry.tried, entry.changed = tried, changed
        return entry.penalty - entry.nudge

    assert 0 <= penalty(tried, changed) <= 2
    assert penalty(tried, changed) <= penalty(tried + 1, changed)  # one more that changed nothing
    assert penalty(tried, changed + 1) <= penalty(tried, changed)
    assert penalty(4 * changed, changed) == 0  # one of four is hope enough
    assert penalty(2, 0) == 0 < penalty(3, 0)


def test_an_entry_point_that_only_answers_is_put_off_further_than_one_that_fails() -> None:
    answers, fails, works = (entry_of(point("go")) for _ in range(3))
    for each, succeeded, changed in ((answers, 900, 0), (fails, 0, 0), (works, 900, 300)):
        each.tried, each.succeeded, each.changed = 900, succeeded, changed

    assert (works.penalty, fails.penalty, answers.penalty) == (0.0, 2.0, 6.0)
    answers.succeeded = 3  # too few to know
    assert answers.penalty == fails.penalty


def test_a_call_that_was_learnt_is_taken_up_once_and_not_listed_again() -> None:
    entry = entry_of(point("go", "i64"))
    first = all_of(entry, 1)[0][1]
    later = Call(BANK, "go", (12,))  # would come by itself, further down

    assert not entry.learn(first)
    assert entry.learn(later)
    assert not entry.learn(later)
    assert later not in [call for _, call in all_of(entry)]
    assert entry.learnt == [later]


def test_calls_that_are_learnt_are_bounded() -> None:
    entry = entry_of(point("go", "i64"))
    learnt = sum(entry.learn(Call(BANK, "go", (number,))) for number in itertools.islice(itertools.count(10**6), 400))

    assert learnt == len(entry.learnt) == 256
