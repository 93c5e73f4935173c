"""Printing: the result on stdout, the rest on stderr, colours on a terminal only."""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.text import Text

from storagemod.report import render_tree, render_tree_rich
from storagemod.trace import Trace


def say(text: str = "", style: str = "", *, end: str = "\n") -> None:
    """Print a part of the result; the style shows on a terminal and nowhere else."""
    if style and sys.stdout.isatty():
        _console().print(Text(text, style), soft_wrap=True, end=end)
    else:
        click.echo(text, nl=False)
        click.echo(end, nl=False)


def say_tree(trace: Trace, *, verbosity: int, failing: bool | None = None, indent: str = "") -> None:
    """Print the tree of a trace, as far as the verbosity asks for it."""
    if not render_tree(trace, verbosity=verbosity, failing=failing):
        return
    if sys.stdout.isatty():
        for line in render_tree_rich(trace, verbosity=verbosity, failing=failing).split("\n"):
            _console().print(Text(indent) + line, soft_wrap=True)
    else:
        for plain in render_tree(trace, verbosity=verbosity, failing=failing).split("\n"):
            click.echo(indent + plain)


def note(text: str) -> None:
    """Print what is not part of the result."""
    click.echo(text, err=True)


def _console() -> Console:
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
