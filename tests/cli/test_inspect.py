from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.golden import check_golden

from .conftest import Run

GOLDEN = Path(__file__).parent / "golden"
WAT = Path(__file__).parents[2] / "wat"


@pytest.mark.parametrize("link", ["single", "methods"])
def test_what_is_told_of_the_bank_is_the_golden_file(run: Run, link: str) -> None:
    ran = run("inspect", "bank/bank", "--link", link)

    assert (ran.status, ran.err) == (0, "")
    check_golden(GOLDEN / f"inspect_bank_{link}.txt", ran.out)


def test_file_and_fixture_of_the_same_contract_are_told_alike(run: Run) -> None:
    by_file, by_name = run("inspect", WAT / "bank" / "bank.wat"), run("inspect", "bank/bank")

    assert by_file.out.replace(str(WAT / "bank" / "bank.wat"), "bank/bank") == by_name.out


def test_json_has_layout_imports_and_storage_module(run: Run) -> None:
    shown = json.loads(run("inspect", "token/token_regions", "--json").out)

    assert shown["schema"] == "storagemod.inspect/1"
    assert shown["options"] == ["regions"]
    assert shown["layout"][0] == {
        "region": "balances",
        "pages_min": 1,
        "pages_max": 16,
        "is_64": False,
        "access": "memory",
    }
    assert {item["linked_to"] for item in shown["imports"] if item["module"] == "storage"} == {
        '"balances" of the storage module',
        '"supply" of the storage module',
    }
    assert shown["storage_module"].startswith("(module $storage")


@pytest.mark.parametrize(
    ("option", "linking", "functions", "region"),
    [
        ("keyed", "keyed", ["storageLoad", "storageStore"], "slots"),
        ("copied", "copied or paged, as it is deployed", ["storageMap"], "memory"),
        ("paged", "copied or paged, as it is deployed", ["storageMap"], "memory"),
    ],
)
def test_storage_that_the_host_serves_is_shown_with_the_options_for_it(
    run: Run, option: str, linking: str, functions: list[str], region: str
) -> None:
    shown = run("inspect", "bank/bank", "--link", option).out
    assert f"  linking  {linking}; its source leaves the option open (--link)\n" in shown
    assert "the host; the memory is private" in shown
    assert f';; region "{region}", reached by the host only' in shown
    document = json.loads(run("inspect", "bank/bank", "--link", option, "--json").out)
    assert document["options"] == (["copied", "paged"] if option != "keyed" else ["keyed"])
    assert document["leaves_open"] is True
    assert [each["access"] for each in document["layout"]] == ["host"]
    linked = {each["name"]: each["linked_to"] for each in document["imports"]}
    assert {linked.pop(name) for name in functions} == {f'the host, on memory "{region}" of the storage module'}
    assert linked["revert"] == "the host"


def test_a_contract_that_maps_storage_itself_runs_under_either_option(run: Run, tmp_path: Path) -> None:
    (tmp_path / "maps.wat").write_text(
        """(module
          (import "ethereum" "storageMap" (func (param i32 i32 i32)))
          (import "storage" "notes" (memory 1))
          (memory $own (export "memory") 1))"""
    )
    shown = {run("inspect", tmp_path / "maps.wat", *link) for link in ((), ("--link", "copied"), ("--link", "paged"))}
    (ran,) = shown
    assert "  linking  regions, copied or paged, as it is deployed\n" in ran.out
    refused = run("inspect", tmp_path / "maps.wat", "--link", "single")
    assert refused.status == 2
    assert "imports its storage in its own way: copied, paged, regions" in refused.err


def test_contract_without_storage_has_no_storage_module(run: Run, tmp_path: Path) -> None:
    (tmp_path / "plain.wat").write_text("(module)")

    ran = run("inspect", tmp_path / "plain.wat")

    assert ran.status == 0
    assert "none: it has no storage" in ran.out
    assert "(module" not in ran.out
    assert json.loads(run("inspect", tmp_path / "plain.wat", "--json").out)["storage_module"] is None


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["none.wat"], "none.wat cannot be read: No such file or directory"),
        (["bank/bnak"], "bank/bnak cannot be read: No such file or directory (did you mean bank/bank"),
        ([WAT / "bank" / "bank.wat" / "x"], "cannot be read: Not a directory"),
        (["/dev/null"], "/dev/null: there is no module in it, it is empty"),
        ([WAT], "is a directory"),
        ([WAT / "storage" / "single.wat"], "single.wat"),
        (["token/token_regions", "--link", "single"], "imports its storage in its own way: regions"),
    ],
)
def test_what_cannot_be_inspected_is_an_error_with_status_two(run: Run, args: list[object], message: str) -> None:
    ran = run("inspect", *args)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert message in ran.err
