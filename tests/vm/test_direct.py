"""Direct calls: contracts call one another from wasm to wasm, and nobody can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from storagemod import Address, Limits, Outcome, Receipt, World
from storagemod.errors import DeadlineError, ValidationError
from storagemod.events import Event
from storagemod.types import CallMode, FunctionType, ReentryPolicy, ValueType
from storagemod.vm import DirectRuns, Frame
from storagemod.vm.contract import Contract
from storagemod.vm.direct import DirectCalls, _gate_module
from storagemod.vm.machine import Machine
from storagemod.vm.storage import StorageInstance
from storagemod.wasm import InstancePool
from tests.vm.direct_histories import check_history

A, B, C = Address(0xA1), Address(0xB2), Address(0xC3)


class Twins:
    """Two worlds, in which contracts call one another directly and through the host. What is done is done to both."""

    def __init__(self, **settings: object) -> None:
        self.direct, self.mediated = (World(trace=False, calls=each, **settings) for each in ("direct", "mediated"))  # type: ignore[arg-type]

    def deploy(self, code: str, **settings: object) -> Address:
        self.direct.deploy(code, **settings)  # type: ignore[arg-type]
        return self.mediated.deploy(code, **settings)  # type: ignore[arg-type]

    def transact(self, to: Address, method: str | None = None, *args: float, **settings: int) -> Receipt:
        direct, mediated = (
            world.transact(to, method, *args, **settings)  # type: ignore[arg-type]
            for world in (self.direct, self.mediated)
        )
        assert direct == mediated
        assert self.direct.state_root == self.mediated.state_root
        return direct

    @contextmanager
    def completing(self, completed: int = 1, redone: int = 0) -> Iterator[None]:
        """Check how many direct runs are completed and redone inside."""
        before = self.direct.direct_runs
        yield
        after = self.direct.direct_runs
        assert (after.completed - before.completed, after.redone - before.redone) == (completed, redone)


COUNTER = """(module (import "storage" "memory" (memory $s 1))
  (func (export "add") (param i64) (result i64)
    (i64.store $s (i32.const 0) (i64.add (i64.load $s (i32.const 0)) (local.get 0)))
    (i64.load $s (i32.const 0))))"""

CALLER = """(module (import "storage" "memory" (memory $s 1))
  (import "contract:counter" "add" (func $add (param i64) (result i64)))
  (func (export "go") (param i64) (result i64)
    (i64.store $s (i32.const 8) (call $add (local.get 0)))
    (i64.add (call $add (i64.const 1)) (i64.load $s (i32.const 8)))))"""

RECURSIVE = """(module (import "storage" "memory" (memory $s 1))
  (import "contract:peer" "go" (func $go (param i32) (result i32)))
  (func (export "go") (param i32) (result i32)
    (i32.store $s (i32.const 0) (i32.add (i32.load $s (i32.const 0)) (i32.const 1)))
    (if (result i32) (local.get 0)
      (then (i32.add (call $go (i32.sub (local.get 0) (i32.const 1))) (i32.load $s (i32.const 0))))
      (else (i32.load $s (i32.const 0)))))
  (func (export "spend") (param i32) (result i32) (local i32)
    (local.set 1 (call $go (i32.const 0)))
    (loop $l (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if $l (i32.gt_s (local.get 0) (i32.const 0))))
    (i32.add (local.get 1) (call $go (i32.const 0)))))"""


CATCHING = """(module (import "contract:counter" "add?" (func $add (param i64) (result i32 i64)))
  (func (export "go") (result i32) (call $add (i64.const 1)) drop))"""

SPINNER = """(module (func (export "add") (param i64) (result i64)
  (loop $l (local.set 0 (i64.sub (local.get 0) (i64.const 1))) (br_if $l (i64.ne (local.get 0) (i64.const 0))))
  (local.get 0)))"""


def linked(code: str, *, links: dict[str, Address] | None = None, counter: str = COUNTER, **settings: object) -> Twins:
    """Deploy the counter and a contract that calls it."""
    twins = Twins(**settings)
    twins.deploy(counter, address=B)
    twins.deploy(code, address=A, links=links or {"counter": B})
    return twins


def in_a_cycle(**settings: object) -> Twins:
    twins = Twins(**settings)
    for address, peer in ((A, B), (B, A)):
        twins.deploy(RECURSIVE, address=address, links={"peer": peer})
    return twins


def test_a_call_runs_directly() -> None:
    twins = linked(CALLER)
    with twins.completing(2):
        assert twins.transact(A, "go", 5).value == 5 + 6
        receipt = twins.transact(A, "go", 5)
    assert receipt.value == 11 + 12
    assert receipt.costs.host_calls == 2  # by rule: each is one
    assert receipt.costs.instances == 5
    assert [each.region for each in receipt.changes[B]] == ["memory"]


@pytest.mark.parametrize("seed", range(0, 120, 20))
def test_histories_are_the_same(seed: int) -> None:
    """Random contracts, links, policies, limits and gas; receipts are equal in everything."""
    outcomes: Counter[str] = Counter()
    for each in range(seed, seed + 20):
        check_history(each, outcomes)
    assert min(outcomes[each] for each in ("OK", "FAILED", "completed", "redone")) > 0


def test_contracts_in_a_cycle_reenter_one_another() -> None:
    twins = in_a_cycle()
    for depth in (0, 1, 5, 60, 5):
        with twins.completing(1 if depth else 0):
            assert twins.transact(A, "go", depth).ok
    assert twins.direct.storage(A)["memory"].read_int(0) == 1 + 1 + 3 + 31 + 3


@pytest.mark.parametrize(("depth_max", "calls_max"), [(7, 100), (100, 7)])
def test_limits_on_calls_hold_to_the_call(depth_max: int, calls_max: int) -> None:
    twins = in_a_cycle(limits=Limits(call_depth_max=depth_max, calls_max=calls_max))
    with twins.completing(1):
        assert twins.transact(A, "go", 6).ok
    with twins.completing(0, redone=1):
        receipt = twins.transact(A, "go", 7)
    assert "more than 7 calls" in str(receipt.error) or "deeper than 7" in str(receipt.error)


@pytest.mark.parametrize("limit", ["call_depth_max", "calls_max"])
def test_a_first_call_that_is_one_too_many_is_that_callees_failure(limit: str) -> None:
    """No call was begun before, and still the caller is not at fault."""
    twins = linked(CATCHING, limits=Limits(**{limit: 1}))
    with twins.completing(0, redone=1):
        assert twins.transact(A, "go").value == 1


@pytest.mark.parametrize("loops", [0, 10, 1_000])
def test_gas_bounds_to_the_unit(loops: int) -> None:
    """Both before and after much is used, calls get 63 of 64 parts of what is left."""
    twins = in_a_cycle()
    cost = twins.transact(A, "spend", loops).gas_used
    outcomes = [twins.transact(A, "spend", loops, gas=gas).outcome for gas in range(cost - 3, cost + cost // 20 + 3)]
    assert {*outcomes} == {Outcome.OK, Outcome.FAILED}


def test_deep_calls_have_the_gas_that_is_left_to_them() -> None:
    twins = in_a_cycle()
    outcomes = [twins.transact(A, "go", 40, gas=gas).outcome for gas in range(4_000, 300, -61)]
    assert {*outcomes} == {Outcome.OK, Outcome.FAILED}
    assert twins.direct.direct_runs.completed > 0


def test_what_host_functions_cost_before_a_call_is_not_the_callees_to_use() -> None:
    """Small amounts are owed for a while, and a call ends that."""
    twins = linked(
        """(module (import "contract:counter" "add?" (func $add (param i64) (result i32 i64)))
        (import "ethereum" "useGas" (func $use (param i64))) (memory (export "memory") 1)
        (func (export "go") (result i32) (call $use (i64.const 96)) (call $add (i64.const 2000)) drop))""",
        counter=SPINNER,
    )
    cost = twins.transact(A, "go", gas=10**6).gas_used
    outcomes = {twins.transact(A, "go", gas=gas).value for gas in range(cost + 300, cost, -3)}
    assert outcomes == {0, 1}
    assert twins.direct.direct_runs.completed > 1


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("policy", ReentryPolicy)
def test_policies_refuse_what_they_refuse_otherwise(policy: ReentryPolicy, own: bool) -> None:
    twins = Twins()
    pairs = ((A, A),) if own else ((A, B), (B, A))
    for address, peer in pairs:
        twins.deploy(RECURSIVE, address=address, links={"peer": peer}, policy=policy)
    allowed = policy is ReentryPolicy.ALLOW or (own and policy is ReentryPolicy.SELF_ONLY)
    with twins.completing(1 if allowed else 0, redone=0 if allowed else 1):
        assert twins.transact(A, "go", 4).ok == allowed


STATEFUL = """(module (import "storage" "memory" (memory $s 1))
  (import "contract:peer" "go" (func $go (param i32) (result i32)))
  (import "ethereum" "getCaller" (func $caller (param i32)))
  (import "ethereum" "useGas" (func $use (param i64)))
  (memory $own (export "memory") 1) (data (memory $own) (i32.const 4) "\\01")
  (global $g (mut i32) (i32.const 10))
  (func (export "go") (param i32) (result i32)
    (call $use (i64.const 33))
    (i32.store $own (i32.const 0) (i32.add (i32.load $own (i32.const 0)) (i32.load $own (i32.const 4))))
    (i32.store $own (i32.const 4) (i32.const 100))
    (global.set $g (i32.add (global.get $g) (i32.const 1)))
    (call $caller (i32.const 32))
    (i64.store $s (i32.mul (local.get 0) (i32.const 8)) (i64.load $own (i32.const 44)))
    (if (result i32) (local.get 0)
      (then (i32.add (call $go (i32.sub (local.get 0) (i32.const 1)))
        (i32.mul (i32.add (i32.load $own (i32.const 0)) (global.get $g)) (i32.const 1000))))
      (else (i32.add (i32.load $own (i32.const 0)) (global.get $g))))))"""


def test_state_of_their_own_is_new_for_each_call() -> None:
    """One call of each contract is inside the other, and each tells its own memory, global and caller."""
    twins = Twins()
    for address, peer in ((A, B), (B, A)):
        twins.deploy(STATEFUL, address=address, links={"peer": peer})
    for depth in (1, 6, 6, 1):
        with twins.completing():
            assert twins.transact(A, "go", depth).value == 12 + 12_000 * depth
    with twins.completing(0, redone=1):
        assert not twins.transact(A, "go", 6, gas=300).ok
    with twins.completing():
        assert twins.transact(A, "go", 6).value == 12 + 12_000 * 6


def test_a_failure_inside_undoes_everything_and_is_told_by_the_callee() -> None:
    twins = linked(
        """(module (import "storage" "memory" (memory $s 1)) (import "ethereum" "getAddress" (func $a (param i32)))
        (import "contract:counter" "add" (func $add (param i64) (result i64)))
        (import "contract:self" "fail?" (func $fail (result i32)))
        (memory (export "memory") 1)
        (func (export "fail") (drop (call $add (i64.const 3))) (i64.store $s (i32.const 0) (i64.const 1)) unreachable)
        (func (export "go") (result i32)
          (i64.store $s (i32.const 16) (i64.const 7)) (drop (call $add (i64.const 5))) (call $fail)))""",
        links={"counter": B, "self": A},
    )
    with twins.completing(0, redone=4):
        for _ in range(20):  # from the fourth on, 16 are not tried
            receipt = twins.transact(A, "go")
            assert (receipt.outcome, receipt.value) == (Outcome.OK, 1)
    assert twins.direct.storage(B)["memory"].read_int(0) == 100
    assert twins.direct.storage(A)["memory"].read_int(0) == 0
    with twins.completing(0, redone=2):
        assert twins.transact(A, "go").ok
        assert not twins.transact(A, "fail").ok


@pytest.mark.parametrize("catches", [False, True])
@pytest.mark.parametrize("kind", [("i32",), ("i64", "f32"), ("f64",) * 9 + ("i32",) * 4, ()])
def test_numbers_of_all_kinds_pass_and_gates_cost_nothing(kind: tuple[ValueType, ...], catches: bool) -> None:
    params, results = (f"({each} {' '.join(kind)})" if kind else "" for each in ("param", "result"))
    gets = "".join(f"(local.get {index})" for index in range(len(kind)))
    outcome = "(result i32)" if catches else ""
    twins = Twins()
    twins.deploy(f'(module (func (export "same") {params} {results} {gets}))', address=B)
    twins.deploy(
        f"""(module (import "contract:b" "same{"?" if catches else ""}" (func $b {params} {outcome} {results}))
        (func (export "go") {params} {outcome} {results} (call $b {gets})))""",
        address=A,
        links={"b": B},
    )
    given = [index + 0.5 if each[0] == "f" else -index for index, each in enumerate(kind, 1)]
    with twins.completing():
        assert twins.transact(A, "go", *given).values == ((0,) if catches else ()) + tuple(given)


@pytest.mark.parametrize("kind", [FunctionType(), FunctionType(("i64", "f64"), ("i32", "f32"))])
def test_a_gate_holds_nothing_of_the_contracts(kind: FunctionType) -> None:
    """It has no memory, no table and no state but what it is made for, so that many can share a module."""
    declarations = _gate_module(kind, catches=True).declarations
    assert declarations.memories == ()
    assert declarations.own_tables == ()
    assert _gate_module(kind, catches=True) is _gate_module(kind, catches=True)


@pytest.mark.parametrize("own", ["", "(memory 1) (global $g (mut i32) (i32.const 0))"])
def test_methods_of_another_type_fail_as_they_do_otherwise(own: str) -> None:
    """Deployment refuses it, but contracts can be put in place of others, with state of their own as well."""
    twins = linked(CALLER, counter=f"{COUNTER[:-1]} {own})")
    twins.transact(A, "go", 1)
    for world in (twins.direct, twins.mediated):
        world.set_account(B, code=world.account(B).code.replace(b"\x03add", b"\x03odd"))
    with twins.completing(0, redone=1):
        assert "'add' cannot be called" in str(twins.transact(A, "go", 1).error)


def test_accounts_may_change_between_transactions() -> None:
    twins = linked(CALLER)
    with twins.completing(5):
        assert twins.transact(A, "go", 1).value == 3
        snapshots = [world.snapshot() for world in (twins.direct, twins.mediated)]
        for each in snapshots:
            each.__enter__()
        assert twins.transact(A, "go", 1).value == 7
        for world in (twins.direct, twins.mediated):
            world.load_storage(B, "memory", b"\x64")
            world.fund(B, 7)
        assert twins.transact(A, "go", 1).value == 203
        for each in snapshots:
            each.__exit__(None, None, None)
        assert twins.transact(A, "go", 1).value == 7
        twins.deploy(COUNTER, address=C)
        for world in (twins.direct, twins.mediated):
            world.deploy(CALLER, address=0xA2, links={"counter": C})
        assert twins.transact(Address(0xA2), "go", 1).value == 3


@pytest.mark.parametrize(
    "needs",
    [
        '(import "ethereum" "getGasLeft" (func (result i64)))',
        '(import "ethereum" "call" (func (param i64 i32 i32 i32 i32) (result i32)))',
        '(import "ethereum" "storageMap" (func (param i32 i32 i32)))',
    ],
)
def test_what_needs_the_host_at_each_call_is_mediated(needs: str) -> None:
    with_memory = f'{needs} (memory (export "memory") 1)'
    twins = Twins()
    twins.deploy(f'(module {with_memory} (func (export "add") (param i64) (result i64) (local.get 0)))', address=B)
    code = '(import "contract:counter" "add" (func $add (param i64) (result i64)))'
    go = '(func (export "go") (param i64) (result i64) (call $add (local.get 0)))'
    twins.deploy(f"(module {code} {go})", address=A, links={"counter": B})
    with twins.completing(0, redone=1):
        assert twins.transact(A, "go", 1).value == 1
    twins.deploy(f"(module {code} {with_memory} {go})", address=C, links={"counter": B})
    with twins.completing(0, redone=0):
        assert twins.transact(C, "go", 1).value == 1


def test_methods_named_as_host_functions_are_called_directly() -> None:
    twins = Twins()
    twins.deploy(COUNTER.replace('"add"', '"create"'), address=B)
    twins.deploy(CALLER.replace('"add"', '"create"'), address=A, links={"counter": B})
    with twins.completing():
        assert twins.transact(A, "go", 1).value == 3


@pytest.mark.parametrize(("gas", "redone"), [(19_000_000, 0), (10**15, 1)])
def test_a_loop_without_end_is_told_by_its_contract(gas: int, redone: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline strikes in a direct run, or mediated after the direct one used all the gas that such runs have."""
    loop = f"(loop $l {'' if redone else '(drop (memory.grow (i32.const 0)))'} (br $l)) (i64.const 0)"
    world = World(trace=False, calls="direct", limits=Limits(deadline_seconds=0.3))
    world.deploy(
        f'(module (memory 1) (func (export "add") (param i64) (result i64) {loop}))', address=B, name="endless"
    )
    world.deploy(CALLER, address=A, links={"counter": B}, name="caller")
    if not redone:

        def enter(calls: DirectCalls, parent: Frame, number: int) -> None:
            entering(calls, parent, number)
            world._machine.store._deadline = 0.0

        entering = DirectCalls._enter
        monkeypatch.setattr(DirectCalls, "_enter", enter)
    receipt = world.transact(A, "go", 1, gas=gas)
    assert isinstance(receipt.error, DeadlineError)
    assert str(receipt.error).startswith("endless at call depth 2: stopped at the deadline")
    assert world.direct_runs == DirectRuns(0, redone)


def test_a_deadline_while_storage_is_opened_is_told_of_the_callee(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_storage(machine: Machine, frame: Frame, contract: Contract) -> tuple[StorageInstance, InstancePool]:
        if frame.address == B:
            machine.store._deadline = 0.0
            machine.store.check_time()
        return opening(machine, frame, contract)

    world = World(trace=False, calls="direct")
    world.deploy(COUNTER, address=B, name="counter")
    world.deploy(CALLER, address=A, links={"counter": B}, name="caller")
    opening = Machine.open_storage
    monkeypatch.setattr(Machine, "open_storage", open_storage)
    error = world.transact(A, "go", 1).error
    assert isinstance(error, DeadlineError)
    assert str(error).startswith("counter at call depth 2: stopped at the deadline")


def test_it_is_the_default_where_nobody_listens() -> None:
    events: list[Event] = []
    quiet, traced, observed = World(trace=False), World(), World(trace=False, observers=[events.append])
    mediated = World(trace=False, calls=CallMode.MEDIATED)
    for world in (quiet, traced, observed, mediated):
        world.deploy(COUNTER, address=B)
        world.deploy(CALLER, address=A, links={"counter": B})
        for _ in range(3):
            world.transact(A, "go", 1).raise_for_error()
    assert quiet.direct_runs == DirectRuns(completed=2)  # the first one may be the only one
    assert [world.direct_runs for world in (traced, observed, mediated)] == [DirectRuns()] * 3
    assert len(events) > 20


def test_nobody_can_listen_to_direct_calls() -> None:
    assert World(calls="direct").transact(B).trace is None
    for settings in ({"trace": True}, {"trace": "pages"}, {"trace": False, "observers": [print]}):
        with pytest.raises(ValidationError, match="expected no trace and no observers"):
            World(calls="direct", **settings)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="mediated"):
        World(calls="directly")


def test_more_methods_than_there_is_room_for_are_mediated() -> None:
    twins = linked(CALLER, limits=Limits(table_elements_max=1))
    with twins.completing(1):
        twins.transact(A, "go", 1)
    twins.deploy(COUNTER, address=C)
    twins.deploy(CALLER, address=Address(0xA2), links={"counter": C})
    with twins.completing(0):
        assert twins.transact(Address(0xA2), "go", 1).value == 3


def test_storage_longer_than_what_may_change_is_mediated() -> None:
    twins = linked(CALLER, limits=Limits(changed_pages_max=31))
    with twins.completing(0, redone=1):
        assert twins.transact(A, "go", 1).ok


def test_grown_storage_stays_and_undone_growth_does_not() -> None:
    grower = """(module (import "storage" "memory" (memory $s 1 9))
      (func (export "add") (param i64) (result i64) (drop (memory.grow $s (i32.const 1)))
        (i64.store $s (i32.mul (i32.sub (memory.size $s) (i32.const 1)) (i32.const 65536)) (local.get 0))
        (if (i64.eqz (local.get 0)) (then unreachable)) (i64.extend_i32_u (memory.size $s))))"""
    twins = Twins()
    twins.deploy(grower, address=B)
    twins.deploy(CALLER, address=A, links={"counter": B})
    with twins.completing(2, redone=1):
        assert twins.transact(A, "go", 5).value == 2 + 3
        assert not twins.transact(A, "go", 0).ok
        assert twins.transact(A, "go", 5).value == 4 + 5
    assert twins.direct.storage(B)["memory"].pages == 5


def test_memory_that_a_caller_grew_counts_while_it_calls() -> None:
    growing = """(module (import "contract:counter" "add" (func $add (param i64) (result i64))) (memory $own 1 4)
      (func (export "go") (param i64) (result i64)
        (drop (memory.grow $own (i32.wrap_i64 (local.get 0)))) (call $add (i64.const 1))))"""
    stateful = '(module (memory 1) (func (export "add") (param i64) (result i64) (local.get 0)))'
    twins = Twins(limits=Limits(working_pages_max=3))
    twins.deploy(stateful, address=B)
    twins.deploy(growing, address=A, links={"counter": B})
    with twins.completing(1):
        assert twins.transact(A, "go", 1).ok
    with twins.completing(0, redone=1):
        assert "working_pages_max" in str(twins.transact(A, "go", 2).error)


def test_a_contract_that_is_bound_to_another_one_calls_that() -> None:
    twins = Twins()
    for address in (B, C):
        twins.deploy(COUNTER, address=address)
    for counter, value in ((B, 3), (C, 3), (B, 3)):
        with ExitStack() as stack:
            for world in (twins.direct, twins.mediated):
                stack.enter_context(world.snapshot())
            twins.deploy(CALLER, address=A, links={"counter": counter})
            with twins.completing():
                receipt = twins.transact(A, "go", 1)
            assert receipt.value == value
            assert {*receipt.changes} == {A, counter}
