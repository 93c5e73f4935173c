from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from storagemod.errors import ScenarioError
from storagemod.scenario import Scenario, ScenarioFileError, load_scenario, parse_scenario
from storagemod.types import Address, ReentryPolicy

WHOLE = """\
[scenario]
name = "a bank"
description = "what it is about"

[accounts]
alice = 1_000
bob = { address = "0xb0b", balance = 7 }

[contracts.bank]
code = "bank.wat"
address = 77
balance = 3
links = { customer = "thief", other = "0x05" }
policy = "self-only"
init = "setup"
args = [1, 2.5]
storage = [
  { i64 = [1, -1] },
  { region = "books", offset_bytes = 16, hex = "0x01ff" },
]

[contracts.thief]
wat = "(module)"
links = { bank = "bank" }

[[transactions]]
name = "deposit"
to = "bank"
method = "deposit"
args = [0, 100]
sender = "alice"
value = 5
gas = 1_000
call = true
[transactions.expect]
value = 3
gas_min = 1
gas_max = 2
balance = { alice = 0, bank = 1 }
logs = [{ contract = "bank", topics = ["0x01"], data = "" }]
storage = [{ contract = "bank", f32 = 1.5, pages = 1 }, { contract = "bank", pages = 2 }]

[[transactions]]
to = "0xb0b"
data = "0x0102"
"""


def parse(text: str) -> Scenario:
    return parse_scenario(text, path="file.toml", folder=Path("folder"))


def problems(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        parse(text)
    error = caught.value
    return list(map(str, error.problems)) if isinstance(error, ScenarioFileError) else [str(error)]


def transaction(rest: str) -> str:
    return f'[contracts.bank]\nwat = ""\n[accounts]\nalice = 1\n[[transactions]]\nto = "bank"\n{rest}\n'


def test_whole_file_is_understood() -> None:
    scenario = parse(WHOLE)
    bank, thief = scenario.contracts["bank"], scenario.contracts["thief"]
    first, second = scenario.transactions

    assert (scenario.name, scenario.description, scenario.folder) == ("a bank", "what it is about", Path("folder"))
    assert scenario.accounts["alice"].balance == 1_000
    assert scenario.addresses["bob"] == Address(0xB0B)
    assert scenario.addresses["bank"] == Address(77)
    assert (bank.policy, bank.init, bank.args) == (ReentryPolicy.SELF_ONLY, "setup", (1, 2.5))
    assert [preset.data for preset in bank.storage] == [b"\1" + bytes(7) + b"\xff" * 8, b"\1\xff"]
    assert thief.wat == "(module)"
    assert (first.title, first.gas, first.value, first.call) == ("deposit", 1_000, 5, True)
    assert first.expect.value == (3,)
    assert first.expect.success
    assert first.expect.storage[0].data == b"\x00\x00\xc0\x3f"
    assert first.expect.logs is not None
    assert first.expect.logs[0].topics == (b"\1",)
    assert (second.title, second.data, second.expect.success) == ("0xb0b::main(0x0102)", b"\1\2", True)


def test_addresses_that_are_not_stated_are_distinct_and_the_same_each_time() -> None:
    first, again = parse(WHOLE), parse(WHOLE)

    assert first.addresses == again.addresses
    assert len(set(first.addresses.values())) == 4


def test_name_of_a_scenario_is_by_default_that_of_its_file() -> None:
    assert parse('[[transactions]]\nto = "0x1"').name == "file"


@pytest.mark.parametrize(
    ("expectation", "succeeds"),
    [
        ("", True),
        ("expect.ok = false", False),
        ("expect.reverts = true", False),
        ('expect.error = "gas"', False),
        ('expect.error_kind = "TrapError"', False),
        ("expect.value = 1", True),
    ],
)
def test_success_is_expected_unless_a_key_says_failure(expectation: str, succeeds: bool) -> None:
    assert parse(transaction(expectation)).transactions[0].expect.success is succeeds


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (transaction("expect.valeu = 1"), 7, 'unknown key "valeu" (did you mean "value"?)'),
        (transaction("[transactions.expect]\nGas_Max = 1"), 8, 'unknown key "Gas_Max" (did you mean "gas_max"?)'),
        ("[scenaro]\n" + transaction(""), 1, 'unknown key "scenaro" (did you mean "scenario"?)'),
        (transaction("qqq = 1"), 7, 'unknown key "qqq" (known here: to, name, method,'),
        (transaction("gas = '1'"), 7, "wanted an integer, found a string"),
        (transaction("gas = true"), 7, "wanted an integer, found a boolean"),
        (transaction("gas = -1"), 7, "-1 is out of range: an integer from 0 to 2**63 - 1 is wanted"),
        (transaction("call = 1"), 7, "wanted true or false, found an integer"),
        (transaction("args = [1,\n'2']\nmethod = 'f'"), 8, "wanted a number, found a string"),
        (transaction("args = 'f'"), 7, "wanted an array, found a string"),
        (transaction("name = 2020-01-01"), 7, "wanted a string, found a date or time"),
        (transaction("data = '0x0'"), 7, "'0x0' is not bytes in hexadecimal"),
        (transaction("data = 5"), 7, "wanted bytes as hexadecimal text"),
        (transaction("data = '00'\nmethod = 'f'"), 7, "`data` is for `main`"),
        (transaction("args = [1]"), 7, "`args` are for a `method`"),
        (transaction("sender = 'alcie'"), 7, 'no account or contract is named "alcie" (did you mean "alice"?)'),
        (transaction("sender = '0xzz'"), 7, "'0xzz' is not an address"),
        (transaction("expect = 3"), 7, "wanted a table, found an integer"),
        (transaction("expect.error = '('"), 7, "'(' is not a regular expression"),
        (
            transaction("expect.error_kind = 'TrapErorr'"),
            7,
            '"TrapErorr" is no error class (did you mean "TrapError"?)',
        ),
        (transaction("expect.ok = true\nexpect.reverts = true"), 7, "`ok = true` goes with none of"),
        (transaction("expect.value = 1\nexpect.reverts = true"), 7, "a transaction that fails has no `value`"),
        (transaction("expect.gas_min = 2\nexpect.gas_max = 1"), 7, "`gas_min` is more than `gas_max`"),
        (
            transaction("expect.balance = { bnk = 1 }"),
            7,
            'no account or contract is named "bnk" (did you mean "bank"?)',
        ),
        (transaction("expect.balance = 1"), 7, "wanted a table, found an integer"),
        (transaction("expect.logs = [{ contract = 'alice' }]"), 7, 'no contract is named "alice" (there is bank)'),
        (transaction("expect.storage = [{ contract = 'bank' }]"), 7, "exactly one of hex, i32, i64"),
        (transaction("expect.storage = [{ contract = 'bank', hex = '', i64 = 1 }]"), 7, "found hex and i64"),
        (transaction("expect.storage = [{ i64 = 1 }]"), 7, 'the key "contract" is missing'),
        (transaction("[[transactions.expect.storage]]\ncontract = 'bank'\nu32 = [1, -1]"), 9, "-1 is out of range"),
        (transaction("expect.storage = [{ contract = 'bank', f32 = 1e39 }]"), 7, "too large for an f32"),
        ("[[transactions]]\nmethod = 'f'", 1, 'the key "to" is missing'),
        ("transactions = 3", 1, "wanted tables [[transactions]], found an integer"),
        ("", None, "there is no transaction"),
        ("contracts = 3\n" + '[[transactions]]\nto = "0x1"', 1, "wanted a table of tables, [contracts.NAME]"),
        (transaction("") + "[contracts.alice]\nwat = ''", 8, '"alice" is an account already'),
        (transaction("") + "[contracts.x]\n", 8, "a contract has either `code`, a path, or `wat`, text"),
        (transaction("") + "[contracts.x]\nwat = ''\ncode = ''", 8, "a contract has either `code`"),
        (transaction("") + "[contracts.x]\nwat = ''\nargs = [1]", 10, "`args` are for `init`"),
        (transaction("") + "[contracts.x]\nwat = ''\nlinks = { b = 'bnak' }", 10, '(did you mean "bank"?)'),
        (
            transaction("") + "[contracts.x]\nwat = ''\npolicy = 'denny'",
            10,
            '"denny" is no re-entry policy (did you mean "deny"?)',
        ),
        (transaction("") + "[contracts.x]\nwat = ''\npolicy = 1", 10, "wanted a re-entry policy, found an integer"),
        (
            transaction("") + "[contracts.x]\nwat = ''\naddress = 1.5",
            10,
            "wanted an address as hexadecimal text or an integer",
        ),
        (transaction("") + "[contracts.x]\nwat = ''\naddress = -1", 10, "-1 is not an address"),
        (transaction("") + "[contracts.x]\nwat = ''\nstorage = [{ region = 'm' }]", 10, "exactly one of"),
        ("[[transactions]\n", 1, "not TOML: "),
        ("a = 1\nb = \n", 2, "not TOML: "),
        ("a = " + "[" * 100_000, 1, "nested deeper than 32"),
        ("a = " + "1" * 5_000, None, "not TOML: "),
    ],
)
def test_problem_is_told_with_its_line(text: str, line: int | None, message: str) -> None:
    found = problems(text)

    assert len(found) == 1
    place = "file.toml: " if line is None else f"file.toml:{line}: "
    assert found[0].startswith(place)
    assert message in found[0]


def test_all_problems_of_a_file_are_told_together_in_order() -> None:
    found = problems(
        """\
[accounts]
alice = "much"
[contracts.bank]
cod = "bank.wat"
[[transactions]]
to = "bnak"
gas = -1
[transactions.expect]
valeu = 1
error_kind = 5
[[transactions]]
to = "alcie"
"""
    )

    assert [int(problem.split(":")[1]) for problem in found] == [2, 4, 6, 7, 9, 10, 12]


def test_problem_that_only_follows_from_another_is_not_told() -> None:
    found = problems(transaction("expect.storage = [{ contract = 'bank', i46 = 1 }]"))

    assert found == ['file.toml:7: unknown key "i46" (did you mean "i64"?)']


def test_stated_addresses_that_are_the_same_are_a_problem() -> None:
    text = transaction("") + "[contracts.x]\nwat = ''\naddress = 5\n[contracts.y]\nwat = ''\naddress = '0x05'"

    assert problems(text) == [f"file.toml:13: {Address(5)} is the address of x already"]


def test_message_of_several_problems_has_each_on_a_line() -> None:
    with pytest.raises(ScenarioFileError) as caught:
        parse(transaction("a = 1\nb = 2"))

    assert str(caught.value).splitlines()[0] == "file.toml: 2 problems"
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "is a directory (name a file)"),
        (lambda _: None, "cannot be read: No such file or directory"),
        (lambda path: path.write_bytes(b"a = 1\n\xff"), ":2: not text in UTF-8"),
        (lambda path: path.write_bytes(b"#" * (9 << 20)), "is longer than 8,388,608 bytes"),
    ],
)
def test_file_that_cannot_be_read_is_a_scenario_error(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "it.toml"
    make(path)

    with pytest.raises(ScenarioError, match=re.escape(message)):
        load_scenario(path)
