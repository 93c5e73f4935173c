"""``storagemod doctor``: what works on this machine, and what does not."""

from __future__ import annotations

import platform
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
from attrs import asdict, frozen

from storagemod.cli.options import json_option
from storagemod.cli.output import say, say_document
from storagemod.errors import StorageModError
from storagemod.limits import GAS_MAX, Limits
from storagemod.pages import BACKENDS, choose_backend, why_unavailable
from storagemod.report import document, render_table
from storagemod.types import Address
from storagemod.world import World

_DOWN = """
(module
  (import "contract:self" "down?" (func $down (param i32) (result i32 i32)))
  (func (export "down") (param $levels i32) (result i32)
    (local $below i32)
    (if (result i32) (local.get $levels)
      (then
        (local.set $below (call $down (i32.sub (local.get $levels) (i32.const 1))))
        (drop)
        (i32.add (local.get $below) (i32.const 1)))
      (else (i32.const 0)))))
"""
"""Calls itself so many times, one call inside the other, and counts them on the way back."""


_TRAPS_BESIDE_FAULTHANDLER = """
import faulthandler
from storagemod import World
world = World()
address = world.deploy('(module (func (export "f") unreachable))')
faulthandler.enable()
assert not world.transact(address, "f").ok
"""


@frozen
class Finding:
    """One thing that was looked at: what, whether it is as one would wish, and what was found."""

    subject: str
    good: bool
    found: str


@click.command("doctor", short_help="Say what works on this machine.")
@json_option
def doctor_command(as_json: bool) -> int:
    """Try what storagemod needs of this machine, and say what works and what does not.

    The exit status is 1 if something that every use needs does not work.
    """
    needed = [*_software(), _nesting(), _traps()]
    findings = [*needed, *_trackers(), *_system()]
    healthy = all(finding.good for finding in needed)
    if as_json:
        say_document(document("doctor", {"ok": healthy, "findings": [asdict(finding) for finding in findings]}))
    else:
        rows = [("ok" if finding.good else "--", finding.subject, finding.found) for finding in findings]
        say(render_table(("", "", "found"), rows), block=True)
        say()
        say("Everything needed works." if healthy else "Something that is needed does not work.")
    return 0 if healthy else 1


def _software() -> Iterator[Finding]:
    yield Finding("Python", sys.version_info >= (3, 11), f"{platform.python_version()} on {platform.platform()}")
    yield Finding("wasmtime", True, version("wasmtime"))
    yield Finding("SQLite", sqlite3.sqlite_version_info >= (3, 35), sqlite3.sqlite_version)


def _nesting() -> Finding:
    """See how deep calls can be nested, by doing it."""
    wanted = Limits().call_depth_max
    address = Address(0xD0C)
    try:
        with World(trace=False) as world:
            world.deploy(_DOWN, address=address, links={"self": address})
            reached = world.call(address, "down", wanted - 1, gas=GAS_MAX).raise_for_error().value
    except StorageModError as error:
        return Finding("nested calls", False, str(error))
    good = reached == wanted - 1
    return Finding("nested calls", good, f"{wanted:,} deep" if good else f"{reached} of {wanted - 1} returned")


def _traps() -> Finding:
    """See whether traps end calls only, even where faulthandler has handlers for their signals."""
    command = [sys.executable, "-c", _TRAPS_BESIDE_FAULTHANDLER]
    ended = subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603 - ours
    found = "end a call, beside faulthandler as well"
    return Finding("traps", ended == 0, found if ended == 0 else f"end the process beside faulthandler ({ended})")


def _trackers() -> Iterator[Finding]:
    chosen = choose_backend()
    for backend in BACKENDS.values():
        reason = why_unavailable(backend)
        used = " (used unless you choose another)" if backend is chosen else ""
        yield Finding(f"tracker {backend.name}", reason is None, backend.summary + used if reason is None else reason)


def _system() -> Iterator[Finding]:
    """Limits of the system that large worlds run into."""
    for subject, file in (
        ("memory mappings of a process", Path("/proc/sys/vm/max_map_count")),
        ("huge pages", Path("/sys/kernel/mm/transparent_hugepage/enabled")),
    ):
        try:
            yield Finding(subject, True, file.read_text(encoding="ascii").strip())
        except OSError:
            yield Finding(subject, True, "unknown on this system")
