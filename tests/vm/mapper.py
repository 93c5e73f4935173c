"""A contract that maps storage wherever its call data says, for tests; and plain memories to test mappings over."""

from __future__ import annotations

import struct
from typing import Any, TypeAlias

from attrs import field, frozen

from storagemod import Address, Outcome, Receipt, StorageMapping, World
from storagemod.errors import TrapError
from storagemod.types import CallKind

WASM_PAGE = 65_536
KINDS = (CallKind.CALL, CallKind.STATIC, CallKind.DELEGATE)

SCRIPT_AT = 0x40000
"""Working memory below is the script's own; it is 8 Wasm pages long in all."""
MEMORY_BYTES = 0x80000

MAPPER = """
(module $mapper
  (import "ethereum" "storageMap" (func $map (param $memory i32) (param $storage i32) (param $length i32)))
  (import "ethereum" "storageUnmap" (func $unmap (param $memory i32)))
  (import "ethereum" "storageSize" (func $size (result i64)))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callStatic" (func $call_static (param i64 i32 i32 i32) (result i32)))
  (import "ethereum" "callDelegate" (func $call_delegate (param i64 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallDataSize" (func $data_size (result i32)))
  (import "ethereum" "callDataCopy" (func $data_copy (param i32 i32 i32)))
  (import "ethereum" "getReturnDataSize" (func $return_size (result i32)))
  (import "ethereum" "returnDataCopy" (func $return_copy (param i32 i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (memory (export "memory") 8 8) ;; script from 0x40000, output from 0x60000; 16 bytes of zeros at the end are a value
  (global $at (mut i32) (i32.const 0x40000))
  (global $out (mut i32) (i32.const 0x60000))

  (func $u32 (result i32)
    (global.set $at (i32.add (global.get $at) (i32.const 4)))
    (i32.load (i32.sub (global.get $at) (i32.const 4))))
  (func $skip (param $length i32) (result i32) ;; to where the bytes skipped begin
    (global.set $at (i32.add (global.get $at) (local.get $length)))
    (i32.sub (global.get $at) (local.get $length)))
  (func $append (param $from i32) (param $length i32)
    (memory.copy (global.get $out) (local.get $from) (local.get $length))
    (global.set $out (i32.add (global.get $out) (local.get $length))))
  (func $append_u32 (param $value i32)
    (i32.store (global.get $out) (local.get $value))
    (global.set $out (i32.add (global.get $out) (i32.const 4))))

  (func $set (local $to i32) (local $length i32)
    (local.set $to (call $u32))
    (local.set $length (call $u32))
    (memory.copy (local.get $to) (call $skip (local.get $length)) (local.get $length)))
  (func $make_call (local $kind i32) (local $address i32) (local $length i32) (local $data i32) (local $gas i64)
    (local.set $gas (i64.const 0x7fffffffffffffff))
    (local.set $kind (call $u32))
    (local.set $address (call $skip (i32.const 20)))
    (local.set $length (call $u32))
    (local.set $data (call $skip (local.get $length)))
    (if (i32.eq (local.get $kind) (i32.const 0)) (then (call $append_u32
      (call $call (local.get $gas) (local.get $address) (i32.const 0x7fff0) (local.get $data) (local.get $length)))))
    (if (i32.eq (local.get $kind) (i32.const 1)) (then (call $append_u32
      (call $call_static (local.get $gas) (local.get $address) (local.get $data) (local.get $length)))))
    (if (i32.eq (local.get $kind) (i32.const 2)) (then (call $append_u32
      (call $call_delegate (local.get $gas) (local.get $address) (local.get $data) (local.get $length)))))
    (call $append_u32 (call $return_size))
    (call $return_copy (global.get $out) (i32.const 0) (call $return_size))
    (global.set $out (i32.add (global.get $out) (call $return_size))))

  (func (export "main") (local $end i32) (local $opcode i32)
    (call $data_copy (i32.const 0x40000) (i32.const 0) (call $data_size))
    (local.set $end (i32.add (i32.const 0x40000) (call $data_size)))
    (loop $next
      (if (i32.eq (global.get $at) (local.get $end))
        (then (call $finish (i32.const 0x60000) (i32.sub (global.get $out) (i32.const 0x60000)))))
      (local.set $opcode (call $u32))
      (if (i32.eq (local.get $opcode) (i32.const 0)) (then (unreachable)))
      (if (i32.eq (local.get $opcode) (i32.const 1)) (then (call $map (call $u32) (call $u32) (call $u32))))
      (if (i32.eq (local.get $opcode) (i32.const 2)) (then (call $set)))
      (if (i32.eq (local.get $opcode) (i32.const 3)) (then (call $append (call $u32) (call $u32))))
      (if (i32.eq (local.get $opcode) (i32.const 4)) (then (call $make_call)))
      (if (i32.eq (local.get $opcode) (i32.const 5)) (then (call $revert (i32.const 0) (i32.const 0))))
      (if (i32.eq (local.get $opcode) (i32.const 6)) (then (call $unmap (call $u32))))
      (if (i32.eq (local.get $opcode) (i32.const 7)) (then (call $append_u32 (i32.wrap_i64 (call $size)))))
      (br $next))))
"""

WINDOW_PAGES = 2

_IN_WINDOW = """
  (func $set (local $to i32) (local $length i32) (local $from i32)
    (local.set $to (call $u32))
    (local.set $length (call $u32))
    (local.set $from (call $skip (local.get $length)))
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $length)))
      (i32.store8 $window (local.get $to) (i32.load8_u $own (local.get $from)))
      (local.set $to (i32.add (local.get $to) (i32.const 1)))
      (local.set $from (i32.add (local.get $from) (i32.const 1)))
      (local.set $length (i32.sub (local.get $length) (i32.const 1)))
      (br $next))))
  (func $get (param $from i32) (param $length i32)
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $length)))
      (i32.store8 $own (global.get $out) (i32.load8_u $window (local.get $from)))
      (local.set $from (i32.add (local.get $from) (i32.const 1)))
      (global.set $out (i32.add (global.get $out) (i32.const 1)))
      (local.set $length (i32.sub (local.get $length) (i32.const 1)))
      (br $next))))
"""

_IN_BULK = """
  (func $set (local $to i32) (local $length i32)
    (local.set $to (call $u32))
    (local.set $length (call $u32))
    (memory.copy $window $own (local.get $to) (call $skip (local.get $length)) (local.get $length)))
  (func $get (param $from i32) (param $length i32)
    (memory.copy $own $window (global.get $out) (local.get $from) (local.get $length))
    (global.set $out (i32.add (global.get $out) (local.get $length))))
"""


def window_mapper(*, bulk: bool = False) -> str:
    """The same contract under the option `window`: it sets and gets bytes of its window.

    In bulk it does so by ``memory.copy``, where nothing faults.
    """
    start, end = MAPPER.index("  (func $set"), MAPPER.index("  (func $make_call")
    code = MAPPER[:start] + (_IN_BULK if bulk else _IN_WINDOW) + MAPPER[end:]
    code = code.replace("(call $append (call $u32)", "(call $get (call $u32)").replace(
        "(memory (export", "(memory $own (export"
    )
    code = code.replace("(memory.copy (", "(memory.copy $own $own (")
    for instruction in ("i32.load", "i32.store"):
        code = code.replace(f"({instruction} (", f"({instruction} $own (")
    return code.replace("(import", f'(import "storage" "window" (memory $window {WINDOW_PAGES}))\n  (import', 1)


@frozen
class Trap:
    """Trap."""

    def __bytes__(self) -> bytes:
        return struct.pack("<I", 0)


@frozen
class Map:
    """Map storage into memory."""

    memory: int
    storage: int
    length: int

    def __bytes__(self) -> bytes:
        return struct.pack("<IIII", 1, self.memory, self.storage, self.length)


@frozen
class Set:
    """Write bytes into memory."""

    memory: int
    data: bytes

    def __bytes__(self) -> bytes:
        return struct.pack("<III", 2, self.memory, len(self.data)) + self.data


@frozen
class Get:
    """Append bytes of memory to the output."""

    memory: int
    length: int

    def __bytes__(self) -> bytes:
        return struct.pack("<III", 3, self.memory, self.length)


@frozen
class Call:
    """Call a mapper with a script; append how that ended, and its output."""

    address: Address
    script: tuple[Operation, ...]
    kind: CallKind = field(default=CallKind.CALL, kw_only=True)

    def __bytes__(self) -> bytes:
        data = encode(*self.script)
        return struct.pack("<II", 4, KINDS.index(self.kind)) + self.address + struct.pack("<I", len(data)) + data


@frozen
class Revert:
    """Give up."""

    def __bytes__(self) -> bytes:
        return struct.pack("<I", 5)


@frozen
class Unmap:
    """Take out what was mapped at an offset of memory."""

    memory: int

    def __bytes__(self) -> bytes:
        return struct.pack("<II", 6, self.memory)


@frozen
class Size:
    """Append the length of storage, as 4 bytes."""

    def __bytes__(self) -> bytes:
        return struct.pack("<I", 7)


Operation: TypeAlias = Trap | Map | Set | Get | Call | Revert | Unmap | Size

Result: TypeAlias = Any
"""The bytes of a :class:`Get`; the number of a :class:`Size`; of a :class:`Call` its outcome, and a list of results
where that is ``OK``."""


def encode(*script: Operation) -> bytes:
    return b"".join(map(bytes, script))


def decode(script: tuple[Operation, ...], output: bytes) -> list[Result]:
    results: list[Result] = []
    for operation in script:
        if isinstance(operation, Get):
            results.append(output[: operation.length])
            output = output[operation.length :]
        elif isinstance(operation, Call):
            outcome, length = struct.unpack("<II", output[:8])
            returned, output = output[8 : 8 + length], output[8 + length :]
            inner = decode(operation.script, returned) if outcome == Outcome.OK else None
            results.append((Outcome(outcome), inner))
        elif isinstance(operation, Size):
            results.append(int.from_bytes(output[:4], "little"))
            output = output[4:]
    assert not output
    return results


def deploy(world: World, mapping: StorageMapping | str | None = None, **arguments: Any) -> Address:
    return world.deploy(MAPPER, mapping=mapping, **{"name": "mapper"} | arguments)


def run(world: World, to: Address, *script: Operation, **arguments: Any) -> Receipt:
    return world.transact(to, data=encode(*script), **arguments)


def run_ok(world: World, to: Address, *script: Operation) -> list[Result]:
    """The results of a script that succeeds."""
    return decode(script, run(world, to, *script).raise_for_error().output)


def storage_of(world: World, address: Address, start: int, stop: int) -> bytes:
    data: bytes = world.storage(address)["memory"][start:stop]
    return data


def pages_of(world: World, address: Address) -> int:
    return world.storage(address)["memory"].pages


class Memory:
    """Working memory that is a bytearray."""

    def __init__(self, length: int = 256) -> None:
        self.bytes = bytearray(length)

    def read(self, offset: int, length: int) -> bytes:
        self._check(offset, length)
        return bytes(self.bytes[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self._check(offset, len(data))
        self.bytes[offset : offset + len(data)] = data

    def _check(self, offset: int, length: int) -> None:
        if offset + length > len(self.bytes):
            raise TrapError("outside the memory", code="memory_out_of_bounds")


class Storage(Memory):
    """Linear storage that is a bytearray, and notes what mappings ask of it, as `StorageAccess` is asked."""

    def __init__(self, length: int = 256) -> None:
        super().__init__(length)
        self.reads: list[tuple[int, int]] = []
        self.writes: list[tuple[int, bytes]] = []

    @property
    def bytes_max(self) -> int:
        return len(self.bytes)

    @property
    def length(self) -> int:
        return len(self.bytes)

    def read_mapped(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        return self.read(offset, length)

    def holds(self, offset: int, data: bytes) -> bool:
        return self.read(offset, len(data)) == data

    def write_mapped(self, offset: int, data: bytes) -> None:
        self.writes.append((offset, data))
        self.write(offset, data)

    def count_work(self, length: int) -> None:
        """Do nothing: there is no deadline."""
