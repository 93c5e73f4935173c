"""Random contracts that call one another, and histories of transactions on them, with direct calls and with mediated.

``python -m tests.vm.direct_histories SECONDS SEED`` runs histories until the time is over.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import ExitStack
from random import Random
from typing import Any

from storagemod import Address, GasSchedule, Limits, World
from storagemod.types import ReentryPolicy

PAGE = 65_536

_HOST = """
  (import "ethereum" "useGas" (func $use (param i64)))
  (import "ethereum" "log" (func $log (param i32 i32 i32 i32 i32 i32 i32)))
  (import "ethereum" "getCaller" (func $caller (param i32)))
  (import "ethereum" "getAddress" (func $address (param i32)))
  (import "ethereum" "getCallDataSize" (func $data_size (result i32)))
  (import "ethereum" "getReturnDataSize" (func $return_size (result i32)))
  (import "ethereum" "storageStore" (func $store_key (param i32 i32)))
  (import "ethereum" "storageLoad" (func $load_key (param i32 i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
"""


class Writer:
    """Writes the code of one contract, whose ``go`` takes a number of calls to make and any value.

    Args:
        random: Where choices come from.
        links: The names of the contracts that it calls.
    """

    def __init__(self, random: Random, links: list[str]) -> None:
        self.random = random
        self.links = links
        self.option = random.choice(("single", "single", "regions", "methods"))
        self.memories = {"single": ["memory"], "regions": ["a", "b"], "methods": []}[self.option]
        self.has_own = random.random() < 0.4
        self.has_host = random.random() < 0.45
        self.has_table = random.random() < 0.2
        self.asks = random.random() < 0.02
        self.pages = random.choice((1, 1, 2))

    def code(self) -> str:
        random = self.random
        most = random.choice((self.pages, self.pages + 2, 100))
        fields = [f'(import "storage" "{name}" (memory ${name} {self.pages} {most}))' for name in self.memories]
        if self.option == "methods":
            fields += [
                '(import "storage" "load_i64" (func $load (param i32) (result i64)))',
                '(import "storage" "store_i64" (func $store (param i32 i64)))',
                '(import "storage" "size" (func $size (result i32)))',
                '(import "storage" "grow" (func $grow (param i32) (result i32)))',
            ]
        for index, link in enumerate(self.links):
            kind = "(param i32 i64) (result i64)"
            catching = "(param i32 i64) (result i32 i64)"
            fields.append(f'(import "contract:{link}" "go" (func $call{index} {kind}))')
            fields.append(f'(import "contract:{link}" "go?" (func $try{index} {catching}))')
            fields.append(f'(import "contract:{link}" "note" (func $note{index} (param f64)))')
        if self.has_host:
            fields.append(_HOST)
        if self.asks:
            fields.append('(import "ethereum" "getGasLeft" (func $gas (result i64)))')
        if self.has_own:
            first = random.choice(("", '(data $own (i32.const 16) "\\07\\01\\02\\03\\04\\05\\06\\07")'))
            fields.append('(memory $own (export "memory") 1 3) (global $g (mut i64) (i64.const 5))' + first)
        elif self.has_host:
            fields.append('(memory $own (export "memory") 1)')
        if self.has_table:
            fields.append("(table 3 funcref) (elem (i32.const 0) $one $two) (type $n (func (result i64)))")
            fields.append("(func $one (result i64) (i64.const 11)) (func $two (result i64) (i64.const 22))")
        body = "\n    ".join(self.statement() for _ in range(random.randrange(1, 6)))
        noted = "\n    ".join(self.statement(depth=2, calls=False) for _ in range(random.randrange(0, 2)))
        return f"""(module {" ".join(fields)}
  (func (export "go") (param $n i32) (param $x i64) (result i64) (local $t i64) (local $o i32)
    {body}
    (i64.add (local.get $t) (local.get $x)))
  (func (export "note") (param $f f64) (local $n i32) (local $x i64) (local $t i64) (local $o i32)
    (local.set $x (i64.reinterpret_f64 (local.get $f)))
    {noted})
  (func (export "main")))"""

    def address(self) -> str:
        random = self.random
        at = random.random()
        if at < 0.5:
            return f"(i32.const {random.randrange(0, self.pages * PAGE - 8)})"
        if at < 0.65:
            return f"(i32.const {max(0, random.randrange(0, 16) * 4096 - random.randrange(0, 8))})"
        if at < 0.997:
            return f"(i32.and (i32.wrap_i64 (local.get $x)) (i32.const {random.choice((0xFF8, 0xFFF8))}))"
        return f"(i32.const {random.randrange(self.pages * PAGE - 8, self.pages * PAGE + 70_000)})"

    def load(self, at: str) -> str:
        if self.memories:
            return f"(i64.load ${self.random.choice(self.memories)} {at})"
        return f"(call $load {at})"

    def store(self, at: str, value: str) -> str:
        if self.memories:
            return f"(i64.store ${self.random.choice(self.memories)} {at} {value})"
        return f"(call $store {at} {value})"

    def value(self, depth: int = 0) -> str:  # noqa: PLR0911 - one for each kind
        random = self.random
        choice = random.randrange(9 if depth < 3 else 5)
        if choice == 0:
            return f"(i64.const {random.randrange(-5, 2 ** random.choice((4, 20, 63)))})"
        if choice <= 2:
            return random.choice(("(local.get $x)", "(i64.extend_i32_u (local.get $n))", "(local.get $t)"))
        if choice == 3:
            return self.load(self.address())
        if choice == 4 and self.asks:
            return "(call $gas)"
        if choice <= 6:
            operator = random.choice(("add", "mul", "xor", "sub"))
            return f"(i64.{operator} {self.value(depth + 1)} {self.value(depth + 1)})"
        if choice == 7 and self.has_table:
            which = f"(i32.and (i32.wrap_i64 {self.value(depth + 1)}) (i32.const {random.choice((1, 1, 1, 3))}))"
            return f"(call_indirect (type $n) {which})"
        left, right = self.value(depth + 1), self.value(depth + 1)
        return f"(select {left} {right} (i64.lt_s {self.value(depth + 1)} {self.value(depth + 1)}))"

    def statement(self, depth: int = 0, *, calls: bool = True) -> str:  # noqa: PLR0911 - as above
        random = self.random
        choice = random.random()
        if choice < 0.3:
            return self.store(self.address(), self.value())
        if choice < 0.38:
            return f"(local.set $t {self.value()})"
        if choice < 0.7 and self.links and calls:
            return self.call()
        if choice < 0.74:
            return f"(if (i64.eqz (i64.rem_u {self.value()} (i64.const {random.choice((7, 97))}))) (then unreachable))"
        if choice < 0.78:
            return self.growth()
        if choice < 0.84 and self.has_own:
            return random.choice((_COUNT, "(memory.fill $own (i32.const 0) (i32.const 7) (i32.const 70))", _GROW_OWN))
        if choice < 0.9 and self.has_host:
            return self.host()
        if choice < 0.95 and depth < 2:
            bound = random.choice((7, 300))
            at = "(i32.and (i32.wrap_i64 (i64.mul (local.get $t) (i64.const 8))) (i32.const 0xFFF8))"
            return (
                f"(loop $l {self.store(at, '(local.get $t)')} (local.set $t (i64.add (local.get $t) (i64.const 1)))"
                f" (br_if $l (i64.lt_u (i64.rem_u (local.get $t) (i64.const {bound})) (i64.const {bound - 1}))))"
            )
        if self.memories and random.random() < 0.4:
            length = random.choice((0, 3, 5000))
            return f"(memory.fill ${random.choice(self.memories)} {self.address()} (i32.const 9) (i32.const {length}))"
        size = f"(memory.size ${random.choice(self.memories)})" if self.memories else "(call $size)"
        return f"(local.set $t (i64.add (local.get $t) (i64.extend_i32_u {size})))"

    def growth(self) -> str:
        pages = f"(i32.const {self.random.choice((0, 1, 1, 3))})"
        if self.memories:
            return f"(drop (memory.grow ${self.random.choice(self.memories)} {pages}))"
        return f"(drop (call $grow {pages}))"

    def call(self) -> str:
        random = self.random
        index = random.randrange(len(self.links))
        left = "(i32.sub (local.get $n) (i32.const 1))"
        kind = random.random()
        if kind < 0.12:
            return f"(call $note{index} (f64.convert_i64_s {self.value()}))"
        if kind < 0.65:
            then = f"(local.set $t (call $call{index} {left} {self.value()}))"
        else:
            then = (
                f"(call $try{index} {left} {self.value()}) (local.set $t) (local.set $o)"
                " (local.set $x (i64.add (local.get $x) (i64.extend_i32_u (local.get $o))))"
            )
        return f"(if (local.get $n) (then {then}))"

    def host(self) -> str:
        random = self.random
        end = f"(call ${random.choice(('revert', 'finish', 'finish'))} (i32.const 0) (i32.const 9))"
        return random.choice(
            (
                f"(call $use (i64.const {random.choice((0, 7, 95, 97, 100, 1000))}))",
                _LOG,
                "(call $caller (i32.const 32)) (local.set $t (i64.xor (local.get $t) (i64.load $own (i32.const 40))))",
                "(call $address (i32.const 64)) (local.set $t (i64.xor (local.get $t) (i64.load $own (i32.const 70))))",
                _SIZES,
                _STORE_KEY,
                _LOAD_KEY,
                f"(if (i64.eqz (i64.rem_u {self.value()} (i64.const {random.choice((3, 11))}))) (then {end}))",
            )
        )


_ZERO = "(i32.const 0)"
_LOG = f"(call $log {_ZERO} (i32.const 8) {' '.join([_ZERO] * 5)})"
_SIZES = "(local.set $t (i64.add (local.get $t) (i64.extend_i32_u (i32.add (call $data_size) (call $return_size)))))"
_STORE_KEY = (
    "(i64.store $own (i32.const 128) (i64.and (local.get $x) (i64.const 3))) "
    "(i64.store $own (i32.const 160) (local.get $t)) (call $store_key (i32.const 128) (i32.const 160))"
)
_LOAD_KEY = (
    "(call $load_key (i32.const 128) (i32.const 192)) "
    "(local.set $t (i64.add (local.get $t) (i64.load $own (i32.const 192))))"
)
_COUNT = (
    "(global.set $g (i64.add (global.get $g) (local.get $x))) "
    "(i64.store $own (i32.const 8) (i64.add (i64.load $own (i32.const 8)) (global.get $g))) "
    "(local.set $t (i64.xor (i64.load $own (i32.const 8)) (i64.load $own (i32.const 16))))"
)
_GROW_OWN = "(local.set $t (i64.extend_i32_s (memory.grow $own (i32.const 1))))"


def check_history(seed: int, outcomes: Counter[str], *, recorded: bool = False) -> None:
    """Run one history in two worlds, and compare everything that can be seen.

    Args:
        seed: What the history is made of.
        outcomes: Where outcomes, and direct runs that were completed or redone, are counted.
        recorded: Whether the first world records what code does, in place of direct calls.
    """
    random = Random(seed)  # noqa: S311 - no secret
    limits = Limits(
        call_depth_max=random.choice((1024, 1024, 1024, 1024, 5, 5, 1)),
        calls_max=random.choice((8_000, 8_000, 300, 300, 12)),
        working_pages_max=random.choice((16_384, 5, 3)),
        memories_per_transaction_max=random.choice((10_000, 10_000, 6)),
        changed_pages_max=random.choice((1 << 18, 1 << 18, 40, 4)),
        logs_max=random.choice((10_000, 3)),
    )
    schedule = random.choice((GasSchedule(), GasSchedule(), GasSchedule.free(), GasSchedule(metered=False)))
    kinds: list[dict[str, Any]] = [{"recording": True} if recorded else {"calls": "direct"}, {"calls": "mediated"}]
    worlds = [World(limits=limits, schedule=schedule, trace=False, **kind) for kind in kinds]
    _run(random, worlds, outcomes, seed)
    outcomes["completed"] += worlds[0].direct_runs.completed
    outcomes["redone"] += worlds[0].direct_runs.redone
    for world in worlds:
        world.close()


def _deploy(random: Random, worlds: list[World], addresses: list[Address], index: int) -> None:
    """Deploy a contract, whatever it calls."""
    count = len(addresses)
    names = [f"p{each}" for each in range(count) if random.random() < 0.6]
    code = Writer(random, names).code()
    policy = random.choice(("allow", "allow", "allow", *ReentryPolicy))
    links = {name: addresses[int(name[1:])] for name in names}
    for world in worlds:
        world.deploy(code, address=addresses[index], links=links, policy=policy)


def _run(random: Random, worlds: list[World], outcomes: Counter[str], seed: int) -> None:
    addresses = [Address(0x1000 + index) for index in range(random.randrange(1, 5))]
    for index in range(len(addresses)):
        _deploy(random, worlds, addresses, index)
    snapshots: list[ExitStack] = []
    costs = [2_000]
    for step in range(random.randrange(5, 40)):
        choice = random.random()
        address = random.choice(addresses)
        if choice < 0.8:
            number = random.randrange(-(2**63), 2**63) if random.random() < 0.3 else random.randrange(100)
            tight = int(random.choice(costs) * (1 + random.random() / 5))
            gas = random.choice((10**8, 10**8, 10**12, tight, tight, 300, random.randrange(1, 3_000)))
            depth, commit = random.randrange(0, 7), random.random() > 0.1
            receipts = [
                (world.transact if commit else world.call)(address, "go", depth, number, gas=gas) for world in worlds
            ]
            costs = [*costs[-5:], receipts[0].gas_used] if receipts[0].ok else costs
            assert receipts[0] == receipts[1], f"seed {seed}, step {step}: {_differences(*receipts)}"
            outcomes[receipts[0].outcome.name] += 1
        elif choice < 0.87:
            regions = sorted(worlds[0].storage(address))
            if regions and regions != ["slots"]:
                region = random.choice([each for each in regions if each != "slots"])
                data, offset = random.randbytes(random.choice((1, 8, 5_000))), random.randrange(0, 60_000)
                for world in worlds:
                    world.load_storage(address, region, data, offset=offset)
        elif choice < 0.89:
            for world in worlds:
                world.fund(address, step)
        elif choice < 0.91:
            names = (b"\x04note", b"\x04none")  # it has a method no more, or again
            old, new = names if names[0] in worlds[0].account(address).code else names[::-1]
            for world in worlds:
                world.set_account(address, code=world.account(address).code.replace(old, new))
        elif choice < 0.95 or not snapshots:
            snapshots.append(ExitStack())
            for world in worlds:
                snapshots[-1].enter_context(world.snapshot())
        else:
            snapshots.pop().close()
        if random.random() < 0.3:
            assert worlds[0].state_root == worlds[1].state_root, f"seed {seed}, step {step}: roots"
    while snapshots:
        snapshots.pop().close()
    assert worlds[0].state_root == worlds[1].state_root, f"seed {seed}: roots at the end"
    assert worlds[0].accounts() == worlds[1].accounts(), f"seed {seed}: accounts"


def _differences(direct: object, mediated: object) -> str:
    names = ("outcome", "value", "output", "error", "gas_used", "logs", "costs", "changes")
    seen = [(name, *(getattr(each, name) for each in (direct, mediated))) for name in names]
    return "; ".join(f"{name}: {one!s:.300} and {other!s:.300}" for name, one, other in seen if str(one) != str(other))


def main() -> None:
    seconds, seed = float(sys.argv[1]), int(sys.argv[2])
    end, count = time.monotonic() + seconds, 0
    outcomes: Counter[str] = Counter()
    while time.monotonic() < end:
        check_history(seed + count, outcomes)
        count += 1
    print(f"{count:,} histories from seed {seed:,}: alike. {dict(outcomes)}")


if __name__ == "__main__":
    main()
