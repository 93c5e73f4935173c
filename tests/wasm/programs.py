"""Random programs, valid and with an end: control of every kind, all integer comparisons, and memories of two kinds."""

from __future__ import annotations

from random import Random

_COMPARE = ("eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u")
_STORES32, _STORES64 = ("store", "store8", "store16"), ("store", "store8", "store16", "store32")
_LOADS32 = ("load", "load8_s", "load8_u", "load16_s", "load16_u")
_LOADS64 = (*_LOADS32, "load32_s", "load32_u")


class Program:
    """Writes a module whose function ``f`` takes two numbers, and imports memories ``m`` and ``w`` (of 64 bits)."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.labels = 0
        self.callable = 0

    def text(self) -> str:
        kinds = "(param i32 i32) (result i32)"
        helpers = []
        for number in range(3):
            helpers.append(f"(func $h{number} {kinds} {self.body(2)})")
            self.callable = number + 1
        return f"""(module (import "s" "m" (memory $m 1 3)) (import "s" "w" (memory $w i64 1 2)) (memory $o 1 4)
          (global $g (mut i64) (i64.const 3)) (data $d "some bytes that are copied in") (type $t (func {kinds}))
          (table 4 funcref) (elem (i32.const 0) $h0 $h1 $h2)
          {" ".join(helpers)} (func (export "f") {kinds} {self.body(3)}))"""

    def body(self, depth: int) -> str:
        statements = " ".join(self.statement(depth) for _ in range(self.random.randrange(1, 6)))
        return f"(local $i i32) (local $x i64) {statements} {self.i32(2)}"

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def number(self, bits: int) -> int:
        return self.random.choice((0, 1, -1, 8, self.random.randrange(-(2 ** (bits - 1)), 2 ** (bits - 1))))

    def at(self, memory: str) -> str:
        random = self.random
        offset = random.choice(("", "", f"offset={random.randrange(70_000)}"))
        place = random.choice((*(random.randrange(64) for _ in range(20)), 65_530, random.randrange(140_000)))
        if random.random() < 0.2:
            small = "(i32.and (local.get 0) (i32.const 63))"
            return f"{offset} {small if memory != '$w' else f'(i64.extend_i32_u {small})'}"
        return f"{offset} ({'i64' if memory == '$w' else 'i32'}.const {place if random.random() < 0.97 else -1})"

    def i32(self, depth: int) -> str:  # noqa: PLR0911 - one for each kind
        random = self.random
        choice = random.randrange(10 if depth else 3)
        if choice == 0:
            return f"(i32.const {self.number(32)})"
        if choice <= 2:
            return self.pick("(local.get 0)", "(local.get 1)", "(local.get $i)")
        if choice == 3:
            return f"(i32.{self.pick(*_COMPARE)} {self.i32(depth - 1)} {self.i32(depth - 1)})"
        if choice == 4:
            return f"(i64.{self.pick(*_COMPARE)} {self.i64(depth - 1)} {self.i64(depth - 1)})"
        if choice == 5:
            return self.pick(f"(i32.eqz {self.i32(depth - 1)})", f"(i64.eqz {self.i64(depth - 1)})")
        if choice == 6:
            memory = self.pick("$m", "$w", "$o")
            return f"(i32.{self.pick(*_LOADS32)} {memory} {self.at(memory)})"
        if choice == 7 and self.callable:
            return f"(call $h{random.randrange(self.callable)} {self.i32(depth - 1)} {self.i32(depth - 1)})"
        if choice == 8:
            then, other = self.i32(depth - 1), self.i32(depth - 1)
            return f"(if (result i32) {self.i32(depth - 1)} (then {then}) (else {other}))"
        return f"(i32.{self.pick('add', 'sub', 'shl', 'xor', 'div_u')} {self.i32(depth - 1)} {self.i32(depth - 1)})"

    def i64(self, depth: int) -> str:
        choice = self.random.randrange(5 if depth else 2)
        if choice == 0:
            return f"(i64.const {self.number(64)})"
        if choice == 1:
            return self.pick("(local.get $x)", "(global.get $g)")
        if choice == 2:
            memory = self.pick("$m", "$w", "$o")
            return f"(i64.{self.pick(*_LOADS64)} {memory} {self.at(memory)})"
        if choice == 3:
            return f"(i64.extend_i32_s {self.i32(depth - 1)})"
        return f"(select {self.i64(depth - 1)} {self.i64(depth - 1)} {self.i32(depth - 1)})"

    def label(self) -> str:
        self.labels += 1
        return f"$l{self.labels}"

    def several(self, depth: int, labels: tuple[str, ...]) -> str:
        return " ".join(self.statement(depth - 1, labels) for _ in range(self.random.randrange(0, 4)))

    def statement(self, depth: int, labels: tuple[str, ...] = ()) -> str:  # noqa: PLR0911 - as above
        random = self.random
        choice = random.randrange(14 if depth else 8)
        if choice <= 1:
            memory = self.pick("$m", "$w", "$o")
            if random.random() < 0.3:
                kind, value = self.pick("f32 i32", "f64 i64").split()
                made = f"({kind}.reinterpret_{value} {self.i32(1) if value == 'i32' else self.i64(1)})"
                return f"({kind}.store {memory} {self.at(memory)} {made})"
            if random.random() < 0.5:
                return f"(i32.{self.pick(*_STORES32)} {memory} {self.at(memory)} {self.i32(depth)})"
            return f"(i64.{self.pick(*_STORES64)} {memory} {self.at(memory)} {self.i64(depth)})"
        if choice == 2:
            return f"(local.set $i {self.i32(depth)})"
        if choice == 3:
            return self.pick(f"(local.set $x {self.i64(depth)})", f"(global.set $g {self.i64(depth)})")
        if choice == 4:
            return self.vector()
        if choice == 5:
            return self.bulk()
        if choice == 6 and labels:
            return f"(br_if {self.pick(*labels)} {self.i32(depth)})"
        if choice == 7 and random.random() < 0.2:
            tail = f"(return_call $h{random.randrange(self.callable or 1)} (i32.const 1) (local.get 1))"
            return self.pick("(return (i32.const 4))", "unreachable", tail if self.callable else "(nop)")
        if choice == 8:
            label = self.label()
            return f"(block {label} {self.several(depth, (*labels, label))})"
        if choice == 9:
            return (
                f"(if {self.i32(depth - 1)} (then {self.several(depth, labels)}) (else {self.several(depth, labels)}))"
            )
        if choice == 10:
            return f"(if {self.i32(depth - 1)} (then {self.several(depth, labels)}))"
        if choice == 11:
            label, loop = self.label(), self.label()
            body = self.several(depth, (*labels, label))
            once = f"(br_if {loop} (i64.lt_u (global.get $g) (i64.const {random.randrange(40)})))"
            step = "(global.set $g (i64.add (global.get $g) (i64.const 1)))"
            return f"(block {label} (loop {loop} {step} {body} {once}))"
        if choice == 12 and labels:
            targets = " ".join(random.choice(labels) for _ in range(random.randrange(1, 4)))
            return f"(if {self.i32(1)} (then (br_table {targets} {self.i32(1)}) {self.several(depth, labels)}))"
        call = f"(call_indirect (type $t) {self.i32(1)} {self.i32(1)} (i32.const {random.randrange(5)}))"
        return f"(drop {call})" if self.callable == 3 and random.random() < 0.5 else "(nop)"

    def vector(self) -> str:
        memory = self.pick("$m", "$w", "$o")
        at, value = self.at(memory), f"(i64x2.splat {self.i64(1)})"
        lane = self.random.randrange(2)
        return self.pick(
            f"(v128.store {memory} {at} {value})",
            f"(v128.store{self.pick('8', '16', '32', '64')}_lane {memory} {at.replace('(', f'{lane} (', 1)} {value})",
            f"(drop (v128.load32_lane {memory} {at.replace('(', f'{lane} (', 1)} {value}))",
            f"(drop (v128.{self.pick('load', 'load8x8_s', 'load64_zero', 'load16_splat')} {memory} {at}))",
        )

    def bulk(self) -> str:
        random = self.random
        place = [random.choice((*(random.randrange(64) for _ in range(8)), 65_533)) for _ in range(2)]
        length = random.choice((0, 1, 4, 9, 0, 1, 4, 9, 70_000))
        to, source = self.pick("$m", "$w", "$o"), self.pick("$m", "$w", "$o")
        wide = {"$w": "i64"}
        both = "i64" if to == source == "$w" else "i32"
        at = f"({wide.get(to, 'i32')}.const {place[0]})"
        return self.pick(
            f"(memory.fill {to} {at} {self.i32(1)} ({wide.get(to, 'i32')}.const {length}))",
            f"(memory.copy {to} {source} {at} ({wide.get(source, 'i32')}.const {place[1]}) ({both}.const {length}))",
            f"(memory.init {to} $d {at} (i32.const {random.randrange(9)}) (i32.const {min(length, 12)}))",
            f"(drop (memory.grow {to} ({wide.get(to, 'i32')}.const {random.randrange(3)})))",
        )
