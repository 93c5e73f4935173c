"""The language of invariants against its oracle: Python's own `eval` over a model of the world."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from attrs import define, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod import Limits, World
from storagemod.errors import ScenarioError
from storagemod.scenario import deploy_scenario, expressions, parse_invariant, parse_scenario
from storagemod.scenario.invariants import Verdict
from storagemod.types import Address

TEXT = """
[accounts]
alice = 70
[contracts.bank]
wat = '''
(module
  (import "storage" "memory" (memory $storage 1 2))
  (func (export "grow") (drop (memory.grow $storage (i32.const 1))))
  (func (export "half") (result f64) (f64.const 0.5))
  (func (export "nine") (result i64) (i64.const 9)))
'''
balance = 5
[contracts.shop]
wat = '''(module (import "storage" "memory" (memory 1 1)) (import "storage" "books" (memory 0 1)))'''
"""
TEXT += "\n[[transactions]]\nto = 'bank'\nmethod = 'grow'\n"
SCENARIO = parse_scenario(TEXT, path="it.toml", folder=Path())
LONGEST = {("bank", "memory"): 131_072, ("shop", "memory"): 65_536, ("shop", "books"): 65_536}
FORMATS = {"i64": (8, True), "u64": (8, False), "i32": (4, True), "u32": (4, False), "u8": (1, False)}


class NoValueError(Exception):
    """A part has no value."""


@frozen
class Region:
    """The bytes of a region; zeros from where they end to the longest that it may be."""

    data: bytes
    longest: int
    kind: str = "i64"

    def __getattr__(self, kind: str) -> Region:
        return Region(self.data, self.longest, kind)

    def read(self, offset: int) -> int:
        width, signed = FORMATS[self.kind]
        if not 0 <= offset <= self.longest - width:
            raise NoValueError
        return int.from_bytes(self.data.ljust(self.longest, b"\0")[offset : offset + width], "little", signed=signed)

    def __getitem__(self, key: int | slice) -> Any:
        width, _ = FORMATS[self.kind]
        if not isinstance(key, slice):
            return self.read(key)
        start = 0 if key.start is None else key.start
        stop = max(start, len(self.data)) if key.stop is None else key.stop
        step = width if key.step is None else key.step
        if step < width or not 0 <= start <= stop <= self.longest:
            raise NoValueError
        return [self.read(offset) for offset in range(start, stop - width + 1, step)]


@define
class Account:
    balance: int
    memory: Region
    books: Region | None = None


def model(world: World) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for name in ("bank", "shop"):
        address = SCENARIO.addresses[name]
        regions = {region: Region(view[:], LONGEST[name, region]) for region, view in world.storage(address).items()}
        names[name] = Account(world.account(address).balance, **regions)
    names["alice"] = Account(world.account(SCENARIO.addresses["alice"]).balance, Region(b"", 0))
    return names


def count(values: Iterable[bool]) -> int:
    return sum(1 for value in values if value)


def power(base: int, exponent: int) -> int:
    if exponent < 0:
        raise NoValueError
    return int(base**exponent)


FUNCTIONS = {
    "__builtins__": {"range": range, "sum": sum, "min": min, "max": max, "all": all, "any": any, "abs": abs},
    "count": count,
    "power": power,
    "balance": lambda account: account.balance,
}


# An expression is drawn as two texts: as the language has it, and as Python has it, where `{was}` stands before names
# whose state is that of before.


@define
class Writer:
    draw: Callable[[st.SearchStrategy[Any]], Any]
    depth: int = 0
    in_before: bool = False
    free: tuple[str, ...] = ()
    """Variables of `for` that can be used here."""
    made: int = 0

    def pick(self, *choices: Callable[[], tuple[str, str]]) -> tuple[str, str]:
        self.depth += 1
        chosen = choices[: 2 if self.depth > 4 else len(choices)]  # the first two lead to no more parts
        text = self.draw(st.sampled_from(chosen))()
        self.depth -= 1
        return text

    def truth(self) -> tuple[str, str]:
        return self.pick(self.comparison, self.constant, self.both, self.denied, self.implication, self.quantified)

    def number(self) -> tuple[str, str]:
        more = [self.applied, self.raised, self.chosen, self.aggregated, self.counted, self.largest]
        if not self.in_before:
            more.append(self.earlier)
        return self.pick(self.literal, self.cell, self.arithmetic, *more)

    def constant(self) -> tuple[str, str]:
        return (self.draw(st.sampled_from(["True", "False"])),) * 2

    def literal(self) -> tuple[str, str]:
        known = [*map(str, (-3, -1, 0, 1, 2, 7, 8, 64, 10**12)), *self.free, *self.free]
        return (self.draw(st.sampled_from(known)),) * 2

    def was(self, name: str) -> str:
        return f"was_{name}" if self.in_before else name

    def place(self) -> tuple[str, str]:
        account, region = self.draw(st.sampled_from([*LONGEST]))
        kind = self.draw(st.sampled_from(["", ".u8", ".i32", ".u32", ".i64", ".u64"]))
        return f"{account}.{region}{kind}", f"{self.was(account)}.{region}{kind}"

    def offset(self) -> tuple[str, str]:
        plain = st.sampled_from(["0", "8", "16", "20", "4090", "65528"])
        if self.in_before:  # a mistake there is told before anything is evaluated
            return (self.draw(plain),) * 2
        varied = [f"{each} * 8" for each in self.free] + list(self.free)
        outside = ["65532", "70000", "131064", "131068", "-8"]
        texts = st.one_of(plain, plain, st.sampled_from([*varied, *outside]))
        return (self.draw(texts),) * 2

    def cell(self) -> tuple[str, str]:
        if self.draw(st.integers(0, 5)) == 0:
            account = self.draw(st.sampled_from(["alice", "bank", "shop"]))
            return f"balance({account})", f"balance({self.was(account)})"
        (mine, python), (offset, same) = self.place(), self.offset()
        return f"{mine}[{offset}]", f"{python}[{same}]"

    def numbers(self) -> tuple[str, str]:
        """A range, or one of storage."""
        bounds = [self.draw(st.sampled_from(["0", "8", "16", "40", "64"])) for _ in range(2)]
        if self.draw(st.booleans()):
            step = self.draw(st.sampled_from(["", ", 1", ", 8", ", -3"]))
            return (f"range({bounds[0]}, {bounds[1]}{step})",) * 2
        mine, python = self.place()
        low, high = sorted(bounds, key=int)
        low, high = self.draw(st.sampled_from([("", "65536"), ("65500", ""), (low, high), (low, high), (high, low)]))
        step = self.draw(st.sampled_from(["", "", ":8", ":16", ":12", ":1"]))
        return f"{mine}[{low}:{high}{step}]", f"{python}[{low}:{high}{step}]"

    def generator(self, kind: Callable[[], tuple[str, str]]) -> tuple[str, str]:
        clauses: list[tuple[str, str]] = []
        outer = self.free
        for _ in range(self.draw(st.sampled_from([1, 1, 2]))):
            name = f"i{self.made}"
            self.made += 1
            is_fixed = self.draw(st.booleans())
            mine, python = ("range(0, 24, 8)",) * 2 if is_fixed or len(self.free) > 1 else self.numbers()
            if ":" in mine and "65" in mine:
                mine, python = ("range(4)",) * 2
            self.free = (*self.free, name)
            tests = [self.truth()] if self.draw(st.integers(0, 3)) == 0 else []
            clauses.append(
                (
                    f" for {name} in {mine}" + "".join(f" if {test}" for test, _ in tests),
                    f" for {name} in {python}" + "".join(f" if {test}" for _, test in tests),
                )
            )
        mine, python = kind()
        self.free = outer
        return mine + "".join(each for each, _ in clauses), python + "".join(each for _, each in clauses)

    def comparison(self) -> tuple[str, str]:
        parts = [self.number() for _ in range(self.draw(st.sampled_from([2, 2, 3])))]
        signs = [self.draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="])) for _ in parts[1:]]
        first, second = (
            parts[0][side] + "".join(f" {sign} {part[side]}" for sign, part in zip(signs, parts[1:], strict=True))
            for side in (0, 1)
        )
        return f"({first})", f"({second})"

    def two(self, part: Callable[[], tuple[str, str]], sign: str) -> tuple[str, str]:
        (a, b), (c, d) = part(), part()
        return f"({a} {sign} {c})", f"({b} {sign} {d})"

    def both(self) -> tuple[str, str]:
        return self.two(self.truth, self.draw(st.sampled_from(["and", "or"])))

    def denied(self) -> tuple[str, str]:
        mine, python = self.truth()
        return f"(not {mine})", f"(not {python})"

    def implication(self) -> tuple[str, str]:
        (a, b), (c, d) = self.truth(), self.truth()
        return f"implies({a}, {c})", f"({d} if {b} else True)"

    def quantified(self) -> tuple[str, str]:
        name = self.draw(st.sampled_from(["all", "any"]))
        mine, python = self.generator(self.truth)
        return f"{name}({mine})", f"{name}({python})"

    def counted(self) -> tuple[str, str]:
        mine, python = self.generator(self.truth)
        return f"count({mine})", f"count({python})"

    def arithmetic(self) -> tuple[str, str]:
        return self.two(self.number, self.draw(st.sampled_from(["+", "-", "*", "//", "%"])))

    def raised(self) -> tuple[str, str]:
        mine, python = self.number()
        exponent = self.draw(st.sampled_from(["0", "1", "2", "(1 - 2)"]))
        return f"({mine}) ** {exponent}", f"power(({python}), {exponent})"

    def applied(self) -> tuple[str, str]:
        mine, python = self.number()
        return f"abs({mine})", f"abs({python})"

    def chosen(self) -> tuple[str, str]:
        (a, b), (c, d), (e, f) = self.number(), self.truth(), self.number()
        return f"({a} if {c} else {e})", f"({b} if {d} else {f})"

    def aggregated(self) -> tuple[str, str]:
        name = self.draw(st.sampled_from(["sum", "min", "max"]))
        mine, python = self.numbers() if self.draw(st.booleans()) else self.generator(self.number)
        if name != "sum" and self.draw(st.booleans()):
            (a, b) = self.number()
            wrapped = (f"({mine})", f"({python})") if " for " in mine else (mine, python)
            return f"{name}({wrapped[0]}, default={a})", f"{name}({wrapped[1]}, default={b})"
        return f"{name}({mine})", f"{name}({python})"

    def largest(self) -> tuple[str, str]:
        parts = [self.number() for _ in range(2)]
        name = self.draw(st.sampled_from(["min", "max"]))
        return f"{name}({parts[0][0]}, {parts[1][0]})", f"{name}({parts[0][1]}, {parts[1][1]})"

    def earlier(self) -> tuple[str, str]:
        self.in_before = True
        mine, python = self.number()
        self.in_before = False
        return f"before({mine})", f"({python})"


@st.composite
def expressions_drawn(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[str, str]:
    return Writer(draw).truth()


class _Powers(ast.NodeTransformer):
    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Pow):
            return ast.Call(ast.Name("power", ast.Load()), [node.left, node.right], [])
        return node


def is_without_value(part: str, names: dict[str, Any]) -> bool:
    """Return whether Python, too, has no value for a part of an expression that was refused."""
    tree = ast.fix_missing_locations(_Powers().visit(ast.parse(part, mode="eval")))
    variables = {each.id: 1 for each in ast.walk(tree) if isinstance(each, ast.Name) and re.match(r"i\d", each.id)}
    functions = {**FUNCTIONS, "before": lambda value: value, "implies": lambda first, second: not first or second}
    try:
        eval(compile(tree, "part", "eval"), {**functions, **names, **variables})  # noqa: S307 - as below
    except (NoValueError, ZeroDivisionError, ValueError):
        return True
    return False


words = st.lists(st.sampled_from([0, 0, 1, 2, 7, -1, 2**63 - 1, -(2**63), 255]), min_size=8, max_size=8)


def write(world: World, numbers: list[int]) -> None:
    for name, region in LONGEST:
        data = b"".join(number.to_bytes(8, "little", signed=True) for number in numbers)
        world.load_storage(SCENARIO.addresses[name], region, data)
        if name == "bank":
            world.load_storage(SCENARIO.addresses[name], region, data, offset=4_092)


@pytest.fixture(scope="module")
def world() -> World:
    world = World()
    deploy_scenario(SCENARIO, world)
    return world


@settings(max_examples=600, deadline=None)
@given(expressions_drawn(), words, words, st.integers(0, 100))
def test_an_expression_is_what_python_makes_of_it(
    world: World, texts: tuple[str, str], earlier: list[int], now: list[int], money: int
) -> None:
    mine, python = texts
    if len(mine) > expressions.TEXT_LENGTH_MAX:
        return
    with world.snapshot():
        write(world, earlier)
        names = {f"was_{name}": account for name, account in model(world).items()}
        try:
            invariant = parse_invariant(mine, SCENARIO)
        except ScenarioError as error:
            if "depend on the state" not in str(error):  # the one thing that the oracle knows nothing of
                (part,) = re.findall("`(.+)`", str(error))
                assert is_without_value(part, model(world)), mine
            return
        before = invariant.capture(world)
        write(world, now)
        world.fund(SCENARIO.addresses["alice"], money)
        names |= model(world)
        try:
            wanted: bool | None = eval(python, {**FUNCTIONS, **names})  # noqa: S307 - ours, and no names but these
        except (NoValueError, ZeroDivisionError, ValueError):
            wanted = None
        try:
            verdict = invariant.check(world, before)
            found = None if verdict.unanswered else verdict.holds
        except ScenarioError:
            found = None

    assert found == wanted, mine


def check(expr: str, world: World) -> Verdict:
    invariant = parse_invariant(expr, SCENARIO)
    return invariant.check(world, invariant.capture(world))


@pytest.fixture
def bank(world: World) -> Any:
    """A world whose bank has 1, -5, 0, 9 in its first words."""
    with world.snapshot():
        data = b"".join(number.to_bytes(8, "little", signed=True) for number in (1, -5, 0, 9))
        world.load_storage(SCENARIO.addresses["bank"], "memory", data)
        yield world


@pytest.mark.parametrize(
    ("expr", "why"),
    [
        ("all(bank.memory[i] >= 0 for i in range(0, 32, 8))", ("i = 8", "bank.memory[i] = -5")),
        ("all(x >= 0 for x in bank.memory[0:32])", ("x = -5",)),
        (
            "all(all(i * j < 6 for j in range(3)) for i in range(5))",
            ("i = 3", "j = 2"),
        ),
        ("any(x > 9 for x in bank.memory[0:32])", ("any(x > 9 for x in bank.memory[0:32]) = False",)),
        (
            "count(x > 0 for x in bank.memory[0:32]) == 3",
            ("count(x > 0 for x in bank.memory[0:32]) = 2",),
        ),
        ("sum(bank.memory[0:32:16]) == 0", ("sum(bank.memory[0:32:16]) = 1",)),
        ("implies(bank.memory[0] > 0, bank.memory[8] > 0)", ("bank.memory[0] = 1", "bank.memory[8] = -5")),
        (
            "all(7 // bank.memory[i] < 8 for i in range(0, 32, 8))",
            ("i = 16", "`7 // bank.memory[i]` has no value: integer division or modulo by zero"),
        ),
        (
            "2 ** bank.memory[8] == 1",
            (
                "bank.memory[8] = -5",
                "`2 ** bank.memory[8]` has no value: an exponent is an integer from 0 on, got -5",
            ),
        ),
        (
            "max(x for x in bank.memory[0:32] if x > 9) > 0",
            ("`max(x for x in bank.memory[0:32] if x > 9)` has no value: the range is empty",),
        ),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_shown_where_it_does_not(bank: World, expr: str, why: tuple[str, ...]) -> None:
    verdict = check(expr, bank)
    assert not verdict.holds
    assert verdict.why == why


def test_each_number_is_compared_with_its_own_before(bank: World) -> None:
    invariant = parse_invariant("all(bank.memory[i] >= before(bank.memory[i]) for i in range(0, 32, 8))", SCENARIO)
    before = invariant.capture(bank)
    assert invariant.check(bank, before).holds
    bank.load_storage(SCENARIO.addresses["bank"], "memory", (8).to_bytes(8, "little"), offset=24)
    verdict = invariant.check(bank, before)
    assert verdict.why == ("i = 24", "bank.memory[i] = 8", "before(bank.memory[i]) = 9")


@pytest.mark.parametrize(("events", "ran"), [(100_000, {"bank"}), (1, {"bank", "shop"})])
def test_the_accounts_that_its_calls_ran_are_told_and_all_where_a_trace_is_cut(events: int, ran: set[str]) -> None:
    world = World(limits=Limits(trace_events_max=events))
    deploy_scenario(SCENARIO, world)
    invariant = parse_invariant('before(call(bank, "nine")) == call(bank, "nine")', SCENARIO)
    earlier: set[Address] = set()
    later: set[Address] = set()
    assert invariant.check(world, invariant.capture(world, ran=earlier), ran=later).holds
    for found in (earlier, later):
        assert {name for name in ("bank", "shop") if SCENARIO.addresses[name] in found} == ran


def test_storage_that_a_region_may_grow_to_is_zero(bank: World) -> None:
    tests = "bank.memory[65532] == 0 and sum(bank.memory[65528:131072]) == 0 and sum(bank.memory[65528:]) == 0"
    invariant = parse_invariant(tests, SCENARIO)
    assert invariant.check(bank) == Verdict(True)
    with bank.snapshot():
        bank.transact(SCENARIO.addresses["bank"], "grow").raise_for_error()
        assert invariant.check(bank) == Verdict(True)


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("bank.memory[131068] == 0", r"bank memory\[0x1fffc..0x20004\]: the region can have 0x20000 bytes at most"),
        (
            "all(bank.memory[i - 8] == 0 for i in range(8))",
            r"`bank.memory\[i - 8\]`: an offset must be 0 or more, got -8",
        ),
        ("all(6 // i > 1 for i in range(3))", r"`6 // i` has no value: integer division or modulo by zero"),
        ("all(2 ** (1 - i) > 0 for i in range(3))", r"`2 \*\* \(1 - i\)` has no value: an exponent .* got -1"),
        ("all(shop.memory[i] == 0 for i in range(65520, 65544, 8))", r"shop memory\[0x10000..0x10008\]"),
        ("sum(bank.memory[0:131073]) == 5", r"bank memory\[0x0..0x20001\]"),
        ('sum(range(call(bank, "half"))) == 1', r"an offset is an integer|integer, got 0.5"),
    ],
)
def test_what_is_wrong_in_every_state_is_a_mistake_in_the_file_with_its_line(
    bank: World, expr: str, message: str
) -> None:
    invariant = parse_invariant(expr, SCENARIO, place=("it.toml", 7))
    with pytest.raises(ScenarioError, match=rf"it.toml:7: .*{message}"):
        invariant.check(bank)


@pytest.mark.parametrize(
    "expr",
    [
        "bank.memory[bank.memory[8]] == 0",
        "sum(bank.memory[0:1000000 * bank.memory[24]]) == 0",
        "sum(bank.memory[0:32:bank.memory[24] - 5]) == 0",
        "all(bank.memory[x] == 0 for x in bank.memory[8:16])",
        "sum(range(0, 8, bank.memory[16])) == 0",
    ],
)
def test_what_is_wrong_in_one_state_has_no_value_there(bank: World, expr: str) -> None:
    assert check(expr, bank).unanswered


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("sum(i for i in range(10000000)) > 0", "it takes more than 5,000,000 steps"),
        ("all(sum(range(1000)) > 0 for i in range(1000000))", "it takes more than 5,000,000 steps"),
        ("all(i < 0 or j < 9999 for i in range(9999) for j in range(9999))", "it takes more than 5,000,000 steps"),
        ("sum(range(10 ** 30)) == 0", "it takes more than 5,000,000 steps"),
        ("all(before(i) == i for i in range(9999999))", "it takes more than 5,000,000 steps"),
        (" and ".join(["all(before(i) == i for i in range(60000))"] * 5), "it takes more than 5,000,000 steps"),
        ("all(sum(bank.memory.u8[0:131072]) > 0 for i in range(1000))", "it reads more than 67,108,864 bytes"),
    ],
)
def test_an_evaluation_takes_so_much_work(bank: World, expr: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        check(expr, bank)


@pytest.mark.parametrize("expr", ["2 ** 4001 == 1", "(10 ** 900) ** 900 == 1", "(2 ** 3999) * 4 == 1"])
def test_numbers_have_so_many_digits(bank: World, expr: str) -> None:
    with pytest.raises(ScenarioError, match="it is longer than 1,000 digits"):
        check(expr, bank)
    verdict = check(expr.replace("2", "(bank.memory[0] + 1)").replace("10", "(bank.memory[24] + 1)"), bank)
    assert verdict.unanswered
    assert verdict.why[-1].endswith("it is longer than 1,000 digits")


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("1 // 0 == 1", "`1 // 0` has no value: integer division or modulo by zero"),
        ("1 % 0 == 1", "`1 % 0` has no value: integer modulo by zero"),
        ("2 ** -1 == 1", r"`2 \*\* \(-1\)` has no value: an exponent is an integer from 0 on, got -1"),
        ("7 // (sum(i for i in range(4)) - 6) == 1", "has no value: integer division or modulo by zero"),
        ("bank.memory[0] // (1 - 1) == 1", r"`bank.memory\[0\] // \(1 - 1\)` has no value"),
        ("bank.memory[0] ** -1 == 1", "an exponent is an integer from 0 on, got -1"),
        ("bank.memory[0] == 0 or 1 // 0 == 1", "`1 // 0` has no value"),
        ("all(x // 0 > 1 for x in bank.memory[0:8])", "`x // 0` has no value"),
        ("before(1 // 0) == 1", "`1 // 0` has no value"),
        (
            "bank.memory[-8] == 0",
            r"`bank.memory\[-8\]`: an offset must be 0 or more, got -8 \(offsets and steps are in",
        ),
        ("bank.memory.u8[0 - 1] == 0", "an offset must be 0 or more, got -1"),
        ("sum(bank.memory[-8:]) == 0", "an offset must be 0 or more, got -8"),
        ("sum(bank.memory[16:8]) == 0", r"`bank.memory\[16:8\]`: a range must not end before it starts"),
        ("sum(bank.memory[:-8]) == 0", "a range must not end before it starts"),
        ("sum(bank.memory[0:8:4]) == 1", "a step must be 8 bytes at least, got 4"),
        ("sum(range(1, 9, 0)) == 1", r"`range\(1, 9, 0\)`: range\(\) arg 3 must not be zero"),
        ("sum(range(0, bank.memory[0], 0)) == 1", r"range\(\) arg 3 must not be zero"),
        ("min(range(0)) == 1", "the range is empty"),
        ("keccak(-1, bank.memory[0]) == 1", r"expected an integer from 0 to 2\*\*256 - 1, got -0x1"),
        ("bank.slots[2 ** 256] == 1", r"expected an integer from 0 to 2\*\*256 - 1"),
        ('call(bank, "0x00", -1) == 1', r"expected an integer from 0 to 2\*\*256 - 1, got -0x1"),
    ],
)
def test_what_numbers_alone_show_to_have_no_value_is_refused_when_it_is_read(expr: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=rf"it.toml:7: not an invariant: .*{message}"):
        parse_invariant(expr, SCENARIO, place=("it.toml", 7))


@pytest.mark.parametrize(
    "expr",
    [
        "all(i == 0 or 10 // i > 4 for i in range(3))",
        "sum(bank.memory[bank.memory[16]:8]) == 1",
        "sum(bank.memory[bank.memory[16]:8:bank.memory[16] + 8]) == 1",
        "min(range(0), default=7) == 7 and 0 // 5 == 0 and 0 ** 0 == 1",
    ],
)
def test_what_has_a_value_in_some_state_or_for_some_number_is_read(bank: World, expr: str) -> None:
    assert check(expr, bank).holds


def test_floats_are_raised_and_compared(bank: World) -> None:
    assert check('call(bank, "half") ** 2 < call(bank, "half")', bank).holds
    assert not math.isclose(0.25, 0.5)
    assert check('(0 - 1) ** call(bank, "half") == 1', bank).unanswered


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("all(bank.memory[0:8])", r"all takes a condition with `for` \(as in all"),
        ("all(bank.memory[0] for i in range(8))", "is a number, and something true or false is wanted"),
        ("sum(i > 0 for i in range(8)) == 1", "is something true or false, and a number is wanted"),
        ("sum(1 > 0, 7) == 1", r"sum takes numbers, or a range of storage \(count"),
        ("all(i > 0 for i in 7)", "is a number, and a range of numbers is wanted"),
        ("all(i > 0 for i in range(8) for i in range(8))", "`i` has a meaning already"),
        ("all(bank > 0 for bank in range(8))", "`bank` has a meaning already"),
        ("all(i > 0 for i, j in range(8))", "a `for` has one variable"),
        ("all(i > 0 for i in range(i))", 'no account or contract is named "i"'),
        ("all(i > 0 for i in range(8)) and i == 7", 'no account or contract is named "i"'),
        ("all([i > 0 for i in range(8)])", "all takes a condition"),
        ("all(x > before(x) for x in bank.memory[0:8])", "goes through numbers that depend on the state"),
        ("range(8) == range(8)", "compares a range of numbers"),
        ("(1 == 1) <= (2 == 2)", r"orders what is true or false \(implies\(a, b\)"),
        ("1 < 2 == (3 < 4)", "compares a number with a number with something true"),
        ("range() == 1", "range takes one to three numbers"),
        ("implies(1 == 1)", "implies takes two conditions"),
        ("implies(1, 2)", "is a number, and something true or false is wanted"),
        ("1 if 1 == 1 else 1 == 2", "both must be of one kind"),
        ("sum(1, default=2) == 1", "no such function"),
        ("max(1, 2, default=2) == 1", "a default is for one range"),
        ("min(range(3), key=abs) == 1", "no such function"),
        ("alls(i > 0 for i in range(8))", 'did you mean "all"'),
    ],
)
def test_what_is_not_in_the_language_is_refused(expr: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        parse_invariant(expr, SCENARIO)
