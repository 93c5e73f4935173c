"""Undoing what each test, and each example of Hypothesis, did to worlds that live longer than it.

A world that a fixture of a wider scope gives, by itself or within a tuple, a mapping or an object, or makes with
``storage_worlds``, has a home: the node (module, class, session, …) that the fixture belongs to. So has one that
``setup_class``, ``setUpClass`` or ``setup_module`` keeps. While a narrower node is active, there is a snapshot of the
world for it; what a test did is undone before the next, and what the fixtures of a class did before the next class.

Hypothesis runs a test many times with one set of fixtures. Each example begins with the worlds as fixtures left them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from storagemod.testing.helpers import undone

if TYPE_CHECKING:
    from _pytest.nodes import Node

    from storagemod.world import World


_LEVELS_MAX, _PARTS_MAX = 4, 10_000
"""How deep worlds are looked for in what a fixture gives, and among how many parts of one level."""

_SETUP_MODULE = "_xunit_setup_module_fixture"
"""Begins the name of the fixture that pytest makes of ``setup_module``."""


class _Kept:
    """A world, its home, and the nodes for which it is to be brought back, the widest first."""

    def __init__(self, world: World, home: Node) -> None:
        self.world = world
        self.home = home
        self._open: list[tuple[Node, AbstractContextManager[None]]] = []

    def open(self, node: Node) -> None:
        """Begin for a node, if the world is older than it."""
        if node is not self.home and self.home in node.listchain():
            block = undone(self.world)
            block.__enter__()
            self._open.append((node, block))

    def close(self, node: Node | None = None) -> None:
        """Undo what happened since a node began; without one, since the first did."""
        while self._open and (node is None or any(each is node for each, _ in self._open)):
            _, block = self._open.pop()
            block.__exit__(None, None, None)


class Undo:
    """The worlds of one run of pytest that outlive a test, and the nodes that are active."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        self._active: list[Node] = []
        self._made: list[list[World]] = []
        """What the fixtures that are being set up made, the innermost last."""
        self._own: list[World] = []
        """Worlds of fixtures of the test itself."""
        self.fixture_names: set[str] = set()
        """Fixtures that gave or made a world."""
        self._example: ExitStack | None = None
        """What brings worlds back when the example of Hypothesis that is running ends."""

    def begin(self, node: Node) -> None:
        """A node begins to do things; what it does to older worlds is undone when it ends. Twice is once."""
        if any(each is node for each in self._active):
            return
        # A node that begins inside one of its own parts, for a fixture that is asked for late: what it does to older
        # worlds is undone with that part.
        is_late = any(node in each.listchain() for each in self._active)
        self._active.append(node)
        node.addfinalizer(lambda: self._end(node))
        for kept in () if is_late else self._kept:
            kept.open(node)

    def _end(self, node: Node) -> None:
        self._active = [each for each in self._active if each is not node]
        for kept in self._kept:
            kept.close(node)

    def begin_fixture(self) -> None:
        """A fixture is set up."""
        self._made.append([])

    def end_fixture(self, result: object, request: Any) -> None:
        """It is, with this result; worlds that outlive the test are kept in mind."""
        made = self._made.pop()
        world_module = sys.modules.get("storagemod.world")
        if world_module is None:
            return
        made += worlds_in(result, world_module.World)
        if request.scope == "class" and request.cls is not None:  # setup_class and setUpClass keep worlds there
            made += worlds_in(vars(request.cls), world_module.World)
        elif request.scope == "module" and _SETUP_MODULE in request.fixturename:
            made += worlds_in(vars(request.module), world_module.World)
        if made:
            self.fixture_names.add(request.fixturename)
        for world in made:
            if any(world is each for each in self._worlds()):
                continue
            if request.scope == "function":
                self._own.append(world)
                request.addfinalizer(lambda world=world: self._disown(world))
            else:
                self._keep(world, request)
            if self._example is not None:  # a fixture that is asked for in the middle of an example
                self._example.enter_context(undone(world))

    def made(self, world: World) -> None:
        """A world was made; if a fixture is making it, it is that one's."""
        if self._made:
            self._made[-1].append(world)

    @property
    def in_example(self) -> bool:
        """Whether an example of Hypothesis is running."""
        return self._example is not None

    @contextmanager
    def example(self) -> Iterator[None]:
        """Bring every world of a fixture back at the end of a block, which is one example of Hypothesis."""
        with ExitStack() as stack:
            for world in self._worlds():
                stack.enter_context(undone(world))
            outer, self._example = self._example, stack
            try:
                yield
            finally:
                self._example = outer

    def _worlds(self) -> list[World]:
        return [*(kept.world for kept in self._kept), *self._own]

    def _disown(self, world: World) -> None:
        self._own = [each for each in self._own if each is not world]

    def _keep(self, world: World, request: Any) -> None:
        kept = _Kept(world, request.node)
        self._kept.append(kept)
        for node in sorted(self._active, key=lambda each: len(each.listchain())):
            kept.open(node)

        def forget() -> None:
            kept.close()
            self._kept.remove(kept)

        request.addfinalizer(forget)  # runs before the fixture's own end, which may close the world


def worlds_in(value: object, kind: type[World]) -> list[World]:
    """Return the worlds that a value is or holds: in sequences, sets, mappings and attributes, a few levels deep."""
    found: list[World] = []
    level, seen = [value], {id(value)}
    for _ in range(_LEVELS_MAX):
        inner: list[object] = []
        for each in level:
            if isinstance(each, kind):
                found.append(each)
            elif isinstance(each, Mapping):
                inner += each.values()
            elif isinstance(each, list | tuple | set | frozenset):
                inner += each
            elif not isinstance(each, type | ModuleType) and hasattr(each, "__dict__"):
                inner += vars(each).values()
        level = []
        for each in inner[:_PARTS_MAX]:
            if id(each) not in seen:
                seen.add(id(each))
                level.append(each)
    return found


UNDO_KEY = pytest.StashKey[Undo]()
