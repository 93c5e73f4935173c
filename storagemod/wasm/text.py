"""From what a user hands over (WAT text, wasm bytes, a path) to the bytes of a Wasm binary."""

from __future__ import annotations

import re
from pathlib import Path

import wasmtime

from storagemod.errors import ValidationError
from storagemod.inputs import read_file
from storagemod.limits import Limits
from storagemod.wasm.legacy_text import modernise
from storagemod.wasm.locate import find_in_text
from storagemod.wasm.sections import strip_hint

WASM_MAGIC = b"\0asm"

# wasmtime shows the line below the place, or gives the place alone, at the end, where the line is long. The last place
# is the one meant: names in the message can look like others, and so can the line that is shown.
_POSITION = re.compile(
    r"\A(?P<message>.*)(?:\n\s*--> | at (?=[^\n]*\Z))<anon>:(?P<line>\d+):(?P<column>\d+)(?:\n.*)?\Z", re.DOTALL
)
_EXCERPT_WIDTH = 100

_OFFSET = re.compile(r" \(at offset 0x([0-9a-f]+)\)")


def read_source(path: Path, limits: Limits) -> bytes:
    """The bytes of a contract file.

    Raises:
        ValidationError: It cannot be read, or is longer than the limits allow.
    """
    return read_file(path, bytes_max=limits.source_bytes_max, limit="source_bytes_max")


def to_wasm(source: str | bytes, *, name: str, limits: Limits) -> bytes:
    """Translate WAT, of today or of 2018, to the binary format; bytes that are binary already pass through.

    Raises:
        ValidationError: Neither WAT nor a Wasm binary, with the line and column that wasmtime gives, or too long.
    """
    if isinstance(source, bytes) and source.startswith(WASM_MAGIC):
        wasm = source
    else:
        wasm = _translate(_decode(source, name) if isinstance(source, bytes) else source, name, limits)
    if len(wasm) > limits.code_bytes_max:
        raise ValidationError(
            f"{name}: the code is {len(wasm):,} bytes long, and {limits.code_bytes_max:,} are allowed (code_bytes_max)",
            hint=strip_hint(wasm),
        )
    return wasm


def with_line(error: ValidationError, source: str | bytes, wasm: bytes, name: str) -> ValidationError:
    """Return an error of wasmtime's validation with line and column, or the error itself where they are not known.

    Args:
        error: What :func:`storagemod.wasm.compile_module` raised.
        source: WAT, or a binary, which has no lines.
        wasm: What it was translated to.
        name: What messages call it.
    """
    found = _OFFSET.search(error.message)
    if found is None or (isinstance(source, bytes) and source.startswith(WASM_MAGIC)):
        return error
    text = _decode(source, name) if isinstance(source, bytes) else source
    modern = modernise(text)
    index = find_in_text(modern.text, wasm, int(found[1], 16))
    if index is None:
        return error
    line = modern.text.count("\n", 0, index) + 1
    column = modern.column_before(line, index - modern.text.rfind("\n", 0, index))
    message = error.message.replace(found[0], "")
    return ValidationError(
        f"{name}:{line}:{column}: {message}\n{_excerpt(text, line, column)}", cause=error.cause, hint=error.hint
    )


def _decode(source: bytes, name: str) -> str:
    try:
        return source.decode("utf-8-sig")  # editors of other systems put a byte order mark in front
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        column = error.start - source.rfind(b"\n", 0, error.start)
        raise ValidationError(
            f"{name}:{line}:{column}: neither a Wasm binary nor WAT text in UTF-8", cause=error
        ) from error


def _translate(text: str, name: str, limits: Limits) -> bytes:
    if len(text) > limits.source_bytes_max:
        raise ValidationError(
            f"{name}: the text is {len(text):,} characters long, and {limits.source_bytes_max:,} are allowed "
            "(source_bytes_max)"
        )
    if not text.strip():
        raise ValidationError(f"{name}: there is no module in it, it is empty")
    try:
        return bytes(wasmtime.wat2wasm(text))
    except UnicodeEncodeError as error:
        raise ValidationError(f"{name}: holds a character that UTF-8 cannot write", cause=error) from error
    except wasmtime.WasmtimeError:
        modern = modernise(text)
    try:
        return bytes(wasmtime.wat2wasm(modern.text))
    except wasmtime.WasmtimeError as error:
        found = _POSITION.match(str(error))
        if found is None:
            raise ValidationError(f"{name}: {error}", cause=error) from error
        line, column = int(found["line"]), int(found["column"])
        column = modern.column_before(line, column)
        raise ValidationError(
            f"{name}:{line}:{column}: {found['message']}\n{_excerpt(text, line, column)}", cause=error
        ) from error


def _excerpt(text: str, line: int, column: int) -> str:
    """A line of the text, or the part of a long one around the column, with a caret below the column.

    wasmtime counts columns as a terminal does, where some characters are two wide.
    """
    code = text.split("\n")[line - 1].rstrip("\r").replace("\t", " ")
    start = max(0, min(column - 1 - _EXCERPT_WIDTH // 2, len(code) - _EXCERPT_WIDTH))
    cut = "…" if start else ""
    shown = cut + code[start : start + _EXCERPT_WIDTH] + ("…" if start + _EXCERPT_WIDTH < len(code) else "")
    margin = f"{line:>5} | "
    return f"{margin}{shown}\n{'| ':>{len(margin)}}{' ' * (len(cut) + column - 1 - start)}^"
