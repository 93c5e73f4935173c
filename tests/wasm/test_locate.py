"""Errors of wasmtime's validation, which tell an offset in the binary, have the line and column of the text."""

from __future__ import annotations

import re

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod import ValidationError
from storagemod.scenario.fixtures import fixture, fixture_names, option_names
from storagemod.vm import Contract
from storagemod.wasm.engine import shared_engine
from storagemod.wasm.locate import find_in_text

SIMPLE = [
    ("(module (func (result i32)\n  (i64.const 1)\n))", 3, 1, "type mismatch: expected i32, found i64"),
    ("(module (func (result i32)\n  i32.const 1\n  drop\n  i32.eqz))", 4, 3, "expected i32 but nothing on stack"),
    ("(module (func\n (drop (i64.add\n  (i64.const 1)\n  (i32.const 2)))))", 2, 9, "expected i64, found i32"),
    ("(module\n (global i32 (i32.const 0))\n (global i32 (i64.const 1)))", 3, 2, "expected i32, found i64"),
    ('(module (memory 1)\n (data (i32.const 0) "a")\n (data (i64.const 0) "b"))', 3, 2, "expected i32"),
    ('(module (func (export "a"))\n (func (export "a")))', 2, 8, "duplicate export name"),
    ('(module (func)\n (export "a" (func 0)) (memory (export "b") 1)\n (export "a" (func 0)))', 3, 2, "duplicate"),
    ("(module\n (elem (i32.const 0) func 0))", 2, 2, "unknown table 0"),
    ("(module\n (memory 2 1))", 2, 2, "size minimum must not be greater than maximum"),
    ("(module (func $f (param i32))\n (start $f))", 2, 2, "invalid start function type"),
    ('(func (export "f")\n  (local.set 0 (i32.const 1)))', 2, 4, "unknown local 0"),
    (
        "(module (func (param i32)\n (if (local.get 0)\n (then (nop))\n (else (drop)))))",
        4,
        9,
        "nothing on",
    ),
    ("(module (func (param i32)\n local.get 0\n if\n nop\n else\n drop\n end))", 6, 2, "nothing on stack"),
    (
        "(module (func (param i32)\n (block $out (br_table $out $out (local.get 0)))\n (drop)))",
        3,
        3,
        "nothing on stack",
    ),
    (
        "(module (func\n ref.null func\n v128.const i32x4 1 2 3 4\n f32.const nan\n i64.eqz))",
        5,
        2,
        "f32",
    ),
    ("(module (func (param i32)\n (; (drop) ;) ;; (drop)\n (drop)))", 3, 3, "nothing on stack"),
    ("(module (func (param i64)\n (drop (i32.wrap/i64 (get_local 0))) (get_local 5)))", 2, 39, "unknown local 5"),
    ("(module (func (param i32)\n (if (get_local 0) (get_local 0))))", 2, 33, "values remaining on stack"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), SIMPLE)
def test_error_has_line_and_column_and_shows_the_line(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Contract.load(text, name="it")

    first, shown, caret = str(caught.value).split("\n")
    assert first.startswith(f"it:{line}:{column}: not a valid module: ")
    assert message in first
    assert "offset" not in first
    assert shown == f"{line:>5} | {text.splitlines()[line - 1]}"
    assert caret.index("^") == len(f"{line:>5} | ") + column - 1


def test_bytes_of_a_text_have_lines_and_a_binary_has_an_offset() -> None:
    text = SIMPLE[0][0]
    with pytest.raises(ValidationError, match=r"\Ait:3:1: "):
        Contract.load(text.encode(), name="it")
    with pytest.raises(ValidationError, match=r"\Ait: not a valid module: .* \(at offset 0x[0-9a-f]+\)\Z"):
        Contract.load(bytes(wasmtime.wat2wasm(text)), name="it")


@pytest.mark.parametrize(
    "text",
    [
        '(module binary "\\00asm\\01\\00\\00\\00\\01\\05\\01")',
        '(module binary "\\00asm\\01\\00\\00\\00\\0a\\ff\\ff\\ff\\ff\\ff\\ff\\ff")',
    ],
)
def test_binary_inside_a_text_keeps_its_offset(text: str) -> None:
    with pytest.raises(ValidationError, match=r"at offset"):
        Contract.load(text, name="it")


@pytest.mark.parametrize("name", fixture_names())
def test_each_use_of_a_local_is_found_in_every_fixture(name: str) -> None:
    options = {fixture(name, option): None for option in option_names()}
    for text in options:
        uses = list(re.finditer(r"\b(local\.(?:get|set|tee)) (\$\w+)", text))
        for use in uses[:: max(1, len(uses) // 12)]:
            broken = f"{text[: use.start(2)]}9999{text[use.end(2) :]}"
            wasm = bytes(wasmtime.wat2wasm(broken))
            with pytest.raises(wasmtime.WasmtimeError) as caught:
                wasmtime.Module.validate(shared_engine(), wasm)
            offset = re.search(r"at offset 0x([0-9a-f]+)", str(caught.value))
            assert offset is not None
            assert find_in_text(broken, wasm, int(offset[1], 16)) == use.start(1)


INSTRUCTIONS = st.deferred(
    lambda: (
        st.sampled_from(["(nop)", "nop", "i32.const 1 drop", "(drop (i32.shl (i32.const 1) (i32.const 2)))"])
        | st.builds("(block {})".format, BODIES)
        | st.builds("(block (result i32) {} (i32.const 1)) drop".format, BODIES)
        | st.builds("loop (result i32) {} i32.const 1 end drop".format, BODIES)
        | st.builds("(if (i32.const 1) (then {}))".format, BODIES)
        | st.builds("(if (i32.const 1) (then {}) (else {}))".format, BODIES, BODIES)
        | st.builds("i32.const 1 if {} else {} end".format, BODIES, BODIES)
        | st.builds("(block $b (br_table $b 0 $b (i32.const 0))) {}".format, BODIES)
        | st.builds("(drop (select (result i64) (i64.const 1) (i64.const 2) (i32.const 3))) {}".format, BODIES)
    )
)
BODIES = st.lists(INSTRUCTIONS, max_size=2).map("\n".join)


@given(before=BODIES, after=BODIES, function=st.integers(0, 2))
@settings(max_examples=50)
def test_instruction_is_found_among_any_others(before: str, after: str, function: int) -> None:
    bodies = ["", "(nop)", "nop"]
    bodies[function] = f"{before}\n(local.get 9)(drop)\n{after}"
    text = "(module " + "".join(f'(func (export "{n}") {body})' for n, body in enumerate(bodies)) + ")"

    with pytest.raises(ValidationError) as caught:
        Contract.load(text, name="it")

    line = text.count("\n", 0, text.index("local.get 9")) + 1
    assert str(caught.value).startswith(f"it:{line}:")
