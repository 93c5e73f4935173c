"""An instance that served other calls is as a new one, whatever they did to it."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings

from storagemod.limits import Limits
from storagemod.wasm import Instance, InstancePool, Linker, Store, compile_module, pool, to_wasm
from storagemod.wasm._bindings import Extern
from tests.wasm.pooled import Shape, World, fresh, fresh_each_time, programs, run_calls, shapes

EXAMPLES = 3_000 if os.environ.get("STORAGEMOD_FUZZ") == "1" else 150

WAYS = ["dropping pages", "copying"]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How memories are put back: as the system does it, and as it is done where that cannot."""
    if request.param == "copying":
        monkeypatch.setattr(pool, "forget_written", lambda _address, _length: False)
    return str(request.param)


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(shape=shapes, calls=programs)
@example(
    shape=Shape((1, 2), ((0, 0),), False, True, True, False, False, ("i64", "f32")),
    calls=[[(n, 8, 77)] for n in range(30)],
)
@pytest.mark.usefixtures("way")
def test_each_call_finds_an_instance_as_if_it_were_new(
    shape: Shape, calls: Sequence[Sequence[tuple[int, int, int]]]
) -> None:
    compile_module(to_wasm(shape.wat(), name="pooled", limits=Limits()), Limits()).first_bytes.clear()
    expected = fresh(shape)
    world = World(shape, calls[0])
    storage = run_calls(world, calls)
    assert len(world.seen) >= len(calls)
    for seen in world.seen:
        assert seen == expected
    assert storage == fresh_each_time(shape, calls)


PoolMaker = Callable[[str], tuple[Store, InstancePool]]


@pytest.fixture
def pool_of() -> Iterator[PoolMaker]:
    """Makes the pool of a module in a store that runs."""
    stores: list[Store] = []

    def make(wat: str) -> tuple[Store, InstancePool]:
        module = compile_module(to_wasm(wat, name="pooled", limits=Limits()), Limits())
        module.first_bytes.clear()
        store = Store(Limits())
        store.start(60, 1_000)
        store.fuel = 1_000
        stores.append(store)
        return store, InstancePool(store, Linker().prepare(module), module, {})

    yield make
    while stores:
        stores[-1].stop()
        stores.pop().close()


def times_made(store: Store, from_pool: InstancePool, calls: int = 3) -> int:
    for _ in range(calls):
        from_pool.give_back(from_pool.take())
    return store.instances


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("wat", "made"),
    [
        ('(module (func (export "f")))', 1),
        ('(module (memory 1) (data (i32.const 0) "x") (global (mut i64) (i64.const 1)) (func (export "f")))', 1),
        ("(module (memory 4))", 1),
        ("(module (memory 65))", 3),
        ("(module (global (mut v128) (v128.const i64x2 0 0)))", 3),
        ("(module (global (mut funcref) (ref.null func)))", 3),
        ("(module (table 1 funcref) (func (table.set (i32.const 0) (ref.null func))))", 3),
        ('(module (data $d "x") (func (data.drop $d)))', 3),
    ],
)
def test_instances_are_used_again_where_they_can_be_put_back(pool_of: PoolMaker, wat: str, made: int) -> None:
    """A contract that keeps nothing between calls costs no instance for each of them."""
    assert times_made(*pool_of(wat)) == made


@pytest.mark.parametrize(
    "body",
    [
        "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
        "(global funcref (ref.func $f))",
        "(table 3 funcref) (elem (i32.const 0) funcref (ref.func $f) (ref.null func))",
        '(memory 1) (data (memory 1) (offset (i32.add (i32.const 1) (i32.const 2))) "x")',
        '(memory 1) (data (memory 1) (i32.const 0) "x")',
        '(global (mut funcref) (ref.func $f)) (data $d "x") (func (data.drop $d))',
    ],
)
def test_instances_use_no_fuel_whether_they_are_new_or_kept(pool_of: PoolMaker, body: str) -> None:
    """Else gas would depend on which transactions were run before."""
    store, instances = pool_of(f"(module (memory 1) (func $f) {body})")
    left = []
    for _ in range(3):
        store.fuel = 1_000
        instances.give_back(instances.take())
        left.append(store.fuel)
    assert left == [1_000] * 3


def test_an_instance_that_serves_many_calls_keeps_no_handle_for_each(pool_of: PoolMaker) -> None:
    """Each call of a contract asks for its memory: a world that lives long must not grow by that."""
    _, instances = pool_of('(module (memory (export "m") 1) (global (export "g") i32 (i32.const 7)))')
    before = None
    for _ in range(3):
        for _ in range(50):
            instance = instances.take()
            instance.memory("m").write(0, b"\1")
            instance.variable("g")
            instances.give_back(instance)
        gc.collect()
        now = sum(type(each) is Extern for each in gc.get_objects())
        before = now if before is None else before
        assert now == before


def test_large_memories_are_not_copied_at_each_call(pool_of: PoolMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "forget_written", lambda _address, _length: False)
    assert times_made(*pool_of("(module (memory 5))")) == 3


def test_calls_inside_one_another_have_instances_of_their_own(pool_of: PoolMaker) -> None:
    _, stateful = pool_of("(module (memory 1))")
    outer, inner = stateful.take(), stateful.take()
    assert outer is not inner
    for instance in (inner, outer):
        stateful.give_back(instance)
    assert {id(stateful.take()), id(stateful.take())} == {id(outer), id(inner)}
    _, stateless = pool_of('(module (func (export "f")))')
    assert stateless.take() is stateless.take()


def test_no_more_instances_are_kept_than_calls_nest_usually(
    pool_of: PoolMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_KEPT_MAX", 2)
    _, stateful = pool_of("(module (memory 1))")
    nested: list[Instance] = [stateful.take() for _ in range(5)]
    for instance in nested:
        stateful.give_back(instance)
    assert len(stateful._free) == 2


def test_an_instance_whose_memory_grew_is_not_used_again_and_keeps_nothing(pool_of: PoolMaker) -> None:
    store, stateful = pool_of('(module (memory (export "m") 1 9))')
    instance = stateful.take()
    memory = instance.memory("m")
    assert memory.grow(2, 9)
    memory.write(150_000, b"\1" * 10_000)
    stateful.give_back(instance)
    assert memory.read(150_000, 10_000) == bytes(10_000)
    assert stateful.take() is not instance
    assert (store.instances, store.memories) == (2, 2)
