"""Lowered modules do what they did before, and besides keep to limits and can be stopped wherever calls return."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import wasmtime
from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storagemod.types import MemoryType
from storagemod.wasm.binary import OtherType, read_declarations, without_names
from storagemod.wasm.engine import shared_engine
from storagemod.wasm.lowering import lower
from storagemod.wasm.sections import named_functions
from tests.fuzz.seeds import modules as seeds
from tests.wasm.modules import compiled, leb, section, sections, validated
from tests.wasm.test_binary import described


@frozen
class Made:
    """A module, the types of its own memories and globals, and how many memories it imports."""

    wasm: bytes
    imported: int
    memories: tuple[bool, ...]  # whether addresses have 64 bits
    globals: tuple[tuple[str, bool], ...]  # type, and whether mutable


def with_custom_sections(draw: st.DrawFn, wasm: bytes) -> bytes:
    pieces = [bytes([kind]) + leb(len(content)) + content for kind, content in sections(wasm)]
    for _ in range(draw(st.integers(0, 3))):
        content = draw(st.sampled_from([b"\4note", b"\4note\7\1\1a\2\0", b"\0" + bytes(200)]))
        pieces.insert(draw(st.integers(0, len(pieces))), b"\0" + leb(len(content), draw(st.integers(2, 5))) + content)
    return wasm[:8] + b"".join(pieces)


@st.composite
def stateful_modules(draw: st.DrawFn) -> Made:
    """Draw a module whose function `run` writes to all of its state, with any of the sections around exports."""
    imported = draw(st.integers(0, 2))
    wide = draw(st.lists(st.booleans(), max_size=3))
    kinds = draw(st.lists(st.tuples(st.sampled_from(["i32", "i64", "f32", "f64"]), st.booleans()), max_size=4))
    number = st.integers(0, 100)
    fields = [f'(import "m" "{n}" (memory 1 {draw(st.sampled_from(["", "3", "9"]))}))' for n in range(imported)]
    fields += [f"(memory {'i64 ' if each else ''}{draw(st.integers(1, 3))})" for each in wide]
    fields += [
        f"(global {f'(mut {kind})' if mutable else kind} ({kind}.const {draw(number)}))" for kind, mutable in kinds
    ]
    if draw(st.booleans()):
        fields.append("(global (mut v128) (v128.const i64x2 1 2)) (global (mut funcref) (ref.null func))")
    stores = [
        f"(i64.store {imported + n} ({'i64' if each else 'i32'}.const {draw(number)}) (i64.const {draw(number)}))"
        for n, each in enumerate(wide)
    ]
    stores += [f"(global.set {n} ({kind}.const {draw(number)}))" for n, (kind, mutable) in enumerate(kinds) if mutable]
    memories = imported + len(wide)
    for n in range(draw(st.integers(0, 3)) if memories else 0):
        index = draw(st.integers(0, memories - 1))
        width = "i64" if index >= imported and wide[index - imported] else "i32"
        grow = f"(memory.grow {index} ({width}.const {draw(st.sampled_from([0, 1, 2, 70_000]))}))"
        fields.append(f'(func $g{n} (export "grow{n}") (result {width}) (local i32 funcref) {grow})')
        stores.append(f"(drop (call $g{n}))" + "(nop)" * draw(st.sampled_from([0, 60, 70, 300])))
        stores.append(f"(if ({width}.eqz (call $g{n})) (then (br_table 0 1 0 (i32.const {draw(number)}))))")
    if draw(st.booleans()):
        fields.append(f'(func (export "run") (result i32) (block {" ".join(stores)}) (i32.const {draw(number)}))')
    if draw(st.booleans()):
        fields.append("(func $start) (start $start)")
    if draw(st.booleans()):
        fields.append('(data $passive "x") (func (data.drop $passive))')
    if draw(st.booleans()):
        fields.append("(table 1 funcref) (elem func)")
    if wide and draw(st.booleans()):
        fields.append(f'(export "memory" (memory {imported}))')
        fields.append(f'(data (memory {imported}) ({"i64" if wide[0] else "i32"}.const 9) "data")')
    names = draw(st.lists(st.sampled_from(["state", "state_", "state.memory0", "state__x", "s", ""]), unique=True))
    if kinds:
        fields += [f'(export "{name}" (global 0))' for name in names]
    wasm = with_custom_sections(draw, compiled(f"(module {' '.join(fields)})"))
    return Made(wasm, imported, tuple(wide), tuple(kinds))


CHANGED = {1, 3, 5, 6, 7, 10}
"""Sections that lowering changes: types, functions, memories, globals, exports, code."""


def typed(items: Iterable[Any]) -> dict[str, tuple[object, object]]:
    """Return the exports of a compiled module with all that their types say, but no vectors."""
    return {
        item.name: (described(item.type), (str(item.type.content), item.type.mutable))
        if isinstance(item.type, wasmtime.GlobalType)
        else (described(item.type), None)
        for item in items
    }


def instantiated(wasm: bytes, imported: int) -> tuple[wasmtime.Store, Any]:
    store = wasmtime.Store(shared_engine())
    store.set_fuel(1_000_000)
    store.set_epoch_deadline(1_000_000)
    memories = [wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(1, 3))) for _ in range(imported)]
    return store, wasmtime.Instance(store, wasmtime.Module(shared_engine(), wasm), memories).exports(store)


@given(stateful_modules())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_a_lowered_module_is_the_same_otherwise(made: Made) -> None:
    declarations = read_declarations(made.wasm)
    result = lower(made.wasm, declarations, memory_pages_max=65_536)
    before, after = (wasmtime.Module(shared_engine(), wasm) for wasm in (made.wasm, result.wasm))
    types, new_types = typed(before.exports), typed(after.exports)
    assert new_types.keys() - types.keys() == {
        *result.memories.values(),
        *result.globals.values(),
        *result.maxima.values(),
    }
    assert result.memories.keys() == {made.imported + number for number in range(len(made.memories))}
    assert result.globals.keys() == {number for number, (_, mutable) in enumerate(made.globals) if mutable}
    assert all(new_types[name][1] == (made.globals[index][0], True) for index, name in result.globals.items())
    kept = [each for each in sections(result.wasm) if each[0] not in CHANGED]
    if declarations.function_exports.keys() - named_functions(made.wasm):
        assert kept.pop()[0] == 0  # their names
    assert kept == [each for each in sections(made.wasm) if each[0] not in CHANGED]
    again = read_declarations(result.wasm)
    assert again.imports == declarations.imports
    assert again.mutable_globals[: len(declarations.mutable_globals)] == declarations.mutable_globals
    assert {index: again.memory_exports[name] for index, name in result.memories.items()} == {
        index: index for index in result.memories
    }
    old_store, old = instantiated(made.wasm, made.imported)
    store, new = instantiated(result.wasm, made.imported)
    for name in result.maxima.values():
        new[name].set_value(store, 3)
    for _ in range(2):
        if "run" in types:
            assert old["run"](old_store) == new["run"](store)
    for name, kind in types.items():
        if name == "memory":
            assert bytes(old[name].read(old_store)) == bytes(new[name].read(store))
        elif isinstance(kind[0], OtherType):
            assert old[name].value(old_store) == new[name].value(store)


def test_the_new_exports_are_the_memories_and_globals_that_their_names_say() -> None:
    wasm = compiled("""(module (import "m" "0" (memory 1)) (memory 1) (memory i64 1) (global i32 (i32.const 5))
      (global $a (mut i32) (i32.const 6)) (global $b (mut f64) (f64.const 7)) (global (mut funcref) (ref.null func))
      (data (memory 1) (i32.const 0) "one") (data (memory 2) (i64.const 0) "two")
      (func (export "set") (param i32 f64) (global.set $a (local.get 0)) (global.set $b (local.get 1))))""")
    result = lower(wasm, read_declarations(wasm), memory_pages_max=9, prefix="reset")
    assert result.memories == {1: "reset.memory1", 2: "reset.memory2"}
    assert result.globals == {1: "reset.global1", 2: "reset.global2"}
    store, exports = instantiated(result.wasm, 1)
    assert [bytes(exports[name].read(store, 0, 3)) for name in result.memories.values()] == [b"one", b"two"]
    exports["set"](store, 60, 70.5)
    assert [exports[name].value(store) for name in result.globals.values()] == [60, 70.5]
    exports["reset.global1"].set_value(store, 6)
    assert exports["reset.global1"].value(store) == 6


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ("", [5, 7]),
        ("(func $f) (start $f)", [1, 3, 5, 7, 8, 10]),
        ("(table 1 funcref) (elem func)", [4, 5, 7, 9]),
        ('(data "x") (func (data.drop 0))', [1, 3, 5, 7, 12, 10, 11]),
        ("(func)", [1, 3, 5, 7, 10]),
        ('(data (i32.const 0) "x")', [5, 7, 11]),
        ('(func (export "f")) (func $g) (start $g)', [1, 3, 5, 7, 8, 10, 0]),
    ],
)
def test_a_new_export_section_stands_in_its_place(fields: str, kinds: list[int]) -> None:
    wasm = without_names(compiled(f"(module (memory 1) {fields})"))
    result = lower(wasm, read_declarations(wasm), memory_pages_max=9)
    assert [kind for kind, _ in sections(validated(result.wasm))] == kinds


@pytest.mark.parametrize("taken", [["state"], ["state.memory0", "state_"], ["state", "state_", "state__"], ["stat"]])
def test_a_contract_cannot_take_the_names_of_the_new_exports(taken: list[str]) -> None:
    exports = " ".join(f'(export "{name}" (memory 0))' for name in taken)
    wasm = compiled(f"(module (memory 1) {exports})")
    result = lower(wasm, read_declarations(wasm), memory_pages_max=9)
    assert read_declarations(validated(result.wasm)).memory_exports == {
        **dict.fromkeys(taken, 0),
        result.memories[0]: 0,
    }
    assert len(result.memories[0]) <= len("state.memory0") + len(taken)


def test_a_module_without_state_and_calls_is_left_as_it_is() -> None:
    wasm = compiled('(module (import "m" "0" (memory 1)) (func $f (export "f")) (global i32 (i32.const 1)))')
    assert lower(wasm, read_declarations(wasm), memory_pages_max=9).wasm is wasm


@pytest.mark.parametrize("width", ["", "i64 "])
def test_memories_with_pages_of_a_byte_keep_them_and_their_guard_counts_in_bytes(width: str) -> None:
    at = width.strip() or "i32"
    wasm = compiled(
        f"""(module (import "m" "0" (memory {width}5 90000 (pagesize 1)))
          (memory {width}7 (pagesize 1)) (memory {width}8 20 (pagesize 1))"""
        + "".join(
            f"""(func (export "grow{index}") (param {at}) (result {at}) (memory.grow {index} (local.get 0)))
              (func (export "size{index}") (result {at}) (memory.size {index}))"""
            for index in range(3)
        )
        + ")"
    )
    result = lower(wasm, read_declarations(wasm), memory_pages_max=1)
    is_64 = bool(width)
    assert read_declarations(validated(result.wasm)).own_memories == (
        (1, MemoryType(7, 65_536, is_64, 1)),
        (2, MemoryType(8, 20, is_64, 1)),
    )
    store = wasmtime.Store(shared_engine())
    store.set_fuel(1_000_000)
    store.set_epoch_deadline(1_000_000)
    store.set_limits(memory_size=80_000)
    kind = wasmtime.MemoryType(wasmtime.Limits(5, 90_000), is_64, page_size_log2=0)
    memory = wasmtime.Memory(store, kind)
    exports: Any = wasmtime.Instance(store, wasmtime.Module(shared_engine(), result.wasm), [memory]).exports(store)
    exports[result.maxima[0]].set_value(store, 90_000)
    assert (exports["grow0"](store, 70_000), exports["size0"](store)) == (5, 70_005)
    assert exports["grow0"](store, 19_996) == -1  # a byte more than the maximum
    with pytest.raises(wasmtime.Trap):  # the limit of the store stands for a system without memory
        exports["grow0"](store, 19_995)
    assert (exports["grow1"](store, 65_529), exports["grow1"](store, 1), exports["size1"](store)) == (7, -1, 65_536)
    assert (exports["grow2"](store, 12), exports["grow2"](store, 1), exports["size2"](store)) == (8, -1, 20)


NAMES = """(module (func $own (export "a") unreachable) (func (export "b") (export "c") unreachable)
  (func (export "d") (call 4)) (func (export "e") unreachable) (func unreachable))"""


def trapping_functions(wasm: bytes, name: str) -> list[str | None]:
    store, exports = instantiated(wasm, 0)
    with pytest.raises(wasmtime.Trap) as caught:
        exports[name](store)
    return [frame.func_name for frame in caught.value.frames]


def test_exported_functions_without_a_name_have_that_of_their_export() -> None:
    wasm = compiled(NAMES)
    lowered = lower(wasm, read_declarations(wasm), memory_pages_max=9).wasm
    assert trapping_functions(lowered, "a") == ["own"]
    assert trapping_functions(lowered, "c") == ["b"]
    assert trapping_functions(lowered, "d") == [None, "d"]


def custom(content: bytes) -> bytes:
    return section(0, b"\4name" + content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\1",
        b"\1\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\1\5\xff\xff\xff\xff\x0f",
        b"\1\3\1\0\x7f",
        b"\xff" * 5_000,
        b"\1\x7f\x7f\0\1x",
        bytes(3_000),
    ],
)
def test_a_name_section_that_cannot_be_read_does_no_harm(content: bytes) -> None:
    wasm = without_names(compiled(NAMES))
    for broken in (wasm + custom(content), wasm[:8] + custom(content) + wasm[8:]):
        lowered = lower(broken, read_declarations(broken), memory_pages_max=9).wasm
        assert trapping_functions(lowered, "e") == ["e"]


@given(st.binary(max_size=40))
def test_names_of_any_bytes_are_read_to_an_end(content: bytes) -> None:
    assert all(0 <= index < 2**35 for index in named_functions(b"\0asm\1\0\0\0" + custom(content)))


def test_all_kinds_of_contracts_are_valid_when_they_are_lowered() -> None:
    for wasm in seeds():
        declarations = read_declarations(wasm)
        result = lower(wasm, declarations, memory_pages_max=99)
        after = read_declarations(validated(result.wasm))
        assert after.exports.keys() - declarations.exports.keys() == {
            *result.memories.values(),
            *result.globals.values(),
            *result.maxima.values(),
        }
        assert result.memories.keys() == {index for index, _ in declarations.own_memories}
        assert after.bulk_memories == declarations.bulk_memories
        assert len(result.guards) == len(declarations.grows_memory)


# Memories that grow


@pytest.mark.parametrize("width", ["", "i64 "])
@pytest.mark.parametrize(
    ("declared", "allowed", "maximum"), [("1", 5, 5), ("1 3", 5, 3), ("1 70", 5, 5), ("4", 2, 4), ("2 2", 9, 2)]
)
def test_an_own_memory_grows_to_its_maximum_or_that_of_the_limits(
    width: str, declared: str, allowed: int, maximum: int
) -> None:
    kind = "i64" if width else "i32"
    wasm = compiled(f"""(module (memory {width}{declared})
      (func (export "grow") (param {kind}) (result {kind}) (memory.grow (local.get 0))))""")
    least = int(declared[0])
    for more in (0, 1, maximum - least, maximum - least + 1, 2**31 - 1, -1):
        result = lower(wasm, read_declarations(wasm), memory_pages_max=allowed)
        store, exports = instantiated(result.wasm, 0)
        fits = 0 <= more <= maximum - least
        assert exports["grow"](store, more) == (least if fits else -1)
        assert exports[result.memories[0]].size(store) == (least + more if fits else least)
    assert read_declarations(result.wasm).memories == (MemoryType(least, maximum, bool(width)),)


def test_a_guard_traps_if_a_memory_could_have_grown_and_did_not() -> None:
    """Its maximum is set too high here, which looks the same to it as a refusal of the system."""
    wasm = compiled("""(module (import "m" "0" (memory 1)) (func (export "grow") (param i32) (result i32)
      (memory.grow (local.get 0))))""")
    result = lower(wasm, read_declarations(wasm), memory_pages_max=9)
    store, exports = instantiated(result.wasm, 1)
    exports[result.maxima[0]].set_value(store, 4)
    assert exports["grow"](store, 2) == 1
    assert exports["grow"](store, 2) == -1
    with pytest.raises(wasmtime.Trap) as caught:
        exports["grow"](store, 1)
    assert caught.value.trap_code is wasmtime.TrapCode.UNREACHABLE
    assert caught.value.frames[0].func_index in result.guards


# Calls that return


def recursion(behind: str) -> bytes:
    return compiled(f"""(module (memory 1) (func $f (export "f") (param i32)
      (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1)))))
      {behind}))""")


@pytest.mark.parametrize("call", ["(call $f (i32.const 0))", "(call_indirect (param i32) (i32.const 0) (i32.const 0))"])
@pytest.mark.parametrize(("length", "looks"), [(0, False), (60, False), (70, True), (700, True)])
def test_fuel_is_looked_at_behind_a_call_where_much_code_follows(call: str, length: int, looks: bool) -> None:
    wasm = compiled(f"""(module (table 1 funcref) (elem (i32.const 0) $f) (func $f (param i32))
      (func (export "run") {call} {"(nop)" * length}))""")
    lowered = lower(wasm, read_declarations(wasm), memory_pages_max=9).wasm
    assert (b"\x03\x40\x0b" in lowered) == looks
    assert b"\x03\x40\x0b" not in wasm


@pytest.mark.parametrize(
    "bulk",
    [
        "(memory.fill (i32.const 0) (i32.const 1) (i32.const 60000))",
        "(memory.copy (i32.const 0) (i32.const 1) (i32.const 60000))",
        "(memory.init $d (i32.const 0) (i32.const 0) (i32.const 1))",
        "(table.fill (i32.const 0) (ref.null func) (i32.const 1))",
        "(table.copy (i32.const 0) (i32.const 0) (i32.const 1))",
        "(table.init $e (i32.const 0) (i32.const 0) (i32.const 1))",
        "(drop (table.grow (ref.null func) (i32.const 1)))",
    ],
)
def test_the_time_is_looked_at_behind_instructions_that_take_long(bulk: str) -> None:
    """In a straight line of them nothing else would: hours for who has the gas."""
    wasm = compiled(f"""(module (memory 1) (data $d "x") (table 1 funcref) (elem $e func $f)
      (func $f (export "run") {bulk * 50}))""")
    lowered = lower(wasm, read_declarations(wasm), memory_pages_max=9).wasm
    assert validated(lowered).count(b"\x03\x40\x0b") == 50


def test_calls_that_return_into_long_code_stop_where_fuel_ends() -> None:
    """Without lowering, all of them would run to their ends: a hundred times the fuel that there is."""
    wasm = recursion("(i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))" * 100)
    used = []
    for each in (wasm, lower(wasm, read_declarations(wasm), memory_pages_max=9).wasm):
        store, exports = instantiated(each, 0)
        store.set_fuel(10_000)
        name = "state.memory0"
        if each is wasm:
            exports["f"](store, 1_000)
            continue
        with pytest.raises(wasmtime.Trap) as caught:
            exports["f"](store, 1_000)
        assert caught.value.trap_code is wasmtime.TrapCode.OUT_OF_FUEL
        used.append(int.from_bytes(exports[name].read(store, 0, 4), "little"))
    assert 0 < used[0] <= 10_000 / 6 + 100


def test_looks_at_fuel_cost_none() -> None:
    wasm = recursion("(i32.store (i32.const 0) (i32.const 1))" * 100)
    left = []
    for each in (wasm, lower(wasm, read_declarations(wasm), memory_pages_max=9).wasm):
        store, exports = instantiated(each, 0)
        exports["f"](store, 50)
        left.append(store.get_fuel())
    assert left[0] == left[1]
