from __future__ import annotations

from pathlib import Path

import pytest

from storagemod.errors import ScenarioError
from storagemod.scenario import Difference, ScenarioResult, parse_scenario, run_scenario

WAT = Path(__file__).parents[2] / "wat"

# What a test needs of a contract: it keeps a number, gives several, emits a log, and fails in each way.
CONTRACT = '''
[contracts.box]
wat = """
(module
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (import "ethereum" "log" (func $log (param i32 i32 i32 i32 i32 i32 i32)))
  ;; @storage
  (memory $memory (export "memory") 1)
  (data (memory $memory) (i32.const 0) "hello")
  (func (export "set") (param i32 i64) (call $store_i64 (local.get 0) (local.get 1)))
  (func (export "get") (param i32) (result i64) (call $load_i64 (local.get 0)))
  (func (export "two") (result i32 f64) (i32.const -1) (f64.const 1.5))
  (func (export "nan") (result f32) (f32.const nan))
  (func (export "shout")
    (call $log (i32.const 0) (i32.const 5) (i32.const 1) (i32.const 32) (i32.const 0) (i32.const 0) (i32.const 0)))
  (func (export "grow") (drop (call $storage_grow (i32.const 1))))
  (func (export "trap") unreachable)
  (func (export "give_up") (call $revert (i32.const 0) (i32.const 5)))
  (func (export "main") (call $finish (i32.const 0) (i32.const 5))))
"""
'''


def run(text: str, *, link: str | None = None, folder: Path = WAT) -> ScenarioResult:
    return run_scenario(parse_scenario(text, path="file.toml", folder=folder), link=link)


def differences(transactions: str) -> list[Difference]:
    """What differs in transactions of the contract above, whose lines are counted from 1."""
    result = run(transactions + CONTRACT)
    return [difference for transaction in result.transactions for difference in transaction.differences]


def call(method: str, rest: str = "") -> str:
    return f'[[transactions]]\nto = "box"\nmethod = "{method}"\n{rest}\n'


MAIN = '[[transactions]]\nto = "box"\n'


@pytest.mark.parametrize(
    "transactions",
    [
        call("set", "args = [8, -1]") + call("get", "args = [8]\nexpect.value = -1"),
        call("two", "expect.value = [-1, 1.5]"),
        call("nan", "expect.value = nan"),
        call("set", "args = [8, 5]\nexpect.storage = [{ contract = 'box', i64 = [0, 5] }]"),
        call(
            "set", "args = [8, 5]\nexpect.storage = [{ contract = 'box', offset_bytes = 8, u32 = [5, 0], pages = 1 }]"
        ),
        call("set", "args = [8, 5]\ncall = true\nexpect.storage = [{ contract = 'box', i64 = [0, 0] }]"),
        call("shout", f"expect.logs = [{{ contract = 'box', data = '0x{b'hello'.hex()}', topics = ['{'00' * 32}'] }}]"),
        call("shout", "expect.logs = [{}]"),
        call("two", "expect.logs = []"),
        call("grow", "expect.storage = [{ contract = 'box', pages = 2 }]"),
        call("trap", "expect.ok = false"),
        call("trap", "expect.error = 'unreach.*executed'\nexpect.error_kind = 'TrapError'"),
        call("trap", "gas = 12_345\nexpect = { ok = false, gas_min = 12_345, gas_max = 12_345 }"),
        call("give_up", "expect.reverts = true\nexpect.output = '0x68656c6c6f'"),
        call("give_up", "expect.error_kind = 'RevertError'"),
        MAIN + "expect.output = '68656c6c6f'",
        MAIN + "value = 3\nexpect.balance = { box = 3 }",
        call("nothing", "expect.error_kind = 'ValidationError'"),
        call("get", "expect.error = 'takes 1 argument'"),
        '[[transactions]]\nto = "0x05"\nvalue = 3\nexpect.value = []',
    ],
)
def test_expectation_that_holds_gives_no_difference(transactions: str) -> None:
    assert differences(transactions) == []


@pytest.mark.parametrize(
    ("transactions", "expected"),
    [
        (call("two", "expect.value = [-1, 2]"), Difference("value", "-1, 2", "-1, 1.5", 4)),
        (call("two", "expect.value = -1"), Difference("value", "-1", "-1, 1.5", 4)),
        (call("trap", "expect.value = 1"), Difference("outcome", "success", "a failure: ", 4)),
        (call("two", "expect.reverts = true"), Difference("outcome", "a revert", "success", 4)),
        (call("trap", "expect.reverts = true"), Difference("outcome", "a revert", "a failure: ", 4)),
        (call("two", "expect.error = 'x'"), Difference("outcome", "a failure", "success", 4)),
        (
            call("trap", "expect.error = '^x'"),
            Difference("error", "text that matches '^x'", "box at call depth 1: ", 4),
        ),
        (call("trap", "expect.error_kind = 'LinkError'"), Difference("error_kind", "LinkError", "TrapError: ", 4)),
        (call("nothing", "expect.reverts = true"), Difference("outcome", "a revert", "a failure: box: no method", 4)),
        (call("two", "expect.gas_min = 1_000_000"), Difference("gas", "at least 1,000,000", "", 4)),
        (call("two", "expect.gas_max = 0"), Difference("gas", "at most 0", "", 4)),
        (call("two", "expect.logs = [{}]"), Difference("log 0", "any contract, any topics, any data", "nothing", 4)),
        (call("shout", "expect.logs = []"), Difference("log 0", "nothing", "box, topic 0x00", 4)),
        (
            call("shout", "expect.logs = [{ contract = 'box', data = '0x01' }]"),
            Difference("log 0", "box, any topics, data 0x01", "box, topic 0x00", 4),
        ),
        (MAIN + "expect.output = ''", Difference("output", "0x (0 bytes)", "0x68656c6c6f (5 bytes)", 3)),
        (MAIN + "expect.balance = { box = 3 }", Difference("balance of box", "3", "0", 3)),
        (
            call("set", "args = [8, 5]\nexpect.storage = [{ contract = 'box', i64 = [0, 7] }]"),
            Difference("box memory[0x8] as i64", "7", "5", 5),
        ),
        (
            call("set", "args = [40, 5]\n[[transactions.expect.storage]]\ncontract = 'box'\nhex = '" + "00" * 50 + "'"),
            Difference("box memory[0x20..0x32]", "0x" + "00" * 18, "0x" + "00" * 8 + "05" + "00" * 9, 7),
        ),
        (
            call("two", "expect.storage = [{ contract = 'box', offset_bytes = 65_535, hex = '0000' }]"),
            Difference("box memory[0xffff..0x10001]", "2 bytes", "the region ends at 0x10000", 4),
        ),
        (
            call("two", "expect.storage = [{ contract = 'box', pages = 2 }]"),
            Difference("length of box memory", "2 pages", "1 page", 4),
        ),
    ],
)
def test_expectation_that_fails_gives_one_difference_with_its_line(transactions: str, expected: Difference) -> None:
    (found,) = differences(transactions)

    assert (found.what, found.wanted, found.line) == (expected.what, expected.wanted, expected.line)
    assert found.found.startswith(expected.found)


def test_many_numbers_that_differ_are_not_all_listed() -> None:
    found = differences(call("two", f"expect.storage = [{{ contract = 'box', u32 = {[1] * 20} }}]"))

    assert len(found) == 9
    assert found[-1].found == "12 more numbers that differ"


def test_transactions_after_a_difference_are_run_too() -> None:
    result = run(call("two", "expect.value = 0") + call("set", "args = [0, 1]") + call("get", "args = [0]") + CONTRACT)

    assert [transaction.ok for transaction in result.transactions] == [False, True, True]
    assert not result.ok
    assert result.transactions[2].receipt is not None
    assert result.transactions[2].receipt.value == 1


BANK = """
[accounts]
alice = 50
[contracts.bank]
code = "bank/{bank}.wat"
links = {{ customer = "attacker" }}
storage = [{{ i64 = [500] }}, {{ offset_bytes = 72, i64 = 500 }}]
[contracts.attacker]
code = "bank/attacker.wat"
links = {{ bank = "bank" }}
[[transactions]]
to = "bank"
method = "deposit"
args = [0, 100]
sender = "alice"
[[transactions]]
to = "attacker"
method = "attack"
args = [0, 2]
[transactions.expect]
storage = [{{ contract = "bank", i64 = {left} }}, {{ contract = "attacker", i64 = {loot} }}]
"""


@pytest.mark.parametrize(("bank", "left", "loot"), [("bank", 300, 300), ("bank_fixed", 500, 100)])
def test_contracts_that_are_linked_in_a_cycle_run_under_every_option(
    bank: str, left: int, loot: int, option: str
) -> None:
    result = run(BANK.format(bank=bank, left=left, loot=loot), link=option)

    assert result.ok
    assert result.link == option
    trace = result.transactions[0].receipt.trace if result.transactions[0].receipt else None
    assert trace is not None
    assert trace.label(trace.root.started.caller) == "alice"
    assert trace.label(trace.root.started.address) == "bank"


def test_init_is_run_at_deployment_and_presets_are_written_after_it() -> None:
    text = CONTRACT + "init = 'set'\nargs = [0, 7]\nstorage = [{ offset_bytes = 8, i64 = 9 }]\n"

    assert run(text + call("get", "args = [0]\nexpect.storage = [{ contract = 'box', i64 = [7, 9] }]")).ok


def test_policy_of_a_contract_is_kept() -> None:
    text = BANK.format(bank="bank", left=600, loot=0).replace(
        'code = "bank/bank.wat"', 'code = "bank/bank.wat"\npolicy = "deny"'
    )

    assert run(text).ok


def test_same_scenario_has_the_same_state_root_under_every_option() -> None:
    text = BANK.format(bank="bank", left=300, loot=300)

    assert len({run(text, link=link).state_root for link in (None, "single", "regions", "methods")}) == 1


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[contracts.x]\ncode = 'none.wat'\n", 2, 'contract "x": '),
        ("[contracts.x]\ncode = 'bank'\n", 2, "is a directory"),
        ("[contracts.x]\nwat = '''\n(module\n  (func bad))'''\n", 2, "x:2:9: "),
        ('[contracts.x]\nwat = \'(module (import "storage" "memory" (memory 2 1)))\'\n', 2, 'contract "x": '),
        ("[contracts.x]\ncode = 'bank/bank.wat'\n", 1, '(add `links = { customer = "NAME" }`)'),
        ("[contracts.x]\ncode = 'counter/counter.wat'\ninit = 'nothing'\n", 3, "no method 'nothing'"),
        (
            "[contracts.x]\ncode = 'counter/counter.wat'\n[[contracts.x.storage]]\nregion = 'm'\ni64 = 1\n",
            3,
            "region 'm'",
        ),
        (
            "[contracts.x]\ncode = 'counter/counter.wat'\nstorage = [{ offset_bytes = 90_000_000, hex = '' }]\n",
            3,
            "do not fit",
        ),
    ],
)
def test_contract_that_cannot_be_deployed_is_an_error_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        run(text + "[[transactions]]\nto = '0x1'\n")

    assert str(caught.value).startswith(f"file.toml:{line}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("transactions", "line", "message"),
    [
        (call("gte", "args = [1]"), 1, "no method 'gte' (did you mean 'get'?)"),
        (call("get"), 1, "takes 1 argument"),
        (call("get", "args = [1.5]"), 1, "an integer is needed"),
        (call("two", "sender = '0x1'\nvalue = 1"), 1, "cannot pay"),
        (
            call("two", "\nexpect.storage = [{ contract = 'box', region = 'memroy', i64 = 1 }]"),
            5,
            'did you mean "memory"?',
        ),
        (call("two", "\nexpect.storage = [{ contract = 'box', region = 'x', i64 = 1 }]"), 5, "(it has memory)"),
    ],
)
def test_transaction_that_cannot_be_run_as_written_is_an_error_with_its_line(
    transactions: str, line: int, message: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        differences(transactions)

    assert str(caught.value).startswith(f"file.toml:{line}: ")
    assert message in str(caught.value)


def test_option_that_a_contract_does_not_use_is_an_error_that_names_it_and_its_options() -> None:
    text = (
        "[contracts.money]\ncode = 'token/token_regions.wat'\nlinks = { exchange = '0x1' }\n"
        "[[transactions]]\nto = 'money'\nmethod = 'supply'\n"
    )

    assert run(text).ok
    assert run(text, link="regions").ok
    with pytest.raises(ScenarioError, match=r'file.toml:2: contract "money": .*single.* its own way: regions'):
        run(text, link="single")


def test_option_is_no_matter_to_a_contract_without_storage() -> None:
    text = "[contracts.x]\nwat = '(module (func (export \"f\")))'\n[[transactions]]\nto = 'x'\nmethod = 'f'\n"

    assert run(text, link="methods").ok


def test_a_region_of_the_contracts_own_called_slots_is_no_keyed_storage(tmp_path: Path) -> None:
    text = """
    [contracts.c]
    wat = '''(module (import "storage" "slots" (memory $s 1))
      (func (export "f") (i64.store $s (i32.const 0) (i64.const 5))))'''
    storage = [{ region = "slots", offset_bytes = 8, i64 = 7 }]
    [[transactions]]
    to = "c"
    method = "f"
    expect.storage = [{ contract = "c", region = "slots", i64 = [5, 7] }]
    """
    assert run_scenario(parse_scenario(text, path="test.toml", folder=tmp_path)).ok


def test_a_contract_that_its_transaction_destroyed_is_checked_like_any_other(tmp_path: Path) -> None:
    text = """
    [contracts.c]
    wat = '''(module (import "ethereum" "selfDestruct" (func $destroy (param i32)))
      (import "contract:d" "end" (func $end)) (memory (export "memory") 1)
      (func (export "f") (result i32) (call $end) (i32.const -1))
      (func (export "die") (call $destroy (i32.const 0))))'''
    links = { d = "d" }
    [contracts.d]
    wat = '''(module (import "contract:c" "die" (func $die)) (func (export "end") (call $die)))'''
    links = { c = "c" }
    [[transactions]]
    to = "c"
    method = "f"
    expect.value = -1
    [[transactions]]
    to = "c"
    expect.ok = true
    """
    assert run_scenario(parse_scenario(text, path="test.toml", folder=tmp_path)).ok


BYTES = '''
[contracts.log]
wat = """
(module
  (import "storage" "log" (memory $log 100 200000 (pagesize 1)))
  (func (export "append") (param i64) (i64.store $log (memory.grow $log (i32.const 8)) (local.get 0))))
"""

[[transactions]]
to = "log"
method = "append"
args = [7]
'''


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ("length_bytes = 108", None),
        ("length_bytes = 108, pages = 1, offset_bytes = 100, i64 = [7]", None),
        ("length_bytes = 109", ("length of log log", "109 bytes", "108 bytes")),
        ("offset_bytes = 104, i64 = [7]", ("log log[0x68..0x70]", "8 bytes", "the region ends at 0x6c")),
    ],
)
def test_a_length_in_bytes_is_expected_and_contents_end_there(
    expected: str, found: tuple[str, str, str] | None
) -> None:
    text = BYTES + f'expect.storage = [{{ contract = "log", region = "log", {expected} }}]\n'
    (transaction,) = run(text).transactions
    assert [(each.what, each.wanted, each.found) for each in transaction.differences] == ([found] if found else [])
