"""The text format as it was until 2018, turned into today's.

Two things changed that contracts of that time use: instructions were renamed, and `if` lost its short form, in which
the expressions after the condition stood for themselves, without `(then …)` and `(else …)` around them.

Sources: WebAssembly core specification 6.5, "Instructions", for what they are called now; its proposals "rename
instructions" (2018) and the text format of wabt 1.0 for what they were called. A text that compiles today is none of
this module's business: it could hold nothing that has to be changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import define, field, frozen

_RENAMED = {
    "get_local": "local.get",
    "set_local": "local.set",
    "tee_local": "local.tee",
    "get_global": "global.get",
    "set_global": "global.set",
    "current_memory": "memory.size",
    "grow_memory": "memory.grow",
    "anyfunc": "funcref",
}

# i32.wrap/i64, i64.extend_s/i32, i32.trunc_s:sat/f64, f32.convert_u/i64, f32.demote/f64, f64.reinterpret/i64, …
_CONVERSION = re.compile(
    r"(?P<to>[if](?:32|64))\.(?P<operation>wrap|extend|trunc|convert|demote|promote|reinterpret)"
    r"(?:_(?P<sign>[su]))?(?P<saturating>:sat)?/(?P<source>[if](?:32|64))"
)

_TOKEN = re.compile(
    r'(?P<string>"(?:[^"\\\n]|\\.)*"?)|(?P<line_comment>;;[^\n]*)|(?P<comment>\(;)|(?P<open>\()|(?P<close>\))'
    r'|(?P<word>[^\s()";]+)'
)
_COMMENT_ENDS = re.compile(r"\(;|;\)")

_IF_TYPES = frozenset({"param", "result", "type"})
_BRANCHES = ("(then", "(else")


@frozen
class ModernText:
    """A text in today's format, and how its columns differ from those of the text that it was made of.

    Lines are the same, and so are columns but for what was inserted: new names that are shorter have spaces after them.
    """

    text: str
    _insertions: tuple[tuple[int, int], ...] = ()  # where each begins in ``text``, and how long it is

    def column_before(self, line: int, column: int) -> int:
        """The column, from 1 as ``line`` is, that a place in the text had in the text that it was made of."""
        start = 0
        for _ in range(line - 1):
            start = self.text.index("\n", start) + 1
        at = start + column - 1
        return column - sum(min(length, at - begin) for begin, length in self._insertions if start <= begin < at)


def modernise(text: str) -> ModernText:
    """Turn a text of the old format into one of today's.

    Args:
        text: WAT, old or new, right or wrong. Strings, comments and identifiers are left as they are, and so is
            everything that means something today.
    """
    pieces: list[str] = []
    lists = _Lists()
    at = 0
    for kind, start, end in read_tokens(text):
        word = text[start:end]
        if kind == "word":
            pieces += (text[at:start], _present_name(word))
            at = end
            lists.word(word)
        elif kind == "open":
            lists.open(start)
        elif kind == "close":
            lists.close(end)
    pieces.append(text[at:])
    return _with_insertions("".join(pieces), sorted(lists.insertions, key=lambda each: each[:2]))


def read_tokens(text: str) -> Iterator[tuple[str, int, int]]:
    """The kind, start and end of each parenthesis, word and string."""
    at = 0
    while (found := _TOKEN.search(text, at)) is not None:
        at = found.end()
        kind = found.lastgroup or ""
        if kind == "comment":
            at = _end_of_comment(text, at)
        elif kind != "line_comment":
            yield kind, found.start(), at


def _end_of_comment(text: str, at: int) -> int:
    """Where a comment that began before ``at`` ends; such comments stand in one another."""
    depth = 1
    while depth:
        found = _COMMENT_ENDS.search(text, at)
        if found is None:
            return len(text)
        depth += 1 if found.group() == "(;" else -1
        at = found.end()
    return at


def _present_name(word: str) -> str:
    """What a word is called now, as long as it was."""
    now = _RENAMED.get(word)
    if now is None:
        found = _CONVERSION.fullmatch(word)
        if found is None:
            return word
        saturating = "_sat" if found["saturating"] else ""
        sign = f"_{found['sign']}" if found["sign"] else ""
        now = f"{found['to']}.{found['operation']}{saturating}_{found['source']}{sign}"
    return now.ljust(len(word))


@define
class _List:
    """A list in parentheses: its first word, and where the lists in it begin and end."""

    start: int
    head: str = ""
    parts: list[tuple[str, int, int]] = field(factory=list)


@define
class _Lists:
    """The lists that are open while a text is read, and what has to be inserted, where, the first first."""

    insertions: list[tuple[int, int, str]] = field(factory=list)
    _open: list[_List] = field(factory=list)

    def open(self, start: int) -> None:
        self._open.append(_List(start))

    def word(self, word: str) -> None:
        if self._open and not self._open[-1].head:
            self._open[-1].head = word

    def close(self, end: int) -> None:
        if not self._open:
            return
        closed = self._open.pop()
        if closed.head == "if":
            self._add_branches(closed)
        if self._open:
            self._open[-1].parts.append((closed.head, closed.start, end))

    def _add_branches(self, found: _List) -> None:
        """Name the branches of an ``if`` in the short form: a condition, and one or two expressions."""
        parts = [part for part in found.parts if part[0] not in _IF_TYPES]
        if not 1 < len(parts) <= 1 + len(_BRANCHES) or any(head in ("then", "else") for head, _, _ in parts):
            return
        for branch, (_, start, end) in zip(_BRANCHES, parts[1:], strict=False):
            self.insertions += ((start, 1, branch), (end, 0, ")"))  # what ends at a place goes before what begins there


def _with_insertions(text: str, insertions: list[tuple[int, int, str]]) -> ModernText:
    pieces: list[str] = []
    places: list[tuple[int, int]] = []
    at = moved = 0
    for start, _, inserted in insertions:
        pieces += (text[at:start], inserted)
        places.append((start + moved, len(inserted)))
        at = start
        moved += len(inserted)
    pieces.append(text[at:])
    return ModernText("".join(pieces), tuple(places))
