"""Constants and imports that exported functions mention: against what modules were made of, and against their text."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from storagemod import Limits
from storagemod.scenario.fixtures import fixture, fixture_names, option_names
from storagemod.wasm import Mentions, mentions
from storagemod.wasm.binary import read_declarations
from storagemod.wasm.sections import CODE, read_sections
from storagemod.wasm.text import to_wasm
from tests.wasm.modules import compiled, validated

HOST = ("ethereum", "host")


def mentioned(wat: str) -> dict[str, Mentions]:
    wasm = compiled(wat)
    return mentions(wasm, read_declarations(wasm))


# Modules made of data, so that what they mention is known.


@frozen
class Function:
    """A function of a random module, as a list of what it does.

    Attributes:
        compared: Constants right before a comparison or a branch, each with its width and the instruction.
        others: Constants that are dropped, each with its width.
        calls: Numbers of functions that it calls; imports come first.
        tail: Whether the last of these is a tail call.
        indirect: Whether it calls through the table, too, and whether by a tail call.
    """

    compared: tuple[tuple[int, int, str], ...] = ()
    others: tuple[tuple[int, int], ...] = ()
    calls: tuple[int, ...] = ()
    tail: bool = False
    indirect: bool | None = None

    def wat(self, number: int) -> str:
        lines = [f"i{bits}.const {value} drop" for bits, value in self.others]
        for bits, value, name in self.compared:
            lines.append(
                {
                    "eqz": f"i{bits}.const {value} i{bits}.eqz drop",
                    "if": f"i32.const {value} if end",
                    "br_if": f"block i32.const {value} br_if 0 end",
                    "br_table": f"block i32.const {value} br_table 0 0 end",
                }.get(name, f"local.get $l{bits} i{bits}.const {value} i{bits}.{name} drop")
            )
        calls = [f"call {each}" for each in self.calls]
        if self.tail and calls:
            calls[-1] = f"return_call {self.calls[-1]}"
        if self.indirect is not None:
            index = "local.get $l32"
            calls.insert(0, f"block local.get $l32 br_if 0 {index} return_call_indirect (type 0) end")
            if not self.indirect:
                calls[0] = f"{index} call_indirect (type 0)"
        return f"(func $f{number} (type 0) (local $l32 i32) (local $l64 i64) {' '.join([*lines, *calls])})"


@frozen
class Random:
    """A random module: imports are functions 0 to ``imports - 1``."""

    imports: int
    functions: tuple[Function, ...]
    exports: tuple[tuple[str, int], ...]
    start: int | None
    referred: frozenset[int] = field(factory=frozenset)

    def wat(self) -> str:
        imports = " ".join(f'(import "host" "i{at}" (func (type 0)))' for at in range(self.imports))
        bodies = "\n".join(each.wat(at) for at, each in enumerate(self.functions, self.imports))
        exports = " ".join(f'(export "{name}" (func {index}))' for name, index in self.exports)
        start = "" if self.start is None else f"(start {self.start})"
        elements = f"(elem (i32.const 0) func {' '.join(map(str, sorted(self.referred)))})"
        return f"(module (type (func)) {imports} (memory 1) (table 64 funcref) {exports} {start} {elements} {bodies})"

    def reached(self, first: int) -> set[int]:
        """Return what one function and the start function can call, by going on until nothing is added."""
        met = {first} | ({self.start} if self.start is not None else set())
        imports = range(self.imports)
        values = {index for index in imports if index in self.referred or any(index == at for _, at in self.exports)}
        while True:
            following = set(met)
            for each in met.difference(imports):
                function = self.functions[each - self.imports]
                following.update(function.calls)
                if function.indirect is not None:
                    following |= values | set(range(self.imports, self.imports + len(self.functions)))
            if following == met:
                return met
            met = following

    def mentions(self, first: int) -> tuple[set[int], set[int], frozenset[tuple[str, str]]]:
        reached = self.reached(first)
        functions = [self.functions[each - self.imports] for each in reached if each >= self.imports]
        compared = {value for each in functions for _, value, _ in each.compared}
        others = {value for each in functions for _, value in each.others}
        return compared, others, frozenset(("host", f"i{each}") for each in reached if each < self.imports)


def numbers(bits: int) -> st.SearchStrategy[int]:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    edges = [sign * 2**at + more for at in range(0, bits - 1, 6) for sign in (1, -1) for more in (-1, 0, 1)]
    return st.one_of(
        st.sampled_from([low, low + 1, high, 63, 64, -64, -65]),
        st.sampled_from([each for each in edges if low <= each <= high]),
        st.integers(low, high),
    )


COMPARISONS = ["eqz", "eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"]
constants = st.one_of(*(st.tuples(st.just(bits), numbers(bits)) for bits in (32, 64)))
compared = st.one_of(
    st.tuples(st.just(32), numbers(32), st.sampled_from(["if", "br_if", "br_table"])),
    *(st.tuples(st.just(bits), numbers(bits), st.sampled_from(COMPARISONS)) for bits in (32, 64)),
)


@st.composite
def modules(draw: st.DrawFn) -> Random:
    imports, own = draw(st.integers(0, 3)), draw(st.integers(1, 5))
    indices = st.integers(0, imports + own - 1)
    functions = st.builds(
        Function,
        st.lists(compared, max_size=3).map(tuple),
        st.lists(constants, max_size=3).map(tuple),
        st.lists(indices, max_size=2).map(tuple),
        st.booleans(),
        st.sampled_from([None, None, None, True, False]),
    )
    exports = draw(st.lists(indices, min_size=1, max_size=5))
    return Random(
        imports,
        tuple(draw(functions) for _ in range(own)),
        tuple((f"e{at}", index) for at, index in enumerate(exports)),
        draw(st.one_of(st.none(), indices)),
        frozenset(draw(st.sets(indices, max_size=2))),
    )


@given(modules())
def test_what_a_random_module_mentions_is_what_it_was_made_of(module: Random) -> None:
    found = mentioned(module.wat())

    assert list(found) == [name for name, _ in module.exports]
    for name, index in module.exports:
        compared, others, imports = module.mentions(index)
        told = found[name].constants
        assert len(told) == len(set(told))
        assert set(told[: len(compared)]) == compared  # these first
        assert set(told) == compared | others
        assert found[name].imports == imports


@given(st.lists(st.one_of(*(st.tuples(st.just(bits), numbers(bits)) for bits in (32, 64))), min_size=1, unique=True))
def test_constants_are_signed_however_long_they_are_written(several: list[tuple[int, int]]) -> None:
    body = " ".join(f"i{bits}.const {value} drop" for bits, value in several)
    wanted = tuple(dict.fromkeys(value for _, value in several))

    assert mentioned(f'(module (func (export "f") {body}))')["f"].constants == wanted


# The fixtures, by their text.

_NUMBER = re.compile(r"i(?P<bits>32|64)\.const\s+(?P<sign>[-+]?)(?P<digits>0x[0-9a-fA-F_]+|[0-9_]+)")
_CALL = re.compile(r"\((?:return_)?call\s+(\$[^\s()]+)")
_NAMED = re.compile(r"\(func\s+(\$[^\s()]+)?")
_EXPORT = re.compile(r'\(export\s+"([^"]*)"\)')
_NAME = re.compile(r"\$[^\s()]+")
_IMPORT = re.compile(r'\(import\s+"([^"]*)"\s+"([^"]*)"\s+\(func\s+(\$[^\s()]+)')


def fields_of(text: str) -> Iterator[str]:
    """Yield the lists in parentheses at the top of a module, without comments."""
    text = re.sub(r";;[^\n]*", "", text)
    depth, start = 0, 0
    plain = re.sub(r'"[^"]*"', lambda each: "_" * len(each[0]), text)
    for at, character in enumerate(plain):
        if character == "(":
            depth += 1
            if depth == 2:
                start = at
        elif character == ")":
            depth -= 1
            if depth == 1:
                yield text[start : at + 1]


def read_text(text: str) -> dict[str, tuple[set[int], set[tuple[str, str]]]]:
    """Return constants and imports by export, with all that it calls; through a table, that is every function."""
    imports: dict[str, tuple[str, str]] = {}
    bodies: dict[str, str] = {}
    exports: dict[str, str] = {}
    for number, each in enumerate(fields_of(text)):
        if found := _IMPORT.match(each):
            imports[found[3]] = (found[1], found[2])
        elif each.startswith("(func"):
            named = _NAMED.match(each)
            name = (named and named[1]) or f"$unnamed{number}"
            bodies[name] = each
            exports.update(dict.fromkeys(_EXPORT.findall(each), name))
    elements = {name for each in fields_of(text) if each.startswith("(elem") for name in _NAME.findall(each)}
    found_in: dict[str, tuple[set[int], set[tuple[str, str]]]] = {}
    for export, name in exports.items():
        met, waiting = {name}, [name]
        while waiting:
            body = bodies.get(waiting.pop(), "")
            for called in [*_CALL.findall(body), *([*bodies, *elements] if "call_indirect" in body else [])]:
                if called not in met:
                    met.add(called)
                    waiting.append(called)
        numbers = {signed_number(each) for inner in met for each in _NUMBER.finditer(bodies.get(inner, ""))}
        found_in[export] = numbers, {imports[inner] for inner in met if inner in imports}
    return found_in


def signed_number(found: re.Match[str]) -> int:
    bits, digits = int(found["bits"]), found["digits"].replace("_", "")
    value = int(digits, 16 if digits.startswith("0x") else 10) * (-1 if found["sign"] == "-" else 1)
    return value - 2**bits if value >= 2 ** (bits - 1) else value


@pytest.mark.parametrize("name", fixture_names())
def test_what_the_text_of_a_fixture_has_is_mentioned(name: str) -> None:
    options = option_names()
    sources = {fixture(name, option) for option in options}
    for source in sources:
        text = source if isinstance(source, str) else source.decode()
        wasm = to_wasm(text, name=name, limits=Limits())
        found, wanted = mentions(wasm, read_declarations(wasm)), read_text(text)

        assert found.keys() == wanted.keys()
        assert wanted
        for export, (constants, imports) in wanted.items():
            assert set(found[export].constants) == constants
            assert found[export].imports == imports


# One at a time, as one would look them up.


def test_every_name_of_a_function_has_what_it_mentions() -> None:
    found = mentioned("""(module (func (export "a") (export "b") (drop (i32.const 77))) (export "c" (func 0)))""")

    assert [found[name].constants for name in "abc"] == [(77,)] * 3


def test_start_function_is_part_of_whatever_is_called() -> None:
    found = mentioned("""(module (import "ethereum" "host" (func $host)) (start $first)
      (func $first (call $host) (drop (i64.const 99))) (func (export "a") (drop (i32.const 1))))""")

    assert found["a"] == Mentions((1, 99), frozenset({HOST}))


def test_import_that_is_called_through_a_table_is_reached() -> None:
    found = mentioned("""(module (type $t (func)) (import "ethereum" "host" (func $host)) (table 1 funcref)
      (elem (i32.const 0) $host) (func (export "a") (call_indirect (type $t) (i32.const 0)))
      (func (export "b")))""")

    assert (found["a"].imports, found["b"].imports) == (frozenset({HOST}), frozenset())


def test_function_that_calls_through_a_table_calls_others_itself_as_well() -> None:
    found = mentioned("""(module (type $t (func)) (import "ethereum" "host" (func $host)) (table 1 funcref)
      (func (export "a") (call $host) (call_indirect (type $t) (i32.const 0))))""")

    assert found["a"].imports == {HOST}


def test_import_that_is_exported_again_mentions_itself() -> None:
    found = mentioned("""(module (import "ethereum" "host" (func $host (param v128))) (export "a" (func $host)))""")

    assert found["a"] == Mentions((), frozenset({HOST}))


def test_numbers_of_globals_data_and_tables_are_no_code() -> None:
    found = mentioned("""(module (memory 1) (table 9 funcref) (global i64 (i64.const 11)) (data (i32.const 22) "x")
      (elem (i32.const 3) 0) (func (export "a") (drop (global.get 0))))""")

    assert found["a"].constants == ()


@pytest.mark.parametrize("bits", [32, 64])
def test_number_written_longer_than_it_need_be_is_the_same(bits: int) -> None:
    wasm = compiled(f'(module (func (export "a") (drop (i{bits}.const 5))))')
    length = 5 if bits == 32 else 10  # as long as the type allows
    for value in (5, -5):
        groups = [value >> 7 * at & 0x7F for at in range(length)]
        long = bytes([*(each | 0x80 for each in groups[:-1]), groups[-1]])
        body = bytes([0, 0x41 if bits == 32 else 0x42, *long, 0x1A, 0x0B])
        code = bytes([10, len(body) + 2, 1, len(body)]) + body
        padded = with_code(wasm, code)
        assert mentions(padded, read_declarations(padded))["a"].constants == (value,)


def with_code(wasm: bytes, code: bytes) -> bytes:
    """Return a module with another code section."""
    ((header, end),) = [(header, end) for number, header, _, end in read_sections(wasm) if number == CODE]
    return validated(wasm[:header] + code + wasm[end:])
