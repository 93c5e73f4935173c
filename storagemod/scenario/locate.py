"""Find the line of each key, table and array element of a TOML file, which ``tomllib`` does not report.

The scanner expects text that ``tomllib`` has accepted, and does not validate it again.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from typing import TypeAlias

TomlPath: TypeAlias = tuple[str | int, ...]
"""Keys, and indices of array elements, from the top of the file: ``("transactions", 1, "expect", "value")``."""

_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")  # possessive: a million lines are not remembered
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]*")
_STRING = re.compile(  # long forms first; up to two quotes before the closing three are part of the text
    r'"""(?:[^\\"]++|\\.|"(?!""))*+"{3,5}'
    r"|'''(?:[^']++|'(?!''))*+'{3,5}"
    r'|"(?:[^"\\\n]++|\\.)*+"'
    r"|'[^'\n]*+'",
    re.DOTALL,
)


class Lines:
    """Lines of all paths in one TOML text, and of the tables that it takes over from other files.

    Args:
        text: A text that ``tomllib`` accepts; for other texts, lines are meaningless.
        file: The name of the file in messages.
    """

    def __init__(self, text: str, file: str = "") -> None:
        self.file = file
        self._lines = _Scanner(text).lines
        self._moved: Mapping[TomlPath, tuple[Lines, TomlPath]] = {}

    def below(self, prefix: TomlPath) -> Lines:
        """Return the lines of one table, by paths within the table."""
        part = Lines("", self.file)
        part._lines = {path[len(prefix) :]: line for path, line in self._lines.items() if path[: len(prefix)] == prefix}
        return part

    def moved(self, tables: Mapping[TomlPath, tuple[Lines, TomlPath]]) -> Lines:
        """Return the lines of a scenario put together from several files.

        Args:
            tables: By the two first steps of a path in the whole: the lines where it stands, and the steps there.
        """
        whole = Lines("", self.file)
        whole._lines, whole._moved = self._lines, tables
        return whole

    def place(self, path: TomlPath) -> tuple[str, int | None]:
        """Return the file and the line of a path; see :meth:`line`."""
        if path[:2] in self._moved:
            lines, start = self._moved[path[:2]]
            return lines.place((*start, *path[2:]))
        return self.file, self._line(path)

    def line(self, path: TomlPath) -> int | None:
        """Return the line, from 1, of a path or of its nearest ancestor in the text; ``None`` if there is none."""
        return self.place(path)[1]

    def _line(self, path: TomlPath) -> int | None:
        for length in range(len(path), 0, -1):
            line = self._lines.get(path[:length])
            if line is not None:
                return line
        return None


class _Scanner:
    """Scans a text once, from start to end."""

    def __init__(self, text: str) -> None:
        self.lines: dict[TomlPath, int] = {}
        self._text = text
        self._offset = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._lengths: dict[TomlPath, int] = {}  # of arrays of tables
        table: TomlPath = ()
        self._skip(_BLANK)
        while self._offset < len(text):
            if text[self._offset] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._offset)
        if match is None:
            raise ValueError(f"not the TOML that was expected at offset {self._offset}")
        self._offset = match.end()
        return match.group()

    def _next_is(self, character: str) -> bool:
        return self._text.startswith(character, self._offset)

    def _note(self, path: TomlPath, offset: int) -> None:
        line = bisect_right(self._newlines, offset) + 1
        for length in range(1, len(path) + 1):  # a dotted key or header may define its ancestors
            self.lines.setdefault(path[:length], line)

    def _header(self) -> TomlPath:
        start = self._offset
        is_element = self._next_is("[[")
        self._offset += 2 if is_element else 1
        keys = self._dotted_key()
        self._offset += 2 if is_element else 1
        path: TomlPath = ()
        for position, key in enumerate(keys, 1):
            path += (key,)
            if is_element and position == len(keys):
                self._lengths[path] = self._lengths.get(path, 0) + 1
            if path in self._lengths:  # the keys that follow belong to the last element
                path += (self._lengths[path] - 1,)
        self._note(path, start)
        return path

    def _pair(self, table: TomlPath) -> None:
        start = self._offset
        path = (*table, *self._dotted_key())
        self._note(path, start)
        self._offset += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _dotted_key(self) -> list[str]:
        keys: list[str] = []
        while not keys or self._next_is("."):
            self._offset += 1 if keys else 0
            self._skip(_SPACE)
            if self._next_is('"') or self._next_is("'"):
                keys.append(tomllib.loads(f"key = {self._skip(_STRING)}")["key"])
            else:
                keys.append(self._skip(_BARE_KEY))
            self._skip(_SPACE)
        return keys

    def _value(self, path: TomlPath) -> None:
        self._note(path, self._offset)
        if self._next_is("["):
            self._array(path)
        elif self._next_is("{"):
            self._inline_table(path)
        elif self._next_is('"') or self._next_is("'"):
            self._skip(_STRING)
        else:
            self._skip(_SCALAR)

    def _array(self, path: TomlPath) -> None:
        index = 0
        self._offset += 1
        self._skip(_BLANK)
        while not self._next_is("]"):
            self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            if self._next_is(","):
                self._offset += 1
                self._skip(_BLANK)
        self._offset += 1

    def _inline_table(self, path: TomlPath) -> None:
        self._offset += 1
        self._skip(_BLANK)
        while not self._next_is("}"):
            self._pair(path)
            self._skip(_BLANK)
            if self._next_is(","):
                self._offset += 1
                self._skip(_BLANK)
        self._offset += 1


def quoted(text: str) -> str:
    """Return a text as a basic string of TOML, on one line. What a terminal would act on is escaped."""
    escaped = "".join(f"\\{c}" if c in '"\\' else c if c.isprintable() else f"\\U{ord(c):08X}" for c in text)
    return f'"{escaped}"'
