"""Printing: the result on stdout, the rest on stderr, colours on a terminal only.

What a contract or a file chose to be called may hold anything. Nothing that a terminal would act on gets to it, only
the styles that are put there here.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection
from typing import TextIO

import click
from rich.console import Console
from rich.text import Text

from storagemod.report import WordNames, render_tree, render_tree_rich
from storagemod.trace import Trace
from storagemod.types import Address

_NO_NAMES: WordNames = {}

# Control characters but newline and tab, and the characters that reverse the direction of what follows.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def say(text: str = "", style: str = "", *, end: str = "\n", block: bool = False) -> None:
    r"""Print a line of the result; the style shows on a terminal and nowhere else.

    A newline in the text is shown as ``\n``: a name that a file or a contract chose must not look like a line of ours.
    With ``block`` the text is several lines, in which every such name is escaped.
    """
    text = _safe(text) if block else _safe(text).replace("\n", "\\n")
    if style and is_styled():
        _console().print(Text(text, style), soft_wrap=True, end=end)
    else:
        click.echo(text, nl=False)
        click.echo(end, nl=False)


def say_document(document: str) -> None:
    """Print a result for programs, as it is: its format has escaped what has to be."""
    click.echo(document, nl=False)


def say_tree(
    trace: Trace,
    *,
    verbosity: int,
    failing: bool | None = None,
    indent: str = "",
    names: WordNames = _NO_NAMES,
    unshown: Collection[Address] = (),
) -> None:
    """Print the tree of a trace, as far as the verbosity asks for it."""
    if is_styled():
        rich = render_tree_rich(trace, verbosity=verbosity, failing=failing, names=names, unshown=unshown)
        for line in rich.split("\n") if rich else ():
            _console().print(Text(indent) + line, soft_wrap=True)
    else:
        tree = render_tree(trace, verbosity=verbosity, failing=failing, names=names, unshown=unshown)
        for plain in tree.splitlines():
            click.echo(indent + plain)


def note(text: str) -> None:
    """Print what is not part of the result. Where nobody can be told, the work goes on, and the status will tell."""
    try:
        click.echo(_safe(text), err=True)
    except OSError:
        drop(sys.stderr)


def note_error(error: object) -> None:
    """Print what is wrong with the input."""
    note(continued(f"error: {error}"))


def continued(text: str) -> str:
    """Indent the lines behind the first, so that none looks like one of ours, whatever names are in the text.

    All of them alike: compilers point at columns of the line above.
    """
    first, *others = text.split("\n")
    margin = "" if all(line.startswith(" ") for line in others) else "  "
    return "\n".join([first, *(f"{margin}{line}" for line in others)])


def drop(stream: TextIO) -> None:
    """Let what is still to be written go nowhere, or Python complains when it flushes at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def is_styled() -> bool:
    """Whether the result goes to a terminal whose user wants styles (https://no-color.org/)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _safe(text: str) -> str:
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _console() -> Console:
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
