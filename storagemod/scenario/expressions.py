"""Language of invariants: a subset of Python's expressions, parsed by Python's parser and evaluated here.

No other part of Python is reachable. What is in Python means what it means there, so Python's own ``eval`` is the
oracle of the tests. Numbers are integers without bounds. With ``bank``, a contract or an account of the scenario::

    bank.memory[0x40]                an i64 of region `memory`, little-endian; memory.i32[8], u32, u64, u8 likewise
    bank.memory[0x40:0x80]           all integers in these bytes, without gaps
    bank.memory[0x40:0x80:16]        the integers that start every 16 bytes
    range(256, 2304, 8)              as in Python
    sum(...), min(...), max(...)     of numbers, or of one of the three above
    all(bank.memory[i] >= 0 for i in range(256, 2304, 8))
    any(...), count(...), sum(...), min(..., default=0), max(...)    likewise with `for` and `if`, several if need be
    implies(a, b)                    `b`, where `a` holds; `b` is not evaluated where it does not
    x if a else y                    as in Python
    balance(bank)                    the balance of the account
    call(bank, "total", 7)           the result of a method; the call is never committed
    call(bank, "0x70a08231", address(alice))         what `main` answers to call data: bytes, then words of 32 bytes
    bank.slots[address(alice)]       of keyed storage the value by a key, a number of 256 bits, as one without a sign
    address(alice), keccak(key, 3)   an address as a number; the hash of words of 32 bytes, as Solidity has its mappings
    before(balance(bank))            its value before the transaction
    account("my-bank").memory[0]     for names that are not Python identifiers
    + - * // % **  == != < <= > >=  and or not  abs

Storage that a region does not have yet, and may grow to, is zero, as it would be if it had grown.

A part that has no value in any state is a mistake in the file. If numbers alone show it, the expression is refused when
it is parsed: `1 // 0`, `2 ** -1`, `bank.memory[-8]`. That holds even where the part would not be evaluated. Offsets
beyond what a region may hold, and numbers of `for` over fixed ranges, are checked when the part is evaluated. A part
that has no value in one state, such as `1 // bank.memory[0]`, is something about that state: the expression has no
value there.
"""

from __future__ import annotations

import ast
import operator
import struct
import sys
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

from attrs import define, field, frozen
from Crypto.Hash import keccak

from storagemod.errors import StateError, StorageModError, ValidationError, shown
from storagemod.events import CallStarted
from storagemod.pages import PAGE_BYTES
from storagemod.scenario.boundaries import Boundary
from storagemod.scenario.contents import Bytes, contents, entries, gone, most_bytes
from storagemod.scenario.structure import did_you_mean
from storagemod.types import Address
from storagemod.vm import SLOTS_REGION
from storagemod.world import Receipt, World

TEXT_LENGTH_MAX = 10_000
_GAS = 10_000_000
GAS_MAX = 10 * _GAS
"""Gas of all calls of one evaluation together: about a second of wasm."""
READ_BYTES_MAX = 64 << 20
"""Storage that one evaluation reads: a second or two, if it is numbers of one byte."""
_INTEGERS = {"u8": ("B", 1), "i32": ("i", 4), "u32": ("I", 4), "i64": ("q", 8), "u64": ("Q", 8)}
DIGITS_MAX = 1_000
"""Longer numbers are a mistake, and slow."""
_BITS_MAX = 4 * DIGITS_MAX
_HASH_STEPS = 50
"""What a hash counts, and a look into keyed storage, which hashes as well."""
_KEPT_STEPS = 20
"""What a value counts that is kept from before the transaction, for it takes memory."""
STEPS_MAX = 5_000_000
"""Parts of expressions that `for` evaluates again, in one evaluation: a second or two."""

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_AGGREGATES: dict[str, Callable[[Iterable[Any]], Any]] = {"sum": sum, "min": min, "max": max}
_FUNCTIONS = (
    *("abs", "account", "address", "all", "any", "balance", "before", "call", "count", "implies", "keccak"),
    *("max", "min", "range", "sum"),
)


class UnansweredError(StorageModError):
    """A part of an invariant has no value in this state: a call in it failed, or it divides by zero."""


class DestroyedError(UnansweredError):
    """A part of an invariant has no value because a contract of the file was destroyed."""


@define
class _Region:
    """A region of one contract during an evaluation, with the pages that were read.

    Attributes:
        limit: Where reading ends, in bytes: today's length, and what it may grow to once something beyond was read.
    """

    view: Bytes
    limit: int
    pages: dict[int, bytes] = field(factory=dict)


@define
class Reading:
    """One evaluation in a world, with the values that were read on the way.

    Attributes:
        before: The values of the parts in ``before(...)``.
        moment: The call boundary that it is made at, on top of the world; ``None`` for the world itself.
        variables: The values of the variables of `for`, by how deep each is nested.
        quiet: How many `for` are being evaluated: values that are read there are too many to be told.
        ran: If given, the accounts whose code or storage its calls ran are added. The world has to keep traces then.
    """

    world: World
    before: Sequence[Any]
    moment: Boundary | None = None
    leaves: list[tuple[str, Any]] = field(factory=list)
    gas_used: int = 0
    bytes_read: int = 0
    steps: int = 0
    quiet: int = 0
    ran: set[Address] | None = None
    variables: dict[int, int] = field(factory=dict)
    regions: dict[tuple[Address, str], _Region] = field(factory=dict)
    slots: dict[Address, Callable[[bytes], bytes] | None] = field(factory=dict)

    def note(self, text: str, value: Any) -> None:
        """Keep a value for the message, unless it is one of many."""
        if not self.quiet:
            self.leaves.append((text, value))

    def note_calls(self, receipt: Receipt) -> None:
        """Add the accounts that a call of it ran, if they are asked for; all, where its trace is not complete."""
        if self.ran is not None:
            assert receipt.trace is not None  # noqa: S101 - the world keeps traces then
            for raw in receipt.trace.raw_events:
                if raw[0] is CallStarted:
                    self.ran.update(raw[5:7])
            if receipt.trace.dropped:
                self.ran.update(self.world.accounts())

    def work(self, steps: int) -> None:
        """Count steps.

        Raises:
            ValidationError: There are too many.
        """
        self.steps += steps
        if self.steps > STEPS_MAX:
            raise ValidationError(
                f"it takes more than {STEPS_MAX:,} steps", hint="use shorter ranges, or sum(bank.memory[256:2304])"
            )

    def count_bytes(self, count: int) -> None:
        """Count bytes of storage that are read.

        Raises:
            ValidationError: There are too many.
        """
        self.bytes_read += count
        if self.bytes_read > READ_BYTES_MAX:
            raise ValidationError(
                f"it reads more than {READ_BYTES_MAX:,} bytes of storage",
                hint="take a range that ends where its data do",
            )


Node: TypeAlias = Callable[[Reading], Any]
_Leaf: TypeAlias = tuple[str, Any]
"""A part and its value."""
_Through: TypeAlias = Callable[[Reading, Callable[[Iterator[Any]], Any]], Any]


_IN_BYTES = "offsets and steps are in bytes"
_KINDS = {"number": "a number", "truth": "something true or false", "numbers": "a range of numbers"}


@frozen(eq=False)
class Expression:
    """Parsed expression.

    Attributes:
        test: Evaluates the expression; raises :class:`UnansweredError` if a part has no value.
        before: Its parts in ``before(...)``, which are evaluated before the transaction.
        callees: The accounts whose methods it calls.
        accounts: The accounts that it names.
        balances: The accounts whose balances it reads itself.
        storages: The accounts whose storage it reads itself.
    """

    test: Node
    before: tuple[Node, ...]
    callees: frozenset[Address]
    accounts: frozenset[Address]
    balances: frozenset[Address]
    storages: frozenset[Address]


def read_expression(text: str, addresses: Mapping[str, Address], contracts: Collection[str] = ()) -> Expression:
    """Parse an expression that is true or false.

    Args:
        text: The expression.
        addresses: The accounts that it may name.
        contracts: Those that are contracts. Where one of them was destroyed, what is read of it has no value.

    Raises:
        ValidationError: The expression is not in the language, or a part of it has no value in any state.
    """
    reader = _Reader(addresses, {addresses[name]: name for name in contracts})
    test = reader.read(text)
    return Expression(
        test,
        tuple(reader.before),
        frozenset(reader.callees),
        frozenset(reader.named),
        frozenset(reader.balances),
        frozenset(reader.storages),
    )


@frozen
class _Loop:
    """One `for` that a part of the expression is within.

    Attributes:
        numbers: The numbers that it goes through.
        is_fixed: Whether these are the same in all states.
    """

    name: str
    numbers: Node
    is_fixed: bool


@define
class _Reader:
    """Compiles an expression to functions. Each has a kind: a number, a truth value, or a range of numbers.

    Attributes:
        reads: How many parts were compiled so far whose value depends on the state.
        loops: Each `for` that the part being compiled is within, the outermost first.
        used: The variables that were used, by their place in ``loops``.
        constants: The values of the parts that have one value whatever the state and the variables.
        evaluation: The evaluation of all these, so that they are bounded together. They read nothing of a world.
    """

    addresses: Mapping[str, Address]
    contracts: Mapping[Address, str]
    before: list[Node] = field(factory=list)
    callees: set[Address] = field(factory=set)
    balances: set[Address] = field(factory=set)
    named: set[Address] = field(factory=set)
    in_before: bool = False
    reads: int = 0
    loops: list[_Loop] = field(factory=list)
    used: set[int] = field(factory=set)
    storages: set[Address] = field(factory=set)
    constants: dict[Node, Any] = field(factory=dict)
    evaluation: Reading = field(factory=lambda: Reading(cast("World", None), ()))

    def read(self, text: str) -> Node:
        if len(text) > TEXT_LENGTH_MAX:
            raise ValidationError(f"it is longer than {TEXT_LENGTH_MAX:,} characters")
        try:
            tree = ast.parse(text.strip().replace("\n", " "), mode="eval").body
            return self.wanted(tree, "truth")
        except SyntaxError as error:
            at = f" at character {error.offset}" if error.offset else ""
            raise ValidationError(f"{error.msg}{at}") from error
        except (RecursionError, MemoryError) as error:
            raise ValidationError("it is nested too deep") from error
        except ValueError as error:
            if isinstance(error, ValidationError):
                raise
            raise ValidationError(str(error)) from error

    def wanted(self, tree: ast.expr, kind: str) -> Node:
        node, found = self.node(tree)
        if found != kind:
            raise ValidationError(f"`{ast.unparse(tree)}` is {_KINDS[found]}, and {_KINDS[kind]} is wanted there")
        return node

    def fixed(self, tree: ast.expr) -> tuple[Node, bool]:
        """Compile a number, and return whether it is the same in all states."""
        reads = self.reads
        node = self.wanted(tree, "number")
        return node, reads == self.reads

    def node(self, tree: ast.expr) -> tuple[Node, str]:
        """Compile a part; a number that depends on nothing is evaluated at once.

        Raises:
            ValidationError: The part is not in the language, or has no value in any state.
        """
        reads, used, self.used = self.reads, self.used, set()
        node, kind = self.compiled(tree)
        is_constant = kind == "number" and reads == self.reads and all(each >= len(self.loops) for each in self.used)
        self.used |= used
        return (self.constant(node) if is_constant else node), kind

    def constant(self, node: Node) -> Node:
        """Evaluate a part that depends on nothing; return a part that has this value."""
        try:
            value = node(self.evaluation)
        except UnansweredError as error:
            raise ValidationError(error.message, hint=error.hint) from error
        constant: Node = lambda _: value  # noqa: E731 - a name for its type
        self.constants[constant] = value
        return constant

    def compiled(self, tree: ast.expr) -> tuple[Node, str]:  # noqa: PLR0911 - one line a kind
        match tree:
            case ast.Constant(value=bool() as value):
                return lambda _: value, "truth"
            case ast.Constant(value=int() as value):
                return lambda _: value, "number"
            case ast.BoolOp():
                parts = [self.wanted(each, "truth") for each in tree.values]
                if isinstance(tree.op, ast.And):
                    return lambda reading: all(part(reading) for part in parts), "truth"
                return lambda reading: any(part(reading) for part in parts), "truth"
            case ast.UnaryOp(op=ast.Not()):
                denied = self.wanted(tree.operand, "truth")
                return lambda reading: not denied(reading), "truth"
            case ast.UnaryOp(op=ast.USub()):
                number = self.wanted(tree.operand, "number")
                return lambda reading: -number(reading), "number"
            case ast.BinOp():
                return self.arithmetic(tree), "number"
            case ast.Compare():
                return self.comparison(tree), "truth"
            case ast.Subscript():
                return self.storage(tree)
            case ast.Call():
                return self.function(tree)
            case ast.IfExp():
                return self.choice(tree)
            case ast.Name(id=name):
                return self.variable(name), "number"
        raise ValidationError(f"`{_short(tree)}` is not a part of this language", hint="see the README, Explore")

    def variable(self, name: str) -> Node:
        place = next((place for place, loop in enumerate(self.loops) if loop.name == name), None)
        if place is not None:
            self.used.add(place)
            self.reads += not self.loops[place].is_fixed
            return lambda reading: reading.variables[place]
        if name in self.addresses:
            hint = f'as in {name}.memory[0x40], balance({name}) or call({name}, "method")'
            raise ValidationError(f"`{name}` is an account, and not a number by itself", hint=hint)
        raise self.unknown(name)

    def choice(self, tree: ast.IfExp) -> tuple[Node, str]:
        condition = self.wanted(tree.test, "truth")
        (then, kind), (otherwise, other) = self.node(tree.body), self.node(tree.orelse)
        if kind != other:
            raise ValidationError(f"`{_short(tree)}` is {_KINDS[kind]} or {_KINDS[other]}: both must be of one kind")
        return lambda reading: (then if condition(reading) else otherwise)(reading), kind

    def arithmetic(self, tree: ast.BinOp) -> Node:
        apply = _power if isinstance(tree.op, ast.Pow) else _OPERATORS.get(type(tree.op))
        if apply is None:
            raise ValidationError(f"there is no such operator in `{_short(tree)}`", hint="there are + - * // % **")
        reads = self.reads
        left, right = self.wanted(tree.left, "number"), self.wanted(tree.right, "number")
        text, is_fixed = _short(tree), reads == self.reads

        def applied(first: Any, second: Any, *, is_fixed: bool) -> Any:
            try:
                return apply(first, second)
            except (ArithmeticError, ValueError) as error:
                raise _mistake(f"`{text}` has no value: {error}", is_fixed=is_fixed) from error

        def evaluate(reading: Reading) -> Any:
            return _bounded(text, applied(left(reading), right(reading), is_fixed=is_fixed), is_fixed=is_fixed)

        if right in self.constants:  # a divisor or an exponent that suits no number is wrong in all states
            applied(1, self.constants[right], is_fixed=True)
        return evaluate

    def comparison(self, tree: ast.Compare) -> Node:
        operands, kinds = zip(*(self.node(each) for each in (tree.left, *tree.comparators)), strict=True)
        if len(set(kinds)) > 1 or "numbers" in kinds:
            raise ValidationError(f"`{_short(tree)}` compares {' with '.join(_KINDS[kind] for kind in kinds)}")
        tests = [_COMPARISONS.get(type(each)) for each in tree.ops]
        if None in tests:
            raise ValidationError(f"there is no such comparison in `{_short(tree)}`", hint="there are == != < <= > >=")
        if "truth" in kinds and not all(isinstance(each, ast.Eq | ast.NotEq) for each in tree.ops):
            raise ValidationError(
                f"`{_short(tree)}` orders what is true or false", hint="implies(a, b) says that b holds where a does"
            )

        first, rest = operands[0], list(zip(tests, operands[1:], strict=True))

        def evaluate(reading: Reading) -> bool:
            left = first(reading)
            for test, operand in rest:  # those behind the first that is false are not evaluated
                right = operand(reading)
                if not test(left, right):  # type: ignore[misc]
                    return False
                left = right
            return True

        return evaluate

    def storage(self, tree: ast.Subscript) -> tuple[Node, str]:
        place, kind = tree.value, "i64"
        match place:
            case ast.Attribute(value=ast.Attribute() as inner, attr=name):
                if name not in _INTEGERS:
                    raise ValidationError(f"there are no integers {name!r}", hint=f"there are {', '.join(_INTEGERS)}")
                place, kind = inner, name
        if not isinstance(place, ast.Attribute):
            raise ValidationError(f"`{_short(tree)}` names no region of storage", hint="as in bank.memory[0x40]")
        address, region = self.account(place.value), place.attr
        if isinstance(tree.slice, ast.Slice):
            return self.range_of_storage(tree, address, region, *_INTEGERS[kind]), "numbers"
        (offset, is_fixed), text = self.fixed(tree.slice), _short(tree)
        self.reads += 1
        self.storages.add(address)
        if region == SLOTS_REGION and place is tree.value:
            return self.entry(address, region, offset, text, is_fixed=is_fixed), "number"
        if self.constants.get(offset, 0) < 0:
            raise _negative(text, self.constants[offset], is_fixed=True)
        return self.integer(address, region, kind, offset, text, is_fixed=is_fixed), "number"

    def entry(self, address: Address, region: str, number: Node, text: str, *, is_fixed: bool) -> Node:
        """Compile a value of keyed storage; where a contract has a memory of that name, an integer of that."""
        self.check_words(text, [number])
        otherwise = self.integer(address, region, "i64", number, text, is_fixed=is_fixed)

        def evaluate(reading: Reading) -> int:
            self.require(reading.world, address)
            if address not in reading.slots:
                reading.slots[address] = entries(reading.world, address, reading.moment)
            load = reading.slots[address]
            if load is None:
                return int(otherwise(reading))
            reading.work(_HASH_STEPS)
            value = int.from_bytes(load(_word(text, number(reading), is_fixed=is_fixed)), "big")
            reading.note(text, value)
            return value

        return evaluate

    def integer(self, address: Address, region: str, kind: str, offset: Node, text: str, *, is_fixed: bool) -> Node:
        """Compile an integer of linear storage."""
        code, width = _INTEGERS[kind]
        key, unpack = (address, region), struct.Struct(f"<{code}").unpack_from

        def evaluate(reading: Reading) -> int:
            found = reading.regions.get(key) or self.open(reading, key)
            start = offset(reading)
            if type(start) is not int or not 0 <= start <= found.limit - width:
                self.check_offsets(reading, key, text, start, width, is_fixed=is_fixed)
            number, inside = divmod(start, PAGE_BYTES)
            page = found.pages.get(number) or _page(reading, found, number)
            if inside + width > PAGE_BYTES:
                page, inside = page[inside:] + (found.pages.get(number + 1) or _page(reading, found, number + 1)), 0
            (value,) = unpack(page, inside)
            if not reading.quiet:
                reading.leaves.append((text, value))
            return int(value)

        return evaluate

    def range_of_storage(self, tree: ast.Subscript, address: Address, region: str, code: str, width: int) -> Node:
        assert isinstance(tree.slice, ast.Slice)  # noqa: S101 - storage() checked it
        reads = self.reads
        low, high, step = (
            None if each is None else self.wanted(each, "number")
            for each in (tree.slice.lower, tree.slice.upper, tree.slice.step)
        )
        is_fixed = reads == self.reads
        self.reads += 1
        self.storages.add(address)
        key, text = (address, region), _short(tree)

        def check(start: int, stop: int, stride: int, *, is_fixed: bool) -> None:
            if start < 0:
                raise _negative(text, start, is_fixed=is_fixed)
            if stop < start:
                raise _mistake(f"`{text}`: a range must not end before it starts", is_fixed=is_fixed, hint=_IN_BYTES)
            if stride < width:
                message = f"`{text}`: a step must be {width} bytes at least, got {shown(stride)}"
                raise _mistake(message, is_fixed=is_fixed, hint=_IN_BYTES)

        first, last, stride = (None if each is None else self.constants.get(each) for each in (low, high, step))
        if last is None or (low is not None and first is None):  # what depends on something is not known to be wrong
            last = first or 0
        check(first or 0, last, width if stride is None else stride, is_fixed=True)

        def evaluate(reading: Reading) -> array[int]:
            found = reading.regions.get(key) or self.open(reading, key)
            start = 0 if low is None else low(reading)
            stop = len(found.view) if high is None else high(reading)
            stride = width if step is None else step(reading)
            for number in (start, stop, stride):
                _offset(text, number)
            if high is None:
                stop = max(start, stop)
            check(start, stop, stride, is_fixed=is_fixed)
            if stop > found.limit:
                self.check_offsets(reading, key, text, start, stop - start, is_fixed=is_fixed)
            reading.count_bytes(stop - start)
            data = bytes(found.view[start:stop]).ljust(stop - start, b"\0")
            if stride % width:  # integers that begin anywhere
                whole = range(0, len(data) - width + 1, stride)
                data, stride = b"".join(data[place : place + width] for place in whole), width
            numbers = array(code, data[: len(data) // width * width])  # a sixth of what a tuple of them takes
            if sys.byteorder == "big":
                numbers.byteswap()
            return numbers[:: stride // width]

        return evaluate

    def open(self, reading: Reading, key: tuple[Address, str]) -> _Region:
        """Open a region for this evaluation.

        Raises:
            StateError: There is none.
            DestroyedError: Its contract was destroyed.
        """
        address, region = key
        self.require(reading.world, address)
        regions = contents(reading.world, address, reading.moment)
        if region not in regions:
            known = ", ".join(sorted(regions)) or "none"
            raise StateError(f"{reading.world.label(address)} has no region {region!r}", hint=f"it has: {known}")
        found = reading.regions[key] = _Region(regions[region], len(regions[region]))
        return found

    def check_offsets(
        self, reading: Reading, key: tuple[Address, str], text: str, start: Any, length: int, *, is_fixed: bool
    ) -> None:
        """Check offsets that are negative, or beyond today's length of a region.

        Raises:
            ValidationError: They are wrong in all states: a mistake in the file.
            UnansweredError: They are wrong in this state.
        """
        if _offset(text, start) < 0:
            raise _negative(text, start, is_fixed=is_fixed)
        (address, region), found = key, reading.regions[key]
        found.limit = max(found.limit, most_bytes(reading.world, address, region))
        if start + length > found.limit:
            place = f"{reading.world.label(address)} {region}[{_hex(start)}..{_hex(start + length)}]"
            problem = f"the region can have {_hex(found.limit)} bytes at most"
            raise _mistake(f"{place}: {problem}", is_fixed=is_fixed, hint=_IN_BYTES)

    def function(self, tree: ast.Call) -> tuple[Node, str]:
        name = _name(tree)
        takes_default = name in {"min", "max"} and [each.arg for each in tree.keywords] == ["default"]
        if name not in _FUNCTIONS or (tree.keywords and not takes_default):
            hint = f"there are {', '.join(_FUNCTIONS)}" + did_you_mean(name, _FUNCTIONS)
            raise ValidationError(f"there is no such function in `{_short(tree)}`", hint=hint)
        if any(isinstance(each, ast.Starred) for each in tree.args):
            raise ValidationError(f"`{_short(tree)}`: no arguments with a star")
        compile_call, kind = {
            "abs": (self.absolute, "number"),
            "account": (self.account_alone, "number"),
            "address": (self.address, "number"),
            "all": (self.quantifier, "truth"),
            "any": (self.quantifier, "truth"),
            "balance": (self.balance, "number"),
            "before": (self.earlier, "number"),
            "call": (self.contract_call, "number"),
            "count": (self.quantifier, "number"),
            "implies": (self.implication, "truth"),
            "keccak": (self.hash, "number"),
            "max": (self.aggregate, "number"),
            "min": (self.aggregate, "number"),
            "range": (self.range, "numbers"),
            "sum": (self.aggregate, "number"),
        }[name]
        return compile_call(tree), kind

    def argument(self, tree: ast.Call) -> ast.expr:
        """Return the one argument of a function."""
        if len(tree.args) != 1:
            raise ValidationError(f"`{_short(tree)}`: {_name(tree)} takes one argument")
        return tree.args[0]

    def absolute(self, tree: ast.Call) -> Node:
        number = self.wanted(self.argument(tree), "number")
        return lambda reading: abs(number(reading))

    def account_alone(self, tree: ast.Call) -> Node:
        raise ValidationError(f"`{_short(tree)}` is an account, and not a number by itself")

    def address(self, tree: ast.Call) -> Node:
        number = int.from_bytes(self.account(self.argument(tree)), "big")
        return lambda _: number

    def hash(self, tree: ast.Call) -> Node:
        if not tree.args:
            raise ValidationError(f"`{_short(tree)}`: keccak takes numbers, words of 32 bytes each")
        parts, text = [self.fixed(each) for each in tree.args], _short(tree)
        self.check_words(text, [part for part, _ in parts])

        def evaluate(reading: Reading) -> int:
            reading.work(_HASH_STEPS * len(parts))
            data = b"".join(_word(text, part(reading), is_fixed=is_fixed) for part, is_fixed in parts)
            return int.from_bytes(keccak.new(digest_bits=256, data=data).digest(), "big")

        return evaluate

    def check_words(self, text: str, numbers: Iterable[Node]) -> None:
        """Check that those of some numbers that are constants fit 256 bits.

        Raises:
            ValidationError: One does not.
        """
        for number in numbers:
            if number in self.constants:
                _word(text, self.constants[number], is_fixed=True)

    def balance(self, tree: ast.Call) -> Node:
        address, text = self.account(self.argument(tree)), _short(tree)
        self.reads += 1
        self.balances.add(address)

        def evaluate(reading: Reading) -> int:
            found = None if reading.moment is None else reading.moment.balances.get(address)
            value = reading.world.account(address).balance if found is None else found
            reading.note(text, value)
            return value

        return evaluate

    def range(self, tree: ast.Call) -> Node:
        if not 1 <= len(tree.args) <= 3:  # noqa: PLR2004 - as in Python
            raise ValidationError(f"`{_short(tree)}`: range takes one to three numbers")
        reads = self.reads
        parts, text = [self.wanted(each, "number") for each in tree.args], _short(tree)
        is_fixed = reads == self.reads

        def made(bounds: Sequence[int], *, is_fixed: bool) -> range:
            try:
                return range(*bounds)
            except ValueError as error:
                raise _mistake(f"`{text}`: {error}", is_fixed=is_fixed) from error

        made([self.constants.get(part, 1) for part in parts], is_fixed=True)  # a step of 0 is wrong in all states
        return lambda reading: made([_offset(text, part(reading)) for part in parts], is_fixed=is_fixed)

    def implication(self, tree: ast.Call) -> Node:
        if len(tree.args) != 2:  # noqa: PLR2004 - two conditions
            raise ValidationError(f"`{_short(tree)}`: implies takes two conditions", hint="as in implies(a > 0, b > 0)")
        first, second = (self.wanted(each, "truth") for each in tree.args)
        return lambda reading: not first(reading) or second(reading)

    def loop(self, tree: ast.GeneratorExp, kind: str) -> tuple[Node, _Through, Callable[[Reading], list[_Leaf]]]:
        """Compile values with `for`: return one value, a function over all of them, and the variables."""
        outer = len(self.loops)
        conditions: list[list[Node]] = []
        for each in tree.generators:
            name = each.target.id if isinstance(each.target, ast.Name) else None
            if name is None or each.is_async:
                raise ValidationError(f"`{_short(tree)}`: a `for` has one variable", hint="as in `for i in range(8)`")
            if name in self.addresses or any(loop.name == name for loop in self.loops):
                raise ValidationError(f"`{_short(tree)}`: `{name}` has a meaning already", hint="take another variable")
            reads = self.reads
            numbers = self.wanted(each.iter, "numbers")
            self.loops.append(_Loop(name, numbers, reads == self.reads))
            conditions.append([self.wanted(condition, "truth") for condition in each.ifs])
        element = self.wanted(tree.elt, kind)
        loops, self.loops = self.loops[outer:], self.loops[:outer]
        weight = sum(1 for _ in ast.walk(tree))

        def through(number: int) -> Callable[[Reading], Iterator[Any]]:
            place, numbers, tests = outer + number, loops[number].numbers, conditions[number]
            inner = None if number == len(loops) - 1 else through(number + 1)

            def values(reading: Reading) -> Iterator[Any]:
                variables = reading.variables
                for value in numbers(reading):
                    variables[place] = value
                    reading.steps += weight
                    if reading.steps > STEPS_MAX:
                        reading.work(0)
                    if all(test(reading) for test in tests) if tests else True:
                        if inner is None:
                            yield element(reading)
                        else:
                            yield from inner(reading)

            return values

        def apply(reading: Reading, function: Callable[[Iterator[Any]], Any]) -> Any:
            """Apply a function to all values; where one of them has none, say at which numbers."""
            reading.quiet += 1
            try:
                return function(through_all(reading))
            except UnansweredError:
                if reading.quiet == 1:
                    reading.leaves += variables(reading)
                raise
            finally:
                reading.quiet -= 1

        def variables(reading: Reading) -> list[_Leaf]:
            places = enumerate(loops, outer)
            return [(loop.name, reading.variables[place]) for place, loop in places if place in reading.variables]

        through_all = through(0)
        return element, apply, variables

    def quantifier(self, tree: ast.Call) -> Node:
        name, text = _name(tree), _short(tree)
        match tree.args:
            case [ast.GeneratorExp() as condition]:
                element, apply, variables = self.loop(condition, "truth")
            case _:
                hint = f"as in {name}(bank.memory[i] >= 0 for i in range(256, 2304, 8))"
                raise ValidationError(f"`{text}`: {name} takes a condition with `for`", hint=hint)

        def count(reading: Reading) -> int:
            number = int(apply(reading, sum))
            reading.note(text, number)
            return number

        def evaluate(reading: Reading) -> bool:
            value = bool(apply(reading, any if name == "any" else all))
            if not value and not reading.quiet:
                if name == "any":
                    reading.leaves.append((text, value))
                else:  # the variables are still those of the first that does not hold
                    reading.leaves += variables(reading)
                    element(reading)
            return value

        return count if name == "count" else evaluate

    def aggregate(self, tree: ast.Call) -> Node:
        name, text = _name(tree), _short(tree)
        default = self.wanted(tree.keywords[0].value, "number") if tree.keywords else None
        match tree.args:
            case [ast.GeneratorExp() as generator]:
                _, through, _ = self.loop(generator, "number")
                parts = []
            case _:
                parts = [self.node(each) for each in tree.args]
                if not parts or any(kind == "truth" for _, kind in parts):
                    raise ValidationError(
                        f"`{text}`: {name} takes numbers, or a range of storage",
                        hint="count(CONDITION for i in range(8)) counts" if parts and name == "sum" else None,
                    )
                if default is not None and [kind for _, kind in parts] != ["numbers"]:
                    raise ValidationError(f"`{text}`: a default is for one range of numbers")
        apply: Any = _AGGREGATES[name]
        if name != "sum":
            apply = partial(apply, default=None)

        def values(reading: Reading) -> list[Any]:
            """Return a value for each part: of a range, what it comes to; ``None`` where it is empty."""
            found = []
            for part, kind in parts:
                value = part(reading)
                if isinstance(value, range):
                    reading.work(_length(value))
                found.append(apply(value) if kind == "numbers" else value)
            return found

        def evaluate(reading: Reading) -> Any:
            found = [each for each in values(reading) if each is not None] if parts else None
            try:
                value = through(reading, apply) if found is None else apply(found)
            except OverflowError as error:  # an integer beside a float
                raise UnansweredError(f"`{text}` has no value: {error}") from error
            instead = None if default is None else default(reading)  # also where it is not needed, as in Python
            if value is None:
                if instead is None:
                    raise UnansweredError(f"`{text}` has no value: the range is empty")
                value = instead
            reading.note(text, _bounded(text, value))
            return value

        return evaluate

    def earlier(self, call: ast.Call) -> Node:
        tree = self.argument(call)
        if self.in_before:
            raise ValidationError("`before` within `before` means nothing")
        used, self.used = self.used, set()
        self.in_before = True
        inner, text = self.wanted(tree, "number"), f"before({_short(tree)})"
        self.in_before = False
        depth = 1 + max((place for place in self.used if place < len(self.loops)), default=-1)
        self.used |= used
        self.reads += 1
        loops = self.loops[:depth]
        if not all(loop.is_fixed for loop in loops):
            raise ValidationError(
                f"`{text}`: its variable goes through numbers that depend on the state",
                hint="give `for` a range of plain numbers, or take before(...) of the whole",
            )
        self.before.append(_for_each(loops, inner))
        position, places = len(self.before) - 1, range(depth)

        def evaluate(reading: Reading) -> Any:
            values = reading.before[position]
            if isinstance(values, StorageModError):
                raise values
            value = values[tuple([reading.variables[place] for place in places])]
            if isinstance(value, StorageModError):
                raise value
            reading.note(text, value)
            return value

        return evaluate

    def contract_call(self, tree: ast.Call) -> Node:
        match tree.args:
            case [account, ast.Constant(value=str() as method), *rest]:
                address = self.account(account)
            case _:
                raise ValidationError(f'`{_short(tree)}`: wanted call(CONTRACT, "METHOD", ARGUMENTS...)')
        parts, text = [self.fixed(each) for each in rest], _short(tree)
        data = _call_data(text, method) if method.startswith("0x") else None
        if data is not None:
            self.check_words(text, [part for part, _ in parts])
        self.callees.add(address)
        self.reads += 1

        def ask(reading: Reading) -> Receipt:
            values = [part(reading) for part, _ in parts]
            if data is not None:
                words = (_word(text, value, is_fixed=parts[at][1]) for at, value in enumerate(values))
                return reading.world.call(address, data=data + b"".join(words), gas=_GAS)
            try:
                return reading.world.call(address, method, *values, gas=_GAS)
            except ValidationError as error:
                params = reading.world.contract(address).entry_point(method).params
                if len(params) != len(values):
                    raise
                raise UnansweredError(f"`{text}` has no value: {error.message}") from error

        def evaluate(reading: Reading) -> Any:
            self.require(reading.world, address)
            receipt = ask(reading)
            reading.note_calls(receipt)
            reading.gas_used += receipt.gas_used
            if reading.gas_used > GAS_MAX:
                raise ValidationError(f"its calls use more than {GAS_MAX:,} gas", hint="make several invariants of it")
            if receipt.error is not None:
                raise UnansweredError(f"`{text}` has no value: {receipt.error}")
            if data is not None:
                if not 0 < len(receipt.output) <= 32:  # noqa: PLR2004 - a word
                    raise UnansweredError(f"`{text}` has no value: it answers {len(receipt.output):,} bytes")
                number = int.from_bytes(receipt.output, "big")
                reading.note(text, number)
                return number
            if not isinstance(receipt.value, int | float):
                raise ValidationError(f"`{text}` gives {'nothing' if receipt.value is None else 'several numbers'}")
            reading.note(text, receipt.value)
            return receipt.value

        return evaluate

    def require(self, world: World, address: Address) -> None:
        """Check that a contract of the file was not destroyed.

        Raises:
            DestroyedError: It was.
        """
        problem = gone(world, address, self.contracts.get(address))
        if problem is not None:
            raise DestroyedError(problem)

    def account(self, tree: ast.expr) -> Address:
        match tree:
            case ast.Name(id=name):
                pass
            case ast.Call(func=ast.Name(id="account"), args=[ast.Constant(value=str() as name)], keywords=[]):
                pass
            case _:
                raise ValidationError(f"`{_short(tree)}` is no account", hint='as in bank, or account("my-bank")')
        if name not in self.addresses:
            raise self.unknown(name)
        self.named.add(self.addresses[name])
        return self.addresses[name]

    def unknown(self, name: str) -> ValidationError:
        known = list(self.addresses)
        hint = did_you_mean(name, known) or f" (there is {', '.join(known) or 'none'})"
        return ValidationError(f'no account or contract is named "{name}"{hint}')


def _offset(text: str, value: Any) -> int:
    """Check that a number can be an offset.

    Raises:
        ValidationError: It is a float.
    """
    if not isinstance(value, int):
        raise ValidationError(
            f"`{text}`: an offset is an integer, got {shown(value)}", hint="does a method return a float?"
        )
    return value


def _negative(text: str, value: int, *, is_fixed: bool) -> StorageModError:
    """Return the error of an offset below 0."""
    return _mistake(f"`{text}`: an offset must be 0 or more, got {shown(value)}", is_fixed=is_fixed, hint=_IN_BYTES)


def _call_data(text: str, given: str) -> bytes:
    try:
        return bytes.fromhex(given[2:])
    except ValueError as error:
        raise ValidationError(f"`{text}`: call data are hexadecimal, got {shown(given)}") from error


def _word(text: str, value: Any, *, is_fixed: bool) -> bytes:
    """Return a number as 32 bytes, most significant first.

    Raises:
        StorageModError: It is no integer of 256 bits without a sign.
    """
    if not isinstance(value, int) or not 0 <= value < 1 << 256:
        told = shown(value) if not isinstance(value, int) else _hex(value)
        raise _mistake(f"`{text}`: expected an integer from 0 to 2**256 - 1, got {told}", is_fixed=is_fixed)
    return value.to_bytes(32, "big")


def _mistake(message: str, *, is_fixed: bool, hint: str | None = None) -> StorageModError:
    """Return the error of a value that is wrong: a mistake in the file if it is so in all states."""
    return ValidationError(message, hint=hint) if is_fixed else UnansweredError(message)


def _page(reading: Reading, region: _Region, number: int) -> bytes:
    """Read a page of a region; zeros beyond its length."""
    reading.count_bytes(PAGE_BYTES)
    start = number * PAGE_BYTES
    page = region.pages[number] = bytes(region.view[start : start + PAGE_BYTES]).ljust(PAGE_BYTES, b"\0")
    return page


def _for_each(loops: Sequence[_Loop], inner: Node) -> Node:
    """Evaluate a part for all numbers that some `for` go through; return its values by these numbers."""

    def evaluate(reading: Reading) -> dict[tuple[int, ...], Any]:
        found: dict[tuple[int, ...], Any] = {}

        def enter(place: int, numbers: tuple[int, ...]) -> None:
            if place == len(loops):
                try:
                    found[numbers] = inner(reading)
                except (UnansweredError, ValidationError, StateError) as error:  # if it is needed, it is raised then
                    found[numbers] = error
                return
            for number in loops[place].numbers(reading):
                reading.work(_KEPT_STEPS)
                reading.variables[place] = number
                enter(place + 1, (*numbers, number))

        enter(0, ())
        return found

    return evaluate


def _power(base: Any, exponent: Any) -> Any:
    """Raise a number to a power that is an integer from 0 on.

    Raises:
        ValueError: It is none, or the result is too long.
    """
    if not isinstance(exponent, int) or exponent < 0:
        raise ValueError(f"an exponent is an integer from 0 on, got {shown(exponent)}")
    if isinstance(base, int) and exponent * (abs(base).bit_length() - 1) > _BITS_MAX:
        raise ValueError(f"it is longer than {DIGITS_MAX:,} digits")
    return base**exponent


def _bounded(text: str, value: Any, *, is_fixed: bool = False) -> Any:
    """Return a number that is not too long.

    Raises:
        StorageModError: It is.
    """
    if isinstance(value, int) and value.bit_length() > _BITS_MAX:
        raise _mistake(f"`{text}` has no value: it is longer than {DIGITS_MAX:,} digits", is_fixed=is_fixed)
    return value


def _length(numbers: range) -> int:
    """Return the length of a range, which can be too long for `len`."""
    return max(0, -((numbers.start - numbers.stop) // numbers.step))


def _hex(number: int) -> str:
    return f"{number:#x}" if number.bit_length() <= _BITS_MAX else "a very long number"


def _name(tree: ast.Call) -> str:
    """Return the name of a function, or nothing if what is called has none."""
    return tree.func.id if isinstance(tree.func, ast.Name) else ""


def _short(tree: ast.expr) -> str:
    match tree:
        case ast.Call(args=[ast.GeneratorExp() as generator], keywords=[]):  # which has parentheses of its own
            return f"{_name(tree)}{ast.unparse(generator)}"
    return ast.unparse(tree)
