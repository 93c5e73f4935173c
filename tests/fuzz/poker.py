"""A contract that calls whatever its call data says: rows of a number, which names a function, and eight bytes for
each of its parameters. What functions give goes into a sum, which is the contract's output.

What scripts can point at is in its memory: see :data:`tests.fuzz.source.OFFSETS`.
"""

from __future__ import annotations

import functools
import struct

from attrs import frozen

from storagemod import Address, StorageMapping
from storagemod.limits import Limits
from storagemod.types import FunctionType, SyncPolicy
from storagemod.vm import DEBUG_FUNCTIONS, FUNCTIONS
from storagemod.vm.methods import accessor_types
from storagemod.wasm import to_wasm
from tests.fuzz.source import Source, number

POKER, PEER, JUNK, EMPTY, STATIC, COUNTER = (Address(0xF0 + each) for each in range(6))
SCRIPT_AT, SCRIPT_BYTES_MAX = 0x8000, 0x2000
STEPS_MAX = 8

COUNTER_CODE = """(module (import "storage" "memory" (memory 1)) (func (export "increment") (result i64)
  (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1))) (i64.load (i32.const 0))))"""

STATIC_CODE = f"""(module (import "ethereum" "callStatic" (func $call (param i64 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallDataSize" (func $size (result i32)))
  (import "ethereum" "callDataCopy" (func $copy (param i32 i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (memory (export "memory") 1) (data (i32.const 0) "{"".join(f"{chr(92)}{byte:02x}" for byte in POKER)}")
  (func (export "main") (call $copy (i32.const 64) (i32.const 0) (call $size))
    (i32.store8 (i32.const 32) (call $call (i64.const -1) (i32.const 0) (i32.const 64) (call $size)))
    (call $finish (i32.const 32) (i32.const 1))))"""
"""Calls the poker in a static call, and says how that ended."""


@frozen
class Kind:
    """One way for the poker to reach storage.

    Attributes:
        name: Its name.
        imports: Its imports and memories besides those that all have, as WAT. The memory ``$memory`` is exported.
        functions: What it can call besides that, by name as WAT has it.
        own: Functions of its own among these, as WAT.
        mapping: How its ``storageMap`` is carried out.
        script_apart: Whether the script is part of the code, and lies in a memory of its own.
    """

    name: str
    imports: str = '(memory $memory (export "memory") 2 4)'
    functions: tuple[tuple[str, FunctionType], ...] = ()
    own: str = ""
    mapping: StorageMapping | None = None
    script_apart: bool = False


def _import(function: str, kind: FunctionType) -> str:
    module, name = function.rsplit(".", 1)
    return f'(import "{module}" "{name}" {str(kind).replace("(func", f"(func ${function}", 1)})'


_LOAD, _STORE, _GROW, _COPY = (
    FunctionType(("i32",), ("i64",)),
    FunctionType(("i32", "i64")),
    FunctionType(("i32",), ("i32",)),
    FunctionType(("i32", "i32", "i32")),
)


def _access(memory: str) -> tuple[str, tuple[tuple[str, FunctionType], ...]]:
    """Functions that reach a memory, as WAT and by name."""
    own = f"""
      (func $load{memory} (param i32) (result i64) (i64.load ${memory} (local.get 0)))
      (func $store{memory} (param i32 i64) (i64.store ${memory} (local.get 0) (local.get 1)))
      (func $grow{memory} (param i32) (result i32) (memory.grow ${memory} (local.get 0)))"""
    return own, ((f"load{memory}", _LOAD), (f"store{memory}", _STORE), (f"grow{memory}", _GROW))


def _bulk(memory: str) -> tuple[str, tuple[tuple[str, FunctionType], ...]]:
    """Functions that reach a memory by instructions which the host carries out."""
    own = f"""
      (func $fill{memory} (param i32 i32 i32)
        (memory.fill ${memory} (local.get 0) (local.get 1) (i32.and (local.get 2) (i32.const 0xffff))))
      (func $copy{memory} (param i32 i32 i32)
        (memory.copy ${memory} $memory (local.get 0) (local.get 1) (i32.and (local.get 2) (i32.const 0xffff))))
      (func $init{memory} (param i32 i32 i32) (memory.init ${memory} $p (local.get 0) (local.get 1) (local.get 2)))"""
    return own, tuple((f"{name}{memory}", _COPY) for name in ("fill", "copy", "init"))


_MEMORY = '(memory $memory (export "memory") 2 4)'
_SINGLE = '(import "storage" "memory" (memory $storage 1 3))'
_MAP = ("ethereum.storageMap", _COPY)
_MAP_KIN = (("ethereum.storageUnmap", FunctionType(("i32",))), ("ethereum.storageSize", FunctionType((), ("i64",))))
_KEYS = FunctionType(("i32", "i32"))
_KEYED = (("ethereum.storageLoad", _KEYS), ("ethereum.storageStore", _KEYS))
_PRINTS = tuple((f"debug.printStorage{way}", FunctionType(("i32",))) for way in ("", "Hex"))


def _imports(functions: tuple[tuple[str, FunctionType], ...]) -> str:
    return " ".join(_import(name, kind) for name, kind in functions)


def _methods(*, is_64: bool) -> tuple[tuple[str, FunctionType], ...]:
    return tuple((f"storage.{name}", kind) for name, kind in accessor_types(is_64).items())


def _linear(
    name: str, imports: str, memories: tuple[str, ...], *, bulk: bool = False, script_apart: bool = False
) -> Kind:
    parts = [_access(memory) for memory in memories]
    parts += [_bulk(memory) for memory in memories] if bulk else []
    own = "".join(wat for wat, _ in parts) + ('(data $p "passive and long enough to matter")' if bulk else "")
    known = tuple(each for _, functions in parts for each in functions)
    return Kind(name, imports, known, own, script_apart=script_apart)


def _hosted(name: str, functions: tuple[tuple[str, FunctionType], ...], *, bulk: bool = False) -> Kind:
    wat, plain = _access("memory")
    filled, bulky = _bulk("memory") if bulk else ("", ())
    data = '(data $p "passive and long enough to matter")' if bulk else ""
    return Kind(name, f"{_imports(functions)} {_MEMORY}", functions + plain + bulky, wat + filled + data)


def _mapped(name: str, mapping: StorageMapping, *, bulk: bool = False) -> Kind:
    kind = _hosted(name, (_MAP, *_MAP_KIN, *_KEYED), bulk=bulk)
    return Kind(name, kind.imports, kind.functions + (_MAP,) * 6, kind.own, mapping)  # six more: likelier


def _windowed(name: str, *, bulk: bool = False) -> Kind:
    imports = f'(import "storage" "window" (memory $window 1)) {_imports((_MAP, *_MAP_KIN))} {_MEMORY}'
    kind = _linear(name, imports, ("window", "memory"), bulk=bulk)
    return Kind(name, imports, kind.functions + _MAP_KIN + (_MAP,) * 6, kind.own)


KINDS = (
    _linear("single", f"{_SINGLE} {_MEMORY}", ("storage", "memory")),
    _linear("single, in bulk", f"{_SINGLE} {_MEMORY}", ("storage", "memory"), bulk=True),
    _linear(
        "regions",
        f'{_SINGLE} (import "storage" "spare" (memory $spare 0 2)) {_MEMORY}',
        ("storage", "spare"),
    ),
    _linear(
        "storage exported",
        '(import "storage" "memory" (memory $memory 1 3)) (export "memory" (memory $memory))',
        ("memory",),
        script_apart=True,
    ),
    _linear(
        "empty storage exported",
        '(import "storage" "memory" (memory $memory 0 2)) (export "memory" (memory $memory))',
        ("memory",),
        script_apart=True,
    ),
    _linear("empty memory", '(memory $memory (export "memory") 0 1)', ("memory",), script_apart=True),
    _linear("no memory", '(memory $memory (export "memory") 0 0)', ("memory",), script_apart=True),
    _hosted("methods", _methods(is_64=False)),
    _hosted("methods, 64 bits", _methods(is_64=True), bulk=True),
    _hosted("keyed", _KEYED + _PRINTS),
    *(_mapped(f"copied, {sync}", StorageMapping("copied", sync), bulk=True) for sync in SyncPolicy),
    _mapped("paged", StorageMapping("paged", frame_bytes=64)),
    _mapped("paged, exclusive", StorageMapping("paged", exclusive="call"), bulk=True),
    _mapped("paged, transaction", StorageMapping("paged", frame_bytes=64, exclusive="transaction")),
    _mapped("aliased", StorageMapping("aliased")),
    _mapped("aliased, in bulk", StorageMapping("aliased"), bulk=True),
    _mapped("aliased, exclusive", StorageMapping("aliased", frame_bytes=8_192, exclusive="call")),
    _mapped("aliased, transaction", StorageMapping("aliased", exclusive="transaction")),
    _windowed("window"),
    _windowed("window, in bulk", bulk=True),
)

_HOST = (
    *((f"ethereum.{name}", function.host.type) for name, function in FUNCTIONS.items()),
    *((f"debug.{name}", function.host.type) for name, function in DEBUG_FUNCTIONS.items()),
    ("contract:counter.increment", FunctionType((), ("i64",))),
    ("contract:counter.increment?", FunctionType((), ("i32", "i64"))),
)


def functions(kind: Kind) -> tuple[tuple[str, FunctionType], ...]:
    """All that a poker of a kind can call; a script names one by its place."""
    return _HOST + kind.functions


_AS_I64 = {
    "i32": "i64.extend_i32_u",
    "i64": "",
    "f32": "i32.reinterpret_f32 i64.extend_i32_u",
    "f64": "i64.reinterpret_f64",
}


def _branch(place: int, name: str, kind: FunctionType) -> str:
    args = " ".join(
        f"({each}.load $script offset={8 * index} (local.get $at))" for index, each in enumerate(kind.params)
    )
    summed = " ".join(f"{_AS_I64[each]} (call $add)" for each in reversed(kind.results))
    return f"""(if (i32.eq (local.get $op) (i32.const {place})) (then (call ${name} {args}) {summed}
      (local.set $at (i32.add (local.get $at) (i32.const {8 * len(kind.params)}))) (br $next)))"""


def _bytes(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)


def known_memory() -> bytes:
    """What scripts find in memory from 0x40 on: addresses, amounts, and init code."""
    slots = [bytes(address).ljust(32, b"\0") for address in (POKER, PEER, JUNK, EMPTY, Address(0), COUNTER)]
    amounts = [amount.to_bytes(16, "little") for amount in (0, 1, 2**64, 2**128 - 1)]
    return (b"".join(slots) + b"".join(amounts)).ljust(0x400 - 0x40, b"\0") + _init_code()


@functools.cache
def _init_code() -> bytes:
    text = """(module (import "ethereum" "finish" (func $finish (param i32 i32))) (memory (export "memory") 1)
      (data (i32.const 0) "not wasm") (func (export "main") (call $finish (i32.const 0) (i32.const 8))))"""
    return to_wasm(text, name="init", limits=Limits())


@functools.lru_cache(maxsize=256)
def code(kind: Kind, script: bytes = b"") -> bytes:
    """The poker of a kind, with the script that is part of it where it has one."""
    branches = " ".join(_branch(place, name, each) for place, (name, each) in enumerate(functions(kind)))
    if kind.script_apart:
        begin = f"(local.set $end (i32.const {SCRIPT_AT + len(script)}))"
        memories = f'(memory $script 1) (data (memory $script) (i32.const {SCRIPT_AT}) "{_bytes(script)}")'
    else:
        begin = f"""(if (i32.gt_u (call $ethereum.getCallDataSize) (i32.const {SCRIPT_BYTES_MAX})) (then (return)))
          (call $ethereum.callDataCopy (i32.const {SCRIPT_AT}) (i32.const 0) (call $ethereum.getCallDataSize))
          (local.set $end (i32.add (i32.const {SCRIPT_AT}) (call $ethereum.getCallDataSize)))"""
        memories = f'(data (memory $memory) (i32.const 0x40) "{_bytes(known_memory())}")'
    imports = " ".join(_import(name, each) for name, each in _HOST)
    text = f"""(module {imports} {kind.imports} {memories} {kind.own}
      (global $sum (mut i64) (i64.const 0))
      (func $add (param i64)
        (global.set $sum (i64.add (i64.rotl (global.get $sum) (i64.const 7)) (local.get 0))))
      (func (export "main") (local $at i32) (local $end i32) (local $op i32)
        {begin} (local.set $at (i32.const {SCRIPT_AT}))
        (loop $next
          (if (i32.lt_u (local.get $at) (local.get $end)) (then
            (local.set $op (i32.load8_u $script (local.get $at)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            {branches})))
        (i64.store $memory (i32.const 0) (global.get $sum))
        (call $ethereum.finish (i32.const 0) (i32.const 64))))"""
    if not kind.script_apart:
        text = text.replace("$script", "$memory")
    return to_wasm(text, name="poker", limits=Limits())


def script(source: Source, kind: Kind) -> bytes:
    """A script for a poker of a kind."""
    known = functions(kind)
    rows = []
    for _ in range(source.integer(1, STEPS_MAX)):
        place = source.integer(0, len(known) - 1)
        rows.append(bytes([place]))
        params = known[place][1].params
        rows += [struct.pack("<Q", number(source, 32 if each == "i32" else 64)) for each in params]
    return b"".join(rows)
