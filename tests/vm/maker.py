"""A contract that does what its call data says, also as init code: call, create, destroy itself, log, give up.

A script is a row of operations. As init code the script is part of the module, since init code has no call data.
"""

from __future__ import annotations

import functools

from storagemod import Address
from storagemod.limits import Limits
from storagemod.wasm import to_wasm

_MAKER = """(module
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callCode" (func $callCode (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callDelegate" (func $callDelegate (param i64 i32 i32 i32) (result i32)))
  (import "ethereum" "callStatic" (func $callStatic (param i64 i32 i32 i32) (result i32)))
  (import "ethereum" "create" (func $create (param i32 i32 i32 i32) (result i32)))
  (import "ethereum" "selfDestruct" (func $selfDestruct (param i32)))
  (import "ethereum" "log" (func $log (param i32 i32 i32 i32 i32 i32 i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (import "ethereum" "getExternalCodeSize" (func $codeSize (param i32) (result i32)))
  (import "ethereum" "externalCodeCopy" (func $codeCopy (param i32 i32 i32 i32)))
  (import "ethereum" "getCallDataSize" (func $dataSize (result i32)))
  (import "ethereum" "callDataCopy" (func $dataCopy (param i32 i32 i32)))
  (import "ethereum" "storageStore" (func $store (param i32 i32)))
  (import "ethereum" "storageLoad" (func $load (param i32 i32)))
  (memory (export "memory") 4)
  {data}
  (global $count (mut i32) (i32.const 0))
  (func $answer (param $byte i32)
    (i32.store8 offset=0x30000 (global.get $count) (local.get $byte))
    (global.set $count (i32.add (global.get $count) (i32.const 1))))
  (func (export "main")
    (local $at i32) (local $op i32) (local $length i32) (local $gas i64)
    (local.set $gas (i64.const 0x7fffffffffffffff))
    (if (i32.eqz (i32.const {is_init})) (then
      (call $dataCopy (i32.const 0) (i32.const 0) (call $dataSize))))
    (loop $next
      (local.set $op (i32.load8_u (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (if (i32.eqz (local.get $op)) (then
        (if (i32.eqz (i32.const {is_init})) (then (call $finish (i32.const 0x30000) (global.get $count))))
        (return)))
      (if (i32.le_u (local.get $op) (i32.const 2)) (then  ;; call, callCode: address, value, length, data
        (local.set $length (i32.load16_u offset=36 (local.get $at)))
        (if (i32.eq (local.get $op) (i32.const 1))
          (then (call $answer (call $call (local.get $gas) (local.get $at) (i32.add (local.get $at) (i32.const 20))
            (i32.add (local.get $at) (i32.const 38)) (local.get $length))))
          (else (call $answer (call $callCode (local.get $gas) (local.get $at) (i32.add (local.get $at) (i32.const 20))
            (i32.add (local.get $at) (i32.const 38)) (local.get $length)))))
        (local.set $at (i32.add (local.get $at) (i32.add (i32.const 38) (local.get $length)))) (br $next)))
      (if (i32.le_u (local.get $op) (i32.const 4)) (then  ;; callDelegate, callStatic: address, length, data
        (local.set $length (i32.load16_u offset=20 (local.get $at)))
        (if (i32.eq (local.get $op) (i32.const 3))
          (then (call $answer (call $callDelegate (local.get $gas) (local.get $at)
            (i32.add (local.get $at) (i32.const 22)) (local.get $length))))
          (else (call $answer (call $callStatic (local.get $gas) (local.get $at)
            (i32.add (local.get $at) (i32.const 22)) (local.get $length)))))
        (local.set $at (i32.add (local.get $at) (i32.add (i32.const 22) (local.get $length)))) (br $next)))
      (if (i32.eq (local.get $op) (i32.const 5)) (then  ;; create: value, length, init code
        (local.set $length (i32.load16_u offset=16 (local.get $at)))
        (call $answer (call $create (local.get $at) (i32.add (local.get $at) (i32.const 18)) (local.get $length)
          (i32.const 0x20000)))
        (local.set $at (i32.add (local.get $at) (i32.add (i32.const 18) (local.get $length)))) (br $next)))
      (if (i32.eq (local.get $op) (i32.const 6)) (then (call $selfDestruct (local.get $at))))
      (if (i32.eq (local.get $op) (i32.const 7)) (then
        (call $log (local.get $at) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
        (local.set $at (i32.add (local.get $at) (i32.const 1))) (br $next)))
      (if (i32.eq (local.get $op) (i32.const 8)) (then
        (call $revert (i32.add (local.get $at) (i32.const 2)) (i32.load16_u (local.get $at)))))
      (if (i32.eq (local.get $op) (i32.const 9)) (then
        (call $finish (i32.add (local.get $at) (i32.const 2)) (i32.load16_u (local.get $at)))))
      (if (i32.eq (local.get $op) (i32.const 10)) (then
        (local.set $length (call $codeSize (local.get $at)))
        (call $codeCopy (local.get $at) (i32.const 0x20000) (i32.const 0) (local.get $length))
        (call $finish (i32.const 0x20000) (local.get $length))))
      (if (i32.eq (local.get $op) (i32.const 11)) (then
        (call $store (local.get $at) (i32.add (local.get $at) (i32.const 32)))
        (local.set $at (i32.add (local.get $at) (i32.const 64))) (br $next)))
      (if (i32.eq (local.get $op) (i32.const 12)) (then  ;; load: the last byte of a value is an answer
        (call $load (local.get $at) (i32.const 0x20000))
        (call $answer (i32.load8_u (i32.const 0x2001f)))
        (local.set $at (i32.add (local.get $at) (i32.const 32))) (br $next)))
      unreachable)))
"""

TRAP = b"\xff"
"""What no script knows."""


@functools.cache
def _module(script: bytes | None) -> bytes:
    data = "".join(f"\\{byte:02x}" for byte in script or b"")
    data = f'(data (i32.const 0) "{data}")'
    text = _MAKER.replace("{data}", data).replace("{is_init}", "0" if script is None else "1")
    return to_wasm(text, name="maker", limits=Limits())


MAKER = _module(None)
"""The contract, whose `main` gives a byte for each call, creation and load that it made."""


def init(*script: bytes) -> bytes:
    """Init code that does what a script says, and gives no code unless that does."""
    return _module(b"".join(script))


def call(to: Address, *script: bytes, value: int = 0) -> bytes:
    """Call an account with a script."""
    return b"\1" + _with_value(to, value, b"".join(script))


def call_code(to: Address, *script: bytes, value: int = 0) -> bytes:
    """Run an account's code here, with a script."""
    return b"\2" + _with_value(to, value, b"".join(script))


def delegate(to: Address, *script: bytes) -> bytes:
    """Run an account's code here, with this call's own caller and value."""
    return b"\3" + to + _counted(b"".join(script))


def static(to: Address, *script: bytes) -> bytes:
    """Call an account that may change nothing."""
    return b"\4" + to + _counted(b"".join(script))


def create(code: bytes, value: int = 0) -> bytes:
    """Create a contract."""
    return b"\5" + value.to_bytes(16, "little") + _counted(code)


def destroy(beneficiary: Address) -> bytes:
    """Destroy itself; the script ends there."""
    return b"\6" + beneficiary


def log(byte: int) -> bytes:
    """Emit a log."""
    return bytes([7, byte])


def revert(output: bytes = b"") -> bytes:
    """Give up."""
    return b"\x08" + _counted(output)


def finish(output: bytes) -> bytes:
    """End well with an output: in init code, the code."""
    return b"\x09" + _counted(output)


def finish_as(other: Address) -> bytes:
    """End well with another account's code as the output."""
    return b"\x0a" + other


def store(key: int, value: int) -> bytes:
    """Set an entry of keyed storage."""
    return b"\x0b" + key.to_bytes(32, "big") + value.to_bytes(32, "big")


def load(key: int) -> bytes:
    """Answer with the last byte of an entry."""
    return b"\x0c" + key.to_bytes(32, "big")


def _with_value(to: Address, value: int, data: bytes) -> bytes:
    return to + value.to_bytes(16, "little") + _counted(data)


def _counted(data: bytes) -> bytes:
    return len(data).to_bytes(2, "little") + data
