"""Modules to begin with: our fixtures, and contracts that use what fixtures do not."""

from __future__ import annotations

import functools

from storagemod.limits import Limits
from storagemod.scenario.fixtures import fixture, fixture_names
from storagemod.vm import option_names
from storagemod.wasm import to_wasm

FUNCREF_WRITTEN_LONG = bytes.fromhex(
    "0061736d01000000 010b02600263707f017e600000 0303020001070c0201660000046d61696e0001 0a0902040042000b02000b"
)
"""Exports `f`, of type `(func (param funcref i32) (result i64))` with the reference written long, and `main`."""

_WAT = (
    # what compilers of C make
    """(module (import "ethereum" "storageMap" (func $map (param i32 i32 i32)))
      (memory (export "memory") 3) (global $sp (mut i32) (i32.const 65536)) (table 3 3 funcref)
      (elem (i32.const 1) func $get $set) (data $d (i32.const 1024) "static") (data $p "passive")
      (func $get (export "get") (param i32) (result i64) (call $map (i32.const 131072) (i32.const 0) (i32.const 4096))
        (i64.load (i32.add (i32.const 131072) (i32.and (local.get 0) (i32.const 4095)))))
      (func $set (export "set") (param i32 i64) (local i32) (local.set 2 (i32.sub (global.get $sp) (i32.const 32)))
        (memory.init $p (local.get 2) (i32.const 0) (i32.const 7)) (data.drop $p)
        (memory.copy (i32.const 2048) (local.get 2) (i32.const 16))
        (memory.fill (local.get 2) (i32.const 0) (i32.const 9))
        (call $map (i32.const 131072) (i32.const 0) (i32.const 4096))
        (i64.store offset=131072 (local.get 0) (local.get 1)))
      (func (export "main") (call_indirect (param i32 i64) (i32.const 0) (i64.const 1) (i32.const 2))))""",
    # addresses of 64 bits, several memories, both regions and working memory exported
    """(module (import "storage" "memory" (memory $s i64 1 4)) (import "storage" "other" (memory $o 0 2))
      (memory $m i64 1 5) (memory $n 2) (export "memory" (memory $m)) (export "seen" (memory $s))
      (data (memory $s) (i64.const 40000) "in storage") (data (memory $m) (i64.const 8) "working")
      (func (export "main") (memory.copy $s $m (i64.const 16) (i64.const 0) (i64.const 64)))
      (func (export "grow") (param i64) (result i64 i32)
        (memory.grow $s (local.get 0)) (memory.grow $o (i32.wrap_i64 (local.get 0))))
      (func (export "put") (param i64 f64) (f64.store $s (local.get 0) (local.get 1)))
      (func (export "peek") (param i32) (result f32) (f32.load $o (local.get 0))))""",
    # vectors, many results, references, globals, tables of both widths
    """(module (table $t 10 20 funcref) (table $u i64 5 funcref) (global (export "g") (mut i64) (i64.const 7))
      (memory 0 0) (elem $e funcref (ref.func $f) (ref.null func)) (elem declare func $f)
      (func $f (export "swap") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
        (local.get 3) (local.get 2) (local.get 1) (local.get 0))
      (func (export "wide") (param v128) (result v128) (i8x16.swizzle (local.get 0) (local.get 0)))
      (func (export "tables") (param i32) (table.init $t $e (local.get 0) (i32.const 0) (i32.const 2))
        (drop (table.grow $t (ref.null func) (local.get 0)))
        (table.set $u (i64.extend_i32_u (local.get 0)) (ref.func $f))
        (table.fill $t (local.get 0) (ref.func $f) (i32.const 4)) (elem.drop $e))
      (func (export "trunc") (param f64) (result i32) (i32.trunc_f64_s (local.get 0)))
      (func (export "sum") (param i64) (result i64) (local i64)
        (loop (local.set 1 (i64.add (local.get 1) (local.get 0)))
        (local.set 0 (i64.sub (local.get 0) (i64.const 1))) (br_if 0 (i32.eqz (i64.eqz (local.get 0))))) (local.get 1))
      (func $r (export "recurse") (call $r)) (func (export "loop") (loop (br 0)))
      (func (export "main") unreachable))""",
    # start functions are refused; big declarations
    """(module (memory (export "memory") 1) (func $s) (start $s) (func (export "main")))""",
    """(module (memory (export "memory") 1024 65536) (table 90000 funcref) (func (export "main") (local i64 i64 f32)
      (drop (memory.grow (i32.const 60000)))))""",
    """(module (import "contract:peer" "increment" (func $up (result i64)))
      (import "contract:peer" "increment?" (func $try (result i32 i64)))
      (func (export "main") (drop (call $up)) (drop (drop (call $try)))))""",
    # an ewasm contract, and one that creates
    """(module (import "ethereum" "getCallDataSize" (func $size (result i32)))
      (import "ethereum" "callDataCopy" (func $copy (param i32 i32 i32)))
      (import "ethereum" "storageStore" (func $store (param i32 i32)))
      (import "ethereum" "finish" (func $finish (param i32 i32))) (memory (export "memory") 1)
      (func (export "main") (call $copy (i32.const 0) (i32.const 0) (call $size))
        (call $store (i32.const 0) (i32.const 32)) (call $finish (i32.const 0) (i32.const 64))))""",
    r"""(module (import "ethereum" "finish" (func $finish (param i32 i32))) (memory (export "memory") 1)
      (data (i32.const 0) "\00asm\01\00\00\00") (func (export "main") (call $finish (i32.const 0) (i32.const 8))))""",
    """(module (import "ethereum" "log" (func $log (param i32 i32 i32 i32 i32 i32 i32))) (memory (export "memory") 1)
      (func (export "main") (call $log (i32.const 0) (i32.const 9) (i32.const 4) (i32.const 0) (i32.const 1)
      (i32.const 2) (i32.const 3)))
      (func (export "any") (param i32 i32 i32) (call $log (local.get 0) (local.get 1) (local.get 2)
      (local.get 0) (local.get 1) (local.get 2) (local.get 0))))""",
    """(module (import "storage" "load_i64" (func $l (param i64) (result i64)))
      (import "storage" "copy_in" (func $i (param i32 i64 i32)))
      (import "storage" "grow" (func $g (param i64) (result i64)))
      (memory (export "memory") 1) (func (export "main") (drop (call $g (i64.const 1))))
      (func (export "in") (param i32 i64 i32) (call $i (local.get 0) (local.get 1) (local.get 2)))
      (func (export "get") (param i64) (result i64) (call $l (local.get 0))))""",
    "(module)",
)


@functools.cache
def texts() -> tuple[str, ...]:
    """The contracts that are written as text."""
    fixtures = {fixture(name, option) for name in fixture_names() for option in option_names()}
    return (*_WAT, *sorted(fixtures, key=lambda text: (len(text), text)))


@functools.cache
def modules() -> tuple[bytes, ...]:
    """All of them as binaries."""
    wasm = [to_wasm(text, name="seed", limits=Limits()) for text in texts()]
    return (FUNCREF_WRITTEN_LONG, *dict.fromkeys(wasm))
