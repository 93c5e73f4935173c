"""Find the line of WAT that an offset in its binary comes from.

wasmtime validates binaries, so its errors tell an offset. Translating text keeps the order of functions, instructions,
exports and so on. So the offset has a number, such as the third instruction of the second function, and the text is
walked to what has the same number there. Folded instructions are walked in the order in which they run.

Source: WebAssembly core specification 6.5, "Instructions" (folded instructions), and 6.6, "Modules" (inline imports,
exports and segments).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import define, field

from storagemod.errors import ValidationError
from storagemod.wasm.instructions import instruction_starts, read_unsigned, skip_constant
from storagemod.wasm.legacy_text import read_tokens
from storagemod.wasm.sections import (
    CODE,
    DATA,
    ELEMENTS,
    EXPORTS,
    GLOBALS,
    IMPORTS,
    MEMORIES,
    START,
    TABLES,
    first_instruction,
    read_sections,
)

_INSTRUCTION = re.compile(r"(?!(?:inf|nan)\Z)[a-z][a-z0-9_.]*")
_TAKES_A_WORD = frozenset({"ref.null", "v128.const"})
"""Instructions that a word follows which looks like another one."""

_NO_INSTRUCTIONS = frozenset({"type", "param", "result", "local", "import", "export", "item", "offset"})
_BLOCKS = frozenset({"block", "loop", "try_table"})
_LISTS = {
    IMPORTS: "import",
    TABLES: "table",
    MEMORIES: "memory",
    GLOBALS: "global",
    EXPORTS: "export",
    START: "start",
    ELEMENTS: "elem",
    DATA: "data",
}
"""What stands in the text for the items of a section."""


@define
class _List:
    """A list in parentheses: its first word, where it starts and ends, and the lists in it."""

    start: int
    head: str = ""
    head_start: int = 0
    end: int = 0
    parts: list[_List | tuple[str, int]] = field(factory=list)
    """Lists, and the words behind the first with where they start."""

    @property
    def lists(self) -> Iterator[_List]:
        return (part for part in self.parts if isinstance(part, _List))


def find_in_text(text: str, wasm: bytes, offset: int) -> int | None:
    """Return the index in a text of what has an offset in its binary, or ``None`` if that is not known.

    Args:
        text: WAT in today's format, without errors of syntax.
        wasm: What wasmtime translated it to. It need not be valid.
        offset: From the beginning of the binary, in bytes.
    """
    if not _is_text(text):
        return None
    for number, _, start, end in read_sections(wasm):
        if number == CODE and start <= offset < end:
            return _in_code(text, wasm, start, offset)
        if number in _LISTS and start <= offset < end:
            found = list(_listed(text, _LISTS[number]))
            count = 1 if number == START else read_unsigned(wasm, start)[0]
            item = _item(wasm, number, start, offset)
            return found[item].start if len(found) == count and item is not None else None
    return None


def _in_code(text: str, wasm: bytes, start: int, offset: int) -> int | None:
    count, at = read_unsigned(wasm, start)
    functions = [each for each in _fields(text) if each.head == "func" and not _is_import(each)]
    for function in functions if len(functions) == count else ():
        length, body = read_unsigned(wasm, at)
        at = body + length
        if offset >= at:
            continue
        try:
            starts = list(instruction_starts(wasm, first_instruction(wasm, body), at))
        except ValidationError:  # an instruction of a feature that is off, and wasmtime may have stopped before it
            return function.start
        places = list(_instructions(function))
        number = sum(each <= offset for each in starts) - 1
        # A text in a format that is not foreseen here would give the wrong place: better the function alone.
        return places[number] if number >= 0 and len(places) == len(starts) else function.start
    return None


def _item(wasm: bytes, section: int, start: int, offset: int) -> int | None:
    """Return the number of the item of a section that an offset lies in, or ``None`` if that is not known.

    Of imports, tables, memories and elements, only the one of a section that has one is known.
    """
    count, at = (1, start) if section == START else read_unsigned(wasm, start)
    if section not in (EXPORTS, GLOBALS, DATA):
        return 0 if count == 1 else None
    for number in range(count):
        if section == EXPORTS:
            length, at = read_unsigned(wasm, at)
            _, at = read_unsigned(wasm, at + length + 1)
        elif section == GLOBALS:
            at = skip_constant(wasm, at + 2)  # wasmtime has refused reference types of several bytes before
        else:
            mode, at = read_unsigned(wasm, at)
            if mode > 1:
                _, at = read_unsigned(wasm, at)
            if mode != 1:
                at = skip_constant(wasm, at)
            length, at = read_unsigned(wasm, at)
            at += length
        if offset < at:
            return number
    return None


def _read(text: str) -> list[_List]:
    """Return the outermost lists of a text."""
    outermost = _List(0)
    stack = [outermost]
    for kind, start, end in read_tokens(text):
        if kind == "open":
            stack.append(_List(start))
            stack[-2].parts.append(stack[-1])
        elif kind == "close" and len(stack) > 1:
            stack.pop().end = end - 1
        elif kind == "word":
            word = text[start:end]
            if not stack[-1].head and not stack[-1].parts:
                stack[-1].head, stack[-1].head_start = word, start
            else:
                stack[-1].parts.append((word, start))
    return list(outermost.lists)


def _fields(text: str) -> list[_List]:
    """Return the fields of a module, whether the text writes the module around them or not."""
    outermost = _read(text)
    return list(outermost[0].lists) if outermost and outermost[0].head == "module" else outermost


def _is_text(text: str) -> bool:
    """Return whether a module is written as text, and not as a binary in a string."""
    outermost = _read(text)
    return not outermost or not any(isinstance(part, tuple) and part[0] == "binary" for part in outermost[0].parts)


def _is_import(found: _List) -> bool:
    return any(part.head == "import" for part in found.lists)


def _listed(text: str, head: str) -> Iterator[_List]:
    """Yield the fields of a kind, and those written inside others: ``(func (export "f"))``."""
    for each in _fields(text):
        if each.head == head and not _is_import(each):
            yield each
        yield from (part for part in each.lists if part.head == head)


def _instructions(function: _List) -> Iterator[int]:
    """Yield where each instruction of a function is, in the order of the binary; for ``end``, what closes it."""
    # A stack of what is left to do: places to yield, and lists whose parts are to be walked.
    todo: list[int | _List | Iterator[int | _List]] = [_sequence(function, function.end)]
    while todo:
        last = todo[-1]
        if isinstance(last, int):
            yield todo.pop()  # type: ignore[misc] # it is the number
        elif isinstance(last, _List):
            todo[-1] = _folded(last)
        else:
            found = next(last, None)
            if found is None:
                todo.pop()
            else:
                todo.append(found)


def _sequence(found: _List, end: int | None) -> Iterator[int | _List]:
    """Yield the instructions of a list that holds several, and where it ends if that is an instruction."""
    skipped = False
    for part in found.parts:
        if isinstance(part, _List):
            if part.head not in _NO_INSTRUCTIONS and _INSTRUCTION.fullmatch(part.head):
                yield part
        elif not skipped and _INSTRUCTION.fullmatch(part[0]):
            yield part[1]
            skipped = part[0] in _TAKES_A_WORD
            continue
        skipped = False
    if end is not None:
        yield end


def _folded(found: _List) -> Iterator[int | _List]:
    """Yield the parts of a folded instruction: operands first, but the instruction first where it is a block."""
    if found.head in _BLOCKS:
        yield found.head_start
        yield from _sequence(found, found.end)
        return
    if found.head != "if":
        yield from (part for part in found.lists if part.head not in _NO_INSTRUCTIONS)
        yield found.head_start
        return
    for part in found.lists:
        if part.head == "then":
            yield found.head_start
            yield from _sequence(part, None)
        elif part.head == "else":
            yield part.head_start
            yield from _sequence(part, None)
        elif part.head not in _NO_INSTRUCTIONS:
            yield part
    yield found.end
