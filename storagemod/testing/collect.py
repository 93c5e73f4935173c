"""Collect scenario files as tests: one for each transaction, under each option.

Heavy modules are imported when the first file is read, since pytest imports this one in every project.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storagemod.errors import ScenarioError, one_line
from storagemod.testing.options import SETTINGS_KEY
from storagemod.testing.recording import describe
from storagemod.testing.variants import Variant, variants_of

if TYPE_CHECKING:
    from storagemod.scenario import Scenario, TransactionResult
    from storagemod.testing.worlds import VariantWorld


class NotAsExpectedError(AssertionError):
    """A transaction differs from the expectation of its scenario."""

    def __init__(self, result: TransactionResult, path: str) -> None:
        lines = [f"{one_line(result.title)}: not as {path} expects"]
        for difference in result.differences:
            lines.append(f"{difference.file}:{difference.line}: {one_line(difference.what)}")
            lines.append(f"  - wanted  {one_line(difference.wanted)}")
            lines.append(f"  + found   {one_line(difference.found)}")
        super().__init__("\n".join(lines))


class _Run:
    """Run of a scenario under one variant. Transactions build on earlier ones, so these run first."""

    def __init__(self, scenario: Scenario, variant: Variant, tracker: str | None) -> None:
        self._scenario = scenario
        self._variant = variant
        self._tracker = tracker
        self._world: VariantWorld | None = None
        self._results: list[TransactionResult | ScenarioError] = []
        self._error: ScenarioError | None = None

    def result(self, number: int) -> TransactionResult:
        """Return the result of a transaction, which runs at most once.

        Raises:
            ScenarioError: A contract cannot be deployed, or the transaction cannot start. The later ones run.
        """
        from storagemod.scenario import run_transaction  # noqa: PLC0415 - heavy
        from storagemod.testing.worlds import VariantWorld, deploy_project  # noqa: PLC0415 - as above

        if self._error is not None:
            raise self._error
        try:
            if self._world is None:
                self._world = VariantWorld(self._variant, tracker=self._tracker)
                deploy_project(self._world, self._scenario, self._variant)
        except ScenarioError as error:
            self._error = error
            raise
        while len(self._results) <= number:
            try:
                self._results.append(run_transaction(self._world, self._scenario, len(self._results)))
            except ScenarioError as error:
                self._results.append(error)
        result = self._results[number]
        if isinstance(result, ScenarioError):
            raise result
        return result

    def close(self) -> None:
        """Close the world and drop the results; the next :meth:`result` starts again."""
        if self._world is not None:
            self._world.close()
        self._world, self._results, self._error = None, [], None


class ScenarioFile(pytest.File):
    """Collector of a scenario file."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield a test for each transaction, under each of the run's options."""
        from storagemod.scenario import load_scenario  # noqa: PLC0415 - heavy

        settings = self.config.stash[SETTINGS_KEY]
        try:
            scenario = load_scenario(self.path, label=os.path.relpath(self.path))
        except (
            ScenarioError
        ) as error:  # a test that fails: a collection error would keep pytest from running the others
            yield BrokenScenarioItem.from_parent(self, name=self.path.stem, error=error)
            return
        variants = variants_of({}, settings)
        assert isinstance(variants, list)  # noqa: S101 - nothing is excluded without a marker
        self._runs = [_Run(scenario, variant, settings.tracker) for variant in variants]
        for variant, run in zip(variants, self._runs, strict=True):
            suffix = f"[{variant.title}]" if len(variants) > 1 else ""
            for number, title in enumerate(scenario.unique_titles()):
                name = title.replace("::", ".") + suffix  # `::` separates the parts of a test's id
                yield ScenarioItem.from_parent(self, name=name, run=run, scenario=scenario, number=number)

    def teardown(self) -> None:
        """Close the worlds."""
        for run in getattr(self, "_runs", ()):
            run.close()


class BrokenScenarioItem(pytest.Item):
    """Test that stands for a file that is no scenario, and fails."""

    def __init__(self, *, error: ScenarioError, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._error = error

    def runtest(self) -> None:
        """Raise what is wrong with the file."""
        raise self._error

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the error without a traceback."""
        return str(excinfo.value) if excinfo.value is self._error else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the file, the line and the name."""
        return self.path, (self._error.line or 1) - 1, f"{self.path.name}: {self.name}"


class ScenarioItem(pytest.Item):
    """Test of one transaction."""

    def __init__(self, *, run: _Run, scenario: Scenario, number: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._run = run
        self._scenario = scenario
        self._number = number
        self._result: TransactionResult | None = None

    def runtest(self) -> None:
        """Run the transaction after the earlier ones, and check it."""
        self._result = None
        self._result = self._run.result(self._number)
        if not self._result.ok:
            raise NotAsExpectedError(self._result, self._scenario.path)

    def storagemod_section(self) -> str:
        """Return the section for the report of a failure."""
        receipt = None if self._result is None else self._result.receipt
        if receipt is None:
            return ""
        return f"transaction {self._number + 1} of {len(self._scenario.transactions)}{describe(receipt)}"

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show differences and errors of the file without a traceback."""
        if isinstance(excinfo.value, NotAsExpectedError | ScenarioError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the file, the line and the name."""
        file, line = self._scenario.place(("transactions", self._number))
        # With the file in the name, pytest does not show the dots of names as the colons of a test in a class.
        path = self.path if file == self._scenario.path else Path(file)
        return path, (line or 1) - 1, f"{self.path.name}: {self.name}"
