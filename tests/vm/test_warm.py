"""A machine that stayed warm does what one made anew for each transaction does, whatever happened before (rule 8)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from storagemod import Address, Limits, Receipt, Snapshot, World
from storagemod.errors import StorageModError
from storagemod.pages import BACKENDS, why_not_shared, why_unavailable
from storagemod.scenario.puppet import Call, CopyIn, Grow, Load, Operation, Revert, Script, Size, Store, Trap
from storagemod.types import CallKind, StorageMapping, SyncPolicy
from storagemod.vm import machine
from tests.semantics import puppets
from tests.semantics.puppets import BYTEWISE

from . import maker
from .stateful import STATEFUL, linked, stateful

FUZZ = os.environ.get("STORAGEMOD_FUZZ") == "1"
FUZZ_EXAMPLES = int(os.environ.get("STORAGEMOD_FUZZ_EXAMPLES", "2000"))

ORDINARY = settings(
    max_examples=25,
    stateful_step_count=20,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)

PAGE = 65_536
OPTIONS = ("single", "regions", "methods", "keyed", "copied", "paged", "aliased", "window", BYTEWISE)
PUPPETS = {Address(0xA0 + number): option for number, option in enumerate(OPTIONS)}
OWNERS = tuple(Address(0xB0 + number) for number in range(4))
"""Accounts whose code is replaced by other code time and again."""
MAKERS = (Address(0xC0), Address(0xC1))
CYCLE = (Address(0xD0), Address(0xD1), Address(0xD2))
NOBODY = Address(0xE0)
CREATED = tuple(Address(0xF0 + number) for number in range(2))
"""Where contracts are deployed that may destroy themselves."""
EVERYONE = (*PUPPETS, *OWNERS, *MAKERS, *CYCLE, NOBODY, *CREATED)

TRACKERS = tuple(name for name, backend in BACKENDS.items() if why_unavailable(backend) is None)
MAPPINGS = (
    StorageMapping("paged"),
    StorageMapping("aliased"),
    *(StorageMapping("copied", sync) for sync in SyncPolicy),
    StorageMapping("paged", frame_bytes=64, exclusive="call"),
    StorageMapping("paged", frame_bytes=64, exclusive="transaction"),
    StorageMapping("aliased", exclusive="transaction"),
)
TIGHT = Limits(
    call_depth_max=5,
    calls_max=9,
    memories_per_transaction_max=14,
    changed_pages_max=5,
    payload_bytes_max=3_000,
    logs_max=2,
    storage_pages_max=64,
    trace_events_max=25,
)
ROOMY = Limits(call_depth_max=12, storage_pages_max=64)


def outcome_of(run: Callable[[], object]) -> object:
    """What came of something that may be refused."""
    try:
        return run()
    except StorageModError as error:
        return type(error), str(error)


def said(receipt: object) -> object:
    """All that a receipt says, traces too."""
    if not isinstance(receipt, Receipt):
        return receipt
    errors, error = [], receipt.error
    while error is not None:
        errors.append((type(error), str(error), getattr(error, "code", None), error.contract, error.depth))
        error = error.__cause__  # type: ignore[assignment]
        if not isinstance(error, StorageModError):
            break
    return {
        "outcome": receipt.outcome,
        "values": repr(receipt.values),
        "output": receipt.output,
        "errors": errors,
        "gas": receipt.gas_used,
        "logs": receipt.logs,
        "changes": dict(receipt.changes),
        "costs": receipt.costs,
        "created": receipt.created,
        "trace": receipt.trace and [repr(event) for event in receipt.trace.events],
    }


def state(world: World) -> object:
    """Every account and every byte of storage."""
    accounts = world.accounts()
    storage = {}
    for address in accounts:
        regions = outcome_of(lambda: world.storage(address))  # noqa: B023 - called at once
        if isinstance(regions, tuple):
            continue
        for name, view in regions.items():  # type: ignore[attr-defined]
            storage[address, name] = (len(view), view[:] if view.pages < 64 else None)  # the root has those of slots
    return world.state_root, dict(accounts), storage


class WarmAndCold:
    """Two worlds to which the same is done; the machine of one is made anew before each step."""

    def __init__(self, **arguments: Any) -> None:
        self._stack = ExitStack()
        durable = arguments.pop("durable", False)
        self.folders: list[str | None] = [None, None]
        if durable:
            self.folders = [self._stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(2)]
        self._arguments = arguments
        self.worlds = [self._open(folder) for folder in self.folders]
        self.snapshots: list[list[Snapshot]] = []
        self._lookers: list[World] = []

    def _open(self, folder: str | None, **more: Any) -> World:
        return World(folder, synchronous="normal", **self._arguments, **more)

    def do(self, action: Callable[[World], object]) -> object:
        """Do something to both, and compare what came of it and what is there then."""
        warm, cold = self.worlds
        cold._machine.restart()
        first, second = (outcome_of(lambda: action(world)) for world in (warm, cold))  # noqa: B023 - called at once
        if isinstance(first, Receipt) and isinstance(second, Receipt):
            one, other = said(first), said(second)
            assert one == other
        else:
            assert repr(first).replace(str(self.folders[0]), "") == repr(second).replace(str(self.folders[1]), "")
        assert state(warm) == state(cold)
        return first

    def look(self, action: Callable[[World], object]) -> None:
        """Do something to both by looking at their directories while they are open."""
        if self.folders[0] is None:
            return
        if not self._lookers:
            self._lookers = [self._open(folder, read_only=True) for folder in self.folders]
        warm, cold = self._lookers
        cold._machine.restart()
        first, second = (said(outcome_of(lambda: action(world))) for world in (warm, cold))  # noqa: B023
        assert first == second

    def look_away(self) -> None:
        while self._lookers:
            self._lookers.pop().close()

    def begin_snapshot(self) -> None:
        self.snapshots.append([world.snapshot() for world in self.worlds])
        for snapshot in self.snapshots[-1]:
            snapshot.__enter__()

    def end_snapshot(self, *, keep: bool) -> None:
        for snapshot in self.snapshots.pop():
            if keep:
                snapshot.keep()
            snapshot.__exit__(None, None, None)
        assert state(self.worlds[0]) == state(self.worlds[1])

    def reopen(self) -> None:
        if self.folders[0] is None or self.snapshots:
            return
        for world in self.worlds:
            world.close()
        self.worlds = [self._open(folder) for folder in self.folders]

    def close(self) -> None:
        self.look_away()
        while self.snapshots:
            self.end_snapshot(keep=False)
        for world in self.worlds:
            world.close()
        self._stack.close()


def with_contracts(world: World) -> None:
    """Deploy everybody. Where frames cannot be shared, nobody wants that."""
    shares = why_not_shared(world._backend) is None
    for address, option in PUPPETS.items():
        if option == "aliased" and not shares:
            option = "paged"  # noqa: PLW2901
        mapping = option if option in {"copied", "paged", "aliased"} else None
        code = puppets.linked("puppet/puppet", option)["code"]
        world.deploy(code, address=address, balance=1_000, mapping=mapping, name=option)
    for number, address in enumerate(OWNERS):
        world.set_account(address, code=stateful(STATEFUL[number]), balance=500)
    for address in MAKERS:
        world.deploy(maker.MAKER, address=address, balance=1_000, name="maker")
    for number, address in enumerate(CYCLE):
        storage = ("single", "methods", "none")[number]
        world.deploy(linked(storage=storage), address=address, links={"next": CYCLE[(number + 1) % 3]}, name=storage)


# What is done

_offsets = st.sampled_from([0, 8, 4_090, PAGE - 8, PAGE, 2 * PAGE + 8, 2**32 - 4])
_kinds = st.sampled_from([CallKind.CALL, CallKind.CALL, CallKind.STATIC, CallKind.DELEGATE])
_operations: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Store, _offsets, st.sampled_from([0, 1, -1, 77])),
    st.builds(Load, _offsets),
    st.builds(CopyIn, _offsets, st.sampled_from([b"x", bytes(8), b"page" * 1_100])),
    st.builds(Grow, st.sampled_from([0, 1, 1, 2, 2**16])),
    st.just(Size()),
)
_endings = st.sampled_from([(), (), (), (Revert(),), (Trap(),)])
_small = st.sampled_from([0, 1, 2, 255])
_bits = st.one_of(
    st.builds(maker.store, _small, _small),
    st.builds(maker.load, _small),
    st.builds(maker.log, _small),
    st.sampled_from([maker.TRAP, maker.revert(b"no"), maker.finish(b"code"), maker.destroy(NOBODY)]),
    st.builds(maker.finish_as, st.sampled_from(EVERYONE)),
)


@st.composite
def messages(draw: st.DrawFn, depth: int = 3) -> tuple[Address, bytes]:
    """An account, and call data that it understands: calls of others inside it, of whatever kind."""
    address = draw(st.sampled_from(EVERYONE))
    data = b""
    if address in PUPPETS:
        operations: list[Operation] = draw(st.lists(_operations, max_size=3))
        for _ in range(draw(st.sampled_from([0, 1, 1, 2])) if depth else 0):
            to, inner = draw(messages(depth - 1))
            kind = draw(_kinds)
            value = draw(st.sampled_from([0, 0, 0, 1])) if kind is CallKind.CALL else 0
            operations += [Call(to, inner, kind=kind, value=value), *draw(st.lists(_operations, max_size=2))]
        data = bytes(Script(*operations, *draw(_endings)))
    elif address in OWNERS or address in CREATED:
        if depth and draw(st.booleans()):
            to, inner = draw(messages(depth - 1))
            data = to + inner
    elif address in MAKERS:
        data = draw(scripts(depth))
    return address, data


@st.composite
def scripts(draw: st.DrawFn, depth: int) -> bytes:
    """A script for a maker, or for init code."""
    parts = draw(st.lists(_bits, max_size=2))
    for _ in range(draw(st.sampled_from([0, 1, 2])) if depth else 0):
        how = draw(st.integers(0, 4))
        if how == 4:
            parts.insert(0, maker.create(draw(init_codes(0)), draw(st.sampled_from([0, 1]))))
            continue
        to, inner = draw(messages(depth - 1))
        if len(inner) < 60_000:
            parts.insert(0, (maker.call, maker.call_code, maker.delegate, maker.static)[how](to, inner))
    return b"".join(parts)


@st.composite
def init_codes(draw: st.DrawFn, depth: int = 2) -> bytes:
    """Init code: a script, mostly one that gives the code of somebody; or a contract that is none."""
    if draw(st.integers(0, 4)) == 0:
        return stateful(draw(st.sampled_from(STATEFUL)))
    script = draw(scripts(depth)) + maker.finish_as(draw(st.sampled_from(EVERYONE)))
    return maker.init(script)


_gas = st.sampled_from([10**8] * 12 + [0, 10, 100, 3_000, 9_000, 13_000, 60_000])
_codes = st.sampled_from([*STATEFUL, "", "maker", "linked", "no wasm"])


def _code(name: str) -> bytes:
    others = {"": b"", "maker": maker.MAKER, "linked": linked(), "no wasm": b"\0asmnot"}
    return others[name] if name in others else stateful(name)


class Histories(RuleBasedStateMachine):
    both: WarmAndCold

    @initialize(
        tracker=st.sampled_from(TRACKERS),
        trace=st.sampled_from([False, True, "pages", "tables"]),
        mapping=st.sampled_from(MAPPINGS),
        durable=st.sampled_from([False, False, False, True]),
        tight=st.sampled_from([False, False, True]),
        kept=st.sampled_from([(3, 2), (10_000, 4), (40, 2_000), (10_000, 2_000), (10_000, 2_000)]),
    )
    def begin(
        self,
        tracker: str,
        trace: Any,
        mapping: StorageMapping,
        durable: bool,
        tight: bool,
        kept: tuple[int, int],
    ) -> None:
        if mapping.option == "aliased" and why_not_shared(BACKENDS[tracker]) is not None:
            mapping = StorageMapping("paged")
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(machine, "_INSTANCES_MAX", kept[0])
        self._patch.setattr(machine, "_MEMORIES_MAX", kept[1])
        self.both = WarmAndCold(
            tracker=tracker, trace=trace, mapping=mapping, durable=durable, limits=TIGHT if tight else ROOMY
        )
        self.both.do(with_contracts)

    @rule(message=messages(), gas=_gas, value=st.sampled_from([0, 0, 0, 7]))
    def transact(self, message: tuple[Address, bytes], gas: int, value: int) -> None:
        self.both.do(lambda world: world.transact(message[0], data=message[1], gas=gas, value=value))

    @rule(message=messages(), gas=_gas)
    def transact_again(self, message: tuple[Address, bytes], gas: int) -> None:
        for _ in range(3):
            self.both.do(lambda world: world.transact(message[0], data=message[1], gas=gas))

    @rule(message=messages(), gas=_gas)
    def call(self, message: tuple[Address, bytes], gas: int) -> None:
        self.both.do(lambda world: world.call(message[0], data=message[1], gas=gas))

    @rule(to=st.sampled_from(CYCLE), count=st.integers(0, 9), gas=_gas, commit=st.booleans())
    def go_round(self, to: Address, count: int, gas: int, commit: bool) -> None:
        self.both.do(lambda world: (world.transact if commit else world.call)(to, "go", count, gas=gas))

    @rule(code=init_codes(), gas=_gas, value=st.sampled_from([0, 0, 3]))
    def create(self, code: bytes, gas: int, value: int) -> None:
        created = self.both.do(lambda world: world.create(code, gas=gas, value=value))
        if isinstance(created, Receipt) and created.created is not None:
            self.both.do(lambda world: world.transact(created.created, data=maker.store(1, 1)))

    @rule(address=st.sampled_from(OWNERS), name=_codes)
    def replace_code(self, address: Address, name: str) -> None:
        self.both.do(lambda world: world.set_account(address, code=_code(name)))
        for _ in range(2):
            self.both.do(lambda world: world.transact(address))

    @rule(
        address=st.sampled_from(CREATED), name=st.sampled_from(["maker", "linked", *STATEFUL[:3]]), init=st.booleans()
    )
    def deploy(self, address: Address, name: str, init: bool) -> None:
        arguments: dict[str, Any] = {}
        if name == "linked":
            arguments["links"] = {"next": CYCLE[0]}
            if init:
                arguments |= {"init": "go", "args": (4,)}
        self.both.do(lambda world: world.deploy(_code(name), address=address, balance=10, name="late", **arguments))

    @rule(address=st.sampled_from(CREATED), other=st.sampled_from(EVERYONE))
    def destroy(self, address: Address, other: Address) -> None:
        script = maker.store(1, 9) + maker.destroy(other)
        self.both.do(lambda world: world.transact(address, data=script))

    @rule(
        address=st.sampled_from([*PUPPETS, *OWNERS, *CYCLE]),
        region=st.sampled_from(["memory", "memory", "a", "b", "slots"]),
        offset=st.sampled_from([0, 8, 4_000, PAGE, 2 * PAGE + 100]),
        data=st.sampled_from([b"z", b"", bytes(9), b"w" * 5_000]),
    )
    def load_storage(self, address: Address, region: str, offset: int, data: bytes) -> None:
        self._use(address)
        self.both.do(lambda world: world.load_storage(address, region, data, offset=offset))
        self._use(address)

    @rule(address=st.sampled_from(EVERYONE), key=_small, value=_small)
    def preset_slots(self, address: Address, key: int, value: int) -> None:
        slots = {key.to_bytes(32, "big"): value.to_bytes(32, "big")}
        self._use(address)
        self.both.do(lambda world: world.set_account(address, slots=slots))
        self._use(address)

    @rule(address=st.sampled_from(EVERYONE), balance=st.sampled_from([0, 5, 10**20]))
    def fund(self, address: Address, balance: int) -> None:
        self.both.do(lambda world: world.fund(address, balance))

    @precondition(lambda self: len(self.both.snapshots) < 3)
    @rule()
    def begin_snapshot(self) -> None:
        self.both.begin_snapshot()

    @precondition(lambda self: self.both.snapshots)
    @rule(keep=st.booleans())
    def end_snapshot(self, keep: bool) -> None:
        self.both.end_snapshot(keep=keep)
        for address in (*OWNERS, *CYCLE):
            self._use(address)

    @precondition(lambda self: self.both.folders[0] is not None)
    @rule(message=messages())
    def look_on(self, message: tuple[Address, bytes]) -> None:
        self.both.look(lambda world: world.call(message[0], data=message[1]))

    @precondition(lambda self: self.both.folders[0] is not None)
    @rule()
    def look_away(self) -> None:
        self.both.look_away()

    @precondition(lambda self: self.both.folders[0] is not None)
    @rule()
    def reopen(self) -> None:
        self.both.reopen()

    @precondition(lambda self: self.both.folders[0] is not None)
    @rule()
    def checkpoint(self) -> None:
        self.both.do(lambda world: world.checkpoint())

    def _use(self, address: Address) -> None:
        """Have an account look at its storage, and change it."""
        if address in CYCLE:
            self.both.do(lambda world: world.transact(address, "go", 1))
        elif address in PUPPETS:
            self.both.do(lambda world: world.transact(address, data=bytes(Script(Load(0), Load(8), Store(16, 5)))))
        else:
            self.both.do(lambda world: world.transact(address, data=b""))

    def teardown(self) -> None:
        if hasattr(self, "both"):
            self.both.close()
            self._patch.undo()


def test_a_machine_that_stayed_warm_does_what_a_new_one_does() -> None:
    run_state_machine_as_test(Histories, settings=ORDINARY)


A, B = Address(0xA), Address(0xB)


@pytest.mark.parametrize("name", STATEFUL)
def test_state_of_its_own_is_as_if_new_for_each_call(name: str, tracker: str) -> None:
    """One after another, inside one another, after a failure, and with too little gas."""
    both = WarmAndCold(tracker=tracker, trace=True)
    for address, code in ((A, stateful(name)), (B, maker.MAKER)):
        both.do(lambda world: world.set_account(address, code=code))  # noqa: B023 - called at once
    fails = maker.call(A, A) + maker.revert()
    for gas in (10**8, 8_440, 10, 8_431, 10**8):
        for data in (b"", A + A + B + maker.log(1), B + maker.call(A, B + fails), b""):
            both.do(lambda world: world.transact(A, data=data, gas=gas))  # noqa: B023
    both.do(lambda world: world.transact(B, data=maker.delegate(A) + maker.call_code(A) + maker.static(A)))
    both.close()


def test_code_that_comes_and_goes_finds_storage_as_it_is() -> None:
    both = WarmAndCold()
    for _ in range(2):
        for name in STATEFUL:
            both.do(lambda world: world.set_account(A, code=stateful(name)))  # noqa: B023
            for _ in range(2):
                both.do(lambda world: world.transact(A))
    both.close()


def test_code_whose_regions_are_too_short_for_what_is_there_takes_nothing_away(tracker: str) -> None:
    both = WarmAndCold(tracker=tracker)
    for name in ("storage that grows", "storage without a page", "storage of one page"):
        both.do(lambda world: world.set_account(A, code=stateful(name)))  # noqa: B023 - called at once
        for _ in range(2):
            both.do(lambda world: world.transact(A))
    both.close()


@pytest.mark.fuzz
@pytest.mark.skipif(not FUZZ, reason="takes long: set STORAGEMOD_FUZZ=1 to run it")
def test_a_machine_that_stayed_warm_does_what_a_new_one_does_for_long() -> None:
    """Other histories each time. One that fails is kept in `.hypothesis`, and comes first the next time."""
    run_state_machine_as_test(
        Histories,
        settings=settings(
            ORDINARY,
            max_examples=FUZZ_EXAMPLES,
            stateful_step_count=40,
            derandomize=False,
            database=settings().database,
            print_blob=True,
        ),
    )
