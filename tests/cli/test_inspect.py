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
        "page_bytes": 65_536,
        "is_64": False,
        "access": "memory",
    }
    assert {item["linked_to"] for item in shown["imports"] if item["module"] == "storage"} == {
        '"balances" of the storage module',
        '"supply" of the storage module',
    }
    assert shown["storage_module"].startswith("(module $storage")


def test_lengths_in_bytes_are_shown_as_such(run: Run, tmp_path: Path) -> None:
    contract = tmp_path / "log.wat"
    contract.write_text('(module (import "storage" "log" (memory 100 2000 (pagesize 1))))')
    shown = run("inspect", contract).out
    assert "log     100 bytes  2,000 bytes  32-bit" in shown
    assert '(memory $region0 (export "log") 100 2000 (pagesize 1))' in shown
    (region,) = json.loads(run("inspect", contract, "--json").out)["layout"]
    assert (region["pages_min"], region["pages_max"], region["page_bytes"]) == (100, 2_000, 1)


@pytest.mark.parametrize(
    ("option", "linking", "functions", "region"),
    [
        ("keyed", "keyed", ["storageLoad", "storageStore"], "slots"),
        ("copied", "copied, paged or aliased, as it is deployed", ["storageMap"], "memory"),
        ("paged", "copied, paged or aliased, as it is deployed", ["storageMap"], "memory"),
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
    assert document["options"] == (["aliased", "copied", "paged"] if option != "keyed" else ["keyed"])
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
    assert "  linking  regions, copied, paged or aliased, as it is deployed\n" in ran.out
    refused = run("inspect", tmp_path / "maps.wat", "--link", "single")
    assert refused.status == 2
    assert "imports its storage in its own way: aliased, copied, paged, regions" in refused.err


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
        ([WAT / "bank" / "bank.wat" / "x"], "is a file, expected a directory"),
        (["/dev/null"], "/dev/null is a device (write its content to a file first)"),
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


@pytest.mark.parametrize("link", ["paged", "aliased", "window"])
def test_tables_are_shown_at_each_call_of_a_scenario(run: Run, link: str) -> None:
    pages = "0-15" if link == "window" else "16-31"
    shown = run("inspect", "--tables", "bank/robbed", "--link", link)
    assert (shown.status, shown.err) == (0, "")
    lines = shown.out.splitlines()
    attack = lines[lines.index("Mallory withdraws, and twice more while she is paid") :]
    assert f"  ├─ page table: pages {pages} of 4,096 bytes stand for frames 0-15" in [line[2:] for line in attack]
    assert any(line.endswith("frame table: frames 0 of mallory memory[0x0..0x1000], written") for line in attack)
    assert any(line.endswith("frame table: frames 0-15 of bank memory[0x0..0x10000], not written") for line in attack)


def test_a_window_is_shown_with_the_storage_behind_it(run: Run) -> None:
    shown = run("inspect", "bank/bank", "--link", "window").out
    assert "  linking  window; its source leaves the option open (--link)\n" in shown
    assert "Window, a memory into which storage is mapped, of 1 Wasm pages" in shown
    assert '(memory $window (export "window") 1 1)' in shown
    document = json.loads(run("inspect", "bank/bank", "--link", "window", "--json").out)
    assert (document["options"], document["window_pages"]) == (["window"], 1)


def test_tables_show_which_call_holds_the_frame_that_another_one_was_refused(run: Run) -> None:
    shown = run("inspect", "--tables", "bank/robbed", "--exclusive", "transaction")
    assert (shown.status, shown.err) == (0, "")
    assert "linked as paged, exclusive transaction\n" in shown.out
    assert "stands in page 16 of the call at depth 1, and is exclusive in the transaction" in " ".join(
        shown.out.split()
    )
    refused = run("inspect", "bank/bank", "--exclusive", "call")
    assert (refused.status, refused.out) == (2, "")
    assert "--exclusive is about calls, which run with --tables" in refused.err


def test_tables_are_told_to_programs_with_frames_of_any_length(run: Run, tmp_path: Path) -> None:
    (tmp_path / "maps.toml").write_text(
        """
[contracts.it]
wat = '''(module
  (import "ethereum" "storageMap" (func $map (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "run")
    (call $map (i32.const 64) (i32.const 128) (i32.const 20))
    (call $map (i32.const 0) (i32.const 0) (i32.const 1))
    (i32.store (i32.const 64) (i32.const 7))))'''
mapping = "paged"
frame_bytes = 16
[[transactions]]
to = "it"
method = "run"
""",
        encoding="utf-8",
    )
    told = run("inspect", "--tables", str(tmp_path / "maps.toml"), "--json")
    assert told.status == 0
    document = json.loads(told.out)
    assert document["schema"] == "storagemod.tables/1"
    steps = document["transactions"][0]["receipt"]["trace"]["calls"][0]["steps"]
    (tables,) = [step for step in steps if step["type"] == "tables"]
    assert tables["frame_bytes"] == 16
    assert tables["pages"] == [{"first": 0, "frame": 0, "count": 1}, {"first": 4, "frame": 8, "count": 2}]
    assert [(run["first"], run["count"], run["dirty"]) for run in tables["frames"]] == [
        (0, 1, False),
        (8, 1, True),
        (9, 1, False),
    ]


def test_options_without_tables_and_scenarios_without_mappings_are_told(run: Run) -> None:
    refused = run("inspect", "--tables", "bank/robbed", "--link", "single")
    assert refused.status == 2
    assert "single has no tables; paged, aliased and window have" in refused.err
    missing = run("inspect", "--tables", "bank/rob")
    assert missing.status == 2
    assert "error: " in missing.err


FUNCTIONS = """
(module
  (import "storage" "load_i64" (func $load (param i32) (result i64)))
  (import "storage" "size" (func $size (result i32)))
  (import "storage" "copy_in" (func (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "main") (drop (call $load (call $size)))))
"""


def test_instructions_in_place_of_calls_are_shown_and_the_code_is_what_was_written(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "functions.wat"
    path.write_text(FUNCTIONS)

    plain = json.loads(run("inspect", path, "--json").out)
    lowered = json.loads(run("inspect", path, "--link", "single", "--json").out)

    assert (plain["link"], plain["options"], lowered["link"], lowered["options"]) == (
        None,
        ["methods"],
        "single",
        ["single"],
    )
    assert plain["code_sha256"] == lowered["code_sha256"]
    assert {item["name"]: item["linked_to"] for item in lowered["imports"]} == {
        "load_i64": 'the instruction i64.load on memory "memory", in place of calls',
        "size": 'the instruction memory.size on memory "memory", in place of calls',
        "copy_in": 'the host, on memory "memory" of the storage module',
        "memory": '"memory" of the storage module',
    }
    assert "linking  methods (or single or regions, by --link or as it is deployed)" in run("inspect", path).out
    assert "linking  regions\n" in run("inspect", path, "--link", "regions").out
    refused = run("inspect", path, "--link", "keyed")
    assert refused.status == 2
    assert "the contract imports its storage in its own way: methods" in refused.err
