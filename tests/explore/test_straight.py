"""Attackers in straight-line code: what stands in them, and that they do what the attackers of the search did."""

from __future__ import annotations

import random
from pathlib import Path

import attrs
import pytest

from storagemod.explore import Call, Ending, Reaction
from storagemod.explore.attacker import EntryPoint
from storagemod.explore.straight import contracts_of
from storagemod.explore.turns import NotStraightError, read_transaction
from storagemod.explore.write import write_tests
from storagemod.limits import Limits
from storagemod.scenario import load_scenario, run_scenario
from storagemod.types import Address, FunctionType
from storagemod.wasm import to_wasm
from storagemod.world import Receipt, World

from .attacks import (
    CONTRACT,
    MALLORY,
    TRUDY,
    attack,
    broken,
    contract,
    operation,
    random_bodies,
    random_script,
    written,
)
from .examples import rule, scenario, shop

SCRIPTED = "The attackers go by a script in their storage"
ADD, KEEP, PUT = operation("add", 0, 0, 1), operation("keep", 0, 0, 0), operation("put", 0, 0, 0)
HOOK, TRY, ASK = operation("hook", 0, 0, 0), operation("try", 1, 0, 0), operation("ask", 2, 0, 1)
PAY, STATIC, PAY_TRUDY = operation("pay", 1, 0, 0), operation("static", 3, 0, 0), operation("trudy", 2, 0, 0)


def call(number: int, *reactions: Reaction, sender: Address | None = None) -> Call:
    return Call(CONTRACT, f"m{number}", sender=sender, reactions=reactions)


def sent(number: int, *reactions: Reaction, sender: Address = MALLORY) -> Call:
    return call(number, *reactions, sender=sender)


def hook(*calls: Call, ending: Ending = Ending.RETURN, site: str = "hook") -> Reaction:
    return Reaction(MALLORY, site, calls=calls, ending=ending)


def code(text: str) -> str:
    """The code of the last attacker in the text of a scenario, without indentation."""
    wat = text.rpartition("wat = '''\n")[2].partition("'''")[0]
    return "\n".join(line.strip() for line in wat.splitlines())


def test_what_is_written_leads_where_the_script_did_and_hardly_ever_goes_by_it(tmp_path: Path) -> None:
    """Each invariant is broken by one state alone. Scripts are of up to three transactions, nested three deep."""
    scripted, tried = [], 0
    for seed in range(120):
        source = random.Random(seed)  # noqa: S311 - a script, no secret
        found = broken(random_bodies(source), random_script(source), tmp_path)
        if found is not None:
            tried += 1
            if SCRIPTED in written(*found, tmp_path / str(seed)):
                scripted.append(seed)

    assert tried > 40
    assert len(scripted) <= 0.05 * tried, scripted


def test_a_hook_that_does_one_thing_is_one_line(tmp_path: Path) -> None:
    of = contract([[KEEP, HOOK, PUT, ADD], [ADD]], "c.memory[0] != 1")
    text = written(of, (sent(0, hook(call(1))),), tmp_path)

    assert code(text) == "\n".join(
        [
            "(module",
            '(import "contract:c" "m1" (func $c.m1))',
            "",
            ";; Called by c::m0.",
            '(func (export "hook")',
            "(call $c.m1))",
            "",
            ";; Not called in this attack.",
            '(func (export "ask") (param i64) (result i64) (i64.const 0)))',
        ]
    )


def test_a_hook_that_does_different_things_counts_its_calls(tmp_path: Path) -> None:
    of = contract([[HOOK, ADD]], "c.memory[0] != 3")
    text = written(
        of,
        (
            sent(
                0,
                hook(call(0, hook(call(0)))),
            ),
        ),
        tmp_path,
    )

    assert ";; The first two times:\n(if (i32.le_u (call $count) (i32.const 2))\n(then (call $c.m0))" in code(text)
    assert "own_link = true" in text


def test_a_call_that_fails_is_caught_and_one_that_does_not_is_plain(tmp_path: Path) -> None:
    fail = operation("require", 3, 0, 1)
    of = contract([[HOOK, ADD], [fail], [ADD]], "c.memory[0] != 2")
    text = written(of, (sent(0, hook(call(1), call(2))),), tmp_path)

    assert '(import "contract:c" "m1?" (func $c.m1.try (result i32)))' in text
    assert '(import "contract:c" "m2" (func $c.m2))' in text
    assert "(drop (call $c.m1.try))\n(call $c.m2)" in code(text)


def test_the_same_call_that_fails_only_once_is_caught_each_time_without_a_count(tmp_path: Path) -> None:
    """A guard lets the first through: the attacker always tries, and needs no count."""
    guard = operation("require", 3, 0, 0)
    of = contract([[HOOK, ADD], [guard, operation("add", 3, 0, 1), ADD]], "c.memory[0] != 3")
    text = written(of, (sent(0, hook(call(1))), sent(0, hook(call(1)))), tmp_path)

    assert "(drop (call $c.m1.try))" in text
    assert "$count" not in text


@pytest.mark.parametrize(
    ("ending", "line"),
    [(Ending.REVERT, "(call $revert (i32.const 0) (i32.const 0))"), (Ending.TRAP, "(unreachable)")],
)
def test_endings_other_than_returning(tmp_path: Path, ending: Ending, line: str) -> None:
    of = contract([[TRY]], f"c.memory[8] != {2 if ending is Ending.REVERT else 1}")

    assert line in written(of, (sent(0, hook(ending=ending)),), tmp_path)


def test_numbers_that_are_returned(tmp_path: Path) -> None:
    of = contract([[ASK, ASK]], "c.memory[16] != -14")
    reactions = (Reaction(MALLORY, "ask", values=(-5,)), Reaction(MALLORY, "ask", values=(1,)))
    text = written(of, (sent(0, *reactions),), tmp_path)

    assert ";; The first time:\n(if (i32.eq (local.get $call) (i32.const 1))\n(then (return (i64.const -5))))" in code(
        text
    )
    assert ";; The second time:\n(if (i32.eq (local.get $call) (i32.const 2))\n(then (return (i64.const 1))))" in code(
        text
    )


def test_in_static_calls_a_hook_goes_by_what_was_counted_elsewhere(tmp_path: Path) -> None:
    of = contract([[STATIC, HOOK, STATIC]], "c.memory[24] != 6")
    reactions = (Reaction(MALLORY, "main", static=True, ending=Ending.REVERT), hook())
    text = written(of, (sent(0, *reactions),), tmp_path)

    assert ";; Called by c::m0 in a static call." in text
    assert ";; While the count is 0:\n(if (i32.eq (i32.load $storage (i32.const 0)) (i32.const 0))" in code(text)
    assert '(func (export "hook")\n(drop (call $count))' in code(text)


def test_a_hook_that_is_called_in_static_calls_and_in_others(tmp_path: Path) -> None:
    of = contract([[PAY, STATIC], [ADD]], "c.memory[0] != 1 or c.memory[24] != 2")
    reactions = (
        hook(call(1), site="main"),
        Reaction(MALLORY, "main", static=True, ending=Ending.REVERT),
    )
    text = written(of, (sent(0, *reactions),), tmp_path)

    assert SCRIPTED not in text
    assert ";; Called by c::m0 and c::m0 in a static call." in text


def test_a_transaction_that_failed_is_not_counted_so_that_the_count_is_set(tmp_path: Path) -> None:
    fail = operation("require", 3, 0, 1)
    of = contract([[ASK, fail], [ASK]], "c.memory[16] != 2")
    script = (
        sent(0, Reaction(MALLORY, "ask", values=(1,))),
        sent(1, Reaction(MALLORY, "ask", values=(2,))),
    )
    text = written(of, script, tmp_path)
    path = next(tmp_path.glob("*.toml"))

    assert [spec.method for spec in load_scenario(path).transactions] == ["m0", "arm", "m1"]
    assert 'name = "mallory counts the calls that failed"' in text
    assert '(func (export "arm") (param $count i32) (call $set_count (local.get $count)))' in text


def test_the_method_that_sets_the_count_has_another_name_than_any_hook(tmp_path: Path) -> None:
    of = contract([[ASK, operation("require", 3, 0, 1)], [ASK]], "c.memory[16] != 2")
    script = (sent(0, Reaction(MALLORY, "ask", values=(1,))), sent(1, Reaction(MALLORY, "ask", values=(2,))))
    found = attack(of, script)
    mallory, trudy = found.attackers
    mallory = attrs.evolve(mallory, hooks={**mallory.hooks, "arm": FunctionType()})
    path, _ = write_tests(attrs.evolve(found, attackers=(mallory, trudy)), tmp_path)

    assert [spec.method for spec in load_scenario(path).transactions] == ["m0", "arm_", "m1"]


def test_a_call_that_failed_is_counted_by_the_attacker_who_made_it(tmp_path: Path) -> None:
    fail = operation("require", 3, 0, 1)
    of = contract([[HOOK], [ASK, fail], [ASK]], "c.memory[16] != 2")
    inner = (
        call(1, Reaction(MALLORY, "ask", values=(1,))),
        call(2, Reaction(MALLORY, "ask", values=(2,))),
    )
    text = written(of, (sent(0, hook(*inner)),), tmp_path)

    assert ";; Count on from here, whatever failed and took its steps back.\n(call $set_count (i32.const 2))" in code(
        text
    )


def test_several_attackers_each_have_a_contract_and_who_only_gets_money_has_none(tmp_path: Path) -> None:
    of = contract([[HOOK, PAY_TRUDY, ADD], [ADD]], "c.memory[0] != 3")
    both = written(of, (sent(0, hook(call(1)), Reaction(TRUDY, "main", calls=(call(1),))),), tmp_path)
    one = written(of, (sent(0, hook(call(1), call(1))),), tmp_path / "one")

    assert "[contracts.mallory]" in both
    assert "[contracts.trudy]" in both
    assert "[contracts.mallory]" in one
    assert "[contracts.trudy]" not in one
    assert 'trudy = { address = "0x000000000000000000000000000000000000000a", balance = 100 }' in one


def test_money_and_data_are_sent_by_a_function_of_the_host(tmp_path: Path) -> None:
    of = contract([[HOOK, ADD]], "c.memory[0] != 1 or balance(c) != 57")
    data = Call(CONTRACT, None, data=b"\x01\xff", value=7)
    text = written(of, (sent(0, hook(data)),), tmp_path)

    assert ";; the address of c\n" in text
    assert '"\\07\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00")  ;; the value 7\n' in text
    assert '"\\01\\ff")  ;; data for c\n' in text
    assert ";; c::main{value: 7}(0x01ff)\n(drop (call $ethereum.call (i64.const" in code(text)


def test_calls_of_the_transactions_before_the_attack_count_as_well(tmp_path: Path) -> None:
    """An attacker's contract is there from the start, so that they must find it idle."""
    of = contract([[HOOK, ADD], [ADD]], "c.memory[0] < 4")
    before = scenario(f"""
[accounts]
alice = 1
mallory = {{ address = "0x09" }}
[explore]
untrusted = ["mallory"]
[contracts.c]
address = "0x20"
links = {{ hook = "mallory" }}
wat = '''{of.contracts["c"].wat}'''
[[transactions]]
to = "c"
method = "m0"
sender = "alice"
{rule("c.memory[0] < 3")}""")
    text = written(before, (sent(0, hook(call(1))),), tmp_path)

    assert ";; Called by c::m0; one time before the attack." in text
    assert ";; The second time:" in text


def test_names_that_wat_does_not_have_and_floats_are_written_as_they_are(tmp_path: Path) -> None:
    named = scenario(f"""
[accounts]
mallory = {{ address = "0x09" }}
[contracts.c]
address = "0x20"
wat = '''(module
  (import "storage" "memory" (memory $storage 1))
  (import "contract:x y" "h \u00e4?" (func $hook (param f64) (result i32 f32 f64)))
  (memory (export "memory") 1)
  (func (export "m0") (local $f f32) (local $g f64)
    (call $hook (f64.const 1))
    (local.set $g) (local.set $f) (drop)
    (f32.store $storage (i32.const 0) (local.get $f)) (f64.store $storage (i32.const 8) (local.get $g)))
  (func (export "s\u00e9t; ()") (param f32 f64) (f64.store $storage (i32.const 16) (local.get 1))))'''
links = {{ "x y" = "mallory" }}
{rule("c.memory[16] == 0")}""")
    inner = Call(CONTRACT, "s\u00e9t; ()", (float("nan"), -1.5e300))
    reaction = Reaction(MALLORY, "h \u00e4", calls=(inner,), values=(0.5, float("-inf")))
    text = written(named, (sent(0, reaction),), tmp_path)

    assert (
        '(import "contract:c" "s\\\\c3\\\\a9t\\\\3b\\\\20\\\\28\\\\29"' in text
        or '"s\\c3\\a9t\\3b\\20\\28\\29"' in text
    )
    assert "(f32.const nan) (f64.const -1.5e+300)" in text
    assert "(f32.const 0.5) (f64.const -inf)" in text


def test_whose_code_runs_on_the_storage_of_a_victim_goes_by_a_script(tmp_path: Path) -> None:
    of = scenario(f"""
[accounts]
mallory = {{ address = "0x09" }}
[explore]
untrusted = ["mallory"]
[contracts.c]
address = "0x20"
wat = '''(module
  (import "storage" "memory" (memory $storage 1))
  (import "ethereum" "callDelegate" (func $delegate (param i64 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (memory 1) (i32.const 19) "\\09")
  (func (export "m0")
    (drop (call $delegate (i64.const 1000000) (i32.const 0) (i32.const 0) (i32.const 0)))
    (i64.store $storage (i32.const 8) (i64.const 1))))'''
{rule("c.memory[8] == 0")}""")
    text = written(of, (sent(0),), tmp_path)

    assert f"# {SCRIPTED}: an attacker's code runs on the storage of another contract." in text


# What the search does not do yet, from attackers by hand


BYSTANDER = """(module
  (import "storage" "memory" (memory $storage 1))
  (memory (export "memory") 1)
  (func (export "main") (i64.store $storage (i32.const 0) (i64.add (i64.load $storage (i32.const 0)) (i64.const 1))))
  (func (export "set") (param i64) (i64.store $storage (i32.const 8) (local.get 0))))"""

BY_HAND = """(module
  (import "contract:trudy" "set" (func $set (param i64)))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callCode" (func $code (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callDelegate" (func $delegate (param i64 i32 i32 i32) (result i32)))
  (import "ethereum" "callStatic" (func $static (param i64 i32 i32 i32) (result i32)))
  (import "ethereum" "selfDestruct" (func $destroy (param i32)))
  (import "ethereum" "create" (func $create (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 19) "\\0a") (data (i32.const 32) "\\05") (data (i32.const 64) "{init}")
  (func (export "main")
    (call $set (i64.const 77))
    (drop (call $call (i64.const 100000000) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 3)))
    (drop (call $static (i64.const 100000000) (i32.const 0) (i32.const 0) (i32.const 3)))
    (drop (call $code (i64.const 100000000) (i32.const 0) (i32.const 32) (i32.const 64) (i32.const 9)))
    (drop (call $delegate (i64.const 100000000) (i32.const 0) (i32.const 64) (i32.const 0)))
    (drop (call $create (i32.const 32) (i32.const 64) (i32.const {length}) (i32.const 1024)))
    (drop (call $create (i32.const 48) (i32.const 64) (i32.const 0) (i32.const 1024)))
    (call $destroy (i32.const 0))))"""


def by_hand() -> str:
    init = to_wasm(BYSTANDER.replace("i64.const 1", "i64.const 9"), name="init", limits=Limits())
    return BY_HAND.format(init="".join(f"\\{byte:02x}" for byte in init), length=len(init))


def transact(mallory: str, links: dict[str, Address]) -> tuple[World, Receipt]:
    world = World()
    world.deploy(BYSTANDER, address=TRUDY, name="trudy")
    world.deploy(mallory, address=MALLORY, links=links, balance=20, name="mallory")
    return world, world.transact(MALLORY)


def test_actions_that_are_not_in_scripts_are_written_from_what_happened() -> None:
    """An attacker calls by an import, sends money, borrows code, creates contracts, and destroys itself."""
    first, receipt = transact(by_hand(), {"trudy": TRUDY})
    assert receipt.trace is not None
    (attacker,) = attack(shop(rule("shop.memory[0] < 0")), (Call(CONTRACT, "main", sender=MALLORY),)).attackers
    known = (EntryPoint(TRUDY, "set", FunctionType(("i64",))),)
    attacker = attrs.evolve(attacker, account=MALLORY, hooks={}, entry_points=known, links={})
    transaction = read_transaction(receipt.trace.raw_events)

    written = contracts_of([transaction], [attacker], {TRUDY: "trudy"})[MALLORY]
    straight, again = transact(written.wat, dict(written.links))

    assert again.ok
    for world in (first, straight):
        assert not world.account(MALLORY).code
        assert world.account(TRUDY).balance == 15  # a contract that was created has the other 5
        assert world.storage(TRUDY)["memory"][8:9] == b"\x4d"
    assert first.storage(TRUDY)["memory"][0:16] == straight.storage(TRUDY)["memory"][0:16]
    assert straight.state_root == first.state_root
    for name in ("call", "callCode", "callDelegate", "callStatic", "create", "selfDestruct"):
        assert f'(import "ethereum" "{name}"' in written.wat


def test_a_method_of_a_type_that_is_not_known_cannot_be_imported() -> None:
    _, receipt = transact(by_hand(), {"trudy": TRUDY})
    assert receipt.trace is not None
    (attacker,) = attack(shop(rule("shop.memory[0] < 0")), (Call(CONTRACT, "main", sender=MALLORY),)).attackers
    attacker = attrs.evolve(attacker, account=MALLORY, hooks={})

    with pytest.raises(NotStraightError, match=r"an attacker cannot import 0x0{38}0a::set"):
        contracts_of([read_transaction(receipt.trace.raw_events)], [attacker], {})


@pytest.mark.parametrize("link", ["single", "methods", "regions", "keyed", "copied", "paged", "window"])
def test_attackers_that_count_run_under_every_option(tmp_path: Path, link: str) -> None:
    wat = (Path(__file__).parents[2] / "wat" / "bank" / "bank.wat").read_text()
    of = scenario(f"""
[accounts]
mallory = {{ address = "0x09" }}
[contracts.bank]
address = "0x20"
wat = '''{wat}'''
links = {{ customer = "mallory" }}
[[transactions]]
to = "bank"
method = "deposit"
args = [0, 5]
{rule("bank.memory[0] == sum(bank.memory[64:])")}""")
    again = Reaction(MALLORY, "receive", calls=(Call(CONTRACT, "withdraw", (0,)),))
    script = (Call(CONTRACT, "withdraw", (0,), sender=MALLORY, reactions=(again,)),)
    text = written(of, script, tmp_path)

    assert "$count" in text
    assert not run_scenario(load_scenario(next(tmp_path.glob("*.toml"))), link=link).ok
