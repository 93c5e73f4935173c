"""The generated attacker: a contract that plays reactions which stand, as bytes, in its storage.

One contract serves all tries: to program it, bytes are written into its storage, between transactions. It exports what
others import from it, each under its type, and ``main``; it imports every entry point that it may call. Its storage is
a memory that it imports (the option ``single``), whatever option the others are linked under.

A word of that storage, the *cursor*, tells a call of it what to do. It is the next reaction in the list of the call
that is under way. A call of it takes the reaction and moves the cursor on. Before each call that it makes it sets the
cursor to the reactions within, and afterwards back. A call of it that fails leaves no trace, its move of the cursor
included: what is called next within the same call does what that one did. In a static call nothing can be written. So
reactions to static calls are not taken off the list: each is found by the method that was called.

Where a contract runs the code as its own, what stands in storage is no script. Then it does nothing and returns zeros.

Layout of the storage, numbers little-endian, pointers being offsets and 0 meaning none::

    0            u32  cursor
    a reaction   u32 next, u8 static, u8 ending, u16 site, u32 number of calls, u32 first call,
                 then what it ends with: 8 bytes a value; for main u32 length, data;
                 for one that destroys itself the address of the beneficiary, 20 bytes
    a call       u32 reactions, u32 entry point, u32 next call, then 8 bytes an argument;
                 for main instead address 20 bytes, value u128, u32 length, data
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from functools import cached_property

from attrs import define, field, frozen

from storagemod.errors import ScenarioError
from storagemod.explore.script import MAIN, Call, Reaction, Script
from storagemod.limits import Limits
from storagemod.types import WASM_PAGE_BYTES, Address, FunctionType, Value, ValueType
from storagemod.wasm import to_wasm

BEGIN = "explore:begin"
"""The method that sets the cursor, for scenario files; its argument is where the reactions of a transaction begin."""

REGION = "memory"
CURSOR_BYTES = 4
PAGES_MAX = 16

_UNPLAIN = re.compile(r"[^A-Za-z0-9_.:?-]")
_START = 16
_MAIN_SITE = 0xFFFF
DATA_BYTES_MAX = 16_384
"""The most call data, or return data, of one call of it."""

_DATA_AT = 1 << 10
"""Where in working memory call data is put together; the address and the value are before it."""


@frozen
class EntryPoint:
    """A method of a contract, or its ``main``."""

    contract: Address
    method: str | None
    type: FunctionType


@frozen
class Attacker:
    """What one untrusted account exports, and what it may call.

    Attributes:
        account: Its address.
        hooks: What contracts import from it, by name.
        entry_points: What it may call, in the order in which they are numbered.
        links: What its imports call each contract.
        is_borrowed: Whether contracts may run its code as their own, on their storage. It does nothing there.
    """

    account: Address
    hooks: Mapping[str, FunctionType]
    entry_points: tuple[EntryPoint, ...]
    links: Mapping[Address, str] = field(repr=False)
    is_borrowed: bool = False

    @cached_property
    def numbers(self) -> Mapping[tuple[Address, str | None], tuple[int, FunctionType]]:
        """The number and the type of each entry point that it imports by type, by contract and method."""
        return {(each.contract, each.method): (at, each.type) for at, each in enumerate(self.typed)}

    @cached_property
    def sites(self) -> list[str]:
        """The methods by which it can be called, in the order in which they are numbered."""
        return sorted(self.hooks)

    @property
    def typed(self) -> list[EntryPoint]:
        """The entry points that it imports by type."""
        return [each for each in self.entry_points if each.method is not None]

    def wat(self) -> str:
        """Return the source text of the contract."""
        imports, plays = [], []
        for number, entry in enumerate(self.typed):
            name = f"{quoted(f'contract:{self.links[entry.contract]}')} {quoted(f'{entry.method}?')}"
            results = ("i32", *entry.type.results)
            imports.append(
                f"(import {name} (func $entry{number}{signature(FunctionType(entry.type.params, results))}))"
            )
            loads = " ".join(
                f"({kind}.load $script offset={12 + 8 * at} (local.get $call))"
                for at, kind in enumerate(entry.type.params)
            )
            drops = " (drop)" * len(results)
            body = f"(call $entry{number} {loads}){drops}"
            plays.append(f"(func $play{number} (type $play) (param $call i32) {body})")
        count, table = len(plays), " ".join(f"$play{number}" for number in range(len(plays)))
        hooks = [self._hook(name, number, self.hooks[name]) for number, name in enumerate(self.sites) if name != MAIN]
        guard = ""
        if self.is_borrowed:
            imports.append('(import "ethereum" "getAddress" (func $getAddress (param i32)))')
            guard = "(if (i32.eqz (call $is_own)) (then (return (i32.const 0))))"
            plays.append(self._is_own())
        return _MODULE.format(
            guard=guard,
            imports="\n  ".join(imports),
            pages="" if self.is_borrowed else f" {PAGES_MAX}",  # storage of others may be longer
            plays="\n  ".join(plays),
            count=count + 1,
            table=f"{table} $play_main".strip(),
            hooks="\n  ".join([*hooks, self._hook(MAIN, _MAIN_SITE, FunctionType())]),
            begin=BEGIN,
            data_at=_DATA_AT,
        )

    def _is_own(self) -> str:
        """Return a function that tells whether the code runs on its own storage, and not on that of a contract."""
        same = []
        for at, end, kind in ((0, 8, "i64"), (8, 16, "i64"), (16, 20, "i32")):
            number = int.from_bytes(self.account[at:end], "little")
            same.append(f"({kind}.eq ({kind}.load $memory offset={at} (i32.const 0)) ({kind}.const {number}))")
        return (
            "(func $is_own (result i32) (call $getAddress (i32.const 0)) "
            f"(i32.and {same[0]} (i32.and {same[1]} {same[2]})))"
        )

    def _hook(self, name: str, site: int, kind: FunctionType) -> str:
        values = " ".join(
            f"(if (result {each}) (local.get $reaction) "
            f"(then ({each}.load $script offset={16 + 8 * at} (local.get $reaction))) (else ({each}.const 0)))"
            for at, each in enumerate(kind.results)
        )
        ends = "(call $answer (local.get $reaction))" if name == MAIN else values
        return (
            f"(func (export {quoted(name)}){signature(kind)} (local $reaction i32) "
            f"(local.set $reaction (call $take (i32.const {site}))) (call $react (local.get $reaction)) {ends})"
        )

    def encode(self, script: Script) -> tuple[bytes, list[int]]:
        """Encode this account's part of a script as storage, from offset 0 on and with no cursor.

        Returns:
            The bytes, and the cursor for each transaction, 0 where the account has no part in it.

        Raises:
            ScenarioError: It does not fit its storage.
        """
        writer = _Writer(self)
        cursors = [writer.reactions(_level((call,), self.account)) for call in script]
        if len(writer.data) > PAGES_MAX * WASM_PAGE_BYTES:
            raise ScenarioError(f"a try of {len(writer.data):,} bytes does not fit an attacker's storage")
        return bytes(writer.data), cursors


def _level(calls: Sequence[Call], account: Address) -> list[Reaction]:
    """Return the reactions of one account during some calls, without those within its own."""
    found = []
    for call in calls:
        for reaction in call.reactions:
            found += [reaction] if reaction.account == account else _level(reaction.calls, account)
    return found


@define
class _Writer:
    attacker: Attacker
    data: bytearray = field(factory=lambda: bytearray(_START))

    def reactions(self, reactions: Sequence[Reaction]) -> int:
        """Write a list of reactions; return where it begins."""
        following = 0
        for reaction in reversed(reactions):
            following = self.reaction(reaction, following)
        return following

    def reaction(self, reaction: Reaction, following: int) -> int:
        first = 0
        for call in reversed(reaction.calls):
            first = self.call(call, first)
        is_main = reaction.site == MAIN
        site = _MAIN_SITE if is_main else self.attacker.sites.index(reaction.site)
        head = struct.pack("<IBBHII", following, reaction.static, reaction.ending, site, len(reaction.calls), first)
        if reaction.beneficiary is not None:
            return self.put(head + bytes(reaction.beneficiary))
        if is_main:
            return self.put(head + struct.pack("<I", len(reaction.output)) + reaction.output)
        results = self.attacker.hooks[reaction.site].results
        return self.put(head + _values(results, reaction.values or (0,) * len(results)))

    def call(self, call: Call, following: int) -> int:
        inner = self.reactions(_level((call,), self.attacker.account))
        attacker = self.attacker
        if call.method is None:
            head = struct.pack("<III", inner, len(attacker.numbers), following)
            rest = bytes(call.contract) + call.value.to_bytes(16, "little") + struct.pack("<I", len(call.data))
            return self.put(head + rest + call.data)
        number, kind = attacker.numbers[call.contract, call.method]
        return self.put(struct.pack("<III", inner, number, following) + _values(kind.params, call.args))

    def put(self, record: bytes) -> int:
        at = len(self.data)
        self.data += record + bytes(-len(record) % 8)
        return at


def _values(types: Sequence[ValueType], values: Sequence[Value]) -> bytes:
    """Encode numbers in 8 bytes each."""
    data = b""
    for kind, value in zip(types, values, strict=True):
        if kind in {"f32", "f64"}:
            data += struct.pack("<f" if kind == "f32" else "<d", value).ljust(8, b"\0")
        else:
            width = 4 if kind == "i32" else 8
            data += (int(value) % 2 ** (8 * width)).to_bytes(8, "little")
    return data


def signature(kind: FunctionType) -> str:
    """Return the parameters and results of a function as WAT."""
    params = f" (param {' '.join(kind.params)})" if kind.params else ""
    return params + (f" (result {' '.join(kind.results)})" if kind.results else "")


def quoted(name: str) -> str:
    """Return a name as a string of WAT."""
    return '"' + _UNPLAIN.sub(lambda found: _escaped(found[0].encode()), name) + '"'


def quoted_bytes(data: bytes) -> str:
    """Return bytes as a string of WAT."""
    return f'"{_escaped(data)}"'


def _escaped(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)


def init_code(account: Address) -> bytes:
    """Return code that a contract may create an account from: it calls ``main`` of an attacker, and leaves no code.

    So whatever the attacker does when it is called happens while the account is created.
    """
    return to_wasm(_INIT.format(target=quoted_bytes(account)), name="init", limits=Limits())


_INIT = """\
(module
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) {target})
  (func (export "main")
    (drop (call $call
      (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0)))))
"""

_MODULE = """\
(module
  {imports}
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (import "ethereum" "selfDestruct" (func $destroy (param i32)))
  (import "storage" "memory" (memory $script 1{pages}))
  (memory $memory (export "memory") 1)
  (type $play (func (param $call i32)))
  (table {count} funcref)
  (elem (i32.const 0) {table})
  {plays}
  (func $play_main (type $play) (param $call i32)
    (local $length i32)
    (local.set $length (i32.load $script offset=48 (local.get $call)))
    (memory.copy $memory $script (i32.const 0) (i32.add (local.get $call) (i32.const 12)) (i32.const 36))
    (memory.copy $memory $script (i32.const {data_at}) (i32.add (local.get $call) (i32.const 52)) (local.get $length))
    (drop (call $call
      (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 20)
      (i32.const {data_at}) (local.get $length))))
  (func $take (param $site i32) (result i32)
    (local $reaction i32)
    {guard}
    (local.set $reaction (i32.load $script (i32.const 0)))
    (block $found
      (loop $next
        (if (i32.eqz (local.get $reaction)) (then (return (i32.const 0))))
        (br_if $found (i32.eqz (i32.load8_u $script offset=4 (local.get $reaction))))
        (if (i32.eq (i32.load16_u $script offset=6 (local.get $reaction)) (local.get $site))
          (then (return (local.get $reaction))))
        (local.set $reaction (i32.load $script (local.get $reaction)))
        (br $next)))
    (i32.store $script (i32.const 0) (i32.load $script (local.get $reaction)))
    (local.get $reaction))
  (func $react (param $reaction i32)
    (local $call i32) (local $left i32) (local $after i32) (local $ending i32)
    (if (i32.eqz (local.get $reaction)) (then (return)))
    (local.set $left (i32.load $script offset=8 (local.get $reaction)))
    (local.set $call (i32.load $script offset=12 (local.get $reaction)))
    (local.set $after (i32.load $script (i32.const 0)))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $left)))
        (i32.store $script (i32.const 0) (i32.load $script (local.get $call)))
        (call_indirect (type $play) (local.get $call) (i32.load $script offset=4 (local.get $call)))
        (i32.store $script (i32.const 0) (local.get $after))
        (local.set $call (i32.load $script offset=8 (local.get $call)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $next)))
    (local.set $ending (i32.load8_u $script offset=5 (local.get $reaction)))
    (if (i32.eq (local.get $ending) (i32.const 1)) (then (call $revert (i32.const 0) (i32.const 0))))
    (if (i32.eq (local.get $ending) (i32.const 2)) (then (unreachable)))
    (if (i32.eq (local.get $ending) (i32.const 3))
      (then
        (memory.copy $memory $script (i32.const 0) (i32.add (local.get $reaction) (i32.const 16)) (i32.const 20))
        (call $destroy (i32.const 0)))))
  (func $answer (param $reaction i32)
    (local $length i32)
    (if (i32.eqz (local.get $reaction)) (then (return)))
    (local.set $length (i32.load $script offset=16 (local.get $reaction)))
    (if (i32.eqz (local.get $length)) (then (return)))
    (memory.copy $memory $script
      (i32.const {data_at}) (i32.add (local.get $reaction) (i32.const 20)) (local.get $length))
    (call $finish (i32.const {data_at}) (local.get $length)))
  (func (export "{begin}") (param i32) (i32.store $script (i32.const 0) (local.get 0)))
  {hooks})
"""
