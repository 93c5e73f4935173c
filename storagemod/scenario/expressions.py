"""Language of invariants: a subset of Python's expressions, parsed by Python's parser and evaluated here.

No other part of Python is reachable. Numbers are integers without bounds. With ``bank``, a contract or an account of
the scenario::

    bank.memory[0x40]                an i64 of region `memory`, little-endian; memory.i32[8], u32, u64, u8 likewise
    bank.memory[0x40:0x80]           all integers in these bytes, without gaps; for sum, min and max
    balance(bank)                    the balance of the account
    call(bank, "total", 7)           the result of a method; the call is never committed
    before(balance(bank))            its value before the transaction
    account("my-bank").memory[0]     for names that are not Python identifiers
    + - * // %  == != < <= > >=  and or not  sum min max abs
"""

from __future__ import annotations

import ast
import itertools
import operator
import struct
import sys
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import define, field, frozen

from storagemod.errors import StateError, StorageModError, ValidationError, shown
from storagemod.scenario.contents import contents, gone
from storagemod.scenario.structure import did_you_mean
from storagemod.types import Address
from storagemod.world import World

TEXT_LENGTH_MAX = 10_000
_GAS = 10_000_000
GAS_MAX = 10 * _GAS
"""Gas of all calls of one evaluation together: about a second of wasm."""
READ_BYTES_MAX = 64 << 20
"""Storage that one evaluation reads: a second or two, if it is numbers of one byte."""
_INTEGERS = {"u8": ("B", 1), "i32": ("i", 4), "u32": ("I", 4), "i64": ("q", 8), "u64": ("Q", 8)}
DIGITS_MAX = 1_000
"""Longer numbers are a mistake, and slow."""

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
_AGGREGATES: dict[str, Callable[[Sequence[Any]], Any]] = {"sum": sum, "min": min, "max": max}
_FUNCTIONS = ("account", "abs", "balance", "before", "call", "max", "min", "sum")


class UnansweredError(StorageModError):
    """A part of an invariant has no value: a call in it failed, it divides by zero, or a contract was destroyed."""


@define
class Reading:
    """One evaluation in a world, with the values that were read on the way."""

    world: World
    before: Sequence[Any]
    leaves: list[tuple[str, Any]] = field(factory=list)
    gas_used: int = 0
    bytes_read: int = 0


Node: TypeAlias = Callable[[Reading], Any]


_KINDS = {"number": "a number", "truth": "something true or false", "numbers": "a range of numbers"}


@frozen(eq=False)
class Expression:
    """Parsed expression.

    Attributes:
        test: Evaluates the expression; raises :class:`UnansweredError` if a part has no value.
        before: Its parts in ``before(...)``, which are evaluated before the transaction.
        callees: The accounts whose methods it calls.
    """

    test: Node
    before: tuple[Node, ...]
    callees: frozenset[Address]


def read_expression(text: str, addresses: Mapping[str, Address], contracts: Collection[str] = ()) -> Expression:
    """Parse an expression that is true or false.

    Args:
        text: The expression.
        addresses: The accounts that it may name.
        contracts: Those that are contracts. Where one of them was destroyed, what is read of it has no value.

    Raises:
        ValidationError: The expression is not in the language.
    """
    reader = _Reader(addresses, {addresses[name]: name for name in contracts})
    test = reader.read(text)
    return Expression(test, tuple(reader.before), frozenset(reader.callees))


@define
class _Reader:
    """Compiles an expression to functions. Each has a kind: a number, a truth value, or a range of numbers."""

    addresses: Mapping[str, Address]
    contracts: Mapping[Address, str]
    before: list[Node] = field(factory=list)
    callees: set[Address] = field(factory=set)
    in_before: bool = False

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

    def node(self, tree: ast.expr) -> tuple[Node, str]:  # noqa: PLR0911 - one line a kind
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
            case ast.Name(id=name):
                if name in self.addresses:
                    hint = f'as in {name}.memory[0x40], balance({name}) or call({name}, "method")'
                    raise ValidationError(f"`{name}` is an account, and not a number by itself", hint=hint)
                raise self.unknown(name)
        raise ValidationError(f"`{_short(tree)}` is not a part of this language", hint="see the README, Explore")

    def arithmetic(self, tree: ast.BinOp) -> Node:
        apply = _OPERATORS.get(type(tree.op))
        if apply is None:
            raise ValidationError(f"there is no such operator in `{_short(tree)}`", hint="there are + - * // %")
        left, right = self.wanted(tree.left, "number"), self.wanted(tree.right, "number")
        text = _short(tree)

        def evaluate(reading: Reading) -> Any:
            try:
                value = apply(left(reading), right(reading))
            except (ZeroDivisionError, OverflowError) as error:
                raise UnansweredError(f"`{text}` has no value: {error}") from error
            if isinstance(value, int) and value.bit_length() > 4 * DIGITS_MAX:
                raise UnansweredError(f"`{text}` has no value: it is longer than {DIGITS_MAX:,} digits")
            return value

        return evaluate

    def comparison(self, tree: ast.Compare) -> Node:
        operands, kinds = zip(*(self.node(each) for each in (tree.left, *tree.comparators)), strict=True)
        if len(set(kinds)) > 1 or "numbers" in kinds:
            raise ValidationError(f"`{_short(tree)}` compares {' with '.join(_KINDS[kind] for kind in kinds)}")
        tests = [_COMPARISONS.get(type(each)) for each in tree.ops]
        if None in tests:
            raise ValidationError(f"there is no such comparison in `{_short(tree)}`", hint="there are == != < <= > >=")

        def evaluate(reading: Reading) -> bool:
            values = [operand(reading) for operand in operands]
            return all(test(*pair) for test, pair in zip(tests, itertools.pairwise(values), strict=True))  # type: ignore[misc]

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
        code, width = _INTEGERS[kind]
        if isinstance(tree.slice, ast.Slice):
            return self.range(tree, address, region, code, width), "numbers"
        offset, text = self.wanted(tree.slice, "number"), _short(tree)

        def evaluate(reading: Reading) -> int:
            self.require(reading.world, address)
            start = _offset(text, offset(reading))
            (value,) = struct.unpack(f"<{code}", _bytes(reading, address, region, start, start + width))
            reading.leaves.append((text, value))
            return int(value)

        return evaluate, "number"

    def range(self, tree: ast.Subscript, address: Address, region: str, code: str, width: int) -> Node:
        assert isinstance(tree.slice, ast.Slice)  # noqa: S101 - storage() checked it
        if tree.slice.step is not None:
            raise ValidationError(f"`{_short(tree)}`: a range has no step: its integers are next to one another")
        low = None if tree.slice.lower is None else self.wanted(tree.slice.lower, "number")
        high = None if tree.slice.upper is None else self.wanted(tree.slice.upper, "number")

        text = _short(tree)

        def evaluate(reading: Reading) -> array[int]:
            self.require(reading.world, address)
            start = 0 if low is None else _offset(text, low(reading))
            stop = None if high is None else _offset(text, high(reading))
            data = _bytes(reading, address, region, start, stop)
            numbers = array(code, data[: len(data) // width * width])  # a sixth of what a tuple of them takes
            if sys.byteorder == "big":
                numbers.byteswap()
            return numbers

        return evaluate

    def function(self, tree: ast.Call) -> tuple[Node, str]:
        name = tree.func.id if isinstance(tree.func, ast.Name) else None
        if name not in _FUNCTIONS or tree.keywords:
            hint = f"there are {', '.join(_FUNCTIONS)}" + (did_you_mean(name, _FUNCTIONS) if name else "")
            raise ValidationError(f"there is no such function in `{_short(tree)}`", hint=hint)
        if any(isinstance(each, ast.Starred) for each in tree.args):
            raise ValidationError(f"`{_short(tree)}`: no arguments with a star")
        if name in _AGGREGATES:
            return self.aggregate(tree, name), "number"
        if name == "call":
            return self.contract_call(tree), "number"
        if len(tree.args) != 1:
            raise ValidationError(f"`{_short(tree)}`: {name} takes one argument")
        (argument,) = tree.args
        if name == "before":
            return self.earlier(argument), "number"
        if name == "abs":
            number = self.wanted(argument, "number")
            return lambda reading: abs(number(reading)), "number"
        if name == "account":
            raise ValidationError(f"`{_short(tree)}` is an account, and not a number by itself")
        address, text = self.account(argument), _short(tree)

        def balance(reading: Reading) -> int:
            value = reading.world.account(address).balance
            reading.leaves.append((text, value))
            return value

        return balance, "number"

    def aggregate(self, tree: ast.Call, name: str) -> Node:
        apply, text = _AGGREGATES[name], _short(tree)
        parts = [self.node(each) for each in tree.args]
        if not parts or any(kind == "truth" for _, kind in parts):
            raise ValidationError(f"`{text}`: {name} takes numbers, or a range of storage")

        def evaluate(reading: Reading) -> Any:
            values: list[Any] = []  # one for each part: of a range, what it comes to
            for part, kind in parts:
                found = part(reading)
                if kind == "numbers":
                    values += [apply(found)] if found else []
                else:
                    values.append(found)
            if not values and name != "sum":
                raise UnansweredError(f"`{text}` has no value: the range is empty")
            try:
                value = apply(values)
            except OverflowError as error:  # an integer beside a float
                raise UnansweredError(f"`{text}` has no value: {error}") from error
            reading.leaves.append((text, value))
            return value

        return evaluate

    def earlier(self, tree: ast.expr) -> Node:
        if self.in_before:
            raise ValidationError("`before` within `before` means nothing")
        self.in_before = True
        inner, text = self.wanted(tree, "number"), f"before({_short(tree)})"
        self.in_before = False
        self.before.append(inner)
        position = len(self.before) - 1

        def evaluate(reading: Reading) -> Any:
            value = reading.before[position]
            if isinstance(value, UnansweredError):
                raise value
            reading.leaves.append((text, value))
            return value

        return evaluate

    def contract_call(self, tree: ast.Call) -> Node:
        match tree.args:
            case [account, ast.Constant(value=str() as method), *rest]:
                address = self.account(account)
            case _:
                raise ValidationError(f'`{_short(tree)}`: wanted call(CONTRACT, "METHOD", ARGUMENTS...)')
        args, text = [self.wanted(each, "number") for each in rest], _short(tree)
        self.callees.add(address)

        def evaluate(reading: Reading) -> Any:
            self.require(reading.world, address)
            values = [arg(reading) for arg in args]
            try:
                receipt = reading.world.call(address, method, *values, gas=_GAS)
            except ValidationError as error:
                params = reading.world.contract(address).entry_point(method).params
                if len(params) != len(values):
                    raise
                raise UnansweredError(f"`{text}` has no value: {error.message}") from error
            reading.gas_used += receipt.gas_used
            if reading.gas_used > GAS_MAX:
                raise ValidationError(f"its calls use more than {GAS_MAX:,} gas", hint="make several invariants of it")
            if receipt.error is not None:
                raise UnansweredError(f"`{text}` has no value: {receipt.error}")
            if not isinstance(receipt.value, int | float):
                raise ValidationError(f"`{text}` gives {'nothing' if receipt.value is None else 'several numbers'}")
            reading.leaves.append((text, receipt.value))
            return receipt.value

        return evaluate

    def require(self, world: World, address: Address) -> None:
        """Check that a contract of the file was not destroyed.

        Raises:
            UnansweredError: It was.
        """
        problem = gone(world, address, self.contracts.get(address))
        if problem is not None:
            raise UnansweredError(problem)

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


def _bytes(reading: Reading, address: Address, region: str, start: int, stop: int | None) -> bytes:
    world = reading.world
    regions = contents(world, address)
    if region not in regions:
        known = ", ".join(sorted(regions)) or "none"
        raise StateError(f"{world.label(address)} has no region {region!r}", hint=f"it has: {known}")
    view = regions[region]
    end = len(view)
    stop = end if stop is None else stop
    if not 0 <= start <= stop <= end:
        raise UnansweredError(f"{world.label(address)} {region}[{start:#x}..{stop:#x}]: the region ends at {end:#x}")
    reading.bytes_read += stop - start
    if reading.bytes_read > READ_BYTES_MAX:
        raise ValidationError(
            f"it reads more than {READ_BYTES_MAX:,} bytes of storage", hint="take a range that ends where its data do"
        )
    return view[start:stop]


def _short(tree: ast.expr) -> str:
    return ast.unparse(tree)
