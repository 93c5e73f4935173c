"""Call data: forms as contracts of several kinds have them, the numbers for their fields, and what is found so."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from attrs import frozen
from hypothesis import example, given
from hypothesis import strategies as st

from storagemod.explore import Exploration, explore
from storagemod.explore.attacker import DATA_BYTES_MAX
from storagemod.explore.call_data import (
    Field,
    Form,
    Order,
    columns_of,
    data_patches,
    forms,
    plain,
    probe_of,
    with_codes,
)
from storagemod.explore.script import calls_in, depth_of
from storagemod.explore.values import Observed, Sure, Surroundings, probe
from storagemod.types import Address
from storagemod.wasm import WASM_MAGIC

from .examples import scenario

OWN, OTHER = Address(0x6A11_0000_0000_00BD << 64 | 0xBD), Address(0xB0B0_0000_0000_0002 << 64 | 2)
FIXTURE = Address(0xBA)
"""An address as scenarios have them that give none: all zeros but the last byte."""

AROUND = Surroundings((OWN,), (OTHER, FIXTURE), (90_000,), (700,))
TRANSFER, BALANCE_OF, BATCH = 0xA9059CBB, 0x70A08231, 0x00FDD58E
"""Selectors of tokens; the last one, of ERC-1155, has a zero in front."""

DISCRIMINATOR = 0x1122_3344_5566_7788


def number(value: int, size: int, order: Order = "little") -> bytes:
    return value.to_bytes(size, order)


def word(value: int | Address) -> bytes:
    return value.rjust(32, b"\0") if isinstance(value, bytes) else value.to_bytes(32, "big")


def signed(value: int, bits: int) -> int:
    """Return an integer as code has it."""
    return value - (1 << bits) if value >> (bits - 1) else value


def formed(*seen: bytes, compared: Sequence[int] = (), around: Surroundings = AROUND) -> list[Form]:
    return forms([(data, 0) for data in seen], compared, around)


def little(size: int) -> Field:
    return Field(size, "little")


def big(size: int) -> Field:
    return Field(size, "big")


ADDRESS, ADDRESS_WORD, WORD = Field(20, "big", True), Field(32, "big", True), Field(32, "big")

# Forms


@st.composite
def any_forms(draw: st.DrawFn) -> tuple[Form, tuple[int, ...]]:
    sizes = st.sampled_from([1, 2, 4, 8, 20, 32])
    fields = tuple(
        Field(size, draw(st.sampled_from(["big", "little"])), size >= 20 and draw(st.booleans()))
        for size in draw(st.lists(sizes, max_size=6))
    )
    numbers = tuple(draw(st.integers(0, (1 << 8 * field.size) - 1)) for field in fields)
    return Form(draw(st.binary(max_size=8)), fields), numbers


@given(any_forms(), st.binary(max_size=80))
def test_numbers_and_data_of_a_form_are_inverse(made: tuple[Form, tuple[int, ...]], other: bytes) -> None:
    form, numbers = made
    data = form.data(numbers)

    assert len(data) == form.length
    assert form.numbers(data) == numbers
    assert form.numbers(data + b"\0") is None
    read = form.numbers(other)
    assert (read is not None) == (len(other) == form.length and other[: len(form.head)] == form.head)
    assert read is None or form.data(read) == other


@pytest.mark.parametrize("number", [-1, 256])
def test_number_that_does_not_fit_its_field_is_refused(number: int) -> None:
    with pytest.raises(OverflowError):
        Form(b"\1", (little(1),)).data([number])


@pytest.mark.parametrize(
    ("seen", "compared", "head", "fields"),
    [
        pytest.param(
            number(TRANSFER, 4, "big") + word(OTHER) + word(500),
            [signed(TRANSFER, 32)],
            number(TRANSFER, 4, "big"),
            (ADDRESS_WORD, WORD),
            id="Ethereum's interface, the selector negative in the code",
        ),
        pytest.param(
            number(TRANSFER, 4, "big") + word(FIXTURE) + word(500),
            [],
            number(TRANSFER, 4, "big"),
            (ADDRESS_WORD, WORD),
            id="Ethereum's interface by its length alone",
        ),
        pytest.param(
            number(BATCH, 4, "big") + bytes(OTHER) + number(5, 8, "big"),
            [BATCH],
            number(BATCH, 4, "big"),
            (ADDRESS, big(8)),
            id="a selector with a zero in front",
        ),
        pytest.param(b"\1" + number(5, 8), [1, 2], b"\1", (little(8),), id="opcode and integer"),
        pytest.param(b"\1" + number(5, 8, "big"), [1, 2], b"\1", (big(8),), id="opcode and integer, big-endian"),
        pytest.param(b"\1" + number(5, 4, "big"), [1, 2], b"\1", (big(4),), id="opcode and short integer"),
        pytest.param(b"\2" + OTHER + number(9, 8), [1, 2], b"\2", (ADDRESS, little(8)), id="address not aligned"),
        pytest.param(b"\1\2" + number(5, 4, "big"), [0x102], b"\1\2", (big(4),), id="two bytes, big-endian"),
        pytest.param(b"\2\1" + number(5, 4), [0x102], b"\2\1", (little(4),), id="two bytes, little-endian"),
        pytest.param(
            number(DISCRIMINATOR, 8) + number(5, 8, "big"),
            [DISCRIMINATOR],
            number(DISCRIMINATOR, 8),
            (big(8),),
            id="eight bytes little-endian, field big-endian",
        ),
        pytest.param(
            number(3, 8) + number(5, 8) + number(6, 8), [3], number(3, 8), (little(8),) * 2, id="integers in a row"
        ),
        pytest.param(number(3, 4) + number(5, 4), [3], number(3, 4), (little(4),), id="short integers in a row"),
        pytest.param(number(5, 8) + OTHER, [], b"", (little(8), ADDRESS), id="no selector"),
        pytest.param(OTHER + number(7, 8), [], b"", (ADDRESS, little(8)), id="no selector, address first"),
        pytest.param(bytes(FIXTURE) + number(7, 8), [], b"", (ADDRESS, little(8)), id="no selector, plain address"),
        pytest.param(b"\xab\xcd" + OTHER, [], b"", (big(2), ADDRESS), id="no selector, two bytes"),
        pytest.param(b"\xff" * 8, [-1], b"", (little(8),), id="-1 is no selector"),
        pytest.param(b"\xff\xff" + number(5, 4), [-1], b"", (big(2), little(4)), id="-1 is none of two bytes"),
        pytest.param(number(2**64 - 2, 8) + number(7, 8), [-2], b"", (big(8), little(8)), id="-2 is no selector"),
        pytest.param(number(1, 8), [256], b"", (little(8),), id="256 is a limit and no selector"),
    ],
)
def test_form_of_call_data_that_were_seen(
    seen: bytes, compared: list[int], head: bytes, fields: tuple[Field, ...]
) -> None:
    form = formed(seen, compared=compared)[0]

    assert form.head == head
    assert [(field.size, field.is_address) for field in form.fields] == [
        (field.size, field.is_address) for field in fields
    ]
    numbers = form.numbers(seen)
    assert numbers is not None
    for got, field, value in zip(form.fields, fields, numbers, strict=True):
        if value != int.from_bytes(number(value, field.size, "little"), "big"):  # else no order can be told
            assert got.order == field.order
    assert form.data(numbers) == seen
    assert form.extra == 0


def test_calls_of_one_form_are_one_and_tell_more_together() -> None:
    """A zero can stand in either order of bytes; another call tells in which."""
    (form,) = formed(b"\1" + bytes(8), b"\1" + number(3, 8, "big"), compared=[1])

    assert form.fields == (big(8),)
    assert [data for data, _ in form.seen] == [b"\1" + bytes(8), b"\1" + number(3, 8, "big")]
    assert list(form.seen_numbers()) == [0, 3]


def test_numbers_that_were_seen_leave_addresses_and_words_out() -> None:
    (form,) = formed(b"\1" + OTHER + number(9, 8), compared=[1])

    assert list(form.seen_numbers()) == [9]


def test_list_of_actions_has_a_form_for_each_length() -> None:
    one, two = (b"\1" + number(5, 4), b"\1" + number(5, 4) + b"\2" + number(6, 4))
    found = {form.length: form for form in formed(one, two, compared=[1, 2]) if form.seen}

    assert set(found) == {5, 10}
    assert all(form.head == b"\1" for form in found.values())
    numbers = found[10].numbers(two)
    assert numbers is not None
    assert found[10].data(numbers) == two


def row(count: int) -> bytes:
    return b"".join(number(each, 8) for each in range(1, count + 1))


def test_long_rows_of_small_integers_are_no_words() -> None:
    assert formed(row(8))[0].fields == (little(8),) * 8
    assert [field.size for field in formed(bytes(4) + row(7))[0].fields] == [4, *(8,) * 7]
    assert formed(word(5) + word(6))[0].fields == (WORD, WORD)


def test_call_data_with_too_many_fields_have_no_form() -> None:
    assert formed(row(16))[0].length == 128
    assert formed(row(17)) == []
    assert formed(bytes(DATA_BYTES_MAX)) == []
    assert formed() == []


def heads_of(found: Sequence[Form]) -> set[bytes]:
    return {form.head for form in found}


def test_selectors_that_code_compares_with_are_tried_in_both_orders_where_none_was_seen() -> None:
    found = formed(compared=[signed(TRANSFER, 32), BATCH, 3, 255, 0xFFFF, 1 << 30, -1, -2, 0, 1 << 40])

    wanted = {number(each, 4, order) for each in (TRANSFER, BATCH) for order in ("big", "little")}  # type: ignore[arg-type]
    assert heads_of(found) == wanted
    for head in wanted:  # up to three words, the fewest first
        assert [form.fields for form in found if form.head == head] == [(WORD,) * count for count in range(4)]
        assert [form.extra for form in found if form.head == head] == [0, 1, 2, 3]


@pytest.mark.parametrize("order", ["big", "little"])
def test_selectors_that_were_seen_tell_the_order_of_others(order: Order) -> None:
    seen = number(TRANSFER, 4, order) + word(3)
    found = formed(seen, compared=[signed(TRANSFER, 32), BALANCE_OF])

    assert heads_of(found) == {number(TRANSFER, 4, order), number(BALANCE_OF, 4, order)}


def test_length_that_code_compares_makes_a_form_likelier() -> None:
    costs = {form.fields: form.extra for form in formed(compared=[BALANCE_OF, 36]) if form.head[0] == 0x70}

    assert costs == {(): 0.0, (WORD,): 0.0, (WORD,) * 2: 4.0, (WORD,) * 3: 5.0}


def test_opcodes_of_code_have_the_forms_of_those_that_were_seen_or_none() -> None:
    found = formed(b"\1" + number(5, 8), compared=[1, 2, 17])

    others = {(form.head, form.fields): form.extra for form in found if not form.seen}
    assert others == {(b"\2", (little(8),)): 3, (b"\2", ()): 1, (b"\x11", (little(8),)): 3, (b"\x11", ()): 1}


def test_few_opcodes_and_selectors_are_taken_from_code() -> None:
    opcodes = formed(b"\1" + number(5, 8), compared=range(1, 200))
    selectors = formed(compared=range(0x1000_0000, 0x1000_0100))

    assert len(heads_of(opcodes)) <= 5
    assert len(heads_of(selectors)) == 24


# Fields

seen_values = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4)


@given(
    st.sampled_from([1, 2, 4, 8]), st.sampled_from(["big", "little"]), seen_values, st.lists(st.integers(-9, 2**63 - 1))
)
def test_column_of_an_integer_has_what_was_seen_first_and_each_number_that_fits(
    size: int, order: Order, values: list[int], constants: list[int]
) -> None:
    most = (1 << 8 * size) - 1
    values = [value & most for value in values]
    form = Form(b"\1", (Field(size, order),), tuple((b"\1" + number(value, size, order), 0) for value in values))
    (column,) = columns_of(form, [0], Observed(), AROUND, constants)

    assert all(0 <= each <= most for each in column)
    assert len(set(column)) == len(column)
    assert column[0] == values[0]
    known = {*values, 0, 1, 700, 90_000, 0xBD, most, probe_of(form.fields[0], 0), *constants}
    assert {each for each in known if 0 <= each <= most} <= set(column)


def test_number_below_zero_is_a_field_as_it_stands_in_memory() -> None:
    (column,) = columns_of(Form(b"\1", (little(4),)), [0], Observed(), AROUND, [-77, -(2**31) - 1])

    assert 2**32 - 77 in column
    assert 2**32 - 1 in column


@pytest.mark.parametrize("size", [2, 4, 8])
def test_both_orders_of_bytes_are_tried_where_none_was_told(size: int) -> None:
    form = Form(b"\1", (little(size),), ((b"\1" + bytes(size), 0),))
    (column,) = columns_of(form, [0], Observed(), AROUND, [77])
    (told,) = columns_of(Form(b"\1", (little(size),), ((b"\1\5" + bytes(size - 1), 0),)), [0], Observed(), AROUND, [77])

    other = 77 << 8 * (size - 1)
    assert abs(column.index(77) - column.index(other)) == 1
    assert other not in told


def test_names_that_come_next_follow_those_that_were_seen() -> None:
    seen = tuple((b"\1" + number(each, 8), 0) for each in (0, 1, 2))
    (column,) = columns_of(Form(b"\1", (little(8),), seen), [0], Observed(), AROUND, [])

    assert set(column[:6]) >= {0, 1, 2, 3, 4}


def test_names_that_come_next_are_words_where_names_are() -> None:
    seen = tuple((bytes(4) + word(each), 0) for each in (0, 1, 2))
    (column,) = columns_of(Form(bytes(4), (WORD,), seen), [0, 350], Observed(), AROUND, [])

    assert column[:5] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("field", [ADDRESS, ADDRESS_WORD])
def test_address_is_changed_to_ones_own_and_to_those_of_others(field: Field) -> None:
    seen = int.from_bytes(OTHER, "big")
    own, fixture = (int.from_bytes(each, "big") for each in (OWN, FIXTURE))
    form = Form(b"\1", (field,), ((b"\1" + number(seen, field.size, "big"), 0),))
    (column,) = columns_of(form, [0], Observed(), AROUND, [])

    assert column[:3] == [seen, own, fixture]
    assert (field.size == 32) == ((1 << 256) - 1 in column)


def test_word_can_be_what_is_sent_along_and_an_address() -> None:
    (column,) = columns_of(Form(bytes(4), (WORD,)), [0, 350, 40], Observed(), AROUND, [123])

    assert column[:5] == [1, 350, int.from_bytes(OWN, "big"), 40, probe(0)]
    assert {int.from_bytes(each, "big") for each in (OWN, OTHER, FIXTURE)} | {123, (1 << 256) - 1} <= set(column)


def test_probes_of_fields_fit_and_differ() -> None:
    for size in (1, 2, 4, 8):
        probes = [probe_of(Field(size, "big"), place) for place in range(8)]
        assert all(0 <= each < 1 << 8 * size - 1 for each in probes)
        assert len(set(probes)) == 8


def test_plain_data_are_what_was_seen_and_nothing_and_bytes_that_comparisons_show() -> None:
    assert plain([b"abc", b"abc"])[:2] == [b"abc", b""]
    shown, longer = plain([])[1:]
    assert longer.startswith(shown)
    for data in (shown, longer):
        pieces = [data[at : at + 4] for at in range(len(data) - 3)]
        assert len(set(pieces)) == len(pieces)
    assert bytes(DATA_BYTES_MAX + 1) not in plain([bytes(DATA_BYTES_MAX + 1)])  # no attacker can send that


def test_code_of_attackers_stands_where_code_was_seen_alone_and_behind_selectors() -> None:
    around = Surroundings((OWN,), (), (), (0,), codes=(WASM_MAGIC + b"one", WASM_MAGIC + b"two"))
    found = list(with_codes([b"\7" + WASM_MAGIC + b"seen", b"none"], around, [b"\1\2", b"\7"]))

    assert found == [head + code for head in (b"\7", b"", b"\1\2") for code in around.codes]


# What comparisons tell

integers = st.one_of(st.integers(-(2**63), 2**64 - 1), st.integers(-3, 300))


@given(
    before=st.binary(max_size=12),
    after=st.binary(max_size=12),
    size=st.sampled_from([1, 2, 4, 8]),
    order=st.sampled_from(["little", "big"]),
    other=st.integers(0, 255),
    data=st.data(),
)
def test_a_word_of_call_data_is_replaced_in_either_order(
    before: bytes, after: bytes, size: int, order: Order, other: int, data: st.DataObject
) -> None:
    word = data.draw(st.integers(1 << 8 * size - 4, (1 << 8 * size - 1) - 1))  # as long as it can be
    encoded = number(word, size, order)
    sent = before + encoded + after
    at = sent.find(encoded)
    wanted = sent[:at] + number(other, size, order) + sent[at + size :]

    for pair in ((word, other), (other, word)):
        assert word == other or wanted in [changed for changed, _ in data_patches(sent, [pair])]


@example(bytes.fromhex("ffffffff"), [(-1, 2**32 - 1)])  # different numbers, and the same four bytes
@example(bytes(9), [(0, 9)])
@given(st.binary(max_size=24), st.lists(st.tuples(integers, integers), max_size=4))
def test_changed_call_data_is_another_one_and_as_long_unless_code_compared_its_length(
    data: bytes, pairs: Sequence[tuple[int, int]]
) -> None:
    lengths = {len(data), *(each for pair in pairs if len(data) in pair for each in pair)}
    for changed, _ in data_patches(data, pairs):
        assert len(changed) in lengths
        assert changed != data


def test_length_of_call_data_is_changed_where_code_compares_it() -> None:
    data = bytes.fromhex("2e1a7d4d")

    def changed(of: bytes, *pairs: tuple[int, int]) -> list[bytes]:
        return [each for each, _ in data_patches(of, pairs)]

    assert data + bytes(32) in changed(data, (4, 36))
    assert data in changed(data + bytes(32), (36, 4))
    assert data in changed(data + bytes(32), (4, 36))
    assert changed(data, (5, 36), (4, -1), (4, 1 << 40)) == []


def test_a_negative_operand_is_found_as_the_bytes_that_were_sent() -> None:
    data = bytes.fromhex("fffffff0 01020304")

    assert bytes.fromhex("deadbeef 01020304") in dict(data_patches(data, [(-16, 0xDEADBEEF - 2**32)]))


@pytest.mark.parametrize("order", ["big", "little"])
def test_limit_that_a_probe_shows_and_the_number_below_it_are_sent(order: Order) -> None:
    shown = probe_of(Field(4, order), 0)
    found = [data for data, _ in data_patches(b"\1" + number(shown, 4, order), [(shown, 300)])]

    assert {b"\1" + number(each, 4, order) for each in (300, 299)} <= set(found)
    assert b"\1" + number(299, 4, order) not in dict(data_patches(b"\1" + number(7_000, 4, order), [(7_000, 300)]))


def test_bytes_that_no_contract_has_are_known_to_be_ours() -> None:
    for value, sure in ((probe(3), Sure.YES), (0x7000, Sure.LIKELY)):
        size = 4 if sure is Sure.YES else 2
        assert (number(99, size), sure) in list(data_patches(number(value, size), [(value, 99)]))


# Searches: contracts that pay before they write, whose fault needs a field of one's own

ALICE, BOB, CAROL, MALLORY = (
    Address(top << 152 | last) for last, top in ((1, 0xA1), (2, 0xB0), (3, 0xCA), (0xBD, 0x6A))
)


@frozen
class Encoding:
    """How a contract reads call data: a code that chooses a method, and one field.

    Attributes:
        codes: The codes of depositing and of taking out.
        code: How wide a code is, and the order of its bytes; of no bytes, calls without a field deposit.
        field: The same of the field; an address of which it has the end.
    """

    codes: tuple[int, int]
    code: tuple[int, Order]
    field: tuple[int, Order]

    def data(self, method: int, *field: int | Address) -> bytes:
        """Return call data of a method."""
        size, order = self.field
        head = number(self.codes[method], *self.code) if self.code[0] else b""
        values = (int.from_bytes(each, "big") if isinstance(each, Address) else each for each in field)
        return head + b"".join(number(each % (1 << 8 * size), size, order) for each in values)


ENCODINGS = {
    "words": Encoding((0xD0E30DB0, 0x2E1A7D4D), (4, "big"), (32, "big")),
    "opcodes": Encoding((1, 2), (1, "big"), (8, "little")),
    "opcodes of two bytes": Encoding((0x101, 0x102), (2, "big"), (4, "big")),
    "eight bytes": Encoding((DISCRIMINATOR, 0x99AA_BBCC_DDEE_FF01), (8, "little"), (8, "big")),
    "no selector": Encoding((0, 0), (0, "big"), (8, "little")),
    "packed": Encoding((1, 2), (1, "big"), (20, "big")),
    "packed, no selector": Encoding((0, 0), (0, "big"), (20, "big")),
}
NEEDS = {
    "name": """
      (call $require (i64.lt_u (local.get $field) (i64.const 256)))
      (local.set $row (i32.wrap_i64 (i64.shl (local.get $field) (i64.const 3))))
      (call $require (i64.eq (i64.load $storage offset=2048 (local.get $row)) (local.get $me)))""",
    "own address": """
      (call $require (i64.eq (local.get $field) (local.get $me)))
      (local.set $row (call $row (local.get $me)))""",
    "another's address": """
      (call $require (i64.ne (local.get $field) (local.get $me)))
      (local.set $row (call $row (local.get $field)))""",
    "amount": """
      (local.set $row (call $row (local.get $me)))
      (call $require (i64.eq (i64.load $storage (local.get $row)) (local.get $field)))""",
}
"""What the field of taking out has to be. Rows are chosen by names that are counted, or by the end of an address."""


COMMON = """(module
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callDataCopy" (func $copy (param i32 i32 i32)))
  (import "ethereum" "getCallDataSize" (func $size (result i32)))
  (import "ethereum" "getCallValue" (func $value (param i32)))
  (import "ethereum" "getCaller" (func $caller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "storage" "memory" (memory $storage 1))
  (memory $memory (export "memory") 1)
  (func $require (param $holds i32)
    (if (i32.eqz (local.get $holds)) (then (call $revert (i32.const 0) (i32.const 0)))))
  (func $read (param $at i32) (param $size i32) (param $little i32) (result i64) (local $x i64) (local $n i32)
    (loop $next
      (local.set $x (i64.or (i64.shl (local.get $x) (i64.const 8)) (i64.load8_u $memory (i32.add (local.get $at)
        (select (i32.sub (i32.sub (local.get $size) (local.get $n)) (i32.const 1)) (local.get $n)
          (local.get $little))))))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $n) (local.get $size))))
    (local.get $x))
  (func $row (param $who i64) (result i32)
    (i32.shl (i32.and (i32.wrap_i64 (local.get $who)) (i32.const 255)) (i32.const 3)))
  (func $pay (param $row i32)
    (call $require (i64.ne (i64.load $storage (local.get $row)) (i64.const 0)))
    (i64.store $memory (i32.const 1048) (i64.load $storage (local.get $row)))
    (call $require (i32.eqz (call $call
      (i64.const 0x7fffffffffffffff) (i32.const 1024) (i32.const 1048) (i32.const 0) (i32.const 0))))
    (i64.store $storage (local.get $row) (i64.const 0)))"""
"""Begins a module: reads integers of any width and order, and pays what a row of storage holds before it is written."""


def vault(encoding: Encoding, need: str) -> str:
    """A contract with two methods, one of which pays."""
    size, order = encoding.field
    end = min(size, 8)
    at = encoding.code[0] + (size - end if order == "big" else 0)
    code = f"(call $read (i32.const 0) (i32.const {encoding.code[0]}) (i32.const {int(encoding.code[1] == 'little')}))"
    chosen = [f"(i64.eq {code} (i64.const {each}))" for each in encoding.codes]
    if not encoding.code[0]:
        chosen = [f"(i32.eq (call $size) (i32.const {length}))" for length in (0, size)]
    deposit = "(local.set $row (call $row (local.get $me)))"
    if need == "name":
        deposit = """(local.set $row (i32.wrap_i64 (i64.shl (i64.load $storage (i32.const 4096)) (i64.const 3))))
          (i64.store $storage offset=2048 (local.get $row) (local.get $me))
          (i64.store $storage (i32.const 4096) (i64.add (i64.load $storage (i32.const 4096)) (i64.const 1)))"""
    return f"""{COMMON}
      (func (export "main") (local $me i64) (local $field i64) (local $row i32)
        (call $require (i32.le_u (call $size) (i32.const 128)))
        (call $copy (i32.const 0) (i32.const 0) (call $size))
        (call $caller (i32.const 1024))
        (local.set $me (call $read (i32.const {1024 + 20 - end}) (i32.const {end}) (i32.const 0)))
        (if {chosen[0]} (then
          {deposit}
          (call $value (i32.const 1048))
          (i64.store $storage (local.get $row)
            (i64.add (i64.load $storage (local.get $row)) (i64.load $memory (i32.const 1048))))
          (return)))
        (call $require {chosen[1]})
        (local.set $field (call $read (i32.const {at}) (i32.const {end}) (i32.const {int(order == "little")})))
        {NEEDS[need]}
        (call $pay (local.get $row))))"""


def searched(wat: str, before: Sequence[tuple[Address, bytes, int]], **settings: int) -> Exploration:
    people = {"alice": ALICE, "bob": BOB, "carol": CAROL, "mallory": MALLORY}
    names = {address: name for name, address in people.items()}
    sent = (
        f'[[transactions]]\nto = "vault"\nsender = "{names[sender]}"\ndata = "0x{data.hex()}"\nvalue = {value}\n'
        for sender, data, value in before
    )
    accounts = "".join(f'{name} = {{ address = "{at}", balance = 1000 }}\n' for name, at in people.items())
    return explore(
        scenario(f"""
[accounts]
{accounts}
[explore]
untrusted = ["mallory"]
[contracts.vault]
address = "0xc0de000000000000000000000000000000000004"
wat = '''{wat}'''
{"".join(sent)}
[[invariants]]
name = "it has what it owes"
expr = 'balance(vault) >= sum(vault.memory[0:2048])'
"""),
        **settings,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("need", NEEDS)
@pytest.mark.parametrize("kind", ENCODINGS)
def test_fault_is_found_that_needs_a_field_of_ones_own(kind: str, need: str) -> None:
    encoding = ENCODINGS[kind]
    taken: dict[str, tuple[Address, int | Address]] = {
        "name": (ALICE, 1),
        "own address": (ALICE, ALICE),
        "another's address": (ALICE, CAROL),
        "amount": (ALICE, 90),
    }
    sender, field = taken[need]
    deposits = [(CAROL, 320), (ALICE, 90), (BOB, 410)]
    calls = [(who, encoding.data(0), amount) for who, amount in deposits]
    found = searched(vault(encoding, need), [*calls, (sender, encoding.data(1, field), 0)], tries=2_000)

    (violation,) = found.violations
    assert violation.needs_callback
    assert depth_of(violation.script) == 1
    assert calls_in(violation.script) <= 4


def test_fault_is_found_in_a_list_of_actions_where_one_has_ones_own_address() -> None:
    """Each action is an opcode and eight bytes: 1 deposits what comes along, 2 takes out for an address."""
    wat = f"""{COMMON}
      (func (export "main") (local $me i64) (local $at i32) (local $row i32)
        (call $require (i32.le_u (call $size) (i32.const 128)))
        (call $copy (i32.const 0) (i32.const 0) (call $size))
        (call $caller (i32.const 1024))
        (call $value (i32.const 1048))
        (local.set $me (call $read (i32.const 1036) (i32.const 8) (i32.const 0)))
        (local.set $row (call $row (local.get $me)))
        (loop $next
          (call $require (i32.lt_u (i32.sub (i32.load8_u $memory (local.get $at)) (i32.const 1)) (i32.const 2)))
          (if (i32.eq (i32.load8_u $memory (local.get $at)) (i32.const 1))
            (then
              (i64.store $storage (local.get $row)
                (i64.add (i64.load $storage (local.get $row)) (i64.load $memory (i32.const 1048))))
              (i64.store $memory (i32.const 1048) (i64.const 0)))
            (else
              (call $require (i64.eq (local.get $me)
                (call $read (i32.add (local.get $at) (i32.const 1)) (i32.const 8) (i32.const 1))))
              (call $pay (local.get $row))))
          (local.set $at (i32.add (local.get $at) (i32.const 9)))
          (br_if $next (i32.lt_u (local.get $at) (call $size))))))"""
    deposit, take = b"\1" + bytes(8), b"\2" + number(int.from_bytes(ALICE[-8:], "big"), 8)
    calls = [
        (CAROL, deposit, 320),
        (ALICE, deposit, 90),
        (BOB, deposit, 410),
        (ALICE, take, 0),
        (ALICE, deposit + take, 50),
    ]
    found = searched(wat, calls, tries=1_000)

    (violation,) = found.violations
    assert violation.needs_callback
    assert number(int.from_bytes(MALLORY[-8:], "big"), 8) in violation.script[-1].data


def test_selector_that_stands_in_the_code_alone_is_called_with_ones_own_address() -> None:
    encoding = ENCODINGS["words"]
    deposits = [(who, encoding.data(0), amount) for who, amount in ((CAROL, 320), (ALICE, 90))]
    found = searched(vault(encoding, "own address"), deposits, tries=1_000)

    (violation,) = found.violations
    assert violation.script[-1].data == encoding.data(1, MALLORY)


# Return data

MAGIC = 0x150B7A02
"""What a receiver of a token answers, by ERC-721."""


RETURN_DATA = """
  (import "ethereum" "getReturnDataSize" (func $returned (result i32)))
  (import "ethereum" "returnDataCopy" (func $copyReturned (param i32 i32 i32)))
  """


@pytest.mark.parametrize(
    ("length", "holds"),
    [
        pytest.param(4, f"(i64.eq (call $read (i32.const 0) (i32.const 4) (i32.const 0)) (i64.const {MAGIC}))", id="4"),
        pytest.param(
            4, f"(i64.eq (call $read (i32.const 0) (i32.const 4) (i32.const 1)) (i64.const {MAGIC}))", id="4r"
        ),
        pytest.param(
            32, f"(i64.eq (call $read (i32.const 0) (i32.const 4) (i32.const 0)) (i64.const {MAGIC}))", id="32"
        ),
        pytest.param(32, "(i64.ne (call $read (i32.const 24) (i32.const 8) (i32.const 0)) (i64.const 0))", id="truth"),
        pytest.param(32, "(i64.eq (call $read (i32.const 24) (i32.const 8) (i32.const 0)) (i64.const 1))", id="one"),
        pytest.param(32, "(i32.eq (i32.load8_u $memory (i32.const 31)) (i32.const 1))", id="a byte"),
    ],
)
def test_answer_that_a_caller_wants_is_found(length: int, holds: str) -> None:
    """The caller is content with data of one length only, which say one thing."""
    wat = f"""{COMMON.replace('(import "storage"', RETURN_DATA + '(import "storage"')}
      (func (export "main")
        (call $caller (i32.const 1024))
        (call $require (i32.eqz (call $call
          (i64.const 1000000) (i32.const 1024) (i32.const 2048) (i32.const 0) (i32.const 0))))
        (call $require (i32.eq (call $returned) (i32.const {length})))
        (call $copyReturned (i32.const 0) (i32.const 0) (i32.const {length}))
        (call $require {holds})
        (i64.store $storage (i32.const 0) (i64.const 1_000_000))))"""
    found = searched(wat, [], tries=24)

    assert [each.invariant for each in found.violations] == ["it has what it owes"]
