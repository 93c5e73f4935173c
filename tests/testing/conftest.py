from __future__ import annotations

import pytest
from attrs import frozen

from storagemod.scenario.fixtures import fixture_path

COUNTER = """
(module $counter
  ;; @storage
  (memory $memory (export "memory") 3)
  (func (export "increment") (result i64)
    (call $store_i64 (i32.const 0) (i64.add (call $load_i64 (i32.const 0)) (i64.const 1)))
    (call $load_i64 (i32.const 0)))
  (func (export "set") (param i32 i64) (call $store_i64 (local.get 0) (local.get 1)))
  (func (export "fail") (param i64) (call $store_i64 (i32.const 0) (local.get 0)) unreachable))
"""


_LEFT_OUT = [word for name in ("benchmark", "cacheprovider") for word in ("-p", f"no:{name}")]


@frozen
class Project:
    """A folder with contracts and tests in it, in which pytest is run."""

    pytester: pytest.Pytester
    more: tuple[str, ...] = ()

    def write(self, **files: str) -> None:
        """Write files; `__` in a name is a dot."""
        for name, text in files.items():
            path = self.pytester.path / name.replace("__", ".")
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(text, encoding="utf-8")

    def run(self, *args: str) -> pytest.RunResult:
        """Run pytest there."""
        # What benchmarks warn of, if they are installed, is not about us.
        return self.pytester.runpytest(*self.more, *_LEFT_OUT, *args)

    def passes(self, *args: str, **outcomes: int) -> list[str]:
        """Run pytest, see that tests passed, and nothing else but what is named, and give the lines of output."""
        result = self.run("-v", *args)
        result.assert_outcomes(**outcomes)
        return result.outlines


def write_counter(pytester: pytest.Pytester) -> None:
    (pytester.path / "counter.wat").write_text(COUNTER, encoding="utf-8")
    for name in ("bank", "bank_fixed", "attacker"):
        (pytester.path / f"{name}.wat").write_text(fixture_path(f"bank/{name}").read_text(encoding="utf-8"))


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    write_counter(pytester)
    return Project(pytester)


@pytest.fixture(params=[(), ("-n2",)], ids=["one-process", "xdist"])
def either(request: pytest.FixtureRequest, pytester: pytest.Pytester) -> Project:
    """The same in one process, and spread over two."""
    write_counter(pytester)
    return Project(pytester, request.param)
