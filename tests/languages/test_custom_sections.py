"""Custom sections do not run, and count as code: an error about code that is too long says how to leave them out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storagemod import Contract, Limits, World, languages
from storagemod.errors import ValidationError
from storagemod.languages import compile_source
from storagemod.wasm import strip_hint, to_wasm
from storagemod.wasm.sections import CUSTOM, GLOBAL, PREAMBLE_BYTES, read_sections, sized, without_exports
from tests.languages.compilers import contract, source

COUNTER = to_wasm('(module (memory (export "memory") 1) (func (export "main")))', name="counter", limits=Limits())


def custom(name: str, content: bytes) -> bytes:
    return bytes([CUSTOM]) + sized(sized(name.encode()) + content)


def counted(code: bytes) -> int:
    """How many bytes the hint says."""
    hint = strip_hint(code)
    assert hint is not None
    return int(re.match(r"([\d,]+) of these bytes are custom sections", hint)[1].replace(",", ""))  # type: ignore[index]


def test_error_of_code_that_is_too_long_counts_its_custom_sections() -> None:
    sections = custom(".debug_info", bytes(70_000)) + custom("producers", b"rustc")
    code = COUNTER[:PREAMBLE_BYTES] + sections + COUNTER[PREAMBLE_BYTES:] + custom("name", b"")
    length = len(code) - len(COUNTER)
    limits = Limits(code_bytes_max=70_000)

    for too_long in (
        lambda: Contract.load(code, limits=limits),
        lambda: World(limits=limits).deploy(code),
        lambda: World(limits=limits).set_account(7, code=code),
    ):
        with pytest.raises(
            ValidationError, match=rf"code_bytes_max\) \({length:,} of these bytes are custom sections"
        ) as caught:
            too_long()
        assert "-C strip=symbols" in str(caught.value)
        assert "wasm-opt --strip-debug --strip-producers" in str(caught.value)


def test_code_that_is_too_long_without_custom_sections_has_no_such_hint() -> None:
    with pytest.raises(ValidationError, match=r"\(code_bytes_max\)$"):
        Contract.load(COUNTER, limits=Limits(code_bytes_max=10))


def test_symbols_and_debug_information_of_rust_are_counted_and_stripping_them_helps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stripped, path = contract("rust", "bank_methods"), source("rust", "bank_methods")
    limits = Limits(code_bytes_max=len(stripped))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = tuple("strip=none" if each == "strip=symbols" else each for each in languages._RUST)
    monkeypatch.setattr(languages, "_RUST", (*kept, "-g"))

    code = compile_source(path).code

    sections = [(number, end - header) for number, header, _, end in read_sections(code)]
    length = sum(size for number, size in sections if number == CUSTOM)
    assert length > len(code) / 2
    assert counted(code) == length
    with pytest.raises(ValidationError, match=f"{length:,} of these bytes are custom sections"):
        Contract.load(code, limits=limits)
    assert Contract.load(stripped, limits=limits).code == stripped
    assert strip_hint(stripped) is None


@given(st.binary(max_size=60))
@example(b"\x80" * 60)
@example(b"\0")
@example(b"\0\xff\xff\xff\xff\x0f")
def test_any_bytes_behind_the_sections_end_the_count(tail: bytes) -> None:
    section = custom("name", b"12345")
    assert len(section) <= counted(COUNTER + section + tail) <= len(section + tail)
    assert strip_hint(tail) is None or counted(tail) <= len(tail)


def test_the_count_is_bounded() -> None:
    assert counted(COUNTER[:PREAMBLE_BYTES] + custom("", b"") * 100_000) == 3 * 1_000


def test_exports_are_taken_out_by_name_and_kind_and_nothing_else_changes() -> None:
    text = """(module (memory (export "memory") 1) (global (export "__heap_base") i32 (i32.const 7))
      (func (export "__data_end") (result i32) (global.get 0)) (global (export "other") i32 (i32.const 1)))"""
    code = to_wasm(text, name="exports", limits=Limits())

    less = without_exports(code, ["__heap_base", "__data_end"], GLOBAL)

    assert set(Contract.load(less).module.exports) == {"memory", "__data_end", "other"}
    world = World()
    assert world.transact(world.deploy(less), "__data_end").value == 7
    assert without_exports(less, ["__heap_base"], GLOBAL) == less
    assert without_exports(COUNTER[:PREAMBLE_BYTES], ["memory"], GLOBAL) == COUNTER[:PREAMBLE_BYTES]
