"""Pytest plugin ``storagemod``: fixtures, a marker, options, reports, and scenario files as tests.

pytest imports it at every start, even in projects without contracts, so its imports stay light.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

import storagemod
from storagemod.scenario_files import is_scenario
from storagemod.testing.collect import ScenarioFile
from storagemod.testing.examples import isolated_examples
from storagemod.testing.fixtures import (
    storage_explore,
    storage_project,
    storage_seed,
    storage_variant,
    storage_world,
    storage_worlds,
)
from storagemod.testing.options import SETTINGS_KEY, add_options, read_settings
from storagemod.testing.recording import SECTION, Recorder, start, stop
from storagemod.testing.unchecked import Unchecked, describe_unchecked
from storagemod.testing.undo import UNDO_KEY, Undo
from storagemod.testing.variants import EXPLORE, EXPLORE_MARKER, MARKER, marker_of, parametrize
from storagemod.watch import listening

__all__ = [
    "storage_explore",
    "storage_project",
    "storage_seed",
    "storage_variant",
    "storage_world",
    "storage_worlds",
]

_RECORDER_KEY = pytest.StashKey[Recorder]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the command line and of the ini file."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, register the marker, and start to record transactions."""
    config.addinivalue_line("markers", MARKER)
    config.addinivalue_line("markers", EXPLORE_MARKER)
    config.stash[SETTINGS_KEY] = read_settings(config)
    config.stash[UNDO_KEY] = Undo()
    recorder = config.stash[_RECORDER_KEY] = Recorder()
    stack = ExitStack()
    stack.enter_context(listening(recorder))
    start(recorder)
    stack.callback(stop, recorder)
    config.add_cleanup(stack.close)


def pytest_report_header(config: pytest.Config) -> str:
    """Show the version and the settings."""
    return f"storagemod: {storagemod.__version__}; {config.stash[SETTINGS_KEY].header}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize tests to run once under each of their options."""
    if metafunc.definition.get_closest_marker(EXPLORE) is not None:
        from storagemod.testing.explorer import explore_marker_of  # noqa: PLC0415 - not needed else

        explore_marker_of(metafunc.definition)
    parametrize(metafunc, metafunc.config.stash[SETTINGS_KEY])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Generator[None, object, object]:
    """Roll back changes of tests and fixtures to worlds that outlive them, and check receipts of wider fixtures.

    What a fixture of the test itself ran is checked with the test, which may look at it.
    """
    undo = request.config.stash[UNDO_KEY]
    ledger = request.config.stash[_RECORDER_KEY].ledger
    mark = ledger.mark
    undo.begin(request.node)
    undo.begin_fixture()
    result = None
    try:
        result = yield
    except BaseException:
        ledger.take(mark)
        raise
    finally:
        undo.end_fixture(result, request)
    if request.scope != "function":
        try:
            _check_receipts(request.node, ledger.take(mark, handed_on=result), f"the fixture {fixturedef.argname!r}")
        except pytest.fail.Exception as error:
            # What the fixture gave is remembered by now. Every test that uses it has to fail, not only the first.
            fixturedef.cached_result = (None, fixturedef.cached_result[1], (error, error.__traceback__))
            raise
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Start the rollback of a test that uses fixtures of wider scopes only, and check its receipts at its end."""
    undo = item.config.stash[UNDO_KEY]
    undo.begin(item)
    with (
        _checked(item, "the test", with_fixtures=True),
        isolated_examples(item, undo, lambda: _checked(item, "this example")),
    ):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Check the receipts of what fixtures do when they end."""
    with _checked(item, "a fixture that ended"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Record the transactions of each test separately."""
    recorder = item.config.stash[_RECORDER_KEY]
    recorder.clear()
    try:
        return (yield)
    finally:
        recorder.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the call tree of the failed transaction to the report of a failed test."""
    report = yield
    if report.failed:
        section = getattr(item, "storagemod_section", item.config.stash[_RECORDER_KEY].section)()
        if section:
            report.sections.append((SECTION, section))
    return report


@contextmanager
def _checked(item: pytest.Item, where: str, *, with_fixtures: bool = False) -> Iterator[None]:
    """Check the receipts of a block of a test function when it ends, and perhaps those of the fixtures before it.

    Other items, such as scenario files, have expectations of their own.
    """
    __tracebackhide__ = True
    ledger = item.config.stash[_RECORDER_KEY].ledger
    mark = 0 if with_fixtures else ledger.mark
    try:
        yield
    except BaseException:
        ledger.take(mark)  # it failed by itself, or was skipped
        raise
    found = ledger.take(mark)
    if isinstance(item, pytest.Function):
        # Hypothesis notes the failing example on the exception, and pytest shows notes where it shows the traceback.
        _check_receipts(item, found, where, pytrace=item.config.stash[UNDO_KEY].in_example)


def _check_receipts(node: Any, found: list[Unchecked], where: str, *, pytrace: bool = False) -> None:
    """Fail if a transaction failed and nobody looked at its receipt, unless that is allowed here.

    Raises:
        pytest.fail.Exception: There is such a transaction.
    """
    __tracebackhide__ = True
    if not found or not marker_of(node).get("strict", node.config.stash[SETTINGS_KEY].strict):
        return
    node.config.stash[_RECORDER_KEY].show(found[0])
    pytest.fail(describe_unchecked(found, where), pytrace=pytrace)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain differences of receipts and storage, by range."""
    if op != "==" or "storagemod.world" not in sys.modules:
        return None
    from storagemod.testing.explain import explain  # noqa: PLC0415 - heavy, but loaded

    return explain(left, right)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect scenario files as tests."""
    if file_path.suffix != ".toml":
        return None
    is_named = parent.session.isinitpath(file_path)
    patterns = parent.config.stash[SETTINGS_KEY].collect
    if not is_named and not any(fnmatchcase(file_path.name, pattern) for pattern in patterns):
        return None
    if not is_named and not is_scenario(file_path):
        return None
    return ScenarioFile.from_parent(parent, path=file_path)
