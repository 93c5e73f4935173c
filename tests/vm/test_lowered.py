"""Contracts that import functions of `methods` do the same under `methods`, `single` and `regions`."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod import Contract, Limits, LinkError, Outcome, StorageMapping, TrapError, ValidationError, World
from storagemod.explore.plan import Blueprint
from storagemod.scenario.contents import contents
from storagemod.scenario.puppet import Call, Load, Store
from storagemod.types import METHODS_OPTIONS, CallKind
from storagemod.vm import Access
from storagemod.vm.methods import accessor_types
from tests.semantics.puppets import LOWERED, deploy_puppet, play, results, script

PAGES_MAX = 4
WASM_PAGE = 65_536


@frozen
class Accessor:
    """A load or a store, by name, and what it does to how many bytes."""

    name: str
    value: str
    bytes: int
    signed: bool

    @classmethod
    def of(cls, name: str) -> Accessor:
        _, value, *narrow = name.split("_")
        bits = int(narrow[0]) if narrow else int(value[1:])
        return cls(name, value, bits // 8, narrow[-1:] != ["u"])

    @property
    def result_bits(self) -> int:
        return int(self.value[1:])


ACCESSORS = tuple(Accessor.of(name) for name in accessor_types(is_64=False) if name.startswith(("load", "store")))


def driver(*, is_64: bool) -> str:
    """A contract with a method for each function of storage. Floats go in and out as the integers of their bits."""
    at = "i64" if is_64 else "i32"
    imports, methods = [], []
    for name, kind in accessor_types(is_64=is_64).items():
        imports.append(
            f'(import "storage" "{name}" (func ${name} {str(kind).removeprefix("(func").removesuffix(")")}))'
        )
        gets = [f"(local.get {number})" for number in range(len(kind.params))]
        params, result = list(kind.params), "".join(kind.results)
        for number, param in enumerate(params):
            if param.startswith("f"):
                params[number] = param.replace("f", "i")
                gets[number] = f"({param}.reinterpret_{params[number]} {gets[number]})"
        call = f"(call ${name} {' '.join(gets)})"
        if result.startswith("f"):
            result, call = result.replace("f", "i"), f"({result.replace('f', 'i')}.reinterpret_{result} {call})"
        methods.append(f'(func (export "{name}") (param {" ".join(params)}) (result {result}) {call})')
    own = f"""(memory $own (export "memory") 1) (data (i32.const 16) "own memory")
      (func (export "own") (param i32) (result i64) (i64.load offset=8 (local.get 0)))
      (func (export "tail") (param {at}) (result i64) (return_call $load_i64 (local.get 0)))"""
    return f"(module {' '.join((*imports, own, *methods))})"


DRIVERS = {is_64: driver(is_64=is_64) for is_64 in (False, True)}


class Model:
    """Storage as plain Python has it."""

    def __init__(self, *, is_64: bool) -> None:
        self.data = bytearray(WASM_PAGE)
        self.own = bytearray(16) + b"own memory" + bytes(WASM_PAGE - 26)
        self.bits = 64 if is_64 else 32

    def call(self, method: str, *args: int) -> int | None:
        """Return the result of a method.

        Raises:
            IndexError: It traps.
        """
        if method == "size":
            return len(self.data) // WASM_PAGE
        if method == "grow":
            pages, more = len(self.data) // WASM_PAGE, args[0] % (1 << self.bits)
            if pages + more > PAGES_MAX:
                return -1
            self.data += bytes(more * WASM_PAGE)
            return pages
        if method.startswith("copy"):  # there is no working memory to see afterwards: calls begin with a fresh one
            memory, storage, length = args[0] % 2**32, args[1] % (1 << self.bits), args[2] % 2**32
            ours, theirs = self._range(self.own, memory, length), self._range(self.data, storage, length)
            if method == "copy_in":
                self.data[theirs] = self.own[ours]
            return None
        accessor = Accessor.of("load_i64" if method == "tail" else method)
        where = self._range(self.data, args[0] % (1 << self.bits), accessor.bytes)
        if method.startswith("store"):
            self.data[where] = (args[1] % (1 << 8 * accessor.bytes)).to_bytes(accessor.bytes, "little")
            return None
        value = int.from_bytes(self.data[where], "little", signed=accessor.signed) % (1 << accessor.result_bits)
        return value - (1 << accessor.result_bits) * (value >> (accessor.result_bits - 1))

    @staticmethod
    def _range(data: bytearray, offset: int, length: int) -> slice:
        if offset + length > len(data):
            raise IndexError(offset)
        return slice(offset, offset + length)


@st.composite
def calls(draw: st.DrawFn, *, is_64: bool) -> list[tuple[str, tuple[int, ...]]]:
    near = st.integers(-9, 9)
    offsets = st.one_of(
        st.integers(0, 24),
        st.builds(lambda page, by: page * WASM_PAGE + by, st.integers(1, PAGES_MAX), near),
        st.integers(-(2**63), 2**63 - 1) if is_64 else st.integers(-(2**31), 2**31 - 1),
    )
    low = st.builds(lambda page, by: max(page * WASM_PAGE + by, 0), st.integers(0, 1), near)
    sizes = st.sampled_from([0, 1, 2, 3, -1, 60_000] + [2**40, 2**63 - 1] * is_64)
    steps = []
    for _ in range(draw(st.integers(1, 12))):
        accessor = draw(st.sampled_from(ACCESSORS))
        value = st.integers(-(2 ** (accessor.result_bits - 1)), 2 ** (accessor.result_bits - 1) - 1)
        steps.append(
            draw(
                st.one_of(
                    st.tuples(
                        st.just(accessor.name),
                        st.tuples(offsets, value) if accessor.name.startswith("store") else st.tuples(offsets),
                    ),
                    st.tuples(st.just("grow"), st.tuples(sizes)),
                    st.tuples(st.just("size"), st.just(())),
                    st.tuples(st.just("tail"), st.tuples(offsets)),
                    st.tuples(st.sampled_from(["copy_in", "copy_out"]), st.tuples(low, offsets, st.integers(0, 40))),
                )
            )
        )
    return steps


@pytest.mark.parametrize("is_64", [False, True])
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_every_function_does_what_the_model_says_under_each_option(data: st.DataObject, *, is_64: bool) -> None:
    model = Model(is_64=is_64)
    worlds = {link: World(limits=Limits(storage_pages_max=PAGES_MAX)) for link in METHODS_OPTIONS}
    for link, world in worlds.items():
        world.deploy(DRIVERS[is_64], address=1, link=link)
    for method, args in data.draw(calls(is_64=is_64)):
        try:
            expected: tuple[object, object] = (Outcome.OK, model.call(method, *args))
        except IndexError:
            expected = (Outcome.FAILED, None)
        for link, world in worlds.items():
            receipt = world.transact(1, method, *args)
            assert (receipt.outcome, receipt.value) == expected, (link, method, args)
            if receipt.error is not None:
                assert isinstance(receipt.error, TrapError)
                assert receipt.error.code == "memory_out_of_bounds"
            assert contents(world, 1)["memory"][0 : len(model.data)] == model.data, link
            assert world.transact(1, "own", 8).value == int.from_bytes(b"own memo", "little")
        assert len({world.state_root for world in worlds.values()}) == 1


# What belongs to the account

COUNTER = """(module (import "storage" "load_i64" (func $load (param i32) (result i64)))
  (import "storage" "store_i64" (func $store (param i32 i64)))
  (import "ethereum" "getCodeSize" (func $size (result i32)))
  (func (export "code_size") (result i32) (call $size))
  (func (export "count") (result i64)
    (call $store (i32.const 0) (i64.add (call $load (i32.const 0)) (i64.const 1))) (call $load (i32.const 0))))"""


@pytest.mark.parametrize("link", METHODS_OPTIONS)
def test_the_code_of_an_account_is_what_was_deployed_whatever_is_linked(link: str) -> None:
    world = World()
    address = world.deploy(COUNTER, link=link)
    code = Contract.load(COUNTER).code
    assert world.account(address).code == world.contract(address).code == code
    assert world.transact(address, "code_size").value == len(code)
    assert world.contract(address).options == {link}
    assert world.account(address).link == (None if link == "methods" else link)
    access = Access.METHODS if link == "methods" else Access.MEMORY
    assert [(each.name, each.access) for each in world.contract(address).layout.regions] == [("memory", access)]


def test_accounts_with_the_same_code_are_linked_each_in_its_own_way() -> None:
    world = World()
    addresses = [world.deploy(COUNTER, link=link) for link in METHODS_OPTIONS]
    for number in (1, 2):
        receipts = [world.transact(address, "count") for address in addresses]
        assert [receipt.value for receipt in receipts] == [number] * 3
        methods, single, regions = (receipt.gas_used for receipt in receipts)
        assert methods > single == regions  # an instruction costs less than a call


def test_how_an_account_is_linked_is_kept(tmp_path: Path) -> None:
    with World(tmp_path / "world") as world:
        address = world.deploy(COUNTER, link="single")
        assert world.transact(address, "count").ok
        root = world.state_root
    with World(tmp_path / "world") as world:
        assert world.account(address).link == "single"
        assert world.contract(address).options == {"single"}
        assert world.transact(address, "count").value == 2
        copy = Blueprint.of(world).build()
        assert copy.account(address) == world.account(address)
        assert copy.transact(address, "count").value == 3
        assert root != world.state_root


def test_deploying_without_a_link_leaves_contracts_as_they_import_storage() -> None:
    world = World()
    assert world.contract(world.deploy(COUNTER)).options == {"methods"}


@pytest.mark.parametrize(
    "field",
    [
        '(export "load" (func $load))',
        "(table 1 funcref) (elem (i32.const 0) func $load)",
        "(global funcref (ref.func $load))",
        "(elem declare func $load) (func (drop (ref.func $load)))",
    ],
)
def test_a_function_that_is_a_value_is_refused_and_runs_under_methods(field: str) -> None:
    code = COUNTER.removesuffix(")") + f"{field})"
    world = World()
    with pytest.raises(ValidationError, match="no instruction can replace it there") as caught:
        world.deploy(code, link="single")
    assert "link the contract under 'methods'" in str(caught.value)
    assert world.transact(world.deploy(code, link="methods"), "count").value == 1


def test_a_link_that_the_imports_do_not_allow_is_refused() -> None:
    world = World()
    memory = '(module (import "storage" "memory" (memory 1)))'
    for code, link in ((memory, "methods"), (memory, "regions"), (COUNTER, "keyed"), (COUNTER, "paged")):
        with pytest.raises(ValidationError, match="the contract imports its storage in its own way"):
            world.deploy(code, link=link)
    with pytest.raises(ValidationError, match="did you mean 'single'"):
        world.deploy(COUNTER, link="singel")
    assert world.account(world.deploy(memory, link="single")).link is None
    assert world.account(world.deploy('(module (func (export "f")))', link="single")).link is None


def test_a_link_under_which_storage_is_mapped_is_the_mapping() -> None:
    mapped = """(module (import "ethereum" "storageMap" (func (param i32 i32 i32))) (memory (export "memory") 1))"""
    world = World()
    assert world.account(world.deploy(mapped, link="paged")).mapping == StorageMapping("paged")
    exact = StorageMapping("paged", frame_bytes=64)
    assert world.account(world.deploy(mapped, link="paged", mapping=exact)).mapping == exact
    with pytest.raises(ValidationError, match="expected a mapping under 'paged', got 'copied'"):
        world.deploy(mapped, link="paged", mapping="copied")


def test_memories_that_a_contract_imports_itself_stay_where_they_were() -> None:
    code = """(module (import "storage" "load_i64" (func $load (param i32) (result i64)))
      (import "storage" "spare" (memory $spare 1 2)) (import "storage" "store_i64" (func $store (param i32 i64)))
      (memory $own (export "memory") 1)
      (func (export "put") (call $store (i32.const 0) (i64.const 5)) (i64.store $spare (i32.const 0) (i64.const 6))
        (i64.store $own (i32.const 0) (i64.const 7)))
      (func (export "sum") (result i64) (i64.add (call $load (i32.const 0)) (i64.load $spare (i32.const 0)))))"""
    roots = set()
    for link in METHODS_OPTIONS:
        world = World()
        address = world.deploy(code, address=1, link=link)
        assert world.transact(address, "put").ok
        assert world.transact(address, "sum").value == 11
        assert world.contract(address).options == {link, "regions"}
        roots.add(world.state_root)
    assert len(roots) == 1
    both = '(module (import "storage" "size" (func (result i32))) (import "storage" "memory" (memory 1)))'
    with pytest.raises(LinkError, match="private to the storage module"):
        Contract.load(both, link="single")


@pytest.mark.parametrize(
    ("owner", "library", "fits"),
    [
        (LOWERED, "single", True),
        ("single", LOWERED, True),
        (LOWERED, LOWERED, True),
        ("methods", LOWERED, False),
        (LOWERED, "methods", False),
    ],
)
def test_foreign_code_runs_on_storage_that_it_reaches_the_same_way(
    world: World, owner: str, library: str, *, fits: bool
) -> None:
    ours, theirs = deploy_puppet(world, owner), deploy_puppet(world, library, name="library")
    operations = (Store(0, 1), Call(theirs, script(Store(0, 2)), kind=CallKind.DELEGATE), Load(0))
    called, seen = results(play(world, ours, *operations), *operations)
    assert called.outcome is (Outcome.OK if fits else Outcome.FAILED)
    assert seen == (2 if fits else 1)


def test_limits_are_those_of_the_code_that_was_deployed() -> None:
    limits = Limits(imports_max=3)
    world = World(limits=limits)
    assert world.transact(world.deploy(COUNTER, link="single"), "count").value == 1
    with pytest.raises(ValidationError, match="3 imports, and 2 are allowed"):
        World(limits=Limits(imports_max=2)).deploy(COUNTER, link="single")


def test_storage_in_keys_and_behind_functions_can_be_one_contracts() -> None:
    code = """(module (import "storage" "load_i64" (func $load (param i32) (result i64)))
      (import "ethereum" "storageStore" (func $store (param i32 i32))) (memory (export "memory") 1)
      (data (i32.const 32) "value")
      (func (export "put") (result i64) (call $store (i32.const 0) (i32.const 32)) (call $load (i32.const 0))))"""
    for link in METHODS_OPTIONS:
        world = World()
        address = world.deploy(code, link=link)
        assert world.transact(address, "put").value == 0
        assert world.slots(address)[bytes(32)][:5] == b"value"
        assert world.contract(address).options == {link, "keyed"}
