"""Instances that serve one call after another beside fresh ones in fresh stores, driven by Hypothesis.

A module is generated with memories, globals of all types, tables, segments and imported storage, and with functions
that read and change all of these. A program runs its calls on instances of one pool, calls inside one another too, and
compares all that a call can see with what an instance sees that nobody ever used.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence

from attrs import field, frozen
from hypothesis import strategies as st

from storagemod.errors import StorageModError
from storagemod.limits import Limits
from storagemod.types import WASM_PAGE_BYTES, FunctionType, ValueType
from storagemod.wasm import HostFunction, Instance, InstancePool, Linker, Module, Store, compile_module, to_wasm

TYPES: tuple[ValueType, ...] = ("i32", "i64", "f32", "f64")
PLACES = (0, 8, 4_096, WASM_PAGE_BYTES - 8)
TABLE_LENGTH = 3

STORAGE = compile_module(to_wasm('(module (memory (export "m") 1 4))', name="storage", limits=Limits()), Limits())


@frozen
class Shape:
    """What a module has: lengths of its memories in Wasm pages, and which things besides."""

    memories: tuple[int, ...]
    segments: tuple[tuple[int, int], ...]
    """Memory and place of each active data segment."""
    storage_segment: bool
    tables: bool
    changes_tables: bool
    drops: bool
    vectors: bool
    globals: tuple[ValueType, ...] = field(factory=tuple)

    def wat(self) -> str:
        """The module as text."""
        lines = ["(module", '(import "storage" "m" (memory $s 1))', '(import "env" "call" (func $call (param i32)))']
        lines += [f"(memory $m{index} {pages} 80)" for index, pages in enumerate(self.memories)]
        lines += [
            f'(data (memory $m{memory}) (i32.const {place}) "segment{number}")'
            for number, (memory, place) in enumerate(self.segments)
            if memory < len(self.memories) and self.memories[memory]
        ]
        lines += ['(data (memory $s) (i32.const 64) "storage")'] * self.storage_segment
        lines.append('(data $passive "passive!")')
        lines += [f"(global $g{index} (mut {kind}) ({kind}.const {index + 5}))" for index, kind in self.numbered()]
        lines.append("(global $fixed i32 (i32.const 7))")
        lines += ["(global $v (mut v128) (v128.const i64x2 3 4))"] * self.vectors
        if self.tables:
            lines += [f"(table $t {TABLE_LENGTH} 8 funcref)", "(elem (table $t) (i32.const 0) func $one $two)"]
        lines += ["(func $one (result i32) (i32.const 1))", "(func $two (result i32) (i32.const 2))"]
        lines += ["(elem declare func $one $two)", "(type $number (func (result i32)))"]
        for index, action in enumerate(self.actions()):
            lines.append(f'(func $a{index} (export "a{index}") (param $p i32) (param $n i32) {action})')
        lines += self.looks()
        return "\n".join([*lines, ")"])

    def numbered(self) -> list[tuple[int, ValueType]]:
        return list(enumerate(self.globals))

    def actions(self) -> list[str]:
        """Bodies that change something; ``$p`` is a place and ``$n`` a number."""
        found = ["unreachable", "(call $call (local.get $n))", "(i32.store $s (local.get $p) (local.get $n))"]
        for index in range(len(self.memories)):
            found += [
                f"(i32.store $m{index} (local.get $p) (local.get $n))",
                f"(drop (memory.grow $m{index} (i32.const 1)))",
                f"(memory.fill $m{index} (local.get $p) (local.get $n) (i32.const 5000))",
                f"(memory.init $m{index} $passive (local.get $p) (i32.const 0) (i32.const 8))",
                (
                    f"(i32.store $m{index} (local.get $p) (local.get $n)) (call $call (local.get $n))"
                    f" (i32.store $m{index} (local.get $p) (i32.add (i32.const 1) (i32.load $m{index} (local.get $p))))"
                ),
            ]
        for index, kind in self.numbered():
            convert = {"i32": "", "i64": "i64.extend_i32_u", "f32": "f32.convert_i32_u", "f64": "f64.convert_i32_u"}
            value = f"({convert[kind]} (local.get $n))" if convert[kind] else "(local.get $n)"
            found += [f"(global.set $g{index} {value})", f"(global.set $g{index} {value}) unreachable"]
        found += ["(global.set $v (i32x4.splat (local.get $n)))"] * self.vectors
        if self.tables and self.changes_tables:
            found += [
                "(table.set $t (i32.and (local.get $n) (i32.const 3)) (ref.func $two))",
                "(table.set $t (i32.and (local.get $n) (i32.const 3)) (ref.null func))",
                "(drop (table.grow $t (ref.func $one) (i32.const 1)))",
            ]
        if self.drops:
            found.append("(data.drop $passive)")
        return found

    def looks(self) -> list[str]:
        """Functions that return what there is."""
        found = []
        for index, kind in self.numbered():
            found.append(f'(func (export "look g{index}") (result {kind}) (global.get $g{index}))')
        if self.vectors:
            found += [
                f'(func (export "look v{lane}") (result i64) (i64x2.extract_lane {lane} (global.get $v)))'
                for lane in (0, 1)
            ]
        if self.tables:
            found.append('(func (export "look table length") (result i32) (table.size $t))')
            found += [
                f'(func (export "look t{at}") (result i32) (call_indirect $t (type $number) (i32.const {at})))'
                for at in range(TABLE_LENGTH + 1)
            ]
        found.append(
            '(func (export "look segment") (result i32)'
            " (memory.init $s $passive (i32.const 1024) (i32.const 0) (i32.const 8)) (i32.load $s (i32.const 1024)))"
        )
        return found


shapes = st.builds(
    Shape,
    memories=st.sampled_from([(), (1,), (1,), (2,), (0,), (1, 2), (5,), (65,)]),
    segments=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(PLACES[:3])), max_size=2).map(tuple),
    storage_segment=st.sampled_from([False, False, False, True]),
    tables=st.booleans(),
    changes_tables=st.booleans(),
    drops=st.sampled_from([False, False, True]),
    vectors=st.sampled_from([False, False, False, True]),
    globals=st.lists(st.sampled_from(TYPES), max_size=4).map(tuple),
)

steps = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from([*PLACES, WASM_PAGE_BYTES]), st.integers(1, 200)), max_size=3
)
programs = st.lists(steps, min_size=1, max_size=4)
"""Calls, one after another: what each of them does."""


class World:
    """One store with storage and a pool, in which a program's calls run.

    Args:
        shape: The module.
        inner: What each nested call does.
        pool: Where instances come from.
    """

    def __init__(
        self, shape: Shape, inner: Sequence[tuple[int, int, int]], pool: type[InstancePool] = InstancePool
    ) -> None:
        self.shape = shape
        self.inner = inner
        self.depth = 0
        self.seen: list[list[object]] = []
        self.store = Store(Limits())
        self.module: Module = compile_module(to_wasm(shape.wat(), name="pooled", limits=Limits()), Limits())
        offers = Linker().prepare(STORAGE)
        self.storage = self.store.instantiate(offers.address)
        memory = self.storage.export("m")
        assert memory is not None
        self.function = HostFunction("env", "call", FunctionType(("i32",)), self.call_nested)
        linker = Linker()
        linker.offer(self.function)
        linker.define(self.store, "storage", "m", memory)
        self.prepared = linker.prepare(self.module)
        self.pool = pool(self.store, self.prepared, self.module, {})
        self.values = ctypes.create_string_buffer(32)
        self.actions = len(shape.actions())

    def call_nested(self, _current: object, _number: int) -> None:
        if self.depth < 3:
            self.call(self.inner)

    def call(self, steps: Sequence[tuple[int, int, int]]) -> None:
        """Take an instance as a call does, look at all of it, run steps on it until one fails, and give it back."""
        self.depth += 1
        instance = self.pool.take()
        try:
            self.seen.append(self.look(instance))
            for action, place, number in steps:
                self.run(instance, f"a{action % self.actions}", place, number)
        except StorageModError:
            pass
        finally:
            self.pool.give_back(instance)
            self.depth -= 1

    def run(self, instance: Instance, name: str, *arguments: int) -> bytes:
        values = ctypes.create_string_buffer(32)
        for index, argument in enumerate(arguments):
            struct.pack_into("<i", values, 16 * index, argument)
        self.store.invoke(instance.function(name), ctypes.addressof(values), 2)
        return values.raw[:8]

    def look(self, instance: Instance) -> list[object]:
        """All that code can see of what is an instance's own: the bytes of memories, globals, tables, segments."""
        storage = self.storage.memory("m")
        kept = storage.read(1_024, 8)
        found: list[object] = []
        for name in self.module.lowered.memories.values():
            memory = instance.memory(name)
            found.append((memory.pages, memory.read(0, len(memory))))
        for name in self.module.exports:
            if name.startswith("look"):
                try:
                    found.append((name, self.run(instance, name)))
                except StorageModError as error:
                    found.append((name, type(error).__name__))
        storage.write(1_024, kept)
        return found

    def storage_bytes(self) -> bytes:
        return self.storage.memory("m").read(0, WASM_PAGE_BYTES)


def fresh(shape: Shape) -> list[object]:
    """What a call sees of an instance that nobody used."""
    world = World(shape, ())
    world.store.start(60, 1_000)
    world.store.fuel = 10**9
    try:
        return world.look(world.pool.take())
    finally:
        world.store.stop()
        world.store.close()


class FreshInstances(InstancePool):
    """Makes an instance for each call."""

    def take(self) -> Instance:
        return self._store.instantiate(self._prepared.address)

    def give_back(self, instance: Instance) -> None:
        pass


def fresh_each_time(shape: Shape, calls: Sequence[Sequence[tuple[int, int, int]]]) -> bytes:
    """What storage holds after calls that have a new instance each."""
    return run_calls(World(shape, calls[0], FreshInstances), calls)


def run_calls(world: World, calls: Sequence[Sequence[tuple[int, int, int]]]) -> bytes:
    """Run calls; return what storage holds then."""
    world.store.start(60, 1_000)
    world.store.fuel = 10**9
    try:
        for steps in calls:
            world.call(steps)
        return world.storage_bytes()
    finally:
        world.store.stop()
        world.store.close()
