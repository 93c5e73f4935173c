"""Run every load and store that there is on protected storage: a program, since one that is not turned into a trap
would end the process.

It prints a JSON document: each access, what held it back, and what came of it.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator

from attrs import frozen

from storagemod.errors import TrapError
from storagemod.limits import Limits
from storagemod.pages import PAGE_BYTES, LiveRegion, PageBackend, UndoLog, choose_backend
from storagemod.pages.backend import COMPARE
from storagemod.types import WASM_PAGE_BYTES, ValueType
from storagemod.wasm import Instance, Linker, Store, compile_module, raw_values, to_wasm

BORDER = WASM_PAGE_BYTES
INSIDE, BEYOND = 8, BORDER + 8
ADDRESSES: tuple[ValueType, ...] = ("i32", "i64")


@frozen
class Access:
    """One way to reach memory: its text, where ``@`` stands for memory and offset and ``#`` for the address, and how
    many bytes it loads or stores.
    """

    name: str
    text: str
    width: int
    stores: bool

    def wat(self, offset: str, address: str) -> str:
        return self.text.replace("@", f"$s {offset}").replace("#", address)


def load(name: str, value: str, width: int, lane: str = "") -> Access:
    operand = f" (global.get ${value})" if lane else ""
    return Access(name, f"(global.set ${value} ({name} @ {lane} #{operand}))", width, stores=False)


def store(name: str, value: str, width: int, lane: str = "") -> Access:
    return Access(name, f"({name} @ {lane} # (global.get ${value}))", width, stores=True)


def single_accesses() -> Iterator[Access]:
    """Every instruction that loads or stores."""
    for kind, width in (("i32", 4), ("i64", 8), ("f32", 4), ("f64", 8), ("v128", 16)):
        yield load(f"{kind}.load", kind, width)
        yield store(f"{kind}.store", kind, width)
    for kind, widths in (("i32", (1, 2)), ("i64", (1, 2, 4))):
        for width in widths:
            for sign in "su":
                yield load(f"{kind}.load{8 * width}_{sign}", kind, width)
            yield store(f"{kind}.store{8 * width}", kind, width)
    for shape in ("8x8", "16x4", "32x2"):
        for sign in "su":
            yield load(f"v128.load{shape}_{sign}", "v128", 8)
    for width in (1, 2, 4, 8):
        yield load(f"v128.load{8 * width}_splat", "v128", width)
        yield load(f"v128.load{8 * width}_lane", "v128", width, lane="1")
        yield store(f"v128.store{8 * width}_lane", "v128", width, lane="1")
    for width in (4, 8):
        yield load(f"v128.load{8 * width}_zero", "v128", width)


def joined_accesses() -> Iterator[Access]:
    """Loads and stores that compilers make one machine instruction of, with what comes before or after."""
    for kind, width in (("i32", 4), ("i64", 8)):
        for operation in ("add", "sub", "and", "or", "xor", "mul"):
            name = f"{kind}.{operation}"
            changed = f"({name} ({kind}.load @ #) (global.get ${kind}))"
            yield Access(f"load, {name}", f"(global.set ${kind} {changed})", width, stores=False)
            yield Access(f"load, {name}, store", f"({kind}.store @ # {changed})", width, stores=True)
        for name in ("eqz", "popcnt", "clz"):
            result = "i32" if name == "eqz" else kind
            text = f"(global.set ${result} ({kind}.{name} ({kind}.load @ #)))"
            yield Access(f"load, {kind}.{name}", text, width, stores=False)
        yield Access(f"store {kind} constant", f"({kind}.store @ # ({kind}.const 1))", width, stores=True)
        branch = f"(if ({kind}.lt_u (global.get ${kind}) ({kind}.load @ #)) (then nop))"
        yield Access(f"load {kind}, branch", branch, width, stores=False)
    for kind, width in (("f32", 4), ("f64", 8)):
        for operation in ("add", "mul", "min"):
            text = f"(global.set ${kind} ({kind}.{operation} (global.get ${kind}) ({kind}.load @ #)))"
            yield Access(f"load, {kind}.{operation}", text, width, stores=False)
        yield Access(f"load, {kind}.sqrt", f"(global.set ${kind} ({kind}.sqrt ({kind}.load @ #)))", width, stores=False)
    for target, operation, source, width in (
        ("i64", "extend_i32_s", "i32", 4),
        ("i32", "wrap_i64", "i64", 8),
        ("f64", "promote_f32", "f32", 4),
        ("f32", "demote_f64", "f64", 8),
        ("f64", "convert_i32_s", "i32", 4),
        ("f32", "convert_i64_s", "i64", 8),
    ):
        text = f"(global.set ${target} ({target}.{operation} ({source}.load @ #)))"
        yield Access(f"load, {target}.{operation}", text, width, stores=False)
    for name in ("i32x4.add", "i8x16.sub", "f32x4.mul", "f64x2.max", "v128.xor", "i16x8.narrow_i32x4_s"):
        text = f"(global.set $v128 ({name} (global.get $v128) (v128.load @ #)))"
        yield Access(f"load, {name}", text, 16, stores=False)
    for shape, kind, width in (("i32x4", "i32", 4), ("i64x2", "i64", 8), ("f32x4", "f32", 4)):
        text = f"({kind}.store @ # ({shape}.extract_lane 1 (global.get $v128)))"
        yield Access(f"{shape}.extract_lane, store", text, width, stores=True)


ACCESSES = (*single_accesses(), *joined_accesses())


def contract_wat(at: str) -> str:
    """Functions for each access: at the address given, at constant ones, and at a constant offset."""
    lines = [
        f'(module (import "storage" "memory" (memory $s {at if at == "i64" else ""} 1))',
        *(f"(global ${kind} (mut {kind}) ({kind}.const -1))" for kind in ("i32", "i64", "f32", "f64")),
        "(global $v128 (mut v128) (v128.const i64x2 -1 -1))",
    ]
    for index, access in enumerate(ACCESSES):
        for name, offset, address in (
            ("variable", "", "(local.get $at)"),
            ("inside", "", f"({at}.const {INSIDE})"),
            ("beyond", "", f"({at}.const {BEYOND})"),
            ("straddling", "", f"({at}.const {BORDER - access.width + 1})"),
            ("offset inside", f"offset={INSIDE}", "(local.get $at)"),
            ("offset beyond", f"offset={BEYOND}", "(local.get $at)"),
            ("offset straddling", f"offset={BORDER - access.width + 1}", "(local.get $at)"),
        ):
            lines.append(f'(func (export "{index} {name}") (param $at {at}) {access.wat(offset, address)})')
    return "\n".join([*lines, ")"])


def place_of(access: Access, place: str) -> int:
    return {"inside": INSIDE, "beyond": BEYOND, "straddling": BORDER - access.width + 1}[place]


def opened(live: Store, at: ValueType, backend: PageBackend, length: int) -> tuple[LiveRegion, Instance]:
    """Two Wasm pages of memory, some of them the region's and from an image, and an instance that imports them."""
    width = "i64" if at == "i64" else ""
    storage = to_wasm(f'(module (memory (export "m") {width} 2 4))', name="storage", limits=Limits())
    offers = Linker().prepare(compile_module(storage, Limits()))
    module = live.instantiate(offers.address)
    image = backend.image_maker()()
    image.replace(length, dict.fromkeys((0, 3, 16)[: length + 1], b"\x01" * PAGE_BYTES))
    region = LiveRegion("memory", module.memory("m"), image, backend, UndoLog(), 4)
    linker, export = Linker(), module.export("m")
    assert export is not None
    linker.define(live, "storage", "memory", export)
    code = compile_module(to_wasm(contract_wat(at), name="contract", limits=Limits()), Limits())
    prepared = linker.prepare(code)
    return region, live.instantiate(prepared.address)


def trials(at: ValueType, backend: PageBackend) -> Iterator[list[object]]:
    live = Store(Limits())
    live.start(60)
    live.fuel = 10**9
    layout = raw_values((at,))
    values = ctypes.create_string_buffer(layout.size)

    def outcome(instance: Instance, function: str, address: int) -> object:
        layout.pack_into(values, 0, address)
        try:
            live.invoke(instance.function(function), ctypes.addressof(values), 1)
        except TrapError as error:
            return [error.code, error.fault]
        return "ok"

    for rights, writing, wasm_pages in (("all", True, 2), ("reading", False, 2), ("a length", True, 1)):
        region, instance = opened(live, at, backend, wasm_pages)
        for index, access in enumerate(ACCESSES):
            for place in ("inside", "beyond", "straddling"):
                if place == "straddling" and access.width == 1:
                    continue
                address = place_of(access, place)
                region.allow(writing=writing)
                found = {
                    "variable": outcome(instance, f"{index} variable", address),
                    "constant": outcome(instance, f"{index} {place}", 0),
                    "offset": outcome(instance, f"{index} offset {place}", 0),
                }
                yield [at, backend.name, rights, access.name, access.stores, address, access.width, found]
    live.stop()


def main() -> None:
    backends = {choose_backend().name: choose_backend(), COMPARE.name: COMPARE}
    print(json.dumps([trial for backend in backends.values() for at in ADDRESSES for trial in trials(at, backend)]))


if __name__ == "__main__":
    main()
