"""Reading vectors: how each kind of value is read, and what is said of those that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from storagemod.limits import Limits
from storagemod.state import BALANCE_MAX
from storagemod.statetest import Vector, VectorError, find_vectors, parse_vector, read_vector
from storagemod.statetest.vector import hash_of_block
from storagemod.types import Address

from .examples import BASE, CONTRACT, FAILING, PASSING, SENDER, SHARED, vector


def parsed(raw: object) -> Vector:
    return parse_vector(json.dumps(raw), path="it.json")


def problems(raw: object) -> tuple[str, ...]:
    with pytest.raises(VectorError) as raised:
        parsed(raw)
    return raised.value.problems


@pytest.mark.parametrize(
    ("text", "number"),
    [("", 0), ("0", 0), ("10", 10), ("0x0a", 10), ("0X0A", 10), ("0x", 0), ("010", 10), (7, 7), ("0x" + "0" * 64, 0)],
)
def test_numbers_are_decimal_or_hexadecimal_and_nothing_is_zero(text: object, number: int) -> None:
    assert parsed(vector(transaction__value=text)).transaction.value == number
    assert parsed(vector(pre__SENDER__balance=text)).pre[Address(SENDER)].balance == number


@pytest.mark.parametrize("text", ["-1", "1e3", "1_0", " 1", "ten", "0b1", 1.5, True, None, [], {}, "9" * 101])
def test_what_is_no_number_is_told_with_its_place(text: Any) -> None:
    raw = vector()
    raw["pre"][CONTRACT]["nonce"] = text

    (problem,) = problems(raw)

    assert problem.startswith(f'pre.{CONTRACT}.nonce: wanted a number like "10", "0x0a" or "", found ')


@pytest.mark.parametrize(
    ("place", "bits"),
    [
        ("transaction__gasLimit", 63),
        ("transaction__gasPrice", 128),
        ("transaction__nonce", 64),
        ("pre__SENDER__balance", 256),
        ("env__currentDifficulty", 256),
        ("env__currentTimestamp", 64),
    ],
)
def test_numbers_have_limits(place: str, bits: int) -> None:
    parsed(vector(**{place: hex(2**bits - 1)}))

    (problem,) = problems(vector(**{place: hex(2**bits)}))

    assert f"{place.replace('__', '.').replace('SENDER', SENDER)}: wanted a number of {bits} bits at most" in problem


def test_storage_is_numbers_by_numbers_however_they_are_written() -> None:
    storage = {"0x02": "0xdeadbeef", "10": "7", "": "0x" + "ff" * 32}

    account = parsed(vector(pre__CONTRACT__storage=storage)).pre[Address(CONTRACT)]

    assert account.storage == {2: 0xDEADBEEF, 10: 7, 0: 2**256 - 1}


def test_one_key_of_storage_written_twice_is_told() -> None:
    assert problems(vector(expect__CONTRACT__storage={"0x0a": "1", "10": "2"})) == (
        f'expect.{CONTRACT}.storage: the key "10" is there twice, written differently',
    )


@pytest.mark.parametrize("text", ["0x01ff", "01ff", "0X01FF", " 0x01ff\n"])
def test_code_and_data_may_be_hexadecimal(text: str) -> None:
    assert parsed(vector(transaction__data=text)).transaction.data.data == b"\x01\xff"
    assert parsed(vector(pre__CONTRACT__code=text)).pre[Address(CONTRACT)].code.data == b"\x01\xff"


@pytest.mark.parametrize("text", ["", "0x"])
def test_no_code_is_no_code(text: str) -> None:
    assert parsed(vector(pre__CONTRACT__code=text)).pre[Address(CONTRACT)].code.data == b""


def test_code_may_be_a_module_in_the_text_of_2018_and_has_no_names_in_it() -> None:
    text = "(module (func $named (param $it i32) (drop (get_local $it))))"
    nameless = bytes(wasmtime.wat2wasm("(module (func (param i32) (drop (local.get 0))))"))

    code = parsed(vector(pre__CONTRACT__code=text)).pre[Address(CONTRACT)].code

    assert code.data == nameless
    assert code.problem is None


def test_other_custom_sections_of_code_stay() -> None:
    text = '(module (@custom "note" "bytes") (func $named))'

    code = parsed(vector(pre__CONTRACT__code=text)).pre[Address(CONTRACT)].code

    assert b"note" in code.data
    assert b"named" not in code.data


@pytest.mark.parametrize("text", ["0x1", "xyz", "0xgg", 5, None])
def test_what_is_neither_bytes_nor_a_module_is_told(text: Any) -> None:
    raw = vector()
    raw["transaction"]["data"] = text

    (problem,) = problems(raw)

    assert problem.startswith('transaction.data: wanted bytes like "0x01ff", or the text of a module')


def test_a_module_that_does_not_compile_stands_as_its_text_and_a_note_says_so() -> None:
    text = "(module\n  (func (get_lcoal 0)))"

    found = parsed(vector(pre__CONTRACT__code=text))

    assert found.pre[Address(CONTRACT)].code.data == text.encode()
    (note,) = found.notes
    assert note.startswith(f"pre.{CONTRACT}.code is no module, so calls of it fail: the text:2:10: ")


def test_a_transaction_to_nobody_creates() -> None:
    assert parsed(vector(transaction__to="")).transaction.to is None
    assert parsed(vector(transaction__to=None)).transaction.to is None
    assert parsed(vector()).transaction.to == Address(CONTRACT)


def test_what_an_expected_account_leaves_unsaid_is_not_expected() -> None:
    found = parsed(vector(expect__CONTRACT={}, expect__SENDER={"shouldnotexist": "1"})).expect

    assert found[Address(CONTRACT)].exists
    assert (found[Address(CONTRACT)].balance, found[Address(CONTRACT)].storage) == (None, None)
    assert not found[Address(SENDER)].exists


@pytest.mark.parametrize("flag", ["0", "", 0, False])
def test_an_account_may_be_said_to_exist(flag: object) -> None:
    assert parsed(vector(expect__CONTRACT={"shouldnotexist": flag})).expect[Address(CONTRACT)].exists


def test_blocks_before_have_the_hashes_of_their_numbers() -> None:
    block = parsed(vector(env__currentNumber="0x200")).block

    assert block.hash_of(511) == hash_of_block(511)
    assert block.hash_of(256) == hash_of_block(256)
    assert (block.hash_of(255), block.hash_of(512)) == (None, None)
    assert hash_of_block(0).hex() == "044852b2a670ade5407e78fb2863c51de9fcb96542a07186fe3aeda6bb8a116d"


def test_what_the_block_leaves_unsaid_has_a_value() -> None:
    block = parsed(vector(env={})).block

    assert (block.number, block.timestamp, block.difficulty, block.coinbase) == (0, 0, 0, Address(0))
    assert block.gas_limit > 2**60


def test_later_fields_of_a_block_are_ignored_and_told() -> None:
    assert parsed(vector(env__currentBaseFee="7")).notes == ("env.currentBaseFee is not looked at",)


def test_keys_that_begin_with_an_underscore_are_comments() -> None:
    assert parsed(vector(_info={"comment": "about"}, expect__CONTRACT___why="so")).notes == ()


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ([], "wanted an object, found an array of nothing"),
        ("x", 'wanted an object, found "x"'),
        (vector(pre=None), 'there is no "pre"'),
        (vector(transaction=None), 'there is no "transaction"'),
        (vector(expect=None), 'there is no "expect"'),
        (vector(transaction__sender=None), 'transaction: there is no "sender"'),
        (vector(transaction__gasLimit=None), 'transaction: there is no "gasLimit"'),
        (vector(name=7), "name: wanted a text, found 7"),
        (vector(pre=[1]), "pre: wanted an object, found an array of something"),
        (vector(pre__CONTRACT="x"), f'pre.{CONTRACT}: wanted an object, found "x"'),
        (vector(pre__CONTRACT__storage="x"), f'pre.{CONTRACT}.storage: wanted an object, found "x"'),
        (vector(transaction__to="0xb1"), 'transaction.to: wanted an address, 40 hexadecimal digits, found "0xb1"'),
        (vector(pre__alice={}), 'pre: wanted an address, 40 hexadecimal digits, found "alice"'),
        (vector(expect__CONTRACT__storage={"key": "1"}), f"expect.{CONTRACT}.storage: as a key wanted a number"),
        (vector(expect__CONTRACT__storage={"1": "x"}), f"expect.{CONTRACT}.storage.1: wanted a number"),
        (vector(expect__CONTRACT__blance="1"), 'the key "blance" means nothing (did you mean "balance"?)'),
        (vector(transaction__gas="1"), 'transaction: the key "gas" means nothing'),
        (vector(expects={}), 'the key "expects" means nothing (did you mean "expect"?)'),
        (vector(expect__CONTRACT={"shouldnotexist": "2"}), 'wanted "1" or "0", found "2"'),
        (vector(expect__CONTRACT={"shouldnotexist": "1", "nonce": "0"}), "has nothing else to be compared"),
        (vector(**{f"pre__0x{CONTRACT}": {}}), f"pre: 0x{CONTRACT} is there twice, written differently"),
    ],
)
def test_what_is_no_vector_is_told_with_its_place(raw: object, told: str) -> None:
    assert any(told in problem for problem in problems(raw)), problems(raw)


def test_everything_wrong_with_a_file_is_told_at_once() -> None:
    with pytest.raises(VectorError) as raised:
        parsed(vector(transaction__value="x", pre__SENDER__nonce="y", expect__CONTRACT__code="z"))

    assert len(raised.value.problems) == 3
    assert str(raised.value).startswith("it.json: 3 problems\n  ")


def test_of_many_problems_some_are_shown() -> None:
    with pytest.raises(VectorError, match="… and 12 more"):
        parsed(vector(pre={f"{number}": {} for number in range(32)}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"it\.json:1:1: not JSON: Expecting value"),
        ('{\n "a": }', r"it\.json:2:7: not JSON"),
        ('{"pre": NaN}', "there is no NaN in it"),
        ("[" * 100_000, "nested too deep"),
        ('{"name": %s}' % ("9" * 5_000), "not JSON of a vector"),
        ('{"pre": {}, "pre": {}}', 'the key "pre" is there twice'),
    ],
)
def test_what_is_no_json_is_told(text: str, told: str) -> None:
    with pytest.raises(VectorError, match=told):
        parse_vector(text, path="it.json")


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b'{"name": "\xe9"}')
    (tmp_path / "empty").mkdir()

    for path, told in [
        (tmp_path / "none.json", "cannot be read: No such file"),
        (tmp_path / "latin.json", "not text in UTF-8"),
        (tmp_path / "empty", "is a directory"),
        (Path("a\0b"), "cannot be read"),
    ]:
        with pytest.raises(VectorError, match=told):
            read_vector(path)
    with pytest.raises(VectorError, match="a folder without any"):
        find_vectors(tmp_path / "empty")


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "it.json").write_text(json.dumps(BASE), encoding="utf-8-sig")

    assert read_vector(tmp_path / "it.json").name == BASE["name"]


def test_a_folder_is_searched_with_its_folders_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/z.json", "c.json", "a.json", "LICENSE"):
        (tmp_path / name).write_text("{}")

    assert find_vectors(tmp_path) == [tmp_path / "a.json", tmp_path / "b/z.json", tmp_path / "c.json"]
    assert find_vectors(tmp_path / "LICENSE") == [tmp_path / "LICENSE"]


def test_code_keeps_to_the_limits() -> None:
    text = json.dumps(vector())

    found = parse_vector(text, path="it.json", limits=Limits(source_bytes_max=10))

    assert "source_bytes_max" in found.notes[0]


@pytest.mark.parametrize("path", [*find_vectors(PASSING), *find_vectors(FAILING)], ids=lambda path: path.stem)
def test_our_own_vectors_can_be_read(path: Path) -> None:
    assert read_vector(path).name == path.stem


@pytest.mark.skipif(not SHARED.is_dir(), reason="the vectors of ewasm are not beside this clone")
def test_vectors_of_ewasm_can_be_read() -> None:
    found = [read_vector(path) for path in find_vectors(SHARED)]

    assert len(found) >= 143
    assert [each.name for each in found if each.notes] == [
        f"malformedImportCallCode{count}Params" for count in ("Four", "Three", "Two")
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
places = st.sampled_from(
    [
        *(key for key in BASE),
        *(f"env__{key}" for key in BASE["env"]),
        *(f"transaction__{key}" for key in BASE["transaction"]),
        *(f"pre__CONTRACT__{key}" for key in BASE["pre"][CONTRACT]),
        *(f"expect__CONTRACT__{key}" for key in BASE["expect"][CONTRACT]),
    ]
)


@given(places, json_values)
def test_whatever_stands_at_a_place_a_vector_or_our_error_comes_of_it(place: str, value: object) -> None:
    try:
        found = parse_vector(json.dumps(vector(**{place: value})), path="it.json")
    except VectorError:
        return

    assert found.transaction.value >= 0
    assert all(account.balance <= BALANCE_MAX for account in found.pre.values())


@given(st.text())
def test_any_text_is_a_vector_or_our_error(text: str) -> None:
    with pytest.raises(VectorError):
        parse_vector(text, path="it.json")
