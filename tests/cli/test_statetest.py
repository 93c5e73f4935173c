"""`storagemod statetest`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.golden import check_golden
from tests.statetest.examples import CONTRACT, FAILING, PASSING, vector

from .conftest import Run

GOLDEN = Path(__file__).parent / "golden"

DESIGN = (Path(__file__).parents[2] / "design" / "0006-reports.md").read_text(encoding="utf-8")


@pytest.fixture
def malformed(tmp_path: Path) -> Path:
    path = tmp_path / "malformed.json"
    path.write_text(json.dumps(vector(transaction__value="x", pre__SENDER__nonce="y")))
    return path


def test_vectors_that_pass(run: Run) -> None:
    ran = run("statetest", PASSING)

    count = len(list(PASSING.glob("*.json")))
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines()[-1] == f"{count} vectors: {count} passed, 0 failed, 0 skipped"
    assert "pass  paysAndCounts\n" in ran.out


def test_golden_text_of_vectors_that_fail(run: Run) -> None:
    ran = run("statetest", FAILING, "-v")

    assert (ran.status, ran.err) == (1, "")
    check_golden(GOLDEN / "statetest.txt", ran.out)


def test_one_vector_that_fails_makes_the_status_1(run: Run) -> None:
    ran = run("statetest", PASSING, FAILING / "wrongInEveryField.json")

    assert ran.status == 1
    assert "FAIL  wrongInEveryField\n" in ran.out
    assert ", 1 failed, 0 skipped" in ran.out


def test_a_malformed_file_is_told_whole_and_the_others_are_run(run: Run, malformed: Path) -> None:
    ran = run("statetest", malformed, PASSING / "paysAndCounts.json")

    assert ran.status == 2
    assert ran.err.startswith(f"error: {malformed}: 2 problems\n")
    assert "transaction.value: wanted a number" in ran.err
    assert ran.out.splitlines() == ["pass  paysAndCounts", "1 vector: 1 passed, 0 failed, 0 skipped, 1 malformed"]


def test_malformed_weighs_more_than_failed(run: Run, malformed: Path) -> None:
    assert run("statetest", FAILING, malformed).status == 2


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("list.json", "[]", "wanted an object, found an array of nothing"),
        ("cut.json", '{"pre": {', "cut.json:1:10: not JSON"),
        ("other.json", '{"pre": {}, "transaction": {}}', 'there is no "expect"'),
    ],
)
def test_what_is_no_vector_is_an_error_of_its_own(run: Run, tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)

    ran = run("statetest", tmp_path)

    assert ran.status == 2
    assert told in ran.err


def test_paths_that_hold_nothing_are_errors(run: Run, tmp_path: Path) -> None:
    missing = run("statetest", tmp_path / "none.json")
    empty = run("statetest", tmp_path, PASSING / "paysAndCounts.json")

    assert missing.status == empty.status == 2
    assert "none.json: cannot be read: No such file or directory" in missing.err
    assert f"{tmp_path}: a folder without any *.json in it" in empty.err
    assert "pass  paysAndCounts" in empty.out
    assert run("statetest").status == 2


def test_a_file_that_is_named_twice_is_run_once(run: Run) -> None:
    ran = run("statetest", PASSING / "paysAndCounts.json", PASSING, "--filter", "paysAndCounts")

    assert ran.out.splitlines()[-1] == "1 vector: 1 passed, 0 failed, 0 skipped"


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["AndCounts"], {"paysAndCounts"}),
        (["*Transaction*"], {"createsFromTransaction", "invalidTransactionChangesNothing"}),
        (["creates*"], {"createsFromTransaction"}),
        (["maps", "pays"], {"mapsStorage", "paysAndCounts"}),
        (["[mp]a*s*"], {"mapsStorage", "paysAndCounts"}),
    ],
)
def test_filters_choose_by_name(run: Run, patterns: list[str], names: set[str]) -> None:
    ran = run("statetest", PASSING, "--json", *(word for pattern in patterns for word in ("--filter", pattern)))

    assert {each["name"] for each in json.loads(ran.out)["vectors"]} == names


def test_a_filter_that_leaves_nothing_is_an_error(run: Run) -> None:
    ran = run("statetest", PASSING, "--filter", "nothing", "--filter", "like*this")

    assert (ran.status, ran.out) == (2, "")
    assert "error: no vector has a name like nothing or like*this" in ran.err


def test_linking_option_skips_vectors_that_do_not_use_it(run: Run) -> None:
    ran = run("statetest", PASSING, "--link", "paged")

    assert ran.status == 0
    assert "skip  paysAndCounts (its storage is under keyed)\n" in ran.out
    assert "pass  mapsStorage\n" in ran.out


DEBUG = """(module (import "debug" "print32" (func $print (param i32))) (memory (export "memory") 1)
  (func (export "main") (call $print (i32.const 4242))))"""


def test_debug_functions_are_offered_if_they_are_asked_for_and_trees_show_what_they_print(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "debug.json"
    path.write_text(json.dumps(vector(pre__CONTRACT__code=DEBUG)))

    without, offered = (run("statetest", path, *more, "-vvv") for more in ((), ("--debug",)))

    assert "4242" not in without.out
    assert "debug" in without.out + without.err
    assert "4242" in offered.out
    assert offered.err == ""
    for link in ("copied", "keyed"):
        assert "malformed" not in run("statetest", path, "--debug", "--link", link).out


def test_linking_option_is_one_that_serves_contracts_of_ewasm(run: Run) -> None:
    ran = run("statetest", PASSING, "--link", "regions")

    assert ran.status == 2
    assert "keyed" in ran.err


def test_document_has_everything_and_the_design_note_has_its_keys(run: Run, malformed: Path) -> None:
    ran = run("statetest", FAILING, PASSING / "undoesWhatReverts.json", malformed, "--json", "-v")

    document = json.loads(ran.out)
    assert ran.status == 2
    assert (document["schema"], document["ok"]) == ("storagemod.statetest/1", False)
    assert (document["pass"], document["fail"], document["skip"]) == (1, 2, 0)
    assert [each["type"] for each in document["malformed"]] == ["VectorError"]
    vectors = {each["name"]: each for each in document["vectors"]}
    wrong = vectors["wrongInEveryField"]
    assert {"address": f"0x{CONTRACT}", "field": "nonce", "wanted": "9", "found": "0"} in wrong["differences"]
    assert wrong["path"] == str(FAILING / "wrongInEveryField.json")
    assert vectors["undoesWhatReverts"]["receipt"]["trace"]["calls"][1]["outcome"] == "reverted"
    for key in (*document, *wrong, *wrong["differences"][0]):
        assert f"`{key}`" in DESIGN, key
    assert "`storagemod.statetest/1`" in DESIGN


def test_document_has_traces_only_if_they_are_asked_for(run: Run) -> None:
    ran = run("statetest", PASSING / "paysAndCounts.json", "--json")

    (only,) = json.loads(ran.out)["vectors"]
    assert only["receipt"]["ok"] is True
    assert only["receipt"]["trace"] is None


def test_trees_are_shown_of_vectors_that_fail_or_of_all(run: Run) -> None:
    for flags, shown in (([], False), (["-v"], False), (["-vvv"], True)):
        ran = run("statetest", PASSING / "undoesWhatReverts.json", *flags)

        assert ("← [Revert]" in ran.out) is shown


def test_names_cannot_act_on_the_terminal(run: Run, tmp_path: Path) -> None:
    (tmp_path / "it.json").write_text(json.dumps(vector(name="\x1b[2J")))

    ran = run("statetest", tmp_path)

    assert ran.status == 0
    assert "\x1b" not in ran.out


def test_a_sender_of_the_highest_nonce_has_an_invalid_transaction_and_the_other_vectors_run(
    run: Run, tmp_path: Path
) -> None:
    highest = tmp_path / "highest.json"
    highest.write_text(json.dumps(vector(name="highest", pre__SENDER__nonce=str(2**63 - 1), transaction__nonce=None)))

    ran = run("statetest", highest, PASSING / "paysAndCounts.json")

    assert (ran.status, ran.err) == (1, "")
    assert "FAIL  highest" in ran.out
    assert "note: the transaction is invalid, and changed nothing: the nonce of its sender is as high" in ran.out
    assert ran.out.splitlines()[-1] == "2 vectors: 1 passed, 1 failed, 0 skipped"
