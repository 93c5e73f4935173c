"""States at call boundaries against a plain oracle, under every linking option; what `run` makes of callouts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod import World
from storagemod.scenario import deploy_scenario, load_contract, parse_scenario, run_scenario
from storagemod.scenario.boundaries import boundaries
from storagemod.scenario.contents import contents
from storagemod.scenario.fixtures import fixture_path
from storagemod.scenario.puppet import Call, Grow, Load, Operation, Revert, Script, Store, Store8, Trap
from storagemod.types import Address, CallKind

from .plain_boundaries import PlainBoundary, plain_boundaries

pytestmark = pytest.mark.storagemod(strict=False)  # puppets fail, and states are compared all the same

PUPPETS = tuple(map(Address, (0x9E00_0001, 0x9E00_0002, 0x9E00_0003)))
PERSON = Address(0x5E01)
SEEN = 8_320
"""The bytes of a region that scripts write to, and some more."""
OPTIONS = ("single", "regions", "methods", "keyed", "copied", "paged", "aliased", "window")

NAMES = parse_scenario(
    "[contracts.a]\nwat = ''\naddress = '0x9e000001'\n[contracts.b]\nwat = ''\naddress = '0x9e000002'\n"
    "[[transactions]]\nto = 'a'\n",
    path="it.toml",
    folder=Path(),
)

writes: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Store, st.sampled_from([0, 8, 4_092, 8_192]), st.integers(0, 3)),
    st.builds(Store8, st.sampled_from([0, 4_095]), st.integers(0, 2)),
    st.builds(Load, st.just(0)),
)
endings: st.SearchStrategy[list[Operation]] = st.sampled_from([[], [], [], [Revert()], [Trap()]])


def scripts(depth: int, *, grow: bool) -> st.SearchStrategy[Script]:
    work = st.one_of(writes, st.builds(Grow, st.just(1))) if grow else writes
    steps: st.SearchStrategy[Operation] = work
    if depth:
        below = scripts(depth - 1, grow=grow)
        paid = st.builds(Call, st.sampled_from(PUPPETS), below, value=st.sampled_from([0, 0, 5]))
        other = st.builds(
            Call, st.sampled_from(PUPPETS), below, kind=st.sampled_from([CallKind.DELEGATE, CallKind.STATIC])
        )
        sent = st.builds(lambda value: Call(PERSON, b"", value=value), st.integers(0, 9))
        steps = st.one_of(work, paid, paid, other, sent)
    return st.builds(lambda body, end: Script(*body, *end), st.lists(steps, max_size=4), endings)


@pytest.fixture(scope="module", params=OPTIONS)
def puppets(request: pytest.FixtureRequest) -> tuple[str, World]:
    option, world = request.param, World()
    code = load_contract(fixture_path("puppet/puppet"), label="puppet", option=option).code
    for address in PUPPETS:
        mapping = option if option in {"copied", "paged", "aliased"} else None
        world.deploy(code, address=address, balance=20, mapping=mapping)
    world.fund(PERSON, 7)
    return option, world


def agree(world: World, script: Script, untrusted: frozenset[Address]) -> None:
    trace = world.call(PUPPETS[0], data=bytes(script)).trace
    assert trace is not None
    wanted = plain_boundaries(trace, world, untrusted)
    count = 0
    states: dict[int, object] = {}
    for found, plain in zip(boundaries(trace, world, untrusted), wanted, strict=True):
        count += 1
        assert (found.call_id, found.moment, found.is_callout) == (plain.call_id, plain.moment, plain.is_callout)
        assert found.entered == plain.entered
        if not plain.is_callout:
            assert found.active == plain.active
        expected = regions_of(world, plain)
        read = {
            (address, name): (len(view), view[0:SEEN])
            for address in PUPPETS
            for name, view in contents(world, address, found).items()
        }
        money = {address: found.balances.get(address, world.account(address).balance) for address in (*PUPPETS, PERSON)}
        with world.snapshot():
            found.apply(world)
            applied = {
                (address, name): (len(view), view[0:SEEN])
                for address in PUPPETS
                for name, view in contents(world, address).items()
            }
            assert money == {address: world.account(address).balance for address in money}
        assert {key: read[key] for key in expected} == expected
        assert applied == read
        assert money == {address: plain.balances.get(address, world.account(address).balance) for address in money}
        assert states.setdefault(found.state, (read, money)) == (read, money)
    assert count == len(wanted)
    some = [each for each in wanted if each.is_callout or each.entered]
    short = boundaries(trace, world, untrusted, callouts_only=True)
    assert [(each.call_id, each.moment) for each in short] == [(each.call_id, each.moment) for each in some]


def regions_of(world: World, plain: PlainBoundary) -> dict[tuple[Address, str], tuple[int, bytes]]:
    regions = {
        (address, name): bytearray(view[:]) for address in PUPPETS for name, view in world.storage(address).items()
    }
    for key, length in plain.lengths.items():
        regions[key] += bytes(length - len(regions[key]))
    for (address, name, offset), byte in plain.bytes.items():
        regions[address, name][offset] = byte
    return {key: (len(data), bytes(data[:SEEN])) for key, data in regions.items()}


def test_the_state_at_each_boundary_is_that_of_the_plain_oracle(puppets: tuple[str, World]) -> None:
    option, world = puppets

    @settings(max_examples=30, deadline=None)
    @given(scripts(3, grow=option in {"single", "methods"}), st.frozensets(st.sampled_from([*PUPPETS, PERSON])))
    def runs(script: Script, untrusted: frozenset[Address]) -> None:
        agree(world, script, untrusted)

    runs()


BANK = """
[accounts]
alice = 100
[contracts.mallory]
wat = '''(module
  (import "contract:bank" "take?" (func $take (param i64) (result i32)))
  (import "contract:bank" "total?" (func $total (result i32 i64)))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "rob") (drop (call $take (i64.const 10))))
  (func (export "main") {reaction}))'''
links = {{ bank = "bank" }}
address = "0x09"
[contracts.bank]
wat = '''(module
  (import "storage" "memory" (memory $storage 1))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (memory $own (export "memory") 1)
  (func (export "take") (param $amount i64) {guard}
    (i64.store $storage (i32.const 8) (i64.const 1))
    (i32.store8 $own (i32.const 19) (i32.const 9))
    (i64.store $own (i32.const 32) (local.get $amount))
    (drop (call $call (i64.const 1000000) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0)))
    (i64.store $storage (i32.const 0) (i64.sub (i64.load $storage (i32.const 0)) (local.get $amount)))
    (i64.store $storage (i32.const 8) (i64.const 0)))
  (func (export "total") (result i64) (i64.load $storage (i32.const 0)))
  (func (export "main")))'''
address = "0x0b"
balance = 100
storage = [{{ i64 = 100 }}]
[explore]
untrusted = ["mallory"]
[[transactions]]
to = "mallory"
method = "rob"
[[invariants]]
expr = '{expr}'
at = "callouts"
"""
BOOKS = "balance(bank) == bank.memory[0]"
VIEW = 'call(bank, "total") == balance(bank)'
PAY_BACK = """
(i32.store8 (i32.const 19) (i32.const 11)) (i64.store (i32.const 32) (i64.const 3))
(drop (call $call (i64.const 100000) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0)))
"""
LOCK = "(if (i64.ne (i64.load $storage (i32.const 8)) (i64.const 0)) (then (unreachable)))"


def differences(expr: str, reaction: str, guard: str = "") -> list[tuple[str, str]]:
    text = BANK.format(expr=expr, reaction=reaction, guard=guard)
    result = run_scenario(parse_scenario(text, path="it.toml", folder=Path()))
    return [(each.what, each.found) for each in result.transactions[0].differences]


def test_books_must_be_right_where_untrusted_code_calls_in_and_the_contract_acts() -> None:
    once = "(drop (call $take (i64.const 0)))"  # nested without end, but for gas
    ((what, found),) = differences(BOOKS, once)
    assert what == f'invariant "{BOOKS}" at the start of call 3'
    assert found == "balance(bank) = 90; bank.memory[0] = 100"


@pytest.mark.parametrize(
    ("reaction", "guard"),
    [
        ("", ""),
        ("(drop (call $take (i64.const 0)))", LOCK),
        ("(drop (drop (call $total)))", ""),
        (PAY_BACK, ""),
    ],
    ids=["it does nothing", "it is not let in", "it is only told something", "it only pays"],
)
def test_what_nobody_acts_on_is_no_violation_of_books(reaction: str, guard: str) -> None:
    assert differences("balance(bank) >= bank.memory[0]", reaction, guard) == []


def test_a_view_must_be_right_whenever_untrusted_code_has_control() -> None:
    ((what, found),) = differences(VIEW, "")
    assert what == f'invariant "{VIEW}" at the start of call 2'
    assert found == "call(bank, 'total') = 100; balance(bank) = 90"


def test_contracts_that_are_trusted_may_be_in_the_middle_of_something() -> None:
    text = BANK.format(expr=VIEW, reaction="", guard="").replace('untrusted = ["mallory"]', "untrusted = []")
    assert run_scenario(parse_scenario(text, path="it.toml", folder=Path())).ok
    everywhere = text.replace('at = "callouts"', 'at = "boundaries"')
    assert not run_scenario(parse_scenario(everywhere, path="it.toml", folder=Path())).ok


def test_invariants_of_one_name_are_checked_each() -> None:
    other = "\n[[invariants]]\nname = 'it'\nexpr = 'call(bank, \"total\") == 100'\nat = 'callouts'\n"
    text = BANK.format(expr="1 == 2", reaction="", guard="").replace('at = "c', "name = 'it'\nat = \"c") + other
    result = run_scenario(parse_scenario(text, path="it.toml", folder=Path()))
    assert [each.wanted for each in result.transactions[0].differences] == ["1 == 2", 'call(bank, "total") == 100']


def test_control_passes_where_calls_start_and_end() -> None:
    of = parse_scenario(BANK.format(expr=VIEW, reaction="", guard=""), path="it.toml", folder=Path())
    world = World()
    deploy_scenario(of, world)
    trace = world.call(of.addresses["mallory"], "rob").trace
    assert trace is not None
    assert [(each.call_id, each.moment) for each in boundaries(trace, world, [of.addresses["mallory"]])] == [
        (1, "start"),
        (2, "start"),
        (2, "end"),
        (1, "end"),
    ]
