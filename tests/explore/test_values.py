"""Values that attackers choose: columns, combinations, and what comparisons tell, each against a plain reckoning."""

from __future__ import annotations

import itertools
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storagemod.explore.values import (
    INTEGER_BYTES,
    Observed,
    Sure,
    Surroundings,
    as_signed,
    column,
    combinations,
    is_probe,
    money,
    narrow_probe,
    patches,
    probe,
)
from storagemod.types import Address, Value, ValueType

KINDS: tuple[ValueType, ...] = ("i32", "i64", "f32", "f64")
OWN, OTHER = Address(0x1111_2222_A77A_C4E7), Address(0x3333_4444_8765_4321)  # as i32, both are negative
NOWHERE = Surroundings((OWN,), (OTHER,), (), (0,))


def fits(kind: ValueType, value: Value) -> bool:
    """Whether a number is one of a type, by what Python itself packs."""
    try:
        struct.pack({"i32": "<i", "i64": "<q", "f32": "<f", "f64": "<d"}[kind], value)
    except struct.error:
        return False
    return kind in INTEGER_BYTES or isinstance(value, float)


def identity(value: Value) -> object:
    """What tells values apart: two that are not a number are one, 0.0 and -0.0 are two."""
    return struct.pack("<d", value) if isinstance(value, float) else value


# Combinations

sizes = st.lists(st.integers(0, 6), max_size=4)


@given(sizes)
def test_every_combination_comes_once_in_the_order_of_cost(several: list[int]) -> None:
    columns = [[10 * number + at for at in range(size)] for number, size in enumerate(several)]
    found = list(combinations(columns))

    wanted = {
        tuple(values[place] for values, place in zip(columns, places, strict=True)): sum(
            math.log2(1 + place) for place in places
        )
        for places in itertools.product(*map(range, several))
    }
    assert len(found) == len(wanted) == math.prod(several)
    assert {values: pytest.approx(cost) for cost, values in found} == wanted
    costs = [cost for cost, _ in found]
    assert costs == sorted(costs)


def test_a_value_far_down_comes_before_two_that_are_halfway() -> None:
    order = [values for _, values in itertools.islice(combinations([range(1_000), range(1_000)]), 400)]

    assert order.index((30, 0)) < order.index((7, 7))  # 31 < 8 * 8


# Columns

integers = st.one_of(st.integers(-(2**63), 2**64 - 1), st.integers(-3, 300))
floats = st.floats(width=32)


@st.composite
def places(draw: st.DrawFn) -> tuple[ValueType, list[Value], Observed, Surroundings, list[int]]:
    kind = draw(st.sampled_from(KINDS))
    observed = Observed()
    for each in draw(st.lists(integers, max_size=5)):
        observed.number("i32", each)
        observed.number("i64", each)
    for number in draw(st.lists(floats, max_size=4)):
        observed.number("f32", number)
        observed.number("f64", number)
    values = integers if kind in INTEGER_BYTES else floats
    here = [
        each for each in (as_signed(kind, value) for value in draw(st.lists(values, max_size=9))) if each is not None
    ]
    addresses = st.builds(Address, st.integers(0, 2**160 - 1))
    around = Surroundings(
        tuple(draw(st.lists(addresses, min_size=1, max_size=3))),
        tuple(draw(st.lists(addresses, max_size=6))),
        tuple(draw(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5))),
        tuple(draw(st.lists(st.integers(0, 2**128 - 1), max_size=2))),
    )
    return kind, here, observed, around, draw(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5))


@given(places())
def test_a_column_has_values_of_its_type_only_each_once(
    place: tuple[ValueType, list[Value], Observed, Surroundings, list[int]],
) -> None:
    kind, here, observed, around, constants = place
    found = column(kind, 1, here, observed, around, constants)

    assert all(fits(kind, each) for each in found)
    assert len({identity(each) for each in found}) == len(found)
    assert {identity(each) for each in here} <= {identity(each) for each in found}


@given(places())
def test_an_integer_column_has_every_number_that_is_known_and_fits(
    place: tuple[ValueType, list[Value], Observed, Surroundings, list[int]],
) -> None:
    kind, here, observed, around, constants = place
    if kind not in INTEGER_BYTES:
        return
    found = set(column(kind, 1, here, observed, around, constants))

    bits = 8 * INTEGER_BYTES[kind]
    known = {*observed.numbers.get(kind, {}), *around.stored, *around.balances, *constants, probe(1), -1, 0, 1}
    assert {each for each in known if -(2 ** (bits - 1)) <= each < 2 ** (bits - 1)} <= found
    for own in around.own:  # whatever a contract may make of an address
        for length in (1, 2, 4, 8):
            end = int.from_bytes(own[-length:], "big")
            if end < 2**bits:
                assert (end + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1) in found


@pytest.mark.parametrize(("kind", "length"), [("i32", 1), ("i32", 2), ("i32", 4), ("i64", 4), ("i64", 8)])
def test_where_an_address_was_seen_that_of_the_attacker_comes_next(kind: ValueType, length: int) -> None:
    """An end of four bytes is negative as an i32, and an address of another one is seen there all the same."""
    seen = as_signed(kind, int.from_bytes(OTHER[-length:], "big"))
    own = as_signed(kind, int.from_bytes(OWN[-length:], "big"))
    assert seen is not None

    assert column(kind, 0, [seen], Observed(), NOWHERE)[:2] == [seen, own]


def test_a_small_number_that_is_an_end_of_an_address_by_chance_is_no_address() -> None:
    around = Surroundings((OWN,), (Address(0x0500_0000_0007),), (), (0,))

    assert column("i64", 0, [7, 8, 9], Observed(), around)[:2] == [7, 8]
    assert column("i64", 0, [7], Observed(), around)[1] == OWN[-1]  # where it is all that was seen, it is one


def test_values_that_were_seen_come_before_all_others_and_near_ones_are_there() -> None:
    observed = Observed()
    observed.number("i64", 5_000)
    found = column("i64", 0, [700], observed, Surroundings((OWN,), (), (90_000,), (40,)), [123_456])

    assert found[0] == 700
    for wanted in (699, 701, 350, 1_400, 5_000, 5_001, 2_500, 5_700, 4_300, 90_000, 40, 123_456, probe(0)):
        assert wanted in found


# Money


@given(st.lists(st.integers(0, 10**6), max_size=4), st.integers(0, 10**6), st.lists(st.integers(-5, 10**7), max_size=4))
def test_money_is_never_more_than_there_is_and_can_be_none(paid: list[int], balance: int, constants: list[int]) -> None:
    around = Surroundings((OWN,), (), (3, -4), (balance,))
    found = money(paid, Observed(), around, constants)

    assert len(set(found)) == len(found)
    assert all(0 <= each <= balance for each in found)
    assert {0, balance, balance // 2, *(each for each in (*paid, *constants) if 0 <= each <= balance)} <= set(found)


def test_numbers_of_results_and_storage_are_amounts_as_likely_as_parts_of_the_balance() -> None:
    observed = Observed()
    for number in (333, 1, -7, 2_000):
        observed.number("i64", number)
    found = money([20, 30], observed, Surroundings((OWN,), (), (444,), (1_000,)))

    assert found[:2] == [20, 30]
    assert {21, 31, 333, 444, 500} <= set(found[:7])
    assert 2_000 not in found  # more than there is


def test_names_that_come_next_follow_where_all_that_was_seen_are_names() -> None:
    assert column("i64", 0, [3, 0, 1], Observed(), NOWHERE)[3:6] == [4, 5, 2]
    assert 301 not in column("i64", 0, [3, 300], Observed(), NOWHERE)[2:6]


def test_amounts_of_others_and_more_than_can_be_sent_are_known_as_money() -> None:
    observed = Observed()
    observed.call(OTHER, "buy", (1,), value=600)
    observed.call(OTHER, "buy", (1,), value=2**128)

    assert 600 in money([], observed, Surroundings((OWN,), (), (), (1_000,)))
    assert list(observed.money) == [600]
    assert list(observed.calls[OTHER, "buy"]) == [((1,), b"", 600), ((1,), b"", 0)]


# What comparisons tell


def solved(start: int, pair: tuple[int, int], wanted: set[int]) -> bool:
    return bool({number for number, _ in patches(start, [pair])} & wanted)


large = st.integers(2, 2**62)


@given(start=large, magic=st.integers(-(2**63), 2**63 - 1), swap=st.booleans())
def test_equality_with_a_number_is_solved(start: int, magic: int, swap: bool) -> None:
    assert solved(start, (magic, start) if swap else (start, magic), {magic})


@given(start=large, limit=st.integers(-(2**62), 2**62), swap=st.booleans())
def test_both_sides_of_a_limit_are_reached(start: int, limit: int, swap: bool) -> None:
    found = {number for number, _ in patches(start, [(limit, start) if swap else (start, limit)])}

    assert {limit - 1, limit, limit + 1} <= found


@given(start=st.integers(16, 2**31), factor=st.integers(2, 10**6), answer=st.integers(0, 2**31))
def test_equality_after_a_multiplication_is_solved(start: int, factor: int, answer: int) -> None:
    assert solved(start, (start * factor, answer * factor), {answer})


@given(start=st.integers(16, 2**31), factor=st.integers(2, 10**6), limit=st.integers(0, 2**40))
def test_least_number_whose_multiple_reaches_a_limit_is_found(start: int, factor: int, limit: int) -> None:
    """Rounding down alone would stay below the limit for ever."""
    assert solved(start, (start * factor, limit), {-(-limit // factor)})


@given(start=st.integers(1_001, 2**40), shift=st.integers(-1_000, 1_000).filter(bool), answer=st.integers(0, 2**40))
def test_equality_after_an_addition_is_solved(start: int, shift: int, answer: int) -> None:
    if (start + shift) % start:  # else it looks multiplied, which is likelier
        assert solved(start, (start + shift, answer), {answer - shift})


@pytest.mark.parametrize("value", [-1, 0, 1, 2.5])
def test_numbers_that_are_met_everywhere_tell_nothing(value: Value) -> None:
    assert list(patches(value, [(int(value), 99)])) == []


def test_a_number_that_no_contract_has_is_known_to_be_ours() -> None:
    for value, sure in ((probe(3), Sure.YES), (700, Sure.LIKELY), (12, Sure.NO)):
        assert (99, sure) in list(patches(value, [(value, 99)]))
    assert len({probe(number) for number in range(500)}) == 500
    assert all(0 < probe(number) < 2**30 for number in range(500))


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_probes_of_a_width_are_the_same_in_both_orders_of_bytes(size: int) -> None:
    found = [narrow_probe(size, number) for number in range(16)]

    assert all(0 <= each < 1 << 8 * size - 1 for each in found)
    assert all(each.to_bytes(size, "big") == each.to_bytes(size, "little") for each in found)
    assert len(set(found)) == 16
    assert size == 1 or all(map(is_probe, found))


def test_a_limit_that_a_probe_shows_and_the_number_below_it_are_sure() -> None:
    found = list(patches(probe(0), [(probe(0), 300)]))

    assert found[:2] == [(300, Sure.YES), (299, Sure.YES)]
    assert (301, Sure.NO) in found
    assert (299, Sure.NO) in list(patches(700, [(700, 300)]))  # what no probe shows is less sure


# Numbers of types


@given(st.sampled_from(["i32", "i64"]), st.integers(-(2**70), 2**70))
def test_integers_are_signed_as_the_type_has_them(kind: ValueType, value: int) -> None:
    bits = 8 * INTEGER_BYTES[kind]
    found = as_signed(kind, value)

    if -(2 ** (bits - 1)) <= value < 2**bits:
        assert found is not None
        assert fits(kind, found)
        assert (found - value) % 2**bits == 0
    else:
        assert found is None
    assert as_signed(kind, 1.5) is None
