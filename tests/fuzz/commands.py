"""Mutated files of scenarios, contracts and vectors through every command: status 70 or a traceback is a failure.

``python -m tests.fuzz.commands SEED COUNT`` runs COUNT files from a seed and prints one line.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from unittest import mock

from attrs import define, field, frozen

from storagemod.cli.main import FAULT, TRACEBACK_VARIABLE, main
from storagemod.scenario.fixtures import scenario_path

_FOLDER = Path(__file__).parents[2] / "wat"

SCENARIO = '''
[scenario]
name = "all keys"
[accounts]
alice = 1000
bob = { address = "0xb0b", balance = 7 }
[contracts.box]
wat = """
(module
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "ethereum" "log" (func $log (param i32 i32 i32 i32 i32 i32 i32)))
  (import "ethereum" "selfDestruct" (func $destroy (param i32)))
  ;; @storage
  (memory $memory (export "memory") 2)
  (func (export "set") (param i32 i64) (call $store_i64 (local.get 0) (local.get 1)))
  (func (export "get") (param i32) (result i64) (call $load_i64 (local.get 0)))
  (func (export "float") (param f32 f64) (result f64) (f64.mul (local.get 1) (f64.promote_f32 (local.get 0))))
  (func (export "shout")
    (call $log (i32.const 0) (i32.const 5) (i32.const 1) (i32.const 32) (i32.const 0) (i32.const 0) (i32.const 0)))
  (func (export "die") (call $destroy (i32.const 0)))
  (func (export "give_up") (call $revert (i32.const 0) (i32.const 5)))
  (func (export "main")))
"""
storage = [{ offset_bytes = 8, i64 = [1, -2] }, { offset_bytes = 64, f32 = 0.5 }]
balance = 5
init = "set"
args = [0, 9]
[contracts.door]
wat = """(module (import "contract:box" "set" (func $set (param i32 i64))) (import "contract:bob" "greet" (func $greet))
  (func (export "main") (call $greet) (call $set (i32.const 8) (i64.const 3))))"""
links = { box = "box", bob = "bob" }
policy = "allow"
[[transactions]]
to = "box"
method = "set"
args = [16, 12345678901]
expect = { gas_min = 1, gas_max = 1000000, storage = [{ contract = "box", offset_bytes = 16, i64 = 12345678901 }] }
[[transactions]]
to = "box"
method = "float"
args = [0.5, 3.25]
expect.value = 1.625
[[transactions]]
name = "shouts"
to = "box"
method = "shout"
sender = "alice"
value = 3
gas = 100000
expect.logs = [{ contract = "box", data = "0x0000000000" }]
expect.balance = { alice = 997 }
[[transactions]]
to = "box"
method = "give_up"
call = true
expect.error = "gave|up|revert"
[[transactions]]
to = "box"
data = "0x0102"
expect = { may_fail = true, output = "" }
[[transactions]]
to = "box"
method = "die"
[[invariants]]
expr = 'sum(box.memory.u32[0:64]) >= before(balance(box)) - 10 * call(box, "get", 8) // 3'
[[invariants]]
name = "floats"
expr = 'box.memory[abs(-8)] < max(1, 2, balance(alice)) % 1000 + call(box, "float", 1, 2)'
at = "boundaries"
[explore]
untrusted = ["bob"]
senders = ["alice"]
'''

WITHOUT_TRANSACTIONS = """
[contracts.f]
wat = '(module (func (export "main")))'
[[invariants]]
expr = "balance(f) == 0"
"""

_STORE = """(module (import "ethereum" "storageStore" (func $s (param i32 i32))) (memory (export "memory") 1)
  (func (export "main") (call $s (i32.const 0) (i32.const 32))))"""

_CONTRACT, _SENDER = "0f572e5295c57f15886f9b263e2f6d2d6c7b5ec6", "a94f5374fce5edbc8e2a8697c15331677e6ebf0b"

VECTOR = json.dumps(
    {
        "name": "store",
        "env": {"currentCoinbase": "2adc25665018aa1fe0e6bc666dac8fc2697ff9ba", "currentNumber": "2"},
        "pre": {
            _CONTRACT: {"balance": "0x0de0b6b3a7640000", "nonce": "1", "storage": {"0x01": "2"}, "code": _STORE},
            _SENDER: {"balance": "0x6124fee993bc0000", "nonce": "0"},
        },
        "transaction": {
            "sender": _SENDER,
            "to": _CONTRACT,
            "data": "0x0102",
            "value": "0",
            "gasLimit": "400000",
            "gasPrice": "1",
            "nonce": "0",
        },
        "expect": {_CONTRACT: {"storage": {"0x01": "0x02"}, "nonce": "1"}, "aa" * 20: {"shouldnotexist": "1"}},
    },
    indent=1,
)

COMMANDS: dict[str, tuple[tuple[str, ...], ...]] = {
    ".toml": (
        ("run", "-vvvv"),
        ("run", "--json", "--link", "copied"),
        ("compare", "-l", "single", "-l", "keyed"),
        ("snapshot", "-l", "single", "-l", "methods", "--file", "SNAPSHOT"),
        ("explore", "--tries", "40", "--seed", "1"),
        ("suggest",),
        ("inspect", "--tables", "--link", "paged"),
    ),
    ".wat": (("compile",), ("compile", "--json", "--link", "regions"), ("inspect",), ("inspect", "--json")),
    ".json": (("statetest",), ("statetest", "--json", "--link", "paged")),
    ".snapshot": (("snapshot", "counter/counter", "-l", "single", "--check", "--file", "SNAPSHOT"),),
}
"""The commands for a file of each kind. ``SNAPSHOT`` is a file; the input itself is the last word unless it is that."""

NUMBERS = (
    *("0", "-1", "1", "0.5", "-0.0", "nan", "inf", "-inf", "1e300", "1e-400", "3.5e38", "true", "[]", "{}", '""'),
    *(str(2**bits + more) for bits in (7, 31, 32, 63, 64, 128, 160, 256) for more in (-1, 0, 1)),
    *("1" + "0" * 400, "9" * 4_299, "9" * 5_000, "0x" + "f" * 40, "0x" + "f" * 5_000, "10**400", "1979-05-27"),
)
"""Numbers at the ends of what they may be, longer ones, and what is none."""

STRINGS = (
    *("", " ", "\\n", "\\u0000", "\\u001b[31m", "[red]", "](", "\\u202e", "é", "\U0001f600", "%s", "{0}", "../x", "0x"),
    *("a" * 5_000, "box", "alice", "door", "main", "memory", "set", "^(", "deny", "copied", "paged", "<b>", "|", "#"),
)

_LEAVES = (
    *("0", "1", "8", "-1", "9" * 400, "9" * 990, str(2**64), "0x" + "f" * 300, "balance(alice)", "box.memory[0]"),
    *("sum(box.memory[0:64])", 'call(box, "float", 1, 2)', 'call(box, "float", 9, 0) // 0', "balance(door)"),
)
"""Numbers that an invariant can name, without quotes of the file."""

_NUMBER = re.compile(r"-?\b\d[\w.]*")
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|-?\b\d[\w.+]*|[A-Za-z_]\w*|[^\s\w]')


@define
class Mutator:
    """Makes mutants of texts from a source of chance."""

    chance: random.Random
    seeds: tuple[tuple[str, str], ...]

    def make(self) -> tuple[str, str]:
        """Return the kind and the text of the next file."""
        suffix, text = self.chance.choice(self.seeds)
        for _ in range(self.chance.choice((0, 1, 1, 1, 2, 2, 3, 5))):
            kinds = (self.number, self.number, self.invariant, self.invariant, self.token, self.line, self.character)
            text = self.chance.choice(kinds)(suffix, text)
        return suffix, text

    def token(self, _suffix: str, text: str) -> str:
        """Replace, remove or double a word, a number, a string or a sign."""
        tokens = list(_TOKEN.finditer(text))
        if not tokens:
            return text
        found = self.chance.choice(tokens)
        old = found[0]
        if old[0] in "\"'" and self.chance.random() < 0.7:
            new = f"{old[0]}{self.chance.choice(STRINGS)}{old[0]}"
        elif (old[0].isdigit() or old[0] == "-") and self.chance.random() < 0.8:
            new = self.chance.choice(NUMBERS)
        else:
            new = self.chance.choice(("", old + old, self.chance.choice(tokens)[0], self.chance.choice(NUMBERS)))
        return text[: found.start()] + new + text[found.end() :]

    def number(self, _suffix: str, text: str) -> str:
        """Replace a number by another one, so that the file is often good."""
        numbers = list(_NUMBER.finditer(text))
        if not numbers:
            return text
        found = self.chance.choice(numbers)
        return text[: found.start()] + self.chance.choice(NUMBERS) + text[found.end() :]

    def invariant(self, suffix: str, text: str) -> str:
        """Add an invariant that is in the language."""
        if suffix != ".toml":
            return text
        compared = f"{self.expression(3)} {self.chance.choice(('==', '<', '>='))} {self.expression(3)}"
        return f"{text}\n[[invariants]]\nexpr = '{compared}'\n"

    def expression(self, depth: int) -> str:
        """Return an expression that is a number."""
        if not depth or self.chance.random() < 0.2:
            return self.chance.choice(_LEAVES)
        one, other = self.expression(depth - 1), self.expression(depth - 1)
        shapes = (
            *(f"({one} {sign} {other})" for sign in ("+", "-", "*", "//", "%")),
            *(f"{name}({one}, {other})" for name in ("sum", "min", "max")),
            *(f"abs({one})", f"-{one}", f"before({one})", f"box.memory[{one}]"),
            f"sum(box.memory.u8[{one}:{other}])",
            f'call(box, "float", {one}, {other})',
            f'call(box, "get", {one})',
        )
        return self.chance.choice(shapes)

    def line(self, suffix: str, text: str) -> str:
        """Remove, double or move a line, or take one of another file."""
        lines = text.split("\n")
        index = self.chance.randrange(len(lines))
        others = self.chance.choice([other for kind, other in self.seeds if kind == suffix]).split("\n")
        moved = [lines[index], lines[index]]
        match self.chance.randrange(4):
            case 0:
                moved = []
            case 1:
                moved = [self.chance.choice(others), lines[index]]
            case 2:
                moved = [self.chance.choice(lines)]
        return "\n".join([*lines[:index], *moved, *lines[index + 1 :]])

    def character(self, _suffix: str, text: str) -> str:
        """Replace, insert or remove characters."""
        index = self.chance.randrange(len(text) + 1)
        new = self.chance.choice(
            ("", "\0", '"', "'", "[", "]", "=", "-", "9", "\u2028", "\x7f", "\U0001f600", ";;", "(")
        )
        return text[:index] + new + text[index + self.chance.choice((0, 1, 1, 4)) :]


def seeds() -> tuple[tuple[str, str], ...]:
    """Return the files that mutants are made of: what comes with the project, and some that use every key."""
    named = ("bank/robbed", "reentry/read_only", "puppet/script", "exchange/change")
    found = [(".toml", SCENARIO)] * 6 + [(".toml", WITHOUT_TRANSACTIONS)] + [(".json", VECTOR)] * 2
    for name in named:
        path = scenario_path(name)
        found.append((".toml", path.read_text().replace('code = "', f'code = "{path.parent}/')))
    found += [(".wat", path.read_text()) for path in sorted(_FOLDER.glob("*/*.wat"))[:12]]
    found.append((".snapshot", _snapshot()))
    return tuple(found)


def _snapshot() -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "it.snapshot"
        run(["snapshot", "counter/counter", "-l", "single", "--file", str(file)])
        return file.read_text()


@frozen
class Fault:
    """A command that failed by a fault of ours."""

    words: tuple[str, ...]
    text: str
    what: str


@define
class Tally:
    """What came of all files."""

    seed: int
    files: int = 0
    statuses: Counter[int] = field(factory=Counter)
    faults: list[Fault] = field(factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        ends = ", ".join(f"{count} with status {status}" for status, count in sorted(self.statuses.items()))
        return f"seed {self.seed}: {self.files} files, {ends}; {len(self.faults)} faults"


def run(words: list[str]) -> tuple[int, str, str]:
    """Run a command in this process; return its status and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.dict("os.environ", {TRACEBACK_VARIABLE: "1"}),
    ):
        status = main(words)
    return status, out.getvalue(), err.getvalue()


def run_commands(suffix: str, text: str, tally: Tally) -> None:
    """Run every command on one file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"it{suffix}"
        snapshot = file if suffix == ".snapshot" else Path(folder) / "x.snapshot"
        file.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        tally.files += 1
        for command in COMMANDS[suffix]:
            words = [str(snapshot) if word == "SNAPSHOT" else word for word in command]
            words += [] if suffix == ".snapshot" else [str(file)]
            try:
                status, out, err = run(words)
                what = err if status == FAULT or "Traceback" in err + out else ""
            except BaseException:  # noqa: BLE001 - nothing may leave main()
                status, what = FAULT, traceback.format_exc()
            tally.statuses[status] += 1
            if what:
                tally.faults.append(Fault(command, text, what))


def run_many(seed: int, count: int) -> Tally:
    """Run so many files from a seed."""
    tally, started = Tally(seed), time.monotonic()
    mutator = Mutator(random.Random(seed), seeds())  # noqa: S311 - to be repeated, no secret
    for _ in range(count):
        run_commands(*mutator.make(), tally)
    tally.seconds = time.monotonic() - started
    return tally


if __name__ == "__main__":
    told = run_many(int(sys.argv[1]), int(sys.argv[2]))
    for fault in told.faults:
        print(fault.words, fault.what, sep="\n", file=sys.stderr)
    print(told)
    sys.exit(bool(told.faults))
