"""Contracts with state of their own, for tests of what stays between calls: all of it has to be as if it were new.

Each gives sums of its own state when a call begins and ends, and changes all of it in between.
"""

from __future__ import annotations

import functools

from attrs import frozen

from storagemod import Limits
from storagemod.wasm import to_wasm

_OWN = """(module
  (import "ethereum" "getCallDataSize" (func $size (result i32)))
  (import "ethereum" "callDataCopy" (func $copy (param i32 i32 i32)))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  {fields}
  (type $nothing (func))
  {memory}
  (global $i (mut i32) (i32.const 5))
  (global $l (mut i64) (i64.const -6))
  (global $f (mut f32) (f32.const 0.5))
  (global $d (mut f64) (f64.const nan:0x4000000000123))
  (func $mix (param $sum i64) (param $value i64) (result i64)
    (i64.add (i64.rotl (local.get $sum) (i64.const 7)) (local.get $value)))
  (func $sum (result i64) (local $at i32) (local $sum i64)
    (local.set $sum (i64.extend_i32_u (memory.size $own)))
    (loop $next
      (local.set $sum (call $mix (local.get $sum) (i64.load $own (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 264)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 0xe000))))
    (local.set $sum (call $mix (local.get $sum) (i64.extend_i32_u (global.get $i))))
    (local.set $sum (call $mix (local.get $sum) (global.get $l)))
    (local.set $sum (call $mix (local.get $sum) (i64.extend_i32_u (i32.reinterpret_f32 (global.get $f)))))
    (local.set $sum (call $mix (local.get $sum) (i64.reinterpret_f64 (global.get $d))))
    {sums}
    (local.get $sum))
  (func $dirty
    (global.set $i (i32.add (global.get $i) (i32.const 1)))
    (global.set $l (i64.add (global.get $l) (i64.const 1)))
    (global.set $f (f32.const 7))
    (global.set $d (f64.const -0))
    (i64.store $own (i32.const 0) (i64.add (i64.load $own (i32.const 0)) (i64.const 3)))
    (i64.store $own (i32.const 0x2100) (i64.const 9))
    (i64.store $own (i32.sub (i32.mul (memory.size $own) (i32.const 0x10000)) (i32.const 8)) (i64.const 11))
    {dirties})
  (func (export "main")
    (i64.store $own (i32.const 0xe000) (call $sum))
    (call $dirty)
    (if (i32.gt_u (call $size) (i32.const 19)) (then
      (call $copy (i32.const 0xe100) (i32.const 0) (call $size))
      (i32.store $own (i32.const 0xe010) (call $call
        (i64.const 0x7fffffffffffffff) (i32.const 0xe100) (i32.const 0xe0f0)
        (i32.const 0xe114) (i32.sub (call $size) (i32.const 20))))))
    (i64.store $own (i32.const 0xe008) (call $sum))
    (call $finish (i32.const 0xe000) (i32.const 0x18))))
"""
"""Call data is an address to call in between, and what to call it with; or nothing."""


def _memory(pages: str, at: str, data: str) -> str:
    return f'(memory $own (export "memory") {pages}) (data (memory $own) {at} "{data}")'


_MEMORY = _memory("1", "(i32.const 0x100)", "first bytes")


@frozen
class _Kind:
    fields: str = ""
    memory: str = _MEMORY
    sums: str = ""
    dirties: str = ""


def _mixed(value: str) -> str:
    return f"(local.set $sum (call $mix (local.get $sum) {value}))"


_KINDS = {
    "globals and memory": _Kind(),
    "memory that grows": _Kind(dirties="(drop (memory.grow $own (i32.const 1)))"),
    "memory of five pages": _Kind(memory=_memory("5 6", "(i32.const 0x40100)", "far")),
    "memory of many pages": _Kind(memory='(memory $own (export "memory") 100)'),
    "two memories": _Kind(
        memory=_MEMORY + '(memory $second 2 3) (data (memory $second) (i32.const 0x1fff0) "second")',
        sums=_mixed("(i64.load $second (i32.const 0x1fff0))"),
        dirties="(i64.store $second (i32.const 0x1fff4) (i64.const 8))",
    ),
    "segment placed by instructions": _Kind(memory=_memory("1", "(i32.add (i32.const 0x100) (i32.const 8))", "placed")),
    "segment placed by instructions in much memory": _Kind(
        memory=_memory("5", "(i32.mul (i32.const 0x108) (i32.const 3))", "placed")
    ),
    "segment that does not fit": _Kind(memory=_memory("1", "(i32.const 0xffff)", "too long")),
    "table that is changed": _Kind(
        memory=_MEMORY + "(table $t 4 8 funcref) (elem (i32.const 1) $sum) (elem declare func $dirty)",
        sums=_mixed("(i64.extend_i32_u (table.size $t))")
        + "".join(_mixed(f"(i64.extend_i32_u (ref.is_null (table.get $t (i32.const {at}))))") for at in range(4)),
        dirties="(table.set $t (i32.const 0) (ref.func $dirty)) (drop (table.grow $t (ref.null func) (i32.const 1)))",
    ),
    "table that is read": _Kind(
        memory=_MEMORY + "(table $t 4 4 funcref) (elem (i32.const 1) $dirty2) "
        "(func $dirty2 (global.set $i (i32.const 0)))",
        dirties="(call_indirect $t (type $nothing) (i32.const 1))",
    ),
    "segment that is dropped": _Kind(
        memory=_MEMORY + '(data $p "passive")',
        dirties="(memory.init $own $p (i32.const 0x300) (i32.const 0) (i32.const 7)) (data.drop $p)",
    ),
    "elements that are dropped": _Kind(
        memory=_MEMORY + "(table $t 4 4 funcref) (elem $e func $sum)",
        dirties="(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1)) (elem.drop $e)",
    ),
    "segment that is not dropped": _Kind(
        memory=_MEMORY + '(data $p "passive")',
        dirties="(memory.init $own $p (i32.const 0x300) (i32.const 0) (i32.const 7))",
    ),
    "global of a reference": _Kind(
        memory=_MEMORY + "(global $r (mut funcref) (ref.null func)) (elem declare func $sum)",
        sums=_mixed("(i64.extend_i32_u (ref.is_null (global.get $r)))"),
        dirties="(global.set $r (ref.func $sum))",
    ),
}

_COUNTED = "(i64.store {memory} (i32.const {at}) (i64.add (i64.load {memory} (i32.const {at})) (i64.const 1)))"


def _counting(
    *imports: tuple[str, str, str], memory: str = _MEMORY, fields: str = "", dirties: str = "", before: bool = True
) -> _Kind:
    """A kind that counts in each of some memories of storage: region, type, and where."""
    names = {region: f"$region{number}" for number, (region, _, _) in enumerate(imports)}
    declared = "".join(f'(import "storage" "{region}" (memory {names[region]} {kind}))' for region, kind, _ in imports)
    loads = "".join(_mixed(f"(i64.load {names[region]} (i32.const {at}))") for region, _, at in imports)
    sizes = "".join(_mixed(f"(i64.extend_i32_u (memory.size {names[region]}))") for region, _, _ in imports)
    counts = "".join(_COUNTED.format(memory=names[region], at=at) for region, _, at in imports)
    return _Kind(declared, memory + fields, (loads if before else "") + sizes, dirties + counts)


_KINDS |= {
    "storage of one page": _counting(("memory", "1 3", "8")),
    "storage of two pages": _counting(("memory", "2", "0x10008")),
    "storage that grows": _counting(("memory", "1 3", "8"), dirties="(drop (memory.grow $region0 (i32.const 1)))"),
    "storage without a page": _counting(
        ("memory", "0 2", "8"), dirties="(drop (memory.grow $region0 (i32.const 1)))", before=False
    ),
    "regions": _counting(("a", "1 1", "8"), ("b", "1 2", "16")),
    "one of the regions, longer": _counting(("b", "2 2", "0x1fff0")),
    "segment in storage": _counting(
        ("memory", "1 3", "12"), fields='(data (memory $region0) (i32.const 10) "segment")', memory=_MEMORY
    ),
    "segment that does not fit into storage": _counting(
        ("memory", "1 3", "8"),
        fields='(data (memory $region0) (i32.const 16) "is written")'
        '(data (memory $region0) (i32.const 0x1ffff) "is not")',
    ),
    "storage as memory": _Kind(memory='(import "storage" "memory" (memory $own 1 2)) (export "memory" (memory $own))'),
    "storage as memory, under another name": _Kind(
        memory='(import "storage" "other" (memory $own 1 2)) (export "memory" (memory $own))'
    ),
    "methods": _Kind(
        fields="""(import "storage" "load_i64" (func $load (param i32) (result i64)))
          (import "storage" "store_i64" (func $store (param i32 i64)))
          (import "storage" "size" (func $pages (result i32)))
          (import "storage" "grow" (func $grow (param i32) (result i32)))
          (import "storage" "copy_in" (func $in (param i32 i32 i32)))""",
        sums=_mixed("(call $load (i32.const 8))") + _mixed("(i64.extend_i32_u (call $pages))"),
        dirties="""(call $store (i32.const 8) (i64.add (call $load (i32.const 8)) (i64.const 1)))
          (call $in (i32.const 0) (i32.const 4000) (i32.const 200))
          (if (i32.lt_u (call $pages) (i32.const 2)) (then (drop (call $grow (i32.const 1)))))""",
    ),
    "keyed": _Kind(
        fields="""(import "ethereum" "storageLoad" (func $load (param i32 i32)))
          (import "ethereum" "storageStore" (func $store (param i32 i32)))""",
        memory=_MEMORY,
        sums="(call $load (i32.const 0x8000) (i32.const 0x8020))" + _mixed("(i64.load $own (i32.const 0x8020))"),
        dirties="""(i64.store $own (i32.const 0x8020) (i64.add (i64.load $own (i32.const 0x8020)) (i64.const 1)))
          (call $store (i32.const 0x8000) (i32.const 0x8020))""",
    ),
    "mapped": _Kind(
        fields="""(import "ethereum" "storageMap" (func $map (param i32 i32 i32)))""",
        sums="(call $map (i32.const 0x4000) (i32.const 0x1000) (i32.const 0x1000))",
        dirties="(i64.store $own (i32.const 0x4108) (i64.add (i64.load $own (i32.const 0x4108)) (i64.const 1)))",
    ),
    "mapped once": _Kind(
        fields="""(import "ethereum" "storageMap" (func $map (param i32 i32 i32)))""",
        dirties="""(call $map (i32.const 0x4000) (i32.const 0x10000) (i32.const 0x2000))
          (i64.store $own (i32.const 0x4108) (i64.add (i64.load $own (i32.const 0x4108)) (i64.const 1)))""",
    ),
}


@functools.cache
def _wasm(name: str) -> bytes:
    kind = _KINDS[name]
    text = _OWN.format(fields=kind.fields, memory=kind.memory, sums=kind.sums, dirties=kind.dirties)
    return to_wasm(text, name=name, limits=Limits())


STATEFUL: tuple[str, ...] = tuple(_KINDS)
"""What each is called, by what it has."""


def stateful(name: str) -> bytes:
    """The contract of that name."""
    return _wasm(name)


def linked(*, storage: str = "single") -> bytes:
    """A contract with a typed link "next" that goes round: `go` counts down, and `go?` catches at odd numbers.

    At 3 it traps, after it has written; at 6 it grows its own memory, so that its instance cannot be kept.
    """
    count = {
        "single": _COUNTED.format(memory="$st", at=8),
        "none": "",
        "methods": "(call $store (i32.const 8) (i64.add (call $load (i32.const 8)) (i64.const 1)))",
    }[storage]
    fields = {
        "single": '(import "storage" "memory" (memory $st 1 3))',
        "none": "",
        "methods": """(import "storage" "load_i64" (func $load (param i32) (result i64)))
          (import "storage" "store_i64" (func $store (param i32 i64)))""",
    }[storage]
    found = {"single": "(i64.load $st (i32.const 8))", "none": "(i64.const 0)", "methods": "(call $load (i32.const 8))"}
    return to_wasm(
        f"""(module {fields}
      (import "contract:next" "go" (func $go (param i32) (result i64)))
      (import "contract:next" "go?" (func $try (param i32) (result i32 i64)))
      (memory $own 1) (global $count (mut i64) (i64.const 100))
      (func (export "go") (param $n i32) (result i64) (local $sum i64)
        (global.set $count (i64.add (global.get $count) (i64.const 1)))
        (i64.store $own (i32.const 64) (i64.add (i64.load $own (i32.const 64)) (i64.const 2)))
        {count}
        (if (i32.eq (local.get $n) (i32.const 3)) (then unreachable))
        (if (i32.eq (local.get $n) (i32.const 6)) (then (drop (memory.grow $own (i32.const 1)))))
        (if (i32.gt_s (local.get $n) (i32.const 0)) (then
          (if (i32.and (local.get $n) (i32.const 1))
            (then (call $try (i32.sub (local.get $n) (i32.const 1))) (local.set $sum) (drop))
            (else (local.set $sum (call $go (i32.sub (local.get $n) (i32.const 1))))))))
        (i64.add (i64.mul (local.get $sum) (i64.const 31))
          (i64.add (i64.add (global.get $count) (i64.load $own (i32.const 64))) {found[storage]}))))""",
        name=f"linked, {storage}",
        limits=Limits(),
    )
