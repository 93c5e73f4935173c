from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from storagemod.errors import DeadlineError, TrapError
from storagemod.events import CallEnded, PagesTouched, StorageWritten
from storagemod.report import render_tree, render_tree_rich, trace_to_json
from storagemod.trace import Trace
from storagemod.types import CallKind, Outcome
from tests.golden import check_golden

from .traces import BANK, THIEF, accounts, change, ended, failing, nested, raw, record, robbery, started, word

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("verbosity", [3, 4])
def test_tree_of_everything_is_the_golden_file(verbosity: int) -> None:
    check_golden(GOLDEN / f"robbery_{verbosity}.txt", render_tree(robbery(), verbosity=verbosity) + "\n")


@pytest.mark.parametrize("verbosity", [0, 1, 2])
def test_low_verbosity_shows_nothing_of_a_transaction_that_went_well(verbosity: int) -> None:
    assert render_tree(robbery(), verbosity=verbosity) == ""


@pytest.mark.parametrize(("verbosity", "shows_storage"), [(1, False), (2, True), (3, True), (4, True)])
def test_failing_transaction_is_shown_with_storage_from_verbosity_two_on(verbosity: int, shows_storage: bool) -> None:
    shown = render_tree(failing(), verbosity=verbosity)

    assert shown.startswith("[10000] bank::withdraw()\n")
    assert shown.endswith("└─ ← [Trap] `unreachable` was executed")
    assert ("memory[0x0] 1 -> 2 (undone)" in shown) is shows_storage


def test_what_counts_as_failing_can_be_told() -> None:
    assert render_tree(robbery(), verbosity=1, failing=True) == render_tree(robbery(), verbosity=3)
    assert render_tree(failing(), verbosity=2, failing=False) == ""


def test_calls_nested_to_the_limit_are_shown_with_lines_of_bounded_length() -> None:
    lines = render_tree(nested(1_024)).splitlines()

    assert len(lines) == 2 * 1_024
    assert max(map(len, lines)) < 200
    assert "[10] bank::again(1023) re-entry 1023" in lines[1_023]


def test_word_that_is_no_plausible_number_is_shown_as_bytes() -> None:
    trace = record(started(0, BANK, "f"), StorageWritten(0, BANK, (change(0, 0, b"a name.."),)), ended(0))

    assert "memory[0x0..0x8] 0x0000000000000000 -> 0x61206e616d652e2e" in render_tree(trace)


def test_long_message_of_an_error_is_one_short_line() -> None:
    error = DeadlineError("too long\n" + "because " * 100)
    trace = record(started(0, BANK, "f"), CallEnded(0, Outcome.FAILED, (), b"", 1, error))

    last = render_tree(trace).splitlines()[-1]

    assert last.startswith("  └─ ← [Deadline] too long because because")
    assert last.endswith("…")
    assert len(last) < 250


def test_trace_that_was_cut_and_call_that_did_not_end_say_so() -> None:
    shown = render_tree(record(started(0, BANK, "f"), started(1, BANK, "g"), ended(1), trace_events_max=1))

    assert shown.splitlines() == [
        "[?] bank::f()",
        "  └─ ← [Aborted] the transaction ended before this call did",
        "… 1 later event is missing: the trace reached its limit",
    ]


def test_rich_version_has_the_same_text_and_colours_on_a_terminal_only() -> None:
    text = render_tree_rich(robbery())
    plain, coloured = Console(width=500, record=True), Console(width=500, force_terminal=True)

    with plain.capture() as captured_plain:
        plain.print(text, soft_wrap=True)
    with coloured.capture() as captured_coloured:
        coloured.print(text, soft_wrap=True)

    assert text.plain == render_tree(robbery())
    assert "\x1b[" not in captured_plain.get()
    assert "\x1b[" in captured_coloured.get()


def test_name_that_a_contract_chose_cannot_speak_to_the_terminal() -> None:
    shown = render_tree(record(started(0, BANK, "\x1b[2J\n"), ended(0)))

    assert shown.splitlines()[0] == r"[10] bank::\x1b[2J\n()"


def test_call_that_failed_because_of_its_callee_does_not_repeat_why() -> None:
    cause = TrapError("`unreachable` was executed", code="unreachable")
    error = TrapError(f"the call did not end well: {cause}", code="callee_failed", cause=cause)
    trace = record(
        started(0, BANK, "f"),
        started(1, BANK, "g"),
        CallEnded(1, Outcome.FAILED, (), b"", 1, cause),
        CallEnded(0, Outcome.FAILED, (), b"", 1, error),
    )

    assert render_tree(trace).count("unreachable") == 1
    assert render_tree(trace).endswith("  └─ ← [Trap] a call that it made failed")


def test_label_that_a_file_chose_cannot_speak_to_the_terminal() -> None:
    started_only = raw(started(0, BANK, kind=CallKind.DELEGATE, code_address=THIEF))
    shown = render_tree(Trace((started_only,), {BANK: "a\nb", THIEF: "\x1b[31mred"}))

    assert shown.splitlines()[0] == r"[?] \x1b[31mred::main() [delegate] on storage of a\nb"


def test_word_that_has_a_name_is_told_with_it_and_others_without() -> None:
    trace = record(
        started(0, BANK, "f"),
        StorageWritten(0, BANK, (change(0, bytes(24), word(1) + word(2) + word(3)), change(64, 0, b"a name.."))),
        ended(0),
    )
    names = {(BANK, "memory", 8): "total", (BANK, "memory", 64): "title", (THIEF, "memory", 0): "not this one"}

    assert [line.strip(" ├─") for line in render_tree(trace, names=names).splitlines()[1:-1]] == [
        "memory[0x0] 0 -> 1",
        "memory[0x8] (total) 0 -> 2",
        "memory[0x10] 0 -> 3",
        "memory[0x40..0x48] (title) 0x0000000000000000 -> 0x61206e616d652e2e",
    ]
    assert render_tree_rich(trace, names=names).plain == render_tree(trace, names=names)


def test_pages_that_a_call_touched_first_are_told_as_runs() -> None:
    trace = record(started(0, BANK, "f"), PagesTouched(0, BANK, "memory", ((0, 1), (3, 2))), ended(0))

    assert render_tree(trace).splitlines()[1] == "  ├─ memory touched first: pages 0, 3-4"
    assert trace_to_json(trace)["calls"][0]["steps"] == [
        {
            "type": "pages_touched",
            "address": str(BANK),
            "region": "memory",
            "runs": [{"first": 0, "count": 1}, {"first": 3, "count": 2}],
        }
    ]


def test_accounts_that_are_created_and_destroyed_are_told_where_it_happened() -> None:
    assert render_tree(accounts()).splitlines() == [
        "[400] bank::main(0x01)",
        "  ├─ [200] new 0x0000…000d::init code{value: 7}(0x0001020304050607…2021222324252627 (40 bytes))",
        r"  │   ├─ debug: one\nline",
        "  │   ├─ 0x0000…000d created: code 0xbeef",
        "  │   └─ ← [Return]",
        "  ├─ [100] new 0x0000…000d::init code()",
        "  │   ├─ [5] new 0x0000…000c::init code()",
        "  │   │   ├─ 0x0000…000c created: no code (undone)",
        "  │   │   └─ ← [Return]",
        "  │   ├─ debug: printed",
        "  │   └─ ← [Trap] `unreachable` was executed",
        "  ├─ [30] 0x0000…000c::main() [code] on storage of bank re-entry 1",
        "  │   ├─ bank destroyed: 93 to thief",
        "  │   └─ ← [Return]",
        "  └─ ← [Return]",
    ]
