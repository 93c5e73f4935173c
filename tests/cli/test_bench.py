from __future__ import annotations

import json

import pytest

from storagemod.bench import Comparison, Figure, Peers
from storagemod.cli import bench

from .conftest import Run


def test_what_storage_costs_is_shown_as_ratios(run: Run) -> None:
    shown = run("bench", "pages", "--rounds", "1")
    assert shown.status == 0
    assert all(line.startswith("warning: ") for line in shown.err.splitlines())  # of noise
    assert "own memory" in shown.out
    assert shown.out.count("aim: ") == 6
    assert "1.00" in shown.out


def test_what_storage_costs_is_told_to_programs(run: Run) -> None:
    told = run("bench", "pages", "--rounds", "1", "--json", "--tracker", "portable")
    document = json.loads(told.out)
    assert document["schema"] == "storagemod.bench/1"
    assert len(document["comparisons"]) == 6
    assert told.err.count("measured: ") == 6


def test_what_calls_cost_is_shown_beside_what_is_installed(run: Run) -> None:
    shown = run("bench", "calls", "--rounds", "1")
    assert (shown.status, shown.err) == (0, "")
    assert shown.out.count("aim: ") == 12
    for name in Peers.installed().absent:
        assert f"{name} is not installed and left out: pip install 'storagemod[bench]'" in shown.out
    assert shown.out.count("is not installed") == len(Peers.installed().absent)


def test_what_calls_cost_is_told_to_programs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Comparison("a call", "quick", (Figure("bare", 0.5, 1.0), Figure("a world", 1.0, 2.0)), 0.125)
    monkeypatch.setattr(bench.Peers, "installed", Peers)
    monkeypatch.setattr(bench, "call_comparisons", lambda *_, **__: [measured])
    told = run("bench", "calls", "--json")
    assert json.loads(told.out) == {
        "schema": "storagemod.bench/1",
        "comparisons": [
            {
                "title": "a call",
                "aim": "quick",
                "figures": [
                    {"name": "bare", "seconds": 0.5, "ratio": 1.0},
                    {"name": "a world", "seconds": 1.0, "ratio": 2.0},
                ],
                "noise": 0.125,
            }
        ],
        "absent": [{"name": name, "install": "pip install 'storagemod[bench]'"} for name in ("LiteSVM", "pyrevm")],
    }
    assert told.err == "measured: a call\n"


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_noisy_machine_is_warned_of_on_stderr(
    run: Run, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    calm, noisy = (
        Comparison(name, "none", (Figure(name, 1, 1),), noise) for name, noise in (("calm", 0.2), ("x", 0.3))
    )
    monkeypatch.setattr(bench, "page_comparisons", lambda **_: [calm, noisy])
    shown = run("bench", "pages", *options)
    assert shown.status == 0
    assert shown.err.count("warning: ") == 1
    assert "the times of x spread by 30% of their median" in shown.err
    assert "warning" not in shown.out


def test_wrong_options_are_refused(run: Run) -> None:
    assert run("bench", "pages", "--rounds", "0").status == 2
    unknown = run("bench", "pages", "--tracker", "magic")
    assert unknown.status == 2
    assert "'magic' is not one of" in unknown.err
