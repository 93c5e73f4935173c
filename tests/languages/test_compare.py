"""`storagemod compare` and `run` show a compiled contract under every option that serves it, and say which one ran."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from storagemod import languages
from storagemod.baseline import take_snapshot
from storagemod.cli import main
from storagemod.errors import ScenarioError
from storagemod.scenario import Scenario, parse_scenario
from storagemod.scenario.compare import Variant, compare_scenario, variants
from storagemod.scenario.fixtures import scenario_path
from storagemod.types import MAP_OPTIONS, METHODS_OPTIONS
from tests.languages.compilers import FOLDER, LANGUAGES, source

FILE = FOLDER / "bank.toml"
SERVED = {
    "methods": ("single", "regions", "methods"),
    "keyed": ("keyed",),
    "mapped": (
        *("copied, call", "copied, end", "copied, none", "copied, revision"),
        *("paged", "paged, transaction", "aliased", "aliased, transaction"),
    ),
}
SHARE = {*METHODS_OPTIONS, *MAP_OPTIONS, "keyed", "copied, call"}
"""Variants whose re-entrant calls see what was written, and may write."""


SCENARIOS = {
    "counter": (scenario_path("counter/counter"), "counter.wat"),
    "bank": (FILE, "rust/bank_methods.rs"),
    "token": (scenario_path("exchange/change"), "../token/token.wat"),
}
"""A scenario of each fixture, and the code in it that is replaced."""


def scenario(language: str, style: str, name: str = "bank") -> Scenario:
    path, code = SCENARIOS[name]
    text = path.read_text().replace(code, str(source(language, f"{name}_{style}")))
    return parse_scenario(text, path=path.name, folder=path.parent)


@pytest.mark.parametrize("style", SERVED)
@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_fixture_is_compared_under_every_option_that_serves_it(language: str, name: str, style: str) -> None:
    comparison = compare_scenario(scenario(language, style, name), variants())

    found = {str(each.variant): each for each in comparison.compared}
    assert tuple(found) == SERVED[style]
    assert set(comparison.refused) == {each for each in variants() if str(each) not in SERVED[style]}
    keeping = [each for variant, each in found.items() if variant in SHARE]
    assert all(each.result.ok and not each.differences for each in keeping)
    assert len({each.result.state_root for each in keeping}) == 1
    for each in found.values():
        assert set(each.result.options) == set(comparison.scenario.contracts)
        assert set(each.result.options.values()) == {each.variant.link}


@pytest.mark.parametrize(
    "run_all",
    [
        lambda compared: compare_scenario(compared, variants()),
        lambda compared: take_snapshot({"bank.toml": compared}, variants()),
    ],
    ids=["compare", "snapshot"],
)
def test_a_source_is_compiled_once_for_all_variants(
    run_all: Callable[[Scenario], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared, commands = scenario("rust", "methods"), list[Sequence[str]]()
    run = languages._run

    def noted(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        return run(command)

    monkeypatch.setattr(languages, "_run", noted)
    run_all(compared)
    assert sum("--emit=dep-info" in " ".join(command) for command in commands) == 1


def test_a_source_that_does_not_compile_ends_the_comparison_with_its_line(tmp_path: Path) -> None:
    source("rust", "bank_methods")
    (tmp_path / "bank.rs").write_text("#![no_std]\nfn f( {}\n")
    text = '[contracts.bank]\ncode = "bank.rs"\n[[transactions]]\nto = "bank"\nmethod = "f"\n'
    broken = parse_scenario(text, path="a.toml", folder=tmp_path)
    with pytest.raises(ScenarioError, match="does not compile") as caught:
        compare_scenario(broken, [Variant("single"), Variant("methods")])
    assert (caught.value.line, "bank.rs:2:" in str(caught.value)) == (2, True)


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command line in this process, and return what it prints."""
    source("rust", "bank_methods")

    def run(*args: str) -> str:
        assert main([*args]) == 0
        return capsys.readouterr().out

    return run


def ran(**options: str) -> list[dict[str, str]]:
    return [{"contract": name, "option": option} for name, option in options.items()]


def test_text_and_json_of_compare_say_what_ran_and_why_the_rest_cannot(shown: Callable[..., str]) -> None:
    text = shown("compare", str(FILE), "--no-time")
    rows = [line.split("  ")[0] for line in text.splitlines() if "4 of 4" in line]
    assert rows == [f"{link}{calls}" for link in ("single", "regions", "methods") for calls in ("", ", direct")]
    assert text.count("cannot run") == 5  # keyed, copied, paged, aliased, window
    assert "copied, call; copied, end; copied, none; copied, revision: cannot run: " in text

    document = json.loads(shown("compare", str(FILE), "--json"))
    assert [(each["link"], each["options"]) for each in document["variants"]] == [
        (link, ran(bank=link, mallory=link))
        for link in ("single", "regions", "methods")
        for _ in ("mediated", "direct")
    ]
    refused = [(each["link"], each["sync"], each["exclusive"]) for each in document["refused"]]
    assert len(refused) == len(set(refused)) == 10
    assert ("copied", "end", None) in refused
    assert ("aliased", None, "transaction") in refused


def test_run_says_which_contract_ran_under_another_option(shown: Callable[..., str]) -> None:
    assert "linked as single, bank as methods\n" in shown("run", str(FILE))
    assert "linked as regions\n" in shown("run", str(FILE), "--link", "regions")
    (run,) = json.loads(shown("run", str(FILE), "--json"))["runs"]
    assert (run["link"], run["options"]) == ("single", ran(bank="methods", mallory="single"))


def test_a_difference_names_the_variant_that_it_is_from() -> None:
    comparison = compare_scenario(scenario("c", "mapped"), variants(["copied"]))
    differing = [words for each in comparison.compared for words in each.differences]
    assert differing
    assert all("under copied, call " in words for words in differing)
