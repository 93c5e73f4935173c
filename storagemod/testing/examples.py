"""Examples of Hypothesis, each with the worlds as the fixtures left them and with receipts of its own.

Hypothesis calls the body of a test, ``inner_test``, once for each example. Plugins may wrap it, as those for
asynchronous tests do.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from storagemod.testing.undo import Undo

_SETTINGS = "_hypothesis_internal_use_settings"


@contextmanager
def isolated_examples(
    item: pytest.Item, undo: Undo, checked: Callable[[], AbstractContextManager[None]]
) -> Iterator[None]:
    """Roll back worlds and check receipts after each example, if the item is a test of Hypothesis.

    Args:
        item: Any item.
        undo: The worlds of fixtures.
        checked: Makes a context manager that checks receipts, around each example.
    """
    function = getattr(item, "obj", None)
    handle = getattr(function, "hypothesis", None)
    if handle is None or not isinstance(item, pytest.Function) or "hypothesis" not in sys.modules:
        yield
        return
    function = getattr(function, "__func__", function)
    inner, settings = handle.inner_test, getattr(function, _SETTINGS, None)

    @functools.wraps(inner)
    def example(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with undo.example(), checked():
            return inner(*args, **kwargs)

    handle.inner_test = example
    if settings is not None and _are_isolated(item, undo):
        setattr(function, _SETTINGS, _without_health_check(settings))
    try:
        yield
    finally:
        handle.inner_test = inner
        if settings is not None:
            setattr(function, _SETTINGS, settings)


def _without_health_check(settings: Any) -> Any:
    """Return settings that let fixtures of the scope of a test be used; Hypothesis changes them the same way."""
    from hypothesis import HealthCheck  # noqa: PLC0415 - it is loaded
    from hypothesis import settings as new_settings  # noqa: PLC0415

    suppressed = {*settings.suppress_health_check, HealthCheck.function_scoped_fixture}
    return new_settings(parent=settings, suppress_health_check=suppressed)


def _are_isolated(item: pytest.Function, undo: Undo) -> bool:
    """Return whether each fixture of the scope of a test, that the test names, is or uses one that gave a world."""
    info = item._fixtureinfo  # noqa: SLF001 - Hypothesis reads the same to warn

    def closure(name: str, seen: set[str]) -> set[str]:
        if name not in seen:
            seen.add(name)
            for definition in info.name2fixturedefs.get(name, ()):
                for each in definition.argnames:
                    closure(each, seen)
        return seen

    def is_narrow(name: str) -> bool:
        return any(each.scope == "function" for each in info.name2fixturedefs.get(name, ())[-1:])

    return all(closure(name, set()) & undo.fixture_names for name in info.argnames if is_narrow(name))
